/* SPDX-License-Identifier: MIT */
/* Glob patterns as gitattributes(5) and pathspecs have them. */
#ifndef PACKHORSE_WILD_INT_H
#define PACKHORSE_WILD_INT_H

#include <packhorse/base.h>

/*
 * Whether a pattern matches a whole text. pathname: neither "*" nor "?" nor a set matches a slash,
 * and "**" between slashes matches any number of directories; otherwise "*" matches all.
 */
bool ph__wild_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                    bool pathname);
/* The length of what stands in front of the first "*", "?", "[" or backslash. */
size_t ph__wild_plain(const char *pattern, size_t len);

#endif
