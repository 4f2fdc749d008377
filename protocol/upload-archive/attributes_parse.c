/* SPDX-License-Identifier: MIT */
/*
 * Lines of .gitattributes into what a match needs. A file is parsed as a whole, since a macro may
 * be used above the line that defines it: first all macros get their numbers, then lines are kept
 * that set something of interest. What is wrong with a line costs that line alone, as in git.
 */
#include "attributes_int.h"
#include "wild_int.h"

#include <stdio.h>
#include <string.h>

#define MACRO_PREFIX "[attr]"
/* Notes of one file; a file that is not one of attributes at all would fill a terminal. */
#define NOTES_MAX 20u

struct parse {
	struct ph__attributes *attributes;
	struct ph__attr_file *file;
	const char *where;
	unsigned line, notes;
	bool is_top;
};

/* A line, taken apart. */
struct parts {
	const char *name; /* the pattern, or the macro's name */
	size_t name_len;
	const char *states;
	size_t states_len;
	bool macro;
	char unquoted[PH__ATTR_LINE_BYTES_MAX];
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t blanks(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && is_blank(text[at]))
		at++;
	return at;
}

static size_t word(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && !is_blank(text[at]))
		at++;
	return at;
}

static bool is(const char *text, size_t len, const char *what)
{
	return strlen(what) == len && memcmp(text, what, len) == 0;
}

static bool begins(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* A note that cannot be kept is not told. */
static void note(struct parse *parse, const char *what, const char *text, size_t len)
{
	enum ph_status status;

	if (parse->notes++ >= NOTES_MAX)
		return;
	status =
	        ph__text_print(parse->attributes->notes, "%.*s%s: %s:%u\n",
	                       (int)(len < 200 ? len : 200), text, what, parse->where, parse->line);
	(void)status;
}

static bool name_valid(const char *name, size_t len)
{
	if (len == 0 || *name == '-' || begins(name, len, "builtin_"))
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '.' || c == '_'))
			return false;
	}
	return true;
}

/* ---- quoted patterns ---- */

static int octal(const char *text, size_t len)
{
	int value = 0;

	if (len < 3 || text[0] > '3')
		return -1;
	for (int i = 0; i < 3; i++) {
		if (text[i] < '0' || text[i] > '7')
			return -1;
		value = value * 8 + (text[i] - '0');
	}
	return value;
}

/* What a backslash and the text behind it stand for; how many bytes of text that took, or 0. */
static size_t unescape(const char *text, size_t len, char *out)
{
	static const char from[] = "abfnrtv\\\"";
	static const char to[] = "\a\b\f\n\r\t\v\\\"";
	const char *known = len ? strchr(from, text[0]) : NULL;
	int value;

	if (known && *known) {
		*out = to[known - from];
		return 1;
	}
	value = octal(text, len);
	*out = (char)value;
	return value > 0 ? 3 : 0;
}

/* A pattern in quotes; how many bytes of the line it is, or 0 when it is none. */
static size_t unquote(struct parts *parts, const char *line, size_t len)
{
	size_t at = 1;

	parts->name_len = 0;
	while (at < len && line[at] != '"') {
		char c = line[at++];

		if (c == '\\') {
			size_t took = unescape(line + at, len - at, &c);

			if (took == 0)
				return 0;
			at += took;
		}
		parts->unquoted[parts->name_len++] = c;
	}
	return at < len ? at + 1 : 0;
}

/* ---- lines ---- */

/* Checks all states of a line: one bad name, and the line does not count. */
static bool states_valid(struct parse *parse, const struct parts *parts)
{
	const char *at = parts->states;
	size_t left = parts->states_len;

	while (left) {
		size_t len = word(at, left);
		const char *equals = memchr(at, '=', len);
		size_t name_len = equals ? (size_t)(equals - at) : len;
		size_t sign = *at == '-' || *at == '!';

		if (sign > name_len || !name_valid(at + sign, name_len - sign)) {
			note(parse, " is not a valid attribute name", at, name_len);
			return false;
		}
		len += blanks(at + len, left - len);
		at += len;
		left -= len;
	}
	return true;
}

/* False: nothing, or not what a line may be. */
static bool take_apart(struct parse *parse, struct parts *parts, const char *line, size_t len)
{
	size_t used = 0, skip = blanks(line, len);

	line += skip;
	len -= skip;
	if (len == 0 || *line == '#')
		return false;
	if (len + skip >= PH__ATTR_LINE_BYTES_MAX) {
		note(parse, "warning: ignoring overly long attributes line", "", 0);
		return false;
	}
	parts->name = parts->unquoted;
	if (*line == '"')
		used = unquote(parts, line, len);
	if (used == 0) {
		used = parts->name_len = word(line, len);
		parts->name = line;
	}
	used += blanks(line + used, len - used);
	parts->states = line + used;
	parts->states_len = len - used;
	parts->macro = parts->name_len > strlen(MACRO_PREFIX) &&
	               begins(parts->name, parts->name_len, MACRO_PREFIX);
	if (parts->macro) {
		parts->name += strlen(MACRO_PREFIX);
		parts->name_len -= strlen(MACRO_PREFIX);
	}
	return true;
}

