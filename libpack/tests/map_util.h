/* SPDX-License-Identifier: MIT */
/*
 * Maps made of histories (history.h), for the tests of maps: made in memory, opened, and compared
 * with what a naive search finds.
 */
#ifndef PACKHORSE_TEST_MAP_UTIL_H
#define PACKHORSE_TEST_MAP_UTIL_H

#include "history.h"
#include <packhorse/map.h>

struct made {
	struct ph_test_sink sink;
	struct ph_test_bytes bytes;
};

const struct ph_source *made_source(const struct history *h);
/* A maker's whole life, with so much budget a call. */
enum ph_status made_run(const struct history *h, const uint32_t *tips, uint32_t count,
                        uint32_t budget, const struct ph_alloc *alloc, struct ph_sink *sink);
/* Release it also when it was not made. */
enum ph_status made_make_with(struct made *made, const struct history *h, const uint32_t *tips,
                              uint32_t count, uint32_t budget, const struct ph_alloc *alloc);
void made_make(struct made *made, const struct history *h, const uint32_t *tips, uint32_t count);
void made_release(struct made *made);

struct ph_map *made_open(const struct made *made, const struct history *h);
/* Room for a bitmap, zeroed; free it. */
uint64_t *made_words(const struct ph_map *map);
/* Asks a map for everything and fails the test when anything of it is wrong. */
void made_check(const struct made *made, const struct history *h, const uint32_t *tips,
                uint32_t count);

#endif
