/* SPDX-License-Identifier: MIT */
/* Deltas: every form of copy and insert, and everything that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/delta.h>
#include <stdlib.h>

static const uint8_t base_text[] = "0123456789";

/* Applies a delta given as bytes to the ten digits. */
static enum ph_status apply(const uint8_t *delta, size_t len, uint8_t *result, size_t result_size)
{
	/* Exact copies, so that a sanitizer sees every step outside. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	uint8_t *base = malloc(10);
	enum ph_status status;

	if (len > 0)
		memcpy(copy, delta, len);
	memcpy(base, base_text, 10);
	status = ph_delta_apply(base, 10, copy, len, result, result_size);
	free(copy);
	free(base);
	return status;
}

static void copies_and_inserts(void **state)
{
	/* "345", "xy", the whole base, nothing else. */
	static const uint8_t delta[] = {10, 15, 0x91, 3, 3, 2, 'x', 'y', 0x90, 10};
	uint8_t result[15];

	(void)state;
	assert_int_equal(apply(delta, sizeof(delta), result, 15), PH_OK);
	assert_memory_equal(result, "345xy0123456789", 15);
}

static void sizes_are_read(void **state)
{
	static const uint8_t good[] = {0x80, 0x01, 0xff, 0x7f, 0x90};
	static const uint8_t most[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0};
	static const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	                               0xff, 0xff, 0xff, 0x01, 0};
	uint64_t base, result;
	size_t len;

	(void)state;
	assert_int_equal(ph_delta_sizes(good, 5, &base, &result, &len), PH_OK);
	assert_int_equal(base, 128);
	assert_int_equal(result, 16383);
	assert_int_equal(len, 4);
	assert_int_equal(ph_delta_sizes(most, sizeof(most), &base, &result, &len), PH_OK);
	assert_true(base == ((uint64_t)1 << 63) - 1);
	assert_int_equal(ph_delta_sizes(over, sizeof(over), &base, &result, &len), PH_ERR_DELTA);
	for (len = 0; len < 4; len++) {
		size_t header;
		assert_int_equal(ph_delta_sizes(good, len, &base, &result, &header), PH_ERR_DELTA);
	}
}

static void copy_of_size_zero_is_64k(void **state)
{
	uint8_t *base = malloc(0x10001);
	uint8_t *result = malloc(0x10000);
	static const uint8_t delta[] = {0x81, 0x80, 0x04, 0x80, 0x80, 0x04, 0x81, 0x01};
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 6);
	ph_test_rng_fill(&rng, base, 0x10001);
	assert_int_equal(ph_delta_apply(base, 0x10001, delta, sizeof(delta), result, 0x10000),
	                 PH_OK);
	assert_memory_equal(result, base + 1, 0x10000);
	/* The same copy would leave a base that is one byte shorter. */
	assert_int_equal(ph_delta_apply(base, 0x10000, delta, sizeof(delta), result, 0x10000),
	                 PH_ERR_DELTA);
	free(base);
	free(result);
}

static void broken_deltas_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[16];
		size_t len;
		size_t result;
	} cases[] = {
	        {{0}, 0, 0},                                  /* empty */
	        {{10}, 1, 0},                                 /* no result size */
	        {{9, 3, 0x90, 3}, 4, 3},                      /* other base size */
	        {{11, 3, 0x90, 3}, 4, 3},                     /* other base size */
	        {{10, 4, 0x90, 3}, 4, 4},                     /* too little comes out */
	        {{10, 3, 0x90, 4}, 4, 3},                     /* too much: copy */
	        {{10, 2, 3, 'a', 'b', 'c'}, 6, 2},            /* too much: insert */
	        {{10, 3, 0x90, 3, 1, 'x'}, 6, 3},             /* more behind a full result */
	        {{10, 3, 0x91, 8, 3}, 5, 3},                  /* copy leaves the base */
	        {{10, 1, 0x91, 10, 1}, 5, 1},                 /* copy starts behind it */
	        {{10, 1, 0x9f, 255, 255, 255, 255, 1}, 8, 1}, /* far behind it */
	        {{10, 3, 0x91, 1}, 4, 3},                     /* copy's size is cut */
	        {{10, 3, 0x91}, 3, 3},                        /* copy's offset is cut */
	        {{10, 3, 3, 'a', 'b'}, 5, 3},                 /* insert is cut */
	        {{10, 3, 0x90, 3, 0}, 5, 3},                  /* reserved */
	        {{10, 0, 0}, 3, 0},                           /* reserved, empty result */
	        {{10, 3, 0x90, 3}, 4, 2},                     /* caller's size differs */
	};
	uint8_t result[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(apply(cases[i].bytes, cases[i].len, result, cases[i].result),
		                 PH_ERR_DELTA);
}

