/* SPDX-License-Identifier: MIT */
/*
 * Pack-in with limits so small that bases, deltas and results go through the scratch: chains of
 * large blobs under deltas of every make, in memory that stays small.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdlib.h>

static void put_size(struct ph_test_buf *out, uint64_t size)
{
	do {
		uint8_t byte = (uint8_t)(size & 0x7f);
		size >>= 7;
		if (size > 0)
			byte |= 0x80;
		ph_test_buf_append(out, &byte, 1);
	} while (size > 0);
}

/* A copy with all bytes of its arguments written out. */
static void put_copy(struct ph_test_buf *out, size_t offset, size_t size)
{
	uint8_t op[8] = {0xff};
	unsigned i;

	for (i = 0; i < 4; i++)
		op[1 + i] = (uint8_t)(offset >> 8 * i);
	for (i = 0; i < 3; i++)
		op[5 + i] = (uint8_t)(size >> 8 * i);
	ph_test_buf_append(out, op, sizeof(op));
}

static void put_insert(struct ph_test_buf *out, const uint8_t *data, size_t size)
{
	uint8_t op = (uint8_t)size;

	ph_test_buf_append(out, &op, 1);
	ph_test_buf_append(out, data, size);
}

/* How a delta is made: copies of up to copy_max bytes in a fraction of all instructions. */
struct shape {
	uint32_t ops;
	uint32_t copy_max;
	uint32_t copies_of_ten;
};

/* Adds an object made by random instructions on an earlier one. */
static uint32_t add_random(struct ph_test_pack *pack, struct ph_test_rng *rng, uint32_t base,
                           const struct shape *shape, bool ref)
{
	const struct ph_test_entry *on = &pack->entries[base];
	struct ph_test_buf ops = {0};
	struct ph_test_buf result = {0};
	struct ph_test_buf delta = {0};
	struct ph_test_raw raw = {.stored = ref ? PH_OBJ_REF_DELTA : PH_OBJ_OFS_DELTA,
	                          .type = on->type,
	                          .distance = pack->run.len - on->offset,
	                          .base = on->oid};
	uint8_t noise[127];
	uint32_t number;
	uint32_t i;

	for (i = 0; i < shape->ops; i++) {
		if (ph_test_rng_below(rng, 10) < shape->copies_of_ten) {
			size_t at = ph_test_rng_below(rng, (uint32_t)on->size);
			size_t size = 1 + ph_test_rng_below(rng, shape->copy_max);
			if (size > on->size - at)
				size = on->size - at;
			put_copy(&ops, at, size);
			ph_test_buf_append(&result, on->data + at, size);
		} else {
			size_t size = 1 + ph_test_rng_below(rng, 127);
			ph_test_rng_fill(rng, noise, size);
			put_insert(&ops, noise, size);
			ph_test_buf_append(&result, noise, size);
		}
	}
	put_size(&delta, on->size);
	put_size(&delta, result.len);
	ph_test_buf_append(&delta, ops.data, ops.len);
	raw.declared = delta.len;
	raw.content = delta.data;
	raw.content_len = delta.len;
	raw.size = result.len;
	ph_hash_object(&raw.oid, pack->algo, raw.type, result.data, result.len);
	number = ph_test_pack_add_raw(pack, &raw);
	pack->entries[number].data = malloc(result.len);
	memcpy(pack->entries[number].data, result.data, result.len);
	ph_test_buf_release(&ops);
	ph_test_buf_release(&result);
	ph_test_buf_release(&delta);
	return number;
}

struct limits {
	uint64_t resident, cache;
};

/* Returns the most memory that it took. */
static int64_t feed_with(const struct ph_test_pack *pack, const struct limits *limits,
                         uint32_t budget, uint64_t scratch_max)
{
	struct ph_test_alloc memory;
	struct ph_test_buf file = {0};
	struct feeding feeding = {.budget = budget};
	struct intake intake;

	ph_test_alloc_init(&memory);
	ph_test_packfile(pack, &file);
	intake_init(&intake, pack->algo, &memory.alloc, NULL);
	intake.limits.delta_resident_bytes_max = limits->resident;
	intake.limits.delta_cache_bytes_max = limits->cache;
	intake_feed(&intake, file.data, file.len, &feeding);
	expect_pack(&intake, pack);
	assert_true(intake.scratch.buf.len <= scratch_max);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
	ph_test_buf_release(&file);
	return memory.peak_bytes;
}

