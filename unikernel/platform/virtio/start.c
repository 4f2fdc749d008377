/* SPDX-License-Identifier: MIT */
/*
 * From boot.S to ph__start: memory, time, interrupts, devices, in the order in which one needs the
 * other, and the words of the command line that are for us.
 */
#include "machine_int.h"

#include <string.h>

#define FS_BASE_MSR 0xc0000100
#define DEVICES_MAX 40u
/* Buffers for frames, each way: a window's worth, or what a small machine can spare. */
#define FRAMES 256u
#define FRAMES_SMALL 64u
#define SMALL_BYTES (UINT64_C(40) << 20)

struct ph__boot_arguments ph__boot_arguments;
_Noreturn void ph__boot(const struct ph__pvh *pvh);

/* Reads a number, as 0x1f or 31, and K or M behind it. */
static uint64_t number(const char **text)
{
	unsigned base = 10, digit;
	uint64_t value = 0;

	if ((*text)[0] == '0' && (*text)[1] == 'x') {
		base = 16;
		*text += 2;
	}
	for (;; ++*text) {
		char c = **text;
		digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		        : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
		                               : 16;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	if (**text == 'K' || **text == 'M')
		value <<= *(*text)++ == 'K' ? 10 : 20;
	return value;
}

/* SIZE@ADDRESS:IRQ, as Linux has it. */
static void read_slot(const char *text)
{
	struct ph__boot_arguments *a = &ph__boot_arguments;
	struct ph__mmio_slot slot = {0};

	slot.bytes = (uint32_t)number(&text);
	if (*text++ != '@')
		return;
	slot.address = number(&text);
	if (*text++ != ':')
		return;
	slot.irq = (uint32_t)number(&text);
	if (a->slot_count < PH__SLOTS_MAX)
		a->slots[a->slot_count++] = slot;
}

static const char *after(const char *word, const char *key)
{
	while (*key != '\0')
		if (*word++ != *key++)
			return NULL;
	return word;
}

static void read_arguments(const char *text)
{
	const char *value;
	bool start = true;

	for (; *text != '\0'; text++) {
		if (start && (value = after(text, "tsc_khz=")) != NULL)
			ph__boot_arguments.tsc_khz = number(&value);
		else if (start && (value = after(text, "isa_debug_exit=")) != NULL)
			ph__boot_arguments.debug_exit_port = (uint16_t)number(&value);
		else if (start && (value = after(text, "virtio_mmio.device=")) != NULL)
			read_slot(value);
		start = *text == ' ';
	}
}

/* The first of each kind is used. */
static void start_devices(size_t memory)
{
	static struct ph__virtio devices[DEVICES_MAX];
	unsigned net = 0, block = 0, entropy = 0;
	unsigned count = ph__virtio_pci_find(devices, DEVICES_MAX);

	count += ph__virtio_mmio_find(devices + count, DEVICES_MAX - count);
	/* Entropy first: the others may want some. */
	for (unsigned i = 0; i < count; i++)
		if (devices[i].type == PH__VIRTIO_ENTROPY && entropy++ == 0)
			ph__entropy_device_start(&devices[i]);
	for (unsigned i = 0; i < count; i++) {
		if (devices[i].type == PH__VIRTIO_NET && net++ == 0)
			ph__net_card_start(&devices[i],
			                   memory < SMALL_BYTES ? FRAMES_SMALL : FRAMES);
		else if (devices[i].type == PH__VIRTIO_BLOCK && block++ == 0)
			ph__disk_start(&devices[i]);
	}
	if (net > 1 || block > 1)
		ph__plat_say("WARN", "of %u network cards and %u disks the first is used", net,
		             block);
}

void ph__plat_tls(void *base)
{
	ph__msr_write(FS_BASE_MSR, (uintptr_t)base);
}

_Noreturn void ph__boot(const struct ph__pvh *pvh)
{
	static struct ph__machine machine = {.platform = "virtio"};

	ph__console_start();
	ph__fault_start();
	if (!ph__memory_start(pvh, &machine)) {
		ph__plat_say("ERROR", "the loader's start info makes no sense");
		ph__plat_exit(2);
	}
	read_arguments(machine.arguments);
	ph__acpi_start(pvh->rsdp);
	ph__clock_start();
	ph__interrupt_start();
	ph__power_start();
	ph__entropy_start();
	start_devices(ph__memory_bytes());
	ph__memory_finish(&machine);
	ph__start(&machine);
}
