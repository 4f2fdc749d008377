/* SPDX-License-Identifier: MIT */
/*
 * Which blocks are free: two bitmaps. busy says what may not be allocated now, because an epoch,
 * a snapshot, a transaction or a pending commit has it. used says what the newest durable epoch
 * names; it is what the device learns, so that a crash frees everything else. A count of free
 * blocks per group lets a search skip what is full. A TiB costs 64 MiB, and half of that once more
 * while the map is read or moves.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* ---- extents ---- */

enum ph_status ph__extents_reserve(const struct ph_alloc *alloc, struct ph__extents *extents,
                                   uint32_t more)
{
	if (extents->room - extents->count >= more)
		return PH_OK;
	if (more > UINT32_MAX / 2 - extents->room)
		return PH_ERR_NOMEM;
	uint32_t room = extents->room * 2;
	if (room < extents->count + more)
		room = extents->count + more;
	if (room < 8)
		room = 8;
	void *list = ph_mem_resize(alloc, extents->list, room, sizeof(*extents->list));
	if (!list)
		return PH_ERR_NOMEM;
	extents->list = list;
	extents->room = room;
	return PH_OK;
}

enum ph_status ph__extents_add(const struct ph_alloc *alloc, struct ph__extents *extents,
                               struct ph__extent extent)
{
	if (extents->count > 0) {
		struct ph__extent *last = &extents->list[extents->count - 1];
		if (last->start + last->count == extent.start && last->birth == extent.birth &&
		    extent.count <= UINT32_MAX - last->count) {
			last->count += extent.count;
			return PH_OK;
		}
	}
	enum ph_status status = ph__extents_reserve(alloc, extents, 1);
	if (status == PH_OK)
		extents->list[extents->count++] = extent;
	return status;
}

void ph__extents_release(const struct ph_alloc *alloc, struct ph__extents *extents)
{
	ph_mem_free(alloc, extents->list);
	memset(extents, 0, sizeof(*extents));
}

/* ---- bits ---- */

static unsigned trailing_zeros(uint64_t word)
{
	assert(word != 0);
#if defined(__GNUC__)
	return (unsigned)__builtin_ctzll(word);
#else
	unsigned n = 0;
	while (!(word & 1)) {
		word >>= 1;
		n++;
	}
	return n;
#endif
}

/* The first bit in [from, to) that has the value; to when none does. */
static uint64_t next_bit(const uint64_t *bits, uint64_t from, uint64_t to, bool value)
{
	while (from < to) {
		uint64_t word = value ? bits[from / 64] : ~bits[from / 64];
		word &= UINT64_MAX << (from % 64);
		if (word) {
			uint64_t at = from / 64 * 64 + trailing_zeros(word);
			return at < to ? at : to;
		}
		from = from / 64 * 64 + 64;
	}
	return to;
}

/* ---- the map ---- */

enum ph_status ph__map_init(struct ph__map *map, const struct ph_alloc *alloc, struct ph__io *io,
                            const struct ph_sync *sync)
{
	memset(map, 0, sizeof(*map));
	map->alloc = alloc;
	map->io = io;
	map->sync = sync;
	map->provides = io->device->ops->provide != NULL;
	map->unknown = map->provides;
	map->low = PH__RING_BLOCKS;
	map->next = PH__RING_BLOCKS;
	return sync ? sync->mutex_new(sync->user, &map->lock) : PH_OK;
}

void ph__map_release(struct ph__map *map)
{
	if (map->sync && map->lock)
		map->sync->mutex_free(map->sync->user, map->lock);
	ph_mem_free(map->alloc, map->busy);
	ph_mem_free(map->alloc, map->used);
	ph_mem_free(map->alloc, map->group_free);
	ph_mem_free(map->alloc, map->hollow);
	ph_mem_free(map->alloc, map->trimmed);
	memset(map, 0, sizeof(*map));
}

static enum ph_status widen(const struct ph_alloc *alloc, uint64_t **bits, uint64_t words)
{
	uint64_t *grown =
	        words > SIZE_MAX / 8 ? NULL : ph_mem_resize(alloc, *bits, (size_t)words, 8);
	if (!grown)
		return PH_ERR_NOMEM;
	*bits = grown;
	return PH_OK;
}

