/* SPDX-License-Identifier: MIT */
/*
 * An archive as a stream that is read: nothing of it is made before somebody has room for it.
 *
 *   entries    the tree, as git orders it, with attributes           entries.c over tree_walk.c
 *   content    bytes of one entry, converted where attributes say    content.c, convert.c, subst.c
 *   format     headers around them                                   archive_tar.c, archive_zip.c
 *   gzip       around a tar                                          archive_gzip.c
 *
 * The bytes depend on the tree, the options and the time alone, never on room or budget.
 */
#ifndef PACKHORSE_ARCHIVE_INT_H
#define PACKHORSE_ARCHIVE_INT_H

#include "blob_int.h"
#include "facts_int.h"
#include "line_ends_int.h"
#include "options_int.h"
#include "tree_walk_int.h"

#include <packhorse/hash.h>

/* git streams files above its core.bigFileThreshold: those are not converted, and a zip says their
 * sizes behind them. */
#define PH__ARCHIVE_BIG_BYTES ((uint64_t)512 << 20)
/* A name that a symbolic link holds; file systems stop at 4096. */
#define PH__ARCHIVE_LINK_BYTES_MAX 65536u
/* Lines for the error stream that wait to be told; from the first of these on, reading stops until
 * they are. */
#define PH__ARCHIVE_NOTES_BYTES 4096u
#define PH__ARCHIVE_NOTES_BYTES_MAX (64u * 1024)
/* Headers that wait to be read: a path and a link in a pax header and a little. */
#define PH__ARCHIVE_HEADER_BYTES_MAX (256u * 1024)
/* A zip's directory for each object of the repository, and for all at least and at most. */
#define PH__ZIP_DIRECTORY_ENTRY_BYTES 160u
#define PH__ZIP_DIRECTORY_BYTES_LEAST ((uint64_t)1 << 20)
#define PH__ZIP_DIRECTORY_BYTES_MAX ((uint64_t)64 << 20)
/* Compressed files up to this size wait in memory until theirs is known; larger ones are compressed
 * twice. */
#define PH__ZIP_WHOLE_BYTES ((uint64_t)1 << 20)

/* A file that attributes change, as it is stored; what becomes of it may be twice as large. */
uint64_t ph__convert_bytes_max(const struct ph_limits *limits);

/* ---- what is to be archived ---- */

struct ph__archive_input {
	struct ph_reader *reader;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	const struct ph__archive_options *options;
	const struct ph__pathspec *specs;
	uint32_t spec_count;
	struct ph_oid tree, commit;
	bool has_commit;
	uint64_t time;
	struct ph__subst *subst; /* NULL without a commit */
	struct ph__facts *facts; /* for subst; gathered when a file wants them */
	struct ph__text *notes;
	uint64_t directory_bytes_max; /* of a zip */
};

/* ---- entries.c ---- */

struct ph__archive_entry {
	uint32_t mode;
	struct ph_oid oid;
	const char *path; /* with the prefix, and a slash behind a directory */
	size_t path_len;
	const uint8_t *attributes; /* values by enum ph__attribute */
	const char *tree_path;     /* without the prefix */
};

struct ph__entries {
	const struct ph__archive_input *input;
	struct ph__tree_walk walk;
	struct ph__attributes attributes;
	struct ph__attr_check check;
	struct ph__text path;
	enum { PH__ENTRIES_PREFIX, PH__ENTRIES_WALK, PH__ENTRIES_CHECK, PH__ENTRIES_UP } state;
	uint32_t level, line; /* how far CHECK has come; level: and UP */
};

PH_MUST_CHECK enum ph_status ph__entries_init(struct ph__entries *entries,
                                              const struct ph__archive_input *input);
void ph__entries_release(struct ph__entries *entries);
/* The next one, valid until the call after it. PH_END, PH_AGAIN, and as ph__tree_walk_next. */
PH_MUST_CHECK enum ph_status ph__entries_next(struct ph__entries *entries,
                                              struct ph__archive_entry *out, uint32_t *budget);

/* ---- content.c ---- */

struct ph__content {
	const struct ph__archive_input *input;
	uint64_t size, at;
	const uint8_t *bytes; /* all of it, or NULL: it comes from the blob */
	bool big;             /* beyond PH__ARCHIVE_BIG_BYTES, and as it is stored */
	struct ph__blob blob;
	struct ph__convert *convert; /* while it is at work */
	/* Of a file whose lines are to end otherwise, and that is too large to be converted at
	 * once: */
	enum ph__line_ends ends;
	enum { PH__CONTENT_PLAIN, PH__CONTENT_COUNTING, PH__CONTENT_CRLF } lines;
	struct ph__line_stats stats;
	struct ph__line_ends_state line_state;
	uint8_t *window; /* PH__BLOB_WINDOW_BYTES; NULL until it is needed */
	size_t window_at, window_len;
	uint8_t spare; /* half of a line's end that did not fit */
	bool has_spare;
	struct ph__text text[2]; /* what conversions gave, by turns */
};

