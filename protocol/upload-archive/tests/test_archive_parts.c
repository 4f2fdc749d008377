/* SPDX-License-Identifier: MIT */
/* The parts of an archive one by one: globs, pathspecs, options, attributes, dates, formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "attributes_int.h"
#include "date_int.h"
#include "options_int.h"
#include "pathspec_int.h"
#include "subst_int.h"
#include "support.h"
#include "utf8_int.h"
#include "wild_int.h"

#include <stdio.h>
#include <string.h>

/* ---- globs ---- */

static void test_wild(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool path, plain; /* whether it matches as a path, and otherwise */
	} rows[] = {
	        {"foo", "foo", true, true},
	        {"bar", "foo", false, false},
	        {"???", "foo", true, true},
	        {"??", "foo", false, false},
	        {"*", "foo", true, true},
	        {"f*", "foo", true, true},
	        {"*f", "foo", false, false},
	        {"*ob*a*r*", "foobar", true, true},
	        {"*ab", "aaaaaaabababab", true, true},
	        {"foo\\*", "foo*", true, true},
	        {"foo\\*bar", "foobar", false, false},
	        {"f\\\\oo", "f\\oo", true, true},
	        {"*[al]?", "ball", true, true},
	        {"[ten]", "ten", false, false},
	        {"t[a-g]n", "ten", true, true},
	        {"t[!a-g]n", "ton", true, true},
	        {"t[^a-g]n", "ten", false, false},
	        {"a[]]b", "a]b", true, true},
	        {"a[]-]b", "a-b", true, true},
	        {"a[]a-]b", "aab", true, true},
	        {"]", "]", true, true},
	        {"foo*bar", "foo/baz/bar", false, true},
	        {"foo**bar", "foo/baz/bar", false, true},
	        {"foo/**/bar", "foo/baz/bar", true, true},
	        {"foo/**/**/bar", "foo/b/a/z/bar", true, true},
	        {"foo/**/bar", "foo/bar", true, false},
	        {"foo?bar", "foo/bar", false, true},
	        {"foo[/]bar", "foo/bar", false, true},
	        {"f[^eiu][^eiu]r", "f-or", true, true},
	        {"**/foo", "foo", true, false},
	        {"**/foo", "XXX/foo", true, true},
	        {"*/foo", "bar/baz/foo", false, true},
	        {"**/bar/*", "deep/foo/bar/baz", true, true},
	        {"**/bar/*", "deep/foo/bar", false, false},
	        {"**/bar/**", "deep/foo/bar/", true, true},
	        {"**/bar*", "foo/bar/baz", false, true},
	        {"*/bar/**", "deep/foo/bar/baz/x", false, true},
	        {"[[:alpha:]]", "a", true, true},
	        {"[[:digit:][:upper:][:space:]]", "1", true, true},
	        {"[[:digit:][:upper:]]", "a", false, false},
	        {"[[:nonsense:]]", "a", false, false},
	        {"[a-c]b*", "cb/x", false, true},
	        {"[", "[", false, false},
	        {"[!", "x", false, false},
	        {"[a-", "a", false, false},
	        {"\\", "\\", false, false},
	        {"[\\]]", "]", true, true},
	        {"[\\\\-^]", "]", true, true},
	        {"[--/]", "-", true, true},
	        {"a/**", "a/b/c", true, true},
	        {"a/**", "a", false, false},
	        {"**", "a/b", true, true},
	        {"a*b*c/d*e", "aXbYc/dZe", true, true},
	        {"a*b/c", "aXb/b/c", false, true},
	        {"**/a*b/**/c*d", "x/ab/y/z/cXd", true, true},
	        {"a/**\\/b", "a/x/b", true, true},
	        {"a/**\\/b", "a/b", false, false},
	        {"", "", true, true},
	        {"", "a", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *p = rows[i].pattern, *t = rows[i].text;

		if (ph__wild_match(p, strlen(p), t, strlen(t), true) != rows[i].path)
			fail_msg("'%s' and '%s' as a path", p, t);
		if (ph__wild_match(p, strlen(p), t, strlen(t), false) != rows[i].plain)
			fail_msg("'%s' and '%s'", p, t);
	}
}

