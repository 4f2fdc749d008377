/* SPDX-License-Identifier: MIT */
/*
 * Rules for trees: names that leave the tree or reach into .git, order, duplicates, modes, and
 * which entries are files that git itself interprets. Each finding is reported once a tree, however
 * many entries have it. Nothing is allocated.
 */
#include "fsck_tree_int.h"

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

uint8_t ph__tree_order_byte(const struct ph_tree_entry *entry, size_t at)
{
	if (at < entry->name_len) {
		return (uint8_t)entry->name[at];
	}
	return ph_mode_is_tree(entry->mode) ? '/' : 0;
}

bool ph__tree_pair_check(const struct ph_tree_entry *last, const struct ph_tree_entry *entry,
                         size_t *common, ph__tree_found *found)
{
	*common = common_prefix(last, entry);
	if (*common == last->name_len && *common == entry->name_len) {
		ph__tree_find(found, PH__FSCK_DUPLICATE_ENTRIES);
		return false;
	}
	if (ph__tree_order_byte(last, *common) >= ph__tree_order_byte(entry, *common)) {
		ph__tree_find(found, PH__FSCK_TREE_NOT_SORTED);
		return false;
	}
	return true;
}

static void check_order(const struct ph_tree_entry *last, const struct ph_tree_entry *entry,
                        struct prefixes *files, ph__tree_found *found)
{
	size_t common;

	if (!ph__tree_pair_check(last, entry, &common, found) && common == last->name_len &&
	    common == entry->name_len) {
		return; /* the same name: the prefixes stay */
	}
	if (last->name_len > NAME_BYTES_MAX || entry->name_len > NAME_BYTES_MAX) {
		return; /* refused for their length */
	}
	prefixes_keep(files, common);
	if (common == last->name_len && !ph_mode_is_tree(last->mode)) {
		prefixes_add(files, common);
	}
	if (ph_mode_is_tree(entry->mode) && prefixes_has(files, entry->name_len)) {
		ph__tree_find(found, PH__FSCK_DUPLICATE_ENTRIES);
	}
}

static void check_mode(ph__tree_found *found, uint32_t mode)
{
	switch (mode) {
	case 0100644:
	case 0100755:
	case 0120000:
	case 0040000:
	case 0160000:
		return;
	default:
		break;
	}
	/* Readers keep 16 bits: more would be another type to each of them. */
	ph__tree_find(found, mode > 0177777 ? PH__FSCK_BAD_TREE : PH__FSCK_BAD_FILEMODE);
}

static void check_name(ph__tree_found *found, const struct ph_tree_entry *entry, unsigned kinds)
{
	if (entry->name_len > NAME_BYTES_MAX) {
		ph__tree_find(found, PH__FSCK_LARGE_PATHNAME);
	}
	if ((kinds & PH__NAME_SLASH) != 0) {
		ph__tree_find(found, PH__FSCK_FULL_PATHNAME);
	}
	if ((kinds & PH__NAME_DOT) != 0) {
		ph__tree_find(found, PH__FSCK_HAS_DOT);
	}
	if ((kinds & PH__NAME_DOTDOT) != 0) {
		ph__tree_find(found, PH__FSCK_HAS_DOTDOT);
	}
	if ((kinds & PH__NAME_DOTGIT) != 0) {
		ph__tree_find(found, PH__FSCK_HAS_DOTGIT);
	}
}

static void check_symlink(ph__tree_found *found, unsigned kinds)
{
	if ((kinds & PH__NAME_GITMODULES) != 0) {
		ph__tree_find(found, PH__FSCK_GITMODULES_SYMLINK);
	}
	if ((kinds & PH__NAME_GITATTRIBUTES) != 0) {
		ph__tree_find(found, PH__FSCK_GITATTRIBUTES_SYMLINK);
	}
	if ((kinds & PH__NAME_GITIGNORE) != 0) {
		ph__tree_find(found, PH__FSCK_GITIGNORE_SYMLINK);
	}
	if ((kinds & PH__NAME_MAILMAP) != 0) {
		ph__tree_find(found, PH__FSCK_MAILMAP_SYMLINK);
	}
}

static enum ph_status tell_special(const struct ph__tree_checker *checker,
                                   enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	return checker->special == NULL ? PH_OK : checker->special(checker->user, kind, oid);
}

