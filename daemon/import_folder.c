/* SPDX-License-Identifier: MIT */
/*
 * A repository of git's as a source (gitrepository-layout). Refs are read before objects, so that
 * what a push brings meanwhile is not missed. Packs are read as they are, the largest first, and
 * need no index of theirs; git counts those that have one, and so is it here. Alternates are
 * followed, as git does: their objects are read from where they are.
 */
#include "daemon_int.h"
#include "import.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)256 << 10)
/* Alternates of alternates, all told; git follows five in a row. */
#define FOLDERS_MAX 64u

struct folder {
	struct ph_import *import;
	char own[PH_PATH_BYTES], common[PH_PATH_BYTES]; /* HEAD; all else */
	struct ph_texts objects; /* folders of objects; the first is its own */
	struct ph_texts packs;
	uint8_t *window;
};

static bool is_folder(const char *path)
{
	struct stat about;

	return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static enum ph_status no_repository(struct ph_import *import)
{
	return ph__import_fail(import, PH_ERR_INVALID,
	                       "%s is neither a repository of git's nor a bundle", import->from);
}

/* ---- where it is ---- */

/* The path that a file like ".git" or "commondir" says, from the folder that it is in. */
static enum ph_status follow(struct ph_import *import, char out[PH_PATH_BYTES], const char *folder,
                             const char *text)
{
	int len;

	if (*text == '/')
		len = snprintf(out, PH_PATH_BYTES, "%s", text);
	else
		len = snprintf(out, PH_PATH_BYTES, "%s/%s", folder, text);
	return len > 0 && (size_t)len < PH_PATH_BYTES ? PH_OK : no_repository(import);
}

/* ".git" is a folder, or says where that is. */
static enum ph_status find_own(struct folder *folder)
{
	struct ph_import *import = folder->import;
	char path[PH_PATH_BYTES], *text = NULL;
	struct stat about;
	enum ph_status status;

	if (stat(import->from, &about) != 0)
		return ph__import_errno(import, import->from);
	status = ph__import_path(import, path, import->from, ".git");
	if (status != PH_OK)
		return status;
	if (!S_ISDIR(about.st_mode) || stat(path, &about) != 0)
		snprintf(path, sizeof(path), "%s", import->from);
	if (is_folder(path)) {
		memcpy(folder->own, path, sizeof(path));
		return PH_OK;
	}
	status = ph__import_text(import, path, &text);
	if (status == PH_OK && (!text || strncmp(text, "gitdir: ", 8) != 0))
		status = no_repository(import);
	if (status == PH_OK) {
		char *slash = strrchr(path, '/');

		if (slash)
			*slash = '\0';
		else
			memcpy(path, ".", 2);
		status = follow(import, folder->own, path, text + 8);
	}
	free(text);
	return status;
}

/* A linked worktree has little of its own. */
static enum ph_status find_common(struct folder *folder)
{
	struct ph_import *import = folder->import;
	char path[PH_PATH_BYTES], *text = NULL;
	enum ph_status status = ph__import_path(import, path, folder->own, "commondir");

	if (status == PH_OK)
		status = ph__import_text(import, path, &text);
	if (status == PH_OK && text)
		status = follow(import, folder->common, folder->own, text);
	else if (status == PH_OK)
		memcpy(folder->common, folder->own, sizeof(folder->own));
	free(text);
	return status;
}

static enum ph_status find(struct folder *folder)
{
	struct ph_import *import = folder->import;
	char path[PH_PATH_BYTES];
	enum ph_status status = find_own(folder);

	if (status == PH_OK)
		status = find_common(folder);
	if (status == PH_OK)
		status = ph__import_path(import, path, folder->common, "refs");
	if (status == PH_OK && !is_folder(path))
		return no_repository(import);
	if (status == PH_OK)
		status = ph__import_path(import, path, folder->own, "HEAD");
	if (status == PH_OK && access(path, F_OK) != 0)
		return no_repository(import);
	if (status == PH_OK)
		status = ph__import_path(import, path, folder->common, "objects");
	if (status == PH_OK && !is_folder(path))
		return no_repository(import);
	return status == PH_OK ? ph__texts_add(&folder->objects, path) : status;
}

/* ---- what else it says ---- */

static enum ph_status read_shallow(struct folder *folder)
{
	struct ph_import *import = folder->import;
	size_t hex = ph_hash_hex(import->algo);
	char path[PH_PATH_BYTES], line[2 * PH_OID_HEX_MAX];
	FILE *file;
	enum ph_status status = ph__import_path(import, path, folder->common, "shallow");

	if (status != PH_OK)
		return status;
	file = fopen(path, "rbe");
	if (!file)
		return errno == ENOENT ? PH_OK : ph__import_errno(import, path);
	while (status == PH_OK && fgets(line, sizeof(line), file)) {
		struct ph_oid oid;

		if (strcspn(line, "\r\n") != hex ||
		    ph_oid_from_hex(&oid, import->algo, line, hex) != PH_OK)
			status = ph__import_fail(import, PH_ERR_INVALID, "%s is damaged", path);
		else
			status = ph__import_shallow(import, &oid);
	}
	/* Its end and an error look the same but for that. */
	if (status == PH_OK && ferror(file))
		status = ph__import_errno(import, path);
	fclose(file);
	return status;
}

/* A line of info/alternates, relative to the folder of objects it stands in. */
static enum ph_status take_alternate(struct folder *folder, const char *objects, const char *line)
{
	struct ph_import *import = folder->import;
	char path[PH_PATH_BYTES];
	enum ph_status status;

	if (*line == '\0' || *line == '#')
		return PH_OK;
	if (*line == '"')
		return ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                       "%s/info/alternates has a quoted path, which is not "
		                       "followed; git repack -a -d does without alternates",
		                       objects);
	status = follow(import, path, objects, line);
	if (status != PH_OK)
		return status;
	if (!is_folder(path))
		return ph__import_fail(import, PH_ERR_NOT_FOUND,
		                       "%s, where %s says that objects are, is not there", path,
		                       objects);
	for (uint32_t i = 0; i < folder->objects.count; i++)
		if (strcmp(folder->objects.items[i], path) == 0)
			return PH_OK;
	if (folder->objects.count == FOLDERS_MAX)
		return ph__import_fail(import, PH_ERR_LIMIT, "%s has more than %u alternates",
		                       import->from, FOLDERS_MAX - 1);
	return ph__texts_add(&folder->objects, path);
}

