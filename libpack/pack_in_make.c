/* SPDX-License-Identifier: MIT */
/*
 * Makes one object from its stored entry: inflates it, or applies its delta to a base. Small ones
 * take the direct way, all at once between two buffers. The others go in bounded steps: the delta's
 * stream is inflated through a window and its instructions are followed as they appear, so neither
 * the delta, nor the base, nor the result need be in memory.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* The longest instruction of a delta: an insert of 127 bytes. */
#define DELTA_OP_BYTES_MAX 128u

/* ---- stored bytes ---- */

static enum ph_status stored_read(struct ph__in_lane *lane, uint32_t pack, uint64_t at, uint8_t *to,
                                  size_t len)
{
	const struct ph_source *base = lane->in->options.base;
	struct ph_sink *run = lane->in->options.run;

	if (pack == PH__IN_OWN)
		return run->ops->read(run, at, to, len);
	return base->ops->read(base, pack, at, to, len);
}

enum ph_status ph__in_input(struct ph__in_lane *lane, uint32_t pack, uint64_t at, uint64_t end,
                            const uint8_t **out, size_t *len)
{
	enum ph_status status = ph__in_window(lane->in, &lane->input);
	uint64_t want = end - at;
	size_t skip;

	assert(at < end);
	if (status != PH_OK)
		return status;
	if (pack != lane->input_pack || at < lane->input_at ||
	    at - lane->input_at >= lane->input_len) {
		/* What follows in the run is likely to be wanted next. */
		if (pack == PH__IN_OWN && want < PH__IN_READ_BYTES_MIN)
			want = PH__IN_READ_BYTES_MIN;
		if (pack == PH__IN_OWN && want > lane->in->options.run->size - at)
			want = lane->in->options.run->size - at;
		if (want > PH__IN_WINDOW_BYTES)
			want = PH__IN_WINDOW_BYTES;
		lane->input_len = 0;
		status = stored_read(lane, pack, at, lane->input, (size_t)want);
		if (status != PH_OK)
			return status;
		lane->input_pack = pack;
		lane->input_at = at;
		lane->input_len = (size_t)want;
	}
	skip = (size_t)(at - lane->input_at);
	want = lane->input_len - skip;
	*out = lane->input + skip;
	*len = want < end - at ? (size_t)want : (size_t)(end - at);
	return PH_OK;
}

enum ph_status ph__in_input_whole(struct ph__in_lane *lane, uint32_t pack, uint64_t at,
                                  uint64_t end, const uint8_t **out)
{
	enum ph_status status;
	size_t len;

	assert(end - at <= PH__IN_WINDOW_BYTES);
	status = ph__in_input(lane, pack, at, end, out, &len);
	if (status != PH_OK || len == end - at)
		return status;
	/* The window ends in the middle: another one begins here. */
	lane->input_len = 0;
	status = ph__in_input(lane, pack, at, end, out, &len);
	assert(status != PH_OK || len == end - at);
	return status;
}

enum ph_status ph__in_header_read(struct ph__in_lane *lane, const struct ph__in_stored *stored,
                                  struct ph__in_header *out)
{
	uint8_t head[PH__IN_ENTRY_HEADER_BYTES_MAX];
	uint64_t at = stored->offset;
	size_t have = 0;

	/* Once is enough, unless the window ends inside the header. */
	while (at < stored->end && have < sizeof(head)) {
		const uint8_t *data;
		size_t len;
		enum ph_status status =
		        ph__in_input(lane, stored->pack, at, stored->end, &data, &len);
		if (status != PH_OK)
			return status;
		if (len > sizeof(head) - have)
			len = sizeof(head) - have;
		memcpy(head + have, data, len);
		have += len;
		at += len;
		status = ph__in_header_parse(out, lane->in->options.algo, head, have);
		if (status == PH_OK)
			return PH_OK;
		if (status != PH_AGAIN)
			return PH_ERR_CORRUPT;
	}
	return PH_ERR_CORRUPT;
}

/* ---- beginning ---- */

