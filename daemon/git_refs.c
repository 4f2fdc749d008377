/* SPDX-License-Identifier: MIT */
/*
 * The refs of a repository of git's with files: one a file below refs/, the rest in packed-refs,
 * and HEAD. Files are read first and count more, so that a ref which git packs meanwhile is met at
 * least once. What is broken is refused by its name: an import that leaves refs out is no copy.
 */
#include "import.h"
#include <errno.h>
#include <packhorse/refname.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum ph_status broken(struct ph_import *import, const char *path)
{
	return ph__import_fail(import, PH_ERR_INVALID,
	                       "%s: that is no ref; delete or repair it first", path);
}

/* What the text of a ref's file says: a target, NULL when it is none, or an id. */
static enum ph_status parse(struct ph_import *import, const char *path, const char *text,
                            const char **target, struct ph_oid *oid)
{
	size_t hex = ph_hash_hex(import->algo);

	memset(oid, 0, sizeof(*oid));
	*target = NULL;
	if (strncmp(text, "ref:", 4) == 0) {
		*target = text + 4 + strspn(text + 4, " \t");
		return ph_refname_valid(*target, strlen(*target)) ? PH_OK : broken(import, path);
	}
	if (strcspn(text, " \t\r\n") != hex ||
	    ph_oid_from_hex(oid, import->algo, text, hex) != PH_OK || ph_oid_is_zero(oid))
		return broken(import, path);
	return PH_OK;
}

/* A symlink, as old versions of git made them, names another ref by its path. */
static enum ph_status read_link(struct ph_import *import, const char *path, char **text)
{
	char target[PH_PATH_BYTES];
	ssize_t len = readlink(path, target + 5, sizeof(target) - 6);

	*text = NULL;
	if (len < 0)
		return ph__import_errno(import, path);
	memcpy(target, "ref: ", 5);
	target[len + 5] = '\0';
	if (strncmp(target + 5, "refs/", 5) != 0)
		return broken(import, path);
	*text = strdup(target);
	return *text ? PH_OK : PH_ERR_NOMEM;
}

/* *text is NULL when it has gone meanwhile. */
static enum ph_status read_ref(struct ph_import *import, const char *path, bool linked, char **text)
{
	return linked ? read_link(import, path, text) : ph__import_text(import, path, text);
}

/* ---- files ---- */

static enum ph_status take_file(struct ph_import *import, const char *path, const char *name,
                                bool linked)
{
	struct ph_oid oid;
	const char *target;
	char *text;
	enum ph_status status = read_ref(import, path, linked, &text);

	if (status != PH_OK || !text)
		return status;
	status = parse(import, path, text, &target, &oid);
	if (status == PH_OK)
		status = ph__import_ref(import, name, target, target ? NULL : &oid);
	free(text);
	return status;
}

static bool ends_in_lock(const char *name)
{
	size_t len = strlen(name);

	return len >= 5 && strcmp(name + len - 5, ".lock") == 0;
}

/* An entry of a folder: folders wait in folders, by their names from refs on. */
static enum ph_status take_entry(struct ph_import *import, struct ph_texts *folders,
                                 const char *common, const char *name)
{
	char path[PH_PATH_BYTES];
	struct stat about;
	enum ph_status status = ph__import_path(import, path, common, name);

	if (status != PH_OK)
		return status;
	if (lstat(path, &about) != 0)
		return errno == ENOENT ? PH_OK : ph__import_errno(import, path);
	if (S_ISDIR(about.st_mode))
		return ph__texts_add(folders, name);
	if (ends_in_lock(name))
		return PH_OK;
	if (!S_ISREG(about.st_mode) && !S_ISLNK(about.st_mode))
		return broken(import, path);
	return take_file(import, path, name, S_ISLNK(about.st_mode));
}

