/* SPDX-License-Identifier: MIT */
/*
 * Pages of a map: what is written is cut into pages, each with a checksum, and read back through a
 * small cache of them. The maker reads what it has written itself, so the page that is still being
 * filled is read where it is.
 */
#include "map_int.h"

#include <packhorse/hash.h>

#include <assert.h>

static enum ph_status write_page(struct ph__map_out *out)
{
	uint32_t crc = ph_crc32((uint32_t)out->page, out->data, out->used);
	enum ph_status status;

	index_put32(out->data + out->used, crc);
	status = out->sink->ops->append(out->sink, out->data, out->used + 4);
	out->used = 0;
	out->page++;
	return status;
}

enum ph_status ph__map_put(struct ph__map_out *out, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len > 0) {
		size_t step = MAP_PAGE_DATA - out->used;

		if (step > len) {
			step = len;
		}
		memcpy(out->data + out->used, from, step);
		out->used += step;
		out->size += step;
		from += step;
		len -= step;
		if (out->used == MAP_PAGE_DATA) {
			enum ph_status status = write_page(out);

			if (status != PH_OK) {
				return status;
			}
		}
	}
	return PH_OK;
}

enum ph_status ph__map_put32(struct ph__map_out *out, uint32_t value)
{
	uint8_t raw[4];

	index_put32(raw, value);
	return ph__map_put(out, raw, sizeof raw);
}

enum ph_status ph__map_put64(struct ph__map_out *out, uint64_t value)
{
	uint8_t raw[8];

	index_put64(raw, value);
	return ph__map_put(out, raw, sizeof raw);
}

enum ph_status ph__map_put_end(struct ph__map_out *out)
{
	return out->used > 0 ? write_page(out) : PH_OK;
}

void ph__map_pages_init(struct ph__map_pages *pages, const struct ph_bytes *bytes)
{
	uint64_t whole = bytes->size / MAP_PAGE_BYTES;
	uint64_t rest = bytes->size % MAP_PAGE_BYTES;

	pages->bytes = bytes;
	pages->tail = NULL;
	pages->size = whole * MAP_PAGE_DATA + (rest > 4 ? rest - 4 : 0);
	pages->turn = 0;
	memset(pages->slots, 0, sizeof pages->slots);
}

/* Reads a page into a slot and checks it. */
static enum ph_status load(struct ph__map_pages *pages, uint64_t page, size_t slot)
{
	uint64_t at = page * MAP_PAGE_BYTES;
	uint8_t *data = pages->data[slot];
	size_t len = MAP_PAGE_BYTES;
	enum ph_status status;

	if (pages->bytes->size - at < len) {
		len = (size_t)(pages->bytes->size - at);
	}
	pages->slots[slot].number = 0;
	status = pages->bytes->read(pages->bytes, at, data, len);
	if (status != PH_OK) {
		return status;
	}
	if (len < 4 || index_get32(data + len - 4) != ph_crc32((uint32_t)page, data, len - 4)) {
		return PH_ERR_CORRUPT;
	}
	pages->slots[slot].number = page + 1;
	return PH_OK;
}

/* The slot that has a page, or else the one that was not used for longest. */
static size_t slot_of(const struct ph__map_pages *pages, uint64_t page)
{
	size_t oldest = 0;

	for (size_t i = 0; i < MAP_CACHE_PAGES; i++) {
		if (pages->slots[i].number == page + 1) {
			return i;
		}
		if (pages->slots[i].turn < pages->slots[oldest].turn) {
			oldest = i;
		}
	}
	return oldest;
}

static enum ph_status page_data(struct ph__map_pages *pages, uint64_t page, const uint8_t **out)
{
	enum ph_status status = PH_OK;
	size_t slot;

	if (pages->tail != NULL && page == pages->tail->page) {
		*out = pages->tail->data;
		return PH_OK;
	}
	slot = slot_of(pages, page);
	if (pages->slots[slot].number != page + 1) {
		status = load(pages, page, slot);
	}
	pages->slots[slot].turn = ++pages->turn;
	*out = pages->data[slot];
	return status;
}

enum ph_status ph__map_get(struct ph__map_pages *pages, uint64_t at, void *to, size_t len)
{
	uint64_t size = pages->tail != NULL ? pages->tail->size : pages->size;
	uint8_t *out = to;

	if (at > size || len > size - at) {
		return PH_ERR_CORRUPT;
	}
	while (len > 0) {
		size_t skip = (size_t)(at % MAP_PAGE_DATA);
		size_t step = MAP_PAGE_DATA - skip;
		const uint8_t *data;
		enum ph_status status = page_data(pages, at / MAP_PAGE_DATA, &data);

		if (status != PH_OK) {
			return status;
		}
		if (step > len) {
			step = len;
		}
		memcpy(out, data + skip, step);
		out += step;
		at += step;
		len -= step;
	}
	return PH_OK;
}
