/* SPDX-License-Identifier: MIT */
/*
 * The zip format as git writes it (PKWARE's APPNOTE): deflated files, stored ones where that gains
 * nothing, times in DOS's form and in an extra field, modes of links and executables, a directory
 * and the commit's id as comment, and zip64 where numbers do not fit otherwise.
 *
 * Headers say sizes and checksum, so they are found out first: a small file waits compressed in
 * memory, a larger one is compressed again when it goes out. Those that are too large for that have
 * them behind their bytes.
 */
#include "archive_int.h"
#include "date_int.h"
#include "utf8_int.h"

#include <string.h>

#define USUAL_LEVEL 6
#define BUFFER_BYTES 32768u
#define CHUNK_BYTES 65536u
/* git looks so far for a NUL when it asks whether a file is text. */
#define TEXT_LOOK_BYTES 8000u
#define MAX16 0xffffu
#define MAX32 UINT64_C(0xffffffff)
#define FLAG_STREAM (1u << 3)
#define FLAG_UTF8 (1u << 11)
#define METHOD_STORE 0u
#define METHOD_DEFLATE 8u
#define EXTRA_TIME_BYTES 9u
#define VERSION_ZIP64 45u
#define CREATOR_UNIX 0x0317u

/* The directory waits for the end in pieces. */
struct chunk {
	struct chunk *next;
	size_t len;
	uint8_t bytes[CHUNK_BYTES];
};

struct ph__zip {
	const struct ph_alloc *alloc;
	int level;
	struct ph_deflate *deflate;
	uint32_t dos_date, dos_time;
	uint8_t extra[EXTRA_TIME_BYTES];
	/* Of the entry at work: */
	enum { ENTRY_NEW, ENTRY_COUNTING, ENTRY_READY } entry;
	uint64_t offset, packed; /* where it begins; its bytes in the archive */
	uint32_t crc, flags, method, creator, version, attributes;
	int binary; /* -1: not known */
	bool deflating, deflate_ended, waits, zip64;
	uint8_t *whole; /* the packed bytes, when it waits */
	size_t whole_at;
	uint8_t in[BUFFER_BYTES];
	size_t in_at, in_len;
	bool in_ended;
	/* Of all: */
	uint32_t creator_max;
	uint64_t entries, directory_bytes, directory_max, directory_offset;
	struct chunk *first, *last;
	size_t chunk_at;
	bool trailed;
};

static void le(uint8_t **out, int bytes, uint64_t value)
{
	for (int i = 0; i < bytes; i++)
		*(*out)++ = (uint8_t)(value >> (8 * i));
}

static uint64_t least(uint64_t value, uint64_t max)
{
	return value < max ? value : max;
}

/* ---- the whole ---- */

static void dos_time(struct ph__zip *zip, uint64_t time)
{
	struct ph__date date;
	uint8_t *extra = zip->extra;

	ph__date_from_seconds(&date, (int64_t)least(time, (uint64_t)1 << 40));
	zip->dos_date = (uint32_t)(date.day + date.month * 32 + (date.year - 1980) * 512) & MAX16;
	zip->dos_time = (uint32_t)(date.second / 2 + date.minute * 32 + date.hour * 2048);
	le(&extra, 2, 0x5455);
	le(&extra, 2, EXTRA_TIME_BYTES - 4);
	le(&extra, 1, 1);
	le(&extra, 4, time);
}

enum ph_status ph__zip_new(struct ph__zip **out, const struct ph__archive_input *input)
{
	struct ph__zip *zip = ph_mem_zalloc(input->alloc, 1, sizeof(*zip));

	if (!zip)
		return PH_ERR_NOMEM;
	zip->alloc = input->alloc;
	zip->level = input->options->level < 0 ? USUAL_LEVEL : input->options->level;
	zip->directory_max = input->directory_bytes_max;
	dos_time(zip, input->time);
	*out = zip;
	return PH_OK;
}

static void release(struct ph__archive *archive)
{
	struct ph__zip *zip = archive->zip;

	if (!zip)
		return;
	while (zip->first) {
		struct chunk *next = zip->first->next;

		ph_mem_free(zip->alloc, zip->first);
		zip->first = next;
	}
	ph_deflate_free(zip->deflate);
	ph_mem_free(zip->alloc, zip->whole);
	ph_mem_free(zip->alloc, zip);
	archive->zip = NULL;
}

static enum ph_status begin(struct ph__archive *archive)
{
	(void)archive;
	return PH_OK;
}

/* ---- an entry's own bytes ---- */

static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

