/* SPDX-License-Identifier: MIT */
/*
 * Transactions: packs being written into space that nothing names yet, and changes that wait for
 * the commit. All that a transaction wrote and did not commit is forgotten in memory; the device
 * never knew of it.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

static struct ph__dtxn *self(struct ph_txn *txn)
{
	return (struct ph__dtxn *)txn;
}

/* ---- packs ---- */

static uint32_t base_packs(const struct ph__dtxn *txn)
{
	return txn->base ? txn->base->pack_count : 0;
}

/* The source again; there is room for every pack that was begun. */
static void make_source(struct ph__dtxn *txn)
{
	uint32_t count = base_packs(txn);
	for (uint32_t i = 0; i < txn->pack_count; i++)
		if (txn->packs[i].phase == PH__PACK_ENDED)
			txn->set_packs[count++] = &txn->packs[i].pack->pack;
	ph_pack_set_init(&txn->set, txn->txn.algo, txn->disk->unpack, txn->set_packs, count);
}

static enum ph_status reserve_pack(struct ph__dtxn *txn)
{
	const struct ph_alloc *alloc = txn->disk->alloc;
	uint32_t base = base_packs(txn);
	if (txn->pack_count < txn->pack_room)
		return PH_OK;
	if (txn->pack_room > UINT32_MAX / 4)
		return PH_ERR_LIMIT;
	uint32_t room = txn->pack_room ? 2 * txn->pack_room : 2;
	void *packs = ph_mem_resize(alloc, txn->packs, room, sizeof(*txn->packs));
	if (!packs)
		return PH_ERR_NOMEM;
	txn->packs = packs;
	bool first = !txn->set_packs;
	packs = ph_mem_resize(alloc, txn->set_packs, (size_t)base + room, sizeof(*txn->set_packs));
	if (!packs)
		return PH_ERR_NOMEM;
	txn->set_packs = packs;
	txn->set.packs = txn->set_packs;
	if (first && base > 0)
		memcpy(txn->set_packs, txn->base->set_packs, base * sizeof(*txn->set_packs));
	txn->pack_room = room;
	return PH_OK;
}

static enum ph_status txn_pack_begin(struct ph_txn *base, uint32_t *out)
{
	struct ph__dtxn *txn = self(base);
	enum ph_status status = reserve_pack(txn);
	if (status != PH_OK)
		return status;
	memset(&txn->packs[txn->pack_count], 0, sizeof(*txn->packs));
	txn->packs[txn->pack_count].phase = PH__PACK_OPEN;
	*out = txn->pack_count++;
	return PH_OK;
}

static bool is_auxiliary(uint32_t section)
{
	return section >= PH_SECTION_AUX && section <= PH_SECTION_MAX;
}

static enum ph_status txn_sink(struct ph_txn *base, uint32_t number, uint32_t section,
                               struct ph_sink **out)
{
	struct ph__dtxn *txn = self(base);
	bool known = section == PH_SECTION_RUN || section == PH_SECTION_INDEX ||
	             section == PH_SECTION_SCRATCH || is_auxiliary(section);
	if (number >= txn->pack_count || txn->packs[number].phase != PH__PACK_OPEN || !known)
		return PH_ERR_INVALID;
	struct ph__sink **sink = &txn->packs[number].sinks[section];
	enum ph_status status = *sink ? PH_OK : ph__sink_new(sink, txn->disk, section);
	if (status != PH_OK)
		return status;
	(*sink)->section->upkeep = base->upkeep;
	*out = &(*sink)->sink;
	return PH_OK;
}

/* Ends the sinks of a pack but for those of auxiliary sections, which end with the transaction. */
static enum ph_status end_sinks(struct ph__txn_pack *txn_pack, struct ph__pack *pack)
{
	for (uint32_t i = 0; i < PH_SECTION_SCRATCH; i++) {
		struct ph__sink *sink = txn_pack->sinks[i];
		if (!sink)
			continue;
		enum ph_status status = ph__sink_end(sink, ph__pack_before(pack, i));
		if (status != PH_OK)
			return status;
		ph__section_retain(sink->section);
		pack->sections[i] = sink->section;
	}
	return PH_OK;
}

