/* SPDX-License-Identifier: MIT */
/*
 * Shell patterns as git matches them (gitignore): * ? [...] and \, and, in paths, ** for any number
 * of directories.
 */
#ifndef PACKHORSE_GLOB_H
#define PACKHORSE_GLOB_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Whether a pattern matches a text whole. In a path, * ? and [...] stop at a slash. Adds to *cost
 * how many characters were compared, at most about the product of both lengths.
 */
PH_API bool ph_glob_match(const char *pattern, size_t pattern_len, const char *text,
                          size_t text_len, bool path, uint64_t *cost);

#ifdef __cplusplus
}
#endif
#endif
