/* SPDX-License-Identifier: MIT */
/*
 * Maintenance as a session: its states, how it waits, and how it ends. It stands back for
 * everybody: it claims memory only when that is free and nobody else waits for some, and gives up
 * what it is at as soon as somebody does. A push that commits in the middle makes what it was about
 * to commit invalid at worst; then it looks again. So nothing here has to be undone.
 */
#include "maint_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Jobs of one session: more are left to the next, so that no bug can keep us busy for ever. */
#define ROUNDS_MAX 64u
/* How often others may have been faster, and how long to wait then. */
#define TRIES_MAX 3u
#define TRY_AGAIN_MS 2000u
/* How often, and how long, to wait for memory. */
#define WAITS_MAX 30u
#define WAIT_MS 1000u
/* Space given back to the device at once, and what that counts for. */
#define TRIM_BYTES ((uint64_t)4 << 20)
#define TRIM_UNITS 256u

/* ---- states ---- */

enum ph_step ph__maint_go(struct ph__maint *maint, enum ph__maint_state state)
{
	maint->state = state;
	maint->cursor = 0;
	return PH_STEP_AGAIN;
}

static void release_iter(struct ph__maint *maint)
{
	ph_ref_iter_free(maint->iter);
	maint->iter = NULL;
}

/* Everything but the session itself. */
static void release_work(struct ph__maint *maint)
{
	release_iter(maint);
	ph_map_maker_free(maint->maker);
	maint->maker = NULL;
	ph__maint_fulls_release(maint);
	ph__maint_log_release(maint);
	ph__maint_note_release(maint);
	ph__maint_join_release(maint);
	ph__maint_reach_release(maint);
	ph_txn_free(maint->txn);
	maint->txn = NULL;
	maint->written = 0;
	ph_snapshot_release(maint->snapshot);
	maint->snapshot = NULL;
	ph__admission_release(&maint->admission);
}

static enum ph_step finish(struct ph__maint *maint, int exit_status)
{
	release_work(maint);
	maint->session.exit_status = exit_status;
	maint->state = PH__MAINT_DONE;
	return PH_STEP_DONE;
}

/* Nothing is to be done any more but to give back what has become free. */
static enum ph_step end(struct ph__maint *maint)
{
	release_work(maint);
	return ph__maint_go(maint, PH__MAINT_TRIM);
}

static enum ph_step trim(struct ph__maint *maint, uint32_t *budget)
{
	ph_budget_spend(budget, TRIM_UNITS);
	if (ph_store_trim(maint->session.service.store, TRIM_BYTES) == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (maint->no.room)
		return finish(maint, 1);
	if (maint->left)
		return finish(maint, 2);
	return finish(maint, maint->deferred ? 3 : 0);
}

enum ph_step ph__maint_fail(struct ph__maint *maint, enum ph_status status, const char *during)
{
	const struct ph_service *service = &maint->session.service;

	ph_log_line(service->log, PH_LOG_WARN, "maintenance", service->connection, "%s: %s: %s",
	            maint->repo, during, ph_status_text(status));
	if (status != PH_ERR_FULL || maint->no.room)
		return finish(maint, 1);
	/* What gives space back without taking any may be just what is needed. */
	maint->no.room = true;
	maint->no.log = maint->no.log || maint->job == PH__MAINT_LOG;
	return ph__maint_again(maint);
}

enum ph_step ph__maint_again(struct ph__maint *maint)
{
	release_work(maint);
	if (maint->rounds++ < ROUNDS_MAX)
		return ph__maint_go(maint, PH__MAINT_LOOK);
	maint->left = true;
	return end(maint);
}

static enum ph_step wait_ms(struct ph__maint *maint, uint64_t ms)
{
	release_work(maint);
	maint->state = PH__MAINT_LOOK;
	maint->session.deadline_ms = maint->session.now_ms + ms;
	return PH_STEP_WAIT;
}

enum ph_step ph__maint_later(struct ph__maint *maint, const char *why)
{
	const struct ph_service *service = &maint->session.service;

