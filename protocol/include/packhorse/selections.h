/* SPDX-License-Identifier: MIT */
/*
 * Answers that sessions share. When many clients ask the same of the same state of a repository at
 * the same time, fifteen people who clone what was just pushed, one session selects what goes and
 * the others wait for it, and all send from one selection. It is kept as long as a session sends
 * from it.
 *
 * One for all sessions of an owner, given to them in struct ph_service. Thread-safe when it has a
 * ph_sync.
 */
#ifndef PACKHORSE_SELECTIONS_H
#define PACKHORSE_SELECTIONS_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_selections;

/* alloc and sync must outlive it; sync is NULL for one thread. PH_ERR_NOMEM. */
PH_MUST_CHECK PH_API enum ph_status ph_selections_new(struct ph_selections **out,
                                                      const struct ph_alloc *alloc,
                                                      const struct ph_sync *sync);
/* When no session uses it any more. NULL is fine. */
PH_API void ph_selections_free(struct ph_selections *selections);

/* Since it was made: selections that sessions made, and that they took from another. */
struct ph_selections_counts {
	uint64_t made, shared;
};
PH_API void ph_selections_counts(struct ph_selections *selections,
                                 struct ph_selections_counts *out);

#ifdef __cplusplus
}
#endif
#endif
