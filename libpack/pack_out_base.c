/* SPDX-License-Identifier: MIT */
/*
 * What a stored delta may build on in the pack going out. A base is good when it was written
 * before, when it is still to come in the same pack of the source, or when the client has it. The
 * first and the last cannot make a cycle; the second follows the deltas of one stored pack, which
 * has none. A base that is still to come from another pack could: there, it may be a delta on this
 * very object.
 */
#include "pack_out_int.h"

#include <assert.h>

enum ph_status ph__out_record_add(struct ph_pack_out *out, uint64_t offset)
{
	struct ph__out_pack *pack = &out->packs[out->pack];

	/* One array for all that is still to come; its size is known by now. */
	if (!out->records) {
		size_t left = out->stats.objects - out->stats.written;
		out->records = ph_mem_zalloc(out->options.alloc, left, sizeof(*out->records));
		if (!out->records)
			return PH_ERR_NOMEM;
		out->record_capacity = left;
	}
	/* More are selected than were counted. */
	if (out->record_count == out->record_capacity)
		return PH_ERR_CORRUPT;
	if (pack->record_count == 0)
		pack->record_first = out->record_count;
	out->records[out->record_count].offset = offset;
	out->records[out->record_count].written_at = out->stats.bytes;
	out->record_count++;
	pack->record_count++;
	return PH_OK;
}

/* Whether the entry at offset of a pack was written, and where. */
static bool find_written(const struct ph_pack_out *out, uint32_t pack_number, uint64_t offset,
                         uint64_t *written_at)
{
	const struct ph__out_pack *pack = &out->packs[pack_number];
	const struct ph__out_record *records;
	size_t lo = 0;
	size_t hi = pack->record_count;

	if (pack_number > out->pack)
		return false;
	if (pack->whole) {
		*written_at = pack->start + offset;
		return true;
	}
	if (hi == 0)
		return false;
	records = out->records + pack->record_first;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (records[mid].offset == offset) {
			*written_at = records[mid].written_at;
			return true;
		}
		if (records[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* The same question about any object, by its one location. */
static void choose_by_location(const struct ph_pack_out *out, struct ph_loc loc,
                               const struct ph_entry *entry, struct ph__out_base *choice)
{
	const struct ph_walk *walk = out->options.walk;

	choice->oid = entry->oid;
	if (find_written(out, loc.pack, entry->offset, &choice->written_at))
		choice->kind = out->options.ofs_delta ? PH__OUT_BASE_WRITTEN : PH__OUT_BASE_NAMED;
	else if (loc.pack == out->pack && loc.pos > out->pos && ph__out_selected(out, loc))
		choice->kind = PH__OUT_BASE_NAMED;
	else if (out->options.thin && walk && ph_walk_had(walk, loc))
		choice->kind = PH__OUT_BASE_NAMED;
	else
		choice->kind = PH__OUT_BASE_NONE;
}

static enum ph_status choose_by_id(const struct ph_pack_out *out, const struct ph_oid *oid,
                                   struct ph__out_base *choice)
{
	const struct ph_source *source = out->options.source;
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_ERR_NOT_FOUND)
		return PH_ERR_CORRUPT;
	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK)
		return status;
	choose_by_location(out, loc, &entry, choice);
	return PH_OK;
}

enum ph_status ph__out_base_choose(struct ph_pack_out *out, const struct ph_entry_header *header,
                                   struct ph__out_base *choice)
{
	const struct ph_source *source = out->options.source;
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status;

	if (header->type == PH_OBJ_REF_DELTA)
		return choose_by_id(out, &header->base, choice);
	assert(header->type == PH_OBJ_OFS_DELTA);
	/* The usual case needs no look into the index. */
	if (out->options.ofs_delta &&
	    find_written(out, out->pack, header->base_offset, &choice->written_at)) {
		choice->kind = PH__OUT_BASE_WRITTEN;
		return PH_OK;
	}
	status = source->ops->at_offset(source, out->pack, header->base_offset, &loc);
	if (status == PH_ERR_NOT_FOUND)
		return PH_ERR_CORRUPT;
	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK)
		return status;
	/* In another pack too, it may have gone out from there, or be known to be had there. */
	if (out->pack_count > 1)
		return choose_by_id(out, &entry.oid, choice);
	choose_by_location(out, loc, &entry, choice);
	return PH_OK;
}
