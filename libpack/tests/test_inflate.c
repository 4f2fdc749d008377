/* SPDX-License-Identifier: MIT */
/* zlib streams: any split gives the same bytes, the declared size is kept to, damage is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/inflate.h>
#include <stdlib.h>

/* Inflates with steps of at most in_step and out_step bytes. *used is where the stream ended. */
static enum ph_status inflate_all(struct ph_inflate *inflate, const struct ph_test_buf *stream,
                                  uint64_t declared, size_t in_step, size_t out_step, uint8_t *out,
                                  size_t *out_len, size_t *used)
{
	size_t in_pos = 0;
	size_t in_end = 0;
	size_t out_pos = 0;
	size_t out_end = 0;
	enum ph_status status = PH_OK;

	ph_inflate_start(inflate, declared);
	while (status == PH_OK) {
		size_t in_before = in_pos;
		size_t out_before = out_pos;
		if (in_pos == in_end && in_end < stream->len)
			in_end = stream->len - in_end > in_step ? in_end + in_step : stream->len;
		if (out_pos == out_end && out_end < declared)
			out_end = declared - out_end > out_step ? out_end + out_step
			                                        : (size_t)declared;
		status = ph_inflate_step(inflate, stream->data, &in_pos, in_end, out, &out_pos,
		                         out_end);
		assert_true(in_pos <= in_end && out_pos <= out_end);
		if (status == PH_OK && in_end == stream->len && in_pos == in_before &&
		    out_pos == out_before && (out_end == declared || out_pos < out_end))
			status = PH_ERR_TRUNCATED; /* nothing left to give */
	}
	*out_len = out_pos;
	*used = in_pos;
	return status;
}

static void any_split_inflates_alike(void **state)
{
	static const size_t steps[] = {1, 2, 3, 7, 64, 1000, 100000};
	static const size_t sizes[] = {0, 1, 2, 100, 5000, 70000};
	struct ph_test_alloc memory;
	struct ph_test_rng rng;
	struct ph_inflate *inflate;
	size_t size_at;

	(void)state;
	ph_test_alloc_init(&memory);
	ph_test_rng_init(&rng, 2);
	assert_int_equal(ph_inflate_new(&inflate, &memory.alloc), PH_OK);
	for (size_at = 0; size_at < sizeof(sizes) / sizeof(sizes[0]); size_at++) {
		size_t size = sizes[size_at];
		struct ph_test_buf stream = {0};
		uint8_t *data = malloc(size + 1);
		uint8_t *out = malloc(size + 1);
		size_t stream_len, in, on;

		ph_test_rng_text(&rng, data, size);
		ph_test_deflate(&stream, data, size);
		stream_len = stream.len;
		ph_test_buf_append(&stream, "what follows", 12);
		for (in = 0; in < 7; in++) {
			for (on = 0; on < 7; on++) {
				size_t got, used;
				memset(out, 0xaa, size + 1);
				assert_int_equal(inflate_all(inflate, &stream, size, steps[in],
				                             steps[on], out, &got, &used),
				                 PH_END);
				assert_int_equal(got, size);
				assert_int_equal(used, stream_len);
				assert_memory_equal(out, data, size);
				assert_int_equal(out[size], 0xaa);
			}
		}
		ph_test_buf_release(&stream);
		free(data);
		free(out);
	}
	ph_inflate_free(inflate);
	assert_int_equal(memory.live, 0);
}

static void other_sizes_are_refused(void **state)
{
	static const size_t steps[] = {1, 100000};
	struct ph_inflate *inflate;
	struct ph_test_rng rng;
	struct ph_test_buf stream = {0};
	uint8_t data[3000];
	uint8_t out[4000];
	size_t step;

	(void)state;
	ph_test_rng_init(&rng, 3);
	ph_test_rng_text(&rng, data, sizeof(data));
	ph_test_deflate(&stream, data, sizeof(data));
	assert_int_equal(ph_inflate_new(&inflate, ph_alloc_libc()), PH_OK);
	for (step = 0; step < 4; step++) {
		size_t in = steps[step & 1];
		size_t on = steps[step >> 1];
		size_t got, used;
		assert_int_equal(inflate_all(inflate, &stream, 2999, in, on, out, &got, &used),
		                 PH_ERR_ZLIB);
		assert_int_equal(inflate_all(inflate, &stream, 3001, in, on, out, &got, &used),
		                 PH_ERR_ZLIB);
		assert_int_equal(inflate_all(inflate, &stream, 0, in, on, out, &got, &used),
		                 PH_ERR_ZLIB);
		assert_int_equal(got, 0);
	}
	ph_inflate_free(inflate);
	ph_test_buf_release(&stream);
}

