/* SPDX-License-Identifier: MIT */
/*
 * What an export leaves is on stable storage: every folder that it made, and the one that those are
 * in. fsync is this file's, notes what it was called for, and is that of a file system that cannot
 * do it for folders.
 */
#include "disk_tools.h"

#include "daemon_int.h"
#include "export.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char synced[16384]; /* paths, a line each */
static bool broken;        /* folders fail for another reason */

int fsync(int fd)
{
	char link[64], path[4096];
	struct stat about;
	size_t at = strlen(synced);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof(path));
	assert_true(len > 0 && fstat(fd, &about) == 0);
	if (!S_ISDIR(about.st_mode))
		return 0;
	snprintf(synced + at, sizeof(synced) - at, "%.*s\n", (int)len, path);
	errno = broken ? EIO : EINVAL;
	return -1;
}

bool ph__export_stops(struct ph_export *export)
{
	(void)export;
	return false;
}

static bool was_synced(const char *top, const char *name)
{
	char line[4200];
	snprintf(line, sizeof(line), "%s%s\n", top, name);
	return strstr(synced, line) != NULL;
}

static int remove_one(const char *path, const struct stat *about, int flag, struct FTW *at)
{
	(void)about;
	(void)flag;
	(void)at;
	return remove(path);
}

static struct ph_store *make_store(struct sim_device **sim, struct ph_store_disk_options *options)
{
	struct ph_store *store;
	struct ph_txn *txn;
	uint32_t change;
	sim_options(options);
	*sim = sim_new(1 << 20, 32 << 20);
	assert_status(sim_open(*sim, options, &store), PH_OK);
	assert_status(tool_create(store, "r"), PH_OK);
	assert_status(tool_push(store, "r", "refs/heads/x", 1, 5000), PH_OK);
	assert_status(tool_begin(store, "r", &txn), PH_OK);
	assert_status(
	        ph_txn_symref_update(txn, "refs/remotes/deep/er/a", NULL, "refs/heads/x", &change),
	        PH_OK);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
	return store;
}

static enum ph_status export_to(struct ph_store *store, struct ph_store_disk_options *options,
                                const char *to)
{
	struct ph_export export = {.repo = "r", .to = to, .quiet = true, .image.options = *options};
	synced[0] = '\0';
	assert_status(ph_store_snapshot(store, "r", &export.snapshot), PH_OK);
	enum ph_status status = ph__export_folder(&export);
	ph_snapshot_release(export.snapshot);
	return status;
}

static void test_folders(void **state)
{
	static const char *const names[] = {"",
	                                    "/new",
	                                    "/new/objects",
	                                    "/new/objects/pack",
	                                    "/new/refs",
	                                    "/new/refs/heads",
	                                    "/new/refs/remotes",
	                                    "/new/refs/remotes/deep",
	                                    "/new/refs/remotes/deep/er"};
	struct ph_store_disk_options options;
	struct sim_device *sim;
	struct ph_store *store = make_store(&sim, &options);
	char top[] = "/tmp/packhorse-export-XXXXXX", to[64];
	(void)state;
	assert_non_null(mkdtemp(top));
	/* Slashes behind the name are not one more folder. */
	snprintf(to, sizeof(to), "%s/new//", top);
	assert_status(export_to(store, &options, to), PH_OK);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!was_synced(top, names[i]))
			fail_msg("%s was not synced; these were:\n%s", names[i], synced);
	/* Into a folder that was there, the one that it is in need not be. */
	snprintf(to, sizeof(to), "%s/there", top);
	assert_int_equal(mkdir(to, 0777), 0);
	assert_status(export_to(store, &options, to), PH_OK);
	assert_true(was_synced(top, "/there/refs/heads") && !was_synced(top, ""));
	/* What cannot be synced for another reason is no export. */
	snprintf(to, sizeof(to), "%s/broken", top);
	broken = true;
	assert_status(export_to(store, &options, to), PH_ERR_IO);
	broken = false;
	assert_int_equal(access(to, F_OK), -1);
	assert_int_equal(nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	ph_store_close(store);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_folders)};
	return cmocka_run_group_tests_name("packhorse export to a folder", tests, NULL, NULL);
}
