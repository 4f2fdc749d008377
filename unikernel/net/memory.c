/* SPDX-License-Identifier: MIT */
/*
 * The memory below lwIP. It is counted, so that all connections together keep to one bound:
 * connection.c asks how much is free before it opens windows or takes bytes to send. A quarter is
 * not free in that sense, but for what cannot be refused without standing still; and the frame to
 * receive into is always there, as it may be the acknowledgement that frees the rest. Frames come
 * and go by the hundred thousand a second, so a few blocks of their size are kept aside.
 */
#include "net_int.h"

#include <stdlib.h>
#include <string.h>

/* Blocks of this size hold a frame of 1500 bytes with lwIP's and our own header. */
#define FRAME_BYTES 1728u
#define FRAME_MIN_BYTES 1024u
#define SMALL_BYTES 96u
#define KEPT_MAX 64u
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0 /* a sanitizer has to see every block come and go at its own size */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#else
#define KEEPS 1
#endif
#else
#define KEEPS 1
#endif

/* In front of every block; 16 bytes keep what follows aligned. */
union block {
	struct {
		size_t size;
		union block *next;
	} head;
	max_align_t align;
};

struct shelf {
	union block *first;
	unsigned count;
};

static struct shelf frames, smalls;
static size_t held, limit = SIZE_MAX;
static bool urgent;

static struct shelf *shelf_of(size_t size)
{
	if (!KEEPS)
		return NULL;
	if (size == FRAME_BYTES)
		return &frames;
	return size == SMALL_BYTES ? &smalls : NULL;
}

void *ph__net_malloc(size_t size)
{
	union block *block;
	struct shelf *shelf;

	if (size > PTRDIFF_MAX - sizeof *block)
		return NULL;
	size += sizeof *block;
	if (KEEPS && size <= SMALL_BYTES)
		size = SMALL_BYTES;
	else if (KEEPS && size > FRAME_MIN_BYTES && size <= FRAME_BYTES)
		size = FRAME_BYTES;
	if (!urgent && (held > limit || size > limit - held))
		return NULL;
	shelf = shelf_of(size);
	if (shelf && shelf->first) {
		block = shelf->first;
		shelf->first = block->head.next;
		shelf->count--;
	} else {
		block = malloc(size);
		if (!block)
			return NULL;
		block->head.size = size;
	}
	held += size;
	return block + 1;
}

void *ph__net_calloc(size_t count, size_t size)
{
	void *ptr = size && count > SIZE_MAX / size ? NULL : ph__net_malloc(count * size);

	return ptr ? memset(ptr, 0, count * size) : NULL;
}

void ph__net_free(void *ptr)
{
	union block *block;
	struct shelf *shelf;

	if (!ptr)
		return;
	block = (union block *)ptr - 1;
	held -= block->head.size;
	shelf = shelf_of(block->head.size);
	if (shelf && shelf->count < KEPT_MAX) {
		block->head.next = shelf->first;
		shelf->first = block;
		shelf->count++;
	} else {
		free(block);
	}
}

void ph__memory_limit(size_t bytes)
{
	limit = bytes;
}

void ph__memory_urgent(bool yes)
{
	urgent = yes;
}

size_t ph__memory_held(void)
{
	return held;
}

size_t ph__memory_free(void)
{
	size_t usual = limit - limit / 4;

	return usual > held ? usual - held : 0;
}
