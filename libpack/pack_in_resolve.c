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

void ph__in_children_start(struct ph_pack_in *in, uint32_t frame, uint32_t entry)
{
	uint32_t head = ph__in_node(in, entry)->child;

	in->stack[frame].entry = entry;
	in->stack[frame].cursor = head;
	if (head != PH__IN_NONE && ph__in_node(in, head)->link != PH__IN_NONE)
		in->stack[frame].cursor = ph__in_node(in, head)->link;
}

/* The head's siblings in their order, then the head. */
static void children_next(struct ph_pack_in *in, struct ph__in_frame *frame)
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
static enum ph_status supersede(struct ph_pack_in *in, uint32_t added)
{
	uint32_t depth = in->depth - in->root;

	if (in->stack[in->root].entry == added)
		return ph__in_fail(in, PH_ERR_DELTA, "deltas in a circle",
		                   &ph__in_record(in, added)->oid);
	depth += ph__in_node(in, added)->weight;
	if (depth > in->options.limits->delta_depth_max)
		return ph__in_fail(in, PH_ERR_LIMIT, "delta chain too long", NULL);
	if (in->family_depth < depth)
		in->family_depth = depth;
	ph__in_record(in, added)->type = PH_OBJ_NONE;
	return PH_OK;
}

enum ph_status ph__in_adopt(struct ph_pack_in *in, uint32_t entry, const struct ph_oid *oid)
{
	uint32_t *at;

	if (in->ref_left == 0)
		return PH_OK;
	at = bucket_of(in, oid);
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
			enum ph_status status = supersede(in, found);
			if (status != PH_OK)
				return status;
		}
	}
	return PH_OK;
}

/* ---- families ---- */

enum ph_status ph__in_roots(struct ph_pack_in *in)
{
	uint32_t steps = PH__IN_STEP_ENTRIES;
	uint32_t i;

	assert(in->depth == 0);
	for (; in->next < in->stats.received && steps > 0; steps--) {
		enum ph_status status;
		i = in->next++;
		if (ph__in_record(in, i)->delta)
			continue;
		status = ph__in_adopt(in, i, &ph__in_record(in, i)->oid);
		if (status != PH_OK)
			return status;
		if (ph__in_node(in, i)->child == PH__IN_NONE)
			continue;
		status = ph__in_stack_push(in, PH__IN_OWN, i);
		if (status != PH_OK)
			return status;
		in->root = 0;
		in->family_depth = 0;
		in->memory_max = in->options.limits->delta_resident_bytes_max;
		ph__in_children_start(in, 0, i);
		in->state = PH__IN_LOAD;
		return PH_OK;
	}
	ph__in_charge(in, PH__IN_STEP_ENTRIES * 4);
	if (in->next == in->stats.received) {
		in->next = 0;
		in->state = PH__IN_THIN;
	}
	return PH_OK;
}

/* The family's last frame is left; what lies below the root of an added base goes with it. */
static void end_family(struct ph_pack_in *in)
{
	bool added = in->stack[in->root].pack != PH__IN_OWN;

	if (added)
		ph__in_thin_end(in);
	ph__in_stack_clear(in);
	in->state = added ? PH__IN_THIN : PH__IN_ROOTS;
}

/* Goes to the next child of the top frame, or leaves it. */
enum ph_status ph__in_descend(struct ph_pack_in *in)
{
	struct ph__in_frame *top = ph__in_stack_top(in);
	struct ph__in_stored stored;
	bool keep;

	if (top->cursor == PH__IN_NONE) {
		if (in->depth - 1 == in->root)
			end_family(in);
		else
			ph__in_stack_pop(in);
		return PH_OK;
	}
	if (!ph__in_blob_present(&top->blob)) {
		in->state = PH__IN_LOAD;
		return PH_OK;
	}
	if (in->depth - in->root > in->options.limits->delta_depth_max)
		return ph__in_fail(in, PH_ERR_LIMIT, "delta chain too long", NULL);
	in->making = top->cursor;
	children_next(in, top);
	ph__in_stored_own(in, in->making, &stored);
	stored.type = (enum ph_object_type)ph__in_record(in, in->stack[in->root].entry)->type;
	keep = ph__in_node(in, in->making)->child != PH__IN_NONE || in->ref_left > 0;
	in->state = PH__IN_MAKE;
	ph__in_charge(in, PH__IN_ENTRY_CHARGE);
	return ph__in_make_start(in, &stored, &top->blob, true, keep);
}

enum ph_status ph__in_load(struct ph_pack_in *in)
{
	enum ph_status status = ph__in_chain_load(in);

	if (status == PH_OK)
		in->state = PH__IN_DESCEND;
	return status;
}

/* An object was made: its id is known, its checks follow, and its own children. */
static enum ph_status made(struct ph_pack_in *in)
{
	struct ph__in_make *make = &in->make;
	struct ph_index_record *record = ph__in_record(in, in->making);
	enum ph_status status;

	record->oid = make->oid;
	record->type = (uint8_t)make->type;
	in->stats.resolved++;
	if (in->family_depth < in->depth - in->root)
		in->family_depth = in->depth - in->root;
	status = ph__in_fsck(in, make->type, &record->oid, make->blob.mem, record->size);
	if (status == PH_OK)
		status = ph__in_adopt(in, in->making, &record->oid);
	if (status != PH_OK)
		return status;
	if (ph__in_stack_top(in)->cursor == PH__IN_NONE)
		ph__in_stack_shed(in, in->depth - 1);
	in->state = PH__IN_DESCEND;
	if (ph__in_node(in, in->making)->child == PH__IN_NONE) {
		ph__in_blob_release(in, &make->blob);
		return PH_OK;
	}
	status = ph__in_stack_push(in, PH__IN_OWN, in->making);
	if (status != PH_OK)
		return status;
	ph__in_children_start(in, in->depth - 1, in->making);
	ph__in_stack_give(in, in->depth - 1, &make->blob);
	return PH_OK;
}

enum ph_status ph__in_making(struct ph_pack_in *in)
{
	enum ph_status status = ph__in_make_step(in);

	return status == PH_OK ? made(in) : status;
}
