/* SPDX-License-Identifier: MIT */
/*
 * The device in blocks of 4 KiB, whatever its own block size. Reads run beside everything else;
 * writes, flushes and growth take turns. The first write or flush that fails ends all writing: what
 * the medium holds is unknown from then on, and only opening again looks.
 */
#include "disk_int.h"

#include <assert.h>

/* Blocks of a device; what is behind the largest store is not used. */
static uint64_t usable(const struct ph_device *device)
{
	uint64_t blocks = device->bytes / PH__BLOCK;
	return blocks < PH__BLOCKS_MAX ? blocks : PH__BLOCKS_MAX;
}

enum ph_status ph__io_init(struct ph__io *io, struct ph_device *device, const struct ph_sync *sync)
{
	assert(PH__BLOCK % device->block_bytes == 0);
	io->device = device;
	io->sync = sync;
	io->lock = NULL;
	atomic_init(&io->blocks, usable(device));
	atomic_init(&io->failed, false);
	return sync ? sync->mutex_new(sync->user, &io->lock) : PH_OK;
}

void ph__io_release(struct ph__io *io)
{
	if (io->sync && io->lock)
		io->sync->mutex_free(io->sync->user, io->lock);
	io->lock = NULL;
}

static bool in_range(struct ph__io *io, uint64_t block, uint32_t count)
{
	uint64_t blocks = atomic_load(&io->blocks);
	return block <= blocks && count <= blocks - block;
}

enum ph_status ph__io_read(struct ph__io *io, uint64_t block, uint32_t count, void *buf)
{
	if (!in_range(io, block, count))
		return PH_ERR_CORRUPT;
	return io->device->ops->read(io->device, block * PH__BLOCK, buf, (size_t)count * PH__BLOCK);
}

/* After a write or flush that failed the caller's status is PH_ERR_IO, whatever the device said. */
static enum ph_status seal(struct ph__io *io, enum ph_status status)
{
	if (status == PH_OK)
		return PH_OK;
	atomic_store(&io->failed, true);
	return PH_ERR_IO;
}

enum ph_status ph__io_write(struct ph__io *io, uint64_t block, uint32_t count, const void *buf)
{
	if (!in_range(io, block, count))
		return PH_ERR_CORRUPT;
	ph__lock(io->sync, io->lock);
	enum ph_status status = PH_ERR_IO;
	if (!atomic_load(&io->failed))
		status = seal(io, io->device->ops->write(io->device, block * PH__BLOCK, buf,
		                                         (size_t)count * PH__BLOCK));
	ph__unlock(io->sync, io->lock);
	return status;
}

enum ph_status ph__io_flush(struct ph__io *io)
{
	ph__lock(io->sync, io->lock);
	enum ph_status status = PH_ERR_IO;
	if (!atomic_load(&io->failed))
		status = io->device->ops->flush ? seal(io, io->device->ops->flush(io->device))
		                                : PH_OK;
	ph__unlock(io->sync, io->lock);
	return status;
}

enum ph_status ph__io_provide(struct ph__io *io, uint64_t block, uint32_t count)
{
	const struct ph_device_ops *ops = io->device->ops;
	if (!ops->provide)
		return PH_OK;
	ph__lock(io->sync, io->lock);
	enum ph_status status =
	        ops->provide(io->device, block * PH__BLOCK, (uint64_t)count * PH__BLOCK);
	ph__unlock(io->sync, io->lock);
	return status == PH_OK ? PH_OK : PH_ERR_FULL;
}

enum ph_status ph__io_discard(struct ph__io *io, uint64_t block, uint32_t count)
{
	const struct ph_device_ops *ops = io->device->ops;
	if (!ops->discard || atomic_load(&io->failed))
		return PH_ERR_UNSUPPORTED;
	ph__lock(io->sync, io->lock);
	enum ph_status status =
	        ops->discard(io->device, block * PH__BLOCK, (uint64_t)count * PH__BLOCK);
	ph__unlock(io->sync, io->lock);
	return status;
}

/* Steps of an eighth, 4 MiB to 1 GiB, so that growing is rare and wastes little. */
static uint64_t grow_step(uint64_t blocks, uint64_t more)
{
	uint64_t step = blocks / 8;
	if (step < (4u << 20) / PH__BLOCK)
		step = (4u << 20) / PH__BLOCK;
	if (step > (1u << 30) / PH__BLOCK)
		step = (1u << 30) / PH__BLOCK;
	return step > more ? step : more;
}

enum ph_status ph__io_grow(struct ph__io *io, uint64_t more)
{
	const struct ph_device_ops *ops = io->device->ops;
	if (!ops->grow || atomic_load(&io->failed))
		return PH_ERR_FULL;
	ph__lock(io->sync, io->lock);
	uint64_t blocks = atomic_load(&io->blocks);
	uint64_t step = grow_step(blocks, more);
	enum ph_status status = PH_ERR_FULL;
	if (more <= PH__BLOCKS_MAX - blocks)
		status = ops->grow(io->device, (blocks + step) * PH__BLOCK);
	if (status != PH_OK && step > more && more <= PH__BLOCKS_MAX - blocks)
		status = ops->grow(io->device, (blocks + more) * PH__BLOCK);
	if (status == PH_OK)
		atomic_store(&io->blocks, usable(io->device));
	ph__unlock(io->sync, io->lock);
	return status == PH_OK ? PH_OK : PH_ERR_FULL;
}
