/* SPDX-License-Identifier: MIT */
/* config and repo config: what they show, set and refuse, and owners who change things at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/admin.h>
#include <packhorse/config.h>
#include <packhorse/store_mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_test_alloc memory;
static struct ph_limits limits;
static struct ph_store *store;
static struct ph_service service;
static struct ph_test_buf out, err;

/* A store in which another owner is a little faster, so many times. */
static const struct ph_store_ops *inner;
static struct ph_store_ops faster;
static unsigned others;

static int setup(void **state)
{
	struct ph_store_mem_options options = {.alloc = &memory.alloc, .limits = &limits};
	struct ph_txn *txn;

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
	inner = store->ops;
	assert_int_equal(ph_store_create(store, "demo", PH_HASH_SHA1, &txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store->ops = inner;
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
		ph_test_buf_append(to, data, len);
		ph_session_output_ack(session, stream, len);
	}
}

/* Words between spaces. A status of -1: there was no memory for a session. */
static int run(const char *line)
{
	char *text = malloc(strlen(line) + 1);
	const char *argv[64];
	unsigned argc = 0;
	struct ph_session *session;
	int status = -1;

	memcpy(text, line, strlen(line) + 1);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	ph_test_buf_clear(&out);
	ph_test_buf_clear(&err);
	if (ph_admin_new(&session, &service, argc, argv) == PH_OK) {
		while (!(ph_session_state(session) & PH_DONE)) {
			ph_session_run(session, 0, 0, 100);
			take(session, PH_STREAM_OUT, &out);
			take(session, PH_STREAM_ERR, &err);
		}
		status = ph_session_exit_status(session);
		ph_session_free(session);
	}
	ph_test_buf_append(&out, "", 1);
	ph_test_buf_append(&err, "", 1);
	free(text);
	return status;
}

static void expect(const char *line, const char *text)
{
	assert_int_equal(run(line), 0);
	assert_string_equal((char *)err.data, "");
	assert_string_equal((char *)out.data, text);
}

/* Refused, with this among what is said. */
static void expect_error(const char *line, const char *text)
{
	assert_int_equal(run(line), 1);
	assert_string_equal((char *)out.data, "");
	if (!strstr((char *)err.data, text))
		fail_msg("'%s' is not in: %s", text, (char *)err.data);
}

/* Everything, for one repository and for the server. */
static void on(const char *who)
{
	char line[256];

#define RUN(check, words, text)                                                                    \
	do {                                                                                       \
		snprintf(line, sizeof(line), "%s %s", who, words);                                 \
		check(line, text);                                                                 \
	} while (0)
	const char *name = strncmp(who, "repo", 4) == 0 ? "demo" : "server";
	char text[256];

	RUN(expect, "", "");
	snprintf(text, sizeof(text), "set %s: uploadpack.keepalive=7\n", name);
	RUN(expect, "uploadpack.keepAlive 7", text);
	RUN(expect, "UploadPack.KeepAlive", "7\n");
	RUN(expect, "", "uploadpack.keepalive=7\n");
	RUN(expect_error, "lsrefs.unborn", "lsrefs.unborn is not set in ");
	/* Several values, in their order. */
	snprintf(text, sizeof(text), "added %s: transfer.hiderefs=refs/a\n", name);
	RUN(expect, "--add transfer.hideRefs refs/a", text);
	snprintf(text, sizeof(text), "added %s: transfer.hiderefs=!refs/a/b\n", name);
	RUN(expect, "--add transfer.hideRefs !refs/a/b", text);
	RUN(expect, "transfer.hideRefs", "refs/a\n!refs/a/b\n");
	RUN(expect_error, "transfer.hideRefs refs/c", "has 2 values");
	snprintf(text, sizeof(text), "set %s: uploadpack.keepalive=0x9\n", name);
	RUN(expect, "uploadpack.keepalive 0x9", text);
	RUN(expect, "",
	    "transfer.hiderefs=refs/a\ntransfer.hiderefs=!refs/a/b\n"
	    "uploadpack.keepalive=0x9\n");
	/* Away with them. */
	snprintf(text, sizeof(text), "unset %s: transfer.hiderefs=refs/a\n", name);
	RUN(expect, "--unset transfer.hiderefs refs/a", text);
	RUN(expect_error, "--unset transfer.hiderefs refs/a", "is not set in ");
	snprintf(text, sizeof(text), "set %s: transfer.hiderefs=refs/c\n", name);
	RUN(expect, "transfer.hiderefs refs/c", text);
	snprintf(text, sizeof(text), "unset %s: transfer.hiderefs\n", name);
	RUN(expect, "--unset transfer.hiderefs", text);
	RUN(expect_error, "--unset transfer.hiderefs", "is not set in ");
	RUN(expect, "", "uploadpack.keepalive=0x9\n");
	/* A value of several words. */
	snprintf(text, sizeof(text),
	         "set %s: uploadpack.blobpackfileuri=0123456789012345678901234567890123456789 "
	         "0123456789012345678901234567890123456789 https://x/y\n",
	         name);
	RUN(expect,
	    "uploadpack.blobPackfileUri 0123456789012345678901234567890123456789 "
	    "0123456789012345678901234567890123456789 https://x/y",
	    text);
}

static void test_repo(void **state)
{
	(void)state;
	on("repo config demo");
	expect("config", "");
	assert_int_equal(run("repo delete demo"), 0);
	assert_int_equal(run("repo create demo"), 0);
	on("repo config /demo.git/");
}

static void test_server(void **state)
{
	struct ph_config config;

	(void)state;
	on("config");
	expect("repo config demo", "");
	assert_int_equal(run("repo config demo uploadpack.keepAlive 1"), 0);
	assert_int_equal(ph_config_load(&config, store, NULL, &memory.alloc), PH_OK);
	assert_int_equal(config.upload_keepalive_s, 9);
	ph_config_release(&config, &memory.alloc);
}

static void test_refused(void **state)
{
	static const enum ph_permission not_owners[] = {PH_PERM_WRITE, PH_PERM_READ, PH_PERM_NONE};

	(void)state;
	expect_error("config transfer.hideRef refs/x", "is it transfer.hideRefs");
	expect_error("config uploadpack.unborn x", "is it lsrefs.unborn");
	expect_error("config uploadpack.keepalives 1", "is it uploadpack.keepAlive");
	expect_error("config core.bare true", "there are:");
	assert_non_null(strstr((char *)err.data, "bundle.<id>.filter"));
	expect_error("config x true", "no such key: x");
	expect_error("config uploadpack.keepAlive soon", "cannot be 'soon': it takes a number");
	expect_error("config transfer.hideRefs refs/*", "no wildcards");
	expect_error("config transfer.hideRefs refs/\x1b[31m", "control characters");
	assert_null(strchr((char *)err.data, '\x1b'));
	expect_error("config --add uploadpack.keepAlive 1", "without --add");
	expect_error("config --add transfer.hideRefs", "a value is missing");
	expect_error("config --add", "a key is missing");
	expect_error("config --unset", "a key is missing");
	expect_error("config --replace transfer.hideRefs refs/x", "what is this");
	expect_error("repo config", "name of a repository is missing");
	expect_error("repo config none", "no such repository: none");
	expect_error("repo config none lsrefs.unborn allow", "no such repository: none");
	expect_error("repo config ../x lsrefs.unborn allow", "not a name");
	for (size_t i = 0; i < sizeof(not_owners) / sizeof(*not_owners); i++) {
		service.permission = not_owners[i];
		expect_error("config", "denied");
		expect_error("repo config demo", "denied");
		expect_error("repo config demo lsrefs.unborn allow", "denied");
		expect_error("repo config none", "denied");
	}
	service.permission = PH_PERM_OWNER;
	expect("config", "");
	expect("repo config demo", "");
}

/* What a newer version has set stays, and what is listed drives no terminal. */
static void test_unknown_lines(void **state)
{
	static const char text[] = "new.key=1\nlsrefs.unborn=allow\n\nodd\n=x\nnew.key=\x1b[m\n";

	(void)state;
	assert_int_equal(ph_store_setting_set(store, "config", text, strlen(text)), PH_OK);
	expect("config", "new.key=1\nlsrefs.unborn=allow\nnew.key=?[m\n");
	expect("config lsrefs.unborn ignore", "set server: lsrefs.unborn=ignore\n");
	expect("config", "new.key=1\nnew.key=?[m\nlsrefs.unborn=ignore\n");
	expect("config --unset lsrefs.unborn", "unset server: lsrefs.unborn\n");
	expect("config", "new.key=1\nnew.key=?[m\n");
}

static void test_limits(void **state)
{
	char *text = calloc(1, PH_SETTING_BYTES_MAX + 1);
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < PH_CONFIG_VALUES_MAX; i++)
		len += (size_t)snprintf(text + len, 64, "transfer.hiderefs=refs/%u\n", i);
	assert_int_equal(ph_store_setting_set(store, "config", text, len), PH_OK);
	expect_error("config --add transfer.hideRefs refs/one/more", "too many values");
	expect_error("config lsrefs.unborn allow", "too many values");
	expect("config --unset transfer.hideRefs refs/7",
	       "unset server: transfer.hiderefs=refs/7\n");
	expect("config lsrefs.unborn allow", "set server: lsrefs.unborn=allow\n");
	assert_int_equal(run("config"), 0);
	assert_true(out.len > 20000);
	memset(text, 'x', PH_SETTING_BYTES_MAX - 10);
	text[1] = '=';
	text[PH_SETTING_BYTES_MAX - 10] = 0;
	assert_int_equal(ph_store_setting_set(store, "config", text, strlen(text)), PH_OK);
	expect_error("config lsrefs.unborn allow", "too long");
	free(text);
}

