/* SPDX-License-Identifier: MIT */
/*
 * packhorse.allowedPaths and packhorse.deniedPaths: which paths the commits of a pack change. A
 * commit changes a path that is not as in any of its parents: what a merge takes over from one side
 * that side was looked at for, or it was there before. Commits that the repository has already are
 * not looked at again. Only trees that differ are read, of each commit and its parents: about two
 * for each directory on the way to what has changed. A tree that holds itself many times over costs
 * no more than the bounds below.
 */
#include "receive_int.h"

#include <string.h>

/* Parents that are compared with: with more, a path is at worst taken for changed. */
#define PARENTS_MAX 16u
#define SIDES (PARENTS_MAX + 1)
#define PATH_MAX_BYTES 4096u
/* Of all sides together, as a push's claim has no more: a directory of 100,000 files and its parent
 * take less. */
#define TREE_BYTES_MAX ((uint64_t)16 << 20)
/* Directories that wait to be compared. */
#define STACK_BYTES_MAX ((size_t)8 << 20)
/* Entries looked at, of a commit and of a push: an import of 4 million files, a long history. */
#define COMMIT_ENTRIES_MAX ((uint64_t)4 << 20)
#define PUSH_ENTRIES_MAX ((uint64_t)1 << 31)
/* Entries that are worth a unit of the budget, and commits that are skipped. */
#define ENTRIES_PER_UNIT 64u
#define COST_PER_UNIT 4096u

/* Side 0 is the commit's, the others are its parents'. */
struct side {
	struct ph_object object; /* data NULL: an empty tree */
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	bool there; /* entry is one */
};

struct receive_paths {
	struct ph_reader *reader;
	uint32_t pack, pos; /* the next entry to look at */
	struct ph_oid commit;
	uint64_t commit_entries, push_entries;
	/* Directories: for each, hashes of all sides, path, then its length and their number. */
	uint8_t *stack;
	size_t stack_len, stack_size;
	/* The one being compared. */
	struct side sides[SIDES];
	uint32_t count;
	uint64_t bytes; /* of their trees */
	char path[PATH_MAX_BYTES + 1];
	size_t path_len; /* of the directory, with a slash behind it */
};

struct frame {
	uint32_t path_len, count;
};

/* ---- directories that wait ---- */

static enum ph_status push(struct receive *r, const struct ph_oid *trees, uint32_t count,
                           const char *path, size_t path_len)
{
	struct receive_paths *p = r->policy.paths;
	struct frame frame = {(uint32_t)path_len, count};
	size_t oids = count * sizeof(*trees), need = oids + path_len + sizeof(frame);
	uint8_t *at;

	if (need > STACK_BYTES_MAX - p->stack_len)
		return PH_ERR_LIMIT;
	if (need > p->stack_size - p->stack_len) {
		size_t size = 2 * (p->stack_len + need);
		void *stack = ph_mem_resize(r->session.service.alloc, p->stack, size, 1);

		if (!stack)
			return PH_ERR_NOMEM;
		p->stack = stack;
		p->stack_size = size;
	}
	at = p->stack + p->stack_len;
	memcpy(at, trees, oids);
	memcpy(at + oids, path, path_len);
	memcpy(at + oids + path_len, &frame, sizeof(frame));
	p->stack_len += need;
	return PH_OK;
}

static void close_sides(struct receive_paths *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->sides[i].object.data)
			ph_object_release(p->reader, &p->sides[i].object);
	p->count = 0;
	p->bytes = 0;
}

/* The next entry of one side; a tree that cannot be read is refused by other checks. */
static enum ph_status advance(struct side *side)
{
	enum ph_status status = PH_END;

	if (side->object.data)
		status = ph_tree_iter_next(&side->iter, &side->entry);
	side->there = status == PH_OK;
	return status == PH_END ? PH_OK : status;
}

static enum ph_status open_side(struct receive_paths *p, const struct ph_oid *tree, uint32_t number)
{
	struct side *side = &p->sides[number];
	enum ph_status status = PH_OK;

