/* SPDX-License-Identifier: MIT */
/*
 * A whole push, and a clone after it, with every allocation or device operation failing in turn,
 * over both stores; and a push that creates its repository. Whatever fails, the answer says either
 * that it failed, and the store is as it was, without the name that the push would have made, or
 * that it is done, and it is; nothing leaks, and the next push works.
 *
 * PH_TEST_EVERY   tries every so many-th place; 7 unless set, 1 for all
 * PH_TEST_OFFSET  begins at this one of them; so that others are met in other runs
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"
#include "sim_device.h"

#include <packhorse/upload_pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPS "report-status side-band-64k"
#define DISK_BYTES ((uint64_t)4 << 20)
#define LARGE_BYTES 150000u

enum fault { FAULT_ONE, FAULT_ALL_LATER, FAULT_READ, FAULT_WRITE, FAULT_FLUSH, FAULTS };

static const unsigned device_ops[FAULTS] = {
        [FAULT_READ] = SIM_READ, [FAULT_WRITE] = SIM_WRITE, [FAULT_FLUSH] = SIM_FLUSH};

/* A repository before the push, the push, and what a store shows before and after it. */
static struct world {
	struct fixture f;
	bool disk;
	bool creates;     /* the push makes its repository, beside the one that is there */
	const char *repo; /* that is pushed to */
	struct sim_device *sim, *medium; /* the disk in use; as it was before the push */
	struct ph_store_disk_options options;
	struct ph_test_buf request, before, after;
	uint64_t tried, refused, done;
} w;

static uint64_t number_of(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : usual;
}

/* ---- the store ---- */

static void open_disk(void)
{
	sim_options(&w.options);
	w.options.alloc = &w.f.memory.alloc;
	w.options.limits = &w.f.limits;
	/* So small that reads do reach the device. */
	w.options.cache_bytes = 64 << 10;
	assert_int_equal(sim_open(w.sim, &w.options, &w.f.store), PH_OK);
	w.f.service.store = w.f.store;
}

static void reopen_disk(void)
{
	ph_store_close(w.f.store);
	w.sim->fail_ops = 0;
	open_disk();
	assert_int_equal(sim_check(w.f.store), PH_OK);
}

