/* SPDX-License-Identifier: MIT */
/*
 * Transactions of the store in memory: the packs they take in, which nobody else sees, and the
 * changes they carry. What makes them visible is in mem_commit.c.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

static struct mem_txn *self(struct ph_txn *txn)
{
	return (struct mem_txn *)txn;
}

static const struct ph_alloc *alloc_of(const struct mem_txn *txn)
{
	return txn->store->alloc;
}

/* ---- packs ---- */

static void free_sinks(struct mem_txn *txn, struct mem_new_pack *pack, uint32_t end)
{
	for (uint32_t i = 0; i < end; i++) {
		ph__mem_sink_free(alloc_of(txn), pack->sink[i]);
		pack->sink[i] = NULL;
	}
}

static uint32_t base_packs(const struct mem_txn *txn)
{
	return txn->base ? txn->base->packs : 0;
}

/* The source again, without allocating: there is room for every pack that was begun. */
static void make_source(struct mem_txn *txn)
{
	uint32_t count = base_packs(txn);
	for (uint32_t i = 0; i < txn->packs; i++)
		if (txn->pack[i]->state == MEM_PACK_ENDED)
			txn->set_pack[count++] = &txn->pack[i]->pack->pack;
	ph_pack_set_init(&txn->set, txn->txn.algo, txn->store->unpack, txn->set_pack, count);
}

static enum ph_status reserve_pack(struct mem_txn *txn)
{
	const struct ph_alloc *alloc = alloc_of(txn);
	if (txn->packs < txn->packs_room)
		return PH_OK;
	if (txn->packs_room > UINT32_MAX / 4)
		return PH_ERR_LIMIT;
	uint32_t room = txn->packs_room ? 2 * txn->packs_room : 2;
	void *bigger = ph_mem_resize(alloc, txn->pack, room, sizeof(*txn->pack));
	if (!bigger)
		return PH_ERR_NOMEM;
	txn->pack = bigger;
	bool first = !txn->set_pack;
	bigger = ph_mem_resize(alloc, txn->set_pack, (size_t)base_packs(txn) + room,
	                       sizeof(*txn->set_pack));
	if (!bigger)
		return PH_ERR_NOMEM;
	txn->set_pack = bigger;
	txn->set.packs = txn->set_pack;
	if (first && base_packs(txn) > 0)
		memcpy(txn->set_pack, txn->base->set_pack,
		       base_packs(txn) * sizeof(*txn->set_pack));
	txn->packs_room = room;
	return PH_OK;
}

static enum ph_status txn_pack_begin(struct ph_txn *base, uint32_t *out)
{
	struct mem_txn *txn = self(base);
	enum ph_status status = reserve_pack(txn);
	if (status != PH_OK)
		return status;
	struct mem_new_pack *pack = ph_mem_zalloc(alloc_of(txn), 1, sizeof(*pack));
	if (!pack)
		return PH_ERR_NOMEM;
	pack->state = MEM_PACK_OPEN;
	txn->pack[txn->packs] = pack;
	*out = txn->packs++;
	return PH_OK;
}

static bool is_auxiliary(uint32_t section)
{
	return section >= PH_SECTION_AUX && section <= PH_SECTION_MAX;
}

static bool is_section(uint32_t section)
{
	return section == PH_SECTION_RUN || section == PH_SECTION_INDEX ||
	       section == PH_SECTION_SCRATCH || is_auxiliary(section);
}

static enum ph_status txn_sink(struct ph_txn *base, uint32_t number, uint32_t section,
                               struct ph_sink **out)
{
	struct mem_txn *txn = self(base);
	if (number >= txn->packs || txn->pack[number]->state != MEM_PACK_OPEN ||
	    !is_section(section))
		return PH_ERR_INVALID;
	struct mem_sink **sink = &txn->pack[number]->sink[section];
	if (!*sink)
		*sink = ph__mem_sink_new(txn->store);
	if (!*sink)
		return PH_ERR_NOMEM;
	*out = &(*sink)->sink;
	return PH_OK;
}

/* Whether run and index are there and belong together. */
static enum ph_status check_pack(const struct mem_txn *txn, const struct mem_new_pack *new_pack,
                                 struct ph_index *index)
{
	const struct mem_sink *run = new_pack->sink[PH_SECTION_RUN];
	const struct mem_sink *sink = new_pack->sink[PH_SECTION_INDEX];
	if (!run || !sink)
		return PH_ERR_CORRUPT;
	if (run->status != PH_OK)
		return run->status;
	if (sink->status != PH_OK)
		return sink->status;
	enum ph_status status = ph_index_init(index, &sink->section->bytes, txn->txn.algo);
	if (status != PH_OK)
		return status;
	return index->run_bytes == run->section->bytes.size ? PH_OK : PH_ERR_CORRUPT;
}

