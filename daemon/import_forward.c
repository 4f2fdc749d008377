/* SPDX-License-Identifier: MIT */
/*
 * Refs that move, by an import into a repository that has them, move forward, as when git fetches:
 * each is a commit from which the one before it can be reached. All that do not are named.
 */
#include "import.h"
#include <packhorse/walk.h>

#define SLICE_UNITS 4096u

static enum ph_status is_commit(const struct ph_source *source, const struct ph_oid *oid, bool *is)
{
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status = source->ops->find(source, oid, &loc);

	*is = false;
	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	if (status == PH_OK)
		*is = entry.type == PH_OBJ_COMMIT;
	return status;
}

static enum ph_status run(struct ph_import *import, struct ph_reach *reach)
{
	enum ph_status status = PH_AGAIN;
	struct ph_oid missing;

	while (status == PH_AGAIN) {
		uint32_t budget = SLICE_UNITS;

		if (ph__import_stops(import))
			return PH_ERR_BUSY;
		status = ph_reach_run(reach, &budget, &missing);
	}
	return status;
}

/* PH_OK: it does. PH_ERR_NOT_FOUND: it does not. */
static enum ph_status moves_forward(struct ph_import *import, const struct ph_source *source,
                                    const struct ph_import_ref *ref)
{
	struct ph_reach *reach;
	bool from, to = false;
	enum ph_status status = is_commit(source, &ref->old, &from);

	if (status == PH_OK)
		status = is_commit(source, &ref->oid, &to);
	if (status == PH_OK && !(from && to))
		status = PH_ERR_NOT_FOUND;
	if (status == PH_OK)
		status = ph_reach_new(&reach, source, import->image.options.alloc,
		                      &import->image.limits, NULL);
	if (status != PH_OK)
		return status;
	status = ph_reach_tip(reach, &ref->oid);
	if (status == PH_OK)
		status = ph_reach_target(reach, &ref->old);
	if (status == PH_OK)
		status = run(import, reach);
	ph_reach_free(reach);
	return status;
}

enum ph_status ph__import_forward(struct ph_import *import)
{
	const struct ph_source *source = ph_txn_source(import->txn);

	for (uint32_t i = 0; i < import->refs.count; i++) {
		const struct ph_import_ref *ref = &import->refs.items[i];
		enum ph_status status = ref->moves ? moves_forward(import, source, ref) : PH_OK;

		if (status == PH_ERR_NOT_FOUND)
			ph__import_conflict(import, ref->name);
		else if (status != PH_OK)
			return status;
	}
	return ph__import_conflicts(import);
}
