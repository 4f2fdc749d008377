/* SPDX-License-Identifier: MIT */
/* What pushes have beyond commands and a pack: capabilities by configuration, push options, pushes
 * of shallow clients, the limit on a pack's size, and what hidden refs keep from a pusher. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "map_section_int.h"
#include "push_support.h"
#include "tips_int.h"

#include <packhorse/map.h>
#include <packhorse/policy.h>
#include <stdio.h>
#include <string.h>

#define CAPS "report-status"

static struct fixture f;
static struct ph_test_buf request, seen;
static struct answer answer;

/* ---- the world ---- */

static void again(void)
{
	next_request(&request, &answer);
	ph_test_buf_clear(&seen);
}

static int setup(void **state)
{
	(void)state;
	begin_demo(&f, &request, &answer);
	memset(&seen, 0, sizeof(seen));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_demo(&f, &request, &answer);
	ph_test_buf_release(&seen);
	return 0;
}

#define NO_PARENT UINT32_MAX

static uint32_t add_commit(uint32_t tree, uint32_t parent, uint64_t time)
{
	struct ph_test_buf text = {0};
	uint32_t entry;

	ph_test_commit_text(&text, f.algo, &f.all.entries[tree].oid,
	                    parent == NO_PARENT ? NULL : &f.all.entries[parent].oid,
	                    parent == NO_PARENT ? 0 : 1, time, "more\n");
	entry = ph_test_pack_add(&f.all, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_release(&text);
	return entry;
}

static uint32_t add_tree(uint32_t blob, const char *name)
{
	struct ph_test_buf text = {0};
	uint32_t entry;

	ph_test_tree_entry(&text, f.algo, 0100644, name, &f.all.entries[blob].oid);
	entry = ph_test_pack_add(&f.all, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_release(&text);
	return entry;
}

static void send_pack(const uint32_t *entries, uint32_t count, const char *lines)
{
	flush(&request);
	pack_of(&f, entries, count, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, lines);
	again();
}

static void shallow_line(uint32_t entry)
{
	char line[80];

	snprintf(line, sizeof(line), "shallow %s", hex(&f, entry));
	pkt_text(&request, line);
}

static void expect_boundary(const uint32_t *entries, uint32_t count)
{
	struct ph_snapshot *now;
	const struct ph_oid *oids;

	assert_int_equal(ph_store_snapshot(f.store, "demo", &now), PH_OK);
	assert_int_equal(ph_snapshot_shallow(now, &oids), count);
	for (uint32_t i = 0; i < count; i++) {
		bool found = false;

		for (uint32_t j = 0; j < count; j++)
			found = found || ph_oid_equal(&oids[j], &f.all.entries[entries[i]].oid);
		assert_true(found);
	}
	ph_snapshot_release(now);
}

/* ---- capabilities ---- */

static void expect_caps(const char *caps)
{
	flush(&request);
	push(&f, "demo", &request, &answer);
	ph_test_buf_append(&answer.out, "", 1);
	assert_string_equal(
	        (const char *)answer.out.data + 4 + 40 + 1 + strlen("refs/heads/main") + 1, caps);
	again();
}

static enum ph_status draw(void *user, void *buf, size_t len)
{
	(void)user;
	memset(buf, 0xa5, len);
	return PH_OK;
}

static void test_capabilities(void **state)
{
	(void)state;
	/* The line's end, and the next packet behind it. */
	char rest[128], text[512];

	snprintf(rest, sizeof(rest),
	         "object-format=sha1 agent=packhorse/test\n003a%s refs/tags/v1\n0000",
	         hex(&f, f.tag));
	f.service.random = draw;
	snprintf(text, sizeof(text),
	         "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta "
	         "%s",
	         rest);
	expect_caps(text);
	set_config(&f, "demo", "receive.advertisepushoptions=true\ntransfer.advertisesid=true\n");
	snprintf(text, sizeof(text),
	         "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta "
	         "push-options session-id=a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 %s",
	         rest);
	expect_caps(text);
	set_config(&f, "demo",
	           "receive.advertiseatomic=false\nrepack.usedeltabaseoffset=false\n"
	           "transfer.advertisesid=true\n");
	/* Without random bytes there is no id. */
	f.service.random = NULL;
	snprintf(text, sizeof(text),
	         "report-status report-status-v2 delete-refs side-band-64k quiet %s", rest);
	expect_caps(text);
	/* What was not offered is not taken. */
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", CAPS " atomic");
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/none", NULL);
	send_pack(NULL, 0,
	          "unpack ok\nok refs/heads/a\n"
	          "ng refs/heads/none reference does not exist\n");
}

static void test_report_v2(void **state)
{
	(void)state;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a",
	        "report-status-v2 side-band-64k");
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_body(&answer, "002b\001000eunpack ok\n0014ok refs/heads/a\n00000000");
}

/* ---- push options ---- */

static enum ph_status see_options(void *user, const struct ph_push *push, const char **why)
{
	(void)user;
	(void)why;
	ph_test_buf_print(&seen, "%u:", push->options_count);
	for (uint32_t i = 0; i < push->options_count; i++)
		ph_test_buf_print(&seen, "[%s]", push->options[i]);
	return PH_OK;
}

static const struct ph_policy watcher = {.pre_receive = see_options};

static void options_request(void)
{
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", CAPS " push-options");
	flush(&request);
	pkt_text(&request, "ci.skip\n");
	pkt_text(&request, "");
	pkt_text(&request, "a=$(id);\x1b[31m\xff\n\n");
	flush(&request);
	pack_of(&f, NULL, 0, &request);
}

static void test_options(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		struct pump how = {.feed = (enum feed)(i % 3), .seed = i, .budget = 1 + i * 5};

		teardown(NULL);
		setup(NULL);
		f.service.policy = &watcher;
		set_config(&f, "demo", "receive.advertisepushoptions=true\n");
		ph_test_buf_clear(&seen);
		options_request();
		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
		expect_report(&answer, "unpack ok\nok refs/heads/a\n");
		ph_test_buf_append(&seen, "", 1);
		assert_string_equal(seen.data, "3:[ci.skip][][a=$(id);\x1b[31m\xff\n]");
	}
	again();
	/* None, but asked for; and with deletions alone, which have no pack. */
	command(&request, hex(&f, f.commit[0]), zero(&f), "refs/heads/a", CAPS " push-options");
	flush(&request);
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/a\n");
	ph_test_buf_append(&seen, "", 1);
	assert_string_equal(seen.data, "0:");
}

