/* SPDX-License-Identifier: MIT */
/*
 * What the files of pack-in share. The parts, in the order in which a pack meets them:
 *
 *   pack_in.c          public calls, errors, the dispatch of run
 *   pack_in_parse.c    the stream: header, entries, trailer; bytes to the run sink
 *   pack_in_resolve.c  deltas, family by family, over an explicit stack
 *   pack_in_thin.c     bases that the pack lacks: found, used, appended
 *   pack_in_lane.c     what works on families: alone in run, or several on an executor's threads
 *   pack_in_crew.c     lanes on threads: beginning, slices, end
 *   pack_in_batch.c    objects that were made and wait to be hashed together
 *   pack_in_finds.c    warnings that are told at the end
 *   pack_in_stack.c    the stack of objects, and loading a stored object through it
 *   pack_in_make.c     one object made from its entry: inflated, or its delta applied
 *   pack_in_blob.c     an object's content in memory or in the scratch sink
 *   pack_in_sort.c     records sorted by id, and searched
 *   pack_in_look.c     fsck of what came and was made, and what it refers to
 *   pack_in_check.c    objects that exist already
 *   pack_in_special.c  .gitmodules and .gitattributes
 */
#ifndef PACKHORSE_PACK_IN_INT_H
#define PACKHORSE_PACK_IN_INT_H

#include <packhorse/delta.h>
#include <packhorse/hash.h>
#include <packhorse/inflate.h>
#include <packhorse/pack_in.h>

#include "pack_in_links_int.h"
#include "tree_marks_int.h"

#define PH__IN_NONE UINT32_MAX
/* The pack number that stands for the pack that comes in; others are options->base's. */
#define PH__IN_OWN UINT32_MAX

/* Buffers: windows on the input, the run and the scratch, and what is collected for the sinks. */
#define PH__IN_WINDOW_BYTES 65536u
/* Read at once from the run, at least: families often lie together. */
#define PH__IN_READ_BYTES_MIN 8192u
/* The most that one step inflates, copies or hashes where it can stop. */
#define PH__IN_STEP_BYTES 262144u
/* Deltas and results up to this size take the direct way: in one step, in one buffer. */
#define PH__IN_DIRECT_BYTES_MAX ((uint64_t)1 << 20)
/* Larger objects are made by one lane at a time. */
#define PH__IN_LARGE_BYTES ((uint64_t)2 << 20)
/* Objects up to this size are hashed together with others; and what is gathered for that. */
#define PH__IN_BATCH_OBJECT_BYTES_MAX ((uint64_t)512 << 10)
#define PH__IN_BATCH_BYTES ((uint64_t)4 << 20)
/* Deltas that make less than this are not worth other threads. */
#define PH__IN_CREW_BYTES ((uint64_t)256 << 10)
/* Entries looked at in one step of the passes over all of them. */
#define PH__IN_STEP_ENTRIES 16384u
/* A pack's header; an entry's header at its longest: two varints of 10 bytes, or one and an id. */
#define PH__IN_PACK_HEADER_BYTES 12u
#define PH__IN_ENTRY_HEADER_BYTES_MAX 42u
/* One byte of header and the shortest zlib stream. */
#define PH__IN_ENTRY_BYTES_MIN 9u
/*
 * Tables of entries are made of pieces, so that they grow without ever being there twice, and
 * without a half that is empty.
 */
#define PH__IN_PIECE_SHIFT 10u
#define PH__IN_PIECE_ENTRIES (1u << PH__IN_PIECE_SHIFT)
/* A charge on the budget for what an entry costs beside its bytes. */
#define PH__IN_ENTRY_CHARGE 512u
/*
 * Pieces that a large object in the scratch may consist of before the rest of it is copied there:
 * 1 MiB of memory.
 */
#define PH__IN_EXTENTS_MAX 65536u
/*
 * Objects are made more than once when the cache overflows, and bases come out of the store's own
 * chains. All that is made may be this many times what the inflate limit allows.
 */
#define PH__IN_WORK_FACTOR 16u
/* Different .gitmodules and .gitattributes of one pack. A history has hundreds. */
#define PH__IN_SPECIALS_MAX 262144u

