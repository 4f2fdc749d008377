/* SPDX-License-Identifier: MIT */
/*
 * packhorse fsck: every checksum of an image, and that each block has one owner; with --deep every
 * object's hash too, and that all refs reach only what is there. Nothing is changed: what is
 * damaged must be pushed again or come from a backup, and which repository that is, is said.
 */
#include "daemon_int.h"
#include "progress.h"
#include "tools_int.h"
#include <inttypes.h>
#include <packhorse/hash.h>
#include <packhorse/reader.h>
#include <packhorse/scrub.h>
#include <packhorse/walk.h>
#include <stdio.h>
#include <string.h>

/* Work between two looks at the progress line. */
#define SLICE_UNITS 4096u
#define SLICE_BYTES ((uint64_t)1 << 20)

struct fsck {
	struct ph_image image;
	struct ph_progress progress;
	const char *repo; /* the one at work */
	uint64_t findings, objects, repos, bytes;
	uint64_t unchecked;              /* objects, and walks of refs, that a limit is below */
	uint64_t hit;                    /* repositories with findings */
	char last[PH_REPO_NAME_MAX + 1]; /* the one of the last finding */
	bool store;                      /* the store itself has some */
	bool deep, json, quiet;
};

static void usage(FILE *to)
{
	fputs("usage: packhorse fsck [--deep] [--json] [--quiet] FILE|DEV\n"
	      "\n"
	      "  --deep    hash every object and follow every ref, too\n"
	      "  --json    what was found, for programs\n"
	      "  --quiet   no progress\n"
	      "\n"
	      "Exit code 0: no damage, 3: damage was found and printed, 1: not all could be "
	      "checked.\n"
	      "Nothing is written.\n",
	      to);
}

/* ---- findings ---- */

static const char *part_name(enum ph_finding_part part)
{
	switch (part) {
	case PH_FINDING_SUPERBLOCK:
		return "superblock";
	case PH_FINDING_MAP:
		return "map";
	case PH_FINDING_SPACE:
		return "space";
	case PH_FINDING_TREE:
		return "tree";
	case PH_FINDING_VALUE:
		return "value";
	case PH_FINDING_PACK:
		return "pack";
	case PH_FINDING_OBJECT:
		return "object";
	case PH_FINDING_REF:
		break;
	}
	return "ref";
}

static void print_json(const struct fsck *fsck, const struct ph_finding *finding)
{
	char hex[PH_OID_HEX_MAX + 1];

	printf("%s\n    {\"repository\": ", fsck->findings ? "," : "");
	if (finding->repo[0])
		ph__json_text(stdout, finding->repo);
	else
		fputs("null", stdout);
	printf(", \"part\": \"%s\", \"what\": ", part_name(finding->part));
	ph__json_text(stdout, finding->what);
	printf(", \"status\": \"%s\"", ph_status_name(finding->status));
	if (finding->pack)
		printf(", \"pack\": %" PRIu64 ", \"section\": %" PRIu32, finding->pack,
		       finding->section);
	printf(", \"objects\": %" PRIu64 ", \"deltas\": %" PRIu64 ", \"ids\": [", finding->objects,
	       finding->deltas);
	for (uint32_t i = 0; i < finding->oid_count; i++)
		printf("%s\"%s\"", i ? ", " : "",
		       ph_oid_to_hex(hex, finding->algo, &finding->oids[i]));
	fputs("], \"advice\": ", stdout);
	ph__json_text(stdout, finding->advice);
	putchar('}');
}

static void on_found(void *user, const struct ph_finding *finding)
{
	struct fsck *fsck = user;
	char line[PH_FINDING_LINE_MAX];

	ph__progress_clear(&fsck->progress);
	if (fsck->json) {
		print_json(fsck, finding);
	} else {
		ph_finding_line(finding, line, sizeof(line));
		puts(line);
	}
	fsck->findings++;
	fsck->store = fsck->store || !finding->repo[0];
	if (finding->repo[0] && strcmp(finding->repo, fsck->last) != 0) {
		fsck->hit++;
		snprintf(fsck->last, sizeof(fsck->last), "%s", finding->repo);
	}
}

