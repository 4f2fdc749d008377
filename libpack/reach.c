/* SPDX-License-Identifier: MIT */
/*
 * Whether objects are reachable from tips: what a client may ask for by id. Commits are walked
 * latest first, and the contents of each at once while a tree or blob is sought, since what is
 * asked for is most often recent. An object that is not there ends its branch; it cannot lead to a
 * target.
 *
 * With maps, a commit that has a bitmap is not walked beyond: what it reaches is compared with the
 * targets at once. There contents come last, when bitmaps have told of most of them.
 */
#include "walk_int.h"

#define REACH_SEEN 0x01u
#define REACH_TARGET 0x02u

struct ph_reach {
	enum ph_status failed;
	struct ph__walk_env env;
	struct ph__states states;
	struct ph__locs roots; /* tips to follow */
	struct ph__locs
	        tags; /* tags to follow, when no commit is left: mostly they name old ones */
	struct ph__locs targets; /* in the order they were given */
	struct ph__queue queue;
	struct ph__parents parents;
	bool spreading;
	struct ph__trees trees;
	/* Targets not met yet. */
	uint32_t left, trees_left, blobs_left;
	size_t first; /* no target before this one is left */
	/* Without maps these three are empty. */
	struct ph__marks seen;   /* reached, by bitmaps */
	struct ph__marks sought; /* targets not met yet, where maps have them */
	struct ph__locs noted;   /* trees of commits, to visit last */
};

enum ph_status ph_reach_new(struct ph_reach **out, const struct ph_source *source,
                            const struct ph_alloc *alloc, const struct ph_limits *limits,
                            const struct ph_maps *maps)
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
	if (status == PH_OK && maps != NULL && maps->count > 0) {
		ph__walk_env_maps(&reach->env, maps);
		status = ph__marks_init(&reach->seen, source, alloc);
		if (status == PH_OK) {
			status = ph__marks_init(&reach->sought, source, alloc);
		}
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
	ph__locs_release(&reach->tags, alloc);
	ph__locs_release(&reach->targets, alloc);
	ph__locs_release(&reach->noted, alloc);
	ph__marks_release(&reach->seen, alloc);
	ph__marks_release(&reach->sought, alloc);
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

/*
 * Notes a target where maps tell of it: its location, and copies in later packs. *met is set when
 * one of them has told already.
 */
static enum ph_status seek(struct ph_reach *reach, const struct ph_oid *oid, struct ph_loc loc,
                           bool *met)
{
	const struct ph_source *source = reach->env.source;
	const struct ph_maps *maps = reach->env.maps;
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; maps != NULL && i < maps->count && status == PH_OK; i++) {
		struct ph_loc copy = {ph_map_pack(maps->maps[i]), loc.pos};

		status = PH_ERR_NOT_FOUND;
		if (copy.pack == loc.pack) {
			status = PH_OK;
		} else if (copy.pack > loc.pack && source->ops->find_in != NULL) {
			status = source->ops->find_in(source, copy.pack, oid, &copy.pos);
		}
		if (status == PH_OK) {
			ph__marks_add(&reach->sought, copy);
			*met = *met || ph__marks_has(&reach->seen, copy);
		}
		status = status == PH_ERR_NOT_FOUND ? PH_OK : status;
	}
	return status;
}

enum ph_status ph_reach_target(struct ph_reach *reach, const struct ph_oid *oid)
{
	const struct ph_source *source = reach->env.source;
	struct ph_loc loc;
	struct ph_entry entry;
	bool met = false;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK) {
		status = source->ops->entry(source, loc, &entry);
	}
	if (status != PH_OK ||
	    (*ph__states_at(&reach->states, loc) & (REACH_TARGET | REACH_SEEN)) != 0) {
		return status;
	}
	status = seek(reach, oid, loc, &met);
	if (status == PH_OK && met) {
		*ph__states_at(&reach->states, loc) |= REACH_SEEN;
		return PH_OK;
	}
	if (status == PH_OK) {
		status = ph__locs_push(&reach->targets, reach->env.alloc, loc);
	}
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
	struct ph_entry entry;
	struct ph__commit commit;
	enum ph_status status;

	if ((*ph__states_at(&reach->states, loc) & REACH_SEEN) != 0 ||
	    (reach->env.maps != NULL && ph__marks_has(&reach->seen, loc))) {
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
		return ph__locs_push(&reach->tags, reach->env.alloc, loc);
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
	struct ph_loc loc;
	enum ph_status status = ph__parents_next(&reach->parents, &reach->env, &loc, &oid, budget);

	if (status == PH_END) {
		reach->spreading = false;
		return PH_OK;
	}
	return status == PH_OK ? visit(reach, loc, budget) : status;
}

