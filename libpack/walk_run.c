/* SPDX-License-Identifier: MIT */
/*
 * The work of a walk, in steps that can stop anywhere:
 *
 *   roots    wants and haves get their colour; tags are followed
 *   paint    commits spread their colour to their parents, latest first, until those in the queue
 * are all had. A clock that ran wrong may show a commit as wanted before it turns out to be had;
 * then it is painted over and spreads again. edges    contents of had commits next to wanted ones
 * are marked as had select   what is wanted and not had, with its contents
 *
 * Without haves nothing can turn out to be had, so each commit is selected when its turn comes and
 * no commit is read twice.
 */
#include "walk_run_int.h"

/* Had commits to look at after the last wanted one, in case a clock ran wrong. */
#define SLOP 16u

/*
 * Haves, and grafts among what is had, whose contents are marked although no selected commit is
 * their child. They make better deltas and fewer repeats; beyond some they only cost time.
 */
#define EDGE_ROOTS_MAX 256u

static bool is_open(uint8_t state)
{
	return (state & (WALK_WANTED | WALK_HAD)) == WALK_WANTED;
}

/* Changes a state and what is counted of all states. */
static void update(struct ph_walk *walk, uint8_t *state, unsigned next)
{
	bool was = is_open(*state);
	bool is = is_open((uint8_t)next);

	walk->open += (uint32_t)is - (uint32_t)was;
	walk->open_queued += (uint32_t)(is && (next & WALK_QUEUED) != 0) -
	                     (uint32_t)(was && (*state & WALK_QUEUED) != 0);
	*state = (uint8_t)next;
}

/* --- Failure --- */

static enum ph_status fail(struct ph_walk *walk, enum ph_status status, const char *what,
                           const struct ph_oid *oid)
{
	walk->error.what = what;
	if (oid != NULL) {
		_Static_assert(sizeof walk->error.detail > PH_OID_HEX_MAX, "an id fits");
		ph_oid_to_hex(walk->error.detail, walk->env.source->algo, oid);
	}
	return status;
}

/* In a check of connectivity it is the client's fault, otherwise the store's. */
enum ph_status ph__walk_fail_link(struct ph_walk *walk, const char *what, const struct ph_oid *oid)
{
	return fail(walk, walk->connectivity ? PH_ERR_MISSING : PH_ERR_CORRUPT, what, oid);
}

enum ph_status ph__walk_fail_at(struct ph_walk *walk, enum ph_status status, struct ph_loc loc)
{
	const struct ph_source *source = walk->env.source;
	struct ph_entry entry;
	bool known = source->ops->entry(source, loc, &entry) == PH_OK;

	if (status == PH_ERR_INVALID) {
		return ph__walk_fail_link(walk, "wrong type", known ? &entry.oid : NULL);
	}
	return fail(walk, status, ph_status_text(status), known ? &entry.oid : NULL);
}

/* Finds what a wanted object refers to. */
static enum ph_status find_wanted(struct ph_walk *walk, const struct ph_oid *oid,
                                  struct ph_loc *out, uint32_t *budget)
{
	enum ph_status status = ph__walk_find(&walk->env, oid, out, budget);

	if (status == PH_ERR_NOT_FOUND) {
		return ph__walk_fail_link(walk, "missing object", oid);
	}
	return status == PH_OK ? PH_OK : fail(walk, status, ph_status_text(status), oid);
}

/* --- Selecting --- */

void ph__walk_select(struct ph_walk *walk, uint8_t *state, uint8_t type)
{
	*state |= (uint8_t)(WALK_SELECTED | type);
	walk->count++;
}

static uint8_t type_bits(enum ph_object_type type)
{
	return type == PH_OBJ_TREE ? WALK_TREE : WALK_BLOB;
}

