/* SPDX-License-Identifier: MIT */
/* Safety rules for commits, tags, trees and the files git interprets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"
#include <packhorse/fsck.h>
#include <stdio.h>
#include <stdlib.h>

/* What was found, as "id id id", and which special blobs were told. */
struct found {
	struct ph_fsck fsck;
	char ids[512];
	enum ph_fsck_severity worst;
	unsigned modules, attributes;
	enum ph_status special_status;
};

static void report(void *user, enum ph_fsck_severity severity, const char *id)
{
	struct found *found = user;
	size_t len = strlen(found->ids);

	assert_true(severity == PH_FSCK_WARN || severity == PH_FSCK_ERROR);
	if (severity > found->worst) {
		found->worst = severity;
	}
	snprintf(found->ids + len, sizeof found->ids - len, "%s%s", len > 0 ? " " : "", id);
}

static enum ph_status special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	struct found *found = user;

	assert_false(ph_oid_is_zero(oid));
	found->modules += kind == PH_FSCK_GITMODULES;
	found->attributes += kind == PH_FSCK_GITATTRIBUTES;
	return found->special_status;
}

static void found_init(struct found *found, enum ph_hash_algo algo)
{
	memset(found, 0, sizeof *found);
	found->fsck.algo = algo;
	found->fsck.user = found;
	found->fsck.report = report;
	found->fsck.special = special;
}

/* Checks an object in memory of exactly its size, so that a sanitizer sees a read behind it. */
static enum ph_status check(struct found *found, enum ph_object_type type, const void *data,
                            size_t size)
{
	void *copy = size > 0 ? malloc(size) : NULL;
	enum ph_status status;

	if (size > 0) {
		assert_non_null(copy);
		memcpy(copy, data, size);
	}
	status = ph_fsck_object(&found->fsck, type, copy, size);
	free(copy);
	return status;
}

/* "" for a clean object; a leading '!' for one that is refused. */
static void expect(const struct found *found, enum ph_status status, const char *ids)
{
	bool refused = ids[0] == '!';

	assert_string_equal(found->ids, ids + refused);
	assert_int_equal(status, refused ? PH_ERR_FSCK : PH_OK);
	assert_int_equal(found->worst, refused          ? PH_FSCK_ERROR
	                               : ids[0] != '\0' ? PH_FSCK_WARN
	                                                : PH_FSCK_OK);
}

static void expect_text(enum ph_object_type type, const char *text, const char *ids)
{
	struct found found;
	enum ph_status status;

	found_init(&found, PH_HASH_SHA1);
	status = check(&found, type, text, strlen(text));
	expect(&found, status, ids);
}

#define HEX "0123456789abcdef0123456789abcdef01234567"
#define TREE "tree " HEX "\n"
#define WHO "A U Thor <author@example.com> 1112911993 -0700\n"
#define AUTHOR "author " WHO
#define COMMITTER "committer " WHO

struct text_case {
	const char *text;
	const char *ids;
};

