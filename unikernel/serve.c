/* SPDX-License-Identifier: MIT */
/*
 * The one loop of the machine: frames, then the connections that are ready or due, then sessions in
 * slices of about two milliseconds, then sleep. Nothing else runs, so whatever takes long here
 * keeps everybody waiting: every part of a turn has an allowance of time, and the network is looked
 * after between them.
 */
#include "image.h"

#include <packhorse/maintenance.h>
#include <packhorse/scrubber.h>

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
/* What sessions get of one turn, and the size that one run is steered to. */
#define SLICE_NS (2 * NS_PER_MS)
/* What connections get of it: key exchanges are slow, and many may come at once. */
#define STEPS_NS (8 * NS_PER_MS)
/* Units of a run: enough to be worth the call, and never more than a slow machine does in 50 ms. */
#define UNITS_MIN 16u
#define UNITS_MAX 4096u
#define UNITS_FIRST 256u
/* Units after which a session is a long one, as in the daemon. */
#define LONG_UNITS 32768u
/* So many quick runs, then a long one has its turn. */
#define QUICK_RUNS 3u
#define ARRIVALS_PER_TURN 32u
#define CHANNELS_MAX 10u
#define SLEEP_NS (10000 * NS_PER_MS)
/* How long running sessions may go on, and their last bytes after that, once the end was asked for.
 */
#define DRAIN_MS 30000u
#define LINGER_MS 1000u

struct job {
	struct job *next;
	struct connection *connection;
	void *channel; /* NULL: not in use */
	struct ph_session *session;
};

struct connection {
	struct connection *prev, *next;
	struct ph_ssh_connection *ssh;
	int fd; /* -1 when it is over: then it only steps until it can be freed */
	int events;
	bool woken, trusted;
	uint64_t deadline_ms;
	struct job jobs[CHANNELS_MAX];
};

struct queue {
	struct job *first, *last;
};

static struct ph_ssh_server *server;
static struct connection *connections, *cursor; /* cursor: whose turn it is first */
static struct queue quick, lengthy;
static unsigned quick_runs;
static uint32_t units = UNITS_FIRST;
static uint64_t last_id, polled_ns;
static bool end_asked;
static uint64_t drain_until_ms; /* 0 until the end was asked for */
/* Maintenance, one repository at a time. */
static struct ph_service upkeep_service;
static struct ph_maintenance_queue *upkeep_queue;
static struct ph_session *upkeep; /* NULL between two of them */
static char upkeep_repo[PH_REPO_NAME_MAX + 1];
static uint64_t upkeep_began_ms, upkeep_at_ms; /* at: when to look again */
static bool upkeep_woken;
static struct ph_session *scrubber; /* looks for rot while nothing is to be maintained */
static uint16_t port;
static unsigned generation;

static uint64_t now_ms(void)
{
	return ph__plat_monotonic_ns() / NS_PER_MS;
}

static uint64_t wall_s(void)
{
	return ph__plat_wall_ns() / (1000 * NS_PER_MS);
}

static bool poll_network(void)
{
	polled_ns = ph__plat_monotonic_ns();
	return ph__net_poll();
}

/* Frames must not wait for all of a turn. */
static void poll_if_late(void)
{
	if (ph__plat_monotonic_ns() - polled_ns > SLICE_NS)
		(void)poll_network();
}

/* ---- sessions ---- */

static void on_run_session(void *owner, struct ph_ssh_connection *ssh, void *channel,
                           struct ph_session *session)
{
	struct connection *connection = ph_ssh_owner_data(ssh);
	struct queue *queue = ph_session_spent(session) < LONG_UNITS ? &quick : &lengthy;
	struct job *job = connection->jobs;

	(void)owner;
	while (job->channel) {
		job++;
		assert(job < connection->jobs + CHANNELS_MAX);
	}
	*job = (struct job){NULL, connection, channel, session};
	if (queue->first)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
}

static void on_wake(void *owner, struct ph_ssh_connection *ssh)
{
	struct connection *connection = ph_ssh_owner_data(ssh);

	(void)owner;
	connection->woken = true;
}

/* Quick ones first, so that an ls-remote does not wait for a clone; long ones are not starved. */
static struct job *take_job(void)
{
	bool is_long = lengthy.first && (!quick.first || quick_runs >= QUICK_RUNS);
	struct queue *queue = is_long ? &lengthy : &quick;
	struct job *job = queue->first;

