/* SPDX-License-Identifier: MIT */
/*
 * Frames from a hostile neighbour, into net/ and lwIP as the unikernel has them, over a card in
 * memory and a clock that we turn. The input is a list of records: two bytes of length, big endian,
 * and a frame. With the top bit set there is no frame, but so many milliseconds go by; with the
 * next one, so many strangers knock and say no more.
 *
 * So that mutations get past the door, checksums are made right here, and acknowledgements count
 * from the sequence number that the machine chose, DHCP's answers name its request. Its memory has
 * to come back in the end.
 */
#include "../unikernel/net/net.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES 1514u
#define FRAMES_MAX 64u
#define IDLE_BYTES_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t now = UINT64_C(1000000000000);
static uint32_t peer_sees;     /* the machine's first sequence number, of the latest connection */
static uint8_t transaction[4]; /* of its latest DHCP request */
static const uint8_t *pending;
static size_t pending_len;
static uint32_t seen;

uint64_t ph__plat_monotonic_ns(void)
{
	return now;
}

_Noreturn void ph__plat_exit(int code)
{
	(void)code;
	abort();
}

enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	memset(buf, 0x5a, len);
	return PH_OK;
}

enum ph_status ph__plat_net_open(uint8_t mac[6], unsigned *mtu)
{
	static const uint8_t ours[6] = {2, 0, 0, 0, 0, 2};

