/* SPDX-License-Identifier: MIT */
/*
 * A clone of everything, without a walk. Pushes have noted beside their packs from which tips all
 * objects of a pack are reachable (tips_int.h). When the wants reach the tips of every pack, the
 * answer is every object there is, and packs go out as they are stored. Tips that are no wants
 * themselves are looked for among the commits below the wants. Whatever does not fit is left to the
 * walk, which needs no notes.
 */
#include "up_int.h"

#include "tips_int.h"

/* Tips that are no wants: one a push since the repository was made, until maintenance joins them.
 */
#define TARGETS_MAX 65536u
/* Tips or copies looked at for one unit of work. */
#define CHECKS_PER_UNIT 16u

static bool has_common(const struct ph__up_request *request)
{
	for (uint32_t i = 0; i < request->haves.count; i++)
		if (request->haves.marks[i])
			return true;
	return false;
}

bool ph__up_whole_may(const struct ph__up *up)
{
	const struct ph__up_request *request = &up->request;
	const struct ph_oid *own;

	return request->filter.kind == PH_FILTER_NONE && !*request->uri_protocols && !up->depth &&
	       !ph__up_deepens(request) && request->shallows.count == 0 &&
	       request->opened.count == 0 && ph_snapshot_shallow(up->use, &own) == 0 &&
	       !has_common(request);
}

/* The walk it is. What memory was used for this is better used there. */
static enum ph_step give_up(struct ph__up *up)
{
	ph_reach_free(up->reach);
	up->reach = NULL;
	up->whole_begun = false;
	return ph__up_select_begin(up);
}

static bool is_fatal(enum ph_status status)
{
	return status == PH_ERR_NOMEM || status == PH_ERR_IO;
}

/* PH_ERR_NOT_FOUND when it cannot be found among commits. */
static enum ph_status add_target(struct ph__up *up, const struct ph_oid *oid)
{
	const struct ph_service *service = &up->session.service;
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status = up->source->ops->find(up->source, oid, &loc);

	if (status == PH_OK)
		status = up->source->ops->entry(up->source, loc, &entry);
	if (status == PH_OK && (entry.type != PH_OBJ_COMMIT || up->targets == TARGETS_MAX))
		status = PH_ERR_NOT_FOUND;
	if (status == PH_OK && !up->reach)
		status = ph_reach_new(&up->reach, up->source, service->alloc, service->limits,
		                      &up->maps.set.maps);
	if (status == PH_OK)
		status = ph_reach_target(up->reach, oid);
	up->targets += status == PH_OK;
	return status;
}

/* Tips from where the last call stopped. PH_AGAIN: budget spent. */
static enum ph_status check_tips(struct ph__up *up, const struct ph__tips *tips, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	for (; up->whole_tip < tips->tips && status == PH_OK; up->whole_tip++) {
		struct ph_oid oid;

		if (*budget == 0)
			return PH_AGAIN;
		if (up->whole_tip % CHECKS_PER_UNIT == 0)
			ph_budget_spend(budget, 1);
		status = ph__tips_tip(tips, up->whole_tip, &oid);
		if (status == PH_OK && !ph__oid_set_has(&up->request.wants, &oid))
			status = add_target(up, &oid);
	}
	return status;
}

/*
 * Copies, likewise. One must be found elsewhere first: nobody has shown that it is reachable here.
 */
static enum ph_status check_copies(struct ph__up *up, const struct ph__tips *tips, uint32_t pack,
                                   uint32_t *budget)
{
	enum ph_status status = PH_OK;

	for (; up->whole_copy < tips->copies && status == PH_OK; up->whole_copy++) {
		struct ph_loc loc = {pack, 0}, first;
		struct ph_entry entry;

		if (*budget == 0)
			return PH_AGAIN;
		if (up->whole_copy % CHECKS_PER_UNIT == 0)
			ph_budget_spend(budget, 1);
		status = ph__tips_copy(tips, up->whole_copy, &loc.pos);
		if (status == PH_OK)
			status = up->source->ops->entry(up->source, loc, &entry);
		if (status == PH_OK)
			status = up->source->ops->find(up->source, &entry.oid, &first);
		if (status == PH_OK && first.pack == pack)
			status = PH_ERR_NOT_FOUND;
	}
	return status;
}

static enum ph_status check_pack(struct ph__up *up, uint32_t pack, uint32_t *budget)
{
	const struct ph_bytes *section = ph_snapshot_section(up->use, pack, PH__SECTION_TIPS);
	struct ph__tips tips;
	uint32_t entries;
	uint64_t bytes;
	enum ph_status status;

	if (!section)
		return PH_ERR_NOT_FOUND;
	up->source->ops->pack_size(up->source, pack, &entries, &bytes);
	status = ph__tips_open(&tips, section, up->algo, entries);
	if (status == PH_OK)
		status = check_tips(up, &tips, budget);
	return status == PH_OK ? check_copies(up, &tips, pack, budget) : status;
}

enum ph_step ph__up_whole(struct ph__up *up, uint32_t *budget)
{
	uint32_t packs = up->source->ops->packs(up->source);

	ph__up_keep_alive(up);
	if (!up->whole_begun)
		up->targets = up->whole_tip = up->whole_copy = 0;
	up->whole_begun = true;
	while (up->cursor < packs) {
		enum ph_status status;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		status = check_pack(up, up->cursor, budget);
		if (status == PH_AGAIN)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		up->whole_tip = up->whole_copy = 0;
		up->cursor++;
		if (is_fatal(status))
			return ph__up_fail_status(up, status, "making the pack");
		if (status != PH_OK)
			return give_up(up);
	}
	up->whole_begun = false;
	return ph__up_go(up, up->reach ? PH__UP_WHOLE_TIPS : PH__UP_PACK);
}

enum ph_step ph__up_whole_tips(struct ph__up *up, uint32_t *budget)
{
	const struct ph__oid_set *wants = &up->request.wants;

	ph__up_keep_alive(up);
	while (up->cursor < wants->count) {
		enum ph_status status;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		status = ph_reach_tip(up->reach, &wants->oids[up->cursor++]);
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "making the pack");
	}
	return ph__up_go(up, PH__UP_WHOLE_REACH);
}

enum ph_step ph__up_whole_reach(struct ph__up *up, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status;

	ph__up_keep_alive(up);
	status = ph_reach_run(up->reach, budget, &missing);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (is_fatal(status))
		return ph__up_fail_status(up, status, "making the pack");
	if (status != PH_OK)
		return give_up(up);
	ph_reach_free(up->reach);
	up->reach = NULL;
	return ph__up_go(up, PH__UP_PACK);
}
