/* SPDX-License-Identifier: MIT */
/* The reader: every way an object is stored, chains and their limit, cycles, damage, bounded
 * memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/reader.h>
#include <stdlib.h>

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_test_pack packs[2];
	uint32_t pack_count;
	struct ph_test_source source;
	struct ph_reader *reader;
};

static void begin(struct fixture *fixture, enum ph_hash_algo algo)
{
	memset(fixture, 0, sizeof(*fixture));
	ph_test_alloc_init(&fixture->memory);
	ph_limits_init(&fixture->limits);
	ph_test_pack_init(&fixture->packs[0], algo);
	ph_test_pack_init(&fixture->packs[1], algo);
	fixture->pack_count = 1;
}

#ifdef PH_TEST_UNPACK
static unsigned unpacked;

/* libdeflate's, counted. */
static enum ph_status run(void *state, const uint8_t *in, size_t len, size_t *used, uint8_t *out,
                          size_t size)
{
	enum ph_status status = ph_unpack_libdeflate()->run(state, in, len, used, out, size);

	unpacked += status == PH_OK;
	return status;
}

static const struct ph_unpack *unpack(void)
{
	static struct ph_unpack counted;

	counted = *ph_unpack_libdeflate();
	counted.run = run;
	return &counted;
}
#else
static const struct ph_unpack *unpack(void)
{
	return NULL;
}
#endif

static void open_reader(struct fixture *fixture)
{
	ph_test_source_init(&fixture->source, fixture->packs, fixture->pack_count);
	fixture->source.set.source.unpack = unpack();
	assert_int_equal(ph_reader_new(&fixture->reader, &fixture->source.set.source,
	                               &fixture->memory.alloc, &fixture->limits),
	                 PH_OK);
}

static void end(struct fixture *fixture)
{
	ph_reader_free(fixture->reader);
	assert_int_equal(fixture->memory.live, 0);
	ph_test_source_release(&fixture->source);
	ph_test_pack_release(&fixture->packs[0]);
	ph_test_pack_release(&fixture->packs[1]);
}

static struct ph_loc at(uint32_t pack, uint32_t pos)
{
	struct ph_loc loc = {pack, pos};

	return loc;
}

/* Reads an entry and compares it with what was put in. */
static void check_object(struct fixture *fixture, uint32_t pack, uint32_t pos)
{
	const struct ph_test_entry *entry = &fixture->packs[pack].entries[pos];
	struct ph_object object;

	assert_int_equal(ph_reader_read(fixture->reader, at(pack, pos), UINT64_MAX, &object),
	                 PH_OK);
	assert_int_equal(object.type, entry->type);
	assert_int_equal(object.size, entry->size);
	assert_memory_equal(object.data, entry->data, entry->size);
	assert_int_equal(object.data[entry->size], 0);
	ph_object_release(fixture->reader, &object);
}

static enum ph_status read_status(struct fixture *fixture, uint32_t pos, uint64_t size_max)
{
	struct ph_object object;
	enum ph_status status = ph_reader_read(fixture->reader, at(0, pos), size_max, &object);

	if (status == PH_OK)
		ph_object_release(fixture->reader, &object);
	return status;
}

/* Objects of all kinds and sizes, among them some larger than any buffer; deltas on earlier ones.
 */
static void fill_pack(struct ph_test_pack *pack, struct ph_test_rng *rng, uint32_t count)
{
	static const uint32_t sizes[] = {0, 1, 20, 300, 5000, 20000, 90000};
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint32_t size = sizes[ph_test_rng_below(rng, 7)];
		uint8_t *data = malloc(size + 8);
		uint32_t kind = ph_test_rng_below(rng, 4);
		uint32_t base = i > 0 ? ph_test_rng_below(rng, i) : 0;
		/* Noise does not compress, so these entries are large as well. */
		if (size >= 20000)
			ph_test_rng_fill(rng, data, size);
		else
			ph_test_rng_text(rng, data, size);
		if (kind > 0 && i > 0) {
			const struct ph_test_entry *on = &pack->entries[base];
			memcpy(data, on->data, on->size / 2 < size ? on->size / 2 : size);
		}
		/* No two the same. */
		memcpy(data + size, &i, 4);
		size += 4;
		if (kind == 0 || i == 0)
			ph_test_pack_add(pack, (enum ph_object_type)(1 + i % 4), data, size);
		else if (kind == 1)
			ph_test_pack_add_ref(pack, base, data, size);
		else
			ph_test_pack_add_ofs(pack, base, data, size);
		free(data);
	}
}

