/* SPDX-License-Identifier: MIT */
/*
 * The disk. Requests go out in pieces that the device can take, several at a time, and the caller
 * waits for all of them. Whatever is not a clear success is an error; a device that does not answer
 * is taken out of service, because it may still write into a buffer that is the caller's again.
 */
#include "virtio_int.h"

#include <string.h>

#define FEATURE_SIZE_MAX (UINT64_C(1) << 1)
#define FEATURE_SEGMENTS_MAX (UINT64_C(1) << 2)
#define FEATURE_READ_ONLY (UINT64_C(1) << 5)
#define FEATURE_BLOCK_SIZE (UINT64_C(1) << 6)
#define FEATURE_FLUSH (UINT64_C(1) << 9)
#define FEATURE_DISCARD (UINT64_C(1) << 13)
#define TYPE_READ 0u
#define TYPE_WRITE 1u
#define TYPE_FLUSH 4u
#define TYPE_DISCARD 11u
#define STATUS_OK 0u
#define STATUS_NONE 0xffu
#define SECTOR_BYTES 512u
#define BLOCK_BYTES_MAX 4096u
/* A header, data, a status. */
#define CHAIN 16u
#define SEGMENTS_MAX (CHAIN - 2u)
#define REQUEST_BYTES_MAX (256u * 1024u)
#define REQUESTS_MAX 8u
/* Longer than any disk that still works takes, hypervisor paused or not. */
#define TIMEOUT_NS UINT64_C(60000000000)

struct request {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range; /* to discard */
	uint8_t status;
};

static struct {
	struct ph__virtio *device;
	struct ph__virtq queue;
	struct ph__block_info info;
	uint32_t segment_bytes, request_bytes, discard_sectors;
	struct request *requests; /* by slot */
	uint32_t expected[REQUESTS_MAX];
} disk;

static uint64_t number(struct ph__virtio *device, unsigned offset, unsigned len)
{
	uint8_t bytes[8] = {0};
	uint64_t value = 0;

	device->ops->configuration(device, offset, bytes, len);
	for (unsigned i = len; i-- > 0;)
		value = value << 8 | bytes[i];
	return value;
}

static enum ph_status discard(struct ph_device *device, uint64_t offset, uint64_t len);

/* Limits of the device, made sane. */
static enum ph_status identify(struct ph__virtio *device)
{
	uint64_t sectors, block = SECTOR_BYTES, segment = REQUEST_BYTES_MAX, count = 1;
	unsigned tries = 0;

	/* Two reads of 32 bits can straddle a change. */
	do {
		sectors = number(device, 0, 8);
	} while (sectors != number(device, 0, 8) && ++tries < 8);
	if ((device->accepted & FEATURE_BLOCK_SIZE) != 0)
		block = number(device, 20, 4);
	if ((device->accepted & FEATURE_SIZE_MAX) != 0)
		segment = number(device, 8, 4);
	if ((device->accepted & FEATURE_SEGMENTS_MAX) != 0)
		count = number(device, 12, 4);
	if (block < SECTOR_BYTES || block > BLOCK_BYTES_MAX || (block & (block - 1)) != 0) {
		ph__virtio_break(device, "blocks of a size that is not supported,", block);
		return PH_ERR_UNSUPPORTED;
	}
	if (segment > REQUEST_BYTES_MAX)
		segment = REQUEST_BYTES_MAX;
	segment -= segment % block;
	count = count < 1 ? 1 : count > SEGMENTS_MAX ? SEGMENTS_MAX : count;
	if (segment == 0 || sectors > UINT64_MAX / 2 / SECTOR_BYTES) {
		ph__virtio_break(device, "impossible limits, sectors", sectors);
		return PH_ERR_UNSUPPORTED;
	}
	disk.segment_bytes = (uint32_t)segment;
	disk.request_bytes = (uint32_t)(segment * count < REQUEST_BYTES_MAX ? segment * count
	                                                                    : REQUEST_BYTES_MAX);
	disk.info.block_bytes = (uint32_t)block;
	disk.info.bytes = sectors * SECTOR_BYTES;
	disk.info.bytes -= disk.info.bytes % block;
	disk.info.read_only = (device->accepted & FEATURE_READ_ONLY) != 0;
	disk.info.can_flush = (device->accepted & FEATURE_FLUSH) != 0;
	if ((device->accepted & FEATURE_DISCARD) != 0 && !disk.info.read_only)
		disk.discard_sectors = (uint32_t)number(device, 36, 4);
	disk.discard_sectors -= disk.discard_sectors % (uint32_t)(block / SECTOR_BYTES);
	disk.info.discard = disk.discard_sectors != 0 ? discard : NULL;
	return PH_OK;
}

void ph__disk_start(struct ph__virtio *device)
{
	memset(&disk, 0, sizeof(disk));
	uint64_t wanted = FEATURE_SIZE_MAX | FEATURE_SEGMENTS_MAX | FEATURE_READ_ONLY |
	                  FEATURE_BLOCK_SIZE | FEATURE_FLUSH | FEATURE_DISCARD;
	if (ph__virtio_begin(device, wanted) != PH_OK || identify(device) != PH_OK)
		return;
	if (ph__virtq_open(&disk.queue, device, 0, CHAIN, REQUESTS_MAX, false) != PH_OK)
		return;
	disk.requests = ph__boot_pages(1);
	if (disk.requests == NULL)
		return;
	ph__virtio_ready(device);
	disk.device = device;
}

