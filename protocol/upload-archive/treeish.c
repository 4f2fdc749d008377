/* SPDX-License-Identifier: MIT */
/*
 * Who asks for an archive gets what a ref shows, not what it hides: a name is looked up among the
 * refs that the client may see, as git completes names, and nothing else is a name. Texts are
 * git's.
 */
#include "treeish_int.h"
#include "visible_int.h"

#include <stdio.h>
#include <string.h>

/* What git may put around a short name; the first that exists is meant. */
static const struct {
	const char *before, *behind;
} rules[] = {{"", ""},
             {"refs/", ""},
             {"refs/tags/", ""},
             {"refs/heads/", ""},
             {"refs/remotes/", ""},
             {"refs/remotes/", "/HEAD"}};

void ph__treeish_init(struct ph__treeish *treeish, struct ph_snapshot *snapshot,
                      const struct ph_config *config, struct ph_reader *reader,
                      const struct ph_limits *limits, const char *name)
{
	memset(treeish, 0, sizeof(*treeish));
	treeish->snapshot = snapshot;
	treeish->config = config;
	treeish->reader = reader;
	treeish->limits = limits;
	treeish->name = name;
}

static enum ph_hash_algo algo_of(const struct ph__treeish *treeish)
{
	return ph_reader_source(treeish->reader)->algo;
}

/* ---- refs ---- */

/* One complete name, if it is a ref's and is to be seen. */
static enum ph_status try_ref(struct ph__treeish *treeish, const char *name)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref ref;
	enum ph_status status = ph__visible_resolve(
	        treeish->snapshot, &treeish->config->hide_upload, name, &ref, target);

	if (status == PH_ERR_LIMIT || status == PH_ERR_INVALID || status == PH_ERR_DENIED)
		return PH_ERR_NOT_FOUND;
	if (status == PH_OK)
		treeish->at = ref.oid;
	return status;
}

static enum ph_status find_ref(struct ph__treeish *treeish, const char *name, size_t len)
{
	char full[PH_REF_NAME_MAX + 1];
	enum ph_status status = PH_ERR_NOT_FOUND;

	if (len == 1 && *name == '@') {
		name = "HEAD";
		len = 4;
	}
	if (len == 0 || len > PH_REF_NAME_MAX)
		return PH_ERR_NOT_FOUND;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules) && status == PH_ERR_NOT_FOUND; i++) {
		int full_len = snprintf(full, sizeof(full), "%s%.*s%s", rules[i].before, (int)len,
		                        name, rules[i].behind);

		if (full_len > 0 && (size_t)full_len < sizeof(full))
			status = try_ref(treeish, full);
	}
	return status;
}

/* ---- ids, and what is behind them ---- */

/* "^N" and "~N" at the end of a name; the name in front of them is len long. */
static size_t plain_length(const char *name, size_t len)
{
	size_t at = 0;

	while (at < len && name[at] != '^' && name[at] != '~')
		at++;
	return at;
}

static enum ph_status find_id(struct ph__treeish *treeish, const char *name, size_t len)
{
	const struct ph_source *source = ph_reader_source(treeish->reader);
	struct ph_loc loc;

	if (ph_oid_from_hex(&treeish->at, source->algo, name, len) != PH_OK)
		return PH_ERR_NOT_FOUND;
	return source->ops->find(source, &treeish->at, &loc);
}

/* Replaces the commit by one of its parents. */
static enum ph_status step_parent(struct ph__treeish *treeish, uint32_t number)
{
	struct ph_object object;
	struct ph_commit commit;
	enum ph_object_type type;
	struct ph_oid oid;
	enum ph_status status = ph_reader_peel(treeish->reader, &treeish->at, &oid, &type);

