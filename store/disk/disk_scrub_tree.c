/* SPDX-License-Identifier: MIT */
/*
 * The walk of a check through the catalogue and through the tree of each repository. Nodes are read
 * from the device, past the cache. A node that is damaged is told of with the keys that lie in it,
 * and passed over. A walk remembers the key it has come to and finds its place again in a tree that
 * has changed.
 */
#include "disk_scrub_int.h"

#include <inttypes.h>
#include <packhorse/hash.h>
#include <stdio.h>
#include <string.h>

#define WHERE_BYTES 96u

/* ---- nodes ---- */

static bool is_catalogue(const struct ph__scrub *scrub, const struct ph__scrub_walk *walk)
{
	return walk == &scrub->catalogue;
}

/* A key in words, cut to fit. */
static void key_words(char *out, bool catalogue, const uint8_t *key, uint32_t len)
{
	int rest = (int)(len > 0 ? len - 1 : 0);
	if (rest > 60)
		rest = 60;
	if (len == 0)
		snprintf(out, WHERE_BYTES, "the beginning");
	else if (catalogue && key[0] == PH__KEY_REPO)
		snprintf(out, WHERE_BYTES, "repository %.*s", rest, (const char *)key + 1);
	else if (key[0] == PH__KEY_SETTING)
		snprintf(out, WHERE_BYTES, "setting %.*s", rest, (const char *)key + 1);
	else if (key[0] == PH__KEY_REF)
		snprintf(out, WHERE_BYTES, "ref %.*s", rest, (const char *)key + 1);
	else if (key[0] == PH__KEY_PACK && len == 9)
		snprintf(out, WHERE_BYTES, "pack %" PRIu64, ph__get64(key + 1));
	else if (key[0] == PH__KEY_LOG && len == 9)
		snprintf(out, WHERE_BYTES, "log record %" PRIu64, ph__get64(key + 1));
	else
		snprintf(out, WHERE_BYTES, "%s",
		         key[0] < PH__KEY_PACK  ? "the log"
		         : key[0] < PH__KEY_REF ? "the packs"
		                                : "the refs");
}

static const char *node_advice(bool catalogue)
{
	return catalogue ? "these repositories cannot be opened; restore a backup"
	                 : "what is there cannot be read; when the repository cannot be opened, "
	                   "delete it and push it again, or restore a backup";
}

/* Tells of a node at this level, by the keys around it. */
static enum ph_status node_found(struct ph__scrub *scrub, struct ph__scrub_walk *walk,
                                 const struct ph__ptr *ptr, uint8_t level, enum ph_status status)
{
	bool catalogue = is_catalogue(scrub, walk);
	char from[WHERE_BYTES], to[WHERE_BYTES + 8] = "to the end";
	key_words(from, catalogue, walk->key, walk->key_len);
	for (uint8_t at = (uint8_t)(level + 1); at < walk->tree.height; at++) {
		const struct ph__tree_level *above = &walk->levels[at];
		struct ph__cell next;
		if (at == level + 1 && above->slot > 1) {
			ph__node_cell(above->node, above->slot - 1, &next);
			key_words(from, catalogue, next.key, next.key_len);
		}
		if (above->slot >= above->count)
			continue;
		ph__node_cell(above->node, above->slot, &next);
		memcpy(to, "up to ", 6);
		key_words(to + 6, catalogue, next.key, next.key_len);
		break;
	}
	return ph__scrub_say(scrub, PH_FINDING_TREE, status, node_advice(catalogue),
	                     "%s at block %" PRIu64 ", level %u: from %s %s",
	                     catalogue ? "node of the catalogue" : "node of its tree", ptr->block,
	                     (unsigned)level, from, to);
}

/*
 * Reads a node, or a buffer. What cannot be read is told of, once, and then has no cells. PH_END:
 * the tree is another by now.
 */
static enum ph_status load_node(struct ph__scrub *scrub, struct ph__scrub_walk *walk,
                                const struct ph__ptr *ptr, uint8_t level, struct ph__tree_level *to)
{
	to->slot = to->count = 0;
	enum ph_status status =
	        ph__tree_node_direct(scrub->disk, &walk->tree, ptr, level, to->node);
	ph__scrub_spend(scrub, PH__BLOCK);
	if (status == PH_OK) {
		to->count = ph__node_count(to->node);
		return ph__scrub_claim(scrub, (struct ph__extent){ptr->block, 1, 0}, "a node");
	}
	if (ph__scrub_mute(scrub, status))
		return status;
	enum ph_status fresh = ph__scrub_refresh(scrub);
	if (fresh != PH_OK || !walk->placed)
		return fresh == PH_OK ? PH_END : fresh;
	if (walk->bad.block == ptr->block && walk->bad.epoch == ptr->epoch)
		return PH_OK;
	walk->bad = *ptr;
	if (to != &walk->buffer)
		return node_found(scrub, walk, ptr, level, status);
	return ph__scrub_say(scrub, PH_FINDING_TREE, status, node_advice(false),
	                     "buffer of its tree at block %" PRIu64, ptr->block);
}

