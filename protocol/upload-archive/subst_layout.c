/* SPDX-License-Identifier: MIT */
/*
 * Columns: padding and truncation of one item, wrapping of a text. Widths are those of a terminal;
 * a text that is no UTF-8 counts byte by byte.
 */
#include "subst_int.h"
#include "utf8_int.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ---- wrapping ---- */

struct wrap {
	struct ph__text out;
	const char *text, *end; /* what is left to look at */
	const char *line;       /* where the line began, or NULL within an indent */
	const char *space;      /* where the line could end; NULL */
	uint64_t column;
	uint32_t width, indent, indent2;
	bool bytes; /* it is no UTF-8 */
};

static char at_end(const struct wrap *wrap, const char *at)
{
	return at < wrap->end ? *at : (char)0;
}

static enum ph_status put_word(struct wrap *wrap)
{
	const char *start = wrap->space ? wrap->space : wrap->line;
	enum ph_status status = PH_OK;

	if (!wrap->space)
		status = ph__text_fill(&wrap->out, ' ', wrap->indent);
	return status == PH_OK ? ph__text_add(&wrap->out, start, (size_t)(wrap->text - start))
	                       : status;
}

static enum ph_status new_line(struct wrap *wrap)
{
	wrap->text = wrap->line = wrap->space + is_space(at_end(wrap, wrap->space));
	wrap->space = NULL;
	wrap->column = wrap->indent = wrap->indent2;
	return ph__text_add(&wrap->out, "\n", 1);
}

/* A word ends here, and fits. A single newline is a blank unless something special follows. */
static enum ph_status end_word(struct wrap *wrap, char c)
{
	enum ph_status status = PH_OK;

	wrap->space = wrap->text;
	if (c == '\t')
		wrap->column |= 7;
	if (c == '\n') {
		char next = at_end(wrap, ++wrap->space);

		if (next == '\n')
			status = ph__text_add(&wrap->out, "\n", 1);
		if (status == PH_OK && !is_alnum(next))
			return new_line(wrap);
		if (status == PH_OK)
			status = ph__text_add(&wrap->out, " ", 1);
	}
	wrap->column++;
	wrap->text++;
	return status;
}

/* PH_END when all is out; PH_ERR_INVALID when it is no UTF-8 after all. */
static enum ph_status wrap_step(struct wrap *wrap)
{
	size_t left = (size_t)(wrap->end - wrap->text), bytes = ph__utf8_colour(wrap->text, left);
	char c = at_end(wrap, wrap->text);
	enum ph_status status;
	uint32_t code;

	if (bytes) {
		wrap->text += bytes;
		return PH_OK;
	}
	if (left && !is_space(c)) {
		bytes = wrap->bytes ? 1 : ph__utf8_next(wrap->text, left, &code);
		if (bytes == 0)
			return PH_ERR_INVALID;
		if (wrap->bytes || ph__utf8_columns(code) >= 0)
			wrap->column += wrap->bytes ? 1 : (uint64_t)ph__utf8_columns(code);
		wrap->text += bytes;
		return PH_OK;
	}
	if (wrap->column > wrap->width && wrap->space)
		return new_line(wrap);
	if (!left && wrap->text == wrap->line)
		return PH_END;
	status = put_word(wrap);
	if (status != PH_OK)
		return status;
	return left ? end_word(wrap, c) : PH_END;
}

static enum ph_status wrap_text(struct wrap *wrap, const char *text, uint32_t indent1)
{
	enum ph_status status;

	do {
		ph__text_cut(&wrap->out, 0);
		wrap->text = wrap->line = text;
		wrap->space = NULL;
		wrap->column = wrap->indent = indent1;
		do
			status = wrap_step(wrap);
		while (status == PH_OK);
		wrap->bytes |= status == PH_ERR_INVALID;
	} while (status == PH_ERR_INVALID);
	return status == PH_END ? PH_OK : status;
}

/* Without a width, lines are indented and otherwise left alone. */
static enum ph_status indent_text(struct wrap *wrap, const char *text, uint32_t indent1)
{
	uint32_t indent = indent1;
	enum ph_status status = PH_OK;

	while (text < wrap->end && status == PH_OK) {
		const char *newline = memchr(text, '\n', (size_t)(wrap->end - text));
		const char *next = newline ? newline + 1 : wrap->end;

		status = ph__text_fill(&wrap->out, ' ', indent);
		if (status == PH_OK)
			status = ph__text_add(&wrap->out, text, (size_t)(next - text));
		text = next;
		indent = wrap->indent2;
	}
	return status;
}

