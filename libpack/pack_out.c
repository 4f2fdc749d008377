/* SPDX-License-Identifier: MIT */
/*
 * A pack going out, made as it is taken: a machine whose steps each fill a bit of the caller's
 * buffer. A pack of the source that is selected whole is copied as one run, without a look into it:
 * its deltas build on each other at the same distances there and here. Everything else is in
 * pack_out_entry.c. The hash runs over the caller's buffer, once a call.
 */
#include "pack_out_int.h"

#include <assert.h>

/* Looking whether an object is selected is cheap: so many make one unit of work. */
#define SCAN_PER_UNIT 256u

static enum ph_status init_packs(struct ph_pack_out *out)
{
	const struct ph_source *source = out->options.source;
	uint64_t objects = 0;
	uint32_t i;

	out->pack_count = source->ops->packs(source);
	if (out->pack_count == 0)
		return PH_OK;
	out->packs = ph_mem_zalloc(out->options.alloc, out->pack_count, sizeof(*out->packs));
	if (!out->packs)
		return PH_ERR_NOMEM;
	for (i = 0; i < out->pack_count; i++) {
		struct ph__out_pack *pack = &out->packs[i];
		source->ops->pack_size(source, i, &pack->entries, &pack->bytes);
		pack->first = objects;
		objects += pack->entries;
	}
	if (out->options.walk || out->pack_count == 1)
		return PH_OK;
	if (objects / 8 >= SIZE_MAX)
		return PH_ERR_NOMEM;
	out->chosen = ph_mem_zalloc(out->options.alloc, (size_t)(objects / 8) + 1, 1);
	return out->chosen ? PH_OK : PH_ERR_NOMEM;
}

enum ph_status ph_pack_out_new(struct ph_pack_out **out_ptr,
                               const struct ph_pack_out_options *options)
{
	struct ph_pack_out *out = ph_mem_zalloc(options->alloc, 1, sizeof(*out));
	enum ph_status status;

	if (!out)
		return PH_ERR_NOMEM;
	out->options = *options;
	status = init_packs(out);
	if (status != PH_OK) {
		ph_pack_out_free(out);
		return status;
	}
	out->phase = PH__OUT_COUNT;
	ph_hash_init_plain(&out->hash, options->source->algo);
	*out_ptr = out;
	return PH_OK;
}

void ph_pack_out_free(struct ph_pack_out *out)
{
	const struct ph_alloc *alloc;

	if (!out)
		return;
	alloc = out->options.alloc;
	ph__again_close(&out->again);
	ph_reader_free(out->reader);
	ph_deflate_free(out->deflate);
	ph_mem_free(alloc, out->window);
	ph_mem_free(alloc, out->segments);
	ph_mem_free(alloc, out->chosen);
	ph_mem_free(alloc, out->packs);
	ph_mem_free(alloc, out);
}

const struct ph_pack_out_stats *ph_pack_out_stats(const struct ph_pack_out *out)
{
	return &out->stats;
}

bool ph__out_selected(const struct ph_pack_out *out, struct ph_loc loc)
{
	uint64_t number;

	if (out->options.walk)
		return ph_walk_selected(out->options.walk, loc);
	if (!out->chosen)
		return true;
	number = out->packs[loc.pack].first + loc.pos;
	return (out->chosen[number / 8] >> (number % 8) & 1) != 0;
}

/* Without a walk: whether an object is where find says, so that each goes out once. */
static enum ph_status count_one(struct ph_pack_out *out)
{
	const struct ph_source *source = out->options.source;
	struct ph_loc loc = {out->pack, out->pos};
	struct ph_loc found;
	struct ph_entry entry;
	enum ph_status status = source->ops->entry(source, loc, &entry);

	if (status == PH_OK)
		status = source->ops->find(source, &entry.oid, &found);
	if (status != PH_OK)
		return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	if (found.pack == loc.pack && found.pos == loc.pos) {
		uint64_t number = out->packs[loc.pack].first + loc.pos;
		if (out->stats.objects == UINT32_MAX)
			return PH_ERR_LIMIT;
		out->chosen[number / 8] |= (uint8_t)(1u << (number % 8));
		out->stats.objects++;
	}
	return PH_OK;
}

static enum ph_status step_count(struct ph_pack_out *out, uint32_t *budget)
{
	enum ph_status status;