static void commits(void **state)
{
	static const struct text_case cases[] = {
	        {TREE AUTHOR COMMITTER "\nmessage\n", ""},
	        {TREE AUTHOR COMMITTER, ""},
	        {TREE "parent " HEX "\nparent " HEX "\n" AUTHOR COMMITTER "\n", ""},
	        {TREE AUTHOR COMMITTER "gpgsig x\n y\nencoding latin1\n\nm", ""},
	        {"", "!unterminatedHeader"},
	        {"tree " HEX, "!unterminatedHeader"},
	        {"\n", "!missingTree"},
	        {"parent " HEX "\n" AUTHOR COMMITTER "\n", "!missingTree"},
	        {"tree 0123\n" AUTHOR COMMITTER "\n", "!badTreeSha1"},
	        {"tree " HEX "0\n" AUTHOR COMMITTER "\n", "!badTreeSha1"},
	        {"tree \n", "!badTreeSha1"},
	        {TREE "parent 0123\n" AUTHOR COMMITTER "\n", "!badParentSha1"},
	        {TREE COMMITTER "\n", "!missingAuthor"},
	        {TREE "\n", "!missingAuthor"},
	        {TREE AUTHOR "\n", "!missingCommitter"},
	        {TREE AUTHOR AUTHOR COMMITTER "\n", "multipleAuthors"},
	        {TREE AUTHOR AUTHOR AUTHOR COMMITTER "\n", "multipleAuthors"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_text(PH_OBJ_COMMIT, cases[i].text, cases[i].ids);
	}
}

static void persons(void **state)
{
	static const struct text_case cases[] = {
	        {"A <a@b> 0 +0000", ""},
	        {"A <a@b> 1  +0000", "badTimezone"},
	        {"A <> 1 +0000", ""},
	        {" <a@b> 1 +0000", ""},
	        {"A <a@b>  \t 12 +0000", ""},
	        {"<a@b> 1 +0000", "missingNameBeforeEmail"},
	        {"A a@b 1 +0000", "missingEmail"},
	        {"", "missingEmail"},
	        {"A> <a@b> 1 +0000", "badName"},
	        {"A<a@b> 1 +0000", "missingSpaceBeforeEmail"},
	        {"A <a@b<> 1 +0000", "badEmail"},
	        {"A <a@b", "badEmail"},
	        {"A <a@b>1 +0000", "missingSpaceBeforeDate"},
	        {"A <a@b>", "missingSpaceBeforeDate"},
	        {"A <a@b> ", "badDate"},
	        {"A <a@b> x +0000", "badDate"},
	        {"A <a@b> 12", "badDate"},
	        {"A <a@b> 12x +0000", "badDate"},
	        {"A <a@b> 012 +0000", "zeroPaddedDate"},
	        {"A <a@b> 9223372036854775807 +0000", ""},
	        {"A <a@b> 9223372036854775808 +0000", "badDateOverflow"},
	        {"A <a@b> 99999999999999999999999999 +0000", "badDateOverflow"},
	        {"A <a@b> 12 ", "badTimezone"},
	        {"A <a@b> 12 0000", "badTimezone"},
	        {"A <a@b> 12 +000", "badTimezone"},
	        {"A <a@b> 12 +00000", "badTimezone"},
	        {"A <a@b> 12 +00x0", "badTimezone"},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		snprintf(text, sizeof text, TREE "author %s\n" COMMITTER "\n", cases[i].text);
		expect_text(PH_OBJ_COMMIT, text, cases[i].ids);
		snprintf(text, sizeof text, TREE AUTHOR "committer %s\n\n", cases[i].text);
		expect_text(PH_OBJ_COMMIT, text, cases[i].ids);
		snprintf(text, sizeof text, "object " HEX "\ntype commit\ntag v1\ntagger %s\n\n",
		         cases[i].text);
		expect_text(PH_OBJ_TAG, text, cases[i].ids);
	}
}

static void nul_bytes(void **state)
{
	static const char body[] = TREE AUTHOR COMMITTER "\nmess\0age\n";
	static const char header[] = TREE "author A\0 <a@b> 1 +0000\n" COMMITTER "\n";
	struct found found;
	enum ph_status status;

	(void)state;
	found_init(&found, PH_HASH_SHA1);
	status = check(&found, PH_OBJ_COMMIT, body, sizeof body - 1);
	expect(&found, status, "nulInCommit");
	found_init(&found, PH_HASH_SHA1);
	status = check(&found, PH_OBJ_COMMIT, header, sizeof header - 1);
	expect(&found, status, "!nulInHeader");
}

/* Every prefix of a good object ends well: no read behind it, and never accepted while cut. */
static void cut_short(void **state)
{
	static const char text[] = TREE "parent " HEX "\n" AUTHOR COMMITTER "\n";
	size_t whole = sizeof text - 2; /* the empty line may be left out */
	struct found found;

	(void)state;
	for (size_t len = 0; len < whole; len++) {
		found_init(&found, PH_HASH_SHA1);
		assert_int_equal(check(&found, PH_OBJ_COMMIT, text, len), PH_ERR_FSCK);
	}
	found_init(&found, PH_HASH_SHA1);
	assert_int_equal(check(&found, PH_OBJ_COMMIT, text, whole), PH_OK);
}

#define OBJECT "object " HEX "\n"

static void tags(void **state)
{
	static const struct text_case cases[] = {
	        {OBJECT "type commit\ntag v1\ntagger " WHO "\nmessage\n", ""},
	        {OBJECT "type tag\ntag a/b\ntagger " WHO, ""},
	        {OBJECT "type blob\ntag v1\n\nold\n", "missingTaggerEntry"},
	        {OBJECT "type blob\ntag v1\ntagger " WHO "gpgsig x\n y\n\nm", ""},
	        {OBJECT "type blob\ntag v1\ntagger " WHO "more x\n\nm", ""},
	        {"type commit\ntag v1\n\n", "!missingObject"},
	        {"object 01\ntype commit\ntag v1\n\n", "!badObjectSha1"},
	        {OBJECT "tag v1\n\n", "!missingTypeEntry"},
	        {OBJECT "type comit\ntag v1\n\n", "!badType"},
	        {OBJECT "type \ntag v1\n\n", "!badType"},
	        {OBJECT "type commit\ntagger x\n\n", "!missingTagEntry"},
	        {OBJECT "type commit\n\n", "!missingTagEntry"},
	        {OBJECT "type commit\ntag \ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag a..b\ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag a.lock\ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag .a\ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag a b\ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag a@{1}\ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag a/\ntagger " WHO "\n", "badTagName"},
	        {OBJECT "type commit\ntag a.\ntagger " WHO "\n", "badTagName"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_text(PH_OBJ_TAG, cases[i].text, cases[i].ids);
	}
}

/* --- Trees --- */

static void add(struct ph_test_buf *tree, enum ph_hash_algo algo, const char *mode,
                const char *name)
{
	struct ph_oid oid = ph_test_oid_fake(algo, 0x42);

	ph_test_buf_append(tree, mode, strlen(mode));
	ph_test_buf_append(tree, " ", 1);
	ph_test_buf_append(tree, name, strlen(name) + 1);
	ph_test_buf_append(tree, oid.bytes, ph_hash_bytes(algo));
}

/* Entries as "mode name", the list ending in NULL. */
static void expect_tree(const char *const *entries, const char *ids)
{
	static const enum ph_hash_algo algos[] = {PH_HASH_SHA1, PH_HASH_SHA256};

	for (size_t a = 0; a < 2; a++) {
		struct ph_test_buf tree = {0};
		struct found found;
		enum ph_status status;

		for (size_t i = 0; entries[i] != NULL; i += 2) {
			add(&tree, algos[a], entries[i], entries[i + 1]);
		}
		found_init(&found, algos[a]);
		status = check(&found, PH_OBJ_TREE, tree.data, tree.len);
		expect(&found, status, ids);
		ph_test_buf_release(&tree);
	}
}

#define EXPECT_TREE(ids, ...) expect_tree((const char *const[]){__VA_ARGS__, NULL}, ids)

static void expect_name(const char *mode, const char *name, const char *ids)
{
	EXPECT_TREE(ids, mode, name);
}

static void tree_modes(void **state)
{
	(void)state;
	expect_tree((const char *const[]){NULL}, "");
	EXPECT_TREE("", "100644", "a", "100755", "b", "120000", "c", "40000", "d", "160000", "e");
	EXPECT_TREE("badFilemode", "100664", "old");
	EXPECT_TREE("zeroPaddedFilemode", "040000", "d");
	EXPECT_TREE("badFilemode", "100600", "a");
	EXPECT_TREE("badFilemode zeroPaddedFilemode", "0", "a");
	EXPECT_TREE("!badTree", "1100644", "a");
	EXPECT_TREE("!badTree", "10064x", "a");
	EXPECT_TREE("!badTree", "", "a");
	EXPECT_TREE("!badTree", "100644", "");
}

static void tree_order(void **state)
{
	(void)state;
	EXPECT_TREE("", "100644", "a", "100644", "a.c", "40000", "a0");
	EXPECT_TREE("", "100644", "a.c", "40000", "a", "100644", "a0");
	EXPECT_TREE("!treeNotSorted", "100644", "b", "100644", "a");
	EXPECT_TREE("!treeNotSorted", "40000", "a", "100644", "a.c");
	EXPECT_TREE("!treeNotSorted", "100644", "a0", "40000", "a");
	EXPECT_TREE("!duplicateEntries", "100644", "a", "100644", "a");
	EXPECT_TREE("!duplicateEntries", "100644", "a", "40000", "a");
	EXPECT_TREE("!duplicateEntries", "40000", "a", "100644", "a");
	EXPECT_TREE("!duplicateEntries", "100644", "a", "100644", "a.c", "40000", "a");
	/* Two of them, one within the other. */
	EXPECT_TREE("!duplicateEntries", "100644", "f", "100644", "f.b", "100644", "f.b.z", "40000",
	            "f.b", "40000", "f");
	EXPECT_TREE("!duplicateEntries", "100644", "f", "100644", "f.b", "100644", "f.b.z", "40000",
	            "f.c", "40000", "f");
	EXPECT_TREE("", "100644", "f.b", "100644", "f.b.z", "40000", "f.c", "40000", "f", "40000",
	            "f0");
}

/* Names around the words of the set that remembers prefixes. */
static void tree_long_names(void **state)
{
	static const size_t lens[] = {1, 62, 63, 64, 65, 127, 128, 4094, 4095, 4096};
	char name[4200];
	char longer[4300];

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		memset(name, 'n', lens[i]);
		name[lens[i]] = '\0';
		snprintf(longer, sizeof longer, "%s.", name);
		expect_name("100644", name, "");
		if (lens[i] < 4096) {
			EXPECT_TREE("!duplicateEntries", "100644", name, "100644", longer, "40000",
			            name);
			EXPECT_TREE("", "100644", longer, "40000", name);
		}
	}
	memset(name, 'n', 4097);
	name[4097] = '\0';
	expect_name("100644", name, "!largePathname");
}

/* Against a naive search for equal names, over random sorted trees of names that share prefixes. */
static void tree_duplicates_random(void **state)
{
	static const char letters[] = "a.-0";
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 7);
	for (int round = 0; round < 3000; round++) {
		char names[12][8];
		bool dirs[12];
		size_t count = 1 + ph_test_rng_below(&rng, 11);
		bool twice = false;
		struct ph_test_buf tree = {0};
		struct found found;

		for (size_t i = 0; i < count; i++) {
			size_t len = 1 + ph_test_rng_below(&rng, 4);

			for (size_t k = 0; k < len; k++) {
				names[i][k] = letters[ph_test_rng_below(&rng, 4)];
			}
			names[i][0] = 'a';
			names[i][len] = '\0';
			dirs[i] = ph_test_rng_below(&rng, 2) == 0;
		}
		for (size_t i = 1; i < count; i++) { /* into git's order */
			for (size_t k = i; k > 0; k--) {
				char x[10], y[10], swap[8];
				bool dir = dirs[k];

				snprintf(x, sizeof x, "%s%s", names[k - 1], dirs[k - 1] ? "/" : "");
				snprintf(y, sizeof y, "%s%s", names[k], dirs[k] ? "/" : "");
				if (strcmp(x, y) <= 0) {
					break;
				}
				memcpy(swap, names[k], 8);
				memcpy(names[k], names[k - 1], 8);
				memcpy(names[k - 1], swap, 8);
				dirs[k] = dirs[k - 1];
				dirs[k - 1] = dir;
			}
		}
		for (size_t i = 0; i < count; i++) {
			for (size_t k = 0; k < i; k++) {
				twice = twice || strcmp(names[i], names[k]) == 0;
			}
			add(&tree, PH_HASH_SHA1, dirs[i] ? "40000" : "100644", names[i]);
		}
		found_init(&found, PH_HASH_SHA1);
		assert_int_equal(check(&found, PH_OBJ_TREE, tree.data, tree.len),
		                 twice ? PH_ERR_FSCK : PH_OK);
		assert_string_equal(found.ids, twice ? "duplicateEntries" : "");
		ph_test_buf_release(&tree);
	}
}