struct ph__in_extent {
	uint64_t pos; /* in the object */
	uint64_t at;  /* in the scratch */
};

/*
 * Content of an object: in memory, or in pieces of the scratch. A single piece stands in the struct
 * itself, so that it costs no memory and need never be dropped.
 */
struct ph__in_blob {
	uint8_t *mem;
	size_t cap;
	uint64_t size;
	struct ph__in_extent *extents; /* NULL for a single piece */
	uint32_t extents_count, extents_cap;
	uint64_t at; /* of a single piece */
	/* Its memory is still to be hashed, as this item of the batch of this number. */
	uint32_t batch, item;
	struct ph__tree_marks marks; /* of a tree in memory whose children are made of it */
	bool looked;                 /* for marks, which there may be none of */
};

/* An entry as stored, of this pack or of the base. */
struct ph__in_stored {
	uint32_t pack;
	uint64_t offset, end;
	uint64_t size;
	enum ph_object_type type; /* the object's */
	bool delta;
};

/* An entry's header, parsed. */
struct ph__in_header {
	enum ph_object_type type;
	uint64_t size;
	uint64_t distance;  /* OFS_DELTA */
	struct ph_oid base; /* REF_DELTA */
	uint32_t bytes;
};

/*
 * Links of an entry, parallel to its record. While parsing, link is the number of an OFS_DELTA's
 * base. Afterwards it is the next sibling among the children of one base, or, for an unresolved
 * REF_DELTA, the next in its bucket. The heaviest child is first in its list and visited last, so
 * that what has to be kept of the path is logarithmic.
 */
struct ph__in_node {
	uint32_t child;
	uint32_t link;
	uint32_t weight; /* entries of its subtree; of a base that was added: depth of its family */
};

/* An object on the stack: the path from a whole object to the one at work. */
struct ph__in_frame {
	uint32_t entry;          /* the number whose children are visited, or NONE */
	uint32_t pack, pos;      /* where its bytes are: OWN and its number, or in the base */
	uint32_t cursor;         /* next child, or NONE */
	struct ph__in_blob blob; /* may be absent: dropped, or not made yet */
};

struct ph__in_special {
	struct ph_oid oid;
	uint8_t kind;
};

enum ph__in_state {
	PH__IN_HEADER,
	PH__IN_ENTRY,
	PH__IN_DATA,
	PH__IN_TRAILER,
	/* run */
	PH__IN_LINK,
	PH__IN_ROOTS,
	PH__IN_CREW,
	PH__IN_THIN,
	PH__IN_FAMILY,
	PH__IN_APPEND,
	PH__IN_APPEND_LOAD,
	PH__IN_APPEND_WHOLE,
	PH__IN_APPEND_COPY,
	PH__IN_REHASH,
	PH__IN_SORT,
	PH__IN_SETTLE,
	PH__IN_EXISTING,
	PH__IN_EXISTING_LOAD,
	PH__IN_EXISTING_COMPARE,
	PH__IN_SPECIAL,
	PH__IN_SPECIAL_LOAD,
	PH__IN_INDEX,
	PH__IN_DONE,
	PH__IN_FAILED
};

/* An object being made: see pack_in_make.c. */
struct ph__in_make {
	bool active;
	bool apply;   /* a delta is applied; otherwise inflated */
	bool hashing; /* its id is wanted */
	bool keep;    /* its content is wanted */
	bool begun;
	bool ended;  /* all of the zlib stream was inflated */
	bool later;  /* its id may be had later, from memory, if that is where it is made at once */
	bool named;  /* its id is in oid */
	bool direct; /* its delta is still there, in whole */
	enum ph_object_type type;
	uint32_t pack; /* the zlib stream: what is left of it */
	uint64_t at, end;
	uint64_t size;   /* of the object */
	uint64_t done;   /* of it, made */
	uint64_t hashed; /* of it, when it goes to memory */
	const struct ph__in_blob *base;
	struct ph_hash hash;
	struct ph__in_blob blob;
	struct ph_oid oid;
	/* Applying: the delta's own stream through a window, and the instruction at work. */
	uint64_t delta_size;
	size_t pos, len; /* in in->delta */
	struct ph_delta_op op;
	uint32_t op_done;
};

