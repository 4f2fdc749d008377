/* SPDX-License-Identifier: MIT */
/*
 * The bitmaps of a map. One is the union of those of the nearest ancestors that have one, of the
 * commits in between, and of what their trees hold. Whatever has its bit has all it reaches, or
 * waits to be looked at, so nothing is read that an ancestor had. The bitmap of the first ancestor
 * that was met stays in memory: what is stored is the difference from it, which is little, until a
 * chain of differences is as long as it may be.
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

static void read_bitmap(struct ph_map_maker *maker, uint32_t number, uint64_t *to)
{
	ph__map_reach_start(&maker->reach, maker->entries);
	for (; number > 0; number = maker->rows[number - 1].other) {
		ph__map_reach_add(&maker->reach, &maker->rows[number - 1]);
	}
	maker->reach_to = to;
	maker->phase = MAP_REACH;
}

/* A parent with a bitmap. */
static void join(struct ph_map_maker *maker, uint32_t number)
{
	assert(number <= maker->rows_made);
	if (maker->on_base) {
		read_bitmap(maker, number, maker->made);
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
	read_bitmap(maker, number, maker->base);
}

enum ph_status ph__map_step_reach(struct ph_map_maker *maker, uint32_t *budget)
{
	enum ph_status status =
	        ph__map_reach_step(&maker->reach, &maker->pages, maker->reach_to, budget);

	if (status == PH_OK) {
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
		maker->trees.after = MAP_STORE;
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

/* Its first word: where it will be, and what it is stored on. */
static void store_begin(struct ph_map_maker *maker)
{
	if (maker->on_base && maker->links[maker->base_number - 1] == MAP_LINKS_MAX) {
		maker->on_base = false;
	}
	maker->bits = (struct ph__bits_out){.out = &maker->out};
	maker->rows[maker->rows_made].at = maker->out.size;
}

static void store_end(struct ph_map_maker *maker)
{
	struct ph__map_row *row = &maker->rows[maker->rows_made];
	uint64_t *made = maker->made;

	row->bytes = (uint32_t)maker->bits.bytes;
	row->other = maker->on_base ? maker->base_number : 0;
	maker->links[maker->rows_made] =
	        maker->on_base ? (uint8_t)(maker->links[maker->base_number - 1] + 1) : 0;
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

	if (at == 0) {
		store_begin(maker);
	}
	status = ph__bits_put(&maker->bits, maker->made + at,
	                      maker->on_base ? maker->base + at : NULL, step);
	maker->word += step;
	if (status == PH_OK && maker->word == maker->words) {
		status = ph__bits_end(&maker->bits);
		store_end(maker);
	}
	return status;
}
