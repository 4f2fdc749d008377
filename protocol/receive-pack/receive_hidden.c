/* SPDX-License-Identifier: MIT */
/*
 * Where refs are hidden from pushes, knowing an id must not be enough: who could build on an object
 * that only hidden refs reach could fetch it afterwards. So what a push needs has to be brought by
 * it, or be reachable from refs that the pusher may see: what the proof of connectivity has
 * selected, and the bases that its thin pack was completed with. The answer is that of a repository
 * that never had the hidden objects. Where nothing is hidden none of this is done.
 */
#include "receive_int.h"

#include <string.h>

/* Looking at one entry of the pack: its id, and where that is found first. */
#define ENTRY_COST 1u
/* Looking whether an object is selected is cheap: so many make one unit of work. */
#define SCAN_PER_UNIT 256u

/* The push's pack is the last of the source. */
static uint32_t pack_of_push(const struct ph_source *source, uint32_t *entries)
{
	uint32_t pack = source->ops->packs(source) - 1;
	uint64_t bytes;

	source->ops->pack_size(source, pack, entries, &bytes);
	return pack;
}

/* ---- what visible refs reach ---- */

void ph__receive_bases_release(struct receive *r)
{
	struct receive_bases *bases = &r->bases;

	ph_ref_iter_free(bases->refs);
	ph_reach_free(bases->reach);
	memset(bases, 0, sizeof(*bases));
}

static enum ph_status begin_reach(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	struct receive_bases *bases = &r->bases;
	struct ph_walk_options options = {0};
	enum ph_status status = ph__receive_maps(r, &options);

	if (status == PH_OK)
		status = ph_snapshot_refs(r->snapshot, "refs/", &bases->refs);
	if (status == PH_OK)
		status = ph_reach_new(&bases->reach, ph_snapshot_source(r->snapshot),
		                      service->alloc, service->limits, options.maps);
	return status;
}

static enum ph_status add_visible(struct receive *r, uint32_t *budget)
{
	struct receive_bases *bases = &r->bases;
	enum ph_status status = PH_OK;

	while (!bases->told && (status == PH_OK || status == PH_AGAIN)) {
		struct ph_ref ref;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, ENTRY_COST);
		status = ph__visible_next(bases->refs, &r->config.hide_receive, &ref);
		if (status == PH_OK && !*ref.target)
			status = ph_reach_tip(bases->reach, &ref.oid);
		bases->told = status == PH_END;
	}
	return status == PH_END ? PH_OK : status;
}

/* ---- what the proof has selected ---- */

/* Whether an object of the pack was selected, in the pack or where the repository had it before. */
static enum ph_status is_selected(const struct receive *r, const struct ph_source *source,
                                  struct ph_loc loc, bool *is)
{
	struct ph_entry entry;
	enum ph_status status = PH_OK;

	*is = ph_walk_selected(r->connect.walk, loc);
	if (!*is)
		status = source->ops->entry(source, loc, &entry);
	if (!*is && status == PH_OK)
		status = source->ops->find(source, &entry.oid, &loc);
	if (!*is && status == PH_OK)
		*is = ph_walk_selected(r->connect.walk, loc);
	return status;
}

/* How much of the selection the push has brought. */
static enum ph_status count_own(struct receive *r, uint32_t *budget)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	struct receive_connect *connect = &r->connect;
	uint32_t entries = 0, pack = 0;

	/* Behind the objects that came are those that the pack was completed with. */
	if (r->pack_objects > 0)
		pack = pack_of_push(source, &entries);
	while (connect->at < r->pack_objects && connect->at < entries) {
		struct ph_loc loc = {pack, connect->at};
		enum ph_status status;
		bool is;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, ENTRY_COST);
		status = is_selected(r, source, loc, &is);
		if (status != PH_OK)
			return status;
		connect->own += is;
		connect->at++;
	}
	return PH_OK;
}

