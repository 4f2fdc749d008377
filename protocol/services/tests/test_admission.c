/* SPDX-License-Identifier: MIT */
/*
 * Sessions and the budget of memory: what a transfer takes at most is what it claimed, over a range
 * of repositories; who finds the budget taken waits, is told so, and is served in his turn; who
 * goes away leaves nothing behind; and what no budget can hold is refused in plain words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "map_section_int.h"
#include "support.h"

#include <packhorse/map.h>
#include <packhorse/pkt.h>
#include <packhorse/service.h>
#include <packhorse/store_mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define ZERO "0000000000000000000000000000000000000000"
#define CLIENTS_MAX 6u

struct history {
	struct ph_test_pack pack;
	struct ph_oid tip;
	char tip_hex[PH_OID_HEX_MAX + 1];
	char old_hex[PH_OID_HEX_MAX + 1]; /* an ancestor */
};

struct world {
	struct ph_test_alloc store_memory;
	struct ph_limits limits;
	struct ph_memory *memory;
	struct ph_store *store;
};

struct client {
	struct world *world;
	struct ph_test_alloc memory;
	struct ph_service service;
	struct ph_session *session;
	struct ph_test_buf in, out, err;
	size_t given;
	uint64_t now_ms, claimed;
	unsigned wakes;
	bool ends, ended; /* its side, behind what it says */
};

/* ---- histories ---- */

static uint32_t add_blob(struct history *h, struct ph_test_rng *rng, size_t bytes, bool random,
                         uint32_t base)
{
	struct ph_test_buf text = {0};
	uint8_t *data = malloc(bytes + 1);
	uint32_t entry;

	if (base == UINT32_MAX) {
		if (random)
			ph_test_rng_fill(rng, data, bytes);
		else
			ph_test_rng_text(rng, data, bytes);
		ph_test_buf_append(&text, data, bytes);
	} else {
		ph_test_buf_append(&text, h->pack.entries[base].data, h->pack.entries[base].size);
	}
	ph_test_buf_print(&text, "%u\n", ph_test_rng_below(rng, 1000000));
	if (base == UINT32_MAX)
		entry = ph_test_pack_add(&h->pack, PH_OBJ_BLOB, text.data, text.len);
	else
		entry = ph_test_pack_add_ofs(&h->pack, base, text.data, text.len);
	ph_test_buf_release(&text);
	free(data);
	return entry;
}

