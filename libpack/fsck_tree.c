/* SPDX-License-Identifier: MIT */
/*
 * Rules for trees: names that leave the tree or reach into .git, order, duplicates, modes, and
 * which entries are files that git itself interprets. Each finding is reported once a tree, however
 * many entries have it. Nothing is allocated.
 */
#include "fsck_int.h"

/* git's own bound (PATH_MAX of the systems it runs on); longer names break checkouts. */
#define NAME_BYTES_MAX 4096u

/*
 * Lengths of names of files met before that are a prefix of the current name. In a sorted tree a
 * file "foo" and a directory "foo" may stand apart ("foo", "foo.c", "foo/"), but what lies between
 * them begins with "foo", so prefixes of the current name are all that need be remembered.
 */
struct prefixes {
	uint64_t words[NAME_BYTES_MAX / 64 + 1];
	size_t top; /* words from here on are zero */
};

struct tree_check {
	struct ph__fsck_run *run;
	const struct ph_tree_entry *last; /* NULL for the first */
	struct prefixes files;
	uint64_t found; /* bit i: finding i */
};

static void found(struct tree_check *check, enum ph__fsck_id id)
{
	_Static_assert(PH__FSCK_COUNT <= 64, "one bit a finding");
	check->found |= (uint64_t)1 << id;
}

static void prefixes_keep(struct prefixes *set, size_t len_max)
{
	size_t word = len_max / 64;

	if (word >= set->top) {
		return;
	}
	if (len_max % 64 != 63) {
		set->words[word] &= ((uint64_t)1 << (len_max % 64 + 1)) - 1;
	}
	for (size_t i = word + 1; i < set->top; i++) {
		set->words[i] = 0;
	}
	set->top = word + 1;
}

static void prefixes_add(struct prefixes *set, size_t len)
{
	set->words[len / 64] |= (uint64_t)1 << (len % 64);
	if (set->top <= len / 64) {
		set->top = len / 64 + 1;
	}
}

static bool prefixes_has(const struct prefixes *set, size_t len)
{
	return (set->words[len / 64] >> (len % 64) & 1) != 0;
}

static size_t common_prefix(const struct ph_tree_entry *a, const struct ph_tree_entry *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	size_t at = 0;

	while (at < len && a->name[at] == b->name[at]) {
		at++;
	}
	return at;
}

/* The byte that decides the order: a directory's name sorts as if it ended in a slash. */
static uint8_t order_byte(const struct ph_tree_entry *entry, size_t at)
{
	if (at < entry->name_len) {
		return (uint8_t)entry->name[at];
	}
	return ph_mode_is_tree(entry->mode) ? '/' : 0;
}

static void check_order(struct tree_check *check, const struct ph_tree_entry *entry)
{
	const struct ph_tree_entry *last = check->last;
	size_t common;

	if (last == NULL) {
		return;
	}
	common = common_prefix(last, entry);
	if (common == last->name_len && common == entry->name_len) {
		found(check, PH__FSCK_DUPLICATE_ENTRIES);
		return;
	}
	if (order_byte(last, common) >= order_byte(entry, common)) {
		found(check, PH__FSCK_TREE_NOT_SORTED);
	}
	if (last->name_len > NAME_BYTES_MAX || entry->name_len > NAME_BYTES_MAX) {
		return; /* refused for their length */
	}
	prefixes_keep(&check->files, common);
	if (common == last->name_len && !ph_mode_is_tree(last->mode)) {
		prefixes_add(&check->files, common);
	}
	if (ph_mode_is_tree(entry->mode) && prefixes_has(&check->files, entry->name_len)) {
		found(check, PH__FSCK_DUPLICATE_ENTRIES);
	}
}

static void check_mode(struct tree_check *check, uint32_t mode)
{
	switch (mode) {
	case 0100644:
	case 0100755:
	case 0120000:
	case 0040000:
	case 0160000:
	case 0100664: /* git wrote these at first */
		return;
	default:
		break;
	}
	/* Readers keep 16 bits: more would be another type to each of them. */
	found(check, mode > 0177777 ? PH__FSCK_BAD_TREE : PH__FSCK_BAD_FILEMODE);
}

