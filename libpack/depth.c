/* SPDX-License-Identifier: MIT */
/*
 * The boundary of a shallow clone. Commits are taken level by level from the wants, so each is met
 * first at its shortest distance and read once at most: the work is linear in the commits inside.
 * What is common to this way and that by a list (depth_list.c) is here as well.
 */
#include "depth_int.h"

static void release_work(struct ph_depth *depth)
{
	if (depth->env.reader != NULL) {
		ph__parents_stop(&depth->parents, &depth->env);
		ph__walk_env_release(&depth->env);
	}
	ph__queue_release(&depth->queue, depth->env.alloc);
	ph__locs_release(&depth->roots, depth->env.alloc);
	ph__locs_release(&depth->out_roots, depth->env.alloc);
	ph__locs_release(&depth->here, depth->env.alloc);
	ph__locs_release(&depth->beyond, depth->env.alloc);
}

enum ph_status ph_depth_new(struct ph_depth **out, const struct ph_depth_options *options)
{
	struct ph_depth *depth = ph_mem_zalloc(options->alloc, 1, sizeof *depth);
	enum ph_status status;

	if (depth == NULL) {
		return PH_ERR_NOMEM;
	}
	depth->depth = options->depth;
	depth->since = options->since;
	depth->relative = options->relative && options->depth > 0;
	depth->level = 1;
	depth->last_time = UINT64_MAX;
	depth->slop = 1;
	status = ph__walk_env_init(&depth->env, options->source, options->alloc, options->limits);
	depth->env.maps = options->maps;
	if (status == PH_OK) {
		status = ph__states_init(&depth->states, options->source, options->alloc);
	}
	if (status != PH_OK) {
		ph_depth_free(depth);
		return status;
	}
	*out = depth;
	return PH_OK;
}

void ph_depth_free(struct ph_depth *depth)
{
	const struct ph_alloc *alloc;

	if (depth == NULL) {
		return;
	}
	alloc = depth->env.alloc;
	release_work(depth);
	ph__states_release(&depth->states, alloc);
	ph_mem_free(alloc, depth->found);
	ph_mem_free(alloc, depth);
}

static enum ph_status find(const struct ph_depth *depth, const struct ph_oid *oid,
                           struct ph_loc *out)
{
	return depth->env.source->ops->find(depth->env.source, oid, out);
}

enum ph_status ph_depth_want(struct ph_depth *depth, const struct ph_oid *oid)
{
	struct ph_loc loc;
	enum ph_status status;

	assert(depth->phase == DEPTH_ROOTS);
	status = find(depth, oid, &loc);
	return status == PH_OK ? ph__locs_push(&depth->roots, depth->env.alloc, loc) : status;
}

enum ph_status ph_depth_exclude(struct ph_depth *depth, const struct ph_oid *oid)
{
	struct ph_loc loc;
	enum ph_status status;