	ph_log_line(service->log, PH_LOG_DEBUG, "maintenance", service->connection, "%s: %s",
	            maint->repo, why);
	if (++maint->tries < TRIES_MAX)
		return wait_ms(maint, TRY_AGAIN_MS);
	/* What can be done without letting go of anything gets its chance. */
	if (!maint->no.drop) {
		maint->no.drop = maint->left = true;
		maint->tries = 0;
		return wait_ms(maint, TRY_AGAIN_MS);
	}
	maint->left = true;
	return end(maint);
}

static enum ph_step wait_for_memory(struct ph__maint *maint)
{
	if (maint->waits++ < WAITS_MAX)
		return wait_ms(maint, WAIT_MS);
	maint->left = true;
	return end(maint);
}

void ph__maint_say(struct ph__maint *maint, const char *format, ...)
{
	const struct ph_service *service = &maint->session.service;
	char text[256];
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	va_end(args);
	ph_log_line(service->log, PH_LOG_INFO, "maintenance", service->connection,
	            "%s: %s, in %" PRIu64 " units of work", maint->repo, text,
	            maint->session.spent - maint->job_spent);
}

/* ---- looking ---- */

enum ph_status ph__maint_ref(struct ph__maint *maint)
{
	enum ph_status status = PH_OK;

	if (!maint->iter)
		status = ph_snapshot_refs(maint->snapshot, "", &maint->iter);
	while (status == PH_OK) {
		status = ph_ref_iter_next(maint->iter, &maint->ref);
		if (status == PH_OK && !*maint->ref.target)
			return PH_OK;
	}
	release_iter(maint);
	return status;
}

static enum ph_step look(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status =
	        ph_store_snapshot(maint->session.service.store, maint->repo, &maint->snapshot);

	ph_budget_spend(budget, 1);
	maint->session.deadline_ms = PH_NO_DEADLINE;
	maint->job_spent = maint->session.spent;
	if (status == PH_ERR_NOT_FOUND)
		return end(maint);
	if (status != PH_OK)
		return ph__maint_fail(maint, status, "reading the repository");
	maint->source = ph_snapshot_source(maint->snapshot);
	maint->refs = 0;
	return ph__maint_go(maint, PH__MAINT_REFS);
}

static enum ph_step count_refs(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	while (*budget > 0) {
		ph_budget_spend(budget, 1);
		status = ph__maint_ref(maint);
		if (status != PH_OK)
			break;
		maint->refs++;
	}
	if (status < 0)
		return ph__maint_fail(maint, status, "reading refs");
	return status == PH_END ? ph__maint_go(maint, PH__MAINT_PLAN) : PH_STEP_AGAIN;
}

/* ---- memory ---- */

static bool others_wait(const struct ph__maint *maint)
{
	struct ph_memory_counts counts;

	if (!maint->session.service.memory)
		return false;
	ph_memory_counts(maint->session.service.memory, &counts);
	return counts.waiting > 0;
}

static enum ph_step admit(struct ph__maint *maint, uint32_t *budget)
{
	static const enum ph__maint_state first[] = {
	        [PH__MAINT_NOTHING] = PH__MAINT_DONE,
	        [PH__MAINT_SOME] = PH__MAINT_JOIN_BEGIN,
	        [PH__MAINT_ALL] = PH__MAINT_WANTS,
	        [PH__MAINT_CHECK] = PH__MAINT_TARGETS,
	        [PH__MAINT_PACKS] = PH__MAINT_WANTS,
	        [PH__MAINT_MAP_ONLY] = PH__MAINT_MAP_BEGIN,
	        [PH__MAINT_FULLS_ONLY] = PH__MAINT_FULLS_BEGIN,
	        [PH__MAINT_LOG] = PH__MAINT_LOG_FIND,
	};
	const struct ph_service *service = &maint->session.service;
	char text[PH_ADMISSION_TEXT_BYTES];
	bool asked;
	enum ph_status status;

