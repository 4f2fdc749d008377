/* SPDX-License-Identifier: MIT */
/*
 * An event loop with a thread of its own, and the connections it owns. Everything of libssh for a
 * connection happens on its loop; runs of sessions happen on the worker threads. Other threads
 * reach a loop by three lists under one lock, and wake it.
 */
#include "daemon_int.h"
#include <assert.h>
#include <poll.h>
#include <stdatomic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_BYTES 64u
#define QUICK_STEPS 16u

struct arrival {
	struct arrival *next;
	int fd;
	uint64_t id;
	char peer[PEER_BYTES];
};

struct ph_connection {
	struct ph_connection *prev, *next;
	struct ph_connection *next_woken;
	bool in_woken; /* under the loop's lock */
	struct ph_loop *loop;
	struct ph_ssh_connection *ssh;
	uv_poll_t poll;
	uv_timer_t timer;
	/* A duplicate: libssh may close its own at any time, and epoll must never see a descriptor
	 * that is already somebody else's. */
	int poll_fd;
	int events;
	unsigned quick_steps; /* left, see acknowledge_at_once */
	bool stranger;        /* counted as one who has not logged in */
	char peer[PEER_BYTES];
	unsigned handles; /* open uv handles; the last one's close callback frees */
	bool over;        /* steps only so that its sessions end, then freed */
	struct ph_job jobs[PH_CHANNELS_MAX];
	bool job_out[PH_CHANNELS_MAX];
};

struct ph_loop {
	uv_loop_t uv;
	uv_async_t async;
	uv_thread_t thread;
	bool started;
	struct ph_worker_pool *pool;
	struct ph_ssh_server *server;
	struct ph_strangers *strangers;
	struct ph_connection *connections;
	bool draining_now;
	atomic_uint count;
	atomic_bool drain, ended;
	uv_mutex_t lock; /* of what is below */
	bool closed;     /* nobody may signal any more */
	struct arrival *arrivals;
	struct ph_connection *woken;
	struct ph_job *ran;
};

static void connection_step(struct ph_connection *connection);

struct ph_loop *ph__connection_loop(const struct ph_connection *connection)
{
	return connection->loop;
}

/* ---- ending ---- */

static void handle_closed(uv_handle_t *handle)
{
	struct ph_connection *connection = handle->data;

	if (--connection->handles > 0)
		return;
	close(connection->poll_fd);
	free(connection);
}

static void woken_remove(struct ph_loop *loop, struct ph_connection *connection)
{
	uv_mutex_lock(&loop->lock);
	if (connection->in_woken) {
		struct ph_connection **at = &loop->woken;

		while (*at != connection)
			at = &(*at)->next_woken;
		*at = connection->next_woken;
		connection->in_woken = false;
	}
	uv_mutex_unlock(&loop->lock);
}

static void stranger_no_more(struct ph_connection *connection)
{
	if (connection->stranger)
		ph__strangers_leave(connection->loop->strangers, connection->peer);
	connection->stranger = false;
}

static void connection_free(struct ph_connection *connection)
{
	struct ph_loop *loop = connection->loop;

	stranger_no_more(connection);
	ph_ssh_connection_free(connection->ssh);
	woken_remove(loop, connection);
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		loop->connections = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	atomic_fetch_sub(&loop->count, 1);
	uv_close((uv_handle_t *)&connection->poll, handle_closed);
	uv_close((uv_handle_t *)&connection->timer, handle_closed);
}

static void on_timer(uv_timer_t *handle);

/*
 * Stops listening to its socket; frees it as soon as no worker holds one of its sessions and no
 * commit of one is pending. Runs and wakes come back here by themselves; the timer is for a wake
 * whose callback has not quite returned on the other thread.
 */
static void connection_over(struct ph_connection *connection)
{
	if (!connection->over) {
		connection->over = true;
		stranger_no_more(connection);
		uv_poll_stop(&connection->poll);
		uv_timer_stop(&connection->timer);
	}
	if (ph_ssh_can_free(connection->ssh))
		connection_free(connection);
	else
		uv_timer_start(&connection->timer, on_timer, 20, 0);
}

/* ---- stepping ---- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	connection_step(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
	connection_step(handle->data);
}

/* Waits for what the connection wants next. */
static void connection_wait(struct ph_connection *connection, uint64_t now_ms)
{
	int want = ph_ssh_poll_events(connection->ssh);
	int events = (want & POLLIN ? UV_READABLE : 0) | (want & POLLOUT ? UV_WRITABLE : 0);
	uint64_t deadline = ph_ssh_deadline(connection->ssh);

	if (events != connection->events) {
		connection->events = events;
		if (events)
			uv_poll_start(&connection->poll, events, on_poll);
		else
			uv_poll_stop(&connection->poll);
	}
	if (deadline == PH_NO_DEADLINE)
		uv_timer_stop(&connection->timer);
	else
		uv_timer_start(&connection->timer, on_timer,
		               deadline > now_ms ? deadline - now_ms : 0, 0);
}

