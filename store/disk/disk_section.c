/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a section: extents on the device, a checksum for every 16 KiB, and while the section
 * is new a tail in memory. Every byte from the device is verified before anybody sees it. Small
 * reads go through the cache by chunks; long ones go straight to the caller's memory, so that one
 * clone streaming a large run does not wash everything else out.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* Chunks of one read past the cache. */
#define DIRECT_CHUNKS 16u

/* Kinds of cached bytes of a section. */
enum { TAG_CHUNK = 0, TAG_PAGE = 1 };

static enum ph_status bytes_read(const struct ph_bytes *bytes, uint64_t offset, void *buf,
                                 size_t len)
{
	/* The contract gives a pointer to const; what changes behind it is the cache. */
	struct ph__section *section = (struct ph__section *)(uintptr_t)bytes;
	return ph__section_read(section, offset, buf, len);
}

enum ph_status ph__section_new(struct ph__section **out, struct ph__disk *disk, uint32_t type)
{
	struct ph__section *section = ph_mem_zalloc(disk->alloc, 1, sizeof(*section));
	if (!section)
		return PH_ERR_NOMEM;
	section->bytes.read = bytes_read;
	section->disk = disk;
	section->type = type;
	section->number = atomic_fetch_add(&disk->sections, 1);
	atomic_init(&section->refs, 1);
	*out = section;
	return PH_OK;
}

void ph__section_retain(struct ph__section *section)
{
	atomic_fetch_add(&section->refs, 1);
}

void ph__section_release(struct ph__section *section)
{
	if (!section || atomic_fetch_sub(&section->refs, 1) != 1)
		return;
	const struct ph_alloc *alloc = section->disk->alloc;
	ph_mem_free(alloc, section->pieces);
	ph_mem_free(alloc, section->crcs);
	ph_mem_free(alloc, section->tail);
	ph_mem_free(alloc, section);
}

enum ph_status ph__section_add(struct ph__section *section, struct ph__extent extent)
{
	if (section->piece_count > 0) {
		struct ph__piece *last = &section->pieces[section->piece_count - 1];
		if (last->start + last->count == extent.start &&
		    extent.count <= UINT32_MAX - last->count) {
			last->count += extent.count;
			section->blocks += extent.count;
			return PH_OK;
		}
	}
	if (section->piece_count == section->piece_room) {
		uint32_t room = section->piece_room ? section->piece_room * 2 : 2;
		void *pieces = room > section->piece_room
		                       ? ph_mem_resize(section->disk->alloc, section->pieces, room,
		                                       sizeof(*section->pieces))
		                       : NULL;
		if (!pieces)
			return PH_ERR_NOMEM;
		section->pieces = pieces;
		section->piece_room = room;
	}
	section->pieces[section->piece_count++] =
	        (struct ph__piece){section->blocks, extent.start, extent.count};
	section->blocks += extent.count;
	return PH_OK;
}

void ph__section_free_blocks(struct ph__section *section)
{
	for (uint32_t i = 0; i < section->piece_count; i++) {
		struct ph__extent extent = {section->pieces[i].start, section->pieces[i].count, 0};
		if (i == 0 && section->skip > 0) {
			extent.start++;
			extent.count--;
		}
		if (extent.count > 0)
			ph__map_free(&section->disk->map, extent);
	}
	section->piece_count = 0;
	section->blocks = 0;
}

uint64_t ph__section_data_blocks(const struct ph__section *section)
{
	uint64_t bytes = section->bytes.size + section->skip;
	return bytes / PH__BLOCK + (bytes % PH__BLOCK != 0);
}

/* ---- blocks ---- */

