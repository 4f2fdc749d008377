/* SPDX-License-Identifier: MIT */
/*
 * Maps of histories of many shapes against a naive search: the graph, the types and every bitmap;
 * packs that are not closed; memory, reads and writes that fail; and every byte of a small map
 * damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history.h"
#include <packhorse/footprint.h>
#include <packhorse/map.h>
#include <stdlib.h>

/* From any commit a bitmap is at most so many generations away. */
#define DISTANCE_MAX 64u

struct made {
	struct ph_test_sink sink;
	struct ph_test_bytes bytes;
};

static const struct ph_source *source_of(const struct history *h)
{
	return &h->source.set.source;
}

static enum ph_status run_maker(const struct history *h, const uint32_t *tips, uint32_t count,
                                uint32_t budget, const struct ph_alloc *alloc, struct ph_sink *sink)
{
	struct ph_map_options options = {
	        .source = source_of(h), .sink = sink, .alloc = alloc, .limits = &h->limits};
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

static enum ph_status make_with(struct made *made, const struct history *h, const uint32_t *tips,
                                uint32_t count, uint32_t budget, const struct ph_alloc *alloc)
{
	enum ph_status status;

	ph_test_sink_init(&made->sink);
	status = run_maker(h, tips, count, budget, alloc, &made->sink.sink);
	ph_test_bytes_init(&made->bytes, made->sink.buf.data, made->sink.buf.len);
	return status;
}

static void make(struct made *made, const struct history *h, const uint32_t *tips, uint32_t count)
{
	assert_int_equal(make_with(made, h, tips, count, 1000000, ph_alloc_libc()), PH_OK);
}

static struct ph_map *open_map(const struct made *made, const struct history *h)
{
	struct ph_map *map = NULL;

	assert_int_equal(ph_map_open(&map, source_of(h), 0, &made->bytes.bytes, ph_alloc_libc()),
	                 PH_OK);
	return map;
}

static void release(struct made *made)
{
	ph_test_sink_release(&made->sink);
}

static bool bit(const uint64_t *words, uint32_t pos)
{
	return (words[pos / 64] >> pos % 64 & 1) != 0;
}

/* --- Against the oracle --- */

static uint64_t *words_of(const struct ph_map *map)
{
	uint64_t *words = calloc(ph_map_words(ph_map_entries(map)) + 1, sizeof *words);

	assert_non_null(words);
	return words;
}

static void check_reach(struct ph_map *map, const struct history *h, uint32_t node)
{
	uint64_t *words = words_of(map);
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
		uint64_t *words = words_of(map);
		uint32_t budget = 1;

		assert_int_equal(ph_map_reach(map, seen.pos, words, &budget), PH_ERR_NOT_FOUND);
		free(words);
	}
	return distances[node];
}

