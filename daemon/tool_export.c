/* SPDX-License-Identifier: MIT */
/*
 * packhorse export: a repository out of an image, as a bare one that git can use at once, or as a
 * bundle (gitformat-bundle). Both take the refs last: what is cut off half way is no repository.
 */
#include "daemon_int.h"
#include "git_pack.h"
#include "tools_int.h"
#include <errno.h>
#include <inttypes.h>
#include <packhorse/pack_out.h>
#include <packhorse/refname.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define SLICE_UNITS 4096u
#define WINDOW_BYTES ((size_t)256 << 10)

struct export
{
	struct ph_image image;
	struct ph_snapshot *snapshot;
	const char *repo, *to;
	uint64_t objects, refs;
};

static void usage(FILE *to)
{
	fputs("usage: packhorse export FILE|DEV REPO DIR|-\n"
	      "\n"
	      "Writes a repository into the new folder DIR, as a bare one; with - a bundle of it "
	      "to\n"
	      "stdout, which git clone takes.\n",
	      to);
}

/* ---- a folder ---- */

/* A file of the new repository; close_file after it. NULL: errno. */
static FILE *open_file(const struct export *ex, const char *name)
{
	char path[PATH_BYTES];

	if (snprintf(path, sizeof(path), "%s/%s", ex->to, name) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(path, "wbx");
}

static enum ph_status close_file(FILE *file)
{
	bool good = file && !ferror(file) && fflush(file) == 0 && fsync(fileno(file)) == 0;

	if (file && fclose(file) != 0)
		good = false;
	return good ? PH_OK : PH_ERR_IO;
}

static enum ph_status make_folders(const struct export *ex)
{
	static const char *const names[] = {
	        "",      "/objects",    "/objects/info", "/objects/pack",
	        "/refs", "/refs/heads", "/refs/tags"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[PATH_BYTES];

		if (snprintf(path, sizeof(path), "%s%s", ex->to, names[i]) >= (int)sizeof(path)) {
			errno = ENAMETOOLONG;
			return PH_ERR_IO;
		}
		if (mkdir(path, 0777) != 0)
			return PH_ERR_IO;
	}
	return PH_OK;
}

static enum ph_status write_config(const struct export *ex)
{
	bool sha256 = ex->snapshot->algo == PH_HASH_SHA256;
	FILE *file = open_file(ex, "config");

	if (file)
		fprintf(file, "[core]\n\trepositoryformatversion = %d\n\tbare = true\n%s", sha256,
		        sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "");
	return close_file(file);
}

static enum ph_status write_packs(struct export *ex)
{
	const struct ph_source *source = ph_snapshot_source(ex->snapshot);
	char folder[PATH_BYTES];
	enum ph_status status = PH_OK;

	if (snprintf(folder, sizeof(folder), "%s/objects/pack", ex->to) >= (int)sizeof(folder))
		return PH_ERR_IO;
	for (uint32_t i = 0; i < source->ops->packs(source) && status == PH_OK; i++) {
		uint32_t objects;

		status = ph__git_pack_write(source, i, folder, &objects);
		if (status == PH_OK)
			ex->objects += objects;
	}
	return status;
}

static enum ph_status write_shallow(const struct export *ex)
{
	const struct ph_oid *oids;
	uint32_t count = ph_snapshot_shallow(ex->snapshot, &oids);
	char hex[PH_OID_HEX_MAX + 1];
	FILE *file;

	if (count == 0)
		return PH_OK;
	file = open_file(ex, "shallow");
	for (uint32_t i = 0; file && i < count; i++)
		fprintf(file, "%s\n", ph_oid_to_hex(hex, ex->snapshot->algo, &oids[i]));
	return close_file(file);
}

/* Symrefs are files of their own in git: this one's folders, then itself. */
static enum ph_status write_symref(const struct export *ex, const struct ph_ref *ref)
{
	char path[PATH_BYTES];
	size_t start = strlen(ex->to) + 1;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/%s", ex->to, ref->name) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return PH_ERR_IO;
	}
	for (char *at = strchr(path + start, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(path, 0777) != 0 && errno != EEXIST)
			return PH_ERR_IO;
		*at = '/';
	}
	file = open_file(ex, ref->name);
	if (file)
		fprintf(file, "ref: %s\n", ref->target);
	return close_file(file);
}

static void write_packed(const struct export *ex, FILE *file, const struct ph_ref *ref)
{
	char hex[PH_OID_HEX_MAX + 1];

	fprintf(file, "%s %s\n", ph_oid_to_hex(hex, ex->snapshot->algo, &ref->oid), ref->name);
	if (!ph_oid_is_zero(&ref->peeled))
		fprintf(file, "^%s\n", ph_oid_to_hex(hex, ex->snapshot->algo, &ref->peeled));
}

/* HEAD comes last of all, since without it git sees no repository. */
static enum ph_status write_refs(struct export *ex)
{
	struct ph_ref_iter *iter = NULL;
	struct ph_ref ref, head = {.target = "refs/heads/main"};
	FILE *file = open_file(ex, "packed-refs");
	enum ph_status status = file ? PH_OK : PH_ERR_IO, closed;