#define ZWNJ "\xe2\x80\x8c"
#define BOM "\xef\xbb\xbf"

static void tree_names(void **state)
{
	static const struct text_case cases[] = {
	        {".", "!hasDot"},
	        {"..", "!hasDotdot"},
	        {"...", ""},
	        {"a/b", "!fullPathname"},
	        {".git", "!hasDotgit"},
	        {".GIT", "!hasDotgit"},
	        {".gIt", "!hasDotgit"},
	        {".git ", "!hasDotgit"},
	        {".git. . ", "!hasDotgit"},
	        {".git::$INDEX_ALLOCATION", "!hasDotgit"},
	        {".git:x", "!hasDotgit"},
	        {"git~1", "!hasDotgit"},
	        {"GIT~1", "!hasDotgit"},
	        {"GiT~1. ", "!hasDotgit"},
	        {ZWNJ ".git", "!hasDotgit"},
	        {".g" ZWNJ "it", "!hasDotgit"},
	        {".git" ZWNJ, "!hasDotgit"},
	        {".G" BOM "iT\xe2\x81\xaf", "!hasDotgit"},
	        {".git\xe2\x80", "!hasDotgit"}, /* no UTF-8: who knows */
	        {".git\xff", "!hasDotgit"},
	        {".git\xc3\xa4", ""},
	        {".git\xc0\xaf", "!hasDotgit"},
	        {".git\xed\xa0\x80", "!hasDotgit"},
	        {".git\xf0\x9f\x98\x80", ""},
	        {"a\\.git", "!hasDotgit"},
	        {"a\\b\\GIT~1", "!hasDotgit"},
	        {".git\\a", "!hasDotgit"},
	        {"a\\..\\b", "!hasDotdot"},
	        {".gitx", ""},
	        {".git.x", ""},
	        {"git", ""},
	        {"git~2", ""},
	        {"git~11", ""},
	        {"a.git", ""},
	        {".gi", ""},
	        {".g\xe2\x80\x8bit", ""}, /* U+200B is not ignored */
	        {".github", ""},
	        {"a\\b", ""},
	        {"\\", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_name("100644", cases[i].text, cases[i].ids);
		expect_name("40000", cases[i].text, cases[i].ids);
		expect_name("120000", cases[i].text, cases[i].ids);
	}
}

static void tree_null_id(void **state)
{
	struct ph_test_buf tree = {0};
	struct ph_oid zero = {{0}};
	struct found found;
	enum ph_status status;

	(void)state;
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100644, "a", &zero);
	found_init(&found, PH_HASH_SHA1);
	status = check(&found, PH_OBJ_TREE, tree.data, tree.len);
	expect(&found, status, "!nullSha1");
	for (size_t len = 1; len < tree.len; len++) {
		found_init(&found, PH_HASH_SHA1);
		status = check(&found, PH_OBJ_TREE, tree.data, len);
		expect(&found, status, "!badTree");
	}
	ph_test_buf_release(&tree);
}

