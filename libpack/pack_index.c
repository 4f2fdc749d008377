/* SPDX-License-Identifier: MIT */
/*
 * Reads an index in place. Ids and offsets are looked up by interpolation, in turns with bisection
 * so that a skewed table costs a logarithm too, and read in blocks: a look-up is two or three
 * reads. Whatever comes from the index is checked before it is used, so that a damaged one is an
 * error and never a read outside of it. The checksum over its bytes is the store's business.
 */
#include "pack_index_int.h"

#include <assert.h>

/* Rows read at once when a guess is tried. Ids of 400 000 objects lie within 20 rows of theirs. */
#define BLOCK_ROWS 64u

static uint64_t index_bytes(uint64_t entries, size_t hash_len)
{
	return INDEX_FIXED_BYTES + hash_len + INDEX_FANOUT_BYTES +
	       entries * (hash_len + INDEX_RANK_BYTES + INDEX_ENTRY_BYTES);
}

static enum ph_status read_header(struct ph_index *index, size_t hash_len)
{
	uint8_t header[INDEX_HEADER_BYTES_MAX];
	enum ph_status status;

	if (index->bytes->size < INDEX_FIXED_BYTES + hash_len + INDEX_FANOUT_BYTES)
		return PH_ERR_CORRUPT;
	status = index->bytes->read(index->bytes, 0, header, INDEX_FIXED_BYTES + hash_len);
	if (status != PH_OK)
		return status;
	if (memcmp(header, INDEX_MAGIC, 4) != 0 || header[4] != INDEX_VERSION ||
	    header[5] != (uint8_t)index->algo || header[6] != 0 || header[7] != 0)
		return PH_ERR_CORRUPT;
	index->entries = index_get32(header + 8);
	index->run_bytes = index_get64(header + 12);
	ph_oid_from_bytes(&index->trailer, index->algo, header + INDEX_FIXED_BYTES);
	if (index->bytes->size != index_bytes(index->entries, hash_len))
		return PH_ERR_CORRUPT;
	/* No entry is empty, and no byte is outside of one. */
	if (index->run_bytes > INDEX_OFFSET_MAX || index->run_bytes < index->entries ||
	    (index->entries == 0 && index->run_bytes != 0))
		return PH_ERR_CORRUPT;
	return PH_OK;
}

static enum ph_status read_fanout(struct ph_index *index, uint64_t at)
{
	uint8_t raw[INDEX_FANOUT_BYTES];
	uint32_t previous = 0;
	enum ph_status status = index->bytes->read(index->bytes, at, raw, sizeof(raw));
	size_t i;

	if (status != PH_OK)
		return status;
	for (i = 0; i < 256; i++) {
		index->fanout[i] = index_get32(raw + 4 * i);
		if (index->fanout[i] < previous)
			return PH_ERR_CORRUPT;
		previous = index->fanout[i];
	}
	return previous == index->entries ? PH_OK : PH_ERR_CORRUPT;
}

enum ph_status ph_index_init(struct ph_index *index, const struct ph_bytes *bytes,
                             enum ph_hash_algo algo)
{
	size_t hash_len = ph_hash_bytes(algo);
	struct ph_index made = {.bytes = bytes, .algo = algo};
	enum ph_status status = read_header(&made, hash_len);

	if (status != PH_OK)
		return status;
	made.ids_at = INDEX_FIXED_BYTES + hash_len + INDEX_FANOUT_BYTES;
	made.ranks_at = made.ids_at + (uint64_t)made.entries * hash_len;
	made.entries_at = made.ranks_at + (uint64_t)made.entries * INDEX_RANK_BYTES;
	status = read_fanout(&made, made.ids_at - INDEX_FANOUT_BYTES);
	if (status != PH_OK)
		return status;
	*index = made;
	return PH_OK;
}

/* A sorted range of a table that is still to be searched, with the keys at its borders. */
struct range {
	uint32_t lo, hi; /* rows */
	uint64_t key_lo, key_hi;
	unsigned round;
};

