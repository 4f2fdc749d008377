/* SPDX-License-Identifier: MIT */
/*
 * One transaction into a batch: is it still possible, and if so what becomes of its repository. A
 * transaction that fails leaves the batch as it was, so the others of the batch do not notice.
 */
#include "disk_apply_int.h"

#include <assert.h>
#include <string.h>

/* ---- verdicts ---- */

struct tree_refs {
	struct ph__refs_view view;
	struct ph__cursor cursor;
	enum ph_hash_algo algo;
};

static enum ph_status seek_ref(struct tree_refs *refs, const char *name, bool after,
                               struct ph__cell *cell)
{
	uint8_t key[PH__KEY_MAX];
	uint32_t len = ph__key_prefix(key, PH__KEY_REF, name);
	enum ph_status status = ph__cursor_seek(&refs->cursor, key, len);
	if (status == PH_OK)
		status = ph__cursor_next(&refs->cursor, cell);
	if (status == PH_OK && after && ph__key_cmp(cell->key, cell->key_len, key, len) == 0)
		status = ph__cursor_next(&refs->cursor, cell);
	if (status == PH_OK && cell->key[0] != PH__KEY_REF)
		status = PH_END;
	return status;
}

static enum ph_status view_get(void *user, const char *name, struct ph_ref *out)
{
	struct tree_refs *refs = user;
	struct ph__cell cell;
	size_t len = strlen(name);
	enum ph_status status = seek_ref(refs, name, false, &cell);
	if (status == PH_END)
		return PH_ERR_NOT_FOUND;
	if (status != PH_OK)
		return status;
	if (cell.key_len != len + 1 || memcmp(cell.key + 1, name, len) != 0)
		return PH_ERR_NOT_FOUND;
	return ph__ref_decode(out, refs->algo, &cell);
}

static enum ph_status view_seek(void *user, const char *from, bool after, char *name)
{
	struct ph__cell cell;
	enum ph_status status = seek_ref(user, from, after, &cell);
	if (status != PH_OK)
		return status;
	if (cell.key_len < 2 || cell.key_len - 1 > PH_REF_NAME_MAX)
		return PH_ERR_CORRUPT;
	memcpy(name, cell.key + 1, cell.key_len - 1);
	name[cell.key_len - 1] = '\0';
	return PH_OK;
}

/* A repository being created: a HEAD and nothing else, or nothing when it is among the changes. */
static enum ph_status new_get(void *user, const char *name, struct ph_ref *out)
{
	const struct ph__refs_view *view = user;
	if (view->count == 0 || strcmp(name, "HEAD") != 0)
		return PH_ERR_NOT_FOUND;
	memset(out, 0, sizeof(*out));
	memcpy(out->name, "HEAD", 5);
	memcpy(out->target, PH__DEFAULT_TARGET, sizeof(PH__DEFAULT_TARGET));
	return PH_OK;
}

static enum ph_status new_seek(void *user, const char *from, bool after, char *name)
{
	const struct ph__refs_view *view = user;
	int cmp = strcmp("HEAD", from);
	if (view->count == 0 || cmp < 0 || (cmp == 0 && after))
		return PH_END;
	memcpy(name, "HEAD", 5);
	return PH_OK;
}

enum ph_status ph__dtxn_evaluate(struct ph__dtxn *txn, const struct ph__batch *batch,
                                 const struct ph__record *record)
{
	if (!record) {
		struct ph__refs_view view = {.get = new_get, .seek = new_seek};
		view.user = &view;
		view.count = ph__txn_refs_changes(&txn->refs, "HEAD") ? 0 : 1;
		return ph__txn_refs_evaluate(&txn->refs, &view);
	}
	struct tree_refs refs = {.algo = record->algo};
	enum ph_status status = ph__cursor_init(&refs.cursor, txn->disk, batch, &record->tree);
	if (status != PH_OK)
		return status;
	refs.view.user = &refs;
	refs.view.count = record->refs;
	refs.view.get = view_get;
	refs.view.seek = view_seek;
	status = ph__txn_refs_evaluate(&txn->refs, &refs.view);
	ph__cursor_release(&refs.cursor);
	return status;
}

/* ---- the repository in the batch ---- */

struct ph__work *ph__work_new(struct ph__batch *batch, const char *name)
{
	struct ph__work *work = ph_mem_zalloc(batch->disk->alloc, 1, sizeof(*work));
	if (!work)
		return NULL;
	work->name = name;
	work->next = batch->works;
	batch->works = work;
	return work;
}

static void forget_work(struct ph__batch *batch, struct ph__work *work)
{
	assert(batch->works == work);
	batch->works = work->next;
	if (work->created)
		ph_mem_free(batch->disk->alloc, work->repo);
	ph__extents_release(batch->disk->alloc, &work->frees);
	ph_mem_free(batch->disk->alloc, work);
}

