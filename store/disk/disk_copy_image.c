/* SPDX-License-Identifier: MIT */
/*
 * What frames the data of a copy: the ring, whose superblocks are of epochs so much later than the
 * data that nobody takes that for something a power cut may have lost, and a map that says that all
 * is in use.
 */
#include "disk_copy_int.h"

#include <string.h>

#define GROUP_BYTES (PH__GROUP / 8)
/* A store has at least so many blocks. */
#define BLOCKS_MIN 256u

/* Blocks [PH__RING_BLOCKS, this) are in use. */
static uint64_t used_end(const struct ph__copy *copy)
{
	return copy->map_at + copy->super.map.base_blocks;
}

static uint64_t groups_of(uint64_t blocks)
{
	return (blocks + PH__GROUP - 1) / PH__GROUP;
}

/* Whether all blocks of a group are in use. */
static bool is_full(uint64_t group, uint64_t end)
{
	return group > 0 && (group + 1) * PH__GROUP <= end;
}

static uint64_t map_bytes(uint64_t blocks, uint64_t end)
{
	uint64_t groups = groups_of(blocks), mixed = groups > 1 && !is_full(groups - 1, end);
	return 8 + groups + (1 + mixed) * GROUP_BYTES;
}

void ph__copy_super(struct ph__copy *copy)
{
	struct ph__super *super = &copy->super;
	const struct ph__super *from = &copy->pin.super;
	memcpy(super->id, from->id, sizeof(super->id));
	super->generation = from->generation;
	super->next_repo = from->next_repo;
	super->repos = from->repos - copy->skipped_count;
	super->epoch = from->epoch + PH__RING_BLOCKS;
	/* All that the trees' buffers had is in their nodes. */
	ph__buffer_clear(super->buffer);
	copy->map_at = copy->next;
	/* The map is itself in what it covers. */
	do {
		super->map.base_blocks++;
		super->blocks = used_end(copy) < BLOCKS_MIN ? BLOCKS_MIN : used_end(copy);
		super->map.base_bytes = (uint32_t)map_bytes(super->blocks, used_end(copy));
	} while (super->map.base_bytes > (uint64_t)super->map.base_blocks * PH__BLOCK);
	super->map.extent_count = 1;
	super->map.extents[0] = (struct ph__extent){copy->map_at, super->map.base_blocks, 0};
}

/* Eight blocks of a group, from a block on. */
static uint8_t bits_at(uint64_t block, uint64_t end)
{
	unsigned bits = 0;
	for (unsigned i = 0; i < 8; i++)
		if (block + i >= PH__RING_BLOCKS && block + i < end)
			bits |= 1u << i;
	return (uint8_t)bits;
}

static uint8_t map_byte(const struct ph__copy *copy, uint64_t at)
{
	uint64_t end = used_end(copy), groups = groups_of(copy->super.blocks);
	uint64_t full = groups - 1 - (groups > 1 && !is_full(groups - 1, end));
	if (at < 8)
		return (uint8_t)(copy->super.blocks >> (56 - 8 * at));
	at -= 8;
	/* The first group has the ring; those behind it are full, but maybe the last. */
	if (at == 0)
		return 2;
	if (at <= GROUP_BYTES)
		return bits_at(8 * (at - 1), end);
	at -= 1 + GROUP_BYTES;
	if (at < full)
		return 1;
	at -= full;
	return at == 0 ? 2 : bits_at((groups - 1) * PH__GROUP + 8 * (at - 1), end);
}

void ph__copy_map_block(const struct ph__copy *copy, uint64_t number, uint8_t *out)
{
	for (uint32_t i = 0; i < PH__BLOCK; i++) {
		uint64_t at = number * PH__BLOCK + i;
		out[i] = at < copy->super.map.base_bytes ? map_byte(copy, at) : 0;
	}
}

void ph__copy_ring_block(struct ph__copy *copy, uint64_t number, uint8_t *out)
{
	uint64_t epoch = copy->super.epoch;
	memset(out, 0, PH__BLOCK);
	/* Two, as formatting does it, so that one may be damaged. */
	for (uint32_t i = 0; i < 2; i++) {
		copy->super.epoch = epoch - i;
		if (copy->super.epoch % PH__RING_BLOCKS == number)
			ph__super_encode(&copy->super, out);
	}
	copy->super.epoch = epoch;
}
