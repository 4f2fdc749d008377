/* SPDX-License-Identifier: MIT */
/*
 * All that an image asks of the machine below it: clocks, a console, entropy, one network card, at
 * most one disk. Modelled on Solo5's interface. One platform is linked in; it starts first, readies
 * its devices as far as it can without knowing the arguments, and calls ph__start once.
 *
 * There is one thread, and nothing here is called from an interrupt or a signal. Before ph__start
 * has set up thread-local storage the platform must use neither the C library nor a stack
 * protector. A device is untrusted as far as that costs little: no value that it writes may take
 * us outside our own buffers.
 */
#ifndef PACKHORSE_PLATFORM_H
#define PACKHORSE_PLATFORM_H

#include <packhorse/base.h>

#define PH__MODULES_MAX 8u

/* A file handed over at boot beside the arguments. */
struct ph__module {
	const void *data;
	size_t len;
};

/* What the platform found; lives for ever. */
struct ph__machine {
	const char *platform; /* "virtio", "host", "solo5-hvt", "solo5-spt" */
	/* The command line: words between spaces, '...' and "..." and \ as a shell has them. */
	const char *arguments;
	struct ph__module modules[PH__MODULES_MAX];
	unsigned module_count;
	/* Memory for everything, aligned to 4096 bytes and zeroed, without what is in use already.
	 * heap_dirty: beyond its first page and first 8192th it may hold anything: firmware was
	 * there before, or the run before a reset. */
	void *heap;
	size_t heap_bytes;
	bool heap_dirty;
};

/* The image's own start, called by the platform on a stack of at least 256 KiB. */
_Noreturn void ph__start(const struct ph__machine *machine);

/* ---- the 16 functions ---- */

/* Nanoseconds since some moment, never going back. */
uint64_t ph__plat_monotonic_ns(void);
/* Nanoseconds since 1970 UTC; 0 when the machine has no idea. */
uint64_t ph__plat_wall_ns(void);
/*
 * Sleeps until until_ns (monotonic), a frame, or a request to power off; may return earlier. Frames
 * that ph__plat_net_receive would return now make it return at once.
 */
void ph__plat_wait(uint64_t until_ns);
/* All of text, at most 512 bytes with its newline; never blocks for long. */
void ph__plat_console(const char *text, size_t len);
/* Powers off, or ends the process, with code where the machine can carry one. */
_Noreturn void ph__plat_exit(int code);
/* len bytes of true entropy. PH_ERR_UNSUPPORTED when there is no source. */
enum ph_status ph__plat_entropy(void *buf, size_t len);
/* The thread pointer (FS base on x86-64). */
void ph__plat_tls(void *base);
/* Whether somebody asked for a shutdown: power button, SIGTERM. Stays true. */
bool ph__plat_power_off(void);

/* The network card. PH_ERR_NOT_FOUND: there is none. mtu without the Ethernet header. */
enum ph_status ph__plat_net_open(uint8_t mac[6], unsigned *mtu);
/*
 * Takes one Ethernet frame (at most mtu + 14 bytes) from several pieces; it is copied or gone on
 * return. PH_ERR_FULL: no room now, drop it or come again.
 */
struct ph__piece {
	const void *data;
	size_t len;
};
enum ph_status ph__plat_net_send(const struct ph__piece *pieces, unsigned count);
/* Frames given since the last call are on their way now. Cheap when there are none. */
void ph__plat_net_flush(void);
/* One received frame into buf, at most size bytes (longer ones are dropped); 0 when none is there.
 */
size_t ph__plat_net_receive(void *buf, size_t size);

/* The disk. PH_ERR_NOT_FOUND: there is none. */
struct ph_device;
struct ph__block_info {
	uint64_t bytes;
	uint32_t block_bytes; /* 512 to 4096 */
	bool read_only;
	bool can_flush; /* false: writes may be lost on power failure */
	/* As that of packhorse/device.h, which device is not looked at. NULL: it cannot. */
	enum ph_status (*discard)(struct ph_device *device, uint64_t offset, uint64_t len);
};
enum ph_status ph__plat_block_open(struct ph__block_info *info);
/* offset and len are multiples of block_bytes. Wait until done. PH_ERR_IO. */
enum ph_status ph__plat_block_read(uint64_t offset, void *buf, size_t len);
enum ph_status ph__plat_block_write(uint64_t offset, const void *buf, size_t len);
/* All writes that returned are on stable storage. PH_ERR_IO. Only when can_flush. */
enum ph_status ph__plat_block_flush(void);

#endif
