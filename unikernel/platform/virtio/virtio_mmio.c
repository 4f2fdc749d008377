/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices in memory slots, legacy and modern. Where the slots are, and which interrupt is
 * whose, is said by virtio_mmio.device= arguments, else by ACPI.
 */
#include "machine_int.h"

#include <string.h>

#define MAGIC 0x74726976u
#define REG_VERSION 0x04u
#define REG_TYPE 0x08u
#define REG_DEVICE_FEATURES 0x10u
#define REG_DEVICE_FEATURES_SELECT 0x14u
#define REG_DRIVER_FEATURES 0x20u
#define REG_DRIVER_FEATURES_SELECT 0x24u
#define REG_PAGE_SIZE 0x28u
#define REG_QUEUE 0x30u
#define REG_QUEUE_SIZE_MAX 0x34u
#define REG_QUEUE_SIZE 0x38u
#define REG_QUEUE_ALIGN 0x3cu
#define REG_QUEUE_PAGE 0x40u
#define REG_QUEUE_READY 0x44u
#define REG_KICK 0x50u
#define REG_INTERRUPT 0x60u
#define REG_INTERRUPT_ACKNOWLEDGE 0x64u
#define REG_STATUS 0x70u
#define REG_DESCRIPTORS 0x80u
#define REG_AVAILABLE 0x90u
#define REG_USED 0xa0u
#define REG_CONFIGURATION 0x100u
#define SLOT_BYTES_MIN 0x200u

static volatile uint32_t *reg(struct ph__virtio *device, unsigned at)
{
	return (volatile uint32_t *)(volatile void *)(device->common.base + at);
}

static uint64_t features(struct ph__virtio *device)
{
	*reg(device, REG_DEVICE_FEATURES_SELECT) = 1;
	uint64_t high = *reg(device, REG_DEVICE_FEATURES);
	*reg(device, REG_DEVICE_FEATURES_SELECT) = 0;
	return high << 32 | *reg(device, REG_DEVICE_FEATURES);
}

static void accept(struct ph__virtio *device, uint64_t wanted)
{
	*reg(device, REG_DRIVER_FEATURES_SELECT) = 0;
	*reg(device, REG_DRIVER_FEATURES) = (uint32_t)wanted;
	if (device->legacy) {
		*reg(device, REG_PAGE_SIZE) = PH__PAGE;
		return;
	}
	*reg(device, REG_DRIVER_FEATURES_SELECT) = 1;
	*reg(device, REG_DRIVER_FEATURES) = (uint32_t)(wanted >> 32);
}

static uint8_t status(struct ph__virtio *device)
{
	return (uint8_t)*reg(device, REG_STATUS);
}

static void set_status(struct ph__virtio *device, uint8_t value)
{
	*reg(device, REG_STATUS) = value;
}

static unsigned queue_size(struct ph__virtio *device, unsigned index)
{
	*reg(device, REG_QUEUE) = index;
	return *reg(device, REG_QUEUE_SIZE_MAX);
}

static void set_address(struct ph__virtio *device, unsigned at, const volatile void *what)
{
	*reg(device, at) = (uint32_t)(uintptr_t)what;
	*reg(device, at + 4) = (uint32_t)((uintptr_t)what >> 32);
}

static bool queue_start(struct ph__virtio *device, struct ph__virtq *queue, bool interrupts)
{
	*reg(device, REG_QUEUE) = queue->index;
	*reg(device, REG_QUEUE_SIZE) = queue->size;
	if (device->legacy) {
		*reg(device, REG_QUEUE_ALIGN) = PH__PAGE;
		*reg(device, REG_QUEUE_PAGE) = (uint32_t)((uintptr_t)queue->descriptors / PH__PAGE);
	} else {
		set_address(device, REG_DESCRIPTORS, queue->descriptors);
		set_address(device, REG_AVAILABLE, queue->available);
		set_address(device, REG_USED, queue->used);
		*reg(device, REG_QUEUE_READY) = 1;
	}
	if (interrupts)
		device->interrupts =
		        device->irq != 0 && ph__interrupt_route(device->irq, PH__VECTOR_DEVICE);
	return true;
}

static void kick(struct ph__virtio *device, unsigned index)
{
	*reg(device, REG_KICK) = index;
}

static void configuration(struct ph__virtio *device, unsigned offset, void *buf, unsigned len)
{
	uint8_t *out = buf;

	memset(buf, 0, len);
	for (unsigned i = 0; i < len && REG_CONFIGURATION + offset + i < device->common.bytes; i++)
		out[i] = device->common.base[REG_CONFIGURATION + offset + i];
}

static void acknowledge(struct ph__virtio *device)
{
	uint32_t pending = *reg(device, REG_INTERRUPT);

	if (pending != 0)
		*reg(device, REG_INTERRUPT_ACKNOWLEDGE) = pending;
}

static const struct ph__virtio_ops ops = {
        features,    accept, status,        set_status,  queue_size,
        queue_start, kick,   configuration, acknowledge,
};

static bool look(struct ph__virtio *device, const struct ph__mmio_slot *slot)
{
	volatile uint8_t *base = NULL;

	if (slot->bytes >= SLOT_BYTES_MIN && slot->address % 4 == 0)
		base = ph__paging_device(slot->address, slot->bytes);
	memset(device, 0, sizeof(*device));
	device->ops = &ops;
	device->common.base = base;
	device->common.bytes = slot->bytes;
	if (base == NULL || *reg(device, 0) != MAGIC)
		return false;
	uint32_t version = *reg(device, REG_VERSION);
	device->type = *reg(device, REG_TYPE);
	device->legacy = version == 1;
	device->irq = slot->irq;
	return device->type != 0 && (version == 1 || version == 2);
}

unsigned ph__virtio_mmio_find(struct ph__virtio *devices, unsigned max)
{
	const struct ph__mmio_slot *slots = ph__boot_arguments.slots;
	unsigned count = ph__boot_arguments.slot_count, found = 0;

	if (count == 0) {
		slots = ph__acpi.slots;
		count = ph__acpi.slot_count;
	}
	for (unsigned i = 0; i < count && found < max; i++)
		found += look(&devices[found], &slots[i]);
	return found;
}