/* Names of the files git interprets: a file is told, a symlink or a directory is judged. */
static void tree_specials(void **state)
{
	static const char *const modules[] = {".gitmodules",
	                                      ".GITMODULES",
	                                      ".gitmodules ",
	                                      ".gitmodules:$DATA",
	                                      "gitmod~1",
	                                      "GITMOD~4. ",
	                                      "gi7eba~1",
	                                      "GI7EB~10",
	                                      "g~123456",
	                                      "gi7e~123:x",
	                                      "a\\.gitmodules",
	                                      "." ZWNJ "gitmodules",
	                                      ".gitmodules\xef\xbb\xbf"};
	static const char *const attributes[] = {".gitattributes", ".GitAttributes.", "gitatt~2",
	                                         "gi7d29~9", "." ZWNJ "gitattributes"};
	static const char *const neither[] = {".gitmodule", ".gitmodulesx", "gitmod~5",  "gi7eba~0",
	                                      "gi7ebb~1",   "gi7eba~",      "gitmodules"};
	struct found found;

	(void)state;
	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
		struct ph_test_buf tree = {0};

		add(&tree, PH_HASH_SHA1, "100644", modules[i]);
		found_init(&found, PH_HASH_SHA1);
		assert_int_equal(check(&found, PH_OBJ_TREE, tree.data, tree.len), PH_OK);
		/* A name of only a tilde and digits fits every short name. */
		assert_true(found.modules >= 1);
		ph_test_buf_release(&tree);
		if (strcmp(modules[i], "g~123456") != 0) {
			expect_name("120000", modules[i], "!gitmodulesSymlink");
			expect_name("40000", modules[i], "!gitmodulesBlob");
			expect_name("160000", modules[i], "!gitmodulesBlob");
		}
	}
	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
		struct ph_test_buf tree = {0};

		add(&tree, PH_HASH_SHA1, "100755", attributes[i]);
		found_init(&found, PH_HASH_SHA1);
		assert_int_equal(check(&found, PH_OBJ_TREE, tree.data, tree.len), PH_OK);
		assert_int_equal(found.attributes, 1);
		assert_int_equal(found.modules, 0);
		ph_test_buf_release(&tree);
		expect_name("120000", attributes[i], "gitattributesSymlink");
		expect_name("40000", attributes[i], "!gitattributesBlob");
	}
	for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
		expect_name("120000", neither[i], "");
	}
	expect_name("120000", ".gitignore", "gitignoreSymlink");
	expect_name("120000", ".mailmap", "mailmapSymlink");
	expect_name("100644", ".mailmap", "");
}

