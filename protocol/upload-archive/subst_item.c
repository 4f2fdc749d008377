/* SPDX-License-Identifier: MIT */
/*
 * The placeholders (git-log(1), "PRETTY FORMATS"): ids, people and their dates, the message, refs,
 * and those that steer padding and wrapping. Colours are known and give nothing, since no archive
 * is a terminal.
 */
#include "date_int.h"
#include "subst_int.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add(struct ph__format *format, struct ph__text *out, const char *text, size_t len)
{
	if (format->status == PH_OK)
		format->status = ph__text_add(out, text, len);
}

static void add_text(struct ph__format *format, struct ph__text *out, const char *text)
{
	add(format, out, text, strlen(text));
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* ---- people ---- */

struct person {
	const char *name, *mail, *date, *zone;
	size_t name_len, mail_len, date_len, zone_len;
};

static size_t digits(const char *at, const char *end)
{
	const char *from = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return (size_t)(at - from);
}

/* Time and zone, behind the last ">". Without both there is neither. */
static void split_date(struct person *out, const char *at, const char *end)
{
	const char *date;
	size_t date_len;

	while (at < end && is_space(*at))
		at++;
	date = at;
	date_len = digits(at, end);
	at += date_len;
	while (at < end && is_space(*at))
		at++;
	if (!date_len || at >= end || (*at != '+' && *at != '-') || !digits(at + 1, end))
		return;
	out->date = date;
	out->date_len = date_len;
	out->zone = at;
	out->zone_len = 1 + digits(at + 1, end);
}

/* "Name <mail> time zone". */
static bool split_person(struct person *out, const char *line, size_t len)
{
	const char *end = line + len;
	const char *open = memchr(line, '<', len), *close, *last;

	memset(out, 0, sizeof(*out));
	close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;
	if (!close)
		return false;
	out->name = line;
	for (const char *at = open; at > line; at--)
		if (!is_space(at[-1])) {
			out->name_len = (size_t)(at - line);
			break;
		}
	out->mail = open + 1;
	out->mail_len = (size_t)(close - open - 1);
	for (last = end; last[-1] != '>';)
		last--;
	split_date(out, last, end);
	return true;
}

/* The header's last line of this name. */
static const char *header(const struct ph__format *format, const char *name, size_t *len)
{
	const char *at = format->subst->text, *found = NULL;

	while (at < format->message) {
		const char *newline = strchr(at, '\n');
		size_t line_len = newline ? (size_t)(newline - at) : strlen(at);

		if (begins(at, name)) {
			found = at + strlen(name);
			*len = line_len - strlen(name);
		}
		at += line_len + (newline != NULL);
	}
	return found;
}

static uint64_t number(const char *text, size_t len, uint64_t max)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)
		value = value > max ? value : value * 10 + (uint64_t)(text[i] - '0');
	return value;
}

/* False for a letter that is no style of dates. */
static bool date_style(char letter, enum ph__date_style *out)
{
	static const char letters[] = "dDiIsr";
	static const enum ph__date_style styles[] = {PH__DATE_NORMAL, PH__DATE_RFC2822,
	                                             PH__DATE_ISO,    PH__DATE_ISO_STRICT,
	                                             PH__DATE_SHORT,  PH__DATE_RELATIVE};
	const char *at = letter ? strchr(letters, letter) : NULL;

	if (at)
		*out = styles[at - letters];
	return at;
}

static void add_date(struct ph__format *format, struct ph__text *out, const struct person *person,
                     enum ph__date_style style)
{
	uint64_t seconds = number(person->date, person->date_len, (uint64_t)1 << 56);
	int64_t zone = (int64_t)number(person->zone + 1, person->zone_len - 1, 10000000);

	if (format->status == PH_OK)
		format->status =
		        ph__date_show(out, style, seconds, *person->zone == '-' ? -zone : zone,
		                      format->subst->now_s);
}

