/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of the store in memory, and the repositories they show. A snapshot holds a reference to
 * every part of one state of its repository; the repository's current state is itself a snapshot,
 * so taking one allocates nothing.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

/* ---- repositories ---- */

struct mem_repo *ph__mem_repo_new(struct mem_store *store, const char *name)
{
	struct mem_repo *repo = ph_mem_zalloc(store->alloc, 1, sizeof(*repo));
	if (!repo)
		return NULL;
	mem_count_init(&repo->count);
	repo->store = store;
	if (ph__mem_lock_new(store, &repo->commit_lock) != PH_OK) {
		ph_mem_free(store->alloc, repo);
		return NULL;
	}
	size_t len = strlen(name);
	assert(len <= PH_REPO_NAME_MAX);
	memcpy(repo->name, name, len);
	return repo;
}

void ph__mem_repo_release(struct mem_repo *repo)
{
	if (!mem_release(&repo->count))
		return;
	assert(!repo->txns);
	struct mem_store *store = repo->store;
	if (store->sync)
		store->sync->mutex_free(store->sync->user, repo->commit_lock);
	ph_mem_free(store->alloc, repo);
}

struct mem_snapshot *ph__mem_repo_current(struct mem_repo *repo)
{
	ph__mem_lock(repo->store, repo->store->lock);
	struct mem_snapshot *current = repo->current;
	if (current)
		mem_retain(&current->count);
	ph__mem_unlock(repo->store, repo->store->lock);
	return current;
}

/* ---- the operations ---- */

static struct mem_snapshot *self(struct ph_snapshot *snapshot)
{
	return (struct mem_snapshot *)snapshot;
}

static void snapshot_retain(struct ph_snapshot *snapshot)
{
	mem_retain(&self(snapshot)->count);
}

static void snapshot_release(struct ph_snapshot *snapshot)
{
	ph__mem_snapshot_release(self(snapshot));
}

static enum ph_status snapshot_ref(struct ph_snapshot *snapshot, const char *name,
                                   struct ph_ref *out)
{
	const struct mem_ref *ref = ph__mem_refs_find(self(snapshot)->refs, name);
	if (!ref)
		return PH_ERR_NOT_FOUND;
	ph__mem_ref_copy(out, ref);
	return PH_OK;
}

struct mem_iter {
	struct ph_ref_iter iter;
	const struct ph_alloc *alloc;
	const struct mem_refs *refs; /* the snapshot's */
	uint32_t leaf, place;        /* of the next one */
	bool end;
};

static enum ph_status iter_next(struct ph_ref_iter *base, struct ph_ref *out)
{
	struct mem_iter *iter = (struct mem_iter *)base;
	if (iter->end)
		return PH_END;
	const struct mem_leaf *leaf = iter->refs->leaf[iter->leaf];
	ph__mem_ref_copy(out, leaf->ref[iter->place]);
	if (++iter->place == leaf->refs) {
		iter->place = 0;
		iter->end = ++iter->leaf == iter->refs->leaves;
	}
	return PH_OK;
}

static void iter_free(struct ph_ref_iter *base)
{
	struct mem_iter *iter = (struct mem_iter *)base;
	ph_mem_free(iter->alloc, iter);
}

static enum ph_status snapshot_refs(struct ph_snapshot *snapshot, const char *from,
                                    struct ph_ref_iter **out)
{
	static const struct ph_ref_iter_ops ops = {iter_next, iter_free};
	const struct ph_alloc *alloc = self(snapshot)->repo->store->alloc;
	struct mem_iter *iter = ph_mem_zalloc(alloc, 1, sizeof(*iter));
	if (!iter)
		return PH_ERR_NOMEM;
	iter->iter.ops = &ops;
	iter->alloc = alloc;
	iter->refs = self(snapshot)->refs;
	iter->end = !ph__mem_refs_seek(iter->refs, from, false, &iter->leaf, &iter->place);
	*out = &iter->iter;
	return PH_OK;
}

static const struct ph_source *snapshot_source(struct ph_snapshot *snapshot)
{
	return &self(snapshot)->set.source;
}

static uint64_t snapshot_pack_id(struct ph_snapshot *snapshot, uint32_t pack)
{
	assert(pack < self(snapshot)->packs);
	return self(snapshot)->pack[pack]->id;
}

static const struct ph_bytes *snapshot_section(struct ph_snapshot *snapshot, uint32_t pack,
                                               uint32_t section)
{
	assert(pack < self(snapshot)->packs);
	if (section > PH_SECTION_MAX)
		return NULL;
	const struct mem_section *found = self(snapshot)->pack[pack]->section[section];
	return found ? &found->bytes : NULL;
}

