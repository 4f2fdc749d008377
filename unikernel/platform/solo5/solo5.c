/* SPDX-License-Identifier: MIT */
/*
 * The platform on Solo5, whose tender is the machine: hvt (a virtual machine) or spt (a process
 * under seccomp). Solo5 passes no entropy, so the processor must have its own; it carries no
 * request to stop, and cannot flush a disk. It wants every device of the manifest attached: a disk
 * of a single block stands for none.
 */
#include "../../platform.h"

#include "../rdrand_int.h"

#include <solo5.h>
#include <string.h>

#define STACK_BYTES ((size_t)512 << 10)
#define FRAME_BYTES_MAX 9014u

static struct ph__machine machine = {.platform = "solo5-" PH_SOLO5_ABI};
static solo5_handle_t network, disk;
static struct solo5_net_info network_info;
static struct solo5_block_info disk_info;
static uint8_t frame[FRAME_BYTES_MAX];

int solo5_app_main(const struct solo5_start_info *info)
{
	if (info->heap_size <= 2 * STACK_BYTES) {
		static const char text[] = "packhorse: too little memory\n";
		solo5_console_write(text, sizeof text - 1);
		solo5_exit(SOLO5_EXIT_FAILURE);
	}
	machine.arguments = info->cmdline;
	machine.heap = (void *)info->heap_start;
	/* The stack that we are on comes down from the end. */
	machine.heap_bytes = info->heap_size - STACK_BYTES;
	ph__start(&machine);
}

uint64_t ph__plat_monotonic_ns(void)
{
	return solo5_clock_monotonic();
}

uint64_t ph__plat_wall_ns(void)
{
	return solo5_clock_wall();
}

void ph__plat_wait(uint64_t until_ns)
{
	solo5_yield(until_ns, NULL);
}

void ph__plat_console(const char *text, size_t len)
{
	solo5_console_write(text, len);
}

void ph__plat_exit(int code)
{
	solo5_exit(code);
}

enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	uint8_t *to = buf;
	bool present = ph__rdrand_present();
	while (len > 0) {
		uint64_t word;
		if (!present || !ph__rdrand_read(&word))
			return PH_ERR_UNSUPPORTED;
		size_t count = len < sizeof word ? len : sizeof word;
		memcpy(to, &word, count);
		to += count;
		len -= count;
	}
	return PH_OK;
}

void ph__plat_tls(void *base)
{
	solo5_set_tls_base((uintptr_t)base);
}

bool ph__plat_power_off(void)
{
	return false;
}

/* ---- the network card ---- */

enum ph_status ph__plat_net_open(uint8_t mac[6], unsigned *mtu)
{
	if (solo5_net_acquire("service", &network, &network_info) != SOLO5_R_OK ||
	    network_info.mtu > FRAME_BYTES_MAX - SOLO5_NET_HLEN)
		return PH_ERR_NOT_FOUND;
	memcpy(mac, network_info.mac_address, SOLO5_NET_ALEN);
	*mtu = (unsigned)network_info.mtu;
	return PH_OK;
}

/* The tender drops what it has no room for without a word. */
enum ph_status ph__plat_net_send(const struct ph__piece *pieces, unsigned count)
{
	size_t len = 0;
	for (unsigned i = 0; i < count; i++) {
		if (pieces[i].len > sizeof frame - len)
			return PH_ERR_INVALID;
		if (count > 1)
			memcpy(frame + len, pieces[i].data, pieces[i].len);
		len += pieces[i].len;
	}
	solo5_net_write(network, count == 1 ? pieces->data : frame, len);
	return PH_OK;
}

void ph__plat_net_flush(void)
{
}

size_t ph__plat_net_receive(void *buf, size_t size)
{
	size_t len = 0;
	/* Solo5 wants room for the longest frame. */
	if (size >= network_info.mtu + SOLO5_NET_HLEN)
		return solo5_net_read(network, buf, size, &len) == SOLO5_R_OK ? len : 0;
	do
		if (solo5_net_read(network, frame, sizeof frame, &len) != SOLO5_R_OK)
			return 0;
	while (len > size);
	memcpy(buf, frame, len);
	return len;
}

/* ---- the disk ---- */

enum ph_status ph__plat_block_open(struct ph__block_info *info)
{
	if (solo5_block_acquire("storage", &disk, &disk_info) != SOLO5_R_OK ||
	    disk_info.capacity <= disk_info.block_size || disk_info.block_size > 4096)
		return PH_ERR_NOT_FOUND;
	*info = (struct ph__block_info){.bytes = disk_info.capacity,
	                                .block_bytes = (uint32_t)disk_info.block_size};
	return PH_OK;
}

/* One block a call is all that Solo5 takes. */
enum ph_status ph__plat_block_read(uint64_t offset, void *buf, size_t len)
{
	for (size_t at = 0; at < len; at += disk_info.block_size)
		if (solo5_block_read(disk, offset + at, (uint8_t *)buf + at,
		                     disk_info.block_size) != SOLO5_R_OK)
			return PH_ERR_IO;
	return PH_OK;
}

enum ph_status ph__plat_block_write(uint64_t offset, const void *buf, size_t len)
{
	for (size_t at = 0; at < len; at += disk_info.block_size)
		if (solo5_block_write(disk, offset + at, (const uint8_t *)buf + at,
		                      disk_info.block_size) != SOLO5_R_OK)
			return PH_ERR_IO;
	return PH_OK;
}

enum ph_status ph__plat_block_flush(void)
{
	return PH_ERR_UNSUPPORTED;
}
