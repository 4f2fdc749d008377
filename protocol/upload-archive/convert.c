/* SPDX-License-Identifier: MIT */
/*
 * What attributes make of a file on its way out, in git's order: "ident" expands $Id$, "eol=crlf"
 * ends lines as DOS does, "export-subst" expands $Format:...$. Each is done in pieces, so that a
 * large file holds nobody up.
 */
#include "archive_int.h"
#include "line_ends_int.h"

#include <string.h>

/* Input that is worked on before the budget is looked at again. */
#define PIECE_BYTES 65536u

enum stage { STAGE_IDENT, STAGE_CRLF, STAGE_SUBST, STAGE_DONE };

struct ph__convert {
	const struct ph__archive_input *input;
	const uint8_t *attributes;
	struct ph_oid oid;
	const char *bytes; /* what the stage reads */
	size_t size, at;
	struct ph__text *texts;
	unsigned writes; /* the text that it writes to */
	enum stage stage;
	bool begun;
};

/* ---- eol ---- */

static bool wants_crlf(const struct ph__convert *convert)
{
	enum ph__line_ends ends = ph__line_ends_of(convert->attributes);
	struct ph__line_stats stats = {0};

	if (ends == PH__ENDS_AS_THEY_ARE)
		return false;
	ph__line_stats_add(&stats, convert->bytes, convert->size);
	return ph__line_ends_change(&stats, ends);
}

/* A line, or what is left of it. */
static enum ph_status crlf(struct ph__convert *convert, struct ph__text *out)
{
	const char *from = convert->bytes + convert->at;
	size_t left = convert->size - convert->at;
	const char *newline = memchr(from, '\n', left);
	size_t len = newline ? (size_t)(newline - from) : left;
	bool before = len ? from[len - 1] == '\r' : convert->at && from[-1] == '\r';
	enum ph_status status = ph__text_add(out, from, len);

	convert->at += len + (newline != NULL);
	if (status == PH_OK && newline)
		status = ph__text_add(out, before ? "\n" : "\r\n", before ? 1 : 2);
	return status;
}

/* ---- ident ---- */

/* How long the keyword is behind a dollar sign, with its last one; 0 when it is none. */
static size_t keyword(const char *at, size_t left)
{
	const char *dollar;
	size_t len;

	if (left < 3 || memcmp(at, "Id", 2) != 0)
		return 0;
	if (at[2] == '$')
		return 3;
	dollar = at[2] == ':' ? memchr(at + 3, '$', left - 3) : NULL;
	if (!dollar)
		return 0;
	len = (size_t)(dollar - at);
	if (memchr(at + 3, '\n', len - 3))
		return 0;
	/* One with spaces inside is some other system's. */
	if (len > 4) {
		const char *space = memchr(at + 4, ' ', len - 4);

		if (space && space < dollar - 1)
			return 0;
	}
	return len + 1;
}

static enum ph_status ident(struct ph__convert *convert, struct ph__text *out)
{
	enum ph_hash_algo algo = ph_reader_source(convert->input->reader)->algo;
	const char *from = convert->bytes + convert->at;
	size_t left = convert->size - convert->at;
	const char *dollar = memchr(from, '$', left);
	size_t len = dollar ? (size_t)(dollar - from) + 1 : left;
	size_t skip = keyword(from + len, left - len);
	char hex[PH_OID_HEX_MAX + 1];
	enum ph_status status = ph__text_add(out, from, len);

	convert->at += len + skip;
	if (status != PH_OK || !skip)
		return status;
	return ph__text_print(out, "Id: %s $", ph_oid_to_hex(hex, algo, &convert->oid));
}

/* ---- export-subst ---- */

static const char opening[] = "$Format:";
#define OPENING_BYTES (sizeof(opening) - 1)

static const char *find_opening(const char *from, size_t left)
{
	const char *end = from + left;

	while (left >= OPENING_BYTES) {
		const char *dollar = memchr(from, '$', left - OPENING_BYTES + 1);

		if (!dollar || memcmp(dollar, opening, OPENING_BYTES) == 0)
			return dollar;
		from = dollar + 1;
		left = (size_t)(end - from);
	}
	return NULL;
}

