/* SPDX-License-Identifier: MIT */
/*
 * What a copy makes of the cells of the trees: settings go past the caller; packs and long values
 * get blocks in a row, and their records are made anew; all else stays as it is. A step is a cell,
 * or some blocks of what a cell names. A repository whose tree cannot be read is found out while
 * counting, and can then be left out as if it had never been.
 */
#include "disk_copy_int.h"

#include <inttypes.h>
#include <string.h>

/* ---- values ---- */

static void cell_release(struct ph__copy *copy)
{
	struct ph__copy_cell *cell = &copy->cell;
	ph_mem_free(copy->disk->alloc, cell->data);
	ph__pack_release(copy->disk, cell->pack);
	cell->data = NULL;
	cell->pack = NULL;
	cell->to = NULL;
}

/* The cell is whole: into its tree with it. */
static enum ph_status cell_done(struct ph__copy *copy)
{
	struct ph__copy_cell *at = &copy->cell;
	struct ph__cell cell = {.key = at->key,
	                        .key_len = at->key_len,
	                        .value = at->value,
	                        .value_len = at->value_len};
	struct ph__grown *to = at->to;
	cell_release(copy);
	return ph__grown_add(copy, to, &cell);
}

/* Takes a value over: into the leaf, or when it is long, first to blocks of its own. */
static enum ph_status set_value(struct ph__copy *copy, uint8_t *data, uint32_t len)
{
	struct ph__copy_cell *cell = &copy->cell;
	if (len < PH__VALUE_MAX) {
		cell->value[0] = PH__VALUE_INLINE;
		if (len)
			memcpy(cell->value + 1, data, len);
		cell->value_len = len + 1;
		ph_mem_free(copy->disk->alloc, data);
		return cell_done(copy);
	}
	struct ph__blob blob;
	uint32_t blocks = (len + PH__BLOCK - 1) / PH__BLOCK;
	memset(&blob, 0, sizeof(blob));
	blob.epoch = copy->pin.super.epoch;
	blob.len = len;
	blob.crc = ph_crc32(0, data, len);
	blob.count = 1;
	blob.extents[0] = (struct ph__extent){copy->next, blocks, blob.epoch};
	cell->value_len = ph__blob_encode(&blob, cell->value);
	cell->data = data;
	cell->blocks = blocks;
	cell->at = 0;
	return PH_OK;
}

static enum ph_status value_step(struct ph__copy *copy)
{
	struct ph__copy_cell *cell = &copy->cell;
	uint64_t left = cell->blocks - cell->at;
	uint32_t step = left < PH__COPY_BLOCKS ? (uint32_t)left : PH__COPY_BLOCKS;
	uint8_t *to = ph__copy_take(copy, step);
	if (to) {
		/* The blob is known by its length; what fills its last block up is 0. */
		uint32_t len = ph__get32(cell->value + 1);
		size_t from = (size_t)cell->at * PH__BLOCK, bytes = (size_t)step * PH__BLOCK;
		size_t have = len - from < bytes ? len - from : bytes;
		memcpy(to, cell->data + from, have);
		memset(to + have, 0, bytes - have);
	}
	cell->at += step;
	return cell->at == cell->blocks ? cell_done(copy) : PH_OK;
}

/* ---- packs ---- */

/* Gives the block out that a section began and did not fill, padded with zeros. */
static void flush_part(struct ph__copy *copy)
{
	struct ph__copy_cell *cell = &copy->cell;
	if (cell->filled == 0)
		return;
	uint8_t *to = ph__copy_take(copy, 1);
	if (to) {
		memcpy(to, copy->part, cell->filled);
		memset(to + cell->filled, 0, PH__BLOCK - cell->filled);
	}
	cell->filled = 0;
}

/* Takes so many bytes behind those in part as the section's, and gives out what blocks are full. */
static void add_bytes(struct ph__copy *copy, uint64_t len)
{
	struct ph__copy_cell *cell = &copy->cell;
	uint64_t whole = (cell->filled + len) / PH__BLOCK;
	cell->filled = (uint32_t)((cell->filled + len) % PH__BLOCK);
	cell->at += len;
	if (!copy->giving) {
		copy->next += whole;
		return;
	}
	uint8_t *to = ph__copy_take(copy, (uint32_t)whole);
	memcpy(to, copy->part, (size_t)whole * PH__BLOCK);
	memmove(copy->part, copy->part + (size_t)whole * PH__BLOCK, cell->filled);
}

