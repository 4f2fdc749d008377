/* SPDX-License-Identifier: MIT */
/*
 * From command line to session: who gets what, and a round trip. What receive-pack took is fetched
 * with upload-pack by a client that is written out here, pushed under another name, and must be the
 * same objects: the second push proves them connected, and ids are hashes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <packhorse/pkt.h>
#include <packhorse/reader.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Opens a command line as an SSH server would, and pumps the request through it. */
static void run(const char *line, const char *protocol)
{
	static struct ph_request parsed;
	const struct pump how = {.feed = FEED_RANDOM, .seed = 5};
	struct ph_session *session;

	answer_release(&answer);
	assert_int_equal(ph_request_parse(&parsed, line, strlen(line), protocol), PH_OK);
	assert_int_equal(ph_service_open(&session, &f.service, &parsed), PH_OK);
	pump(&f, session, &how, &request, &answer);
	assert_true(answer.done);
	ph_test_buf_clear(&request);
}

static void expect(const char *line, enum ph_permission permission, int status, const char *text)
{
	f.service.permission = permission;
	run(line, NULL);
	assert_int_equal(answer.exit_status, status);
	if (!says(&answer, text))
		fail_msg("%s: \"%.*s\" \"%.*s\"", line, (int)answer.out.len,
		         (char *)answer.out.data, (int)answer.err.len, (char *)answer.err.data);
}

static void test_refusals(void **state)
{
	(void)state;
	push_history(&f, "demo");
	expect("git-upload-pack 'demo'", PH_PERM_NONE, 128, "0015ERR access denied");
	expect("git-receive-pack 'none'", PH_PERM_NONE, 128, "0015ERR access denied");
	expect("git-upload-archive 'demo'", PH_PERM_NONE, 128, "0015ERR access denied");
	expect("repo list", PH_PERM_NONE, 1, "access denied");
	expect("git-receive-pack 'demo'", PH_PERM_READ, 128, "ERR write access denied");
	expect("git-receive-pack 'none'", PH_PERM_READ, 128, "ERR write access denied");
	expect("git-receive-pack 'none'", PH_PERM_WRITE, 128, "ERR repository not found");
	expect("git-upload-pack 'none'", PH_PERM_READ, 128, "not found");
	expect("git-upload-archive 'none'", PH_PERM_READ, 128, "NACK repository 'none' not found");
	expect("repo create x", PH_PERM_WRITE, 1, "only the owner");
	expect("repo list", PH_PERM_READ, 0, "demo\tsha1\trefs/heads/main\t2\n");
	expect("frob", PH_PERM_OWNER, 1, "usage: ");
	assert_string_equal(ref_value(&f, "none", "HEAD"), "");
}

static void test_sessions(void **state)
{
	(void)state;
	push_history(&f, "team/demo");
	flush(&request);
	expect("git-receive-pack '/team/demo.git'", PH_PERM_WRITE, 0, "refs/tags/v1");
	flush(&request);
	expect("git-upload-pack '/team/demo.git'", PH_PERM_READ, 0, "refs/tags/v1^{}");
	flush(&request);
	expect("git receive-pack new", PH_PERM_OWNER, 0, "capabilities^{}");
	assert_string_equal(ref_value(&f, "new", "HEAD"), "");
}

/* ---- round trip ---- */

/* The body of an answer from its pack on. */
static void find_pack(struct ph_test_buf *pack)
{
	for (size_t at = answer.advert; at + 4 <= answer.out.len; at++) {
		if (memcmp(answer.out.data + at, "PACK", 4) != 0)
			continue;
		ph_test_buf_append(pack, answer.out.data + at, answer.out.len - at);
		return;
	}
	fail_msg("no pack in \"%.*s\"", (int)answer.out.len, (char *)answer.out.data);
}

/* Version 0 without a side-band: wants, flush, done; then NAK and the bare pack. */
static void fetch_v0(const char *const *wants, size_t count, struct ph_test_buf *pack)
{
	char line[256];

	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "want %s%s\n", wants[i], i ? "" : " ofs-delta");
		pkt_text(&request, line);
	}
	flush(&request);
	pkt_text(&request, "done\n");
	run("git-upload-pack 'demo'", NULL);
	if (answer.exit_status)
		fail_msg("%.*s", (int)answer.err.len, (char *)answer.err.data);
	assert_memory_equal(answer.out.data + answer.advert, "0008NAK\n", 8);
	find_pack(pack);
}

