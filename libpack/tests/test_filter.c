/* SPDX-License-Identifier: MIT */
/* Filter specs and patterns: what is read, what is refused and how it is said, what is allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/glob.h>
#include "../sparse_int.h"
#include "support.h"
#include <packhorse/filter.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static enum ph_status parse(struct ph_filter *filter, const char *spec, char *why)
{
	return ph_filter_parse(filter, ph_alloc_libc(), spec, strlen(spec), why);
}

/* The parts as one text, such as "combine tree:3 sparse:x". */
static void text_of(const struct ph_filter *filter, char *out, size_t room)
{
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < filter->count; i++) {
		const struct ph_filter_part *part = &filter->parts[i];
		char more[300];
		int len;

		snprintf(more, sizeof more, "%" PRIu64, part->number);
		if (part->kind == PH_FILTER_SPARSE_OID) {
			snprintf(more, sizeof more, "%.250s", part->name);
		} else if (part->kind == PH_FILTER_OBJECT_TYPE) {
			snprintf(more, sizeof more, "%s", ph_object_type_name(part->type));
		} else if (part->kind == PH_FILTER_COMBINE || part->kind == PH_FILTER_BLOB_NONE) {
			more[0] = '\0';
		}
		len = snprintf(out + at, room - at, "%s%s%s%s", i > 0 ? " " : "",
		               ph_filter_kind_name(part->kind), more[0] != '\0' ? "=" : "", more);
		assert_true(len > 0 && (size_t)len < room - at);
		at += (size_t)len;
	}
}