/* What takes ages with naive backtracking. */
static void test_wild_worst(void **state)
{
	char pattern[1024], text[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 ? 'a' : '*';
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	assert_false(ph__wild_match(pattern, sizeof(pattern), text, sizeof(text), false));
	assert_false(ph__wild_match(pattern, sizeof(pattern), text, sizeof(text), true));
}

/* ---- pathspecs ---- */

static void expect_path(const char *spec_text, const char *path, bool directory,
                        enum ph__pathspec_match match)
{
	struct ph_test_alloc memory;
	struct ph__pathspec spec;
	const char *why;

	ph_test_alloc_init(&memory);
	assert_int_equal(ph__pathspec_parse(&spec, spec_text, &memory.alloc, &why), PH_OK);
	if (ph__pathspec_match(&spec, path, strlen(path), directory, false) != match)
		fail_msg("'%s' and '%s'", spec_text, path);
	ph__pathspec_release(&spec, &memory.alloc);
	assert_int_equal(memory.live, 0);
}

static void test_pathspec(void **state)
{
	static const char *const bad[] = {
	        "",          "/a",    "..",  "a/../..",          ":!a",
	        ":(icase)a", ":(top", ":^a", ":(literal,glob)a", ":(attr:x)a"};
	struct ph_test_alloc memory;
	struct ph__pathspec spec;
	const char *why;

	(void)state;
	expect_path("a", "a", false, PH__PATH_ALL);
	expect_path("a", "ab", false, PH__PATH_NO);
	expect_path("a/b", "a", true, PH__PATH_DEEPER);
	expect_path("a/b", "a", false, PH__PATH_NO);
	expect_path("a/", "a", true, PH__PATH_ALL);
	expect_path("a/", "a", false, PH__PATH_NO);
	expect_path("a/", "a/x/y", false, PH__PATH_ALL);
	expect_path(".", "anything", false, PH__PATH_ALL);
	expect_path("./a//b/../c", "a/c", false, PH__PATH_ALL);
	expect_path("*.c", "a/b.c", false, PH__PATH_YES);
	expect_path("*.c", "a", true, PH__PATH_DEEPER);
	expect_path(":(glob)*.c", "a/b.c", false, PH__PATH_NO);
	expect_path(":(glob,top)**/*.c", "a/b.c", false, PH__PATH_YES);
	expect_path(":(literal)*.c", "a.c", false, PH__PATH_NO);
	expect_path(":/a", "a/b", false, PH__PATH_ALL);
	expect_path("a*/b", "b", true, PH__PATH_NO);
	ph_test_alloc_init(&memory);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(ph__pathspec_parse(&spec, bad[i], &memory.alloc, &why),
		                 PH_ERR_INVALID);
	assert_int_equal(memory.live, 0);
}

/* ---- options ---- */

static enum ph__options_result parse(struct ph__archive_options *out, const char *words, char *why)
{
	static char copy[256];
	const char *argv[16];
	unsigned argc = 0;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *at = copy; *at && argc < 16;) {
		size_t len = strcspn(at, " ");

		argv[argc++] = at;
		at += len;
		if (*at)
			*at++ = 0;
	}
	return ph__archive_options_parse(out, argv, argc, why);
}