enum ph__in_sort_phase { PH__IN_SORT_COUNT, PH__IN_SORT_PLACE, PH__IN_SORT_BUCKETS };

/* Objects in memory whose ids are still to be had; those that nothing else needs are owned. */
struct ph__in_made {
	uint32_t entry;
	bool owned;
	enum ph_object_type type;
	uint8_t *mem;
	size_t size, cap;
};

struct ph__in_batch {
	struct ph__in_made *made;
	uint32_t count, cap;
	uint32_t done;   /* of them hashed, while that is done */
	uint32_t number; /* of the batch; never 0 */
	uint64_t bytes;
	uint64_t bytes_max; /* what makes it full */
};

/* A warning of fsck, kept until the ids are known. */
struct ph__in_find {
	uint32_t entry, turn;
	const char *id;
};

struct ph__in_finds {
	struct ph__in_find *list;
	uint32_t count, cap, turn;
};

struct ph__in_specials {
	struct ph__in_special *list;
	uint32_t count, cap;
};

enum ph__in_lane_state {
	PH__IN_IDLE, /* between families */
	PH__IN_DESCEND,
	PH__IN_LOAD,
	PH__IN_MAKE,
	PH__IN_HASH
};

/* What works on one family at a time. Lanes share nothing that changes but what in->lock guards. */
struct ph__in_lane {
	struct ph_pack_in *in;
	enum ph__in_lane_state state;
	struct ph_error error;
	uint32_t *budget;    /* of the call that runs */
	uint64_t uncharged;  /* bytes of work that make no whole unit yet */
	uint64_t work;       /* bytes made, not added to in->work yet */
	uint64_t work_known; /* of in->work, when that was looked at last */
	uint32_t resolved;   /* deltas, not counted in in->resolved yet */

	struct ph__in_frame *stack;
	uint32_t depth, stack_cap;
	uint32_t root; /* the frame of the family's root */
	uint32_t family_depth;
	uint32_t lowest; /* no frame below has content */
	uint64_t held;   /* bytes of memory in frames */
	uint64_t cache_max;
	struct ph__in_make make;
	uint32_t making;     /* the entry being made */
	uint64_t memory_max; /* content up to this size goes to memory */
	uint8_t *delta;
	size_t delta_cap;
	uint8_t *spare; /* one freed piece of memory, kept for the next object */
	size_t spare_cap;
	struct ph_inflate *inflate;
	void *unpack;    /* a state of options->unpack; NULL: there is none */
	uint8_t *window; /* inflated bytes on their way */
	struct ph__in_batch batch;

	/* Bytes read back from the run or the base. */
	uint8_t *input;
	uint32_t input_pack;
	uint64_t input_at;
	size_t input_len;

	/* Checks. */
	struct ph_fsck fsck;
	struct ph__tree_checker checker;
	struct ph__links_buffer *links; /* NULL: nobody asks for them */
	const struct ph_oid *fsck_oid;  /* NULL: it is fsck_entry's, and not known yet */
	uint32_t fsck_entry;
	const char *fsck_id;
	struct ph__in_finds finds;
	enum ph_status find_status; /* of keeping them */
	struct ph__in_specials specials;

	/* One of several: see pack_in_crew.c. */
	struct ph__in_hand *hand; /* NULL for the lane of run's caller */
	uint32_t next, next_end;  /* entries that it has taken to look for roots in */
	bool has_large;           /* in->large, as itself knows it */
	bool ended;
	bool waits; /* for its turn to be sent to a thread */
};

struct ph_pack_in {
	enum ph__in_state state;
	struct ph_pack_in_options options;
	struct ph_pack_in_stats stats;
	size_t hash_bytes;
	struct ph__in_lane main; /* of the caller's thread */

	/* Records first as received, then the bases added. */
	struct ph_index_record **records; /* in pieces of PH__IN_PIECE_ENTRIES */
	struct ph__in_node **nodes;       /* the same */
	uint32_t count, pieces, pieces_cap;
	uint32_t *order; /* numbers of records by id */

