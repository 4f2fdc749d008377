/* SPDX-License-Identifier: MIT */
/*
 * The scrubber: pieces of the store's own check, with a pause behind each that is what spreads the
 * rest of the bytes over the rest of the days. It never reads faster than a bounded rate, so it
 * falls behind rather than getting in the way. Findings go to the log, each once a round.
 */
#include "session_int.h"

#include <packhorse/config.h>
#include <packhorse/scrub.h>
#include <packhorse/scrubber.h>

#include <string.h>

/* Read at once; the budget may make it less. */
#define PIECE_BYTES ((uint64_t)128 << 10)
/* Pause behind a piece, at least: no more than 6 MB a second; and at most. */
#define PAUSE_MS_MIN 20u
#define PAUSE_MS_MAX 600000u
/* How often configuration is looked at, and the place is kept. */
#define LOOK_MS 3600000u
#define DAY_MS 86400000u
#define DAY_S 86400u
/* A round that was begun long ago still gets this part of its time for its rest. */
#define REST_PART 16u
/* Of one round, in the log; what is more is counted. */
#define LINES_MAX 1000u

struct scrubber {
	struct ph_session session; /* first */
	struct ph_scrub *scrub;    /* NULL between two rounds */
	struct ph_scrubber_state state;
	uint64_t days;
	uint64_t next_ms, look_ms, end_ms;
	bool loaded;
};

/* ---- what it finds ---- */

static void on_found(void *user, const struct ph_finding *finding)
{
	struct scrubber *scrubber = user;
	const struct ph_log *log = scrubber->session.service.log;
	char line[PH_FINDING_LINE_MAX];

	if (scrubber->state.findings++ >= LINES_MAX)
		return;
	ph_finding_line(finding, line, sizeof(line));
	ph_log_line(log, PH_LOG_ERROR, "scrub", 0, "%s", line);
}

/* ---- what is kept ---- */

static void save(struct scrubber *scrubber)
{
	/* A store that cannot be written to is read all the same. */
	(void)!ph_scrubber_state_save(scrubber->session.service.store, &scrubber->state);
}

static void look(struct scrubber *scrubber)
{
	const struct ph_service *service = &scrubber->session.service;
	struct ph_config config;
	bool first = !scrubber->loaded;

	if (first && ph_scrubber_state_load(service->store, &scrubber->state) != PH_OK)
		memset(&scrubber->state, 0, sizeof(scrubber->state));
	scrubber->loaded = true;
	if (ph_config_load(&config, service->store, NULL, service->alloc) == PH_OK) {
		scrubber->days = config.scrub_days;
		ph_config_release(&config, service->alloc);
	}
	scrubber->look_ms = scrubber->session.now_ms + LOOK_MS;
	if (!first && scrubber->scrub)
		save(scrubber);
}

/* ---- a round ---- */

/* When the round should end, by when it was begun. */
static uint64_t end_of_round(const struct scrubber *scrubber)
{
	uint64_t all_ms = scrubber->days * DAY_MS, rest_ms = all_ms;
	uint64_t wall_s = scrubber->session.wall_s, began_s = scrubber->state.began_s;

	if (began_s && wall_s > began_s) {
		uint64_t gone_s = wall_s - began_s;

		rest_ms = gone_s >= scrubber->days * DAY_S ? 0 : all_ms - gone_s * 1000;
	}
	if (rest_ms < all_ms / REST_PART)
		rest_ms = all_ms / REST_PART;
	return scrubber->session.now_ms + rest_ms;
}

static enum ph_status begin_round(struct scrubber *scrubber)
{
	struct ph_scrub_options options = {
	        .user = scrubber, .found = on_found, .after = scrubber->state.after};

	if (!scrubber->state.began_s || !scrubber->state.after[0]) {
		scrubber->state.began_s = scrubber->session.wall_s;
		scrubber->state.findings = 0;
	}
	scrubber->end_ms = end_of_round(scrubber);
	return ph_store_scrub(scrubber->session.service.store, &options, &scrubber->scrub);
}

static void end_round(struct scrubber *scrubber)
{
	struct ph_scrubber_state *state = &scrubber->state;
	struct ph_scrub_progress progress;

	ph_scrub_progress(scrubber->scrub, &progress);
	ph_log_line(scrubber->session.service.log, state->findings ? PH_LOG_ERROR : PH_LOG_INFO,
	            "scrub", 0, "all was read: %llu findings", (unsigned long long)state->findings);
	ph_scrub_free(scrubber->scrub);
	scrubber->scrub = NULL;
	state->ended_s = scrubber->session.wall_s;
	state->ended_findings = state->findings;
	state->began_s = 0;
	state->after[0] = '\0';
	save(scrubber);
}

