/* SPDX-License-Identifier: MIT */
/*
 * An archive is read here: entry after entry, of each its headers, its bytes and what follows them.
 * Whoever reads decides how much and when; the archive only remembers where it is.
 */
#include "archive_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum ph_status ph__archive_fail(struct ph__archive *archive, enum ph_status status,
                                const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vsnprintf(archive->why, sizeof(archive->why), format, args) < 0)
		archive->why[0] = 0;
	va_end(args);
	return status;
}

const char *ph__archive_why(const struct ph__archive *archive)
{
	return archive->why;
}

static enum ph_status make(struct ph__archive *archive)
{
	const struct ph__archive_options *options = archive->input.options;
	enum ph_status status = ph__entries_init(&archive->entries, &archive->input);

	if (status == PH_OK && options->format == PH__FORMAT_ZIP)
		status = ph__zip_new(&archive->zip, &archive->input);
	if (status == PH_OK &&
	    (options->format == PH__FORMAT_TGZ || options->format == PH__FORMAT_TAR_GZ))
		status = ph__gzip_new(&archive->gzip, archive->input.alloc, options->level);
	return status;
}

enum ph_status ph__archive_new(struct ph__archive **out, const struct ph__archive_input *input)
{
	struct ph__archive *archive = ph_mem_zalloc(input->alloc, 1, sizeof(*archive));
	enum ph_status status;

	if (!archive)
		return PH_ERR_NOMEM;
	archive->input = *input;
	archive->ops = input->options->format == PH__FORMAT_ZIP ? &ph__zip_ops : &ph__tar_ops;
	ph__content_init(&archive->content, &archive->input);
	ph__text_init(&archive->header, input->alloc, PH__ARCHIVE_HEADER_BYTES_MAX);
	status = make(archive);
	if (status != PH_OK) {
		ph__archive_free(archive);
		return status;
	}
	*out = archive;
	return PH_OK;
}

void ph__archive_free(struct ph__archive *archive)
{
	if (!archive)
		return;
	archive->ops->release(archive);
	ph__gzip_free(archive->gzip);
	ph__content_release(&archive->content);
	ph__entries_release(&archive->entries);
	ph__text_release(&archive->header);
	ph_mem_free(archive->input.alloc, archive);
}

/* What git says of an entry that cannot be walked. */
static enum ph_status walk_failed(struct ph__archive *archive, enum ph_status status)
{
	const struct ph__tree_walk *walk = &archive->entries.walk;

	if (status == PH_ERR_LIMIT && walk->depth == PH__TREE_DEPTH_MAX)
		return ph__archive_fail(archive, status, "exceeded maximum allowed tree depth");
	if (status == PH_ERR_LIMIT)
		return ph__archive_fail(
		        archive, status,
		        "'%.200s': a tree, its path or its attributes are too large",
		        ph__text_bytes(&walk->path));
	return status;
}

static enum ph_status next(struct ph__archive *archive, uint32_t *budget)
{
	const struct ph__archive_options *options = archive->input.options;
	enum ph_status status = ph__entries_next(&archive->entries, &archive->entry, budget);

	if (status == PH_END) {
		archive->state = PH__ARCHIVE_END;
		return PH_OK;
	}
	if (status != PH_OK)
		return status < 0 ? walk_failed(archive, status) : status;
	archive->state = PH__ARCHIVE_CONTENT;
	if (!options->verbose)
		return PH_OK;
	status = ph__text_add(archive->input.notes, archive->entry.path, archive->entry.path_len);
	return status == PH_OK ? ph__text_add(archive->input.notes, "\n", 1) : status;
}

/* Gives header bytes that wait. */
static void give_header(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used)
{
	size_t len = archive->header.len - archive->header_at;

	if (len > room - *used)
		len = room - *used;
	if (len)
		memcpy(out + *used, archive->header.data + archive->header_at, len);
	*used += len;
	archive->header_at += len;
	archive->bytes += len;
	if (archive->header_at == archive->header.len) {
		ph__text_clear(&archive->header);
		archive->header_at = 0;
	}
}

/* One piece of work, with room for bytes and no header waiting. */
static enum ph_status step(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used,
                           uint32_t *budget)
{
	enum ph_status status;

	*used = 0;
	switch (archive->state) {
	case PH__ARCHIVE_BEGIN:
		archive->state = PH__ARCHIVE_NEXT;
		return archive->ops->begin(archive);
	case PH__ARCHIVE_NEXT:
		return next(archive, budget);
	case PH__ARCHIVE_CONTENT:
		status = ph__content_open(&archive->content, &archive->entry, archive->why, budget);
		if (status == PH_OK)
			archive->state = PH__ARCHIVE_PREPARE;
		return status;
	case PH__ARCHIVE_PREPARE:
		status = archive->ops->prepare(archive, budget);
		if (status == PH_OK)
			archive->state = PH__ARCHIVE_DATA;
		return status;
	case PH__ARCHIVE_DATA:
		status = archive->ops->data(archive, out, room, used, budget);
		if (status != PH_END)
			return status;
		archive->state = PH__ARCHIVE_NEXT;
		return archive->ops->finish(archive);
	case PH__ARCHIVE_END:
	default:
		return archive->ops->end(archive, out, room, used);
	}
}

enum ph_status ph__archive_read_plain(struct ph__archive *archive, uint8_t *out, size_t room,
                                      size_t *used, uint32_t *budget)
{
	for (*used = 0;;) {
		enum ph_status status;
		size_t got;

		give_header(archive, out, room, used);
		if (*used == room)
			return PH_OK;
		if (archive->input.notes->len >= PH__ARCHIVE_NOTES_BYTES)
			return PH_PENDING;
		if (*budget == 0)
			return PH_AGAIN;
		status = step(archive, out + *used, room - *used, &got, budget);
		*used += got;
		archive->bytes += got;
		if (status == PH_END && archive->header.len)
			continue;
		if (status != PH_OK && status != PH_AGAIN)
			return status;
		/* Each round costs, so that none is endless. */
		ph_budget_spend(budget, archive->state == PH__ARCHIVE_NEXT);
	}
}

enum ph_status ph__archive_read(struct ph__archive *archive, uint8_t *out, size_t room,
                                size_t *used, uint32_t *budget)
{
	*used = 0;
	if (archive->gzip)
		return ph__gzip_read(archive->gzip, archive, out, room, used, budget);
	return ph__archive_read_plain(archive, out, room, used, budget);
}