/* The first commit is there, on two branches. */
static void first_push(void)
{
	struct ph_test_buf first = {0};
	struct answer answer;

	command(&first, zero(&w.f), hex(&w.f, w.f.commit[0]), "refs/heads/main", "report-status");
	command(&first, zero(&w.f), hex(&w.f, w.f.commit[0]), "refs/heads/old", NULL);
	flush(&first);
	pack_first(&w.f, &first);
	push(&w.f, "demo", &first, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\nok refs/heads/old\n");
	answer_release(&answer);
	ph_test_buf_release(&first);
}

static void begin(void)
{
	fixture_init(&w.f, PH_HASH_SHA1);
	w.f.limits.delta_resident_bytes_max = 64 << 10;
	w.f.limits.delta_cache_bytes_max = 64 << 10;
	if (w.disk) {
		ph_store_close(w.f.store);
		w.sim = w.medium ? sim_copy(w.medium) : sim_new(DISK_BYTES, DISK_BYTES);
		open_disk();
	}
	if (!w.medium)
		first_push();
}

static void end(void)
{
	fixture_release(&w.f);
	sim_free(w.sim);
	w.sim = NULL;
}

/* ---- the push ---- */

/* Two large blobs, the second a delta on the first: more than is resolved in memory. */
static void add_large(struct ph_test_pack *pack)
{
	struct ph_test_rng rng;
	uint8_t *data = malloc(LARGE_BYTES);

	assert_non_null(data);
	ph_test_rng_init(&rng, 3);
	ph_test_rng_fill(&rng, data, LARGE_BYTES);
	ph_test_pack_add(pack, PH_OBJ_BLOB, data, LARGE_BYTES);
	data[LARGE_BYTES / 2] ^= 1;
	ph_test_pack_add_ofs(pack, pack->count - 1, data, LARGE_BYTES);
	free(data);
}

/* Three refs of a repository that is not there; a pack of all that they need, with deltas. */
static void make_first_request(void)
{
	const struct ph_test_entry *e = w.f.all.entries;
	struct ph_test_pack pack;

	ph_test_buf_clear(&w.request);
	command(&w.request, zero(&w.f), hex(&w.f, w.f.commit[1]), "refs/heads/main", CAPS);
	command(&w.request, zero(&w.f), hex(&w.f, w.f.tag), "refs/tags/v1", NULL);
	command(&w.request, zero(&w.f), hex(&w.f, w.f.commit[0]), "refs/heads/old", NULL);
	flush(&w.request);
	ph_test_pack_init(&pack, w.f.algo);
	for (unsigned i = 0; i < 2; i++) {
		const struct ph_test_entry *blob = &e[w.f.blob[i]], *tree = &e[w.f.tree[i]];
		const struct ph_test_entry *commit = &e[w.f.commit[i]];

		ph_test_pack_add(&pack, PH_OBJ_BLOB, blob->data, blob->size);
		if (i == 0)
			ph_test_pack_add(&pack, PH_OBJ_TREE, tree->data, tree->size);
		else
			ph_test_pack_add_ofs(&pack, 1, tree->data, tree->size);
		ph_test_pack_add(&pack, PH_OBJ_COMMIT, commit->data, commit->size);
	}
	ph_test_pack_add(&pack, PH_OBJ_TAG, e[w.f.tag].data, e[w.f.tag].size);
	add_large(&pack);
	ph_test_packfile(&pack, &w.request);
	ph_test_pack_release(&pack);
}

/* A fast-forward, a new tag and a delete; a thin pack with deltas of both kinds. */
static void make_request(void)
{
	const struct ph_test_entry *e = w.f.all.entries;
	const struct ph_test_entry *base = &e[w.f.tree[0]], *blob = &e[w.f.blob[1]];
	struct ph_test_pack pack;

	ph_test_buf_clear(&w.request);
	command(&w.request, hex(&w.f, w.f.commit[0]), hex(&w.f, w.f.commit[1]), "refs/heads/main",
	        CAPS);
	command(&w.request, zero(&w.f), hex(&w.f, w.f.tag), "refs/tags/v1", NULL);
	command(&w.request, hex(&w.f, w.f.commit[0]), zero(&w.f), "refs/heads/old", NULL);
	flush(&w.request);
	ph_test_pack_init(&pack, w.f.algo);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, blob->data, blob->size);
	ph_test_pack_add_thin(&pack, PH_OBJ_TREE, &base->oid, base->data, base->size,
	                      e[w.f.tree[1]].data, e[w.f.tree[1]].size);
	ph_test_pack_add(&pack, PH_OBJ_COMMIT, e[w.f.commit[1]].data, e[w.f.commit[1]].size);
	ph_test_pack_add(&pack, PH_OBJ_TAG, e[w.f.tag].data, e[w.f.tag].size);
	add_large(&pack);
	ph_test_packfile(&pack, &w.request);
	ph_test_pack_release(&pack);
}

static enum ph_status send_push(struct answer *answer)
{
	const struct pump how = {.feed = FEED_RANDOM, .seed = 5};

	return push_how(&w.f, w.repo, 0, &how, &w.request, answer);
}

/* All three are said to be done; or none is. */
static bool says_done(const struct answer *answer)
{
	bool done = says(answer, "ok refs/heads/main");

	assert_int_equal(says(answer, "ok refs/tags/v1"), done);
	assert_int_equal(says(answer, "ok refs/heads/old"), done);
	return done;
}

static void expect_store(const struct ph_test_buf *want)
{
	struct ph_test_buf now = {0};

	store_text(&w.f, &now);
	if (now.len != want->len || memcmp(now.data, want->data, now.len) != 0)
		fail_msg("the store is\n%sand should be\n%s", (const char *)now.data,
		         (const char *)want->data);
	ph_test_buf_release(&now);
}

static bool is_store(const struct ph_test_buf *want)
{
	struct ph_test_buf now = {0};
	bool same;

	store_text(&w.f, &now);
	same = now.len == want->len && memcmp(now.data, want->data, now.len) == 0;
	ph_test_buf_release(&now);
	return same;
}

/* ---- faults ---- */