	memset(side, 0, sizeof(*side));
	if (!ph_oid_is_zero(tree))
		status = ph_reader_read_oid(p->reader, tree, TREE_BYTES_MAX - p->bytes,
		                            &side->object);
	if (status != PH_OK) {
		side->object.data = NULL;
		return status;
	}
	p->count = number + 1;
	if (!side->object.data)
		return PH_OK;
	p->bytes += side->object.size;
	if (side->object.type != PH_OBJ_TREE)
		return PH_ERR_INVALID;
	ph_tree_iter_init(&side->iter, ph_reader_source(p->reader)->algo, side->object.data,
	                  side->object.size);
	return advance(side);
}

static enum ph_status pop(struct receive_paths *p)
{
	struct frame frame;
	struct ph_oid trees[SIDES];
	enum ph_status status = PH_OK;

	memcpy(&frame, p->stack + p->stack_len - sizeof(frame), sizeof(frame));
	p->stack_len -= sizeof(frame) + frame.path_len + frame.count * sizeof(*trees);
	memcpy(trees, p->stack + p->stack_len, frame.count * sizeof(*trees));
	memcpy(p->path, p->stack + p->stack_len + frame.count * sizeof(*trees), frame.path_len);
	p->path_len = frame.path_len;
	for (uint32_t i = 0; i < frame.count && status == PH_OK; i++)
		status = open_side(p, &trees[i], i);
	return status;
}

/* ---- commits ---- */

static enum ph_status read_commit(struct receive_paths *p, const struct ph_limits *limits,
                                  const struct ph_oid *oid, struct ph_object *object,
                                  struct ph_commit *commit)
{
	enum ph_status status =
	        ph_reader_read_oid(p->reader, oid, limits->metadata_bytes_max, object);

	if (status != PH_OK)
		return status;
	status = object->type == PH_OBJ_COMMIT
	                 ? ph_commit_parse(commit, ph_reader_source(p->reader)->algo, object->data,
	                                   object->size)
	                 : PH_ERR_INVALID;
	if (status != PH_OK)
		ph_object_release(p->reader, object);
	return status;
}

/* The tree of a parent; one that is not here, behind a shallow boundary, counts as empty. */
static enum ph_status parent_tree(struct receive_paths *p, const struct ph_limits *limits,
                                  const struct ph_oid *oid, struct ph_oid *tree)
{
	struct ph_object object;
	struct ph_commit commit;
	enum ph_status status = read_commit(p, limits, oid, &object, &commit);

	memset(tree, 0, sizeof(*tree));
	if (status == PH_ERR_NOT_FOUND)
		return PH_OK;
	if (status != PH_OK)
		return status;
	*tree = commit.tree;
	ph_object_release(p->reader, &object);
	return PH_OK;
}

static enum ph_status begin_commit(struct receive *r, const struct ph_oid *oid)
{
	struct receive_paths *p = r->policy.paths;
	const struct ph_limits *limits = r->session.service.limits;
	struct ph_object object;
	struct ph_commit commit;
	struct ph_oid trees[SIDES], parent;
	uint32_t count = 0;
	enum ph_status status = read_commit(p, limits, oid, &object, &commit);

	if (status != PH_OK)
		return status;
	p->commit = *oid;
	p->commit_entries = 0;
	trees[count++] = commit.tree;
	for (uint32_t i = 0; i < commit.parents && count < SIDES && status == PH_OK; i++) {
		ph_commit_parent(&commit, i, &parent);
		status = parent_tree(p, limits, &parent, &trees[count]);
		if (status == PH_OK && ph_oid_equal(&trees[count], &trees[0]))
			count = SIDES;
		count++;
	}
	ph_object_release(p->reader, &object);
	/* As in one of its parents: nothing has changed. */
	if (status != PH_OK || count > SIDES)
		return status;
	return push(r, trees, count, "", 0);
}

/* The next commit of the pack that the repository does not have: PH_AGAIN after one, PH_END. */
static enum ph_status next_commit(struct receive *r, uint32_t *budget)
{
	struct receive_paths *p = r->policy.paths;
	const struct ph_source *source = ph_reader_source(p->reader);
	const struct ph_source *base = r->snapshot ? ph_snapshot_source(r->snapshot) : NULL;

