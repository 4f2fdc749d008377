/* SPDX-License-Identifier: MIT */
/*
 * Whole zlib streams and CRCs by libdeflate: the only file that sees it. Decompressors are made
 * before the work begins, one for each thread of it, since what they are made of comes from an
 * allocator that the process shares.
 */
#include "unpack_int.h"

#include <libdeflate.h>

static enum ph_status begin(void **state)
{
	struct libdeflate_decompressor *made = libdeflate_alloc_decompressor();

	if (!made)
		return PH_ERR_NOMEM;
	*state = made;
	return PH_OK;
}

static void end(void *state)
{
	libdeflate_free_decompressor(state);
}

static enum ph_status run(void *state, const uint8_t *in, size_t len, size_t *used, uint8_t *out,
                          size_t size)
{
	/* Without a place to say how many came out, fewer than size are an error. */
	enum libdeflate_result result =
	        libdeflate_zlib_decompress_ex(state, in, len, out, size, used, NULL);

	return result == LIBDEFLATE_SUCCESS ? PH_OK : PH_ERR_ZLIB;
}

uint32_t ph_crc32_libdeflate(uint32_t crc, const void *data, size_t len)
{
	/* Without data it would answer with the start value of a new sum. */
	return len ? libdeflate_crc32(crc, data, len) : crc;
}

static enum ph_status run_agreed(void *state, const uint8_t *in, size_t len, size_t *used,
                                 uint8_t *out, size_t size)
{
	return ph__unpack_plain(in, len) ? run(state, in, len, used, out, size) : PH_ERR_ZLIB;
}

const struct ph_unpack *ph_unpack_libdeflate(void)
{
	static const struct ph_unpack unpack = {
	        .begin = begin, .end = end, .run = run, .run_agreed = run_agreed};

	return &unpack;
}
