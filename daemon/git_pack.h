/* SPDX-License-Identifier: MIT */
/*
 * A stored pack as git keeps it: pack-HASH.pack and pack-HASH.idx (gitformat-pack), in a folder
 * that is there. Both are on stable storage when it returns; *objects is what they hold.
 */
#ifndef PACKHORSE_GIT_PACK_H
#define PACKHORSE_GIT_PACK_H

#include <packhorse/source.h>

struct ph_git_pack {
	const struct ph_source *source;
	uint32_t pack;
	const char *folder;
	void *user;
	/* Called now and then with what of this pack is written; false: give up. May be NULL. */
	bool (*watch)(void *user, uint64_t objects, uint64_t bytes);
	uint32_t objects; /* written, once it has returned */
	uint64_t bytes;
};

/*
 * PH_ERR_IO with errno, PH_ERR_NOMEM, PH_ERR_CORRUPT, or an error of reading; PH_ERR_BUSY: watch
 * gave up. Nothing is left of it after an error but maybe an index.
 */
enum ph_status ph__git_pack_write(struct ph_git_pack *pack);

#endif
