/* SPDX-License-Identifier: MIT */
/*
 * A push that meets trouble: input in any pieces, input that ends anywhere, memory that runs out,
 * a commit that takes its time, and others who change the repository meanwhile. Whatever happens,
 * the store holds what it held or what the report says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE "report-status side-band-64k"

static struct fixture f;
static struct ph_test_buf request;

static int setup(void **state)
{
	(void)state;
	fixture_init(&f, PH_HASH_SHA1);
	memset(&request, 0, sizeof(request));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ph_test_buf_release(&request);
	fixture_release(&f);
	return 0;
}

/* A push to a repository with the first commit: good and bad refs, and a pack with deltas. */
static void mixed_request(void)
{
	static const char unknown[] = "3333333333333333333333333333333333333333";
	struct ph_test_pack pack;

	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/main", SIDE);
	command(&request, zero(&f), hex(&f, f.tag), "refs/tags/v1", NULL);
	command(&request, zero(&f), unknown, "refs/heads/lost", NULL);
	command(&request, unknown, hex(&f, f.commit[1]), "refs/heads/old", NULL);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/..", NULL);
	flush(&request);
	ph_test_pack_init(&pack, f.algo);
	for (uint32_t i = 0; i < f.all.count; i++) {
		const struct ph_test_entry *entry = &f.all.entries[i];

		if (i == f.blob[1])
			ph_test_pack_add_ofs(&pack, f.blob[0], entry->data, entry->size);
		else
			ph_test_pack_add(&pack, entry->type, entry->data, entry->size);
	}
	ph_test_packfile(&pack, &request);
	ph_test_pack_release(&pack);
}

