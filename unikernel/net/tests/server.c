/* SPDX-License-Identifier: MIT */
/*
 * net/ alone, over a tap device, for net.py: a platform of a few lines and a TCP service whose
 * first line says what it does: "source BYTES", "sink", "echo", "hold" (reads nothing more),
 * "counts". It can hold frames back for a while, as a long way would.
 *
 *   server TAP [key=value]...
 */
#define _GNU_SOURCE 1

#include "../net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 9100u
#define LATE_MAX 4096u
#define FDS_MAX 8192
#define BLOCK_BYTES 65536u

/* ---- the platform ---- */

struct late {
	uint64_t when;
	size_t len;
	uint8_t *data;
};

static int tap = -1;
static unsigned mtu = 1500;
static uint64_t delay_ns;
static struct late late[LATE_MAX]; /* frames out, in order */
static unsigned late_first, late_count;
static volatile sig_atomic_t stopping;

uint64_t ph__plat_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

_Noreturn void ph__plat_exit(int code)
{
	exit(code);
}

enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	return getrandom(buf, len, 0) == (ssize_t)len ? PH_OK : PH_ERR_UNSUPPORTED;
}

static enum ph_status open_tap(const char *name)
{
	struct ifreq request = {0};
	int s;

	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	request.ifr_flags = IFF_TAP | IFF_NO_PI;
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request) != 0)
		return PH_ERR_NOT_FOUND;
	s = socket(AF_INET, SOCK_DGRAM, 0);
	if (s >= 0 && ioctl(s, SIOCGIFMTU, &request) == 0)
		mtu = (unsigned)request.ifr_mtu;
	return PH_OK;
}

enum ph_status ph__plat_net_open(uint8_t mac[6], unsigned *out)
{
	static const uint8_t ours[6] = {0x02, 0, 0, 0, 0, 0x02};

	memcpy(mac, ours, sizeof ours);
	*out = mtu;
	return tap < 0 ? PH_ERR_NOT_FOUND : PH_OK;
}

static void send_late(uint64_t now)
{
	while (late_count > 0 && late[late_first].when <= now) {
		struct late *frame = &late[late_first];

		if (write(tap, frame->data, frame->len) < 0 && errno == EAGAIN)
			return;
		free(frame->data);
		late_first = (late_first + 1) % LATE_MAX;
		late_count--;
	}
}

enum ph_status ph__plat_net_send(const struct ph__piece *pieces, unsigned count)
{
	static uint8_t whole[FRAME_BYTES];
	const uint8_t *data = pieces[0].data;
	size_t len = pieces[0].len;

	if (count > 1) {
		len = 0;
		for (unsigned i = 0; i < count; i++) {
			memcpy(whole + len, pieces[i].data, pieces[i].len);
			len += pieces[i].len;
		}
		data = whole;
	}
	if (delay_ns > 0) {
		struct late *frame = &late[(late_first + late_count) % LATE_MAX];

		if (late_count == LATE_MAX)
			return PH_ERR_FULL;
		frame->data = malloc(len);
		if (!frame->data)
			abort();
		memcpy(frame->data, data, len);
		frame->len = len;
		frame->when = ph__plat_monotonic_ns() + delay_ns;
		late_count++;
		return PH_OK;
	}
	return write(tap, data, len) == (ssize_t)len ? PH_OK : PH_ERR_FULL;
}

void ph__plat_net_flush(void)
{
	send_late(ph__plat_monotonic_ns());
}

size_t ph__plat_net_receive(void *buf, size_t size)
{
	ssize_t n = read(tap, buf, size);

	return n > 0 ? (size_t)n : 0;
}

static void wait_until(uint64_t until)
{
	struct pollfd p = {tap, POLLIN, 0};
	uint64_t now = ph__plat_monotonic_ns();
	struct timespec t;

	if (late_count > 0 && late[late_first].when < until)
		until = late[late_first].when;
	if (until > now + UINT64_C(1000000000))
		until = now + UINT64_C(1000000000);
	until = until > now ? until - now : 0;
	t.tv_sec = (time_t)(until / UINT64_C(1000000000));
	t.tv_nsec = (long)(until % UINT64_C(1000000000));
	ppoll(&p, 1, &t, NULL);
	send_late(ph__plat_monotonic_ns());
}

