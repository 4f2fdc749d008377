/* SPDX-License-Identifier: MIT */
/*
 * The check of a pack: every chunk of every section is read and held against its checksum. Damage
 * to the run is put into ids by the index: objects whose entries touch a damaged chunk are hit, and
 * so are those that are deltas on them, which a pass over the entries' headers tells. An index says
 * nothing that the run does not, so damage to it alone loses nothing.
 */
#include "disk_scrub_int.h"

#include <inttypes.h>
#include <packhorse/reader.h>
#include <stdio.h>
#include <string.h>

/* Entries looked at in one go, and passes: a base may come behind its delta, seldom far. */
#define ENTRIES_STEP 256u
#define ROUNDS_MAX 16u
#define WHAT_BYTES 128u
#define CHUNKS_PER_PAGE PH__CRC_PER_PAGE

static const char *section_name(uint32_t section)
{
	if (section == PH_SECTION_RUN)
		return "its objects";
	return section == PH_SECTION_INDEX ? "its index" : "an auxiliary section";
}

static const char *section_advice(uint32_t section)
{
	if (section == PH_SECTION_RUN)
		return "push these objects again to a new repository, or restore a backup";
	if (section == PH_SECTION_INDEX)
		return "no object is lost, but the repository cannot be used; delete it and push "
		       "it again, or restore a backup";
	return "nothing is lost, maintenance makes it again";
}

/* ---- the pack at work ---- */

void ph__scrub_pack_leave(struct ph__scrub *scrub)
{
	struct ph__scrub_pack *at = &scrub->pack;
	ph__pack_release(scrub->disk, at->pack);
	ph_mem_free(scrub->disk->alloc, at->hit);
	memset(at, 0, sizeof(*at));
}

/* Decodes a record into the pack at work, in the place of what it had. */
static enum ph_status decode(struct ph__scrub *scrub, uint64_t id, const uint8_t *data,
                             uint32_t len)
{
	struct ph__scrub_pack *at = &scrub->pack;
	struct ph__pack *pack;
	enum ph_status status = ph__pack_decode(&pack, scrub->disk, id, data, len);
	if (status != PH_OK)
		return status;
	ph__pack_release(scrub->disk, at->pack);
	at->pack = pack;
	at->renewed = at->id == id;
	at->id = id;
	at->index = ph__pack_index(pack, scrub->record.algo);
	if (at->index == PH_ERR_NOMEM)
		return PH_ERR_NOMEM;
	at->set_packs[0] = &pack->pack;
	ph_pack_set_init(&at->set, scrub->record.algo, scrub->disk->unpack, at->set_packs, 1);
	return PH_OK;
}

static enum ph_status claim_section(struct ph__scrub *scrub, const struct ph__section *section)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < section->piece_count && status == PH_OK; i++) {
		struct ph__extent extent = ph__pack_extent(scrub->pack.pack, section, i);
		status = ph__scrub_claim(scrub, extent, "a section");
	}
	return status;
}

enum ph_status ph__scrub_pack_begin(struct ph__scrub *scrub, const struct ph__cell *cell)
{
	uint64_t id = cell->key_len == 9 ? ph__get64(cell->key + 1) : 0;
	uint8_t *data;
	uint32_t len;
	if (id == 0 || id >= scrub->record.next_pack)
		return PH_ERR_CORRUPT;
	enum ph_status status = ph__scrub_value(scrub, cell, "a pack's record", &data, &len);
	if (status != PH_OK)
		return status;
	status = decode(scrub, id, data, len);
	ph_mem_free(scrub->disk->alloc, data);
	if (status != PH_OK) {
		ph__scrub_pack_leave(scrub);
		return status;
	}
	for (uint32_t i = 0; i <= PH_SECTION_MAX && status == PH_OK; i++)
		if (scrub->pack.pack->sections[i])
			status = claim_section(scrub, scrub->pack.pack->sections[i]);
	return status;
}

enum ph_status ph__scrub_pack_again(struct ph__scrub *scrub)
{
	struct ph__disk *disk = scrub->disk;
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint8_t *data = NULL;
	uint32_t len, value_len;
	uint64_t id = scrub->pack.id;
	enum ph_status status =
	        ph__tree_get(disk, NULL, &scrub->record.tree, key,
	                     ph__key_number(key, PH__KEY_PACK, id), value, &value_len);
	if (status == PH_OK)
		status = ph__value_load(disk, value, value_len, &data, &len);
	if (status == PH_OK)
		status = decode(scrub, id, data, len);
	ph_mem_free(disk->alloc, data);
	/* It was joined with others, or the walk will find what is wrong. */
	if (status != PH_OK)
		ph__scrub_pack_leave(scrub);
	return status == PH_ERR_NOMEM ? status : PH_OK;
}

