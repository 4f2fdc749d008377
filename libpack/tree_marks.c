/* SPDX-License-Identifier: MIT */
/*
 * Checks only what a delta changed of a tree. The instructions are followed over the result: where
 * a copy takes entries of a base that has marks, they are passed over in one go, and their marks
 * are copied; the rest is read as any tree. What may be wrong between entries that are good each is
 * their order, which is looked at where they meet, and a directory of a file's name further away.
 * At the first doubt the tree is checked whole.
 */
#include "fsck_tree_int.h"

#include <packhorse/delta.h>

/* Entries that marks have room for to begin with. */
#define MARKS_MIN 16u
#define NONE UINT32_MAX

/* ---- marks ---- */

void ph__tree_marks_release(struct ph__tree_marks *marks, const struct ph_alloc *alloc)
{
	if (alloc != NULL)
		ph_mem_free(alloc, marks->starts);
	*marks = (struct ph__tree_marks){0};
}

void ph__tree_marks_begin(struct ph__tree_marks *marks, const struct ph_alloc *alloc)
{
	marks->count = 0;
	marks->known = alloc != NULL;
}

static bool marks_reserve(struct ph__tree_marks *marks, const struct ph_alloc *alloc, size_t more)
{
	size_t need = marks->count + more;
	size_t cap = marks->cap + (size_t)marks->cap / 2;
	uint32_t *grown;

	if (need <= marks->cap)
		return true;
	if (cap < need)
		cap = need < MARKS_MIN ? MARKS_MIN : need;
	grown = cap <= UINT32_MAX ? ph_mem_resize(alloc, marks->starts, cap, sizeof *marks->starts)
	                          : NULL;
	if (grown == NULL) {
		marks->known = false;
		return false;
	}
	marks->starts = grown;
	marks->cap = (uint32_t)cap;
	return true;
}

void ph__tree_marks_add(struct ph__tree_marks *marks, const struct ph_alloc *alloc, size_t start)
{
	if (!marks->known)
		return;
	if (start > UINT32_MAX) {
		marks->known = false;
		return;
	}
	if (marks->count == marks->cap && !marks_reserve(marks, alloc, 1))
		return;
	marks->starts[marks->count++] = (uint32_t)start;
}

/* Entries that lie as far apart as in another tree. */
static void marks_copy(struct ph__tree_marks *marks, const struct ph_alloc *alloc, size_t start,
                       const uint32_t *from, size_t count)
{
	uint32_t shift = (uint32_t)start - from[0]; /* may wrap */
	uint32_t *to;

	if (!marks->known || !marks_reserve(marks, alloc, count))
		return;
	to = marks->starts + marks->count;
	for (size_t i = 0; i < count; i++)
		to[i] = from[i] + shift;
	marks->count += (uint32_t)count;
}

/* How many of them are below a place. */
static uint32_t marks_below(const struct ph__tree_marks *marks, uint64_t place)
{
	const uint32_t *at = marks->starts;
	uint32_t left = marks->count;

	while (left > 0) {
		uint32_t half = left / 2;
		bool below = at[half] < place;

		at += below ? half + 1 : 0;
		left = below ? left - half - 1 : half;
	}
	return marks->count > 0 ? (uint32_t)(at - marks->starts) : 0;
}

/* ---- what a delta makes ---- */

struct follow {
	const struct ph__tree_checker *checker;
	const uint8_t *base;
	size_t base_size;
	const struct ph__tree_marks *base_marks;
	const uint8_t *data;
	size_t size;
	struct ph__tree_marks *marks; /* NULL: not wanted */
	size_t at;                    /* in the result: all entries before are good */
	size_t last;                  /* where the entry before begins; size for none */
	struct ph_tree_entry entry;   /* that entry, when it is a new one */
	bool is_new;
	uint32_t next; /* the base's entry that may follow without a look: it does so in the base */
	bool forks;    /* a new file's name begins the name that follows it */
};

/* PH_OK; PH_END: something is found, or in doubt; errors of callbacks. */
#define DOUBT PH_END

static bool read_entry(enum ph_hash_algo algo, const uint8_t *data, size_t size, size_t at,
                       struct ph_tree_entry *out)
{
	struct ph_tree_iter iter;

	ph_tree_iter_init(&iter, algo, data, size);
	iter.at += at;
	return ph_tree_iter_next(&iter, out) == PH_OK;
}

