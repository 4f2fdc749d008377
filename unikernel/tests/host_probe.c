/* SPDX-License-Identifier: MIT */
/*
 * An image on the host platform that does what it is told by its arguments, among it what no image
 * should: test_host.py looks at how that ends. It has no network.
 */
#include "net/net.h"
#include "platform/host/host_int.h"
#include "sys/sys.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 1000u

bool ph__net_poll(void)
{
	return false;
}

uint64_t ph__net_deadline_ns(void)
{
	return UINT64_MAX;
}

int ph__net_ready(int fd)
{
	(void)fd;
	return POLLNVAL;
}

ssize_t ph__net_send(int fd, const void *data, size_t len)
{
	(void)fd, (void)data, (void)len;
	return -EBADF;
}

ssize_t ph__net_receive(int fd, void *buf, size_t len, bool peek)
{
	(void)fd, (void)buf, (void)len, (void)peek;
	return -EBADF;
}

int ph__net_close(int fd)
{
	(void)fd;
	return -EBADF;
}

/* Never inlined, and never a tail call. */
static unsigned (*volatile recursion)(unsigned depth);

static unsigned recurse(unsigned depth)
{
	volatile uint8_t page[512];
	page[depth % sizeof page] = 1;
	return recursion(depth + 1) + page[depth % sizeof page];
}

static void (*volatile overrun)(uint8_t *at, size_t len);
static void (*volatile smasher)(void);

static void set_bytes(uint8_t *at, size_t len)
{
	memset(at, 1, len);
}

static void smash(void)
{
	uint8_t small[16];
	overrun = set_bytes;
	overrun(small, 64);
}

/* Any system call, with a first argument of our choice; it does not return if the filter works. */
static int call(char *text)
{
	char *at = text;
	long number = strtol(at, &at, 10), fd = strtol(at, &at, 10);
	long result = ph__host_call(number, fd, 0, 0, 0, 0);
	printf("call %ld %ld gave %ld\n", number, fd, result);
	fflush(stdout);
	return 9;
}

static unsigned blocks_left(uint8_t **blocks, size_t *sizes)
{
	unsigned left = 0;
	for (unsigned i = 0; i < BLOCKS; i++) {
		for (size_t j = 0; blocks[i] && j < sizes[i]; j += 100)
			assert(blocks[i][j] == (uint8_t)i);
		left += blocks[i] != NULL;
	}
	return left;
}

/* malloc as libraries use it, until there is no more and beyond. */
static int use_memory(void)
{
	static uint8_t *blocks[BLOCKS];
	static size_t sizes[BLOCKS];
	struct ph__pages_counts before, after;
	ph__pages_counts(&before);
	unsigned refused = 0, seed = 1;
	for (unsigned round = 0; round < 20000; round++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned i = (seed >> 8) % BLOCKS;
		size_t size = (size_t)1 << (seed >> 24) % 22;
		size += (seed >> 3) % size;
		if (seed >> 30 == 0) {
			free(blocks[i]);
			blocks[i] = NULL;
			continue;
		}
		uint8_t *at = realloc(blocks[i], size);
		if (at) {
			blocks[i] = at;
			sizes[i] = size;
			memset(at, (uint8_t)i, size);
		} else {
			refused++;
		}
	}
	printf("%u refused, %u left\n", refused, blocks_left(blocks, sizes));
	for (unsigned i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	ph__pages_counts(&after);
	printf("total %zu used %zu then %zu peak %zu\n", before.total, before.used, after.used,
	       after.peak);
	return refused > 0 && after.peak > after.total / 10 * 8 &&
	                       after.used < before.used + ((size_t)256 << 10)
	               ? 0
	               : 9;
}

static int use_disk(void)
{
	static uint8_t out[8192], in[8192];
	struct ph__block_info info;
	if (ph__plat_block_open(&info) != PH_OK)
		return 9;
	memset(out, 'x', sizeof out);
	bool good = ph__plat_block_write(info.bytes - sizeof out, out, sizeof out) == PH_OK &&
	            ph__plat_block_flush() == PH_OK &&
	            ph__plat_block_read(info.bytes - sizeof in, in, sizeof in) == PH_OK &&
	            memcmp(in, out, sizeof in) == 0;
	bool beyond = ph__plat_block_read(info.bytes, in, 512) == PH_OK ||
	              ph__plat_block_write(info.bytes - 512, in, 1024) == PH_OK ||
	              ph__plat_block_read(UINT64_MAX - 511, in, 1024) == PH_OK;
	return good && !beyond ? 0 : 9;
}

/* What an image does all the time; none of it may be stopped. */
static int use_all(void)
{
	static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1};
	const struct ph__piece pieces[] = {{frame, 14}, {frame + 14, 46}};
	static uint8_t buf[9014];
	uint8_t mac[6], random[64];
	unsigned mtu;
	bool good = ph__plat_net_open(mac, &mtu) == PH_OK &&
	            ph__plat_entropy(random, 64) == PH_OK &&
	            ph__plat_net_send(pieces, 2) == PH_OK && ph__plat_wall_ns() > 0;
	uint64_t start = ph__plat_monotonic_ns();
	while (ph__plat_monotonic_ns() - start < 20000000) {
		ph__plat_wait(start + 20000000);
		while (ph__plat_net_receive(buf, sizeof buf) > 0)
			;
	}
	printf("mac %02x:%02x:%02x:%02x:%02x:%02x mtu %u\n", mac[0], mac[1], mac[2], mac[3], mac[4],
	       mac[5], mtu);
	return good ? use_disk() : 9;
}

static int wait_for_end(void)
{
	puts("waiting");
	fflush(stdout);
	while (!ph__plat_power_off())
		ph__plat_wait(ph__plat_monotonic_ns() + UINT64_C(10000000000));
	return 0;
}

static int tell(const struct ph__machine *machine)
{
	printf("%s\n", machine->arguments);
	for (unsigned i = 0; i < machine->module_count; i++)
		printf("module %zu %.*s\n", machine->modules[i].len, (int)machine->modules[i].len,
		       (const char *)machine->modules[i].data);
	return 0;
}

int ph__main(const struct ph__machine *machine)
{
	size_t size = strlen(machine->arguments) + 1;
	char *text = malloc(size);
	setvbuf(stdout, NULL, _IOLBF, 0);
	recursion = recurse;
	smasher = smash;
	if (text)
		memcpy(text, machine->arguments, size);
	if (!text || strncmp(text, "'call' ", 7) == 0)
		return text ? call(strtok(text + 8, "'")) : 9;
	const char *what = strtok(text, "' ");
	if (strcmp(what, "memory") == 0)
		return use_memory();
	if (strcmp(what, "all") == 0)
		return use_all();
	if (strcmp(what, "wait") == 0)
		return wait_for_end();
	if (strcmp(what, "smash") == 0)
		smasher();
	else if (strcmp(what, "recurse") == 0)
		return (int)recurse(0);
	else if (strcmp(what, "abort") == 0)
		abort();
	else if (strcmp(what, "execute") == 0)
		((void (*)(void))(uintptr_t)text)();
	else if (strcmp(what, "write-text") == 0)
		*(volatile uint8_t *)(uintptr_t)ph__main = 0;
	return tell(machine);
}