static void check_name(struct tree_check *check, const struct ph_tree_entry *entry, unsigned kinds)
{
	if (entry->name_len == 0) {
		found(check, PH__FSCK_EMPTY_NAME);
		return;
	}
	if (entry->name_len > NAME_BYTES_MAX) {
		found(check, PH__FSCK_LARGE_PATHNAME);
	}
	if ((kinds & PH__NAME_SLASH) != 0) {
		found(check, PH__FSCK_FULL_PATHNAME);
	}
	if ((kinds & PH__NAME_DOT) != 0) {
		found(check, PH__FSCK_HAS_DOT);
	}
	if ((kinds & PH__NAME_DOTDOT) != 0) {
		found(check, PH__FSCK_HAS_DOTDOT);
	}
	if ((kinds & PH__NAME_DOTGIT) != 0) {
		found(check, PH__FSCK_HAS_DOTGIT);
	}
}

static void check_symlink(struct tree_check *check, unsigned kinds)
{
	if ((kinds & PH__NAME_GITMODULES) != 0) {
		found(check, PH__FSCK_GITMODULES_SYMLINK);
	}
	if ((kinds & PH__NAME_GITATTRIBUTES) != 0) {
		found(check, PH__FSCK_GITATTRIBUTES_SYMLINK);
	}
	if ((kinds & PH__NAME_GITIGNORE) != 0) {
		found(check, PH__FSCK_GITIGNORE_SYMLINK);
	}
	if ((kinds & PH__NAME_MAILMAP) != 0) {
		found(check, PH__FSCK_MAILMAP_SYMLINK);
	}
}

static enum ph_status tell_special(struct tree_check *check, enum ph_fsck_blob_kind kind,
                                   const struct ph_oid *oid)
{
	const struct ph_fsck *rules = check->run->rules;

	return rules->special == NULL ? PH_OK : rules->special(rules->user, kind, oid);
}

/* .gitmodules and .gitattributes: a file's content is looked at later, by its id. */
static enum ph_status check_special(struct tree_check *check, const struct ph_tree_entry *entry,
                                    unsigned kinds)
{
	bool file = !ph_mode_is_tree(entry->mode) && !ph_mode_is_submodule(entry->mode);
	enum ph_status status = PH_OK;

	if (ph_mode_is_symlink(entry->mode)) {
		check_symlink(check, kinds);
		return PH_OK;
	}
	if ((kinds & PH__NAME_GITMODULES) != 0) {
		if (!file) {
			found(check, PH__FSCK_GITMODULES_BLOB);
		} else {
			status = tell_special(check, PH_FSCK_GITMODULES, &entry->oid);
		}
	}
	if (status == PH_OK && (kinds & PH__NAME_GITATTRIBUTES) != 0) {
		if (!file) {
			found(check, PH__FSCK_GITATTRIBUTES_BLOB);
		} else {
			status = tell_special(check, PH_FSCK_GITATTRIBUTES, &entry->oid);
		}
	}
	return status;
}

static enum ph_status check_entry(struct tree_check *check, const struct ph_tree_entry *entry)
{
	unsigned kinds = ph__name_kinds(entry->name, entry->name_len);

	if (entry->oid.bytes[0] == 0 && ph_oid_is_zero(&entry->oid)) {
		found(check, PH__FSCK_NULL_SHA1);
	}
	if (kinds != PH__NAME_PLAIN || entry->name_len == 0 || entry->name_len > NAME_BYTES_MAX) {
		check_name(check, entry, kinds);
	}
	check_mode(check, entry->mode);
	check_order(check, entry);
	return kinds == PH__NAME_PLAIN ? PH_OK : check_special(check, entry, kinds);
}

enum ph_status ph__fsck_tree(struct ph__fsck_run *run, const void *data, size_t size)
{
	struct tree_check check = {.run = run};
	struct ph_tree_entry entries[2];
	struct ph_tree_iter iter;
	enum ph_status status;

	ph_tree_iter_init(&iter, run->rules->algo, data, size);
	for (unsigned turn = 0;; turn ^= 1) {
		struct ph_tree_entry *entry = &entries[turn];
		bool padded = iter.at < iter.end && *iter.at == '0';

		status = ph_tree_iter_next(&iter, entry);
		if (status != PH_OK) {
			break;
		}
		if (padded) {
			found(&check, PH__FSCK_ZERO_PADDED_FILEMODE);
		}
		status = check_entry(&check, entry);
		if (status != PH_OK) {
			return status;
		}
		check.last = entry;
	}
	if (status != PH_END) {
		found(&check, PH__FSCK_BAD_TREE);
	}
	for (unsigned id = 0; id < PH__FSCK_COUNT; id++) {
		if ((check.found >> id & 1) != 0) {
			ph__fsck_find(run, (enum ph__fsck_id)id);
		}
	}
	return PH_OK;
}
