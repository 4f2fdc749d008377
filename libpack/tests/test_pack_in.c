/* SPDX-License-Identifier: MIT */
/*
 * Pack-in: good packs in both object formats, fed in every way, give the run that was sent and the
 * index that belongs to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdlib.h>

static void feed_and_expect(const struct ph_test_pack *pack, const struct ph_test_buf *file,
                            const struct feeding *feeding)
{
	struct ph_test_alloc memory;
	struct intake intake;

	ph_test_alloc_init(&memory);
	intake_init(&intake, pack->algo, &memory.alloc, NULL);
	intake_feed(&intake, file->data, file->len, feeding);
	expect_pack(&intake, pack);
	assert_int_equal(intake.used, file->len);
	assert_int_equal(intake.stats.announced, pack->count);
	assert_int_equal(intake.stats.received, pack->count);
	assert_int_equal(intake.stats.bytes, file->len);
	assert_int_equal(intake.stats.resolved, intake.stats.deltas);
	assert_int_equal(intake.stats.bases_added, 0);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
}

static void test_empty(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct feeding whole = {0};
	struct feeding bytes = {.piece = 1, .budget = 1};

	ph_test_pack_init(&pack, algo);
	ph_test_packfile(&pack, &file);
	feed_and_expect(&pack, &file, &whole);
	feed_and_expect(&pack, &file, &bytes);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

static void test_mixed(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	static const struct feeding feedings[] = {
	        {0}, {.budget = 1}, {.piece = 7}, {.piece = 4096, .budget = 3}, {.piece = 65536},
	};
	uint64_t seed;

	for (seed = 1; seed <= 4; seed++) {
		struct ph_test_pack pack;
		struct ph_test_buf file = {0};
		size_t i;
		build_mixed(&pack, algo, seed);
		ph_test_packfile(&pack, &file);
		for (i = 0; i < sizeof(feedings) / sizeof(feedings[0]); i++)
			feed_and_expect(&pack, &file, &feedings[i]);
		ph_test_buf_release(&file);
		ph_test_pack_release(&pack);
	}
}

static void test_split(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct ph_test_rng rng;
	struct feeding bytes = {.piece = 1};
	struct feeding random = {.piece = 3000, .rng = &rng};
	uint64_t seed;

	build_mixed(&pack, algo, 9);
	ph_test_packfile(&pack, &file);
	feed_and_expect(&pack, &file, &bytes);
	for (seed = 0; seed < 10; seed++) {
		ph_test_rng_init(&rng, seed);
		random.budget = seed % 2 == 0 ? 0 : 1 + ph_test_rng_below(&rng, 20);
		feed_and_expect(&pack, &file, &random);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* It takes nothing behind the trailer, and says that there is an end before all has been read. */
static void test_stops_at_the_end(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct intake intake;
	size_t whole;

	build_mixed(&pack, algo, 3);
	ph_test_packfile(&pack, &file);
	whole = file.len;
	ph_test_buf_append(&file, "PACK and more", 13);
	intake_init(&intake, algo, ph_alloc_libc(), NULL);
	intake_file(&intake, &file);
	expect_pack(&intake, &pack);
	assert_int_equal(intake.used, whole);
	intake_release(&intake);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* A chain in which every object is a delta on the one before; ref: with REF_DELTAs. */
static void build_chain(struct ph_test_pack *pack, enum ph_hash_algo algo, uint32_t links, bool ref)
{
	uint32_t i;

	ph_test_pack_init(pack, algo);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, "0000", 4);
	for (i = 0; i < links; i++) {
		uint8_t data[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8),
		                   (uint8_t)i};
		if (ref)
			(void)ph_test_pack_add_ref(pack, i, data, 4);
		else
			(void)ph_test_pack_add_ofs(pack, i, data, 4);
	}
}