	if (maint->job == PH__MAINT_NOTHING)
		return end(maint);
	ph_budget_spend(budget, 1);
	status = others_wait(maint)
	                 ? PH_PENDING
	                 : ph__admission_ask(&maint->admission, maint->claim_bytes, &asked);
	if (status == PH_OK)
		return ph__maint_go(maint, first[maint->job]);
	if (status == PH_PENDING)
		return wait_for_memory(maint);
	ph__admission_never(&maint->admission, maint->claim_bytes, text);
	ph_log_line(service->log, PH_LOG_WARN, "maintenance", service->connection, "%s: %s",
	            maint->repo, text);
	/* What takes less memory is done all the same. */
	if (maint->job == PH__MAINT_MAP_ONLY)
		maint->no.map = true;
	else if (maint->job == PH__MAINT_FULLS_ONLY)
		maint->no.fulls = true;
	else if (maint->job == PH__MAINT_LOG)
		maint->no.log = true;
	else if (maint->job == PH__MAINT_SOME)
		return finish(maint, 1);
	else
		maint->no.drop = true;
	return ph__maint_again(maint);
}

/* ---- the end of a job ---- */

static void say_done(struct ph__maint *maint)
{
	const struct ph_pack_join_stats *stats = &maint->join.stats;

	maint->tries = 0;
	/* What was given back may be enough for the rest. */
	if (maint->job == PH__MAINT_PACKS)
		maint->no.room = false;
	if (maint->job == PH__MAINT_MAP_ONLY && maint->mark_only)
		maint->no.map = true;
	else if (maint->job == PH__MAINT_MAP_ONLY)
		ph__maint_say(maint, "made the map of a pack of %" PRIu64 " objects",
		              maint->entries);
	else if (maint->job == PH__MAINT_FULLS_ONLY)
		ph__maint_say(maint, "made full entries of what HEAD names");
	else if (maint->job == PH__MAINT_NOTE_ONLY)
		ph__maint_say(maint, "noted that refs reach all of %" PRIu64 " objects",
		              maint->entries);
	else if (maint->job == PH__MAINT_PACKS)
		ph__maint_say(maint,
		              "let go of %" PRIu32 " pack%s of which no ref reaches anything",
		              maint->join.count, maint->join.count == 1 ? "" : "s");
	else if (maint->job == PH__MAINT_LOG)
		ph__maint_say(maint, "made commits of %" PRIu32 " record%s of the push log",
		              maint->log.count, maint->log.count == 1 ? "" : "s");
	else
		ph__maint_say(maint,
		              "joined %" PRIu32 " pack%s into one of %" PRIu32 " objects, %" PRIu64
		              " bytes, without %" PRIu32 " that no ref reaches",
		              maint->join.count, maint->join.count == 1 ? "" : "s", stats->objects,
		              stats->bytes, stats->dropped);
}

static enum ph_step commit(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (maint->cursor == 0) {
		status = ph__maint_account(maint);
		if (status == PH_OK)
			status = ph_txn_prepare(maint->txn);
		if (status == PH_ERR_NOT_FOUND)
			return end(maint);
		if (status != PH_OK)
			return ph__maint_fail(maint, status, "preparing");
		maint->cursor = 1;
	}
	status = ph__commit_run(&maint->commit, maint->txn);
	if (status == PH_PENDING || status == PH_AGAIN)
		return ph__commit_step(status);
	if (status == PH_OK) {
		say_done(maint);
		return ph__maint_again(maint);
	}
	if (status == PH_ERR_NOT_FOUND)
		return end(maint);
	if (status == PH_ERR_CONFLICT || status == PH_ERR_BUSY)
		return ph__maint_later(maint, "changed meanwhile");
	return ph__maint_fail(maint, status, "committing");
}

/* ---- the session ---- */

static enum ph_step work(struct ph__maint *maint, uint32_t *budget)
{
	static ph__maint_function *const functions[] = {
	        [PH__MAINT_LOOK] = look,
	        [PH__MAINT_REFS] = count_refs,
	        [PH__MAINT_PLAN] = ph__maint_plan,
	        [PH__MAINT_ADMIT] = admit,
	        [PH__MAINT_TARGETS] = ph__maint_targets,
	        [PH__MAINT_REACH_TIPS] = ph__maint_reach_tips,
	        [PH__MAINT_REACH] = ph__maint_reach,
	        [PH__MAINT_WANTS] = ph__maint_wants,
	        [PH__MAINT_WALK] = ph__maint_walk,
	        [PH__MAINT_DROP] = ph__maint_drop,
	        [PH__MAINT_JOIN_BEGIN] = ph__maint_join_begin,
	        [PH__MAINT_JOIN] = ph__maint_join_run,
	        [PH__MAINT_NOTE_BEGIN] = ph__maint_note_begin,
	        [PH__MAINT_NOTE] = ph__maint_note,
	        [PH__MAINT_NOTE_END] = ph__maint_note_end,
	        [PH__MAINT_MAP_BEGIN] = ph__maint_map_begin,
	        [PH__MAINT_MAP_TIPS] = ph__maint_map_tips,
	        [PH__MAINT_MAP] = ph__maint_map,
	        [PH__MAINT_FULLS_BEGIN] = ph__maint_fulls_begin,
	        [PH__MAINT_FULLS_WALK] = ph__maint_fulls_walk,
	        [PH__MAINT_FULLS] = ph__maint_fulls,
	        [PH__MAINT_LOG_FIND] = ph__maint_log_find,
	        [PH__MAINT_LOG_WRITE] = ph__maint_log_write,
	        [PH__MAINT_LOG_END] = ph__maint_log_end,
	        [PH__MAINT_COMMIT] = commit,
	        [PH__MAINT_TRIM] = trim,
	};

