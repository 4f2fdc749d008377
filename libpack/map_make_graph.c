/* SPDX-License-Identifier: MIT */
/*
 * The commit graph of a map: commits are read once, in the order they are stored in, and their
 * parents become numbers. Their order is that of a search in depth, so that along a branch each
 * comes straight after its parent and bitmaps differ little from the one before.
 */
#include "map_make_int.h"

#include <assert.h>

/*
 * From any commit, so many generations back every path has met a bitmap. Older ones are asked for
 * less, and a large history must not have more bitmaps than it is worth: beyond some age the
 * distance grows with it.
 */
#define SPACING 64u
#define SPACING_SHARE 256u

/*
 * A commit gets a bitmap too when several others would hold it otherwise and the next one is over a
 * half of that distance away: what is in between is read once then, and not for each of them.
 */
#define FORK_SHARE 2u

/* Commits looked at in one step that reads nothing. */
#define COMMITS_STEP 64u

/* While it waits in the order. */
#define WAITING UINT32_MAX
/* Instead of a distance. */
#define CHOSEN UINT32_MAX

/* Instead of the commit whose bitmap will hold another. */
#define NOBODY UINT32_MAX
#define SHARED (UINT32_MAX - 1)

/* The number of the commit at a position. */
static uint32_t number_of(const struct ph__map_graph *graph, uint32_t pos)
{
	uint32_t low = 0;
	uint32_t high = graph->count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->pos.items[middle] <= pos) {
			low = middle;
		} else {
			high = middle;
		}
	}
	assert(graph->pos.items[low] == pos);
	return low;
}

uint32_t ph__map_parents(const struct ph__map_graph *graph, uint32_t commit)
{
	const uint32_t *parent = graph->parents[commit];

	if (parent[0] == MAP_NONE || parent[1] == MAP_NONE) {
		return parent[0] != MAP_NONE;
	}
	return (parent[1] & MAP_MORE) == 0 ? 2 : graph->more.items[parent[1] & ~MAP_MORE];
}

uint32_t ph__map_parent_of(const struct ph__map_graph *graph, uint32_t commit, uint32_t number)
{
	const uint32_t *parent = graph->parents[commit];

	if (number == 0 || (parent[1] & MAP_MORE) == 0) {
		return parent[number];
	}
	return graph->more.items[(parent[1] & ~MAP_MORE) + number];
}

/* --- Reading --- */

static enum ph_status open_commit(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_reading *reading = &maker->reading;
	uint32_t pos = maker->graph.pos.items[maker->at];
	enum ph_status status = ph__map_read(maker, pos, PH_OBJ_COMMIT, &reading->object, budget);

	if (status != PH_OK) {
		return status;
	}
	reading->open = true;
	reading->parent = 0;
	reading->first = MAP_NONE;
	reading->second = MAP_NONE;
	if (ph_commit_parse(&reading->text, maker->source->algo, reading->object.data,
	                    (size_t)reading->object.size) != PH_OK) {
		return PH_ERR_CORRUPT;
	}
	return ph__map_find(maker, &reading->text.tree, PH_OBJ_TREE, &reading->tree, budget);
}

/* Keeps a further parent of a commit of more than two. */
static enum ph_status push_more(struct ph_map_maker *maker, uint32_t parent)
{
	struct ph__map_reading *reading = &maker->reading;
	struct ph__map_list *more = &maker->graph.more;
	enum ph_status status = PH_OK;

	if (reading->second == MAP_NONE) {
		if (more->count >= MAP_ENTRIES_MAX - reading->text.parents) {
			return PH_ERR_LIMIT;
		}
		reading->second = MAP_MORE | (uint32_t)more->count;
		status = ph__map_list_push(more, maker->alloc, reading->text.parents);
	}
	return status == PH_OK ? ph__map_list_push(more, maker->alloc, parent) : status;
}

static enum ph_status read_parent(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_reading *reading = &maker->reading;
	struct ph_oid oid;
	uint32_t pos;
	enum ph_status status;

	ph_commit_parent(&reading->text, reading->parent, &oid);
	status = ph__map_find(maker, &oid, PH_OBJ_COMMIT, &pos, budget);
	if (status != PH_OK) {
		return status;
	}
	if (reading->parent++ == 0) {
		reading->first = number_of(&maker->graph, pos);
	} else if (reading->text.parents > 2) {
		status = push_more(maker, number_of(&maker->graph, pos));
	} else {
		reading->second = number_of(&maker->graph, pos);
	}
	return status;
}