	quick_runs = is_long ? 0 : quick_runs + 1;
	if (job)
		queue->first = job->next;
	return job;
}

/* Machines differ by a factor of ten, and so do units: steered by what the last run took. */
static void steer(uint64_t took_ns, bool spent_all)
{
	if (took_ns > SLICE_NS && units > UNITS_MIN)
		units -= units / 4;
	else if (spent_all && took_ns < SLICE_NS / 2 && units < UNITS_MAX)
		units += units / 4;
}

/* ---- connections ---- */

static void connection_free(struct connection *connection)
{
	if (cursor == connection)
		cursor = connection->next;
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		connections = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	ph_ssh_connection_free(connection->ssh);
	free(connection);
}

/* May free it. */
static void step(struct connection *connection)
{
	connection->woken = false;
	if (ph_ssh_step(connection->ssh, now_ms(), wall_s()) != PH_OK)
		connection->fd = -1;
	if (connection->fd < 0 && ph_ssh_can_free(connection->ssh)) {
		connection_free(connection);
		return;
	}
	connection->deadline_ms = ph_ssh_deadline(connection->ssh);
	if (connection->fd < 0)
		return;
	connection->events = ph_ssh_poll_events(connection->ssh);
	if (!connection->trusted && ph_ssh_authenticated(connection->ssh)) {
		connection->trusted = true;
		ph__net_trust(connection->fd);
	}
}

