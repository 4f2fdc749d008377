/* SPDX-License-Identifier: MIT */
/*
 * Refs of the store in memory: a sorted table of counted leaves of counted refs, all immutable. A
 * commit shares the leaves it does not touch, so a small push into many refs copies one leaf and
 * the table, and a large push merges its changes in one pass.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

/* A leaf that gets smaller takes its neighbour in, so that deletions leave no crumbs. */
#define LEAF_REFS_MIN 64u

struct builder {
	const struct ph_alloc *alloc;
	struct mem_refs *refs; /* being made */
	uint32_t room;
	uint32_t pending;
	struct mem_ref *ref[MEM_LEAF_REFS_MAX]; /* retained, for the next leaf */
};

static void release_ref(const struct ph_alloc *alloc, struct mem_ref *ref)
{
	if (mem_release(&ref->count))
		ph_mem_free(alloc, ref);
}

static void release_leaf(const struct ph_alloc *alloc, struct mem_leaf *leaf)
{
	if (!mem_release(&leaf->count))
		return;
	for (uint32_t i = 0; i < leaf->refs; i++)
		release_ref(alloc, leaf->ref[i]);
	ph_mem_free(alloc, leaf);
}

void ph__mem_refs_release(const struct ph_alloc *alloc, struct mem_refs *refs)
{
	if (!refs || !mem_release(&refs->count))
		return;
	for (uint32_t i = 0; i < refs->leaves; i++)
		release_leaf(alloc, refs->leaf[i]);
	ph_mem_free(alloc, refs);
}

static struct mem_ref *new_ref(const struct ph_alloc *alloc, const char *name, const char *target,
                               const struct ph_oid *oid, const struct ph_oid *peeled)
{
	size_t name_size = strlen(name) + 1;
	size_t target_size = strlen(target) + 1;
	struct mem_ref *ref = ph_mem_zalloc(alloc, 1, sizeof(*ref) + name_size + target_size);
	if (!ref)
		return NULL;
	mem_count_init(&ref->count);
	memcpy(ref->name, name, name_size);
	memcpy(ref->name + name_size, target, target_size);
	ref->target = ref->name + name_size;
	if (oid)
		ref->oid = *oid;
	if (peeled)
		ref->peeled = *peeled;
	return ref;
}

static enum ph_status put_leaf(struct builder *b, struct mem_leaf *leaf)
{
	if (b->refs->leaves == b->room) {
		size_t room = (size_t)b->room * 2;
		if (room > UINT32_MAX)
			return PH_ERR_LIMIT;
		struct mem_refs *bigger =
		        ph_mem_resize(b->alloc, b->refs, 1, sizeof(*bigger) + room * sizeof(leaf));
		if (!bigger)
			return PH_ERR_NOMEM;
		b->refs = bigger;
		b->room = (uint32_t)room;
	}
	b->refs->leaf[b->refs->leaves++] = leaf;
	b->refs->total += leaf->refs;
	return PH_OK;
}

/* Makes a leaf of the first of what is pending. */
static enum ph_status flush(struct builder *b, uint32_t count)
{
	if (count == 0)
		return PH_OK;
	size_t size = offsetof(struct mem_leaf, ref) + count * sizeof(b->ref[0]);
	struct mem_leaf *leaf = ph_mem_alloc(b->alloc, size);
	if (!leaf)
		return PH_ERR_NOMEM;
	mem_count_init(&leaf->count);
	leaf->refs = count;
	memcpy(leaf->ref, b->ref, count * sizeof(b->ref[0]));
	b->pending -= count;
	memmove(b->ref, b->ref + count, b->pending * sizeof(b->ref[0]));
	enum ph_status status = put_leaf(b, leaf);
	if (status != PH_OK)
		release_leaf(b->alloc, leaf);
	return status;
}

