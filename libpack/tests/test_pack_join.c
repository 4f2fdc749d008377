/* SPDX-License-Identifier: MIT */
/*
 * Joining packs: random packs with copies of each other's objects and all kinds of deltas; each
 * object comes out once and as it was, whatever the budget; what a walk left out is gone; damage
 * and failures are errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/footprint.h>
#include <packhorse/pack_join.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKS_MAX 6u
#define TEXT_BYTES 400u

struct joined {
	struct ph_test_sink run, index;
	struct ph_pack_join_stats stats;
	enum ph_status status;
};

static void joined_release(struct joined *joined)
{
	ph_test_sink_release(&joined->run);
	ph_test_sink_release(&joined->index);
}

struct scene {
	struct ph_test_pack packs[PACKS_MAX];
	struct ph_test_source source;
	uint32_t count;
	struct ph_limits limits;
	struct ph_test_alloc memory;
	struct ph_walk *walk;
};

static void scene_release(struct scene *scene)
{
	ph_walk_free(scene->walk);
	ph_test_source_release(&scene->source);
	for (uint32_t i = 0; i < scene->count; i++)
		ph_test_pack_release(&scene->packs[i]);
	assert_int_equal(scene->memory.live, 0);
}

/* A blob whose text follows from its number alone. */
static void text_of(uint32_t number, char text[TEXT_BYTES])
{
	struct ph_test_rng rng;

	ph_test_rng_init(&rng, number / 8);
	ph_test_rng_text(&rng, text, TEXT_BYTES);
	snprintf(text, TEXT_BYTES, "%u", number);
}

static bool has(const struct ph_test_pack *pack, const struct ph_oid *oid)
{
	for (uint32_t i = 0; i < pack->count; i++)
		if (memcmp(pack->entries[i].oid.bytes, oid->bytes, PH_OID_BYTES_MAX) == 0)
			return true;
	return false;
}

static void add_blob(struct ph_test_pack *pack, struct ph_test_rng *rng, uint32_t number)
{
	char text[TEXT_BYTES], other[TEXT_BYTES];
	struct ph_oid oid;
	uint32_t how = ph_test_rng_below(rng, 4), at;

	text_of(number, text);
	ph_hash_object(&oid, pack->algo, PH_OBJ_BLOB, text, TEXT_BYTES);
	if (has(pack, &oid))
		return;
	at = pack->count ? ph_test_rng_below(rng, pack->count) : 0;
	if (how == 0 || pack->count == 0) {
		ph_test_pack_add(pack, PH_OBJ_BLOB, text, TEXT_BYTES);
	} else if (how == 1) {
		ph_test_pack_add_ofs(pack, at, text, TEXT_BYTES);
	} else if (how == 2) {
		ph_test_pack_add_ref(pack, at, text, TEXT_BYTES);
	} else {
		/* On a base that stands behind it, as in a thin pack that was completed. */
		text_of(number ^ 1, other);
		ph_hash_object(&oid, pack->algo, PH_OBJ_BLOB, other, TEXT_BYTES);
		if (has(pack, &oid)) {
			ph_test_pack_add_ofs(pack, at, text, TEXT_BYTES);
			return;
		}
		ph_test_pack_add_thin(pack, PH_OBJ_BLOB, &oid, other, TEXT_BYTES, text, TEXT_BYTES);
		ph_test_pack_add(pack, PH_OBJ_BLOB, other, TEXT_BYTES);
	}
}

static void scene_init(struct scene *scene, enum ph_hash_algo algo, uint64_t seed, uint32_t packs,
                       uint32_t objects)
{
	struct ph_test_rng rng;

	memset(scene, 0, sizeof(*scene));
	ph_test_alloc_init(&scene->memory);
	ph_limits_init(&scene->limits);
	ph_test_rng_init(&rng, seed);
	scene->count = packs;
	for (uint32_t i = 0; i < packs; i++) {
		uint32_t count = ph_test_rng_below(&rng, objects + 1);

		ph_test_pack_init(&scene->packs[i], algo);
		for (uint32_t j = 0; j < count; j++)
			add_blob(&scene->packs[i], &rng, ph_test_rng_below(&rng, 2 * objects));
	}
	ph_test_source_init(&scene->source, scene->packs, packs);
}

