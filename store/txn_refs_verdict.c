/* SPDX-License-Identifier: MIT */
/*
 * Verdicts on the ref changes of a transaction, against the refs as they are. First every change by
 * its expected old value; then, for changes that make a new ref, whether its name can exist beside
 * the refs that stay; last, in the order they were given, whether the new refs can exist beside
 * each other and within refs_max. Refs that exist already agree with each other, so only new ones
 * are checked. The work is proportional to the changes and the refs deleted, not to their product.
 */
#include "txn_refs_int.h"

#include <assert.h>
#include <string.h>

#define TREE_HEIGHT_MAX 48u

struct evaluation {
	struct ph__txn_refs *refs;
	const struct ph__refs_view *view;
	uint64_t count;     /* refs after the changes accepted so far */
	uint32_t creations; /* changes that make a new ref */
	uint32_t *sums;     /* Fenwick tree over ranks: creations accepted */
	const char *clean;  /* a name of which the first clean_len bytes... */
	size_t clean_len;   /* ...hold no directory that is a ref */
	struct ph_ref ref;  /* scratch */
	char path[PH_REF_NAME_MAX + 2];
	char found[PH_REF_NAME_MAX + 1];
};

static bool begins_with(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/*
 * The change whose name is the longest that this one's begins with, looked for from the one before
 * it in the order: what lies between a name and one that begins with it begins with it too.
 */
static uint32_t find_shorter(const struct ph__txn_refs *refs, uint32_t before, uint32_t number)
{
	while (before != PH__NO_CHANGE &&
	       !begins_with(refs->changes[number]->name, refs->changes[before]->name))
		before = refs->changes[before]->shorter;
	return before;
}

/* The numbers of all changes in byte order of their names, out of the tree. */
static enum ph_status make_order(struct ph__txn_refs *refs)
{
	if (refs->ordered == refs->count)
		return PH_OK;
	uint32_t *order = ph_mem_resize(refs->alloc, refs->order, refs->count, sizeof(*order));
	if (!order)
		return PH_ERR_NOMEM;
	refs->order = order;
	refs->ordered = 0;
	uint32_t stack[TREE_HEIGHT_MAX];
	unsigned depth = 0;
	uint32_t number = refs->root, before = PH__NO_CHANGE;
	while (number != PH__NO_CHANGE || depth > 0) {
		while (number != PH__NO_CHANGE) {
			assert(depth < TREE_HEIGHT_MAX);
			stack[depth++] = number;
			number = refs->changes[number]->child[0];
		}
		number = stack[--depth];
		refs->changes[number]->rank = refs->ordered;
		refs->changes[number]->shorter = find_shorter(refs, before, number);
		before = number;
		order[refs->ordered++] = number;
		number = refs->changes[number]->child[1];
	}
	assert(refs->ordered == refs->count);
	return PH_OK;
}

static bool good(const struct ph__change *change)
{
	return !change->dropped && change->verdict == PH_OK;
}

static bool creates(const struct ph__change *change)
{
	return good(change) && change->action != PH__ACTION_DELETE && !change->exists;
}

static bool deletes(const struct ph__change *change)
{
	return good(change) && change->action == PH__ACTION_DELETE;
}

/* The change of this name that was not dropped, or NULL. */
static const struct ph__change *live_change(const struct evaluation *ev, const char *name)
{
	uint32_t number = ph__txn_refs_find(ev->refs, name);
	if (number == PH__NO_CHANGE || ev->refs->changes[number]->dropped)
		return NULL;
	return ev->refs->changes[number];
}

static enum ph_status old_value_verdict(const struct ph__change *change, const struct ph_ref *ref)
{
	bool same = false;
	switch (change->expect) {
	case PH__EXPECT_ANY:
		return PH_OK;
	case PH__EXPECT_NONE:
		return ref ? PH_ERR_EXISTS : PH_OK;
	case PH__EXPECT_OID:
		same = ref && ref->target[0] == '\0' && ph_oid_equal(&ref->oid, &change->old);
		break;
	case PH__EXPECT_TARGET:
		same = ref && strcmp(ref->target, change->old_target) == 0;
		break;
	}
	if (!ref)
		return PH_ERR_NOT_FOUND;
	return same ? PH_OK : PH_ERR_CONFLICT;
}

/* First pass: each change by itself. */
static enum ph_status check_old_values(struct evaluation *ev)
{
	ev->count = ev->view->count;
	for (uint32_t i = 0; i < ev->refs->count; i++) {
		struct ph__change *change = ev->refs->changes[ev->refs->order[i]];
		if (change->dropped)
			continue;
		enum ph_status status = ev->view->get(ev->view->user, change->name, &ev->ref);
		if (status != PH_OK && status != PH_ERR_NOT_FOUND)
			return status;
		change->exists = status == PH_OK;
		change->below = PH__BELOW_UNKNOWN;
		change->verdict = old_value_verdict(change, change->exists ? &ev->ref : NULL);
		if (creates(change))
			ev->creations++;
		else if (deletes(change) && change->exists)
			ev->count--;
	}
	return PH_OK;
}

/* Puts the first len bytes of a name and one more byte into ev->path. */
static void set_path(struct evaluation *ev, const char *name, size_t len, char last)
{
	assert(len <= PH_REF_NAME_MAX);
	memcpy(ev->path, name, len);
	ev->path[len] = last;
	ev->path[len + (last != '\0')] = '\0';
}

/* Whether ev->path names a ref that stays. */
static enum ph_status path_stays(struct evaluation *ev, bool *stays)
{
	const struct ph__change *change = live_change(ev, ev->path);
	if (change) {
		*stays = change->exists && !deletes(change);
		return PH_OK;
	}
	enum ph_status status = ev->view->get(ev->view->user, ev->path, &ev->ref);
	*stays = status == PH_OK;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

static size_t common_len(const char *a, const char *b)
{
	size_t len = 0;
	while (a[len] != '\0' && a[len] == b[len])
		len++;
	return len;
}

/* Whether a ref that stays is a directory of this name. Neighbours share most directories. */
static enum ph_status check_above(struct evaluation *ev, const char *name, bool *taken)
{
	size_t known = ev->clean ? common_len(ev->clean, name) : 0;
	if (known > ev->clean_len)
		known = ev->clean_len;
	*taken = false;
	const char *slash = strchr(name + known, '/');
	for (; slash; slash = strchr(slash + 1, '/')) {
		set_path(ev, name, (size_t)(slash - name), '\0');
		enum ph_status status = path_stays(ev, taken);
		if (status != PH_OK)
			return status;
		if (*taken)
			break;
	}
	ev->clean = name;
	ev->clean_len = slash ? (size_t)(slash - name) : strlen(name);
	return PH_OK;
}

/*
 * The shortest directory of ev->found, below the first len bytes, of which is known what is below:
 * a new ref checked before. Leaves its name in ev->path.
 */
static const struct ph__change *known_directory(struct evaluation *ev, size_t len)
{
	const char *slash = strchr(ev->found + len + 1, '/');
	for (; slash; slash = strchr(slash + 1, '/')) {
		set_path(ev, ev->found, (size_t)(slash - ev->found), '\0');
		const struct ph__change *change = live_change(ev, ev->path);
		if (change && change->below != PH__BELOW_UNKNOWN)
			return change;
	}
	return NULL;
}

/*
 * Whether refs below this name stay. Names are checked from the last to the first, so what is below
 * a new ref that is itself below this one is known, and skipped: each ref is stepped over once.
 */
static enum ph_status check_below(struct evaluation *ev, struct ph__change *change)
{
	size_t len = strlen(change->name);
	set_path(ev, change->name, len, '/');
	bool after = false;
	change->below = PH__BELOW_NONE;
	while (change->below == PH__BELOW_NONE) {
		enum ph_status status = ev->view->seek(ev->view->user, ev->path, after, ev->found);
		if (status == PH_END)
			break;
		if (status != PH_OK)
			return status;
		if (strncmp(ev->found, change->name, len) != 0 || ev->found[len] != '/')
			break;
		const struct ph__change *other = known_directory(ev, len);
		if (other) {
			change->below = other->below;
			/* '0' is the byte behind '/': past all that is below it. */
			set_path(ev, other->name, strlen(other->name), '/' + 1);
			after = false;
			continue;
		}
		other = live_change(ev, ev->found);
		if (!other || !deletes(other))
			change->below = PH__BELOW_SOME;
		set_path(ev, ev->found, strlen(ev->found), '\0');
		after = true;
	}
	return PH_OK;
}

/* Second pass: new refs beside the refs that stay. */
static enum ph_status check_staying(struct evaluation *ev)
{
	for (uint32_t i = ev->refs->count; i > 0; i--) {
		struct ph__change *change = ev->refs->changes[ev->refs->order[i - 1]];
		if (!creates(change))
			continue;
		bool taken;
		enum ph_status status = check_above(ev, change->name, &taken);
		if (status == PH_OK && !taken) {
			status = check_below(ev, change);
			taken = change->below == PH__BELOW_SOME;
		}
		if (status != PH_OK)
			return status;
		if (taken)
			change->verdict = PH_ERR_INVALID;
	}
	return PH_OK;
}

/* How many names in the order are less than ev->path. */
static uint32_t lower_bound(const struct evaluation *ev)
{
	uint32_t low = 0, high = ev->refs->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const char *name = ev->refs->changes[ev->refs->order[middle]]->name;
		if (strcmp(name, ev->path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Creations accepted among the first ranks. */
static uint32_t accepted_before(const struct evaluation *ev, uint32_t ranks)
{
	uint32_t sum = 0;
	for (; ranks > 0; ranks &= ranks - 1)
		sum += ev->sums[ranks];
	return sum;
}

static void accept(struct evaluation *ev, uint32_t rank)
{
	ev->count++;
	for (uint64_t at = (uint64_t)rank + 1; at <= ev->refs->count; at += at & (~at + 1))
		ev->sums[at]++;
}

/* Whether a name of another change begins with this one's. */
static bool has_longer(const struct evaluation *ev, const struct ph__change *change)
{
	uint32_t next = change->rank + 1;
	return next < ev->refs->count &&
	       begins_with(ev->refs->changes[ev->refs->order[next]]->name, change->name);
}

/* Whether new refs below this one were accepted already. */
static bool excluded_below(struct evaluation *ev, const struct ph__change *change)
{
	if (!has_longer(ev, change))
		return false;
	size_t len = strlen(change->name);
	set_path(ev, change->name, len, '/');
	uint32_t low = lower_bound(ev);
	set_path(ev, change->name, len, '/' + 1);
	return accepted_before(ev, lower_bound(ev)) > accepted_before(ev, low);
}

/* Whether a new ref with a lower number, accepted already, excludes this one. */
static bool excluded(struct evaluation *ev, uint32_t number)
{
	const struct ph__change *change = ev->refs->changes[number];
	if (excluded_below(ev, change))
		return true;
	/* PH__NO_CHANGE is higher than any number. */
	uint32_t other = change->shorter;
	for (; other != PH__NO_CHANGE; other = ev->refs->changes[other]->shorter) {
		const struct ph__change *above = ev->refs->changes[other];
		if (other < number && change->name[strlen(above->name)] == '/' && creates(above))
			return true;
	}
	return false;
}

/* Third pass: new refs beside each other. */
static enum ph_status check_creations(struct evaluation *ev)
{
	ev->sums = ph_mem_zalloc(ev->refs->alloc, (size_t)ev->refs->count + 1, sizeof(*ev->sums));
	if (!ev->sums)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < ev->refs->count; i++) {
		struct ph__change *change = ev->refs->changes[i];
		if (!creates(change))
			continue;
		if (excluded(ev, i))
			change->verdict = PH_ERR_INVALID;
		else if (ev->count >= ev->refs->limits->refs_max)
			change->verdict = PH_ERR_LIMIT;
		else
			accept(ev, change->rank);
	}
	ph_mem_free(ev->refs->alloc, ev->sums);
	return PH_OK;
}

static enum ph_status run(struct evaluation *ev)
{
	enum ph_status status = check_old_values(ev);
	if (status == PH_OK && ev->creations > 0)
		status = check_staying(ev);
	if (status == PH_OK && ev->creations > 0)
		status = check_creations(ev);
	for (uint32_t i = 0; i < ev->refs->count && status == PH_OK; i++)
		if (!ev->refs->changes[i]->dropped && !good(ev->refs->changes[i]))
			status = PH_ERR_CONFLICT;
	return status;
}

enum ph_status ph__txn_refs_evaluate(struct ph__txn_refs *refs, const struct ph__refs_view *view)
{
	if (refs->count == 0)
		return PH_OK;
	enum ph_status status = make_order(refs);
	if (status != PH_OK)
		return status;
	/* Several names long: not for the stack of a small thread. */
	struct evaluation *ev = ph_mem_zalloc(refs->alloc, 1, sizeof(*ev));
	if (!ev)
		return PH_ERR_NOMEM;
	ev->refs = refs;
	ev->view = view;
	status = run(ev);
	ph_mem_free(refs->alloc, ev);
	return status;
}
