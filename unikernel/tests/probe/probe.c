/* SPDX-License-Identifier: MIT */
/*
 * An image with nothing above the platform: it says what it finds, and does what its arguments ask,
 * so that devices, permissions and the ways off are tested without a server in between.
 *   disk      writes, flushes and reads back    echo    sends every frame back, until power off
 *   entropy   draws some                        sleep   measures sleeps by the clock
 *   stack, null, text, constant, execute        does what must end in a fault
 *   exit=N    powers off with a code            spin    stays, for the monitor to look at it
 */
#include "../../platform.h"

#include <string.h>

static char line[512];
static size_t used;

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
	return start;
}

void *memset(void *to, int value, size_t len)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(value) : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < len; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

_Noreturn void __stack_chk_fail(void);
_Noreturn void __stack_chk_fail(void)
{
	ph__plat_exit(3);
}

_Noreturn void __assert_fail(const char *what, const char *file, unsigned at, const char *function);
_Noreturn void __assert_fail(const char *what, const char *file, unsigned at, const char *function)
{
	(void)file;
	(void)at;
	(void)function;
	ph__plat_console(what, 20);
	ph__plat_exit(4);
}

static void text(const char *s)
{
	while (*s != '\0' && used < sizeof(line))
		line[used++] = *s++;
}

static void number(const char *name, uint64_t value)
{
	char digits[20];
	unsigned at = sizeof(digits);

	text(name);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	while (at < sizeof(digits) && used < sizeof(line))
		line[used++] = digits[at++];
}

static void end(void)
{
	text("\n");
	ph__plat_console(line, used);
	used = 0;
}

static bool asked(const char *arguments, const char *word)
{
	for (const char *at = arguments; *at != '\0'; at++) {
		size_t i = 0;

		while (word[i] != '\0' && at[i] == word[i])
			i++;
		if (word[i] == '\0' && (at == arguments || at[-1] == ' '))
			return true;
	}
	return false;
}

static void try_disk(struct ph__machine machine)
{
	struct ph__block_info info;
	enum ph_status status = ph__plat_block_open(&info);
	uint8_t *a = machine.heap, *b = a + (3 << 20);
	size_t len = 2 << 20;

	if (status != PH_OK) {
		text("disk none");
		end();
		return;
	}
	number("disk bytes=", info.bytes);
	number(" block=", info.block_bytes);
	number(" read_only=", info.read_only);
	number(" flush=", info.can_flush);
	end();
	for (size_t i = 0; i < len; i++)
		a[i] = (uint8_t)(i * 7 + (i >> 9));
	uint64_t start = ph__plat_monotonic_ns();
	status = ph__plat_block_write(info.block_bytes, a, len);
	number("disk write=", (uint64_t)-status);
	status = ph__plat_block_flush();
	number(" flush=", (uint64_t)-status);
	status = ph__plat_block_read(info.block_bytes, b, len);
	number(" read=", (uint64_t)-status);
	number(" same=", memcmp(a, b, len) == 0);
	number(" beyond=", (uint64_t)-ph__plat_block_read(info.bytes, b, info.block_bytes));
	number(" us=", (ph__plat_monotonic_ns() - start) / 1000);
	end();
}

static void try_echo(void)
{
	static uint8_t frame[2048];
	uint8_t mac[6];
	unsigned mtu;
	uint64_t count = 0;

	if (ph__plat_net_open(mac, &mtu) != PH_OK) {
		text("net none");
		end();
		return;
	}
	number("net mtu=", mtu);
	number(" mac=", mac[0]);
	for (unsigned i = 1; i < 6; i++)
		number(":", mac[i]);
	end();
	while (!ph__plat_power_off()) {
		size_t len = ph__plat_net_receive(frame, sizeof(frame));

		if (len == 0) {
			ph__plat_net_flush();
			ph__plat_wait(ph__plat_monotonic_ns() + 5000000000u);
			continue;
		}
		count++;
		memcpy(frame, frame + 6, 6);
		memcpy(frame + 6, mac, 6);
		struct ph__piece pieces[2] = {{frame, 14}, {frame + 14, len - 14}};
		(void)ph__plat_net_send(pieces, 2);
	}
	number("power button, frames=", count);
	end();
}

static unsigned deep(unsigned n);
static unsigned (*volatile again)(unsigned) = deep;

static unsigned deep(unsigned n)
{
	volatile char big[1024];

	big[0] = (char)n;
	return again(n + 1) + (unsigned)big[0];
}

static void try_faults(const char *arguments, const struct ph__machine *machine)
{
	static const char constant[] = "constant";
	volatile uintptr_t low = 8, read_only = (uintptr_t)constant;
	void (*code)(void);

	if (asked(arguments, "stack"))
		number("", deep(1));
	if (asked(arguments, "null"))
		number("", *(volatile uint8_t *)low);
	if (asked(arguments, "text"))
		*(volatile char *)(uintptr_t)&ph__start = 1;
	if (asked(arguments, "constant"))
		*(volatile char *)read_only = 2;
	if (asked(arguments, "execute")) {
		*(volatile uint8_t *)machine->heap = 0xc3;
		memcpy(&code, &machine->heap, sizeof(code));
		code();
	}
}

_Noreturn void ph__start(const struct ph__machine *machine)
{
	static uint8_t tls[64];
	const char *a = machine->arguments;
	uint64_t random[2] = {0};
	int code = 0;

	memset(tls, 0x5a, sizeof(tls));
	ph__plat_tls(tls);
	number("probe heap=", machine->heap_bytes);
	number(" at=", (uintptr_t)machine->heap);
	number(" modules=", machine->module_count);
	for (unsigned i = 0; i < machine->module_count; i++) {
		number(" len=", machine->modules[i].len);
		const uint8_t *m = machine->modules[i].data;
		uint64_t sum = 0;
		for (size_t j = 0; j < machine->modules[i].len; j++)
			sum += m[j];
		number(" sum=", sum);
	}
	number(" wall=", ph__plat_wall_ns() / 1000000000);
	number(" us=", ph__plat_monotonic_ns() / 1000);
	end();
	if (asked(a, "zero")) {
		uint64_t start = ph__plat_monotonic_ns();
		memset(machine->heap, 0, machine->heap_bytes);
		number("zeroed us=", (ph__plat_monotonic_ns() - start) / 1000);
		end();
	}
	if (asked(a, "entropy")) {
		number("entropy ", (uint64_t)-ph__plat_entropy(random, sizeof(random)));
		number(" ", random[0]);
		number(" ", random[1]);
		end();
	}
	if (asked(a, "sleep")) {
		uint64_t now = 0, start = ph__plat_monotonic_ns();
		for (unsigned i = 1; i <= 50; i++)
			while ((now = ph__plat_monotonic_ns()) < start + i * UINT64_C(20000000))
				ph__plat_wait(start + i * UINT64_C(20000000));
		number("sleep ms=", (now - start) / 1000000);
		number(" wall=", ph__plat_wall_ns() / 1000000000);
		end();
	}
	if (asked(a, "disk"))
		try_disk(*machine);
	if (asked(a, "echo"))
		try_echo();
	try_faults(a, machine);
	while (asked(a, "spin"))
		ph__plat_wait(UINT64_MAX);
	for (unsigned i = 1; i < 256; i++) {
		char word[12] = "exit=";
		used = 5;
		word[5] = (char)('0' + i / 100);
		word[6] = (char)('0' + i / 10 % 10);
		word[7] = (char)('0' + i % 10);
		if (asked(a, word))
			code = (int)i;
	}
	used = 0;
	text("probe done");
	end();
	ph__plat_exit(code);
}