/* "diff" says so, or the first bytes. */
static void look_binary(struct ph__archive *archive, const uint8_t *bytes, size_t len)
{
	uint8_t diff = archive->entry.attributes[PH__ATTR_DIFF];
	struct ph__zip *zip = archive->zip;

	if (zip->binary >= 0)
		return;
	if (diff == PH__ATTR_TRUE || diff == PH__ATTR_FALSE)
		zip->binary = diff == PH__ATTR_FALSE;
	else
		zip->binary =
		        len && memchr(bytes, 0, len < TEXT_LOOK_BYTES ? len : TEXT_LOOK_BYTES);
}

/* The next piece of the file, which is always filled: what is compressed at once depends on it. */
static enum ph_status fill(struct ph__archive *archive, uint32_t *budget, bool counting)
{
	struct ph__zip *zip = archive->zip;
	enum ph_status status = PH_OK;

	if (zip->in_at == zip->in_len && zip->in_at > 0)
		zip->in_at = zip->in_len = 0;
	while (zip->in_len < BUFFER_BYTES && !zip->in_ended) {
		size_t got;

		if (*budget == 0)
			return PH_AGAIN;
		status = ph__content_read(&archive->content, zip->in + zip->in_len,
		                          BUFFER_BYTES - zip->in_len, &got, budget);
		if (counting && got)
			zip->crc = ph_crc32(zip->crc, zip->in + zip->in_len, got);
		zip->in_len += got;
		zip->in_ended = status == PH_END || archive->content.size == 0;
		if (status != PH_OK && status != PH_END)
			return status;
	}
	if (counting)
		look_binary(archive, zip->in, zip->in_len);
	return PH_OK;
}

static bool in_used(const struct ph__zip *zip)
{
	return zip->in_at == zip->in_len && !zip->in_ended;
}

static enum ph_status start_reading(struct ph__archive *archive)
{
	struct ph__zip *zip = archive->zip;
	enum ph_status status = PH_OK;

	zip->in_at = zip->in_len = 0;
	zip->in_ended = zip->deflate_ended = false;
	if (zip->deflating && !zip->deflate)
		status = ph_deflate_new_raw(&zip->deflate, zip->alloc, zip->level);
	if (status == PH_OK && zip->deflating)
		ph_deflate_start(zip->deflate);
	return status;
}

/* Compresses what fits into out; PH_END when all of it is through. */
static enum ph_status pack(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used,
                           uint32_t *budget, bool counting)
{
	struct ph__zip *zip = archive->zip;
	size_t before;
	enum ph_status status = PH_OK;

	if (zip->in_len < BUFFER_BYTES || in_used(zip))
		status = fill(archive, budget, counting);
	if (status != PH_OK)
		return status;
	before = zip->in_at;
	status = ph_deflate_step(zip->deflate, zip->in, &zip->in_at, zip->in_len, out, used, room,
	                         zip->in_ended);
	ph_budget_spend_bytes(budget, 4 * (zip->in_at - before) + 1);
	return status;
}

/* ---- before: what the header says ---- */

static enum ph_status count_deflated(struct ph__archive *archive, uint32_t *budget)
{
	struct ph__zip *zip = archive->zip;
	uint8_t scratch[4096];

	for (;;) {
		size_t used = 0;
		enum ph_status status;

		if (*budget == 0)
			return PH_AGAIN;
		if (zip->waits && zip->packed < archive->content.size) {
			used = (size_t)zip->packed;
			status = pack(archive, zip->whole, (size_t)archive->content.size, &used,
			              budget, true);
			used -= (size_t)zip->packed;
		} else {
			status = pack(archive, scratch, sizeof(scratch), &used, budget, true);
		}
		zip->packed += used;
		if (status != PH_OK)
			return status;
	}
}

static enum ph_status count_stored(struct ph__archive *archive, uint32_t *budget)
{
	struct ph__zip *zip = archive->zip;

	for (;;) {
		enum ph_status status = fill(archive, budget, true);

		if (status != PH_OK)
			return status;
		zip->in_at = zip->in_len;
		if (zip->in_ended)
			return PH_END;
	}
}

/* Links are stored, and so is what gains nothing. */
static enum ph_status counted(struct ph__archive *archive)
{
	struct ph__zip *zip = archive->zip;

	if (zip->deflating && zip->packed >= archive->content.size) {
		zip->method = METHOD_STORE;
		zip->deflating = zip->waits = false;
	}
	if (!zip->deflating)
		zip->packed = archive->content.size;
	zip->entry = ENTRY_READY;
	return ph__content_rewind(&archive->content);
}

static enum ph_status choose_flags(struct ph__archive *archive)
{
	const struct ph__archive_entry *entry = &archive->entry;
	struct ph__zip *zip = archive->zip;

