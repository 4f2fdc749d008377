/* SPDX-License-Identifier: MIT */
/*
 * Selecting under a filter. A filter boils down to one rule: types that may go, a size that blobs
 * stay below, a depth, and lists of patterns. An object goes when there is a place, a tree in a
 * wanted commit or in a tree wanted by id, at which all of the rule lets it go. So where depth or
 * paths count a tree is gone through at every depth or path it is met at. What was gone through is
 * remembered as a hash in a small table: what it forgets costs time, and two that fell together,
 * one in 2^64, would leave out an object that the client then asks for.
 */
#include "sparse_int.h"
#include "walk_run_int.h"

/* As deep as git goes, and as long as a path may be where it is checked out. What lies beyond is
 * left to be asked for. */
#define DEPTH_MAX 2048u
#define PATH_MAX_BYTES 4096u
/* Places gone through (8 bytes each), a few times the directories of a large working tree. */
#define PLACES ((size_t)1 << 16)
/* Paths of files whose patterns were asked already. */
#define ANSWERS ((size_t)1 << 13)
/* Trees that hold themselves many times over have more paths than anybody can walk. A history has
 * most of its trees at one path. */
#define PLACES_PER_OBJECT 16u
#define PLACES_LEAST 65536u
/* Characters compared for one unit of budget. */
#define COMPARED_PER_UNIT 4096u

/* A tree whose entries are to be looked at. */
struct place {
	struct ph_loc tree;
	uint32_t depth;    /* of its entries: 1 in a commit's tree, 0 in a tree wanted by id */
	uint32_t in;       /* a bit for each list of patterns that takes what it says nothing of */
	uint64_t hash;     /* of its path */
	size_t parent_len; /* bytes of path that it shares with what is below it on the stack */
	size_t name_len;   /* its name, on top of names */
};

/* The entry whose patterns are being asked, which may take several steps. */
struct asking {
	struct ph_tree_entry entry;
	uint64_t hash;
	uint32_t list; /* the list at work */
	uint32_t at;   /* the place in it */
	uint32_t in;   /* answers so far */
	size_t len;    /* of the path, the name included */
	bool busy;
};

struct ph__walk_filter {
	/* The rule. */
	unsigned types; /* 1 << type of those that may go */
	uint64_t blob_limit, depth_limit;
	const struct ph__sparse *lists[PH_FILTER_PARTS_MAX];
	uint32_t list_count;
	uint32_t root_in; /* what they say of a root */
	/* Work. */
	struct place *todo;
	size_t count, capacity;
	struct place here; /* the tree being read */
	struct ph_object object;
	struct ph_tree_iter iter;
	bool open;
	struct asking asking;
	uint64_t places_left;
	uint64_t *places;  /* when depth or paths count */
	uint64_t *answers; /* these and all below: when paths count */
	char *path;
	size_t path_len;
	char *names;
	size_t names_len, names_capacity;
};

static enum ph_status fail(struct ph_walk *walk, enum ph_status status, const char *what,
                           const struct ph_oid *oid)
{
	walk->error.what = what;
	ph_oid_to_hex(walk->error.detail, walk->env.source->algo, oid);
	return status;
}

/* --- The rule --- */

static bool may_go(const struct ph__walk_filter *work, enum ph_object_type type)
{
	return (work->types >> type & 1) != 0;
}

static void add_part(struct ph__walk_filter *work, const struct ph_filter_part *part)
{
	if (part->kind == PH_FILTER_BLOB_NONE) {
		work->types &= ~(1u << PH_OBJ_BLOB);
	} else if (part->kind == PH_FILTER_BLOB_LIMIT && part->number < work->blob_limit) {
		work->blob_limit = part->number;
	} else if (part->kind == PH_FILTER_TREE && part->number < work->depth_limit) {
		work->depth_limit = part->number;
	} else if (part->kind == PH_FILTER_OBJECT_TYPE) {
		work->types &= 1u << part->type;
	} else if (part->kind == PH_FILTER_SPARSE_OID) {
		assert(part->patterns != NULL);
		work->lists[work->list_count++] = part->patterns;
	}
}

static bool by_path(const struct ph__walk_filter *work)
{
	return work->list_count > 0;
}

static bool by_place(const struct ph__walk_filter *work)
{
	return by_path(work) || work->depth_limit < UINT64_MAX;
}