static uint32_t snapshot_shallow(struct ph_snapshot *snapshot, const struct ph_oid **out)
{
	const struct mem_shallow *shallow = self(snapshot)->shallow;
	*out = shallow ? shallow->oid : NULL;
	return shallow ? shallow->oids : 0;
}

static enum ph_status snapshot_setting(struct ph_snapshot *snapshot, const char *key, void *buf,
                                       size_t *len)
{
	return ph__mem_settings_get(self(snapshot)->settings, key, buf, len);
}

static uint64_t snapshot_log_count(struct ph_snapshot *snapshot)
{
	return ph__mem_log_count(self(snapshot)->log);
}

static enum ph_status snapshot_log_read(struct ph_snapshot *snapshot, uint64_t number, void *buf,
                                        size_t *len)
{
	return ph__mem_log_read(self(snapshot)->log, number, buf, len);
}

static const struct ph_snapshot_ops snapshot_ops = {
        .retain = snapshot_retain,
        .release = snapshot_release,
        .ref = snapshot_ref,
        .refs = snapshot_refs,
        .source = snapshot_source,
        .pack_id = snapshot_pack_id,
        .section = snapshot_section,
        .shallow = snapshot_shallow,
        .setting = snapshot_setting,
        .log_count = snapshot_log_count,
        .log_read = snapshot_log_read,
};

/* ---- their life ---- */

static void set_packs(struct mem_snapshot *snapshot)
{
	ph_pack_set_init(&snapshot->set, snapshot->snapshot.algo, snapshot->repo->store->unpack,
	                 snapshot->set_pack, snapshot->packs);
}

enum ph_status ph__mem_snapshot_new(struct mem_repo *repo, enum ph_hash_algo algo, uint32_t packs,
                                    struct mem_snapshot **out)
{
	const struct ph_alloc *alloc = repo->store->alloc;
	struct mem_snapshot *snapshot = ph_mem_zalloc(alloc, 1, sizeof(*snapshot));
	if (!snapshot)
		return PH_ERR_NOMEM;
	if (packs > 0) {
		snapshot->pack = ph_mem_zalloc(alloc, packs, sizeof(*snapshot->pack));
		snapshot->set_pack = ph_mem_zalloc(alloc, packs, sizeof(*snapshot->set_pack));
		if (!snapshot->pack || !snapshot->set_pack) {
			ph_mem_free(alloc, snapshot->pack);
			ph_mem_free(alloc, snapshot->set_pack);
			ph_mem_free(alloc, snapshot);
			return PH_ERR_NOMEM;
		}
	}
	mem_count_init(&snapshot->count);
	snapshot->snapshot.ops = &snapshot_ops;
	snapshot->snapshot.store = &repo->store->store;
	snapshot->snapshot.algo = algo;
	snapshot->snapshot.name = repo->name;
	snapshot->repo = repo;
	mem_retain(&repo->count);
	set_packs(snapshot);
	*out = snapshot;
	return PH_OK;
}

void ph__mem_snapshot_add(struct mem_snapshot *snapshot, struct mem_pack *pack)
{
	mem_retain(&pack->count);
	snapshot->pack[snapshot->packs] = pack;
	snapshot->set_pack[snapshot->packs] = &pack->pack;
	snapshot->packs++;
	set_packs(snapshot);
}

uint32_t ph__mem_snapshot_pack(const struct mem_snapshot *snapshot, uint64_t id)
{
	uint32_t low = 0, high = snapshot->packs;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (snapshot->pack[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < snapshot->packs && snapshot->pack[low]->id == id;
	return found ? low : snapshot->packs;
}

void ph__mem_snapshot_release(struct mem_snapshot *snapshot)
{
	if (!snapshot || !mem_release(&snapshot->count))
		return;
	struct mem_repo *repo = snapshot->repo;
	const struct ph_alloc *alloc = repo->store->alloc;
	ph__mem_refs_release(alloc, snapshot->refs);
	ph__mem_settings_release(alloc, snapshot->settings);
	ph__mem_shallow_release(alloc, snapshot->shallow);
	ph__mem_log_release(alloc, snapshot->log);
	for (uint32_t i = 0; i < snapshot->packs; i++)
		ph__mem_pack_release(snapshot->pack[i]);
	ph_mem_free(alloc, snapshot->pack);
	ph_mem_free(alloc, snapshot->set_pack);
	ph_mem_free(alloc, snapshot);
	ph__mem_repo_release(repo);
}
