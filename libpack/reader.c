/* SPDX-License-Identifier: MIT */
/*
 * Reads whole objects. A chain of deltas is collected from the object down to a base that is whole
 * or cached, then applied upwards; nothing recurses. Every result on the way is kept in the cache,
 * because histories are read along their chains: the next object usually builds on this one. Small
 * entries, which are nearly all, are read in one go and kept raw until their delta is applied.
 */
#include "entry_int.h"
#include "reader_int.h"

#include <packhorse/delta.h>
#include <packhorse/inflate.h>

#include <assert.h>

/* Bytes read of an entry at first: nearly every delta, commit and tree is whole in that. */
#define FIRST_READ_BYTES 16384u
/* Raw bytes kept while a chain is collected, and a part of the cache at most. Beyond, they are read
 * again. */
#define RAW_BYTES_MAX ((size_t)256 << 10)
#define RAW_SHARE 4u
/* Larger entries are inflated through a window of this size. */
#define WINDOW_BYTES PH__READER_WINDOW_BYTES
/* A buffer for inflated deltas that has become larger is given back. */
#define DELTA_KEEP_BYTES PH__READER_DELTA_BYTES
/* Tags on tags that are followed. */
#define PEEL_LINKS_MAX 64u

/* One delta of a chain, or the whole object below them. A chain may have thousands. */
struct link {
	uint64_t offset, end;   /* of its entry */
	uint64_t size;          /* of the object it makes */
	uint64_t stored_size;   /* of what inflates, as its header says */
	size_t raw_at, raw_len; /* its first bytes in reader->raw; none when raw_len is 0 */
	uint32_t pack;
	uint32_t header_bytes;
	enum ph_object_type type; /* as stored */
};

struct ph_reader {
	const struct ph_source *source;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	struct ph_inflate *inflate;
	const struct ph_unpack *unpack; /* the source's; NULL: there is none */
	void *unpack_state;
	struct ph__cache cache;
	struct link *links;
	size_t link_count, link_capacity;
	uint8_t *raw;
	size_t raw_len, raw_capacity;
	uint8_t *delta;
	size_t delta_capacity;
	uint8_t *window; /* NULL until it is needed */
};

enum ph_status ph_reader_new(struct ph_reader **out, const struct ph_source *source,
                             const struct ph_alloc *alloc, const struct ph_limits *limits)
{
	struct ph_reader *reader = ph_mem_zalloc(alloc, 1, sizeof(*reader));
	enum ph_status status;

	if (!reader)
		return PH_ERR_NOMEM;
	reader->source = source;
	reader->alloc = alloc;
	reader->limits = limits;
	ph__cache_init(&reader->cache, alloc, limits->delta_cache_bytes_max);
	status = ph_inflate_new(&reader->inflate, alloc);
	if (status != PH_OK) {
		ph_mem_free(alloc, reader);
		return status;
	}
	/* Without one, inflate does. */
	if (source->unpack && source->unpack->begin(&reader->unpack_state) == PH_OK)
		reader->unpack = source->unpack;
	*out = reader;
	return PH_OK;
}

void ph_reader_free(struct ph_reader *reader)
{
	if (!reader)
		return;
	if (reader->unpack)
		reader->unpack->end(reader->unpack_state);
	ph__cache_release(&reader->cache);
	ph_inflate_free(reader->inflate);
	ph_mem_free(reader->alloc, reader->links);
	ph_mem_free(reader->alloc, reader->raw);
	ph_mem_free(reader->alloc, reader->delta);
	ph_mem_free(reader->alloc, reader->window);
	ph_mem_free(reader->alloc, reader);
}

void ph_reader_lean(struct ph_reader *reader)
{
	reader->cache.bytes_max = reader->limits->delta_cache_bytes_max / 4;
}

const struct ph_source *ph_reader_source(const struct ph_reader *reader)
{
	return reader->source;
}

static size_t raw_max(const struct ph_limits *limits)
{
	uint64_t share = limits->delta_cache_bytes_max / RAW_SHARE;

	return share < RAW_BYTES_MAX ? (size_t)share : RAW_BYTES_MAX;
}

