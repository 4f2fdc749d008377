/* SPDX-License-Identifier: MIT */
/*
 * zlib streams, behind one wrapper of the compression library. An inflater gives exactly the
 * declared number of bytes: fewer, one more, or a broken stream is an error.
 */
#ifndef PACKHORSE_INFLATE_H
#define PACKHORSE_INFLATE_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_inflate; /* about 40 KiB, reusable for any number of streams */

PH_MUST_CHECK PH_API enum ph_status ph_inflate_new(struct ph_inflate **out,
                                                   const struct ph_alloc *alloc);
PH_API void ph_inflate_free(struct ph_inflate *inflate);
/* Another that goes on from the same place. */
PH_MUST_CHECK PH_API enum ph_status ph_inflate_copy(struct ph_inflate **out,
                                                    const struct ph_inflate *from);
/* Starts a stream that must inflate to exactly size bytes. */
PH_API void ph_inflate_start(struct ph_inflate *inflate, uint64_t size);
/*
 * Takes from in and gives to out what it can, moving *in_pos and *out_pos.
 *   PH_OK        out is full, or in is used up: go on with more
 *   PH_END       the stream ended at its declared size; *in_pos is behind its last byte
 *   PH_ERR_ZLIB  broken, too long or too short; PH_ERR_NOMEM
 * The end is only noticed by a call with input, and out may be full or empty then.
 */
PH_MUST_CHECK PH_API enum ph_status ph_inflate_step(struct ph_inflate *inflate, const uint8_t *in,
                                                    size_t *in_pos, size_t in_len, uint8_t *out,
                                                    size_t *out_pos, size_t out_len);

struct ph_deflate; /* about 270 KiB */

/* level 0 to 9. */
PH_MUST_CHECK PH_API enum ph_status ph_deflate_new(struct ph_deflate **out,
                                                   const struct ph_alloc *alloc, int level);
/* The same without zlib's header and checksum (RFC 1951), as gzip and zip hold it. */
PH_MUST_CHECK PH_API enum ph_status ph_deflate_new_raw(struct ph_deflate **out,
                                                       const struct ph_alloc *alloc, int level);
PH_API void ph_deflate_free(struct ph_deflate *deflate);
PH_API void ph_deflate_start(struct ph_deflate *deflate);
/* As ph_inflate_step; finish says that no input follows, PH_END comes when all is out. */
PH_MUST_CHECK PH_API enum ph_status ph_deflate_step(struct ph_deflate *deflate, const uint8_t *in,
                                                    size_t *in_pos, size_t in_len, uint8_t *out,
                                                    size_t *out_pos, size_t out_len, bool finish);

#ifdef __cplusplus
}
#endif
#endif
