/* SPDX-License-Identifier: MIT */
/*
 * What every walk stands on: the byte of state for each object, lists of locations, and reading and
 * finding objects with the limits, the budget and the types checked in one place.
 */
#include "walk_int.h"

/* Words of states looked at in one step of a scan: one unit of budget. */
#define SCAN_STEP 4096u
/* One object in so many may be in no map for what is read beside them to be little. */
#define UNMAPPED_SHARE 8u

enum ph_status ph__states_init(struct ph__states *states, const struct ph_source *source,
                               const struct ph_alloc *alloc)
{
	uint32_t packs = source->ops->packs(source);
	uint64_t total = 0;
	size_t *base = ph_mem_zalloc(alloc, (size_t)packs + 1, sizeof *base);

	if (base == NULL) {
		return PH_ERR_NOMEM;
	}
	for (uint32_t i = 0; i < packs; i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		base[i] = (size_t)total;
		total += entries;
	}
	/* Objects are counted in 32 bits everywhere. */
	if (total > UINT32_MAX) {
		ph_mem_free(alloc, base);
		return PH_ERR_LIMIT;
	}
	base[packs] = (size_t)total;
	states->bytes = ph_mem_zalloc(alloc, total == 0 ? 1 : (size_t)total, 1);
	if (states->bytes == NULL) {
		ph_mem_free(alloc, base);
		return PH_ERR_NOMEM;
	}
	states->base = base;
	states->packs = packs;
	return PH_OK;
}

void ph__states_release(struct ph__states *states, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, states->base);
	ph_mem_free(alloc, states->bytes);
	*states = (struct ph__states){0};
}

enum ph_status ph__states_scan(const struct ph__states *states, uint8_t mask, struct ph_loc *loc)
{
	uint32_t steps = 0;
	uint64_t word;

	for (; loc->pack < states->packs; loc->pack++, loc->pos = 0) {
		const uint8_t *bytes = states->bytes + states->base[loc->pack];
		size_t count = states->base[loc->pack + 1] - states->base[loc->pack];

		for (; loc->pos < count; loc->pos++) {
			while (count - loc->pos >= sizeof word) {
				memcpy(&word, bytes + loc->pos, sizeof word);
				if ((word & mask * UINT64_C(0x0101010101010101)) != 0 ||
				    steps + 1 == SCAN_STEP) {
					break;
				}
				steps++;
				loc->pos += (uint32_t)sizeof word;
			}
			if (loc->pos == count) {
				break;
			}
			if ((bytes[loc->pos] & mask) != 0) {
				return PH_OK;
			}
			if (++steps == SCAN_STEP) {
				loc->pos++;
				return PH_AGAIN;
			}
		}
		if (++steps == SCAN_STEP) {
			loc->pack++;
			loc->pos = 0;
			return PH_AGAIN;
		}
	}
	return PH_END;
}

enum ph_status ph__marks_init(struct ph__marks *bits, const struct ph_source *source,
                              const struct ph_alloc *alloc)
{
	uint32_t packs = source->ops->packs(source);
	size_t total = 0;

	*bits = (struct ph__marks){.packs = packs};
	bits->first = ph_mem_zalloc(alloc, (size_t)packs + 1, sizeof *bits->first);
	if (bits->first == NULL) {
		return PH_ERR_NOMEM;
	}
	for (uint32_t i = 0; i < packs; i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		bits->first[i] = total;
		total += ph_map_words(entries);
	}
	bits->first[packs] = total;
	bits->words = ph_mem_zalloc(alloc, total == 0 ? 1 : total, sizeof *bits->words);
	if (bits->words == NULL) {
		ph__marks_release(bits, alloc);
		return PH_ERR_NOMEM;
	}
	return PH_OK;
}

void ph__marks_release(struct ph__marks *bits, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, bits->first);
	ph_mem_free(alloc, bits->words);
	*bits = (struct ph__marks){0};
}

enum ph_status ph__locs_push(struct ph__locs *locs, const struct ph_alloc *alloc, struct ph_loc loc)
{
	if (locs->count == locs->capacity) {
		size_t capacity = locs->capacity == 0 ? 64 : locs->capacity * 2;
		struct ph_loc *items = ph_mem_resize(alloc, locs->items, capacity, sizeof *items);

		if (items == NULL) {
			return PH_ERR_NOMEM;
		}
		locs->items = items;
		locs->capacity = capacity;
	}
	locs->items[locs->count++] = loc;
	return PH_OK;
}

