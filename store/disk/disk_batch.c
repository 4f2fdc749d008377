/* SPDX-License-Identifier: MIT */
/*
 * What one commit is going to write: nodes of trees, found again by their block so that the next
 * transaction of the batch sees them; blobs; blocks of the map. Until the batch is written nothing
 * of it is on the device, and undoing it gives the blocks back.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* Blocks joined in one write. */
#define WRITE_BLOCKS 256u

void ph__batch_init(struct ph__batch *batch, struct ph__disk *disk)
{
	memset(batch, 0, sizeof(*batch));
	batch->disk = disk;
	/* For what no transaction asks for; theirs is set with each. */
	batch->class = PH__CLASS_ROOT;
	batch->super = disk->super;
	/* Given back when nothing is written: the cache knows only nodes that were read. */
	batch->epoch = ++disk->last_epoch;
	batch->super.epoch = batch->epoch;
}

/* ---- nodes ---- */

static uint32_t slot_of(const struct ph__batch *batch, uint64_t block)
{
	uint64_t hash = block * 0x9e3779b97f4a7c15u;
	return (uint32_t)(hash >> 40) & (batch->index_room - 1);
}

/* The place of a block in the index: its number + 1, or 0 where it would go. */
static uint32_t *find_slot(const struct ph__batch *batch, uint64_t block)
{
	uint32_t at = slot_of(batch, block);
	while (batch->index[at] && batch->nodes[batch->index[at] - 1].block != block)
		at = (at + 1) & (batch->index_room - 1);
	return &batch->index[at];
}

static enum ph_status grow_index(struct ph__batch *batch)
{
	if (batch->node_count + 1 <= batch->index_room / 2)
		return PH_OK;
	const struct ph_alloc *alloc = batch->disk->alloc;
	uint32_t room = batch->index_room ? batch->index_room * 2 : 64;
	uint32_t *index = ph_mem_zalloc(alloc, room, sizeof(*index));
	if (!index)
		return PH_ERR_NOMEM;
	ph_mem_free(alloc, batch->index);
	batch->index = index;
	batch->index_room = room;
	/* A block may come twice, dropped and made again: the later number stays. */
	for (uint32_t i = 0; i < batch->node_count; i++)
		*find_slot(batch, batch->nodes[i].block) = i + 1;
	return PH_OK;
}

enum ph_status ph__batch_add(struct ph__batch *batch, uint64_t block, uint8_t *data)
{
	enum ph_status status = grow_index(batch);
	if (status != PH_OK)
		return status;
	if (batch->node_count == batch->node_room) {
		uint32_t room = batch->node_room ? batch->node_room * 2 : 32;
		void *nodes = ph_mem_resize(batch->disk->alloc, batch->nodes, room,
		                            sizeof(*batch->nodes));
		if (!nodes)
			return PH_ERR_NOMEM;
		batch->nodes = nodes;
		batch->node_room = room;
	}
	batch->nodes[batch->node_count] = (struct ph__batch_node){block, data};
	*find_slot(batch, block) = ++batch->node_count;
	return PH_OK;
}

static struct ph__batch_node *find(const struct ph__batch *batch, uint64_t block)
{
	uint32_t number = batch->index_room ? *find_slot(batch, block) : 0;
	return number && batch->nodes[number - 1].data ? &batch->nodes[number - 1] : NULL;
}

const uint8_t *ph__batch_find(const struct ph__batch *batch, uint64_t block)
{
	const struct ph__batch_node *node = find(batch, block);
	return node ? node->data : NULL;
}

static void drop(struct ph__batch *batch, struct ph__batch_node *node)
{
	ph_mem_free(batch->disk->alloc, node->data);
	node->data = NULL;
	ph__map_free(&batch->disk->map, (struct ph__extent){node->block, 1, 0});
}

bool ph__batch_drop(struct ph__batch *batch, uint64_t block)
{
	struct ph__batch_node *node = find(batch, block);
	if (node)
		drop(batch, node);
	return node != NULL;
}

void ph__batch_undo_nodes(struct ph__batch *batch, uint32_t count)
{
	/* They stay in the index, as dropped ones. */
	for (uint32_t i = count; i < batch->node_count; i++)
		if (batch->nodes[i].data)
			drop(batch, &batch->nodes[i]);
}

/* ---- blobs ---- */

