/* SPDX-License-Identifier: MIT */
/*
 * The tar format as git writes it (ustar with pax extensions, POSIX.1-2001): the commit's id in a
 * global header, paths that fit neither the name nor prefix and name in a header of their own,
 * files of 8 GiB and more with their size in one, and all of it padded to blocks of twenty records.
 */
#include "archive_int.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECORD_BYTES 512u
#define BLOCK_BYTES 10240u
/* Eleven octal digits, for sizes and times. */
#define OCTAL_MAX UINT64_C(077777777777)
/* tar.umask, as it is unless somebody configures it. */
#define UMASK 002u
#define NAME_BYTES 100u
#define PREFIX_BYTES 155u

/* A header record's fields. */
struct record {
	char name[NAME_BYTES], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type;
	char link[NAME_BYTES], magic[6], version[2], user[32], group[32], major[8], minor[8];
	char prefix[PREFIX_BYTES], rest[12];
};

_Static_assert(sizeof(struct record) == RECORD_BYTES, "a record");

static uint64_t header_time(const struct ph__archive *archive)
{
	return archive->input.time < OCTAL_MAX ? archive->input.time : OCTAL_MAX;
}

static enum ph_status add_record(struct ph__archive *archive, struct record *record, uint32_t mode,
                                 uint64_t size)
{
	const unsigned char *bytes = (const unsigned char *)record;
	unsigned sum = 0;

	(void)snprintf(record->mode, sizeof(record->mode), "%07o", (unsigned)mode & 07777u);
	(void)snprintf(record->size, sizeof(record->size), "%011" PRIo64, size);
	(void)snprintf(record->mtime, sizeof(record->mtime), "%011" PRIo64, header_time(archive));
	memcpy(record->uid, "0000000", 8);
	memcpy(record->gid, "0000000", 8);
	memcpy(record->major, "0000000", 8);
	memcpy(record->minor, "0000000", 8);
	memcpy(record->user, "root", 5);
	memcpy(record->group, "root", 5);
	memcpy(record->magic, "ustar", 6);
	memcpy(record->version, "00", 2);
	memset(record->sum, ' ', sizeof(record->sum));
	for (size_t i = 0; i < sizeof(*record); i++)
		sum += bytes[i];
	(void)snprintf(record->sum, sizeof(record->sum), "%07o", sum);
	return ph__text_add(&archive->header, record, sizeof(*record));
}

/* Zeros up to the next record. */
static enum ph_status pad(struct ph__archive *archive, uint64_t len)
{
	return ph__text_fill(&archive->header, 0,
	                     (RECORD_BYTES - (size_t)(len % RECORD_BYTES)) % RECORD_BYTES);
}

/* "length key=value\n", where the length counts its own digits. */
static enum ph_status add_extension(struct ph__text *text, const char *key, const char *value,
                                    size_t value_len)
{
	size_t len = 1 + 1 + strlen(key) + 1 + value_len + 1;
	enum ph_status status;

	for (size_t power = 1; len / 10 >= power; power *= 10)
		len++;
	status = ph__text_print(text, "%zu %s=", len, key);
	if (status == PH_OK)
		status = ph__text_add(text, value, value_len);
	return status == PH_OK ? ph__text_add(text, "\n", 1) : status;
}

static enum ph_status add_number(struct ph__text *text, const char *key, uint64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
	return add_extension(text, key, digits, strlen(digits));
}

/* Extensions behind a header that says so. */
static enum ph_status add_extensions(struct ph__archive *archive, char type, const char *name,
                                     struct ph__text *text)
{
	struct record record = {.type = type};
	enum ph_status status;

	(void)snprintf(record.name, sizeof(record.name), "%s", name);
	status = add_record(archive, &record, 0666, text->len);
	if (status == PH_OK)
		status = ph__text_add(&archive->header, text->data, text->len);
	return status == PH_OK ? pad(archive, text->len) : status;
}

static void extension_name(const struct ph__archive *archive, const char *format_end,
                           char out[NAME_BYTES])
{
	char hex[PH_OID_HEX_MAX + 1];

	ph_oid_to_hex(hex, ph_reader_source(archive->input.reader)->algo, &archive->entry.oid);
	(void)snprintf(out, NAME_BYTES, "%s%s", hex, format_end);
}

static enum ph_status begin(struct ph__archive *archive)
{
	const struct ph__archive_input *input = &archive->input;
	enum ph_hash_algo algo = ph_reader_source(input->reader)->algo;
	char hex[PH_OID_HEX_MAX + 1];
	struct ph__text text;
	enum ph_status status = PH_OK;

