/* SPDX-License-Identifier: MIT */
/*
 * Pack-in checks what it takes: fsck of whole and of delta objects, .gitmodules wherever the blob
 * is, and objects that exist with other bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdlib.h>

#define ALGO PH_HASH_SHA1

static enum ph_status feed(struct intake *intake, const struct ph_test_pack *pack,
                           const struct ph_alloc *alloc, const struct ph_source *base)
{
	struct ph_test_buf file = {0};

	ph_test_packfile(pack, &file);
	intake_init(intake, pack->algo, alloc, base);
	intake_file(intake, &file);
	ph_test_buf_release(&file);
	return intake->status;
}

/* Feeds; expects this status and id, and that the error names this entry's object. */
static void expect_error(const struct ph_test_pack *pack, const struct ph_source *base,
                         enum ph_status status, const char *what, const struct ph_oid *oid)
{
	struct ph_test_alloc memory;
	struct intake intake;
	char hex[PH_OID_HEX_MAX + 1];

	ph_test_alloc_init(&memory);
	assert_int_equal(feed(&intake, pack, &memory.alloc, base), status);
	if (what)
		assert_string_equal(intake.error.what, what);
	if (oid)
		assert_string_equal(intake.error.detail, ph_oid_to_hex(hex, pack->algo, oid));
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
}

static void expect_ok(const struct ph_test_pack *pack, const struct ph_source *base)
{
	struct ph_test_alloc memory;
	struct intake intake;

	ph_test_alloc_init(&memory);
	feed(&intake, pack, &memory.alloc, base);
	expect_pack(&intake, pack);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
}

/* A tree of one file. */
static uint32_t add_tree(struct ph_test_pack *pack, uint32_t mode, const char *name,
                         const struct ph_oid *oid)
{
	struct ph_test_buf tree = {0};
	uint32_t number;

	ph_test_tree_entry(&tree, pack->algo, mode, name, oid);
	number = ph_test_pack_add(pack, PH_OBJ_TREE, tree.data, tree.len);
	ph_test_buf_release(&tree);
	return number;
}

/* ---- fsck ---- */

static void test_fsck_whole(void **state)
{
	struct ph_test_pack pack;
	uint32_t tree;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	add_text_blob(&pack, 1, 50);
	tree = add_tree(&pack, 0100644, ".git", &pack.entries[0].oid);
	expect_error(&pack, NULL, PH_ERR_FSCK, "hasDotgit", &pack.entries[tree].oid);
	ph_test_pack_release(&pack);
}

static void test_fsck_delta(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf bad = {0};
	uint32_t tree;
	int ref;

	(void)state;
	for (ref = 0; ref < 2; ref++) {
		ph_test_pack_init(&pack, ALGO);
		add_text_blob(&pack, 1, 50);
		tree = add_tree(&pack, 0100644, "fine", &pack.entries[0].oid);
		ph_test_buf_clear(&bad);
		ph_test_tree_entry(&bad, ALGO, 0100644, ".GIT", &pack.entries[0].oid);
		if (ref)
			tree = ph_test_pack_add_ref(&pack, tree, bad.data, bad.len);
		else
			tree = ph_test_pack_add_ofs(&pack, tree, bad.data, bad.len);
		expect_error(&pack, NULL, PH_ERR_FSCK, "hasDotgit", &pack.entries[tree].oid);
		ph_test_pack_release(&pack);
	}
	ph_test_buf_release(&bad);
}

/* A tree that is none, as a commit that is none. */
static void test_fsck_broken(void **state)
{
	struct ph_test_pack pack;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	(void)ph_test_pack_add(&pack, PH_OBJ_TREE, "no tree", 7);
	expect_error(&pack, NULL, PH_ERR_FSCK, NULL, &pack.entries[0].oid);
	ph_test_pack_release(&pack);
	ph_test_pack_init(&pack, ALGO);
	(void)ph_test_pack_add(&pack, PH_OBJ_COMMIT, "", 0);
	expect_error(&pack, NULL, PH_ERR_FSCK, NULL, &pack.entries[0].oid);
	ph_test_pack_release(&pack);
}

/* Zero-padded modes are old, and only warned about. */
static void test_warning(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf tree = {0};
	struct intake intake;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	add_text_blob(&pack, 1, 50);
	ph_test_buf_print(&tree, "0100644 file");
	ph_test_buf_append(&tree, "", 1);
	ph_test_buf_append(&tree, pack.entries[0].oid.bytes, 20);
	(void)ph_test_pack_add(&pack, PH_OBJ_TREE, tree.data, tree.len);
	feed(&intake, &pack, ph_alloc_libc(), NULL);
	expect_pack(&intake, &pack);
	assert_int_equal(intake.warnings, 1);
	assert_string_equal(intake.last_warning, "zeroPaddedFilemode");
	intake_release(&intake);
	ph_test_buf_release(&tree);
	ph_test_pack_release(&pack);
}

