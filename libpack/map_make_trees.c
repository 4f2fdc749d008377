/* SPDX-License-Identifier: MIT */
/*
 * Contents of trees, for bitmaps: a list of trees to read takes the place of recursion. Versions of
 * a directory differ in few entries, so each tree is compared with the one it replaced, whose
 * contents are known, and only what differs is looked at. A table of ids by hash keeps most of that
 * from being looked up in the index again.
 */
#include "map_make_int.h"

#define SLOTS_MAX ((size_t)1 << 16)
#define SLOTS_MIN ((size_t)1 << 6)
/* Entries of a tree, and bytes of two, looked at in one step. */
#define ENTRIES_STEP 64u
#define COMPARE_STEP ((size_t)64 << 10)

size_t ph__map_known_slots(const struct ph_limits *limits, uint64_t objects)
{
	size_t slots = SLOTS_MIN;

	while (slots < SLOTS_MAX && slots < objects &&
	       slots * sizeof(struct ph__map_slot) <= limits->delta_cache_bytes_max) {
		slots *= 2;
	}
	return slots;
}

static void close_tree(struct ph_map_maker *maker)
{
	struct ph__map_trees *trees = &maker->trees;

	if (trees->open) {
		ph_object_release(maker->reader, &trees->object);
	}
	if (trees->comparing) {
		ph_object_release(maker->reader, &trees->other);
	}
	trees->open = false;
	trees->comparing = false;
}

void ph__map_trees_release(struct ph_map_maker *maker)
{
	close_tree(maker);
	ph_mem_free(maker->alloc, maker->trees.todo.items);
	ph_mem_free(maker->alloc, maker->trees.known);
}

/* A tree gets its bit and will be read; other is what it replaced, or MAP_NONE. */
static enum ph_status push_tree(struct ph_map_maker *maker, uint32_t pos, uint32_t other)
{
	struct ph__map_list *todo = &maker->trees.todo;
	enum ph_status status;

	ph__map_set(maker->made, pos);
	ph__map_set(maker->seen, pos);
	status = ph__map_list_push(todo, maker->alloc, pos);
	return status == PH_OK ? ph__map_list_push(todo, maker->alloc, other) : status;
}

/* --- Entries --- */

