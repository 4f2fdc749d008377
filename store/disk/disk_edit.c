/* SPDX-License-Identifier: MIT */
/*
 * Changing a tree: copy on write, a whole sorted list of edits in one pass, level by level. On the
 * way down every node that an edit touches is read once and the edits are dealt out to children. On
 * the way up the touched siblings that stand side by side are merged with their edits, or with what
 * became of their children, and cut into new nodes of even size. So a node is written once however
 * many edits it takes, and bulk changes cost what they touch.
 *
 * Old nodes stay in memory until the end, since the new ones borrow their keys.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* A node below this is joined with a neighbour when it is written anyway. */
#define NODE_LOW (PH__NODE_ROOM / 4)

/* An old node on the way of some edit. */
struct touched {
	struct ph__ptr ptr;
	uint8_t *data;
	const uint8_t *low; /* least key of its subtree, as its parent says */
	uint32_t low_len;
	uint32_t parent; /* number in the level above */
	uint32_t slot;   /* there */
	uint32_t edit_from, edit_to;
};

/* New children for the slots [from, to) of a parent. */
struct patch {
	uint32_t parent;
	uint32_t from, to;
	uint32_t first, count; /* of the children */
};

struct level {
	struct touched *touched;
	uint32_t touched_count, touched_room;
	/* What became of this level's nodes, in key order, for the level above. */
	struct ph__cell *made;
	uint32_t made_count, made_room;
	struct patch *patches;
	uint32_t patch_count, patch_room;
};

struct work {
	struct ph__batch *batch;
	const struct ph_alloc *alloc;
	const struct ph__tree *tree;
	const struct ph__edit *edits;
	struct level levels[PH__TREE_HEIGHT + 1];
	struct ph__cell *cells; /* of the run of siblings being made anew */
	uint32_t cell_count, cell_room;
	struct ph__extents blobs; /* of values that went */
	struct ph__extents nodes; /* old ones that went */
};

/* Makes room for one more in an array. */
static enum ph_status grow(const struct ph_alloc *alloc, void *array, uint32_t count,
                           uint32_t *room, size_t size)
{
	if (count < *room)
		return PH_OK;
	void *old;
	memcpy(&old, array, sizeof(old));
	uint32_t more = *room ? *room * 2 : 16;
	void *list = more > *room ? ph_mem_resize(alloc, old, more, size) : NULL;
	if (!list)
		return PH_ERR_NOMEM;
	memcpy(array, &list, sizeof(list));
	*room = more;
	return PH_OK;
}

static enum ph_status add_cell(struct work *work, const struct ph__cell *cell)
{
	enum ph_status status = grow(work->alloc, &work->cells, work->cell_count, &work->cell_room,
	                             sizeof(*work->cells));
	if (status == PH_OK)
		work->cells[work->cell_count++] = *cell;
	return status;
}

/* ---- down ---- */

static enum ph_status touch(struct work *work, uint8_t level, const struct touched *touched)
{
	struct level *at = &work->levels[level];
	enum ph_status status = grow(work->alloc, &at->touched, at->touched_count,
	                             &at->touched_room, sizeof(*at->touched));
	if (status != PH_OK)
		return status;
	struct touched *to = &at->touched[at->touched_count];
	*to = *touched;
	to->data = ph_mem_alloc(work->alloc, PH__BLOCK);
	if (!to->data)
		return PH_ERR_NOMEM;
	at->touched_count++;
	status = ph__tree_node(work->batch->disk, work->batch, work->tree, &to->ptr, level,
	                       to->data);
	if (status != PH_OK)
		return status;
	struct ph__extent block = {to->ptr.block, 1, to->ptr.epoch};
	return ph__extents_add(work->alloc, &work->nodes, block);
}

static void child_low(const struct touched *parent, uint32_t slot, struct touched *child)
{
	struct ph__cell cell;
	ph__node_cell(parent->data, slot, &cell);
	child->ptr = cell.ptr;
	child->slot = slot;
	child->low = slot ? cell.key : parent->low;
	child->low_len = slot ? cell.key_len : parent->low_len;
}

