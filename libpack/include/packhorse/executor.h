/* SPDX-License-Identifier: MIT */
/*
 * Threads of the owner's, for one job that can be done in parts side by side. The library starts
 * none of its own: who brings no executor has everything done by the thread that calls.
 */
#ifndef PACKHORSE_EXECUTOR_H
#define PACKHORSE_EXECUTOR_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_executor {
	void *user;
	/* How many parts are worth having at once: the threads that there are. 1 or more. */
	uint32_t width;
	/*
	 * Has run(arg) called once, by any thread, soon, and never from inside this call. From any
	 * thread; must not block. PH_ERR_BUSY or PH_ERR_NOMEM: it will not be called. A part works
	 * in slices of a few milliseconds and submits itself again, so that parts of several jobs
	 * take turns.
	 */
	enum ph_status (*submit)(void *user, void (*run)(void *arg), void *arg);
	/* Locks for what the parts share; never NULL here. */
	const struct ph_sync *sync;
};

#ifdef __cplusplus
}
#endif
#endif
