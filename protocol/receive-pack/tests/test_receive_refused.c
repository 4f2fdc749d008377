/* SPDX-License-Identifier: MIT */
/* What receive-pack refuses, and in which words: refs, packs, requests; and that it stays refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <packhorse/pkt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPS "report-status"
#define SIDE "report-status side-band-64k"

static struct fixture f;
static struct ph_test_buf request;
static struct answer answer;

static int setup(void **state)
{
	(void)state;
	fixture_init(&f, PH_HASH_SHA1);
	memset(&request, 0, sizeof(request));
	memset(&answer, 0, sizeof(answer));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	answer_release(&answer);
	ph_test_buf_release(&request);
	fixture_release(&f);
	return 0;
}

static void again(void)
{
	answer_release(&answer);
	ph_test_buf_clear(&request);
}

/* A repository with the history, and an empty request. */
static void with_history(void)
{
	push_history(&f, "demo");
	again();
}

/* Sends what is in the request with an empty pack behind, and compares the report. */
static void send_empty(const char *lines)
{
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, lines);
}

/* ---- refusals by ref ---- */

static void test_names(void **state)
{
	static const char *const bad[] = {"refs/heads/../x", "refs/foo",       "HEAD",
	                                  "refs/heads/a..b", "refs/heads/",    "refs/heads/a.lock",
	                                  "heads/x",         "refs/heads/a b", "refs/heads/HEAD"};
	struct ph_test_buf lines = {0};

	(void)state;
	with_history();
	ph_test_buf_print(&lines, "unpack ok\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		command(&request, zero(&f), hex(&f, f.commit[0]), bad[i], i ? NULL : CAPS);
		ph_test_buf_print(&lines, "ng %s funny refname\n", bad[i]);
	}
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/good", NULL);
	ph_test_buf_print(&lines, "ok refs/heads/good\n");
	ph_test_buf_append(&lines, "", 1);
	send_empty((char *)lines.data);
	ph_test_buf_release(&lines);
}

/* Control bytes of a name come back as question marks: nothing drives a terminal. */
static void test_name_escapes(void **state)
{
	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/\x1b[31mred", CAPS);
	send_empty("unpack ok\nng refs/heads/?[31mred funny refname\n");
	assert_false(says(&answer, "\x1b"));
}

static void test_duplicates(void **state)
{
	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/n1", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/n2", NULL);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/n1", NULL);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/n1", NULL);
	send_empty("unpack ok\nok refs/heads/n1\nok refs/heads/n2\n"
	           "ng refs/heads/n1 multiple updates for one ref\n"
	           "ng refs/heads/n1 multiple updates for one ref\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/n1"), hex(&f, f.commit[0]));
}

static void test_old_values(void **state)
{
	static const char unknown[] = "1111111111111111111111111111111111111111";

	(void)state;
	with_history();
	command(&request, unknown, hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/tags/v1", NULL);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/none", NULL);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/main/x", NULL);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/good", NULL);
	send_empty("unpack ok\nng refs/heads/main incorrect old value provided\n"
	           "ng refs/tags/v1 reference already exists\n"
	           "ng refs/heads/none reference does not exist\n"
	           "ng refs/heads/main/x refname conflict\nok refs/heads/good\n");
	assert_true(says(&answer, "but expected 1111111111111111111111111111111111111111"));
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
}

static void test_force(void **state)
{
	(void)state;
	with_history();
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	send_empty("unpack ok\nok refs/heads/main\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[0]));
}

static void test_types(void **state)
{
	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.tree[0]), "refs/heads/tree", CAPS);
	command(&request, zero(&f), hex(&f, f.tag), "refs/heads/tag", NULL);
	command(&request, zero(&f), hex(&f, f.blob[0]), "refs/tags/blob", NULL);
	send_empty("unpack ok\nng refs/heads/tree invalid new value provided\n"
	           "ng refs/heads/tag invalid new value provided\nok refs/tags/blob\n");
	assert_true(says(&answer, "trying to write non-commit object"));
}

static void test_peeled(void **state)
{
	struct ph_test_buf text = {0};

	(void)state;
	with_history();
	store_text(&f, &text);
	ph_test_buf_print(&request, "refs/tags/v1  %s %s", hex(&f, f.tag), hex(&f, f.commit[1]));
	ph_test_buf_append(&request, "", 1);
	assert_non_null(strstr((char *)text.data, (char *)request.data));
	ph_test_buf_release(&text);
}