/* ---- the service ---- */

enum role { NEW, SOURCE, SINK, ECHO, HOLD, LAST };

struct client {
	int fd;
	enum role role;
	uint64_t left, got, sum;
	char line[128];
	size_t line_len;
	uint8_t block[BLOCK_BYTES];
	size_t block_at, block_len;
};

static struct client *clients[FDS_MAX];
static unsigned client_count;
static uint64_t started_ns;

/* What sink adds up and source sends: byte i of a stream is i * 131 + (i >> 12). */
static void fill(uint8_t *to, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)((at + i) * 131 + ((at + i) >> 12));
}

static void answer(struct client *c, const char *text)
{
	c->block_len = (size_t)snprintf((char *)c->block, sizeof c->block, "%s\n", text);
	c->block_at = 0;
	c->role = LAST;
}

static void answer_counts(struct client *c)
{
	struct ph__net_counts n;
	char text[512];

	ph__net_counts(&n);
	snprintf(
	        text, sizeof text,
	        "open %u waiting %u bytes %zu in %llu out %llu bad %llu accepted %llu dropped %llu "
	        "retransmitted %llu",
	        n.open, n.waiting, n.buffer_bytes, (unsigned long long)n.frames_in,
	        (unsigned long long)n.frames_out, (unsigned long long)n.frames_bad,
	        (unsigned long long)n.accepted, (unsigned long long)n.dropped,
	        (unsigned long long)n.retransmitted);
	answer(c, text);
}

static void command(struct client *c)
{
	ph__net_trust(c->fd);
	if (sscanf(c->line, "source %llu", (unsigned long long *)&c->left) == 1)
		c->role = SOURCE;
	else if (strcmp(c->line, "sink") == 0)
		c->role = SINK;
	else if (strcmp(c->line, "echo") == 0)
		c->role = ECHO;
	else if (strcmp(c->line, "hold") == 0)
		c->role = HOLD;
	else if (strcmp(c->line, "counts") == 0)
		answer_counts(c);
	else
		answer(c, "what?");
}

static bool read_line(struct client *c)
{
	char byte;

	while (c->role == NEW) {
		ssize_t n = ph__net_receive(c->fd, &byte, 1, false);

		if (n == -EAGAIN)
			return true;
		if (n <= 0 || c->line_len + 1 >= sizeof c->line)
			return false;
		if (byte == '\n')
			command(c);
		else
			c->line[c->line_len++] = byte;
	}
	return true;
}

static bool drain_sink(struct client *c)
{
	static uint8_t expected[BLOCK_BYTES];
	ssize_t n = ph__net_receive(c->fd, c->block, sizeof c->block, false);
	char text[64];

	if (n == -EAGAIN)
		return true;
	if (n < 0)
		return false;
	if (n == 0) {
		snprintf(text, sizeof text, "%llu %llu", (unsigned long long)c->got,
		         (unsigned long long)c->sum);
		answer(c, text);
		return true;
	}
	fill(expected, c->got, (size_t)n);
	c->sum += memcmp(expected, c->block, (size_t)n) != 0; /* blocks that differ */
	c->got += (uint64_t)n;
	return true;
}

static bool pump(struct client *c, int ready)
{
	ssize_t n;

	if (c->role == NEW && !read_line(c))
		return false;
	if (c->role == SINK && (ready & POLLIN) && !drain_sink(c))
		return false;
	if (c->role == ECHO && c->block_at == c->block_len && (ready & POLLIN)) {
		n = ph__net_receive(c->fd, c->block, sizeof c->block, false);
		if (n == 0 || (n < 0 && n != -EAGAIN))
			return false;
		c->block_at = 0;
		c->block_len = n > 0 ? (size_t)n : 0;
	}
	if (c->role == SOURCE && c->block_at == c->block_len) {
		size_t len = c->left < sizeof c->block ? (size_t)c->left : sizeof c->block;

		if (len == 0)
			return false;
		fill(c->block, c->got, c->got < BLOCK_BYTES ? len : 0);
		c->got += len;
		c->left -= len;
		c->block_at = 0;
		c->block_len = len;
	}
	if (c->role == HOLD && (ready & (POLLHUP | POLLERR)))
		return false;
	while (c->block_at < c->block_len && (ph__net_ready(c->fd) & POLLOUT)) {
		n = ph__net_send(c->fd, c->block + c->block_at, c->block_len - c->block_at);
		if (n < 0)
			return n == -EAGAIN;
		c->block_at += (size_t)n;
	}
	if (ready & (POLLHUP | POLLERR))
		return false;
	return !(c->role == LAST && c->block_at == c->block_len);
}

