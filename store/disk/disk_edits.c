/* SPDX-License-Identifier: MIT */
/*
 * From what a transaction carries to a sorted list of edits of its repository's tree. Kinds of keys
 * are taken in the order of their first byte, and within a kind things come sorted already, so the
 * list needs no sorting.
 */
#include "disk_apply_int.h"

#include <assert.h>
#include <string.h>

#define ARENA_BYTES 16384u

/* ---- memory of one transaction's edits ---- */

void ph__apply_release(struct ph__apply *apply)
{
	const struct ph_alloc *alloc = apply->disk->alloc;
	while (apply->arena) {
		struct ph__arena *next = apply->arena->next;
		ph_mem_free(alloc, apply->arena);
		apply->arena = next;
	}
	for (uint32_t i = 0; i < apply->pack_count; i++)
		ph__pack_release(apply->disk, apply->packs[i]);
	ph_mem_free(alloc, apply->packs);
	ph_mem_free(alloc, apply->edits);
	ph__shallow_release(apply->disk, apply->shallow);
	ph__extents_release(alloc, &apply->allocs);
	ph__extents_release(alloc, &apply->frees);
}

static uint8_t *keep(struct ph__apply *apply, const uint8_t *data, uint32_t len)
{
	struct ph__arena *arena = apply->arena;
	if (!arena || arena->room - arena->used < len) {
		size_t room = len > ARENA_BYTES ? len : ARENA_BYTES;
		arena = ph_mem_alloc(apply->disk->alloc, sizeof(*arena) + room);
		if (!arena)
			return NULL;
		arena->next = apply->arena;
		arena->room = room;
		arena->used = 0;
		apply->arena = arena;
	}
	uint8_t *to = arena->data + arena->used;
	memcpy(to, data, len);
	arena->used += len;
	return to;
}

/* Adds an edit; value NULL removes. Edits come in order. */
static enum ph_status add_edit(struct ph__apply *apply, const uint8_t *key, uint32_t key_len,
                               const uint8_t *value, uint32_t value_len)
{
	if (apply->edit_count == apply->edit_room) {
		uint32_t room = apply->edit_room ? apply->edit_room * 2 : 16;
		void *edits = room > apply->edit_room
		                      ? ph_mem_resize(apply->disk->alloc, apply->edits, room,
		                                      sizeof(*apply->edits))
		                      : NULL;
		if (!edits)
			return PH_ERR_NOMEM;
		apply->edits = edits;
		apply->edit_room = room;
	}
	struct ph__edit *edit = &apply->edits[apply->edit_count];
	edit->key = keep(apply, key, key_len);
	edit->value = value ? keep(apply, value, value_len) : NULL;
	edit->key_len = key_len;
	edit->value_len = value_len;
	if (!edit->key || (value && !edit->value))
		return PH_ERR_NOMEM;
	assert(apply->edit_count == 0 ||
	       ph__key_cmp(edit[-1].key, edit[-1].key_len, key, key_len) < 0);
	apply->edit_count++;
	return PH_OK;
}

/* The same with bytes, which become a blob when they are many. */
static enum ph_status add_bytes(struct ph__apply *apply, const uint8_t *key, uint32_t key_len,
                                const void *data, uint32_t len)
{
	uint8_t value[PH__VALUE_MAX];
	uint32_t value_len;
	enum ph_status status = ph__batch_value(apply->batch, data, len, value, &value_len);
	if (status != PH_OK)
		return status;
	return add_edit(apply, key, key_len, value, value_len);
}

/* ---- settings ---- */

enum ph_status ph__settings_count(struct ph__disk *disk, const struct ph__batch *batch,
                                  const struct ph__tree *tree, uint32_t *count)
{
	struct ph__cursor cursor;
	uint8_t key[PH__KEY_MAX];
	*count = 0;
	enum ph_status status = ph__cursor_init(&cursor, disk, batch, tree);
	if (status != PH_OK)
		return status;
	status = ph__cursor_seek(&cursor, key, ph__key_name(key, PH__KEY_SETTING, ""));
	while (status == PH_OK && *count <= PH__SETTINGS_MAX) {
		struct ph__cell cell;
		status = ph__cursor_next(&cursor, &cell);
		if (status == PH_OK && cell.key[0] != PH__KEY_SETTING)
			status = PH_END;
		if (status == PH_OK)
			(*count)++;
	}
	ph__cursor_release(&cursor);
	return status == PH_END ? PH_OK : status;
}

