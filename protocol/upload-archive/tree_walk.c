/* SPDX-License-Identifier: MIT */
/*
 * The walk keeps a level for each directory on the way. Its tree is held as long as those of all
 * levels together are small; of deep or huge ones only the place is kept, and they are read again
 * when the walk comes back, mostly out of the reader's cache.
 */
#include "tree_walk_int.h"

#include <string.h>

void ph__tree_walk_init(struct ph__tree_walk *walk, struct ph_reader *reader,
                        const struct ph_alloc *alloc, const struct ph_limits *limits)
{
	memset(walk, 0, sizeof(*walk));
	walk->reader = reader;
	walk->alloc = alloc;
	walk->limits = limits;
	walk->algo = ph_reader_source(reader)->algo;
	ph__text_init(&walk->path, alloc, PH__TREE_PATH_BYTES_MAX);
}

static void let_go(struct ph__tree_walk *walk, struct ph__tree_level *level)
{
	if (!level->held)
		return;
	walk->held_bytes -= level->object.size;
	ph_object_release(walk->reader, &level->object);
	level->held = false;
}

static void leave(struct ph__tree_walk *walk)
{
	struct ph__tree_level *level = &walk->levels[--walk->depth];

	let_go(walk, level);
	if (level->attributes) {
		ph__attr_file_release(walk->attributes, level->attributes);
		ph_mem_free(walk->alloc, level->attributes);
	}
}

void ph__tree_walk_release(struct ph__tree_walk *walk)
{
	if (!walk->alloc)
		return;
	while (walk->depth)
		leave(walk);
	ph_mem_free(walk->alloc, walk->levels);
	ph__text_release(&walk->path);
	walk->levels = NULL;
	walk->room = 0;
}

static enum ph_status hold(struct ph__tree_walk *walk, struct ph__tree_level *level)
{
	enum ph_status status;

	if (level->held)
		return PH_OK;
	status = ph_reader_read_oid(walk->reader, &level->tree, walk->limits->metadata_bytes_max,
	                            &level->object);
	if (status == PH_ERR_NOT_FOUND)
		return PH_ERR_MISSING;
	if (status != PH_OK)
		return status;
	if (level->object.type != PH_OBJ_TREE) {
		ph_object_release(walk->reader, &level->object);
		return PH_ERR_CORRUPT;
	}
	level->held = true;
	walk->held_bytes += level->object.size;
	return PH_OK;
}

/* ---- attributes ---- */

static enum ph_status parse_attributes(struct ph__tree_walk *walk, struct ph__tree_level *level,
                                       const struct ph_oid *oid)
{
	struct ph_object object;
	size_t len = walk->path.len;
	enum ph_status status =
	        ph_reader_read_oid(walk->reader, oid, PH__ATTR_FILE_BYTES_MAX, &object);

	if (status == PH_ERR_NOT_FOUND)
		return PH_OK;
	if (status == PH_ERR_LIMIT)
		return ph__text_print(walk->attributes->notes,
		                      "warning: ignoring overly large gitattributes blob "
		                      "'%.400s.gitattributes'\n",
		                      ph__text_bytes(&walk->path));
	if (status != PH_OK)
		return status;
	level->attributes = ph_mem_zalloc(walk->alloc, 1, sizeof(*level->attributes));
	status = level->attributes ? ph__text_add(&walk->path, ".gitattributes", 14) : PH_ERR_NOMEM;
	if (status == PH_OK && object.type == PH_OBJ_BLOB)
		status = ph__attr_file_parse(walk->attributes, level->attributes,
		                             ph__text_bytes(&walk->path), walk->depth == 1,
		                             object.data, (size_t)object.size);
	ph__text_cut(&walk->path, len);
	ph_object_release(walk->reader, &object);
	return status;
}

/* Reads the .gitattributes of the level on top, if its tree has them. */
static enum ph_status load_attributes(struct ph__tree_walk *walk)
{
	static const char name[] = ".gitattributes";
	struct ph__tree_level *level = &walk->levels[walk->depth - 1];
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	int order = -1;

	ph_tree_iter_init(&iter, walk->algo, level->object.data, (size_t)level->object.size);
	while (order < 0 && ph_tree_iter_next(&iter, &entry) == PH_OK) {
		size_t len = entry.name_len < sizeof(name) - 1 ? entry.name_len : sizeof(name) - 1;

		order = memcmp(entry.name, name, len);
		if (order == 0 && entry.name_len != sizeof(name) - 1)
			order = entry.name_len < sizeof(name) - 1 ? -1 : 1;
	}
	if (order != 0 || ph_mode_is_tree(entry.mode) || ph_mode_is_submodule(entry.mode))
		return PH_OK;
	return parse_attributes(walk, level, &entry.oid);
}

