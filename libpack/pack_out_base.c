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

/* Room for one more: the array grows, and then forgets its older half. */
static enum ph_status make_room(struct ph_pack_out *out)
{
	size_t room = out->segment_room ? 2 * out->segment_room : 64;
	struct ph__out_segment *segments;

	if (out->segment_count < out->segment_room)
		return PH_OK;
	if (out->segment_room == PH__OUT_SEGMENTS_MAX) {
		size_t half = out->segment_count / 2;

		out->segment_count -= half;
		memmove(out->segments, out->segments + half,
		        out->segment_count * sizeof(*out->segments));
		return PH_OK;
	}
	segments = ph_mem_resize(out->options.alloc, out->segments, room, sizeof(*segments));
	if (!segments)
		return PH_ERR_NOMEM;
	out->segments = segments;
	out->segment_room = room;
	return PH_OK;
}

enum ph_status ph__out_note(struct ph_pack_out *out, uint64_t offset, uint64_t end)
{
	struct ph__out_segment *last =
	        out->segment_count > 0 ? &out->segments[out->segment_count - 1] : NULL;
	enum ph_status status;

	if (last && last->pack == out->pack && last->end == offset &&
	    out->stats.bytes - last->written_at == offset - last->offset) {
		last->end = end;
		return PH_OK;
	}
	status = make_room(out);
	if (status != PH_OK)
		return status;
	out->segments[out->segment_count++] = (struct ph__out_segment){
	        .offset = offset, .end = end, .written_at = out->stats.bytes, .pack = out->pack};
	return PH_OK;
}

/* Whether the entry at offset of a pack is known to have been written, and where. */
static bool find_written(const struct ph_pack_out *out, uint32_t pack, uint64_t offset,
                         uint64_t *written_at)
{
	size_t lo = 0, hi = out->segment_count;
	const struct ph__out_segment *found;

	/* The last one that begins at the entry or before it. */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct ph__out_segment *at = &out->segments[mid];

		if (at->pack < pack || (at->pack == pack && at->offset <= offset))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return false;
	found = &out->segments[lo - 1];
	if (found->pack != pack || offset >= found->end)
		return false;
	*written_at = found->written_at + (offset - found->offset);
	return true;
}

/* The same question about any object, by its one location. */
static void choose_by_location(const struct ph_pack_out *out, struct ph_loc loc,
                               const struct ph_entry *entry, struct ph__out_base *choice)
{
	const struct ph_walk *walk = out->options.walk;

	choice->oid = entry->oid;
	if (find_written(out, loc.pack, entry->offset, &choice->written_at))
		choice->kind = out->options.ofs_delta ? PH__OUT_BASE_WRITTEN : PH__OUT_BASE_NAMED;
	else if ((loc.pack < out->pack || (loc.pack == out->pack && loc.pos != out->pos)) &&
	         ph__out_selected(out, loc))
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
