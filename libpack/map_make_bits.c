/* SPDX-License-Identifier: MIT */
/*
 * The bitmaps of a map. One is the union of those of the nearest ancestors that have one, of the
 * commits in between, and of what their trees hold. Whatever has its bit has all it reaches, or
 * waits to be looked at, so nothing is read that an ancestor had. The bitmap of the first ancestor
 * that was met stays in memory: what is stored is the difference from it, or from one before it.
 *
 * Bitmaps that build on each other have turns 0, 1, 2 ... One is stored upon that whose turn is its
 * own with the lowest bit cleared. So few are read to make one, as many as there are bits in its
 * turn, and the sum of all differences grows with the logarithm of their number only.
 */
#include "map_make_int.h"

#include <assert.h>

/* Words of a bitmap worked on in one step: 64 KiB. */
#define WORDS_STEP ((size_t)8 << 10)
#define WORDS_UNITS (WORDS_STEP * 8 / PH_BUDGET_UNIT_BYTES)
/* Commits passed in one step. */
#define COMMITS_STEP 64u

/* A commit that no bitmap has yet; its parents come first. */
static enum ph_status go_back(struct ph_map_maker *maker, uint32_t commit)
{
	uint32_t pos = maker->graph.pos.items[commit];
	enum ph_status status = ph__map_list_push(&maker->path, maker->alloc, commit);

	ph__map_set(maker->made, pos);
	ph__map_set(maker->seen, pos);
	return status == PH_OK ? ph__map_list_push(&maker->path, maker->alloc, 0) : status;
}

/* --- One after the other --- */

static enum ph_status begin(struct ph_map_maker *maker, uint32_t commit)
{
	memset(maker->made, 0, maker->words * sizeof *maker->made);
	maker->commit = commit;
	maker->path.count = 0;
	maker->region.count = 0;
	maker->region_at = 0;
	maker->on_base = false;
	maker->phase = MAP_REGION;
	return go_back(maker, commit);
}

enum ph_status ph__map_step_next(struct ph_map_maker *maker, uint32_t *budget)
{
	const struct ph__map_graph *graph = &maker->graph;

	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < COMMITS_STEP; i++) {
		uint32_t commit;

		if (maker->at == graph->count) {
			maker->at = 0;
			maker->made = maker->seen;
			maker->phase = MAP_REST;
			return PH_OK;
		}
		commit = graph->order[maker->at++];
		if (graph->bitmap[commit] > 0) {
			return begin(maker, commit);
		}
	}
	return PH_OK;
}

/* --- The commits in between, and the bitmaps behind them --- */

/* Reads the bitmap of a number as it differs from another, which it is made from or which is 0. */
static void read_bitmap(struct ph_map_maker *maker, uint32_t number, uint32_t other, uint64_t *to)
{
	ph__map_reach_start(&maker->reach, maker->entries);
	for (; number != other; number = maker->rows[number - 1].row.other) {
		ph__map_reach_add(&maker->reach, &maker->rows[number - 1].row);
	}
	maker->reach_to = to;
	maker->phase = MAP_REACH;
}

/* A parent with a bitmap. */
static void join(struct ph_map_maker *maker, uint32_t number)
{
	assert(number <= maker->rows_made);
	if (maker->on_base) {
		read_bitmap(maker, number, 0, maker->made);
		return;
	}
	maker->on_base = true;
	maker->word = 0;
	if (maker->base_number == number) {
		maker->phase = MAP_JOIN;
		return;
	}
	memset(maker->base, 0, maker->words * sizeof *maker->base);
	maker->base_number = number;
	read_bitmap(maker, number, 0, maker->base);
}

enum ph_status ph__map_step_reach(struct ph_map_maker *maker, uint32_t *budget)
{
	enum ph_status status =
	        ph__map_reach_step(&maker->reach, &maker->pages, maker->reach_to, budget);

	if (status == PH_OK && maker->reach.xors) {
		maker->phase = MAP_STORE;
	} else if (status == PH_OK) {
		maker->phase = maker->reach_to == maker->base ? MAP_JOIN : MAP_REGION;
	}
	return status == PH_AGAIN ? PH_OK : status;
}

