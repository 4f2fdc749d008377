/* SPDX-License-Identifier: MIT */
/*
 * Writes an index in one pass, through a small buffer and without allocating. What it is given is
 * checked first, so that a sink never gets half of an index that has to be refused.
 */
#include "pack_index_int.h"

#include <assert.h>

#define BUFFER_BYTES 4096u

struct writer {
	struct ph_sink *sink;
	enum ph_hash_algo algo;
	const struct ph_index_record *const *pieces;
	unsigned shift;
	const uint32_t *order;
	uint32_t count;
	uint32_t fanout[256];
	size_t used;
	uint8_t buffer[BUFFER_BYTES];
};

static const struct ph_index_record *record_at(const struct writer *writer, uint32_t number)
{
	uint64_t wide = number;

	return &writer->pieces[wide >> writer->shift][wide & (((uint64_t)1 << writer->shift) - 1)];
}

static enum ph_status flush(struct writer *writer)
{
	enum ph_status status = PH_OK;

	if (writer->used > 0)
		status = writer->sink->ops->append(writer->sink, writer->buffer, writer->used);
	writer->used = 0;
	return status;
}

/* Room for a row of len bytes in the buffer, or NULL with *status when the sink failed. */
static uint8_t *reserve(struct writer *writer, size_t len, enum ph_status *status)
{
	uint8_t *row;

	assert(len <= BUFFER_BYTES);
	*status = PH_OK;
	if (len > BUFFER_BYTES - writer->used) {
		*status = flush(writer);
		if (*status != PH_OK)
			return NULL;
	}
	row = writer->buffer + writer->used;
	writer->used += len;
	return row;
}

static bool record_ok(const struct ph_index_record *record, uint64_t offset_min, uint64_t run_bytes)
{
	return record->offset >= offset_min && record->offset < run_bytes &&
	       record->type >= PH_OBJ_COMMIT && record->type <= PH_OBJ_TAG;
}

/* Offsets rise from 0 within the run; ids rise in order's order. Counts the fanout on the way. */
static enum ph_status check_records(struct writer *writer, uint64_t run_bytes)
{
	uint64_t offset_min = 0;
	uint32_t i;

	if (run_bytes > INDEX_OFFSET_MAX || (writer->count == 0) != (run_bytes == 0))
		return PH_ERR_INVALID;
	for (i = 0; i < writer->count; i++) {
		const struct ph_index_record *record = record_at(writer, i);

		if (!record_ok(record, offset_min, run_bytes))
			return PH_ERR_INVALID;
		if (writer->order[i] >= writer->count)
			return PH_ERR_INVALID;
		if (i > 0 && ph_oid_cmp(&record_at(writer, writer->order[i - 1])->oid,
		                        &record_at(writer, writer->order[i])->oid) >= 0)
			return PH_ERR_INVALID;
		offset_min = record->offset + 1;
		writer->fanout[record->oid.bytes[0]]++;
	}
	if (writer->count > 0 && record_at(writer, 0)->offset != 0)
		return PH_ERR_INVALID;
	for (i = 1; i < 256; i++)
		writer->fanout[i] += writer->fanout[i - 1];
	return PH_OK;
}

static enum ph_status write_header(struct writer *writer, uint64_t run_bytes,
                                   const struct ph_oid *trailer)
{
	size_t hash_len = ph_hash_bytes(writer->algo);
	enum ph_status status;
	uint8_t *at = reserve(writer, INDEX_FIXED_BYTES + hash_len + INDEX_FANOUT_BYTES, &status);
	size_t i;

	if (!at)
		return status;
	memcpy(at, INDEX_MAGIC, 4);
	at[4] = INDEX_VERSION;
	at[5] = (uint8_t)writer->algo;
	at[6] = 0;
	at[7] = 0;
	index_put32(at + 8, writer->count);
	index_put64(at + 12, run_bytes);
	memcpy(at + INDEX_FIXED_BYTES, trailer->bytes, hash_len);
	at += INDEX_FIXED_BYTES + hash_len;
	for (i = 0; i < 256; i++)
		index_put32(at + 4 * i, writer->fanout[i]);
	return PH_OK;
}

