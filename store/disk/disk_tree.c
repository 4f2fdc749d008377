/* SPDX-License-Identifier: MIT */
/*
 * Reading trees: one key, cells in order, or everything; what is in a tree's buffer stands before
 * what is in its nodes. Every step down checks the checksum that
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

/* Looks into a leaf. */
static enum ph_status leaf_get(const uint8_t *node, const void *key, uint32_t key_len,
                               uint8_t *value, uint32_t *value_len)
{
	bool equal;
	struct ph__cell cell;
	uint32_t slot = ph__node_search(node, key, key_len, &equal);
	if (!equal)
		return PH_ERR_NOT_FOUND;
	ph__node_cell(node, slot, &cell);
	memcpy(value, cell.value, cell.value_len);
	*value_len = cell.value_len;
	return ph__cell_removes(&cell) ? PH_END : PH_OK;
}

static enum ph_status nodes_get(struct ph__disk *disk, const struct ph__batch *batch,
                                const struct ph__tree *tree, const void *key, uint32_t key_len,
                                uint8_t *node)
{
	struct ph__ptr ptr = tree->root;
	struct ph__cell cell;
	if (tree->height == 0)
		return PH_ERR_NOT_FOUND;
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
	return PH_OK;
}

enum ph_status ph__nodes_get(struct ph__disk *disk, const struct ph__batch *batch,
                             const struct ph__tree *tree, const void *key, uint32_t key_len,
                             uint8_t *value, uint32_t *value_len)
{
	uint8_t node[PH__BLOCK];
	enum ph_status status = nodes_get(disk, batch, tree, key, key_len, node);
	if (status == PH_OK)
		status = leaf_get(node, key, key_len, value, value_len);
	return status == PH_END ? PH_ERR_CORRUPT : status;
}

enum ph_status ph__tree_get(struct ph__disk *disk, const struct ph__batch *batch,
                            const struct ph__tree *tree, const void *key, uint32_t key_len,
                            uint8_t *value, uint32_t *value_len)
{
	uint8_t node[PH__BLOCK];
	if (ph__tree_buffered(tree)) {
		enum ph_status status = ph__buffer_load(disk, batch, tree, node);
		if (status == PH_OK)
			status = leaf_get(node, key, key_len, value, value_len);
		if (status != PH_ERR_NOT_FOUND)
			return status == PH_END ? PH_ERR_NOT_FOUND : status;
	}
	return ph__nodes_get(disk, batch, tree, key, key_len, value, value_len);
}

/* ---- cursor ---- */

enum ph_status ph__cursor_init(struct ph__cursor *cursor, struct ph__disk *disk,
                               const struct ph__batch *batch, const struct ph__tree *tree)
{
	cursor->disk = disk;
	cursor->batch = batch;
	cursor->tree = *tree;
	cursor->levels = NULL;
	cursor->buffer = NULL;
	cursor->waits = false;
	if (tree->height > PH__TREE_HEIGHT)
		return PH_ERR_CORRUPT;
	if (ph__tree_buffered(tree)) {
		cursor->buffer = ph_mem_zalloc(disk->alloc, 1, sizeof(*cursor->buffer));
		if (!cursor->buffer)
			return PH_ERR_NOMEM;
	}
	if (tree->height > 0) {
		cursor->levels = ph_mem_zalloc(disk->alloc, tree->height, sizeof(*cursor->levels));
		if (!cursor->levels) {
			ph__cursor_release(cursor);
			return PH_ERR_NOMEM;
		}
	}
	return PH_OK;
}

