/* SPDX-License-Identifier: MIT */
/*
 * Many threads. Commits that wait for a flush share it; readers do not wait for it at all; commits
 * with and without a wake callback, and ones given up while they wait, all come to an end.
 */
#define _DEFAULT_SOURCE 1 /* usleep, clock_gettime */
#include "disk_tools.h"

#undef assert_status
#include "conformance_int.h"
#include "disk_int.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 32u

struct shared {
	struct ph_store *store;
	struct sim_device *sim;
	atomic_uint commits, failures, running;
	atomic_bool stop;
	uint32_t each;
	bool mixed; /* some commits with a wake, some without */
	bool packs; /* commits bring packs, which are read again */
};

struct thread {
	struct shared *shared;
	uint32_t number;
	pthread_t id;
};

static struct ph_store_disk_options options;

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static enum ph_status push_one(struct shared *shared, uint32_t thread, uint32_t i)
{
	struct ph_txn *txn;
	struct ph_oid oid;
	char repo[16], ref[32];
	uint32_t change;
	/* Half of them all in one repository. */
	snprintf(repo, sizeof(repo), "r%u", thread % 2 ? 0u : (unsigned)thread);
	snprintf(ref, sizeof(ref), "refs/heads/%u-%u", (unsigned)thread, (unsigned)i % 3);
	enum ph_status status = tool_begin(shared->store, repo, &txn);
	if (status != PH_OK)
		return status;
	oid = ph_test_oid_fake(PH_HASH_SHA1, (uint8_t)(i + 1));
	if (shared->packs)
		status = tool_add_pack(txn, thread * 1000 + i, 500, &oid);
	if (status == PH_OK)
		status = ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &change);
	if (status == PH_OK)
		status = tool_commit(txn, shared->mixed && i % 2);
	ph_txn_free(txn);
	if (status == PH_OK && shared->packs &&
	    !tool_has(shared->store, repo, ref, thread * 1000 + i, 500))
		return PH_ERR_CORRUPT;
	return status;
}

static void *writer(void *arg)
{
	struct thread *thread = arg;
	struct shared *shared = thread->shared;
	for (uint32_t i = 0; i < shared->each; i++) {
		if (push_one(shared, thread->number, i) == PH_OK)
			atomic_fetch_add(&shared->commits, 1);
		else
			atomic_fetch_add(&shared->failures, 1);
	}
	atomic_fetch_sub(&shared->running, 1);
	return NULL;
}

static void start(struct shared *shared, uint32_t flush_us)
{
	char name[16];
	memset(shared, 0, sizeof(*shared));
	sim_options(&options);
	options.sync = &ph_test_sync;
	shared->sim = sim_new(1 << 20, 256 << 20);
	assert_status(sim_open(shared->sim, &options, &shared->store), PH_OK);
	for (uint32_t i = 0; i < WRITERS; i++) {
		snprintf(name, sizeof(name), "r%u", (unsigned)i);
		assert_status(tool_create(shared->store, name), PH_OK);
	}
	shared->sim->flush_us = flush_us;
	shared->sim->flushes = 0;
}

static void finish(struct shared *shared)
{
	assert_status(sim_check(shared->store), PH_OK);
	ph_store_close(shared->store);
	sim_free(shared->sim);
}

static void run_writers(struct shared *shared, uint32_t count, uint32_t each)
{
	struct thread threads[WRITERS];
	shared->each = each;
	atomic_store(&shared->running, count);
	for (uint32_t i = 0; i < count; i++) {
		threads[i].shared = shared;
		threads[i].number = i;
		assert_int_equal(pthread_create(&threads[i].id, NULL, writer, &threads[i]), 0);
	}
	for (uint32_t i = 0; i < count; i++)
		pthread_join(threads[i].id, NULL);
	assert_int_equal(atomic_load(&shared->failures), 0);
	assert_int_equal(atomic_load(&shared->commits), count * each);
}

