/* SPDX-License-Identifier: MIT */
/*
 * The owner command backup: the same bytes however they are taken, and whoever pushes meanwhile;
 * who may have them; and that a reader who takes nothing is ended and holds nothing any more.
 */
#include "disk_tools.h"

#include <packhorse/admin.h>
#include <packhorse/store_mem.h>

#define SECRET "the private host key"

static struct ph_test_alloc memory;
static struct ph_limits limits;
static struct sim_device *device;
static struct ph_store_disk_options options;
static struct ph_store *store;
static struct ph_service service;
static struct ph_test_buf out, err;

static int setup(void **state)
{
	(void)state;
	ph_test_alloc_init(&memory);
	ph_limits_init(&limits);
	sim_options(&options);
	options.alloc = &memory.alloc;
	device = sim_new(1 << 20, 64 << 20);
	assert_status(sim_open(device, &options, &store), PH_OK);
	assert_status(ph_store_setting_set(store, "host-key", SECRET, sizeof(SECRET)), PH_OK);
	assert_status(tool_create(store, "a"), PH_OK);
	assert_status(tool_push(store, "a", "refs/heads/main", 1, 900000), PH_OK);
	service = (struct ph_service){.store = store,
	                              .alloc = &memory.alloc,
	                              .limits = &limits,
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
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(device);
	assert_int_equal(memory.live, 0);
	return 0;
}

static struct ph_session *open_backup(const char *word)
{
	const char *const argv[] = {"backup", word};
	struct ph_session *session;

	ph_test_buf_clear(&out);
	ph_test_buf_clear(&err);
	assert_status(ph_admin_new(&session, &service, word ? 2 : 1, argv), PH_OK);
	return session;
}

/* Takes at most so many bytes of either stream. */
static void take(struct ph_session *session, size_t most)
{
	for (int i = 0; i < 2; i++) {
		size_t len;
		const uint8_t *data = ph_session_output_buf(session, (enum ph_stream)i, &len);

		len = len < most ? len : most;
		if (len)
			ph_test_buf_append(i ? &err : &out, data, len);
		ph_session_output_ack(session, (enum ph_stream)i, len);
	}
}

/* Runs it to its end; its status. between is called between runs. */
static int run(struct ph_session *session, uint32_t budget, size_t most, void (*between)(void))
{
	int status;

	while (ph_session_state(session) != PH_DONE) {
		if (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, 0, 0, budget);
		take(session, most);
		if (between)
			between();
	}
	status = ph_session_exit_status(session);
	ph_session_free(session);
	ph_test_buf_append(&err, "", 1);
	return status;
}

static bool contains(const struct ph_test_buf *buf, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= buf->len; at++)
		if (memcmp(buf->data + at, text, len) == 0)
			return true;
	return false;
}

static void same_bytes(void **state)
{
	static const size_t takes[] = {SIZE_MAX, 70000, 1999};
	struct ph_test_buf first = {0};

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(run(open_backup(NULL), i ? 4096 : 1, takes[i], NULL), 0);
		assert_true(contains(&err, "host key and nonce seeds are left out"));
		assert_false(contains(&out, SECRET));
		if (i == 0)
			ph_test_buf_append(&first, out.data, out.len);
		assert_int_equal(out.len, first.len);
		assert_memory_equal(out.data, first.data, first.len);
	}
	assert_int_equal(run(open_backup("--with-host-key"), 4096, SIZE_MAX, NULL), 0);
	assert_true(contains(&out, SECRET));
	assert_int_equal(err.len, 1);
	ph_test_buf_release(&first);
}

static uint32_t pushes;

static void push(void)
{
	char ref[40];

	snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)(++pushes % 5));
	assert_status(tool_push(store, "a", ref, 1000 + pushes, 5000), PH_OK);
}