/* Memory that is not there ends the check, what a limit is below is left out: neither is damage. */
static enum ph_status judge(struct fsck *fsck, const struct ph_finding *finding)
{
	if (finding->status == PH_ERR_NOMEM)
		return PH_ERR_NOMEM;
	if (finding->status != PH_ERR_LIMIT) {
		on_found(fsck, finding);
		return PH_OK;
	}
	ph__progress_clear(&fsck->progress);
	fprintf(stderr, "packhorse: repository %s: %s is not checked: %s\n", finding->repo,
	        finding->what, ph_status_text(finding->status));
	fsck->unchecked++;
	return PH_OK;
}

static enum ph_status found(struct fsck *fsck, enum ph_finding_part part, const char *what,
                            const char *which, enum ph_status status)
{
	char text[512];
	struct ph_finding finding = {
	        .part = part, .status = status, .repo = fsck->repo, .what = text, .advice = ""};

	snprintf(text, sizeof(text), "%s%s%s", what, *which ? " " : "", which);
	return judge(fsck, &finding);
}

/* ---- objects ---- */

static enum ph_status object_found(struct fsck *fsck, enum ph_hash_algo algo,
                                   const struct ph_oid *oid, enum ph_status status)
{
	char text[PH_OID_HEX_MAX + 16] = "object ";
	struct ph_finding finding = {.part = PH_FINDING_OBJECT,
	                             .status = status,
	                             .repo = fsck->repo,
	                             .what = text,
	                             .advice = "",
	                             .algo = algo,
	                             .objects = 1,
	                             .oid_count = 1,
	                             .oids = {*oid}};

	ph_oid_to_hex(text + 7, algo, oid);
	return judge(fsck, &finding);
}

/* One object, made from its entry and hashed. */
static enum ph_status check_object(struct fsck *fsck, struct ph_reader *reader, struct ph_loc loc,
                                   enum ph_hash_algo algo)
{
	const struct ph_source *source = ph_reader_source(reader);
	char place[64];
	struct ph_entry entry;
	struct ph_object object;
	struct ph_oid oid;
	enum ph_status status = source->ops->entry(source, loc, &entry);

	if (status != PH_OK) {
		snprintf(place, sizeof(place), "%" PRIu32 " of pack %" PRIu32, loc.pos, loc.pack);
		return found(fsck, PH_FINDING_OBJECT, "object", place, status);
	}
	status = ph_reader_read(reader, loc, fsck->image.limits.object_bytes_max, &object);
	if (status == PH_OK) {
		ph_hash_object(&oid, algo, object.type, object.data, (size_t)object.size);
		if (!ph_oid_equal(&oid, &entry.oid) || object.type != entry.type)
			status = PH_ERR_CORRUPT;
		ph_object_release(reader, &object);
	}
	return status == PH_OK ? PH_OK : object_found(fsck, algo, &entry.oid, status);
}

static enum ph_status check_objects(struct fsck *fsck, struct ph_snapshot *snapshot)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_reader *reader;
	enum ph_status status =
	        ph_reader_new(&reader, source, fsck->image.options.alloc, &fsck->image.limits);

	if (status != PH_OK)
		return found(fsck, PH_FINDING_OBJECT, "reading", "objects", status);
	for (uint32_t pack = 0; pack < source->ops->packs(source) && status == PH_OK; pack++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, pack, &entries, &bytes);
		for (uint32_t pos = 0; pos < entries && status == PH_OK; pos++) {
			status = check_object(fsck, reader, (struct ph_loc){pack, pos},
			                      snapshot->algo);
			fsck->objects++;
			ph__progress_at(&fsck->progress, fsck->objects, 0);
		}
	}
	ph_reader_free(reader);
	return status;
}

