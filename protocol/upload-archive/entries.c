/* SPDX-License-Identifier: MIT */
/*
 * The entries of an archive in git's order: the prefix as a directory, then the tree. A directory
 * is shown only once something in it is, so one whose files are all left out is left out too.
 */
#include "archive_int.h"

#include <string.h>

enum ph_status ph__entries_init(struct ph__entries *entries, const struct ph__archive_input *input)
{
	enum ph_status status;

	memset(entries, 0, sizeof(*entries));
	entries->input = input;
	ph__text_init(&entries->path, input->alloc,
	              strlen(input->options->prefix) + PH__TREE_PATH_BYTES_MAX + 1);
	ph__tree_walk_init(&entries->walk, input->reader, input->alloc, input->limits);
	status = ph__attributes_init(&entries->attributes, input->alloc, input->notes);
	if (status != PH_OK)
		return status;
	entries->walk.attributes = &entries->attributes;
	entries->walk.specs = input->specs;
	entries->walk.spec_count = input->spec_count;
	return ph__tree_walk_begin(&entries->walk, &input->tree);
}

void ph__entries_release(struct ph__entries *entries)
{
	ph__tree_walk_release(&entries->walk);
	ph__attributes_release(&entries->attributes);
	ph__text_release(&entries->path);
}

/* So much of the walk's path, behind the prefix. */
static enum ph_status show(struct ph__entries *entries, struct ph__archive_entry *out,
                           const struct ph_oid *oid, uint32_t mode, size_t path_len)
{
	const char *prefix = entries->input->options->prefix;
	size_t prefix_len = strlen(prefix);
	enum ph_status status;

	ph__text_cut(&entries->path, 0);
	status = ph__text_add(&entries->path, prefix, prefix_len);
	if (status == PH_OK)
		status =
		        ph__text_add(&entries->path, ph__text_bytes(&entries->walk.path), path_len);
	out->oid = *oid;
	out->mode = mode;
	out->path = ph__text_bytes(&entries->path);
	out->path_len = entries->path.len;
	out->tree_path = out->path + prefix_len;
	out->attributes = entries->check.values;
	return status;
}

/* A prefix that ends in a slash is an entry, whatever else it holds; of its slashes one is left. */
static enum ph_status show_prefix(struct ph__entries *entries, struct ph__archive_entry *out)
{
	const char *prefix = entries->input->options->prefix;
	size_t len = strlen(prefix);
	enum ph_status status;

	entries->state = PH__ENTRIES_WALK;
	if (len == 0 || prefix[len - 1] != '/')
		return PH_AGAIN;
	while (len > 1 && prefix[len - 2] == '/')
		len--;
	status = show(entries, out, &entries->input->tree, 040777, 0);
	out->path_len = len;
	return status;
}

static bool is_directory(const struct ph__entries *entries)
{
	return ph_mode_is_tree(entries->walk.mode);
}

/* The next name of the tree. Directories and submodules get their slash. */
static enum ph_status walk_on(struct ph__entries *entries, uint32_t *budget)
{
	enum ph_status status = ph__tree_walk_next(&entries->walk, budget);

	if (status != PH_OK)
		return status;
	if (is_directory(entries) || ph_mode_is_submodule(entries->walk.mode))
		status = ph__text_add(&entries->walk.path, "/", 1);
	ph__attr_check_begin(&entries->attributes, &entries->check);
	entries->level = entries->walk.depth;
	entries->line = UINT32_MAX;
	entries->state = PH__ENTRIES_CHECK;
	return status == PH_OK ? PH_AGAIN : status;
}

/* Attributes of the path, from the deepest file up. */
static enum ph_status check(struct ph__entries *entries, uint32_t *budget)
{
	const struct ph__text *path = &entries->walk.path;

	for (; entries->level > 0; entries->level--) {
		const struct ph__tree_level *level = &entries->walk.levels[entries->level - 1];
		enum ph_status status;

		if (!level->attributes)
			continue;
		if (entries->line == UINT32_MAX)
			entries->line = level->attributes->line_count;
		status = ph__attr_check_file(&entries->attributes, &entries->check,
		                             level->attributes, path->data + level->path_len,
		                             path->len - level->path_len, &entries->line, budget);
		if (status != PH_OK)
			return status;
		entries->line = UINT32_MAX;
	}
	return PH_OK;
}

static bool is_ignored(const struct ph__entries *entries)
{
	return entries->check.values[PH__ATTR_EXPORT_IGNORE] == PH__ATTR_TRUE;
}

/* Directories are entered, and shown later. */
static enum ph_status checked(struct ph__entries *entries)
{
	entries->state = PH__ENTRIES_WALK;
	if (is_directory(entries)) {
		enum ph_status status;

		if (is_ignored(entries))
			return PH_AGAIN;
		ph__text_cut(&entries->walk.path, entries->walk.path.len - 1);
		status = ph__tree_walk_enter(&entries->walk);
		return status == PH_OK ? PH_AGAIN : status;
	}
	entries->state = PH__ENTRIES_UP;
	entries->level = 1;
	return PH_AGAIN;
}

/* Directories above that were not shown yet, from the top, and then the entry itself. */
static enum ph_status show_up(struct ph__entries *entries, struct ph__archive_entry *out)
{
	struct ph__tree_walk *walk = &entries->walk;

	for (; entries->level < walk->depth; entries->level++) {
		struct ph__tree_level *level = &walk->levels[entries->level];

		if (level->written)
			continue;
		level->written = true;
		entries->level++;
		return show(entries, out, &level->tree, 040000, level->path_len);
	}
	entries->state = PH__ENTRIES_WALK;
	if (is_ignored(entries))
		return PH_AGAIN;
	return show(entries, out, &walk->oid, walk->mode, walk->path.len);
}

enum ph_status ph__entries_next(struct ph__entries *entries, struct ph__archive_entry *out,
                                uint32_t *budget)
{
	enum ph_status status = PH_AGAIN;

	while (status == PH_AGAIN && *budget > 0) {
		switch (entries->state) {
		case PH__ENTRIES_PREFIX:
			status = show_prefix(entries, out);
			break;
		case PH__ENTRIES_WALK:
			status = walk_on(entries, budget);
			break;
		case PH__ENTRIES_CHECK:
			status = check(entries, budget);
			if (status == PH_OK)
				status = checked(entries);
			break;
		case PH__ENTRIES_UP:
		default:
			ph_budget_spend(budget, 1);
			status = show_up(entries, out);
			break;
		}
	}
	return status;
}
