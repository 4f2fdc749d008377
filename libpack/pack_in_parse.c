/* SPDX-License-Identifier: MIT */
/*
 * The stream of a pack: 12 bytes of header, entries, and the hash of all that as trailer. Every
 * entry is inflated as it comes: blobs are hashed on their way, commits, trees and tags are kept
 * whole for their checks, deltas show their sizes. The raw bytes are collected and go to the run.
 * What arrives in pieces is put together in in->head only where it is a few bytes long.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* Grown as data arrives: a declared size costs a peer nothing. */
#define META_BYTES_MIN 65536u
/* Both varints of a delta at their longest. */
#define DELTA_SIZES_BYTES 20u

_Static_assert(DELTA_SIZES_BYTES <= PH__IN_ENTRY_HEADER_BYTES_MAX, "head takes a delta's sizes");
_Static_assert(PH_OID_BYTES_MAX <= PH__IN_ENTRY_HEADER_BYTES_MAX, "head takes the trailer");

/* ---- bytes to the run ---- */

enum ph_status ph__in_run_flush(struct ph_pack_in *in)
{
	struct ph_sink *run = in->options.run;
	size_t len = in->collected_len;

	if (len == 0)
		return PH_OK;
	if (in->state <= PH__IN_TRAILER)
		ph_hash_update(&in->pack_hash, in->collected, len);
	in->collected_len = 0;
	return run->ops->append(run, in->collected, len);
}

enum ph_status ph__in_run_append(struct ph_pack_in *in, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t room = PH__IN_WINDOW_BYTES - in->collected_len;
		size_t take = len < room ? len : room;
		memcpy(in->collected + in->collected_len, data, take);
		in->collected_len += take;
		in->run_offset += take;
		data += take;
		len -= take;
		if (in->collected_len == PH__IN_WINDOW_BYTES) {
			enum ph_status status = ph__in_run_flush(in);
			if (status != PH_OK)
				return status;
		}
	}
	return PH_OK;
}

/* Bytes of the pack that were taken from the input. */
static enum ph_status count_bytes(struct ph_pack_in *in, size_t len)
{
	in->stats.bytes += len;
	if (in->stats.bytes > in->options.limits->pack_bytes_max)
		return ph__in_fail(in, PH_ERR_LIMIT, "pack too large", NULL);
	return PH_OK;
}

static enum ph_status take_entry_bytes(struct ph_pack_in *in, const uint8_t *data, size_t len)
{
	enum ph_status status = count_bytes(in, len);

	if (status == PH_OK)
		status = ph__in_run_append(in, data, len);
	return status;
}

/* Fills in->head up to want bytes; whether they are all there. */
static bool fill_head(struct ph_pack_in *in, size_t want, const uint8_t *data, size_t len,
                      size_t *pos)
{
	size_t take = want - in->head_len;

	assert(want <= sizeof(in->head));
	if (take > len - *pos)
		take = len - *pos;
	memcpy(in->head + in->head_len, data + *pos, take);
	in->head_len += take;
	*pos += take;
	return in->head_len == want;
}

/* ---- pack header ---- */

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static enum ph_status check_header(struct ph_pack_in *in)
{
	const struct ph_limits *limits = in->options.limits;
	uint32_t count = get32(in->head + 8);

	if (memcmp(in->head, "PACK", 4) != 0)
		return ph__in_fail(in, PH_ERR_INVALID, "not a pack", NULL);
	if (get32(in->head + 4) != 2)
		return ph__in_fail(in, PH_ERR_INVALID, "unknown pack version", NULL);
	in->stats.announced = count;
	if (count > limits->pack_objects_max ||
	    (uint64_t)count * PH__IN_ENTRY_BYTES_MIN > limits->pack_bytes_max)
		return ph__in_fail(in, PH_ERR_LIMIT, "too many objects", NULL);
	return PH_OK;
}

static enum ph_status parse_header(struct ph_pack_in *in, const uint8_t *data, size_t len,
                                   size_t *pos)
{
	size_t before = *pos;
	bool whole = fill_head(in, PH__IN_PACK_HEADER_BYTES, data, len, pos);
	enum ph_status status = count_bytes(in, *pos - before);

	if (status != PH_OK || !whole)
		return status;
	ph_hash_update(&in->pack_hash, in->head, in->head_len);
	in->head_len = 0;
	in->state = get32(in->head + 8) == 0 ? PH__IN_TRAILER : PH__IN_ENTRY;
	return check_header(in);
}

