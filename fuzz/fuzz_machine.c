/* SPDX-License-Identifier: MIT */
/*
 * The whole machine above its network: main loop, libssh, sessions, on a platform in memory and a
 * clock that we turn. It boots once, on a thread of its own that runs only while we wait for it.
 * The input is a list of records: two bytes of header and, for most, bytes of a peer.
 *   top bit set           so many times 4 milliseconds go by
 *   else                  bits 12 to 14 are the peer, the rest is the number of bytes that it
 * sends; none: it closes. A peer that is not there connects first. In the end all peers are gone,
 * time passes, and memory must be what it was after the second input.
 */
#include "../unikernel/net/net.h"
#include "../unikernel/sys/sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEERS 8u
#define NS_PER_MS UINT64_C(1000000)
/* Longer than a login, an idle connection and what they leave behind may take. */
#define SETTLE_MS UINT64_C(700000)
/* What the C library and libssh may keep for themselves. */
#define SLACK_BYTES ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
	bool used, accepted, eof;
	const uint8_t *at;
	size_t left;
};

static struct peer peers[PEERS];
static sem_t machine_turn, our_turn;
static const uint8_t *input;
static size_t input_left;
static bool settling;
static uint64_t now = UINT64_C(1000000000000), horizon = UINT64_C(1000000000000);
static uint64_t random_state = 0x9e3779b97f4a7c15;
static uint64_t sum_of_output;

/* ---- records ---- */

/* Takes a record; false when there is none. */
static bool next_record(void)
{
	if (input_left < 2) {
		if (settling)
			return false;
		for (unsigned i = 0; i < PEERS; i++)
			peers[i].eof = true;
		horizon += SETTLE_MS * NS_PER_MS;
		settling = true;
		return true;
	}
	unsigned header = (unsigned)input[0] << 8 | input[1];
	input += 2;
	input_left -= 2;
	if (header & 0x8000) {
		horizon += (header & 0x7fff) * 4 * NS_PER_MS;
		return true;
	}
	struct peer *peer = &peers[header >> 12];
	size_t len = header & 0xfff;
	len = len < input_left ? len : input_left;
	if (!peer->used)
		*peer = (struct peer){.used = true};
	if (len == 0)
		peer->eof = true;
	if (peer->left == 0) {
		peer->at = input;
		peer->left = len;
	}
	input += len;
	input_left -= len;
	return true;
}

static bool is_pending(void)
{
	for (unsigned i = 0; i < PEERS; i++)
		if (peers[i].used && (!peers[i].accepted || peers[i].left > 0))
			return true;
	return false;
}

/* ---- the platform ---- */

uint64_t ph__plat_monotonic_ns(void)
{
	/* Budgets of time run out here as well. */
	return now += 1000;
}

uint64_t ph__plat_wall_ns(void)
{
	return now;
}

/* Time goes on to what comes first: the machine's own deadline or the end of a record's time. */
void ph__plat_wait(uint64_t until_ns)
{
	if (until_ns < horizon) {
		now = until_ns > now ? until_ns : now;
		return;
	}
	now = horizon > now ? horizon : now;
	while (!next_record()) {
		sem_post(&our_turn);
		sem_wait(&machine_turn);
	}
}

void ph__plat_console(const char *text, size_t len)
{
	if (getenv("FUZZ_CONSOLE"))
		fwrite(text, 1, len, stderr);
}

_Noreturn void ph__plat_exit(int code)
{
	(void)code;
	abort();
}

enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	uint8_t *to = buf;
	for (size_t i = 0; i < len; i++) {
		random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		to[i] = (uint8_t)(random_state >> 56);
	}
	return PH_OK;
}

bool ph__plat_power_off(void)
{
	return false;
}

enum ph_status ph__plat_block_open(struct ph__block_info *info)
{
	(void)info;
	return PH_ERR_NOT_FOUND;
}

enum ph_status ph__plat_block_read(uint64_t offset, void *buf, size_t len)
{
	(void)offset, (void)buf, (void)len;
	return PH_ERR_IO;
}