/* What the patterns say of a root: a directory without a name. */
static uint32_t root_in(const struct ph__walk_filter *work)
{
	uint32_t in = 0;

	for (uint32_t i = 0; i < work->list_count; i++) {
		enum ph__sparse_says says = PH__SPARSE_NOTHING;
		uint32_t at = 0;
		uint64_t cost = 0;

		/* Against nothing, no pattern takes long. */
		while (ph__sparse_match(work->lists[i], "", 0, 0, true, &at, &cost, &says) ==
		       PH_AGAIN) {
		}
		in |= says == PH__SPARSE_IN ? UINT32_C(1) << i : 0;
	}
	return in;
}

uint64_t ph__walk_filter_bytes(const struct ph_filter *filter, uint64_t trees)
{
	uint64_t bytes = sizeof(struct ph__walk_filter) + trees * sizeof(struct place);

	if (!ph_filter_by_object(filter)) {
		bytes += PLACES * sizeof(uint64_t) + ANSWERS * sizeof(uint64_t) + PATH_MAX_BYTES;
	}
	return bytes;
}

enum ph_status ph__walk_filter_new(struct ph_walk *walk)
{
	const struct ph_alloc *alloc = walk->env.alloc;
	struct ph__walk_filter *work = ph_mem_zalloc(alloc, 1, sizeof *work);

	if (work == NULL) {
		return PH_ERR_NOMEM;
	}
	walk->filtering = work;
	work->types = ~0u;
	work->blob_limit = work->depth_limit = UINT64_MAX;
	for (uint32_t i = 0; i < walk->filter.count; i++) {
		add_part(work, &walk->filter.parts[i]);
	}
	if (work->blob_limit == 0) {
		work->types &= ~(1u << PH_OBJ_BLOB);
	}
	work->places_left =
	        (uint64_t)walk->states.base[walk->states.packs] * PLACES_PER_OBJECT + PLACES_LEAST;
	if (by_place(work)) {
		work->places = ph_mem_zalloc(alloc, PLACES, sizeof *work->places);
		if (work->places == NULL) {
			return PH_ERR_NOMEM;
		}
	}
	if (by_path(work)) {
		work->answers = ph_mem_zalloc(alloc, ANSWERS, sizeof *work->answers);
		work->path = ph_mem_alloc(alloc, PATH_MAX_BYTES);
		if (work->answers == NULL || work->path == NULL) {
			return PH_ERR_NOMEM;
		}
		work->root_in = root_in(work);
	}
	return PH_OK;
}

void ph__walk_filter_free(struct ph_walk *walk)
{
	struct ph__walk_filter *work = walk->filtering;
	const struct ph_alloc *alloc = walk->env.alloc;

	if (work == NULL) {
		return;
	}
	if (work->open) {
		ph_object_release(walk->env.reader, &work->object);
	}
	ph_mem_free(alloc, work->todo);
	ph_mem_free(alloc, work->places);
	ph_mem_free(alloc, work->answers);
	ph_mem_free(alloc, work->path);
	ph_mem_free(alloc, work->names);
	ph_mem_free(alloc, work);
	walk->filtering = NULL;
}

bool ph__walk_filter_no_commits(const struct ph_walk *walk)
{
	return walk->filtering != NULL && !may_go(walk->filtering, PH_OBJ_COMMIT);
}

bool ph__walk_filter_busy(const struct ph_walk *walk)
{
	return walk->filtering != NULL && (walk->filtering->open || walk->filtering->count > 0);
}

/* --- Places --- */

static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* The hash of a path that is one name longer. */
static uint64_t longer(uint64_t hash, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	}
	return mixed(hash ^ len);
}

/* Whether a tree was gone through at this place before; from now on it was. */
static bool was_here(struct ph__walk_filter *work, const struct ph_oid *tree, uint64_t path,
                     uint32_t depth)
{
	uint64_t words[2];
	uint64_t key;
	uint64_t *slot;

	memcpy(words, tree->bytes, sizeof words);
	key = mixed(words[0] ^ path) ^ words[1];
	if (work->depth_limit < UINT64_MAX) {
		key = mixed(key + depth + 1);
	}
	slot = &work->places[key & (PLACES - 1)];
	key |= key == 0;
	if (*slot == key) {
		return true;
	}
	*slot = key;
	return false;
}

/* Whether anything in a tree whose entries are at this depth may go. */
static bool goes_below(const struct ph__walk_filter *work, uint32_t depth)
{
	return depth < work->depth_limit && depth <= DEPTH_MAX &&
	       (may_go(work, PH_OBJ_TREE) || may_go(work, PH_OBJ_BLOB));
}

static enum ph_status push_name(struct ph_walk *walk, const char *name, size_t len)
{
	struct ph__walk_filter *work = walk->filtering;
	size_t capacity = work->names_capacity == 0 ? PATH_MAX_BYTES : work->names_capacity;
	char *names;

