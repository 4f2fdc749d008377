/* SPDX-License-Identifier: MIT */
/*
 * The boundary of a shallow clone. Commits are taken level by level from the wants, so each is met
 * first at its shortest distance and read once at most: the work is linear in the commits inside.
 */
#include "walk_int.h"

#define DEPTH_SEEN 0x01u
#define DEPTH_INSIDE 0x02u
#define DEPTH_BOUNDARY 0x04u
#define DEPTH_OWN 0x08u /* the repository's own boundary */

enum depth_phase { DEPTH_ROOTS, DEPTH_WALK, DEPTH_SORT, DEPTH_DONE };

struct ph_depth {
	enum depth_phase phase;
	enum ph_status failed;
	uint32_t depth;
	uint32_t level; /* distance of the commits in here */
	bool own;       /* the repository has boundaries itself */
	struct ph__walk_env env;
	struct ph__states states;
	struct ph__locs roots;
	struct ph__locs here, beyond; /* this level's commits, and the next's */
	size_t at;
	struct ph__parents parents;
	bool spreading;
	struct ph_oid *found; /* boundary commits, as a heap, then sorted */
	uint32_t count, capacity;
	uint32_t unsorted;
};

static void release_work(struct ph_depth *depth)
{
	if (depth->env.reader != NULL) {
		ph__parents_stop(&depth->parents, &depth->env);
		ph__walk_env_release(&depth->env);
	}
	ph__locs_release(&depth->roots, depth->env.alloc);
	ph__locs_release(&depth->here, depth->env.alloc);
	ph__locs_release(&depth->beyond, depth->env.alloc);
}

enum ph_status ph_depth_new(struct ph_depth **out, const struct ph_source *source,
                            const struct ph_alloc *alloc, const struct ph_limits *limits,
                            uint32_t depth_wanted)
{
	struct ph_depth *depth;
	enum ph_status status;

	if (depth_wanted == 0) {
		return PH_ERR_INVALID;
	}
	depth = ph_mem_zalloc(alloc, 1, sizeof *depth);
	if (depth == NULL) {
		return PH_ERR_NOMEM;
	}
	depth->depth = depth_wanted;
	depth->level = 1;
	status = ph__walk_env_init(&depth->env, source, alloc, limits);
	if (status == PH_OK) {
		status = ph__states_init(&depth->states, source, alloc);
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

enum ph_status ph_depth_boundary(struct ph_depth *depth, const struct ph_oid *oid)
{
	struct ph_loc loc;
	enum ph_status status;

	assert(depth->phase == DEPTH_ROOTS);
	status = find(depth, oid, &loc);
	if (status == PH_OK) {
		*ph__states_at(&depth->states, loc) |= DEPTH_OWN;
		depth->own = true;
	}
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
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

static enum ph_status step_roots(struct ph_depth *depth, uint32_t *budget)
{
	const struct ph_source *source = depth->env.source;
	struct ph_loc loc;
	struct ph_loc target;
	struct ph_oid oid;
	struct ph_entry entry;
	enum ph_object_type type;
	enum ph_status status;

	if (depth->roots.count == 0) {
		depth->phase = DEPTH_WALK;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	loc = depth->roots.items[--depth->roots.count];
	status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK) {
		return status;
	}
	if (entry.type == PH_OBJ_COMMIT) {
		return enter(depth, &depth->here, loc);
	}
	if (entry.type != PH_OBJ_TAG) {
		return PH_OK;
	}
	status = ph__walk_tag(&depth->env, loc, &oid, &type, &target, budget);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	}
	return ph__locs_push(&depth->roots, depth->env.alloc, target);
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

static enum ph_status add_found(struct ph_depth *depth, const struct ph_oid *oid)
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

static enum ph_status step_parent(struct ph_depth *depth, uint32_t *budget)
{
	struct ph_oid oid;
	struct ph_loc loc;
	enum ph_status status = ph__parents_next(&depth->parents, &depth->env, &loc, &oid, budget);

	if (status == PH_END) {
		depth->spreading = false;
		return PH_OK;
	}
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	}
	return enter(depth, &depth->beyond, loc);
}

static enum ph_status step_commit(struct ph_depth *depth, struct ph_loc loc, uint32_t *budget)
{
	const struct ph_source *source = depth->env.source;
	uint8_t *state = ph__states_at(&depth->states, loc);
	bool last = depth->depth < PH_DEPTH_INFINITE && depth->level >= depth->depth;
	struct ph_entry entry;
	struct ph__commit commit;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (last || (*state & DEPTH_OWN) != 0) {
		*state |= DEPTH_BOUNDARY;
		status = source->ops->entry(source, loc, &entry);
		if (status == PH_OK && entry.type != PH_OBJ_COMMIT) {
			status = PH_ERR_CORRUPT;
		}
		return status == PH_OK ? add_found(depth, &entry.oid) : status;
	}
	*state |= DEPTH_INSIDE;
	status = ph__commit_read(&depth->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__parents_start(&depth->parents, &depth->env, &commit, budget);
		depth->spreading = true;
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
		return step_walk(depth, budget);
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
		*inside = (state & DEPTH_INSIDE) != 0;
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
