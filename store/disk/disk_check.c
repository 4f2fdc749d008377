/* SPDX-License-Identifier: MIT */
/*
 * Checking a store: every node, record, blob, section and index is read from the device, past the
 * cache, and every block must have exactly one owner and be marked as used. Findings name the
 * repository they are in. The same walk, limited to what late epochs wrote, decides at opening
 * whether an epoch can be believed.
 */
#include "disk_int.h"

#include <assert.h>
#include <inttypes.h>
#include <packhorse/hash.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
	struct ph__disk *disk;
	void *user;
	void (*report)(void *user, const char *line); /* NULL: stop at the first finding */
	uint64_t min_epoch;
	uint64_t *seen; /* a bit for a block; NULL when owners do not matter */
	uint64_t blocks;
	uint64_t findings;
	char repo[PH_REPO_NAME_MAX + 1]; /* "" in the catalogue */
	struct ph__record record;
	uint64_t refs, packs, logs; /* counted */
	struct ph_oid log_tip;      /* SHA-256 of the last log record seen */
};

static enum ph_status finding(struct check *check, const char *format, ...) PH_PRINTF(2, 3);

/* Reports; what it returns goes on or ends the walk. */
static enum ph_status finding(struct check *check, const char *format, ...)
{
	char line[640];
	int len = 0;
	check->findings++;
	if (!check->report)
		return PH_ERR_CORRUPT;
	if (check->repo[0])
		len = snprintf(line, sizeof(line), "repository %s: ", check->repo);
	va_list args;
	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
	va_end(args);
	check->report(check->user, line);
	return PH_OK;
}

/* Whether a status tells nothing of what is on the device. One that cannot be read is no loss. */
static bool says_nothing(const struct check *check, enum ph_status status)
{
	return status == PH_OK || status == PH_ERR_NOMEM || (status == PH_ERR_IO && !check->report);
}

/* Reports what a status means, unless it is one that says nothing about the device. */
static enum ph_status found(struct check *check, enum ph_status status, const char *what,
                            uint64_t number)
{
	if (says_nothing(check, status))
		return status;
	return finding(check, "%s %" PRIu64 ": %s", what, number, ph_status_text(status));
}

/* ---- owners of blocks ---- */

static enum ph_status claim(struct check *check, struct ph__extent extent, const char *what)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; check->seen && i < extent.count && status == PH_OK; i++) {
		uint64_t block = extent.start + i;
		uint64_t bit = (uint64_t)1 << (block % 64);
		if (block >= check->blocks)
			return finding(check, "%s at block %" PRIu64 " is behind the end", what,
			               block);
		if (check->seen[block / 64] & bit)
			status = finding(check, "%s at block %" PRIu64 " is used twice", what,
			                 block);
		check->seen[block / 64] |= bit;
	}
	return status;
}

static bool is_seen(const struct check *check, uint64_t block)
{
	return check->seen[block / 64] >> (block % 64) & 1;
}

static enum ph_status compare_map(struct check *check)
{
	enum ph_status status = PH_OK;
	uint64_t block = PH__RING_BLOCKS;
	while (block < check->blocks && status == PH_OK) {
		bool used = ph__map_is_used(&check->disk->map, block);
		uint64_t first = block;
		if (used == is_seen(check, block)) {
			block++;
			continue;
		}
		while (block < check->blocks && is_seen(check, block) != used &&
		       ph__map_is_used(&check->disk->map, block) == used)
			block++;
		status =
		        finding(check, "blocks %" PRIu64 " to %" PRIu64 " are %s", first, block - 1,
		                used ? "marked as used and belong to nothing"
		                     : "in use and marked as free");
	}
	return status;
}

/* ---- values ---- */

static enum ph_status check_value(struct check *check, const struct ph__cell *cell,
                                  const char *what, uint8_t **data, uint32_t *len)
{
	struct ph__disk *disk = check->disk;
	struct ph__blob blob;
	uint8_t *copy = NULL;
	uint32_t copy_len = 0;
	enum ph_status status = ph__blob_decode(&blob, cell->value, cell->value_len);
	if (status == PH_OK)
		for (uint32_t i = 0; i < blob.count && status == PH_OK; i++)
			status = claim(check, blob.extents[i], what);
	if (status == PH_END)
		status = PH_OK;
	if (status == PH_OK)
		status = ph__value_load(disk, cell->value, cell->value_len, &copy, &copy_len);
	if (data && status == PH_OK) {
		*data = copy;
		*len = copy_len;
		return PH_OK;
	}
	ph_mem_free(disk->alloc, copy);
	return status;
}