static void test_options(void **state)
{
	static const struct {
		const char *words, *why;
		enum ph__options_result result;
	} bad[] = {
	        {"", "", PH__OPTIONS_USAGE},
	        {"-h main", "", PH__OPTIONS_USAGE},
	        {"-x main", "unknown switch `x'", PH__OPTIONS_USAGE},
	        {"--what main", "unknown option `what'", PH__OPTIONS_USAGE},
	        {"--no-mtime main", "unknown option `no-mtime'", PH__OPTIONS_USAGE},
	        {"--verbose=1 main", "option `verbose' takes no value", PH__OPTIONS_USAGE},
	        {"main --prefix", "option `prefix' requires a value", PH__OPTIONS_USAGE},
	        {"main -o", "switch `o' requires a value", PH__OPTIONS_USAGE},
	        {"--format=x main", "Unknown archive format 'x'", PH__OPTIONS_FATAL},
	        {"-1 main", "Argument not supported for format 'tar': -1", PH__OPTIONS_FATAL},
	        {"-10 --format=tgz main", "Argument not supported for format 'tgz': -10",
	         PH__OPTIONS_FATAL},
	        {"--list main", "extra command line parameter 'main'", PH__OPTIONS_FATAL},
	        {"-ofile main", "Unexpected option --output", PH__OPTIONS_FATAL},
	        {"--mtime=someday main", "--mtime: 'someday' is not a time that is understood here",
	         PH__OPTIONS_FATAL},
	};
	struct ph__archive_options options;
	char why[PH__ARCHIVE_WHY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(parse(&options, bad[i].words, why), bad[i].result);
		assert_string_equal(why, bad[i].why);
	}
	assert_int_equal(parse(&options, "-v9 --fo zip --pre=p/ main a -- -b", why),
	                 PH__OPTIONS_OK);
	assert_int_equal(options.format, PH__FORMAT_ZIP);
	assert_int_equal(options.level, 9);
	assert_true(options.verbose);
	assert_string_equal(options.prefix, "p/");
	assert_string_equal(options.treeish, "main");
	assert_int_equal(options.path_count, 2);
	assert_string_equal(options.paths[1], "-b");
	assert_int_equal(parse(&options,
	                       "--verbose --no-verb --no-prefix --add-file=x --no-add-file x", why),
	                 PH__OPTIONS_OK);
	assert_false(options.verbose);
}

/* ---- attributes ---- */

static const char *value_of(const char *text, const char *path, enum ph__attribute which)
{
	static const char *const names[] = {"?",     "unset", "true", "false", "auto",
	                                    "input", "lf",    "crlf", "other"};
	struct ph__attributes attributes;
	struct ph__attr_check check;
	struct ph__attr_file file;
	struct ph_test_alloc memory;
	struct ph__text notes;
	uint32_t line, budget = 1000;

	ph_test_alloc_init(&memory);
	ph__text_init(&notes, &memory.alloc, 4096);
	assert_int_equal(ph__attributes_init(&attributes, &memory.alloc, &notes), PH_OK);
	assert_int_equal(ph__attr_file_parse(&attributes, &file, "f", true, text, strlen(text)),
	                 PH_OK);
	ph__attr_check_begin(&attributes, &check);
	line = file.line_count;
	assert_int_equal(
	        ph__attr_check_file(&attributes, &check, &file, path, strlen(path), &line, &budget),
	        PH_OK);
	ph__attr_file_release(&attributes, &file);
	ph__attributes_release(&attributes);
	ph__text_release(&notes);
	assert_int_equal(memory.live, 0);
	return names[check.values[which]];
}