/* Whether the base has the same value, len 0 for none: blobs are never written over. */
static enum ph_status check_base(struct ph__apply *apply, const uint8_t *key, uint32_t key_len,
                                 const uint8_t *value, uint32_t len)
{
	uint8_t old[PH__VALUE_MAX];
	uint32_t old_len = 0;
	if (!apply->txn->base)
		return PH_OK;
	enum ph_status status = ph__tree_get(apply->disk, NULL, &apply->txn->base->record.tree, key,
	                                     key_len, old, &old_len);
	if (status != PH_OK && status != PH_ERR_NOT_FOUND)
		return status;
	if (status == PH_ERR_NOT_FOUND)
		old_len = 0;
	return old_len == len && memcmp(old, value, len) == 0 ? PH_OK : PH_ERR_CONFLICT;
}

static enum ph_status setting_edit(struct ph__apply *apply, const struct ph__setting_change *change,
                                   uint32_t *count)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t len;
	uint32_t key_len = ph__key_name(key, PH__KEY_SETTING, change->key);
	enum ph_status status = ph__tree_get(apply->disk, apply->batch, &apply->record.tree, key,
	                                     key_len, value, &len);
	if (status != PH_OK && status != PH_ERR_NOT_FOUND)
		return status;
	enum ph_status unchanged =
	        check_base(apply, key, key_len, value, status == PH_OK ? len : 0);
	if (unchanged != PH_OK)
		return unchanged;
	if (status == PH_OK)
		(*count)--;
	if (!change->data)
		return add_edit(apply, key, key_len, NULL, 0);
	(*count)++;
	return add_bytes(apply, key, key_len, change->data, change->len);
}

/* The change whose key comes next in order. */
static const struct ph__setting_change *next_setting(const struct ph__txn_meta *meta,
                                                     const struct ph__setting_change *after)
{
	const struct ph__setting_change *best = NULL;
	for (const struct ph__setting_change *at = meta->settings; at; at = at->next)
		if ((!after || strcmp(at->key, after->key) > 0) &&
		    (!best || strcmp(at->key, best->key) < 0))
			best = at;
	return best;
}

static enum ph_status setting_edits(struct ph__apply *apply)
{
	const struct ph__txn_meta *meta = &apply->txn->meta;
	const struct ph__setting_change *change = next_setting(meta, NULL);
	uint32_t count;
	if (!change)
		return PH_OK;
	enum ph_status status =
	        ph__settings_count(apply->disk, apply->batch, &apply->record.tree, &count);
	while (change && status == PH_OK) {
		status = setting_edit(apply, change, &count);
		change = next_setting(meta, change);
	}
	return status == PH_OK && count > PH__SETTINGS_MAX ? PH_ERR_LIMIT : status;
}

/* ---- shallow set, log ---- */

/* Whether the base has the set that the repository has now. */
static bool shallow_same(const struct ph__apply *apply)
{
	const struct ph__shallow *now = apply->shallow;
	const struct ph__shallow *then = apply->txn->base ? apply->txn->base->shallow : now;
	if (now == then)
		return true;
	return now && then && now->count == then->count &&
	       memcmp(now->oids, then->oids, now->count * sizeof(now->oids[0])) == 0;
}

static enum ph_status shallow_edit(struct ph__apply *apply)
{
	const struct ph__txn_meta *meta = &apply->txn->meta;
	const struct ph_alloc *alloc = apply->disk->alloc;
	size_t hash = ph_hash_bytes(apply->record.algo), count = meta->shallow_count;
	uint8_t key[PH__KEY_MAX];
	if (!meta->shallow_set)
		return PH_OK;
	if (!shallow_same(apply))
		return PH_ERR_CONFLICT;
	uint32_t key_len = ph__key_name(key, PH__KEY_SHALLOW, "");
	ph__shallow_release(apply->disk, apply->shallow);
	apply->shallow = NULL;
	if (count == 0)
		return add_edit(apply, key, key_len, NULL, 0);
	struct ph__shallow *shallow =
	        ph_mem_alloc(alloc, sizeof(*shallow) + count * sizeof(shallow->oids[0]));
	uint8_t *data = ph_mem_zalloc(alloc, count, hash);
	enum ph_status status = shallow && data ? PH_OK : PH_ERR_NOMEM;
	if (status == PH_OK) {
		atomic_init(&shallow->refs, 1);
		shallow->count = meta->shallow_count;
		memcpy(shallow->oids, meta->shallow, count * sizeof(shallow->oids[0]));
		for (size_t i = 0; i < count; i++)
			memcpy(data + i * hash, meta->shallow[i].bytes, hash);
		apply->shallow = shallow;
		status = add_bytes(apply, key, key_len, data, (uint32_t)(count * hash));
	} else {
		ph_mem_free(alloc, shallow);
	}
	ph_mem_free(alloc, data);
	return status;
}

