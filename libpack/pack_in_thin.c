/* SPDX-License-Identifier: MIT */
/*
 * Thin packs: bases that the pack lacks are looked up among the objects that are there already.
 * First their families are resolved, and only when that shows which of them the pack holds after
 * all are the others appended to the run, so that no id occurs twice. The trailer is then computed
 * anew.
 */
#include "entry_int.h"
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

#define DEFLATE_LEVEL 6

/* Adds a record for a base behind the received ones. */
static enum ph_status add_base(struct ph_pack_in *in, const struct ph_oid *oid,
                               const struct ph__in_stored *stored)
{
	struct ph_index_record *record;
	enum ph_status status;

	if (in->count == PH__IN_NONE)
		return PH_ERR_LIMIT;
	status = ph__in_grow(in);
	if (status != PH_OK)
		return status;
	record = ph__in_record(in, in->count);
	memset(record, 0, sizeof(*record));
	record->oid = *oid;
	record->size = stored->size;
	record->type = (uint8_t)stored->type;
	ph__in_node(in, in->count)->child = PH__IN_NONE;
	ph__in_node(in, in->count)->weight = 0;
	in->count++;
	return PH_OK;
}

/* Has the family of a base that is not in the pack resolved. PH_ERR_NOT_FOUND. */
static enum ph_status begin_family(struct ph_pack_in *in, const struct ph_oid *oid)
{
	const struct ph_source *base = in->options.base;
	struct ph__in_stored stored;
	struct ph_loc loc;
	enum ph_status status = base ? base->ops->find(base, oid, &loc) : PH_ERR_NOT_FOUND;
	uint32_t added = in->count;

	if (status == PH_OK)
		status = ph__in_stored_base(in, loc, &stored);
	if (status == PH_OK)
		status = add_base(in, oid, &stored);
	if (status == PH_OK)
		status = ph__in_adopt(&in->main, added, &ph__in_record(in, added)->oid);
	if (status == PH_OK)
		status = ph__in_chain_push(&in->main, loc.pack, loc.pos);
	if (status != PH_OK)
		return status;
	/* From now on the pack may turn out to hold this base itself. */
	ph__in_bucket_add(in, added);
	ph__lane_begin(&in->main, added);
	in->state = PH__IN_FAMILY;
	return PH_OK;
}

/* Every base was tried: what waits now waits in vain, for bases missing or in a circle. */
static enum ph_status fail_missing(struct ph_pack_in *in)
{
	uint32_t i = 0;

	/* Every OFS_DELTA leads to a whole object or to a REF_DELTA, so there is one of these. */
	while (i < in->stats.received && ph__in_record(in, i)->type != PH_OBJ_REF_DELTA)
		i++;
	assert(i < in->stats.received);
	return ph__in_fail(in, PH_ERR_MISSING_BASE, "unresolved deltas",
	                   &ph__in_record(in, i)->oid);
}

/*
 * The next REF_DELTA that waits for a base. One whose base is nowhere yet may have it later, when
 * the base is itself a delta on something that is there.
 */
enum ph_status ph__in_thin(struct ph_pack_in *in)
{
	uint32_t steps = PH__IN_STEP_ENTRIES;

	for (; in->next < in->stats.received && steps > 0; steps--) {
		const struct ph_index_record *record = ph__in_record(in, in->next++);
		struct ph_oid oid = record->oid;
		enum ph_status status;
		if (record->type != PH_OBJ_REF_DELTA)
			continue;
		ph__in_charge(in, PH__IN_ENTRY_CHARGE);
		status = begin_family(in, &oid);
		if (status != PH_ERR_NOT_FOUND)
			return status;
	}
	ph__in_charge(in, PH__IN_STEP_ENTRIES * 4);
	if (in->next < in->stats.received)
		return PH_OK;
	ph__lane_tell(&in->main);
	if (in->resolved != in->stats.deltas)
		return fail_missing(in);
	in->next = in->stats.received;
	in->added_end = in->count;
	in->count = in->stats.received;
	in->state = PH__IN_APPEND;
	return PH_OK;
}

/* ---- appending ---- */

/* Behind the last base: the bytes must be in the run, and the trailer follows from them. */
static enum ph_status end_append(struct ph_pack_in *in)
{
	static const uint8_t fixed[8] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
	uint8_t header[PH__IN_PACK_HEADER_BYTES];
	enum ph_status status = ph__in_run_flush(in);

	ph__in_nodes_free(in);
	ph_mem_free(in->options.alloc, in->buckets);
	in->buckets = NULL;
	in->next = 0;
	in->state = PH__IN_SORT;
	if (status != PH_OK || in->stats.bases_added == 0)
		return status;
	memcpy(header, fixed, sizeof(fixed));
	header[8] = (uint8_t)(in->count >> 24);
	header[9] = (uint8_t)(in->count >> 16);
	header[10] = (uint8_t)(in->count >> 8);
	header[11] = (uint8_t)in->count;
	ph_hash_init_plain(&in->pack_hash, in->options.algo);
	ph_hash_update(&in->pack_hash, header, sizeof(header));
	in->append_at = 0;
	in->state = PH__IN_REHASH;
	return PH_OK;
}

