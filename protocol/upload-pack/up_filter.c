/* SPDX-License-Identifier: MIT */
/*
 * The blobs that a filter's sparse:oid parts name: they are looked up and read before the answer
 * begins. A name is an id or a ref, and may go on with a path. An id must be reachable from a
 * visible ref before anything is read of what it names: the answer, an error too, would tell of it.
 */
#include "up_int.h"

#include <string.h>

static enum ph_step no_blob(struct ph__up *up, const char *name)
{
	char show[128];

	return ph__up_fail(up, PH__SAY_ERR, "unable to access sparse blob in '%s'",
	                   ph__up_show(show, name, strlen(name)));
}

static enum ph_step filter_failed(struct ph__up *up, enum ph_status status)
{
	return ph__up_fail_status(up, status, "reading the filter");
}

static const struct ph_filter_part *part_of(const struct ph__up *up)
{
	return &up->request.filter.parts[up->cursor];
}

static enum ph_step next_part(struct ph__up *up)
{
	up->sparse.path = NULL;
	up->cursor++;
	return PH_STEP_AGAIN;
}

/* All parts have their patterns. */
static enum ph_step parts_end(struct ph__up *up)
{
	ph_reader_free(up->reader);
	up->reader = NULL;
	return ph__up_known_begin(up);
}

/* ---- names ---- */

/* To a state and back, the part at hand remaining so. */
static enum ph_step turn(struct ph__up *up, enum ph__up_state state)
{
	up->state = state;
	return PH_STEP_AGAIN;
}

/* An id that nobody has shown to be visible is looked for among all that is reachable. */
static enum ph_status id_begin(struct ph__up *up)
{
	const struct ph_service *service = &up->session.service;
	enum ph_status status;

	if (up->config.allow_any_sha1)
		return PH_OK;
	status = ph_reach_new(&up->reach, up->source, service->alloc, service->limits,
	                      &up->maps.set.maps);
	if (status == PH_OK)
		status = ph_reach_target(up->reach, &up->sparse.oid);
	if (status == PH_OK)
		turn(up, PH__UP_FILTER_TIPS);
	return status;
}

/* Where a name begins: an id, or a ref, which is shown to be visible by that. */
static enum ph_status name_begin(struct ph__up *up, const char *name)
{
	struct ph__up_sparse *sparse = &up->sparse;
	const char *colon = strchr(name, ':');
	size_t len = colon ? (size_t)(colon - name) : strlen(name);
	unsigned count;
	enum ph_status status;

	sparse->path = colon ? colon + 1 : name + len;
	sparse->has_path = colon != NULL;
	sparse->peeled = false;
	if (ph_oid_from_hex(&sparse->oid, up->algo, name, len) == PH_OK)
		return id_begin(up);
	status = ph__up_name(up, up->use, name, len, &sparse->oid, &count);
	return status == PH_OK && count == 0 ? PH_ERR_NOT_FOUND : status;
}

/* From a tag to what it names in the end, and, when a path follows, from a commit to its tree. */
static enum ph_status name_peel(struct ph__up *up)
{
	struct ph__up_sparse *sparse = &up->sparse;
	uint64_t size_max = up->session.service.limits->metadata_bytes_max;
	struct ph_object object;
	struct ph_commit commit;
	struct ph_oid peeled;
	enum ph_object_type type;
	enum ph_status status = ph_reader_peel(up->reader, &sparse->oid, &peeled, &type);

	sparse->peeled = true;
	if (status != PH_OK)
		return status;
	sparse->oid = peeled;
	if (type != PH_OBJ_COMMIT || !sparse->has_path)
		return PH_OK;
	status = ph_reader_read_oid(up->reader, &peeled, size_max, &object);
	if (status != PH_OK)
		return status;
	status = ph_commit_parse(&commit, up->algo, object.data, object.size);
	ph_object_release(up->reader, &object);
	sparse->oid = commit.tree;
	return status;
}

/* One name further down the path. */
static enum ph_status name_enter(struct ph__up *up, uint32_t *budget)
{
	struct ph__up_sparse *sparse = &up->sparse;
	uint64_t size_max = up->session.service.limits->metadata_bytes_max;
	size_t len = strcspn(sparse->path, "/");
	struct ph_object object;
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	struct ph_entry known;
	struct ph_loc loc;
	enum ph_status status = up->source->ops->find(up->source, &sparse->oid, &loc);

