/* SPDX-License-Identifier: MIT */
/*
 * The header of a pack entry (gitformat-pack): type and inflated size, then what a delta builds on.
 * A stored entry was checked when it came in, so whatever is wrong with one is damage.
 */
#include "entry_int.h"

#include <assert.h>

/* Four bits of the size in the first byte, seven in each that follows, little endian. */
static enum ph_status take_type_and_size(struct ph_entry_header *out, const uint8_t *bytes,
                                         size_t len, size_t *pos)
{
	unsigned shift = 4;
	uint8_t byte;

	if (len == 0)
		return PH_ERR_CORRUPT;
	byte = bytes[0];
	*pos = 1;
	out->type = (enum ph_object_type)(byte >> 4 & 7);
	out->size = byte & 0x0f;
	while (byte & 0x80) {
		/* Up to shift 53 the seven bits stay below 2^60, which no object reaches. */
		if (*pos == len || shift > 53)
			return PH_ERR_CORRUPT;
		byte = bytes[(*pos)++];
		out->size |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	}
	return PH_OK;
}

/* Big endian, seven bits a byte, and each byte that continues counts one more. */
static enum ph_status take_distance(const uint8_t *bytes, size_t len, size_t *pos, uint64_t *out)
{
	uint64_t distance;
	uint8_t byte;

	if (*pos == len)
		return PH_ERR_CORRUPT;
	byte = bytes[(*pos)++];
	distance = byte & 0x7f;
	while (byte & 0x80) {
		if (*pos == len || distance >= UINT64_MAX >> 8)
			return PH_ERR_CORRUPT;
		byte = bytes[(*pos)++];
		distance = (distance + 1) << 7 | (byte & 0x7f);
	}
	*out = distance;
	return PH_OK;
}

enum ph_status ph__entry_header_parse(struct ph_entry_header *out, enum ph_hash_algo algo,
                                      uint64_t offset, const uint8_t *bytes, size_t len)
{
	struct ph_entry_header header;
	size_t hash_len = ph_hash_bytes(algo);
	uint64_t distance;
	size_t pos;
	enum ph_status status;

	memset(&header, 0, sizeof(header));
	status = take_type_and_size(&header, bytes, len, &pos);
	if (status != PH_OK)
		return status;
	if (header.type == PH_OBJ_OFS_DELTA) {
		status = take_distance(bytes, len, &pos, &distance);
		if (status != PH_OK)
			return status;
		if (distance == 0 || distance > offset)
			return PH_ERR_CORRUPT;
		header.base_offset = offset - distance;
	} else if (header.type == PH_OBJ_REF_DELTA) {
		if (len - pos < hash_len)
			return PH_ERR_CORRUPT;
		ph_oid_from_bytes(&header.base, algo, bytes + pos);
		pos += hash_len;
	} else if (header.type < PH_OBJ_COMMIT || header.type > PH_OBJ_TAG) {
		return PH_ERR_CORRUPT;
	}
	header.header_bytes = (uint32_t)pos;
	*out = header;
	return PH_OK;
}

enum ph_status ph_entry_header_read(const struct ph_source *source, uint32_t pack, uint64_t offset,
                                    struct ph_entry_header *out)
{
	uint8_t bytes[PH__ENTRY_HEADER_BYTES_MAX];
	size_t len = sizeof(bytes);
	uint32_t entries;
	uint64_t run_bytes;
	enum ph_status status;

	source->ops->pack_size(source, pack, &entries, &run_bytes);
	if (offset >= run_bytes)
		return PH_ERR_CORRUPT;
	if (len > run_bytes - offset)
		len = (size_t)(run_bytes - offset);
	status = source->ops->read(source, pack, offset, bytes, len);
	if (status != PH_OK)
		return status;
	return ph__entry_header_parse(out, source->algo, offset, bytes, len);
}

size_t ph__entry_header_write(uint8_t *out, enum ph_object_type type, uint64_t size)
{
	size_t len = 0;
	uint8_t byte = (uint8_t)((unsigned)type << 4 | (size & 0x0f));

	for (size >>= 4; size > 0; size >>= 7) {
		out[len++] = byte | 0x80;
		byte = size & 0x7f;
	}
	out[len++] = byte;
	assert(len <= 10);
	return len;
}

size_t ph__entry_distance_write(uint8_t *out, uint64_t distance)
{
	uint8_t reversed[10];
	size_t len = 0;
	size_t i;

	assert(distance > 0);
	reversed[len++] = distance & 0x7f;
	for (distance >>= 7; distance > 0; distance >>= 7)
		reversed[len++] = (uint8_t)(0x80 | (--distance & 0x7f));
	for (i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	return len;
}
