/* SPDX-License-Identifier: MIT */
/*
 * A section being written. Appends gather in the section's tail and reach the device in pieces of
 * 64 KiB, into space that nothing durable names yet. What is left at the end stays in memory for
 * the commit to write, so that a small push costs no write of its own; the small sections of a
 * pack share blocks. Blocks are allocated in steps that double, and what was too much goes back at
 * the end.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* Largest step of allocation: 16 MiB. */
#define STEP_BLOCKS_MAX 4096u
#define SINK_BLOCKS (PH__SINK_BYTES / PH__BLOCK)
/* No section is longer: the largest pack, its index and then some. */
#define SECTION_BYTES_MAX ((uint64_t)1 << 44)

static enum ph_status fail(struct ph__sink *sink, enum ph_status status)
{
	if (status != PH_OK)
		sink->status = status;
	return status;
}

static enum ph_status add_crc(struct ph__section *section, const uint8_t *data, size_t len)
{
	if (section->crc_count == section->crc_room) {
		uint32_t room = section->crc_room ? section->crc_room * 2 : 4;
		void *crcs = room > section->crc_room
		                     ? ph_mem_resize(section->disk->alloc, section->crcs, room, 4)
		                     : NULL;
		if (!crcs)
			return PH_ERR_NOMEM;
		section->crcs = crcs;
		section->crc_room = room;
	}
	section->crcs[section->crc_count++] = section->disk->crc32(0, data, len);
	return PH_OK;
}

static enum ph_status add_crcs(struct ph__section *section, const uint8_t *data, size_t len)
{
	enum ph_status status = PH_OK;
	while (len > 0 && status == PH_OK) {
		size_t step = len < PH__CHUNK ? len : PH__CHUNK;
		status = add_crc(section, data, step);
		data += step;
		len -= step;
	}
	return status;
}

/* Sees to it that the section has at least blocks blocks; step is what to ask for at least. */
static enum ph_status have_blocks(struct ph__section *section, uint64_t blocks, uint64_t step)
{
	enum ph_status status = PH_OK;
	while (section->blocks < blocks && status == PH_OK) {
		uint64_t want = blocks - section->blocks;
		struct ph__extent extent;
		if (want < step)
			want = step;
		if (want > STEP_BLOCKS_MAX)
			want = STEP_BLOCKS_MAX;
		status = ph__map_alloc(&section->disk->map,
		                       section->upkeep ? PH__CLASS_UPKEEP : PH__CLASS_DATA,
		                       (uint32_t)want, &extent);
		if (status != PH_OK)
			break;
		status = ph__section_add(section, extent);
		if (status != PH_OK)
			ph__map_free(&section->disk->map, extent);
	}
	return status;
}

/* Writes one full piece behind what is stored. */
static enum ph_status write_piece(struct ph__section *section, const uint8_t *data)
{
	uint64_t block = section->tail_at / PH__BLOCK;
	enum ph_status status = have_blocks(section, block + SINK_BLOCKS, section->blocks);
	if (status == PH_OK)
		status = ph__section_write(section, block, SINK_BLOCKS, data);
	if (status == PH_OK)
		status = add_crcs(section, data, PH__SINK_BYTES);
	if (status == PH_OK)
		section->tail_at += PH__SINK_BYTES;
	return status;
}

static enum ph_status make_room(struct ph__sink *sink, size_t len)
{
	size_t want = sink->len + len;
	size_t room = sink->room ? sink->room : PH__BLOCK;
	if (want > PH__SINK_BYTES)
		want = PH__SINK_BYTES;
	while (room < want)
		room *= 2;
	if (room == sink->room)
		return PH_OK;
	uint8_t *tail = ph_mem_resize(sink->section->disk->alloc, sink->section->tail, 1, room);
	if (!tail)
		return PH_ERR_NOMEM;
	sink->section->tail = tail;
	sink->room = room;
	return PH_OK;
}