static void empty_results(void **state)
{
	/* As short as git takes them, and shorter. */
	static const uint8_t to_nothing[] = {0x8a, 0, 0x80, 0};
	static const uint8_t too_short[] = {10, 0};
	static const uint8_t from_nothing[] = {0, 1, 1, 'x'};
	uint8_t result[1];

	(void)state;
	assert_int_equal(apply(to_nothing, 4, NULL, 0), PH_OK);
	assert_int_equal(apply(too_short, 2, NULL, 0), PH_ERR_DELTA);
	assert_int_equal(ph_delta_apply(NULL, 0, from_nothing, 4, result, 1), PH_OK);
	assert_int_equal(result[0], 'x');
}

static void instructions_one_by_one(void **state)
{
	static const uint8_t delta[] = {
	        0x80 | 0x0f | 0x70, 1, 2, 3, 4, 5, 6, 7, 2, 'h', 'i', 0xc1, 9, 8};
	struct ph_delta_op op;
	size_t pos = 0;

	(void)state;
	assert_int_equal(ph_delta_next(delta, sizeof(delta), &pos, &op), PH_OK);
	assert_true(op.copy);
	assert_int_equal(op.offset, 0x04030201);
	assert_int_equal(op.size, 0x070605);
	assert_int_equal(ph_delta_next(delta, sizeof(delta), &pos, &op), PH_OK);
	assert_false(op.copy);
	assert_int_equal(op.size, 2);
	assert_ptr_equal(op.insert, delta + 9);
	assert_int_equal(ph_delta_next(delta, sizeof(delta), &pos, &op), PH_OK);
	assert_true(op.copy);
	assert_int_equal(op.offset, 9);
	assert_int_equal(op.size, 0x080000);
	assert_int_equal(ph_delta_next(delta, sizeof(delta), &pos, &op), PH_END);
	pos = 8;
	assert_int_equal(ph_delta_next(delta, 10, &pos, &op), PH_ERR_DELTA);
}

static void made_deltas_apply(void **state)
{
	struct ph_test_rng rng;
	unsigned round;

	(void)state;
	ph_test_rng_init(&rng, 7);
	for (round = 0; round < 200; round++) {
		uint32_t base_len = ph_test_rng_below(&rng, 3000);
		uint32_t len = ph_test_rng_below(&rng, 3000);
		uint8_t *base = malloc(base_len + 1);
		uint8_t *want = malloc(len + 1);
		uint8_t *got = malloc(len + 1);
		struct ph_test_buf delta = {0};
		ph_test_rng_text(&rng, base, base_len);
		ph_test_rng_text(&rng, want, len);
		memcpy(want, base, base_len / 2 < len ? base_len / 2 : len);
		ph_test_delta_make(&delta, base, base_len, want, len);
		assert_int_equal(ph_delta_apply(base, base_len, delta.data, delta.len, got, len),
		                 PH_OK);
		assert_memory_equal(got, want, len);
		ph_test_buf_release(&delta);
		free(base);
		free(want);
		free(got);
	}
}

/* Whatever the bytes are, nothing is read or written outside (the sanitizer tells). */
static void noise_is_survived(void **state)
{
	struct ph_test_rng rng;
	unsigned round;
	unsigned good = 0;

	(void)state;
	ph_test_rng_init(&rng, 8);
	for (round = 0; round < 20000; round++) {
		uint8_t delta[24];
		uint8_t result[8];
		ph_test_rng_fill(&rng, delta, sizeof(delta));
		delta[0] = 10;
		delta[1] = (uint8_t)ph_test_rng_below(&rng, 9);
		if (apply(delta, ph_test_rng_below(&rng, 25), result, delta[1]) == PH_OK)
			good++;
	}
	assert_in_range(good, 1, 19999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(copies_and_inserts),
	        cmocka_unit_test(sizes_are_read),
	        cmocka_unit_test(copy_of_size_zero_is_64k),
	        cmocka_unit_test(broken_deltas_are_refused),
	        cmocka_unit_test(empty_results),
	        cmocka_unit_test(instructions_one_by_one),
	        cmocka_unit_test(made_deltas_apply),
	        cmocka_unit_test(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
