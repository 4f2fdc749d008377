/* SPDX-License-Identifier: MIT */
/*
 * A stored pack becomes git's two files. The run is copied behind a header and its trailer made on
 * the way, which must be the one that the store knows: so a damaged pack is never passed on. The
 * index of version 2 wants a CRC of every entry, taken from the same bytes.
 */
#include "git_pack.h"
#include <errno.h>
#include <packhorse/hash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define WINDOW_BYTES ((size_t)256 << 10)
#define HEADER_BYTES 12u
#define WATCH_OBJECTS 256u
/* Offsets from here on stand in a table of their own. */
#define OFFSET_LARGE ((uint64_t)1 << 31)

struct item {
	struct ph_oid oid;
	uint64_t offset; /* in the packfile */
	uint32_t crc;
};

/* A file whose bytes are hashed as they are written. */
struct out {
	FILE *file;
	struct ph_hash hash;
};

static enum ph_status put(struct out *out, const void *data, size_t len)
{
	ph_hash_update(&out->hash, data, len);
	return fwrite(data, 1, len, out->file) == len ? PH_OK : PH_ERR_IO;
}

static void put32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The hash of all so far, which is not hashed itself. */
static enum ph_status put_hash(struct out *out, size_t hash_len, struct ph_oid *oid)
{
	ph_hash_final(&out->hash, oid);
	return fwrite(oid->bytes, 1, hash_len, out->file) == hash_len ? PH_OK : PH_ERR_IO;
}

static enum ph_status out_open(struct out *out, const char *path, enum ph_hash_algo algo)
{
	out->file = fopen(path, "wbx");
	ph_hash_init(&out->hash, algo);
	return out->file ? PH_OK : PH_ERR_IO;
}

static enum ph_status out_close(struct out *out, enum ph_status status)
{
	if (!out->file)
		return status;
	if (status == PH_OK && (fflush(out->file) != 0 || fsync(fileno(out->file)) != 0))
		status = PH_ERR_IO;
	if (fclose(out->file) != 0 && status == PH_OK)
		status = PH_ERR_IO;
	return status;
}

/* ---- the packfile ---- */

/* Looking at clocks and signals is not for every small object. */
static bool is_due(const struct ph_git_pack *pack, size_t len)
{
	return pack->objects % WATCH_OBJECTS == 0 || len == WINDOW_BYTES;
}

/* Copies one entry and takes its checksum. */
static enum ph_status copy_entry(struct ph_git_pack *pack, const struct ph_entry *entry,
                                 struct out *out, uint8_t *window, struct item *item)
{
	const struct ph_source *source = pack->source;
	enum ph_status status = PH_OK;
	uint64_t at = entry->offset;

	item->oid = entry->oid;
	item->offset = entry->offset + HEADER_BYTES;
	item->crc = 0;
	while (at < entry->end && status == PH_OK) {
		size_t len =
		        entry->end - at < WINDOW_BYTES ? (size_t)(entry->end - at) : WINDOW_BYTES;

		status = source->ops->read(source, pack->pack, at, window, len);
		if (status == PH_OK) {
			item->crc = ph_crc32(item->crc, window, len);
			status = put(out, window, len);
		}
		at += len;
		pack->bytes += len;
		if (status == PH_OK && pack->watch && is_due(pack, len) &&
		    !pack->watch(pack->user, pack->objects, pack->bytes))
			status = PH_ERR_BUSY;
	}
	return status;
}

static enum ph_status write_pack(struct ph_git_pack *pack, struct out *out, struct item *items,
                                 uint32_t count, struct ph_oid *trailer)
{
	const struct ph_source *source = pack->source;
	uint8_t header[HEADER_BYTES] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
	uint8_t *window = malloc(WINDOW_BYTES);
	struct ph_oid known;
	enum ph_status status = window ? PH_OK : PH_ERR_NOMEM;

	put32(header + 8, count);
	if (status == PH_OK)
		status = put(out, header, sizeof(header));
	for (uint32_t pos = 0; pos < count && status == PH_OK; pos++) {
		struct ph_entry entry;

		status = source->ops->entry(source, (struct ph_loc){pack->pack, pos}, &entry);
		if (status == PH_OK)
			status = copy_entry(pack, &entry, out, window, &items[pos]);
		pack->objects += status == PH_OK;
	}
	free(window);
	if (status == PH_OK)
		status = put_hash(out, ph_hash_bytes(source->algo), trailer);
	if (status == PH_OK && source->ops->trailer)
		status = source->ops->trailer(source, pack->pack, &known);
	if (status == PH_OK && source->ops->trailer && !ph_oid_equal(&known, trailer))
		status = PH_ERR_CORRUPT;
	return status;
}