static void everything_reads_back(void **state)
{
	/* Cache limits: the default, next to nothing, nothing. */
	static const uint64_t caches[] = {(uint64_t)16 << 20, 30000, 0};
	size_t round;

	(void)state;
	for (round = 0; round < 6; round++) {
		struct fixture fixture;
		struct ph_test_rng rng;
		uint32_t i;
		begin(&fixture, round < 3 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		fixture.limits.delta_cache_bytes_max = caches[round % 3];
		ph_test_rng_init(&rng, 11 + round);
		fill_pack(&fixture.packs[0], &rng, 150);
		open_reader(&fixture);
		for (i = 0; i < 150; i++)
			check_object(&fixture, 0, i);
		for (i = 0; i < 600; i++)
			check_object(&fixture, 0, ph_test_rng_below(&rng, 150));
		end(&fixture);
	}
#ifdef PH_TEST_UNPACK
	assert_true(unpacked > 0);
#endif
}

static void by_id(void **state)
{
	struct fixture fixture;
	struct ph_object object;
	struct ph_oid none = ph_test_oid_fake(PH_HASH_SHA1, 5);

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, "hello\n", 6);
	open_reader(&fixture);
	assert_ptr_equal(ph_reader_source(fixture.reader), &fixture.source.set.source);
	assert_int_equal(
	        ph_reader_read_oid(fixture.reader, &fixture.packs[0].entries[0].oid, 6, &object),
	        PH_OK);
	assert_string_equal((const char *)object.data, "hello\n");
	ph_object_release(fixture.reader, &object);
	assert_int_equal(ph_reader_read_oid(fixture.reader, &none, 6, &object), PH_ERR_NOT_FOUND);
	end(&fixture);
}

static void sizes_are_bounded(void **state)
{
	struct fixture fixture;
	uint8_t data[1000];

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	fixture.limits.delta_resident_bytes_max = 500;
	memset(data, 'x', sizeof(data));
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, data, 1000);
	ph_test_pack_add_ofs(&fixture.packs[0], 0, data, 400);
	ph_test_pack_add_ofs(&fixture.packs[0], 1, data, 450);
	open_reader(&fixture);
	assert_int_equal(read_status(&fixture, 0, 999), PH_ERR_LIMIT);
	/* Its base is larger than what is asked for and than what may be resident. */
	assert_int_equal(read_status(&fixture, 1, 999), PH_ERR_LIMIT);
	assert_int_equal(read_status(&fixture, 0, 1000), PH_OK);
	assert_int_equal(read_status(&fixture, 1, 399), PH_ERR_LIMIT);
	assert_int_equal(read_status(&fixture, 1, 1000), PH_OK);
	assert_int_equal(read_status(&fixture, 2, 450), PH_OK);
	end(&fixture);
}

/* Reads many objects, each while the others are held; returns what memory is left afterwards. */
static int64_t left_after_many(uint64_t cache_bytes_max, bool lean)
{
	struct fixture fixture;
	struct ph_object held[40];
	uint8_t data[5000];
	int64_t left;
	uint32_t i;

	begin(&fixture, PH_HASH_SHA1);
	fixture.limits.delta_cache_bytes_max = cache_bytes_max;
	memset(data, 'y', sizeof(data));
	for (i = 0; i < 40; i++) {
		memcpy(data, &i, 4);
		if (i == 0)
			ph_test_pack_add(&fixture.packs[0], PH_OBJ_TREE, data, sizeof(data));
		else
			ph_test_pack_add_ofs(&fixture.packs[0], i - 1, data, sizeof(data));
	}
	open_reader(&fixture);
	if (lean)
		ph_reader_lean(fixture.reader);
	for (i = 0; i < 40; i++)
		assert_int_equal(ph_reader_read(fixture.reader, at(0, i), 5000, &held[i]), PH_OK);
	for (i = 0; i < 40; i++) {
		assert_memory_equal(held[i].data, &i, 4);
		ph_object_release(fixture.reader, &held[i]);
	}
	left = fixture.memory.live_bytes;
	end(&fixture);
	return left;
}

/* What is left is the cache, within its limit, and the reader's own buffers. */
static void objects_outlive_the_cache(void **state)
{
	(void)state;
	assert_true(left_after_many(20000, false) < 20000 + 80000);
	assert_true(left_after_many(120000, false) > 100000);
	assert_true(left_after_many(120000, true) + 75000 < left_after_many(120000, false));
}

