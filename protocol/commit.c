/* SPDX-License-Identifier: MIT */
/*
 * The commit of a transaction as part of a session. It stays busy, so that its owner does not free
 * it, until the store's wake has not only come but returned: that call reads the session to find
 * the owner's own wake, and the owner may act on that at once, on another thread.
 */
#include "commit_int.h"

#include <assert.h>

enum { WAKE_NONE, WAKE_ENTERED, WAKE_LEFT };

static void woken(void *arg)
{
	struct ph__commit *commit = arg;

	atomic_store(&commit->wake, WAKE_ENTERED);
	ph__session_wake(commit->session);
	/* The last touch: from here on the session may be freed. */
	atomic_store(&commit->wake, WAKE_LEFT);
}

void ph__commit_init(struct ph__commit *commit, struct ph_session *session)
{
	commit->session = session;
	atomic_init(&commit->wake, WAKE_NONE);
}

enum ph_status ph__commit_ask(struct ph__commit *commit, ph__commit_call *call, void *user)
{
	struct ph_session *session = commit->session;
	enum ph_status status;

	assert(session);
	if (session->busy) {
		int wake = atomic_load(&commit->wake);

		if (wake == WAKE_NONE)
			return PH_PENDING;
		if (wake == WAKE_ENTERED)
			return PH_AGAIN;
		session->busy = false;
	}
	atomic_store(&commit->wake, WAKE_NONE);
	status = call(user, woken, commit);
	if (status != PH_PENDING)
		return status;
	session->busy = true;
	/* It may have come already; the owner's wake is then as good as lost within this run. */
	return atomic_load(&commit->wake) == WAKE_NONE ? PH_PENDING : PH_AGAIN;
}

/* Without an owner to tell, the store waits itself. */
static enum ph_status run(void *user, ph_wake wake, void *arg)
{
	struct ph__commit *commit = arg;

	return ph_txn_commit(user, commit->session->service.wake ? wake : NULL, arg);
}

enum ph_status ph__commit_run(struct ph__commit *commit, struct ph_txn *txn)
{
	assert(txn);
	return ph__commit_ask(commit, run, txn);
}