void ph__locs_release(struct ph__locs *locs, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, locs->items);
	*locs = (struct ph__locs){0};
}

enum ph_status ph__walk_env_init(struct ph__walk_env *env, const struct ph_source *source,
                                 const struct ph_alloc *alloc, const struct ph_limits *limits)
{
	*env = (struct ph__walk_env){.source = source, .alloc = alloc, .limits = limits};
	return ph_reader_new(&env->reader, source, alloc, limits);
}

void ph__walk_env_maps(struct ph__walk_env *env, const struct ph_maps *maps)
{
	uint64_t all = ph_source_objects(env->source);
	uint64_t mapped = 0;

	env->maps = maps;
	for (uint32_t i = 0; maps != NULL && i < maps->count; i++) {
		mapped += ph_map_entries(maps->maps[i]);
	}
	if (mapped > 0 && mapped >= all - all / UNMAPPED_SHARE) {
		ph_reader_lean(env->reader);
	}
}

void ph__walk_env_release(struct ph__walk_env *env)
{
	ph_reader_free(env->reader);
	env->reader = NULL;
}

static enum ph_status count_one(struct ph__walk_env *env, uint32_t *budget)
{
	ph_budget_spend(budget, 1);
	if (env->walked >= env->limits->walk_objects_max) {
		return PH_ERR_LIMIT;
	}
	env->walked++;
	return PH_OK;
}

enum ph_status ph__walk_find(struct ph__walk_env *env, const struct ph_oid *oid, struct ph_loc *out,
                             uint32_t *budget)
{
	enum ph_status status = count_one(env, budget);

	return status == PH_OK ? env->source->ops->find(env->source, oid, out) : status;
}

enum ph_status ph__walk_place(struct ph__walk_env *env, uint32_t pack, uint32_t pos,
                              struct ph_loc *out, uint32_t *budget)
{
	const struct ph_source *source = env->source;
	struct ph_entry entry;
	uint32_t entries;
	uint64_t bytes;
	enum ph_status status = count_one(env, budget);

	source->ops->pack_size(source, pack, &entries, &bytes);
	if (status != PH_OK || pos >= entries) {
		return status != PH_OK ? status : PH_ERR_CORRUPT;
	}
	if (pack == 0) {
		*out = (struct ph_loc){pack, pos};
		return PH_OK;
	}
	status = source->ops->entry(source, (struct ph_loc){pack, pos}, &entry);
	if (status == PH_OK) {
		status = source->ops->find(source, &entry.oid, out);
	}
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

enum ph_status ph__walk_read(struct ph__walk_env *env, struct ph_loc loc, enum ph_object_type type,
                             struct ph_object *out, uint32_t *budget)
{
	struct ph_entry entry;
	enum ph_status status = env->source->ops->entry(env->source, loc, &entry);

	ph_budget_spend(budget, 1);
	if (status != PH_OK) {
		return status;
	}
	/* Before it is read: a blob in a tree's place may be huge. */
	if (entry.type != type) {
		return PH_ERR_INVALID;
	}
	status = ph_reader_read(env->reader, loc, env->limits->metadata_bytes_max, out);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND || status == PH_ERR_INVALID ? PH_ERR_CORRUPT
		                                                              : status;
	}
	if (out->type != type) {
		ph_object_release(env->reader, out);
		return PH_ERR_CORRUPT;
	}
	ph_budget_spend_bytes(budget, out->size);
	return PH_OK;
}

enum ph_status ph__walk_tag(struct ph__walk_env *env, struct ph_loc loc, struct ph_oid *target,
                            enum ph_object_type *type, struct ph_loc *out, uint32_t *budget)
{
	struct ph_object object;
	struct ph_tag tag;
	enum ph_status status = ph__walk_read(env, loc, PH_OBJ_TAG, &object, budget);

	if (status != PH_OK) {
		return status;
	}
	status = ph_tag_parse(&tag, env->source->algo, object.data, (size_t)object.size);
	ph_object_release(env->reader, &object);
	if (status != PH_OK) {
		return PH_ERR_CORRUPT;
	}
	*target = tag.object;
	*type = tag.type;
	return ph__walk_find(env, target, out, budget);
}
