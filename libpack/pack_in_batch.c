/* SPDX-License-Identifier: MIT */
/*
 * Objects that a lane has made and that wait for their ids. Many are hashed side by side in less
 * time than one after the other, best when they are of similar size: so some megabytes are
 * gathered, sorted by size, and hashed in groups. An object stays with the frame of the stack that
 * needs it, or with the batch when nothing else does any more.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

#define MADE_MIN 64u
/* So many small objects make a batch full, whatever their bytes. */
#define MADE_MAX 512u
/* Objects hashed in one step, and their bytes: lanes of a processor make up for the length. */
#define GROUP_MAX 64u
#define GROUP_BYTES_MAX ((uint64_t)2 << 20)

uint64_t ph__in_batch_list_bytes(void)
{
	return (uint64_t)MADE_MAX * sizeof(struct ph__in_made);
}

/* Where memory is scarce, less is gathered before it is hashed. */
uint64_t ph__in_batch_bytes(const struct ph_limits *limits)
{
	uint64_t share = limits->delta_cache_bytes_max / 16;

	return share < PH__IN_BATCH_BYTES ? share : PH__IN_BATCH_BYTES;
}

void ph__in_batch_init(struct ph__in_batch *batch, uint64_t bytes_max)
{
	memset(batch, 0, sizeof(*batch));
	batch->bytes_max = bytes_max;
	batch->number = 1;
}

void ph__in_batch_release(struct ph__in_lane *lane)
{
	const struct ph_alloc *alloc = lane->in->options.alloc;
	struct ph__in_batch *batch = &lane->batch;

	for (uint32_t i = 0; i < batch->count; i++) {
		if (batch->made[i].owned)
			ph_mem_free(alloc, batch->made[i].mem);
	}
	ph_mem_free(alloc, batch->made);
	batch->made = NULL;
	batch->count = batch->cap = 0;
}

enum ph_status ph__in_batch_add(struct ph__in_lane *lane, uint32_t entry, enum ph_object_type type,
                                struct ph__in_blob *blob)
{
	struct ph__in_batch *batch = &lane->batch;
	struct ph__in_made *made;

	assert(blob->mem);
	if (batch->count == batch->cap) {
		uint32_t cap = batch->cap > 0 ? 2 * batch->cap : MADE_MIN;

		made = ph_mem_resize(lane->in->options.alloc, batch->made, cap, sizeof(*made));
		if (!made)
			return PH_ERR_NOMEM;
		batch->made = made;
		batch->cap = cap;
	}
	blob->batch = batch->number;
	blob->item = batch->count;
	batch->made[batch->count++] = (struct ph__in_made){.entry = entry,
	                                                   .type = type,
	                                                   .mem = blob->mem,
	                                                   .size = (size_t)blob->size,
	                                                   .cap = blob->cap};
	batch->bytes += blob->cap;
	return PH_OK;
}

bool ph__in_batch_full(const struct ph__in_batch *batch)
{
	return batch->bytes >= batch->bytes_max || batch->count >= MADE_MAX;
}

bool ph__in_batch_keep(struct ph__in_lane *lane, struct ph__in_blob *blob)
{
	if (!blob->mem || blob->batch != lane->batch.number)
		return false;
	assert(lane->batch.made[blob->item].mem == blob->mem);
	lane->batch.made[blob->item].owned = true;
	return true;
}

/* Shell's sort with Ciura's gaps: largest first. */
static void sort(struct ph__in_made *made, uint32_t count)
{
	static const uint32_t gaps[] = {301, 132, 57, 23, 10, 4, 1};

	for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
		uint32_t gap = gaps[g];

		for (uint32_t i = gap; i < count; i++) {
			struct ph__in_made moved = made[i];
			uint32_t at = i;

			for (; at >= gap && made[at - gap].size < moved.size; at -= gap)
				made[at] = made[at - gap];
			made[at] = moved;
		}
	}
}

/* Hashes the next group; says how many objects it had. */
static enum ph_status hash_group(struct ph__in_lane *lane, uint32_t *hashed)
{
	const struct ph__in_made *made = lane->batch.made + lane->batch.done;
	uint32_t left = lane->batch.count - lane->batch.done;
	struct ph_hash_item items[GROUP_MAX];
	enum ph_status status = PH_OK;
	uint64_t bytes = 0;
	uint32_t count = 0;

	for (; count < left && count < GROUP_MAX && bytes < GROUP_BYTES_MAX; count++) {
		items[count].type = made[count].type;
		items[count].data = made[count].mem;
		items[count].size = made[count].size;
		bytes += made[count].size;
	}
	ph_hash_items(lane->in->options.algo, items, count);
	ph__lane_charge(lane, bytes);
	for (uint32_t i = 0; i < count; i++) {
		ph__in_record(lane->in, made[i].entry)->oid = items[i].oid;
		if (items[i].attacked && status == PH_OK)
			status = ph__in_attacked(lane, &items[i].oid);
	}
	*hashed = count;
	return status;
}

static void drop_group(struct ph__in_lane *lane, uint32_t count)
{
	struct ph__in_made *made = lane->batch.made + lane->batch.done;

	for (uint32_t i = 0; i < count; i++) {
		struct ph__in_blob blob = {.mem = made[i].mem, .cap = made[i].cap};

		if (made[i].owned)
			ph__in_blob_release(lane, &blob);
		made[i].owned = false;
	}
	lane->batch.done += count;
}

enum ph_status ph__in_batch_hash(struct ph__in_lane *lane)
{
	struct ph__in_batch *batch = &lane->batch;
	uint32_t hashed = 0;
	enum ph_status status;

	if (batch->count == 0)
		return PH_OK;
	if (batch->done == 0) {
		/* From here on frames keep what is theirs. */
		if (++batch->number == 0)
			batch->number = 1;
		sort(batch->made, batch->count);
	}
	status = hash_group(lane, &hashed);
	drop_group(lane, hashed);
	if (batch->done < batch->count)
		return status == PH_OK ? PH_AGAIN : status;
	batch->count = 0;
	batch->done = 0;
	batch->bytes = 0;
	return status;
}
