/* SPDX-License-Identifier: MIT */
/*
 * Packs in memory, shared by all generations that have them, and their records: for every section
 * where its blocks are and their checksums.
 *
 *   record   u16 sections, then for each: u8 type, u8 paged, u16 skip, u32 extents, u32 checksums,
 *            u64 bytes, u64 epoch, extents { u64 block, u32 count }, checksums u32
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

#define SECTION_HEADER 28u
#define EXTENT_BYTES 12u

enum ph_status ph__pack_new(struct ph__pack **out, struct ph__disk *disk)
{
	struct ph__pack *pack = ph_mem_zalloc(disk->alloc, 1, sizeof(*pack));
	if (!pack)
		return PH_ERR_NOMEM;
	atomic_init(&pack->refs, 1);
	*out = pack;
	return PH_OK;
}

void ph__pack_retain(struct ph__pack *pack)
{
	atomic_fetch_add(&pack->refs, 1);
}

void ph__pack_release(struct ph__disk *disk, struct ph__pack *pack)
{
	if (!pack || atomic_fetch_sub(&pack->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++)
		ph__section_release(pack->sections[i]);
	ph_mem_free(disk->alloc, pack);
}

enum ph_status ph__pack_index(struct ph__pack *pack, enum ph_hash_algo algo)
{
	const struct ph__section *run = pack->sections[PH_SECTION_RUN];
	const struct ph__section *index = pack->sections[PH_SECTION_INDEX];
	if (!run || !index)
		return PH_ERR_CORRUPT;
	pack->pack.run = &run->bytes;
	enum ph_status status = ph_index_init(&pack->pack.index, &index->bytes, algo);
	if (status == PH_OK && pack->pack.index.run_bytes != run->bytes.size)
		status = PH_ERR_CORRUPT;
	return status;
}

enum ph_status ph__pack_with(struct ph__pack **out, struct ph__disk *disk,
                             const struct ph__pack *pack, struct ph__section *section)
{
	struct ph__pack *copy;
	enum ph_status status = ph__pack_new(&copy, disk);
	if (status != PH_OK)
		return status;
	copy->pack = pack->pack;
	copy->id = pack->id;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++) {
		copy->sections[i] = i == section->type ? section : pack->sections[i];
		if (copy->sections[i])
			ph__section_retain(copy->sections[i]);
	}
	*out = copy;
	return PH_OK;
}

/* ---- records ---- */

static size_t section_bytes(const struct ph__section *section)
{
	return SECTION_HEADER + (size_t)section->piece_count * EXTENT_BYTES +
	       (size_t)section->crc_count * 4;
}

static uint8_t *encode_section(const struct ph__section *section, uint8_t *to)
{
	to[0] = (uint8_t)section->type;
	to[1] = section->paged;
	ph__put16(to + 2, section->skip);
	ph__put32(to + 4, section->piece_count);
	ph__put32(to + 8, section->crc_count);
	ph__put64(to + 12, section->bytes.size);
	ph__put64(to + 20, section->epoch);
	to += SECTION_HEADER;
	for (uint32_t i = 0; i < section->piece_count; i++) {
		ph__put64(to, section->pieces[i].start);
		ph__put32(to + 8, section->pieces[i].count);
		to += EXTENT_BYTES;
	}
	for (uint32_t i = 0; i < section->crc_count; i++) {
		ph__put32(to, section->crcs[i]);
		to += 4;
	}
	return to;
}

enum ph_status ph__pack_encode(struct ph__disk *disk, const struct ph__pack *pack, uint8_t **out,
                               uint32_t *len)
{
	size_t bytes = 2;
	uint32_t sections = 0;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++) {
		if (!pack->sections[i])
			continue;
		bytes += section_bytes(pack->sections[i]);
		sections++;
	}
	if (bytes > PH__BLOB_MAX)
		return PH_ERR_LIMIT;
	uint8_t *record = ph_mem_alloc(disk->alloc, bytes);
	if (!record)
		return PH_ERR_NOMEM;
	ph__put16(record, sections);
	uint8_t *to = record + 2;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++)
		if (pack->sections[i])
			to = encode_section(pack->sections[i], to);
	assert(to == record + bytes);
	*out = record;
	*len = (uint32_t)bytes;
	return PH_OK;
}

/* Whether the numbers of a section agree with each other. */
static bool shape_valid(const struct ph__section *section)
{
	uint64_t size = section->bytes.size;
	if (section->skip >= PH__BLOCK || (section->skip > 0 && size == 0) ||
	    size > UINT64_MAX - PH__BLOCK)
		return false;
	uint64_t chunks = size / PH__CHUNK + (size % PH__CHUNK != 0);
	uint64_t pages = chunks / PH__CRC_PER_PAGE + (chunks % PH__CRC_PER_PAGE != 0);
	uint64_t blocks = ph__section_data_blocks(section) + (section->paged ? pages : 0);
	return section->blocks == blocks && section->crc_count == (section->paged ? pages : chunks);
}

static enum ph_status decode_pieces(struct ph__section *section, const uint8_t *from,
                                    uint32_t count)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		struct ph__extent extent = {ph__get64(from), ph__get32(from + 8), 0};
		from += EXTENT_BYTES;
		status = ph__extent_valid(section->disk, extent) ? ph__section_add(section, extent)
		                                                 : PH_ERR_CORRUPT;
	}
	return status;
}

