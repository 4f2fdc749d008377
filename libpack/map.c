/* SPDX-License-Identifier: MIT */
/*
 * Reads a map in place (the format is in map_int.h). Nothing of it is kept in memory but a few
 * pages: a commit is two or three small reads, and a bitmap is made piece by piece from all those
 * it is stored in. Whatever is read is checked before it is used, although the pages have checksums
 * already.
 */
#include "map_int.h"

#include <assert.h>

/* Whether what a footer says is true of this pack. */
static enum ph_status check_pack(const struct ph_source *source, uint32_t pack,
                                 const uint8_t *footer)
{
	struct ph_oid trailer;
	struct ph_oid stored;
	uint32_t entries;
	uint64_t bytes;
	enum ph_status status;

	if (footer[68] != MAP_VERSION || footer[69] != (uint8_t)source->algo) {
		return PH_ERR_UNSUPPORTED;
	}
	source->ops->pack_size(source, pack, &entries, &bytes);
	if (index_get32(footer) != entries || index_get64(footer + 4) != bytes) {
		return PH_ERR_UNSUPPORTED;
	}
	if (source->ops->trailer == NULL) {
		return PH_OK;
	}
	status = source->ops->trailer(source, pack, &trailer);
	if (status != PH_OK) {
		return status;
	}
	memcpy(stored.bytes, footer + 12, sizeof stored.bytes);
	return ph_oid_equal(&stored, &trailer) ? PH_OK : PH_ERR_UNSUPPORTED;
}

/* Where the tables are; they must fill the section. */
static enum ph_status lay_out(struct ph_map *map, const uint8_t *footer)
{
	uint64_t blocks;

	map->entries = index_get32(footer);
	map->commits = index_get32(footer + 44);
	map->more = index_get32(footer + 48);
	map->bitmaps = index_get32(footer + 52);
	map->rows_at = index_get64(footer + 56);
	blocks = ((uint64_t)map->entries + MAP_BLOCK_BITS - 1) / MAP_BLOCK_BITS;
	map->commits_at = blocks * MAP_BLOCK_BYTES;
	map->more_at = map->commits_at + (uint64_t)map->commits * MAP_COMMIT_BYTES;
	map->extras_at = map->more_at + (uint64_t)map->more * 4;
	map->bitmaps_at = map->extras_at + (uint64_t)map->commits * MAP_EXTRA_BYTES;
	if (map->entries > MAP_ENTRIES_MAX || map->commits > map->entries ||
	    map->bitmaps > map->commits || map->rows_at < map->bitmaps_at ||
	    map->rows_at > map->pages.size ||
	    map->pages.size - map->rows_at !=
	            (uint64_t)map->bitmaps * MAP_ROW_BYTES + MAP_FOOTER_BYTES) {
		return PH_ERR_CORRUPT;
	}
	return PH_OK;
}

static enum ph_status open_map(struct ph_map *map, const struct ph_source *source,
                               const struct ph_bytes *bytes)
{
	uint8_t footer[MAP_FOOTER_BYTES];
	enum ph_status status;

	ph__map_pages_init(&map->pages, bytes);
	if (map->pages.size < sizeof footer) {
		return PH_ERR_CORRUPT;
	}
	status = ph__map_get(&map->pages, map->pages.size - sizeof footer, footer, sizeof footer);
	if (status != PH_OK) {
		return status;
	}
	if (memcmp(footer + 64, MAP_MAGIC, 4) != 0 || footer[70] != 0 || footer[71] != 0) {
		return PH_ERR_CORRUPT;
	}
	status = check_pack(source, map->pack, footer);
	return status == PH_OK ? lay_out(map, footer) : status;
}

enum ph_status ph_map_open(struct ph_map **out, const struct ph_source *source, uint32_t pack,
                           const struct ph_bytes *bytes, const struct ph_alloc *alloc)
{
	struct ph_map *map = ph_mem_alloc(alloc, sizeof *map);
	enum ph_status status;

	if (map == NULL) {
		return PH_ERR_NOMEM;
	}
	map->alloc = alloc;
	map->pack = pack;
	status = open_map(map, source, bytes);
	if (status != PH_OK) {
		ph_mem_free(alloc, map);
		return status;
	}
	*out = map;
	return PH_OK;
}

void ph_map_free(struct ph_map *map)
{
	if (map != NULL) {
		ph_mem_free(map->alloc, map);
	}
}

uint32_t ph_map_pack(const struct ph_map *map)
{
	return map->pack;
}

uint32_t ph_map_entries(const struct ph_map *map)
{
	return map->entries;
}

uint32_t ph_map_commits(const struct ph_map *map)
{
	return map->commits;
}