	if (entry->path_len > MAX16)
		return ph__archive_fail(archive, PH_ERR_LIMIT, "path too long (%zu chars): %.200s",
		                        entry->path_len, entry->path);
	if (is_ascii(entry->path, entry->path_len))
		return PH_OK;
	if (ph__utf8_valid(entry->path, entry->path_len))
		zip->flags |= FLAG_UTF8;
	else
		return ph__text_print(archive->input.notes,
		                      "warning: path is not valid UTF-8: "
		                      "%.800s\n",
		                      entry->path);
	return PH_OK;
}

static enum ph_status begin_entry(struct ph__archive *archive)
{
	struct ph__zip *zip = archive->zip;
	uint32_t mode = archive->entry.mode;
	bool link = ph_mode_is_symlink(mode), file = (mode & 0170000) == 0100000;

	zip->offset = archive->bytes;
	zip->packed = 0;
	zip->crc = zip->flags = zip->creator = zip->attributes = 0;
	zip->version = 10;
	zip->binary = -1;
	zip->zip64 = zip->waits = false;
	zip->whole_at = 0;
	if (!link && !file)
		zip->attributes = 16;
	else if (link)
		zip->attributes = (mode | 0777) << 16;
	else if (mode & 0111)
		zip->attributes = mode << 16;
	if (zip->attributes > 16)
		zip->creator = CREATOR_UNIX;
	zip->deflating = file && zip->level != 0 && archive->content.size > 0;
	zip->method = zip->deflating ? METHOD_DEFLATE : METHOD_STORE;
	zip->entry = link || file ? ENTRY_COUNTING : ENTRY_READY;
	if (archive->content.big) {
		zip->flags |= FLAG_STREAM;
		zip->entry = ENTRY_READY;
	} else if (zip->deflating && archive->content.size <= PH__ZIP_WHOLE_BYTES) {
		zip->waits = true;
		if (!zip->whole)
			zip->whole = ph_mem_alloc(zip->alloc, (size_t)PH__ZIP_WHOLE_BYTES);
		if (!zip->whole)
			return PH_ERR_NOMEM;
	}
	return choose_flags(archive);
}

static enum ph_status put_header(struct ph__archive *archive)
{
	const struct ph__archive_entry *entry = &archive->entry;
	struct ph__zip *zip = archive->zip;
	uint64_t size = archive->content.size;
	bool stream = zip->flags & FLAG_STREAM;
	/* What git writes of a stream that is stored: the size is known. */
	uint64_t packed = stream && zip->deflating ? 0 : zip->packed;
	uint8_t bytes[64], *at = bytes;
	enum ph_status status;

	if (stream && !zip->deflating)
		packed = size;
	zip->zip64 = size > MAX32 || packed > MAX32 || (stream && size > 0x7fffffff);
	if (zip->zip64)
		zip->version = VERSION_ZIP64;
	le(&at, 4, 0x04034b50);
	le(&at, 2, zip->version);
	le(&at, 2, zip->flags);
	le(&at, 2, zip->method);
	le(&at, 2, zip->dos_time);
	le(&at, 2, zip->dos_date);
	le(&at, 4, zip->crc);
	le(&at, 4, zip->zip64 ? MAX32 : packed);
	le(&at, 4, zip->zip64 ? MAX32 : size);
	le(&at, 2, entry->path_len);
	le(&at, 2, EXTRA_TIME_BYTES + (zip->zip64 ? 20u : 0u));
	status = ph__text_add(&archive->header, bytes, (size_t)(at - bytes));
	if (status == PH_OK)
		status = ph__text_add(&archive->header, entry->path, entry->path_len);
	if (status == PH_OK)
		status = ph__text_add(&archive->header, zip->extra, EXTRA_TIME_BYTES);
	if (status != PH_OK || !zip->zip64)
		return status;
	at = bytes;
	le(&at, 2, 1);
	le(&at, 2, 16);
	le(&at, 8, size);
	le(&at, 8, packed);
	return ph__text_add(&archive->header, bytes, (size_t)(at - bytes));
}

static enum ph_status prepare(struct ph__archive *archive, uint32_t *budget)
{
	struct ph__zip *zip = archive->zip;
	enum ph_status status = PH_OK;

	if (zip->entry == ENTRY_NEW) {
		status = begin_entry(archive);
		if (status == PH_OK)
			status = start_reading(archive);
	}
	if (status == PH_OK && zip->entry == ENTRY_COUNTING) {
		status = zip->deflating ? count_deflated(archive, budget)
		                        : count_stored(archive, budget);
		if (status == PH_END)
			status = counted(archive);
	}
	if (status == PH_OK)
		status = start_reading(archive);
	return status == PH_OK ? put_header(archive) : status;
}