/* A directory of many files, all the same blob but the last. */
static uint32_t add_tree(struct history *h, uint32_t same, uint32_t last, uint32_t files)
{
	struct ph_test_buf text = {0};
	uint32_t entry;

	for (uint32_t i = 0; i <= files; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%07u", i);
		ph_test_tree_entry(&text, PH_HASH_SHA1, 0100644, name,
		                   &h->pack.entries[i < files ? same : last].oid);
	}
	entry = ph_test_pack_add(&h->pack, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_release(&text);
	return entry;
}

/* Commits one after the other, each with a new version of one file among others. */
static void history_make(struct history *h, uint32_t commits, uint32_t files, size_t bytes,
                         bool random)
{
	struct ph_test_rng rng;
	struct ph_test_buf text = {0};
	uint32_t first, last = UINT32_MAX, parent = 0;

	ph_test_rng_init(&rng, commits * 31 + files);
	ph_test_pack_init(&h->pack, PH_HASH_SHA1);
	first = add_blob(h, &rng, 100, false, UINT32_MAX);
	for (uint32_t i = 0; i < commits; i++) {
		uint32_t tree;

		last = add_blob(h, &rng, bytes, random, random ? UINT32_MAX : last);
		tree = add_tree(h, first, last, files);
		ph_test_buf_clear(&text);
		ph_test_commit_text(&text, PH_HASH_SHA1, &h->pack.entries[tree].oid,
		                    i ? &h->pack.entries[parent].oid : NULL, i > 0, 1000 + i,
		                    "more\n");
		parent = ph_test_pack_add(&h->pack, PH_OBJ_COMMIT, text.data, text.len);
		if (i == commits / 2)
			ph_oid_to_hex(h->old_hex, PH_HASH_SHA1, &h->pack.entries[parent].oid);
	}
	h->tip = h->pack.entries[parent].oid;
	ph_oid_to_hex(h->tip_hex, PH_HASH_SHA1, &h->tip);
	ph_test_buf_release(&text);
}

/* ---- the world ---- */

static void world_open(struct world *w, uint64_t limits_for, uint64_t bytes)
{
	struct ph_store_mem_options options = {.alloc = &w->store_memory.alloc,
	                                       .limits = &w->limits};

	memset(w, 0, sizeof(*w));
	ph_test_alloc_init(&w->store_memory);
	ph_limits_init(&w->limits);
	ph_limits_for_memory(&w->limits, limits_for);
	assert_int_equal(ph_memory_new(&w->memory, &w->store_memory.alloc, bytes, NULL), PH_OK);
	assert_int_equal(ph_store_mem_new(&w->store, &options), PH_OK);
}

static void world_close(struct world *w)
{
	struct ph_memory_counts counts;

	ph_memory_counts(w->memory, &counts);
	assert_int_equal(counts.claimed, 0);
	assert_int_equal(counts.running + counts.waiting, 0);
	ph_memory_free(w->memory);
	ph_store_close(w->store);
	assert_int_equal(w->store_memory.live, 0);
}

/* The same store with another budget. */
static void world_budget(struct world *w, uint64_t bytes)
{
	ph_memory_free(w->memory);
	assert_int_equal(ph_memory_new(&w->memory, &w->store_memory.alloc, bytes, NULL), PH_OK);
}

/* ---- clients ---- */

static void on_wake(void *user, struct ph_session *session)
{
	struct client *c = user;

	(void)session;
	c->wakes++;
}

static enum ph_status draw(void *user, void *buf, size_t len)
{
	(void)user;
	memset(buf, 7, len);
	return PH_OK;
}

static void client_open(struct client *c, struct world *w, const char *command,
                        const char *protocol)
{
	struct ph_request request;

	memset(c, 0, sizeof(*c));
	ph_test_alloc_init(&c->memory);
	c->world = w;
	c->service = (struct ph_service){.store = w->store,
	                                 .alloc = &c->memory.alloc,
	                                 .limits = &w->limits,
	                                 .memory = w->memory,
	                                 .permission = PH_PERM_OWNER,
	                                 .identity = "alice",
	                                 .wake_user = c,
	                                 .wake = on_wake,
	                                 .random = draw,
	                                 .agent = "packhorse/test"};
	assert_int_equal(ph_request_parse(&request, command, strlen(command), protocol), PH_OK);
	assert_int_equal(ph_service_open(&c->session, &c->service, &request), PH_OK);
}

static void client_close(struct client *c)
{
	ph_session_free(c->session);
	assert_int_equal(c->memory.live, 0);
	ph_test_buf_release(&c->in);
	ph_test_buf_release(&c->out);
	ph_test_buf_release(&c->err);
}

static bool feed(struct client *c)
{
	size_t room, left = c->in.len - c->given;
	uint8_t *buf = left ? ph_session_input_buf(c->session, &room) : NULL;

	if (left == 0 && c->ends && !c->ended) {
		ph_session_input_eof(c->session);
		c->ended = true;
		return true;
	}
	if (!buf)
		return false;
	if (room > left)
		room = left;
	memcpy(buf, c->in.data + c->given, room);
	ph_session_input_ack(c->session, room);
	c->given += room;
	return true;
}

static bool take(struct client *c, enum ph_stream stream, struct ph_test_buf *to)
{
	size_t len;
	const uint8_t *data = ph_session_output_buf(c->session, stream, &len);

	if (len == 0)
		return false;
	ph_test_buf_append(to, data, len);
	ph_session_output_ack(c->session, stream, len);
	return true;
}

/* Drives it as far as it goes; with taking unset its output is left where it is. */
static void client_drive(struct client *c, bool taking)
{
	bool progress = true;

	while (progress) {
		struct ph_memory_counts counts;

		progress = feed(c);
		if (take(c, PH_STREAM_ERR, &c->err))
			progress = true;
		if (taking && take(c, PH_STREAM_OUT, &c->out))
			progress = true;
		if (ph_session_state(c->session) & PH_WANT_RUN ||
		    ph_session_deadline(c->session) <= c->now_ms) {
			/* One step at a time, so that no claim comes and goes unseen. */
			ph_session_run(c->session, c->now_ms, 0, 1);
			progress = true;
		}
		ph_memory_counts(c->world->memory, &counts);
		if (counts.claimed > c->claimed)
			c->claimed = counts.claimed;
	}
}

static bool is_done(const struct client *c)
{
	return ph_session_state(c->session) & PH_DONE;
}

static bool is_waiting(const struct client *c)
{
	return (ph_session_state(c->session) & (PH_WAITING | PH_WANT_RUN | PH_DONE)) == PH_WAITING;
}

static bool says(const struct ph_test_buf *buf, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i + len <= buf->len; i++)
		if (memcmp(buf->data + i, text, len) == 0)
			return true;
	return false;
}

