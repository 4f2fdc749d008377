/* SPDX-License-Identifier: MIT */
/*
 * Checks of trees that are deltas of trees checked before. A history is mostly trees, each a copy
 * of its base with an entry or two changed, so what costs is to look at every entry again. Marks
 * tell where the entries of a checked tree begin: what a delta copies of them as a whole needs no
 * second look, only what it inserts or cuts, and the neighbours there. When anything at all is
 * found, or when there are no marks, the tree is checked whole: then the findings are exactly
 * those.
 *
 * There is no state but in the structs given; a checker may be used by one thread at a time.
 */
#ifndef PACKHORSE_TREE_MARKS_INT_H
#define PACKHORSE_TREE_MARKS_INT_H

#include <packhorse/fsck.h>

/*
 * Where the entries of a tree begin. Only a tree without any finding has marks, and only it needs
 * them: marks without starts are always right, and mean that what is made of this tree is checked
 * whole. So they may be dropped at any time. {0} has none.
 */
struct ph__tree_marks {
	uint32_t *starts; /* count of them, ascending; NULL: none are known */
	uint32_t count, cap;
	bool known; /* also of an empty tree */
};

/* An entry that is no submodule names an object; type is PH_OBJ_TREE or PH_OBJ_BLOB. */
typedef enum ph_status (*ph__tree_link)(void *user, enum ph_object_type type, const uint8_t *id);

struct ph__tree_checker {
	enum ph_hash_algo algo;
	const struct ph_alloc *alloc; /* of marks; NULL: none are kept */
	void *user;
	ph_fsck_special special; /* may be NULL; an error of it ends the check */
	ph__tree_link link;      /* may be NULL; likewise */
};

/* What a check found: a set that ph__tree_tell tells of. 0: nothing. */
typedef uint64_t ph__tree_found;

/*
 * Checks a whole tree: PH_OK whatever it found, or an error of a callback. marks may be NULL; what
 * it had is replaced (its memory is used again). No memory for marks is no error: there are none
 * then.
 */
enum ph_status ph__tree_check_full(const struct ph__tree_checker *checker, const uint8_t *data,
                                   size_t size, struct ph__tree_marks *marks,
                                   ph__tree_found *found);
/*
 * The same for a tree that came out of applying a delta (whole, with its header; it has been
 * applied without an error) to base. Specials and links that are in the base's entries may be left
 * out: who calls has them from there. marks and base_marks are not the same.
 */
enum ph_status ph__tree_check_delta(const struct ph__tree_checker *checker, const uint8_t *base,
                                    size_t base_size, const struct ph__tree_marks *base_marks,
                                    const uint8_t *delta, size_t delta_len, const uint8_t *data,
                                    size_t size, struct ph__tree_marks *marks,
                                    ph__tree_found *found);
/*
 * Reports what a check found, when the tree's id is known: fsck->report is called once for each, as
 * ph_fsck_object does. PH_OK or PH_ERR_FSCK.
 */
enum ph_status ph__tree_tell(const struct ph_fsck *fsck, ph__tree_found found);

/* Bytes of memory that marks hold. */
static inline size_t ph__tree_marks_held(const struct ph__tree_marks *marks)
{
	return (size_t)marks->cap * sizeof(*marks->starts);
}
/* Gives up the memory; there are none then. */
void ph__tree_marks_release(struct ph__tree_marks *marks, const struct ph_alloc *alloc);

#endif