static void set_fault(enum fault fault, uint64_t at)
{
	if (fault < FAULT_READ) {
		w.f.memory.fail_at = w.f.memory.calls + at;
		w.f.memory.fail_on = fault == FAULT_ALL_LATER;
	} else {
		w.sim->fail_ops = device_ops[fault];
		w.sim->fail_count = 0;
		w.sim->fail_at = at;
	}
}

/* Returns whether it struck. */
static bool clear_fault(enum fault fault, uint64_t at)
{
	bool struck;

	if (fault < FAULT_READ) {
		struck = w.f.memory.calls >= w.f.memory.fail_at;
		w.f.memory.fail_at = 0;
		w.f.memory.fail_on = false;
	} else {
		struck = w.sim->fail_count >= at;
		w.sim->fail_ops = 0;
	}
	return struck;
}

/* What a push that failed leaves: what was there, and no repository without anything in it. */
static void expect_before(void)
{
	struct ph_snapshot *snapshot;

	expect_store(&w.before);
	if (w.creates)
		assert_int_equal(ph_store_snapshot(w.f.store, w.repo, &snapshot), PH_ERR_NOT_FOUND);
}

/*
 * The same push once more. On a disk that failed to write, the store is opened again first; then it
 * may hold what nobody was told of: the commit was on its way. It is all of it, or nothing.
 */
static void push_again(enum fault fault, bool done)
{
	struct answer answer;

	if (fault >= FAULT_READ)
		reopen_disk();
	if (fault >= FAULT_WRITE && !done && is_store(&w.after))
		done = true;
	if (!done) {
		expect_before();
		assert_int_equal(send_push(&answer), PH_OK);
		assert_true(says_done(&answer));
		answer_release(&answer);
	}
	expect_store(&w.after);
	if (w.disk)
		assert_int_equal(sim_check(w.f.store), PH_OK);
}

/* One try; false when the fault did not strike any more. */
static bool try_push(enum fault fault, uint64_t at)
{
	struct answer answer = {0};
	enum ph_status status;
	bool struck, done = false;

	begin();
	set_fault(fault, at);
	status = send_push(&answer);
	struck = clear_fault(fault, at);
	if (status == PH_OK) {
		assert_true(answer.done);
		done = says_done(&answer);
		if (!done)
			assert_true(answer.exit_status == 128 || says(&answer, "ng refs/"));
	} else {
		assert_int_equal(status, PH_ERR_NOMEM);
	}
	if (fault < FAULT_READ && done)
		expect_store(&w.after);
	else if (fault < FAULT_READ)
		expect_before();
	push_again(fault, done);
	w.tried++;
	w.refused += !done;
	w.done += done;
	answer_release(&answer);
	end();
	return struck;
}

/* ---- the clone ---- */

static enum ph_status clone_all(struct answer *answer)
{
	const struct pump how = {.feed = FEED_RANDOM, .seed = 6};
	struct ph_test_buf request = {0}, line = {0};
	struct ph_session *session;
	enum ph_status status;

	pkt_text(&request, "command=ls-refs\n");
	ph_test_buf_append(&request, "0001", 4);
	pkt_text(&request, "peel\n");
	flush(&request);
	pkt_text(&request, "command=fetch\n");
	ph_test_buf_append(&request, "0001", 4);
	ph_test_buf_print(&line, "want %s\n", hex(&w.f, w.f.tag));
	pkt(&request, line.data, line.len);
	pkt_text(&request, "ofs-delta\n");
	pkt_text(&request, "done\n");
	flush(&request);
	status = ph_upload_pack_new(&session, &w.f.service, "demo", 2);
	memset(answer, 0, sizeof(*answer));
	if (status == PH_OK)
		pump(&w.f, session, &how, &request, answer);
	ph_test_buf_release(&request);
	ph_test_buf_release(&line);
	return status;
}

