/* SPDX-License-Identifier: MIT */
/*
 * packhorse fsck: every checksum of an image, and that each block has one owner; with --deep every
 * object's hash too, and that all refs reach only what is there. Nothing is changed: what is
 * damaged must be pushed again or come from a backup, and which repository that is, is said.
 */
#include "daemon_int.h"
#include "tools_int.h"
#include <inttypes.h>
#include <packhorse/hash.h>
#include <packhorse/reader.h>
#include <packhorse/walk.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Work between two looks at the clock of the progress line. */
#define SLICE_UNITS 4096u
#define PROGRESS_MS 200u

struct fsck {
	struct ph_image image;
	const char *repo; /* the one at work */
	uint64_t findings, objects;
	uint64_t shown_ms;
	bool deep, progress;
};

static void usage(FILE *to)
{
	fputs("usage: packhorse fsck FILE|DEV [--deep]\n"
	      "\n"
	      "  --deep   hash every object and follow every ref, too\n"
	      "\n"
	      "Exit code 0: no damage, 3: damage was found and printed, 1: it could not be "
	      "opened.\n",
	      to);
}

static void progress_clear(const struct fsck *fsck)
{
	if (fsck->progress && fsck->shown_ms)
		fputs("\r\033[K", stderr);
}

static void progress(struct fsck *fsck)
{
	uint64_t now_ms = ph__now_ms();

	if (!fsck->progress || now_ms - fsck->shown_ms < PROGRESS_MS)
		return;
	fsck->shown_ms = now_ms;
	fprintf(stderr, "\r\033[K%s: %" PRIu64 " objects", fsck->repo, fsck->objects);
}

static void found_line(void *user, const char *line)
{
	struct fsck *fsck = user;

	progress_clear(fsck);
	fsck->findings++;
	puts(line);
}

static void found(struct fsck *fsck, const char *what, const char *which, enum ph_status status)
{
	char line[512];

	snprintf(line, sizeof(line), "repository %s: %s %s: %s", fsck->repo, what, which,
	         ph_status_text(status));
	found_line(fsck, line);
}

/* One object, made from its entry and hashed. */
static void check_object(struct fsck *fsck, struct ph_reader *reader, struct ph_loc loc,
                         enum ph_hash_algo algo)
{
	const struct ph_source *source = ph_reader_source(reader);
	char hex[PH_OID_HEX_MAX + 1] = "";
	struct ph_entry entry;
	struct ph_object object;
	struct ph_oid oid;
	enum ph_status status = source->ops->entry(source, loc, &entry);

	if (status != PH_OK) {
		snprintf(hex, sizeof(hex), "%" PRIu32 " of pack %" PRIu32, loc.pos, loc.pack);
		found(fsck, "object", hex, status);
		return;
	}
	ph_oid_to_hex(hex, algo, &entry.oid);
	status = ph_reader_read(reader, loc, fsck->image.limits.object_bytes_max, &object);
	if (status == PH_OK) {
		ph_hash_object(&oid, algo, object.type, object.data, (size_t)object.size);
		if (!ph_oid_equal(&oid, &entry.oid) || object.type != entry.type)
			status = PH_ERR_CORRUPT;
		ph_object_release(reader, &object);
	}
	if (status != PH_OK)
		found(fsck, "object", hex, status);
}

static void check_objects(struct fsck *fsck, struct ph_snapshot *snapshot)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_reader *reader;
	enum ph_status status =
	        ph_reader_new(&reader, source, fsck->image.options.alloc, &fsck->image.limits);

	if (status != PH_OK) {
		found(fsck, "reading", "objects", status);
		return;
	}
	for (uint32_t pack = 0; pack < source->ops->packs(source); pack++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, pack, &entries, &bytes);
		for (uint32_t pos = 0; pos < entries; pos++) {
			check_object(fsck, reader, (struct ph_loc){pack, pos}, snapshot->algo);
			fsck->objects++;
			progress(fsck);
		}
	}
	ph_reader_free(reader);
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
			found(fsck, "ref", ref.name, wanted);
	}
	ph_ref_iter_free(iter);
	for (uint32_t i = 0; i < shallows && status == PH_END; i++)
		if (ph_walk_graft(walk, &shallow[i]) == PH_ERR_NOMEM)
			return PH_ERR_NOMEM;
	return status == PH_END ? PH_OK : status;
}

static void check_refs(struct fsck *fsck, struct ph_snapshot *snapshot)
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
			progress(fsck);
			if (status == PH_OK)
				break;
		}
		if (status != PH_OK)
			found(fsck, "refs reach", ph_walk_error(walk)->detail, status);
		ph_walk_free(walk);
		return;
	}
	found(fsck, "following", "refs", status);
}

static enum ph_status check_deep(struct fsck *fsck)
{
	char name[PH_REPO_NAME_MAX + 1], last[PH_REPO_NAME_MAX + 1] = "";
	enum ph_status status;

	while ((status = ph_store_next_repo(fsck->image.store, last, name)) == PH_OK) {
		struct ph_snapshot *snapshot;

		memcpy(last, name, sizeof(last));
		fsck->repo = last;
		status = ph_store_snapshot(fsck->image.store, name, &snapshot);
		if (status != PH_OK) {
			found(fsck, "opening", "it", status);
			continue;
		}
		check_objects(fsck, snapshot);
		check_refs(fsck, snapshot);
		ph_snapshot_release(snapshot);
	}
	progress_clear(fsck);
	return status == PH_END ? PH_OK : status;
}

static int check_image(struct fsck *fsck)
{
	enum ph_status status = ph_store_disk_check(fsck->image.store, fsck, found_line);

	if (status == PH_ERR_CORRUPT)
		status = PH_OK;
	if (status == PH_OK && fsck->deep)
		status = check_deep(fsck);
	if (status != PH_OK) {
		ph__image_failed(fsck->image.path, "check", status);
		return PH_EXIT_FAILURE;
	}
	if (fsck->findings) {
		printf("%s: %" PRIu64 " finding%s\n", fsck->image.path, fsck->findings,
		       fsck->findings == 1 ? "" : "s");
		return PH_EXIT_DAMAGED;
	}
	if (fsck->deep)
		printf("%s: clean, %" PRIu64 " objects\n", fsck->image.path, fsck->objects);
	else
		printf("%s: clean\n", fsck->image.path);
	return PH_EXIT_OK;
}

int ph__tool_fsck(int argc, char **argv)
{
	struct fsck fsck = {.progress = isatty(STDERR_FILENO) == 1};
	const char *path = NULL;
	int code;

	code = ph__tool_parse(argc, argv, "--deep", &fsck.deep, &path, usage);
	if (code >= 0)
		return code;
	if (!ph__image_open(&fsck.image, path))
		return PH_EXIT_FAILURE;
	code = check_image(&fsck);
	ph__image_close(&fsck.image);
	return code;
}
