/* SPDX-License-Identifier: MIT */
/*
 * Builds texts of objects, packs, their indexes and sources over them. It is written from the
 * format documents and shares nothing with the code under test but ids, hashes and the index
 * writer, so that a mistake there is not repeated here.
 */
#include "support_int.h"

#include <packhorse/inflate.h>
#include <stdlib.h>

struct ph_oid ph_test_oid(enum ph_hash_algo algo, const char *hex)
{
	struct ph_oid oid;

	if (ph_oid_from_hex(&oid, algo, hex, strlen(hex)) != PH_OK)
		ph__test_die("not an object id");
	return oid;
}

struct ph_oid ph_test_oid_fake(enum ph_hash_algo algo, uint8_t byte)
{
	struct ph_oid oid = {{0}};

	memset(oid.bytes, byte, ph_hash_bytes(algo));
	return oid;
}

void ph_test_tree_entry(struct ph_test_buf *tree, enum ph_hash_algo algo, uint32_t mode,
                        const char *name, const struct ph_oid *oid)
{
	ph_test_buf_print(tree, "%o %s", (unsigned)mode, name);
	ph_test_buf_append(tree, "", 1);
	ph_test_buf_append(tree, oid->bytes, ph_hash_bytes(algo));
}

void ph_test_commit_text(struct ph_test_buf *text, enum ph_hash_algo algo,
                         const struct ph_oid *tree, const struct ph_oid *parents, uint32_t count,
                         uint64_t time, const char *message)
{
	char hex[PH_OID_HEX_MAX + 1];
	uint32_t i;

	ph_test_buf_print(text, "tree %s\n", ph_oid_to_hex(hex, algo, tree));
	for (i = 0; i < count; i++)
		ph_test_buf_print(text, "parent %s\n", ph_oid_to_hex(hex, algo, &parents[i]));
	ph_test_buf_print(text, "author A U Thor <author@example.com> %llu +0000\n",
	                  (unsigned long long)time);
	ph_test_buf_print(text, "committer C O Mitter <committer@example.com> %llu +0000\n",
	                  (unsigned long long)time);
	ph_test_buf_print(text, "\n%s\n", message);
}

void ph_test_tag_text(struct ph_test_buf *text, enum ph_hash_algo algo, const struct ph_oid *object,
                      enum ph_object_type type, const char *name)
{
	char hex[PH_OID_HEX_MAX + 1];

	ph_test_buf_print(text, "object %s\ntype %s\ntag %s\n", ph_oid_to_hex(hex, algo, object),
	                  ph_object_type_name(type), name);
	ph_test_buf_print(text, "tagger T Agger <tagger@example.com> 1000000000 +0000\n\nA tag.\n");
}

void ph_test_deflate(struct ph_test_buf *out, const void *data, size_t len)
{
	struct ph_deflate *deflate;
	uint8_t chunk[4096];
	size_t in_pos = 0;
	enum ph_status status;

	if (ph_deflate_new(&deflate, ph_alloc_libc(), 6) != PH_OK)
		ph__test_die("no deflater");
	ph_deflate_start(deflate);
	do {
		size_t used = 0;
		status = ph_deflate_step(deflate, data, &in_pos, len, chunk, &used, sizeof(chunk),
		                         true);
		ph_test_buf_append(out, chunk, used);
	} while (status == PH_OK);
	if (status != PH_END)
		ph__test_die("deflate failed");
	ph_deflate_free(deflate);
}

static void put_delta_size(struct ph_test_buf *out, uint64_t size)
{
	do {
		uint8_t byte = (uint8_t)(size & 0x7f);
		size >>= 7;
		if (size > 0)
			byte |= 0x80;
		ph_test_buf_append(out, &byte, 1);
	} while (size > 0);
}

static void put_delta_copy(struct ph_test_buf *out, uint64_t offset, size_t size)
{
	while (size > 0) {
		uint32_t part = size > 0xffffff ? 0xffffff : (uint32_t)size;
		uint8_t op[8];
		size_t len = 1;
		unsigned i;

		if (offset > UINT32_MAX)
			ph__test_die("a delta's copy lies too far in its base");
		op[0] = 0x80;
		for (i = 0; i < 4; i++) {
			if ((offset >> 8 * i & 0xff) == 0)
				continue;
			op[0] |= (uint8_t)(1u << i);
			op[len++] = (uint8_t)(offset >> 8 * i);
		}
		for (i = 0; i < 3; i++) {
			/* Size 0x10000 has a short form, all three bytes absent. */
			if (part == 0x10000 || (part >> 8 * i & 0xff) == 0)
				continue;
			op[0] |= (uint8_t)(0x10u << i);
			op[len++] = (uint8_t)(part >> 8 * i);
		}
		ph_test_buf_append(out, op, len);
		offset += part;
		size -= part;
	}
}

