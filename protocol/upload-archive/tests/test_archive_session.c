/* SPDX-License-Identifier: MIT */
/* Sessions of upload-archive: any pace, any failure, any limit; tests/interop compares with git. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "archive_fixture.h"

#include <stdio.h>

#include <string.h>

#define ATTRIBUTES "*.fmt export-subst\n*.fmt eol=crlf ident\n"
#define FORMAT "$Format:%H %s %an%n%b%d$\n$Id$\nend\n"

static void init(struct afix *fix, enum ph_hash_algo algo)
{
	afix_init(fix, algo, ATTRIBUTES, strlen(ATTRIBUTES), FORMAT, strlen(FORMAT));
}

static void talk(struct afix *fix, const char *arguments, const struct afix_pace *pace,
                 struct afix_run *run)
{
	struct ph_test_buf input = {0};

	afix_say(&input, arguments);
	afix_talk(fix, &input, pace, run);
	ph_test_buf_release(&input);
}

static bool has(const struct ph_test_buf *buf, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i + len <= buf->len; i++)
		if (memcmp(buf->data + i, text, len) == 0)
			return true;
	return false;
}

static void expect_same(struct afix *fix, const char *arguments)
{
	static const struct afix_pace paces[] = {{1, SIZE_MAX, 4096, 0},
	                                         {SIZE_MAX, 70000, 1, 0},
	                                         {7, 100000, 13, 0},
	                                         {50, 90000, 99, 5}};
	struct afix_run first, run;

	talk(fix, arguments, &afix_at_once, &first);
	assert_true(first.ack);
	for (size_t i = 0; i < sizeof(paces) / sizeof(*paces); i++) {
		talk(fix, arguments, &paces[i], &run);
		assert_int_equal(run.status, first.status);
		assert_int_equal(run.out.len, first.out.len);
		assert_memory_equal(run.out.data, first.out.data, first.out.len);
		afix_run_release(&run);
	}
	afix_run_release(&first);
}

static void test_any_pace(void **state)
{
	static const char *const requests[] = {"main",
	                                       "-v|--prefix=a/|main",
	                                       "--format=zip|v1",
	                                       "--format=tgz|-v|HEAD",
	                                       "--format=zip|-0|main:dir",
	                                       "--list",
	                                       "main|none",
	                                       "--format=tar.gz|-1|main|big",
	                                       "gone",
	                                       "-v|--format=zip|-9|main|dir|big",
	                                       "nothing"};

	(void)state;
	for (int algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		struct afix fix;

		init(&fix, (enum ph_hash_algo)algo);
		for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
			expect_same(&fix, requests[i]);
		afix_release(&fix);
	}
}

static void test_tar(void **state)
{
	char hex[PH_OID_HEX_MAX + 1], line[128];
	struct afix fix;
	struct afix_run run;

	(void)state;
	init(&fix, PH_HASH_SHA1);
	talk(&fix, "main", &afix_at_once, &run);
	assert_int_equal(run.status, 0);
	assert_true(run.flush);
	assert_int_equal(run.band[1].len % 10240, 0);
	assert_int_equal(run.band[2].len + run.band[3].len, 0);
	ph_oid_to_hex(hex, fix.algo, &fix.commit);
	snprintf(line, sizeof(line), "52 comment=%s\n", hex);
	assert_true(has(&run.band[1], line));
	assert_true(has(&run.band[1], "dir/b.yes"));
	assert_false(has(&run.band[1], "dir/a.no"));
	/* What is converted: the last newline too, but no ref that is hidden is named. */
	snprintf(line, sizeof(line), "%s A subject", hex);
	assert_true(has(&run.band[1], line));
	assert_true(has(&run.band[1], "\nA body.\n (HEAD -> main, tag: v1)\r\n$Id: "));
	assert_true(has(&run.band[1], " $\r\nend\r\n"));
	afix_run_release(&run);
	afix_release(&fix);
}

/* Text of band 2, status 128, and git's last words. */
static void expect_refused(struct afix *fix, const char *arguments, const char *words)
{
	struct afix_run run;

	talk(fix, arguments, &afix_at_once, &run);
	if (!has(&run.band[2], words))
		fail_msg("%s: '%.*s' does not say '%s'", arguments, (int)run.band[2].len,
		         (const char *)run.band[2].data, words);
	assert_int_equal(run.status, 128);
	assert_true(has(&run.band[3], "git upload-archive: archiver died with error"));
	assert_false(run.flush);
	afix_run_release(&run);
}