static void check_types(struct ph_map *map, const struct history *h, struct ph_test_rng *rng)
{
	size_t all = ph_map_words(ph_map_entries(map));
	uint64_t *words = words_of(map);
	uint64_t *part = words_of(map);

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
static void check_map(const struct made *made, const struct history *h, const uint32_t *tips,
                      uint32_t count)
{
	struct ph_map *map = open_map(made, h);
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

static void check_history(struct history *h, const uint32_t *tips, uint32_t count)
{
	struct made made;
	struct made slow;

	history_seal(h, NULL);
	make(&made, h, tips, count);
	check_map(&made, h, tips, count);
	/* However its work is cut, it makes the same. */
	assert_int_equal(make_with(&slow, h, tips, count, 1, ph_alloc_libc()), PH_OK);
	assert_int_equal(slow.sink.buf.len, made.sink.buf.len);
	assert_memory_equal(slow.sink.buf.data, made.sink.buf.data, made.sink.buf.len);
	release(&slow);
	release(&made);
	history_release(h);
}

static void random_histories(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 1);
	for (int round = 0; round < 24; round++) {
		struct history h;
		uint32_t tips[24];
		uint32_t count = ph_test_rng_below(&rng, 24);

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		history_random(&h, &rng, 1 + ph_test_rng_below(&rng, 120), round % 3 == 0);
		for (uint32_t i = 0; i < 6; i++) {
			history_tag(&h,
			            h.count - 1 -
			                    ph_test_rng_below(&rng, h.count < 30 ? h.count : 30),
			            i);
		}
		for (uint32_t i = 0; i < count; i++) {
			tips[i] = i % 2 == 0 ? h.commits[ph_test_rng_below(&rng, h.commit_count)]
			                     : ph_test_rng_below(&rng, h.count);
		}
		check_history(&h, tips, count);
	}
}

/* --- Shapes --- */

static uint32_t content(struct history *h, uint32_t number)
{
	uint32_t links[3] = {history_blob(h, number), history_blob(h, number / 7), NODE_NONE};
	uint32_t dir = history_tree(h, links, 2);

	links[1] = dir;
	return history_tree(h, links, 3);
}

/* Longer than any chain of stored bitmaps. */
static void a_line(void **state)
{
	struct history h;
	uint32_t tips[40];
	uint32_t commit = NODE_NONE;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	for (uint32_t i = 0; i < 700; i++) {
		commit = history_commit(&h, content(&h, i), &commit, i > 0, 1000 + i);
		if (i % 18 == 0) {
			tips[i / 18] = commit;
		}
	}
	check_history(&h, tips, 39);
}

static void merges(void **state)
{
	struct history h;
	uint32_t roots[5];
	uint32_t pair[2];
	uint32_t tips[3];

	(void)state;
	history_init(&h, PH_HASH_SHA256);
	for (uint32_t i = 0; i < 5; i++) {
		roots[i] = history_commit(&h, content(&h, i), NULL, 0, 10 + i);
	}
	/* Several roots, octopuses of three to five, one of them twice the same parent. */
	tips[0] = history_commit(&h, content(&h, 3), roots, 5, 30);
	tips[1] = history_commit(&h, content(&h, 4), roots + 1, 3, 31);
	roots[0] = roots[1];
	tips[2] = history_commit(&h, content(&h, 5), roots, 4, 5);
	/* Criss-cross, again and again. */
	pair[0] = tips[0];
	pair[1] = tips[1];
	for (uint32_t i = 0; i < 90; i++) {
		uint32_t left = history_commit(&h, content(&h, 9 + i), pair, 2, 40 + i);
		uint32_t swapped[2] = {pair[1], pair[0]};

		pair[1] = history_commit(&h, content(&h, 8 + i), swapped, 2, 41 + i);
		pair[0] = left;
	}
	check_history(&h, tips, 3);
}

/* A merge of many, so that its parents take several steps. */
static void an_octopus_of_hundreds(void **state)
{
	struct history h;
	uint32_t parents[300];
	uint32_t tip;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	for (uint32_t i = 0; i < 300; i++) {
		parents[i] = history_commit(&h, content(&h, i % 9), i % 2 ? parents + i - 1 : NULL,
		                            i % 2, 10 + i);
	}
	tip = history_commit(&h, content(&h, 4), parents, 300, 1000);
	tip = history_commit(&h, content(&h, 5), &tip, 1, 1000);
	check_history(&h, &tip, 1);
}

static void tags_of_all(void **state)
{
	struct history h;
	uint32_t tips[6];
	uint32_t blob;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	blob = history_blob(&h, 5);
	tips[0] = history_tag(&h, blob, 0);
	tips[1] = history_tag(&h, history_tree(&h, &blob, 1), 1);
	tips[2] = history_commit(&h, content(&h, 1), NULL, 0, 7);
	tips[3] = history_tag(&h, history_tag(&h, history_tag(&h, tips[2], 2), 3), 4);
	tips[4] = blob;
	tips[5] = history_tree(&h, &blob, 1);
	check_history(&h, tips, 6);
}

static void small_ones(void **state)
{
	struct history h;
	uint32_t tip;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	check_history(&h, NULL, 0);
	history_init(&h, PH_HASH_SHA256);
	tip = history_tree(&h, NULL, 0);
	tip = history_commit(&h, tip, NULL, 0, UINT64_MAX / 10);
	check_history(&h, &tip, 1);
	history_init(&h, PH_HASH_SHA1);
	history_blob(&h, 1);
	check_history(&h, NULL, 0);
}

/* Ids from elsewhere are no tips, and cost nothing. */
static void tips_that_are_none(void **state)
{
	struct history h;
	struct ph_test_sink sink;
	struct ph_map_maker *maker;
	struct ph_oid none = ph_test_oid_fake(PH_HASH_SHA1, 9);

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	history_tag(&h, history_blob(&h, 1), 1);
	h.nodes[0].left_out = true;
	history_seal(&h, NULL);
	ph_test_sink_init(&sink);
	assert_int_equal(ph_map_maker_new(&maker, &(struct ph_map_options){.source = source_of(&h),
	                                                                   .sink = &sink.sink,
	                                                                   .alloc = ph_alloc_libc(),
	                                                                   .limits = &h.limits}),
	                 PH_OK);
	assert_int_equal(ph_map_maker_tip(maker, &none), PH_OK);
	assert_int_equal(ph_map_maker_tip(maker, &h.nodes[1].oid), PH_OK);
	ph_map_maker_free(maker);
	ph_test_sink_release(&sink);
	history_release(&h);
}

/* What is said of memory holds, and is not far off. */
static void takes_no_more_than_is_said(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 7);
	for (uint32_t commits = 1; commits < 2000; commits = commits * 3 + 1) {
		struct history h;
		struct ph_test_alloc memory;
		struct made made;
		struct ph_map *map;
		uint64_t said;

		history_init(&h, PH_HASH_SHA1);
		history_random(&h, &rng, commits, false);
		history_seal(&h, NULL);
		h.limits.delta_cache_bytes_max = (uint64_t)256 << 10;
		h.limits.metadata_bytes_max = (uint64_t)64 << 10;
		h.limits.delta_resident_bytes_max = (uint64_t)64 << 10;
		said = ph_footprint_map(&h.limits, h.count, 2);
		ph_test_alloc_init(&memory);
		assert_int_equal(
		        make_with(&made, &h, h.commits, commits > 1 ? 2 : 1, 1000, &memory.alloc),
		        PH_OK);
		assert_in_range(memory.peak_bytes, said / 32, said);
		ph_test_alloc_init(&memory);
		assert_int_equal(
		        ph_map_open(&map, source_of(&h), 0, &made.bytes.bytes, &memory.alloc),
		        PH_OK);
		assert_in_range(memory.peak_bytes, 1, ph_footprint_map_reader());
		ph_map_free(map);
		release(&made);
		history_release(&h);
	}
}