/* The backup opens, and has what was there when it began. */
static void while_pushed_to(void **state)
{
	struct ph_session *session = open_backup(NULL);
	struct sim_device *copy;
	struct ph_store *opened;
	struct ph_snapshot *snapshot;
	struct ph_ref ref;

	(void)state;
	/* It begins with the first run, and a little later so do the pushes. */
	ph_session_run(session, 0, 0, 4);
	assert_int_equal(run(session, 64, 60000, push), 0);
	assert_true(pushes > 10);
	copy = sim_new(out.len, 64 << 20);
	assert_status(copy->device.ops->write(&copy->device, 0, out.data, out.len), PH_OK);
	assert_status(sim_open(copy, &options, &opened), PH_OK);
	assert_status(sim_check(opened), PH_OK);
	assert_true(tool_has(opened, "a", "refs/heads/main", 1, 900000));
	assert_status(ph_store_snapshot(opened, "a", &snapshot), PH_OK);
	assert_status(ph_snapshot_ref(snapshot, "refs/heads/1", &ref), PH_ERR_NOT_FOUND);
	ph_snapshot_release(snapshot);
	ph_store_close(opened);
	sim_free(copy);
}

static uint64_t free_bytes(void)
{
	struct ph_store_disk_info info;

	ph_store_disk_info(store, &info);
	return info.free_bytes;
}

/* A reader that takes nothing. */
static void stalled(void **state)
{
	struct ph_session *session = open_backup(NULL);
	uint64_t before, after;

	(void)state;
	while (ph_session_state(session) & PH_WANT_RUN)
		ph_session_run(session, 1000, 0, 4096);
	assert_int_equal(ph_session_deadline(session), 1000 + limits.idle_ms_max);
	assert_status(tool_delete_repo(store, "a"), PH_OK);
	before = free_bytes();
	/* The owner looks at the deadline; what was not taken is gone. */
	ph_session_run(session, 1000 + limits.idle_ms_max, 0, 4096);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
	after = free_bytes();
	assert_true(after >= before + 900000);
}

static void refused(void **state)
{
	struct ph_store_mem_options mem = {.alloc = &memory.alloc, .limits = &limits};
	struct ph_store *in_memory;

	(void)state;
	service.permission = PH_PERM_WRITE;
	assert_int_equal(run(open_backup(NULL), 64, SIZE_MAX, NULL), 1);
	assert_true(contains(&err, "only the owner"));
	assert_int_equal(out.len, 0);
	service.permission = PH_PERM_OWNER;
	assert_int_equal(run(open_backup("--all"), 64, SIZE_MAX, NULL), 1);
	assert_true(contains(&err, "what is this: --all"));
	assert_int_equal(out.len, 0);
	assert_status(ph_store_mem_new(&in_memory, &mem), PH_OK);
	service.store = in_memory;
	assert_int_equal(run(open_backup(NULL), 64, SIZE_MAX, NULL), 1);
	assert_true(contains(&err, "no backup of this store: it is in memory"));
	assert_int_equal(out.len, 0);
	ph_store_close(in_memory);
}

static void unreadable(void **state)
{
	struct ph_session *session = open_backup(NULL);

	(void)state;
	ph_session_run(session, 0, 0, 64);
	device->fail_ops = SIM_READ;
	device->fail_at = 1;
	assert_int_equal(run(session, 64, SIZE_MAX, NULL), 1);
	device->fail_ops = 0;
	assert_true(contains(&err, "damaged: repository a: pack 1, section 1"));
	assert_true(contains(&err, "is no backup"));
	session = open_backup("--keep-going");
	ph_session_run(session, 0, 0, 64);
	device->fail_count = 0;
	device->fail_ops = SIM_READ;
	assert_int_equal(run(session, 64, SIZE_MAX, NULL), 1);
	device->fail_ops = 0;
	assert_true(contains(&err, "whole but for the damage: 2 findings"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(same_bytes, setup, teardown),
	        cmocka_unit_test_setup_teardown(while_pushed_to, setup, teardown),
	        cmocka_unit_test_setup_teardown(stalled, setup, teardown),
	        cmocka_unit_test_setup_teardown(refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(unreadable, setup, teardown),
	};

	return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
