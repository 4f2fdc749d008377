/* SPDX-License-Identifier: MIT */
/*
 * The attributes of a path: every file on the way to it is asked, the deepest first, each from its
 * last line up, and what is said first stands. A macro that is set sets what it stands for, as far
 * as that is still open. Each name is set once, so the work of a path is bounded by its lines.
 */
#include "attributes_int.h"
#include "wild_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Lines that are tried for one unit of the budget. */
#define LINES_A_UNIT 16u
/* A pattern with stars may look at the path once for each of its bytes. */
#define WORK_A_UNIT 16384u

enum ph_status ph__attributes_init(struct ph__attributes *attributes, const struct ph_alloc *alloc,
                                   struct ph__text *notes)
{
	memset(attributes, 0, sizeof(*attributes));
	attributes->alloc = alloc;
	attributes->notes = notes;
	attributes->macros = ph_mem_zalloc(alloc, PH__ATTR_MACROS_MAX, sizeof(*attributes->macros));
	if (!attributes->macros)
		return PH_ERR_NOMEM;
	snprintf(attributes->macros[0].name, sizeof(attributes->macros[0].name), "binary");
	attributes->macros[0].built_in = true;
	attributes->macro_count = 1;
	return PH_OK;
}

void ph__attributes_release(struct ph__attributes *attributes)
{
	if (attributes->alloc)
		ph_mem_free(attributes->alloc, attributes->macros);
	attributes->macros = NULL;
}

void ph__attr_file_release(struct ph__attributes *attributes, struct ph__attr_file *file)
{
	ph_mem_free(attributes->alloc, file->patterns);
	ph_mem_free(attributes->alloc, file->lines);
	ph_mem_free(attributes->alloc, file->states);
	assert(attributes->kept >= file->bytes);
	attributes->kept -= file->bytes;
	if (attributes->top == file)
		attributes->top = NULL;
	memset(file, 0, sizeof(*file));
}

/* ---- patterns ---- */

static bool match_base_name(const struct ph__attr_line *line, const char *pattern, const char *name,
                            size_t len)
{
	if (line->plain == line->pattern_len)
		return len == line->pattern_len && memcmp(pattern, name, len) == 0;
	if (line->ends_with)
		return len + 1 >= line->pattern_len &&
		       memcmp(pattern + 1, name + len + 1 - line->pattern_len,
		              line->pattern_len - 1u) == 0;
	return ph__wild_match(pattern, line->pattern_len, name, len, false);
}

static bool match_path(const struct ph__attr_line *line, const char *pattern, const char *path,
                       size_t len)
{
	size_t pattern_len = line->pattern_len, plain = line->plain;

	if (pattern_len && *pattern == '/') {
		pattern++;
		pattern_len--;
		plain -= plain > 0;
	}
	if (len == 0 || plain > len || memcmp(pattern, path, plain) != 0)
		return false;
	if (plain == pattern_len)
		return len == plain;
	/* A last plain byte stays, so that "**" sees what it stands behind. */
	plain -= plain > 0;
	return ph__wild_match(pattern + plain, pattern_len - plain, path + plain, len - plain,
	                      true);
}

static bool match_line(const struct ph__attr_file *file, const struct ph__attr_line *line,
                       const char *path, size_t len)
{
	const char *pattern = file->patterns + line->pattern;
	bool directory = len && path[len - 1] == '/';
	size_t base;

	if (line->directory && !directory)
		return false;
	len -= directory;
	if (!line->base_name)
		return match_path(line, pattern, path, len);
	for (base = len; base > 0 && path[base - 1] != '/';)
		base--;
	return match_base_name(line, pattern, path + base, len - base);
}

/* ---- values ---- */

static const struct ph__attr_state binary[] = {{PH__ATTR_DIFF, PH__ATTR_FALSE},
                                               {PH__ATTR_TEXT, PH__ATTR_FALSE}};

struct states {
	const struct ph__attr_state *first;
	uint32_t left;
};

static struct states macro_states(const struct ph__attributes *attributes, uint16_t name)
{
	const struct ph__attr_macro *macro = &attributes->macros[name - PH__ATTR_COUNT];

	if (macro->built_in)
		return (struct states){binary, sizeof(binary) / sizeof(*binary)};
	if (!attributes->top || macro->state_count == 0)
		return (struct states){NULL, 0};
	return (struct states){attributes->top->states + macro->states, macro->state_count};
}

/* A line's states count from the last to the first, each macro at its place. */
static void set(const struct ph__attributes *attributes, struct ph__attr_check *check,
                const struct ph__attr_state *first, uint32_t count)
{
	struct states stack[PH__ATTR_MACROS_MAX + 1];
	uint32_t depth = 0;

	stack[depth++] = (struct states){first, count};
	while (depth) {
		struct states *top = &stack[depth - 1];
		const struct ph__attr_state *state;

		if (top->left == 0) {
			depth--;
			continue;
		}
		state = &top->first[--top->left];
		if (check->values[state->name] != PH__ATTR_UNKNOWN)
			continue;
		check->values[state->name] = state->value;
		/* Every macro is set once, so the stack is deep enough. */
		if (state->name >= PH__ATTR_COUNT && state->value == PH__ATTR_TRUE)
			stack[depth++] = macro_states(attributes, state->name);
	}
}

void ph__attr_check_begin(const struct ph__attributes *attributes, struct ph__attr_check *check)
{
	memset(check->values, PH__ATTR_UNKNOWN, PH__ATTR_COUNT + attributes->macro_count);
}

enum ph_status ph__attr_check_file(const struct ph__attributes *attributes,
                                   struct ph__attr_check *check, const struct ph__attr_file *file,
                                   const char *path, size_t len, uint32_t *line, uint32_t *budget)
{
	while (*line > 0) {
		const struct ph__attr_line *at = &file->lines[*line - 1];

		if (*budget == 0)
			return PH_AGAIN;
		if (match_line(file, at, path, len))
			set(attributes, check, file->states + at->states, at->state_count);
		if (--*line % LINES_A_UNIT == 0)
			ph_budget_spend(budget, 1);
		if (at->plain < at->pattern_len)
			ph_budget_spend(budget, at->pattern_len * (uint64_t)len / WORK_A_UNIT);
	}
	return PH_OK;
}
