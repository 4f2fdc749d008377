/* SPDX-License-Identifier: MIT */
/*
 * Maintenance in the background: one thread of low priority runs one session at a time, for the
 * repositories that a queue names (maintenance.h), and between two of them looks for rot
 * (scrubber.h). It takes what cores have left, gives way in
 * memory by itself, and ends at once when the server does: what was not committed is as if it had
 * never begun.
 */
#include "daemon_int.h"
#include <packhorse/maintenance.h>
#include <packhorse/scrubber.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Work units of one run: how soon it sees that the server ends. */
#define SLICE_UNITS 512u
/* Nicer than the threads of long transfers. */
#define NICE 10

struct ph_keeper {
	struct ph_service service;
	struct ph_maintenance_queue *queue;
	struct ph_session *scrubber; /* looks for rot while nothing is to be maintained */
	uv_mutex_t lock;
	uv_cond_t ready;
	uv_thread_t thread;
	bool running, stopping;
	bool woken; /* the session's wake came */
};

static void on_wake(void *user, struct ph_session *session)
{
	struct ph_keeper *keeper = user;

	(void)session;
	uv_mutex_lock(&keeper->lock);
	keeper->woken = true;
	uv_cond_signal(&keeper->ready);
	uv_mutex_unlock(&keeper->lock);
}

/* Waits, locked, for a signal or until then. */
static void wait_until(struct ph_keeper *keeper, uint64_t at_ms)
{
	uint64_t now_ms = ph__now_ms();

	if (at_ms == PH_NO_DEADLINE)
		uv_cond_wait(&keeper->ready, &keeper->lock);
	else if (at_ms > now_ms)
		(void)uv_cond_timedwait(&keeper->ready, &keeper->lock, (at_ms - now_ms) * 1000000);
}

/* Whether the session is to be run, after waiting for that; false when the server ends. */
static bool wait_for(struct ph_keeper *keeper, const struct ph_session *session)
{
	bool stopping;

	uv_mutex_lock(&keeper->lock);
	while (!keeper->woken && !(keeper->stopping && !ph_session_busy(session)) &&
	       !(ph_session_state(session) & PH_WANT_RUN) &&
	       ph__now_ms() < ph_session_deadline(session))
		wait_until(keeper, ph_session_deadline(session));
	keeper->woken = false;
	/* A commit on its way to the disk has to arrive first. */
	stopping = keeper->stopping && !ph_session_busy(session);
	uv_mutex_unlock(&keeper->lock);
	return !stopping;
}

/* Returns the exit status. */
static int maintain(struct ph_keeper *keeper, const char *repo, enum ph_maintenance_extent extent)
{
	struct ph_session *session;
	int exit_status = 2;

	if (ph_maintenance_open(&session, &keeper->service, repo, extent) != PH_OK)
		return exit_status;
	while (!(ph_session_state(session) & PH_DONE) && wait_for(keeper, session))
		ph_session_run(session, ph__now_ms(), ph__wall_s(), SLICE_UNITS);
	if (ph_session_state(session) & PH_DONE)
		exit_status = ph_session_exit_status(session);
	ph_session_free(session);
	/* Its many small blocks go back to the system: free alone keeps them for later. */
	(void)malloc_trim(0);
	return exit_status;
}

/* When the scrubber's next piece is due. */
static uint64_t scrub_at(const struct ph_keeper *keeper)
{
	unsigned state = ph_session_state(keeper->scrubber);

	if (state & PH_DONE)
		return PH_NO_DEADLINE;
	return state & PH_WANT_RUN ? 0 : ph_session_deadline(keeper->scrubber);
}

/* Nothing is to be maintained before then: a piece of the scrubber, or sleep. Locked. */
static void idle(struct ph_keeper *keeper, uint64_t at_ms)
{
	uint64_t now_ms = ph__now_ms(), scrub_ms = scrub_at(keeper);

	if (scrub_ms > now_ms) {
		wait_until(keeper, scrub_ms < at_ms ? scrub_ms : at_ms);
		return;
	}
	uv_mutex_unlock(&keeper->lock);
	ph_session_run(keeper->scrubber, now_ms, ph__wall_s(), SLICE_UNITS);
	uv_mutex_lock(&keeper->lock);
}

static void thread_main(void *arg)
{
	struct ph_keeper *keeper = arg;
	char repo[PH_REPO_NAME_MAX + 1];
	enum ph_maintenance_extent extent;
	uint64_t at_ms;

	/* Linux gives every thread a nice value of its own. Failing is harmless. */
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	uv_mutex_lock(&keeper->lock);
	while (!keeper->stopping) {
		uint64_t began_ms = ph__now_ms();
		int exit_status;

		if (ph_maintenance_queue_next(keeper->queue, began_ms, repo, &extent, &at_ms) !=
		    PH_OK) {
			idle(keeper, at_ms);
			continue;
		}
		uv_mutex_unlock(&keeper->lock);
		exit_status = maintain(keeper, repo, extent);
		uv_mutex_lock(&keeper->lock);
		ph_maintenance_queue_ended(keeper->queue, repo, ph__now_ms(),
		                           ph__now_ms() - began_ms, exit_status);
	}
	uv_mutex_unlock(&keeper->lock);
}

struct ph_keeper *ph__keeper_new(const struct ph_service *service)
{
	struct ph_keeper *keeper = calloc(1, sizeof *keeper);
	uint64_t now_ms = ph__now_ms();

	if (!keeper)
		return NULL;
	keeper->service = *service;
	keeper->service.wake_user = keeper;
	keeper->service.wake = on_wake;
	if (ph_maintenance_queue_new(&keeper->queue, service->store, service->alloc, now_ms) !=
	    PH_OK) {
		free(keeper);
		return NULL;
	}
	if (ph_scrubber_open(&keeper->scrubber, &keeper->service) != PH_OK) {
		ph_maintenance_queue_free(keeper->queue);
		free(keeper);
		return NULL;
	}
	uv_mutex_init(&keeper->lock);
	uv_cond_init(&keeper->ready);
	keeper->running = uv_thread_create(&keeper->thread, thread_main, keeper) == 0;
	if (keeper->running)
		return keeper;
	ph__keeper_free(keeper);
	return NULL;
}

void ph__keeper_changed(void *user, const char *repo)
{
	struct ph_keeper *keeper = user;

	uv_mutex_lock(&keeper->lock);
	ph_maintenance_queue_changed(keeper->queue, repo, ph__now_ms());
	uv_cond_signal(&keeper->ready);
	uv_mutex_unlock(&keeper->lock);
}

void ph__keeper_stop(struct ph_keeper *keeper)
{
	if (!keeper)
		return;
	uv_mutex_lock(&keeper->lock);
	keeper->stopping = true;
	uv_cond_signal(&keeper->ready);
	uv_mutex_unlock(&keeper->lock);
}

void ph__keeper_free(struct ph_keeper *keeper)
{
	if (!keeper)
		return;
	ph__keeper_stop(keeper);
	if (keeper->running)
		uv_thread_join(&keeper->thread);
	ph_maintenance_queue_free(keeper->queue);
	ph_session_free(keeper->scrubber);
	uv_cond_destroy(&keeper->ready);
	uv_mutex_destroy(&keeper->lock);
	free(keeper);
}