/* Deals the edits of a node out to its children. */
static enum ph_status descend(struct work *work, uint8_t level, uint32_t number)
{
	struct touched parent = work->levels[level].touched[number];
	uint32_t edit = parent.edit_from;
	while (edit < parent.edit_to) {
		const struct ph__edit *first = &work->edits[edit];
		uint32_t slot = ph__node_child(parent.data, first->key, first->key_len);
		struct touched child = {.parent = number, .edit_from = edit};
		struct ph__cell next;
		child_low(&parent, slot, &child);
		bool last = slot + 1 == ph__node_count(parent.data);
		if (!last)
			ph__node_cell(parent.data, slot + 1, &next);
		do
			edit++;
		while (edit < parent.edit_to &&
		       (last || ph__key_cmp(work->edits[edit].key, work->edits[edit].key_len,
		                            next.key, next.key_len) < 0));
		child.edit_to = edit;
		enum ph_status status = touch(work, (uint8_t)(level - 1), &child);
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}

static enum ph_status go_down(struct work *work, uint32_t count)
{
	uint8_t top = (uint8_t)(work->tree->height - 1);
	struct touched root = {.ptr = work->tree->root, .edit_to = count};
	enum ph_status status = touch(work, top, &root);
	for (uint8_t level = top; level > 0 && status == PH_OK; level--)
		for (uint32_t i = 0; i < work->levels[level].touched_count && status == PH_OK; i++)
			status = descend(work, level, i);
	return status;
}

/* ---- up ---- */

static enum ph_status value_goes(struct work *work, const struct ph__cell *cell)
{
	struct ph__blob blob;
	enum ph_status status = ph__blob_decode(&blob, cell->value, cell->value_len);
	if (status == PH_END)
		return PH_OK;
	for (uint32_t i = 0; i < blob.count && status == PH_OK; i++) {
		if (!ph__extent_valid(work->batch->disk, blob.extents[i]))
			return PH_ERR_CORRUPT;
		status = ph__extents_add(work->alloc, &work->blobs, blob.extents[i]);
	}
	return status;
}

static enum ph_status add_edit(struct work *work, const struct ph__edit *edit)
{
	struct ph__cell cell = {.key = edit->key,
	                        .key_len = edit->key_len,
	                        .value = edit->value,
	                        .value_len = edit->value_len};
	return edit->value ? add_cell(work, &cell) : PH_OK;
}

/* Merges a leaf with its edits. */
static enum ph_status merge_leaf(struct work *work, const struct touched *leaf)
{
	uint32_t count = ph__node_count(leaf->data);
	uint32_t edit = leaf->edit_from, slot = 0;
	enum ph_status status = PH_OK;
	while (status == PH_OK && (slot < count || edit < leaf->edit_to)) {
		const struct ph__edit *next = &work->edits[edit];
		struct ph__cell cell;
		int cmp = 1;
		if (slot < count)
			ph__node_cell(leaf->data, slot, &cell);
		if (slot == count)
			cmp = -1;
		else if (edit < leaf->edit_to)
			cmp = ph__key_cmp(next->key, next->key_len, cell.key, cell.key_len);
		if (cmp > 0) {
			status = add_cell(work, &cell);
			slot++;
			continue;
		}
		if (cmp == 0) {
			status = next->settled ? PH_OK : value_goes(work, &cell);
			slot++;
		}
		if (status == PH_OK)
			status = add_edit(work, next);
		edit++;
	}
	return status;
}

/* The cells of an inner node, with those of its slots that were patched replaced. */
static enum ph_status merge_inner(struct work *work, uint8_t level, uint32_t number,
                                  uint32_t *patch)
{
	const struct touched *node = &work->levels[level].touched[number];
	const struct level *below = &work->levels[level - 1];
	uint32_t count = ph__node_count(node->data), slot = 0;
	enum ph_status status = PH_OK;
	while (slot < count && status == PH_OK) {
		const struct patch *next = &below->patches[*patch];
		if (*patch < below->patch_count && next->parent == number && next->from == slot) {
			for (uint32_t i = 0; i < next->count && status == PH_OK; i++)
				status = add_cell(work, &below->made[next->first + i]);
			slot = next->to;
			(*patch)++;
			continue;
		}
		struct touched child;
		child_low(node, slot, &child);
		struct ph__cell cell = {
		        .key = child.low, .key_len = child.low_len, .ptr = child.ptr};
		status = add_cell(work, &cell);
		slot++;
	}
	return status;
}

/* The shortest key that is above before and not above cell's. */
static uint32_t separator(const struct ph__cell *before, const struct ph__cell *cell)
{
	uint32_t len = 0;
	while (len < before->key_len && len < cell->key_len && before->key[len] == cell->key[len])
		len++;
	return len < cell->key_len ? len + 1 : len;
}

static enum ph_status make_node(struct work *work, uint8_t level, uint32_t from, uint32_t to,
                                const struct touched *low)
{
	struct ph__disk *disk = work->batch->disk;
	struct level *at = &work->levels[level];
	struct ph__cell *first = &work->cells[from];
	struct ph__cell made = {.key = low->low, .key_len = low->low_len};
	if (from > 0) {
		made.key = first->key;
		made.key_len = level > 0 ? first->key_len : separator(first - 1, first);
	}
	struct ph__extent block;
	enum ph_status status =
	        grow(work->alloc, &at->made, at->made_count, &at->made_room, sizeof(*at->made));
	uint8_t *data = status == PH_OK ? ph_mem_alloc(work->alloc, PH__BLOCK) : NULL;
	if (!data)
		return PH_ERR_NOMEM;
	status = ph__map_alloc(&disk->map, work->batch->class, 1, &block);
	if (status != PH_OK) {
		ph_mem_free(work->alloc, data);
		return status;
	}
	ph__node_make(data, block.start, work->batch->epoch, work->tree->owner, level, first,
	              to - from);
	made.ptr = (struct ph__ptr){block.start, work->batch->epoch, ph_crc32(0, data, PH__BLOCK)};
	status = ph__batch_add(work->batch, block.start, data);
	if (status != PH_OK) {
		ph_mem_free(work->alloc, data);
		ph__map_free(&disk->map, block);
		return status;
	}
	at->made[at->made_count++] = made;
	return PH_OK;
}

/* Cuts the gathered cells into nodes of even size. */
static enum ph_status make_nodes(struct work *work, uint8_t level, const struct touched *low)
{
	size_t total = 0;
	for (uint32_t i = 0; i < work->cell_count; i++)
		total += ph__cell_size(level, &work->cells[i]);
	size_t nodes = (total + PH__NODE_ROOM - 1) / PH__NODE_ROOM;
	size_t target = nodes ? (total + nodes - 1) / nodes : 0;
	uint32_t from = 0;
	size_t used = 0;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < work->cell_count && status == PH_OK; i++) {
		size_t size = ph__cell_size(level, &work->cells[i]);
		assert(size <= PH__NODE_ROOM);
		if (used > 0 && (used >= target || used + size > PH__NODE_ROOM)) {
			status = make_node(work, level, from, i, low);
			from = i;
			used = 0;
		}
		used += size;
	}
	if (status == PH_OK && used > 0)
		status = make_node(work, level, from, work->cell_count, low);
	return status;
}