static enum ph_status log_edits(struct ph__apply *apply)
{
	const struct ph__txn_meta *meta = &apply->txn->meta;
	struct ph__record *record = &apply->record;
	uint8_t key[PH__KEY_MAX], linked[PH_LOG_LINKED_MAX];
	enum ph_status status = PH_OK;
	uint64_t next = record->log_first + record->log_count;
	record->log_count += meta->log_count;
	while (record->log_count > PH__LOG_KEPT && status == PH_OK) {
		uint32_t len = ph__key_number(key, PH__KEY_LOG, record->log_first++);
		record->log_count--;
		status = add_edit(apply, key, len, NULL, 0);
	}
	for (const struct ph__log_record *log = meta->log; log && status == PH_OK;
	     log = log->next) {
		uint32_t key_len = ph__key_number(key, PH__KEY_LOG, next++);
		uint32_t len = ph__log_link(linked, &record->log_tip, log);
		status = add_bytes(apply, key, key_len, linked, len);
	}
	return status;
}

/* ---- packs ---- */

static enum ph_status pack_edit(struct ph__apply *apply, const struct ph__pack *pack)
{
	uint8_t key[PH__KEY_MAX];
	uint8_t *data;
	uint32_t len;
	enum ph_status status = ph__pack_encode(apply->disk, pack, &data, &len);
	if (status != PH_OK)
		return status;
	status = add_bytes(apply, key, ph__key_number(key, PH__KEY_PACK, pack->id), data, len);
	ph_mem_free(apply->disk->alloc, data);
	return status;
}

/* Puts the sections that the transaction attaches to a pack in place; pack is replaced. */
static enum ph_status attach_all(struct ph__apply *apply, struct ph__pack **pack, bool *changed)
{
	struct ph__dtxn *txn = apply->txn;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < txn->attach_count && status == PH_OK; i++) {
		struct ph__sink *sink = txn->attaches[i].sink;
		struct ph__pack *with, *old = *pack;
		if (txn->attaches[i].pack_id != old->id || sink->status != PH_OK)
			continue;
		const struct ph__section *gone = old->sections[sink->section->type];
		if (gone)
			status = ph__pack_own_extents(apply->disk, old, gone, &apply->frees);
		/* It shares no block with others: see ph__sink_end. */
		if (status == PH_OK)
			status = ph__pack_own_extents(apply->disk, old, sink->section,
			                              &apply->allocs);
		if (status == PH_OK)
			status = ph__pack_with(&with, apply->disk, old, sink->section);
		if (status == PH_OK) {
			sink->section->epoch = apply->batch->epoch;
			ph__pack_release(apply->disk, old);
			*pack = with;
			*changed = true;
		}
	}
	return status;
}

static bool is_replaced(const struct ph__dtxn *txn, uint64_t id)
{
	for (uint32_t i = 0; i < txn->replaced_count; i++)
		if (txn->replaced[i] == id)
			return true;
	return false;
}

/* A pack that was there: it goes, gets a section, or stays. */
static enum ph_status old_pack(struct ph__apply *apply, struct ph__pack *pack)
{
	uint8_t key[PH__KEY_MAX];
	if (is_replaced(apply->txn, pack->id)) {
		uint32_t len = ph__key_number(key, PH__KEY_PACK, pack->id);
		enum ph_status status = add_edit(apply, key, len, NULL, 0);
		return status == PH_OK ? ph__pack_extents(apply->disk, pack, &apply->frees)
		                       : status;
	}
	bool changed = false;
	ph__pack_retain(pack);
	enum ph_status status = attach_all(apply, &pack, &changed);
	if (status == PH_OK && changed)
		status = pack_edit(apply, pack);
	/* Released with the others, whatever happens. */
	apply->packs[apply->pack_count++] = pack;
	return status;
}

