/* SPDX-License-Identifier: MIT */
/*
 * The machine's devices as Linux has them: clocks, the console, the tap device, the disk. After
 * ph__host_ready no other system calls are made than those that sandbox.c lets through. Signals
 * that ask for a shutdown are only let in while we wait, so none comes too late to wake us.
 */
#define _GNU_SOURCE 1

#include "host_int.h"

#include "../rdrand_int.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define POOL_BYTES 4096u
#define WAIT_NS_MAX UINT64_C(3600000000000)
#define SIGNAL_RESTORER 0x04000000ul
#define SIGNAL_BIT(signal) (UINT64_C(1) << ((signal)-1))

/* As the kernel has it, which is not as the C library has it. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static volatile sig_atomic_t asked_to_stop;
static uint8_t pool[POOL_BYTES]; /* from the kernel, before it is out of reach */
static size_t pool_used;
static bool has_rdrand;
static uint8_t gathered[PH__MTU_MAX + 14];

static void on_signal(int signal)
{
	(void)signal;
	asked_to_stop = 1;
}

/* Where the kernel returns to from a handler. */
void ph__host_restorer(void);
__asm__(".text\n.globl ph__host_restorer\n.hidden ph__host_restorer\n"
        "ph__host_restorer:\n\tmovl $15, %eax\n\tsyscall\n");

static void handle(int signal, void (*handler)(int))
{
	struct kernel_action action = {handler, SIGNAL_RESTORER, ph__host_restorer, 0};
	PH__CALL(SYS_rt_sigaction, signal, &action, 0, sizeof action.mask);
}

void ph__host_ready(void)
{
	uint64_t blocked = SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGINT);
	PH__CALL(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, 0, sizeof blocked);
	handle(SIGTERM, on_signal);
	handle(SIGINT, on_signal);
	handle(SIGPIPE, SIG_IGN);
	long got = PH__CALL(SYS_getrandom, pool, sizeof pool);
	pool_used = got == sizeof pool ? 0 : sizeof pool;
	has_rdrand = ph__rdrand_present();
}

/* ---- clocks ---- */

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;
	PH__CALL(SYS_clock_gettime, clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ph__plat_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t ph__plat_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void ph__plat_wait(uint64_t until_ns)
{
	uint64_t now = ph__plat_monotonic_ns();
	uint64_t left = until_ns > now ? until_ns - now : 0;
	left = left < WAIT_NS_MAX ? left : WAIT_NS_MAX;
	struct timespec time = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	struct pollfd tap = {.fd = ph__host_state.tap, .events = POLLIN};
	uint64_t blocked = 0;
	PH__CALL(SYS_ppoll, &tap, 1, &time, &blocked, sizeof blocked);
}

/* With work at hand nobody sleeps, and a call that finds frames takes no signal: so here is one
 * that finds none. */
bool ph__plat_power_off(void)
{
	struct timespec now = {0, 0};
	uint64_t blocked = 0;
	if (!asked_to_stop)
		PH__CALL(SYS_ppoll, 0, 0, &now, &blocked, sizeof blocked);
	return asked_to_stop != 0;
}

/* ---- console, entropy ---- */

/* Who does not read our lines must not stop us: then they are lost. */
void ph__plat_console(const char *text, size_t len)
{
	struct pollfd console = {.fd = PH__CONSOLE_FD, .events = POLLOUT};
	struct timespec now = {0, 0};
	long ready = PH__CALL(SYS_ppoll, &console, 1, &now);
	if (ready == 1 && console.revents == POLLOUT)
		PH__CALL(SYS_write, PH__CONSOLE_FD, text, len);
}

/*
 * The processor's source, with the kernel's bytes over it as long as they last. These alone would
 * run dry, and there is no way to ask for more: without RDRAND there is no entropy.
 */
enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	uint8_t *to = buf;
	while (len > 0) {
		uint64_t word, pooled = 0;
		if (!has_rdrand || !ph__rdrand_read(&word))
			return PH_ERR_UNSUPPORTED;
		if (pool_used + sizeof pooled <= sizeof pool) {
			memcpy(&pooled, pool + pool_used, sizeof pooled);
			memset(pool + pool_used, 0, sizeof pooled);
			pool_used += sizeof pooled;
		}
		word ^= pooled;
		size_t count = len < sizeof word ? len : sizeof word;
		memcpy(to, &word, count);
		to += count;
		len -= count;
	}
	return PH_OK;
}

/* ---- the network card ---- */

enum ph_status ph__plat_net_open(uint8_t mac[6], unsigned *mtu)
{
	if (ph__host_state.tap < 0)
		return PH_ERR_NOT_FOUND;
	memcpy(mac, ph__host_state.mac, sizeof ph__host_state.mac);
	*mtu = ph__host_state.mtu;
	return PH_OK;
}

enum ph_status ph__plat_net_send(const struct ph__piece *pieces, unsigned count)
{
	const uint8_t *frame = count == 1 ? pieces->data : gathered;
	size_t len = count == 1 ? pieces->len : 0;
	for (unsigned i = 0; count > 1 && i < count; i++) {
		assert(pieces[i].len <= sizeof gathered - len);
		memcpy(gathered + len, pieces[i].data, pieces[i].len);
		len += pieces[i].len;
	}
	long put = PH__CALL(SYS_write, ph__host_state.tap, frame, len);
	/* Other errors, such as a device that is down, lose the frame as a cable would. */
	return put == -EAGAIN ? PH_ERR_FULL : PH_OK;
}

void ph__plat_net_flush(void)
{
}

size_t ph__plat_net_receive(void *buf, size_t size)
{
	for (;;) {
		long got = PH__CALL(SYS_read, ph__host_state.tap, buf, size);
		if (got > 0 && (size_t)got <= ph__host_state.mtu + 14)
			return (size_t)got;
		if (got == -EAGAIN)
			return 0;
		if (got <= 0) {
			static const char text[] = "packhorse-host: the tap device is gone\n";
			if (!asked_to_stop)
				ph__plat_console(text, sizeof text - 1);
			asked_to_stop = 1;
			return 0;
		}
	}
}

/* ---- the disk ---- */

enum ph_status ph__plat_block_open(struct ph__block_info *info)
{
	if (ph__host_state.disk < 0)
		return PH_ERR_NOT_FOUND;
	*info = ph__host_state.block;
	return PH_OK;
}

static enum ph_status transfer(long number, uint64_t offset, const void *buf, size_t len)
{
	const uint8_t *at = buf;
	uint64_t bytes = ph__host_state.block.bytes;
	if (offset > bytes || len > bytes - offset)
		return PH_ERR_IO;
	while (len > 0) {
		long done = PH__CALL(number, ph__host_state.disk, at, len, offset);
		/* 0: somebody made the file shorter. */
		if (done <= 0)
			return PH_ERR_IO;
		at += done;
		offset += (uint64_t)done;
		len -= (size_t)done;
	}
	return PH_OK;
}

enum ph_status ph__plat_block_read(uint64_t offset, void *buf, size_t len)
{
	return transfer(SYS_pread64, offset, buf, len);
}

enum ph_status ph__plat_block_write(uint64_t offset, const void *buf, size_t len)
{
	return transfer(SYS_pwrite64, offset, buf, len);
}

enum ph_status ph__plat_block_flush(void)
{
	long result = PH__CALL(SYS_fdatasync, ph__host_state.disk);
	return result == 0 ? PH_OK : PH_ERR_IO;
}
