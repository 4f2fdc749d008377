/* SPDX-License-Identifier: MIT */
/* What a push does, request by request: reports byte for byte, and what the store holds after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"
#include "tips_int.h"

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

/* ---- advertisement ---- */

static void test_advert_new(void **state)
{
	static const char expected[] =
	        "00ca0000000000000000000000000000000000000000 capabilities^{}\0"
	        "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta "
	        "object-format=sha1 object-format=sha256 agent=packhorse/test\n0000";

	(void)state;
	flush(&request);
	push(&f, "demo", &request, &answer);
	assert_memory_equal(answer.out.data, expected, sizeof(expected) - 1);
	assert_int_equal(answer.out.len, sizeof(expected) - 1);
	assert_int_equal(answer.exit_status, 0);
	assert_string_equal(ref_value(&f, "demo", "HEAD"), "");
}

static void test_advert_history(void **state)
{
	struct ph_test_buf expected = {0}, line = {0};

	(void)state;
	with_history();
	ph_test_buf_print(&line, "%s refs/heads/main", hex(&f, f.commit[1]));
	ph_test_buf_append(&line, "", 1);
	ph_test_buf_print(&line, "report-status report-status-v2 delete-refs side-band-64k quiet "
	                         "atomic ofs-delta object-format=sha1 agent=packhorse/test\n");
	pkt(&expected, line.data, line.len);
	ph_test_buf_clear(&line);
	ph_test_buf_print(&line, "%s refs/tags/v1\n", hex(&f, f.tag));
	pkt(&expected, line.data, line.len);
	flush(&expected);
	flush(&request);
	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.out.len, expected.len);
	assert_memory_equal(answer.out.data, expected.data, expected.len);
	ph_test_buf_release(&expected);
	ph_test_buf_release(&line);
}

static void test_advert_versions(void **state)
{
	const struct pump how = {.feed = FEED_AT_ONCE};

	(void)state;
	flush(&request);
	assert_int_equal(push_how(&f, "demo", 1, &how, &request, &answer), PH_OK);
	assert_memory_equal(answer.out.data, "000eversion 1\n", 14);
	answer_release(&answer);
	assert_int_equal(push_how(&f, "demo", 2, &how, &request, &answer), PH_OK);
	assert_memory_equal(answer.out.data + 4, zero(&f), 40);
}

static void expect_refused(const char *text)
{
	char err[128];

	push(&f, "demo", &request, &answer);
	snprintf(err, sizeof(err), "%04xERR %s", (unsigned)strlen(text) + 8, text);
	assert_int_equal(answer.out.len, strlen(err));
	assert_memory_equal(answer.out.data, err, strlen(err));
	assert_int_equal(answer.exit_status, 128);
	assert_true(says(&answer, "fatal: "));
	answer_release(&answer);
}

static void test_permissions(void **state)
{
	(void)state;
	f.service.permission = PH_PERM_READ;
	expect_refused("write access denied");
	f.service.permission = PH_PERM_WRITE;
	expect_refused("repository not found");
	f.service.permission = PH_PERM_OWNER;
	push_history(&f, "demo");
	f.service.permission = PH_PERM_WRITE;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/other", CAPS);
	send_empty("unpack ok\nok refs/heads/other\n");
}

/* ---- pushes that succeed ---- */

static void test_new_repository(void **state)
{
	(void)state;
	push_history(&f, "demo");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
	assert_string_equal(ref_value(&f, "demo", "refs/tags/v1"), hex(&f, f.tag));
	assert_string_equal(ref_value(&f, "demo", "HEAD"), "refs/heads/main");
}

static void test_sha256(void **state)
{
	(void)state;
	teardown(NULL);
	fixture_init(&f, PH_HASH_SHA256);
	push_history(&f, "demo");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
	/* A client of the other format is told so. */
	again();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/x", CAPS);
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "0021ERR unsupported object format");
	assert_int_equal(answer.exit_status, 128);
}

static void expect_head(const char *const *branches, size_t count, const char *expected)
{
	struct ph_test_buf lines = {0};
	static unsigned number;
	char repo[32];

	snprintf(repo, sizeof(repo), "head%u", number++);
	again();
	ph_test_buf_print(&lines, "unpack ok\n");
	for (size_t i = 0; i < count; i++) {
		command(&request, zero(&f), hex(&f, f.commit[0]), branches[i], i ? NULL : CAPS);
		ph_test_buf_print(&lines, "ok %s\n", branches[i]);
	}
	flush(&request);
	pack_first(&f, &request);
	push(&f, repo, &request, &answer);
	ph_test_buf_append(&lines, "", 1);
	expect_report(&answer, (char *)lines.data);
	assert_string_equal(ref_value(&f, repo, "HEAD"), expected);
	ph_test_buf_release(&lines);
}