/* ---- at once ---- */

static enum ph_status slow_begin(struct ph_store *self, struct ph_snapshot *base,
                                 struct ph_txn **txn)
{
	enum ph_status status = inner->begin(self, base, txn);
	struct ph_snapshot *now;
	struct ph_txn *other;
	char text[64];

	if (!others || status != PH_OK)
		return status;
	others--;
	snprintf(text, sizeof(text), "receive.keepalive=%u\nlsrefs.unborn=allow\n", others);
	assert_int_equal(inner->snapshot(self, "demo", &now), PH_OK);
	assert_int_equal(inner->begin(self, now, &other), PH_OK);
	ph_snapshot_release(now);
	assert_int_equal(ph_txn_set_setting(other, "config", text, strlen(text)), PH_OK);
	assert_int_equal(ph_txn_commit(other, NULL, NULL), PH_OK);
	ph_txn_free(other);
	return status;
}

static enum ph_status slow_swap(struct ph_store *self, const char *key, const void *old,
                                size_t old_len, const void *data, size_t len)
{
	char text[64];

	if (others) {
		others--;
		snprintf(text, sizeof(text), "receive.keepalive=%u\nlsrefs.unborn=allow\n", others);
		assert_int_equal(inner->setting_set(self, "config", text, strlen(text)), PH_OK);
	}
	return inner->setting_swap(self, key, old, old_len, data, len);
}

