/* SPDX-License-Identifier: MIT */
/*
 * A bounded cache of what was read from the device and verified: nodes of trees, chunks of
 * sections. Keys name content, not places (a node by epoch, block and checksum; a section by a
 * number of its own), so nothing ever has to be invalidated. Replacement is second chance: what was
 * read twice outlives what streams through. Shards keep readers out of each other's way. What is
 * dropped is kept for the next entry: given back each time, and taken anew by whichever thread
 * reads next, entries left holes in the heap that were larger than the cache.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

#define CACHE_BYTES_DEFAULT ((uint64_t)16 << 20)

static uint32_t hash_of(const struct ph__disk_cache_key *key)
{
	uint64_t hash = key->owner * 0x9e3779b97f4a7c15u + key->at * 0xc2b2ae3d27d4eb4fu + key->tag;
	hash ^= hash >> 29;
	hash *= 0x94d049bb133111ebu;
	return (uint32_t)(hash >> 32);
}

static bool same(const struct ph__disk_cache_key *a, const struct ph__disk_cache_key *b)
{
	return a->owner == b->owner && a->at == b->at && a->tag == b->tag;
}

enum ph_status ph__disk_cache_init(struct ph__disk_cache *cache, const struct ph_alloc *alloc,
                                   const struct ph_sync *sync, uint64_t bytes)
{
	memset(cache, 0, sizeof(*cache));
	if (bytes == 0)
		bytes = CACHE_BYTES_DEFAULT;
	cache->alloc = alloc;
	cache->sync = sync;
	/* A shard that cannot hold some chunks would be of no use. */
	cache->shards = bytes < PH__CACHE_SHARDS * 8 * PH__CHUNK ? 1 : PH__CACHE_SHARDS;
	cache->shard_bytes = bytes / cache->shards;
	uint64_t buckets = 64;
	while (buckets < cache->shard_bytes / 8192 && buckets < (1u << 20))
		buckets *= 2;
	cache->bucket_mask = (uint32_t)(buckets - 1);
	for (uint32_t i = 0; i < cache->shards; i++) {
		struct ph__disk_cache_shard *shard = &cache->shard[i];
		shard->buckets = ph_mem_zalloc(alloc, (size_t)buckets, sizeof(*shard->buckets));
		if (!shard->buckets)
			return PH_ERR_NOMEM;
		if (sync && sync->mutex_new(sync->user, &shard->lock) != PH_OK)
			return PH_ERR_NOMEM;
	}
	return PH_OK;
}

void ph__disk_cache_release(struct ph__disk_cache *cache)
{
	for (uint32_t i = 0; i < PH__CACHE_SHARDS; i++) {
		struct ph__disk_cache_shard *shard = &cache->shard[i];
		struct ph__disk_cache_entry *entry = shard->newest;
		while (entry) {
			struct ph__disk_cache_entry *next = entry->older;
			ph_mem_free(cache->alloc, entry);
			entry = next;
		}
		ph_mem_free(cache->alloc, shard->spare);
		ph_mem_free(cache->alloc, shard->buckets);
		if (cache->sync && shard->lock)
			cache->sync->mutex_free(cache->sync->user, shard->lock);
	}
	memset(cache, 0, sizeof(*cache));
}

static struct ph__disk_cache_shard *shard_of(struct ph__disk_cache *cache, uint32_t hash)
{
	return &cache->shard[(hash >> 24) % cache->shards];
}

static struct ph__disk_cache_entry *find(struct ph__disk_cache_shard *shard, uint32_t bucket,
                                         const struct ph__disk_cache_key *key)
{
	struct ph__disk_cache_entry *entry = shard->buckets[bucket];
	while (entry && !same(&entry->key, key))
		entry = entry->chain;
	return entry;
}

