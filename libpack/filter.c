/* SPDX-License-Identifier: MIT */
/*
 * Filter specs: read, and checked against what a server allows. Numbers and escapes are read as git
 * reads them, and texts are git's, since people look for them. A nested combine: is taken apart
 * with a short stack of decoded texts, one a level; its parts join one flat list.
 */
#include "sparse_int.h"

#include <packhorse/filter.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* A text that is being read; a level of combine: has one. */
struct text {
	char *data;
	size_t len, at;
};

struct parse {
	struct ph_filter_part *parts;
	uint32_t count;
	char *names; /* of sparse parts */
	size_t names_len;
	struct text levels[PH_FILTER_NESTING_MAX + 1];
	uint32_t depth; /* levels in use */
	char *why;
};

/* What holds a filter's parts, in one piece with their names. */
struct block {
	struct ph_filter_part parts[PH_FILTER_PARTS_MAX];
	char names[PH_FILTER_SPEC_MAX + PH_FILTER_PARTS_MAX];
};

static enum ph_status refuse(struct parse *parse, enum ph_status status, const char *text)
{
	snprintf(parse->why, PH_FILTER_WHY_MAX, "%s", text);
	return status;
}

/* A copy of bytes of a client that can be shown, cut. */
static const char *show(char out[64], const char *text, size_t len)
{
	size_t at = 0;

	for (; at < len && at < 63; at++) {
		out[at] = text[at] >= 0x20 && text[at] < 0x7f ? text[at] : '?';
	}
	out[at] = '\0';
	return out;
}

/* Whether a text begins with a word; *rest is behind it. */
static bool begins(const char *text, size_t len, const char *word, const char **rest,
                   size_t *rest_len)
{
	size_t word_len = strlen(word);

	if (len < word_len || memcmp(text, word, word_len) != 0) {
		return false;
	}
	*rest = text + word_len;
	*rest_len = len - word_len;
	return true;
}

/* --- Numbers: decimal, octal or hexadecimal, with k, m or g behind --- */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

static bool unit_of(const char *text, size_t len, unsigned *shift)
{
	*shift = 0;
	if (len == 0) {
		return true;
	}
	switch (text[0]) {
	case 'k':
	case 'K':
		*shift = 10;
		break;
	case 'm':
	case 'M':
		*shift = 20;
		break;
	case 'g':
	case 'G':
		*shift = 30;
		break;
	default:
		return false;
	}
	return len == 1;
}

static bool number_of(const char *text, size_t len, uint64_t *out)
{
	uint64_t value = 0;
	unsigned base = 10;
	unsigned shift;
	size_t at = 0;
	size_t digits;

	if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		at = 2;
	} else if (len > 1 && text[0] == '0') {
		base = 8;
	}
	for (digits = at; at < len && (unsigned)digit_of(text[at]) < base; at++) {
		unsigned digit = (unsigned)digit_of(text[at]);

		if (value > (UINT64_MAX - digit) / base) {
			return false;
		}
		value = value * base + digit;
	}
	if (at == digits || !unit_of(text + at, len - at, &shift) || value > UINT64_MAX >> shift) {
		return false;
	}
	*out = value << shift;
	return true;
}

/* --- Parts --- */

static enum ph_status add(struct parse *parse, const struct ph_filter_part *part)
{
	if (parse->count == PH_FILTER_PARTS_MAX) {
		snprintf(parse->why, PH_FILTER_WHY_MAX, "filter has too many parts (at most %u)",
		         PH_FILTER_PARTS_MAX);
		return PH_ERR_LIMIT;
	}
	parse->parts[parse->count++] = *part;
	return PH_OK;
}

static enum ph_status add_sparse(struct parse *parse, const char *name, size_t len)
{
	struct ph_filter_part part = {.kind = PH_FILTER_SPARSE_OID};
	char *copy = parse->names + parse->names_len;
	enum ph_status status;

	part.name = copy;
	status = add(parse, &part);
	if (status == PH_OK) {
		memcpy(copy, name, len);
		copy[len] = '\0';
		parse->names_len += len + 1;
	}
	return status;
}