static void test_at_once(void **state)
{
	static const char both[] =
	        "receive.keepalive=0\nlsrefs.unborn=allow\nuploadpack.keepalive=7\n";

	(void)state;
	faster = *inner;
	faster.begin = slow_begin;
	faster.setting_swap = slow_swap;
	store->ops = &faster;
	for (unsigned times = 1; times < 4; times++) {
		others = times;
		expect("repo config demo uploadpack.keepalive 7",
		       "set demo: uploadpack.keepalive=7\n");
		assert_int_equal(others, 0);
		expect("repo config demo", both);
		others = times;
		expect("config uploadpack.keepalive 7", "set server: uploadpack.keepalive=7\n");
		expect("config", both);
	}
	/* Not for ever. */
	others = 1000;
	expect_error("repo config demo uploadpack.keepalive 7", "try again");
	others = 1000;
	expect_error("config uploadpack.keepalive 7", "try again");
	others = 0;
}

static void test_no_memory(void **state)
{
	static const char *const lines[] = {"repo config demo uploadpack.keepalive 7",
	                                    "config uploadpack.keepalive 7", "config",
	                                    "repo config demo --unset uploadpack.keepalive"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		unsigned at = 1;
		int status;

		do {
			uint64_t calls = memory.calls;

			memory.fail_at = calls + at;
			status = run(lines[i]);
			memory.fail_at = 0;
			if (memory.calls < calls + at)
				break;
		} while (++at < 1000 && status != 0);
		assert_int_equal(status, 0);
	}
	expect("repo config demo", "");
	expect("config", "uploadpack.keepalive=7\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_repo, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_server, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_unknown_lines, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
