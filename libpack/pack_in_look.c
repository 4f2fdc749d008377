/* SPDX-License-Identifier: MIT */
/*
 * Looks into commits, trees and tags while their content is at hand: fsck, and what they refer to.
 * Most of a history is trees made of other trees, so of a tree that a delta made only what the
 * delta changed is looked at, where the marks of its base tell what is the same.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* Heads of one pack: a mirror's tips. With more, none are told. */
#define HEADS_MAX 65536u
#define HEADS_MIN 64u

static void report(void *user, enum ph_fsck_severity severity, const char *id)
{
	struct ph__in_lane *lane = user;
	const struct ph_pack_in_options *options = &lane->in->options;

	if (severity == PH_FSCK_ERROR)
		lane->fsck_id = id;
	else if (severity == PH_FSCK_WARN && !lane->fsck_oid && lane->find_status == PH_OK)
		lane->find_status = ph__in_finds_add(lane, id);
	else if (severity == PH_FSCK_WARN && lane->fsck_oid && options->warn)
		options->warn(options->user, id, lane->fsck_oid);
}

static enum ph_status special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	return ph__in_special_add(user, kind, oid);
}

static enum ph_status link(void *user, enum ph_object_type type, const uint8_t *id)
{
	struct ph__in_lane *lane = user;

	ph__links_add(lane->links, type, id);
	return PH_OK;
}

enum ph_status ph__in_look_init(struct ph__in_lane *lane)
{
	const struct ph_pack_in *in = lane->in;

	lane->fsck.algo = in->options.algo;
	lane->fsck.rules = in->options.rules;
	lane->fsck.user = lane;
	lane->fsck.report = report;
	lane->fsck.special = special;
	lane->checker.algo = in->options.algo;
	lane->checker.alloc = in->options.alloc;
	lane->checker.user = lane;
	lane->checker.special = in->options.unchecked ? NULL : special;
	if (!in->links)
		return PH_OK;
	lane->links = ph_mem_alloc(in->options.alloc, sizeof(*lane->links));
	if (!lane->links)
		return PH_ERR_NOMEM;
	ph__links_buffer_init(lane->links, in->links);
	lane->checker.link = link;
	return PH_OK;
}

enum ph_status ph__in_attacked(struct ph__in_lane *lane, const struct ph_oid *oid)
{
	return ph__lane_fail(lane, PH_ERR_COLLISION,
	                     "SHA1 appears to be part of a collision attack", oid);
}

/* The object is refused; its id is part of the answer. */
static enum ph_status refuse(struct ph__in_lane *lane, enum ph_object_type type,
                             const struct ph_oid *oid, const uint8_t *data, uint64_t size)
{
	struct ph_oid made;

	if (!oid)
		ph_hash_object(&made, lane->in->options.algo, type, data, (size_t)size);
	/* Of an object whose id was known, nothing is found when it is on the skip list. */
	if (!oid && ph_fsck_skipped(lane->in->options.rules, &made))
		return lane->find_status;
	return ph__lane_fail(lane, PH_ERR_FSCK, lane->fsck_id, oid ? oid : &made);
}

/* Whether anything is to be looked for in objects of this type. */
static bool looks(const struct ph__in_lane *lane, enum ph_object_type type)
{
	return type != PH_OBJ_BLOB && (!lane->in->options.unchecked || lane->links);
}

/* What was found in a tree is told; the id may be unknown. */
static enum ph_status tell(struct ph__in_lane *lane, uint32_t entry, const struct ph_oid *oid,
                           const uint8_t *data, uint64_t size, ph__tree_found found)
{
	enum ph_status status;

	if (found == 0)
		return PH_OK;
	/* A tree that cannot be read leaves the pack open. */
	if (lane->links)
		ph__links_add_object(lane->links, PH_OBJ_TREE, data, (size_t)size);
	if (lane->in->options.unchecked)
		return PH_OK;
	lane->fsck_entry = entry;
	lane->fsck_oid = lane->fsck.oid = oid;
	lane->fsck_id = ph_status_text(PH_ERR_FSCK);
	status = ph__tree_tell(&lane->fsck, found);
	if (status == PH_ERR_FSCK)
		return refuse(lane, PH_OBJ_TREE, oid, data, size);
	return status == PH_OK ? lane->find_status : status;
}

static enum ph_status look_tree(struct ph__in_lane *lane, uint32_t entry, const struct ph_oid *oid,
                                const uint8_t *data, uint64_t size, struct ph__tree_marks *marks)
{
	ph__tree_found found = 0;
	enum ph_status status;

	ph__lane_charge(lane, size);
	status = ph__tree_check_full(&lane->checker, data, (size_t)size, marks, &found);
	return status == PH_OK ? tell(lane, entry, oid, data, size, found) : status;
}