	if (status == PH_OK && type != PH_OBJ_COMMIT)
		status = PH_ERR_NOT_FOUND;
	if (status == PH_OK)
		status = ph_reader_read_oid(treeish->reader, &oid,
		                            treeish->limits->metadata_bytes_max, &object);
	if (status != PH_OK)
		return status;
	status = ph_commit_parse(&commit, algo_of(treeish), object.data, (size_t)object.size);
	if (status == PH_OK && number > commit.parents)
		status = PH_ERR_NOT_FOUND;
	if (status == PH_OK && number)
		ph_commit_parent(&commit, number - 1, &oid);
	if (status == PH_OK)
		treeish->at = oid;
	ph_object_release(treeish->reader, &object);
	return status;
}

/* At most so many steps in one name. */
#define STEPS_MAX 1000u

static enum ph_status follow(struct ph__treeish *treeish, const char *at, size_t left)
{
	uint32_t steps = 0;
	enum ph_status status = PH_OK;

	while (left && status == PH_OK) {
		char sign = *at;
		uint32_t number = 0;
		size_t digits = 1;

		if (sign != '^' && sign != '~')
			return PH_ERR_NOT_FOUND;
		for (; digits < left && at[digits] >= '0' && at[digits] <= '9'; digits++)
			number = number > STEPS_MAX ? number
			                            : number * 10 + (uint32_t)(at[digits] - '0');
		if (digits == 1)
			number = 1;
		at += digits;
		left -= digits;
		steps += sign == '~' ? number : 1;
		if (steps > STEPS_MAX)
			return PH_ERR_NOT_FOUND;
		if (sign == '^')
			status = step_parent(treeish, number);
		for (; sign == '~' && number > 0 && status == PH_OK; number--)
			status = step_parent(treeish, 1);
	}
	return status;
}

/* ---- the steps ---- */

static enum ph_status not_valid(const struct ph__treeish *treeish, char why[PH__ARCHIVE_WHY_BYTES])
{
	(void)snprintf(why, PH__ARCHIVE_WHY_BYTES, "not a valid object name: %.300s",
	               treeish->name);
	return PH_ERR_INVALID;
}

static enum ph_status find_name(struct ph__treeish *treeish, char why[PH__ARCHIVE_WHY_BYTES])
{
	const char *name = treeish->name;
	size_t len = strcspn(name, ":"), plain = len;
	enum ph_status status;

	if (treeish->config->archive_unreachable)
		plain = plain_length(name, len);
	status = find_ref(treeish, name, plain);
	if (status == PH_ERR_NOT_FOUND && treeish->config->archive_unreachable)
		status = find_id(treeish, name, plain);
	if (status == PH_OK)
		status = follow(treeish, name + plain, len - plain);
	if (status == PH_ERR_NOT_FOUND && treeish->config->archive_unreachable)
		return not_valid(treeish, why);
	if (status == PH_ERR_NOT_FOUND) {
		(void)snprintf(why, PH__ARCHIVE_WHY_BYTES, "no such ref: %.*s",
		               (int)(len < 300 ? len : 300), name);
		return PH_ERR_INVALID;
	}
	if (status != PH_OK)
		return status;
	treeish->path = name[len] ? name + len + 1 : NULL;
	treeish->state = treeish->path ? PH__TREEISH_PATH : PH__TREEISH_PEEL;
	if (treeish->path &&
	    (strncmp(treeish->path, "./", 2) == 0 || strncmp(treeish->path, "../", 3) == 0)) {
		(void)snprintf(why, PH__ARCHIVE_WHY_BYTES, "%s",
		               "relative path syntax can't be used outside working tree");
		return PH_ERR_INVALID;
	}
	treeish->oid = treeish->at;
	return PH_OK;
}

/* Tag, commit and tree down to a tree. PH_ERR_INVALID when it leads to none. */
static enum ph_status to_tree(struct ph__treeish *treeish, struct ph_object *out)
{
	uint64_t max = treeish->limits->metadata_bytes_max;
	enum ph_object_type type;
	struct ph_commit commit;
	struct ph_oid oid;
	enum ph_status status = ph_reader_peel(treeish->reader, &treeish->at, &oid, &type);

