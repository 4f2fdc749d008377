/* SPDX-License-Identifier: MIT */
/*
 * One connection: key exchange, login, then channels, all on a non-blocking socket that libssh
 * reads and writes itself. libssh is driven by ssh_execute_message_callbacks, which looks at the
 * socket once without waiting and handles what is there; nothing here ever waits. The counters that
 * libssh keeps for us tell whether bytes moved, and whether it holds packets back.
 */
#include "connection_int.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* libssh reads 4 KiB at a time; this is what one turn reads at most, so that others get theirs. */
#define READS_PER_TURN 64u
#define TURNS_PER_STEP 8u
/* A connection on which nothing runs. A client that shares connections keeps one open on purpose.
 */
#define IDLE_MS_MAX (10u * 60 * 1000)
/* Silence after which the peer is asked whether it is still there. */
#define KEEPALIVE_MS (60u * 1000)
/* How long a drained connection waits for the peer's CLOSE before it goes. */
#define DRAIN_MS_MAX 5000u
/* A request that libssh drops holds a key and mostly a signature; smaller packets are not missed.
 */
#define UNANSWERED_BYTES_MIN 48u
/*
 * All that may come before somebody is let in: 20 keys of 8192 bits and a signature fit. libssh
 * keeps a packet until it is whole, so with what a connection costs otherwise this keeps a
 * stranger's below 64 KiB.
 */
#define STRANGER_BYTES_MAX (48u * 1024)
/* Answers that a peer asks for and does not read; beyond this its requests are not read either. */
#define CLOGGED_BYTES (1024u * 1024)
/* The least that a packet grows by on the wire: length, padding, authentication. */
#define PACKET_OVERHEAD_MIN 25u
/* How soon to look again for a session that could not be let go; see ph_ssh_deadline. */
#define LINGER_MS 50u

/* ---- beginning and end ---- */

static bool session_init(struct ph_ssh_connection *connection)
{
	const bool config = false;

	connection->ssh = ssh_new();
	if (!connection->ssh)
		return false;
	ssh_set_blocking(connection->ssh, 0);
	ssh_set_counters(connection->ssh, &connection->socket_count, &connection->packet_count);
	ph__auth_init(connection);
	return ssh_options_set(connection->ssh, SSH_OPTIONS_PROCESS_CONFIG, &config) == 0 &&
	       ssh_options_set(connection->ssh, SSH_OPTIONS_COMPRESSION_C_S, "none") == 0 &&
	       ssh_options_set(connection->ssh, SSH_OPTIONS_COMPRESSION_S_C, "none") == 0;
}

static void connection_release(struct ph_ssh_connection *connection)
{
	ssh_free(connection->ssh);
	ph__auth_release(connection);
	ph_mem_free(connection->alloc, connection);
}

enum ph_status ph_ssh_connection_new(struct ph_ssh_connection **out, struct ph_ssh_server *server,
                                     int fd, const char *peer, uint64_t id, void *owner_data)
{
	assert(out && server && fd >= 0);
	struct ph_ssh_connection *connection = ph_mem_zalloc(server->alloc, 1, sizeof(*connection));
	if (!connection) {
		(void)close(fd);
		return PH_ERR_NOMEM;
	}
	connection->server = server;
	connection->alloc = server->alloc;
	connection->log = server->options.service.log;
	connection->id = id;
	connection->owner_data = owner_data;
	(void)snprintf(connection->peer, sizeof(connection->peer), "%s", peer ? peer : "");
	if (!session_init(connection) ||
	    ssh_bind_accept_fd(server->bind, connection->ssh, fd) != SSH_OK) {
		/* libssh closes the socket only once it has taken it. */
		if (!connection->ssh || ssh_get_fd(connection->ssh) != fd)
			(void)close(fd);
		connection_release(connection);
		return PH_ERR_NOMEM;
	}
	*out = connection;
	return PH_OK;
}

bool ph_ssh_can_free(const struct ph_ssh_connection *connection)
{
	for (const struct ph__channel *c = connection->channels; c; c = c->next) {
		if (c->out || (c->session && ph_session_busy(c->session)))
			return false;
	}
	return true;
}

