/* SPDX-License-Identifier: MIT */
/*
 * A depth's inside, shared by counting from the wants (depth.c) and by leaving out what is old or
 * excluded (depth_list.c).
 */
#ifndef PACKHORSE_DEPTH_INT_H
#define PACKHORSE_DEPTH_INT_H

#include "walk_int.h"

/* The state of a commit. */
#define DEPTH_SEEN 0x01u /* reached from a want */
#define DEPTH_INSIDE 0x02u
#define DEPTH_BOUNDARY 0x04u
#define DEPTH_OWN 0x08u    /* the repository's own boundary */
#define DEPTH_CLIENT 0x10u /* a boundary of the client's, from which a relative depth counts */
#define DEPTH_OUT 0x20u    /* excluded */
#define DEPTH_QUEUED 0x40u
#define DEPTH_LISTED 0x80u /* in, unless it is out */

enum depth_phase { DEPTH_ROOTS, DEPTH_WALK, DEPTH_EDGE, DEPTH_SORT, DEPTH_DONE };

struct ph_depth {
	enum depth_phase phase;
	enum ph_status failed;
	uint64_t depth; /* 0: by a list */
	uint64_t level; /* distance of the commits in here */
	bool own;       /* the repository has boundaries itself */
	bool relative;  /* depth counts from the client's boundary, which has not been met */
	struct ph__walk_env env;
	struct ph__states states;
	struct ph__locs roots, out_roots;
	struct ph__locs here, beyond; /* this level's commits, and the next's */
	size_t at;
	struct ph__parents parents;
	bool spreading;
	struct ph_oid *found; /* boundary commits, as a heap, then sorted */
	uint32_t count, capacity;
	uint32_t unsorted;
	/* By a list. */
	uint64_t since;
	struct ph__queue queue;
	uint8_t colour;       /* that the parents get */
	uint32_t open;        /* commits in the queue that may be in */
	uint64_t last_time;   /* of the last of them when its turn came */
	uint32_t slop;        /* commits still to look at when only those that are out are left */
	uint32_t selected;    /* commits that are in */
	struct ph_loc scan;   /* the next to be looked at for the boundary */
	struct ph_loc parent; /* whose parents are looked at */
	bool excludes, edge;  /* something is out; a parent of that commit is */
};

/* Adds a boundary commit. */
enum ph_status ph__depth_found(struct ph_depth *depth, const struct ph_oid *oid);
/* The next parent of the commit at hand, which must be there. PH_END behind the last. */
enum ph_status ph__depth_parent(struct ph_depth *depth, struct ph_loc *out, uint32_t *budget);
/* Begins with a commit's parents. */
enum ph_status ph__depth_spread(struct ph_depth *depth, const struct ph__commit *commit,
                                uint32_t *budget);

/* ---- depth_list.c ---- */

/* Gives a commit a colour, DEPTH_SEEN or DEPTH_OUT, which it will spread. */
enum ph_status ph__depth_paint(struct ph_depth *depth, struct ph_loc loc, uint8_t colour,
                               uint32_t *budget);
/* Steps of DEPTH_WALK and DEPTH_EDGE. */
enum ph_status ph__depth_list_step(struct ph_depth *depth, uint32_t *budget);
enum ph_status ph__depth_edge_step(struct ph_depth *depth, uint32_t *budget);

#endif