/* Where the content goes: memory, when it fits or must be parsed whole. */
static enum ph_status choose_place(struct ph__in_lane *lane, struct ph__in_make *make)
{
	uint64_t max = lane->memory_max;

	if (make->type != PH_OBJ_BLOB) {
		max = lane->in->options.limits->metadata_bytes_max;
		if (make->size > max)
			return ph__lane_fail(lane, PH_ERR_LIMIT, "object too large", NULL);
	}
	if (make->size <= max)
		return ph__in_blob_alloc(lane, &make->blob, make->size);
	return ph__in_window(lane->in, &lane->window);
}

/* All that is made counts, also what is made again. */
static enum ph_status count_work(struct ph__in_lane *lane, uint64_t bytes)
{
	uint64_t max = ph__in_inflate_max(lane->in);

	lane->work += bytes;
	if ((lane->work_known + lane->work) / PH__IN_WORK_FACTOR > max)
		return ph__lane_fail(lane, PH_ERR_LIMIT, "deltas make too much work", NULL);
	return PH_OK;
}

enum ph_status ph__in_make_may(struct ph__in_lane *lane, uint64_t size)
{
	return size > PH__IN_LARGE_BYTES || size > lane->memory_max ? ph__in_large_take(lane)
	                                                            : PH_OK;
}

enum ph_status ph__in_make_start(struct ph__in_lane *lane, const struct ph__in_stored *stored,
                                 const struct ph__in_blob *base, bool hashing, bool keep)
{
	struct ph__in_make *make = &lane->make;
	struct ph__in_header header;
	enum ph_status status = ph__in_header_read(lane, stored, &header);

	assert(!make->active);
	assert(!ph__in_blob_present(&make->blob));
	if (status != PH_OK)
		return status;
	if (stored->delta != (header.type == PH_OBJ_OFS_DELTA || header.type == PH_OBJ_REF_DELTA))
		return PH_ERR_CORRUPT;
	if (!stored->delta && header.size != stored->size)
		return PH_ERR_CORRUPT;
	make->active = true;
	make->apply = stored->delta;
	make->hashing = hashing;
	make->keep = keep;
	make->type = stored->type;
	make->pack = stored->pack;
	make->at = stored->offset + header.bytes;
	make->end = stored->end;
	make->size = stored->size;
	make->done = 0;
	make->hashed = 0;
	make->base = base;
	make->delta_size = header.size;
	make->begun = false;
	make->ended = false;
	make->later = false;
	make->named = false;
	make->direct = false;
	make->pos = 0;
	make->len = 0;
	make->op.size = 0;
	make->op_done = 0;
	status = count_work(lane, header.size + (stored->delta ? stored->size : 0));
	if (status == PH_OK)
		status = choose_place(lane, make);
	ph_inflate_start(lane->inflate, header.size);
	return status;
}

/* ---- ending ---- */

/* Hashes what came to memory, a step at a time. */
static enum ph_status hash_memory(struct ph__in_lane *lane, struct ph__in_make *make)
{
	uint64_t left = make->done - make->hashed;
	size_t step = left < PH__IN_STEP_BYTES ? (size_t)left : PH__IN_STEP_BYTES;

	if (!make->hashing || !make->blob.mem)
		return PH_OK;
	ph_hash_update(&make->hash, make->blob.mem + make->hashed, step);
	ph__lane_charge(lane, step);
	make->hashed += step;
	return make->hashed < make->done ? PH_AGAIN : PH_OK;
}

static enum ph_status make_end(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	enum ph_status status = hash_memory(lane, make);

	if (status != PH_OK)
		return status;
	make->active = false;
	if (!make->hashing)
		return PH_OK;
	ph_hash_final(&make->hash, &make->oid);
	make->named = true;
	return ph_hash_attacked(&make->hash) ? ph__in_attacked(lane, &make->oid) : PH_OK;
}

/* Bytes of the result that did not go to memory. */
static enum ph_status emit_bytes(struct ph__in_lane *lane, const uint8_t *data, size_t len)
{
	struct ph__in_make *make = &lane->make;

	if (make->hashing)
		ph_hash_update(&make->hash, data, len);
	return make->keep ? ph__in_blob_add_bytes(lane, &make->blob, data, len) : PH_OK;
}

