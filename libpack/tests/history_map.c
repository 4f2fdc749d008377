/* SPDX-License-Identifier: MIT */
/* Maps of a history's packs, made up; see history_map.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history_map.h"
#include <stdlib.h>

void history_maps_init(struct history_maps *maps, const struct history *h, const bool closed[3],
                       struct ph_test_rng *rng, uint32_t one_of)
{
	const struct ph_source *source = &h->source.set.source;

	memset(maps, 0, sizeof *maps);
	maps->maps.maps = maps->list;
	for (uint32_t p = 0; p < 3; p++) {
		struct ph_map *map = &maps->map[p];
		uint64_t bytes;

		if (!closed[p]) {
			continue;
		}
		map->history = h;
		map->pack = p;
		source->ops->pack_size(source, p, &map->entries, &bytes);
		map->nodes = calloc(map->entries + 1, sizeof *map->nodes);
		map->bitmaps = calloc(map->entries + 1, sizeof *map->bitmaps);
		assert_non_null(map->nodes);
		assert_non_null(map->bitmaps);
		for (uint32_t i = 0; i < map->entries; i++) {
			struct ph_entry entry;

			assert_int_equal(source->ops->entry(source, (struct ph_loc){p, i}, &entry),
			                 PH_OK);
			map->nodes[i] = history_find(h, &entry.oid);
			map->bitmaps[i] = entry.type == PH_OBJ_COMMIT && one_of > 0 &&
			                  ph_test_rng_below(rng, one_of) == 0;
		}
		maps->list[maps->maps.count++] = map;
	}
}

void history_maps_release(struct history_maps *maps)
{
	for (uint32_t p = 0; p < 3; p++) {
		free(maps->map[p].nodes);
		free(maps->map[p].bitmaps);
	}
}

static uint32_t pos_of(const struct ph_map *map, uint32_t node)
{
	const struct ph_source *source = &map->history->source.set.source;
	uint32_t pos = 0;

	assert_int_equal(
	        source->ops->find_in(source, map->pack, &map->history->nodes[node].oid, &pos),
	        PH_OK);
	return pos;
}

uint32_t ph_map_pack(const struct ph_map *map)
{
	return map->pack;
}

uint32_t ph_map_entries(const struct ph_map *map)
{
	return map->entries;
}

enum ph_status ph_map_commit(struct ph_map *map, uint32_t pos, struct ph_map_commit *out)
{
	const struct node *node = &map->history->nodes[map->nodes[pos]];

	if (node->type != PH_OBJ_COMMIT) {
		return PH_ERR_NOT_FOUND;
	}
	*out = (struct ph_map_commit){.pos = pos,
	                              .tree = pos_of(map, node->links[0]),
	                              .time = node->time,
	                              .parents = node->count - 1,
	                              .bitmap = map->bitmaps[pos]};
	for (uint32_t i = 0; i < 2 && i < out->parents; i++) {
		out->parent[i] = pos_of(map, node->links[i + 1]);
	}
	return PH_OK;
}

enum ph_status ph_map_parent(struct ph_map *map, const struct ph_map_commit *commit,
                             uint32_t number, uint32_t *pos)
{
	const struct node *node = &map->history->nodes[map->nodes[commit->pos]];

	assert_true(number < commit->parents);
	*pos = pos_of(map, node->links[number + 1]);
	return PH_OK;
}

enum ph_status ph_map_reach(struct ph_map *map, uint32_t pos, uint64_t *words, uint32_t *budget)
{
	const struct history *h = map->history;
	bool *reached;

	if (!map->bitmaps[pos]) {
		return PH_ERR_NOT_FOUND;
	}
	reached = calloc(h->count, sizeof *reached);
	assert_non_null(reached);
	history_closure(h, map->nodes[pos], NULL, reached);
	for (uint32_t i = 0; i < h->count; i++) {
		if (reached[i]) {
			uint32_t at = pos_of(map, i);

			words[at / 64] |= (uint64_t)1 << (at % 64);
		}
	}
	free(reached);
	ph_budget_spend(budget, 3);
	map->reached++;
	return PH_OK;
}

enum ph_status ph_map_type(struct ph_map *map, enum ph_object_type type, size_t first, size_t count,
                           uint64_t *words)
{
	memset(words, 0, count * sizeof *words);
	for (size_t at = 64 * first; at < 64 * (first + count) && at < map->entries; at++) {
		if (map->history->nodes[map->nodes[at]].type == type) {
			words[at / 64 - first] |= (uint64_t)1 << (at % 64);
		}
	}
	return PH_OK;
}
