/* SPDX-License-Identifier: MIT */
/*
 * Objects: types, and parsers of commits, trees and tags (git's object formats). The parsers read a
 * whole object from memory, copy nothing, and accept what git accepts of old histories; the
 * stricter rules are in fsck.h.
 */
#ifndef PACKHORSE_OBJECT_H
#define PACKHORSE_OBJECT_H

#include <packhorse/oid.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Values as in a pack entry's header (gitformat-pack). */
enum ph_object_type {
	PH_OBJ_NONE = 0,
	PH_OBJ_COMMIT = 1,
	PH_OBJ_TREE = 2,
	PH_OBJ_BLOB = 3,
	PH_OBJ_TAG = 4,
	PH_OBJ_OFS_DELTA = 6,
	PH_OBJ_REF_DELTA = 7
};

/* "commit", "tree", "blob" or "tag"; "none" for any other value. */
PH_API const char *ph_object_type_name(enum ph_object_type type);
/* PH_OBJ_NONE for any other name. */
PH_API enum ph_object_type ph_object_type_from_name(const char *name, size_t len);

/* A commit: its tree, its time, and its parents in place. Points into the data it was parsed from.
 */
struct ph_commit {
	struct ph_oid tree;
	uint64_t time;       /* committer's, seconds since 1970; 0 when unreadable */
	uint32_t parents;    /* how many */
	const char *parent0; /* first "parent " line, or NULL; see ph_commit_parent */
	enum ph_hash_algo algo;
};

/* PH_ERR_INVALID when tree or parent lines are not as git writes them. */
PH_API enum ph_status ph_commit_parse(struct ph_commit *out, enum ph_hash_algo algo,
                                      const void *data, size_t size);
/* The index-th parent, index < commit->parents. */
PH_API void ph_commit_parent(const struct ph_commit *commit, uint32_t index, struct ph_oid *out);

/* A tag: what it names. */
struct ph_tag {
	struct ph_oid object;
	enum ph_object_type type;
	const char *name; /* not NUL-terminated */
	size_t name_len;
};

PH_API enum ph_status ph_tag_parse(struct ph_tag *out, enum ph_hash_algo algo, const void *data,
                                   size_t size);

/* Walks a tree's entries in order. */
struct ph_tree_entry {
	uint32_t mode; /* as written, octal: 040000 tree, 0160000 submodule, 0120000 symlink */
	const char *name;
	size_t name_len;
	struct ph_oid oid;
};

struct ph_tree_iter {
	const uint8_t *at, *end;
	enum ph_hash_algo algo;
};

PH_API void ph_tree_iter_init(struct ph_tree_iter *iter, enum ph_hash_algo algo, const void *data,
                              size_t size);
/* PH_OK with an entry, PH_END, or PH_ERR_INVALID (the rest of the tree cannot be read). */
PH_API enum ph_status ph_tree_iter_next(struct ph_tree_iter *iter, struct ph_tree_entry *out);

static inline bool ph_mode_is_tree(uint32_t mode)
{
	return (mode & 0170000) == 0040000;
}

static inline bool ph_mode_is_submodule(uint32_t mode)
{
	return (mode & 0170000) == 0160000;
}

static inline bool ph_mode_is_symlink(uint32_t mode)
{
	return (mode & 0170000) == 0120000;
}

#ifdef __cplusplus
}
#endif
#endif