	if (status != PH_OK)
		return status == PH_ERR_NOT_FOUND ? PH_ERR_INVALID : status;
	if (type == PH_OBJ_BLOB)
		return PH_ERR_INVALID;
	status = ph_reader_read_oid(treeish->reader, &oid, max, out);
	if (status != PH_OK || type == PH_OBJ_TREE) {
		treeish->tree = oid;
		return status;
	}
	treeish->has_commit = true;
	treeish->commit = oid;
	status = ph_commit_parse(&commit, algo_of(treeish), out->data, (size_t)out->size);
	ph_object_release(treeish->reader, out);
	if (status != PH_OK)
		return PH_ERR_CORRUPT;
	treeish->tree = commit.tree;
	treeish->time = commit.time;
	status = ph_reader_read_oid(treeish->reader, &commit.tree, max, out);
	if (status == PH_OK && out->type != PH_OBJ_TREE) {
		ph_object_release(treeish->reader, out);
		status = PH_ERR_CORRUPT;
	}
	return status;
}

/* One component of the path. */
static enum ph_status descend(struct ph__treeish *treeish, char why[PH__ARCHIVE_WHY_BYTES],
                              uint32_t *budget)
{
	size_t len = strcspn(treeish->path, "/");
	struct ph_object object;
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	enum ph_status status = to_tree(treeish, &object);

	if (status != PH_OK)
		return status == PH_ERR_INVALID ? not_valid(treeish, why) : status;
	ph_budget_spend_bytes(budget, object.size);
	treeish->at = treeish->tree;
	if (!*treeish->path) {
		ph_object_release(treeish->reader, &object);
		treeish->state = PH__TREEISH_PEEL;
		treeish->oid = treeish->at;
		return PH_OK;
	}
	ph_tree_iter_init(&iter, algo_of(treeish), object.data, (size_t)object.size);
	do
		status = ph_tree_iter_next(&iter, &entry);
	while (status == PH_OK &&
	       (entry.name_len != len || memcmp(entry.name, treeish->path, len) != 0));
	if (status == PH_OK)
		treeish->at = entry.oid;
	if (status == PH_OK && treeish->path[len] && !ph_mode_is_tree(entry.mode))
		status = PH_END;
	treeish->foreign = status == PH_OK && ph_mode_is_submodule(entry.mode);
	ph_object_release(treeish->reader, &object);
	if (status != PH_OK)
		return status == PH_END ? not_valid(treeish, why) : PH_ERR_CORRUPT;
	treeish->path += len + (treeish->path[len] == '/');
	treeish->oid = treeish->at;
	/* Behind a slash comes another component, or nothing: then this is it. */
	if (!*treeish->path)
		treeish->state = PH__TREEISH_PEEL;
	return PH_OK;
}

static enum ph_status peel(struct ph__treeish *treeish, char why[PH__ARCHIVE_WHY_BYTES])
{
	struct ph_object object;
	char hex[PH_OID_HEX_MAX + 1];
	enum ph_status status;

	treeish->has_commit = false;
	treeish->at = treeish->oid;
	/* A submodule's commit is another repository's. Should this one have it too, it may be one
	 * that is hidden here. */
	status = treeish->foreign ? PH_ERR_INVALID : to_tree(treeish, &object);
	if (status == PH_ERR_INVALID)
		(void)snprintf(why, PH__ARCHIVE_WHY_BYTES, "not a tree object: %s",
		               ph_oid_to_hex(hex, algo_of(treeish), &treeish->oid));
	if (status != PH_OK)
		return status;
	ph_object_release(treeish->reader, &object);
	treeish->state = PH__TREEISH_DONE;
	return PH_OK;
}

enum ph_status ph__treeish_run(struct ph__treeish *treeish, char why[PH__ARCHIVE_WHY_BYTES],
                               uint32_t *budget)
{
	while (treeish->state != PH__TREEISH_DONE) {
		enum ph_status status;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		if (treeish->state == PH__TREEISH_NAME)
			status = find_name(treeish, why);
		else if (treeish->state == PH__TREEISH_PATH)
			status = descend(treeish, why, budget);
		else
			status = peel(treeish, why);
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}
