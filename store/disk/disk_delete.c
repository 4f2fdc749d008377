/* SPDX-License-Identifier: MIT */
/*
 * Deleting a repository: all that its tree names is given back. One that is too damaged to be
 * opened is deleted by its name: its tree is walked as far as it can be read, which its checksums
 * tell, and what lies behind damage stays taken. What it gives back waits for those who have its
 * catalogue.
 */
#include "disk_apply_int.h"

#include <assert.h>
#include <string.h>

/* ---- what its tree names ---- */

struct deletion {
	struct ph__disk *disk;
	struct ph__extents nodes, others;
	bool packs; /* they are known from their records alone */
};

static enum ph_status delete_node(void *user, const struct ph__ptr *ptr)
{
	struct deletion *deletion = user;
	struct ph__extent block = {ptr->block, 1, ptr->epoch};
	return ph__extents_add(deletion->disk->alloc, &deletion->nodes, block);
}

/* Where the sections of a pack are that nobody has in memory. */
static enum ph_status delete_pack(struct deletion *deletion, const struct ph__cell *cell)
{
	struct ph__disk *disk = deletion->disk;
	struct ph__pack *pack;
	uint8_t *data = NULL;
	uint32_t len;
	enum ph_status status = ph__value_load(disk, cell->value, cell->value_len, &data, &len);
	if (status == PH_OK)
		status = ph__pack_decode(&pack, disk, 1, data, len);
	ph_mem_free(disk->alloc, data);
	if (status == PH_ERR_NOMEM)
		return status;
	if (status != PH_OK) {
		ph_log_line(disk->log, PH_LOG_WARN, "store-disk", 0,
		            "the record of a pack of a deleted repository cannot be read; its "
		            "space is lost");
		return PH_OK;
	}
	status = ph__pack_extents(disk, pack, &deletion->others);
	ph__pack_release(disk, pack);
	return status;
}

static enum ph_status delete_cell(void *user, const struct ph__cell *cell)
{
	struct deletion *deletion = user;
	struct ph__blob blob;
	if (deletion->packs && cell->key[0] == PH__KEY_PACK) {
		enum ph_status packs = delete_pack(deletion, cell);
		if (packs != PH_OK)
			return packs;
	}
	enum ph_status status = ph__blob_decode(&blob, cell->value, cell->value_len);
	if (status != PH_OK)
		return PH_OK;
	for (uint32_t i = 0; i < blob.count && status == PH_OK; i++)
		if (ph__extent_valid(deletion->disk, blob.extents[i]))
			status = ph__extents_add(deletion->disk->alloc, &deletion->others,
			                         blob.extents[i]);
	return status;
}

/* What cannot be read cannot be freed; the repository goes all the same. */
static enum ph_status delete_bad(void *user, const struct ph__ptr *ptr, enum ph_status status)
{
	struct deletion *deletion = user;
	if (status == PH_ERR_NOMEM)
		return status;
	ph_log_line(deletion->disk->log, PH_LOG_WARN, "store-disk", 0,
	            "block %llu of a deleted repository cannot be read; its space is lost",
	            (unsigned long long)ptr->block);
	return PH_OK;
}

enum ph_status ph__work_delete(struct ph__batch *batch, struct ph__work *work)
{
	struct ph__disk *disk = batch->disk;
	struct deletion deletion = {.disk = disk, .packs = !work->repo};
	const struct ph__walk walk = {.disk = disk,
	                              .batch = batch,
	                              .user = &deletion,
	                              .node = delete_node,
	                              .cell = delete_cell,
	                              .bad = delete_bad};
	enum ph_status status = ph__tree_walk(&walk, &work->record.tree);
	for (uint32_t i = 0; i < work->pack_count && status == PH_OK; i++)
		status = ph__pack_extents(disk, work->packs[i], &deletion.others);
	if (status == PH_OK) {
		uint32_t more = deletion.others.count;
		for (uint32_t i = 0; i < deletion.nodes.count; i++)
			more += deletion.nodes.list[i].count;
		status = ph__extents_reserve(disk->alloc, &work->frees, more);
	}
	for (uint32_t i = 0; i < deletion.nodes.count && status == PH_OK; i++)
		for (uint32_t k = 0; k < deletion.nodes.list[i].count; k++) {
			const struct ph__extent *nodes = &deletion.nodes.list[i];
			struct ph__extent block = {nodes->start + k, 1, nodes->birth};
			if (!ph__batch_drop(batch, block.start))
				work->frees.list[work->frees.count++] = block;
		}
	for (uint32_t i = 0; i < deletion.others.count && status == PH_OK; i++)
		work->frees.list[work->frees.count++] = deletion.others.list[i];
	ph__extents_release(disk->alloc, &deletion.nodes);
	ph__extents_release(disk->alloc, &deletion.others);
	if (status == PH_OK) {
		work->deleted = true;
		batch->super.repos--;
	}
	return status;
}

/* ---- one that cannot be opened ---- */

enum ph_status ph__batch_remove(struct ph__batch *batch, struct ph__dtxn *txn)
{
	struct ph__disk *disk = batch->disk;
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t len, key_len = ph__key_name(key, PH__KEY_REPO, txn->name);
	if (ph__work_find(batch, txn->name))
		return PH_AGAIN;
	/* Somebody could open it after all. */
	if (ph__repo_is_open(disk, txn->name))
		return PH_ERR_CONFLICT;
	const struct ph__tree catalogue = ph__super_tree(&batch->super);
	enum ph_status status = ph__tree_get(disk, NULL, &catalogue, key, key_len, value, &len);
	if (status != PH_OK)
		return status;
	struct ph__work *work = ph__work_new(batch, txn->name);
	if (!work)
		return PH_ERR_NOMEM;
	/* Of one whose record says nothing, nothing can be found. */
	if (ph__record_decode(&work->record, value, len) != PH_OK)
		work->record.tree.height = 0;
	batch->class = PH__CLASS_ROOT;
	return ph__work_delete(batch, work);
}

enum ph_status ph__disk_remove(struct ph_store *store, const char *name, struct ph_txn **out)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph__state *state;
	if (!ph__name_fits(name, PH_REPO_NAME_MAX) || name[0] == '\0')
		return PH_ERR_NOT_FOUND;
	if (ph__disk_read_only(disk))
		return PH_ERR_READ_ONLY;
	enum ph_status status = ph__repo_open(disk, name, &state);
	if (status == PH_OK) {
		ph__state_release(state);
		return PH_ERR_EXISTS;
	}
	if (status != PH_ERR_CORRUPT && status != PH_ERR_IO)
		return status;
	status = ph__dtxn_new(disk, NULL, name, PH_HASH_SHA1, out);
	if (status == PH_OK)
		((struct ph__dtxn *)*out)->delete_repo = true;
	return status;
}
