/* SPDX-License-Identifier: MIT */
/*
 * Deltas become objects, family by family: from every whole object its descendants are visited
 * depth first over the explicit stack. The children of a base are a list that OFS_DELTAs are in
 * from the start; REF_DELTAs wait in buckets by the id of their base and join when that id becomes
 * known. The heaviest child comes last, when its base need not be kept any more.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* ---- buckets ---- */

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* A step of SplitMix64, to spread the trailer's bits over the keys. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

/*
 * A peer chooses these ids. The keys come from the pack's trailer, which the ids themselves go
 * into, so ids cannot be chosen to share a bucket.
 */
static void set_keys(struct ph_pack_in *in)
{
	uint64_t seed = load64(in->trailer.bytes) ^ mix(load64(in->trailer.bytes + 8));
	size_t i;

	for (i = 0; i < sizeof(in->bucket_keys) / sizeof(in->bucket_keys[0]); i++) {
		seed += 0x9e3779b97f4a7c15u;
		in->bucket_keys[i] = mix(seed) | 1;
	}
}

static uint32_t *bucket_of(const struct ph_pack_in *in, const struct ph_oid *oid)
{
	uint64_t sum = in->bucket_keys[4];
	size_t i;

	for (i = 0; i < 4; i++)
		sum += load64(oid->bytes + 8 * i) * in->bucket_keys[i];
	return &in->buckets[(mix(sum) >> 32) & (in->buckets_count - 1)];
}

void ph__in_bucket_add(struct ph_pack_in *in, uint32_t entry)
{
	uint32_t *bucket = bucket_of(in, &ph__in_record(in, entry)->oid);

	ph__in_node(in, entry)->link = *bucket;
	*bucket = entry;
	in->ref_left++;
}

static enum ph_status make_buckets(struct ph_pack_in *in)
{
	uint32_t count = 1;

	while (count < in->ref_deltas)
		count *= 2;
	in->buckets = ph_mem_alloc(in->options.alloc, (size_t)count * sizeof(*in->buckets));
	if (!in->buckets)
		return PH_ERR_NOMEM;
	memset(in->buckets, 0xff, (size_t)count * sizeof(*in->buckets));
	in->buckets_count = count;
	set_keys(in);
	return PH_OK;
}

/* ---- links ---- */

/* The heaviest child is the head. */
static void add_child(struct ph_pack_in *in, uint32_t base, uint32_t child)
{
	struct ph__in_node *node = ph__in_node(in, child);
	uint32_t *head = &ph__in_node(in, base)->child;

	if (*head == PH__IN_NONE || node->weight > ph__in_node(in, *head)->weight) {
		node->link = *head;
		*head = child;
	} else {
		uint32_t *link = &ph__in_node(in, *head)->link;

		node->link = *link;
		*link = child;
	}
}

/* From the last entry to the first: when one is reached, all its OFS descendants have been. */
enum ph_status ph__in_link(struct ph_pack_in *in)
{
	uint32_t steps = PH__IN_STEP_ENTRIES;
	uint32_t i;

	if (in->ref_deltas > 0 && !in->buckets) {
		enum ph_status status = make_buckets(in);
		if (status != PH_OK)
			return status;
	}
	for (; in->next > 0 && steps > 0; steps--) {
		enum ph_object_type type;
		i = --in->next;
		type = (enum ph_object_type)ph__in_record(in, i)->type;
		if (type == PH_OBJ_OFS_DELTA) {
			uint32_t base = ph__in_node(in, i)->link;
			ph__in_node(in, base)->weight += ph__in_node(in, i)->weight;
			add_child(in, base, i);
		} else if (type == PH_OBJ_REF_DELTA) {
			ph__in_bucket_add(in, i);
		}
	}
	ph__in_charge(in, PH__IN_STEP_ENTRIES * 4);
	if (in->next == 0)
		in->state = in->stats.deltas > 0 ? PH__IN_ROOTS : PH__IN_SORT;
	return PH_OK;
}

void ph__in_children_start(struct ph__in_lane *lane, uint32_t frame, uint32_t entry)
{
	const struct ph_pack_in *in = lane->in;
	uint32_t head = ph__in_node(in, entry)->child;

	lane->stack[frame].entry = entry;
	lane->stack[frame].cursor = head;
	if (head != PH__IN_NONE && ph__in_node(in, head)->link != PH__IN_NONE)
		lane->stack[frame].cursor = ph__in_node(in, head)->link;
}