/* ph_oid_equal without a call. */
static bool same_id(const struct ph_oid *a, const struct ph_oid *b)
{
	uint64_t x[4];
	uint64_t y[4];

	memcpy(x, a->bytes, sizeof x);
	memcpy(y, b->bytes, sizeof y);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

static enum ph_status find(struct ph_map_maker *maker, const struct ph_oid *oid,
                           enum ph_object_type type, uint32_t *pos, uint32_t *budget)
{
	struct ph__map_slot *slot;
	uint32_t hash;
	enum ph_status status;

	memcpy(&hash, oid->bytes, sizeof hash);
	slot = &maker->trees.known[hash & maker->trees.known_mask];
	/* No object has an id of zeros, which is what an empty slot holds. */
	if (!same_id(&slot->oid, oid) || ph_oid_is_zero(oid)) {
		status = ph__map_find(maker, oid, type, pos, budget);
		if (status == PH_OK) {
			slot->oid = *oid;
			slot->pos = *pos;
		}
		return status;
	}
	*pos = slot->pos;
	return ph__map_bit(maker->types[type - PH_OBJ_COMMIT], *pos) ? PH_OK : PH_ERR_CORRUPT;
}

/* As in git, what is neither a file, a symlink nor a directory names another repository's commit.
 */
static enum ph_object_type type_of(uint32_t mode)
{
	switch (mode & 0170000) {
	case 0040000:
		return PH_OBJ_TREE;
	case 0100000:
	case 0120000:
		return PH_OBJ_BLOB;
	default:
		return PH_OBJ_NONE;
	}
}

/* other is the entry it replaced, or NULL. */
static enum ph_status take_entry(struct ph_map_maker *maker, const struct ph_tree_entry *entry,
                                 const struct ph_tree_entry *other, uint32_t *budget)
{
	enum ph_object_type type = type_of(entry->mode);
	uint32_t other_pos = MAP_NONE;
	uint32_t pos;
	enum ph_status status;

	if (type == PH_OBJ_NONE) {
		return PH_OK;
	}
	status = find(maker, &entry->oid, type, &pos, budget);
	if (status != PH_OK || ph__map_bit(maker->made, pos)) {
		return status;
	}
	if (type == PH_OBJ_BLOB) {
		ph__map_set(maker->made, pos);
		ph__map_set(maker->seen, pos);
		return PH_OK;
	}
	if (other != NULL && type_of(other->mode) == PH_OBJ_TREE) {
		status = find(maker, &other->oid, PH_OBJ_TREE, &other_pos, budget);
	}
	return status == PH_OK ? push_tree(maker, pos, other_pos) : status;
}

/* --- Comparing --- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many bytes are the same. */
static size_t common(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t at = 0;

	while (len - at >= 64 && memcmp(a + at, b + at, 64) == 0) {
		at += 64;
	}
	while (at < len && a[at] == b[at]) {
		at++;
	}
	return at;
}

/* Passes over whole entries that are the same in both, as far as one step goes. */
static void skip_common(struct ph__map_trees *trees, size_t hash_len)
{
	struct ph_tree_iter *a = &trees->at;
	struct ph_tree_iter *b = &trees->other_at;
	size_t most = least((size_t)(a->end - a->at), (size_t)(b->end - b->at));
	size_t same = common(a->at, b->at, least(most, COMPARE_STEP));
	size_t at = 0;

	if (same == (size_t)(a->end - a->at) && same == (size_t)(b->end - b->at)) {
		at = same; /* to the end */
	}
	while (at < same) {
		const uint8_t *nul = memchr(a->at + at, 0, same - at);
		size_t next = nul != NULL ? (size_t)(nul - a->at) + 1 + hash_len : SIZE_MAX;

		if (next > same) {
			break;
		}
		at = next;
	}
	a->at += at;
	b->at += at;
}

/* The order of names in a tree, where that of a directory is as if a slash followed. */
static int compare_names(const struct ph_tree_entry *a, const struct ph_tree_entry *b)
{
	size_t len = least(a->name_len, b->name_len);
	int order = memcmp(a->name, b->name, len);
	int end_a = ph_mode_is_tree(a->mode) ? '/' : 0;
	int end_b = ph_mode_is_tree(b->mode) ? '/' : 0;

	if (order != 0 || a->name_len == b->name_len) {
		return order;
	}
	end_a = a->name_len > len ? (unsigned char)a->name[len] : end_a;
	end_b = b->name_len > len ? (unsigned char)b->name[len] : end_b;
	return end_a - end_b;
}

/*
 * The entry of that name in the other tree, if it has one. Entries before it are passed over, a
 * bounded number of them: one that is not found only costs time.
 */
static bool find_other(struct ph__map_trees *trees, const struct ph_tree_entry *entry,
                       struct ph_tree_entry *other)
{
	for (uint32_t i = 0; i < ENTRIES_STEP; i++) {
		struct ph_tree_iter next = trees->other_at;
		int order;

		if (ph_tree_iter_next(&next, other) != PH_OK) {
			return false;
		}
		order = compare_names(entry, other);
		if (order < 0) {
			return false;
		}
		trees->other_at = next;
		if (order == 0) {
			return true;
		}
	}
	return false;
}

static enum ph_status step_entries(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_trees *trees = &maker->trees;
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < ENTRIES_STEP && status == PH_OK; i++) {
		struct ph_tree_entry entry;
		struct ph_tree_entry other;
		bool replaced;

		if (trees->comparing) {
			skip_common(trees, ph_hash_bytes(maker->source->algo));
		}
		status = ph_tree_iter_next(&trees->at, &entry);
		if (status == PH_END) {
			close_tree(maker);
			return PH_OK;
		}
		if (status != PH_OK) {
			return PH_ERR_CORRUPT;
		}
		replaced = trees->comparing && find_other(trees, &entry, &other);
		status = take_entry(maker, &entry, replaced ? &other : NULL, budget);
	}
	return status;
}

/* --- Trees --- */

static enum ph_status open_tree(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph__map_trees *trees = &maker->trees;
	enum ph_hash_algo algo = maker->source->algo;
	const uint32_t *top = trees->todo.items + trees->todo.count - 2;
	uint32_t pos = top[0];
	uint32_t other = top[1];
	enum ph_status status;

	trees->todo.count -= 2;
	status = ph__map_read(maker, pos, PH_OBJ_TREE, &trees->object, budget);
	if (status != PH_OK) {
		return status;
	}
	trees->open = true;
	ph_tree_iter_init(&trees->at, algo, trees->object.data, (size_t)trees->object.size);
	if (other == MAP_NONE) {
		return PH_OK;
	}
	status = ph__map_read(maker, other, PH_OBJ_TREE, &trees->other, budget);
	if (status != PH_OK) {
		return status;
	}
	trees->comparing = true;
	ph_tree_iter_init(&trees->other_at, algo, trees->other.data, (size_t)trees->other.size);
	return PH_OK;
}