static size_t words_step(const struct ph_map_maker *maker, uint32_t *budget)
{
	size_t left = maker->words - maker->word;

	ph_budget_spend(budget, WORDS_UNITS);
	return left < WORDS_STEP ? left : WORDS_STEP;
}

enum ph_status ph__map_step_join(struct ph_map_maker *maker, uint32_t *budget)
{
	size_t step = words_step(maker, budget);

	for (size_t i = maker->word; i < maker->word + step; i++) {
		maker->made[i] |= maker->base[i];
	}
	maker->word += step;
	if (maker->word == maker->words) {
		maker->phase = MAP_REGION;
	}
	return PH_OK;
}

enum ph_status ph__map_step_region(struct ph_map_maker *maker, uint32_t *budget)
{
	const struct ph__map_graph *graph = &maker->graph;
	uint32_t *top;
	uint32_t parent;

	if (maker->path.count == 0) {
		maker->trees.after = MAP_BASE;
		maker->phase = MAP_TREES;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	top = maker->path.items + maker->path.count - 2;
	if (top[1] == ph__map_parents(graph, top[0])) {
		maker->path.count -= 2;
		return ph__map_list_push(&maker->region, maker->alloc, top[0]);
	}
	parent = ph__map_parent_of(graph, top[0], top[1]++);
	if (ph__map_bit(maker->made, graph->pos.items[parent])) {
		return PH_OK;
	}
	if (graph->bitmap[parent] > 0) {
		join(maker, graph->bitmap[parent]);
		return PH_OK;
	}
	return go_back(maker, parent);
}

/* --- Storing it --- */

/* From the bitmap in memory to the one that it is to be stored upon. */
enum ph_status ph__map_step_base(struct ph_map_maker *maker, uint32_t *budget)
{
	const struct ph__map_stored *rows = maker->rows;
	uint32_t number = maker->base_number;
	uint32_t goal;

	ph_budget_spend(budget, 1);
	maker->turn = 0;
	maker->bits = (struct ph__bits_out){.out = &maker->out};
	maker->word = 0;
	maker->phase = MAP_STORE;
	if (!maker->on_base) {
		return PH_OK;
	}
	maker->turn = rows[number - 1].turn + 1;
	goal = maker->turn & (maker->turn - 1);
	while (rows[number - 1].turn > goal) {
		number = rows[number - 1].row.other;
	}
	if (rows[number - 1].links == MAP_LINKS_MAX) {
		maker->on_base = false;
		maker->turn = 0;
		return PH_OK;
	}
	if (number != maker->base_number) {
		read_bitmap(maker, maker->base_number, number, maker->base);
		maker->reach.xors = true;
		maker->base_number = number;
	}
	return PH_OK;
}

static void store_end(struct ph_map_maker *maker)
{
	struct ph__map_stored *stored = &maker->rows[maker->rows_made];
	uint64_t *made = maker->made;

	stored->row.at = maker->out.size - maker->bits.bytes;
	stored->row.bytes = (uint32_t)maker->bits.bytes;
	stored->row.other = maker->on_base ? maker->base_number : 0;
	stored->turn = maker->turn;
	stored->links = maker->on_base ? maker->rows[maker->base_number - 1].links + 1 : 0;
	maker->rows_made++;
	maker->made = maker->base;
	maker->base = made;
	maker->base_number = maker->rows_made;
	assert(maker->graph.bitmap[maker->commit] == maker->rows_made);
	maker->phase = MAP_NEXT;
}

enum ph_status ph__map_step_store(struct ph_map_maker *maker, uint32_t *budget)
{
	size_t step = words_step(maker, budget);
	size_t at = maker->word;
	enum ph_status status;

	status = ph__bits_put(&maker->bits, maker->made + at,
	                      maker->on_base ? maker->base + at : NULL, step);
	maker->word += step;
	if (status == PH_OK && maker->word == maker->words) {
		status = ph__bits_end(&maker->bits);
		store_end(maker);
	}
	return status;
}