static void test_refused(void **state)
{
	char hex[PH_OID_HEX_MAX + 1], text[200];
	struct afix fix;
	struct afix_run run;

	(void)state;
	init(&fix, PH_HASH_SHA1);
	ph_oid_to_hex(hex, fix.algo, &fix.commit);
	expect_refused(&fix, hex, "fatal: no such ref: ");
	snprintf(text, sizeof(text), "%s:dir", hex);
	expect_refused(&fix, text, "fatal: no such ref: ");
	expect_refused(&fix, "main^", "fatal: no such ref: main^");
	expect_refused(&fix, "hidden", "fatal: no such ref: hidden");
	expect_refused(&fix, "refs/heads/hidden", "fatal: no such ref: refs/heads/hidden");
	expect_refused(&fix, "none", "fatal: no such ref: none");
	expect_refused(&fix, "main:mod", "fatal: not a tree object: 3333");
	expect_refused(&fix, "main:file.fmt/x", "fatal: not a valid object name: main:file.fmt/x");
	expect_refused(&fix, "gone", "fatal: cannot read '4444");
	expect_refused(&fix, "main|../x", "outside repository");
	expect_refused(&fix, "", "usage: git archive");
	expect_refused(&fix, "main|\033[2J", "'?[2J' did not match");
	fix.repo = "none";
	talk(&fix, "main", &afix_at_once, &run);
	assert_true(has(&run.out, "NACK repository 'none' not found\n"));
	assert_int_equal(run.status, 128);
	afix_run_release(&run);
	fix.repo = "r";
	fix.permission = PH_PERM_NONE;
	talk(&fix, "main", &afix_at_once, &run);
	assert_true(has(&run.out, "NACK repository 'r' not found\n"));
	afix_run_release(&run);
	afix_release(&fix);
}

/* With uploadarchive.allowUnreachable ids and steps from them are names as well. */
static void test_unreachable(void **state)
{
	static const char config[] = "uploadarchive.allowunreachable=true\n";
	char hex[PH_OID_HEX_MAX + 1], text[200];
	struct ph_snapshot *base;
	struct ph_txn *txn;
	struct afix fix;
	struct afix_run run;

	(void)state;
	init(&fix, PH_HASH_SHA1);
	assert_int_equal(ph_store_snapshot(fix.store, "r", &base), PH_OK);
	assert_int_equal(ph_store_begin(fix.store, base, &txn), PH_OK);
	assert_int_equal(ph_txn_set_setting(txn, "config", config, strlen(config)), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(base);
	snprintf(text, sizeof(text), "%s:dir", ph_oid_to_hex(hex, fix.algo, &fix.commit));
	talk(&fix, text, &afix_at_once, &run);
	assert_int_equal(run.status, 0);
	assert_true(has(&run.band[1], "b.yes"));
	afix_run_release(&run);
	talk(&fix, "main^0", &afix_at_once, &run);
	assert_int_equal(run.status, 0);
	afix_run_release(&run);
	expect_refused(&fix, "main^", "fatal: not a valid object name: main^");
	expect_refused(&fix, "main~99999", "fatal: not a valid object name: main~99999");
	expect_refused(&fix, "main^{tree}", "fatal: not a valid object name: main^{tree}");
	afix_release(&fix);
}

/* Input that ends early, or is nothing at all. */
static void test_cut_input(void **state)
{
	struct ph_test_buf input = {0}, part;
	struct afix fix;
	struct afix_run run;

	(void)state;
	init(&fix, PH_HASH_SHA1);
	afix_say(&input, "main");
	for (size_t len = 0; len < input.len; len++) {
		part = input;
		part.len = len;
		afix_talk(&fix, &part, &afix_at_once, &run);
		assert_true(has(&run.band[2], "fatal: the remote end hung up unexpectedly"));
		assert_int_equal(run.band[1].len, 0);
		afix_run_release(&run);
	}
	ph_test_buf_release(&input);
	afix_release(&fix);
}

/* A failed allocation is an error, not a leak and not a wrong archive. */
static void no_memory(const char *arguments)
{
	struct ph_test_buf input = {0};
	struct afix_run good, run;
	struct afix fix;

	init(&fix, PH_HASH_SHA1);
	afix_say(&input, arguments);
	afix_talk(&fix, &input, &afix_at_once, &good);
	for (uint64_t i = 1;; i++) {
		int64_t live = fix.memory.live;

		fix.memory.calls = 0;
		fix.memory.fail_at = i;
		afix_talk(&fix, &input, &afix_at_once, &run);
		fix.memory.fail_at = 0;
		assert_int_equal(fix.memory.live, live);
		if (run.status == 0) {
			assert_int_equal(run.out.len, good.out.len);
			assert_memory_equal(run.out.data, good.out.data, good.out.len);
		}
		afix_run_release(&run);
		if (fix.memory.calls < i)
			break;
	}
	afix_run_release(&good);
	ph_test_buf_release(&input);
	afix_release(&fix);
}

static void test_no_memory(void **state)
{
	(void)state;
	no_memory("-v|main|file.fmt|dir");
	no_memory("--format=zip|main|file.fmt|second|dir");
	no_memory("--format=tgz|main|dir");
}

/* What a session takes stays below what it claims; a large file takes no more than a window. */
static void test_claim(void **state)
{
	static const char *const requests[] = {"main", "--format=zip|main", "--format=tgz|-v|main",
	                                       "--format=zip|-0|main|big"};
	static const struct afix_pace slices = {SIZE_MAX, SIZE_MAX, 16, 0};
	struct afix fix;
	struct afix_run run;

	(void)state;
	init(&fix, PH_HASH_SHA1);
	assert_int_equal(ph_memory_new(&fix.budget, &fix.memory.alloc, (uint64_t)1 << 30, NULL),
	                 PH_OK);
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		int64_t before = fix.memory.live_bytes;

		fix.memory.peak_bytes = before;
		fix.claimed = 0;
		talk(&fix, requests[i], &slices, &run);
		assert_int_equal(run.status, 0);
		assert_true(fix.claimed > 0);
		assert_true((uint64_t)(fix.memory.peak_bytes - before) <= fix.claimed);
		/* A tar takes its buffers and windows; a zip also what it compresses beforehand. */
		assert_true(fix.memory.peak_bytes - before < (i == 0 ? 1 << 20 : 5 << 19));
		afix_run_release(&run);
	}
	ph_memory_free(fix.budget);
	assert_int_equal(ph_memory_new(&fix.budget, &fix.memory.alloc, 1 << 20, NULL), PH_OK);
	expect_refused(&fix, "main", "fatal: not enough memory: this needs ");
	ph_memory_free(fix.budget);
	afix_release(&fix);
}

