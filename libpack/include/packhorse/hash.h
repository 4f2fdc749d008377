/* SPDX-License-Identifier: MIT */
/* Hashing of objects and packs, behind one wrapper of the hash library. No allocation. */
#ifndef PACKHORSE_HASH_H
#define PACKHORSE_HASH_H

#include <packhorse/object.h>
#include <packhorse/oid.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_hash {
	enum ph_hash_algo algo;
	bool attacked;
	union {
		uint64_t align;
		uint8_t bytes[960];
	} state; /* private */
};

PH_API void ph_hash_init(struct ph_hash *hash, enum ph_hash_algo algo);
/*
 * A checksum that is no object's id, as the trailer of a pack: faster for SHA-1, since nobody looks
 * for collision attacks in it, and ph_hash_attacked says false.
 */
PH_API void ph_hash_init_plain(struct ph_hash *hash, enum ph_hash_algo algo);
PH_API void ph_hash_update(struct ph_hash *hash, const void *data, size_t len);
/* Ends the hash; init makes it usable again. */
PH_API void ph_hash_final(struct ph_hash *hash, struct ph_oid *out);

/* Starts an object's hash: its "<type> <size>\0" header is hashed, the content follows. */
PH_API void ph_hash_init_object(struct ph_hash *hash, enum ph_hash_algo algo,
                                enum ph_object_type type, uint64_t size);
/* The id of a whole object. */
PH_API void ph_hash_object(struct ph_oid *out, enum ph_hash_algo algo, enum ph_object_type type,
                           const void *data, size_t size);

/*
 * Whether what was hashed holds blocks of a collision attack on SHA-1 (Stevens,
 * "Counter-cryptanalysis", 2013), after ph_hash_final: its id must not be believed. The id itself
 * is plain SHA-1's. Always false for SHA-256.
 */
PH_API bool ph_hash_attacked(const struct ph_hash *hash);

/* Whole objects, hashed side by side where the processor has lanes for it. */
struct ph_hash_item {
	enum ph_object_type type;
	const void *data;
	size_t size;
	struct ph_oid oid; /* out */
	bool attacked;     /* out: as ph_hash_attacked */
};
/*
 * The ids of many objects; count is any number, and 64 of similar size is a good one. The same
 * results as ph_hash_object for each.
 */
PH_API void ph_hash_items(enum ph_hash_algo algo, struct ph_hash_item *items, size_t count);

/* CRC-32 of zlib, for what the store checks. Start with crc 0. */
PH_API uint32_t ph_crc32(uint32_t crc, const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