static enum ph_status read_alternates(struct folder *folder)
{
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < folder->objects.count && status == PH_OK; i++) {
		const char *objects = folder->objects.items[i];
		char path[PH_PATH_BYTES], *text = NULL;

		status = ph__import_path(folder->import, path, objects, "info/alternates");
		if (status == PH_OK)
			status = ph__import_text(folder->import, path, &text);
		for (char *at = text; status == PH_OK && at && *at;) {
			char *end = at + strcspn(at, "\n");
			bool more = *end != '\0';

			*end = '\0';
			status = take_alternate(folder, objects, at);
			at = more ? end + 1 : end;
		}
		free(text);
	}
	return status;
}

/* ---- packs ---- */

static bool ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), tail = strlen(end);

	return len > tail && strcmp(name + len - tail, end) == 0;
}

/* The packs of one folder of objects, by their indexes. */
static enum ph_status find_packs(struct folder *folder, const char *objects)
{
	struct ph_import *import = folder->import;
	char path[PH_PATH_BYTES], pack[PH_PATH_BYTES], name[PH_PATH_BYTES];
	const char *entry;
	DIR *dir;
	enum ph_status status = ph__import_open(import, path, objects, "pack", &dir);

	if (!dir)
		return status;
	while (status == PH_OK && (entry = ph__import_next(import, path, dir, &status))) {
		if (ends_in(entry, ".promisor"))
			import->partial = true;
		if (!ends_in(entry, ".idx"))
			continue;
		snprintf(name, sizeof(name), "%.*s.pack", (int)strlen(entry) - 4, entry);
		status = ph__import_path(import, pack, path, name);
		if (status == PH_OK)
			status = ph__texts_add(&folder->packs, pack);
	}
	closedir(dir);
	return status;
}

