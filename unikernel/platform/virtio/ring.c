/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues, polled. Descriptors are dealt out in fixed slots, and which of them the device
 * has is known here, not read back from memory that it can write: a wild used entry takes the
 * device out of service, and nothing else. Interrupts and kicks are suppressed as far as the device
 * agreed to.
 */
#include "virtio_int.h"

#include <assert.h>
#include <stdatomic.h>

#define NEXT 1u
#define DEVICE_WRITES 2u
#define NO_INTERRUPT 1u
#define NO_KICK 1u
#define RESET_READS_MAX 100000u

_Static_assert(sizeof(struct ph__descriptor) == 16, "descriptors have 16 bytes");

enum ph_status ph__virtio_begin(struct ph__virtio *device, uint64_t wanted)
{
	const struct ph__virtio_ops *ops = device->ops;
	unsigned reads = 0;

	ops->set_status(device, 0);
	while (ops->status(device) != 0 && ++reads < RESET_READS_MAX) {
	}
	uint8_t status = PH__STATUS_ACKNOWLEDGE | PH__STATUS_DRIVER;
	ops->set_status(device, status);

	wanted |= PH__FEATURE_EVENT_IDX | PH__FEATURE_ANY_LAYOUT | PH__FEATURE_VERSION_1 |
	          PH__FEATURE_ACCESS_PLATFORM;
	device->accepted = ops->features(device) & wanted;
	if (device->legacy)
		device->accepted &= UINT32_MAX;
	bool fits = device->legacy || (device->accepted & PH__FEATURE_VERSION_1) != 0;
	if (reads < RESET_READS_MAX && fits) {
		ops->accept(device, device->accepted);
		if (device->legacy)
			return PH_OK;
		status |= PH__STATUS_FEATURES_OK;
		ops->set_status(device, status);
		if ((ops->status(device) & PH__STATUS_FEATURES_OK) != 0)
			return PH_OK;
	}
	ph__virtio_break(device, "it refuses what it offered, features", device->accepted);
	return PH_ERR_UNSUPPORTED;
}

void ph__virtio_ready(struct ph__virtio *device)
{
	uint8_t status = device->ops->status(device);

	device->ops->set_status(device, status | PH__STATUS_DRIVER_OK);
}

void ph__virtio_break(struct ph__virtio *device, const char *why, uint64_t value)
{
	if (device->broken)
		return;
	device->broken = true;
	/* A reset: from here on it may not touch memory. */
	device->ops->set_status(device, 0);
	ph__plat_say("ERROR", "virtio device of type %u is out of service: %s 0x%lx", device->type,
	             why, (unsigned long)value);
}

enum ph_status ph__virtq_open(struct ph__virtq *queue, struct ph__virtio *device, unsigned index,
                              unsigned chain, unsigned slots_max, bool interrupts)
{
	unsigned offered = device->ops->queue_size(device, index), size = PH__QUEUE_MAX;

	assert(chain >= 1);
	/* Less than offered may be taken, also of a legacy device in a memory slot. */
	while (size > offered)
		size /= 2;
	if (size < chain || size < 2) {
		ph__virtio_break(device, "its queue has a size that cannot be used,", offered);
		return PH_ERR_UNSUPPORTED;
	}
	size_t first = 16 * (size_t)size + 6 + 2 * (size_t)size;
	size_t second = 6 + 8 * (size_t)size;
	size_t pages = (first + 4095) / 4096;
	uint8_t *memory = ph__boot_pages(pages + (second + 4095) / 4096);
	if (memory == NULL)
		return PH_ERR_NOMEM;
	*queue = (struct ph__virtq){.device = device, .index = index, .size = (uint16_t)size};
	queue->chain = (uint16_t)chain;
	queue->slots = (uint16_t)(size / chain < slots_max ? size / chain : slots_max);
	queue->descriptors = (volatile struct ph__descriptor *)(void *)memory;
	queue->available = (volatile uint16_t *)(void *)(memory + 16 * (size_t)size);
	queue->used = (volatile uint16_t *)(void *)(memory + 4096 * pages);
	while (queue->free_count < queue->slots) {
		queue->free[queue->free_count] = (uint16_t)(queue->slots - 1u - queue->free_count);
		queue->free_count++;
	}
	ph__virtq_watch(queue, false);
	if (!device->ops->queue_start(device, queue, interrupts)) {
		ph__virtio_break(device, "it does not take queue", index);
		return PH_ERR_UNSUPPORTED;
	}
	return PH_OK;
}

