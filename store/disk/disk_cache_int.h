/* SPDX-License-Identifier: MIT */
/* disk_cache.c: verified bytes of the device, bounded. */
#ifndef PACKHORSE_DISK_CACHE_INT_H
#define PACKHORSE_DISK_CACHE_INT_H

#include <packhorse/base.h>

struct ph__disk_cache_key {
	uint64_t owner; /* epoch of a node, number of a section */
	uint64_t at;    /* block, chunk */
	uint32_t tag;   /* checksum of a node, kind of bytes of a section */
};

struct ph__disk_cache_entry {
	struct ph__disk_cache_entry *chain;
	struct ph__disk_cache_entry *newer, *older;
	struct ph__disk_cache_key key;
	uint32_t len;
	bool hot; /* read again since it came in or was passed over */
	_Alignas(16) uint8_t data[];
};

struct ph__disk_cache_shard {
	void *lock;
	struct ph__disk_cache_entry **buckets;
	struct ph__disk_cache_entry *newest, *oldest;
	struct ph__disk_cache_entry *spare; /* the last that was dropped, or NULL */
	uint64_t bytes;                     /* without the spare's */
};

#define PH__CACHE_SHARDS 8u

struct ph__disk_cache {
	const struct ph_alloc *alloc;
	const struct ph_sync *sync;
	uint64_t shard_bytes;
	uint32_t shards;
	uint32_t bucket_mask;
	struct ph__disk_cache_shard shard[PH__CACHE_SHARDS];
};

enum ph_status ph__disk_cache_init(struct ph__disk_cache *cache, const struct ph_alloc *alloc,
                                   const struct ph_sync *sync, uint64_t bytes);
void ph__disk_cache_release(struct ph__disk_cache *cache);
/* Copies a part of an entry; false when it is not there. */
bool ph__disk_cache_copy(struct ph__disk_cache *cache, const struct ph__disk_cache_key *key,
                         size_t offset, void *buf, size_t len);
/* An entry to fill; NULL when out of memory. */
struct ph__disk_cache_entry *ph__disk_cache_entry_new(struct ph__disk_cache *cache,
                                                      const struct ph__disk_cache_key *key,
                                                      uint32_t len);
void ph__disk_cache_entry_free(struct ph__disk_cache *cache, struct ph__disk_cache_entry *entry);
/* The cache owns the entry from here on, and may drop it at once. */
void ph__disk_cache_insert(struct ph__disk_cache *cache, struct ph__disk_cache_entry *entry);

#endif
