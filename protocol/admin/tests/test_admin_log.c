/* SPDX-License-Identifier: MIT */
/* repo log: what it prints, that it can be checked by who reads it, and that tampering is noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/admin.h>
#include <packhorse/hash.h>
#include <packhorse/store_mem.h>
#include <string.h>

static struct ph_test_alloc memory;
static struct ph_limits limits;
static struct ph_store *store;
static struct ph_service service;
static struct ph_test_buf out, err;

static void add(const char *text)
{
	struct ph_snapshot *base;
	struct ph_txn *txn;

	assert_int_equal(ph_store_snapshot(store, "demo", &base), PH_OK);
	assert_int_equal(ph_store_begin(store, base, &txn), PH_OK);
	ph_snapshot_release(base);
	assert_int_equal(ph_txn_log(txn, text, strlen(text)), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

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
	                              .permission = PH_PERM_OWNER};
	memset(&out, 0, sizeof(out));
	memset(&err, 0, sizeof(err));
	assert_int_equal(ph_store_create(store, "demo", PH_HASH_SHA1, &txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
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

/* The status of "repo log demo"; what it prints is in out and err, with a NUL behind. */
static int show(uint32_t budget)
{
	static const char *const argv[] = {"repo", "log", "demo"};
	struct ph_session *session;
	int status;

	ph_test_buf_clear(&out);
	ph_test_buf_clear(&err);
	assert_int_equal(ph_admin_new(&session, &service, 3, argv), PH_OK);
	while (!(ph_session_state(session) & PH_DONE)) {
		assert_true(ph_session_state(session) & PH_WANT_RUN);
		ph_session_run(session, 0, 0, budget);
		for (int i = 0; i < 2; i++) {
			const uint8_t *data;
			size_t len;

			data = ph_session_output_buf(session, (enum ph_stream)i, &len);
			if (data)
				ph_test_buf_append(i ? &err : &out, data, len);
			ph_session_output_ack(session, (enum ph_stream)i, len);
		}
	}
	status = ph_session_exit_status(session);
	ph_session_free(session);
	ph_test_buf_append(&out, "", 1);
	ph_test_buf_append(&err, "", 1);
	return status;
}

/* The text that must be printed, by a chain of our own. */
static void expect_chain(const char *const *records, size_t count)
{
	struct ph_test_buf want = {0}, record = {0};
	struct ph_oid tip = {{0}};

	for (size_t i = 0; i < count; i++) {
		char hex[PH_OID_HEX_MAX + 1], own[PH_OID_HEX_MAX + 1];
		struct ph_hash hash;

		ph_oid_to_hex(hex, PH_HASH_SHA256, &tip);
		ph_test_buf_clear(&record);
		ph_test_buf_print(&record, "%s\n%s", hex, records[i]);
		ph_hash_init(&hash, PH_HASH_SHA256);
		ph_hash_update(&hash, record.data, record.len);
		ph_hash_final(&hash, &tip);
		ph_test_buf_print(&want, "record %s\nprevious %s\n%s\n",
		                  ph_oid_to_hex(own, PH_HASH_SHA256, &tip), hex, records[i]);
	}
	ph_test_buf_append(&want, "", 1);
	assert_string_equal((char *)out.data, (char *)want.data);
	ph_test_buf_release(&want);
	ph_test_buf_release(&record);
}

static void test_log(void **state)
{
	static const char *const records[] = {"push 1 alice\na b refs/heads/main\n", "push 2 bob\n",
	                                      "push 3 bob\nc d e\nf g h\n"};

	(void)state;
	assert_int_equal(show(1), 0);
	assert_int_equal(out.len, 1);
	for (size_t i = 0; i < 3; i++)
		add(records[i]);
	for (uint32_t budget = 1; budget < 1000; budget *= 10) {
		assert_int_equal(show(budget), 0);
		assert_int_equal(err.len, 1);
		expect_chain(records, 3);
	}
	add("push 4 \x1b[31m\n");
	assert_int_equal(show(100), 0);
	assert_non_null(strstr((char *)out.data, "push 4 \\x1b[31m\n"));
	service.permission = PH_PERM_WRITE;
	assert_int_equal(show(100), 1);
	assert_int_equal(out.len, 1);
}

/* A snapshot of which one record is not what it was. */
static const struct ph_store_ops *real_store;
static const struct ph_snapshot_ops *real_snapshot;
static struct ph_store_ops store_ops;
static struct ph_snapshot_ops snapshot_ops;

static enum ph_status other_record(struct ph_snapshot *snapshot, uint64_t number, void *buf,
                                   size_t *len)
{
	enum ph_status status = real_snapshot->log_read(snapshot, number, buf, len);

	if (status == PH_OK && number == 1)
		((char *)buf)[PH_LOG_LINK_BYTES + 5] ^= 1;
	return status;
}

static enum ph_status other_snapshot(struct ph_store *of, const char *name,
                                     struct ph_snapshot **snapshot)
{
	enum ph_status status = real_store->snapshot(of, name, snapshot);

	if (status == PH_OK) {
		real_snapshot = (*snapshot)->ops;
		snapshot_ops = *real_snapshot;
		snapshot_ops.log_read = other_record;
		(*snapshot)->ops = &snapshot_ops;
	}
	return status;
}

static void test_tampering(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		add("push 1 alice\n");
	real_store = store->ops;
	store_ops = *real_store;
	store_ops.snapshot = other_snapshot;
	store->ops = &store_ops;
	assert_int_equal(show(100), 1);
	assert_non_null(strstr((char *)err.data, "the chain is broken"));
	store->ops = real_store;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_tampering, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
