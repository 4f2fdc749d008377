/* SPDX-License-Identifier: MIT */
/* The device in memory; see sim_device.h. */
#define _DEFAULT_SOURCE 1 /* usleep */
#include "sim_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sim_device *self(struct ph_device *device)
{
	return (struct sim_device *)device;
}

static void *must(void *ptr)
{
	if (!ptr)
		abort();
	return ptr;
}

/* With the lock held. */
static bool fails(struct sim_device *sim, enum sim_op op)
{
	if (!(sim->fail_ops & (unsigned)op) || sim->fail_at == 0)
		return false;
	return ++sim->fail_count >= sim->fail_at;
}

static void record(struct sim_device *sim, uint64_t offset, const void *buf, size_t len)
{
	if (!sim->recording)
		return;
	if (sim->event_count == sim->event_room) {
		sim->event_room = sim->event_room ? 2 * sim->event_room : 64;
		sim->events = must(realloc(sim->events, sim->event_room * sizeof(*sim->events)));
	}
	struct sim_event *event = &sim->events[sim->event_count++];
	event->offset = offset;
	event->len = len;
	event->data = len ? must(malloc(len)) : NULL;
	if (len)
		memcpy(event->data, buf, len);
}

static void check_range(const struct sim_device *sim, uint64_t offset, size_t len)
{
	uint32_t block = sim->device.block_bytes;
	if (!sim->open || offset % block || len % block || len == 0 || offset > sim->device.bytes ||
	    len > sim->device.bytes - offset) {
		fprintf(stderr, "bad access: %llu + %zu\n", (unsigned long long)offset, len);
		abort();
	}
}

static enum ph_status sim_read(struct ph_device *device, uint64_t offset, void *buf, size_t len)
{
	struct sim_device *sim = self(device);
	pthread_mutex_lock(&sim->lock);
	check_range(sim, offset, len);
	sim->reads++;
	bool bad = fails(sim, SIM_READ);
	if (!bad)
		memcpy(buf, sim->data + offset, len);
	pthread_mutex_unlock(&sim->lock);
	return bad ? PH_ERR_IO : PH_OK;
}

static enum ph_status sim_write(struct ph_device *device, uint64_t offset, const void *buf,
                                size_t len)
{
	struct sim_device *sim = self(device);
	pthread_mutex_lock(&sim->lock);
	check_range(sim, offset, len);
	sim->writes++;
	sim->written_bytes += len;
	bool bad = fails(sim, SIM_WRITE);
	if (!bad) {
		memcpy(sim->data + offset, buf, len);
		record(sim, offset, buf, len);
	}
	pthread_mutex_unlock(&sim->lock);
	return bad ? PH_ERR_IO : PH_OK;
}

static enum ph_status sim_flush(struct ph_device *device)
{
	struct sim_device *sim = self(device);
	if (sim->flush_us)
		usleep(sim->flush_us);
	pthread_mutex_lock(&sim->lock);
	sim->flushes++;
	bool bad = fails(sim, SIM_FLUSH);
	if (!bad)
		record(sim, 0, NULL, 0);
	pthread_mutex_unlock(&sim->lock);
	return bad ? PH_ERR_IO : PH_OK;
}

static void reach(struct sim_device *sim, uint64_t bytes)
{
	if (bytes <= sim->capacity)
		return;
	uint64_t capacity = bytes > 2 * sim->capacity ? bytes : 2 * sim->capacity;
	sim->data = must(realloc(sim->data, capacity));
	memset(sim->data + sim->capacity, 0, capacity - sim->capacity);
	sim->capacity = capacity;
}

static enum ph_status sim_grow(struct ph_device *device, uint64_t bytes)
{
	struct sim_device *sim = self(device);
	enum ph_status status = PH_OK;
	pthread_mutex_lock(&sim->lock);
	if (bytes > sim->bytes_max || fails(sim, SIM_GROW)) {
		status = PH_ERR_FULL;
	} else if (bytes > sim->device.bytes) {
		reach(sim, bytes);
		sim->device.bytes = bytes;
	}
	pthread_mutex_unlock(&sim->lock);
	return status;
}

static void sim_close(struct ph_device *device)
{
	self(device)->open = false;
}

static const struct ph_device_ops sim_ops = {
        .read = sim_read,
        .write = sim_write,
        .flush = sim_flush,
        .grow = sim_grow,
        .close = sim_close,
};

static const struct ph_device_ops no_flush_ops = {
        .read = sim_read,
        .write = sim_write,
        .grow = sim_grow,
        .close = sim_close,
};

struct sim_device *sim_new(uint64_t bytes, uint64_t bytes_max)
{
	struct sim_device *sim = must(calloc(1, sizeof(*sim)));
	pthread_mutex_init(&sim->lock, NULL);
	sim->device.ops = &sim_ops;
	sim->device.block_bytes = 512;
	sim->device.bytes = bytes;
	sim->bytes_max = bytes_max;
	sim->open = true;
	reach(sim, bytes);
	return sim;
}

struct sim_device *sim_copy(const struct sim_device *from)
{
	struct sim_device *sim = sim_new(from->device.bytes, from->bytes_max);
	sim->device = from->device;
	memcpy(sim->data, from->data, from->device.bytes);
	return sim;
}

void sim_free(struct sim_device *sim)
{
	if (!sim)
		return;
	for (size_t i = 0; i < sim->event_count; i++)
		free(sim->events[i].data);
	free(sim->events);
	free(sim->data);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
}

void sim_no_flush(struct sim_device *sim)
{
	sim->device.ops = &no_flush_ops;
}

void sim_apply(struct sim_device *sim, const struct sim_event *event, uint64_t seed)
{
	if (event->len == 0)
		return;
	uint64_t end = event->offset + event->len;
	reach(sim, end);
	if (end > sim->device.bytes)
		sim->device.bytes = end;
	for (size_t at = 0; at < event->len; at += 512) {
		uint64_t hash = (seed + at / 512) * 0x9e3779b97f4a7c15u;
		if (seed == 0 || hash >> 63)
			memcpy(sim->data + event->offset + at, event->data + at, 512);
	}
}

static enum ph_status sim_random(void *user, void *buf, size_t len)
{
	(void)user;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(37 * i + 11);
	return PH_OK;
}

void sim_options(struct ph_store_disk_options *options)
{
	static struct ph_limits limits;
	ph_limits_init(&limits);
	memset(options, 0, sizeof(*options));
	options->alloc = ph_alloc_libc();
	options->limits = &limits;
	options->random = sim_random;
}

enum ph_status sim_open(struct sim_device *sim, const struct ph_store_disk_options *options,
                        struct ph_store **out)
{
	sim->open = true;
	enum ph_status status = ph_store_disk_open(out, &sim->device, options);
	if (status != PH_ERR_INVALID)
		return status;
	status = ph_store_disk_format(&sim->device, options);
	return status == PH_OK ? ph_store_disk_open(out, &sim->device, options) : status;
}

static void print_line(void *user, const char *line)
{
	(void)user;
	fprintf(stderr, "check: %s\n", line);
}

enum ph_status sim_check(struct ph_store *store)
{
	return ph_store_disk_check(store, NULL, print_line);
}
