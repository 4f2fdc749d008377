/* SPDX-License-Identifier: MIT */
/*
 * Pathspecs: a path is taken when it is the one named, lies below it, or matches it as a glob whose
 * stars match slashes too. Of the "magic" there is what needs no more than that: top, literal and
 * glob. Anything else is refused rather than taken for a name.
 */
#include "pathspec_int.h"
#include "wild_int.h"

#include <string.h>

struct magic {
	bool literal, glob;
};

/* "top,literal" up to the parenthesis; what is behind it, or NULL. */
static const char *long_magic(const char *at, struct magic *magic)
{
	for (;;) {
		size_t len = strcspn(at, ",)");

		if (len == 7 && memcmp(at, "literal", 7) == 0)
			magic->literal = true;
		else if (len == 4 && memcmp(at, "glob", 4) == 0)
			magic->glob = true;
		else if (len && !(len == 3 && memcmp(at, "top", 3) == 0))
			return NULL;
		at += len;
		if (!*at)
			return NULL;
		if (*at++ == ')')
			return magic->literal && magic->glob ? NULL : at;
	}
}

/* ":/path" and ":path"; NULL for the other signs. */
static const char *short_magic(const char *at)
{
	while (*at && *at != ':') {
		/* Letters, digits and what may begin a name end the magic. */
		if (!strchr("!\"#%&',-/;<=>@^_`~", *at))
			return at;
		if (*at++ != '/')
			return NULL;
	}
	return *at == ':' ? at + 1 : at;
}

/*
 * Drops "." and empty components, and takes ".." with the one before it; a slash at the end stays.
 * False when it leads out of the tree.
 */
static bool normalize(char *path, size_t *out_len)
{
	const char *from = path;
	char *to = path;

	if (*from == '/')
		return false;
	while (*from) {
		size_t len = strcspn(from, "/");
		bool slash = from[len] == '/';

		if (len == 2 && from[0] == '.' && from[1] == '.') {
			if (to == path)
				return false;
			for (to--; to > path && to[-1] != '/';)
				to--;
		} else if (len && !(len == 1 && *from == '.')) {
			memmove(to, from, len + slash);
			to += len + slash;
		}
		from += len + slash;
	}
	*to = 0;
	*out_len = (size_t)(to - path);
	return true;
}

enum ph_status ph__pathspec_parse(struct ph__pathspec *out, const char *given,
                                  const struct ph_alloc *alloc, const char **why)
{
	struct magic magic = {false, false};
	const char *path = given;

	memset(out, 0, sizeof(*out));
	if (given[0] == ':')
		path = given[1] == '(' ? long_magic(given + 2, &magic) : short_magic(given + 1);
	*why = ": this pathspec magic is not supported here";
	if (!path)
		return PH_ERR_INVALID;
	*why = "empty string is not a valid pathspec. please use . instead if you meant to match "
	       "all paths";
	if (!*given)
		return PH_ERR_INVALID;
	out->match = ph_mem_strdup(alloc, path, strlen(path));
	if (!out->match)
		return PH_ERR_NOMEM;
	if (!normalize(out->match, &out->len)) {
		*why = " is outside repository";
		ph__pathspec_release(out, alloc);
		return PH_ERR_INVALID;
	}
	out->given = given;
	out->glob = magic.glob;
	out->plain = magic.literal ? out->len : ph__wild_plain(out->match, out->len);
	return PH_OK;
}

void ph__pathspec_release(struct ph__pathspec *spec, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, spec->match);
	memset(spec, 0, sizeof(*spec));
}

/* The path is the one named, or lies below it, or leads to it. */
static enum ph__pathspec_match match_name(const struct ph__pathspec *spec, const char *path,
                                          size_t len, bool directory, bool submodule)
{
	const char *match = spec->match;

	if (spec->len <= len) {
		if (memcmp(match, path, spec->len) != 0)
			return PH__PATH_NO;
		return spec->len == 0 || spec->len == len || path[spec->len] == '/' ||
		                       match[spec->len - 1] == '/'
		               ? PH__PATH_ALL
		               : PH__PATH_NO;
	}
	if (memcmp(match, path, len) != 0 || match[len] != '/')
		return PH__PATH_NO;
	if (spec->len == len + 1 && (directory || submodule))
		return PH__PATH_ALL;
	return directory ? PH__PATH_DEEPER : PH__PATH_NO;
}

enum ph__pathspec_match ph__pathspec_match(const struct ph__pathspec *spec, const char *path,
                                           size_t len, bool directory, bool submodule)
{
	enum ph__pathspec_match match = match_name(spec, path, len, directory, submodule);
	size_t plain = spec->plain;

	if (match != PH__PATH_NO || plain == spec->len)
		return match;
	if (memcmp(spec->match, path, plain < len ? plain : len) != 0)
		return PH__PATH_NO;
	if (plain <= len && ph__wild_match(spec->match, spec->len, path, len, spec->glob))
		return PH__PATH_YES;
	return directory ? PH__PATH_DEEPER : PH__PATH_NO;
}
