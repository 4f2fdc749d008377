/* SPDX-License-Identifier: MIT */
/*
 * Several stored packs made into one, for maintenance: each object once, with entries as they are
 * stored. Deltas whose base moved get another distance, and a base that lay in two packs is the one
 * that is kept; only a delta whose base is left out, or whose chain would be too long, is encoded
 * again as a whole object. Nothing is hashed or parsed anew: ids, types and sizes come from the
 * indexes. Bases go before what builds on them, so every delta is an OFS_DELTA and none is in a
 * cycle. Memory is 26 bytes an object and a few windows; see ph_footprint_pack_join.
 */
#ifndef PACKHORSE_PACK_JOIN_H
#define PACKHORSE_PACK_JOIN_H

#include <packhorse/walk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Packs that can be joined at once: their indexes are read side by side. */
#define PH_PACK_JOIN_MAX 64u

struct ph_pack_join;

struct ph_pack_join_options {
	const struct ph_source *source;
	const uint32_t *packs;                 /* of the source, ascending */
	const struct ph_bytes *const *indexes; /* theirs (pack_index.h), in the same order */
	uint32_t count;
	/* Keeps what this walk over the same source selected, and packs are all there are. NULL:
	 * keeps everything. */
	const struct ph_walk *walk;
	struct ph_sink *run, *index; /* empty */
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
};

struct ph_pack_join_stats {
	uint32_t objects; /* in the new pack */
	uint32_t dropped; /* objects that were left out, copies of others not counted */
	uint32_t encoded; /* written as whole objects although they were deltas */
	uint64_t bytes;   /* of the new run */
};

/* What the options point to must outlive it. PH_ERR_LIMIT: too many packs or objects. */
PH_MUST_CHECK PH_API enum ph_status ph_pack_join_new(struct ph_pack_join **out,
                                                     const struct ph_pack_join_options *options);
PH_API void ph_pack_join_free(struct ph_pack_join *join);
/*
 * PH_AGAIN; PH_OK when run and index are whole (of 0 objects: an empty run and a valid index); an
 * error is final: PH_ERR_CORRUPT, the sinks', PH_ERR_LIMIT when an object that must be encoded
 * again is larger than delta_resident_bytes_max and too many deltas deep, ...
 */
PH_MUST_CHECK PH_API enum ph_status ph_pack_join_run(struct ph_pack_join *join, uint32_t *budget);
PH_API const struct ph_pack_join_stats *ph_pack_join_stats(const struct ph_pack_join *join);
/*
 * After PH_OK: the rank in the new pack of the object that the number-th of the packs has at pos.
 * False when it was left out.
 */
PH_API bool ph_pack_join_rank(const struct ph_pack_join *join, uint32_t number, uint32_t pos,
                              uint32_t *rank);

#ifdef __cplusplus
}
#endif
#endif