static void test_missing_objects(void **state)
{
	static const char unknown[] = "3333333333333333333333333333333333333333";
	uint32_t entries[2];

	(void)state;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	flush(&request);
	pack_first(&f, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	again();
	/* A commit and its tree, without the blob; among refs that are fine. */
	entries[0] = f.commit[1];
	entries[1] = f.tree[1];
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/b", NULL);
	command(&request, zero(&f), unknown, "refs/heads/c", NULL);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/d", NULL);
	command(&request, zero(&f), hex(&f, f.tree[1]), "refs/tags/e", NULL);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[0]), "refs/heads/main", NULL);
	flush(&request);
	pack_of(&f, entries, 2, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/a\n"
	                       "ng refs/heads/b missing necessary objects\n"
	                       "ng refs/heads/c missing necessary objects\nok refs/heads/d\n"
	                       "ng refs/tags/e missing necessary objects\nok refs/heads/main\n");
	/* What lies in the store without being reachable proves nothing. */
	again();
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/b", CAPS);
	send_empty("unpack ok\nng refs/heads/b missing necessary objects\n");
	/* The missing blob completes it. */
	again();
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/b", CAPS);
	flush(&request);
	pack_of(&f, &f.blob[1], 1, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/b\n");
}

#define LONG_COMMITS 2000u

/* A ref for each commit of a long history whose beginning is not there: all are refused, and not
 * by going over all of it for every one. */
static void test_missing_root(void **state)
{
	uint32_t entries[LONG_COMMITS];
	struct ph_oid parent = ph_test_oid_fake(f.algo, 0x33);
	struct ph_test_buf text = {0};
	size_t refused = 0;

	(void)state;
	with_history();
	for (uint32_t i = 0; i < LONG_COMMITS; i++) {
		char name[32];

		ph_test_buf_clear(&text);
		ph_test_commit_text(&text, f.algo, &f.all.entries[f.tree[0]].oid, &parent, 1,
		                    1700000000 + i, "long\n");
		entries[i] = ph_test_pack_add(&f.all, PH_OBJ_COMMIT, text.data, text.len);
		parent = f.all.entries[entries[i]].oid;
		snprintf(name, sizeof(name), "refs/heads/b%04u", i);
		command(&request, zero(&f), hex(&f, entries[i]), name, i ? NULL : CAPS);
	}
	flush(&request);
	pack_of(&f, entries, LONG_COMMITS, &request);
	push(&f, "demo", &request, &answer);
	ph_test_buf_append(&answer.out, "", 1);
	for (const char *at = (const char *)answer.out.data + answer.advert;
	     (at = strstr(at, " missing necessary objects")) != NULL; at++)
		refused++;
	assert_int_equal(refused, LONG_COMMITS);
	assert_true(answer.spent < 2000 * LONG_COMMITS);
	ph_test_buf_release(&text);
}

static void test_shallow(void **state)
{
	uint32_t entries[3];

	(void)state;
	/* Unneeded lines are fine. */
	with_history();
	ph_test_buf_print(&request, "0034shallow %s", hex(&f, f.commit[0]));
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/sh", CAPS);
	send_empty("unpack ok\nok refs/heads/sh\n");
	/* A history that ends at the client's boundary is refused, into a new repository too. */
	again();
	entries[0] = f.blob[1];
	entries[1] = f.tree[1];
	entries[2] = f.commit[1];
	ph_test_buf_print(&request, "0034shallow %s", hex(&f, f.commit[1]));
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", CAPS);
	flush(&request);
	pack_of(&f, entries, 3, &request);
	push(&f, "other", &request, &answer);
	expect_report(&answer, "unpack ok\nng refs/heads/main shallow update not allowed\n");
	assert_string_equal(ref_value(&f, "other", "HEAD"), "");
}

/* ---- packs that are no good ---- */

static void expect_unpack_error(const char *error, const char *repo)
{
	struct ph_test_buf lines = {0}, before = {0}, after = {0};

	store_text(&f, &before);
	push(&f, repo, &request, &answer);
	ph_test_buf_print(&lines, "unpack %s\nng refs/heads/x unpacker error\n", error);
	ph_test_buf_append(&lines, "", 1);
	expect_report(&answer, (char *)lines.data);
	/* What is no pack at all says all in the report, as in git. */
	assert_true(says(&answer, "error: ") || says(&answer, "fatal: ") ||
	            says(&answer, "unpack protocol error (") || says(&answer, "unpack eof before"));
	store_text(&f, &after);
	assert_string_equal(before.data, after.data);
	ph_test_buf_release(&lines);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
	again();
}

static void begin_bad(void)
{
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/x", CAPS);
	flush(&request);
}

static void test_bad_packs(void **state)
{
	struct ph_test_pack thin;
	const struct ph_test_entry *entry = &f.all.entries[f.blob[0]];
	struct ph_oid fake = ph_test_oid_fake(f.algo, 0x77);

	(void)state;
	with_history();
	begin_bad();
	pack_all(&f, &request);
	request.len -= 7;
	expect_unpack_error("unexpected end of input", "demo");
	begin_bad();
	pack_all(&f, &request);
	request.data[request.len - 1] ^= 1;
	expect_unpack_error("checksum mismatch", "demo");
	begin_bad();
	expect_unpack_error("eof before pack header was fully read", "new");
	begin_bad();
	ph_test_buf_print(&request, "this is no pack at all, is it?");
	expect_unpack_error("protocol error (pack signature mismatch detected)", "new");
	begin_bad();
	ph_test_buf_append(&request, "PACK\0\0\0\4\0\0\0\0", 12);
	expect_unpack_error("protocol error (pack version unsupported)", "new");
	begin_bad();
	ph_test_pack_init(&thin, f.algo);
	ph_test_pack_add_thin(&thin, PH_OBJ_BLOB, &fake, entry->data, entry->size, "other", 5);
	ph_test_packfile(&thin, &request);
	expect_unpack_error("unresolved deltas", "demo");
	ph_test_pack_release(&thin);
}

