/* SPDX-License-Identifier: MIT */
/*
 * The map of free blocks on the device: a base (the bitmap, full and empty groups in one byte) and
 * a log of what each commit took and gave up, together in one area. The newest entries are in the
 * superblock; when they do not fit there any more they become a block of the log, and when that is
 * full the whole moves to a new area. So the cost of a commit does not depend on the size of the
 * store, and opening reads one area.
 *
 * And space on its way back: what a commit gave up waits until no snapshot shows it and, on a
 * device that cannot flush, until so many epochs have passed that the older ones are safe.
 */
#include "disk_pin_int.h"

#include <assert.h>
#include <string.h>

#define LOG_MAGIC 0x50484c47u
#define LOG_HEADER 32u
#define LOG_ENTRIES ((PH__BLOCK - LOG_HEADER) / PH__MAP_ENTRY_BYTES)

/* ---- lists of what was given up ---- */

enum ph_status ph__freed_new(struct ph__freed **out, struct ph__disk *disk, uint64_t epoch,
                             const struct ph__extents *extents)
{
	*out = NULL;
	if (extents->count == 0)
		return PH_OK;
	size_t bytes = extents->count * sizeof(*extents->list);
	struct ph__freed *freed = ph_mem_alloc(disk->alloc, sizeof(*freed) + bytes);
	if (!freed)
		return PH_ERR_NOMEM;
	freed->next = NULL;
	freed->epoch = epoch;
	freed->count = extents->count;
	memcpy(freed->extents, extents->list, bytes);
	*out = freed;
	return PH_OK;
}

void ph__freed_append(struct ph__freed_list *list, struct ph__freed *freed)
{
	if (!freed)
		return;
	freed->next = NULL;
	if (list->last)
		list->last->next = freed;
	else
		list->first = freed;
	list->last = freed;
}

void ph__freed_discard(struct ph__disk *disk, struct ph__freed_list *list)
{
	while (list->first) {
		struct ph__freed *next = list->first->next;
		ph_mem_free(disk->alloc, list->first);
		list->first = next;
	}
	list->last = NULL;
}

void ph__space_return(struct ph__disk *disk, struct ph__freed_list *list)
{
	struct ph__freed_list all = *list;
	list->first = list->last = NULL;
	while (all.first) {
		struct ph__freed *freed = all.first;
		all.first = freed->next;
		if (freed->epoch + ph__disk_delay(disk) > atomic_load(&disk->durable)) {
			ph__freed_append(&disk->pending, freed);
			continue;
		}
		uint32_t kept = 0;
		for (uint32_t i = 0; i < freed->count; i++) {
			if (ph__disk_pinned(disk, freed->extents[i].birth, freed->epoch))
				freed->extents[kept++] = freed->extents[i];
			else
				ph__map_free(&disk->map, freed->extents[i]);
		}
		freed->count = kept;
		if (kept > 0)
			ph__freed_append(&disk->held, freed);
		else
			ph_mem_free(disk->alloc, freed);
	}
}

void ph__space_inherit(struct ph__disk *disk, uint64_t shown, struct ph__freed_list *to,
                       struct ph__freed_list *from)
{
	while (from->first) {
		struct ph__freed *freed = from->first;
		uint32_t kept = 0;
		bool settled = freed->epoch + ph__disk_delay(disk) <= atomic_load(&disk->durable);
		from->first = freed->next;
		for (uint32_t i = 0; i < freed->count; i++) {
			/* What may not be used again yet stays, for want of a list of its own. */
			uint64_t birth = freed->extents[i].birth;
			if (settled && birth > shown && !ph__disk_pinned(disk, birth, freed->epoch))
				ph__map_free(&disk->map, freed->extents[i]);
			else
				freed->extents[kept++] = freed->extents[i];
		}
		freed->count = kept;
		if (kept > 0)
			ph__freed_append(to, freed);
		else
			ph_mem_free(disk->alloc, freed);
	}
	from->last = NULL;
}

void ph__space_settle(struct ph__disk *disk)
{
	struct ph__freed_list all = disk->pending;
	disk->pending.first = disk->pending.last = NULL;
	ph__space_return(disk, &all);
}

/* ---- loading ---- */

enum ph_status ph__space_read(struct ph__disk *disk, const struct ph__map_root *map, uint32_t first,
                              uint32_t count, uint8_t *to)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < map->extent_count && count > 0 && status == PH_OK; i++) {
		uint32_t blocks = map->extents[i].count;
		if (first >= blocks) {
			first -= blocks;
			continue;
		}
		uint32_t step = blocks - first < count ? blocks - first : count;
		status = ph__io_read(&disk->io, map->extents[i].start + first, step, to);
		to += (size_t)step * PH__BLOCK;
		count -= step;
		first = 0;
	}
	return status;
}