	if (out->options.walk || !out->chosen) {
		out->stats.objects = out->options.walk     ? ph_walk_count(out->options.walk)
		                     : out->pack_count > 0 ? out->packs[0].entries
		                                           : 0;
		out->pack = out->pack_count;
	}
	while (out->pack < out->pack_count && out->pos == out->packs[out->pack].entries) {
		out->pack++;
		out->pos = 0;
	}
	if (out->pack == out->pack_count) {
		out->pack = 0;
		out->pos = 0;
		out->phase = PH__OUT_HEADER;
		return PH_OK;
	}
	status = count_one(out);
	out->pos++;
	ph_budget_spend(budget, 1);
	return status;
}

static enum ph_status step_header(struct ph_pack_out *out)
{
	uint32_t count = out->stats.objects;

	memcpy(out->head, "PACK\0\0\0\2", 8);
	out->head[8] = (uint8_t)(count >> 24);
	out->head[9] = (uint8_t)(count >> 16);
	out->head[10] = (uint8_t)(count >> 8);
	out->head[11] = (uint8_t)count;
	out->head_len = 12;
	out->head_pos = 0;
	out->phase = PH__OUT_HEAD;
	out->after_head = PH__OUT_PACK;
	return PH_OK;
}

static enum ph_status step_pack(struct ph_pack_out *out)
{
	uint32_t left = out->stats.objects - out->stats.written;

	out->pos = 0;
	if (left == 0) {
		out->phase = PH__OUT_TRAILER;
		return PH_OK;
	}
	/* Something is selected that no pack has. */
	if (out->pack == out->pack_count)
		return PH_ERR_CORRUPT;
	if (out->packs[out->pack].entries == 0) {
		out->pack++;
		return PH_OK;
	}
	/* Without OFS_DELTA, its deltas must be rewritten. */
	if (out->options.ofs_delta && out->packs[out->pack].entries <= left)
		out->phase = PH__OUT_SCAN;
	else
		out->phase = PH__OUT_ENTRY;
	return PH_OK;
}

/* What the entry at out->pos adds to the counts once it is out. */
static enum ph_status run_count_next(struct ph_pack_out *out)
{
	const struct ph_entry *entry;
	enum ph_status status = ph__out_entry_at(out, &entry);

	if (status != PH_OK)
		return status;
	out->count_end = entry->end;
	out->count_delta = entry->delta;
	return PH_OK;
}

static enum ph_status begin_run(struct ph_pack_out *out)
{
	const struct ph_source *source = out->options.source;
	const struct ph__out_pack *pack = &out->packs[out->pack];
	enum ph_status status = ph__out_note(out, 0, pack->bytes);

	if (status != PH_OK)
		return status;
	out->copy_at = 0;
	out->copy_end = pack->bytes;
	out->pos = 0;
	out->phase = PH__OUT_RUN;
	out->trailer_known = source->ops->trailer && pack->entries == out->stats.objects;
	return out->options.count_deltas ? run_count_next(out) : PH_OK;
}

static enum ph_status step_scan(struct ph_pack_out *out, uint32_t *budget)
{
	const struct ph__out_pack *pack = &out->packs[out->pack];
	uint32_t end =
	        pack->entries - out->pos > SCAN_PER_UNIT ? out->pos + SCAN_PER_UNIT : pack->entries;

	ph_budget_spend(budget, 1);
	for (; out->pos < end; out->pos++) {
		struct ph_loc loc = {out->pack, out->pos};
		if (!ph__out_selected(out, loc)) {
			out->pos = 0;
			out->phase = PH__OUT_ENTRY;
			return PH_OK;
		}
	}
	return end == pack->entries ? begin_run(out) : PH_OK;
}

/* Entries that are out by now. */
static enum ph_status run_count(struct ph_pack_out *out)
{
	uint32_t entries = out->packs[out->pack].entries;
	enum ph_status status = PH_OK;

	if (!out->options.count_deltas) {
		if (out->copy_at < out->copy_end)
			return PH_OK;
		out->stats.written += entries;
		out->stats.reused += entries;
		out->pos = entries;
		return PH_OK;
	}
	while (out->pos < entries && out->count_end <= out->copy_at) {
		out->stats.written++;
		out->stats.reused++;
		out->stats.deltas += out->count_delta;
		out->pos++;
		if (out->pos < entries)
			status = run_count_next(out);
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}

static enum ph_status step_run(struct ph_pack_out *out, struct ph__out_buf *buf, uint32_t *budget)
{
	const struct ph_source *source = out->options.source;
	uint64_t left = out->copy_end - out->copy_at;
	size_t len = buf->len - buf->used;
	enum ph_status status;

