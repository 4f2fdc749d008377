/* SPDX-License-Identifier: MIT */
/*
 * Pushes of shallow clients. A client names its boundary; nothing rests on it where a push is
 * connected without it. Where one is not, the walk is done again with those of its commits that the
 * push has brought as an end of history. Commits that the repository had before never are: what
 * they reach is here, and a client could cut off what others have pushed. With
 * receive.shallowUpdate the commits at which that walk has ended join the repository's own
 * boundary, in the push's own transaction; otherwise such commands are refused.
 */
#include "receive_int.h"

#include <string.h>

/* Ends of history in one push that may be needed: a clone has as many as it has branches. More are
 * as good as none. */
#define NEEDED_MAX 4096u

enum ph_status ph__receive_shallow_add(struct receive *r, const struct ph_oid *oid)
{
	struct receive_shallow *shallow = &r->shallow;
	uint32_t size = shallow->size ? 2 * shallow->size : 16;
	struct ph_oid *grown;

	if (shallow->count >= r->session.service.limits->shallows_max)
		return PH_ERR_LIMIT;
	if (shallow->count == shallow->size) {
		grown = ph_mem_resize(r->session.service.alloc, shallow->oids, size,
		                      sizeof(*grown));
		if (!grown)
			return PH_ERR_NOMEM;
		shallow->oids = grown;
		shallow->size = size;
	}
	shallow->oids[shallow->count++] = *oid;
	return PH_OK;
}

/* Whether the push has brought this commit, and the repository did not have it. */
static enum ph_status is_new(struct receive *r, const struct ph_oid *oid, bool *is)
{
	const struct ph_source *base = r->snapshot ? ph_snapshot_source(r->snapshot) : NULL;
	const struct ph_source *source = ph_txn_source(r->txn);
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status = base ? base->ops->find(base, oid, &loc) : PH_ERR_NOT_FOUND;

	*is = false;
	if (status != PH_ERR_NOT_FOUND)
		return status;
	status = source->ops->find(source, oid, &loc);
	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	*is = status == PH_OK && entry.type == PH_OBJ_COMMIT;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_status ph__receive_shallow_any(struct receive *r, bool *any, uint32_t *budget)
{
	struct receive_shallow *shallow = &r->shallow;

	while (shallow->at < shallow->count) {
		bool is;
		enum ph_status status;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		status = is_new(r, &shallow->oids[shallow->at], &is);
		if (status != PH_OK)
			return status;
		if (is)
			shallow->oids[shallow->kept++] = shallow->oids[shallow->at];
		shallow->at++;
	}
	shallow->count = shallow->kept <= NEEDED_MAX ? shallow->kept : 0;
	*any = shallow->count > 0;
	return PH_OK;
}

enum ph_status ph__receive_shallow_graft(struct receive *r, struct ph_walk *walk)
{
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < r->shallow.count && status == PH_OK; i++)
		status = ph_walk_graft(walk, &r->shallow.oids[i]);
	return status;
}

enum ph_status ph__receive_shallow_used(struct receive *r, const struct ph_walk *walk)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	struct receive_shallow *shallow = &r->shallow;
	enum ph_status status = PH_OK;

	if (!shallow->used)
		shallow->used = ph_mem_zalloc(r->session.service.alloc, shallow->count,
		                              sizeof(*shallow->used));
	if (!shallow->used)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < shallow->count && status == PH_OK; i++) {
		struct ph_loc loc;

		status = source->ops->find(source, &shallow->oids[i], &loc);
		if (status == PH_OK && ph_walk_selected(walk, loc))
			shallow->used[i] = true;
	}
	return status;
}

static bool is_needed(const struct receive *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->commands[i].cut && r->commands[i].staged)
			return true;
	return false;
}

/*
 * All that were met or none: one that only a command needs which is refused at last marks a commit
 * that no ref reaches.
 */
enum ph_status ph__receive_shallow_stage(struct receive *r)
{
	struct receive_shallow *shallow = &r->shallow;
	const struct ph_oid *own = NULL;
	uint32_t count = r->snapshot ? ph_snapshot_shallow(r->snapshot, &own) : 0;
	bool needed = is_needed(r);
	struct ph_oid *all;
	enum ph_status status;

	if (!needed && !shallow->staged)
		return PH_OK;
	all = ph_mem_zalloc(r->session.service.alloc, (size_t)count + shallow->count, sizeof(*all));
	if (!all)
		return PH_ERR_NOMEM;
	if (count)
		memcpy(all, own, count * sizeof(*all));
	for (uint32_t i = 0; needed && i < shallow->count; i++)
		if (shallow->used[i])
			all[count++] = shallow->oids[i];
	status = ph_txn_set_shallow(r->txn, all, count);
	shallow->staged = true;
	ph_mem_free(r->session.service.alloc, all);
	return status;
}

void ph__receive_shallow_release(struct receive *r)
{
	ph_mem_free(r->session.service.alloc, r->shallow.oids);
	ph_mem_free(r->session.service.alloc, r->shallow.used);
	memset(&r->shallow, 0, sizeof(r->shallow));
}
