/* SPDX-License-Identifier: MIT */
/*
 * Whether objects are reachable from tips: what a client may ask for by id. Commits are walked
 * latest first, and the contents of each at once while a tree or blob is sought, since what is
 * asked for is most often recent. An object that is not there ends its branch; it cannot lead to a
 * target.
 */
#include "walk_int.h"

#define REACH_SEEN 0x01u
#define REACH_TARGET 0x02u

struct ph_reach {
	enum ph_status failed;
	struct ph__walk_env env;
	struct ph__states states;
	struct ph__locs roots;   /* tips to follow */
	struct ph__locs targets; /* in the order they were given */
	struct ph__queue queue;
	struct ph__parents parents;
	bool spreading;
	struct ph__trees trees;
	/* Targets not met yet. */
	uint32_t left, trees_left, blobs_left;
	size_t first; /* no target before this one is left */
};

enum ph_status ph_reach_new(struct ph_reach **out, const struct ph_source *source,
                            const struct ph_alloc *alloc, const struct ph_limits *limits)
{
	struct ph_reach *reach = ph_mem_zalloc(alloc, 1, sizeof *reach);
	enum ph_status status;

	if (reach == NULL) {
		return PH_ERR_NOMEM;
	}
	status = ph__walk_env_init(&reach->env, source, alloc, limits);
	if (status == PH_OK) {
		status = ph__states_init(&reach->states, source, alloc);
	}
	if (status == PH_OK) {
		status = ph__trees_init(&reach->trees, &reach->env,
		                        reach->states.base[reach->states.packs]);
	}
	if (status != PH_OK) {
		ph_reach_free(reach);
		return status;
	}
	*out = reach;
	return PH_OK;
}

void ph_reach_free(struct ph_reach *reach)
{
	const struct ph_alloc *alloc;

	if (reach == NULL) {
		return;
	}
	alloc = reach->env.alloc;
	if (reach->env.reader != NULL) {
		ph__parents_stop(&reach->parents, &reach->env);
		ph__trees_release(&reach->trees, &reach->env);
		ph__walk_env_release(&reach->env);
	}
	ph__queue_release(&reach->queue, alloc);
	ph__locs_release(&reach->roots, alloc);
	ph__locs_release(&reach->targets, alloc);
	ph__states_release(&reach->states, alloc);
	ph_mem_free(alloc, reach);
}

enum ph_status ph_reach_tip(struct ph_reach *reach, const struct ph_oid *oid)
{
	const struct ph_source *source = reach->env.source;
	struct ph_loc loc;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_OK : status;
	}
	return ph__locs_push(&reach->roots, reach->env.alloc, loc);
}

/* Counts a target of this type, or, with step -1, no longer. */
static void count_target(struct ph_reach *reach, enum ph_object_type type, int step)
{
	reach->left += (uint32_t)step;
	if (type == PH_OBJ_TREE) {
		reach->trees_left += (uint32_t)step;
	} else if (type == PH_OBJ_BLOB) {
		reach->blobs_left += (uint32_t)step;
	}
}

enum ph_status ph_reach_target(struct ph_reach *reach, const struct ph_oid *oid)
{
	const struct ph_source *source = reach->env.source;
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK) {
		status = source->ops->entry(source, loc, &entry);
	}
	if (status != PH_OK ||
	    (*ph__states_at(&reach->states, loc) & (REACH_TARGET | REACH_SEEN)) != 0) {
		return status;
	}
	status = ph__locs_push(&reach->targets, reach->env.alloc, loc);
	if (status == PH_OK) {
		*ph__states_at(&reach->states, loc) |= REACH_TARGET;
		count_target(reach, entry.type, 1);
	}
	return status;
}

/* Marks an object as reachable. False when it was already. */
static bool see(struct ph_reach *reach, struct ph_loc loc, enum ph_object_type type)
{
	uint8_t *state = ph__states_at(&reach->states, loc);

	if ((*state & REACH_SEEN) != 0) {
		return false;
	}
	*state |= REACH_SEEN;
	if ((*state & REACH_TARGET) != 0) {
		count_target(reach, type, -1);
	}
	return true;
}

static bool contents_left(const struct ph_reach *reach)
{
	return reach->trees_left > 0 || reach->blobs_left > 0;
}

/* Something reachable: a tip, a parent, what a tag names or a tree holds. */
static enum ph_status visit(struct ph_reach *reach, struct ph_loc loc, uint32_t *budget)
{
	const struct ph_source *source = reach->env.source;
	struct ph_loc target;
	struct ph_oid oid;
	struct ph_entry entry;
	struct ph__commit commit;
	enum ph_object_type type;
	enum ph_status status;

