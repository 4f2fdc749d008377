/* SPDX-License-Identifier: MIT */
/*
 * The layout of an index, shared by its reader and its writer; the format is in pack_index.h. All
 * integers are big endian.
 */
#ifndef PH_PACK_INDEX_INT_H
#define PH_PACK_INDEX_INT_H

#include <packhorse/pack_index.h>

#define INDEX_MAGIC "PHIX"
#define INDEX_VERSION 1u
/* Magic, version, hash, zero, entries, bytes of the run; the trailer's hash follows. */
#define INDEX_FIXED_BYTES 20u
#define INDEX_HEADER_BYTES_MAX (INDEX_FIXED_BYTES + PH_OID_BYTES_MAX)
#define INDEX_FANOUT_BYTES (256u * 4u)
#define INDEX_RANK_BYTES 4u
#define INDEX_ENTRY_BYTES 20u
#define INDEX_OFFSET_MAX (((uint64_t)1 << 56) - 1)

/* An entry's byte of type and flag. */
#define INDEX_TYPE_MASK 0x07u
#define INDEX_FLAG_DELTA 0x80u

/* ph_index_write of records in pieces of 1 << shift each. */
enum ph_status ph__index_write(struct ph_sink *sink, enum ph_hash_algo algo,
                               const struct ph_index_record *const *pieces, unsigned shift,
                               const uint32_t *order, uint32_t count, uint64_t run_bytes,
                               const struct ph_oid *trailer);

static inline uint32_t index_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t index_get64(const uint8_t *at)
{
	return (uint64_t)index_get32(at) << 32 | index_get32(at + 4);
}

static inline void index_put32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

static inline void index_put64(uint8_t *at, uint64_t value)
{
	index_put32(at, (uint32_t)(value >> 32));
	index_put32(at + 4, (uint32_t)value);
}

/* Ids spread evenly, so these bits, those after the fanout's byte, say where in its range one is.
 */
static inline uint32_t index_id_key(const uint8_t *id)
{
	return index_get32(id + 1);
}

/*
 * Where a key lies in [lo, hi) of a table whose keys run evenly from key_lo to key_hi. Any answer
 * is right in the sense that the search goes on from it; a good one makes it short.
 */
static inline uint32_t index_guess(uint32_t lo, uint32_t hi, uint64_t key_lo, uint64_t key_hi,
                                   uint64_t key)
{
	uint64_t span = key_hi > key_lo ? key_hi - key_lo : 1;
	uint64_t part = key > key_lo ? key - key_lo : 0;

	if (part >= span)
		return hi - 1;
	/* Keep the product within 64 bits. */
	while (span > UINT32_MAX) {
		span >>= 1;
		part >>= 1;
	}
	if (part >= span)
		return hi - 1;
	return lo + (uint32_t)(part * (hi - lo) / span);
}

#endif