/* Whether the push's own pack holds it among what came. */
static bool came(const struct receive *r, const struct ph_source *source, const struct ph_oid *oid)
{
	uint32_t entries, pos;

	return r->pack_objects > 0 &&
	       ph_source_find_in(source, pack_of_push(source, &entries), oid, &pos) == PH_OK &&
	       pos < r->pack_objects;
}

/* What was selected and did not come has to be reachable. */
static enum ph_status add_older(struct receive *r, uint32_t *budget)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	struct receive_bases *bases = &r->bases;
	enum ph_status status = PH_OK;

	while (bases->pack < source->ops->packs(source) && status == PH_OK) {
		struct ph_loc loc = {bases->pack, bases->at};
		struct ph_entry entry;
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, bases->pack, &entries, &bytes);
		if (*budget == 0)
			return PH_AGAIN;
		if (bases->at == entries) {
			bases->pack++;
			bases->at = 0;
			continue;
		}
		bases->at++;
		ph_budget_spend(budget, bases->at % SCAN_PER_UNIT == 0);
		if (!ph_walk_selected(r->connect.walk, loc))
			continue;
		ph_budget_spend(budget, ENTRY_COST);
		status = source->ops->entry(source, loc, &entry);
		if (status == PH_OK && !came(r, source, &entry.oid))
			status = ph_reach_target(bases->reach, &entry.oid);
	}
	return status;
}

/*
 * The walk does not know all that visible history has: a tree that was there once and comes again,
 * as in a revert, is selected though it need not be sent. So the rest is looked for.
 */
enum ph_status ph__receive_all_own(struct receive *r, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = r->bases.reach ? PH_OK : count_own(r, budget);

	if (status == PH_OK && !r->bases.reach) {
		if (r->connect.own == ph_walk_count(r->connect.walk))
			return PH_OK;
		if (!r->snapshot)
			return PH_ERR_MISSING;
		status = begin_reach(r);
	}
	if (status == PH_OK)
		status = add_older(r, budget);
	if (status == PH_OK)
		status = add_visible(r, budget);
	if (status == PH_OK)
		status = ph_reach_run(r->bases.reach, budget, &missing);
	if (status == PH_AGAIN)
		return status;
	ph__receive_bases_release(r);
	return status == PH_ERR_NOT_FOUND ? PH_ERR_MISSING : status;
}

/* ---- bases of a thin pack ---- */

/* The bases are what has to be reachable. */
static enum ph_status add_bases(struct receive *r, uint32_t *budget)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	uint32_t entries, pack = pack_of_push(source, &entries);
	enum ph_status status = PH_OK;

	while (r->bases.at < entries && status == PH_OK) {
		struct ph_entry entry;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, ENTRY_COST);
		status = source->ops->entry(source, (struct ph_loc){pack, r->bases.at++}, &entry);
		if (status == PH_OK)
			status = ph_reach_target(r->bases.reach, &entry.oid);
	}
	return status;
}

static enum ph_step fail_bases(struct receive *r, enum ph_status status)
{
	const struct ph_service *service = &r->session.service;

	if (status != PH_ERR_NOT_FOUND)
		return ph__receive_die_status(r, status);
	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection,
	            "%s: pack refused: it builds on objects that only hidden refs reach", r->repo);
	/* As of objects that are not here. */
	ph__receive_say(r, "error: %s", ph_status_text(PH_ERR_MISSING_BASE));
	return ph__receive_fail_unpack(r, ph_status_text(PH_ERR_MISSING_BASE));
}

enum ph_step ph__receive_bases(struct receive *r, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = PH_OK;

	if (!r->bases.reach) {
		status = begin_reach(r);
		r->bases.at = r->pack_objects;
	}
	if (status == PH_OK)
		status = add_bases(r, budget);
	if (status == PH_OK)
		status = add_visible(r, budget);
	if (status == PH_OK)
		status = ph_reach_run(r->bases.reach, budget, &missing);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	ph__receive_bases_release(r);
	if (ph__receive_maps_blamed(r, status))
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return fail_bases(r, status);
	r->phase = RECEIVE_TARGETS;
	return PH_STEP_AGAIN;
}
