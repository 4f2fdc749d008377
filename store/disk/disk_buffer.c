/* SPDX-License-Identifier: MIT */
/*
 * The buffer of a tree: edits that are not in its nodes yet. It has the form of a leaf, whose cells
 * stand before those of the nodes; a value that is removed has a kind of its own. A commit then
 * writes one block for a repository, and none for the catalogue, whose buffer is in the superblock.
 * An edit that does not fit any more takes all of the buffer along into the nodes.
 *
 * What a key had before is given up when the edit goes into the buffer. So when the buffer goes
 * into the nodes, what it meets there under the same key was given up already: such edits are
 * settled.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* A tree lower than this has no buffer in a block: its leaf costs no more. */
#define BUFFERED_HEIGHT 2u

bool ph__cell_removes(const struct ph__cell *cell)
{
	return cell->value_len == 1 && cell->value[0] == PH__VALUE_REMOVED;
}

bool ph__tree_buffered(const struct ph__tree *tree)
{
	return tree->held ? ph__node_count(tree->held) > 0 : tree->buffer.block != 0;
}

void ph__buffer_clear(uint8_t *node)
{
	ph__node_make(node, 0, 0, 0, 0, NULL, 0);
}

enum ph_status ph__buffer_load(struct ph__disk *disk, const struct ph__batch *batch,
                               const struct ph__tree *tree, uint8_t *node)
{
	if (!tree->held)
		return ph__tree_node(disk, batch, tree, &tree->buffer, 0, node);
	memcpy(node, tree->held, PH__BLOCK);
	return PH_OK;
}

/* ---- edits on top of a buffer ---- */

struct merge {
	struct ph__batch *batch;
	const struct ph__tree *tree;
	uint8_t node[PH__BLOCK]; /* the buffer; its cells are borrowed by edits */
	struct ph__edit *edits;
	struct ph__cell *cells;
	uint32_t count, cell_count;
	size_t bytes; /* of all edits as cells */
	struct ph__gone gone;
};

static const uint8_t removed[1] = {PH__VALUE_REMOVED};

static struct ph__cell cell_of(const struct ph__edit *edit)
{
	return (struct ph__cell){.key = edit->key,
	                         .key_len = edit->key_len,
	                         .value = edit->value ? edit->value : removed,
	                         .value_len = edit->value ? edit->value_len : 1};
}

static void add(struct merge *merge, const struct ph__edit *edit, bool settled)
{
	struct ph__edit *to = &merge->edits[merge->count++];
	struct ph__cell cell = cell_of(edit);
	*to = *edit;
	to->settled = settled;
	merge->bytes += ph__cell_size(0, &cell);
}

/* The blocks of a value that goes, if it is a blob. */
static enum ph_status give_up(struct merge *merge, const uint8_t *value, uint32_t len)
{
	struct ph__disk *disk = merge->batch->disk;
	struct ph__blob blob;
	enum ph_status status = ph__blob_decode(&blob, value, len);
	if (status != PH_OK)
		return status == PH_END ? PH_OK : status;
	for (uint32_t i = 0; i < blob.count && status == PH_OK; i++)
		status = ph__extent_valid(disk, blob.extents[i])
		                 ? ph__extents_add(disk->alloc, &merge->gone.blobs, blob.extents[i])
		                 : PH_ERR_CORRUPT;
	return status;
}

/* One sorted list of what is in the buffer and of new edits, which win. */
static enum ph_status join(struct merge *merge, const struct ph__edit *edits, uint32_t count)
{
	uint32_t cells = ph__node_count(merge->node), slot = 0, edit = 0;
	enum ph_status status = PH_OK;
	while (status == PH_OK && (slot < cells || edit < count)) {
		struct ph__cell cell;
		int cmp = -1;
		if (slot < cells)
			ph__node_cell(merge->node, slot, &cell);
		if (slot < cells && edit < count)
			cmp = ph__key_cmp(cell.key, cell.key_len, edits[edit].key,
			                  edits[edit].key_len);
		else if (slot == cells)
			cmp = 1;
		if (cmp < 0) {
			bool removes = ph__cell_removes(&cell);
			struct ph__edit old = {cell.key, removes ? NULL : cell.value, cell.key_len,
			                       removes ? 0 : cell.value_len, true};
			add(merge, &old, true);
		} else {
			add(merge, &edits[edit++], cmp == 0);
		}
		if (cmp == 0 && !ph__cell_removes(&cell))
			status = give_up(merge, cell.value, cell.value_len);
		slot += cmp <= 0;
	}
	return status;
}

/* ---- keeping them in the buffer ---- */

