/* SPDX-License-Identifier: MIT */
/*
 * The store: on the machine's disk, which is the very image file that the daemon serves, or in
 * memory where there is none. A disk is formatted only when that was asked for and it is blank;
 * every other thing that it may be has a line of its own. A device that cannot flush is left to
 * the store's epochs (store/disk/SPEC.md, section 1).
 */
#include "image.h"

#include <packhorse/store_disk.h>
#include <packhorse/store_mem.h>

#include <stdlib.h>
#include <string.h>

/*
 * What must be zero at both ends of a blank disk: as far as the store's superblocks reach, and
 * further than the labels of partition tables, file systems and arrays.
 */
#define BLANK_BYTES 131072u

/* A commit waits so long for sessions that are ready to run and may be about to commit as well. */
#define GATHER_NS UINT64_C(10000000)

static struct ph__block_info info;
static bool failed;
static struct ph_store *disk;    /* NULL: in memory */
static uint64_t gather_until_ns; /* 0: no commit waits */

static enum ph_status note(enum ph_status status, const char *what, uint64_t offset)
{
	/* One line: after a failed write or flush no other is tried. */
	if (status != PH_OK && !failed)
		ph__say(PH_LOG_ERROR,
		        "disk: %s at %llu failed; pushes are refused until the next start", what,
		        (unsigned long long)offset);
	failed = failed || status != PH_OK;
	return status;
}

static enum ph_status disk_read(struct ph_device *device, uint64_t offset, void *buf, size_t len)
{
	enum ph_status status = ph__plat_block_read(offset, buf, len);

	(void)device;
	if (status != PH_OK)
		ph_log_line(ph__log(), PH_LOG_ERROR, "disk", 0, "reading %zu bytes at %llu failed",
		            len, (unsigned long long)offset);
	return status;
}

static enum ph_status disk_write(struct ph_device *device, uint64_t offset, const void *buf,
                                 size_t len)
{
	(void)device;
	return note(ph__plat_block_write(offset, buf, len), "a write", offset);
}

static enum ph_status disk_flush(struct ph_device *device)
{
	(void)device;
	return note(ph__plat_block_flush(), "a flush", 0);
}

static void disk_close(struct ph_device *device)
{
	(void)device;
}

static struct ph_device *find_device(void)
{
	static struct ph_device_ops ops = {
	        .read = disk_read, .write = disk_write, .flush = disk_flush, .close = disk_close};
	static struct ph_device device;

	if (ph__plat_block_open(&info) != PH_OK)
		return NULL;
	if (!info.can_flush)
		ops.flush = NULL;
	ops.discard = info.discard;
	device = (struct ph_device){&ops, info.bytes, info.block_bytes, info.read_only};
	return &device;
}

static bool is_zero(uint64_t offset, uint8_t *buf, size_t len)
{
	if (ph__plat_block_read(offset, buf, len) != PH_OK)
		return false;
	for (size_t i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

static bool is_blank(void)
{
	size_t len = info.bytes < BLANK_BYTES ? (size_t)info.bytes : BLANK_BYTES;
	uint8_t *buf = aligned_alloc(4096, BLANK_BYTES);
	bool blank = buf && is_zero(0, buf, len) && is_zero(info.bytes - len, buf, len);

	free(buf);
	return blank;
}

/* ---- opening ---- */

static enum ph__exit refuse(enum ph_status status)
{
	const char *why = ph_status_text(status);

	if (status == PH_ERR_NOMEM || status == PH_ERR_IO) {
		ph__say(PH_LOG_ERROR, "cannot open the disk: %s", why);
		return PH__EXIT_FAILURE;
	}
	if (status == PH_ERR_INVALID)
		why = "it is neither blank nor a store of packhorse; it was not touched";
	else if (status == PH_ERR_UNSUPPORTED)
		why = "its format is of a later version; use a newer image";
	else if (status == PH_ERR_CORRUPT)
		why = "it is a store of packhorse, but too damaged to be opened; it was not "
		      "touched";
	else if (status == PH_ERR_FULL)
		why = "it is smaller than a store can be, 1 MiB";
	else if (status == PH_ERR_READ_ONLY)
		why = "it is blank, and attached read-only";
	ph__say(PH_LOG_ERROR, "cannot use the disk: %s", why);
	return PH__EXIT_DISK;
}

static void describe(bool fresh)
{
	ph__say(PH_LOG_INFO, "store: disk of %llu MB%s%s", (unsigned long long)(info.bytes >> 20),
	        fresh ? ", initialized" : "", info.read_only ? ", read-only" : "");
	if (!info.can_flush)
		ph__say(PH_LOG_WARN,
		        "the disk cannot flush: when the host loses power, its last pushes may be "
		        "lost, newest first and each as a whole");
}

static enum ph__exit open_disk(struct ph_store **out, struct ph_device *device,
                               const struct ph_store_disk_options *options, bool initialize)
{
	enum ph_status status = ph_store_disk_open(out, device, options);
	bool fresh = status == PH_ERR_INVALID && is_blank();

	if (fresh && !initialize) {
		ph__say(PH_LOG_ERROR, "the disk is blank: start once with --initialize-disk to "
		                      "make a store on it");
		return PH__EXIT_DISK;
	}
	if (fresh) {
		status = ph_store_disk_format(device, options);
		if (status == PH_OK)
			status = ph_store_disk_open(out, device, options);
	}
	if (status != PH_OK)
		return refuse(status);
	describe(fresh);
	return PH__EXIT_OFF;
}

static enum ph__exit open_memory(struct ph_store **out, const struct ph_limits *limits,
                                 uint64_t bytes, bool initialize)
{
	struct ph_store_mem_options options = {
	        .alloc = ph_alloc_libc(), .limits = limits, .bytes_max = bytes};

	if (initialize) {
		ph__say(PH_LOG_ERROR, "--initialize-disk was given, but there is no disk");
		return PH__EXIT_DISK;
	}
	if (ph_store_mem_new(out, &options) != PH_OK)
		return PH__EXIT_FAILURE;
	ph__say(PH_LOG_WARN,
	        "store: memory, at most %llu MB. An acknowledged push is gone when "
	        "this machine is powered off",
	        (unsigned long long)(bytes >> 20));
	return PH__EXIT_OFF;
}

enum ph__exit ph__disk_open(struct ph_store **out, const struct ph_limits *limits,
                            uint64_t cache_bytes, uint64_t memory_bytes, bool initialize)
{
	struct ph_device *device = find_device();
	struct ph_store_disk_options options = {0};

	if (!device)
		return open_memory(out, limits, memory_bytes, initialize);
	options.alloc = ph_alloc_libc();
	options.limits = limits;
	options.log = ph__log();
	options.cache_bytes = cache_bytes;
	options.random = ph__random;
	options.deferred = true;
	enum ph__exit code = open_disk(out, device, &options, initialize);
	disk = code == PH__EXIT_OFF ? *out : NULL;
	return code;
}

bool ph__disk_commit(bool others)
{
	if (!disk || !ph_store_disk_waits(disk))
		return false;
	uint64_t now_ns = ph__plat_monotonic_ns();
	if (gather_until_ns == 0)
		gather_until_ns = now_ns + GATHER_NS;
	if (others && now_ns < gather_until_ns)
		return false;
	gather_until_ns = 0;
	return ph_store_disk_commit(disk);
}
