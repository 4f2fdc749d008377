/* SPDX-License-Identifier: MIT */
/*
 * What the files of store/disk share. SPEC.md has the format; this header has the objects in
 * memory.
 *
 * From the bottom: io (blocks of the device), map (which blocks are free), cache (verified blocks),
 * node and tree (copy-on-write B+trees), batch (what a commit is going to write), section and pack
 * (the bulk data), view and repo (what is alive in memory), txn and commit.
 *
 * Locks, taken in this order, none of them recursive:
 *   commit   one leader at a time makes a commit; held during its I/O
 *   gates    held by the leader for those who wait for it
 *   load     one repository at a time is read into memory
 *   lock     tables, reference counts, the queue of commits: never held during I/O
 *   map.lock, io.lock, a shard of the cache: leaves; io.lock alone is held during I/O
 */
#ifndef PACKHORSE_DISK_INT_H
#define PACKHORSE_DISK_INT_H

#include "../txn_meta_int.h"
#include "../txn_refs_int.h"
#include "disk_bits_int.h"
#include "disk_cache_int.h"
#include "disk_lock_int.h"

#include <packhorse/hash.h>
#include <packhorse/store_disk.h>
#include <stdatomic.h>

#define PH__FORMAT_VERSION 1u
#define PH__BLOCK 4096u
#define PH__RING_BLOCKS 32u
/* Blocks of a store: 64 TiB. The map's length in bytes has 32 bits. */
#define PH__BLOCKS_MAX ((uint64_t)1 << 34)
/* Bytes of a section under one checksum: small enough that a random read of an object is cheap. */
#define PH__CHUNK 16384u
#define PH__CHUNK_BLOCKS (PH__CHUNK / PH__BLOCK)
/* Up to this many checksums stand in the pack's record; more go to pages of their own. */
#define PH__CRC_INLINE 16u
#define PH__CRC_PER_PAGE (PH__BLOCK / 4u)
/* Appends reach the device in pieces of this size. */
#define PH__SINK_BYTES 65536u
/* Epochs that a device without flush may lose. */
#define PH__LOSS_EPOCHS (PH__RING_BLOCKS / 2u)
/* A tree of this height cannot be full on any device; more is corruption. */
#define PH__TREE_HEIGHT 16u
/* A value in a leaf; longer ones are blobs. A symref to the longest name fits. */
#define PH__VALUE_MAX 1100u
#define PH__KEY_MAX (PH_REF_NAME_MAX + 2u)
/* Pieces a blob may be in; more means the device is full of crumbs. */
#define PH__BLOB_EXTENTS 64u
/* No blob is larger: the record of a pack in very many pieces. */
#define PH__BLOB_MAX (64u << 20)
/* Extents of the area that the map of free blocks is in. */
#define PH__MAP_EXTENTS 32u
/* Changes of the map that a superblock carries; more go to a block of the map's log. */
#define PH__TAIL_ENTRIES 96u
/* Bytes of edits of the catalogue that a superblock carries. */
#define PH__HELD_ROOM 2392u
/* Records kept in a repository's log of pushes; the oldest go first. */
#define PH__LOG_KEPT 65536u
/* Repositories that nobody looks at and that stay in memory all the same. */
#define PH__IDLE_REPOS 64u

struct ph__disk;
struct ph__batch;
struct ph__repo;
struct ph__dtxn;
struct ph__pin;

/* ---- extents ---- */

/* birth: the epoch that wrote it, where that matters; 0 is long ago. */
struct ph__extent {
	uint64_t start;
	uint32_t count;
	uint64_t birth;
};

struct ph__extents {
	struct ph__extent *list;
	uint32_t count, room;
};

enum ph_status ph__extents_reserve(const struct ph_alloc *alloc, struct ph__extents *extents,
                                   uint32_t more);
/* Joins it to the last one when it follows that and is as old. */
enum ph_status ph__extents_add(const struct ph_alloc *alloc, struct ph__extents *extents,
                               struct ph__extent extent);
void ph__extents_release(const struct ph_alloc *alloc, struct ph__extents *extents);

/* ---- disk_io.c: the device in blocks of 4 KiB ---- */

struct ph__io {
	struct ph_device *device;
	const struct ph_sync *sync;
	void *lock; /* one thread at a time writes, flushes, grows */
	_Atomic uint64_t blocks;
	atomic_bool failed; /* a write or flush did: nothing more is written */
};

enum ph_status ph__io_init(struct ph__io *io, struct ph_device *device, const struct ph_sync *sync);
void ph__io_release(struct ph__io *io);
/* PH_ERR_CORRUPT when the range is not on the device: a pointer led there. */
enum ph_status ph__io_read(struct ph__io *io, uint64_t block, uint32_t count, void *buf);
enum ph_status ph__io_write(struct ph__io *io, uint64_t block, uint32_t count, const void *buf);
enum ph_status ph__io_flush(struct ph__io *io);
/* Space behind a range, and none: see device.h. Neither can end writing. */
enum ph_status ph__io_provide(struct ph__io *io, uint64_t block, uint32_t count);
enum ph_status ph__io_discard(struct ph__io *io, uint64_t block, uint32_t count);
/* At least more blocks than now. PH_ERR_FULL. */
enum ph_status ph__io_grow(struct ph__io *io, uint64_t more);

/* ---- disk_map.c: which blocks are free ---- */

/* What is left for others when this one allocates: data stops first, then that of maintenance, then
 * trees. */
