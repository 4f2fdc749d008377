/* SPDX-License-Identifier: MIT */
/*
 * Several stored packs made into one. First the sorted ids of all indexes are merged, which shows
 * the copies of an object beside each other: the one in the first pack is kept, where find looks
 * too, and all of them share a row. Then entries are written (pack_join_write.c), pack by pack, and
 * at last the index (pack_join_index.c).
 */
#include "pack_join_int.h"

#include <assert.h>
#include <string.h>

/* Merging a row is cheaper than walking an object. */
#define ROWS_PER_UNIT 16u

static enum ph_status open_packs(struct ph_pack_join *join)
{
	const struct ph_pack_join_options *options = &join->options;
	uint64_t total = 0;

	join->packs = ph_mem_zalloc(options->alloc, options->count, sizeof(*join->packs));
	if (!join->packs)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < options->count; i++) {
		struct ph__join_pack *pack = &join->packs[i];
		enum ph_status status =
		        ph_index_init(&pack->index, options->indexes[i], options->source->algo);

		if (status != PH_OK)
			return status;
		pack->first = (uint32_t)total;
		total += pack->index.entries;
		if (total >= PH__JOIN_FREE)
			return PH_ERR_LIMIT;
		pack->ids = ph_mem_alloc(options->alloc, PH__JOIN_ROWS * PH_OID_BYTES_MAX);
		if (!pack->ids)
			return PH_ERR_NOMEM;
	}
	join->total = (uint32_t)total;
	return PH_OK;
}

static enum ph_status make_tables(struct ph_pack_join *join)
{
	const struct ph_alloc *alloc = join->options.alloc;
	size_t count = (size_t)join->total + 1;

	join->row_of = ph_mem_resize(alloc, NULL, count, sizeof(*join->row_of));
	join->number_of = ph_mem_resize(alloc, NULL, count, sizeof(*join->number_of));
	join->offset_of = ph_mem_resize(alloc, NULL, count, sizeof(*join->offset_of));
	join->depth_of = ph_mem_resize(alloc, NULL, count, sizeof(*join->depth_of));
	join->rank_of = ph_mem_resize(alloc, NULL, count, sizeof(*join->rank_of));
	join->row_at = ph_mem_resize(alloc, NULL, count, sizeof(*join->row_at));
	join->stack = ph_mem_resize(alloc, NULL, (size_t)join->options.limits->delta_depth_max + 1,
	                            sizeof(*join->stack));
	join->window = ph_mem_alloc(alloc, PH__JOIN_WINDOW_BYTES);
	join->out = ph_mem_alloc(alloc, PH__JOIN_WINDOW_BYTES);
	for (size_t i = 0; join->row_of && i < count; i++)
		join->row_of[i] = PH__JOIN_FREE;
	return join->row_of && join->number_of && join->offset_of && join->depth_of &&
	                       join->rank_of && join->row_at && join->stack && join->window &&
	                       join->out
	               ? PH_OK
	               : PH_ERR_NOMEM;
}

enum ph_status ph_pack_join_new(struct ph_pack_join **out,
                                const struct ph_pack_join_options *options)
{
	struct ph_pack_join *join;
	enum ph_status status;

	if (options->count == 0 || options->count > PH_PACK_JOIN_MAX)
		return PH_ERR_LIMIT;
	assert(!options->walk || options->count == options->source->ops->packs(options->source));
	join = ph_mem_zalloc(options->alloc, 1, sizeof(*join));
	if (!join)
		return PH_ERR_NOMEM;
	join->options = *options;
	status = open_packs(join);
	if (status == PH_OK)
		status = make_tables(join);
	if (status != PH_OK) {
		ph_pack_join_free(join);
		return status;
	}
	*out = join;
	return PH_OK;
}

void ph_pack_join_free(struct ph_pack_join *join)
{
	const struct ph_alloc *alloc;

	if (!join)
		return;
	alloc = join->options.alloc;
	ph__again_close(&join->again);
	ph_reader_free(join->reader);
	ph_deflate_free(join->deflate);
	for (uint32_t i = 0; join->packs && i < join->options.count; i++)
		ph_mem_free(alloc, join->packs[i].ids);
	ph_mem_free(alloc, join->packs);
	ph_mem_free(alloc, join->row_of);
	ph_mem_free(alloc, join->number_of);
	ph_mem_free(alloc, join->offset_of);
	ph_mem_free(alloc, join->depth_of);
	ph_mem_free(alloc, join->rank_of);
	ph_mem_free(alloc, join->row_at);
	ph_mem_free(alloc, join->stack);
	ph_mem_free(alloc, join->window);
	ph_mem_free(alloc, join->out);
	ph_mem_free(alloc, join);
}

