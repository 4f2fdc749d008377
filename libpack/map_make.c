/* SPDX-License-Identifier: MIT */
/*
 * Makes a map: its interface, the first phase and the last ones. The phases are listed in
 * map_make_int.h; each stops anywhere, since a history may be of any size and the maker runs beside
 * sessions that wait.
 */
#include "map_make_int.h"

#include <assert.h>

/* Budget for the types of a block of entries: each is a small read of the index. */
#define BLOCK_UNITS (MAP_BLOCK_BITS / 16u)

enum ph_status ph__map_list_push(struct ph__map_list *list, const struct ph_alloc *alloc,
                                 uint32_t item)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
		uint32_t *items = ph_mem_resize(alloc, list->items, capacity, sizeof *items);

		if (items == NULL) {
			return PH_ERR_NOMEM;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = item;
	return PH_OK;
}

enum ph_status ph__map_find(const struct ph_map_maker *maker, const struct ph_oid *oid,
                            enum ph_object_type type, uint32_t *pos, uint32_t *budget)
{
	enum ph_status status = ph_source_find_in(maker->source, maker->pack, oid, pos);

	ph_budget_spend(budget, 1);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_ERR_MISSING : status;
	}
	if (*pos >= maker->entries || !ph__map_bit(maker->types[type - PH_OBJ_COMMIT], *pos)) {
		return PH_ERR_CORRUPT;
	}
	return PH_OK;
}

enum ph_status ph__map_read(struct ph_map_maker *maker, uint32_t pos, enum ph_object_type type,
                            struct ph_object *out, uint32_t *budget)
{
	struct ph_loc loc = {.pack = maker->pack, .pos = pos};
	enum ph_status status =
	        ph_reader_read(maker->reader, loc, maker->limits->metadata_bytes_max, out);

	ph_budget_spend(budget, 1);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND || status == PH_ERR_INVALID ? PH_ERR_CORRUPT
		                                                              : status;
	}
	if (out->type != type) {
		ph_object_release(maker->reader, out);
		return PH_ERR_CORRUPT;
	}
	ph_budget_spend_bytes(budget, out->size);
	return PH_OK;
}

/* --- Making and freeing it --- */

static enum ph_status written_read(const struct ph_bytes *bytes, uint64_t offset, void *buf,
                                   size_t len)
{
	/* The bytes are its first member. */
	const struct ph__map_written *written = (const void *)bytes;

	return written->sink->ops->read(written->sink, offset, buf, len);
}

static enum ph_status allocate(struct ph_map_maker *maker)
{
	size_t slots = ph__map_known_slots(maker->limits, maker->entries);
	size_t words = maker->words > 0 ? maker->words : 1;

	if (words > SIZE_MAX / MAP_BITMAPS) {
		return PH_ERR_NOMEM;
	}
	maker->memory = ph_mem_zalloc(maker->alloc, words * MAP_BITMAPS, sizeof *maker->memory);
	if (maker->memory == NULL) {
		return PH_ERR_NOMEM;
	}
	for (size_t i = 0; i < 4; i++) {
		maker->types[i] = maker->memory + i * words;
	}
	maker->tip = maker->memory + 4 * words;
	maker->made = maker->memory + 5 * words;
	maker->base = maker->memory + 6 * words;
	maker->seen = maker->memory + 7 * words;
	maker->trees.known_mask = slots - 1;
	maker->trees.known = ph_mem_zalloc(maker->alloc, slots, sizeof *maker->trees.known);
	if (maker->trees.known == NULL) {
		return PH_ERR_NOMEM;
	}
	return ph_reader_new(&maker->reader, maker->source, maker->alloc, maker->limits);
}

enum ph_status ph_map_maker_new(struct ph_map_maker **out, const struct ph_map_options *options)
{
	struct ph_map_maker *maker = ph_mem_zalloc(options->alloc, 1, sizeof *maker);
	enum ph_status status;

	if (maker == NULL) {
		return PH_ERR_NOMEM;
	}
	maker->source = options->source;
	maker->pack = options->pack;
	maker->alloc = options->alloc;
	maker->limits = options->limits;
	maker->out.sink = options->sink;
	maker->written.bytes.read = written_read;
	maker->written.sink = options->sink;
	ph__map_pages_init(&maker->pages, &maker->written.bytes);
	maker->pages.tail = &maker->out;
	options->source->ops->pack_size(options->source, options->pack, &maker->entries,
	                                &maker->run_bytes);
	maker->words = ph_map_words(maker->entries);
	status = maker->entries > MAP_ENTRIES_MAX ? PH_ERR_LIMIT : allocate(maker);
	if (status != PH_OK) {
		ph_map_maker_free(maker);
		return status;
	}
	*out = maker;
	return PH_OK;
}