/* ---- the bytes ---- */

static enum ph_status data_whole(struct ph__zip *zip, uint8_t *out, size_t room, size_t *used,
                                 uint32_t *budget)
{
	size_t left = (size_t)zip->packed - zip->whole_at;

	if (left == 0)
		return PH_END;
	if (room > left)
		room = left;
	memcpy(out, zip->whole + zip->whole_at, room);
	zip->whole_at += room;
	*used = room;
	ph_budget_spend_bytes(budget, room);
	return PH_OK;
}

static enum ph_status data_stored(struct ph__archive *archive, uint8_t *out, size_t room,
                                  size_t *used, uint32_t *budget)
{
	struct ph__zip *zip = archive->zip;
	enum ph_status status = ph__content_read(&archive->content, out, room, used, budget);

	if (zip->flags & FLAG_STREAM) {
		zip->crc = ph_crc32(zip->crc, out, *used);
		zip->packed += *used;
		/* git looks at as much as it reads at once; a smaller room here would look less. */
		if (*used)
			look_binary(archive, out, *used);
	}
	return status;
}

static enum ph_status data(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used,
                           uint32_t *budget)
{
	struct ph__zip *zip = archive->zip;
	bool stream = zip->flags & FLAG_STREAM;
	enum ph_status status;

	if (zip->waits)
		return data_whole(zip, out, room, used, budget);
	if (!zip->deflating)
		return data_stored(archive, out, room, used, budget);
	if (zip->deflate_ended)
		return PH_END;
	status = pack(archive, out, room, used, budget, stream);
	if (stream)
		zip->packed += *used;
	if (status != PH_END)
		return status;
	zip->deflate_ended = true;
	return PH_OK;
}

/* ---- the directory ---- */

static enum ph_status directory_add(struct ph__archive *archive, const void *data, size_t len)
{
	struct ph__zip *zip = archive->zip;
	const uint8_t *from = data;

	if (len > zip->directory_max - zip->directory_bytes)
		return ph__archive_fail(
		        archive, PH_ERR_LIMIT,
		        "the directory of this zip would be too large (at most %llu "
		        "bytes)",
		        (unsigned long long)zip->directory_max);
	zip->directory_bytes += len;
	while (len) {
		size_t room = zip->last ? CHUNK_BYTES - zip->last->len : 0;

		if (room == 0) {
			struct chunk *chunk = ph_mem_alloc(zip->alloc, sizeof(*chunk));

			if (!chunk)
				return PH_ERR_NOMEM;
			chunk->next = NULL;
			chunk->len = 0;
			if (zip->last)
				zip->last->next = chunk;
			else
				zip->first = chunk;
			zip->last = chunk;
			continue;
		}
		if (room > len)
			room = len;
		memcpy(zip->last->bytes + zip->last->len, from, room);
		zip->last->len += room;
		from += room;
		len -= room;
	}
	return PH_OK;
}

/* The numbers that do not fit where they belong. */
static size_t directory_extra(const struct ph__archive *archive, uint8_t *out)
{
	const struct ph__zip *zip = archive->zip;
	uint64_t size = archive->content.size;
	bool any = zip->packed > MAX32 || size > MAX32 || zip->offset > MAX32;
	size_t len =
	        8 * (size_t)((zip->packed >= MAX32) + (size >= MAX32) + (zip->offset >= MAX32));
	uint8_t *at = out;

	if (!any)
		return 0;
	le(&at, 2, 1);
	le(&at, 2, len);
	if (size >= MAX32)
		le(&at, 8, size);
	if (zip->packed >= MAX32)
		le(&at, 8, zip->packed);
	if (zip->offset >= MAX32)
		le(&at, 8, zip->offset);
	return (size_t)(at - out);
}

static enum ph_status put_directory(struct ph__archive *archive)
{
	const struct ph__archive_entry *entry = &archive->entry;
	struct ph__zip *zip = archive->zip;
	uint8_t bytes[64], extra[32], *at = bytes;
	size_t extra_len = directory_extra(archive, extra);
	enum ph_status status;

