/* SPDX-License-Identifier: MIT */
/*
 * One block of a tree: a header, an array of offsets, and cells filled in from the end. A block is
 * examined once, when it comes from the device, so that everything after that may trust its
 * offsets.
 *
 *   header  u32 "PHND", u8 level, u8 0, u16 cells, u64 epoch, u64 block, u64 owner
 *   leaf    u16 key bytes, u16 value bytes, key, value
 *   inner   u16 key bytes, pointer, key; the key is the least of its subtree, empty in the first
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

#define NODE_MAGIC 0x50484e44u

#define LEAF_HEADER 4u
#define INNER_HEADER (2u + PH__PTR_BYTES)

void ph__ptr_put(uint8_t *to, const struct ph__ptr *ptr)
{
	ph__put64(to, ptr->block);
	ph__put64(to + 8, ptr->epoch);
	ph__put32(to + 16, ptr->crc);
}

struct ph__ptr ph__ptr_get(const uint8_t *from)
{
	return (struct ph__ptr){ph__get64(from), ph__get64(from + 8), ph__get32(from + 16)};
}

int ph__key_cmp(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	uint32_t len = a_len < b_len ? a_len : b_len;
	int cmp = len ? memcmp(a, b, len) : 0;
	return cmp ? cmp : a_len < b_len ? -1 : a_len > b_len;
}

size_t ph__cell_size(uint8_t level, const struct ph__cell *cell)
{
	if (level > 0)
		return 2 + INNER_HEADER + cell->key_len;
	return 2 + LEAF_HEADER + cell->key_len + cell->value_len;
}

void ph__node_start(uint8_t *node, uint8_t level)
{
	memset(node, 0, PH__BLOCK);
	ph__put32(node, NODE_MAGIC);
	node[4] = level;
}

bool ph__node_append(uint8_t *node, const struct ph__cell *cell)
{
	uint32_t count = ph__node_count(node);
	uint8_t level = ph__node_level(node);
	/* What is below the first key is said by the parent. */
	uint32_t key_len = level > 0 && count == 0 ? 0 : cell->key_len;
	uint32_t value_len = level > 0 ? 0 : cell->value_len;
	uint32_t header = level > 0 ? INNER_HEADER : LEAF_HEADER;
	uint32_t end = count ? ph__get16(node + PH__NODE_HEADER + 2 * (count - 1)) : PH__BLOCK;
	uint32_t size = header + key_len + value_len;
	if (size > end || end - size < PH__NODE_HEADER + 2 * (count + 1))
		return false;
	uint8_t *to = node + end - size;
	ph__put16(node + 6, count + 1);
	ph__put16(node + PH__NODE_HEADER + 2 * count, end - size);
	ph__put16(to, key_len);
	if (key_len)
		memcpy(to + header, cell->key, key_len);
	if (level > 0) {
		ph__ptr_put(to + 2, &cell->ptr);
	} else {
		ph__put16(to + 2, value_len);
		memcpy(to + header + key_len, cell->value, value_len);
	}
	return true;
}

void ph__node_seal(uint8_t *node, uint64_t block, uint64_t epoch, uint64_t owner)
{
	ph__put64(node + 8, epoch);
	ph__put64(node + 16, block);
	ph__put64(node + 24, owner);
}

void ph__node_make(uint8_t *node, uint64_t block, uint64_t epoch, uint64_t owner, uint8_t level,
                   const struct ph__cell *cells, uint32_t count)
{
	ph__node_start(node, level);
	for (uint32_t i = 0; i < count; i++) {
		bool fits = ph__node_append(node, &cells[i]);
		assert(fits);
		(void)fits;
	}
	ph__node_seal(node, block, epoch, owner);
}

uint32_t ph__node_count(const uint8_t *node)
{
	return ph__get16(node + 6);
}

uint8_t ph__node_level(const uint8_t *node)
{
	return node[4];
}

void ph__node_cell(const uint8_t *node, uint32_t slot, struct ph__cell *out)
{
	assert(slot < ph__node_count(node));
	const uint8_t *cell = node + ph__get16(node + PH__NODE_HEADER + 2 * slot);
	memset(out, 0, sizeof(*out));
	out->key_len = ph__get16(cell);
	if (ph__node_level(node) > 0) {
		out->ptr = ph__ptr_get(cell + 2);
		out->key = cell + INNER_HEADER;
	} else {
		out->value_len = ph__get16(cell + 2);
		out->key = cell + LEAF_HEADER;
		out->value = out->key + out->key_len;
	}
}

/* Whether a cell lies within the block, behind the offsets. */
static bool cell_valid(const uint8_t *node, uint32_t slot, uint8_t level)
{
	uint32_t first = PH__NODE_HEADER + 2 * ph__node_count(node);
	uint32_t at = ph__get16(node + PH__NODE_HEADER + 2 * slot);
	uint32_t header = level > 0 ? INNER_HEADER : LEAF_HEADER;
	if (at < first || at > PH__BLOCK - header)
		return false;
	uint32_t room = PH__BLOCK - header - at;
	uint32_t key = ph__get16(node + at);
	uint32_t value = level > 0 ? 0 : ph__get16(node + at + 2);
	if (key > PH__KEY_MAX || key > room || value > room - key || value > PH__VALUE_MAX)
		return false;
	return level > 0 ? (key == 0) == (slot == 0) : key > 0 && value > 0;
}

bool ph__node_valid(const uint8_t *node, const struct ph__ptr *ptr, uint64_t owner, uint8_t level)
{
	uint32_t count = ph__node_count(node);
	if (ph__get32(node) != NODE_MAGIC || node[4] != level || node[5] != 0 || count == 0 ||
	    count > PH__NODE_ROOM / 2 || ph__get64(node + 8) != ptr->epoch ||
	    ph__get64(node + 16) != ptr->block || ph__get64(node + 24) != owner)
		return false;
	struct ph__cell cell, before = {0};
	for (uint32_t i = 0; i < count; i++) {
		if (!cell_valid(node, i, level))
			return false;
		ph__node_cell(node, i, &cell);
		if (i > 0 && ph__key_cmp(before.key, before.key_len, cell.key, cell.key_len) >= 0)
			return false;
		before = cell;
	}
	return true;
}

bool ph__node_is(const uint8_t *node, uint64_t owner, uint8_t level)
{
	return node[4] == level && ph__get64(node + 24) == owner;
}

uint32_t ph__node_search(const uint8_t *node, const uint8_t *key, uint32_t len, bool *equal)
{
	uint32_t low = 0, high = ph__node_count(node);
	*equal = false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct ph__cell cell;
		ph__node_cell(node, middle, &cell);
		int cmp = ph__key_cmp(cell.key, cell.key_len, key, len);
		if (cmp == 0)
			*equal = true;
		if (cmp < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t ph__node_child(const uint8_t *node, const uint8_t *key, uint32_t len)
{
	bool equal;
	uint32_t slot = ph__node_search(node, key, len, &equal);
	return equal || slot == 0 ? slot : slot - 1;
}
