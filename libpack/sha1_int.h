/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 by the processor's own instructions, where it has them: several times faster than a
 * portable one, and a pack's trailer is a hash over all of the pack. One compression function; the
 * rest of the hash is in hash_mbedtls.c, which asks first whether there is one.
 */
#ifndef PACKHORSE_SHA1_INT_H
#define PACKHORSE_SHA1_INT_H

#include <packhorse/base.h>

#define PH__SHA1_BLOCK_BYTES 64u

struct ph__sha1 {
	uint32_t state[5];
	uint64_t bytes; /* so far */
	uint8_t block[PH__SHA1_BLOCK_BYTES];
};

/* Whether this processor can. The others may be called only then. */
bool ph__sha1_usable(void);
void ph__sha1_blocks(uint32_t state[5], const uint8_t *data, size_t blocks);

#endif
