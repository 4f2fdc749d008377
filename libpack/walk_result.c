/* SPDX-License-Identifier: MIT */
/*
 * What bitmaps have told becomes states: what is wanted and not had is selected, unless a filter
 * leaves it behind. Filters that go by places never come here. After a walk by painting, bitmaps
 * only add what is had besides.
 */
#include "walk_run_int.h"

/* Words made into states in one step, and what that costs. */
#define RESULT_WORDS 64u
#define RESULT_UNITS 1u

/* The bits of one word. Few words are neither full nor empty. */
static void put_word(struct ph_walk *walk, struct ph_loc loc, uint64_t had, uint64_t selected)
{
	uint8_t *states = walk->states.bytes + walk->states.base[loc.pack] + loc.pos;
	size_t entries = walk->states.base[loc.pack + 1] - walk->states.base[loc.pack];

	/* A map that is damaged may say anything. */
	if (entries - loc.pos < 64) {
		uint64_t valid = ((uint64_t)1 << (entries - loc.pos)) - 1;

		selected &= valid;
		had &= valid;
	}
	if (selected == UINT64_MAX) {
		memset(states, (int)(WALK_WANTED | WALK_SELECTED), 64);
		walk->count += 64;
		return;
	}
	for (uint64_t any = selected | had; any != 0; any >>= 1) {
		if ((selected & 1) != 0) {
			*states |= WALK_WANTED;
			ph__walk_select(walk, states, 0);
		} else if ((had & 1) != 0) {
			*states |= WALK_HAD;
		}
		states++;
		selected >>= 1;
		had >>= 1;
	}
}

/* Adds the bits of all entries of some words that a filter leaves behind whatever their size. */
static enum ph_status omit_types(struct ph_walk *walk, struct ph_map *map, size_t first,
                                 size_t count, uint64_t *omitted)
{
	static const enum ph_object_type types[] = {PH_OBJ_COMMIT, PH_OBJ_TREE, PH_OBJ_BLOB,
	                                            PH_OBJ_TAG};
	uint64_t words[RESULT_WORDS];

	for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
		enum ph_status status;

		if (!ph_filter_omits(&walk->filter, types[t], 0)) {
			continue;
		}
		status = ph_map_type(map, types[t], first, count, words);
		if (status != PH_OK) {
			return status;
		}
		for (size_t i = 0; i < count; i++) {
			omitted[i] |= words[i];
		}
	}
	return PH_OK;
}

/* Adds the bits of entries of one word, among those given, by what the index says of them. */
static enum ph_status omit_entries(struct ph_walk *walk, struct ph_loc loc, uint64_t among,
                                   uint64_t *omitted, uint32_t *budget)
{
	const struct ph_source *source = walk->env.source;
	uint32_t entries =
	        (uint32_t)(walk->states.base[loc.pack + 1] - walk->states.base[loc.pack]);

	for (unsigned i = 0; among != 0 && loc.pos < entries; i++, among >>= 1, loc.pos++) {
		struct ph_entry entry;
		enum ph_status status;

		if ((among & 1) == 0) {
			continue;
		}
		ph_budget_spend(budget, 1);
		status = source->ops->entry(source, loc, &entry);
		if (status != PH_OK) {
			return status;
		}
		if (ph_filter_omits(&walk->filter, entry.type, entry.size)) {
			*omitted |= (uint64_t)1 << i;
		}
	}
	return PH_OK;
}

/*
 * The entries of some words that a filter leaves behind. With a map the types say it, but for the
 * sizes of blobs that would be selected.
 */