static void first_push(void)
{
	struct ph_test_buf first = {0};
	struct answer answer;

	command(&first, zero(&f), hex(&f, f.commit[0]), "refs/heads/main", "report-status");
	flush(&first);
	pack_first(&f, &first);
	push(&f, "demo", &first, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	answer_release(&answer);
	ph_test_buf_release(&first);
}

static void restart(void)
{
	fixture_release(&f);
	fixture_init(&f, PH_HASH_SHA1);
	first_push();
}

static void expect_same(const struct ph_test_buf *a, const struct ph_test_buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

/* The same bytes out and the same store, however the bytes come in. */
static void test_pieces(void **state)
{
	struct ph_test_buf expected = {0}, got = {0};
	struct answer reference, answer;

	(void)state;
	restart();
	mixed_request();
	push(&f, "demo", &request, &reference);
	assert_true(says(&reference, "ok refs/tags/v1"));
	assert_true(says(&reference, "ng refs/heads/lost missing necessary objects"));
	assert_true(says(&reference, "ng refs/heads/old reference does not exist"));
	assert_true(says(&reference, "ng refs/heads/.. funny refname"));
	store_text(&f, &expected);
	for (unsigned i = 0; i < 12; i++) {
		struct pump how = {.feed = i % 2 ? FEED_RANDOM : FEED_BYTES,
		                   .seed = i,
		                   .budget = i % 3 ? 1 + 7 * i : 1,
		                   .no_eof = i % 4 < 2};

		restart();
		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
		assert_true(answer.done);
		expect_same(&answer.out, &reference.out);
		expect_same(&answer.err, &reference.err);
		store_text(&f, &got);
		expect_same(&got, &expected);
		answer_release(&answer);
	}
	answer_release(&reference);
	ph_test_buf_release(&expected);
	ph_test_buf_release(&got);
}

/* Input that ends before the pack does, or that stops there without an end, changes nothing. */
static void test_ends_anywhere(void **state)
{
	struct ph_test_buf before = {0}, after = {0};
	size_t whole;

	(void)state;
	restart();
	mixed_request();
	whole = request.len;
	store_text(&f, &before);
	for (size_t len = 0; len < whole; len++) {
		struct answer answer;
		struct pump how = {.feed = FEED_AT_ONCE};

		request.len = len;
		for (int i = 0; i < 2; i++) {
			how.no_eof = i;
			assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
			assert_int_equal(answer.done, !how.no_eof);
			assert_false(says(&answer, "\nok "));
			answer_release(&answer);
		}
		store_text(&f, &after);
		expect_same(&before, &after);
	}
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
}

/* Every byte of a request broken in turn: an answer, no crash, and a store that can be read. */
static void test_broken_bytes(void **state)
{
	struct ph_test_buf text = {0};
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 7);
	mixed_request();
	for (size_t at = 0; at < request.len; at++) {
		struct pump how = {.feed = FEED_RANDOM, .seed = at};
		struct answer answer;
		uint8_t was = request.data[at];

		if (at % 16 == 0)
			restart();
		request.data[at] ^= (uint8_t)(1 + ph_test_rng_below(&rng, 255));
		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
		assert_true(answer.done);
		store_text(&f, &text);
		request.data[at] = was;
		answer_release(&answer);
	}
	ph_test_buf_release(&text);
}

/* Memory fails at every place in turn: nothing leaks, and the store shows all of it or nothing. */
static void test_no_memory(void **state)
{
	struct ph_test_buf before = {0}, after = {0};
	uint64_t refused = 0;

	(void)state;
	mixed_request();
	restart();
	for (uint64_t i = 1;; i++) {
		struct pump how = {.feed = FEED_AT_ONCE};
		struct answer answer;
		uint64_t start;
		enum ph_status status;
		bool failed;

		store_text(&f, &before);
		start = f.memory.calls;
		f.memory.fail_at = start + i;
		status = push_how(&f, "demo", 0, &how, &request, &answer);
		failed = f.memory.calls >= f.memory.fail_at;
		f.memory.fail_at = 0;
		store_text(&f, &after);
		if (status != PH_OK) {
			assert_int_equal(status, PH_ERR_NOMEM);
		} else {
			assert_true(answer.done);
		}
		if (status == PH_OK && says(&answer, "ok refs/tags/v1")) {
			restart();
		} else {
			expect_same(&before, &after);
			refused++;
		}
		answer_release(&answer);
		if (!failed)
			break;
	}
	assert_true(refused > 20);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
}

/* ---- a commit that is pending ---- */

/* The transaction's operations with another commit, which answers PENDING once. */
static struct {
	const struct ph_txn_ops *real;
	struct ph_txn_ops ops;
	ph_wake wake;
	void *arg;
	bool pending, at_once;
	unsigned commits;
	void (*before)(void);
	enum ph_status begins, ends; /* when not PH_OK: what begin or commit fails with */
	unsigned conflicts;          /* answers of begin that ask for a new snapshot */
} slow;

static enum ph_status slow_commit(struct ph_txn *txn, ph_wake wake, void *arg)
{
	slow.commits++;
	if (!slow.pending) {
		slow.pending = true;
		slow.wake = wake;
		slow.arg = arg;
		if (slow.before)
			slow.before();
		if (slow.at_once)
			wake(arg);
		return PH_PENDING;
	}
	return slow.ends == PH_OK ? slow.real->commit(txn, NULL, NULL) : slow.ends;
}

static struct ph_store_ops slow_ops;
static const struct ph_store_ops *store_ops;

static void slow_down(struct ph_txn *txn)
{
	slow.real = txn->ops;
	slow.ops = *txn->ops;
	slow.ops.commit = slow_commit;
	txn->ops = &slow.ops;
}

static enum ph_status slow_begin(struct ph_store *store, struct ph_snapshot *base,
                                 struct ph_txn **out)
{
	enum ph_status status;

	if (slow.conflicts) {
		slow.conflicts--;
		return PH_ERR_CONFLICT;
	}
	status = store_ops->begin(store, base, out);
	if (status == PH_OK)
		slow_down(*out);
	return status;
}

static enum ph_status slow_create(struct ph_store *store, const char *name, enum ph_hash_algo algo,
                                  struct ph_txn **out)
{
	enum ph_status status = slow.begins;

	if (status == PH_OK)
		status = store_ops->create(store, name, algo, out);
	if (status == PH_OK)
		slow_down(*out);
	return status;
}

static void make_slow(void)
{
	memset(&slow, 0, sizeof(slow));
	store_ops = f.store->ops;
	slow_ops = *store_ops;
	slow_ops.begin = slow_begin;
	slow_ops.create = slow_create;
	f.store->ops = &slow_ops;
}

static void make_normal(void)
{
	f.store->ops = store_ops;
}

static void woken(void *user)
{
	(void)user;
	slow.wake(slow.arg);
}

static void simple_request(const char *caps)
{
	ph_test_buf_clear(&request);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", caps);
	flush(&request);
	pack_all(&f, &request);
}

static void test_pending(void **state)
{
	unsigned runs = 3;
	struct pump how = {.feed = FEED_AT_ONCE, .wait_runs = &runs, .woken = woken};
	struct answer answer;

	(void)state;
	simple_request(SIDE);
	make_slow();
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	/* Two deadlines passed before the wake: two signs of life. */
	expect_body(&answer, "0005\x01"
	                     "0005\x01"
	                     "002e\x01"
	                     "000eunpack ok\n0017ok refs/heads/main\n0000"
	                     "0000");
	assert_int_equal(slow.commits, 2);
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
	answer_release(&answer);
}

/* A wake that comes before commit has even returned is not lost. */
static void test_pending_at_once(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	struct answer answer;

	(void)state;
	simple_request("report-status");
	make_slow();
	slow.at_once = true;
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	answer_release(&answer);
}

static void expect_failure(enum ph_status begins, enum ph_status ends, const char *report)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	struct answer answer;

	simple_request("report-status");
	make_slow();
	slow.at_once = true;
	slow.begins = begins;
	slow.ends = ends;
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	expect_report(&answer, report);
	assert_string_equal(ref_value(&f, "demo", "HEAD"), "");
	answer_release(&answer);
}

