/* SPDX-License-Identifier: MIT */
/*
 * A file or block device of the host. Transfers go on after interrupts and short counts; a flush is
 * fdatasync, which also makes a file's new length stable. A new file is readable by its owner
 * alone, since it holds the host key, and its directory entry is synced before anybody relies on
 * it.
 */
#define _GNU_SOURCE 1 /* flock, fallocate, and what POSIX has */
#define _FILE_OFFSET_BITS 64

#include <packhorse/device_posix.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/fs.h>
#endif

#define FILE_BLOCK_BYTES 4096u
/* A file that is to be formatted has zeros so far. */
#define FILE_BLANK_BYTES 65536

struct posix_device {
	struct ph_device device;
	const struct ph_alloc *alloc;
	int fd;
};

static int fd_of(struct ph_device *device)
{
	return ((struct posix_device *)device)->fd;
}

static enum ph_status from_errno(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return PH_ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return PH_ERR_DENIED;
	case EWOULDBLOCK:
	case EBUSY:
		return PH_ERR_BUSY;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return PH_ERR_FULL;
	case ENOMEM:
		return PH_ERR_NOMEM;
	case EISDIR:
		return PH_ERR_INVALID;
	default:
		return PH_ERR_IO;
	}
}

static enum ph_status posix_read(struct ph_device *device, uint64_t offset, void *buf, size_t len)
{
	uint8_t *to = buf;
	while (len > 0) {
		ssize_t got = pread(fd_of(device), to, len, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		/* 0: somebody made the file shorter. */
		if (got <= 0)
			return PH_ERR_IO;
		to += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return PH_OK;
}

static enum ph_status posix_write(struct ph_device *device, uint64_t offset, const void *buf,
                                  size_t len)
{
	const uint8_t *from = buf;
	while (len > 0) {
		ssize_t put = pwrite(fd_of(device), from, len, (off_t)offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? from_errno(errno) : PH_ERR_IO;
		from += put;
		offset += (uint64_t)put;
		len -= (size_t)put;
	}
	return PH_OK;
}

static enum ph_status posix_flush(struct ph_device *device)
{
	for (;;) {
#if defined(__APPLE__)
		/* fsync there leaves the data in the drive's cache. */
		int result = fcntl(fd_of(device), F_FULLFSYNC);
#else
		int result = fdatasync(fd_of(device));
#endif
		if (result == 0)
			return PH_OK;
		if (errno != EINTR)
			return PH_ERR_IO;
	}
}

/* Makes a file longer, with blocks behind it where the file system can promise them. */
static enum ph_status extend(int fd, uint64_t from, uint64_t to)
{
	int error;
	do
		error = posix_fallocate(fd, (off_t)from, (off_t)(to - from));
	while (error == EINTR);
	if (error == EINVAL || error == EOPNOTSUPP)
		error = ftruncate(fd, (off_t)to) == 0 ? 0 : errno;
	return error ? from_errno(error) : PH_OK;
}

static enum ph_status posix_grow(struct ph_device *device, uint64_t bytes)
{
	if (bytes <= device->bytes)
		return PH_OK;
	if (bytes > INT64_MAX)
		return PH_ERR_FULL;
	enum ph_status status = extend(fd_of(device), device->bytes, bytes);
	if (status == PH_OK)
		device->bytes = bytes;
	return status;
}

#if defined(__linux__)
static int allocate(struct ph_device *device, int mode, uint64_t offset, uint64_t len)
{
	int result;
	do
		result = fallocate(fd_of(device), mode, (off_t)offset, (off_t)len);
	while (result != 0 && errno == EINTR);
	return result == 0 ? 0 : errno;
}

/* Punches a hole. */
static enum ph_status file_discard(struct ph_device *device, uint64_t offset, uint64_t len)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int error = allocate(device, mode, offset, len);
	return error == EOPNOTSUPP || error == ENOSYS ? PH_ERR_UNSUPPORTED
	       : error                                ? PH_ERR_IO
	                                              : PH_OK;
}

static enum ph_status file_provide(struct ph_device *device, uint64_t offset, uint64_t len)
{
	int error = allocate(device, FALLOC_FL_KEEP_SIZE, offset, len);
	/* Where no space can be set aside there are no holes of ours either. */
	return error == 0 || error == EOPNOTSUPP || error == ENOSYS ? PH_OK : from_errno(error);
}

static enum ph_status disk_discard(struct ph_device *device, uint64_t offset, uint64_t len)
{
	uint64_t range[2] = {offset, len};
	if (ioctl(fd_of(device), BLKDISCARD, range) == 0)
		return PH_OK;
	return errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL ? PH_ERR_UNSUPPORTED
	                                                                 : PH_ERR_IO;
}
#endif

/* What its file system has left for who is not root. */
static uint64_t posix_room(struct ph_device *device)
{
	struct statvfs fs;
	if (fstatvfs(fd_of(device), &fs) != 0 || fs.f_frsize == 0)
		return UINT64_MAX;
	if (fs.f_bavail > UINT64_MAX / fs.f_frsize)
		return UINT64_MAX;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static void posix_close(struct ph_device *device)
{
	struct posix_device *posix = (struct posix_device *)device;
	/* The lock goes with it. */
	close(posix->fd);
	ph_mem_free(posix->alloc, posix);
}

static const struct ph_device_ops file_ops = {
        .read = posix_read,
        .write = posix_write,
        .flush = posix_flush,
        .grow = posix_grow,
        .close = posix_close,
        .room = posix_room,
#if defined(__linux__)
        .discard = file_discard,
        .provide = file_provide,
#endif
};

static const struct ph_device_ops disk_ops = {
        .read = posix_read,
        .write = posix_write,
        .flush = posix_flush,
        .close = posix_close,
#if defined(__linux__)
        .discard = disk_discard,
#endif
};

/* ---- opening ---- */

static int open_retry(const char *path, int flags)
{
	int fd;
	do
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, (mode_t)0600);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* Syncs the directory of a new file. */
static enum ph_status sync_directory(const struct ph_alloc *alloc, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *copy = slash ? ph_mem_strdup(alloc, path, slash == path ? 1 : (size_t)(slash - path))
	                   : NULL;
	if (slash && !copy)
		return PH_ERR_NOMEM;
	int fd = open_retry(copy ? copy : ".", O_RDONLY | O_DIRECTORY);
	ph_mem_free(alloc, copy);
	if (fd < 0)
		return from_errno(errno);
	int result = fsync(fd);
	int error = errno;
	close(fd);
	/* Some file systems cannot sync a directory, and then need not. */
	return result == 0 || error == EINVAL ? PH_OK : PH_ERR_IO;
}

static enum ph_status measure_disk(struct posix_device *posix)
{
#if defined(__linux__)
	uint64_t bytes = 0;
	int sector = 0;
	if (ioctl(posix->fd, BLKGETSIZE64, &bytes) != 0 ||
	    ioctl(posix->fd, BLKSSZGET, &sector) != 0)
		return PH_ERR_IO;
	if (sector < 512 || sector > 4096)
		return PH_ERR_INVALID;
	posix->device.bytes = bytes;
	posix->device.block_bytes = (uint32_t)sector;
	return PH_OK;
#else
	off_t end = lseek(posix->fd, 0, SEEK_END);
	if (end < 0)
		return PH_ERR_IO;
	posix->device.bytes = (uint64_t)end;
	posix->device.block_bytes = FILE_BLOCK_BYTES;
	return PH_OK;
#endif
}

/*
 * Whether somebody's small file is blank could not be seen by whole blocks alone. Ours may have
 * such a length after a power cut, while it grows for the first time: then it is all zeros.
 */
static bool is_zero(int fd, size_t len)
{
	uint8_t piece[512];
	for (size_t at = 0; at < len; at += sizeof(piece)) {
		ssize_t got = pread(fd, piece, sizeof(piece), (off_t)at);
		for (ssize_t i = 0; i < got; i++)
			if (piece[i] != 0)
				return false;
		if (got <= 0)
			return false;
	}
	return true;
}

static enum ph_status measure(struct posix_device *posix)
{
	struct stat info;
	if (fstat(posix->fd, &info) != 0)
		return PH_ERR_IO;
	if (S_ISBLK(info.st_mode)) {
		posix->device.ops = &disk_ops;
		return measure_disk(posix);
	}
	if (!S_ISREG(info.st_mode))
		return PH_ERR_INVALID;
	posix->device.ops = &file_ops;
	posix->device.block_bytes = FILE_BLOCK_BYTES;
	if (info.st_size < FILE_BLANK_BYTES && info.st_size % FILE_BLOCK_BYTES != 0 &&
	    !is_zero(posix->fd, (size_t)info.st_size))
		return PH_ERR_INVALID;
	/* A last part of a block is none of ours, and growing writes over it. */
	posix->device.bytes = (uint64_t)info.st_size / FILE_BLOCK_BYTES * FILE_BLOCK_BYTES;
	return PH_OK;
}

/* Opens, creates or opens for reading only, whichever is possible. */
static enum ph_status open_file(struct posix_device *posix, const char *path, bool create)
{
	bool created = false;
	posix->fd = open_retry(path, O_RDWR | O_NONBLOCK);
	if (posix->fd < 0 && errno == ENOENT && create) {
		posix->fd = open_retry(path, O_RDWR | O_CREAT | O_EXCL);
		created = posix->fd >= 0;
		/* Somebody else was faster. */
		if (posix->fd < 0 && errno == EEXIST)
			posix->fd = open_retry(path, O_RDWR | O_NONBLOCK);
	}
	if (posix->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
		posix->fd = open_retry(path, O_RDONLY | O_NONBLOCK);
		posix->device.read_only = true;
	}
	if (posix->fd < 0)
		return from_errno(errno);
	return created ? sync_directory(posix->alloc, path) : PH_OK;
}

enum ph_status ph_device_posix_open(struct ph_device **out, const struct ph_alloc *alloc,
                                    const char *path, bool create)
{
	struct posix_device *posix = ph_mem_zalloc(alloc, 1, sizeof(*posix));
	if (!posix)
		return PH_ERR_NOMEM;
	posix->alloc = alloc;
	posix->fd = -1;
	enum ph_status status = open_file(posix, path, create);
	if (status == PH_OK && flock(posix->fd, LOCK_EX | LOCK_NB) != 0)
		status = errno == EWOULDBLOCK ? PH_ERR_BUSY : PH_ERR_IO;
	if (status == PH_OK)
		status = measure(posix);
	if (status != PH_OK) {
		if (posix->fd >= 0)
			close(posix->fd);
		ph_mem_free(alloc, posix);
		return status;
	}
	*out = &posix->device;
	return PH_OK;
}
