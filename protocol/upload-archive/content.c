/* SPDX-License-Identifier: MIT */
/*
 * The bytes of one entry: none for a directory, a name for a symbolic link, a blob as it is, or
 * what attributes make of it. Only what is converted has to be in memory as a whole.
 */
#include "archive_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Input of a conversion, and half of what it may give. */
#define CONVERT_BYTES_MAX ((uint64_t)2 << 20)
#define RESIDENT_SHARE 8u

uint64_t ph__convert_bytes_max(const struct ph_limits *limits)
{
	uint64_t share = limits->delta_resident_bytes_max / RESIDENT_SHARE;

	return share < CONVERT_BYTES_MAX ? share : CONVERT_BYTES_MAX;
}

void ph__content_init(struct ph__content *content, const struct ph__archive_input *input)
{
	memset(content, 0, sizeof(*content));
	content->input = input;
	ph__blob_init(&content->blob, input->reader, input->alloc);
	for (int i = 0; i < 2; i++)
		ph__text_init(&content->text[i], input->alloc,
		              (size_t)(2 * ph__convert_bytes_max(input->limits)));
}

static void close_entry(struct ph__content *content)
{
	ph__convert_free(content->convert);
	content->convert = NULL;
	ph__blob_close(&content->blob);
	ph__text_clear(&content->text[0]);
	ph__text_clear(&content->text[1]);
	content->bytes = NULL;
	content->size = content->at = 0;
	content->big = false;
	content->lines = PH__CONTENT_PLAIN;
}

void ph__content_release(struct ph__content *content)
{
	if (!content->input)
		return;
	close_entry(content);
	ph__blob_release(&content->blob);
	ph__text_release(&content->text[0]);
	ph__text_release(&content->text[1]);
	ph_mem_free(content->input->alloc, content->window);
	content->window = NULL;
}

static enum ph_status fail(const struct ph__archive_entry *entry, enum ph_status status,
                           const char *what, uint64_t max, char why[PH__ARCHIVE_WHY_BYTES])
{
	(void)snprintf(why, PH__ARCHIVE_WHY_BYTES,
	               "'%.300s' is too large %s (at most %" PRIu64 " bytes)", entry->tree_path,
	               what, max);
	return status;
}

static uint64_t delta_max(const struct ph_limits *limits)
{
	return limits->metadata_bytes_max > limits->delta_resident_bytes_max
	               ? limits->metadata_bytes_max
	               : limits->delta_resident_bytes_max;
}

static enum ph_status open_blob(struct ph__content *content, const struct ph__archive_entry *entry,
                                char why[PH__ARCHIVE_WHY_BYTES])
{
	const struct ph_source *source = ph_reader_source(content->input->reader);
	uint64_t max = delta_max(content->input->limits);
	enum ph_status status = ph__blob_open(&content->blob, &entry->oid, max);
	char hex[PH_OID_HEX_MAX + 1];

	if (status == PH_ERR_LIMIT)
		return fail(entry, status, "for a file that is stored as a difference", max, why);
	if (status == PH_ERR_NOT_FOUND) {
		(void)snprintf(why, PH__ARCHIVE_WHY_BYTES, "cannot read '%s'",
		               ph_oid_to_hex(hex, source->algo, &entry->oid));
		return PH_ERR_MISSING;
	}
	content->size = content->blob.size;
	return status;
}

/* A link is looked at as a whole; so is what is converted. */
static enum ph_status open_whole(struct ph__content *content, const struct ph__archive_entry *entry,
                                 char why[PH__ARCHIVE_WHY_BYTES])
{
	bool link = ph_mode_is_symlink(entry->mode);
	uint64_t max =
	        link ? PH__ARCHIVE_LINK_BYTES_MAX : ph__convert_bytes_max(content->input->limits);

	if (content->size > max)
		return fail(entry, PH_ERR_LIMIT,
		            link ? "for a symbolic link" : "to be converted as its attributes say",
		            max, why);
	return ph__blob_bytes(&content->blob, &content->bytes);
}

/* ---- line ends of large files ---- */

static enum ph_status start_lines(struct ph__content *content)
{
	if (!content->window)
		content->window = ph_mem_alloc(content->input->alloc, PH__BLOB_WINDOW_BYTES);
	if (!content->window)
		return PH_ERR_NOMEM;
	memset(&content->stats, 0, sizeof(content->stats));
	content->lines = PH__CONTENT_COUNTING;
	return PH_OK;
}

static enum ph_status fill_window(struct ph__content *content, uint32_t *budget)
{
	content->window_at = 0;
	return ph__blob_read(&content->blob, content->window, PH__BLOB_WINDOW_BYTES,
	                     &content->window_len, budget);
}