/*
 * While keys are exchanged the client writes twice in a row, and its second packet waits for our
 * acknowledgment of the first, which Linux delays by 40 ms. The kernel leaves this mode by itself,
 * so it is asked for again at each of a connection's first steps.
 */
static void acknowledge_at_once(struct ph_connection *connection)
{
	int yes = 1;

	if (connection->quick_steps == 0)
		return;
	connection->quick_steps--;
	(void)setsockopt(connection->poll_fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof yes);
}

static void connection_step(struct ph_connection *connection)
{
	uint64_t now_ms = ph__now_ms();

	acknowledge_at_once(connection);
	if (ph_ssh_authenticated(connection->ssh))
		stranger_no_more(connection);
	/* Also when it is over: a session that was cancelled in mid-commit needs its last run. */
	if (ph_ssh_step(connection->ssh, now_ms, ph__wall_s()) == PH_OK && !connection->over)
		connection_wait(connection, now_ms);
	else
		connection_over(connection);
}

/* ---- arriving ---- */

static void connection_add(struct ph_loop *loop, const struct arrival *arrival)
{
	struct ph_connection *connection = calloc(1, sizeof *connection);
	int poll_fd = connection ? dup(arrival->fd) : -1;

	if (poll_fd < 0) {
		atomic_fetch_sub(&loop->count, 1);
		ph__strangers_leave(loop->strangers, arrival->peer);
		free(connection);
		close(arrival->fd);
		return;
	}
	connection->loop = loop;
	connection->poll_fd = poll_fd;
	connection->stranger = true;
	memcpy(connection->peer, arrival->peer, sizeof connection->peer);
	connection->quick_steps = QUICK_STEPS;
	if (ph_ssh_connection_new(&connection->ssh, loop->server, arrival->fd, arrival->peer,
	                          arrival->id, connection) != PH_OK) {
		atomic_fetch_sub(&loop->count, 1);
		stranger_no_more(connection);
		close(poll_fd);
		free(connection);
		return;
	}
	connection->poll.data = connection->timer.data = connection;
	connection->handles = 2;
	uv_timer_init(&loop->uv, &connection->timer);
	if (uv_poll_init(&loop->uv, &connection->poll, poll_fd) != 0) {
		atomic_fetch_sub(&loop->count, 1);
		stranger_no_more(connection);
		connection->handles = 1;
		ph_ssh_connection_free(connection->ssh);
		uv_close((uv_handle_t *)&connection->timer, handle_closed);
		return;
	}
	connection->next = loop->connections;
	if (connection->next)
		connection->next->prev = connection;
	loop->connections = connection;
	if (loop->draining_now)
		ph_ssh_drain(connection->ssh);
	connection_step(connection);
}

/* ---- what other threads ask for ---- */

static void signal_locked(struct ph_loop *loop)
{
	if (!loop->closed)
		uv_async_send(&loop->async);
}

void ph__loop_add(struct ph_loop *loop, int fd, const char *peer, uint64_t id)
{
	struct arrival *arrival = malloc(sizeof *arrival);

	if (!arrival) {
		ph__strangers_leave(loop->strangers, peer);
		close(fd);
		return;
	}
	arrival->fd = fd;
	arrival->id = id;
	strncpy(arrival->peer, peer, sizeof arrival->peer - 1);
	arrival->peer[sizeof arrival->peer - 1] = '\0';
	/* Counted from here on: many may arrive before the loop looks at the first. */
	atomic_fetch_add(&loop->count, 1);
	uv_mutex_lock(&loop->lock);
	arrival->next = loop->arrivals;
	loop->arrivals = arrival;
	signal_locked(loop);
	uv_mutex_unlock(&loop->lock);
}

void ph__loop_wake(void *owner, struct ph_ssh_connection *ssh)
{
	struct ph_connection *connection = ph_ssh_owner_data(ssh);
	struct ph_loop *loop = connection->loop;

	(void)owner;
	uv_mutex_lock(&loop->lock);
	if (!connection->in_woken) {
		connection->in_woken = true;
		connection->next_woken = loop->woken;
		loop->woken = connection;
	}
	signal_locked(loop);
	uv_mutex_unlock(&loop->lock);
}

void ph__loop_ran(struct ph_loop *loop, struct ph_job *job)
{
	uv_mutex_lock(&loop->lock);
	job->next = loop->ran;
	loop->ran = job;
	signal_locked(loop);
	uv_mutex_unlock(&loop->lock);
}

void ph__loop_run_session(void *owner, struct ph_ssh_connection *ssh, void *channel,
                          struct ph_session *session)
{
	struct ph_connection *connection = ph_ssh_owner_data(ssh);
	unsigned i = 0;