void ph_map_maker_free(struct ph_map_maker *maker)
{
	const struct ph_alloc *alloc;

	if (maker == NULL) {
		return;
	}
	alloc = maker->alloc;
	ph__map_trees_release(maker);
	if (maker->reading.open) {
		ph_object_release(maker->reader, &maker->reading.object);
	}
	ph_reader_free(maker->reader);
	ph_mem_free(alloc, maker->memory);
	ph_mem_free(alloc, maker->graph.pos.items);
	ph_mem_free(alloc, maker->graph.parents);
	ph_mem_free(alloc, maker->graph.generation);
	ph_mem_free(alloc, maker->graph.bitmap);
	ph_mem_free(alloc, maker->graph.order);
	ph_mem_free(alloc, maker->graph.more.items);
	ph_mem_free(alloc, maker->owner);
	ph_mem_free(alloc, maker->rows);
	ph_mem_free(alloc, maker->links);
	ph_mem_free(alloc, maker->path.items);
	ph_mem_free(alloc, maker->region.items);
	ph_mem_free(alloc, maker);
}

enum ph_status ph_map_maker_tip(struct ph_map_maker *maker, const struct ph_oid *oid)
{
	struct ph_oid peeled;
	enum ph_object_type type;
	uint32_t pos;
	enum ph_status status;

	assert(maker->phase == MAP_SCAN && maker->at == 0);
	if (maker->tips == PH_MAP_TIPS_MAX) {
		return PH_OK;
	}
	status = ph_reader_peel(maker->reader, oid, &peeled, &type);
	if (status == PH_OK && type == PH_OBJ_COMMIT) {
		status = ph_source_find_in(maker->source, maker->pack, &peeled, &pos);
	} else if (status == PH_OK) {
		return PH_OK;
	}
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND || status == PH_ERR_LIMIT ? PH_OK : status;
	}
	if (pos >= maker->entries) {
		return PH_ERR_CORRUPT;
	}
	if (!ph__map_bit(maker->tip, pos)) {
		ph__map_set(maker->tip, pos);
		maker->tips++;
	}
	return PH_OK;
}

/* --- Scan --- */

static void put_block(const struct ph_map_maker *maker, uint8_t *to)
{
	size_t first = maker->at / 64;

	for (size_t t = 0; t < 4; t++) {
		for (size_t i = 0; i < MAP_BLOCK_BITS / 64; i++) {
			uint64_t word = first + i < maker->words ? maker->types[t][first + i] : 0;

			for (unsigned k = 0; k < 64; k += 8) {
				*to++ = (uint8_t)(word >> k);
			}
		}
	}
}

static enum ph_status scan_entry(struct ph_map_maker *maker, uint32_t pos)
{
	struct ph_loc loc = {.pack = maker->pack, .pos = pos};
	struct ph_entry entry;
	enum ph_status status = maker->source->ops->entry(maker->source, loc, &entry);

	if (status != PH_OK) {
		return status;
	}
	if (entry.type < PH_OBJ_COMMIT || entry.type > PH_OBJ_TAG) {
		return PH_ERR_CORRUPT;
	}
	ph__map_set(maker->types[entry.type - PH_OBJ_COMMIT], pos);
	return entry.type == PH_OBJ_COMMIT ? ph__map_list_push(&maker->graph.pos, maker->alloc, pos)
	                                   : PH_OK;
}

static enum ph_status scan_done(struct ph_map_maker *maker)
{
	struct ph__map_graph *graph = &maker->graph;
	uint32_t room = (uint32_t)graph->pos.count;

	graph->count = room;
	room += room == 0;
	graph->parents = ph_mem_zalloc(maker->alloc, room, sizeof *graph->parents);
	graph->generation = ph_mem_zalloc(maker->alloc, room, sizeof *graph->generation);
	graph->bitmap = ph_mem_zalloc(maker->alloc, room, sizeof *graph->bitmap);
	graph->order = ph_mem_zalloc(maker->alloc, room, sizeof *graph->order);
	if (graph->parents == NULL || graph->generation == NULL || graph->bitmap == NULL ||
	    graph->order == NULL) {
		return PH_ERR_NOMEM;
	}
	maker->at = 0;
	maker->phase = MAP_COMMITS;
	return PH_OK;
}

/* The types of a block of entries. */
static enum ph_status step_scan(struct ph_map_maker *maker, uint32_t *budget)
{
	uint8_t block[MAP_BLOCK_BYTES];
	uint32_t count = maker->entries - maker->at;
	enum ph_status status = PH_OK;

