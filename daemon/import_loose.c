/* SPDX-License-Identifier: MIT */
/*
 * Loose objects as one pack. Each is a zlib stream of "TYPE SIZE", a NUL and the content; an entry
 * of a pack has type and size in front of a stream of the content alone, so every stream is made
 * anew, window by window. The content is hashed on the way: a file that is not what its name says
 * is named. What a pack of the transaction holds already is left out.
 */
#include "daemon_int.h"
#include "import.h"
#include <errno.h>
#include <fcntl.h>
#include <packhorse/hash.h>
#include <packhorse/inflate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)128 << 10)
/* As git packs by default. */
#define LEVEL 6
/* "commit", a blank, 20 digits, a NUL. */
#define HEADER_BYTES 32u
#define TITLE "Packing loose objects"

struct loose {
	struct ph_oid oid;
	uint32_t folder;
};

struct packer {
	struct ph_import *import;
	char *const *folders;
	struct loose *items;
	uint32_t count, size;
	struct ph_inflate *inflate;
	struct ph_deflate *deflate;
	struct ph_hash trailer;
	/* Of the object at work. */
	char path[PH_PATH_BYTES];
	int fd;
	size_t at, filled; /* of in */
	uint8_t in[WINDOW_BYTES], content[WINDOW_BYTES], out[WINDOW_BYTES];
};

/* ---- which there are ---- */

static enum ph_status add(struct packer *packer, const struct ph_oid *oid, uint32_t folder)
{
	const struct ph_import *import = packer->import;
	uint32_t max = import->image.limits.pack_objects_max;

	if (packer->count == max)
		return ph__import_fail(packer->import, PH_ERR_LIMIT,
		                       "%s has more than %u loose objects; git repack first",
		                       import->from, max);
	if (packer->count == packer->size) {
		uint32_t size = packer->size ? 2 * packer->size : 1024;
		struct loose *items = realloc(packer->items, size * sizeof(*items));

		if (!items)
			return PH_ERR_NOMEM;
		packer->items = items;
		packer->size = size;
	}
	packer->items[packer->count++] = (struct loose){*oid, folder};
	return PH_OK;
}

/* One of the 256 folders; what does not look like an object is none, as tmp_obj_XXXXXX. */
static enum ph_status scan(struct packer *packer, uint32_t folder, unsigned first)
{
	enum ph_hash_algo algo = packer->import->algo;
	char path[PH_PATH_BYTES], hex[PH_OID_HEX_MAX + 1], name[8];
	const char *entry;
	DIR *dir;
	enum ph_status status;

	snprintf(name, sizeof(name), "%02x", first);
	status = ph__import_open(packer->import, path, packer->folders[folder], name, &dir);
	if (!dir)
		return status;
	while (status == PH_OK && (entry = ph__import_next(packer->import, path, dir, &status))) {
		size_t len = strlen(entry);
		struct ph_oid oid;

		if (len + 2 != ph_hash_hex(algo))
			continue;
		memcpy(hex, name, 2);
		memcpy(hex + 2, entry, len + 1);
		if (ph_oid_from_hex(&oid, algo, hex, len + 2) == PH_OK)
			status = add(packer, &oid, folder);
	}
	closedir(dir);
	return status;
}

static int by_id(const void *a, const void *b)
{
	const struct loose *one = a, *other = b;
	int cmp = ph_oid_cmp(&one->oid, &other->oid);

	return cmp ? cmp : (one->folder > other->folder) - (one->folder < other->folder);
}

/* Those that are in no pack, each once. */
static enum ph_status sift(struct packer *packer)
{
	const struct ph_source *source = ph_txn_source(packer->import->txn);
	uint32_t kept = 0;

	if (packer->count > 0)
		qsort(packer->items, packer->count, sizeof(*packer->items), by_id);
	for (uint32_t i = 0; i < packer->count; i++) {
		const struct loose *item = &packer->items[i];
		struct ph_loc loc;
		enum ph_status status;

		if (kept > 0 && ph_oid_equal(&packer->items[kept - 1].oid, &item->oid))
			continue;
		status = source->ops->find(source, &item->oid, &loc);
		if (status == PH_ERR_NOT_FOUND)
			packer->items[kept++] = *item;
		else if (status != PH_OK)
			return status;
	}
	packer->count = kept;
	return PH_OK;
}