/* ---- inflating ---- */

/* One call of inflate with what is left of the stream. PH_OK, PH_END, errors. */
static enum ph_status inflate_some(struct ph__in_lane *lane, uint8_t *out, size_t *out_pos,
                                   size_t out_len)
{
	struct ph__in_make *make = &lane->make;
	const uint8_t *data;
	size_t before = *out_pos;
	size_t len;
	size_t pos = 0;
	enum ph_status status;

	/* It was whole when it was stored. */
	if (make->at >= make->end)
		return PH_ERR_CORRUPT;
	status = ph__in_input(lane, make->pack, make->at, make->end, &data, &len);
	if (status != PH_OK)
		return status;
	status = ph_inflate_step(lane->inflate, data, &pos, len, out, out_pos, out_len);
	make->at += pos;
	ph__lane_charge(lane, *out_pos - before);
	if (status == PH_OK && pos == 0 && *out_pos == before)
		return PH_ERR_CORRUPT;
	return status == PH_ERR_ZLIB ? PH_ERR_CORRUPT : status;
}

static enum ph_status reserve_delta(struct ph__in_lane *lane, size_t size)
{
	uint8_t *grown;

	if (lane->delta_cap >= size)
		return PH_OK;
	if (size < PH__IN_WINDOW_BYTES)
		size = PH__IN_WINDOW_BYTES;
	/* Its content is not worth keeping. */
	grown = ph_mem_alloc(lane->in->options.alloc, size);
	if (!grown)
		return PH_ERR_NOMEM;
	ph_mem_free(lane->in->options.alloc, lane->delta);
	lane->delta = grown;
	lane->delta_cap = size;
	return PH_OK;
}

/*
 * Where the stream of an object goes that is longer than the window: a whole object leaves the
 * delta's place free, and a delta that of its result. NULL: it does not fit.
 */
static enum ph_status stream_room(struct ph__in_lane *lane, uint64_t len, uint8_t **out)
{
	struct ph__in_make *make = &lane->make;
	enum ph_status status = PH_OK;

	*out = NULL;
	if (make->apply) {
		if (make->blob.mem && len <= make->size)
			*out = make->blob.mem;
	} else if (len <= PH__IN_DIRECT_BYTES_MAX) {
		status = reserve_delta(lane, (size_t)len);
		*out = lane->delta;
	}
	return status;
}

/* All that is left of the stream at once. NULL: it is too long. */
static enum ph_status stream_whole(struct ph__in_lane *lane, const uint8_t **out)
{
	struct ph__in_make *make = &lane->make;
	uint64_t len = make->end - make->at;
	enum ph_status status;
	uint8_t *room;

	if (len <= PH__IN_WINDOW_BYTES)
		return ph__in_input_whole(lane, make->pack, make->at, make->end, out);
	status = stream_room(lane, len, &room);
	*out = room;
	if (status != PH_OK || !room)
		return status;
	return stored_read(lane, make->pack, make->at, room, (size_t)len);
}

/*
 * Inflates what is left of the stream in one go, if it can be. False: it is to be done in steps,
 * which also tell what is wrong with it.
 */
static enum ph_status unpack(struct ph__in_lane *lane, uint8_t *out, size_t size, bool *done)
{
	struct ph__in_make *make = &lane->make;
	const struct ph_unpack *unpack = lane->in->options.unpack;
	const uint8_t *data;
	enum ph_status status;
	size_t len;
	size_t used;

	*done = false;
	if (!lane->unpack || size > PH__IN_DIRECT_BYTES_MAX || make->at >= make->end)
		return PH_OK;
	len = (size_t)(make->end - make->at);
	status = stream_whole(lane, &data);
	if (status != PH_OK || !data ||
	    unpack->run(lane->unpack, data, len, &used, out, size) != PH_OK)
		return status;
	make->at += used;
	ph__lane_charge(lane, size);
	*done = true;
	return PH_OK;
}