/* ---- entry headers ---- */

/* Type and size: three bits and four in the first byte, then seven a byte, little end first. */
static enum ph_status parse_size(struct ph__in_header *out, const uint8_t *data, size_t len,
                                 size_t *pos)
{
	unsigned shift = 4;
	uint8_t byte;

	if (len == 0)
		return PH_AGAIN;
	byte = data[(*pos)++];
	out->type = (enum ph_object_type)((byte >> 4) & 7);
	out->size = byte & 0x0f;
	while (byte & 0x80) {
		/* Up to 53 the seven bits stay below 2^60; whoever reads the entry later stops
		 * there too. */
		if (shift > 53)
			return PH_ERR_INVALID;
		if (*pos == len)
			return PH_AGAIN;
		byte = data[(*pos)++];
		out->size |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	}
	return PH_OK;
}

/* A distance: seven bits a byte, big end first, each byte but the last adding one more. */
static enum ph_status parse_distance(struct ph__in_header *out, const uint8_t *data, size_t len,
                                     size_t *pos)
{
	uint64_t value = 0;
	uint8_t byte;
	bool first = true;

	do {
		if (*pos == len)
			return PH_AGAIN;
		byte = data[(*pos)++];
		if (!first)
			value++;
		if (value >> 57 != 0)
			return PH_ERR_INVALID;
		value = value << 7 | (byte & 0x7f);
		first = false;
	} while (byte & 0x80);
	out->distance = value;
	return PH_OK;
}

enum ph_status ph__in_header_parse(struct ph__in_header *out, enum ph_hash_algo algo,
                                   const uint8_t *data, size_t len)
{
	size_t pos = 0;
	enum ph_status status = parse_size(out, data, len, &pos);

	if (status != PH_OK)
		return status;
	switch (out->type) {
	case PH_OBJ_COMMIT:
	case PH_OBJ_TREE:
	case PH_OBJ_BLOB:
	case PH_OBJ_TAG:
		break;
	case PH_OBJ_OFS_DELTA:
		status = parse_distance(out, data, len, &pos);
		break;
	case PH_OBJ_REF_DELTA:
		if (len - pos < ph_hash_bytes(algo))
			return PH_AGAIN;
		ph_oid_from_bytes(&out->base, algo, data + pos);
		pos += ph_hash_bytes(algo);
		break;
	case PH_OBJ_NONE:
	default:
		return PH_ERR_INVALID;
	}
	out->bytes = (uint32_t)pos;
	return status;
}

static bool is_delta(const struct ph_pack_in *in)
{
	return in->entry.type == PH_OBJ_OFS_DELTA || in->entry.type == PH_OBJ_REF_DELTA;
}

static bool is_meta(const struct ph_pack_in *in)
{
	return !is_delta(in) && in->entry.type != PH_OBJ_BLOB;
}

uint32_t ph__in_at_offset(const struct ph_pack_in *in, uint32_t count, uint64_t offset)
{
	uint32_t lo = 0;
	uint32_t hi = count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ph__in_record(in, mid)->offset == offset)
			return mid;
		if (ph__in_record(in, mid)->offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return PH__IN_NONE;
}

/* A base must be the very start of an entry that came before. */
static enum ph_status find_ofs_base(struct ph_pack_in *in, uint64_t offset)
{
	uint32_t base = PH__IN_NONE;

	if (in->entry.distance > 0 && in->entry.distance <= offset)
		base = ph__in_at_offset(in, in->count, offset - in->entry.distance);
	if (base == PH__IN_NONE)
		return ph__in_fail(in, PH_ERR_INVALID, "delta base is no entry", NULL);
	ph__in_node(in, in->count)->link = base;
	return PH_OK;
}

/* Starts an entry whose header began at offset. */
static enum ph_status begin_entry(struct ph_pack_in *in, uint64_t offset)
{
	const struct ph_limits *limits = in->options.limits;
	enum ph_status status = ph__in_grow(in);
	struct ph_index_record *record;

