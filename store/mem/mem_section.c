/* SPDX-License-Identifier: MIT */
/*
 * Sections of packs in memory: chunks that are never moved, so that a large push is copied once and
 * a small one wastes little. Chunk 0 has 1 KiB, each further one is as large as all before it until
 * they have 1 MiB, so the chunk of an offset is computed, not searched. Every byte is charged to
 * the store's bytes_max while it exists.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

#define CHUNK_MIN_BITS 10u
#define CHUNK_MAX_BITS 20u
/* Number of the first chunk of the full size. */
#define CHUNK_FULL (CHUNK_MAX_BITS - CHUNK_MIN_BITS + 1)

struct place {
	uint32_t chunk;
	size_t at;   /* in the chunk */
	size_t left; /* to its end */
};

static struct place locate(uint64_t offset)
{
	struct place place = {0, 0, 0};
	uint64_t start = 0, size = (uint64_t)1 << CHUNK_MIN_BITS;
	if (offset >> CHUNK_MAX_BITS) {
		start = offset >> CHUNK_MAX_BITS << CHUNK_MAX_BITS;
		size = (uint64_t)1 << CHUNK_MAX_BITS;
		place.chunk = (uint32_t)(CHUNK_FULL - 1 + (offset >> CHUNK_MAX_BITS));
	} else {
		while (offset >= start + size) {
			start += size;
			if (place.chunk > 0)
				size *= 2;
			place.chunk++;
		}
	}
	place.at = (size_t)(offset - start);
	place.left = (size_t)(size - (offset - start));
	return place;
}

static enum ph_status read_bytes(const struct ph_bytes *bytes, uint64_t offset, void *buf,
                                 size_t len)
{
	const struct mem_section *section = (const struct mem_section *)bytes;
	assert(offset <= bytes->size);
	assert(len <= bytes->size - offset);
	uint8_t *out = buf;
	while (len > 0) {
		struct place place = locate(offset);
		size_t part = len < place.left ? len : place.left;
		memcpy(out, section->chunk[place.chunk] + place.at, part);
		out += part;
		offset += part;
		len -= part;
	}
	return PH_OK;
}

struct mem_section *ph__mem_section_new(struct mem_store *store)
{
	struct mem_section *section = ph_mem_zalloc(store->alloc, 1, sizeof(*section));
	if (!section)
		return NULL;
	section->bytes.read = read_bytes;
	mem_count_init(&section->count);
	section->store = store;
	return section;
}

void ph__mem_section_release(struct mem_section *section)
{
	if (!section || !mem_release(&section->count))
		return;
	struct mem_store *store = section->store;
	for (uint32_t i = 0; i < section->chunks; i++)
		ph_mem_free(store->alloc, section->chunk[i]);
	ph_mem_free(store->alloc, section->chunk);
	atomic_fetch_sub_explicit(&store->bytes, section->charged, memory_order_relaxed);
	ph_mem_free(store->alloc, section);
}

static enum ph_status charge(struct mem_section *section, size_t len)
{
	struct mem_store *store = section->store;
	uint64_t had = atomic_load_explicit(&store->bytes, memory_order_relaxed);
	do {
		if (store->bytes_max > 0 &&
		    (had > store->bytes_max || len > store->bytes_max - had))
			return PH_ERR_FULL;
	} while (!atomic_compare_exchange_weak_explicit(
	        &store->bytes, &had, had + len, memory_order_relaxed, memory_order_relaxed));
	section->charged += len;
	return PH_OK;
}

static enum ph_status add_chunk(struct mem_section *section, size_t size)
{
	const struct ph_alloc *alloc = section->store->alloc;
	if (section->chunks == section->room) {
		uint32_t room = section->room ? 2 * section->room : 4;
		void *bigger = ph_mem_resize(alloc, section->chunk, room, sizeof(*section->chunk));
		if (!bigger)
			return PH_ERR_NOMEM;
		section->chunk = bigger;
		section->room = room;
	}
	uint8_t *chunk = ph_mem_alloc(alloc, size);
	if (!chunk)
		return PH_ERR_NOMEM;
	section->chunk[section->chunks++] = chunk;
	return PH_OK;
}

