/* SPDX-License-Identifier: MIT */
/* Parsers of commits, tags and trees: what git writes, what old tools wrote, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <stdlib.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccc"
#define AUTHOR "author A <a@x> 5 +0000\n"

static enum ph_status parse_commit(const char *text, struct ph_commit *commit)
{
	/* An exact copy, so that a sanitizer sees a read behind the end. */
	size_t len = strlen(text);
	char *copy = malloc(len + 1);
	enum ph_status status;
	struct ph_oid last;

	memcpy(copy, text, len);
	copy = realloc(copy, len > 0 ? len : 1);
	status = ph_commit_parse(commit, PH_HASH_SHA1, copy, len);
	if (status == PH_OK && commit->parents > 0)
		ph_commit_parent(commit, commit->parents - 1, &last);
	free(copy);
	return status;
}

static void types_have_names(void **state)
{
	int type;

	(void)state;
	for (type = PH_OBJ_COMMIT; type <= PH_OBJ_TAG; type++) {
		const char *name = ph_object_type_name((enum ph_object_type)type);
		assert_int_equal(ph_object_type_from_name(name, strlen(name)), type);
		assert_int_equal(ph_object_type_from_name(name, strlen(name) - 1), PH_OBJ_NONE);
	}
	assert_string_equal(ph_object_type_name(PH_OBJ_NONE), "none");
	assert_string_equal(ph_object_type_name(PH_OBJ_REF_DELTA), "none");
	assert_string_equal(ph_object_type_name((enum ph_object_type)5), "none");
	assert_int_equal(ph_object_type_from_name("none", 4), PH_OBJ_NONE);
	assert_int_equal(ph_object_type_from_name("", 0), PH_OBJ_NONE);
}

static void commits_are_parsed(void **state)
{
	int algo;

	(void)state;
	for (algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		enum ph_hash_algo hash = (enum ph_hash_algo)algo;
		struct ph_oid tree = ph_test_oid_fake(hash, 0x11);
		struct ph_oid parents[3] = {ph_test_oid_fake(hash, 0x21),
		                            ph_test_oid_fake(hash, 0x22),
		                            ph_test_oid_fake(hash, 0x23)};
		uint32_t count;
		for (count = 0; count <= 3; count++) {
			struct ph_test_buf text = {0};
			struct ph_commit commit;
			struct ph_oid parent;
			uint32_t i;
			ph_test_commit_text(&text, hash, &tree, parents, count, 1234567890, "m");
			assert_int_equal(ph_commit_parse(&commit, hash, text.data, text.len),
			                 PH_OK);
			assert_true(ph_oid_equal(&commit.tree, &tree));
			assert_true(commit.time == 1234567890);
			assert_int_equal(commit.parents, count);
			assert_int_equal(commit.parent0 == NULL, count == 0);
			for (i = 0; i < count; i++) {
				ph_commit_parent(&commit, i, &parent);
				assert_true(ph_oid_equal(&parent, &parents[i]));
			}
			ph_test_buf_release(&text);
		}
	}
}

