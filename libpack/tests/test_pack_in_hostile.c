/* SPDX-License-Identifier: MIT */
/*
 * Packs that are small, or regular, and mean to cost much: a chain of a million deltas in either
 * direction, gigabytes of zeros behind a megabyte, trees and deltas that swell. Each is refused or
 * taken with memory that stays below what the footprint says, measured by a counting allocator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <packhorse/footprint.h>
#include <stdlib.h>

#define SHA1 PH_HASH_SHA1
#define LINKS 1000000u
/* A sink of the test's keeps what is written to it, so it is not counted. */
#define SLACK_BYTES (64 << 10)

/* ---- a chain of a million ---- */

static uint32_t adler32(const uint8_t *data, size_t len)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < len; i++) {
		a = (a + data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* A zlib stream of one stored block: quick to make. */
static void add_stored(struct ph_test_buf *out, const uint8_t *data, uint8_t len)
{
	const uint8_t head[7] = {0x78, 0x01, 0x01, len, 0, (uint8_t)~len, 0xff};
	uint32_t sum = adler32(data, len);
	const uint8_t tail[4] = {(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8),
	                         (uint8_t)sum};

	ph_test_buf_append(out, head, sizeof(head));
	ph_test_buf_append(out, data, len);
	ph_test_buf_append(out, tail, sizeof(tail));
}

static void begin_file(struct ph_test_buf *file, uint32_t count)
{
	const uint8_t header[12] = {'P',
	                            'A',
	                            'C',
	                            'K',
	                            0,
	                            0,
	                            0,
	                            2,
	                            (uint8_t)(count >> 24),
	                            (uint8_t)(count >> 16),
	                            (uint8_t)(count >> 8),
	                            (uint8_t)count};

	ph_test_buf_append(file, header, sizeof(header));
}

static void end_file(struct ph_test_buf *file)
{
	const uint8_t trailer[20] = {0};

	ph_test_buf_append(file, trailer, sizeof(trailer));
	ph_test_packfile_seal(SHA1, file);
}

/* Eight bytes that only this object has. */
static void content(uint32_t number, uint8_t *out)
{
	memset(out, 'x', 8);
	memcpy(out, &number, sizeof(number));
}

static void add_whole(struct ph_test_buf *file, uint32_t number)
{
	const uint8_t head = PH_OBJ_BLOB << 4 | 8;
	uint8_t data[8];

	content(number, data);
	ph_test_buf_append(file, &head, 1);
	add_stored(file, data, sizeof(data));
}

/* All of it inserted; distance, or the base's id when that is 0. */
static void add_link(struct ph_test_buf *file, uint32_t number, uint8_t distance, uint32_t base)
{
	uint8_t delta[11] = {8, 8, 8}, data[8];
	const uint8_t head = (uint8_t)((distance ? PH_OBJ_OFS_DELTA : PH_OBJ_REF_DELTA) << 4 | 11);
	struct ph_oid oid;

	content(number, delta + 3);
	ph_test_buf_append(file, &head, 1);
	if (distance) {
		ph_test_buf_append(file, &distance, 1);
	} else {
		content(base, data);
		ph_hash_object(&oid, SHA1, PH_OBJ_BLOB, data, sizeof(data));
		ph_test_buf_append(file, oid.bytes, 20);
	}
	add_stored(file, delta, sizeof(delta));
}

static void expect_bounded(const struct ph_test_buf *file, enum ph_status status,
                           struct intake *intake, const struct ph_test_alloc *memory,
                           uint64_t objects)
{
	enum ph_status got = intake_file(intake, file);
	uint64_t most = ph_footprint_pack_in(&intake->limits, objects) + SLACK_BYTES;

	assert_int_equal(got, status);
	if ((uint64_t)memory->peak_bytes > most)
		fail_msg("%lld bytes at most, %llu expected", (long long)memory->peak_bytes,
		         (unsigned long long)most);
	intake_release(intake);
	assert_int_equal(memory->live, 0);
}

/* Every link on the one before it, by distance. */
static void million_forward(void **state)
{
	struct ph_test_buf file = {0};
	struct ph_test_alloc memory;
	struct intake intake;
	size_t start, last = 12;

	(void)state;
	begin_file(&file, LINKS);
	add_whole(&file, 0);
	for (uint32_t i = 1; i < LINKS; i++) {
		start = file.len;
		add_link(&file, i, (uint8_t)(start - last), 0);
		last = start;
	}
	end_file(&file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, SHA1, &memory.alloc, NULL);
	expect_bounded(&file, PH_ERR_LIMIT, &intake, &memory, LINKS);
	ph_test_buf_release(&file);
}

/* Every link on the one behind it, by id: nothing is known before the last entry. */
static void million_backward(void **state)
{
	struct ph_test_buf file = {0};
	struct ph_test_alloc memory;
	struct intake intake;

	(void)state;
	begin_file(&file, LINKS);
	for (uint32_t i = LINKS - 1; i > 0; i--)
		add_link(&file, i, 0, i - 1);
	add_whole(&file, 0);
	end_file(&file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, SHA1, &memory.alloc, NULL);
	expect_bounded(&file, PH_ERR_LIMIT, &intake, &memory, LINKS);
	ph_test_buf_release(&file);
}

/* The same chain cut short enough, so that what is refused above is its length and nothing else. */
static void chain_within_limits(void **state)
{
	struct ph_test_buf file = {0};
	struct ph_test_alloc memory;
	struct intake intake;

	(void)state;
	begin_file(&file, 1000);
	for (uint32_t i = 999; i > 0; i--)
		add_link(&file, i, 0, i - 1);
	add_whole(&file, 0);
	end_file(&file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, SHA1, &memory.alloc, NULL);
	expect_bounded(&file, PH_OK, &intake, &memory, 1000);
	ph_test_buf_release(&file);
}

/* ---- bombs ---- */

/* An entry of this type that is so many zeros, as far as its header says. */
static void zeros(struct ph_test_buf *file, enum ph_object_type type, uint64_t declared,
                  size_t really)
{
	struct ph_test_pack pack;
	uint8_t *data = calloc(1, really);
	struct ph_test_raw raw = {.stored = type,
	                          .type = type,
	                          .declared = declared,
	                          .content = data,
	                          .content_len = really};

	assert_non_null(data);
	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add_raw(&pack, &raw);
	ph_test_packfile(&pack, file);
	ph_test_pack_release(&pack);
	free(data);
}

static void expect_bomb(enum ph_object_type type, uint64_t declared, size_t really,
                        enum ph_status status, int64_t most)
{
	struct ph_test_buf file = {0};
	struct ph_test_alloc memory;
	struct intake intake;

	zeros(&file, type, declared, really);
	ph_test_alloc_init(&memory);
	intake_init(&intake, SHA1, &memory.alloc, NULL);
	intake.limits.inflate_slack_bytes = 16 << 20;
	intake.limits.inflate_ratio_max = 100;
	assert_int_equal(intake_file(&intake, &file), status);
	if (memory.peak_bytes > most)
		fail_msg("%lld bytes at most, %lld expected", (long long)memory.peak_bytes,
		         (long long)most);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
	ph_test_buf_release(&file);
}

static void test_bombs(void **state)
{
	(void)state;
	/* 64 MiB of zeros are 64 KiB of zlib: stopped by what a pack of its size may swell to. */
	expect_bomb(PH_OBJ_BLOB, 64 << 20, 64 << 20, PH_ERR_LIMIT, 1 << 20);
	/* A header that promises 4 GiB costs nothing before they come. */
	expect_bomb(PH_OBJ_BLOB, (uint64_t)4 << 30, 1000, PH_ERR_ZLIB, 1 << 20);
	expect_bomb(PH_OBJ_BLOB, ((uint64_t)4 << 30) + 1, 1000, PH_ERR_LIMIT, 1 << 20);
	/* What has to be in memory as a whole is refused by its declared size. */
	expect_bomb(PH_OBJ_TREE, (uint64_t)1 << 30, 1000, PH_ERR_LIMIT, 1 << 20);
	expect_bomb(PH_OBJ_COMMIT, (uint64_t)1 << 30, 1000, PH_ERR_LIMIT, 1 << 20);
	expect_bomb(PH_OBJ_TAG, (uint64_t)1 << 30, 1000, PH_ERR_LIMIT, 1 << 20);
	/* More than declared, of the best compressed kind. */
	expect_bomb(PH_OBJ_BLOB, 1, 64 << 20, PH_ERR_ZLIB, 1 << 20);
	expect_bomb(PH_OBJ_TREE, 1, 64 << 20, PH_ERR_ZLIB, 1 << 20);
}

/* A thousand deltas of some bytes, each of which makes 16 MiB of the same base. */
static void test_many_delta_bombs(void **state)
{
	uint8_t delta[4 + 4 + 4 + 5] = {0xff, 0xff, 0xff, 0x07, 0x83, 0x80, 0x80,
	                                0x08, 0xf0, 0xff, 0xff, 0xff, 4};
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
	                          .declared = sizeof(delta),
	                          .content = delta,
	                          .content_len = sizeof(delta)};
	uint8_t *base = calloc(1, 0xffffff);
	struct ph_test_buf file = {0};
	struct ph_test_alloc memory;
	struct ph_test_pack pack;
	struct intake intake;

	(void)state;
	assert_non_null(base);
	ph_test_pack_init(&pack, SHA1);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, base, 0xffffff);
	free(base);
	for (uint32_t i = 0; i < 1000; i++) {
		memcpy(delta + 13, &i, sizeof(i));
		raw.distance = pack.run.len;
		(void)ph_test_pack_add_raw(&pack, &raw);
	}
	ph_test_packfile(&pack, &file);
	ph_test_alloc_init(&memory);
	intake_init(&intake, SHA1, &memory.alloc, NULL);
	intake.limits.inflate_slack_bytes = 64 << 20;
	intake.limits.inflate_ratio_max = 100;
	expect_bounded(&file, PH_ERR_LIMIT, &intake, &memory, 1001);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(million_forward),       cmocka_unit_test(million_backward),
	        cmocka_unit_test(chain_within_limits),   cmocka_unit_test(test_bombs),
	        cmocka_unit_test(test_many_delta_bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