static enum ph_status gather(struct ph__sink *sink, const uint8_t *data, size_t len, size_t *used)
{
	struct ph__section *section = sink->section;
	enum ph_status status = make_room(sink, len);
	if (status != PH_OK)
		return status;
	*used = PH__SINK_BYTES - sink->len < len ? PH__SINK_BYTES - sink->len : len;
	memcpy(section->tail + sink->len, data, *used);
	sink->len += *used;
	if (sink->len == PH__SINK_BYTES) {
		status = write_piece(section, section->tail);
		if (status == PH_OK)
			sink->len = 0;
	}
	return status;
}

static enum ph_status append(struct ph_sink *base, const void *data, size_t len)
{
	struct ph__sink *sink = (struct ph__sink *)base;
	const uint8_t *from = data;
	if (sink->status != PH_OK || sink->ended)
		return sink->ended ? PH_ERR_INVALID : sink->status;
	if (ph__disk_read_only(sink->section->disk))
		return fail(sink, PH_ERR_READ_ONLY);
	if (len > SECTION_BYTES_MAX - base->size)
		return fail(sink, PH_ERR_LIMIT);
	while (len > 0) {
		size_t used = PH__SINK_BYTES;
		enum ph_status status;
		/* tail is what says where stored bytes end, so there is one even if it is empty. */
		if (sink->len == 0 && len >= PH__SINK_BYTES && sink->section->tail)
			status = write_piece(sink->section, from);
		else
			status = gather(sink, from, len, &used);
		if (status != PH_OK)
			return fail(sink, status);
		from += used;
		len -= used;
		base->size += used;
		sink->section->bytes.size = base->size;
	}
	return PH_OK;
}

static enum ph_status sink_read(struct ph_sink *base, uint64_t offset, void *buf, size_t len)
{
	return ph__section_read(((struct ph__sink *)base)->section, offset, buf, len);
}

static void sink_abort(struct ph_sink *base)
{
	struct ph__sink *sink = (struct ph__sink *)base;
	if (sink->ended)
		return;
	sink->status = PH_ERR_INVALID;
	ph__section_free_blocks(sink->section);
}

static const struct ph_sink_ops sink_ops = {append, sink_read, sink_abort};

enum ph_status ph__sink_new(struct ph__sink **out, struct ph__disk *disk, uint32_t type)
{
	struct ph__sink *sink = ph_mem_zalloc(disk->alloc, 1, sizeof(*sink));
	if (!sink)
		return PH_ERR_NOMEM;
	sink->sink.ops = &sink_ops;
	enum ph_status status = ph__section_new(&sink->section, disk, type);
	if (status != PH_OK) {
		ph_mem_free(disk->alloc, sink);
		return status;
	}
	*out = sink;
	return PH_OK;
}

void ph__sink_free(struct ph__sink *sink, bool keep)
{
	if (!sink)
		return;
	const struct ph_alloc *alloc = sink->section->disk->alloc;
	if (!keep)
		ph__section_free_blocks(sink->section);
	ph__section_release(sink->section);
	ph_mem_free(alloc, sink);
}

/* ---- the end ---- */

static void trim(struct ph__section *section, uint64_t blocks)
{
	while (section->blocks > blocks) {
		struct ph__piece *last = &section->pieces[section->piece_count - 1];
		uint64_t surplus = section->blocks - blocks;
		uint32_t count = surplus < last->count ? (uint32_t)surplus : last->count;
		struct ph__extent extent = {last->start + last->count - count, count, 0};
		ph__map_free(&section->disk->map, extent);
		last->count -= count;
		section->blocks -= count;
		if (last->count == 0)
			section->piece_count--;
	}
}

/* Bytes of the tail, with what it skips. */
static size_t tail_len(const struct ph__section *section)
{
	return section->skip + (size_t)(section->bytes.size - section->tail_at);
}

/*
 * Writes the tail, padded with zeros to whole blocks, and forgets it. A last block that another
 * section goes on in is left to that.
 */
static enum ph_status write_tail(struct ph__section *section)
{
	size_t len = tail_len(section);
	uint32_t blocks = (uint32_t)(len / PH__BLOCK);
	enum ph_status status = PH_OK;
	if (len % PH__BLOCK && !section->joined) {
		blocks++;
		memset(section->tail + len, 0, (size_t)blocks * PH__BLOCK - len);
	}
	if (blocks > 0) {
		status = ph__section_write(section, section->tail_at / PH__BLOCK, blocks,
		                           section->tail);
	}
	if (status == PH_OK) {
		ph_mem_free(section->disk->alloc, section->tail);
		section->tail = NULL;
	}
	return status;
}

