/* SPDX-License-Identifier: MIT */
/*
 * A server for test_transport.py: one thread, one poll loop, a store in memory, exec "cat" as an
 * echo. It prints its port on standard output and log lines on standard error, and ends when its
 * standard input does: running sessions may finish, then everything is freed, so that leaks show.
 *
 * sshecho [--v6] [--keys FILE] [--anon] [--auth-ms N] [--idle-ms N] [--channels N] [--defer]
 *
 * With --defer sessions run as they do on worker threads: later, and the connection goes on
 * meanwhile.
 */
#define _POSIX_C_SOURCE 200809L

#include <packhorse/ssh.h>
#include <packhorse/store_mem.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128
#define DEFERRED_MAX 1024
#define DEFERRED_BUDGET 512
#define KEYS_BYTES_MAX 65536

struct deferred {
	struct ph_ssh_connection *connection;
	void *channel;
	struct ph_session *session;
};

struct server {
	struct ph_alloc alloc;
	int64_t live; /* allocations of ours */
	struct ph_log log;
	struct ph_limits limits;
	struct ph_store *store;
	struct ph_keys *keys;
	struct ph_ssh_server *ssh;
	struct ph_ssh_options options;
	struct ph_ssh_connection *connections[CONNECTIONS_MAX];
	int fds[CONNECTIONS_MAX]; /* -1 once the connection is over */
	bool woken[CONNECTIONS_MAX];
	uint64_t next_id;
	struct deferred deferred[DEFERRED_MAX];
	unsigned deferred_count;
	bool v6, defer, draining;
	int listener;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "sshecho: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *count_alloc(void *user, size_t size)
{
	void *ptr = malloc(size);
	((struct server *)user)->live += ptr != NULL;
	return ptr;
}

static void *count_resize(void *user, void *ptr, size_t size)
{
	void *moved = realloc(ptr, size);
	((struct server *)user)->live += !ptr && moved;
	return moved;
}

static void count_free(void *user, void *ptr)
{
	((struct server *)user)->live -= ptr != NULL;
	free(ptr);
}

static void log_write(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	(void)user;
	(void)fprintf(stderr, "%d %s %" PRIu64 " %s\n", (int)level, source, connection, message);
}

static enum ph_status random_bytes(void *user, void *buf, size_t len)
{
	(void)user;
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len);
	if (fd >= 0)
		(void)close(fd);
	return n == (ssize_t)len ? PH_OK : PH_ERR_IO;
}

static uint64_t now_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t wall_s(void)
{
	return (uint64_t)time(NULL);
}

static void run_later(void *owner, struct ph_ssh_connection *connection, void *channel,
                      struct ph_session *session)
{
	struct server *server = owner;
	if (server->deferred_count == DEFERRED_MAX)
		die("too many runs");
	server->deferred[server->deferred_count++] =
	        (struct deferred){connection, channel, session};
}

static void wake(void *owner, struct ph_ssh_connection *connection)
{
	struct server *server = owner;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (server->connections[i] == connection)
			server->woken[i] = true;
	}
}

static void load_keys(struct server *server, const char *path)
{
	static char text[KEYS_BYTES_MAX];
	unsigned accepted = 0;
	FILE *file = path ? fopen(path, "rb") : NULL;

	if (ph_keys_new(&server->keys, &server->alloc) != PH_OK)
		die("keys");
	if (!path)
		return;
	if (!file)
		die(path);
	size_t len = fread(text, 1, sizeof(text), file);
	(void)fclose(file);
	if (ph_keys_add_text(server->keys, text, len, PH_PERM_OWNER, "keys", &server->log,
	                     &accepted) != PH_OK)
		die("keys");
}

static void make_options(struct server *server, const char *host_key)
{
	struct ph_ssh_options *options = &server->options;
	struct ph_service *service = &options->service;

	service->store = server->store;
	service->alloc = &server->alloc;
	service->limits = &server->limits;
	service->log = &server->log;
	service->random = random_bytes;
	service->agent = "packhorse/test";
	options->keys = server->keys;
	options->host_key = host_key;
	options->echo = true;
	options->owner = server;
	options->wake_connection = wake;
	if (server->defer)
		options->run_session = run_later;
}

static void parse(struct server *server, int argc, char **argv, const char **keys)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "0";
		if (strcmp(argv[i], "--v6") == 0)
			server->v6 = true;
		else if (strcmp(argv[i], "--anon") == 0)
			server->options.anon_read = true;
		else if (strcmp(argv[i], "--defer") == 0)
			server->defer = true;
		else if (strcmp(argv[i], "--keys") == 0 && ++i)
			*keys = value;
		else if (strcmp(argv[i], "--auth-ms") == 0 && ++i)
			server->options.auth_ms_max = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--idle-ms") == 0 && ++i)
			server->limits.idle_ms_max = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--channels") == 0 && ++i)
			server->options.channels_max = (uint32_t)strtoul(value, NULL, 10);
		else
			die(argv[i]);
	}
}

static int bind_listener(bool v6)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		die("socket");
	int rc = v6 ? bind(fd, (const struct sockaddr *)&a6, sizeof(a6))
	            : bind(fd, (const struct sockaddr *)&a4, sizeof(a4));
	if (rc != 0 || listen(fd, 64) != 0)
		die("bind");
	return fd;
}