int ph__virtq_take(struct ph__virtq *queue)
{
	if (queue->free_count == 0 || queue->device->broken)
		return -1;
	return queue->free[--queue->free_count];
}

void ph__virtq_put(struct ph__virtq *queue, int slot, const struct ph__segment *segments,
                   unsigned count)
{
	uint16_t head = (uint16_t)((unsigned)slot * queue->chain);

	assert(slot >= 0 && slot < queue->slots);
	assert(!queue->busy[slot]);
	assert(count >= 1 && count <= queue->chain);
	queue->room[slot] = 0;
	for (unsigned i = 0; i < count; i++) {
		volatile struct ph__descriptor *d = &queue->descriptors[head + i];
		unsigned flags = segments[i].device_writes ? DEVICE_WRITES : 0;

		if (segments[i].device_writes)
			queue->room[slot] += segments[i].bytes;
		d->address = (uintptr_t)segments[i].data;
		d->bytes = segments[i].bytes;
		d->flags = (uint16_t)(flags | (i + 1 < count ? NEXT : 0));
		d->next = (uint16_t)(head + i + 1);
	}
	queue->busy[slot] = true;
	queue->busy_count++;
	queue->available[2 + (queue->put & (queue->size - 1u))] = head;
	queue->put++;
	atomic_thread_fence(memory_order_release);
	queue->available[1] = queue->put;
}

void ph__virtq_kick(struct ph__virtq *queue)
{
	uint16_t fresh = (uint16_t)(queue->put - queue->kicked);
	bool wanted;

	if (fresh == 0 || queue->device->broken)
		return;
	/* The device must see the index before we see whether it sleeps. */
	atomic_thread_fence(memory_order_seq_cst);
	if ((queue->device->accepted & PH__FEATURE_EVENT_IDX) != 0) {
		uint16_t event = queue->used[2 + 4 * (size_t)queue->size];
		wanted = (uint16_t)(queue->put - event - 1) < fresh;
	} else {
		wanted = (queue->used[0] & NO_KICK) == 0;
	}
	queue->kicked = queue->put;
	if (wanted)
		queue->device->ops->kick(queue->device, queue->index);
}

int ph__virtq_get(struct ph__virtq *queue, uint32_t *bytes)
{
	if (queue->device->broken)
		return -1;
	uint16_t ready = (uint16_t)(queue->used[1] - queue->seen);
	if (ready == 0)
		return -1;
	if (ready > queue->busy_count) {
		ph__virtio_break(queue->device, "more done than it was given,", ready);
		return -1;
	}
	atomic_thread_fence(memory_order_acquire);
	const volatile uint32_t *pair =
	        (const volatile uint32_t *)(const volatile void *)&queue
	                ->used[2 + 4 * (size_t)(queue->seen & (queue->size - 1u))];
	uint32_t id = pair[0], written = pair[1], slot = id / queue->chain;
	if (id % queue->chain != 0 || slot >= queue->slots || !queue->busy[slot]) {
		ph__virtio_break(queue->device, "done with what it was not given,", id);
		return -1;
	}
	queue->seen++;
	queue->busy[slot] = false;
	queue->busy_count--;
	assert(queue->free_count < queue->slots);
	queue->free[queue->free_count++] = (uint16_t)slot;
	*bytes = written > queue->room[slot] ? PH__QUEUE_OVERLONG : written;
	return (int)slot;
}

bool ph__virtq_pending(const struct ph__virtq *queue)
{
	return !queue->device->broken && queue->used[1] != queue->seen;
}

void ph__virtq_watch(struct ph__virtq *queue, bool on)
{
	if ((queue->device->accepted & PH__FEATURE_EVENT_IDX) != 0) {
		/* An index that was passed already comes again after 65,535 more. */
		uint16_t event = on ? queue->seen : (uint16_t)(queue->seen - 1);
		queue->available[2 + queue->size] = event;
	} else {
		queue->available[0] = (uint16_t)(on ? 0 : NO_INTERRUPT);
	}
	/* The device must see this before we look at its index for the last time. */
	if (on)
		atomic_thread_fence(memory_order_seq_cst);
}
