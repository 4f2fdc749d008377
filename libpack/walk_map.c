/* SPDX-License-Identifier: MIT */
/*
 * A walk by maps. What is had comes first, then what is wanted, each as a set of bits: commits are
 * taken latest first; one with a bitmap adds all it reaches at once, one without is noted and its
 * parents follow; then the trees of those noted, no further than what is in a set already. A bit
 * stands for all that is behind it, so the answer is the difference of the two sets.
 *
 * What is had may be newer than all maps. Then it may be far to the first bitmap, and a walk of a
 * few commits is done sooner by painting them. There, one bitmap tells of most contents at the edge
 * that they are had.
 */
#include "walk_run_int.h"

/* Commits painted before bitmaps are taken instead: the contents of so many cost more than a walk
 * to the maps is likely to. */
#define PAINT_MAX 1024u
/* Chains of first parents from the edge in search of a bitmap, and their length. */
#define CHAINS_MAX 16u
#define CHAIN_MAX 256u

enum ph_status ph__walk_map_root(struct ph_walk *walk, struct ph_loc loc, uint8_t colour)
{
	if (!walk->maps.fit || walk->connectivity) {
		return PH_OK;
	}
	walk->maps.beyond = walk->maps.beyond ||
	                    (colour == WALK_HAD && ph__walk_map(&walk->env, loc.pack) == NULL);
	return ph__locs_push(colour == WALK_HAD ? &walk->maps.had : &walk->maps.wanted,
	                     walk->env.alloc, loc);
}

void ph__walk_maps_release(struct ph_walk *walk)
{
	struct ph__walk_maps *maps = &walk->maps;

	ph__locs_release(&maps->had, walk->env.alloc);
	ph__locs_release(&maps->wanted, walk->env.alloc);
	ph__locs_release(&maps->noted, walk->env.alloc);
	ph__marks_release(&maps->has, walk->env.alloc);
	ph__marks_release(&maps->wants, walk->env.alloc);
}

bool ph__walk_map_instead(struct ph_walk *walk)
{
	if (!walk->maps.fit || walk->connectivity ||
	    (walk->maps.beyond && walk->maps.painted++ < PAINT_MAX)) {
		return false;
	}
	/* What was painted counts no more. */
	ph__queue_release(&walk->queue, walk->env.alloc);
	memset(walk->states.bytes, 0, walk->states.base[walk->states.packs]);
	walk->maps.step = WALK_MAP_TIPS;
	return true;
}

/* --- Both sets --- */

/* In the set at work, or not of interest for it. */
static bool is_known(const struct ph_walk *walk, struct ph_loc loc)
{
	const struct ph__walk_maps *maps = &walk->maps;

	return ph__marks_has(&maps->has, loc) ||
	       (maps->wanting && ph__marks_has(&maps->wants, loc));
}

static struct ph__marks *bits_of(struct ph_walk *walk)
{
	return walk->maps.wanting ? &walk->maps.wants : &walk->maps.has;
}

/* What is wrong with what is had does not matter. */
static enum ph_status pass(struct ph_walk *walk, enum ph_status status, struct ph_loc loc)
{
	if (status == PH_OK || (!walk->maps.wanting && ph__walk_is_link_error(status))) {
		return PH_OK;
	}
	return ph__walk_fail_at(walk, status, loc);
}

static enum ph_status pass_link(struct ph_walk *walk, enum ph_status status,
                                const struct ph_oid *oid, struct ph_loc from)
{
	if (status == PH_ERR_NOT_FOUND && walk->maps.wanting) {
		return ph__walk_fail_link(walk, "missing object", oid);
	}
	return pass(walk, status, from);
}

/* A commit that may have to be followed. */
static enum ph_status meet(struct ph_walk *walk, struct ph_loc loc, uint32_t *budget)
{
	uint8_t *state = ph__states_at(&walk->states, loc);
	struct ph__commit commit;
	enum ph_status status;

	if ((*state & WALK_QUEUED) != 0 || is_known(walk, loc)) {
		return PH_OK;
	}
	status = ph__commit_read(&walk->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__queue_put(&walk->queue, walk->env.alloc, &commit);
	}
	if (status == PH_OK) {
		*state |= WALK_QUEUED;
	}
	return pass(walk, status, loc);
}

/* --- Roots --- */

static enum ph_status init_bits(struct ph_walk *walk)
{
	struct ph__walk_maps *maps = &walk->maps;
	enum ph_status status = PH_OK;

	if (maps->has.words == NULL) {
		status = ph__marks_init(&maps->has, walk->env.source, walk->env.alloc);
	}
	if (status == PH_OK && maps->wants.words == NULL) {
		status = ph__marks_init(&maps->wants, walk->env.source, walk->env.alloc);
	}
	return status;
}

static enum ph_status step_tips(struct ph_walk *walk, uint32_t *budget)
{
	const struct ph_source *source = walk->env.source;
	struct ph__locs *roots = walk->maps.wanting ? &walk->maps.wanted : &walk->maps.had;
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status = init_bits(walk);

