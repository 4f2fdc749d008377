/* SPDX-License-Identifier: MIT */
/*
 * A pack going out: the objects that a walk selected, as a packfile (gitformat-pack version 2),
 * made as it is taken. Stored entries are copied as they are: whole objects, and deltas whose base
 * goes out before them or, with thin, is known to be had. Other deltas are replaced by full entries
 * that were made before (fulls.h), or re-encoded as whole objects. It never searches for deltas,
 * and it never sends what was not selected. Memory is a few bytes an object and two windows.
 */
#ifndef PACKHORSE_PACK_OUT_H
#define PACKHORSE_PACK_OUT_H

#include <packhorse/fulls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_pack_out;

struct ph_pack_out_options {
	const struct ph_source *source; /* the walk's */
	const struct ph_walk *walk;     /* has run; NULL: every object of the source */
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	/* Full entries that were made before, for some of the packs; they outlive it. */
	const struct ph_fulls *fulls;
	uint32_t fulls_count;
	bool ofs_delta; /* the client takes OFS_DELTA; otherwise they become REF_DELTA */
	bool thin;      /* REF_DELTA against objects that the client has */
	/* Count deltas in packs that are copied whole as well. That needs a look at every entry. */
	bool count_deltas;
};

struct ph_pack_out_stats {
	uint32_t objects; /* in the pack */
	uint32_t written; /* so far */
	uint32_t deltas;  /* written as deltas; see count_deltas */
	uint32_t reused;  /* written as stored */
	uint64_t bytes;   /* given out so far */
};

PH_MUST_CHECK PH_API enum ph_status ph_pack_out_new(struct ph_pack_out **out,
                                                    const struct ph_pack_out_options *options);
PH_API void ph_pack_out_free(struct ph_pack_out *out);
/*
 * Writes up to len bytes; *used says how many.
 *   PH_OK     buf is full
 *   PH_AGAIN  budget spent, *used may be less than len
 *   PH_END    the pack is complete with its trailer (*used may be more than 0)
 *   errors    PH_ERR_CORRUPT, _IO, _NOMEM, _LIMIT: final. The trailer is never written then, so a
 *             broken stream cannot look whole.
 */
PH_MUST_CHECK PH_API enum ph_status ph_pack_out_read(struct ph_pack_out *out, uint8_t *buf,
                                                     size_t len, size_t *used, uint32_t *budget);
/*
 * After an error: the object that could not be read or made, for those who have to be told. Reads
 * up to a MiB. PH_ERR_NOT_FOUND when that cannot be told.
 */
PH_MUST_CHECK PH_API enum ph_status ph_pack_out_culprit(const struct ph_pack_out *out,
                                                        struct ph_oid *oid);
PH_API const struct ph_pack_out_stats *ph_pack_out_stats(const struct ph_pack_out *out);

#ifdef __cplusplus
}
#endif
#endif
