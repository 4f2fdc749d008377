/* SPDX-License-Identifier: MIT */
/*
 * What a client says it has, where refs are hidden. An object that only hidden refs reach counts as
 * one that is not here: acknowledging it would tell whoever guesses an id that it exists, and
 * taking it for common would let a client learn of its contents, by deltas against it and by what
 * is left out. So haves and shallow lines must be reachable from the refs that the client may see,
 * or from its wants. One walk through the commits finds that out for all of them, and stops when
 * all are found, which with a fetch's recent haves is soon. Over protocol 0 it goes on from have to
 * have.
 */
#include "up_int.h"

static enum ph_step known_failed(struct ph__up *up, enum ph_status status)
{
	return ph__up_fail_status(up, status, "negotiating");
}

/* Where known_begin goes on. */
static enum ph_step known_end(struct ph__up *up)
{
	return ph__up_go(up, up->version == 2 && up->request.haves.count ? PH__UP_V2_HAVES
	                                                                 : PH__UP_SHALLOW_KNOWN);
}

enum ph_step ph__up_known_begin(struct ph__up *up)
{
	const struct ph__up_request *request = &up->request;
	bool named = up->version < 2 || request->haves.count || request->shallows.count;

	/* Who may ask for anything by its id learns nothing by having it. */
	if (up->config.hide_upload.count == 0 || up->config.allow_any_sha1 || !named)
		return known_end(up);
	return ph__up_go(up, PH__UP_KNOWN_TIPS);
}

/* Only commits and tags: no client has anything else to negotiate with. PH_ERR_NOT_FOUND. */
static enum ph_status find(const struct ph__up *up, const struct ph_oid *oid, struct ph_loc *loc)
{
	struct ph_entry entry;
	enum ph_status status = up->source->ops->find(up->source, oid, loc);

	if (status == PH_OK)
		status = up->source->ops->entry(up->source, *loc, &entry);
	if (status == PH_OK && entry.type != PH_OBJ_COMMIT && entry.type != PH_OBJ_TAG)
		status = PH_ERR_NOT_FOUND;
	return status;
}

static enum ph_status add_target(struct ph__up *up, const struct ph_oid *oid)
{
	struct ph_loc loc;
	enum ph_status status = find(up, oid, &loc);

	return status == PH_OK ? ph_reach_target(up->known, oid) : status;
}

enum ph_step ph__up_known_tips(struct ph__up *up, uint32_t *budget)
{
	const struct ph_service *service = &up->session.service;
	const struct ph__oid_set *wants = &up->request.wants;
	enum ph_status status = PH_OK;

	if (!up->known)
		status = ph_reach_new(&up->known, up->source, service->alloc, service->limits,
		                      &up->maps.set.maps);
	while (status == PH_OK && *budget > 0) {
		if (up->cursor < wants->count) {
			status = ph_reach_tip(up->known, &wants->oids[up->cursor++]);
		} else {
			status = ph__up_next_tip(up, up->use, false);
			if (status == PH_OK)
				status = ph_reach_tip(up->known, &up->ref.oid);
			else if (status == PH_AGAIN)
				status = PH_OK;
		}
		ph_budget_spend(budget, 1);
	}
	if (status == PH_OK)
		return PH_STEP_AGAIN;
	if (status != PH_END)
		return known_failed(up, status);
	ph_ref_iter_free(up->iter);
	up->iter = NULL;
	return ph__up_go(up, PH__UP_KNOWN_TARGETS);
}

/* Haves and shallow lines by one cursor; over protocol 0 there are no haves yet. */
enum ph_step ph__up_known_targets(struct ph__up *up, uint32_t *budget)
{
	const struct ph__oid_set *haves = &up->request.haves, *shallows = &up->request.shallows;

	while (*budget > 0) {
		uint32_t at = up->cursor++;
		const struct ph_oid *oid;
		enum ph_status status;

		if (at >= haves->count && at - haves->count == shallows->count)
			return ph__up_go(up, PH__UP_KNOWN);
		oid = at < haves->count ? &haves->oids[at] : &shallows->oids[at - haves->count];
		status = add_target(up, oid);
		ph_budget_spend(budget, 1);
		if (status != PH_OK && status != PH_ERR_NOT_FOUND)
			return known_failed(up, status);
	}
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_known(struct ph__up *up, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = ph_reach_run(up->known, budget, &missing);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_OK || status == PH_ERR_NOT_FOUND)
		return known_end(up);
	ph_reach_free(up->known);
	up->known = NULL;
	return ph__up_maps_blamed(up, status) ? ph__up_go(up, PH__UP_KNOWN_TIPS)
	                                      : known_failed(up, status);
}

enum ph_status ph__up_find(struct ph__up *up, const struct ph_oid *oid, struct ph_loc *loc)
{
	enum ph_status status;

	if (!up->known)
		return up->source->ops->find(up->source, oid, loc);
	status = find(up, oid, loc);
	return status == PH_OK && !ph_reach_found(up->known, *loc) ? PH_ERR_NOT_FOUND : status;
}

enum ph_status ph__up_find_now(struct ph__up *up, const struct ph_oid *oid, uint32_t *budget)
{
	struct ph_oid missing;
	struct ph_loc loc;
	enum ph_status status = PH_OK;

	if (up->known)
		status = add_target(up, oid);
	if (up->known && status == PH_OK)
		status = ph_reach_run(up->known, budget, &missing);
	if (status != PH_OK && status != PH_ERR_NOT_FOUND)
		return status;
	return ph__up_find(up, oid, &loc);
}
