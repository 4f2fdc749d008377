/* SPDX-License-Identifier: MIT */
/* Listening sockets: parsing addresses, binding, accepting. */
#include "daemon_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 32
#define BACKLOG 256
#define ADDRESS_BYTES 80
/* Accepted in one go before the loop looks at its other sockets. */
#define ACCEPTS_MAX 64

struct listener_socket {
	struct ph_listener *listener;
	uv_poll_t poll;
	int fd;
	char address[ADDRESS_BYTES];
};

struct ph_listener {
	uv_loop_t *uv;
	uv_timer_t pause;
	void *user;
	void (*accepted)(void *user, int fd, const char *peer);
	const struct ph_log *log;
	unsigned count;
	struct listener_socket sockets[SOCKETS_MAX];
};

/* "ADDR:PORT" or "[ADDR]:PORT" into its two parts. */
static bool address_split(const char *text, char *host, size_t host_len, char *port,
                          size_t port_len)
{
	const char *colon = strrchr(text, ':');
	size_t len;

	if (!colon || colon[1] == '\0' || strlen(colon + 1) >= port_len)
		return false;
	for (const char *at = colon + 1; *at; at++)
		if (*at < '0' || *at > '9')
			return false;
	if (atol(colon + 1) > 65535)
		return false;
	memcpy(port, colon + 1, strlen(colon + 1) + 1);
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return false;
	}
	if (len == 0 || len >= host_len)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	return true;
}

bool ph__listen_valid(const char *text)
{
	char host[256], port[8];

	return address_split(text, host, sizeof host, port, sizeof port);
}

static void address_text(char *out, size_t len, const struct sockaddr_storage *address,
                         bool with_port)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;

	if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
		if (with_port)
			snprintf(out, len, "[%s]:%u", host, ntohs(v6->sin6_port));
		else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			snprintf(out, len, "%s", strrchr(host, ':') + 1);
		else
			snprintf(out, len, "%s", host);
	} else {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
		if (with_port)
			snprintf(out, len, "%s:%u", host, ntohs(v4->sin_port));
		else
			snprintf(out, len, "%s", host);
	}
}

static int bind_one(struct ph_listener *listener, const struct addrinfo *info, bool v6_only)
{
	struct listener_socket *sock = &listener->sockets[listener->count];
	struct sockaddr_storage bound;
	socklen_t bound_len = sizeof bound;
	int yes = 1, only = v6_only;
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (info->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
	if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &bound_len) != 0) {
		int why = -errno;

		close(fd);
		return why;
	}
	address_text(sock->address, sizeof sock->address, &bound, true);
	sock->fd = fd;
	sock->listener = listener;
	listener->count++;
	return 0;
}

/* One --listen: all addresses that its name has. */
static bool bind_text(struct ph_listener *listener, const char *text, bool v6_only)
{
	struct addrinfo hints = {0}, *list = NULL;
	char host[256], port[8];
	int code;

	if (!address_split(text, host, sizeof host, port, sizeof port))
		return false;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
	code = getaddrinfo(host, port, &hints, &list);
	if (code != 0) {
		fprintf(stderr, "packhorse: cannot listen on %s: %s\n", text, gai_strerror(code));
		return false;
	}
	for (const struct addrinfo *at = list; at && code == 0; at = at->ai_next)
		if (listener->count < SOCKETS_MAX)
			code = bind_one(listener, at, v6_only);
	freeaddrinfo(list);
	if (code != 0)
		fprintf(stderr, "packhorse: cannot listen on %s: %s%s\n", text, strerror(-code),
		        code == -EADDRINUSE ? "; choose another port with --listen" : "");
	return code == 0;
}

static void listening_start(struct ph_listener *listener);

static void on_pause_over(uv_timer_t *timer)
{
	listening_start(timer->data);
}

/* Out of descriptors: accepting again at once would spin, so wait until some were closed. */
static void listening_pause(struct ph_listener *listener, int why)
{
	ph_log_line(listener->log, PH_LOG_WARN, "daemon", 0, "cannot accept: %s", strerror(why));
	for (unsigned i = 0; i < listener->count; i++)
		uv_poll_stop(&listener->sockets[i].poll);
	uv_timer_start(&listener->pause, on_pause_over, 200, 0);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct listener_socket *sock = poll->data;

	(void)status;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof peer;
		int yes = 1;
		char text[ADDRESS_BYTES];
		int fd = accept4(sock->fd, (struct sockaddr *)&peer, &len,
		                 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				listening_pause(sock->listener, errno);
			return;
		}
		/* Login is many small packets each way; Nagle's delay would cost 40 ms on each. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		address_text(text, sizeof text, &peer, false);
		sock->listener->accepted(sock->listener->user, fd, text);
	}
}

static void listening_start(struct ph_listener *listener)
{
	for (unsigned i = 0; i < listener->count; i++)
		uv_poll_start(&listener->sockets[i].poll, UV_READABLE, on_ready);
}

struct ph_listener *ph__listen(uv_loop_t *uv, const struct ph_options *options, void *user,
                               void (*accepted)(void *user, int fd, const char *peer),
                               const struct ph_log *log)
{
	struct ph_listener *listener = calloc(1, sizeof *listener);
	bool v4 = false, ok = listener != NULL;

	/* [::] takes IPv4 too, unless an IPv4 address was asked for beside it. */
	for (unsigned i = 0; i < options->listens; i++)
		v4 = v4 || options->listen[i][0] != '[';
	for (unsigned i = 0; ok && i < options->listens; i++)
		ok = bind_text(listener, options->listen[i], v4);
	if (!ok) {
		for (unsigned i = 0; listener && i < listener->count; i++)
			close(listener->sockets[i].fd);
		free(listener);
		return NULL;
	}
	listener->uv = uv;
	listener->user = user;
	listener->accepted = accepted;
	listener->log = log;
	uv_timer_init(uv, &listener->pause);
	listener->pause.data = listener;
	for (unsigned i = 0; i < listener->count; i++) {
		uv_poll_init(uv, &listener->sockets[i].poll, listener->sockets[i].fd);
		listener->sockets[i].poll.data = &listener->sockets[i];
	}
	listening_start(listener);
	for (unsigned i = 0; i < listener->count; i++)
		printf("listening ssh://%s/\n", listener->sockets[i].address);
	fflush(stdout);
	return listener;
}

const char *ph__listener_address(const struct ph_listener *listener)
{
	return listener->sockets[0].address;
}

void ph__listener_close(struct ph_listener *listener)
{
	for (unsigned i = 0; i < listener->count; i++) {
		if (listener->sockets[i].fd < 0)
			continue;
		uv_poll_stop(&listener->sockets[i].poll);
		uv_close((uv_handle_t *)&listener->sockets[i].poll, NULL);
		close(listener->sockets[i].fd);
		listener->sockets[i].fd = -1;
	}
	if (!uv_is_closing((uv_handle_t *)&listener->pause))
		uv_close((uv_handle_t *)&listener->pause, NULL);
}

void ph__listener_free(struct ph_listener *listener)
{
	free(listener);
}