/* ---- objects that are hit ---- */

static bool is_hit(const struct ph__scrub_pack *at, uint32_t pos)
{
	return at->hit[pos / 64] >> (pos % 64) & 1;
}

static void set_hit(struct ph__scrub_pack *at, uint32_t pos)
{
	at->hits += !is_hit(at, pos);
	at->hit[pos / 64] |= (uint64_t)1 << (pos % 64);
}

/* The entry that has this byte of the run. */
static enum ph_status entry_of(const struct ph_index *index, uint64_t offset, uint32_t *pos)
{
	uint32_t low = 0, high = index->entries;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		struct ph_entry entry;
		enum ph_status status = ph_index_entry(index, middle, &entry);
		if (status != PH_OK)
			return status;
		if (entry.offset <= offset)
			low = middle;
		else
			high = middle;
	}
	*pos = low;
	return index->entries ? PH_OK : PH_ERR_CORRUPT;
}

/* Fills in the objects with bytes in a part of the run. */
static enum ph_status hit_range(struct ph__scrub *scrub, uint64_t from, uint64_t to,
                                struct ph_finding *finding)
{
	struct ph__scrub_pack *at = &scrub->pack;
	const struct ph_index *index = &at->pack->pack.index;
	uint32_t pos = 0;
	if (at->index != PH_OK)
		return at->index;
	if (!at->hit)
		at->hit = ph_mem_zalloc(scrub->disk->alloc, index->entries / 64 + 1u, 8);
	if (!at->hit)
		return PH_ERR_NOMEM;
	enum ph_status status = entry_of(index, from, &pos);
	for (; status == PH_OK && pos < index->entries; pos++) {
		struct ph_entry entry;
		status = ph_index_entry(index, pos, &entry);
		if (status != PH_OK || entry.offset >= to)
			break;
		set_hit(at, pos);
		finding->objects++;
		if (finding->oid_count < PH_FINDING_OIDS)
			finding->oids[finding->oid_count++] = entry.oid;
	}
	return status;
}

/* Bytes of a section that cannot be read, told of with what they hit. */
static enum ph_status range_found(struct ph__scrub *scrub, uint64_t from, uint64_t to,
                                  enum ph_status status, const char *of)
{
	struct ph__scrub_pack *at = &scrub->pack;
	char what[WHAT_BYTES];
	if (ph__scrub_mute(scrub, status))
		return status;
	uint64_t id = at->id;
	enum ph_status fresh = ph__scrub_refresh(scrub);
	/* The tree is another: the same chunk is read again if the pack is still there. */
	if (fresh != PH_OK || at->id != id || at->renewed) {
		at->renewed = false;
		return fresh == PH_OK ? PH_AGAIN : fresh;
	}
	snprintf(what, sizeof(what), "pack %" PRIu64 ", %s%s at %" PRIu64 " to %" PRIu64, id, of,
	         section_name(at->section), from, to - 1);
	struct ph_finding finding = {.part = PH_FINDING_PACK,
	                             .status = status,
	                             .what = what,
	                             .advice = section_advice(at->section),
	                             .pack = id,
	                             .section = at->section};
	if (at->section == PH_SECTION_INDEX)
		at->index_told = true;
	if (at->section == PH_SECTION_RUN && !scrub->first) {
		enum ph_status told = hit_range(scrub, from, to, &finding);
		if (told != PH_OK)
			finding.advice = "which objects cannot be told: its index is damaged, too; "
			                 "restore a backup";
	}
	return ph__scrub_tell(scrub, &finding);
}

/* ---- deltas on them ---- */

static enum ph_status look_at_base(struct ph__scrub *scrub, uint32_t pos)
{
	struct ph__scrub_pack *at = &scrub->pack;
	const struct ph_source *source = &at->set.source;
	struct ph_entry entry;
	struct ph_entry_header header;
	struct ph_loc base = {0, 0};
	enum ph_status status = ph_index_entry(&at->pack->pack.index, pos, &entry);
	if (status != PH_OK || !entry.delta)
		return status;
	status = ph_entry_header_read(source, 0, entry.offset, &header);
	if (status == PH_OK && header.type == PH_OBJ_REF_DELTA)
		status = source->ops->find(source, &header.base, &base);
	else if (status == PH_OK)
		status = source->ops->at_offset(source, 0, header.base_offset, &base);
	if (status == PH_OK && is_hit(at, base.pos)) {
		set_hit(at, pos);
		at->deltas++;
		at->grew = true;
	}
	return status;
}

