/* SPDX-License-Identifier: MIT */
/*
 * The command line as words. No shell stands between a hypervisor's option and us, so that a key
 * with its comment can only be one word if quotes mean here what they mean there.
 */
#include "image.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Moves one quoted piece to *to; returns what follows it, NULL when it does not end. */
static const char *quoted(const char *from, char **to)
{
	char quote = *from++;

	for (; *from != quote; from++) {
		if (quote == '"' && *from == '\\' && (from[1] == '"' || from[1] == '\\'))
			from++;
		if (*from == '\0')
			return NULL;
		*(*to)++ = *from;
	}
	return from + 1;
}

/* Moves one word to *to and ends it there. The NUL may fall on the blank behind the word. */
static const char *word(const char *from, char **to, bool *last)
{
	while (*from && !is_blank(*from)) {
		if (*from == '\'' || *from == '"') {
			from = quoted(from, to);
			if (!from)
				return NULL;
			continue;
		}
		if (*from == '\\' && *++from == '\0')
			return NULL;
		*(*to)++ = *from++;
	}
	*last = *from == '\0';
	*(*to)++ = '\0';
	return *last ? from : from + 1;
}

enum ph_status ph__words_split(char *text, char **words, unsigned max, unsigned *count)
{
	const char *from = text;
	char *to = text;
	bool last = false;

	*count = 0;
	while (!last) {
		while (is_blank(*from))
			from++;
		if (*from == '\0')
			break;
		if (*count == max)
			return PH_ERR_LIMIT;
		words[(*count)++] = to;
		from = word(from, &to, &last);
		if (!from)
			return PH_ERR_INVALID;
	}
	return PH_OK;
}
