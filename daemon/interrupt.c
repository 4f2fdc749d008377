/* SPDX-License-Identifier: MIT */
/*
 * SIGINT and its like, for tools that must take something away before they end. The signals are
 * held back and looked for between slices of work, so there is no handler and no state; once all
 * is clean they are let through, and end the program as they would have, which is what shells and
 * scripts look at.
 */
#include "tools_int.h"
#include <pthread.h>
#include <signal.h>

static void ours(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void ph__interrupt_hold(void)
{
	sigset_t set;

	ours(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool ph__interrupt_waits(void)
{
	sigset_t set;

	return sigpending(&set) == 0 &&
	       (sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1 ||
	        sigismember(&set, SIGHUP) == 1);
}

void ph__interrupt_release(void)
{
	sigset_t set;

	ours(&set);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
