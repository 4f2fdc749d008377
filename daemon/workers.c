/* SPDX-License-Identifier: MIT */
/*
 * Threads that run sessions, so that loops never wait for a disk or a hash. There are two queues: a
 * session starts in the fast one; when it has worked for long (a big push, a full clone) its next
 * runs go to the bulk one, whose threads have a lower priority. So an ls-remote never queues behind
 * slices of a push, on any number of cores.
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
	bool stopping;
	unsigned threads;
	struct thread thread[THREADS_MAX];
};

static void queue_init(struct queue *queue)
{
	uv_cond_init(&queue->ready);
	queue->first = NULL;
	queue->last = &queue->first;
}

/* The next job, waiting for one; NULL when the pool stops. */
static struct ph_job *queue_take(struct ph_worker_pool *pool, struct queue *queue)
{
	struct ph_job *job;

	uv_mutex_lock(&pool->lock);
	while (!queue->first && !pool->stopping)
		uv_cond_wait(&queue->ready, &pool->lock);
	job = pool->stopping ? NULL : queue->first;
	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->last = &queue->first;
	}
	uv_mutex_unlock(&pool->lock);
	return job;
}

static void thread_main(void *arg)
{
	struct thread *thread = arg;
	struct ph_job *job;

	/* Linux gives every thread a nice value of its own. Failing is harmless. */
	if (thread->queue == &thread->pool->bulk)
		(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), BULK_NICE);
	while ((job = queue_take(thread->pool, thread->queue)) != NULL) {
		ph_session_run(job->session, ph__now_ms(), ph__wall_s(), SLICE_UNITS);
		ph__loop_ran(ph__connection_loop(job->connection), job);
	}
}

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