static void add_noise(struct ph_test_pack *pack, struct ph_test_rng *rng, size_t size)
{
	uint8_t *data = malloc(size);

	ph_test_rng_fill(rng, data, size);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, data, size);
	free(data);
}

/* Families of all shapes under all limits. */
static void test_random(void **state)
{
	static const struct shape shapes[] = {
	        {10, 50000, 8}, {2000, 300, 5}, {1, 1000, 10}, {600, 100, 0}, {3, 200000, 9},
	};
	static const struct limits limits[] = {
	        {0, 0}, {1000, 0}, {1000, 3000}, {30000, 100000}, {100000, 40000}, {400000, 1000},
	};
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 6; seed++) {
		struct ph_test_pack pack;
		struct ph_test_rng rng;
		uint32_t i;
		ph_test_rng_init(&rng, seed);
		ph_test_pack_init(&pack, seed % 2 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		add_noise(&pack, &rng, 150000);
		for (i = 1; i < 25; i++) {
			uint32_t base = ph_test_rng_below(&rng, i);
			const struct shape *shape = &shapes[ph_test_rng_below(&rng, 5)];
			(void)add_random(&pack, &rng, base, shape, ph_test_rng_below(&rng, 2));
		}
		for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
			(void)feed_with(&pack, &limits[i], i % 2 ? 4 : 0, UINT64_MAX);
		ph_test_pack_release(&pack);
	}
}

/* Versions of a large file: the scratch takes the first, and what the others insert. */
static void test_versions(void **state)
{
	static const struct limits limits = {1000, 0};
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	uint8_t *data = malloc(1 << 20);
	uint32_t i;

	(void)state;
	ph_test_rng_init(&rng, 1);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	ph_test_rng_fill(&rng, data, 1 << 20);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, data, 1 << 20);
	for (i = 0; i < 30; i++) {
		ph_test_rng_fill(&rng, data + ph_test_rng_below(&rng, 1000000), 500);
		(void)ph_test_pack_add_ofs(&pack, i, data, 1 << 20);
	}
	(void)feed_with(&pack, &limits, 0, (1 << 20) + 30 * 1000);
	(void)feed_with(&pack, &limits, 1, (1 << 20) + 30 * 1000);
	ph_test_pack_release(&pack);
	free(data);
}

/* A large result in memory whose hash is still behind when the delta ends. */
static void test_hash_behind(void **state)
{
	static const struct limits limits = {16 << 20, 16 << 20};
	static const struct shape shape = {60, 65535, 10};
	struct ph_test_pack pack;
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 2);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	add_noise(&pack, &rng, 1 << 20);
	for (uint32_t i = 0; i < 6; i++)
		(void)add_random(&pack, &rng, 0, &shape, false);
	(void)feed_with(&pack, &limits, 0, UINT64_MAX);
	(void)feed_with(&pack, &limits, 1, UINT64_MAX);
	ph_test_pack_release(&pack);
}

/* More pieces than are kept: the rest of the object is written out, and builds on. */
static void test_many_pieces(void **state)
{
	static const struct shape crumbs = {200000, 3, 10};
	static const struct shape some = {3000, 500, 8};
	static const struct limits limits = {1000, 0};
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	uint32_t last;

	(void)state;
	ph_test_rng_init(&rng, 2);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	add_noise(&pack, &rng, 200000);
	last = add_random(&pack, &rng, 0, &crumbs, false);
	(void)add_random(&pack, &rng, last, &some, false);
	last = add_random(&pack, &rng, last, &crumbs, true);
	(void)add_random(&pack, &rng, last, &some, true);
	/* Without a limit on the pieces, more than 200000 of 16 bytes. */
	assert_true(feed_with(&pack, &limits, 0, UINT64_MAX) < 4000000);
	ph_test_pack_release(&pack);
}

/* Memory is bounded by the limits, whatever the size of the objects; so is that for a huge delta.
 */