	if ((*ph__states_at(&reach->states, loc) & REACH_SEEN) != 0) {
		return PH_OK;
	}
	status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK) {
		return status;
	}
	see(reach, loc, entry.type);
	switch (entry.type) {
	case PH_OBJ_COMMIT:
		status = ph__commit_read(&reach->env, loc, &commit, budget);
		return status == PH_OK ? ph__queue_put(&reach->queue, reach->env.alloc, &commit)
		                       : status;
	case PH_OBJ_TAG:
		status = ph__walk_tag(&reach->env, loc, &oid, &type, &target, budget);
		return status == PH_OK ? ph__locs_push(&reach->roots, reach->env.alloc, target)
		                       : status;
	case PH_OBJ_TREE:
		return contents_left(reach) ? ph__trees_add(&reach->trees, &reach->env, loc)
		                            : PH_OK;
	case PH_OBJ_NONE:
	case PH_OBJ_BLOB:
	case PH_OBJ_OFS_DELTA:
	case PH_OBJ_REF_DELTA:
		break;
	}
	return PH_OK;
}

static enum ph_status visit_id(struct ph_reach *reach, const struct ph_oid *oid, uint32_t *budget)
{
	struct ph_loc loc;
	enum ph_status status = ph__walk_find(&reach->env, oid, &loc, budget);

	return status == PH_OK ? visit(reach, loc, budget) : status;
}

static enum ph_status step_trees(struct ph_reach *reach, uint32_t *budget)
{
	struct ph__tree_item item;
	enum ph_status status;

	reach->trees.skip_blobs = reach->blobs_left == 0;
	status = ph__trees_next(&reach->trees, &reach->env, &item, budget);
	if (status != PH_OK) {
		return status == PH_AGAIN || status == PH_END ? PH_OK : status;
	}
	ph__trees_done(&reach->trees, &item);
	return visit_id(reach, &item.oid, budget);
}

static enum ph_status step_parent(struct ph_reach *reach, uint32_t *budget)
{
	struct ph_oid oid;

	if (ph__parents_next(&reach->parents, &reach->env, &oid) == PH_END) {
		reach->spreading = false;
		return PH_OK;
	}
	return visit_id(reach, &oid, budget);
}

/* PH_END when everything reachable has been seen. */
static enum ph_status step(struct ph_reach *reach, uint32_t *budget)
{
	struct ph__commit commit;
	enum ph_status status;

	if (reach->spreading) {
		return step_parent(reach, budget);
	}
	if (reach->roots.count > 0) {
		ph_budget_spend(budget, 1);
		return visit(reach, reach->roots.items[--reach->roots.count], budget);
	}
	if (contents_left(reach) && ph__trees_busy(&reach->trees)) {
		return step_trees(reach, budget);
	}
	if (ph__queue_peek(&reach->queue) == NULL) {
		return PH_END;
	}
	ph_budget_spend(budget, 1);
	ph__queue_take(&reach->queue, &commit);
	status = ph__parents_start(&reach->parents, &reach->env, &commit, budget);
	reach->spreading = true;
	if (status == PH_OK && contents_left(reach)) {
		status = visit_id(reach, &commit.tree, budget);
	}
	return status;
}

/* The first target that was not met. */
static enum ph_status report_missing(struct ph_reach *reach, struct ph_oid *missing)
{
	const struct ph_source *source = reach->env.source;
	struct ph_entry entry;
	enum ph_status status;

	while ((*ph__states_at(&reach->states, reach->targets.items[reach->first]) & REACH_SEEN) !=
	       0) {
		reach->first++;
	}
	status = source->ops->entry(source, reach->targets.items[reach->first], &entry);
	if (status != PH_OK) {
		return status;
	}
	*missing = entry.oid;
	return PH_ERR_NOT_FOUND;
}

enum ph_status ph_reach_run(struct ph_reach *reach, uint32_t *budget, struct ph_oid *missing)
{
	while (reach->failed == PH_OK && reach->left > 0) {
		enum ph_status status;

		if (*budget == 0) {
			return PH_AGAIN;
		}
		status = step(reach, budget);
		if (status == PH_END) {
			return report_missing(reach, missing);
		}
		/* What is not there, or not what it should be, leads nowhere. */
		if (status != PH_ERR_NOT_FOUND && status != PH_ERR_INVALID) {
			reach->failed = status;
		}
	}
	return reach->failed;
}

bool ph_reach_found(const struct ph_reach *reach, struct ph_loc target)
{
	return (*ph__states_at(&reach->states, target) & REACH_SEEN) != 0;
}