/* Silence is broken by packets of nothing, and the archive stays the same. */
static void test_keepalive(void **state)
{
	static const struct afix_pace slow = {SIZE_MAX, SIZE_MAX, 1, 0};
	struct afix_run good, run;
	struct afix fix;

	(void)state;
	init(&fix, PH_HASH_SHA1);
	talk(&fix, "--format=zip|main", &afix_at_once, &good);
	fix.now_step_ms = 6000;
	talk(&fix, "--format=zip|main", &slow, &run);
	assert_int_equal(run.status, 0);
	assert_true(has(&run.out, "0005\x01"));
	assert_int_equal(run.band[1].len, good.band[1].len);
	assert_memory_equal(run.band[1].data, good.band[1].data, good.band[1].len);
	afix_run_release(&run);
	afix_run_release(&good);
	afix_release(&fix);
}

/* Limits of conversion: what it may read, and what it may give. */
static void test_convert_limits(void **state)
{
	static const char attributes[] = "big export-subst\nfile.fmt export-subst\n";
	struct ph_test_buf format = {0};
	struct afix fix;

	(void)state;
	afix_init(&fix, PH_HASH_SHA1, attributes, strlen(attributes), "x", 1);
	fix.limits.delta_resident_bytes_max = 1 << 20;
	expect_refused(&fix, "main", "'big' is too large to be converted");
	afix_release(&fix);
	ph_test_buf_print(&format, "$Format:%%<(16000)%%s");
	for (int i = 0; i < 30; i++)
		ph_test_buf_print(&format, "%%<(16000)%%s");
	ph_test_buf_print(&format, "$");
	afix_init(&fix, PH_HASH_SHA1, attributes + 17, strlen(attributes + 17), format.data,
	          format.len);
	expect_refused(&fix, "main", "'file.fmt' is too large once it is converted");
	afix_release(&fix);
	ph_test_buf_release(&format);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_any_pace),       cmocka_unit_test(test_tar),
	        cmocka_unit_test(test_refused),        cmocka_unit_test(test_unreachable),
	        cmocka_unit_test(test_cut_input),      cmocka_unit_test(test_no_memory),
	        cmocka_unit_test(test_claim),          cmocka_unit_test(test_keepalive),
	        cmocka_unit_test(test_convert_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