static enum ph_status gather(struct packer *packer, uint32_t folders)
{
	for (uint32_t folder = 0; folder < folders; folder++) {
		for (unsigned first = 0; first < 256; first++) {
			enum ph_status status = ph__import_stops(packer->import)
			                                ? PH_ERR_BUSY
			                                : scan(packer, folder, first);

			if (status != PH_OK)
				return status;
		}
	}
	return sift(packer);
}

/* ---- one object ---- */

static enum ph_status damaged(struct packer *packer)
{
	return ph__import_fail(packer->import, PH_ERR_INVALID,
	                       "%s is damaged: it is not the object that its name says",
	                       packer->path);
}

static enum ph_status put(struct packer *packer, const void *data, size_t len)
{
	size_t used;

	ph_hash_update(&packer->trailer, data, len);
	return ph__import_pack_write(packer->import, data, len, &used, TITLE);
}

/* More of the file, behind what is used up. At its end nothing is added. */
static enum ph_status refill(struct packer *packer)
{
	ssize_t n;

	packer->at = packer->filled = 0;
	do
		n = read(packer->fd, packer->in, sizeof(packer->in));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return ph__import_errno(packer->import, packer->path);
	packer->filled = (size_t)n;
	return n > 0 ? PH_OK : damaged(packer);
}

/* Type and size, from the beginning of the stream; *len is how long they are there. */
static enum ph_status read_header(struct packer *packer, enum ph_object_type *type, uint64_t *size,
                                  size_t *len)
{
	uint8_t header[HEADER_BYTES];
	size_t in = 0, out = 0;
	const uint8_t *nul, *blank;
	enum ph_status status;

	ph_inflate_start(packer->inflate, UINT64_MAX);
	status = ph_inflate_step(packer->inflate, packer->in, &in, packer->filled, header, &out,
	                         sizeof(header));
	/* An object of a few bytes is at its end before the size that was said; no matter. */
	if (status == PH_ERR_NOMEM)
		return status;
	nul = memchr(header, '\0', out);
	blank = nul ? memchr(header, ' ', (size_t)(nul - header)) : NULL;
	if (!blank || blank + 1 == nul)
		return damaged(packer);
	*type = ph_object_type_from_name((const char *)header, (size_t)(blank - header));
	*len = (size_t)(nul - header) + 1;
	*size = 0;
	for (const uint8_t *at = blank + 1; at < nul; at++) {
		if (*at < '0' || *at > '9' || *size > (UINT64_MAX - HEADER_BYTES - 9) / 10)
			return damaged(packer);
		*size = *size * 10 + (uint64_t)(*at - '0');
	}
	return *type == PH_OBJ_NONE ? damaged(packer) : PH_OK;
}

/* An entry's header (gitformat-pack). */
static enum ph_status put_header(struct packer *packer, enum ph_object_type type, uint64_t size)
{
	uint8_t header[10];
	size_t len = 1;

	header[0] = (uint8_t)((unsigned)type << 4 | (size & 15));
	for (size >>= 4; size > 0; size >>= 7) {
		header[len - 1] |= 0x80;
		header[len++] = size & 0x7f;
	}
	return put(packer, header, len);
}

/* A part of the content goes into the entry's stream; last: it ends there. */
static enum ph_status pack_content(struct packer *packer, const uint8_t *data, size_t len,
                                   bool last)
{
	size_t in = 0;
	enum ph_status status = PH_OK;

	while (status == PH_OK && (in < len || last)) {
		size_t out = 0;
		enum ph_status written;

		status = ph_deflate_step(packer->deflate, data, &in, len, packer->out, &out,
		                         sizeof(packer->out), last);
		written = status >= 0 ? put(packer, packer->out, out) : status;
		if (written != PH_OK)
			return written;
	}
	return status == PH_END ? PH_OK : status;
}

/* The content behind skip bytes of header: hashed, and out again. */
static enum ph_status copy_content(struct packer *packer, struct ph_hash *hash, size_t skip)
{
	enum ph_status status = PH_OK;