static void put_delta_insert(struct ph_test_buf *out, const uint8_t *data, size_t size)
{
	while (size > 0) {
		uint8_t part = size > 127 ? 127 : (uint8_t)size;
		ph_test_buf_append(out, &part, 1);
		ph_test_buf_append(out, data, part);
		data += part;
		size -= part;
	}
}

void ph_test_delta_make(struct ph_test_buf *out, const void *base, size_t base_len,
                        const void *result, size_t result_len)
{
	const uint8_t *from = base;
	const uint8_t *to = result;
	size_t least = base_len < result_len ? base_len : result_len;
	size_t head = 0;
	size_t tail = 0;

	while (head < least && from[head] == to[head])
		head++;
	while (tail < least - head && from[base_len - 1 - tail] == to[result_len - 1 - tail])
		tail++;
	put_delta_size(out, base_len);
	put_delta_size(out, result_len);
	put_delta_copy(out, 0, head);
	put_delta_insert(out, to + head, result_len - head - tail);
	put_delta_copy(out, base_len - tail, tail);
}

void ph_test_pack_init(struct ph_test_pack *pack, enum ph_hash_algo algo)
{
	memset(pack, 0, sizeof(*pack));
	pack->algo = algo;
}

void ph_test_pack_release(struct ph_test_pack *pack)
{
	uint32_t i;

	for (i = 0; i < pack->count; i++)
		free(pack->entries[i].data);
	free(pack->entries);
	ph_test_buf_release(&pack->run);
	memset(pack, 0, sizeof(*pack));
}

/* The entry's type and size: four bits of the size in the first byte, then seven a byte. */
static void put_entry_size(struct ph_test_buf *out, enum ph_object_type type, uint64_t size)
{
	uint8_t byte = (uint8_t)((unsigned)type << 4 | (size & 0x0f));

	for (size >>= 4; size > 0; size >>= 7) {
		byte |= 0x80;
		ph_test_buf_append(out, &byte, 1);
		byte = (uint8_t)(size & 0x7f);
	}
	ph_test_buf_append(out, &byte, 1);
}

/* Big endian, seven bits a byte, and every continued byte counts one more. */
static void put_distance(struct ph_test_buf *out, uint64_t distance)
{
	uint8_t bytes[10];
	size_t at = sizeof(bytes);

	bytes[--at] = (uint8_t)(distance & 0x7f);
	while (distance >>= 7)
		bytes[--at] = (uint8_t)(0x80 | (--distance & 0x7f));
	ph_test_buf_append(out, bytes + at, sizeof(bytes) - at);
}

uint32_t ph_test_pack_add_raw(struct ph_test_pack *pack, const struct ph_test_raw *raw)
{
	struct ph_test_entry *entry;

	if (pack->count == pack->capacity) {
		pack->capacity = 2 * pack->capacity + 16;
		pack->entries =
		        ph__test_grow(pack->entries, pack->capacity * sizeof(*pack->entries));
	}
	entry = &pack->entries[pack->count];
	memset(entry, 0, sizeof(*entry));
	entry->oid = raw->oid;
	entry->offset = pack->run.len;
	entry->type = raw->type;
	entry->stored = raw->stored;
	entry->size = raw->size;
	put_entry_size(&pack->run, raw->stored, raw->declared);
	if (raw->stored == PH_OBJ_OFS_DELTA)
		put_distance(&pack->run, raw->distance);
	if (raw->stored == PH_OBJ_REF_DELTA)
		ph_test_buf_append(&pack->run, raw->base.bytes, ph_hash_bytes(pack->algo));
	if (raw->content_is_stream)
		ph_test_buf_append(&pack->run, raw->content, raw->content_len);
	else
		ph_test_deflate(&pack->run, raw->content, raw->content_len);
	return pack->count++;
}

