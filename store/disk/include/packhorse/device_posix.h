/* SPDX-License-Identifier: MIT */
/*
 * A device that is a file or block device of a POSIX host: pread, pwrite, fdatasync. It takes an
 * exclusive lock (flock): a second server on the same file gets PH_ERR_BUSY. In a library of its
 * own; nothing below the daemon links it.
 */
#ifndef PACKHORSE_DEVICE_POSIX_H
#define PACKHORSE_DEVICE_POSIX_H

#include <packhorse/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Opens path. create: make an empty file of mode 0600 when there is none, and sync its directory.
 * PH_ERR_NOT_FOUND, PH_ERR_BUSY, PH_ERR_DENIED, PH_ERR_IO, PH_ERR_NOMEM, PH_ERR_INVALID (neither
 * file nor block device).
 */
PH_MUST_CHECK PH_API enum ph_status ph_device_posix_open(struct ph_device **out,
                                                         const struct ph_alloc *alloc,
                                                         const char *path, bool create);

/*
 * Who has the lock, for the message of whoever got PH_ERR_BUSY: text as "process 4242 (packhorse
 * serve --store a.img)". False where it cannot be found out: other systems than Linux, a process
 * that cannot be seen, or the lock is gone by now.
 */
#define PH_DEVICE_HOLDER_BYTES 160u
PH_API bool ph_device_posix_holder(const char *path, char text[PH_DEVICE_HOLDER_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
