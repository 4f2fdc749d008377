/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: a generation of a repository, read only. Packs are in memory once and shared; refs,
 * settings and the log are read from the tree when asked for.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

static struct ph__state *self(struct ph_snapshot *snapshot)
{
	return (struct ph__state *)snapshot;
}

static struct ph__disk *disk_of(struct ph_snapshot *snapshot)
{
	return ph__disk_of(snapshot->store);
}

static void snapshot_retain(struct ph_snapshot *snapshot)
{
	ph__state_retain(self(snapshot));
}

static void snapshot_release(struct ph_snapshot *snapshot)
{
	ph__state_release(self(snapshot));
}

/* A value of the repository's tree. */
static enum ph_status get(struct ph_snapshot *snapshot, const uint8_t *key, uint32_t key_len,
                          uint8_t *value, uint32_t *len)
{
	return ph__tree_get(disk_of(snapshot), NULL, &self(snapshot)->record.tree, key, key_len,
	                    value, len);
}

static enum ph_status snapshot_ref(struct ph_snapshot *snapshot, const char *name,
                                   struct ph_ref *out)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	struct ph__cell cell = {.key = key, .value = value};
	if (!ph__name_fits(name, PH_REF_NAME_MAX))
		return PH_ERR_NOT_FOUND;
	cell.key_len = ph__key_name(key, PH__KEY_REF, name);
	enum ph_status status = get(snapshot, key, cell.key_len, value, &cell.value_len);
	return status == PH_OK ? ph__ref_decode(out, snapshot->algo, &cell) : status;
}

/* ---- refs in order ---- */

struct iter {
	struct ph_ref_iter iter;
	struct ph__cursor cursor;
	enum ph_hash_algo algo;
};

static enum ph_status iter_next(struct ph_ref_iter *base, struct ph_ref *out)
{
	struct iter *iter = (struct iter *)base;
	struct ph__cell cell;
	enum ph_status status = ph__cursor_next(&iter->cursor, &cell);
	if (status != PH_OK)
		return status;
	/* Refs are the last kind of key. */
	if (cell.key[0] != PH__KEY_REF)
		return cell.key[0] > PH__KEY_REF ? PH_END : PH_ERR_CORRUPT;
	return ph__ref_decode(out, iter->algo, &cell);
}

static void iter_free(struct ph_ref_iter *base)
{
	struct iter *iter = (struct iter *)base;
	const struct ph_alloc *alloc = iter->cursor.disk->alloc;
	ph__cursor_release(&iter->cursor);
	ph_mem_free(alloc, iter);
}

static enum ph_status snapshot_refs(struct ph_snapshot *snapshot, const char *from,
                                    struct ph_ref_iter **out)
{
	static const struct ph_ref_iter_ops ops = {iter_next, iter_free};
	struct ph__disk *disk = disk_of(snapshot);
	uint8_t key[PH__KEY_MAX];
	struct iter *iter = ph_mem_zalloc(disk->alloc, 1, sizeof(*iter));
	if (!iter)
		return PH_ERR_NOMEM;
	iter->iter.ops = &ops;
	iter->algo = snapshot->algo;
	enum ph_status status =
	        ph__cursor_init(&iter->cursor, disk, NULL, &self(snapshot)->record.tree);
	if (status == PH_OK) {
		uint32_t len = ph__key_prefix(key, PH__KEY_REF, from);
		status = ph__cursor_seek(&iter->cursor, key, len);
	}
	if (status != PH_OK) {
		ph__cursor_release(&iter->cursor);
		ph_mem_free(disk->alloc, iter);
		return status;
	}
	*out = &iter->iter;
	return PH_OK;
}

/* ---- packs ---- */

static const struct ph_source *snapshot_source(struct ph_snapshot *snapshot)
{
	return &self(snapshot)->set.source;
}

static uint64_t snapshot_pack_id(struct ph_snapshot *snapshot, uint32_t pack)
{
	assert(pack < self(snapshot)->pack_count);
	return self(snapshot)->packs[pack]->id;
}

static const struct ph_bytes *snapshot_section(struct ph_snapshot *snapshot, uint32_t pack,
                                               uint32_t section)
{
	assert(pack < self(snapshot)->pack_count);
	if (section > PH_SECTION_MAX)
		return NULL;
	const struct ph__section *found = self(snapshot)->packs[pack]->sections[section];
	return found ? &found->bytes : NULL;
}

/* ---- the rest ---- */

static uint32_t snapshot_shallow(struct ph_snapshot *snapshot, const struct ph_oid **out)
{
	const struct ph__shallow *shallow = self(snapshot)->shallow;
	*out = shallow ? shallow->oids : NULL;
	return shallow ? shallow->count : 0;
}

/* The bytes of a value of the tree. */
static enum ph_status get_bytes(struct ph_snapshot *snapshot, const uint8_t *key, uint32_t key_len,
                                void *buf, size_t *room)
{
	struct ph__disk *disk = disk_of(snapshot);
	uint8_t value[PH__VALUE_MAX];
	uint8_t *data;
	uint32_t value_len, len;
	enum ph_status status = get(snapshot, key, key_len, value, &value_len);
	if (status == PH_OK)
		status = ph__value_load(disk, value, value_len, &data, &len);
	if (status != PH_OK)
		return status;
	status = ph__bytes_out(data, len, buf, room);
	ph_mem_free(disk->alloc, data);
	return status;
}

static enum ph_status snapshot_setting(struct ph_snapshot *snapshot, const char *name, void *buf,
                                       size_t *len)
{
	uint8_t key[PH__KEY_MAX];
	if (ph__setting_check(name, NULL, 0) != PH_OK)
		return PH_ERR_NOT_FOUND;
	return get_bytes(snapshot, key, ph__key_name(key, PH__KEY_SETTING, name), buf, len);
}

static uint64_t snapshot_log_count(struct ph_snapshot *snapshot)
{
	return self(snapshot)->record.log_count;
}

static enum ph_status snapshot_log_read(struct ph_snapshot *snapshot, uint64_t number, void *buf,
                                        size_t *len)
{
	const struct ph__record *record = &self(snapshot)->record;
	uint8_t key[PH__KEY_MAX];
	if (number >= record->log_count)
		return PH_ERR_NOT_FOUND;
	uint32_t key_len = ph__key_number(key, PH__KEY_LOG, record->log_first + number);
	enum ph_status status = get_bytes(snapshot, key, key_len, buf, len);
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

const struct ph_snapshot_ops ph__snapshot_ops = {
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
