/* SPDX-License-Identifier: MIT */
/* A zlib stream of a run that can be gone back in: what the files of ph_large share. */
#ifndef PH_LARGE_INT_H
#define PH_LARGE_INT_H

#include <packhorse/inflate.h>
#include <packhorse/large.h>

/* An inflater as it is: its state, and zlib's window. */
#define PH__TAPE_STATE_BYTES ((size_t)44 << 10)

/* A place to go on from. */
struct ph__tape_mark {
	struct ph_inflate *inflate;
	uint64_t next; /* byte of the run */
	uint64_t out;  /* bytes that were out */
	uint64_t tag;  /* the owner's: does not fall from mark to mark */
};

struct ph__tape {
	const struct ph_source *source;
	const struct ph_alloc *alloc;
	uint64_t start, end; /* the stream in the run */
	uint64_t size;       /* of what inflates */
	uint32_t pack;
	struct ph_inflate *inflate;
	uint64_t next; /* byte of the run that inflate takes next */
	uint64_t out;  /* bytes that are out */
	uint8_t *window;
	size_t window_room;
	uint64_t window_at; /* of the run */
	size_t window_len;
	struct ph__tape_mark *marks;
	uint32_t mark_count, mark_room;
	uint64_t stride; /* between marks */
	uint64_t *work;  /* the owner's: counts bytes inflated, also again, and going back */
};

/* pack, start, end, size and work are set. With marks marks, and a window of so many bytes. */
enum ph_status ph__tape_open(struct ph__tape *tape, const struct ph_source *source,
                             const struct ph_alloc *alloc, uint32_t marks, size_t window);
void ph__tape_release(struct ph__tape *tape);
/* Exactly len bytes more. PH_ERR_CORRUPT when there are not so many. */
enum ph_status ph__tape_pull(struct ph__tape *tape, uint8_t *to, size_t len);
/* Makes a mark here, if it is time for one; without memory for it there is none. */
void ph__tape_mark(struct ph__tape *tape, uint64_t tag);
/*
 * The last mark whose tag is not above, or NULL for the beginning: where ph__tape_back would go.
 */
const struct ph__tape_mark *ph__tape_before(const struct ph__tape *tape, uint64_t tag);
/* Goes there. */
enum ph_status ph__tape_back(struct ph__tape *tape, const struct ph__tape_mark *mark);

#endif