/* Adds the cells of an untouched neighbour, in front or behind. */
static enum ph_status take_neighbour(struct work *work, uint8_t level, uint32_t parent,
                                     uint32_t slot, bool front, struct touched *low)
{
	struct touched sibling = {.parent = parent};
	child_low(&work->levels[level + 1].touched[parent], slot, &sibling);
	enum ph_status status = touch(work, level, &sibling);
	if (status != PH_OK)
		return status;
	/* It is kept with the others for its bytes, but not one of those to go through. */
	struct level *at = &work->levels[level];
	const uint8_t *data = at->touched[at->touched_count - 1].data;
	uint32_t count = ph__node_count(data), before = work->cell_count;
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		struct ph__cell cell;
		ph__node_cell(data, i, &cell);
		if (level > 0 && i == 0) {
			cell.key = sibling.low;
			cell.key_len = sibling.low_len;
		}
		status = add_cell(work, &cell);
	}
	if (status != PH_OK || !front)
		return status;
	*low = sibling;
	/* Rotate: the new ones to the front. One node's worth, so simply one by one. */
	for (uint32_t i = 0; i < count; i++) {
		struct ph__cell cell = work->cells[before + i];
		memmove(&work->cells[i + 1], &work->cells[i], before * sizeof(cell));
		work->cells[i] = cell;
	}
	return PH_OK;
}