	if (status != PH_OK)
		return status;
	if (in->entry.size > limits->object_bytes_max ||
	    (is_meta(in) && in->entry.size > limits->metadata_bytes_max))
		return ph__in_fail(in, PH_ERR_LIMIT, "object too large", NULL);
	record = ph__in_record(in, in->count);
	memset(record, 0, sizeof(*record));
	record->offset = offset;
	record->type = (uint8_t)in->entry.type;
	record->delta = is_delta(in);
	record->size = in->entry.size;
	ph__in_node(in, in->count)->child = PH__IN_NONE;
	ph__in_node(in, in->count)->weight = 1;
	if (in->entry.type == PH_OBJ_OFS_DELTA)
		status = find_ofs_base(in, offset);
	else if (in->entry.type == PH_OBJ_REF_DELTA)
		record->oid = in->entry.base;
	else
		ph_hash_init_object(&in->hash, in->options.algo, in->entry.type, in->entry.size);
	ph_inflate_start(in->main.inflate, in->entry.size);
	in->entry_done = 0;
	in->begun = false;
	in->head_len = 0;
	in->state = PH__IN_DATA;
	ph__in_charge(in, PH__IN_ENTRY_CHARGE);
	return status;
}

/* The common case, all of it in the input, is parsed in place; otherwise byte after byte. */
static enum ph_status parse_entry(struct ph_pack_in *in, const uint8_t *data, size_t len,
                                  size_t *pos)
{
	enum ph_hash_algo algo = in->options.algo;
	uint64_t offset = in->run_offset - in->head_len;
	size_t before = *pos;
	enum ph_status parsed = PH_AGAIN;
	enum ph_status status;

	if (in->head_len == 0) {
		parsed = ph__in_header_parse(&in->entry, algo, data + *pos, len - *pos);
		if (parsed == PH_OK)
			*pos += in->entry.bytes;
	}
	while (parsed == PH_AGAIN && *pos < len && in->head_len < sizeof(in->head)) {
		in->head[in->head_len++] = data[(*pos)++];
		parsed = ph__in_header_parse(&in->entry, algo, in->head, in->head_len);
	}
	status = take_entry_bytes(in, data + before, *pos - before);
	if (status != PH_OK)
		return status;
	if (parsed < 0)
		return ph__in_fail(in, parsed, "bad entry header", NULL);
	return parsed == PH_OK ? begin_entry(in, offset) : PH_OK;
}

/* ---- entry data ---- */

static enum ph_status grow_meta(struct ph_pack_in *in)
{
	size_t size = (size_t)in->entry.size;
	size_t cap = in->meta_cap < META_BYTES_MIN ? META_BYTES_MIN : in->meta_cap * 2;
	uint8_t *grown;

	if (in->meta && (in->meta_cap >= size || in->entry_done < in->meta_cap))
		return PH_OK;
	if (cap > size && cap > META_BYTES_MIN)
		cap = size;
	grown = ph_mem_resize(in->options.alloc, in->meta, cap, 1);
	if (!grown)
		return PH_ERR_NOMEM;
	in->meta = grown;
	in->meta_cap = cap;
	return PH_OK;
}

/* Where a piece of the entry that was inflated goes. */
static void use_piece(struct ph_pack_in *in, const uint8_t *piece, size_t len)
{
	size_t take = DELTA_SIZES_BYTES - in->head_len;

	if (!is_delta(in)) {
		ph_hash_update(&in->hash, piece, len);
		ph__in_charge(in, len);
		return;
	}
	if (take > len)
		take = len;
	memcpy(in->head + in->head_len, piece, take);
	in->head_len += take;
}

static enum ph_status end_delta(struct ph_pack_in *in)
{
	struct ph_index_record *record = ph__in_record(in, in->count);
	uint64_t base_size;
	uint64_t result_size;
	size_t header_len;
	enum ph_status status =
	        ph_delta_sizes(in->head, in->head_len, &base_size, &result_size, &header_len);

	if (status != PH_OK)
		return ph__in_fail(in, status, "bad delta", NULL);
	if (base_size > in->options.limits->object_bytes_max ||
	    result_size > in->options.limits->object_bytes_max)
		return ph__in_fail(in, PH_ERR_LIMIT, "object too large", NULL);
	record->size = result_size;
	in->results =
	        result_size > UINT64_MAX - in->results ? UINT64_MAX : in->results + result_size;
	in->stats.deltas++;
	if (in->entry.type == PH_OBJ_REF_DELTA)
		in->ref_deltas++;
	return PH_OK;
}

static enum ph_status end_entry(struct ph_pack_in *in)
{
	struct ph_index_record *record = ph__in_record(in, in->count);
	enum ph_status status;

