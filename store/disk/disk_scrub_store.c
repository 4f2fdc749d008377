/* SPDX-License-Identifier: MIT */
/*
 * What of a check belongs to the store itself: the ring of superblocks, the map of free blocks, and
 * that every block in use has one owner and is marked so.
 */
#include "disk_scrub_int.h"

#include <inttypes.h>
#include <string.h>

/* Commits that may change the map under the reading before it is left to the next check. */
#define MAP_TRIES 16u
/* Blocks compared in one step. */
#define SPACE_BLOCKS 65536u

/* ---- the ring ---- */

/*
 * Whether a slot that is not valid may be what a power cut left of the write of a superblock. On a
 * device that flushes that is only the one behind the newest.
 */
static bool may_be_torn(const struct ph__scrub *scrub, uint32_t slot)
{
	if (scrub->super.unflushed || !scrub->disk->io.device->ops->flush)
		return true;
	return (scrub->super.epoch + 1) % PH__RING_BLOCKS == slot;
}

static bool is_blank(const uint8_t *block)
{
	for (size_t i = 0; i < PH__BLOCK; i++)
		if (block[i] != 0)
			return false;
	return true;
}

/*
 * false for a slot that is not what was written; *epoch is what it tells, 0 for nothing. The newest
 * may have one bit that is wrong: that was put right when the store was opened, and it may as well
 * be what a power cut left, where the sectors not written are as new as that.
 */
static bool slot_good(const struct ph__scrub *scrub, uint8_t *block, uint32_t slot, uint64_t *epoch)
{
	const char *why;
	struct ph__super super;
	enum ph_status status = ph__super_decode(&super, block, &why);
	if ((status == PH_ERR_CORRUPT || status == PH_END) &&
	    slot == scrub->super.epoch % PH__RING_BLOCKS && ph__super_mend(block))
		status = ph__super_decode(&super, block, &why);
	*epoch = status == PH_OK ? super.epoch : 0;
	if (status == PH_END)
		return is_blank(block);
	return status == PH_OK && super.epoch % PH__RING_BLOCKS == slot &&
	       memcmp(super.id, scrub->super.id, sizeof(super.id)) == 0;
}

/* A commit that the store is not as of: what it names was found damaged when that was opened. */
static enum ph_status check_newer(struct ph__scrub *scrub, uint32_t slot, uint64_t epoch)
{
	enum ph_status fresh = ph__scrub_refresh(scrub);
	/* Without flushes it may have been lost, and then it never was. */
	if (fresh != PH_OK || epoch <= scrub->super.epoch || scrub->super.unflushed ||
	    !scrub->disk->io.device->ops->flush)
		return fresh;
	return ph__scrub_say(scrub, PH_FINDING_TREE, PH_ERR_CORRUPT,
	                     "what commits did since is lost: the store opens read-only as it was "
	                     "before; export what it holds, or restore a backup",
	                     "catalogue of epoch %" PRIu64 ", by the superblock in slot %" PRIu32,
	                     epoch, slot);
}

static enum ph_status check_slot(struct ph__scrub *scrub, uint32_t slot)
{
	uint64_t epoch = 0;
	enum ph_status status = ph__io_read(&scrub->disk->io, slot, 1, scrub->buffer);
	ph__scrub_spend(scrub, PH__BLOCK);
	if (status == PH_OK && slot_good(scrub, scrub->buffer, slot, &epoch))
		return epoch > scrub->super.epoch ? check_newer(scrub, slot, epoch) : PH_OK;
	/* It may be the one that a commit is writing just now. */
	enum ph_status fresh = ph__scrub_refresh(scrub);
	if (fresh != PH_OK || may_be_torn(scrub, slot))
		return fresh;
	status = ph__io_read(&scrub->disk->io, slot, 1, scrub->buffer);
	if (status == PH_OK && slot_good(scrub, scrub->buffer, slot, &epoch))
		return PH_OK;
	return ph__scrub_say(scrub, PH_FINDING_SUPERBLOCK,
	                     status == PH_OK ? PH_ERR_CORRUPT : status,
	                     "another one serves; commits will write it again",
	                     "superblock in slot %" PRIu32, slot);
}

