/* SPDX-License-Identifier: MIT */
/*
 * Warnings of fsck on objects whose ids are not known yet, or that another thread than run's caller
 * found: kept by the numbers of entries, and told in their order, so that what is told does not
 * depend on who came first. Nobody reads thousands of them: the first are enough.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

#define FINDS_MIN 16u
/* So many are told; lists are cut back to it when they hold twice as many. */
#define FINDS_TOLD_MAX 128u

uint64_t ph__in_finds_bytes(void)
{
	return 2 * (uint64_t)FINDS_TOLD_MAX * sizeof(struct ph__in_find);
}

static bool before(const struct ph__in_find *a, const struct ph__in_find *b)
{
	return a->entry != b->entry ? a->entry < b->entry : a->turn < b->turn;
}

static void sift(struct ph__in_find *at, uint32_t hole, uint32_t count)
{
	struct ph__in_find value = at[hole];

	while (hole < count / 2) {
		uint32_t child = 2 * hole + 1;

		if (child + 1 < count && before(&at[child], &at[child + 1]))
			child++;
		if (!before(&value, &at[child]))
			break;
		at[hole] = at[child];
		hole = child;
	}
	at[hole] = value;
}

/* Sorts, and leaves the first. */
static void cut_back(struct ph__in_finds *finds)
{
	struct ph__in_find *at = finds->list;

	for (uint32_t i = finds->count / 2; i > 0; i--)
		sift(at, i - 1, finds->count);
	for (uint32_t i = finds->count; i > 1; i--) {
		struct ph__in_find last = at[i - 1];

		at[i - 1] = at[0];
		at[0] = last;
		sift(at, 0, i - 1);
	}
	if (finds->count > FINDS_TOLD_MAX)
		finds->count = FINDS_TOLD_MAX;
}

static enum ph_status add(struct ph__in_lane *lane, const struct ph__in_find *find)
{
	struct ph__in_finds *finds = &lane->finds;

	if (finds->count == 2 * FINDS_TOLD_MAX)
		cut_back(finds);
	if (finds->count == finds->cap) {
		uint32_t cap = finds->cap > 0 ? 2 * finds->cap : FINDS_MIN;
		void *grown = ph_mem_resize(lane->in->options.alloc, finds->list, cap,
		                            sizeof(*finds->list));

		if (!grown)
			return PH_ERR_NOMEM;
		finds->list = grown;
		finds->cap = cap;
	}
	finds->list[finds->count++] = *find;
	return PH_OK;
}

enum ph_status ph__in_finds_add(struct ph__in_lane *lane, const char *id)
{
	struct ph__in_find find = {.entry = lane->fsck_entry, .turn = lane->finds.turn++, .id = id};

	return lane->in->options.warn ? add(lane, &find) : PH_OK;
}

enum ph_status ph__in_finds_merge(struct ph__in_lane *lane)
{
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < lane->finds.count && status == PH_OK; i++)
		status = add(&lane->in->main, &lane->finds.list[i]);
	return status;
}

void ph__in_finds_tell(struct ph_pack_in *in)
{
	struct ph__in_finds *finds = &in->main.finds;

	if (finds->count > 0)
		cut_back(finds);
	for (uint32_t i = 0; i < finds->count; i++) {
		const struct ph_oid *oid = &ph__in_record(in, finds->list[i].entry)->oid;

		if (!ph_fsck_skipped(in->options.rules, oid))
			in->options.warn(in->options.user, finds->list[i].id, oid);
	}
	ph_mem_free(in->options.alloc, finds->list);
	memset(finds, 0, sizeof(*finds));
}