static bool macro_allowed(struct parse *parse, const struct parts *parts)
{
	if (!parse->is_top) {
		note(parse, " not allowed", parts->name - strlen(MACRO_PREFIX),
		     parts->name_len + strlen(MACRO_PREFIX));
		return false;
	}
	if (!name_valid(parts->name, parts->name_len)) {
		note(parse, " is not a valid attribute name", parts->name, parts->name_len);
		return false;
	}
	return true;
}

/* The number of an attribute's name in states, or UINT16_MAX when it is of no interest. */
static uint16_t number(const struct ph__attributes *attributes, const char *name, size_t len)
{
	static const char *const names[PH__ATTR_COUNT] = {
	        "export-ignore", "export-subst", "text", "crlf", "eol", "ident", "diff"};

	for (uint16_t i = 0; i < PH__ATTR_COUNT; i++)
		if (is(name, len, names[i]))
			return i;
	for (uint16_t i = 0; i < attributes->macro_count; i++)
		if (is(name, len, attributes->macros[i].name))
			return (uint16_t)(PH__ATTR_COUNT + i);
	return UINT16_MAX;
}

static uint8_t value_of(const char *text, size_t len)
{
	static const struct {
		const char *text;
		enum ph__attr_value value;
	} known[] = {{"auto", PH__ATTR_AUTO},
	             {"input", PH__ATTR_INPUT},
	             {"lf", PH__ATTR_LF},
	             {"crlf", PH__ATTR_CR_LF}};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (is(text, len, known[i].text))
			return (uint8_t)known[i].value;
	return PH__ATTR_OTHER;
}

/* ---- what is kept ---- */

/* Makes room for one more item of an array, and counts it as kept. */
static enum ph_status grow(struct parse *parse, void **array, uint32_t *room, uint32_t count,
                           size_t item)
{
	struct ph__attributes *attributes = parse->attributes;
	uint32_t wanted = *room ? 2 * *room : 16;
	void *grown;

	if (count < *room)
		return PH_OK;
	if ((wanted - *room) * item > PH__ATTR_KEPT_BYTES_MAX - attributes->kept)
		return PH_ERR_LIMIT;
	grown = ph_mem_resize(attributes->alloc, *array, wanted, item);
	if (!grown)
		return PH_ERR_NOMEM;
	attributes->kept += (wanted - *room) * item;
	parse->file->bytes += (wanted - *room) * item;
	*array = grown;
	*room = wanted;
	return PH_OK;
}

static enum ph_status keep_pattern(struct parse *parse, const char *pattern, size_t len)
{
	struct ph__attr_file *file = parse->file;
	struct ph__attributes *attributes = parse->attributes;
	size_t wanted = 2 * file->pattern_room + len + 256;
	char *grown;

	if (!file->patterns || file->pattern_room - file->pattern_bytes < len) {
		if (wanted - file->pattern_room > PH__ATTR_KEPT_BYTES_MAX - attributes->kept)
			return PH_ERR_LIMIT;
		grown = ph_mem_resize(attributes->alloc, file->patterns, wanted, 1);
		if (!grown)
			return PH_ERR_NOMEM;
		attributes->kept += wanted - file->pattern_room;
		file->bytes += wanted - file->pattern_room;
		file->patterns = grown;
		file->pattern_room = wanted;
	}
	if (len)
		memcpy(file->patterns + file->pattern_bytes, pattern, len);
	file->pattern_bytes += len;
	return PH_OK;
}

static enum ph_status keep_states(struct parse *parse, const struct parts *parts)
{
	struct ph__attr_file *file = parse->file;
	const char *at = parts->states;
	size_t left = parts->states_len;

	while (left) {
		size_t len = word(at, left);
		const char *equals = memchr(at, '=', len);
		size_t name_len = equals ? (size_t)(equals - at) : len;
		size_t sign = *at == '-' || *at == '!';
		uint8_t value = *at == '-' ? PH__ATTR_FALSE : PH__ATTR_UNSET;
		uint16_t name = number(parse->attributes, at + sign, name_len - sign);
		enum ph_status status;

		if (!sign)
			value = equals ? value_of(equals + 1, len - name_len - 1) : PH__ATTR_TRUE;
		if (name != UINT16_MAX) {
			void *states = file->states;

			status = grow(parse, &states, &file->state_room, file->state_count,
			              sizeof(*file->states));
			file->states = states;
			if (status != PH_OK)
				return status;
			file->states[file->state_count++] = (struct ph__attr_state){name, value};
		}
		len += blanks(at + len, left - len);
		at += len;
		left -= len;
	}
	return PH_OK;
}

static enum ph_status keep_line(struct parse *parse, const struct parts *parts)
{
	struct ph__attr_file *file = parse->file;
	struct ph__attr_line line = {.pattern = (uint32_t)file->pattern_bytes,
	                             .states = file->state_count};
	size_t len = parts->name_len;
	void *lines = file->lines;
	enum ph_status status = keep_states(parse, parts);