static uint32_t count_bits(uint32_t value)
{
	value -= value >> 1 & 0x55555555u;
	value = (value & 0x33333333u) + (value >> 2 & 0x33333333u);
	value = (value + (value >> 4)) & 0x0f0f0f0fu;
	return value * 0x01010101u >> 24;
}

/* The rank of a commit among the commits. */
static enum ph_status number_of(struct ph_map *map, uint32_t pos, uint32_t *number)
{
	uint8_t block[4 + MAP_BLOCK_TYPE_BYTES];
	uint32_t bit = pos % MAP_BLOCK_BITS;
	uint32_t at = 4;
	uint32_t before;
	enum ph_status status;

	if (pos >= map->entries) {
		return PH_ERR_NOT_FOUND;
	}
	status = ph__map_get(&map->pages, (uint64_t)(pos / MAP_BLOCK_BITS) * MAP_BLOCK_BYTES, block,
	                     4 + (size_t)(bit / 32 + 1) * 4);
	if (status != PH_OK) {
		return status;
	}
	before = index_get32(block);
	if ((block[4 + bit / 8] >> bit % 8 & 1) == 0) {
		return PH_ERR_NOT_FOUND;
	}
	for (; bit >= 32; bit -= 32, at += 4) {
		before += count_bits(index_get32(block + at));
	}
	for (; bit >= 8; bit -= 8, at++) {
		before += count_bits(block[at]);
	}
	before += count_bits(block[at] & ((1u << bit) - 1));
	if (before >= map->commits) {
		return PH_ERR_CORRUPT;
	}
	*number = before;
	return PH_OK;
}

/* A parent or tree that is there, or not. */
static bool is_pos(const struct ph_map *map, uint32_t pos)
{
	return pos < map->entries;
}

/* A commit of over two parents: how many, and the second. */
static enum ph_status read_more(struct ph_map *map, uint32_t second, struct ph_map_commit *out)
{
	uint8_t raw[8];
	uint32_t at = second & ~MAP_MORE;
	enum ph_status status;

	if (at >= map->more || map->more - at < 3) {
		return PH_ERR_CORRUPT;
	}
	status = ph__map_get(&map->pages, map->more_at + (uint64_t)at * 4, raw, sizeof raw);
	if (status != PH_OK) {
		return status;
	}
	out->parents = index_get32(raw);
	out->parent[1] = index_get32(raw + 4);
	out->more = at + 1;
	if (out->parents < 3 || out->parents - 1 > map->more - out->more) {
		return PH_ERR_CORRUPT;
	}
	return PH_OK;
}

static enum ph_status read_parents(struct ph_map *map, const uint8_t *raw,
                                   struct ph_map_commit *out)
{
	enum ph_status status = PH_OK;

	out->parent[0] = index_get32(raw);
	out->parent[1] = index_get32(raw + 4);
	out->more = 0;
	out->parents = (uint32_t)(out->parent[0] != MAP_NONE) + (out->parent[1] != MAP_NONE);
	if (out->parent[0] == MAP_NONE) {
		return out->parents == 0 ? PH_OK : PH_ERR_CORRUPT;
	}
	if (out->parent[1] != MAP_NONE && (out->parent[1] & MAP_MORE) != 0) {
		status = read_more(map, out->parent[1], out);
	}
	if (status == PH_OK &&
	    (!is_pos(map, out->parent[0]) || (out->parents > 1 && !is_pos(map, out->parent[1])))) {
		return PH_ERR_CORRUPT;
	}
	return status;
}

/* Reads the record of a commit, and the number of its bitmap from 1, or 0. */
static enum ph_status read_commit(struct ph_map *map, uint32_t number, struct ph_map_commit *out,
                                  uint32_t *bitmap)
{
	uint8_t raw[MAP_COMMIT_BYTES];
	uint8_t extra[MAP_EXTRA_BYTES];
	enum ph_status status =
	        ph__map_get(&map->pages, map->commits_at + (uint64_t)number * MAP_COMMIT_BYTES, raw,
	                    sizeof raw);

	if (status == PH_OK) {
		status = ph__map_get(&map->pages,
		                     map->extras_at + (uint64_t)number * MAP_EXTRA_BYTES, extra,
		                     sizeof extra);
	}
	if (status != PH_OK) {
		return status;
	}
	out->tree = index_get32(raw);
	out->time = index_get64(raw + 4);
	out->generation = index_get32(extra);
	*bitmap = index_get32(extra + 4);
	out->bitmap = *bitmap > 0;
	if (!is_pos(map, out->tree) || out->generation == 0 || out->generation > map->commits ||
	    *bitmap > map->bitmaps) {
		return PH_ERR_CORRUPT;
	}
	return read_parents(map, raw + 12, out);
}