	while (capacity - work->names_len < len) {
		capacity *= 2;
	}
	if (capacity > work->names_capacity) {
		names = ph_mem_resize(walk->env.alloc, work->names, capacity, 1);
		if (names == NULL) {
			return PH_ERR_NOMEM;
		}
		work->names = names;
		work->names_capacity = capacity;
	}
	if (len > 0) {
		memcpy(work->names + work->names_len, name, len);
	}
	work->names_len += len;
	return PH_OK;
}

static enum ph_status push(struct ph_walk *walk, const struct place *place)
{
	struct ph__walk_filter *work = walk->filtering;

	if (work->count == work->capacity) {
		size_t capacity = work->capacity == 0 ? 64 : work->capacity * 2;
		struct place *todo =
		        ph_mem_resize(walk->env.alloc, work->todo, capacity, sizeof *todo);

		if (todo == NULL) {
			return PH_ERR_NOMEM;
		}
		work->todo = todo;
		work->capacity = capacity;
	}
	if (work->places_left == 0) {
		return PH_ERR_LIMIT;
	}
	work->places_left -= work->places != NULL;
	work->todo[work->count++] = *place;
	return PH_OK;
}

/* The next tree, with its path in work->path. */
static enum ph_status open_tree(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	enum ph_status status;

	work->here = work->todo[--work->count];
	if (by_path(work)) {
		size_t len = work->here.parent_len;

		if (len > 0) {
			work->path[len++] = '/';
		}
		work->names_len -= work->here.name_len;
		if (work->here.name_len > 0) {
			memcpy(work->path + len, work->names + work->names_len,
			       work->here.name_len);
		}
		work->path_len = len + work->here.name_len;
	}
	status = ph__walk_read(&walk->env, work->here.tree, PH_OBJ_TREE, &work->object, budget);
	if (status != PH_OK) {
		struct ph_entry entry;

		if (walk->env.source->ops->entry(walk->env.source, work->here.tree, &entry) !=
		    PH_OK) {
			return status;
		}
		return fail(walk, status == PH_ERR_INVALID ? PH_ERR_CORRUPT : status,
		            status == PH_ERR_INVALID ? "wrong type" : ph_status_text(status),
		            &entry.oid);
	}
	work->open = true;
	ph_tree_iter_init(&work->iter, walk->env.source->algo, work->object.data,
	                  (size_t)work->object.size);
	return PH_OK;
}

/* --- Patterns --- */

/* Begins to ask about an entry of the tree at hand. False when its path is too long. */
static bool ask(struct ph__walk_filter *work, const struct ph_tree_entry *entry)
{
	size_t slash = work->path_len > 0;

	if (entry->name_len > PATH_MAX_BYTES - 2 ||
	    work->path_len + slash > PATH_MAX_BYTES - 2 - entry->name_len) {
		return false;
	}
	if (slash > 0) {
		work->path[work->path_len] = '/';
	}
	memcpy(work->path + work->path_len + slash, entry->name, entry->name_len);
	work->asking = (struct asking){
	        .entry = *entry,
	        .hash = longer(work->here.hash, entry->name, entry->name_len),
	        .len = work->path_len + slash + entry->name_len,
	        .busy = true,
	};
	return true;
}

/* Asks on, or stops when enough was compared: PH_AGAIN. The answers are in asking.in. */
static enum ph_status answer(struct ph__walk_filter *work, uint32_t *budget)
{
	struct asking *asking = &work->asking;
	bool is_tree = ph__tree_mode_type(asking->entry.mode) == PH_OBJ_TREE;
	uint64_t cost = 0;
	enum ph_status status = PH_OK;

	while (asking->list < work->list_count && cost < PH__SPARSE_SLICE) {
		uint32_t bit = UINT32_C(1) << asking->list;
		enum ph__sparse_says says;

		status = ph__sparse_match(work->lists[asking->list], work->path, asking->len,
		                          asking->len - asking->entry.name_len, is_tree,
		                          &asking->at, &cost, &says);
		if (status == PH_AGAIN) {
			break;
		}
		if (says == PH__SPARSE_IN ||
		    (says == PH__SPARSE_NOTHING && (work->here.in & bit) != 0)) {
			asking->in |= bit;
		}
		asking->list++;
		asking->at = 0;
	}
	ph_budget_spend(budget, 1 + cost / COMPARED_PER_UNIT);
	return asking->list < work->list_count ? PH_AGAIN : PH_OK;
}