static enum ph_status load_group(struct ph__map *map, uint64_t group, uint64_t blocks,
                                 const uint8_t *bits)
{
	enum ph_status status = PH_OK;
	for (uint64_t i = 0; i < PH__GROUP / 64 && status == PH_OK; i++) {
		uint64_t word = bits ? 0 : UINT64_MAX;
		for (unsigned k = 0; bits && k < 8; k++)
			word |= (uint64_t)bits[8 * i + k] << (8 * k);
		uint64_t at = group * PH__GROUP + 64 * i;
		if (!bits && at + 64 > blocks)
			return PH_ERR_CORRUPT;
		status = ph__map_load_word(map, at / 64, word);
	}
	return status;
}

static enum ph_status parse_base(struct ph__map *map, const uint8_t *data, uint32_t bytes,
                                 uint64_t super_blocks)
{
	uint32_t at = 8;
	uint64_t blocks = bytes < 8 ? 0 : ph__get64(data);
	if (blocks == 0 || blocks > super_blocks)
		return PH_ERR_CORRUPT;
	for (uint64_t group = 0; group * PH__GROUP < blocks; group++) {
		if (at >= bytes || data[at] > 2)
			return PH_ERR_CORRUPT;
		uint8_t kind = data[at++];
		if (kind == 2 && bytes - at < PH__GROUP / 8)
			return PH_ERR_CORRUPT;
		enum ph_status status =
		        kind ? load_group(map, group, blocks, kind == 2 ? data + at : NULL) : PH_OK;
		if (status != PH_OK)
			return status;
		at += kind == 2 ? PH__GROUP / 8 : 0;
	}
	return at == bytes ? PH_OK : PH_ERR_CORRUPT;
}

static enum ph_status load_base(struct ph__disk *disk, const struct ph__super *super)
{
	const struct ph__map_root *map = &super->map;
	uint32_t blocks = (map->base_bytes + PH__BLOCK - 1) / PH__BLOCK;
	if (blocks == 0)
		return PH_ERR_CORRUPT;
	uint8_t *data = ph_mem_alloc(disk->alloc, (size_t)blocks * PH__BLOCK);
	if (!data)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__space_read(disk, map, 0, blocks, data);
	if (status == PH_OK && ph_crc32(0, data, (size_t)blocks * PH__BLOCK) != map->base_crc)
		status = PH_ERR_CORRUPT;
	if (status == PH_OK)
		status = parse_base(&disk->map, data, map->base_bytes, super->blocks);
	ph_mem_free(disk->alloc, data);
	return status;
}

/* Applies one change; what a late epoch freed is added to recent. */
static enum ph_status load_entry(struct ph__disk *disk, const struct ph__map_entry *entry,
                                 bool late, struct ph__extents *recent)
{
	struct ph__extent extent = {entry->start, entry->count, 0};
	ph__map_used(&disk->map, extent, !entry->free);
	if (!entry->free) {
		ph__map_take(&disk->map, extent);
		return PH_OK;
	}
	ph__map_free(&disk->map, extent);
	return late ? ph__extents_add(disk->alloc, recent, extent) : PH_OK;
}

static enum ph_status parse_log_block(struct ph__disk *disk, const struct ph__super *super,
                                      const uint8_t *block, uint32_t number,
                                      struct ph__extents *recent)
{
	uint32_t entries = ph__get32(block + 4);
	uint64_t epoch = ph__get64(block + 8);
	if (ph__get32(block) != LOG_MAGIC || entries > LOG_ENTRIES || epoch > super->epoch ||
	    ph__get64(block + 16) != number)
		return PH_ERR_CORRUPT;
	bool late = epoch + ph__disk_delay(disk) > super->epoch;
	enum ph_status status = PH_OK;
	for (size_t i = 0; i < entries && status == PH_OK; i++) {
		const uint8_t *from = block + LOG_HEADER + i * PH__MAP_ENTRY_BYTES;
		struct ph__map_entry entry;
		status = ph__map_entry_get(&entry, from, super->blocks)
		                 ? load_entry(disk, &entry, late, recent)
		                 : PH_ERR_CORRUPT;
	}
	return status;
}