/* Something a selected commit or tree refers to: a tree or a blob. */
static enum ph_status select_item(struct ph_walk *walk, const struct ph__tree_item *item,
                                  uint32_t *budget)
{
	struct ph_loc loc;
	struct ph_entry entry;
	uint8_t *state;
	bool known;
	uint8_t type = type_bits(item->type);
	enum ph_status status = find_wanted(walk, &item->oid, &loc, budget);

	if (status != PH_OK) {
		return status;
	}
	state = ph__states_at(&walk->states, loc);
	if ((*state & WALK_TYPE) != 0 && (*state & WALK_TYPE) != type &&
	    (walk->connectivity || (*state & WALK_HAD) == 0)) {
		return ph__walk_fail_link(walk, "wrong type", &item->oid);
	}
	known = (*state & (WALK_HAD | WALK_SELECTED)) != 0 || ph__walk_known(walk, loc);
	/* A new tree is read anyway. What is known without a type is a tag. */
	if (walk->connectivity && (known ? (*state & WALK_TYPE) == 0 : item->type == PH_OBJ_BLOB)) {
		status = walk->env.source->ops->entry(walk->env.source, loc, &entry);
		if (status != PH_OK) {
			return fail(walk, status, ph_status_text(status), &item->oid);
		}
		if (entry.type != item->type) {
			return ph__walk_fail_link(walk, "wrong type", &item->oid);
		}
	}
	if (known) {
		return PH_OK;
	}
	if (item->type == PH_OBJ_TREE) {
		status = ph__trees_add(&walk->trees, &walk->env, loc);
		if (status != PH_OK) {
			return status;
		}
	}
	ph__walk_select(walk, state, type);
	return PH_OK;
}

static enum ph_status select_commit(struct ph_walk *walk, const struct ph__commit *commit,
                                    uint32_t *budget)
{
	struct ph__tree_item tree = {.type = PH_OBJ_TREE};
	enum ph_status status = ph__commit_tree(&walk->env, commit, &tree.oid);

	if (status != PH_OK) {
		return ph__walk_fail_at(walk, status, commit->loc);
	}
	if (walk->filtering != NULL) {
		return ph__walk_filter_commit(walk, commit->loc, &tree, budget);
	}
	ph__walk_select(walk, ph__states_at(&walk->states, commit->loc), WALK_COMMIT);
	return select_item(walk, &tree, budget);
}

/* --- Marking what is had --- */

static enum ph_status mark_item(struct ph_walk *walk, const struct ph__tree_item *item,
                                uint32_t *budget)
{
	struct ph_loc loc;
	uint8_t *state;
	uint8_t type = type_bits(item->type);
	enum ph_status status = ph__walk_find(&walk->env, &item->oid, &loc, budget);

	if (status != PH_OK) {
		return status;
	}
	state = ph__states_at(&walk->states, loc);
	if ((*state & WALK_TYPE) != 0 && (*state & WALK_TYPE) != type) {
		return PH_ERR_INVALID;
	}
	/* An edge's own tree may be marked as had without its contents being so yet. */
	if (((*state & WALK_HAD) != 0 && (*state & WALK_EDGE) == 0) || ph__walk_known(walk, loc)) {
		return PH_OK;
	}
	if (item->type == PH_OBJ_TREE) {
		status = ph__trees_add(&walk->trees, &walk->env, loc);
		if (status != PH_OK) {
			return status;
		}
	}
	update(walk, state, ((unsigned)*state & ~WALK_EDGE) | WALK_HAD | type);
	return PH_OK;
}

/* --- Contents of trees, of either kind --- */

static bool is_busy(const struct ph_walk *walk)
{
	return ph__trees_busy(&walk->trees) || ph__walk_filter_busy(walk);
}

static enum ph_status step_trees(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__tree_item item;
	bool marking = walk->phase == WALK_EDGES;
	enum ph_status status;

	if (ph__walk_filter_busy(walk)) {
		return ph__walk_filter_step(walk, budget);
	}
	status = ph__trees_next(&walk->trees, &walk->env, &item, budget);
	if (status == PH_AGAIN || status == PH_END) {
		return PH_OK;
	}
	if (status != PH_OK) {
		if (marking && ph__walk_is_link_error(status)) {
			return PH_OK;
		}
		return ph__walk_fail_at(walk, status, walk->trees.at);
	}
	status = marking ? mark_item(walk, &item, budget) : select_item(walk, &item, budget);
	if (status == PH_OK) {
		ph__trees_done(&walk->trees, &item);
	}
	return marking && ph__walk_is_link_error(status) ? PH_OK : status;
}

/* --- Roots --- */

enum ph_status ph__walk_root(struct ph_walk *walk, struct ph_loc loc, uint8_t colour)
{
	uint8_t *state = ph__states_at(&walk->states, loc);
	enum ph_status status;

