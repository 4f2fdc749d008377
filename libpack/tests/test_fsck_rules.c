/* SPDX-License-Identifier: MIT */
/* How bad findings are: defaults, what rules set, what stays fatal, and objects that are let
 * through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"
#include <packhorse/fsck.h>
#include <ctype.h>
#include <stdio.h>

#define HEX "0123456789abcdef0123456789abcdef01234567"
#define WHO "A <a@b> 1 +0000\n"
#define COMMIT "tree " HEX "\nauthor " WHO "committer " WHO "\n"

struct seen {
	unsigned count;
	enum ph_fsck_severity severity[8];
	const char *id[8];
};

static void report(void *user, enum ph_fsck_severity severity, const char *id)
{
	struct seen *seen = user;

	assert_true(seen->count < 8);
	seen->severity[seen->count] = severity;
	seen->id[seen->count++] = id;
}

static enum ph_status check(struct seen *seen, const struct ph_fsck_rules *rules,
                            const struct ph_oid *oid, enum ph_object_type type, const char *text)
{
	struct ph_fsck fsck = {
	        .algo = PH_HASH_SHA1, .rules = rules, .oid = oid, .user = seen, .report = report};

	seen->count = 0;
	return ph_fsck_object(&fsck, type, text, strlen(text));
}

/* Every id has git's spelling, is found by it in any case, and there are not two of one. */
static void ids(void **state)
{
	struct ph_fsck_rules rules;
	uint32_t count = 0;

	(void)state;
	ph_fsck_rules_init(&rules);
	for (; ph_fsck_id(count) != NULL; count++) {
		const char *id = ph_fsck_id(count);
		char upper[64] = "";

		assert_true(islower((unsigned char)id[0]));
		for (size_t i = 0; id[i] != '\0'; i++) {
			assert_true(isalnum((unsigned char)id[i]));
			upper[i] = (char)toupper((unsigned char)id[i]);
		}
		rules.severity[count] = 77;
		assert_int_equal(ph_fsck_rules_set(&rules, upper, "error"), PH_OK);
		assert_int_equal(rules.severity[count], PH_FSCK_ERROR);
		assert_string_equal(ph_fsck_text(upper), ph_fsck_text(id));
		for (uint32_t i = 0; i < count; i++)
			assert_string_not_equal(ph_fsck_id(i), id);
	}
	assert_true(count >= 76 && count <= PH_FSCK_IDS_MAX);
	assert_null(ph_fsck_id(UINT32_MAX));
	assert_string_equal(ph_fsck_text("hasDotgit"), "contains '.git'");
	assert_string_equal(ph_fsck_text("noSuchId"), "");
}

static void wrong_rules(void **state)
{
	static const char *const none[] = {"", "has", "hasDotgitt", "has.dotgit", "badRefNames"};
	static const char *const no_values[] = {"", "Error", "fatal", "warning", "info", "warn "};
	static const char *const fatal[] = {"nulInHeader", "unterminatedHeader"};
	struct ph_fsck_rules rules;
	struct ph_fsck_rules before;

	(void)state;
	ph_fsck_rules_init(&rules);
	before = rules;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_int_equal(ph_fsck_rules_set(&rules, none[i], "warn"), PH_ERR_NOT_FOUND);
	for (size_t i = 0; i < sizeof no_values / sizeof no_values[0]; i++)
		assert_int_equal(ph_fsck_rules_set(&rules, "hasDot", no_values[i]), PH_ERR_INVALID);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ph_fsck_rules_set(&rules, fatal[i], "warn"), PH_ERR_DENIED);
		assert_int_equal(ph_fsck_rules_set(&rules, fatal[i], "ignore"), PH_ERR_DENIED);
		assert_int_equal(ph_fsck_rules_set(&rules, fatal[i], "error"), PH_OK);
	}
	assert_memory_equal(&rules, &before, sizeof rules);
}

static void severities(void **state)
{
	static const char ugly[] = "tree " HEX "\nauthor A <a@b> 1\ncommitter A<a@b> 1 +0000\n\n";
	struct ph_fsck_rules rules;
	struct seen seen;

	(void)state;
	ph_fsck_rules_init(&rules);
	assert_int_equal(check(&seen, NULL, NULL, PH_OBJ_COMMIT, ugly), PH_OK);
	assert_int_equal(seen.count, 2);
	assert_int_equal(check(&seen, &rules, NULL, PH_OBJ_COMMIT, ugly), PH_OK);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.id[0], "badDate");
	assert_int_equal(seen.severity[0], PH_FSCK_WARN);
	/* What is ignored does not keep the rest from being found; what is an error does. */
	assert_int_equal(ph_fsck_rules_set(&rules, "baddate", "ignore"), PH_OK);
	assert_int_equal(check(&seen, &rules, NULL, PH_OBJ_COMMIT, ugly), PH_OK);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.id[0], "missingSpaceBeforeEmail");
	assert_int_equal(ph_fsck_rules_set(&rules, "badDate", "error"), PH_OK);
	assert_int_equal(check(&seen, &rules, NULL, PH_OBJ_COMMIT, ugly), PH_ERR_FSCK);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.severity[0], PH_FSCK_ERROR);
}