const struct ph_pack_join_stats *ph_pack_join_stats(const struct ph_pack_join *join)
{
	return &join->stats;
}

uint32_t ph__join_pack_of(const struct ph_pack_join *join, uint32_t number)
{
	uint32_t lo = 0, hi = join->options.count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (join->packs[mid].first <= number)
			lo = mid;
		else
			hi = mid;
	}
	/* Packs of no entries begin where the next one does. */
	assert(number - join->packs[lo].first < join->packs[lo].index.entries);
	return lo;
}

enum ph_status ph__join_entry(const struct ph_pack_join *join, uint32_t number,
                              struct ph_entry *out)
{
	const struct ph__join_pack *pack = &join->packs[ph__join_pack_of(join, number)];

	return ph_index_entry(&pack->index, number - pack->first, out);
}

bool ph_pack_join_rank(const struct ph_pack_join *join, uint32_t number, uint32_t pos,
                       uint32_t *rank)
{
	uint32_t row;

	assert(join->phase == PH__JOIN_DONE && number < join->options.count);
	assert(pos < join->packs[number].index.entries);
	row = join->row_of[join->packs[number].first + pos];
	if (row == PH__JOIN_NONE)
		return false;
	*rank = join->rank_of[row];
	return true;
}

/* ---- merging ids ---- */

/* The id at the head of a pack; NULL behind the last. */
static enum ph_status head(struct ph_pack_join *join, struct ph__join_pack *pack,
                           const uint8_t **id)
{
	size_t hash_len = ph_hash_bytes(join->options.source->algo);
	const struct ph_index *index = &pack->index;
	uint32_t count = index->entries - pack->row;

	*id = NULL;
	if (count == 0)
		return PH_OK;
	if (pack->row - pack->ids_at >= pack->ids_count) {
		enum ph_status status;

		count = count < PH__JOIN_ROWS ? count : PH__JOIN_ROWS;
		status = index->bytes->read(index->bytes,
		                            index->ids_at + (uint64_t)pack->row * hash_len,
		                            pack->ids, count * hash_len);
		if (status != PH_OK)
			return status;
		pack->ids_at = pack->row;
		pack->ids_count = count;
	}
	*id = pack->ids + (pack->row - pack->ids_at) * hash_len;
	return PH_OK;
}

/* Takes the head of a pack into a row. */
static enum ph_status take(struct ph_pack_join *join, struct ph__join_pack *pack, uint32_t row)
{
	const struct ph_index *index = &pack->index;
	uint8_t raw[INDEX_RANK_BYTES];
	uint32_t rank;
	enum ph_status status = index->bytes->read(
	        index->bytes, index->ranks_at + (uint64_t)pack->row * INDEX_RANK_BYTES, raw,
	        sizeof(raw));

	if (status != PH_OK)
		return status;
	rank = index_get32(raw);
	if (rank >= index->entries)
		return PH_ERR_CORRUPT;
	/* Two ids of one entry: then another entry would have none. */
	if (join->row_of[pack->first + rank] != PH__JOIN_FREE)
		return PH_ERR_CORRUPT;
	pack->row++;
	join->row_of[pack->first + rank] = row;
	if (row != PH__JOIN_NONE)
		join->number_of[row] = pack->first + rank;
	return PH_OK;
}

static enum ph_status peek_rank(const struct ph__join_pack *pack, uint32_t *rank)
{
	uint8_t raw[INDEX_RANK_BYTES];
	const struct ph_bytes *bytes = pack->index.bytes;
	enum ph_status status =
	        bytes->read(bytes, pack->index.ranks_at + (uint64_t)pack->row * INDEX_RANK_BYTES,
	                    raw, sizeof(raw));

	*rank = status == PH_OK ? index_get32(raw) : 0;
	return status == PH_OK && *rank >= pack->index.entries ? PH_ERR_CORRUPT : status;
}