void ph__batch_undo_blobs(struct ph__batch *batch, uint32_t count)
{
	while (batch->blob_count > count) {
		struct ph__batch_blob *blob = &batch->blobs[--batch->blob_count];
		for (uint32_t i = 0; i < blob->count; i++)
			ph__map_free(&batch->disk->map, blob->extents[i]);
		ph_mem_free(batch->disk->alloc, blob->data);
	}
}

static enum ph_status blob_room(struct ph__batch *batch)
{
	if (batch->blob_count < batch->blob_room)
		return PH_OK;
	uint32_t room = batch->blob_room ? batch->blob_room * 2 : 8;
	void *blobs = ph_mem_resize(batch->disk->alloc, batch->blobs, room, sizeof(*batch->blobs));
	if (!blobs)
		return PH_ERR_NOMEM;
	batch->blobs = blobs;
	batch->blob_room = room;
	return PH_OK;
}

static enum ph_status add_blob(struct ph__batch *batch, const void *data, uint32_t len,
                               struct ph__blob *out)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	uint32_t blocks = (len + PH__BLOCK - 1) / PH__BLOCK;
	enum ph_status status = len > PH__BLOB_MAX ? PH_ERR_LIMIT : blob_room(batch);
	if (status != PH_OK)
		return status;
	struct ph__batch_blob *blob = &batch->blobs[batch->blob_count];
	struct ph__extents extents = {NULL, 0, 0};
	blob->data = ph_mem_zalloc(alloc, blocks, PH__BLOCK);
	status = blob->data ? ph__map_alloc_list(&batch->disk->map, batch->class, blocks,
	                                         PH__BLOB_EXTENTS, &extents)
	                    : PH_ERR_NOMEM;
	if (status == PH_OK) {
		memcpy(blob->data, data, len);
		blob->count = extents.count;
		memcpy(blob->extents, extents.list, extents.count * sizeof(*extents.list));
		out->epoch = batch->epoch;
		out->len = len;
		out->crc = ph_crc32(0, data, len);
		out->count = blob->count;
		memcpy(out->extents, blob->extents, sizeof(out->extents));
		batch->blob_count++;
	} else {
		ph_mem_free(alloc, blob->data);
	}
	ph__extents_release(alloc, &extents);
	return status;
}

enum ph_status ph__batch_value(struct ph__batch *batch, const void *data, uint32_t len,
                               uint8_t *value, uint32_t *value_len)
{
	if (len < PH__VALUE_MAX) {
		value[0] = PH__VALUE_INLINE;
		if (len)
			memcpy(value + 1, data, len);
		*value_len = len + 1;
		return PH_OK;
	}
	struct ph__blob blob;
	memset(&blob, 0, sizeof(blob));
	enum ph_status status = add_blob(batch, data, len, &blob);
	if (status == PH_OK)
		*value_len = ph__blob_encode(&blob, value);
	return status;
}

/* ---- writing ---- */

/* Sorts nodes by block, so that neighbours go in one write: heapsort, in place and never slow. */
static void sift(struct ph__batch_node *nodes, uint32_t at, uint32_t count)
{
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= count)
			return;
		if (child + 1 < count && nodes[child + 1].block > nodes[child].block)
			child++;
		if (nodes[at].block >= nodes[child].block)
			return;
		struct ph__batch_node swap = nodes[at];
		nodes[at] = nodes[child];
		nodes[child] = swap;
		at = child;
	}
}

static void sort_nodes(struct ph__batch *batch)
{
	struct ph__batch_node *nodes = batch->nodes;
	uint32_t count = batch->node_count;
	/* The index names places, and nobody looks any more. */
	ph_mem_free(batch->disk->alloc, batch->index);
	batch->index = NULL;
	batch->index_room = 0;
	for (uint32_t i = count / 2; i > 0; i--)
		sift(nodes, i - 1, count);
	for (uint32_t end = count; end > 1; end--) {
		struct ph__batch_node swap = nodes[0];
		nodes[0] = nodes[end - 1];
		nodes[end - 1] = swap;
		sift(nodes, 0, end - 1);
	}
}

static enum ph_status write_nodes(struct ph__batch *batch, uint8_t *buf, uint32_t buf_blocks)
{
	uint64_t start = 0;
	uint32_t filled = 0;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < batch->node_count && status == PH_OK; i++) {
		const struct ph__batch_node *node = &batch->nodes[i];
		if (!node->data)
			continue;
		if (filled > 0 && (filled == buf_blocks || start + filled != node->block)) {
			status = ph__io_write(&batch->disk->io, start, filled, buf);
			filled = 0;
		}
		if (filled == 0)
			start = node->block;
		memcpy(buf + (size_t)filled * PH__BLOCK, node->data, PH__BLOCK);
		filled++;
	}
	if (status == PH_OK && filled > 0)
		status = ph__io_write(&batch->disk->io, start, filled, buf);
	return status;
}