	if (len > PH__OUT_STEP_BYTES)
		len = PH__OUT_STEP_BYTES;
	if (len > left)
		len = (size_t)left;
	status = source->ops->read(source, out->pack, out->copy_at, buf->data + buf->used, len);
	if (status != PH_OK)
		return status;
	out->copy_at += len;
	ph__out_gave(out, buf, len, budget);
	status = run_count(out);
	if (status != PH_OK)
		return status;
	if (out->copy_at < out->copy_end)
		return PH_OK;
	if (out->pos < out->packs[out->pack].entries)
		return PH_ERR_CORRUPT;
	out->pack++;
	out->phase = PH__OUT_PACK;
	return PH_OK;
}

/* Goes on to the next selected entry of the pack, or to the next pack. */
static enum ph_status step_entry(struct ph_pack_out *out, uint32_t *budget)
{
	const struct ph__out_pack *pack = &out->packs[out->pack];
	uint32_t end =
	        pack->entries - out->pos > SCAN_PER_UNIT ? out->pos + SCAN_PER_UNIT : pack->entries;

	ph_budget_spend(budget, 1);
	for (; out->pos < end; out->pos++) {
		struct ph_loc loc = {out->pack, out->pos};
		if (ph__out_selected(out, loc))
			return ph__out_entry_open(out, budget);
	}
	if (out->pos == pack->entries || out->stats.written == out->stats.objects) {
		out->pack++;
		out->phase = PH__OUT_PACK;
	}
	return PH_OK;
}

static enum ph_status step_head(struct ph_pack_out *out, struct ph__out_buf *buf)
{
	size_t len = out->head_len - out->head_pos;

	if (len > buf->len - buf->used)
		len = buf->len - buf->used;
	memcpy(buf->data + buf->used, out->head + out->head_pos, len);
	out->head_pos += len;
	buf->used += len;
	out->stats.bytes += len;
	if (out->head_pos == out->head_len)
		out->phase = out->after_head;
	return PH_OK;
}

/* Hashes what this call has written so far. */
static void hash_written(struct ph_pack_out *out, struct ph__out_buf *buf)
{
	if (!out->trailer_known)
		ph_hash_update(&out->hash, buf->data + buf->hashed, buf->used - buf->hashed);
	buf->hashed = buf->used;
}

static enum ph_status step_trailer(struct ph_pack_out *out, struct ph__out_buf *buf)
{
	const struct ph_source *source = out->options.source;
	struct ph_oid trailer;
	enum ph_status status = PH_OK;

	hash_written(out, buf);
	/* Only one pack has entries that went out, and it is the one before this. */
	if (out->trailer_known)
		status = source->ops->trailer(source, out->pack - 1, &trailer);
	else
		ph_hash_final(&out->hash, &trailer);
	if (status != PH_OK)
		return status;
	/* The trailer is not hashed itself. */
	out->trailer_known = true;
	out->head_len = ph_hash_bytes(source->algo);
	memcpy(out->head, trailer.bytes, out->head_len);
	out->head_pos = 0;
	out->phase = PH__OUT_HEAD;
	out->after_head = PH__OUT_DONE;
	return PH_OK;
}

static enum ph_status step(struct ph_pack_out *out, struct ph__out_buf *buf, uint32_t *budget)
{
	switch (out->phase) {
	case PH__OUT_COUNT:
		return step_count(out, budget);
	case PH__OUT_HEADER:
		return step_header(out);
	case PH__OUT_PACK:
		return step_pack(out);
	case PH__OUT_SCAN:
		return step_scan(out, budget);
	case PH__OUT_RUN:
		return step_run(out, buf, budget);
	case PH__OUT_ENTRY:
		return step_entry(out, budget);
	case PH__OUT_HEAD:
		return step_head(out, buf);
	case PH__OUT_COPY:
		return ph__out_entry_copy(out, buf, budget);
	case PH__OUT_DEFLATE:
		return ph__out_entry_deflate(out, buf, budget);
	case PH__OUT_TRAILER:
		return step_trailer(out, buf);
	case PH__OUT_DONE:
		break;
	}
	return PH_END;
}

enum ph_status ph_pack_out_read(struct ph_pack_out *out, uint8_t *data, size_t len, size_t *used,
                                uint32_t *budget)
{
	struct ph__out_buf buf = {.data = data, .len = len};
	enum ph_status status = out->failed;

	*used = 0;
	while (status == PH_OK) {
		if (out->phase == PH__OUT_DONE)
			status = PH_END;
		else if (buf.used == len)
			break;
		else if (*budget == 0)
			status = PH_AGAIN;
		else
			status = step(out, &buf, budget);
	}
	if (status < 0)
		out->failed = status;
	hash_written(out, &buf);
	*used = buf.used;
	return status;
}