enum ph_status ph__plat_block_open(struct ph__block_info *info)
{
	if (disk.device == NULL || disk.device->broken)
		return PH_ERR_NOT_FOUND;
	*info = disk.info;
	return PH_OK;
}

static void submit(int slot, uint32_t type, uint64_t offset, const uint8_t *data, uint32_t len)
{
	struct request *request = &disk.requests[slot];
	struct ph__segment segments[CHAIN];
	unsigned count = 1;

	request->header.type = type;
	request->header.reserved = 0;
	request->header.sector = offset / SECTOR_BYTES;
	request->status = STATUS_NONE;
	disk.expected[slot] = type == TYPE_READ ? len : 0;
	segments[0] = (struct ph__segment){&request->header, sizeof(request->header), false};
	while (len != 0) {
		uint32_t part = len < disk.segment_bytes ? len : disk.segment_bytes;

		segments[count++] = (struct ph__segment){data, part, type == TYPE_READ};
		data += part;
		len -= part;
	}
	segments[count++] = (struct ph__segment){&request->status, 1, true};
	ph__virtq_put(&disk.queue, slot, segments, count);
}

/* Waits for one request to end. */
static enum ph_status finish(void)
{
	uint64_t deadline = ph__plat_monotonic_ns() + TIMEOUT_NS;
	uint32_t written;
	int slot;

	while ((slot = ph__virtq_get(&disk.queue, &written)) < 0) {
		if (disk.device->broken)
			return PH_ERR_IO;
		if (ph__plat_monotonic_ns() > deadline) {
			ph__virtio_break(disk.device, "no answer in nanoseconds", TIMEOUT_NS);
			return PH_ERR_IO;
		}
	}
	/* Not every device counts the status byte, but the data must be there. */
	if (*(volatile uint8_t *)&disk.requests[slot].status != STATUS_OK ||
	    written == PH__QUEUE_OVERLONG || written < disk.expected[slot])
		return PH_ERR_IO;
	return PH_OK;
}

static enum ph_status transfer(uint32_t type, uint64_t offset, const uint8_t *data, size_t len)
{
	enum ph_status status = PH_OK, one;

	if (disk.device == NULL || disk.device->broken)
		return PH_ERR_IO;
	if (offset % disk.info.block_bytes != 0 || len % disk.info.block_bytes != 0 ||
	    offset > disk.info.bytes || len > disk.info.bytes - offset)
		return PH_ERR_INVALID;
	/* After an error nothing more is begun, but what the device has is waited for. */
	while ((len != 0 && status == PH_OK) || disk.queue.busy_count != 0) {
		int slot;

		while (len != 0 && status == PH_OK && (slot = ph__virtq_take(&disk.queue)) >= 0) {
			size_t part = len < disk.request_bytes ? len : disk.request_bytes;

			submit(slot, type, offset, data, (uint32_t)part);
			offset += part;
			data += part;
			len -= part;
		}
		ph__virtq_kick(&disk.queue);
		one = finish();
		if (one != PH_OK)
			status = one;
		if (disk.device->broken)
			break;
	}
	return status;
}

enum ph_status ph__plat_block_read(uint64_t offset, void *buf, size_t len)
{
	return transfer(TYPE_READ, offset, buf, len);
}

enum ph_status ph__plat_block_write(uint64_t offset, const void *buf, size_t len)
{
	if (disk.info.read_only)
		return PH_ERR_READ_ONLY;
	return transfer(TYPE_WRITE, offset, buf, len);
}

enum ph_status ph__plat_block_flush(void)
{
	if (disk.device == NULL || disk.device->broken)
		return PH_ERR_IO;
	if (!disk.info.can_flush)
		return PH_ERR_UNSUPPORTED;
	int slot = ph__virtq_take(&disk.queue);
	if (slot < 0)
		return PH_ERR_IO;
	submit(slot, TYPE_FLUSH, 0, NULL, 0);
	ph__virtq_kick(&disk.queue);
	return finish();
}

static enum ph_status discard(struct ph_device *device, uint64_t offset, uint64_t len)
{
	uint64_t sector = offset / SECTOR_BYTES, left = len / SECTOR_BYTES;
	enum ph_status status = PH_OK;

	(void)device;
	if (disk.device->broken || left > disk.info.bytes / SECTOR_BYTES - sector)
		return PH_ERR_IO;
	while (left > 0 && status == PH_OK) {
		uint32_t part = left < disk.discard_sectors ? (uint32_t)left : disk.discard_sectors;
		int slot = ph__virtq_take(&disk.queue);
		if (slot < 0)
			return PH_ERR_IO;
		struct request *request = &disk.requests[slot];
		request->range.sector = sector;
		request->range.sectors = part;
		request->range.flags = 0;
		submit(slot, TYPE_DISCARD, 0, (const uint8_t *)&request->range,
		       sizeof(request->range));
		ph__virtq_kick(&disk.queue);
		status = finish();
		sector += part;
		left -= part;
	}
	return status;
}
