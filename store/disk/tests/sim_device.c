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
	sim->fail_count++;
	return sim->fail_once ? sim->fail_count == sim->fail_at : sim->fail_count >= sim->fail_at;
}

/* ---- trials ---- */

#define UNDO_BLOCK 4096u

static void save_block(struct sim_device *sim, uint64_t block)
{
	struct sim_undo *undo = &sim->undo;
	if (undo->turns[block] == undo->turn)
		return;
	undo->turns[block] = undo->turn;
	if (undo->count == undo->room) {
		undo->room = undo->room ? 2 * undo->room : 256;
		undo->saved = must(realloc(undo->saved, undo->room * sizeof(*undo->saved)));
		undo->data = must(realloc(undo->data, undo->room * UNDO_BLOCK));
	}
	undo->saved[undo->count] = block;
	memcpy(undo->data + undo->count * UNDO_BLOCK, sim->data + block * UNDO_BLOCK, UNDO_BLOCK);
	undo->count++;
}

/* Before these bytes of the medium change, within its capacity. */
static void save(struct sim_device *sim, uint64_t offset, uint64_t len)
{
	if (offset + len > sim->touched)
		sim->touched = offset + len;
	if (!sim->undo.on || len == 0)
		return;
	for (uint64_t at = offset / UNDO_BLOCK; at <= (offset + len - 1) / UNDO_BLOCK; at++)
		save_block(sim, at);
}

void sim_try(struct sim_device *sim)
{
	struct sim_undo *undo = &sim->undo;
	if (!undo->turns)
		undo->turns = must(calloc(sim->capacity / UNDO_BLOCK + 1, sizeof(*undo->turns)));
	undo->on = true;
	undo->turn++;
	undo->count = 0;
	undo->bytes = sim->device.bytes;
}

void sim_take_back(struct sim_device *sim)
{
	struct sim_undo *undo = &sim->undo;
	for (size_t i = 0; i < undo->count; i++)
		memcpy(sim->data + undo->saved[i] * UNDO_BLOCK, undo->data + i * UNDO_BLOCK,
		       UNDO_BLOCK);
	undo->on = false;
	sim->device.bytes = undo->bytes;
}

/* ---- the device ---- */

static void record(struct sim_device *sim, enum sim_op kind, uint64_t offset, const void *buf,
                   size_t len)
{
	if (!sim->recording)
		return;
	if (sim->event_count == sim->event_room) {
		sim->event_room = sim->event_room ? 2 * sim->event_room : 64;
		sim->events = must(realloc(sim->events, sim->event_room * sizeof(*sim->events)));
	}
	struct sim_event *event = &sim->events[sim->event_count++];
	event->kind = kind;
	event->offset = offset;
	event->len = len;
	event->data = kind == SIM_WRITE ? must(malloc(len)) : NULL;
	if (event->data)
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
	sim->bad_writes += bad;
	/* What failed may have reached the medium all the same, in part: it is recorded. */
	record(sim, SIM_WRITE, offset, buf, len);
	if (!bad) {
		save(sim, offset, len);
		memcpy(sim->data + offset, buf, len);
	}
	pthread_mutex_unlock(&sim->lock);
	if (sim->after)
		sim->after(sim->after_user, SIM_WRITE);
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
	sim->bad_writes += bad;
	if (!bad)
		record(sim, SIM_FLUSH, 0, NULL, 0);
	pthread_mutex_unlock(&sim->lock);
	if (sim->after)
		sim->after(sim->after_user, SIM_FLUSH);
	return bad ? PH_ERR_IO : PH_OK;
}

static void reach(struct sim_device *sim, uint64_t bytes)
{
	if (bytes <= sim->capacity)
		return;
	uint64_t capacity = bytes > 2 * sim->capacity ? bytes : 2 * sim->capacity;
	/* Memory that is not touched costs nothing. */
	uint8_t *data = must(calloc(1, capacity));
	if (sim->data)
		memcpy(data, sim->data, sim->touched);
	free(sim->data);
	sim->data = data;
	if (sim->undo.turns) {
		size_t blocks = capacity / UNDO_BLOCK + 1, had = sim->capacity / UNDO_BLOCK + 1;
		sim->undo.turns = must(realloc(sim->undo.turns, blocks * sizeof(uint32_t)));
		memset(sim->undo.turns + had, 0, (blocks - had) * sizeof(uint32_t));
	}
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
		record(sim, SIM_GROW, bytes, NULL, 0);
	}
	pthread_mutex_unlock(&sim->lock);
	return status;
}