/* Takes over a reference to a ref, also on error. */
static enum ph_status put_ref(struct builder *b, struct mem_ref *ref)
{
	if (b->pending == MEM_LEAF_REFS_MAX) {
		/* What is left is no crumb: else it would draw in one full leaf after the other. */
		enum ph_status status = flush(b, MEM_LEAF_REFS_MAX - LEAF_REFS_MIN);
		if (status != PH_OK) {
			release_ref(b->alloc, ref);
			return status;
		}
	}
	b->ref[b->pending++] = ref;
	return PH_OK;
}

static enum ph_status put_old(struct builder *b, struct mem_ref *ref)
{
	mem_retain(&ref->count);
	return put_ref(b, ref);
}

static enum ph_status put_change(struct builder *b, const struct ph__change *change)
{
	if (change->action == PH__ACTION_DELETE)
		return PH_OK;
	bool symref = change->action == PH__ACTION_SET_SYMREF;
	struct mem_ref *ref = new_ref(b->alloc, change->name, symref ? change->target : "",
	                              &change->oid, &change->peeled);
	return ref ? put_ref(b, ref) : PH_ERR_NOMEM;
}

/* Merges a leaf with the changes that come before end (NULL: all), and moves on in the changes. */
static enum ph_status merge_leaf(struct builder *b, const struct mem_leaf *leaf,
                                 const struct ph__txn_refs *changes, uint32_t *at,
                                 const struct ph__change **next, const char *end)
{
	enum ph_status status = PH_OK;
	uint32_t place = 0;
	uint32_t refs = leaf ? leaf->refs : 0;
	while (status == PH_OK) {
		bool more = *next && (!end || strcmp((*next)->name, end) < 0);
		if (place == refs && !more)
			break;
		int cmp = place == refs ? 1
		          : !more       ? -1
		                        : strcmp(leaf->ref[place]->name, (*next)->name);
		if (cmp < 0) {
			status = put_old(b, leaf->ref[place++]);
			continue;
		}
		if (cmp == 0)
			place++; /* the change replaces it */
		status = put_change(b, *next);
		*next = ph__txn_refs_next(changes, at);
	}
	return status;
}

static enum ph_status merge_all(struct builder *b, const struct mem_refs *refs,
                                const struct ph__txn_refs *changes)
{
	uint32_t at = 0;
	uint32_t leaves = refs ? refs->leaves : 0;
	const struct ph__change *next = ph__txn_refs_next(changes, &at);
	enum ph_status status = PH_OK;
	if (leaves == 0)
		status = merge_leaf(b, NULL, changes, &at, &next, NULL);
	for (uint32_t i = 0; i < leaves && status == PH_OK; i++) {
		struct mem_leaf *leaf = refs->leaf[i];
		const char *end = i + 1 < leaves ? refs->leaf[i + 1]->ref[0]->name : NULL;
		bool touched = next && (!end || strcmp(next->name, end) < 0);
		if (touched || (b->pending > 0 && b->pending < LEAF_REFS_MIN)) {
			status = merge_leaf(b, leaf, changes, &at, &next, end);
			continue;
		}
		status = flush(b, b->pending);
		if (status != PH_OK)
			break;
		mem_retain(&leaf->count);
		status = put_leaf(b, leaf);
		if (status != PH_OK)
			release_leaf(b->alloc, leaf);
	}
	return status == PH_OK ? flush(b, b->pending) : status;
}

static enum ph_status builder_init(struct builder *b, const struct ph_alloc *alloc, uint32_t room)
{
	b->alloc = alloc;
	b->pending = 0;
	b->room = room;
	b->refs = ph_mem_alloc(alloc, sizeof(*b->refs) + room * sizeof(b->refs->leaf[0]));
	if (!b->refs)
		return PH_ERR_NOMEM;
	mem_count_init(&b->refs->count);
	b->refs->total = 0;
	b->refs->leaves = 0;
	return PH_OK;
}

static void builder_release(struct builder *b)
{
	for (uint32_t i = 0; i < b->pending; i++)
		release_ref(b->alloc, b->ref[i]);
	ph__mem_refs_release(b->alloc, b->refs);
}