	if (status != PH_OK || file->state_count == line.states)
		return status;
	line.state_count = (uint16_t)(file->state_count - line.states);
	line.directory = len && parts->name[len - 1] == '/';
	line.ends_with =
	        len && parts->name[0] == '*' && ph__wild_plain(parts->name + 1, len - 1) == len - 1;
	len -= line.directory;
	line.base_name = !memchr(parts->name, '/', len);
	line.pattern_len = (uint16_t)len;
	line.plain = (uint16_t)ph__wild_plain(parts->name, len);
	status = keep_pattern(parse, parts->name, len);
	if (status == PH_OK)
		status = grow(parse, &lines, &file->line_room, file->line_count,
		              sizeof(*file->lines));
	file->lines = lines;
	if (status == PH_OK)
		file->lines[file->line_count++] = line;
	return status;
}

static enum ph_status pattern_line(struct parse *parse, const struct parts *parts)
{
	if (parts->name_len && parts->name[0] == '!') {
		note(parse, "warning: negative patterns are ignored in git attributes", "", 0);
		return PH_OK;
	}
	return states_valid(parse, parts) ? keep_line(parse, parts) : PH_OK;
}

/* Its states; the number it has since the first pass. */
static enum ph_status macro_line(struct parse *parse, const struct parts *parts)
{
	struct ph__attributes *attributes = parse->attributes;
	uint16_t name = number(attributes, parts->name, parts->name_len);
	uint32_t states = parse->file->state_count;
	struct ph__attr_macro *macro;
	enum ph_status status;

	/* One of the attributes themselves may be defined as a macro; it is what it is. */
	if (name < PH__ATTR_COUNT || name == UINT16_MAX || !states_valid(parse, parts))
		return PH_OK;
	macro = &attributes->macros[name - PH__ATTR_COUNT];
	status = keep_states(parse, parts);
	macro->states = states;
	macro->state_count = parse->file->state_count - states;
	macro->built_in = false;
	return status;
}

static void define_macro(struct parse *parse, const struct parts *parts)
{
	struct ph__attributes *attributes = parse->attributes;

	if (number(attributes, parts->name, parts->name_len) != UINT16_MAX)
		return;
	if (attributes->macro_count == PH__ATTR_MACROS_MAX ||
	    parts->name_len >= PH__ATTR_NAME_BYTES_MAX) {
		note(parse, ": too many macros, or too long a name", parts->name, parts->name_len);
		return;
	}
	snprintf(attributes->macros[attributes->macro_count].name, PH__ATTR_NAME_BYTES_MAX, "%.*s",
	         (int)parts->name_len, parts->name);
	attributes->macro_count++;
}

static enum ph_status parse_line(struct parse *parse, struct parts *parts, const char *line,
                                 size_t len, bool defining)
{
	if (!take_apart(parse, parts, line, len))
		return PH_OK;
	if (!parts->macro)
		return defining ? PH_OK : pattern_line(parse, parts);
	if (!macro_allowed(parse, parts))
		return PH_OK;
	if (!defining)
		return macro_line(parse, parts);
	define_macro(parse, parts);
	return PH_OK;
}

/* All lines, up to the first NUL. */
static enum ph_status parse_lines(struct parse *parse, struct parts *parts, const char *data,
                                  size_t size, bool defining)
{
	const char *nul = size ? memchr(data, 0, size) : NULL;
	size_t end = nul ? (size_t)(nul - data) : size;

	parse->line = 0;
	for (size_t at = 0; at < end;) {
		const char *newline = memchr(data + at, '\n', end - at);
		size_t len = newline ? (size_t)(newline - (data + at)) : end - at;
		enum ph_status status;

		parse->line++;
		/* Notes are taken in the last pass alone. */
		parse->notes = defining ? NOTES_MAX : parse->notes;
		status = parse_line(parse, parts, data + at, len, defining);
		if (status != PH_OK)
			return status;
		at += len + 1;
	}
	return PH_OK;
}

enum ph_status ph__attr_file_parse(struct ph__attributes *attributes, struct ph__attr_file *out,
                                   const char *where, bool is_top, const void *data, size_t size)
{
	struct parse parse = {
	        .attributes = attributes, .file = out, .where = where, .is_top = is_top};
	struct parts *parts = ph_mem_alloc(attributes->alloc, sizeof(*parts));
	enum ph_status status = PH_OK;

	memset(out, 0, sizeof(*out));
	if (!parts)
		return PH_ERR_NOMEM;
	if (is_top)
		status = parse_lines(&parse, parts, data, size, true);
	parse.notes = 0;
	if (status == PH_OK)
		status = parse_lines(&parse, parts, data, size, false);
	ph_mem_free(attributes->alloc, parts);
	if (status != PH_OK)
		ph__attr_file_release(attributes, out);
	else if (is_top)
		attributes->top = out;
	return status;
}