/* The head's siblings in their order, then the head. */
static void children_next(const struct ph_pack_in *in, struct ph__in_frame *frame)
{
	uint32_t head = ph__in_node(in, frame->entry)->child;
	uint32_t link = ph__in_node(in, frame->cursor)->link;

	if (frame->cursor == head)
		frame->cursor = PH__IN_NONE;
	else
		frame->cursor = link != PH__IN_NONE ? link : head;
}

/* ---- ids that become known ---- */

/*
 * A base was added for an id, and now the pack itself turns out to hold it. Then it is the pack's
 * own that the family builds on: fine, unless it is a member of that family itself, or the chains
 * get too long together.
 */
static enum ph_status supersede(struct ph__in_lane *lane, uint32_t added)
{
	struct ph_pack_in *in = lane->in;
	uint32_t depth = lane->depth - lane->root;

	if (lane->stack[lane->root].entry == added)
		return ph__lane_fail(lane, PH_ERR_DELTA, "deltas in a circle",
		                     &ph__in_record(in, added)->oid);
	depth += ph__in_node(in, added)->weight;
	if (depth > in->options.limits->delta_depth_max)
		return ph__lane_fail(lane, PH_ERR_LIMIT, "delta chain too long", NULL);
	if (lane->family_depth < depth)
		lane->family_depth = depth;
	ph__in_record(in, added)->type = PH_OBJ_NONE;
	return PH_OK;
}

static enum ph_status adopt(struct ph__in_lane *lane, uint32_t entry, const struct ph_oid *oid)
{
	struct ph_pack_in *in = lane->in;
	uint32_t *at = bucket_of(in, oid);

	while (*at != PH__IN_NONE) {
		uint32_t found = *at;
		if (!ph_oid_equal(&ph__in_record(in, found)->oid, oid)) {
			at = &ph__in_node(in, found)->link;
			continue;
		}
		*at = ph__in_node(in, found)->link;
		in->ref_left--;
		if (found < in->stats.received) {
			add_child(in, entry, found);
		} else {
			enum ph_status status = supersede(lane, found);
			if (status != PH_OK)
				return status;
		}
	}
	return PH_OK;
}

enum ph_status ph__in_adopt(struct ph__in_lane *lane, uint32_t entry, const struct ph_oid *oid)
{
	struct ph_pack_in *in = lane->in;
	enum ph_status status = PH_OK;

	if (in->ref_deltas == 0)
		return PH_OK;
	ph__in_lock(in);
	if (in->ref_left > 0)
		status = adopt(lane, entry, oid);
	ph__in_unlock(in);
	return status;
}

/* ---- families ---- */

enum ph_status ph__in_roots_next(struct ph__in_lane *lane, uint32_t *next, uint32_t end)
{
	const struct ph_pack_in *in = lane->in;
	uint32_t steps = PH__IN_STEP_ENTRIES;

	assert(lane->depth == 0);
	for (; *next < end && steps > 0; steps--) {
		enum ph_status status;
		uint32_t i = (*next)++;

		if (ph__in_record(in, i)->delta)
			continue;
		status = ph__in_adopt(lane, i, &ph__in_record(in, i)->oid);
		if (status != PH_OK)
			return status;
		if (ph__in_node(in, i)->child == PH__IN_NONE)
			continue;
		status = ph__in_stack_push(lane, PH__IN_OWN, i);
		if (status == PH_OK)
			ph__lane_begin(lane, i);
		return status;
	}
	ph__lane_charge(lane, (uint64_t)(PH__IN_STEP_ENTRIES - steps) * 4);
	return *next < end ? PH_OK : PH_END;
}

/* The families that begin in the pack: by threads, or here. */
enum ph_status ph__in_roots(struct ph_pack_in *in)
{
	enum ph_status status;

	if (in->next == 0 && in->main.state == PH__IN_IDLE && in->results >= PH__IN_CREW_BYTES &&
	    ph__in_crew_width(in->options.executor, in->stats.deltas) > 0)
		return ph__in_crew_begin(in);
	if (in->main.state != PH__IN_IDLE)
		status = ph__lane_step(&in->main);
	else
		status = ph__in_roots_next(&in->main, &in->next, in->stats.received);
	if (status != PH_END || in->main.state != PH__IN_IDLE || in->next < in->stats.received)
		return status;
	status = ph__lane_flush(&in->main);
	if (status != PH_OK)
		return status;
	in->next = 0;
	in->state = PH__IN_THIN;
	return PH_OK;
}

/* The family of a base that is not in the pack. */
enum ph_status ph__in_family(struct ph_pack_in *in)
{
	enum ph_status status = ph__lane_step(&in->main);

	if (status == PH_END)
		in->state = PH__IN_THIN;
	return status;
}

