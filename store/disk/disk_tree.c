/* SPDX-License-Identifier: MIT */
/*
 * Reading trees: one key, cells in order, or everything. Every step down checks the checksum that
 * the pointer carries, and that the node is the one meant and one level lower, so damaged or
 * hostile images end in an error and never in a cycle. Depth is bounded by the root's height.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

enum ph_status ph__tree_node_direct(struct ph__disk *disk, const struct ph__tree *tree,
                                    const struct ph__ptr *ptr, uint8_t level, uint8_t *node)
{
	if (!ph__extent_valid(disk, (struct ph__extent){ptr->block, 1, 0}))
		return PH_ERR_CORRUPT;
	enum ph_status status = ph__io_read(&disk->io, ptr->block, 1, node);
	if (status != PH_OK)
		return status;
	if (ph_crc32(0, node, PH__BLOCK) != ptr->crc)
		return PH_ERR_CORRUPT;
	return ph__node_valid(node, ptr, tree->owner, level) ? PH_OK : PH_ERR_CORRUPT;
}

enum ph_status ph__tree_node(struct ph__disk *disk, const struct ph__batch *batch,
                             const struct ph__tree *tree, const struct ph__ptr *ptr, uint8_t level,
                             uint8_t *node)
{
	const uint8_t *fresh = batch ? ph__batch_find(batch, ptr->block) : NULL;
	if (fresh) {
		memcpy(node, fresh, PH__BLOCK);
		return PH_OK;
	}
	struct ph__disk_cache_key key = {ptr->epoch, ptr->block, ptr->crc};
	if (ph__disk_cache_copy(&disk->cache, &key, 0, node, PH__BLOCK)) {
		return ph__node_is(node, tree->owner, level) ? PH_OK : PH_ERR_CORRUPT;
	}
	struct ph__disk_cache_entry *entry =
	        ph__disk_cache_entry_new(&disk->cache, &key, PH__BLOCK);
	if (!entry)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__tree_node_direct(disk, tree, ptr, level, entry->data);
	if (status != PH_OK) {
		ph__disk_cache_entry_free(&disk->cache, entry);
		return status;
	}
	memcpy(node, entry->data, PH__BLOCK);
	ph__disk_cache_insert(&disk->cache, entry);
	return PH_OK;
}

enum ph_status ph__tree_get(struct ph__disk *disk, const struct ph__batch *batch,
                            const struct ph__tree *tree, const void *key, uint32_t key_len,
                            uint8_t *value, uint32_t *value_len)
{
	uint8_t node[PH__BLOCK];
	struct ph__ptr ptr = tree->root;
	struct ph__cell cell;
	for (uint8_t level = tree->height; level > 0; level--) {
		enum ph_status status =
		        ph__tree_node(disk, batch, tree, &ptr, (uint8_t)(level - 1), node);
		if (status != PH_OK)
			return status;
		if (level == 1)
			break;
		ph__node_cell(node, ph__node_child(node, key, key_len), &cell);
		ptr = cell.ptr;
	}
	bool equal = false;
	uint32_t slot = tree->height ? ph__node_search(node, key, key_len, &equal) : 0;
	if (!equal)
		return PH_ERR_NOT_FOUND;
	ph__node_cell(node, slot, &cell);
	memcpy(value, cell.value, cell.value_len);
	*value_len = cell.value_len;
	return PH_OK;
}

/* ---- cursor ---- */

enum ph_status ph__cursor_init(struct ph__cursor *cursor, struct ph__disk *disk,
                               const struct ph__batch *batch, const struct ph__tree *tree)
{
	cursor->disk = disk;
	cursor->batch = batch;
	cursor->tree = *tree;
	cursor->levels = NULL;
	if (tree->height > PH__TREE_HEIGHT)
		return PH_ERR_CORRUPT;
	if (tree->height > 0) {
		cursor->levels = ph_mem_zalloc(disk->alloc, tree->height, sizeof(*cursor->levels));
		if (!cursor->levels)
			return PH_ERR_NOMEM;
	}
	return PH_OK;
}

void ph__cursor_release(struct ph__cursor *cursor)
{
	ph_mem_free(cursor->disk->alloc, cursor->levels);
	cursor->levels = NULL;
}

/* Reads the node that ptr names into a level. */
static enum ph_status load(struct ph__cursor *cursor, const struct ph__ptr *ptr, uint8_t level)
{
	struct ph__tree_level *to = &cursor->levels[level];
	to->slot = to->count = 0;
	enum ph_status status =
	        ph__tree_node(cursor->disk, cursor->batch, &cursor->tree, ptr, level, to->node);
	if (status == PH_OK)
		to->count = ph__node_count(to->node);
	return status;
}