	assert(depth->phase == DEPTH_ROOTS && depth->depth == 0);
	status = find(depth, oid, &loc);
	if (status == PH_OK) {
		status = ph__locs_push(&depth->out_roots, depth->env.alloc, loc);
	}
	depth->excludes = depth->excludes || status == PH_OK;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

static enum ph_status mark(struct ph_depth *depth, const struct ph_oid *oid, uint8_t bit,
                           bool *marked)
{
	struct ph_loc loc;
	enum ph_status status;

	assert(depth->phase == DEPTH_ROOTS);
	status = find(depth, oid, &loc);
	if (status == PH_OK) {
		*ph__states_at(&depth->states, loc) |= bit;
		*marked = true;
	}
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_status ph_depth_boundary(struct ph_depth *depth, const struct ph_oid *oid)
{
	return mark(depth, oid, DEPTH_OWN, &depth->own);
}

enum ph_status ph_depth_from(struct ph_depth *depth, const struct ph_oid *oid)
{
	bool marked;

	return mark(depth, oid, DEPTH_CLIENT, &marked);
}

/* Puts a commit into a level, unless an earlier one or this has it. */
static enum ph_status enter(struct ph_depth *depth, struct ph__locs *level, struct ph_loc loc)
{
	uint8_t *state = ph__states_at(&depth->states, loc);
	enum ph_status status;

	if ((*state & DEPTH_SEEN) != 0) {
		return PH_OK;
	}
	status = ph__locs_push(level, depth->env.alloc, loc);
	if (status == PH_OK) {
		*state |= DEPTH_SEEN;
	}
	return status;
}

/* A commit that is named, by a want or as one that is out. */
static enum ph_status begin_at(struct ph_depth *depth, struct ph_loc loc, bool out,
                               uint32_t *budget)
{
	if (depth->depth > 0) {
		return enter(depth, &depth->here, loc);
	}
	return ph__depth_paint(depth, loc, out ? DEPTH_OUT : DEPTH_SEEN, budget);
}

static enum ph_status step_roots(struct ph_depth *depth, uint32_t *budget)
{
	const struct ph_source *source = depth->env.source;
	bool out = depth->roots.count == 0;
	struct ph__locs *roots = out ? &depth->out_roots : &depth->roots;
	struct ph_loc loc;
	struct ph_loc target;
	struct ph_oid oid;
	struct ph_entry entry;
	enum ph_object_type type;
	enum ph_status status;

	if (roots->count == 0) {
		depth->phase = DEPTH_WALK;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	loc = roots->items[--roots->count];
	status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK) {
		return status;
	}
	if (entry.type == PH_OBJ_COMMIT) {
		return begin_at(depth, loc, out, budget);
	}
	if (entry.type != PH_OBJ_TAG) {
		return PH_OK;
	}
	status = ph__walk_tag(&depth->env, loc, &oid, &type, &target, budget);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	}
	return ph__locs_push(roots, depth->env.alloc, target);
}

/* --- The boundary: a heap while it grows, sorted in place when it is whole --- */

static void sift_down(struct ph_oid *heap, uint32_t count)
{
	struct ph_oid moved = heap[0];
	uint32_t at = 0;

	while (at < count / 2) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < count && ph_oid_cmp(&heap[child + 1], &heap[child]) > 0) {
			child++;
		}
		if (ph_oid_cmp(&heap[child], &moved) <= 0) {
			break;
		}
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

enum ph_status ph__depth_found(struct ph_depth *depth, const struct ph_oid *oid)
{
	uint32_t at = depth->count;