static void test_options_unasked(void **state)
{
	(void)state;
	/* Not offered, so asking for them is in vain: what follows is no pack. */
	options_request();
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack protocol error (pack signature mismatch detected)\n"
	                       "ng refs/heads/a unpacker error\n");
	again();
	/* Offered, and not asked for. */
	set_config(&f, "demo", "receive.advertisepushoptions=true\n");
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", CAPS);
	send_pack(NULL, 0, "unpack ok\nok refs/heads/a\n");
}

static void expect_death(const char *text)
{
	struct ph_test_buf before = {0}, after = {0};

	store_text(&f, &before);
	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.exit_status, 128);
	assert_true(says(&answer, text));
	store_text(&f, &after);
	assert_string_equal(before.data, after.data);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
	again();
}

static void begin_options(void)
{
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/a", CAPS " push-options");
	flush(&request);
}

static void test_options_hostile(void **state)
{
	char large[33];

	(void)state;
	set_config(&f, "demo", "receive.advertisepushoptions=true\n");
	f.limits.push_options_max = 3;
	f.limits.push_option_bytes_max = 32;
	begin_options();
	for (int i = 0; i < 4; i++)
		pkt_text(&request, "x");
	flush(&request);
	expect_death("ERR too many push options (push_options_max 3)");
	memset(large, 'x', sizeof(large));
	begin_options();
	pkt(&request, large, 33);
	expect_death("ERR too many bytes in a push option (push_option_bytes_max 32)");
	begin_options();
	pkt(&request, large, 32);
	pkt(&request, "a\0b", 3);
	expect_death("ERR protocol error: NUL byte in a push option");
	begin_options();
	ph_test_buf_append(&request, "0001", 4);
	expect_death("ERR protocol error: unexpected packet");
	begin_options();
	ph_test_buf_append(&request, "0003", 4);
	expect_death("ERR protocol error: bad packet length");
	begin_options();
	pkt_text(&request, "ERR no");
	expect_death("ERR the client reported an error");
	begin_options();
	pkt_text(&request, "half");
	expect_death("ERR the client hung up unexpectedly");
}

/* ---- shallow pushes ---- */

