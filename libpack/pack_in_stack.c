/* SPDX-License-Identifier: MIT */
/*
 * The stack: a path of objects from a whole one to the one at work, each a delta of the one below.
 * Content is dropped from the bottom when the cache overflows, and made again from the nearest
 * object that still has it when it is wanted. A stored object is loaded in the same way, by pushing
 * all that it is a delta of.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

#define STACK_MIN 64u
/* More links than any stored chain has, under whatever limits it was stored. */
#define CHAIN_MAX 16384u

/* ---- stored entries ---- */

void ph__in_stored_own(const struct ph_pack_in *in, uint32_t entry, struct ph__in_stored *out)
{
	const struct ph_index_record *record = ph__in_record(in, entry);

	assert(entry < in->count);
	out->pack = PH__IN_OWN;
	out->offset = record->offset;
	if (entry + 1 == in->stats.received)
		out->end = in->received_end;
	else
		out->end = entry + 1 < in->count ? ph__in_record(in, entry + 1)->offset
		                                 : in->options.run->size;
	out->size = record->size;
	out->type = (enum ph_object_type)record->type;
	out->delta = record->delta;
}

enum ph_status ph__in_stored_base(const struct ph_pack_in *in, struct ph_loc loc,
                                  struct ph__in_stored *out)
{
	const struct ph_source *base = in->options.base;
	struct ph_entry entry;
	enum ph_status status = base->ops->entry(base, loc, &entry);

	if (status != PH_OK)
		return status;
	out->pack = loc.pack;
	out->offset = entry.offset;
	out->end = entry.end;
	out->size = entry.size;
	out->type = entry.type;
	out->delta = entry.delta;
	return PH_OK;
}

static enum ph_status stored_of(const struct ph_pack_in *in, uint32_t pack, uint32_t pos,
                                struct ph__in_stored *out)
{
	struct ph_loc loc = {.pack = pack, .pos = pos};

	if (pack != PH__IN_OWN)
		return ph__in_stored_base(in, loc, out);
	ph__in_stored_own(in, pos, out);
	return PH_OK;
}

/* ---- frames ---- */

struct ph__in_frame *ph__in_stack_top(struct ph__in_lane *lane)
{
	assert(lane->depth > 0);
	return &lane->stack[lane->depth - 1];
}

enum ph_status ph__in_stack_push(struct ph__in_lane *lane, uint32_t pack, uint32_t pos)
{
	struct ph__in_frame *frame;

	if (lane->depth == lane->stack_cap) {
		uint32_t cap = lane->stack_cap < STACK_MIN ? STACK_MIN : lane->stack_cap * 2;
		frame = ph_mem_resize(lane->in->options.alloc, lane->stack, cap, sizeof(*frame));
		if (!frame)
			return PH_ERR_NOMEM;
		lane->stack = frame;
		lane->stack_cap = cap;
	}
	frame = &lane->stack[lane->depth++];
	memset(frame, 0, sizeof(*frame));
	frame->entry = PH__IN_NONE;
	frame->pack = pack;
	frame->pos = pos;
	frame->cursor = PH__IN_NONE;
	return PH_OK;
}

static void drop(struct ph__in_lane *lane, uint32_t frame)
{
	struct ph__in_blob *blob = &lane->stack[frame].blob;

	lane->held -= ph__in_blob_held(blob);
	ph__in_blob_release(lane, blob);
}

void ph__in_stack_shed(struct ph__in_lane *lane, uint32_t frame)
{
	if (ph__in_blob_held(&lane->stack[frame].blob) > 0)
		drop(lane, frame);
}

void ph__in_stack_pop(struct ph__in_lane *lane)
{
	assert(lane->depth > 0);
	drop(lane, lane->depth - 1);
	lane->depth--;
	if (lane->lowest > lane->depth)
		lane->lowest = lane->depth;
}

void ph__in_stack_clear(struct ph__in_lane *lane)
{
	while (lane->depth > 0)
		ph__in_stack_pop(lane);
}

/*
 * Drops from the bottom until the cache fits; never the frame that was given last, which is needed
 * next. A single piece of the scratch costs nothing and stays.
 */
static void keep_within(struct ph__in_lane *lane, uint32_t last)
{
	while (lane->held > lane->cache_max && lane->lowest < last) {
		ph__in_stack_shed(lane, lane->lowest);
		lane->lowest++;
	}
}

void ph__in_stack_give(struct ph__in_lane *lane, uint32_t frame, struct ph__in_blob *blob)
{
	assert(frame < lane->depth);
	assert(!ph__in_blob_present(&lane->stack[frame].blob));
	lane->stack[frame].blob = *blob;
	memset(blob, 0, sizeof(*blob));
	lane->held += ph__in_blob_held(&lane->stack[frame].blob);
	if (lane->lowest > frame)
		lane->lowest = frame;
	keep_within(lane, frame);
}