/* Version 2: the pack comes on band 1. */
static void fetch_v2(const char *const *wants, size_t count, struct ph_test_buf *pack)
{
	struct ph_pkt packet;
	size_t used;
	char line[256];
	bool in_pack = false;

	pkt_text(&request, "command=fetch\n");
	snprintf(line, sizeof(line), "object-format=%s\n", ph_hash_name(f.algo));
	pkt_text(&request, line);
	ph_test_buf_append(&request, "0001", 4);
	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "want %s\n", wants[i]);
		pkt_text(&request, line);
	}
	pkt_text(&request, "ofs-delta\n");
	pkt_text(&request, "done\n");
	flush(&request);
	run("git-upload-pack 'demo'", "version=2");
	if (answer.exit_status)
		fail_msg("%.*s", (int)answer.err.len, (char *)answer.err.data);
	for (size_t at = answer.advert; at < answer.out.len; at += used) {
		assert_int_equal(
		        ph_pkt_parse(&packet, &used, answer.out.data + at, answer.out.len - at),
		        PH_OK);
		if (packet.kind == PH_PKT_DATA && in_pack && packet.data[0] == 1)
			ph_test_buf_append(pack, packet.data + 1, packet.len - 1);
		else if (packet.kind == PH_PKT_DATA && ph_pkt_is(&packet, "packfile\n"))
			in_pack = true;
	}
	assert_true(pack->len > 4 && memcmp(pack->data, "PACK", 4) == 0);
}

/* Every object of one repository is in the other, and as many. */
static void expect_same_objects(const char *one, const char *two)
{
	struct ph_snapshot *a, *b;
	const struct ph_source *from, *to;
	uint32_t entries[2];
	uint64_t bytes;

	assert_int_equal(ph_store_snapshot(f.store, one, &a), PH_OK);
	assert_int_equal(ph_store_snapshot(f.store, two, &b), PH_OK);
	from = ph_snapshot_source(a);
	to = ph_snapshot_source(b);
	assert_int_equal(from->ops->packs(from), 1);
	assert_int_equal(to->ops->packs(to), 1);
	from->ops->pack_size(from, 0, &entries[0], &bytes);
	to->ops->pack_size(to, 0, &entries[1], &bytes);
	assert_int_equal(entries[0], entries[1]);
	for (uint32_t i = 0; i < entries[0]; i++) {
		struct ph_entry entry;
		struct ph_loc loc;

		assert_int_equal(from->ops->entry(from, (struct ph_loc){0, i}, &entry), PH_OK);
		assert_int_equal(to->ops->find(to, &entry.oid, &loc), PH_OK);
	}
	ph_snapshot_release(a);
	ph_snapshot_release(b);
}

static void round_trip(enum ph_hash_algo algo, void (*fetch)(const char *const *wants, size_t count,
                                                             struct ph_test_buf *pack))
{
	struct ph_test_buf pack = {0};
	const char *wants[2];
	char caps[64];

	teardown(NULL);
	fixture_init(&f, algo);
	memset(&request, 0, sizeof(request));
	memset(&answer, 0, sizeof(answer));
	push_history(&f, "demo");
	wants[0] = hex(&f, f.commit[1]);
	wants[1] = hex(&f, f.tag);
	fetch(wants, 2, &pack);
	snprintf(caps, sizeof(caps), "report-status object-format=%s", ph_hash_name(algo));
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", caps);
	command(&request, zero(&f), hex(&f, f.tag), "refs/tags/v1", NULL);
	flush(&request);
	ph_test_buf_append(&request, pack.data, pack.len);
	run("git-receive-pack 'copy'", NULL);
	expect_report(&answer, "unpack ok\nok refs/heads/main\nok refs/tags/v1\n");
	expect_same_objects("demo", "copy");
	ph_test_buf_release(&pack);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip(PH_HASH_SHA1, fetch_v0);
	round_trip(PH_HASH_SHA1, fetch_v2);
	round_trip(PH_HASH_SHA256, fetch_v0);
	round_trip(PH_HASH_SHA256, fetch_v2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_sessions, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