enum ph__class { PH__CLASS_DATA, PH__CLASS_UPKEEP, PH__CLASS_TREE, PH__CLASS_ROOT };

struct ph__map {
	const struct ph_alloc *alloc;
	const struct ph_sync *sync;
	void *lock;
	struct ph__io *io;
	uint64_t blocks; /* covered by the bitmaps */
	uint64_t room;   /* bits they have room for */
	uint64_t free;
	uint64_t ahead;       /* blocks that are busy for the map's next area */
	uint64_t low;         /* no free block is below */
	uint64_t next;        /* where data went last */
	uint64_t *busy;       /* not to be allocated: in use, held by a snapshot or a transaction */
	uint64_t *used;       /* named by the newest durable epoch; the leader's alone */
	uint16_t *group_free; /* of PH__GROUP blocks each, by busy */
	/* By PH__UNIT blocks, see disk_trim.c: there may be no space behind them; what is free of
	 * them need not be given back. */
	uint64_t *hollow, *trimmed;
	uint64_t hollow_free; /* free blocks of hollow units */
	bool provides;        /* the device has units that are hollow */
	bool unknown;         /* those that come now may be */
	bool untrimmed;       /* something was freed since trimming found nothing */
};

/* Blocks that are given back and provided together: 1 MiB. */
#define PH__UNIT 256u

/* ---- disk_trim.c: space behind blocks ---- */

/* The device's blocks that are free now may be hollow or not; those that all are in use are not. */
void ph__map_known(struct ph__map *map);
/* Provides space behind blocks that are taken. PH_ERR_FULL. */
enum ph_status ph__map_back(struct ph__map *map, struct ph__extent extent);
/* Provides so many free blocks with space, if there are so many. PH_ERR_FULL. */
enum ph_status ph__map_back_free(struct ph__map *map, uint64_t blocks);
/* ph_store_trim. */
enum ph_status ph__disk_trim(struct ph_store *store, uint64_t bytes_max);

/* ---- disk_map.c, on ---- */

void ph__map_set_ahead(struct ph__map *map, uint64_t blocks);
/* Blocks to be left when data is allocated. With the map's lock. */
uint64_t ph__map_reserve(const struct ph__map *map);
/* Marks blocks as to be allocated or not. With the map's lock. */
void ph__map_set_busy(struct ph__map *map, uint64_t start, uint64_t count, bool busy);

/* Blocks under one summary, and under one entry of the map on the device. */
#define PH__GROUP 8192u

enum ph_status ph__map_init(struct ph__map *map, const struct ph_alloc *alloc, struct ph__io *io,
                            const struct ph_sync *sync);
void ph__map_release(struct ph__map *map);
/* Covers blocks blocks, the new ones free. */
enum ph_status ph__map_cover(struct ph__map *map, uint64_t blocks);
/* 1 to want blocks in a row, as many as can be had. Grows the device. PH_ERR_FULL. */
enum ph_status ph__map_alloc(struct ph__map *map, enum ph__class class, uint32_t want,
                             struct ph__extent *out);
/* want blocks in at most max extents, which are added. */
enum ph_status ph__map_alloc_list(struct ph__map *map, enum ph__class class, uint64_t want,
                                  uint32_t max, struct ph__extents *out);
void ph__map_free(struct ph__map *map, struct ph__extent extent);
void ph__map_free_list(struct ph__map *map, const struct ph__extents *extents, uint32_t from);
/* Marks blocks busy: while opening. */
void ph__map_take(struct ph__map *map, struct ph__extent extent);
/* Changes the durable view. */
void ph__map_used(struct ph__map *map, struct ph__extent extent, bool used);
bool ph__map_is_busy(struct ph__map *map, uint64_t block);
bool ph__map_is_used(struct ph__map *map, uint64_t block);
uint64_t ph__map_blocks(struct ph__map *map);
/* With what is ahead, which is as good as free. */
uint64_t ph__map_free_blocks(struct ph__map *map);
/* 64 blocks while loading: sets them busy and used. PH_ERR_CORRUPT behind the end. */
enum ph_status ph__map_load_word(struct ph__map *map, uint64_t word, uint64_t bits);
/* Writes used for the first blocks: the number, then every group. Returns the bytes. */
uint32_t ph__map_serialise(struct ph__map *map, uint64_t blocks, uint8_t *to);
/* Adds what is busy but not used. */
enum ph_status ph__map_held(struct ph__map *map, struct ph__extents *out);
/* Whether the blocks are on the device and outside the ring. */
bool ph__extent_valid(const struct ph__disk *disk, struct ph__extent extent);
uint32_t ph__map_area_blocks(uint64_t blocks, uint32_t *base_blocks, uint32_t *log_blocks);

/* ---- disk_super.c: the ring ---- */

/* A pointer to a node; block 0 is none. */
struct ph__ptr {
	uint64_t block;
	uint64_t epoch; /* in which it was written */
	uint32_t crc;
};

/*
 * height 0: no nodes. owner: the repository's id, 0 for the catalogue. A tree may have a buffer,
 * see disk_buffer.c: in a block of its own, or where held points, which is borrowed memory of
 * PH__BLOCK bytes in the form of a leaf, with no cells when there is nothing.
 */
struct ph__tree {
	struct ph__ptr root;
	struct ph__ptr buffer;
	uint8_t *held;
	uint64_t owner;
	uint8_t height;
};