/* The family's last frame is left; what lies below the root of an added base goes with it. */
static enum ph_status end_family(struct ph__in_lane *lane)
{
	const struct ph__in_frame *root = &lane->stack[lane->root];

	/* A later one that builds on this base goes as deep. */
	if (root->pack != PH__IN_OWN)
		ph__in_node(lane->in, root->entry)->weight = lane->family_depth;
	ph__in_stack_clear(lane);
	ph__in_large_give(lane);
	lane->state = PH__IN_IDLE;
	return PH_END;
}

/* Goes to the next child of the top frame, or leaves it. */
enum ph_status ph__in_descend(struct ph__in_lane *lane)
{
	const struct ph_pack_in *in = lane->in;
	struct ph__in_frame *top = ph__in_stack_top(lane);
	struct ph__in_stored stored;
	enum ph_status status;
	bool keep;

	if (top->cursor == PH__IN_NONE) {
		if (lane->depth - 1 == lane->root)
			return end_family(lane);
		ph__in_stack_pop(lane);
		return PH_OK;
	}
	if (!ph__in_blob_present(&top->blob)) {
		lane->state = PH__IN_LOAD;
		return PH_OK;
	}
	if (lane->depth - lane->root > in->options.limits->delta_depth_max)
		return ph__lane_fail(lane, PH_ERR_LIMIT, "delta chain too long", NULL);
	ph__in_stored_own(in, top->cursor, &stored);
	status = ph__in_make_may(lane, stored.size);
	if (status != PH_OK)
		return status;
	lane->making = top->cursor;
	children_next(in, top);
	stored.type = (enum ph_object_type)ph__in_record(in, lane->stack[lane->root].entry)->type;
	/* What waits for its id may wait for this one. */
	keep = ph__in_node(in, lane->making)->child != PH__IN_NONE || in->ref_deltas > 0;
	lane->state = PH__IN_MAKE;
	ph__lane_charge(lane, PH__IN_ENTRY_CHARGE);
	status = ph__in_make_start(lane, &stored, &top->blob, true, keep);
	lane->make.later = true;
	return status;
}

/* Its id is needed now, to find what builds on it; or it waits for others to be hashed with. */
static enum ph_status name(struct ph__in_lane *lane, struct ph__in_make *make)
{
	struct ph_pack_in *in = lane->in;
	enum ph_status status = PH_OK;

	if (!make->named && in->ref_deltas == 0 && make->size <= PH__IN_BATCH_OBJECT_BYTES_MAX &&
	    make->size <= lane->batch.bytes_max)
		return ph__in_batch_add(lane, lane->making, make->type, &make->blob);
	if (!make->named)
		status = ph__in_name(lane);
	if (status != PH_OK)
		return status;
	ph__in_record(in, lane->making)->oid = make->oid;
	return ph__in_adopt(lane, lane->making, &make->oid);
}

/* An object was made: its checks follow, its id, and its own children. */
static enum ph_status made(struct ph__in_lane *lane)
{
	struct ph_pack_in *in = lane->in;
	struct ph__in_make *make = &lane->make;
	struct ph_index_record *record = ph__in_record(in, lane->making);
	enum ph_status status;

	record->type = (uint8_t)make->type;
	lane->resolved++;
	if (lane->family_depth < lane->depth - lane->root)
		lane->family_depth = lane->depth - lane->root;
	status = ph__in_look_made(lane, &ph__in_stack_top(lane)->blob,
	                          ph__in_node(in, lane->making)->child != PH__IN_NONE);
	if (status == PH_OK)
		status = name(lane, make);
	if (status != PH_OK)
		return status;
	if (ph__in_stack_top(lane)->cursor == PH__IN_NONE)
		ph__in_stack_shed(lane, lane->depth - 1);
	lane->state = ph__in_batch_full(&lane->batch) ? PH__IN_HASH : PH__IN_DESCEND;
	if (ph__in_node(in, lane->making)->child == PH__IN_NONE) {
		ph__in_blob_release(lane, &make->blob);
		return PH_OK;
	}
	status = ph__in_stack_push(lane, PH__IN_OWN, lane->making);
	if (status != PH_OK)
		return status;
	ph__in_children_start(lane, lane->depth - 1, lane->making);
	ph__in_stack_give(lane, lane->depth - 1, &make->blob);
	return PH_OK;
}

enum ph_status ph__in_making(struct ph__in_lane *lane)
{
	enum ph_status status = ph__in_make_step(lane);

	if (status == PH_AGAIN)
		return PH_OK;
	return status == PH_OK ? made(lane) : status;
}
