/* SPDX-License-Identifier: MIT */
/*
 * Packs being joined: what the three files share. Objects have three numbers. An input's number
 * counts the entries of all packs one after the other. Its row is the place of its id among the
 * sorted ids of the new pack, the same for all copies of an object. The rank is its place in the
 * new run.
 */
#ifndef PH_PACK_JOIN_INT_H
#define PH_PACK_JOIN_INT_H

#include <packhorse/hash.h>
#include <packhorse/inflate.h>
#include <packhorse/pack_join.h>

#include "again_int.h"
#include "entry_int.h"
#include "pack_index_int.h"

/* Reads of runs, and appends to the new one. */
#define PH__JOIN_WINDOW_BYTES ((size_t)128 << 10)
/* Rows of an index that are read at once while they are merged. */
#define PH__JOIN_ROWS 64u
/* A chance to save space that nobody waits for. */
#define PH__JOIN_DEFLATE_LEVEL 6
/* No row: left out. */
#define PH__JOIN_NONE UINT32_MAX
/* No row yet. */
#define PH__JOIN_FREE (UINT32_MAX - 1)
#define PH__JOIN_UNWRITTEN UINT64_MAX

enum ph__join_phase {
	PH__JOIN_MERGE, /* ids of all packs in order: rows */
	PH__JOIN_NEXT,  /* find the next entry to write */
	PH__JOIN_ENTRY, /* decide how the top of the stack goes, or its base before it */
	PH__JOIN_COPY,
	PH__JOIN_DEFLATE,
	PH__JOIN_HEADER,
	PH__JOIN_IDS,
	PH__JOIN_RANKS,
	PH__JOIN_ENTRIES,
	PH__JOIN_DONE
};

struct ph__join_pack {
	struct ph_index index;
	uint32_t first; /* number of its first entry */
	uint32_t row;   /* of its own index, that is merged next */
	uint32_t ids_at, ids_count;
	uint8_t *ids; /* rows from ids_at on */
};

struct ph_pack_join {
	struct ph_pack_join_options options;
	enum ph__join_phase phase;
	enum ph_status failed;
	struct ph_pack_join_stats stats;
	struct ph__join_pack *packs;
	uint32_t total; /* entries of all packs */

	uint32_t *row_of;    /* by number */
	uint32_t *number_of; /* by row: of the copy that is kept */
	uint64_t *offset_of; /* by row: in the new run */
	uint16_t *depth_of;  /* by row: links of its chain as written; 0 for whole objects */
	uint32_t *rank_of;   /* by row */
	uint32_t *row_at;    /* by rank */
	uint32_t fanout[256];

	uint32_t at;      /* of the phase's loop */
	uint32_t written; /* entries */
	uint32_t *stack;  /* numbers: an entry, its base, the base's base, ... */
	uint32_t depth;
	uint64_t copy_at, copy_end; /* in the run of the pack copied from */
	uint32_t copy_pack;

	uint8_t *window;
	uint32_t window_pack;
	uint64_t window_at;
	size_t window_len;
	uint8_t *out; /* what goes to a sink next */
	size_t out_len;
	struct ph_hash hash;
	struct ph_oid trailer;

	struct ph_reader *reader;   /* NULL until an object must be encoded again */
	struct ph_deflate *deflate; /* the same */
	struct ph__again again;
};

/* The pack of a number. */
uint32_t ph__join_pack_of(const struct ph_pack_join *join, uint32_t number);
/* Its index's entry. */
enum ph_status ph__join_entry(const struct ph_pack_join *join, uint32_t number,
                              struct ph_entry *out);

/* One small piece of work of the phases they are named after. */
enum ph_status ph__join_next(struct ph_pack_join *join, uint32_t *budget);
enum ph_status ph__join_open(struct ph_pack_join *join, uint32_t *budget);
enum ph_status ph__join_copy(struct ph_pack_join *join, uint32_t *budget);
enum ph_status ph__join_deflate(struct ph_pack_join *join, uint32_t *budget);
enum ph_status ph__join_header(struct ph_pack_join *join);
enum ph_status ph__join_rows(struct ph_pack_join *join, uint32_t *budget);

#endif
