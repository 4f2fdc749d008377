/* SPDX-License-Identifier: MIT */
/*
 * Whole streams: whatever libdeflate is trusted with while a pack arrives, zlib gives the same of.
 * Random damage to real streams, whose headers are then looked at by the one and inflated by both.
 * The small ones, which are inflated here, are damaged anywhere, with a checksum that is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include "../unpack_int.h"
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

/*
 * A stream of one block that is stored or has the fixed codes, or none: of bytes without order, and
 * of a few that have some.
 */
static bool deflate_small(struct ph_test_rng *rng, struct ph_test_buf *out, uint8_t *data,
                          size_t size)
{
	if (ph_test_rng_below(rng, 4) == 0)
		ph_test_rng_fill(rng, data, size);
	else
		ph_test_rng_text(rng, data, size);
	if (ph_test_rng_below(rng, 8) == 0)
		memset(data, 'x', size);
	ph_test_buf_clear(out);
	ph_test_deflate(out, data, size);
	return (out->data[2] & 5) == 1;
}

/* With every byte of its memory, so that a sanitizer sees a read behind the end. */
static bool small(const struct ph_test_buf *stream, size_t len, size_t *used, uint8_t *out,
                  size_t size)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	uint8_t *exact = malloc(size > 0 ? size : 1);
	bool taken;

	assert_non_null(copy);
	assert_non_null(exact);
	memcpy(copy, stream->data, len);
	taken = ph__unpack_small(copy, len, used, exact, size);
	if (taken)
		memcpy(out, exact, size);
	free(copy);
	free(exact);
	return taken;
}

/* Whatever zlib makes of one such block is taken, and nothing that is not all there. */
static void test_small(void **state)
{
	struct ph_test_rng rng;
	struct ph_test_buf stream = {0};
	static uint8_t data[5000], out[5001];
	unsigned stored = 0, fixed = 0;

	(void)state;
	ph_test_rng_init(&rng, 5);
	for (uint32_t i = 0; i < 3000; i++) {
		size_t size = i < 300 ? i : ph_test_rng_below(&rng, i % 8 ? 60 : sizeof(data));
		size_t used;

		if (!deflate_small(&rng, &stream, data, size))
			continue;
		stored += (stream.data[2] & 7) == 1;
		fixed += (stream.data[2] & 7) == 3;
		ph_test_buf_append(&stream, "trailing", i % 9);
		assert_true(small(&stream, stream.len, &used, out, size));
		assert_int_equal(used, stream.len - i % 9);
		assert_memory_equal(out, data, size);
		assert_false(small(&stream, used - 1, &used, out, size));
		assert_false(small(&stream, stream.len, &used, out, size + 1));
		if (size > 0)
			assert_false(small(&stream, stream.len, &used, out, size - 1));
		assert_false(small(&stream, ph_test_rng_below(&rng, 4), &used, out, size));
	}
	assert_true(stored > 100);
	assert_true(fixed > 100);
	ph_test_buf_release(&stream);
}

static uint32_t adler(const uint8_t *data, size_t size)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < size; i++) {
		a = (a + data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* Its checksum becomes the right one, where that is all that zlib has against it. */
static void mend(struct ph_test_buf *stream, struct ph_inflate *inflate, size_t size)
{
	static uint8_t out[700];
	size_t used;

	if (by_zlib(inflate, stream->data, stream->len, &used, out, size) || used < 6)
		return;
	for (uint32_t sum = adler(out, size), i = 0; i < 4; i++)
		stream->data[used - 4 + i] = (uint8_t)(sum >> (24 - 8 * i));
}

/* Damaged anywhere: what is taken, zlib takes for the same; and what zlib takes, is. */
static void test_small_verdict(void **state)
{
	struct ph_inflate *inflate;
	struct ph_test_rng rng;
	struct ph_test_buf stream = {0};
	static uint8_t data[600], a[700], b[700];
	unsigned taken = 0, damaged = 0, reserved = 0;

	(void)state;
	assert_int_equal(ph_inflate_new(&inflate, ph_alloc_libc()), PH_OK);
	ph_test_rng_init(&rng, 12);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		size_t size = 1 + ph_test_rng_below(&rng, i % 4 ? 40 : sizeof(data));
		size_t used_a, used_b;
		bool ours;

		if (!deflate_small(&rng, &stream, data, size))
			continue;
		if (i % 5) {
			uint32_t at = 2 + ph_test_rng_below(&rng, (uint32_t)stream.len - 2);

			stream.data[at] ^= (uint8_t)(1u << ph_test_rng_below(&rng, 8));
			mend(&stream, inflate, size);
		}
		ours = small(&stream, stream.len, &used_a, a, size);
		if (ours) {
			assert_true(by_zlib(inflate, stream.data, stream.len, &used_b, b, size));
			assert_int_equal(used_a, used_b);
			assert_memory_equal(a, b, size);
			taken++;
			damaged += memcmp(a, data, size) != 0;
		} else if ((stream.data[2] & 5) == 1) {
			assert_false(by_zlib(inflate, stream.data, stream.len, &used_b, b, size));
			reserved++;
		}
	}
	assert_true(taken > ROUNDS / 5);
	assert_true(damaged > ROUNDS / 40);
	assert_true(reserved > ROUNDS / 20);
	ph_inflate_free(inflate);
	ph_test_buf_release(&stream);
}

/* Fixed codes that the format reserves, which some decoders take for others; and their neighbours.
 */
static void test_reserved(void **state)
{
	static const struct {
		uint8_t stream[10];
		size_t size;
		bool good;
	} rows[] = {
	        /* A literal 0, and a match of distance 1 by the symbols 285, 286 and 287. */
	        {{0x78, 0x9c, 0x63, 0x18, 0x05, 0x00, 0x01, 0x03, 0x00, 0x01}, 259, true},
	        {{0x78, 0x9c, 0x63, 0x18, 0x03, 0x00, 0x01, 0x03, 0x00, 0x01}, 259, false},
	        {{0x78, 0x9c, 0x63, 0x18, 0x07, 0x00, 0x01, 0x03, 0x00, 0x01}, 259, false},
	        /* The same by the shortest length, and the distance codes 0, 30 and 31. */
	        {{0x78, 0x9c, 0x63, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00, 0x01}, 4, true},
	        {{0x78, 0x9c, 0x63, 0x00, 0x3e, 0x00, 0x00, 0x04, 0x00, 0x01}, 4, false},
	        {{0x78, 0x9c, 0x63, 0x00, 0x7e, 0x00, 0x00, 0x04, 0x00, 0x01}, 4, false},
	        /* A window that is smaller, a dictionary, a header whose check is wrong. */
	        {{0x68, 0x81, 0x63, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00, 0x01}, 4, false},
	        {{0x78, 0xbb, 0x63, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00, 0x01}, 4, false},
	        {{0x78, 0x9d, 0x63, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00, 0x01}, 4, false},
	};
	uint8_t out[300];
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(ph__unpack_small(rows[i].stream, 10, &used, out, rows[i].size),
		                 rows[i].good);
		assert_true(!rows[i].good || used == 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_same_verdict), cmocka_unit_test(test_plain),
	        cmocka_unit_test(test_small),        cmocka_unit_test(test_small_verdict),
	        cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