/* ---- walking ---- */

static enum ph_status reserve(struct ph__scrub *scrub, struct ph__scrub_walk *walk)
{
	if (walk->tree.height <= walk->room)
		return PH_OK;
	void *levels = ph_mem_resize(scrub->disk->alloc, walk->levels, walk->tree.height,
	                             sizeof(*walk->levels));
	if (!levels)
		return PH_ERR_NOMEM;
	walk->levels = levels;
	walk->room = walk->tree.height;
	return PH_OK;
}

/* The buffer, which stands before the nodes, to its first cell behind the key. */
static enum ph_status place_buffer(struct ph__scrub *scrub, struct ph__scrub_walk *walk)
{
	struct ph__tree_level *buffer = &walk->buffer;
	const struct ph__tree *tree = &walk->tree;
	enum ph_status status = PH_OK;
	bool equal;
	buffer->slot = buffer->count = 0;
	if (!ph__tree_buffered(tree))
		return PH_OK;
	if (tree->held) {
		memcpy(buffer->node, tree->held, PH__BLOCK);
		buffer->count = ph__node_count(buffer->node);
	} else if (tree->buffer.epoch >= scrub->min_epoch) {
		status = load_node(scrub, walk, &tree->buffer, 0, buffer);
	}
	if (status != PH_OK || buffer->count == 0)
		return status;
	buffer->slot = ph__node_search(buffer->node, walk->key, walk->key_len, &equal);
	buffer->slot += equal;
	return PH_OK;
}

/* The nodes, to the first cell behind the key. */
static enum ph_status place_nodes(struct ph__scrub *scrub, struct ph__scrub_walk *walk)
{
	struct ph__ptr ptr = walk->tree.root;
	for (uint8_t level = walk->tree.height; level > 0; level--) {
		struct ph__tree_level *at = &walk->levels[level - 1];
		struct ph__cell cell;
		walk->level = (uint8_t)(level - 1);
		enum ph_status status = load_node(scrub, walk, &ptr, walk->level, at);
		if (status != PH_OK || at->count == 0)
			return status;
		if (level == 1) {
			bool equal;
			at->slot = ph__node_search(at->node, walk->key, walk->key_len, &equal);
			at->slot += equal;
			return PH_OK;
		}
		at->slot = ph__node_child(at->node, walk->key, walk->key_len);
		ph__node_cell(at->node, at->slot++, &cell);
		ptr = cell.ptr;
	}
	return PH_OK;
}

static enum ph_status place(struct ph__scrub *scrub, struct ph__scrub_walk *walk)
{
	enum ph_status status = reserve(scrub, walk);
	if (status != PH_OK)
		return status;
	walk->placed = true;
	walk->waits = false;
	walk->ended = walk->tree.height == 0 || walk->tree.root.epoch < scrub->min_epoch;
	for (uint8_t i = 0; i < walk->tree.height; i++)
		walk->levels[i].slot = walk->levels[i].count = 0;
	status = place_buffer(scrub, walk);
	return status == PH_OK && !walk->ended ? place_nodes(scrub, walk) : status;
}

/* A cell of the nodes, or none (key NULL) to be called again. PH_END: the tree is another. */
static enum ph_status nodes_next(struct ph__scrub *scrub, struct ph__scrub_walk *walk,
                                 struct ph__cell *cell)
{
	struct ph__tree_level *at = &walk->levels[walk->level];
	cell->key = NULL;
	if (at->slot >= at->count) {
		walk->ended = walk->level + 1 >= walk->tree.height;
		walk->level += !walk->ended;
		return PH_OK;
	}
	ph__node_cell(at->node, at->slot++, cell);
	if (walk->level == 0)
		return PH_OK;
	struct ph__ptr ptr = cell->ptr;
	cell->key = NULL;
	if (ptr.epoch < scrub->min_epoch)
		return PH_OK;
	walk->level--;
	return load_node(scrub, walk, &ptr, walk->level, &walk->levels[walk->level]);
}

