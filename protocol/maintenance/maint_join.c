/* SPDX-License-Identifier: MIT */
/*
 * Some packs become one (pack_join.h), in a transaction of their own that takes the old ones out. A
 * push that commits meanwhile is not in the way, unless objects are dropped: then it may have made
 * them reachable, and the store refuses.
 */
#include "maint_int.h"
#include "map_section_int.h"
#include "tips_int.h"

#include <string.h>

void ph__maint_join_release(struct ph__maint *maint)
{
	ph_pack_join_free(maint->join.join);
	memset(&maint->join, 0, sizeof(maint->join));
}

/* A section of the new pack, or NULL: it is done without. */
static enum ph_status ask_section(struct ph__maint *maint, uint32_t section, struct ph_sink **sink)
{
	enum ph_status status = ph_txn_sink(maint->txn, maint->join.pack, section, sink);

	if (status != PH_OK)
		*sink = NULL;
	return status;
}

static enum ph_status begin(struct ph__maint *maint)
{
	const struct ph_service *service = &maint->session.service;
	struct ph__maint_join *join = &maint->join;
	struct ph_pack_join_options options = {.source = maint->source,
	                                       .packs = join->packs,
	                                       .indexes = join->indexes,
	                                       .count = join->count,
	                                       .walk = maint->walk,
	                                       .alloc = service->alloc,
	                                       .limits = service->limits};
	enum ph_status status = ph_store_begin(service->store, maint->snapshot, &maint->txn);

	if (status == PH_OK)
		maint->txn->upkeep = true;
	for (uint32_t i = 0; i < join->count && status == PH_OK; i++) {
		join->ids[i] = ph_snapshot_pack_id(maint->snapshot, join->packs[i]);
		join->indexes[i] =
		        ph_snapshot_section(maint->snapshot, join->packs[i], PH_SECTION_INDEX);
		if (!join->indexes[i])
			status = PH_ERR_CORRUPT;
	}
	if (status == PH_OK)
		status = ph_txn_pack_begin(maint->txn, &join->pack);
	if (status == PH_OK)
		status = ph_txn_sink(maint->txn, join->pack, PH_SECTION_RUN, &options.run);
	if (status == PH_OK)
		status = ph_txn_sink(maint->txn, join->pack, PH_SECTION_INDEX, &join->index);
	options.index = join->index;
	if (status == PH_OK)
		status = ask_section(maint, PH__SECTION_TIPS, &join->tips);
	if (status == PH_OK && maint->walk && !maint->no.map)
		status = ask_section(maint, PH__SECTION_MAP, &join->map);
	return status == PH_OK ? ph_pack_join_new(&join->join, &options) : status;
}

enum ph_step ph__maint_join_begin(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = begin(maint);

	ph_budget_spend(budget, 1 + maint->join.count);
	if (status == PH_ERR_CONFLICT)
		return ph__maint_later(maint, "changed meanwhile");
	if (status != PH_OK)
		return ph__maint_fail(maint, status, "joining packs");
	return ph__maint_go(maint, PH__MAINT_JOIN);
}

/* The new pack is there: it stands for the old ones, or nothing does. */
static enum ph_status replace(struct ph__maint *maint)
{
	struct ph__maint_join *join = &maint->join;
	enum ph_status status = PH_OK;

	join->stats = *ph_pack_join_stats(join->join);
	if (join->stats.objects > 0) {
		maint->written = join->stats.bytes + join->index->size;
		status = ph_txn_pack_end(maint->txn, join->pack);
	} else {
		join->tips = join->map = NULL;
		ph_txn_pack_drop(maint->txn, join->pack);
	}
	return status == PH_OK
	               ? ph_txn_replace(maint->txn, join->ids, join->count, join->stats.dropped > 0)
	               : status;
}

enum ph_step ph__maint_join_run(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = ph_pack_join_run(maint->join.join, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	/* A large delta, on what is dropped or too deep, that cannot be made whole: it stays. */
	if (status == PH_ERR_LIMIT) {
		ph__maint_say(maint, "left packs as they are: %s", ph_status_text(status));
		if (maint->walk)
			maint->no.drop = maint->no.check = true;
		else
			maint->no.join = true;
		return ph__maint_again(maint);
	}
	if (status == PH_OK)
		status = replace(maint);
	if (status != PH_OK)
		return ph__maint_fail(maint, status, "joining packs");
	return ph__maint_go(maint,
	                    maint->join.stats.objects ? PH__MAINT_NOTE_BEGIN : PH__MAINT_COMMIT);
}