/* "%an" and its kin. A mailmap there is none, so %aN is %an. */
static size_t item_person(struct ph__format *format, struct ph__text *out, const char *at)
{
	enum ph__date_style style = PH__DATE_NORMAL;
	struct person person;
	size_t len = 0;
	const char *line = header(format, *at == 'a' ? "author " : "committer ", &len);
	bool good = line && split_person(&person, line, len);
	const char *sign;

	if (good && (at[1] == 'n' || at[1] == 'N')) {
		add(format, out, person.name, person.name_len);
	} else if (good && (at[1] == 'e' || at[1] == 'E')) {
		add(format, out, person.mail, person.mail_len);
	} else if (good && (at[1] == 'l' || at[1] == 'L')) {
		sign = memchr(person.mail, '@', person.mail_len);
		add(format, out, person.mail,
		    sign ? (size_t)(sign - person.mail) : person.mail_len);
	} else if (good && person.date && at[1] == 't') {
		add(format, out, person.date, person.date_len);
	} else if (good && person.date && date_style(at[1], &style)) {
		add_date(format, out, &person, style);
	} else {
		/* Without a person or a date, these are known and give nothing. */
		return at[1] && strchr("netdDri", at[1]) ? 2 : 0;
	}
	return 2;
}

/* Of a signature: that there is none. What one is worth is not for a server to say. */
static size_t item_signature(struct ph__format *format, struct ph__text *out, const char *at)
{
	size_t len;

	if (!at[1] || !strchr("?GSKFP", at[1]) || header(format, "gpgsig", &len))
		return 0;
	if (at[1] == '?')
		add(format, out, "N", 1);
	return 2;
}

/* ---- the message ---- */

static size_t line_length(const char *at)
{
	const char *newline = strchr(at, '\n');

	return newline ? (size_t)(newline - at) + 1 : strlen(at);
}

/* Without the white space at its end. */
static size_t trimmed(const char *line, size_t len)
{
	while (len && is_space(line[len - 1]))
		len--;
	return len;
}

static const char *skip_blank_lines(const char *at)
{
	while (*at && trimmed(at, line_length(at)) == 0)
		at += line_length(at);
	return at;
}

static const char *subject_of(const struct ph__format *format)
{
	return skip_blank_lines(format->message);
}

static void add_subject(struct ph__format *format, struct ph__text *out)
{
	bool first = true;

	for (const char *at = subject_of(format); *at; at += line_length(at)) {
		size_t len = trimmed(at, line_length(at));

		if (len == 0)
			return;
		if (!first)
			add(format, out, " ", 1);
		add(format, out, at, len);
		first = false;
	}
}

static void add_body(struct ph__format *format, struct ph__text *out)
{
	const char *at = subject_of(format);

	while (*at && trimmed(at, line_length(at)))
		at += line_length(at);
	add_text(format, out, skip_blank_lines(at));
}

static bool is_title(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_';
}

/* The first line of the subject as a name of a file. */
static void add_file_name(struct ph__format *format, struct ph__text *out)
{
	const char *line = subject_of(format);
	size_t len = strcspn(line, "\n"), start = out->len;
	bool gap = false, any = false;

	for (size_t i = 0; i < len && format->status == PH_OK; i++) {
		if (!is_title(line[i])) {
			gap = true;
			continue;
		}
		if (gap && any)
			add(format, out, "-", 1);
		gap = false;
		any = true;
		add(format, out, &line[i], 1);
		while (line[i] == '.' && line[i + 1] == '.')
			i++;
	}
	while (out->len > start &&
	       (out->data[out->len - 1] == '.' || out->data[out->len - 1] == '-'))
		ph__text_cut(out, out->len - 1);
}

/* ---- refs ---- */

static const char *pretty(const char *name)
{
	static const char *const roots[] = {"refs/heads/", "refs/tags/", "refs/remotes/"};

	for (size_t i = 0; i < 3; i++)
		if (begins(name, roots[i]))
			return name + strlen(roots[i]);
	return name;
}

/* The branch that HEAD names, when both are the commit's. */
static const char *current(const struct ph__subst *subst)
{
	const char *end = ph__text_bytes(&subst->names) + subst->names.len;
	const char *at = ph__text_bytes(&subst->names), *found = NULL;
	bool head = false;

	for (; at < end; at += strlen(at) + 1) {
		head |= *at == PH__SUBST_REF_HEAD;
		if (*at == PH__SUBST_REF_OTHER && strcmp(at + 1, subst->head) == 0 &&
		    begins(at + 1, "refs/heads/"))
			found = at;
	}
	return head ? found : NULL;
}