enum ph_status ph__scrub_ring(struct ph__scrub *scrub)
{
	enum ph_status status = PH_OK;
	for (uint32_t slot = 0; slot < PH__RING_BLOCKS && status == PH_OK; slot++)
		status = check_slot(scrub, slot);
	return status == PH_OK ? PH_END : status;
}

/* ---- the map ---- */

static enum ph_status map_found(struct ph__scrub *scrub, enum ph_status status, const char *what)
{
	return ph__scrub_say(scrub, PH_FINDING_MAP, status,
	                     "the store opens read-only: fetch or export what it holds and "
	                     "import that into a new one",
	                     "%s of the map of free blocks", what);
}

/* Whether the map is still the one that was read. */
static bool map_stands(struct ph__scrub *scrub)
{
	struct ph__disk *disk = scrub->disk;
	const struct ph__map_root *now = &disk->super.map, *read = &scrub->map;
	if (scrub->fixed)
		return true;
	ph__lock(disk->sync, disk->lock);
	bool same = now->base_crc == read->base_crc && now->log_crc == read->log_crc &&
	            now->log_used == read->log_used && now->extent_count == read->extent_count &&
	            now->extents[0].start == read->extents[0].start;
	ph__unlock(disk->sync, disk->lock);
	return same;
}

/* The next piece of the base, or of the log behind it; their checksums are made on the way. */
static enum ph_status read_map(struct ph__scrub *scrub, uint32_t base)
{
	const struct ph__map_root *map = &scrub->map;
	bool log = scrub->map_at >= base;
	uint32_t first = log ? map->base_blocks + (scrub->map_at - base) : scrub->map_at;
	uint32_t left = (log ? base + map->log_used : base) - scrub->map_at;
	uint32_t step = left < PH__CHUNK_BLOCKS ? left : PH__CHUNK_BLOCKS;
	enum ph_status status = ph__space_read(scrub->disk, map, first, step, scrub->buffer);
	scrub->map_crc[log] =
	        ph_crc32(scrub->map_crc[log], scrub->buffer, (size_t)step * PH__BLOCK);
	if (!ph__scrub_mute(scrub, status))
		scrub->map_status[log] = status;
	ph__scrub_spend(scrub, (uint64_t)step * PH__BLOCK);
	scrub->map_at += step;
	return status == PH_ERR_NOMEM ? status : PH_OK;
}

static void map_judge(struct ph__scrub *scrub, uint32_t half, uint32_t crc)
{
	if (scrub->map_status[half] == PH_OK && scrub->map_crc[half] != crc)
		scrub->map_status[half] = PH_ERR_CORRUPT;
}

static void map_restart(struct ph__scrub *scrub)
{
	struct ph__disk *disk = scrub->disk;
	ph__lock(disk->sync, disk->lock);
	scrub->map = scrub->fixed ? scrub->super.map : disk->super.map;
	ph__unlock(disk->sync, disk->lock);
	scrub->map_at = 0;
	scrub->map_crc[0] = scrub->map_crc[1] = 0;
	scrub->map_status[0] = scrub->map_status[1] = PH_OK;
	scrub->map_tries++;
}

static enum ph_status claim_area(struct ph__scrub *scrub)
{
	const struct ph__map_root *map = &scrub->map;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < map->extent_count && status == PH_OK; i++)
		status = ph__scrub_claim(scrub, map->extents[i], "the map");
	return status;
}