/* Up to the next $Format:...$, and what it gives. */
static enum ph_status subst(struct ph__convert *convert, struct ph__text *out, uint32_t *budget)
{
	const char *from = convert->bytes + convert->at;
	size_t left = convert->size - convert->at, len = left;
	const char *open = find_opening(from, left), *end = NULL;
	enum ph_status status;

	if (open) {
		const char *format = open + OPENING_BYTES;

		end = memchr(format, '$', (size_t)(from + left - format));
	}
	if (end)
		len = (size_t)(open - from);
	status = ph__text_add(out, from, len);
	convert->at += len;
	if (status != PH_OK || !end)
		return status;
	convert->at = (size_t)(end + 1 - convert->bytes);
	from = open + OPENING_BYTES;
	ph_budget_spend(budget, 1);
	return ph__subst_format(convert->input->subst, out, from, (size_t)(end - from), budget);
}

/* ---- stages ---- */

bool ph__convert_needed(const uint8_t *attributes, bool subst)
{
	return subst || attributes[PH__ATTR_IDENT] == PH__ATTR_TRUE;
}

enum ph_status ph__convert_new(struct ph__convert **out, const struct ph__archive_input *input,
                               const struct ph__archive_entry *entry, const uint8_t *bytes,
                               uint64_t size, struct ph__text texts[2])
{
	struct ph__convert *convert = ph_mem_zalloc(input->alloc, 1, sizeof(*convert));

	if (!convert)
		return PH_ERR_NOMEM;
	convert->input = input;
	convert->attributes = entry->attributes;
	convert->oid = entry->oid;
	convert->bytes = (const char *)bytes;
	convert->size = (size_t)size;
	convert->texts = texts;
	*out = convert;
	return PH_OK;
}

void ph__convert_free(struct ph__convert *convert)
{
	if (convert)
		ph_mem_free(convert->input->alloc, convert);
}

void ph__convert_result(const struct ph__convert *convert, const uint8_t **bytes, uint64_t *size)
{
	*bytes = (const uint8_t *)convert->bytes;
	*size = convert->size;
}

static bool wanted(const struct ph__convert *convert)
{
	switch (convert->stage) {
	case STAGE_IDENT:
		return convert->attributes[PH__ATTR_IDENT] == PH__ATTR_TRUE;
	case STAGE_CRLF:
		return wants_crlf(convert);
	case STAGE_SUBST:
		return convert->input->subst &&
		       convert->attributes[PH__ATTR_EXPORT_SUBST] == PH__ATTR_TRUE &&
		       find_opening(convert->bytes, convert->size);
	case STAGE_DONE:
	default:
		return false;
	}
}

/* One piece of the stage's input; a line or a keyword may be larger. */
static enum ph_status work(struct ph__convert *convert, struct ph__text *out, uint32_t *budget)
{
	size_t start = convert->at;
	enum ph_status status = PH_OK;

	while (status == PH_OK && convert->at < convert->size &&
	       convert->at - start<PIECE_BYTES && * budget> 0) {
		if (convert->stage == STAGE_IDENT)
			status = ident(convert, out);
		else if (convert->stage == STAGE_CRLF)
			status = crlf(convert, out);
		else
			status = subst(convert, out, budget);
	}
	ph_budget_spend_bytes(budget, convert->at - start);
	return status;
}

static void end_stage(struct ph__convert *convert)
{
	const struct ph__text *out = &convert->texts[convert->writes];

	convert->bytes = ph__text_bytes(out);
	convert->size = out->len;
	convert->writes ^= 1;
	convert->begun = false;
	convert->stage++;
}

enum ph_status ph__convert_run(struct ph__convert *convert, uint32_t *budget)
{
	while (convert->stage != STAGE_DONE) {
		enum ph_status status;

		if (*budget == 0)
			return PH_AGAIN;
		if (!convert->begun && !wanted(convert)) {
			convert->stage++;
			continue;
		}
		status = PH_OK;
		if (convert->stage == STAGE_SUBST)
			status = ph__facts_gather(convert->input->facts, budget);
		if (status != PH_OK)
			return status;
		if (!convert->begun) {
			ph__text_cut(&convert->texts[convert->writes], 0);
			convert->at = 0;
			convert->begun = true;
		}
		status = work(convert, &convert->texts[convert->writes], budget);
		if (status != PH_OK)
			return status;
		if (convert->at == convert->size)
			end_stage(convert);
	}
	return PH_OK;
}