static void times_are_read_as_git_does(void **state)
{
	static const struct {
		const char *committer;
		uint64_t time;
	} cases[] = {
	        {"committer C <c@x> 1 +0000\n", 1},
	        {"committer C <c@x>   77 +0000\n", 77},
	        {"committer C <c@x> 99\n", 99},
	        {"committer > <c>> 12 -0100\n", 12},
	        {"committer C <c@x> 18446744073709551615 +0\n", UINT64_MAX},
	        {"committer C <c@x> 18446744073709551616 +0\n", 0},
	        {"committer C <c@x> -5 +0000\n", 0},
	        {"committer C <c@x> soon\n", 0},
	        {"committer C c@x 5 +0000\n", 0},
	        {"committer C <c@x>\n5", 0},
	        {"committer C <c@x> 5", 0},
	        {"commiter C <c@x> 5 +0000\n", 0},
	        {"", 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_test_buf text = {0};
		struct ph_commit commit;
		ph_test_buf_print(&text, "tree %s\n%s%s", HEX_A, AUTHOR, cases[i].committer);
		ph_test_buf_append(&text, "", 1);
		assert_int_equal(parse_commit((const char *)text.data, &commit), PH_OK);
		assert_true(commit.time == cases[i].time);
		ph_test_buf_release(&text);
	}
}

static void broken_commits_are_refused(void **state)
{
	static const char *const texts[] = {
	        "",
	        "tree",
	        "tree \n",
	        "tree " HEX_A,
	        "tree " HEX_A " \n" AUTHOR,
	        "tree " HEX_A "\r\n" AUTHOR,
	        "tree " HEX_A "a\n" AUTHOR,
	        "tree aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaag\n" AUTHOR,
	        "Tree " HEX_A "\n" AUTHOR,
	        "parent " HEX_A "\ntree " HEX_B "\n" AUTHOR,
	        "tree " HEX_A "\nparent " HEX_B,
	        "tree " HEX_A "\nparent bbbb\n" AUTHOR,
	        "tree " HEX_A "\nparent " HEX_B "\nparent " HEX_C "x\n" AUTHOR,
	        "tree " HEX_A "\nparent \n",
	};
	struct ph_commit commit;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse_commit(texts[i], &commit), PH_ERR_INVALID);
	/* No committer is odd, but the links are there. */
	assert_int_equal(parse_commit("tree " HEX_A "\nparent " HEX_B "\n", &commit), PH_OK);
	assert_int_equal(commit.parents, 1);
	assert_int_equal(commit.time, 0);
}

static enum ph_status parse_tag(const char *text, struct ph_tag *tag)
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);
	enum ph_status status;

	memcpy(copy, text, len);
	status = ph_tag_parse(tag, PH_HASH_SHA1, copy, len);
	if (status == PH_OK)
		tag->name = text + (tag->name - copy);
	free(copy);
	return status;
}

static void tags_are_parsed(void **state)
{
	struct ph_oid target = ph_test_oid_fake(PH_HASH_SHA256, 0x42);
	struct ph_test_buf text = {0};
	struct ph_tag tag;

	(void)state;
	ph_test_tag_text(&text, PH_HASH_SHA256, &target, PH_OBJ_TAG, "v1.0");
	assert_int_equal(ph_tag_parse(&tag, PH_HASH_SHA256, text.data, text.len), PH_OK);
	assert_true(ph_oid_equal(&tag.object, &target));
	assert_int_equal(tag.type, PH_OBJ_TAG);
	assert_int_equal(tag.name_len, 4);
	assert_memory_equal(tag.name, "v1.0", 4);
	assert_int_equal(ph_tag_parse(&tag, PH_HASH_SHA1, text.data, text.len), PH_ERR_INVALID);
	ph_test_buf_release(&text);
	/* The oldest tags have no tagger. */
	assert_int_equal(parse_tag("object " HEX_A "\ntype blob\ntag x\n", &tag), PH_OK);
	assert_int_equal(tag.type, PH_OBJ_BLOB);
	assert_memory_equal(tag.name, "x", 1);
}

static void broken_tags_are_refused(void **state)
{
	static const char *const texts[] = {
	        "",
	        "object " HEX_A "\n",
	        "object " HEX_A "\ntype commit\n",
	        "object " HEX_A "\ntype commit\ntag x",
	        "object " HEX_A "\ntype commit",
	        "object " HEX_A "\ntype none\ntag x\n",
	        "object " HEX_A "\ntype commit \ntag x\n",
	        "object " HEX_A "\ntag x\ntype commit\n",
	        "object aaa\ntype commit\ntag x\n",
	};
	struct ph_tag tag;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse_tag(texts[i], &tag), PH_ERR_INVALID);
}

