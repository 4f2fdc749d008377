/* SPDX-License-Identifier: MIT */
/*
 * The map of a pack (map.h): of the largest when it has none yet, as after a first push, or of the
 * pack that was just joined out of all, before it is committed, so that readers never see the one
 * without the other. Readers are right without it, so no failure here is one of the joining.
 */
#include "maint_int.h"
#include "map_section_int.h"

#include <string.h>

static bool alone(const struct ph__maint *maint)
{
	return maint->job == PH__MAINT_MAP_ONLY;
}

/* The job is the map and nothing else: a transaction that attaches it. */
static enum ph_status begin_alone(struct ph__maint *maint)
{
	enum ph_status status =
	        ph_store_begin(maint->session.service.store, maint->snapshot, &maint->txn);

	return status == PH_OK ? ph_txn_attach(maint->txn,
	                                       ph_snapshot_pack_id(maint->snapshot, maint->largest),
	                                       PH__SECTION_MAP, &maint->join.map)
	                       : status;
}

static enum ph_status begin_maker(struct ph__maint *maint)
{
	struct ph_map_options options = {.source = maint->source,
	                                 .pack = maint->largest,
	                                 .sink = maint->join.map,
	                                 .alloc = maint->session.service.alloc,
	                                 .limits = maint->session.service.limits};

	if (!alone(maint)) {
		/* The new pack is the transaction's last. */
		options.source = ph_txn_source(maint->txn);
		options.pack = options.source->ops->packs(options.source) - 1;
	}
	return ph_map_maker_new(&maint->maker, &options);
}

/* Commits what there is: without the map, or in its place the word that there can be none. */
static enum ph_step without(struct ph__maint *maint, enum ph_status status)
{
	const struct ph_service *service = &maint->session.service;

	ph_map_maker_free(maint->maker);
	maint->maker = NULL;
	ph_log_line(service->log, PH_LOG_DEBUG, "maintenance", service->connection,
	            "%s: no map: %s", maint->repo, ph_status_text(status));
	if (!alone(maint)) {
		maint->join.map->ops->abort(maint->join.map);
		return ph__maint_go(maint, PH__MAINT_COMMIT);
	}
	if (status != PH_ERR_MISSING || maint->mark_only)
		return ph__maint_fail(maint, status, "making a map");
	maint->mark_only = true;
	ph_txn_free(maint->txn);
	maint->txn = NULL;
	return ph__maint_go(maint, PH__MAINT_MAP_BEGIN);
}

static enum ph_step write_mark(struct ph__maint *maint)
{
	struct ph_sink *sink = maint->join.map;
	enum ph_status status = sink->ops->append(sink, PH__MAP_NONE, PH__MAP_NONE_BYTES);

	return status == PH_OK ? ph__maint_go(maint, PH__MAINT_COMMIT) : without(maint, status);
}

enum ph_step ph__maint_map_begin(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = alone(maint) ? begin_alone(maint) : PH_OK;

	ph_budget_spend(budget, 1);
	if (status == PH_ERR_CONFLICT)
		return ph__maint_later(maint, "changed meanwhile");
	if (status != PH_OK)
		return ph__maint_fail(maint, status, "making a map");
	if (maint->mark_only)
		return write_mark(maint);
	/* What was selected is in the new pack; its states are not needed any more. */
	ph__maint_reach_release(maint);
	status = begin_maker(maint);
	return status == PH_OK ? ph__maint_go(maint, PH__MAINT_MAP_TIPS) : without(maint, status);
}

enum ph_step ph__maint_map_tips(struct ph__maint *maint, uint32_t *budget)
{
	static const struct ph_oid zero;
	enum ph_status status = PH_OK;

	while (status == PH_OK && *budget > 0) {
		const struct ph_ref *ref = &maint->ref;

		ph_budget_spend(budget, 1);
		status = ph__maint_ref(maint);
		if (status == PH_OK)
			status = ph_map_maker_tip(maint->maker, ph_oid_cmp(&ref->peeled, &zero)
			                                                ? &ref->peeled
			                                                : &ref->oid);
	}
	if (status < 0)
		return without(maint, status);
	return status == PH_END ? ph__maint_go(maint, PH__MAINT_MAP) : PH_STEP_AGAIN;
}

enum ph_step ph__maint_map(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = ph_map_maker_run(maint->maker, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return without(maint, status);
	ph_map_maker_free(maint->maker);
	maint->maker = NULL;
	maint->written += maint->join.map->size;
	return ph__maint_go(maint, PH__MAINT_COMMIT);
}
