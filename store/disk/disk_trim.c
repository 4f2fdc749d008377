/* SPDX-License-Identifier: MIT */
/*
 * Space behind blocks. What is free is given back to the device, so that a file becomes smaller for
 * its file system and a disk knows what it may forget. It goes by units of 1 MiB that are wholly
 * free. A file with a hole could run out of space under a commit that was promised it; so units
 * that may be holes are provided with space when blocks of them are allocated, which is before
 * anything is promised, and enough for commits that delete something is never given back.
 *
 * Which units were given back is not on the device: after opening, all that are not wholly in use
 * may be hollow, and only what is freed from then on is given back. So what somebody set aside for
 * a store stays that until it was used.
 */
#include "disk_int.h"

#include <string.h>

/* Blocks given back at once: others wait for the device that long. */
#define TRIM_BLOCKS_MAX (16u * PH__UNIT)

static uint32_t free_blocks(const struct ph__map *map, uint64_t unit)
{
	const uint64_t *words = map->busy + unit * (PH__UNIT / 64);
	uint32_t count = PH__UNIT;
	for (uint32_t i = 0; i < PH__UNIT / 64; i++)
		count -= ph__ones(words[i]);
	return count;
}

/* With the lock held. */
static void set_hollow(struct ph__map *map, uint64_t unit, bool hollow)
{
	if (ph__bit(map->hollow, unit) == hollow)
		return;
	uint32_t count = free_blocks(map, unit);
	ph__bit_set(map->hollow, unit, hollow);
	map->hollow_free = hollow ? map->hollow_free + count : map->hollow_free - count;
}

void ph__map_known(struct ph__map *map)
{
	ph__lock(map->sync, map->lock);
	for (uint64_t unit = 0; map->unknown && unit < map->room / PH__UNIT; unit++)
		if (free_blocks(map, unit) == 0)
			set_hollow(map, unit, false);
	map->unknown = false;
	map->untrimmed = false;
	ph__unlock(map->sync, map->lock);
}

/* ---- providing ---- */

/* Provides units [first, end), which are hollow. */
static enum ph_status provide(struct ph__map *map, uint64_t first, uint64_t end)
{
	uint64_t from = first * PH__UNIT, to = end * PH__UNIT;
	uint64_t blocks = atomic_load(&map->io->blocks);
	to = to < blocks ? to : blocks;
	enum ph_status status = ph__io_provide(map->io, from, (uint32_t)(to - from));
	if (status != PH_OK)
		return status;
	ph__lock(map->sync, map->lock);
	for (uint64_t unit = first; unit < end; unit++)
		set_hollow(map, unit, false);
	ph__unlock(map->sync, map->lock);
	return PH_OK;
}

enum ph_status ph__map_back(struct ph__map *map, struct ph__extent extent)
{
	uint64_t unit = extent.start / PH__UNIT;
	uint64_t end = (extent.start + extent.count - 1) / PH__UNIT + 1;
	enum ph_status status = PH_OK;
	/* Nobody gives back units that have blocks in use, so what is seen here stays so. */
	while (unit < end && status == PH_OK) {
		ph__lock(map->sync, map->lock);
		while (unit < end && !ph__bit(map->hollow, unit))
			unit++;
		uint64_t stop = unit;
		while (stop < end && ph__bit(map->hollow, stop))
			stop++;
		ph__unlock(map->sync, map->lock);
		if (stop > unit)
			status = provide(map, unit, stop);
		unit = stop;
	}
	return status;
}

/* Takes the first unit that is hollow and has free blocks; false when there is none. */
static bool take_hollow(struct ph__map *map, uint64_t *from, struct ph__extents *taken)
{
	bool found = false;
	for (uint64_t unit = *from; unit < map->room / PH__UNIT && !found; unit++) {
		if (!ph__bit(map->hollow, unit) || free_blocks(map, unit) == 0)
			continue;
		taken->count = 0;
		for (uint64_t at = unit * PH__UNIT; at < (unit + 1) * PH__UNIT; at++)
			if (!ph__bit(map->busy, at))
				taken->list[taken->count++] = (struct ph__extent){at, 1, 0};
		for (uint32_t i = 0; i < taken->count; i++)
			ph__map_set_busy(map, taken->list[i].start, 1, true);
		*from = unit;
		found = true;
	}
	return found;
}