/* One that failed is left out. */
static void end_auxiliary(struct ph__txn_pack *txn_pack)
{
	for (uint32_t i = PH_SECTION_AUX; i <= PH_SECTION_MAX; i++) {
		struct ph__sink *sink = txn_pack->sinks[i];
		struct ph__section *before = ph__pack_before(txn_pack->pack, i);
		bool good = sink && ph__sink_end(sink, before) == PH_OK;
		if (good) {
			ph__section_retain(sink->section);
			txn_pack->pack->sections[i] = sink->section;
		}
		ph__sink_free(sink, good);
		txn_pack->sinks[i] = NULL;
	}
}

static enum ph_status txn_pack_end(struct ph_txn *base, uint32_t number)
{
	struct ph__dtxn *txn = self(base);
	if (number >= txn->pack_count || txn->packs[number].phase != PH__PACK_OPEN)
		return PH_ERR_INVALID;
	struct ph__txn_pack *txn_pack = &txn->packs[number];
	struct ph__pack *pack;
	if (!txn_pack->sinks[PH_SECTION_RUN] || !txn_pack->sinks[PH_SECTION_INDEX])
		return PH_ERR_CORRUPT;
	enum ph_status status = ph__pack_new(&pack, txn->disk);
	if (status != PH_OK)
		return status;
	status = end_sinks(txn_pack, pack);
	if (status == PH_OK)
		status = ph__pack_index(pack, txn->txn.algo);
	if (status != PH_OK) {
		ph__pack_release(txn->disk, pack);
		return status;
	}
	for (uint32_t i = 0; i < PH_SECTION_AUX; i++) {
		ph__sink_free(txn_pack->sinks[i], pack->sections[i] != NULL);
		txn_pack->sinks[i] = NULL;
	}
	txn_pack->pack = pack;
	txn_pack->phase = PH__PACK_ENDED;
	make_source(txn);
	return PH_OK;
}

/* Whether the repository has what the transaction wrote. */
static bool is_kept(const struct ph__dtxn *txn)
{
	return txn->committed && !txn->delete_repo;
}

static void release_pack(struct ph__dtxn *txn, struct ph__txn_pack *txn_pack)
{
	struct ph__pack *pack = txn_pack->pack;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++) {
		ph__sink_free(txn_pack->sinks[i], false);
		txn_pack->sinks[i] = NULL;
		if (pack && pack->sections[i] && !is_kept(txn))
			ph__section_free_blocks(pack->sections[i]);
	}
	ph__pack_release(txn->disk, pack);
	txn_pack->pack = NULL;
	txn_pack->phase = PH__PACK_DROPPED;
}

static void txn_pack_drop(struct ph_txn *base, uint32_t number)
{
	struct ph__dtxn *txn = self(base);
	if (number >= txn->pack_count || txn->committed)
		return;
	release_pack(txn, &txn->packs[number]);
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
	return ph__txn_refs_verdict(&((const struct ph__dtxn *)txn)->refs, change);
}

static void txn_drop(struct ph_txn *txn, uint32_t change)
{
	ph__txn_refs_drop(&self(txn)->refs, change);
}

static bool base_has(const struct ph__dtxn *txn, uint64_t pack_id)
{
	uint32_t count = base_packs(txn);
	return txn->base && ph__packs_find(txn->base->packs, count, pack_id) < count;
}

static struct ph__attach *find_attach(struct ph__dtxn *txn, uint64_t pack_id, uint32_t section)
{
	for (uint32_t i = 0; i < txn->attach_count; i++)
		if (txn->attaches[i].pack_id == pack_id &&
		    txn->attaches[i].sink->section->type == section)
			return &txn->attaches[i];
	return NULL;
}

