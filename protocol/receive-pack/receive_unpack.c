/* SPDX-License-Identifier: MIT */
/*
 * The pack of a push. Its bytes go straight into a transaction, which is the quarantine: nobody
 * else sees them before the commit, and freeing the transaction leaves nothing behind. A pack that
 * is no good fails the whole push, with a short phrase for the client and the detail in the log.
 */
#include "receive_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Silence between two lines of progress. */
#define PROGRESS_MS 1000u
/* Snapshots taken at once to begin with. */
#define BEGINS_MAX 8u
/* A commit of maintenance may be on its way to a slow device: it is waited for, this long at most.
 */
#define BEGIN_WAIT_MS 60000u
#define BEGIN_PAUSE_MS 10u

enum ph_step ph__receive_fail_unpack(struct receive *r, const char *text)
{
	r->unpack_error = text;
	for (uint32_t i = 0; i < r->count; i++)
		r->commands[i].error = "unpacker error";
	ph__receive_drop_work(r);
	r->phase = RECEIVE_REPORT;
	return PH_STEP_AGAIN;
}

static enum ph_step fail_pack(struct receive *r, enum ph_status status)
{
	const struct ph_service *service = &r->session.service;
	const struct ph_error *error = r->pack_in ? ph_pack_in_error(r->pack_in) : NULL;
	const char *text = ph_status_text(status);
	const char *what = error && error->status != PH_OK && error->what ? error->what : text;
	const char *rule = ph__receive_pack_rule(r, error);

	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection,
	            "%s: pack refused: %s: %s %s at byte %llu", r->repo, text, what,
	            error ? error->detail : "", (unsigned long long)(error ? error->offset : 0));
	if (rule)
		text = rule;
	else if (status == PH_ERR_FSCK && error)
		ph__receive_fsck_refuse(r, error->detail, what);
	else if (status == PH_ERR_TRUNCATED)
		ph__receive_say(r, "fatal: early EOF");
	else if (status == PH_ERR_COLLISION && error)
		ph__receive_say(r, "fatal: %s: %s", what, error->detail);
	else
		ph__receive_say(r, "error: %s", text);
	return ph__receive_fail_unpack(r, text);
}

static enum ph_status pack_begin(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	struct ph_pack_in_options *options = &r->pack_options;
	enum ph_status status = ph_txn_pack_begin(r->txn, &r->pack);

	*options = (struct ph_pack_in_options){.algo = r->algo,
	                                       .alloc = service->alloc,
	                                       .limits = ph__receive_pack_limits(r),
	                                       .user = r,
	                                       .executor = service->executor,
	                                       .unpack = service->unpack,
	                                       .wake_user = &r->session,
	                                       .wake = ph__session_wake};
	if (r->snapshot)
		options->base = ph_snapshot_source(r->snapshot);
	options->links = r->gathers && service->random(service->random_user, &options->seed,
	                                               sizeof(options->seed)) == PH_OK;
	if (status == PH_OK)
		status = ph__receive_fsck_begin(r);
	if (status == PH_OK)
		status = ph_txn_sink(r->txn, r->pack, PH_SECTION_RUN, &options->run);
	if (status == PH_OK)
		status = ph_txn_sink(r->txn, r->pack, PH_SECTION_INDEX, &options->index);
	if (status == PH_OK)
		status = ph_txn_sink(r->txn, r->pack, PH_SECTION_SCRATCH, &options->scratch);
	if (status == PH_OK)
		status = ph__receive_tips_begin(r);
	return status == PH_OK ? ph_pack_in_new(&r->pack_in, options) : status;
}

/* The repository as it is now, for it may have moved since it was advertised. */
static enum ph_status refresh(struct receive *r)
{
	struct ph_snapshot *fresh;
	enum ph_status status = ph_store_snapshot(r->session.service.store, r->repo, &fresh);

