/* SPDX-License-Identifier: MIT */
/* An image as tools open it: by one thread, with a lock that no server can have at the same time.
 */
#include "daemon_int.h"
#include "tools_int.h"
#include <errno.h>
#include <packhorse/device_posix.h>
#include <stdio.h>
#include <string.h>

void ph__image_busy(const char *path, char *text, size_t room)
{
	char holder[PH_DEVICE_HOLDER_BYTES];
	bool found = ph_device_posix_holder(path, holder);

	snprintf(text, room, "%s has it open; stop it first",
	         found ? holder : "another server or tool");
}

/* told: by who knows better than the status says; or NULL. */
static void failed(const char *path, const char *what, enum ph_status status, const char *told)
{
	const char *why = ph_status_text(status);
	char busy[PH_IMAGE_BUSY_BYTES];

	if (told) {
		why = told;
	} else if (status == PH_ERR_BUSY) {
		ph__image_busy(path, busy, sizeof(busy));
		why = busy;
	} else if (status == PH_ERR_INVALID)
		why = "it is not a store of packhorse";
	else if (status == PH_ERR_UNSUPPORTED)
		why = "its format is newer than this program; use a newer packhorse";
	else if (status == PH_ERR_CORRUPT)
		why = "no state of it can be believed any more; restore a backup";
	else if ((status == PH_ERR_DENIED || status == PH_ERR_IO || status == PH_ERR_NOT_FOUND) &&
	         errno)
		why = strerror(errno);
	fprintf(stderr, "packhorse: cannot %s %s: %s\n", what, path, why);
}

void ph__image_failed(const char *path, const char *what, enum ph_status status)
{
	failed(path, what, status, NULL);
}

bool ph__image_device(struct ph_image *image, const char *path, bool create)
{
	enum ph_status status;

	memset(image, 0, sizeof(*image));
	image->path = path;
	ph_limits_init(&image->limits);
	image->options.alloc = ph_alloc_libc();
#ifdef PH_LIBDEFLATE
	image->options.crc32 = ph_crc32_libdeflate;
	image->options.unpack = ph_unpack_libdeflate();
#endif
	image->options.limits = &image->limits;
	image->options.random = ph__random;
	image->options.sync = &ph__sync_uv;
	errno = 0;
	status = ph_device_posix_open(&image->device, image->options.alloc, path, create);
	if (status != PH_OK)
		ph__image_failed(path, "open", status);
	return status == PH_OK;
}

bool ph__image_open(struct ph_image *image, const char *path)
{
	const char *why = NULL;
	enum ph_status status;

	if (!ph__image_device(image, path, false))
		return false;
	errno = 0;
	image->options.why = &why;
	status = ph_store_disk_open(&image->store, image->device, &image->options);
	image->options.why = NULL;
	if (status == PH_OK) {
		image->device = NULL;
		return true;
	}
	failed(path, "open", status, why);
	ph__image_close(image);
	return false;
}

void ph__image_close(struct ph_image *image)
{
	if (image->store)
		ph_store_close(image->store);
	if (image->device)
		image->device->ops->close(image->device);
	image->store = NULL;
	image->device = NULL;
}

int ph__tool_parse(int argc, char **argv, const char *flag, bool *set, const char **path,
                   void (*usage)(FILE *to))
{
	*path = NULL;
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return PH_EXIT_OK;
		}
		if (strcmp(argv[i], flag) == 0) {
			*set = true;
		} else if (argv[i][0] != '-' && !*path) {
			*path = argv[i];
		} else {
			*path = NULL;
			break;
		}
	}
	if (*path)
		return -1;
	usage(stderr);
	return PH_EXIT_USAGE;
}

static const struct ph_tool_flag *flag_find(const struct ph_tool_flag *flags, const char *text)
{
	for (; flags->name; flags++)
		if (strcmp(flags->name, text) == 0 ||
		    (flags->other && strcmp(flags->other, text) == 0))
			return flags;
	return NULL;
}

int ph__tool_args(int argc, char **argv, const struct ph_tool_flag *flags, const char **given,
                  unsigned count, void (*usage)(FILE *to))
{
	unsigned got = 0;
	bool ended = false;

	for (int i = 0; i < argc; i++) {
		bool is_flag = !ended && argv[i][0] == '-' && argv[i][1];
		const struct ph_tool_flag *flag = is_flag ? flag_find(flags, argv[i]) : NULL;

		if (is_flag && strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return PH_EXIT_OK;
		}
		if (is_flag && strcmp(argv[i], "--") == 0) {
			ended = true;
		} else if (flag) {
			*flag->set = true;
		} else if (is_flag) {
			fprintf(stderr, "packhorse: unknown option '%s'\n", argv[i]);
			usage(stderr);
			return PH_EXIT_USAGE;
		} else if (got == count) {
			usage(stderr);
			return PH_EXIT_USAGE;
		} else {
			given[got++] = argv[i];
		}
	}
	if (got == count)
		return -1;
	usage(stderr);
	return PH_EXIT_USAGE;
}
