/* SPDX-License-Identifier: MIT */
/*
 * What a backup leaves out. Backups lie about in more places than a server does, and whoever has
 * the host key can pass for it; who has the seed of nonces can make old push certificates valid.
 */
#include "config_int.h"

#include <packhorse/backup.h>

#include <string.h>

enum ph_status ph_backup_setting(void *user, const char *repo, const char *key, void *data,
                                 size_t *len)
{
	bool *left_out = user;
	size_t whole = *len;

	if (*repo == '\0' && strcmp(key, PH_SETTING_HOST_KEY) == 0) {
		*left_out = true;
		return PH_ERR_NOT_FOUND;
	}
	if (strcmp(key, PH__CONFIG_SETTING) == 0)
		*len = ph__config_without(data, whole, "receive.certnonceseed");
	if (*len < whole)
		*left_out = true;
	return PH_OK;
}