static enum ph_status new_attach(struct ph__dtxn *txn, uint64_t pack_id, uint32_t section,
                                 struct ph__attach **out)
{
	if (txn->attach_count == txn->attach_room) {
		uint32_t room = 2 * txn->attach_room + 4;
		void *list = ph_mem_resize(txn->disk->alloc, txn->attaches, room,
		                           sizeof(*txn->attaches));
		if (!list)
			return PH_ERR_NOMEM;
		txn->attaches = list;
		txn->attach_room = room;
	}
	struct ph__attach *attach = &txn->attaches[txn->attach_count];
	attach->pack_id = pack_id;
	enum ph_status status = ph__sink_new(&attach->sink, txn->disk, section);
	if (status == PH_OK)
		txn->attach_count++;
	*out = attach;
	return status;
}

static enum ph_status txn_attach(struct ph_txn *base, uint64_t pack_id, uint32_t section,
                                 struct ph_sink **out)
{
	struct ph__dtxn *txn = self(base);
	if (!is_auxiliary(section))
		return PH_ERR_INVALID;
	if (!base_has(txn, pack_id))
		return PH_ERR_NOT_FOUND;
	struct ph__attach *attach = find_attach(txn, pack_id, section);
	enum ph_status status = attach ? PH_OK : new_attach(txn, pack_id, section, &attach);
	if (status == PH_OK)
		*out = &attach->sink->sink;
	return status;
}

static enum ph_status txn_replace(struct ph_txn *base, const uint64_t *pack_ids, size_t count,
                                  bool drops_objects)
{
	struct ph__dtxn *txn = self(base);
	for (size_t i = 0; i < count; i++)
		if (!base_has(txn, pack_ids[i]))
			return PH_ERR_NOT_FOUND;
	/* No more than the base has: each is kept once. */
	if (!txn->replaced && count > 0) {
		txn->replaced =
		        ph_mem_zalloc(txn->disk->alloc, base_packs(txn), sizeof(*txn->replaced));
		if (!txn->replaced)
			return PH_ERR_NOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t k = 0;
		while (k < txn->replaced_count && txn->replaced[k] != pack_ids[i])
			k++;
		if (k == txn->replaced_count)
			txn->replaced[txn->replaced_count++] = pack_ids[i];
	}
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
	self(txn)->delete_repo = true;
	return PH_OK;
}

/* ---- the end ---- */

static enum ph_status txn_prepare(struct ph_txn *base)
{
	struct ph__dtxn *txn = self(base);
	struct ph__disk *disk = txn->disk;
	if (!txn->base)
		return ph__dtxn_evaluate(txn, NULL, NULL);
	ph__lock(disk->sync, disk->lock);
	struct ph__state *current = txn->base->repo->current;
	if (current)
		current->view.refs++;
	ph__unlock(disk->sync, disk->lock);
	if (!current)
		return PH_ERR_NOT_FOUND;
	enum ph_status status = ph__dtxn_evaluate(txn, NULL, &current->record);
	ph__state_release(current);
	return status;
}

static bool is_empty(const struct ph__dtxn *txn)
{
	if (!txn->base || txn->delete_repo || txn->replaced_count > 0 || txn->attach_count > 0)
		return false;
	for (uint32_t i = 0; i < txn->pack_count; i++)
		if (txn->packs[i].phase == PH__PACK_ENDED)
			return false;
	for (uint32_t i = 0; i < txn->refs.count; i++)
		if (!txn->refs.changes[i]->dropped)
			return false;
	return ph__txn_meta_empty(&txn->meta);
}

static enum ph_status txn_commit(struct ph_txn *base, ph_wake wake, void *arg)
{
	struct ph__dtxn *txn = self(base);
	if (!txn->started) {
		if (txn->committed)
			return PH_ERR_INVALID;
		if (is_empty(txn))
			return PH_OK;
		for (uint32_t i = 0; i < txn->attach_count; i++) {
			struct ph__sink *sink = txn->attaches[i].sink;
			enum ph_status status =
			        sink->status == PH_OK ? ph__sink_end(sink, NULL) : PH_OK;
			if (status != PH_OK)
				return status;
		}
		for (uint32_t i = 0; i < txn->pack_count; i++)
			if (txn->packs[i].phase == PH__PACK_ENDED)
				end_auxiliary(&txn->packs[i]);
		txn->started = true;
	}
	enum ph_status status = ph__commit(txn->disk, &txn->request, wake, arg);
	if (status != PH_PENDING)
		txn->started = false;
	if (status == PH_OK)
		txn->committed = true;
	return status;
}

