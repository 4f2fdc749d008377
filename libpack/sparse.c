/* SPDX-License-Identifier: MIT */
/*
 * Sparse-checkout patterns: reading the lines as git does, comments, escaped blanks and all, and
 * asking them from the last to the first. Nothing is compiled: a line and three flags are enough,
 * and most lines fail at their first character.
 */
#include "sparse_int.h"

#include <packhorse/glob.h>

#include <string.h>

#define OUT 1u     /* begins with ! */
#define TREE 2u    /* ends in a slash: directories only */
#define ANY_DIR 4u /* without a slash: matches in any directory, by the last component */

struct line {
	uint32_t at; /* in text */
	uint16_t len;
	uint16_t flags;
};

struct ph__sparse {
	struct line *lines;
	char *text;
	uint32_t count;
	size_t size;
};

/* Blanks at the end do not count, unless a backslash stands before. */
static size_t trimmed(const char *text, size_t len)
{
	size_t end = 0;

	for (size_t at = 0; at < len; at++) {
		if (text[at] == ' ') {
			continue;
		}
		if (text[at] == '\\' && ++at == len) {
			return len;
		}
		end = at + 1;
	}
	return end;
}

/* A line without what ends it. git's strings end at a NUL, and so does a pattern. */
static size_t line_length(const char *text, size_t len)
{
	const char *nul;

	if (len > 0 && text[len - 1] == '\r') {
		len--;
	}
	nul = memchr(text, '\0', len);
	return trimmed(text, nul != NULL ? (size_t)(nul - text) : len);
}

static enum ph_status add_line(struct ph__sparse *sparse, uint32_t at, size_t len)
{
	struct line *line = &sparse->lines[sparse->count];
	const char *text = sparse->text + at;
	unsigned flags = 0;

	if (len > PH__SPARSE_PATTERN_MAX) {
		return PH_ERR_LIMIT;
	}
	if (len > 0 && text[0] == '!') {
		flags |= OUT;
		text++;
		at++;
		len--;
	}
	if (len > 0 && text[len - 1] == '/') {
		flags |= TREE;
		len--;
	}
	if (memchr(text, '/', len) == NULL) {
		flags |= ANY_DIR;
	} else if (text[0] == '/') {
		at++;
		len--;
	}
	*line = (struct line){.at = at, .len = (uint16_t)len, .flags = (uint16_t)flags};
	sparse->count++;
	return PH_OK;
}

static enum ph_status read_lines(struct ph__sparse *sparse)
{
	static const char mark[] = "\xef\xbb\xbf"; /* some editors put it in front */
	size_t from = 0;
	enum ph_status status = PH_OK;

	if (sparse->size >= 3 && memcmp(sparse->text, mark, 3) == 0) {
		from = 3;
	}
	while (from < sparse->size && status == PH_OK) {
		const char *text = sparse->text + from;
		const char *end = memchr(text, '\n', sparse->size - from);
		size_t len = end != NULL ? (size_t)(end - text) : sparse->size - from;

		if (len > 0 && text[0] != '#') {
			status = add_line(sparse, (uint32_t)from, line_length(text, len));
		}
		from += len + 1;
	}
	return status;
}

static size_t count_lines(const char *data, size_t size)
{
	size_t lines = 1;

	for (size_t i = 0; i < size; i++) {
		lines += data[i] == '\n' && i > 0 && data[i - 1] != '\n';
	}
	return lines;
}

enum ph_status ph__sparse_new(struct ph__sparse **out, const struct ph_alloc *alloc,
                              const void *data, size_t size)
{
	struct ph__sparse *sparse = ph_mem_zalloc(alloc, 1, sizeof *sparse);
	enum ph_status status = PH_ERR_NOMEM;

	if (sparse == NULL) {
		return PH_ERR_NOMEM;
	}
	sparse->text = ph_mem_alloc(alloc, size + 1);
	sparse->lines = ph_mem_zalloc(alloc, count_lines(data, size), sizeof *sparse->lines);
	if (sparse->text != NULL && sparse->lines != NULL) {
		if (size > 0) {
			memcpy(sparse->text, data, size);
		}
		sparse->text[size] = '\0';
		sparse->size = size;
		status = read_lines(sparse);
	}
	if (status != PH_OK) {
		ph__sparse_free(sparse, alloc);
		return status;
	}
	*out = sparse;
	return PH_OK;
}

void ph__sparse_free(struct ph__sparse *sparse, const struct ph_alloc *alloc)
{
	if (sparse == NULL) {
		return;
	}
	ph_mem_free(alloc, sparse->lines);
	ph_mem_free(alloc, sparse->text);
	ph_mem_free(alloc, sparse);
}

size_t ph__sparse_memory_max(size_t size)
{
	/* A line has a character and its end at least. */
	return sizeof(struct ph__sparse) + size + 1 + (size / 2 + 1) * sizeof(struct line);
}

size_t ph__sparse_bytes(const struct ph__sparse *sparse)
{
	return sparse->size;
}

static bool line_matches(const struct ph__sparse *sparse, const struct line *line, const char *path,
                         size_t len, size_t base, bool is_tree, uint64_t *cost)
{
	const char *pattern = sparse->text + line->at;

	++*cost;
	if ((line->flags & TREE) != 0 && !is_tree) {
		return false;
	}
	if ((line->flags & ANY_DIR) != 0) {
		return ph_glob_match(pattern, line->len, path + base, len - base, false, cost);
	}
	/* The root has no path, so no pattern for paths matches it. */
	return len > 0 && ph_glob_match(pattern, line->len, path, len, true, cost);
}

enum ph_status ph__sparse_match(const struct ph__sparse *sparse, const char *path, size_t len,
                                size_t base, bool is_tree, uint32_t *at, uint64_t *cost,
                                enum ph__sparse_says *says)
{
	uint64_t start = *cost;

	while (*at < sparse->count) {
		const struct line *line = &sparse->lines[sparse->count - 1 - *at];

		if (line_matches(sparse, line, path, len, base, is_tree, cost)) {
			*says = (line->flags & OUT) != 0 ? PH__SPARSE_OUT : PH__SPARSE_IN;
			return PH_OK;
		}
		++*at;
		if (*cost - start >= PH__SPARSE_SLICE) {
			return PH_AGAIN;
		}
	}
	*says = PH__SPARSE_NOTHING;
	return PH_OK;
}