/* The buffer's next cell, when it comes before the one of the nodes, or in its place. */
static bool buffer_next(struct ph__scrub_walk *walk, struct ph__cell *cell)
{
	struct ph__tree_level *buffer = &walk->buffer;
	int cmp = -1;
	if (buffer->slot >= buffer->count)
		return false;
	ph__node_cell(buffer->node, buffer->slot, cell);
	if (walk->waits)
		cmp = ph__key_cmp(cell->key, cell->key_len, walk->cell.key, walk->cell.key_len);
	if (cmp > 0)
		return false;
	buffer->slot++;
	walk->waits = walk->waits && cmp != 0;
	return true;
}

/* PH_OK with a cell, or with none (key NULL) to be called again; PH_END behind the last. */
static enum ph_status walk_next(struct ph__scrub *scrub, struct ph__scrub_walk *walk,
                                struct ph__cell *cell)
{
	enum ph_status status;
	cell->key = NULL;
	if (!walk->placed) {
		status = place(scrub, walk);
		return status == PH_END ? PH_OK : status;
	}
	if (!walk->waits && !walk->ended) {
		status = nodes_next(scrub, walk, &walk->cell);
		if (status != PH_OK || !walk->cell.key)
			return status == PH_END ? PH_OK : status;
		walk->waits = true;
	}
	if (!buffer_next(walk, cell)) {
		if (!walk->waits) {
			cell->key = NULL;
			return PH_END;
		}
		*cell = walk->cell;
		walk->waits = false;
	}
	memcpy(walk->key, cell->key, cell->key_len);
	walk->key_len = cell->key_len;
	if (ph__cell_removes(cell))
		cell->key = NULL;
	return PH_OK;
}

/* ---- values ---- */

enum ph_status ph__scrub_value(struct ph__scrub *scrub, const struct ph__cell *cell,
                               const char *what, uint8_t **data, uint32_t *len)
{
	struct ph__disk *disk = scrub->disk;
	struct ph__blob blob;
	uint8_t *copy = NULL;
	uint32_t copy_len = 0;
	enum ph_status status = ph__blob_decode(&blob, cell->value, cell->value_len);
	if (status == PH_OK) {
		for (uint32_t i = 0; i < blob.count && status == PH_OK; i++)
			status = ph__scrub_claim(scrub, blob.extents[i], what);
		ph__scrub_spend(scrub, blob.len);
	}
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

/* What a value's status means: damage is told of when the tree it is from still stands. */
static enum ph_status value_found(struct ph__scrub *scrub, struct ph__scrub_walk *walk,
                                  const struct ph__cell *cell, enum ph_status status)
{
	char where[WHERE_BYTES];
	if (ph__scrub_mute(scrub, status))
		return status;
	key_words(where, is_catalogue(scrub, walk), cell->key, cell->key_len);
	enum ph_status fresh = ph__scrub_refresh(scrub);
	if (fresh != PH_OK || !walk->placed)
		return fresh;
	const char *advice = cell->key[0] == PH__KEY_PACK || cell->key[0] == PH__KEY_SHALLOW
	                             ? "the repository cannot be opened; delete it and push it "
	                               "again, or restore a backup"
	                             : "";
	return ph__scrub_say(scrub, PH_FINDING_VALUE, status, advice, "%s", where);
}

static enum ph_status plain_value(struct ph__scrub *scrub, struct ph__scrub_walk *walk,
                                  const struct ph__cell *cell, const char *what)
{
	return value_found(scrub, walk, cell, ph__scrub_value(scrub, cell, what, NULL, NULL));
}

static enum ph_status check_ref(struct ph__scrub *scrub, const struct ph__cell *cell)
{
	struct ph_ref *ref = ph_mem_alloc(scrub->disk->alloc, sizeof(*ref));
	if (!ref)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__ref_decode(ref, scrub->record.algo, cell);
	ph_mem_free(scrub->disk->alloc, ref);
	scrub->refs++;
	return value_found(scrub, &scrub->tree, cell, status);
}

/* Whether a record names the one before it; then its own hash is the one to be named. */
static bool check_link(struct ph__scrub *scrub, const uint8_t *data, uint32_t len, bool first)
{
	char hex[PH_OID_HEX_MAX + 1];
	struct ph_hash hash;
	ph_oid_to_hex(hex, PH_HASH_SHA256, &scrub->log_tip);
	bool linked = first || (len >= PH_LOG_LINK_BYTES && data[PH_LOG_LINK_BYTES - 1] == '\n' &&
	                        memcmp(data, hex, PH_LOG_LINK_BYTES - 1) == 0);
	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, data, len);
	ph_hash_final(&hash, &scrub->log_tip);
	return linked;
}

