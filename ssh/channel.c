/* SPDX-License-Identifier: MIT */
/*
 * One session channel: an SSH channel on one side, a Git session on the other, and the bytes
 * between. libssh's callbacks come in the middle of its packet handling, so they only take notes
 * and input; output, endings and frees are done by ph__channel_pump from the connection's step.
 *
 * Input that the session has no room for stays in libssh, whose window then closes. Taking a part
 * of it out by ssh_channel_read_nonblocking would open the window again by more than was taken, and
 * a peer faster than the session would fill memory; so it is taken out as a whole, into the session
 * if it fits, else into the spill, which is emptied before libssh is asked again.
 */
#include "connection_int.h"

#include <packhorse/admin.h>
#include <packhorse/verify.h>

#include <assert.h>
#include <string.h>

/* Units of one run on the connection's own thread: a few milliseconds. */
#define RUN_BUDGET 512u
/* Less output than this is sent before the next run, not during it. */
#define DETACH_BYTES_MIN (32u * 1024)
/* Runs and moves before others get their turn. */
#define PUMP_ROUNDS 4u
/* The largest piece given to libssh at once; it makes packets of it. Twice this is what can pile
 * up. */
#define WRITE_BYTES_MAX (256u * 1024)
/* libssh's window is 1.25 MiB, newer ones' 2 MiB. More than this unread means it was ignored. */
#define BACKLOG_BYTES_MAX (4u * 1024 * 1024)
/* RFC 4253 has everybody take 32768; clients on small machines announce less, but none this little.
 */
#define PEER_PACKET_BYTES_MIN 512u

static const struct ph_ssh_options *options_of(const struct ph__channel *channel)
{
	return &channel->connection->server->options;
}

/* ---- input ---- */

/* As much of data into the session as it has room for. */
static size_t give(struct ph__channel *channel, const uint8_t *data, size_t len)
{
	size_t done = 0;
	while (done < len) {
		size_t room;
		uint8_t *buf = ph_session_input_buf(channel->session, &room);
		if (room == 0)
			break;
		if (room > len - done)
			room = len - done;
		memcpy(buf, data + done, room);
		ph_session_input_ack(channel->session, room);
		done += room;
	}
	return done;
}

static bool wants_input(const struct ph__channel *channel)
{
	return channel->phase == PH__CHANNEL_RUNNING && channel->session && !channel->out;
}

/* A session that is done reads nothing any more; what still comes is thrown away. */
static bool is_deaf(const struct ph__channel *channel)
{
	return channel->phase == PH__CHANNEL_ENDED || channel->peer_closed ||
	       (wants_input(channel) && (ph_session_state(channel->session) & PH_DONE));
}

static int on_data(ssh_session session, ssh_channel handle, void *data, uint32_t len, int is_stderr,
                   void *userdata)
{
	struct ph__channel *channel = userdata;
	struct ph_ssh_connection *connection = channel->connection;

	(void)session;
	(void)handle;
	if (is_stderr || connection->failure)
		return (int)len; /* nobody reads what a client sends as its error stream */
	if (channel->phase == PH__CHANNEL_FRESH) {
		connection->failure = "data before a command";
		return (int)len;
	}
	if (len > BACKLOG_BYTES_MAX) {
		connection->failure = "the window was ignored";
		return (int)len;
	}
	if (!connection->writing && is_deaf(channel))
		return (int)len;
	size_t taken = 0;
	if (!connection->writing && wants_input(channel) &&
	    channel->spill_start == channel->spill_end)
		taken = give(channel, data, len);
	channel->backlog = taken < len;
	return (int)taken;
}

static void on_eof(ssh_session session, ssh_channel handle, void *userdata)
{
	struct ph__channel *channel = userdata;
	(void)session;
	(void)handle;
	channel->eof = true;
}

static void on_close(ssh_session session, ssh_channel handle, void *userdata)
{
	struct ph__channel *channel = userdata;
	(void)session;
	(void)handle;
	channel->peer_closed = true;
}

