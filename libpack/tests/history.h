/* SPDX-License-Identifier: MIT */
/*
 * Histories for the tests of walks: real objects in real packs, and beside them a plain graph that
 * a naive search can answer the same questions on.
 */
#ifndef PACKHORSE_TEST_HISTORY_H
#define PACKHORSE_TEST_HISTORY_H

#include "support.h"

#define NODE_NONE UINT32_MAX

struct node {
	struct ph_oid oid;
	enum ph_object_type type;
	uint64_t time;   /* of a commit */
	uint32_t *links; /* a commit's tree, then its parents; a tree's entries; what a tag names */
	uint32_t count;
	uint8_t *data;
	size_t size;
	bool left_out; /* not in any pack */
};

struct history {
	enum ph_hash_algo algo;
	struct node *nodes;
	uint32_t count, capacity;
	uint32_t *commits; /* oldest first */
	uint32_t commit_count;
	struct ph_test_pack packs[3];
	struct ph_test_source source; /* pass &h.source.set.source */
	struct ph_limits limits;
	bool sealed;
	bool oldest_first; /* set to have the packs written so: as joined ones may be */
	bool unique; /* set to promise that nothing is added twice: long histories are faster */
};

void history_init(struct history *h, enum ph_hash_algo algo);
void history_release(struct history *h);

/* Each returns the node; one that exists already is not added again. */
uint32_t history_blob(struct history *h, uint32_t number);
/* Entries named e000, e001, ...; a link of NODE_NONE is a submodule. */
uint32_t history_tree(struct history *h, const uint32_t *links, uint32_t count);
uint32_t history_commit(struct history *h, uint32_t tree, const uint32_t *parents, uint32_t count,
                        uint64_t time);
uint32_t history_tag(struct history *h, uint32_t node, uint32_t number);
/* An object of any text; links are what the oracle is to believe. */
uint32_t history_raw(struct history *h, enum ph_object_type type, const void *data, size_t size,
                     const uint32_t *links, uint32_t count);

/* Random commits that change a small tree of directories a little. skewed: times mean nothing. */
void history_random(struct history *h, struct ph_test_rng *rng, uint32_t commits, bool skewed);

/* Writes the packs: each node into one of two, at random, some into both. */
void history_seal(struct history *h, struct ph_test_rng *rng);
/*
 * Writes three packs, so that closed[i] of them hold all that what they hold links to; what is in
 * none of those is in the others, and copies are here and there. None is left out.
 */
void history_seal_closed(struct history *h, struct ph_test_rng *rng, bool closed[3]);

/* Where a node is; fails the test when it is nowhere. */
struct ph_loc history_loc(const struct history *h, uint32_t node);
struct ph_oid history_oid(const struct history *h, uint32_t node);
/* The node with this id, or NODE_NONE. */
uint32_t history_find(const struct history *h, const struct ph_oid *oid);

/* Marks in out[node] everything reachable from a node; commits of grafts have no parents. */
void history_closure(const struct history *h, uint32_t from, const bool *grafts, bool *out);

#endif
