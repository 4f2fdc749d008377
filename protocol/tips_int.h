/* SPDX-License-Identifier: MIT */
/*
 * What a push has proved of its pack, kept beside it: every object of the pack is reachable from
 * these tips, but for copies of objects that lay in other packs before (bases of a thin pack). Ids
 * name contents, so this stays true for ever, whatever becomes of the refs. Who asks for tips of
 * all packs of a repository gets the packs as they are, without a walk.
 *
 * Maintenance keeps this true. Of some packs joined into one, the notes are put together: tips are
 * those of all, a copy is what was only a copy in each (maint_note.c); if one has no note, nor has
 * the new pack. Of all packs joined into one, only what refs reach is kept, whose values are the
 * tips. What refs do not reach is dropped then rather than kept apart, so there are no packs that a
 * whole answer would have to leave out, and none that could hold the only copy of something that is
 * reachable again: a push whose base may still hold such objects keeps them from being dropped
 * (store.h), and one that begins later does not find them. Between two joinings unreachable objects
 * lie in packs whose tips nobody's wants reach, so that whole answers stop and everything is walked
 * for.
 *
 * The section, all integers big endian: "PHTI", u8 version 1, u8 hash (1 SHA-1, 2 SHA-256), u16 0,
 * u32 entries of the pack, u32 tips, u32 copies, then the tips as hashes, then the copies' ranks in
 * the pack as u32, ascending. It says nothing false: without it, everything works as well.
 */
#ifndef PACKHORSE_TIPS_INT_H
#define PACKHORSE_TIPS_INT_H

#include <packhorse/store.h>

#define PH__SECTION_TIPS PH_SECTION_AUX
/* Beyond these nothing is noted. A mirror's first push has a tip for each of its tags. */
#define PH__TIPS_MAX 65536u
#define PH__TIPS_COPIES_MAX 16384u

/* A reader: the numbers, checked against the section's size. */
struct ph__tips {
	const struct ph_bytes *bytes;
	enum ph_hash_algo algo;
	uint32_t entries, tips, copies;
};

/* Writes all but the tips and the copies, which follow by the other two, in this order. */
enum ph_status ph__tips_write(struct ph_sink *sink, enum ph_hash_algo algo, uint32_t entries,
                              uint32_t tips, uint32_t copies);
enum ph_status ph__tips_write_tip(struct ph_sink *sink, enum ph_hash_algo algo,
                                  const struct ph_oid *oid);
enum ph_status ph__tips_write_copy(struct ph_sink *sink, uint32_t rank);

/* PH_ERR_UNSUPPORTED when it is not such a section of a pack of so many entries; read errors. */
PH_MUST_CHECK enum ph_status ph__tips_open(struct ph__tips *tips, const struct ph_bytes *bytes,
                                           enum ph_hash_algo algo, uint32_t entries);
PH_MUST_CHECK enum ph_status ph__tips_tip(const struct ph__tips *tips, uint32_t number,
                                          struct ph_oid *out);
/* PH_ERR_CORRUPT when it is no rank of the pack. */
PH_MUST_CHECK enum ph_status ph__tips_copy(const struct ph__tips *tips, uint32_t number,
                                           uint32_t *rank);

#endif
