/* SPDX-License-Identifier: MIT */
/*
 * A hash set of object ids: open addressing over an array in order of insertion. The members of a
 * request are compared, found and listed often, and never taken out one by one.
 */
#include "oid_set_int.h"

#include <assert.h>
#include <string.h>

#define ROOM_MIN 16u
/* A set larger than this gives its memory back when it is emptied. */
#define ROOM_KEPT_MAX 4096u

void ph__oid_set_init(struct ph__oid_set *set, const struct ph_alloc *alloc, uint64_t secret)
{
	memset(set, 0, sizeof(*set));
	set->alloc = alloc;
	set->secret = secret;
}

void ph__oid_set_release(struct ph__oid_set *set)
{
	if (!set->alloc)
		return;
	ph_mem_free(set->alloc, set->oids);
	ph_mem_free(set->alloc, set->marks);
	ph_mem_free(set->alloc, set->slots);
	ph__oid_set_init(set, set->alloc, set->secret);
}

void ph__oid_set_clear(struct ph__oid_set *set)
{
	if (set->room > ROOM_KEPT_MAX) {
		ph__oid_set_release(set);
		return;
	}
	set->count = 0;
	if (set->slot_count)
		memset(set->slots, 0, set->slot_count * sizeof(*set->slots));
}

/* All bytes of the id count, each step multiplied by odd numbers that depend on the secret. */
static uint32_t slot_of(const struct ph__oid_set *set, const struct ph_oid *oid)
{
	uint64_t hash = set->secret, word;

	for (size_t i = 0; i < PH_OID_BYTES_MAX; i += sizeof(word)) {
		memcpy(&word, oid->bytes + i, sizeof(word));
		hash = (hash ^ word) * (set->secret << 1 | 1);
		hash = (hash ^ hash >> 29) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return (uint32_t)hash & (set->slot_count - 1);
}

/* The slot that holds the id, or the free one where it belongs. */
static uint32_t probe(const struct ph__oid_set *set, const struct ph_oid *oid)
{
	uint32_t slot = slot_of(set, oid);

	while (set->slots[slot] && !ph_oid_equal(&set->oids[set->slots[slot] - 1], oid))
		slot = (slot + 1) & (set->slot_count - 1);
	return slot;
}

static enum ph_status grow(struct ph__oid_set *set)
{
	uint32_t room = set->room ? set->room * 2 : ROOM_MIN;
	uint32_t *slots;
	void *moved;

	if (set->room > UINT32_MAX / 8)
		return PH_ERR_LIMIT;
	moved = ph_mem_resize(set->alloc, set->oids, room, sizeof(*set->oids));
	if (!moved)
		return PH_ERR_NOMEM;
	set->oids = moved;
	moved = ph_mem_resize(set->alloc, set->marks, room, sizeof(*set->marks));
	if (!moved)
		return PH_ERR_NOMEM;
	set->marks = moved;
	slots = ph_mem_zalloc(set->alloc, (size_t)room * 2, sizeof(*slots));
	if (!slots)
		return PH_ERR_NOMEM;
	ph_mem_free(set->alloc, set->slots);
	set->slots = slots;
	set->slot_count = room * 2;
	set->room = room;
	for (uint32_t i = 0; i < set->count; i++)
		set->slots[probe(set, &set->oids[i])] = i + 1;
	return PH_OK;
}

enum ph_status ph__oid_set_add(struct ph__oid_set *set, const struct ph_oid *oid, uint32_t max)
{
	enum ph_status status;
	uint32_t slot;

	if (ph__oid_set_has(set, oid))
		return PH_ERR_EXISTS;
	if (set->count >= max)
		return PH_ERR_LIMIT;
	if (set->count == set->room) {
		status = grow(set);
		if (status != PH_OK)
			return status;
	}
	slot = probe(set, oid);
	assert(set->slots[slot] == 0);
	set->oids[set->count] = *oid;
	set->marks[set->count] = 0;
	set->slots[slot] = ++set->count;
	return PH_OK;
}

uint32_t ph__oid_set_find(const struct ph__oid_set *set, const struct ph_oid *oid)
{
	uint32_t slot;

	if (set->count == 0)
		return UINT32_MAX;
	slot = probe(set, oid);
	return set->slots[slot] ? set->slots[slot] - 1 : UINT32_MAX;
}