	/* Parsing. */
	uint8_t head[PH__IN_ENTRY_HEADER_BYTES_MAX];
	size_t head_len;
	struct ph__in_header entry;
	struct ph_hash pack_hash;
	struct ph_hash hash;
	uint64_t entry_done;   /* inflated of this entry */
	bool begun;            /* some of its stream was taken */
	uint64_t inflated;     /* of all, as they came */
	uint64_t results;      /* bytes of the results of all deltas */
	uint64_t work;         /* bytes made while resolving */
	uint32_t resolved;     /* deltas; stats has what run's caller may see */
	uint64_t run_offset;   /* bytes given to the run, with those collected */
	uint64_t received_end; /* where the received entries end in the run */
	uint8_t *collected;    /* for the run */
	size_t collected_len;
	uint8_t *meta; /* a commit, tree or tag as it inflates */
	size_t meta_cap;
	struct ph_oid trailer;

	/* Resolving. */
	uint32_t *buckets;      /* unresolved REF_DELTAs and added bases, by base id */
	uint32_t buckets_count; /* a power of two, or 0 */
	uint64_t bucket_keys[5];
	uint32_t ref_deltas; /* received */
	uint32_t ref_left;   /* in buckets, with added bases */
	uint32_t next;       /* where the pass over entries is */

	/* Lanes on threads. What the lock guards is said in pack_in_crew.c. */
	void *lock;
	struct ph__in_lane *lanes;
	uint32_t lanes_count, running;
	bool stopping;
	struct ph__in_lane *large; /* the lane that may make large objects, and use the scratch */

	/* The scratch: bytes not given to the sink yet, and a window on what was. */
	uint8_t *scratch_out;
	size_t scratch_out_len;
	uint8_t *scratch_in;
	uint64_t scratch_in_at;
	size_t scratch_in_len;

	/* Thin packs. */
	uint32_t added_end; /* records of added bases, before those not needed are taken out */
	struct ph_deflate *deflate;
	struct ph__in_stored appended;
	uint64_t append_at; /* in the stored entry, the loaded object or the run */

	/* Sorting. */
	enum ph__in_sort_phase sort_phase;
	uint32_t *sort_starts;

	/* Checks. */
	struct ph__links *links; /* NULL: nobody asks for them */
	bool closed;
	struct ph_oid *heads; /* objects that nothing refers to */
	uint32_t heads_count, heads_cap;
	bool heads_known;
	struct ph__in_blob other; /* what the loaded object is compared with */
	struct ph_loc other_loc;
	bool other_loaded;
	uint64_t compared;
};

/* ---- entries ---- */

static inline struct ph_index_record *ph__in_record(const struct ph_pack_in *in, uint32_t entry)
{
	return &in->records[entry >> PH__IN_PIECE_SHIFT][entry & (PH__IN_PIECE_ENTRIES - 1)];
}

static inline struct ph__in_node *ph__in_node(const struct ph_pack_in *in, uint32_t entry)
{
	return &in->nodes[entry >> PH__IN_PIECE_SHIFT][entry & (PH__IN_PIECE_ENTRIES - 1)];
}

/* ---- pack_in.c ---- */

/* ph__lane_fail and ph__lane_charge for the lane of run's caller. */
enum ph_status ph__in_fail(struct ph_pack_in *in, enum ph_status status, const char *what,
                           const struct ph_oid *oid);
void ph__in_charge(struct ph_pack_in *in, uint64_t bytes);
/* How many bytes may come out of what has come in. */
uint64_t ph__in_inflate_max(const struct ph_pack_in *in);
/* Makes room for one more entry. PH_ERR_NOMEM. */
enum ph_status ph__in_grow(struct ph_pack_in *in);
/* Gives up the nodes, when the last delta is resolved. */
void ph__in_nodes_free(struct ph_pack_in *in);
/* An array of PH__IN_WINDOW_BYTES in *buffer, if there is none yet. */
enum ph_status ph__in_window(struct ph_pack_in *in, uint8_t **buffer);

/* ---- pack_in_lane.c ---- */

/* cache and batch: bytes. PH_ERR_NOMEM: release it all the same. */
enum ph_status ph__lane_init(struct ph__in_lane *lane, struct ph_pack_in *in, uint64_t cache,
                             uint64_t batch);