/* The pause that spreads what is left over the time that is left. */
static uint64_t pause_ms(const struct scrubber *scrubber, uint64_t piece)
{
	struct ph_scrub_progress progress;
	uint64_t now_ms = scrubber->session.now_ms, left, pieces, pause;

	ph_scrub_progress(scrubber->scrub, &progress);
	left = progress.total > progress.bytes ? progress.total - progress.bytes : 0;
	pieces = left / piece + 1;
	pause = now_ms < scrubber->end_ms ? (scrubber->end_ms - now_ms) / pieces : 0;
	if (pause < PAUSE_MS_MIN)
		pause = PAUSE_MS_MIN;
	return pause < PAUSE_MS_MAX ? pause : PAUSE_MS_MAX;
}

static void read_piece(struct scrubber *scrubber, uint32_t *budget)
{
	uint64_t piece = (uint64_t)*budget * PH_BUDGET_UNIT_BYTES;
	struct ph_scrub_progress progress;
	uint64_t before;
	enum ph_status status;

	/* What came before it in this step may have spent all. */
	if (piece == 0)
		piece = PH_BUDGET_UNIT_BYTES;
	if (piece > PIECE_BYTES)
		piece = PIECE_BYTES;
	ph_scrub_progress(scrubber->scrub, &progress);
	before = progress.bytes;
	status = ph_scrub_step(scrubber->scrub, piece);
	ph_scrub_progress(scrubber->scrub, &progress);
	ph_budget_spend_bytes(budget, progress.bytes - before + 1);
	/* The one at work is read again when this ends in the middle of it. */
	if (progress.last[0])
		memcpy(scrubber->state.after, progress.last, strlen(progress.last) + 1);
	scrubber->next_ms = scrubber->session.now_ms + pause_ms(scrubber, piece);
	if (status == PH_OK || status == PH_ERR_CORRUPT) {
		end_round(scrubber);
	} else if (status != PH_AGAIN) {
		ph_scrub_free(scrubber->scrub);
		scrubber->scrub = NULL;
		scrubber->next_ms = scrubber->session.now_ms + PAUSE_MS_MAX;
	}
}

/* ---- the session ---- */

static enum ph_step wait_until(struct scrubber *scrubber, uint64_t at_ms)
{
	scrubber->next_ms = at_ms;
	scrubber->session.deadline_ms = at_ms;
	return PH_STEP_WAIT;
}

static enum ph_step step(struct ph_session *session, uint32_t *budget)
{
	struct scrubber *scrubber = (struct scrubber *)session;
	enum ph_status status;

	if (session->now_ms < scrubber->next_ms)
		return wait_until(scrubber, scrubber->next_ms);
	if (!scrubber->loaded || session->now_ms >= scrubber->look_ms) {
		look(scrubber);
		ph_budget_spend(budget, 1);
	}
	if (scrubber->days == 0) {
		ph_scrub_free(scrubber->scrub);
		scrubber->scrub = NULL;
		return wait_until(scrubber, session->now_ms + LOOK_MS);
	}
	if (!scrubber->scrub) {
		status = begin_round(scrubber);
		/* In memory: nothing can rot. */
		if (status == PH_ERR_UNSUPPORTED)
			return wait_until(scrubber, PH_NO_DEADLINE);
		if (status != PH_OK)
			return wait_until(scrubber, session->now_ms + PAUSE_MS_MAX);
		scrubber->next_ms = session->now_ms + pause_ms(scrubber, PIECE_BYTES);
		return wait_until(scrubber, scrubber->next_ms);
	}
	read_piece(scrubber, budget);
	return wait_until(scrubber, scrubber->next_ms);
}

static void scrubber_free(struct ph_session *session)
{
	ph_scrub_free(((struct scrubber *)session)->scrub);
	ph__session_release(session);
}

enum ph_status ph_scrubber_open(struct ph_session **out, const struct ph_service *service)
{
	static const struct ph_session_ops ops = {.step = step, .free = scrubber_free};
	struct scrubber *scrubber = ph_mem_zalloc(service->alloc, 1, sizeof(*scrubber));
	enum ph_status status;

	if (!scrubber)
		return PH_ERR_NOMEM;
	status = ph__session_init(&scrubber->session, &ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, scrubber);
		return status;
	}
	scrubber->days = PH_CONFIG_SCRUB_DAYS;
	*out = &scrubber->session;
	return PH_OK;
}
