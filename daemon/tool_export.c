/* SPDX-License-Identifier: MIT */
/*
 * packhorse export: a repository out of an image, as a bare one that git can use at once, or as a
 * bundle. The image is not changed.
 */
#include "daemon_int.h"
#include "export.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void usage(FILE *to)
{
	fputs("usage: packhorse export [--quiet] [--json] FILE|DEV REPO DIR|-\n"
	      "\n"
	      "Writes the repository REPO into the new or empty folder DIR, as a bare one; with - "
	      "a\n"
	      "bundle of it to stdout, which git clone takes.\n"
	      "\n"
	      "  --quiet   no progress\n"
	      "  --json    what was done, for programs; not with -\n",
	      to);
}

bool ph__export_stops(struct ph_export *export)
{
	export->interrupted = export->interrupted || ph__interrupt_waits();
	return export->interrupted;
}

static void failed(const struct ph_export *export, enum ph_status status)
{
	const char *why = export->why;

	if (export->interrupted)
		why = strcmp(export->to, "-") == 0 ? "it was interrupted, the bundle is cut off"
		                                   : "it was interrupted; nothing is left there";
	else if (!why && status == PH_ERR_IO && errno)
		why = strerror(errno);
	else if (!why && status == PH_ERR_NOT_FOUND)
		why = "there is no such repository; packhorse info lists them";
	else if (!why && status == PH_ERR_CORRUPT)
		why = "it is damaged; packhorse fsck says what is";
	else if (!why)
		why = ph_status_text(status);
	fprintf(stderr, "packhorse: cannot export %s to %s: %s\n", export->repo, export->to, why);
}

static void tell(const struct ph_export *export)
{
	if (!export->json) {
		if (!export->quiet)
			fprintf(stderr, "%s: %" PRIu64 " refs, %" PRIu64 " objects\n", export->repo,
			        export->refs, export->objects);
		return;
	}
	printf("{\"repository\": ");
	ph__json_text(stdout, export->repo);
	printf(", \"object_format\": \"%s\", \"refs\": %" PRIu64 ", \"packs\": %" PRIu32
	       ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n",
	       ph_hash_name(export->snapshot->algo), export->refs, export->packs, export->objects,
	       export->bytes);
}

static enum ph_status run(struct ph_export *export)
{
	enum ph_status status =
	        ph_store_snapshot(export->image.store, export->repo, &export->snapshot);

	errno = 0;
	if (status != PH_OK) {
		status = status == PH_ERR_INVALID ? PH_ERR_NOT_FOUND : status;
		failed(export, status);
		return status;
	}
	status = strcmp(export->to, "-") == 0 ? ph__export_bundle(export)
	                                      : ph__export_folder(export);
	ph__progress_clear(&export->progress);
	if (status == PH_OK)
		tell(export);
	else
		failed(export, status);
	ph_snapshot_release(export->snapshot);
	return status;
}

/* -1 to go on, or an exit code. */
static int parse(struct ph_export *export, int argc, char **argv)
{
	const char *given[3] = {0};
	const struct ph_tool_flag flags[] = {{"--quiet", "-q", &export->quiet},
	                                     {"--json", NULL, &export->json},
	                                     {NULL, NULL, NULL}};
	int code = ph__tool_args(argc, argv, flags, given, 3, usage);

	export->repo = given[1];
	export->to = given[2];
	export->image.path = given[0];
	if (code < 0 && export->json && strcmp(export->to, "-") == 0) {
		fputs("packhorse: --json and a bundle cannot both go to stdout\n", stderr);
		return PH_EXIT_USAGE;
	}
	return code;
}

int ph__tool_export(int argc, char **argv)
{
	struct ph_export export = {0};
	const char *path;
	enum ph_status status;
	int code = parse(&export, argc, argv);

	if (code >= 0)
		return code;
	path = export.image.path;
	if (!ph__image_open(&export.image, path))
		return PH_EXIT_FAILURE;
	ph__interrupt_hold();
	status = run(&export);
	ph__image_close(&export.image);
	if (status == PH_OK)
		return PH_EXIT_OK;
	ph__interrupt_release();
	return status == PH_ERR_CORRUPT ? PH_EXIT_DAMAGED : PH_EXIT_FAILURE;
}