static void unlist(struct ph__dtxn *txn)
{
	struct ph__disk *disk = txn->disk;
	ph__lock(disk->sync, disk->lock);
	if (txn->link) {
		*txn->link = txn->next;
		if (txn->next)
			txn->next->link = txn->link;
	}
	ph__unlock(disk->sync, disk->lock);
}

static void txn_free(struct ph_txn *base)
{
	struct ph__dtxn *txn = self(base);
	struct ph__disk *disk = txn->disk;
	/* The commit may have been handed to us, see disk_commit.c. */
	if (txn->started && ph__commit_cancel(disk, &txn->request) == PH_OK)
		txn->committed = true;
	for (uint32_t i = 0; i < txn->pack_count; i++)
		release_pack(txn, &txn->packs[i]);
	for (uint32_t i = 0; i < txn->attach_count; i++)
		ph__sink_free(txn->attaches[i].sink,
		              is_kept(txn) && txn->attaches[i].sink->status == PH_OK);
	unlist(txn);
	if (txn->base)
		ph__state_release(txn->base);
	ph__txn_refs_release(&txn->refs);
	ph__txn_meta_release(&txn->meta);
	ph_mem_free(disk->alloc, txn->packs);
	ph_mem_free(disk->alloc, txn->set_packs);
	ph_mem_free(disk->alloc, txn->attaches);
	ph_mem_free(disk->alloc, txn->replaced);
	ph_mem_free(disk->alloc, txn->name);
	ph_mem_free(disk->alloc, txn);
}

static const struct ph_txn_ops txn_ops = {
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
        .prepare = txn_prepare,
        .verdict = txn_verdict,
        .drop = txn_drop,
        .commit = txn_commit,
};

/*
 * Lists it, so that what its base sees stays. A base from before objects were dropped, or while a
 * commit that drops some is on its way to the device, is none to build on.
 */
static enum ph_status list_txn(struct ph__dtxn *txn)
{
	struct ph__disk *disk = txn->disk;
	struct ph__repo *repo = txn->base->repo;
	ph__lock(disk->sync, disk->lock);
	bool stale = txn->base->snapshot.generation < repo->dropped;
	if (!stale) {
		txn->base->view.refs++;
		txn->next = repo->txns;
		txn->link = &repo->txns;
		if (txn->next)
			txn->next->link = &txn->next;
		repo->txns = txn;
	}
	ph__unlock(disk->sync, disk->lock);
	return stale ? PH_ERR_CONFLICT : PH_OK;
}

enum ph_status ph__dtxn_new(struct ph__disk *disk, struct ph__state *base, const char *name,
                            enum ph_hash_algo algo, struct ph_txn **out)
{
	struct ph__dtxn *txn = ph_mem_zalloc(disk->alloc, 1, sizeof(*txn));
	if (!txn)
		return PH_ERR_NOMEM;
	txn->txn.ops = &txn_ops;
	txn->txn.store = &disk->store;
	txn->txn.base = base ? &base->snapshot : NULL;
	txn->txn.algo = algo;
	txn->disk = disk;
	txn->base = base;
	txn->request.txn = txn;
	ph__txn_refs_init(&txn->refs, disk->alloc, disk->limits);
	ph__txn_meta_init(&txn->meta, disk->alloc, disk->limits);
	ph_pack_set_init(&txn->set, algo, disk->unpack, base ? base->set_packs : NULL,
	                 base_packs(txn));
	enum ph_status status = PH_OK;
	if (base) {
		status = list_txn(txn);
	} else {
		txn->name = ph_mem_strdup(disk->alloc, name, strlen(name));
		status = txn->name ? PH_OK : PH_ERR_NOMEM;
	}
	if (status != PH_OK) {
		ph_mem_free(disk->alloc, txn);
		return status;
	}
	*out = &txn->txn;
	return PH_OK;
}
