/* SPDX-License-Identifier: MIT */
/*
 * The refs of a snapshot less those that the configuration hides. Hiding is decided name by name: a
 * ref costs a comparison for each pattern, and nothing where there is none.
 */
#include "visible_int.h"

#include <string.h>

enum ph_status ph__visible_next(struct ph_ref_iter *iter, const struct ph_config_list *hidden,
                                struct ph_ref *out)
{
	enum ph_status status = ph_ref_iter_next(iter, out);

	return status == PH_OK && ph_config_hidden(hidden, out->name) ? PH_AGAIN : status;
}

enum ph_status ph__visible_resolve(struct ph_snapshot *snapshot,
                                   const struct ph_config_list *hidden, const char *name,
                                   struct ph_ref *out, char *target)
{
	enum ph_status status;

	if (ph_config_hidden(hidden, name))
		return PH_ERR_DENIED;
	status = ph_snapshot_resolve(snapshot, name, out, target);
	if ((status == PH_OK || status == PH_ERR_NOT_FOUND) && ph_config_hidden(hidden, target))
		return PH_ERR_DENIED;
	return status;
}
