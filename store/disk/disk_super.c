/* SPDX-License-Identifier: MIT */
/*
 * The ring of superblocks. Each commit writes the next slot, so a torn write never touches the one
 * before. Everything in a store is reached from the newest superblock that can be believed.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

#define BLOCKS_MIN 256u
#define FLAG_UNFLUSHED 1u

static const uint8_t magic[8] = {'P', 'A', 'C', 'K', 'H', 'O', 'R', 'S'};

enum {
	AT_VERSION = 8,
	AT_BLOCK = 12,
	AT_FEATURES = 16,
	AT_ID = 40,
	AT_EPOCH = 56,
	AT_BLOCKS = 64,
	AT_GENERATION = 72,
	AT_NEXT_REPO = 80,
	AT_REPOS = 88,
	AT_CATALOGUE = 96,
	AT_HEIGHT = 116,
	AT_FLAGS = 117,
	AT_RING = 118,
	AT_MAP = 120,
	AT_EXTENTS = 148,
	AT_CRC = PH__BLOCK - 4
};

static void put_map(uint8_t *block, const struct ph__map_root *map)
{
	const uint32_t numbers[7] = {map->extent_count, map->base_blocks, map->base_bytes,
	                             map->base_crc,     map->log_blocks,  map->log_used,
	                             map->log_crc};
	for (size_t i = 0; i < 7; i++)
		ph__put32(block + AT_MAP + 4 * i, numbers[i]);
	for (size_t i = 0; i < map->extent_count; i++) {
		ph__put64(block + AT_EXTENTS + 12 * i, map->extents[i].start);
		ph__put32(block + AT_EXTENTS + 12 * i + 8, map->extents[i].count);
	}
}

void ph__super_encode(const struct ph__super *super, uint8_t *block)
{
	memset(block, 0, PH__BLOCK);
	memcpy(block, magic, sizeof(magic));
	ph__put32(block + AT_VERSION, PH__FORMAT_VERSION);
	ph__put32(block + AT_BLOCK, PH__BLOCK);
	for (size_t i = 0; i < 3; i++)
		ph__put64(block + AT_FEATURES + 8 * i, super->features[i]);
	memcpy(block + AT_ID, super->id, sizeof(super->id));
	ph__put64(block + AT_EPOCH, super->epoch);
	ph__put64(block + AT_BLOCKS, super->blocks);
	ph__put64(block + AT_GENERATION, super->generation);
	ph__put64(block + AT_NEXT_REPO, super->next_repo);
	ph__put64(block + AT_REPOS, super->repos);
	ph__ptr_put(block + AT_CATALOGUE, &super->catalogue.root);
	block[AT_HEIGHT] = super->catalogue.height;
	block[AT_FLAGS] = super->unflushed ? FLAG_UNFLUSHED : 0;
	ph__put16(block + AT_RING, PH__RING_BLOCKS);
	put_map(block, &super->map);
	ph__put32(block + AT_CRC, ph_crc32(0, block, AT_CRC));
}

static bool get_map(struct ph__map_root *map, const uint8_t *block, uint64_t blocks)
{
	const uint8_t *from = block + AT_MAP;
	map->extent_count = ph__get32(from);
	map->base_blocks = ph__get32(from + 4);
	map->base_bytes = ph__get32(from + 8);
	map->base_crc = ph__get32(from + 12);
	map->log_blocks = ph__get32(from + 16);
	map->log_used = ph__get32(from + 20);
	map->log_crc = ph__get32(from + 24);
	if (map->extent_count > PH__MAP_EXTENTS || map->log_used > map->log_blocks ||
	    map->base_bytes > (uint64_t)map->base_blocks * PH__BLOCK)
		return false;
	uint64_t area = 0;
	for (size_t i = 0; i < map->extent_count; i++) {
		struct ph__extent *extent = &map->extents[i];
		extent->start = ph__get64(block + AT_EXTENTS + 12 * i);
		extent->count = ph__get32(block + AT_EXTENTS + 12 * i + 8);
		area += extent->count;
		if (extent->start < PH__RING_BLOCKS || extent->start >= blocks ||
		    extent->count > blocks - extent->start)
			return false;
	}
	return area == (uint64_t)map->base_blocks + map->log_blocks;
}

/* What the numbers of a whole superblock mean, once its checksum is right. */
static enum ph_status get_fields(struct ph__super *super, const uint8_t *block)
{
	for (size_t i = 0; i < 3; i++)
		super->features[i] = ph__get64(block + AT_FEATURES + 8 * i);
	memcpy(super->id, block + AT_ID, sizeof(super->id));
	super->epoch = ph__get64(block + AT_EPOCH);
	super->blocks = ph__get64(block + AT_BLOCKS);
	super->generation = ph__get64(block + AT_GENERATION);
	super->next_repo = ph__get64(block + AT_NEXT_REPO);
	super->repos = ph__get64(block + AT_REPOS);
	super->catalogue.root = ph__ptr_get(block + AT_CATALOGUE);
	super->catalogue.height = block[AT_HEIGHT];
	super->unflushed = block[AT_FLAGS] & FLAG_UNFLUSHED;
	/* Bits of the second kind do no harm to readers. */
	if (super->features[2] != 0)
		return PH_ERR_UNSUPPORTED;
	if (ph__get16(block + AT_RING) != PH__RING_BLOCKS || super->epoch == 0 ||
	    super->epoch > UINT64_MAX / 2 || super->generation > UINT64_MAX / 2 ||
	    super->next_repo == 0 || super->next_repo > UINT64_MAX / 2 ||
	    super->blocks < BLOCKS_MIN || super->blocks > UINT64_MAX / PH__BLOCK / 2 ||
	    super->catalogue.height > PH__TREE_HEIGHT)
		return PH_ERR_CORRUPT;
	return get_map(&super->map, block, super->blocks) ? PH_OK : PH_ERR_CORRUPT;
}

