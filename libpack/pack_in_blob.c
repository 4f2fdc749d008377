/* SPDX-License-Identifier: MIT */
/*
 * The content of an object while deltas are resolved: in memory, or, when it is large, as pieces of
 * the scratch sink. A version of a large file is then a list of places in what its base already
 * wrote there, plus the bytes that its delta inserts, so a chain of versions costs the scratch
 * little more than the first of them.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* Memory of this size and below is kept for the next object instead of freed. */
#define SPARE_BYTES_MAX ((size_t)1 << 20)
#define EXTENTS_MIN 64u

bool ph__in_blob_present(const struct ph__in_blob *blob)
{
	return blob->mem || blob->extents_count > 0;
}

uint64_t ph__in_blob_held(const struct ph__in_blob *blob)
{
	return blob->cap + (uint64_t)blob->extents_cap * sizeof(*blob->extents) +
	       ph__tree_marks_held(&blob->marks);
}

/* A spare piece is taken unless most of it would lie idle. */
static bool spare_fits(const struct ph__in_lane *lane, size_t size)
{
	return lane->spare && lane->spare_cap >= size && lane->spare_cap / 4 <= size + 1024;
}

enum ph_status ph__in_blob_alloc(struct ph__in_lane *lane, struct ph__in_blob *blob, uint64_t size)
{
	size_t cap = size > 0 ? (size_t)size : 1;

	assert(!ph__in_blob_present(blob));
	if (size > SIZE_MAX)
		return PH_ERR_NOMEM;
	if (spare_fits(lane, cap)) {
		blob->mem = lane->spare;
		cap = lane->spare_cap;
		lane->spare = NULL;
		lane->spare_cap = 0;
	} else {
		blob->mem = ph_mem_alloc(lane->in->options.alloc, cap);
	}
	if (!blob->mem)
		return PH_ERR_NOMEM;
	blob->cap = cap;
	blob->size = size;
	return PH_OK;
}

void ph__in_blob_release(struct ph__in_lane *lane, struct ph__in_blob *blob)
{
	if (ph__in_batch_keep(lane, blob)) {
		/* It goes when it has been hashed. */
	} else if (blob->mem && blob->cap <= SPARE_BYTES_MAX && blob->cap > lane->spare_cap) {
		ph_mem_free(lane->in->options.alloc, lane->spare);
		lane->spare = blob->mem;
		lane->spare_cap = blob->cap;
	} else {
		ph_mem_free(lane->in->options.alloc, blob->mem);
	}
	ph__tree_marks_release(&blob->marks, lane->in->options.alloc);
	ph_mem_free(lane->in->options.alloc, blob->extents);
	memset(blob, 0, sizeof(*blob));
}

/* ---- the scratch sink ---- */

static enum ph_status scratch_flush(struct ph__in_lane *lane)
{
	struct ph_sink *scratch = lane->in->options.scratch;
	size_t len = lane->in->scratch_out_len;

	lane->in->scratch_out_len = 0;
	return len > 0 ? scratch->ops->append(scratch, lane->in->scratch_out, len) : PH_OK;
}

/* Where the next byte will be. */
static uint64_t scratch_end(const struct ph__in_lane *lane)
{
	return lane->in->options.scratch->size + lane->in->scratch_out_len;
}

static enum ph_status scratch_append(struct ph__in_lane *lane, const uint8_t *data, size_t len)
{
	enum ph_status status = ph__in_window(lane->in, &lane->in->scratch_out);

	while (status == PH_OK && len > 0) {
		size_t room = PH__IN_WINDOW_BYTES - lane->in->scratch_out_len;
		size_t take = len < room ? len : room;
		memcpy(lane->in->scratch_out + lane->in->scratch_out_len, data, take);
		lane->in->scratch_out_len += take;
		data += take;
		len -= take;
		if (lane->in->scratch_out_len == PH__IN_WINDOW_BYTES)
			status = scratch_flush(lane);
	}
	return status;
}

/* Moves the window on the scratch so that it begins at a byte. want are asked for, more may pay. */
static enum ph_status scratch_fill(struct ph__in_lane *lane, uint64_t at, uint64_t want)
{
	struct ph_sink *scratch = lane->in->options.scratch;
	enum ph_status status = ph__in_window(lane->in, &lane->in->scratch_in);
	uint64_t len = want;

	if (len < PH__IN_READ_BYTES_MIN)
		len = PH__IN_READ_BYTES_MIN;
	if (len > PH__IN_WINDOW_BYTES)
		len = PH__IN_WINDOW_BYTES;
	if (status == PH_OK && at + len > scratch->size)
		status = scratch_flush(lane);
	if (status != PH_OK)
		return status;
	assert(at < scratch->size);
	if (len > scratch->size - at)
		len = scratch->size - at;
	lane->in->scratch_in_at = at;
	lane->in->scratch_in_len = (size_t)len;
	/* However little of it is used: small copies from far apart cost a read each. */
	ph__lane_charge(lane, len);
	status = scratch->ops->read(scratch, at, lane->in->scratch_in, lane->in->scratch_in_len);
	if (status != PH_OK)
		lane->in->scratch_in_len = 0;
	return status;
}

/* ---- reading ---- */

