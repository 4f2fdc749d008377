/* SPDX-License-Identifier: MIT */
/* See virtio_sim.h. */
#include "virtio_sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_now_ns;
unsigned sim_lines, sim_pages_max = 4096;
char sim_line[256];
static void *pages[64];
static unsigned page_runs, pages_taken;

static struct sim *of(struct ph__virtio *device)
{
	return (struct sim *)(void *)device;
}

/* ---- the machine ---- */

uint64_t ph__plat_monotonic_ns(void)
{
	return sim_now_ns += 1000000;
}

void ph__plat_say(const char *level, const char *format, ...)
{
	(void)level;
	sim_lines++;
	strncpy(sim_line, format, sizeof(sim_line) - 1);
}

enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	memset(buf, 0x77, len);
	return PH_OK;
}

void *ph__boot_pages(size_t count)
{
	if (page_runs == 64 || count > sim_pages_max - pages_taken)
		return NULL;
	void *run = aligned_alloc(4096, count * 4096);
	assert(run != NULL);
	pages_taken += (unsigned)count;
	return pages[page_runs++] = memset(run, 0, count * 4096);
}

void sim_release(void)
{
	while (page_runs > 0)
		free(pages[--page_runs]);
	pages_taken = 0;
	sim_pages_max = 4096;
	sim_lines = 0;
	sim_line[0] = '\0';
}

/* ---- the transport ---- */

static uint64_t features(struct ph__virtio *device)
{
	return of(device)->offered;
}

static void accept(struct ph__virtio *device, uint64_t wanted)
{
	assert((wanted & ~of(device)->offered) == 0);
}

static uint8_t status(struct ph__virtio *device)
{
	return of(device)->status;
}

static void set_status(struct ph__virtio *device, uint8_t value)
{
	struct sim *sim = of(device);

	if (value == 0 && sim->status != 0)
		sim->resets++;
	sim->status = (uint8_t)(value & ~sim->refuse_status);
}

static unsigned queue_size(struct ph__virtio *device, unsigned index)
{
	return index < 2 ? of(device)->queue_bytes : 0;
}

static bool queue_start(struct ph__virtio *device, struct ph__virtq *queue, bool interrupts)
{
	(void)interrupts;
	assert(((uintptr_t)queue->descriptors & 4095) == 0 && ((uintptr_t)queue->used & 4095) == 0);
	of(device)->queues[queue->index].driver = queue;
	return true;
}

static void configuration(struct ph__virtio *device, unsigned offset, void *buf, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)buf)[i] = offset + i < 64 ? of(device)->configuration[offset + i] : 0;
}

static void acknowledge(struct ph__virtio *device)
{
	(void)device;
}

/* ---- the device ---- */

void sim_done(struct sim *sim, unsigned index, uint32_t id, uint32_t bytes)
{
	struct sim_queue *queue = &sim->queues[index];
	struct ph__virtq *driver = queue->driver;
	volatile uint32_t *pair = (volatile uint32_t *)(volatile void *)&driver
	                                  ->used[2 + 4 * (queue->done & (driver->size - 1u))];

	pair[0] = id;
	pair[1] = bytes;
	driver->used[1] = ++queue->done;
	/* It is awake, and wants to hear of the next buffer. */
	driver->used[2 + 4 * driver->size] = queue->taken;
}

int sim_next(struct sim *sim, unsigned index)
{
	struct sim_queue *queue = &sim->queues[index];

	if (queue->driver == NULL || queue->driver->available[1] == queue->taken)
		return -1;
	return queue->driver->available[2 + (queue->taken++ & (queue->driver->size - 1u))];
}

static void answer(struct sim *sim, unsigned index, uint32_t id, uint32_t bytes)
{
	if (sim->bend != NULL)
		sim->bend(sim, index, &id, &bytes);
	if (!sim->silent)
		sim_done(sim, index, id, bytes);
}

static uint8_t *at(struct sim *sim, unsigned queue, unsigned head)
{
	return (uint8_t *)(uintptr_t)sim->queues[queue].driver->descriptors[head].address;
}

bool sim_frame(struct sim *sim, const void *frame, size_t len)
{
	size_t header = sim->device.legacy ? 10 : 12;
	int head = sim_next(sim, 0);

	if (head < 0)
		return false;
	assert(sim->queues[0].driver->descriptors[head].bytes >= header + len);
	memset(at(sim, 0, (unsigned)head), 0, header);
	memcpy(at(sim, 0, (unsigned)head) + header, frame, len);
	answer(sim, 0, (uint32_t)head, (uint32_t)(header + len));
	return true;
}