	if ((*state & colour) != 0) {
		return PH_OK;
	}
	status = ph__locs_push(&walk->roots, walk->env.alloc, loc);
	if (status == PH_OK) {
		update(walk, state, (unsigned)*state | colour);
	}
	return status;
}

/* Gives a commit a colour and puts it where it will spread it. */
static enum ph_status paint(struct ph_walk *walk, struct ph_loc loc, uint8_t colour,
                            uint32_t *budget)
{
	uint8_t *state = ph__states_at(&walk->states, loc);
	unsigned next = (unsigned)*state | colour | WALK_COMMIT;
	bool known = (*state & WALK_TYPE) == WALK_COMMIT;
	struct ph__commit commit;
	enum ph_status status;

	if (known && (*state & colour) != 0) {
		return PH_OK;
	}
	/* In the queue it will do; and what a had commit reaches is had already. */
	if (known && ((*state & WALK_QUEUED) != 0 || colour == WALK_WANTED)) {
		update(walk, state, next);
		return PH_OK;
	}
	if (!known && (*state & WALK_TYPE) != 0) {
		return PH_ERR_INVALID;
	}
	status = ph__commit_read(&walk->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__queue_put(&walk->queue, walk->env.alloc, &commit);
	}
	if (status == PH_OK) {
		update(walk, state, next | WALK_QUEUED);
	}
	return status;
}

/* What a tag names gets the tag's colour. */
static enum ph_status follow_tag(struct ph_walk *walk, struct ph_loc loc, uint8_t colour,
                                 uint32_t *budget)
{
	const struct ph_source *source = walk->env.source;
	struct ph_oid oid;
	struct ph_loc target;
	struct ph_entry entry;
	enum ph_object_type type;
	enum ph_status status = ph__walk_tag(&walk->env, loc, &oid, &type, &target, budget);

	if (status == PH_ERR_NOT_FOUND) {
		return colour == WALK_HAD ? PH_OK
		                          : ph__walk_fail_link(walk, "missing object", &oid);
	}
	if (status == PH_OK) {
		status = source->ops->entry(source, target, &entry);
	}
	if (status != PH_OK) {
		return ph__walk_fail_at(walk, status, loc);
	}
	if (entry.type != type) {
		return colour == WALK_HAD ? PH_OK : ph__walk_fail_link(walk, "wrong type", &oid);
	}
	return ph__walk_root(walk, target, colour);
}

static enum ph_status follow_root(struct ph_walk *walk, struct ph_loc loc, enum ph_object_type type,
                                  uint8_t colour, uint32_t *budget)
{
	uint8_t *state = ph__states_at(&walk->states, loc);
	enum ph_status status = ph__walk_map_root(walk, loc, colour);

	if (status != PH_OK) {
		return status;
	}
	if (type == PH_OBJ_TAG) {
		return follow_tag(walk, loc, colour, budget);
	}
	if (colour == WALK_HAD && type != PH_OBJ_BLOB && !walk->connectivity) {
		*state |= WALK_EDGE;
	}
	if (type != PH_OBJ_COMMIT) {
		*state |= type_bits(type);
		return PH_OK;
	}
	if (colour == WALK_WANTED && ph__walk_filter_no_commits(walk)) {
		*state |= WALK_PASSED;
	}
	status = paint(walk, loc, colour, budget);
	return status == PH_OK ? PH_OK : ph__walk_fail_at(walk, status, loc);
}

static enum ph_status step_roots(struct ph_walk *walk, uint32_t *budget)
{
	const struct ph_source *source = walk->env.source;
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status;
	uint8_t state;

	if (walk->roots.count == 0) {
		walk->phase = ph__walk_map_instead(walk) ? WALK_MAPPED : WALK_PAINT;
		walk->slop = SLOP;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	loc = walk->roots.items[--walk->roots.count];
	status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK) {
		return fail(walk, status, ph_status_text(status), NULL);
	}
	/* One that is both wanted and had is in the list twice; both times both are followed. */
	state = *ph__states_at(&walk->states, loc);
	if ((state & WALK_HAD) != 0) {
		status = follow_root(walk, loc, entry.type, WALK_HAD, budget);
	}
	if (status == PH_OK && (state & WALK_WANTED) != 0) {
		status = follow_root(walk, loc, entry.type, WALK_WANTED, budget);
	}
	return status;
}

