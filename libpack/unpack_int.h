/* SPDX-License-Identifier: MIT */
/* Which zlib streams any decoder may be trusted with, and the small ones of them. */
#ifndef PACKHORSE_UNPACK_INT_H
#define PACKHORSE_UNPACK_INT_H

#include <packhorse/unpack.h>

/*
 * Whether all decoders agree on the stream that data begins with, should one of them inflate it
 * without an error. len may be too short for it, or go past it.
 */
bool ph__unpack_plain(const uint8_t *data, size_t len);
/*
 * Inflates a stream of a single block that is stored or has the fixed codes; exactly size bytes
 * come out, and all decoders agree on it. False: it is something else, or no good, or not all
 * there; out may have been written to.
 */
bool ph__unpack_small(const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t size);

#endif
