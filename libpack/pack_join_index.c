/* SPDX-License-Identifier: MIT */
/*
 * The index of the joined pack (pack_index.h), table by table, out of the indexes of the packs that
 * were joined and what is known of where their entries went.
 */
#include "pack_join_int.h"

#include <assert.h>
#include <string.h>

/* Rows written in one unit of work. */
#define ROWS_PER_UNIT 4u

static enum ph_status flush(struct ph_pack_join *join)
{
	enum ph_status status = PH_OK;

	if (join->out_len > 0)
		status = join->options.index->ops->append(join->options.index, join->out,
		                                          join->out_len);
	join->out_len = 0;
	return status;
}

enum ph_status ph__join_header(struct ph_pack_join *join)
{
	enum ph_hash_algo algo = join->options.source->algo;
	size_t hash_len = ph_hash_bytes(algo);
	uint8_t *at = join->out;
	uint32_t sum = 0;

	if (join->stats.bytes > INDEX_OFFSET_MAX)
		return PH_ERR_LIMIT;
	memcpy(at, INDEX_MAGIC, 4);
	at[4] = INDEX_VERSION;
	at[5] = (uint8_t)algo;
	at[6] = at[7] = 0;
	index_put32(at + 8, join->stats.objects);
	index_put64(at + 12, join->stats.bytes);
	memcpy(at + INDEX_FIXED_BYTES, join->trailer.bytes, hash_len);
	at += INDEX_FIXED_BYTES + hash_len;
	for (unsigned i = 0; i < 256; i++) {
		sum += join->fanout[i];
		index_put32(at + 4 * (size_t)i, sum);
	}
	join->out_len = INDEX_FIXED_BYTES + hash_len + INDEX_FANOUT_BYTES;
	join->at = 0;
	join->phase = PH__JOIN_IDS;
	return flush(join);
}

static enum ph_status put_id(struct ph_pack_join *join, uint32_t row)
{
	struct ph_entry entry;
	size_t hash_len = ph_hash_bytes(join->options.source->algo);
	enum ph_status status = ph__join_entry(join, join->number_of[row], &entry);

	if (status == PH_OK)
		memcpy(join->out + join->out_len, entry.oid.bytes, hash_len);
	join->out_len += status == PH_OK ? hash_len : 0;
	return status;
}

static enum ph_status put_entry(struct ph_pack_join *join, uint32_t rank)
{
	uint32_t row = join->row_at[rank];
	uint8_t *at = join->out + join->out_len;
	struct ph_entry entry;
	enum ph_status status = ph__join_entry(join, join->number_of[row], &entry);

	if (status != PH_OK)
		return status;
	index_put64(at, join->offset_of[row] << 8);
	at[7] = (uint8_t)((unsigned)entry.type | (join->depth_of[row] ? INDEX_FLAG_DELTA : 0));
	index_put64(at + 8, entry.size);
	index_put32(at + 16, row);
	join->out_len += INDEX_ENTRY_BYTES;
	return PH_OK;
}

static enum ph_status put_row(struct ph_pack_join *join)
{
	if (join->phase == PH__JOIN_IDS)
		return put_id(join, join->at);
	if (join->phase == PH__JOIN_ENTRIES)
		return put_entry(join, join->at);
	index_put32(join->out + join->out_len, join->rank_of[join->at]);
	join->out_len += INDEX_RANK_BYTES;
	return PH_OK;
}

enum ph_status ph__join_rows(struct ph_pack_join *join, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	ph_budget_spend(budget, 1);
	for (unsigned i = 0; i < ROWS_PER_UNIT && join->at < join->stats.objects; i++) {
		status = put_row(join);
		if (status == PH_OK && PH__JOIN_WINDOW_BYTES - join->out_len < PH_OID_BYTES_MAX)
			status = flush(join);
		if (status != PH_OK)
			return status;
		join->at++;
	}
	if (join->at < join->stats.objects)
		return PH_OK;
	join->at = 0;
	join->phase = join->phase == PH__JOIN_IDS     ? PH__JOIN_RANKS
	              : join->phase == PH__JOIN_RANKS ? PH__JOIN_ENTRIES
	                                              : PH__JOIN_DONE;
	return join->phase == PH__JOIN_DONE ? flush(join) : PH_OK;
}
