/* SPDX-License-Identifier: MIT */
/* Owner commands, the greeting, refusals and the echo: what they print, where, and their status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/admin.h>
#include <packhorse/store_mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_test_alloc memory;
static struct ph_limits limits;
static struct ph_store *store;
static struct ph_service service;
static struct ph_test_buf out, err;

static int setup(void **state)
{
	struct ph_store_mem_options options = {.alloc = &memory.alloc, .limits = &limits};

	(void)state;
	ph_test_alloc_init(&memory);
	ph_limits_init(&limits);
	assert_int_equal(ph_store_mem_new(&store, &options), PH_OK);
	service = (struct ph_service){.store = store,
	                              .alloc = &memory.alloc,
	                              .limits = &limits,
	                              .identity = "alice",
	                              .permission = PH_PERM_OWNER};
	memset(&out, 0, sizeof(out));
	memset(&err, 0, sizeof(err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ph_test_buf_release(&out);
	ph_test_buf_release(&err);
	ph_store_close(store);
	assert_int_equal(memory.live, 0);
	return 0;
}

static void take(struct ph_session *session, enum ph_stream stream, struct ph_test_buf *to)
{
	const uint8_t *data;
	size_t len;

	while ((data = ph_session_output_buf(session, stream, &len)) != NULL) {
		/* In pieces, as a slow peer does. */
		len = len > 1000 ? 1000 : len;
		ph_test_buf_append(to, data, len);
		ph_session_output_ack(session, stream, len);
	}
}

/* Runs it to its end; returns its status. Texts end in a NUL behind. */
static int finish(struct ph_session *session, uint32_t budget)
{
	int status, runs = 0;

	ph_test_buf_clear(&out);
	ph_test_buf_clear(&err);
	while (!(ph_session_state(session) & PH_DONE)) {
		assert_true(ph_session_state(session) & PH_WANT_RUN);
		assert_true(runs++ < 1000000);
		ph_session_run(session, 0, 0, budget);
		take(session, PH_STREAM_OUT, &out);
		take(session, PH_STREAM_ERR, &err);
	}
	status = ph_session_exit_status(session);
	ph_session_free(session);
	ph_test_buf_append(&out, "", 1);
	ph_test_buf_append(&err, "", 1);
	return status;
}

/* Words between spaces; "_" stands for a space within a word. */
static int run(const char *line)
{
	char text[8192];
	const char *argv[64];
	unsigned argc = 0;
	struct ph_session *session;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	for (unsigned i = 0; i < argc; i++)
		for (char *at = strchr(argv[i], '_'); at; at = strchr(at, '_'))
			*at = ' ';
	assert_int_equal(ph_admin_new(&session, &service, argc, argv), PH_OK);
	return finish(session, 7);
}

static void expect(const char *line, int status, const char *text)
{
	assert_int_equal(run(line), status);
	assert_string_equal((char *)out.data, text);
	if (status == 0)
		assert_string_equal((char *)err.data, "");
	else
		assert_int_not_equal(err.len, 1);
}

static void expect_error(const char *line, const char *text)
{
	assert_int_equal(run(line), 1);
	assert_string_equal((char *)out.data, "");
	if (!strstr((char *)err.data, text))
		fail_msg("\"%s\" said \"%s\"", line, (char *)err.data);
}

static void test_create_list_delete(void **state)
{
	(void)state;
	expect("repo list", 0, "");
	expect("repo create demo", 0, "created demo (sha1)\n");
	expect("repo create --object-format=sha256 /team/tools.git", 0,
	       "created team/tools (sha256)\n");
	expect("repo create a_b", 0, "created a b (sha1)\n");
	expect("repo list", 0,
	       "a b\tsha1\trefs/heads/main\t0\n"
	       "demo\tsha1\trefs/heads/main\t0\n"
	       "team/tools\tsha256\trefs/heads/main\t0\n");
	expect_error("repo create demo.git", "exists already: demo");
	expect("repo maintain a_b", 0, "nothing was due\n");
	expect_error("repo maintain c", "no such repository: c");
	expect("repo delete a_b", 0, "deleted a b\n");
	expect_error("repo delete a_b", "no such repository: a b");
	expect("repo list", 0,
	       "demo\tsha1\trefs/heads/main\t0\n"
	       "team/tools\tsha256\trefs/heads/main\t0\n");
}