static void test_memory(void **state)
{
	static const struct shape inserts = {60000, 1, 0};
	struct ph_test_alloc memory;
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	struct ph_test_buf file = {0};
	struct intake intake;
	uint32_t last;

	(void)state;
	ph_test_rng_init(&rng, 3);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	add_noise(&pack, &rng, 3000000);
	last = add_random(&pack, &rng, 0, &inserts, false);
	(void)add_random(&pack, &rng, last, &inserts, false);
	ph_test_packfile(&pack, &file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, PH_HASH_SHA1, &memory.alloc, NULL);
	intake.limits.delta_resident_bytes_max = 100000;
	intake.limits.delta_cache_bytes_max = 100000;
	intake_file(&intake, &file);
	expect_pack(&intake, &pack);
	assert_true(memory.peak_bytes < 1000000);
	intake_release(&intake);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* Bad deltas are found on the way through the scratch too. */
static void expect_bad(const struct ph_test_buf *delta, size_t result_size)
{
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA, .type = PH_OBJ_BLOB};
	struct ph_test_alloc memory;
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	struct ph_test_buf file = {0};
	struct intake intake;

	ph_test_rng_init(&rng, 4);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	add_noise(&pack, &rng, 100000);
	raw.distance = pack.run.len;
	raw.declared = delta->len;
	raw.content = delta->data;
	raw.content_len = delta->len;
	raw.size = result_size;
	(void)ph_test_pack_add_raw(&pack, &raw);
	ph_test_packfile(&pack, &file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, PH_HASH_SHA1, &memory.alloc, NULL);
	intake.limits.delta_resident_bytes_max = 1000;
	assert_int_equal(intake_file(&intake, &file), PH_ERR_DELTA);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

static void test_bad(void **state)
{
	struct ph_test_buf delta = {0};
	size_t whole;

	(void)state;
	/* Another base size; a copy beyond the base; too much; too little; reserved; cut. */
	put_size(&delta, 99999);
	put_size(&delta, 5000);
	put_copy(&delta, 0, 5000);
	expect_bad(&delta, 5000);
	ph_test_buf_clear(&delta);
	put_size(&delta, 100000);
	put_size(&delta, 5000);
	whole = delta.len;
	put_copy(&delta, 99000, 5000);
	expect_bad(&delta, 5000);
	delta.len = whole;
	put_copy(&delta, 100001, 5000);
	expect_bad(&delta, 5000);
	delta.len = whole;
	put_copy(&delta, 0, 5001);
	expect_bad(&delta, 5000);
	delta.len = whole;
	put_copy(&delta, 0, 4999);
	expect_bad(&delta, 5000);
	put_insert(&delta, (const uint8_t *)"", 0);
	expect_bad(&delta, 5000);
	delta.len = whole;
	put_copy(&delta, 0, 5000);
	delta.len--;
	expect_bad(&delta, 5000);
	delta.len = whole;
	put_copy(&delta, 0, 5000);
	put_insert(&delta, (const uint8_t *)"x", 1);
	expect_bad(&delta, 5000);
	/* Results in memory, from a base that is not: more than there is room for. */
	ph_test_buf_clear(&delta);
	put_size(&delta, 100000);
	put_size(&delta, 500);
	whole = delta.len;
	put_copy(&delta, 7, 5000);
	expect_bad(&delta, 500);
	delta.len = whole;
	put_copy(&delta, 7, 500);
	put_insert(&delta, (const uint8_t *)"xyz", 3);
	expect_bad(&delta, 500);
	ph_test_buf_release(&delta);
}

/* Streams that are longer than a window, of whole objects and of deltas, for results in memory. */
static void test_long_streams(void **state)
{
	const size_t size = 400000;
	struct feeding feeding = {0};
	struct ph_test_buf file = {0};
	struct ph_test_alloc memory;
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	struct intake intake;
	uint8_t *data = malloc(size);

	(void)state;
	assert_non_null(data);
	ph_test_rng_init(&rng, 8);
	ph_test_rng_fill(&rng, data, size);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, data, size);
	/* Most of it is new; then little; then a delta whose stream is as long as its result. */
	ph_test_rng_fill(&rng, data + 1000, size - 2000);
	ph_test_pack_add_ofs(&pack, 0, data, size);
	data[size / 2] ^= 1;
	ph_test_pack_add_ofs(&pack, 1, data, size);
	ph_test_rng_fill(&rng, data, size);
	ph_test_pack_add_ofs(&pack, 2, data, size);
	ph_test_packfile(&pack, &file);
	for (feeding.piece = 0; feeding.piece <= 100000; feeding.piece += 50000) {
		ph_test_alloc_init(&memory);
		intake_init(&intake, PH_HASH_SHA1, &memory.alloc, NULL);
		assert_int_equal(intake_feed(&intake, file.data, file.len, &feeding), PH_OK);
		expect_pack(&intake, &pack);
		intake_release(&intake);
		assert_int_equal(memory.live, 0);
	}
	ph_test_pack_release(&pack);
	ph_test_buf_release(&file);
	free(data);
}