/* --- What has no map --- */

/* Whatever is missing, wherever: only an object that nothing names is not missed. */
static void packs_that_are_not_closed(void **state)
{
	struct ph_test_rng rng;
	unsigned missing = 0;

	(void)state;
	ph_test_rng_init(&rng, 3);
	for (int round = 0; round < 120; round++) {
		struct history h;
		struct made made;
		uint32_t gone;
		uint32_t tip;
		bool named = false;
		enum ph_status status;

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		history_random(&h, &rng, 25, false);
		history_tag(&h, history_tag(&h, history_blob(&h, 1), 1), 2);
		tip = h.commits[ph_test_rng_below(&rng, h.commit_count)];
		gone = ph_test_rng_below(&rng, h.count);
		h.nodes[gone].left_out = true;
		for (uint32_t i = 0; i < h.count; i++) {
			for (uint32_t k = 0; k < h.nodes[i].count; k++) {
				named = named || h.nodes[i].links[k] == gone;
			}
		}
		history_seal(&h, NULL);
		status = make_with(&made, &h, &tip, 1, 1000, ph_alloc_libc());
		assert_int_equal(status, named ? PH_ERR_MISSING : PH_OK);
		missing += named;
		release(&made);
		history_release(&h);
	}
	assert_true(missing > 60);
}

