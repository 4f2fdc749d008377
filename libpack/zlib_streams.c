/* SPDX-License-Identifier: MIT */
/*
 * zlib streams in and out, and zlib's CRC-32: the only file that sees zlib. Its memory comes from
 * the owner's allocator. An inflater is told how much must come out and stops at the first byte
 * more, so a small stream cannot unfold without bound, and a call without progress cannot loop.
 */
#include <packhorse/hash.h>
#include <packhorse/inflate.h>

#include <assert.h>
#include <limits.h>
#define ZLIB_CONST
#include <zlib.h>

struct ph_inflate {
	z_stream stream;
	const struct ph_alloc *alloc;
	uint64_t remaining; /* of the declared size */
	bool running;       /* between start, and the end or an error */
};

struct ph_deflate {
	z_stream stream;
	const struct ph_alloc *alloc;
	bool running;
};

static voidpf zlib_alloc(voidpf opaque, uInt items, uInt size)
{
	const struct ph_alloc *alloc = opaque;

	return ph_mem_zalloc(alloc, items, size);
}

static void zlib_free(voidpf opaque, voidpf ptr)
{
	const struct ph_alloc *alloc = opaque;

	ph_mem_free(alloc, ptr);
}

/* zlib keeps the hooks' argument without const; the hooks above put it back. */
static void stream_set_alloc(z_stream *stream, const struct ph_alloc *alloc)
{
	memcpy(&stream->opaque, &alloc, sizeof(alloc));
	stream->zalloc = zlib_alloc;
	stream->zfree = zlib_free;
}

static uInt clamp_uint(size_t len)
{
	return len > UINT_MAX ? UINT_MAX : (uInt)len;
}

enum ph_status ph_inflate_new(struct ph_inflate **out, const struct ph_alloc *alloc)
{
	struct ph_inflate *inflater = ph_mem_zalloc(alloc, 1, sizeof(*inflater));

	if (!inflater)
		return PH_ERR_NOMEM;
	inflater->alloc = alloc;
	stream_set_alloc(&inflater->stream, alloc);
	if (inflateInit(&inflater->stream) != Z_OK) {
		ph_mem_free(alloc, inflater);
		return PH_ERR_NOMEM;
	}
	*out = inflater;
	return PH_OK;
}

void ph_inflate_free(struct ph_inflate *inflater)
{
	if (!inflater)
		return;
	(void)inflateEnd(&inflater->stream);
	ph_mem_free(inflater->alloc, inflater);
}

enum ph_status ph_inflate_copy(struct ph_inflate **out, const struct ph_inflate *from)
{
	struct ph_inflate *inflater = ph_mem_zalloc(from->alloc, 1, sizeof(*inflater));

	if (!inflater)
		return PH_ERR_NOMEM;
	inflater->alloc = from->alloc;
	inflater->remaining = from->remaining;
	inflater->running = from->running;
	/* zlib only reads what it copies, though it does not say so. */
	if (inflateCopy(&inflater->stream, (z_stream *)(uintptr_t)&from->stream) != Z_OK) {
		ph_mem_free(from->alloc, inflater);
		return PH_ERR_NOMEM;
	}
	*out = inflater;
	return PH_OK;
}

void ph_inflate_start(struct ph_inflate *inflater, uint64_t size)
{
	int result = inflateReset(&inflater->stream);

	assert(result == Z_OK);
	(void)result;
	inflater->remaining = size;
	inflater->running = true;
}

/*
 * One call of inflate into at most room bytes. When everything declared is out, a spare byte takes
 * what must not come. Told that the rest fits, zlib neither allocates nor fills its window, which
 * saves a copy for every object that is inflated in one go.
 */
static int inflate_once(struct ph_inflate *inflater, const uint8_t *in, size_t *in_pos,
                        size_t in_len, uint8_t *out, size_t *out_pos, size_t room)
{
	z_stream *stream = &inflater->stream;
	uint8_t spare[1];
	bool last = inflater->remaining == 0;
	uInt avail_in = clamp_uint(in_len - *in_pos);
	uInt avail_out = last ? 1 : clamp_uint(room);
	int flush = !last && avail_out == inflater->remaining ? Z_FINISH : Z_NO_FLUSH;
	uint8_t none = 0;
	int result;

	stream->next_in = avail_in > 0 ? in + *in_pos : &none;
	stream->avail_in = avail_in;
	stream->next_out = last ? spare : out + *out_pos;
	stream->avail_out = avail_out;
	result = inflate(stream, flush);
	*in_pos += avail_in - stream->avail_in;
	if (!last) {
		*out_pos += avail_out - stream->avail_out;
		inflater->remaining -= avail_out - stream->avail_out;
	} else if (stream->avail_out == 0) {
		result = Z_DATA_ERROR;
	}
	stream->next_in = NULL;
	stream->next_out = NULL;
	return result;
}