void ph__cursor_release(struct ph__cursor *cursor)
{
	ph_mem_free(cursor->disk->alloc, cursor->levels);
	ph_mem_free(cursor->disk->alloc, cursor->buffer);
	cursor->levels = NULL;
	cursor->buffer = NULL;
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

static enum ph_status nodes_seek(struct ph__cursor *cursor, const void *key, uint32_t key_len)
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

static enum ph_status buffer_seek(struct ph__cursor *cursor, const void *key, uint32_t key_len)
{
	struct ph__tree_level *buffer = cursor->buffer;
	bool equal;
	if (buffer->count == 0) {
		enum ph_status status =
		        ph__buffer_load(cursor->disk, cursor->batch, &cursor->tree, buffer->node);
		if (status != PH_OK)
			return status;
		buffer->count = ph__node_count(buffer->node);
	}
	buffer->slot = ph__node_search(buffer->node, key, key_len, &equal);
	return PH_OK;
}

enum ph_status ph__cursor_seek(struct ph__cursor *cursor, const void *key, uint32_t key_len)
{
	cursor->waits = false;
	enum ph_status status = cursor->buffer ? buffer_seek(cursor, key, key_len) : PH_OK;
	return status == PH_OK ? nodes_seek(cursor, key, key_len) : status;
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

static enum ph_status nodes_next(struct ph__cursor *cursor, struct ph__cell *out)
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

/* The next cell of the buffer when it is its turn; it takes the place of one of the nodes. */
static bool buffer_next(struct ph__cursor *cursor, struct ph__cell *out)
{
	struct ph__tree_level *buffer = cursor->buffer;
	if (!buffer || buffer->slot >= buffer->count)
		return false;
	ph__node_cell(buffer->node, buffer->slot, out);
	int cmp = cursor->waits ? ph__key_cmp(out->key, out->key_len, cursor->cell.key,
	                                      cursor->cell.key_len)
	                        : -1;
	if (cmp > 0)
		return false;
	if (cmp == 0)
		cursor->waits = false;
	buffer->slot++;
	return true;
}

enum ph_status ph__cursor_next(struct ph__cursor *cursor, struct ph__cell *out)
{
	for (;;) {
		if (!cursor->waits) {
			enum ph_status status = nodes_next(cursor, &cursor->cell);
			if (status != PH_OK && status != PH_END)
				return status;
			cursor->waits = status == PH_OK;
		}
		if (!buffer_next(cursor, out))
			break;
		if (!ph__cell_removes(out))
			return PH_OK;
	}
	if (!cursor->waits)
		return PH_END;
	*out = cursor->cell;
	cursor->waits = false;
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

static enum ph_status walk_cell(const struct ph__walk *walk, const struct ph__cell *cell)
{
	if (!walk->cell || ph__cell_removes(cell))
		return PH_OK;
	return walk->cell(walk->user, cell);
}

/* Cells of the buffer up to a key, all for NULL; *same says whether the last one has that key. */
static enum ph_status walk_buffer(const struct ph__walk *walk, struct ph__tree_level *buffer,
                                  const struct ph__cell *before, bool *same)
{
	enum ph_status status = PH_OK;
	*same = false;
	while (status == PH_OK && !*same && buffer->slot < buffer->count) {
		struct ph__cell cell;
		ph__node_cell(buffer->node, buffer->slot, &cell);
		int cmp = before ? ph__key_cmp(cell.key, cell.key_len, before->key, before->key_len)
		                 : -1;
		if (cmp > 0)
			break;
		*same = cmp == 0;
		buffer->slot++;
		status = walk_cell(walk, &cell);
	}
	return status;
}

static enum ph_status walk_leaf_cell(const struct ph__walk *walk, struct ph__tree_level *buffer,
                                     const struct ph__cell *cell)
{
	bool same;
	enum ph_status status = walk_buffer(walk, buffer, cell, &same);
	return status == PH_OK && !same ? walk_cell(walk, cell) : status;
}

static enum ph_status walk_levels(const struct ph__walk *walk, const struct ph__tree *tree,
                                  struct ph__tree_level *levels, struct ph__tree_level *buffer)
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
			status = walk_leaf_cell(walk, buffer, &cell);
		} else {
			level--;
			status = walk_load(walk, tree, &cell.ptr, level, &levels[level]);
		}
	}
	return status;
}

static enum ph_status load_buffer(const struct ph__walk *walk, const struct ph__tree *tree,
                                  struct ph__tree_level *buffer)
{
	buffer->slot = buffer->count = 0;
	if (!ph__tree_buffered(tree))
		return PH_OK;
	if (!tree->held)
		return walk_load(walk, tree, &tree->buffer, 0, buffer);
	memcpy(buffer->node, tree->held, PH__BLOCK);
	buffer->count = ph__node_count(buffer->node);
	return PH_OK;
}

enum ph_status ph__tree_walk(const struct ph__walk *walk, const struct ph__tree *tree)
{
	if (tree->height > PH__TREE_HEIGHT)
		return walk->bad(walk->user, &tree->root, PH_ERR_CORRUPT);
	struct ph__tree_level *levels =
	        ph_mem_alloc(walk->disk->alloc, (tree->height + 1u) * sizeof(*levels));
	if (!levels)
		return PH_ERR_NOMEM;
	/* The buffer is younger than all of the nodes. */
	struct ph__tree_level *buffer = &levels[tree->height];
	bool same;
	enum ph_status status = load_buffer(walk, tree, buffer);
	if (status == PH_OK && tree->height > 0)
		status = walk_levels(walk, tree, levels, buffer);
	if (status == PH_OK)
		status = walk_buffer(walk, buffer, NULL, &same);
	ph_mem_free(walk->disk->alloc, levels);
	return status;
}
