/* SPDX-License-Identifier: MIT */
/*
 * The store in memory: its table of repositories by name, and its own settings. Repositories stand
 * in a sorted array, which a hundred thousand of them leave small; everything else about a
 * repository is in the snapshot that is its current state.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

static struct mem_store *self(struct ph_store *store)
{
	return (struct mem_store *)store;
}

enum ph_status ph__mem_lock_new(struct mem_store *store, void **out)
{
	*out = NULL;
	return store->sync ? store->sync->mutex_new(store->sync->user, out) : PH_OK;
}

void ph__mem_lock(struct mem_store *store, void *lock)
{
	if (store->sync)
		store->sync->mutex_lock(store->sync->user, lock);
}

void ph__mem_unlock(struct mem_store *store, void *lock)
{
	if (store->sync)
		store->sync->mutex_unlock(store->sync->user, lock);
}

bool ph__mem_repo_find(const struct mem_store *store, const char *name, uint32_t *place)
{
	uint32_t low = 0, high = store->repos;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (strcmp(store->repo[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low;
	return low < store->repos && strcmp(store->repo[low]->name, name) == 0;
}

static enum ph_status store_next_repo(struct ph_store *base, const char *after, char *out)
{
	struct mem_store *store = self(base);
	uint32_t place;
	ph__mem_lock(store, store->lock);
	if (ph__mem_repo_find(store, after, &place))
		place++;
	enum ph_status status = place < store->repos ? PH_OK : PH_END;
	if (status == PH_OK)
		memcpy(out, store->repo[place]->name, strlen(store->repo[place]->name) + 1);
	ph__mem_unlock(store, store->lock);
	return status;
}

static enum ph_status store_snapshot(struct ph_store *base, const char *name,
                                     struct ph_snapshot **out)
{
	struct mem_store *store = self(base);
	uint32_t place;
	ph__mem_lock(store, store->lock);
	bool found = ph__mem_repo_find(store, name, &place);
	if (found) {
		struct mem_snapshot *current = store->repo[place]->current;
		mem_retain(&current->count);
		*out = &current->snapshot;
	}
	ph__mem_unlock(store, store->lock);
	return found ? PH_OK : PH_ERR_NOT_FOUND;
}

/* Lists it, so that what its base sees stays. */
static enum ph_status list_txn(struct mem_txn *txn)
{
	struct mem_store *store = txn->store;
	struct mem_repo *repo = txn->base->repo;
	ph__mem_lock(store, store->lock);
	bool stale = txn->base->snapshot.generation < repo->dropped_at;
	if (!stale) {
		txn->next = repo->txns;
		if (txn->next)
			txn->next->prev = txn;
		repo->txns = txn;
	}
	ph__mem_unlock(store, store->lock);
	return stale ? PH_ERR_CONFLICT : PH_OK;
}

static enum ph_status store_begin(struct ph_store *base, struct ph_snapshot *snapshot,
                                  struct ph_txn **out)
{
	assert(snapshot->store == base);
	struct mem_txn *txn;
	enum ph_status status = ph__mem_txn_new(self(base), (struct mem_snapshot *)snapshot, "",
	                                        snapshot->algo, &txn);
	if (status != PH_OK)
		return status;
	status = list_txn(txn);
	if (status == PH_OK)
		*out = &txn->txn;
	else
		ph__mem_txn_unlisted_free(txn);
	return status;
}

static enum ph_status store_create(struct ph_store *base, const char *name, enum ph_hash_algo algo,
                                   struct ph_txn **out)
{
	struct mem_store *store = self(base);
	size_t len = 0;
	while (len <= PH_REPO_NAME_MAX && name[len] != '\0')
		len++;
	if (ph_repo_name_check(name, len) != PH_OK || len > store->limits.repo_name_bytes_max)
		return PH_ERR_INVALID;
	if (algo != PH_HASH_SHA1 && algo != PH_HASH_SHA256)
		return PH_ERR_UNSUPPORTED;
	enum ph_status status = PH_OK;
	uint32_t place;
	ph__mem_lock(store, store->lock);
	if (ph__mem_repo_find(store, name, &place))
		status = PH_ERR_EXISTS;
	else if (store->repos >= store->limits.repos_max)
		status = PH_ERR_LIMIT;
	ph__mem_unlock(store, store->lock);
	if (status != PH_OK)
		return status;
	struct mem_txn *txn;
	status = ph__mem_txn_new(store, NULL, name, algo, &txn);
	if (status == PH_OK)
		*out = &txn->txn;
	return status;
}