void ph__content_init(struct ph__content *content, const struct ph__archive_input *input);
void ph__content_release(struct ph__content *content);
/* Begins an entry; PH_AGAIN: call again. Errors put a text into why. */
PH_MUST_CHECK enum ph_status ph__content_open(struct ph__content *content,
                                              const struct ph__archive_entry *entry,
                                              char why[PH__ARCHIVE_WHY_BYTES], uint32_t *budget);
PH_MUST_CHECK enum ph_status ph__content_rewind(struct ph__content *content);
/* As ph__blob_read. */
PH_MUST_CHECK enum ph_status ph__content_read(struct ph__content *content, uint8_t *out,
                                              size_t room, size_t *used, uint32_t *budget);

/* ---- convert.c ---- */

/* Whether attributes change more of a file than its line ends. */
bool ph__convert_needed(const uint8_t *attributes, bool subst);
/*
 * Makes a converted file of bytes, which stay in place meanwhile: *out is bytes themselves or one
 * of texts. Call it again on PH_AGAIN, with the same arguments. PH_ERR_LIMIT when it becomes too
 * large.
 */
struct ph__convert;
PH_MUST_CHECK enum ph_status ph__convert_new(struct ph__convert **out,
                                             const struct ph__archive_input *input,
                                             const struct ph__archive_entry *entry,
                                             const uint8_t *bytes, uint64_t size,
                                             struct ph__text texts[2]);
PH_MUST_CHECK enum ph_status ph__convert_run(struct ph__convert *convert, uint32_t *budget);
void ph__convert_result(const struct ph__convert *convert, const uint8_t **bytes, uint64_t *size);
void ph__convert_free(struct ph__convert *convert);

/* ---- archive.c ---- */

struct ph__archive;

struct ph__archive_format_ops {
	/* PH_MUST be called in this order; prepare, data and finish for each entry. What is put
	 * into archive->header goes out before anything else. */
	enum ph_status (*begin)(struct ph__archive *archive);
	enum ph_status (*prepare)(struct ph__archive *archive, uint32_t *budget);
	enum ph_status (*data)(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used,
	                       uint32_t *budget);
	enum ph_status (*finish)(struct ph__archive *archive);
	/* Called until PH_END. */
	enum ph_status (*end)(struct ph__archive *archive, uint8_t *out, size_t room, size_t *used);
	void (*release)(struct ph__archive *archive);
};

struct ph__archive {
	struct ph__archive_input input;
	const struct ph__archive_format_ops *ops;
	enum {
		PH__ARCHIVE_BEGIN,
		PH__ARCHIVE_NEXT,
		PH__ARCHIVE_CONTENT,
		PH__ARCHIVE_PREPARE,
		PH__ARCHIVE_DATA,
		PH__ARCHIVE_END
	} state;
	struct ph__entries entries;
	struct ph__archive_entry entry;
	struct ph__content content;
	struct ph__text header;
	size_t header_at;
	uint64_t bytes; /* of the format's own output so far */
	bool ended;     /* for the format: its end was made */
	char why[PH__ARCHIVE_WHY_BYTES];
	struct ph__zip *zip;
	struct ph__gzip *gzip;
};

PH_MUST_CHECK enum ph_status ph__archive_new(struct ph__archive **out,
                                             const struct ph__archive_input *input);
void ph__archive_free(struct ph__archive *archive);
/*
 * Reads on, *used bytes. PH_OK: out is full; PH_AGAIN: the budget is spent; PH_PENDING: the notes
 * are to be told; PH_END; an error, which ph__archive_why tells in words ("" when the status says
 * it all).
 */
PH_MUST_CHECK enum ph_status ph__archive_read(struct ph__archive *archive, uint8_t *out,
                                              size_t room, size_t *used, uint32_t *budget);
const char *ph__archive_why(const struct ph__archive *archive);
/* Keeps a text that says what is wrong. Returns status. */
enum ph_status ph__archive_fail(struct ph__archive *archive, enum ph_status status,
                                const char *format, ...) PH_PRINTF(3, 4);
/* The format's own bytes, before gzip. */
PH_MUST_CHECK enum ph_status ph__archive_read_plain(struct ph__archive *archive, uint8_t *out,
                                                    size_t room, size_t *used, uint32_t *budget);

extern const struct ph__archive_format_ops ph__tar_ops, ph__zip_ops;

/* ---- archive_zip.c, archive_gzip.c ---- */

PH_MUST_CHECK enum ph_status ph__zip_new(struct ph__zip **out,
                                         const struct ph__archive_input *input);
PH_MUST_CHECK enum ph_status ph__gzip_new(struct ph__gzip **out, const struct ph_alloc *alloc,
                                          int level);
void ph__gzip_free(struct ph__gzip *gzip);
PH_MUST_CHECK enum ph_status ph__gzip_read(struct ph__gzip *gzip, struct ph__archive *archive,
                                           uint8_t *out, size_t room, size_t *used,
                                           uint32_t *budget);

#endif