/* A history whose first commit is not sent: base is the client's boundary, on it stands tip. */
static void make_cut(uint32_t *base, uint32_t *tip)
{
	uint32_t lost = add_commit(f.tree[0], NO_PARENT, 1600000000);

	*base = add_commit(f.tree[1], lost, 1600000060);
	*tip = add_commit(f.tree[0], *base, 1600000120);
}

static void test_shallow_refused(void **state)
{
	uint32_t entries[2];

	(void)state;
	make_cut(&entries[0], &entries[1]);
	shallow_line(entries[0]);
	command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/cut", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/whole", NULL);
	send_pack(entries, 2,
	          "unpack ok\nng refs/heads/cut shallow update not allowed\n"
	          "ok refs/heads/whole\n");
	expect_boundary(NULL, 0);
	/* More is missing than what the boundary explains. */
	shallow_line(entries[0]);
	command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/cut", CAPS);
	send_pack(&entries[1], 1, "unpack ok\nng refs/heads/cut missing necessary objects\n");
	/* Boundaries that are no commits, or nowhere. */
	shallow_line(f.blob[0]);
	pkt_text(&request, "shallow 7777777777777777777777777777777777777777");
	command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/cut", CAPS);
	send_pack(entries, 2, "unpack ok\nng refs/heads/cut missing necessary objects\n");
	expect_boundary(NULL, 0);
}

static void test_shallow_taken(void **state)
{
	uint32_t entries[2], more;

	(void)state;
	make_cut(&entries[0], &entries[1]);
	more = add_commit(f.tree[1], entries[1], 1600000180);
	set_config(&f, "demo", "receive.shallowupdate=true\n");
	shallow_line(f.commit[1]);
	shallow_line(entries[0]);
	shallow_line(entries[0]);
	command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/cut", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/whole", NULL);
	send_pack(entries, 2, "unpack ok\nok refs/heads/cut\nok refs/heads/whole\n");
	expect_boundary(entries, 1);
	/* From now on it is the repository's: nobody has to name it. */
	set_config(&f, "demo", "receive.denynonfastforwards=true\n");
	command(&request, hex(&f, entries[1]), hex(&f, more), "refs/heads/cut", CAPS);
	send_pack(&more, 1, "unpack ok\nok refs/heads/cut\n");
	command(&request, hex(&f, more), hex(&f, entries[1]), "refs/heads/cut", CAPS);
	send_pack(NULL, 0, "unpack ok\nng refs/heads/cut non-fast-forward\n");
	expect_boundary(entries, 1);
}

/* The boundary and the ref are one transaction; whatever is refused leaves none. */
static void test_shallow_conflicts(void **state)
{
	uint32_t entries[2];

	(void)state;
	make_cut(&entries[0], &entries[1]);
	set_config(&f, "demo", "receive.shallowupdate=true\n");
	shallow_line(entries[0]);
	command(&request, hex(&f, f.commit[0]), hex(&f, entries[1]), "refs/heads/main", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/whole", NULL);
	send_pack(entries, 2,
	          "unpack ok\nng refs/heads/main incorrect old value provided\n"
	          "ok refs/heads/whole\n");
	expect_boundary(NULL, 0);
}

/* A client cannot cut off what others have pushed. */
static void test_shallow_of_others(void **state)
{
	uint32_t next = add_commit(f.tree[0], f.commit[1], 1700000600);

	(void)state;
	set_config(&f, "demo", "receive.shallowupdate=true\n");
	shallow_line(f.commit[1]);
	shallow_line(next);
	command(&request, hex(&f, f.commit[1]), hex(&f, next), "refs/heads/main", CAPS);
	send_pack(&next, 1, "unpack ok\nok refs/heads/main\n");
	expect_boundary(NULL, 0);
}

static void test_shallow_pieces(void **state)
{
	uint32_t entries[2];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct pump how = {.feed = (enum feed)(i % 3), .seed = i, .budget = 1 + i};

		teardown(NULL);
		setup(NULL);
		make_cut(&entries[0], &entries[1]);
		set_config(&f, "demo", "receive.shallowupdate=1\n");
		for (int line = 0; line < 40; line++)
			shallow_line(line % 2 ? entries[0] : f.commit[0]);
		command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/cut", CAPS);
		flush(&request);
		pack_of(&f, entries, 2, &request);
		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
		expect_report(&answer, "unpack ok\nok refs/heads/cut\n");
		expect_boundary(entries, 1);
	}
}

