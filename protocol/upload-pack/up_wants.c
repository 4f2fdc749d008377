/* SPDX-License-Identifier: MIT */
/*
 * What a client may have. A want is good when it is the value of a ref in the snapshot that the
 * client saw, or in the repository as it is now; over version 2 also when it is reachable from a
 * ref now. So a push between ls-refs and fetch breaks no clone, and nobody gets an object by
 * knowing its id alone. The answer is read from one snapshot: the older one when it has all wants.
 */
#include "up_int.h"

#include <assert.h>
#include <string.h>

static enum ph_step not_our_ref(struct ph__up *up, const struct ph_oid *oid)
{
	char hex[PH_OID_HEX_MAX + 1];

	return ph__up_fail(up, PH__SAY_ERR, "upload-pack: not our ref %s",
	                   ph_oid_to_hex(hex, up->algo, oid));
}

static void close_iter(struct ph__up *up)
{
	ph_ref_iter_free(up->iter);
	up->iter = NULL;
}

/* The next ref with a value that clients are shown. PH_END behind the last. */
static enum ph_status next_tip(struct ph__up *up, struct ph_snapshot *snapshot)
{
	enum ph_status status;

	if (!up->iter) {
		status = ph_snapshot_refs(snapshot, "", &up->iter);
		if (status != PH_OK)
			return status;
	}
	do {
		status = ph_ref_iter_next(up->iter, &up->ref);
	} while (status == PH_OK && *up->ref.target);
	return status;
}

/* The first want that is no ref's value anywhere, or UINT32_MAX. */
static uint32_t unmarked(const struct ph__up *up)
{
	const struct ph__oid_set *wants = &up->request.wants;

	for (uint32_t i = 0; i < wants->count; i++)
		if (!(wants->marks[i] & (PH__WANT_SEEN | PH__WANT_NOW)))
			return i;
	return UINT32_MAX;
}

static enum ph_step choose(struct ph__up *up, struct ph_snapshot *snapshot)
{
	up->use = snapshot;
	up->source = ph_snapshot_source(snapshot);
	return ph__up_admit_then(up, PH__UP_CHOSEN);
}

/* The snapshot that the client saw lacks a want: look at the repository as it is now. */
static enum ph_step look_now(struct ph__up *up)
{
	enum ph_status status = PH_OK;
	uint32_t missing;

	/* Refs wanted by name were looked up in it. */
	if (!up->now)
		status = ph_store_snapshot(up->session.service.store, up->repo, &up->now);

	if (status != PH_OK && status != PH_ERR_NOT_FOUND)
		return ph__up_fail_status(up, status, "opening the repository");
	if (status == PH_OK && up->now->algo == up->algo) {
		up->tips_now = true;
		return ph__up_go(up, PH__UP_TIPS);
	}
	missing = unmarked(up);
	assert(missing != UINT32_MAX);
	return not_our_ref(up, &up->request.wants.oids[missing]);
}

/* All tips of both snapshots were looked at. */
static enum ph_step tips_end(struct ph__up *up)
{
	uint32_t missing = unmarked(up);

	if (missing == UINT32_MAX)
		return choose(up, up->now);
	/* What exists, CHOSEN finds out. */
	if (up->config.allow_any_sha1)
		return choose(up, up->now);
	if (up->version == 2 || up->config.allow_reachable_sha1)
		return ph__up_admit_then(up, PH__UP_REACH_TIPS);
	return not_our_ref(up, &up->request.wants.oids[missing]);
}

enum ph_step ph__up_tips(struct ph__up *up, uint32_t *budget)
{
	struct ph__oid_set *wants = &up->request.wants;
	struct ph_snapshot *snapshot = up->tips_now ? up->now : up->seen;
	uint8_t mark = up->tips_now ? PH__WANT_NOW : PH__WANT_SEEN;

