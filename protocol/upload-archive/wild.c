/* SPDX-License-Identifier: MIT */
/*
 * Matching of globs without recursion. Only the last star has to be tried again when a match fails:
 * what stands before it has matched as early as it could, and a later start of an earlier star
 * would leave less for the last one, not more. Stars that stop at slashes fall back to the last
 * "**". So a match takes at most the product of both lengths, whatever the pattern.
 */
#include "wild_int.h"

#include <string.h>

struct cursor {
	const char *p, *p_end, *t, *t_end;
	/* Where to go on when what follows the last star fails: its pattern, and its next text. */
	const char *star_p, *star_t;
	const char *deep_p, *deep_t;
	bool pathname;
};

static bool is_special(char c)
{
	return c == '*' || c == '?' || c == '[' || c == '\\';
}

size_t ph__wild_plain(const char *pattern, size_t len)
{
	size_t at = 0;

	while (at < len && !is_special(pattern[at]))
		at++;
	return at;
}

static bool between(unsigned char c, unsigned char low, unsigned char high)
{
	return c >= low && c <= high;
}

static bool is_alpha(unsigned char c)
{
	return between(c | 0x20u, 'a', 'z');
}

static bool is_digit(unsigned char c)
{
	return between(c, '0', '9');
}

enum named { NAMED_NO, NAMED_YES, NAMED_UNKNOWN };

/* A class by name, of ASCII characters alone. */
static enum named named_class(const char *name, size_t len, unsigned char c)
{
	const struct {
		const char *name;
		bool has;
	} classes[] = {
	        {"alnum", is_alpha(c) || is_digit(c)},
	        {"alpha", is_alpha(c)},
	        {"blank", c == ' ' || c == '\t'},
	        {"cntrl", c < 0x20 || c == 0x7f},
	        {"digit", is_digit(c)},
	        {"graph", between(c, 0x21, 0x7e)},
	        {"lower", between(c, 'a', 'z')},
	        {"print", between(c, 0x20, 0x7e)},
	        {"punct", between(c, 0x21, 0x7e) && !is_alpha(c) && !is_digit(c)},
	        {"space", c == ' ' || between(c, '\t', '\r')},
	        {"upper", between(c, 'A', 'Z')},
	        {"xdigit", is_digit(c) || between(c | 0x20u, 'a', 'f')},
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0)
			return classes[i].has ? NAMED_YES : NAMED_NO;
	return NAMED_UNKNOWN;
}

/* "[:name:]" at *p: moves *p to its last byte. False when it is none, *p then stays. */
static bool class_at(const char **p, const char *end, unsigned char c, enum named *out)
{
	const char *name = *p + 2;
	const char *close;

	if (end - *p < 2 || (*p)[1] != ':')
		return false;
	close = memchr(name, ']', (size_t)(end - name));
	if (!close) {
		*out = NAMED_UNKNOWN;
		*p = end;
		return true;
	}
	if (close == name || close[-1] != ':')
		return false;
	*out = named_class(name, (size_t)(close - 1 - name), c);
	*p = close;
	return true;
}

/*
 * A set, *p behind its "[". On true *p is behind its "]". A "]" that comes first is a member. A set
 * that does not end, or has a class that is none, matches nothing.
 */
static bool match_set(const char **pattern, const char *end, unsigned char c, bool pathname)
{
	const char *p = *pattern;
	bool negated = p < end && (*p == '!' || *p == '^');
	bool matched = false;
	unsigned char before = 0; /* the start of a range, or 0 */

	p += negated;
	for (bool first = true; first || (p < end && *p != ']'); first = false, p++) {
		enum named named = NAMED_NO;
		bool range = p < end && *p == '-' && before && end - p > 1 && p[1] != ']';
		bool escaped;

		p += range;
		if (p >= end)
			return false;
		escaped = *p == '\\';
		p += escaped;
		if (p >= end)
			return false;
		if (range) {
			matched |= between(c, before, (unsigned char)*p);
			before = 0;
		} else if (*p == '[' && !escaped && class_at(&p, end, c, &named)) {
			if (named == NAMED_UNKNOWN)
				return false;
			matched |= named == NAMED_YES;
			before = 0;
		} else {
			before = (unsigned char)*p;
			matched |= c == before;
		}
	}
	if (p >= end)
		return false;
	*pattern = p + 1;
	return matched != negated && !(pathname && c == '/');
}

