/* SPDX-License-Identifier: MIT */
/*
 * Contents of trees. A list of trees to read takes the place of recursion: a tree is read whole,
 * and its subtrees join the list. Most of a walk's time would go into looking up entries that were
 * seen in the version of the directory before, so a cache of ids dealt with, one slot a hash,
 * filters them out first.
 */
#include "walk_int.h"

/* More slots than the entries of a large working tree do not pay; 33 bytes each. */
#define CACHE_SLOTS_MAX ((size_t)1 << 16)
#define CACHE_SLOTS_MIN ((size_t)1 << 6)

/* Not more of them than the reader's own cache takes. */
size_t ph__trees_slots_max(const struct ph_limits *limits)
{
	size_t slots = CACHE_SLOTS_MAX;

	while (slots > CACHE_SLOTS_MIN &&
	       slots * (sizeof(struct ph_oid) + 1) > 2 * limits->delta_cache_bytes_max) {
		slots /= 2;
	}
	return slots;
}

enum ph_status ph__trees_init(struct ph__trees *trees, struct ph__walk_env *env, size_t expected)
{
	size_t slots = CACHE_SLOTS_MIN;
	size_t most = ph__trees_slots_max(env->limits);
	size_t misfit;

	while (slots < expected && slots < most) {
		slots *= 2;
	}
	*trees = (struct ph__trees){.cache_mask = slots - 1};
	trees->cache_memory = ph_mem_zalloc(env->alloc, slots + 1, sizeof *trees->cache + 1);
	if (trees->cache_memory == NULL) {
		return PH_ERR_NOMEM;
	}
	/* An id must not lie across two cache lines. */
	misfit = (uintptr_t)trees->cache_memory % sizeof *trees->cache;
	trees->cache = (struct ph_oid *)(void *)((uint8_t *)trees->cache_memory +
	                                         (misfit > 0 ? sizeof *trees->cache - misfit : 0));
	trees->cache_types = (uint8_t *)(trees->cache + slots);
	return PH_OK;
}

static void close_tree(struct ph__trees *trees, struct ph__walk_env *env)
{
	if (trees->open) {
		ph_object_release(env->reader, &trees->object);
		trees->open = false;
	}
}

void ph__trees_release(struct ph__trees *trees, struct ph__walk_env *env)
{
	close_tree(trees, env);
	ph__locs_release(&trees->todo, env->alloc);
	ph_mem_free(env->alloc, trees->cache_memory);
	trees->cache_memory = NULL;
}

enum ph_status ph__trees_add(struct ph__trees *trees, struct ph__walk_env *env, struct ph_loc tree)
{
	return ph__locs_push(&trees->todo, env->alloc, tree);
}

static size_t slot_of(const struct ph__trees *trees, const struct ph_oid *oid)
{
	uint32_t hash;

	/* Ids are spread evenly already. */
	memcpy(&hash, oid->bytes, sizeof hash);
	return hash & trees->cache_mask;
}

/* ph_oid_equal without a call: this is where a walk spends its time. */
static bool same_id(const struct ph_oid *a, const struct ph_oid *b)
{
	uint64_t x[4];
	uint64_t y[4];

	_Static_assert(sizeof x == sizeof a->bytes, "an id is four words");
	memcpy(x, a->bytes, sizeof x);
	memcpy(y, b->bytes, sizeof y);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

bool ph__trees_seen(const struct ph__trees *trees, const struct ph__tree_item *item)
{
	size_t slot = slot_of(trees, &item->oid);

	return same_id(&trees->cache[slot], &item->oid) &&
	       trees->cache_types[slot] == (uint8_t)item->type;
}

void ph__trees_done(struct ph__trees *trees, const struct ph__tree_item *item)
{
	size_t slot = slot_of(trees, &item->oid);

	trees->cache[slot] = item->oid;
	trees->cache_types[slot] = (uint8_t)item->type;
}

/*
 * What a mode says. As in git, what is neither a file, a symlink nor a directory names a commit of
 * another repository, and nothing is looked for.
 */
enum ph_object_type ph__tree_mode_type(uint32_t mode)
{
	switch (mode & 0170000) {
	case 0040000:
		return PH_OBJ_TREE;
	case 0100000:
	case 0120000:
		return PH_OBJ_BLOB;
	default:
		return PH_OBJ_NONE;
	}
}

static enum ph_status open_tree(struct ph__trees *trees, struct ph__walk_env *env, uint32_t *budget)
{
	enum ph_status status;

	trees->at = trees->todo.items[--trees->todo.count];
	status = ph__walk_read(env, trees->at, PH_OBJ_TREE, &trees->object, budget);
	if (status != PH_OK) {
		return status;
	}
	trees->open = true;
	ph_tree_iter_init(&trees->iter, env->source->algo, trees->object.data,
	                  (size_t)trees->object.size);
	return PH_OK;
}

enum ph_status ph__trees_next(struct ph__trees *trees, struct ph__walk_env *env,
                              struct ph__tree_item *out, uint32_t *budget)
{
	struct ph_tree_entry entry;
	enum ph_status status;

	if (!trees->open) {
		if (trees->todo.count == 0) {
			return PH_END;
		}
		status = open_tree(trees, env, budget);
		if (status != PH_OK) {
			return status;
		}
	}
	while ((status = ph_tree_iter_next(&trees->iter, &entry)) == PH_OK) {
		out->type = ph__tree_mode_type(entry.mode);
		if (out->type == PH_OBJ_NONE || (out->type == PH_OBJ_BLOB && trees->skip_blobs)) {
			continue;
		}
		out->oid = entry.oid;
		if (!ph__trees_seen(trees, out)) {
			return PH_OK;
		}
	}
	close_tree(trees, env);
	return status == PH_END ? PH_AGAIN : PH_ERR_CORRUPT;
}
