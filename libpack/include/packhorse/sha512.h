/* SPDX-License-Identifier: MIT */
/* SHA-512, which no object is named by: for signatures. No allocation. */
#ifndef PACKHORSE_SHA512_H
#define PACKHORSE_SHA512_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_SHA512_BYTES 64u

struct ph_sha512 {
	union {
		uint64_t align;
		uint8_t bytes[256];
	} state; /* private to sha512_mbedtls.c */
};

PH_API void ph_sha512_init(struct ph_sha512 *hash);
PH_API void ph_sha512_update(struct ph_sha512 *hash, const void *data, size_t len);
/* Ends the hash; init makes it usable again. */
PH_API void ph_sha512_final(struct ph_sha512 *hash, uint8_t out[PH_SHA512_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
