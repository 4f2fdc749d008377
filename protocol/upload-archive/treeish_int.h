/* SPDX-License-Identifier: MIT */
/*
 * From the name that a client gives to the tree that it may have: a ref, or a path in one. With
 * uploadarchive.allowUnreachable also ids, and "^", "^N" and "~N" behind either.
 */
#ifndef PACKHORSE_TREEISH_INT_H
#define PACKHORSE_TREEISH_INT_H

#include "options_int.h"

#include <packhorse/config.h>
#include <packhorse/reader.h>
#include <packhorse/store.h>

struct ph__treeish {
	struct ph_snapshot *snapshot;
	const struct ph_config *config;
	struct ph_reader *reader;
	const struct ph_limits *limits;
	const char *name;
	enum { PH__TREEISH_NAME, PH__TREEISH_PATH, PH__TREEISH_PEEL, PH__TREEISH_DONE } state;
	const char *path; /* what is left of it */
	bool foreign;     /* it led to a submodule */
	struct ph_oid at;
	/* The result: */
	struct ph_oid oid, tree, commit; /* oid: what the name says */
	bool has_commit;
	uint64_t time; /* the commit's */
};

void ph__treeish_init(struct ph__treeish *treeish, struct ph_snapshot *snapshot,
                      const struct ph_config *config, struct ph_reader *reader,
                      const struct ph_limits *limits, const char *name);
/* PH_OK, PH_AGAIN; PH_ERR_INVALID with what git says in why; other errors without. */
PH_MUST_CHECK enum ph_status ph__treeish_run(struct ph__treeish *treeish,
                                             char why[PH__ARCHIVE_WHY_BYTES], uint32_t *budget);

#endif
