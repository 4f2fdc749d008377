/* SPDX-License-Identifier: MIT */
/*
 * What refs reach. Whether there is anything they do not reach shows by the tips of earlier pushes,
 * when each is below some ref: that is soon found among commits. Otherwise a walk over everything
 * tells how much it is, and what is kept when all packs are joined. A walk that meets anything but
 * whole objects ends the letting go: nothing is dropped from a repository that is damaged.
 */
#include "maint_int.h"
#include "map_section_int.h"
#include "tips_int.h"

#include <inttypes.h>
#include <string.h>

/* All is joined when one in so many of all objects is out of reach: twice what is let go of is
 * written then. */
#define UNREACHABLE_SHARE 3u
/* Tips of pushes that are looked for among commits. */
#define TARGETS_MAX 65536u

void ph__maint_reach_release(struct ph__maint *maint)
{
	ph_reach_free(maint->reach);
	ph_walk_free(maint->walk);
	ph_map_free(maint->map);
	maint->reach = NULL;
	maint->walk = NULL;
	maint->map = NULL;
	maint->maps.count = 0;
}

/* The map of the largest pack, when it has one: other packs have none, or small ones. */
static enum ph_status open_map(struct ph__maint *maint)
{
	const struct ph_bytes *section =
	        ph_snapshot_section(maint->snapshot, maint->largest, PH__SECTION_MAP);
	enum ph_status status;

	if (maint->map || !section)
		return PH_OK;
	status = ph_map_open(&maint->map, maint->source, maint->largest, section,
	                     maint->session.service.alloc);
	if (status != PH_OK) {
		maint->map = NULL;
		return status == PH_ERR_NOMEM ? status : PH_OK;
	}
	maint->maps = (struct ph_maps){&maint->map, 1};
	return PH_OK;
}

/* ---- whether anything is out of reach ---- */

/* PH_ERR_NOT_FOUND: only the walk can tell. */
static enum ph_status add_target(struct ph__maint *maint, const struct ph_oid *oid)
{
	const struct ph_source *source = maint->source;
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	/* A tag's value is a ref's own, or gone. */
	if (status == PH_OK && entry.type == PH_OBJ_TAG)
		return PH_OK;
	if (status == PH_OK && entry.type != PH_OBJ_COMMIT)
		status = PH_ERR_NOT_FOUND;
	return status == PH_OK ? ph_reach_target(maint->reach, oid) : status;
}

/* Targets out of the note of one pack, from maint->note.pos on. PH_END at its end. */
static enum ph_status add_targets(struct ph__maint *maint, uint32_t pack, uint32_t *budget)
{
	const struct ph_bytes *section =
	        ph_snapshot_section(maint->snapshot, pack, PH__SECTION_TIPS);
	struct ph__tips tips;
	uint32_t entries;
	uint64_t bytes;
	enum ph_status status = PH_ERR_NOT_FOUND;

	maint->source->ops->pack_size(maint->source, pack, &entries, &bytes);
	if (section)
		status = ph__tips_open(&tips, section, maint->snapshot->algo, entries);
	while (status == PH_OK && *budget > 0) {
		struct ph_oid oid;

		if (maint->note.pos == tips.tips)
			return PH_END;
		if (maint->note.rank++ == TARGETS_MAX)
			return PH_ERR_NOT_FOUND;
		ph_budget_spend(budget, 1);
		status = ph__tips_tip(&tips, maint->note.pos++, &oid);
		if (status == PH_OK)
			status = add_target(maint, &oid);
	}
	return status;
}

static enum ph_step walk_it(struct ph__maint *maint)
{
	ph__maint_reach_release(maint);
	return ph__maint_go(maint, PH__MAINT_WANTS);
}

static bool is_fatal(enum ph_status status)
{
	return status == PH_ERR_NOMEM || status == PH_ERR_IO;
}

enum ph_step ph__maint_targets(struct ph__maint *maint, uint32_t *budget)
{
	const struct ph_service *service = &maint->session.service;
	uint32_t packs = maint->source->ops->packs(maint->source);
	enum ph_status status = PH_OK;

	if (!maint->reach) {
		status = open_map(maint);
		if (status == PH_OK)
			status = ph_reach_new(&maint->reach, maint->source, service->alloc,
			                      service->limits, &maint->maps);
		maint->note.pos = maint->note.rank = 0;
	}
	while (status == PH_OK && maint->cursor<packs && * budget> 0) {
		ph_budget_spend(budget, 1);
		status = add_targets(maint, maint->cursor, budget);
		if (status != PH_END)
			continue;
		maint->note.pos = 0;
		maint->cursor++;
		status = PH_OK;
	}
	if (is_fatal(status))
		return ph__maint_fail(maint, status, "looking for the unreachable");
	if (status != PH_OK)
		return walk_it(maint);
	return maint->cursor == packs ? ph__maint_go(maint, PH__MAINT_REACH_TIPS) : PH_STEP_AGAIN;
}

enum ph_step ph__maint_reach_tips(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	while (status == PH_OK && *budget > 0) {
		ph_budget_spend(budget, 1);
		status = ph__maint_ref(maint);
		if (status == PH_OK)
			status = ph_reach_tip(maint->reach, &maint->ref.oid);
	}
	if (status < 0)
		return ph__maint_fail(maint, status, "looking for the unreachable");
	return status == PH_END ? ph__maint_go(maint, PH__MAINT_REACH) : PH_STEP_AGAIN;
}