void ph__in_blob_place(const struct ph__in_blob *blob, uint64_t pos, uint64_t *at, uint64_t *len)
{
	uint32_t lo = 0;
	uint32_t hi = blob->extents_count;

	assert(!blob->mem);
	assert(pos < blob->size);
	if (!blob->extents) {
		*at = blob->at + pos;
		*len = blob->size - pos;
		return;
	}
	/* The last piece that begins at pos or before it. */
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (blob->extents[mid].pos <= pos)
			lo = mid;
		else
			hi = mid;
	}
	*at = blob->extents[lo].at + (pos - blob->extents[lo].pos);
	*len = (hi < blob->extents_count ? blob->extents[hi].pos : blob->size) - pos;
}

enum ph_status ph__in_blob_peek(struct ph__in_lane *lane, const struct ph__in_blob *blob,
                                uint64_t pos, size_t max, const uint8_t **out, size_t *len)
{
	uint64_t at;
	uint64_t left;
	size_t skip;

	assert(max > 0);
	assert(pos < blob->size);
	if (blob->mem) {
		left = blob->size - pos;
		*out = blob->mem + pos;
		*len = left < max ? (size_t)left : max;
		return PH_OK;
	}
	ph__in_blob_place(blob, pos, &at, &left);
	if (at < lane->in->scratch_in_at ||
	    at - lane->in->scratch_in_at >= lane->in->scratch_in_len) {
		enum ph_status status = scratch_fill(lane, at, left);
		if (status != PH_OK)
			return status;
	}
	skip = (size_t)(at - lane->in->scratch_in_at);
	if (left > lane->in->scratch_in_len - skip)
		left = lane->in->scratch_in_len - skip;
	*out = lane->in->scratch_in + skip;
	*len = left < max ? (size_t)left : max;
	return PH_OK;
}

/* ---- growing in the scratch ---- */

static enum ph_status grow_extents(struct ph__in_lane *lane, struct ph__in_blob *blob)
{
	uint32_t cap = blob->extents_cap < EXTENTS_MIN ? EXTENTS_MIN : blob->extents_cap * 2;
	struct ph__in_extent *grown;

	/* One more than the most: for the rest that is written out. */
	if (cap > PH__IN_EXTENTS_MAX)
		cap = PH__IN_EXTENTS_MAX + 1;
	if (blob->extents && blob->extents_count < blob->extents_cap)
		return PH_OK;
	grown = ph_mem_resize(lane->in->options.alloc, blob->extents, cap, sizeof(*grown));
	if (!grown)
		return PH_ERR_NOMEM;
	if (!blob->extents) {
		grown[0].pos = 0;
		grown[0].at = blob->at;
	}
	blob->extents = grown;
	blob->extents_cap = cap;
	return PH_OK;
}

/* Whether a place goes on where the last piece ends. */
static bool continues(const struct ph__in_blob *blob, uint64_t at)
{
	const struct ph__in_extent *last;

	if (!blob->extents)
		return blob->at + blob->size == at;
	last = &blob->extents[blob->extents_count - 1];
	return last->at + (blob->size - last->pos) == at;
}

static enum ph_status add_place(struct ph__in_lane *lane, struct ph__in_blob *blob, uint64_t at,
                                uint64_t len)
{
	enum ph_status status = PH_OK;

	if (blob->extents_count == 0) {
		blob->at = at;
		blob->extents_count = 1;
	} else if (!continues(blob, at)) {
		status = grow_extents(lane, blob);
		if (status != PH_OK)
			return status;
		blob->extents[blob->extents_count].pos = blob->size;
		blob->extents[blob->extents_count].at = at;
		blob->extents_count++;
	}
	blob->size += len;
	return status;
}

enum ph_status ph__in_blob_add_bytes(struct ph__in_lane *lane, struct ph__in_blob *blob,
                                     const uint8_t *data, size_t len)
{
	uint64_t at = scratch_end(lane);
	enum ph_status status = scratch_append(lane, data, len);

	return status == PH_OK ? add_place(lane, blob, at, len) : status;
}

/* Copies a piece of the scratch to its end; not more than a window at once. */
static enum ph_status copy_piece(struct ph__in_lane *lane, struct ph__in_blob *blob, uint64_t at,
                                 uint64_t len)
{
	while (len > 0) {
		struct ph__in_blob piece = {.size = len, .extents_count = 1, .at = at};
		const uint8_t *data;
		size_t part;
		enum ph_status status =
		        ph__in_blob_peek(lane, &piece, 0, PH__IN_WINDOW_BYTES, &data, &part);
		if (status == PH_OK)
			status = ph__in_blob_add_bytes(lane, blob, data, part);
		if (status != PH_OK)
			return status;
		at += part;
		len -= part;
	}
	return PH_OK;
}

enum ph_status ph__in_blob_add_piece(struct ph__in_lane *lane, struct ph__in_blob *blob,
                                     uint64_t at, uint64_t len)
{
	/* What is in too many pieces is slow to read: the rest of it is written out. */
	if (blob->extents_count >= PH__IN_EXTENTS_MAX && !continues(blob, at))
		return copy_piece(lane, blob, at, len);
	return add_place(lane, blob, at, len);
}
