/* SPDX-License-Identifier: MIT */
/*
 * A virtio device in memory for tests of platform/virtio/: an honest one that echoes frames or is a
 * small disk, and whose answers can be bent, or taken over altogether. It stands in for the
 * transport and for what the driver asks of the machine.
 */
#ifndef PACKHORSE_VIRTIO_SIM_H
#define PACKHORSE_VIRTIO_SIM_H

#include "../platform/virtio/virtio_int.h"

#define SIM_DISK_BYTES (1u << 20)

struct sim_queue {
	struct ph__virtq *driver; /* NULL before queue_start */
	uint16_t taken, done;
	unsigned kicks;
};

struct sim {
	struct ph__virtio device;
	uint64_t offered;
	uint8_t status, refuse_status; /* bits that do not stick */
	unsigned queue_bytes, resets, writes_after_reset;
	uint8_t configuration[64];
	struct sim_queue queues[2];
	uint8_t disk[SIM_DISK_BYTES];
	unsigned requests, flushes, discards, largest_segments;
	uint32_t discard_max; /* sectors */
	uint32_t largest_segment;

	/* How it misbehaves; each answer passes through, if it is set. */
	void (*bend)(struct sim *sim, unsigned queue, uint32_t *id, uint32_t *bytes);
	bool silent, no_status;
	uint8_t disk_status;
	unsigned fail_request; /* the n-th fails */
};

void sim_init(struct sim *sim, unsigned type, uint64_t features);
/* Adds an entry to the used ring, honest or not. */
void sim_done(struct sim *sim, unsigned queue, uint32_t id, uint32_t bytes);
/* Puts a frame into the next receive buffer; false when there is none. */
bool sim_frame(struct sim *sim, const void *frame, size_t len);
/* The next available head, or -1. */
int sim_next(struct sim *sim, unsigned queue);
void sim_set(struct sim *sim, unsigned offset, uint64_t value, unsigned len);
/* What was taken by ph__boot_pages. */
void sim_release(void);

extern uint64_t sim_now_ns;    /* rises with every look */
extern unsigned sim_lines;     /* ph__plat_say */
extern char sim_line[256];     /* the last one's format */
extern unsigned sim_pages_max; /* pages that there are */

#endif