enum ph_step ph__maint_reach(struct ph__maint *maint, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = ph_reach_run(maint->reach, budget, &missing);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (is_fatal(status))
		return ph__maint_fail(maint, status, "looking for the unreachable");
	if (status != PH_OK)
		return walk_it(maint);
	maint->no.check = true;
	return ph__maint_again(maint);
}

/* ---- what is in reach ---- */

/* Nothing is let go of any more, and all else is done as usual. */
static enum ph_step keep_all(struct ph__maint *maint, enum ph_status status)
{
	const struct ph_service *service = &maint->session.service;

	if (is_fatal(status))
		return ph__maint_fail(maint, status, "walking over all objects");
	ph_log_line(service->log, PH_LOG_WARN, "maintenance", service->connection,
	            "%s: nothing is dropped, as a walk over all objects ended: %s", maint->repo,
	            ph_status_text(status));
	maint->no.drop = maint->no.check = true;
	return ph__maint_again(maint);
}

/*
 * How much is out of reach may be told with the help of a map. What is dropped in the end is
 * decided by a walk that trusts none.
 */
static enum ph_status begin_walk(struct ph__maint *maint)
{
	bool check = maint->job == PH__MAINT_CHECK;
	struct ph_walk_options options = {.source = maint->source,
	                                  .alloc = maint->session.service.alloc,
	                                  .limits = maint->session.service.limits,
	                                  /* What is kept has to be whole. */
	                                  .connectivity = true,
	                                  .maps = check ? &maint->maps : NULL};
	const struct ph_oid *oids;
	uint32_t count = ph_snapshot_shallow(maint->snapshot, &oids);
	enum ph_status status = check ? open_map(maint) : PH_OK;

	if (status == PH_OK)
		status = ph_walk_new(&maint->walk, &options);

	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = ph_walk_graft(maint->walk, &oids[i]);
	return status;
}

enum ph_step ph__maint_wants(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = maint->walk ? PH_OK : begin_walk(maint);

	while (status == PH_OK && *budget > 0) {
		ph_budget_spend(budget, 1);
		status = ph__maint_ref(maint);
		if (status == PH_OK)
			status = ph_walk_want(maint->walk, &maint->ref.oid);
	}
	if (status < 0)
		return keep_all(maint, status);
	return status == PH_END ? ph__maint_go(maint, PH__MAINT_WALK) : PH_STEP_AGAIN;
}

/* Whether the repository is still the one that was walked: else its packs cannot be let go of. */
static bool is_current(struct ph__maint *maint)
{
	struct ph_snapshot *now;
	bool same;

	if (ph_store_snapshot(maint->session.service.store, maint->repo, &now) != PH_OK)
		return false;
	same = now->generation == maint->snapshot->generation;
	ph_snapshot_release(now);
	return same;
}

/* Nothing of the only pack is out of reach. If it came without a note, as one that was imported
 * did, it gets one: or every start would walk all of it again. */
static enum ph_step note_it(struct ph__maint *maint)
{
	enum ph_status status =
	        ph_store_begin(maint->session.service.store, maint->snapshot, &maint->txn);

	if (status == PH_OK)
		status = ph_txn_attach(maint->txn, ph_snapshot_pack_id(maint->snapshot, 0),
		                       PH__SECTION_TIPS, &maint->join.tips);
	if (status != PH_OK) {
		maint->no.check = true;
		return ph__maint_again(maint);
	}
	maint->job = PH__MAINT_NOTE_ONLY;
	maint->join.count = 0;
	maint->join.stats.objects = (uint32_t)maint->entries;
	return ph__maint_go(maint, PH__MAINT_NOTE_BEGIN);
}

/* What becomes of what is out of reach. */
static enum ph_step judge(struct ph__maint *maint, uint64_t unreachable)
{
	uint32_t packs = maint->source->ops->packs(maint->source);

	if (unreachable == 0 && packs == 1 && !maint->no.room && maint->refs <= PH__TIPS_MAX &&
	    !ph_snapshot_section(maint->snapshot, 0, PH__SECTION_TIPS))
		return note_it(maint);
	if (unreachable > 0 && ph__maint_drop_due(maint)) {
		maint->job = PH__MAINT_PACKS;
		return walk_it(maint);
	}
	/* What is not joined now will be, or has to wait for room. */
	if (maint->no.room || packs > PH_PACK_JOIN_MAX ||
	    unreachable * UNREACHABLE_SHARE < maint->entries) {
		maint->no.check = true;
		return ph__maint_again(maint);
	}
	maint->job = PH__MAINT_ALL;
	return walk_it(maint);
}

enum ph_step ph__maint_walk(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = ph_walk_run(maint->walk, budget);
	uint64_t unreachable;

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return keep_all(maint, status);
	unreachable = maint->entries - ph_walk_count(maint->walk);
	if (maint->job == PH__MAINT_CHECK)
		return judge(maint, unreachable);
	if (unreachable > 0 && !is_current(maint))
		return ph__maint_later(maint, "changed meanwhile");
	return ph__maint_go(maint,
	                    maint->job == PH__MAINT_PACKS ? PH__MAINT_DROP : PH__MAINT_JOIN_BEGIN);
}