/* Settles an edit: gives up what the nodes have. What they do not have need not be removed. */
static enum ph_status settle(struct merge *merge, const struct ph__edit *edit)
{
	uint8_t value[PH__VALUE_MAX];
	uint32_t len;
	enum ph_status status = PH_OK;
	if (!edit->settled) {
		status = ph__nodes_get(merge->batch->disk, merge->batch, merge->tree, edit->key,
		                       edit->key_len, value, &len);
		if (status == PH_ERR_NOT_FOUND && !edit->value)
			return PH_OK;
		if (status == PH_OK)
			status = give_up(merge, value, len);
	}
	if (status == PH_OK || status == PH_ERR_NOT_FOUND) {
		merge->cells[merge->cell_count++] = cell_of(edit);
		status = PH_OK;
	}
	return status;
}

/* A new block for the buffer. */
static enum ph_status make_block(struct merge *merge, struct ph__ptr *out)
{
	struct ph__batch *batch = merge->batch;
	struct ph__extent block;
	uint8_t *data = ph_mem_alloc(batch->disk->alloc, PH__BLOCK);
	if (!data)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__map_alloc(&batch->disk->map, batch->class, 1, &block);
	if (status != PH_OK) {
		ph_mem_free(batch->disk->alloc, data);
		return status;
	}
	ph__node_make(data, block.start, batch->epoch, merge->tree->owner, 0, merge->cells,
	              merge->cell_count);
	*out = (struct ph__ptr){block.start, batch->epoch, ph_crc32(0, data, PH__BLOCK)};
	status = ph__batch_add(batch, block.start, data);
	if (status != PH_OK) {
		ph_mem_free(batch->disk->alloc, data);
		ph__map_free(&batch->disk->map, block);
	}
	return status;
}

static enum ph_status keep(struct merge *merge, struct ph__tree *tree, struct ph__extents *frees)
{
	const struct ph_alloc *alloc = merge->batch->disk->alloc;
	const struct ph__extents *blobs = &merge->gone.blobs;
	struct ph__ptr block = {0, 0, 0};
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < merge->count && status == PH_OK; i++)
		status = settle(merge, &merge->edits[i]);
	if (status == PH_OK)
		status = ph__extents_reserve(alloc, frees, blobs->count + 1);
	if (status == PH_OK && !tree->held && merge->cell_count > 0)
		status = make_block(merge, &block);
	if (status != PH_OK)
		return status;
	for (uint32_t i = 0; i < blobs->count; i++)
		frees->list[frees->count++] = blobs->list[i];
	if (merge->gone.buffer.block && !ph__batch_drop(merge->batch, merge->gone.buffer.block))
		frees->list[frees->count++] =
		        (struct ph__extent){merge->gone.buffer.block, 1, merge->gone.buffer.epoch};
	tree->buffer = block;
	if (tree->held)
		ph__node_make(tree->held, 0, 0, 0, 0, merge->cells, merge->cell_count);
	return PH_OK;
}

/* ---- into the nodes ---- */

static enum ph_status empty(struct merge *merge, struct ph__tree *tree, struct ph__extents *frees)
{
	struct ph__tree out = *tree;
	out.buffer = (struct ph__ptr){0, 0, 0};
	enum ph_status status = ph__nodes_apply(merge->batch, &out, merge->edits, merge->count,
	                                        &merge->gone, frees);
	if (status != PH_OK)
		return status;
	*tree = out;
	if (tree->held)
		ph__buffer_clear(tree->held);
	return PH_OK;
}

static bool fits(const struct merge *merge)
{
	const struct ph__tree *tree = merge->tree;
	if (tree->held)
		return tree->height > 0 && merge->bytes <= PH__HELD_ROOM;
	return tree->height >= BUFFERED_HEIGHT && merge->bytes <= PH__NODE_ROOM;
}

enum ph_status ph__tree_apply(struct ph__batch *batch, struct ph__tree *tree,
                              const struct ph__edit *edits, uint32_t count,
                              struct ph__extents *frees)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	if (count == 0)
		return PH_OK;
	struct merge *merge = ph_mem_zalloc(alloc, 1, sizeof(*merge));
	if (!merge)
		return PH_ERR_NOMEM;
	merge->batch = batch;
	merge->tree = tree;
	merge->gone.buffer = tree->buffer;
	enum ph_status status = PH_OK;
	if (ph__tree_buffered(tree))
		status = ph__buffer_load(batch->disk, batch, tree, merge->node);
	uint32_t cells = ph__node_count(merge->node);
	if (status == PH_OK) {
		merge->edits = ph_mem_zalloc(alloc, (size_t)cells + count, sizeof(*merge->edits));
		merge->cells = ph_mem_zalloc(alloc, (size_t)cells + count, sizeof(*merge->cells));
		if (!merge->edits || !merge->cells)
			status = PH_ERR_NOMEM;
	}
	if (status == PH_OK)
		status = join(merge, edits, count);
	if (status == PH_OK)
		status = fits(merge) ? keep(merge, tree, frees) : empty(merge, tree, frees);
	ph_mem_free(alloc, merge->edits);
	ph_mem_free(alloc, merge->cells);
	ph__extents_release(alloc, &merge->gone.blobs);
	ph_mem_free(alloc, merge);
	return status;
}
