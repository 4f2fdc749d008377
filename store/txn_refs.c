/* SPDX-License-Identifier: MIT */
/*
 * The list of ref changes of a transaction. Every change is one allocation that holds its strings,
 * and a node of an AVL tree ordered by name: a push may carry 200,000 names that a peer chose, and
 * neither sorted nor colliding names may make them slow. Verdicts are in txn_refs_verdict.c.
 */
#include "txn_refs_int.h"

#include <assert.h>
#include <string.h>

/* An AVL tree of 2^32 nodes is at most 46 high. */
#define TREE_HEIGHT_MAX 48u

void ph__txn_refs_init(struct ph__txn_refs *refs, const struct ph_alloc *alloc,
                       const struct ph_limits *limits)
{
	memset(refs, 0, sizeof(*refs));
	refs->alloc = alloc;
	refs->limits = limits;
	refs->root = PH__NO_CHANGE;
}

void ph__txn_refs_release(struct ph__txn_refs *refs)
{
	for (uint32_t i = 0; i < refs->count; i++)
		ph_mem_free(refs->alloc, refs->changes[i]);
	ph_mem_free(refs->alloc, refs->changes);
	ph_mem_free(refs->alloc, refs->order);
	ph__txn_refs_init(refs, refs->alloc, refs->limits);
}

static unsigned height(const struct ph__txn_refs *refs, uint32_t number)
{
	return number == PH__NO_CHANGE ? 0 : refs->changes[number]->height;
}

static void set_height(struct ph__txn_refs *refs, uint32_t number)
{
	struct ph__change *change = refs->changes[number];
	unsigned left = height(refs, change->child[0]);
	unsigned right = height(refs, change->child[1]);
	change->height = (uint8_t)((left > right ? left : right) + 1);
}

/* Lifts the child on one side into the place of its parent. */
static void rotate(struct ph__txn_refs *refs, uint32_t *link, unsigned side)
{
	uint32_t parent = *link;
	uint32_t child = refs->changes[parent]->child[side];
	refs->changes[parent]->child[side] = refs->changes[child]->child[!side];
	refs->changes[child]->child[!side] = parent;
	set_height(refs, parent);
	set_height(refs, child);
	*link = child;
}

static void rebalance(struct ph__txn_refs *refs, uint32_t *link)
{
	struct ph__change *node = refs->changes[*link];
	unsigned left = height(refs, node->child[0]);
	unsigned right = height(refs, node->child[1]);
	if (left <= right + 1 && right <= left + 1) {
		set_height(refs, *link);
		return;
	}
	unsigned side = right > left;
	struct ph__change *child = refs->changes[node->child[side]];
	if (height(refs, child->child[!side]) > height(refs, child->child[side]))
		rotate(refs, &node->child[side], !side);
	rotate(refs, link, side);
}

/* The links on the way to where a name is in the tree, or would be. */
struct way {
	uint32_t *links[TREE_HEIGHT_MAX];
	unsigned depth;
};

static uint32_t *find_link(struct ph__txn_refs *refs, const char *name, struct way *way)
{
	uint32_t *link = &refs->root;
	way->depth = 0;
	while (*link != PH__NO_CHANGE) {
		struct ph__change *node = refs->changes[*link];
		int cmp = strcmp(name, node->name);
		if (cmp == 0)
			break;
		assert(way->depth < TREE_HEIGHT_MAX);
		way->links[way->depth++] = link;
		link = &node->child[cmp > 0];
	}
	return link;
}

uint32_t ph__txn_refs_find(const struct ph__txn_refs *refs, const char *name)
{
	uint32_t number = refs->root;
	while (number != PH__NO_CHANGE) {
		const struct ph__change *node = refs->changes[number];
		int cmp = strcmp(name, node->name);
		if (cmp == 0)
			break;
		number = node->child[cmp > 0];
	}
	return number;
}

bool ph__txn_refs_changes(const struct ph__txn_refs *refs, const char *name)
{
	uint32_t number = ph__txn_refs_find(refs, name);
	return number != PH__NO_CHANGE && !refs->changes[number]->dropped;
}

static bool name_fits(const struct ph__txn_refs *refs, const char *name)
{
	size_t max = refs->limits->ref_name_bytes_max;
	if (max > PH_REF_NAME_MAX)
		max = PH_REF_NAME_MAX;
	size_t len = 0;
	while (len <= max && name[len] != '\0')
		len++;
	return len > 0 && len <= max;
}