static void long_chains(void **state)
{
	struct fixture fixture;
	uint8_t data[400];
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	fixture.limits.delta_depth_max = 600;
	fixture.limits.delta_cache_bytes_max = 0;
	memset(data, 'z', sizeof(data));
	for (i = 0; i <= 601; i++) {
		memcpy(data + 100, &i, 4);
		if (i == 0)
			ph_test_pack_add(&fixture.packs[0], PH_OBJ_TREE, data, sizeof(data));
		else
			ph_test_pack_add_ofs(&fixture.packs[0], i - 1, data, sizeof(data));
	}
	open_reader(&fixture);
	check_object(&fixture, 0, 600);
	assert_int_equal(read_status(&fixture, 601, 400), PH_ERR_CORRUPT);
	check_object(&fixture, 0, 600);
	end(&fixture);
}

/* Deltas that do not compress and do not fit into what is kept of a chain are read a second time.
 */
static void long_chains_of_large_deltas(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	uint8_t data[6000];
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	fixture.limits.delta_cache_bytes_max = 0;
	ph_test_rng_init(&rng, 12);
	for (i = 0; i < 400; i++) {
		ph_test_rng_fill(&rng, data, sizeof(data));
		if (i == 0)
			ph_test_pack_add(&fixture.packs[0], PH_OBJ_TREE, data, sizeof(data));
		else
			ph_test_pack_add_ofs(&fixture.packs[0], i - 1, data, sizeof(data));
	}
	open_reader(&fixture);
	check_object(&fixture, 0, 399);
	end(&fixture);
}

static void bases_in_other_packs(void **state)
{
	struct fixture fixture;
	const struct ph_test_entry *base;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	fixture.pack_count = 2;
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, "the first of all", 16);
	ph_test_pack_add_ofs(&fixture.packs[0], 0, "the second of all", 17);
	base = &fixture.packs[0].entries[1];
	ph_test_pack_add_thin(&fixture.packs[1], PH_OBJ_BLOB, &base->oid, base->data, base->size,
	                      "the third of all", 16);
	open_reader(&fixture);
	check_object(&fixture, 1, 0);
	check_object(&fixture, 0, 1);
	check_object(&fixture, 1, 0);
	end(&fixture);
}

static void missing_bases_are_damage(void **state)
{
	struct fixture fixture;
	struct ph_oid none = ph_test_oid_fake(PH_HASH_SHA1, 5);

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_test_pack_add_thin(&fixture.packs[0], PH_OBJ_BLOB, &none, "abc", 3, "abcd", 4);
	open_reader(&fixture);
	assert_int_equal(read_status(&fixture, 0, 100), PH_ERR_CORRUPT);
	end(&fixture);
}

static void cycles_end(void **state)
{
	struct fixture fixture;
	struct ph_oid one, two;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_hash_object(&one, PH_HASH_SHA1, PH_OBJ_BLOB, "one", 3);
	ph_hash_object(&two, PH_HASH_SHA1, PH_OBJ_BLOB, "two", 3);
	ph_test_pack_add_thin(&fixture.packs[0], PH_OBJ_BLOB, &two, "two", 3, "one", 3);
	ph_test_pack_add_thin(&fixture.packs[0], PH_OBJ_BLOB, &one, "one", 3, "two", 3);
	/* And one that is its own base. */
	ph_hash_object(&one, PH_HASH_SHA1, PH_OBJ_BLOB, "self", 4);
	ph_test_pack_add_thin(&fixture.packs[0], PH_OBJ_BLOB, &one, "self", 4, "self", 4);
	open_reader(&fixture);
	assert_int_equal(read_status(&fixture, 0, 100), PH_ERR_CORRUPT);
	assert_int_equal(read_status(&fixture, 1, 100), PH_ERR_CORRUPT);
	assert_int_equal(read_status(&fixture, 2, 100), PH_ERR_CORRUPT);
	end(&fixture);
}

