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

static enum ph_status input_read(struct ph_pack_in *in, uint32_t pack, uint64_t at, size_t len)
{
	const struct ph_source *base = in->options.base;
	struct ph_sink *run = in->options.run;

	if (pack == PH__IN_OWN)
		return run->ops->read(run, at, in->input, len);
	return base->ops->read(base, pack, at, in->input, len);
}

enum ph_status ph__in_input(struct ph_pack_in *in, uint32_t pack, uint64_t at, uint64_t end,
                            const uint8_t **out, size_t *len)
{
	enum ph_status status = ph__in_window(in, &in->input);
	uint64_t want = end - at;
	size_t skip;

	assert(at < end);
	if (status != PH_OK)
		return status;
	if (pack != in->input_pack || at < in->input_at || at - in->input_at >= in->input_len) {
		/* What follows in the run is likely to be wanted next. */
		if (pack == PH__IN_OWN && want < PH__IN_READ_BYTES_MIN)
			want = PH__IN_READ_BYTES_MIN;
		if (pack == PH__IN_OWN && want > in->options.run->size - at)
			want = in->options.run->size - at;
		if (want > PH__IN_WINDOW_BYTES)
			want = PH__IN_WINDOW_BYTES;
		in->input_len = 0;
		status = input_read(in, pack, at, (size_t)want);
		if (status != PH_OK)
			return status;
		in->input_pack = pack;
		in->input_at = at;
		in->input_len = (size_t)want;
	}
	skip = (size_t)(at - in->input_at);
	want = in->input_len - skip;
	*out = in->input + skip;
	*len = want < end - at ? (size_t)want : (size_t)(end - at);
	return PH_OK;
}

enum ph_status ph__in_header_read(struct ph_pack_in *in, const struct ph__in_stored *stored,
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
		        ph__in_input(in, stored->pack, at, stored->end, &data, &len);
		if (status != PH_OK)
			return status;
		if (len > sizeof(head) - have)
			len = sizeof(head) - have;
		memcpy(head + have, data, len);
		have += len;
		at += len;
		status = ph__in_header_parse(out, in->options.algo, head, have);
		if (status == PH_OK)
			return PH_OK;
		if (status != PH_AGAIN)
			return PH_ERR_CORRUPT;
	}
	return PH_ERR_CORRUPT;
}

/* ---- beginning ---- */

/* Where the content goes: memory, when it fits or must be parsed whole. */
static enum ph_status choose_place(struct ph_pack_in *in, struct ph__in_make *make)
{
	uint64_t max = in->memory_max;

	if (make->type != PH_OBJ_BLOB) {
		max = in->options.limits->metadata_bytes_max;
		if (make->size > max)
			return ph__in_fail(in, PH_ERR_LIMIT, "object too large", NULL);
	}
	return make->size <= max ? ph__in_blob_alloc(in, &make->blob, make->size) : PH_OK;
}

/* All that is made counts, also what is made again. */
static enum ph_status count_work(struct ph_pack_in *in, uint64_t bytes)
{
	uint64_t max = ph__in_inflate_max(in);

	in->work += bytes;
	if (in->work / PH__IN_WORK_FACTOR > max)
		return ph__in_fail(in, PH_ERR_LIMIT, "deltas make too much work", NULL);
	return PH_OK;
}

enum ph_status ph__in_make_start(struct ph_pack_in *in, const struct ph__in_stored *stored,
                                 const struct ph__in_blob *base, bool hashing, bool keep)
{
	struct ph__in_make *make = &in->make;
	struct ph__in_header header;
	enum ph_status status = ph__in_header_read(in, stored, &header);

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
	make->pos = 0;
	make->len = 0;
	make->op.size = 0;
	make->op_done = 0;
	status = count_work(in, header.size + (stored->delta ? stored->size : 0));
	if (status == PH_OK)
		status = choose_place(in, make);
	ph_inflate_start(in->inflate, header.size);
	return status;
}

/* ---- ending ---- */

/* Hashes what came to memory, a step at a time. */
static enum ph_status hash_memory(struct ph_pack_in *in, struct ph__in_make *make)
{
	uint64_t left = make->done - make->hashed;
	size_t step = left < PH__IN_STEP_BYTES ? (size_t)left : PH__IN_STEP_BYTES;

	if (!make->hashing || !make->blob.mem)
		return PH_OK;
	ph_hash_update(&make->hash, make->blob.mem + make->hashed, step);
	ph__in_charge(in, step);
	make->hashed += step;
	return make->hashed < make->done ? PH_AGAIN : PH_OK;
}

static enum ph_status make_end(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	enum ph_status status = hash_memory(in, make);

	if (status != PH_OK)
		return status;
	if (make->hashing)
		status = ph__in_hash_final(in, &make->hash, &make->oid);
	if (status == PH_OK)
		make->active = false;
	return status;
}