enum ph_status ph_map_commit(struct ph_map *map, uint32_t pos, struct ph_map_commit *out)
{
	struct ph_map_commit commit = {.pos = pos};
	uint32_t number;
	uint32_t bitmap;
	enum ph_status status = number_of(map, pos, &number);

	if (status == PH_OK) {
		status = read_commit(map, number, &commit, &bitmap);
	}
	if (status == PH_OK) {
		*out = commit;
	}
	return status;
}

enum ph_status ph_map_parent(struct ph_map *map, const struct ph_map_commit *commit,
                             uint32_t number, uint32_t *pos)
{
	uint8_t raw[4];
	enum ph_status status;

	assert(number < commit->parents);
	if (number < 2) {
		*pos = commit->parent[number];
		return PH_OK;
	}
	status = ph__map_get(&map->pages, map->more_at + ((uint64_t)commit->more + number - 1) * 4,
	                     raw, sizeof raw);
	if (status != PH_OK) {
		return status;
	}
	if (!is_pos(map, index_get32(raw))) {
		return PH_ERR_CORRUPT;
	}
	*pos = index_get32(raw);
	return PH_OK;
}

/* Where a bitmap is stored; number from 1. */
static enum ph_status read_row(struct ph_map *map, uint32_t number, struct ph__map_row *row)
{
	uint8_t raw[MAP_ROW_BYTES];
	enum ph_status status =
	        ph__map_get(&map->pages, map->rows_at + (uint64_t)(number - 1) * MAP_ROW_BYTES, raw,
	                    sizeof raw);

	if (status != PH_OK) {
		return status;
	}
	row->at = index_get64(raw);
	row->bytes = index_get32(raw + 8);
	row->other = index_get32(raw + 12);
	/* Each is stored as it differs from an earlier one, so that a chain of them ends. */
	if (row->at < map->bitmaps_at || row->at > map->rows_at ||
	    row->bytes > map->rows_at - row->at || row->other >= number) {
		return PH_ERR_CORRUPT;
	}
	return PH_OK;
}

/* All that a bitmap is made from. */
static enum ph_status collect(struct ph_map *map, uint32_t number)
{
	ph__map_reach_start(&map->reach, map->entries);
	while (number > 0) {
		struct ph__map_row row;
		enum ph_status status = read_row(map, number, &row);

		if (status != PH_OK) {
			return status;
		}
		if (map->reach.count > MAP_LINKS_MAX) {
			return PH_ERR_CORRUPT;
		}
		ph__map_reach_add(&map->reach, &row);
		number = row.other;
	}
	return PH_OK;
}

enum ph_status ph_map_reach(struct ph_map *map, uint32_t pos, uint64_t *words, uint32_t *budget)
{
	struct ph_map_commit commit;
	uint32_t number;
	uint32_t bitmap;
	enum ph_status status = number_of(map, pos, &number);

	if (status == PH_OK) {
		status = read_commit(map, number, &commit, &bitmap);
	}
	if (status == PH_OK && bitmap == 0) {
		status = PH_ERR_NOT_FOUND;
	}
	if (status == PH_OK) {
		status = collect(map, bitmap);
	}
	if (status != PH_OK) {
		return status;
	}
	do {
		status = ph__map_reach_step(&map->reach, &map->pages, words, budget);
	} while (status == PH_AGAIN);
	return status;
}

enum ph_status ph_map_type(struct ph_map *map, enum ph_object_type type, size_t first, size_t count,
                           uint64_t *words)
{
	size_t per_block = MAP_BLOCK_BITS / 64;

	assert(type >= PH_OBJ_COMMIT && type <= PH_OBJ_TAG);
	assert(first <= ph_map_words(map->entries) && count <= ph_map_words(map->entries) - first);
	while (count > 0) {
		uint8_t raw[MAP_BLOCK_TYPE_BYTES];
		size_t skip = first % per_block;
		size_t step = per_block - skip < count ? per_block - skip : count;
		uint64_t at = (uint64_t)(first / per_block) * MAP_BLOCK_BYTES + 4 +
		              ((uint64_t)type - PH_OBJ_COMMIT) * MAP_BLOCK_TYPE_BYTES + skip * 8;
		enum ph_status status = ph__map_get(&map->pages, at, raw, step * 8);

		if (status != PH_OK) {
			return status;
		}
		for (size_t i = 0; i < step; i++) {
			words[i] = ph__bits_word(raw + 8 * i);
		}
		words += step;
		first += step;
		count -= step;
		if (map->entries % 64 != 0 && first == ph_map_words(map->entries) &&
		    words[-1] >> map->entries % 64 != 0) {
			return PH_ERR_CORRUPT;
		}
	}
	return PH_OK;
}