/* Entries that say one thing and hold another. */
static void wrong_entries_are_damage(void **state)
{
	static const uint8_t copy_all[] = {5, 5, 0x90, 5};
	static const uint8_t copy_more[] = {5, 6, 0x90, 6};
	static const uint8_t other_base[] = {6, 5, 0x90, 5};
	struct ph_test_raw raws[] = {
	        /* declared too small, too large */
	        {.stored = PH_OBJ_BLOB,
	         .declared = 4,
	         .content = "hello",
	         .content_len = 5,
	         .size = 4},
	        {.stored = PH_OBJ_BLOB,
	         .declared = 6,
	         .content = "hello",
	         .content_len = 5,
	         .size = 6},
	        /* the index has another size, another type */
	        {.stored = PH_OBJ_BLOB,
	         .declared = 5,
	         .content = "hello",
	         .content_len = 5,
	         .size = 6},
	        {.stored = PH_OBJ_TREE,
	         .declared = 5,
	         .content = "hello",
	         .content_len = 5,
	         .size = 5},
	        /* no such type */
	        {.stored = PH_OBJ_NONE,
	         .declared = 5,
	         .content = "hello",
	         .content_len = 5,
	         .size = 5},
	        {.stored = (enum ph_object_type)5,
	         .declared = 5,
	         .content = "hello",
	         .content_len = 5,
	         .size = 5},
	        /* a distance of 0, beyond the run, into an entry */
	        {.stored = PH_OBJ_OFS_DELTA,
	         .declared = 4,
	         .content = copy_all,
	         .content_len = 4,
	         .size = 5},
	        {.stored = PH_OBJ_OFS_DELTA,
	         .declared = 4,
	         .content = copy_all,
	         .content_len = 4,
	         .distance = 1u << 20,
	         .size = 5},
	        {.stored = PH_OBJ_OFS_DELTA,
	         .declared = 4,
	         .content = copy_all,
	         .content_len = 4,
	         .distance = 3,
	         .size = 5},
	        /* deltas that do not fit */
	        {.stored = PH_OBJ_REF_DELTA,
	         .declared = 4,
	         .content = copy_more,
	         .content_len = 4,
	         .size = 6},
	        {.stored = PH_OBJ_REF_DELTA,
	         .declared = 4,
	         .content = other_base,
	         .content_len = 4,
	         .size = 5},
	        {.stored = PH_OBJ_REF_DELTA,
	         .declared = 4,
	         .content = copy_all,
	         .content_len = 4,
	         .size = 4},
	        {.stored = PH_OBJ_REF_DELTA,
	         .declared = 5,
	         .content = copy_all,
	         .content_len = 4,
	         .size = 5},
	        {.stored = PH_OBJ_REF_DELTA,
	         .declared = 0,
	         .content = "",
	         .content_len = 0,
	         .size = 5},
	        {.stored = PH_OBJ_REF_DELTA,
	         .declared = (uint64_t)1 << 50,
	         .content = copy_all,
	         .content_len = 4,
	         .size = 5},
	        /* no stream at all, and none of zlib */
	        {.stored = PH_OBJ_BLOB,
	         .declared = 5,
	         .content = "",
	         .content_len = 0,
	         .size = 5,
	         .content_is_stream = true},
	        {.stored = PH_OBJ_BLOB,
	         .declared = 5,
	         .content = "hello hello",
	         .content_len = 11,
	         .size = 5,
	         .content_is_stream = true},
	};
	uint32_t count = sizeof(raws) / sizeof(raws[0]);
	struct fixture fixture;
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, "horse", 5);
	for (i = 0; i < count; i++) {
		raws[i].type = PH_OBJ_BLOB;
		raws[i].oid = ph_test_oid_fake(PH_HASH_SHA1, (uint8_t)(0x80 + i));
		raws[i].base = fixture.packs[0].entries[0].oid;
		ph_test_pack_add_raw(&fixture.packs[0], &raws[i]);
	}
	open_reader(&fixture);
	for (i = 0; i < count; i++)
		assert_int_equal(read_status(&fixture, 1 + i, UINT64_MAX), PH_ERR_CORRUPT);
	check_object(&fixture, 0, 0);
	end(&fixture);
}

/* A stream that ends before its entry does would hide bytes from every check. */
static void bytes_behind_a_stream_are_damage(void **state)
{
	struct ph_test_buf stream = {0};
	struct ph_test_raw raw = {.stored = PH_OBJ_BLOB,
	                          .declared = 5,
	                          .size = 5,
	                          .type = PH_OBJ_BLOB,
	                          .content_is_stream = true};
	struct fixture fixture;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_test_deflate(&stream, "hello", 5);
	ph_test_buf_append(&stream, "!", 1);
	raw.content = stream.data;
	raw.content_len = stream.len;
	raw.oid = ph_test_oid_fake(PH_HASH_SHA1, 1);
	ph_test_pack_add_raw(&fixture.packs[0], &raw);
	open_reader(&fixture);
	assert_int_equal(read_status(&fixture, 0, 5), PH_ERR_CORRUPT);
	end(&fixture);
	ph_test_buf_release(&stream);
}