/* ---- special blobs ---- */

static const char good_modules[] = "[submodule \"a\"]\n\tpath = a\n\turl = https://example.com/a\n";
static const char bad_modules[] = "[submodule \"a\"]\n\tpath = a\n\turl = --upload-pack=x\n";

static void test_modules(void **state)
{
	struct ph_test_pack pack;
	int kind;

	(void)state;
	/* Whole, and as a delta; before the tree and after it. */
	for (kind = 0; kind < 4; kind++) {
		const char *text = kind % 2 ? bad_modules : good_modules;
		struct ph_oid oid;
		ph_hash_object(&oid, ALGO, PH_OBJ_BLOB, text, strlen(text));
		ph_test_pack_init(&pack, ALGO);
		(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "something", 9);
		(void)add_tree(&pack, 0100644, ".gitmodules", &oid);
		if (kind < 2)
			(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, text, strlen(text));
		else
			(void)ph_test_pack_add_ofs(&pack, 0, text, strlen(text));
		if (kind % 2)
			expect_error(&pack, NULL, PH_ERR_FSCK, "gitmodulesUrl", &oid);
		else
			expect_ok(&pack, NULL);
		ph_test_pack_release(&pack);
	}
}

static void test_modules_missing(void **state)
{
	struct ph_oid fake = ph_test_oid_fake(ALGO, 0x55);
	struct ph_test_pack pack;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	(void)add_tree(&pack, 0100644, ".gitmodules", &fake);
	expect_error(&pack, NULL, PH_ERR_FSCK, "gitmodulesMissing", &fake);
	ph_test_pack_release(&pack);
	ph_test_pack_init(&pack, ALGO);
	(void)add_tree(&pack, 0100644, ".gitattributes", &fake);
	expect_error(&pack, NULL, PH_ERR_FSCK, "gitattributesMissing", &fake);
	ph_test_pack_release(&pack);
}

/* The blob was pushed under another name before, and was not looked at then. */
static void test_modules_there(void **state)
{
	struct ph_test_pack there;
	struct ph_test_pack pack;
	struct ph_test_source source;

	(void)state;
	ph_test_pack_init(&there, ALGO);
	(void)ph_test_pack_add(&there, PH_OBJ_BLOB, good_modules, strlen(good_modules));
	(void)ph_test_pack_add_ofs(&there, 0, bad_modules, strlen(bad_modules));
	ph_test_source_init(&source, &there, 1);
	ph_test_pack_init(&pack, ALGO);
	(void)add_tree(&pack, 0100644, ".gitmodules", &there.entries[0].oid);
	expect_ok(&pack, &source.set.source);
	(void)add_tree(&pack, 0100644, ".GitModules", &there.entries[1].oid);
	expect_error(&pack, &source.set.source, PH_ERR_FSCK, "gitmodulesUrl",
	             &there.entries[1].oid);
	ph_test_pack_release(&pack);
	ph_test_source_release(&source);
	ph_test_pack_release(&there);
}

/* What a tree calls a file may be anything. */
static void test_modules_no_blob(void **state)
{
	struct ph_test_pack pack;
	uint32_t tree;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	add_text_blob(&pack, 1, 50);
	tree = add_tree(&pack, 0100644, "file", &pack.entries[0].oid);
	(void)add_tree(&pack, 0100644, ".gitmodules", &pack.entries[tree].oid);
	expect_error(&pack, NULL, PH_ERR_FSCK, "gitmodulesBlob", &pack.entries[tree].oid);
	ph_test_pack_release(&pack);
}

/* Many trees, many files, and the bad one among them is found. */
static void test_many_specials(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf text = {0};
	uint32_t i;
	uint32_t bad;

	(void)state;
	ph_test_pack_init(&pack, ALGO);
	for (i = 0; i < 700; i++) {
		ph_test_buf_clear(&text);
		ph_test_buf_print(&text, "*.c text\n*.x%u text\n", (unsigned)i);
		(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, text.data, text.len);
	}
	for (i = 0; i < 700; i++) {
		uint32_t blob = i;
		ph_test_buf_clear(&text);
		ph_test_tree_entry(&text, ALGO, 0100644, ".gitattributes", &pack.entries[blob].oid);
		ph_test_tree_entry(&text, ALGO, 0100644, "other", &pack.entries[(i * 7) % 700].oid);
		(void)ph_test_pack_add(&pack, PH_OBJ_TREE, text.data, text.len);
		/* The same file in another tree. */
		ph_test_buf_clear(&text);
		ph_test_tree_entry(&text, ALGO, 0100644, ".gitattributes",
		                   &pack.entries[(i * 13) % 700].oid);
		ph_test_tree_entry(&text, ALGO, 0100644, "x", &pack.entries[i].oid);
		(void)ph_test_pack_add(&pack, PH_OBJ_TREE, text.data, text.len);
	}
	expect_ok(&pack, NULL);
	bad = ph_test_pack_add(&pack, PH_OBJ_BLOB, bad_modules, strlen(bad_modules));
	(void)add_tree(&pack, 0100644, ".gitmodules", &pack.entries[bad].oid);
	expect_error(&pack, NULL, PH_ERR_FSCK, "gitmodulesUrl", &pack.entries[bad].oid);
	ph_test_buf_release(&text);
	ph_test_pack_release(&pack);
}