/* Nothing is known of what a discarded range reads as: here it is noise. */
static void discard(struct sim_device *sim, uint64_t offset, uint64_t len)
{
	save(sim, offset, len);
	for (uint64_t i = 0; i < len; i++)
		sim->data[offset + i] = (uint8_t)((offset + i) * 0x9d + 0x5a);
}

static enum ph_status sim_discard(struct ph_device *device, uint64_t offset, uint64_t len)
{
	struct sim_device *sim = self(device);
	pthread_mutex_lock(&sim->lock);
	check_range(sim, offset, len);
	sim->discards++;
	sim->discarded_bytes += len;
	bool bad = fails(sim, SIM_DISCARD);
	if (!bad) {
		record(sim, SIM_DISCARD, offset, NULL, len);
		discard(sim, offset, len);
	}
	pthread_mutex_unlock(&sim->lock);
	return bad ? PH_ERR_IO : PH_OK;
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
        .discard = sim_discard,
        .close = sim_close,
};

static const struct ph_device_ops no_flush_ops = {
        .read = sim_read,
        .write = sim_write,
        .grow = sim_grow,
        .discard = sim_discard,
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
	memcpy(sim->data, from->data, from->touched);
	sim->touched = from->touched;
	return sim;
}

void sim_free(struct sim_device *sim)
{
	if (!sim)
		return;
	for (size_t i = 0; i < sim->event_count; i++)
		free(sim->events[i].data);
	free(sim->events);
	free(sim->undo.turns);
	free(sim->undo.saved);
	free(sim->undo.data);
	free(sim->data);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
}

void sim_no_flush(struct sim_device *sim)
{
	sim->device.ops = &no_flush_ops;
}

/* A write that survives says that the device had grown to there. */
static void open_range(struct sim_device *sim, uint64_t offset, uint64_t len)
{
	reach(sim, offset + len);
	if (offset + len > sim->device.bytes)
		sim->device.bytes = offset + len;
	save(sim, offset, len);
}

void sim_apply_range(struct sim_device *sim, const struct sim_event *event, size_t from, size_t len)
{
	if (event->kind != SIM_WRITE || len == 0)
		return;
	open_range(sim, event->offset + from, len);
	memcpy(sim->data + event->offset + from, event->data + from, len);
}

/* With a seed a block is as it was, noise, or zeros. */
static void apply_discard(struct sim_device *sim, const struct sim_event *event, uint64_t seed)
{
	for (size_t at = 0; at < event->len; at += UNDO_BLOCK) {
		size_t len = event->len - at < UNDO_BLOCK ? event->len - at : UNDO_BLOCK;
		uint64_t hash = seed ? (seed + at / UNDO_BLOCK) * 0x9e3779b97f4a7c15u : 0;
		if (hash >> 63)
			continue;
		discard(sim, event->offset + at, len);
		if (hash >> 62)
			memset(sim->data + event->offset + at, 0, len);
	}
}

void sim_apply(struct sim_device *sim, const struct sim_event *event, uint64_t seed)
{
	if (event->kind == SIM_GROW) {
		reach(sim, event->offset);
		if (event->offset > sim->device.bytes)
			sim->device.bytes = event->offset;
	}
	if (event->kind == SIM_DISCARD)
		apply_discard(sim, event, seed);
	if (event->kind == SIM_WRITE && seed == 0)
		sim_apply_range(sim, event, 0, event->len);
	for (size_t at = 0; event->kind == SIM_WRITE && seed != 0 && at < event->len; at += 512) {
		uint64_t hash = (seed + at / 512) * 0x9e3779b97f4a7c15u;
		if (hash >> 63)
			sim_apply_range(sim, event, at, 512);
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
