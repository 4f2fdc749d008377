/* SPDX-License-Identifier: MIT */
/* packhorse info: what is in an image, for people and, as JSON, for programs. */
#include "daemon_int.h"
#include "tools_int.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct repo_info {
	uint64_t refs, packs, objects, bytes;
	enum ph_hash_algo algo;
};

static void usage(FILE *to)
{
	fputs("usage: packhorse info FILE|DEV [--json]\n", to);
}

static enum ph_status count_refs(struct ph_snapshot *snapshot, uint64_t *refs)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	enum ph_status status = ph_snapshot_refs(snapshot, "", &iter);

	if (status != PH_OK)
		return status;
	*refs = 0;
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK)
		++*refs;
	ph_ref_iter_free(iter);
	return status == PH_END ? PH_OK : status;
}

static enum ph_status look(struct ph_store *store, const char *name, struct repo_info *out)
{
	struct ph_snapshot *snapshot;
	const struct ph_source *source;
	enum ph_status status = ph_store_snapshot(store, name, &snapshot);

	if (status != PH_OK)
		return status;
	memset(out, 0, sizeof(*out));
	out->algo = snapshot->algo;
	source = ph_snapshot_source(snapshot);
	out->packs = source->ops->packs(source);
	for (uint32_t i = 0; i < out->packs; i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		out->objects += entries;
		out->bytes += bytes;
	}
	status = count_refs(snapshot, &out->refs);
	ph_snapshot_release(snapshot);
	return status;
}

static void print_repo(const char *name, const struct repo_info *repo, bool json, bool first)
{
	if (!json) {
		printf("%-40s %-6s %8" PRIu64 " refs %4" PRIu64 " packs %10" PRIu64
		       " objects %12" PRIu64 " bytes\n",
		       name, ph_hash_name(repo->algo), repo->refs, repo->packs, repo->objects,
		       repo->bytes);
		return;
	}
	printf("%s\n    {\"name\": ", first ? "" : ",");
	ph__json_text(stdout, name);
	printf(", \"object_format\": \"%s\", \"refs\": %" PRIu64 ", \"packs\": %" PRIu64
	       ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
	       ph_hash_name(repo->algo), repo->refs, repo->packs, repo->objects, repo->bytes);
}

static void print_store(const struct ph_store_disk_info *info, bool json)
{
	char id[2 * sizeof(info->id) + 1];

	for (size_t i = 0; i < sizeof(info->id); i++)
		snprintf(id + 2 * i, 3, "%02x", info->id[i]);
	if (json)
		printf("{\"format\": %" PRIu32 ", \"id\": \"%s\", \"epoch\": %" PRIu64
		       ", \"bytes\": %" PRIu64 ", \"free_bytes\": %" PRIu64
		       ", \"read_only\": %s,\n  \"repositories\": [",
		       info->version, id, info->epoch, info->bytes, info->free_bytes,
		       info->read_only ? "true" : "false");
	else
		printf("store %s, format %" PRIu32 ", epoch %" PRIu64 "%s%s\n%" PRIu64
		       " bytes, %" PRIu64 " free, %" PRIu64 " repositories\n",
		       id, info->version, info->epoch, info->read_only ? ", read-only" : "",
		       info->unflushed ? ", written without flushes" : "", info->bytes,
		       info->free_bytes, info->repos);
}

/* Damage is what it is; that something could not be read is not known to be any. */
static int worse(int code, enum ph_status status)
{
	return status == PH_ERR_CORRUPT || code == PH_EXIT_DAMAGED ? PH_EXIT_DAMAGED
	                                                           : PH_EXIT_FAILURE;
}

/* A repository that cannot be read is named, and the others follow. */
static int print_all(struct ph_image *image, bool json)
{
	char name[PH_REPO_NAME_MAX + 1], last[PH_REPO_NAME_MAX + 1] = "";
	struct ph_store_disk_info info;
	enum ph_status status;
	bool first = true;
	int code = PH_EXIT_OK;

	ph_store_disk_info(image->store, &info);
	print_store(&info, json);
	while ((status = ph_store_next_repo(image->store, last, name)) == PH_OK) {
		struct repo_info repo;

		memcpy(last, name, sizeof(last));
		status = look(image->store, name, &repo);
		if (status == PH_OK) {
			print_repo(name, &repo, json, first);
			first = false;
			continue;
		}
		fprintf(stderr, "packhorse: repository %s: %s\n", name, ph_status_text(status));
		code = worse(code, status);
	}
	if (json)
		printf("\n  ]}\n");
	if (status == PH_END)
		return code;
	fprintf(stderr, "packhorse: %s: %s\n", image->path, ph_status_text(status));
	return worse(code, status);
}

int ph__tool_info(int argc, char **argv)
{
	struct ph_image image;
	const char *path = NULL;
	bool json = false;
	int code;

	code = ph__tool_parse(argc, argv, "--json", &json, &path, usage);
	if (code >= 0)
		return code;
	if (!ph__image_open(&image, path))
		return PH_EXIT_FAILURE;
	code = print_all(&image, json);
	ph__image_close(&image);
	return code;
}