static bool is_small(const struct work *work, uint8_t level)
{
	size_t total = 0;
	for (uint32_t i = 0; i < work->cell_count && total < NODE_LOW; i++)
		total += ph__cell_size(level, &work->cells[i]);
	return total > 0 && total < NODE_LOW;
}

/* Makes anew the touched siblings [from, to), which stand side by side. */
static enum ph_status rebuild_run(struct work *work, uint8_t level, uint32_t from, uint32_t to,
                                  uint32_t *patch)
{
	struct level *at = &work->levels[level];
	struct touched low = at->touched[from];
	struct patch made = {.parent = low.parent,
	                     .from = low.slot,
	                     .to = at->touched[to - 1].slot + 1,
	                     .first = at->made_count};
	enum ph_status status = PH_OK;
	work->cell_count = 0;
	for (uint32_t i = from; i < to && status == PH_OK; i++)
		status = level ? merge_inner(work, level, i, patch)
		               : merge_leaf(work, &at->touched[i]);
	if (status == PH_OK && level + 1 < work->tree->height && is_small(work, level)) {
		const struct touched *parent = &work->levels[level + 1].touched[low.parent];
		uint32_t taken =
		        at->patch_count && at->patches[at->patch_count - 1].parent == low.parent
		                ? at->patches[at->patch_count - 1].to
		                : 0;
		/* The slot behind a run is touched by nobody: else it would be in the run. */
		if (made.to < ph__node_count(parent->data))
			status = take_neighbour(work, level, low.parent, made.to++, false, &low);
		else if (made.from > taken)
			status = take_neighbour(work, level, low.parent, --made.from, true, &low);
	}
	if (status == PH_OK)
		status = make_nodes(work, level, &low);
	if (status == PH_OK)
		status = grow(work->alloc, &at->patches, at->patch_count, &at->patch_room,
		              sizeof(*at->patches));
	made.count = at->made_count - made.first;
	if (status == PH_OK)
		at->patches[at->patch_count++] = made;
	return status;
}

static enum ph_status rebuild_level(struct work *work, uint8_t level)
{
	struct level *at = &work->levels[level];
	/* Neighbours taken in are added behind these. */
	uint32_t count = at->touched_count, from = 0, patch = 0;
	enum ph_status status = PH_OK;
	while (from < count && status == PH_OK) {
		uint32_t to = from + 1;
		while (to < count && at->touched[to].parent == at->touched[from].parent &&
		       at->touched[to].slot == at->touched[to - 1].slot + 1)
			to++;
		status = rebuild_run(work, level, from, to, &patch);
		from = to;
	}
	return status;
}

/* ---- the root ---- */

/* Builds levels above until one node is left. */
static enum ph_status raise_root(struct work *work, uint8_t level, struct ph__tree *out)
{
	const struct touched low = {.low = NULL};
	enum ph_status status = PH_OK;
	while (status == PH_OK && work->levels[level].made_count > 1) {
		if (level + 1u >= PH__TREE_HEIGHT)
			return PH_ERR_LIMIT;
		work->cell_count = 0;
		for (uint32_t i = 0; i < work->levels[level].made_count && status == PH_OK; i++)
			status = add_cell(work, &work->levels[level].made[i]);
		level++;
		if (status == PH_OK)
			status = make_nodes(work, level, &low);
	}
	if (status != PH_OK)
		return status;
	bool empty = work->levels[level].made_count == 0;
	out->height = empty ? 0 : (uint8_t)(level + 1);
	out->root = empty ? (struct ph__ptr){0, 0, 0} : work->levels[level].made[0].ptr;
	return PH_OK;
}

/* A root with a single child is left out. */
static enum ph_status lower_root(struct work *work, struct ph__tree *out)
{
	uint8_t node[PH__BLOCK];
	while (out->height > 1) {
		enum ph_status status = ph__tree_node(work->batch->disk, work->batch, out,
		                                      &out->root, (uint8_t)(out->height - 1), node);
		if (status != PH_OK)
			return status;
		if (ph__node_count(node) > 1)
			break;
		struct ph__cell cell;
		struct ph__extent block = {out->root.block, 1, out->root.epoch};
		ph__node_cell(node, 0, &cell);
		status = ph__extents_add(work->alloc, &work->nodes, block);
		if (status != PH_OK)
			return status;
		out->root = cell.ptr;
		out->height--;
	}
	return PH_OK;
}