static enum ph_status decode_section(struct ph__pack *pack, struct ph__disk *disk,
                                     const uint8_t **data, uint32_t *len)
{
	const uint8_t *from = *data;
	if (*len < SECTION_HEADER)
		return PH_ERR_CORRUPT;
	uint32_t pieces = ph__get32(from + 4), crcs = ph__get32(from + 8);
	uint64_t rest = (uint64_t)pieces * EXTENT_BYTES + (uint64_t)crcs * 4;
	if (from[0] == 0 || from[0] > PH_SECTION_MAX || from[0] == PH_SECTION_SCRATCH ||
	    from[1] > 1 || pack->sections[from[0]] || rest > *len - SECTION_HEADER)
		return PH_ERR_CORRUPT;
	struct ph__section *section;
	enum ph_status status = ph__section_new(&section, disk, from[0]);
	if (status != PH_OK)
		return status;
	pack->sections[from[0]] = section;
	section->paged = from[1] == 1;
	section->skip = ph__get16(from + 2);
	section->bytes.size = ph__get64(from + 12);
	section->epoch = ph__get64(from + 20);
	from += SECTION_HEADER;
	status = decode_pieces(section, from, pieces);
	from += (size_t)pieces * EXTENT_BYTES;
	if (status == PH_OK && crcs > 0) {
		section->crcs = ph_mem_zalloc(disk->alloc, crcs, sizeof(*section->crcs));
		if (!section->crcs)
			return PH_ERR_NOMEM;
		section->crc_count = section->crc_room = crcs;
		for (uint32_t i = 0; i < crcs; i++)
			section->crcs[i] = ph__get32(from + 4 * (size_t)i);
	}
	*data += SECTION_HEADER + rest;
	*len -= (uint32_t)(SECTION_HEADER + rest);
	return status == PH_OK && !shape_valid(section) ? PH_ERR_CORRUPT : status;
}

enum ph_status ph__pack_decode(struct ph__pack **out, struct ph__disk *disk, uint64_t id,
                               const uint8_t *data, uint32_t len)
{
	struct ph__pack *pack;
	if (len < 2)
		return PH_ERR_CORRUPT;
	enum ph_status status = ph__pack_new(&pack, disk);
	if (status != PH_OK)
		return status;
	pack->id = id;
	uint32_t sections = ph__get16(data);
	data += 2;
	len -= 2;
	for (uint32_t i = 0; i < sections && status == PH_OK; i++)
		status = decode_section(pack, disk, &data, &len);
	if (status == PH_OK && len != 0)
		status = PH_ERR_CORRUPT;
	if (status != PH_OK) {
		ph__pack_release(disk, pack);
		return status;
	}
	*out = pack;
	return PH_OK;
}

/* ---- blocks ---- */

struct ph__section *ph__pack_before(const struct ph__pack *pack, uint32_t type)
{
	while (type > 0)
		if (pack->sections[--type])
			return pack->sections[type];
	return NULL;
}

static uint64_t first_block(const struct ph__section *section)
{
	return section->piece_count > 0 ? section->pieces[0].start : 0;
}

static uint64_t last_block(const struct ph__section *section)
{
	const struct ph__piece *last = section->pieces + section->piece_count;
	return section->piece_count > 0 ? last[-1].start + last[-1].count - 1 : 0;
}

/* Whether a section begins in the last block of one before it. */
static bool shares_first(const struct ph__pack *pack, const struct ph__section *section)
{
	for (uint32_t i = 0; section->skip > 0 && i < section->type; i++)
		if (pack->sections[i] && last_block(pack->sections[i]) == first_block(section))
			return true;
	return false;
}

/* Whether one behind it begins in its last block. */
static bool shares_last(const struct ph__pack *pack, const struct ph__section *section)
{
	for (uint32_t i = section->type + 1; i <= PH_SECTION_MAX; i++)
		if (pack->sections[i] && pack->sections[i]->skip > 0 &&
		    first_block(pack->sections[i]) == last_block(section))
			return true;
	return false;
}

struct ph__extent ph__pack_extent(const struct ph__pack *pack, const struct ph__section *section,
                                  uint32_t i)
{
	struct ph__extent extent = {section->pieces[i].start, section->pieces[i].count,
	                            section->epoch};
	if (i == 0 && shares_first(pack, section)) {
		extent.start++;
		extent.count--;
	}
	return extent;
}

enum ph_status ph__pack_extents(struct ph__disk *disk, const struct ph__pack *pack,
                                struct ph__extents *out)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++) {
		const struct ph__section *section = pack->sections[i];
		for (uint32_t k = 0; section && k < section->piece_count && status == PH_OK; k++) {
			struct ph__extent extent = ph__pack_extent(pack, section, k);
			if (extent.count > 0)
				status = ph__extents_add(disk->alloc, out, extent);
		}
	}
	return status;
}

enum ph_status ph__pack_own_extents(struct ph__disk *disk, const struct ph__pack *pack,
                                    const struct ph__section *section, struct ph__extents *out)
{
	bool shared = shares_last(pack, section);
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < section->piece_count && status == PH_OK; i++) {
		struct ph__extent extent = ph__pack_extent(pack, section, i);
		if (shared && i + 1 == section->piece_count && extent.count > 0)
			extent.count--;
		if (extent.count > 0)
			status = ph__extents_add(disk->alloc, out, extent);
	}
	return status;
}
