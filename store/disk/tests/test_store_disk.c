/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite over a store on disk: once on a device in memory, once on a file. Whenever
 * a store is closed it is checked first, block by block.
 */
#define _DEFAULT_SOURCE 1 /* mkdtemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "conformance.h"
#include "sim_device.h"

#include <packhorse/device_posix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM ((uint64_t)512 << 20)

static void set_options(const struct ph_conformance_options *wanted,
                        struct ph_store_disk_options *options)
{
	sim_options(options);
	options->alloc = wanted->alloc;
	options->limits = wanted->limits;
	options->sync = wanted->sync;
	/* Small, so that replacement happens. */
	options->cache_bytes = 256 << 10;
}

static void expect_clean(struct ph_store *store)
{
	enum ph_status status = sim_check(store);
	/* A test may have the allocator fail for good. */
	if (status != PH_OK && status != PH_ERR_NOMEM)
		fail_msg("check: %s", ph_status_name(status));
}

/* ---- in memory ---- */

static struct sim_device *medium;

static enum ph_status mem_open(void *user, const struct ph_conformance_options *wanted,
                               struct ph_store **out)
{
	struct ph_store_disk_options options;
	(void)user;
	set_options(wanted, &options);
	sim_free(medium);
	medium = sim_new(1 << 20, wanted->bytes_max ? wanted->bytes_max : ROOM);
	return sim_open(medium, &options, out);
}

static enum ph_status mem_reopen(void *user, const struct ph_conformance_options *wanted,
                                 struct ph_store **store)
{
	struct ph_store_disk_options options;
	(void)user;
	set_options(wanted, &options);
	expect_clean(*store);
	ph_store_close(*store);
	*store = NULL;
	return sim_open(medium, &options, store);
}

static void mem_close(void *user, struct ph_store *store)
{
	(void)user;
	if (store)
		expect_clean(store);
	ph_store_close(store);
	sim_free(medium);
	medium = NULL;
}

/* ---- in a file ---- */

static char folder[64];
static char path[96];

static enum ph_status file_start(const struct ph_conformance_options *wanted, struct ph_store **out,
                                 bool create)
{
	struct ph_store_disk_options options;
	struct ph_device *device;
	set_options(wanted, &options);
	enum ph_status status = ph_device_posix_open(&device, wanted->alloc, path, create);
	if (status != PH_OK)
		return status;
	if (create)
		status = ph_store_disk_format(device, &options);
	if (status == PH_OK)
		status = ph_store_disk_open(out, device, &options);
	if (status != PH_OK)
		device->ops->close(device);
	return status;
}

static enum ph_status file_open(void *user, const struct ph_conformance_options *wanted,
                                struct ph_store **out)
{
	(void)user;
	return file_start(wanted, out, true);
}

static enum ph_status file_reopen(void *user, const struct ph_conformance_options *wanted,
                                  struct ph_store **store)
{
	(void)user;
	ph_store_close(*store);
	*store = NULL;
	return file_start(wanted, store, false);
}

static void file_close(void *user, struct ph_store *store)
{
	(void)user;
	if (store)
		expect_clean(store);
	ph_store_close(store);
	unlink(path);
}

int main(void)
{
	const struct ph_conformance_factory in_memory = {
	        .name = "store_disk in memory",
	        .open = mem_open,
	        .reopen = mem_reopen,
	        .close = mem_close,
	        .threads = true,
	        .bounded = true,
	};
	const struct ph_conformance_factory in_file = {
	        .name = "store_disk in a file",
	        .open = file_open,
	        .reopen = file_reopen,
	        .close = file_close,
	        .threads = true,
	};
	int failed = ph_conformance_run(&in_memory);
	/* In memory where there is such a file system: thousands of flushes take their time. */
	snprintf(folder, sizeof(folder), "/dev/shm/ph-disk-XXXXXX");
	if (!mkdtemp(folder)) {
		snprintf(folder, sizeof(folder), "/tmp/ph-disk-XXXXXX");
		if (!mkdtemp(folder))
			return 1;
	}
	snprintf(path, sizeof(path), "%s/store", folder);
	failed += ph_conformance_run(&in_file);
	rmdir(folder);
	return failed;
}
