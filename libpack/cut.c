/* SPDX-License-Identifier: MIT */
/*
 * Whether a server can stop negotiating: every want reaches something both sides have. Haves come
 * in thousands and the question is asked after many of them, so nothing is walked twice: ancestors
 * of the wants are explored once, latest first and no further back than the oldest common commit,
 * and each keeps a list of its explored children. When one becomes common, that news runs down to
 * the wants along these lists, once over each.
 */
#include "walk_int.h"

#define CUT_COMMON 0x01u   /* the client has it */
#define CUT_REACHES 0x02u  /* it reaches a common one, or is one */
#define CUT_WANT 0x04u     /* is wanted */
#define CUT_EXPLORED 0x08u /* is or was in the queue */
#define CUT_GRAFT 0x10u    /* its parents do not count */

#define NONE UINT32_MAX

struct cut_node {
	struct ph_loc loc;
	uint32_t children; /* first link, or NONE */
	uint32_t flags;
};

struct cut_link {
	uint32_t child; /* node */
	uint32_t next;
};

struct ph_cut {
	enum ph_status failed;
	struct ph__walk_env env;
	struct cut_node *nodes;
	uint32_t count, capacity;
	uint32_t *table; /* node numbers by hash of location; NONE is free */
	uint32_t table_mask;
	struct cut_link *links;
	uint32_t link_count, link_capacity;
	uint32_t *news; /* nodes whose children are to be told that they reach */
	uint32_t news_count, news_capacity;
	struct ph__locs roots; /* wants whose type is not known yet */
	struct ph__queue queue;
	struct ph__parents parents;
	uint32_t spreading; /* the node whose parents these are, or NONE */
	uint32_t unmet;     /* wants that reach nothing common yet */
	bool commons;       /* there is one */
	uint64_t oldest;    /* time of the oldest common commit; UINT64_MAX when there is none */
	/* Of a have that is a commit, while its parents become common. */
	struct ph__parents given;
	bool giving;
};

enum ph_status ph_cut_new(struct ph_cut **out, const struct ph_source *source,
                          const struct ph_alloc *alloc, const struct ph_limits *limits,
                          const struct ph_maps *maps)
{
	struct ph_cut *cut = ph_mem_zalloc(alloc, 1, sizeof *cut);
	enum ph_status status;

	if (cut == NULL) {
		return PH_ERR_NOMEM;
	}
	cut->spreading = NONE;
	cut->oldest = UINT64_MAX;
	status = ph__walk_env_init(&cut->env, source, alloc, limits);
	if (status != PH_OK) {
		ph_cut_free(cut);
		return status;
	}
	ph__walk_env_maps(&cut->env, maps);
	*out = cut;
	return PH_OK;
}

void ph_cut_free(struct ph_cut *cut)
{
	const struct ph_alloc *alloc;

	if (cut == NULL) {
		return;
	}
	alloc = cut->env.alloc;
	if (cut->env.reader != NULL) {
		ph__parents_stop(&cut->parents, &cut->env);
		ph__parents_stop(&cut->given, &cut->env);
		ph__walk_env_release(&cut->env);
	}
	ph__queue_release(&cut->queue, alloc);
	ph__locs_release(&cut->roots, alloc);
	ph_mem_free(alloc, cut->nodes);
	ph_mem_free(alloc, cut->table);
	ph_mem_free(alloc, cut->links);
	ph_mem_free(alloc, cut->news);
	ph_mem_free(alloc, cut);
}

/* --- Nodes --- */

/* Makes room for one more item. */
static enum ph_status reserve(const struct ph_alloc *alloc, void **items, uint32_t count,
                              uint32_t *capacity, size_t size)
{
	uint32_t wanted = *capacity == 0 ? 64 : *capacity * 2;
	void *grown;

	if (count < *capacity) {
		return PH_OK;
	}
	if (*capacity > UINT32_MAX / 4) {
		return PH_ERR_LIMIT;
	}
	grown = ph_mem_resize(alloc, *items, wanted, size);
	if (grown == NULL) {
		return PH_ERR_NOMEM;
	}
	*items = grown;
	*capacity = wanted;
	return PH_OK;
}

static uint32_t hash(struct ph_loc loc)
{
	uint64_t key = ((uint64_t)loc.pack << 32 | loc.pos) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(key >> 32);
}

