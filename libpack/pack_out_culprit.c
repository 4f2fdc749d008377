/* SPDX-License-Identifier: MIT */
/*
 * Which object a pack could not be finished for: entries are read again from where it stopped,
 * until one cannot be. Bounded, since it is only for who has to be told.
 */
#include "pack_out_int.h"

/* Read at once, and in all. */
#define PIECE_BYTES 4096u
#define BYTES_MAX ((uint64_t)1 << 20)

/* The entry that has this byte of the run, or the last one. */
static enum ph_status entry_of(const struct ph_source *source, uint32_t pack, uint32_t entries,
                               uint64_t offset, uint32_t *pos)
{
	uint32_t low = 0, high = entries;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		struct ph_entry entry;
		enum ph_status status =
		        source->ops->entry(source, (struct ph_loc){pack, middle}, &entry);
		if (status != PH_OK)
			return status;
		if (entry.offset <= offset)
			low = middle;
		else
			high = middle;
	}
	*pos = low;
	return PH_OK;
}

/* Whether all bytes of an entry can be read. */
static bool readable(const struct ph_source *source, uint32_t pack, const struct ph_entry *entry)
{
	uint8_t piece[PIECE_BYTES];
	for (uint64_t at = entry->offset; at < entry->end; at += PIECE_BYTES) {
		uint64_t left = entry->end - at;
		size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		if (source->ops->read(source, pack, at, piece, len) != PH_OK)
			return false;
	}
	return true;
}

enum ph_status ph_pack_out_culprit(const struct ph_pack_out *out, struct ph_oid *oid)
{
	const struct ph_source *source = out->options.source;
	uint32_t pos = out->pos > 0 ? out->pos - 1 : 0, entries;
	uint64_t bytes, seen = 0;
	enum ph_status status = PH_OK;
	if (out->pack >= source->ops->packs(source) || out->failed == PH_OK)
		return PH_ERR_NOT_FOUND;
	/* What is too large or too much work to be made can be read all the same. */
	if (out->failed == PH_ERR_LIMIT && out->phase != PH__OUT_COUNT) {
		struct ph_entry entry;
		status = source->ops->entry(source, (struct ph_loc){out->pack, out->pos}, &entry);
		if (status == PH_OK)
			*oid = entry.oid;
		return status;
	}
	source->ops->pack_size(source, out->pack, &entries, &bytes);
	if (out->phase == PH__OUT_RUN)
		status = entry_of(source, out->pack, entries, out->copy_at, &pos);
	for (; status == PH_OK && pos < entries && seen < BYTES_MAX; pos++) {
		struct ph_entry entry;
		status = source->ops->entry(source, (struct ph_loc){out->pack, pos}, &entry);
		if (status == PH_OK && !readable(source, out->pack, &entry)) {
			*oid = entry.oid;
			return PH_OK;
		}
		seen += entry.end - entry.offset;
	}
	return PH_ERR_NOT_FOUND;
}