static void special_errors_pass_through(void **state)
{
	struct ph_test_buf tree = {0};
	struct found found;

	(void)state;
	add(&tree, PH_HASH_SHA1, "100644", ".gitmodules");
	found_init(&found, PH_HASH_SHA1);
	found.special_status = PH_ERR_NOMEM;
	assert_int_equal(check(&found, PH_OBJ_TREE, tree.data, tree.len), PH_ERR_NOMEM);
	found.fsck.special = NULL;
	found.fsck.report = NULL;
	assert_int_equal(check(&found, PH_OBJ_TREE, tree.data, tree.len), PH_OK);
	assert_int_equal(check(&found, PH_OBJ_COMMIT, "x\n", 2), PH_ERR_FSCK);
	assert_int_equal(check(&found, PH_OBJ_NONE, "x\n", 2), PH_ERR_FSCK);
	assert_int_equal(check(&found, PH_OBJ_BLOB, "x\n", 2), PH_OK);
	ph_test_buf_release(&tree);
}

/* --- Blobs --- */

static enum ph_status check_blob(struct found *found, enum ph_fsck_blob_kind kind, const void *data,
                                 size_t size)
{
	void *copy = malloc(size > 0 ? size : 1);
	enum ph_status status;

	assert_non_null(copy);
	if (size > 0) {
		memcpy(copy, data, size);
	}
	status = ph_fsck_blob(&found->fsck, kind, PH_OBJ_BLOB, copy, size);
	free(copy);
	return status;
}