static void say(struct client *c, const char *format, ...) PH_PRINTF(2, 3);

/* A line as a packet; two together with "0000" and "0001" for the special ones. */
static void say(struct client *c, const char *format, ...)
{
	uint8_t header[4];
	char line[400];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_true(len > 0 && (size_t)len < sizeof(line));
	if (strcmp(line, "0000") != 0 && strcmp(line, "0001") != 0) {
		ph_pkt_header(header, (size_t)len);
		ph_test_buf_append(&c->in, header, 4);
	}
	ph_test_buf_append(&c->in, line, (size_t)len);
}

enum clone_kind { CLONE_V2, CLONE_V0, CLONE_SHALLOW, CLONE_HALF, CLONE_FILTER };

static void clone_open(struct client *c, struct world *w, const struct history *h,
                       enum clone_kind kind)
{
	client_open(c, w, "git-upload-pack 'r'", kind == CLONE_V0 ? NULL : "version=2");
	if (kind == CLONE_V0) {
		say(c, "want %s side-band-64k ofs-delta multi_ack_detailed\n", h->tip_hex);
		say(c, "0000");
		say(c, "have %s\n", h->old_hex);
		say(c, "have %s\n", ZERO);
		say(c, "0000");
		say(c, "done\n");
		return;
	}
	say(c, "command=fetch");
	say(c, "0001");
	say(c, "want %s\n", h->tip_hex);
	say(c, "include-tag\n");
	if (kind != CLONE_HALF)
		say(c, "ofs-delta\n");
	if (kind == CLONE_HALF)
		say(c, "have %s\n", h->old_hex);
	if (kind == CLONE_SHALLOW)
		say(c, "deepen 2\n");
	if (kind == CLONE_FILTER)
		say(c, "filter blob:none\n");
	say(c, "done\n");
	say(c, "0000");
	c->ends = true;
}

static void push_open(struct client *c, struct world *w, const struct history *h, const char *repo)
{
	char command[64], line[300];
	uint8_t header[4];
	int len;

	snprintf(command, sizeof(command), "git-receive-pack '%s'", repo);
	client_open(c, w, command, NULL);
	len = snprintf(line, sizeof(line), "%s %s refs/heads/main%c report-status side-band-64k",
	               ZERO, h->tip_hex, 0);
	ph_pkt_header(header, (size_t)len);
	ph_test_buf_append(&c->in, header, 4);
	ph_test_buf_append(&c->in, line, (size_t)len);
	say(c, "0000");
	ph_test_packfile(&h->pack, &c->in);
}

