/* SPDX-License-Identifier: MIT */
/* Paths, small files and lists of them, as who reads a repository of git's needs them. */
#include "daemon_int.h"
#include "import.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Configurations, HEAD, lists of alternates: all are far smaller. */
#define TEXT_BYTES_MAX ((size_t)1 << 20)

enum ph_status ph__import_path(struct ph_import *import, char out[PH_PATH_BYTES],
                               const char *folder, const char *name)
{
	int len = snprintf(out, PH_PATH_BYTES, "%s/%s", folder, name);

	if (len > 0 && (size_t)len < PH_PATH_BYTES)
		return PH_OK;
	return ph__import_fail(import, PH_ERR_LIMIT, "%.100s...: the path is too long", folder);
}

enum ph_status ph__import_errno(struct ph_import *import, const char *path)
{
	return ph__import_fail(import, PH_ERR_IO, "%s: %s", path, strerror(errno));
}

enum ph_status ph__import_open(struct ph_import *import, char path[PH_PATH_BYTES],
                               const char *folder, const char *name, DIR **dir)
{
	enum ph_status status = ph__import_path(import, path, folder, name);

	*dir = status == PH_OK ? opendir(path) : NULL;
	if (status != PH_OK || *dir || errno == ENOENT)
		return status;
	return ph__import_errno(import, path);
}

const char *ph__import_next(struct ph_import *import, const char *path, DIR *dir,
                            enum ph_status *status)
{
	const struct dirent *entry;

	/* Its end and an error look the same but for that. */
	errno = 0;
	entry = readdir(dir);
	if (entry)
		return entry->d_name;
	if (errno)
		*status = ph__import_errno(import, path);
	return NULL;
}

enum ph_status ph__import_text(struct ph_import *import, const char *path, char **out)
{
	size_t len;

	errno = 0;
	*out = ph__read_file(path, TEXT_BYTES_MAX, &len);
	if (!*out)
		return errno == ENOENT || errno == ENOTDIR ? PH_OK : ph__import_errno(import, path);
	while (len > 0 && strchr(" \t\r\n", (*out)[len - 1]))
		(*out)[--len] = '\0';
	return PH_OK;
}

enum ph_status ph__texts_add(struct ph_texts *texts, const char *text)
{
	if (texts->count == texts->size) {
		uint32_t size = texts->size ? 2 * texts->size : 16;
		char **items = realloc(texts->items, size * sizeof(*items));

		if (!items)
			return PH_ERR_NOMEM;
		texts->items = items;
		texts->size = size;
	}
	texts->items[texts->count] = strdup(text);
	return texts->items[texts->count++] ? PH_OK : PH_ERR_NOMEM;
}

void ph__texts_free(struct ph_texts *texts)
{
	for (uint32_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
	memset(texts, 0, sizeof(*texts));
}
