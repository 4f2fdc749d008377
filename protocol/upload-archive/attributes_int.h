/* SPDX-License-Identifier: MIT */
/*
 * gitattributes(5) of a tree that is walked: the files of the directories that lead to a path, the
 * deepest first, macros expanded. What git knows of attributes beyond those below, and beyond
 * macros that set them, changes no archive and is not kept.
 *
 * Macros are defined in the file of the top alone; one elsewhere is told about and left out.
 */
#ifndef PACKHORSE_ATTRIBUTES_INT_H
#define PACKHORSE_ATTRIBUTES_INT_H

#include "text_int.h"

enum ph__attribute {
	PH__ATTR_EXPORT_IGNORE,
	PH__ATTR_EXPORT_SUBST,
	PH__ATTR_TEXT,
	PH__ATTR_CRLF,
	PH__ATTR_EOL,
	PH__ATTR_IDENT,
	PH__ATTR_DIFF,
	PH__ATTR_COUNT
};

enum ph__attr_value {
	PH__ATTR_UNKNOWN, /* no line says anything */
	PH__ATTR_UNSET,   /* !name */
	PH__ATTR_TRUE,
	PH__ATTR_FALSE,
	PH__ATTR_AUTO,
	PH__ATTR_INPUT,
	PH__ATTR_LF,
	PH__ATTR_CR_LF,
	PH__ATTR_OTHER /* any other text */
};

/* git ignores larger files too, at 100 MB; a tenth of a megabyte is already a generated one. */
#define PH__ATTR_FILE_BYTES_MAX (1u << 20)
/* git's own. */
#define PH__ATTR_LINE_BYTES_MAX 2048u
/* What is kept of all files that lead to one path. */
#define PH__ATTR_KEPT_BYTES_MAX (4u << 20)
#define PH__ATTR_MACROS_MAX 256u
#define PH__ATTR_NAME_BYTES_MAX 128u

struct ph__attr_state {
	uint16_t name; /* of enum ph__attribute, or a macro's number and PH__ATTR_COUNT */
	uint8_t value;
};

struct ph__attr_line {
	uint32_t pattern, states; /* where they begin in the file's */
	uint16_t pattern_len, plain, state_count;
	bool directory, base_name, ends_with;
};

/* One file. */
struct ph__attr_file {
	char *patterns;
	struct ph__attr_line *lines;
	struct ph__attr_state *states;
	size_t pattern_bytes, bytes; /* bytes: of all three */
	uint32_t line_count, state_count;
	uint32_t line_room, state_room;
	size_t pattern_room;
};

struct ph__attr_macro {
	char name[PH__ATTR_NAME_BYTES_MAX];
	uint32_t states, state_count; /* in the top file's states; the last definition counts */
	bool built_in;                /* "binary": its states are a table */
};

struct ph__attributes {
	const struct ph_alloc *alloc;
	struct ph__text *notes; /* what git would say on its error stream, lines */
	size_t kept;            /* bytes of files that are there now */
	uint32_t macro_count;
	struct ph__attr_macro *macros; /* PH__ATTR_MACROS_MAX */
	const struct ph__attr_file *top;
};

/* The values of one path, while they are looked for and afterwards. */
struct ph__attr_check {
	uint8_t values[PH__ATTR_COUNT + PH__ATTR_MACROS_MAX];
};

PH_MUST_CHECK enum ph_status ph__attributes_init(struct ph__attributes *attributes,
                                                 const struct ph_alloc *alloc,
                                                 struct ph__text *notes);
void ph__attributes_release(struct ph__attributes *attributes);

/*
 * Parses a .gitattributes file; where is its path, for notes. is_top: it may define macros, and
 * must be parsed before all others. PH_ERR_LIMIT when too much would be kept; PH_ERR_NOMEM.
 */
PH_MUST_CHECK enum ph_status ph__attr_file_parse(struct ph__attributes *attributes,
                                                 struct ph__attr_file *out, const char *where,
                                                 bool is_top, const void *data, size_t size);
void ph__attr_file_release(struct ph__attributes *attributes, struct ph__attr_file *file);

/* Before the files of a path, the deepest first, are looked at. */
void ph__attr_check_begin(const struct ph__attributes *attributes, struct ph__attr_check *check);
/*
 * What one file says of a path below its directory, which ends in a slash when it is a directory
 * itself. Goes from the file's *line down, and stops when the budget is spent (PH_AGAIN).
 */
enum ph_status ph__attr_check_file(const struct ph__attributes *attributes,
                                   struct ph__attr_check *check, const struct ph__attr_file *file,
                                   const char *path, size_t len, uint32_t *line, uint32_t *budget);

#endif
