/* SPDX-License-Identifier: MIT */
/*
 * Keys and values of the trees: repositories, refs, and blobs, which are values too long for a
 * leaf. Decoders take whatever the device held and check every length.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* Flags of a ref. */
#define REF_SYMREF 1u
#define REF_PEELED 2u

#define BLOB_HEADER 19u
#define BLOB_EXTENT 12u

/* ---- keys ---- */

uint32_t ph__key_name(uint8_t *key, enum ph__space space, const char *name)
{
	size_t len = strlen(name);
	assert(len < PH__KEY_MAX);
	key[0] = (uint8_t)space;
	memcpy(key + 1, name, len);
	return (uint32_t)len + 1;
}

uint32_t ph__key_prefix(uint8_t *key, enum ph__space space, const char *name)
{
	uint32_t len = 0;
	key[0] = (uint8_t)space;
	while (len < PH__KEY_MAX - 1 && name[len] != '\0') {
		key[len + 1] = (uint8_t)name[len];
		len++;
	}
	return len + 1;
}

bool ph__name_fits(const char *name, size_t max)
{
	size_t len = 0;
	while (len <= max && name[len] != '\0')
		len++;
	return len <= max;
}

uint32_t ph__key_number(uint8_t *key, enum ph__space space, uint64_t number)
{
	key[0] = (uint8_t)space;
	ph__put64(key + 1, number);
	return 9;
}

/* ---- repositories ---- */

void ph__record_encode(const struct ph__record *record, uint8_t *to)
{
	memset(to, 0, PH__RECORD_BYTES);
	to[0] = PH__VALUE_INLINE;
	to[1] = (uint8_t)record->algo;
	to[2] = record->tree.height;
	ph__put64(to + 4, record->tree.owner);
	ph__put64(to + 12, record->generation);
	ph__put64(to + 20, record->next_pack);
	ph__put64(to + 28, record->refs);
	ph__put64(to + 36, record->packs);
	ph__put64(to + 44, record->log_first);
	ph__put64(to + 52, record->log_count);
	ph__ptr_put(to + 60, &record->tree.root);
	memcpy(to + 80, record->log_tip.bytes, ph_hash_bytes(PH_HASH_SHA256));
	ph__ptr_put(to + 112, &record->tree.buffer);
}

enum ph_status ph__record_decode(struct ph__record *record, const uint8_t *value, uint32_t len)
{
	memset(record, 0, sizeof(*record));
	if (len != PH__RECORD_BYTES || value[0] != PH__VALUE_INLINE ||
	    (value[1] != PH_HASH_SHA1 && value[1] != PH_HASH_SHA256) || value[2] > PH__TREE_HEIGHT)
		return PH_ERR_CORRUPT;
	record->algo = value[1] == PH_HASH_SHA1 ? PH_HASH_SHA1 : PH_HASH_SHA256;
	record->tree.height = value[2];
	record->tree.owner = ph__get64(value + 4);
	record->generation = ph__get64(value + 12);
	record->next_pack = ph__get64(value + 20);
	record->refs = ph__get64(value + 28);
	record->packs = ph__get64(value + 36);
	record->log_first = ph__get64(value + 44);
	record->log_count = ph__get64(value + 52);
	record->tree.root = ph__ptr_get(value + 60);
	memcpy(record->log_tip.bytes, value + 80, ph_hash_bytes(PH_HASH_SHA256));
	record->tree.buffer = ph__ptr_get(value + 112);
	if (record->tree.owner == 0 || record->next_pack > UINT64_MAX / 2 ||
	    record->log_count > PH__LOG_KEPT || record->log_first > UINT64_MAX - 2 * PH__LOG_KEPT ||
	    record->packs > UINT32_MAX / 2)
		return PH_ERR_CORRUPT;
	return PH_OK;
}

/* ---- refs ---- */

uint32_t ph__ref_encode(uint8_t *value, enum ph_hash_algo algo, const struct ph_oid *oid,
                        const struct ph_oid *peeled, const char *target)
{
	uint32_t hash = (uint32_t)ph_hash_bytes(algo);
	value[0] = PH__VALUE_INLINE;
	if (target) {
		size_t len = strlen(target);
		assert(len <= PH_REF_NAME_MAX);
		value[1] = REF_SYMREF;
		memcpy(value + 2, target, len);
		return (uint32_t)len + 2;
	}
	bool has_peeled = !ph_oid_is_zero(peeled);
	value[1] = has_peeled ? REF_PEELED : 0;
	memcpy(value + 2, oid->bytes, hash);
	if (has_peeled)
		memcpy(value + 2 + hash, peeled->bytes, hash);
	return 2 + hash * (has_peeled ? 2 : 1);
}

static enum ph_status text(char *to, const uint8_t *from, uint32_t len)
{
	if (len == 0 || len > PH_REF_NAME_MAX || memchr(from, 0, len))
		return PH_ERR_CORRUPT;
	memcpy(to, from, len);
	to[len] = '\0';
	return PH_OK;
}