static void expect_modules(const char *text, const char *ids)
{
	struct found found;
	enum ph_status status;

	found_init(&found, PH_HASH_SHA1);
	status = check_blob(&found, PH_FSCK_GITMODULES, text, strlen(text));
	expect(&found, status, ids);
}

static void modules_syntax(void **state)
{
	static const struct text_case cases[] = {
	        {"", ""},
	        {"[submodule \"a\"]\n\tpath = a\n\turl = https://example.com/a.git\n", ""},
	        {BOM "[submodule \"a\"] path=a ; comment\r\n# c\r\n\turl=../a", ""},
	        {"[submodule \"a\"]\nupdate = rebase\nbranch\nshallow = true", ""},
	        {"[core]\n\turl = -x\n[submodule]\nurl = -x\n", ""},
	        {"[sub\n", "gitmodulesParse"},
	        {"[submodule \"a\"\nurl = -x\n", "gitmodulesParse"},
	        {"[submodule \"a\n\"]\nurl = -x\n", "gitmodulesParse"},
	        {"[]\n", "gitmodulesParse"},
	        {"[submodule \"a\"]\n=x\n", "gitmodulesParse"},
	        {"[submodule \"a\"]\nurl x\n", "gitmodulesParse"},
	        {"[submodule \"a\"]\nurl = \"x\n", "gitmodulesParse"},
	        {"[submodule \"a\"]\nurl = \\x\n", "gitmodulesParse"},
	        {"\xef\xbbx", "gitmodulesParse"},
	        /* What precedes a mistake counts. */
	        {"[submodule \"a\"]\nurl = -x\n[", "!gitmodulesUrl gitmodulesParse"},
	        /* Every way to write the same dangerous thing. */
	        {"[SubModule \"a\"]\nURL = -x\n", "!gitmodulesUrl"},
	        {"[submodule.a]\nurl = -x\n", "!gitmodulesUrl"},
	        {"[submodule \"a\"] url=\"-\"x\n", "!gitmodulesUrl"},
	        {"[submodule \"a\"]\nurl = \\\n-x\n", "!gitmodulesUrl"},
	        {"[submodule \"a\"]\nurl = \"\\\"\"\n[submodule \"a\"]url =-x;", "!gitmodulesUrl"},
	        {"[submodule \"a\"]\n\turl = -x", "!gitmodulesUrl"},
	        {"[submodule \"a\"]\nurl = ./x\\ny\n", "!gitmodulesUrl"},
	        {"[submodule \"a\"]\npath = -x\n", "!gitmodulesPath"},
	        {"[submodule \"a\"]\npath = \"sub\r\"\n", "!gitmodulesPath"},
	        {"[submodule \"a\"]\npath = a\\nb\n", "!gitmodulesPath"},
	        {"[submodule \"a\"]\nupdate = !rm -rf /\n", "!gitmodulesUpdate"},
	        {"[submodule \"a\"]\nupdate = \"!x\"\n", "!gitmodulesUpdate"},
	        {"[submodule \"a\"]\nupdate = x!\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_modules(cases[i].text, cases[i].ids);
	}
}

static void modules_names(void **state)
{
	static const char *const good[] = {"valid", "valid/with/paths", "a..b", "...", "..a",
	                                   "a.."};
	static const char *const bad[] = {"",
	                                  "..",
	                                  "../foo",
	                                  "/../foo",
	                                  "foo/..",
	                                  "foo/../",
	                                  "foo/../bar",
	                                  "..\\\\foo",
	                                  "\\\\..\\\\foo",
	                                  "foo\\\\..",
	                                  "foo\\\\..\\\\",
	                                  "x/\\.\\./y"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		snprintf(text, sizeof text, "[submodule \"%s\"]\npath = x\n", good[i]);
		expect_modules(text, "");
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "[submodule \"%s\"]\npath = x\n", bad[i]);
		expect_modules(text, "!gitmodulesName");
	}
	expect_modules("[submodule...]\npath = x\n", "!gitmodulesName");
	/* git looks at names only where there is a setting. */
	expect_modules("[submodule \"..\"]\n", "");
}

