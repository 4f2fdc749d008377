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
#define ENTRY_FREE ((uint64_t)1 << 63)
/* A cell of the catalogue's buffer: two lengths, key, value. */
#define CELL_HEADER 4u

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
	AT_BUFFER = 152,
	AT_EXTENTS = 160,
	AT_TAIL = AT_EXTENTS + 12 * PH__MAP_EXTENTS, /* then the buffer */
	AT_CRC = PH__BLOCK - 4
};

_Static_assert(AT_TAIL + PH__TAIL_ENTRIES * PH__MAP_ENTRY_BYTES + PH__HELD_ROOM <= AT_CRC,
               "a superblock has room for both");

struct ph__tree ph__super_tree(const struct ph__super *super)
{
	struct ph__tree tree = super->catalogue;
	/* Who may change the superblock may change it through this. */
	tree.held = (uint8_t *)(uintptr_t)super->buffer;
	return tree;
}

static void put_map(uint8_t *block, const struct ph__map_root *map)
{
	const uint32_t numbers[8] = {map->extent_count, map->base_blocks, map->base_bytes,
	                             map->base_crc,     map->log_blocks,  map->log_used,
	                             map->log_crc,      map->tail_count};
	for (size_t i = 0; i < 8; i++)
		ph__put32(block + AT_MAP + 4 * i, numbers[i]);
	for (size_t i = 0; i < map->extent_count; i++) {
		ph__put64(block + AT_EXTENTS + 12 * i, map->extents[i].start);
		ph__put32(block + AT_EXTENTS + 12 * i + 8, map->extents[i].count);
	}
	for (size_t i = 0; i < map->tail_count; i++)
		ph__map_entry_put(block + AT_TAIL + PH__MAP_ENTRY_BYTES * i, &map->tail[i]);
}

/* The cells of the catalogue's buffer, one behind the other. */
static void put_buffer(uint8_t *block, const struct ph__super *super)
{
	uint8_t *from = block + AT_TAIL + (size_t)PH__MAP_ENTRY_BYTES * super->map.tail_count,
	        *to = from;
	for (uint32_t i = 0; i < ph__node_count(super->buffer); i++) {
		struct ph__cell cell;
		ph__node_cell(super->buffer, i, &cell);
		ph__put16(to, cell.key_len);
		ph__put16(to + 2, cell.value_len);
		memcpy(to + CELL_HEADER, cell.key, cell.key_len);
		memcpy(to + CELL_HEADER + cell.key_len, cell.value, cell.value_len);
		to += CELL_HEADER + cell.key_len + cell.value_len;
	}
	assert(to <= block + AT_CRC);
	ph__put16(block + AT_BUFFER, (uint32_t)(to - from));
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
	put_buffer(block, super);
	ph__put32(block + PH__SUPER_CHECK_AT, ph__super_check(block));
	ph__put32(block + AT_CRC, ph_crc32(0, block, AT_CRC));
}

void ph__map_entry_put(uint8_t *to, const struct ph__map_entry *entry)
{
	ph__put64(to, entry->start | (entry->free ? ENTRY_FREE : 0));
	ph__put32(to + 8, entry->count);
}

bool ph__map_entry_get(struct ph__map_entry *entry, const uint8_t *from, uint64_t blocks)
{
	uint64_t start = ph__get64(from);
	entry->start = start & ~ENTRY_FREE;
	entry->free = (start & ENTRY_FREE) != 0;
	entry->count = ph__get32(from + 8);
	return entry->count > 0 && entry->start >= PH__RING_BLOCKS && entry->start < blocks &&
	       entry->count <= blocks - entry->start;
}

static bool get_tail(struct ph__map_root *map, const uint8_t *block, uint64_t blocks)
{
	map->tail_count = ph__get32(block + AT_MAP + 28);
	if (map->tail_count > PH__TAIL_ENTRIES)
		return false;
	for (size_t i = 0; i < map->tail_count; i++)
		if (!ph__map_entry_get(&map->tail[i], block + AT_TAIL + PH__MAP_ENTRY_BYTES * i,
		                       blocks))
			return false;
	return true;
}