/* An object that would hurt who clones it. */
static void test_fsck(void **state)
{
	struct ph_test_buf text = {0};
	struct ph_test_pack bad;
	const struct ph_oid *blob = &f.all.entries[f.blob[0]].oid;

	(void)state;
	ph_test_pack_init(&bad, f.algo);
	ph_test_tree_entry(&text, f.algo, 0100644, ".git", blob);
	ph_test_pack_add(&bad, PH_OBJ_TREE, text.data, text.len);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/x", CAPS);
	flush(&request);
	ph_test_packfile(&bad, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack object failed a safety check\n"
	                       "ng refs/heads/x unpacker error\n");
	assert_true(says(&answer, ": hasDotgit"));
	assert_string_equal(ref_value(&f, "demo", "HEAD"), "");
	ph_test_pack_release(&bad);
	ph_test_buf_release(&text);
}

/* ---- requests that are no good ---- */

static void expect_death(const char *bytes, size_t len, const char *text)
{
	char err[128];

	again();
	ph_test_buf_append(&request, bytes, len);
	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.exit_status, 128);
	snprintf(err, sizeof(err), "%04xERR %s", (unsigned)strlen(text) + 8, text);
	expect_body(&answer, err);
}

static void test_bad_requests(void **state)
{
	static const char expected[] = "protocol error: expected old, new, ref";
	struct ph_test_buf line = {0};

	(void)state;
	with_history();
	expect_death("", 0, "the client hung up unexpectedly");
	expect_death("00", 2, "the client hung up unexpectedly");
	expect_death("0003", 4, "protocol error: bad packet length");
	expect_death("zzzz", 4, "protocol error: bad packet length");
	expect_death("+00a", 4, "protocol error: bad packet length");
	expect_death("fff1", 4, "protocol error: bad packet length");
	expect_death("0001", 4, "protocol error: unexpected packet");
	expect_death("0002", 4, "protocol error: unexpected packet");
	expect_death("0004", 4, expected);
	expect_death("0009hello", 9, expected);
	expect_death("000cERR bye!", 12, "the client reported an error");
	expect_death("000dpush-cert0009text\n", 22, "the client hung up unexpectedly");
	expect_death("000dpush-cert0009text\n0000", 26, "malformed push certificate");
	expect_death("000dpush-cert0009text\n0001", 26, "protocol error: unexpected packet");
	expect_death("0010shallow 1234", 16, "protocol error: expected shallow id");
	ph_test_buf_print(&line, "%04x%s %s refs/heads/x", 97, zero(&f), hex(&f, f.tag));
	line.data[4] = 'g';
	expect_death((char *)line.data, line.len, expected);
	ph_test_buf_release(&line);
}

static void test_limits(void **state)
{
	(void)state;
	with_history();
	f.limits.commands_max = 2;
	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "refs/heads/b%d", i);
		command(&request, zero(&f), hex(&f, f.commit[0]), name, i ? NULL : CAPS);
	}
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "0021ERR too many refs in one push");
	again();
	f.limits.pack_objects_max = 3;
	begin_bad();
	pack_all(&f, &request);
	expect_unpack_error("a limit was exceeded", "demo");
	f.limits.shallows_max = 1;
	for (int i = 0; i < 2; i++)
		ph_test_buf_print(&request, "0034shallow %s", hex(&f, f.commit[0]));
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "001eERR too many shallow lines");
}

/* A client that cannot read the offer of two object formats is told what to do. */
static void test_hint(void **state)
{
	(void)state;
	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.exit_status, 128);
	assert_true(says(&answer, "repo create NAME --object-format=sha256"));
	answer_release(&answer);
	push_history(&f, "demo");
	push(&f, "demo", &request, &answer);
	assert_false(says(&answer, "repo create"));
}

/* After the side-band has begun, ERR would be read as a band. */
static void test_death_on_band(void **state)
{
	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/x", SIDE);
	ph_test_buf_print(&request, "0009hello");
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "002c\x03protocol error: expected old, new, ref\n");
	assert_int_equal(answer.exit_status, 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	        T(test_names),         T(test_name_escapes),    T(test_duplicates),
	        T(test_old_values),    T(test_force),           T(test_types),
	        T(test_peeled),        T(test_missing_objects), T(test_missing_root),
	        T(test_shallow),       T(test_bad_packs),       T(test_fsck),
	        T(test_bad_requests),  T(test_limits),          T(test_hint),
	        T(test_death_on_band),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