	if (is_delta(in)) {
		status = end_delta(in);
	} else {
		ph_hash_final(&in->hash, &record->oid);
		status = ph_hash_attacked(&in->hash)
		                 ? ph__in_attacked(&in->main, &record->oid)
		                 : ph__in_look(&in->main, in->entry.type, in->count, &record->oid,
		                               in->meta, record->size);
	}
	if (status != PH_OK)
		return status;
	in->head_len = 0;
	in->count++;
	in->stats.received++;
	in->state = in->count == in->stats.announced ? PH__IN_TRAILER : PH__IN_ENTRY;
	return in->state == PH__IN_TRAILER ? ph__in_run_flush(in) : PH_OK;
}

/* An entry that begins here and is here as a whole, inflated in one go. False: in steps, then. */
static bool unpack(struct ph_pack_in *in, const uint8_t *data, size_t *pos, size_t stop,
                   uint8_t *out, size_t *out_len)
{
	const struct ph_unpack *unpack = in->options.unpack;
	size_t size = (size_t)in->entry.size;
	size_t used;

	if (!in->main.unpack || in->begun || in->entry.size > PH__IN_WINDOW_BYTES ||
	    unpack->run_agreed(in->main.unpack, data + *pos, stop - *pos, &used, out, size) !=
	            PH_OK)
		return false;
	*pos += used;
	*out_len = size;
	return true;
}

static enum ph_status parse_data(struct ph_pack_in *in, const uint8_t *data, size_t len,
                                 size_t *pos)
{
	size_t before = *pos;
	size_t stop = len - *pos > PH__IN_WINDOW_BYTES ? *pos + PH__IN_WINDOW_BYTES : len;
	uint8_t *out = in->main.window;
	size_t room = PH__IN_WINDOW_BYTES;
	size_t out_len = 0;
	enum ph_status inflated;
	enum ph_status status = is_meta(in) ? grow_meta(in) : PH_OK;

	if (status != PH_OK)
		return status;
	if (is_meta(in)) {
		out = in->meta + in->entry_done;
		if (room > in->meta_cap - in->entry_done)
			room = in->meta_cap - (size_t)in->entry_done;
	}
	if (unpack(in, data, pos, stop, out, &out_len))
		inflated = PH_END;
	else
		inflated = ph_inflate_step(in->main.inflate, data, pos, stop, out, &out_len, room);
	in->begun = true;
	status = take_entry_bytes(in, data + before, *pos - before);
	if (status != PH_OK)
		return status;
	if (inflated == PH_ERR_ZLIB)
		return ph__in_fail(in, inflated, "bad zlib stream", NULL);
	if (inflated < 0)
		return inflated;
	use_piece(in, out, out_len);
	in->entry_done += out_len;
	in->inflated += out_len;
	ph__in_charge(in, out_len);
	if (in->inflated > ph__in_inflate_max(in))
		return ph__in_fail(in, PH_ERR_LIMIT, "inflates to too much", NULL);
	return inflated == PH_END ? end_entry(in) : PH_OK;
}

/* ---- trailer ---- */

static enum ph_status parse_trailer(struct ph_pack_in *in, const uint8_t *data, size_t len,
                                    size_t *pos)
{
	size_t before = *pos;
	bool whole = fill_head(in, in->hash_bytes, data, len, pos);
	enum ph_status status = count_bytes(in, *pos - before);

	if (status != PH_OK || !whole)
		return status;
	ph_hash_final(&in->pack_hash, &in->trailer);
	if (memcmp(in->head, in->trailer.bytes, in->hash_bytes) != 0)
		return ph__in_fail(in, PH_ERR_CHECKSUM, "wrong trailer", NULL);
	if (in->results > UINT64_MAX - in->inflated ||
	    in->results + in->inflated > ph__in_inflate_max(in))
		return ph__in_fail(in, PH_ERR_LIMIT, "deltas make too much", NULL);
	ph_mem_free(in->options.alloc, in->meta);
	in->meta = NULL;
	in->meta_cap = 0;
	in->received_end = in->run_offset;
	in->next = in->count;
	in->state = PH__IN_LINK;
	return PH_OK;
}

enum ph_status ph__in_parse(struct ph_pack_in *in, const uint8_t *data, size_t len, size_t *pos)
{
	assert(*pos < len);
	if (in->state == PH__IN_DATA)
		return parse_data(in, data, len, pos);
	if (in->state == PH__IN_ENTRY)
		return parse_entry(in, data, len, pos);
	if (in->state == PH__IN_HEADER)
		return parse_header(in, data, len, pos);
	assert(in->state == PH__IN_TRAILER);
	return parse_trailer(in, data, len, pos);
}