struct ph__work *ph__work_find(struct ph__batch *batch, const char *name)
{
	struct ph__work *work = batch->works;
	while (work && strcmp(work->name, name) != 0)
		work = work->next;
	return work;
}

static enum ph_status copy_packs(struct ph__disk *disk, struct ph__work *work,
                                 const struct ph__state *from)
{
	if (from->pack_count == 0)
		return PH_OK;
	work->packs = ph_mem_zalloc(disk->alloc, from->pack_count, sizeof(*work->packs));
	if (!work->packs)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < from->pack_count; i++) {
		ph__pack_retain(from->packs[i]);
		work->packs[i] = from->packs[i];
	}
	work->pack_count = from->pack_count;
	return PH_OK;
}

/* The repository of a transaction's base, as the batch has it. */
static enum ph_status open_work(struct ph__batch *batch, struct ph__dtxn *txn,
                                struct ph__work **out)
{
	struct ph__repo *repo = txn->base->repo;
	for (*out = batch->works; *out; *out = (*out)->next)
		if ((*out)->repo == repo)
			return (*out)->deleted ? PH_ERR_NOT_FOUND : PH_OK;
	/* Only leaders change it, and that is us. */
	if (!repo->current)
		return PH_ERR_NOT_FOUND;
	struct ph__work *work = ph__work_new(batch, repo->name);
	if (!work)
		return PH_ERR_NOMEM;
	enum ph_status status = copy_packs(batch->disk, work, repo->current);
	if (status != PH_OK) {
		forget_work(batch, work);
		return status;
	}
	work->repo = repo;
	work->from = repo->current;
	work->record = repo->current->record;
	work->shallow = ph__shallow_retain(repo->current->shallow);
	*out = work;
	return PH_OK;
}

static enum ph_status name_free(struct ph__batch *batch, const char *name)
{
	const struct ph__tree catalogue = ph__super_tree(&batch->super);
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t len;
	const struct ph__work *work = ph__work_find(batch, name);
	if (work && (work->created || work->deleted))
		return work->created ? PH_ERR_EXISTS : PH_AGAIN;
	uint32_t key_len = ph__key_name(key, PH__KEY_REPO, name);
	enum ph_status status =
	        ph__tree_get(batch->disk, NULL, &catalogue, key, key_len, value, &len);
	if (status != PH_ERR_NOT_FOUND)
		return status == PH_OK ? PH_ERR_EXISTS : status;
	return batch->super.repos >= batch->disk->limits->repos_max ? PH_ERR_LIMIT : PH_OK;
}

static enum ph_status create_work(struct ph__batch *batch, struct ph__dtxn *txn,
                                  struct ph__work **out)
{
	enum ph_status status = name_free(batch, txn->name);
	struct ph__repo *repo = NULL;
	if (status == PH_OK)
		status = ph__repo_new(&repo, batch->disk, txn->name);
	if (status != PH_OK)
		return status;
	struct ph__work *work = ph__work_new(batch, repo->name);
	if (!work) {
		ph_mem_free(batch->disk->alloc, repo);
		return PH_ERR_NOMEM;
	}
	work->repo = repo;
	work->created = true;
	work->record.algo = txn->txn.algo;
	work->record.next_pack = 1;
	work->record.tree.owner = batch->super.next_repo;
	*out = work;
	return PH_OK;
}

/* ---- what else may stand in the way ---- */

static bool has_pack(const struct ph__work *work, uint64_t id)
{
	return ph__packs_find(work->packs, work->pack_count, id) < work->pack_count;
}

static enum ph_status check_packs(const struct ph__dtxn *txn, const struct ph__work *work)
{
	for (uint32_t i = 0; i < txn->replaced_count; i++)
		if (!has_pack(work, txn->replaced[i]))
			return PH_ERR_CONFLICT;
	for (uint32_t i = 0; i < txn->attach_count; i++)
		if (!has_pack(work, txn->attaches[i].pack_id))
			return PH_ERR_CONFLICT;
	return PH_OK;
}

/* Whether something of what a state shows is in packs that are not here. */
static bool lacks_packs(const struct ph__apply *apply, const struct ph__state *shown)
{
	for (uint32_t i = 0; i < shown->pack_count; i++) {
		uint64_t id = shown->packs[i]->id;
		if (ph__packs_find(apply->packs, apply->pack_count, id) == apply->pack_count)
			return true;
	}
	return false;
}

/*
 * Whether objects can be dropped now. An open transaction whose base's packs all stay loses
 * nothing. One whose base had a pack that was moved since may hold anything in the packs replaced
 * now, so it blocks too; and so do refs that came to reach further since this one looked. From here
 * on nobody begins on what was before, see list_txn.
 */
