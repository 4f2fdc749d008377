/* SPDX-License-Identifier: MIT */
/*
 * A blob as a stream. What a window holds is all the memory that a large one takes, so a file of a
 * gigabyte goes through a session of a few hundred kilobytes. Deltas cannot be had in pieces.
 */
#include "blob_int.h"

#include <string.h>

void ph__blob_init(struct ph__blob *blob, struct ph_reader *reader, const struct ph_alloc *alloc)
{
	memset(blob, 0, sizeof(*blob));
	blob->reader = reader;
	blob->alloc = alloc;
}

void ph__blob_release(struct ph__blob *blob)
{
	if (!blob->alloc)
		return;
	ph__blob_close(blob);
	ph_inflate_free(blob->inflate);
	ph_mem_free(blob->alloc, blob->window);
	blob->inflate = NULL;
	blob->window = NULL;
}

void ph__blob_close(struct ph__blob *blob)
{
	if (blob->whole)
		ph_object_release(blob->reader, &blob->object);
	blob->open = blob->whole = false;
}

enum ph_status ph__blob_open(struct ph__blob *blob, const struct ph_oid *oid, uint64_t delta_max)
{
	const struct ph_source *source = ph_reader_source(blob->reader);
	struct ph_entry entry;
	enum ph_status status = source->ops->find(source, oid, &blob->loc);

	if (status == PH_OK)
		status = source->ops->entry(source, blob->loc, &entry);
	if (status != PH_OK)
		return status;
	if (entry.type != PH_OBJ_BLOB)
		return PH_ERR_CORRUPT;
	blob->size = entry.size;
	blob->open = true;
	if (entry.size <= PH__BLOB_WHOLE_BYTES || entry.delta) {
		status = ph_reader_read(blob->reader, blob->loc,
		                        delta_max > PH__BLOB_WHOLE_BYTES ? delta_max
		                                                         : PH__BLOB_WHOLE_BYTES,
		                        &blob->object);
		blob->whole = status == PH_OK;
	}
	return status == PH_OK ? ph__blob_rewind(blob) : status;
}

static enum ph_status start_stream(struct ph__blob *blob)
{
	const struct ph_source *source = ph_reader_source(blob->reader);
	struct ph_entry_header header;
	struct ph_entry entry;
	enum ph_status status = source->ops->entry(source, blob->loc, &entry);

	if (status == PH_OK)
		status = ph_entry_header_read(source, blob->loc.pack, entry.offset, &header);
	if (status == PH_OK && (header.type != PH_OBJ_BLOB || header.size != blob->size))
		status = PH_ERR_CORRUPT;
	if (status == PH_OK && !blob->inflate)
		status = ph_inflate_new(&blob->inflate, blob->alloc);
	if (status == PH_OK && !blob->window)
		blob->window = ph_mem_alloc(blob->alloc, PH__BLOB_WINDOW_BYTES);
	if (status != PH_OK)
		return status;
	if (!blob->window)
		return PH_ERR_NOMEM;
	blob->next = entry.offset + header.header_bytes;
	blob->end = entry.end;
	blob->window_at = blob->window_len = 0;
	ph_inflate_start(blob->inflate, blob->size);
	return PH_OK;
}

enum ph_status ph__blob_rewind(struct ph__blob *blob)
{
	blob->at = 0;
	return blob->whole ? PH_OK : start_stream(blob);
}

static enum ph_status fill_window(struct ph__blob *blob)
{
	const struct ph_source *source = ph_reader_source(blob->reader);
	uint64_t left = blob->end - blob->next;
	enum ph_status status;

	if (left == 0)
		return PH_ERR_CORRUPT;
	blob->window_at = 0;
	blob->window_len = left < PH__BLOB_WINDOW_BYTES ? (size_t)left : PH__BLOB_WINDOW_BYTES;
	status = source->ops->read(source, blob->loc.pack, blob->next, blob->window,
	                           blob->window_len);
	blob->next += blob->window_len;
	return status;
}

/* Behind the last byte only the end of the stream may follow: it must be there. */
static enum ph_status stream(struct ph__blob *blob, uint8_t *out, size_t room, size_t *used)
{
	for (*used = 0;;) {
		enum ph_status status = PH_OK;

		if (blob->window_at == blob->window_len)
			status = fill_window(blob);
		if (status == PH_OK)
			status = ph_inflate_step(blob->inflate, blob->window, &blob->window_at,
			                         blob->window_len, out, used, room);
		if (status == PH_END)
			return blob->at + *used == blob->size ? PH_OK : PH_ERR_CORRUPT;
		if (status == PH_ERR_ZLIB)
			return PH_ERR_CORRUPT;
		if (status != PH_OK)
			return status;
		if (*used == room && blob->at + *used < blob->size)
			return PH_OK;
	}
}

enum ph_status ph__blob_read(struct ph__blob *blob, uint8_t *out, size_t room, size_t *used,
                             uint32_t *budget)
{
	uint64_t left = blob->size - blob->at;
	enum ph_status status = PH_OK;

	*used = 0;
	if (left == 0)
		return PH_END;
	if (room > PH__BLOB_WHOLE_BYTES)
		room = PH__BLOB_WHOLE_BYTES;
	if (room > left)
		room = (size_t)left;
	if (room == 0)
		return PH_OK;
	if (blob->whole) {
		memcpy(out, blob->object.data + blob->at, room);
		*used = room;
	} else {
		status = stream(blob, out, room, used);
	}
	blob->at += *used;
	ph_budget_spend_bytes(budget, *used);
	return status;
}

enum ph_status ph__blob_bytes(struct ph__blob *blob, const uint8_t **out)
{
	enum ph_status status = PH_OK;

	if (!blob->whole)
		status = ph_reader_read(blob->reader, blob->loc, blob->size, &blob->object);
	if (status != PH_OK)
		return status;
	blob->whole = true;
	*out = blob->object.data;
	return PH_OK;
}