static struct joined join_some(struct scene *scene, const uint32_t *packs, uint32_t count,
                               uint32_t slice, uint64_t full_at)
{
	const struct ph_bytes *indexes[PACKS_MAX];
	struct joined joined = {0};
	struct ph_pack_join_options options = {.source = &scene->source.set.source,
	                                       .packs = packs,
	                                       .indexes = indexes,
	                                       .count = count,
	                                       .walk = scene->walk,
	                                       .run = &joined.run.sink,
	                                       .index = &joined.index.sink,
	                                       .alloc = &scene->memory.alloc,
	                                       .limits = &scene->limits};
	struct ph_pack_join *join = NULL;

	for (uint32_t i = 0; i < count; i++)
		indexes[i] = &scene->source.index_bytes[packs[i]].bytes;
	ph_test_sink_init(&joined.run);
	ph_test_sink_init(&joined.index);
	if (full_at)
		joined.run.size_max = full_at;
	joined.status = ph_pack_join_new(&join, &options);
	while (joined.status == PH_OK || joined.status == PH_AGAIN) {
		uint32_t budget = slice;

		joined.status = ph_pack_join_run(join, &budget);
		if (joined.status == PH_OK)
			break;
	}
	if (joined.status == PH_OK)
		joined.stats = *ph_pack_join_stats(join);
	for (uint32_t i = 0; i < count && joined.status == PH_OK; i++)
		for (uint32_t pos = 0; pos < scene->packs[packs[i]].count; pos++) {
			uint32_t rank;

			if (ph_pack_join_rank(join, i, pos, &rank))
				assert_true(rank < joined.stats.objects);
			else
				assert_non_null(scene->walk);
		}
	ph_pack_join_free(join);
	return joined;
}

/* Every object of the result is what its id says, and found; the trailer is right. */
static void check(struct scene *scene, struct joined *joined)
{
	enum ph_hash_algo algo = scene->source.set.source.algo;
	struct ph_test_bytes run, index;
	struct ph_pack pack = {0};
	const struct ph_pack *pointer = &pack;
	struct ph_pack_set set;
	struct ph_reader *reader;
	struct ph_oid oid;
	struct ph_hash hash;
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};

	ph_test_bytes_init(&run, joined->run.buf.data, joined->run.buf.len);
	ph_test_bytes_init(&index, joined->index.buf.data, joined->index.buf.len);
	pack.run = &run.bytes;
	assert_int_equal(ph_index_init(&pack.index, &index.bytes, algo), PH_OK);
	assert_int_equal(pack.index.entries, joined->stats.objects);
	assert_int_equal(pack.index.run_bytes, joined->run.buf.len);
	header[10] = (uint8_t)(joined->stats.objects >> 8);
	header[11] = (uint8_t)joined->stats.objects;
	ph_hash_init(&hash, algo);
	ph_hash_update(&hash, header, sizeof(header));
	ph_hash_update(&hash, joined->run.buf.data, joined->run.buf.len);
	ph_hash_final(&hash, &oid);
	assert_memory_equal(oid.bytes, pack.index.trailer.bytes, ph_hash_bytes(algo));
	ph_pack_set_init(&set, algo, NULL, &pointer, 1);
	assert_int_equal(ph_reader_new(&reader, &set.source, &scene->memory.alloc, &scene->limits),
	                 PH_OK);
	for (uint32_t pos = 0; pos < joined->stats.objects; pos++) {
		struct ph_loc loc = {0, pos}, found;
		struct ph_entry entry;
		struct ph_entry_header stored;
		struct ph_object object;

		assert_int_equal(set.source.ops->entry(&set.source, loc, &entry), PH_OK);
		assert_int_equal(set.source.ops->find(&set.source, &entry.oid, &found), PH_OK);
		assert_int_equal(found.pos, pos);
		assert_int_equal(ph_entry_header_read(&set.source, 0, entry.offset, &stored),
		                 PH_OK);
		assert_int_equal(stored.type > PH_OBJ_TAG, entry.delta);
		assert_int_equal(ph_reader_read(reader, loc, UINT64_MAX, &object), PH_OK);
		assert_int_equal(object.size, entry.size);
		ph_hash_object(&oid, algo, object.type, object.data, object.size);
		assert_memory_equal(oid.bytes, entry.oid.bytes, PH_OID_BYTES_MAX);
		ph_object_release(reader, &object);
	}
	ph_reader_free(reader);
}