static void push_whole(struct world *w, const struct history *h, const char *repo,
                       uint64_t *claimed, int64_t *peak)
{
	struct client c;

	push_open(&c, w, h, repo);
	client_drive(&c, true);
	assert_true(is_done(&c));
	assert_true(says(&c.out, "ok refs/heads/main"));
	*claimed = c.claimed;
	*peak = c.memory.peak_bytes;
	client_close(&c);
}

/* Gives the repository's pack a map. */
static void make_map(struct world *w, const struct history *h, const char *repo)
{
	struct ph_snapshot *base;
	struct ph_txn *txn;
	struct ph_map_options options = {.alloc = &w->store_memory.alloc, .limits = &w->limits};
	struct ph_map_maker *maker;
	enum ph_status status;

	assert_int_equal(ph_store_snapshot(w->store, repo, &base), PH_OK);
	assert_int_equal(ph_store_begin(w->store, base, &txn), PH_OK);
	assert_int_equal(
	        ph_txn_attach(txn, ph_snapshot_pack_id(base, 0), PH__SECTION_MAP, &options.sink),
	        PH_OK);
	options.source = ph_snapshot_source(base);
	assert_int_equal(ph_map_maker_new(&maker, &options), PH_OK);
	assert_int_equal(ph_map_maker_tip(maker, &h->tip), PH_OK);
	do {
		uint32_t budget = 1000;

		status = ph_map_maker_run(maker, &budget);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
	ph_map_maker_free(maker);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(base);
}

/* ---- claims hold ---- */

static void check_clones(struct world *w, const struct history *h)
{
	for (int kind = CLONE_V2; kind <= CLONE_FILTER; kind++) {
		struct client c;

		clone_open(&c, w, h, (enum clone_kind)kind);
		client_drive(&c, true);
		assert_true(is_done(&c));
		assert_int_equal(ph_session_exit_status(c.session), 0);
		assert_true(says(&c.out, "PACK"));
		assert_true(c.claimed > 0);
		assert_true((uint64_t)c.memory.peak_bytes <= c.claimed);
		client_close(&c);
	}
}

static void check_claims(uint32_t commits, uint32_t files, size_t bytes, bool random,
                         uint64_t limits_for)
{
	struct history h;
	struct world w;
	uint64_t claimed;
	int64_t peak;

	history_make(&h, commits, files, bytes, random);
	world_open(&w, limits_for, UINT64_MAX);
	push_whole(&w, &h, "r", &claimed, &peak);
	assert_true(claimed > 0);
	assert_true((uint64_t)peak <= claimed);
	check_clones(&w, &h);
	make_map(&w, &h, "r");
	check_clones(&w, &h);
	world_close(&w);
	ph_test_pack_release(&h.pack);
}

static void test_claims_hold(void **state)
{
	static const uint64_t machines[] = {6 * MIB, 52 * MIB, 4096 * MIB};

	(void)state;
	for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++) {
		check_claims(1, 1, 10, false, machines[i]);
		check_claims(400, 5, 2000, false, machines[i]);
		check_claims(40, 3000, 5000, false, machines[i]);
		check_claims(30, 20, 300000, true, machines[i]);
		check_claims(2000, 2, 40, true, machines[i]);
	}
	/* The largest tree that is reckoned with, in versions. */
	check_claims(6, 100000, 20, false, 4096 * MIB);
	check_claims(6, 35000, 2000000, false, 52 * MIB);
}

/* What a machine of 64 MB has for transfers takes four ordinary ones; one of 16 MB takes one. */
static void test_four_fit(void **state)
{
	static const uint64_t fits[2] = {26 * MIB / 4, 5 * MIB};
	struct history h;
	uint64_t claimed;
	int64_t peak;

	(void)state;
	history_make(&h, 500, 20, 2000, false);
	for (int i = 0; i < 2; i++) {
		struct world w;
		struct client c;

		world_open(&w, i ? 5 * MIB : 26 * MIB, UINT64_MAX);
		push_whole(&w, &h, "r", &claimed, &peak);
		assert_true(claimed <= fits[i]);
		clone_open(&c, &w, &h, CLONE_V2);
		client_drive(&c, true);
		assert_true(c.claimed > 0);
		assert_true(c.claimed <= fits[i]);
		client_close(&c);
		world_close(&w);
	}
	ph_test_pack_release(&h.pack);
}