static uint64_t size_of(const char *path)
{
	struct stat about;

	return stat(path, &about) == 0 ? (uint64_t)about.st_size : 0;
}

static int by_size(const void *a, const void *b)
{
	const char *const *one = a, *const *other = b;
	uint64_t size = size_of(*one), than = size_of(*other);

	return size == than ? strcmp(*one, *other) : size < than ? 1 : -1;
}

/* Nothing may follow a pack. */
static enum ph_status read_end(struct ph_import *import, int fd, const char *path)
{
	char byte;

	if (read(fd, &byte, 1) != 0)
		return ph__import_fail(import, PH_ERR_INVALID, "%s has junk at its end", path);
	return PH_OK;
}

static enum ph_status copy_pack(struct folder *folder, int fd, const char *path)
{
	struct ph_import *import = folder->import;
	enum ph_status status = PH_OK;

	while (status == PH_OK) {
		size_t used;
		ssize_t n = read(fd, folder->window, WINDOW_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ph__import_errno(import, path);
		if (n == 0)
			return ph__import_fail(import, PH_ERR_TRUNCATED, "%s is cut off", path);
		status = ph__import_pack_write(import, folder->window, (size_t)n, &used, path);
		if (status == PH_END && used < (size_t)n)
			return ph__import_fail(import, PH_ERR_INVALID, "%s has junk at its end",
			                       path);
	}
	return status == PH_END ? read_end(import, fd, path) : status;
}

static enum ph_status take_pack(struct folder *folder, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum ph_status status;

	if (fd < 0)
		return ph__import_errno(folder->import, path);
	status = ph__import_pack_begin(folder->import, "Reading objects");
	if (status == PH_OK)
		status = copy_pack(folder, fd, path);
	close(fd);
	return status == PH_OK ? ph__import_pack_end(folder->import, path) : status;
}

static enum ph_status take_packs(struct folder *folder)
{
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < folder->objects.count && status == PH_OK; i++)
		status = find_packs(folder, folder->objects.items[i]);
	if (status == PH_OK && folder->packs.count > 0)
		qsort(folder->packs.items, folder->packs.count, sizeof(*folder->packs.items),
		      by_size);
	for (uint32_t i = 0; i < folder->packs.count && status == PH_OK; i++)
		status = take_pack(folder, folder->packs.items[i]);
	return status;
}

/* ---- all of it ---- */

static enum ph_status take(struct folder *folder)
{
	struct ph_import *import = folder->import;
	enum ph_status status = find(folder);

	if (status == PH_OK)
		status = ph__git_config(import, folder->common);
	if (status == PH_OK)
		status = ph__git_refs(import, folder->common, folder->own);
	if (status == PH_OK)
		status = read_shallow(folder);
	if (status == PH_OK)
		status = read_alternates(folder);
	if (status == PH_OK)
		status = ph__import_begin(import);
	if (status == PH_OK)
		status = ph__import_refs_compare(import);
	if (status == PH_OK)
		status = take_packs(folder);
	return status == PH_OK
	               ? ph__import_loose(import, folder->objects.items, folder->objects.count)
	               : status;
}

enum ph_status ph__import_folder(struct ph_import *import)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	enum ph_status status = PH_ERR_NOMEM;

	if (!folder)
		return status;
	folder->import = import;
	folder->window = malloc(WINDOW_BYTES);
	if (folder->window)
		status = take(folder);
	free(folder->window);
	ph__texts_free(&folder->objects);
	ph__texts_free(&folder->packs);
	free(folder);
	return status;
}