/* In two packs that share objects: the map is of what one holds, whoever comes first. */
static void a_pack_beside_another(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	struct ph_test_source both;
	struct ph_test_pack packs[2];
	struct ph_test_sink sink;
	struct ph_map_maker *maker;
	struct ph_test_bytes bytes;
	struct ph_map *map;
	enum ph_status status;

	(void)state;
	ph_test_rng_init(&rng, 4);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 30, false);
	history_seal(&h, NULL);
	packs[0] = h.packs[0];
	ph_test_pack_init(&packs[0], h.algo);
	for (uint32_t i = 0; i < h.count; i += 3) {
		ph_test_pack_add(&packs[0], h.nodes[i].type, h.nodes[i].data, h.nodes[i].size);
	}
	packs[1] = h.packs[0];
	ph_test_source_init(&both, packs, 2);
	for (uint32_t pack = 0; pack < 2; pack++) {
		uint32_t budget = UINT32_MAX;

		ph_test_sink_init(&sink);
		assert_int_equal(
		        ph_map_maker_new(&maker,
		                         &(struct ph_map_options){.source = &both.set.source,
		                                                  .pack = pack,
		                                                  .sink = &sink.sink,
		                                                  .alloc = ph_alloc_libc(),
		                                                  .limits = &h.limits}),
		        PH_OK);
		status = ph_map_maker_run(maker, &budget);
		assert_int_equal(status, pack == 0 ? PH_ERR_MISSING : PH_OK);
		ph_map_maker_free(maker);
		ph_test_bytes_init(&bytes, sink.buf.data, sink.buf.len);
		if (pack == 1) {
			assert_int_equal(ph_map_open(&map, &both.set.source, 0, &bytes.bytes,
			                             ph_alloc_libc()),
			                 PH_ERR_UNSUPPORTED);
			assert_int_equal(ph_map_open(&map, &both.set.source, 1, &bytes.bytes,
			                             ph_alloc_libc()),
			                 PH_OK);
			assert_int_equal(ph_map_pack(map), 1);
			ph_map_free(map);
		}
		ph_test_sink_release(&sink);
	}
	ph_test_source_release(&both);
	ph_test_pack_release(&packs[0]);
	history_release(&h);
}

/* Links to objects of another type, and objects that are none. */
static void damaged_objects(void **state)
{
	(void)state;
	for (int kind = 0; kind < 8; kind++) {
		struct history h;
		struct ph_test_buf text = {0};
		struct made made;
		uint32_t blob, tree, commit;

		history_init(&h, PH_HASH_SHA1);
		blob = history_blob(&h, 1);
		tree = history_tree(&h, &blob, 1);
		commit = history_commit(&h, tree, NULL, 0, 5);
		switch (kind) {
		case 0:
			history_commit(&h, blob, NULL, 0, 6);
			break;
		case 1:
			history_commit(&h, tree, &tree, 1, 6);
			break;
		case 2:
		case 3:
			ph_test_tree_entry(&text, h.algo, kind == 2 ? 040000 : 0100644, "a",
			                   &h.nodes[kind == 2 ? blob : tree].oid);
			history_raw(&h, PH_OBJ_TREE, text.data, text.len, NULL, 0);
			break;
		case 4:
			history_raw(&h, PH_OBJ_COMMIT, "none", 4, NULL, 0);
			break;
		case 5:
			history_raw(&h, PH_OBJ_TREE, "none", 4, NULL, 0);
			break;
		case 6:
			history_raw(&h, PH_OBJ_TAG, "none", 4, NULL, 0);
			break;
		default:
			ph_test_tag_text(&text, h.algo, &h.nodes[blob].oid, PH_OBJ_COMMIT, "v");
			history_raw(&h, PH_OBJ_TAG, text.data, text.len, NULL, 0);
			break;
		}
		history_seal(&h, NULL);
		assert_int_equal(make_with(&made, &h, &commit, 1, 9, ph_alloc_libc()),
		                 PH_ERR_CORRUPT);
		release(&made);
		ph_test_buf_release(&text);
		history_release(&h);
	}
}