/* Whether the result has an id. */
static bool joined_has(struct scene *scene, struct joined *joined, const struct ph_oid *oid)
{
	struct ph_test_bytes bytes;
	struct ph_index index;
	uint32_t pos;

	ph_test_bytes_init(&bytes, joined->index.buf.data, joined->index.buf.len);
	assert_int_equal(ph_index_init(&index, &bytes.bytes, scene->source.set.source.algo), PH_OK);
	return ph_index_find(&index, oid, &pos) == PH_OK;
}

static const uint32_t all_packs[PACKS_MAX] = {0, 1, 2, 3, 4, 5};

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 120; seed++) {
		enum ph_hash_algo algo = seed % 5 == 0 ? PH_HASH_SHA256 : PH_HASH_SHA1;
		uint32_t some[3] = {0, 2, 3};
		struct scene scene;
		struct joined joined, again;

		scene_init(&scene, algo, seed, 1 + (uint32_t)(seed % PACKS_MAX),
		           seed < 100 ? 30 : 300);
		joined = join_some(&scene, all_packs, scene.count, 100000, 0);
		assert_int_equal(joined.status, PH_OK);
		check(&scene, &joined);
		assert_int_equal(joined.stats.encoded, 0);
		for (uint32_t i = 0; i < scene.count; i++)
			for (uint32_t j = 0; j < scene.packs[i].count; j++)
				assert_true(joined_has(&scene, &joined,
				                       &scene.packs[i].entries[j].oid));
		again = join_some(&scene, all_packs, scene.count, 1, 0);
		assert_int_equal(again.run.buf.len, joined.run.buf.len);
		if (again.run.buf.len)
			assert_memory_equal(again.run.buf.data, joined.run.buf.data,
			                    again.run.buf.len);
		assert_memory_equal(again.index.buf.data, joined.index.buf.data,
		                    joined.index.buf.len);
		joined_release(&again);
		joined_release(&joined);
		if (scene.count > 3) {
			joined = join_some(&scene, some, 3, 1000, 0);
			assert_int_equal(joined.status, PH_OK);
			check(&scene, &joined);
			joined_release(&joined);
		}
		scene_release(&scene);
	}
}

/* A delta on each other in two packs: kept copies are of the first, so there is no cycle. */
static void test_crossed_deltas(void **state)
{
	struct scene scene = {.count = 2};
	struct joined joined;
	char a[TEXT_BYTES], b[TEXT_BYTES];

	(void)state;
	ph_test_alloc_init(&scene.memory);
	ph_limits_init(&scene.limits);
	text_of(0, a);
	text_of(1, b);
	for (unsigned i = 0; i < 2; i++) {
		ph_test_pack_init(&scene.packs[i], PH_HASH_SHA1);
		ph_test_pack_add(&scene.packs[i], PH_OBJ_BLOB, i ? a : b, TEXT_BYTES);
		ph_test_pack_add_ofs(&scene.packs[i], 0, i ? b : a, TEXT_BYTES);
	}
	ph_test_source_init(&scene.source, scene.packs, 2);
	joined = join_some(&scene, all_packs, 2, 10, 0);
	assert_int_equal(joined.status, PH_OK);
	assert_int_equal(joined.stats.objects, 2);
	check(&scene, &joined);
	joined_release(&joined);
	scene_release(&scene);
}

