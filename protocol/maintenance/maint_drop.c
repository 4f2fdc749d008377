/* SPDX-License-Identifier: MIT */
/*
 * Packs of which no ref reaches anything go as they are: nothing has to be written for that but the
 * commit. It is what becomes of most branches that are deleted, and all that can be done where no
 * space is left. A pack needs no other, since bases of its deltas are in it; an object of which the
 * walk found a copy elsewhere is not missed.
 */
#include "maint_int.h"

#include <string.h>

static bool is_unreached(const struct ph__maint *maint, uint32_t pack)
{
	struct ph_loc loc = {pack, 0};
	uint32_t entries;
	uint64_t bytes;

	maint->source->ops->pack_size(maint->source, pack, &entries, &bytes);
	while (loc.pos < entries && !ph_walk_selected(maint->walk, loc))
		loc.pos++;
	return loc.pos == entries;
}

bool ph__maint_drop_due(const struct ph__maint *maint)
{
	uint32_t packs = maint->source->ops->packs(maint->source);

	for (uint32_t pack = 0; pack < packs; pack++)
		if (is_unreached(maint, pack))
			return true;
	return false;
}

/* Those packs, as the ones that are replaced, by nothing. */
static void find(struct ph__maint *maint)
{
	struct ph__maint_join *join = &maint->join;
	uint32_t packs = maint->source->ops->packs(maint->source);

	memset(join, 0, sizeof(*join));
	for (uint32_t pack = 0; pack < packs && join->count < PH_PACK_JOIN_MAX; pack++)
		if (is_unreached(maint, pack)) {
			join->packs[join->count] = pack;
			join->ids[join->count++] = ph_snapshot_pack_id(maint->snapshot, pack);
		}
}

enum ph_step ph__maint_drop(struct ph__maint *maint, uint32_t *budget)
{
	struct ph__maint_join *join = &maint->join;
	enum ph_status status;

	ph_budget_spend(budget, 1 + (uint32_t)(maint->entries / 1024));
	find(maint);
	if (join->count == 0) {
		maint->no.check = true;
		return ph__maint_again(maint);
	}
	status = ph_store_begin(maint->session.service.store, maint->snapshot, &maint->txn);
	if (status == PH_OK)
		status = ph_txn_replace(maint->txn, join->ids, join->count, true);
	if (status == PH_ERR_CONFLICT)
		return ph__maint_later(maint, "changed meanwhile");
	if (status != PH_OK)
		return ph__maint_fail(maint, status, "letting go of packs");
	return ph__maint_go(maint, PH__MAINT_COMMIT);
}