static uint64_t unit_words(uint64_t blocks)
{
	return (blocks / PH__UNIT + 63) / 64;
}

static enum ph_status make_room(struct ph__map *map, uint64_t blocks)
{
	if (blocks <= map->room)
		return PH_OK;
	uint64_t groups = (blocks + PH__GROUP - 1) / PH__GROUP;
	uint64_t room = groups * PH__GROUP;
	if (groups > SIZE_MAX / 2)
		return PH_ERR_NOMEM;
	uint16_t *counts = ph_mem_resize(map->alloc, map->group_free, (size_t)groups, 2);
	if (!counts)
		return PH_ERR_NOMEM;
	map->group_free = counts;
	enum ph_status status = widen(map->alloc, &map->busy, room / 64);
	if (status == PH_OK)
		status = widen(map->alloc, &map->used, room / 64);
	if (status == PH_OK)
		status = widen(map->alloc, &map->hollow, unit_words(room));
	if (status == PH_OK)
		status = widen(map->alloc, &map->trimmed, unit_words(room));
	if (status != PH_OK)
		return status;
	for (uint64_t unit = map->room / PH__UNIT; unit < room / PH__UNIT; unit++) {
		ph__bit_set(map->hollow, unit, map->unknown);
		ph__bit_set(map->trimmed, unit, true);
	}
	/* Bits behind the end are busy, so that no search runs into them. */
	for (uint64_t word = map->room / 64; word < room / 64; word++) {
		map->busy[word] = UINT64_MAX;
		map->used[word] = 0;
	}
	for (uint64_t group = map->room / PH__GROUP; group < groups; group++)
		map->group_free[group] = 0;
	map->room = room;
	return PH_OK;
}

/* Sets the bits of [*from, to) that are in one word, moves on, and returns how many changed. */
static unsigned set_word(uint64_t *bits, uint64_t *from, uint64_t to, bool value)
{
	uint64_t *word = &bits[*from / 64];
	uint64_t end = (*from / 64 + 1) * 64;
	uint64_t mask = UINT64_MAX << (*from % 64);
	if (to < end) {
		mask &= ~(UINT64_MAX << (to % 64));
		end = to;
	}
	uint64_t changed = value ? mask & ~*word : mask & *word;
	*word ^= changed;
	*from = end;
	return ph__ones(changed);
}

static void note_change(struct ph__map *map, uint64_t unit, unsigned changed, bool busy)
{
	if (ph__bit(map->hollow, unit))
		map->hollow_free = busy ? map->hollow_free - changed : map->hollow_free + changed;
	if (busy)
		ph__bit_set(map->trimmed, unit, false);
	else
		map->untrimmed = true;
}

void ph__map_set_busy(struct ph__map *map, uint64_t start, uint64_t count, bool busy)
{
	uint64_t end = start + count;
	while (start < end) {
		uint16_t *group = &map->group_free[start / PH__GROUP];
		uint64_t unit = start / PH__UNIT;
		unsigned changed = set_word(map->busy, &start, end, busy);
		if (changed > 0)
			note_change(map, unit, changed, busy);
		*group = (uint16_t)(busy ? *group - changed : *group + changed);
		map->free = busy ? map->free - changed : map->free + changed;
	}
}

enum ph_status ph__map_cover(struct ph__map *map, uint64_t blocks)
{
	enum ph_status status = make_room(map, blocks);
	if (status != PH_OK || blocks <= map->blocks)
		return status;
	uint64_t from = map->blocks;
	map->blocks = blocks;
	ph__map_set_busy(map, from, blocks - from, false);
	if (from < PH__RING_BLOCKS)
		ph__map_set_busy(map, from, PH__RING_BLOCKS - from, true);
	if (from < map->low && from >= PH__RING_BLOCKS)
		map->low = from;
	return PH_OK;
}

uint32_t ph__map_area_blocks(uint64_t blocks, uint32_t *base_blocks, uint32_t *log_blocks)
{
	uint64_t groups = (blocks + PH__GROUP - 1) / PH__GROUP;
	/* The number of blocks; for a group a byte for its kind, and its bits if it is mixed. */
	uint64_t bytes = 8 + groups * (1 + PH__GROUP / 8);
	*base_blocks = (uint32_t)((bytes + PH__BLOCK - 1) / PH__BLOCK);
	/* Long enough that writing the base costs each commit little, and reading it little too. */
	uint64_t log = blocks / 256, most = *base_blocks / 8 > 512 ? *base_blocks / 8 : 512;
	log = log < 16 ? 16 : log > most ? most : log;
	*log_blocks = (uint32_t)log;
	return *base_blocks + *log_blocks;
}