/* On a device without flush: what went lately is kept from being used for a while. */
static enum ph_status hold_recent(struct ph__disk *disk, const struct ph__extents *recent)
{
	struct ph__extents held = {NULL, 0, 0};
	struct ph__freed *freed = NULL;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < recent->count && status == PH_OK; i++) {
		for (uint32_t k = 0; k < recent->list[i].count && status == PH_OK; k++) {
			struct ph__extent block = {recent->list[i].start + k, 1, 0};
			/* Taken again since, or seen already. */
			if (ph__map_is_busy(&disk->map, block.start))
				continue;
			status = ph__extents_add(disk->alloc, &held, block);
			if (status == PH_OK)
				ph__map_take(&disk->map, block);
		}
	}
	if (status == PH_OK)
		status = ph__freed_new(&freed, disk, disk->last_epoch, &held);
	ph__freed_append(&disk->pending, freed);
	ph__extents_release(disk->alloc, &held);
	return status;
}

static enum ph_status load_log(struct ph__disk *disk, const struct ph__super *super,
                               struct ph__extents *recent)
{
	const struct ph__map_root *map = &super->map;
	if (map->log_used == 0)
		return map->log_crc == 0 ? PH_OK : PH_ERR_CORRUPT;
	size_t bytes = (size_t)map->log_used * PH__BLOCK;
	uint8_t *data = ph_mem_alloc(disk->alloc, bytes);
	if (!data)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__space_read(disk, map, map->base_blocks, map->log_used, data);
	if (status == PH_OK && ph_crc32(0, data, bytes) != map->log_crc)
		status = PH_ERR_CORRUPT;
	for (uint32_t i = 0; i < map->log_used && status == PH_OK; i++)
		status = parse_log_block(disk, super, data + (size_t)i * PH__BLOCK, i, recent);
	ph_mem_free(disk->alloc, data);
	return status;
}

enum ph_status ph__space_load(struct ph__disk *disk, const struct ph__super *super)
{
	const struct ph__map_root *map = &super->map;
	struct ph__extents recent = {NULL, 0, 0};
	enum ph_status status = ph__map_cover(&disk->map, atomic_load(&disk->io.blocks));
	if (status == PH_OK)
		status = load_base(disk, super);
	if (status == PH_OK)
		status = load_log(disk, super, &recent);
	/* Nothing says how late the entries of the superblock are. */
	bool late = ph__disk_delay(disk) > 0;
	for (uint32_t i = 0; i < map->tail_count && status == PH_OK; i++)
		status = load_entry(disk, &map->tail[i], late, &recent);
	if (status == PH_OK)
		status = hold_recent(disk, &recent);
	ph__extents_release(disk->alloc, &recent);
	return status;
}

/* ---- committing ---- */

static enum ph_status add_all(struct ph__batch *batch, struct ph__extents *to,
                              const struct ph__extents *from)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < from->count && status == PH_OK; i++) {
		/* The device need not know how old it is. */
		struct ph__extent extent = {from->list[i].start, from->list[i].count, 0};
		status = ph__extents_add(batch->disk->alloc, to, extent);
	}
	return status;
}

/* All that the batch takes and gives up, except what the map does for itself. */
static enum ph_status gather(struct ph__batch *batch)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < batch->node_count && status == PH_OK; i++) {
		struct ph__extent block = {batch->nodes[i].block, 1, 0};
		if (batch->nodes[i].data)
			status = ph__extents_add(alloc, &batch->allocs, block);
	}
	for (uint32_t i = 0; i < batch->blob_count && status == PH_OK; i++)
		for (uint32_t k = 0; k < batch->blobs[i].count && status == PH_OK; k++)
			status = ph__extents_add(alloc, &batch->allocs, batch->blobs[i].extents[k]);
	for (struct ph__work *work = batch->works; work && status == PH_OK; work = work->next)
		status = add_all(batch, &batch->frees, &work->frees);
	return status == PH_OK ? add_all(batch, &batch->frees, &batch->catalogue_frees) : status;
}

static uint32_t log_blocks_for(uint64_t entries)
{
	return (uint32_t)((entries + LOG_ENTRIES - 1) / LOG_ENTRIES);
}

/* Fills blocks of the log with entries; *at is how many there are already. */
static void put_entry(struct ph__batch *batch, uint8_t *log, uint32_t first, uint32_t *at,
                      const struct ph__map_entry *entry)
{
	uint32_t number = *at / LOG_ENTRIES, slot = *at % LOG_ENTRIES;
	uint8_t *block = log + (size_t)number * PH__BLOCK;
	ph__put32(block, LOG_MAGIC);
	ph__put32(block + 4, slot + 1);
	ph__put64(block + 8, batch->epoch);
	ph__put64(block + 16, first + number);
	ph__map_entry_put(block + LOG_HEADER + (size_t)slot * PH__MAP_ENTRY_BYTES, entry);
	(*at)++;
}