/* Chains of several packs on each other's ends: they stay as short as the limit says. */
static void test_depth(void **state)
{
	struct scene scene = {.count = 4};
	struct joined joined;
	char text[TEXT_BYTES];

	(void)state;
	ph_test_alloc_init(&scene.memory);
	ph_limits_init(&scene.limits);
	for (uint32_t i = 0; i < 4; i++) {
		ph_test_pack_init(&scene.packs[i], PH_HASH_SHA1);
		/* The last of the pack before, then six on each other. */
		for (uint32_t j = 0; j < 7; j++) {
			text_of(6 * i + j, text);
			if (j == 0)
				ph_test_pack_add(&scene.packs[i], PH_OBJ_BLOB, text, TEXT_BYTES);
			else
				ph_test_pack_add_ofs(&scene.packs[i], j - 1, text, TEXT_BYTES);
		}
	}
	ph_test_source_init(&scene.source, scene.packs, 4);
	scene.limits.delta_depth_max = 24;
	joined = join_some(&scene, all_packs, 4, 10, 0);
	assert_int_equal(joined.status, PH_OK);
	assert_int_equal(joined.stats.encoded, 0);
	check(&scene, &joined);
	joined_release(&joined);
	scene.limits.delta_depth_max = 7;
	joined = join_some(&scene, all_packs, 4, 10, 0);
	assert_int_equal(joined.status, PH_OK);
	assert_int_equal(joined.stats.encoded, 3);
	check(&scene, &joined);
	joined_release(&joined);
	scene_release(&scene);
}

static void walk_of(struct scene *scene, const struct ph_oid *want)
{
	struct ph_walk_options options = {.source = &scene->source.set.source,
	                                  .alloc = &scene->memory.alloc,
	                                  .limits = &scene->limits};
	enum ph_status status;

	assert_int_equal(ph_walk_new(&scene->walk, &options), PH_OK);
	assert_int_equal(ph_walk_want(scene->walk, want), PH_OK);
	do {
		uint32_t budget = 100;

		status = ph_walk_run(scene->walk, &budget);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
}

/* What a walk selected is kept, its deltas on what was not become whole objects. */
static void test_selected(void **state)
{
	struct scene scene = {.count = 2};
	struct ph_test_buf tree = {0};
	struct joined joined;
	char text[TEXT_BYTES];
	uint32_t entry;

	(void)state;
	ph_test_alloc_init(&scene.memory);
	ph_limits_init(&scene.limits);
	for (uint32_t i = 0; i < 2; i++) {
		ph_test_pack_init(&scene.packs[i], PH_HASH_SHA1);
		for (uint32_t j = 0; j < 4; j++) {
			text_of(2 * i + j, text);
			if (j == 0)
				ph_test_pack_add(&scene.packs[i], PH_OBJ_BLOB, text, TEXT_BYTES);
			else
				ph_test_pack_add_ofs(&scene.packs[i], j - 1, text, TEXT_BYTES);
		}
	}
	/* Of the six blobs, the second and the last two. */
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100644, "a", &scene.packs[0].entries[1].oid);
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100644, "b", &scene.packs[1].entries[2].oid);
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100644, "c", &scene.packs[1].entries[3].oid);
	entry = ph_test_pack_add(&scene.packs[1], PH_OBJ_TREE, tree.data, tree.len);
	ph_test_source_init(&scene.source, scene.packs, 2);
	walk_of(&scene, &scene.packs[1].entries[entry].oid);
	joined = join_some(&scene, all_packs, 2, 3, 0);
	assert_int_equal(joined.status, PH_OK);
	assert_int_equal(joined.stats.objects, 4);
	assert_int_equal(joined.stats.dropped, 3);
	assert_int_equal(joined.stats.encoded, 2);
	check(&scene, &joined);
	joined_release(&joined);
	/* What is too large to be in memory is encoded again in parts. */
	scene.limits.delta_resident_bytes_max = TEXT_BYTES - 1;
	joined = join_some(&scene, all_packs, 2, 3, 0);
	assert_int_equal(joined.status, PH_OK);
	assert_int_equal(joined.stats.encoded, 2);
	scene.limits.delta_resident_bytes_max = TEXT_BYTES;
	check(&scene, &joined);
	joined_release(&joined);
	ph_test_buf_release(&tree);
	scene_release(&scene);
}

