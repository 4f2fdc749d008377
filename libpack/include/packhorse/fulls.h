/* SPDX-License-Identifier: MIT */
/*
 * Full entries: what a shallow clone needs of a pack as whole objects, compressed and ready to go.
 * A pack keeps most objects as deltas on others, and of these others a clone without history has
 * few: it would have to be made anew while it waits. Made in the background from what one walk
 * selected, the newest version of everything, and kept beside the pack as an auxiliary section:
 * without it every reader is correct, only slower.
 *
 * The section, all integers big endian: "PHFL", u8 version 1, u8 hash (1 SHA-1, 2 SHA-256), u16 0,
 * u32 entries of the pack, u32 0; then pack entries (gitformat-pack), none a delta, one behind the
 * other; then a table of { u32 rank in the pack, u32 0, u64 offset of the entry in the section, u64
 * of what follows it }, by rank; then u64 offset of the table, u32 records, "PHFE".
 */
#ifndef PACKHORSE_FULLS_H
#define PACKHORSE_FULLS_H

#include <packhorse/walk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A reader: immutable after init, nothing to release. */
struct ph_fulls {
	const struct ph_bytes *bytes;
	uint32_t pack;
	uint32_t count;
	uint64_t table_at;
};

/* bytes must outlive it. PH_ERR_UNSUPPORTED when it is no such section of this pack; read errors.
 */
PH_MUST_CHECK PH_API enum ph_status ph_fulls_init(struct ph_fulls *fulls,
                                                  const struct ph_source *source, uint32_t pack,
                                                  const struct ph_bytes *bytes);
/* Where the entry for the object at a rank of the pack lies in bytes. PH_ERR_NOT_FOUND. */
PH_MUST_CHECK PH_API enum ph_status ph_fulls_find(const struct ph_fulls *fulls, uint32_t rank,
                                                  uint64_t *offset, uint64_t *end);

/*
 * Makes the section for one pack: of the objects of the pack that a walk has selected, those that
 * are stored as deltas on something that was not. In small steps, for a background job.
 */
struct ph_fulls_maker;

struct ph_fulls_options {
	const struct ph_source *source; /* the walk's */
	const struct ph_walk *walk;     /* has run */
	uint32_t pack;
	struct ph_sink *sink; /* empty; the caller's, also on failure */
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	uint64_t bytes_max; /* what does not fit is left out */
};

PH_MUST_CHECK PH_API enum ph_status ph_fulls_maker_new(struct ph_fulls_maker **out,
                                                       const struct ph_fulls_options *options);
PH_API void ph_fulls_maker_free(struct ph_fulls_maker *maker);
/* PH_AGAIN; PH_OK when the section is written whole; errors are final. */
PH_MUST_CHECK PH_API enum ph_status ph_fulls_maker_run(struct ph_fulls_maker *maker,
                                                       uint32_t *budget);
/* After PH_OK: how many entries it has. None: the section is of no use. */
PH_API uint32_t ph_fulls_maker_count(const struct ph_fulls_maker *maker);

#ifdef __cplusplus
}
#endif
#endif
