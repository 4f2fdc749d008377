/* SPDX-License-Identifier: MIT */
/*
 * What packhorse import reads: the first byte says which file of a repository the rest is, or that
 * it is a bundle. Whatever it says, an import succeeds with what git would see, or fails with words
 * and leaves the store empty.
 */
#include "daemon_int.h"
#include "import.h"
#include <packhorse/store_mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An empty blob, as a loose object. */
#define BLOB "objects/e6/9de29bb2d1d6434b8b29ae775ad8c2e48c5391"

static const char *const files[] = {"HEAD",    "config",       "packed-refs",
                                    "shallow", "refs/heads/x", "objects/info/alternates",
                                    BLOB,      "commondir"};

/* ---- no threads here ---- */

struct ph_worker_pool *ph__pool_new(unsigned fast, unsigned bulk)
{
	(void)fast;
	(void)bulk;
	return NULL;
}

const struct ph_executor *ph__pool_executor(const struct ph_worker_pool *pool)
{
	(void)pool;
	return NULL;
}

void ph__pool_stop(struct ph_worker_pool *pool)
{
	(void)pool;
}

void ph__pool_free(struct ph_worker_pool *pool)
{
	(void)pool;
}

/* ---- a repository with one file of the input's ---- */

static void put(const char *folder, const char *name, const void *data, size_t size)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
		abort();
}

static void make_folder(const char *folder)
{
	static const char *const names[] = {"refs", "refs/heads", "objects", "objects/info",
	                                    "objects/e6"};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		if (mkdir(path, 0700) != 0)
			abort();
	}
	put(folder, "HEAD", "ref: refs/heads/main\n", 21);
}

static void remove_folder(const char *folder)
{
	static const char *const names[] = {"refs/heads", "refs",    "objects/info",
	                                    "objects/e6", "objects", ""};
	char path[256];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		(void)unlink(path);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		if (rmdir(path) != 0)
			abort();
	}
}

static enum ph_status run_folder(struct ph_import *import, unsigned which, const uint8_t *data,
                                 size_t size)
{
	/* In memory where that can be had: it is made a thousand times. */
	char folder[] = "/dev/shm/packhorse-fuzz-XXXXXX";
	enum ph_status status;

	if (!mkdtemp(folder)) {
		memcpy(folder, "/tmp/packhorse-fuzz-XXXXXX", 27);
		if (!mkdtemp(folder))
			abort();
	}
	make_folder(folder);
	put(folder, files[which % (sizeof(files) / sizeof(*files))], data, size);
	import->from = folder;
	status = ph__import_folder(import);
	remove_folder(folder);
	import->from = "folder";
	return status;
}

static enum ph_status run_bundle(struct ph_import *import, const uint8_t *data, size_t size)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	enum ph_status status;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	import->from = "bundle";
	status = ph__import_bundle(import, fd);
	close(fd);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_import *import = calloc(1, sizeof(*import));
	struct ph_store_mem_options options = {0};
	char name[PH_REPO_NAME_MAX + 1];
	enum ph_status status;
	bool committed;

	if (!import || size == 0) {
		free(import);
		return 0;
	}
	ph_limits_init(&import->image.limits);
	import->image.limits.object_bytes_max = import->image.limits.metadata_bytes_max = 1 << 20;
	import->image.options.alloc = options.alloc = ph_alloc_libc();
	options.limits = &import->image.limits;
	if (ph_store_mem_new(&import->image.store, &options) != PH_OK)
		abort();
	import->repo = "fuzzed";
	import->quiet = true;
	status = data[0] == 'b' ? run_bundle(import, data + 1, size - 1)
	                        : run_folder(import, data[0] - (unsigned)'0', data + 1, size - 1);
	if (status == PH_OK)
		status = ph__import_prove(import);
	if (status == PH_OK)
		status = ph__import_forward(import);
	if (status == PH_OK)
		status = ph__import_refs_stage(import);
	if (status == PH_OK)
		status = ph__import_commit(import);
	if (status > 0 || (status == PH_ERR_INVALID && !*import->why))
		abort();
	committed = status == PH_OK;
	ph__import_release(import);
	status = ph_store_next_repo(import->image.store, "", name);
	if (committed ? status != PH_OK : status != PH_END)
		abort();
	ph_store_close(import->image.store);
	free(import);
	return 0;
}
