/* SPDX-License-Identifier: MIT */
/*
 * The owner command "scrub": reads all that the store has and holds it against its checksums, now
 * and as fast as slices come, while everything else goes on. "scrub state" tells what the scrubber
 * in the background (scrubber.h) has come to.
 */
#include "admin_int.h"

#include <packhorse/scrub.h>
#include <packhorse/scrubber.h>

#include <stdio.h>
#include <string.h>

/* A finding with every byte escaped; read in one slice, which may have more of them. */
#define ROOM (64u * 1024)
#define SLICE_BYTES ((uint64_t)256 << 10)
/* How often it says that it is still there. */
#define SIGN_MS 5000u

#define MIB(bytes) ((unsigned long long)((bytes) >> 20))

static void on_found(void *user, const struct ph_finding *finding)
{
	struct admin *admin = user;
	const struct ph_service *service = &admin->session.service;
	char line[PH_FINDING_LINE_MAX + 1];

	ph_finding_line(finding, line, PH_FINDING_LINE_MAX);
	ph_log_line(service->log, PH_LOG_ERROR, "scrub", service->connection, "%s", line);
	/* What has no room is in the log, and counted. */
	if (ph__session_room(&admin->session, PH_STREAM_OUT) < 2 * PH_FINDING_LINE_MAX)
		return;
	memcpy(line + strlen(line), "\n", 2);
	ph__admin_print(admin, line);
}

static enum ph_step done(struct admin *admin, enum ph_status status)
{
	struct ph_scrub_progress progress;
	char line[160];

	ph_scrub_progress(admin->scrub, &progress);
	if (status != PH_OK && status != PH_ERR_CORRUPT)
		return ph__admin_fail(admin, status);
	snprintf(line, sizeof(line), "%llu repositories, %llu MiB read, %llu finding%s\n",
	         (unsigned long long)progress.repos, MIB(progress.bytes),
	         (unsigned long long)progress.findings, progress.findings == 1 ? "" : "s");
	ph__admin_print(admin, line);
	return ph__admin_end(admin, status != PH_OK);
}

static void sign(struct admin *admin, const struct ph_scrub_progress *progress)
{
	if (admin->session.now_ms < admin->sign_ms)
		return;
	if (admin->sign_ms)
		ph__session_error_line(&admin->session, "%llu of about %llu MiB read",
		                       MIB(progress->bytes), MIB(progress->total));
	admin->sign_ms = admin->session.now_ms + SIGN_MS;
}

enum ph_step ph__admin_scrub(struct admin *admin, uint32_t *budget)
{
	struct ph_store *store = admin->session.service.store;
	const struct ph_scrub_options options = {.user = admin, .found = on_found};
	uint64_t bytes = (uint64_t)*budget * PH_BUDGET_UNIT_BYTES, before;
	struct ph_scrub_progress progress;
	enum ph_status status = PH_OK;

	if (!admin->scrub)
		status = ph_store_scrub(store, &options, &admin->scrub);
	if (status == PH_ERR_UNSUPPORTED) {
		ph__admin_print(admin, "this store is in memory: there is nothing to read\n");
		return ph__admin_end(admin, 0);
	}
	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	if (ph__session_room(&admin->session, PH_STREAM_OUT) < ROOM)
		return PH_STEP_OUTPUT;
	ph_scrub_progress(admin->scrub, &progress);
	before = progress.bytes;
	sign(admin, &progress);
	status = ph_scrub_step(admin->scrub, bytes < SLICE_BYTES ? bytes : SLICE_BYTES);
	ph_scrub_progress(admin->scrub, &progress);
	ph_budget_spend_bytes(budget, progress.bytes - before + 1);
	return status == PH_AGAIN ? PH_STEP_AGAIN : done(admin, status);
}

/* ---- its state ---- */

/* The day and minute, as ISO 8601 has it (days from civil, by Howard Hinnant's method). */
static void date_text(char *out, size_t size, uint64_t wall_s)
{
	uint64_t days = wall_s / 86400, minutes = wall_s / 60 % 1440;
	uint64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	uint64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;

	snprintf(out, size, "%04u-%02u-%02u %02u:%02u UTC",
	         (unsigned)(yoe + era * 400 + (month <= 2)), (unsigned)month, (unsigned)day,
	         (unsigned)(minutes / 60), (unsigned)(minutes % 60));
}

enum ph_step ph__admin_scrub_state(struct admin *admin, uint32_t *budget)
{
	struct ph_scrubber_state state;
	char line[ADMIN_ESCAPED_BYTES + 160], date[64], escaped[ADMIN_ESCAPED_BYTES];
	enum ph_status status = ph_scrubber_state_load(admin->session.service.store, &state);

	ph_budget_spend(budget, 1);
	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	date_text(date, sizeof(date), state.ended_s);
	if (state.ended_s)
		snprintf(line, sizeof(line), "last complete: %s, %llu findings\n", date,
		         (unsigned long long)state.ended_findings);
	else
		snprintf(line, sizeof(line), "last complete: never\n");
	ph__admin_print(admin, line);
	if (state.began_s) {
		date_text(date, sizeof(date), state.began_s);
		snprintf(line, sizeof(line), "under way: since %s, %llu findings, behind %s\n",
		         date, (unsigned long long)state.findings,
		         state.after[0] ? ph__admin_escape(escaped, state.after) : "nothing yet");
		ph__admin_print(admin, line);
	}
	return ph__admin_end(admin, 0);
}