/* Errors that are made less: what follows is read as far as it can be. */
static void read_on(void **state)
{
	static const struct {
		enum ph_object_type type;
		const char *text, *lowered, *then;
	} cases[] = {
	        {PH_OBJ_COMMIT, "tree x\nparent y\nauthor " WHO "committer A> 1\n\n",
	         "badTreeSha1 badParentSha1", "badName"},
	        {PH_OBJ_COMMIT, "tree " HEX "\ncommitter A> 1\n\n", "missingAuthor", "badName"},
	        {PH_OBJ_COMMIT, "parent " HEX "\ncommitter A> 1\n\n", "missingTree", ""},
	        {PH_OBJ_TAG, "object x\ntype y\ntag a..b\ntagger A> 1\n\n", "badObjectSha1 badType",
	         "badTagName badName"},
	        {PH_OBJ_TAG, "object " HEX "\ntype blob\n\n", "missingTagEntry", ""},
	        {PH_OBJ_TAG, "object " HEX "\ntype blob\ntag v1\nx y\n\n", "",
	         "missingTaggerEntry"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char words[64];
		char found[256] = "";
		struct ph_fsck_rules rules;
		struct seen seen;

		ph_fsck_rules_init(&rules);
		snprintf(words, sizeof words, "%s", cases[i].lowered);
		for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
			assert_int_equal(ph_fsck_rules_set(&rules, word, "ignore"), PH_OK);
		assert_int_equal(check(&seen, &rules, NULL, cases[i].type, cases[i].text), PH_OK);
		for (unsigned k = 0; k < seen.count; k++) {
			size_t len = strlen(found);

			snprintf(found + len, sizeof found - len, "%s%s", k > 0 ? " " : "",
			         seen.id[k]);
		}
		assert_string_equal(found, cases[i].then);
	}
}

static void skips(void **state)
{
	static const enum ph_object_type types[] = {PH_OBJ_COMMIT, PH_OBJ_TREE, PH_OBJ_TAG};
	struct ph_oid list[100];
	struct ph_oid other = ph_test_oid_fake(PH_HASH_SHA1, 200);
	struct ph_fsck_rules rules;
	struct ph_test_rng rng;
	struct seen seen;

	(void)state;
	ph_fsck_rules_init(&rules);
	ph_test_rng_init(&rng, 3);
	for (uint32_t count = 0; count <= 100; count++) {
		for (uint32_t i = 0; i < count; i++)
			list[i] = ph_test_oid_fake(PH_HASH_SHA1, (uint8_t)(i * 37 % 100));
		ph_fsck_skips_sort(list, count);
		for (uint32_t i = 1; i < count; i++)
			assert_true(ph_oid_cmp(&list[i - 1], &list[i]) < 0);
		rules.skips = list;
		rules.skips_count = count;
		for (uint32_t i = 0; i < count; i++)
			assert_true(ph_fsck_skipped(&rules, &list[i]));
		assert_false(ph_fsck_skipped(&rules, &other));
	}
	assert_false(ph_fsck_skipped(NULL, &other));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(check(&seen, &rules, &other, types[i], "x"), PH_ERR_FSCK);
		assert_int_equal(check(&seen, &rules, NULL, types[i], "x"), PH_ERR_FSCK);
		assert_int_equal(check(&seen, &rules, &list[5], types[i], "x"), PH_OK);
		assert_int_equal(seen.count, 0);
	}
}

/* Special blobs follow rules and skips, too; one that is nowhere is a finding. */
static void blobs(void **state)
{
	static const struct {
		enum ph_fsck_blob_kind kind;
		enum ph_object_type type;
		uint64_t size;
		const char *id;
	} cases[] = {
	        {PH_FSCK_GITMODULES, PH_OBJ_NONE, 0, "gitmodulesMissing"},
	        {PH_FSCK_GITATTRIBUTES, PH_OBJ_NONE, 0, "gitattributesMissing"},
	        {PH_FSCK_GITMODULES, PH_OBJ_TREE, 5, "gitmodulesBlob"},
	        {PH_FSCK_GITATTRIBUTES, PH_OBJ_COMMIT, 5, "gitattributesBlob"},
	        {PH_FSCK_GITMODULES, PH_OBJ_BLOB, UINT32_MAX, "gitmodulesLarge"},
	        {PH_FSCK_GITATTRIBUTES, PH_OBJ_BLOB, UINT32_MAX, "gitattributesLarge"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ph_fsck_rules rules;
		struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 1);
		struct seen seen = {0};
		struct ph_fsck fsck = {.algo = PH_HASH_SHA1,
		                       .rules = &rules,
		                       .oid = &oid,
		                       .user = &seen,
		                       .report = report};

		ph_fsck_rules_init(&rules);
		assert_int_equal(
		        ph_fsck_blob(&fsck, cases[i].kind, cases[i].type, NULL, cases[i].size),
		        PH_ERR_FSCK);
		assert_string_equal(seen.id[0], cases[i].id);
		assert_int_equal(ph_fsck_rules_set(&rules, cases[i].id, "warn"), PH_OK);
		assert_int_equal(
		        ph_fsck_blob(&fsck, cases[i].kind, cases[i].type, NULL, cases[i].size),
		        PH_OK);
		assert_int_equal(seen.severity[1], PH_FSCK_WARN);
		rules.skips = &oid;
		rules.skips_count = 1;
		assert_int_equal(
		        ph_fsck_blob(&fsck, cases[i].kind, cases[i].type, NULL, cases[i].size),
		        PH_OK);
		assert_int_equal(seen.count, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ids),     cmocka_unit_test(wrong_rules),
	        cmocka_unit_test(read_on), cmocka_unit_test(severities),
	        cmocka_unit_test(skips),   cmocka_unit_test(blobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