/* A store that cannot: said in its words, and nothing is there. */
static void test_store_fails(void **state)
{
	(void)state;
	expect_failure(PH_ERR_READ_ONLY, PH_OK,
	               "unpack store is read-only\nng refs/heads/main unpacker error\n");
	expect_failure(PH_OK, PH_ERR_FULL,
	               "unpack ok\nng refs/heads/main no space left in the store\n");
	expect_failure(PH_OK, PH_ERR_IO, "unpack ok\nng refs/heads/main input/output error\n");
}

/* ---- others meanwhile ---- */

static void other_push(const char *repo, const char *ref)
{
	struct ph_test_buf other = {0};
	struct answer answer;
	const struct ph_store_ops *ops = f.store->ops;

	f.store->ops = store_ops;
	command(&other, ref_value(&f, repo, ref)[0] ? ref_value(&f, repo, ref) : zero(&f),
	        hex(&f, f.commit[0]), ref, "report-status");
	flush(&other);
	pack_first(&f, &other);
	push(&f, repo, &other, &answer);
	assert_true(says(&answer, "ok refs/"));
	answer_release(&answer);
	ph_test_buf_release(&other);
	f.store->ops = ops;
}

static void other_creates(void)
{
	other_push("demo", "refs/heads/theirs");
}

/* Two clients make one repository: the second is told to push again, and then can. */
static void test_created_meanwhile(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	struct answer answer;

	(void)state;
	simple_request("report-status");
	make_slow();
	slow.at_once = true;
	slow.before = other_creates;
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	expect_report(&answer, "unpack ok\nng refs/heads/main repository was created meanwhile, "
	                       "push again\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), "");
	answer_release(&answer);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	answer_release(&answer);
}

static void other_moves_v2(void)
{
	other_push("demo", "refs/tags/v2");
}

/* A ref that moves between prepare and commit: it is refused, the others are done. */
static void test_moved_meanwhile(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	struct ph_snapshot *snapshot;
	struct answer answer;
	char record[4096];
	size_t len = sizeof(record);

	(void)state;
	first_push();
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/tags/v2", "report-status");
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/mine", NULL);
	flush(&request);
	pack_all(&f, &request);
	make_slow();
	slow.at_once = true;
	slow.before = other_moves_v2;
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	expect_report(&answer, "unpack ok\nng refs/tags/v2 reference already exists\n"
	                       "ok refs/heads/mine\n");
	answer_release(&answer);
	assert_string_equal(ref_value(&f, "demo", "refs/tags/v2"), hex(&f, f.commit[0]));
	assert_string_equal(ref_value(&f, "demo", "refs/heads/mine"), hex(&f, f.commit[1]));
	/* The log takes back what it said too early. */
	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	assert_int_equal(ph_snapshot_log_count(snapshot), 4);
	assert_int_equal(ph_snapshot_log_read(snapshot, 3, record, &len), PH_OK);
	assert_memory_equal(record + PH_LOG_LINK_BYTES, "refused 1700000000 alice\n", 25);
	ph_snapshot_release(snapshot);
}

/* The same, atomic: nothing is done. */
static void test_moved_atomic(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	struct answer answer;

	(void)state;
	first_push();
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/tags/v2", "report-status atomic");
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/mine", NULL);
	flush(&request);
	pack_all(&f, &request);
	make_slow();
	slow.at_once = true;
	slow.before = other_moves_v2;
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	expect_report(&answer, "unpack ok\nng refs/tags/v2 atomic transaction failed\n"
	                       "ng refs/heads/mine atomic transaction failed\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/mine"), "");
	answer_release(&answer);
}

