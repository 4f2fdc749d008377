/* SPDX-License-Identifier: MIT */
/* Which zlib streams any decoder may be trusted with. */
#ifndef PACKHORSE_UNPACK_INT_H
#define PACKHORSE_UNPACK_INT_H

#include <packhorse/unpack.h>

/*
 * Whether all decoders agree on the stream that data begins with, should one of them inflate it
 * without an error. len may be too short for it, or go past it.
 */
bool ph__unpack_plain(const uint8_t *data, size_t len);

#endif
