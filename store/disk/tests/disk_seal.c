/* SPDX-License-Identifier: MIT */
/* See disk_seal.h; the layouts are those of SPEC.md. */
#include "disk_seal.h"

#include "../disk_int.h"

#include <stdlib.h>
#include <string.h>

/* Nodes sealed at most: pointers may lead in circles. */
#define SEALS_MAX 500u
#define HEIGHT_MAX 4u

enum { SUPER_ROOT = 96, SUPER_HEIGHT = 116, SUPER_MAP = 120, SUPER_BUFFER = 152 };
enum { SUPER_EXTENTS = 160, SUPER_TAIL = 544, RECORD_ROOT = 60, RECORD_BUFFER = 112 };

struct seal {
	uint8_t *image;
	uint64_t blocks;
	uint32_t left;
};

static uint8_t *block_at(const struct seal *seal, uint64_t block)
{
	return block < seal->blocks ? seal->image + block * PH__BLOCK : NULL;
}

/* ---- values ---- */

/* Copies what extents name; NULL when one leads out of the image. The caller frees it. */
static uint8_t *gather(const struct seal *seal, const uint8_t *extents, uint32_t count, size_t len)
{
	size_t room = (size_t)seal->blocks * PH__BLOCK, at = 0;
	uint8_t *data = len <= room ? calloc(1, len + PH__BLOCK) : NULL;
	for (uint32_t i = 0; data && i < count && at < len; i++) {
		uint64_t start = ph__get64(extents + 12 * (size_t)i);
		uint64_t blocks = ph__get32(extents + 12 * (size_t)i + 8);
		if (start >= seal->blocks || blocks > seal->blocks - start) {
			free(data);
			return NULL;
		}
		size_t step = (size_t)blocks * PH__BLOCK;
		step = step < len - at ? step : len - at;
		memcpy(data + at, block_at(seal, start), step);
		at += step;
	}
	return data;
}

static void seal_blob(const struct seal *seal, uint8_t *value, uint32_t len)
{
	uint32_t bytes = ph__get32(value + 1), count = ph__get16(value + 9);
	if (len < 19 || len - 19 < 12 * count)
		return;
	uint8_t *data = gather(seal, value + 19, count, bytes);
	if (data)
		ph__put32(value + 5, ph_crc32(0, data, bytes));
	free(data);
}

static void seal_chunks(const struct seal *seal, const uint8_t *section, uint8_t *crcs,
                        uint32_t count)
{
	uint64_t bytes = ph__get64(section + 12);
	uint32_t skip = ph__get16(section + 2) % PH__BLOCK;
	if (bytes > seal->blocks * PH__BLOCK)
		return;
	uint8_t *data = gather(seal, section + 28, ph__get32(section + 4), (size_t)bytes + skip);
	for (uint32_t i = 0; data && i < count && (uint64_t)i * PH__CHUNK < bytes; i++) {
		uint64_t left = bytes - (uint64_t)i * PH__CHUNK;
		size_t len = left < PH__CHUNK ? (size_t)left : PH__CHUNK;
		ph__put32(crcs + 4 * (size_t)i,
		          ph_crc32(0, data + skip + (size_t)i * PH__CHUNK, len));
	}
	free(data);
}

/* The record of a pack that stands in its cell. */
static void seal_pack(const struct seal *seal, uint8_t *record, uint32_t len)
{
	uint32_t sections = len >= 2 ? ph__get16(record) : 0;
	uint8_t *at = record + 2, *end = record + len;
	while (sections-- > 0 && end - at >= 28) {
		uint64_t pieces = ph__get32(at + 4), crcs = ph__get32(at + 8);
		uint64_t rest = 12 * pieces + 4 * crcs;
		if (rest > (uint64_t)(end - at) - 28)
			return;
		if (at[1] == 0)
			seal_chunks(seal, at, at + 28 + 12 * pieces, (uint32_t)crcs);
		at += 28 + rest;
	}
}

/* ---- trees ---- */

static void seal_node(struct seal *seal, uint8_t *ptr, unsigned level, bool catalogue);

static void seal_repo(struct seal *seal, uint8_t *value, uint32_t len)
{
	if (len < PH__RECORD_BYTES)
		return;
	if (value[2] > 0 && value[2] <= HEIGHT_MAX)
		seal_node(seal, value + RECORD_ROOT, value[2] - 1u, false);
	if (ph__get64(value + RECORD_BUFFER))
		seal_node(seal, value + RECORD_BUFFER, 0, false);
}