static enum ph_status inflate_stop(struct ph_inflate *inflater, enum ph_status status)
{
	inflater->running = false;
	return status;
}

enum ph_status ph_inflate_step(struct ph_inflate *inflater, const uint8_t *in, size_t *in_pos,
                               size_t in_len, uint8_t *out, size_t *out_pos, size_t out_len)
{
	assert(*in_pos <= in_len);
	assert(*out_pos <= out_len);
	if (!inflater->running)
		return PH_ERR_ZLIB;
	for (;;) {
		size_t room = out_len - *out_pos;
		size_t in_before = *in_pos;
		size_t out_before = *out_pos;
		int result;

		if (room > inflater->remaining)
			room = (size_t)inflater->remaining;
		if (inflater->remaining > 0 && room == 0)
			return PH_OK;
		result = inflate_once(inflater, in, in_pos, in_len, out, out_pos, room);
		if (result == Z_STREAM_END)
			return inflate_stop(inflater,
			                    inflater->remaining == 0 ? PH_END : PH_ERR_ZLIB);
		if (result == Z_MEM_ERROR)
			return inflate_stop(inflater, PH_ERR_NOMEM);
		if (result != Z_OK && result != Z_BUF_ERROR)
			return inflate_stop(inflater, PH_ERR_ZLIB);
		if (*in_pos == in_len)
			return PH_OK;
		if (*in_pos == in_before && *out_pos == out_before)
			return inflate_stop(inflater, PH_ERR_ZLIB);
	}
}

/* A window of 32 KiB, with zlib's header and checksum around the stream or without. */
#define WINDOW_BITS 15
#define MEMORY_LEVEL 8

static enum ph_status deflate_new(struct ph_deflate **out, const struct ph_alloc *alloc, int level,
                                  int window_bits)
{
	struct ph_deflate *deflater;

	assert(level >= 0 && level <= 9);
	deflater = ph_mem_zalloc(alloc, 1, sizeof(*deflater));
	if (!deflater)
		return PH_ERR_NOMEM;
	deflater->alloc = alloc;
	stream_set_alloc(&deflater->stream, alloc);
	if (deflateInit2(&deflater->stream, level, Z_DEFLATED, window_bits, MEMORY_LEVEL,
	                 Z_DEFAULT_STRATEGY) != Z_OK) {
		ph_mem_free(alloc, deflater);
		return PH_ERR_NOMEM;
	}
	*out = deflater;
	return PH_OK;
}

enum ph_status ph_deflate_new(struct ph_deflate **out, const struct ph_alloc *alloc, int level)
{
	return deflate_new(out, alloc, level, WINDOW_BITS);
}

enum ph_status ph_deflate_new_raw(struct ph_deflate **out, const struct ph_alloc *alloc, int level)
{
	return deflate_new(out, alloc, level, -WINDOW_BITS);
}

void ph_deflate_free(struct ph_deflate *deflater)
{
	if (!deflater)
		return;
	(void)deflateEnd(&deflater->stream);
	ph_mem_free(deflater->alloc, deflater);
}

void ph_deflate_start(struct ph_deflate *deflater)
{
	int result = deflateReset(&deflater->stream);

	assert(result == Z_OK);
	(void)result;
	deflater->running = true;
}

enum ph_status ph_deflate_step(struct ph_deflate *deflater, const uint8_t *in, size_t *in_pos,
                               size_t in_len, uint8_t *out, size_t *out_pos, size_t out_len,
                               bool finish)
{
	z_stream *stream = &deflater->stream;
	uint8_t none = 0;

	assert(deflater->running);
	assert(*in_pos <= in_len);
	assert(*out_pos <= out_len);
	while (*out_pos < out_len && (finish || *in_pos < in_len)) {
		uInt avail_in = clamp_uint(in_len - *in_pos);
		uInt avail_out = clamp_uint(out_len - *out_pos);
		bool last = finish && avail_in == in_len - *in_pos;
		int result;

		stream->next_in = avail_in > 0 ? in + *in_pos : &none;
		stream->avail_in = avail_in;
		stream->next_out = out + *out_pos;
		stream->avail_out = avail_out;
		result = deflate(stream, last ? Z_FINISH : Z_NO_FLUSH);
		*in_pos += avail_in - stream->avail_in;
		*out_pos += avail_out - stream->avail_out;
		stream->next_in = NULL;
		stream->next_out = NULL;
		if (result == Z_STREAM_END) {
			deflater->running = false;
			return PH_END;
		}
		assert(result == Z_OK || result == Z_BUF_ERROR);
	}
	return PH_OK;
}

uint32_t ph_crc32(uint32_t crc, const void *data, size_t len)
{
	if (len == 0)
		return crc;
	return (uint32_t)crc32_z(crc, data, len);
}
