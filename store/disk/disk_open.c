/* SPDX-License-Identifier: MIT */
/*
 * Which superblock to believe. On a device that flushes, the newest whole one: all it names was
 * flushed before it was written. On one that cannot, any write may be missing, so everything that
 * the last epochs wrote is read and checked, and an older epoch is taken when something is not
 * there. What no crash can explain opens read-only, and the log says so.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

static enum ph_status check_root(struct ph__disk *disk, const struct ph__super *super)
{
	const struct ph__tree *tree = &super->catalogue;
	uint8_t node[PH__BLOCK];
	if (super->blocks > atomic_load(&disk->io.blocks))
		return PH_ERR_CORRUPT;
	if (tree->height == 0)
		return PH_OK;
	return ph__tree_node(disk, NULL, tree, &tree->root, (uint8_t)(tree->height - 1), node);
}

static enum ph_status load_map(struct ph__disk *disk, const struct ph__super *super)
{
	ph__freed_discard(disk, &disk->pending);
	ph__map_release(&disk->map);
	enum ph_status status = ph__map_init(&disk->map, disk->alloc, &disk->io, disk->sync);
	if (status == PH_OK)
		status = ph__space_load(disk, super);
	if (status == PH_ERR_NOMEM && disk->why)
		*disk->why = "there is not enough memory for its map of free blocks: that needs "
		             "96 MiB for each TiB of the store";
	return status;
}

/* Whether the newest epochs may be missing in part. */
static bool may_lose(const struct ph__disk *disk, const struct ph__super *list)
{
	return list[0].unflushed || !disk->io.device->ops->flush;
}

/*
 * Whether the whole of what may be missing is there: what the last epochs up to its own wrote. One
 * that an earlier opening went back over is still in the ring, and that lost what is older than the
 * newest epochs by now.
 */
static enum ph_status check_recent(struct ph__disk *disk, const struct ph__super *list,
                                   const struct ph__super *super)
{
	uint64_t epoch = super->epoch;
	if (!may_lose(disk, list))
		return PH_OK;
	return ph__disk_verify(disk, super,
	                       epoch > PH__LOSS_EPOCHS ? epoch - PH__LOSS_EPOCHS + 1 : 0);
}

static bool fatal(enum ph_status status)
{
	return status == PH_ERR_NOMEM || status == PH_ERR_IO;
}

static enum ph_status try_super(struct ph__disk *disk, const struct ph__super *list,
                                const struct ph__super *super, bool *readable)
{
	enum ph_status status = check_root(disk, super);
	if (status == PH_OK)
		status = check_recent(disk, list, super);
	if (status == PH_OK) {
		*readable = true;
		status = load_map(disk, super);
	}
	return status;
}

/* How far back was gone, and whether a crash explains it. */
static void judge(struct ph__disk *disk, const struct ph__super *list)
{
	uint64_t lost = list[0].epoch - disk->super.epoch;
	if (lost == 0)
		return;
	if (may_lose(disk, list) && lost <= PH__LOSS_EPOCHS) {
		ph_log_line(disk->log, PH_LOG_WARN, "store-disk", 0,
		            "the last %llu commits did not reach the device",
		            (unsigned long long)lost);
		return;
	}
	disk->read_only = true;
	ph_log_line(disk->log, PH_LOG_ERROR, "store-disk", 0,
	            "epoch %llu is damaged; opened read-only as of epoch %llu",
	            (unsigned long long)list[0].epoch, (unsigned long long)disk->super.epoch);
}

static enum ph_status choose_from(struct ph__disk *disk, const struct ph__super *list,
                                  uint32_t count)
{
	const struct ph__super *fallback = NULL;
	for (uint32_t i = 0; i < count; i++) {
		bool readable = false;
		enum ph_status status = try_super(disk, list, &list[i], &readable);
		if (fatal(status))
			return status;
		if (status == PH_OK) {
			disk->super = list[i];
			judge(disk, list);
			return PH_OK;
		}
		if (readable && !fallback)
			fallback = &list[i];
		/* Where nothing may be missing, damage to the map is no reason to go back. */
		if (fallback && !may_lose(disk, list))
			break;
	}
	if (!fallback)
		return PH_ERR_CORRUPT;
	/* Everything can be read; only where there is room is not known. */
	disk->super = *fallback;
	disk->read_only = true;
	ph_log_line(disk->log, PH_LOG_ERROR, "store-disk", 0,
	            "the map of free blocks is damaged; opened read-only");
	return PH_OK;
}

/*
 * Whether the device is smaller than the store on it: somebody cut it. Its growth was flushed
 * before the superblock that tells of it was written, so no crash explains that.
 */
static bool is_cut(struct ph__disk *disk, const struct ph__super *list)
{
	if (may_lose(disk, list) || list[0].blocks <= atomic_load(&disk->io.blocks))
		return false;
	if (disk->why)
		*disk->why = "its device or file is smaller than the store on it: it was cut off; "
		             "make it as large as it was, or restore a backup";
	return true;
}

/*
 * After going back: writes what counts once more under the epochs that come next, so many that the
 * next cut, whatever it loses, goes back to one of these and not over the same epochs again. Only
 * the slot of the one that counts stays as it is, which may be the last of these.
 */
static enum ph_status renew(struct ph__disk *disk)
{
	if (disk->super.epoch == disk->last_epoch || disk->read_only || disk->io.device->read_only)
		return PH_OK;
	/* What was just read may be in a cache of the host's only. */
	enum ph_status status = ph__io_flush(&disk->io);
	disk->super.unflushed = !disk->io.device->ops->flush;
	for (uint32_t i = 1; i < PH__LOSS_EPOCHS && status == PH_OK; i++) {
		disk->super.epoch = ++disk->last_epoch;
		status = ph__super_write(disk, &disk->super);
	}
	return status == PH_OK ? ph__io_flush(&disk->io) : status;
}

enum ph_status ph__disk_choose(struct ph__disk *disk)
{
	struct ph__super *list = ph_mem_zalloc(disk->alloc, PH__RING_BLOCKS, sizeof(*list));
	uint32_t count;
	if (!list)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__super_read(disk, list, &count);
	if (status == PH_OK && is_cut(disk, list))
		status = PH_ERR_CORRUPT;
	if (status == PH_OK) {
		disk->last_epoch = list[0].epoch;
		status = choose_from(disk, list, count);
	}
	/* A later version wrote something that we would not keep up. */
	if (status == PH_OK && disk->super.features[1] != 0)
		disk->read_only = true;
	ph_mem_free(disk->alloc, list);
	return status == PH_OK ? renew(disk) : status;
}
