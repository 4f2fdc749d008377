/* SPDX-License-Identifier: MIT */
/*
 * The entries of packs being joined, one after the other as they are stored, but for bases that
 * stand behind a delta on them (those of thin packs do): they go first, by way of a stack. As the
 * copy that is kept is always the one of the first pack, a base in another pack has been written
 * before; so the stack stays within one pack, whose deltas have no cycles.
 */
#include "pack_join_int.h"

#include <assert.h>
#include <string.h>

/* Numbers that are passed over in one unit of work. */
#define SCAN_PER_UNIT 256u
/* Enough for the header of an entry and all of most. */
#define HEAD_READ_BYTES ((size_t)4096)

/* ---- bytes ---- */

static enum ph_status flush(struct ph_pack_join *join)
{
	enum ph_status status = PH_OK;

	if (join->out_len > 0) {
		ph_hash_update(&join->hash, join->out, join->out_len);
		status =
		        join->options.run->ops->append(join->options.run, join->out, join->out_len);
	}
	join->out_len = 0;
	return status;
}

/* The bytes of a pack's run from offset on: some, or at least need when that is not 0. */
static enum ph_status window_fill(struct ph_pack_join *join, uint32_t pack, uint64_t offset,
                                  size_t need, const uint8_t **bytes, size_t *len)
{
	const struct ph_source *source = join->options.source;
	uint64_t left = join->packs[pack].index.run_bytes - offset;
	enum ph_status status;

	assert(need <= PH__JOIN_WINDOW_BYTES && need <= left);
	if (join->window_len == 0 || join->window_pack != pack || offset < join->window_at ||
	    offset - join->window_at >= join->window_len ||
	    join->window_len - (size_t)(offset - join->window_at) < need) {
		join->window_len = 0;
		if (left > PH__JOIN_WINDOW_BYTES)
			left = PH__JOIN_WINDOW_BYTES;
		status = source->ops->read(source, join->options.packs[pack], offset, join->window,
		                           (size_t)left);
		if (status != PH_OK)
			return status;
		join->window_pack = pack;
		join->window_at = offset;
		join->window_len = (size_t)left;
	}
	*bytes = join->window + (offset - join->window_at);
	*len = join->window_len - (size_t)(offset - join->window_at);
	return PH_OK;
}

/* Begins the entry of a row: from here on it counts as written. */
static enum ph_status begin_entry(struct ph_pack_join *join, uint32_t row, const uint8_t *head,
                                  size_t len)
{
	enum ph_status status = PH_OK;

	if (PH__JOIN_WINDOW_BYTES - join->out_len < PH__ENTRY_HEADER_BYTES_MAX)
		status = flush(join);
	if (status != PH_OK)
		return status;
	join->offset_of[row] = join->stats.bytes;
	join->rank_of[row] = join->written;
	join->row_at[join->written] = row;
	join->written++;
	memcpy(join->out + join->out_len, head, len);
	join->out_len += len;
	join->stats.bytes += len;
	return PH_OK;
}

static void entry_done(struct ph_pack_join *join)
{
	join->depth--;
	join->phase = join->depth > 0 ? PH__JOIN_ENTRY : PH__JOIN_NEXT;
}

/* ---- phases ---- */

enum ph_status ph__join_next(struct ph_pack_join *join, uint32_t *budget)
{
	enum ph_status status;

	ph_budget_spend(budget, 1);
	for (unsigned i = 0; i < SCAN_PER_UNIT && join->at < join->total; i++) {
		uint32_t number = join->at++, row = join->row_of[number];

		if (row == PH__JOIN_NONE || join->number_of[row] != number ||
		    join->offset_of[row] != PH__JOIN_UNWRITTEN)
			continue;
		join->stack[0] = number;
		join->depth = 1;
		join->phase = PH__JOIN_ENTRY;
		return PH_OK;
	}
	if (join->at < join->total)
		return PH_OK;
	status = flush(join);
	if (status == PH_OK && join->written != join->stats.objects)
		status = PH_ERR_CORRUPT;
	ph_hash_final(&join->hash, &join->trailer);
	join->phase = PH__JOIN_HEADER;
	return status;
}