static enum ph_status new_pack(struct ph__apply *apply, struct ph__pack *pack)
{
	pack->id = apply->record.next_pack++;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++)
		if (pack->sections[i])
			pack->sections[i]->epoch = apply->batch->epoch;
	enum ph_status status = ph__pack_extents(apply->disk, pack, &apply->allocs);
	if (status == PH_OK)
		status = pack_edit(apply, pack);
	ph__pack_retain(pack);
	apply->packs[apply->pack_count++] = pack;
	return status;
}

static enum ph_status check_bytes(const struct ph__apply *apply)
{
	uint64_t max = apply->txn->txn.bytes_max, bytes = 0;
	for (uint32_t i = 0; max > 0 && i < apply->pack_count; i++) {
		uint64_t more = apply->packs[i]->sections[PH_SECTION_RUN]->bytes.size;
		if (more > max - bytes)
			return PH_ERR_LIMIT;
		bytes += more;
	}
	return PH_OK;
}

static enum ph_status pack_edits(struct ph__apply *apply, struct ph__pack **packs, uint32_t count)
{
	struct ph__dtxn *txn = apply->txn;
	size_t room = (size_t)count + txn->pack_count;
	enum ph_status status = PH_OK;
	if (room == 0)
		return PH_OK;
	apply->packs = ph_mem_zalloc(apply->disk->alloc, room, sizeof(*apply->packs));
	if (!apply->packs)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = old_pack(apply, packs[i]);
	for (uint32_t i = 0; i < txn->pack_count && status == PH_OK; i++)
		if (txn->packs[i].phase == PH__PACK_ENDED)
			status = new_pack(apply, txn->packs[i].pack);
	apply->record.packs = apply->pack_count;
	return status == PH_OK ? check_bytes(apply) : status;
}

/* ---- refs ---- */

static enum ph_status ref_edit(struct ph__apply *apply, const struct ph__change *change)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t key_len = ph__key_name(key, PH__KEY_REF, change->name);
	if (change->exists)
		apply->record.refs--;
	if (change->action == PH__ACTION_DELETE)
		return change->exists ? add_edit(apply, key, key_len, NULL, 0) : PH_OK;
	apply->record.refs++;
	const char *target = change->action == PH__ACTION_SET_SYMREF ? change->target : NULL;
	uint32_t len =
	        ph__ref_encode(value, apply->record.algo, &change->oid, &change->peeled, target);
	return add_edit(apply, key, key_len, value, len);
}

static enum ph_status default_head(struct ph__apply *apply)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t key_len = ph__key_name(key, PH__KEY_REF, "HEAD");
	uint32_t len = ph__ref_encode(value, apply->record.algo, NULL, NULL, PH__DEFAULT_TARGET);
	apply->record.refs++;
	return add_edit(apply, key, key_len, value, len);
}

static enum ph_status ref_edits(struct ph__apply *apply, bool created)
{
	const struct ph__txn_refs *refs = &apply->txn->refs;
	bool head = created && !ph__txn_refs_changes(refs, "HEAD");
	const struct ph__change *change;
	uint32_t at = 0;
	enum ph_status status = PH_OK;
	while (status == PH_OK && (change = ph__txn_refs_next(refs, &at)) != NULL) {
		if (head && strcmp(change->name, "HEAD") > 0) {
			status = default_head(apply);
			head = false;
		}
		if (status == PH_OK)
			status = ref_edit(apply, change);
	}
	return status == PH_OK && head ? default_head(apply) : status;
}

enum ph_status ph__apply_edits(struct ph__apply *apply, struct ph__pack **packs, uint32_t count,
                               bool created)
{
	enum ph_status status = setting_edits(apply);
	if (status == PH_OK)
		status = shallow_edit(apply);
	if (status == PH_OK)
		status = log_edits(apply);
	if (status == PH_OK)
		status = pack_edits(apply, packs, count);
	return status == PH_OK ? ref_edits(apply, created) : status;
}
