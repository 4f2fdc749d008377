/* SPDX-License-Identifier: MIT */
/*
 * Rules for one entry of a tree, and for two neighbours: what a check of a whole tree and a check
 * of what a delta changed have in common.
 */
#ifndef PACKHORSE_FSCK_TREE_INT_H
#define PACKHORSE_FSCK_TREE_INT_H

#include "fsck_int.h"
#include "tree_marks_int.h"

static inline void ph__tree_find(ph__tree_found *found, enum ph__fsck_id id)
{
	_Static_assert(PH__FSCK_COUNT <= 64, "one bit a finding");
	*found |= (uint64_t)1 << id;
}

/*
 * The next entry, with all that concerns it alone: it is told to the callbacks. PH_OK, PH_END, an
 * error of a callback, or PH_ERR_INVALID: the rest of the tree cannot be read.
 */
enum ph_status ph__tree_entry_next(const struct ph__tree_checker *checker,
                                   struct ph_tree_iter *iter, struct ph_tree_entry *entry,
                                   ph__tree_found *found);
/*
 * Whether two neighbours are in order. *common is how many bytes their names have in common. False:
 * it was found that they are not, or that they have the same name.
 */
bool ph__tree_pair_check(const struct ph_tree_entry *last, const struct ph_tree_entry *entry,
                         size_t *common, ph__tree_found *found);
/* The byte that decides the order: a directory's name sorts as if it ended in a slash. */
uint8_t ph__tree_order_byte(const struct ph_tree_entry *entry, size_t at);

/* Reports what was found. */
void ph__fsck_tree_tell(struct ph__fsck_run *run, ph__tree_found found);

/* ---- tree_marks.c ---- */

/* Adds one; marks are dropped when there is no memory. */
void ph__tree_marks_add(struct ph__tree_marks *marks, const struct ph_alloc *alloc, size_t start);
/* Empties marks for a tree whose entries are to be added. */
void ph__tree_marks_begin(struct ph__tree_marks *marks, const struct ph_alloc *alloc);

#endif
