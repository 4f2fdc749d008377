/* SPDX-License-Identifier: MIT */
/* Folders on stable storage: a file or folder that was made is there only once that which it is in
 * was synced. */
#include "tools_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096u

bool ph__folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* File systems that cannot sync a folder say EINVAL, and have nothing to sync. */
	bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	int why = errno;

	if (fd >= 0)
		close(fd);
	errno = why;
	return good;
}

bool ph__folder_sync_above(const char *path)
{
	char folder[PATH_BYTES];
	size_t len = strlen(path);

	/* Slashes at its end, then its name, then those before that. */
	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0)
		return ph__folder_sync(".");
	if (len >= sizeof(folder)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(folder, path, len);
	folder[len] = '\0';
	return ph__folder_sync(folder);
}
