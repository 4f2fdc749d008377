/* SPDX-License-Identifier: MIT */
/*
 * Names of refs as people type them, short ones too: in deepen-not and in sparse:oid. Refs that a
 * client is not shown do not exist for it.
 */
#include "up_int.h"

#include <stdio.h>
#include <string.h>

/* PH_ERR_NOT_FOUND also for what this client is not shown. */
static enum ph_status look_up(struct ph__up *up, struct ph_snapshot *snapshot, const char *name,
                              struct ph_oid *out)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref ref;
	enum ph_status status =
	        ph__visible_resolve(snapshot, &up->config.hide_upload, name, &ref, target);

	if (status == PH_OK)
		*out = ref.oid;
	/* More links than are followed lead nowhere. */
	return status == PH_ERR_LIMIT || status == PH_ERR_DENIED ? PH_ERR_NOT_FOUND : status;
}

enum ph_status ph__up_name(struct ph__up *up, struct ph_snapshot *snapshot, const char *text,
                           size_t len, struct ph_oid *out, unsigned *count)
{
	static const struct {
		const char *before, *behind;
	} places[] = {{"", ""},
	              {"refs/", ""},
	              {"refs/tags/", ""},
	              {"refs/heads/", ""},
	              {"refs/remotes/", ""},
	              {"refs/remotes/", "/HEAD"}};
	char name[PH_REF_NAME_MAX + 1];

	*count = 0;
	if (len == 0 || len > PH_REF_NAME_MAX || memchr(text, 0, len))
		return PH_OK;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct ph_oid oid;
		enum ph_status status;
		int made = snprintf(name, sizeof(name), "%s%.*s%s", places[i].before, (int)len,
		                    text, places[i].behind);

		if (made < 0 || (size_t)made >= sizeof(name))
			continue;
		status = look_up(up, snapshot, name, &oid);
		if (status == PH_ERR_NOT_FOUND || status == PH_ERR_INVALID)
			continue;
		if (status != PH_OK)
			return status;
		if (++*count == 1)
			*out = oid;
	}
	return PH_OK;
}