static enum ph_status txn_pack_end(struct ph_txn *base, uint32_t number)
{
	struct mem_txn *txn = self(base);
	if (number >= txn->packs || txn->pack[number]->state != MEM_PACK_OPEN)
		return PH_ERR_INVALID;
	struct mem_new_pack *new_pack = txn->pack[number];
	struct mem_pack *pack = ph__mem_pack_new(alloc_of(txn), NULL);
	if (!pack)
		return PH_ERR_NOMEM;
	enum ph_status status = check_pack(txn, new_pack, &pack->pack.index);
	if (status != PH_OK) {
		ph__mem_pack_release(pack);
		return status;
	}
	for (uint32_t i = 0; i < PH_SECTION_SCRATCH; i++)
		pack->section[i] = ph__mem_sink_take(new_pack->sink[i]);
	pack->pack.run = &pack->section[PH_SECTION_RUN]->bytes;
	/* Auxiliary sections take bytes on, see ph__mem_txn_end_auxiliary. */
	free_sinks(txn, new_pack, PH_SECTION_AUX);
	new_pack->pack = pack;
	new_pack->state = MEM_PACK_ENDED;
	make_source(txn);
	return PH_OK;
}

void ph__mem_txn_end_auxiliary(struct mem_txn *txn)
{
	for (uint32_t i = 0; i < txn->packs; i++) {
		struct mem_new_pack *new_pack = txn->pack[i];
		if (new_pack->state != MEM_PACK_ENDED)
			continue;
		for (uint32_t k = PH_SECTION_AUX; k <= PH_SECTION_MAX; k++)
			if (new_pack->sink[k])
				new_pack->pack->section[k] = ph__mem_sink_take(new_pack->sink[k]);
		free_sinks(txn, new_pack, PH_SECTION_MAX + 1);
	}
}

static void txn_pack_drop(struct ph_txn *base, uint32_t number)
{
	struct mem_txn *txn = self(base);
	if (number >= txn->packs)
		return;
	struct mem_new_pack *pack = txn->pack[number];
	free_sinks(txn, pack, PH_SECTION_MAX + 1);
	ph__mem_pack_release(pack->pack);
	pack->pack = NULL;
	pack->state = MEM_PACK_DROPPED;
	if (txn->set_pack)
		make_source(txn);
}

static const struct ph_source *txn_source(struct ph_txn *txn)
{
	return &self(txn)->set.source;
}

/* ---- changes ---- */

static enum ph_status txn_ref_update(struct ph_txn *txn, const char *name, const struct ph_oid *old,
                                     const struct ph_oid *new_oid, const struct ph_oid *peeled,
                                     uint32_t *change)
{
	return ph__txn_refs_update(&self(txn)->refs, name, old, new_oid, peeled, change);
}

static enum ph_status txn_symref_update(struct ph_txn *txn, const char *name, const char *old,
                                        const char *target, uint32_t *change)
{
	return ph__txn_refs_symref(&self(txn)->refs, name, old, target, change);
}

static enum ph_status txn_verdict(const struct ph_txn *txn, uint32_t change)
{
	return ph__txn_refs_verdict(&((const struct mem_txn *)txn)->refs, change);
}

static void txn_drop(struct ph_txn *txn, uint32_t change)
{
	ph__txn_refs_drop(&self(txn)->refs, change);
}

static bool base_has(const struct mem_txn *txn, uint64_t pack_id)
{
	return txn->base && ph__mem_snapshot_pack(txn->base, pack_id) < txn->base->packs;
}

/* The place of an attachment, or attaches. */
static uint32_t find_attach(const struct mem_txn *txn, uint64_t pack_id, uint32_t section)
{
	uint32_t i = 0;
	while (i < txn->attaches &&
	       (txn->attach[i].pack_id != pack_id || txn->attach[i].section != section))
		i++;
	return i;
}

static enum ph_status txn_attach(struct ph_txn *base, uint64_t pack_id, uint32_t section,
                                 struct ph_sink **out)
{
	struct mem_txn *txn = self(base);
	if (!is_auxiliary(section))
		return PH_ERR_INVALID;
	if (!base_has(txn, pack_id))
		return PH_ERR_NOT_FOUND;
	uint32_t i = find_attach(txn, pack_id, section);
	if (i == txn->attaches) {
		if (txn->attaches == txn->attaches_room) {
			uint32_t room = 2 * txn->attaches_room + 4;
			void *bigger = ph_mem_resize(alloc_of(txn), txn->attach, room,
			                             sizeof(*txn->attach));
			if (!bigger)
				return PH_ERR_NOMEM;
			txn->attach = bigger;
			txn->attaches_room = room;
		}
		struct mem_sink *sink = ph__mem_sink_new(txn->store);
		if (!sink)
			return PH_ERR_NOMEM;
		txn->attach[i] = (struct mem_attach){pack_id, section, sink};
		txn->attaches++;
	}
	*out = &txn->attach[i].sink->sink;
	return PH_OK;
}

static bool is_replaced(const struct mem_txn *txn, uint64_t pack_id)
{
	for (uint32_t i = 0; i < txn->replaced; i++)
		if (txn->replace[i] == pack_id)
			return true;
	return false;
}

