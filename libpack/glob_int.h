/* SPDX-License-Identifier: MIT */
/*
 * Shell patterns as git matches them (gitignore): * ? [...] and \, and, in paths, ** for any number
 * of directories.
 */
#ifndef PACKHORSE_GLOB_INT_H
#define PACKHORSE_GLOB_INT_H

#include <packhorse/base.h>

/*
 * Whether a pattern matches a text whole. In a path, * ? and [...] stop at a slash. Adds to *cost
 * how many characters were compared, at most about the product of both lengths.
 */
bool ph__glob_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                    bool path, uint64_t *cost);

#endif