/* One character of the text by one item of the pattern that is no star. */
static bool match_one(struct cursor *at)
{
	char c = *at->t;
	char item = *at->p++;

	if (item == '?')
		return !(at->pathname && c == '/');
	if (item == '[')
		return match_set(&at->p, at->p_end, (unsigned char)c, at->pathname);
	if (item == '\\') {
		if (at->p == at->p_end)
			return false;
		item = *at->p++;
	}
	return item == c;
}

/* Behind the next slash of the text; NULL when there is none. */
static const char *next_directory(const struct cursor *at, const char *t)
{
	const char *slash = memchr(t, '/', (size_t)(at->t_end - t));

	return slash ? slash + 1 : NULL;
}

/* Goes on with another choice of the last star. */
static bool retry(struct cursor *at)
{
	if (at->star_p && at->star_t < at->t_end && *at->star_t != '/') {
		at->p = at->star_p;
		at->t = ++at->star_t;
		return true;
	}
	at->star_p = NULL;
	if (!at->deep_p)
		return false;
	if (at->pathname)
		at->deep_t = next_directory(at, at->deep_t);
	else
		at->deep_t = at->deep_t < at->t_end ? at->deep_t + 1 : NULL;
	if (!at->deep_t) {
		at->deep_p = NULL;
		return false;
	}
	at->p = at->deep_p;
	at->t = at->deep_t;
	return true;
}

enum star { STAR_NO, STAR_GO_ON, STAR_MATCHED };

/* "**" that stands between slashes, p behind it. */
static enum star star_deep(struct cursor *at, const char *p)
{
	bool escaped;

	if (p == at->p_end)
		return STAR_MATCHED;
	escaped = *p == '\\';
	at->deep_p = at->p = p + 1 + escaped;
	at->deep_t = at->t;
	at->star_p = NULL;
	return escaped && !retry(at) ? STAR_NO : STAR_GO_ON;
}

static enum star take_star(struct cursor *at, const char *pattern)
{
	const char *p = at->p;
	bool bounded = p == pattern || p[-1] == '/';
	bool two = at->p_end - p > 1 && p[1] == '*';

	while (p < at->p_end && *p == '*')
		p++;
	if (at->pathname && two && bounded &&
	    (p == at->p_end || *p == '/' || (*p == '\\' && at->p_end - p > 1 && p[1] == '/')))
		return star_deep(at, p);
	if (p == at->p_end)
		return at->pathname && next_directory(at, at->t) ? STAR_NO : STAR_MATCHED;
	at->p = p;
	if (at->pathname) {
		at->star_p = p;
		at->star_t = at->t;
	} else {
		at->deep_p = p;
		at->deep_t = at->t;
	}
	return STAR_GO_ON;
}

bool ph__wild_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                    bool pathname)
{
	struct cursor at = {.p = pattern,
	                    .p_end = pattern + pattern_len,
	                    .t = text,
	                    .t_end = text + text_len,
	                    .pathname = pathname};

	for (;;) {
		if (at.p < at.p_end && *at.p == '*') {
			enum star star = take_star(&at, pattern);

			if (star == STAR_MATCHED)
				return true;
			if (star == STAR_NO && !retry(&at))
				return false;
			continue;
		}
		if (at.t == at.t_end) {
			/* With less text it could not match either. */
			return at.p == at.p_end;
		}
		if (at.p < at.p_end && match_one(&at)) {
			at.t++;
			continue;
		}
		if (!retry(&at))
			return false;
	}
}
