/* SPDX-License-Identifier: MIT */
/*
 * Drives one Git session between standard input and output, as an SSH server would for an exec
 * request: for tests that talk to real git, or compare with it, without SSH.
 *
 *   session_pump [-p REPO=FILE]... [-r none|ro|rw|owner] STORE COMMAND-LINE
 *
 * STORE is "mem", or the path of an image, which is made when there is none. -p first pushes FILE,
 * which holds what a client of receive-pack sends, into REPO: so a store in memory is not empty.
 * The protocol version comes from GIT_PROTOCOL, the exit status is the session's.
 */
#include <errno.h>
#include <fcntl.h>
#include <packhorse/device_posix.h>
#include <packhorse/receive_pack.h>
#include <packhorse/store_disk.h>
#include <packhorse/store_mem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUDGET 1024u

static struct ph_limits limits;
static int wake_pipe[2];

static void die(const char *what, enum ph_status status)
{
	fprintf(stderr, "session_pump: %s: %s\n", what, ph_status_text(status));
	exit(2);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run(struct ph_session *session)
{
	ph_session_run(session, now_ms(), (uint64_t)time(NULL), BUDGET);
}

static void wake(void *user, struct ph_session *session)
{
	ssize_t written = write(wake_pipe[1], "", 1);

	(void)user;
	(void)session;
	(void)written;
}

static enum ph_status fill_random(void *user, void *buf, size_t len)
{
	FILE *file = fopen("/dev/urandom", "rb");
	bool filled = file && fread(buf, 1, len, file) == len;

	(void)user;
	if (file)
		fclose(file);
	return filled ? PH_OK : PH_ERR_IO;
}

static void log_write(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	(void)user;
	(void)level;
	(void)connection;
	fprintf(stderr, "log: %s: %s\n", source, message);
}

/* ---- the store ---- */

static struct ph_store *open_image(const char *path)
{
	struct ph_store_disk_options options = {
	        .alloc = ph_alloc_libc(), .limits = &limits, .random = fill_random};
	struct ph_device *device;
	struct ph_store *store;
	enum ph_status status = ph_device_posix_open(&device, options.alloc, path, true);

	if (status != PH_OK)
		die(path, status);
	status = ph_store_disk_open(&store, device, &options);
	if (status == PH_ERR_INVALID && device->bytes == 0) {
		status = ph_store_disk_format(device, &options);
		if (status == PH_OK)
			status = ph_store_disk_open(&store, device, &options);
	}
	if (status != PH_OK)
		die(path, status);
	return store;
}

static struct ph_store *open_store(const char *name)
{
	struct ph_store_mem_options options = {.alloc = ph_alloc_libc(), .limits = &limits};
	struct ph_store *store;
	enum ph_status status;

	if (strcmp(name, "mem") != 0)
		return open_image(name);
	status = ph_store_mem_new(&store, &options);
	if (status != PH_OK)
		die(name, status);
	return store;
}

/* ---- standard input and output ---- */

/* What nobody reads any more is dropped: the session still comes to its end. */
static void write_some(struct ph_session *session, enum ph_stream stream, int fd)
{
	size_t len;
	const uint8_t *data = ph_session_output_buf(session, stream, &len);
	ssize_t written;

	if (!data)
		return;
	written = write(fd, data, len);
	if (written >= 0)
		ph_session_output_ack(session, stream, (size_t)written);
	else if (errno != EAGAIN && errno != EINTR)
		ph_session_output_ack(session, stream, len);
}

static void read_some(struct ph_session *session)
{
	size_t len;
	uint8_t *to = ph_session_input_buf(session, &len);
	ssize_t got;

	if (!to)
		return;
	got = read(0, to, len);
	if (got > 0)
		ph_session_input_ack(session, (size_t)got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		ph_session_input_eof(session);
}

static int timeout_of(struct ph_session *session)
{
	uint64_t deadline = ph_session_deadline(session), now = now_ms();

	if (ph_session_state(session) & PH_WANT_RUN || deadline <= now)
		return 0;
	return deadline - now > 1000 ? 1000 : (int)(deadline - now);
}

/* One round: waits for what the session waits for, then does it. False when it is over. */
static bool round_of(struct ph_session *session)
{
	unsigned state = ph_session_state(session);
	struct pollfd fds[4] = {{.fd = -1, .events = POLLIN},
	                        {.fd = -1, .events = POLLOUT},
	                        {.fd = -1, .events = POLLOUT},
	                        {.fd = wake_pipe[0], .events = POLLIN}};
	size_t len;
	char byte;

	if ((state & PH_DONE) && !(state & PH_HAVE_OUTPUT))
		return false;
	fds[0].fd = state & PH_WANT_INPUT ? 0 : -1;
	fds[1].fd = ph_session_output_buf(session, PH_STREAM_OUT, &len) ? 1 : -1;
	fds[2].fd = ph_session_output_buf(session, PH_STREAM_ERR, &len) ? 2 : -1;
	poll(fds, 4, timeout_of(session));
	if (fds[3].revents && read(wake_pipe[0], &byte, 1) < 0)
		return false;
	if (fds[0].revents)
		read_some(session);
	if (fds[1].revents)
		write_some(session, PH_STREAM_OUT, 1);
	if (fds[2].revents)
		write_some(session, PH_STREAM_ERR, 2);
	if (ph_session_state(session) & PH_WANT_RUN || ph_session_deadline(session) <= now_ms())
		run(session);
	return true;
}

static int drive(struct ph_session *session)
{
	int status;

	for (int fd = 0; fd < 3; fd++)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	while (round_of(session))
		continue;
	while (ph_session_busy(session))
		run(session);
	status = ph_session_exit_status(session);
	ph_session_free(session);
	return status;
}

/* ---- -p ---- */

static void feed_file(struct ph_session *session, FILE *file)
{
	while (!(ph_session_state(session) & PH_DONE)) {
		size_t len;
		uint8_t *to = ph_session_input_buf(session, &len);
		size_t got = to ? fread(to, 1, len, file) : 0;

		ph_session_input_ack(session, got);
		if (to && got == 0)
			ph_session_input_eof(session);
		run(session);
		for (int stream = 0; stream < 2; stream++)
			while (ph_session_output_buf(session, (enum ph_stream)stream, &len))
				ph_session_output_ack(session, (enum ph_stream)stream, len);
	}
}

static void push_first(const struct ph_service *service, const char *argument)
{
	const char *path = strchr(argument, '=');
	char repo[PH_REPO_NAME_MAX + 1];
	struct ph_session *session = NULL;
	FILE *file = path ? fopen(path + 1, "rb") : NULL;
	enum ph_status status;

	if (!file)
		die(argument, PH_ERR_NOT_FOUND);
	status = ph_repo_name_canonical(repo, argument, (size_t)(path - argument));
	if (status == PH_OK)
		status = ph_receive_pack_new(&session, service, repo, 0);
	if (status != PH_OK)
		die(argument, status);
	feed_file(session, file);
	if (ph_session_exit_status(session) != 0)
		die(argument, PH_ERR_INVALID);
	ph_session_free(session);
	fclose(file);
}

/* ---- main ---- */

static enum ph_permission permission_of(const char *word)
{
	static const char *const words[] = {"none", "ro", "rw", "owner"};

	for (int i = 0; i < 4; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum ph_permission)i;
	die(word, PH_ERR_INVALID);
	return PH_PERM_NONE;
}

static int serve(struct ph_service *service, const char *line)
{
	static struct ph_request request;
	struct ph_session *session = NULL;
	enum ph_status status =
	        ph_request_parse(&request, line, strlen(line), getenv("GIT_PROTOCOL"));

	if (status == PH_OK)
		status = ph_service_open(&session, service, &request);
	if (status != PH_OK)
		die(line, status);
	return drive(session);
}

int main(int argc, char **argv)
{
	struct ph_log log = {.level = PH_LOG_DEBUG, .write = log_write};
	struct ph_service service = {.alloc = ph_alloc_libc(),
	                             .limits = &limits,
	                             .identity = "pump",
	                             .permission = PH_PERM_OWNER,
	                             .random = fill_random,
	                             .wake = wake,
	                             .agent = "packhorse/pump"};
	enum ph_permission permission = PH_PERM_OWNER;
	const char *first[16];
	int option, count = 0, status;

	signal(SIGPIPE, SIG_IGN);
	ph_limits_init(&limits);
	while ((option = getopt(argc, argv, "p:r:")) != -1) {
		if (option == 'p' && count < 16)
			first[count++] = optarg;
		else if (option == 'r')
			permission = permission_of(optarg);
		else
			die("usage", PH_ERR_INVALID);
	}
	if (argc - optind != 2 || pipe(wake_pipe) != 0)
		die("usage", PH_ERR_INVALID);
	if (getenv("SESSION_PUMP_LOG"))
		service.log = &log;
	service.store = open_store(argv[optind]);
	for (int i = 0; i < count; i++)
		push_first(&service, first[i]);
	service.permission = permission;
	status = serve(&service, argv[optind + 1]);
	ph_store_close(service.store);
	return status;
}
