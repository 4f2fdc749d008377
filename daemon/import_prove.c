/* SPDX-License-Identifier: MIT */
/*
 * What an import's refs reach must be there, all of it, as after a push. When the only pack of a
 * new repository refers to nothing outside itself, its objects are proven already. Otherwise one
 * walk selects what the new refs reach and the repository's own do not, and stops at the first
 * object that is missing.
 */
#include "import.h"
#include <packhorse/reader.h>
#include <packhorse/walk.h>
#include <string.h>

#define SLICE_UNITS 4096u

/* what: a ref, or an object's id. */
static enum ph_status lacks(struct ph_import *import, const char *what)
{
	return ph__import_fail(import, PH_ERR_MISSING, "%s: that object is not there; %s%s", what,
	                       import->from,
	                       import->partial ? " is a partial clone, and those cannot be imported"
	                                       : " is not whole; git fsck tells what it lacks");
}

/* ---- each ref ---- */

/* Its object is there, and of a kind that it may name. */
static enum ph_status look(struct ph_import *import, struct ph_reader *reader,
                           struct ph_import_ref *ref)
{
	const struct ph_source *source = ph_reader_source(reader);
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_object_type type;
	enum ph_status status = source->ops->find(source, &ref->oid, &loc);

	if (status == PH_ERR_NOT_FOUND)
		return lacks(import, ref->name);
	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK)
		return status;
	if (entry.type != PH_OBJ_COMMIT && strncmp(ref->name, "refs/heads/", 11) == 0)
		return ph__import_fail(import, PH_ERR_INVALID,
		                       "%s is a branch and names a %s, not a commit", ref->name,
		                       ph_object_type_name(entry.type));
	/* That pack comes first in a new repository. */
	ref->proven = import->closed && loc.pack == 0;
	if (entry.type != PH_OBJ_TAG)
		return PH_OK;
	status = ph_reader_peel(reader, &ref->oid, &ref->peeled, &type);
	return status == PH_ERR_NOT_FOUND ? lacks(import, ref->name) : status;
}

/* A HEAD that names no branch is a commit, as for git. */
static enum ph_status look_head(struct ph_import *import, const struct ph_source *source)
{
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status;

	if (import->base || ph_oid_is_zero(&import->detached))
		return PH_OK;
	status = source->ops->find(source, &import->detached, &loc);
	if (status == PH_ERR_NOT_FOUND)
		return lacks(import, "HEAD");
	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	if (status == PH_OK && entry.type != PH_OBJ_COMMIT)
		return ph__import_fail(import, PH_ERR_INVALID, "HEAD names a %s, not a commit",
		                       ph_object_type_name(entry.type));
	return status;
}

static enum ph_status look_all(struct ph_import *import, const struct ph_source *source)
{
	struct ph_reader *reader;
	enum ph_status status =
	        ph_reader_new(&reader, source, import->image.options.alloc, &import->image.limits);

	if (status != PH_OK)
		return status;
	for (uint32_t i = 0; i < import->refs.count && status == PH_OK; i++) {
		struct ph_import_ref *ref = &import->refs.items[i];

		if (!ref->target && !ref->skip)
			status = look(import, reader, ref);
	}
	ph_reader_free(reader);
	return status;
}

/* ---- all together ---- */

static enum ph_status have_own(struct ph_import *import, struct ph_walk *walk)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	enum ph_status status = ph_snapshot_refs(import->base, "refs/", &iter);

	if (status != PH_OK)
		return status;
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK) {
		if (*ref.target)
			continue;
		status = ph_walk_have(walk, ph_oid_is_zero(&ref.peeled) ? &ref.oid : &ref.peeled);
		if (status != PH_OK && status != PH_ERR_NOT_FOUND)
			break;
	}
	ph_ref_iter_free(iter);
	return status == PH_END ? PH_OK : status;
}

static enum ph_status graft(struct ph_import *import, struct ph_walk *walk)
{
	const struct ph_oid *own = NULL;
	uint32_t owned = import->base ? ph_snapshot_shallow(import->base, &own) : 0;
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < owned && status == PH_OK; i++)
		status = ph_walk_graft(walk, &own[i]);
	for (uint32_t i = 0; i < import->shallows && status == PH_OK; i++)
		status = ph_walk_graft(walk, &import->shallow[i]);
	return status;
}

/* *wanted: there is something to prove. */
static enum ph_status tips(struct ph_import *import, struct ph_walk *walk, bool *wanted)
{
	enum ph_status status = PH_OK;

	*wanted = false;
	for (uint32_t i = 0; i < import->refs.count && status == PH_OK; i++) {
		const struct ph_import_ref *ref = &import->refs.items[i];

		if (ref->target || ref->skip)
			continue;
		status =
		        ref->proven ? ph_walk_have(walk, &ref->oid) : ph_walk_want(walk, &ref->oid);
		*wanted = *wanted || !ref->proven;
	}
	if (status == PH_OK && !import->base && !ph_oid_is_zero(&import->detached)) {
		status = ph_walk_want(walk, &import->detached);
		*wanted = true;
	}
	return status;
}

static enum ph_status run(struct ph_import *import, struct ph_walk *walk)
{
	enum ph_status status = PH_AGAIN;
	uint64_t spent = 0;

	ph__progress_begin(&import->progress, import->quiet, "Checking connectivity", 0);
	while (status == PH_AGAIN) {
		uint32_t budget = SLICE_UNITS;

		if (ph__import_stops(import))
			return PH_ERR_BUSY;
		status = ph_walk_run(walk, &budget);
		spent += SLICE_UNITS - budget;
		ph__progress_at(&import->progress, spent, 0);
	}
	if (status == PH_ERR_MISSING || status == PH_ERR_CORRUPT)
		return lacks(import, ph_walk_error(walk)->detail);
	ph__progress_end(&import->progress);
	return status;
}

enum ph_status ph__import_prove(struct ph_import *import)
{
	const struct ph_source *source = ph_txn_source(import->txn);
	struct ph_walk_options options = {.source = source,
	                                  .alloc = import->image.options.alloc,
	                                  .limits = &import->image.limits,
	                                  .connectivity = true};
	struct ph_walk *walk;
	bool wanted;
	enum ph_status status = look_head(import, source);

	if (status == PH_OK)
		status = look_all(import, source);
	if (status == PH_OK)
		status = ph_walk_new(&walk, &options);
	if (status != PH_OK)
		return status;
	status = graft(import, walk);
	if (status == PH_OK)
		status = tips(import, walk, &wanted);
	if (status == PH_OK && wanted && import->base)
		status = have_own(import, walk);
	if (status == PH_OK && wanted)
		status = run(import, walk);
	ph_walk_free(walk);
	return status;
}