	for (; p->pack < source->ops->packs(source); p->pack++, p->pos = 0) {
		uint64_t bytes;
		uint32_t entries;

		source->ops->pack_size(source, p->pack, &entries, &bytes);
		while (p->pos < entries) {
			struct ph_loc loc = {p->pack, p->pos++};
			struct ph_entry entry;
			enum ph_status status = source->ops->entry(source, loc, &entry);

			if (status != PH_OK)
				return status;
			if (p->pos % ENTRIES_PER_UNIT == 0)
				ph_budget_spend(budget, 1);
			if (entry.type == PH_OBJ_COMMIT &&
			    (!base || base->ops->find(base, &entry.oid, &loc) != PH_OK)) {
				status = begin_commit(r, &entry.oid);
				return status == PH_OK ? PH_AGAIN : status;
			}
			if (*budget == 0)
				return PH_AGAIN;
		}
	}
	return PH_END;
}

/* ---- comparing ---- */

/* Trees are sorted as if directories ended in a slash. */
static int compare(const struct ph_tree_entry *a, const struct ph_tree_entry *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int cmp = memcmp(a->name, b->name, len);
	unsigned char last_a, last_b;

	if (cmp != 0)
		return cmp;
	last_a = a->name_len > len          ? (unsigned char)a->name[len]
	         : ph_mode_is_tree(a->mode) ? '/'
	                                    : 0;
	last_b = b->name_len > len          ? (unsigned char)b->name[len]
	         : ph_mode_is_tree(b->mode) ? '/'
	                                    : 0;
	if (last_a != last_b)
		return last_a < last_b ? -1 : 1;
	return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

static enum ph_status check_path(struct receive *r, uint32_t *budget)
{
	const struct ph_config *config = &r->config;
	struct receive_paths *p = r->policy.paths;
	char hex[PH_OID_HEX_MAX + 1];
	uint64_t cost = 0;
	bool denied = ph_config_path(&config->denied_paths, p->path, &cost);
	bool allowed = !denied && (config->allowed_paths.count == 0 ||
	                           ph_config_path(&config->allowed_paths, p->path, &cost));

	ph_budget_spend(budget, (uint32_t)(cost / COST_PER_UNIT));
	if (allowed)
		return PH_OK;
	r->policy.path_error = denied ? "path not allowed (packhorse.deniedPaths)"
	                              : "path not allowed (packhorse.allowedPaths)";
	ph__receive_say(r, "error: commit %s changes '%.300s', which packhorse.%s does not allow",
	                ph_oid_to_hex(hex, r->algo, &p->commit), p->path,
	                denied ? "deniedPaths" : "allowedPaths");
	return PH_END;
}

/* A name that changed: a file is checked, a directory waits. */
static enum ph_status changed(struct receive *r, const struct ph_tree_entry *entry,
                              const bool *here, uint32_t *budget)
{
	struct receive_paths *p = r->policy.paths;
	struct ph_oid trees[SIDES];
	size_t len = p->path_len + entry->name_len;

	if (len + 1 > PATH_MAX_BYTES)
		return PH_ERR_LIMIT;
	memcpy(p->path + p->path_len, entry->name, entry->name_len);
	p->path[len] = 0;
	if (!ph_mode_is_tree(entry->mode))
		return check_path(r, budget);
	p->path[len] = '/';
	for (uint32_t i = 0; i < p->count; i++)
		if (here[i])
			trees[i] = p->sides[i].entry.oid;
		else
			memset(&trees[i], 0, sizeof(trees[i]));
	return push(r, trees, p->count, p->path, len + 1);
}

/* Which sides have the least name that any has now; false when all are through. */
static bool least(const struct receive_paths *p, bool *here, struct ph_tree_entry *out)
{
	bool any = false;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct side *side = &p->sides[i];
		int cmp = side->there && any ? compare(&side->entry, out) : -1;

		here[i] = side->there && cmp <= 0;
		if (!here[i] || cmp == 0)
			continue;
		*out = side->entry;
		memset(here, 0, i * sizeof(*here));
		any = true;
	}
	return any;
}

