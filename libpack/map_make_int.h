/* SPDX-License-Identifier: MIT */
/*
 * A map's maker, inside. Its work is in phases, each of small steps:
 *
 *   scan     types of all entries, from the index; the blocks are written
 *   commits  each is read once; their table is written
 *   order    parents before children, and generations
 *   choose   which commits get a bitmap; what is left of their table is written
 *   bitmaps  of those chosen, in that order, so that each builds on some made before
 *   rest     what no bitmap has reached is looked at too: the pack must be closed
 *   finish   the directory and the footer
 *
 * A commit's number is its rank among the commits, by position.
 */
#ifndef PH_MAP_MAKE_INT_H
#define PH_MAP_MAKE_INT_H

#include "map_int.h"

#include <packhorse/reader.h>

/* Bitmaps of the pack that are in memory: four types, tips, two at work and all that was seen. */
#define MAP_BITMAPS 8u
/* At most one commit of so many gets a bitmap without being a tip, in a history of usual shape. */
#define MAP_CHOSEN_SHARE 8u

/* --- Growing lists --- */

struct ph__map_list {
	uint32_t *items;
	size_t count, capacity;
};

enum ph_status ph__map_list_push(struct ph__map_list *list, const struct ph_alloc *alloc,
                                 uint32_t item);

/* --- The graph --- */

struct ph__map_graph {
	uint32_t count;          /* of commits */
	struct ph__map_list pos; /* by number, and so are the others */
	uint32_t (*parents)[2];  /* numbers, MAP_NONE, or MAP_MORE and a place in more */
	uint32_t *generation;    /* 0 while unknown */
	uint32_t *bitmap;        /* number of its bitmap from 1, or 0; before, what a phase needs */
	uint32_t *order;         /* numbers, parents first */
	struct ph__map_list more; /* { how many parents, numbers of all but the first } */
};

/* An id and where it is. */
struct ph__map_slot {
	struct ph_oid oid;
	uint32_t pos;
};

enum ph__map_phase {
	MAP_SCAN,
	MAP_COMMITS,
	MAP_MORE_TABLE,
	MAP_ORDER,
	MAP_CHOOSE,
	MAP_FORKS,
	MAP_NUMBER,
	MAP_EXTRAS,
	MAP_NEXT,   /* begins the next bitmap */
	MAP_REGION, /* commits up to those that have a bitmap */
	MAP_REACH,  /* such a bitmap is read */
	MAP_JOIN,   /* and joins the one being made */
	MAP_TREES,  /* contents of the commits in between */
	MAP_STORE,
	MAP_REST,
	MAP_TAGS,
	MAP_ROWS,
	MAP_DONE,
	MAP_FAILED
};

/* What was written so far, as bytes to read. */
struct ph__map_written {
	struct ph_bytes bytes;
	struct ph_sink *sink;
};

/* A commit that is being read. */
struct ph__map_reading {
	struct ph_object object;
	struct ph_commit text;
	uint32_t parent; /* of it, looked up next */
	uint32_t first, second;
	uint32_t tree;
	bool open;
};

/*
 * Trees to read: { pos, pos of another version or NONE }. All that the other reaches is known, so
 * what they share is passed over.
 */
struct ph__map_trees {
	struct ph__map_list todo;
	struct ph_object object, other;
	struct ph_tree_iter at, other_at;
	bool open;      /* object is held */
	bool comparing; /* other is too */
	enum ph__map_phase after;
	struct ph__map_slot *known; /* ids that were looked up, one slot each, by hash */
	size_t known_mask;
};

struct ph_map_maker {
	enum ph__map_phase phase;
	enum ph_status failure;
	const struct ph_source *source;
	uint32_t pack;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	struct ph_reader *reader;
	uint32_t entries;
	size_t words;
	uint64_t run_bytes;
	uint32_t tips;
	struct ph__map_out out;
	struct ph__map_written written;
	struct ph__map_pages pages;

	uint64_t *memory;   /* all bitmaps in memory */
	uint64_t *types[4]; /* commits, trees, blobs, tags */
	uint64_t *tip;      /* commits to get one */
	uint64_t *made;     /* the bitmap at work */
	uint64_t *base;     /* the one it may be stored on top of */
	uint64_t *seen;     /* objects looked at in any */

	uint32_t at; /* of the phase: a position, a number, or a place in the order */
	struct ph__map_graph graph;
	struct ph__map_reading reading;
	uint32_t done;    /* order: commits that have their place in it */
	uint32_t waiting; /* and those that wait at the end of it */
	uint32_t generations;
	uint32_t *owner; /* while choosing: the only commit whose bitmap holds another */

	struct ph__map_row *rows; /* by number - 1 */
	uint8_t *links;           /* and how many others each is made from */
	uint32_t row_count, rows_made;

	uint32_t commit;            /* the one whose bitmap is at work */
	struct ph__map_list path;   /* from it back: { number, parents looked at } */
	struct ph__map_list region; /* commits that are in no other bitmap, parents first */
	size_t region_at;           /* of those, looked at */
	struct ph__map_reach reach;
	uint64_t *reach_to;
	uint32_t base_number; /* of the bitmap in base, from 1; 0 for none */
	bool on_base;         /* the bitmap at work builds on it */
	size_t word;          /* joined or stored */
	struct ph__bits_out bits;

	struct ph__map_trees trees;
};

static inline bool ph__map_bit(const uint64_t *words, uint32_t pos)
{
	return (words[pos / 64] >> pos % 64 & 1) != 0;
}

static inline void ph__map_set(uint64_t *words, uint32_t pos)
{
	words[pos / 64] |= (uint64_t)1 << pos % 64;
}

/*
 * Finds what an object of the pack names. PH_ERR_MISSING when the pack does not have it,
 * PH_ERR_CORRUPT when it is of another type.
 */
enum ph_status ph__map_find(const struct ph_map_maker *maker, const struct ph_oid *oid,
                            enum ph_object_type type, uint32_t *pos, uint32_t *budget);
/* Reads an entry that the index says is of this type. */
enum ph_status ph__map_read(struct ph_map_maker *maker, uint32_t pos, enum ph_object_type type,
                            struct ph_object *out, uint32_t *budget);

uint32_t ph__map_parents(const struct ph__map_graph *graph, uint32_t commit);
uint32_t ph__map_parent_of(const struct ph__map_graph *graph, uint32_t commit, uint32_t number);

/* One small piece of work each; PH_OK, or an error. */
enum ph_status ph__map_step_commits(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_more(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_order(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_choose(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_forks(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_number(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_extras(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_next(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_region(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_reach(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_join(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_trees(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_store(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_rest(struct ph_map_maker *maker, uint32_t *budget);
enum ph_status ph__map_step_tags(struct ph_map_maker *maker, uint32_t *budget);

void ph__map_trees_release(struct ph_map_maker *maker);
/* Slots of ids that are remembered for so many objects. */
size_t ph__map_known_slots(const struct ph_limits *limits, uint64_t objects);

#endif
