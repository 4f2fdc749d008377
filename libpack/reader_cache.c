/* SPDX-License-Identifier: MIT */
/*
 * The reader's cache of delta bases: a hash table whose links and whose order of use are in the
 * buffers themselves. A buffer that is in use elsewhere survives being dropped from it.
 */
#include "reader_int.h"

#include <assert.h>

#define BUCKETS_AT_FIRST 256u

struct ph__buffer *ph__buffer_new(const struct ph_alloc *alloc, uint64_t size)
{
	struct ph__buffer *buffer;

	if (size > SIZE_MAX - sizeof(*buffer) - 1)
		return NULL;
	buffer = ph_mem_alloc(alloc, sizeof(*buffer) + (size_t)size + 1);
	if (!buffer)
		return NULL;
	memset(buffer, 0, sizeof(*buffer));
	buffer->size = size;
	buffer->refs = 1;
	buffer->data[size] = '\0';
	return buffer;
}

void ph__buffer_release(const struct ph_alloc *alloc, struct ph__buffer *buffer)
{
	if (!buffer)
		return;
	assert(buffer->refs > 0);
	if (--buffer->refs == 0)
		ph_mem_free(alloc, buffer);
}

static uint64_t charge_of(const struct ph__buffer *buffer)
{
	return sizeof(*buffer) + buffer->size + 1;
}

static size_t bucket_of(const struct ph__cache *cache, uint32_t pack, uint64_t offset)
{
	uint64_t mixed = (offset ^ (uint64_t)pack << 40) * 0x9e3779b97f4a7c15u;

	return (size_t)(mixed >> 32) & (cache->bucket_count - 1);
}

void ph__cache_init(struct ph__cache *cache, const struct ph_alloc *alloc, uint64_t bytes_max)
{
	memset(cache, 0, sizeof(*cache));
	cache->alloc = alloc;
	cache->bytes_max = bytes_max;
}

static void unlink_use(struct ph__cache *cache, struct ph__buffer *buffer)
{
	if (buffer->newer)
		buffer->newer->older = buffer->older;
	else
		cache->newest = buffer->older;
	if (buffer->older)
		buffer->older->newer = buffer->newer;
	else
		cache->oldest = buffer->newer;
	buffer->newer = NULL;
	buffer->older = NULL;
}

static void link_newest(struct ph__cache *cache, struct ph__buffer *buffer)
{
	buffer->older = cache->newest;
	buffer->newer = NULL;
	if (cache->newest)
		cache->newest->newer = buffer;
	else
		cache->oldest = buffer;
	cache->newest = buffer;
}

static void drop(struct ph__cache *cache, struct ph__buffer *buffer)
{
	struct ph__buffer **at = &cache->buckets[bucket_of(cache, buffer->pack, buffer->offset)];

	while (*at != buffer)
		at = &(*at)->hash_next;
	*at = buffer->hash_next;
	buffer->hash_next = NULL;
	unlink_use(cache, buffer);
	buffer->cached = false;
	cache->bytes -= charge_of(buffer);
	cache->count--;
	ph__buffer_release(cache->alloc, buffer);
}

void ph__cache_release(struct ph__cache *cache)
{
	while (cache->oldest)
		drop(cache, cache->oldest);
	ph_mem_free(cache->alloc, cache->buckets);
	cache->buckets = NULL;
}

struct ph__buffer *ph__cache_get(struct ph__cache *cache, uint32_t pack, uint64_t offset)
{
	struct ph__buffer *buffer;

	if (cache->count == 0)
		return NULL;
	buffer = cache->buckets[bucket_of(cache, pack, offset)];
	while (buffer && (buffer->offset != offset || buffer->pack != pack))
		buffer = buffer->hash_next;
	if (!buffer)
		return NULL;
	unlink_use(cache, buffer);
	link_newest(cache, buffer);
	buffer->refs++;
	return buffer;
}

/* Makes the table larger, so that chains stay about one long. False when there is none at all. */
static bool grow_table(struct ph__cache *cache)
{
	size_t wanted = cache->buckets ? 2 * cache->bucket_count : BUCKETS_AT_FIRST;
	struct ph__buffer **buckets;
	struct ph__buffer *buffer;

	if (cache->buckets && cache->count < cache->bucket_count)
		return true;
	buckets = ph_mem_zalloc(cache->alloc, wanted, sizeof(struct ph__buffer *));
	if (!buckets)
		return cache->buckets != NULL;
	ph_mem_free(cache->alloc, cache->buckets);
	cache->buckets = buckets;
	cache->bucket_count = wanted;
	for (buffer = cache->newest; buffer; buffer = buffer->older) {
		struct ph__buffer **at = &buckets[bucket_of(cache, buffer->pack, buffer->offset)];
		buffer->hash_next = *at;
		*at = buffer;
	}
	return true;
}

void ph__cache_put(struct ph__cache *cache, struct ph__buffer *buffer)
{
	struct ph__buffer **at;

	if (buffer->cached || charge_of(buffer) > cache->bytes_max)
		return;
	while (cache->bytes > cache->bytes_max - charge_of(buffer))
		drop(cache, cache->oldest);
	if (!grow_table(cache))
		return;
	at = &cache->buckets[bucket_of(cache, buffer->pack, buffer->offset)];
	buffer->hash_next = *at;
	*at = buffer;
	link_newest(cache, buffer);
	buffer->cached = true;
	buffer->refs++;
	cache->bytes += charge_of(buffer);
	cache->count++;
}