/* All refs as wants; one that names nothing is a finding of its own. */
static enum ph_status want_refs(struct fsck *fsck, struct ph_snapshot *snapshot,
                                struct ph_walk *walk)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	const struct ph_oid *shallow;
	uint32_t shallows = ph_snapshot_shallow(snapshot, &shallow);
	enum ph_status status = ph_snapshot_refs(snapshot, "refs/", &iter);

	if (status != PH_OK)
		return status;
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK) {
		enum ph_status wanted = *ref.target ? PH_OK : ph_walk_want(walk, &ref.oid);

		if (wanted != PH_OK)
			wanted = found(fsck, PH_FINDING_REF, "ref", ref.name, wanted);
		if (wanted != PH_OK) {
			status = wanted;
			break;
		}
	}
	ph_ref_iter_free(iter);
	for (uint32_t i = 0; i < shallows && status == PH_END; i++)
		if (ph_walk_graft(walk, &shallow[i]) == PH_ERR_NOMEM)
			return PH_ERR_NOMEM;
	return status == PH_END ? PH_OK : status;
}

static enum ph_status check_refs(struct fsck *fsck, struct ph_snapshot *snapshot)
{
	struct ph_walk_options options = {.source = ph_snapshot_source(snapshot),
	                                  .alloc = fsck->image.options.alloc,
	                                  .limits = &fsck->image.limits,
	                                  .connectivity = true};
	struct ph_walk *walk;
	enum ph_status status = ph_walk_new(&walk, &options);

	if (status == PH_OK) {
		status = want_refs(fsck, snapshot, walk);
		while (status == PH_OK || status == PH_AGAIN) {
			uint32_t budget = SLICE_UNITS;

			status = ph_walk_run(walk, &budget);
			ph__progress_at(&fsck->progress, fsck->objects, 0);
			if (status == PH_OK)
				break;
		}
		if (status != PH_OK)
			status = found(fsck, PH_FINDING_REF, "refs reach",
			               ph_walk_error(walk)->detail, status);
		ph_walk_free(walk);
		return status;
	}
	return found(fsck, PH_FINDING_REF, "following", "refs", status);
}

static enum ph_status check_repo(struct fsck *fsck)
{
	struct ph_snapshot *snapshot;
	enum ph_status status = ph_store_snapshot(fsck->image.store, fsck->repo, &snapshot);

	if (status != PH_OK)
		return found(fsck, PH_FINDING_TREE, "opening it", "", status);
	status = check_objects(fsck, snapshot);
	if (status == PH_OK)
		status = check_refs(fsck, snapshot);
	ph_snapshot_release(snapshot);
	return status;
}

static enum ph_status check_deep(struct fsck *fsck)
{
	char name[PH_REPO_NAME_MAX + 1], last[PH_REPO_NAME_MAX + 1] = "";
	enum ph_status status = PH_OK;

	while (status == PH_OK) {
		status = ph_store_next_repo(fsck->image.store, last, name);
		if (status != PH_OK)
			break;
		memcpy(last, name, sizeof(last));
		fsck->repo = last;
		status = check_repo(fsck);
	}
	/* Which repositories follow cannot be read: that is damage, too. */
	fsck->repo = "";
	if (status == PH_ERR_CORRUPT || status == PH_ERR_IO)
		return found(fsck, PH_FINDING_TREE, "listing", "repositories", status);
	return status == PH_END ? PH_OK : status;
}

/* ---- the whole ---- */

static enum ph_status check_structure(struct fsck *fsck)
{
	struct ph_scrub_options options = {.user = fsck, .found = on_found, .exclusive = true};
	struct ph_scrub_progress at;
	struct ph_scrub *scrub;
	enum ph_status status = ph_store_scrub(fsck->image.store, &options, &scrub);

