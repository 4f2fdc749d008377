/* SPDX-License-Identifier: MIT */
/*
 * Rules for the files git interprets: .gitattributes, whose lines old clients read into fixed
 * sizes, and .gitmodules, a configuration file whose settings lead to clones of other URLs into
 * other paths. The parser reads the file as git's does, byte by byte, without recursion or
 * allocation; what does not fit its buffers is refused where it matters and skipped where it does
 * not.
 */
#include "fsck_int.h"

/* git drops attribute lines of this length or more. */
#define ATTRIBUTE_LINE_BYTES 2048u

/* A name or path in .gitmodules becomes a path: file systems stop here. */
#define TEXT_BYTES_MAX 4096u

/* Bytes with a bound: more are counted as lost. */
struct text {
	char bytes[TEXT_BYTES_MAX];
	size_t len;
	bool lost;
};

struct parser {
	struct ph__fsck_run *run;
	const char *at;
	const char *end;
	bool eof;
	struct text section; /* "submodule.<name>", as git joins them */
	struct text key;
	struct text value;
};

#define SECTION_PREFIX "submodule."
#define SECTION_PREFIX_LEN (sizeof SECTION_PREFIX - 1)

static void text_add(struct text *text, char byte)
{
	if (text->len == TEXT_BYTES_MAX) {
		text->lost = true;
		return;
	}
	text->bytes[text->len++] = byte;
}

static void text_clear(struct text *text)
{
	text->len = 0;
	text->lost = false;
}

static bool text_is(const struct text *text, const char *word)
{
	return !text->lost && text->len == strlen(word) &&
	       memcmp(text->bytes, word, text->len) == 0;
}

