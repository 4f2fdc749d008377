/* SPDX-License-Identifier: MIT */
/*
 * Whole streams: whatever libdeflate is trusted with while a pack arrives, zlib gives the same of.
 * Random damage to real streams, whose headers are then looked at by the one and inflated by both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include "../unpack_int.h"
#include <packhorse/hash.h>
#include <packhorse/inflate.h>

#include <stdlib.h>

#define ROUNDS 40000u

/* Whether zlib takes it, and for how many bytes. */
static bool by_zlib(struct ph_inflate *inflate, const uint8_t *in, size_t len, size_t *used,
                    uint8_t *out, size_t size)
{
	size_t out_pos = 0;
	enum ph_status status;

	*used = 0;
	ph_inflate_start(inflate, size);
	do
		status = ph_inflate_step(inflate, in, used, len, out, &out_pos, size);
	while (status == PH_OK && *used < len);
	return status == PH_END && out_pos == size;
}

static void test_same_verdict(void **state)
{
	const struct ph_unpack *unpack = ph_unpack_libdeflate();
	struct ph_inflate *inflate;
	struct ph_test_rng rng;
	struct ph_test_buf stream = {0};
	static uint8_t data[6000], a[6001], b[6001];
	unsigned plain = 0, taken = 0;
	void *decoder;

	(void)state;
	assert_int_equal(unpack->begin(&decoder), PH_OK);
	assert_int_equal(ph_inflate_new(&inflate, ph_alloc_libc()), PH_OK);
	ph_test_rng_init(&rng, 11);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		size_t size = ph_test_rng_below(&rng, i % 10 ? 600 : sizeof(data));
		size_t asked = size + (i % 50 == 7) - (i % 50 == 8 && size > 0);
		size_t used_a, used_b;
		size_t at;

		ph_test_rng_text(&rng, data, size);
		ph_test_buf_clear(&stream);
		ph_test_deflate(&stream, data, size);
		/* In its first bytes, where the codes are. */
		at = 2 + ph_test_rng_below(&rng, stream.len < 60 ? (uint32_t)stream.len - 2 : 58);
		if (i % 4)
			stream.data[at] ^= (uint8_t)(1u << ph_test_rng_below(&rng, 8));
		if (i % 9 == 0)
			stream.len -= 1 + ph_test_rng_below(&rng, (uint32_t)stream.len - 1);
		ph_test_buf_append(&stream, "trailing", i % 5);
		if (!ph__unpack_plain(stream.data, stream.len))
			continue;
		plain++;
		if (unpack->run(decoder, stream.data, stream.len, &used_a, a, asked) != PH_OK)
			continue;
		taken++;
		assert_true(by_zlib(inflate, stream.data, stream.len, &used_b, b, asked));
		assert_int_equal(used_a, used_b);
		assert_memory_equal(a, b, asked);
	}
	assert_true(plain > ROUNDS / 10);
	assert_true(taken > ROUNDS / 20);
	ph_inflate_free(inflate);
	unpack->end(decoder);
	ph_test_buf_release(&stream);
}

/* No stream that is good is refused for what it is made of; any prefix is survived. */
static void test_plain(void **state)
{
	struct ph_test_rng rng;
	struct ph_test_buf stream = {0};
	static uint8_t data[3000];

	(void)state;
	ph_test_rng_init(&rng, 3);
	ph_test_rng_text(&rng, data, sizeof(data));
	ph_test_deflate(&stream, data, sizeof(data));
	assert_true(ph__unpack_plain(stream.data, stream.len));
	for (size_t len = 0; len < stream.len; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, stream.data, len);
		/* Of bytes that end with the memory. */
		(void)ph__unpack_plain(copy + 0, len);
		free(copy);
	}
	/* 287 literals; a stored block; fixed codes; not the last block. */
	stream.data[2] = (uint8_t)((stream.data[2] & 7) | 0xf0);
	stream.data[2] |= 8;
	assert_false(ph__unpack_plain(stream.data, stream.len));
	for (unsigned kind = 0; kind < 8; kind++) {
		stream.data[2] = (uint8_t)((stream.data[2] & ~7u) | kind);
		if (kind != 5)
			assert_false(ph__unpack_plain(stream.data, stream.len));
	}
	ph_test_buf_release(&stream);
}

/* In one piece and in two, at every start: vectors begin at aligned bytes. */
static void test_same_crc(void **state)
{
	static uint8_t data[3000];
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 12);
	ph_test_rng_text(&rng, data, sizeof(data));
	assert_int_equal(ph_crc32_libdeflate(7, NULL, 0), ph_crc32(7, NULL, 0));
	for (size_t at = 0; at < 64; at++) {
		for (size_t len = 0; at + len <= sizeof(data); len += 1 + len / 5) {
			uint32_t crc = ph_crc32(0, data + at, len);

			assert_int_equal(ph_crc32_libdeflate(0, data + at, len), crc);
			crc = ph_crc32(crc, data, 100);
			assert_int_equal(
			        ph_crc32_libdeflate(ph_crc32(0, data + at, len), data, 100), crc);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_same_verdict),
	        cmocka_unit_test(test_plain),
	        cmocka_unit_test(test_same_crc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