/* Two flushes for a commit alone, and far fewer each when many come at once. */
static void test_shared_flushes(void **state)
{
	struct shared shared;
	(void)state;
	start(&shared, 5000);
	run_writers(&shared, 1, 8);
	assert_int_equal(shared.sim->flushes, 16);
	atomic_store(&shared.commits, 0);
	shared.sim->flushes = 0;
	run_writers(&shared, WRITERS, 8);
	print_message("%u commits, %u flushes\n", (unsigned)(WRITERS * 8),
	              (unsigned)shared.sim->flushes);
	/* At least ten commits to what one would take. */
	assert_true(shared.sim->flushes * 10 <= 2 * WRITERS * 8);
	finish(&shared);
}

static void test_mixed(void **state)
{
	struct shared shared;
	(void)state;
	start(&shared, 200);
	shared.mixed = true;
	shared.packs = true;
	run_writers(&shared, 12, 25);
	finish(&shared);
}

/* ---- readers ---- */

static void *reader(void *arg)
{
	struct thread *thread = arg;
	struct shared *shared = thread->shared;
	uint64_t worst = 0;
	while (!atomic_load(&shared->stop)) {
		struct ph_snapshot *snapshot;
		struct ph_ref ref;
		uint64_t before = now_us();
		if (ph_store_snapshot(shared->store, "r2", &snapshot) != PH_OK) {
			atomic_fetch_add(&shared->failures, 1);
			break;
		}
		if (ph_snapshot_ref(snapshot, "HEAD", &ref) != PH_OK)
			atomic_fetch_add(&shared->failures, 1);
		ph_snapshot_release(snapshot);
		uint64_t took = now_us() - before;
		worst = took > worst ? took : worst;
		usleep(500);
	}
	thread->number = (uint32_t)worst;
	return NULL;
}

/* With a flush of 300 ms no read takes half as long. */
static void test_readers(void **state)
{
	struct shared shared;
	struct thread threads[2];
	(void)state;
	start(&shared, 300000);
	for (uint32_t i = 0; i < 2; i++) {
		threads[i].shared = &shared;
		pthread_create(&threads[i].id, NULL, reader, &threads[i]);
	}
	run_writers(&shared, 4, 1);
	atomic_store(&shared.stop, true);
	for (uint32_t i = 0; i < 2; i++) {
		pthread_join(threads[i].id, NULL);
		print_message("worst read %u us\n", (unsigned)threads[i].number);
		assert_true(threads[i].number < 150000);
	}
	assert_int_equal(atomic_load(&shared.failures), 0);
	shared.sim->flush_us = 0;
	finish(&shared);
}

/* ---- leaders that go home ---- */