static void add_refs(struct ph__format *format, struct ph__text *out, const char *prefix,
                     const char *suffix)
{
	const struct ph__subst *subst = format->subst;
	const char *end = ph__text_bytes(&subst->names) + subst->names.len;
	const char *branch = current(subst);

	if (subst->names.len == 0)
		return;
	for (const char *at = ph__text_bytes(&subst->names); at < end; at += strlen(at) + 1) {
		if (at == branch)
			continue;
		add_text(format, out, prefix);
		if (*at == PH__SUBST_REF_TAG)
			add_text(format, out, "tag: ");
		add_text(format, out, pretty(at + 1));
		if (*at == PH__SUBST_REF_HEAD && branch) {
			add_text(format, out, " -> ");
			add_text(format, out, pretty(branch + 1));
		}
		prefix = ", ";
	}
	add_text(format, out, suffix);
}

/* ---- padding, wrapping, colours ---- */

void ph__subst_rewrap(struct ph__format *format, struct ph__text *out, uint32_t width,
                      uint32_t indent1, uint32_t indent2)
{
	if (format->width == width && format->indent1 == indent1 && format->indent2 == indent2)
		return;
	if (format->wrap_at < out->len)
		format->status = ph__subst_wrap(out, format->wrap_at, format->width,
		                                format->indent1, format->indent2);
	format->wrap_at = out->len;
	format->width = width;
	format->indent1 = indent1;
	format->indent2 = indent2;
}

/* "w(width,indent1,indent2)", each of which may be missing. */
static size_t item_wrap(struct ph__format *format, struct ph__text *out, const char *at)
{
	uint64_t values[3] = {0, 0, 0};
	const char *from = at + 2;

	if (at[1] != '(' || !strchr(from, ')'))
		return 0;
	for (int i = 0; i < 3 && *from != ')'; i++) {
		size_t len = digits(from, from + strlen(from));

		values[i] = number(from, len, PH__SUBST_COLUMNS_MAX);
		from += len;
		if (*from != ',' || i == 2)
			break;
		from++;
	}
	if (*from != ')')
		return 0;
	for (int i = 0; i < 3; i++)
		if (values[i] > PH__SUBST_COLUMNS_MAX)
			return 0;
	ph__subst_rewrap(format, out, (uint32_t)values[0], (uint32_t)values[1],
	                 (uint32_t)values[2]);
	return (size_t)(from - at) + 1;
}

/* "trunc", "ltrunc" and "mtrunc", up to the parenthesis. */
static bool truncation(struct ph__format *format, const char *at)
{
	if (begins(at, "trunc)"))
		format->trunc = PH__TRUNC_RIGHT;
	else if (begins(at, "ltrunc)"))
		format->trunc = PH__TRUNC_LEFT;
	else if (begins(at, "mtrunc)"))
		format->trunc = PH__TRUNC_MIDDLE;
	else
		return false;
	return true;
}

/* "<(N)", ">(N)", "><(N)", ">>(N)", with "|" for a column and a truncation. */
static size_t item_padding(struct ph__format *format, const char *at)
{
	const char *from = at + 1, *end;
	enum ph__flush flush = *at == '<' ? PH__FLUSH_RIGHT : PH__FLUSH_LEFT;
	bool column, negative;
	int64_t width;

	if (*at == '>' && (*from == '<' || *from == '>'))
		flush = *from++ == '<' ? PH__FLUSH_BOTH : PH__FLUSH_STEAL;
	column = *from == '|';
	from += column;
	if (*from++ != '(')
		return 0;
	end = from + strcspn(from, ",)");
	negative = *from == '-';
	from += negative || *from == '+';
	if (!*end || !digits(from, end))
		return 0;
	width = (int64_t)number(from, digits(from, end), PH__SUBST_COLUMNS_MAX);
	if (width == 0 || width > PH__SUBST_COLUMNS_MAX)
		return 0;
	/* From the right edge, of a terminal that git takes to have 80 columns. */
	if (negative)
		width = column && width <= 80 ? 80 - width : -1;
	if (width < 0)
		return 0;
	format->trunc = PH__TRUNC_NONE;
	if (*end == ',') {
		const char *close = strchr(end + 1, ')');

		if (!close || !truncation(format, end + 1))
			return 0;
		end = close;
	}
	format->padding = column ? -width : width;
	format->flush = flush;
	return (size_t)(end - at) + 1;
}