static void test_attributes(void **state)
{
	(void)state;
	assert_string_equal(value_of("* text\n*.c -text\n", "a.c", PH__ATTR_TEXT), "false");
	assert_string_equal(value_of("*.c -text\n* text\n", "a.c", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("*.c !text", "a.c", PH__ATTR_TEXT), "unset");
	assert_string_equal(value_of("*.c text=auto eol=lf", "x/a.c", PH__ATTR_EOL), "lf");
	assert_string_equal(value_of("*.c text=what", "x/a.c", PH__ATTR_TEXT), "other");
	assert_string_equal(value_of("/a text", "x/a", PH__ATTR_TEXT), "?");
	assert_string_equal(value_of("x/a text", "x/a", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("x/ text", "x", PH__ATTR_TEXT), "?");
	assert_string_equal(value_of("x/ text", "x/", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("\"a b\\164\" text", "a bt", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("\"a b text", "\"a", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("*.x binary\n", "a.x", PH__ATTR_TEXT), "false");
	assert_string_equal(value_of("*.x binary\n", "a.x", PH__ATTR_DIFF), "false");
	assert_string_equal(value_of("*.x binary -diff text\n", "a.x", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("*.x -binary\n", "a.x", PH__ATTR_TEXT), "?");
	assert_string_equal(value_of("a m\n[attr]m n\n[attr]n text\n", "a", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("a m\n[attr]m m text\n", "a", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("[attr]binary text\na binary\n", "a", PH__ATTR_TEXT), "true");
	assert_string_equal(value_of("!a text\n", "a", PH__ATTR_TEXT), "?");
	assert_string_equal(value_of("a text -bad,name\n", "a", PH__ATTR_TEXT), "?");
	assert_string_equal(value_of("a text builtin_x\n", "a", PH__ATTR_TEXT), "?");
	assert_string_equal(value_of("a\ttext\r\n#a -text\n", "a", PH__ATTR_TEXT), "true");
}

/* ---- dates ---- */

static void expect_date(enum ph__date_style style, uint64_t seconds, int64_t zone,
                        const char *shown)
{
	struct ph__text text;
	struct ph_test_alloc memory;

	ph_test_alloc_init(&memory);
	ph__text_init(&text, &memory.alloc, 100);
	assert_int_equal(ph__date_show(&text, style, seconds, zone, 1700000000), PH_OK);
	assert_string_equal(ph__text_bytes(&text), shown);
	ph__text_release(&text);
}

static void test_dates(void **state)
{
	struct ph__date date;
	uint64_t time;

	(void)state;
	for (int64_t seconds = -3000000000; seconds < 300000000000; seconds += 77777777) {
		ph__date_from_seconds(&date, seconds);
		assert_int_equal(ph__date_to_seconds(&date), seconds);
		assert_true(date.month >= 1 && date.month <= 12 && date.day >= 1 && date.day <= 31);
	}
	expect_date(PH__DATE_NORMAL, 0, 0, "Thu Jan 1 00:00:00 1970 +0000");
	expect_date(PH__DATE_NORMAL, 951782400, -330, "Mon Feb 28 20:30:00 2000 -0330");
	expect_date(PH__DATE_RFC2822, 951782400, 0, "Tue, 29 Feb 2000 00:00:00 +0000");
	expect_date(PH__DATE_ISO, 1600000000, 200, "2020-09-13 14:26:40 +0200");
	expect_date(PH__DATE_ISO_STRICT, 1600000000, 200, "2020-09-13T14:26:40+02:00");
	expect_date(PH__DATE_ISO_STRICT, 1600000000, 0, "2020-09-13T12:26:40Z");
	expect_date(PH__DATE_SHORT, 1600000000, 0, "2020-09-13");
	expect_date(PH__DATE_SHORT, UINT64_MAX, 0, "1970-01-01");
	expect_date(PH__DATE_SHORT, 100, -1400, "1970-01-01");
	expect_date(PH__DATE_RELATIVE, 1700000000 - 60, 0, "60 seconds ago");
	expect_date(PH__DATE_RELATIVE, 1700000000 - 86400 * 400, 0, "1 year, 1 month ago");
	expect_date(PH__DATE_RELATIVE, 1800000000, 0, "in the future");
	assert_true(ph__archive_mtime_parse(&time, "2001-02-03T04:05:06+01:00"));
	assert_int_equal(time, 981169506);
	assert_true(ph__archive_mtime_parse(&time, "@12"));
	assert_int_equal(time, 12);
	assert_true(ph__archive_mtime_parse(&time, "1600000000"));
	assert_true(ph__archive_mtime_parse(&time, "2001-02-03"));
	assert_false(ph__archive_mtime_parse(&time, "12"));
	assert_false(ph__archive_mtime_parse(&time, "2001-13-03"));
	assert_false(ph__archive_mtime_parse(&time, "2001-02-03 25:00"));
	assert_false(ph__archive_mtime_parse(&time, "@99999999999999999999"));
	assert_false(ph__archive_mtime_parse(&time, "1960-01-01"));
}

/* ---- formats ---- */

static enum ph_status format(struct ph__text *out, const char *commit, const char *text)
{
	struct ph__subst subst;
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 0xab);
	uint32_t budget = 1000;
	enum ph_status status;

	ph__subst_init(&subst, out->alloc, PH_HASH_SHA1);
	assert_int_equal(ph__subst_commit(&subst, &oid, commit, strlen(commit)), PH_OK);
	subst.short_commit = 7;
	status = ph__subst_format(&subst, out, text, strlen(text), &budget);
	ph__subst_release(&subst);
	return status;
}

static void test_formats(void **state)
{
	static const char commit[] = "tree 1212121212121212121212121212121212121212\n"
	                             "author A U Thor <a@b> 1600000000 +0200\ncommitter broken\n\n"
	                             "Two\nlines\n\nbody\n";
	static const struct {
		const char *format, *result;
	} rows[] = {
	        {"%h", "abababa"},
	        {"%an|%ae|%at", "A U Thor|a@b|1600000000"},
	        {"%cn|%ce|%cZ", "||%cZ"},
	        {"%s|%f", "Two lines|Two"},
	        {"%b", "body\n"},
	        {"%B", "Two\nlines\n\nbody\n"},
	        {"%P|%p|%e|%d|%D", "||||"},
	        {"%%|%", "%|%"},
	        {"%<(6)%h|", "abababa|"},
	        {"%<(9)%h|%>(9)%h|%><(9)%h|", "abababa  |  abababa| abababa |"},
	        {"%<(6,trunc)%h", "abab.."},
	        {"%<(6,ltrunc)%h", "..baba"},
	        {"%<(6,mtrunc)%h", "ab..ba"},
	        {"%<(0)%h", "%<(0)abababa"},
	        {"%<(16385)%h", "%<(16385)abababa"},
	        {"%w(16385)%h", "%w(16385)abababa"},
	        {"%<(9999999999999999999999)%h", "%<(9999999999999999999999)abababa"},
	        {"%<(", "%<("},
	        {"%w(1", "%w(1"},
	        {"%<|(", "%<|("},
	        {"%x", "%x"},
	        {"%x4", "%x4"},
	        {"%C(", "%C("},
	        {"%w(4)a b c", "a b\nc"},
	        {"%w(0,2)x%n%ny", "  x\n\ny"},
	        {"      %>>|(2)%+h|", " ababa\nba|"},
	        {"                    %>>|(2)%+h|", " abababa\n|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ph_test_alloc memory;
		struct ph__text out;

		ph_test_alloc_init(&memory);
		ph__text_init(&out, &memory.alloc, 1 << 20);
		assert_int_equal(format(&out, commit, rows[i].format), PH_OK);
		assert_string_equal(ph__text_bytes(&out), rows[i].result);
		ph__text_release(&out);
		assert_int_equal(memory.live, 0);
	}
}

/* No format, however short, gives more than its limit. */
static void test_format_limit(void **state)
{
	static const char commit[] = "tree 1212121212121212121212121212121212121212\n\nx\n";
	char text[3000];
	struct ph_test_alloc memory;
	struct ph__text out;

	(void)state;
	for (size_t i = 0; i < 3000; i += 12)
		memcpy(text + i, "%<(16384)%%n", 12);
	text[2988] = 0;
	for (size_t i = 0; i + 12 <= 2988; i += 12)
		memcpy(text + i, "%<(16384)%H ", 12);
	ph_test_alloc_init(&memory);
	ph__text_init(&out, &memory.alloc, 1 << 24);
	assert_int_equal(format(&out, commit, text), PH_ERR_LIMIT);
	assert_true(out.len < PH__SUBST_BYTES_MAX + 65536);
	ph__text_release(&out);
	assert_int_equal(memory.live, 0);
}

static void test_utf8(void **state)
{
	(void)state;
	assert_int_equal(ph__utf8_width("abc", 3), 3);
	assert_int_equal(ph__utf8_width("\u65e5\u672c", 6), 4);
	assert_int_equal(ph__utf8_width("e\u0301", 3), 1);
	assert_int_equal(ph__utf8_width("\033[31mx\033[m", 9), 1);
	assert_int_equal(ph__utf8_width("\xff\xfe", 2), 2);
	assert_false(ph__utf8_valid("\xc0\x80", 2));
	assert_false(ph__utf8_valid("\xed\xa0\x80", 3));
	assert_false(ph__utf8_valid("\xf4\x90\x80\x80", 4));
	assert_false(ph__utf8_valid("\xe6\x97", 2));
	assert_true(ph__utf8_valid("\xf0\x9f\x98\x80", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_wild),       cmocka_unit_test(test_wild_worst),
	        cmocka_unit_test(test_pathspec),   cmocka_unit_test(test_options),
	        cmocka_unit_test(test_attributes), cmocka_unit_test(test_dates),
	        cmocka_unit_test(test_formats),    cmocka_unit_test(test_format_limit),
	        cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