static enum ph_status start_empty(struct work *work, uint32_t count)
{
	const struct touched low = {.low = NULL};
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = add_edit(work, &work->edits[i]);
	return status == PH_OK ? make_nodes(work, 0, &low) : status;
}

static enum ph_status run(struct work *work, uint32_t count, struct ph__tree *out)
{
	enum ph_status status = PH_OK;
	uint8_t top = 0;
	if (work->tree->height == 0) {
		status = start_empty(work, count);
	} else {
		top = (uint8_t)(work->tree->height - 1);
		status = go_down(work, count);
		for (uint8_t level = 0; level <= top && status == PH_OK; level++)
			status = rebuild_level(work, level);
	}
	if (status == PH_OK)
		status = raise_root(work, top, out);
	return status == PH_OK ? lower_root(work, out) : status;
}

/* Old nodes go: at once when this batch made them, else with their epoch. */
static void give_up(struct work *work, struct ph__extents *frees)
{
	for (uint32_t i = 0; i < work->nodes.count; i++) {
		struct ph__extent extent = work->nodes.list[i];
		for (uint32_t k = 0; k < extent.count; k++) {
			struct ph__extent block = {extent.start + k, 1, extent.birth};
			if (!ph__batch_drop(work->batch, block.start))
				frees->list[frees->count++] = block;
		}
	}
	for (uint32_t i = 0; i < work->blobs.count; i++)
		frees->list[frees->count++] = work->blobs.list[i];
}

static uint32_t blocks_of(const struct ph__extents *extents)
{
	uint32_t blocks = 0;
	for (uint32_t i = 0; i < extents->count; i++)
		blocks += extents->list[i].count;
	return blocks;
}

static void release(struct work *work)
{
	for (uint32_t i = 0; i <= PH__TREE_HEIGHT; i++) {
		struct level *level = &work->levels[i];
		for (uint32_t k = 0; k < level->touched_count; k++)
			ph_mem_free(work->alloc, level->touched[k].data);
		ph_mem_free(work->alloc, level->touched);
		ph_mem_free(work->alloc, level->made);
		ph_mem_free(work->alloc, level->patches);
	}
	ph_mem_free(work->alloc, work->cells);
	ph__extents_release(work->alloc, &work->blobs);
	ph__extents_release(work->alloc, &work->nodes);
}

/* What the caller gives up goes with what the nodes do. */
static enum ph_status add_gone(struct work *work, const struct ph__gone *gone)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < gone->blobs.count && status == PH_OK; i++)
		status = ph__extents_add(work->alloc, &work->blobs, gone->blobs.list[i]);
	struct ph__extent block = {gone->buffer.block, 1, gone->buffer.epoch};
	if (block.start != 0 && status == PH_OK)
		status = ph__extents_add(work->alloc, &work->nodes, block);
	return status;
}

enum ph_status ph__nodes_apply(struct ph__batch *batch, struct ph__tree *tree,
                               const struct ph__edit *edits, uint32_t count,
                               const struct ph__gone *gone, struct ph__extents *frees)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	struct work *work = ph_mem_zalloc(alloc, 1, sizeof(*work));
	if (!work)
		return PH_ERR_NOMEM;
	uint32_t nodes = batch->node_count;
	struct ph__tree out = *tree;
	work->batch = batch;
	work->alloc = alloc;
	work->tree = tree;
	work->edits = edits;
	enum ph_status status = run(work, count, &out);
	if (status == PH_OK)
		status = add_gone(work, gone);
	if (status == PH_OK)
		status = ph__extents_reserve(alloc, frees,
		                             blocks_of(&work->nodes) + work->blobs.count);
	if (status == PH_OK) {
		give_up(work, frees);
		*tree = out;
	} else {
		ph__batch_undo_nodes(batch, nodes);
	}
	release(work);
	ph_mem_free(alloc, work);
	return status;
}