static enum ph_status reserve(struct ph__txn_refs *refs)
{
	if (refs->count < refs->room)
		return PH_OK;
	if (refs->room > UINT32_MAX / 4)
		return PH_ERR_LIMIT;
	uint32_t room = refs->room ? 2 * refs->room : 8;
	void *bigger = ph_mem_resize(refs->alloc, refs->changes, room, sizeof(*refs->changes));
	if (!bigger)
		return PH_ERR_NOMEM;
	refs->changes = bigger;
	refs->room = room;
	return PH_OK;
}

/* Copies a string behind a change and moves on; NULL stays NULL. */
static const char *put_string(char **at, const char *text)
{
	if (!text)
		return NULL;
	size_t size = strlen(text) + 1;
	char *copy = *at;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static size_t string_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Adds a copy of a change whose strings were checked. */
static enum ph_status add(struct ph__txn_refs *refs, const struct ph__change *change,
                          uint32_t *number)
{
	struct way way;
	uint32_t *link = find_link(refs, change->name, &way);
	if (*link != PH__NO_CHANGE)
		return PH_ERR_EXISTS;
	enum ph_status status = reserve(refs);
	if (status != PH_OK)
		return status;
	size_t size = sizeof(*change) + string_size(change->name) +
	              string_size(change->old_target) + string_size(change->target);
	struct ph__change *copy = ph_mem_alloc(refs->alloc, size);
	if (!copy)
		return PH_ERR_NOMEM;
	*copy = *change;
	char *at = (char *)(copy + 1);
	copy->name = put_string(&at, change->name);
	copy->old_target = put_string(&at, change->old_target);
	copy->target = put_string(&at, change->target);
	copy->child[0] = copy->child[1] = PH__NO_CHANGE;
	copy->height = 1;
	refs->changes[refs->count] = copy;
	*link = refs->count;
	while (way.depth > 0)
		rebalance(refs, way.links[--way.depth]);
	*number = refs->count++;
	return PH_OK;
}

enum ph_status ph__txn_refs_update(struct ph__txn_refs *refs, const char *name,
                                   const struct ph_oid *old, const struct ph_oid *new_oid,
                                   const struct ph_oid *peeled, uint32_t *change)
{
	if (!name_fits(refs, name))
		return PH_ERR_INVALID;
	struct ph__change made;
	memset(&made, 0, sizeof(made));
	made.name = name;
	made.verdict = PH_OK;
	if (!old) {
		made.expect = PH__EXPECT_ANY;
	} else if (ph_oid_is_zero(old)) {
		made.expect = PH__EXPECT_NONE;
	} else {
		made.expect = PH__EXPECT_OID;
		made.old = *old;
	}
	made.action = ph_oid_is_zero(new_oid) ? PH__ACTION_DELETE : PH__ACTION_SET;
	if (made.action == PH__ACTION_SET) {
		made.oid = *new_oid;
		if (peeled)
			made.peeled = *peeled;
	}
	return add(refs, &made, change);
}

enum ph_status ph__txn_refs_symref(struct ph__txn_refs *refs, const char *name, const char *old,
                                   const char *target, uint32_t *change)
{
	bool fits = name_fits(refs, name) && (!target || name_fits(refs, target)) &&
	            (!old || old[0] == '\0' || name_fits(refs, old));
	if (!fits)
		return PH_ERR_INVALID;
	struct ph__change made;
	memset(&made, 0, sizeof(made));
	made.name = name;
	made.verdict = PH_OK;
	if (!old) {
		made.expect = PH__EXPECT_ANY;
	} else if (old[0] == '\0') {
		made.expect = PH__EXPECT_NONE;
	} else {
		made.expect = PH__EXPECT_TARGET;
		made.old_target = old;
	}
	made.action = target ? PH__ACTION_SET_SYMREF : PH__ACTION_DELETE;
	made.target = target;
	return add(refs, &made, change);
}

enum ph_status ph__txn_refs_verdict(const struct ph__txn_refs *refs, uint32_t change)
{
	if (change >= refs->count || refs->changes[change]->dropped)
		return PH_ERR_INVALID;
	return refs->changes[change]->verdict;
}

void ph__txn_refs_drop(struct ph__txn_refs *refs, uint32_t change)
{
	if (change < refs->count)
		refs->changes[change]->dropped = true;
}

const struct ph__change *ph__txn_refs_next(const struct ph__txn_refs *refs, uint32_t *at)
{
	assert(refs->ordered == refs->count);
	while (*at < refs->ordered) {
		const struct ph__change *change = refs->changes[refs->order[(*at)++]];
		if (!change->dropped)
			return change;
	}
	return NULL;
}