enum ph_status ph__map_back_free(struct ph__map *map, uint64_t blocks)
{
	struct ph__extents taken = {NULL, 0, 0};
	enum ph_status status = ph__extents_reserve(map->alloc, &taken, PH__UNIT);
	uint64_t unit = 0;
	while (status == PH_OK) {
		ph__lock(map->sync, map->lock);
		bool more =
		        map->free - map->hollow_free < blocks && take_hollow(map, &unit, &taken);
		ph__unlock(map->sync, map->lock);
		if (!more)
			break;
		/* They are taken meanwhile, so that nobody gives the unit back. */
		status = provide(map, unit, unit + 1);
		ph__map_free_list(map, &taken, 0);
		taken.count = 0;
	}
	ph__extents_release(map->alloc, &taken);
	return status;
}

/* ---- giving back ---- */

/* Whether a unit is to be given back, when so many blocks are to keep space. With the lock held. */
static bool is_due(const struct ph__map *map, uint64_t unit, uint64_t keep)
{
	if (ph__bit(map->trimmed, unit) || free_blocks(map, unit) < PH__UNIT)
		return false;
	if (!map->provides || ph__bit(map->hollow, unit))
		return true;
	return map->free - map->hollow_free >= keep + PH__UNIT;
}

/*
 * Takes a run of units that are to be given back, the highest ones first: those below are used
 * first. The last unit of a device may be no whole one, and stays.
 */
static bool take_due(struct ph__map *map, uint32_t max, struct ph__extent *out)
{
	uint64_t keep = 2 * ph__map_reserve(map);
	uint64_t unit = map->blocks / PH__UNIT;
	/* Nobody is to find the store full because of what is taken here for a moment. */
	max = map->free / 4 < max ? (uint32_t)(map->free / 4) : max;
	if (max < PH__UNIT)
		return false;
	while (unit-- > 0 && map->untrimmed) {
		if (map->group_free[unit * PH__UNIT / PH__GROUP] < PH__UNIT) {
			if (out->count > 0)
				return true;
			unit -= unit % (PH__GROUP / PH__UNIT);
			continue;
		}
		if (!is_due(map, unit, keep)) {
			if (out->count > 0)
				return true;
			continue;
		}
		/* Busy for as long as it takes. */
		ph__map_set_busy(map, unit * PH__UNIT, PH__UNIT, true);
		out->start = unit * PH__UNIT;
		out->count += PH__UNIT;
		if (out->count + PH__UNIT > max)
			return true;
	}
	if (out->count == 0)
		map->untrimmed = false;
	return out->count > 0;
}

static void end_trim(struct ph__map *map, const struct ph__extent *extent)
{
	bool untrimmed = map->untrimmed;
	for (uint64_t at = extent->start; at < extent->start + extent->count; at += PH__UNIT) {
		if (map->provides)
			set_hollow(map, at / PH__UNIT, true);
		ph__map_set_busy(map, at, PH__UNIT, false);
		ph__bit_set(map->trimmed, at / PH__UNIT, true);
	}
	if (extent->start < map->low)
		map->low = extent->start;
	map->untrimmed = untrimmed;
}

enum ph_status ph__disk_trim(struct ph_store *store, uint64_t bytes_max)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph__map *map = &disk->map;
	struct ph__extent extent = {0, 0, 0};
	uint64_t max = bytes_max / PH__BLOCK;
	if (!disk->io.device->ops->discard || ph__disk_read_only(disk))
		return PH_OK;
	ph__lock(map->sync, map->lock);
	bool found =
	        take_due(map, max < TRIM_BLOCKS_MAX ? (uint32_t)max : TRIM_BLOCKS_MAX, &extent);
	ph__unlock(map->sync, map->lock);
	if (!found)
		return PH_OK;
	/* One that fails changes nothing but what a unit reads as: it is not tried again. */
	enum ph_status status = ph__io_discard(&disk->io, extent.start, extent.count);
	ph__lock(map->sync, map->lock);
	end_trim(map, &extent);
	if (status == PH_ERR_UNSUPPORTED)
		map->untrimmed = false;
	ph__unlock(map->sync, map->lock);
	return status == PH_ERR_UNSUPPORTED ? PH_OK : PH_AGAIN;
}