/* Moves the record of a base to its final place. */
static void take_record(struct ph_pack_in *in)
{
	struct ph_index_record *record = ph__in_record(in, in->count);

	*record = *ph__in_record(in, in->next++);
	record->offset = in->run_offset;
	in->count++;
	in->stats.bases_added++;
}

/* The next base that is still needed. One that is stored whole is copied as it is stored. */
enum ph_status ph__in_append(struct ph_pack_in *in)
{
	const struct ph_source *base = in->options.base;
	struct ph_loc loc;
	enum ph_status status;

	ph__in_charge(in, PH__IN_ENTRY_CHARGE);
	if (in->next == in->added_end)
		return end_append(in);
	if (ph__in_record(in, in->next)->type == PH_OBJ_NONE) {
		in->next++;
		return PH_OK;
	}
	status = base->ops->find(base, &ph__in_record(in, in->next)->oid, &loc);
	if (status == PH_OK)
		status = ph__in_stored_base(in, loc, &in->appended);
	if (status != PH_OK)
		return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
	take_record(in);
	if (in->appended.delta) {
		in->state = PH__IN_APPEND_LOAD;
		return ph__in_chain_push(&in->main, loc.pack, loc.pos);
	}
	in->append_at = in->appended.offset;
	in->state = PH__IN_APPEND_WHOLE;
	return PH_OK;
}

enum ph_status ph__in_append_whole(struct ph_pack_in *in)
{
	const uint8_t *data;
	size_t len;
	enum ph_status status;

	if (in->append_at == in->appended.end) {
		in->state = PH__IN_APPEND;
		return PH_OK;
	}
	status = ph__in_input(&in->main, in->appended.pack, in->append_at, in->appended.end, &data,
	                      &len);
	if (status != PH_OK)
		return status;
	in->append_at += len;
	ph__in_charge(in, len);
	return ph__in_run_append(in, data, len);
}

enum ph_status ph__in_append_load(struct ph_pack_in *in)
{
	uint8_t header[PH__IN_ENTRY_HEADER_BYTES_MAX];
	enum ph_status status = ph__in_chain_load(&in->main);

	if (status == PH_OK && !in->deflate)
		status = ph_deflate_new(&in->deflate, in->options.alloc, DEFLATE_LEVEL);
	if (status != PH_OK)
		return status;
	ph_deflate_start(in->deflate);
	in->append_at = 0;
	in->state = PH__IN_APPEND_COPY;
	return ph__in_run_append(
	        in, header, ph__entry_header_write(header, in->appended.type, in->appended.size));
}

/* Deflates a window of the loaded object; out of its last call comes all that is left. */
static enum ph_status deflate_some(struct ph_pack_in *in, const uint8_t *data, size_t len,
                                   bool last)
{
	size_t pos = 0;
	enum ph_status deflated;

	do {
		size_t out_len = 0;
		enum ph_status status;
		deflated = ph_deflate_step(in->deflate, data, &pos, len, in->main.window, &out_len,
		                           PH__IN_WINDOW_BYTES, last);
		if (deflated < 0)
			return deflated;
		status = ph__in_run_append(in, in->main.window, out_len);
		if (status != PH_OK)
			return status;
	} while (last ? deflated != PH_END : pos < len);
	return PH_OK;
}

enum ph_status ph__in_append_copy(struct ph_pack_in *in)
{
	const struct ph__in_blob *blob = &ph__in_stack_top(&in->main)->blob;
	const uint8_t *data = NULL;
	size_t len = 0;
	enum ph_status status = PH_OK;

	if (in->append_at < blob->size)
		status = ph__in_blob_peek(&in->main, blob, in->append_at, PH__IN_WINDOW_BYTES,
		                          &data, &len);
	if (status != PH_OK)
		return status;
	in->append_at += len;
	/* Deflating costs several times what hashing does. */
	ph__in_charge(in, (uint64_t)len * 8);
	status = deflate_some(in, data, len, in->append_at == blob->size);
	if (status == PH_OK && in->append_at == blob->size) {
		ph__in_stack_clear(&in->main);
		in->state = PH__IN_APPEND;
	}
	return status;
}

/* The trailer of a pack of exactly this run. */
enum ph_status ph__in_rehash(struct ph_pack_in *in)
{
	uint64_t size = in->options.run->size;
	const uint8_t *data;
	size_t len;
	enum ph_status status;

	if (in->append_at == size) {
		ph_hash_final(&in->pack_hash, &in->trailer);
		in->state = PH__IN_SORT;
		return PH_OK;
	}
	status = ph__in_input(&in->main, PH__IN_OWN, in->append_at, size, &data, &len);
	if (status != PH_OK)
		return status;
	ph_hash_update(&in->pack_hash, data, len);
	ph__in_charge(in, len);
	in->append_at += len;
	return PH_OK;
}
