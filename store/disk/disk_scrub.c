/* SPDX-License-Identifier: MIT */
/*
 * The check of a store, in steps: the ring, the map of free blocks, every tree with all it names,
 * and with nobody else at work the owners of blocks. The same check, limited to what late epochs
 * wrote and ended by the first finding, decides at opening whether an epoch can be believed.
 */
#include "disk_scrub_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- telling ---- */

enum ph_status ph__scrub_tell(struct ph__scrub *scrub, struct ph_finding *finding)
{
	scrub->findings++;
	if (scrub->first)
		return PH_ERR_CORRUPT;
	finding->repo = scrub->repo;
	finding->algo = scrub->record.algo;
	if (scrub->found)
		scrub->found(scrub->user, finding);
	return PH_OK;
}

/* What is stored may hold anything. */
static void escape(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

enum ph_status ph__scrub_say(struct ph__scrub *scrub, enum ph_finding_part part,
                             enum ph_status status, const char *advice, const char *format, ...)
{
	char what[512];
	struct ph_finding finding = {
	        .part = part, .status = status, .what = what, .advice = advice};
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	escape(what);
	finding.pack = scrub->pack.id;
	finding.section = scrub->pack.id ? scrub->pack.section : 0;
	return ph__scrub_tell(scrub, &finding);
}

bool ph__scrub_mute(const struct ph__scrub *scrub, enum ph_status status)
{
	return status == PH_OK || status == PH_ERR_NOMEM || (status == PH_ERR_IO && scrub->first);
}

void ph__scrub_spend(struct ph__scrub *scrub, uint64_t bytes)
{
	scrub->bytes += bytes;
	scrub->left = bytes < scrub->left ? scrub->left - bytes : 0;
}

/* ---- keeping up ---- */

static bool same_ptr(const struct ph__ptr *a, const struct ph__ptr *b)
{
	return a->block == b->block && a->epoch == b->epoch && a->crc == b->crc;
}

static bool same_tree(const struct ph__tree *a, const struct ph__tree *b)
{
	return a->height == b->height && same_ptr(&a->root, &b->root) &&
	       same_ptr(&a->buffer, &b->buffer);
}

void ph__scrub_leave(struct ph__scrub *scrub)
{
	ph__scrub_pack_leave(scrub);
	memcpy(scrub->last, scrub->repo, sizeof(scrub->last));
	scrub->repo[0] = '\0';
	scrub->tree.placed = false;
}

static enum ph_status find_record(struct ph__scrub *scrub, struct ph__record *record)
{
	struct ph__disk *disk = scrub->disk;
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t len, key_len = ph__key_name(key, PH__KEY_REPO, scrub->repo);
	struct ph__catalogue *catalogue = ph__catalogue_pin(disk);
	enum ph_status status =
	        ph__tree_get(disk, NULL, &catalogue->tree, key, key_len, value, &len);
	ph__catalogue_unpin(disk, catalogue);
	return status == PH_OK ? ph__record_decode(record, value, len) : status;
}

/* The repository at work may have changed, or be gone, or be another of the same name. */
static enum ph_status refresh_repo(struct ph__scrub *scrub)
{
	struct ph__record record;
	enum ph_status status = find_record(scrub, &record);
	if (status == PH_ERR_NOMEM)
		return status;
	/* Where the catalogue is damaged, its own walk says so. */
	if (status != PH_OK || record.tree.owner != scrub->record.tree.owner) {
		ph__scrub_leave(scrub);
		return PH_OK;
	}
	if (same_tree(&record.tree, &scrub->record.tree))
		return PH_OK;
	scrub->record = record;
	scrub->tree.tree = record.tree;
	scrub->tree.placed = false;
	scrub->counts = false;
	return scrub->pack.id ? ph__scrub_pack_again(scrub) : PH_OK;
}

enum ph_status ph__scrub_refresh(struct ph__scrub *scrub)
{
	struct ph__disk *disk = scrub->disk;
	if (scrub->fixed)
		return PH_OK;
	ph__lock(disk->sync, disk->lock);
	bool moved = scrub->super.epoch != disk->super.epoch;
	if (moved)
		scrub->super = disk->super;
	ph__unlock(disk->sync, disk->lock);
	if (!moved)
		return PH_OK;
	scrub->catalogue.tree = ph__super_tree(&scrub->super);
	scrub->catalogue.placed = false;
	return scrub->repo[0] ? refresh_repo(scrub) : PH_OK;
}

/* ---- steps ---- */

static enum ph_status run_stage(struct ph__scrub *scrub)
{
	switch (scrub->stage) {
	case PH__SCRUB_RING:
		return ph__scrub_ring(scrub);
	case PH__SCRUB_MAP:
		return ph__scrub_map(scrub);
	case PH__SCRUB_TREES:
		return ph__scrub_trees(scrub);
	case PH__SCRUB_SPACE:
		return ph__scrub_space(scrub);
	case PH__SCRUB_DONE:
		break;
	}
	return PH_END;
}

static enum ph_status scrub_step(struct ph_scrub *base, uint64_t bytes)
{
	struct ph__scrub *scrub = (struct ph__scrub *)base;
	enum ph_status status = ph__scrub_refresh(scrub);
	scrub->left = bytes;
	while (status == PH_OK && scrub->left > 0) {
		status = run_stage(scrub);
		if (status == PH_END) {
			if (scrub->stage >= PH__SCRUB_SPACE) {
				scrub->stage = PH__SCRUB_DONE;
				return scrub->findings ? PH_ERR_CORRUPT : PH_OK;
			}
			scrub->stage++;
			status = PH_OK;
		}
	}
	return status == PH_OK ? PH_AGAIN : status;
}

static void scrub_progress(const struct ph_scrub *base, struct ph_scrub_progress *out)
{
	const struct ph__scrub *scrub = (const struct ph__scrub *)base;
	out->bytes = scrub->bytes;
	out->repos = scrub->repos;
	out->findings = scrub->findings;
	uint64_t blocks = scrub->super.blocks, free = ph__map_free_blocks(&scrub->disk->map);
	out->total = (blocks > free ? blocks - free : 0) * PH__BLOCK;
	out->repo = scrub->repo;
	out->last = scrub->last;
}

static void scrub_free(struct ph_scrub *base)
{
	ph__scrub_free((struct ph__scrub *)base);
}

/* ---- making one ---- */

void ph__scrub_free(struct ph__scrub *scrub)
{
	const struct ph_alloc *alloc = scrub->disk->alloc;
	ph__scrub_pack_leave(scrub);
	ph_mem_free(alloc, scrub->catalogue.levels);
	ph_mem_free(alloc, scrub->tree.levels);
	ph_mem_free(alloc, scrub->buffer);
	ph_mem_free(alloc, scrub->seen);
	ph_mem_free(alloc, scrub);
}

static enum ph_status make_room(struct ph__scrub *scrub, bool owners)
{
	struct ph__disk *disk = scrub->disk;
	scrub->buffer = ph_mem_alloc(disk->alloc, PH__CHECK_BYTES);
	if (!scrub->buffer)
		return PH_ERR_NOMEM;
	if (!owners)
		return PH_OK;
	if (scrub->super.blocks / 64 >= SIZE_MAX / 8)
		return PH_ERR_NOMEM;
	scrub->seen = ph_mem_zalloc(disk->alloc, (size_t)(scrub->super.blocks / 64) + 1, 8);
	return scrub->seen ? PH_OK : PH_ERR_NOMEM;
}

enum ph_status ph__scrub_new(struct ph__scrub **out, struct ph__disk *disk,
                             const struct ph_scrub_options *options)
{
	static const struct ph_scrub_ops ops = {scrub_step, scrub_progress, scrub_free};
	struct ph__scrub *scrub = ph_mem_zalloc(disk->alloc, 1, sizeof(*scrub));
	if (!scrub)
		return PH_ERR_NOMEM;
	scrub->scrub.ops = &ops;
	scrub->disk = disk;
	scrub->user = options->user;
	scrub->found = options->found;
	scrub->fixed = options->exclusive;
	ph__lock(disk->sync, disk->lock);
	scrub->super = disk->super;
	ph__unlock(disk->sync, disk->lock);
	scrub->catalogue.tree = ph__super_tree(&scrub->super);
	if (options->after && options->after[0] && ph__name_fits(options->after, PH_REPO_NAME_MAX))
		scrub->catalogue.key_len =
		        ph__key_name(scrub->catalogue.key, PH__KEY_REPO, options->after);
	enum ph_status status = make_room(scrub, options->exclusive);
	if (status != PH_OK) {
		ph__scrub_free(scrub);
		return status;
	}
	*out = scrub;
	return PH_OK;
}

enum ph_status ph__disk_scrub(struct ph_store *store, const struct ph_scrub_options *options,
                              struct ph_scrub **out)
{
	struct ph__scrub *scrub;
	enum ph_status status = ph__scrub_new(&scrub, ph__disk_of(store), options);
	if (status == PH_OK)
		*out = &scrub->scrub;
	return status;
}