static void test_failures(void **state)
{
	struct scene scene;
	struct joined joined;
	uint64_t calls;

	(void)state;
	scene_init(&scene, PH_HASH_SHA1, 7, 3, 30);
	joined = join_some(&scene, all_packs, 3, 50, 0);
	assert_int_equal(joined.status, PH_OK);
	joined_release(&joined);
	/* No room, at several places. */
	for (uint64_t room = 1; room < 4000; room += 500) {
		joined = join_some(&scene, all_packs, 3, 50, room);
		assert_int_equal(joined.status, PH_ERR_FULL);
		joined_release(&joined);
	}
	/* Every read, and every allocation, in turn. */
	for (uint64_t i = 1;; i++) {
		scene.source.faults = (struct ph_test_faults){.fail_at = i};
		joined = join_some(&scene, all_packs, 3, 50, 0);
		joined_release(&joined);
		if (scene.source.faults.calls < i)
			break;
		assert_int_equal(joined.status, PH_ERR_IO);
	}
	assert_int_equal(joined.status, PH_OK);
	scene.source.faults.fail_at = 0;
	for (uint64_t i = 1;; i++) {
		calls = scene.memory.calls;
		scene.memory.fail_at = calls + i;
		joined = join_some(&scene, all_packs, 3, 50, 0);
		joined_release(&joined);
		if (scene.memory.calls < calls + i)
			break;
		assert_int_equal(joined.status, PH_ERR_NOMEM);
	}
	assert_int_equal(joined.status, PH_OK);
	scene.memory.fail_at = 0;
	scene_release(&scene);
}

/* Damaged runs and indexes: an error or a pack, never a hang or a read outside. */
static void test_damage(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 3);
	for (unsigned i = 0; i < 400; i++) {
		struct scene scene;
		struct joined joined;
		struct ph_test_buf *buf;

		scene_init(&scene, PH_HASH_SHA1, i % 10, 3, 20);
		buf = i % 2 ? &scene.source.indexes[i % 3] : &scene.packs[i % 3].run;
		if (buf->len)
			buf->data[ph_test_rng_below(&rng, (uint32_t)buf->len)] ^=
			        (uint8_t)(1u << ph_test_rng_below(&rng, 8));
		joined = join_some(&scene, all_packs, 3, 1000, 0);
		assert_true(joined.status <= 0);
		joined_release(&joined);
		scene_release(&scene);
	}
}

/* What it takes is no more than is reckoned with. */
static void test_footprint(void **state)
{
	struct scene scene;
	struct joined joined;

	(void)state;
	scene_init(&scene, PH_HASH_SHA1, 11, 5, 600);
	scene.memory.peak_bytes = 0;
	joined = join_some(&scene, all_packs, 5, 1000, 0);
	assert_int_equal(joined.status, PH_OK);
	assert_true((uint64_t)scene.memory.peak_bytes <=
	            ph_footprint_pack_join(&scene.limits, 5 * 1200));
	joined_release(&joined);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_random),    cmocka_unit_test(test_crossed_deltas),
	        cmocka_unit_test(test_depth),     cmocka_unit_test(test_selected),
	        cmocka_unit_test(test_failures),  cmocka_unit_test(test_damage),
	        cmocka_unit_test(test_footprint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