static enum ph_status store_setting_get(struct ph_store *base, const char *key, void *buf,
                                        size_t *len)
{
	struct mem_store *store = self(base);
	ph__mem_lock(store, store->lock);
	enum ph_status status = ph__mem_settings_get(store->settings, key, buf, len);
	ph__mem_unlock(store, store->lock);
	return status;
}

/* What a setting must be before it is changed. */
struct expected {
	const void *data; /* NULL: not there */
	size_t len;
};

/* Under the lock. expected NULL: whatever it is. */
static enum ph_status change_settings(struct mem_store *store, const struct ph__txn_meta *meta,
                                      const struct expected *expected)
{
	struct mem_settings *made;
	if (expected && !ph__mem_settings_is(store->settings, meta->settings->key, expected->data,
	                                     expected->len))
		return PH_ERR_CONFLICT;
	enum ph_status status =
	        ph__mem_settings_apply(store->alloc, store->settings, meta->settings, &made);
	if (status == PH_OK) {
		ph__mem_settings_release(store->alloc, store->settings);
		store->settings = made;
	}
	return status;
}

static enum ph_status change_setting(struct mem_store *store, const char *key,
                                     const struct expected *expected, const void *data, size_t len)
{
	struct ph__txn_meta meta;
	ph__txn_meta_init(&meta, store->alloc, &store->limits);
	enum ph_status status = ph__txn_meta_setting(&meta, key, data, len);
	if (status == PH_OK) {
		ph__mem_lock(store, store->lock);
		status = change_settings(store, &meta, expected);
		ph__mem_unlock(store, store->lock);
	}
	ph__txn_meta_release(&meta);
	return status;
}

static enum ph_status store_setting_set(struct ph_store *base, const char *key, const void *data,
                                        size_t len)
{
	return change_setting(self(base), key, NULL, data, len);
}

static enum ph_status store_setting_swap(struct ph_store *base, const char *key, const void *old,
                                         size_t old_len, const void *data, size_t len)
{
	struct expected expected = {old, old_len};
	return change_setting(self(base), key, &expected, data, len);
}

static void store_close(struct ph_store *base)
{
	struct mem_store *store = self(base);
	for (uint32_t i = 0; i < store->repos; i++) {
		ph__mem_snapshot_release(store->repo[i]->current);
		ph__mem_repo_release(store->repo[i]);
	}
	ph_mem_free(store->alloc, store->repo);
	ph__mem_settings_release(store->alloc, store->settings);
	/* Else a snapshot or a transaction outlives it. */
	assert(atomic_load(&store->bytes) == 0);
	if (store->sync)
		store->sync->mutex_free(store->sync->user, store->lock);
	ph_mem_free(store->alloc, store);
}

static uint64_t store_space(struct ph_store *base)
{
	struct mem_store *store = (struct mem_store *)base;
	uint64_t bytes = atomic_load_explicit(&store->bytes, memory_order_relaxed);
	if (store->bytes_max == 0)
		return UINT64_MAX;
	return bytes < store->bytes_max ? store->bytes_max - bytes : 0;
}

enum ph_status ph_store_mem_new(struct ph_store **out, const struct ph_store_mem_options *options)
{
	static const struct ph_store_ops ops = {
	        .close = store_close,
	        .next_repo = store_next_repo,
	        .snapshot = store_snapshot,
	        .begin = store_begin,
	        .create = store_create,
	        .setting_get = store_setting_get,
	        .setting_set = store_setting_set,
	        .setting_swap = store_setting_swap,
	        .space = store_space,
	};
	struct mem_store *store = ph_mem_zalloc(options->alloc, 1, sizeof(*store));
	if (!store)
		return PH_ERR_NOMEM;
	store->store.ops = &ops;
	store->alloc = options->alloc;
	store->limits = *options->limits;
	store->sync = options->sync;
	store->unpack = options->unpack;
	store->bytes_max = options->bytes_max;
	atomic_init(&store->bytes, 0);
	enum ph_status status = ph__mem_lock_new(store, &store->lock);
	if (status != PH_OK) {
		ph_mem_free(options->alloc, store);
		return status;
	}
	*out = &store->store;
	return PH_OK;
}