	memcpy(mac, ours, sizeof ours);
	*mtu = FRAME_BYTES - 14;
	return PH_OK;
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t add(uint32_t sum, const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

enum ph_status ph__plat_net_send(const struct ph__piece *pieces, unsigned count)
{
	const uint8_t *frame = pieces[0].data;

	if (count == 0 || pieces[0].len < 14)
		abort();
	for (unsigned i = 0; i < count; i++)
		seen = add(seen, pieces[i].data, pieces[i].len); /* every byte is there */
	if (pieces[0].len >= 54 && get16(frame + 12) == 0x0800 && frame[23] == 6 &&
	    (frame[47] & 0x12) == 0x12)
		peer_sees = (uint32_t)get16(frame + 38) << 16 | get16(frame + 40);
	if (pieces[0].len >= 50 && get16(frame + 12) == 0x0800 && frame[23] == 17)
		memcpy(transaction, frame + 46, sizeof transaction);
	if (pieces[0].len >= 74 && get16(frame + 12) == 0x86dd && frame[20] == 6 &&
	    (frame[67] & 0x12) == 0x12)
		peer_sees = (uint32_t)get16(frame + 58) << 16 | get16(frame + 60);
	return PH_OK;
}

void ph__plat_net_flush(void)
{
}

size_t ph__plat_net_receive(void *buf, size_t size)
{
	size_t len = pending_len < size ? pending_len : size;

	if (len > 0)
		memcpy(buf, pending, len);
	pending_len = 0;
	return len;
}

/* ---- making frames right ---- */

static void right_payload(uint8_t *at, size_t len, unsigned protocol, uint32_t sum)
{
	size_t field = protocol == 6 ? 16 : protocol == 17 ? 6 : 2;

	if (len < field + 2)
		return;
	if (protocol == 6 && len >= 20) {
		uint32_t ack = ((uint32_t)get16(at + 8) << 16 | get16(at + 10)) + peer_sees;

		put16(at + 8, ack >> 16);
		put16(at + 10, ack & 0xffff);
	}
	if (protocol == 17 && len >= 16)
		memcpy(at + 12, transaction, sizeof transaction);
	put16(at + field, 0);
	put16(at + field, ~add(sum, at, len) & 0xffff);
}

static void right(uint8_t *frame, size_t len)
{
	uint8_t *ip = frame + 14;

	if (len >= 34 && get16(frame + 12) == 0x0800) {
		size_t header = (ip[0] & 15u) * 4u, total = get16(ip + 2);

		if (header < 20 || header > total || total > len - 14)
			return;
		if (ip[9] != 1)
			right_payload(ip + header, total - header, ip[9],
			              add(ip[9] + (uint32_t)(total - header), ip + 12, 8));
		else
			right_payload(ip + header, total - header, 1, 0);
		put16(ip + 10, 0);
		put16(ip + 10, ~add(0, ip, header) & 0xffff);
	} else if (len >= 54 && get16(frame + 12) == 0x86dd) {
		size_t total = get16(ip + 4), at = 40;
		unsigned next = ip[6];

		if (total > len - 54)
			return;
		if (next == 0 && total >= 8) {
			next = ip[40];
			at = 48;
		}
		right_payload(ip + at, total + 40 - at, next,
		              add(next + (uint32_t)(total + 40 - at), ip + 8, 32));
	}
}

/* ---- the machine ---- */

static int fds[FRAMES_MAX];
static unsigned fd_count;

static void serve(void)
{
	char peer[PH__ADDRESS_BYTES];
	uint8_t block[4096];
	int fd;

	while (fd_count < FRAMES_MAX && (fd = ph__net_accept(peer)) >= 0)
		fds[fd_count++] = fd;
	for (unsigned i = 0; i < fd_count;) {
		int ready = ph__net_ready(fds[i]);
		ssize_t n = ph__net_receive(fds[i], block, sizeof block, false);

		if (n > 0 && block[0] == 't')
			ph__net_trust(fds[i]);
		if (ready & POLLOUT && n > 0 && ph__net_send(fds[i], block, sizeof block) < 1)
			abort();
		if (n == 0 || (ready & POLLERR) || (n > 0 && block[0] == 'c')) {
			ph__net_close(fds[i]);
			fds[i] = fds[--fd_count];
			continue;
		}
		i++;
	}
}

static void pass(uint64_t milliseconds)
{
	for (uint64_t end = now + milliseconds * 1000000; now < end;) {
		uint64_t next = ph__net_deadline_ns();

		now = next <= now ? now + 1000000 : next < end ? next : end;
		ph__net_poll();
	}
}

static void receive(const uint8_t *data, size_t len)
{
	uint8_t *frame = malloc(len ? len : 1); /* so that a sanitizer sees its end */

	if (!frame)
		abort();
	if (len > 0)
		memcpy(frame, data, len);
	right(frame, len);
	pending = frame;
	pending_len = len;
	now += 100000;
	ph__net_poll();
	free(frame);
}

static void knock(unsigned times)
{
	uint8_t frame[54] = {2,  0, 0, 0, 0, 2,  2, 0, 0, 0,  0, 9, 8, 0,  0x45, 0, 0,
	                     40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 3, 10, 0,    0, 2};

	frame[37] = 22;
	frame[46] = 0x50;
	frame[47] = 2;
	for (unsigned i = 0; i < times; i++) {
		put16(frame + 34, 1024 + i);
		receive(frame, sizeof frame);
	}
}

static void start(void)
{
	static bool started;
	struct ph__net_options options = {.ipv4 = "10.0.0.2/24",
	                                  .accept_router_advertisements = true,
	                                  .port = 22,
	                                  .connections_max = 8,
	                                  .buffer_bytes_max = 1u << 20};
	const char *what;

	if (started)
		return;
	started = true;
	if (getenv("FUZZ_DHCP"))
		options.ipv4 = NULL;
	if (ph__net_start(&options, NULL, &what) != PH_OK)
		abort();
	pass(3000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph__net_counts counts;
	bool knocked = false; /* once is enough, and takes its time */
	size_t at = 0;

	start();
	for (unsigned n = 0; n < FRAMES_MAX && size - at >= 2; n++) {
		unsigned len = get16(data + at);

		at += 2;
		if (len & 0x8000) {
			pass(len & 0x7fff);
		} else if (len & 0x4000) {
			knock(knocked ? 0 : len & 0x1ff);
			knocked = true;
		} else {
			len = len < size - at ? len : (unsigned)(size - at);
			receive(data + at, len);
			at += len;
		}
		serve();
	}
	while (fd_count > 0)
		ph__net_close(fds[--fd_count]);
	pass(30000);
	serve();
	ph__net_counts(&counts);
	if (counts.open > fd_count || counts.buffer_bytes > IDLE_BYTES_MAX)
		abort();
	return 0;
}