static void trees_are_walked(void **state)
{
	static const uint32_t modes[] = {0100644, 040000, 0160000, 0120000, 0100755};
	static const char *const names[] = {"a", "b dir", "c", "d\xc3\xa4", "."};
	int algo;

	(void)state;
	for (algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		struct ph_test_buf tree = {0};
		struct ph_tree_iter iter;
		struct ph_tree_entry entry;
		uint8_t i;
		for (i = 0; i < 5; i++) {
			struct ph_oid oid = ph_test_oid_fake((enum ph_hash_algo)algo, i);
			ph_test_tree_entry(&tree, (enum ph_hash_algo)algo, modes[i], names[i],
			                   &oid);
		}
		ph_tree_iter_init(&iter, (enum ph_hash_algo)algo, tree.data, tree.len);
		for (i = 0; i < 5; i++) {
			struct ph_oid oid = ph_test_oid_fake((enum ph_hash_algo)algo, i);
			assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_OK);
			assert_int_equal(entry.mode, modes[i]);
			assert_int_equal(entry.name_len, strlen(names[i]));
			assert_memory_equal(entry.name, names[i], entry.name_len);
			assert_true(ph_oid_equal(&entry.oid, &oid));
		}
		assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_END);
		assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_END);
		ph_test_buf_release(&tree);
	}
	assert_true(ph_mode_is_tree(040000));
	assert_false(ph_mode_is_tree(0100644));
	assert_true(ph_mode_is_submodule(0160000));
	assert_true(ph_mode_is_symlink(0120000));
	assert_false(ph_mode_is_symlink(0160000));
}

static void empty_tree_and_old_modes(void **state)
{
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 1);
	struct ph_test_buf tree = {0};
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;

	(void)state;
	ph_tree_iter_init(&iter, PH_HASH_SHA1, NULL, 0);
	assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_END);
	ph_test_buf_append(&tree, "040000 d", 9);
	ph_test_buf_append(&tree, oid.bytes, 20);
	ph_test_buf_append(&tree, "100664 f", 9);
	ph_test_buf_append(&tree, oid.bytes, 20);
	ph_tree_iter_init(&iter, PH_HASH_SHA1, tree.data, tree.len);
	assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_OK);
	assert_int_equal(entry.mode, 040000);
	assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_OK);
	assert_int_equal(entry.mode, 0100664);
	ph_test_buf_release(&tree);
}

static void every_cut_of_a_tree_is_noticed(void **state)
{
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 7);
	struct ph_test_buf tree = {0};
	size_t first;
	size_t len;

	(void)state;
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100644, "file", &oid);
	first = tree.len;
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 040000, "sub", &oid);
	for (len = 0; len <= tree.len; len++) {
		struct ph_tree_iter iter;
		struct ph_tree_entry entry;
		enum ph_status status;
		uint8_t *copy = malloc(len > 0 ? len : 1);
		if (len > 0)
			memcpy(copy, tree.data, len);
		ph_tree_iter_init(&iter, PH_HASH_SHA1, copy, len);
		do {
			status = ph_tree_iter_next(&iter, &entry);
		} while (status == PH_OK);
		assert_int_equal(status, len == 0 || len == first || len == tree.len
		                                 ? PH_END
		                                 : PH_ERR_INVALID);
		free(copy);
	}
	ph_test_buf_release(&tree);
}

static void broken_tree_entries_are_refused(void **state)
{
	/* Each is followed by an id. The lengths count the name's NUL. */
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {{" name", 6},    {"100644name", 11}, {"100644 ", 8},
	             {"10x644 n", 9}, {"8 n", 4},         {"777777777777 n", 15},
	             {"-1 n", 5},     {"100644", 7},      {"\0name", 6}};
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 0x61);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_test_buf tree = {0};
		struct ph_tree_iter iter;
		struct ph_tree_entry entry;
		ph_test_buf_append(&tree, cases[i].text, cases[i].len);
		ph_test_buf_append(&tree, oid.bytes, 20);
		ph_tree_iter_init(&iter, PH_HASH_SHA1, tree.data, tree.len);
		assert_int_equal(ph_tree_iter_next(&iter, &entry), PH_ERR_INVALID);
		ph_test_buf_release(&tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(types_have_names),
	        cmocka_unit_test(commits_are_parsed),
	        cmocka_unit_test(times_are_read_as_git_does),
	        cmocka_unit_test(broken_commits_are_refused),
	        cmocka_unit_test(tags_are_parsed),
	        cmocka_unit_test(broken_tags_are_refused),
	        cmocka_unit_test(trees_are_walked),
	        cmocka_unit_test(empty_tree_and_old_modes),
	        cmocka_unit_test(every_cut_of_a_tree_is_noticed),
	        cmocka_unit_test(broken_tree_entries_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
