/* SPDX-License-Identifier: MIT */
/*
 * packhorse mkfs: an empty store in a new file or on a device. What is not blank is left alone,
 * since it may be somebody's data; --force takes it nevertheless, and says so by its name.
 */
#include "daemon_int.h"
#include "tools_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The least that a store is useful with; and what format looks at to tell whether a device is
 * blank. */
#define SIZE_MIN ((uint64_t)16 << 20)
#define HEAD_BYTES ((size_t)64 << 10)

struct mkfs {
	const char *path;
	uint64_t size; /* 0: as it is, or grown at need */
	bool force;
};

static void usage(FILE *to)
{
	fputs("usage: packhorse mkfs FILE|DEV [--size SIZE] [--force]\n"
	      "\n"
	      "  --size SIZE   of the file, in bytes or with K, M, G or T behind it; at least 16M\n"
	      "                (default: it grows at need)\n"
	      "  --force       also when FILE or DEV is not blank: what is on it is lost\n",
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

/* -1 to go on, or an exit code. */
static int parse(struct mkfs *mkfs, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return PH_EXIT_OK;
		}
		if (strcmp(argv[i], "--force") == 0) {
			mkfs->force = true;
		} else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc) {
			if (!size_parse(&mkfs->size, argv[++i])) {
				fprintf(stderr,
				        "packhorse: --size takes a number of at least 16M, such as "
				        "512M or 20G, not '%s'\n",
				        argv[i]);
				return PH_EXIT_USAGE;
			}
		} else if (argv[i][0] != '-' && !mkfs->path) {
			mkfs->path = argv[i];
		} else {
			usage(stderr);
			return PH_EXIT_USAGE;
		}
	}
	if (mkfs->path)
		return -1;
	usage(stderr);
	return PH_EXIT_USAGE;
}

/* The file gets its size; a device has one. */
static enum ph_status resize(struct ph_device *device, uint64_t size)
{
	if (size == 0 || size <= device->bytes)
		return PH_OK;
	return device->ops->grow ? device->ops->grow(device, size) : PH_ERR_FULL;
}

static enum ph_status wipe(struct ph_device *device)
{
	static const uint8_t zeros[HEAD_BYTES];
	size_t len = device->bytes < HEAD_BYTES ? (size_t)device->bytes : HEAD_BYTES;
	enum ph_status status = len ? device->ops->write(device, 0, zeros, len) : PH_OK;

	if (status == PH_OK && device->ops->flush)
		status = device->ops->flush(device);
	return status;
}

static enum ph_status make(struct ph_image *image, const struct mkfs *mkfs)
{
	enum ph_status status;

	errno = 0;
	if (image->device->read_only)
		return PH_ERR_READ_ONLY;
	status = mkfs->force ? wipe(image->device) : PH_OK;
	/* A file that turns out not to be blank must keep its size, too. */
	if (status == PH_OK && (image->device->bytes == 0 || mkfs->force))
		status = resize(image->device, mkfs->size);
	return status == PH_OK ? ph_store_disk_format(image->device, &image->options) : status;
}

int ph__tool_mkfs(int argc, char **argv)
{
	struct mkfs mkfs = {0};
	struct ph_image image;
	enum ph_status status;
	int code = parse(&mkfs, argc, argv);

	if (code >= 0)
		return code;
	if (!ph__image_device(&image, mkfs.path, true))
		return PH_EXIT_FAILURE;
	status = make(&image, &mkfs);
	if (status == PH_ERR_EXISTS)
		fprintf(stderr,
		        "packhorse: %s is not blank; --force makes a store of it, and what is on "
		        "it "
		        "is lost\n",
		        mkfs.path);
	else if (status == PH_ERR_FULL)
		fprintf(stderr, "packhorse: there is no room for that size in %s\n", mkfs.path);
	else if (status != PH_OK)
		ph__image_failed(mkfs.path, "make a store in", status);
	ph__image_close(&image);
	return status == PH_OK ? PH_EXIT_OK : PH_EXIT_FAILURE;
}