static enum ph_status check_section(struct check *check, const struct ph__pack *pack,
                                    struct ph__section *section)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < section->piece_count && status == PH_OK; i++) {
		status = claim(check, ph__pack_extent(pack, section, i), "a section");
	}
	if (status != PH_OK || section->epoch < check->min_epoch)
		return status;
	status = ph__section_check(section);
	if (says_nothing(check, status))
		return status;
	return finding(check, "pack %" PRIu64 ", section %" PRIu32 ": %s", pack->id, section->type,
	               ph_status_text(status));
}

static enum ph_status check_pack(struct check *check, const struct ph__cell *cell)
{
	struct ph__disk *disk = check->disk;
	uint64_t id = cell->key_len == 9 ? ph__get64(cell->key + 1) : 0;
	uint64_t findings = check->findings;
	uint8_t *data;
	uint32_t len;
	struct ph__pack *pack;
	check->packs++;
	enum ph_status status = id > 0 && id < check->record.next_pack ? PH_OK : PH_ERR_CORRUPT;
	if (status == PH_OK)
		status = check_value(check, cell, "a pack's record", &data, &len);
	if (status != PH_OK)
		return found(check, status, "record of pack", id);
	status = ph__pack_decode(&pack, disk, id, data, len);
	ph_mem_free(disk->alloc, data);
	if (status != PH_OK)
		return found(check, status, "record of pack", id);
	for (uint32_t i = 0; i <= PH_SECTION_MAX && status == PH_OK; i++)
		if (pack->sections[i])
			status = check_section(check, pack, pack->sections[i]);
	if (status == PH_OK && check->findings == findings)
		status =
		        found(check, ph__pack_index(pack, check->record.algo), "index of pack", id);
	ph__pack_release(disk, pack);
	return status;
}

static enum ph_status check_ref(struct check *check, const struct ph__cell *cell)
{
	struct ph_ref *ref = ph_mem_alloc(check->disk->alloc, sizeof(*ref));
	if (!ref)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__ref_decode(ref, check->record.algo, cell);
	ph_mem_free(check->disk->alloc, ref);
	return found(check, status, "ref", check->refs++);
}

/* Whether a record names the one before it, the oldest excepted; then its own hash is the tip. */
static bool check_link(struct check *check, const uint8_t *data, uint32_t len, bool first)
{
	char hex[PH_OID_HEX_MAX + 1];
	struct ph_hash hash;
	ph_oid_to_hex(hex, PH_HASH_SHA256, &check->log_tip);
	bool linked = first || (len >= PH_LOG_LINK_BYTES && data[PH_LOG_LINK_BYTES - 1] == '\n' &&
	                        memcmp(data, hex, PH_LOG_LINK_BYTES - 1) == 0);
	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, data, len);
	ph_hash_final(&hash, &check->log_tip);
	return linked;
}

static enum ph_status check_log(struct check *check, const struct ph__cell *cell)
{
	const struct ph__record *record = &check->record;
	uint64_t number = cell->key_len == 9 ? ph__get64(cell->key + 1) : UINT64_MAX;
	bool first = check->logs++ == 0;
	uint8_t *data;
	uint32_t len;
	if (number < record->log_first || number - record->log_first >= record->log_count)
		return finding(check, "log record %" PRIu64 " is out of range", number);
	enum ph_status status = check_value(check, cell, "a log record", &data, &len);
	if (status != PH_OK)
		return found(check, status, "log record", number);
	/* Not all records are gone over when only late epochs are. */
	bool linked = check_link(check, data, len, first || check->min_epoch > 0);
	ph_mem_free(check->disk->alloc, data);
	return linked ? PH_OK
	              : finding(check, "log record %" PRIu64 " does not name the one before it",
	                        number);
}

static enum ph_status repo_cell(void *user, const struct ph__cell *cell)
{
	struct check *check = user;
	enum ph_status status;
	switch (cell->key[0]) {
	case PH__KEY_SETTING:
		status = check_value(check, cell, "a setting", NULL, NULL);
		return found(check, status, "setting of repository", check->record.tree.owner);
	case PH__KEY_SHALLOW:
		status = check_value(check, cell, "the shallow set", NULL, NULL);
		return found(check, status, "shallow set of repository", check->record.tree.owner);
	case PH__KEY_LOG:
		return check_log(check, cell);
	case PH__KEY_PACK:
		return check_pack(check, cell);
	case PH__KEY_REF:
		return check_ref(check, cell);
	default:
		return finding(check, "key of unknown kind %u", (unsigned)cell->key[0]);
	}
}

