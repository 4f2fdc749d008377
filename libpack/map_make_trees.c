/* SPDX-License-Identifier: MIT */
/*
 * Contents of trees, for bitmaps: a list of trees to read takes the place of recursion. Entries
 * that were met in another version of the directory are found in a table of ids by hash, so that
 * the index is asked for few.
 */
#include "map_make_int.h"

#include <assert.h>

#define SLOTS_MAX ((size_t)1 << 16)
#define SLOTS_MIN ((size_t)1 << 6)
/* Entries of a tree looked at in one step. */
#define ENTRIES_STEP 256u

size_t ph__map_known_slots(const struct ph_limits *limits, uint64_t objects)
{
	size_t slots = SLOTS_MIN;

	while (slots < SLOTS_MAX && slots < objects &&
	       2 * slots * sizeof(struct ph__map_slot) <= 2 * limits->delta_cache_bytes_max) {
		slots *= 2;
	}
	return slots;
}

/* ph_oid_equal without a call: this is where the time goes. */
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
	slot = &maker->known[hash & maker->known_mask];
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

static enum ph_status take_entry(struct ph_map_maker *maker, const struct ph_tree_entry *entry,
                                 uint32_t *budget)
{
	enum ph_object_type type = type_of(entry->mode);
	uint32_t pos;
	enum ph_status status;

	if (type == PH_OBJ_NONE) {
		return PH_OK;
	}
	status = find(maker, &entry->oid, type, &pos, budget);
	if (status != PH_OK || ph__map_bit(maker->made, pos)) {
		return status;
	}
	ph__map_set(maker->made, pos);
	ph__map_set(maker->seen, pos);
	return type == PH_OBJ_TREE ? ph__map_list_push(&maker->trees, maker->alloc, pos) : PH_OK;
}

static enum ph_status open_tree(struct ph_map_maker *maker, uint32_t *budget)
{
	uint32_t pos = maker->trees.items[--maker->trees.count];
	enum ph_status status = ph__map_read(maker, pos, PH_OBJ_TREE, &maker->tree, budget);

	if (status != PH_OK) {
		return status;
	}
	maker->open = true;
	ph_tree_iter_init(&maker->iter, maker->source->algo, maker->tree.data,
	                  (size_t)maker->tree.size);
	return PH_OK;
}

static enum ph_status read_entries(struct ph_map_maker *maker, uint32_t *budget)
{
	struct ph_tree_entry entry;
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < ENTRIES_STEP && status == PH_OK; i++) {
		status = ph_tree_iter_next(&maker->iter, &entry);
		if (status == PH_END) {
			ph_object_release(maker->reader, &maker->tree);
			maker->open = false;
			return PH_OK;
		}
		status = status == PH_OK ? take_entry(maker, &entry, budget) : PH_ERR_CORRUPT;
	}
	return status;
}

/* The tree of a commit, from the table that was written. */
static enum ph_status take_commit(struct ph_map_maker *maker, uint32_t commit, uint32_t *budget)
{
	uint64_t blocks = ((uint64_t)maker->entries + MAP_BLOCK_BITS - 1) / MAP_BLOCK_BITS;
	uint8_t raw[4];
	uint32_t pos;
	enum ph_status status = ph__map_get(
	        &maker->pages, blocks * MAP_BLOCK_BYTES + (uint64_t)commit * MAP_COMMIT_BYTES, raw,
	        sizeof raw);

	ph_budget_spend(budget, 1);
	if (status != PH_OK) {
		return status;
	}
	pos = index_get32(raw);
	if (pos >= maker->entries) {
		return PH_ERR_CORRUPT;
	}
	if (ph__map_bit(maker->made, pos)) {
		return PH_OK;
	}
	ph__map_set(maker->made, pos);
	ph__map_set(maker->seen, pos);
	return ph__map_list_push(&maker->trees, maker->alloc, pos);
}

/* The oldest commits first: most of a later one's tree is known then. */
enum ph_status ph__map_step_trees(struct ph_map_maker *maker, uint32_t *budget)
{
	if (maker->open) {
		return read_entries(maker, budget);
	}
	if (maker->trees.count > 0) {
		return open_tree(maker, budget);
	}
	if (maker->region.count > 0) {
		return take_commit(maker, maker->region.items[--maker->region.count], budget);
	}
	maker->word = 0;
	maker->alone = (struct ph__bits_out){0};
	maker->upon = (struct ph__bits_out){0};
	maker->phase = maker->after;
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
			maker->after = MAP_REST;
			maker->phase = MAP_TREES;
			return ph__map_list_push(&maker->trees, maker->alloc, maker->at++);
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