void ph_ssh_connection_free(struct ph_ssh_connection *connection)
{
	if (!connection)
		return;
	assert(ph_ssh_can_free(connection));
	/* libssh frees its side of the channels with the session. */
	while (connection->channels) {
		struct ph__channel *channel = connection->channels;
		connection->channels = channel->next;
		ph__channel_free(channel);
	}
	connection_release(connection);
}

void *ph_ssh_owner_data(const struct ph_ssh_connection *connection)
{
	return connection->owner_data;
}

/* Takes the channels whose session is gone off the list; with abandon, has them let go first. */
static void reap(struct ph_ssh_connection *connection, bool abandon)
{
	struct ph__channel **link = &connection->channels;
	while (*link) {
		struct ph__channel *channel = *link;
		if (abandon ? ph__channel_abandon(channel) : ph__channel_gone(channel)) {
			*link = channel->next;
			connection->channel_count--;
			ph__channel_free(channel);
		} else {
			link = &channel->next;
		}
	}
}

static void over(struct ph_ssh_connection *connection, enum ph_status status, const char *reason)
{
	if (connection->phase == PH__PHASE_OVER)
		return;
	connection->phase = PH__PHASE_OVER;
	connection->end = status;
	if (!connection->auth.done)
		ph__auth_log_refusal(connection, reason);
	else
		ph_log_line(connection->log, PH_LOG_DEBUG, "ssh", connection->id, "%s: ended: %s",
		            connection->peer, reason);
	for (struct ph__channel *c = connection->channels; c; c = c->next)
		c->handle = NULL; /* libssh frees its channels when it disconnects */
	ssh_silent_disconnect(connection->ssh);
	reap(connection, true);
}

/* Ends it with a message to the peer; what is still in libssh's buffers is lost. */
static void disconnect(struct ph_ssh_connection *connection, enum ph_status status,
                       const char *reason)
{
	for (struct ph__channel *c = connection->channels; c; c = c->next)
		(void)ssh_remove_channel_callbacks(c->handle, &c->callbacks);
	connection->failure = reason;
	/* libssh sends at once only if it saw the socket ready since the last time. */
	(void)ssh_execute_message_callbacks(connection->ssh);
	(void)ssh_session_set_disconnect_message(connection->ssh, reason);
	for (struct ph__channel *c = connection->channels; c; c = c->next)
		c->handle = NULL;
	ssh_disconnect(connection->ssh);
	over(connection, status, reason);
}

/* ---- reading ---- */