enum ph_status ph__in_look(struct ph__in_lane *lane, enum ph_object_type type, uint32_t entry,
                           const struct ph_oid *oid, const uint8_t *data, uint64_t size)
{
	enum ph_status status;

	if (!looks(lane, type))
		return PH_OK;
	assert(data);
	if (type == PH_OBJ_TREE)
		return look_tree(lane, entry, oid, data, size, NULL);
	if (lane->links)
		ph__links_add_object(lane->links, type, data, (size_t)size);
	if (lane->in->options.unchecked)
		return PH_OK;
	ph__lane_charge(lane, size);
	lane->fsck_entry = entry;
	lane->fsck_oid = lane->fsck.oid = oid;
	lane->fsck_id = ph_status_text(PH_ERR_FSCK);
	status = ph_fsck_object(&lane->fsck, type, data, (size_t)size);
	if (status == PH_ERR_FSCK)
		return refuse(lane, type, oid, data, size);
	return status == PH_OK ? lane->find_status : status;
}

/*
 * The marks of a base: it was looked into as it came, but kept none. One from outside of the pack
 * was not, by this push: it has none, so that what is made of it is looked at whole.
 */
static enum ph_status mark_base(struct ph__in_lane *lane, struct ph__in_blob *base)
{
	struct ph__tree_checker checker = {.algo = lane->checker.algo,
	                                   .alloc = lane->checker.alloc};
	ph__tree_found found;

	if (base->looked)
		return PH_OK;
	base->looked = true;
	if (ph__in_stack_top(lane)->pack != PH__IN_OWN)
		return PH_OK;
	ph__lane_charge(lane, base->size);
	return ph__tree_check_full(&checker, base->mem, (size_t)base->size, &base->marks, &found);
}

enum ph_status ph__in_look_made(struct ph__in_lane *lane, struct ph__in_blob *base, bool marks)
{
	struct ph__in_make *make = &lane->make;
	struct ph__in_blob *blob = &make->blob;
	const struct ph_oid *oid = make->named ? &make->oid : NULL;
	size_t held = base->marks.cap;
	ph__tree_found found = 0;
	enum ph_status status;

	if (make->type != PH_OBJ_TREE || !make->direct || !looks(lane, make->type))
		return ph__in_look(lane, make->type, lane->making, oid, blob->mem, make->size);
	status = mark_base(lane, base);
	lane->held += (base->marks.cap - held) * sizeof(*base->marks.starts);
	if (status != PH_OK)
		return status;
	ph__lane_charge(lane, make->len);
	status = ph__tree_check_delta(&lane->checker, base->mem, (size_t)base->size, &base->marks,
	                              lane->delta, make->len, blob->mem, (size_t)make->size,
	                              marks ? &blob->marks : NULL, &found);
	blob->looked = marks;
	if (status != PH_OK)
		return status;
	return tell(lane, lane->making, oid, blob->mem, make->size, found);
}

/* ---- what is referred to ---- */

static void add_head(struct ph_pack_in *in, const struct ph_oid *oid)
{
	uint32_t cap = in->heads_cap < HEADS_MIN ? HEADS_MIN : 2 * in->heads_cap;

	if (!in->heads_known)
		return;
	if (in->heads_count == in->heads_cap) {
		void *grown = in->heads_count < HEADS_MAX
		                      ? ph_mem_resize(in->options.alloc, in->heads, cap,
		                                      sizeof(*in->heads))
		                      : NULL;

		/* They only save work. */
		in->heads_known = grown != NULL;
		if (!grown)
			return;
		in->heads = grown;
		in->heads_cap = cap;
	}
	in->heads[in->heads_count++] = *oid;
}

static enum ph_status end_settle(struct ph_pack_in *in)
{
	/* Nothing was looked for in bases that were added. */
	in->closed = in->links && in->stats.bases_added == 0 && ph__links_closed(in->links);
	ph__links_free(in->links);
	in->links = NULL;
	in->next = 0;
	in->state = PH__IN_EXISTING;
	return PH_OK;
}

enum ph_status ph__in_settle(struct ph_pack_in *in)
{
	uint32_t steps = PH__IN_STEP_ENTRIES;

	if (in->links && in->next == 0) {
		ph__links_flush(in->main.links);
		in->heads_known = true;
	}
	if (!in->links)
		return end_settle(in);
	for (; in->next < in->count && steps > 0; steps--) {
		const struct ph_index_record *record = ph__in_record(in, in->next++);

		if (!ph__links_settle(in->links, (enum ph_object_type)record->type, &record->oid))
			add_head(in, &record->oid);
	}
	ph__in_charge(in, (uint64_t)PH__IN_STEP_ENTRIES * 64);
	return in->next < in->count ? PH_OK : end_settle(in);
}

bool ph_pack_in_closed(const struct ph_pack_in *in)
{
	return in->closed;
}

const struct ph_oid *ph_pack_in_heads(const struct ph_pack_in *in, uint32_t *count)
{
	bool known = in->closed && in->heads_known;

	*count = known ? in->heads_count : 0;
	return known ? in->heads : NULL;
}
