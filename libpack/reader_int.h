/* SPDX-License-Identifier: MIT */
/*
 * What a reader keeps: objects in memory, each counted by who holds it, and a bounded cache of them
 * by where they are stored.
 */
#ifndef PH_READER_INT_H
#define PH_READER_INT_H

#include <packhorse/reader.h>

/* An inflated object. Links of the cache are in it, so that caching one allocates nothing. */
struct ph__buffer {
	struct ph__buffer *hash_next, *newer, *older;
	uint64_t offset; /* of its entry in the run */
	uint64_t size;
	uint32_t pack;
	uint32_t refs;
	enum ph_object_type type;
	bool cached;    /* the cache holds one of the refs */
	uint8_t data[]; /* size bytes and a NUL */
};

/* NULL when there is no memory for it. It has one reference. */
struct ph__buffer *ph__buffer_new(const struct ph_alloc *alloc, uint64_t size);
void ph__buffer_release(const struct ph_alloc *alloc, struct ph__buffer *buffer);

/* What a reader keeps besides objects: the window, and a buffer for deltas when it is idle. */
#define PH__READER_WINDOW_BYTES ((size_t)64 << 10)
#define PH__READER_DELTA_BYTES ((size_t)256 << 10)
/* What the links of a chain of deltas take, and raw bytes of them, in arrays that grow. */
uint64_t ph__reader_chain_bytes(const struct ph_limits *limits, uint64_t objects);

/* Buffers by pack and offset, the least recently used go first. */
struct ph__cache {
	const struct ph_alloc *alloc;
	struct ph__buffer **buckets; /* NULL until the first is kept */
	size_t bucket_count;         /* a power of two */
	size_t count;
	uint64_t bytes, bytes_max;
	struct ph__buffer *newest, *oldest;
};

void ph__cache_init(struct ph__cache *cache, const struct ph_alloc *alloc, uint64_t bytes_max);
void ph__cache_release(struct ph__cache *cache);
/* With a reference for the caller, or NULL. */
struct ph__buffer *ph__cache_get(struct ph__cache *cache, uint32_t pack, uint64_t offset);
/* Keeps it if it fits; without memory for the table it does not, which only costs time later. */
void ph__cache_put(struct ph__cache *cache, struct ph__buffer *buffer);

#endif