/* --- Painting --- */

/* Whether no commit that is still to come can change what is selected. */
static bool painted(struct ph_walk *walk, const struct ph__commit *next)
{
	if (next == NULL) {
		return true;
	}
	if (walk->open_queued > 0 ||
	    (walk->last_time != UINT64_MAX && next->time >= walk->last_time)) {
		walk->slop = SLOP;
		return false;
	}
	return walk->slop-- == 0;
}

static enum ph_status step_parent(struct ph_walk *walk, uint32_t *budget)
{
	struct ph_oid oid;
	struct ph_loc loc;
	uint8_t *state;
	bool had = walk->colour == WALK_HAD;
	enum ph_status status = ph__parents_next(&walk->parents, &walk->env, &loc, &oid, budget);

	if (status == PH_END) {
		walk->spreading = false;
		return PH_OK;
	}
	if (status == PH_ERR_NOT_FOUND) {
		return had ? PH_OK : ph__walk_fail_link(walk, "missing object", &oid);
	}
	if (status != PH_OK) {
		return ph__walk_fail_at(walk, status, walk->parents.commit.loc);
	}
	state = ph__states_at(&walk->states, loc);
	if (had && (*state & WALK_GRAFT) == 0) {
		*state &= (uint8_t)~WALK_EDGE; /* an ancestor of what is had is not the edge */
	}
	status = paint(walk, loc, walk->colour, budget);
	if (status != PH_OK && !(had && ph__walk_is_link_error(status))) {
		return ph__walk_fail_at(walk, status, loc);
	}
	return PH_OK;
}

static enum ph_status step_paint(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__commit commit;
	uint8_t *state;
	enum ph_status status = PH_OK;

	if (walk->spreading) {
		return step_parent(walk, budget);
	}
	if (painted(walk, ph__queue_peek(&walk->queue))) {
		ph__queue_release(&walk->queue, walk->env.alloc);
		walk->phase = walk->open > 0 && walk->haves ? WALK_EDGES : WALK_SELECT;
		return PH_OK;
	}
	if (ph__walk_map_instead(walk)) {
		walk->phase = WALK_MAPPED;
		return PH_OK;
	}
	ph__queue_take(&walk->queue, &commit);
	ph_budget_spend(budget, 1);
	state = ph__states_at(&walk->states, commit.loc);
	update(walk, state, (unsigned)*state & ~WALK_QUEUED);
	walk->colour = (*state & WALK_HAD) != 0 ? WALK_HAD : WALK_WANTED;
	if (walk->colour == WALK_WANTED) {
		walk->last_time = commit.time;
		if (!walk->haves) {
			status = select_commit(walk, &commit, budget);
		}
	}
	if (status == PH_OK && (*state & WALK_GRAFT) == 0) {
		status = ph__parents_start(&walk->parents, &walk->env, &commit, budget);
		walk->spreading = true;
	}
	return status;
}

/* --- Edges and selection: both go over all states --- */

/*
 * A had commit that a wanted one reaches is a parent of a selected one, or was one before it was
 * painted over. Haves that no other have reaches stand for what the client last saw, and a graft's
 * contents are the client's although its history is not.
 */
static bool is_edge(struct ph_walk *walk, uint8_t state)
{
	if ((state & WALK_HAD) == 0) {
		return false;
	}
	if ((state & WALK_TYPE) == WALK_COMMIT && (state & WALK_WANTED) != 0) {
		return true;
	}
	if ((state & WALK_EDGE) != 0 ||
	    ((state & WALK_TYPE) == WALK_COMMIT && (state & WALK_GRAFT) != 0)) {
		return walk->edges++ < EDGE_ROOTS_MAX;
	}
	return false;
}

static enum ph_status mark_edge(struct ph_walk *walk, struct ph_loc loc, uint32_t *budget)
{
	uint8_t *state = ph__states_at(&walk->states, loc);
	struct ph__commit commit;
	struct ph__tree_item tree = {.type = PH_OBJ_TREE};
	enum ph_status status;