/*
 * Whether the base has an entry of this name, as a directory or as anything else. Its order is
 * good: a directory sorts as if its name ended in a slash.
 */
static bool base_has(const struct follow *f, const struct ph_tree_entry *like, bool tree)
{
	struct ph_tree_entry wanted = *like;
	struct ph_tree_entry entry;
	uint32_t from = 0;
	uint32_t to = f->base_marks->count;

	wanted.mode = tree ? 0040000 : 0100644;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		ph__tree_found order = 0;
		size_t common;

		/* What cannot be there again is a doubt. */
		if (!read_entry(f->checker->algo, f->base, f->base_size,
		                f->base_marks->starts[middle], &entry))
			return true;
		if (ph__tree_pair_check(&entry, &wanted, &common, &order)) {
			from = middle + 1;
			continue;
		}
		/* The same name is one of a file and a directory: either sorts by its own end. */
		if (common == entry.name_len && common == wanted.name_len) {
			if (ph_mode_is_tree(entry.mode) == tree)
				return true;
			if (!ph_mode_is_tree(entry.mode)) {
				from = middle + 1;
				continue;
			}
		}
		to = middle;
	}
	return false;
}

/*
 * A file and a directory of one name may stand apart, with names between them that begin with it.
 * When such a pair is made, one of the two is new, and has such a neighbour.
 */
static bool may_meet(struct follow *f, const struct ph_tree_entry *last,
                     const struct ph_tree_entry *entry, size_t common)
{
	if (common == last->name_len && !ph_mode_is_tree(last->mode) && f->is_new) {
		f->forks = true;
		return base_has(f, last, true);
	}
	if (common == entry->name_len && ph_mode_is_tree(entry->mode))
		return f->forks || base_has(f, entry, false);
	return false;
}

/* The entry and the one before it. */
static enum ph_status meet(struct follow *f, const struct ph_tree_entry *entry)
{
	ph__tree_found found = 0;
	size_t common;

	if (f->last == f->size)
		return PH_OK;
	if (!f->is_new && !read_entry(f->checker->algo, f->data, f->size, f->last, &f->entry))
		return DOUBT;
	if (!ph__tree_pair_check(&f->entry, entry, &common, &found))
		return DOUBT;
	return may_meet(f, &f->entry, entry, common) ? DOUBT : PH_OK;
}

/* The base's entry of this number comes next, by its name, and the one before it. */
static enum ph_status meet_own(struct follow *f, uint32_t number)
{
	struct ph_tree_entry entry;

	if (number == f->next)
		return PH_OK;
	if (!read_entry(f->checker->algo, f->data, f->size, f->at, &entry))
		return DOUBT;
	return meet(f, &entry);
}

/* An entry that is not the base's, nor of its name. */
static enum ph_status take_new(struct follow *f)
{
	struct ph_tree_entry entry;
	struct ph_tree_iter iter;
	ph__tree_found found = 0;
	enum ph_status status;

	ph_tree_iter_init(&iter, f->checker->algo, f->data, f->size);
	iter.at += f->at;
	status = ph__tree_entry_next(f->checker, &iter, &entry, &found);
	if (status == PH_ERR_INVALID || found != 0)
		return DOUBT;
	if (status == PH_OK)
		status = meet(f, &entry);
	if (status != PH_OK)
		return status;
	if (f->marks != NULL)
		ph__tree_marks_add(f->marks, f->checker->alloc, f->at);
	f->last = f->at;
	f->entry = entry;
	f->is_new = true;
	f->next = NONE;
	f->at = (size_t)(iter.at - f->data);
	return PH_OK;
}

/*
 * The base's entry of this number with another id: mode, name and the NUL behind it are copied, and
 * were found to be good. What is special about a name is so for the new id, too.
 */
static enum ph_status take_id(struct follow *f, uint32_t number, size_t len)
{
	struct ph_tree_entry entry;
	struct ph_tree_iter iter;
	ph__tree_found found = 0;
	enum ph_status status = meet_own(f, number);

	if (status != PH_OK)
		return status;
	ph_tree_iter_init(&iter, f->checker->algo, f->data + f->at, len);
	status = ph__tree_entry_next(f->checker, &iter, &entry, &found);
	if (status == PH_ERR_INVALID || found != 0)
		return DOUBT;
	if (status != PH_OK)
		return status;
	if (f->marks != NULL)
		ph__tree_marks_add(f->marks, f->checker->alloc, f->at);
	f->last = f->at;
	f->is_new = false;
	f->next = number + 1;
	f->at += len;
	return PH_OK;
}