/* Bytes of the result that did not go to memory. */
static enum ph_status emit_bytes(struct ph_pack_in *in, const uint8_t *data, size_t len)
{
	struct ph__in_make *make = &in->make;

	if (make->hashing)
		ph_hash_update(&make->hash, data, len);
	return make->keep ? ph__in_blob_add_bytes(in, &make->blob, data, len) : PH_OK;
}

/* ---- inflating ---- */

/* One call of inflate with what is left of the stream. PH_OK, PH_END, errors. */
static enum ph_status inflate_some(struct ph_pack_in *in, uint8_t *out, size_t *out_pos,
                                   size_t out_len)
{
	struct ph__in_make *make = &in->make;
	const uint8_t *data;
	size_t before = *out_pos;
	size_t len;
	size_t pos = 0;
	enum ph_status status;

	/* It was whole when it was stored. */
	if (make->at >= make->end)
		return PH_ERR_CORRUPT;
	status = ph__in_input(in, make->pack, make->at, make->end, &data, &len);
	if (status != PH_OK)
		return status;
	status = ph_inflate_step(in->inflate, data, &pos, len, out, out_pos, out_len);
	make->at += pos;
	ph__in_charge(in, *out_pos - before);
	if (status == PH_OK && pos == 0 && *out_pos == before)
		return PH_ERR_CORRUPT;
	return status == PH_ERR_ZLIB ? PH_ERR_CORRUPT : status;
}

/* A step of inflating a whole object. */
static enum ph_status inflate_step(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	size_t out_len = 0;
	enum ph_status status;

	if (make->ended)
		return make_end(in);
	if (make->blob.mem) {
		uint64_t stop = make->done + PH__IN_STEP_BYTES;
		size_t at = (size_t)make->done;
		if (stop > make->size)
			stop = make->size;
		status = inflate_some(in, make->blob.mem, &at, (size_t)stop);
		make->done = at;
	} else {
		status = inflate_some(in, in->window, &out_len, PH__IN_WINDOW_BYTES);
		make->done += out_len;
		if (status >= 0 && out_len > 0) {
			enum ph_status emitted = emit_bytes(in, in->window, out_len);
			if (emitted != PH_OK)
				return emitted;
		}
	}
	if (status == PH_END) {
		make->ended = true;
		return make_end(in);
	}
	return status == PH_OK ? PH_AGAIN : status;
}

/* ---- applying, the direct way ---- */

static enum ph_status reserve_delta(struct ph_pack_in *in, size_t size)
{
	uint8_t *grown;

	if (in->delta_cap >= size)
		return PH_OK;
	if (size < PH__IN_WINDOW_BYTES)
		size = PH__IN_WINDOW_BYTES;
	/* Its content is not worth keeping. */
	grown = ph_mem_alloc(in->options.alloc, size);
	if (!grown)
		return PH_ERR_NOMEM;
	ph_mem_free(in->options.alloc, in->delta);
	in->delta = grown;
	in->delta_cap = size;
	return PH_OK;
}

static enum ph_status fail_delta(struct ph_pack_in *in)
{
	return ph__in_fail(in, PH_ERR_DELTA, "bad delta", NULL);
}

static bool is_direct(const struct ph__in_make *make)
{
	return make->base->mem && make->blob.mem && make->size <= PH__IN_DIRECT_BYTES_MAX &&
	       make->delta_size <= PH__IN_DIRECT_BYTES_MAX;
}

static enum ph_status apply_direct(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	const struct ph__in_blob *base = make->base;
	enum ph_status status = reserve_delta(in, (size_t)make->delta_size);

	while (status == PH_OK)
		status = inflate_some(in, in->delta, &make->len, (size_t)make->delta_size);
	if (status != PH_END)
		return status;
	status = ph_delta_apply(base->mem, (size_t)base->size, in->delta, make->len, make->blob.mem,
	                        (size_t)make->size);
	if (status != PH_OK)
		return fail_delta(in);
	ph__in_charge(in, make->size);
	if (make->hashing) {
		ph_hash_init_object(&make->hash, in->options.algo, make->type, make->size);
		ph_hash_update(&make->hash, make->blob.mem, (size_t)make->size);
		status = ph__in_hash_final(in, &make->hash, &make->oid);
		ph__in_charge(in, make->size);
	}
	if (status == PH_OK)
		make->active = false;
	return status;
}

/* ---- applying in steps ---- */