static enum ph_status try_drop(struct ph__apply *apply, struct ph__work *work, uint64_t generation)
{
	struct ph__disk *disk = apply->disk;
	struct ph__repo *repo = work->repo;
	uint64_t seen = apply->txn->base->snapshot.generation;
	ph__lock(disk->sync, disk->lock);
	bool may = repo->extended <= seen && work->extended <= seen;
	for (const struct ph__dtxn *other = repo->txns; other && may; other = other->next)
		if (other != apply->txn && !other->committed && lacks_packs(apply, other->base))
			may = false;
	if (may) {
		if (!work->dropped)
			work->dropped_before = repo->dropped;
		work->dropped = generation;
		repo->dropped = generation;
	}
	ph__unlock(disk->sync, disk->lock);
	return may ? PH_OK : PH_ERR_BUSY;
}

static void undo_drop(struct ph__apply *apply, struct ph__work *work, uint64_t before)
{
	struct ph__disk *disk = apply->disk;
	ph__lock(disk->sync, disk->lock);
	work->dropped = before;
	work->repo->dropped = before ? before : work->dropped_before;
	ph__unlock(disk->sync, disk->lock);
}

/* Whether it may make objects reachable that were not. */
static bool extends_reach(const struct ph__dtxn *txn)
{
	const struct ph__change *change;
	uint32_t at = 0;
	if (txn->meta.shallow_set)
		return true;
	while ((change = ph__txn_refs_next(&txn->refs, &at)) != NULL)
		if (change->action != PH__ACTION_DELETE)
			return true;
	return false;
}

/*
 * A transaction that only takes away may use the last blocks: it is the way out of a full store. So
 * may one that replaces packs, with what it notes about that.
 */
static enum ph__class class_of(const struct ph__dtxn *txn)
{
	if (!txn->base || txn->attach_count > 0 || extends_reach(txn))
		return PH__CLASS_TREE;
	for (uint32_t i = 0; i < txn->pack_count; i++)
		if (txn->packs[i].phase == PH__PACK_ENDED && txn->replaced_count == 0)
			return PH__CLASS_TREE;
	for (const struct ph__setting_change *at = txn->meta.settings; at; at = at->next)
		if (at->data && txn->replaced_count == 0)
			return PH__CLASS_TREE;
	return PH__CLASS_ROOT;
}

/* ---- changing one ---- */

static void append(struct ph__extents *to, const struct ph__extents *from)
{
	assert(to->room - to->count >= from->count);
	for (uint32_t i = 0; i < from->count; i++)
		to->list[to->count++] = from->list[i];
}

/* The tree, last of what can fail. */
static enum ph_status apply_tree(struct ph__apply *apply, struct ph__work *work)
{
	struct ph__batch *batch = apply->batch;
	const struct ph_alloc *alloc = apply->disk->alloc;
	uint32_t frees = work->frees.count;
	enum ph_status status = ph__extents_reserve(alloc, &batch->allocs, apply->allocs.count);
	if (status == PH_OK)
		status = ph__extents_reserve(alloc, &work->frees, apply->frees.count);
	if (status != PH_OK)
		return status;
	append(&work->frees, &apply->frees);
	status = ph__tree_apply(batch, &apply->record.tree, apply->edits, apply->edit_count,
	                        &work->frees);
	if (status != PH_OK) {
		work->frees.count = frees;
		return status;
	}
	append(&batch->allocs, &apply->allocs);
	return PH_OK;
}

/* The work takes over what the transaction made. */
static void take_over(struct ph__apply *apply, struct ph__work *work)
{
	struct ph__pack **packs = work->packs;
	uint32_t count = work->pack_count;
	struct ph__shallow *shallow = work->shallow;
	work->packs = apply->packs;
	work->pack_count = apply->pack_count;
	work->shallow = apply->shallow;
	work->record = apply->record;
	work->changed = true;
	apply->packs = packs;
	apply->pack_count = count;
	apply->shallow = shallow;
}

static enum ph_status change_work(struct ph__batch *batch, struct ph__dtxn *txn,
                                  struct ph__work *work)
{
	struct ph__apply apply = {.disk = batch->disk, .batch = batch, .txn = txn};
	uint32_t blobs = batch->blob_count;
	uint64_t dropped = work->dropped;
	bool drops = false;
	apply.record = work->record;
	apply.record.generation = batch->super.generation + 1;
	apply.shallow = ph__shallow_retain(work->shallow);
	enum ph_status status =
	        ph__apply_edits(&apply, work->packs, work->pack_count, work->created);
	if (status == PH_OK && txn->drops_objects) {
		status = try_drop(&apply, work, apply.record.generation);
		drops = status == PH_OK;
	}
	if (status == PH_OK)
		status = apply_tree(&apply, work);
	if (status == PH_OK) {
		batch->super.generation++;
		if (extends_reach(txn))
			work->extended = apply.record.generation;
		take_over(&apply, work);
	} else {
		ph__batch_undo_blobs(batch, blobs);
		if (drops)
			undo_drop(&apply, work, dropped);
	}
	ph__apply_release(&apply);
	return status;
}