/* Moves the checksums to pages behind the data, and keeps those of the pages. */
static enum ph_status write_pages(struct ph__section *section, uint32_t pages)
{
	const struct ph_alloc *alloc = section->disk->alloc;
	uint8_t *page = ph_mem_alloc(alloc, PH__BLOCK);
	uint32_t *crcs = ph_mem_zalloc(alloc, pages, sizeof(*crcs));
	enum ph_status status = page && crcs ? PH_OK : PH_ERR_NOMEM;
	uint64_t block = ph__section_data_blocks(section);
	for (uint32_t i = 0; i < pages && status == PH_OK; i++) {
		uint32_t first = i * PH__CRC_PER_PAGE;
		memset(page, 0, PH__BLOCK);
		for (uint32_t k = 0; k < PH__CRC_PER_PAGE && first + k < section->crc_count; k++)
			ph__put32(page + 4 * (size_t)k, section->crcs[first + k]);
		crcs[i] = ph_crc32(0, page, PH__BLOCK);
		status = ph__section_write(section, block + i, 1, page);
	}
	ph_mem_free(alloc, page);
	if (status != PH_OK) {
		ph_mem_free(alloc, crcs);
		return status;
	}
	ph_mem_free(alloc, section->crcs);
	section->crcs = crcs;
	section->crc_count = section->crc_room = pages;
	section->paged = true;
	return PH_OK;
}

static enum ph_status seal(struct ph__section *section)
{
	uint32_t pages = 0;
	if (section->crc_count > PH__CRC_INLINE)
		pages = (section->crc_count + PH__CRC_PER_PAGE - 1) / PH__CRC_PER_PAGE;
	uint64_t blocks = ph__section_data_blocks(section) + pages;
	trim(section, blocks);
	enum ph_status status = have_blocks(section, blocks, 0);
	if (status != PH_OK || pages == 0)
		return status;
	status = section->tail ? write_tail(section) : PH_OK;
	return status == PH_OK ? write_pages(section, pages) : status;
}

/*
 * Lets a section that is all in memory begin where the one before it ends. Its tail then begins
 * with a copy of what that has in the block, so that the block is written once.
 */
static enum ph_status join(struct ph__section *section, struct ph__section *before)
{
	if (!before || !before->tail || !section->tail || section->blocks > 0 ||
	    section->bytes.size == 0)
		return PH_OK;
	size_t used = tail_len(before) % PH__BLOCK, len = tail_len(section);
	if (used == 0)
		return PH_OK;
	size_t room = (used + len + PH__BLOCK - 1) / PH__BLOCK * PH__BLOCK;
	uint8_t *tail = ph_mem_resize(section->disk->alloc, section->tail, 1, room);
	if (!tail)
		return PH_ERR_NOMEM;
	section->tail = tail;
	const struct ph__piece *last = &before->pieces[before->piece_count - 1];
	enum ph_status status =
	        ph__section_add(section, (struct ph__extent){last->start + last->count - 1, 1, 0});
	if (status != PH_OK)
		return status;
	memmove(tail + used, tail, len);
	memcpy(tail, before->tail + tail_len(before) - used, used);
	section->skip = (uint32_t)used;
	before->joined = true;
	return PH_OK;
}

enum ph_status ph__sink_end(struct ph__sink *sink, struct ph__section *before)
{
	struct ph__section *section = sink->section;
	if (sink->ended)
		return PH_OK;
	if (sink->status != PH_OK)
		return sink->status;
	enum ph_status status = add_crcs(section, section->tail, sink->len);
	if (status == PH_OK)
		status = join(section, before);
	if (status == PH_OK)
		status = seal(section);
	if (status != PH_OK) {
		if (section->skip > 0)
			before->joined = false;
		return fail(sink, status);
	}
	sink->ended = true;
	return PH_OK;
}

enum ph_status ph__section_settle(struct ph__section *section)
{
	return section->tail ? write_tail(section) : PH_OK;
}
