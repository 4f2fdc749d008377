/* SPDX-License-Identifier: MIT */
/* A text that grows up to a limit: headers, messages, what a substitution gives. */
#ifndef PACKHORSE_TEXT_INT_H
#define PACKHORSE_TEXT_INT_H

#include <packhorse/base.h>

struct ph__text {
	const struct ph_alloc *alloc;
	char *data; /* with a NUL behind len; NULL while it is empty */
	size_t len, room, max;
};

void ph__text_init(struct ph__text *text, const struct ph_alloc *alloc, size_t max);
void ph__text_release(struct ph__text *text);
/* Empties it and gives large memory back. */
void ph__text_clear(struct ph__text *text);
/* PH_ERR_LIMIT: nothing was added; PH_ERR_NOMEM. */
PH_MUST_CHECK enum ph_status ph__text_add(struct ph__text *text, const void *data, size_t len);
PH_MUST_CHECK enum ph_status ph__text_fill(struct ph__text *text, char byte, size_t count);
/* At most 1000 bytes at once; more is cut. */
PH_MUST_CHECK enum ph_status ph__text_print(struct ph__text *text, const char *format, ...)
        PH_PRINTF(2, 3);
/* Puts data in at a place. */
PH_MUST_CHECK enum ph_status ph__text_insert(struct ph__text *text, size_t at, const void *data,
                                             size_t len);
void ph__text_cut(struct ph__text *text, size_t len);
/* The bytes, never NULL. */
const char *ph__text_bytes(const struct ph__text *text);

#endif