static void test_shallow_new_repository(void **state)
{
	uint32_t entries[4] = {f.blob[1], f.tree[1], f.commit[1], f.tag};
	char server[] = "receive.shallowupdate=true\n";
	struct ph_snapshot *now;
	const struct ph_oid *oids;

	(void)state;
	assert_int_equal(ph_store_setting_set(f.store, "config", server, strlen(server)), PH_OK);
	shallow_line(f.commit[1]);
	command(&request, zero(&f), hex(&f, f.tag), "refs/tags/v1", CAPS);
	flush(&request);
	pack_of(&f, entries, 4, &request);
	push(&f, "other", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/tags/v1\n");
	assert_int_equal(ph_store_snapshot(f.store, "other", &now), PH_OK);
	assert_int_equal(ph_snapshot_shallow(now, &oids), 1);
	assert_true(ph_oid_equal(oids, &f.all.entries[f.commit[1]].oid));
	ph_snapshot_release(now);
}

/* ---- the size of a pack ---- */

static void test_size(void **state)
{
	struct ph_test_buf pack = {0};
	char text[64];

	(void)state;
	pack_all(&f, &pack);
	for (unsigned i = 0; i < 12; i++) {
		struct pump how = {.feed = (enum feed)(i % 3), .seed = i};
		bool fits = i >= 6;

		teardown(NULL);
		setup(NULL);
		snprintf(text, sizeof(text), "receive.maxinputsize=%u\n",
		         (unsigned)pack.len - !fits - (i < 3 ? 12 : 0));
		set_config(&f, "demo", text);
		command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/x", CAPS);
		flush(&request);
		ph_test_buf_append(&request, pack.data, pack.len);
		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
		expect_report(&answer, fits ? "unpack ok\nok refs/heads/x\n"
		                            : "unpack pack exceeds maximum allowed size\n"
		                              "ng refs/heads/x unpacker error\n");
		assert_int_equal(says(&answer, "fatal: pack exceeds maximum allowed size"), !fits);
	}
	ph_test_buf_release(&pack);
}

/* ---- the configuration changes while a client types ---- */

static void test_config_meanwhile(void **state)
{
	struct ph_session *session;
	struct pump how = {.feed = FEED_AT_ONCE};
	size_t len;

	(void)state;
	assert_int_equal(ph_receive_pack_new(&session, &f.service, "demo", 0), PH_OK);
	ph_session_run(session, 1, 1, 100000);
	assert_non_null(ph_session_output_buf(session, PH_STREAM_OUT, &len));
	assert_true(len > 0);
	set_config(&f, "demo", "receive.denydeletes=true\nreceive.advertiseatomic=false\n");
	command(&request, hex(&f, f.tag), zero(&f), "refs/tags/v1", CAPS " atomic");
	command(&request, hex(&f, f.commit[1]), zero(&f), "refs/heads/main", NULL);
	flush(&request);
	pump(&f, session, &how, &request, &answer);
	/* What was offered stays offered. */
	expect_report(&answer, "unpack ok\nng refs/tags/v1 atomic push failure\n"
	                       "ng refs/heads/main deletion prohibited\n");
}

/* ---- the current branch ---- */

static void delete_main(const char *lines)
{
	command(&request, hex(&f, f.commit[1]), zero(&f), "refs/heads/main", CAPS);
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, lines);
}

static void test_current(void **state)
{
	static const char refused[] =
	        "unpack ok\nng refs/heads/main deletion of the current branch prohibited\n";

	(void)state;
	delete_main(refused);
	assert_true(says(&answer, "To squelch this message, you can set it to 'refuse'."));
	again();
	set_config(&f, "demo", "receive.denydeletecurrent=refuse\n");
	delete_main(refused);
	assert_false(says(&answer, "To squelch"));
	assert_true(says(&answer, "error: refusing to delete the current branch: refs/heads/main"));
	again();
	set_config(&f, "demo", "receive.denydeletecurrent=warn\n");
	delete_main("unpack ok\nok refs/heads/main\n");
	assert_true(says(&answer, "warning: deleting the current branch"));
	assert_string_equal(ref_value(&f, "demo", "HEAD"), "refs/heads/main");
}

/* ---- hidden refs ---- */