void ph__lane_release(struct ph__in_lane *lane);
/* Notes what failed, and about which object (may be NULL); returns status. */
enum ph_status ph__lane_fail(struct ph__in_lane *lane, enum ph_status status, const char *what,
                             const struct ph_oid *oid);
/* Charges bytes of work to the budget of the call. */
void ph__lane_charge(struct ph__in_lane *lane, uint64_t bytes);
/* Adds up what it did; with in->lock where there are others. */
void ph__lane_tell(struct ph__in_lane *lane);
/* Begins the family of a whole object that is on the stack, the last frame being its root. */
void ph__lane_begin(struct ph__in_lane *lane, uint32_t entry);
/*
 * A step in the family. PH_OK, PH_END when the family is done, PH_PENDING when it needs what
 * another lane has; errors.
 */
enum ph_status ph__lane_step(struct ph__in_lane *lane);
/* Hashes what waits, a step. PH_OK: nothing waits any more. PH_AGAIN, errors. */
enum ph_status ph__lane_flush(struct ph__in_lane *lane);

/* ---- pack_in_crew.c ---- */

static inline void ph__in_lock(const struct ph_pack_in *in)
{
	if (in->lock)
		in->options.executor->sync->mutex_lock(in->options.executor->sync->user, in->lock);
}

static inline void ph__in_unlock(const struct ph_pack_in *in)
{
	if (in->lock)
		in->options.executor->sync->mutex_unlock(in->options.executor->sync->user,
		                                         in->lock);
}

/* Sends lanes to the executor's threads. PH_ERR_NOMEM, or what kept all of them from starting. */
enum ph_status ph__in_crew_begin(struct ph_pack_in *in);
/* PH_PENDING, or PH_OK when all families are resolved; errors. */
enum ph_status ph__in_crew(struct ph_pack_in *in);
/* Waits until no thread is at work here, a few milliseconds, and frees the lanes. */
void ph__in_crew_free(struct ph_pack_in *in);
/* Lanes that are worth having for so many deltas. */
uint32_t ph__in_crew_width(const struct ph_executor *executor, uint64_t deltas);
/* Bytes of finds, and of the list of a batch, at most. */
uint64_t ph__in_finds_bytes(void);
uint64_t ph__in_batch_list_bytes(void);
/* Bytes that a batch gathers. */
uint64_t ph__in_batch_bytes(const struct ph_limits *limits);
/*
 * Large objects are made by one lane at a time. PH_PENDING: another one does; the lane is told when
 * it can go on.
 */
enum ph_status ph__in_large_take(struct ph__in_lane *lane);
void ph__in_large_give(struct ph__in_lane *lane);

/* ---- pack_in_batch.c ---- */

void ph__in_batch_init(struct ph__in_batch *batch, uint64_t bytes_max);
void ph__in_batch_release(struct ph__in_lane *lane);
/* Has a made object hashed later; its memory stays with blob, until that is released. */
enum ph_status ph__in_batch_add(struct ph__in_lane *lane, uint32_t entry, enum ph_object_type type,
                                struct ph__in_blob *blob);
bool ph__in_batch_full(const struct ph__in_batch *batch);
/* Whether a blob's memory is in the batch; if so the batch takes it over. */
bool ph__in_batch_keep(struct ph__in_lane *lane, struct ph__in_blob *blob);
/* Hashes some. PH_AGAIN, PH_OK when the batch is empty, PH_ERR_COLLISION. */
enum ph_status ph__in_batch_hash(struct ph__in_lane *lane);

/* ---- pack_in_finds.c ---- */

enum ph_status ph__in_finds_add(struct ph__in_lane *lane, const char *id);
/* Adds those of a lane to those of run's caller. */
enum ph_status ph__in_finds_merge(struct ph__in_lane *lane);
/* Tells them all; the ids are known. */
void ph__in_finds_tell(struct ph_pack_in *in);

/* ---- pack_in_parse.c ---- */

/* PH_OK, PH_AGAIN when data is too short, or PH_ERR_INVALID. */
enum ph_status ph__in_header_parse(struct ph__in_header *out, enum ph_hash_algo algo,
                                   const uint8_t *data, size_t len);