enum ph_status ph__subst_wrap(struct ph__text *out, size_t from, uint32_t width, uint32_t indent1,
                              uint32_t indent2)
{
	struct wrap wrap = {.width = width, .indent2 = indent2};
	const char *text = ph__text_bytes(out) + from;
	enum ph_status status;

	wrap.end = text + strlen(text);
	ph__text_init(&wrap.out, out->alloc, PH__SUBST_BYTES_MAX);
	status = width ? wrap_text(&wrap, text, indent1) : indent_text(&wrap, text, indent1);
	if (status == PH_OK) {
		ph__text_cut(out, from);
		status = ph__text_add(out, ph__text_bytes(&wrap.out), wrap.out.len);
	}
	ph__text_release(&wrap.out);
	return status;
}

/* ---- padding ---- */

/* Puts two dots in the place of the columns from first on, so many. */
static enum ph_status replace(struct ph__text *item, int64_t first, int64_t count)
{
	struct ph__text out;
	int64_t column = 0;
	bool dotted = false;
	enum ph_status status = PH_OK;

	ph__text_init(&out, item->alloc, item->max);
	for (size_t at = 0; at < item->len && status == PH_OK;) {
		const char *from = item->data + at;
		size_t bytes = ph__utf8_colour(from, item->len - at);
		uint32_t code = 0;
		int columns = 0;

		if (!bytes) {
			bytes = ph__utf8_next(from, item->len - at, &code);
			columns = ph__utf8_columns(code);
		}
		if (!bytes) {
			/* It is no UTF-8, and stays as it is. */
			ph__text_release(&out);
			return PH_OK;
		}
		if (columns > 0 && column >= first && column < first + count) {
			if (!dotted)
				status = ph__text_add(&out, "..", 2);
			dotted = true;
		} else {
			status = ph__text_add(&out, from, bytes);
		}
		column += columns > 0 ? columns : 0;
		at += bytes;
	}
	ph__text_release(item);
	*item = out;
	return status;
}

static enum ph_status truncate(const struct ph__format *format, struct ph__text *item,
                               int64_t width, int64_t padding)
{
	int64_t count = width - (padding - 2);

	switch (format->trunc) {
	case PH__TRUNC_LEFT:
		return replace(item, 0, count);
	case PH__TRUNC_MIDDLE:
		return replace(item, padding / 2 - 1, count);
	case PH__TRUNC_RIGHT:
		return replace(item, padding - 2, count);
	case PH__TRUNC_NONE:
	default:
		return PH_OK;
	}
}

/* Takes blanks from what stands in front, as many as are missing. */
static int64_t steal(struct ph__text *out, int64_t width, int64_t padding)
{
	while (width > padding && out->len > 1 && out->data[out->len - 1] == ' ') {
		ph__text_cut(out, out->len - 1);
		padding++;
	}
	return padding;
}

/* Columns of the line that out ends with, its newline counted for nothing. */
static int64_t occupied(const struct ph__text *out)
{
	size_t at = out->len;

	while (at > 0 && out->data[at - 1] != '\n')
		at--;
	return (int64_t)ph__utf8_width(ph__text_bytes(out) + at, out->len - at);
}

enum ph_status ph__subst_pad(struct ph__format *format, struct ph__text *out, struct ph__text *item,
                             int64_t padding)
{
	int64_t width, before = 0, blanks;
	enum ph_status status;

	if (padding < 0)
		padding = -padding - occupied(out);
	width = (int64_t)ph__utf8_width(ph__text_bytes(item), item->len);
	if (format->flush == PH__FLUSH_STEAL) {
		padding = steal(out, width, padding);
		format->flush = PH__FLUSH_LEFT;
	}
	if (width > padding) {
		status = truncate(format, item, width, padding);
		return status == PH_OK ? ph__text_add(out, ph__text_bytes(item), item->len)
		                       : status;
	}
	blanks = padding - width;
	if (format->flush == PH__FLUSH_LEFT)
		before = blanks;
	else if (format->flush == PH__FLUSH_BOTH)
		before = blanks / 2;
	status = ph__text_fill(out, ' ', (size_t)before);
	if (status == PH_OK)
		status = ph__text_add(out, ph__text_bytes(item), item->len);
	return status == PH_OK ? ph__text_fill(out, ' ', (size_t)(blanks - before)) : status;
}
