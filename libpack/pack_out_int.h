/* SPDX-License-Identifier: MIT */
/*
 * A pack going out: what its files share. Packs of the source go out in their order, and entries in
 * theirs. A pack that is selected whole goes out as one run, any other entry by entry.
 */
#ifndef PH_PACK_OUT_INT_H
#define PH_PACK_OUT_INT_H

#include <packhorse/hash.h>
#include <packhorse/inflate.h>
#include <packhorse/pack_out.h>

#include "again_int.h"
#include "entry_int.h"

/* Stored bytes are read through a window of this size; larger steps go past it. */
#define PH__OUT_WINDOW_BYTES ((size_t)128 << 10)
/* Stores check their bytes in pieces that end at multiples of this: whole ones need no cache. */
#define PH__OUT_ALIGN_BYTES ((size_t)16 << 10)
/* An entry that begins this close behind the window is met by reading on. */
#define PH__OUT_NEAR_BYTES ((size_t)8 << 10)
/* Entries that are looked up at once. */
#define PH__OUT_AHEAD 16u
/* No step is larger. */
#define PH__OUT_STEP_BYTES ((size_t)256 << 10)
/* Of git.git, 4 makes objects 5 % larger than 6 does, in half the time; and a client waits. */
#define PH__OUT_DEFLATE_LEVEL 4

enum ph__out_phase {
	PH__OUT_COUNT,   /* without a walk: which objects are where find says */
	PH__OUT_HEADER,  /* the packfile's */
	PH__OUT_PACK,    /* begin a pack of the source */
	PH__OUT_SCAN,    /* is it selected whole? */
	PH__OUT_RUN,     /* copy it whole */
	PH__OUT_ENTRY,   /* find the next entry and decide how it goes out */
	PH__OUT_HEAD,    /* give out the small piece made before, then go on with after_head */
	PH__OUT_COPY,    /* copy stored bytes of an entry */
	PH__OUT_DEFLATE, /* compress an object */
	PH__OUT_TRAILER,
	PH__OUT_DONE
};

/* A pack of the source. */
struct ph__out_pack {
	uint64_t first; /* number of its first object, counted over all packs */
	uint64_t bytes;
	uint32_t entries;
};

/*
 * Entries that went out one after the other as they follow each other in their run: so the distance
 * between there and here is the same for all of them. In the order of packs and offsets.
 */
struct ph__out_segment {
	uint64_t offset, end; /* in the run */
	uint64_t written_at;  /* of the first */
	uint32_t pack;
};

/*
 * So many of the latest are remembered; most packs need a handful. A base that went out before them
 * is named by its id, which takes more bytes and nothing else.
 */
#define PH__OUT_SEGMENTS_MAX 16384u

/* The caller's buffer during one call. */
struct ph__out_buf {
	uint8_t *data;
	size_t len, used;
	size_t hashed; /* bytes of it that are in the trailer's hash, or need not be */
};

struct ph_pack_out {
	struct ph_pack_out_options options;
	enum ph__out_phase phase, after_head;
	enum ph_status failed;
	struct ph_pack_out_stats stats;
	struct ph__out_pack *packs;
	uint32_t pack_count;
	uint32_t pack, pos; /* what is at hand */
	uint8_t *chosen;    /* without a walk: a bit an object, when there are several packs */

	struct ph__out_segment *segments;
	size_t segment_count, segment_room;

	uint8_t head[PH__ENTRY_HEADER_BYTES_MAX];
	size_t head_pos, head_len;
	const struct ph_bytes *full; /* a full entry is copied from here; NULL: from the run */
	uint64_t copy_at, copy_end;  /* in the run, or in full */
	uint64_t count_end;          /* in the run: of the entry that stats count next */
	bool count_delta;            /* it is stored as a delta */

	/* Entries that were looked up at once, without their ids. */
	struct ph_entry ahead[PH__OUT_AHEAD];
	uint32_t ahead_pack, ahead_pos, ahead_count;

	uint8_t *window;
	uint32_t window_pack;
	uint64_t window_at;
	size_t window_len;

	struct ph_hash hash;
	bool trailer_known; /* the whole run of one pack: the source knows its trailer */

	struct ph_reader *reader;   /* NULL until an object must be encoded again */
	struct ph_deflate *deflate; /* the same */
	struct ph__again again;
};

/* Bytes that were given out: made, and hashed unless the trailer is known. */
static inline void ph__out_gave(struct ph_pack_out *out, struct ph__out_buf *buf, size_t len,
                                uint32_t *budget)
{
	buf->used += len;
	out->stats.bytes += len;
	ph_budget_spend_bytes(budget, out->trailer_known ? len : 2 * (uint64_t)len);
}

/* The entry at pos of the pack at hand, but for its id. */
enum ph_status ph__out_entry_at(struct ph_pack_out *out, const struct ph_entry **entry);
bool ph__out_selected(const struct ph_pack_out *out, struct ph_loc loc);

/* How a delta goes out. */
enum ph__out_base_kind {
	PH__OUT_BASE_NONE, /* nothing to build on: encode again */
	PH__OUT_BASE_WRITTEN,
	PH__OUT_BASE_NAMED
};

struct ph__out_base {
	enum ph__out_base_kind kind;
	uint64_t written_at; /* WRITTEN: where it is in the output */
	struct ph_oid oid;   /* NAMED */
};

/* What the delta at out->pack, out->pos may build on. */
enum ph_status ph__out_base_choose(struct ph_pack_out *out, const struct ph_entry_header *header,
                                   struct ph__out_base *choice);
/* Remembers that the entry, or run of entries, from offset to end of the pack at hand is written
 * next. */
enum ph_status ph__out_note(struct ph_pack_out *out, uint64_t offset, uint64_t end);

/* Opens the entry at out->pos: sets the next phases, and what they need. */
enum ph_status ph__out_entry_open(struct ph_pack_out *out, uint32_t *budget);
enum ph_status ph__out_entry_copy(struct ph_pack_out *out, struct ph__out_buf *buf,
                                  uint32_t *budget);
enum ph_status ph__out_entry_deflate(struct ph_pack_out *out, struct ph__out_buf *buf,
                                     uint32_t *budget);

#endif
