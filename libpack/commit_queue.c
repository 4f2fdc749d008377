/* SPDX-License-Identifier: MIT */
/*
 * Commits on the way: read once, or known from a map without reading, kept in a heap by date until
 * their turn comes, and their parents handed out one by one. A commit that waits costs a fixed
 * amount of memory, however many parents a hostile one has: with more than two it is read again.
 */
#include "walk_int.h"

static enum ph_status read_map(struct ph_map *map, struct ph_loc loc, struct ph__commit *out,
                               uint32_t *budget)
{
	struct ph_map_commit at;
	enum ph_status status = ph_map_commit(map, loc.pos, &at);

	ph_budget_spend(budget, 1);
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_ERR_INVALID : status;
	}
	out->loc = loc;
	out->time = at.time;
	out->parents = at.parents;
	out->mapped = true;
	out->at = at;
	return PH_OK;
}

enum ph_status ph__commit_read(struct ph__walk_env *env, struct ph_loc loc, struct ph__commit *out,
                               uint32_t *budget)
{
	struct ph_map *map = ph__walk_map(env, loc.pack);
	struct ph_object object;
	struct ph_commit text;
	enum ph_status status;

	if (map != NULL) {
		return read_map(map, loc, out, budget);
	}
	status = ph__walk_read(env, loc, PH_OBJ_COMMIT, &object, budget);

	if (status != PH_OK) {
		return status;
	}
	if (ph_commit_parse(&text, env->source->algo, object.data, (size_t)object.size) != PH_OK) {
		ph_object_release(env->reader, &object);
		return PH_ERR_CORRUPT;
	}
	out->loc = loc;
	out->time = text.time;
	out->parents = text.parents;
	out->mapped = false;
	out->named.tree = text.tree;
	for (uint32_t i = 0; i < text.parents && text.parents <= 2; i++) {
		ph_commit_parent(&text, i, &out->named.parent[i]);
	}
	ph_object_release(env->reader, &object);
	return PH_OK;
}

enum ph_status ph__commit_tree(struct ph__walk_env *env, const struct ph__commit *commit,
                               struct ph_oid *out)
{
	struct ph_entry entry;
	uint32_t entries;
	uint64_t bytes;
	enum ph_status status;

	if (!commit->mapped) {
		*out = commit->named.tree;
		return PH_OK;
	}
	env->source->ops->pack_size(env->source, commit->loc.pack, &entries, &bytes);
	if (commit->at.tree >= entries) {
		return PH_ERR_CORRUPT;
	}
	status = env->source->ops->entry(
	        env->source, (struct ph_loc){commit->loc.pack, commit->at.tree}, &entry);
	*out = entry.oid;
	return status;
}

enum ph_status ph__commit_reach(const struct ph__walk_env *env, const struct ph__commit *commit,
                                struct ph__marks *bits, uint32_t *budget)
{
	uint32_t pack = commit->loc.pack;

	return ph_map_reach(ph__walk_map(env, pack), commit->loc.pos,
	                    bits->words + bits->first[pack], budget);
}

enum ph_status ph__parents_start(struct ph__parents *parents, struct ph__walk_env *env,
                                 const struct ph__commit *commit, uint32_t *budget)
{
	enum ph_status status;

	assert(!parents->reading);
	parents->commit = *commit;
	parents->at = 0;
	if (commit->parents <= 2 || commit->mapped) {
		return PH_OK;
	}
	parents->commit.parents = 0;
	status = ph__walk_read(env, commit->loc, PH_OBJ_COMMIT, &parents->object, budget);
	if (status != PH_OK) {
		return status;
	}
	parents->reading = true;
	if (ph_commit_parse(&parents->text, env->source->algo, parents->object.data,
	                    (size_t)parents->object.size) != PH_OK) {
		ph__parents_stop(parents, env);
		return PH_ERR_CORRUPT;
	}
	parents->commit.parents = parents->text.parents;
	return PH_OK;
}

enum ph_status ph__parents_next(struct ph__parents *parents, struct ph__walk_env *env,
                                struct ph_loc *out, struct ph_oid *oid, uint32_t *budget)
{
	const struct ph__commit *commit = &parents->commit;
	uint32_t number = parents->at;
	uint32_t pos;
	enum ph_status status;