/* A step of inflating a whole object. */
static enum ph_status inflate_step(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	size_t out_len = 0;
	enum ph_status status;

	if (make->ended)
		return make_end(lane);
	if (make->blob.mem && make->done == 0) {
		bool done;

		status = unpack(lane, make->blob.mem, (size_t)make->size, &done);
		if (status != PH_OK)
			return status;
		make->ended = done;
		make->done = done ? make->size : 0;
		if (done)
			return make_end(lane);
	}
	if (make->blob.mem) {
		uint64_t stop = make->done + PH__IN_STEP_BYTES;
		size_t at = (size_t)make->done;
		if (stop > make->size)
			stop = make->size;
		status = inflate_some(lane, make->blob.mem, &at, (size_t)stop);
		make->done = at;
	} else {
		status = inflate_some(lane, lane->window, &out_len, PH__IN_WINDOW_BYTES);
		make->done += out_len;
		if (status >= 0 && out_len > 0) {
			enum ph_status emitted = emit_bytes(lane, lane->window, out_len);
			if (emitted != PH_OK)
				return emitted;
		}
	}
	if (status == PH_END) {
		make->ended = true;
		return make_end(lane);
	}
	return status == PH_OK ? PH_AGAIN : status;
}

/* ---- applying, the direct way ---- */

static enum ph_status fail_delta(struct ph__in_lane *lane)
{
	return ph__lane_fail(lane, PH_ERR_DELTA, "bad delta", NULL);
}

static bool is_direct(const struct ph__in_make *make)
{
	return make->base->mem && make->blob.mem && make->size <= PH__IN_DIRECT_BYTES_MAX &&
	       make->delta_size <= PH__IN_DIRECT_BYTES_MAX;
}

enum ph_status ph__in_name(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	struct ph_hash_item item = {
	        .type = make->type, .data = make->blob.mem, .size = (size_t)make->size};

	ph_hash_items(lane->in->options.algo, &item, 1);
	ph__lane_charge(lane, make->size);
	make->oid = item.oid;
	make->named = true;
	return item.attacked ? ph__in_attacked(lane, &make->oid) : PH_OK;
}

static enum ph_status apply_direct(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	const struct ph__in_blob *base = make->base;
	enum ph_status status = reserve_delta(lane, (size_t)make->delta_size);
	bool done = false;

	if (status == PH_OK && make->len == 0)
		status = unpack(lane, lane->delta, (size_t)make->delta_size, &done);
	if (done) {
		make->len = (size_t)make->delta_size;
		status = PH_END;
	}
	while (status == PH_OK)
		status = inflate_some(lane, lane->delta, &make->len, (size_t)make->delta_size);
	if (status != PH_END)
		return status;
	status = ph_delta_apply(base->mem, (size_t)base->size, lane->delta, make->len,
	                        make->blob.mem, (size_t)make->size);
	if (status != PH_OK)
		return fail_delta(lane);
	ph__lane_charge(lane, make->size);
	make->direct = true;
	make->active = false;
	return make->hashing && !make->later ? ph__in_name(lane) : PH_OK;
}

/* ---- applying in steps ---- */