static enum ph_status add_type(struct parse *parse, const char *name, size_t len)
{
	struct ph_filter_part part = {.kind = PH_FILTER_OBJECT_TYPE};
	char shown[64];

	part.type = ph_object_type_from_name(name, len);
	if (part.type == PH_OBJ_NONE) {
		snprintf(parse->why, PH_FILTER_WHY_MAX,
		         "'%s' for 'object:type=<type>' is not a valid object type",
		         show(shown, name, len));
		return PH_ERR_INVALID;
	}
	return add(parse, &part);
}

static enum ph_status add_limit(struct parse *parse, const char *spec, size_t len,
                                const char *number, size_t number_len)
{
	struct ph_filter_part part = {.kind = PH_FILTER_BLOB_LIMIT};
	char shown[64];

	if (!number_of(number, number_len, &part.number)) {
		snprintf(parse->why, PH_FILTER_WHY_MAX, "invalid filter-spec '%s'",
		         show(shown, spec, len));
		return PH_ERR_INVALID;
	}
	return add(parse, &part);
}

static enum ph_status add_tree(struct parse *parse, const char *number, size_t len)
{
	struct ph_filter_part part = {.kind = PH_FILTER_TREE};

	if (!number_of(number, len, &part.number)) {
		return refuse(parse, PH_ERR_INVALID, "expected 'tree:<depth>'");
	}
	return add(parse, &part);
}

/* The parts come next, from a level of their own. */
static enum ph_status add_combine(struct parse *parse, const char *rest, size_t len)
{
	struct ph_filter_part part = {.kind = PH_FILTER_COMBINE};
	struct text *next;

	if (len == 0 || strspn(rest, "+") == len) {
		return refuse(parse, PH_ERR_INVALID, "expected something after combine:");
	}
	if (parse->depth > PH_FILTER_NESTING_MAX) {
		snprintf(parse->why, PH_FILTER_WHY_MAX, "filter nests too deeply (at most %u)",
		         PH_FILTER_NESTING_MAX);
		return PH_ERR_LIMIT;
	}
	/* Where it was decoded to is this level's text: it is read from there. */
	next = &parse->levels[parse->depth - 1];
	next->at = (size_t)(rest - next->data);
	return add(parse, &part);
}

static enum ph_status one_spec(struct parse *parse, const char *spec, size_t len)
{
	static const char blob_none[] = "blob:none";
	struct ph_filter_part none = {.kind = PH_FILTER_BLOB_NONE};
	const char *rest;
	size_t rest_len;
	char shown[64];

	if (len == sizeof blob_none - 1 && memcmp(spec, blob_none, len) == 0) {
		return add(parse, &none);
	}
	if (begins(spec, len, "blob:limit=", &rest, &rest_len)) {
		return add_limit(parse, spec, len, rest, rest_len);
	}
	if (begins(spec, len, "tree:", &rest, &rest_len)) {
		return add_tree(parse, rest, rest_len);
	}
	if (begins(spec, len, "sparse:oid=", &rest, &rest_len)) {
		return add_sparse(parse, rest, rest_len);
	}
	if (begins(spec, len, "sparse:path=", &rest, &rest_len)) {
		return refuse(parse, PH_ERR_INVALID,
		              "sparse:path filters support has been dropped");
	}
	if (begins(spec, len, "object:type=", &rest, &rest_len)) {
		return add_type(parse, rest, rest_len);
	}
	if (begins(spec, len, "combine:", &rest, &rest_len)) {
		return add_combine(parse, rest, rest_len);
	}
	if (len == 4 && memcmp(spec, "auto", 4) == 0) {
		return refuse(parse, PH_ERR_INVALID, "'auto' filter not supported by this command");
	}
	snprintf(parse->why, PH_FILTER_WHY_MAX, "invalid filter-spec '%s'", show(shown, spec, len));
	return PH_ERR_INVALID;
}

/* --- combine: --- */

/* What may not stand in a part unless it is escaped. */
static bool is_reserved(char c)
{
	return c <= ' ' || c > '~' || strchr("~`!@#$^&*()[]{}\\;'\",<>?", c) != NULL;
}