static void test_head(void **state)
{
	(void)state;
	assert_int_equal(run("repo create demo"), 0);
	expect("repo head demo", 0, "refs/heads/main\n");
	assert_int_equal(run("repo head demo trunk"), 0);
	assert_string_equal((char *)out.data, "head demo refs/heads/trunk\n");
	assert_non_null(strstr((char *)err.data, "refs/heads/trunk does not exist yet"));
	expect("repo head demo", 0, "refs/heads/trunk\n");
	assert_int_equal(run("repo head demo refs/heads/a/b"), 0);
	expect("repo head demo", 0, "refs/heads/a/b\n");
	expect_error("repo head demo a..b", "not a name for a branch: a..b");
	expect_error("repo head demo -x", "what is this: -x");
	expect_error("repo head none", "no such repository: none");
	expect_error("repo head none main", "no such repository: none");
	expect("repo head demo", 0, "refs/heads/a/b\n");
}

static void test_usage(void **state)
{
	static const char *const wrong[] = {
	        "",
	        "repo",
	        "repo what",
	        "frob",
	        "help me",
	        "repo create",
	        "repo create a b",
	        "repo create --object-format=md5 a",
	        "repo create --force a",
	        "repo create ../a",
	        "repo create .",
	        "repo create a//../b",
	        "repo list x",
	        "repo head",
	        "repo head a b c",
	        "repo delete",
	        "repo delete a b",
	        "repo maintain",
	        "repo maintain a b",
	        "repo delete --object-format=sha1 a",
	        "repo create --object-format=sha1 --object-format=sha1 a",
	        "repo create ~a/b",
	        "REPO list",
	        "repo create a\x1b[31m"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		expect_error(wrong[i], "usage: repo create NAME");
		assert_null(strchr((char *)err.data, '\x1b'));
	}
	expect_error("rm\x1b]0;x\x07", "no such command: rm\\x1b]0;x\\x07");
	assert_int_equal(run("help"), 0);
	assert_non_null(strstr((char *)out.data, "repo delete NAME"));
	assert_string_equal((char *)err.data, "");
}

/* Words beyond the limits are no command; nothing is cut and then believed. */
static void test_long_words(void **state)
{
	char line[6000];
	const char *many[PH_REQUEST_ARGS_MAX + 1];
	struct ph_session *session;

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "repo create ", 12);
	line[12 + 256] = 0;
	expect_error(line, "not a name for a repository");
	line[12 + 256] = 'a';
	line[sizeof(line) - 1] = 0;
	expect_error(line, "usage:");
	for (unsigned i = 0; i < PH_REQUEST_ARGS_MAX + 1; i++)
		many[i] = "help";
	assert_int_equal(ph_admin_new(&session, &service, PH_REQUEST_ARGS_MAX + 1, many), PH_OK);
	assert_int_equal(finish(session, 1), 1);
	expect("repo list", 0, "");
}

static void test_permissions(void **state)
{
	(void)state;
	assert_int_equal(run("repo create demo"), 0);
	for (int permission = PH_PERM_READ; permission <= PH_PERM_WRITE; permission++) {
		service.permission = (enum ph_permission)permission;
		expect_error("repo create other", "only the owner");
		expect_error("repo head demo x", "only the owner");
		expect_error("repo head demo", "only the owner");
		expect_error("repo delete demo", "only the owner");
		expect_error("repo maintain demo", "only the owner");
		expect("repo list", 0, "demo\tsha1\trefs/heads/main\t0\n");
		assert_int_equal(run("help"), 0);
	}
	service.permission = PH_PERM_NONE;
	expect_error("repo list", "access denied");
	expect_error("help", "access denied");
}

static void on_shutdown(void *user, const char *identity)
{
	assert_string_equal(identity, "alice");
	++*(unsigned *)user;
}

/* Where the server cannot be ended by its owner the command is as unknown as any other. */
static void test_shutdown(void **state)
{
	unsigned calls = 0;

	(void)state;
	expect_error("shutdown", "no such command: shutdown");
	assert_int_equal(run("help"), 0);
	assert_null(strstr((char *)out.data, "shutdown"));
	service.shutdown_user = &calls;
	service.shutdown = on_shutdown;
	assert_int_equal(run("help"), 0);
	assert_non_null(strstr((char *)out.data, "shutdown\n"));
	assert_non_null(strstr((char *)out.data, "\nStatus: "));
	expect_error("shutdown now", "one word too many: now");
	for (int permission = PH_PERM_NONE; permission <= PH_PERM_WRITE; permission++) {
		service.permission = (enum ph_permission)permission;
		expect_error("shutdown", permission ? "only the owner" : "access denied");
	}
	assert_int_equal(calls, 0);
	service.permission = PH_PERM_OWNER;
	expect("shutdown", 0, "shutting down\n");
	assert_int_equal(calls, 1);
}

