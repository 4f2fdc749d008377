/* SPDX-License-Identifier: MIT */
/*
 * What a client may have. A want is good when it is the value of a ref in the snapshot that the
 * client saw, or in the repository as it is now, so that a push between ls-refs and fetch breaks no
 * clone. Over version 2 it is also good when it is reachable from a ref now; and where nothing is
 * hidden, when a push has shown it to be reachable once, as in git. Nobody gets what only hidden
 * refs reach by knowing its id, unless the owner allows that. The answer is read from one snapshot:
 * the older one when it has all wants.
 */
#include "up_int.h"

#include "tips_int.h"

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

enum ph_status ph__up_next_tip(struct ph__up *up, struct ph_snapshot *snapshot, bool exact)
{
	static const struct ph_config_list nothing;
	const struct ph_config *config = &up->config;
	bool hidden_too = config->allow_reachable_sha1 || (exact && config->allow_tip_sha1);
	enum ph_status status = PH_OK;

	if (!up->iter)
		status = ph_snapshot_refs(snapshot, "", &up->iter);
	if (status == PH_OK)
		status = ph__visible_next(up->iter, hidden_too ? &nothing : &config->hide_upload,
		                          &up->ref);
	return status == PH_OK && *up->ref.target ? PH_AGAIN : status;
}

enum ph_status ph__up_take(struct ph__up *up, struct ph_snapshot **out)
{
	const struct ph_service *service = &up->session.service;
	struct ph_snapshot *taken;
	struct ph_config config;
	enum ph_status status = ph_store_snapshot(service->store, up->repo, &taken);

	if (status != PH_OK)
		return status;
	status = PH_ERR_NOT_FOUND;
	if (taken->algo == up->algo)
		status = ph_config_load(&config, service->store, taken, service->alloc);
	if (status != PH_OK) {
		ph_snapshot_release(taken);
		return status;
	}
	ph_config_release(&up->config, service->alloc);
	up->config = config;
	if (service->permission >= PH_PERM_OWNER)
		ph_config_show_own(&up->config);
	ph_snapshot_release(*out);
	*out = taken;
	return PH_OK;
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
	if (up->request.command == PH__COMMAND_OBJECT_INFO)
		return ph__up_admit_then(up, PH__UP_OBJECT_LINES);
	return ph__up_admit_then(up, PH__UP_CHOSEN);
}

/* The snapshot that the client saw lacks a want: look at the repository as it is now. */
static enum ph_step look_now(struct ph__up *up)
{
	enum ph_status status = PH_OK;
	uint32_t missing;

	/* Refs wanted by name were looked up in it. */
	if (!up->now)
		status = ph__up_take(up, &up->now);
	if (status != PH_OK && status != PH_ERR_NOT_FOUND)
		return ph__up_fail_status(up, status, "opening the repository");
	if (status == PH_OK) {
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

	/* Whether a want is there at all, CHOSEN finds out. */
	if (missing == UINT32_MAX || up->config.allow_any_sha1)
		return choose(up, up->now);
	if (up->version == 2 && up->config.hide_upload.count == 0)
		return ph__up_go(up, PH__UP_PROVEN);
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
			status = ph__up_next_tip(up, snapshot, true);
		ph_budget_spend(budget, 1);
		if (status == PH_AGAIN)
			continue;
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

/* ---- what pushes have shown to be reachable ---- */

/* Whether an object of a pack is only a copy of what other packs had: ranks are in order. */
static enum ph_status find_copy(const struct ph__tips *tips, uint32_t rank, bool *found)
{
	uint32_t low = 0, high = tips->copies;

	*found = false;
	while (low < high && !*found) {
		uint32_t middle = low + (high - low) / 2, at;
		enum ph_status status = ph__tips_copy(tips, middle, &at);

		if (status != PH_OK)
			return status;
		*found = at == rank;
		if (at < rank)
			low = middle + 1;
		else
			high = middle;
	}
	return PH_OK;
}

/* PH_ERR_NOT_FOUND when nothing tells. Refs may have moved on since; the note stays true. */
static enum ph_status proven(struct ph__up *up, const struct ph_oid *oid)
{
	const struct ph_source *source = ph_snapshot_source(up->now);
	const struct ph_bytes *section;
	struct ph__tips tips;
	struct ph_loc loc;
	uint32_t entries;
	uint64_t bytes;
	bool copy;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status != PH_OK)
		return status;
	section = ph_snapshot_section(up->now, loc.pack, PH__SECTION_TIPS);
	if (!section)
		return PH_ERR_NOT_FOUND;
	source->ops->pack_size(source, loc.pack, &entries, &bytes);
	status = ph__tips_open(&tips, section, up->algo, entries);
	if (status == PH_OK)
		status = find_copy(&tips, loc.pos, &copy);
	if (status == PH_OK && copy)
		status = PH_ERR_NOT_FOUND;
	return status == PH_ERR_UNSUPPORTED || status == PH_ERR_CORRUPT ? PH_ERR_NOT_FOUND : status;
}

enum ph_step ph__up_proven(struct ph__up *up, uint32_t *budget)
{
	struct ph__oid_set *wants = &up->request.wants;

	for (; up->cursor<wants->count && * budget> 0; up->cursor++) {
		enum ph_status status = PH_OK;

		ph_budget_spend(budget, 1);
		if (!wants->marks[up->cursor])
			status = proven(up, &wants->oids[up->cursor]);
		if (status == PH_OK)
			wants->marks[up->cursor] |= PH__WANT_PROVEN;
		else if (status != PH_ERR_NOT_FOUND)
			return ph__up_fail_status(up, status, "looking for wants");
	}
	if (up->cursor < wants->count)
		return PH_STEP_AGAIN;
	for (uint32_t i = 0; i < wants->count; i++)
		if (!wants->marks[i])
			return ph__up_admit_then(up, PH__UP_REACH_TIPS);
	return choose(up, up->now);
}

/* ---- reachable wants ---- */

/*
 * Where refs are hidden, the want that is named is the first that was looked for, not the first
 * that failed: which of two fails, and how soon, may hang on an object that is hidden.
 */
static enum ph_step unreachable(struct ph__up *up, const struct ph_oid *missing)
{
	uint32_t first = unmarked(up);

	if (up->config.hide_upload.count && first != UINT32_MAX)
		missing = &up->request.wants.oids[first];
	return not_our_ref(up, missing);
}

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
			return unreachable(up, &wants->oids[up->cursor]);
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
		                      service->limits, &up->maps.set.maps);
	if (status != PH_OK)
		return reach_fail(up, status);
	step = reach_targets(up, budget);
	if (step != PH_STEP_AGAIN || up->state == PH__UP_FAIL)
		return step;
	while (*budget > 0) {
		status = ph__up_next_tip(up, up->now, false);
		ph_budget_spend(budget, 1);
		if (status == PH_AGAIN)
			continue;
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
		return unreachable(up, &missing);
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