/* A change of the map. */
struct ph__map_entry {
	uint64_t start;
	uint32_t count;
	bool free; /* else taken */
};

/*
 * Where the map of free blocks is: a base, then a log of changes, in one area, and the newest
 * changes here.
 */
struct ph__map_root {
	struct ph__extent extents[PH__MAP_EXTENTS];
	uint32_t extent_count;
	uint32_t base_blocks; /* of the area's beginning */
	uint32_t base_bytes;  /* in use */
	uint32_t base_crc;
	uint32_t log_blocks; /* behind them */
	uint32_t log_used;
	uint32_t log_crc;
	uint32_t tail_count;
	struct ph__map_entry tail[PH__TAIL_ENTRIES];
};

struct ph__super {
	uint64_t features[3]; /* compatible, read-only compatible, incompatible */
	uint8_t id[16];
	uint64_t epoch;
	uint64_t blocks;
	uint64_t generation;
	uint64_t next_repo;
	uint64_t repos;
	bool unflushed;            /* written to a device that cannot flush */
	struct ph__tree catalogue; /* without its buffer: see ph__super_tree */
	struct ph__map_root map;
	uint8_t buffer[PH__BLOCK]; /* of the catalogue, as a leaf */
};

/* The catalogue, with its buffer, for as long as the superblock stays where it is. */
struct ph__tree ph__super_tree(const struct ph__super *super);
void ph__super_encode(const struct ph__super *super, uint8_t *block);
#define PH__MAP_ENTRY_BYTES 12u
void ph__map_entry_put(uint8_t *to, const struct ph__map_entry *entry);
/* false when it is not within the blocks of the store. */
bool ph__map_entry_get(struct ph__map_entry *entry, const uint8_t *from, uint64_t blocks);
/* PH_END for a slot that holds none, PH_ERR_CORRUPT, PH_ERR_UNSUPPORTED; *why says what is. */
enum ph_status ph__super_decode(struct ph__super *super, const uint8_t *block, const char **why);
/* ---- disk_super_mend.c ---- */

/* Where the second CRC of a superblock is. */
#define PH__SUPER_CHECK_AT 154u
uint32_t ph__super_check(const uint8_t *block);
/* Puts one wrong bit right; false when it is not one, or none. */
bool ph__super_mend(uint8_t *block);

/*
 * Reads the ring: the valid ones, newest first, at most PH__RING_BLOCKS. PH_ERR_INVALID when the
 * device holds no store, PH_ERR_CORRUPT when it did.
 */
enum ph_status ph__super_read(struct ph__disk *disk, struct ph__super *out, uint32_t *count);
enum ph_status ph__super_write(struct ph__disk *disk, const struct ph__super *super);

/* ---- disk_space.c: the map on the device, and space on its way back ---- */

/* Extents that one commit gave up; they wait for snapshots and for epochs. */
struct ph__freed {
	struct ph__freed *next;
	uint64_t epoch;
	uint32_t count;
	struct ph__extent extents[];
};

struct ph__freed_list {
	struct ph__freed *first, *last;
};

/* PH_ERR_CORRUPT, PH_ERR_IO, PH_ERR_NOMEM. */
enum ph_status ph__space_load(struct ph__disk *disk, const struct ph__super *super);
/* Reads blocks [first, first + count) of the map's area. */
enum ph_status ph__space_read(struct ph__disk *disk, const struct ph__map_root *map, uint32_t first,
                              uint32_t count, uint8_t *to);
/* Adds the batch's changes to the map of its superblock. */
enum ph_status ph__space_prepare(struct ph__batch *batch);
/*
 * Takes the blocks that the map moves to next, if there are so many in few enough pieces: a full
 * store may have them as crumbs alone when they are needed. For the leader.
 */
void ph__space_ahead(struct ph__disk *disk);
/* The batch is durable: so are its changes. */
void ph__space_commit(struct ph__batch *batch);
/* With the lock held: free for later epochs, at once or when enough of them have passed. */
void ph__space_return(struct ph__disk *disk, struct ph__freed_list *list);
/*
 * With the lock held: the generation that had the list is gone, and one of epoch shown is the next
 * older. What is younger than that is free; the rest goes to its list.
 */
void ph__space_inherit(struct ph__disk *disk, uint64_t shown, struct ph__freed_list *to,
                       struct ph__freed_list *from);
/* With the lock held, after a commit: gives back what has waited long enough. */
void ph__space_settle(struct ph__disk *disk);
/* NULL for no extents. */
enum ph_status ph__freed_new(struct ph__freed **out, struct ph__disk *disk, uint64_t epoch,
                             const struct ph__extents *extents);
/* freed may be NULL. */
void ph__freed_append(struct ph__freed_list *list, struct ph__freed *freed);
void ph__freed_discard(struct ph__disk *disk, struct ph__freed_list *list);

/* ---- disk_node.c: one block of a tree ---- */

#define PH__NODE_HEADER 32u
#define PH__NODE_ROOM (PH__BLOCK - PH__NODE_HEADER)

/* A cell of a leaf (value) or of an inner node (ptr). Borrowed bytes. */
struct ph__cell {
	const uint8_t *key;
	const uint8_t *value;
	uint32_t key_len;
	uint32_t value_len;
	struct ph__ptr ptr;
};

/*
 * An empty node; a cell behind the others, false when it has no room; and seal makes it a node that
 * has its place.
 */