/* Adds content for the object that data is, and keeps that. */
static uint32_t add_object(struct ph_test_pack *pack, struct ph_test_raw *raw, const void *content,
                           size_t content_len, const void *data, size_t size)
{
	uint32_t number;
	struct ph_test_entry *entry;

	raw->declared = content_len;
	raw->content = content;
	raw->content_len = content_len;
	raw->size = size;
	ph_hash_object(&raw->oid, pack->algo, raw->type, data, size);
	number = ph_test_pack_add_raw(pack, raw);
	entry = &pack->entries[number];
	entry->data = ph__test_grow(NULL, size);
	if (size > 0)
		memcpy(entry->data, data, size);
	return number;
}

uint32_t ph_test_pack_add(struct ph_test_pack *pack, enum ph_object_type type, const void *data,
                          size_t size)
{
	struct ph_test_raw raw = {.stored = type, .type = type};

	return add_object(pack, &raw, data, size, data, size);
}

static uint32_t add_delta(struct ph_test_pack *pack, struct ph_test_raw *raw, const void *base_data,
                          size_t base_size, const void *data, size_t size)
{
	struct ph_test_buf delta = {0};
	uint32_t number;

	ph_test_delta_make(&delta, base_data, base_size, data, size);
	number = add_object(pack, raw, delta.data, delta.len, data, size);
	ph_test_buf_release(&delta);
	return number;
}

static const struct ph_test_entry *base_entry(const struct ph_test_pack *pack, uint32_t base)
{
	if (base >= pack->count || !pack->entries[base].data)
		ph__test_die("no such base");
	return &pack->entries[base];
}

uint32_t ph_test_pack_add_ofs(struct ph_test_pack *pack, uint32_t base, const void *data,
                              size_t size)
{
	const struct ph_test_entry *on = base_entry(pack, base);
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
	                          .type = on->type,
	                          .distance = pack->run.len - on->offset};

	return add_delta(pack, &raw, on->data, on->size, data, size);
}

uint32_t ph_test_pack_add_ref(struct ph_test_pack *pack, uint32_t base, const void *data,
                              size_t size)
{
	const struct ph_test_entry *on = base_entry(pack, base);
	struct ph_test_raw raw = {.stored = PH_OBJ_REF_DELTA, .type = on->type, .base = on->oid};

	return add_delta(pack, &raw, on->data, on->size, data, size);
}

uint32_t ph_test_pack_add_thin(struct ph_test_pack *pack, enum ph_object_type type,
                               const struct ph_oid *base, const void *base_data, size_t base_size,
                               const void *data, size_t size)
{
	struct ph_test_raw raw = {.stored = PH_OBJ_REF_DELTA, .type = type, .base = *base};

	return add_delta(pack, &raw, base_data, base_size, data, size);
}

void ph_test_packfile_announce(const struct ph_test_pack *pack, uint32_t count,
                               struct ph_test_buf *out)
{
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
	struct ph_hash hash;
	struct ph_oid trailer;

	header[8] = (uint8_t)(count >> 24);
	header[9] = (uint8_t)(count >> 16);
	header[10] = (uint8_t)(count >> 8);
	header[11] = (uint8_t)count;
	ph_hash_init(&hash, pack->algo);
	ph_hash_update(&hash, header, sizeof(header));
	ph_hash_update(&hash, pack->run.data, pack->run.len);
	ph_hash_final(&hash, &trailer);
	ph_test_buf_append(out, header, sizeof(header));
	ph_test_buf_append(out, pack->run.data, pack->run.len);
	ph_test_buf_append(out, trailer.bytes, ph_hash_bytes(pack->algo));
}

void ph_test_packfile(const struct ph_test_pack *pack, struct ph_test_buf *out)
{
	ph_test_packfile_announce(pack, pack->count, out);
}

void ph_test_packfile_seal(enum ph_hash_algo algo, struct ph_test_buf *file)
{
	size_t hash_len = ph_hash_bytes(algo);
	struct ph_hash hash;
	struct ph_oid trailer;

	if (file->len < hash_len)
		ph__test_die("no packfile");
	ph_hash_init(&hash, algo);
	ph_hash_update(&hash, file->data, file->len - hash_len);
	ph_hash_final(&hash, &trailer);
	memcpy(file->data + file->len - hash_len, trailer.bytes, hash_len);
}

void ph_test_pack_trailer(const struct ph_test_pack *pack, struct ph_oid *out)
{
	struct ph_test_buf file = {0};
	size_t hash_len = ph_hash_bytes(pack->algo);

	ph_test_packfile(pack, &file);
	ph_oid_from_bytes(out, pack->algo, file.data + file.len - hash_len);
	ph_test_buf_release(&file);
}