static void echo(struct sim *sim, unsigned head)
{
	size_t header = sim->device.legacy ? 10 : 12;
	uint32_t bytes = sim->queues[1].driver->descriptors[head].bytes;

	assert(bytes >= header);
	answer(sim, 1, head, 0);
	sim_frame(sim, at(sim, 1, head) + header, bytes - header);
}

/* A range of sectors, one a request; it reads as noise then. */
static uint64_t discard(struct sim *sim, const uint8_t *range, bool fails)
{
	uint64_t sector;
	uint32_t sectors, flags;

	memcpy(&sector, range, 8);
	memcpy(&sectors, range + 8, 4);
	memcpy(&flags, range + 12, 4);
	assert(flags == 0 && sectors > 0 && sectors <= sim->discard_max);
	assert((sector + sectors) * 512 <= SIM_DISK_BYTES);
	if (!fails)
		memset(sim->disk + sector * 512, 0x5a, (size_t)sectors * 512);
	sim->discards++;
	return 0;
}

static void serve(struct sim *sim, unsigned head)
{
	volatile struct ph__descriptor *d = sim->queues[0].driver->descriptors;
	uint32_t type, moved = 0;
	uint64_t sector;
	unsigned count = 0, i = head;

	assert(d[head].bytes == 16 && d[head].flags == 1);
	memcpy(&type, at(sim, 0, head), 4);
	memcpy(&sector, at(sim, 0, head) + 8, 8);
	bool fails = ++sim->requests == sim->fail_request;
	if (type == 11)
		sector = discard(sim, at(sim, 0, d[head].next), fails);
	for (i = d[head].next; (d[i].flags & 1) != 0; i = d[i].next) {
		uint8_t *here = sim->disk + sector * 512 + moved;

		assert((d[i].flags & 2) == (type == 0 ? 2 : 0));
		assert(sector * 512 + moved + d[i].bytes <= SIM_DISK_BYTES);
		if (type == 0 && !fails)
			memcpy(at(sim, 0, i), here, d[i].bytes);
		else if (type == 1)
			memcpy(here, at(sim, 0, i), d[i].bytes);
		moved += d[i].bytes;
		count++;
		if (d[i].bytes > sim->largest_segment)
			sim->largest_segment = d[i].bytes;
	}
	if (count > sim->largest_segments)
		sim->largest_segments = count;
	assert(d[i].bytes == 1 && d[i].flags == 2);
	sim->flushes += type == 4;
	if (!sim->no_status)
		*at(sim, 0, i) = fails ? 1 : sim->disk_status;
	answer(sim, 0, head, (type == 0 ? moved : 0) + 1);
}

static void kick(struct ph__virtio *device, unsigned index)
{
	struct sim *sim = of(device);
	int head;

	sim->queues[index].kicks++;
	assert((sim->status & PH__STATUS_DRIVER_OK) != 0);
	if (device->type == PH__VIRTIO_NET && index == 0)
		return; /* buffers, for later */
	while (!sim->silent && !device->broken && (head = sim_next(sim, index)) >= 0) {
		if (device->type == PH__VIRTIO_NET)
			echo(sim, (unsigned)head);
		else
			serve(sim, (unsigned)head);
	}
}

static const struct ph__virtio_ops ops = {
        features,    accept, status,        set_status,  queue_size,
        queue_start, kick,   configuration, acknowledge,
};

void sim_set(struct sim *sim, unsigned offset, uint64_t value, unsigned len)
{
	memcpy(sim->configuration + offset, &value, len);
}

void sim_init(struct sim *sim, unsigned type, uint64_t offered)
{
	memset(sim, 0, sizeof(*sim));
	sim->device.ops = &ops;
	sim->device.type = type;
	sim->device.interrupts = true;
	sim->device.legacy = (offered & PH__FEATURE_VERSION_1) == 0;
	sim->offered = offered;
	sim->queue_bytes = 256;
	if (type == PH__VIRTIO_BLOCK)
		sim_set(sim, 0, SIM_DISK_BYTES / 512, 8);
	else
		sim_set(sim, 0, UINT64_C(0x010000000002), 6);
}