enum ph_status ph__in_parse(struct ph_pack_in *in, const uint8_t *data, size_t len, size_t *pos);
/* Appends to the run through the collecting buffer; the pack's hash sees the bytes. */
enum ph_status ph__in_run_append(struct ph_pack_in *in, const uint8_t *data, size_t len);
enum ph_status ph__in_run_flush(struct ph_pack_in *in);

/* ---- pack_in_blob.c ---- */

bool ph__in_blob_present(const struct ph__in_blob *blob);
/* Memory for size bytes. PH_ERR_NOMEM. */
enum ph_status ph__in_blob_alloc(struct ph__in_lane *lane, struct ph__in_blob *blob, uint64_t size);
/* Gives up its memory; blob is absent then. */
void ph__in_blob_release(struct ph__in_lane *lane, struct ph__in_blob *blob);
/* Bytes of memory that it holds. */
uint64_t ph__in_blob_held(const struct ph__in_blob *blob);
/*
 * Points *out at bytes of the content from pos on, and says how many there are, at least 1 and at
 * most max. They stay until the next call that reads the scratch.
 */
enum ph_status ph__in_blob_peek(struct ph__in_lane *lane, const struct ph__in_blob *blob,
                                uint64_t pos, size_t max, const uint8_t **out, size_t *len);
/* The same piece as a place in the scratch; blob is not in memory. */
void ph__in_blob_place(const struct ph__in_blob *blob, uint64_t pos, uint64_t *at, uint64_t *len);
/* Adds to a blob that grows in the scratch: a piece that is there, or new bytes. */
enum ph_status ph__in_blob_add_piece(struct ph__in_lane *lane, struct ph__in_blob *blob,
                                     uint64_t at, uint64_t len);
enum ph_status ph__in_blob_add_bytes(struct ph__in_lane *lane, struct ph__in_blob *blob,
                                     const uint8_t *data, size_t len);

/* ---- pack_in_make.c ---- */

/* Whether an object of this size may be made now: PH_OK, or PH_PENDING. */
enum ph_status ph__in_make_may(struct ph__in_lane *lane, uint64_t size);
/*
 * Begins to make an object: inflates a whole one, or applies a delta to base, which stays where it
 * is until the end. hashing: its id is wanted; keep: its content is wanted.
 */
enum ph_status ph__in_make_start(struct ph__in_lane *lane, const struct ph__in_stored *stored,
                                 const struct ph__in_blob *base, bool hashing, bool keep);
/* PH_AGAIN, PH_OK (in->make.oid and .blob are there), or an error. */
enum ph_status ph__in_make_step(struct ph__in_lane *lane);
/* Hashes what was made in memory and has no id yet. */
enum ph_status ph__in_name(struct ph__in_lane *lane);
/* Bytes [at, end) of the run or of the base through a window: at least one, at most all. */
enum ph_status ph__in_input(struct ph__in_lane *lane, uint32_t pack, uint64_t at, uint64_t end,
                            const uint8_t **out, size_t *len);
/* All of these bytes at once; not more than a window. */
enum ph_status ph__in_input_whole(struct ph__in_lane *lane, uint32_t pack, uint64_t at,
                                  uint64_t end, const uint8_t **out);
/* The header of a stored entry. */
enum ph_status ph__in_header_read(struct ph__in_lane *lane, const struct ph__in_stored *stored,
                                  struct ph__in_header *out);

/* ---- pack_in_stack.c ---- */

/* An entry of this pack, or of the base. */
void ph__in_stored_own(const struct ph_pack_in *in, uint32_t entry, struct ph__in_stored *out);
enum ph_status ph__in_stored_base(const struct ph_pack_in *in, struct ph_loc loc,
                                  struct ph__in_stored *out);