enum ph_status ph__plat_block_write(uint64_t offset, const void *buf, size_t len)
{
	(void)offset, (void)buf, (void)len;
	return PH_ERR_IO;
}

enum ph_status ph__plat_block_flush(void)
{
	return PH_ERR_IO;
}

/* ---- the network ---- */

enum ph_status ph__net_start(const struct ph__net_options *options, const struct ph_log *log,
                             const char **what)
{
	(void)options, (void)log, (void)what;
	return PH_OK;
}

bool ph__net_poll(void)
{
	return is_pending();
}

uint64_t ph__net_deadline_ns(void)
{
	return UINT64_MAX;
}

void ph__net_stop_listening(void)
{
}

void ph__net_trust(int fd)
{
	(void)fd;
}

const char *ph__net_address(unsigned index, char text[PH__ADDRESS_BYTES])
{
	(void)text;
	return index == 0 ? "10.0.0.2" : NULL;
}

unsigned ph__net_generation(void)
{
	return 1;
}

void ph__net_counts(struct ph__net_counts *out)
{
	*out = (struct ph__net_counts){0};
	for (unsigned i = 0; i < PEERS; i++)
		out->open += peers[i].used && peers[i].accepted;
}

int ph__net_accept(char peer[PH__ADDRESS_BYTES])
{
	for (unsigned i = 0; i < PEERS; i++)
		if (peers[i].used && !peers[i].accepted) {
			peers[i].accepted = true;
			strncpy(peer, "10.0.0.1", PH__ADDRESS_BYTES);
			return PH__NET_FD_FIRST + (int)i;
		}
	return -1;
}

static struct peer *find(int fd)
{
	unsigned i = (unsigned)(fd - PH__NET_FD_FIRST);
	return i < PEERS && peers[i].used && peers[i].accepted ? &peers[i] : NULL;
}

int ph__net_ready(int fd)
{
	const struct peer *peer = find(fd);
	if (!peer)
		return POLLNVAL;
	return POLLOUT | (peer->left > 0 || peer->eof ? POLLIN : 0);
}

ssize_t ph__net_receive(int fd, void *buf, size_t len, bool peek)
{
	struct peer *peer = find(fd);
	if (!peer)
		return -EBADF;
	if (peer->left == 0)
		return peer->eof ? 0 : -EAGAIN;
	len = len < peer->left ? len : peer->left;
	memcpy(buf, peer->at, len);
	if (!peek) {
		peer->at += len;
		peer->left -= len;
	}
	return (ssize_t)len;
}

ssize_t ph__net_send(int fd, const void *data, size_t len)
{
	if (!find(fd))
		return -EBADF;
	for (size_t i = 0; i < len; i++) /* every byte is there */
		sum_of_output += ((const uint8_t *)data)[i];
	return (ssize_t)len;
}

int ph__net_close(int fd)
{
	struct peer *peer = find(fd);
	if (!peer)
		return -EBADF;
	peer->used = false;
	return 0;
}

/* ---- turns ---- */

static void *run_machine(void *arg)
{
	static const struct ph__machine machine = {
	        .platform = "memory",
	        .arguments = "--logs=debug --anon-read --authorized-key=ssh-ed25519:"
	                     "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
	        .heap_bytes = (size_t)64 << 20};
	ph__start(&machine);
	return arg;
}

static void give_turn(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	settling = false;
	sem_post(&machine_turn);
	sem_wait(&our_turn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static size_t inputs, used_first;
	struct ph__pages_counts pages;
	struct ph__net_counts net;
	if (inputs++ == 0) {
		pthread_t thread;
		sem_init(&machine_turn, 0, 0);
		sem_init(&our_turn, 0, 0);
		settling = true; /* so that it boots and comes back */
		if (pthread_create(&thread, NULL, run_machine, NULL) != 0)
			abort();
		sem_wait(&our_turn);
	}
	give_turn(data, size);
	ph__net_counts(&net);
	ph__pages_counts(&pages);
	if (inputs == 2)
		used_first = pages.used;
	if (net.open > 0 || (inputs > 2 && pages.used > used_first + SLACK_BYTES))
		abort();
	return 0;
}
