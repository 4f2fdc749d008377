/* SPDX-License-Identifier: MIT */
/*
 * The refs of an import: gathered from the source, compared with what the repository has, and made
 * changes of the transaction. What the repository has with another value is not taken without
 * --force, and then nothing is: half an import is hard to see.
 */
#include "daemon_int.h"
#include "import.h"
#include <packhorse/refname.h>
#include <stdlib.h>
#include <string.h>

/* Refs that are named when they are in the way. */
#define CONFLICTS_MAX 10u
#define RECORD_BYTES_MAX 4096u
/* "and 4294967295 more" fits behind what is cut there. */
#define RECORD_END_BYTES 32u

/* As what may be pushed, and names of one part below refs/, as git's stash has. */
static bool name_fits(const struct ph_import *import, const char *name)
{
	const struct ph_limits *limits = &import->image.limits;
	size_t len = strlen(name);

	if (strncmp(name, "refs/packhorse/", 15) == 0)
		return false;
	if (ph_refname_pushable(name, len, limits))
		return true;
	if (!ph_refname_deletable(name, len, limits) || strchr(name + 5, '/'))
		return false;
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at >= 0x80)
			return false;
	return true;
}

static void leave_out(struct ph_import *import, const char *name)
{
	if (import->quiet)
		return;
	ph__progress_clear(&import->progress);
	fputs("warning: left out, since no ref here may be called so: ", stderr);
	for (const char *at = name; *at; at++)
		putc((unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at, stderr);
	putc('\n', stderr);
}

enum ph_status ph__import_ref(struct ph_import *import, const char *name, const char *target,
                              const struct ph_oid *oid)
{
	struct ph_import_refs *refs = &import->refs;
	struct ph_import_ref *ref;

	if (!name_fits(import, name) || (target && !name_fits(import, target))) {
		leave_out(import, name);
		return PH_OK;
	}
	if (refs->count == import->image.limits.refs_max)
		return ph__import_fail(import, PH_ERR_LIMIT, "%s has more than %u refs",
		                       import->from, import->image.limits.refs_max);
	if (refs->count == refs->size) {
		uint32_t size = refs->size ? 2 * refs->size : 64;
		struct ph_import_ref *items = realloc(refs->items, size * sizeof(*items));

		if (!items)
			return PH_ERR_NOMEM;
		refs->items = items;
		refs->size = size;
	}
	ref = &refs->items[refs->count];
	memset(ref, 0, sizeof(*ref));
	ref->order = refs->count;
	if (oid)
		ref->oid = *oid;
	ref->name = strdup(name);
	ref->target = target ? strdup(target) : NULL;
	refs->count++;
	return ref->name && (!target || ref->target) ? PH_OK : PH_ERR_NOMEM;
}

enum ph_status ph__import_shallow(struct ph_import *import, const struct ph_oid *oid)
{
	uint32_t count = import->shallows;

	if (count == import->image.limits.shallows_max)
		return ph__import_fail(import, PH_ERR_LIMIT, "%s is shallow at more than %u places",
		                       import->from, count);
	/* Room doubles whenever the count is a power of two. */
	if ((count & (count - 1)) == 0) {
		size_t room = count ? 2 * (size_t)count : 1;
		struct ph_oid *oids = realloc(import->shallow, room * sizeof(*oids));

		if (!oids)
			return PH_ERR_NOMEM;
		import->shallow = oids;
	}
	import->shallow[import->shallows++] = *oid;
	return PH_OK;
}

/* ---- order ---- */

static int by_name(const void *a, const void *b)
{
	const struct ph_import_ref *one = a, *other = b;
	int cmp = strcmp(one->name, other->name);

	return cmp ? cmp : (one->order > other->order) - (one->order < other->order);
}

enum ph_status ph__import_refs_sort(struct ph_import *import)
{
	struct ph_import_refs *refs = &import->refs;
	uint32_t kept = 0;

	if (refs->count == 0)
		return PH_OK;
	qsort(refs->items, refs->count, sizeof(*refs->items), by_name);
	for (uint32_t i = 0; i < refs->count; i++) {
		struct ph_import_ref *ref = &refs->items[i];

		if (kept > 0 && strcmp(ref->name, refs->items[kept - 1].name) == 0) {
			free(ref->name);
			free(ref->target);
			continue;
		}
		refs->items[kept++] = *ref;
	}
	refs->count = kept;
	return PH_OK;
}

/* ---- what is there ---- */

static bool same(const struct ph_import_ref *ref, const struct ph_ref *other)
{
	if (ref->target || *other->target)
		return ref->target && strcmp(ref->target, other->target) == 0;
	return ph_oid_equal(&ref->oid, &other->oid);
}

void ph__import_conflict(struct ph_import *import, const char *name)
{
	ph__progress_clear(&import->progress);
	if (import->conflicts++ < CONFLICTS_MAX)
		fprintf(stderr, "packhorse: %s has another value here\n", name);
}

enum ph_status ph__import_conflicts(struct ph_import *import)
{
	uint32_t count = import->conflicts;

	if (count == 0)
		return PH_OK;
	return ph__import_fail(import, PH_ERR_CONFLICT,
	                       "%u ref%s another value there, and would lose it; import into "
	                       "another name, or let --force change %s",
	                       count, count == 1 ? " has" : "s have", count == 1 ? "it" : "them");
}

/* As git fetches: tags and symrefs stay what they are, others may move forward. */
static void compare(struct ph_import *import, struct ph_import_ref *ref, const struct ph_ref *other)
{
	ref->skip = same(ref, other);
	ref->old = other->oid;
	if (ref->skip || import->force)
		return;
	if (ref->target || *other->target || strncmp(ref->name, "refs/tags/", 10) == 0)
		ph__import_conflict(import, ref->name);
	else
		ref->moves = true;
}

enum ph_status ph__import_refs_compare(struct ph_import *import)
{
	for (uint32_t i = 0; import->base && i < import->refs.count; i++) {
		struct ph_import_ref *ref = &import->refs.items[i];
		struct ph_ref other;
		enum ph_status status = ph_snapshot_ref(import->base, ref->name, &other);

		if (status == PH_OK)
			compare(import, ref, &other);
		else if (status != PH_ERR_NOT_FOUND)
			return status;
	}
	return ph__import_conflicts(import);
}

/* ---- changes ---- */

static enum ph_status stage(struct ph_import *import, struct ph_import_ref *ref)
{
	const struct ph_oid *peeled = ph_oid_is_zero(&ref->peeled) ? NULL : &ref->peeled;

	import->changed++;
	if (ref->target)
		return ph_txn_symref_update(import->txn, ref->name, NULL, ref->target,
		                            &ref->change);
	return ph_txn_ref_update(import->txn, ref->name, NULL, &ref->oid, peeled, &ref->change);
}

/* A repository that is there keeps its own. */
static enum ph_status stage_head(struct ph_import *import)
{
	uint32_t change;

	if (import->base)
		return PH_OK;
	if (import->head)
		return ph_txn_symref_update(import->txn, "HEAD", NULL, import->head, &change);
	if (ph_oid_is_zero(&import->detached))
		return PH_OK;
	return ph_txn_ref_update(import->txn, "HEAD", NULL, &import->detached, NULL, &change);
}

/*
 * Of the source's boundary, what the repository has now and had not. A repository that has its
 * history does not lose it by an import.
 */
static enum ph_status stage_shallow(struct ph_import *import)
{
	const struct ph_source *source = ph_txn_source(import->txn);
	const struct ph_source *old = import->base ? ph_snapshot_source(import->base) : NULL;
	const struct ph_oid *own = NULL;
	uint32_t owned = import->base ? ph_snapshot_shallow(import->base, &own) : 0, kept = 0;

	for (uint32_t i = 0; i < import->shallows; i++) {
		struct ph_loc loc;
		enum ph_status found = source->ops->find(source, &import->shallow[i], &loc);

		if (found == PH_OK && old &&
		    old->ops->find(old, &import->shallow[i], &loc) == PH_OK)
			continue;
		if (found == PH_OK)
			import->shallow[kept++] = import->shallow[i];
		else if (found != PH_ERR_NOT_FOUND)
			return found;
	}
	import->shallows = kept;
	if (kept == 0)
		return PH_OK;
	if (import->base && owned == 0)
		return ph__import_fail(import, PH_ERR_CONFLICT,
		                       "%s is shallow and the repository is not; import it into "
		                       "another name",
		                       import->from);
	for (uint32_t i = 0; i < owned; i++) {
		enum ph_status status = ph__import_shallow(import, &own[i]);

		if (status != PH_OK)
			return status;
	}
	return ph_txn_set_shallow(import->txn, import->shallow, import->shallows);
}

/* One record, as a push leaves: what does not fit is counted. */
static enum ph_status stage_log(struct ph_import *import)
{
	char text[RECORD_BYTES_MAX], from[PH_OID_HEX_MAX + 1], to[PH_OID_HEX_MAX + 1];
	uint32_t rest = import->changed;
	size_t len = (size_t)snprintf(text, sizeof(text), "import %llu packhorse import\n",
	                              (unsigned long long)ph__wall_s());

	for (uint32_t i = 0; i < import->refs.count; i++) {
		const struct ph_import_ref *ref = &import->refs.items[i];
		size_t room = sizeof(text) - RECORD_END_BYTES - len;
		int put;

		if (ref->skip || ref->target)
			continue;
		put = snprintf(text + len, room, "%s %s %s\n",
		               ph_oid_to_hex(from, import->algo, &ref->old),
		               ph_oid_to_hex(to, import->algo, &ref->oid), ref->name);
		if (put < 0 || (size_t)put >= room)
			break;
		len += (size_t)put;
		rest--;
	}
	if (rest)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "and %u more\n", rest);
	return import->changed ? ph_txn_log(import->txn, text, len) : PH_OK;
}

enum ph_status ph__import_refs_stage(struct ph_import *import)
{
	enum ph_status status = stage_head(import);

	for (uint32_t i = 0; i < import->refs.count && status == PH_OK; i++)
		if (!import->refs.items[i].skip)
			status = stage(import, &import->refs.items[i]);
	if (status == PH_OK)
		status = stage_shallow(import);
	return status == PH_OK ? stage_log(import) : status;
}
