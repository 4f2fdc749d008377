/* SPDX-License-Identifier: MIT */
/* upload-pack over protocol 2: every answer at several paces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#define FETCH "command=fetch|agent=git/test|object-format=sha1|0001|ofs-delta|no-progress|"
#define LS "command=ls-refs|agent=git/test|object-format=sha1|0001|"

static void test_advertisement(void **state)
{
	struct fix *fix = *state;
	const char *advert = "version 2\n"
	                     "agent=packhorse/test\n"
	                     "ls-refs=unborn\n"
	                     "fetch=shallow wait-for-done filter\n"
	                     "server-option\n"
	                     "object-format=sha1\n"
	                     "0000\n";

	/* The end of input, or an empty request, ends it well. */
	fix_expect_all(fix, 2, "", advert, "", 0);
	fix_expect_all(fix, 2, "0000", advert, "", 0);
}

static void test_ls_refs(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, LS "0000",
	           "$c5 HEAD\n$c5 refs/heads/main\n$s1 refs/heads/side\n$c1 refs/tags/light\n"
	           "$v1 refs/tags/v1\n$vv refs/tags/vv\n0000\n",
	           "", 0);
	/* Without arguments there need not be a delimiter. */
	fix_expect(fix, 2, "command=ls-refs|0000",
	           "$c5 HEAD\n$c5 refs/heads/main\n$s1 refs/heads/side\n$c1 refs/tags/light\n"
	           "$v1 refs/tags/v1\n$vv refs/tags/vv\n0000\n",
	           "", 0);
	fix_set_symref(fix, "refs/heads/alias", "refs/tags/v1");
	fix_set_symref(fix, "refs/heads/broken", "refs/heads/none");
	fix_expect(fix, 2, LS "symrefs|peel|unborn|0000",
	           "$c5 HEAD symref-target:refs/heads/main\n"
	           "$v1 refs/heads/alias symref-target:refs/tags/v1 peeled:$c2\n"
	           "$c5 refs/heads/main\n$s1 refs/heads/side\n$c1 refs/tags/light\n"
	           "$v1 refs/tags/v1 peeled:$c2\n$vv refs/tags/vv peeled:$c2\n0000\n",
	           "", 0);
	fix_expect(fix, 2,
	           LS "ref-prefix refs/heads/m|0000"
	              "|" LS "ref-prefix HEAD|symrefs|0000",
	           "$c5 refs/heads/main\n0000\n$c5 HEAD symref-target:refs/heads/main\n0000\n", "",
	           0);
}

static void test_prefixes(void **state)
{
	struct fix *fix = *state;
	const char *heads_and_head = "$c5 HEAD\n$c5 refs/heads/main\n$s1 refs/heads/side\n0000\n";

	/* Overlapping ones, in any order, and ones that match nothing. */
	fix_expect(fix, 2,
	           LS "ref-prefix refs/heads/side|ref-prefix zzz|ref-prefix refs/heads/|"
	              "ref-prefix a|ref-prefix HEAD|ref-prefix refs/heads/m|ref-prefix refs/x|0000",
	           heads_and_head, "", 0);
	/* A prefix is one of the string, not of the path. */
	fix_expect(fix, 2, LS "ref-prefix refs/tags/v|0000",
	           "$v1 refs/tags/v1\n$vv refs/tags/vv\n0000\n", "", 0);
	fix_expect(fix, 2, LS "ref-prefix re|0000",
	           "$c5 refs/heads/main\n$s1 refs/heads/side\n$c1 refs/tags/light\n"
	           "$v1 refs/tags/v1\n$vv refs/tags/vv\n0000\n",
	           "", 0);
	fix_expect(fix, 2, LS "ref-prefix |ref-prefix refs/heads/|0000",
	           "$c5 HEAD\n$c5 refs/heads/main\n$s1 refs/heads/side\n$c1 refs/tags/light\n"
	           "$v1 refs/tags/v1\n$vv refs/tags/vv\n0000\n",
	           "", 0);
	fix_expect(fix, 2, LS "ref-prefix refs/none|0000", "0000\n", "", 0);
	/* Too many: as if there were none. */
	fix->limits.ref_prefixes_max = 2;
	fix_expect(fix, 2,
	           LS "ref-prefix refs/heads/|ref-prefix HEAD|ref-prefix refs/heads/side|0000",
	           "$c5 HEAD\n$c5 refs/heads/main\n$s1 refs/heads/side\n$c1 refs/tags/light\n"
	           "$v1 refs/tags/v1\n$vv refs/tags/vv\n0000\n",
	           "", 0);
	fix_expect(fix, 2, LS "ref-prefix refs/heads/|ref-prefix HEAD|0000", heads_and_head, "", 0);
}