/* Has enough of the delta in the window for an instruction, or its rest. */
static enum ph_status refill_delta(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	enum ph_status status = reserve_delta(lane, PH__IN_WINDOW_BYTES);

	if (status != PH_OK || make->ended || make->len - make->pos >= DELTA_OP_BYTES_MAX)
		return status;
	memmove(lane->delta, lane->delta + make->pos, make->len - make->pos);
	make->len -= make->pos;
	make->pos = 0;
	while (make->len < PH__IN_WINDOW_BYTES) {
		status = inflate_some(lane, lane->delta, &make->len, PH__IN_WINDOW_BYTES);
		if (status == PH_END) {
			make->ended = true;
			return PH_OK;
		}
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}

static enum ph_status begin_delta(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	uint64_t base_size;
	uint64_t result_size;
	size_t header_len;
	enum ph_status status = refill_delta(lane);

	if (status != PH_OK)
		return status;
	if (ph_delta_sizes(lane->delta, make->len, &base_size, &result_size, &header_len) !=
	            PH_OK ||
	    base_size != make->base->size || result_size != make->size)
		return fail_delta(lane);
	make->pos = header_len;
	return PH_OK;
}

/* The next instruction. PH_OK, PH_END, errors. */
static enum ph_status next_op(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	enum ph_status status = refill_delta(lane);

	if (status != PH_OK)
		return status;
	status = ph_delta_next(lane->delta, make->len, &make->pos, &make->op);
	/* The last one stays done: this is asked again while the hash is behind. */
	if (status == PH_END)
		return make->done == make->size ? PH_END : fail_delta(lane);
	make->op_done = 0;
	if (status != PH_OK || make->op.size > make->size - make->done)
		return fail_delta(lane);
	if (make->op.copy && (make->op.offset > make->base->size ||
	                      make->op.size > make->base->size - make->op.offset))
		return fail_delta(lane);
	return PH_OK;
}

/* A piece of a base in the scratch into a result in the scratch: only its place is noted. */
static enum ph_status copy_place(struct ph__in_lane *lane, uint64_t offset, size_t len)
{
	struct ph__in_make *make = &lane->make;
	uint64_t at;
	uint64_t left;

	ph__in_blob_place(make->base, offset, &at, &left);
	assert(len <= left);
	return ph__in_blob_add_piece(lane, &make->blob, at, len);
}

/* Some bytes of the base to the result; *len says how many. */
static enum ph_status copy_some(struct ph__in_lane *lane, size_t *len)
{
	struct ph__in_make *make = &lane->make;
	uint64_t offset = make->op.offset + make->op_done;
	size_t left = make->op.size - make->op_done;
	size_t max = left < PH__IN_WINDOW_BYTES ? left : PH__IN_WINDOW_BYTES;
	bool place = !make->blob.mem && make->keep && !make->base->mem;
	const uint8_t *data;
	enum ph_status status = ph__in_blob_peek(lane, make->base, offset, max, &data, len);

	if (status != PH_OK)
		return status;
	if (make->blob.mem) {
		memcpy(make->blob.mem + make->done, data, *len);
		return PH_OK;
	}
	if (!place)
		return emit_bytes(lane, data, *len);
	if (make->hashing)
		ph_hash_update(&make->hash, data, *len);
	return copy_place(lane, offset, *len);
}

/* Follows a part of the instruction at work. */
static enum ph_status follow_op(struct ph__in_lane *lane, size_t *len)
{
	struct ph__in_make *make = &lane->make;

	if (make->op.copy)
		return copy_some(lane, len);
	*len = make->op.size;
	if (!make->blob.mem)
		return emit_bytes(lane, make->op.insert, *len);
	memcpy(make->blob.mem + make->done, make->op.insert, *len);
	return PH_OK;
}

static enum ph_status apply_step(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;
	uint64_t stop = make->done + PH__IN_STEP_BYTES;
	enum ph_status status = PH_OK;

	/* Copies may cost far more than they make: at least one is done, then the budget counts. */
	do {
		size_t len;
		if (make->op_done == make->op.size) {
			status = next_op(lane);
			if (status != PH_OK)
				break;
		}
		status = follow_op(lane, &len);
		if (status != PH_OK)
			break;
		make->op_done += (uint32_t)len;
		make->done += len;
		ph__lane_charge(lane, len);
	} while (*lane->budget > 0 && make->done < stop);
	if (status < 0)
		return status;
	if (hash_memory(lane, make) != PH_OK)
		return PH_AGAIN;
	return status == PH_END ? make_end(lane) : PH_AGAIN;
}

/* ---- both ---- */

enum ph_status ph__in_make_step(struct ph__in_lane *lane)
{
	struct ph__in_make *make = &lane->make;

	assert(make->active);
	if (make->apply && !make->begun && is_direct(make))
		return apply_direct(lane);
	if (!make->begun) {
		make->begun = true;
		if (make->hashing)
			ph_hash_init_object(&make->hash, lane->in->options.algo, make->type,
			                    make->size);
		if (make->apply) {
			enum ph_status status = begin_delta(lane);
			if (status != PH_OK)
				return status;
		}
	}
	return make->apply ? apply_step(lane) : inflate_step(lane);
}