static bool spill_reserve(struct ph__channel *channel, size_t len)
{
	assert(channel->spill_start == channel->spill_end);
	if (channel->spill_size < len) {
		const struct ph_alloc *alloc = channel->connection->alloc;
		ph_mem_free(alloc, channel->spill);
		channel->spill_size = 0;
		channel->spill = ph_mem_alloc(alloc, len);
		if (!channel->spill)
			return false;
		channel->spill_size = len;
	}
	channel->spill_start = channel->spill_end = 0;
	return true;
}

/* What libssh holds into the session if it fits, else into the spill. */
static bool move_backlog(struct ph__channel *channel)
{
	int waiting = ssh_channel_poll(channel->handle, 0);
	channel->backlog = false;
	if (waiting <= 0)
		return false;
	size_t room, len = (size_t)waiting;
	uint8_t *buf = ph_session_input_buf(channel->session, &room);
	bool fits = len <= room;
	if (!fits) {
		if (!spill_reserve(channel, len)) {
			channel->connection->failure = "out of memory";
			return false;
		}
		buf = channel->spill;
	}
	int got = ssh_channel_read_nonblocking(channel->handle, buf, (uint32_t)len, 0);
	if (got <= 0)
		return false;
	if (fits)
		ph_session_input_ack(channel->session, (size_t)got);
	else
		channel->spill_end = (size_t)got;
	return true;
}

/*
 * The whole backlog out of libssh. Newer versions handle packets whenever they are asked for what
 * they hold, and call back: what comes meanwhile is to stay behind what is being moved.
 */
static bool take_backlog(struct ph__channel *channel)
{
	channel->connection->writing = true;
	bool moved = move_backlog(channel);
	channel->connection->writing = false;
	return moved;
}

static bool give_spill(struct ph__channel *channel)
{
	size_t n = give(channel, channel->spill + channel->spill_start,
	                channel->spill_end - channel->spill_start);
	channel->spill_start += n;
	return n > 0;
}

static bool has_room(const struct ph__channel *channel)
{
	size_t room;
	(void)ph_session_input_buf(channel->session, &room);
	return room > 0;
}

/* True when the session got something. */
static bool feed(struct ph__channel *channel)
{
	bool progress = false;

	if (channel->spill_start < channel->spill_end) {
		progress = give_spill(channel);
		if (channel->spill_start < channel->spill_end)
			return progress;
	}
	if (channel->backlog && has_room(channel) && take_backlog(channel)) {
		progress = true;
		if (channel->spill_start < channel->spill_end)
			(void)give_spill(channel);
	}
	if (channel->eof && !channel->eof_given && !channel->backlog &&
	    channel->spill_start == channel->spill_end) {
		ph_session_input_eof(channel->session);
		channel->eof_given = true;
		progress = true;
	}
	return progress;
}

/* ---- output ---- */

static int write_stream(struct ph__channel *channel, enum ph_stream stream, const uint8_t *data,
                        size_t len)
{
	struct ph_ssh_connection *connection = channel->connection;
	uint64_t before = connection->packet_count.out_bytes;
	int n;

	/* libssh may read and call back in here, and data must stay where it is until it is done.
	 */
	connection->writing = true;
	if (stream == PH_STREAM_ERR)
		n = ssh_channel_write_stderr(channel->handle, data, (uint32_t)len);
	else
		n = ssh_channel_write(channel->handle, data, (uint32_t)len);
	connection->writing = false;
	if (n > 0)
		ph__connection_wrote(connection, before, (size_t)n);
	return n;
}

/* True when something was sent. */
static bool send_stream(struct ph__channel *channel, enum ph_stream stream)
{
	bool progress = false;
	for (;;) {
		size_t len;
		const uint8_t *data = ph_session_output_buf(channel->session, stream, &len);
		size_t window = ssh_channel_window_size(channel->handle);
		if (len > window)
			len = window;
		if (len > WRITE_BYTES_MAX)
			len = WRITE_BYTES_MAX;
		if (len == 0 || channel->peer_closed ||
		    !ph__connection_writable(channel->connection))
			break;
		int n = write_stream(channel, stream, data, len);
		if (n <= 0)
			break; /* a key exchange, or the end, which the connection's state tells */
		ph_session_output_ack(channel->session, stream, (size_t)n);
		progress = true;
	}
	return progress;
}

