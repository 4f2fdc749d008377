/* SPDX-License-Identifier: MIT */
/*
 * What has no map, and what breaks one: packs that are not closed, objects that are not what they
 * should be; memory, reads and writes that fail; and every byte of a small map damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "map_util.h"
#include <stdlib.h>

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
		status = made_make_with(&made, &h, &tip, 1, 1000, ph_alloc_libc());
		assert_int_equal(status, named ? PH_ERR_MISSING : PH_OK);
		missing += named;
		made_release(&made);
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

/* One that has as many objects and bytes, even at the same places. */
static void a_map_of_another_pack(void **state)
{
	struct history one;
	struct history other;
	struct made made;
	struct ph_map *map;

	(void)state;
	history_init(&one, PH_HASH_SHA1);
	history_init(&other, PH_HASH_SHA1);
	history_blob(&one, 1);
	history_blob(&other, 2);
	history_seal(&one, NULL);
	history_seal(&other, NULL);
	made_make(&made, &one, NULL, 0);
	assert_int_equal(
	        ph_map_open(&map, made_source(&other), 0, &made.bytes.bytes, ph_alloc_libc()),
	        PH_ERR_UNSUPPORTED);
	made_release(&made);
	history_release(&one);
	history_release(&other);
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
		assert_int_equal(made_make_with(&made, &h, &commit, 1, 9, ph_alloc_libc()),
		                 PH_ERR_CORRUPT);
		made_release(&made);
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
	assert_int_equal(made_make_with(&made, &h, &commit, 1, 9, ph_alloc_libc()), PH_ERR_CORRUPT);
	made_release(&made);
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
		status = made_make_with(&made, &h, tips, 3, 100, &memory.alloc);
		assert_int_equal(memory.live, 0);
		if (status == PH_OK) {
			made_check(&made, &h, tips, 3);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		made_release(&made);
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
		status = made_make_with(&made, &h, tips, 3, 100, ph_alloc_libc());
		made_release(&made);
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
		status = made_run(&h, tips, 3, 100, ph_alloc_libc(), &sink.sink);
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
	uint64_t *words = made_words(right);
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
	made_make(&made, &h, tips, 3);
	right = made_open(&made, &h);
	copy = malloc(made.sink.buf.len);
	assert_non_null(copy);
	for (size_t i = 0; i < 2 * made.sink.buf.len; i++) {
		struct ph_test_bytes bytes;
		struct ph_map *map;
		enum ph_status status;

		memcpy(copy, made.sink.buf.data, made.sink.buf.len);
		copy[i / 2] = (uint8_t)(copy[i / 2] ^ (i % 2 == 0 ? 1u << i / 2 % 8 : 255u));
		ph_test_bytes_init(&bytes, copy, made.sink.buf.len);
		status = ph_map_open(&map, made_source(&h), 0, &bytes.bytes, ph_alloc_libc());
		if (status == PH_OK) {
			status = read_all(right, map);
			/* What was found to be damaged is not believed later. */
			assert_int_equal(read_all(right, map), status);
			ph_map_free(map);
		}
		assert_int_equal(status, PH_ERR_CORRUPT);
	}
	/* Cut short, or with something behind. */
	for (size_t len = 0; len < made.sink.buf.len; len += len % 97 + 1) {
		struct ph_test_bytes bytes;
		struct ph_map *map;

		ph_test_bytes_init(&bytes, made.sink.buf.data, len);
		assert_int_equal(
		        ph_map_open(&map, made_source(&h), 0, &bytes.bytes, ph_alloc_libc()),
		        PH_ERR_CORRUPT);
	}
	free(copy);
	ph_map_free(right);
	made_release(&made);
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
	made_make(&made, &h, tips, 3);
	right = made_open(&made, &h);
	for (uint64_t i = 1;; i++) {
		enum ph_status status;

		faults = (struct ph_test_faults){.fail_at = i};
		made.bytes.faults = &faults;
		status = ph_map_open(&map, made_source(&h), 0, &made.bytes.bytes, ph_alloc_libc());
		if (status == PH_OK) {
			status = read_all(right, map);
			faults.fail_at = 0;
			assert_int_equal(read_all(right, map), PH_OK);
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
	assert_int_equal(ph_map_open(&map, made_source(&h), 0, &made.bytes.bytes, &memory.alloc),
	                 PH_ERR_NOMEM);
	ph_map_free(right);
	ph_map_free(NULL);
	made_release(&made);
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(packs_that_are_not_closed),
	        cmocka_unit_test(a_pack_beside_another),
	        cmocka_unit_test(a_map_of_another_pack),
	        cmocka_unit_test(damaged_objects),
	        cmocka_unit_test(a_circle),
	        cmocka_unit_test(survives_failing_memory),
	        cmocka_unit_test(survives_failing_reads_and_writes),
	        cmocka_unit_test(notices_every_damaged_byte),
	        cmocka_unit_test(reader_survives_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
