/* SPDX-License-Identifier: MIT */
/*
 * A stored pack as git keeps it: pack-HASH.pack and pack-HASH.idx (gitformat-pack), in a folder
 * that is there. Both are on stable storage when it returns; *objects is what they hold.
 */
#ifndef PACKHORSE_GIT_PACK_H
#define PACKHORSE_GIT_PACK_H

#include <packhorse/source.h>

/* PH_ERR_IO with errno, PH_ERR_NOMEM, PH_ERR_CORRUPT, or an error of reading. */
enum ph_status ph__git_pack_write(const struct ph_source *source, uint32_t pack, const char *folder,
                                  uint32_t *objects);

#endif