static enum ph_status check_log(struct ph__scrub *scrub, const struct ph__cell *cell)
{
	const struct ph__record *record = &scrub->record;
	uint64_t number = cell->key_len == 9 ? ph__get64(cell->key + 1) : UINT64_MAX;
	/* Not all records are gone over when only late epochs are, nor when old ones go meanwhile.
	 */
	bool follows = scrub->log > 0 && scrub->min_epoch == 0 && number == scrub->log_number + 1;
	uint8_t *data;
	uint32_t len;
	scrub->log++;
	scrub->log_number = number;
	if (number < record->log_first || number - record->log_first >= record->log_count)
		return ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
		                     "log record %" PRIu64 " is out of range", number);
	enum ph_status status = ph__scrub_value(scrub, cell, "a log record", &data, &len);
	if (status != PH_OK) {
		scrub->log_number = UINT64_MAX - 1;
		return value_found(scrub, &scrub->tree, cell, status);
	}
	bool linked = check_link(scrub, data, len, !follows);
	ph_mem_free(scrub->disk->alloc, data);
	return linked ? PH_OK
	              : ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
	                              "log record %" PRIu64 " does not name the one before it",
	                              number);
}

/* ---- cells ---- */

static enum ph_status repo_cell(struct ph__scrub *scrub, const struct ph__cell *cell)
{
	switch (cell->key[0]) {
	case PH__KEY_SETTING:
		return plain_value(scrub, &scrub->tree, cell, "a setting");
	case PH__KEY_SHALLOW:
		return plain_value(scrub, &scrub->tree, cell, "the shallow set");
	case PH__KEY_LOG:
		return check_log(scrub, cell);
	case PH__KEY_PACK:
		scrub->packs++;
		return value_found(scrub, &scrub->tree, cell, ph__scrub_pack_begin(scrub, cell));
	case PH__KEY_REF:
		return check_ref(scrub, cell);
	default:
		return ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
		                     "key of unknown kind %u", (unsigned)cell->key[0]);
	}
}

static enum ph_status begin_repo(struct ph__scrub *scrub, const struct ph__cell *cell)
{
	if (cell->key_len < 2 || cell->key_len - 1 > PH_REPO_NAME_MAX)
		return ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
		                     "the catalogue has a name of %" PRIu32 " bytes",
		                     cell->key_len - 1);
	memcpy(scrub->repo, cell->key + 1, cell->key_len - 1);
	scrub->repo[cell->key_len - 1] = '\0';
	scrub->repos++;
	scrub->refs = scrub->packs = scrub->log = 0;
	scrub->counts = scrub->min_epoch == 0;
	scrub->repo_findings = scrub->findings;
	enum ph_status status = ph__record_decode(&scrub->record, cell->value, cell->value_len);
	if (status != PH_OK) {
		status = value_found(scrub, &scrub->catalogue, cell, status);
		ph__scrub_leave(scrub);
		return status;
	}
	scrub->tree.tree = scrub->record.tree;
	scrub->tree.placed = false;
	scrub->tree.key_len = 0;
	scrub->tree.bad = (struct ph__ptr){0, 0, 0};
	return PH_OK;
}

static enum ph_status end_repo(struct ph__scrub *scrub)
{
	const struct ph__record *record = &scrub->record;
	enum ph_status status = PH_OK;
	bool count = scrub->counts && scrub->findings == scrub->repo_findings;
	if (count && (scrub->refs != record->refs || scrub->packs != record->packs ||
	              scrub->log != record->log_count))
		status = ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
		                       "other numbers of refs, packs or log records than said");
	else if (count && scrub->log > 0 && !ph_oid_equal(&scrub->log_tip, &record->log_tip))
		status = ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
		                       "another newest log record than said");
	ph__scrub_leave(scrub);
	return status;
}

static enum ph_status catalogue_cell(struct ph__scrub *scrub, const struct ph__cell *cell)
{
	if (cell->key[0] == PH__KEY_REPO)
		return begin_repo(scrub, cell);
	if (cell->key[0] == PH__KEY_SETTING)
		return plain_value(scrub, &scrub->catalogue, cell, "a setting");
	return ph__scrub_say(scrub, PH_FINDING_VALUE, PH_ERR_CORRUPT, "",
	                     "the catalogue has a key of unknown kind");
}

enum ph_status ph__scrub_trees(struct ph__scrub *scrub)
{
	struct ph__cell cell;
	enum ph_status status;
	if (scrub->pack.id)
		return ph__scrub_pack_step(scrub);
	if (!scrub->repo[0]) {
		status = walk_next(scrub, &scrub->catalogue, &cell);
		return status == PH_OK && cell.key ? catalogue_cell(scrub, &cell) : status;
	}
	status = walk_next(scrub, &scrub->tree, &cell);
	if (status == PH_END)
		return end_repo(scrub);
	return status == PH_OK && cell.key ? repo_cell(scrub, &cell) : status;
}