enum ph_status ph__scrub_map(struct ph__scrub *scrub)
{
	const struct ph__map_root *map = &scrub->map;
	enum ph_status status = PH_OK;
	if (scrub->map_tries == 0)
		map_restart(scrub);
	uint32_t base = (map->base_bytes + PH__BLOCK - 1) / PH__BLOCK;
	if (scrub->map_at < base + map->log_used)
		return read_map(scrub, base);
	map_judge(scrub, 0, map->base_crc);
	map_judge(scrub, 1, map->log_crc);
	/* What commits have changed meanwhile is read again, or was just written. */
	if ((scrub->map_status[0] != PH_OK || scrub->map_status[1] != PH_OK) &&
	    !map_stands(scrub)) {
		map_restart(scrub);
		return scrub->map_tries < MAP_TRIES ? PH_OK : PH_END;
	}
	if (scrub->map_status[0] != PH_OK)
		status = map_found(scrub, scrub->map_status[0], "base");
	if (scrub->map_status[1] != PH_OK && status == PH_OK)
		status = map_found(scrub, scrub->map_status[1], "log");
	if (status == PH_OK)
		status = claim_area(scrub);
	return status == PH_OK ? PH_END : status;
}

/* ---- owners of blocks ---- */

enum ph_status ph__scrub_claim(struct ph__scrub *scrub, struct ph__extent extent, const char *what)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; scrub->seen && i < extent.count && status == PH_OK; i++) {
		uint64_t block = extent.start + i;
		uint64_t bit = (uint64_t)1 << (block % 64);
		if (block >= scrub->super.blocks)
			return ph__scrub_say(scrub, PH_FINDING_SPACE, PH_ERR_CORRUPT, "",
			                     "%s at block %" PRIu64 " is behind the end", what,
			                     block);
		if (scrub->seen[block / 64] & bit)
			status =
			        ph__scrub_say(scrub, PH_FINDING_SPACE, PH_ERR_CORRUPT, "",
			                      "%s at block %" PRIu64 " is used twice", what, block);
		scrub->seen[block / 64] |= bit;
	}
	return status;
}

static bool is_seen(const struct ph__scrub *scrub, uint64_t block)
{
	return scrub->seen[block / 64] >> (block % 64) & 1;
}

/* Blocks from first on that differ from the map in the same way; returns the one behind them. */
static uint64_t end_of_run(struct ph__scrub *scrub, uint64_t first, bool used)
{
	uint64_t block = first;
	while (block < scrub->super.blocks && is_seen(scrub, block) != used &&
	       ph__map_is_used(&scrub->disk->map, block) == used)
		block++;
	return block;
}

enum ph_status ph__scrub_space(struct ph__scrub *scrub)
{
	enum ph_status status = PH_OK;
	uint64_t end = scrub->space_at + SPACE_BLOCKS;
	/* What could not be read is missing from the owners; then the map tells nothing new. */
	if (!scrub->seen || scrub->findings > 0)
		return PH_END;
	if (scrub->space_at < PH__RING_BLOCKS)
		scrub->space_at = PH__RING_BLOCKS;
	ph__scrub_spend(scrub, SPACE_BLOCKS / 8);
	while (scrub->space_at < scrub->super.blocks && scrub->space_at < end && status == PH_OK) {
		uint64_t first = scrub->space_at;
		bool used = ph__map_is_used(&scrub->disk->map, first);
		if (used == is_seen(scrub, first)) {
			scrub->space_at++;
			continue;
		}
		scrub->space_at = end_of_run(scrub, first, used);
		status = ph__scrub_say(scrub, PH_FINDING_SPACE, PH_ERR_CORRUPT,
		                       used ? "space that is lost, no data" : "do not write to it",
		                       "blocks %" PRIu64 " to %" PRIu64 " are %s", first,
		                       scrub->space_at - 1,
		                       used ? "marked as used and belong to nothing"
		                            : "in use and marked as free");
	}
	if (status != PH_OK)
		return status;
	return scrub->space_at < scrub->super.blocks ? PH_OK : PH_END;
}