	if (status != PH_OK)
		return status;
	if (fresh->algo != r->algo) {
		ph_snapshot_release(fresh);
		return PH_ERR_CONFLICT;
	}
	ph__advert_release(&r->advert);
	ph_snapshot_release(r->snapshot);
	r->snapshot = fresh;
	r->creates = false;
	return PH_OK;
}

/* Maintenance may drop objects between the two calls; then a newer snapshot is the base. */
static enum ph_status begin_existing(struct receive *r)
{
	for (unsigned i = 0; i < BEGINS_MAX; i++) {
		enum ph_status status = refresh(r);

		if (status != PH_OK)
			return status;
		status = ph_store_begin(r->session.service.store, r->snapshot, &r->txn);
		if (status != PH_ERR_CONFLICT)
			return status;
	}
	return PH_ERR_BUSY;
}

/* False when it has been waited for long enough. */
static bool wait_to_begin(struct receive *r)
{
	uint64_t now_ms = r->session.now_ms;

	if (!r->begun_at_ms)
		r->begun_at_ms = now_ms;
	if (now_ms - r->begun_at_ms >= BEGIN_WAIT_MS)
		return false;
	ph__receive_keepalive(r);
	if (r->session.deadline_ms > now_ms + BEGIN_PAUSE_MS)
		r->session.deadline_ms = now_ms + BEGIN_PAUSE_MS;
	return true;
}

static enum ph_status begin_new(struct receive *r)
{
	enum ph_status status;

	/* Deleting from nothing creates nothing. */
	if (!r->updates)
		return PH_OK;
	status = ph_store_create(r->session.service.store, r->repo, r->algo, &r->txn);
	return status == PH_ERR_EXISTS ? begin_existing(r) : status;
}

/* A change of the configuration holds for every push that begins after it. */
static enum ph_status reread_config(struct receive *r)
{
	const struct ph_service *service = &r->session.service;

	ph_config_release(&r->config, service->alloc);
	return ph_config_load(&r->config, service->store, r->snapshot, service->alloc);
}

/*
 * The transaction begins once the client has said what it wants. What its base can see stays until
 * the transaction ends, so the proof of connectivity may rest on it.
 */
enum ph_step ph__receive_begin(struct receive *r)
{
	enum ph_status status = r->creates ? begin_new(r) : begin_existing(r);

	if (status == PH_ERR_BUSY && wait_to_begin(r))
		return PH_STEP_WAIT;
	if (status == PH_OK)
		status = reread_config(r);
	if (status == PH_ERR_NOT_FOUND)
		return ph__receive_fail_unpack(r, "repository was deleted meanwhile");
	if (status == PH_ERR_CONFLICT)
		return ph__receive_fail_unpack(r, "repository was created meanwhile, push again");
	if (status == PH_OK && r->updates)
		status = pack_begin(r);
	if (status != PH_OK)
		return fail_pack(r, status);
	r->phase = r->updates ? RECEIVE_QUOTA : RECEIVE_TARGETS;
	return PH_STEP_AGAIN;
}

/* In git's words, while bytes still arrive. */
static enum ph_step too_large(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	static const char text[] = "pack exceeds maximum allowed size";

	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection,
	            "%s: pack refused: more than receive.maxInputSize, %llu bytes", r->repo,
	            (unsigned long long)r->config.max_input_bytes);
	ph__receive_say(r, "fatal: %s", text);
	return ph__receive_fail_unpack(r, text);
}

/* How many of len bytes may still be taken of a pack, by receive.maxInputSize. */
static size_t allowed(const struct receive *r, size_t len)
{
	uint64_t max = r->config.max_input_bytes;

	return max && len > max - r->pack_taken ? (size_t)(max - r->pack_taken) : len;
}

enum ph_step ph__receive_pack_bytes(struct receive *r, uint32_t *budget)
{
	size_t len, used = 0;
	const uint8_t *data = ph__session_input(&r->session, &len);
	const char *over;
	enum ph_status status;

