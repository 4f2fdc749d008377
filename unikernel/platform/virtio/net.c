/* SPDX-License-Identifier: MIT */
/*
 * The network card: one queue each way, every buffer of a fixed size and in one piece. Frames are
 * copied, so that no memory of a caller's is ever the device's. A frame whose length cannot be is
 * dropped; the service goes on.
 */
#include "virtio_int.h"

#include <string.h>

#define FEATURE_MTU (UINT64_C(1) << 3)
#define FEATURE_MAC (UINT64_C(1) << 5)
#define ETHERNET_BYTES 14u
#define MTU_MIN 576u
#define MTU_MAX 1500u
/* Of 2 KiB, so that none crosses a page. */
#define BUFFER_BYTES 2048u
#define RECEIVE 0u
#define SEND 1u
/* A device that is handed a full queue empties it at once, or not soon. */
#define ROOM_POLLS 2000u

static struct {
	struct ph__virtio *device;
	struct ph__virtq receive, send;
	uint8_t *received, *sent; /* buffers by slot */
	unsigned header_bytes, mtu;
	uint8_t mac[6];
	bool said_bad;
} card;

static void receive_put(int slot)
{
	struct ph__segment segment = {card.received + (size_t)slot * BUFFER_BYTES, BUFFER_BYTES,
	                              true};

	ph__virtq_put(&card.receive, slot, &segment, 1);
}

static void identify(struct ph__virtio *device)
{
	uint8_t mtu[2];

	card.mtu = MTU_MAX;
	if ((device->accepted & FEATURE_MTU) != 0) {
		device->ops->configuration(device, 10, mtu, 2);
		unsigned offered = mtu[0] | (unsigned)mtu[1] << 8;
		if (offered >= MTU_MIN && offered < MTU_MAX)
			card.mtu = offered;
	}
	if ((device->accepted & FEATURE_MAC) != 0)
		device->ops->configuration(device, 0, card.mac, 6);
	else if (ph__plat_entropy(card.mac, 6) != PH_OK)
		card.mac[5] = 1;
	/* One station's address; its own if the device gave none. */
	if ((device->accepted & FEATURE_MAC) == 0 || (card.mac[0] & 1) != 0)
		card.mac[0] = (uint8_t)((card.mac[0] & 0xfc) | 2);
}

void ph__net_card_start(struct ph__virtio *device, unsigned slots_max)
{
	memset(&card, 0, sizeof(card));
	if (ph__virtio_begin(device, FEATURE_MTU | FEATURE_MAC) != PH_OK)
		return;
	/* Before 1.0 a header in the same piece as the frame had to be asked for. */
	if (device->legacy && (device->accepted & PH__FEATURE_ANY_LAYOUT) == 0) {
		ph__virtio_break(device, "it wants headers apart, features", device->accepted);
		return;
	}
	card.header_bytes = device->legacy ? 10 : 12;
	identify(device);
	if (ph__virtq_open(&card.receive, device, RECEIVE, 1, slots_max, true) != PH_OK ||
	    ph__virtq_open(&card.send, device, SEND, 1, slots_max, false) != PH_OK)
		return;
	card.received = ph__boot_pages((card.receive.slots + 1u) / 2);
	card.sent = ph__boot_pages((card.send.slots + 1u) / 2);
	if (card.received == NULL || card.sent == NULL)
		return;
	ph__virtio_ready(device);
	card.device = device;
	for (int slot; (slot = ph__virtq_take(&card.receive)) >= 0;)
		receive_put(slot);
	ph__virtq_kick(&card.receive);
}

enum ph_status ph__plat_net_open(uint8_t mac[6], unsigned *mtu)
{
	if (card.device == NULL || card.device->broken)
		return PH_ERR_NOT_FOUND;
	memcpy(mac, card.mac, sizeof(card.mac));
	*mtu = card.mtu;
	return PH_OK;
}

/* Takes back what was sent. */
static void send_reap(void)
{
	uint32_t bytes;

	while (ph__virtq_get(&card.send, &bytes) >= 0) {
	}
}

static int send_slot(void)
{
	int slot = ph__virtq_take(&card.send);

	for (unsigned i = 0; slot < 0 && i < ROOM_POLLS && !card.device->broken; i++) {
		if (i == 0)
			ph__virtq_kick(&card.send);
		send_reap();
		slot = ph__virtq_take(&card.send);
	}
	return slot;
}

enum ph_status ph__plat_net_send(const struct ph__piece *pieces, unsigned count)
{
	size_t len = card.header_bytes, end = card.header_bytes + ETHERNET_BYTES + card.mtu;

	if (card.device == NULL || card.device->broken)
		return PH_ERR_IO;
	for (unsigned i = 0; i < count; i++) {
		if (pieces[i].len > end - len)
			return PH_ERR_INVALID;
		len += pieces[i].len;
	}
	int slot = send_slot();
	if (slot < 0)
		return PH_ERR_FULL;
	uint8_t *buffer = card.sent + (size_t)slot * BUFFER_BYTES;
	struct ph__segment segment = {buffer, (uint32_t)len, false};
	/* A header of zeros: no checksum, no segmentation left to the device. */
	memset(buffer, 0, card.header_bytes);
	len = card.header_bytes;
	for (unsigned i = 0; i < count; i++) {
		if (pieces[i].len != 0)
			memcpy(buffer + len, pieces[i].data, pieces[i].len);
		len += pieces[i].len;
	}
	ph__virtq_put(&card.send, slot, &segment, 1);
	return PH_OK;
}

void ph__plat_net_flush(void)
{
	if (card.device == NULL)
		return;
	ph__virtq_kick(&card.send);
	ph__virtq_kick(&card.receive);
}

size_t ph__plat_net_receive(void *buf, size_t size)
{
	uint32_t bytes;
	int slot;

	if (card.device == NULL)
		return 0;
	while ((slot = ph__virtq_get(&card.receive, &bytes)) >= 0) {
		const uint8_t *buffer = card.received + (size_t)slot * BUFFER_BYTES;
		size_t len = bytes - card.header_bytes;
		bool good =
		        bytes != PH__QUEUE_OVERLONG && bytes >= card.header_bytes + ETHERNET_BYTES;
		bool fits = good && len <= size && len <= ETHERNET_BYTES + card.mtu;

		if (fits)
			memcpy(buf, buffer + card.header_bytes, len);
		if (!good && !card.said_bad) {
			card.said_bad = true;
			ph__plat_say("WARN", "dropped a frame of an impossible length: 0x%lx",
			             (unsigned long)bytes);
		}
		/* The same slot: it is the one that was freed last. */
		receive_put(ph__virtq_take(&card.receive));
		if (fits)
			return len;
	}
	return 0;
}

bool ph__net_card_pending(void)
{
	return card.device != NULL && ph__virtq_pending(&card.receive);
}

bool ph__net_card_watch(void)
{
	if (card.device == NULL || card.device->broken)
		return false;
	ph__plat_net_flush();
	card.device->ops->acknowledge(card.device);
	ph__virtq_watch(&card.receive, true);
	return ph__virtq_pending(&card.receive);
}

void ph__net_card_unwatch(void)
{
	if (card.device != NULL && !card.device->broken)
		ph__virtq_watch(&card.receive, false);
}

bool ph__net_card_wakes(void)
{
	return card.device == NULL || card.device->broken || card.device->interrupts;
}