	if (!up->iter)
		up->marked = 0;
	while (*budget > 0) {
		enum ph_status status = PH_END;
		uint32_t found;

		if (up->marked < wants->count)
			status = next_tip(up, snapshot);
		ph_budget_spend(budget, 1);
		if (status == PH_END) {
			close_iter(up);
			if (up->tips_now)
				return tips_end(up);
			return up->marked == wants->count ? choose(up, up->seen) : look_now(up);
		}
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "reading refs");
		found = ph__oid_set_find(wants, &up->ref.oid);
		if (found != UINT32_MAX && !(wants->marks[found] & mark)) {
			wants->marks[found] |= mark;
			up->marked++;
		}
	}
	return PH_STEP_AGAIN;
}

/* ---- reachable wants ---- */

static enum ph_step reach_fail(struct ph__up *up, enum ph_status status)
{
	return ph__up_fail_status(up, status, "looking for wants");
}

static enum ph_step reach_targets(struct ph__up *up, uint32_t *budget)
{
	struct ph__oid_set *wants = &up->request.wants;

	for (; up->cursor<wants->count && * budget> 0; up->cursor++) {
		enum ph_status status = PH_OK;

		ph_budget_spend(budget, 1);
		if (!wants->marks[up->cursor])
			status = ph_reach_target(up->reach, &wants->oids[up->cursor]);
		if (status == PH_ERR_NOT_FOUND && up->request.command == PH__COMMAND_OBJECT_INFO)
			continue;
		if (status == PH_ERR_NOT_FOUND)
			return not_our_ref(up, &wants->oids[up->cursor]);
		if (status != PH_OK)
			return reach_fail(up, status);
	}
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_reach_tips(struct ph__up *up, uint32_t *budget)
{
	const struct ph_service *service = &up->session.service;
	enum ph_status status = PH_OK;
	enum ph_step step;

	if (!up->reach)
		status = ph__up_maps_open(up, up->now);
	if (status == PH_OK && !up->reach)
		status = ph_reach_new(&up->reach, ph_snapshot_source(up->now), service->alloc,
		                      service->limits, &up->maps.maps);
	if (status != PH_OK)
		return reach_fail(up, status);
	step = reach_targets(up, budget);
	if (step != PH_STEP_AGAIN || up->state == PH__UP_FAIL)
		return step;
	while (*budget > 0) {
		status = next_tip(up, up->now);
		ph_budget_spend(budget, 1);
		if (status == PH_END) {
			close_iter(up);
			return ph__up_go(up, PH__UP_REACH);
		}
		if (status == PH_OK)
			status = ph_reach_tip(up->reach, &up->ref.oid);
		if (status != PH_OK)
			return reach_fail(up, status);
	}
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_reach(struct ph__up *up, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = ph_reach_run(up->reach, budget, &missing);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (up->request.command == PH__COMMAND_OBJECT_INFO &&
	    (status == PH_OK || status == PH_ERR_NOT_FOUND))
		return ph__up_go(up, PH__UP_OBJECT_LINES);
	if (status == PH_ERR_NOT_FOUND)
		return not_our_ref(up, &missing);
	ph_reach_free(up->reach);
	up->reach = NULL;
	if (status != PH_OK)
		return ph__up_maps_blamed(up, status) ? ph__up_go(up, PH__UP_REACH_TIPS)
		                                      : reach_fail(up, status);
	return choose(up, up->now);
}

/*
 * The snapshot is chosen. When wants were spread over both, maintenance may have dropped what only
 * the older one had; said here, an answer has not begun yet.
 */
enum ph_step ph__up_chosen(struct ph__up *up, uint32_t *budget)
{
	const struct ph__oid_set *wants = &up->request.wants;
	enum ph_status status;

	for (; up->cursor<wants->count && * budget> 0; up->cursor++) {
		struct ph_loc loc;

		status = up->source->ops->find(up->source, &wants->oids[up->cursor], &loc);
		ph_budget_spend(budget, 1);
		if (status == PH_ERR_NOT_FOUND)
			return not_our_ref(up, &wants->oids[up->cursor]);
		if (status != PH_OK)
			return reach_fail(up, status);
	}
	if (up->cursor < wants->count)
		return PH_STEP_AGAIN;
	status = ph__up_maps_open(up, up->use);
	if (status != PH_OK)
		return reach_fail(up, status);
	return ph__up_filter_begin(up);
}
