/* SPDX-License-Identifier: MIT */
/*
 * A walk's inside, shared by its interface (walk.c) and its work (walk_run.c).
 */
#ifndef PACKHORSE_WALK_RUN_INT_H
#define PACKHORSE_WALK_RUN_INT_H

#include "walk_int.h"

/* The state of an object. */
#define WALK_WANTED 0x01u     /* reached from a want; of trees and blobs, wanted by id */
#define WALK_HAD 0x02u        /* the other side has it */
#define WALK_SELECTED 0x04u   /* goes into the answer */
#define WALK_QUEUED 0x08u     /* a commit in the queue now */
#define WALK_GRAFT 0x10u      /* a commit whose parents do not count */
#define WALK_EDGE 0x20u       /* had, and its contents are to be marked too */
#define WALK_PASSED WALK_EDGE /* not had: a filter knows it; see walk_filter.c */
#define WALK_TYPE 0xc0u       /* what it was taken for; 0 while unknown, and for tags */
#define WALK_COMMIT 0x40u
#define WALK_TREE 0x80u
#define WALK_BLOB 0xc0u

enum walk_phase {
	WALK_ROOTS,  /* types of wants and haves; tags followed */
	WALK_PAINT,  /* commits, by date, both colours */
	WALK_EDGES,  /* contents of what the other side has at the edge */
	WALK_SELECT, /* contents of what it has not */
	WALK_MAPPED, /* in place of these three: by bitmaps */
	WALK_RESULT, /* from bits to states */
	WALK_DONE,
	WALK_FAILED
};

/* A walk by maps; see walk_map.c. Of two, the first is about what is had. */
struct ph__walk_maps {
	bool fit; /* they may be used, as far as is known yet */
	enum walk_map_step {
		WALK_MAP_TIPS,
		WALK_MAP_COMMITS,
		WALK_MAP_TREES,
		WALK_MAP_COPIES
	} step;
	bool wanting;                /* which of the two is at work */
	struct ph__locs had, wanted; /* roots of each, of all types */
	struct ph__marks has, wants; /* all that is known to be reached from them */
	struct ph__locs noted;       /* trees of commits that bitmaps do not tell of */
	size_t at;                   /* in the roots */
	bool beyond;                 /* something that is had is outside of all maps */
	uint32_t painted;            /* commits that were tried without */
	bool copies;                 /* bits may tell of copies */
	uint32_t map;                /* whose copies are looked for */
	uint32_t chains, chain_left; /* chains begun; commits to look at in this one */
	struct ph_loc chain;         /* the next of them */
	struct ph_loc result;        /* next to be made a state */
};

struct ph_walk {
	enum walk_phase phase;
	bool connectivity;
	bool haves; /* there are any */
	struct ph_filter filter;
	struct ph__walk_env env;
	struct ph__states states;
	struct ph__locs roots; /* wants and haves whose type is not known yet */
	struct ph__queue queue;
	struct ph__parents parents; /* of the commit being painted */
	uint8_t colour;             /* they get: WALK_WANTED or WALK_HAD */
	bool spreading;             /* parents is in use */
	struct ph__trees trees;
	struct ph__walk_maps maps;
	struct ph__walk_filter *filtering; /* NULL: nothing or only blobs are left out */
	struct ph_loc scan;
	uint64_t last_time;   /* of the last commit that was wanted when its turn came */
	uint32_t slop;        /* commits still to look at when only had ones are left */
	uint32_t edges;       /* roots of the client whose contents were marked */
	uint32_t open;        /* objects wanted and not had */
	uint32_t open_queued; /* commits among them in the queue */
	uint32_t count;       /* selected */
	struct ph_error error;
};

/* One small piece of work. PH_OK, or an error that is in walk->error already. */
enum ph_status ph__walk_step(struct ph_walk *walk, uint32_t *budget);
/* Gives an object a colour, to be followed in WALK_ROOTS. */
enum ph_status ph__walk_root(struct ph_walk *walk, struct ph_loc loc, uint8_t colour);
void ph__walk_select(struct ph_walk *walk, uint8_t *state, uint8_t type);
/* Says what failed, in walk->error, and gives the status for it: a link to what is not there or is
 * of another type, or anything else about an object. */
enum ph_status ph__walk_fail_link(struct ph_walk *walk, const char *what, const struct ph_oid *oid);
enum ph_status ph__walk_fail_at(struct ph_walk *walk, enum ph_status status, struct ph_loc loc);
/* What is not there, or not what it should be, on the other side's account is just not had. */
static inline bool ph__walk_is_link_error(enum ph_status status)
{
	return status == PH_ERR_NOT_FOUND || status == PH_ERR_INVALID;
}

/* --- walk_map.c: by maps --- */

/* A want or a have, where maps may be used. */
enum ph_status ph__walk_map_root(struct ph_walk *walk, struct ph_loc loc, uint8_t colour);
/* At the end of the roots and before each commit that is painted: whether it is to be by bitmaps
 * from here on. Then painting begins anew with them. */
bool ph__walk_map_instead(struct ph_walk *walk);
/* What a had commit reaches is taken to be known, if a bitmap is near. */
enum ph_status ph__walk_chain_start(struct ph_walk *walk, struct ph_loc commit);
enum ph_status ph__walk_chain_step(struct ph_walk *walk, uint32_t *budget);
/* Known to be had, by a bitmap. */
static inline bool ph__walk_known(const struct ph_walk *walk, struct ph_loc loc)
{
	return walk->maps.has.words != NULL && ph__marks_has(&walk->maps.has, loc);
}
/* A step of WALK_MAPPED. */
enum ph_status ph__walk_map_step(struct ph_walk *walk, uint32_t *budget);
void ph__walk_maps_release(struct ph_walk *walk);

/* --- walk_result.c: a step of WALK_RESULT --- */

enum ph_status ph__walk_result_step(struct ph_walk *walk, uint32_t *budget);

/* --- walk_filter.c: selecting what a filter lets go --- */

/* Its memory, with so many trees on its list. */
uint64_t ph__walk_filter_bytes(const struct ph_filter *filter, uint64_t trees);
enum ph_status ph__walk_filter_new(struct ph_walk *walk);
void ph__walk_filter_free(struct ph_walk *walk);
/* Whether commits that nobody named stay behind. */
bool ph__walk_filter_no_commits(const struct ph_walk *walk);
/* A commit that is not had: selects it, and what may go of its tree later. */
enum ph_status ph__walk_filter_commit(struct ph_walk *walk, struct ph_loc commit,
                                      const struct ph__tree_item *tree, uint32_t *budget);
/* A tree wanted by id: what may go of its contents. */
enum ph_status ph__walk_filter_tree(struct ph_walk *walk, struct ph_loc loc);
bool ph__walk_filter_busy(const struct ph_walk *walk);
enum ph_status ph__walk_filter_step(struct ph_walk *walk, uint32_t *budget);

#endif
