/* SPDX-License-Identifier: MIT */
/*
 * What "export-subst" puts in the place of $Format:...$: git's pretty formats of one commit, as far
 * as they need no program, no network and no other object. Everything has a limit: how far a text
 * is padded, how long one result is, and how long all of them together.
 */
#ifndef PACKHORSE_SUBST_INT_H
#define PACKHORSE_SUBST_INT_H

#include "text_int.h"

#include <packhorse/object.h>

/* A longer one stays as it is. */
#define PH__SUBST_FORMAT_BYTES_MAX 4096u
/* What one $Format:...$ may give. */
#define PH__SUBST_BYTES_MAX (256u * 1024)
/* Columns of padding and wrapping; git's own limit against CVE-2022-41903. */
#define PH__SUBST_COLUMNS_MAX (16u * 1024)
/* Names of refs that %d lists. */
#define PH__SUBST_NAMES_BYTES_MAX (64u * 1024)
/* A commit that is larger is shown without its text. */
#define PH__SUBST_COMMIT_BYTES_MAX (1u << 20)

enum ph__subst_ref { PH__SUBST_REF_HEAD = 'h', PH__SUBST_REF_TAG = 't', PH__SUBST_REF_OTHER = 'o' };

struct ph__subst {
	const struct ph_alloc *alloc;
	enum ph_hash_algo algo;
	struct ph_oid oid, tree;
	char *text; /* of the commit, with a NUL */
	size_t size;
	struct ph__text parents, short_parents; /* ids between blanks */
	unsigned short_commit, short_tree;      /* digits that tell them from all others */
	/* Refs to the commit in the order that git shows: a byte of ph__subst_ref, the name, a NUL.
	 */
	struct ph__text names;
	char head[1025]; /* what HEAD names when it is a symref; "" */
	uint64_t now_s;
};

void ph__subst_init(struct ph__subst *subst, const struct ph_alloc *alloc, enum ph_hash_algo algo);
void ph__subst_release(struct ph__subst *subst);
/* Copies the commit's text. PH_ERR_INVALID when it is no commit, PH_ERR_LIMIT, PH_ERR_NOMEM. */
PH_MUST_CHECK enum ph_status ph__subst_commit(struct ph__subst *subst, const struct ph_oid *oid,
                                              const void *data, size_t size);
/* Adds what a format gives. PH_ERR_LIMIT when out or the result becomes too large; PH_ERR_NOMEM. */
PH_MUST_CHECK enum ph_status ph__subst_format(struct ph__subst *subst, struct ph__text *out,
                                              const char *format, size_t len, uint32_t *budget);

/* ---- subst_item.c ---- */

/* One format at work. */
struct ph__format {
	const struct ph__subst *subst;
	const char *message; /* of the commit, behind its header's empty line; or at its end */
	/* Padding of the next item: */
	enum {
		PH__FLUSH_NONE,
		PH__FLUSH_RIGHT,
		PH__FLUSH_LEFT,
		PH__FLUSH_STEAL,
		PH__FLUSH_BOTH
	} flush;
	enum { PH__TRUNC_NONE, PH__TRUNC_LEFT, PH__TRUNC_MIDDLE, PH__TRUNC_RIGHT } trunc;
	int64_t padding; /* negative: up to that column */
	/* Wrapping of what has come since wrap_at: */
	size_t wrap_at;
	uint32_t width, indent1, indent2;
	enum ph_status status;
};

/* Adds what one placeholder gives; how many bytes of the format it was, 0 when it is none. */
size_t ph__subst_item(struct ph__format *format, struct ph__text *out, const char *at);
/* Rewraps what has come since the last change of it, and changes it. */
void ph__subst_rewrap(struct ph__format *format, struct ph__text *out, uint32_t width,
                      uint32_t indent1, uint32_t indent2);

/* ---- subst_layout.c ---- */

/* Puts what was added since a place into columns. */
PH_MUST_CHECK enum ph_status ph__subst_wrap(struct ph__text *out, size_t from, uint32_t width,
                                            uint32_t indent1, uint32_t indent2);
/* Adds an item with a padding: so many columns, or negative: up to that column. */
PH_MUST_CHECK enum ph_status ph__subst_pad(struct ph__format *format, struct ph__text *out,
                                           struct ph__text *item, int64_t padding);

#endif
