/* SPDX-License-Identifier: MIT */
/*
 * What pack-in sees in trees that deltas make: entries that a base has outside of the pack, rules
 * and skip lists, and whether all that is referred to came along.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdio.h>

#define ALGO PH_HASH_SHA1

static const char bad_modules[] = "[submodule \"a\"]\n\turl = -u\n";

/* A tree of a .gitmodules and of n files with this blob. */
static void modules_tree(struct ph_test_buf *out, const struct ph_oid *modules, unsigned n,
                         const struct ph_oid *blob)
{
	out->len = 0;
	if (modules)
		ph_test_tree_entry(out, ALGO, 0100644, ".gitmodules", modules);
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file-%03u", i);
		ph_test_tree_entry(out, ALGO, 0100644, name, blob);
	}
}

static void feed(struct intake *intake, const struct ph_test_pack *pack,
                 const struct ph_source *base, const struct ph_fsck_rules *rules, bool unchecked)
{
	struct ph_test_buf file = {0};

	ph_test_packfile(pack, &file);
	intake_init(intake, pack->algo, ph_alloc_libc(), base);
	intake->options.rules = rules;
	intake->options.unchecked = unchecked;
	intake->options.links = true;
	intake_file(intake, &file);
	ph_test_buf_release(&file);
}

/*
 * A tree that is there has a .gitmodules that is no good, from days when nobody looked. What is
 * made of it by a thin pack is refused when it keeps that file, and taken when it does not.
 */
static void thin_bases(void **state)
{
	struct ph_test_pack there;
	struct ph_test_source source;
	struct ph_test_buf old = {0};
	struct ph_test_buf new = {0};
	uint32_t modules, blob, base;

	(void)state;
	ph_test_pack_init(&there, ALGO);
	modules = ph_test_pack_add(&there, PH_OBJ_BLOB, bad_modules, strlen(bad_modules));
	blob = ph_test_pack_add(&there, PH_OBJ_BLOB, "x", 1);
	modules_tree(&old, &there.entries[modules].oid, 20, &there.entries[blob].oid);
	base = ph_test_pack_add(&there, PH_OBJ_TREE, old.data, old.len);
	ph_test_source_init(&source, &there, 1);
	for (unsigned keeps = 0; keeps < 2; keeps++) {
		struct ph_test_pack pack;
		struct intake intake;

		modules_tree(&new, keeps ? &there.entries[modules].oid : NULL, 21,
		             &there.entries[blob].oid);
		ph_test_pack_init(&pack, ALGO);
		(void)ph_test_pack_add_thin(&pack, PH_OBJ_TREE, &there.entries[base].oid, old.data,
		                            old.len, new.data, new.len);
		feed(&intake, &pack, &source.set.source, NULL, false);
		assert_int_equal(intake.status, keeps ? PH_ERR_FSCK : PH_OK);
		if (keeps)
			assert_string_equal(intake.error.what, "gitmodulesUrl");
		intake_release(&intake);
		ph_test_pack_release(&pack);
	}
	ph_test_source_release(&source);
	ph_test_pack_release(&there);
	ph_test_buf_release(&old);
	ph_test_buf_release(&new);
}

/* Trees by delta on trees by delta: a chain, with a name that is no good at its end. */
static uint32_t chain(struct ph_test_pack *pack, const struct ph_oid *blob, const char *last)
{
	struct ph_test_buf tree = {0};
	uint32_t number = UINT32_MAX;

	for (unsigned n = 30; n > 20; n--) {
		modules_tree(&tree, NULL, n, blob);
		if (n == 21)
			ph_test_tree_entry(&tree, ALGO, 0100644, last, blob);
		number = number == UINT32_MAX
		                 ? ph_test_pack_add(pack, PH_OBJ_TREE, tree.data, tree.len)
		                 : ph_test_pack_add_ofs(pack, number, tree.data, tree.len);
	}
	ph_test_buf_release(&tree);
	return number;
}

static void rules(void **state)
{
	struct ph_fsck_rules rules;
	struct ph_test_pack pack;
	struct intake intake;
	struct ph_oid oid;
	uint32_t bad;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "x", 1);
	bad = chain(&pack, &pack.entries[0].oid, "g\\.git");
	oid = pack.entries[bad].oid;
	feed(&intake, &pack, NULL, NULL, false);
	assert_int_equal(intake.status, PH_ERR_FSCK);
	assert_string_equal(intake.error.what, "hasDotgit");
	intake_release(&intake);

	feed(&intake, &pack, NULL, NULL, true);
	assert_int_equal(intake.status, PH_OK);
	assert_int_equal(intake.warnings, 0);
	intake_release(&intake);

	ph_fsck_rules_init(&rules);
	assert_int_equal(ph_fsck_rules_set(&rules, "hasDotgit", "warn"), PH_OK);
	feed(&intake, &pack, NULL, &rules, false);
	assert_int_equal(intake.status, PH_OK);
	assert_int_equal(intake.warnings, 1);
	assert_string_equal(intake.last_warning, "hasDotgit");
	intake_release(&intake);

	for (unsigned listed = 0; listed < 4; listed++) {
		rules.skips = listed % 2 ? &oid : &pack.entries[0].oid;
		rules.skips_count = 1;
		assert_int_equal(
		        ph_fsck_rules_set(&rules, "hasDotgit", listed < 2 ? "error" : "warn"),
		        PH_OK);
		feed(&intake, &pack, NULL, &rules, false);
		assert_int_equal(intake.status, listed == 0 ? PH_ERR_FSCK : PH_OK);
		assert_int_equal(intake.warnings, listed == 2);
		intake_release(&intake);
	}
	ph_test_pack_release(&pack);
}

/* One object of a closed pack is left out at a time, or stands for another of the wrong type. */
static void closed(void **state)
{
	(void)state;
	for (unsigned without = 0; without <= 4; without++) {
		struct ph_test_buf text = {0};
		struct ph_test_pack pack;
		struct intake intake;
		struct ph_oid blob, tree, commit;
		uint32_t last;

		ph_test_pack_init(&pack, ALGO);
		if (without == 1)
			(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "y", 1);
		else
			(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "x", 1);
		ph_hash_object(&blob, ALGO, PH_OBJ_BLOB, "x", 1);
		last = chain(&pack, &blob, "z");
		tree = pack.entries[last].oid;
		ph_test_commit_text(&text, ALGO, without == 2 ? &blob : &tree, NULL, 0, 1, "m");
		ph_hash_object(&commit, ALGO, PH_OBJ_COMMIT, text.data, text.len);
		if (without != 3)
			(void)ph_test_pack_add(&pack, PH_OBJ_COMMIT, text.data, text.len);
		ph_test_buf_clear(&text);
		ph_test_tag_text(&text, ALGO, without == 4 ? &tree : &commit, PH_OBJ_COMMIT, "v1");
		(void)ph_test_pack_add(&pack, PH_OBJ_TAG, text.data, text.len);
		for (unsigned unchecked = 0; unchecked < 2; unchecked++) {
			feed(&intake, &pack, NULL, NULL, unchecked);
			assert_int_equal(intake.status, PH_OK);
			assert_int_equal(ph_pack_in_closed(intake.in), without == 0);
			intake_release(&intake);
		}
		ph_test_buf_release(&text);
		ph_test_pack_release(&pack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(thin_bases),
	        cmocka_unit_test(rules),
	        cmocka_unit_test(closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