	ph__text_init(&text, input->alloc, PH__ARCHIVE_HEADER_BYTES_MAX);
	if (input->has_commit)
		status = add_extension(&text, "comment", ph_oid_to_hex(hex, algo, &input->commit),
		                       ph_hash_hex(algo));
	if (status == PH_OK && input->time > OCTAL_MAX)
		status = add_number(&text, "mtime", input->time);
	if (status == PH_OK && text.len)
		status = add_extensions(archive, 'g', "pax_global_header", &text);
	ph__text_release(&text);
	return status;
}

/* Where a path is cut so that what is before the cut fits the prefix; 0 for nowhere. */
static size_t cut_at(const char *path, size_t len)
{
	size_t at = len;

	if (at > 1 && path[at - 1] == '/')
		at--;
	if (at > PREFIX_BYTES)
		at = PREFIX_BYTES;
	do
		at--;
	while (at > 0 && path[at] != '/');
	return at;
}

static enum ph_status put_path(struct ph__archive *archive, struct record *record,
                               struct ph__text *extensions)
{
	const char *path = archive->entry.path;
	size_t len = archive->entry.path_len, cut;
	char name[NAME_BYTES];

	if (len <= NAME_BYTES) {
		memcpy(record->name, path, len);
		return PH_OK;
	}
	cut = cut_at(path, len);
	if (cut > 0 && len - cut - 1 <= NAME_BYTES) {
		memcpy(record->prefix, path, cut);
		memcpy(record->name, path + cut + 1, len - cut - 1);
		return PH_OK;
	}
	extension_name(archive, ".data", name);
	memcpy(record->name, name, strlen(name));
	return add_extension(extensions, "path", path, len);
}

static enum ph_status put_link(struct ph__archive *archive, struct record *record,
                               struct ph__text *extensions)
{
	const struct ph__content *content = &archive->content;
	char name[NAME_BYTES];

	assert(content->bytes || content->size == 0);
	if (content->size <= NAME_BYTES) {
		if (content->size)
			memcpy(record->link, content->bytes, (size_t)content->size);
		return PH_OK;
	}
	extension_name(archive, ".paxheader", name);
	memcpy(record->link, "see ", 4);
	memcpy(record->link + 4, name, strlen(name));
	return add_extension(extensions, "linkpath", (const char *)content->bytes,
	                     (size_t)content->size);
}

static uint32_t mode_of(uint32_t mode, char *type)
{
	if (ph_mode_is_tree(mode) || ph_mode_is_submodule(mode)) {
		*type = '5';
		return (mode | 0777) & ~UMASK;
	}
	if (ph_mode_is_symlink(mode)) {
		*type = '2';
		return mode | 0777;
	}
	*type = '0';
	return (mode | ((mode & 0100) ? 0777u : 0666u)) & ~UMASK;
}

static enum ph_status prepare(struct ph__archive *archive, uint32_t *budget)
{
	struct record record = {0};
	struct ph__text extensions;
	uint32_t mode = mode_of(archive->entry.mode, &record.type);
	uint64_t size = record.type == '0' ? archive->content.size : 0;
	char name[NAME_BYTES];
	enum ph_status status;

	(void)budget;
	ph__text_init(&extensions, archive->input.alloc, PH__ARCHIVE_HEADER_BYTES_MAX);
	status = put_path(archive, &record, &extensions);
	if (status == PH_OK && record.type == '2')
		status = put_link(archive, &record, &extensions);
	if (status == PH_OK && size > OCTAL_MAX) {
		status = add_number(&extensions, "size", size);
		size = 0;
	}
	if (status == PH_OK && extensions.len) {
		extension_name(archive, ".paxheader", name);
		status = add_extensions(archive, 'x', name, &extensions);
	}
	if (status == PH_OK)
		status = add_record(archive, &record, mode, size);
	ph__text_release(&extensions);
	return status;
}

static bool has_data(const struct ph__archive *archive)
{
	return (archive->entry.mode & 0170000) == 0100000;
}

static enum ph_status data(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used,
                           uint32_t *budget)
{
	if (!has_data(archive))
		return PH_END;
	return ph__content_read(&archive->content, out, room, used, budget);
}

static enum ph_status finish(struct ph__archive *archive)
{
	return has_data(archive) ? pad(archive, archive->content.size) : PH_OK;
}

/* Two empty records at least, and then up to the end of a block. */
static enum ph_status end(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used)
{
	size_t tail = BLOCK_BYTES - (size_t)(archive->bytes % BLOCK_BYTES);
	enum ph_status status = PH_OK;

	(void)out;
	(void)room;
	(void)used;
	if (archive->ended)
		return PH_END;
	archive->ended = true;
	if (tail < 2 * RECORD_BYTES)
		tail += BLOCK_BYTES;
	status = ph__text_fill(&archive->header, 0, tail);
	return status == PH_OK ? PH_END : status;
}

static void release(struct ph__archive *archive)
{
	(void)archive;
}

const struct ph__archive_format_ops ph__tar_ops = {begin, prepare, data, finish, end, release};