	if ((*state & WALK_TYPE) == WALK_TREE) {
		*state &= (uint8_t)~WALK_EDGE;
		return ph__trees_add(&walk->trees, &walk->env, loc);
	}
	if (ph__walk_known(walk, loc)) {
		return PH_OK;
	}
	status = ph__commit_read(&walk->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__commit_tree(&walk->env, &commit, &tree.oid);
	}
	if (status != PH_OK) {
		return ph__walk_fail_at(walk, status, loc);
	}
	status = mark_item(walk, &tree, budget);
	if (status != PH_OK) {
		return ph__walk_is_link_error(status) ? PH_OK : status;
	}
	return ph__walk_chain_start(walk, loc);
}

static enum ph_status step_edges(struct ph_walk *walk, uint32_t *budget)
{
	struct ph_loc loc;
	enum ph_status status;

	if (walk->maps.chain_left > 0) {
		return ph__walk_chain_step(walk, budget);
	}
	if (ph__trees_busy(&walk->trees)) {
		return step_trees(walk, budget);
	}
	ph_budget_spend(budget, 1);
	status = ph__states_scan(&walk->states, WALK_HAD, &walk->scan);
	if (status == PH_END) {
		walk->phase = WALK_SELECT;
		walk->scan = (struct ph_loc){0, 0};
		return PH_OK;
	}
	if (status != PH_OK) {
		return PH_OK;
	}
	loc = walk->scan;
	walk->scan.pos++;
	if (!is_edge(walk, *ph__states_at(&walk->states, loc))) {
		return PH_OK;
	}
	return mark_edge(walk, loc, budget);
}

static enum ph_status select_root(struct ph_walk *walk, struct ph_loc loc, uint32_t *budget)
{
	uint8_t *state = ph__states_at(&walk->states, loc);
	struct ph__commit commit;
	enum ph_status status;

	if (!is_open(*state)) {
		return PH_OK;
	}
	/* Its contents stand nearer to what was asked for than in any commit. */
	if (walk->filtering != NULL && (*state & WALK_TYPE) == WALK_TREE) {
		status = ph__walk_filter_tree(walk, loc);
		if (status != PH_OK) {
			return status;
		}
	}
	if ((*state & WALK_SELECTED) != 0) {
		return PH_OK;
	}
	/* A clock ran wrong; or it was named. A filtered client may lack what it reaches. */
	if (ph__walk_known(walk, loc) &&
	    ((*state & WALK_TYPE) == WALK_COMMIT || walk->filter.kind == PH_FILTER_NONE)) {
		return PH_OK;
	}
	if ((*state & WALK_TYPE) == WALK_COMMIT) {
		if (!walk->haves) {
			return PH_OK; /* the filter kept it back when its turn came */
		}
		status = ph__commit_read(&walk->env, loc, &commit, budget);
		return status == PH_OK ? select_commit(walk, &commit, budget)
		                       : ph__walk_fail_at(walk, status, loc);
	}
	if ((*state & WALK_TYPE) == WALK_TREE && walk->filtering == NULL) {
		status = ph__trees_add(&walk->trees, &walk->env, loc);
		if (status != PH_OK) {
			return status;
		}
	}
	ph__walk_select(walk, state, 0);
	return PH_OK;
}

static enum ph_status step_select(struct ph_walk *walk, uint32_t *budget)
{
	struct ph_loc loc;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	status = ph__states_scan(&walk->states, WALK_WANTED, &walk->scan);
	if (status == PH_END) {
		walk->phase = WALK_RESULT;
		return PH_OK;
	}
	if (status != PH_OK) {
		return PH_OK;
	}
	loc = walk->scan;
	walk->scan.pos++;
	return select_root(walk, loc, budget);
}

enum ph_status ph__walk_step(struct ph_walk *walk, uint32_t *budget)
{
	assert(walk->phase < WALK_DONE);
	switch (walk->phase) {
	case WALK_ROOTS:
		return step_roots(walk, budget);
	case WALK_PAINT:
		/* Contents first: the list of trees stays short. */
		return is_busy(walk) ? step_trees(walk, budget) : step_paint(walk, budget);
	case WALK_EDGES:
		return step_edges(walk, budget);
	case WALK_SELECT:
		return is_busy(walk) ? step_trees(walk, budget) : step_select(walk, budget);
	case WALK_MAPPED:
		return ph__walk_map_step(walk, budget);
	case WALK_RESULT:
		return ph__walk_result_step(walk, budget);
	case WALK_DONE:
	case WALK_FAILED:
		break;
	}
	return PH_ERR_INVALID; /* ruled out above */
}
