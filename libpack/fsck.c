/* SPDX-License-Identifier: MIT */
/*
 * Rules for commits and tags, and the table of findings. A header that cannot be read, or that two
 * readers may read differently, is an error; a person's line that is merely ugly is a warning,
 * since real histories are full of them.
 */
#include "fsck_int.h"

/* Texts, not pointers to texts: a table without relocations can stay read-only. */
struct finding {
	enum ph_fsck_severity severity;
	char id[28];
};

static const struct finding findings[] = {
#define X(name, severity, text) {PH_FSCK_##severity, text},
        PH__FSCK_MAP(X)
#undef X
};

void ph__fsck_find(struct ph__fsck_run *run, enum ph__fsck_id id)
{
	const struct finding *finding = &findings[id];

	if (finding->severity == PH_FSCK_ERROR) {
		run->failed = true;
	}
	if (run->rules->report != NULL) {
		run->rules->report(run->rules->user, finding->severity, finding->id);
	}
}

/* What is left of an object's header. */
struct text {
	const char *at;
	const char *end;
};

/* Steps over a prefix if the text begins with it. */
static bool skip(struct text *text, const char *prefix)
{
	size_t len = strlen(prefix);

	if ((size_t)(text->end - text->at) < len || memcmp(text->at, prefix, len) != 0) {
		return false;
	}
	text->at += len;
	return true;
}

/* Takes the rest of the line, without its newline. False when there is no newline. */
static bool take_line(struct text *text, struct text *line)
{
	const char *newline = NULL;

	if (text->at < text->end) {
		newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
	}
	if (newline == NULL) {
		return false;
	}
	line->at = text->at;
	line->end = newline;
	text->at = newline + 1;
	return true;
}

static bool take_id(const struct ph__fsck_run *run, struct text *text)
{
	struct text line;
	struct ph_oid oid;

	if (!take_line(text, &line)) {
		return false;
	}
	return ph_oid_from_hex(&oid, run->rules->algo, line.at, (size_t)(line.end - line.at)) ==
	       PH_OK;
}

static bool next_is(const struct text *line, char byte)
{
	return line->at < line->end && *line->at == byte;
}

static bool next_is_digit(const struct text *line)
{
	return line->at < line->end && *line->at >= '0' && *line->at <= '9';
}

/* The header ends in an empty line, or with the object; no NUL is in it. */
static bool check_header_end(struct ph__fsck_run *run, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\0') {
			ph__fsck_find(run, PH__FSCK_NUL_IN_HEADER);
			return false;
		}
		if (data[i] == '\n' && i + 1 < size && data[i + 1] == '\n') {
			return true;
		}
	}
	if (size > 0 && data[size - 1] == '\n') {
		return true;
	}
	ph__fsck_find(run, PH__FSCK_UNTERMINATED_HEADER);
	return false;
}

/* "1112911993 -0700": the time must fit 63 bits, which is what clients compute with. */
static enum ph__fsck_id check_time(struct text *line)
{
	uint64_t time = 0;

	while (next_is(line, ' ') || next_is(line, '\t')) {
		line->at++;
	}
	if (!next_is_digit(line)) {
		return PH__FSCK_BAD_DATE;
	}
	if (*line->at == '0' && line->end - line->at > 1 && line->at[1] != ' ') {
		return PH__FSCK_ZERO_PADDED_DATE;
	}
	for (; next_is_digit(line); line->at++) {
		uint64_t digit = (uint64_t)(*line->at - '0');

		if (time > ((uint64_t)INT64_MAX - digit) / 10) {
			return PH__FSCK_BAD_DATE_OVERFLOW;
		}
		time = time * 10 + digit;
	}
	if (!skip(line, " ")) {
		return PH__FSCK_BAD_DATE;
	}
	if (!skip(line, "+") && !skip(line, "-")) {
		return PH__FSCK_BAD_TIMEZONE;
	}
	if (line->end - line->at != 4) {
		return PH__FSCK_BAD_TIMEZONE;
	}
	for (; line->at < line->end; line->at++) {
		if (!next_is_digit(line)) {
			return PH__FSCK_BAD_TIMEZONE;
		}
	}
	return PH__FSCK_COUNT;
}

/* "Name <e-mail> time zone". PH__FSCK_COUNT when it is right. */
static enum ph__fsck_id check_person(struct text *line)
{
	const char *start = line->at;

	if (next_is(line, '<')) {
		return PH__FSCK_MISSING_NAME_BEFORE_EMAIL;
	}
	while (line->at < line->end && *line->at != '<' && *line->at != '>') {
		line->at++;
	}
	if (line->at == line->end) {
		return PH__FSCK_MISSING_EMAIL;
	}
	if (*line->at == '>') {
		return PH__FSCK_BAD_NAME;
	}
	if (line->at == start || line->at[-1] != ' ') {
		return PH__FSCK_MISSING_SPACE_BEFORE_EMAIL;
	}
	line->at++;
	while (line->at < line->end && *line->at != '<' && *line->at != '>') {
		line->at++;
	}
	if (line->at == line->end || *line->at == '<') {
		return PH__FSCK_BAD_EMAIL;
	}
	line->at++;
	if (!skip(line, " ")) {
		return PH__FSCK_MISSING_SPACE_BEFORE_DATE;
	}
	return check_time(line);
}

/* The rest of an author's, committer's or tagger's line. */
static void take_person(struct ph__fsck_run *run, struct text *text)
{
	struct text line;
	enum ph__fsck_id id;

	if (!take_line(text, &line)) {
		text->at = text->end; /* check_header_end has seen a newline: not reached */
		return;
	}
	id = check_person(&line);
	if (id != PH__FSCK_COUNT) {
		ph__fsck_find(run, id);
	}
}