static void reads(void **state)
{
	static const struct {
		const char *spec, *parts;
	} rows[] = {
	        {"blob:none", "blob:none"},
	        {"blob:limit=0", "blob:limit=0"},
	        {"blob:limit=1k", "blob:limit=1024"},
	        {"blob:limit=2M", "blob:limit=2097152"},
	        {"blob:limit=3g", "blob:limit=3221225472"},
	        {"blob:limit=18446744073709551615", "blob:limit=18446744073709551615"},
	        {"blob:limit=0x1F", "blob:limit=31"},
	        {"tree:010", "tree=8"},
	        {"tree:0", "tree=0"},
	        {"tree:5", "tree=5"},
	        {"object:type=blob", "object:type=blob"},
	        {"object:type=tag", "object:type=tag"},
	        {"sparse:oid=main:a/b c", "sparse:oid=main:a/b c"},
	        {"sparse:oid=", "sparse:oid"},
	        {"combine:blob:none", "combine blob:none"},
	        {"combine:tree:3+blob:none", "combine tree=3 blob:none"},
	        {"combine:++tree:3+++blob:none+", "combine tree=3 blob:none"},
	        {"combine:sparse:oid=a%2Bb%25", "combine sparse:oid=a+b%"},
	        {"combine:sparse:oid=%00%zz%2", "combine sparse:oid=%00%zz%2"},
	        {"combine:sparse:oid=%e4", "combine sparse:oid=\xe4"},
	        {"combine:combine%3atree:1%2Btree:2+tree:3",
	         "combine combine tree=1 tree=2 tree=3"},
	        {"combine:combine:combine:combine:tree:1",
	         "combine combine combine combine tree=1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ph_filter filter;
		char why[PH_FILTER_WHY_MAX] = "";
		char text[512];

		assert_int_equal(parse(&filter, rows[i].spec, why), PH_OK);
		text_of(&filter, text, sizeof text);
		assert_string_equal(text, rows[i].parts);
		assert_int_equal(filter.kind, filter.parts[0].kind);
		ph_filter_release(&filter, ph_alloc_libc());
		assert_int_equal(filter.kind, PH_FILTER_NONE);
		assert_int_equal(filter.count, 0);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *spec, *why;
	} rows[] = {
	        {"", "invalid filter-spec ''"},
	        {"blob", "invalid filter-spec 'blob'"},
	        {"BLOB:NONE", "invalid filter-spec 'BLOB:NONE'"},
	        {"blob:none ", "invalid filter-spec 'blob:none '"},
	        {"blob:limit=", "invalid filter-spec 'blob:limit='"},
	        {"blob:limit=-1", "invalid filter-spec 'blob:limit=-1'"},
	        {"blob:limit=1kk", "invalid filter-spec 'blob:limit=1kk'"},
	        {"blob:limit=1t", "invalid filter-spec 'blob:limit=1t'"},
	        {"blob:limit=08", "invalid filter-spec 'blob:limit=08'"},
	        {"blob:limit=0x", "invalid filter-spec 'blob:limit=0x'"},
	        {"blob:limit=18446744073709551616",
	         "invalid filter-spec 'blob:limit=18446744073709551616'"},
	        {"blob:limit=18446744073709551615k",
	         "invalid filter-spec 'blob:limit=18446744073709551615k'"},
	        {"tree:", "expected 'tree:<depth>'"},
	        {"tree:x", "expected 'tree:<depth>'"},
	        {"object:type=\x1b[2J",
	         "'?[2J' for 'object:type=<type>' is not a valid object type"},
	        {"sparse:path=x", "sparse:path filters support has been dropped"},
	        {"auto", "'auto' filter not supported by this command"},
	        {"combine:", "expected something after combine:"},
	        {"combine:+", "expected something after combine:"},
	        {"combine:tree:1+combine:", "expected something after combine:"},
	        {"combine:tree:1+tree:(", "must escape char in sub-filter-spec: '('"},
	        {"combine:sparse:oid=a b", "must escape char in sub-filter-spec: ' '"},
	        {"combine:sparse:oid=\xe4", "must escape char in sub-filter-spec: '?'"},
	        {"combine:tree:1+x", "invalid filter-spec 'x'"},
	        {"combine:combine:combine:combine:combine:tree:1",
	         "filter nests too deeply (at most 4)"},
	};
	struct ph_filter filter;
	char why[PH_FILTER_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_true(parse(&filter, rows[i].spec, why) < 0);
		assert_string_equal(why, rows[i].why);
		assert_int_equal(filter.kind, PH_FILTER_NONE);
		assert_int_equal(filter.count, 0);
	}
	assert_int_equal(ph_filter_parse(&filter, ph_alloc_libc(), "tree:0\0x", 8, why),
	                 PH_ERR_INVALID);
}

static void keeps_its_limits(void **state)
{
	static char spec[PH_FILTER_SPEC_MAX + 2];
	struct ph_filter filter;
	char why[PH_FILTER_WHY_MAX];
	size_t len;

	(void)state;
	memset(spec, 'x', sizeof spec - 1);
	memcpy(spec, "sparse:oid=", 11);
	assert_int_equal(ph_filter_parse(&filter, ph_alloc_libc(), spec, PH_FILTER_SPEC_MAX, why),
	                 PH_OK);
	assert_int_equal(strlen(filter.parts[0].name), PH_FILTER_SPEC_MAX - 11);
	ph_filter_release(&filter, ph_alloc_libc());
	assert_int_equal(
	        ph_filter_parse(&filter, ph_alloc_libc(), spec, PH_FILTER_SPEC_MAX + 1, why),
	        PH_ERR_LIMIT);
	assert_string_equal(why, "filter-spec is too long (at most 4096 bytes)");
	for (unsigned parts = PH_FILTER_PARTS_MAX - 1; parts <= PH_FILTER_PARTS_MAX; parts++) {
		len = (size_t)snprintf(spec, sizeof spec, "combine:");
		for (unsigned i = 0; i < parts; i++) {
			len += (size_t)snprintf(spec + len, sizeof spec - len, "sparse:oid=%u+", i);
		}
		assert_int_equal(parse(&filter, spec, why),
		                 parts < PH_FILTER_PARTS_MAX ? PH_OK : PH_ERR_LIMIT);
		ph_filter_release(&filter, ph_alloc_libc());
	}
	assert_string_equal(why, "filter has too many parts (at most 32)");
}

static void survives_failing_memory(void **state)
{
	static const char spec[] = "combine:sparse:oid=a+sparse:oid=b";

	(void)state;
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_filter filter;
		char why[PH_FILTER_WHY_MAX];
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = ph_filter_parse(&filter, &memory.alloc, spec, strlen(spec), why);
		if (status == PH_OK) {
			status = ph_filter_sparse_load(&filter, 1, &memory.alloc, "a\nb\n", 4);
			assert_true((status == PH_OK) == (filter.parts[1].patterns != NULL));
		}
		assert_true(status == PH_OK || status == PH_ERR_NOMEM);
		ph_filter_release(&filter, &memory.alloc);
		assert_int_equal(memory.live, 0);
		if (memory.calls < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
	}
}

static void allows(void **state)
{
	static const struct {
		const char *spec, *why; /* "" when it is allowed */
		bool allow;
		uint32_t allowed, denied;
		uint64_t depth;
	} rows[] = {
	        {"tree:3", "", true, 0, 0, UINT64_MAX},
	        {"tree:3", "", true, 0, 0, 3},
	        {"tree:4", "tree filter allows max depth 3, but got 4", true, 0, 0, 3},
	        {"combine:blob:none+tree:4", "tree filter allows max depth 3, but got 4", true, 0,
	         0, 3},
	        {"tree:3", "filter 'tree' not supported", false, 0, 0, UINT64_MAX},
	        {"tree:3", "", false, 1u << PH_FILTER_TREE, 0, UINT64_MAX},
	        {"tree:3", "filter 'tree' not supported", true, 0, 1u << PH_FILTER_TREE, 9},
	        {"combine:blob:none+tree:3", "filter 'combine' not supported", false,
	         1u << PH_FILTER_TREE | 1u << PH_FILTER_BLOB_NONE, 0, 9},
	        {"combine:blob:none+sparse:oid=x", "filter 'sparse:oid' not supported", true, 0,
	         1u << PH_FILTER_SPARSE_OID, 9},
	        {"blob:limit=1", "filter 'blob:limit' not supported", false,
	         1u << PH_FILTER_BLOB_NONE, 0, 9},
	        {"object:type=tag", "filter 'object:type' not supported", true, 0,
	         1u << PH_FILTER_OBJECT_TYPE, 9},
	        {"blob:none", "filter 'blob:none' not supported", false, 0, 0, 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ph_filter_policy policy = {.allow = rows[i].allow,
		                                  .allowed = rows[i].allowed,
		                                  .denied = rows[i].denied,
		                                  .tree_depth_max = rows[i].depth};
		struct ph_filter filter;
		char why[PH_FILTER_WHY_MAX] = "";

		assert_int_equal(parse(&filter, rows[i].spec, why), PH_OK);
		assert_int_equal(ph_filter_allowed(&filter, &policy, why),
		                 rows[i].why[0] != '\0' ? PH_ERR_UNSUPPORTED : PH_OK);
		assert_string_equal(why, rows[i].why);
		ph_filter_release(&filter, ph_alloc_libc());
	}
}

static void decides_by_the_object(void **state)
{
	struct ph_filter filter = {.kind = PH_FILTER_NONE};
	char why[PH_FILTER_WHY_MAX];

	(void)state;
	assert_true(ph_filter_by_object(&filter));
	assert_false(ph_filter_omits(&filter, PH_OBJ_BLOB, 1));
	assert_int_equal(parse(&filter, "combine:blob:limit=10+blob:limit=5", why), PH_OK);
	assert_true(ph_filter_by_object(&filter));
	assert_false(ph_filter_omits(&filter, PH_OBJ_BLOB, 4));
	assert_true(ph_filter_omits(&filter, PH_OBJ_BLOB, 5));
	assert_false(ph_filter_omits(&filter, PH_OBJ_TREE, 5));
	ph_filter_release(&filter, ph_alloc_libc());
	assert_int_equal(parse(&filter, "object:type=tree", why), PH_OK);
	assert_true(ph_filter_omits(&filter, PH_OBJ_COMMIT, 0));
	assert_true(ph_filter_omits(&filter, PH_OBJ_BLOB, 0));
	assert_false(ph_filter_omits(&filter, PH_OBJ_TREE, 0));
	ph_filter_release(&filter, ph_alloc_libc());
	assert_int_equal(parse(&filter, "combine:blob:none+tree:9", why), PH_OK);
	assert_false(ph_filter_by_object(&filter));
	ph_filter_release(&filter, ph_alloc_libc());
	assert_int_equal(parse(&filter, "sparse:oid=x", why), PH_OK);
	assert_false(ph_filter_by_object(&filter));
	ph_filter_release(&filter, ph_alloc_libc());
}

/* --- Patterns --- */

static void matches_shell_patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool path, fits;
	} rows[] = {
	        {"", "", true, true},
	        {"", "a", true, false},
	        {"a", "a", true, true},
	        {"a", "ab", true, false},
	        {"?", "a", true, true},
	        {"?", "/", true, false},
	        {"?", "/", false, true},
	        {"*", "", true, true},
	        {"*", "abc", true, true},
	        {"*", "a/b", true, false},
	        {"*", "a/b", false, true},
	        {"*.c", "a.c.c", true, true},
	        {"a*b*c", "axbxbxc", true, true},
	        {"a*b*c", "axbxbx", true, false},
	        {"a/*/c", "a/b/c", true, true},
	        {"a/*/c", "a/b/b/c", true, false},
	        {"a/*/c", "a//c", true, true},
	        {"**/c", "c", true, true},
	        {"**/c", "a/b/c", true, true},
	        {"**/c", "a/bc", true, false},
	        {"a/**", "a", true, false},
	        {"a/**", "a/b/c", true, true},
	        {"a/**/c", "a/c", true, true},
	        {"a/**/c", "a/x/y/c", true, true},
	        {"a/**/b/**/c", "a/x/b/y/b/c", true, true},
	        {"a/**/b*/c", "a/b/x/b1/c", true, true},
	        {"**/*a/*b", "xa/xa/xb", true, true},
	        {"a**b", "axxb", true, true},
	        {"a**b", "ax/xb", true, false},
	        {"a**/b", "ax/b", true, true},
	        {"a**/b", "ax/x/b", true, false},
	        {"***/b", "x/y/b", true, true},
	        {"**\\/b", "b", true, false},
	        {"**\\/b", "x/y/b", true, true},
	        {"\\*", "*", true, true},
	        {"\\*", "a", true, false},
	        {"a\\", "a\\", true, false},
	        {"[ab]", "b", true, true},
	        {"[ab]", "c", true, false},
	        {"[!ab]", "c", true, true},
	        {"[^ab]", "a", true, false},
	        {"[!a]", "/", true, false},
	        {"[a-c]", "b", true, true},
	        {"[a-c]", "-", true, false},
	        {"[a-]", "-", true, true},
	        {"[]a]", "]", true, true},
	        {"[!]a]", "]", true, false},
	        {"[a\\]]", "]", true, true},
	        {"[\\a-\\c]", "b", true, true},
	        {"[a-c-e]", "d", true, false},
	        {"[a-c-e]", "-", true, true},
	        {"[a", "a", true, false},
	        {"[a\\", "a", true, false},
	        {"*[a", "xa", true, false},
	        {"[[:digit:]x]", "7", true, true},
	        {"[[:digit:]x]", "x", true, true},
	        {"[![:digit:]]", "7", true, false},
	        {"[[:upper:]]", "a", true, false},
	        {"[[:xdigit:]]", "F", true, true},
	        {"[[:punct:]]", "!", true, true},
	        {"[[:space:]]", "\t", true, true},
	        {"[[:foo:]]", "f", true, false},
	        {"[[:x]", ":", true, true},
	        {"[[:]", "[", true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t cost = 0;
		bool fits = ph_glob_match(rows[i].pattern, strlen(rows[i].pattern), rows[i].text,
		                          strlen(rows[i].text), rows[i].path, &cost);

		if (fits != rows[i].fits) {
			fail_msg("%s against %s", rows[i].pattern, rows[i].text);
		}
	}
}

/* No pattern takes longer than the product of the lengths, about. */
static void is_never_slow(void **state)
{
	static char pattern[1001], text[1001];
	static const char *const units[] = {"*a", "**/a/", "a*/", "**/*a*/", "?*"};

	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		for (size_t slash = 0; slash <= 40; slash += 20) {
			size_t len = strlen(units[i]);
			uint64_t cost = 0;

			for (size_t at = 0; at < 1000; at++) {
				pattern[at] = units[i][at % len];
				text[at] = slash > 0 && at % slash == 1 ? '/' : 'a';
			}
			pattern[999] = 'b';
			(void)ph_glob_match(pattern, 1000, text, 1000, true, &cost);
			assert_true(cost <= 2 * 1000 * 1000);
		}
	}
}