	if (maint->state == PH__MAINT_DONE)
		return PH_STEP_DONE;
	return functions[maint->state](maint, budget);
}

static enum ph_step step(struct ph_session *session, uint32_t *budget)
{
	struct ph__maint *maint = (struct ph__maint *)session;

	/* A deadline that has not come: whatever else woke it, it waits on. */
	if (maint->state == PH__MAINT_LOOK && session->deadline_ms != PH_NO_DEADLINE &&
	    session->now_ms < session->deadline_ms)
		return PH_STEP_WAIT;
	if (maint->admission.asked && maint->state != PH__MAINT_COMMIT && others_wait(maint))
		return wait_for_memory(maint);
	return work(maint, budget);
}

static void maint_free(struct ph_session *session)
{
	struct ph__maint *maint = (struct ph__maint *)session;

	release_work(maint);
	ph__session_release(session);
}

static const struct ph_session_ops ops = {.step = step, .free = maint_free};

enum ph_status ph_maintenance_open(struct ph_session **out, const struct ph_service *service,
                                   const char *repo, enum ph_maintenance_extent extent)
{
	struct ph__maint *maint = ph_mem_zalloc(service->alloc, 1, sizeof(*maint));
	size_t len = strlen(repo);
	enum ph_status status;

	if (!maint)
		return PH_ERR_NOMEM;
	status = ph__session_init(&maint->session, &ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, maint);
		return status;
	}
	/* A name that is too long for one is that of no repository. */
	memcpy(maint->repo, repo, len <= PH_REPO_NAME_MAX ? len + 1 : 0);
	ph__admission_init(&maint->admission, &maint->session);
	ph__commit_init(&maint->commit, &maint->session);
	maint->light = extent == PH_MAINTENANCE_LIGHT;
	/* No bytes come in. */
	maint->session.eof = true;
	*out = &maint->session;
	return PH_OK;
}
