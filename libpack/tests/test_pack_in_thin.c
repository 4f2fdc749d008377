/* SPDX-License-Identifier: MIT */
/*
 * Pack-in completes thin packs: bases come from objects that are there, are appended once, and the
 * result stands on its own. Circles that only those objects could break are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdlib.h>

/* What is there before: a whole blob, deltas on it, and a large one with a version of it. */
struct there {
	struct ph_test_pack pack;
	struct ph_test_source source;
};

#define LARGE 120000u

static void there_init(struct there *there, enum ph_hash_algo algo)
{
	struct ph_test_rng rng;
	uint8_t *noise = malloc(LARGE);

	ph_test_rng_init(&rng, 99);
	ph_test_rng_fill(&rng, noise, LARGE);
	ph_test_pack_init(&there->pack, algo);
	add_text_blob(&there->pack, 1, 400);
	(void)ph_test_pack_add_ofs(&there->pack, 0, "a delta that is there", 21);
	(void)ph_test_pack_add_ref(&there->pack, 1, "a delta on that", 15);
	(void)ph_test_pack_add(&there->pack, PH_OBJ_BLOB, noise, LARGE);
	(void)ph_test_pack_add_ofs(&there->pack, 3, noise + 100, LARGE - 100);
	ph_test_source_init(&there->source, &there->pack, 1);
	free(noise);
}

static void there_release(struct there *there)
{
	ph_test_source_release(&there->source);
	ph_test_pack_release(&there->pack);
}

/* Adds a REF_DELTA on an object of another pack. */
static void add_on(struct ph_test_pack *pack, const struct ph_test_pack *other, uint32_t base,
                   const void *data, size_t size)
{
	const struct ph_test_entry *on = &other->entries[base];

	(void)ph_test_pack_add_thin(pack, on->type, &on->oid, on->data, on->size, data, size);
}

/* The result, sent again as a pack of its own, is whole: same index, same trailer. */
static void expect_whole(struct intake *intake)
{
	struct ph_test_bytes bytes;
	struct ph_test_buf file = {0};
	struct ph_index index;
	struct intake again;
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};

	ph_test_bytes_init(&bytes, intake->index.buf.data, intake->index.buf.len);
	assert_int_equal(ph_index_init(&index, &bytes.bytes, intake->options.algo), PH_OK);
	assert_int_equal(index.entries, intake->stats.received + intake->stats.bases_added);
	header[10] = (uint8_t)(index.entries >> 8);
	header[11] = (uint8_t)index.entries;
	ph_test_buf_append(&file, header, sizeof(header));
	ph_test_buf_append(&file, intake->run.buf.data, intake->run.buf.len);
	ph_test_buf_append(&file, index.trailer.bytes, ph_hash_bytes(intake->options.algo));
	intake_init(&again, intake->options.algo, ph_alloc_libc(), NULL);
	assert_int_equal(intake_file(&again, &file), PH_OK);
	assert_int_equal(again.run.buf.len, intake->run.buf.len);
	assert_int_equal(again.index.buf.len, intake->index.buf.len);
	assert_memory_equal(again.index.buf.data, intake->index.buf.data, again.index.buf.len);
	intake_release(&again);
	ph_test_buf_release(&file);
}

/* Feeds a thin pack; expects success and this number of bases, with the entries as they were sent.
 */
static void expect_thin(const struct ph_test_pack *pack, const struct ph_source *base,
                        uint32_t bases, uint64_t resident, uint32_t budget)
{
	struct ph_test_alloc memory;
	struct ph_test_buf file = {0};
	struct feeding feeding = {.budget = budget};
	struct intake intake;

	ph_test_alloc_init(&memory);
	ph_test_packfile(pack, &file);
	intake_init(&intake, pack->algo, &memory.alloc, base);
	intake.limits.delta_resident_bytes_max = resident;
	intake.limits.delta_cache_bytes_max = resident;
	intake_feed(&intake, file.data, file.len, &feeding);
	assert_int_equal(intake.status, PH_OK);
	assert_int_equal(intake.stats.bases_added, bases);
	assert_true(intake.run.buf.len >= pack->run.len);
	assert_memory_equal(intake.run.buf.data, pack->run.data, pack->run.len);
	expect_whole(&intake);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
	ph_test_buf_release(&file);
}