	if (status == PH_OK)
		status = up->source->ops->entry(up->source, loc, &known);
	if (status == PH_OK && (known.type != PH_OBJ_TREE || len == 0))
		status = PH_ERR_NOT_FOUND;
	if (status == PH_OK)
		status = ph_reader_read(up->reader, loc, size_max, &object);
	if (status != PH_OK)
		return status;
	ph_budget_spend_bytes(budget, object.size);
	ph_tree_iter_init(&iter, up->algo, object.data, object.size);
	do {
		status = ph_tree_iter_next(&iter, &entry);
	} while (status == PH_OK &&
	         (entry.name_len != len || memcmp(entry.name, sparse->path, len) != 0));
	if (status == PH_OK) {
		sparse->oid = entry.oid;
		sparse->path += len + (sparse->path[len] == '/');
		if (ph_mode_is_submodule(entry.mode))
			status = PH_ERR_NOT_FOUND;
	}
	ph_object_release(up->reader, &object);
	return status == PH_END ? PH_ERR_NOT_FOUND : status;
}

/* ---- blobs ---- */

static enum ph_step bad_patterns(struct ph__up *up, enum ph_status status)
{
	char hex[PH_OID_HEX_MAX + 1];

	ph_oid_to_hex(hex, up->algo, &up->sparse.oid);
	if (status == PH_ERR_LIMIT)
		return ph__up_fail(up, PH__SAY_ERR,
		                   "sparse filter data in %s is too large (at most %lu bytes)", hex,
		                   (unsigned long)PH_FILTER_SPARSE_BYTES_MAX);
	return ph__up_fail(up, PH__SAY_ERR, "unable to parse sparse filter data in %s", hex);
}

static enum ph_step load(struct ph__up *up)
{
	struct ph_filter *filter = &up->request.filter;
	struct ph_object object;
	enum ph_status status = ph_reader_read_oid(up->reader, &up->sparse.oid,
	                                           PH_FILTER_SPARSE_BYTES_MAX, &object);
	if (status == PH_ERR_LIMIT)
		return bad_patterns(up, status);
	if (status == PH_ERR_NOT_FOUND)
		return no_blob(up, part_of(up)->name);
	if (status != PH_OK)
		return filter_failed(up, status);
	status = PH_ERR_INVALID;
	if (object.type == PH_OBJ_BLOB)
		status = ph_filter_sparse_load(filter, up->cursor, up->session.service.alloc,
		                               object.data, object.size);
	ph_object_release(up->reader, &object);
	if (status == PH_ERR_NOMEM)
		return filter_failed(up, status);
	return status == PH_OK ? next_part(up) : bad_patterns(up, status);
}

/* One step for the part at hand. */
static enum ph_step step_part(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status = ph__up_need_reader(up);

	ph_budget_spend(budget, 1);
	if (status == PH_OK && !up->sparse.path) {
		status = name_begin(up, part_of(up)->name);
	} else if (status == PH_OK && !up->sparse.peeled) {
		status = name_peel(up);
	} else if (status == PH_OK) {
		status = name_enter(up, budget);
	}
	if (status == PH_ERR_NOT_FOUND)
		return no_blob(up, part_of(up)->name);
	if (status != PH_OK)
		return filter_failed(up, status);
	if (!up->sparse.peeled || *up->sparse.path)
		return PH_STEP_AGAIN;
	return load(up);
}

enum ph_step ph__up_filter_begin(struct ph__up *up)
{
	up->sparse.path = NULL;
	return ph__up_go(up, PH__UP_FILTER);
}

enum ph_step ph__up_filter(struct ph__up *up, uint32_t *budget)
{
	const struct ph_filter *filter = &up->request.filter;

	while (up->state == PH__UP_FILTER && up->cursor<filter->count && * budget> 0) {
		enum ph_step step = PH_STEP_AGAIN;

		if (part_of(up)->kind == PH_FILTER_SPARSE_OID)
			step = step_part(up, budget);
		else
			next_part(up);
		if (up->state == PH__UP_FAIL)
			return step;
	}
	if (up->state != PH__UP_FILTER || up->cursor < filter->count)
		return PH_STEP_AGAIN;
	return parts_end(up);
}

/* ---- what ids name must be reachable ---- */

enum ph_step ph__up_filter_tips(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	while (status == PH_OK && *budget > 0) {
		status = ph__up_next_tip(up, up->use, false);
		ph_budget_spend(budget, 1);
		if (status == PH_OK)
			status = ph_reach_tip(up->reach, &up->ref.oid);
		else if (status == PH_AGAIN)
			status = PH_OK;
	}
	if (status == PH_OK)
		return PH_STEP_AGAIN;
	if (status != PH_END)
		return filter_failed(up, status);
	ph_ref_iter_free(up->iter);
	up->iter = NULL;
	return turn(up, PH__UP_FILTER_REACH);
}

enum ph_step ph__up_filter_reach(struct ph__up *up, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = ph_reach_run(up->reach, budget, &missing);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	ph_reach_free(up->reach);
	up->reach = NULL;
	if (status == PH_ERR_NOT_FOUND)
		return no_blob(up, part_of(up)->name);
	if (status != PH_OK && !ph__up_maps_blamed(up, status))
		return filter_failed(up, status);
	/* From the part's beginning again, without maps. */
	if (status != PH_OK)
		up->sparse.path = NULL;
	return turn(up, PH__UP_FILTER);
}
