/* SPDX-License-Identifier: MIT */
/* The rules for names of refs (git-check-ref-format). */
#ifndef PACKHORSE_REFNAME_H
#define PACKHORSE_REFNAME_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * check_refname_format without flags: at least two components, none begins with "." or ends with
 * ".lock", no "..", no control bytes, space ~ ^ : ? * [ \, no "@{", not "@", no trailing "." or
 * "/".
 */
PH_API bool ph_refname_valid(const char *name, size_t len);
/* Whether a client may create or set it: valid, under refs/, within limits, UTF-8, and none of the
 * names that confuse (refs/heads/HEAD, refs/heads/-x, refs/namespaces/...). */
PH_API bool ph_refname_pushable(const char *name, size_t len, const struct ph_limits *limits);
/* Under refs/ and harmless enough to be deleted, even with one level ("refs/foo"). */
PH_API bool ph_refname_deletable(const char *name, size_t len, const struct ph_limits *limits);

#ifdef __cplusplus
}
#endif
#endif