/* A target that a bitmap tells of. */
static enum ph_status meet(struct ph_reach *reach, struct ph_loc copy)
{
	const struct ph_source *source = reach->env.source;
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status = source->ops->entry(source, copy, &entry);

	if (status == PH_OK) {
		status = source->ops->find(source, &entry.oid, &loc);
	}
	if (status == PH_OK) {
		see(reach, loc, entry.type);
	}
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

/* All that a commit reaches, by its bitmap. */
static enum ph_status reach_mapped(struct ph_reach *reach, const struct ph__commit *commit,
                                   uint32_t *budget)
{
	struct ph_loc loc = {.pack = commit->loc.pack};
	size_t base = reach->seen.first[loc.pack];
	size_t count = reach->seen.first[loc.pack + 1] - base;
	enum ph_status status = ph__commit_reach(&reach->env, commit, &reach->seen, budget);

	for (size_t i = 0; i < count && status == PH_OK; i++) {
		uint64_t met = reach->seen.words[base + i] & reach->sought.words[base + i];

		reach->sought.words[base + i] &= ~met;
		loc.pos = (uint32_t)(64 * i);
		for (; met != 0 && status == PH_OK; met >>= 1) {
			status = (met & 1) != 0 ? meet(reach, loc) : PH_OK;
			loc.pos++;
		}
	}
	return status;
}

/* Where its contents begin: at once, or with maps later. */
static enum ph_status visit_tree(struct ph_reach *reach, const struct ph__commit *commit,
                                 uint32_t *budget)
{
	struct ph_oid oid;
	struct ph_loc loc;
	enum ph_status status = ph__commit_tree(&reach->env, commit, &oid);

	if (status == PH_OK) {
		status = ph__walk_find(&reach->env, &oid, &loc, budget);
	}
	if (status != PH_OK) {
		return status;
	}
	return reach->env.maps == NULL ? visit(reach, loc, budget)
	                               : ph__locs_push(&reach->noted, reach->env.alloc, loc);
}

static enum ph_status step_commit(struct ph_reach *reach, uint32_t *budget)
{
	struct ph__commit commit;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	ph__queue_take(&reach->queue, &commit);
	if (reach->env.maps != NULL && ph__marks_has(&reach->seen, commit.loc)) {
		return PH_OK;
	}
	if (ph__commit_reaches(&reach->env, &commit)) {
		return reach_mapped(reach, &commit, budget);
	}
	status = ph__parents_start(&reach->parents, &reach->env, &commit, budget);
	reach->spreading = true;
	return status == PH_OK && contents_left(reach) ? visit_tree(reach, &commit, budget)
	                                               : status;
}

static enum ph_status step_tag(struct ph_reach *reach, uint32_t *budget)
{
	struct ph_loc tag = reach->tags.items[--reach->tags.count];
	struct ph_loc target;
	struct ph_oid oid;
	enum ph_object_type type;
	enum ph_status status = ph__walk_tag(&reach->env, tag, &oid, &type, &target, budget);

	return status == PH_OK ? ph__locs_push(&reach->roots, reach->env.alloc, target) : status;
}

/* PH_END when everything reachable has been seen. */
static enum ph_status step(struct ph_reach *reach, uint32_t *budget)
{
	bool commits = ph__queue_peek(&reach->queue) != NULL;
	bool later = reach->env.maps != NULL && (commits || reach->tags.count > 0) &&
	             reach->noted.count < PH__WALK_NOTED_MAX;
	bool contents = contents_left(reach) && !later;

	if (reach->spreading) {
		return step_parent(reach, budget);
	}
	if (reach->roots.count > 0) {
		ph_budget_spend(budget, 1);
		return visit(reach, reach->roots.items[--reach->roots.count], budget);
	}
	if (contents && ph__trees_busy(&reach->trees)) {
		return step_trees(reach, budget);
	}
	if (contents && reach->noted.count > 0) {
		ph_budget_spend(budget, 1);
		return visit(reach, reach->noted.items[--reach->noted.count], budget);
	}
	if (commits) {
		return step_commit(reach, budget);
	}
	return reach->tags.count > 0 ? step_tag(reach, budget) : PH_END;
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