static void delete_demo(void)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	const struct ph_store_ops *ops = f.store->ops;

	f.store->ops = store_ops;
	assert_int_equal(ph_store_snapshot(f.store, "demo", &snapshot), PH_OK);
	assert_int_equal(ph_store_begin(f.store, snapshot, &txn), PH_OK);
	assert_int_equal(ph_txn_delete_repo(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
	f.store->ops = ops;
}

static void test_deleted_meanwhile(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	struct answer answer;

	(void)state;
	first_push();
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/x", "report-status");
	flush(&request);
	pack_all(&f, &request);
	make_slow();
	slow.at_once = true;
	slow.before = delete_demo;
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	make_normal();
	expect_report(&answer, "unpack ok\nng refs/heads/x repository was deleted meanwhile\n");
	answer_release(&answer);
	assert_string_equal(ref_value(&f, "demo", "HEAD"), "");
}

/* The repository appears, or goes, between the advertisement and the commands. */
static void test_changed_before_commands(void **state)
{
	struct ph_session *session;
	struct answer answer;
	struct pump how = {.feed = FEED_AT_ONCE};

	(void)state;
	store_ops = f.store->ops;
	simple_request("report-status");
	assert_int_equal(ph_receive_pack_new(&session, &f.service, "demo", 0), PH_OK);
	ph_session_run(session, 0, 0, 1000);
	other_creates();
	pump(&f, session, &how, &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/theirs"), hex(&f, f.commit[0]));
	answer_release(&answer);
	ph_test_buf_clear(&request);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/y", "report-status");
	flush(&request);
	pack_all(&f, &request);
	assert_int_equal(ph_receive_pack_new(&session, &f.service, "demo", 0), PH_OK);
	ph_session_run(session, 0, 0, 1000);
	delete_demo();
	pump(&f, session, &how, &request, &answer);
	expect_report(&answer, "unpack repository was deleted meanwhile\n"
	                       "ng refs/heads/y unpacker error\n");
	answer_release(&answer);
}

/* A replacement dropped objects behind the snapshot: begin asks for a new one, and gets it, if it
 * is only when that replacement is on the device. What never ends is given up. */
static void test_replaced_meanwhile(void **state)
{
	static const unsigned counts[] = {2, 100, 1000000};
	struct pump how = {.feed = FEED_AT_ONCE, .patient = true};
	struct answer answer;

	(void)state;
	push_history(&f, "demo");
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		ph_test_buf_clear(&request);
		command(&request, hex(&f, f.commit[1 - i % 2]), hex(&f, f.commit[i % 2]),
		        "refs/heads/main", "report-status");
		flush(&request);
		pack_of(&f, NULL, 0, &request);
		make_slow();
		slow.conflicts = counts[i];
		slow.at_once = true;
		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
		make_normal();
		if (counts[i] <= 100)
			expect_report(&answer, "unpack ok\nok refs/heads/main\n");
		else
			assert_true(says(&answer, "ng refs/heads/main unpacker error"));
		answer_release(&answer);
	}
}

/* ---- time ---- */

static void test_idle(void **state)
{
	struct ph_session *session;
	size_t len;

	(void)state;
	assert_int_equal(ph_receive_pack_new(&session, &f.service, "demo", 0), PH_OK);
	ph_session_run(session, 1000, 0, 1000);
	while (ph_session_output_buf(session, PH_STREAM_OUT, &len))
		ph_session_output_ack(session, PH_STREAM_OUT, len);
	ph_session_run(session, 1000, 0, 1000);
	assert_true(ph_session_state(session) & PH_WANT_INPUT);
	assert_int_equal(ph_session_deadline(session), 1000 + f.limits.idle_ms_max);
	ph_session_run(session, 1000 + f.limits.idle_ms_max, 0, 1000);
	assert_true(ph_session_state(session) & PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	        T(test_pieces),
	        T(test_ends_anywhere),
	        T(test_broken_bytes),
	        T(test_no_memory),
	        T(test_pending),
	        T(test_pending_at_once),
	        T(test_store_fails),
	        T(test_created_meanwhile),
	        T(test_moved_meanwhile),
	        T(test_moved_atomic),
	        T(test_deleted_meanwhile),
	        T(test_changed_before_commands),
	        T(test_replaced_meanwhile),
	        T(test_idle),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