/*
 * Blocks that a class leaves to those after it. Trees leave what a new area for the map needs and
 * does not have yet, and data leaves enough for the commits that delete something; maintenance may
 * use half of that, as it is about to give back more.
 */
static uint64_t reserve_of(const struct ph__map *map, enum ph__class class)
{
	uint32_t base, log;
	if (class == PH__CLASS_ROOT)
		return 0;
	uint64_t trees = ph__map_area_blocks(map->blocks, &base, &log);
	trees = 16 + (trees > map->ahead ? trees - map->ahead : 0);
	if (class == PH__CLASS_TREE)
		return trees;
	uint64_t data = map->blocks / 32;
	data = data < 16 ? 16 : data > 1024 ? 1024 : data;
	return trees + (class == PH__CLASS_UPKEEP ? data / 2 : data);
}

void ph__map_set_ahead(struct ph__map *map, uint64_t blocks)
{
	ph__lock(map->sync, map->lock);
	map->ahead = blocks;
	ph__unlock(map->sync, map->lock);
}

uint64_t ph__map_reserve(const struct ph__map *map)
{
	return reserve_of(map, PH__CLASS_DATA);
}

/*
 * Looks in [from, to) for a run of want blocks; best is the longest so far. backed: with space
 * behind them that need not be asked for.
 */
static bool find_run(const struct ph__map *map, uint64_t from, uint64_t to, uint32_t want,
                     bool backed, struct ph__extent *best)
{
	while (from < to) {
		if (map->group_free[from / PH__GROUP] == 0) {
			from = (from / PH__GROUP + 1) * PH__GROUP;
			continue;
		}
		uint64_t start = next_bit(map->busy, from, to, false);
		if (start >= to)
			return false;
		if (map->group_free[start / PH__GROUP] == 0) {
			from = start;
			continue;
		}
		uint64_t stop = start + want < to ? start + want : to;
		if (backed) {
			uint64_t unit = start / PH__UNIT;
			if (ph__bit(map->hollow, unit)) {
				from = (unit + 1) * PH__UNIT;
				continue;
			}
			unit = next_bit(map->hollow, unit, (stop + PH__UNIT - 1) / PH__UNIT, true);
			stop = unit * PH__UNIT < stop ? unit * PH__UNIT : stop;
		}
		uint64_t end = next_bit(map->busy, start, stop, true);
		if (end - start > best->count) {
			best->start = start;
			best->count = (uint32_t)(end - start);
			if (best->count == want)
				return true;
		}
		from = end + 1;
	}
	return false;
}

/* Whether fewer blocks than wanted will do, so that old space is used before the device grows. */
static bool good_enough(const struct ph__map *map, uint32_t want, uint32_t got)
{
	if (got == want)
		return true;
	return got > 0 && (got >= want / 4 || map->free > map->blocks / 4);
}

static bool take_run(struct ph__map *map, enum ph__class class, uint32_t want, bool last,
                     bool backed, struct ph__extent *out)
{
	uint64_t reserve = reserve_of(map, class);
	struct ph__extent best = {0, 0, 0};
	if (map->free <= reserve)
		return false;
	if (want > map->free - reserve)
		want = (uint32_t)(map->free - reserve);
	/* Trees go low and stay together; data goes on where it was, so that it is in a row. */
	uint64_t from = class <= PH__CLASS_UPKEEP && map->next > map->low ? map->next : map->low;
	if (!find_run(map, from, map->blocks, want, backed, &best) && from > map->low)
		find_run(map, map->low, map->blocks, want, backed, &best);
	if (best.count == 0 || (!last && !good_enough(map, want, best.count)))
		return false;
	ph__map_set_busy(map, best.start, best.count, true);
	if (best.start == map->low)
		map->low = best.start + best.count;
	if (class <= PH__CLASS_UPKEEP)
		map->next = best.start + best.count;
	*out = best;
	return true;
}

