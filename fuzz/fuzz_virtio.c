/* SPDX-License-Identifier: MIT */
/*
 * A network card and a disk that write into the rings what the input says: ids, lengths, indexes,
 * suppression words, registers. The driver must stay within its own buffers, end, and never hand
 * the same buffer out twice, which its assertions hold it to.
 */
#include "virtio_sim.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

static struct input input;

static uint64_t next(unsigned len)
{
	uint64_t value = 0;

	while (len-- > 0)
		value = value << 8 | (input.at < input.end ? *input.at++ : 0);
	return value;
}

static void bend(struct sim *sim, unsigned queue, uint32_t *id, uint32_t *bytes)
{
	unsigned how = (unsigned)next(1);

	(void)queue;
	if ((how & 3) == 1)
		*id = (uint32_t)next((how & 64) != 0 ? 4 : 1);
	if ((how & 12) == 4)
		*bytes = (uint32_t)next((how & 64) != 0 ? 4 : 2);
	sim->silent = (how & 48) == 48;
	sim->no_status = (how & 128) != 0;
	sim->disk_status = (uint8_t)(how == 255);
}

/* Something in the rings that no driver asked for. */
static void scribble(struct sim *sim, unsigned index)
{
	struct ph__virtq *queue = sim->queues[index].driver;
	unsigned what = (unsigned)next(1);

	if (queue == NULL)
		return;
	if (what < 64)
		sim_done(sim, index, (uint32_t)next(2), (uint32_t)next(2));
	else if (what < 96)
		queue->used[1] = (uint16_t)next(2);
	else if (what < 128)
		queue->used[0] = (uint16_t)next(2);
	else if (what < 160)
		queue->used[2 + 4 * (size_t)queue->size] = (uint16_t)next(2);
	else
		queue->descriptors[next(1) & (queue->size - 1u)].next = (uint16_t)next(2);
}

static void drive_net(struct sim *sim)
{
	uint8_t frame[1514], got[1514];
	uint8_t mac[6];
	unsigned mtu = 1500;

	ph__net_card_start(&sim->device, 16);
	if (ph__plat_net_open(mac, &mtu) != PH_OK)
		return;
	memset(frame, 1, sizeof(frame));
	while (input.at < input.end) {
		unsigned what = (unsigned)next(1);
		struct ph__piece piece = {frame, 14 + next(1) * 6};

		if (what < 100) {
			(void)ph__plat_net_send(&piece, 1);
			if ((what & 1) != 0)
				ph__plat_net_flush();
		} else if (what < 140) {
			sim_frame(sim, frame, piece.len < 1514 ? piece.len : 1514);
		} else if (what < 180) {
			if (ph__plat_net_receive(got, mtu) > mtu)
				abort();
		} else if (what < 200) {
			ph__net_card_watch();
			ph__net_card_unwatch();
		} else {
			scribble(sim, what & 1);
		}
	}
}

static void drive_disk(struct sim *sim)
{
	static uint8_t data[SIM_DISK_BYTES / 4];
	struct ph__block_info info;

	ph__disk_start(&sim->device);
	if (ph__plat_block_open(&info) != PH_OK)
		return;
	if (info.bytes > SIM_DISK_BYTES)
		info.bytes = SIM_DISK_BYTES;
	while (input.at < input.end && !sim->device.broken) {
		unsigned what = (unsigned)next(1);
		size_t len = next(1) * 512, offset = next(1) * 4096;

		if (offset + len > info.bytes)
			offset = len = 0;
		if (what < 100)
			(void)ph__plat_block_read(offset, data, len);
		else if (what < 200)
			(void)ph__plat_block_write(offset, data, len);
		else if (what < 230)
			(void)ph__plat_block_flush();
		else
			scribble(sim, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sim sim;
	uint64_t features;

	input = (struct input){data, data + size};
	features = next(2);
	bool disk = (next(1) & 1) != 0;
	sim_init(&sim, disk ? PH__VIRTIO_BLOCK : PH__VIRTIO_NET,
	         features | PH__FEATURE_ANY_LAYOUT | (next(1) & 3) << 32 |
	                 (next(1) & 1) * PH__FEATURE_EVENT_IDX);
	sim.queue_bytes = (unsigned)next(2);
	if (disk && (next(1) & 1) != 0)
		sim_set(&sim, 8, next(8), 8);
	if (disk && (next(1) & 1) != 0)
		sim_set(&sim, 20, next(4), 4);
	if (!disk)
		sim_set(&sim, 0, next(8), 8);
	sim.bend = bend;
	if (disk)
		drive_disk(&sim);
	else
		drive_net(&sim);
	sim_release();
	return 0;
}