/* The slot of a location, or the free one where it belongs. */
static uint32_t *slot_of(const struct ph_cut *cut, struct ph_loc loc)
{
	uint32_t at = hash(loc) & cut->table_mask;

	while (cut->table[at] != NONE) {
		const struct cut_node *node = &cut->nodes[cut->table[at]];

		if (node->loc.pack == loc.pack && node->loc.pos == loc.pos) {
			break;
		}
		at = (at + 1) & cut->table_mask;
	}
	return &cut->table[at];
}

/* Doubles the table before it is three quarters full. */
static enum ph_status grow_table(struct ph_cut *cut)
{
	size_t slots = cut->table == NULL ? 128 : ((size_t)cut->table_mask + 1) * 2;
	uint32_t *table;

	if (cut->table != NULL && cut->count < (slots / 2) / 4 * 3) {
		return PH_OK;
	}
	table = ph_mem_resize(cut->env.alloc, NULL, slots, sizeof *table);
	if (table == NULL) {
		return PH_ERR_NOMEM;
	}
	ph_mem_free(cut->env.alloc, cut->table);
	memset(table, 0xff, slots * sizeof *table);
	cut->table = table;
	cut->table_mask = (uint32_t)(slots - 1);
	for (uint32_t i = 0; i < cut->count; i++) {
		*slot_of(cut, cut->nodes[i].loc) = i;
	}
	return PH_OK;
}

/* The node of an object; made when there is none. */
static enum ph_status node_of(struct ph_cut *cut, struct ph_loc loc, uint32_t *out)
{
	void *nodes = cut->nodes;
	uint32_t *slot;
	enum ph_status status = grow_table(cut);

	if (status != PH_OK) {
		return status;
	}
	slot = slot_of(cut, loc);
	if (*slot == NONE) {
		status = reserve(cut->env.alloc, &nodes, cut->count, &cut->capacity,
		                 sizeof *cut->nodes);
		if (status != PH_OK) {
			return status;
		}
		cut->nodes = nodes;
		cut->nodes[cut->count] = (struct cut_node){loc, NONE, 0};
		*slot = cut->count++;
	}
	*out = *slot;
	return PH_OK;
}

static enum ph_status add_child(struct ph_cut *cut, uint32_t node, uint32_t child)
{
	void *links = cut->links;
	enum ph_status status = reserve(cut->env.alloc, &links, cut->link_count,
	                                &cut->link_capacity, sizeof *cut->links);

	if (status != PH_OK) {
		return status;
	}
	cut->links = links;
	cut->links[cut->link_count] = (struct cut_link){child, cut->nodes[node].children};
	cut->nodes[node].children = cut->link_count++;
	return PH_OK;
}

/* This node reaches something common: its children will hear of it. */
static enum ph_status set_reaches(struct ph_cut *cut, uint32_t node)
{
	void *news = cut->news;
	enum ph_status status;

	if ((cut->nodes[node].flags & CUT_REACHES) != 0) {
		return PH_OK;
	}
	status = reserve(cut->env.alloc, &news, cut->news_count, &cut->news_capacity,
	                 sizeof *cut->news);
	if (status != PH_OK) {
		return status;
	}
	cut->news = news;
	cut->news[cut->news_count++] = node;
	cut->nodes[node].flags |= CUT_REACHES;
	if ((cut->nodes[node].flags & CUT_WANT) != 0) {
		cut->unmet--;
	}
	return PH_OK;
}

/* --- Wants and commons --- */

enum ph_status ph_cut_want(struct ph_cut *cut, const struct ph_oid *oid)
{
	const struct ph_source *source = cut->env.source;
	struct ph_loc loc;
	uint32_t node;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK) {
		status = node_of(cut, loc, &node);
	}
	if (status != PH_OK || (cut->nodes[node].flags & CUT_WANT) != 0) {
		return status;
	}
	status = ph__locs_push(&cut->roots, cut->env.alloc, loc);
	if (status == PH_OK) {
		cut->nodes[node].flags |= CUT_WANT;
		cut->unmet += (cut->nodes[node].flags & CUT_REACHES) == 0;
	}
	return status;
}

enum ph_status ph_cut_graft(struct ph_cut *cut, const struct ph_oid *oid)
{
	const struct ph_source *source = cut->env.source;
	struct ph_loc loc;
	uint32_t node;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK) {
		status = node_of(cut, loc, &node);
	}
	if (status == PH_OK) {
		cut->nodes[node].flags |= CUT_GRAFT;
	}
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