/* A secret blob, its tree and commit, reachable from refs/hide/x alone. */
static uint32_t hide_secret(uint32_t *tree, uint32_t *blob)
{
	uint32_t entries[3];

	*blob = entries[0] = ph_test_pack_add(&f.all, PH_OBJ_BLOB, "a secret\n", 9);
	*tree = entries[1] = add_tree(*blob, "secret");
	entries[2] = add_commit(*tree, NO_PARENT, 1650000000);
	command(&request, zero(&f), hex(&f, entries[2]), "refs/hide/x", CAPS);
	send_pack(entries, 3, "unpack ok\nok refs/hide/x\n");
	return entries[2];
}

static void test_hidden_ids(void **state)
{
	uint32_t tree, blob, secret = hide_secret(&tree, &blob), names, on_top, fine;
	uint32_t entries[3];

	(void)state;
	names = add_tree(blob, "mine");
	on_top = add_commit(f.tree[0], secret, 1700001000);
	fine = add_commit(f.tree[0], f.commit[0], 1700001000);
	entries[0] = names;
	entries[1] = add_commit(names, f.commit[1], 1700001000);
	set_config(&f, "demo", "receive.hiderefs=refs/hide\n");
	/* Its id, a commit on top of it, a tree with it: as of objects that are not here. */
	command(&request, zero(&f), hex(&f, secret), "refs/heads/a", CAPS);
	command(&request, zero(&f), hex(&f, on_top), "refs/heads/b", NULL);
	command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/c", NULL);
	command(&request, zero(&f), hex(&f, fine), "refs/heads/d", NULL);
	command(&request, zero(&f), hex(&f, f.tag), "refs/tags/e", NULL);
	flush(&request);
	entries[2] = on_top;
	{
		const uint32_t sent[] = {entries[0], entries[1], on_top, fine};

		pack_of(&f, sent, 4, &request);
	}
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nng refs/heads/a missing necessary objects\n"
	                       "ng refs/heads/b missing necessary objects\n"
	                       "ng refs/heads/c missing necessary objects\n"
	                       "ok refs/heads/d\nok refs/tags/e\n");
	again();
	/* Who has the content may send it. */
	entries[2] = blob;
	command(&request, zero(&f), hex(&f, entries[1]), "refs/heads/c", CAPS);
	send_pack(entries, 3, "unpack ok\nok refs/heads/c\n");
	/* Where nothing is hidden git's rules hold. */
	set_config(&f, "demo", "\n");
	command(&request, zero(&f), hex(&f, on_top), "refs/heads/b", CAPS);
	send_pack(&on_top, 1, "unpack ok\nok refs/heads/b\n");
}

