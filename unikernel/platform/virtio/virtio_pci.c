/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices on PCI, modern ones, behind bridges too. Firmware has placed their registers;
 * where they lie is read from capabilities, none of which is believed further than its own bar
 * reaches.
 */
#include "machine_int.h"

#include <string.h>

#define ADDRESS_PORT 0xcf8
#define DATA_PORT 0xcfc
#define VENDOR_VIRTIO 0x1af4u
#define ID_TRANSITIONAL 0x1000u
#define ID_MODERN 0x1040u
#define ID_END 0x1080u
#define COMMAND 0x04u
#define COMMAND_MEMORY_MASTER 6u
#define STATUS_CAPABILITIES (1u << 20)
#define BAR0 0x10u
#define CAPABILITIES 0x34u
#define CAPABILITIES_MAX 48u
#define CAP_VENDOR 0x09u
#define CAP_MSIX 0x11u
#define MSIX_ENABLE (1u << 31)
#define MSIX_MASK (1u << 30)
#define NO_VECTOR 0xffffu
#define BUSES 256u

/* The common structure. */
#define AT_DEVICE_SELECT 0u
#define AT_DEVICE_FEATURES 4u
#define AT_DRIVER_SELECT 8u
#define AT_DRIVER_FEATURES 12u
#define AT_CONFIGURATION_VECTOR 16u
#define AT_STATUS 20u
#define AT_QUEUE 22u
#define AT_QUEUE_SIZE 24u
#define AT_QUEUE_VECTOR 26u
#define AT_QUEUE_ENABLE 28u
#define AT_QUEUE_NOTIFY 30u
#define AT_QUEUE_ADDRESSES 32u
#define COMMON_BYTES 56u

/* A function's address: bus << 8 | device << 3 | function. */
static uint32_t pci_read(unsigned function, unsigned at)
{
	ph__out32(ADDRESS_PORT, 0x80000000 | function << 8 | (at & 0xfc));
	return ph__in32(DATA_PORT);
}

static void pci_write(unsigned function, unsigned at, uint32_t value)
{
	ph__out32(ADDRESS_PORT, 0x80000000 | function << 8 | (at & 0xfc));
	ph__out32(DATA_PORT, value);
}

static volatile uint16_t *reg16(struct ph__virtio *device, unsigned at)
{
	return (volatile uint16_t *)(volatile void *)(device->common.base + at);
}

static volatile uint32_t *reg32(struct ph__virtio *device, unsigned at)
{
	return (volatile uint32_t *)(volatile void *)(device->common.base + at);
}

static uint64_t features(struct ph__virtio *device)
{
	*reg32(device, AT_DEVICE_SELECT) = 1;
	uint64_t high = *reg32(device, AT_DEVICE_FEATURES);
	*reg32(device, AT_DEVICE_SELECT) = 0;
	return high << 32 | *reg32(device, AT_DEVICE_FEATURES);
}

static void accept(struct ph__virtio *device, uint64_t wanted)
{
	for (unsigned half = 0; half < 2; half++) {
		*reg32(device, AT_DRIVER_SELECT) = half;
		*reg32(device, AT_DRIVER_FEATURES) = (uint32_t)(wanted >> (32 * half));
	}
}

static uint8_t status(struct ph__virtio *device)
{
	return device->common.base[AT_STATUS];
}

static void set_status(struct ph__virtio *device, uint8_t value)
{
	device->common.base[AT_STATUS] = value;
}

static unsigned queue_size(struct ph__virtio *device, unsigned index)
{
	*reg16(device, AT_QUEUE) = (uint16_t)index;
	return *reg16(device, AT_QUEUE_SIZE);
}

static void set_address(struct ph__virtio *device, unsigned at, const volatile void *what)
{
	*reg32(device, at) = (uint32_t)(uintptr_t)what;
	*reg32(device, at + 4) = (uint32_t)((uintptr_t)what >> 32);
}

/* The first vector of the table wakes us. */
static bool set_vector(struct ph__virtio *device)
{
	volatile uint32_t *entry = (volatile uint32_t *)(volatile void *)device->vectors.base;
	uint32_t address, data;

	if (entry == NULL || device->vectors.bytes < 16)
		return false;
	ph__interrupt_message(&address, &data);
	entry[0] = address;
	entry[1] = 0;
	entry[2] = data;
	entry[3] = 0;
	*reg16(device, AT_QUEUE_VECTOR) = 0;
	return *reg16(device, AT_QUEUE_VECTOR) == 0;
}

static bool queue_start(struct ph__virtio *device, struct ph__virtq *queue, bool interrupts)
{
	*reg16(device, AT_CONFIGURATION_VECTOR) = NO_VECTOR;
	*reg16(device, AT_QUEUE) = (uint16_t)queue->index;
	*reg16(device, AT_QUEUE_SIZE) = queue->size;
	*reg16(device, AT_QUEUE_VECTOR) = NO_VECTOR;
	set_address(device, AT_QUEUE_ADDRESSES, queue->descriptors);
	set_address(device, AT_QUEUE_ADDRESSES + 8, queue->available);
	set_address(device, AT_QUEUE_ADDRESSES + 16, queue->used);
	uint64_t at = (uint64_t)*reg16(device, AT_QUEUE_NOTIFY) * device->notify_step;
	if (queue->index >= PH__VIRTIO_QUEUES || device->notify.bytes < 2 ||
	    at > device->notify.bytes - 2)
		return false;
	device->notify_at[queue->index] = (uint32_t)at;
	if (interrupts)
		device->interrupts = set_vector(device);
	*reg16(device, AT_QUEUE_ENABLE) = 1;
	return true;
}

