/* SPDX-License-Identifier: MIT */
/*
 * Matching of one shell pattern. No recursion: two places to go back to are enough. A star grows by
 * a character while its part of the path lasts; when that is used up, the last double star grows by
 * a directory. Going back further can find nothing more, since what an earlier star leaves to a
 * later one is always the most. So time is bounded by the product of the lengths.
 */
#include <packhorse/glob.h>

#include <string.h>

#define NOWHERE SIZE_MAX

struct glob {
	const char *pattern, *text;
	size_t pattern_len, text_len;
	bool path;
	size_t p, t;
	size_t star_p, star_t; /* behind the last star, and what it took so far */
	size_t deep_p, deep_t; /* the same of the last double star, with its slash */
};

/* --- [...] --- */

static bool in_range(unsigned char c, char first, char last)
{
	return c >= (unsigned char)first && c <= (unsigned char)last;
}

static bool is_alpha(unsigned char c)
{
	return in_range(c, 'a', 'z') || in_range(c, 'A', 'Z');
}

static bool is_digit(unsigned char c)
{
	return in_range(c, '0', '9');
}

static bool is_xdigit(unsigned char c)
{
	return is_digit(c) || in_range(c, 'a', 'f') || in_range(c, 'A', 'F');
}

static bool is_punct(unsigned char c)
{
	return in_range(c, '!', '~') && !is_alpha(c) && !is_digit(c);
}

static bool is_space(unsigned char c)
{
	return c == ' ' || in_range(c, '\t', '\r');
}

/* A class by its name. False when there is none of that name. */
static bool named_class(const char *name, size_t len, unsigned char c, bool *in)
{
	static const char *const names[] = {"alnum", "alpha", "blank", "cntrl", "digit", "graph",
	                                    "lower", "print", "punct", "space", "upper", "xdigit"};
	const bool is[] = {is_alpha(c) || is_digit(c),
	                   is_alpha(c),
	                   c == ' ' || c == '\t',
	                   c < ' ' || c == 127,
	                   is_digit(c),
	                   in_range(c, '!', '~'),
	                   in_range(c, 'a', 'z'),
	                   in_range(c, ' ', '~'),
	                   is_punct(c),
	                   is_space(c),
	                   in_range(c, 'A', 'Z'),
	                   is_xdigit(c)};

	for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
			*in = is[i];
			return true;
		}
	}
	return false;
}

/* A set that is being read. */
struct set {
	const char *text;
	size_t len, at;
	unsigned char c;    /* is it in? */
	unsigned char last; /* the member before, where a range may begin; 0 for none */
	bool in;
};

/* One character of it, of which a backslash may have taken the meaning. */
static bool set_char(struct set *set, unsigned char *out)
{
	if (set->text[set->at] == '\\' && ++set->at == set->len) {
		return false;
	}
	*out = (unsigned char)set->text[set->at++];
	return true;
}

/* [:name:] at set->at. What only begins like one is the character [. */
static bool set_class(struct set *set)
{
	const char *name = set->text + set->at + 2;
	const char *end = memchr(name, ']', set->len - set->at - 2);
	bool in = false;

	if (end == NULL) {
		return false;
	}
	if (end == name || end[-1] != ':') {
		set->in = set->in || set->c == '[';
		set->last = '[';
		set->at++;
		return true;
	}
	if (!named_class(name, (size_t)(end - 1 - name), set->c, &in)) {
		return false;
	}
	set->in = set->in || in;
	set->last = 0;
	set->at = (size_t)(end + 1 - set->text);
	return true;
}

/* A member: a character, a range, a class. False when the set is malformed. */
static bool set_member(struct set *set)
{
	char c = set->text[set->at];
	char next = set->at + 1 < set->len ? set->text[set->at + 1] : ']';
	unsigned char to;

	if (c == '-' && set->last != 0 && next != ']') {
		set->at++;
		if (!set_char(set, &to)) {
			return false;
		}
		set->in = set->in || (set->c >= set->last && set->c <= to);
		set->last = 0;
		return true;
	}
	if (c == '[' && next == ':') {
		return set_class(set);
	}
	if (!set_char(set, &to)) {
		return false;
	}
	set->in = set->in || set->c == to;
	set->last = to;
	return true;
}