static bool is_due(const struct connection *connection, uint64_t ms)
{
	if (connection->woken || connection->deadline_ms <= ms)
		return true;
	return connection->fd >= 0 && (ph__net_ready(connection->fd) &
	                               (connection->events | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void add_connection(int fd, const char *peer)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		(void)ph__net_close(fd);
		ph_log_line(ph__log(), PH_LOG_WARN, "main", 0, "%s: closed: out of memory", peer);
		return;
	}
	connection->fd = fd;
	if (ph_ssh_connection_new(&connection->ssh, server, fd, peer, ++last_id, connection) !=
	    PH_OK) {
		free(connection);
		ph_log_line(ph__log(), PH_LOG_WARN, "main", last_id, "%s: closed: out of memory",
		            peer);
		return;
	}
	connection->next = connections;
	if (connections)
		connections->prev = connection;
	connections = connection;
	step(connection);
}

/* ---- a turn ---- */

static bool accept_all(void)
{
	char peer[PH__ADDRESS_BYTES];
	unsigned count = 0;
	int fd;

	while (count < ARRIVALS_PER_TURN && (fd = ph__net_accept(peer)) >= 0) {
		add_connection(fd, peer);
		count++;
	}
	return count > 0;
}

/* The due ones, once round from where the last turn stopped. True when some were. */
static bool step_all(void)
{
	uint64_t start_ns = ph__plat_monotonic_ns(), ms = start_ns / NS_PER_MS;
	struct connection *connection = cursor, *next;
	bool any = false;

	/* First from the cursor to the end, then from the beginning; what comes twice is not due.
	 */
	for (unsigned lap = 0; lap < 2; lap++) {
		for (; connection; connection = next) {
			next = connection->next;
			if (!is_due(connection, ms))
				continue;
			cursor = next;
			step(connection);
			any = true;
			if (ph__plat_monotonic_ns() - start_ns > STEPS_NS)
				return true;
			poll_if_late();
		}
		connection = connections;
	}
	return any;
}

static bool run_sessions(void)
{
	uint64_t start_ns = ph__plat_monotonic_ns(), before_ns = start_ns, after_ns;
	struct job *job;
	bool any = false;

	while ((job = take_job()) != NULL) {
		struct connection *connection = job->connection;
		void *channel = job->channel;
		uint64_t spent = ph_session_spent(job->session);

		ph_session_run(job->session, before_ns / NS_PER_MS, wall_s(), units);
		after_ns = ph__plat_monotonic_ns();
		steer(after_ns - before_ns, ph_session_spent(job->session) - spent >= units);
		job->channel = NULL;
		ph_ssh_ran(connection->ssh, channel);
		step(connection);
		any = true;
		before_ns = ph__plat_monotonic_ns();
		if (before_ns - start_ns > SLICE_NS)
			break;
	}
	return any;
}

/* ---- maintenance ---- */

static void on_changed(void *user, const char *repo)
{
	(void)user;
	ph_maintenance_queue_changed(upkeep_queue, repo, now_ms());
}

static void on_upkeep_wake(void *user, struct ph_session *session)
{
	(void)user;
	(void)session;
	upkeep_woken = true;
}

static bool start_upkeep(struct ph_service *service)
{
	if (ph_maintenance_queue_new(&upkeep_queue, service->store, service->alloc,
	                             ph__plat_monotonic_ns() / NS_PER_MS) != PH_OK)
		return false;
	service->changed = on_changed;
	upkeep_service = *service;
	upkeep_service.wake = on_upkeep_wake;
	return ph_scrubber_open(&scrubber, &upkeep_service) == PH_OK;
}

/* The scrubber's next slice, when that is due. */
static bool run_scrubber(uint64_t ms)
{
	bool due =
	        (ph_session_state(scrubber) & PH_WANT_RUN) || ms >= ph_session_deadline(scrubber);

	if (due)
		ph_session_run(scrubber, ms, wall_s(), units);
	if (ph_session_deadline(scrubber) < upkeep_at_ms)
		upkeep_at_ms = ph_session_deadline(scrubber);
	return due;
}

/* The session's next slice, or its end, or the next session; false when there is nothing to do. */
static bool run_upkeep(void)
{
	uint64_t start_ns = ph__plat_monotonic_ns(), ms = start_ns / NS_PER_MS, spent;
	unsigned state = upkeep ? ph_session_state(upkeep) : 0;
	enum ph_maintenance_extent extent;

	if (!upkeep) {
		upkeep_began_ms = ms;
		if (ph_maintenance_queue_next(upkeep_queue, ms, upkeep_repo, &extent,
		                              &upkeep_at_ms) != PH_OK)
			return run_scrubber(ms);
		return ph_maintenance_open(&upkeep, &upkeep_service, upkeep_repo, extent) == PH_OK;
	}
	if (state & PH_DONE) {
		ph_maintenance_queue_ended(upkeep_queue, upkeep_repo, ms, ms - upkeep_began_ms,
		                           ph_session_exit_status(upkeep));
		ph_session_free(upkeep);
		upkeep = NULL;
		return true;
	}
	upkeep_at_ms = ph_session_deadline(upkeep);
	if (!(state & PH_WANT_RUN) && !upkeep_woken && ms < upkeep_at_ms)
		return false;
	upkeep_woken = false;
	spent = ph_session_spent(upkeep);
	ph_session_run(upkeep, ms, wall_s(), units);
	steer(ph__plat_monotonic_ns() - start_ns, ph_session_spent(upkeep) - spent >= units);
	return true;
}

/* What was not committed has not been; a commit under way comes first. */
static void stop_upkeep(void)
{
	while (upkeep && ph_session_busy(upkeep)) {
		(void)ph__disk_commit(false);
		(void)run_upkeep();
	}
	ph_session_free(upkeep);
	upkeep = NULL;
	upkeep_at_ms = PH_NO_DEADLINE;
}

/* ---- what the console is told ---- */

/* Where git finds us; again when that changed, as leases and routers may have it. */
static void announce(void)
{
	static char last[PH__ADDRESSES_MAX * PH__ADDRESS_BYTES];
	char text[PH__ADDRESS_BYTES], all[sizeof(last)] = "", url[PH__ADDRESS_BYTES + 32] = "";
	const char *address;
	int first = 0;

	if (ph__net_generation() == generation)
		return;
	generation = ph__net_generation();
	for (unsigned i = 0; (address = ph__net_address(i, text)) != NULL; i++) {
		bool six = strchr(address, ':') != NULL;
		size_t used = strlen(all);
		int len = snprintf(url, sizeof(url), "ssh://%s%s%s:%u/", six ? "[" : "", address,
		                   six ? "]" : "", port);
		first = i ? first : len;
		if (!strstr(last, url))
			ph__say(PH_LOG_INFO, "listening %s", url);
		snprintf(all + used, sizeof(all) - used, "%s", url);
	}
	if (!*url)
		memcpy(all, "none", 5);
	if (!*url && strcmp(last, all) != 0)
		ph__say(PH_LOG_INFO, "no address yet: asking for one");
	else if (*url && !strchr(last, ':'))
		ph__say(PH_LOG_INFO, "try: git clone %.*sNAME.git", first, all);
	memcpy(last, all, sizeof(last));
}

/* ---- the end ---- */

static void on_shutdown(void *user, const char *identity)
{
	(void)user;
	(void)identity;
	end_asked = true;
}

static void begin_drain(void)
{
	ph__say(PH_LOG_INFO, "shutting down: no new connections, waiting for running sessions");
	drain_until_ms = now_ms() + DRAIN_MS;
	stop_upkeep();
	ph__net_stop_listening();
	for (struct connection *c = connections; c; c = c->next) {
		ph_ssh_drain(c->ssh);
		c->woken = true;
	}
}

/* What was sent last is on its way still. */
static void linger(void)
{
	uint64_t until_ms = now_ms() + LINGER_MS;
	struct ph__net_counts counts;

	for (;;) {
		(void)poll_network();
		ph__net_counts(&counts);
		if (counts.open == 0 || now_ms() >= until_ms)
			return;
		ph__plat_wait(ph__plat_monotonic_ns() + 5 * NS_PER_MS);
	}
}

static bool is_drained(void)
{
	if (drain_until_ms == 0)
		return false;
	if (connections && now_ms() >= drain_until_ms) {
		/* What is not acknowledged by now never was: the store is whole at any instant. */
		ph__say(PH_LOG_WARN, "sessions still running after %u s are cut off",
		        DRAIN_MS / 1000);
		for (struct connection *c = connections; c; c = c->next)
			if (c->fd >= 0)
				(void)ph__net_close(c->fd);
		linger();
		ph__plat_exit(PH__EXIT_OFF);
	}
	return !connections;
}

/* ---- the loop ---- */

static void sleep_until_due(void)
{
	uint64_t figures_ns = ph__figures_poll();
	uint64_t until_ns = ph__plat_monotonic_ns() + SLEEP_NS, net_ns = ph__net_deadline_ns();
	uint64_t until_ms = drain_until_ms ? drain_until_ms : PH_NO_DEADLINE;

	for (const struct connection *c = connections; c; c = c->next)
		if (c->deadline_ms < until_ms)
			until_ms = c->deadline_ms;
	if (upkeep_at_ms < until_ms)
		until_ms = upkeep_at_ms;
	if (until_ms < until_ns / NS_PER_MS)
		until_ns = until_ms * NS_PER_MS;
	if (figures_ns < until_ns)
		until_ns = figures_ns;
	ph__plat_wait(net_ns < until_ns ? net_ns : until_ns);
}

static void loop(void)
{
	while (!is_drained()) {
		bool busy = poll_network();

		announce();
		busy |= accept_all();
		busy |= step_all();
		busy |= run_sessions();
		/* After every session that could run, so that those that commit share flushes. */
		busy |= ph__disk_commit(quick.first != NULL);
		if ((end_asked || ph__plat_power_off()) && drain_until_ms == 0)
			begin_drain();
		else if (!busy && (drain_until_ms != 0 || !run_upkeep()))
			sleep_until_due();
		ph__log_poll();
	}
	linger();
}

static enum ph__exit network_start(const struct ph__net_options *net)
{
	const char *what = "";
	enum ph_status status = ph__net_start(net, ph__log(), &what);

	if (status == PH_OK)
		return PH__EXIT_OFF;
	if (status == PH_ERR_NOT_FOUND) {
		ph__say(PH_LOG_ERROR,
		        "no network card: attach one (virtio-net, or --net:service=TAP)");
		return PH__EXIT_MACHINE;
	}
	if (status == PH_ERR_INVALID) {
		ph__say(PH_LOG_ERROR, "not an address: %s", what);
		return PH__EXIT_USAGE;
	}
	ph__say(PH_LOG_ERROR, "cannot start the network: %s", ph_status_text(status));
	return PH__EXIT_FAILURE;
}

enum ph__exit ph__serve(struct ph_ssh_options *options, const struct ph__net_options *net)
{
	options->service.shutdown = on_shutdown;
	options->channels_max = CHANNELS_MAX;
	options->run_session = on_run_session;
	options->wake_connection = on_wake;
	port = net->port;
	if (!start_upkeep(&options->service))
		return PH__EXIT_FAILURE;
	enum ph_status status = ph_ssh_server_new(&server, options);
	if (status != PH_OK) {
		ph__say(PH_LOG_ERROR, "the host key cannot be used: %s", ph_status_text(status));
		return status == PH_ERR_NOMEM ? PH__EXIT_FAILURE : PH__EXIT_KEY;
	}
	enum ph__exit code = network_start(net);
	if (code == PH__EXIT_OFF) {
		generation = ph__net_generation() + 1;
		loop();
	}
	stop_upkeep();
	ph_ssh_server_free(server);
	ph_session_free(scrubber);
	ph_maintenance_queue_free(upkeep_queue);
	return code;
}