/* A tag that is common says nothing of the commit that it names, as in git. */
static enum ph_status set_common(struct ph_cut *cut, struct ph_loc loc, bool tag, bool *was)
{
	uint32_t node;
	enum ph_status status = node_of(cut, loc, &node);

	if (status == PH_OK && !tag) {
		status = set_reaches(cut, node);
	}
	if (status == PH_OK) {
		*was = (cut->nodes[node].flags & CUT_COMMON) != 0;
		cut->nodes[node].flags |= CUT_COMMON;
		cut->commons = true;
	}
	return status;
}

/* Begins with the parents of a commit; a graft has none. */
static enum ph_status parents_start(struct ph_cut *cut, struct ph__parents *parents, uint32_t node,
                                    const struct ph__commit *commit, uint32_t *budget)
{
	if ((cut->nodes[node].flags & CUT_GRAFT) != 0) {
		*parents = (struct ph__parents){.at = 0};
		return PH_OK;
	}
	return ph__parents_start(parents, &cut->env, commit, budget);
}

static enum ph_status give_start(struct ph_cut *cut, struct ph_loc loc, uint32_t *budget)
{
	struct ph__commit commit;
	uint32_t node;
	enum ph_status status = node_of(cut, loc, &node);

	if (status == PH_OK) {
		status = ph__commit_read(&cut->env, loc, &commit, budget);
	}
	if (status == PH_OK) {
		status = parents_start(cut, &cut->given, node, &commit, budget);
	}
	if (status == PH_OK) {
		cut->giving = true;
		cut->oldest = commit.time < cut->oldest ? commit.time : cut->oldest;
	}
	return status;
}

/* A client may have pushed a commit with a million parents: they are taken as the budget allows. */
static enum ph_status set_common_parents(struct ph_cut *cut, struct ph_loc loc, uint32_t *budget)
{
	struct ph_loc parent;
	struct ph_oid oid;
	bool was;
	enum ph_status status = cut->giving ? PH_OK : give_start(cut, loc, budget);

	while (status == PH_OK) {
		if (*budget == 0) {
			return PH_AGAIN;
		}
		status = ph__parents_next(&cut->given, &cut->env, &parent, &oid, budget);
		if (status == PH_OK) {
			status = set_common(cut, parent, false, &was);
		} else if (status == PH_ERR_NOT_FOUND) {
			status = PH_OK; /* behind the repository's own boundary */
		}
	}
	ph__parents_stop(&cut->given, &cut->env);
	cut->giving = false;
	return status == PH_END ? PH_OK : status;
}

enum ph_status ph_cut_common(struct ph_cut *cut, const struct ph_oid *oid, bool *was_known,
                             uint32_t *budget)
{
	const struct ph_source *source = cut->env.source;
	struct ph_loc loc;
	struct ph_entry entry;
	bool was = false;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK) {
		status = source->ops->entry(source, loc, &entry);
	}
	if (status == PH_OK && entry.type == PH_OBJ_COMMIT) {
		status = set_common_parents(cut, loc, budget);
	}
	if (status == PH_OK) {
		status = set_common(cut, loc, entry.type == PH_OBJ_TAG, &was);
	}
	if (status == PH_OK) {
		*was_known = was;
	}
	return status;
}

/* --- Exploring --- */

/* Tells the children of a node that they reach something common. */
static enum ph_status step_news(struct ph_cut *cut, uint32_t *budget)
{
	uint32_t node = cut->news[cut->news_count - 1];
	uint32_t link = cut->nodes[node].children;
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (link == NONE) {
		cut->news_count--;
		return PH_OK;
	}
	/* The link is done with: whoever asks this node later sees its flag. */
	status = PH_OK;
	cut->nodes[node].children = cut->links[link].next;
	if ((cut->nodes[cut->links[link].child].flags & CUT_REACHES) == 0) {
		/* Takes this node's place on top of the list; it is returned to. */
		status = set_reaches(cut, cut->links[link].child);
	}
	return status;
}

/* The parents of this commit come next. */
static enum ph_status spread(struct ph_cut *cut, uint32_t node, const struct ph__commit *commit,
                             uint32_t *budget)
{
	enum ph_status status = parents_start(cut, &cut->parents, node, commit, budget);

	if (status == PH_OK) {
		cut->spreading = node;
	}
	return status;
}

static enum ph_status step_root(struct ph_cut *cut, uint32_t *budget)
{
	const struct ph_source *source = cut->env.source;
	struct ph_loc loc = cut->roots.items[--cut->roots.count];
	struct ph_loc target;
	struct ph_oid oid;
	struct ph_entry entry;
	struct ph__commit commit;
	enum ph_object_type type;
	uint32_t node;
	uint32_t named;
	enum ph_status status = source->ops->entry(source, loc, &entry);

