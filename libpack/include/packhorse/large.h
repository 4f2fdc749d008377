/* SPDX-License-Identifier: MIT */
/*
 * A large object from front to back in pieces, whatever it is stored as: also a delta on a large
 * base, which may be one itself. Nothing of it is ever in memory as a whole. One user at a time.
 */
#ifndef PACKHORSE_LARGE_H
#define PACKHORSE_LARGE_H

#include <packhorse/reader.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Deltas one upon the other, above a base that is whole or small. */
#define PH_LARGE_LINKS_MAX 64u

struct ph_large;

/*
 * reader must outlive it; it reads small bases. Takes about as much memory as two objects that the
 * limits let stay in memory, 8 MiB at most. PH_ERR_LIMIT when the chain has more links than above;
 * PH_ERR_CORRUPT, PH_ERR_NOMEM, read errors.
 */
PH_MUST_CHECK PH_API enum ph_status ph_large_open(struct ph_large **out, struct ph_reader *reader,
                                                  struct ph_loc loc, const struct ph_alloc *alloc,
                                                  const struct ph_limits *limits);
PH_API void ph_large_free(struct ph_large *large);
PH_API enum ph_object_type ph_large_type(const struct ph_large *large);
PH_API uint64_t ph_large_size(const struct ph_large *large);
/* Begins again at the front. */
PH_API void ph_large_rewind(struct ph_large *large);
/*
 * The next bytes. PH_OK with *used > 0, or with 0 when the budget is spent: call it again; PH_END
 * behind the last byte. PH_ERR_LIMIT when its deltas jump about so much that it takes far more work
 * than all objects of the chain are large.
 */
PH_MUST_CHECK PH_API enum ph_status ph_large_read(struct ph_large *large, uint8_t *buf, size_t room,
                                                  size_t *used, uint32_t *budget);

#ifdef __cplusplus
}
#endif
#endif
