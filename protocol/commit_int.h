/* SPDX-License-Identifier: MIT */
/*
 * Commits a transaction out of a session's step, without blocking the thread when the store can
 * tell later; and waits for whoever else answers PH_PENDING. Kept apart because of one race: the
 * wake comes from any thread, and the owner may run the session to its end before the call that
 * woke it has returned.
 */
#ifndef PACKHORSE_COMMIT_INT_H
#define PACKHORSE_COMMIT_INT_H

#include "session_int.h"

struct ph__commit {
	struct ph_session *session;
	atomic_int wake; /* what the store's wake has done so far */
};

/* One for all commits of a session, which it is part of. Nothing to release. */
void ph__commit_init(struct ph__commit *commit, struct ph_session *session);
/*
 * As ph_txn_commit. PH_PENDING: answer PH_STEP_WAIT and call again in the next step; PH_AGAIN: the
 * same with PH_STEP_AGAIN. The session is busy until another status comes.
 */
PH_MUST_CHECK enum ph_status ph__commit_run(struct ph__commit *commit, struct ph_txn *txn);
/*
 * The same for any call that may answer PH_PENDING and then calls wake(arg), once, from any thread:
 * it is made again after that.
 */
typedef enum ph_status ph__commit_call(void *user, ph_wake wake, void *arg);
PH_MUST_CHECK enum ph_status ph__commit_ask(struct ph__commit *commit, ph__commit_call *call,
                                            void *user);
/* The answer for PH_PENDING and PH_AGAIN. */
static inline enum ph_step ph__commit_step(enum ph_status status)
{
	return status == PH_PENDING ? PH_STEP_WAIT : PH_STEP_AGAIN;
}

#endif
