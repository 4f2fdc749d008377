/* SPDX-License-Identifier: MIT */
/*
 * A bare repository that git can use at once (gitrepository-layout): config, packs with indexes,
 * the shallow boundary, packed-refs. HEAD comes last, since without it git sees no repository: what
 * was cut off by a power cut is none. All is on stable storage in the end; what was interrupted, or
 * failed, is taken away again, which is all that is in a folder that was new or empty.
 */
#include "daemon_int.h"
#include "export.h"
#include "git_pack.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <packhorse/refname.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
/* Folders that are open at once while a tree is synced, or taken away. */
#define WALK_FDS 16

static enum ph_status join(char out[PATH_BYTES], const struct ph_export *export, const char *name)
{
	int len = snprintf(out, PATH_BYTES, "%s%s%s", export->to, *name ? "/" : "", name);

	if (len > 0 && (size_t)len < PATH_BYTES)
		return PH_OK;
	errno = ENAMETOOLONG;
	return PH_ERR_IO;
}

/* A file of the new repository; close_file after it. NULL: errno. */
static FILE *open_file(const struct ph_export *export, const char *name)
{
	char path[PATH_BYTES];

	return join(path, export, name) == PH_OK ? fopen(path, "wbxe") : NULL;
}

static enum ph_status close_file(FILE *file)
{
	bool good = file && !ferror(file) && fflush(file) == 0 && fsync(fileno(file)) == 0;

	if (file && fclose(file) != 0)
		good = false;
	return good ? PH_OK : PH_ERR_IO;
}

static const char *const folders[] = {"objects", "objects/info", "objects/pack",
                                      "refs",    "refs/heads",   "refs/tags"};

static enum ph_status make_folders(const struct ph_export *export)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		char path[PATH_BYTES];
		enum ph_status status = join(path, export, folders[i]);

		if (status != PH_OK)
			return status;
		if (mkdir(path, 0777) != 0)
			return PH_ERR_IO;
	}
	return PH_OK;
}

static int sync_one(const char *path, const struct stat *about, int flag, struct FTW *at)
{
	(void)about;
	(void)at;
	return flag == FTW_D && !ph__folder_sync(path) ? -1 : 0;
}

/* All that were made, those of symrefs as well. */
static enum ph_status sync_folders(const struct ph_export *export)
{
	return nftw(export->to, sync_one, WALK_FDS, FTW_PHYS) == 0 ? PH_OK : PH_ERR_IO;
}

static enum ph_status write_config(const struct ph_export *export)
{
	bool sha256 = export->snapshot->algo == PH_HASH_SHA256;
	FILE *file = open_file(export, "config");

	if (file)
		fprintf(file, "[core]\n\trepositoryformatversion = %d\n\tbare = true\n%s", sha256,
		        sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "");
	return close_file(file);
}

/* ---- objects ---- */

static bool watch(void *user, uint64_t objects, uint64_t bytes)
{
	struct ph_export *export = user;

	ph__progress_at(&export->progress, export->objects + objects, export->bytes + bytes);
	return !ph__export_stops(export);
}

static enum ph_status write_packs(struct ph_export *export)
{
	const struct ph_source *source = ph_snapshot_source(export->snapshot);
	uint32_t packs = source->ops->packs(source);
	char folder[PATH_BYTES];
	enum ph_status status = join(folder, export, "objects/pack");

	ph__progress_begin(&export->progress, export->quiet, "Writing objects",
	                   ph_source_objects(source));
	for (uint32_t i = 0; i < packs && status == PH_OK; i++) {
		struct ph_git_pack pack = {.source = source,
		                           .pack = i,
		                           .folder = folder,
		                           .user = export,
		                           .watch = watch};

		status = ph__git_pack_write(&pack);
		export->objects += pack.objects;
		export->bytes += pack.bytes;
		ph__progress_at(&export->progress, export->objects, export->bytes);
	}
	export->packs = packs;
	if (status == PH_OK)
		ph__progress_end(&export->progress);
	return status;
}

static enum ph_status write_shallow(const struct ph_export *export)
{
	const struct ph_oid *oids;
	uint32_t count = ph_snapshot_shallow(export->snapshot, &oids);
	char hex[PH_OID_HEX_MAX + 1];
	FILE *file;

	if (count == 0)
		return PH_OK;
	file = open_file(export, "shallow");
	for (uint32_t i = 0; file && i < count; i++)
		fprintf(file, "%s\n", ph_oid_to_hex(hex, export->snapshot->algo, &oids[i]));
	return close_file(file);
}

/* ---- refs ---- */

/* Symrefs are files of their own in git: this one's folders, then itself. */
static enum ph_status write_symref(const struct ph_export *export, const struct ph_ref *ref)
{
	char path[PATH_BYTES];
	size_t start = strlen(export->to) + 1;
	FILE *file;
	enum ph_status status = join(path, export, ref->name);