	if (len == 0 && r->session.eof)
		return fail_pack(r, PH_ERR_TRUNCATED);
	if (len == 0)
		return PH_STEP_INPUT;
	len = allowed(r, len);
	if (len == 0)
		return too_large(r);
	status = ph_pack_in_write(r->pack_in, data, len, &used, budget);
	assert(used <= len);
	ph__session_consume(&r->session, used);
	r->pack_taken += used;
	if (status < 0)
		return fail_pack(r, status);
	over = ph__receive_over(r, ph_pack_in_stats(r->pack_in)->bytes);
	if (over)
		return ph__receive_fail_unpack(r, over);
	if (status == PH_END) {
		r->spoke_at_ms = r->progress_at_ms = r->session.now_ms;
		r->phase = RECEIVE_RESOLVE;
	}
	return PH_STEP_AGAIN;
}

/* Progress as index-pack shows it; done: the line that ends it. */
static void progress(struct receive *r, bool done)
{
	const struct ph_pack_in_stats *stats = ph_pack_in_stats(r->pack_in);
	char bases[64] = "";

	if (r->quiet || !r->side_band || stats->deltas == 0 || !ph__out_ready(&r->session))
		return;
	if (!done && r->session.now_ms - r->progress_at_ms < PROGRESS_MS)
		return;
	if (stats->bases_added)
		snprintf(bases, sizeof(bases), ", completed with %u local object%s",
		         stats->bases_added, stats->bases_added == 1 ? "" : "s");
	if (done)
		ph__out_band_text(&r->session, PH_BAND_PROGRESS,
		                  "Resolving deltas: 100%% (%u/%u)%s.\n", stats->deltas,
		                  stats->deltas, *bases ? bases : ", done");
	else
		ph__out_band_text(&r->session, PH_BAND_PROGRESS,
		                  "Resolving deltas: %3u%% (%u/%u)\r",
		                  (unsigned)(100 * (uint64_t)stats->resolved / stats->deltas),
		                  stats->resolved, stats->deltas);
	r->spoke_at_ms = r->progress_at_ms = r->session.now_ms;
}

static enum ph_step resolved(struct receive *r)
{
	const struct ph_pack_in_stats *stats = ph_pack_in_stats(r->pack_in);
	bool empty = stats->announced == 0, bases = stats->bases_added > 0;
	const struct ph_oid *heads;
	uint32_t count;
	enum ph_status status = PH_OK;

	r->pack_bytes = stats->bytes;
	r->pack_objects = stats->announced;
	progress(r, true);
	r->closed = !empty && ph_pack_in_closed(r->pack_in);
	heads = ph_pack_in_heads(r->pack_in, &count);
	ph__receive_tips_heads(r, heads, count, stats->announced + stats->bases_added);
	ph_pack_in_free(r->pack_in);
	r->pack_in = NULL;
	/* A push of refs to objects that are here already sends an empty pack; it is not kept. */
	if (empty) {
		ph__receive_tips_release(r);
		ph_txn_pack_drop(r->txn, r->pack);
	} else {
		status = ph_txn_pack_end(r->txn, r->pack);
	}
	if (status != PH_OK)
		return fail_pack(r, status);
	r->phase = bases && receive_hides(r) ? RECEIVE_BASES : RECEIVE_TARGETS;
	return PH_STEP_AGAIN;
}

enum ph_step ph__receive_resolve(struct receive *r, uint32_t *budget)
{
	enum ph_status status = ph_pack_in_run(r->pack_in, budget);

	if (status == PH_OK)
		return resolved(r);
	if (status < 0)
		return fail_pack(r, status);
	progress(r, false);
	if (status != PH_PENDING)
		return PH_STEP_AGAIN;
	if (r->session.deadline_ms > r->session.now_ms + PROGRESS_MS)
		r->session.deadline_ms = r->session.now_ms + PROGRESS_MS;
	return PH_STEP_WAIT;
}