static enum ph_status omit(struct ph_walk *walk, size_t first, size_t count, uint64_t *omitted,
                           uint32_t *budget)
{
	const struct ph__walk_maps *maps = &walk->maps;
	struct ph_loc loc = maps->result;
	struct ph_map *map = ph__walk_map(&walk->env, loc.pack);
	size_t at = maps->has.first[loc.pack] + first;
	bool sized = map == NULL || (!ph_filter_omits(&walk->filter, PH_OBJ_BLOB, 0) &&
	                             ph_filter_omits(&walk->filter, PH_OBJ_BLOB, UINT64_MAX));
	uint64_t among[RESULT_WORDS];
	enum ph_status status = PH_OK;

	memset(omitted, 0, count * sizeof *omitted);
	memset(among, 0xff, count * sizeof *among);
	if (walk->filter.kind == PH_FILTER_NONE) {
		return PH_OK;
	}
	if (map != NULL) {
		status = omit_types(walk, map, first, count, omitted);
	}
	if (map != NULL && sized && status == PH_OK) {
		status = ph_map_type(map, PH_OBJ_BLOB, first, count, among);
	}
	for (size_t i = 0; i < count && sized && status == PH_OK; i++, loc.pos += 64) {
		uint64_t had = maps->has.words[at + i];

		/* Of what is had nobody needs to know. */
		omitted[i] |= among[i] & had;
		status = omit_entries(walk, loc, among[i] & maps->wants.words[at + i] & ~had,
		                      &omitted[i], budget);
	}
	return status;
}

/* Some words of one pack. */
static enum ph_status put_words(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_maps *maps = &walk->maps;
	uint64_t omitted[RESULT_WORDS];
	uint32_t pack = maps->result.pack;
	size_t base = maps->has.first[pack];
	size_t words = maps->has.first[pack + 1] - base;
	size_t first = maps->result.pos / 64;
	size_t count = words - first < RESULT_WORDS ? words - first : RESULT_WORDS;
	enum ph_status status = omit(walk, first, count, omitted, budget);

	if (status != PH_OK) {
		return status;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t had = maps->has.words[base + first + i];
		uint64_t wanted =
		        maps->wants.words != NULL ? maps->wants.words[base + first + i] : 0;

		put_word(walk, maps->result, had & ~omitted[i], wanted & ~had & ~omitted[i]);
		maps->result.pos += 64;
	}
	if (first + count == words) {
		maps->result = (struct ph_loc){pack + 1, 0};
	}
	return PH_OK;
}

/* What was named by itself counts whatever the filter says. */
static enum ph_status put_root(struct ph_walk *walk, struct ph_loc loc, bool had)
{
	const struct ph_source *source = walk->env.source;
	uint8_t *state = ph__states_at(&walk->states, loc);
	struct ph_entry entry;
	enum ph_status status = source->ops->entry(source, loc, &entry);

	if (status != PH_OK) {
		return status;
	}
	/* What is had in some tree, though, may have been left out there. */
	had = had || (ph__marks_has(&walk->maps.has, loc) &&
	              !ph_filter_omits(&walk->filter, entry.type, entry.size));
	if (had) {
		*state |= WALK_HAD;
	} else if ((*state & (WALK_HAD | WALK_SELECTED)) == 0) {
		ph__walk_select(walk, state, 0);
	}
	return PH_OK;
}

enum ph_status ph__walk_result_step(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_maps *maps = &walk->maps;
	bool filtered = walk->filter.kind != PH_FILTER_NONE;
	bool painted = maps->wants.words == NULL;
	size_t at = maps->at;

	/* After painting, bits only add what is known to be had. A filtered client may lack some.
	 */
	if (maps->has.words == NULL || (painted && filtered)) {
		walk->phase = WALK_DONE;
		return PH_OK;
	}
	ph_budget_spend(budget, RESULT_UNITS);
	if (maps->result.pack < maps->has.packs) {
		return put_words(walk, budget);
	}
	if (filtered && at < maps->had.count + maps->wanted.count) {
		maps->at++;
		return at < maps->had.count
		               ? put_root(walk, maps->had.items[at], true)
		               : put_root(walk, maps->wanted.items[at - maps->had.count], false);
	}
	walk->phase = WALK_DONE;
	return PH_OK;
}
