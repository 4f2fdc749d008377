/* SPDX-License-Identifier: MIT */
/*
 * Maps of a history's packs as the tests want them: which commits have bitmaps is decided here, and
 * what they say comes from a naive search. Linking this takes the place of libpack's reader.
 */
#ifndef PACKHORSE_TEST_HISTORY_MAP_H
#define PACKHORSE_TEST_HISTORY_MAP_H

#include "history.h"
#include <packhorse/map.h>

struct ph_map {
	const struct history *history;
	uint32_t pack, entries;
	uint32_t *nodes;  /* by pos */
	bool *bitmaps;    /* by pos */
	uint32_t reached; /* bitmaps that were asked for */
};

struct history_maps {
	struct ph_map map[3];
	struct ph_map *list[3];
	struct ph_maps maps; /* pass this */
};

/* Maps for these packs. One commit of many, at random, has a bitmap; with 0, none has. */
void history_maps_init(struct history_maps *maps, const struct history *h, const bool closed[3],
                       struct ph_test_rng *rng, uint32_t one_of);
void history_maps_release(struct history_maps *maps);

#endif
