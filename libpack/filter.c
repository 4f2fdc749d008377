/* SPDX-License-Identifier: MIT */
/*
 * Filter specs of partial clones (git-rev-list --filter). Only what a walk can decide without
 * reading objects is built: blob:none. The rest is refused by name, so that a client hears so and
 * can clone without.
 */
#include <packhorse/walk.h>

static bool is(const char *spec, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(spec, word, len) == 0;
}

enum ph_status ph_filter_parse(struct ph_filter *out, const char *spec, size_t len)
{
	if (len == 0 || !is(spec, len, "blob:none")) {
		return PH_ERR_UNSUPPORTED;
	}
	out->kind = PH_FILTER_BLOB_NONE;
	return PH_OK;
}