uint64_t ph__reader_chain_bytes(const struct ph_limits *limits, uint64_t objects)
{
	uint64_t links = limits->delta_depth_max;
	uint64_t raw = raw_max(limits);

	if (links > objects)
		links = objects;
	if (raw > links * FIRST_READ_BYTES)
		raw = links * FIRST_READ_BYTES;
	return (links + 32) * sizeof(struct link) + raw + 2 * FIRST_READ_BYTES;
}

/* Grows one of the reader's byte buffers to at least len, keeping what is in it. */
static enum ph_status reserve(const struct ph_reader *reader, uint8_t **buffer, size_t *capacity,
                              size_t len)
{
	size_t wanted = *capacity > SIZE_MAX / 2 ? SIZE_MAX : 2 * *capacity;
	uint8_t *grown;

	if (len <= *capacity)
		return PH_OK;
	if (wanted < len)
		wanted = len;
	grown = ph_mem_resize(reader->alloc, *buffer, wanted, 1);
	if (!grown)
		return PH_ERR_NOMEM;
	*buffer = grown;
	*capacity = wanted;
	return PH_OK;
}

static bool raw_is_full(const struct ph_reader *reader)
{
	return reader->raw_len >= raw_max(reader->limits);
}

/*
 * Reads the beginning of an entry into reader->raw and parses its header into link: the whole entry
 * when it is small, else enough to go on with.
 */
static enum ph_status read_beginning(struct ph_reader *reader, struct link *link,
                                     struct ph_entry_header *header)
{
	size_t want = raw_is_full(reader) ? PH__ENTRY_HEADER_BYTES_MAX : FIRST_READ_BYTES;
	enum ph_status status;

	if (want > link->end - link->offset)
		want = (size_t)(link->end - link->offset);
	status = reserve(reader, &reader->raw, &reader->raw_capacity, reader->raw_len + want);
	if (status != PH_OK)
		return status;
	link->raw_at = reader->raw_len;
	link->raw_len = want;
	status = reader->source->ops->read(reader->source, link->pack, link->offset,
	                                   reader->raw + link->raw_at, want);
	if (status != PH_OK)
		return status;
	status = ph__entry_header_parse(header, reader->source->algo, link->offset,
	                                reader->raw + link->raw_at, want);
	if (status != PH_OK)
		return status;
	link->stored_size = header->size;
	link->header_bytes = header->header_bytes;
	link->type = header->type;
	return PH_OK;
}

/* Inflates bytes that were read already, and then window by window what the entry has beyond. */
static enum ph_status inflate_rest(struct ph_reader *reader, const struct link *link, uint8_t *out,
                                   size_t size, size_t *out_pos)
{
	const struct ph_source *source = reader->source;
	uint64_t at = link->offset + (link->raw_len > 0 ? link->raw_len : link->header_bytes);

	if (!reader->window)
		reader->window = ph_mem_alloc(reader->alloc, WINDOW_BYTES);
	if (!reader->window)
		return PH_ERR_NOMEM;
	while (at < link->end) {
		size_t len =
		        link->end - at < WINDOW_BYTES ? (size_t)(link->end - at) : WINDOW_BYTES;
		size_t in_pos = 0;
		enum ph_status status =
		        source->ops->read(source, link->pack, at, reader->window, len);
		if (status != PH_OK)
			return status;
		at += len;
		status = ph_inflate_step(reader->inflate, reader->window, &in_pos, len, out,
		                         out_pos, size);
		if (status == PH_END)
			return at == link->end && in_pos == len ? PH_OK : PH_ERR_CORRUPT;
		if (status != PH_OK)
			return status == PH_ERR_ZLIB ? PH_ERR_CORRUPT : status;
	}
	return PH_ERR_CORRUPT;
}

/* Whether an entry that was read whole gave what it should, in one go. */
static bool unpack_whole(const struct ph_reader *reader, const struct link *link, uint8_t *out,
                         size_t size)
{
	const uint8_t *stream = reader->raw + link->raw_at + link->header_bytes;
	size_t len = link->raw_len - link->header_bytes;
	size_t used;

	return reader->unpack->run(reader->unpack_state, stream, len, &used, out, size) == PH_OK &&
	       used == len;
}

