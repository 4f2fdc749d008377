/* SPDX-License-Identifier: MIT */
/* What a backup leaves out: secrets that are kept among the settings. */
#ifndef PACKHORSE_BACKUP_H
#define PACKHORSE_BACKUP_H

#include <packhorse/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A function for ph_copy_options.setting: leaves out the host key, and receive.certNonceSeed of the
 * server and of each repository. A server that is started on the copy makes a host key of its own.
 * user is a bool, set when something was left out.
 */
PH_API enum ph_status ph_backup_setting(void *user, const char *repo, const char *key, void *data,
                                        size_t *len);

#ifdef __cplusplus
}
#endif
#endif
