/* SPDX-License-Identifier: MIT */
/* packhorse export: what its files share. */
#ifndef PACKHORSE_EXPORT_H
#define PACKHORSE_EXPORT_H

#include "progress.h"
#include "tools_int.h"

struct ph_export {
	struct ph_image image;
	struct ph_snapshot *snapshot;
	const char *repo, *to;
	bool quiet, json;
	uint64_t objects, refs, bytes;
	uint32_t packs;
	struct ph_progress progress;
	bool interrupted;
	const char *why; /* static; NULL: the status says it, or errno */
};

/* Whether somebody wants it to end: sets interrupted. */
bool ph__export_stops(struct ph_export *export);

/* ---- export_folder.c ---- */

/* A bare repository in the folder export->to, new or empty. After an error it is as before. */
enum ph_status ph__export_folder(struct ph_export *export);

/* ---- export_bundle.c ---- */

/* A bundle on stdout. */
enum ph_status ph__export_bundle(struct ph_export *export);

#endif
