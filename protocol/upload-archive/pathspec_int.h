/* SPDX-License-Identifier: MIT */
/* Paths that a client names, as git's pathspecs: names, directories, globs. */
#ifndef PACKHORSE_PATHSPEC_INT_H
#define PACKHORSE_PATHSPEC_INT_H

#include <packhorse/base.h>

struct ph__pathspec {
	const char *given; /* as the client wrote it; of its owner */
	char *match;       /* normalized, from the top of the tree */
	size_t len, plain; /* plain: in front of the first special byte */
	bool glob;         /* ":(glob)": "*" stops at slashes */
};

enum ph__pathspec_match {
	PH__PATH_NO,
	PH__PATH_DEEPER, /* something below this directory may match */
	PH__PATH_YES,    /* it does; what is below is to be asked on its own */
	PH__PATH_ALL     /* it does, and all that is below */
};

/*
 * given must outlive it. PH_ERR_INVALID, and *why is a static text that says what is wrong, to
 * stand behind the given one; PH_ERR_NOMEM.
 */
PH_MUST_CHECK enum ph_status ph__pathspec_parse(struct ph__pathspec *out, const char *given,
                                                const struct ph_alloc *alloc, const char **why);
void ph__pathspec_release(struct ph__pathspec *spec, const struct ph_alloc *alloc);

/* path is from the top of the tree, without a slash at its end. */
enum ph__pathspec_match ph__pathspec_match(const struct ph__pathspec *spec, const char *path,
                                           size_t len, bool directory, bool submodule);

#endif
