/* SPDX-License-Identifier: MIT */
/*
 * Shallow histories: which commits become the client's boundary with `deepen` and its kin, which of
 * its own boundary it may open, and what it is told of the repository's. What is known here becomes
 * grafts, wants and haves of the walk in up_pack.c.
 */
#include "up_int.h"

#include <string.h>

static enum ph_step shallow_failed(struct ph__up *up, enum ph_status status)
{
	return ph__up_fail_status(up, status, "computing the depth");
}

static uint32_t own_boundary(const struct ph__up *up, const struct ph_oid **out)
{
	return ph_snapshot_shallow(up->use, out);
}

/* Whether a shallow line of the client counts: its commit is here. Others are dropped silently. */
static enum ph_step check_known(struct ph__up *up, uint32_t index)
{
	struct ph__oid_set *shallows = &up->request.shallows;
	const struct ph_oid *oid = &shallows->oids[index];
	struct ph_entry entry;
	struct ph_loc loc;
	char hex[PH_OID_HEX_MAX + 1];
	enum ph_status status = ph__up_find(up, oid, &loc);

	if (status == PH_ERR_NOT_FOUND)
		return PH_STEP_AGAIN;
	if (status == PH_OK)
		status = up->source->ops->entry(up->source, loc, &entry);
	if (status != PH_OK)
		return shallow_failed(up, status);
	if (entry.type != PH_OBJ_COMMIT)
		return ph__up_fail(up, PH__SAY_ERR, "invalid shallow object %s",
		                   ph_oid_to_hex(hex, up->algo, oid));
	shallows->marks[index] |= PH__SHALLOW_KNOWN;
	up->shallows_known++;
	return PH_STEP_AGAIN;
}

/*
 * Protocol 0 answers `deepen` alone, and told the repository's boundary in its advertisement.
 * Protocol 2 has a section whenever there is anything shallow on either side.
 */
static enum ph_step known_end(struct ph__up *up)
{
	const struct ph_oid *own;
	bool own_shallow = own_boundary(up, &own) > 0;
	bool deepen = ph__up_deepens(&up->request);

	up->shallow_reply = deepen || (up->version == 2 && (up->shallows_known || own_shallow));
	if (up->shallow_reply && up->version == 2)
		ph__out_line(&up->session, "shallow-info\n");
	if (up->request.depth == PH_DEPTH_INFINITE && !own_shallow) {
		up->unshallow_all = true;
		return ph__up_go(up, up->shallows_known ? PH__UP_DEPTH : PH__UP_UNSHALLOW_LINES);
	}
	if (deepen || (up->version == 2 && own_shallow))
		return ph__up_go(up, PH__UP_DEPTH);
	return ph__up_go(up, PH__UP_SHALLOW_DONE);
}

enum ph_step ph__up_shallow_known(struct ph__up *up, uint32_t *budget)
{
	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	if (up->cursor == 0)
		up->shallows_known = 0;
	while (up->cursor<up->request.shallows.count && * budget> 0) {
		enum ph_step step = check_known(up, up->cursor);

		ph_budget_spend(budget, 1);
		if (up->state == PH__UP_FAIL)
			return step;
		up->cursor++;
	}
	return up->cursor < up->request.shallows.count ? PH_STEP_AGAIN : known_end(up);
}

/* ---- depth ---- */

static enum ph_status depth_new(struct ph__up *up)
{
	const struct ph_service *service = &up->session.service;
	const struct ph__up_request *request = &up->request;
	const struct ph__oid_set *shallows = &request->shallows;
	struct ph_depth_options options = {
	        .source = up->source,
	        .alloc = service->alloc,
	        .limits = service->limits,
	        .depth = request->depth,
	        .relative = request->deepen_relative && request->depth < PH_DEPTH_INFINITE,
	        .since = request->since,
	        .maps = &up->maps.set.maps,
	};
	const struct ph_oid *own;
	uint32_t count = own_boundary(up, &own);
	enum ph_status status;

	/* Without an end all there is counts as inside; one that is never met makes it walk, and
	 * tell what is within reach. */
	if (!ph__up_deepens(request) || request->depth == PH_DEPTH_INFINITE)
		options.depth = PH_DEPTH_INFINITE - 1;
	status = ph_depth_new(&up->depth, &options);
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = ph_depth_boundary(up->depth, &own[i]);
	for (uint32_t i = 0; i < shallows->count && status == PH_OK; i++) {
		if (!(shallows->marks[i] & PH__SHALLOW_KNOWN))
			continue;
		/* Who asked for no depth keeps the boundary it has. */
		if (!ph__up_deepens(request))
			status = ph_depth_boundary(up->depth, &shallows->oids[i]);
		else if (options.relative)
			status = ph_depth_from(up->depth, &shallows->oids[i]);
	}
	return status;
}

/*
 * Where the depth is counted from: the wants; and every ref it may see when all of its boundary is
 * to open, for that may lie on branches it does not ask for now. And what is left out, when that is
 * how it is found. PH_END behind the last.
 */
static enum ph_status next_depth_tip(struct ph__up *up)
{
	const struct ph__oid_set *wants = &up->request.wants;
	const struct ph__oid_set *nots = &up->request.nots;
	enum ph_status status = PH_OK;

