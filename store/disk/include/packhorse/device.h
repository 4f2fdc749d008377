/* SPDX-License-Identifier: MIT */
/*
 * A block device under store/disk: a host file, a raw disk, virtio-blk, a simulated disk. Reads and
 * writes are whole blocks and never short. What was written is ordered only by flush: before a
 * flush returns, any subset of the writes since the last one may be on the medium, torn at block
 * bounds.
 *
 * read may be called from several threads at once, also during a write elsewhere; all else by one
 * thread at a time.
 */
#ifndef PACKHORSE_DEVICE_H
#define PACKHORSE_DEVICE_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_device;

struct ph_device_ops {
	/* offset and len are multiples of block_bytes, offset + len <= bytes. PH_ERR_IO. */
	enum ph_status (*read)(struct ph_device *device, uint64_t offset, void *buf, size_t len);
	enum ph_status (*write)(struct ph_device *device, uint64_t offset, const void *buf,
	                        size_t len);
	/* All writes that returned are on stable storage when it returns. NULL: the device cannot.
	 */
	enum ph_status (*flush)(struct ph_device *device);
	/* Makes it at least bytes long and sets device->bytes. PH_ERR_FULL. NULL: it cannot. */
	enum ph_status (*grow)(struct ph_device *device, uint64_t bytes);
	/*
	 * The range's content is not needed any more: until it is written again it reads as
	 * anything. PH_ERR_UNSUPPORTED when that has no effect, and never will. NULL: it cannot.
	 */
	enum ph_status (*discard)(struct ph_device *device, uint64_t offset, uint64_t len);
	void (*close)(struct ph_device *device);
	/* By how many bytes it can grow, about. NULL: not known, or it cannot. */
	uint64_t (*room)(struct ph_device *device);
	/*
	 * Sees to it that there is space behind the range, so that writing it cannot fail for want
	 * of space; content that is there stays. PH_ERR_FULL. NULL: there always is.
	 */
	enum ph_status (*provide)(struct ph_device *device, uint64_t offset, uint64_t len);
};

struct ph_device {
	const struct ph_device_ops *ops;
	uint64_t bytes;       /* its size now */
	uint32_t block_bytes; /* 512 to 4096, a power of two */
	bool read_only;
};

#ifdef __cplusplus
}
#endif
#endif
