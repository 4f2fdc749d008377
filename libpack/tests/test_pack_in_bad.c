/* SPDX-License-Identifier: MIT */
/* Pack-in refuses: every lie that a pack's header, an entry or a delta can tell, and every limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdlib.h>

#define SHA1 PH_HASH_SHA1

/* ---- the file around the entries ---- */

static void test_header(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	ph_test_packfile(&pack, &file);
	file.data[0] = 'p';
	ph_test_packfile_seal(SHA1, &file);
	expect_file_status(SHA1, &file, PH_ERR_INVALID);
	file.data[0] = 'P';
	file.data[7] = 1;
	ph_test_packfile_seal(SHA1, &file);
	expect_file_status(SHA1, &file, PH_ERR_INVALID);
	file.data[7] = 4;
	ph_test_packfile_seal(SHA1, &file);
	expect_file_status(SHA1, &file, PH_ERR_INVALID);
	file.data[7] = 2;
	ph_test_packfile_seal(SHA1, &file);
	expect_file_status(SHA1, &file, PH_OK);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

static void test_counts(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	add_text_blob(&pack, 2, 50);
	ph_test_packfile_announce(&pack, UINT32_MAX, &file);
	expect_file_status(SHA1, &file, PH_ERR_LIMIT);
	/* One fewer: the second entry is taken for the trailer. */
	ph_test_buf_clear(&file);
	ph_test_packfile_announce(&pack, 1, &file);
	expect_file_status(SHA1, &file, PH_ERR_CHECKSUM);
	/* One more: the trailer is taken for an entry, of whatever kind its bytes make it. */
	ph_test_buf_clear(&file);
	ph_test_packfile_announce(&pack, 3, &file);
	{
		struct intake intake;
		intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
		assert_int_not_equal(intake_file(&intake, &file), PH_OK);
		intake_release(&intake);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* Cut anywhere, it wants more, and nothing is left of it. */
static void test_truncated(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	size_t len;
	size_t whole;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	(void)ph_test_pack_add_ofs(&pack, 0, "abc", 3);
	(void)ph_test_pack_add_ref(&pack, 0, "abcd", 4);
	ph_test_packfile(&pack, &file);
	whole = file.len;
	for (len = 0; len < whole; len++) {
		file.len = len;
		expect_file_status(SHA1, &file, PH_AGAIN);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* Every single bit that flips is found: by the trailer, if nothing else. */
static void test_flips(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	size_t bit;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	(void)ph_test_pack_add_ofs(&pack, 0, "abc", 3);
	(void)ph_test_pack_add_ref(&pack, 0, "abcd", 4);
	ph_test_packfile(&pack, &file);
	for (bit = 0; bit < 8 * file.len; bit++) {
		struct ph_test_alloc memory;
		struct intake intake;
		ph_test_alloc_init(&memory);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		intake_init(&intake, SHA1, &memory.alloc, NULL);
		assert_int_not_equal(intake_file(&intake, &file), PH_OK);
		intake_release(&intake);
		assert_int_equal(memory.live, 0);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* ---- entries ---- */

/* A pack of one blob and this entry. */
static void expect_raw(const struct ph_test_raw *raw, enum ph_status status)
{
	struct ph_test_pack pack;

	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	(void)ph_test_pack_add_raw(&pack, raw);
	expect_status(&pack, status);
	ph_test_pack_release(&pack);
}

static void test_entry_types(void **state)
{
	struct ph_test_raw raw = {
	        .stored = PH_OBJ_NONE, .declared = 1, .content = "a", .content_len = 1};

	(void)state;
	expect_raw(&raw, PH_ERR_INVALID);
	raw.stored = (enum ph_object_type)5;
	expect_raw(&raw, PH_ERR_INVALID);
}

static void test_sizes(void **state)
{
	struct ph_test_raw raw = {.stored = PH_OBJ_BLOB, .content = "abcdef", .content_len = 6};

	(void)state;
	/* More and less than declared. */
	raw.declared = 5;
	expect_raw(&raw, PH_ERR_ZLIB);
	raw.declared = 0;
	expect_raw(&raw, PH_ERR_ZLIB);
	raw.declared = 7;
	expect_raw(&raw, PH_ERR_ZLIB);
	/* Over the limits, before a byte of it is inflated. */
	raw.declared = ((uint64_t)4 << 30) + 1;
	expect_raw(&raw, PH_ERR_LIMIT);
	raw.stored = PH_OBJ_TREE;
	raw.declared = ((uint64_t)64 << 20) + 1;
	expect_raw(&raw, PH_ERR_LIMIT);
	raw.stored = PH_OBJ_REF_DELTA;
	raw.declared = ((uint64_t)4 << 30) + 1;
	expect_raw(&raw, PH_ERR_LIMIT);
	raw.stored = PH_OBJ_BLOB;
	raw.declared = UINT64_MAX;
	expect_raw(&raw, PH_ERR_INVALID);
}

/* A header that never ends, in sizes and distances. */
static void test_varints(void **state)
{
	static const uint8_t size[] = {0xb0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
	                               0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
	static const uint8_t distance[] = {0x64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
	const uint8_t *heads[] = {size, distance};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct ph_test_pack pack;
		struct ph_test_buf file = {0};
		ph_test_pack_init(&pack, SHA1);
		add_text_blob(&pack, 1, 50);
		ph_test_packfile_announce(&pack, 2, &file);
		file.len -= 20;
		ph_test_buf_append(&file, heads[i], 16);
		expect_file_status(SHA1, &file, PH_ERR_INVALID);
		ph_test_buf_release(&file);
		ph_test_pack_release(&pack);
	}
}

static void test_streams(void **state)
{
	static const uint8_t noise[] = "this is no zlib stream at all, but long enough";
	/* A stored block of three bytes, then a wrong Adler-32. */
	static const uint8_t wrong[] = {0x78, 0x01, 0x01, 0x03, 0x00, 0xfc, 0xff,
	                                'a',  'b',  'c',  0,    0,    0,    0};
	/* Asks for a preset dictionary. */
	static const uint8_t preset[] = {0x78, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
	struct ph_test_raw raw = {.stored = PH_OBJ_BLOB, .declared = 3, .content_is_stream = true};

	(void)state;
	raw.content = noise;
	raw.content_len = sizeof(noise);
	expect_raw(&raw, PH_ERR_ZLIB);
	raw.content = wrong;
	raw.content_len = sizeof(wrong);
	expect_raw(&raw, PH_ERR_ZLIB);
	raw.content = preset;
	raw.content_len = sizeof(preset);
	expect_raw(&raw, PH_ERR_ZLIB);
}

static void test_bombs(void **state)
{
	uint8_t *zeros = calloc(1, 8 << 20);
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct intake intake;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, zeros, 8 << 20);
	ph_test_packfile(&pack, &file);
	intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
	intake.limits.inflate_ratio_max = 100;
	intake.limits.inflate_slack_bytes = 1000;
	/* On the way, not at the end. */
	file.len -= 1000;
	assert_int_equal(intake_file(&intake, &file), PH_ERR_LIMIT);
	file.len += 1000;
	intake_release(&intake);
	intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
	intake.limits.inflate_ratio_max = 1100;
	intake.limits.inflate_slack_bytes = 1000;
	assert_int_equal(intake_file(&intake, &file), PH_OK);
	intake_release(&intake);
	intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
	intake.limits.object_bytes_max = (8 << 20) - 1;
	assert_int_equal(intake_file(&intake, &file), PH_ERR_LIMIT);
	intake_release(&intake);
	intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
	intake.limits.pack_bytes_max = file.len - 1;
	assert_int_equal(intake_file(&intake, &file), PH_ERR_LIMIT);
	intake_release(&intake);
	intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
	intake.limits.pack_bytes_max = file.len;
	assert_int_equal(intake_file(&intake, &file), PH_OK);
	intake_release(&intake);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
	free(zeros);
}

/* The result of a delta counts as an object does. */
static void test_delta_limit(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct intake intake;
	uint64_t max;

	(void)state;
	/* Twice the base, in six bytes. */
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	{
		struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
		                          .distance = pack.run.len,
		                          .declared = 6,
		                          .content = "\x32\x64\x90\x32\x90\x32",
		                          .content_len = 6};
		(void)ph_test_pack_add_raw(&pack, &raw);
	}
	ph_test_packfile(&pack, &file);
	for (max = 99; max < 101; max++) {
		intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
		intake.limits.object_bytes_max = max;
		assert_int_equal(intake_file(&intake, &file), max < 100 ? PH_ERR_LIMIT : PH_OK);
		intake_release(&intake);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* A few bytes of delta that copy the same 16 MiB over and over: 4 GiB, within one object's limit.
 */
static void test_delta_bomb(void **state)
{
	uint8_t delta[4 + 5 + 256 * 4];
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA, .content = delta};
	struct ph_test_pack pack;
	uint8_t *zeros = calloc(1, 0xffffff);
	size_t len = 0;
	unsigned i;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, zeros, 0xffffff);
	free(zeros);
	/* 0xffffff, then 256 times that: 0xffffff00. */
	memcpy(delta, "\xff\xff\xff\x07", 4);
	len = 4;
	memcpy(delta + len, "\x80\xfe\xff\xff\x0f", 5);
	len += 5;
	for (i = 0; i < 256; i++) {
		memcpy(delta + len, "\xf0\xff\xff\xff", 4);
		len += 4;
	}
	raw.declared = len;
	raw.content_len = len;
	raw.distance = pack.run.len;
	(void)ph_test_pack_add_raw(&pack, &raw);
	expect_status(&pack, PH_ERR_LIMIT);
	ph_test_pack_release(&pack);
}

/*
 * A comb: at every link of a chain hangs another delta with one of its own. With room for the chain
 * it is cheap; without, the chain is made again for every tooth, and that has a limit too.
 */
static void test_comb(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	uint8_t data[10000];
	uint32_t last = 0;
	uint32_t i;

	(void)state;
	memset(data, 0, sizeof(data));
	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, data, sizeof(data));
	for (i = 1; i <= 150; i++) {
		uint32_t next;
		memcpy(data + 4, &i, sizeof(i));
		next = ph_test_pack_add_ofs(&pack, last, data, sizeof(data));
		data[0] = 1;
		(void)ph_test_pack_add_ofs(&pack, next, data, sizeof(data));
		data[0] = 2;
		(void)ph_test_pack_add_ofs(&pack, pack.count - 1, data, sizeof(data));
		data[0] = 0;
		last = next;
	}
	ph_test_packfile(&pack, &file);
	for (i = 0; i < 2; i++) {
		struct intake intake;
		intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
		intake.limits.inflate_ratio_max = 1;
		intake.limits.inflate_slack_bytes = 5000000;
		intake.limits.delta_cache_bytes_max = i == 0 ? 3000000 : 10000;
		assert_int_equal(intake_file(&intake, &file), i == 0 ? PH_OK : PH_ERR_LIMIT);
		intake_release(&intake);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* ---- deltas ---- */

static void test_ofs_bases(void **state)
{
	/* On a base of 50 bytes: one byte of it. */
	static const uint8_t delta[] = {50, 1, 0x90, 1};
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
	                          .declared = sizeof(delta),
	                          .content = delta,
	                          .content_len = sizeof(delta)};
	struct ph_test_pack pack;
	size_t first;
	uint64_t distance;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	first = pack.run.len;
	ph_test_pack_release(&pack);
	/* Itself, inside the one before, its start, before the pack. */
	for (distance = 0; distance < first + 20; distance++) {
		raw.distance = distance;
		expect_raw(&raw, distance == first ? PH_OK : PH_ERR_INVALID);
	}
	raw.distance = (uint64_t)1 << 40;
	expect_raw(&raw, PH_ERR_INVALID);
	raw.distance = (uint64_t)1 << 55;
	expect_raw(&raw, PH_ERR_INVALID);
}

static void test_bad_deltas(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum ph_status status;
	} cases[] = {
	        {"\x32\x01\x90\x01", 4, PH_OK},
	        {"", 0, PH_ERR_DELTA},
	        {"\x32", 1, PH_ERR_DELTA},
	        {"\x32\x00", 2, PH_ERR_DELTA},     /* makes nothing: git wants four bytes */
	        {"\x32\x80\x00", 3, PH_ERR_DELTA}, /* likewise */
	        {"\xb2", 1, PH_ERR_DELTA},
	        {"\x32\x81", 2, PH_ERR_DELTA},
	        {"\x31\x01\x90\x01", 4, PH_ERR_DELTA},     /* base size */
	        {"\x32\x02\x90\x01", 4, PH_ERR_DELTA},     /* too little */
	        {"\x32\x00\x90\x01", 4, PH_ERR_DELTA},     /* too much */
	        {"\x32\x01\x91\x32\x01", 5, PH_ERR_DELTA}, /* copy behind the base */
	        {"\x32\x02\x91\x31\x02", 5, PH_ERR_DELTA}, /* copy over its end */
	        {"\x32\x01\x9f\xff\xff\xff\xff\x01", 8, PH_ERR_DELTA},
	        {"\x32\x01\x00", 3, PH_ERR_DELTA}, /* reserved */
	        {"\x32\x05\x05"
	         "abcd",
	         7, PH_ERR_DELTA},                 /* cut insert */
	        {"\x32\x01\x90", 3, PH_ERR_DELTA}, /* cut copy */
	        {"\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, PH_ERR_DELTA},
	        {"\x32\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x90\x01", 12, PH_ERR_LIMIT},
	        {"\x32\x81\x80\x80\x80\x10\x90\x01", 8, PH_ERR_LIMIT}, /* 4 GiB and 1 */
	};
	struct ph_test_pack one;
	size_t i;

	(void)state;
	ph_test_pack_init(&one, SHA1);
	add_text_blob(&one, 1, 50);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
		                          .distance = one.run.len,
		                          .declared = cases[i].len,
		                          .content = cases[i].bytes,
		                          .content_len = cases[i].len};
		expect_raw(&raw, cases[i].status);
		raw.stored = PH_OBJ_REF_DELTA;
		raw.base = one.entries[0].oid;
		expect_raw(&raw, cases[i].status);
	}
	ph_test_pack_release(&one);
}

/* A on B and B on A, and A on itself: with made-up ids no one of them can ever be known. */
static void test_circles(void **state)
{
	static const char a[] = "the content of a";
	static const char b[] = "the content of b";
	struct ph_test_pack pack;
	struct ph_oid a_oid;
	struct ph_oid b_oid;

	(void)state;
	ph_hash_object(&a_oid, SHA1, PH_OBJ_BLOB, a, strlen(a));
	ph_hash_object(&b_oid, SHA1, PH_OBJ_BLOB, b, strlen(b));
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &b_oid, b, strlen(b), a, strlen(a));
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &a_oid, a, strlen(a), b, strlen(b));
	expect_status(&pack, PH_ERR_MISSING_BASE);
	ph_test_pack_release(&pack);

	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add_thin(&pack, PH_OBJ_BLOB, &a_oid, a, strlen(a), a, strlen(a));
	expect_status(&pack, PH_ERR_MISSING_BASE);
	ph_test_pack_release(&pack);
}

static void test_duplicates(void **state)
{
	struct ph_test_pack pack;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	add_text_blob(&pack, 1, 50);
	add_text_blob(&pack, 2, 50);
	add_text_blob(&pack, 1, 50);
	expect_status(&pack, PH_ERR_INVALID);
	ph_test_pack_release(&pack);

	/* Once whole and once as a delta; twice as a delta. */
	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "ab", 2);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "abc", 3);
	(void)ph_test_pack_add_ofs(&pack, 0, "abc", 3);
	expect_status(&pack, PH_ERR_INVALID);
	ph_test_pack_release(&pack);

	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "ab", 2);
	(void)ph_test_pack_add_ref(&pack, 0, "abc", 3);
	(void)ph_test_pack_add_ofs(&pack, 0, "abc", 3);
	expect_status(&pack, PH_ERR_INVALID);
	ph_test_pack_release(&pack);
}