/* Wakes are only counted: the owner is slow, or never comes back but to free. */
static void count_wake(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

struct lazy {
	struct ph_txn *txn;
	atomic_uint wakes;
	bool pending;
};

static void *lazy_owner(void *arg)
{
	struct thread *thread = arg;
	struct shared *shared = thread->shared;
	for (uint32_t i = 0; i < shared->each; i++) {
		struct lazy lazy = {.txn = NULL};
		struct ph_oid oid;
		uint32_t change;
		atomic_init(&lazy.wakes, 0);
		if (tool_begin(shared->store, "r1", &lazy.txn) != PH_OK ||
		    tool_add_pack(lazy.txn, thread->number * 100 + i, 300, &oid) != PH_OK ||
		    ph_txn_ref_update(lazy.txn, "refs/heads/lazy", NULL, &oid, NULL, &change) !=
		            PH_OK) {
			atomic_fetch_add(&shared->failures, 1);
			break;
		}
		enum ph_status status = ph_txn_commit(lazy.txn, count_wake, &lazy.wakes);
		if (status == PH_PENDING) {
			while (atomic_load(&lazy.wakes) == 0)
				usleep(50);
			/* Gone without asking what became of it. */
			if (i % 2)
				status = tool_commit(lazy.txn, true);
		}
		if (status != PH_OK && status != PH_PENDING)
			atomic_fetch_add(&shared->failures, 1);
		if (atomic_load(&lazy.wakes) > 1)
			atomic_fetch_add(&shared->failures, 1);
		ph_txn_free(lazy.txn);
	}
	return NULL;
}

static void test_lazy_owners(void **state)
{
	struct shared shared;
	struct thread threads[16];
	(void)state;
	start(&shared, 300);
	shared.each = 30;
	for (uint32_t i = 0; i < 16; i++) {
		threads[i].shared = &shared;
		threads[i].number = i;
		pthread_create(&threads[i].id, NULL, lazy_owner, &threads[i]);
	}
	for (uint32_t i = 0; i < 16; i++)
		pthread_join(threads[i].id, NULL);
	assert_int_equal(atomic_load(&shared.failures), 0);
	finish(&shared);
}

/* ---- everything at once ---- */

static void *maintainer(void *arg)
{
	struct thread *thread = arg;
	struct shared *shared = thread->shared;
	uint32_t i = 0;
	while (atomic_load(&shared->running) > 0) {
		enum ph_status status = tool_repack(shared->store, "r0", 5000 + i, 100, false);
		if (status == PH_OK)
			status = tool_create(shared->store, "temporary");
		if (status == PH_OK)
			status = tool_push(shared->store, "temporary", "refs/heads/t", i, 3000);
		if (status == PH_OK)
			status = tool_delete_repo(shared->store, "temporary");
		if (status != PH_OK)
			atomic_fetch_add(&shared->failures, 1);
		if (++i % 8 == 0 && ph_store_disk_check(shared->store, NULL, NULL) != PH_OK)
			atomic_fetch_add(&shared->failures, 1);
	}
	return NULL;
}

/* Pushes that are replaced again before they can be looked at. */
static void *pusher(void *arg)
{
	struct thread *thread = arg;
	struct shared *shared = thread->shared;
	char ref[32];
	for (uint32_t i = 0; i < shared->each; i++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)thread->number);
		if (tool_push(shared->store, i % 2 ? "r0" : "r3", ref, i, 20000) != PH_OK)
			atomic_fetch_add(&shared->failures, 1);
	}
	atomic_fetch_sub(&shared->running, 1);
	return NULL;
}

static void test_everything(void **state)
{
	struct shared shared;
	struct thread threads[6];
	void *(*const entries[])(void *) = {pusher, pusher, pusher, pusher, maintainer, reader};
	(void)state;
	start(&shared, 100);
	shared.each = 40;
	atomic_store(&shared.running, 4);
	for (uint32_t i = 0; i < 6; i++) {
		threads[i].shared = &shared;
		threads[i].number = i;
		pthread_create(&threads[i].id, NULL, entries[i], &threads[i]);
	}
	for (uint32_t i = 0; i < 5; i++)
		pthread_join(threads[i].id, NULL);
	atomic_store(&shared.stop, true);
	pthread_join(threads[5].id, NULL);
	assert_int_equal(atomic_load(&shared.failures), 0);
	finish(&shared);
}

/* ---- a repository that is asked for while it is made ---- */

/* As ph_test_sync, but behind some unlock a commit by another thread comes to its end. */
static struct ph_txn *meanwhile;
static uint32_t unlocks;

static void unlock_and_commit(void *user, void *mutex)
{
	ph_test_sync.mutex_unlock(user, mutex);
	if (!meanwhile || --unlocks > 0)
		return;
	struct ph_txn *txn = meanwhile;
	meanwhile = NULL;
	assert_status(tool_commit(txn, false), PH_OK);
}

