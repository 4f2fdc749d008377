/* SPDX-License-Identifier: MIT */
/*
 * Gathers what a substitution needs of the repository, piece by piece: short forms of the ids of
 * the commit, its tree and its parents, and the refs that name it and that the client may see, in
 * the order that git shows: HEAD, then from the last name to the first.
 */
#include "facts_int.h"
#include "visible_int.h"

#include <stdio.h>
#include <string.h>

void ph__facts_init(struct ph__facts *facts, struct ph_snapshot *snapshot,
                    const struct ph_config *config, struct ph__subst *subst)
{
	memset(facts, 0, sizeof(*facts));
	facts->snapshot = snapshot;
	facts->config = config;
	facts->subst = subst;
}

void ph__facts_release(struct ph__facts *facts)
{
	ph_ref_iter_free(facts->iter);
	facts->iter = NULL;
}

/* ---- ids ---- */

static enum ph_status shorten(struct ph__facts *facts, const struct ph_oid *oid, unsigned *out,
                              uint32_t *budget)
{
	return ph__abbrev(facts->snapshot, facts->subst->alloc, oid, facts->least, out, budget);
}

/* The next of the parents' ids, which stand in a text between blanks. */
static enum ph_status next_parent(struct ph__facts *facts, uint32_t *budget)
{
	struct ph__subst *subst = facts->subst;
	size_t digits = ph_hash_hex(subst->algo);
	const char *hex = ph__text_bytes(&subst->parents) + facts->parent;
	struct ph_oid oid;
	unsigned len;
	enum ph_status status = ph_oid_from_hex(&oid, subst->algo, hex, digits);

	if (status == PH_OK)
		status = shorten(facts, &oid, &len, budget);
	if (status == PH_OK)
		status = ph__text_print(&subst->short_parents, "%s%.*s", facts->parent ? " " : "",
		                        (int)len, hex);
	facts->parent += digits + 1;
	return status;
}

static enum ph_status ids(struct ph__facts *facts, uint32_t *budget)
{
	struct ph__subst *subst = facts->subst;
	enum ph_status status = PH_OK;

	if (!facts->least) {
		facts->least =
		        ph__abbrev_least(ph_source_objects(ph_snapshot_source(facts->snapshot)));
		status = shorten(facts, &subst->oid, &subst->short_commit, budget);
		if (status == PH_OK)
			status = shorten(facts, &subst->tree, &subst->short_tree, budget);
	}
	while (status == PH_OK && facts->parent < subst->parents.len) {
		if (*budget == 0)
			return PH_AGAIN;
		status = next_parent(facts, budget);
	}
	if (status == PH_OK)
		facts->state = PH__FACTS_REFS;
	return status;
}

/* ---- refs ---- */

/* In front of those that are there. What does not fit any more is not shown. */
static enum ph_status add_name(struct ph__facts *facts, enum ph__subst_ref kind, const char *name)
{
	char record[PH_REF_NAME_MAX + 3];
	int len = snprintf(record, sizeof(record), "%c%s", (char)kind, name);
	enum ph_status status = ph__text_insert(&facts->subst->names, 0, record, (size_t)len + 1);

	return status == PH_ERR_LIMIT ? PH_OK : status;
}

/* A ref's value, through symrefs. PH_ERR_NOT_FOUND also for one that is not to be seen. */
static enum ph_status value_of(struct ph__facts *facts, struct ph_ref *ref)
{
	char target[PH_REF_NAME_MAX + 1];
	char name[PH_REF_NAME_MAX + 1];
	enum ph_status status;

	if (!*ref->target)
		return PH_OK;
	memcpy(name, ref->name, sizeof(name));
	status = ph__visible_resolve(facts->snapshot, &facts->config->hide_upload, name, ref,
	                             target);
	memcpy(ref->name, name, sizeof(name));
	return status == PH_ERR_LIMIT || status == PH_ERR_DENIED ? PH_ERR_NOT_FOUND : status;
}

static enum ph_status look(struct ph__facts *facts)
{
	const struct ph_oid *oid = &facts->subst->oid;
	struct ph_ref *ref = &facts->ref;
	bool tag = strncmp(ref->name, "refs/tags/", 10) == 0;
	enum ph_status status;

	if (strncmp(ref->name, "refs/replace/", 13) == 0)
		return PH_OK;
	status = value_of(facts, ref);
	if (status != PH_OK)
		return status == PH_ERR_NOT_FOUND ? PH_OK : status;
	if (ph_oid_equal(&ref->oid, oid))
		return add_name(facts, tag ? PH__SUBST_REF_TAG : PH__SUBST_REF_OTHER, ref->name);
	return ph_oid_equal(&ref->peeled, oid) ? add_name(facts, PH__SUBST_REF_TAG, ref->name)
	                                       : PH_OK;
}

static enum ph_status look_head(struct ph__facts *facts)
{
	struct ph__subst *subst = facts->subst;
	struct ph_ref *ref = &facts->ref;
	enum ph_status status = ph_snapshot_ref(facts->snapshot, "HEAD", ref);

	facts->state = PH__FACTS_DONE;
	if (status == PH_OK)
		snprintf(subst->head, sizeof(subst->head), "%s", ref->target);
	if (status == PH_OK)
		status = value_of(facts, ref);
	if (status == PH_ERR_NOT_FOUND)
		return PH_OK;
	if (status != PH_OK || !ph_oid_equal(&ref->oid, &subst->oid))
		return status;
	return add_name(facts, PH__SUBST_REF_HEAD, "HEAD");
}

static enum ph_status refs(struct ph__facts *facts, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	if (!facts->iter)
		status = ph_snapshot_refs(facts->snapshot, "refs/", &facts->iter);
	while (status == PH_OK) {
		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		status = ph__visible_next(facts->iter, &facts->config->hide_upload, &facts->ref);
		if (status == PH_OK)
			status = look(facts);
		else if (status == PH_AGAIN)
			status = PH_OK;
	}
	ph__facts_release(facts);
	return status == PH_END ? look_head(facts) : status;
}

enum ph_status ph__facts_gather(struct ph__facts *facts, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	if (facts->state == PH__FACTS_IDS)
		status = ids(facts, budget);
	if (status == PH_OK && facts->state == PH__FACTS_REFS)
		status = refs(facts, budget);
	return status;
}
