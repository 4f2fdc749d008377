/* SPDX-License-Identifier: MIT */
/*
 * packhorse mkfs: an empty store in a new file or on a device. What is not blank is left alone,
 * since it may be somebody's data, and what it seems to be is said; --force takes it nevertheless.
 */
#include "daemon_int.h"
#include "progress.h"
#include "tools_int.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The least that a store is useful with. */
#define SIZE_MIN ((uint64_t)16 << 20)

struct mkfs {
	struct ph_image image;
	const char *path;
	uint64_t size; /* 0: as it is, or grown at need */
	bool force, sparse, quiet, json;
	bool made; /* there was no such file */
	bool disk; /* it cannot grow */
};

static void usage(FILE *to)
{
	fputs("usage: packhorse mkfs FILE|DEV [--size SIZE [--sparse]] [--force] [--quiet] "
	      "[--json]\n"
	      "\n"
	      "  --size SIZE   of the file, in bytes or with K, M, G or T behind it; at least 16M\n"
	      "                (default: it grows at need)\n"
	      "  --sparse      do not reserve that on the host's disk: it is taken as it is used\n"
	      "  --force       also when FILE or DEV is not blank: what is on it is lost\n"
	      "  --quiet       say nothing but errors\n"
	      "  --json        what was made, for programs\n",
	      to);
}

static bool size_parse(uint64_t *out, const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long value = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (*text < '0' || *text > '9' || (*end && (!unit || end[1])) ||
	    value > UINT64_MAX >> 1 >> shift)
		return false;
	*out = (uint64_t)value << shift;
	return *out >= SIZE_MIN;
}

/* --size SIZE, or --size=SIZE: the value, and how many arguments that took. */
static const char *size_value(int argc, char **argv, int *used)
{
	*used = 1;
	if (strncmp(argv[0], "--size=", 7) == 0)
		return argv[0] + 7;
	if (strcmp(argv[0], "--size") != 0)
		return NULL;
	*used = 2;
	return argc > 1 ? argv[1] : "";
}

/* Takes the size out of the arguments. -1 to go on, or an exit code. */
static int parse_size(struct mkfs *mkfs, int *argc, char **argv)
{
	int kept = 0;

	for (int i = 0, used; i < *argc; i += used) {
		const char *value = size_value(*argc - i, argv + i, &used);

		if (!value) {
			argv[kept++] = argv[i];
		} else if (!size_parse(&mkfs->size, value)) {
			fprintf(stderr,
			        "packhorse: --size takes a number of at least 16M, such as 512M or "
			        "20G, not '%s'\n",
			        value);
			return PH_EXIT_USAGE;
		}
	}
	*argc = kept;
	return -1;
}

static int parse(struct mkfs *mkfs, int argc, char **argv)
{
	const struct ph_tool_flag flags[] = {{"--force", NULL, &mkfs->force},
	                                     {"--sparse", NULL, &mkfs->sparse},
	                                     {"--quiet", "-q", &mkfs->quiet},
	                                     {"--json", NULL, &mkfs->json},
	                                     {NULL, NULL, NULL}};
	int code = parse_size(mkfs, &argc, argv);

	if (code < 0)
		code = ph__tool_args(argc, argv, flags, &mkfs->path, 1, usage);
	if (code < 0 && mkfs->sparse && !mkfs->size) {
		fputs("packhorse: --sparse needs --size: without it a file grows at need\n",
		      stderr);
		code = PH_EXIT_USAGE;
	}
	return code;
}

static enum ph_status refuse(const struct mkfs *mkfs, const char *why)
{
	fprintf(stderr, "packhorse: cannot make a store in %s: %s\n", mkfs->path, why);
	return PH_ERR_EXISTS;
}

/* It can be had as it was asked for, and what is there is blank, or may be lost. */
static enum ph_status check(struct mkfs *mkfs)
{
	struct ph_device *device = mkfs->image.device;
	const char *found;
	char why[256];
	enum ph_status status;