	if (count == 0) {
		return scan_done(maker);
	}
	if (count > MAP_BLOCK_BITS) {
		count = MAP_BLOCK_BITS;
	}
	ph_budget_spend(budget, BLOCK_UNITS);
	index_put32(block, (uint32_t)maker->graph.pos.count);
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		status = scan_entry(maker, maker->at + i);
	}
	if (status != PH_OK) {
		return status;
	}
	put_block(maker, block + 4);
	maker->at += count;
	return ph__map_put(&maker->out, block, sizeof block);
}

/* --- The directory and the footer --- */

static enum ph_status finish(struct ph_map_maker *maker, uint64_t rows_at)
{
	const struct ph_source *source = maker->source;
	uint8_t raw[MAP_FOOTER_BYTES] = {0};
	struct ph_oid trailer = {{0}};
	enum ph_status status = PH_OK;

	if (source->ops->trailer != NULL) {
		status = source->ops->trailer(source, maker->pack, &trailer);
	}
	index_put32(raw, maker->entries);
	index_put64(raw + 4, maker->run_bytes);
	memcpy(raw + 12, trailer.bytes, sizeof trailer.bytes);
	index_put32(raw + 44, maker->graph.count);
	index_put32(raw + 48, (uint32_t)maker->graph.more.count);
	index_put32(raw + 52, maker->row_count);
	index_put64(raw + 56, rows_at);
	memcpy(raw + 64, MAP_MAGIC, 4);
	raw[68] = MAP_VERSION;
	raw[69] = (uint8_t)source->algo;
	if (status == PH_OK) {
		status = ph__map_put(&maker->out, raw, sizeof raw);
	}
	if (status == PH_OK) {
		status = ph__map_put_end(&maker->out);
	}
	maker->phase = MAP_DONE;
	return status;
}

static enum ph_status step_rows(struct ph_map_maker *maker, uint32_t *budget)
{
	uint64_t rows_at = maker->out.size - (uint64_t)maker->at * MAP_ROW_BYTES;
	const struct ph__map_row *row;
	uint8_t raw[MAP_ROW_BYTES];

	ph_budget_spend(budget, 1);
	if (maker->at == maker->row_count) {
		return finish(maker, rows_at);
	}
	row = &maker->rows[maker->at++];
	index_put64(raw, row->at);
	index_put32(raw + 8, row->bytes);
	index_put32(raw + 12, row->other);
	return ph__map_put(&maker->out, raw, sizeof raw);
}

/* --- Running --- */

static enum ph_status step(struct ph_map_maker *maker, uint32_t *budget)
{
	switch (maker->phase) {
	case MAP_SCAN:
		return step_scan(maker, budget);
	case MAP_COMMITS:
		return ph__map_step_commits(maker, budget);
	case MAP_MORE_TABLE:
		return ph__map_step_more(maker, budget);
	case MAP_ORDER:
		return ph__map_step_order(maker, budget);
	case MAP_CHOOSE:
		return ph__map_step_choose(maker, budget);
	case MAP_FORKS:
		return ph__map_step_forks(maker, budget);
	case MAP_NUMBER:
		return ph__map_step_number(maker, budget);
	case MAP_EXTRAS:
		return ph__map_step_extras(maker, budget);
	case MAP_NEXT:
		return ph__map_step_next(maker, budget);
	case MAP_REGION:
		return ph__map_step_region(maker, budget);
	case MAP_REACH:
		return ph__map_step_reach(maker, budget);
	case MAP_JOIN:
		return ph__map_step_join(maker, budget);
	case MAP_TREES:
		return ph__map_step_trees(maker, budget);
	case MAP_STORE:
		return ph__map_step_store(maker, budget);
	case MAP_REST:
		return ph__map_step_rest(maker, budget);
	case MAP_TAGS:
		return ph__map_step_tags(maker, budget);
	case MAP_ROWS:
		return step_rows(maker, budget);
	case MAP_DONE:
	case MAP_FAILED:
		break;
	}
	return PH_OK;
}

enum ph_status ph_map_maker_run(struct ph_map_maker *maker, uint32_t *budget)
{
	while (maker->phase != MAP_DONE && maker->phase != MAP_FAILED) {
		enum ph_status status;

		if (*budget == 0) {
			return PH_AGAIN;
		}
		maker->written.bytes.size = maker->out.page * MAP_PAGE_BYTES;
		status = step(maker, budget);
		if (status != PH_OK) {
			maker->failure = status;
			maker->phase = MAP_FAILED;
		}
	}
	return maker->failure;
}