	while (status == PH_OK) {
		size_t out = 0, from;
		enum ph_status packed;

		if (packer->at == packer->filled && (status = refill(packer)) != PH_OK)
			return status;
		status = ph_inflate_step(packer->inflate, packer->in, &packer->at, packer->filled,
		                         packer->content, &out, sizeof(packer->content));
		if (status < 0)
			return status == PH_ERR_NOMEM ? status : damaged(packer);
		from = out < skip ? out : skip;
		skip -= from;
		ph_hash_update(hash, packer->content + from, out - from);
		packed = pack_content(packer, packer->content + from, out - from, status == PH_END);
		if (packed != PH_OK)
			return packed;
	}
	return status == PH_END ? PH_OK : status;
}

static enum ph_status pack_object(struct packer *packer, const struct loose *item)
{
	enum ph_object_type type = PH_OBJ_NONE;
	uint64_t size = 0;
	size_t header = 0;
	struct ph_hash hash;
	struct ph_oid oid;
	enum ph_status status = refill(packer);

	if (status == PH_OK)
		status = read_header(packer, &type, &size, &header);
	if (status == PH_OK)
		status = put_header(packer, type, size);
	if (status != PH_OK)
		return status;
	ph_hash_init_object(&hash, packer->import->algo, type, size);
	ph_inflate_start(packer->inflate, size + header);
	ph_deflate_start(packer->deflate);
	status = copy_content(packer, &hash, header);
	if (status != PH_OK)
		return status;
	ph_hash_final(&hash, &oid);
	return ph_oid_equal(&oid, &item->oid) ? PH_OK : damaged(packer);
}

static enum ph_status open_object(struct packer *packer, const struct loose *item)
{
	char hex[PH_OID_HEX_MAX + 1], name[PH_OID_HEX_MAX + 2];
	enum ph_status status;

	ph_oid_to_hex(hex, packer->import->algo, &item->oid);
	snprintf(name, sizeof(name), "%.2s/%s", hex, hex + 2);
	status = ph__import_path(packer->import, packer->path, packer->folders[item->folder], name);
	if (status != PH_OK)
		return status;
	packer->fd = open(packer->path, O_RDONLY | O_CLOEXEC);
	return packer->fd < 0 ? ph__import_errno(packer->import, packer->path) : PH_OK;
}

/* ---- all of them ---- */

static enum ph_status put_pack(struct packer *packer)
{
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
	struct ph_oid trailer;
	size_t used;
	enum ph_status status;

	for (unsigned i = 0; i < 4; i++)
		header[8 + i] = (uint8_t)(packer->count >> (24 - 8 * i));
	ph_hash_init_plain(&packer->trailer, packer->import->algo);
	status = put(packer, header, sizeof(header));
	for (uint32_t i = 0; i < packer->count && status == PH_OK; i++) {
		status = open_object(packer, &packer->items[i]);
		if (status != PH_OK)
			break;
		status = pack_object(packer, &packer->items[i]);
		close(packer->fd);
	}
	if (status != PH_OK)
		return status;
	ph_hash_final(&packer->trailer, &trailer);
	status = ph__import_pack_write(packer->import, trailer.bytes,
	                               ph_hash_bytes(packer->import->algo), &used, TITLE);
	return status == PH_END ? PH_OK : status == PH_OK ? PH_ERR_TRUNCATED : status;
}

static enum ph_status pack_all(struct packer *packer)
{
	const struct ph_alloc *alloc = packer->import->image.options.alloc;
	enum ph_status status = ph_inflate_new(&packer->inflate, alloc);

	if (status == PH_OK)
		status = ph_deflate_new(&packer->deflate, alloc, LEVEL);
	if (status == PH_OK)
		status = ph__import_pack_begin(packer->import, TITLE);
	if (status == PH_OK)
		status = put_pack(packer);
	return status == PH_OK ? ph__import_pack_end(packer->import, TITLE) : status;
}

enum ph_status ph__import_loose(struct ph_import *import, char *const *folders, uint32_t count)
{
	struct packer *packer = calloc(1, sizeof(*packer));
	enum ph_status status;

	if (!packer)
		return PH_ERR_NOMEM;
	packer->import = import;
	packer->folders = folders;
	status = gather(packer, count);
	if (status == PH_OK && packer->count > 0)
		status = pack_all(packer);
	ph_inflate_free(packer->inflate);
	ph_deflate_free(packer->deflate);
	free(packer->items);
	free(packer);
	return status;
}