/* A set at glob->p against the character at hand. A malformed one matches nothing. */
static bool match_set(struct glob *glob)
{
	struct set set = {.text = glob->pattern,
	                  .len = glob->pattern_len,
	                  .at = glob->p + 1,
	                  .c = (unsigned char)glob->text[glob->t]};
	bool negated = set.at < set.len && (set.text[set.at] == '!' || set.text[set.at] == '^');
	size_t first = set.at += negated;

	while (set.at < set.len && (set.at == first || set.text[set.at] != ']')) {
		if (!set_member(&set)) {
			return false;
		}
	}
	if (set.at >= set.len || set.in == negated || (glob->path && set.c == '/')) {
		return false;
	}
	glob->p = set.at + 1;
	return true;
}

/* --- Characters and stars --- */

/* Matches one character, which is there, with what is not a star. */
static bool match_one(struct glob *glob)
{
	char c = glob->pattern[glob->p];

	if (c == '[') {
		if (!match_set(glob)) {
			return false;
		}
	} else if (c == '?') {
		if (glob->path && glob->text[glob->t] == '/') {
			return false;
		}
		glob->p++;
	} else {
		if (c == '\\' && glob->p + 1 < glob->pattern_len) {
			c = glob->pattern[++glob->p];
		} else if (c == '\\') {
			return false;
		}
		if (c != glob->text[glob->t]) {
			return false;
		}
		glob->p++;
	}
	glob->t++;
	return true;
}

/* The last double star takes one more directory. */
static bool grow_deep(struct glob *glob)
{
	const char *slash;

	if (glob->deep_p == NOWHERE) {
		return false;
	}
	slash = memchr(glob->text + glob->deep_t, '/', glob->text_len - glob->deep_t);
	if (slash == NULL) {
		return false;
	}
	glob->deep_t = (size_t)(slash + 1 - glob->text);
	glob->t = glob->deep_t;
	glob->p = glob->deep_p;
	glob->star_p = NOWHERE;
	return true;
}

/* Back to the last star, which takes one character more. False when nothing is left to try. */
static bool go_back(struct glob *glob)
{
	if (glob->star_p != NOWHERE && glob->star_t < glob->text_len &&
	    !(glob->path && glob->text[glob->star_t] == '/')) {
		glob->t = ++glob->star_t;
		glob->p = glob->star_p;
		return true;
	}
	return grow_deep(glob);
}

/*
 * At a star. Two or more of them, alone between slashes of a path, are a double star. *all: the
 * rest of the text is matched, whatever it is.
 */
static bool at_star(struct glob *glob, bool *all)
{
	size_t from = glob->p;
	size_t left;
	bool deep;

	while (glob->p < glob->pattern_len && glob->pattern[glob->p] == '*') {
		glob->p++;
	}
	left = glob->pattern_len - glob->p;
	deep = glob->path && glob->p - from >= 2 && (from == 0 || glob->pattern[from - 1] == '/');
	if (deep && left == 0) {
		*all = true;
		return true;
	}
	if (deep && glob->pattern[glob->p] == '/') {
		glob->deep_p = ++glob->p;
		glob->deep_t = glob->t;
		glob->star_p = NOWHERE;
		return true;
	}
	if (deep && left >= 2 && memcmp(glob->pattern + glob->p, "\\/", 2) == 0) {
		/* With an escaped slash git has it take one directory at least. */
		glob->deep_p = glob->p + 2;
		glob->deep_t = glob->t;
		return grow_deep(glob);
	}
	glob->star_p = glob->p;
	glob->star_t = glob->t;
	return true;
}

bool ph_glob_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                   bool path, uint64_t *cost)
{
	struct glob glob = {.pattern = pattern,
	                    .text = text,
	                    .pattern_len = pattern_len,
	                    .text_len = text_len,
	                    .path = path,
	                    .star_p = NOWHERE,
	                    .deep_p = NOWHERE};
	bool all = false;

	for (;;) {
		bool fits;

		++*cost;
		if (glob.p < pattern_len && pattern[glob.p] == '*') {
			fits = at_star(&glob, &all);
		} else if (glob.p == pattern_len || glob.t == text_len) {
			if (glob.p == pattern_len && glob.t == text_len) {
				return true;
			}
			fits = false;
		} else {
			fits = match_one(&glob);
		}
		if (all) {
			return true;
		}
		if (!fits && !go_back(&glob)) {
			return false;
		}
	}
}
