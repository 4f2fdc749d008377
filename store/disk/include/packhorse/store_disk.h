/* SPDX-License-Identifier: MIT */
/*
 * A store in one file or block device; its format is store/disk/SPEC.md. A commit that returned
 * PH_OK is on stable storage. After a failed write or flush the store is read-only until it is
 * opened again.
 */
#ifndef PACKHORSE_STORE_DISK_H
#define PACKHORSE_STORE_DISK_H

#include <packhorse/device.h>
#include <packhorse/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_store_disk_options {
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	const struct ph_sync *sync; /* NULL when one thread uses the store */
	const struct ph_log *log;   /* may be NULL */
	uint64_t cache_bytes;       /* bounded cache of blocks read; 0 for the default, 16 MiB */
	/* Everything read and written is checked by it: a faster ph_crc32. NULL: that. */
	uint32_t (*crc32)(uint32_t crc, const void *data, size_t len);
	/* Inflates for readers of its packs (unpack.h), and outlives the store; may be NULL. */
	const struct ph_unpack *unpack;
	/* Commits that may wait do so until ph_store_disk_commit. For a loop of one thread, where
	 * they would come one after the other, each with flushes of its own. */
	bool deferred;
	void *user;
	/* Random bytes for the store's id; may be NULL when only opening. */
	enum ph_status (*random)(void *user, void *buf, size_t len);
	/* May be NULL. Where a status alone does not say it all: why a store does not open, as the
	 * end of a sentence; else it is left as it is. */
	const char **why;
};

/*
 * What a device begins with while it is formatted, its 0 included, with zeros behind it up to 64
 * KiB: where that is still so, formatting was interrupted, and the device is as good as blank
 * (SPEC.md, section 7).
 */
#define PH_STORE_DISK_UNFINISHED "unfinished store of packhorse\n"

/*
 * Formats a device that is blank (its first 64 KiB are zero but for PH_STORE_DISK_UNFINISHED, or it
 * is empty and can grow).
 * PH_ERR_EXISTS when it is not; PH_ERR_FULL when smaller than 1 MiB and it cannot grow.
 */
PH_MUST_CHECK PH_API enum ph_status
ph_store_disk_format(struct ph_device *device, const struct ph_store_disk_options *options);

/*
 * Opens a formatted device, and owns it from then on (on error the caller still does).
 * PH_ERR_INVALID: not a store of ours. PH_ERR_UNSUPPORTED: another version of the format, or a
 * feature that is not known. PH_ERR_CORRUPT: no epoch can be believed, or the device is smaller
 * than the store. PH_ERR_NOMEM, PH_ERR_IO. Nothing was written then.
 */
PH_MUST_CHECK PH_API enum ph_status ph_store_disk_open(struct ph_store **out,
                                                       struct ph_device *device,
                                                       const struct ph_store_disk_options *options);

/*
 * Makes all commits that wait, with flushes that they share, and wakes their callers; false when
 * there were none. For a store that is deferred: to be called when all that could run has run, or
 * when those that wait have waited long enough.
 */
PH_API bool ph_store_disk_commit(struct ph_store *store);
/* Whether there are commits that wait. */
PH_API bool ph_store_disk_waits(struct ph_store *store);

/* What a store is, by its newest epoch. */
struct ph_store_disk_info {
	uint32_t version; /* of the format */
	uint8_t id[16];   /* random, made with the store */
	uint64_t epoch;
	uint64_t bytes, free_bytes; /* of the store; the device may be larger */
	uint64_t repos;
	bool read_only; /* it is damaged, or its device cannot be written */
	bool unflushed; /* written to a device that cannot flush */
};
/* store is one that ph_store_disk_open gave. */
PH_API void ph_store_disk_info(struct ph_store *store, struct ph_store_disk_info *out);

/* Reads all structure and checks every checksum. report gets one line a finding. PH_ERR_CORRUPT. */
PH_MUST_CHECK PH_API enum ph_status ph_store_disk_check(struct ph_store *store, void *user,
                                                        void (*report)(void *user,
                                                                       const char *line));

#ifdef __cplusplus
}
#endif
#endif