enum ph_status ph__ref_decode(struct ph_ref *ref, enum ph_hash_algo algo,
                              const struct ph__cell *cell)
{
	const uint8_t *value = cell->value;
	uint32_t hash = (uint32_t)ph_hash_bytes(algo);
	memset(&ref->oid, 0, sizeof(ref->oid));
	memset(&ref->peeled, 0, sizeof(ref->peeled));
	ref->target[0] = '\0';
	if (cell->key_len < 2 || cell->value_len < 3 || value[0] != PH__VALUE_INLINE)
		return PH_ERR_CORRUPT;
	enum ph_status status = text(ref->name, cell->key + 1, cell->key_len - 1);
	if (status != PH_OK)
		return status;
	if (value[1] == REF_SYMREF)
		return text(ref->target, value + 2, cell->value_len - 2);
	uint32_t want = 2 + hash * (value[1] == REF_PEELED ? 2 : 1);
	if (cell->value_len != want || value[1] > REF_PEELED)
		return PH_ERR_CORRUPT;
	ph_oid_from_bytes(&ref->oid, algo, value + 2);
	if (value[1] == REF_PEELED)
		ph_oid_from_bytes(&ref->peeled, algo, value + 2 + hash);
	return PH_OK;
}

/* ---- blobs ---- */

uint32_t ph__blob_encode(const struct ph__blob *blob, uint8_t *value)
{
	assert(BLOB_HEADER + BLOB_EXTENT * blob->count <= PH__VALUE_MAX);
	value[0] = PH__VALUE_BLOB;
	ph__put32(value + 1, blob->len);
	ph__put32(value + 5, blob->crc);
	ph__put16(value + 9, blob->count);
	ph__put64(value + 11, blob->epoch);
	for (uint32_t i = 0; i < blob->count; i++) {
		ph__put64(value + BLOB_HEADER + BLOB_EXTENT * i, blob->extents[i].start);
		ph__put32(value + BLOB_HEADER + BLOB_EXTENT * i + 8, blob->extents[i].count);
	}
	return BLOB_HEADER + BLOB_EXTENT * blob->count;
}

enum ph_status ph__blob_decode(struct ph__blob *blob, const uint8_t *value, uint32_t len)
{
	if (len == 0)
		return PH_ERR_CORRUPT;
	if (value[0] == PH__VALUE_INLINE)
		return PH_END;
	if (value[0] != PH__VALUE_BLOB || len < BLOB_HEADER)
		return PH_ERR_CORRUPT;
	blob->len = ph__get32(value + 1);
	blob->crc = ph__get32(value + 5);
	blob->count = ph__get16(value + 9);
	blob->epoch = ph__get64(value + 11);
	if (blob->len == 0 || blob->len > PH__BLOB_MAX || blob->count > PH__BLOB_EXTENTS ||
	    len != BLOB_HEADER + BLOB_EXTENT * blob->count)
		return PH_ERR_CORRUPT;
	uint64_t blocks = 0;
	for (uint32_t i = 0; i < blob->count; i++) {
		blob->extents[i].start = ph__get64(value + BLOB_HEADER + BLOB_EXTENT * i);
		blob->extents[i].count = ph__get32(value + BLOB_HEADER + BLOB_EXTENT * i + 8);
		blob->extents[i].birth = blob->epoch;
		blocks += blob->extents[i].count;
	}
	return blocks == (blob->len + PH__BLOCK - 1) / PH__BLOCK ? PH_OK : PH_ERR_CORRUPT;
}

static enum ph_status load_blob(struct ph__disk *disk, const struct ph__blob *blob, uint8_t **data)
{
	uint32_t blocks = (blob->len + PH__BLOCK - 1) / PH__BLOCK;
	for (uint32_t i = 0; i < blob->count; i++)
		if (!ph__extent_valid(disk, blob->extents[i]))
			return PH_ERR_CORRUPT;
	uint8_t *buf = ph_mem_alloc(disk->alloc, (size_t)blocks * PH__BLOCK);
	if (!buf)
		return PH_ERR_NOMEM;
	enum ph_status status = PH_OK;
	uint8_t *to = buf;
	for (uint32_t i = 0; i < blob->count && status == PH_OK; i++) {
		status = ph__io_read(&disk->io, blob->extents[i].start, blob->extents[i].count, to);
		to += (size_t)blob->extents[i].count * PH__BLOCK;
	}
	if (status == PH_OK && ph_crc32(0, buf, blob->len) != blob->crc)
		status = PH_ERR_CORRUPT;
	if (status != PH_OK) {
		ph_mem_free(disk->alloc, buf);
		return status;
	}
	*data = buf;
	return PH_OK;
}

enum ph_status ph__value_load(struct ph__disk *disk, const uint8_t *value, uint32_t len,
                              uint8_t **data, uint32_t *data_len)
{
	struct ph__blob blob;
	enum ph_status status = ph__blob_decode(&blob, value, len);
	if (status == PH_OK) {
		status = load_blob(disk, &blob, data);
		if (status == PH_OK)
			*data_len = blob.len;
		return status;
	}
	if (status != PH_END)
		return status;
	*data = NULL;
	*data_len = len - 1;
	if (len == 1)
		return PH_OK;
	*data = ph_mem_alloc(disk->alloc, len - 1);
	if (!*data)
		return PH_ERR_NOMEM;
	memcpy(*data, value + 1, len - 1);
	return PH_OK;
}
