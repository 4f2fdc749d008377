/* SPDX-License-Identifier: MIT */
/*
 * One entry on its way out: as it is stored, as the stored delta behind a new header, or encoded
 * again as a whole object. Entries that follow each other are read through a window, so that a
 * store sees few and large reads; a lone one is read alone.
 */
#include "pack_out_int.h"

#include <assert.h>

/* Of a lone entry this much is read at once: enough for nearly all. */
#define LONE_READ_BYTES ((size_t)4096)

enum ph_status ph__out_entry_at(struct ph_pack_out *out, const struct ph_entry **entry)
{
	const struct ph_source *source = out->options.source;
	uint32_t left = out->packs[out->pack].entries - out->pos;
	uint32_t count = source->ops->entries ? PH__OUT_AHEAD : 1;
	struct ph_loc loc = {out->pack, out->pos};
	enum ph_status status;

	if (out->ahead_count > 0 && out->ahead_pack == out->pack && out->pos >= out->ahead_pos &&
	    out->pos - out->ahead_pos < out->ahead_count) {
		*entry = &out->ahead[out->pos - out->ahead_pos];
		return PH_OK;
	}
	if (count > left)
		count = left;
	out->ahead_count = 0;
	if (source->ops->entries)
		status = source->ops->entries(source, out->pack, out->pos, count, out->ahead);
	else
		status = source->ops->entry(source, loc, out->ahead);
	if (status != PH_OK)
		return status;
	out->ahead_pack = out->pack;
	out->ahead_pos = out->pos;
	out->ahead_count = count;
	*entry = out->ahead;
	return PH_OK;
}

/* Replaces the window by len bytes of the run from offset on. */
static enum ph_status window_read(struct ph_pack_out *out, uint64_t offset, size_t len)
{
	const struct ph_source *source = out->options.source;
	enum ph_status status = source->ops->read(source, out->pack, offset, out->window, len);

	out->window_pack = out->pack;
	out->window_at = offset;
	out->window_len = status == PH_OK ? len : 0;
	return status;
}

/* What the window still has from offset on goes to its front; behind it comes what follows, up to
 * where a store's piece ends. */
static enum ph_status window_advance(struct ph_pack_out *out, uint64_t offset)
{
	const struct ph_source *source = out->options.source;
	uint64_t from = out->window_at + out->window_len;
	uint64_t stop = offset + PH__OUT_WINDOW_BYTES;
	size_t keep;
	enum ph_status status;

	stop -= stop % PH__OUT_ALIGN_BYTES;
	if (stop > out->packs[out->pack].bytes)
		stop = out->packs[out->pack].bytes;
	if (offset >= from)
		return window_read(out, offset, (size_t)(stop - offset));
	keep = (size_t)(from - offset);
	memmove(out->window, out->window + (offset - out->window_at), keep);
	out->window_at = offset;
	out->window_len = 0;
	status = source->ops->read(source, out->pack, from, out->window + keep,
	                           (size_t)(stop - from));
	if (status == PH_OK)
		out->window_len = (size_t)(stop - offset);
	return status;
}

/* The bytes of the run from offset on: at least need, which is at most the window. */
static enum ph_status window_fill(struct ph_pack_out *out, uint64_t offset, size_t need,
                                  const uint8_t **bytes)
{
	uint64_t end = out->window_at + out->window_len;
	bool near = out->window_len > 0 && out->window_pack == out->pack &&
	            offset >= out->window_at && offset <= end + PH__OUT_NEAR_BYTES;
	enum ph_status status = PH_OK;

	assert(need <= PH__OUT_WINDOW_BYTES - PH__OUT_ALIGN_BYTES);
	assert(need <= out->packs[out->pack].bytes - offset);
	if (!out->window)
		out->window = ph_mem_alloc(out->options.alloc, PH__OUT_WINDOW_BYTES);
	if (!out->window)
		return PH_ERR_NOMEM;
	if (!near)
		status = window_read(out, offset, need);
	else if (offset + need > end)
		status = window_advance(out, offset);
	if (status == PH_OK)
		*bytes = out->window + (offset - out->window_at);
	return status;
}

/* A new header for the entry, and the base it names, in front of its stored stream. */
static void make_delta_head(struct ph_pack_out *out, const struct ph_entry_header *header,
                            const struct ph__out_base *base)
{
	size_t hash_len = ph_hash_bytes(out->options.source->algo);

	if (base->kind == PH__OUT_BASE_WRITTEN) {
		assert(base->written_at < out->stats.bytes);
		out->head_len = ph__entry_header_write(out->head, PH_OBJ_OFS_DELTA, header->size);
		out->head_len += ph__entry_distance_write(out->head + out->head_len,
		                                          out->stats.bytes - base->written_at);
	} else {
		out->head_len = ph__entry_header_write(out->head, PH_OBJ_REF_DELTA, header->size);
		memcpy(out->head + out->head_len, base->oid.bytes, hash_len);
		out->head_len += hash_len;
	}
	assert(out->head_len <= sizeof(out->head));
}

static enum ph_status open_stored(struct ph_pack_out *out, const struct ph_entry *entry,
                                  const struct ph_entry_header *header)
{
	out->copy_at = entry->offset + header->header_bytes;
	out->copy_end = entry->end;
	out->after_head = PH__OUT_COPY;
	out->stats.reused++;
	return PH_OK;
}

/* Whether the object at hand was made in full before: then it is copied from there, header and all.
 */