static uint32_t piece_of(const struct ph__section *section, uint64_t block)
{
	uint32_t low = 0, high = section->piece_count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (section->pieces[middle].at <= block)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Reads or writes blocks of the section, wherever they are. */
static enum ph_status move_blocks(struct ph__section *section, uint64_t block, uint32_t count,
                                  uint8_t *to, const uint8_t *from)
{
	assert(block <= section->blocks && count <= section->blocks - block);
	enum ph_status status = PH_OK;
	uint32_t piece = count ? piece_of(section, block) : 0;
	while (count > 0 && status == PH_OK) {
		const struct ph__piece *at = &section->pieces[piece++];
		uint64_t skip = block - at->at;
		uint64_t left = at->count - skip;
		uint32_t step = left < count ? (uint32_t)left : count;
		struct ph__io *io = &section->disk->io;
		if (to)
			status = ph__io_read(io, at->start + skip, step, to);
		else
			status = ph__io_write(io, at->start + skip, step, from);
		to = to ? to + (size_t)step * PH__BLOCK : NULL;
		from = from ? from + (size_t)step * PH__BLOCK : NULL;
		block += step;
		count -= step;
	}
	return status;
}

enum ph_status ph__section_raw(struct ph__section *section, uint64_t block, uint32_t count,
                               void *buf)
{
	return move_blocks(section, block, count, buf, NULL);
}

enum ph_status ph__section_write(struct ph__section *section, uint64_t block, uint32_t count,
                                 const void *buf)
{
	return move_blocks(section, block, count, NULL, buf);
}

/* ---- checksums ---- */

static enum ph_status crc_of(struct ph__section *section, uint64_t chunk, uint32_t *crc)
{
	if (!section->paged) {
		assert(chunk < section->crc_count);
		*crc = section->crcs[chunk];
		return PH_OK;
	}
	struct ph__disk_cache *cache = &section->disk->cache;
	uint32_t page = (uint32_t)(chunk / PH__CRC_PER_PAGE);
	size_t at = (size_t)(chunk % PH__CRC_PER_PAGE) * 4;
	assert(page < section->crc_count);
	struct ph__disk_cache_key key = {section->number, page, TAG_PAGE};
	uint8_t raw[4];
	if (!ph__disk_cache_copy(cache, &key, at, raw, sizeof(raw))) {
		struct ph__disk_cache_entry *entry =
		        ph__disk_cache_entry_new(cache, &key, PH__BLOCK);
		if (!entry)
			return PH_ERR_NOMEM;
		enum ph_status status = ph__section_check_page(section, page, entry->data);
		if (status != PH_OK) {
			ph__disk_cache_entry_free(cache, entry);
			return status;
		}
		memcpy(raw, entry->data + at, sizeof(raw));
		ph__disk_cache_insert(cache, entry);
	}
	*crc = ph__get32(raw);
	return PH_OK;
}

static enum ph_status verify(struct ph__section *section, uint64_t chunk, const uint8_t *data,
                             size_t len)
{
	uint32_t crc;
	enum ph_status status = crc_of(section, chunk, &crc);
	if (status == PH_OK && section->disk->crc32(0, data, len) != crc)
		status = PH_ERR_CORRUPT;
	return status;
}

/* ---- reading ---- */

/* Bytes that are on the device. */
static uint64_t stored(const struct ph__section *section)
{
	return section->tail ? section->tail_at : section->bytes.size;
}

static uint32_t chunk_len(const struct ph__section *section, uint64_t chunk)
{
	uint64_t left = stored(section) - chunk * PH__CHUNK;
	return left < PH__CHUNK ? (uint32_t)left : PH__CHUNK;
}

/* Blocks that a chunk is in: one more than it has when the section begins within a block. */
static uint32_t chunk_blocks(const struct ph__section *section, uint64_t chunk)
{
	return (section->skip + chunk_len(section, chunk) + PH__BLOCK - 1) / PH__BLOCK;
}

/* Reads the blocks of a chunk; its bytes are behind those that the section skips. */
static enum ph_status load_chunk(struct ph__section *section, uint64_t chunk, uint8_t *data)
{
	enum ph_status status = move_blocks(section, chunk * PH__CHUNK_BLOCKS,
	                                    chunk_blocks(section, chunk), data, NULL);
	if (status != PH_OK)
		return status;
	return verify(section, chunk, data + section->skip, chunk_len(section, chunk));
}

/* Part of a chunk, through the cache. */
static enum ph_status read_part(struct ph__section *section, uint64_t offset, uint8_t *buf,
                                size_t len)
{
	struct ph__disk_cache *cache = &section->disk->cache;
	uint64_t chunk = offset / PH__CHUNK;
	size_t at = section->skip + (size_t)(offset % PH__CHUNK);
	struct ph__disk_cache_key key = {section->number, chunk, TAG_CHUNK};
	if (ph__disk_cache_copy(cache, &key, at, buf, len))
		return PH_OK;
	struct ph__disk_cache_entry *entry =
	        ph__disk_cache_entry_new(cache, &key, chunk_blocks(section, chunk) * PH__BLOCK);
	if (!entry)
		return PH_ERR_NOMEM;
	enum ph_status status = load_chunk(section, chunk, entry->data);
	if (status != PH_OK) {
		ph__disk_cache_entry_free(cache, entry);
		return status;
	}
	memcpy(buf, entry->data + at, len);
	ph__disk_cache_insert(cache, entry);
	return PH_OK;
}

/* Whole chunks, straight into the caller's memory. */
static enum ph_status read_chunks(struct ph__section *section, uint64_t chunk, uint32_t count,
                                  uint8_t *buf)
{
	enum ph_status status =
	        move_blocks(section, chunk * PH__CHUNK_BLOCKS, count * PH__CHUNK_BLOCKS, buf, NULL);
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = verify(section, chunk + i, buf + (size_t)i * PH__CHUNK, PH__CHUNK);
	return status;
}

enum ph_status ph__section_read(struct ph__section *section, uint64_t offset, void *buf, size_t len)
{
	assert(offset <= section->bytes.size && len <= section->bytes.size - offset);
	uint64_t limit = stored(section);
	uint8_t *to = buf;
	enum ph_status status = PH_OK;
	while (len > 0 && status == PH_OK) {
		uint64_t left = offset < limit ? limit - offset : 0;
		size_t step = left < len ? (size_t)left : len;
		size_t in_chunk = PH__CHUNK - (size_t)(offset % PH__CHUNK);
		if (left == 0) {
			memcpy(to, section->tail + section->skip + (offset - section->tail_at),
			       len);
			return PH_OK;
		}
		if (in_chunk == PH__CHUNK && step >= 2 * PH__CHUNK && section->skip == 0) {
			uint32_t count = step / PH__CHUNK < DIRECT_CHUNKS
			                         ? (uint32_t)(step / PH__CHUNK)
			                         : DIRECT_CHUNKS;
			step = (size_t)count * PH__CHUNK;
			status = read_chunks(section, offset / PH__CHUNK, count, to);
		} else {
			step = step < in_chunk ? step : in_chunk;
			status = read_part(section, offset, to, step);
		}
		to += step;
		offset += step;
		len -= step;
	}
	return status;
}

enum ph_status ph__section_check_page(struct ph__section *section, uint32_t page, uint8_t *buf)
{
	uint64_t block = ph__section_data_blocks(section) + page;
	enum ph_status status = move_blocks(section, block, 1, buf, NULL);
	if (status == PH_OK && ph_crc32(0, buf, PH__BLOCK) != section->crcs[page])
		status = PH_ERR_CORRUPT;
	return status;
}

enum ph_status ph__section_check_chunk(struct ph__section *section, uint64_t chunk, uint8_t *buf)
{
	return load_chunk(section, chunk, buf);
}