/* The position of the commit with this number, for the table. */
static uint32_t pos_of(const struct ph__map_graph *graph, uint32_t number)
{
	return number == MAP_NONE || (number & MAP_MORE) != 0 ? number : graph->pos.items[number];
}

static enum ph_status close_commit(struct ph_map_maker *maker)
{
	struct ph__map_reading *reading = &maker->reading;
	struct ph__map_graph *graph = &maker->graph;
	uint8_t raw[MAP_COMMIT_BYTES];

	index_put32(raw, reading->tree);
	index_put64(raw + 4, reading->text.time);
	index_put32(raw + 12, pos_of(graph, reading->first));
	index_put32(raw + 16, pos_of(graph, reading->second));
	graph->parents[maker->at][0] = reading->first;
	graph->parents[maker->at][1] = reading->second;
	ph_object_release(maker->reader, &reading->object);
	reading->open = false;
	maker->at++;
	return ph__map_put(&maker->out, raw, sizeof raw);
}

enum ph_status ph__map_step_commits(struct ph_map_maker *maker, uint32_t *budget)
{
	if (maker->at == maker->graph.count) {
		maker->at = 0;
		maker->reading.parent = 0;
		maker->phase = MAP_MORE_TABLE;
		return PH_OK;
	}
	if (!maker->reading.open) {
		return open_commit(maker, budget);
	}
	if (maker->reading.parent < maker->reading.text.parents) {
		return read_parent(maker, budget);
	}
	return close_commit(maker);
}

/* Numbers of parents are written as positions; the counts among them as they are. reading.parent is
 * how many of the former come next. */
enum ph_status ph__map_step_more(struct ph_map_maker *maker, uint32_t *budget)
{
	const struct ph__map_graph *graph = &maker->graph;
	uint32_t parents;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (maker->at == graph->more.count) {
		maker->at = 0;
		maker->phase = MAP_ORDER;
		return PH_OK;
	}
	if (maker->reading.parent == 0) {
		parents = graph->more.items[maker->at++];
		maker->reading.parent = parents - 1;
		return ph__map_put32(&maker->out, parents);
	}
	status = ph__map_put32(&maker->out, graph->pos.items[graph->more.items[maker->at++]]);
	maker->reading.parent--;
	return status;
}

/* --- Order --- */

static void wait(struct ph_map_maker *maker, uint32_t commit)
{
	struct ph__map_graph *graph = &maker->graph;

	assert(maker->done + maker->waiting < graph->count);
	graph->generation[commit] = WAITING;
	graph->order[graph->count - ++maker->waiting] = commit;
}

/* A commit whose parents have their place gets its own. */
static void place(struct ph_map_maker *maker, uint32_t commit)
{
	struct ph__map_graph *graph = &maker->graph;
	uint32_t parents = ph__map_parents(graph, commit);
	uint32_t generation = 0;

	for (uint32_t i = 0; i < parents; i++) {
		uint32_t one = graph->generation[ph__map_parent_of(graph, commit, i)];

		generation = generation < one ? one : generation;
	}
	graph->generation[commit] = generation + 1;
	if (maker->generations < generation + 1) {
		maker->generations = generation + 1;
	}
	maker->waiting--;
	graph->order[maker->done++] = commit;
}

/* The commit that waits on top: its next parent, or itself. bitmap[] says which parent is next. */
static enum ph_status order_top(struct ph_map_maker *maker)
{
	struct ph__map_graph *graph = &maker->graph;
	uint32_t commit = graph->order[graph->count - maker->waiting];
	uint32_t parent;

	if (graph->bitmap[commit] == ph__map_parents(graph, commit)) {
		place(maker, commit);
		return PH_OK;
	}
	parent = ph__map_parent_of(graph, commit, graph->bitmap[commit]++);
	if (graph->generation[parent] == WAITING) {
		return PH_ERR_CORRUPT; /* its own ancestor */
	}
	if (graph->generation[parent] == 0) {
		wait(maker, parent);
	}
	return PH_OK;
}

enum ph_status ph__map_step_order(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_graph *graph = &maker->graph;
	enum ph_status status = PH_OK;

	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < COMMITS_STEP && status == PH_OK; i++) {
		if (maker->waiting > 0) {
			status = order_top(maker);
		} else if (maker->at == graph->count) {
			maker->at = 0;
			maker->phase = MAP_CHOOSE;
			break;
		} else if (graph->generation[maker->at] == 0) {
			wait(maker, maker->at);
		} else {
			maker->at++;
		}
	}
	return status;
}

/* --- Choice --- */