/* Far from each other in the pack, and among many. */
static void test_duplicates_far(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct intake intake;
	char hex[PH_OID_HEX_MAX + 1];
	uint32_t i;

	(void)state;
	ph_test_pack_init(&pack, SHA1);
	for (i = 0; i < 1000; i++)
		(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, &i, sizeof(i));
	i = 500;
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, &i, sizeof(i));
	ph_test_packfile(&pack, &file);
	intake_init(&intake, SHA1, ph_alloc_libc(), NULL);
	assert_int_equal(intake_file(&intake, &file), PH_ERR_INVALID);
	assert_string_equal(intake.error.what, "duplicate object");
	assert_string_equal(intake.error.detail, ph_oid_to_hex(hex, SHA1, &pack.entries[500].oid));
	intake_release(&intake);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* Whatever bytes stand between a right header and a right trailer. */
static void test_noise(void **state)
{
	struct ph_test_rng rng;
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	struct ph_test_buf damaged = {0};
	int round;

	(void)state;
	ph_test_rng_init(&rng, 11);
	build_mixed(&pack, SHA1, 1);
	ph_test_packfile(&pack, &file);
	for (round = 0; round < 300; round++) {
		struct ph_test_alloc memory;
		struct intake intake;
		uint32_t flips;
		ph_test_buf_clear(&damaged);
		ph_test_buf_append(&damaged, file.data, file.len);
		for (flips = 0; flips < 3; flips++) {
			size_t at = 12 + ph_test_rng_below(&rng, 2000);
			damaged.data[at] = (uint8_t)ph_test_rng_next(&rng);
		}
		ph_test_packfile_seal(SHA1, &damaged);
		ph_test_alloc_init(&memory);
		intake_init(&intake, SHA1, &memory.alloc, NULL);
		(void)intake_file(&intake, &damaged);
		intake_release(&intake);
		assert_int_equal(memory.live, 0);
	}
	ph_test_buf_release(&damaged);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_header),         cmocka_unit_test(test_counts),
	        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_flips),
	        cmocka_unit_test(test_entry_types),    cmocka_unit_test(test_sizes),
	        cmocka_unit_test(test_varints),        cmocka_unit_test(test_streams),
	        cmocka_unit_test(test_bombs),          cmocka_unit_test(test_delta_bomb),
	        cmocka_unit_test(test_ofs_bases),      cmocka_unit_test(test_bad_deltas),
	        cmocka_unit_test(test_circles),        cmocka_unit_test(test_duplicates),
	        cmocka_unit_test(test_duplicates_far), cmocka_unit_test(test_noise),
	        cmocka_unit_test(test_comb),           cmocka_unit_test(test_delta_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