static void put_entries(struct ph__batch *batch, uint8_t *log, uint32_t first, uint32_t *at,
                        bool frees, const struct ph__extents *extents)
{
	for (uint32_t i = 0; i < extents->count; i++) {
		const struct ph__map_entry entry = {extents->list[i].start, extents->list[i].count,
		                                    frees};
		put_entry(batch, log, first, at, &entry);
	}
}

/* Adds the batch's entries to those in the superblock. */
static void extend_tail(struct ph__map_root *map, bool frees, const struct ph__extents *extents)
{
	for (uint32_t i = 0; i < extents->count; i++)
		map->tail[map->tail_count++] = (struct ph__map_entry){
		        extents->list[i].start, extents->list[i].count, frees};
}

static enum ph_status extend_log(struct ph__batch *batch, uint32_t blocks)
{
	struct ph__map_root *map = &batch->super.map;
	uint32_t at = 0;
	batch->map_data = ph_mem_zalloc(batch->disk->alloc, blocks ? blocks : 1, PH__BLOCK);
	if (!batch->map_data)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < map->tail_count; i++)
		put_entry(batch, batch->map_data, map->log_used, &at, &map->tail[i]);
	map->tail_count = 0;
	put_entries(batch, batch->map_data, map->log_used, &at, false, &batch->allocs);
	put_entries(batch, batch->map_data, map->log_used, &at, true, &batch->frees);
	batch->map_first = map->base_blocks + map->log_used;
	batch->map_blocks = blocks;
	map->log_crc = ph_crc32(map->log_crc, batch->map_data, (size_t)blocks * PH__BLOCK);
	map->log_used += blocks;
	return PH_OK;
}

/* Changes the durable view to what the batch makes of it, or back. */
static void mark(struct ph__batch *batch, bool done)
{
	struct ph__map *map = &batch->disk->map;
	const struct ph__extents *first = done ? &batch->allocs : &batch->frees;
	const struct ph__extents *second = done ? &batch->frees : &batch->allocs;
	for (uint32_t i = 0; i < first->count; i++)
		ph__map_used(map, first->list[i], true);
	for (uint32_t i = 0; i < second->count; i++)
		ph__map_used(map, second->list[i], false);
}

/*
 * Adds to an area what it lacks for the map of the device as it is, with log_more blocks of the log
 * in use.
 */
static enum ph_status extend_area(struct ph__disk *disk, struct ph__extents *area,
                                  uint32_t log_more, uint64_t *blocks, uint32_t *base)
{
	uint32_t log, have = 0, need;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < area->count; i++)
		have += area->list[i].count;
	/* Allocating may grow the device, and with it the map. */
	while (status == PH_OK) {
		*blocks = ph__map_blocks(&disk->map);
		need = ph__map_area_blocks(*blocks, base, &log);
		need += log_more > log / 2 ? log_more : 0;
		if (have >= need)
			break;
		status = ph__map_alloc_list(&disk->map, PH__CLASS_ROOT, need - have,
		                            PH__MAP_EXTENTS - area->count, area);
		have = need;
	}
	return status;
}

static void drop_area(struct ph__disk *disk, struct ph__extents *area)
{
	ph__map_free_list(&disk->map, area, 0);
	ph__extents_release(disk->alloc, area);
}

void ph__space_ahead(struct ph__disk *disk)
{
	struct ph__extents area = {NULL, 0, 0};
	uint64_t blocks = ph__map_blocks(&disk->map), have = 0;
	uint32_t base, log;
	if (disk->map.ahead >= ph__map_area_blocks(blocks, &base, &log) || ph__disk_read_only(disk))
		return;
	if (extend_area(disk, &area, 0, &blocks, &base) != PH_OK) {
		drop_area(disk, &area);
		return;
	}
	drop_area(disk, &disk->ahead);
	disk->ahead = area;
	for (uint32_t i = 0; i < area.count; i++)
		have += area.list[i].count;
	ph__map_set_ahead(&disk->map, have);
}

static enum ph_status new_area(struct ph__batch *batch, uint32_t log_more, uint64_t *blocks)
{
	struct ph__disk *disk = batch->disk;
	struct ph__map_root *map = &batch->super.map;
	struct ph__extents area = disk->ahead;
	uint32_t base;
	disk->ahead = (struct ph__extents){NULL, 0, 0};
	enum ph_status status = extend_area(disk, &area, log_more, blocks, &base);
	/* Only now, so that nobody takes what it was short of. */
	ph__map_set_ahead(&disk->map, 0);
	if (status == PH_ERR_FULL) {
		/* Where the device grew since, another one may be had in fewer pieces. */
		drop_area(disk, &area);
		status = extend_area(disk, &area, log_more, blocks, &base);
	}
	if (status != PH_OK) {
		drop_area(disk, &area);
		return status;
	}
	memset(map, 0, sizeof(*map));
	memcpy(map->extents, area.list, area.count * sizeof(*area.list));
	map->extent_count = area.count;
	map->base_blocks = base;
	for (uint32_t i = 0; i < area.count; i++)
		map->log_blocks += area.list[i].count;
	map->log_blocks -= base;
	batch->map_moved = true;
	ph__extents_release(disk->alloc, &area);
	return PH_OK;
}