/* Every object that was sent is in the index. */
static void expect_ids(const struct intake *intake, const struct ph_test_pack *pack)
{
	struct ph_test_bytes bytes;
	struct ph_index index;
	uint32_t i;

	ph_test_bytes_init(&bytes, intake->index.buf.data, intake->index.buf.len);
	assert_int_equal(ph_index_init(&index, &bytes.bytes, pack->algo), PH_OK);
	for (i = 0; i < pack->count; i++) {
		uint32_t pos;
		assert_int_equal(ph_index_find(&index, &pack->entries[i].oid, &pos), PH_OK);
	}
}

static enum ph_status feed_thin(const struct ph_test_pack *pack, const struct ph_source *base,
                                struct ph_error *error)
{
	struct ph_test_alloc memory;
	struct ph_test_buf file = {0};
	struct intake intake;
	enum ph_status status;

	ph_test_alloc_init(&memory);
	ph_test_packfile(pack, &file);
	intake_init(&intake, pack->algo, &memory.alloc, base);
	status = intake_file(&intake, &file);
	if (error)
		*error = intake.error;
	if (status == PH_OK)
		expect_ids(&intake, pack);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
	ph_test_buf_release(&file);
	return status;
}

static void test_bases(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct there there;
	struct ph_test_pack pack;
	struct ph_test_buf large = {0};
	uint64_t resident;

	there_init(&there, algo);
	ph_test_pack_init(&pack, algo);
	ph_test_buf_append(&large, there.pack.entries[4].data, there.pack.entries[4].size);
	ph_test_buf_append(&large, "more", 4);
	/* On a whole one, twice; on a delta; on a large delta; and deltas on those. */
	add_on(&pack, &there.pack, 0, "first on the whole one", 22);
	add_on(&pack, &there.pack, 0, "second on the whole one", 23);
	add_on(&pack, &there.pack, 2, "on the delta", 12);
	add_on(&pack, &there.pack, 4, large.data, large.len);
	(void)ph_test_pack_add_ofs(&pack, 3, large.data + 7, large.len - 7);
	(void)ph_test_pack_add_ref(&pack, 2, "on that", 7);
	add_text_blob(&pack, 5, 300);
	for (resident = 0; resident < 1 << 20; resident = resident * 8 + 300) {
		expect_thin(&pack, &there.source.set.source, 3, resident, 0);
		expect_thin(&pack, &there.source.set.source, 3, resident, 1);
	}
	ph_test_buf_release(&large);
	ph_test_pack_release(&pack);
	there_release(&there);
}

static void test_missing(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct there there;
	struct ph_test_pack pack;
	struct ph_error error;
	struct ph_oid fake = ph_test_oid_fake(algo, 0x77);
	char hex[PH_OID_HEX_MAX + 1];

	there_init(&there, algo);
	ph_test_pack_init(&pack, algo);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &fake, "abc", 3, "abcd", 4);
	assert_int_equal(feed_thin(&pack, &there.source.set.source, &error), PH_ERR_MISSING_BASE);
	assert_string_equal(error.detail, ph_oid_to_hex(hex, algo, &fake));
	assert_int_equal(feed_thin(&pack, NULL, &error), PH_ERR_MISSING_BASE);
	ph_test_pack_release(&pack);
	there_release(&there);
}

