/* SPDX-License-Identifier: MIT */
/* What a store says of itself, for people: from the newest superblock, and the map of free blocks.
 */
#include "disk_int.h"

#include <string.h>

void ph_store_disk_info(struct ph_store *store, struct ph_store_disk_info *out)
{
	struct ph__disk *disk = ph__disk_of(store);

	/* No commit meanwhile, so that the figures belong together. */
	ph__lock(disk->sync, disk->commit);
	*out = (struct ph_store_disk_info){.version = PH__FORMAT_VERSION,
	                                   .epoch = disk->super.epoch,
	                                   .bytes = disk->super.blocks * PH__BLOCK,
	                                   .free_bytes =
	                                           ph__map_free_blocks(&disk->map) * PH__BLOCK,
	                                   .repos = disk->super.repos,
	                                   .read_only = disk->read_only,
	                                   .unflushed = disk->super.unflushed};
	memcpy(out->id, disk->super.id, sizeof(out->id));
	ph__unlock(disk->sync, disk->commit);
}