/* Inflates what an entry holds to exactly out; its stream must end where the entry does. */
static enum ph_status inflate_entry(struct ph_reader *reader, const struct link *link, uint8_t *out,
                                    size_t size)
{
	const uint8_t *stream;
	size_t len;
	size_t in_pos = 0;
	size_t out_pos = 0;
	enum ph_status status;

	assert(link->stored_size == size);
	if (reader->unpack && link->raw_len == link->end - link->offset &&
	    unpack_whole(reader, link, out, size))
		return PH_OK;
	ph_inflate_start(reader->inflate, size);
	if (link->raw_len == 0)
		return inflate_rest(reader, link, out, size, &out_pos);
	assert(link->header_bytes <= link->raw_len);
	stream = reader->raw + link->raw_at + link->header_bytes;
	len = link->raw_len - link->header_bytes;
	status = ph_inflate_step(reader->inflate, stream, &in_pos, len, out, &out_pos, size);
	if (status == PH_END)
		return in_pos == len && link->raw_len == link->end - link->offset ? PH_OK
		                                                                  : PH_ERR_CORRUPT;
	if (status != PH_OK)
		return status == PH_ERR_ZLIB ? PH_ERR_CORRUPT : status;
	return inflate_rest(reader, link, out, size, &out_pos);
}

/* A new buffer for the object that an entry makes. */
static enum ph_status object_buffer(const struct ph_reader *reader, const struct link *link,
                                    enum ph_object_type type, struct ph__buffer **out)
{
	struct ph__buffer *buffer = ph__buffer_new(reader->alloc, link->size);

	if (!buffer)
		return PH_ERR_NOMEM;
	buffer->pack = link->pack;
	buffer->offset = link->offset;
	buffer->type = type;
	*out = buffer;
	return PH_OK;
}

static enum ph_status read_whole(struct ph_reader *reader, const struct link *link,
                                 struct ph__buffer **out)
{
	struct ph__buffer *buffer;
	enum ph_status status;

	if (link->stored_size != link->size)
		return PH_ERR_CORRUPT;
	status = object_buffer(reader, link, link->type, &buffer);
	if (status != PH_OK)
		return status;
	status = inflate_entry(reader, link, buffer->data, (size_t)buffer->size);
	if (status != PH_OK) {
		ph__buffer_release(reader->alloc, buffer);
		return status;
	}
	*out = buffer;
	return PH_OK;
}

/* Inflates a link's delta and applies it to base. */
static enum ph_status apply_link(struct ph_reader *reader, const struct link *link,
                                 const struct ph__buffer *base, struct ph__buffer **out)
{
	struct ph__buffer *result;
	size_t delta_len = (size_t)link->stored_size;
	enum ph_status status = reserve(reader, &reader->delta, &reader->delta_capacity, delta_len);

	if (status == PH_OK)
		status = inflate_entry(reader, link, reader->delta, delta_len);
	if (status != PH_OK)
		return status;
	status = object_buffer(reader, link, base->type, &result);
	if (status != PH_OK)
		return status;
	status = ph_delta_apply(base->data, (size_t)base->size, reader->delta, delta_len,
	                        result->data, (size_t)result->size);
	if (status != PH_OK) {
		ph__buffer_release(reader->alloc, result);
		return PH_ERR_CORRUPT;
	}
	*out = result;
	return PH_OK;
}

/*
 * Every instruction of a delta takes at most 8 bytes and makes at least one byte, behind two sizes
 * of at most 10: a longer delta cannot be right. It holds also where size_t is 32 bits.
 */
static bool delta_size_ok(const struct link *link)
{
	return link->stored_size > 0 && link->stored_size < SIZE_MAX &&
	       (link->stored_size - 1) / 8 <= link->size + 3;
}