static void modules_urls(void **state)
{
	static const char *const good[] = {
	        "./bar/baz/foo.git",
	        "../foo.git",
	        "../../foo",
	        "https://example.com/foo.git",
	        "http://example.com:80/deeper/foo.git",
	        "https://user:pa%20ss@example.com/a/../b",
	        "https://[::1]:8080/x",
	        "https://example.com",
	        "https://example.com/a/./b?x=%20#y",
	        "ssh://git@example.com/x.git",
	        "git@example.com:x.git",
	        "git://example.com/x",
	        "/srv/git/x",
	        "file:///srv/x",
	        "ftp://example.com/x",
	};
	static const char *const bad[] = {
	        "-a./foo",
	        "../../..//test/foo.git",
	        "../../../../../:localhost:8080/foo.git",
	        "..\\\\../.\\\\../:example.com/foo.git",
	        "./%0ahost=example.com/foo.git",
	        "../%0Ahost=example.com",
	        "git://example.com/%0d",
	        "https://one.example.com/evil?%0ahost=two.example.com",
	        "https://a%0a@example.com/",
	        "https:///example.com/foo.git",
	        "http://example.com:test/foo.git",
	        "http://example.com:0/foo.git",
	        "http://example.com:65536/foo.git",
	        "http://exa mple.com/foo.git",
	        "http://example%2ecom/foo.git",
	        "https::example.com/foo.git",
	        "http:::example.com/foo.git",
	        "http::https:///x",
	        "https://example.com/%zz",
	        "https://example.com/%4",
	        "https://example.com/../x",
	        "https://example.com/a/../../x",
	        "https://example.com/%2e%2e/x",
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		snprintf(text, sizeof text, "[submodule \"a\"]\nurl = \"%s\"\n", good[i]);
		expect_modules(text, "");
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "[submodule \"a\"]\nurl = \"%s\"\n", bad[i]);
		expect_modules(text, "!gitmodulesUrl");
	}
}