/* No hash makes a commit its own ancestor, but a damaged index may. */
static void a_circle(void **state)
{
	struct history h;
	struct ph_test_buf text = {0};
	struct ph_oid fake = ph_test_oid_fake(PH_HASH_SHA1, 0x33);
	struct ph_test_raw raw = {.stored = PH_OBJ_COMMIT, .oid = fake, .type = PH_OBJ_COMMIT};
	struct made made;
	uint32_t tree, commit;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	tree = history_tree(&h, NULL, 0);
	ph_test_commit_text(&text, h.algo, &h.nodes[tree].oid, &fake, 1, 5, "circle");
	commit = history_raw(&h, PH_OBJ_COMMIT, text.data, text.len, NULL, 0);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, h.algo, &h.nodes[tree].oid, &h.nodes[commit].oid, 1, 5, "too");
	raw.declared = text.len;
	raw.content = text.data;
	raw.content_len = text.len;
	raw.size = text.len;
	ph_test_pack_add_raw(&h.packs[0], &raw);
	history_seal(&h, NULL);
	assert_int_equal(make_with(&made, &h, &commit, 1, 9, ph_alloc_libc()), PH_ERR_CORRUPT);
	release(&made);
	ph_test_buf_release(&text);
	history_release(&h);
}

/* --- Failures --- */

static void small_history(struct history *h, uint32_t tips[3])
{
	struct ph_test_rng rng;

	ph_test_rng_init(&rng, 6);
	history_init(h, PH_HASH_SHA1);
	history_random(h, &rng, 40, false);
	tips[0] = h->commits[39];
	tips[1] = h->commits[30];
	tips[2] = history_tag(h, h->commits[20], 1);
	history_seal(h, NULL);
}