static enum ph_status push_link(struct ph_reader *reader, const struct link *link)
{
	if (reader->link_count == reader->link_capacity) {
		size_t wanted = reader->link_capacity > 0 ? 2 * reader->link_capacity : 32;
		struct link *grown =
		        ph_mem_resize(reader->alloc, reader->links, wanted, sizeof(struct link));
		if (!grown)
			return PH_ERR_NOMEM;
		reader->links = grown;
		reader->link_capacity = wanted;
	}
	reader->links[reader->link_count++] = *link;
	return PH_OK;
}

/* Where a delta's base is. A missing one is damage: stored packs are complete. */
static enum ph_status find_base(const struct ph_reader *reader, const struct link *link,
                                const struct ph_entry_header *header, struct ph_loc *out)
{
	const struct ph_source *source = reader->source;
	enum ph_status status;

	if (link->type == PH_OBJ_OFS_DELTA)
		status = source->ops->at_offset(source, link->pack, header->base_offset, out);
	else
		status = source->ops->find(source, &header->base, out);
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

static enum ph_status open_link(const struct ph_reader *reader, struct ph_loc loc,
                                uint64_t size_max, struct link *out, enum ph_object_type *type)
{
	struct ph_entry entry;
	enum ph_status status = reader->source->ops->entry(reader->source, loc, &entry);

	if (status != PH_OK)
		return status;
	if (entry.size > size_max)
		return PH_ERR_LIMIT;
	memset(out, 0, sizeof(*out));
	out->pack = loc.pack;
	out->offset = entry.offset;
	out->end = entry.end;
	out->size = entry.size;
	*type = entry.type;
	return PH_OK;
}

/*
 * From the object at link down to one that is cached or whole, in *base; deltas on the way are in
 * reader->links. A chain may go on in an earlier pack, where each has its own delta_depth_max; only
 * going further down than ever before starts a new count, so a cycle ends.
 */
static enum ph_status collect_chain(struct ph_reader *reader, struct link *link, uint64_t size_max,
                                    struct ph__buffer **base)
{
	uint32_t lowest = link->pack;
	uint32_t depth = 0;

	for (;;) {
		struct ph_entry_header header;
		enum ph_object_type type;
		struct ph_loc loc;
		enum ph_status status;

		status = read_beginning(reader, link, &header);
		if (status != PH_OK)
			return status;
		if (link->type <= PH_OBJ_TAG)
			return read_whole(reader, link, base);
		if (depth++ == reader->limits->delta_depth_max || !delta_size_ok(link))
			return PH_ERR_CORRUPT;
		if (raw_is_full(reader))
			link->raw_len = 0;
		reader->raw_len += link->raw_len;
		status = push_link(reader, link);
		if (status != PH_OK)
			return status;
		if (link->type == PH_OBJ_OFS_DELTA) {
			*base = ph__cache_get(&reader->cache, link->pack, header.base_offset);
			if (*base)
				return PH_OK;
		}
		status = find_base(reader, link, &header, &loc);
		if (status == PH_OK)
			status = open_link(reader, loc, size_max, link, &type);
		if (status != PH_OK)
			return status;
		*base = ph__cache_get(&reader->cache, link->pack, link->offset);
		if (*base)
			return PH_OK;
		if (link->pack < lowest) {
			lowest = link->pack;
			depth = 0;
		}
	}
}

/* Applies the collected deltas, last first. Takes *buffer and replaces it by the object. */
static enum ph_status apply_chain(struct ph_reader *reader, struct ph__buffer **buffer)
{
	while (reader->link_count > 0) {
		const struct link *link = &reader->links[--reader->link_count];
		struct ph__buffer *result;
		enum ph_status status;

		ph__cache_put(&reader->cache, *buffer);
		status = apply_link(reader, link, *buffer, &result);
		ph__buffer_release(reader->alloc, *buffer);
		*buffer = NULL;
		if (status != PH_OK)
			return status;
		*buffer = result;
	}
	return PH_OK;
}

/*
 * Whether the next object read is likely to build on this one. Trees mostly do, and whatever is a
 * delta itself; commits and blobs stored whole would only push those out.
 */
static bool worth_keeping(const struct ph__buffer *buffer, bool was_delta)
{
	return was_delta || buffer->type == PH_OBJ_TREE;
}

static enum ph_status read_uncached(struct ph_reader *reader, struct link *link, uint64_t size_max,
                                    struct ph__buffer **out)
{
	struct ph__buffer *buffer = NULL;
	uint64_t base_max = size_max;
	bool was_delta;
	enum ph_status status;

	/* A small object may build on a large one: that one is only held meanwhile. */
	if (base_max < reader->limits->delta_resident_bytes_max)
		base_max = reader->limits->delta_resident_bytes_max;
	reader->link_count = 0;
	reader->raw_len = 0;
	status = collect_chain(reader, link, base_max, &buffer);
	was_delta = reader->link_count > 0;
	if (status == PH_OK)
		status = apply_chain(reader, &buffer);
	if (reader->delta_capacity > DELTA_KEEP_BYTES) {
		ph_mem_free(reader->alloc, reader->delta);
		reader->delta = NULL;
		reader->delta_capacity = 0;
	}
	if (status != PH_OK)
		return status;
	if (worth_keeping(buffer, was_delta))
		ph__cache_put(&reader->cache, buffer);
	*out = buffer;
	return PH_OK;
}

enum ph_status ph_reader_read(struct ph_reader *reader, struct ph_loc loc, uint64_t size_max,
                              struct ph_object *out)
{
	struct link link;
	struct ph__buffer *buffer;
	enum ph_object_type type;
	enum ph_status status = open_link(reader, loc, size_max, &link, &type);

	if (status != PH_OK)
		return status;
	buffer = ph__cache_get(&reader->cache, link.pack, link.offset);
	if (!buffer) {
		status = read_uncached(reader, &link, size_max, &buffer);
		if (status != PH_OK)
			return status;
	}
	if (buffer->type != type) {
		ph__buffer_release(reader->alloc, buffer);
		return PH_ERR_CORRUPT;
	}
	out->type = type;
	out->size = buffer->size;
	out->data = buffer->data;
	out->hold = buffer;
	return PH_OK;
}

enum ph_status ph_reader_read_oid(struct ph_reader *reader, const struct ph_oid *oid,
                                  uint64_t size_max, struct ph_object *out)
{
	struct ph_loc loc;
	enum ph_status status = reader->source->ops->find(reader->source, oid, &loc);

	if (status != PH_OK)
		return status;
	return ph_reader_read(reader, loc, size_max, out);
}

void ph_object_release(struct ph_reader *reader, struct ph_object *object)
{
	ph__buffer_release(reader->alloc, object->hold);
	memset(object, 0, sizeof(*object));
}

/* The object a tag names. */
static enum ph_status follow_tag(struct ph_reader *reader, struct ph_loc loc, struct ph_oid *target)
{
	struct ph_object object;
	struct ph_tag tag;
	enum ph_status status =
	        ph_reader_read(reader, loc, reader->limits->metadata_bytes_max, &object);

	if (status != PH_OK)
		return status;
	status = ph_tag_parse(&tag, reader->source->algo, object.data, (size_t)object.size);
	if (status == PH_OK)
		*target = tag.object;
	ph_object_release(reader, &object);
	return status == PH_OK ? PH_OK : PH_ERR_CORRUPT;
}

enum ph_status ph_reader_peel(struct ph_reader *reader, const struct ph_oid *oid,
                              struct ph_oid *out, enum ph_object_type *type)
{
	const struct ph_source *source = reader->source;
	struct ph_oid at = *oid;
	unsigned links;

	for (links = 0; links <= PEEL_LINKS_MAX; links++) {
		struct ph_entry entry;
		struct ph_loc loc;
		enum ph_status status = source->ops->find(source, &at, &loc);

		if (status == PH_OK)
			status = source->ops->entry(source, loc, &entry);
		if (status != PH_OK)
			return status;
		if (entry.type != PH_OBJ_TAG) {
			*out = at;
			*type = entry.type;
			return PH_OK;
		}
		status = follow_tag(reader, loc, &at);
		if (status != PH_OK)
			return status;
	}
	return PH_ERR_LIMIT;
}