/* ---- its index ---- */

static int by_id(const void *a, const void *b)
{
	const struct item *one = a, *other = b;

	return memcmp(one->oid.bytes, other->oid.bytes, sizeof(one->oid.bytes));
}

static enum ph_status put_number(struct out *out, uint32_t value)
{
	uint8_t raw[4];

	put32(raw, value);
	return put(out, raw, sizeof(raw));
}

static enum ph_status put_fanout(struct out *out, const struct item *items, uint32_t count)
{
	enum ph_status status = PH_OK;
	uint32_t at = 0;

	for (unsigned first = 0; first < 256 && status == PH_OK; first++) {
		while (at < count && items[at].oid.bytes[0] <= first)
			at++;
		status = put_number(out, at);
	}
	return status;
}

/* Small offsets as they are; a large one as its place among the large ones, which follow. */
static enum ph_status put_offsets(struct out *out, const struct item *items, uint32_t count)
{
	enum ph_status status = PH_OK;
	uint32_t large = 0;

	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = put_number(out, items[i].offset < OFFSET_LARGE
		                                 ? (uint32_t)items[i].offset
		                                 : (uint32_t)OFFSET_LARGE | large++);
	for (uint32_t i = 0; i < count && status == PH_OK; i++) {
		if (items[i].offset < OFFSET_LARGE)
			continue;
		status = put_number(out, (uint32_t)(items[i].offset >> 32));
		if (status == PH_OK)
			status = put_number(out, (uint32_t)items[i].offset);
	}
	return status;
}

static enum ph_status write_index(struct out *out, enum ph_hash_algo algo, struct item *items,
                                  uint32_t count, const struct ph_oid *trailer)
{
	static const uint8_t header[8] = {0xff, 't', 'O', 'c', 0, 0, 0, 2};
	size_t hash_len = ph_hash_bytes(algo);
	struct ph_oid own;
	enum ph_status status = put(out, header, sizeof(header));

	if (count > 0)
		qsort(items, count, sizeof(*items), by_id);
	if (status == PH_OK)
		status = put_fanout(out, items, count);
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = put(out, items[i].oid.bytes, hash_len);
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = put_number(out, items[i].crc);
	if (status == PH_OK)
		status = put_offsets(out, items, count);
	if (status == PH_OK)
		status = put(out, trailer->bytes, hash_len);
	return status == PH_OK ? put_hash(out, hash_len, &own) : status;
}

/* ---- both ---- */

static enum ph_status write_both(struct ph_git_pack *pack, const char *path, struct item *items,
                                 uint32_t count, char *final, size_t final_size)
{
	enum ph_hash_algo algo = pack->source->algo;
	struct out out = {0};
	struct ph_oid trailer;
	char hex[PH_OID_HEX_MAX + 1];
	enum ph_status status = out_open(&out, path, algo);

	if (status == PH_OK)
		status = write_pack(pack, &out, items, count, &trailer);
	status = out_close(&out, status);
	if (status != PH_OK)
		return status;
	snprintf(final, final_size, "%s/pack-%s.idx", pack->folder,
	         ph_oid_to_hex(hex, algo, &trailer));
	/* Two packs of the same bytes have one name, and are one. */
	if (access(final, F_OK) == 0) {
		memcpy(final + strlen(final) - 3, "pack", 5);
		return PH_OK;
	}
	out = (struct out){0};
	status = out_open(&out, final, algo);
	if (status == PH_OK)
		status = write_index(&out, algo, items, count, &trailer);
	status = out_close(&out, status);
	if (status == PH_OK)
		memcpy(final + strlen(final) - 3, "pack", 5);
	return status;
}

enum ph_status ph__git_pack_write(struct ph_git_pack *pack)
{
	char path[PATH_BYTES], final[PATH_BYTES + 8];
	struct item *items;
	uint64_t bytes;
	uint32_t count;
	enum ph_status status;

	pack->source->ops->pack_size(pack->source, pack->pack, &count, &bytes);
	if (snprintf(path, sizeof(path), "%s/tmp_pack", pack->folder) >= (int)sizeof(path) - 80) {
		errno = ENAMETOOLONG;
		return PH_ERR_IO;
	}
	items = calloc((size_t)count + 1, sizeof(*items));
	if (!items)
		return PH_ERR_NOMEM;
	status = write_both(pack, path, items, count, final, sizeof(final));
	free(items);
	if (status == PH_OK && rename(path, final) != 0)
		status = PH_ERR_IO;
	if (status != PH_OK)
		(void)unlink(path);
	return status;
}