/* The records' numbers in the order of their ids, by merging ever longer sorted pieces. */
static uint32_t *sort_by_id(const struct ph_index_record *records, uint32_t count)
{
	uint32_t *order = ph__test_grow(NULL, count * sizeof(*order));
	uint32_t *spare = ph__test_grow(NULL, count * sizeof(*order));
	uint64_t width;
	uint32_t i;

	for (i = 0; i < count; i++)
		order[i] = i;
	for (width = 1; width < count; width *= 2) {
		uint64_t start;
		uint32_t *swap = order;
		for (start = 0; start < count; start += 2 * width) {
			uint64_t mid = start + width < count ? start + width : count;
			uint64_t end = start + 2 * width < count ? start + 2 * width : count;
			uint64_t a = start;
			uint64_t b = mid;
			uint64_t at;
			for (at = start; at < end; at++) {
				bool left = b == end ||
				            (a < mid && ph_oid_cmp(&records[order[a]].oid,
				                                   &records[order[b]].oid) <= 0);
				spare[at] = left ? order[a++] : order[b++];
			}
		}
		order = spare;
		spare = swap;
	}
	free(spare);
	return order;
}

void ph_test_pack_index(const struct ph_test_pack *pack, struct ph_test_buf *out)
{
	struct ph_index_record *records =
	        ph__test_grow(NULL, pack->count * sizeof(struct ph_index_record));
	struct ph_test_sink sink;
	struct ph_oid trailer;
	uint32_t *order;
	uint32_t i;

	for (i = 0; i < pack->count; i++) {
		const struct ph_test_entry *entry = &pack->entries[i];
		records[i].oid = entry->oid;
		records[i].offset = entry->offset;
		records[i].size = entry->size;
		records[i].type = (uint8_t)entry->type;
		records[i].delta = entry->stored >= PH_OBJ_OFS_DELTA;
	}
	order = sort_by_id(records, pack->count);
	ph_test_pack_trailer(pack, &trailer);
	ph_test_sink_init(&sink);
	if (ph_index_write(&sink.sink, pack->algo, records, order, pack->count, pack->run.len,
	                   &trailer) != PH_OK)
		ph__test_die("the index cannot be written");
	ph_test_buf_append(out, sink.buf.data, sink.buf.len);
	ph_test_sink_release(&sink);
	free(order);
	free(records);
}

enum ph_status ph_test_source_reload(struct ph_test_source *source, uint32_t pack)
{
	ph_test_bytes_init(&source->index_bytes[pack], source->indexes[pack].data,
	                   source->indexes[pack].len);
	source->index_bytes[pack].faults = &source->faults;
	return ph_index_init(&source->packs[pack].index, &source->index_bytes[pack].bytes,
	                     source->set.source.algo);
}

void ph_test_source_init(struct ph_test_source *source, const struct ph_test_pack *packs,
                         uint32_t count)
{
	uint32_t i;

	memset(source, 0, sizeof(*source));
	source->count = count;
	source->indexes = ph__test_grow(NULL, count * sizeof(*source->indexes));
	source->index_bytes = ph__test_grow(NULL, count * sizeof(*source->index_bytes));
	source->runs = ph__test_grow(NULL, count * sizeof(*source->runs));
	source->packs = ph__test_grow(NULL, count * sizeof(*source->packs));
	source->pointers = ph__test_grow(NULL, count * sizeof(*source->pointers));
	ph_pack_set_init(&source->set, count > 0 ? packs[0].algo : PH_HASH_SHA1, NULL,
	                 source->pointers, count);
	for (i = 0; i < count; i++) {
		memset(&source->indexes[i], 0, sizeof(source->indexes[i]));
		ph_test_pack_index(&packs[i], &source->indexes[i]);
		ph_test_bytes_init(&source->runs[i], packs[i].run.data, packs[i].run.len);
		source->runs[i].faults = &source->faults;
		source->packs[i].run = &source->runs[i].bytes;
		source->pointers[i] = &source->packs[i];
		if (ph_test_source_reload(source, i) != PH_OK)
			ph__test_die("the index cannot be read");
	}
	source->faults.calls = 0;
}

void ph_test_source_release(struct ph_test_source *source)
{
	uint32_t i;

	for (i = 0; i < source->count; i++)
		ph_test_buf_release(&source->indexes[i]);
	free(source->indexes);
	free(source->index_bytes);
	free(source->runs);
	free(source->packs);
	free(source->pointers);
	memset(source, 0, sizeof(*source));
}