/* What commits need has space behind it already, as long as data leaves that. */
static bool take(struct ph__map *map, enum ph__class class, uint32_t want, struct ph__extent *out)
{
	if (map->provides && class != PH__CLASS_DATA &&
	    take_run(map, class, want, false, true, out))
		return true;
	return take_run(map, class, want, false, false, out);
}

static enum ph_status grow_and_take(struct ph__map *map, enum ph__class class, uint32_t want,
                                    uint64_t more, struct ph__extent *out)
{
	/* Growing is I/O: others may allocate meanwhile. */
	enum ph_status status = ph__io_grow(map->io, more);
	ph__lock(map->sync, map->lock);
	if (status == PH_OK)
		status = ph__map_cover(map, atomic_load(&map->io->blocks));
	if (status != PH_ERR_NOMEM)
		status = take_run(map, class, want, true, false, out) ? PH_OK : PH_ERR_FULL;
	ph__unlock(map->sync, map->lock);
	return status;
}

/* Space behind what was taken, or other blocks that have some. */
static enum ph_status back(struct ph__map *map, enum ph__class class, uint32_t want,
                           struct ph__extent *out)
{
	enum ph_status status = ph__map_back(map, *out);
	if (status == PH_OK)
		return PH_OK;
	ph__map_free(map, *out);
	ph__lock(map->sync, map->lock);
	if (take_run(map, class, want, true, true, out))
		status = PH_OK;
	ph__unlock(map->sync, map->lock);
	return status;
}

enum ph_status ph__map_alloc(struct ph__map *map, enum ph__class class, uint32_t want,
                             struct ph__extent *out)
{
	assert(want > 0);
	enum ph_status status = PH_OK;
	ph__lock(map->sync, map->lock);
	uint64_t reserve = reserve_of(map, class);
	bool short_of =
	        map->provides && class == PH__CLASS_DATA && map->free - map->hollow_free < reserve;
	bool done = !short_of && take(map, class, want, out);
	ph__unlock(map->sync, map->lock);
	if (short_of) {
		status = ph__map_back_free(map, reserve);
		if (status != PH_OK)
			return status;
		ph__lock(map->sync, map->lock);
		done = take(map, class, want, out);
		ph__unlock(map->sync, map->lock);
	}
	if (!done)
		status = grow_and_take(map, class, want, reserve + want, out);
	return status == PH_OK && map->provides ? back(map, class, want, out) : status;
}

enum ph_status ph__map_alloc_list(struct ph__map *map, enum ph__class class, uint64_t want,
                                  uint32_t max, struct ph__extents *out)
{
	uint32_t from = out->count;
	enum ph_status status = PH_OK;
	while (want > 0 && status == PH_OK) {
		struct ph__extent extent;
		uint32_t step = want > UINT32_MAX ? UINT32_MAX : (uint32_t)want;
		status = out->count - from < max ? ph__extents_reserve(map->alloc, out, 1)
		                                 : PH_ERR_FULL;
		if (status == PH_OK)
			status = ph__map_alloc(map, class, step, &extent);
		if (status == PH_OK) {
			out->list[out->count++] = extent;
			want -= extent.count;
		}
	}
	if (status != PH_OK) {
		ph__map_free_list(map, out, from);
		out->count = from;
	}
	return status;
}

void ph__map_free(struct ph__map *map, struct ph__extent extent)
{
	ph__lock(map->sync, map->lock);
	assert(extent.start >= PH__RING_BLOCKS);
	assert(extent.start + extent.count <= map->blocks);
	ph__map_set_busy(map, extent.start, extent.count, false);
	if (extent.start < map->low)
		map->low = extent.start;
	ph__unlock(map->sync, map->lock);
}

void ph__map_free_list(struct ph__map *map, const struct ph__extents *extents, uint32_t from)
{
	for (uint32_t i = from; i < extents->count; i++)
		ph__map_free(map, extents->list[i]);
}

void ph__map_take(struct ph__map *map, struct ph__extent extent)
{
	ph__lock(map->sync, map->lock);
	ph__map_set_busy(map, extent.start, extent.count, true);
	ph__unlock(map->sync, map->lock);
}