static void test_unborn(void **state)
{
	struct fix *fix = *state;

	fix_add_empty(fix, "empty");
	fix->repo = "empty";
	fix_expect(fix, 2, LS "symrefs|unborn|peel|ref-prefix HEAD|0000",
	           "unborn HEAD symref-target:refs/heads/main\n0000\n", "", 0);
	fix_expect(fix, 2,
	           LS "symrefs|0000|" LS "unborn|0000|" LS "symrefs|unborn|ref-prefix refs/|0000",
	           "0000\n0000\n0000\n", "", 0);
}

static void test_fetch(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "want $s1|want $s1|done|0000",
	           "packfile\npack: b1 bs c1 s1 t1 ts\n0000\n", "", 0);
	/* No haves: the pack comes without "done" too. Then another request. */
	fix_expect(fix, 2, FETCH "want $c1|0000|" LS "ref-prefix refs/tags/l|0000|0000",
	           "packfile\npack: b1 c1 t1\n0000\n$c1 refs/tags/light\n0000\n", "", 0);
	fix_expect(fix, 2, "command=fetch|0001|want $c1|0000",
	           "packfile\n2:Enumerating objects: 3, done.\n"
	           "2:Total 3 (delta 0), reused 3 (delta 0), pack-reused 0\n"
	           "pack: b1 c1 t1\n0000\n",
	           "", 0);
	/* Nothing wanted: nothing answered. */
	fix_expect(fix, 2, FETCH "done|0000|command=fetch|0000", "", "", 0);
	fix_expect(fix, 2, FETCH "have $c1|0000", "", "", 0);
}

static void test_acknowledgments(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "want $c5|have $x1|have $x2|0000", "acknowledgments\nNAK\n0000\n",
	           "", 0);
	/* Each round repeats everything, and nothing of the last round is kept. */
	fix_expect(fix, 2,
	           FETCH "want $c5|want $s1|have $c3|0000|" FETCH
	                 "want $c5|want $s1|have $x1|0000|" FETCH
	                 "want $c5|want $s1|have $c3|have $x1|have $c1|have $c3|0000",
	           "acknowledgments\nACK $c3\n0000\n"
	           "acknowledgments\nNAK\n0000\n"
	           "acknowledgments\nACK $c3\nACK $c1\nready\n0001\n"
	           "packfile\npack: b4 b5<b4 bs c4 c5 s1 t4 t5 ts\n0000\n",
	           "", 0);
	/* With "done" the section is left out. */
	fix_expect(fix, 2, FETCH "thin-pack|want $c5|have $x1|have $c4|done|0000",
	           "packfile\npack: b5<<b4 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c1|have $x1|done|0000", "packfile\npack: b1 c1 t1\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c1|have $c5|done|0000", "packfile\npack:\n0000\n", "", 0);
}

static void test_include_tag(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "include-tag|want $c2|have $c1|done|0000",
	           "packfile\npack: b2 c2 t2 v1 vv\n0000\n", "", 0);
}

static void test_filter(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "filter blob:none|want $s1|done|0000",
	           "packfile\npack: c1 s1 t1 ts\n0000\n", "", 0);
	/* A lazy fetch of what was left out. */
	fix_expect(fix, 2, FETCH "filter blob:none|want $b1|want $bs|done|0000",
	           "packfile\npack: b1 bs\n0000\n", "", 0);
	/* A client with a filter may lack the base of a thin delta. */
	fix_expect(fix, 2, FETCH "thin-pack|filter blob:none|want $c5|want $b5|have $c4|done|0000",
	           "packfile\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "filter blob:limit=1x|want $c1|done|0000",
	           "ERR invalid filter-spec 'blob:limit=1x'\n",
	           "fatal: invalid filter-spec 'blob:limit=1x'\n", 128);
	fix_expect(fix, 2, FETCH "filter blob:none|filter blob:none|want $c1|done|0000",
	           "ERR multiple filter-specs cannot be combined\n",
	           "fatal: multiple filter-specs cannot be combined\n", 128);
}

static void test_wants(void **state)
{
	struct fix *fix = *state;

	/* Reachable from a ref: commits, trees, blobs, peeled tags. */
	fix_expect(fix, 2, FETCH "want $c2|want $t1|want $b4|done|0000",
	           "packfile\npack: b1 b2<b1 b4 c1 c2 t1 t2\n0000\n", "", 0);
	/* What is stored but under no ref is nobody's to fetch. */
	fix_expect(fix, 2, FETCH "want $c5|want $bu|done|0000",
	           "ERR upload-pack: not our ref $bu\n", "fatal: upload-pack: not our ref $bu\n",
	           128);
	fix_expect(fix, 2, FETCH "want $u1|have $c5|0000", "ERR upload-pack: not our ref $u1\n",
	           "fatal: upload-pack: not our ref $u1\n", 128);
	fix_expect(fix, 2, FETCH "want $x1|0000", "ERR upload-pack: not our ref $x1\n",
	           "fatal: upload-pack: not our ref $x1\n", 128);
}

