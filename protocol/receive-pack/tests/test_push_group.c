/* SPDX-License-Identifier: MIT */
/*
 * Pushes that one thread serves over one store, as the loop of a machine without threads does: the
 * store is deferred, every session runs until it can do no more, and then the commits that wait are
 * made together. They share flushes, a lone one waits for nobody, and who goes away while he waits
 * takes nobody with him.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"
#include "sim_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_BYTES ((uint64_t)16 << 20)
#define PUSHES_MAX 32u
#define BUDGET 256u

/* One client. */
struct pusher {
	struct ph_session *session;
	struct ph_test_buf request, answer;
	size_t given;
	bool woken, ended;
};

static struct loop {
	struct fixture f;
	struct sim_device *sim;
	struct ph_store_disk_options options;
	struct pusher pushers[PUSHES_MAX];
	uint32_t count, batches;
} l;

static void on_wake(void *user, struct ph_session *session)
{
	(void)user;
	for (uint32_t i = 0; i < l.count; i++)
		if (l.pushers[i].session == session)
			l.pushers[i].woken = true;
}

static void open_store(void)
{
	sim_options(&l.options);
	l.options.alloc = &l.f.memory.alloc;
	l.options.limits = &l.f.limits;
	l.options.deferred = true;
	assert_int_equal(sim_open(l.sim, &l.options, &l.f.store), PH_OK);
	l.f.service.store = l.f.store;
	l.f.service.wake = on_wake;
}

static void begin(void)
{
	memset(&l, 0, sizeof(l));
	fixture_init(&l.f, PH_HASH_SHA1);
	ph_store_close(l.f.store);
	l.sim = sim_new(DISK_BYTES, DISK_BYTES);
	open_store();
}

static void end(void)
{
	fixture_release(&l.f);
	sim_free(l.sim);
}

/* ---- clients ---- */

static void add(const char *repo, const char *ref)
{
	struct pusher *pusher = &l.pushers[l.count++];

	assert_true(l.count <= PUSHES_MAX);
	command(&pusher->request, zero(&l.f), hex(&l.f, l.f.commit[1]), ref, "report-status");
	flush(&pusher->request);
	pack_all(&l.f, &pusher->request);
	assert_int_equal(ph_receive_pack_new(&pusher->session, &l.f.service, repo, 0), PH_OK);
}

static void add_many(uint32_t count)
{
	char repo[16];

	for (uint32_t i = 0; i < count; i++) {
		/* Some push to the same repository. */
		snprintf(repo, sizeof(repo), "r%u", i % 5);
		add(repo, i < 5 ? "refs/heads/main" : i < 10 ? "refs/heads/b" : "refs/heads/c");
	}
}

static void take(struct pusher *pusher)
{
	const uint8_t *data;
	size_t len;

	while ((data = ph_session_output_buf(pusher->session, PH_STREAM_OUT, &len)) && len) {
		ph_test_buf_append(&pusher->answer, data, len);
		ph_session_output_ack(pusher->session, PH_STREAM_OUT, len);
	}
}

static void give(struct pusher *pusher)
{
	size_t room, left = pusher->request.len - pusher->given;
	uint8_t *to = ph_session_input_buf(pusher->session, &room);

	if (!to || room == 0)
		return;
	room = room < left ? room : left;
	if (room == 0) {
		ph_session_input_eof(pusher->session);
		return;
	}
	memcpy(to, pusher->request.data + pusher->given, room);
	ph_session_input_ack(pusher->session, room);
	pusher->given += room;
}

/* One slice; whether there was something to do. */
static bool run_one(struct pusher *pusher)
{
	unsigned state;

	if (!pusher->session || pusher->ended)
		return false;
	take(pusher);
	state = ph_session_state(pusher->session);
	if (state & PH_DONE) {
		pusher->ended = true;
		return false;
	}
	if (state & PH_WANT_INPUT)
		give(pusher);
	if (!(ph_session_state(pusher->session) & PH_WANT_RUN) && !pusher->woken)
		return false;
	pusher->woken = false;
	ph_session_run(pusher->session, ++l.f.now_ms, 1700000000, BUDGET);
	return true;
}

/* Until all that is left waits for a commit. */
static void run_all(void)
{
	bool any = true;

	while (any) {
		any = false;
		for (uint32_t i = 0; i < l.count; i++)
			any |= run_one(&l.pushers[i]);
	}
}

static void serve(void)
{
	run_all();
	while (ph_store_disk_commit(l.f.store)) {
		l.batches++;
		run_all();
	}
}

static bool told(const struct pusher *pusher, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= pusher->answer.len; at++)
		if (memcmp(pusher->answer.data + at, text, len) == 0)
			return true;
	return false;
}

static void leave(struct pusher *pusher)
{
	ph_session_free(pusher->session);
	pusher->session = NULL;
}