/* A name in parentheses, or one of four without. "always" would need colours. */
static size_t item_colour(const char *at)
{
	static const char *const plain[] = {"red", "green", "blue", "reset"};
	const char *close = at[1] == '(' ? strchr(at, ')') : NULL;

	if (close)
		return begins(at + 2, "always,") ? 0 : (size_t)(close - at) + 1;
	for (size_t i = 0; i < 4 && at[1] != '('; i++)
		if (begins(at + 1, plain[i]))
			return 1 + strlen(plain[i]);
	return at[1] == '(' ? 0 : 1;
}

static int hex_digit(char c)
{
	static const char hex[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(hex, c) : NULL;

	return at ? (int)((at - hex) % 16) : -1;
}

static size_t item_byte(struct ph__format *format, struct ph__text *out, const char *at)
{
	int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]);
	char byte = (char)(high * 16 + low);

	if (high < 0 || low < 0)
		return 0;
	add(format, out, &byte, 1);
	return 3;
}

/* ---- all ---- */

static void add_id(struct ph__format *format, struct ph__text *out, const struct ph_oid *oid,
                   unsigned len)
{
	char hex[PH_OID_HEX_MAX + 1];

	ph_oid_to_hex(hex, format->subst->algo, oid);
	add(format, out, hex, len ? len : strlen(hex));
}

static void add_encoding(struct ph__format *format, struct ph__text *out)
{
	size_t len = 0;
	const char *encoding = header(format, "encoding ", &len);

	if (encoding)
		add(format, out, encoding, len);
}

/* Of one letter; false when it is none of them. */
static bool letter(struct ph__format *format, struct ph__text *out, char c)
{
	const struct ph__subst *subst = format->subst;

	switch (c) {
	case 'n':
		add(format, out, "\n", 1);
		return true;
	case 'H':
		add_id(format, out, &subst->oid, 0);
		return true;
	case 'h':
		add_id(format, out, &subst->oid, subst->short_commit);
		return true;
	case 'T':
		add_id(format, out, &subst->tree, 0);
		return true;
	case 't':
		add_id(format, out, &subst->tree, subst->short_tree);
		return true;
	case 'P':
		add_text(format, out, ph__text_bytes(&subst->parents));
		return true;
	case 'p':
		add_text(format, out, ph__text_bytes(&subst->short_parents));
		return true;
	case 'm':
		add(format, out, ">", 1);
		return true;
	case 'd':
		add_refs(format, out, " (", ")");
		return true;
	case 'D':
		add_refs(format, out, "", "");
		return true;
	case 'e':
		add_encoding(format, out);
		return true;
	case 'B':
		add_text(format, out, format->message + (*format->message == '\n'));
		return true;
	case 's':
		add_subject(format, out);
		return true;
	case 'f':
		add_file_name(format, out);
		return true;
	case 'b':
		add_body(format, out);
		return true;
	default:
		return false;
	}
}

size_t ph__subst_item(struct ph__format *format, struct ph__text *out, const char *at)
{
	if (letter(format, out, *at))
		return 1;
	switch (*at) {
	case 'x':
		return item_byte(format, out, at);
	case 'C':
		return item_colour(at);
	case 'w':
		return item_wrap(format, out, at);
	case '<':
	case '>':
		return item_padding(format, at);
	case 'a':
	case 'c':
		return item_person(format, out, at);
	case 'G':
		return item_signature(format, out, at);
	case 'g':
		/* Of a reflog, which there is none of: known, and empty. */
		return at[1] && strchr("dDsnNeE", at[1]) ? 2 : 0;
	default:
		return 0;
	}
}