void ph__node_start(uint8_t *node, uint8_t level);
bool ph__node_append(uint8_t *node, const struct ph__cell *cell);
void ph__node_seal(uint8_t *node, uint64_t block, uint64_t epoch, uint64_t owner);
/* All three. */
void ph__node_make(uint8_t *node, uint64_t block, uint64_t epoch, uint64_t owner, uint8_t level,
                   const struct ph__cell *cells, uint32_t count);
size_t ph__cell_size(uint8_t level, const struct ph__cell *cell);
uint32_t ph__node_count(const uint8_t *node);
uint8_t ph__node_level(const uint8_t *node);
void ph__node_cell(const uint8_t *node, uint32_t slot, struct ph__cell *out);
/* Whether a block is the node that ptr means, with all its offsets and its order right. */
bool ph__node_valid(const uint8_t *node, const struct ph__ptr *ptr, uint64_t owner, uint8_t level);
/* The cheap part of it, for a node that was valid under some pointer. */
bool ph__node_is(const uint8_t *node, uint64_t owner, uint8_t level);
/* The first slot whose key is >= key; *equal says whether it is that key. */
uint32_t ph__node_search(const uint8_t *node, const uint8_t *key, uint32_t len, bool *equal);
/* The child of an inner node that a key belongs to. */
uint32_t ph__node_child(const uint8_t *node, const uint8_t *key, uint32_t len);
int ph__key_cmp(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len);
void ph__ptr_put(uint8_t *to, const struct ph__ptr *ptr);
struct ph__ptr ph__ptr_get(const uint8_t *from);
#define PH__PTR_BYTES 20u

/* ---- disk_buffer.c: edits that are not yet in a tree's nodes ---- */

/* The value of a key that is removed; in buffers only. */
#define PH__VALUE_REMOVED 2u
bool ph__cell_removes(const struct ph__cell *cell);
bool ph__tree_buffered(const struct ph__tree *tree);
/* Copies the buffer of a tree that has one into 4 KiB. */
enum ph_status ph__buffer_load(struct ph__disk *disk, const struct ph__batch *batch,
                               const struct ph__tree *tree, uint8_t *node);
/* No cells at all. */
void ph__buffer_clear(uint8_t *node);

/* ---- disk_tree.c: reading trees ---- */

/* Reads a node into 4 KiB: of the batch if it is there, else through the cache. */
enum ph_status ph__tree_node(struct ph__disk *disk, const struct ph__batch *batch,
                             const struct ph__tree *tree, const struct ph__ptr *ptr, uint8_t level,
                             uint8_t *node);
/* The same, from the device, past the cache. */
enum ph_status ph__tree_node_direct(struct ph__disk *disk, const struct ph__tree *tree,
                                    const struct ph__ptr *ptr, uint8_t level, uint8_t *node);
/* value has PH__VALUE_MAX bytes. PH_ERR_NOT_FOUND. */
enum ph_status ph__tree_get(struct ph__disk *disk, const struct ph__batch *batch,
                            const struct ph__tree *tree, const void *key, uint32_t key_len,
                            uint8_t *value, uint32_t *value_len);

struct ph__tree_level {
	uint32_t slot, count;
	uint8_t node[PH__BLOCK];
};

/* value has PH__VALUE_MAX bytes. In the nodes alone, without the buffer. PH_ERR_NOT_FOUND. */
enum ph_status ph__nodes_get(struct ph__disk *disk, const struct ph__batch *batch,
                             const struct ph__tree *tree, const void *key, uint32_t key_len,
                             uint8_t *value, uint32_t *value_len);

/* Walks cells in order. */
struct ph__cursor {
	struct ph__disk *disk;
	const struct ph__batch *batch;
	struct ph__tree tree;
	struct ph__tree_level *levels; /* [0] is the leaf */
	struct ph__tree_level *buffer; /* NULL when there is none; count 0 until it is read */
	struct ph__cell cell;          /* the next one of the nodes */
	bool waits;                    /* there is one */
};

enum ph_status ph__cursor_init(struct ph__cursor *cursor, struct ph__disk *disk,
                               const struct ph__batch *batch, const struct ph__tree *tree);
void ph__cursor_release(struct ph__cursor *cursor);
/* To the first cell whose key is >= key. */
enum ph_status ph__cursor_seek(struct ph__cursor *cursor, const void *key, uint32_t key_len);
/* The cell, valid until the next call; moves on. PH_END. */
enum ph_status ph__cursor_next(struct ph__cursor *cursor, struct ph__cell *out);

/* Visits every node and cell; each may be NULL, except bad. What they return ends the walk. */
struct ph__walk {
	struct ph__disk *disk;
	const struct ph__batch *batch;
	void *user;
	enum ph_status (*node)(void *user, const struct ph__ptr *ptr);
	enum ph_status (*cell)(void *user, const struct ph__cell *cell);
	/* A node could not be read; PH_OK to go on without it. */
	enum ph_status (*bad)(void *user, const struct ph__ptr *ptr, enum ph_status status);
};

enum ph_status ph__tree_walk(const struct ph__walk *walk, const struct ph__tree *tree);

/* ---- disk_edit.c: changing trees ---- */

struct ph__edit {
	const uint8_t *key;
	const uint8_t *value; /* NULL removes */
	uint32_t key_len;
	uint32_t value_len;
	bool settled; /* the value in the nodes is not in use any more; see disk_buffer.c */
};