static void test_head_follows(void **state)
{
	static const char *const names[] = {"refs/heads/zeta", "refs/heads/alpha",
	                                    "refs/heads/master", "refs/heads/main"};
	static const char *const turned[] = {"refs/heads/main", "refs/heads/a",
	                                     "refs/heads/master"};
	static const char *const tag[] = {"refs/tags/t"};

	(void)state;
	expect_head(names, 1, "refs/heads/zeta");
	expect_head(names, 2, "refs/heads/zeta");
	expect_head(names, 3, "refs/heads/master");
	expect_head(names, 4, "refs/heads/main");
	expect_head(turned, 3, "refs/heads/main");
	expect_head(tag, 1, "refs/heads/main");
}

static void test_update_thin(void **state)
{
	struct ph_test_pack thin;
	const struct ph_test_entry *base, *child;
	uint8_t count = 3;

	(void)state;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	flush(&request);
	pack_first(&f, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	again();
	/* The second commit's blob comes as a delta on the first's, which is not in the pack. */
	ph_test_pack_init(&thin, f.algo);
	base = &f.all.entries[f.blob[0]];
	child = &f.all.entries[f.blob[1]];
	ph_test_pack_add_thin(&thin, PH_OBJ_BLOB, &base->oid, base->data, base->size, child->data,
	                      child->size);
	for (uint32_t i = 0; i < 2; i++) {
		child = &f.all.entries[i ? f.commit[1] : f.tree[1]];
		ph_test_pack_add(&thin, child->type, child->data, child->size);
	}
	assert_int_equal(thin.count, count);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/main", SIDE);
	flush(&request);
	ph_test_packfile(&thin, &request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer,
	            "0042\x02Resolving deltas: 100% (1/1), completed with 1 local object.\n"
	            "002e\x01"
	            "000eunpack ok\n0017ok refs/heads/main\n0000"
	            "0000");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
	ph_test_pack_release(&thin);
}

static void test_no_report(void **state)
{
	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", "");
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/a"), hex(&f, f.commit[0]));
	again();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/b", "side-band-64k");
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "0000");
	again();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/c", "report-status-v2");
	send_empty("unpack ok\nok refs/heads/c\n");
}

/* A pack without objects is not kept. */
static void test_empty_pack(void **state)
{
	struct ph_test_buf text = {0};

	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", CAPS);
	send_empty("unpack ok\nok refs/heads/a\n");
	store_text(&f, &text);
	assert_non_null(strstr((char *)text.data, "demo sha1 packs 1 objects 7 log 2\n"));
	ph_test_buf_release(&text);
}

static void test_side_band_report(void **state)
{
	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/sb1", SIDE);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "002d\x01"
	                     "000eunpack ok\n0016ok refs/heads/sb1\n0000"
	                     "0000");
}

/* Two thousand refs: a report of several packets of band 1, the first of them full. */
static void test_long_report(void **state)
{
	struct ph_test_buf inner = {0}, outer = {0};

	(void)state;
	with_history();
	ph_test_buf_print(&inner, "000eunpack ok\n");
	for (int i = 0; i < 4000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "refs/heads/branch-number-%06d", i);
		command(&request, zero(&f), hex(&f, f.commit[0]), name, i ? NULL : SIDE);
		ph_test_buf_print(&inner, "%04xok %s\n", (unsigned)strlen(name) + 8, name);
	}
	flush(&inner);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	for (size_t at = 0; at < inner.len;) {
		size_t len =
		        inner.len - at < PH_BAND_PAYLOAD_MAX ? inner.len - at : PH_BAND_PAYLOAD_MAX;

		ph_test_buf_print(&outer, "%04x\x01", (unsigned)len + 5);
		ph_test_buf_append(&outer, inner.data + at, len);
		at += len;
	}
	flush(&outer);
	push(&f, "demo", &request, &answer);
	assert_true(answer.done);
	assert_int_equal(answer.out.len - answer.advert, outer.len);
	assert_memory_equal(answer.out.data + answer.advert, outer.data, outer.len);
	assert_true(inner.len > 2 * PH_BAND_PAYLOAD_MAX);
	ph_test_buf_release(&inner);
	ph_test_buf_release(&outer);
}