static enum ph_status pack_done(struct ph__copy *copy)
{
	struct ph__copy_cell *cell = &copy->cell;
	uint8_t *data;
	uint32_t len;
	flush_part(copy);
	enum ph_status status = ph__pack_encode(copy->disk, cell->pack, &data, &len);
	ph__pack_release(copy->disk, cell->pack);
	cell->pack = NULL;
	return status == PH_OK ? set_value(copy, data, len) : status;
}

/* A section that shared a block goes on sharing one, if there is one that it can go on in. */
static void section_begin(struct ph__copy *copy, const struct ph__section *section)
{
	struct ph__copy_cell *cell = &copy->cell;
	if (section->skip == 0 || section->bytes.size == 0)
		flush_part(copy);
	cell->skip = cell->filled;
	cell->start = copy->next;
	cell->at = 0;
	cell->begun = true;
}

/* The section is copied: from here on it is where the copy has it. */
static enum ph_status section_done(struct ph__copy *copy, struct ph__section *section)
{
	struct ph__copy_cell *cell = &copy->cell;
	uint64_t start = cell->start;
	enum ph_status status = PH_OK;
	section->skip = cell->skip;
	section->piece_count = 0;
	section->blocks = 0;
	uint64_t left = ph__section_data_blocks(section);
	if (section->paged)
		left += section->crc_count;
	while (left > 0 && status == PH_OK) {
		uint32_t step = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
		status = ph__section_add(section, (struct ph__extent){start, step, 0});
		start += step;
		left -= step;
	}
	cell->section++;
	cell->rotten = cell->begun = false;
	return status;
}

/* Damage is reported once a section. PH_OK to go on. */
static enum ph_status damaged(struct ph__copy *copy, const struct ph__section *section,
                              enum ph_status why)
{
	struct ph__copy_cell *cell = &copy->cell;
	if (why != PH_ERR_CORRUPT && why != PH_ERR_IO)
		return why;
	if (cell->rotten)
		return PH_OK;
	cell->rotten = true;
	return ph__copy_finding(copy, why,
	                        "pack %" PRIu64 ", section %" PRIu32 ", near byte %" PRIu64,
	                        cell->pack->id, section->type, cell->at);
}

/* Damage is copied as it is, so that it stays visible; what cannot be read is zeros. */
static enum ph_status read_damaged(struct ph__copy *copy, struct ph__section *section, uint32_t len,
                                   uint8_t *to)
{
	uint64_t from = section->skip + copy->cell.at;
	uint32_t before = (uint32_t)(from % PH__BLOCK);
	uint32_t blocks = (before + len + PH__BLOCK - 1) / PH__BLOCK;
	uint8_t *data = ph_mem_alloc(copy->disk->alloc, (size_t)blocks * PH__BLOCK);
	if (!data)
		return PH_ERR_NOMEM;
	if (ph__section_raw(section, from / PH__BLOCK, blocks, data) == PH_OK)
		memcpy(to, data + before, len);
	else
		memset(to, 0, len);
	ph_mem_free(copy->disk->alloc, data);
	return PH_OK;
}

static enum ph_status bytes_step(struct ph__copy *copy, struct ph__section *section)
{
	struct ph__copy_cell *cell = &copy->cell;
	uint64_t left = section->bytes.size - cell->at;
	uint32_t len =
	        left < PH__COPY_BLOCKS * PH__BLOCK ? (uint32_t)left : PH__COPY_BLOCKS * PH__BLOCK;
	uint8_t *to = copy->part + cell->filled;
	if (!copy->giving) {
		add_bytes(copy, left);
		return PH_OK;
	}
	enum ph_status status = ph__section_read(section, cell->at, to, len);
	if (status != PH_OK) {
		status = damaged(copy, section, status);
		if (status == PH_OK)
			status = read_damaged(copy, section, len, to);
	}
	if (status == PH_OK)
		add_bytes(copy, len);
	return status;
}

/* Checksums on pages, which stand behind the data. */
static enum ph_status page_step(struct ph__copy *copy, struct ph__section *section, uint64_t page)
{
	flush_part(copy);
	uint8_t *to = ph__copy_take(copy, 1);
	enum ph_status status = PH_OK;
	if (to) {
		uint64_t block = ph__section_data_blocks(section) + page;
		status = ph__section_raw(section, block, 1, to);
		if (status != PH_OK)
			memset(to, 0, PH__BLOCK);
		else if (ph_crc32(0, to, PH__BLOCK) != section->crcs[page])
			status = PH_ERR_CORRUPT;
		if (status != PH_OK)
			status = damaged(copy, section, status);
	}
	copy->cell.at++;
	return status;
}