static uint32_t all_lists(const struct ph__walk_filter *work)
{
	return (uint32_t)((UINT64_C(1) << work->list_count) - 1);
}

/* The answer given before about this path, or PH__SPARSE_NOTHING. */
static enum ph__sparse_says remembered(const struct ph__walk_filter *work, uint64_t hash)
{
	uint64_t slot = work->answers[hash & (ANSWERS - 1)];

	if (slot == 0 || (slot ^ hash) >> 1 != 0) {
		return PH__SPARSE_NOTHING;
	}
	return (slot & 1) != 0 ? PH__SPARSE_IN : PH__SPARSE_OUT;
}

static void remember(struct ph__walk_filter *work, uint64_t hash, bool in)
{
	work->answers[hash & (ANSWERS - 1)] = (hash & ~UINT64_C(1)) | in;
}

/* --- Entries --- */

/* Finds what an entry names and checks what is known of its type. */
static enum ph_status find_item(struct ph_walk *walk, const struct ph__tree_item *item,
                                struct ph_loc *loc, uint32_t *budget)
{
	uint8_t type = item->type == PH_OBJ_TREE ? WALK_TREE : WALK_BLOB;
	enum ph_status status = ph__walk_find(&walk->env, &item->oid, loc, budget);
	uint8_t state;

	if (status == PH_ERR_NOT_FOUND) {
		return fail(walk, PH_ERR_CORRUPT, "missing object", &item->oid);
	}
	if (status != PH_OK) {
		return fail(walk, status, ph_status_text(status), &item->oid);
	}
	state = *ph__states_at(&walk->states, *loc);
	if ((state & WALK_HAD) == 0 && (state & WALK_TYPE) != 0 && (state & WALK_TYPE) != type) {
		return fail(walk, PH_ERR_CORRUPT, "wrong type", &item->oid);
	}
	return PH_OK;
}

/* A blob that its place lets go. */
static enum ph_status take_blob(struct ph_walk *walk, const struct ph__tree_item *item,
                                uint32_t *budget)
{
	const struct ph__walk_filter *work = walk->filtering;
	const struct ph_source *source = walk->env.source;
	struct ph_loc loc;
	struct ph_entry entry;
	uint8_t *state;
	enum ph_status status = find_item(walk, item, &loc, budget);

	if (status != PH_OK) {
		return status;
	}
	state = ph__states_at(&walk->states, loc);
	if ((*state & (WALK_HAD | WALK_SELECTED)) == 0 && !ph__walk_known(walk, loc)) {
		entry.size = 0;
		if (work->blob_limit < UINT64_MAX) {
			status = source->ops->entry(source, loc, &entry);
		}
		if (status != PH_OK) {
			return fail(walk, status, ph_status_text(status), &item->oid);
		}
		if (entry.size < work->blob_limit) {
			ph__walk_select(walk, state, WALK_BLOB);
		}
	}
	/* Had, selected or too large: so it is at every place. */
	ph__trees_done(&walk->trees, item);
	return PH_OK;
}

/* A tree at a place, whose entries would be at this depth. */
static enum ph_status take_tree(struct ph_walk *walk, const struct ph__tree_item *item,
                                const struct place *at, const char *name, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	struct place place = *at;
	uint8_t *state;
	enum ph_status status = find_item(walk, item, &place.tree, budget);

	if (status != PH_OK) {
		return status;
	}
	state = ph__states_at(&walk->states, place.tree);
	if ((*state & WALK_HAD) != 0 || ph__walk_known(walk, place.tree)) {
		ph__trees_done(&walk->trees, item);
		return PH_OK;
	}
	if (may_go(work, PH_OBJ_TREE) && (*state & WALK_SELECTED) == 0) {
		ph__walk_select(walk, state, WALK_TREE);
	}
	if (work->places == NULL) {
		bool passed = (*state & WALK_PASSED) != 0;

		*state |= WALK_PASSED;
		ph__trees_done(&walk->trees, item);
		if (passed) {
			return PH_OK;
		}
	}
	if (!goes_below(work, place.depth)) {
		return PH_OK;
	}
	if (by_path(work)) {
		status = push_name(walk, name, place.name_len);
	}
	return status == PH_OK ? push(walk, &place) : status;
}

/* A directory in the tree at hand; in: what the patterns say of it. */
static enum ph_status enter_tree(struct ph_walk *walk, const struct ph_tree_entry *entry,
                                 uint64_t hash, uint32_t in, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	struct ph__tree_item item = {.oid = entry->oid, .type = PH_OBJ_TREE};
	struct place place = {.depth = work->here.depth + 1,
	                      .in = in,
	                      .hash = hash,
	                      .parent_len = work->path_len,
	                      .name_len = by_path(work) ? entry->name_len : 0};

	return take_tree(walk, &item, &place, entry->name, budget);
}