static bool get_buffer(struct ph__super *super, const uint8_t *block)
{
	const struct ph__ptr none = {0, 0, 0};
	uint32_t at = AT_TAIL + PH__MAP_ENTRY_BYTES * super->map.tail_count;
	uint32_t left = ph__get16(block + AT_BUFFER);
	ph__buffer_clear(super->buffer);
	if (left > AT_CRC - at)
		return false;
	while (left > 0) {
		const uint8_t *from = block + at;
		if (left < CELL_HEADER)
			return false;
		struct ph__cell cell = {.key_len = ph__get16(from),
		                        .value_len = ph__get16(from + 2),
		                        .key = from + CELL_HEADER};
		if (cell.key_len > left - CELL_HEADER ||
		    cell.value_len > left - CELL_HEADER - cell.key_len)
			return false;
		cell.value = cell.key + cell.key_len;
		if (!ph__node_append(super->buffer, &cell))
			return false;
		at += CELL_HEADER + cell.key_len + cell.value_len;
		left -= CELL_HEADER + cell.key_len + cell.value_len;
	}
	return ph__node_count(super->buffer) == 0 || ph__node_valid(super->buffer, &none, 0, 0);
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
	return area == (uint64_t)map->base_blocks + map->log_blocks && get_tail(map, block, blocks);
}

/* What the numbers of a whole superblock mean, once its checksum is right. */
static enum ph_status get_fields(struct ph__super *super, const uint8_t *block, const char **why)
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
	if (super->features[2] != 0) {
		*why = "it has features that this program does not know; use a newer packhorse";
		return PH_ERR_UNSUPPORTED;
	}
	if (ph__get16(block + AT_RING) != PH__RING_BLOCKS || super->epoch == 0 ||
	    super->epoch > UINT64_MAX / 2 || super->generation > UINT64_MAX / 2 ||
	    super->next_repo == 0 || super->next_repo > UINT64_MAX / 2 ||
	    super->blocks < BLOCKS_MIN || super->blocks > PH__BLOCKS_MAX ||
	    super->catalogue.height > PH__TREE_HEIGHT)
		return PH_ERR_CORRUPT;
	if (!get_map(&super->map, block, super->blocks) || !get_buffer(super, block))
		return PH_ERR_CORRUPT;
	return PH_OK;
}

enum ph_status ph__super_decode(struct ph__super *super, const uint8_t *block, const char **why)
{
	memset(super, 0, sizeof(*super));
	if (memcmp(block, magic, sizeof(magic)) != 0)
		return PH_END;
	/* Magic, version and checksum are at the same place in every version. */
	bool whole = ph__get32(block + AT_CRC) == ph_crc32(0, block, AT_CRC);
	uint32_t version = ph__get32(block + AT_VERSION);
	if (version != PH__FORMAT_VERSION) {
		*why = version == 0
		               ? "it has an older format of before 1.0; export its repositories "
		                 "with "
		                 "the program that wrote it"
		               : "its format is newer than this program; use a newer packhorse";
		return whole ? PH_ERR_UNSUPPORTED : PH_ERR_CORRUPT;
	}
	if (!whole || ph__get32(block + AT_BLOCK) != PH__BLOCK)
		return PH_ERR_CORRUPT;
	return get_fields(super, block, why);
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
	const char *why = NULL;
	*count = 0;
	enum ph_status worst = PH_ERR_INVALID;
	enum ph_status status = atomic_load(&disk->io.blocks) < BLOCKS_MIN
	                                ? PH_ERR_INVALID
	                                : ph__io_read(&disk->io, 0, PH__RING_BLOCKS, ring);
	for (uint32_t slot = 0; slot < PH__RING_BLOCKS && status == PH_OK; slot++) {
		struct ph__super super;
		enum ph_status found =
		        ph__super_decode(&super, ring + (size_t)slot * PH__BLOCK, &why);
		if ((found == PH_ERR_CORRUPT || found == PH_END) &&
		    ph__super_mend(ring + (size_t)slot * PH__BLOCK)) {
			ph_log_line(disk->log, PH_LOG_WARN, "store-disk", 0,
			            "superblock in slot %u has a wrong bit", (unsigned)slot);
			found = ph__super_decode(&super, ring + (size_t)slot * PH__BLOCK, &why);
		}
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
	if (*count > 0 && worst != PH_ERR_UNSUPPORTED)
		return PH_OK;
	/* Another version has written here, or what is left of a ring looks like that. */
	if (why && disk->why)
		*disk->why = why;
	return why ? PH_ERR_UNSUPPORTED : worst;
}

enum ph_status ph__super_write(struct ph__disk *disk, const struct ph__super *super)
{
	uint8_t block[PH__BLOCK];
	ph__super_encode(super, block);
	return ph__io_write(&disk->io, super->epoch % PH__RING_BLOCKS, 1, block);
}
