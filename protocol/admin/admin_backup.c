/* SPDX-License-Identifier: MIT */
/*
 * The owner command "backup": a copy of the whole store to the first stream, as it was when it
 * began. The output buffer is what holds it back; while it lasts, space that others give up does
 * not come back, so a reader that takes nothing is ended as any session is.
 */
#include "admin_int.h"

#include <packhorse/backup.h>

#include <inttypes.h>
#include <string.h>

/* Less room is not worth a step. */
#define ROOM_MIN 4096u
#define STEP_BYTES 65536u

/* What was found to be damaged: to who asked, as far as it fits, and to the log. */
static void report(void *user, const char *line)
{
	struct admin *admin = user;
	const struct ph_service *service = &admin->session.service;

	ph__session_error_line(&admin->session, "damaged: %s", line);
	ph_log_line(service->log, PH_LOG_ERROR, "admin", service->connection, "backup: damaged: %s",
	            line);
}

static enum ph_status setting(void *user, const char *repo, const char *key, void *data,
                              size_t *len)
{
	struct admin *admin = user;

	return ph_backup_setting(&admin->left_out, repo, key, data, len);
}

static enum ph_step failed(struct admin *admin, enum ph_status status)
{
	if (status == PH_ERR_UNSUPPORTED)
		ph__session_error_line(&admin->session,
		                       "there is no backup of this store: it is in memory, or has "
		                       "features that this server does not know");
	else if (status == PH_ERR_CORRUPT || status == PH_ERR_IO)
		ph__session_error_line(&admin->session,
		                       "the store cannot be read: %s; what was written is no "
		                       "backup. With --keep-going all else is copied",
		                       ph_status_text(status));
	else
		ph__session_error_line(&admin->session, "what was written is no backup: %s",
		                       ph_status_text(status));
	return ph__admin_end(admin, 1);
}

static enum ph_step finished(struct admin *admin)
{
	const struct ph_service *service = &admin->session.service;

	ph_log_line(service->log, PH_LOG_INFO, "admin", service->connection,
	            "backup of %" PRIu64 " bytes by %s", admin->copy->done,
	            service->identity ? service->identity : "?");
	if (admin->copy->damaged) {
		ph__session_error_line(&admin->session,
		                       "the backup is whole but for the damage: %" PRIu64
		                       " findings",
		                       admin->copy->damaged);
		return ph__admin_end(admin, 1);
	}
	if (admin->left_out)
		ph__session_error_line(&admin->session, "note: the host key and nonce seeds are "
		                                        "left out; see --with-host-key");
	return ph__admin_end(admin, 0);
}

static enum ph_step copy_step(struct admin *admin, uint32_t *budget)
{
	enum ph_status status = PH_OK;
	size_t room, len;
	uint8_t *to;

	if (!admin->copy)
		status = ph_store_copy(admin->session.service.store, &admin->copy_options,
		                       &admin->copy);
	if (status != PH_OK)
		return failed(admin, status);
	to = ph__session_put_buf(&admin->session, PH_STREAM_OUT, &room);
	if (room < ROOM_MIN)
		return PH_STEP_OUTPUT;
	status = ph_copy_read(admin->copy, to, room < STEP_BYTES ? room : STEP_BYTES, &len);
	if (status == PH_END)
		return finished(admin);
	if (status != PH_OK)
		return failed(admin, status);
	ph__session_put_done(&admin->session, PH_STREAM_OUT, len);
	/* What counts is reading, whether it gave bytes or not. */
	ph_budget_spend_bytes(budget, STEP_BYTES);
	return PH_STEP_AGAIN;
}

enum ph_step ph__admin_backup(struct admin *admin)
{
	admin->copy_options.user = admin;
	admin->copy_options.setting = setting;
	admin->copy_options.report = report;
	for (unsigned i = 1; i < admin->argc; i++) {
		if (strcmp(admin->argv[i], "--with-host-key") == 0)
			admin->copy_options.setting = NULL;
		else if (strcmp(admin->argv[i], "--keep-going") == 0)
			admin->copy_options.keep_going = true;
		else
			return ph__admin_usage(admin, "what is this", admin->argv[i]);
	}
	admin->step = copy_step;
	return PH_STEP_AGAIN;
}
