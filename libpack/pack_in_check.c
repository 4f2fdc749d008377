/* SPDX-License-Identifier: MIT */
/*
 * Checks of received objects: fsck of commits, trees and tags as soon as their id is known, and, at
 * the end, the comparison with objects of the same id that are there already. Equal ids with
 * different bytes are a collision, and what is there stays what it is.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* ---- fsck ---- */

static void report(void *user, enum ph_fsck_severity severity, const char *id)
{
	struct ph_pack_in *in = user;

	if (severity == PH_FSCK_ERROR)
		in->fsck_id = id;
	else if (severity == PH_FSCK_WARN && in->options.warn)
		in->options.warn(in->options.user, id, in->fsck_oid);
}

static enum ph_status special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	return ph__in_special_add(user, kind, oid);
}

void ph__in_fsck_init(struct ph_pack_in *in)
{
	in->fsck.algo = in->options.algo;
	in->fsck.user = in;
	in->fsck.report = report;
	in->fsck.special = special;
}

enum ph_status ph__in_fsck(struct ph_pack_in *in, enum ph_object_type type,
                           const struct ph_oid *oid, const uint8_t *data, uint64_t size)
{
	enum ph_status status;

	if (type == PH_OBJ_BLOB)
		return PH_OK;
	assert(data);
	in->fsck_oid = oid;
	in->fsck_id = ph_status_text(PH_ERR_FSCK);
	ph__in_charge(in, size);
	status = ph_fsck_object(&in->fsck, type, data, (size_t)size);
	if (status == PH_ERR_FSCK)
		return ph__in_fail(in, status, in->fsck_id, oid);
	return status;
}

/* ---- collisions ---- */

enum ph_status ph__in_fail_attacked(struct ph_pack_in *in, const struct ph_oid *oid)
{
	return ph__in_fail(in, PH_ERR_COLLISION, "SHA1 appears to be part of a collision attack",
	                   oid);
}

enum ph_status ph__in_hash_final(struct ph_pack_in *in, struct ph_hash *hash, struct ph_oid *oid)
{
	ph_hash_final(hash, oid);
	return ph_hash_attacked(hash) ? ph__in_fail_attacked(in, oid) : PH_OK;
}

/* ---- objects that exist ---- */

static enum ph_status fail_collision(struct ph_pack_in *in)
{
	return ph__in_fail(in, PH_ERR_COLLISION, "object exists with other content",
	                   &ph__in_record(in, in->next)->oid);
}

/* Looks whether the next received object exists, and has its content compared then. */
enum ph_status ph__in_existing(struct ph_pack_in *in)
{
	const struct ph_source *base = in->options.base;
	const struct ph_index_record *record;
	struct ph__in_stored stored;
	enum ph_status status;

	if (!base || in->next == in->stats.received) {
		in->next = 0;
		in->state = PH__IN_SPECIAL;
		return PH_OK;
	}
	record = ph__in_record(in, in->next);
	ph__in_charge(in, PH__IN_ENTRY_CHARGE);
	status = base->ops->find(base, &record->oid, &in->other_loc);
	if (status == PH_ERR_NOT_FOUND) {
		in->next++;
		return PH_OK;
	}
	if (status == PH_OK)
		status = ph__in_stored_base(in, in->other_loc, &stored);
	if (status != PH_OK)
		return status;
	if (stored.size != record->size || stored.type != (enum ph_object_type)record->type)
		return fail_collision(in);
	in->memory_max = in->options.limits->delta_resident_bytes_max;
	in->other_loaded = false;
	in->state = PH__IN_EXISTING_LOAD;
	return ph__in_chain_push(in, PH__IN_OWN, in->next);
}

/* Loads the received one, puts it aside, and loads the other. */
enum ph_status ph__in_existing_load(struct ph_pack_in *in)
{
	enum ph_status status = ph__in_chain_load(in);

	if (status != PH_OK)
		return status;
	if (!in->other_loaded) {
		ph__in_stack_take(in, &in->other);
		ph__in_stack_clear(in);
		in->other_loaded = true;
		return ph__in_chain_push(in, in->other_loc.pack, in->other_loc.pos);
	}
	in->compared = 0;
	in->state = PH__IN_EXISTING_COMPARE;
	return PH_OK;
}

/* A window of both; the first is copied, as looking at the second may replace it. */
enum ph_status ph__in_existing_compare(struct ph_pack_in *in)
{
	const struct ph__in_blob *blob = &ph__in_stack_top(in)->blob;
	const uint8_t *data;
	size_t len;
	size_t done = 0;
	enum ph_status status;

	if (in->compared == blob->size) {
		ph__in_blob_release(in, &in->other);
		ph__in_stack_clear(in);
		in->next++;
		in->state = PH__IN_EXISTING;
		return PH_OK;
	}
	status = ph__in_blob_peek(in, &in->other, in->compared, PH__IN_WINDOW_BYTES, &data, &len);
	if (status != PH_OK)
		return status;
	memcpy(in->window, data, len);
	while (done < len) {
		size_t part;
		status = ph__in_blob_peek(in, blob, in->compared, len - done, &data, &part);
		if (status != PH_OK)
			return status;
		if (memcmp(in->window + done, data, part) != 0)
			return fail_collision(in);
		done += part;
		in->compared += part;
	}
	ph__in_charge(in, len);
	return PH_OK;
}