void ph__map_used(struct ph__map *map, struct ph__extent extent, bool used)
{
	ph__lock(map->sync, map->lock);
	uint64_t at = extent.start;
	while (at < extent.start + extent.count)
		set_word(map->used, &at, extent.start + extent.count, used);
	ph__unlock(map->sync, map->lock);
}

bool ph__map_is_busy(struct ph__map *map, uint64_t block)
{
	ph__lock(map->sync, map->lock);
	bool busy = block >= map->blocks || (map->busy[block / 64] >> (block % 64) & 1);
	ph__unlock(map->sync, map->lock);
	return busy;
}

bool ph__map_is_used(struct ph__map *map, uint64_t block)
{
	ph__lock(map->sync, map->lock);
	bool used = block < map->blocks && (map->used[block / 64] >> (block % 64) & 1);
	ph__unlock(map->sync, map->lock);
	return used;
}

uint64_t ph__map_blocks(struct ph__map *map)
{
	ph__lock(map->sync, map->lock);
	uint64_t blocks = map->blocks;
	ph__unlock(map->sync, map->lock);
	return blocks;
}

uint64_t ph__map_free_blocks(struct ph__map *map)
{
	ph__lock(map->sync, map->lock);
	uint64_t blocks = map->free + map->ahead;
	ph__unlock(map->sync, map->lock);
	return blocks;
}

enum ph_status ph__map_load_word(struct ph__map *map, uint64_t word, uint64_t bits)
{
	uint64_t at = word * 64;
	if (bits == 0)
		return PH_OK;
	if (at >= map->blocks || (map->blocks - at < 64 && bits >> (map->blocks - at)))
		return PH_ERR_CORRUPT;
	unsigned changed = ph__ones(bits & ~map->busy[word]);
	map->busy[word] |= bits;
	map->used[word] |= bits;
	map->group_free[at / PH__GROUP] = (uint16_t)(map->group_free[at / PH__GROUP] - changed);
	map->free -= changed;
	if (changed > 0)
		note_change(map, at / PH__UNIT, changed, true);
	return PH_OK;
}

/* One group: 0 when all of it is free, 1 when all is used, else 2 and its bits. */
static uint8_t *put_group(const uint64_t *words, uint8_t *to)
{
	const uint32_t count = PH__GROUP / 64;
	uint64_t all = UINT64_MAX, any = 0;
	for (uint32_t i = 0; i < count; i++) {
		all &= words[i];
		any |= words[i];
	}
	*to++ = any == 0 ? 0 : all == UINT64_MAX ? 1 : 2;
	if (any == 0 || all == UINT64_MAX)
		return to;
	for (uint32_t i = 0; i < count; i++)
		for (unsigned k = 0; k < 8; k++)
			*to++ = (uint8_t)(words[i] >> (8 * k));
	return to;
}

uint32_t ph__map_serialise(struct ph__map *map, uint64_t blocks, uint8_t *to)
{
	uint8_t *at = to + 8;
	ph__put64(to, blocks);
	ph__lock(map->sync, map->lock);
	assert(blocks <= map->blocks);
	for (uint64_t group = 0; group * PH__GROUP < blocks; group++)
		at = put_group(map->used + group * (PH__GROUP / 64), at);
	ph__unlock(map->sync, map->lock);
	return (uint32_t)(at - to);
}

enum ph_status ph__map_held(struct ph__map *map, struct ph__extents *out)
{
	enum ph_status status = PH_OK;
	ph__lock(map->sync, map->lock);
	for (uint64_t word = 0; word * 64 < map->blocks && status == PH_OK; word++) {
		uint64_t bits = map->busy[word] & ~map->used[word];
		while (bits && status == PH_OK) {
			struct ph__extent extent = {word * 64 + trailing_zeros(bits), 1, 0};
			if (extent.start >= PH__RING_BLOCKS && extent.start < map->blocks)
				status = ph__extents_add(map->alloc, out, extent);
			bits &= bits - 1;
		}
	}
	ph__unlock(map->sync, map->lock);
	return status;
}

bool ph__extent_valid(const struct ph__disk *disk, struct ph__extent extent)
{
	uint64_t blocks = atomic_load(&disk->io.blocks);
	return extent.count > 0 && extent.start >= PH__RING_BLOCKS && extent.start < blocks &&
	       extent.count <= blocks - extent.start;
}
