/* SPDX-License-Identifier: MIT */
/*
 * The comparison of received objects with objects of the same id that are there already. Equal ids
 * with different bytes are a collision, and what is there stays what it is.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

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
	in->main.memory_max = in->options.limits->delta_resident_bytes_max;
	in->other_loaded = false;
	in->state = PH__IN_EXISTING_LOAD;
	return ph__in_chain_push(&in->main, PH__IN_OWN, in->next);
}

/* Loads the received one, puts it aside, and loads the other. */
enum ph_status ph__in_existing_load(struct ph_pack_in *in)
{
	enum ph_status status = ph__in_chain_load(&in->main);

	if (status != PH_OK)
		return status;
	if (!in->other_loaded) {
		ph__in_stack_take(&in->main, &in->other);
		ph__in_stack_clear(&in->main);
		in->other_loaded = true;
		return ph__in_chain_push(&in->main, in->other_loc.pack, in->other_loc.pos);
	}
	in->compared = 0;
	in->state = PH__IN_EXISTING_COMPARE;
	return PH_OK;
}

/* A window of both; the first is copied, as looking at the second may replace it. */
enum ph_status ph__in_existing_compare(struct ph_pack_in *in)
{
	const struct ph__in_blob *blob = &ph__in_stack_top(&in->main)->blob;
	const uint8_t *data;
	size_t len;
	size_t done = 0;
	enum ph_status status;

	if (in->compared == blob->size) {
		ph__in_blob_release(&in->main, &in->other);
		ph__in_stack_clear(&in->main);
		in->next++;
		in->state = PH__IN_EXISTING;
		return PH_OK;
	}
	status = ph__in_blob_peek(&in->main, &in->other, in->compared, PH__IN_WINDOW_BYTES, &data,
	                          &len);
	if (status != PH_OK)
		return status;
	memcpy(in->main.window, data, len);
	/* An object in many pieces costs a read for each: what does not fit the budget is later. */
	while (done < len && (done == 0 || *in->main.budget > 0)) {
		size_t part;
		status = ph__in_blob_peek(&in->main, blob, in->compared, len - done, &data, &part);
		if (status != PH_OK)
			return status;
		if (memcmp(in->main.window + done, data, part) != 0)
			return fail_collision(in);
		done += part;
		in->compared += part;
	}
	ph__in_charge(in, done);
	return PH_OK;
}
