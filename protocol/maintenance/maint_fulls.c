/* SPDX-License-Identifier: MIT */
/*
 * Full entries of a pack (fulls.h): what a clone without history takes of the largest pack and
 * would have to be made anew. The clone that is reckoned with is the usual one, of what HEAD names.
 * They are made once for a pack; what changes afterwards is in newer packs, until these are joined.
 */
#include "fulls_section_int.h"
#include "maint_int.h"

/* They take at most this part of the pack. HEAD's files take 4 % of git's own history. */
#define PART 8u
/* Below this a pack is not worth it: its objects are made anew in no time. */
#define RUN_BYTES_MIN ((uint64_t)1 << 20)

bool ph__maint_fulls_due(const struct ph__maint *maint)
{
	uint32_t entries;
	uint64_t bytes;

	if (maint->no.fulls ||
	    ph_snapshot_section(maint->snapshot, maint->largest, PH__SECTION_FULLS))
		return false;
	maint->source->ops->pack_size(maint->source, maint->largest, &entries, &bytes);
	return bytes >= RUN_BYTES_MIN;
}

void ph__maint_fulls_release(struct ph__maint *maint)
{
	ph_fulls_maker_free(maint->fulls);
	maint->fulls = NULL;
}

/* Without them: nothing else is worse for it. */
static enum ph_step without(struct ph__maint *maint, enum ph_status status)
{
	const struct ph_service *service = &maint->session.service;

	ph_log_line(service->log, PH_LOG_DEBUG, "maintenance", service->connection,
	            "%s: no full entries: %s", maint->repo, ph_status_text(status));
	maint->no.fulls = true;
	return ph__maint_again(maint);
}

/* A walk of HEAD's commit alone, with its tree. */
static enum ph_status begin_walk(struct ph__maint *maint)
{
	const struct ph_service *service = &maint->session.service;
	struct ph_walk_options options = {
	        .source = maint->source, .alloc = service->alloc, .limits = service->limits};
	enum ph_status status = ph_snapshot_resolve(maint->snapshot, "HEAD", &maint->ref, NULL);

	if (status == PH_OK)
		status = ph_walk_new(&maint->walk, &options);
	if (status == PH_OK)
		status = ph_walk_graft(maint->walk, &maint->ref.oid);
	return status == PH_OK ? ph_walk_want(maint->walk, &maint->ref.oid) : status;
}

enum ph_step ph__maint_fulls_begin(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = begin_walk(maint);

	ph_budget_spend(budget, 1);
	return status == PH_OK ? ph__maint_go(maint, PH__MAINT_FULLS_WALK) : without(maint, status);
}

static enum ph_status begin_maker(struct ph__maint *maint)
{
	const struct ph_service *service = &maint->session.service;
	struct ph_fulls_options options = {.source = maint->source,
	                                   .walk = maint->walk,
	                                   .pack = maint->largest,
	                                   .alloc = service->alloc,
	                                   .limits = service->limits};
	uint32_t entries;
	enum ph_status status = ph_store_begin(service->store, maint->snapshot, &maint->txn);

	maint->source->ops->pack_size(maint->source, maint->largest, &entries, &options.bytes_max);
	options.bytes_max /= PART;
	if (status == PH_OK)
		status = ph_txn_attach(maint->txn,
		                       ph_snapshot_pack_id(maint->snapshot, maint->largest),
		                       PH__SECTION_FULLS, &options.sink);
	maint->fulls_sink = options.sink;
	return status == PH_OK ? ph_fulls_maker_new(&maint->fulls, &options) : status;
}

enum ph_step ph__maint_fulls_walk(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = ph_walk_run(maint->walk, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_OK)
		status = begin_maker(maint);
	return status == PH_OK ? ph__maint_go(maint, PH__MAINT_FULLS) : without(maint, status);
}

/* One that is empty is committed too: so nobody looks again until the pack is another. */
enum ph_step ph__maint_fulls(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = ph_fulls_maker_run(maint->fulls, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return without(maint, status);
	maint->written += maint->fulls_sink->size;
	return ph__maint_go(maint, PH__MAINT_COMMIT);
}