enum ph_status ph__in_stack_push(struct ph__in_lane *lane, uint32_t pack, uint32_t pos);
void ph__in_stack_pop(struct ph__in_lane *lane);
void ph__in_stack_clear(struct ph__in_lane *lane);
struct ph__in_frame *ph__in_stack_top(struct ph__in_lane *lane);
/* Hands a made object to a frame and keeps the cache within its limit. */
void ph__in_stack_give(struct ph__in_lane *lane, uint32_t frame, struct ph__in_blob *blob);
/* Takes the content of the top frame. */
void ph__in_stack_take(struct ph__in_lane *lane, struct ph__in_blob *out);
/* Gives up a frame's content, unless that takes no memory. */
void ph__in_stack_shed(struct ph__in_lane *lane, uint32_t frame);
/* Pushes a stored object and all it is a delta of. */
enum ph_status ph__in_chain_push(struct ph__in_lane *lane, uint32_t pack, uint32_t pos);
/* Makes the content of the top frame. PH_AGAIN, PH_OK, errors. */
enum ph_status ph__in_chain_load(struct ph__in_lane *lane);
/* The record that starts at offset, or NONE. */
uint32_t ph__in_at_offset(const struct ph_pack_in *in, uint32_t count, uint64_t offset);

/* ---- pack_in_resolve.c ---- */

enum ph_status ph__in_link(struct ph_pack_in *in);
enum ph_status ph__in_roots(struct ph_pack_in *in);
/* The same for a lane of its own: looks for its next root. PH_OK (maybe one was begun), PH_END. */
enum ph_status ph__in_roots_next(struct ph__in_lane *lane, uint32_t *next, uint32_t end);
enum ph_status ph__in_descend(struct ph__in_lane *lane);
enum ph_status ph__in_making(struct ph__in_lane *lane);
enum ph_status ph__in_family(struct ph_pack_in *in);
/* Moves what waits for this id to the children of entry. */
enum ph_status ph__in_adopt(struct ph__in_lane *lane, uint32_t entry, const struct ph_oid *oid);
void ph__in_bucket_add(struct ph_pack_in *in, uint32_t entry);
/* Sets a frame's cursor to its first child. */
void ph__in_children_start(struct ph__in_lane *lane, uint32_t frame, uint32_t entry);

/* ---- pack_in_thin.c ---- */

enum ph_status ph__in_thin(struct ph_pack_in *in);
enum ph_status ph__in_append(struct ph_pack_in *in);
enum ph_status ph__in_append_load(struct ph_pack_in *in);
enum ph_status ph__in_append_whole(struct ph_pack_in *in);
enum ph_status ph__in_append_copy(struct ph_pack_in *in);
enum ph_status ph__in_rehash(struct ph_pack_in *in);

/* ---- pack_in_sort.c ---- */

enum ph_status ph__in_sort(struct ph_pack_in *in);
/* The record of an id, or NONE; after sorting. */
uint32_t ph__in_find(const struct ph_pack_in *in, const struct ph_oid *oid);

/* ---- pack_in_look.c ---- */

/* What looking needs. PH_ERR_NOMEM. */
enum ph_status ph__in_look_init(struct ph__in_lane *lane);
/*
 * Looks into a whole commit, tree or tag; anything else is fine. oid may be NULL: the id is not
 * known yet, and warnings are kept until it is.
 */
enum ph_status ph__in_look(struct ph__in_lane *lane, enum ph_object_type type, uint32_t entry,
                           const struct ph_oid *oid, const uint8_t *data, uint64_t size);
/* The same for what the lane has made of base. marks: the object's own will be wanted. */
enum ph_status ph__in_look_made(struct ph__in_lane *lane, struct ph__in_blob *base, bool marks);
/* Says that an object holds blocks of a collision attack. */
enum ph_status ph__in_attacked(struct ph__in_lane *lane, const struct ph_oid *oid);
/* When all ids are known: holds what is referred to against what is there. A step. */
enum ph_status ph__in_settle(struct ph_pack_in *in);

/* ---- pack_in_check.c ---- */

enum ph_status ph__in_existing(struct ph_pack_in *in);
enum ph_status ph__in_existing_load(struct ph_pack_in *in);
enum ph_status ph__in_existing_compare(struct ph_pack_in *in);

/* ---- pack_in_special.c ---- */

enum ph_status ph__in_special_add(struct ph__in_lane *lane, enum ph_fsck_blob_kind kind,
                                  const struct ph_oid *oid);
/* Adds those of a lane to those of run's caller. */
enum ph_status ph__in_specials_merge(struct ph__in_lane *lane);
enum ph_status ph__in_special(struct ph_pack_in *in);
enum ph_status ph__in_special_load(struct ph_pack_in *in);

#endif