/* What else goes with a change of the nodes: blobs, and the block of a buffer if it is not 0. */
struct ph__gone {
	struct ph__extents blobs;
	struct ph__ptr buffer;
};

/* The same as ph__tree_apply, on the nodes alone. */
enum ph_status ph__nodes_apply(struct ph__batch *batch, struct ph__tree *tree,
                               const struct ph__edit *edits, uint32_t count,
                               const struct ph__gone *gone, struct ph__extents *frees);

/*
 * Applies edits, sorted by key and each key once. Nodes and blobs that go are added to frees. On
 * failure tree, batch and frees are as before.
 */
enum ph_status ph__tree_apply(struct ph__batch *batch, struct ph__tree *tree,
                              const struct ph__edit *edits, uint32_t count,
                              struct ph__extents *frees);

/* ---- disk_record.c: values ---- */

enum ph__space {
	PH__KEY_SETTING = 'G', /* + key */
	PH__KEY_SHALLOW = 'H',
	PH__KEY_LOG = 'L',  /* + u64 number */
	PH__KEY_PACK = 'P', /* + u64 id */
	PH__KEY_REF = 'R',  /* + name */
	PH__KEY_REPO = 'R', /* + name, in the catalogue */
};

/* A repository in the catalogue. */
struct ph__record {
	enum ph_hash_algo algo;
	uint64_t generation;
	uint64_t next_pack;
	uint64_t refs;
	uint64_t packs;
	uint64_t log_first, log_count;
	struct ph_oid log_tip; /* SHA-256 of the newest record of its log */
	struct ph__tree tree;
};

#define PH__RECORD_BYTES 132u
void ph__record_encode(const struct ph__record *record, uint8_t *to);
enum ph_status ph__record_decode(struct ph__record *record, const uint8_t *value, uint32_t len);

/* Key of a name or number; the buffer has PH__KEY_MAX bytes. */
uint32_t ph__key_name(uint8_t *key, enum ph__space space, const char *name);
/* The same with as much of the name as any key can have, for seeking. */
uint32_t ph__key_prefix(uint8_t *key, enum ph__space space, const char *name);
uint32_t ph__key_number(uint8_t *key, enum ph__space space, uint64_t number);
/* Whether a name has at most max bytes. */
bool ph__name_fits(const char *name, size_t max);

/* Value of a ref; the buffer has PH__VALUE_MAX bytes. target NULL: oid. */
uint32_t ph__ref_encode(uint8_t *value, enum ph_hash_algo algo, const struct ph_oid *oid,
                        const struct ph_oid *peeled, const char *target);
enum ph_status ph__ref_decode(struct ph_ref *ref, enum ph_hash_algo algo,
                              const struct ph__cell *cell);

/* A value is 0 and its bytes, or 1 and where a blob is. */
enum ph__value_kind { PH__VALUE_INLINE = 0, PH__VALUE_BLOB = 1 };

struct ph__blob {
	uint64_t epoch;
	uint32_t len;
	uint32_t crc;
	uint32_t count;
	struct ph__extent extents[PH__BLOB_EXTENTS];
};

/* PH_OK for a blob, PH_END for a value that is none, PH_ERR_CORRUPT. */
enum ph_status ph__blob_decode(struct ph__blob *blob, const uint8_t *value, uint32_t len);
uint32_t ph__blob_encode(const struct ph__blob *blob, uint8_t *value);
/* The bytes of a value of either kind, in memory that the caller frees; *data NULL for none. */
enum ph_status ph__value_load(struct ph__disk *disk, const uint8_t *value, uint32_t len,
                              uint8_t **data, uint32_t *data_len);

/* ---- disk_section.c: bytes of a section ---- */

struct ph__piece {
	uint64_t at; /* block of the section */
	uint64_t start;
	uint32_t count;
};

struct ph__section {
	struct ph_bytes bytes; /* what everybody else sees */
	struct ph__disk *disk;
	atomic_uint refs;
	uint64_t number; /* in memory: names its bytes in the cache */
	uint64_t epoch;
	uint32_t type;
	uint32_t skip; /* bytes of its first block that belong to a section before it */
	bool paged;    /* crcs are those of pages of checksums, behind the data */
	bool joined;   /* its last block is written by the section behind it */
	bool upkeep;   /* it is written by maintenance */
	struct ph__piece *pieces;
	uint32_t piece_count, piece_room;
	uint32_t *crcs;
	uint32_t crc_count, crc_room;
	uint64_t blocks; /* in pieces */
	/* Bytes from tail_at on are in memory until the commit writes them, behind those that are
	 * skipped; NULL when there are none. */
	uint8_t *tail;
	uint64_t tail_at;
};

enum ph_status ph__section_new(struct ph__section **out, struct ph__disk *disk, uint32_t type);
void ph__section_retain(struct ph__section *section);
void ph__section_release(struct ph__section *section);
enum ph_status ph__section_add(struct ph__section *section, struct ph__extent extent);
enum ph_status ph__section_read(struct ph__section *section, uint64_t offset, void *buf,
                                size_t len);
enum ph_status ph__section_write(struct ph__section *section, uint64_t block, uint32_t count,
                                 const void *buf);
/* Gives its blocks back: it was never committed. A block that it shares is the other's. */
void ph__section_free_blocks(struct ph__section *section);
/* Blocks of the section, data or pages, past the cache and unchecked. */
enum ph_status ph__section_raw(struct ph__section *section, uint64_t block, uint32_t count,
                               void *buf);