	if (status != PH_OK)
		return status;
	for (char *at = strchr(path + start, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(path, 0777) != 0 && errno != EEXIST)
			return PH_ERR_IO;
		*at = '/';
	}
	file = open_file(export, ref->name);
	if (file)
		fprintf(file, "ref: %s\n", ref->target);
	return close_file(file);
}

static void write_packed(const struct ph_export *export, FILE *file, const struct ph_ref *ref)
{
	char hex[PH_OID_HEX_MAX + 1];

	fprintf(file, "%s %s\n", ph_oid_to_hex(hex, export->snapshot->algo, &ref->oid), ref->name);
	if (!ph_oid_is_zero(&ref->peeled))
		fprintf(file, "^%s\n", ph_oid_to_hex(hex, export->snapshot->algo, &ref->peeled));
}

static enum ph_status write_ref(struct ph_export *export, FILE *file, const struct ph_ref *ref,
                                struct ph_ref *head)
{
	if (strcmp(ref->name, "HEAD") == 0) {
		*head = *ref;
		return PH_OK;
	}
	export->refs++;
	/* The image may be anybody's: names become paths, and lines. */
	if (!ph_refname_valid(ref->name, strlen(ref->name)) ||
	    strncmp(ref->name, "refs/", 5) != 0 ||
	    (*ref->target && !ph_refname_valid(ref->target, strlen(ref->target))))
		return PH_ERR_CORRUPT;
	if (*ref->target)
		return write_symref(export, ref);
	write_packed(export, file, ref);
	return ferror(file) ? PH_ERR_IO : PH_OK;
}

static enum ph_status write_head(const struct ph_export *export, const struct ph_ref *head)
{
	char hex[PH_OID_HEX_MAX + 1];
	FILE *file;

	if (*head->target && !ph_refname_valid(head->target, strlen(head->target)))
		return PH_ERR_CORRUPT;
	file = open_file(export, "HEAD");
	if (file && *head->target)
		fprintf(file, "ref: %s\n", head->target);
	else if (file)
		fprintf(file, "%s\n", ph_oid_to_hex(hex, export->snapshot->algo, &head->oid));
	return close_file(file);
}

static enum ph_status write_refs(struct ph_export *export)
{
	struct ph_ref_iter *iter = NULL;
	struct ph_ref ref, head = {.target = "refs/heads/main"};
	FILE *file = open_file(export, "packed-refs");
	enum ph_status status = file ? PH_OK : PH_ERR_IO, closed;

	if (file)
		fputs("# pack-refs with: peeled fully-peeled sorted \n", file);
	if (status == PH_OK)
		status = ph_snapshot_refs(export->snapshot, "", &iter);
	while (status == PH_OK && (status = ph_ref_iter_next(iter, &ref)) == PH_OK)
		status = write_ref(export, file, &ref, &head);
	ph_ref_iter_free(iter);
	closed = close_file(file);
	if (status == PH_END)
		status = closed;
	if (status == PH_OK)
		status = sync_folders(export);
	if (status == PH_OK)
		status = write_head(export, &head);
	if (status == PH_OK && !ph__folder_sync(export->to))
		status = PH_ERR_IO;
	return status;
}

/* ---- the folder itself ---- */

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir)
		closedir(dir);
	return empty;
}

/* *made: there was none. One that is empty may be a mount point, or one of other rights. */
static enum ph_status make_top(struct ph_export *export, bool *made)
{
	*made = mkdir(export->to, 0777) == 0;
	if (*made)
		return PH_OK;
	if (errno == EEXIST && is_empty(export->to))
		return PH_OK;
	if (errno == EEXIST)
		export->why = "it is there, and not an empty folder; name one that is not there";
	return PH_ERR_IO;
}

static int remove_one(const char *path, const struct stat *about, int flag, struct FTW *at)
{
	(void)about;
	(void)flag;
	if (at->level > 0)
		(void)remove(path);
	return 0;
}

static void take_away(const struct ph_export *export, bool made)
{
	int kept = errno;

	(void)nftw(export->to, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
	if (made)
		(void)rmdir(export->to);
	errno = kept;
}

enum ph_status ph__export_folder(struct ph_export *export)
{
	bool made;
	enum ph_status status = make_top(export, &made);

	if (status != PH_OK)
		return status;
	status = make_folders(export);
	if (status == PH_OK)
		status = write_config(export);
	if (status == PH_OK)
		status = write_packs(export);
	if (status == PH_OK)
		status = write_shallow(export);
	if (status == PH_OK)
		status = write_refs(export);
	if (status == PH_OK && made && !ph__folder_sync_above(export->to))
		status = PH_ERR_IO;
	if (status == PH_OK && ph__export_stops(export))
		status = PH_ERR_BUSY;
	if (status != PH_OK)
		take_away(export, made);
	return status;
}
