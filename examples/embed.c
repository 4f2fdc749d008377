/* SPDX-License-Identifier: MIT */
/*
 * A Git server in a page of code: repositories in memory, served on a Unix socket to any number of
 * clients, with poll, read and write. A client sends one line, "GIT_PROTOCOL COMMAND\n", such as
 * "version=2 git-upload-pack '/app'\n", and then speaks what git speaks over SSH.
 *   cc embed.c $(pkg-config --cflags --libs packhorse) && ./a.out /tmp/git.sock
 *
 * What git has hook scripts for is a struct of functions (policy.h): this one refuses branches
 * below wip/ and thanks for all others.
 */
#include <packhorse/packhorse.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 64

struct client {
	struct ph_session *session; /* NULL until the request line is complete */
	char line[PH_REQUEST_BYTES_MAX + 1];
	size_t len;
	bool eof;
};

static struct client clients[CLIENTS_MAX];
static struct pollfd polls[CLIENTS_MAX + 1]; /* the last one is the listening socket's */
static struct ph_limits limits;

/* For each ref of a push; git's update hook. */
static enum ph_status on_update(void *user, const struct ph_push *push, uint32_t command,
                                const char **why)
{
	(void)user;
	if (strncmp(push->commands[command].name, "refs/heads/wip/", 15) != 0)
		return PH_OK;
	*why = "work in progress stays at home";
	return PH_ERR_DENIED;
}

/* After it was committed; git's post-receive hook. */
static void on_pushed(void *user, const struct ph_push *push)
{
	char text[64];

	(void)user;
	snprintf(text, sizeof text, "thank you for %u refs", push->count);
	push->say(push, text);
}

static const struct ph_policy policy = {.update = on_update, .post_receive = on_pushed};
static struct ph_service service = {.limits = &limits,
                                    .permission = PH_PERM_OWNER,
                                    .identity = "local",
                                    .agent = "embed",
                                    .policy = &policy};

static void client_close(int i)
{
	ph_session_free(clients[i].session);
	clients[i] = (struct client){0};
	close(polls[i].fd);
	polls[i].fd = -1;
}

/* Reads the request line byte by byte, as what follows it belongs to the session. */
static int client_request(int i)
{
	struct client *c = &clients[i];
	struct ph_request request;
	char *space;
	ssize_t n = 0;

	while (c->len < PH_REQUEST_BYTES_MAX && (n = read(polls[i].fd, &c->line[c->len], 1)) == 1 &&
	       c->line[c->len] != '\n')
		c->len++;
	if (n < 0 && errno == EAGAIN)
		return 0;
	c->line[c->len] = '\0';
	space = strchr(c->line, ' ');
	if (n != 1 || !space)
		return -1;
	*space = '\0';
	if (ph_request_parse(&request, space + 1, strlen(space + 1), c->line) != PH_OK)
		return -1;
	return ph_service_open(&c->session, &service, &request); /* negative is an error */
}

/* Moves bytes both ways and runs the session once. Returns -1 when the client is done with. */
static int client_step(int i, uint64_t now_s)
{
	struct ph_session *s = clients[i].session;
	const uint8_t *out;
	uint8_t *in;
	size_t len;
	ssize_t n;

	if ((polls[i].revents & (POLLIN | POLLHUP)) && !clients[i].eof &&
	    (in = ph_session_input_buf(s, &len)) != NULL && len > 0) {
		n = read(polls[i].fd, in, len);
		if (n > 0)
			ph_session_input_ack(s, (size_t)n);
		else if (n == 0 && (clients[i].eof = true))
			ph_session_input_eof(s);
	}
	if ((ph_session_state(s) & PH_WANT_RUN) || now_s * 1000 >= ph_session_deadline(s))
		ph_session_run(s, now_s * 1000, (uint64_t)time(NULL), 1024);
	while ((out = ph_session_output_buf(s, PH_STREAM_OUT, &len)) != NULL && len > 0) {
		n = write(polls[i].fd, out, len);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		ph_session_output_ack(s, PH_STREAM_OUT, (size_t)n);
	}
	/* This transport has no second stream; what git shows travels in the first. */
	(void)ph_session_output_buf(s, PH_STREAM_ERR, &len);
	ph_session_output_ack(s, PH_STREAM_ERR, len);
	return ph_session_state(s) & PH_DONE ? -1 : 0;
}

/* Asks for the events that each session can use; returns the timeout for poll. */
static int clients_prepare(void)
{
	int timeout = 1000;

	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct ph_session *s = clients[i].session;
		unsigned state = s ? ph_session_state(s) : PH_WANT_INPUT;

		polls[i].events = (state & PH_WANT_INPUT && !clients[i].eof ? POLLIN : 0) |
		                  (state & PH_HAVE_OUTPUT ? POLLOUT : 0);
		timeout = state & PH_WANT_RUN ? 0 : timeout;
	}
	return timeout;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ph_store_mem_options options = {.alloc = ph_alloc_libc(), .limits = &limits};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	signal(SIGPIPE, SIG_IGN);
	ph_limits_init(&limits);
	service.alloc = ph_alloc_libc();
	if (argc != 2 || ph_store_mem_new(&service.store, &options) != PH_OK)
		return 64;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
		return perror(argv[1]), 1;
	for (int i = 0; i < CLIENTS_MAX; i++)
		polls[i].fd = -1;
	polls[CLIENTS_MAX] = (struct pollfd){.fd = listener, .events = POLLIN};
	for (;;) {
		struct timespec now;
		int free_slot = -1;

		poll(polls, CLIENTS_MAX + 1, clients_prepare());
		clock_gettime(CLOCK_MONOTONIC, &now);
		for (int i = 0; i < CLIENTS_MAX; i++) {
			int done = 0;

			if (clients[i].session)
				done = client_step(i, (uint64_t)now.tv_sec);
			else if (polls[i].fd >= 0 && polls[i].revents)
				done = client_request(i);
			if (done < 0)
				client_close(i);
			free_slot = polls[i].fd < 0 ? i : free_slot;
		}
		if (polls[CLIENTS_MAX].revents && free_slot >= 0)
			polls[free_slot].fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
}