/* ---- the session ---- */

static void on_wake(void *user, struct ph_session *session)
{
	struct ph__channel *channel = user;
	const struct ph_ssh_options *options = options_of(channel);

	(void)session;
	atomic_store(&channel->woken, true);
	if (options->wake_connection)
		options->wake_connection(options->owner, channel->connection);
}

static void run(struct ph__channel *channel)
{
	struct ph_ssh_connection *connection = channel->connection;
	const struct ph_ssh_options *options = options_of(channel);

	atomic_store(&channel->woken, false);
	if (options->run_session) {
		channel->away &= !(ph_session_state(channel->session) & PH_DONE);
		channel->out = true;
		options->run_session(options->owner, connection, channel, channel->session);
	} else {
		ph_session_run(channel->session, connection->now_ms, connection->wall_s,
		               RUN_BUDGET);
	}
}

static bool wants_run(const struct ph__channel *channel)
{
	unsigned state = ph_session_state(channel->session);
	return (state & PH_WANT_RUN) || ((state & PH_WAITING) && atomic_load(&channel->woken)) ||
	       ph_session_deadline(channel->session) <= channel->connection->now_ms;
}

/* The session and its buffers go, when they may; true when they are gone. */
static bool let_go(struct ph__channel *channel)
{
	if (channel->out)
		return false;
	if (channel->session && ph_session_busy(channel->session)) {
		/* A commit cannot be called back: its wake comes, and a run takes note of it. That
		 * run may have to be repeated, while the wake has not yet returned. */
		if (wants_run(channel))
			run(channel);
		if (channel->out || ph_session_busy(channel->session))
			return false;
	}
	ph_session_free(channel->session);
	channel->session = NULL;
	ph_mem_free(channel->connection->alloc, channel->spill);
	channel->spill = NULL;
	channel->spill_size = channel->spill_start = channel->spill_end = 0;
	return true;
}

/* Exit status, EOF, CLOSE, in this order: without the first git fails although it has all data. */
static void finish(struct ph__channel *channel)
{
	channel->connection->writing = true;
	(void)ssh_channel_request_send_exit_status(channel->handle,
	                                           ph_session_exit_status(channel->session));
	(void)ssh_channel_send_eof(channel->handle);
	(void)ssh_channel_close(channel->handle);
	channel->connection->writing = false;
	channel->phase = PH__CHANNEL_ENDED;
	(void)let_go(channel);
}

/*
 * Before a run on another thread: what the session has made so far is sent meanwhile. Little is not
 * worth another buffer, and what an ended session has left goes the usual way, with its time limit.
 */
static void detach(struct ph__channel *channel)
{
	size_t len;

	channel->away = !ph_session_output_attach(channel->session);
	(void)ph_session_output_buf(channel->session, PH_STREAM_OUT, &len);
	if (!channel->away && len >= DETACH_BYTES_MIN && options_of(channel)->run_session &&
	    !(ph_session_state(channel->session) & (PH_DONE | PH_WAITING)))
		channel->away = ph_session_output_detach(channel->session);
}

/* One turn of a channel with a session; true when something was done. */
static bool turn(struct ph__channel *channel)
{
	bool progress = feed(channel);
	progress |= send_stream(channel, PH_STREAM_ERR);
	detach(channel);
	if (channel->away && wants_run(channel) && !channel->peer_closed) {
		run(channel);
		return true;
	}
	progress |= send_stream(channel, PH_STREAM_OUT);
	if (channel->peer_closed)
		return true;
	if ((ph_session_state(channel->session) & (PH_DONE | PH_HAVE_OUTPUT)) == PH_DONE) {
		finish(channel);
		return true;
	}
	if (wants_run(channel)) {
		run(channel);
		progress = true;
	}
	return progress;
}