static enum ph_status write_extents(struct ph__disk *disk, const struct ph__extent *extents,
                                    uint32_t count, const uint8_t *data)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		status = ph__io_write(&disk->io, extents[i].start, extents[i].count, data);
		data += (size_t)extents[i].count * PH__BLOCK;
	}
	return status;
}

/* Blocks [first, first + blocks) of the map's area. */
static enum ph_status write_map(struct ph__batch *batch)
{
	const struct ph__map_root *map = &batch->super.map;
	uint32_t first = batch->map_first, left = batch->map_blocks;
	const uint8_t *data = batch->map_data;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < map->extent_count && left > 0 && status == PH_OK; i++) {
		uint32_t count = map->extents[i].count;
		if (first >= count) {
			first -= count;
			continue;
		}
		uint32_t step = count - first < left ? count - first : left;
		status = ph__io_write(&batch->disk->io, map->extents[i].start + first, step, data);
		data += (size_t)step * PH__BLOCK;
		left -= step;
		first = 0;
	}
	return status;
}

enum ph_status ph__batch_write(struct ph__batch *batch)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	uint32_t blocks = batch->node_count < WRITE_BLOCKS ? batch->node_count : WRITE_BLOCKS;
	enum ph_status status = PH_OK;
	if (blocks > 0) {
		uint8_t *buf = ph_mem_alloc(alloc, (size_t)blocks * PH__BLOCK);
		if (!buf)
			return PH_ERR_NOMEM;
		sort_nodes(batch);
		status = write_nodes(batch, buf, blocks);
		ph_mem_free(alloc, buf);
	}
	for (uint32_t i = 0; i < batch->blob_count && status == PH_OK; i++)
		status = write_extents(batch->disk, batch->blobs[i].extents, batch->blobs[i].count,
		                       batch->blobs[i].data);
	return status == PH_OK ? write_map(batch) : status;
}

/* ---- the end ---- */

static void release_work(struct ph__batch *batch, struct ph__work *work)
{
	struct ph__disk *disk = batch->disk;
	for (uint32_t i = 0; i < work->pack_count; i++)
		ph__pack_release(disk, work->packs[i]);
	ph_mem_free(disk->alloc, work->packs);
	ph__shallow_release(disk, work->shallow);
	ph__extents_release(disk->alloc, &work->frees);
	ph_mem_free(disk->alloc, work->freed);
	if (work->to)
		ph__state_free(disk, work->to);
	if (work->created)
		ph_mem_free(disk->alloc, work->repo);
	ph_mem_free(disk->alloc, work);
}

void ph__batch_release(struct ph__batch *batch, bool undo)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	if (undo) {
		ph__batch_undo_nodes(batch, 0);
		ph__batch_undo_blobs(batch, 0);
		for (uint32_t i = 0; batch->map_moved && i < batch->super.map.extent_count; i++)
			ph__map_free(&batch->disk->map, batch->super.map.extents[i]);
	}
	for (uint32_t i = 0; i < batch->node_count; i++)
		ph_mem_free(alloc, batch->nodes[i].data);
	for (uint32_t i = 0; i < batch->blob_count; i++)
		ph_mem_free(alloc, batch->blobs[i].data);
	while (batch->works) {
		struct ph__work *next = batch->works->next;
		release_work(batch, batch->works);
		batch->works = next;
	}
	for (uint32_t i = 0; i < batch->setting_count; i++)
		ph_mem_free(alloc, (void *)(uintptr_t)batch->settings[i].key);
	ph_mem_free(alloc, batch->settings);
	ph_mem_free(alloc, batch->nodes);
	ph_mem_free(alloc, batch->index);
	ph_mem_free(alloc, batch->blobs);
	ph_mem_free(alloc, batch->catalogue);
	ph_mem_free(alloc, batch->catalogue_freed);
	ph_mem_free(alloc, batch->map_freed);
	ph_mem_free(alloc, batch->map_data);
	ph__extents_release(alloc, &batch->allocs);
	ph__extents_release(alloc, &batch->frees);
	ph__extents_release(alloc, &batch->map_frees);
	ph__extents_release(alloc, &batch->catalogue_frees);
}