/* The next byte; CR LF is a newline, and the file ends in one. */
static char next(struct parser *parser)
{
	if (parser->at == parser->end) {
		parser->eof = true;
		return '\n';
	}
	if (*parser->at == '\r' && parser->end - parser->at > 1 && parser->at[1] == '\n') {
		parser->at++;
	}
	return *parser->at++;
}

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool is_alpha(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_key(char byte)
{
	return is_alpha(byte) || (byte >= '0' && byte <= '9') || byte == '-';
}

static char lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

/* The quoted half of [submodule "name"], from behind the space to the bracket. */
static bool parse_subsection(struct parser *parser, char byte)
{
	do {
		if (byte == '\n') {
			return false;
		}
		byte = next(parser);
	} while (is_space(byte));
	if (byte != '"') {
		return false;
	}
	text_add(&parser->section, '.');
	for (;;) {
		byte = next(parser);
		if (byte == '"') {
			break;
		}
		if (byte == '\\') {
			byte = next(parser);
		}
		if (byte == '\n') {
			return false;
		}
		text_add(&parser->section, byte);
	}
	return next(parser) == ']';
}

static bool parse_section(struct parser *parser)
{
	text_clear(&parser->section);
	for (;;) {
		char byte = next(parser);

		if (parser->eof) {
			return false;
		}
		if (byte == ']') {
			return parser->section.len > 0;
		}
		if (is_space(byte)) {
			return parse_subsection(parser, byte);
		}
		if (!is_key(byte) && byte != '.') {
			return false;
		}
		text_add(&parser->section, lower(byte));
	}
}

static void skip_line(struct parser *parser)
{
	while (next(parser) != '\n') {
	}
}

/* What a byte behind a backslash stands for. False when it is no escape. */
static bool unescape(char *byte)
{
	switch (*byte) {
	case 't':
		*byte = '\t';
		return true;
	case 'b':
		*byte = '\b';
		return true;
	case 'n':
		*byte = '\n';
		return true;
	case '\\':
	case '"':
		return true;
	default:
		return false;
	}
}

/* The rest of a line behind '='. Spaces around it are cut; those inside count. */
static bool parse_value(struct parser *parser)
{
	struct text *value = &parser->value;
	bool quoted = false;
	bool trimming = false;
	size_t trimmed = 0;

	text_clear(value);
	for (;;) {
		char byte = next(parser);

		if (byte == '\n' || (!quoted && (byte == ';' || byte == '#'))) {
			if (byte != '\n') {
				skip_line(parser);
			}
			if (trimming) {
				value->len = trimmed;
			}
			return !quoted;
		}
		if (is_space(byte) && !quoted) {
			if (!trimming) {
				trimming = true;
				trimmed = value->len;
			}
			if (value->len > 0) {
				text_add(value, byte);
			}
			continue;
		}
		trimming = false;
		if (byte == '"') {
			quoted = !quoted;
			continue;
		}
		if (byte == '\\') {
			byte = next(parser);
			if (byte == '\n') {
				continue; /* the value goes on in the next line */
			}
			if (!unescape(&byte)) {
				return false;
			}
		}
		text_add(value, byte);
	}
}

/* A path that is an option, or that writers and readers of configuration see differently. */
static bool path_ok(const struct text *path)
{
	if (path->lost || (path->len > 0 && path->bytes[0] == '-')) {
		return false;
	}
	for (size_t i = 0; i < path->len; i++) {
		if (path->bytes[i] == '\0' || path->bytes[i] == '\n' || path->bytes[i] == '\r') {
			return false;
		}
	}
	return true;
}

/* One setting "key = value". */
static void check_setting(struct parser *parser)
{
	const struct text *section = &parser->section;
	const struct text *value = &parser->value;

	if (section->len < SECTION_PREFIX_LEN ||
	    memcmp(section->bytes, SECTION_PREFIX, SECTION_PREFIX_LEN) != 0) {
		return;
	}
	if (section->lost || !ph__submodule_name_ok(section->bytes + SECTION_PREFIX_LEN,
	                                            section->len - SECTION_PREFIX_LEN)) {
		(void)ph__fsck_find(parser->run, PH__FSCK_GITMODULES_NAME);
	}
	if (text_is(&parser->key, "url") &&
	    (value->lost || !ph__submodule_url_ok(value->bytes, value->len))) {
		(void)ph__fsck_find(parser->run, PH__FSCK_GITMODULES_URL);
	}
	if (text_is(&parser->key, "path") && !path_ok(value)) {
		(void)ph__fsck_find(parser->run, PH__FSCK_GITMODULES_PATH);
	}
	if (text_is(&parser->key, "update") && value->len > 0 && value->bytes[0] == '!') {
		(void)ph__fsck_find(parser->run, PH__FSCK_GITMODULES_UPDATE);
	}
}

static bool parse_setting(struct parser *parser, char byte)
{
	text_clear(&parser->key);
	text_clear(&parser->value);
	do {
		text_add(&parser->key, lower(byte));
		byte = next(parser);
	} while (is_key(byte));
	while (byte == ' ' || byte == '\t') {
		byte = next(parser);
	}
	if (byte != '\n' && (byte != '=' || !parse_value(parser))) {
		return false;
	}
	check_setting(parser);
	return true;
}

/* False where git stops reading the file, too. */
static bool parse_modules(struct parser *parser)
{
	static const char bom[] = "\xef\xbb\xbf";

	if (parser->end - parser->at >= 3 && memcmp(parser->at, bom, 3) == 0) {
		parser->at += 3;
	}
	for (;;) {
		char byte = next(parser);

		if (parser->eof) {
			return true;
		}
		if (is_space(byte)) {
			continue;
		}
		if (byte == '#' || byte == ';') {
			skip_line(parser);
		} else if (byte == '[') {
			if (!parse_section(parser)) {
				return false;
			}
		} else if (!is_alpha(byte) || !parse_setting(parser, byte)) {
			return false;
		}
	}
}

static void check_modules(struct ph__fsck_run *run, const char *data, size_t size)
{
	struct parser parser = {.run = run, .at = data, .end = data + size};

	if (!parse_modules(&parser)) {
		(void)ph__fsck_find(run, PH__FSCK_GITMODULES_PARSE);
	}
}

static void check_attributes(struct ph__fsck_run *run, const char *data, size_t size)
{
	const char *at = data;
	const char *end = data + size;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (newline == NULL) {
			newline = end;
		}
		if ((size_t)(newline - at) >= ATTRIBUTE_LINE_BYTES) {
			(void)ph__fsck_find(run, PH__FSCK_GITATTRIBUTES_LINE_LENGTH);
			return;
		}
		at = newline < end ? newline + 1 : end;
	}
}

/* A blob that cannot be looked into. */
static void find_unreadable(struct ph__fsck_run *run, bool modules, enum ph_object_type type)
{
	if (type == PH_OBJ_BLOB) {
		(void)ph__fsck_find(run, modules ? PH__FSCK_GITMODULES_LARGE
		                                 : PH__FSCK_GITATTRIBUTES_LARGE);
	} else if (type == PH_OBJ_NONE) {
		(void)ph__fsck_find(run, modules ? PH__FSCK_GITMODULES_MISSING
		                                 : PH__FSCK_GITATTRIBUTES_MISSING);
	} else {
		(void)ph__fsck_find(run, modules ? PH__FSCK_GITMODULES_BLOB
		                                 : PH__FSCK_GITATTRIBUTES_BLOB);
	}
}

enum ph_status ph_fsck_blob(const struct ph_fsck *fsck, enum ph_fsck_blob_kind kind,
                            enum ph_object_type type, const void *data, uint64_t size)
{
	struct ph__fsck_run run;
	bool modules = kind == PH_FSCK_GITMODULES;

	ph__fsck_run_init(&run, fsck);
	if (type != PH_OBJ_BLOB || size > PH_FSCK_SPECIAL_BYTES_MAX || (data == NULL && size > 0)) {
		find_unreadable(&run, modules, type);
	} else if (size > 0 && modules) {
		check_modules(&run, data, (size_t)size);
	} else if (size > 0) {
		check_attributes(&run, data, (size_t)size);
	}
	return run.failed ? PH_ERR_FSCK : PH_OK;
}