static enum ph_status write_ids(struct writer *writer)
{
	size_t hash_len = ph_hash_bytes(writer->algo);
	enum ph_status status;
	uint32_t i;

	for (i = 0; i < writer->count; i++) {
		uint8_t *at = reserve(writer, hash_len, &status);
		if (!at)
			return status;
		memcpy(at, record_at(writer, writer->order[i])->oid.bytes, hash_len);
	}
	return PH_OK;
}

static enum ph_status write_ranks(struct writer *writer)
{
	enum ph_status status;
	uint32_t i;

	for (i = 0; i < writer->count; i++) {
		uint8_t *at = reserve(writer, INDEX_RANK_BYTES, &status);
		if (!at)
			return status;
		index_put32(at, writer->order[i]);
	}
	return PH_OK;
}

/* The row of a record's id. Interpolated, in turns with bisection: ids are spread evenly. */
static uint32_t find_row(const struct writer *writer, const struct ph_oid *oid)
{
	uint32_t lo = oid->bytes[0] > 0 ? writer->fanout[oid->bytes[0] - 1] : 0;
	uint32_t hi = writer->fanout[oid->bytes[0]];
	uint64_t key_lo = 0;
	uint64_t key_hi = (uint64_t)UINT32_MAX + 1;
	unsigned round;

	for (round = 0; lo < hi; round++) {
		uint32_t mid = round % 2 == 0 ? index_guess(lo, hi, key_lo, key_hi,
		                                            index_id_key(oid->bytes))
		                              : lo + (hi - lo) / 2;
		const struct ph_oid *found = &record_at(writer, writer->order[mid])->oid;
		int order = ph_oid_cmp(found, oid);
		if (order == 0)
			return mid;
		if (order < 0) {
			lo = mid + 1;
			key_lo = index_id_key(found->bytes);
		} else {
			hi = mid;
			key_hi = index_id_key(found->bytes);
		}
	}
	return writer->count;
}

static enum ph_status write_entries(struct writer *writer)
{
	enum ph_status status;
	uint32_t i;

	for (i = 0; i < writer->count; i++) {
		const struct ph_index_record *record = record_at(writer, i);
		uint32_t row = find_row(writer, &record->oid);
		uint8_t *at = reserve(writer, INDEX_ENTRY_BYTES, &status);
		if (!at)
			return status;
		/* order is sorted and as long as records, so it lacks one only if it names another
		 * twice, and equal neighbours were refused. */
		assert(row < writer->count && writer->order[row] == i);
		index_put64(at, record->offset << 8);
		at[7] = (uint8_t)(record->type | (record->delta ? INDEX_FLAG_DELTA : 0));
		index_put64(at + 8, record->size);
		index_put32(at + 16, row);
	}
	return PH_OK;
}

enum ph_status ph__index_write(struct ph_sink *sink, enum ph_hash_algo algo,
                               const struct ph_index_record *const *pieces, unsigned shift,
                               const uint32_t *order, uint32_t count, uint64_t run_bytes,
                               const struct ph_oid *trailer)
{
	struct writer writer = {.sink = sink,
	                        .algo = algo,
	                        .pieces = pieces,
	                        .shift = shift,
	                        .order = order,
	                        .count = count};
	enum ph_status status = check_records(&writer, run_bytes);

	if (status == PH_OK)
		status = write_header(&writer, run_bytes, trailer);
	if (status == PH_OK)
		status = write_ids(&writer);
	if (status == PH_OK)
		status = write_ranks(&writer);
	if (status == PH_OK)
		status = write_entries(&writer);
	if (status == PH_OK)
		status = flush(&writer);
	return status;
}

enum ph_status ph_index_write(struct ph_sink *sink, enum ph_hash_algo algo,
                              const struct ph_index_record *records, const uint32_t *order,
                              uint32_t count, uint64_t run_bytes, const struct ph_oid *trailer)
{
	return ph__index_write(sink, algo, &records, 32, order, count, run_bytes, trailer);
}