static void seal_cell(struct seal *seal, uint8_t *cell, uint8_t *end, unsigned level,
                      bool catalogue)
{
	if (end - cell < 28)
		return;
	if (level > 0) {
		seal_node(seal, cell + 2, level - 1, catalogue);
		return;
	}
	uint32_t key_len = ph__get16(cell), value_len = ph__get16(cell + 2);
	uint8_t *value = cell + 4 + key_len;
	if (key_len > PH__BLOCK || end - value < (ptrdiff_t)value_len || value_len < 2)
		return;
	if (value[0] == PH__VALUE_BLOB)
		seal_blob(seal, value, value_len);
	else if (catalogue && cell[4] == PH__KEY_REPO)
		seal_repo(seal, value, value_len);
	else if (!catalogue && cell[4] == PH__KEY_PACK)
		seal_pack(seal, value + 1, value_len - 1);
}

static void seal_node(struct seal *seal, uint8_t *ptr, unsigned level, bool catalogue)
{
	uint8_t *node = block_at(seal, ph__get64(ptr));
	if (!node || seal->left == 0)
		return;
	seal->left--;
	uint32_t count = ph__get16(node + 6);
	for (uint32_t i = 0; i < count && i < 400; i++) {
		uint32_t at = ph__get16(node + PH__NODE_HEADER + 2 * (size_t)i);
		if (at + 4 < PH__BLOCK)
			seal_cell(seal, node + at, node + PH__BLOCK, level, catalogue);
	}
	ph__put32(ptr + 16, ph_crc32(0, node, PH__BLOCK));
}

/* ---- the superblock ---- */

static void seal_map(struct seal *seal, uint8_t *super)
{
	const uint8_t *map = super + SUPER_MAP;
	uint32_t extents = ph__get32(map), base = ph__get32(map + 4), bytes = ph__get32(map + 8);
	uint32_t used = ph__get32(map + 20);
	if (extents > PH__MAP_EXTENTS || base > seal->blocks || used > seal->blocks ||
	    bytes > (uint64_t)base * PH__BLOCK)
		return;
	size_t len = ((size_t)base + used) * PH__BLOCK;
	uint8_t *data = gather(seal, super + SUPER_EXTENTS, extents, len);
	if (!data)
		return;
	size_t padded = ((size_t)bytes + PH__BLOCK - 1) / PH__BLOCK * PH__BLOCK;
	ph__put32(super + SUPER_MAP + 12, ph_crc32(0, data, padded));
	ph__put32(super + SUPER_MAP + 24,
	          used ? ph_crc32(0, data + (size_t)base * PH__BLOCK, (size_t)used * PH__BLOCK)
	               : 0);
	free(data);
}

static void seal_buffer(struct seal *seal, uint8_t *super)
{
	uint32_t tail = ph__get32(super + SUPER_MAP + 28), len = ph__get16(super + SUPER_BUFFER);
	if (tail > PH__TAIL_ENTRIES)
		return;
	uint8_t *at = super + SUPER_TAIL + 12 * (size_t)tail, *end = at + len;
	if (end > super + PH__BLOCK - 4)
		return;
	while (end - at >= 4) {
		size_t step = 4 + (size_t)ph__get16(at) + ph__get16(at + 2);
		seal_cell(seal, at, end, 0, true);
		if (step > (size_t)(end - at))
			return;
		at += step;
	}
}

uint32_t disk_newest_slot(const uint8_t *image, uint64_t bytes)
{
	uint32_t best = 0;
	uint64_t epoch = 0;
	for (uint32_t slot = 0; slot < PH__RING_BLOCKS && (slot + 1) * PH__BLOCK <= bytes; slot++) {
		uint64_t found = ph__get64(image + (size_t)slot * PH__BLOCK + 56);
		if (found > epoch) {
			epoch = found;
			best = slot;
		}
	}
	return best;
}

void disk_seal(uint8_t *image, uint64_t bytes, uint32_t slot)
{
	struct seal seal = {image, bytes / PH__BLOCK, SEALS_MAX};
	uint8_t *super = block_at(&seal, slot);
	if (!super)
		return;
	if (super[SUPER_HEIGHT] > 0 && super[SUPER_HEIGHT] <= HEIGHT_MAX)
		seal_node(&seal, super + SUPER_ROOT, super[SUPER_HEIGHT] - 1u, true);
	seal_buffer(&seal, super);
	seal_map(&seal, super);
	ph__put32(super + PH__SUPER_CHECK_AT, ph__super_check(super));
	ph__put32(super + PH__BLOCK - 4, ph_crc32(0, super, PH__BLOCK - 4));
}