/* The block of rows to read next: all that is left, or one around a guess. */
static uint32_t range_block(const struct range *range, uint64_t key, uint32_t *rows)
{
	uint32_t left = range->hi - range->lo;
	uint32_t at;

	if (left <= BLOCK_ROWS) {
		*rows = left;
		return range->lo;
	}
	*rows = BLOCK_ROWS;
	if (range->round % 2 == 0)
		at = index_guess(range->lo, range->hi, range->key_lo, range->key_hi, key);
	else
		at = range->lo + left / 2;
	at = at - range->lo > BLOCK_ROWS / 2 ? at - BLOCK_ROWS / 2 : range->lo;
	return at > range->hi - BLOCK_ROWS ? range->hi - BLOCK_ROWS : at;
}

/* Finds an id in a block of sorted ids: its row, or rows when it is not there. */
static uint32_t block_find_id(const uint8_t *ids, uint32_t rows, const uint8_t *id, size_t hash_len)
{
	uint32_t lo = 0;
	uint32_t hi = rows;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int order = memcmp(ids + mid * hash_len, id, hash_len);
		if (order == 0)
			return mid;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return rows;
}

/* The rank of the entry of the row-th id. */
static enum ph_status read_rank(const struct ph_index *index, uint32_t row, uint32_t *pos)
{
	uint8_t raw[INDEX_RANK_BYTES];
	enum ph_status status = index->bytes->read(
	        index->bytes, index->ranks_at + (uint64_t)row * INDEX_RANK_BYTES, raw, sizeof(raw));
	uint32_t rank;

	if (status != PH_OK)
		return status;
	rank = index_get32(raw);
	if (rank >= index->entries)
		return PH_ERR_CORRUPT;
	*pos = rank;
	return PH_OK;
}

enum ph_status ph_index_find(const struct ph_index *index, const struct ph_oid *oid, uint32_t *pos)
{
	uint8_t block[BLOCK_ROWS * PH_OID_BYTES_MAX];
	const uint8_t *id = oid->bytes;
	size_t hash_len = ph_hash_bytes(index->algo);
	struct range range = {.lo = id[0] > 0 ? index->fanout[id[0] - 1] : 0,
	                      .hi = index->fanout[id[0]],
	                      .key_hi = (uint64_t)UINT32_MAX + 1};

	for (; range.lo < range.hi; range.round++) {
		uint32_t rows;
		uint32_t at = range_block(&range, index_id_key(id), &rows);
		const uint8_t *last = block + (rows - 1) * hash_len;
		uint32_t row;
		enum ph_status status =
		        index->bytes->read(index->bytes, index->ids_at + (uint64_t)at * hash_len,
		                           block, rows * hash_len);

		if (status != PH_OK)
			return status;
		if (memcmp(id, block, hash_len) < 0) {
			range.hi = at;
			range.key_hi = index_id_key(block);
		} else if (memcmp(id, last, hash_len) > 0) {
			range.lo = at + rows;
			range.key_lo = index_id_key(last);
		} else {
			row = block_find_id(block, rows, id, hash_len);
			return row == rows ? PH_ERR_NOT_FOUND : read_rank(index, at + row, pos);
		}
	}
	return PH_ERR_NOT_FOUND;
}

static uint64_t raw_offset(const uint8_t *raw)
{
	return index_get64(raw) >> 8;
}

/* The entry at pos, whose raw form and, but for the last, the next one's are at raw; all but its
 * id. */
static enum ph_status parse_entry(const struct ph_index *index, uint32_t pos, const uint8_t *raw,
                                  struct ph_entry *out, uint32_t *row)
{
	bool last = pos + 1 == index->entries;
	uint8_t tag = raw[7];

	out->offset = raw_offset(raw);
	out->end = last ? index->run_bytes : raw_offset(raw + INDEX_ENTRY_BYTES);
	out->type = (enum ph_object_type)(tag & INDEX_TYPE_MASK);
	out->delta = (tag & INDEX_FLAG_DELTA) != 0;
	out->size = index_get64(raw + 8);
	*row = index_get32(raw + 16);
	if (out->offset >= out->end || out->end > index->run_bytes ||
	    (pos == 0 && out->offset != 0) || *row >= index->entries ||
	    (tag & ~(INDEX_TYPE_MASK | INDEX_FLAG_DELTA)) != 0 || out->type < PH_OBJ_COMMIT ||
	    out->type > PH_OBJ_TAG)
		return PH_ERR_CORRUPT;
	return PH_OK;
}

