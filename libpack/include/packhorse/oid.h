/* SPDX-License-Identifier: MIT */
/*
 * Object ids of both object formats (gitformat-hash-function-transition): SHA-1 has 20 bytes,
 * SHA-256 has 32. An id does not say which it is; the repository does. Bytes behind the hash are
 * zero, so ids compare and copy as whole structs.
 */
#ifndef PACKHORSE_OID_H
#define PACKHORSE_OID_H

#include <packhorse/base.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_OID_BYTES_MAX 32u
#define PH_OID_HEX_MAX 64u

enum ph_hash_algo { PH_HASH_SHA1 = 1, PH_HASH_SHA256 = 2 };

struct ph_oid {
	uint8_t bytes[PH_OID_BYTES_MAX];
};

/* Bytes of a hash: 20 or 32. */
static inline size_t ph_hash_bytes(enum ph_hash_algo algo)
{
	return algo == PH_HASH_SHA256 ? 32 : 20;
}

static inline size_t ph_hash_hex(enum ph_hash_algo algo)
{
	return 2 * ph_hash_bytes(algo);
}

/* "sha1" or "sha256", as in the object-format capability. */
PH_API const char *ph_hash_name(enum ph_hash_algo algo);
/* PH_ERR_UNSUPPORTED for any other name. */
PH_API enum ph_status ph_hash_from_name(enum ph_hash_algo *out, const char *name, size_t len);

static inline int ph_oid_cmp(const struct ph_oid *a, const struct ph_oid *b)
{
	return memcmp(a->bytes, b->bytes, PH_OID_BYTES_MAX);
}

static inline bool ph_oid_equal(const struct ph_oid *a, const struct ph_oid *b)
{
	return ph_oid_cmp(a, b) == 0;
}

PH_API bool ph_oid_is_zero(const struct ph_oid *oid);
/* From raw hash bytes; the rest is zeroed. */
PH_API void ph_oid_from_bytes(struct ph_oid *out, enum ph_hash_algo algo, const uint8_t *bytes);
/*
 * Exactly ph_hash_hex(algo) hex digits of either case. PH_ERR_INVALID for anything else, also for
 * bytes behind them.
 */
PH_API enum ph_status ph_oid_from_hex(struct ph_oid *out, enum ph_hash_algo algo, const char *hex,
                                      size_t len);
/* Writes ph_hash_hex(algo) lower-case digits and a NUL: the buffer has PH_OID_HEX_MAX + 1 bytes. */
PH_API char *ph_oid_to_hex(char *out, enum ph_hash_algo algo, const struct ph_oid *oid);

#ifdef __cplusplus
}
#endif
#endif