enum ph_status ph__mem_section_append(struct mem_section *section, const void *data, size_t len)
{
	if ((section->bytes.size + len) >> CHUNK_MAX_BITS > UINT32_MAX / 4)
		return PH_ERR_LIMIT;
	enum ph_status status = charge(section, len);
	const uint8_t *in = data;
	while (status == PH_OK && len > 0) {
		struct place place = locate(section->bytes.size);
		if (place.chunk == section->chunks) {
			assert(place.at == 0);
			status = add_chunk(section, place.left);
			if (status != PH_OK)
				break;
		}
		size_t part = len < place.left ? len : place.left;
		memcpy(section->chunk[place.chunk] + place.at, in, part);
		in += part;
		section->bytes.size += part;
		len -= part;
	}
	return status;
}

void ph__mem_section_seal(struct mem_section *section)
{
	const struct ph_alloc *alloc = section->store->alloc;
	if (section->chunks == 0)
		return;
	/* When memory cannot be given back, it stays. */
	struct place last = locate(section->bytes.size - 1);
	void *smaller = ph_mem_resize(alloc, section->chunk[last.chunk], last.at + 1, 1);
	if (smaller)
		section->chunk[last.chunk] = smaller;
	smaller = ph_mem_resize(alloc, section->chunk, section->chunks, sizeof(*section->chunk));
	if (smaller) {
		section->chunk = smaller;
		section->room = section->chunks;
	}
}

static enum ph_status sink_append(struct ph_sink *base, const void *data, size_t len)
{
	struct mem_sink *sink = (struct mem_sink *)base;
	if (sink->status != PH_OK)
		return sink->status;
	if (sink->sealed)
		return PH_ERR_INVALID;
	sink->status = ph__mem_section_append(sink->section, data, len);
	base->size = sink->section->bytes.size;
	return sink->status;
}

static enum ph_status sink_read(struct ph_sink *base, uint64_t offset, void *buf, size_t len)
{
	struct mem_sink *sink = (struct mem_sink *)base;
	if (!sink->section)
		return PH_ERR_INVALID;
	return read_bytes(&sink->section->bytes, offset, buf, len);
}

static void sink_abort(struct ph_sink *base)
{
	struct mem_sink *sink = (struct mem_sink *)base;
	ph__mem_section_release(sink->section);
	sink->section = NULL;
	sink->status = PH_ERR_INVALID;
	base->size = 0;
}

struct mem_sink *ph__mem_sink_new(struct mem_store *store)
{
	static const struct ph_sink_ops ops = {sink_append, sink_read, sink_abort};
	struct mem_sink *sink = ph_mem_zalloc(store->alloc, 1, sizeof(*sink));
	if (!sink)
		return NULL;
	sink->section = ph__mem_section_new(store);
	if (!sink->section) {
		ph_mem_free(store->alloc, sink);
		return NULL;
	}
	sink->sink.ops = &ops;
	sink->status = PH_OK;
	return sink;
}

void ph__mem_sink_free(const struct ph_alloc *alloc, struct mem_sink *sink)
{
	if (!sink)
		return;
	ph__mem_section_release(sink->section);
	ph_mem_free(alloc, sink);
}

struct mem_section *ph__mem_sink_take(struct mem_sink *sink)
{
	if (!sink || sink->status != PH_OK)
		return NULL;
	if (!sink->sealed)
		ph__mem_section_seal(sink->section);
	sink->sealed = true;
	mem_retain(&sink->section->count);
	return sink->section;
}

struct mem_pack *ph__mem_pack_new(const struct ph_alloc *alloc, const struct mem_pack *like)
{
	struct mem_pack *pack = ph_mem_zalloc(alloc, 1, sizeof(*pack));
	if (!pack)
		return NULL;
	mem_count_init(&pack->count);
	pack->alloc = alloc;
	if (like) {
		pack->id = like->id;
		pack->pack = like->pack;
		for (uint32_t i = 0; i <= PH_SECTION_MAX; i++) {
			pack->section[i] = like->section[i];
			if (pack->section[i])
				mem_retain(&pack->section[i]->count);
		}
	}
	return pack;
}

void ph__mem_pack_release(struct mem_pack *pack)
{
	if (!pack || !mem_release(&pack->count))
		return;
	for (uint32_t i = 0; i <= PH_SECTION_MAX; i++)
		ph__mem_section_release(pack->section[i]);
	ph_mem_free(pack->alloc, pack);
}