static void any_damage_is_survived(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	unsigned round;
	unsigned noticed = 0;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	fixture.limits.delta_cache_bytes_max = 0;
	ph_test_rng_init(&rng, 13);
	fill_pack(&fixture.packs[0], &rng, 30);
	open_reader(&fixture);
	for (round = 0; round < 400; round++) {
		uint8_t *byte = &fixture.packs[0].run.data[ph_test_rng_below(
		        &rng, (uint32_t)fixture.packs[0].run.len)];
		uint8_t flip = (uint8_t)(1u << ph_test_rng_below(&rng, 8));
		uint32_t i;
		*byte ^= flip;
		for (i = 0; i < 30; i++) {
			enum ph_status status = read_status(&fixture, i, UINT64_MAX);
			assert_true(status == PH_OK || status == PH_ERR_CORRUPT);
			noticed += status != PH_OK;
		}
		*byte ^= flip;
	}
	assert_true(noticed > 300);
	end(&fixture);
}

/* An index whose entries end elsewhere, or beyond the run. */
static void damaged_indexes_are_survived(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	unsigned round;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_test_rng_init(&rng, 14);
	fill_pack(&fixture.packs[0], &rng, 30);
	open_reader(&fixture);
	for (round = 0; round < 1000; round++) {
		struct ph_test_buf *index = &fixture.source.indexes[0];
		uint32_t from = (uint32_t)index->len - 30 * 20;
		uint8_t *byte = &index->data[from + ph_test_rng_below(&rng, 30 * 20)];
		uint8_t keep = *byte;
		uint32_t i;
		*byte = (uint8_t)ph_test_rng_next(&rng);
		for (i = 0; i < 30; i++) {
			enum ph_status status = read_status(&fixture, i, (uint64_t)1 << 20);
			assert_true(status == PH_OK || status == PH_ERR_CORRUPT ||
			            status == PH_ERR_LIMIT);
		}
		*byte = keep;
	}
	end(&fixture);
}

static enum ph_status read_all(struct fixture *fixture)
{
	struct ph_reader *reader;
	enum ph_status status = ph_reader_new(&reader, &fixture->source.set.source,
	                                      &fixture->memory.alloc, &fixture->limits);
	uint32_t i;

	if (status != PH_OK)
		return status;
	for (i = fixture->packs[0].count; i-- > 0 && status == PH_OK;) {
		struct ph_object object;
		status = ph_reader_read(reader, at(0, i), UINT64_MAX, &object);
		if (status == PH_OK)
			ph_object_release(reader, &object);
	}
	ph_reader_free(reader);
	return status;
}

static void failures_are_errors_and_leak_nothing(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	uint64_t i;
	unsigned failed = 0;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	ph_test_rng_init(&rng, 15);
	fill_pack(&fixture.packs[0], &rng, 25);
	ph_test_source_init(&fixture.source, fixture.packs, 1);
	for (i = 1;; i++) {
		enum ph_status status;
		ph_test_alloc_init(&fixture.memory);
		fixture.memory.fail_at = i;
		status = read_all(&fixture);
		assert_int_equal(fixture.memory.live, 0);
		/* The cache's table may fail without an error. */
		assert_true(status == PH_ERR_NOMEM || status == PH_OK);
		failed += status != PH_OK;
		if (fixture.memory.calls < i)
			break;
	}
	assert_true(failed + 3 > i);
	ph_test_alloc_init(&fixture.memory);
	for (i = 1;; i++) {
		enum ph_status status;
		fixture.source.faults.calls = 0;
		fixture.source.faults.fail_at = i;
		status = read_all(&fixture);
		assert_int_equal(fixture.memory.live, 0);
		if (fixture.source.faults.calls < i)
			break;
		assert_int_equal(status, PH_ERR_IO);
	}
	end(&fixture);
}

