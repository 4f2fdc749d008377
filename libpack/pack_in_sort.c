/* SPDX-License-Identifier: MIT */
/*
 * The numbers of all records, sorted by id: counted into buckets by the first 16 bits, then sorted
 * inside each. Ids are hashes, so buckets are small; heap sort keeps one that a peer has filled on
 * purpose from costing more than n log n. Equal ids show up here.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

#define BUCKETS 65536u
/* Up to this many, insertion is faster. */
#define INSERTION_MAX 24u

static uint32_t bucket_of(const struct ph_oid *oid)
{
	return (uint32_t)oid->bytes[0] << 8 | oid->bytes[1];
}

static bool before(const struct ph_pack_in *in, uint32_t a, uint32_t b)
{
	return ph_oid_cmp(&ph__in_record(in, a)->oid, &ph__in_record(in, b)->oid) < 0;
}

static void insertion_sort(const struct ph_pack_in *in, uint32_t *at, uint32_t count)
{
	uint32_t i;

	for (i = 1; i < count; i++) {
		uint32_t value = at[i];
		uint32_t hole = i;
		for (; hole > 0 && before(in, value, at[hole - 1]); hole--)
			at[hole] = at[hole - 1];
		at[hole] = value;
	}
}

static void sift(const struct ph_pack_in *in, uint32_t *at, uint32_t hole, uint32_t count)
{
	uint32_t value = at[hole];

	while (hole < count / 2) {
		uint32_t child = 2 * hole + 1;
		if (child + 1 < count && before(in, at[child], at[child + 1]))
			child++;
		if (!before(in, value, at[child]))
			break;
		at[hole] = at[child];
		hole = child;
	}
	at[hole] = value;
}

static void heap_sort(const struct ph_pack_in *in, uint32_t *at, uint32_t count)
{
	uint32_t i;

	for (i = count / 2; i > 0; i--)
		sift(in, at, i - 1, count);
	for (i = count; i > 1; i--) {
		uint32_t last = at[i - 1];
		at[i - 1] = at[0];
		at[0] = last;
		sift(in, at, 0, i - 1);
	}
}

/* ---- the three passes ---- */

static enum ph_status begin(struct ph_pack_in *in)
{
	const struct ph_alloc *alloc = in->options.alloc;
	size_t count = in->count > 0 ? in->count : 1;

	in->sort_starts = ph_mem_zalloc(alloc, BUCKETS + 1, sizeof(*in->sort_starts));
	in->order = ph_mem_resize(alloc, NULL, count, sizeof(*in->order));
	return in->sort_starts && in->order ? PH_OK : PH_ERR_NOMEM;
}

/* sort_starts[i + 1] counts bucket i, and is then where bucket i + 1 starts. */
static void count_some(struct ph_pack_in *in)
{
	uint32_t steps = PH__IN_STEP_ENTRIES;
	uint32_t i;

	for (; in->next < in->count && steps > 0; steps--)
		in->sort_starts[bucket_of(&ph__in_record(in, in->next++)->oid) + 1]++;
	if (in->next < in->count)
		return;
	for (i = 0; i < BUCKETS; i++)
		in->sort_starts[i + 1] += in->sort_starts[i];
	in->next = 0;
	in->sort_phase = PH__IN_SORT_PLACE;
}

/* sort_starts[i] moves from the start of bucket i to its end. */
static void place_some(struct ph_pack_in *in)
{
	uint32_t steps = PH__IN_STEP_ENTRIES;

	for (; in->next < in->count && steps > 0; steps--) {
		uint32_t number = in->next++;
		in->order[in->sort_starts[bucket_of(&ph__in_record(in, number)->oid)]++] = number;
	}
	if (in->next < in->count)
		return;
	in->next = 0;
	in->sort_phase = PH__IN_SORT_BUCKETS;
}

static enum ph_status check_unequal(struct ph_pack_in *in, uint32_t start, uint32_t end)
{
	uint32_t i;

	for (i = start + 1; i < end; i++) {
		const struct ph_oid *oid = &ph__in_record(in, in->order[i])->oid;
		if (ph_oid_equal(&ph__in_record(in, in->order[i - 1])->oid, oid))
			return ph__in_fail(in, PH_ERR_INVALID, "duplicate object", oid);
	}
	return PH_OK;
}

/* next counts buckets here. */
static enum ph_status sort_some(struct ph_pack_in *in)
{
	uint32_t done = 0;

	while (in->next < BUCKETS && done < PH__IN_STEP_ENTRIES) {
		uint32_t start = in->next > 0 ? in->sort_starts[in->next - 1] : 0;
		uint32_t end = in->sort_starts[in->next++];
		enum ph_status status;
		if (end - start <= INSERTION_MAX)
			insertion_sort(in, in->order + start, end - start);
		else
			heap_sort(in, in->order + start, end - start);
		status = check_unequal(in, start, end);
		if (status != PH_OK)
			return status;
		done += end - start;
	}
	if (in->next < BUCKETS)
		return PH_OK;
	ph_mem_free(in->options.alloc, in->sort_starts);
	in->sort_starts = NULL;
	ph__in_finds_tell(in);
	in->next = 0;
	in->state = PH__IN_SETTLE;
	return PH_OK;
}

enum ph_status ph__in_sort(struct ph_pack_in *in)
{
	/* Each looks at a record somewhere else in memory. */
	ph__in_charge(in, (uint64_t)PH__IN_STEP_ENTRIES * 64);
	if (!in->order) {
		enum ph_status status = begin(in);
		if (status != PH_OK)
			return status;
	}
	if (in->sort_phase == PH__IN_SORT_COUNT)
		count_some(in);
	else if (in->sort_phase == PH__IN_SORT_PLACE)
		place_some(in);
	else
		return sort_some(in);
	return PH_OK;
}

uint32_t ph__in_find(const struct ph_pack_in *in, const struct ph_oid *oid)
{
	uint32_t lo = 0;
	uint32_t hi = in->count;

	assert(in->order);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int order = ph_oid_cmp(&ph__in_record(in, in->order[mid])->oid, oid);
		if (order == 0)
			return in->order[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return PH__IN_NONE;
}
