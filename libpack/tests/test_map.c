/* SPDX-License-Identifier: MIT */
/*
 * Maps of histories of many shapes against a naive search: the graph, the types and every bitmap,
 * however the maker's work is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "map_util.h"
#include <packhorse/footprint.h>
#include <stdio.h>
#include <stdlib.h>

static void check_history(struct history *h, const uint32_t *tips, uint32_t count)
{
	struct made made;
	struct made slow;

	history_seal(h, NULL);
	made_make(&made, h, tips, count);
	made_check(&made, h, tips, count);
	/* However its work is cut, it makes the same. */
	assert_int_equal(made_make_with(&slow, h, tips, count, 1, ph_alloc_libc()), PH_OK);
	assert_int_equal(slow.sink.buf.len, made.sink.buf.len);
	assert_memory_equal(slow.sink.buf.data, made.sink.buf.data, made.sink.buf.len);
	made_release(&slow);
	made_release(&made);
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
		h.oldest_first = round % 4 < 2;
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

/* At first every eighteenth commit is a tip, later none is. */
static void a_line(void **state)
{
	struct history h;
	uint32_t tips[20];
	uint32_t commit = NODE_NONE;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	for (uint32_t i = 0; i < 700; i++) {
		commit = history_commit(&h, content(&h, i), &commit, i > 0, 1000 + i);
		if (i % 18 == 0 && i < 360) {
			tips[i / 18] = commit;
		}
	}
	check_history(&h, tips, 20);
}

static void check_merges(bool oldest_first)
{
	struct history h;
	uint32_t roots[5];
	uint32_t pair[2];
	uint32_t tips[3];

	history_init(&h, PH_HASH_SHA256);
	h.oldest_first = oldest_first;
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

static void merges(void **state)
{
	(void)state;
	check_merges(false);
	check_merges(true);
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

/* --- Trees of every kind --- */

struct named {
	char name[8];
	uint32_t node; /* NODE_NONE for a submodule */
	bool tree;
};

/* git's order: that of a directory's name is as if a slash followed. */
static int by_name(const void *a, const void *b)
{
	const struct named *x = a;
	const struct named *y = b;
	char left[10];
	char right[10];

	snprintf(left, sizeof left, "%s%s", x->name, x->tree ? "/" : "");
	snprintf(right, sizeof right, "%s%s", y->name, y->tree ? "/" : "");
	return strcmp(left, right);
}

static uint32_t named_tree(struct history *h, struct named *items, uint32_t count)
{
	struct ph_test_buf text = {0};
	struct ph_oid fake = ph_test_oid_fake(h->algo, 0x66);
	uint32_t *links = calloc((size_t)count + 1, sizeof *links);
	uint32_t node;

	assert_non_null(links);
	qsort(items, count, sizeof *items, by_name);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t mode = items[i].tree ? 040000 : 0100644;

		links[i] = items[i].node;
		ph_test_tree_entry(&text, h->algo, links[i] == NODE_NONE ? 0160000 : mode,
		                   items[i].name,
		                   links[i] == NODE_NONE ? &fake : &h->nodes[links[i]].oid);
	}
	node = history_raw(h, PH_OBJ_TREE, text.data, text.len, links, count);
	ph_test_buf_release(&text);
	free(links);
	return node;
}

/* Names that sort differently as files and as directories come, go and change what they are. */
static uint32_t wild_tree(struct history *h, struct ph_test_rng *rng, const uint32_t *below,
                          uint32_t below_count)
{
	static const char *const names[] = {"a", "a-b", "a.c", "a0", "aa", "b", "b!"};
	struct named items[8];
	uint32_t count = 0;

	for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct named *item = &items[count];
		uint32_t kind = ph_test_rng_below(rng, 8);

		if (kind < 2) {
			continue;
		}
		snprintf(item->name, sizeof item->name, "%s", names[i]);
		item->tree = kind > 4 && below_count > 0;
		item->node = item->tree  ? below[ph_test_rng_below(rng, below_count)]
		             : kind == 2 ? NODE_NONE
		                         : history_blob(h, ph_test_rng_below(rng, 60));
		count++;
	}
	return named_tree(h, items, count);
}