/* The tree of a commit, from the table that was written. */
static enum ph_status tree_of(struct ph_map_maker *maker, uint32_t commit, uint32_t *pos)
{
	uint64_t blocks = ((uint64_t)maker->entries + MAP_BLOCK_BITS - 1) / MAP_BLOCK_BITS;
	uint64_t at = blocks * MAP_BLOCK_BYTES + (uint64_t)commit * MAP_COMMIT_BYTES;
	uint8_t raw[4];
	enum ph_status status = ph__map_get(&maker->pages, at, raw, sizeof raw);

	if (status == PH_OK) {
		*pos = index_get32(raw);
		status = *pos < maker->entries ? PH_OK : PH_ERR_CORRUPT;
	}
	return status;
}

/* Its first parent's tree has been dealt with, as parents come first. */
static enum ph_status take_commit(struct ph_map_maker *maker, uint32_t commit, uint32_t *budget)
{
	const struct ph__map_graph *graph = &maker->graph;
	uint32_t other = MAP_NONE;
	uint32_t pos;
	bool known;
	enum ph_status status = tree_of(maker, commit, &pos);

	ph_budget_spend(budget, 1);
	if (status != PH_OK || ph__map_bit(maker->made, pos)) {
		return status;
	}
	if (ph__map_parents(graph, commit) > 0) {
		status = tree_of(maker, ph__map_parent_of(graph, commit, 0), &other);
	}
	if (status != PH_OK) {
		return status;
	}
	known = other != MAP_NONE && ph__map_bit(maker->made, other);
	return push_tree(maker, pos, known ? other : MAP_NONE);
}

enum ph_status ph__map_step_trees(struct ph_map_maker *maker, uint32_t *budget)
{
	if (maker->trees.open) {
		ph_budget_spend(budget, 1);
		return step_entries(maker, budget);
	}
	if (maker->trees.todo.count > 0) {
		return open_tree(maker, budget);
	}
	if (maker->region_at < maker->region.count) {
		return take_commit(maker, maker->region.items[maker->region_at++], budget);
	}
	maker->word = 0;
	maker->phase = maker->trees.after;
	return PH_OK;
}

/* Trees that no bitmap holds: of commits newer than those, and such as only tags name. */
enum ph_status ph__map_step_rest(struct ph_map_maker *maker, uint32_t *budget)
{
	const uint64_t *trees = maker->types[PH_OBJ_TREE - PH_OBJ_COMMIT];

	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < ENTRIES_STEP; i++, maker->at++) {
		if (maker->at == maker->entries) {
			maker->at = 0;
			maker->phase = MAP_TAGS;
			return PH_OK;
		}
		if (ph__map_bit(trees, maker->at) && !ph__map_bit(maker->seen, maker->at)) {
			ph__map_set(maker->seen, maker->at);
			maker->trees.after = MAP_REST;
			maker->phase = MAP_TREES;
			return push_tree(maker, maker->at++, MAP_NONE);
		}
	}
	return PH_OK;
}

static enum ph_status take_tag(struct ph_map_maker *maker, uint32_t pos, uint32_t *budget)
{
	struct ph_object object;
	struct ph_tag tag;
	uint32_t target;
	enum ph_status status = ph__map_read(maker, pos, PH_OBJ_TAG, &object, budget);

	if (status != PH_OK) {
		return status;
	}
	status = ph_tag_parse(&tag, maker->source->algo, object.data, (size_t)object.size);
	ph_object_release(maker->reader, &object);
	if (status != PH_OK) {
		return PH_ERR_CORRUPT;
	}
	return ph__map_find(maker, &tag.object, tag.type, &target, budget);
}

enum ph_status ph__map_step_tags(struct ph_map_maker *maker, uint32_t *budget)
{
	const uint64_t *tags = maker->types[PH_OBJ_TAG - PH_OBJ_COMMIT];

	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < ENTRIES_STEP; i++, maker->at++) {
		if (maker->at == maker->entries) {
			maker->at = 0;
			maker->phase = MAP_ROWS;
			return PH_OK;
		}
		if (ph__map_bit(tags, maker->at)) {
			return take_tag(maker, maker->at++, budget);
		}
	}
	return PH_OK;
}
