/* SPDX-License-Identifier: MIT */
/*
 * Line ends as "text", "eol" and the older "crlf" want them. A file is looked at once to decide,
 * and again to be changed, piece by piece both times: it need not be in memory.
 */
#include "line_ends_int.h"

#include <string.h>

enum ph__line_ends ph__line_ends_of(const uint8_t *attributes)
{
	uint8_t text = attributes[PH__ATTR_TEXT], eol = attributes[PH__ATTR_EOL];
	bool says = text == PH__ATTR_TRUE || text == PH__ATTR_FALSE || text == PH__ATTR_INPUT ||
	            text == PH__ATTR_AUTO;

	/* "crlf" is what "text" was once called. */
	if (!says)
		text = attributes[PH__ATTR_CRLF];
	if (text == PH__ATTR_FALSE || eol != PH__ATTR_CR_LF)
		return PH__ENDS_AS_THEY_ARE;
	return text == PH__ATTR_AUTO ? PH__ENDS_CRLF_IF_TEXT : PH__ENDS_CRLF;
}

static void count(struct ph__line_stats *stats, uint8_t c)
{
	if (c == '\n') {
		stats->crlf += stats->cr;
		stats->lone_lf += !stats->cr;
	} else if (c == 0x7f ||
	           (c < 0x20 && !(c == '\b' || c == '\t' || c == 0x1b || c == '\f' || c == '\r'))) {
		stats->other++;
		stats->nul += c == 0;
	} else if (c != '\r') {
		stats->printable++;
	}
	stats->lone_cr += stats->cr && c != '\n';
	stats->cr = c == '\r';
}

void ph__line_stats_add(struct ph__line_stats *stats, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		count(stats, bytes[i]);
	if (len)
		stats->last = bytes[len - 1];
}

bool ph__line_ends_change(const struct ph__line_stats *stats, enum ph__line_ends ends)
{
	/* A last byte that once marked the end of a file does not count. */
	uint64_t other = stats->other - (stats->last == 0x1a);

	if (ends == PH__ENDS_AS_THEY_ARE || stats->lone_lf == 0)
		return false;
	if (ends == PH__ENDS_CRLF)
		return true;
	return !stats->lone_cr && !stats->cr && !stats->crlf && !stats->nul &&
	       stats->printable / 128 >= other;
}

size_t ph__line_ends_copy(struct ph__line_ends_state *state, const uint8_t *in, size_t *in_at,
                          size_t in_len, uint8_t *out, size_t room)
{
	size_t done = 0;

	for (; *in_at < in_len && done < room; ++*in_at) {
		uint8_t c = in[*in_at];

		if (c == '\n' && !state->cr) {
			if (room - done < 2)
				break;
			out[done++] = '\r';
		}
		out[done++] = c;
		state->cr = c == '\r';
	}
	return done;
}