static void fsck_commit(struct ph__fsck_run *run, const char *data, size_t size)
{
	struct text text = {data, data + size};
	unsigned authors = 0;

	if (!check_header_end(run, data, size)) {
		return;
	}
	if (!skip(&text, "tree ")) {
		ph__fsck_find(run, PH__FSCK_MISSING_TREE);
		return;
	}
	if (!take_id(run, &text)) {
		ph__fsck_find(run, PH__FSCK_BAD_TREE_SHA1);
		return;
	}
	while (skip(&text, "parent ")) {
		if (!take_id(run, &text)) {
			ph__fsck_find(run, PH__FSCK_BAD_PARENT_SHA1);
			return;
		}
	}
	for (; skip(&text, "author "); authors += authors < 2) {
		take_person(run, &text);
	}
	if (authors == 0) {
		ph__fsck_find(run, PH__FSCK_MISSING_AUTHOR);
		return;
	}
	if (authors > 1) {
		ph__fsck_find(run, PH__FSCK_MULTIPLE_AUTHORS);
	}
	if (!skip(&text, "committer ")) {
		ph__fsck_find(run, PH__FSCK_MISSING_COMMITTER);
		return;
	}
	take_person(run, &text);
	if (memchr(data, '\0', size) != NULL) {
		ph__fsck_find(run, PH__FSCK_NUL_IN_COMMIT);
	}
}

static bool is_ref_byte(char byte)
{
	return (unsigned char)byte > ' ' && byte != 0x7f && strchr("~^:?*[\\", byte) == NULL;
}

/* Whether refs/tags/<name> is a ref name. git only notes it: nobody derives a path from it. */
static bool is_tag_name(const char *name, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && name[i] != '/') {
			if (!is_ref_byte(name[i]) ||
			    (i > 0 && name[i - 1] == '.' && name[i] == '.') ||
			    (i > 0 && name[i - 1] == '@' && name[i] == '{')) {
				return false;
			}
			continue;
		}
		if (i == start || name[start] == '.' ||
		    (i - start >= 5 && memcmp(name + i - 5, ".lock", 5) == 0)) {
			return false;
		}
		start = i + 1;
	}
	return len > 0 && name[len - 1] != '.';
}

/* A signature in the header; its continuation lines begin with a space. False: it has no end. */
static bool skip_signature(struct text *text)
{
	struct text line;

	if (!skip(text, "gpgsig ") && !skip(text, "gpgsig-sha256 ")) {
		return true;
	}
	do {
		if (!take_line(text, &line)) {
			return false;
		}
	} while (skip(text, " "));
	return true;
}

static void fsck_tag_rest(struct ph__fsck_run *run, struct text *text)
{
	if (skip(text, "tagger ")) {
		take_person(run, text);
	} else {
		ph__fsck_find(run, PH__FSCK_MISSING_TAGGER_ENTRY);
	}
	if (!skip_signature(text)) {
		ph__fsck_find(run, PH__FSCK_BAD_GPGSIG);
		return;
	}
	if (text->at < text->end && *text->at != '\n') {
		ph__fsck_find(run, PH__FSCK_EXTRA_HEADER_ENTRY);
	}
}

static void fsck_tag(struct ph__fsck_run *run, const char *data, size_t size)
{
	struct text text = {data, data + size};
	struct text line;

	if (!check_header_end(run, data, size)) {
		return;
	}
	if (!skip(&text, "object ")) {
		ph__fsck_find(run, PH__FSCK_MISSING_OBJECT);
		return;
	}
	if (!take_id(run, &text)) {
		ph__fsck_find(run, PH__FSCK_BAD_OBJECT_SHA1);
		return;
	}
	if (!skip(&text, "type ") || !take_line(&text, &line)) {
		ph__fsck_find(run, PH__FSCK_MISSING_TYPE_ENTRY);
		return;
	}
	if (ph_object_type_from_name(line.at, (size_t)(line.end - line.at)) == PH_OBJ_NONE) {
		ph__fsck_find(run, PH__FSCK_BAD_TYPE);
		return;
	}
	if (!skip(&text, "tag ") || !take_line(&text, &line)) {
		ph__fsck_find(run, PH__FSCK_MISSING_TAG_ENTRY);
		return;
	}
	if (!is_tag_name(line.at, (size_t)(line.end - line.at))) {
		ph__fsck_find(run, PH__FSCK_BAD_TAG_NAME);
	}
	fsck_tag_rest(run, &text);
}

enum ph_status ph_fsck_object(const struct ph_fsck *fsck, enum ph_object_type type,
                              const void *data, size_t size)
{
	struct ph__fsck_run run = {.rules = fsck};
	enum ph_status status = PH_OK;

	if (size == 0) {
		data = "";
	}
	switch (type) {
	case PH_OBJ_COMMIT:
		fsck_commit(&run, data, size);
		break;
	case PH_OBJ_TREE:
		status = ph__fsck_tree(&run, data, size);
		break;
	case PH_OBJ_TAG:
		fsck_tag(&run, data, size);
		break;
	case PH_OBJ_BLOB:
		break;
	case PH_OBJ_NONE:
	case PH_OBJ_OFS_DELTA:
	case PH_OBJ_REF_DELTA:
	default:
		ph__fsck_find(&run, PH__FSCK_UNKNOWN_TYPE);
		break;
	}
	if (status != PH_OK) {
		return status;
	}
	return run.failed ? PH_ERR_FSCK : PH_OK;
}
