/* SPDX-License-Identifier: MIT */
/*
 * A bundle of a whole repository (gitformat-bundle), on stdout: version 2, or 3 where ids are
 * SHA-256. The pack is made as for a clone and ends in its hash, so one that was cut off is noticed
 * by whoever takes it.
 */
#include "export.h"
#include <errno.h>
#include <packhorse/pack_out.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_UNITS 4096u
#define WINDOW_BYTES ((size_t)256 << 10)

/* What HEAD names, then all refs; a symref is what it names. */
static enum ph_status print_refs(struct ph_export *export)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref, at;
	char hex[PH_OID_HEX_MAX + 1];
	enum ph_status status = ph_snapshot_refs(export->snapshot, "", &iter);

	if (status != PH_OK)
		return status;
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK) {
		enum ph_status found = ph_snapshot_resolve(export->snapshot, ref.name, &at, NULL);

		if (found == PH_ERR_NOT_FOUND || found == PH_ERR_LIMIT)
			continue; /* it names nothing yet */
		if (found != PH_OK) {
			status = found;
			break;
		}
		export->refs += strcmp(ref.name, "HEAD") != 0;
		printf("%s %s\n", ph_oid_to_hex(hex, export->snapshot->algo, &at.oid), ref.name);
	}
	ph_ref_iter_free(iter);
	return status == PH_END ? PH_OK : status;
}

static enum ph_status print_pack(struct ph_export *export, struct ph_pack_out *out)
{
	const struct ph_pack_out_stats *stats = ph_pack_out_stats(out);
	uint8_t *window = malloc(WINDOW_BYTES);
	enum ph_status status = window ? PH_OK : PH_ERR_NOMEM;

	ph__progress_begin(&export->progress, export->quiet, "Writing objects", stats->objects);
	while (status == PH_OK || status == PH_AGAIN) {
		uint32_t budget = SLICE_UNITS;
		size_t used;

		if (ph__export_stops(export)) {
			status = PH_ERR_BUSY;
			break;
		}
		status = ph_pack_out_read(out, window, WINDOW_BYTES, &used, &budget);
		if (status >= 0 && fwrite(window, 1, used, stdout) != used)
			status = PH_ERR_IO;
		ph__progress_at(&export->progress, stats->written, stats->bytes);
	}
	free(window);
	export->objects = stats->objects;
	export->bytes = stats->bytes;
	return status == PH_END ? PH_OK : status;
}

enum ph_status ph__export_bundle(struct ph_export *export)
{
	bool sha256 = export->snapshot->algo == PH_HASH_SHA256;
	struct ph_pack_out_options options = {.source = ph_snapshot_source(export->snapshot),
	                                      .alloc = export->image.options.alloc,
	                                      .limits = &export->image.limits,
	                                      .ofs_delta = true};
	const struct ph_oid *shallow;
	struct ph_pack_out *out;
	enum ph_status status;

	if (isatty(STDOUT_FILENO) == 1) {
		export->why = "stdout is a terminal; write it to a file with > FILE";
		return PH_ERR_INVALID;
	}
	if (ph_snapshot_shallow(export->snapshot, &shallow) > 0) {
		export->why = "it is shallow, which a bundle cannot say; export it to a folder";
		return PH_ERR_UNSUPPORTED;
	}
	printf("# v%d git bundle\n%s", sha256 ? 3 : 2, sha256 ? "@object-format=sha256\n" : "");
	status = print_refs(export);
	putchar('\n');
	if (status == PH_OK)
		status = ph_pack_out_new(&out, &options);
	if (status != PH_OK)
		return status;
	status = print_pack(export, out);
	ph_pack_out_free(out);
	if (status == PH_OK && (fflush(stdout) != 0 || ferror(stdout)))
		status = PH_ERR_IO;
	if (status == PH_OK)
		ph__progress_end(&export->progress);
	return status;
}
