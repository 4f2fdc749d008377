/* SPDX-License-Identifier: MIT */
/*
 * Maintenance of one repository as a session (session.h) without bytes in or out: it makes the maps
 * of packs (map.h), joins packs so that a repository has few, and lets go of what nobody can reach
 * any more. It runs when its owner has nothing more urgent to do, claims its memory from the same
 * budget as transfers, waits while these need it, and can be freed between any two slices: what was
 * not committed is gone, and the next one begins again.
 */
#ifndef PACKHORSE_MAINTENANCE_H
#define PACKHORSE_MAINTENANCE_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A session that does what is due and is DONE, at once when nothing is. Its exit status is 0; 1
 * when it failed, with the reason in the log. service: store, alloc, limits, log, wake and memory
 * are used. PH_ERR_NOMEM. One at a time for a repository; a second one finds its commit refused and
 * ends.
 */
PH_MUST_CHECK PH_API enum ph_status ph_maintenance_open(struct ph_session **out,
                                                        const struct ph_service *service,
                                                        const char *repo);

#ifdef __cplusplus
}
#endif
#endif
