/* SPDX-License-Identifier: MIT */
/*
 * Helpers that are not about packs: the failing allocator, random numbers, bytes and sinks in
 * memory. They use malloc directly, so that what they need never disturbs what a test counts.
 */
#include "support_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void ph__test_die(const char *what)
{
	fprintf(stderr, "test support: %s\n", what);
	abort();
}

void *ph__test_grow(void *ptr, size_t size)
{
	void *grown = realloc(ptr, size > 0 ? size : 1);

	if (!grown)
		ph__test_die("out of memory");
	return grown;
}

/* What stands before each allocation; 16 bytes keep what follows aligned for any type. */
union block_header {
	size_t size;
	_Alignas(16) uint8_t room[16];
};

static bool alloc_fails(struct ph_test_alloc *memory)
{
	uint64_t call = atomic_fetch_add(&memory->calls, 1) + 1;

	if (memory->fail_at == 0)
		return false;
	return memory->fail_on ? call >= memory->fail_at : call == memory->fail_at;
}

static void count_bytes(struct ph_test_alloc *memory, size_t added, size_t removed)
{
	int64_t change = (int64_t)added - (int64_t)removed;
	int64_t now = atomic_fetch_add(&memory->live_bytes, change) + change;
	int64_t peak = atomic_load(&memory->peak_bytes);

	while (now > peak && !atomic_compare_exchange_weak(&memory->peak_bytes, &peak, now))
		continue;
}

static void *test_resize(void *user, void *ptr, size_t size)
{
	struct ph_test_alloc *memory = user;
	union block_header *header = ptr ? (union block_header *)ptr - 1 : NULL;
	size_t old = header ? header->size : 0;

	if (size == 0)
		ph__test_die("an allocation of 0 bytes");
	if (alloc_fails(memory) || size > SIZE_MAX - sizeof(*header))
		return NULL;
	/* A real one may fail too: a size that a peer made up. */
	header = realloc(header, sizeof(*header) + size);
	if (!header)
		return NULL;
	header->size = size;
	if (!ptr)
		atomic_fetch_add(&memory->live, 1);
	count_bytes(memory, size, old);
	return header + 1;
}

static void *test_alloc(void *user, size_t size)
{
	return test_resize(user, NULL, size);
}

static void test_free(void *user, void *ptr)
{
	struct ph_test_alloc *memory = user;
	union block_header *header;

	if (!ptr)
		return;
	header = (union block_header *)ptr - 1;
	atomic_fetch_sub(&memory->live, 1);
	count_bytes(memory, 0, header->size);
	free(header);
}

void ph_test_alloc_init(struct ph_test_alloc *memory)
{
	memory->alloc.user = memory;
	memory->alloc.alloc = test_alloc;
	memory->alloc.resize = test_resize;
	memory->alloc.free = test_free;
	memory->fail_at = 0;
	memory->fail_on = false;
	atomic_init(&memory->calls, 0);
	atomic_init(&memory->live, 0);
	atomic_init(&memory->live_bytes, 0);
	atomic_init(&memory->peak_bytes, 0);
}

void ph_test_rng_init(struct ph_test_rng *rng, uint64_t seed)
{
	rng->state = seed;
}

uint64_t ph_test_rng_next(struct ph_test_rng *rng)
{
	uint64_t x = rng->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint32_t ph_test_rng_below(struct ph_test_rng *rng, uint32_t n)
{
	return (uint32_t)((ph_test_rng_next(rng) >> 32) * n >> 32);
}

void ph_test_rng_fill(struct ph_test_rng *rng, void *data, size_t len)
{
	uint8_t *at = data;

	for (; len > 0; len--)
		*at++ = (uint8_t)(ph_test_rng_next(rng) >> 56);
}

void ph_test_rng_text(struct ph_test_rng *rng, void *data, size_t len)
{
	static const char *const words[] = {"mule ",   "pack ", "horse ", "saddle ",
	                                    "trail\n", "of ",   "rope ",  "the "};
	char *at = data;

	while (len > 0) {
		const char *word = words[ph_test_rng_below(rng, 8)];
		for (; *word != '\0' && len > 0; len--)
			*at++ = *word++;
	}
}

void ph_test_buf_append(struct ph_test_buf *buf, const void *data, size_t len)
{
	if (len > buf->capacity - buf->len) {
		buf->capacity = 2 * buf->capacity + len + 64;
		buf->data = ph__test_grow(buf->data, buf->capacity);
	}
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
}

void ph_test_buf_print(struct ph_test_buf *buf, const char *format, ...)
{
	char text[4096];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text))
		ph__test_die("a printed text is too long");
	ph_test_buf_append(buf, text, (size_t)len);
}

void ph_test_buf_clear(struct ph_test_buf *buf)
{
	buf->len = 0;
}

void ph_test_buf_release(struct ph_test_buf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

static enum ph_status bytes_read(const struct ph_bytes *base, uint64_t offset, void *buf,
                                 size_t len)
{
	const struct ph_test_bytes *bytes = (const struct ph_test_bytes *)(const void *)base;
	struct ph_test_faults *faults = bytes->faults;

	if (offset > base->size || len > base->size - offset)
		ph__test_die("a read outside of the bytes");
	if (faults && ++faults->calls == faults->fail_at)
		return faults->fail_status != PH_OK ? faults->fail_status : PH_ERR_IO;
	if (len > 0)
		memcpy(buf, bytes->data + offset, len);
	return PH_OK;
}

void ph_test_bytes_init(struct ph_test_bytes *bytes, const void *data, uint64_t size)
{
	bytes->bytes.read = bytes_read;
	bytes->bytes.size = size;
	bytes->data = data;
	bytes->faults = NULL;
}

static struct ph_test_sink *sink_of(struct ph_sink *sink)
{
	/* The sink is the first member. */
	return (struct ph_test_sink *)(void *)sink;
}

static enum ph_status sink_append(struct ph_sink *base, const void *data, size_t len)
{
	struct ph_test_sink *sink = sink_of(base);

	if (sink->aborted)
		ph__test_die("an append after abort");
	if (++sink->appends == sink->fail_at)
		return PH_ERR_IO;
	if (len > sink->size_max - base->size)
		return PH_ERR_FULL;
	ph_test_buf_append(&sink->buf, data, len);
	base->size += len;
	return PH_OK;
}

static enum ph_status sink_read(struct ph_sink *base, uint64_t offset, void *buf, size_t len)
{
	struct ph_test_sink *sink = sink_of(base);

	if (sink->aborted || offset > base->size || len > base->size - offset)
		ph__test_die("a read outside of the sink");
	if (len > 0)
		memcpy(buf, sink->buf.data + offset, len);
	return PH_OK;
}

static void sink_abort(struct ph_sink *base)
{
	sink_of(base)->aborted = true;
}

void ph_test_sink_init(struct ph_test_sink *sink)
{
	static const struct ph_sink_ops ops = {sink_append, sink_read, sink_abort};

	memset(sink, 0, sizeof(*sink));
	sink->sink.ops = &ops;
	sink->size_max = UINT64_MAX;
}

void ph_test_sink_release(struct ph_test_sink *sink)
{
	ph_test_buf_release(&sink->buf);
}