static enum ph__sparse_says ask(const char *lines, const char *path, bool is_tree)
{
	const char *slash = strrchr(path, '/');
	size_t base = slash != NULL ? (size_t)(slash + 1 - path) : 0;
	enum ph__sparse_says says;
	struct ph__sparse *sparse;
	uint32_t at = 0;
	uint64_t cost = 0;

	assert_int_equal(ph__sparse_new(&sparse, ph_alloc_libc(), lines, strlen(lines)), PH_OK);
	while (ph__sparse_match(sparse, path, strlen(path), base, is_tree, &at, &cost, &says) ==
	       PH_AGAIN) {
	}
	ph__sparse_free(sparse, ph_alloc_libc());
	return says;
}

static void reads_pattern_files(void **state)
{
	static const struct {
		const char *lines, *path;
		bool is_tree;
		enum ph__sparse_says says;
	} rows[] = {
	        {"", "a", false, PH__SPARSE_NOTHING},
	        {"\n\n", "a", false, PH__SPARSE_NOTHING},
	        {"a", "a", false, PH__SPARSE_IN},
	        {"a", "x/a", false, PH__SPARSE_IN},
	        {"/a", "x/a", false, PH__SPARSE_NOTHING},
	        {"x/a", "x/a", false, PH__SPARSE_IN},
	        {"x/a", "y/x/a", false, PH__SPARSE_NOTHING},
	        {"a/", "a", false, PH__SPARSE_NOTHING},
	        {"a/", "x/a", true, PH__SPARSE_IN},
	        {"/x/a/", "x/a", true, PH__SPARSE_IN},
	        {"*\n!*.c\n", "a.c", false, PH__SPARSE_OUT},
	        {"!*.c\n*\n", "a.c", false, PH__SPARSE_IN},
	        {"#a\n", "#a", false, PH__SPARSE_NOTHING},
	        {"\\#a\n", "#a", false, PH__SPARSE_IN},
	        {"\\!a\n", "!a", false, PH__SPARSE_IN},
	        {"a  \n", "a", false, PH__SPARSE_IN},
	        {"a\\ \n", "a ", false, PH__SPARSE_IN},
	        {"a\\  \n", "a ", false, PH__SPARSE_IN},
	        {"a\r\n", "a", false, PH__SPARSE_IN},
	        {"\xef\xbb\xbf/a\n", "a", false, PH__SPARSE_IN},
	        {"/*\n", "", true, PH__SPARSE_NOTHING},
	        {"*\n", "", true, PH__SPARSE_IN},
	        {"/\n", "", true, PH__SPARSE_IN},
	};
	struct ph__sparse *sparse;
	char *big = malloc(PH__SPARSE_PATTERN_MAX + 2);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (ask(rows[i].lines, rows[i].path, rows[i].is_tree) != rows[i].says) {
			fail_msg("%s of %s", rows[i].path, rows[i].lines);
		}
	}
	assert_non_null(big);
	memset(big, 'a', PH__SPARSE_PATTERN_MAX + 1);
	assert_int_equal(ph__sparse_new(&sparse, ph_alloc_libc(), big, PH__SPARSE_PATTERN_MAX),
	                 PH_OK);
	ph__sparse_free(sparse, ph_alloc_libc());
	assert_int_equal(ph__sparse_new(&sparse, ph_alloc_libc(), big, PH__SPARSE_PATTERN_MAX + 1),
	                 PH_ERR_LIMIT);
	free(big);
}