static uint32_t spacing(const struct ph_map_maker *maker, uint32_t commit)
{
	uint32_t age = maker->generations - maker->graph.generation[commit];

	return age / SPACING_SHARE > SPACING ? age / SPACING_SHARE : SPACING;
}

/* How many generations back from a commit, itself included, all paths have met a bitmap. */
static void choose(struct ph_map_maker *maker, uint32_t commit)
{
	struct ph__map_graph *graph = &maker->graph;
	uint32_t parents = ph__map_parents(graph, commit);
	uint32_t distance = 0;

	for (uint32_t i = 0; i < parents; i++) {
		uint32_t one = graph->bitmap[ph__map_parent_of(graph, commit, i)];

		if (one != CHOSEN && one > distance) {
			distance = one;
		}
	}
	if (distance + 1 >= spacing(maker, commit) ||
	    ph__map_bit(maker->tip, graph->pos.items[commit])) {
		graph->bitmap[commit] = CHOSEN;
	} else {
		graph->bitmap[commit] = distance + 1;
	}
}

enum ph_status ph__map_step_choose(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_graph *graph = &maker->graph;

	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < COMMITS_STEP && maker->at < graph->count; i++) {
		uint32_t commit = graph->order[maker->at++];

		choose(maker, commit);
		ph_budget_spend(budget, ph__map_parents(graph, commit) / COMMITS_STEP);
		if (*budget == 0) {
			break;
		}
	}
	if (maker->at < graph->count) {
		return PH_OK;
	}
	if (graph->count > 0) {
		maker->owner = ph_mem_alloc(maker->alloc, graph->count * sizeof *maker->owner);
		if (maker->owner == NULL) {
			return PH_ERR_NOMEM;
		}
		memset(maker->owner, 255, graph->count * sizeof *maker->owner);
	}
	maker->phase = MAP_FORKS;
	return PH_OK;
}

/* Children first: tells parents which bitmap they will be part of without having one. */
static void share(struct ph_map_maker *maker, uint32_t commit)
{
	struct ph__map_graph *graph = &maker->graph;
	uint32_t parents = ph__map_parents(graph, commit);
	uint32_t owner = maker->owner[commit];

	if (owner == SHARED && graph->bitmap[commit] >= spacing(maker, commit) / FORK_SHARE) {
		graph->bitmap[commit] = CHOSEN;
	}
	if (graph->bitmap[commit] == CHOSEN) {
		owner = commit;
	}
	for (uint32_t i = 0; i < parents && owner < SHARED; i++) {
		uint32_t *other = &maker->owner[ph__map_parent_of(graph, commit, i)];

		*other = *other == NOBODY || *other == owner ? owner : SHARED;
	}
}

enum ph_status ph__map_step_forks(struct ph_map_maker *maker, uint32_t *budget)
{
	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < COMMITS_STEP && maker->at > 0; i++) {
		uint32_t commit = maker->graph.order[--maker->at];

		share(maker, commit);
		ph_budget_spend(budget, ph__map_parents(&maker->graph, commit) / COMMITS_STEP);
		if (*budget == 0) {
			break;
		}
	}
	if (maker->at == 0) {
		ph_mem_free(maker->alloc, maker->owner);
		maker->owner = NULL;
		maker->phase = MAP_NUMBER;
	}
	return PH_OK;
}

enum ph_status ph__map_step_number(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_graph *graph = &maker->graph;
	size_t rows;

	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < COMMITS_STEP && maker->at < graph->count; i++) {
		uint32_t *bitmap = &graph->bitmap[graph->order[maker->at++]];

		*bitmap = *bitmap == CHOSEN ? ++maker->row_count : 0;
	}
	if (maker->at < graph->count) {
		return PH_OK;
	}
	rows = maker->row_count > 0 ? maker->row_count : 1;
	maker->rows = ph_mem_zalloc(maker->alloc, rows, sizeof *maker->rows);
	if (maker->rows == NULL) {
		return PH_ERR_NOMEM;
	}
	maker->at = 0;
	maker->phase = MAP_EXTRAS;
	return PH_OK;
}

enum ph_status ph__map_step_extras(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_graph *graph = &maker->graph;
	uint8_t raw[MAP_EXTRA_BYTES];

	ph_budget_spend(budget, 1);
	if (maker->at == graph->count) {
		maker->at = 0;
		maker->phase = MAP_NEXT;
		return PH_OK;
	}
	index_put32(raw, graph->generation[maker->at]);
	index_put32(raw + 4, graph->bitmap[maker->at]);
	maker->at++;
	return ph__map_put(&maker->out, raw, sizeof raw);
}