static void go_home(void)
{
	for (uint32_t i = 0; i < l.count; i++) {
		leave(&l.pushers[i]);
		ph_test_buf_release(&l.pushers[i].request);
		ph_test_buf_release(&l.pushers[i].answer);
	}
	memset(l.pushers, 0, sizeof(l.pushers));
	l.count = l.batches = 0;
}

/* The repositories are there, so that pushes do not conflict about making them. */
static void make_repos(void)
{
	char repo[16];

	for (uint32_t i = 0; i < 5; i++) {
		snprintf(repo, sizeof(repo), "r%u", i);
		add(repo, "refs/heads/first");
	}
	serve();
	for (uint32_t i = 0; i < l.count; i++)
		assert_true(told(&l.pushers[i], "ok refs/heads/first"));
	go_home();
}

/* ---- tests ---- */

static void test_pushes_of_one_thread_share_flushes(void **state)
{
	uint64_t flushes;

	(void)state;
	begin();
	make_repos();
	flushes = l.sim->flushes;
	add_many(15);
	serve();
	for (uint32_t i = 0; i < l.count; i++)
		assert_true(told(&l.pushers[i], "ok refs/heads/"));
	assert_int_equal(l.batches, 1);
	assert_int_equal(l.sim->flushes - flushes, 2);
	go_home();
	/* They are on the medium. */
	ph_store_close(l.f.store);
	open_store();
	assert_string_equal(ref_value(&l.f, "r3", "refs/heads/c"), hex(&l.f, l.f.commit[1]));
	assert_int_equal(sim_check(l.f.store), PH_OK);
	end();
}

static void test_nothing_is_told_before_the_commit(void **state)
{
	(void)state;
	begin();
	make_repos();
	add_many(3);
	run_all();
	assert_true(ph_store_disk_waits(l.f.store));
	for (uint32_t i = 0; i < l.count; i++) {
		assert_false(told(&l.pushers[i], "ok refs/heads/"));
		assert_true(ph_session_busy(l.pushers[i].session));
		assert_false(l.pushers[i].ended);
	}
	assert_string_equal(ref_value(&l.f, "r0", "refs/heads/main"), "");
	serve();
	assert_false(ph_store_disk_waits(l.f.store));
	assert_false(ph_store_disk_commit(l.f.store));
	assert_string_equal(ref_value(&l.f, "r0", "refs/heads/main"), hex(&l.f, l.f.commit[1]));
	go_home();
	end();
}

/* One push alone is one batch at once, with two flushes. */
static void test_a_lone_push_waits_for_nobody(void **state)
{
	uint64_t flushes;

	(void)state;
	begin();
	flushes = l.sim->flushes;
	add("alone", "refs/heads/main");
	run_all();
	assert_true(ph_store_disk_commit(l.f.store));
	run_all();
	assert_true(told(&l.pushers[0], "ok refs/heads/main"));
	assert_int_equal(l.sim->flushes - flushes, 2);
	go_home();
	end();
}

/* A caller that cannot wait takes the others along. */
static void test_who_cannot_wait_leads_at_once(void **state)
{
	uint64_t flushes;

	(void)state;
	begin();
	make_repos();
	add_many(4);
	run_all();
	flushes = l.sim->flushes;
	assert_int_equal(ph_store_setting_set(l.f.store, "key", "value", 5), PH_OK);
	assert_int_equal(l.sim->flushes - flushes, 2);
	assert_false(ph_store_disk_waits(l.f.store));
	run_all();
	for (uint32_t i = 0; i < l.count; i++)
		assert_true(told(&l.pushers[i], "ok refs/heads/"));
	go_home();
	end();
}

/* Several want to make the same repository: one does, the others are told, and nobody hangs. */
static void test_conflicts_end(void **state)
{
	uint32_t taken = 0;

	(void)state;
	begin();
	for (uint32_t i = 0; i < 6; i++)
		add("new", "refs/heads/main");
	serve();
	for (uint32_t i = 0; i < l.count; i++) {
		assert_true(l.pushers[i].ended);
		taken += told(&l.pushers[i], "ok refs/heads/main");
	}
	assert_int_equal(taken, 1);
	go_home();
	end();
}

static void test_a_failed_device_is_told_to_all(void **state)
{
	(void)state;
	begin();
	make_repos();
	add_many(4);
	run_all();
	l.sim->fail_ops = SIM_FLUSH;
	l.sim->fail_at = 1;
	serve();
	for (uint32_t i = 0; i < l.count; i++) {
		assert_true(l.pushers[i].ended);
		assert_true(told(&l.pushers[i], "ng refs/heads/"));
	}
	go_home();
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pushes_of_one_thread_share_flushes),
	        cmocka_unit_test(test_nothing_is_told_before_the_commit),
	        cmocka_unit_test(test_a_lone_push_waits_for_nobody),
	        cmocka_unit_test(test_who_cannot_wait_leads_at_once),
	        cmocka_unit_test(test_conflicts_end),
	        cmocka_unit_test(test_a_failed_device_is_told_to_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