	if (depth->count == depth->capacity) {
		uint32_t capacity = depth->capacity == 0 ? 16 : depth->capacity * 2;
		struct ph_oid *found;

		if (depth->capacity > UINT32_MAX / 2) {
			return PH_ERR_LIMIT;
		}
		found = ph_mem_resize(depth->env.alloc, depth->found, capacity, sizeof *found);
		if (found == NULL) {
			return PH_ERR_NOMEM;
		}
		depth->found = found;
		depth->capacity = capacity;
	}
	while (at > 0 && ph_oid_cmp(&depth->found[(at - 1) / 2], oid) < 0) {
		depth->found[at] = depth->found[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	depth->found[at] = *oid;
	depth->count++;
	return PH_OK;
}

static enum ph_status step_sort(struct ph_depth *depth, uint32_t *budget)
{
	struct ph_oid largest;

	if (depth->unsorted <= 1) {
		depth->phase = DEPTH_DONE;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	largest = depth->found[0];
	depth->unsorted--;
	depth->found[0] = depth->found[depth->unsorted];
	depth->found[depth->unsorted] = largest;
	sift_down(depth->found, depth->unsorted);
	return PH_OK;
}

/* --- The walk --- */

enum ph_status ph__depth_parent(struct ph_depth *depth, struct ph_loc *out, uint32_t *budget)
{
	struct ph_oid oid;
	enum ph_status status = ph__parents_next(&depth->parents, &depth->env, out, &oid, budget);

	if (status == PH_END) {
		depth->spreading = false;
		return PH_END;
	}
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

enum ph_status ph__depth_spread(struct ph_depth *depth, const struct ph__commit *commit,
                                uint32_t *budget)
{
	enum ph_status status = ph__parents_start(&depth->parents, &depth->env, commit, budget);

	depth->spreading = true;
	return status == PH_ERR_INVALID ? PH_ERR_CORRUPT : status;
}

static enum ph_status step_parent(struct ph_depth *depth, uint32_t *budget)
{
	struct ph_loc loc;
	enum ph_status status = ph__depth_parent(depth, &loc, budget);

	if (status != PH_OK) {
		return status == PH_END ? PH_OK : status;
	}
	return enter(depth, &depth->beyond, loc);
}

/* Whether a commit at this level is the last of its line. */
static bool is_last(struct ph_depth *depth, uint8_t state)
{
	/* Levels come one by one, so the first that is met is the nearest. */
	if (depth->relative && (state & DEPTH_CLIENT) != 0) {
		depth->relative = false;
		depth->depth += depth->level;
	}
	return !depth->relative && depth->depth < PH_DEPTH_INFINITE && depth->level >= depth->depth;
}

static enum ph_status step_commit(struct ph_depth *depth, struct ph_loc loc, uint32_t *budget)
{
	const struct ph_source *source = depth->env.source;
	uint8_t *state = ph__states_at(&depth->states, loc);
	struct ph_entry entry;
	struct ph__commit commit;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (is_last(depth, *state) || (*state & DEPTH_OWN) != 0) {
		*state |= DEPTH_BOUNDARY;
		status = source->ops->entry(source, loc, &entry);
		if (status == PH_OK && entry.type != PH_OBJ_COMMIT) {
			status = PH_ERR_CORRUPT;
		}
		return status == PH_OK ? ph__depth_found(depth, &entry.oid) : status;
	}
	*state |= DEPTH_INSIDE;
	status = ph__commit_read(&depth->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__depth_spread(depth, &commit, budget);
	}
	return status == PH_ERR_INVALID ? PH_ERR_CORRUPT : status;
}

static enum ph_status step_walk(struct ph_depth *depth, uint32_t *budget)
{
	struct ph__locs level;

	if (depth->spreading) {
		return step_parent(depth, budget);
	}
	/* Without an end to find, everything is inside: see ph_depth_inside. */
	if (depth->depth >= PH_DEPTH_INFINITE && !depth->own) {
		depth->phase = DEPTH_DONE;
		return PH_OK;
	}
	if (depth->at < depth->here.count) {
		return step_commit(depth, depth->here.items[depth->at++], budget);
	}
	if (depth->beyond.count == 0) {
		depth->phase = DEPTH_SORT;
		depth->unsorted = depth->count;
		return PH_OK;
	}
	level = depth->here;
	depth->here = depth->beyond;
	depth->beyond = level;
	depth->beyond.count = 0;
	depth->at = 0;
	depth->level++;
	return PH_OK;
}

static enum ph_status step(struct ph_depth *depth, uint32_t *budget)
{
	assert(depth->phase != DEPTH_DONE);
	switch (depth->phase) {
	case DEPTH_ROOTS:
		return step_roots(depth, budget);
	case DEPTH_WALK:
		return depth->depth > 0 ? step_walk(depth, budget)
		                        : ph__depth_list_step(depth, budget);
	case DEPTH_EDGE:
		return ph__depth_edge_step(depth, budget);
	case DEPTH_SORT:
		return step_sort(depth, budget);
	case DEPTH_DONE:
		break;
	}
	return PH_ERR_INVALID; /* ruled out above */
}

enum ph_status ph_depth_run(struct ph_depth *depth, uint32_t *budget)
{
	while (depth->phase != DEPTH_DONE && depth->failed == PH_OK && *budget > 0) {
		depth->failed = step(depth, budget);
	}
	if (depth->failed != PH_OK) {
		return depth->failed;
	}
	if (depth->phase != DEPTH_DONE) {
		return PH_AGAIN;
	}
	release_work(depth);
	return PH_OK;
}

enum ph_status ph_depth_next(const struct ph_depth *depth, uint32_t *cursor, struct ph_oid *out)
{
	assert(depth->phase == DEPTH_DONE);
	if (*cursor >= depth->count) {
		return PH_END;
	}
	*out = depth->found[(*cursor)++];
	return PH_OK;
}

/* The state of a commit; 0 when it is not there. */
static enum ph_status state_of(const struct ph_depth *depth, const struct ph_oid *oid,
                               uint8_t *state, bool *found)
{
	struct ph_loc loc;
	enum ph_status status = find(depth, oid, &loc);

	*found = status == PH_OK;
	*state = *found ? *ph__states_at(&depth->states, loc) : 0;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_status ph_depth_inside(const struct ph_depth *depth, const struct ph_oid *oid, bool *inside)
{
	uint8_t state;
	bool found;
	enum ph_status status = state_of(depth, oid, &state, &found);

	if (depth->depth >= PH_DEPTH_INFINITE && !depth->own) {
		*inside = found;
	} else {
		*inside = (state & DEPTH_INSIDE) != 0 && !depth->relative;
	}
	return status;
}

enum ph_status ph_depth_is_boundary(const struct ph_depth *depth, const struct ph_oid *oid,
                                    bool *boundary)
{
	uint8_t state;
	bool found;
	enum ph_status status = state_of(depth, oid, &state, &found);

	*boundary = (state & DEPTH_BOUNDARY) != 0;
	return status;
}