/* Read and check a page of checksums, or a chunk, past the cache, into PH__CHECK_BYTES. */
#define PH__CHECK_BYTES (PH__CHUNK + PH__BLOCK)
enum ph_status ph__section_check_page(struct ph__section *section, uint32_t page, uint8_t *buf);
enum ph_status ph__section_check_chunk(struct ph__section *section, uint64_t chunk, uint8_t *buf);
/* Blocks of data, with what it skips; checksum pages come behind. */
uint64_t ph__section_data_blocks(const struct ph__section *section);

/* ---- disk_pack.c: packs in memory and their records ---- */

struct ph__pack {
	struct ph_pack pack; /* run and index, for ph_pack_set */
	atomic_uint refs;
	uint64_t id;
	struct ph__section *sections[PH_SECTION_MAX + 1];
};

enum ph_status ph__pack_new(struct ph__pack **out, struct ph__disk *disk);
void ph__pack_retain(struct ph__pack *pack);
void ph__pack_release(struct ph__disk *disk, struct ph__pack *pack);
/* Reads its index. PH_ERR_CORRUPT when that is not one of the run. */
enum ph_status ph__pack_index(struct ph__pack *pack, enum ph_hash_algo algo);
/* A pack like this one but with another section. */
enum ph_status ph__pack_with(struct ph__pack **out, struct ph__disk *disk,
                             const struct ph__pack *pack, struct ph__section *section);
/* In memory that the caller frees. */
enum ph_status ph__pack_encode(struct ph__disk *disk, const struct ph__pack *pack, uint8_t **out,
                               uint32_t *len);
/* Without reading its index. */
enum ph_status ph__pack_decode(struct ph__pack **out, struct ph__disk *disk, uint64_t id,
                               const uint8_t *data, uint32_t len);
/* The highest section below a type, or NULL. */
struct ph__section *ph__pack_before(const struct ph__pack *pack, uint32_t type);
/* Extent i of a section without the block that one before it has too; count may become 0. */
struct ph__extent ph__pack_extent(const struct ph__pack *pack, const struct ph__section *section,
                                  uint32_t i);
/* All blocks of a pack, each once. */
enum ph_status ph__pack_extents(struct ph__disk *disk, const struct ph__pack *pack,
                                struct ph__extents *out);
/* The blocks of a section that no other one of the pack has. */
enum ph_status ph__pack_own_extents(struct ph__disk *disk, const struct ph__pack *pack,
                                    const struct ph__section *section, struct ph__extents *out);

/* ---- disk_sink.c: sections being written ---- */

struct ph__sink {
	struct ph_sink sink;
	struct ph__section *section;
	size_t len, room;      /* of the section's tail */
	enum ph_status status; /* sticky */
	bool ended;
};

enum ph_status ph__sink_new(struct ph__sink **out, struct ph__disk *disk, uint32_t type);
/* Its section stays with whoever retained it; unless keep, its blocks are given back. */
void ph__sink_free(struct ph__sink *sink, bool keep);
/*
 * No more bytes: exact space, checksums in place. A small one begins in the last block of before,
 * if that is given, is in memory and has room.
 */
enum ph_status ph__sink_end(struct ph__sink *sink, struct ph__section *before);
/* Writes what ph__sink_end left in memory. */
enum ph_status ph__section_settle(struct ph__section *section);

/* ---- disk_repo.c: what is alive ---- */

/* One generation of a tree. freed: what the next generation does not have any more. */
struct ph__view {
	struct ph__view *older, *newer;
	uint64_t epoch; /* in which it became current, or later */
	uint32_t refs;
	struct ph__freed_list freed;
};

struct ph__views {
	struct ph__view *oldest, *newest;
};

void ph__views_push(struct ph__views *views, struct ph__view *view);
/* With the lock held. true when it was the last reference and is out of the list. */
bool ph__view_put(struct ph__disk *disk, struct ph__views *views, struct ph__view *view);

struct ph__shallow {
	atomic_uint refs;
	uint32_t count;
	struct ph_oid oids[];
};

/* A generation of a repository; what others know as a snapshot. */
struct ph__state {
	struct ph_snapshot snapshot;
	struct ph__view view;
	struct ph__repo *repo;
	struct ph__record record;
	struct ph__shallow *shallow;      /* may be NULL */
	struct ph__pack **packs;          /* by id */
	const struct ph_pack **set_packs; /* the same, for set */
	struct ph_pack_set set;
	uint32_t pack_count;
};

struct ph__repo {
	struct ph__repo *chain; /* in the table */
	struct ph__repo *idle_newer, *idle_older;
	struct ph__views views;
	struct ph__state *current; /* NULL once deleted */
	struct ph__dtxn *txns;     /* open, on any generation */
	/* Generations in which refs last reached further, and objects were last dropped. */
	uint64_t extended, dropped;
	bool idle;
	uint32_t hash;
	char name[];
};

/* A generation of the catalogue. */
struct ph__catalogue {
	struct ph__view view;
	struct ph__tree tree;
	uint8_t buffer[PH__BLOCK];
};

enum ph_status ph__repo_new(struct ph__repo **out, struct ph__disk *disk, const char *name);
/* Finds or reads it; its current generation, retained. */
enum ph_status ph__repo_open(struct ph__disk *disk, const char *name, struct ph__state **out);
enum ph_status ph__state_new(struct ph__state **out, struct ph__disk *disk, struct ph__repo *repo,
                             const struct ph__record *record, struct ph__pack **packs,
                             uint32_t pack_count, struct ph__shallow *shallow);