void ph__in_stack_take(struct ph__in_lane *lane, struct ph__in_blob *out)
{
	struct ph__in_blob *blob = &ph__in_stack_top(lane)->blob;

	assert(!ph__in_blob_present(out));
	lane->held -= ph__in_blob_held(blob);
	*out = *blob;
	memset(blob, 0, sizeof(*blob));
}

/* ---- chains ---- */

/* What a stored delta is a delta of. */
static enum ph_status base_of(struct ph__in_lane *lane, const struct ph__in_stored *stored,
                              struct ph_loc *out)
{
	const struct ph_source *base = lane->in->options.base;
	struct ph__in_header header;
	enum ph_status status = ph__in_header_read(lane, stored, &header);

	if (status != PH_OK)
		return status;
	out->pack = stored->pack;
	if (header.type == PH_OBJ_OFS_DELTA) {
		uint64_t offset = stored->offset - header.distance;
		if (header.distance == 0 || header.distance > stored->offset)
			return PH_ERR_CORRUPT;
		if (stored->pack != PH__IN_OWN)
			return base->ops->at_offset(base, stored->pack, offset, out);
		out->pos = ph__in_at_offset(lane->in, lane->in->count, offset);
	} else if (header.type == PH_OBJ_REF_DELTA) {
		if (stored->pack != PH__IN_OWN)
			return base->ops->find(base, &header.base, out);
		out->pos = ph__in_find(lane->in, &header.base);
	} else {
		return PH_ERR_CORRUPT;
	}
	return out->pos == PH__IN_NONE ? PH_ERR_CORRUPT : PH_OK;
}

static void reverse(struct ph__in_frame *frames, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count / 2; i++) {
		struct ph__in_frame swap = frames[i];
		frames[i] = frames[count - 1 - i];
		frames[count - 1 - i] = swap;
	}
}

enum ph_status ph__in_chain_push(struct ph__in_lane *lane, uint32_t pack, uint32_t pos)
{
	struct ph_loc loc = {.pack = pack, .pos = pos};
	struct ph__in_stored stored;
	enum ph_status status;

	assert(lane->depth == 0);
	for (;;) {
		if (lane->depth > CHAIN_MAX)
			return ph__lane_fail(lane, PH_ERR_CORRUPT, "endless chain of deltas", NULL);
		status = ph__in_stack_push(lane, loc.pack, loc.pos);
		if (status == PH_OK)
			status = stored_of(lane->in, loc.pack, loc.pos, &stored);
		if (status != PH_OK)
			return status;
		ph__lane_charge(lane, PH__IN_ENTRY_CHARGE);
		if (!stored.delta)
			break;
		status = base_of(lane, &stored, &loc);
		if (status != PH_OK)
			return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	}
	reverse(lane->stack, lane->depth);
	lane->lowest = lane->depth;
	return PH_OK;
}

/* The frame to be made next: above the highest one with content, or the first. */
static uint32_t next_to_make(const struct ph__in_lane *lane)
{
	uint32_t at = lane->depth;

	while (at > 0 && !ph__in_blob_present(&lane->stack[at - 1].blob))
		at--;
	return at;
}

/* An object of the base is trusted as a delta base only if it has the id that it goes by. */
static enum ph_status verify(struct ph__in_lane *lane, const struct ph__in_frame *frame)
{
	if (!lane->make.hashing)
		return PH_OK;
	if (!ph_oid_equal(&lane->make.oid, &ph__in_record(lane->in, frame->entry)->oid))
		return ph__lane_fail(lane, PH_ERR_CORRUPT, "stored object is corrupt",
		                     &ph__in_record(lane->in, frame->entry)->oid);
	return PH_OK;
}

enum ph_status ph__in_chain_load(struct ph__in_lane *lane)
{
	uint32_t at = next_to_make(lane);
	struct ph__in_frame *frame = &lane->stack[at];
	enum ph_status status = PH_OK;

	if (at == lane->depth)
		return PH_OK;
	if (!lane->make.active) {
		bool verified = frame->pack != PH__IN_OWN && frame->entry != PH__IN_NONE;
		struct ph__in_stored stored;
		status = stored_of(lane->in, frame->pack, frame->pos, &stored);
		if (status == PH_OK)
			status = ph__in_make_may(lane, stored.size);
		if (status == PH_OK)
			status = ph__in_make_start(lane, &stored, at > 0 ? &frame[-1].blob : NULL,
			                           verified, true);
	}
	if (status == PH_OK)
		status = ph__in_make_step(lane);
	/* What is stored passed these checks once. */
	if (status == PH_ERR_DELTA)
		return ph__lane_fail(lane, PH_ERR_CORRUPT, "stored delta is corrupt", NULL);
	if (status != PH_OK)
		return status;
	status = verify(lane, frame);
	if (status != PH_OK)
		return status;
	ph__in_stack_give(lane, at, &lane->make.blob);
	if (at > 0 && frame[-1].cursor == PH__IN_NONE)
		ph__in_stack_shed(lane, at - 1);
	return at + 1 == lane->depth ? PH_OK : PH_AGAIN;
}