static void bounds_pattern_files(void **state)
{
	struct ph_filter filter;
	char why[PH_FILTER_WHY_MAX];
	size_t half = PH_FILTER_SPARSE_BYTES_MAX / 2;
	char *text = malloc(2 * half + 1);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i <= 2 * half; i++) {
		text[i] = i % 2 == 0 ? 'a' : '\n';
	}
	assert_int_equal(parse(&filter, "combine:sparse:oid=a+sparse:oid=b", why), PH_OK);
	assert_int_equal(ph_filter_sparse_load(&filter, 1, ph_alloc_libc(), text, 2 * half + 1),
	                 PH_ERR_LIMIT);
	assert_int_equal(ph_filter_sparse_load(&filter, 1, ph_alloc_libc(), text, half), PH_OK);
	assert_int_equal(ph_filter_sparse_load(&filter, 2, ph_alloc_libc(), text, half + 1),
	                 PH_ERR_LIMIT);
	assert_int_equal(ph_filter_sparse_load(&filter, 2, ph_alloc_libc(), text, half), PH_OK);
	/* Again: in place of what there was. */
	assert_int_equal(ph_filter_sparse_load(&filter, 2, ph_alloc_libc(), text, half), PH_OK);
	ph_filter_release(&filter, ph_alloc_libc());
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads),
	        cmocka_unit_test(refuses),
	        cmocka_unit_test(keeps_its_limits),
	        cmocka_unit_test(survives_failing_memory),
	        cmocka_unit_test(allows),
	        cmocka_unit_test(decides_by_the_object),
	        cmocka_unit_test(matches_shell_patterns),
	        cmocka_unit_test(is_never_slow),
	        cmocka_unit_test(reads_pattern_files),
	        cmocka_unit_test(bounds_pattern_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