enum ph_status ph__mem_refs_apply(const struct ph_alloc *alloc, struct mem_refs *refs,
                                  const struct ph__txn_refs *changes, struct mem_refs **out)
{
	struct builder b;
	enum ph_status status = builder_init(&b, alloc, (refs ? refs->leaves : 0) + 2);
	if (status != PH_OK)
		return status;
	status = merge_all(&b, refs, changes);
	if (status == PH_OK)
		*out = b.refs;
	else
		builder_release(&b);
	return status;
}

enum ph_status ph__mem_refs_initial(const struct ph_alloc *alloc, struct mem_refs **out)
{
	struct builder b;
	enum ph_status status = builder_init(&b, alloc, 1);
	if (status != PH_OK)
		return status;
	struct mem_ref *head = new_ref(alloc, "HEAD", PH__DEFAULT_TARGET, NULL, NULL);
	status = head ? put_ref(&b, head) : PH_ERR_NOMEM;
	if (status == PH_OK)
		status = flush(&b, b.pending);
	if (status == PH_OK)
		*out = b.refs;
	else
		builder_release(&b);
	return status;
}

/* The last leaf whose first name is <= name, or 0. */
static uint32_t find_leaf(const struct mem_refs *refs, const char *name)
{
	uint32_t low = 0, high = refs->leaves;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (strcmp(refs->leaf[middle]->ref[0]->name, name) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

bool ph__mem_refs_seek(const struct mem_refs *refs, const char *from, bool after, uint32_t *leaf,
                       uint32_t *place)
{
	if (!refs || refs->leaves == 0)
		return false;
	*leaf = find_leaf(refs, from);
	const struct mem_leaf *in = refs->leaf[*leaf];
	uint32_t low = 0, high = in->refs;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int cmp = strcmp(in->ref[middle]->name, from);
		if (cmp < 0 || (cmp == 0 && after))
			low = middle + 1;
		else
			high = middle;
	}
	*place = low;
	if (low == in->refs) {
		*place = 0;
		++*leaf;
	}
	return *leaf < refs->leaves;
}

const struct mem_ref *ph__mem_refs_find(const struct mem_refs *refs, const char *name)
{
	uint32_t leaf, place;
	if (!ph__mem_refs_seek(refs, name, false, &leaf, &place))
		return NULL;
	const struct mem_ref *ref = refs->leaf[leaf]->ref[place];
	return strcmp(ref->name, name) == 0 ? ref : NULL;
}

/* The names had room in a ph_ref when they were given, see ph__txn_refs_update. */
static void copy_string(char *out, const char *text)
{
	size_t size = strlen(text) + 1;
	assert(size <= PH_REF_NAME_MAX + 1);
	memcpy(out, text, size);
}

void ph__mem_ref_copy(struct ph_ref *out, const struct mem_ref *ref)
{
	copy_string(out->name, ref->name);
	copy_string(out->target, ref->target);
	out->oid = ref->oid;
	out->peeled = ref->peeled;
}

static enum ph_status view_get(void *user, const char *name, struct ph_ref *out)
{
	const struct mem_ref *ref = ph__mem_refs_find(user, name);
	if (!ref)
		return PH_ERR_NOT_FOUND;
	ph__mem_ref_copy(out, ref);
	return PH_OK;
}

static enum ph_status view_seek(void *user, const char *from, bool after, char *name)
{
	const struct mem_refs *refs = user;
	uint32_t leaf, place;
	if (!ph__mem_refs_seek(refs, from, after, &leaf, &place))
		return PH_END;
	copy_string(name, refs->leaf[leaf]->ref[place]->name);
	return PH_OK;
}

void ph__mem_refs_view(struct ph__refs_view *view, struct mem_refs *refs)
{
	view->user = refs;
	view->count = refs ? refs->total : 0;
	view->get = view_get;
	view->seek = view_seek;
}