/* More than an output buffer of lines, taken slowly. */
static void test_long_list(void **state)
{
	char name[256], line[300];
	unsigned lines = 0;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[200] = 0;
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(line, sizeof(line), "repo create %05u-%s", i, name);
		assert_int_equal(run(line), 0);
	}
	assert_int_equal(run("repo list"), 0);
	for (char *at = strtok((char *)out.data, "\n"); at; at = strtok(NULL, "\n")) {
		snprintf(line, sizeof(line), "%05u-%s\tsha1\trefs/heads/main\t0", lines, name);
		assert_string_equal(at, line);
		lines++;
	}
	assert_int_equal(lines, 1500);
}

static void test_no_memory(void **state)
{
	static const char *const words[] = {"repo", "create", "new"};

	(void)state;
	for (uint64_t i = 1;; i++) {
		struct ph_session *session;
		uint64_t before = memory.calls;
		enum ph_status status;
		bool failed;
		int exit_status = 1;

		memory.fail_at = before + i;
		status = ph_admin_new(&session, &service, 3, words);
		if (status == PH_OK)
			exit_status = finish(session, 10);
		failed = memory.calls >= memory.fail_at;
		memory.fail_at = 0;
		if (exit_status == 0)
			assert_int_equal(run("repo delete new"), 0);
		else
			expect("repo list", 0, "");
		if (!failed)
			break;
		assert_true(status == PH_OK || status == PH_ERR_NOMEM);
	}
}

static void test_simple(void **state)
{
	struct ph_session *session;

	(void)state;
	service.identity = "bob\x1b[2J";
	assert_int_equal(ph_greeting_new(&session, &service), PH_OK);
	assert_int_equal(finish(session, 1), 1);
	assert_int_equal(strncmp((char *)out.data, "Hi bob?[2J! ", 12), 0);
	assert_int_equal(ph_refusal_new(&session, &service, true, 128, "not today"), PH_OK);
	assert_int_equal(finish(session, 1), 128);
	assert_string_equal((char *)out.data, "0011ERR not today");
	assert_string_equal((char *)err.data, "not today\n");
	assert_int_equal(ph_refusal_new(&session, &service, false, 1, "not today"), PH_OK);
	assert_int_equal(finish(session, 1), 1);
	assert_string_equal((char *)out.data, "");
}

/* Half a megabyte through an echo whose output is taken in pieces of another size. */
static void test_echo(void **state)
{
	struct ph_session *session;
	struct ph_test_rng rng;
	struct ph_test_buf sent = {0};
	size_t len, left = 500000;

	(void)state;
	ph_test_rng_init(&rng, 3);
	assert_int_equal(ph_echo_new(&session, &service), PH_OK);
	while (!(ph_session_state(session) & PH_DONE)) {
		unsigned flags = ph_session_state(session);
		const uint8_t *data = ph_session_output_buf(session, PH_STREAM_OUT, &len);

		if (data && ph_test_rng_below(&rng, 3) == 0) {
			len = 1 + ph_test_rng_below(&rng, (uint32_t)len);
			ph_test_buf_append(&out, data, len);
			ph_session_output_ack(session, PH_STREAM_OUT, len);
		}
		if ((flags & PH_WANT_INPUT) && left) {
			uint8_t *to = ph_session_input_buf(session, &len);

			len = len > 30000 ? 30000 : len;
			len = len > left ? left : len;
			ph_test_rng_fill(&rng, to, len);
			ph_test_buf_append(&sent, to, len);
			ph_session_input_ack(session, len);
			left -= len;
		} else if (flags & PH_WANT_INPUT) {
			ph_session_input_eof(session);
		}
		if (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, 0, 0, 1 + ph_test_rng_below(&rng, 20));
	}
	take(session, PH_STREAM_OUT, &out);
	assert_int_equal(out.len, 500000);
	assert_memory_equal(out.data, sent.data, out.len);
	assert_int_equal(ph_session_exit_status(session), 0);
	ph_session_free(session);
	ph_test_buf_release(&sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	        T(test_create_list_delete), T(test_head),        T(test_usage),
	        T(test_long_words),         T(test_permissions), T(test_long_list),
	        T(test_no_memory),          T(test_simple),      T(test_echo),
	        T(test_shutdown),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