/* Entries of the base as they are, from one number to before another. */
static enum ph_status take_run(struct follow *f, uint32_t first, uint32_t behind, size_t len)
{
	const uint32_t *starts = f->base_marks->starts;
	enum ph_status status = meet_own(f, first);

	if (status != PH_OK)
		return status;
	if (f->marks != NULL)
		marks_copy(f->marks, f->checker->alloc, f->at, starts + first, behind - first);
	f->last = f->at + (starts[behind - 1] - starts[first]);
	f->is_new = false;
	f->next = behind;
	f->at += len;
	return PH_OK;
}

/*
 * What the base's bytes [from, end), which are the result's at f->at, hold of the base's entries
 * from there on; *taken: whether it is anything.
 */
static enum ph_status take_copied(struct follow *f, uint64_t from, uint64_t end, bool *taken)
{
	const struct ph__tree_marks *marks = f->base_marks;
	size_t id_len = ph_hash_bytes(f->checker->algo);
	uint32_t first = f->next;
	uint32_t behind = marks->count;
	uint64_t stop = f->base_size;

	if (first >= marks->count || marks->starts[first] != from)
		first = marks_below(marks, from);
	*taken = false;
	if (first == marks->count || marks->starts[first] != from)
		return PH_OK;
	if (end != f->base_size) {
		behind = marks_below(marks, end + 1) - 1;
		stop = marks->starts[behind];
	}
	if (behind > first) {
		*taken = true;
		return take_run(f, first, behind, (size_t)(stop - from));
	}
	/* The entry is cut. */
	stop = first + 1 < marks->count ? marks->starts[first + 1] : f->base_size;
	if (end + id_len < stop || stop - from > f->size - f->at)
		return PH_OK;
	*taken = true;
	return take_id(f, first, (size_t)(stop - from));
}

/* A copy of [offset, offset + size) of the base to the result's bytes from `to` on. */
static enum ph_status follow_copy(struct follow *f, const struct ph_delta_op *op, size_t to)
{
	size_t end = to + op->size;
	enum ph_status status = PH_OK;

	while (status == PH_OK && f->at < end) {
		bool taken = false;

		if (f->at >= to)
			status = take_copied(f, op->offset + (f->at - to), op->offset + op->size,
			                     &taken);
		if (status == PH_OK && !taken)
			status = take_new(f);
	}
	return status;
}

static enum ph_status follow_delta(struct follow *f, const uint8_t *delta, size_t len)
{
	uint64_t base_size;
	uint64_t size;
	size_t pos;
	size_t to = 0;
	struct ph_delta_op op;
	enum ph_status status = ph_delta_sizes(delta, len, &base_size, &size, &pos);

	if (status != PH_OK || base_size != f->base_size || size != f->size)
		return DOUBT;
	while ((status = ph_delta_next(delta, len, &pos, &op)) == PH_OK) {
		if (op.size > f->size - to)
			return DOUBT;
		if (op.copy && (op.offset > f->base_size || op.size > f->base_size - op.offset))
			return DOUBT;
		if (op.copy)
			status = follow_copy(f, &op, to);
		if (status != PH_OK)
			return status;
		to += op.size;
	}
	if (status != PH_END || to != f->size)
		return DOUBT;
	status = PH_OK;
	while (status == PH_OK && f->at < f->size)
		status = take_new(f);
	return status;
}

enum ph_status ph__tree_check_delta(const struct ph__tree_checker *checker, const uint8_t *base,
                                    size_t base_size, const struct ph__tree_marks *base_marks,
                                    const uint8_t *delta, size_t delta_len, const uint8_t *data,
                                    size_t size, struct ph__tree_marks *marks,
                                    ph__tree_found *found)
{
	struct follow f = {.checker = checker,
	                   .base = base,
	                   .base_size = base_size,
	                   .base_marks = base_marks,
	                   .data = data,
	                   .size = size,
	                   .marks = marks,
	                   .last = size};
	enum ph_status status = DOUBT;

	if (marks != NULL)
		ph__tree_marks_begin(marks, checker->alloc);
	if (base_marks->known && size <= UINT32_MAX)
		status = follow_delta(&f, delta, delta_len);
	if (status == DOUBT)
		return ph__tree_check_full(checker, data, size, marks, found);
	if (marks != NULL && status != PH_OK)
		marks->known = false;
	*found = 0;
	return status;
}