/* Raw entries from pos on, and one behind them if there is one. */
static enum ph_status read_entries(const struct ph_index *index, uint32_t pos, uint32_t count,
                                   uint8_t *raw)
{
	if (index->entries - pos > count)
		count++;
	return index->bytes->read(index->bytes,
	                          index->entries_at + (uint64_t)pos * INDEX_ENTRY_BYTES, raw,
	                          (size_t)count * INDEX_ENTRY_BYTES);
}

enum ph_status ph_index_entry(const struct ph_index *index, uint32_t pos, struct ph_entry *out)
{
	uint8_t raw[2 * INDEX_ENTRY_BYTES];
	uint8_t id[PH_OID_BYTES_MAX];
	size_t hash_len = ph_hash_bytes(index->algo);
	struct ph_entry entry;
	uint32_t row;
	enum ph_status status;

	assert(pos < index->entries);
	status = read_entries(index, pos, 1, raw);
	if (status == PH_OK)
		status = parse_entry(index, pos, raw, &entry, &row);
	if (status == PH_OK)
		status = index->bytes->read(index->bytes, index->ids_at + (uint64_t)row * hash_len,
		                            id, hash_len);
	if (status != PH_OK)
		return status;
	ph_oid_from_bytes(&entry.oid, index->algo, id);
	*out = entry;
	return PH_OK;
}

enum ph_status ph_index_entries(const struct ph_index *index, uint32_t pos, uint32_t count,
                                struct ph_entry *out)
{
	uint8_t raw[(PH_INDEX_ENTRIES_MAX + 1) * INDEX_ENTRY_BYTES];
	enum ph_status status;

	assert(count <= PH_INDEX_ENTRIES_MAX && pos <= index->entries &&
	       count <= index->entries - pos);
	if (count == 0)
		return PH_OK;
	status = read_entries(index, pos, count, raw);
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		uint32_t row;

		status = parse_entry(index, pos + i, raw + (size_t)i * INDEX_ENTRY_BYTES, &out[i],
		                     &row);
	}
	return status;
}

/* Finds an offset in a block of entries: its row, or rows when no entry starts there. */
static uint32_t block_find_offset(const uint8_t *entries, uint32_t rows, uint64_t offset)
{
	uint32_t lo = 0;
	uint32_t hi = rows;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		uint64_t found = raw_offset(entries + mid * INDEX_ENTRY_BYTES);
		if (found == offset)
			return mid;
		if (found < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return rows;
}

enum ph_status ph_index_at_offset(const struct ph_index *index, uint64_t offset, uint32_t *pos)
{
	uint8_t block[BLOCK_ROWS * INDEX_ENTRY_BYTES];
	struct range range = {.hi = index->entries, .key_hi = index->run_bytes};

	for (; range.lo < range.hi; range.round++) {
		uint32_t rows;
		uint32_t at = range_block(&range, offset, &rows);
		const uint8_t *last = block + (rows - 1) * INDEX_ENTRY_BYTES;
		uint32_t row;
		enum ph_status status = index->bytes->read(
		        index->bytes, index->entries_at + (uint64_t)at * INDEX_ENTRY_BYTES, block,
		        rows * INDEX_ENTRY_BYTES);

		if (status != PH_OK)
			return status;
		if (offset < raw_offset(block)) {
			range.hi = at;
			range.key_hi = raw_offset(block);
		} else if (offset > raw_offset(last)) {
			range.lo = at + rows;
			range.key_lo = raw_offset(last);
		} else {
			row = block_find_offset(block, rows, offset);
			if (row == rows)
				return PH_ERR_NOT_FOUND;
			*pos = at + row;
			return PH_OK;
		}
	}
	return PH_ERR_NOT_FOUND;
}
