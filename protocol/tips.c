/* SPDX-License-Identifier: MIT */
/*
 * The section of a pack that says what its objects are reachable from; its format is in the header.
 * Its bytes come from the store, which checks them; they are still not trusted with our memory.
 */
#include "tips_int.h"

#include <assert.h>
#include <string.h>

#define HEADER_BYTES 20u

static void put32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint8_t hash_number(enum ph_hash_algo algo)
{
	return algo == PH_HASH_SHA256 ? 2 : 1;
}

enum ph_status ph__tips_write(struct ph_sink *sink, enum ph_hash_algo algo, uint32_t entries,
                              uint32_t tips, uint32_t copies)
{
	uint8_t header[HEADER_BYTES] = {'P', 'H', 'T', 'I', 1, hash_number(algo)};

	assert(tips <= PH__TIPS_MAX && copies <= PH__TIPS_COPIES_MAX);
	put32(header + 8, entries);
	put32(header + 12, tips);
	put32(header + 16, copies);
	return sink->ops->append(sink, header, sizeof(header));
}

enum ph_status ph__tips_write_tip(struct ph_sink *sink, enum ph_hash_algo algo,
                                  const struct ph_oid *oid)
{
	return sink->ops->append(sink, oid->bytes, ph_hash_bytes(algo));
}

enum ph_status ph__tips_write_copy(struct ph_sink *sink, uint32_t rank)
{
	uint8_t bytes[4];

	put32(bytes, rank);
	return sink->ops->append(sink, bytes, sizeof(bytes));
}

enum ph_status ph__tips_open(struct ph__tips *tips, const struct ph_bytes *bytes,
                             enum ph_hash_algo algo, uint32_t entries)
{
	const uint8_t expected[8] = {'P', 'H', 'T', 'I', 1, hash_number(algo), 0, 0};
	uint8_t header[HEADER_BYTES];
	enum ph_status status;

	if (bytes->size < HEADER_BYTES)
		return PH_ERR_UNSUPPORTED;
	status = bytes->read(bytes, 0, header, sizeof(header));
	if (status != PH_OK)
		return status;
	*tips = (struct ph__tips){bytes, algo, get32(header + 8), get32(header + 12),
	                          get32(header + 16)};
	if (memcmp(header, expected, sizeof(expected)) != 0 || tips->entries != entries ||
	    tips->tips > PH__TIPS_MAX || tips->copies > PH__TIPS_COPIES_MAX ||
	    bytes->size != HEADER_BYTES + (uint64_t)tips->tips * ph_hash_bytes(algo) +
	                           (uint64_t)tips->copies * 4)
		return PH_ERR_UNSUPPORTED;
	return PH_OK;
}

enum ph_status ph__tips_tip(const struct ph__tips *tips, uint32_t number, struct ph_oid *out)
{
	size_t len = ph_hash_bytes(tips->algo);

	assert(number < tips->tips);
	memset(out, 0, sizeof(*out));
	return tips->bytes->read(tips->bytes, HEADER_BYTES + (uint64_t)number * len, out->bytes,
	                         len);
}

enum ph_status ph__tips_copy(const struct ph__tips *tips, uint32_t number, uint32_t *rank)
{
	uint64_t at = HEADER_BYTES + (uint64_t)tips->tips * ph_hash_bytes(tips->algo);
	uint8_t bytes[4];
	enum ph_status status;

	assert(number < tips->copies);
	status = tips->bytes->read(tips->bytes, at + 4 * (uint64_t)number, bytes, sizeof(bytes));
	*rank = status == PH_OK ? get32(bytes) : 0;
	return status == PH_OK && *rank >= tips->entries ? PH_ERR_CORRUPT : status;
}
