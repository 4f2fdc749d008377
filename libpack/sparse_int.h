/* SPDX-License-Identifier: MIT */
/*
 * The patterns of a sparse-checkout file (git-sparse-checkout, gitignore): lines of which the last
 * that matches a path decides.
 */
#ifndef PACKHORSE_SPARSE_INT_H
#define PACKHORSE_SPARSE_INT_H

#include <packhorse/base.h>

struct ph__sparse;

/* A longer pattern names a path that no system can check out. */
#define PH__SPARSE_PATTERN_MAX 4096u
/* Characters compared in one call; see ph__sparse_match. */
#define PH__SPARSE_SLICE 65536u

/* Copies what it needs. PH_ERR_LIMIT when a pattern is too long; PH_ERR_NOMEM. */
enum ph_status ph__sparse_new(struct ph__sparse **out, const struct ph_alloc *alloc,
                              const void *data, size_t size);
void ph__sparse_free(struct ph__sparse *sparse, const struct ph_alloc *alloc);
/* The most memory that a file of this size takes. */
size_t ph__sparse_memory_max(size_t size);
/* How large the file was. */
size_t ph__sparse_bytes(const struct ph__sparse *sparse);

enum ph__sparse_says { PH__SPARSE_NOTHING, PH__SPARSE_IN, PH__SPARSE_OUT };

/*
 * What the patterns say of a path whose last component begins at base. *at is 0 at first; PH_AGAIN
 * after about PH__SPARSE_SLICE of *cost: call again with what *at is then.
 */
enum ph_status ph__sparse_match(const struct ph__sparse *sparse, const char *path, size_t len,
                                size_t base, bool is_tree, uint32_t *at, uint64_t *cost,
                                enum ph__sparse_says *says);

#endif