/* Sends a blob as a delta to another, and a commit with it. */
static void push_thin(uint32_t base, const char *lines)
{
	const struct ph_test_entry *entry = &f.all.entries[base];
	struct ph_test_pack thin;
	struct ph_test_buf text = {0};
	char content[64];
	uint32_t blob, tree, commit;

	snprintf(content, sizeof(content), "%.*s and more", (int)entry->size,
	         (const char *)entry->data);
	ph_test_pack_init(&thin, f.algo);
	blob = ph_test_pack_add_thin(&thin, PH_OBJ_BLOB, &entry->oid, entry->data, entry->size,
	                             content, strlen(content));
	ph_test_tree_entry(&text, f.algo, 0100644, "file", &thin.entries[blob].oid);
	tree = ph_test_pack_add(&thin, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, f.algo, &thin.entries[tree].oid, NULL, 0, 1700002000, "thin\n");
	commit = ph_test_pack_add(&thin, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_oid_to_hex(content, f.algo, &thin.entries[commit].oid);
	command(&request, zero(&f), content, "refs/heads/thin", CAPS);
	flush(&request);
	ph_test_packfile(&thin, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, lines);
	ph_test_pack_release(&thin);
	ph_test_buf_release(&text);
}

static void test_hidden_bases(void **state)
{
	uint32_t tree, blob, missing;

	(void)state;
	hide_secret(&tree, &blob);
	set_config(&f, "demo", "transfer.hiderefs=refs/hide\n");
	push_thin(blob, "unpack unresolved deltas\nng refs/heads/thin unpacker error\n");
	assert_true(says(&answer, "error: unresolved deltas"));
	again();
	/* Just as for what nobody has. */
	missing = ph_test_pack_add(&f.all, PH_OBJ_BLOB, "nowhere\n", 8);
	push_thin(missing, "unpack unresolved deltas\nng refs/heads/thin unpacker error\n");
	assert_true(says(&answer, "error: unresolved deltas"));
	again();
	push_thin(f.blob[1], "unpack ok\nok refs/heads/thin\n");
	again();
}

/* Whether a hidden object exists is not told by a deletion either. */
static void test_hidden_deletion(void **state)
{
	uint32_t tree, blob, secret = hide_secret(&tree, &blob);

	(void)state;
	set_config(&f, "demo", "receive.hiderefs=refs/hide\n");
	for (int i = 0; i < 2; i++) {
		command(&request, i ? hex(&f, secret) : "7777777777777777777777777777777777777777",
		        zero(&f), "refs/heads/none", CAPS);
		flush(&request);
		push(&f, "demo", &request, &answer);
		expect_report(&answer, "unpack ok\nok refs/heads/none\n");
		assert_true(says(&answer, "warning: deleting a non-existent ref"));
		again();
	}
}

/* ---- hidden refs, and a map that is damaged ---- */

#define MAPPED_COMMITS 300u

/* Pushes a history to a repository of its own; the last entry is its tip. */
static void push_mapped(uint32_t *entries, uint32_t *old_tree)
{
	uint32_t n = 0, parent = NO_PARENT;

	for (uint32_t i = 0; i < MAPPED_COMMITS; i++) {
		char text[16];

		snprintf(text, sizeof(text), "m%u\n", i);
		entries[n] = ph_test_pack_add(&f.all, PH_OBJ_BLOB, text, strlen(text));
		entries[n + 1] = add_tree(entries[n], "m");
		entries[n + 2] = parent = add_commit(entries[n + 1], parent, 1600000000 + i);
		n += 3;
	}
	*old_tree = entries[3 * 3 + 1];
	command(&request, zero(&f), hex(&f, parent), "refs/heads/main", CAPS);
	flush(&request);
	pack_of(&f, entries, n, &request);
	push(&f, "mapped", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	again();
}

static void make_map(struct ph_snapshot *base, uint32_t tip, struct ph_test_sink *out)
{
	struct ph_map_options options = {.source = ph_snapshot_source(base),
	                                 .sink = &out->sink,
	                                 .alloc = &f.memory.alloc,
	                                 .limits = &f.limits};
	struct ph_map_maker *maker;
	enum ph_status status = PH_AGAIN;

	ph_test_sink_init(out);
	assert_int_equal(ph_map_maker_new(&maker, &options), PH_OK);
	assert_int_equal(ph_map_maker_tip(maker, &f.all.entries[tip].oid), PH_OK);
	while (status == PH_AGAIN) {
		uint32_t budget = 1000;

		status = ph_map_maker_run(maker, &budget);
	}
	assert_int_equal(status, PH_OK);
	ph_map_maker_free(maker);
}

static void attach_map(const struct ph_test_buf *map)
{
	struct ph_snapshot *base;
	struct ph_txn *txn = begin_change(&f, "mapped");
	struct ph_sink *sink;

	assert_int_equal(ph_store_snapshot(f.store, "mapped", &base), PH_OK);
	assert_int_equal(ph_txn_attach(txn, ph_snapshot_pack_id(base, 0), PH__SECTION_MAP, &sink),
	                 PH_OK);
	assert_int_equal(sink->ops->append(sink, map->data, map->len), PH_OK);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	commit_change(txn);
	ph_snapshot_release(base);
}

/* Wherever the map is damaged, a revert to an old tree, which is looked for with it, goes in. */
static void test_hidden_damaged_map(void **state)
{
	uint32_t entries[3 * MAPPED_COMMITS], tip, tree, revert;
	struct ph_snapshot *base;
	struct ph_txn *txn;
	struct ph_test_sink map;

	(void)state;
	push_mapped(entries, &tree);
	tip = entries[3 * MAPPED_COMMITS - 1];
	revert = add_commit(tree, tip, 1700000000);
	assert_int_equal(ph_store_snapshot(f.store, "mapped", &base), PH_OK);
	/* Only an old commit has a bitmap: from the tip to there commits are read. */
	make_map(base, entries[MAPPED_COMMITS / 2 * 3 + 2], &map);
	ph_snapshot_release(base);
	set_config(&f, "mapped", "receive.hiderefs=refs/hide\n");
	/* A boundary has the walk do without bitmaps, so that they are read after it alone. */
	txn = begin_change(&f, "mapped");
	assert_int_equal(ph_txn_set_shallow(txn, &f.all.entries[entries[2]].oid, 1), PH_OK);
	commit_change(txn);
	for (size_t i = 100; i < map.buf.len; i += 509) {
		map.buf.data[i] ^= 1;
		attach_map(&map.buf);
		map.buf.data[i] ^= 1;
		command(&request, zero(&f), hex(&f, revert), "refs/heads/x", CAPS);
		flush(&request);
		pack_of(&f, &revert, 1, &request);
		push(&f, "mapped", &request, &answer);
		expect_report(&answer, "unpack ok\nok refs/heads/x\n");
		again();
		command(&request, hex(&f, revert), zero(&f), "refs/heads/x", CAPS);
		flush(&request);
		push(&f, "mapped", &request, &answer);
		again();
	}
	ph_test_sink_release(&map);
}

/* ---- first pushes, of which all is in the pack ---- */

/* Tips in the note of the first pack; UINT32_MAX when there is none. */
static uint32_t noted(const char *repo, struct ph_oid *first)
{
	struct ph_snapshot *now;
	const struct ph_bytes *section;
	struct ph__tips tips = {.tips = UINT32_MAX};
	uint32_t entries;
	uint64_t bytes;

	assert_int_equal(ph_store_snapshot(f.store, repo, &now), PH_OK);
	ph_snapshot_source(now)->ops->pack_size(ph_snapshot_source(now), 0, &entries, &bytes);
	section = ph_snapshot_section(now, 0, PH__SECTION_TIPS);
	if (section) {
		assert_int_equal(ph__tips_open(&tips, section, f.algo, entries), PH_OK);
		assert_int_equal(ph__tips_tip(&tips, 0, first), PH_OK);
		assert_int_equal(tips.copies, 0);
	}
	ph_snapshot_release(now);
	return tips.tips;
}

static void test_closed(void **state)
{
	struct ph_oid tip;

	(void)state;
	f.service.random = draw;
	for (unsigned i = 0; i < 6; i++) {
		struct pump how = {.feed = (enum feed)(i % 3), .seed = i, .budget = 1 + i};
		char repo[] = "new0";

		repo[3] = (char)('0' + i);
		again();
		command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", CAPS);
		command(&request, zero(&f), "7777777777777777777777777777777777777777",
		        "refs/heads/lost", NULL);
		command(&request, zero(&f), hex(&f, f.tag), "refs/tags/v1", NULL);
		command(&request, zero(&f), hex(&f, f.tree[0]), "refs/heads/tree", NULL);
		flush(&request);
		pack_all(&f, &request);
		assert_int_equal(push_how(&f, repo, 0, &how, &request, &answer), PH_OK);
		expect_report(&answer, "unpack ok\nok refs/heads/main\n"
		                       "ng refs/heads/lost missing necessary objects\n"
		                       "ok refs/tags/v1\n"
		                       "ng refs/heads/tree invalid new value provided\n");
		assert_int_equal(noted(repo, &tip), 1);
		assert_true(ph_oid_equal(&tip, &f.all.entries[f.tag].oid));
	}
}

/* One that is not closed is walked for, as ever. */
static void test_not_closed(void **state)
{
	uint32_t some[] = {f.blob[0], f.tree[0], f.commit[0], f.tree[1], f.commit[1]};
	struct ph_oid tip;

	(void)state;
	f.service.random = draw;
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/old", NULL);
	flush(&request);
	pack_of(&f, some, 5, &request);
	push(&f, "new", &request, &answer);
	expect_report(&answer, "unpack ok\nng refs/heads/main missing necessary objects\n"
	                       "ok refs/heads/old\n");
	assert_int_equal(noted("new", &tip), UINT32_MAX);
	again();
	/* An empty pack is no proof of anything. */
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", CAPS);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "empty", &request, &answer);
	expect_report(&answer, "unpack ok\nng refs/heads/main missing necessary objects\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_capabilities),
	        T(test_report_v2),
	        T(test_options),
	        T(test_options_unasked),
	        T(test_options_hostile),
	        T(test_shallow_refused),
	        T(test_shallow_taken),
	        T(test_shallow_conflicts),
	        T(test_shallow_of_others),
	        T(test_shallow_pieces),
	        T(test_shallow_new_repository),
	        T(test_size),
	        T(test_config_meanwhile),
	        T(test_current),
	        T(test_hidden_ids),
	        T(test_hidden_bases),
	        T(test_hidden_deletion),
	        T(test_hidden_damaged_map),
	        T(test_closed),
	        T(test_not_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