/* .gitmodules and .gitattributes: a file's content is looked at later, by its id. */
static enum ph_status check_special(const struct ph__tree_checker *checker,
                                    const struct ph_tree_entry *entry, unsigned kinds,
                                    ph__tree_found *found)
{
	bool file = !ph_mode_is_tree(entry->mode) && !ph_mode_is_submodule(entry->mode);
	enum ph_status status = PH_OK;

	if (ph_mode_is_symlink(entry->mode)) {
		check_symlink(found, kinds);
		return PH_OK;
	}
	if ((kinds & PH__NAME_GITMODULES) != 0) {
		if (!file) {
			ph__tree_find(found, PH__FSCK_GITMODULES_BLOB);
		} else {
			status = tell_special(checker, PH_FSCK_GITMODULES, &entry->oid);
		}
	}
	if (status == PH_OK && (kinds & PH__NAME_GITATTRIBUTES) != 0) {
		if (!file) {
			ph__tree_find(found, PH__FSCK_GITATTRIBUTES_BLOB);
		} else {
			status = tell_special(checker, PH_FSCK_GITATTRIBUTES, &entry->oid);
		}
	}
	return status;
}

enum ph_status ph__tree_entry_next(const struct ph__tree_checker *checker,
                                   struct ph_tree_iter *iter, struct ph_tree_entry *entry,
                                   ph__tree_found *found)
{
	bool padded = iter->at < iter->end && *iter->at == '0';
	enum ph_status status = ph_tree_iter_next(iter, entry);
	unsigned kinds;

	if (status != PH_OK) {
		return status;
	}
	if (padded) {
		ph__tree_find(found, PH__FSCK_ZERO_PADDED_FILEMODE);
	}
	if (entry->oid.bytes[0] == 0 && ph_oid_is_zero(&entry->oid)) {
		ph__tree_find(found, PH__FSCK_NULL_SHA1);
	}
	check_mode(found, entry->mode);
	kinds = ph__name_kinds(entry->name, entry->name_len);
	if (kinds != PH__NAME_PLAIN || entry->name_len > NAME_BYTES_MAX) {
		check_name(found, entry, kinds);
		status = check_special(checker, entry, kinds, found);
	}
	if (status != PH_OK || checker->link == NULL || ph_mode_is_submodule(entry->mode)) {
		return status;
	}
	return checker->link(checker->user,
	                     ph_mode_is_tree(entry->mode) ? PH_OBJ_TREE : PH_OBJ_BLOB,
	                     entry->oid.bytes);
}

enum ph_status ph__tree_check_full(const struct ph__tree_checker *checker, const uint8_t *data,
                                   size_t size, struct ph__tree_marks *marks, ph__tree_found *found)
{
	struct prefixes files = {.top = 0};
	struct ph_tree_entry entries[2];
	struct ph_tree_entry *last = NULL;
	struct ph_tree_iter iter;
	enum ph_status status;

	*found = 0;
	if (marks != NULL) {
		ph__tree_marks_begin(marks, checker->alloc);
	}
	ph_tree_iter_init(&iter, checker->algo, data, size);
	for (unsigned turn = 0;; turn ^= 1) {
		const uint8_t *start = iter.at;
		struct ph_tree_entry *entry = &entries[turn];

		status = ph__tree_entry_next(checker, &iter, entry, found);
		if (status != PH_OK) {
			break;
		}
		if (last != NULL) {
			check_order(last, entry, &files, found);
		}
		if (marks != NULL) {
			ph__tree_marks_add(marks, checker->alloc, (size_t)(start - data));
		}
		last = entry;
	}
	if (status == PH_ERR_INVALID) {
		ph__tree_find(found, PH__FSCK_BAD_TREE);
		status = PH_END;
	}
	if (marks != NULL && (*found != 0 || status != PH_END)) {
		marks->known = false;
	}
	return status == PH_END ? PH_OK : status;
}

enum ph_status ph__fsck_tree(struct ph__fsck_run *run, const void *data, size_t size)
{
	const struct ph_fsck *fsck = run->fsck;
	struct ph__tree_checker checker = {
	        .algo = fsck->algo, .user = fsck->user, .special = fsck->special};
	ph__tree_found found;
	enum ph_status status = ph__tree_check_full(&checker, data, size, NULL, &found);

	if (status == PH_OK) {
		ph__fsck_tree_tell(run, found);
	}
	return status;
}

void ph__fsck_tree_tell(struct ph__fsck_run *run, ph__tree_found found)
{
	for (unsigned id = 0; found != 0 && id < PH__FSCK_COUNT; id++) {
		if ((found >> id & 1) != 0) {
			(void)ph__fsck_find(run, (enum ph__fsck_id)id);
		}
	}
}

enum ph_status ph__tree_tell(const struct ph_fsck *fsck, ph__tree_found found)
{
	struct ph__fsck_run run;

	if (found == 0) {
		return PH_OK;
	}
	ph__fsck_run_init(&run, fsck);
	ph__fsck_tree_tell(&run, found);
	return run.failed ? PH_ERR_FSCK : PH_OK;
}
