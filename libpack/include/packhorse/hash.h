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
	union {
		uint64_t align;
		uint8_t bytes[256];
	} state; /* private to hash_mbedtls.c */
};

PH_API void ph_hash_init(struct ph_hash *hash, enum ph_hash_algo algo);
PH_API void ph_hash_update(struct ph_hash *hash, const void *data, size_t len);
/* Ends the hash; init makes it usable again. */
PH_API void ph_hash_final(struct ph_hash *hash, struct ph_oid *out);

/* Starts an object's hash: its "<type> <size>\0" header is hashed, the content follows. */
PH_API void ph_hash_init_object(struct ph_hash *hash, enum ph_hash_algo algo,
                                enum ph_object_type type, uint64_t size);
/* The id of a whole object. */
PH_API void ph_hash_object(struct ph_oid *out, enum ph_hash_algo algo, enum ph_object_type type,
                           const void *data, size_t size);

/* CRC-32 of zlib, for what the store checks. Start with crc 0. */
PH_API uint32_t ph_crc32(uint32_t crc, const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