enum ph_status ph__super_decode(struct ph__super *super, const uint8_t *block)
{
	memset(super, 0, sizeof(*super));
	if (memcmp(block, magic, sizeof(magic)) != 0)
		return PH_END;
	/* The version says where the checksum is, so it comes first. */
	if (ph__get32(block + AT_VERSION) != PH__FORMAT_VERSION)
		return PH_ERR_UNSUPPORTED;
	if (ph__get32(block + AT_CRC) != ph_crc32(0, block, AT_CRC) ||
	    ph__get32(block + AT_BLOCK) != PH__BLOCK)
		return PH_ERR_CORRUPT;
	return get_fields(super, block);
}

static void insert_sorted(struct ph__super *list, uint32_t count, const struct ph__super *super)
{
	uint32_t at = count;
	while (at > 0 && list[at - 1].epoch < super->epoch) {
		list[at] = list[at - 1];
		at--;
	}
	list[at] = *super;
}

enum ph_status ph__super_read(struct ph__disk *disk, struct ph__super *out, uint32_t *count)
{
	uint8_t *ring = ph_mem_alloc(disk->alloc, PH__RING_BLOCKS * PH__BLOCK);
	if (!ring)
		return PH_ERR_NOMEM;
	*count = 0;
	enum ph_status worst = PH_ERR_INVALID;
	enum ph_status status = atomic_load(&disk->io.blocks) < BLOCKS_MIN
	                                ? PH_ERR_INVALID
	                                : ph__io_read(&disk->io, 0, PH__RING_BLOCKS, ring);
	for (uint32_t slot = 0; slot < PH__RING_BLOCKS && status == PH_OK; slot++) {
		struct ph__super super;
		enum ph_status found = ph__super_decode(&super, ring + (size_t)slot * PH__BLOCK);
		if (found == PH_OK && super.epoch % PH__RING_BLOCKS != slot)
			found = PH_ERR_CORRUPT;
		if (found == PH_OK)
			insert_sorted(out, (*count)++, &super);
		else if (found == PH_ERR_UNSUPPORTED)
			worst = PH_ERR_UNSUPPORTED;
		else if (found == PH_ERR_CORRUPT && worst == PH_ERR_INVALID)
			worst = PH_ERR_CORRUPT;
	}
	ph_mem_free(disk->alloc, ring);
	if (status != PH_OK)
		return status;
	/* A later version that shares the ring with us has written last. */
	if (worst == PH_ERR_UNSUPPORTED)
		return worst;
	return *count > 0 ? PH_OK : worst;
}

enum ph_status ph__super_write(struct ph__disk *disk, const struct ph__super *super)
{
	uint8_t block[PH__BLOCK];
	ph__super_encode(super, block);
	return ph__io_write(&disk->io, super->epoch % PH__RING_BLOCKS, 1, block);
}