static bool is_dead(const struct ph_ssh_connection *connection)
{
	return (ssh_get_status(connection->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) ||
	       !ssh_is_connected(connection->ssh);
}

/* What libssh says; where both sides found no algorithm at once, its own words are overwritten. */
static const char *last_words(const struct ph_ssh_connection *connection)
{
	const char *text = ssh_get_error(connection->ssh);
	if (connection->phase == PH__PHASE_KEYS && strcmp(text, "Socket error: Success") == 0)
		return "closed during the key exchange, perhaps for want of a common algorithm";
	return text;
}

static void exchange_keys(struct ph_ssh_connection *connection)
{
	int rc = ssh_handle_key_exchange(connection->ssh);
	if (rc == SSH_ERROR)
		over(connection, PH_ERR_INVALID, last_words(connection));
	else if (rc == SSH_OK || connection->auth.done)
		connection->phase = PH__PHASE_AUTH;
}

/* libssh answers no request whose signature is wrong or whose key it cannot read. */
static void log_in(struct ph_ssh_connection *connection)
{
	struct ssh_counter_struct before = connection->packet_count;
	(void)ssh_execute_message_callbacks(connection->ssh);
	const struct ssh_counter_struct *after = &connection->packet_count;
	if (!connection->auth.done &&
	    after->in_packets - before.in_packets > after->out_packets - before.out_packets &&
	    after->in_bytes - before.in_bytes >= UNANSWERED_BYTES_MIN)
		ph__auth_unanswered(connection);
}

static void read_once(struct ph_ssh_connection *connection)
{
	switch (connection->phase) {
	case PH__PHASE_KEYS:
		exchange_keys(connection);
		break;
	case PH__PHASE_AUTH:
		log_in(connection);
		break;
	case PH__PHASE_OPEN:
		(void)ssh_execute_message_callbacks(connection->ssh);
		break;
	case PH__PHASE_OVER:
	default:
		return;
	}
	if (connection->phase == PH__PHASE_AUTH && connection->auth.done)
		connection->phase = PH__PHASE_OPEN;
	if (connection->phase != PH__PHASE_OVER && is_dead(connection))
		over(connection, PH_END, last_words(connection));
}

/*
 * Whether libssh holds much that the peer does not take. It does not tell how much; what it made
 * since it last held nothing, less what it sent since, is no more than that.
 */
static bool is_clogged(struct ph_ssh_connection *connection)
{
	const struct ssh_counter_struct *made = &connection->packet_count;
	if (!(ssh_get_status(connection->ssh) & SSH_WRITE_PENDING)) {
		connection->drained_made =
		        made->out_bytes + made->out_packets * PACKET_OVERHEAD_MIN;
		connection->drained_sent = connection->socket_count.out_bytes;
		return false;
	}
	uint64_t since = made->out_bytes + made->out_packets * PACKET_OVERHEAD_MIN -
	                 connection->drained_made;
	uint64_t sent = connection->socket_count.out_bytes - connection->drained_sent;
	return since > sent && since - sent > CLOGGED_BYTES;
}

/* True when bytes came. */
static bool receive(struct ph_ssh_connection *connection)
{
	uint64_t start = connection->socket_count.in_bytes;
	for (unsigned i = 0; i < READS_PER_TURN; i++) {
		uint64_t before = connection->socket_count.in_bytes;
		read_once(connection);
		if (connection->phase == PH__PHASE_OVER || connection->failure)
			break;
		if (!connection->auth.done &&
		    connection->socket_count.in_bytes > STRANGER_BYTES_MAX)
			connection->failure = "too much sent before login";
		if (is_clogged(connection))
			return false;
		if (connection->socket_count.in_bytes == before)
			break;
	}
	return connection->socket_count.in_bytes != start;
}

/* ---- writing ---- */

/*
 * libssh takes all it is given and keeps what the socket does not take; and while keys are
 * exchanged it keeps whole packets. So it gets more only when both are empty.
 */
bool ph__connection_writable(const struct ph_ssh_connection *connection)
{
	if (connection->phase != PH__PHASE_OPEN ||
	    (ssh_get_status(connection->ssh) & SSH_WRITE_PENDING))
		return false;
	return connection->packet_count.out_bytes - connection->held_mark >= connection->held_bytes;
}

void ph__connection_wrote(struct ph_ssh_connection *connection, uint64_t before, size_t count)
{
	uint64_t sent = connection->packet_count.out_bytes - before;
	connection->held_bytes = sent < count ? count - sent : 0;
	connection->held_mark = connection->packet_count.out_bytes;
}

static bool pump(struct ph_ssh_connection *connection)
{
	bool progress = false;
	for (struct ph__channel *c = connection->channels; c; c = c->next)
		progress |= ph__channel_pump(c);
	reap(connection, false);
	return progress;
}

/* ---- time ---- */

static bool has_session(const struct ph_ssh_connection *connection)
{
	for (const struct ph__channel *c = connection->channels; c; c = c->next) {
		if (c->session)
			return true;
	}
	return false;
}

static uint64_t silence_ms_max(const struct ph_ssh_connection *connection)
{
	return connection->server->options.service.limits->idle_ms_max;
}

static uint64_t keepalive_ms(const struct ph_ssh_connection *connection)
{
	uint64_t quarter = silence_ms_max(connection) / 4;
	return quarter < KEEPALIVE_MS ? quarter : KEEPALIVE_MS;
}

static void note_times(struct ph_ssh_connection *connection, uint64_t now_ms, uint64_t wall_s)
{
	connection->now_ms = now_ms;
	connection->wall_s = wall_s;
	if (!connection->stepped) {
		connection->stepped = true;
		connection->auth_deadline_ms = now_ms + connection->server->options.auth_ms_max;
		connection->received_ms = connection->idle_ms = now_ms;
		connection->keepalive_ms = now_ms + keepalive_ms(connection);
	}
}

static void note_progress(struct ph_ssh_connection *connection)
{
	if (connection->socket_count.in_bytes != connection->received_bytes) {
		connection->received_bytes = connection->socket_count.in_bytes;
		connection->received_ms = connection->now_ms;
		connection->keepalive_ms = connection->now_ms + keepalive_ms(connection);
	}
	if (has_session(connection))
		connection->idle_ms = connection->now_ms;
}

/* When a connection that takes no new sessions can go: all said and closed, or waited long enough.
 */
static bool is_drained(const struct ph_ssh_connection *connection)
{
	if (!connection->draining || has_session(connection))
		return false;
	if (connection->now_ms - connection->idle_ms >= DRAIN_MS_MAX)
		return true;
	return connection->channel_count == 0 &&
	       !(ssh_get_status(connection->ssh) & SSH_WRITE_PENDING);
}

static void check_ends(struct ph_ssh_connection *connection)
{
	uint64_t now = connection->now_ms;

	if (connection->failure)
		disconnect(connection, PH_ERR_DENIED, connection->failure);
	else if (!connection->auth.done && now >= connection->auth_deadline_ms)
		disconnect(connection, PH_ERR_TIMEOUT, "too slow to log in");
	else if (is_drained(connection))
		disconnect(connection, PH_END, "server is shutting down");
	else if (!has_session(connection) && now - connection->idle_ms >= IDLE_MS_MAX)
		disconnect(connection, PH_END, "idle");
	else if (now - connection->received_ms >= silence_ms_max(connection))
		over(connection, PH_ERR_TIMEOUT, "nothing heard from the peer");
}

static void keep_alive(struct ph_ssh_connection *connection)
{
	if (connection->phase != PH__PHASE_OPEN || connection->now_ms < connection->keepalive_ms)
		return;
	connection->keepalive_ms = connection->now_ms + keepalive_ms(connection);
	connection->writing = true;
	(void)ssh_send_keepalive(connection->ssh);
	connection->writing = false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t ph_ssh_deadline(const struct ph_ssh_connection *connection)
{
	if (!connection->stepped)
		return 0;
	uint64_t when = PH_NO_DEADLINE;
	/* A session whose wake came a moment ago can still be busy with it, and no other event
	 * comes. */
	if (connection->phase == PH__PHASE_OVER)
		return connection->channels ? connection->now_ms + LINGER_MS : when;
	if (connection->more)
		return connection->now_ms;
	if (!connection->auth.done)
		return connection->auth_deadline_ms;
	for (const struct ph__channel *c = connection->channels; c; c = c->next)
		when = earlier(when, ph__channel_deadline(c));
	if (!has_session(connection))
		when = earlier(when, connection->idle_ms +
		                             (connection->draining ? DRAIN_MS_MAX : IDLE_MS_MAX));
	when = earlier(when, connection->keepalive_ms);
	return earlier(when, connection->received_ms + silence_ms_max(connection));
}

/* ---- the owner's calls ---- */

int ph_ssh_poll_events(struct ph_ssh_connection *connection)
{
	if (connection->phase == PH__PHASE_OVER)
		return 0;
	int events = is_clogged(connection) ? 0 : POLLIN;
	if (ssh_get_status(connection->ssh) & SSH_WRITE_PENDING)
		events |= POLLOUT;
	return events;
}

enum ph_status ph_ssh_step(struct ph_ssh_connection *connection, uint64_t now_ms, uint64_t wall_s)
{
	bool progress = true;

	note_times(connection, now_ms, wall_s);
	for (unsigned i = 0; i < TURNS_PER_STEP && progress; i++) {
		if (connection->phase == PH__PHASE_OVER || connection->failure)
			break;
		progress = receive(connection);
		if (connection->phase == PH__PHASE_OPEN)
			progress |= pump(connection);
	}
	connection->more = progress;
	note_progress(connection);
	if (connection->phase != PH__PHASE_OVER) {
		check_ends(connection);
		keep_alive(connection);
	}
	if (connection->phase == PH__PHASE_OVER) {
		reap(connection, true);
		return connection->end;
	}
	return PH_OK;
}

bool ph_ssh_authenticated(const struct ph_ssh_connection *connection)
{
	return connection->auth.done;
}

void ph_ssh_ran(struct ph_ssh_connection *connection, void *channel)
{
	struct ph__channel *ran = channel;
	assert(ran && ran->connection == connection && ran->out);
	(void)connection;
	ran->out = false;
}

void ph_ssh_drain(struct ph_ssh_connection *connection)
{
	connection->draining = true;
}