static void trees_that_change_much(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 8);
	for (int round = 0; round < 8; round++) {
		struct history h;
		uint32_t trees[400];
		uint32_t count = 0;
		uint32_t tips[5];

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		while (count < 200) {
			trees[count] = wild_tree(&h, &rng, trees, count);
			count++;
		}
		for (uint32_t i = 0; i < 150; i++) {
			uint32_t parent =
			        i > 0 ? h.commits[i - 1 - ph_test_rng_below(&rng, i < 4 ? i : 4)]
			              : 0;

			history_commit(&h, trees[ph_test_rng_below(&rng, count)], &parent, i > 0,
			               i);
		}
		for (uint32_t i = 0; i < 5; i++) {
			tips[i] = h.commits[149 - 7 * i];
		}
		check_history(&h, tips, 5);
	}
}

/* A directory that is compared in several steps, with entries changed, added and taken away. */
static void a_large_directory(void **state)
{
	enum { LARGE = 3000 };
	struct ph_test_rng rng;
	struct history h;
	struct named *items = calloc(LARGE, sizeof *items);
	uint32_t parent = 0;

	(void)state;
	assert_non_null(items);
	ph_test_rng_init(&rng, 9);
	history_init(&h, PH_HASH_SHA1);
	for (uint32_t i = 0; i < LARGE; i++) {
		snprintf(items[i].name, sizeof items[i].name, "f%05u", (unsigned)i);
		items[i].node = history_blob(&h, i % 100);
	}
	for (uint32_t round = 0; round < 12; round++) {
		uint32_t changes = round % 3 == 0 ? 200 : 3;
		uint32_t from = ph_test_rng_below(&rng, LARGE / 2);
		uint32_t tree;

		for (uint32_t i = 0; i < changes; i++) {
			items[ph_test_rng_below(&rng, LARGE)].node =
			        history_blob(&h, 100 + ph_test_rng_below(&rng, 500));
		}
		tree = named_tree(&h, items + (round % 4 == 1 ? from : 0),
		                  round % 4 == 0 ? LARGE : LARGE - from);
		parent = history_commit(&h, tree, &parent, round > 0, round);
	}
	free(items);
	check_history(&h, &parent, 1);
}

/* Objects of two histories in turns, by chance, and long rows of one: all that bits can look like.
 */
static void bitmaps_of_every_kind(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	uint32_t links[3][3000];
	uint32_t counts[3] = {0};
	uint32_t tips[3];

	(void)state;
	ph_test_rng_init(&rng, 10);
	history_init(&h, PH_HASH_SHA1);
	h.unique = true;
	for (uint32_t i = 0; i < 9000; i++) {
		uint32_t who = i < 4000   ? i % 2
		               : i < 6000 ? ph_test_rng_below(&rng, 3)
		                          : i / 1000 % 3;

		if (counts[who] < 3000) {
			links[who][counts[who]++] = history_blob(&h, i);
		}
	}
	for (uint32_t i = 0; i < 3; i++) {
		tips[i] = history_tree(&h, links[i], counts[i]);
		tips[i] = history_commit(&h, tips[i], tips, i == 2 ? 2 : 0, i);
	}
	h.unique = false;
	check_history(&h, tips, 3);
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
	assert_int_equal(
	        ph_map_maker_new(&maker, &(struct ph_map_options){.source = made_source(&h),
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
		assert_int_equal(made_make_with(&made, &h, h.commits, commits > 1 ? 2 : 1, 1000,
		                                &memory.alloc),
		                 PH_OK);
		assert_in_range(memory.peak_bytes, said / 32, said);
		ph_test_alloc_init(&memory);
		assert_int_equal(
		        ph_map_open(&map, made_source(&h), 0, &made.bytes.bytes, &memory.alloc),
		        PH_OK);
		assert_in_range(memory.peak_bytes, 1, ph_footprint_map_reader());
		ph_map_free(map);
		made_release(&made);
		history_release(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(random_histories),
	        cmocka_unit_test(a_line),
	        cmocka_unit_test(merges),
	        cmocka_unit_test(an_octopus_of_hundreds),
	        cmocka_unit_test(trees_that_change_much),
	        cmocka_unit_test(a_large_directory),
	        cmocka_unit_test(bitmaps_of_every_kind),
	        cmocka_unit_test(tags_of_all),
	        cmocka_unit_test(small_ones),
	        cmocka_unit_test(tips_that_are_none),
	        cmocka_unit_test(takes_no_more_than_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
