/* SPDX-License-Identifier: MIT */
/*
 * A source over packs that a store keeps: it asks each pack's index in turn. It holds no state of
 * its own, so any number of threads may use one.
 */
#include <packhorse/pack_index.h>

#include <assert.h>

static const struct ph_pack_set *set_of(const struct ph_source *source)
{
	/* The source is the set's first member. */
	return (const struct ph_pack_set *)(const void *)source;
}

static const struct ph_pack *pack_of(const struct ph_source *source, uint32_t pack)
{
	const struct ph_pack_set *set = set_of(source);

	assert(pack < set->count);
	return set->packs[pack];
}

static uint32_t set_packs(const struct ph_source *source)
{
	return set_of(source)->count;
}

static void set_pack_size(const struct ph_source *source, uint32_t pack, uint32_t *entries,
                          uint64_t *bytes)
{
	const struct ph_pack *found = pack_of(source, pack);

	*entries = found->index.entries;
	*bytes = found->index.run_bytes;
}

static enum ph_status set_find(const struct ph_source *source, const struct ph_oid *oid,
                               struct ph_loc *out)
{
	const struct ph_pack_set *set = set_of(source);
	uint32_t i;

	for (i = 0; i < set->count; i++) {
		uint32_t pos;
		enum ph_status status = ph_index_find(&set->packs[i]->index, oid, &pos);
		if (status == PH_OK) {
			out->pack = i;
			out->pos = pos;
		}
		if (status != PH_ERR_NOT_FOUND)
			return status;
	}
	return PH_ERR_NOT_FOUND;
}

static enum ph_status set_entry(const struct ph_source *source, struct ph_loc loc,
                                struct ph_entry *out)
{
	return ph_index_entry(&pack_of(source, loc.pack)->index, loc.pos, out);
}

static enum ph_status set_at_offset(const struct ph_source *source, uint32_t pack, uint64_t offset,
                                    struct ph_loc *out)
{
	uint32_t pos;
	enum ph_status status = ph_index_at_offset(&pack_of(source, pack)->index, offset, &pos);

	if (status != PH_OK)
		return status;
	out->pack = pack;
	out->pos = pos;
	return PH_OK;
}

static enum ph_status set_read(const struct ph_source *source, uint32_t pack, uint64_t offset,
                               void *buf, size_t len)
{
	const struct ph_bytes *run = pack_of(source, pack)->run;

	/* A run shorter than its index says is damage, not a caller's mistake. */
	if (offset > run->size || len > run->size - offset)
		return PH_ERR_CORRUPT;
	return run->read(run, offset, buf, len);
}

static enum ph_status set_trailer(const struct ph_source *source, uint32_t pack, struct ph_oid *out)
{
	*out = pack_of(source, pack)->index.trailer;
	return PH_OK;
}

static enum ph_status set_find_in(const struct ph_source *source, uint32_t pack,
                                  const struct ph_oid *oid, uint32_t *pos)
{
	return ph_index_find(&pack_of(source, pack)->index, oid, pos);
}

static enum ph_status set_entries(const struct ph_source *source, uint32_t pack, uint32_t pos,
                                  uint32_t count, struct ph_entry *out)
{
	return ph_index_entries(&pack_of(source, pack)->index, pos, count, out);
}

void ph_pack_set_init(struct ph_pack_set *set, enum ph_hash_algo algo,
                      const struct ph_unpack *unpack, const struct ph_pack *const *packs,
                      uint32_t count)
{
	static const struct ph_source_ops ops = {
	        .packs = set_packs,
	        .pack_size = set_pack_size,
	        .find = set_find,
	        .entry = set_entry,
	        .at_offset = set_at_offset,
	        .read = set_read,
	        .trailer = set_trailer,
	        .find_in = set_find_in,
	        .entries = set_entries,
	};

	set->source.ops = &ops;
	set->source.algo = algo;
	set->source.unpack = unpack;
	set->packs = packs;
	set->count = count;
}
