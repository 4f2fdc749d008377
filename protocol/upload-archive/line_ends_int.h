/* SPDX-License-Identifier: MIT */
/* How attributes want the lines of a file to end, for files of any size. */
#ifndef PACKHORSE_LINE_ENDS_INT_H
#define PACKHORSE_LINE_ENDS_INT_H

#include "attributes_int.h"

enum ph__line_ends { PH__ENDS_AS_THEY_ARE, PH__ENDS_CRLF, PH__ENDS_CRLF_IF_TEXT };

enum ph__line_ends ph__line_ends_of(const uint8_t *attributes);

/* What the bytes of a file count as when git guesses whether it is text. Zeroed at first. */
struct ph__line_stats {
	uint64_t nul, lone_cr, lone_lf, crlf, printable, other;
	uint8_t last; /* the last byte seen */
	bool cr;      /* it is a CR, and not counted yet */
};

void ph__line_stats_add(struct ph__line_stats *stats, const void *data, size_t len);
/* After all bytes: whether newlines without a CR get one. */
bool ph__line_ends_change(const struct ph__line_stats *stats, enum ph__line_ends ends);

/* Between two pieces of a file that is changed. Zeroed at first. */
struct ph__line_ends_state {
	bool cr; /* the last byte was a CR */
};
/* Copies what fits, newlines as CR LF; returns how many bytes were written. room is 2 at least. */
size_t ph__line_ends_copy(struct ph__line_ends_state *state, const uint8_t *in, size_t *in_at,
                          size_t in_len, uint8_t *out, size_t room);

#endif
