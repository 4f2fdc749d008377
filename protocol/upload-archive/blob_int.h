/* SPDX-License-Identifier: MIT */
/*
 * Contents of blobs, from their beginning, as often as needed. A large one that is stored whole is
 * inflated window by window; small ones and deltas are in memory meanwhile.
 */
#ifndef PACKHORSE_BLOB_INT_H
#define PACKHORSE_BLOB_INT_H

#include <packhorse/inflate.h>
#include <packhorse/reader.h>

/* Up to this size a blob is read at once. */
#define PH__BLOB_WHOLE_BYTES ((uint64_t)1 << 20)
#define PH__BLOB_WINDOW_BYTES ((size_t)64 << 10)

struct ph__blob {
	struct ph_reader *reader;
	const struct ph_alloc *alloc;
	uint64_t size, at; /* at: bytes given so far */
	struct ph_object object;
	bool open, whole;
	/* When it streams: */
	struct ph_loc loc;
	uint64_t next, end; /* in the run: what the window is filled with next */
	struct ph_inflate *inflate;
	uint8_t *window;
	size_t window_at, window_len;
};

void ph__blob_init(struct ph__blob *blob, struct ph_reader *reader, const struct ph_alloc *alloc);
void ph__blob_release(struct ph__blob *blob);
/*
 * delta_max: the largest delta that is put together. PH_ERR_LIMIT beyond; PH_ERR_NOT_FOUND,
 * PH_ERR_CORRUPT when it is no blob; PH_ERR_NOMEM; read errors.
 */
PH_MUST_CHECK enum ph_status ph__blob_open(struct ph__blob *blob, const struct ph_oid *oid,
                                           uint64_t delta_max);
void ph__blob_close(struct ph__blob *blob);
/* Back to the beginning. */
PH_MUST_CHECK enum ph_status ph__blob_rewind(struct ph__blob *blob);
/* Gives some bytes, at least one unless room is 0 or all were given (PH_END). */
PH_MUST_CHECK enum ph_status ph__blob_read(struct ph__blob *blob, uint8_t *out, size_t room,
                                           size_t *used, uint32_t *budget);
/* All of it at once, also of one that would stream; valid until it is closed. */
PH_MUST_CHECK enum ph_status ph__blob_bytes(struct ph__blob *blob, const uint8_t **out);

#endif
