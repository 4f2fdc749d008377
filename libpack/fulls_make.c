/* SPDX-License-Identifier: MIT */
/*
 * The maker of full entries (fulls.h): it goes over the ranks of one pack, reads what qualifies and
 * compresses it.
 */
#include "fulls_int.h"

#include "entry_int.h"

#include <packhorse/inflate.h>

#include <assert.h>
#include <string.h>

/* A first push is followed by this: level 6 takes half as long again, for 3 % fewer bytes. */
#define LEVEL 4
#define BUFFER_BYTES ((size_t)64 << 10)
/* Looking whether an object is selected is cheap: so many make one unit of work. */
#define SCAN_PER_UNIT 256u
/* Larger objects are few, and memory in the background should be little. */
#define OBJECT_BYTES_MAX ((uint64_t)8 << 20)

struct record {
	uint32_t rank;
	uint64_t offset, end;
};

struct ph_fulls_maker {
	struct ph_fulls_options options;
	enum { BEGIN, SCAN, DEFLATE, TABLE, DONE } phase;
	enum ph_status failed;
	uint32_t rank, entries;
	struct record *records;
	uint32_t count, room, written;
	struct ph_reader *reader;
	struct ph_deflate *deflate;
	struct ph_object object;
	size_t object_pos;
	uint8_t *buffer;
};

enum ph_status ph_fulls_maker_new(struct ph_fulls_maker **out,
                                  const struct ph_fulls_options *options)
{
	const struct ph_alloc *alloc = options->alloc;
	struct ph_fulls_maker *maker = ph_mem_zalloc(alloc, 1, sizeof(*maker));
	enum ph_status status;
	uint64_t bytes;

	if (!maker)
		return PH_ERR_NOMEM;
	maker->options = *options;
	options->source->ops->pack_size(options->source, options->pack, &maker->entries, &bytes);
	maker->buffer = ph_mem_alloc(alloc, BUFFER_BYTES);
	status = maker->buffer ? PH_OK : PH_ERR_NOMEM;
	if (status == PH_OK)
		status = ph_reader_new(&maker->reader, options->source, alloc, options->limits);
	if (status == PH_OK)
		status = ph_deflate_new(&maker->deflate, alloc, LEVEL);
	if (status != PH_OK) {
		ph_fulls_maker_free(maker);
		return status;
	}
	*out = maker;
	return PH_OK;
}

void ph_fulls_maker_free(struct ph_fulls_maker *maker)
{
	const struct ph_alloc *alloc;

	if (!maker)
		return;
	alloc = maker->options.alloc;
	if (maker->object.hold)
		ph_object_release(maker->reader, &maker->object);
	ph_deflate_free(maker->deflate);
	ph_reader_free(maker->reader);
	ph_mem_free(alloc, maker->buffer);
	ph_mem_free(alloc, maker->records);
	ph_mem_free(alloc, maker);
}

uint32_t ph_fulls_maker_count(const struct ph_fulls_maker *maker)
{
	return maker->count;
}

static enum ph_status append(struct ph_fulls_maker *maker, const void *data, size_t len)
{
	struct ph_sink *sink = maker->options.sink;

	return sink->ops->append(sink, data, len);
}

static enum ph_status begin(struct ph_fulls_maker *maker)
{
	uint8_t header[FULLS_HEADER_BYTES] = {0};

	memcpy(header, FULLS_MAGIC, 4);
	header[4] = FULLS_VERSION;
	header[5] = maker->options.source->algo == PH_HASH_SHA256 ? 2 : 1;
	index_put32(header + 8, maker->entries);
	maker->phase = SCAN;
	return append(maker, header, sizeof(header));
}

/* Where the base of a stored delta is. PH_ERR_NOT_FOUND when that is no entry of the pack. */
static enum ph_status find_base(const struct ph_fulls_maker *maker, uint64_t offset,
                                struct ph_loc *base)
{
	const struct ph_source *source = maker->options.source;
	struct ph_entry_header header;
	enum ph_status status = ph_entry_header_read(source, maker->options.pack, offset, &header);

	if (status != PH_OK)
		return status;
	return header.type == PH_OBJ_OFS_DELTA ? source->ops->at_offset(source, maker->options.pack,
	                                                                header.base_offset, base)
	                                       : source->ops->find(source, &header.base, base);
}

/* Whether a clone of what was selected would have to make this object anew. */
static enum ph_status qualifies(const struct ph_fulls_maker *maker, uint32_t rank, bool *is)
{
	const struct ph_source *source = maker->options.source;
	struct ph_loc loc = {maker->options.pack, rank}, base;
	struct ph_entry entry;
	enum ph_status status;