static enum ph_status pack_step(struct ph__copy *copy)
{
	struct ph__copy_cell *cell = &copy->cell;
	while (cell->section <= PH_SECTION_MAX && !cell->pack->sections[cell->section])
		cell->section++;
	if (cell->section > PH_SECTION_MAX)
		return pack_done(copy);
	struct ph__section *section = cell->pack->sections[cell->section];
	/* Behind the bytes of the data, cell->at counts pages. */
	uint64_t size = section->bytes.size, pages = section->paged ? section->crc_count : 0;
	enum ph_status status = PH_OK;
	if (!cell->begun)
		section_begin(copy, section);
	if (cell->at < size)
		status = bytes_step(copy, section);
	else if (cell->at < size + pages)
		status = page_step(copy, section, cell->at - size);
	if (status == PH_OK && cell->at == size + pages)
		status = section_done(copy, section);
	return status;
}

/* ---- cells ---- */

/* Asks the caller what the setting is to be in the copy. */
static enum ph_status copy_setting(struct ph__copy *copy, uint8_t *data, uint32_t len)
{
	struct ph__copy_cell *cell = &copy->cell;
	char key[PH_SETTING_KEY_MAX + 1];
	size_t left = len;
	enum ph_status status = PH_OK;
	if (cell->key_len < 2 || cell->key_len - 1 > PH_SETTING_KEY_MAX) {
		status = PH_ERR_CORRUPT;
	} else if (copy->options.setting) {
		memcpy(key, cell->key + 1, cell->key_len - 1);
		key[cell->key_len - 1] = '\0';
		status = copy->options.setting(copy->options.user, copy->repo, key, data, &left);
	}
	if (status == PH_OK && left <= len)
		return set_value(copy, data, (uint32_t)left);
	ph_mem_free(copy->disk->alloc, data);
	cell_release(copy);
	return status == PH_ERR_NOT_FOUND ? PH_OK : status == PH_OK ? PH_ERR_INVALID : status;
}

static enum ph_status copy_pack(struct ph__copy *copy, const uint8_t *data, uint32_t len)
{
	struct ph__copy_cell *cell = &copy->cell;
	uint64_t id = cell->key_len == 9 ? ph__get64(cell->key + 1) : 0;
	if (id == 0 || id >= copy->record.next_pack)
		return PH_ERR_CORRUPT;
	cell->section = 0;
	cell->filled = 0;
	cell->begun = cell->rotten = false;
	return ph__pack_decode(&cell->pack, copy->disk, id, data, len);
}

/* Begins with a cell; it is done when copy->cell.to is NULL. */
static enum ph_status copy_cell(struct ph__copy *copy, struct ph__grown *to,
                                const struct ph__cell *from)
{
	struct ph__copy_cell *cell = &copy->cell;
	bool is_setting = from->key[0] == PH__KEY_SETTING;
	bool is_pack = copy->in_repo && from->key[0] == PH__KEY_PACK;
	uint8_t *data;
	uint32_t len;
	if (!is_setting && !is_pack && from->value[0] == PH__VALUE_INLINE)
		return ph__grown_add(copy, to, from);
	enum ph_status status =
	        ph__value_load(copy->disk, from->value, from->value_len, &data, &len);
	if (status != PH_OK)
		return status;
	cell->to = to;
	cell->key_len = from->key_len;
	memcpy(cell->key, from->key, from->key_len);
	if (is_setting)
		return copy_setting(copy, data, len);
	if (!is_pack)
		return set_value(copy, data, len);
	status = copy_pack(copy, data, len);
	ph_mem_free(copy->disk->alloc, data);
	return status;
}

/* ---- repositories ---- */