bool ph__disk_cache_copy(struct ph__disk_cache *cache, const struct ph__disk_cache_key *key,
                         size_t offset, void *buf, size_t len)
{
	uint32_t hash = hash_of(key);
	struct ph__disk_cache_shard *shard = shard_of(cache, hash);
	ph__lock(cache->sync, shard->lock);
	struct ph__disk_cache_entry *entry = find(shard, hash & cache->bucket_mask, key);
	if (entry) {
		assert(offset <= entry->len && len <= entry->len - offset);
		entry->hot = true;
		memcpy(buf, entry->data + offset, len);
	}
	ph__unlock(cache->sync, shard->lock);
	return entry != NULL;
}

static struct ph__disk_cache_entry *take_spare(struct ph__disk_cache *cache,
                                               struct ph__disk_cache_shard *shard, uint32_t len)
{
	struct ph__disk_cache_entry *entry = NULL;
	ph__lock(cache->sync, shard->lock);
	if (shard->spare && shard->spare->len == len) {
		entry = shard->spare;
		shard->spare = NULL;
	}
	ph__unlock(cache->sync, shard->lock);
	return entry;
}

struct ph__disk_cache_entry *ph__disk_cache_entry_new(struct ph__disk_cache *cache,
                                                      const struct ph__disk_cache_key *key,
                                                      uint32_t len)
{
	struct ph__disk_cache_shard *shard = shard_of(cache, hash_of(key));
	struct ph__disk_cache_entry *entry = take_spare(cache, shard, len);
	if (!entry)
		entry = ph_mem_alloc(cache->alloc, sizeof(*entry) + len);
	if (!entry)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->key = *key;
	entry->len = len;
	return entry;
}

void ph__disk_cache_entry_free(struct ph__disk_cache *cache, struct ph__disk_cache_entry *entry)
{
	ph_mem_free(cache->alloc, entry);
}

static void link_newest(struct ph__disk_cache_shard *shard, struct ph__disk_cache_entry *entry)
{
	entry->newer = NULL;
	entry->older = shard->newest;
	if (shard->newest)
		shard->newest->newer = entry;
	else
		shard->oldest = entry;
	shard->newest = entry;
}

static void unlink_oldest(struct ph__disk_cache_shard *shard)
{
	struct ph__disk_cache_entry *entry = shard->oldest;
	shard->oldest = entry->newer;
	if (shard->oldest)
		shard->oldest->older = NULL;
	else
		shard->newest = NULL;
}

static void unchain(struct ph__disk_cache *cache, struct ph__disk_cache_shard *shard,
                    struct ph__disk_cache_entry *entry)
{
	struct ph__disk_cache_entry **link =
	        &shard->buckets[hash_of(&entry->key) & cache->bucket_mask];
	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
}

/* Drops from the old end until len more bytes fit; what was read again gets another round. */
static void make_room(struct ph__disk_cache *cache, struct ph__disk_cache_shard *shard,
                      uint64_t len)
{
	while (shard->oldest && shard->bytes + len > cache->shard_bytes) {
		struct ph__disk_cache_entry *entry = shard->oldest;
		unlink_oldest(shard);
		if (entry->hot) {
			entry->hot = false;
			link_newest(shard, entry);
			continue;
		}
		unchain(cache, shard, entry);
		shard->bytes -= sizeof(*entry) + entry->len;
		ph_mem_free(cache->alloc, shard->spare);
		shard->spare = entry;
	}
}

void ph__disk_cache_insert(struct ph__disk_cache *cache, struct ph__disk_cache_entry *entry)
{
	uint32_t hash = hash_of(&entry->key);
	uint32_t bucket = hash & cache->bucket_mask;
	struct ph__disk_cache_shard *shard = shard_of(cache, hash);
	uint64_t bytes = sizeof(*entry) + entry->len;
	ph__lock(cache->sync, shard->lock);
	/* Another reader may have been faster. */
	if (bytes > cache->shard_bytes || find(shard, bucket, &entry->key)) {
		ph_mem_free(cache->alloc, entry);
	} else {
		make_room(cache, shard, bytes);
		entry->chain = shard->buckets[bucket];
		shard->buckets[bucket] = entry;
		link_newest(shard, entry);
		shard->bytes += bytes;
	}
	ph__unlock(cache->sync, shard->lock);
}