/* It comes as a whole, or ends with an error. */
static bool try_clone(enum fault fault, uint64_t at, const struct ph_test_buf *whole)
{
	struct answer answer = {0};
	bool struck, same;

	begin();
	assert_int_equal(send_push(&answer), PH_OK);
	answer_release(&answer);
	set_fault(fault, at);
	if (clone_all(&answer) == PH_OK)
		assert_true(answer.done);
	struck = clear_fault(fault, at);
	same = answer.out.len == whole->len &&
	       memcmp(answer.out.data, whole->data, whole->len) == 0;
	if (answer.done && answer.exit_status == 0)
		assert_true(same);
	answer_release(&answer);
	w.tried++;
	w.done += same;
	w.refused += !same;
	expect_store(&w.after);
	assert_int_equal(clone_all(&answer), PH_OK);
	assert_int_equal(answer.exit_status, 0);
	assert_int_equal(answer.out.len, whole->len);
	assert_memory_equal(answer.out.data, whole->data, whole->len);
	answer_release(&answer);
	end();
	return struck;
}

/* ---- all places ---- */

static void learn(void)
{
	struct answer answer;

	w.medium = NULL;
	begin();
	if (w.disk) {
		ph_store_close(w.f.store);
		w.medium = sim_copy(w.sim);
		open_disk();
	}
	if (w.creates)
		make_first_request();
	else
		make_request();
	store_text(&w.f, &w.before);
	assert_int_equal(send_push(&answer), PH_OK);
	assert_true(says_done(&answer));
	answer_release(&answer);
	store_text(&w.f, &w.after);
}

static void push_all(enum fault fault, uint64_t offset, uint64_t every)
{
	w.tried = w.refused = w.done = 0;
	for (uint64_t at = 1 + offset; try_push(fault, at);)
		at += every;
	print_message("push, fault %d: %llu tried, %llu refused, %llu done\n", (int)fault,
	              (unsigned long long)w.tried, (unsigned long long)w.refused,
	              (unsigned long long)w.done);
	/* The last one did not strike. */
	assert_true(w.done > 0 && (w.refused > 0 || every > 1));
}

static void clone_all_places(enum fault fault, uint64_t offset, uint64_t every,
                             const struct ph_test_buf *whole)
{
	w.tried = w.refused = w.done = 0;
	for (uint64_t at = 1 + offset; try_clone(fault, at, whole);)
		at += every;
	print_message("clone, fault %d: %llu tried, %llu failed, %llu done\n", (int)fault,
	              (unsigned long long)w.tried, (unsigned long long)w.refused,
	              (unsigned long long)w.done);
}

/* A push that creates is followed by no clone: that is the same as one of any repository. */
static void run(bool disk, bool creates, enum fault first, enum fault last)
{
	uint64_t every = number_of("PH_TEST_EVERY", 7);
	uint64_t offset = number_of("PH_TEST_OFFSET", 0) % every;
	struct answer whole = {0};

	memset(&w, 0, sizeof(w));
	w.disk = disk;
	w.creates = creates;
	w.repo = creates ? "made/new" : "demo";
	learn();
	if (!creates) {
		assert_int_equal(clone_all(&whole), PH_OK);
		assert_int_equal(whole.exit_status, 0);
	}
	end();
	for (enum fault fault = first; fault <= last; fault++) {
		push_all(fault, offset, every);
		if (!creates)
			clone_all_places(fault, offset, every, &whole.out);
	}
	answer_release(&whole);
	sim_free(w.medium);
	ph_test_buf_release(&w.request);
	ph_test_buf_release(&w.before);
	ph_test_buf_release(&w.after);
}

static void memory_over_mem(void **state)
{
	(void)state;
	run(false, false, FAULT_ONE, FAULT_ALL_LATER);
}

static void memory_over_disk(void **state)
{
	(void)state;
	run(true, false, FAULT_ONE, FAULT_ALL_LATER);
}

static void device(void **state)
{
	(void)state;
	run(true, false, FAULT_READ, FAULT_FLUSH);
}

static void creating_memory_over_mem(void **state)
{
	(void)state;
	run(false, true, FAULT_ONE, FAULT_ALL_LATER);
}

static void creating_memory_over_disk(void **state)
{
	(void)state;
	run(true, true, FAULT_ONE, FAULT_ALL_LATER);
}

static void creating_device(void **state)
{
	(void)state;
	run(true, true, FAULT_READ, FAULT_FLUSH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(memory_over_mem),
	        cmocka_unit_test(memory_over_disk),
	        cmocka_unit_test(device),
	        cmocka_unit_test(creating_memory_over_mem),
	        cmocka_unit_test(creating_memory_over_disk),
	        cmocka_unit_test(creating_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