	if (status != PH_OK)
		return status;
	ph_scrub_progress(scrub, &at);
	ph__progress_begin(&fsck->progress, fsck->quiet, "Reading", at.total);
	do {
		status = ph_scrub_step(scrub, SLICE_BYTES);
		ph_scrub_progress(scrub, &at);
		ph__progress_at(&fsck->progress, at.bytes < at.total ? at.bytes : at.total, 0);
	} while (status == PH_AGAIN);
	fsck->repos = at.repos;
	fsck->bytes = at.bytes;
	ph__progress_clear(&fsck->progress);
	ph_scrub_free(scrub);
	return status == PH_ERR_CORRUPT ? PH_OK : status;
}

/* What can be done about it. */
static void advise(const struct fsck *fsck)
{
	const char *path = fsck->image.path;

	printf("%s: %" PRIu64 " finding%s, in %" PRIu64 " of %" PRIu64 " repositories%s\n", path,
	       fsck->findings, fsck->findings == 1 ? "" : "s", fsck->hit, fsck->repos,
	       fsck->store ? " and in the store itself" : "");
	printf("next: copy the image before anything else, and look after its medium. Repositories "
	       "that are not\nnamed above are whole: packhorse export %s REPO DIR takes one out. A "
	       "damaged one comes back from a\nbackup, or from the clone of somebody who has it: "
	       "serve the image, ssh HOST repo delete REPO, and\npush it again.\n",
	       path);
}

/* ended: all was looked at that can be. There is no verdict on what was not. */
static void sum_up(const struct fsck *fsck, bool ended)
{
	const char *clean = fsck->findings ? "false" : "true";

	if (!ended || (fsck->unchecked && !fsck->findings))
		clean = "null";
	if (fsck->json) {
		printf("%s], \"findings_count\": %" PRIu64 ", \"repositories\": %" PRIu64
		       ", \"repositories_damaged\": %" PRIu64 ", \"objects\": %" PRIu64
		       ", \"bytes\": %" PRIu64 ", \"unchecked\": %" PRIu64 ", \"clean\": %s}\n",
		       fsck->findings ? "\n  " : "", fsck->findings, fsck->repos, fsck->hit,
		       fsck->objects, fsck->bytes, fsck->unchecked, clean);
		return;
	}
	if (!ended)
		return;
	if (fsck->findings)
		advise(fsck);
	else if (fsck->unchecked)
		printf("%s: no damage in what was checked; what is named above was not\n",
		       fsck->image.path);
	else if (fsck->deep)
		printf("%s: clean, %" PRIu64 " objects\n", fsck->image.path, fsck->objects);
	else
		printf("%s: clean\n", fsck->image.path);
}

static int check_image(struct fsck *fsck)
{
	enum ph_status status;

	if (fsck->json) {
		fputs("{\"image\": ", stdout);
		ph__json_text(stdout, fsck->image.path);
		printf(", \"deep\": %s,\n  \"findings\": [", fsck->deep ? "true" : "false");
	}
	status = check_structure(fsck);
	if (status == PH_OK && fsck->deep) {
		ph__progress_begin(&fsck->progress, fsck->quiet, "Hashing objects", 0);
		status = check_deep(fsck);
		ph__progress_clear(&fsck->progress);
	}
	sum_up(fsck, status == PH_OK);
	if (status != PH_OK) {
		ph__image_failed(fsck->image.path, "check", status);
		return PH_EXIT_FAILURE;
	}
	if (fsck->findings)
		return PH_EXIT_DAMAGED;
	return fsck->unchecked ? PH_EXIT_FAILURE : PH_EXIT_OK;
}

int ph__tool_fsck(int argc, char **argv)
{
	struct fsck fsck = {.deep = false};
	const struct ph_tool_flag flags[] = {{"--deep", NULL, &fsck.deep},
	                                     {"--json", NULL, &fsck.json},
	                                     {"--quiet", "-q", &fsck.quiet},
	                                     {NULL, NULL, NULL}};
	const char *path;
	int code;

	code = ph__tool_args(argc, argv, flags, &path, 1, usage);
	if (code >= 0)
		return code;
	if (!ph__image_open(&fsck.image, path))
		return PH_EXIT_FAILURE;
	code = check_image(&fsck);
	ph__image_close(&fsck.image);
	return code;
}