/* The trailer ends the pack: neither the end of input is waited for, nor what follows looked at. */
static void test_end_of_pack(void **state)
{
	const struct pump how = {.feed = FEED_AT_ONCE, .no_eof = true};

	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/tb", CAPS);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	ph_test_buf_print(&request, "JUNK");
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	expect_report(&answer, "unpack ok\nok refs/heads/tb\n");
}

static void test_nothing(void **state)
{
	(void)state;
	with_history();
	ph_test_buf_print(&request, "0035shallow %s\n", hex(&f, f.commit[0]));
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "");
	assert_int_equal(answer.exit_status, 0);
}

/* ---- deletions ---- */

static void test_delete(void **state)
{
	const struct pump how = {.feed = FEED_AT_ONCE, .no_eof = true};

	(void)state;
	with_history();
	command(&request, hex(&f, f.tag), zero(&f), "refs/tags/v1", CAPS " delete-refs");
	flush(&request);
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	expect_report(&answer, "unpack ok\nok refs/tags/v1\n");
	assert_string_equal(ref_value(&f, "demo", "refs/tags/v1"), "");
}

static void send_delete(const char *old, const char *name, const char *lines)
{
	again();
	command(&request, old, zero(&f), name, CAPS " delete-refs");
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, lines);
}

static void test_delete_refused(void **state)
{
	static const char unknown[] = "1111111111111111111111111111111111111111";

	(void)state;
	with_history();
	send_delete(zero(&f), "refs/heads/none", "unpack ok\nok refs/heads/none\n");
	assert_true(says(&answer, "warning: deleting a non-existent ref"));
	send_delete(unknown, "refs/heads/none", "unpack ok\nok refs/heads/none\n");
	send_delete(hex(&f, f.commit[1]), "refs/heads/none",
	            "unpack ok\nng refs/heads/none reference does not exist\n");
	send_delete(hex(&f, f.commit[1]), "refs/heads/main",
	            "unpack ok\nng refs/heads/main deletion of the current branch prohibited\n");
	send_delete(hex(&f, f.commit[1]), "refs/tags/v1",
	            "unpack ok\nng refs/tags/v1 incorrect old value provided\n");
	assert_true(says(&answer, "is at"));
	send_delete(zero(&f), "refs/tags/v1",
	            "unpack ok\nng refs/tags/v1 incorrect old value provided\n");
	/* One level is enough to delete, not to create. */
	send_delete(zero(&f), "refs/foo", "unpack ok\nok refs/foo\n");
	assert_string_equal(ref_value(&f, "demo", "refs/tags/v1"), hex(&f, f.tag));
	/* Deleting from a repository that is not there makes none. */
	again();
	command(&request, zero(&f), zero(&f), "refs/heads/x", CAPS);
	flush(&request);
	push(&f, "none", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/x\n");
	answer_release(&answer);
	assert_string_equal(ref_value(&f, "none", "HEAD"), "");
	/* An object that comes with the push is known, too. */
	again();
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", CAPS " delete-refs");
	command(&request, hex(&f, f.commit[0]), zero(&f), "refs/heads/none", NULL);
	flush(&request);
	ph_test_packfile(&f.all, &request);
	push(&f, "new", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n"
	                       "ng refs/heads/none reference does not exist\n");
}

/* ---- atomic ---- */

static void test_atomic(void **state)
{
	static const char unknown[] = "1111111111111111111111111111111111111111";

	(void)state;
	with_history();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a1", CAPS " atomic");
	command(&request, unknown, hex(&f, f.commit[0]), "refs/heads/main", NULL);
	send_empty("unpack ok\nng refs/heads/a1 atomic transaction failed\n"
	           "ng refs/heads/main atomic transaction failed\n");
	again();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a1", CAPS " atomic");
	command(&request, zero(&f), unknown, "refs/heads/a2", NULL);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/../x", NULL);
	send_empty("unpack ok\nng refs/heads/a1 atomic push failure\n"
	           "ng refs/heads/a2 missing necessary objects\n"
	           "ng refs/heads/../x funny refname\n");
	again();
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a1", CAPS " atomic");
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/a2", NULL);
	send_empty("unpack ok\nok refs/heads/a1\nok refs/heads/a2\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/a2"), hex(&f, f.commit[1]));
}

