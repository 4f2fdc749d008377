/* SPDX-License-Identifier: MIT */
/*
 * Short ids. In the sorted ids of a pack only the two neighbours of a place can share more digits
 * with an id than others do, so one search in each pack tells how many are needed.
 */
#include "facts_int.h"

#include <packhorse/pack_index.h>

#define LEAST_DIGITS 7u

unsigned ph__abbrev_least(uint64_t objects)
{
	unsigned bits = 0;

	while (objects >> bits)
		bits++;
	/* Half as many bits as there are objects collide about once; a digit has four. */
	bits = (bits + 1) / 2;
	return bits < LEAST_DIGITS ? LEAST_DIGITS : bits;
}

/* Digits that both begin with. */
static unsigned common(const struct ph_oid *a, const struct ph_oid *b)
{
	unsigned digits = 0;

	for (unsigned i = 0; i < PH_OID_BYTES_MAX; i++) {
		if (a->bytes[i] == b->bytes[i]) {
			digits += 2;
			continue;
		}
		return digits + (a->bytes[i] >> 4 == b->bytes[i] >> 4);
	}
	return digits;
}

static enum ph_status read_id(const struct ph_index *index, uint32_t at, struct ph_oid *out)
{
	size_t len = ph_hash_bytes(index->algo);
	uint8_t bytes[PH_OID_BYTES_MAX];
	enum ph_status status =
	        index->bytes->read(index->bytes, index->ids_at + at * (uint64_t)len, bytes, len);

	if (status == PH_OK)
		ph_oid_from_bytes(out, index->algo, bytes);
	return status;
}

/* The first id of a pack that is not below oid. */
static enum ph_status lower_bound(const struct ph_index *index, const struct ph_oid *oid,
                                  uint32_t *out)
{
	uint8_t first = oid->bytes[0];
	uint32_t low = first ? index->fanout[first - 1] : 0, high = index->fanout[first];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct ph_oid id;
		enum ph_status status = read_id(index, middle, &id);

		if (status != PH_OK)
			return status;
		if (ph_oid_cmp(&id, oid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*out = low;
	return PH_OK;
}

static enum ph_status look(const struct ph_index *index, const struct ph_oid *oid, unsigned *digits)
{
	uint32_t at = 0;
	struct ph_oid id;
	enum ph_status status = lower_bound(index, oid, &at);

	for (uint32_t i = at > 0 ? at - 1 : 0; status == PH_OK && i < index->entries && i <= at + 1;
	     i++) {
		status = read_id(index, i, &id);
		if (status == PH_OK && !ph_oid_equal(&id, oid) && common(&id, oid) >= *digits)
			*digits = common(&id, oid) + 1;
	}
	return status;
}

enum ph_status ph__abbrev(struct ph_snapshot *snapshot, const struct ph_alloc *alloc,
                          const struct ph_oid *oid, unsigned least, unsigned *out, uint32_t *budget)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_index *index = ph_mem_alloc(alloc, sizeof(*index));
	enum ph_status status = index ? PH_OK : PH_ERR_NOMEM;

	*out = least;
	for (uint32_t i = 0; i < source->ops->packs(source) && status == PH_OK; i++) {
		const struct ph_bytes *bytes = ph_snapshot_section(snapshot, i, PH_SECTION_INDEX);

		ph_budget_spend(budget, 1);
		if (!bytes)
			continue;
		status = ph_index_init(index, bytes, source->algo);
		if (status == PH_OK)
			status = look(index, oid, out);
	}
	ph_mem_free(alloc, index);
	return status;
}
