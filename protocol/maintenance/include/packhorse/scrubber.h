/* SPDX-License-Identifier: MIT */
/*
 * Looking for rot in the background: a session (session.h) without bytes in or out that reads all
 * that a store has (scrub.h), over and over, spread evenly over packhorse.scrubDays, and writes
 * what it finds to the log. It never ends by itself; its owner runs it beside everything else, and
 * frees it when it likes. What it has come to is kept in a setting of the store, once an hour, so
 * that the next one goes on there.
 *
 *   ph_scrubber_open(&s, &service);
 *   for (;;)  if (ph_session_state(s) & PH_WANT_RUN)  ph_session_run(s, now_ms, wall_s, 64);
 *             else                                    wait until ph_session_deadline(s), then run
 * it ph_session_free(s);
 */
#ifndef PACKHORSE_SCRUBBER_H
#define PACKHORSE_SCRUBBER_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/* service: store, alloc, limits and log are used. PH_ERR_NOMEM. */
PH_MUST_CHECK PH_API enum ph_status ph_scrubber_open(struct ph_session **out,
                                                     const struct ph_service *service);

/* What is kept of it; times are seconds since 1970, 0: never, or not known. */
struct ph_scrubber_state {
	uint64_t began_s; /* the round that is under way */
	uint64_t findings;
	uint64_t ended_s; /* the last one that was complete */
	uint64_t ended_findings;
	char after[PH_REPO_NAME_MAX + 1]; /* the last repository that was read; "": none */
};

/* All zero when there is none. PH_ERR_NOMEM, PH_ERR_IO, PH_ERR_CORRUPT. */
PH_MUST_CHECK PH_API enum ph_status ph_scrubber_state_load(struct ph_store *store,
                                                           struct ph_scrubber_state *out);
PH_MUST_CHECK PH_API enum ph_status ph_scrubber_state_save(struct ph_store *store,
                                                           const struct ph_scrubber_state *state);

#ifdef __cplusplus
}
#endif
#endif