/* A scratch that counts how often it is read; what stands behind it is ph_test_sink's. */
struct counted {
	struct ph_test_sink sink; /* the first member, for ph_test_sink's own functions */
	const struct ph_sink_ops *ops;
	struct ph_sink_ops counting;
	uint64_t reads;
};

static enum ph_status counted_read(struct ph_sink *base, uint64_t offset, void *buf, size_t len)
{
	struct counted *counted = (struct counted *)(void *)base;

	counted->reads++;
	return counted->ops->read(base, offset, buf, len);
}

static void counted_init(struct counted *counted)
{
	ph_test_sink_init(&counted->sink);
	counted->ops = counted->sink.sink.ops;
	counted->counting = *counted->ops;
	counted->counting.read = counted_read;
	counted->sink.sink.ops = &counted->counting;
	counted->reads = 0;
}

/* A delta of copies of one byte from both ends of its base. */
static void add_crumbs(struct ph_test_pack *pack, uint32_t ops)
{
	const struct ph_test_entry *on = &pack->entries[0];
	struct ph_test_buf delta = {0}, result = {0};
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
	                          .type = PH_OBJ_BLOB,
	                          .distance = pack->run.len - on->offset};

	put_size(&delta, on->size);
	put_size(&delta, ops);
	for (uint32_t i = 0; i < ops; i++) {
		size_t at = i % 2 ? on->size - 100000 + i : i;

		put_copy(&delta, at, 1);
		ph_test_buf_append(&result, on->data + at, 1);
	}
	raw.declared = raw.content_len = delta.len;
	raw.content = delta.data;
	raw.size = result.len;
	ph_hash_object(&raw.oid, pack->algo, raw.type, result.data, result.len);
	(void)ph_test_pack_add_raw(pack, &raw);
	ph_test_buf_release(&delta);
	ph_test_buf_release(&result);
}

/* What is read of the scratch is work, too: a call of run ends with its budget. */
static void test_reads_are_work(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	struct ph_test_buf file = {0};
	struct intake intake;
	struct counted scratch;
	size_t used;
	uint32_t budget = UINT32_MAX;
	uint64_t most = 0;
	enum ph_status status = PH_AGAIN;

	(void)state;
	ph_test_rng_init(&rng, 5);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	add_noise(&pack, &rng, 4 << 20);
	add_crumbs(&pack, 20000);
	ph_test_packfile(&pack, &file);
	intake_init(&intake, PH_HASH_SHA1, ph_alloc_libc(), NULL);
	counted_init(&scratch);
	intake.options.scratch = &scratch.sink.sink;
	intake.limits.delta_resident_bytes_max = 1 << 20;
	assert_int_equal(ph_pack_in_new(&intake.in, &intake.options), PH_OK);
	assert_int_equal(ph_pack_in_write(intake.in, file.data, file.len, &used, &budget), PH_END);
	while (status == PH_AGAIN) {
		uint64_t before = scratch.reads;

		budget = 256;
		status = ph_pack_in_run(intake.in, &budget);
		if (scratch.reads - before > most)
			most = scratch.reads - before;
	}
	assert_int_equal(status, PH_OK);
	expect_pack(&intake, &pack);
	/* A copy that is not in the window costs a read, and there is at least one in a call. */
	assert_true(scratch.reads >= 20000);
	assert_true(most <= 256);
	intake_release(&intake);
	ph_test_sink_release(&scratch.sink);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_random),       cmocka_unit_test(test_versions),
	        cmocka_unit_test(test_hash_behind),  cmocka_unit_test(test_many_pieces),
	        cmocka_unit_test(test_memory),       cmocka_unit_test(test_bad),
	        cmocka_unit_test(test_long_streams), cmocka_unit_test(test_reads_are_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