/* As deep as git writes, and one link more; SHA-1 with OFS_DELTAs, SHA-256 with REF_DELTAs. */
static void test_deep(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	uint32_t max;

	build_chain(&pack, algo, 4095, algo == PH_HASH_SHA256);
	ph_test_packfile(&pack, &file);
	for (max = 4093; max <= 4095; max++) {
		struct intake intake;
		intake_init(&intake, algo, ph_alloc_libc(), NULL);
		assert_int_equal(intake.limits.delta_depth_max, 4095);
		intake.limits.delta_depth_max = max;
		intake_file(&intake, &file);
		if (max == 4095)
			expect_pack(&intake, &pack);
		else
			assert_int_equal(intake.status, PH_ERR_LIMIT);
		intake_release(&intake);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/*
 * Families that do not fit the cache: content of the path is dropped and made again. Every node has
 * several children with children of their own.
 */
static void test_small_cache(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct ph_test_rng rng;
	uint8_t data[5000];
	uint32_t i;
	uint64_t cache;

	ph_test_rng_init(&rng, 5);
	ph_test_rng_fill(&rng, data, sizeof(data));
	ph_test_pack_init(&pack, algo);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, data, sizeof(data));
	for (i = 1; i < 400; i++) {
		uint32_t base = i < 60 ? i - 1 : ph_test_rng_below(&rng, i);
		data[ph_test_rng_below(&rng, sizeof(data))] ^= 0x55;
		memcpy(data + 2500, &i, sizeof(i));
		if (i % 3 == 0)
			(void)ph_test_pack_add_ref(&pack, base, data, sizeof(data));
		else
			(void)ph_test_pack_add_ofs(&pack, base, data, sizeof(data));
	}
	ph_test_packfile(&pack, &file);
	for (cache = 0; cache < 60000; cache = cache * 3 + 1) {
		struct intake intake;
		struct feeding feeding = {.budget = 5};
		intake_init(&intake, algo, ph_alloc_libc(), NULL);
		intake.limits.delta_cache_bytes_max = cache;
		intake_feed(&intake, file.data, file.len, &feeding);
		expect_pack(&intake, &pack);
		intake_release(&intake);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* Memory does not follow what a header promises, and is small per object. */
static void test_memory(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_alloc memory;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct intake intake;
	int64_t fixed;
	uint32_t i;

	ph_test_alloc_init(&memory);
	ph_test_pack_init(&pack, algo);
	ph_test_packfile_announce(&pack, 100000000, &file);
	intake_init(&intake, algo, &memory.alloc, NULL);
	assert_int_not_equal(intake_file(&intake, &file), PH_OK);
	fixed = memory.peak_bytes;
	assert_true(fixed < 300000);
	intake_release(&intake);

	for (i = 0; i < 20000; i++)
		(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, &i, sizeof(i));
	ph_test_buf_clear(&file);
	ph_test_packfile(&pack, &file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, algo, &memory.alloc, NULL);
	intake_file(&intake, &file);
	expect_pack(&intake, &pack);
	/* The tables are exact here, as they stop growing at the announced number. */
	assert_true(memory.peak_bytes < fixed + 600000 + 20000 * 72);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* No call works on after its budget is spent by more than a step. */
static void test_budget(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct intake intake;
	size_t used;
	uint32_t budget = 0;
	uint8_t *zeros = calloc(1, 20 << 20);

	ph_test_pack_init(&pack, algo);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, zeros, 20 << 20);
	ph_test_packfile(&pack, &file);
	intake_init(&intake, algo, ph_alloc_libc(), NULL);
	assert_int_equal(ph_pack_in_new(&intake.in, &intake.options), PH_OK);
	assert_int_equal(ph_pack_in_write(intake.in, file.data, file.len, &used, &budget),
	                 PH_AGAIN);
	assert_int_equal(used, 0);
	/* 20 MiB of zeros come out of 20 KB: one unit must not see more than a window or two. */
	budget = 1;
	assert_int_equal(ph_pack_in_write(intake.in, file.data, file.len, &used, &budget),
	                 PH_AGAIN);
	assert_true(used > 0 && used < 2000);
	intake_release(&intake);
	free(zeros);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

int main(void)
{
	static enum ph_hash_algo algos[] = {PH_HASH_SHA1, PH_HASH_SHA256};
	void *sha1 = &algos[0];
	void *sha256 = &algos[1];
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_prestate(test_empty, sha1),
	        cmocka_unit_test_prestate(test_empty, sha256),
	        cmocka_unit_test_prestate(test_mixed, sha1),
	        cmocka_unit_test_prestate(test_mixed, sha256),
	        cmocka_unit_test_prestate(test_split, sha1),
	        cmocka_unit_test_prestate(test_split, sha256),
	        cmocka_unit_test_prestate(test_stops_at_the_end, sha1),
	        cmocka_unit_test_prestate(test_stops_at_the_end, sha256),
	        cmocka_unit_test_prestate(test_deep, sha1),
	        cmocka_unit_test_prestate(test_deep, sha256),
	        cmocka_unit_test_prestate(test_small_cache, sha1),
	        cmocka_unit_test_prestate(test_small_cache, sha256),
	        cmocka_unit_test_prestate(test_memory, sha1),
	        cmocka_unit_test_prestate(test_memory, sha256),
	        cmocka_unit_test_prestate(test_budget, sha1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