/* The peer has closed: answer it, and drop the session. True when the struct can be freed. */
static bool wind_up(struct ph__channel *channel)
{
	ssh_channel_free(channel->handle); /* sends CLOSE if that is still to be done */
	channel->handle = NULL;
	return let_go(channel);
}

bool ph__channel_pump(struct ph__channel *channel)
{
	bool progress = false;

	for (unsigned i = 0; i < PUMP_ROUNDS && !channel->out && !channel->peer_closed; i++) {
		if (channel->phase != PH__CHANNEL_RUNNING || channel->connection->failure)
			break;
		if (!turn(channel))
			return progress;
		progress = true;
	}
	if (channel->out && channel->away && channel->phase == PH__CHANNEL_RUNNING &&
	    !channel->peer_closed && !channel->connection->failure)
		progress |= send_stream(channel, PH_STREAM_OUT);
	if (channel->phase == PH__CHANNEL_ENDED && channel->session)
		(void)let_go(channel);
	return progress;
}

bool ph__channel_gone(struct ph__channel *channel)
{
	return channel->peer_closed && wind_up(channel);
}

bool ph__channel_abandon(struct ph__channel *channel)
{
	channel->handle = NULL;
	return let_go(channel);
}

void ph__channel_free(struct ph__channel *channel)
{
	assert(!channel->out);
	ph_session_free(channel->session);
	ph_mem_free(channel->connection->alloc, channel->spill);
	ph_mem_free(channel->connection->alloc, channel);
}

uint64_t ph__channel_deadline(const struct ph__channel *channel)
{
	if (!channel->session || channel->out)
		return PH_NO_DEADLINE;
	return ph_session_deadline(channel->session);
}

/* ---- requests ---- */

static struct ph_service service_of(struct ph__channel *channel)
{
	const struct ph_ssh_connection *connection = channel->connection;
	struct ph_service service = options_of(channel)->service;
	service.connection = connection->id;
	service.identity = connection->auth.identity;
	service.permission = connection->auth.permission;
	service.key = connection->auth.key;
	service.key_len = connection->auth.key_len;
	if (!service.verify)
		service.verify = ph_key_verify;
	service.wake_user = channel;
	service.wake = on_wake;
	return service;
}

/* A git client reads its standard output as packets; others are people. */
static bool looks_like_git(const char *command)
{
	return strncmp(command, "git-", 4) == 0 || strncmp(command, "git ", 4) == 0;
}

static enum ph_status open_command(struct ph__channel *channel, const char *command)
{
	struct ph_service service = service_of(channel);
	const struct ph_alloc *alloc = channel->connection->alloc;

	if (options_of(channel)->echo && strcmp(command, "cat") == 0)
		return ph_echo_new(&channel->session, &service);
	/* 4 KiB and more: not on the stack below libssh's. */
	struct ph_request *request = ph_mem_alloc(alloc, sizeof(*request));
	if (!request)
		return PH_ERR_NOMEM;
	enum ph_status status = ph_request_parse(request, command, strlen(command),
	                                         channel->has_protocol ? channel->protocol : NULL);
	if (status == PH_OK) {
		status = ph_service_open(&channel->session, &service, request);
	} else {
		bool git = looks_like_git(command);
		status = ph_refusal_new(&channel->session, &service, git, git ? 128 : 1,
		                        status == PH_ERR_LIMIT ? "command too long"
		                                               : "not a command");
	}
	ph_mem_free(alloc, request);
	return status;
}

/*
 * libssh 0.10 cuts what it writes to the packet size that the peer announced less ten, without a
 * look at it: a peer that announces ten makes it write empty packets until memory is gone, and one
 * that announces eleven packets of one byte. There is no call that tells the size, so it is looked
 * up where the library keeps it, if all that is known of the fields around it is found in its
 * place.
 */
