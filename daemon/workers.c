/* SPDX-License-Identifier: MIT */
/*
 * Threads that run sessions, so that loops never wait for a disk or a hash. There are two queues: a
 * session starts in the fast one; when it has worked for long (a big push, a full clone) its next
 * runs go to the bulk one, whose threads have a lower priority. So an ls-remote never queues behind
 * slices of a push, on any number of cores.
 *
 * Bulk threads also are the executor of sessions that split their work: parts and sessions take
 * turns there.
 */
#include "daemon_int.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Work units of one run: a few milliseconds when all of it is hashing. */
#define SLICE_UNITS 1024u
/* Units after which a session counts as bulk: about a tenth of a second. */
#define BULK_UNITS 32768u
/* How much nicer bulk threads are. */
#define BULK_NICE 5
/* One of each kind for as many cores as there are loops at most. */
#define THREADS_MAX 128u
/* Parts that wait: some lanes for each of as many pushes as there is memory for at once. */
#define PARTS_MAX 4096u

struct part {
	void (*run)(void *arg);
	void *arg;
};

struct queue {
	uv_cond_t ready;
	struct ph_job *first, **last;
};

struct thread {
	struct ph_worker_pool *pool;
	struct queue *queue;
	uv_thread_t id;
};

struct ph_worker_pool {
	uv_mutex_t lock;
	struct queue fast, bulk;
	/* A ring of parts, for bulk threads. */
	struct part parts[PARTS_MAX];
	unsigned parts_first, parts_count;
	bool part_next; /* when there is both, the next to be taken is a part */
	bool stopping;
	struct ph_executor executor;
	unsigned threads;
	struct thread thread[THREADS_MAX];
};

static void queue_init(struct queue *queue)
{
	uv_cond_init(&queue->ready);
	queue->first = NULL;
	queue->last = &queue->first;
}

/* ---- threads ---- */

/* Takes the first part; there is one. */
static struct part part_take(struct ph_worker_pool *pool)
{
	struct part part = pool->parts[pool->parts_first];

	pool->parts_first = (pool->parts_first + 1) % PARTS_MAX;
	pool->parts_count--;
	return part;
}

static struct ph_job *job_take(struct queue *queue)
{
	struct ph_job *job = queue->first;

	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	return job;
}

/* Waits for something to do: a job, or a part. False when the pool stops. */
static bool take(struct ph_worker_pool *pool, struct queue *queue, struct ph_job **job,
                 struct part *part)
{
	bool bulk = queue == &pool->bulk;
	bool on;

	*job = NULL;
	uv_mutex_lock(&pool->lock);
	while (!queue->first && !(bulk && pool->parts_count) && !pool->stopping)
		uv_cond_wait(&queue->ready, &pool->lock);
	on = !pool->stopping;
	if (on && bulk && pool->parts_count && (pool->part_next || !queue->first)) {
		*part = part_take(pool);
		pool->part_next = false;
	} else if (on) {
		*job = job_take(queue);
		pool->part_next = pool->part_next || bulk;
	}
	uv_mutex_unlock(&pool->lock);
	return on;
}

static void thread_main(void *arg)
{
	struct thread *thread = arg;
	struct ph_job *job;
	struct part part;

	/* Linux gives every thread a nice value of its own. Failing is harmless. */
	if (thread->queue == &thread->pool->bulk)
		(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), BULK_NICE);
	while (take(thread->pool, thread->queue, &job, &part)) {
		if (!job) {
			part.run(part.arg);
			continue;
		}
		ph_session_run(job->session, ph__now_ms(), ph__wall_s(), SLICE_UNITS);
		ph__loop_ran(ph__connection_loop(job->connection), job);
	}
}

/* ---- the executor ---- */

static enum ph_status part_submit(void *user, void (*run)(void *arg), void *arg)
{
	struct ph_worker_pool *pool = user;
	bool room;

	uv_mutex_lock(&pool->lock);
	room = pool->parts_count < PARTS_MAX && !pool->stopping;
	if (room) {
		pool->parts[(pool->parts_first + pool->parts_count) % PARTS_MAX] =
		        (struct part){run, arg};
		pool->parts_count++;
		uv_cond_signal(&pool->bulk.ready);
	}
	uv_mutex_unlock(&pool->lock);
	return room ? PH_OK : PH_ERR_BUSY;
}

const struct ph_executor *ph__pool_executor(const struct ph_worker_pool *pool)
{
	return &pool->executor;
}

/* ---- the pool ---- */

struct ph_worker_pool *ph__pool_new(unsigned fast, unsigned bulk)
{
	struct ph_worker_pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return NULL;
	uv_mutex_init(&pool->lock);
	queue_init(&pool->fast);
	queue_init(&pool->bulk);
	for (unsigned i = 0; i < fast + bulk && i < THREADS_MAX; i++) {
		struct thread *thread = &pool->thread[i];

		thread->pool = pool;
		thread->queue = i < fast ? &pool->fast : &pool->bulk;
		if (uv_thread_create(&thread->id, thread_main, thread) != 0)
			break;
		pool->threads++;
	}
	if (pool->threads <= fast) {
		ph__pool_stop(pool);
		ph__pool_free(pool);
		return NULL;
	}
	pool->executor = (struct ph_executor){.user = pool,
	                                      .width = pool->threads - fast,
	                                      .submit = part_submit,
	                                      .sync = &ph__sync_uv};
	return pool;
}

void ph__pool_submit(struct ph_worker_pool *pool, struct ph_job *job)
{
	struct queue *queue =
	        ph_session_spent(job->session) < BULK_UNITS ? &pool->fast : &pool->bulk;

	job->next = NULL;
	uv_mutex_lock(&pool->lock);
	*queue->last = job;
	queue->last = &job->next;
	uv_cond_signal(&queue->ready);
	uv_mutex_unlock(&pool->lock);
}

void ph__pool_stop(struct ph_worker_pool *pool)
{
	uv_mutex_lock(&pool->lock);
	pool->stopping = true;
	uv_cond_broadcast(&pool->fast.ready);
	uv_cond_broadcast(&pool->bulk.ready);
	uv_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		uv_thread_join(&pool->thread[i].id);
	pool->threads = 0;
	/* What is left belongs to nobody any more, and lets go of its memory. */
	while (pool->parts_count) {
		struct part part = part_take(pool);

		part.run(part.arg);
	}
}

void ph__pool_free(struct ph_worker_pool *pool)
{
	if (!pool)
		return;
	uv_cond_destroy(&pool->fast.ready);
	uv_cond_destroy(&pool->bulk.ready);
	uv_mutex_destroy(&pool->lock);
	free(pool);
}