/* All patterns have answered. */
static enum ph_status answered(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	struct asking *asking = &work->asking;
	struct ph__tree_item item = {.oid = asking->entry.oid, .type = PH_OBJ_BLOB};
	bool in = asking->in == all_lists(work);

	asking->busy = false;
	if (ph__tree_mode_type(asking->entry.mode) == PH_OBJ_TREE) {
		return enter_tree(walk, &asking->entry, asking->hash, asking->in, budget);
	}
	remember(work, asking->hash, in);
	return in ? take_blob(walk, &item, budget) : PH_OK;
}

static enum ph_status look_at_tree(struct ph_walk *walk, const struct ph_tree_entry *entry,
                                   uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	uint64_t hash = 0;

	if (by_path(work)) {
		hash = longer(work->here.hash, entry->name, entry->name_len);
	}
	if (work->places != NULL && was_here(work, &entry->oid, hash, work->here.depth)) {
		return PH_OK;
	}
	if (!by_path(work)) {
		return enter_tree(walk, entry, 0, 0, budget);
	}
	(void)ask(work, entry); /* beyond what can be checked out it stays behind */
	return PH_OK;
}

static enum ph_status look_at_blob(struct ph_walk *walk, const struct ph__tree_item *item,
                                   const struct ph_tree_entry *entry, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	enum ph__sparse_says says = PH__SPARSE_IN;

	if (by_path(work)) {
		says = remembered(work, longer(work->here.hash, entry->name, entry->name_len));
	}
	if (says == PH__SPARSE_IN) {
		return take_blob(walk, item, budget);
	}
	if (says == PH__SPARSE_NOTHING) {
		(void)ask(work, entry);
	}
	return PH_OK;
}

/* The next entry of the tree at hand that needs a look. */
static enum ph_status next_entry(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	struct ph_tree_entry entry;
	enum ph_status status;

	while ((status = ph_tree_iter_next(&work->iter, &entry)) == PH_OK) {
		struct ph__tree_item item = {.oid = entry.oid,
		                             .type = ph__tree_mode_type(entry.mode)};

		if (item.type == PH_OBJ_NONE || ph__trees_seen(&walk->trees, &item)) {
			continue;
		}
		if (item.type == PH_OBJ_TREE) {
			return look_at_tree(walk, &entry, budget);
		}
		if (may_go(work, PH_OBJ_BLOB)) {
			return look_at_blob(walk, &item, &entry, budget);
		}
	}
	ph_object_release(walk->env.reader, &work->object);
	work->open = false;
	return status == PH_END ? PH_OK : PH_ERR_CORRUPT;
}

enum ph_status ph__walk_filter_step(struct ph_walk *walk, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	enum ph_status status;

	if (work->asking.busy) {
		status = answer(work, budget);
		return status == PH_OK ? answered(walk, budget) : PH_OK;
	}
	return work->open ? next_entry(walk, budget) : open_tree(walk, budget);
}

/* --- Roots --- */

enum ph_status ph__walk_filter_commit(struct ph_walk *walk, struct ph_loc commit,
                                      const struct ph__tree_item *tree, uint32_t *budget)
{
	struct ph__walk_filter *work = walk->filtering;
	struct place place = {.depth = 1, .hash = 1};
	uint8_t *state = ph__states_at(&walk->states, commit);

	if (may_go(work, PH_OBJ_COMMIT) || (*state & WALK_PASSED) != 0) {
		ph__walk_select(walk, state, WALK_COMMIT);
	}
	if (!goes_below(work, 0) || ph__trees_seen(&walk->trees, tree) ||
	    (work->places != NULL && was_here(work, &tree->oid, place.hash, 0))) {
		return PH_OK;
	}
	place.in = work->root_in;
	return take_tree(walk, tree, &place, NULL, budget);
}

enum ph_status ph__walk_filter_tree(struct ph_walk *walk, struct ph_loc loc)
{
	struct ph__walk_filter *work = walk->filtering;
	struct place place = {.tree = loc, .hash = 2};

	if (work->places == NULL) {
		uint8_t *state = ph__states_at(&walk->states, loc);

		if ((*state & WALK_PASSED) != 0) {
			return PH_OK;
		}
		*state |= WALK_PASSED;
	}
	return goes_below(work, 0) ? push(walk, &place) : PH_OK;
}
