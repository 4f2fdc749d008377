/* SPDX-License-Identifier: MIT */
/*
 * Blobs that trees call .gitmodules or .gitattributes: their ids are gathered while trees are
 * checked, and the blobs are checked at the end, be they received or there before. Histories name
 * the same few over and over, so the list is sorted and stripped of repetitions whenever it is
 * full.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

#define SPECIALS_MIN 256u

/* ---- gathering ---- */

static int compare(const struct ph__in_special *a, const struct ph__in_special *b)
{
	int order = ph_oid_cmp(&a->oid, &b->oid);

	return order != 0 ? order : (int)a->kind - (int)b->kind;
}

static void sift(struct ph__in_special *at, uint32_t hole, uint32_t count)
{
	struct ph__in_special value = at[hole];

	while (hole < count / 2) {
		uint32_t child = 2 * hole + 1;
		if (child + 1 < count && compare(&at[child], &at[child + 1]) < 0)
			child++;
		if (compare(&value, &at[child]) >= 0)
			break;
		at[hole] = at[child];
		hole = child;
	}
	at[hole] = value;
}

/* Sorts, and leaves one of each. */
static void strip(struct ph__in_specials *specials)
{
	struct ph__in_special *at = specials->list;
	uint32_t count = specials->count;
	uint32_t kept = 0;
	uint32_t i;

	for (i = count / 2; i > 0; i--)
		sift(at, i - 1, count);
	for (i = count; i > 1; i--) {
		struct ph__in_special last = at[i - 1];
		at[i - 1] = at[0];
		at[0] = last;
		sift(at, 0, i - 1);
	}
	for (i = 0; i < count; i++) {
		if (kept == 0 || compare(&at[kept - 1], &at[i]) != 0)
			at[kept++] = at[i];
	}
	specials->count = kept;
}

/* Grown only when stripping left it half full, so that stripping stays rare. */
static enum ph_status make_room(struct ph__in_lane *lane)
{
	struct ph__in_specials *specials = &lane->specials;
	uint32_t cap = specials->cap < SPECIALS_MIN ? SPECIALS_MIN : specials->cap * 2;
	struct ph__in_special *grown;

	if (specials->count < specials->cap)
		return PH_OK;
	if (specials->count > 0)
		strip(specials);
	if (specials->count >= PH__IN_SPECIALS_MAX)
		return ph__lane_fail(lane, PH_ERR_LIMIT, "too many special files", NULL);
	if (specials->count < specials->cap / 2)
		return PH_OK;
	grown = ph_mem_resize(lane->in->options.alloc, specials->list, cap, sizeof(*grown));
	if (!grown)
		return PH_ERR_NOMEM;
	specials->list = grown;
	specials->cap = cap;
	return PH_OK;
}

enum ph_status ph__in_special_add(struct ph__in_lane *lane, enum ph_fsck_blob_kind kind,
                                  const struct ph_oid *oid)
{
	struct ph__in_specials *specials = &lane->specials;
	struct ph__in_special *added;
	enum ph_status status;
	uint32_t i;

	/* Mostly it is one of the last few again. */
	for (i = specials->count; i > 0 && specials->count - i < 4; i--) {
		added = &specials->list[i - 1];
		if (added->kind == (uint8_t)kind && ph_oid_equal(&added->oid, oid))
			return PH_OK;
	}
	status = make_room(lane);
	if (status != PH_OK)
		return status;
	added = &specials->list[specials->count++];
	added->oid = *oid;
	added->kind = (uint8_t)kind;
	return PH_OK;
}

enum ph_status ph__in_specials_merge(struct ph__in_lane *lane)
{
	const struct ph__in_specials *specials = &lane->specials;
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < specials->count && status == PH_OK; i++)
		status = ph__in_special_add(&lane->in->main,
		                            (enum ph_fsck_blob_kind)specials->list[i].kind,
		                            &specials->list[i].oid);
	return status;
}

/* ---- checking ---- */

static enum ph_status check_blob(struct ph_pack_in *in, enum ph_object_type type,
                                 const uint8_t *data, uint64_t size)
{
	const struct ph__in_special *one = &in->main.specials.list[in->next];
	enum ph_status status;

	in->main.fsck_oid = in->main.fsck.oid = &one->oid;
	in->main.fsck_id = ph_status_text(PH_ERR_FSCK);
	status = ph_fsck_blob(&in->main.fsck, (enum ph_fsck_blob_kind)one->kind, type, data, size);
	if (status == PH_ERR_FSCK)
		return ph__in_fail(in, status, in->main.fsck_id, &one->oid);
	in->next++;
	in->state = PH__IN_SPECIAL;
	return status;
}

/* Where the blob is: in the pack or before it. */
static enum ph_status locate(struct ph_pack_in *in, const struct ph__in_special *one,
                             struct ph_loc *loc, struct ph__in_stored *stored)
{
	const struct ph_source *base = in->options.base;
	enum ph_status status;

	loc->pack = PH__IN_OWN;
	loc->pos = ph__in_find(in, &one->oid);
	if (loc->pos != PH__IN_NONE) {
		ph__in_stored_own(in, loc->pos, stored);
		return PH_OK;
	}
	status = base ? base->ops->find(base, &one->oid, loc) : PH_ERR_NOT_FOUND;
	return status == PH_OK ? ph__in_stored_base(in, *loc, stored) : status;
}

enum ph_status ph__in_special(struct ph_pack_in *in)
{
	const struct ph__in_special *one;
	struct ph__in_stored stored;
	struct ph_loc loc;
	enum ph_status status;

	if (in->next == 0)
		strip(&in->main.specials);
	if (in->next == in->main.specials.count) {
		in->state = PH__IN_INDEX;
		return PH_OK;
	}
	ph__in_charge(in, PH__IN_ENTRY_CHARGE);
	one = &in->main.specials.list[in->next];
	status = locate(in, one, &loc, &stored);
	if (status == PH_ERR_NOT_FOUND)
		return check_blob(in, PH_OBJ_NONE, NULL, 0);
	if (status != PH_OK)
		return status;
	if (stored.type != PH_OBJ_BLOB || stored.size > PH_FSCK_SPECIAL_BYTES_MAX)
		return check_blob(in, stored.type, NULL, stored.size);
	/* It is parsed whole. */
	in->main.memory_max = in->options.limits->metadata_bytes_max;
	if (stored.size > in->main.memory_max)
		return ph__in_fail(in, PH_ERR_LIMIT, "object too large", &one->oid);
	in->state = PH__IN_SPECIAL_LOAD;
	return ph__in_chain_push(&in->main, loc.pack, loc.pos);
}

enum ph_status ph__in_special_load(struct ph_pack_in *in)
{
	const struct ph__in_blob *blob;
	enum ph_status status = ph__in_chain_load(&in->main);

	if (status != PH_OK)
		return status;
	blob = &ph__in_stack_top(&in->main)->blob;
	assert(blob->mem);
	ph__in_charge(in, blob->size);
	status = check_blob(in, PH_OBJ_BLOB, blob->mem, blob->size);
	if (status == PH_OK)
		ph__in_stack_clear(&in->main);
	return status;
}