static int listen_loopback(bool v6)
{
	struct sockaddr_in6 bound;
	socklen_t len = sizeof(bound);
	int fd = bind_listener(v6);
	if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
		die("getsockname");
	/* The port is at the same place in both families. */
	(void)printf("port %u\n", ntohs(bound.sin6_port));
	(void)fflush(stdout);
	return fd;
}

static void accept_one(struct server *server)
{
	static const int one = 1;
	int slot = 0, fd = accept(server->listener, NULL, NULL);
	if (fd < 0)
		return;
	while (slot < CONNECTIONS_MAX && server->connections[slot])
		slot++;
	if (slot == CONNECTIONS_MAX) {
		(void)close(fd);
		return;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ph_ssh_connection_new(&server->connections[slot], server->ssh, fd,
	                          server->v6 ? "::1" : "127.0.0.1", ++server->next_id,
	                          &server->woken[slot]) != PH_OK)
		die("connection");
	server->fds[slot] = fd;
	server->woken[slot] = true; /* the first step sends our version */
}

static void step(struct server *server, int slot)
{
	struct ph_ssh_connection *connection = server->connections[slot];

	server->woken[slot] = false;
	if (server->draining)
		ph_ssh_drain(connection);
	enum ph_status status = ph_ssh_step(connection, now_ms(), wall_s());
	if (status == PH_OK)
		return;
	server->fds[slot] = -1;
	if (!ph_ssh_can_free(connection))
		return;
	ph_ssh_connection_free(connection);
	server->connections[slot] = NULL;
	(void)fprintf(stderr, "closed: %s, live %" PRId64 "\n", ph_status_name(status),
	              server->live);
}

static void run_deferred(struct server *server)
{
	unsigned count = server->deferred_count;
	struct deferred queue[DEFERRED_MAX];

	memcpy(queue, server->deferred, count * sizeof(queue[0]));
	server->deferred_count = 0;
	for (unsigned i = 0; i < count; i++) {
		bool *woken = ph_ssh_owner_data(queue[i].connection);
		ph_session_run(queue[i].session, now_ms(), wall_s(), DEFERRED_BUDGET);
		ph_ssh_ran(queue[i].connection, queue[i].channel);
		*woken = true;
	}
}

static int timeout_ms(const struct server *server)
{
	uint64_t now = now_ms(), first = now + 1000;
	if (server->deferred_count > 0)
		return 0;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (!server->connections[i])
			continue;
		uint64_t when = server->woken[i] ? 0 : ph_ssh_deadline(server->connections[i]);
		if (when < first)
			first = when;
	}
	return first > now ? (int)(first - now) : 0;
}

/* One turn of the loop; false when all is done. */
static bool turn(struct server *server)
{
	struct pollfd polled[CONNECTIONS_MAX + 2] = {
	        {.fd = server->listener, .events = POLLIN},
	        {.fd = server->draining ? -1 : 0, .events = POLLIN}};
	bool any = false;

	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		struct pollfd *p = &polled[i + 2];
		p->fd = server->connections[i] ? server->fds[i] : -1;
		p->events = p->fd >= 0 ? (short)ph_ssh_poll_events(server->connections[i]) : 0;
		any |= server->connections[i] != NULL;
	}
	if (server->draining && !any)
		return false;
	if (poll(polled, CONNECTIONS_MAX + 2, timeout_ms(server)) < 0 && errno != EINTR)
		die("poll");
	if (polled[1].revents && !server->draining) {
		char byte;
		if (read(0, &byte, 1) <= 0) {
			server->draining = true;
			memset(server->woken, 1, sizeof(server->woken));
		}
	}
	run_deferred(server);
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (server->connections[i] && (server->woken[i] || polled[i + 2].revents ||
		                               ph_ssh_deadline(server->connections[i]) <= now_ms()))
			step(server, i);
	}
	if (polled[0].revents)
		accept_one(server);
	return true;
}

int main(int argc, char **argv)
{
	static struct server server;
	char host_key[2048];
	size_t len = sizeof(host_key);
	const char *keys = NULL;

	server.alloc = (struct ph_alloc){&server, count_alloc, count_resize, count_free};
	server.log = (struct ph_log){NULL, PH_LOG_DEBUG, log_write};
	ph_limits_init(&server.limits);
	parse(&server, argc, argv, &keys);
	struct ph_store_mem_options mem = {.alloc = &server.alloc, .limits = &server.limits};
	if (ph_store_mem_new(&server.store, &mem) != PH_OK ||
	    ph_ssh_host_key_generate(host_key, &len) != PH_OK)
		die("store or host key");
	load_keys(&server, keys);
	make_options(&server, host_key);
	if (ph_ssh_server_new(&server.ssh, &server.options) != PH_OK)
		die("server");
	server.listener = listen_loopback(server.v6);
	while (turn(&server))
		;
	ph_ssh_server_free(server.ssh);
	ph_keys_free(server.keys);
	ph_store_close(server.store);
	(void)close(server.listener);
	(void)fprintf(stderr, "end: live %" PRId64 "\n", server.live);
	return server.live == 0 ? 0 : 3;
}