	if (device->read_only)
		return PH_ERR_READ_ONLY;
	if (mkfs->disk && device->bytes < SIZE_MIN)
		return refuse(mkfs, "it is smaller than 16M, the least that a store needs");
	if (mkfs->disk && mkfs->size)
		return refuse(mkfs, "a device has its size; leave --size out");
	if (mkfs->size && mkfs->size < device->bytes)
		return refuse(mkfs, "it is larger than that already; remove it first");
	if (mkfs->force)
		return PH_OK;
	status = ph__blank_look(device, &found);
	if (status != PH_OK || !found)
		return status;
	snprintf(why, sizeof(why),
	         "it is not blank: it holds %s; --force makes a store of it, and what is on it is "
	         "lost",
	         found);
	return refuse(mkfs, why);
}

/* The file gets its size, which is reserved for it, or is a hole. */
static enum ph_status resize(struct mkfs *mkfs)
{
	struct ph_device *device = mkfs->image.device;

	if (mkfs->size == 0)
		return PH_OK;
	if (!mkfs->sparse)
		return device->ops->grow(device, mkfs->size);
	if (truncate(mkfs->path, (off_t)mkfs->size) != 0)
		return PH_ERR_IO;
	/* How long it is is asked when it is opened. */
	ph__image_close(&mkfs->image);
	return ph__image_device(&mkfs->image, mkfs->path, false) ? PH_OK : PH_ERR_EXISTS;
}

static enum ph_status tell(struct mkfs *mkfs)
{
	struct ph_store_disk_info info;
	char size[PH_SIZE_TEXT_BYTES];

	if (mkfs->quiet && !mkfs->json)
		return PH_OK;
	ph__image_close(&mkfs->image);
	if (!ph__image_open(&mkfs->image, mkfs->path))
		return PH_ERR_EXISTS;
	ph_store_disk_info(mkfs->image.store, &info);
	if (!mkfs->json) {
		fprintf(stderr, "%s: an empty store%s%s\n", mkfs->path,
		        mkfs->size || mkfs->disk ? " of " : ", which grows at need",
		        mkfs->size || mkfs->disk ? ph__size_text(size, info.bytes) : "");
		return PH_OK;
	}
	printf("{\"path\": ");
	ph__json_text(stdout, mkfs->path);
	printf(", \"id\": \"");
	for (size_t i = 0; i < sizeof(info.id); i++)
		printf("%02x", info.id[i]);
	printf("\", \"format\": %" PRIu32 ", \"bytes\": %" PRIu64 "}\n", info.version, info.bytes);
	return PH_OK;
}

static enum ph_status make(struct mkfs *mkfs)
{
	enum ph_status status;

	errno = 0;
	status = check(mkfs);
	if (status == PH_OK)
		status = resize(mkfs);
	/* Up to here nothing is lost that was there. */
	if (status == PH_OK && ph__interrupt_waits())
		return refuse(mkfs, "it was interrupted");
	if (status == PH_OK && mkfs->force)
		status = ph__blank_wipe(mkfs->image.device);
	if (status == PH_OK)
		status = ph_store_disk_format(mkfs->image.device, &mkfs->image.options);
	if (status == PH_ERR_EXISTS)
		return status; /* why was said */
	if (status == PH_ERR_FULL)
		return refuse(mkfs,
		              mkfs->size && !mkfs->sparse
		                      ? "there is no room for that size; --sparse takes it later"
		                      : "there is no room left where it is");
	if (status != PH_OK) {
		ph__image_failed(mkfs->path, "make a store in", status);
		return status;
	}
	return tell(mkfs);
}

int ph__tool_mkfs(int argc, char **argv)
{
	struct mkfs mkfs = {0};
	struct stat about;
	enum ph_status status;
	bool opened;
	int code = parse(&mkfs, argc, argv);

	if (code >= 0)
		return code;
	mkfs.made = stat(mkfs.path, &about) != 0 && errno == ENOENT;
	mkfs.disk = !mkfs.made && S_ISBLK(about.st_mode);
	ph__interrupt_hold();
	opened = ph__image_device(&mkfs.image, mkfs.path, true);
	status = opened ? make(&mkfs) : PH_ERR_IO;
	ph__image_close(&mkfs.image);
	if (status == PH_OK)
		return PH_EXIT_OK;
	/* One that cannot be opened is somebody's who was quicker. */
	if (opened && mkfs.made)
		(void)unlink(mkfs.path);
	ph__interrupt_release();
	return PH_EXIT_FAILURE;
}