/* ---- objects that exist ---- */

/* There is an object under the id of text that has other content. */
static void make_liar(struct ph_test_pack *there, const void *data, size_t size, const void *other,
                      size_t other_size, enum ph_object_type type)
{
	struct ph_test_raw raw = {.stored = type, .type = type};

	ph_hash_object(&raw.oid, there->algo, PH_OBJ_BLOB, data, size);
	raw.declared = other_size;
	raw.content = other;
	raw.content_len = other_size;
	raw.size = other_size;
	(void)ph_test_pack_add_raw(there, &raw);
}

static void expect_existing(const struct ph_test_pack *there, const struct ph_test_pack *pack,
                            enum ph_status status, uint64_t resident)
{
	struct ph_test_alloc memory;
	struct ph_test_source source;
	struct ph_test_buf file = {0};
	struct feeding feeding = {.budget = 3};
	struct intake intake;

	ph_test_alloc_init(&memory);
	ph_test_source_init(&source, there, 1);
	ph_test_packfile(pack, &file);
	intake_init(&intake, pack->algo, &memory.alloc, &source.set.source);
	intake.limits.delta_resident_bytes_max = resident;
	intake_feed(&intake, file.data, file.len, &feeding);
	assert_int_equal(intake.status, status);
	if (status == PH_OK)
		expect_pack(&intake, pack);
	intake_release(&intake);
	ph_test_source_release(&source);
	ph_test_buf_release(&file);
	assert_int_equal(memory.live, 0);
}

static void test_collision(void **state)
{
	static const struct {
		const char *other;
		size_t size;
		enum ph_object_type type;
		enum ph_status status;
	} cases[] = {
	        {"the text", 8, PH_OBJ_BLOB, PH_OK},
	        {"the texT", 8, PH_OBJ_BLOB, PH_ERR_COLLISION},
	        {"the tex", 7, PH_OBJ_BLOB, PH_ERR_COLLISION},
	        {"the text", 8, PH_OBJ_TAG, PH_ERR_COLLISION},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_test_pack there;
		struct ph_test_pack pack;
		int delta;
		for (delta = 0; delta < 2; delta++) {
			ph_test_pack_init(&there, ALGO);
			make_liar(&there, "the text", 8, cases[i].other, cases[i].size,
			          cases[i].type);
			ph_test_pack_init(&pack, ALGO);
			add_text_blob(&pack, 1, 50);
			if (delta)
				(void)ph_test_pack_add_ofs(&pack, 0, "the text", 8);
			else
				(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "the text", 8);
			expect_existing(&there, &pack, cases[i].status, 1 << 20);
			expect_existing(&there, &pack, cases[i].status, 0);
			ph_test_pack_release(&pack);
			ph_test_pack_release(&there);
		}
	}
}

/* Large ones are compared in windows, to the last byte. */
static void test_collision_large(void **state)
{
	struct ph_test_pack there;
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	size_t size = 200001;
	uint8_t *data = malloc(size);
	uint8_t *other = malloc(size);
	int differ;

	(void)state;
	ph_test_rng_init(&rng, 8);
	ph_test_rng_fill(&rng, data, size);
	memcpy(other, data, size);
	for (differ = 0; differ < 2; differ++) {
		if (differ)
			other[size - 1] ^= 1;
		ph_test_pack_init(&there, ALGO);
		make_liar(&there, data, size, other, size, PH_OBJ_BLOB);
		ph_test_pack_init(&pack, ALGO);
		(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, data + 1000, size - 2000);
		(void)ph_test_pack_add_ofs(&pack, 0, data, size);
		expect_existing(&there, &pack, differ ? PH_ERR_COLLISION : PH_OK, 1000);
		expect_existing(&there, &pack, differ ? PH_ERR_COLLISION : PH_OK, 1 << 20);
		ph_test_pack_release(&pack);
		ph_test_pack_release(&there);
	}
	free(other);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_fsck_whole),      cmocka_unit_test(test_fsck_delta),
	        cmocka_unit_test(test_fsck_broken),     cmocka_unit_test(test_warning),
	        cmocka_unit_test(test_modules),         cmocka_unit_test(test_modules_missing),
	        cmocka_unit_test(test_modules_there),   cmocka_unit_test(test_modules_no_blob),
	        cmocka_unit_test(test_many_specials),   cmocka_unit_test(test_collision),
	        cmocka_unit_test(test_collision_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
