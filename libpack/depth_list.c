/* SPDX-License-Identifier: MIT */
/*
 * The boundary of a shallow clone by time, or by what is left out: `rev-list --max-age` and
 * `--not`. Two colours spread over commits, latest first, as in a walk: what the wants reach, and
 * what is out. Then each commit that is in and has a parent that is not is on the boundary.
 *
 * Without anything excluded a commit that is too old ends its branch. With it, it is excluded
 * itself: that is how git does it, and the difference shows only where clocks ran wrong.
 */
#include "depth_int.h"

/* Excluded commits to look at after the last that may be in, in case a clock ran wrong. */
#define SLOP 16u

static bool is_open(uint8_t state)
{
	return (state & (DEPTH_SEEN | DEPTH_OUT | DEPTH_QUEUED)) == (DEPTH_SEEN | DEPTH_QUEUED);
}

static void update(struct ph_depth *depth, uint8_t *state, unsigned next)
{
	depth->open += (uint32_t)is_open((uint8_t)next) - (uint32_t)is_open(*state);
	*state = (uint8_t)next;
}

enum ph_status ph__depth_paint(struct ph_depth *depth, struct ph_loc loc, uint8_t colour,
                               uint32_t *budget)
{
	uint8_t *state = ph__states_at(&depth->states, loc);
	struct ph__commit commit;
	enum ph_status status;

	if ((*state & colour) != 0) {
		return PH_OK;
	}
	/* In the queue it will do; and what an excluded commit reaches is excluded already. */
	if ((*state & DEPTH_QUEUED) != 0 || (*state & DEPTH_OUT) != 0) {
		update(depth, state, (unsigned)*state | colour);
		return PH_OK;
	}
	status = ph__commit_read(&depth->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__queue_put(&depth->queue, depth->env.alloc, &commit);
	}
	if (status == PH_OK) {
		update(depth, state, (unsigned)*state | colour | DEPTH_QUEUED);
	}
	return status == PH_ERR_INVALID ? PH_ERR_CORRUPT : status;
}

/* Whether no commit that is still to come can change what is in. */
static bool painted(struct ph_depth *depth, const struct ph__commit *next)
{
	if (next == NULL) {
		return true;
	}
	if (depth->open > 0 || next->time >= depth->last_time) {
		depth->slop = SLOP;
		return false;
	}
	return depth->slop-- == 0;
}

/* A commit's turn: it is in, out, or, too old, the end of its branch. */
static enum ph_status take(struct ph_depth *depth, const struct ph__commit *commit,
                           uint32_t *budget)
{
	uint8_t *state = ph__states_at(&depth->states, commit->loc);

	update(depth, state, (unsigned)*state & ~DEPTH_QUEUED);
	if ((*state & DEPTH_OUT) == 0) {
		depth->last_time = commit->time;
		if (commit->time >= depth->since) {
			*state |= DEPTH_LISTED;
		} else if (depth->excludes) {
			*state |= DEPTH_OUT;
		} else {
			return PH_OK;
		}
	}
	if ((*state & DEPTH_OWN) != 0) {
		return PH_OK;
	}
	depth->colour = (*state & DEPTH_OUT) != 0 ? DEPTH_OUT : DEPTH_SEEN;
	return ph__depth_spread(depth, commit, budget);
}

enum ph_status ph__depth_list_step(struct ph_depth *depth, uint32_t *budget)
{
	struct ph__commit commit;
	struct ph_loc loc;
	enum ph_status status;

	if (depth->spreading) {
		status = ph__depth_parent(depth, &loc, budget);
		if (status == PH_OK) {
			status = ph__depth_paint(depth, loc, depth->colour, budget);
		}
		return status == PH_END ? PH_OK : status;
	}
	if (painted(depth, ph__queue_peek(&depth->queue))) {
		ph__queue_release(&depth->queue, depth->env.alloc);
		depth->phase = DEPTH_EDGE;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	ph__queue_take(&depth->queue, &commit);
	return take(depth, &commit, budget);
}

/* --- The boundary --- */

static bool is_in(uint8_t state)
{
	return (state & (DEPTH_LISTED | DEPTH_OUT)) == DEPTH_LISTED;
}

/* All parents of a commit that is in were looked at. */
static enum ph_status edge_end(struct ph_depth *depth)
{
	uint8_t *state = ph__states_at(&depth->states, depth->parent);
	struct ph_entry entry;
	enum ph_status status;

	if (!depth->edge) {
		*state |= DEPTH_INSIDE;
		return PH_OK;
	}
	*state |= DEPTH_BOUNDARY;
	status = depth->env.source->ops->entry(depth->env.source, depth->parent, &entry);
	return status == PH_OK ? ph__depth_found(depth, &entry.oid) : status;
}

static enum ph_status edge_begin(struct ph_depth *depth, struct ph_loc loc, uint32_t *budget)
{
	struct ph__commit commit;
	enum ph_status status;

	depth->selected++;
	depth->parent = loc;
	depth->edge = (*ph__states_at(&depth->states, loc) & DEPTH_OWN) != 0;
	if (depth->edge) {
		return edge_end(depth);
	}
	status = ph__commit_read(&depth->env, loc, &commit, budget);
	return status == PH_OK ? ph__depth_spread(depth, &commit, budget) : status;
}

enum ph_status ph__depth_edge_step(struct ph_depth *depth, uint32_t *budget)
{
	struct ph_loc loc;
	enum ph_status status;

	if (depth->spreading) {
		status = ph__depth_parent(depth, &loc, budget);
		if (status == PH_OK && !is_in(*ph__states_at(&depth->states, loc))) {
			depth->edge = true;
		}
		return status == PH_END ? edge_end(depth) : status;
	}
	ph_budget_spend(budget, 1);
	status = ph__states_scan(&depth->states, DEPTH_LISTED, &depth->scan);
	if (status == PH_END) {
		depth->phase = DEPTH_SORT;
		depth->unsorted = depth->count;
		return depth->selected > 0 ? PH_OK : PH_ERR_NOT_FOUND;
	}
	if (status != PH_OK) {
		return PH_OK;
	}
	loc = depth->scan;
	depth->scan.pos++;
	return is_in(*ph__states_at(&depth->states, loc)) ? edge_begin(depth, loc, budget) : PH_OK;
}