/* ---- trees ---- */

static enum ph_status tree_node(void *user, const struct ph__ptr *ptr)
{
	return claim(user, (struct ph__extent){ptr->block, 1, 0}, "a node");
}

static enum ph_status tree_bad(void *user, const struct ph__ptr *ptr, enum ph_status status)
{
	return found(user, status, "node at block", ptr->block);
}

static enum ph_status check_tree(struct check *check, const struct ph__tree *tree,
                                 enum ph_status (*cell)(void *, const struct ph__cell *))
{
	const struct ph__walk walk = {.disk = check->disk,
	                              .direct = true,
	                              .min_epoch = check->min_epoch,
	                              .user = check,
	                              .node = tree_node,
	                              .cell = cell,
	                              .bad = tree_bad};
	return ph__tree_walk(&walk, tree);
}

static enum ph_status check_counts(struct check *check)
{
	const struct ph__record *record = &check->record;
	if (check->refs != record->refs || check->packs != record->packs ||
	    check->logs != record->log_count)
		return finding(check, "has other numbers of refs, packs or log records than said");
	if (check->logs > 0 && !ph_oid_equal(&check->log_tip, &record->log_tip))
		return finding(check, "has another newest log record than said");
	return PH_OK;
}

static enum ph_status check_repo(struct check *check, const struct ph__cell *cell)
{
	if (cell->key_len < 2 || cell->key_len - 1 > PH_REPO_NAME_MAX)
		return finding(check, "the catalogue has a name of %" PRIu32 " bytes",
		               cell->key_len - 1);
	memcpy(check->repo, cell->key + 1, cell->key_len - 1);
	check->repo[cell->key_len - 1] = '\0';
	check->refs = check->packs = check->logs = 0;
	uint64_t findings = check->findings;
	enum ph_status status = ph__record_decode(&check->record, cell->value, cell->value_len);
	if (status != PH_OK) {
		status = found(check, status, "record of length", cell->value_len);
	} else {
		status = check_tree(check, &check->record.tree, repo_cell);
		if (status == PH_OK && check->findings == findings && check->min_epoch == 0)
			status = check_counts(check);
	}
	check->repo[0] = '\0';
	return status;
}

static enum ph_status catalogue_cell(void *user, const struct ph__cell *cell)
{
	struct check *check = user;
	if (cell->key[0] == PH__KEY_REPO)
		return check_repo(check, cell);
	if (cell->key[0] != PH__KEY_SETTING)
		return finding(check, "the catalogue has a key of unknown kind");
	enum ph_status status = check_value(check, cell, "a setting", NULL, NULL);
	return found(check, status, "setting of length", cell->value_len);
}

enum ph_status ph__disk_verify(struct ph__disk *disk, const struct ph__super *super,
                               uint64_t min_epoch)
{
	struct check check = {.disk = disk, .min_epoch = min_epoch};
	const struct ph__tree catalogue = ph__super_tree(super);
	return check_tree(&check, &catalogue, catalogue_cell);
}

/* ---- the whole ---- */

static enum ph_status check_all(struct check *check)
{
	const struct ph__super *super = &check->disk->super;
	const struct ph__tree catalogue = ph__super_tree(super);
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < super->map.extent_count && status == PH_OK; i++)
		status = claim(check, super->map.extents[i], "the map");
	if (status == PH_OK)
		status = check_tree(check, &catalogue, catalogue_cell);
	/* What could not be read is missing from the owners; then the map tells nothing new. */
	if (status == PH_OK && check->findings == 0)
		status = compare_map(check);
	return status;
}

static void no_report(void *user, const char *line)
{
	(void)user;
	(void)line;
}

enum ph_status ph_store_disk_check(struct ph_store *store, void *user,
                                   void (*report)(void *user, const char *line))
{
	struct ph__disk *disk = ph__disk_of(store);
	struct check check = {.disk = disk, .user = user, .report = report ? report : no_report};
	/* No commit meanwhile; reading goes on. */
	ph__lock(disk->sync, disk->commit);
	check.blocks = disk->super.blocks;
	enum ph_status status = PH_ERR_NOMEM;
	if (check.blocks / 64 < SIZE_MAX / 8)
		check.seen = ph_mem_zalloc(disk->alloc, (size_t)(check.blocks / 64) + 1, 8);
	if (check.seen)
		status = check_all(&check);
	ph__unlock(disk->sync, disk->commit);
	ph_mem_free(disk->alloc, check.seen);
	if (status == PH_OK && check.findings > 0)
		status = PH_ERR_CORRUPT;
	return status;
}