/* Whether somebody has it open, or had it lately. */
bool ph__repo_is_open(struct ph__disk *disk, const char *name);
/* With load and lock held: as retire, for one that may have been opened while it was deleted. */
void ph__repo_retire_name(struct ph__disk *disk, const char *name);
/* A state that nobody else has seen. */
void ph__state_free(struct ph__disk *disk, struct ph__state *state);
/* The place of a pack, or pack_count. */
uint32_t ph__packs_find(struct ph__pack *const *packs, uint32_t count, uint64_t id);
void ph__state_retain(struct ph__state *state);
void ph__state_release(struct ph__state *state);
/* With the lock held. */
void ph__repo_insert(struct ph__disk *disk, struct ph__repo *repo);
void ph__repo_remove(struct ph__disk *disk, struct ph__repo *repo);
/* Puts a state, whose reference is the repository's, in the place of the current one. */
void ph__repo_advance(struct ph__disk *disk, struct ph__repo *repo, struct ph__state *state);
/* The repository is gone; its states live on as long as somebody has them. */
void ph__repo_retire(struct ph__disk *disk, struct ph__repo *repo);
void ph__repo_free_all(struct ph__disk *disk);
/* Of a superblock; NULL when out of memory. */
struct ph__catalogue *ph__catalogue_new(struct ph__disk *disk, const struct ph__super *super);
struct ph__catalogue *ph__catalogue_pin(struct ph__disk *disk);
void ph__catalogue_unpin(struct ph__disk *disk, struct ph__catalogue *catalogue);
struct ph__shallow *ph__shallow_retain(struct ph__shallow *shallow);
void ph__shallow_release(struct ph__disk *disk, struct ph__shallow *shallow);

/* ---- disk_snapshot.c ---- */

extern const struct ph_snapshot_ops ph__snapshot_ops;

/* ---- disk_txn.c ---- */

enum ph__pack_phase { PH__PACK_OPEN, PH__PACK_ENDED, PH__PACK_DROPPED };

struct ph__txn_pack {
	enum ph__pack_phase phase;
	struct ph__pack *pack; /* once ended */
	struct ph__sink *sinks[PH_SECTION_MAX + 1];
};

struct ph__attach {
	uint64_t pack_id;
	struct ph__sink *sink;
};

/* What waits for a commit: a transaction, or a setting of the store. */
enum ph__request_phase {
	PH__REQUEST_IDLE,
	PH__REQUEST_QUEUED,
	PH__REQUEST_RUNNING, /* in a batch */
	PH__REQUEST_DONE
};

struct ph__request {
	struct ph__request *next;
	enum ph__request_phase phase;
	enum ph_status result;
	ph_wake wake;
	void *arg;
	bool blocks;          /* its caller waits at a gate */
	struct ph__dtxn *txn; /* NULL: a setting */
	const char *key;
	const void *data; /* NULL deletes */
	size_t len;
	bool swaps; /* only when it is old; NULL: is not there */
	const void *old;
	size_t old_len;
};

struct ph__dtxn {
	struct ph_txn txn;
	struct ph__disk *disk;
	struct ph__state *base; /* NULL when it creates */
	struct ph__dtxn *next, **link;
	char *name; /* of the repository it creates */
	struct ph__txn_refs refs;
	struct ph__txn_meta meta;
	struct ph__txn_pack *packs;
	uint32_t pack_count, pack_room;
	struct ph__attach *attaches;
	uint32_t attach_count, attach_room;
	uint64_t *replaced;
	uint32_t replaced_count;
	bool drops_objects;
	bool delete_repo;
	bool started; /* the request is not ours until it is done */
	bool committed;
	struct ph_pack_set set;
	const struct ph_pack **set_packs;
	uint32_t set_room;
	struct ph__request request;
};

enum ph_status ph__dtxn_new(struct ph__disk *disk, struct ph__state *base, const char *name,
                            enum ph_hash_algo algo, struct ph_txn **out);
/* Verdicts of a transaction against a repository as record has it; NULL: one being created. */
enum ph_status ph__dtxn_evaluate(struct ph__dtxn *txn, const struct ph__batch *batch,
                                 const struct ph__record *record);

/* ---- disk_batch.c: what one commit writes ---- */

struct ph__batch_node {
	uint64_t block;
	uint8_t *data; /* NULL: dropped */
};

struct ph__batch_blob {
	struct ph__extent extents[PH__BLOB_EXTENTS];
	uint32_t count;
	uint8_t *data; /* padded to blocks */
};

/* A repository as the batch leaves it. */
struct ph__work {
	struct ph__work *next;
	struct ph__repo *repo; /* made by the batch when created; NULL: cannot be opened */
	struct ph__state *from, *to;
	const char *name;
	struct ph__record record;
	struct ph__pack **packs;
	uint32_t pack_count;
	struct ph__shallow *shallow;
	struct ph__extents frees;
	struct ph__freed *freed;
	uint64_t extended, dropped; /* as in the repository; 0 for not in this batch */
	uint64_t dropped_before;
	bool created, deleted, changed;
};