static void survives_failing_memory(void **state)
{
	struct history h;
	uint32_t tips[3];

	(void)state;
	small_history(&h, tips);
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct made made;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = make_with(&made, &h, tips, 3, 100, &memory.alloc);
		assert_int_equal(memory.live, 0);
		if (status == PH_OK) {
			check_map(&made, &h, tips, 3);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		release(&made);
		if (memory.calls < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
	}
	history_release(&h);
}

static void survives_failing_reads_and_writes(void **state)
{
	struct history h;
	uint32_t tips[3];

	(void)state;
	small_history(&h, tips);
	for (uint64_t i = 1;; i += 7) {
		struct made made;
		enum ph_status status;

		h.source.faults.calls = 0;
		h.source.faults.fail_at = i;
		status = make_with(&made, &h, tips, 3, 100, ph_alloc_libc());
		release(&made);
		if (h.source.faults.calls < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
		assert_int_equal(status, PH_ERR_IO);
	}
	h.source.faults.fail_at = 0;
	for (uint64_t i = 1;; i++) {
		struct ph_test_sink sink;
		enum ph_status status;
		uint64_t appends;

		ph_test_sink_init(&sink);
		sink.fail_at = i;
		status = run_maker(&h, tips, 3, 100, ph_alloc_libc(), &sink.sink);
		appends = sink.appends;
		ph_test_sink_release(&sink);
		if (appends < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
		assert_int_equal(status, PH_ERR_IO);
	}
	history_release(&h);
}

/* Asks a map for all it has. PH_OK when it said nothing wrong. */
static enum ph_status read_all(const struct ph_map *right, struct ph_map *map)
{
	uint32_t entries = ph_map_entries(right);
	uint64_t *words = words_of(right);
	enum ph_status status = PH_OK;

	for (uint32_t pos = 0; pos < entries && status == PH_OK; pos++) {
		struct ph_map_commit commit;
		uint32_t budget = 100;
		uint32_t parent;

		status = ph_map_commit(map, pos, &commit);
		if (status == PH_ERR_NOT_FOUND) {
			status = PH_OK;
			continue;
		}
		for (uint32_t i = 0; status == PH_OK && i < commit.parents; i++) {
			status = ph_map_parent(map, &commit, i, &parent);
			assert_true(status != PH_OK || parent < entries);
		}
		if (status == PH_OK && commit.bitmap) {
			status = ph_map_reach(map, pos, words, &budget);
		}
	}
	for (unsigned type = PH_OBJ_COMMIT; type <= PH_OBJ_TAG && status == PH_OK; type++) {
		status = ph_map_type(map, (enum ph_object_type)type, 0, ph_map_words(entries),
		                     words);
	}
	free(words);
	return status;
}

static void notices_every_damaged_byte(void **state)
{
	struct history h;
	uint32_t tips[3];
	struct made made;
	struct ph_map *right;
	uint8_t *copy;

	(void)state;
	small_history(&h, tips);
	make(&made, &h, tips, 3);
	right = open_map(&made, &h);
	copy = malloc(made.sink.buf.len);
	assert_non_null(copy);
	for (size_t i = 0; i < 2 * made.sink.buf.len; i++) {
		struct ph_test_bytes bytes;
		struct ph_map *map;
		enum ph_status status;

		memcpy(copy, made.sink.buf.data, made.sink.buf.len);
		copy[i / 2] = (uint8_t)(copy[i / 2] ^ (i % 2 == 0 ? 1u << i / 2 % 8 : 255u));
		ph_test_bytes_init(&bytes, copy, made.sink.buf.len);
		status = ph_map_open(&map, source_of(&h), 0, &bytes.bytes, ph_alloc_libc());
		if (status == PH_OK) {
			status = read_all(right, map);
			ph_map_free(map);
		}
		assert_int_equal(status, PH_ERR_CORRUPT);
	}
	/* Cut short, or with something behind. */
	for (size_t len = 0; len < made.sink.buf.len; len += len % 97 + 1) {
		struct ph_test_bytes bytes;
		struct ph_map *map;

		ph_test_bytes_init(&bytes, made.sink.buf.data, len);
		assert_int_equal(ph_map_open(&map, source_of(&h), 0, &bytes.bytes, ph_alloc_libc()),
		                 PH_ERR_CORRUPT);
	}
	free(copy);
	ph_map_free(right);
	release(&made);
	history_release(&h);
}

static void reader_survives_failures(void **state)
{
	struct history h;
	uint32_t tips[3];
	struct made made;
	struct ph_map *right;
	struct ph_map *map;
	struct ph_test_faults faults = {0};
	struct ph_test_alloc memory;

	(void)state;
	small_history(&h, tips);
	make(&made, &h, tips, 3);
	right = open_map(&made, &h);
	for (uint64_t i = 1;; i++) {
		enum ph_status status;

		faults = (struct ph_test_faults){.fail_at = i};
		made.bytes.faults = &faults;
		status = ph_map_open(&map, source_of(&h), 0, &made.bytes.bytes, ph_alloc_libc());
		if (status == PH_OK) {
			status = read_all(right, map);
			ph_map_free(map);
		}
		made.bytes.faults = NULL;
		if (faults.calls < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
		assert_int_equal(status, PH_ERR_IO);
	}
	ph_test_alloc_init(&memory);
	memory.fail_at = 1;
	assert_int_equal(ph_map_open(&map, source_of(&h), 0, &made.bytes.bytes, &memory.alloc),
	                 PH_ERR_NOMEM);
	ph_map_free(right);
	ph_map_free(NULL);
	release(&made);
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(random_histories),
	        cmocka_unit_test(a_line),
	        cmocka_unit_test(merges),
	        cmocka_unit_test(an_octopus_of_hundreds),
	        cmocka_unit_test(tags_of_all),
	        cmocka_unit_test(small_ones),
	        cmocka_unit_test(tips_that_are_none),
	        cmocka_unit_test(takes_no_more_than_is_said),
	        cmocka_unit_test(packs_that_are_not_closed),
	        cmocka_unit_test(a_pack_beside_another),
	        cmocka_unit_test(damaged_objects),
	        cmocka_unit_test(a_circle),
	        cmocka_unit_test(survives_failing_memory),
	        cmocka_unit_test(survives_failing_reads_and_writes),
	        cmocka_unit_test(notices_every_damaged_byte),
	        cmocka_unit_test(reader_survives_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