	le(&at, 4, 0x02014b50);
	le(&at, 2, zip->creator);
	le(&at, 2, zip->version);
	le(&at, 2, zip->flags);
	le(&at, 2, zip->method);
	le(&at, 2, zip->dos_time);
	le(&at, 2, zip->dos_date);
	le(&at, 4, zip->crc);
	le(&at, 4, least(zip->packed, MAX32));
	le(&at, 4, least(archive->content.size, MAX32));
	le(&at, 2, entry->path_len);
	le(&at, 2, EXTRA_TIME_BYTES + extra_len);
	le(&at, 4, 0); /* no comment, the first disk */
	le(&at, 2, zip->binary == 0);
	le(&at, 4, zip->attributes);
	le(&at, 4, least(zip->offset, MAX32));
	status = directory_add(archive, bytes, (size_t)(at - bytes));
	if (status == PH_OK)
		status = directory_add(archive, entry->path, entry->path_len);
	if (status == PH_OK)
		status = directory_add(archive, zip->extra, EXTRA_TIME_BYTES);
	return status == PH_OK ? directory_add(archive, extra, extra_len) : status;
}

static enum ph_status finish(struct ph__archive *archive)
{
	struct ph__zip *zip = archive->zip;
	bool large = archive->content.size >= MAX32 || zip->packed >= MAX32;
	uint8_t bytes[32], *at = bytes;
	enum ph_status status = put_directory(archive);

	zip->entry = ENTRY_NEW;
	zip->entries++;
	if (zip->creator > zip->creator_max)
		zip->creator_max = zip->creator;
	if (status != PH_OK || !(zip->flags & FLAG_STREAM))
		return status;
	le(&at, 4, 0x08074b50);
	le(&at, 4, zip->crc);
	le(&at, large ? 8 : 4, zip->packed);
	le(&at, large ? 8 : 4, archive->content.size);
	return ph__text_add(&archive->header, bytes, (size_t)(at - bytes));
}

/* ---- the end ---- */

static enum ph_status put_trailer64(struct ph__archive *archive)
{
	struct ph__zip *zip = archive->zip;
	uint8_t bytes[96], *at = bytes;

	le(&at, 4, 0x06064b50);
	le(&at, 8, 44);
	le(&at, 2, zip->creator_max);
	le(&at, 2, VERSION_ZIP64);
	le(&at, 8, 0); /* disks */
	le(&at, 8, zip->entries);
	le(&at, 8, zip->entries);
	le(&at, 8, zip->directory_bytes);
	le(&at, 8, zip->directory_offset);
	le(&at, 4, 0x07064b50);
	le(&at, 4, 0);
	le(&at, 8, zip->directory_offset + zip->directory_bytes);
	le(&at, 4, 1);
	return ph__text_add(&archive->header, bytes, (size_t)(at - bytes));
}

static enum ph_status put_trailer(struct ph__archive *archive)
{
	const struct ph__archive_input *input = &archive->input;
	enum ph_hash_algo algo = ph_reader_source(input->reader)->algo;
	struct ph__zip *zip = archive->zip;
	char hex[PH_OID_HEX_MAX + 1];
	uint8_t bytes[32], *at = bytes;
	enum ph_status status = PH_OK;

	if (zip->entries > MAX16 || zip->directory_offset > MAX32)
		status = put_trailer64(archive);
	le(&at, 4, 0x06054b50);
	le(&at, 4, 0);
	le(&at, 2, least(zip->entries, MAX16));
	le(&at, 2, least(zip->entries, MAX16));
	le(&at, 4, zip->directory_bytes);
	le(&at, 4, least(zip->directory_offset, MAX32));
	le(&at, 2, input->has_commit ? ph_hash_hex(algo) : 0);
	if (status == PH_OK)
		status = ph__text_add(&archive->header, bytes, (size_t)(at - bytes));
	if (status != PH_OK || !input->has_commit)
		return status;
	return ph__text_add(&archive->header, ph_oid_to_hex(hex, algo, &input->commit),
	                    ph_hash_hex(algo));
}

static enum ph_status end(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used)
{
	struct ph__zip *zip = archive->zip;
	struct chunk *chunk = zip->first;
	enum ph_status status;

	if (!archive->ended) {
		archive->ended = true;
		zip->directory_offset = archive->bytes;
	}
	if (chunk && zip->chunk_at == chunk->len) {
		zip->first = chunk->next;
		ph_mem_free(zip->alloc, chunk);
		chunk = zip->first;
		zip->chunk_at = 0;
	}
	if (chunk) {
		*used = chunk->len - zip->chunk_at < room ? chunk->len - zip->chunk_at : room;
		memcpy(out, chunk->bytes + zip->chunk_at, *used);
		zip->chunk_at += *used;
		return PH_OK;
	}
	if (zip->trailed)
		return PH_END;
	zip->trailed = true;
	status = put_trailer(archive);
	return status == PH_OK ? PH_END : status;
}

const struct ph__archive_format_ops ph__zip_ops = {begin, prepare, data, finish, end, release};