static enum ph_status tell_deltas(struct ph__scrub *scrub)
{
	struct ph__scrub_pack *at = &scrub->pack;
	char what[WHAT_BYTES];
	struct ph_finding finding = {.part = PH_FINDING_PACK,
	                             .status = PH_ERR_CORRUPT,
	                             .what = what,
	                             .advice = "",
	                             .pack = at->id,
	                             .section = PH_SECTION_RUN};
	snprintf(what, sizeof(what), "pack %" PRIu64 ", in all", at->id);
	finding.objects = at->hits - at->deltas;
	finding.deltas = at->deltas;
	return at->deltas ? ph__scrub_tell(scrub, &finding) : PH_OK;
}

/* Some more entries; PH_END when no more are reached. */
static enum ph_status spread(struct ph__scrub *scrub)
{
	struct ph__scrub_pack *at = &scrub->pack;
	uint32_t entries = at->pack->pack.index.entries;
	for (uint32_t i = 0; i < ENTRIES_STEP && at->entry < entries; i++, at->entry++) {
		enum ph_status status =
		        is_hit(at, at->entry) ? PH_OK : look_at_base(scrub, at->entry);
		if (status == PH_ERR_NOMEM)
			return status;
	}
	ph__scrub_spend(scrub, PH__CHUNK);
	if (at->entry < entries)
		return PH_OK;
	if (!at->grew || ++at->rounds == ROUNDS_MAX)
		return PH_END;
	at->entry = 0;
	at->grew = false;
	return PH_OK;
}

/* ---- sections ---- */

/* The checksums of the next chunks, where they have pages of their own. PH_END: they are bad. */
static enum ph_status check_page(struct ph__scrub *scrub, struct ph__section *section)
{
	struct ph__scrub_pack *at = &scrub->pack;
	uint64_t from = at->chunk * PH__CHUNK, size = section->bytes.size;
	uint64_t to = from + (uint64_t)CHUNKS_PER_PAGE * PH__CHUNK;
	if (!section->paged || at->chunk % CHUNKS_PER_PAGE != 0)
		return PH_OK;
	uint32_t page = (uint32_t)(at->chunk / CHUNKS_PER_PAGE);
	enum ph_status status = ph__section_check_page(section, page, scrub->buffer);
	ph__scrub_spend(scrub, PH__BLOCK);
	if (status == PH_OK)
		return PH_OK;
	status = range_found(scrub, from, to < size ? to : size, status, "checksums of ");
	if (status == PH_OK)
		at->chunk += CHUNKS_PER_PAGE;
	return status == PH_OK ? PH_END : status;
}

static enum ph_status check_chunk(struct ph__scrub *scrub, struct ph__section *section)
{
	struct ph__scrub_pack *at = &scrub->pack;
	uint64_t from = at->chunk * PH__CHUNK, size = section->bytes.size;
	uint64_t to = size - from < PH__CHUNK ? size : from + PH__CHUNK;
	enum ph_status status = check_page(scrub, section);
	if (status == PH_END)
		return PH_OK;
	if (status == PH_OK) {
		status = ph__section_check_chunk(section, at->chunk, scrub->buffer);
		ph__scrub_spend(scrub, to - from);
		if (status != PH_OK)
			status = range_found(scrub, from, to, status, "");
	}
	if (status == PH_OK)
		at->chunk++;
	return status == PH_AGAIN ? PH_OK : status;
}

/* All sections are read. */
static enum ph_status end_pack(struct ph__scrub *scrub)
{
	struct ph__scrub_pack *at = &scrub->pack;
	enum ph_status status = PH_OK;
	at->section = PH_SECTION_INDEX;
	if (at->index != PH_OK && !at->index_told && !ph__scrub_mute(scrub, at->index))
		status = ph__scrub_say(
		        scrub, PH_FINDING_PACK, at->index, section_advice(PH_SECTION_INDEX),
		        "pack %" PRIu64 ", its index is not one of its objects", at->id);
	else if (at->index == PH_ERR_IO && scrub->first)
		status = at->index;
	ph__scrub_pack_leave(scrub);
	return status;
}

enum ph_status ph__scrub_pack_step(struct ph__scrub *scrub)
{
	struct ph__scrub_pack *at = &scrub->pack;
	at->renewed = false;
	while (at->section <= PH_SECTION_MAX) {
		struct ph__section *section = at->pack->sections[at->section];
		if (section && section->epoch >= scrub->min_epoch &&
		    at->chunk < (section->bytes.size + PH__CHUNK - 1) / PH__CHUNK)
			return check_chunk(scrub, section);
		at->section++;
		at->chunk = 0;
	}
	enum ph_status status = at->hit ? spread(scrub) : PH_END;
	if (status != PH_END)
		return status;
	status = at->hit ? tell_deltas(scrub) : PH_OK;
	return status == PH_OK ? end_pack(scrub) : status;
}