static enum ph_status write_base(struct ph__batch *batch, uint64_t blocks,
                                 const struct ph__extents *held)
{
	struct ph__map_root *map = &batch->super.map;
	uint32_t log = log_blocks_for(held->count), at = 0;
	size_t base_room = (size_t)map->base_blocks * PH__BLOCK;
	batch->map_data = ph_mem_zalloc(batch->disk->alloc, map->base_blocks + log, PH__BLOCK);
	if (!batch->map_data)
		return PH_ERR_NOMEM;
	mark(batch, true);
	map->base_bytes = ph__map_serialise(&batch->disk->map, blocks, batch->map_data);
	mark(batch, false);
	assert(map->base_bytes <= base_room);
	size_t base = ((size_t)map->base_bytes + PH__BLOCK - 1) / PH__BLOCK * PH__BLOCK;
	map->base_crc = ph_crc32(0, batch->map_data, base);
	put_entries(batch, batch->map_data + base_room, 0, &at, true, held);
	map->log_crc = ph_crc32(0, batch->map_data + base_room, (size_t)log * PH__BLOCK);
	map->log_used = log;
	batch->map_first = 0;
	batch->map_blocks = log ? map->base_blocks + log : (uint32_t)(base / PH__BLOCK);
	return PH_OK;
}

/* The area that the map moves to is held for that alone. */
static void mark_ahead(struct ph__disk *disk, bool used)
{
	for (uint32_t i = 0; i < disk->ahead.count; i++)
		ph__map_used(&disk->map, disk->ahead.list[i], used);
}

/* What a device without flush must not use again yet, also after opening again. */
static enum ph_status held_back(struct ph__batch *batch, struct ph__extents *held)
{
	if (ph__disk_delay(batch->disk) == 0)
		return PH_OK;
	mark(batch, true);
	mark_ahead(batch->disk, true);
	enum ph_status status = ph__map_held(&batch->disk->map, held);
	mark_ahead(batch->disk, false);
	mark(batch, false);
	return status;
}

/* Moves the map to a new area. */
static enum ph_status move_map(struct ph__batch *batch)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	const struct ph__map_root *old = &batch->disk->super.map;
	struct ph__extents held = {NULL, 0, 0};
	uint64_t blocks = 0;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < old->extent_count && status == PH_OK; i++) {
		/* No view and no pin shows it: as if it were as young as can be. */
		struct ph__extent extent = {old->extents[i].start, old->extents[i].count,
		                            UINT64_MAX};
		status = ph__extents_add(alloc, &batch->map_frees, extent);
	}
	if (status == PH_OK)
		status = add_all(batch, &batch->frees, &batch->map_frees);
	if (status == PH_OK)
		status = held_back(batch, &held);
	if (status == PH_OK)
		status = new_area(batch, log_blocks_for(held.count), &blocks);
	for (uint32_t i = 0; status == PH_OK && i < batch->super.map.extent_count; i++)
		status = ph__extents_add(alloc, &batch->allocs, batch->super.map.extents[i]);
	if (status == PH_OK)
		status = write_base(batch, blocks, &held);
	ph__extents_release(alloc, &held);
	return status;
}

enum ph_status ph__space_prepare(struct ph__batch *batch)
{
	struct ph__map_root *map = &batch->super.map;
	enum ph_status status = gather(batch);
	if (status != PH_OK)
		return status;
	uint64_t entries = (uint64_t)batch->allocs.count + batch->frees.count + map->tail_count;
	uint32_t blocks = log_blocks_for(entries);
	if (map->extent_count > 0 && entries <= PH__TAIL_ENTRIES) {
		extend_tail(map, false, &batch->allocs);
		extend_tail(map, true, &batch->frees);
	} else if (map->extent_count > 0 && blocks <= map->log_blocks - map->log_used) {
		status = extend_log(batch, blocks);
	} else {
		status = move_map(batch);
	}
	batch->super.blocks = ph__map_blocks(&batch->disk->map);
	return status;
}

void ph__space_commit(struct ph__batch *batch)
{
	mark(batch, true);
}