/* ---- symrefs ---- */

static void make_alias(const char *target)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	uint32_t change;

	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	assert_int_equal(ph_store_begin(f.store, snapshot, &txn), PH_OK);
	assert_int_equal(ph_txn_symref_update(txn, "refs/heads/alias", NULL, target, &change),
	                 PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
}

static void test_symrefs(void **state)
{
	(void)state;
	with_history();
	make_alias("refs/heads/main");
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/alias", CAPS);
	send_empty("unpack ok\nok refs/heads/alias\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[0]));
	assert_string_equal(ref_value(&f, "demo", "refs/heads/alias"), "refs/heads/main");
	/* Both names, saying the same. */
	again();
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/alias", CAPS);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/main", NULL);
	send_empty("unpack ok\nok refs/heads/alias\nok refs/heads/main\n");
	/* Both names, saying the same, and wrong. */
	again();
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[0]), "refs/heads/alias", CAPS);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[0]), "refs/heads/main", NULL);
	send_empty("unpack ok\nng refs/heads/alias incorrect old value provided\n"
	           "ng refs/heads/main incorrect old value provided\n");
	/* Both names, not agreeing. */
	again();
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/alias", CAPS);
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[1]), "refs/heads/main", NULL);
	send_empty("unpack ok\nng refs/heads/alias inconsistent aliased update\n"
	           "ng refs/heads/main inconsistent aliased update\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
	/* A third command for the same ref does not pass because the first two did not. */
	again();
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/alias", CAPS);
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[1]), "refs/heads/main", NULL);
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/alias", NULL);
	send_empty("unpack ok\nng refs/heads/alias inconsistent aliased update\n"
	           "ng refs/heads/main inconsistent aliased update\n"
	           "ng refs/heads/alias inconsistent aliased update\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
	/* The branch that HEAD names is not deleted by another name. */
	send_delete(hex(&f, f.commit[1]), "refs/heads/alias",
	            "unpack ok\nng refs/heads/alias deletion of the current branch prohibited\n");
}

/* ---- log ---- */

static void test_log(void **state)
{
	struct ph_snapshot *snapshot;
	char record[PH_LOG_LINKED_MAX + 1], expected[512];
	size_t len = sizeof(record) - 1;

	(void)state;
	f.service.identity = "al\nice";
	push_history(&f, "demo");
	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	assert_int_equal(ph_snapshot_log_count(snapshot), 1);
	assert_int_equal(ph_snapshot_log_read(snapshot, 0, record, &len), PH_OK);
	record[len] = 0;
	snprintf(expected, sizeof(expected),
	         "push 1700000000 al?ice\n%s %s refs/heads/main\n%s %s refs/tags/v1\n", zero(&f),
	         hex(&f, f.commit[1]), zero(&f), hex(&f, f.tag));
	assert_string_equal(record + PH_LOG_LINK_BYTES, expected);
	ph_snapshot_release(snapshot);
}

/* Very many refs: the log stays small, and counts what it leaves out. */
static void test_log_bounded(void **state)
{
	struct ph_snapshot *snapshot;
	char record[PH_LOG_LINKED_MAX], *more;
	size_t len = sizeof(record) - 1;
	uint64_t count;

	(void)state;
	with_history();
	for (int i = 0; i < 9000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "refs/heads/b%05d", i);
		command(&request, zero(&f), hex(&f, f.commit[0]), name, i ? NULL : CAPS);
	}
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	assert_true(says(&answer, "ok refs/heads/b08999"));
	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	count = ph_snapshot_log_count(snapshot);
	assert_int_equal(count, 1 + 128);
	assert_int_equal(ph_snapshot_log_read(snapshot, count - 1, record, &len), PH_OK);
	record[len] = 0;
	more = strstr(record, "\nand ");
	assert_non_null(more);
	assert_int_equal(strtoul(more + 5, NULL, 10), 9000 - 127 * 40);
	ph_snapshot_release(snapshot);
}