/* Returns how many letters it changed. */
static unsigned upper(struct ph_test_buf *input, const char *hex)
{
	unsigned changed = 0;

	for (size_t i = 0; i + 40 <= input->len; i++) {
		if (memcmp(input->data + i, hex, 40) != 0)
			continue;
		for (size_t n = i; n < i + 40; n++) {
			if (input->data[n] < 'a')
				continue;
			input->data[n] = (uint8_t)(input->data[n] - 32);
			changed++;
		}
	}
	return changed;
}

static void test_ids_in_either_case(void **state)
{
	static const struct fix_pace pace = {SIZE_MAX, SIZE_MAX, 4096, 0};
	struct fix *fix = *state;
	struct ph_test_buf input = {0}, text = {0};
	struct fix_run run;

	fix_say(fix, &input, FETCH "want $c1|0000");
	assert_true(upper(&input, fix_hex(fix, "c1")) > 0);
	fix_talk(fix, 2, &input, &pace, &run);
	fix_text(fix, &run, false, &text);
	ph_test_buf_append(&text, "", 1);
	assert_string_equal((const char *)text.data, "packfile\npack: b1 c1 t1\n0000\n");
	fix_run_release(&run);
	ph_test_buf_release(&input);
	ph_test_buf_release(&text);
}

static void force_push(struct fix *fix)
{
	fix_set_ref(fix, "refs/heads/main", "u1");
	fix_set_ref(fix, "refs/heads/side", "");
}

/* A force-push and a deletion between ls-refs and fetch break no clone. */
static void test_push_meanwhile(void **state)
{
	struct fix *fix = *state;
	struct ph_test_buf input = {0};

	fix_say(fix, &input, LS "ref-prefix refs/heads/|0000");
	fix->hook = force_push;
	fix->hook_at = input.len;
	fix_expect(fix, 2, LS "ref-prefix refs/heads/|0000|" FETCH "want $s1|have $c1|done|0000",
	           "$c5 refs/heads/main\n$s1 refs/heads/side\n0000\n"
	           "packfile\npack: bs s1 ts\n0000\n",
	           "", 0);
	fix_set_ref(fix, "refs/heads/main", "c5");
	fix_set_ref(fix, "refs/heads/side", "s1");
	/* Wants of both times in one request. */
	fix_expect(fix, 2,
	           LS "ref-prefix refs/heads/|0000|" FETCH
	              "want $s1|want $u1|want $b1|have $c1|done|0000",
	           "$c5 refs/heads/main\n$s1 refs/heads/side\n0000\n"
	           "packfile\npack: bs s1 ts u1\n0000\n",
	           "", 0);
	/* Without an ls-refs the repository counts as it is now, and as it was when the client
	 * came. */
	fix_set_ref(fix, "refs/heads/main", "c5");
	fix->hook_at = 0;
	fix_expect(fix, 2, FETCH "want $u1|have $c1|done|0000", "packfile\npack: u1\n0000\n", "",
	           0);
	ph_test_buf_release(&input);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *script, *err;
	} rows[] = {
	        {"command=fetch|foo=bar|0000", "fatal: unknown capability 'foo=bar'\n"},
	        {"foo|0000", "fatal: unknown capability 'foo'\n"},
	        {"command=fetch|ls-refs|0000", "fatal: unknown capability 'ls-refs'\n"},
	        {"command=fetch|session-id=x|0000", "fatal: unknown capability 'session-id=x'\n"},
	        {"agent=x|0000", "fatal: no command requested\n"},
	        {"0001", "fatal: no command requested\n"},
	        {"command=fetch|command=fetch|0000",
	         "fatal: command 'fetch' requested after already requesting command 'fetch'\n"},
	        {"command=foo|0000", "fatal: invalid command 'foo'\n"},
	        {"command=ls-refs=foo|0000", "fatal: invalid command 'ls-refs=foo'\n"},
	        {"command=|0000", "fatal: invalid command ''\n"},
	        {"command=object-info|0000", "fatal: invalid command 'object-info'\n"},
	        {"command=ls-refs|object-format=sha256|0000",
	         "fatal: mismatched object format: server sha1; client sha256\n"},
	        {"command=ls-refs|object-format=foo|0000", "fatal: unknown object format 'foo'\n"},
	        {"0002", "fatal: unexpected response end packet\n"},
	        {"ERR foo", "fatal: remote error: foo\n"},
	        {LS "foo|0000", "fatal: unexpected line: 'foo'\n"},
	        {LS "ref-prefix|0000", "fatal: unexpected line: 'ref-prefix'\n"},
	        {LS "0001", "fatal: expected flush after ls-refs arguments\n"},
	        {FETCH "foo|0000", "fatal: unexpected line: 'foo'\n"},
	        {FETCH "|0000", "fatal: unexpected line: ''\n"},
	        {FETCH "sideband-all|0000", "fatal: unexpected line: 'sideband-all'\n"},
	        {FETCH "want-ref refs/heads/main|0000",
	         "fatal: unexpected line: 'want-ref refs/heads/main'\n"},
	        {FETCH "done x|0000", "fatal: unexpected line: 'done x'\n"},
	        {FETCH "want $c1|0001", "fatal: expected flush after fetch arguments\n"},
	        {FETCH "want $c1|0002", "fatal: expected flush after fetch arguments\n"},
	        {FETCH "want xyz|0000",
	         "fatal: git upload-pack: protocol error, expected to get oid, not 'want xyz'\n"},
	        {FETCH "want $c1x|0000",
	         "fatal: git upload-pack: protocol error, expected to get oid, not 'want $c1x'\n"},
	        {FETCH "have $c1 |0000",
	         "fatal: git upload-pack: expected SHA1 object, got '$c1 '\n"},
	        {FETCH "shallow xyz|0000", "fatal: invalid shallow line: shallow xyz\n"},
	        {FETCH "deepen 0|0000", "fatal: Invalid deepen: deepen 0\n"},
	        {FETCH "deepen -1|0000", "fatal: Invalid deepen: deepen -1\n"},
	        {FETCH "deepen 99999999999|0000", "fatal: Invalid deepen: deepen 99999999999\n"},
	        {FETCH "want $c1", "fatal: the remote end hung up unexpectedly\n"},
	        {"command=fetch", "fatal: the remote end hung up unexpectedly\n"},
	};
	struct fix *fix = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		fix_expect(fix, 2, rows[i].script, "", rows[i].err, 128);
}