/* All of the file is looked at, before the first byte of it goes out. */
static enum ph_status count_lines(struct ph__content *content, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	while (status == PH_OK) {
		if (*budget == 0)
			return PH_AGAIN;
		status = fill_window(content, budget);
		if (status == PH_OK)
			ph__line_stats_add(&content->stats, content->window, content->window_len);
	}
	if (status != PH_END)
		return status;
	content->lines = PH__CONTENT_PLAIN;
	if (ph__line_ends_change(&content->stats, content->ends)) {
		content->lines = PH__CONTENT_CRLF;
		content->size += content->stats.lone_lf;
	}
	return ph__content_rewind(content);
}

static enum ph_status read_lines(struct ph__content *content, uint8_t *out, size_t room,
                                 size_t *used, uint32_t *budget)
{
	uint8_t pair[2];
	enum ph_status status = PH_OK;

	*used = 0;
	if (content->has_spare) {
		*out = content->spare;
		content->has_spare = false;
		*used = 1;
		return PH_OK;
	}
	if (content->window_at == content->window_len)
		status = fill_window(content, budget);
	if (status != PH_OK || room == 0)
		return status;
	*used = ph__line_ends_copy(&content->line_state, content->window, &content->window_at,
	                           content->window_len, out, room);
	ph_budget_spend_bytes(budget, *used);
	if (*used)
		return PH_OK;
	/* There is room for half of a line's end. */
	(void)ph__line_ends_copy(&content->line_state, content->window, &content->window_at,
	                         content->window_at + 1, pair, 2);
	*out = pair[0];
	content->spare = pair[1];
	content->has_spare = true;
	*used = 1;
	return PH_OK;
}

static enum ph_status begin(struct ph__content *content, const struct ph__archive_entry *entry,
                            char why[PH__ARCHIVE_WHY_BYTES])
{
	bool subst =
	        content->input->subst && entry->attributes[PH__ATTR_EXPORT_SUBST] == PH__ATTR_TRUE;
	enum ph_status status;

	close_entry(content);
	if (ph_mode_is_tree(entry->mode) || ph_mode_is_submodule(entry->mode))
		return PH_OK;
	status = open_blob(content, entry, why);
	if (status != PH_OK)
		return status;
	if (ph_mode_is_symlink(entry->mode))
		return open_whole(content, entry, why);
	if (content->size > PH__ARCHIVE_BIG_BYTES &&
	    entry->attributes[PH__ATTR_EXPORT_SUBST] != PH__ATTR_TRUE) {
		content->big = true;
		return PH_OK;
	}
	content->ends = ph__line_ends_of(entry->attributes);
	if (!ph__convert_needed(entry->attributes, subst)) {
		if (content->ends == PH__ENDS_AS_THEY_ARE)
			return PH_OK;
		if (content->size > ph__convert_bytes_max(content->input->limits))
			return start_lines(content);
	}
	status = open_whole(content, entry, why);
	if (status == PH_OK)
		status = ph__convert_new(&content->convert, content->input, entry, content->bytes,
		                         content->size, content->text);
	return status;
}

enum ph_status ph__content_open(struct ph__content *content, const struct ph__archive_entry *entry,
                                char why[PH__ARCHIVE_WHY_BYTES], uint32_t *budget)
{
	enum ph_status status = PH_OK;

	if (!content->convert && content->lines != PH__CONTENT_COUNTING) {
		status = begin(content, entry, why);
		ph_budget_spend(budget, 1);
	}
	if (status == PH_OK && content->lines == PH__CONTENT_COUNTING)
		return count_lines(content, budget);
	if (status != PH_OK || !content->convert)
		return status;
	status = ph__convert_run(content->convert, budget);
	if (status == PH_ERR_LIMIT)
		return fail(entry, status, "once it is converted as its attributes say",
		            content->text[0].max, why);
	if (status != PH_OK)
		return status;
	ph__convert_result(content->convert, &content->bytes, &content->size);
	ph__convert_free(content->convert);
	content->convert = NULL;
	return PH_OK;
}

enum ph_status ph__content_rewind(struct ph__content *content)
{
	content->at = 0;
	content->window_at = content->window_len = 0;
	content->line_state.cr = false;
	content->has_spare = false;
	return content->bytes || content->size == 0 ? PH_OK : ph__blob_rewind(&content->blob);
}

enum ph_status ph__content_read(struct ph__content *content, uint8_t *out, size_t room,
                                size_t *used, uint32_t *budget)
{
	uint64_t left = content->size - content->at;

	if (content->lines == PH__CONTENT_CRLF)
		return read_lines(content, out, room, used, budget);
	if (left && !content->bytes)
		return ph__blob_read(&content->blob, out, room, used, budget);
	*used = 0;
	if (left == 0)
		return PH_END;
	if (room > left)
		room = (size_t)left;
	memcpy(out, content->bytes + content->at, room);
	*used = room;
	content->at += room;
	ph_budget_spend_bytes(budget, room);
	return PH_OK;
}