static enum ph_status txn_replace(struct ph_txn *base, const uint64_t *pack_ids, size_t count,
                                  bool drops_objects)
{
	struct mem_txn *txn = self(base);
	for (size_t i = 0; i < count; i++)
		if (!base_has(txn, pack_ids[i]))
			return PH_ERR_NOT_FOUND;
	/* No more than the base has: each is kept once. */
	if (!txn->replace && count > 0) {
		txn->replace = ph_mem_zalloc(alloc_of(txn), base_packs(txn), sizeof(*txn->replace));
		if (!txn->replace)
			return PH_ERR_NOMEM;
	}
	for (size_t i = 0; i < count; i++)
		if (!is_replaced(txn, pack_ids[i]))
			txn->replace[txn->replaced++] = pack_ids[i];
	txn->drops_objects = txn->drops_objects || drops_objects;
	return PH_OK;
}

static enum ph_status txn_set_shallow(struct ph_txn *txn, const struct ph_oid *oids, size_t count)
{
	return ph__txn_meta_shallow(&self(txn)->meta, oids, count);
}

static enum ph_status txn_set_setting(struct ph_txn *txn, const char *key, const void *data,
                                      size_t len)
{
	return ph__txn_meta_setting(&self(txn)->meta, key, data, len);
}

static enum ph_status txn_log(struct ph_txn *txn, const void *data, size_t len)
{
	return ph__txn_meta_log(&self(txn)->meta, data, len);
}

static enum ph_status txn_delete_repo(struct ph_txn *txn)
{
	if (!self(txn)->base)
		return PH_ERR_INVALID;
	self(txn)->deletes = true;
	return PH_OK;
}

/* ---- their life ---- */

void ph__mem_txn_unlisted_free(struct mem_txn *txn)
{
	const struct ph_alloc *alloc = alloc_of(txn);
	for (uint32_t i = 0; i < txn->packs; i++) {
		free_sinks(txn, txn->pack[i], PH_SECTION_MAX + 1);
		ph__mem_pack_release(txn->pack[i]->pack);
		ph_mem_free(alloc, txn->pack[i]);
	}
	ph_mem_free(alloc, txn->pack);
	ph_mem_free(alloc, txn->set_pack);
	for (uint32_t i = 0; i < txn->attaches; i++)
		ph__mem_sink_free(alloc, txn->attach[i].sink);
	ph_mem_free(alloc, txn->attach);
	ph_mem_free(alloc, txn->replace);
	ph__txn_refs_release(&txn->refs);
	ph__txn_meta_release(&txn->meta);
	ph__mem_snapshot_release(txn->base);
	ph_mem_free(alloc, txn);
}

static void txn_free(struct ph_txn *base)
{
	struct mem_txn *txn = self(base);
	if (txn->base) {
		struct mem_repo *repo = txn->base->repo;
		ph__mem_lock(txn->store, txn->store->lock);
		if (txn->next)
			txn->next->prev = txn->prev;
		if (txn->prev)
			txn->prev->next = txn->next;
		else
			repo->txns = txn->next;
		ph__mem_unlock(txn->store, txn->store->lock);
	}
	ph__mem_txn_unlisted_free(txn);
}

enum ph_status ph__mem_txn_new(struct mem_store *store, struct mem_snapshot *base, const char *name,
                               enum ph_hash_algo algo, struct mem_txn **out)
{
	static const struct ph_txn_ops ops = {
	        .free = txn_free,
	        .pack_begin = txn_pack_begin,
	        .sink = txn_sink,
	        .pack_end = txn_pack_end,
	        .pack_drop = txn_pack_drop,
	        .source = txn_source,
	        .ref_update = txn_ref_update,
	        .symref_update = txn_symref_update,
	        .attach = txn_attach,
	        .replace = txn_replace,
	        .set_shallow = txn_set_shallow,
	        .set_setting = txn_set_setting,
	        .log = txn_log,
	        .delete_repo = txn_delete_repo,
	        .prepare = ph__mem_txn_prepare,
	        .verdict = txn_verdict,
	        .drop = txn_drop,
	        .commit = ph__mem_txn_commit,
	};
	struct mem_txn *txn = ph_mem_zalloc(store->alloc, 1, sizeof(*txn));
	if (!txn)
		return PH_ERR_NOMEM;
	txn->txn.ops = &ops;
	txn->txn.store = &store->store;
	txn->txn.base = base ? &base->snapshot : NULL;
	txn->txn.algo = algo;
	txn->store = store;
	txn->base = base;
	if (base)
		mem_retain(&base->count);
	memcpy(txn->name, name, strlen(name) + 1);
	ph__txn_refs_init(&txn->refs, store->alloc, &store->limits);
	ph__txn_meta_init(&txn->meta, store->alloc, &store->limits);
	ph_pack_set_init(&txn->set, algo, store->unpack, base ? base->set_pack : NULL,
	                 base_packs(txn));
	*out = txn;
	return PH_OK;
}
