/* SPDX-License-Identifier: MIT */
/*
 * Conformance: several threads. Checks in threads do not assert (that would leave the wrong stack),
 * they note the line that failed; the test looks at it when all threads are joined.
 */
#include "conformance_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- threads ---- */

#define THREADS 4u

struct job {
	struct conf *c;
	unsigned number;
	int failed_line;
	atomic_uint *left; /* writers that still run */
	unsigned done;
};

/* In a thread: notes the line and leaves the function. */
#define CHECK(job, condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			if (!(job)->failed_line)                                                   \
				(job)->failed_line = __LINE__;                                     \
			return;                                                                    \
		}                                                                                  \
	} while (0)

static void run_jobs(struct conf *c, struct job *jobs, unsigned count,
                     void *(*const *entries)(void *), atomic_uint *left)
{
	pthread_t threads[2 * THREADS];
	assert_true(count <= 2 * THREADS);
	for (unsigned i = 0; i < count; i++) {
		jobs[i] = (struct job){.c = c, .number = i, .left = left};
		assert_int_equal(pthread_create(&threads[i], NULL, entries[i], &jobs[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < count; i++) {
		if (jobs[i].failed_line)
			print_error("thread %u failed in line %d\n", i, jobs[i].failed_line);
		assert_int_equal(jobs[i].failed_line, 0);
	}
}

/* Opens a snapshot and a transaction over it. */
static bool open_both(struct conf *c, const char *name, struct ph_snapshot **snapshot,
                      struct ph_txn **txn)
{
	if (ph_store_snapshot(c->store, name, snapshot) != PH_OK)
		return false;
	if (ph_store_begin(c->store, *snapshot, txn) == PH_OK)
		return true;
	ph_snapshot_release(*snapshot);
	return false;
}

/* ---- readers during writers ---- */

#define PAIR_COMMITS 150u

static bool add_blob(struct job *job, struct ph_txn *txn, uint32_t number, struct ph_oid *oid)
{
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_sink *run, *sink;
	uint32_t handle;
	ph_test_pack_init(&pack, job->c->algo);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, &number, sizeof(number));
	*oid = pack.entries[0].oid;
	ph_test_pack_index(&pack, &index);
	bool good = ph_txn_pack_begin(txn, &handle) == PH_OK &&
	            ph_txn_sink(txn, handle, PH_SECTION_RUN, &run) == PH_OK &&
	            run->ops->append(run, pack.run.data, pack.run.len) == PH_OK &&
	            ph_txn_sink(txn, handle, PH_SECTION_INDEX, &sink) == PH_OK &&
	            sink->ops->append(sink, index.data, index.len) == PH_OK &&
	            ph_txn_pack_end(txn, handle) == PH_OK;
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
	return good;
}

/* Sets refs/heads/a and b to the same new blob, over and over. */
static void write_pairs(struct job *job)
{
	for (uint32_t i = 0; i < PAIR_COMMITS; i++) {
		struct ph_snapshot *snapshot;
		struct ph_txn *txn;
		struct ph_oid oid;
		uint32_t change;
		CHECK(job, open_both(job->c, CONF_REPO, &snapshot, &txn));
		bool good = add_blob(job, txn, i, &oid) &&
		            ph_txn_ref_update(txn, "refs/heads/a", NULL, &oid, NULL, &change) ==
		                    PH_OK &&
		            ph_txn_ref_update(txn, "refs/heads/b", NULL, &oid, NULL, &change) ==
		                    PH_OK &&
		            ph__conf_try_commit(txn) == PH_OK;
		ph_txn_free(txn);
		ph_snapshot_release(snapshot);
		CHECK(job, good);
	}
}

static void *writer(void *arg)
{
	struct job *job = arg;
	write_pairs(job);
	atomic_fetch_sub(job->left, 1);
	return NULL;
}

static bool read_pair(struct ph_snapshot *snapshot)
{
	struct ph_ref a, b;
	struct ph_loc loc;
	struct ph_entry entry;
	uint8_t buf[200];
	enum ph_status status = ph_snapshot_ref(snapshot, "refs/heads/a", &a);
	if (status == PH_ERR_NOT_FOUND)
		return ph_snapshot_ref(snapshot, "refs/heads/b", &b) == PH_ERR_NOT_FOUND;
	if (status != PH_OK || ph_snapshot_ref(snapshot, "refs/heads/b", &b) != PH_OK ||
	    !ph_oid_equal(&a.oid, &b.oid))
		return false;
	const struct ph_source *source = ph_snapshot_source(snapshot);
	if (source->ops->find(source, &a.oid, &loc) != PH_OK ||
	    source->ops->entry(source, loc, &entry) != PH_OK ||
	    entry.end - entry.offset > sizeof(buf))
		return false;
	return source->ops->read(source, loc.pack, entry.offset, buf,
	                         (size_t)(entry.end - entry.offset)) == PH_OK;
}

static void read_pairs(struct job *job)
{
	struct ph_snapshot *held = NULL;
	bool good = true;
	while (good && atomic_load(job->left) > 0) {
		struct ph_snapshot *snapshot;
		if (ph_store_snapshot(job->c->store, CONF_REPO, &snapshot) != PH_OK) {
			good = false;
			break;
		}
		good = read_pair(snapshot) && (!held || read_pair(held));
		/* Keep one for a while, and share it with nobody but this loop. */
		ph_snapshot_release(held);
		held = snapshot;
		ph_snapshot_retain(snapshot);
		ph_snapshot_release(snapshot);
		job->done++;
	}
	ph_snapshot_release(held);
	CHECK(job, good);
}

static void *reader(void *arg)
{
	read_pairs(arg);
	return NULL;
}

static void readers_and_writers(struct conf *c)
{
	static void *(*const entries[])(void *) = {writer, writer, reader, reader, reader};
	struct job jobs[5];
	atomic_uint left;
	atomic_init(&left, 2);
	ph__conf_create(c, CONF_REPO);
	run_jobs(c, jobs, 5, entries, &left);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	const struct ph_source *source = ph_snapshot_source(s);
	assert_int_equal(source->ops->packs(source), 2 * PAIR_COMMITS);
	assert_true(read_pair(s));
	ph_snapshot_release(s);
}

/* ---- commits to one repository ---- */

#define COUNTS 40u

/* One step of a counter whose value is the id of its number; false when another was first. */
static bool count_up(struct job *job, bool *counted)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	struct ph_ref ref;
	uint32_t change;
	char own[40];
	*counted = false;
	if (!open_both(job->c, CONF_REPO, &snapshot, &txn))
		return false;
	uint32_t value = 0;
	bool good = ph_snapshot_ref(snapshot, "refs/heads/counter", &ref) == PH_OK;
	struct ph_oid now = ph__conf_oid(job->c, value);
	while (good && !ph_oid_equal(&now, &ref.oid) && value < 100000)
		now = ph__conf_oid(job->c, ++value);
	struct ph_oid next = ph__conf_oid(job->c, value + 1);
	snprintf(own, sizeof(own), "refs/own/%u/%u", job->number, job->done);
	good = good &&
	       ph_txn_ref_update(txn, "refs/heads/counter", &now, &next, NULL, &change) == PH_OK &&
	       ph_txn_ref_update(txn, own, &ph__conf_zero, &next, NULL, &change) == PH_OK;
	enum ph_status status = good ? ph__conf_try_commit(txn) : PH_ERR_INVALID;
	*counted = status == PH_OK;
	good = status == PH_OK ||
	       (status == PH_ERR_CONFLICT && ph_txn_verdict(txn, 0) == PH_ERR_CONFLICT &&
	        ph_txn_verdict(txn, 1) == PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
	return good;
}

static void count_all(struct job *job)
{
	while (job->done < COUNTS) {
		bool counted;
		CHECK(job, count_up(job, &counted));
		job->done += counted;
	}
}

static void *counter(void *arg)
{
	count_all(arg);
	return NULL;
}

static void one_repository(struct conf *c)
{
	static void *(*const entries[])(void *) = {counter, counter, counter, counter};
	struct job jobs[THREADS];
	struct ph_oid zero = ph__conf_oid(c, 0), end = ph__conf_oid(c, THREADS * COUNTS);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/counter", NULL, &zero);
	ph__conf_commit(txn);
	run_jobs(c, jobs, THREADS, entries, NULL);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_ref(s, "refs/heads/counter", &end);
	for (unsigned i = 0; i < THREADS; i++) {
		char name[40];
		struct ph_ref ref;
		snprintf(name, sizeof(name), "refs/own/%u/%u", i, COUNTS - 1);
		assert_status(ph_snapshot_ref(s, name, &ref), PH_OK);
	}
	ph_snapshot_release(s);
}

/* ---- repositories that come and go ---- */

static void come_and_go(struct job *job, const char *name, bool alone)
{
	for (unsigned i = 0; i < 25; i++) {
		struct ph_txn *txn;
		struct ph_snapshot *snapshot;
		struct ph_oid oid;
		uint32_t change;
		enum ph_status status = ph_store_create(job->c->store, name, job->c->algo, &txn);
		CHECK(job, status == PH_OK || (!alone && status == PH_ERR_EXISTS));
		if (status == PH_OK) {
			bool good = add_blob(job, txn, i, &oid) &&
			            ph_txn_ref_update(txn, "refs/heads/main", NULL, &oid, NULL,
			                              &change) == PH_OK;
			status = ph__conf_try_commit(txn);
			ph_txn_free(txn);
			CHECK(job, good);
			CHECK(job, status == PH_OK || (!alone && status == PH_ERR_EXISTS));
			job->done += status == PH_OK;
		}
		if (!open_both(job->c, name, &snapshot, &txn)) {
			CHECK(job, !alone);
			continue;
		}
		status = ph_txn_delete_repo(txn);
		if (status == PH_OK)
			status = ph__conf_try_commit(txn);
		ph_txn_free(txn);
		ph_snapshot_release(snapshot);
		CHECK(job, status == PH_OK || (!alone && status == PH_ERR_NOT_FOUND));
	}
}

static void *own_repository(void *arg)
{
	struct job *job = arg;
	char name[40];
	snprintf(name, sizeof(name), "of/thread/%u", job->number);
	come_and_go(job, name, true);
	return NULL;
}

static void *shared_repository(void *arg)
{
	come_and_go(arg, CONF_REPO, false);
	return NULL;
}

static void several_repositories(struct conf *c)
{
	static void *(*const entries[])(void *) = {own_repository, own_repository, own_repository,
	                                           own_repository};
	char name[PH_REPO_NAME_MAX + 1];
	struct job jobs[THREADS];
	run_jobs(c, jobs, THREADS, entries, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(jobs[i].done, 25);
	assert_status(ph_store_next_repo(c->store, "", name), PH_END);
}

static void one_name(struct conf *c)
{
	static void *(*const entries[])(void *) = {shared_repository, shared_repository,
	                                           shared_repository, shared_repository};
	struct job jobs[THREADS];
	unsigned created = 0;
	run_jobs(c, jobs, THREADS, entries, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		created += jobs[i].done;
	assert_true(created > 0);
}

/* ---- a sink that several threads read ---- */

#define SINK_BYTES 300000u

struct sink_reader {
	struct ph_sink *sink;
	unsigned seed;
	bool failed;
};

static uint8_t sink_byte(uint64_t at)
{
	return (uint8_t)(at * 7 + at / 251);
}

static void *read_sink(void *arg)
{
	struct sink_reader *reader = arg;
	struct ph_test_rng rng;
	uint8_t data[3000];

	ph_test_rng_init(&rng, reader->seed);
	for (unsigned i = 0; i < 300 && !reader->failed; i++) {
		uint32_t at = ph_test_rng_below(&rng, SINK_BYTES - sizeof(data));
		size_t len = 1 + ph_test_rng_below(&rng, sizeof(data));

		reader->failed = reader->sink->ops->read(reader->sink, at, data, len) != PH_OK;
		for (size_t k = 0; k < len; k++)
			reader->failed = reader->failed || data[k] != sink_byte(at + k);
	}
	return NULL;
}

static void sink_readers(struct conf *c)
{
	struct sink_reader readers[THREADS];
	pthread_t threads[THREADS];
	struct ph_txn *txn;
	uint32_t number;
	struct ph_sink *sink;

	assert_status(ph_store_create(c->store, CONF_REPO, PH_HASH_SHA1, &txn), PH_OK);
	assert_status(ph_txn_pack_begin(txn, &number), PH_OK);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_RUN, &sink), PH_OK);
	for (uint32_t at = 0; at < SINK_BYTES; at += 1000) {
		uint8_t data[1000];

		for (uint32_t k = 0; k < sizeof(data); k++)
			data[k] = sink_byte(at + k);
		assert_status(sink->ops->append(sink, data, sizeof(data)), PH_OK);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		readers[i] = (struct sink_reader){.sink = sink, .seed = i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_sink, &readers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ph_txn_free(txn);
	for (unsigned i = 0; i < THREADS; i++)
		assert_false(readers[i].failed);
}

const struct conf_test ph__conf_thread_tests[] = {
        {"threads: readers during writers", readers_and_writers, CONF_ONCE | CONF_THREADS},
        {"threads: commits to one repository", one_repository, CONF_ONCE | CONF_THREADS},
        {"threads: several repositories", several_repositories, CONF_ONCE | CONF_THREADS},
        {"threads: readers of a sink", sink_readers, CONF_ONCE | CONF_THREADS},
        {"threads: one name", one_name, CONF_ONCE | CONF_THREADS},
        {NULL, NULL, 0},
};