	if (file)
		fputs("# pack-refs with: peeled fully-peeled sorted \n", file);
	if (status == PH_OK)
		status = ph_snapshot_refs(ex->snapshot, "", &iter);
	while (status == PH_OK && (status = ph_ref_iter_next(iter, &ref)) == PH_OK) {
		ex->refs++;
		/* The image may be anybody's: names become paths. */
		if (strcmp(ref.name, "HEAD") != 0 && !ph_refname_valid(ref.name, strlen(ref.name)))
			status = PH_ERR_CORRUPT;
		else if (strcmp(ref.name, "HEAD") == 0)
			head = ref;
		else if (*ref.target)
			status = write_symref(ex, &ref);
		else
			write_packed(ex, file, &ref);
	}
	ph_ref_iter_free(iter);
	closed = close_file(file);
	if (status != PH_END || closed != PH_OK)
		return status == PH_END ? closed : status;
	file = open_file(ex, "HEAD");
	if (file && *head.target)
		fprintf(file, "ref: %s\n", head.target);
	else if (file)
		fprintf(file, "%s\n", ph_oid_to_hex(ref.name, ex->snapshot->algo, &head.oid));
	return close_file(file);
}

static enum ph_status export_folder(struct export *ex)
{
	enum ph_status status = make_folders(ex);

	if (status == PH_OK)
		status = write_config(ex);
	if (status == PH_OK)
		status = write_packs(ex);
	if (status == PH_OK)
		status = write_shallow(ex);
	return status == PH_OK ? write_refs(ex) : status;
}

/* ---- a bundle ---- */

/* What HEAD names, then all refs; a symref is what it names. */
static enum ph_status print_refs(struct export *ex)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref, at;
	char hex[PH_OID_HEX_MAX + 1];
	enum ph_status status = ph_snapshot_refs(ex->snapshot, "", &iter);

	if (status != PH_OK)
		return status;
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK) {
		enum ph_status found = ph_snapshot_resolve(ex->snapshot, ref.name, &at, NULL);

		if (found == PH_ERR_NOT_FOUND || found == PH_ERR_LIMIT)
			continue; /* it names nothing yet */
		if (found != PH_OK) {
			status = found;
			break;
		}
		ex->refs++;
		printf("%s %s\n", ph_oid_to_hex(hex, ex->snapshot->algo, &at.oid), ref.name);
	}
	ph_ref_iter_free(iter);
	return status == PH_END ? PH_OK : status;
}

static enum ph_status print_pack(struct export *ex, struct ph_pack_out *out)
{
	uint8_t *window = malloc(WINDOW_BYTES);
	enum ph_status status = window ? PH_OK : PH_ERR_NOMEM;

	while (status == PH_OK || status == PH_AGAIN) {
		uint32_t budget = SLICE_UNITS;
		size_t used;

		status = ph_pack_out_read(out, window, WINDOW_BYTES, &used, &budget);
		if (status >= 0 && fwrite(window, 1, used, stdout) != used)
			status = PH_ERR_IO;
	}
	free(window);
	ex->objects = ph_pack_out_stats(out)->objects;
	return status == PH_END ? PH_OK : status;
}

static enum ph_status export_bundle(struct export *ex)
{
	bool sha256 = ex->snapshot->algo == PH_HASH_SHA256;
	struct ph_pack_out_options options = {.source = ph_snapshot_source(ex->snapshot),
	                                      .alloc = ex->image.options.alloc,
	                                      .limits = &ex->image.limits,
	                                      .ofs_delta = true};
	const struct ph_oid *shallow;
	struct ph_pack_out *out;
	enum ph_status status;

	/* A bundle cannot say that history ends somewhere. */
	if (ph_snapshot_shallow(ex->snapshot, &shallow) > 0)
		return PH_ERR_UNSUPPORTED;
	printf("# v%d git bundle\n%s", sha256 ? 3 : 2, sha256 ? "@object-format=sha256\n" : "");
	status = print_refs(ex);
	putchar('\n');
	if (status == PH_OK)
		status = ph_pack_out_new(&out, &options);
	if (status != PH_OK)
		return status;
	status = print_pack(ex, out);
	ph_pack_out_free(out);
	return status == PH_OK && fflush(stdout) != 0 ? PH_ERR_IO : status;
}

/* ---- the command ---- */

static int failed(const struct export *ex, enum ph_status status)
{
	const char *why = ph_status_text(status);

	if (status == PH_ERR_IO && errno)
		why = strerror(errno);
	else if (status == PH_ERR_UNSUPPORTED)
		why = "it is shallow, which a bundle cannot say; export it to a folder";
	else if (status == PH_ERR_NOT_FOUND)
		why = "there is no such repository; packhorse info lists them";
	fprintf(stderr, "packhorse: cannot export %s to %s: %s\n", ex->repo, ex->to, why);
	return status == PH_ERR_CORRUPT ? PH_EXIT_DAMAGED : PH_EXIT_FAILURE;
}

static enum ph_status run(struct export *ex)
{
	enum ph_status status = ph_store_snapshot(ex->image.store, ex->repo, &ex->snapshot);

	if (status != PH_OK)
		return status;
	errno = 0;
	status = strcmp(ex->to, "-") == 0 ? export_bundle(ex) : export_folder(ex);
	ph_snapshot_release(ex->snapshot);
	return status;
}

int ph__tool_export(int argc, char **argv)
{
	struct export ex = {0};
	enum ph_status status;
	int code = PH_EXIT_OK;

	if (argc == 1 && strcmp(argv[0], "--help") == 0) {
		usage(stdout);
		return PH_EXIT_OK;
	}
	if (argc != 3 || argv[0][0] == '-' || argv[1][0] == '-' ||
	    (argv[2][0] == '-' && argv[2][1])) {
		usage(stderr);
		return PH_EXIT_USAGE;
	}
	if (!ph__image_open(&ex.image, argv[0]))
		return PH_EXIT_FAILURE;
	ex.repo = argv[1];
	ex.to = argv[2];
	status = run(&ex);
	if (status == PH_OK)
		fprintf(stderr, "%s: %" PRIu64 " refs, %" PRIu64 " objects\n", ex.repo, ex.refs,
		        ex.objects);
	else
		code = failed(&ex, status);
	ph__image_close(&ex.image);
	return code;
}