/* The number of the entry that a stored delta builds on, in its own pack. */
static enum ph_status find_base(const struct ph_pack_join *join, const struct ph__join_pack *pack,
                                const struct ph_entry_header *header, uint32_t *number)
{
	uint32_t pos;
	enum ph_status status =
	        header->type == PH_OBJ_OFS_DELTA
	                ? ph_index_at_offset(&pack->index, header->base_offset, &pos)
	                : ph_index_find(&pack->index, &header->base, &pos);

	(void)join;
	if (status == PH_OK)
		*number = pack->first + pos;
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

static enum ph_status open_again(struct ph_pack_join *join, uint32_t number, uint32_t *budget)
{
	const struct ph_pack_join_options *options = &join->options;
	uint32_t pack = ph__join_pack_of(join, number);
	struct ph_loc loc = {options->packs[pack], number - join->packs[pack].first};
	uint8_t head[PH__ENTRY_HEADER_BYTES_MAX];
	enum ph_status status = PH_OK;

	if (!join->reader)
		status = ph_reader_new(&join->reader, options->source, options->alloc,
		                       options->limits);
	if (status == PH_OK && !join->deflate)
		status = ph_deflate_new(&join->deflate, options->alloc, PH__JOIN_DEFLATE_LEVEL);
	if (status == PH_OK)
		status = ph__again_open(&join->again, join->reader, loc, options->alloc,
		                        options->limits, options->limits->delta_resident_bytes_max,
		                        join->deflate);
	if (status != PH_OK)
		return status;
	ph_budget_spend_bytes(budget, ph__again_read(&join->again));
	/* Its parts go through the window, where no stored bytes are needed meanwhile. */
	join->window_len = 0;
	join->stats.encoded++;
	join->phase = PH__JOIN_DEFLATE;
	return begin_entry(join, join->row_of[number], head,
	                   ph__entry_header_write(head, ph__again_type(&join->again),
	                                          ph__again_size(&join->again)));
}

/* What is stored behind the header goes out as it is. */
static enum ph_status open_stored(struct ph_pack_join *join, uint32_t number, const uint8_t *head,
                                  size_t len, uint64_t from, uint64_t to)
{
	join->copy_pack = ph__join_pack_of(join, number);
	join->copy_at = from;
	join->copy_end = to;
	join->phase = PH__JOIN_COPY;
	return begin_entry(join, join->row_of[number], head, len);
}

/* A delta: on its base, which may have to go first, or as a whole object. */
static enum ph_status open_delta(struct ph_pack_join *join, uint32_t number,
                                 const struct ph_entry *entry, const struct ph_entry_header *header,
                                 uint32_t *budget)
{
	const struct ph__join_pack *pack = &join->packs[ph__join_pack_of(join, number)];
	uint32_t depth_max = join->options.limits->delta_depth_max, base, base_row;
	uint8_t head[PH__ENTRY_HEADER_BYTES_MAX];
	size_t len;
	enum ph_status status = find_base(join, pack, header, &base);

	if (status != PH_OK)
		return status;
	base_row = join->row_of[base];
	if (base_row == PH__JOIN_NONE)
		return open_again(join, number, budget);
	if (join->offset_of[base_row] == PH__JOIN_UNWRITTEN) {
		/* Its kept copy is this one: those of earlier packs are written. */
		if (join->number_of[base_row] != base)
			return PH_ERR_CORRUPT;
		if (join->depth > depth_max)
			return open_again(join, number, budget);
		join->stack[join->depth++] = base;
		return PH_OK;
	}
	if (join->depth_of[base_row] >= depth_max || join->depth_of[base_row] == UINT16_MAX)
		return open_again(join, number, budget);
	join->depth_of[join->row_of[number]] = (uint16_t)(join->depth_of[base_row] + 1);
	len = ph__entry_header_write(head, PH_OBJ_OFS_DELTA, header->size);
	len += ph__entry_distance_write(head + len, join->stats.bytes - join->offset_of[base_row]);
	return open_stored(join, number, head, len, entry->offset + header->header_bytes,
	                   entry->end);
}

enum ph_status ph__join_open(struct ph_pack_join *join, uint32_t *budget)
{
	uint32_t number = join->stack[join->depth - 1], pack = ph__join_pack_of(join, number);
	struct ph_entry_header header;
	struct ph_entry entry;
	const uint8_t *bytes;
	size_t need, len;
	enum ph_status status = ph__join_entry(join, number, &entry);

	ph_budget_spend(budget, 1);
	if (status != PH_OK)
		return status;
	/* A base that went while it waited below: two deltas of the stack have the same. */
	if (join->offset_of[join->row_of[number]] != PH__JOIN_UNWRITTEN) {
		entry_done(join);
		return PH_OK;
	}
	need = entry.end - entry.offset < HEAD_READ_BYTES ? (size_t)(entry.end - entry.offset)
	                                                  : HEAD_READ_BYTES;
	status = window_fill(join, pack, entry.offset, need, &bytes, &len);
	if (status == PH_OK)
		status = ph__entry_header_parse(&header, join->options.source->algo, entry.offset,
		                                bytes, need);
	if (status != PH_OK)
		return status;
	if (header.type > PH_OBJ_TAG)
		return open_delta(join, number, &entry, &header, budget);
	return open_stored(join, number, bytes, header.header_bytes,
	                   entry.offset + header.header_bytes, entry.end);
}

enum ph_status ph__join_copy(struct ph_pack_join *join, uint32_t *budget)
{
	uint64_t left = join->copy_end - join->copy_at;
	size_t room = PH__JOIN_WINDOW_BYTES - join->out_len, len;
	const uint8_t *bytes;
	enum ph_status status = PH_OK;

	if (left == 0) {
		entry_done(join);
		return PH_OK;
	}
	if (room == 0)
		return flush(join);
	status = window_fill(join, join->copy_pack, join->copy_at, 0, &bytes, &len);
	if (status != PH_OK)
		return status;
	len = len < room ? len : room;
	len = len < left ? len : (size_t)left;
	memcpy(join->out + join->out_len, bytes, len);
	join->out_len += len;
	join->stats.bytes += len;
	join->copy_at += len;
	/* Read, hashed and written. */
	ph_budget_spend_bytes(budget, 2 * (uint64_t)len);
	if (join->copy_at == join->copy_end)
		entry_done(join);
	return PH_OK;
}

enum ph_status ph__join_deflate(struct ph_pack_join *join, uint32_t *budget)
{
	size_t used = 0;
	enum ph_status status;

	if (join->out_len == PH__JOIN_WINDOW_BYTES) {
		status = flush(join);
		if (status != PH_OK)
			return status;
	}
	status = ph__again_step(&join->again, join->deflate, join->window, PH__JOIN_WINDOW_BYTES,
	                        join->out + join->out_len, PH__JOIN_WINDOW_BYTES - join->out_len,
	                        &used, budget);
	ph_budget_spend_bytes(budget, used);
	join->out_len += used;
	join->stats.bytes += used;
	if (status != PH_END)
		return status;
	entry_done(join);
	return PH_OK;
}
