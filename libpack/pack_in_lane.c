/* SPDX-License-Identifier: MIT */
/*
 * A lane: what one thread needs to resolve families of deltas, one after the other. The caller of
 * run has one, and where there is an executor its threads have one each. A lane works in steps, and
 * notes its own errors, so that lanes need not know of each other.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

enum ph_status ph__lane_init(struct ph__in_lane *lane, struct ph_pack_in *in, uint64_t cache,
                             uint64_t batch)
{
	memset(lane, 0, sizeof(*lane));
	lane->in = in;
	lane->error.what = "";
	lane->cache_max = cache;
	lane->memory_max = in->options.limits->delta_resident_bytes_max;
	ph__in_batch_init(&lane->batch, batch);
	if (ph__in_look_init(lane) != PH_OK)
		return PH_ERR_NOMEM;
	if (in->options.unpack && in->options.unpack->begin(&lane->unpack) != PH_OK)
		return PH_ERR_NOMEM;
	return ph_inflate_new(&lane->inflate, in->options.alloc);
}

void ph__lane_release(struct ph__in_lane *lane)
{
	const struct ph_alloc *alloc = lane->in->options.alloc;

	ph__in_stack_clear(lane);
	ph__in_blob_release(lane, &lane->make.blob);
	ph__in_batch_release(lane);
	ph_inflate_free(lane->inflate);
	if (lane->unpack)
		lane->in->options.unpack->end(lane->unpack);
	ph_mem_free(alloc, lane->stack);
	ph_mem_free(alloc, lane->spare);
	ph_mem_free(alloc, lane->window);
	ph_mem_free(alloc, lane->delta);
	ph_mem_free(alloc, lane->input);
	ph_mem_free(alloc, lane->links);
	ph_mem_free(alloc, lane->finds.list);
	ph_mem_free(alloc, lane->specials.list);
}

enum ph_status ph__lane_fail(struct ph__in_lane *lane, enum ph_status status, const char *what,
                             const struct ph_oid *oid)
{
	_Static_assert(sizeof(lane->error.detail) > PH_OID_HEX_MAX, "an id fits");

	assert(status < 0);
	lane->error.status = status;
	lane->error.offset = lane->in->stats.bytes;
	lane->error.what = what;
	lane->error.detail[0] = '\0';
	if (oid)
		ph_oid_to_hex(lane->error.detail, lane->in->options.algo, oid);
	return status;
}

void ph__lane_charge(struct ph__in_lane *lane, uint64_t bytes)
{
	lane->uncharged += bytes;
	ph_budget_spend(lane->budget, lane->uncharged / PH_BUDGET_UNIT_BYTES);
	lane->uncharged %= PH_BUDGET_UNIT_BYTES;
}

void ph__lane_tell(struct ph__in_lane *lane)
{
	struct ph_pack_in *in = lane->in;

	in->resolved += lane->resolved;
	lane->resolved = 0;
	in->work += lane->work;
	lane->work = 0;
	lane->work_known = in->work;
}

void ph__lane_begin(struct ph__in_lane *lane, uint32_t entry)
{
	lane->root = lane->depth - 1;
	lane->family_depth = 0;
	lane->memory_max = lane->in->options.limits->delta_resident_bytes_max;
	ph__in_children_start(lane, lane->root, entry);
	lane->state = PH__IN_LOAD;
}

static enum ph_status load(struct ph__in_lane *lane)
{
	enum ph_status status = ph__in_chain_load(lane);

	if (status == PH_OK)
		lane->state = PH__IN_DESCEND;
	return status == PH_AGAIN ? PH_OK : status;
}

enum ph_status ph__lane_flush(struct ph__in_lane *lane)
{
	return ph__in_batch_hash(lane);
}

static enum ph_status hash(struct ph__in_lane *lane)
{
	enum ph_status status = ph__lane_flush(lane);

	if (status == PH_OK)
		lane->state = PH__IN_DESCEND;
	return status == PH_AGAIN ? PH_OK : status;
}

enum ph_status ph__lane_step(struct ph__in_lane *lane)
{
	switch (lane->state) {
	case PH__IN_DESCEND:
		return ph__in_descend(lane);
	case PH__IN_MAKE:
		return ph__in_making(lane);
	case PH__IN_LOAD:
		return load(lane);
	case PH__IN_HASH:
		return hash(lane);
	case PH__IN_IDLE:
	default:
		assert(lane->state != PH__IN_IDLE);
		return PH_END;
	}
}