	if (up->cursor < wants->count)
		return ph_depth_want(up->depth, &wants->oids[up->cursor++]);
	if (up->cursor - wants->count < nots->count)
		return ph_depth_exclude(up->depth, &nots->oids[up->cursor++ - wants->count]);
	if (!up->unshallow_all)
		return PH_END;
	if (!up->iter)
		status = ph_snapshot_refs(up->use, "", &up->iter);
	if (status == PH_OK)
		status = ph__visible_next(up->iter, &up->config.hide_upload, &up->ref);
	if (status == PH_OK && !*up->ref.target)
		status = ph_depth_want(up->depth, &up->ref.oid);
	return status == PH_AGAIN ? PH_OK : status;
}

enum ph_step ph__up_depth(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	if (!up->depth)
		status = depth_new(up);
	while (status == PH_OK && *budget > 0) {
		status = next_depth_tip(up);
		ph_budget_spend(budget, 1);
	}
	if (status == PH_OK)
		return PH_STEP_AGAIN;
	if (status != PH_END)
		return shallow_failed(up, status);
	ph_ref_iter_free(up->iter);
	up->iter = NULL;
	return ph__up_go(up, PH__UP_DEPTH_RUN);
}

enum ph_step ph__up_depth_run(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status = ph_depth_run(up->depth, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_ERR_NOT_FOUND)
		return ph__up_fail(up, PH__SAY_ERR, "no commits selected for shallow requests");
	if (status != PH_OK) {
		ph_depth_free(up->depth);
		up->depth = NULL;
		return ph__up_maps_blamed(up, status) ? ph__up_go(up, PH__UP_DEPTH)
		                                      : shallow_failed(up, status);
	}
	return ph__up_go(up, PH__UP_SHALLOW_LINES);
}

/* ---- lines; git sends these without a newline ---- */

static void put_line(struct ph__up *up, const char *word, const struct ph_oid *oid)
{
	char hex[PH_OID_HEX_MAX + 1];

	ph__out_line(&up->session, "%s %s", word, ph_oid_to_hex(hex, up->algo, oid));
}

static bool client_shallow(const struct ph__up *up, const struct ph_oid *oid)
{
	uint32_t found = ph__oid_set_find(&up->request.shallows, oid);

	return found != UINT32_MAX && (up->request.shallows.marks[found] & PH__SHALLOW_KNOWN);
}

enum ph_step ph__up_shallow_lines(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0) {
		struct ph_oid oid;

		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		if (ph_depth_next(up->depth, &up->cursor, &oid) != PH_OK)
			return ph__up_go(up, PH__UP_UNSHALLOW_LINES);
		if (!client_shallow(up, &oid))
			put_line(up, "shallow", &oid);
	}
	return PH_STEP_AGAIN;
}

/* The client has the commit and lacks what is behind it: its parents are wanted from now on. */
static enum ph_status open_boundary(struct ph__up *up, const struct ph_oid *oid)
{
	uint64_t size_max = up->session.service.limits->metadata_bytes_max;
	struct ph_object object;
	struct ph_commit commit;
	enum ph_status status = ph__up_need_reader(up);

	if (status == PH_OK)
		status = ph_reader_read_oid(up->reader, oid, size_max, &object);
	if (status != PH_OK)
		return status;
	status = ph_commit_parse(&commit, up->algo, object.data, object.size);
	for (uint32_t i = 0; status == PH_OK && i < commit.parents; i++) {
		struct ph_oid parent;

		ph_commit_parent(&commit, i, &parent);
		status = ph__oid_set_add(&up->request.opened, &parent, UINT32_MAX);
		if (status == PH_ERR_EXISTS)
			status = PH_OK;
	}
	ph_object_release(up->reader, &object);
	return status;
}

enum ph_step ph__up_unshallow_lines(struct ph__up *up, uint32_t *budget)
{
	struct ph__oid_set *shallows = &up->request.shallows;

	for (; up->cursor<shallows->count && * budget> 0; up->cursor++) {
		const struct ph_oid *oid = &shallows->oids[up->cursor];
		enum ph_status status;
		bool inside;

		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		if (!(shallows->marks[up->cursor] & PH__SHALLOW_KNOWN))
			continue;
		/* Knowing its id alone opens nothing: it must be within reach. */
		status = ph_depth_inside(up->depth, oid, &inside);
		if (status == PH_OK && !inside)
			continue;
		if (status == PH_OK)
			status = open_boundary(up, oid);
		if (status != PH_OK)
			return shallow_failed(up, status);
		shallows->marks[up->cursor] |= PH__SHALLOW_OPENED;
		put_line(up, "unshallow", oid);
	}
	return up->cursor < shallows->count ? PH_STEP_AGAIN : ph__up_go(up, PH__UP_SHALLOW_DONE);
}

enum ph_step ph__up_shallow_done(struct ph__up *up, uint32_t *budget)
{
	ph_budget_spend(budget, 1);
	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	if (up->shallow_reply && up->version == 2)
		ph__out_delim(&up->session);
	else if (up->shallow_reply)
		ph__out_flush(&up->session);
	if (up->version == 2)
		return ph__up_go(up, PH__UP_WANTED_REFS);
	if (up->request.wants.count == 0)
		return ph__up_request_done(up);
	return ph__up_go(up, PH__UP_HAVES);
}
