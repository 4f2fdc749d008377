/* SPDX-License-Identifier: MIT */
/*
 * Rules for commits and tags. A header that cannot be read, or that two
 * readers may read differently, is an error; a person's line that is merely ugly is a warning,
 * since real histories are full of them.
 */
#include "fsck_int.h"

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

/* The rest of a line that has to be an id. */
static bool take_id(const struct ph__fsck_run *run, struct text *text)
{
	struct text line;
	struct ph_oid oid;

	if (!take_line(text, &line)) {
		return false;
	}
	return ph_oid_from_hex(&oid, run->fsck->algo, line.at, (size_t)(line.end - line.at)) ==
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
			(void)ph__fsck_find(run, PH__FSCK_NUL_IN_HEADER);
			return false;
		}
		if (data[i] == '\n' && i + 1 < size && data[i + 1] == '\n') {
			return true;
		}
	}
	if (size > 0 && data[size - 1] == '\n') {
		return true;
	}
	(void)ph__fsck_find(run, PH__FSCK_UNTERMINATED_HEADER);
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
	if (*line->at == '0' && !(line->end - line->at > 1 && line->at[1] == ' ')) {
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

/* The rest of an author's, committer's or tagger's line. False when it is refused. */
static bool take_person(struct ph__fsck_run *run, struct text *text)
{
	struct text line;
	enum ph__fsck_id id;

	if (!take_line(text, &line)) {
		text->at = text->end; /* only where an unterminated header is let through */
		return true;
	}
	id = check_person(&line);
	return id == PH__FSCK_COUNT || ph__fsck_find(run, id);
}

/* The lines that lead to other objects. False when there is no use in reading on. */
static bool take_links(struct ph__fsck_run *run, struct text *text)
{
	if (!skip(text, "tree ")) {
		(void)ph__fsck_find(run, PH__FSCK_MISSING_TREE);
		return false;
	}
	if (!take_id(run, text) && !ph__fsck_find(run, PH__FSCK_BAD_TREE_SHA1)) {
		return false;
	}
	while (skip(text, "parent ")) {
		if (!take_id(run, text) && !ph__fsck_find(run, PH__FSCK_BAD_PARENT_SHA1)) {
			return false;
		}
	}
	return true;
}

/* What is let through, by whatever rule, does not keep what follows from being looked at. */
static void fsck_commit(struct ph__fsck_run *run, const char *data, size_t size)
{
	struct text text = {data, data + size};
	unsigned authors = 0;

	if (!check_header_end(run, data, size) || !take_links(run, &text)) {
		return;
	}
	for (; skip(&text, "author "); authors += authors < 2) {
		if (!take_person(run, &text)) {
			return;
		}
	}
	if (authors == 0 && !ph__fsck_find(run, PH__FSCK_MISSING_AUTHOR)) {
		return;
	}
	if (authors > 1 && !ph__fsck_find(run, PH__FSCK_MULTIPLE_AUTHORS)) {
		return;
	}
	if (!skip(&text, "committer ")) {
		(void)ph__fsck_find(run, PH__FSCK_MISSING_COMMITTER);
		return;
	}
	if (take_person(run, &text) && memchr(data, '\0', size) != NULL) {
		(void)ph__fsck_find(run, PH__FSCK_NUL_IN_COMMIT);
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

/* A signature in the header; its continuation lines begin with a space. COUNT when it is right. */
static enum ph__fsck_id skip_signature(struct text *text)
{
	struct text line;

	if (!skip(text, "gpgsig ") && !skip(text, "gpgsig-sha256 ")) {
		return PH__FSCK_COUNT;
	}
	if (!take_line(text, &line)) {
		return PH__FSCK_BAD_GPGSIG;
	}
	while (skip(text, " ")) {
		if (!take_line(text, &line)) {
			return PH__FSCK_BAD_HEADER_CONTINUATION;
		}
	}
	return PH__FSCK_COUNT;
}

static void fsck_tag_rest(struct ph__fsck_run *run, struct text *text)
{
	enum ph__fsck_id id;

	if (skip(text, "tagger ")) {
		(void)take_person(run, text); /* git reads on, too */
	} else if (!ph__fsck_find(run, PH__FSCK_MISSING_TAGGER_ENTRY)) {
		return;
	}
	id = skip_signature(text);
	if (id != PH__FSCK_COUNT) {
		(void)ph__fsck_find(run, id);
		return;
	}
	if (text->at < text->end && *text->at != '\n') {
		(void)ph__fsck_find(run, PH__FSCK_EXTRA_HEADER_ENTRY);
	}
}

/* The object's type and the tag's name. False when there is no use in reading on. */
static bool take_type_and_name(struct ph__fsck_run *run, struct text *text)
{
	enum ph__fsck_id id = PH__FSCK_COUNT;
	struct text line;

	if (!skip(text, "type ")) {
		id = PH__FSCK_MISSING_TYPE_ENTRY;
	} else if (!take_line(text, &line)) {
		id = PH__FSCK_MISSING_TYPE;
	}
	if (id != PH__FSCK_COUNT) {
		(void)ph__fsck_find(run, id);
		return false;
	}
	if (ph_object_type_from_name(line.at, (size_t)(line.end - line.at)) == PH_OBJ_NONE &&
	    !ph__fsck_find(run, PH__FSCK_BAD_TYPE)) {
		return false;
	}
	if (!skip(text, "tag ")) {
		id = PH__FSCK_MISSING_TAG_ENTRY;
	} else if (!take_line(text, &line)) {
		id = PH__FSCK_MISSING_TAG;
	}
	if (id != PH__FSCK_COUNT) {
		(void)ph__fsck_find(run, id);
		return false;
	}
	return is_tag_name(line.at, (size_t)(line.end - line.at)) ||
	       ph__fsck_find(run, PH__FSCK_BAD_TAG_NAME);
}

static void fsck_tag(struct ph__fsck_run *run, const char *data, size_t size)
{
	struct text text = {data, data + size};

	if (!check_header_end(run, data, size)) {
		return;
	}
	if (!skip(&text, "object ")) {
		(void)ph__fsck_find(run, PH__FSCK_MISSING_OBJECT);
		return;
	}
	if (!take_id(run, &text) && !ph__fsck_find(run, PH__FSCK_BAD_OBJECT_SHA1)) {
		return;
	}
	if (take_type_and_name(run, &text)) {
		fsck_tag_rest(run, &text);
	}
}

enum ph_status ph_fsck_object(const struct ph_fsck *fsck, enum ph_object_type type,
                              const void *data, size_t size)
{
	struct ph__fsck_run run;
	enum ph_status status = PH_OK;

	ph__fsck_run_init(&run, fsck);
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
		(void)ph__fsck_find(&run, PH__FSCK_UNKNOWN_TYPE);
		break;
	}
	if (status != PH_OK) {
		return status;
	}
	return run.failed ? PH_ERR_FSCK : PH_OK;
}
