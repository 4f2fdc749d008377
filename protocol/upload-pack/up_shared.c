/* SPDX-License-Identifier: MIT */
/*
 * One selection for all who ask the same at the same time (selections.h). What is asked is all that
 * the walk will be told: boundaries, tips, the filter, and which tags may be added; the state of
 * the repository is its generation. All of it is hashed, by the very functions that tell the walk,
 * and sessions with the same hash share. Where part of the answer comes from elsewhere, each
 * selects for itself, for that part is taken out of the selection.
 */
#include "up_int.h"

#include <string.h>

static void hash_number(struct ph_hash *hash, uint64_t number)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	ph_hash_update(hash, bytes, sizeof(bytes));
}

/* With its length, so that no two texts can be taken for one another. */
static void hash_text(struct ph_hash *hash, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	hash_number(hash, len);
	ph_hash_update(hash, text, len);
}

static void hash_filter(struct ph_hash *hash, const struct ph_filter *filter)
{
	hash_number(hash, filter->count);
	for (uint32_t i = 0; i < filter->count; i++) {
		const struct ph_filter_part *part = &filter->parts[i];

		hash_number(hash, part->kind);
		hash_number(hash, part->number);
		hash_number(hash, part->type);
		/* The same name is the same blob: the repository is at the same state. */
		hash_text(hash, part->name);
	}
}

static void hash_begin(struct ph__up *up)
{
	struct ph_hash *hash = &up->shared_hash;
	const struct ph_config_list *hidden = &up->config.hide_upload;

	ph_hash_init(hash, PH_HASH_SHA256);
	hash_text(hash, up->repo);
	hash_number(hash, up->use->generation);
	hash_filter(hash, &up->request.filter);
	hash_number(hash, up->request.include_tag);
	/* The server's configuration may change while the repository does not. */
	for (uint32_t i = 0; i < hidden->count; i++)
		hash_text(hash, hidden->items[i].text);
}

enum ph_step ph__up_select_begin(struct ph__up *up)
{
	if (!up->session.service.selections || *up->request.uri_protocols)
		return ph__up_walk_begin(up);
	hash_begin(up);
	up->depth_cursor = 0;
	return ph__up_go(up, PH__UP_SHARE_GRAFTS);
}

enum ph_step ph__up_share_grafts(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0) {
		struct ph_oid oid;
		enum ph_status status = ph__up_next_graft(up, &oid);

		ph_budget_spend(budget, 1);
		if (status == PH_END)
			return ph__up_go(up, PH__UP_SHARE_TIPS);
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "making the pack");
		ph_hash_update(&up->shared_hash, oid.bytes, sizeof(oid.bytes));
	}
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_share_tips(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0) {
		struct ph_oid oid;
		enum ph__up_tip tip = ph__up_next_walk_tip(up, &oid);

		ph_budget_spend(budget, 1);
		hash_number(&up->shared_hash, tip);
		if (tip == PH__TIP_END) {
			ph_hash_final(&up->shared_hash, &up->shared_key);
			return ph__up_go(up, PH__UP_SHARE);
		}
		if (tip != PH__TIP_NONE)
			ph_hash_update(&up->shared_hash, oid.bytes, sizeof(oid.bytes));
	}
	return PH_STEP_AGAIN;
}

/* Another has selected: what goes is read from the snapshot that it was selected from. */
static enum ph_step take(struct ph__up *up, const struct ph__selected *selected)
{
	enum ph_status status;

	up->walk = selected->walk;
	up->walk_shared = true;
	up->use = selected->snapshot;
	up->source = ph_snapshot_source(up->use);
	status = ph__up_maps_open(up, up->use);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "making the pack");
	return ph__up_go(up, PH__UP_PACK);
}

enum ph_step ph__up_share(struct ph__up *up, uint32_t *budget)
{
	struct ph__selected selected;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	ph__up_keep_alive(up);
	status = ph__selection_join(&up->selection, up->session.service.selections, &up->shared_key,
	                            ph__session_wake, &up->session, &selected);
	if (status == PH_PENDING)
		return PH_STEP_WAIT;
	if (status == PH_OK)
		return take(up, &selected);
	if (status != PH_ERR_NOT_FOUND)
		return ph__up_fail_status(up, status, "making the pack");
	up->depth_cursor = 0;
	return ph__up_walk_begin(up);
}

void ph__up_share_selected(struct ph__up *up)
{
	struct ph__selected made = {.walk = up->walk, .snapshot = up->use};

	if (!up->selection.makes)
		return;
	ph_snapshot_retain(up->use);
	up->walk_shared = true;
	ph__selection_finish(&up->selection, &made);
}

void ph__up_share_leave(struct ph__up *up)
{
	if (up->walk_shared)
		up->walk = NULL;
	up->walk_shared = false;
	ph__selection_leave(&up->selection);
}