/* Has enough of the delta in the window for an instruction, or its rest. */
static enum ph_status refill_delta(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	enum ph_status status = reserve_delta(in, PH__IN_WINDOW_BYTES);

	if (status != PH_OK || make->ended || make->len - make->pos >= DELTA_OP_BYTES_MAX)
		return status;
	memmove(in->delta, in->delta + make->pos, make->len - make->pos);
	make->len -= make->pos;
	make->pos = 0;
	while (make->len < PH__IN_WINDOW_BYTES) {
		status = inflate_some(in, in->delta, &make->len, PH__IN_WINDOW_BYTES);
		if (status == PH_END) {
			make->ended = true;
			return PH_OK;
		}
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}

static enum ph_status begin_delta(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	uint64_t base_size;
	uint64_t result_size;
	size_t header_len;
	enum ph_status status = refill_delta(in);

	if (status != PH_OK)
		return status;
	if (ph_delta_sizes(in->delta, make->len, &base_size, &result_size, &header_len) != PH_OK ||
	    base_size != make->base->size || result_size != make->size)
		return fail_delta(in);
	make->pos = header_len;
	return PH_OK;
}

/* The next instruction. PH_OK, PH_END, errors. */
static enum ph_status next_op(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	enum ph_status status = refill_delta(in);

	if (status != PH_OK)
		return status;
	status = ph_delta_next(in->delta, make->len, &make->pos, &make->op);
	/* The last one stays done: this is asked again while the hash is behind. */
	if (status == PH_END)
		return make->done == make->size ? PH_END : fail_delta(in);
	make->op_done = 0;
	if (status != PH_OK || make->op.size > make->size - make->done)
		return fail_delta(in);
	if (make->op.copy && (make->op.offset > make->base->size ||
	                      make->op.size > make->base->size - make->op.offset))
		return fail_delta(in);
	return PH_OK;
}

/* A piece of a base in the scratch into a result in the scratch: only its place is noted. */
static enum ph_status copy_place(struct ph_pack_in *in, uint64_t offset, size_t len)
{
	struct ph__in_make *make = &in->make;
	uint64_t at;
	uint64_t left;

	ph__in_blob_place(make->base, offset, &at, &left);
	assert(len <= left);
	return ph__in_blob_add_piece(in, &make->blob, at, len);
}

/* Some bytes of the base to the result; *len says how many. */
static enum ph_status copy_some(struct ph_pack_in *in, size_t *len)
{
	struct ph__in_make *make = &in->make;
	uint64_t offset = make->op.offset + make->op_done;
	size_t left = make->op.size - make->op_done;
	size_t max = left < PH__IN_WINDOW_BYTES ? left : PH__IN_WINDOW_BYTES;
	bool place = !make->blob.mem && make->keep && !make->base->mem;
	const uint8_t *data;
	enum ph_status status = ph__in_blob_peek(in, make->base, offset, max, &data, len);

	if (status != PH_OK)
		return status;
	if (make->blob.mem) {
		memcpy(make->blob.mem + make->done, data, *len);
		return PH_OK;
	}
	if (!place)
		return emit_bytes(in, data, *len);
	if (make->hashing)
		ph_hash_update(&make->hash, data, *len);
	return copy_place(in, offset, *len);
}

/* Follows a part of the instruction at work. */
static enum ph_status follow_op(struct ph_pack_in *in, size_t *len)
{
	struct ph__in_make *make = &in->make;

	if (make->op.copy)
		return copy_some(in, len);
	*len = make->op.size;
	if (!make->blob.mem)
		return emit_bytes(in, make->op.insert, *len);
	memcpy(make->blob.mem + make->done, make->op.insert, *len);
	return PH_OK;
}

static enum ph_status apply_step(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	uint64_t stop = make->done + PH__IN_STEP_BYTES;
	enum ph_status status = PH_OK;

	while (status == PH_OK && make->done < stop) {
		size_t len;
		if (make->op_done == make->op.size) {
			status = next_op(in);
			if (status != PH_OK)
				break;
		}
		status = follow_op(in, &len);
		if (status != PH_OK)
			break;
		make->op_done += (uint32_t)len;
		make->done += len;
		ph__in_charge(in, len);
	}
	if (status < 0)
		return status;
	if (hash_memory(in, make) != PH_OK)
		return PH_AGAIN;
	return status == PH_END ? make_end(in) : PH_AGAIN;
}

/* ---- both ---- */

enum ph_status ph__in_make_step(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;

	assert(make->active);
	if (make->apply && !make->begun && is_direct(make))
		return apply_direct(in);
	if (!make->begun) {
		make->begun = true;
		if (make->hashing)
			ph_hash_init_object(&make->hash, in->options.algo, make->type, make->size);
		if (make->apply) {
			enum ph_status status = begin_delta(in);
			if (status != PH_OK)
				return status;
		}
	}
	return make->apply ? apply_step(in) : inflate_step(in);
}