/* Whenever that happens there is one repository, which goes when it is deleted. */
static void test_created_meanwhile(void **state)
{
	struct ph_sync sync = ph_test_sync;
	bool done = false;
	(void)state;
	sync.mutex_unlock = unlock_and_commit;
	for (uint32_t at = 1; !done; at++) {
		struct sim_device *sim = sim_new(1 << 20, 64 << 20);
		struct ph_store *store;
		struct ph_snapshot *snapshot;
		struct ph_txn *txn;
		sim_options(&options);
		options.sync = &sync;
		assert_status(sim_open(sim, &options, &store), PH_OK);
		assert_status(ph_store_create(store, "a", PH_HASH_SHA1, &txn), PH_OK);
		meanwhile = txn;
		unlocks = at;
		enum ph_status status = ph_store_snapshot(store, "a", &snapshot);
		if (meanwhile) {
			done = true;
			meanwhile = NULL;
			assert_status(tool_commit(txn, false), PH_OK);
		}
		if (status == PH_OK)
			ph_snapshot_release(snapshot);
		else
			assert_status(status, PH_ERR_NOT_FOUND);
		ph_txn_free(txn);
		assert_status(tool_push(store, "a", "refs/heads/x", 1, 100), PH_OK);
		assert_status(tool_delete_repo(store, "a"), PH_OK);
		assert_status(ph_store_snapshot(store, "a", &snapshot), PH_ERR_NOT_FOUND);
		ph_store_close(store);
		sim_free(sim);
	}
}

/* Two changes by another thread, each behind some unlock of the tables. */
static struct {
	struct ph_store *store;
	uint32_t next, unlocks[2]; /* until that one; next 2: both are made */
	bool evicts;
} changes = {.next = 2};

/* The repository is pushed to, and so many others are made that it does not stay in memory. */
static void push_and_evict(struct ph_store *store)
{
	char name[16];
	assert_status(tool_push(store, "a", "refs/heads/x", 1, 100), PH_OK);
	for (uint32_t i = 0; i <= PH__IDLE_REPOS; i++) {
		snprintf(name, sizeof(name), "other%u", (unsigned)i);
		assert_status(tool_create(store, name), PH_OK);
	}
}

static void make_change(void)
{
	uint32_t change = changes.next;
	changes.next = 2;
	if (change == 0)
		assert_status(tool_create(changes.store, "a"), PH_OK);
	else if (changes.evicts)
		push_and_evict(changes.store);
	else
		assert_status(tool_delete_repo(changes.store, "a"), PH_OK);
	changes.next = change + 1;
}

static void unlock_and_change(void *user, void *mutex)
{
	ph_test_sync.mutex_unlock(user, mutex);
	if (changes.next < 2 && mutex == ph__disk_of(changes.store)->lock &&
	    --changes.unlocks[changes.next] == 0)
		make_change();
}

/* Asks for a repository that is made, and then deleted or pushed to and forgotten, meanwhile. */
static void open_while_changed(uint32_t first, uint32_t second, bool evicts)
{
	struct ph_sync sync = ph_test_sync;
	struct sim_device *sim = sim_new(1 << 20, 64 << 20);
	struct ph_store *store;
	struct ph_snapshot *snapshot;
	sync.mutex_unlock = unlock_and_change;
	sim_options(&options);
	options.sync = &sync;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	changes.store = store;
	changes.evicts = evicts;
	changes.unlocks[0] = first;
	changes.unlocks[1] = second;
	changes.next = 0;
	enum ph_status status = ph_store_snapshot(store, "a", &snapshot);
	while (changes.next < 2)
		make_change();
	if (status == PH_OK)
		ph_snapshot_release(snapshot);
	else
		assert_status(status, PH_ERR_NOT_FOUND);
	if (evicts) {
		assert_true(tool_has(store, "a", "refs/heads/x", 1, 100));
	} else {
		assert_status(ph_store_snapshot(store, "a", &snapshot), PH_ERR_NOT_FOUND);
		assert_status(tool_create(store, "a"), PH_OK);
	}
	assert_status(tool_push(store, "a", "refs/heads/y", 2, 100), PH_OK);
	assert_true(tool_has(store, "a", "refs/heads/y", 2, 100));
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

static void test_changed_meanwhile(void **state)
{
	(void)state;
	for (uint32_t first = 1; first < 6; first++) {
		for (uint32_t second = 1; second < 6; second++) {
			open_while_changed(first, second, false);
			open_while_changed(first, second, true);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_shared_flushes),    cmocka_unit_test(test_mixed),
	        cmocka_unit_test(test_readers),           cmocka_unit_test(test_lazy_owners),
	        cmocka_unit_test(test_everything),        cmocka_unit_test(test_created_meanwhile),
	        cmocka_unit_test(test_changed_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