static enum ph_status repo_begin(struct ph__copy *copy, const struct ph__cell *cell)
{
	if (cell->key_len < 2 || cell->key_len - 1 > PH_REPO_NAME_MAX ||
	    memchr(cell->key + 1, 0, cell->key_len - 1))
		return PH_ERR_CORRUPT;
	enum ph_status status = ph__record_decode(&copy->record, cell->value, cell->value_len);
	if (status == PH_OK && copy->giving && copy->skipped_at < copy->skipped_count &&
	    copy->skipped[copy->skipped_at] == copy->record.tree.owner) {
		copy->skipped_at++;
		return PH_OK;
	}
	if (status == PH_OK)
		status = ph__cursor_init(&copy->cells, copy->disk, NULL, &copy->record.tree);
	if (status != PH_OK)
		return status;
	memcpy(copy->repo, cell->key + 1, cell->key_len - 1);
	copy->repo[cell->key_len - 1] = '\0';
	copy->in_repo = true;
	copy->repo_at = copy->next;
	ph__grown_start(&copy->tree, copy->record.tree.owner);
	/* To the first of all keys. */
	return ph__cursor_seek(&copy->cells, "", 0);
}

static void repo_leave(struct ph__copy *copy)
{
	ph__cursor_release(&copy->cells);
	cell_release(copy);
	copy->in_repo = false;
	copy->repo[0] = '\0';
}

static enum ph_status repo_end(struct ph__copy *copy)
{
	uint8_t key[PH__KEY_MAX], value[PH__RECORD_BYTES];
	struct ph__cell cell = {.key = key, .value = value, .value_len = PH__RECORD_BYTES};
	enum ph_status status = ph__grown_end(copy, &copy->tree, &copy->record.tree);
	if (status != PH_OK)
		return status;
	cell.key_len = ph__key_name(key, PH__KEY_REPO, copy->repo);
	ph__record_encode(&copy->record, value);
	repo_leave(copy);
	return ph__grown_add(copy, &copy->catalogue, &cell);
}

static enum ph_status repo_step(struct ph__copy *copy)
{
	struct ph__cell cell;
	enum ph_status status = ph__cursor_next(&copy->cells, &cell);
	if (status == PH_END)
		return repo_end(copy);
	return status == PH_OK ? copy_cell(copy, &copy->tree, &cell) : status;
}

/* What was counted of a repository is not: the copy does not have it. */
static enum ph_status repo_skip(struct ph__copy *copy, enum ph_status why)
{
	enum ph_status status = ph__copy_finding(copy, why, "its tree cannot be read");
	uint32_t room = copy->skipped_room ? 2 * copy->skipped_room : 8;
	if (status != PH_OK)
		return status;
	if (copy->skipped_count == copy->skipped_room) {
		void *more = ph_mem_resize(copy->disk->alloc, copy->skipped, room,
		                           sizeof(*copy->skipped));
		if (!more)
			return PH_ERR_NOMEM;
		copy->skipped = more;
		copy->skipped_room = room;
	}
	copy->skipped[copy->skipped_count++] = copy->record.tree.owner;
	copy->next = copy->repo_at;
	repo_leave(copy);
	return PH_OK;
}

/* A setting of the store is left out, and is told of while counting. */
static enum ph_status setting_skip(struct ph__copy *copy, const struct ph__cell *cell,
                                   enum ph_status why)
{
	if (copy->giving)
		return copy->options.keep_going ? PH_OK : why;
	return ph__copy_finding(copy, why, "setting %.*s", (int)cell->key_len - 1, cell->key + 1);
}

static enum ph_status catalogue_step(struct ph__copy *copy)
{
	struct ph__cell cell;
	enum ph_status status = ph__cursor_next(&copy->names, &cell);
	bool is_setting = status == PH_OK && cell.key[0] != PH__KEY_REPO;
	if (is_setting)
		status = copy_cell(copy, &copy->catalogue, &cell);
	else if (status == PH_OK)
		status = repo_begin(copy, &cell);
	if (copy->in_repo || (status != PH_ERR_CORRUPT && status != PH_ERR_IO))
		return status;
	if (is_setting)
		return setting_skip(copy, &cell, status);
	/* Which repositories there are is not known any more, so there is no going on. */
	(void)ph__copy_finding(copy, status, "the catalogue of repositories");
	return status;
}

enum ph_status ph__copy_data(struct ph__copy *copy)
{
	enum ph_status status;
	if (copy->cell.data)
		status = value_step(copy);
	else if (copy->cell.pack)
		status = pack_step(copy);
	else if (copy->in_repo)
		status = repo_step(copy);
	else
		status = catalogue_step(copy);
	if (copy->in_repo && !copy->giving && (status == PH_ERR_CORRUPT || status == PH_ERR_IO))
		status = repo_skip(copy, status);
	return status;
}