static void test_limits(void **state)
{
	static const struct {
		const char *script, *what;
	} rows[] = {
	        {FETCH "want $c5|want $s1|done|0000", "upload-pack: too many wants (wants_max 1)"},
	        {FETCH "want $c5|have $x1|have $x2|0000",
	         "upload-pack: too many haves (haves_max 1)"},
	        {FETCH "want $c5|shallow $c1|shallow $c2|0000",
	         "upload-pack: too many shallow lines (shallows_max 1)"},
	        {FETCH "want $c5|deepen-not side|deepen-not v1|0000",
	         "upload-pack: too many deepen-not lines (deepen_nots_max 1)"},
	};
	struct fix *fix = *state;

	fix->limits.wants_max = fix->limits.haves_max = fix->limits.shallows_max = 1;
	fix->limits.deepen_nots_max = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ph_test_buf answer = {0}, err = {0};

		ph_test_buf_print(&answer, "ERR %s\n", rows[i].what);
		ph_test_buf_append(&answer, "", 1);
		ph_test_buf_print(&err, "fatal: %s\n", rows[i].what);
		ph_test_buf_append(&err, "", 1);
		fix_expect(fix, 2, rows[i].script, (const char *)answer.data,
		           (const char *)err.data, 128);
		ph_test_buf_release(&answer);
		ph_test_buf_release(&err);
	}
}

static void test_sha256(void **state)
{
	struct fix fix;

	(void)state;
	fix_init(&fix, PH_HASH_SHA256);
	fix_expect(&fix, 2,
	           "command=fetch|object-format=sha256|0001|no-progress|ofs-delta|want $c5|"
	           "have $c4|0000",
	           "acknowledgments\nACK $c4\nready\n0001\npackfile\npack: b5 c5 t5\n0000\n", "",
	           0);
	/* Who says nothing means sha1. */
	fix_expect(&fix, 2, "command=fetch|0001|want $c5|0000", "",
	           "fatal: mismatched object format: server sha256; client sha1\n", 128);
	fix_release(&fix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_advertisement, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_ls_refs, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_prefixes, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_unborn, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_fetch, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_acknowledgments, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_include_tag, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_filter, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_wants, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_ids_in_either_case, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_push_meanwhile, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_bad_requests, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_limits, fix_setup, fix_teardown),
	        cmocka_unit_test(test_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
