/* SPDX-License-Identifier: MIT */
/* Makes maps of histories, and compares them with a naive search; see map_util.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "map_util.h"
#include <stdlib.h>

/* From any commit a bitmap is at most so many generations away. */
#define DISTANCE_MAX 64u

const struct ph_source *made_source(const struct history *h)
{
	return &h->source.set.source;
}

enum ph_status made_run(const struct history *h, const uint32_t *tips, uint32_t count,
                        uint32_t budget, const struct ph_alloc *alloc, struct ph_sink *sink)
{
	struct ph_map_options options = {
	        .source = made_source(h), .sink = sink, .alloc = alloc, .limits = &h->limits};
	struct ph_map_maker *maker;
	enum ph_status status = ph_map_maker_new(&maker, &options);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		status = ph_map_maker_tip(maker, &h->nodes[tips[i]].oid);
	}
	if (status == PH_OK) {
		do {
			uint32_t left = budget;

			status = ph_map_maker_run(maker, &left);
		} while (status == PH_AGAIN);
		/* It stays what it was. */
		assert_int_equal(ph_map_maker_run(maker, &budget), status);
	}
	ph_map_maker_free(maker);
	return status;
}

enum ph_status made_make_with(struct made *made, const struct history *h, const uint32_t *tips,
                              uint32_t count, uint32_t budget, const struct ph_alloc *alloc)
{
	enum ph_status status;

	ph_test_sink_init(&made->sink);
	status = made_run(h, tips, count, budget, alloc, &made->sink.sink);
	ph_test_bytes_init(&made->bytes, made->sink.buf.data, made->sink.buf.len);
	return status;
}

void made_make(struct made *made, const struct history *h, const uint32_t *tips, uint32_t count)
{
	assert_int_equal(made_make_with(made, h, tips, count, 1000000, ph_alloc_libc()), PH_OK);
}

struct ph_map *made_open(const struct made *made, const struct history *h)
{
	struct ph_map *map = NULL;

	assert_int_equal(ph_map_open(&map, made_source(h), 0, &made->bytes.bytes, ph_alloc_libc()),
	                 PH_OK);
	return map;
}

void made_release(struct made *made)
{
	ph_test_sink_release(&made->sink);
}

static bool bit(const uint64_t *words, uint32_t pos)
{
	return (words[pos / 64] >> pos % 64 & 1) != 0;
}

/* --- Against the oracle --- */

uint64_t *made_words(const struct ph_map *map)
{
	uint64_t *words = calloc(ph_map_words(ph_map_entries(map)) + 1, sizeof *words);

	assert_non_null(words);
	return words;
}

static void check_reach(struct ph_map *map, const struct history *h, uint32_t node)
{
	uint64_t *words = made_words(map);
	bool *reached = calloc(h->count, sizeof *reached);
	uint32_t budget = 1000000;

	assert_non_null(reached);
	assert_int_equal(ph_map_reach(map, history_loc(h, node).pos, words, &budget), PH_OK);
	assert_true(budget < 1000000);
	history_closure(h, node, NULL, reached);
	for (uint32_t i = 0; i < h->count; i++) {
		assert_int_equal(bit(words, history_loc(h, i).pos), reached[i]);
	}
	for (uint32_t i = ph_map_entries(map); i % 64 != 0; i++) {
		assert_false(bit(words, i));
	}
	/* What was there stays. */
	memset(words, 255, ph_map_words(ph_map_entries(map)) * sizeof *words);
	assert_int_equal(ph_map_reach(map, history_loc(h, node).pos, words, &budget), PH_OK);
	assert_true(bit(words, 0));
	free(reached);
	free(words);
}