struct ph__batch {
	struct ph__disk *disk;
	struct ph__super super; /* the one to be written */
	uint64_t epoch;
	enum ph__class class;
	struct ph__batch_node *nodes;
	uint32_t node_count, node_room;
	uint32_t *index; /* by block; open addressing */
	uint32_t index_room;
	struct ph__batch_blob *blobs;
	uint32_t blob_count, blob_room;
	struct ph__extents allocs; /* of packs and blobs */
	struct ph__extents frees;  /* all of them, for the log */
	struct ph__extents map_frees, catalogue_frees;
	bool map_moved; /* its area is new */
	struct ph__work *works;
	struct ph__edit *settings;
	uint32_t setting_count;
	struct ph__catalogue *catalogue;
	struct ph__freed *catalogue_freed, *map_freed;
	uint8_t *map_data; /* blocks of the map to write */
	uint32_t map_first, map_blocks;
};

void ph__batch_init(struct ph__batch *batch, struct ph__disk *disk);
/* Frees its memory; undo: and its blocks. */
void ph__batch_release(struct ph__batch *batch, bool undo);
/* Takes a node buffer over. */
enum ph_status ph__batch_add(struct ph__batch *batch, uint64_t block, uint8_t *data);
const uint8_t *ph__batch_find(const struct ph__batch *batch, uint64_t block);
/* Forgets a node of this batch and gives its block back; false when it is none. */
bool ph__batch_drop(struct ph__batch *batch, uint64_t block);
/* Drops all nodes from a number on. */
void ph__batch_undo_nodes(struct ph__batch *batch, uint32_t count);
void ph__batch_undo_blobs(struct ph__batch *batch, uint32_t count);
/* Encodes a value, as a blob when it is long; value has PH__VALUE_MAX bytes. */
enum ph_status ph__batch_value(struct ph__batch *batch, const void *data, uint32_t len,
                               uint8_t *value, uint32_t *value_len);
enum ph_status ph__batch_write(struct ph__batch *batch);

/* ---- disk_apply.c: one transaction into a batch; disk_commit.c: the queue ---- */

/* PH_AGAIN: in a batch of its own. */
enum ph_status ph__batch_apply(struct ph__batch *batch, struct ph__dtxn *txn);
enum ph_status ph__batch_setting(struct ph__batch *batch, const struct ph__request *request);
/* Queues the request and sees to it that it is done. PH_PENDING only when there is a wake. */
enum ph_status ph__commit(struct ph__disk *disk, struct ph__request *request, ph_wake wake,
                          void *arg);
/*
 * Ends a request that will not be asked for again: takes it out of the queue, or waits until it is
 * done. PH_OK when it was done, and well.
 */
enum ph_status ph__commit_cancel(struct ph__disk *disk, struct ph__request *request);

/* ---- disk_open.c: which superblock to believe ---- */

/* Sets super, map, last_epoch and read_only. */
enum ph_status ph__disk_choose(struct ph__disk *disk);

/* ---- disk_check.c ---- */

/* Whether all that was written in min_epoch or later is there. */
enum ph_status ph__disk_verify(struct ph__disk *disk, const struct ph__super *super,
                               uint64_t min_epoch);

/* ---- disk_delete.c ---- */

/* The store's remove. */
enum ph_status ph__disk_remove(struct ph_store *store, const char *name, struct ph_txn **out);

/* ---- disk_scrub.c ---- */

enum ph_status ph__disk_scrub(struct ph_store *store, const struct ph_scrub_options *options,
                              struct ph_scrub **out);

/* ---- store_disk.c: the store ---- */

struct ph__disk {
	struct ph_store store;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits; /* ours, below */
	const struct ph_sync *sync;
	const struct ph_log *log;
	uint32_t (*crc32)(uint32_t crc, const void *data, size_t len);
	const struct ph_unpack *unpack; /* may be NULL */
	const char **why;               /* may be NULL */
	struct ph_limits limits_copy;
	struct ph__io io;
	struct ph__map map;
	struct ph__disk_cache cache;
	void *commit, *load, *lock;
	void *gates[2];
	struct ph__super super; /* the newest durable one; changed by the leader under lock */
	uint64_t seed;          /* of the table */
	uint64_t last_epoch;    /* given to a batch */
	_Atomic uint64_t durable;
	_Atomic uint64_t sections; /* numbers given */
	bool read_only;
	bool deferred;            /* commits that may wait are led by the owner alone */
	struct ph__extents ahead; /* the map's next area; the leader's alone */
	/* Under lock. */
	struct ph__request *queue, *queue_last;
	bool leading;  /* somebody makes batches, or is about to */
	uint32_t gate; /* shut during the batch under way */
	struct ph__views catalogues;
	struct ph__freed_list pending; /* by epoch */
	struct ph__pin *pins;
	struct ph__freed_list held; /* by pins alone */
	struct ph__repo **table;
	uint32_t table_mask, repo_count;
	uint32_t loading;  /* hash of the one that is being read */
	bool loading_left; /* one with that hash went from the table since that began */
	struct ph__repo *idle_newest, *idle_oldest;
	uint32_t idle_count;
};

static inline struct ph__disk *ph__disk_of(struct ph_store *store)
{
	return (struct ph__disk *)store;
}

/* Epochs that freed space waits. */
static inline uint64_t ph__disk_delay(const struct ph__disk *disk)
{
	return disk->io.device->ops->flush ? 0 : PH__LOSS_EPOCHS;
}

static inline bool ph__disk_read_only(struct ph__disk *disk)
{
	return disk->read_only || atomic_load(&disk->io.failed);
}

#endif