/* ---- levels ---- */

static enum ph_status push(struct ph__tree_walk *walk, const struct ph_oid *tree, bool all)
{
	struct ph__tree_level *level;
	enum ph_status status;

	if (walk->depth == PH__TREE_DEPTH_MAX)
		return PH_ERR_LIMIT;
	if (walk->depth == walk->room) {
		uint32_t room = walk->room ? 2 * walk->room : 16;
		void *levels = ph_mem_resize(walk->alloc, walk->levels, room, sizeof(*level));

		if (!levels)
			return PH_ERR_NOMEM;
		walk->levels = levels;
		walk->room = room;
	}
	level = &walk->levels[walk->depth];
	memset(level, 0, sizeof(*level));
	level->tree = *tree;
	level->all = all;
	level->path_len = walk->path.len;
	status = hold(walk, level);
	if (status != PH_OK)
		return status;
	walk->depth++;
	return walk->attributes ? load_attributes(walk) : PH_OK;
}

enum ph_status ph__tree_walk_begin(struct ph__tree_walk *walk, const struct ph_oid *tree)
{
	while (walk->depth)
		leave(walk);
	ph__text_cut(&walk->path, 0);
	return push(walk, tree, walk->spec_count == 0);
}

enum ph_status ph__tree_walk_enter(struct ph__tree_walk *walk)
{
	enum ph_status status;

	if (walk->held_bytes > PH__TREE_HELD_BYTES_MAX)
		let_go(walk, &walk->levels[walk->depth - 1]);
	status = ph__text_add(&walk->path, "/", 1);
	return status == PH_OK ? push(walk, &walk->oid, walk->match == PH__PATH_ALL) : status;
}

/* ---- entries ---- */

static uint32_t plain_mode(uint32_t mode)
{
	if (ph_mode_is_tree(mode) || ph_mode_is_symlink(mode))
		return mode & 0170000;
	if ((mode & 0170000) == 0100000)
		return mode & 0100 ? 0100755 : 0100644;
	return 0160000;
}

static enum ph__pathspec_match match(const struct ph__tree_walk *walk, uint32_t *budget)
{
	enum ph__pathspec_match best = PH__PATH_NO;

	for (uint32_t i = 0; i < walk->spec_count && best != PH__PATH_ALL; i++) {
		const struct ph__pathspec *spec = &walk->specs[i];
		enum ph__pathspec_match one = ph__pathspec_match(
		        spec, ph__text_bytes(&walk->path), walk->path.len,
		        ph_mode_is_tree(walk->mode), ph_mode_is_submodule(walk->mode));

		if (one > best)
			best = one;
		if (spec->plain < spec->len)
			ph_budget_spend_bytes(budget, spec->len * walk->path.len / 4);
	}
	return best;
}

/* One entry of the level on top; PH_END behind its last. */
static enum ph_status take_entry(struct ph__tree_walk *walk, struct ph__tree_level *level)
{
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	enum ph_status status = hold(walk, level);

	if (status != PH_OK)
		return status;
	ph_tree_iter_init(&iter, walk->algo, level->object.data, (size_t)level->object.size);
	iter.at += level->at;
	status = ph_tree_iter_next(&iter, &entry);
	if (status != PH_OK)
		return status == PH_END ? PH_END : PH_ERR_CORRUPT;
	level->at = (size_t)(iter.at - level->object.data);
	ph__text_cut(&walk->path, level->path_len);
	walk->mode = plain_mode(entry.mode);
	walk->oid = entry.oid;
	return ph__text_add(&walk->path, entry.name, entry.name_len);
}

enum ph_status ph__tree_walk_next(struct ph__tree_walk *walk, uint32_t *budget)
{
	while (walk->depth) {
		struct ph__tree_level *level = &walk->levels[walk->depth - 1];
		enum ph_status status;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		status = take_entry(walk, level);
		if (status == PH_END) {
			leave(walk);
			continue;
		}
		if (status != PH_OK)
			return status;
		walk->match = level->all ? PH__PATH_ALL : match(walk, budget);
		if (walk->match != PH__PATH_NO)
			return PH_OK;
	}
	return PH_END;
}