	ph_budget_spend(budget, 1);
	if (status != PH_OK) {
		return status;
	}
	if (walk->maps.at == roots->count) {
		walk->maps.at = 0;
		walk->maps.step = WALK_MAP_COMMITS;
		return PH_OK;
	}
	loc = roots->items[walk->maps.at++];
	if (is_known(walk, loc)) {
		return PH_OK;
	}
	status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK) {
		return ph__walk_fail_at(walk, status, loc);
	}
	if (entry.type == PH_OBJ_COMMIT) {
		return meet(walk, loc, budget);
	}
	ph__marks_add(bits_of(walk), loc);
	return entry.type == PH_OBJ_TREE ? ph__trees_add(&walk->trees, &walk->env, loc) : PH_OK;
}

/* --- Commits --- */

static enum ph_status step_parent(struct ph_walk *walk, uint32_t *budget)
{
	struct ph_loc from = walk->parents.commit.loc;
	struct ph_loc loc;
	struct ph_oid oid;
	enum ph_status status = ph__parents_next(&walk->parents, &walk->env, &loc, &oid, budget);

	if (status == PH_END) {
		walk->spreading = false;
		return PH_OK;
	}
	return status == PH_OK ? meet(walk, loc, budget) : pass_link(walk, status, &oid, from);
}

/* Notes the tree of a commit, and has its parents followed. */
static enum ph_status note(struct ph_walk *walk, const struct ph__commit *commit, uint32_t *budget)
{
	struct ph_oid oid;
	struct ph_loc tree;
	enum ph_status status = ph__parents_start(&walk->parents, &walk->env, commit, budget);

	ph__marks_add(bits_of(walk), commit->loc);
	if (status == PH_OK) {
		walk->spreading = true;
		status = ph__commit_tree(&walk->env, commit, &oid);
	}
	if (status != PH_OK) {
		return pass(walk, status, commit->loc);
	}
	status = ph__walk_find(&walk->env, &oid, &tree, budget);
	if (status != PH_OK) {
		return pass_link(walk, status, &oid, commit->loc);
	}
	return is_known(walk, tree) ? PH_OK
	                            : ph__locs_push(&walk->maps.noted, walk->env.alloc, tree);
}

static enum ph_status step_commits(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__commit commit;

	if (walk->spreading) {
		return step_parent(walk, budget);
	}
	ph_budget_spend(budget, 1);
	if (ph__queue_peek(&walk->queue) == NULL || walk->maps.noted.count >= PH__WALK_NOTED_MAX) {
		walk->maps.step = WALK_MAP_TREES;
		return PH_OK;
	}
	ph__queue_take(&walk->queue, &commit);
	*ph__states_at(&walk->states, commit.loc) &= (uint8_t)~WALK_QUEUED;
	if (is_known(walk, commit.loc)) {
		return PH_OK;
	}
	if (!ph__commit_reaches(&walk->env, &commit)) {
		return note(walk, &commit, budget);
	}
	walk->maps.copies = walk->maps.copies || commit.loc.pack > 0;
	return ph__commit_reach(&walk->env, &commit, bits_of(walk), budget);
}

/* --- Contents --- */

static enum ph_status step_item(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__tree_item item;
	struct ph_loc loc;
	enum ph_status status = ph__trees_next(&walk->trees, &walk->env, &item, budget);

	if (status == PH_AGAIN || status == PH_END) {
		return PH_OK;
	}
	if (status != PH_OK) {
		return pass(walk, status, walk->trees.at);
	}
	status = ph__walk_find(&walk->env, &item.oid, &loc, budget);
	if (status != PH_OK) {
		return pass_link(walk, status, &item.oid, walk->trees.at);
	}
	if (!is_known(walk, loc)) {
		if (item.type == PH_OBJ_TREE) {
			status = ph__trees_add(&walk->trees, &walk->env, loc);
		}
		if (status != PH_OK) {
			return status;
		}
		ph__marks_add(bits_of(walk), loc);
	}
	ph__trees_done(&walk->trees, &item);
	return PH_OK;
}

static enum ph_status step_trees(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_maps *maps = &walk->maps;
	struct ph_loc tree;
	enum ph_status status;

	if (ph__trees_busy(&walk->trees)) {
		return step_item(walk, budget);
	}
	ph_budget_spend(budget, 1);
	if (maps->noted.count > 0) {
		tree = maps->noted.items[--maps->noted.count];
		if (is_known(walk, tree)) {
			return PH_OK;
		}
		status = ph__trees_add(&walk->trees, &walk->env, tree);
		if (status == PH_OK) {
			ph__marks_add(bits_of(walk), tree);
		}
		return status;
	}
	if (ph__queue_peek(&walk->queue) != NULL) {
		maps->step = WALK_MAP_COMMITS;
		return PH_OK;
	}
	maps->step = maps->wanting ? WALK_MAP_COPIES : WALK_MAP_TIPS;
	maps->wanting = true;
	return PH_OK;
}

