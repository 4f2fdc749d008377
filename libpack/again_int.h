/* SPDX-License-Identifier: MIT */
/* An object that is stored as a delta, encoded again as a whole one: for packs going out. */
#ifndef PH_AGAIN_INT_H
#define PH_AGAIN_INT_H

#include <packhorse/inflate.h>
#include <packhorse/large.h>

struct ph__again {
	struct ph_reader *reader; /* not owned */
	struct ph_object object;
	struct ph_large *large; /* the object, when it is too large to be read whole */
	const uint8_t *part;    /* of it, or all of object */
	size_t part_pos, part_len;
	bool last_part, open;
};

/*
 * Reads it, or begins to; starts deflate. What has too long a chain to be read in parts is read
 * whole up to whole_max, and else PH_ERR_LIMIT.
 */
enum ph_status ph__again_open(struct ph__again *again, struct ph_reader *reader, struct ph_loc loc,
                              const struct ph_alloc *alloc, const struct ph_limits *limits,
                              uint64_t whole_max, struct ph_deflate *deflate);
void ph__again_close(struct ph__again *again);
enum ph_object_type ph__again_type(const struct ph__again *again);
uint64_t ph__again_size(const struct ph__again *again);
/* What was taken when it was opened, for the budget. */
uint64_t ph__again_read(const struct ph__again *again);
/*
 * Deflates some of it to out, up to room bytes, moving *used. Parts of a large one go through
 * window. PH_END when all is out, and it is closed.
 */
enum ph_status ph__again_step(struct ph__again *again, struct ph_deflate *deflate, uint8_t *window,
                              size_t window_bytes, uint8_t *out, size_t room, size_t *used,
                              uint32_t *budget);

#endif
