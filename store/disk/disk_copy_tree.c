/* SPDX-License-Identifier: MIT */
/*
 * A tree out of its cells, which come in order: each level has one node that is being filled. When
 * a cell does not fit, the node gets the next block and its pointer goes a level up. So nodes come
 * out behind those below them, and a node a level is all that is in memory.
 */
#include "disk_copy_int.h"

#include <assert.h>
#include <string.h>

void ph__grown_start(struct ph__grown *grown, uint64_t owner)
{
	grown->owner = owner;
	grown->height = 0;
	grown->last_len = 0;
}

void ph__grown_release(struct ph__grown *grown, const struct ph_alloc *alloc)
{
	for (uint32_t i = 0; i < PH__TREE_HEIGHT; i++)
		ph_mem_free(alloc, grown->levels[i]);
	memset(grown, 0, sizeof(*grown));
}

/* One more level, empty. */
static enum ph_status raise(struct ph__copy *copy, struct ph__grown *grown)
{
	if (grown->height == PH__TREE_HEIGHT)
		return PH_ERR_CORRUPT;
	struct ph__grown_level **level = &grown->levels[grown->height];
	if (!*level)
		*level = ph_mem_alloc(copy->disk->alloc, sizeof(**level));
	if (!*level)
		return PH_ERR_NOMEM;
	(*level)->used = 0;
	(*level)->low_len = 0;
	ph__node_start((*level)->node, grown->height++);
	return PH_OK;
}

/* Gives the node of a level its block; *ptr is to it. The level begins anew. */
static void finish(struct ph__copy *copy, struct ph__grown *grown, uint8_t number,
                   struct ph__ptr *ptr)
{
	struct ph__grown_level *level = grown->levels[number];
	uint64_t epoch = copy->pin.super.epoch;
	ph__node_seal(level->node, copy->next, epoch, grown->owner);
	*ptr = (struct ph__ptr){copy->next, epoch, ph_crc32(0, level->node, PH__BLOCK)};
	uint8_t *to = ph__copy_take(copy, 1);
	if (to)
		memcpy(to, level->node, PH__BLOCK);
	level->used = 0;
	ph__node_start(level->node, number);
}

/* The shortest key that is above the last one and not above this one. */
static uint32_t separator(const struct ph__grown *grown, const struct ph__cell *cell)
{
	uint32_t len = 0;
	while (len < grown->last_len && len < cell->key_len && grown->last[len] == cell->key[len])
		len++;
	return len < cell->key_len ? len + 1 : len;
}

static void append(struct ph__grown_level *level, const struct ph__cell *cell, uint32_t size,
                   uint32_t low_len)
{
	if (level->used == 0) {
		memcpy(level->low, cell->key, low_len);
		level->low_len = low_len;
	}
	bool fits = ph__node_append(level->node, cell);
	assert(fits);
	(void)fits;
	level->used += size;
}

/* Puts a cell into a level, and what that finishes into those above. */
static enum ph_status put(struct ph__copy *copy, struct ph__grown *grown, uint8_t number,
                          const struct ph__cell *first)
{
	uint8_t keys[2][PH__KEY_MAX];
	struct ph__cell cell = *first;
	for (;; number++) {
		enum ph_status status = number == grown->height ? raise(copy, grown) : PH_OK;
		if (status != PH_OK)
			return status;
		struct ph__grown_level *level = grown->levels[number];
		uint32_t size = (uint32_t)ph__cell_size(number, &cell);
		uint32_t low_len = number > 0 ? cell.key_len : separator(grown, &cell);
		assert(size <= PH__NODE_ROOM);
		if (level->used + size <= PH__NODE_ROOM) {
			append(level, &cell, size, low_len);
			return PH_OK;
		}
		struct ph__cell up = {.key = keys[number % 2], .key_len = level->low_len};
		memcpy(keys[number % 2], level->low, level->low_len);
		finish(copy, grown, number, &up.ptr);
		append(level, &cell, size, low_len);
		cell = up;
	}
}

enum ph_status ph__grown_add(struct ph__copy *copy, struct ph__grown *grown,
                             const struct ph__cell *cell)
{
	enum ph_status status = put(copy, grown, 0, cell);
	memcpy(grown->last, cell->key, cell->key_len);
	grown->last_len = cell->key_len;
	return status;
}

enum ph_status ph__grown_end(struct ph__copy *copy, struct ph__grown *grown, struct ph__tree *out)
{
	memset(out, 0, sizeof(*out));
	out->owner = grown->owner;
	for (uint8_t number = 0; number < grown->height; number++) {
		struct ph__grown_level *level = grown->levels[number];
		struct ph__cell up = {.key = level->low, .key_len = level->low_len};
		finish(copy, grown, number, &up.ptr);
		if (number + 1 == grown->height) {
			out->root = up.ptr;
			out->height = grown->height;
			break;
		}
		enum ph_status status = put(copy, grown, (uint8_t)(number + 1), &up);
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}
