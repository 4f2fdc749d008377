/* SPDX-License-Identifier: MIT */
/*
 * A copy of a pinned epoch, as a stream of blocks. It is written anew and without gaps: what is in
 * use is read by way of the trees, so it is checked, and nothing else gets into the copy. The
 * superblock comes first and names the root, so all is gone over twice: first the blocks are only
 * counted and the trees only made, without the bytes of packs; then they are given out. Both times
 * the same blocks get the same numbers.
 *
 *   ring        two superblocks of the same content, and zeros
 *   data        settings of the store; of each repository its packs and long values, and between
 *               them its tree; the catalogue's tree: each node behind those below it
 *   map         of free blocks: all in use
 *
 * disk_copy.c takes the turns; disk_copy_tree.c makes trees, disk_copy_repo.c goes over the cells,
 * disk_copy_image.c makes what frames the data.
 */
#ifndef PACKHORSE_DISK_COPY_INT_H
#define PACKHORSE_DISK_COPY_INT_H

#include "disk_pin_int.h"

/* Blocks of a section or value that one step reads. */
#define PH__COPY_BLOCKS 16u
/* A block that waits, and what a step can make: a repository's tree ends, and the catalogue grows.
 */
#define PH__COPY_ROOM (1 + PH__COPY_BLOCKS + 3 * PH__TREE_HEIGHT)

/* ---- disk_copy_tree.c: a tree out of its cells, in order ---- */

struct ph__copy;

struct ph__grown_level {
	uint32_t used; /* bytes of cells */
	uint32_t low_len;
	uint8_t low[PH__KEY_MAX]; /* the key that the parent will have */
	_Alignas(8) uint8_t node[PH__BLOCK];
};

struct ph__grown {
	uint64_t owner;
	uint8_t height;
	uint32_t last_len;
	uint8_t last[PH__KEY_MAX]; /* the key before the next one */
	struct ph__grown_level *levels[PH__TREE_HEIGHT];
};

void ph__grown_start(struct ph__grown *grown, uint64_t owner);
void ph__grown_release(struct ph__grown *grown, const struct ph_alloc *alloc);
/* The next cell of a leaf. */
enum ph_status ph__grown_add(struct ph__copy *copy, struct ph__grown *grown,
                             const struct ph__cell *cell);
/* Finishes all nodes. */
enum ph_status ph__grown_end(struct ph__copy *copy, struct ph__grown *grown, struct ph__tree *out);

/* ---- disk_copy_repo.c: what the trees hold ---- */

/* A cell whose value, or what that names, is being copied. */
struct ph__copy_cell {
	struct ph__grown *to;
	uint32_t key_len, value_len;
	uint8_t key[PH__KEY_MAX];
	uint8_t value[PH__VALUE_MAX];
	uint8_t *data;       /* of a long value */
	uint64_t blocks, at; /* of it */
	struct ph__pack *pack;
	uint32_t section; /* of the pack; PH_SECTION_MAX + 1 behind the last */
	bool begun;       /* with it: at counts its bytes, then its pages of checksums */
	bool rotten;      /* damage in it was reported */
	uint64_t start;   /* the block that it begins in */
	uint32_t skip;    /* bytes of that which are another's */
	uint32_t filled;  /* bytes of a block that is not full yet, in copy->part */
};

/* A step of work. PH_END when the catalogue is through. */
enum ph_status ph__copy_data(struct ph__copy *copy);

/* ---- disk_copy_image.c: the ring and the map ---- */

/* The copy's superblock, once its data ends at next. */
void ph__copy_super(struct ph__copy *copy);
/* A block of the map. */
void ph__copy_map_block(const struct ph__copy *copy, uint64_t number, uint8_t *out);
/* A block of the ring. */
void ph__copy_ring_block(struct ph__copy *copy, uint64_t number, uint8_t *out);

/* ---- disk_copy.c ---- */

/* ph_store_copy. */
enum ph_status ph__store_copy(struct ph_store *store, const struct ph_copy_options *options,
                              struct ph_copy **out);

enum ph__copy_phase {
	PH__COPY_PLAN,     /* data, counted */
	PH__COPY_PLAN_MAP, /* the checksum of the map */
	PH__COPY_RING,
	PH__COPY_DATA,
	PH__COPY_MAP,
	PH__COPY_REST, /* zeros, of a store that is smaller than any */
	PH__COPY_END
};

struct ph__copy {
	struct ph_copy copy;
	struct ph__disk *disk;
	struct ph_copy_options options;
	struct ph__pin pin;
	enum ph__copy_phase phase;
	enum ph_status status;  /* sticky */
	bool giving;            /* blocks are given out, not only counted */
	uint64_t next;          /* block */
	uint64_t map_at;        /* block of the map */
	struct ph__super super; /* the copy's */

	struct ph__cursor names; /* of the catalogue */
	struct ph__grown catalogue;
	bool in_repo;
	struct ph__cursor cells; /* of the repository */
	struct ph__grown tree;
	struct ph__record record;
	uint64_t repo_at; /* block that it begins at */
	char repo[PH_REPO_NAME_MAX + 1];
	struct ph__copy_cell cell;
	/* Repositories that are left out, by their ids; found while counting. */
	uint64_t *skipped;
	uint32_t skipped_count, skipped_room, skipped_at;

	/* Bytes of a pack that do not fill a block yet, and room for a step more. */
	uint8_t part[(1 + PH__COPY_BLOCKS) * PH__BLOCK];
	size_t out_at, out_len;
	uint8_t out[PH__COPY_ROOM * PH__BLOCK];
};

/* Where to put count blocks that are given out; NULL when they are only counted. */
uint8_t *ph__copy_take(struct ph__copy *copy, uint32_t count);
/* A finding. PH_OK to go on. */
enum ph_status ph__copy_finding(struct ph__copy *copy, enum ph_status status, const char *format,
                                ...) PH_PRINTF(3, 4);

#endif