static enum ph_status open_full(struct ph_pack_out *out)
{
	for (uint32_t i = 0; i < out->options.fulls_count; i++) {
		const struct ph_fulls *fulls = &out->options.fulls[i];
		enum ph_status status;

		if (fulls->pack != out->pack)
			continue;
		status = ph_fulls_find(fulls, out->pos, &out->copy_at, &out->copy_end);
		/* Whatever is wrong with them, the object itself is there. */
		if (status != PH_OK)
			return PH_ERR_NOT_FOUND;
		out->full = fulls->bytes;
		out->head_len = 0;
		out->after_head = PH__OUT_COPY;
		out->stats.reused++;
		return PH_OK;
	}
	return PH_ERR_NOT_FOUND;
}

/* With full entries there is not much left to be made anew. */
static enum ph_status reader_new(struct ph_pack_out *out)
{
	const struct ph_pack_out_options *options = &out->options;
	enum ph_status status =
	        ph_reader_new(&out->reader, options->source, options->alloc, options->limits);

	if (status == PH_OK && options->fulls_count)
		ph_reader_lean(out->reader);
	return status;
}

static enum ph_status open_again(struct ph_pack_out *out, uint32_t *budget)
{
	const struct ph_pack_out_options *options = &out->options;
	struct ph_loc loc = {out->pack, out->pos};
	enum ph_status status = PH_OK;

	if (!out->reader)
		status = reader_new(out);
	if (status == PH_OK && !out->deflate)
		status = ph_deflate_new(&out->deflate, options->alloc, PH__OUT_DEFLATE_LEVEL);
	if (status == PH_OK)
		status = ph__again_open(&out->again, out->reader, loc, options->alloc,
		                        options->limits, options->limits->object_bytes_max,
		                        out->deflate);
	if (status != PH_OK)
		return status;
	ph_budget_spend_bytes(budget, ph__again_read(&out->again));
	/* Its parts go through the window, where no stored bytes are needed meanwhile. */
	out->window_len = 0;
	out->head_len = ph__entry_header_write(out->head, ph__again_type(&out->again),
	                                       ph__again_size(&out->again));
	out->after_head = PH__OUT_DEFLATE;
	return PH_OK;
}

enum ph_status ph__out_entry_open(struct ph_pack_out *out, uint32_t *budget)
{
	const struct ph_source *source = out->options.source;
	struct ph__out_base base = {.kind = PH__OUT_BASE_NONE};
	struct ph_entry_header header;
	const struct ph_entry *entry;
	const uint8_t *bytes;
	size_t need;
	enum ph_status status = ph__out_entry_at(out, &entry);

	if (status != PH_OK)
		return status;
	if (entry->end > out->packs[out->pack].bytes)
		return PH_ERR_CORRUPT;
	need = entry->end - entry->offset < LONE_READ_BYTES ? (size_t)(entry->end - entry->offset)
	                                                    : LONE_READ_BYTES;
	status = window_fill(out, entry->offset, need, &bytes);
	if (status == PH_OK)
		status = ph__entry_header_parse(&header, source->algo, entry->offset, bytes, need);
	if (status == PH_OK && header.type > PH_OBJ_TAG)
		status = ph__out_base_choose(out, &header, &base);
	if (status == PH_OK)
		status = ph__out_note(out, entry->offset, entry->end);
	if (status != PH_OK)
		return status;
	out->head_pos = 0;
	out->phase = PH__OUT_HEAD;
	if (header.type <= PH_OBJ_TAG) {
		memcpy(out->head, bytes, header.header_bytes);
		out->head_len = header.header_bytes;
		return open_stored(out, entry, &header);
	}
	if (base.kind == PH__OUT_BASE_NONE) {
		status = open_full(out);
		return status == PH_ERR_NOT_FOUND ? open_again(out, budget) : status;
	}
	out->stats.deltas++;
	make_delta_head(out, &header, &base);
	return open_stored(out, entry, &header);
}

static void entry_written(struct ph_pack_out *out)
{
	out->stats.written++;
	out->pos++;
	out->phase = PH__OUT_ENTRY;
}

/* Up to *len bytes at copy_at: as many as the window has, if it has any. */
static enum ph_status copy_some(struct ph_pack_out *out, uint8_t *to, size_t *len)
{
	const struct ph_source *source = out->options.source;
	uint64_t in_window = out->copy_at - out->window_at;

	if (*len == 0)
		return PH_OK;
	if (out->full)
		return out->full->read(out->full, out->copy_at, to, *len);
	assert(out->window_pack == out->pack && out->copy_at >= out->window_at);
	if (in_window >= out->window_len)
		return source->ops->read(source, out->pack, out->copy_at, to, *len);
	if (*len > out->window_len - in_window)
		*len = out->window_len - (size_t)in_window;
	memcpy(to, out->window + in_window, *len);
	return PH_OK;
}

enum ph_status ph__out_entry_copy(struct ph_pack_out *out, struct ph__out_buf *buf,
                                  uint32_t *budget)
{
	uint64_t left = out->copy_end - out->copy_at;
	size_t len = buf->len - buf->used;
	enum ph_status status;

	if (len > PH__OUT_STEP_BYTES)
		len = PH__OUT_STEP_BYTES;
	if (len > left)
		len = (size_t)left;
	status = copy_some(out, buf->data + buf->used, &len);
	if (status != PH_OK)
		return status;
	out->copy_at += len;
	ph__out_gave(out, buf, len, budget);
	if (out->copy_at == out->copy_end) {
		out->full = NULL;
		entry_written(out);
	}
	return PH_OK;
}

enum ph_status ph__out_entry_deflate(struct ph_pack_out *out, struct ph__out_buf *buf,
                                     uint32_t *budget)
{
	size_t used = 0;
	enum ph_status status =
	        ph__again_step(&out->again, out->deflate, out->window, PH__OUT_WINDOW_BYTES,
	                       buf->data + buf->used, buf->len - buf->used, &used, budget);

	ph__out_gave(out, buf, used, budget);
	if (status != PH_END)
		return status;
	entry_written(out);
	return PH_OK;
}