/* Whether the leaf at hand is where a key belongs: seeks in order then read nothing. */
static bool leaf_covers(const struct ph__cursor *cursor, const void *key, uint32_t key_len)
{
	const struct ph__tree_level *leaf = &cursor->levels[0];
	struct ph__cell first, last;
	if (leaf->count == 0)
		return false;
	ph__node_cell(leaf->node, 0, &first);
	ph__node_cell(leaf->node, leaf->count - 1, &last);
	return ph__key_cmp(first.key, first.key_len, key, key_len) <= 0 &&
	       ph__key_cmp(key, key_len, last.key, last.key_len) <= 0;
}

enum ph_status ph__cursor_seek(struct ph__cursor *cursor, const void *key, uint32_t key_len)
{
	struct ph__ptr ptr = cursor->tree.root;
	if (cursor->tree.height > 0 && leaf_covers(cursor, key, key_len)) {
		bool equal;
		struct ph__tree_level *leaf = &cursor->levels[0];
		leaf->slot = ph__node_search(leaf->node, key, key_len, &equal);
		return PH_OK;
	}
	if (cursor->tree.height > 0)
		cursor->levels[0].count = 0;
	for (uint8_t level = cursor->tree.height; level > 0; level--) {
		struct ph__tree_level *at = &cursor->levels[level - 1];
		enum ph_status status = load(cursor, &ptr, (uint8_t)(level - 1));
		if (status != PH_OK)
			return status;
		if (level == 1) {
			bool equal;
			at->slot = ph__node_search(at->node, key, key_len, &equal);
			break;
		}
		at->slot = ph__node_child(at->node, key, key_len);
		struct ph__cell cell;
		ph__node_cell(at->node, at->slot, &cell);
		ptr = cell.ptr;
	}
	return PH_OK;
}

/* To the next leaf: up to the first level that has more, and down again. */
static enum ph_status next_leaf(struct ph__cursor *cursor)
{
	uint8_t level = 1;
	while (level < cursor->tree.height &&
	       cursor->levels[level].slot + 1 >= cursor->levels[level].count)
		level++;
	if (level >= cursor->tree.height)
		return PH_END;
	cursor->levels[level].slot++;
	cursor->levels[0].count = 0;
	while (level > 0) {
		struct ph__cell cell;
		ph__node_cell(cursor->levels[level].node, cursor->levels[level].slot, &cell);
		enum ph_status status = load(cursor, &cell.ptr, --level);
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}

enum ph_status ph__cursor_next(struct ph__cursor *cursor, struct ph__cell *out)
{
	if (cursor->tree.height == 0)
		return PH_END;
	struct ph__tree_level *leaf = &cursor->levels[0];
	if (leaf->slot >= leaf->count) {
		enum ph_status status = next_leaf(cursor);
		if (status != PH_OK)
			return status;
	}
	ph__node_cell(leaf->node, leaf->slot++, out);
	return PH_OK;
}

/* ---- walk ---- */

static enum ph_status walk_load(const struct ph__walk *walk, const struct ph__tree *tree,
                                const struct ph__ptr *ptr, uint8_t level, struct ph__tree_level *to)
{
	to->slot = to->count = 0;
	enum ph_status status = ph__tree_node(walk->disk, walk->batch, tree, ptr, level, to->node);
	if (status != PH_OK)
		return walk->bad(walk->user, ptr, status);
	to->count = ph__node_count(to->node);
	return walk->node ? walk->node(walk->user, ptr) : PH_OK;
}

static enum ph_status walk_levels(const struct ph__walk *walk, const struct ph__tree *tree,
                                  struct ph__tree_level *levels)
{
	uint8_t top = (uint8_t)(tree->height - 1);
	uint8_t level = top;
	enum ph_status status = walk_load(walk, tree, &tree->root, top, &levels[top]);
	while (status == PH_OK) {
		struct ph__tree_level *at = &levels[level];
		struct ph__cell cell;
		if (at->slot >= at->count) {
			if (level == top)
				break;
			level++;
			continue;
		}
		ph__node_cell(at->node, at->slot++, &cell);
		if (level == 0) {
			status = walk->cell ? walk->cell(walk->user, &cell) : PH_OK;
		} else {
			level--;
			status = walk_load(walk, tree, &cell.ptr, level, &levels[level]);
		}
	}
	return status;
}

enum ph_status ph__tree_walk(const struct ph__walk *walk, const struct ph__tree *tree)
{
	if (tree->height == 0)
		return PH_OK;
	if (tree->height > PH__TREE_HEIGHT)
		return walk->bad(walk->user, &tree->root, PH_ERR_CORRUPT);
	struct ph__tree_level *levels =
	        ph_mem_alloc(walk->disk->alloc, tree->height * sizeof(*levels));
	if (!levels)
		return PH_ERR_NOMEM;
	enum ph_status status = walk_levels(walk, tree, levels);
	ph_mem_free(walk->disk->alloc, levels);
	return status;
}
