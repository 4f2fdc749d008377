/* SPDX-License-Identifier: MIT */
/*
 * Maintenance of one repository as a session (session.h) without bytes in or out: it makes the maps
 * of packs (map.h), joins packs so that a repository has few, and lets go of what nobody can reach
 * any more. It runs when its owner has nothing more urgent to do, claims its memory from the same
 * budget as transfers, waits while these need it, and can be freed between any two slices: what was
 * not committed is gone, and the next one begins again.
 *
 * What no ref reaches is dropped when it is all of some pack, and when all packs are joined: when
 * those of later pushes weigh a sixteenth of the largest one and pushes have earned what that
 * writes, when they weigh three times as much, or when a third of all objects is out of reach. It
 * is gone then. Snapshots and transactions that are open keep what they can see, as store.h says.
 *
 * An embedder runs it by hand, whenever it likes, as it runs any session:
 *
 *   ph_maintenance_open(&s, &service, "hello", PH_MAINTENANCE_WHOLE);
 *   while (!(ph_session_state(s) & PH_DONE))
 *           if (ph_session_state(s) & PH_WANT_RUN)  ph_session_run(s, now_ms, wall_s, 1024);
 *           else  wait for wake(s) or until ph_session_deadline(s), then run it
 *   ph_session_free(s);
 */
#ifndef PACKHORSE_MAINTENANCE_H
#define PACKHORSE_MAINTENANCE_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_maintenance_extent {
	/* All that is due. */
	PH_MAINTENANCE_WHOLE,
	/* More pushes may come soon: what they would make worthless is left for later. */
	PH_MAINTENANCE_LIGHT
};

/*
 * A session that does what is due and is DONE, at once when nothing is. Its exit status is 0; 1
 * when it failed, with the reason in the log; 2 when others were in the way and something is left
 * to do; 3 when something is left because it was to be light. service: store, alloc, limits, log,
 * wake and memory are used. PH_ERR_NOMEM. One at a time for a repository; a second one finds its
 * commit refused and ends.
 */
PH_MUST_CHECK PH_API enum ph_status ph_maintenance_open(struct ph_session **out,
                                                        const struct ph_service *service,
                                                        const char *repo,
                                                        enum ph_maintenance_extent extent);

/*
 * Which repository is to be looked after next: for an owner that runs maintenance by itself. Every
 * repository is once, a moment after the beginning; then those that changed, lightly when no push
 * has come for a moment and wholly when none has come for longer, and none so often that it takes
 * more than a small part of the time. One user at a time: the owner locks.
 */
struct ph_maintenance_queue;

/* store must outlive it; now_ms: when it begins, by the clock of the others. PH_ERR_NOMEM. */
PH_MUST_CHECK PH_API enum ph_status ph_maintenance_queue_new(struct ph_maintenance_queue **out,
                                                             struct ph_store *store,
                                                             const struct ph_alloc *alloc,
                                                             uint64_t now_ms);
PH_API void ph_maintenance_queue_free(struct ph_maintenance_queue *queue);
/* For ph_service.changed. What cannot be noted makes all repositories due. */
PH_API void ph_maintenance_queue_changed(struct ph_maintenance_queue *queue, const char *repo,
                                         uint64_t now_ms);
/*
 * PH_OK: out, of PH_REPO_NAME_MAX + 1 bytes, names the one to maintain now, and extent says how;
 * tell ended when that has. PH_END: none is due before *at_ms, which may be PH_NO_DEADLINE.
 */
PH_MUST_CHECK PH_API enum ph_status ph_maintenance_queue_next(struct ph_maintenance_queue *queue,
                                                              uint64_t now_ms, char *out,
                                                              enum ph_maintenance_extent *extent,
                                                              uint64_t *at_ms);
/* The session has ended, which took so long by the clock, with this exit status. */
PH_API void ph_maintenance_queue_ended(struct ph_maintenance_queue *queue, const char *repo,
                                       uint64_t now_ms, uint64_t took_ms, int exit_status);

#ifdef __cplusplus
}
#endif
#endif