/* Takes %XX apart; what is no such escape, and %00, stays as it is. */
static size_t decode(char *out, const char *text, size_t len)
{
	size_t filled = 0;

	for (size_t at = 0; at < len; at++) {
		int high = at + 2 < len && text[at] == '%' ? digit_of(text[at + 1]) : 16;
		int low = high < 16 ? digit_of(text[at + 2]) : 16;

		if (low < 16 && high + low > 0) {
			out[filled++] = (char)(unsigned char)(high * 16 + low);
			at += 2;
		} else {
			out[filled++] = text[at];
		}
	}
	out[filled] = '\0';
	return filled;
}

/* The next part of the innermost combine:, decoded into the level behind. */
static enum ph_status next_part(struct parse *parse)
{
	struct text *level = &parse->levels[parse->depth - 1];
	struct text *inner = level + 1;
	const char *from = level->data + level->at;
	const char *plus = memchr(from, '+', level->len - level->at);
	size_t len = plus != NULL ? (size_t)(plus - from) : level->len - level->at;
	char what[64];

	level->at += len + (plus != NULL);
	if (len == 0) {
		return PH_OK;
	}
	for (size_t i = 0; i < len; i++) {
		if (is_reserved(from[i])) {
			snprintf(parse->why, PH_FILTER_WHY_MAX,
			         "must escape char in sub-filter-spec: '%s'",
			         show(what, from + i, 1));
			return PH_ERR_INVALID;
		}
	}
	inner->len = decode(inner->data, from, len);
	inner->at = inner->len;
	parse->depth++;
	return one_spec(parse, inner->data, inner->len);
}

/* The innermost level that is read to its end is left. */
static enum ph_status all_parts(struct parse *parse, const char *spec, size_t len)
{
	struct text *first = &parse->levels[0];
	enum ph_status status;

	memcpy(first->data, spec, len);
	first->data[len] = '\0';
	first->len = first->at = len;
	parse->depth = 1;
	status = one_spec(parse, first->data, len);
	while (status == PH_OK && parse->depth > 0) {
		const struct text *level = &parse->levels[parse->depth - 1];

		if (level->at < level->len) {
			status = next_part(parse);
		} else {
			parse->depth--;
		}
	}
	return status;
}

enum ph_status ph_filter_parse(struct ph_filter *out, const struct ph_alloc *alloc,
                               const char *spec, size_t len, char why[PH_FILTER_WHY_MAX])
{
	enum { LEVELS = PH_FILTER_NESTING_MAX + 1 };
	struct parse parse = {.why = why};
	struct block *block;
	char *texts;
	enum ph_status status;

	*out = (struct ph_filter){.kind = PH_FILTER_NONE};
	if (len > PH_FILTER_SPEC_MAX) {
		snprintf(why, PH_FILTER_WHY_MAX, "filter-spec is too long (at most %u bytes)",
		         PH_FILTER_SPEC_MAX);
		return PH_ERR_LIMIT;
	}
	if (len == 0 || memchr(spec, '\0', len) != NULL) {
		snprintf(why, PH_FILTER_WHY_MAX, "invalid filter-spec ''");
		return PH_ERR_INVALID;
	}
	block = ph_mem_zalloc(alloc, 1, sizeof *block);
	texts = ph_mem_alloc(alloc, LEVELS * (len + 1));
	status = block == NULL || texts == NULL ? PH_ERR_NOMEM : PH_OK;
	if (status == PH_OK) {
		parse.parts = block->parts;
		parse.names = block->names;
		for (size_t i = 0; i < LEVELS; i++) {
			parse.levels[i].data = texts + i * (len + 1);
		}
		status = all_parts(&parse, spec, len);
	} else {
		snprintf(why, PH_FILTER_WHY_MAX, "%s", ph_status_text(status));
	}
	ph_mem_free(alloc, texts);
	if (status != PH_OK) {
		ph_mem_free(alloc, block);
		return status;
	}
	out->kind = parse.parts[0].kind;
	out->count = parse.count;
	out->parts = parse.parts;
	return PH_OK;
}