static bool serve(void)
{
	char peer[PH__ADDRESS_BYTES];
	bool more = false;
	int fd;

	while ((fd = ph__net_accept(peer)) >= 0) {
		struct client *c = calloc(1, sizeof *c);

		if (!c || client_count == FDS_MAX)
			abort();
		c->fd = fd;
		clients[client_count++] = c;
	}
	for (unsigned i = 0; i < client_count;) {
		struct client *c = clients[i];

		if (!pump(c, ph__net_ready(c->fd))) {
			ph__net_close(c->fd);
			free(c);
			clients[i] = clients[--client_count];
			continue;
		}
		more |= c->role == SOURCE && (ph__net_ready(c->fd) & POLLOUT);
		i++;
	}
	return more;
}

static void write_log(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	(void)user;
	(void)connection;
	printf("%d [%s] %s\n", (int)level, source, message);
	fflush(stdout);
}

static void say_addresses(void)
{
	static unsigned said = ~0u;
	char text[PH__ADDRESS_BYTES];

	if (ph__net_generation() == said)
		return;
	said = ph__net_generation();
	printf("%llu ms:", (unsigned long long)((ph__plat_monotonic_ns() - started_ns) / 1000000));
	for (unsigned i = 0; ph__net_address(i, text); i++)
		printf(" %s", text);
	printf("\n");
	fflush(stdout);
}

static bool option(struct ph__net_options *o, char *arg)
{
	char *value = strchr(arg, '=');
	unsigned long number;

	if (!value)
		return false;
	*value++ = '\0';
	number = strtoul(value, NULL, 10);
#define TEXT(key, field)                                                                           \
	if (strcmp(arg, key) == 0)                                                                 \
	return o->field = value, true
#define NUMBER(key, field, type)                                                                   \
	if (strcmp(arg, key) == 0)                                                                 \
	return o->field = (type)number, true
	TEXT("ipv4", ipv4);
	TEXT("ipv4-gateway", ipv4_gateway);
	TEXT("ipv6", ipv6);
	TEXT("ipv6-gateway", ipv6_gateway);
	TEXT("name", name);
	NUMBER("ipv4-only", ipv4_only, bool);
	NUMBER("ipv6-only", ipv6_only, bool);
	NUMBER("accept-ra", accept_router_advertisements, bool);
	NUMBER("port", port, uint16_t);
	NUMBER("connections", connections_max, unsigned);
	NUMBER("bytes", buffer_bytes_max, size_t);
	NUMBER("loss-in", loss_in, unsigned);
	NUMBER("loss-out", loss_out, unsigned);
	if (strcmp(arg, "delay-us") == 0)
		return delay_ns = number * 1000, true;
	return false;
}

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

int main(int argc, char **argv)
{
	struct ph__net_options options = {.port = 2222,
	                                  .connections_max = 256,
	                                  .buffer_bytes_max = 8u << 20,
	                                  .accept_router_advertisements = true};
	struct ph_log log = {NULL, PH_LOG_DEBUG, write_log};
	const char *what = NULL;
	enum ph_status status;

	started_ns = ph__plat_monotonic_ns();
	for (int i = 2; i < argc; i++)
		if (!option(&options, argv[i]))
			return 64;
	if (argc < 2 || open_tap(argv[1]) != PH_OK)
		return 1;
	signal(SIGTERM, on_signal);
	status = ph__net_start(&options, &log, &what);
	if (status != PH_OK) {
		printf("%s: %s\n", what ? what : "start", ph_status_name(status));
		return 2;
	}
	while (!stopping) {
		bool busy = ph__net_poll();

		say_addresses();
		busy |= serve();
		if (!busy)
			wait_until(ph__net_deadline_ns());
	}
	return 0;
}