/* Whether no parent has the same as the commit. */
static bool differs(const struct receive_paths *p, const bool *here)
{
	for (uint32_t i = 1; i < p->count; i++) {
		const struct ph_tree_entry *a = &p->sides[0].entry, *b = &p->sides[i].entry;

		if (here[i] != here[0])
			continue;
		if (!here[0] || (a->mode == b->mode && ph_oid_equal(&a->oid, &b->oid)))
			return false;
	}
	return true;
}

/* One name of the directory that is open. PH_END: something was found, or all is compared. */
static enum ph_status compare_next(struct receive *r, uint32_t *budget)
{
	struct receive_paths *p = r->policy.paths;
	struct ph_tree_entry entry = {0};
	bool here[SIDES];
	enum ph_status status = PH_OK;

	if (!least(p, here, &entry)) {
		close_sides(p);
		return PH_OK;
	}
	if (++p->commit_entries > COMMIT_ENTRIES_MAX || ++p->push_entries > PUSH_ENTRIES_MAX)
		return PH_ERR_LIMIT;
	if (p->push_entries % ENTRIES_PER_UNIT == 0)
		ph_budget_spend(budget, 1);
	if (differs(p, here))
		status = changed(r, &entry, here, budget);
	for (uint32_t i = 0; i < p->count && status == PH_OK; i++)
		if (here[i])
			status = advance(&p->sides[i]);
	return status;
}

/* ---- all of it ---- */

void ph__receive_paths_release(struct receive *r)
{
	struct receive_paths *p = r->policy.paths;

	if (!p)
		return;
	close_sides(p);
	ph_reader_free(p->reader);
	ph_mem_free(r->session.service.alloc, p->stack);
	ph_mem_free(r->session.service.alloc, p);
	r->policy.paths = NULL;
}

static enum ph_status begin(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	struct receive_paths *p = ph_mem_zalloc(service->alloc, 1, sizeof(*p));

	r->policy.paths = p;
	if (!p)
		return PH_ERR_NOMEM;
	if (r->snapshot) {
		const struct ph_source *base = ph_snapshot_source(r->snapshot);

		p->pack = base->ops->packs(base);
	}
	return ph_reader_new(&p->reader, ph_txn_source(r->txn), service->alloc, service->limits);
}

static enum ph_status run(struct receive *r, uint32_t *budget)
{
	struct receive_paths *p = r->policy.paths;
	enum ph_status status = PH_OK;

	while (status == PH_OK || status == PH_AGAIN) {
		if (*budget == 0)
			return PH_AGAIN;
		if (p->count > 0) {
			status = compare_next(r, budget);
		} else if (p->stack_len > 0) {
			ph_budget_spend(budget, 1);
			status = pop(p);
		} else {
			ph_budget_spend(budget, 1);
			status = next_commit(r, budget);
		}
	}
	return status;
}

enum ph_status ph__receive_paths(struct receive *r, uint32_t *budget)
{
	const struct ph_config *config = &r->config;
	enum ph_status status = PH_OK;

	if (config->allowed_paths.count == 0 && config->denied_paths.count == 0)
		return PH_OK;
	/* Done, or there is no pack to look into. */
	if (r->at > 0 || r->policy.path_error || r->policy.paths_done || !r->txn || !r->updates)
		return PH_OK;
	if (!r->policy.paths)
		status = begin(r);
	if (status == PH_OK)
		status = run(r, budget);
	if (status == PH_AGAIN)
		return status;
	ph__receive_paths_release(r);
	r->policy.paths_done = true;
	if (status == PH_END || status == PH_ERR_NOMEM)
		return status == PH_END ? PH_OK : status;
	/* What cannot be looked into cannot be allowed. */
	ph__receive_say(r, "error: paths that the push changes cannot be told: %s",
	                ph_status_text(status));
	r->policy.path_error = "paths cannot be checked (packhorse.allowedPaths)";
	return PH_OK;
}