/* Many refs: several records, none too long, all refs in them once. */
static void test_log_many(void **state)
{
	struct ph_snapshot *snapshot;
	unsigned lines = 0;

	(void)state;
	with_history();
	for (int i = 0; i < 200; i++) {
		char name[64];

		snprintf(name, sizeof(name), "refs/heads/b%03d", i);
		command(&request, zero(&f), hex(&f, f.commit[0]), name, i ? NULL : "");
	}
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	assert_true(ph_snapshot_log_count(snapshot) > 3);
	for (uint64_t i = 1; i < ph_snapshot_log_count(snapshot); i++) {
		char record[PH_LOG_LINKED_MAX];
		size_t len = sizeof(record);

		assert_int_equal(ph_snapshot_log_read(snapshot, i, record, &len), PH_OK);
		assert_memory_equal(record + PH_LOG_LINK_BYTES, "push ", 5);
		for (size_t j = 0; j < len; j++)
			lines += record[j] == '\n';
		lines -= 2;
	}
	assert_int_equal(lines, 200);
	ph_snapshot_release(snapshot);
}

/* ---- what is noted of a pack ---- */

/* The note of a pack of demo; false when there is none. Copies of its numbers and first tip. */
static bool note_of(uint32_t pack, struct ph__tips *tips, struct ph_oid *first)
{
	struct ph_snapshot *snapshot;
	const struct ph_bytes *section;
	const struct ph_source *source;
	uint32_t entries;
	uint64_t bytes;

	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	source = ph_snapshot_source(snapshot);
	assert_true(pack < source->ops->packs(source));
	source->ops->pack_size(source, pack, &entries, &bytes);
	section = ph_snapshot_section(snapshot, pack, PH__SECTION_TIPS);
	if (section) {
		assert_int_equal(ph__tips_open(tips, section, f.algo, entries), PH_OK);
		assert_int_equal(ph__tips_tip(tips, 0, first), PH_OK);
	}
	ph_snapshot_release(snapshot);
	return section != NULL;
}

static void test_note(void **state)
{
	struct ph__tips tips;
	struct ph_oid tip;

	(void)state;
	with_history();
	assert_true(note_of(0, &tips, &tip));
	assert_int_equal(tips.entries, 7);
	assert_int_equal(tips.tips, 2);
	assert_int_equal(tips.copies, 0);
	assert_true(ph_oid_equal(&tip, &f.all.entries[f.commit[1]].oid));
}

/* An object that nothing reaches: the push is fine, and nothing is said of its pack. */
static void test_note_unreached(void **state)
{
	struct ph__tips tips;
	struct ph_oid tip;
	uint32_t some[] = {f.blob[0], f.tree[0], f.commit[0], f.blob[1]};

	(void)state;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	flush(&request);
	pack_of(&f, some, 4, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	assert_false(note_of(0, &tips, &tip));
}

/* What the repository had is no more than a copy. */
static void test_note_copies(void **state)
{
	struct ph__tips tips;
	struct ph_oid tip;
	uint32_t rank, some[] = {f.blob[0], f.blob[1], f.tree[1], f.commit[1]};

	(void)state;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	flush(&request);
	pack_first(&f, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	again();
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/main", CAPS);
	flush(&request);
	pack_of(&f, some, 4, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	assert_true(note_of(1, &tips, &tip));
	assert_int_equal(tips.tips, 1);
	assert_true(ph_oid_equal(&tip, &f.all.entries[f.commit[1]].oid));
	assert_int_equal(tips.copies, 1);
	assert_int_equal(ph__tips_copy(&tips, 0, &rank), PH_OK);
	assert_int_equal(rank, 0);
}

/* A refused command is no tip, and a second walk proves too little. */
static void test_note_refused(void **state)
{
	struct ph__tips tips;
	struct ph_oid tip;
	uint32_t some[] = {f.blob[0], f.tree[0], f.commit[0], f.commit[1]};

	(void)state;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/side", NULL);
	flush(&request);
	pack_of(&f, some, 4, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n"
	                       "ng refs/heads/side missing necessary objects\n");
	assert_false(note_of(0, &tips, &tip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	        T(test_advert_new),
	        T(test_advert_history),
	        T(test_advert_versions),
	        T(test_permissions),
	        T(test_new_repository),
	        T(test_sha256),
	        T(test_head_follows),
	        T(test_update_thin),
	        T(test_no_report),
	        T(test_empty_pack),
	        T(test_side_band_report),
	        T(test_long_report),
	        T(test_end_of_pack),
	        T(test_nothing),
	        T(test_delete),
	        T(test_delete_refused),
	        T(test_atomic),
	        T(test_symrefs),
	        T(test_log),
	        T(test_log_many),
	        T(test_log_bounded),
	        T(test_note),
	        T(test_note_unreached),
	        T(test_note_copies),
	        T(test_note_refused),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