/* What does not fit is refused where it would be used, and skipped elsewhere. */
static void modules_bounds(void **state)
{
	static const struct text_case cases[] = {
	        {"[submodule \"a\"]\nurl = %s\n", "!gitmodulesUrl"},
	        {"[submodule \"a\"]\npath = %s\n", "!gitmodulesPath"},
	        {"[submodule \"%s\"]\npath = x\n", "!gitmodulesName"},
	        {"[submodule \"a\"]\nother = %s\n", ""},
	        {"[submodule \"a\"]\n%s = -x\n", ""},
	        {"[%s]\nurl = -x\n", ""},
	        {"# %s\n", ""},
	};
	static const size_t lens[] = {5000, 100000};
	char *fill = malloc(100001);
	char *text = malloc(101000);

	(void)state;
	assert_non_null(fill);
	assert_non_null(text);
	for (size_t k = 0; k < 2; k++) {
		memset(fill, 'a', lens[k]);
		fill[lens[k]] = '\0';
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			const char *hole = strstr(cases[i].text, "%s");

			snprintf(text, 101000, "%.*s%s%s", (int)(hole - cases[i].text),
			         cases[i].text, fill, hole + 2);
			expect_modules(text, cases[i].ids);
		}
	}
	free(fill);
	free(text);
}

static void modules_nul(void **state)
{
	static const char name[] = "[submodule \"a\0b\"]\nurl = x\n";
	static const char url[] = "[submodule \"a\"]\nurl = x\0y\n";
	struct found found;
	enum ph_status status;

	(void)state;
	found_init(&found, PH_HASH_SHA1);
	status = check_blob(&found, PH_FSCK_GITMODULES, name, sizeof name - 1);
	expect(&found, status, "!gitmodulesName");
	found_init(&found, PH_HASH_SHA1);
	status = check_blob(&found, PH_FSCK_GITMODULES, url, sizeof url - 1);
	expect(&found, status, "!gitmodulesUrl");
}

static void attributes(void **state)
{
	char text[4200];
	struct found found;
	enum ph_status status;

	(void)state;
	memset(text, 'a', sizeof text);
	text[2047] = '\n';
	found_init(&found, PH_HASH_SHA1);
	status = check_blob(&found, PH_FSCK_GITATTRIBUTES, text, 2048 + 2047);
	expect(&found, status, "");
	found_init(&found, PH_HASH_SHA1);
	status = check_blob(&found, PH_FSCK_GITATTRIBUTES, text, 2048 + 2048);
	expect(&found, status, "!gitattributesLineLength");
	found_init(&found, PH_HASH_SHA1);
	status = check_blob(&found, PH_FSCK_GITATTRIBUTES, text, 0);
	expect(&found, status, "");
}

static void special_blobs_of_other_kinds(void **state)
{
	static const char *const wrong[] = {"!gitmodulesBlob", "!gitattributesBlob"};
	static const char *const large[] = {"!gitmodulesLarge", "!gitattributesLarge"};
	struct found found;
	enum ph_status status;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		enum ph_fsck_blob_kind kind = i == 0 ? PH_FSCK_GITMODULES : PH_FSCK_GITATTRIBUTES;

		found_init(&found, PH_HASH_SHA1);
		status = ph_fsck_blob(&found.fsck, kind, PH_OBJ_TREE, "", 0);
		expect(&found, status, wrong[i]);
		found_init(&found, PH_HASH_SHA1);
		status = ph_fsck_blob(&found.fsck, kind, PH_OBJ_BLOB, NULL,
		                      (uint64_t)PH_FSCK_SPECIAL_BYTES_MAX + 1);
		expect(&found, status, large[i]);
		found_init(&found, PH_HASH_SHA1);
		status = ph_fsck_blob(&found.fsck, kind, PH_OBJ_BLOB, NULL, 0);
		expect(&found, status, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(commits),
	        cmocka_unit_test(persons),
	        cmocka_unit_test(nul_bytes),
	        cmocka_unit_test(cut_short),
	        cmocka_unit_test(tags),
	        cmocka_unit_test(tree_modes),
	        cmocka_unit_test(tree_order),
	        cmocka_unit_test(tree_long_names),
	        cmocka_unit_test(tree_duplicates_random),
	        cmocka_unit_test(tree_names),
	        cmocka_unit_test(tree_null_id),
	        cmocka_unit_test(tree_specials),
	        cmocka_unit_test(special_errors_pass_through),
	        cmocka_unit_test(modules_syntax),
	        cmocka_unit_test(modules_names),
	        cmocka_unit_test(modules_urls),
	        cmocka_unit_test(modules_bounds),
	        cmocka_unit_test(modules_nul),
	        cmocka_unit_test(attributes),
	        cmocka_unit_test(special_blobs_of_other_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