/* The pack itself holds the base, but that shows only after the base was used from elsewhere. */
static void test_held_after_all(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct there there;
	struct ph_test_pack pack;
	const struct ph_test_entry *b;
	struct ph_oid oid;

	there_init(&there, algo);
	b = &there.pack.entries[1];
	ph_test_pack_init(&pack, algo);
	add_on(&pack, &there.pack, 1, "a", 1);
	add_on(&pack, &there.pack, 0, b->data, b->size);
	expect_thin(&pack, &there.source.set.source, 1, 1 << 20, 0);
	expect_thin(&pack, &there.source.set.source, 1, 0, 1);
	ph_test_pack_release(&pack);
	/* A delta whose base is nowhere until another is resolved. */
	ph_test_pack_init(&pack, algo);
	ph_hash_object(&oid, algo, PH_OBJ_BLOB, "a", 1);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &oid, "a", 1, "a on a", 6);
	add_on(&pack, &there.pack, 1, "a", 1);
	expect_thin(&pack, &there.source.set.source, 1, 1 << 20, 0);
	ph_test_pack_release(&pack);
	/* The same with more bases behind it, and one that is needed before. */
	ph_test_pack_init(&pack, algo);
	add_on(&pack, &there.pack, 2, "c", 1);
	add_on(&pack, &there.pack, 1, "a", 1);
	add_on(&pack, &there.pack, 0, b->data, b->size);
	add_on(&pack, &there.pack, 3, "d", 1);
	expect_thin(&pack, &there.source.set.source, 3, 1 << 20, 0);
	ph_test_pack_release(&pack);
	there_release(&there);
}

/* A on B and B on A, where B is there: what would be stored could not be read. */
static void test_circles(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct there there;
	struct ph_test_pack pack;
	struct ph_oid a_oid;
	const struct ph_test_entry *b;

	there_init(&there, algo);
	b = &there.pack.entries[1];
	ph_hash_object(&a_oid, algo, PH_OBJ_BLOB, "a", 1);
	ph_test_pack_init(&pack, algo);
	add_on(&pack, &there.pack, 1, "a", 1);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &a_oid, "a", 1, b->data, b->size);
	assert_int_equal(feed_thin(&pack, &there.source.set.source, NULL), PH_ERR_DELTA);
	ph_test_pack_release(&pack);
	/* On itself. */
	ph_test_pack_init(&pack, algo);
	add_on(&pack, &there.pack, 1, b->data, b->size);
	assert_int_equal(feed_thin(&pack, &there.source.set.source, NULL), PH_ERR_DELTA);
	ph_test_pack_release(&pack);
	/* With the way back first. */
	ph_test_pack_init(&pack, algo);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &a_oid, "a", 1, b->data, b->size);
	add_on(&pack, &there.pack, 1, "a", 1);
	assert_int_equal(feed_thin(&pack, &there.source.set.source, NULL), PH_ERR_DELTA);
	ph_test_pack_release(&pack);
	there_release(&there);
}

/* Two chains, each short enough, that become one when the pack holds the base between them. */
static void test_depth(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	uint32_t second;

	for (second = 2000; second < 2003; second++) {
		struct there there;
		struct ph_test_pack pack;
		const struct ph_test_entry *b;
		uint32_t i;
		there_init(&there, algo);
		b = &there.pack.entries[1];
		ph_test_pack_init(&pack, algo);
		/* 2095 links on B, then B as the second-th link on another base. */
		add_on(&pack, &there.pack, 1, "first", 5);
		for (i = 1; i < 2095; i++)
			(void)ph_test_pack_add_ofs(&pack, i - 1, &i, sizeof(i));
		add_on(&pack, &there.pack, 0, "second", 6);
		for (i = 1; i < second - 1; i++) {
			uint32_t data[2] = {i, i};
			(void)ph_test_pack_add_ofs(&pack, pack.count - 1, data, sizeof(data));
		}
		(void)ph_test_pack_add_ofs(&pack, pack.count - 1, b->data, b->size);
		assert_int_equal(feed_thin(&pack, &there.source.set.source, NULL),
		                 second <= 2000 ? PH_OK : PH_ERR_LIMIT);
		ph_test_pack_release(&pack);
		there_release(&there);
	}
}