static void damage_is_noticed(void **state)
{
	struct ph_inflate *inflate;
	struct ph_test_rng rng;
	struct ph_test_buf stream = {0};
	uint8_t data[500];
	uint8_t out[500];
	size_t i, got, used;

	(void)state;
	ph_test_rng_init(&rng, 4);
	ph_test_rng_text(&rng, data, sizeof(data));
	ph_test_deflate(&stream, data, sizeof(data));
	assert_int_equal(ph_inflate_new(&inflate, ph_alloc_libc()), PH_OK);
	for (i = 0; i < stream.len; i++) {
		enum ph_status status;
		stream.data[i] ^= 0x55;
		status = inflate_all(inflate, &stream, 500, 50, 50, out, &got, &used);
		stream.data[i] ^= 0x55;
		assert_true(status == PH_ERR_ZLIB || status == PH_ERR_TRUNCATED);
	}
	for (i = 0; i < stream.len; i++) {
		struct ph_test_buf cut = {stream.data, i, i};
		assert_int_equal(inflate_all(inflate, &cut, 500, 50, 50, out, &got, &used),
		                 PH_ERR_TRUNCATED);
	}
	/* A broken stream stays broken until start. */
	used = 0;
	got = 0;
	ph_inflate_start(inflate, 5);
	assert_int_equal(ph_inflate_step(inflate, data, &used, 500, out, &got, 5), PH_ERR_ZLIB);
	used = 0;
	assert_int_equal(ph_inflate_step(inflate, stream.data, &used, stream.len, out, &got, 5),
	                 PH_ERR_ZLIB);
	assert_int_equal(inflate_all(inflate, &stream, 500, 500, 500, out, &got, &used), PH_END);
	ph_inflate_free(inflate);
	ph_test_buf_release(&stream);
}

/* A preset dictionary is legal zlib, but nobody here has one. */
static void dictionaries_are_refused(void **state)
{
	static const uint8_t stream[] = {0x78, 0xbb, 0, 0, 0, 1, 3, 0, 0, 0, 0, 1};
	struct ph_inflate *inflate;
	size_t in_pos = 0;
	size_t out_pos = 0;

	(void)state;
	assert_int_equal(ph_inflate_new(&inflate, ph_alloc_libc()), PH_OK);
	ph_inflate_start(inflate, 0);
	assert_int_equal(
	        ph_inflate_step(inflate, stream, &in_pos, sizeof(stream), NULL, &out_pos, 0),
	        PH_ERR_ZLIB);
	ph_inflate_free(inflate);
}

static void deflate_takes_any_split(void **state)
{
	static const size_t steps[] = {1, 5, 333, 100000};
	struct ph_test_alloc memory;
	struct ph_deflate *deflate;
	struct ph_inflate *inflate;
	struct ph_test_rng rng;
	uint8_t data[20000];
	uint8_t out[20000];
	size_t in, on;

	(void)state;
	ph_test_alloc_init(&memory);
	ph_test_rng_init(&rng, 5);
	ph_test_rng_text(&rng, data, sizeof(data));
	assert_int_equal(ph_deflate_new(&deflate, &memory.alloc, 1), PH_OK);
	assert_int_equal(ph_inflate_new(&inflate, &memory.alloc), PH_OK);
	for (in = 0; in < 4; in++) {
		for (on = 0; on < 4; on++) {
			struct ph_test_buf stream = {0};
			size_t in_pos = 0, got, used;
			enum ph_status status;
			ph_deflate_start(deflate);
			do {
				uint8_t chunk[1000];
				size_t room = steps[on] < 1000 ? steps[on] : 1000;
				size_t end = sizeof(data) - in_pos > steps[in] ? in_pos + steps[in]
				                                               : sizeof(data);
				size_t out_pos = 0;
				status = ph_deflate_step(deflate, data, &in_pos, end, chunk,
				                         &out_pos, room, end == sizeof(data));
				ph_test_buf_append(&stream, chunk, out_pos);
			} while (status == PH_OK);
			assert_int_equal(status, PH_END);
			assert_int_equal(in_pos, sizeof(data));
			assert_int_equal(inflate_all(inflate, &stream, sizeof(data), 4096, 4096,
			                             out, &got, &used),
			                 PH_END);
			assert_memory_equal(out, data, sizeof(data));
			ph_test_buf_release(&stream);
		}
	}
	ph_deflate_free(deflate);
	ph_inflate_free(inflate);
	assert_int_equal(memory.live, 0);
}

static enum ph_status stream_both_ways(const struct ph_alloc *alloc)
{
	struct ph_deflate *deflate = NULL;
	struct ph_inflate *inflate = NULL;
	struct ph_test_buf stream = {0};
	uint8_t data[9000];
	uint8_t out[9000];
	size_t in_pos = 0, got, used;
	enum ph_status status = ph_deflate_new(&deflate, alloc, 6);

	memset(data, 'x', sizeof(data));
	ph_test_deflate(&stream, data, sizeof(data));
	if (status == PH_OK)
		status = ph_inflate_new(&inflate, alloc);
	if (status == PH_OK) {
		got = 0;
		ph_deflate_start(deflate);
		status = ph_deflate_step(deflate, data, &in_pos, sizeof(data), out, &got,
		                         sizeof(out), true);
		assert_int_equal(status, PH_END);
		status = inflate_all(inflate, &stream, sizeof(data), 10, 100, out, &got, &used);
	}
	ph_inflate_free(inflate);
	ph_deflate_free(deflate);
	ph_test_buf_release(&stream);
	return status;
}

static void no_memory_is_an_error(void **state)
{
	struct ph_test_alloc memory;
	uint64_t i;

	(void)state;
	for (i = 1;; i++) {
		enum ph_status status;
		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = stream_both_ways(&memory.alloc);
		assert_int_equal(memory.live, 0);
		if (memory.calls < i) {
			assert_int_equal(status, PH_END);
			break;
		}
		assert_int_equal(status, PH_ERR_NOMEM);
	}
	assert_true(i > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(any_split_inflates_alike),
	        cmocka_unit_test(other_sizes_are_refused),
	        cmocka_unit_test(damage_is_noticed),
	        cmocka_unit_test(dictionaries_are_refused),
	        cmocka_unit_test(deflate_takes_any_split),
	        cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
