/* SPDX-License-Identifier: MIT */
/*
 * The owner command "repo maintain NAME": a maintenance session (maintenance.h) inside this one,
 * run slice by slice. What it would write to the log goes to the person who asked as well.
 */
#include "admin_int.h"

#include <packhorse/maintenance.h>
#include <stdio.h>
#include <string.h>

/* Lines of one slice and a few more fit; what does not is in the log. */
static void on_line(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                    const char *message)
{
	struct admin *admin = user;
	const struct ph_log *log = admin->session.service.log;
	char line[512];
	int len = snprintf(line, sizeof(line), "%s\n", message);

	if (log && level <= log->level)
		log->write(log->user, level, source, connection, message);
	if (len > 0 && (size_t)len < sizeof(line) &&
	    (size_t)len <= ph__session_room(&admin->session, PH_STREAM_OUT))
		ph__admin_print(admin, line);
	admin->maintained = true;
}

static void on_wake(void *user, struct ph_session *session)
{
	struct admin *admin = user;

	(void)session;
	ph__session_wake(&admin->session);
}

static enum ph_status open_inner(struct admin *admin)
{
	struct ph_service service = admin->session.service;

	admin->inner_log = (struct ph_log){admin, PH_LOG_INFO, on_line};
	service.log = &admin->inner_log;
	if (service.wake) {
		service.wake_user = admin;
		service.wake = on_wake;
	}
	return ph_maintenance_open(&admin->inner, &service, admin->repo, PH_MAINTENANCE_WHOLE);
}

static enum ph_step done(struct admin *admin)
{
	int exit_status = ph_session_exit_status(admin->inner);

	if (exit_status == 2)
		ph__session_error_line(&admin->session,
		                       "something is left: others were in the way; try again");
	else if (exit_status == 0 && !admin->maintained)
		ph__admin_print(admin, "nothing was due\n");
	return ph__admin_end(admin, exit_status != 0);
}

enum ph_step ph__admin_maintain(struct admin *admin, uint32_t *budget)
{
	struct ph_session *session = &admin->session;
	struct ph_snapshot *snapshot;
	enum ph_status status = PH_OK;
	uint64_t spent;

	if (!admin->inner) {
		status = ph_store_snapshot(session->service.store, admin->repo, &snapshot);
		if (status == PH_OK) {
			ph_snapshot_release(snapshot);
			status = open_inner(admin);
		}
		if (status != PH_OK)
			return ph__admin_fail(admin, status);
	}
	if (ph_session_state(admin->inner) & PH_DONE)
		return done(admin);
	if ((ph_session_state(admin->inner) & PH_WANT_RUN) ||
	    session->now_ms >= ph_session_deadline(admin->inner)) {
		spent = ph_session_spent(admin->inner);
		ph_session_run(admin->inner, session->now_ms, session->wall_s, *budget);
		ph_budget_spend(budget, ph_session_spent(admin->inner) - spent);
	}
	session->busy = ph_session_busy(admin->inner);
	session->deadline_ms = ph_session_deadline(admin->inner);
	return (ph_session_state(admin->inner) & (PH_WANT_RUN | PH_DONE)) ? PH_STEP_AGAIN
	                                                                  : PH_STEP_WAIT;
}