static bool peer_packets_are_sane(ssh_channel handle)
{
	struct {
		void *session;
		uint32_t local_channel, local_window;
		int local_eof;
		uint32_t local_maxpacket, remote_channel, remote_window;
		int remote_eof;
		uint32_t remote_maxpacket;
	} view;

	memcpy(&view, (const void *)handle, sizeof(view));
	if (view.session != (void *)ssh_channel_get_session(handle) ||
	    (view.local_maxpacket != 35000 && view.local_maxpacket != 32768) ||
	    view.remote_window != ssh_channel_window_size(handle) || view.local_eof != 0)
		return true; /* another version: it has to look after itself */
	return view.remote_maxpacket >= PEER_PACKET_BYTES_MIN;
}

static int start(struct ph__channel *channel, const char *command)
{
	struct ph_ssh_connection *connection = channel->connection;
	enum ph_status status;

	if (channel->phase != PH__CHANNEL_FRESH || connection->draining || connection->failure)
		return 1;
	if (!peer_packets_are_sane(channel->handle)) {
		connection->failure = "packet size too small";
		return 1;
	}
	if (command) {
		status = open_command(channel, command);
	} else {
		struct ph_service service = service_of(channel);
		status = ph_greeting_new(&channel->session, &service);
	}
	if (status != PH_OK) {
		channel->session = NULL;
		ph_log_line(connection->log, PH_LOG_ERROR, "ssh", connection->id,
		            "no session for a command: %s", ph_status_text(status));
		return 1;
	}
	channel->phase = PH__CHANNEL_RUNNING;
	return 0;
}

static int on_exec(ssh_session session, ssh_channel handle, const char *command, void *userdata)
{
	(void)session;
	(void)handle;
	return start(userdata, command);
}

static int on_shell(ssh_session session, ssh_channel handle, void *userdata)
{
	(void)session;
	(void)handle;
	return start(userdata, NULL);
}

static bool protocol_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("=:._-", c) != NULL);
}

/* GIT_PROTOCOL and nothing else; what is odd about its value is refused, not passed on. */
static int on_env(ssh_session session, ssh_channel handle, const char *name, const char *value,
                  void *userdata)
{
	struct ph__channel *channel = userdata;
	size_t len = strlen(value);

	(void)session;
	(void)handle;
	if (channel->phase != PH__CHANNEL_FRESH || strcmp(name, "GIT_PROTOCOL") != 0 ||
	    len > PH__PROTOCOL_BYTES_MAX)
		return 1;
	for (size_t i = 0; i < len; i++) {
		if (!protocol_byte(value[i]))
			return 1;
	}
	memcpy(channel->protocol, value, len + 1);
	channel->has_protocol = true;
	return 0;
}

ssh_channel ph__channel_open(struct ph_ssh_connection *connection)
{
	if (connection->draining || connection->failure ||
	    connection->channel_count >= connection->server->options.channels_max)
		return NULL;
	struct ph__channel *channel = ph_mem_zalloc(connection->alloc, 1, sizeof(*channel));
	if (!channel)
		return NULL;
	channel->handle = ssh_channel_new(connection->ssh);
	if (!channel->handle) {
		ph_mem_free(connection->alloc, channel);
		return NULL;
	}
	channel->connection = connection;
	atomic_init(&channel->woken, false);
	/* What has no callback here (terminals, X11, subsystems, signals) libssh refuses. */
	channel->callbacks.userdata = channel;
	channel->callbacks.channel_data_function = on_data;
	channel->callbacks.channel_eof_function = on_eof;
	channel->callbacks.channel_close_function = on_close;
	channel->callbacks.channel_exec_request_function = on_exec;
	channel->callbacks.channel_shell_request_function = on_shell;
	channel->callbacks.channel_env_request_function = on_env;
	ssh_callbacks_init(&channel->callbacks);
	if (ssh_set_channel_callbacks(channel->handle, &channel->callbacks) != SSH_OK) {
		ssh_channel_free(channel->handle);
		ph_mem_free(connection->alloc, channel);
		return NULL;
	}
	channel->next = connection->channels;
	connection->channels = channel;
	connection->channel_count++;
	return channel->handle;
}