/* Whether the object whose first copy is at the head of a pack is kept. */
static enum ph_status is_kept(const struct ph_pack_join *join, uint32_t pack, bool *kept)
{
	struct ph_loc loc = {join->options.packs[pack], 0};
	enum ph_status status;

	*kept = true;
	if (!join->options.walk)
		return PH_OK;
	status = peek_rank(&join->packs[pack], &loc.pos);
	if (status == PH_OK)
		*kept = ph_walk_selected(join->options.walk, loc);
	return status;
}

/* The first pack with the least id at its head; count when no pack has any left. */
static enum ph_status least(struct ph_pack_join *join, uint32_t *out, uint8_t *id)
{
	size_t hash_len = ph_hash_bytes(join->options.source->algo);
	const uint8_t *found = NULL;

	*out = join->options.count;
	for (uint32_t i = 0; i < join->options.count; i++) {
		const uint8_t *other;
		enum ph_status status = head(join, &join->packs[i], &other);

		if (status != PH_OK)
			return status;
		if (!other || (found && memcmp(other, found, hash_len) >= 0))
			continue;
		found = other;
		*out = i;
	}
	if (found)
		memcpy(id, found, hash_len);
	return PH_OK;
}

/* All copies of one object, from the last pack to the first, whose number then stays. */
static enum ph_status merge_one(struct ph_pack_join *join, uint32_t first, const uint8_t *id)
{
	size_t hash_len = ph_hash_bytes(join->options.source->algo);
	uint32_t row = join->stats.objects;
	bool kept;
	enum ph_status status = is_kept(join, first, &kept);

	for (uint32_t i = join->options.count; i > first && status == PH_OK; i--) {
		const uint8_t *other;

		status = head(join, &join->packs[i - 1], &other);
		if (status == PH_OK && other && memcmp(other, id, hash_len) == 0)
			status = take(join, &join->packs[i - 1], kept ? row : PH__JOIN_NONE);
	}
	if (status != PH_OK)
		return status;
	if (!kept) {
		join->stats.dropped++;
		return PH_OK;
	}
	join->offset_of[row] = PH__JOIN_UNWRITTEN;
	join->depth_of[row] = 0;
	join->fanout[id[0]]++;
	join->stats.objects++;
	return PH_OK;
}

/* What a packfile of the new run begins with is in its trailer's hash. */
static void begin_run(struct ph_pack_join *join)
{
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};

	index_put32(header + 8, join->stats.objects);
	ph_hash_init_plain(&join->hash, join->options.source->algo);
	ph_hash_update(&join->hash, header, sizeof(header));
	join->at = 0;
	join->phase = PH__JOIN_NEXT;
}

static enum ph_status merge(struct ph_pack_join *join, uint32_t *budget)
{
	uint8_t id[PH_OID_BYTES_MAX];

	ph_budget_spend(budget, 1 + join->options.count / 4);
	for (unsigned i = 0; i < ROWS_PER_UNIT; i++) {
		uint32_t first;
		enum ph_status status = least(join, &first, id);

		if (status == PH_OK && first < join->options.count)
			status = merge_one(join, first, id);
		if (status != PH_OK)
			return status;
		if (first == join->options.count) {
			begin_run(join);
			break;
		}
	}
	return PH_OK;
}

static enum ph_status step(struct ph_pack_join *join, uint32_t *budget)
{
	switch (join->phase) {
	case PH__JOIN_MERGE:
		return merge(join, budget);
	case PH__JOIN_NEXT:
		return ph__join_next(join, budget);
	case PH__JOIN_ENTRY:
		return ph__join_open(join, budget);
	case PH__JOIN_COPY:
		return ph__join_copy(join, budget);
	case PH__JOIN_DEFLATE:
		return ph__join_deflate(join, budget);
	case PH__JOIN_HEADER:
		return ph__join_header(join);
	case PH__JOIN_IDS:
	case PH__JOIN_RANKS:
	case PH__JOIN_ENTRIES:
		return ph__join_rows(join, budget);
	case PH__JOIN_DONE:
		break;
	}
	return PH_END;
}

enum ph_status ph_pack_join_run(struct ph_pack_join *join, uint32_t *budget)
{
	enum ph_status status = join->failed;

	while (status == PH_OK && join->phase != PH__JOIN_DONE) {
		if (*budget == 0)
			return PH_AGAIN;
		status = step(join, budget);
	}
	join->failed = status;
	return status;
}
