/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices, their transports and their queues. This half of the folder knows no processor: it
 * is driven by a simulated device in tests. A device may write what it likes into the rings; what
 * is kept about buffers is kept outside of them.
 */
#ifndef PACKHORSE_VIRTIO_INT_H
#define PACKHORSE_VIRTIO_INT_H

#include "../../platform.h"

#define PH__VIRTIO_NET 1u
#define PH__VIRTIO_BLOCK 2u
#define PH__VIRTIO_ENTROPY 4u

#define PH__FEATURE_ANY_LAYOUT (UINT64_C(1) << 27)
#define PH__FEATURE_EVENT_IDX (UINT64_C(1) << 29)
#define PH__FEATURE_VERSION_1 (UINT64_C(1) << 32)
#define PH__FEATURE_ACCESS_PLATFORM (UINT64_C(1) << 33)

#define PH__STATUS_ACKNOWLEDGE 1u
#define PH__STATUS_DRIVER 2u
#define PH__STATUS_DRIVER_OK 4u
#define PH__STATUS_FEATURES_OK 8u
#define PH__STATUS_FAILED 128u

struct ph__virtio;
struct ph__virtq;

/* What a transport does. Queues are numbered from 0. */
struct ph__virtio_ops {
	uint64_t (*features)(struct ph__virtio *device);
	void (*accept)(struct ph__virtio *device, uint64_t features);
	uint8_t (*status)(struct ph__virtio *device);
	void (*set_status)(struct ph__virtio *device, uint8_t status);
	unsigned (*queue_size)(struct ph__virtio *device, unsigned index); /* 0: no such queue */
	bool (*queue_start)(struct ph__virtio *device, struct ph__virtq *queue, bool interrupts);
	void (*kick)(struct ph__virtio *device, unsigned index);
	/* What lies beyond the device's configuration reads as zeros. */
	void (*configuration)(struct ph__virtio *device, unsigned offset, void *buf, unsigned len);
	/* Ends an interrupt, so that the next one can come. */
	void (*acknowledge)(struct ph__virtio *device);
};

/* A region of registers. */
struct ph__window {
	volatile uint8_t *base;
	uint32_t bytes;
};

#define PH__VIRTIO_QUEUES 4u
struct ph__virtio {
	const struct ph__virtio_ops *ops;
	unsigned type;
	bool legacy;     /* before virtio 1.0 */
	bool interrupts; /* they reach us; otherwise it must be polled */
	bool broken;     /* it did what no device may do, and is not used any more */
	uint64_t accepted;
	uint32_t irq;
	struct ph__window common, notify, device, vectors;
	uint32_t notify_step, notify_at[PH__VIRTIO_QUEUES];
};

/* Resets the device and settles on what both sides know of wanted. */
enum ph_status ph__virtio_begin(struct ph__virtio *device, uint64_t wanted);
void ph__virtio_ready(struct ph__virtio *device);
/* Says so, once, and takes the device out of service. */
void ph__virtio_break(struct ph__virtio *device, const char *why, uint64_t value);

#define PH__QUEUE_MAX 256u
/* The device claims to have written more than there was room for. */
#define PH__QUEUE_OVERLONG UINT32_MAX

struct ph__descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};

struct ph__segment {
	const void *data;
	uint32_t bytes;
	bool device_writes;
};

/* A split ring whose descriptors are dealt out in slots of a fixed number. */
struct ph__virtq {
	struct ph__virtio *device;
	unsigned index;
	uint16_t size;  /* descriptors, a power of two */
	uint16_t chain; /* descriptors of a slot */
	uint16_t slots;
	volatile struct ph__descriptor *descriptors;
	volatile uint16_t *available; /* flags, index, ring, used_event */
	volatile uint16_t *used;      /* flags, index, pairs of 32 bits, available_event */
	uint16_t put, kicked, seen;   /* as the rings' indexes run */
	uint16_t busy_count, free_count;
	uint16_t free[PH__QUEUE_MAX];
	uint32_t room[PH__QUEUE_MAX]; /* bytes that the device may write into a slot */
	bool busy[PH__QUEUE_MAX];
};

/* Memory for its rings is taken for good. At most slots_max slots. */
enum ph_status ph__virtq_open(struct ph__virtq *queue, struct ph__virtio *device, unsigned index,
                              unsigned chain, unsigned slots_max, bool interrupts);
/* A free slot, or -1. It must be put. */
int ph__virtq_take(struct ph__virtq *queue);
/* Hands a slot to the device, at most chain segments: first those that it reads. */
void ph__virtq_put(struct ph__virtq *queue, int slot, const struct ph__segment *segments,
                   unsigned count);
/* Tells the device about slots put since the last call, if it wants to know. */
void ph__virtq_kick(struct ph__virtq *queue);
/* A slot that the device is done with, which is free again, and what it wrote; -1 when none is. */
int ph__virtq_get(struct ph__virtq *queue, uint32_t *bytes);
/* Whether ph__virtq_get would have something. */
bool ph__virtq_pending(const struct ph__virtq *queue);
/* Asks for an interrupt at the next slot that is done, or for none. */
void ph__virtq_watch(struct ph__virtq *queue, bool on);

/* net.c, block.c, entropy.c: takes a device found at boot into service. */
void ph__net_card_start(struct ph__virtio *device, unsigned slots_max);
void ph__disk_start(struct ph__virtio *device);
void ph__entropy_device_start(struct ph__virtio *device);
/* Before and after sleeping: true when there is nothing to sleep for. */
bool ph__net_card_watch(void);
void ph__net_card_unwatch(void);
bool ph__net_card_pending(void);
/* Whether a frame that comes wakes the processor. */
bool ph__net_card_wakes(void);

/* memory.c. Zeroed pages for ever, before ph__start alone; NULL when there are none. */
void *ph__boot_pages(size_t count);
/* console.c: a line in the console's format; knows %s, %u and %lx. */
void ph__plat_say(const char *level, const char *format, ...) PH_PRINTF(2, 3);

#endif