void ph_filter_release(struct ph_filter *filter, const struct ph_alloc *alloc)
{
	for (uint32_t i = 0; i < filter->count; i++) {
		ph__sparse_free(filter->parts[i].patterns, alloc);
	}
	ph_mem_free(alloc, filter->parts);
	*filter = (struct ph_filter){.kind = PH_FILTER_NONE};
}

/* --- What is allowed --- */

const char *ph_filter_kind_name(enum ph_filter_kind kind)
{
	static const char *const names[] = {
	        [PH_FILTER_NONE] = "none",
	        [PH_FILTER_BLOB_NONE] = "blob:none",
	        [PH_FILTER_BLOB_LIMIT] = "blob:limit",
	        [PH_FILTER_TREE] = "tree",
	        [PH_FILTER_SPARSE_OID] = "sparse:oid",
	        [PH_FILTER_OBJECT_TYPE] = "object:type",
	        [PH_FILTER_COMBINE] = "combine",
	};

	return names[kind];
}

enum ph_status ph_filter_allowed(const struct ph_filter *filter,
                                 const struct ph_filter_policy *policy, char why[PH_FILTER_WHY_MAX])
{
	for (uint32_t i = 0; i < filter->count; i++) {
		const struct ph_filter_part *part = &filter->parts[i];
		uint32_t bit = UINT32_C(1) << part->kind;
		bool allowed = policy->allow;

		if (((policy->allowed | policy->denied) & bit) != 0) {
			allowed = (policy->denied & bit) == 0;
		}
		if (!allowed) {
			snprintf(why, PH_FILTER_WHY_MAX, "filter '%s' not supported",
			         ph_filter_kind_name(part->kind));
			return PH_ERR_UNSUPPORTED;
		}
		if (part->kind == PH_FILTER_TREE && part->number > policy->tree_depth_max) {
			snprintf(why, PH_FILTER_WHY_MAX,
			         "tree filter allows max depth %" PRIu64 ", but got %" PRIu64,
			         policy->tree_depth_max, part->number);
			return PH_ERR_UNSUPPORTED;
		}
	}
	return PH_OK;
}

/* --- Patterns --- */

enum ph_status ph_filter_sparse_load(struct ph_filter *filter, uint32_t part,
                                     const struct ph_alloc *alloc, const void *data, size_t size)
{
	uint64_t total = size;
	struct ph__sparse *patterns;
	enum ph_status status;

	assert(part < filter->count && filter->parts[part].kind == PH_FILTER_SPARSE_OID);
	for (uint32_t i = 0; i < filter->count; i++) {
		if (i != part && filter->parts[i].patterns != NULL) {
			total += ph__sparse_bytes(filter->parts[i].patterns);
		}
	}
	if (total > PH_FILTER_SPARSE_BYTES_MAX) {
		return PH_ERR_LIMIT;
	}
	status = ph__sparse_new(&patterns, alloc, data, size);
	if (status == PH_OK) {
		ph__sparse_free(filter->parts[part].patterns, alloc);
		filter->parts[part].patterns = patterns;
	}
	return status;
}

/* --- Deciding by the object alone --- */

bool ph_filter_by_object(const struct ph_filter *filter)
{
	for (uint32_t i = 0; i < filter->count; i++) {
		if (filter->parts[i].kind == PH_FILTER_TREE ||
		    filter->parts[i].kind == PH_FILTER_SPARSE_OID) {
			return false;
		}
	}
	return true;
}

bool ph_filter_omits(const struct ph_filter *filter, enum ph_object_type type, uint64_t size)
{
	bool omits = filter->kind == PH_FILTER_BLOB_NONE && type == PH_OBJ_BLOB;

	for (uint32_t i = 0; i < filter->count; i++) {
		const struct ph_filter_part *part = &filter->parts[i];

		if (part->kind == PH_FILTER_BLOB_NONE) {
			omits = omits || type == PH_OBJ_BLOB;
		} else if (part->kind == PH_FILTER_BLOB_LIMIT) {
			omits = omits || (type == PH_OBJ_BLOB && size >= part->number);
		} else if (part->kind == PH_FILTER_OBJECT_TYPE) {
			omits = omits || type != part->type;
		}
	}
	return omits;
}
