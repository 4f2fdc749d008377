/* SPDX-License-Identifier: MIT */
/*
 * Deltas: a base size, a result size, then copies from the base and inserts. All of it comes from
 * peers, so every instruction is checked against what is left of the delta, of the base and of the
 * result before a byte moves.
 */
#include <packhorse/delta.h>

#include <assert.h>
#include <string.h>

/* Git's clients take no delta that is shorter, though one that makes nothing could be. */
#define DELTA_BYTES_MIN 4u
/* A copy whose three size bytes are all absent. */
#define COPY_SIZE_ZERO_MEANS 0x10000u

/* Little endian base 128. */
static enum ph_status take_size(const uint8_t *delta, size_t len, size_t *pos, uint64_t *out)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		/* Nine bytes carry 63 bits, more than any object has. */
		if (*pos == len || shift > 56)
			return PH_ERR_DELTA;
		byte = delta[(*pos)++];
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*out = value;
	return PH_OK;
}

enum ph_status ph_delta_sizes(const uint8_t *delta, size_t len, uint64_t *base_size,
                              uint64_t *result_size, size_t *header_len)
{
	uint64_t base;
	uint64_t result;
	size_t pos = 0;

	if (len < DELTA_BYTES_MIN || take_size(delta, len, &pos, &base) != PH_OK ||
	    take_size(delta, len, &pos, &result) != PH_OK)
		return PH_ERR_DELTA;
	*base_size = base;
	*result_size = result;
	*header_len = pos;
	return PH_OK;
}

/* A copy's argument: one byte for each of the bits set, little endian. */
static bool take_sparse(const uint8_t *delta, size_t len, size_t *pos, unsigned bits, uint32_t *out)
{
	uint32_t value = 0;
	unsigned shift = 0;

	for (; bits != 0; bits >>= 1, shift += 8) {
		if (!(bits & 1))
			continue;
		if (*pos == len)
			return false;
		value |= (uint32_t)delta[(*pos)++] << shift;
	}
	*out = value;
	return true;
}

static inline enum ph_status next_op(const uint8_t *delta, size_t len, size_t *pos,
                                     struct ph_delta_op *out)
{
	uint32_t offset;
	uint8_t code;

	if (*pos == len)
		return PH_END;
	code = delta[(*pos)++];
	if (code & 0x80) {
		if (!take_sparse(delta, len, pos, code & 0x0fu, &offset) ||
		    !take_sparse(delta, len, pos, (code >> 4) & 0x07u, &out->size))
			return PH_ERR_DELTA;
		if (out->size == 0)
			out->size = COPY_SIZE_ZERO_MEANS;
		out->copy = true;
		out->offset = offset;
		out->insert = NULL;
		return PH_OK;
	}
	/* 0 is reserved; an insert must be there whole. */
	if (code == 0 || code > len - *pos)
		return PH_ERR_DELTA;
	out->copy = false;
	out->offset = 0;
	out->size = code;
	out->insert = delta + *pos;
	*pos += code;
	return PH_OK;
}

enum ph_status ph_delta_next(const uint8_t *delta, size_t len, size_t *pos, struct ph_delta_op *out)
{
	assert(*pos <= len);
	return next_op(delta, len, pos, out);
}

enum ph_status ph_delta_apply(const uint8_t *base, size_t base_len, const uint8_t *delta,
                              size_t len, uint8_t *result, size_t result_size)
{
	uint64_t base_size;
	uint64_t announced;
	size_t pos;
	size_t at = 0;
	struct ph_delta_op op;
	enum ph_status status = ph_delta_sizes(delta, len, &base_size, &announced, &pos);

	if (status != PH_OK)
		return status;
	if (base_size != base_len || announced != result_size)
		return PH_ERR_DELTA;
	while ((status = next_op(delta, len, &pos, &op)) == PH_OK) {
		if (op.size > result_size - at)
			return PH_ERR_DELTA;
		if (!op.copy) {
			memcpy(result + at, op.insert, op.size);
		} else {
			if (op.offset > base_len || op.size > base_len - op.offset)
				return PH_ERR_DELTA;
			memcpy(result + at, base + op.offset, op.size);
		}
		at += op.size;
	}
	if (status != PH_END)
		return status;
	return at == result_size ? PH_OK : PH_ERR_DELTA;
}