/* A base that was damaged where it is stored is no base, and no crash. */
static void test_damage(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct there there;
	struct ph_test_pack pack;
	struct ph_test_buf large = {0};
	size_t at;

	there_init(&there, algo);
	ph_test_pack_init(&pack, algo);
	ph_test_buf_append(&large, there.pack.entries[4].data, there.pack.entries[4].size);
	add_on(&pack, &there.pack, 0, "first on the whole one", 22);
	add_on(&pack, &there.pack, 2, "on the delta", 12);
	add_on(&pack, &there.pack, 4, large.data + 3, large.len - 3);
	for (at = 0; at < there.pack.run.len; at += at < 500 ? 1 : 5000) {
		enum ph_status status;
		there.pack.run.data[at] ^= 0x10;
		status = feed_thin(&pack, &there.source.set.source, NULL);
		there.pack.run.data[at] ^= 0x10;
		/* Some bits of a zlib stream mean nothing. */
		assert_true(status == PH_ERR_CORRUPT || status == PH_OK);
	}
	assert_int_equal(feed_thin(&pack, &there.source.set.source, NULL), PH_OK);
	ph_test_buf_release(&large);
	ph_test_pack_release(&pack);
	there_release(&there);
}

/* A base that is whole, but not what its id says. */
static void test_liar(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct ph_test_raw raw = {.stored = PH_OBJ_BLOB, .type = PH_OBJ_BLOB};
	struct ph_test_pack there;
	struct ph_test_source source;
	struct ph_test_pack pack;

	raw.content = "another one";
	raw.content_len = 11;
	raw.declared = 11;
	raw.size = 11;
	ph_hash_object(&raw.oid, algo, PH_OBJ_BLOB, "the content", 11);
	ph_test_pack_init(&there, algo);
	(void)ph_test_pack_add_raw(&there, &raw);
	ph_test_source_init(&source, &there, 1);
	ph_test_pack_init(&pack, algo);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &raw.oid, "the content", 11,
	                            "the new content", 15);
	assert_int_equal(feed_thin(&pack, &source.set.source, NULL), PH_ERR_CORRUPT);
	ph_test_pack_release(&pack);
	ph_test_source_release(&source);
	ph_test_pack_release(&there);
}

static void test_read_errors(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	struct there there;
	struct ph_test_pack pack;
	uint64_t i;

	there_init(&there, algo);
	ph_test_pack_init(&pack, algo);
	add_on(&pack, &there.pack, 0, "first on the whole one", 22);
	add_on(&pack, &there.pack, 2, "on the delta", 12);
	for (i = 1;; i++) {
		enum ph_status status;
		there.source.faults.calls = 0;
		there.source.faults.fail_at = i;
		status = feed_thin(&pack, &there.source.set.source, NULL);
		if (there.source.faults.calls < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
		assert_int_equal(status, PH_ERR_IO);
	}
	assert_true(i > 10);
	ph_test_pack_release(&pack);
	there_release(&there);
}

int main(void)
{
	static enum ph_hash_algo algos[] = {PH_HASH_SHA1, PH_HASH_SHA256};
	void *sha1 = &algos[0];
	void *sha256 = &algos[1];
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_prestate(test_bases, sha1),
	        cmocka_unit_test_prestate(test_bases, sha256),
	        cmocka_unit_test_prestate(test_missing, sha1),
	        cmocka_unit_test_prestate(test_missing, sha256),
	        cmocka_unit_test_prestate(test_held_after_all, sha1),
	        cmocka_unit_test_prestate(test_held_after_all, sha256),
	        cmocka_unit_test_prestate(test_circles, sha1),
	        cmocka_unit_test_prestate(test_depth, sha1),
	        cmocka_unit_test_prestate(test_damage, sha1),
	        cmocka_unit_test_prestate(test_liar, sha1),
	        cmocka_unit_test_prestate(test_read_errors, sha1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