static enum ph_status scan(struct ph_import *import, struct ph_texts *folders, const char *common,
                           const char *folder)
{
	char path[PH_PATH_BYTES], name[PH_PATH_BYTES];
	const char *entry;
	DIR *dir;
	enum ph_status status = ph__import_open(import, path, common, folder, &dir);

	if (!dir)
		return status;
	while (status == PH_OK && (entry = ph__import_next(import, path, dir, &status))) {
		if (entry[0] == '.')
			continue;
		status = ph__import_path(import, name, folder, entry);
		if (status == PH_OK)
			status = take_entry(import, folders, common, name);
	}
	closedir(dir);
	return status;
}

static enum ph_status read_files(struct ph_import *import, const char *common)
{
	struct ph_texts folders = {0};
	enum ph_status status = ph__texts_add(&folders, "refs");

	for (uint32_t i = 0; status == PH_OK && i < folders.count; i++) {
		/* The list moves while it grows; its texts do not. */
		const char *folder = folders.items[i];

		status = ph__import_stops(import) ? PH_ERR_BUSY
		                                  : scan(import, &folders, common, folder);
	}
	ph__texts_free(&folders);
	return status;
}

/* ---- packed-refs ---- */

/* "ID NAME", "^ID" for what the one before it peels to, which is made anew, or a comment. */
static enum ph_status take_packed(struct ph_import *import, const char *path, char *line)
{
	size_t hex = ph_hash_hex(import->algo);
	struct ph_oid oid;

	if (line[0] == '#' || line[0] == '^' || line[0] == '\0')
		return PH_OK;
	if (strcspn(line, " ") != hex || ph_oid_from_hex(&oid, import->algo, line, hex) != PH_OK ||
	    ph_oid_is_zero(&oid) || line[hex + 1] == '\0')
		return ph__import_fail(import, PH_ERR_INVALID, "%s: \"%.100s\" is no line of it",
		                       path, line);
	return ph__import_ref(import, line + hex + 1, NULL, &oid);
}

static enum ph_status read_packed(struct ph_import *import, const char *common)
{
	char path[PH_PATH_BYTES], line[PH_PATH_BYTES];
	enum ph_status status = ph__import_path(import, path, common, "packed-refs");
	FILE *file;

	if (status != PH_OK)
		return status;
	file = fopen(path, "rbe");
	if (!file)
		return errno == ENOENT ? PH_OK : ph__import_errno(import, path);
	while (status == PH_OK && fgets(line, sizeof(line), file)) {
		size_t len = strlen(line);

		/* A line without an end is one that was cut off, or that no ref is so long for. */
		if (len == 0 || line[len - 1] != '\n')
			status = broken(import, path);
		else if (line[len - 1] = '\0', len > 1 && line[len - 2] == '\r')
			line[len - 2] = '\0';
		if (status == PH_OK)
			status = take_packed(import, path, line);
	}
	if (status == PH_OK && ferror(file))
		status = ph__import_errno(import, path);
	fclose(file);
	return status;
}

/* ---- HEAD ---- */

static enum ph_status read_head(struct ph_import *import, const char *own)
{
	char path[PH_PATH_BYTES], *text = NULL;
	struct stat about;
	const char *target;
	enum ph_status status = ph__import_path(import, path, own, "HEAD");

	if (status != PH_OK)
		return status;
	if (lstat(path, &about) != 0)
		return ph__import_errno(import, path);
	status = read_ref(import, path, S_ISLNK(about.st_mode), &text);
	if (status == PH_OK && !text)
		return broken(import, path);
	if (status == PH_OK)
		status = parse(import, path, text, &target, &import->detached);
	if (status == PH_OK && target &&
	    ph_refname_pushable(target, strlen(target), &import->image.limits)) {
		import->head = strdup(target);
		status = import->head ? PH_OK : PH_ERR_NOMEM;
	}
	free(text);
	return status;
}

enum ph_status ph__git_refs(struct ph_import *import, const char *common, const char *own)
{
	enum ph_status status = read_head(import, own);

	if (status == PH_OK)
		status = read_files(import, common);
	if (status == PH_OK)
		status = read_packed(import, common);
	return status == PH_OK ? ph__import_refs_sort(import) : status;
}