static void kick(struct ph__virtio *device, unsigned index)
{
	volatile uint8_t *at = device->notify.base + device->notify_at[index];

	*(volatile uint16_t *)(volatile void *)at = (uint16_t)index;
}

static void configuration(struct ph__virtio *device, unsigned offset, void *buf, unsigned len)
{
	uint8_t *out = buf;

	memset(buf, 0, len);
	for (unsigned i = 0; i < len && offset + i < device->device.bytes; i++)
		out[i] = device->device.base[offset + i];
}

/* Messages need no acknowledgement. */
static void acknowledge(struct ph__virtio *device)
{
	(void)device;
}

static const struct ph__virtio_ops ops = {
        features,    accept, status,        set_status,  queue_size,
        queue_start, kick,   configuration, acknowledge,
};

static struct ph__window map_bar(unsigned function, unsigned bar, uint32_t offset, uint64_t bytes)
{
	struct ph__window window = {NULL, 0};
	uint64_t address;

	if (bar > 5)
		return window;
	address = pci_read(function, BAR0 + 4 * bar);
	if ((address & 1) != 0)
		return window; /* ports */
	if ((address & 6) == 4 && bar < 5)
		address |= (uint64_t)pci_read(function, BAR0 + 4 * bar + 4) << 32;
	address &= ~UINT64_C(15);
	if (address == 0 || bytes == 0 || bytes > UINT32_MAX / 2)
		return window;
	window.base = ph__paging_device(address + offset, bytes);
	window.bytes = window.base == NULL ? 0 : (uint32_t)bytes;
	return window;
}

static void read_vendor(struct ph__virtio *device, unsigned function, unsigned at)
{
	unsigned kind = pci_read(function, at) >> 24;
	unsigned bar = pci_read(function, at + 4) & 0xff;
	uint32_t offset = pci_read(function, at + 8), bytes = pci_read(function, at + 12);
	struct ph__window *windows[5] = {NULL, &device->common, &device->notify, NULL,
	                                 &device->device};

	/* The first of each kind counts. */
	if (kind > 4 || windows[kind] == NULL || windows[kind]->base != NULL)
		return;
	*windows[kind] = map_bar(function, bar, offset, bytes);
	if (kind == 2)
		device->notify_step = pci_read(function, at + 16);
}

static void read_msix(struct ph__virtio *device, unsigned function, unsigned at)
{
	uint32_t control = pci_read(function, at), table = pci_read(function, at + 4);

	device->vectors = map_bar(function, table & 7, table & ~7u, 16);
	if (device->vectors.base != NULL)
		pci_write(function, at, (control | MSIX_ENABLE) & ~MSIX_MASK);
}

static bool look(struct ph__virtio *device, unsigned function)
{
	uint32_t id = pci_read(function, 0) >> 16, command = pci_read(function, COMMAND);
	unsigned at = pci_read(function, CAPABILITIES) & 0xfc;

	if (id < ID_TRANSITIONAL || id >= ID_END || (command & STATUS_CAPABILITIES) == 0)
		return false;
	memset(device, 0, sizeof(*device));
	device->ops = &ops;
	device->type = id >= ID_MODERN ? id - ID_MODERN : pci_read(function, 0x2c) >> 16;
	pci_write(function, COMMAND, (command & 0xffff) | COMMAND_MEMORY_MASTER);
	for (unsigned i = 0; i < CAPABILITIES_MAX && at >= 0x40; i++) {
		uint32_t head = pci_read(function, at);

		if ((head & 0xff) == CAP_VENDOR)
			read_vendor(device, function, at);
		else if ((head & 0xff) == CAP_MSIX)
			read_msix(device, function, at);
		at = head >> 8 & 0xfc;
	}
	if (device->common.bytes >= COMMON_BYTES && device->notify.base != NULL)
		return true;
	ph__plat_say("WARN", "PCI function 0x%lx: no virtio 1.0 registers that can be used",
	             (unsigned long)function);
	return false;
}

unsigned ph__virtio_pci_find(struct ph__virtio *devices, unsigned max)
{
	static bool behind[BUSES]; /* a bridge leads there */
	unsigned found = 0;

	for (unsigned function = 0; function < BUSES << 8 && found < max; function++) {
		uint32_t id = UINT32_MAX, header = 0;

		/* Bus 0 and what lies behind; functions beyond the first where there are any. */
		if (function >> 8 == 0 || behind[function >> 8])
			id = pci_read(function, 0);
		else
			function |= 0xff;
		if (id != UINT32_MAX)
			header = pci_read(function, 0x0c) >> 16 & 0xff;
		if ((header & 0x7f) == 1)
			behind[pci_read(function, 0x18) >> 8 & 0xff] = true;
		if (id != UINT32_MAX && (id & 0xffff) == VENDOR_VIRTIO)
			found += look(&devices[found], function);
		if ((function & 7) == 0 && (header & 0x80) == 0)
			function |= 7;
	}
	return found;
}
