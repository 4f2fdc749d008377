/* SPDX-License-Identifier: MIT */
/*
 * A walk through a tree in its own order, a directory before what is in it, without recursion. What
 * lies outside the pathspecs is not shown. On the way the .gitattributes of each directory entered
 * are read, when somebody wants attributes.
 */
#ifndef PACKHORSE_TREE_WALK_INT_H
#define PACKHORSE_TREE_WALK_INT_H

#include "attributes_int.h"
#include "pathspec_int.h"

#include <packhorse/reader.h>

/* git's core.maxTreeDepth. */
#define PH__TREE_DEPTH_MAX 2048u
/* Twice what Linux allows for a path. */
#define PH__TREE_PATH_BYTES_MAX 8192u
/* Trees on the way to the one at work are kept up to this sum; beyond they are read again. */
#define PH__TREE_HELD_BYTES_MAX ((uint64_t)1 << 20)

/* A directory that was entered. */
struct ph__tree_level {
	struct ph_oid tree;
	struct ph_object object;
	bool held;                        /* object is there */
	size_t at;                        /* how far it was read */
	size_t path_len;                  /* of the path in front of its names, with a slash */
	bool all;                         /* all below is within the pathspecs */
	bool written;                     /* for the user */
	struct ph__attr_file *attributes; /* NULL without a .gitattributes */
};

struct ph__tree_walk {
	struct ph_reader *reader;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	enum ph_hash_algo algo;
	struct ph__attributes *attributes; /* NULL: nobody wants them */
	const struct ph__pathspec *specs;
	uint32_t spec_count;
	struct ph__tree_level *levels;
	uint32_t depth, room;
	uint64_t held_bytes;
	struct ph__text path; /* of what was shown last; behind a directory stands no slash */
	/* What was shown last: */
	uint32_t mode; /* as git takes it: 0100644, 0100755, 0120000, 040000 or 0160000 */
	struct ph_oid oid;
	enum ph__pathspec_match match;
};

void ph__tree_walk_init(struct ph__tree_walk *walk, struct ph_reader *reader,
                        const struct ph_alloc *alloc, const struct ph_limits *limits);
void ph__tree_walk_release(struct ph__tree_walk *walk);
/* Starts over, at a tree. PH_ERR_LIMIT when it is too large, or its .gitattributes are. */
PH_MUST_CHECK enum ph_status ph__tree_walk_begin(struct ph__tree_walk *walk,
                                                 const struct ph_oid *tree);
/* PH_OK with the next, PH_END, PH_AGAIN; PH_ERR_LIMIT for a path too long; PH_ERR_CORRUPT. */
PH_MUST_CHECK enum ph_status ph__tree_walk_next(struct ph__tree_walk *walk, uint32_t *budget);
/* Goes into the directory shown last. PH_ERR_LIMIT as begin, and when it lies too deep. */
PH_MUST_CHECK enum ph_status ph__tree_walk_enter(struct ph__tree_walk *walk);

#endif