	if (number == commit->parents) {
		ph__parents_stop(parents, env);
		return PH_END;
	}
	parents->at++;
	if (commit->mapped) {
		status = ph_map_parent(ph__walk_map(env, commit->loc.pack), &commit->at, number,
		                       &pos);
		return status == PH_OK ? ph__walk_place(env, commit->loc.pack, pos, out, budget)
		                       : status;
	}
	if (parents->reading) {
		ph_commit_parent(&parents->text, number, oid);
	} else {
		*oid = commit->named.parent[number];
	}
	return ph__walk_find(env, oid, out, budget);
}

void ph__parents_stop(struct ph__parents *parents, struct ph__walk_env *env)
{
	if (parents->reading) {
		ph_object_release(env->reader, &parents->object);
		parents->reading = false;
	}
	parents->at = 0;
	parents->commit.parents = 0;
}

static bool before(const struct ph__queue_entry *a, const struct ph__queue_entry *b)
{
	return a->time != b->time ? a->time > b->time : a->turn < b->turn;
}

/* All three arrays have the same capacity. A failure in between leaves some larger than it. */
static enum ph_status grow(struct ph__queue *queue, const struct ph_alloc *alloc)
{
	uint32_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
	struct ph__queue_entry *heap;
	struct ph__commit *slots;
	uint32_t *free_slots;

	if (queue->capacity > UINT32_MAX / 2) {
		return PH_ERR_LIMIT;
	}
	heap = ph_mem_resize(alloc, queue->heap, capacity, sizeof *heap);
	if (heap == NULL) {
		return PH_ERR_NOMEM;
	}
	queue->heap = heap;
	slots = ph_mem_resize(alloc, queue->slots, capacity, sizeof *slots);
	if (slots == NULL) {
		return PH_ERR_NOMEM;
	}
	queue->slots = slots;
	free_slots = ph_mem_resize(alloc, queue->free_slots, capacity, sizeof *free_slots);
	if (free_slots == NULL) {
		return PH_ERR_NOMEM;
	}
	queue->free_slots = free_slots;
	queue->capacity = capacity;
	return PH_OK;
}

static void sift_up(struct ph__queue_entry *heap, uint32_t at)
{
	struct ph__queue_entry moved = heap[at];

	while (at > 0 && before(&moved, &heap[(at - 1) / 2])) {
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap[at] = moved;
}

static void sift_down(struct ph__queue_entry *heap, uint32_t count)
{
	struct ph__queue_entry moved = heap[0];
	uint32_t at = 0;

	/* count / 2 is the first without children: no index overflows. */
	while (at < count / 2) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < count && before(&heap[child + 1], &heap[child])) {
			child++;
		}
		if (!before(&heap[child], &moved)) {
			break;
		}
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

enum ph_status ph__queue_put(struct ph__queue *queue, const struct ph_alloc *alloc,
                             const struct ph__commit *commit)
{
	uint32_t slot;

	if (queue->count == queue->capacity) {
		enum ph_status status = grow(queue, alloc);

		if (status != PH_OK) {
			return status;
		}
	}
	slot = queue->free_count > 0 ? queue->free_slots[--queue->free_count] : queue->used++;
	queue->slots[slot] = *commit;
	queue->heap[queue->count] = (struct ph__queue_entry){commit->time, queue->turn++, slot};
	sift_up(queue->heap, queue->count++);
	return PH_OK;
}

const struct ph__commit *ph__queue_peek(const struct ph__queue *queue)
{
	return queue->count == 0 ? NULL : &queue->slots[queue->heap[0].slot];
}

void ph__queue_take(struct ph__queue *queue, struct ph__commit *out)
{
	uint32_t slot;

	assert(queue->count > 0);
	slot = queue->heap[0].slot;
	*out = queue->slots[slot];
	queue->free_slots[queue->free_count++] = slot;
	queue->heap[0] = queue->heap[--queue->count];
	if (queue->count > 0) {
		sift_down(queue->heap, queue->count);
	}
}

void ph__queue_release(struct ph__queue *queue, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, queue->heap);
	ph_mem_free(alloc, queue->slots);
	ph_mem_free(alloc, queue->free_slots);
	*queue = (struct ph__queue){0};
}