enum ph_status ph__batch_apply(struct ph__batch *batch, struct ph__dtxn *txn)
{
	struct ph__work *work = NULL;
	if (!txn->base && txn->delete_repo)
		return ph__batch_remove(batch, txn);
	enum ph_status status =
	        txn->base ? open_work(batch, txn, &work) : create_work(batch, txn, &work);
	if (status != PH_OK)
		return status;
	status = ph__dtxn_evaluate(txn, batch, txn->base ? &work->record : NULL);
	if (status == PH_OK)
		status = check_packs(txn, work);
	if (status == PH_OK) {
		batch->class = class_of(txn);
		status = txn->delete_repo ? ph__work_delete(batch, work)
		                          : change_work(batch, txn, work);
	}
	batch->class = PH__CLASS_ROOT;
	if (work->created && status == PH_OK) {
		batch->super.next_repo++;
		batch->super.repos++;
	} else if (work->created) {
		forget_work(batch, work);
	}
	return status;
}

/* ---- settings of the store ---- */

static enum ph_status check_setting(struct ph__batch *batch, const uint8_t *key, uint32_t key_len)
{
	const struct ph__tree tree = ph__super_tree(&batch->super);
	uint8_t value[PH__VALUE_MAX];
	uint32_t count, len;
	for (uint32_t i = 0; i < batch->setting_count; i++) {
		const struct ph__edit *edit = &batch->settings[i];
		if (ph__key_cmp(key, key_len, edit->key, edit->key_len) == 0)
			return PH_AGAIN;
	}
	enum ph_status status = ph__tree_get(batch->disk, NULL, &tree, key, key_len, value, &len);
	if (status != PH_ERR_NOT_FOUND)
		return status;
	status = ph__settings_count(batch->disk, NULL, &tree, &count);
	if (status != PH_OK)
		return status;
	return count + batch->setting_count < PH__SETTINGS_MAX ? PH_OK : PH_ERR_LIMIT;
}

static enum ph_status check_old(struct ph__batch *batch, const uint8_t *key, uint32_t key_len,
                                const struct ph__request *request)
{
	struct ph__disk *disk = batch->disk;
	const struct ph__tree tree = ph__super_tree(&batch->super);
	uint8_t value[PH__VALUE_MAX], *data;
	uint32_t len, data_len;
	enum ph_status status = ph__tree_get(disk, NULL, &tree, key, key_len, value, &len);
	if (status == PH_ERR_NOT_FOUND)
		return request->old ? PH_ERR_CONFLICT : PH_OK;
	if (status == PH_OK && !request->old)
		return PH_ERR_CONFLICT;
	if (status == PH_OK)
		status = ph__value_load(disk, value, len, &data, &data_len);
	if (status != PH_OK)
		return status;
	bool same = data_len == request->old_len &&
	            (data_len == 0 || memcmp(data, request->old, data_len) == 0);
	ph_mem_free(disk->alloc, data);
	return same ? PH_OK : PH_ERR_CONFLICT;
}

static enum ph_status add_setting(struct ph__batch *batch, const uint8_t *key, uint32_t key_len,
                                  const uint8_t *value, uint32_t value_len)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	void *settings = ph_mem_resize(alloc, batch->settings, batch->setting_count + 1u,
	                               sizeof(*batch->settings));
	if (!settings)
		return PH_ERR_NOMEM;
	batch->settings = settings;
	/* Key and value in one piece. */
	uint8_t *copy = ph_mem_alloc(alloc, key_len + value_len);
	if (!copy)
		return PH_ERR_NOMEM;
	memcpy(copy, key, key_len);
	if (value_len)
		memcpy(copy + key_len, value, value_len);
	batch->settings[batch->setting_count++] = (struct ph__edit){
	        copy, value_len ? copy + key_len : NULL, key_len, value_len, false};
	return PH_OK;
}

enum ph_status ph__batch_setting(struct ph__batch *batch, const struct ph__request *request)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t value_len = 0, blobs = batch->blob_count;
	uint32_t key_len = ph__key_name(key, PH__KEY_SETTING, request->key);
	enum ph_status status = check_setting(batch, key, key_len);
	if (status == PH_OK && request->swaps)
		status = check_old(batch, key, key_len, request);
	if (status == PH_OK && request->data) {
		batch->class = PH__CLASS_TREE;
		status = ph__batch_value(batch, request->data, (uint32_t)request->len, value,
		                         &value_len);
		batch->class = PH__CLASS_ROOT;
	}
	if (status == PH_OK)
		status = add_setting(batch, key, key_len, value, value_len);
	if (status != PH_OK)
		ph__batch_undo_blobs(batch, blobs);
	return status;
}