	ph_budget_spend(budget, 1);
	if (status == PH_OK) {
		status = node_of(cut, loc, &node);
	}
	if (status != PH_OK || (cut->nodes[node].flags & CUT_REACHES) != 0) {
		return status;
	}
	if (entry.type == PH_OBJ_TAG) {
		status = ph__walk_tag(&cut->env, loc, &oid, &type, &target, budget);
		if (status == PH_OK) {
			status = node_of(cut, target, &named);
		}
		if (status != PH_OK) {
			return status == PH_ERR_NOT_FOUND ? PH_OK : status;
		}
		if ((cut->nodes[named].flags & CUT_REACHES) != 0) {
			return set_reaches(cut, node);
		}
		status = add_child(cut, named, node);
		return status == PH_OK ? ph__locs_push(&cut->roots, cut->env.alloc, target)
		                       : status;
	}
	/* Ancestry says nothing of what is no commit: it does not hold up the others, as in git. */
	if (entry.type != PH_OBJ_COMMIT) {
		return set_reaches(cut, node);
	}
	/* A want's parents are looked at however old it is itself. */
	cut->nodes[node].flags |= CUT_EXPLORED;
	status = ph__commit_read(&cut->env, loc, &commit, budget);
	return status == PH_OK ? spread(cut, node, &commit, budget) : status;
}

static enum ph_status step_parent(struct ph_cut *cut, uint32_t *budget)
{
	struct ph_oid oid;
	struct ph_loc loc;
	struct ph__commit commit;
	uint32_t node;
	enum ph_status status = ph__parents_next(&cut->parents, &cut->env, &loc, &oid, budget);

	if (status == PH_END || (cut->nodes[cut->spreading].flags & CUT_REACHES) != 0) {
		ph__parents_stop(&cut->parents, &cut->env);
		cut->spreading = NONE;
		return PH_OK;
	}
	if (status == PH_OK) {
		status = node_of(cut, loc, &node);
	}
	if (status != PH_OK) {
		return status == PH_ERR_NOT_FOUND ? PH_OK : status;
	}
	if ((cut->nodes[node].flags & CUT_REACHES) != 0) {
		return set_reaches(cut, cut->spreading);
	}
	status = add_child(cut, node, cut->spreading);
	if (status != PH_OK || (cut->nodes[node].flags & CUT_EXPLORED) != 0) {
		return status;
	}
	status = ph__commit_read(&cut->env, loc, &commit, budget);
	if (status == PH_OK) {
		status = ph__queue_put(&cut->queue, cut->env.alloc, &commit);
	}
	if (status == PH_OK) {
		cut->nodes[node].flags |= CUT_EXPLORED;
	}
	return status;
}

/* PH_END when there is nothing to do until something else becomes common. */
static enum ph_status step(struct ph_cut *cut, uint32_t *budget)
{
	const struct ph__commit *next;
	struct ph__commit commit;
	uint32_t node;
	enum ph_status status;

	if (cut->news_count > 0) {
		return step_news(cut, budget);
	}
	if (cut->spreading != NONE) {
		return step_parent(cut, budget);
	}
	if (cut->unmet == 0 || !cut->commons) {
		return PH_END;
	}
	if (cut->roots.count > 0) {
		return step_root(cut, budget);
	}
	next = ph__queue_peek(&cut->queue);
	if (next == NULL || cut->oldest == UINT64_MAX || next->time < cut->oldest) {
		return PH_END;
	}
	ph_budget_spend(budget, 1);
	ph__queue_take(&cut->queue, &commit);
	status = node_of(cut, commit.loc, &node);
	if (status != PH_OK || (cut->nodes[node].flags & CUT_REACHES) != 0) {
		return status;
	}
	return spread(cut, node, &commit, budget);
}

enum ph_status ph_cut_run(struct ph_cut *cut, uint32_t *budget, bool *ready)
{
	enum ph_status status = cut->failed;

	while (status == PH_OK) {
		if (*budget == 0) {
			return PH_AGAIN;
		}
		status = step(cut, budget);
	}
	if (status != PH_END) {
		cut->failed = status == PH_ERR_INVALID ? PH_ERR_CORRUPT : status;
		return cut->failed;
	}
	*ready = cut->commons && cut->unmet == 0;
	return PH_OK;
}