static void tags_are_peeled(void **state)
{
	struct fixture fixture;
	struct ph_test_pack *pack;
	struct ph_oid missing = ph_test_oid_fake(PH_HASH_SHA1, 9);
	struct ph_oid out;
	enum ph_object_type type;
	uint32_t broken, dangling;
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1);
	pack = &fixture.packs[0];
	ph_test_pack_add(pack, PH_OBJ_BLOB, "target", 6);
	for (i = 1; i <= 65; i++) {
		struct ph_test_buf text = {0};
		ph_test_tag_text(&text, PH_HASH_SHA1, &pack->entries[i - 1].oid,
		                 pack->entries[i - 1].type, "t");
		ph_test_pack_add(pack, PH_OBJ_TAG, text.data, text.len);
		ph_test_buf_release(&text);
	}
	broken = ph_test_pack_add(pack, PH_OBJ_TAG, "no tag", 6);
	{
		struct ph_test_buf text = {0};
		ph_test_tag_text(&text, PH_HASH_SHA1, &missing, PH_OBJ_COMMIT, "t");
		dangling = ph_test_pack_add(pack, PH_OBJ_TAG, text.data, text.len);
		ph_test_buf_release(&text);
	}
	open_reader(&fixture);
	for (i = 0; i <= 64; i++) {
		assert_int_equal(ph_reader_peel(fixture.reader, &pack->entries[i].oid, &out, &type),
		                 PH_OK);
		assert_true(ph_oid_equal(&out, &pack->entries[0].oid));
		assert_int_equal(type, PH_OBJ_BLOB);
	}
	assert_int_equal(ph_reader_peel(fixture.reader, &pack->entries[65].oid, &out, &type),
	                 PH_ERR_LIMIT);
	assert_int_equal(ph_reader_peel(fixture.reader, &pack->entries[broken].oid, &out, &type),
	                 PH_ERR_CORRUPT);
	assert_int_equal(ph_reader_peel(fixture.reader, &pack->entries[dangling].oid, &out, &type),
	                 PH_ERR_NOT_FOUND);
	assert_int_equal(ph_reader_peel(fixture.reader, &missing, &out, &type), PH_ERR_NOT_FOUND);
	end(&fixture);
}

static void headers_are_read(void **state)
{
	struct fixture fixture;
	const struct ph_source *source;
	struct ph_entry_header header;
	uint8_t data[300];

	(void)state;
	begin(&fixture, PH_HASH_SHA256);
	memset(data, 'h', sizeof(data));
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_TREE, data, 300);
	ph_test_pack_add_ofs(&fixture.packs[0], 0, data, 299);
	ph_test_pack_add_ref(&fixture.packs[0], 0, data, 298);
	open_reader(&fixture);
	source = &fixture.source.set.source;
	assert_int_equal(ph_entry_header_read(source, 0, 0, &header), PH_OK);
	assert_int_equal(header.type, PH_OBJ_TREE);
	assert_int_equal(header.size, 300);
	assert_int_equal(header.header_bytes, 2);
	assert_int_equal(
	        ph_entry_header_read(source, 0, fixture.packs[0].entries[1].offset, &header),
	        PH_OK);
	assert_int_equal(header.type, PH_OBJ_OFS_DELTA);
	assert_int_equal(header.base_offset, 0);
	assert_int_equal(
	        ph_entry_header_read(source, 0, fixture.packs[0].entries[2].offset, &header),
	        PH_OK);
	assert_int_equal(header.type, PH_OBJ_REF_DELTA);
	assert_true(ph_oid_equal(&header.base, &fixture.packs[0].entries[0].oid));
	assert_int_equal(header.header_bytes, 33);
	assert_int_equal(ph_entry_header_read(source, 0, fixture.packs[0].run.len, &header),
	                 PH_ERR_CORRUPT);
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(everything_reads_back),
	        cmocka_unit_test(by_id),
	        cmocka_unit_test(sizes_are_bounded),
	        cmocka_unit_test(objects_outlive_the_cache),
	        cmocka_unit_test(long_chains),
	        cmocka_unit_test(long_chains_of_large_deltas),
	        cmocka_unit_test(bases_in_other_packs),
	        cmocka_unit_test(missing_bases_are_damage),
	        cmocka_unit_test(cycles_end),
	        cmocka_unit_test(wrong_entries_are_damage),
	        cmocka_unit_test(bytes_behind_a_stream_are_damage),
	        cmocka_unit_test(any_damage_is_survived),
	        cmocka_unit_test(damaged_indexes_are_survived),
	        cmocka_unit_test(failures_are_errors_and_leak_nothing),
	        cmocka_unit_test(tags_are_peeled),
	        cmocka_unit_test(headers_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