	*is = false;
	if (!ph_walk_selected(maker->options.walk, loc))
		return PH_OK;
	status = source->ops->entry(source, loc, &entry);
	if (status != PH_OK || !entry.delta || entry.size > OBJECT_BYTES_MAX)
		return status;
	status = find_base(maker, entry.offset, &base);
	*is = status == PH_OK && !ph_walk_selected(maker->options.walk, base);
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

static enum ph_status note(struct ph_fulls_maker *maker, uint32_t rank)
{
	if (maker->count == maker->room) {
		uint32_t room = maker->room ? 2 * maker->room : 256;
		struct record *records =
		        ph_mem_resize(maker->options.alloc, maker->records, room, sizeof(*records));

		if (!records)
			return PH_ERR_NOMEM;
		maker->records = records;
		maker->room = room;
	}
	maker->records[maker->count++] =
	        (struct record){.rank = rank, .offset = maker->options.sink->size};
	return PH_OK;
}

static enum ph_status open_object(struct ph_fulls_maker *maker, uint32_t rank, uint32_t *budget)
{
	struct ph_loc loc = {maker->options.pack, rank};
	uint8_t header[PH__ENTRY_HEADER_BYTES_MAX];
	enum ph_status status =
	        ph_reader_read(maker->reader, loc, OBJECT_BYTES_MAX, &maker->object);

	if (status != PH_OK)
		return status;
	ph_budget_spend_bytes(budget, maker->object.size);
	status = note(maker, rank);
	if (status != PH_OK)
		return status;
	ph_deflate_start(maker->deflate);
	maker->object_pos = 0;
	maker->phase = DEFLATE;
	return append(maker, header,
	              ph__entry_header_write(header, maker->object.type, maker->object.size));
}

static enum ph_status scan(struct ph_fulls_maker *maker, uint32_t *budget)
{
	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < SCAN_PER_UNIT; i++) {
		bool is = false;
		enum ph_status status = PH_OK;

		if (maker->rank == maker->entries ||
		    maker->options.sink->size >= maker->options.bytes_max) {
			maker->phase = TABLE;
			return PH_OK;
		}
		status = qualifies(maker, maker->rank++, &is);
		if (status != PH_OK || is)
			return is ? open_object(maker, maker->rank - 1, budget) : status;
	}
	return PH_OK;
}

static enum ph_status deflate_some(struct ph_fulls_maker *maker, uint32_t *budget)
{
	size_t size = (size_t)maker->object.size, start = maker->object_pos, used = 0;
	size_t end = size - start > BUFFER_BYTES ? start + BUFFER_BYTES : size;
	enum ph_status status, appended = PH_OK;

	status = ph_deflate_step(maker->deflate, maker->object.data, &maker->object_pos, end,
	                         maker->buffer, &used, BUFFER_BYTES, end == size);
	ph_budget_spend_bytes(budget, maker->object_pos - start + used);
	if (status >= 0 && used > 0)
		appended = append(maker, maker->buffer, used);
	if (status < 0 || appended != PH_OK)
		return status < 0 ? status : appended;
	if (status == PH_END) {
		maker->records[maker->count - 1].end = maker->options.sink->size;
		ph_object_release(maker->reader, &maker->object);
		maker->phase = SCAN;
	}
	return PH_OK;
}

static enum ph_status finish(struct ph_fulls_maker *maker)
{
	uint8_t footer[FULLS_FOOTER_BYTES];

	index_put64(footer,
	            maker->options.sink->size - (uint64_t)maker->count * FULLS_RECORD_BYTES);
	index_put32(footer + 8, maker->count);
	memcpy(footer + 12, FULLS_END, 4);
	maker->phase = DONE;
	return append(maker, footer, sizeof(footer));
}

static enum ph_status write_table(struct ph_fulls_maker *maker, uint32_t *budget)
{
	uint32_t left = maker->count - maker->written;
	uint32_t now = left < SCAN_PER_UNIT ? left : SCAN_PER_UNIT;

	_Static_assert(SCAN_PER_UNIT * FULLS_RECORD_BYTES <= BUFFER_BYTES, "a piece fits");
	for (uint32_t i = 0; i < now; i++) {
		const struct record *record = &maker->records[maker->written + i];
		uint8_t *at = maker->buffer + (size_t)i * FULLS_RECORD_BYTES;

		index_put32(at, record->rank);
		index_put64(at + 4, record->offset);
		index_put64(at + 12, record->end);
	}
	ph_budget_spend(budget, 2);
	maker->written += now;
	if (now == 0)
		return finish(maker);
	return append(maker, maker->buffer, (size_t)now * FULLS_RECORD_BYTES);
}

static enum ph_status step(struct ph_fulls_maker *maker, uint32_t *budget)
{
	switch (maker->phase) {
	case BEGIN:
		return begin(maker);
	case SCAN:
		return scan(maker, budget);
	case DEFLATE:
		return deflate_some(maker, budget);
	case TABLE:
		return write_table(maker, budget);
	case DONE:
		break;
	}
	return PH_END;
}

enum ph_status ph_fulls_maker_run(struct ph_fulls_maker *maker, uint32_t *budget)
{
	while (maker->failed == PH_OK && maker->phase != DONE) {
		if (*budget == 0)
			return PH_AGAIN;
		maker->failed = step(maker, budget);
	}
	return maker->failed;
}