/* --- Copies --- */

/* A bit of a copy becomes one of the object's own location. */
static void move_bit(struct ph__marks *bits, struct ph_loc copy, struct ph_loc own)
{
	if (ph__marks_has(bits, copy)) {
		*ph__marks_word(bits, copy) &= ~((uint64_t)1 << (copy.pos % 64));
		ph__marks_add(bits, own);
	}
}

/* An entry of an earlier pack: whether the map's pack has it as well. */
static enum ph_status move_copy(struct ph_walk *walk, uint32_t pack)
{
	const struct ph_source *source = walk->env.source;
	struct ph__walk_maps *maps = &walk->maps;
	struct ph_loc copy = {.pack = pack};
	struct ph_loc own;
	struct ph_entry entry;
	enum ph_status status = source->ops->entry(source, maps->result, &entry);

	if (status == PH_OK) {
		status = source->ops->find_in(source, pack, &entry.oid, &copy.pos);
	}
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_OK : status;
	}
	if (!ph__marks_has(&maps->has, copy) && !ph__marks_has(&maps->wants, copy)) {
		return PH_OK;
	}
	status = source->ops->find(source, &entry.oid, &own);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	}
	move_bit(&maps->has, copy, own);
	move_bit(&maps->wants, copy, own);
	return PH_OK;
}

static enum ph_status step_copies(struct ph_walk *walk, uint32_t *budget)
{
	const struct ph_source *source = walk->env.source;
	struct ph__walk_maps *maps = &walk->maps;
	uint32_t pack;
	uint32_t entries;
	uint64_t bytes;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (!maps->copies || maps->map == walk->env.maps->count) {
		maps->result = (struct ph_loc){0, 0};
		walk->phase = WALK_RESULT;
		return PH_OK;
	}
	pack = ph_map_pack(walk->env.maps->maps[maps->map]);
	if (maps->result.pack >= pack) {
		maps->map++;
		maps->result = (struct ph_loc){0, 0};
		return PH_OK;
	}
	source->ops->pack_size(source, maps->result.pack, &entries, &bytes);
	if (maps->result.pos >= entries) {
		maps->result.pack++;
		maps->result.pos = 0;
		return PH_OK;
	}
	status = move_copy(walk, pack);
	maps->result.pos++;
	return status;
}

enum ph_status ph__walk_map_step(struct ph_walk *walk, uint32_t *budget)
{
	switch (walk->maps.step) {
	case WALK_MAP_TIPS:
		return step_tips(walk, budget);
	case WALK_MAP_COMMITS:
		return step_commits(walk, budget);
	case WALK_MAP_TREES:
		return step_trees(walk, budget);
	case WALK_MAP_COPIES:
		break;
	}
	return step_copies(walk, budget);
}

/* --- The edge of a small walk --- */

enum ph_status ph__walk_chain_start(struct ph_walk *walk, struct ph_loc commit)
{
	struct ph__walk_maps *maps = &walk->maps;

	if (!maps->fit || maps->chains == CHAINS_MAX) {
		return PH_OK;
	}
	maps->chains++;
	maps->chain = commit;
	maps->chain_left = CHAIN_MAX;
	return maps->has.words != NULL
	               ? PH_OK
	               : ph__marks_init(&maps->has, walk->env.source, walk->env.alloc);
}

/* To the first parent, unless that is known; PH_END when this is the last. */
static enum ph_status chain_on(struct ph_walk *walk, const struct ph__commit *commit,
                               uint32_t *budget)
{
	struct ph__parents parents = {.at = 0};
	struct ph_oid oid;
	enum ph_status status = ph__parents_start(&parents, &walk->env, commit, budget);

	if (status == PH_OK) {
		status = ph__parents_next(&parents, &walk->env, &walk->maps.chain, &oid, budget);
	}
	ph__parents_stop(&parents, &walk->env);
	return status;
}

enum ph_status ph__walk_chain_step(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_maps *maps = &walk->maps;
	struct ph_loc at = maps->chain;
	struct ph__commit commit;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (ph__walk_known(walk, at)) {
		maps->chain_left = 0;
		return PH_OK;
	}
	status = ph__commit_read(&walk->env, at, &commit, budget);
	/* In a later pack, looking for copies would take longer than this saves. */
	if (status == PH_OK && at.pack == 0 && ph__commit_reaches(&walk->env, &commit)) {
		maps->chain_left = 0;
		return ph__commit_reach(&walk->env, &commit, &maps->has, budget);
	}
	if (status == PH_OK) {
		status = chain_on(walk, &commit, budget);
	}
	maps->chain_left--;
	if (status == PH_END || ph__walk_is_link_error(status)) {
		maps->chain_left = 0;
		return PH_OK;
	}
	return status == PH_OK ? PH_OK : ph__walk_fail_at(walk, status, at);
}