	(void)owner;
	while (connection->job_out[i]) {
		i++;
		assert(i < PH_CHANNELS_MAX);
	}
	connection->job_out[i] = true;
	connection->jobs[i] = (struct ph_job){NULL, connection, channel, session};
	ph__pool_submit(connection->loop->pool, &connection->jobs[i]);
}

/* ---- the loop ---- */

static void ran_all(struct ph_job *job)
{
	while (job) {
		struct ph_job *next = job->next;
		struct ph_connection *connection = job->connection;

		connection->job_out[job - connection->jobs] = false;
		ph_ssh_ran(connection->ssh, job->channel);
		connection_step(connection);
		job = next;
	}
}

/* One at a time from the shared list: a step may free any other connection's place in it. */
static void woken_all(struct ph_loop *loop)
{
	for (;;) {
		struct ph_connection *connection;

		uv_mutex_lock(&loop->lock);
		connection = loop->woken;
		if (connection) {
			loop->woken = connection->next_woken;
			connection->in_woken = false;
		}
		uv_mutex_unlock(&loop->lock);
		if (!connection)
			return;
		connection_step(connection);
	}
}

static void arrived_all(struct ph_loop *loop, struct arrival *arrival)
{
	while (arrival) {
		struct arrival *next = arrival->next;

		connection_add(loop, arrival);
		free(arrival);
		arrival = next;
	}
}

static void drain_now(struct ph_loop *loop)
{
	struct ph_connection *connection = loop->connections;

	loop->draining_now = true;
	while (connection) {
		struct ph_connection *next = connection->next;

		if (!connection->over) {
			ph_ssh_drain(connection->ssh);
			connection_step(connection);
		}
		connection = next;
	}
}

static void on_async(uv_async_t *async)
{
	struct ph_loop *loop = async->data;
	struct arrival *arrivals;
	struct ph_job *ran;

	uv_mutex_lock(&loop->lock);
	arrivals = loop->arrivals;
	loop->arrivals = NULL;
	ran = loop->ran;
	loop->ran = NULL;
	uv_mutex_unlock(&loop->lock);
	ran_all(ran);
	woken_all(loop);
	arrived_all(loop, arrivals);
	if (atomic_load(&loop->drain) && !loop->draining_now)
		drain_now(loop);
}

static void loop_main(void *arg)
{
	struct ph_loop *loop = arg;

	while (!loop->draining_now || loop->connections)
		uv_run(&loop->uv, UV_RUN_ONCE);
	uv_mutex_lock(&loop->lock);
	loop->closed = true;
	uv_mutex_unlock(&loop->lock);
	uv_close((uv_handle_t *)&loop->async, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	atomic_store(&loop->ended, true);
}

struct ph_loop *ph__loop_new(struct ph_worker_pool *pool)
{
	struct ph_loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		return NULL;
	if (uv_loop_init(&loop->uv) != 0) {
		free(loop);
		return NULL;
	}
	uv_mutex_init(&loop->lock);
	uv_async_init(&loop->uv, &loop->async, on_async);
	loop->async.data = loop;
	loop->pool = pool;
	return loop;
}

void ph__loop_server(struct ph_loop *loop, struct ph_ssh_server *server,
                     struct ph_strangers *strangers)
{
	loop->server = server;
	loop->strangers = strangers;
}

enum ph_status ph__loop_start(struct ph_loop *loop)
{
	if (uv_thread_create(&loop->thread, loop_main, loop) != 0)
		return PH_ERR_NOMEM;
	loop->started = true;
	return PH_OK;
}

void ph__loop_drain(struct ph_loop *loop)
{
	atomic_store(&loop->drain, true);
	uv_mutex_lock(&loop->lock);
	signal_locked(loop);
	uv_mutex_unlock(&loop->lock);
}

bool ph__loop_ended(struct ph_loop *loop)
{
	return atomic_load(&loop->ended);
}

unsigned ph__loop_connections(struct ph_loop *loop)
{
	return atomic_load(&loop->count);
}

void ph__loop_join(struct ph_loop *loop)
{
	if (loop->started)
		uv_thread_join(&loop->thread);
	loop->started = false;
}

void ph__loop_free(struct ph_loop *loop)
{
	if (!loop)
		return;
	/* A loop that never started has its async handle open still. */
	if (!atomic_load(&loop->ended)) {
		uv_close((uv_handle_t *)&loop->async, NULL);
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	}
	while (loop->arrivals) {
		struct arrival *arrival = loop->arrivals;

		loop->arrivals = arrival->next;
		ph__strangers_leave(loop->strangers, arrival->peer);
		close(arrival->fd);
		free(arrival);
	}
	uv_loop_close(&loop->uv);
	uv_mutex_destroy(&loop->lock);
	free(loop);
}