/* The graph's view of a commit. Returns how many generations back all paths have met a bitmap. */
static uint32_t check_commit(struct ph_map *map, const struct history *h, uint32_t node,
                             uint32_t *generations, uint32_t *distances)
{
	const struct node *commit = &h->nodes[node];
	struct ph_map_commit seen;
	uint32_t generation = 0;
	uint32_t distance = 0;

	assert_int_equal(ph_map_commit(map, history_loc(h, node).pos, &seen), PH_OK);
	assert_int_equal(seen.pos, history_loc(h, node).pos);
	assert_int_equal(seen.tree, history_loc(h, commit->links[0]).pos);
	assert_int_equal(seen.time, commit->time);
	assert_int_equal(seen.parents, commit->count - 1);
	for (uint32_t i = 0; i < seen.parents; i++) {
		uint32_t link = commit->links[i + 1];
		uint32_t parent;

		assert_int_equal(ph_map_parent(map, &seen, i, &parent), PH_OK);
		assert_int_equal(parent, history_loc(h, link).pos);
		generation = generations[link] > generation ? generations[link] : generation;
		distance = distances[link] > distance ? distances[link] : distance;
	}
	generations[node] = generation + 1;
	distances[node] = seen.bitmap ? 0 : distance + 1;
	assert_int_equal(seen.generation, generation + 1);
	if (seen.bitmap) {
		check_reach(map, h, node);
	} else {
		uint64_t *words = made_words(map);
		uint32_t budget = 1;

		assert_int_equal(ph_map_reach(map, seen.pos, words, &budget), PH_ERR_NOT_FOUND);
		free(words);
	}
	return distances[node];
}

static void check_types(struct ph_map *map, const struct history *h, struct ph_test_rng *rng)
{
	size_t all = ph_map_words(ph_map_entries(map));
	uint64_t *words = made_words(map);
	uint64_t *part = made_words(map);

	for (unsigned type = PH_OBJ_COMMIT; type <= PH_OBJ_TAG; type++) {
		size_t first = ph_test_rng_below(rng, (uint32_t)all + 1);
		size_t count = ph_test_rng_below(rng, (uint32_t)(all - first) + 1);

		assert_int_equal(ph_map_type(map, (enum ph_object_type)type, 0, all, words), PH_OK);
		for (uint32_t i = 0; i < h->count; i++) {
			assert_int_equal(bit(words, history_loc(h, i).pos),
			                 h->nodes[i].type == (enum ph_object_type)type);
		}
		assert_int_equal(ph_map_type(map, (enum ph_object_type)type, first, count, part),
		                 PH_OK);
		assert_memory_equal(part, words + first, count * sizeof *part);
	}
	free(part);
	free(words);
}

/* The commits of a history come parents first in its nodes. */
void made_check(const struct made *made, const struct history *h, const uint32_t *tips,
                uint32_t count)
{
	struct ph_map *map = made_open(made, h);
	uint32_t *generations = calloc((size_t)h->count + 1, 2 * sizeof *generations);
	uint32_t *distances = generations + h->count + 1;
	uint32_t commits = 0;
	struct ph_map_commit commit;
	struct ph_test_rng rng;

	assert_non_null(generations);
	ph_test_rng_init(&rng, 5);
	assert_int_equal(ph_map_pack(map), 0);
	assert_int_equal(ph_map_entries(map), h->count);
	for (uint32_t i = 0; i < h->count; i++) {
		if (h->nodes[i].type == PH_OBJ_COMMIT) {
			commits++;
			assert_true(check_commit(map, h, i, generations, distances) < DISTANCE_MAX);
		} else {
			assert_int_equal(ph_map_commit(map, history_loc(h, i).pos, &commit),
			                 PH_ERR_NOT_FOUND);
		}
	}
	assert_int_equal(ph_map_commits(map), commits);
	assert_int_equal(ph_map_commit(map, h->count, &commit), PH_ERR_NOT_FOUND);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t node = tips[i];

		while (h->nodes[node].type == PH_OBJ_TAG) {
			node = h->nodes[node].links[0];
		}
		if (h->nodes[node].type == PH_OBJ_COMMIT) {
			assert_int_equal(ph_map_commit(map, history_loc(h, node).pos, &commit),
			                 PH_OK);
			assert_true(commit.bitmap);
		}
	}
	check_types(map, h, &rng);
	ph_map_free(map);
	free(generations);
}