/* What lets a first pack be proven without a walk is left out where it would never fit. */
static void test_links_give_way(void **state)
{
	struct history h;
	struct world w;
	uint64_t claimed, less;
	int64_t peak;

	(void)state;
	history_make(&h, 2000, 2, 40, true);
	world_open(&w, 52 * MIB, UINT64_MAX);
	push_whole(&w, &h, "r", &claimed, &peak);
	world_budget(&w, claimed - 1);
	push_whole(&w, &h, "other", &less, &peak);
	assert_true(less < claimed);
	assert_true((uint64_t)peak <= less);
	world_close(&w);
	ph_test_pack_release(&h.pack);
}

/* ---- waiting ---- */

static struct history large;
static struct world world;
static struct ph_test_buf reference;

/* A repository whose pack does not fit into a session's output, so that clones can be held. */
static int setup(void **state)
{
	struct client c;
	uint64_t claimed;
	int64_t peak;

	(void)state;
	history_make(&large, 4, 3, 200000, true);
	world_open(&world, 4096 * MIB, UINT64_MAX);
	push_whole(&world, &large, "r", &claimed, &peak);
	clone_open(&c, &world, &large, CLONE_V2);
	client_drive(&c, true);
	reference = c.out;
	c.out = (struct ph_test_buf){0};
	world_budget(&world, 4 * c.claimed + c.claimed / 2);
	client_close(&c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ph_test_buf_release(&reference);
	ph_test_pack_release(&large.pack);
	world_close(&world);
	return 0;
}

static struct client clients[CLIENTS_MAX];

/* Four clones that have begun and are not read from. */
static void four_run(void)
{
	struct ph_memory_counts counts;

	for (unsigned i = 0; i < 4; i++) {
		clone_open(&clients[i], &world, &large, CLONE_V2);
		client_drive(&clients[i], false);
		assert_false(is_done(&clients[i]));
		assert_false(is_waiting(&clients[i]));
	}
	ph_memory_counts(world.memory, &counts);
	assert_int_equal(counts.running, 4);
	assert_int_equal(counts.waiting, 0);
}

static void four_end(void)
{
	for (unsigned i = 0; i < 4; i++) {
		client_drive(&clients[i], true);
		assert_true(is_done(&clients[i]));
		assert_int_equal(clients[i].out.len, reference.len);
		assert_memory_equal(clients[i].out.data, reference.data, reference.len);
		assert_int_equal(clients[i].err.len, 0);
		client_close(&clients[i]);
	}
}

static void test_fifth_waits(void **state)
{
	struct client *fifth = &clients[4], *sixth = &clients[5];

	(void)state;
	four_run();
	clone_open(fifth, &world, &large, CLONE_V2);
	client_drive(fifth, true);
	clone_open(sixth, &world, &large, CLONE_V0);
	client_drive(sixth, true);
	assert_true(is_waiting(fifth) && is_waiting(sixth));
	assert_string_equal((ph_test_buf_append(&fifth->err, "", 1), (const char *)fifth->err.data),
	                    "waiting for memory: 4 transfers are running\n");
	assert_false(says(&fifth->out, "packfile"));
	/* It waits without buffers: a session is a few KiB. */
	assert_true(fifth->memory.live_bytes < 64 << 10);
	assert_true(ph_session_deadline(fifth->session) == PH_NO_DEADLINE);
	assert_int_equal(fifth->wakes + sixth->wakes, 0);
	client_drive(&clients[1], true);
	assert_int_equal(fifth->wakes, 1);
	client_drive(fifth, true);
	assert_true(is_done(fifth));
	assert_int_equal(fifth->out.len, reference.len);
	assert_memory_equal(fifth->out.data, reference.data, reference.len);
	assert_int_equal(sixth->wakes, 1);
	client_drive(sixth, true);
	assert_true(is_done(sixth));
	assert_int_equal(ph_session_exit_status(sixth->session), 0);
	client_close(fifth);
	client_close(sixth);
	four_end();
}

static void test_waiting_one_goes_away(void **state)
{
	struct ph_memory_counts counts;

	(void)state;
	four_run();
	for (unsigned i = 4; i < 6; i++) {
		clone_open(&clients[i], &world, &large, i == 4 ? CLONE_V2 : CLONE_HALF);
		client_drive(&clients[i], true);
		assert_true(is_waiting(&clients[i]));
	}
	client_close(&clients[4]);
	ph_memory_counts(world.memory, &counts);
	assert_int_equal(counts.waiting, 1);
	/* One that was woken and has not run again. */
	client_drive(&clients[0], true);
	assert_int_equal(clients[5].wakes, 1);
	client_close(&clients[5]);
	four_end();
	ph_memory_counts(world.memory, &counts);
	assert_int_equal(counts.claimed, 0);
}

/* A client that goes away with its transfer under way makes room as well. */
static void test_running_one_goes_away(void **state)
{
	(void)state;
	four_run();
	clone_open(&clients[4], &world, &large, CLONE_V2);
	client_drive(&clients[4], true);
	assert_true(is_waiting(&clients[4]));
	client_close(&clients[2]);
	client_drive(&clients[4], true);
	assert_true(is_done(&clients[4]));
	client_close(&clients[4]);
	clone_open(&clients[2], &world, &large, CLONE_V2);
	four_end();
}

/* Takes this much of what is shown, and runs it. */
static void take_slowly(struct client *c, size_t len)
{
	size_t shown;

	(void)ph_session_output_buf(c->session, PH_STREAM_OUT, &shown);
	ph_session_output_ack(c->session, PH_STREAM_OUT, len < shown ? len : shown);
	ph_session_run(c->session, c->now_ms, 0, 256);
}

/* One that takes a byte from time to time may do so as long as nobody waits for its memory. */
static void test_slow_one_ends(void **state)
{
	struct client *slow = &clients[0], *honest = &clients[1];
	uint32_t idle = world.limits.idle_ms_max;
	unsigned turns = 0;

	(void)state;
	four_run();
	for (unsigned i = 0; i < 10; i++) {
		slow->now_ms += idle - 1;
		take_slowly(slow, 1);
		assert_false(is_done(slow));
	}
	honest->now_ms = slow->now_ms;
	take_slowly(honest, 1);
	clone_open(&clients[4], &world, &large, CLONE_V2);
	client_drive(&clients[4], true);
	assert_true(is_waiting(&clients[4]));
	/* Of two that hold memory, one takes a byte each time, the other a little over the least.
	 */
	for (; !is_done(slow) && turns < 5; turns++) {
		slow->now_ms += idle - 1;
		take_slowly(slow, 1);
		for (unsigned i = 0; i < 70; i++) {
			honest->now_ms += idle / 70;
			take_slowly(honest, 1000);
		}
		assert_false(is_done(honest));
	}
	assert_true(turns <= 2);
	assert_int_equal(ph_session_exit_status(slow->session), 128);
	client_close(slow);
	client_drive(&clients[4], true);
	assert_true(is_done(&clients[4]));
	client_close(&clients[4]);
	for (unsigned i = 1; i < 4; i++)
		client_close(&clients[i]);
}

static void test_push_waits(void **state)
{
	struct client *push = &clients[4];

	(void)state;
	four_run();
	push_open(push, &world, &large, "new");
	client_drive(push, true);
	assert_true(is_waiting(push));
	assert_true(says(&push->out, "\002waiting for memory: 4 transfers are running\n"));
	assert_false(says(&push->out, "0005\001"));
	/* Silence is broken, and that is no reason to go on. */
	push->now_ms = ph_session_deadline(push->session);
	assert_true(push->now_ms < PH_NO_DEADLINE);
	client_drive(push, true);
	assert_true(is_waiting(push));
	assert_true(says(&push->out, "0005\001"));
	/* Nor is the limit on idle clients one: it is not the client that is idle. */
	push->now_ms += (uint64_t)world.limits.idle_ms_max + 1;
	client_drive(push, true);
	assert_true(is_waiting(push));
	client_drive(&clients[0], true);
	client_drive(&clients[1], true);
	client_drive(push, true);
	assert_true(is_done(push));
	assert_true(says(&push->out, "ok refs/heads/main"));
	client_close(push);
	four_end();
}

/* What needs no memory to speak of does not wait for any. */
static void test_small_things_pass(void **state)
{
	struct client *c = &clients[4], *waits = &clients[5];

	(void)state;
	four_run();
	clone_open(waits, &world, &large, CLONE_V2);
	client_drive(waits, true);
	assert_true(is_waiting(waits));
	client_open(c, &world, "git-upload-pack 'r'", "version=2");
	say(c, "command=ls-refs");
	say(c, "0001");
	say(c, "peel\n");
	say(c, "0000");
	c->ends = true;
	client_drive(c, true);
	assert_true(is_done(c));
	assert_true(says(&c->out, "refs/heads/main"));
	client_close(c);
	client_open(c, &world, "git-receive-pack 'r'", NULL);
	say(c, "%s %s refs/heads/gone", large.tip_hex, ZERO);
	say(c, "0000");
	client_drive(c, true);
	assert_true(is_done(c));
	client_close(c);
	client_open(c, &world, "repo list", NULL);
	client_drive(c, true);
	assert_true(is_done(c));
	client_close(c);
	client_close(waits);
	four_end();
}

/* ---- never ---- */

static void test_never(void **state)
{
	struct client c;

	(void)state;
	world_budget(&world, MIB);
	clone_open(&c, &world, &large, CLONE_V2);
	client_drive(&c, true);
	assert_true(is_done(&c));
	assert_int_equal(ph_session_exit_status(c.session), 128);
	assert_true(says(&c.out, "ERR not enough memory: this needs "));
	assert_true(says(&c.out, " MiB, and the server has 1 MiB for transfers"));
	client_close(&c);
	push_open(&c, &world, &large, "other");
	client_drive(&c, true);
	assert_true(is_done(&c));
	assert_true(says(&c.out, "unpack not enough memory: this needs "));
	assert_true(says(&c.out, "ng refs/heads/main unpacker error"));
	assert_true(says(&c.out, "\002error: not enough memory: this needs "));
	client_close(&c);
}

/* A header that promises what never comes takes nothing but the claim. */
static void test_promise(void **state)
{
	static const uint8_t header[] = {'P', 'A', 'C', 'K', 0, 0, 0, 2, 0, 0x40, 0, 0};
	struct ph_memory_counts counts;
	struct client c;

	(void)state;
	world_budget(&world, 1024 * MIB);
	push_open(&c, &world, &large, "other");
	for (size_t i = 0; i + 4 <= c.in.len; i++) {
		if (memcmp(c.in.data + i, "PACK", 4) == 0) {
			c.in.len = i;
			break;
		}
	}
	ph_test_buf_append(&c.in, header, sizeof(header));
	client_drive(&c, true);
	assert_false(is_done(&c));
	ph_memory_counts(world.memory, &counts);
	assert_true(counts.claimed > 256 * MIB);
	assert_true(c.memory.live_bytes < 1 << 20);
	client_close(&c);
	ph_memory_counts(world.memory, &counts);
	assert_int_equal(counts.claimed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_claims_hold),
	        cmocka_unit_test(test_four_fit),
	        cmocka_unit_test(test_links_give_way),
	        cmocka_unit_test_setup_teardown(test_fifth_waits, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_waiting_one_goes_away, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_running_one_goes_away, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_slow_one_ends, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_push_waits, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_small_things_pass, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_never, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_promise, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
