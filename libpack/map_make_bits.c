/* SPDX-License-Identifier: MIT */
/*
 * The bitmaps of a map. One is the union of those of the nearest ancestors that have one, of the
 * commits in between, and of what their trees hold. Whatever has its bit has all it reaches, or
 * waits to be looked at, so nothing is read that an ancestor had. The bitmap of the first ancestor
 * that was met stays in memory: what is stored is the difference from it, unless that is larger.
 */
#include "map_make_int.h"

#include <assert.h>

/* Words of a bitmap worked on in one step: 64 KiB. */
#define WORDS_STEP ((size_t)8 << 10)
#define WORDS_UNITS (WORDS_STEP * 8 / PH_BUDGET_UNIT_BYTES)
/* Commits passed in one step. */
#define COMMITS_STEP 64u

static void mark(struct ph_map_maker *maker, uint32_t pos)
{
	ph__map_set(maker->made, pos);
	ph__map_set(maker->seen, pos);
}

/* --- One after the other --- */

static enum ph_status begin(struct ph_map_maker *maker, uint32_t commit)
{
	memset(maker->made, 0, maker->words * sizeof *maker->made);
	mark(maker, maker->graph.pos.items[commit]);
	maker->commit = commit;
	maker->region.count = 0;
	maker->region_at = 0;
	maker->parent = 0;
	maker->on_base = false;
	maker->phase = MAP_REGION;
	return ph__map_list_push(&maker->region, maker->alloc, commit);
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
	uint32_t commit;
	uint32_t parent;
	uint32_t pos;

	if (maker->region_at == maker->region.count) {
		maker->after = MAP_WEIGH;
		maker->phase = MAP_TREES;
		return PH_OK;
	}
	ph_budget_spend(budget, 1);
	commit = maker->region.items[maker->region_at];
	if (maker->parent == ph__map_parents(graph, commit)) {
		maker->region_at++;
		maker->parent = 0;
		return PH_OK;
	}
	parent = ph__map_parent_of(graph, commit, maker->parent++);
	pos = graph->pos.items[parent];
	if (ph__map_bit(maker->made, pos)) {
		return PH_OK;
	}
	if (graph->bitmap[parent] > 0) {
		join(maker, graph->bitmap[parent]);
		return PH_OK;
	}
	mark(maker, pos);
	return ph__map_list_push(&maker->region, maker->alloc, parent);
}

/* --- Storing it --- */

enum ph_status ph__map_step_weigh(struct ph_map_maker *maker, uint32_t *budget)
{
	size_t step = words_step(maker, budget);
	size_t at = maker->word;
	bool full = maker->on_base && maker->links[maker->base_number - 1] == MAP_LINKS_MAX;
	enum ph_status status = ph__bits_put(&maker->alone, maker->made + at, NULL, step);

	if (status == PH_OK && maker->on_base && !full) {
		status = ph__bits_put(&maker->upon, maker->made + at, maker->base + at, step);
	}
	maker->word += step;
	if (status != PH_OK || maker->word < maker->words) {
		return status;
	}
	status = ph__bits_end(&maker->alone);
	if (status == PH_OK) {
		status = ph__bits_end(&maker->upon);
	}
	maker->on_base = maker->on_base && !full && maker->upon.bytes < maker->alone.bytes;
	maker->alone = (struct ph__bits_out){.out = &maker->out};
	maker->rows[maker->rows_made].at = maker->out.size;
	maker->word = 0;
	maker->phase = MAP_STORE;
	return status;
}

static void stored(struct ph_map_maker *maker)
{
	struct ph__map_row *row = &maker->rows[maker->rows_made];
	uint64_t *made = maker->made;

	row->bytes = (uint32_t)maker->alone.bytes;
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
	enum ph_status status = ph__bits_put(&maker->alone, maker->made + at,
	                                     maker->on_base ? maker->base + at : NULL, step);

	maker->word += step;
	if (status == PH_OK && maker->word == maker->words) {
		status = ph__bits_end(&maker->alone);
		stored(maker);
	}
	return status;
}
