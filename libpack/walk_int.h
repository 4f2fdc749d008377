/* SPDX-License-Identifier: MIT */
/*
 * What the walks share: a byte of state for every object of a source, a queue of commits by date, a
 * growing list of locations, and the contents of trees. None of it recurses, and each step is
 * small.
 */
#ifndef PACKHORSE_WALK_INT_H
#define PACKHORSE_WALK_INT_H

#include <packhorse/walk.h>

#include <assert.h>

/* --- A byte for every object --- */

struct ph__states {
	size_t *base; /* per pack: its first byte; base[packs] is the number of all */
	uint8_t *bytes;
	uint32_t packs;
};

enum ph_status ph__states_init(struct ph__states *states, const struct ph_source *source,
                               const struct ph_alloc *alloc);
void ph__states_release(struct ph__states *states, const struct ph_alloc *alloc);

static inline uint8_t *ph__states_at(const struct ph__states *states, struct ph_loc loc)
{
	assert(loc.pack < states->packs);
	assert(loc.pos < states->base[loc.pack + 1] - states->base[loc.pack]);
	return &states->bytes[states->base[loc.pack] + loc.pos];
}

/*
 * Moves *loc to the next object, from itself on, whose state has one of the bits of mask. PH_AGAIN
 * after a bounded number of objects without one, PH_END when there are no more.
 */
enum ph_status ph__states_scan(const struct ph__states *states, uint8_t mask, struct ph_loc *loc);

/* --- Sets of objects, as maps have them: a bit each, those of a pack from a word of their own ---
 */

struct ph__marks {
	size_t *first; /* per pack: its first word; first[packs] is the number of all */
	uint64_t *words;
	uint32_t packs;
};

enum ph_status ph__marks_init(struct ph__marks *bits, const struct ph_source *source,
                              const struct ph_alloc *alloc);
void ph__marks_release(struct ph__marks *bits, const struct ph_alloc *alloc);

static inline uint64_t *ph__marks_word(const struct ph__marks *bits, struct ph_loc loc)
{
	assert(loc.pack < bits->packs);
	assert(loc.pos / 64 < bits->first[loc.pack + 1] - bits->first[loc.pack]);
	return &bits->words[bits->first[loc.pack] + loc.pos / 64];
}

static inline bool ph__marks_has(const struct ph__marks *bits, struct ph_loc loc)
{
	return (*ph__marks_word(bits, loc) >> (loc.pos % 64) & 1) != 0;
}

static inline void ph__marks_add(struct ph__marks *bits, struct ph_loc loc)
{
	*ph__marks_word(bits, loc) |= (uint64_t)1 << (loc.pos % 64);
}

/* --- Locations --- */

struct ph__locs {
	struct ph_loc *items;
	size_t count, capacity;
};

enum ph_status ph__locs_push(struct ph__locs *locs, const struct ph_alloc *alloc,
                             struct ph_loc loc);
void ph__locs_release(struct ph__locs *locs, const struct ph_alloc *alloc);

/* --- Objects read on the way --- */

/* Whose objects these are, and what reading them may cost. */
struct ph__walk_env {
	const struct ph_source *source;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	struct ph_reader *reader;
	const struct ph_maps *maps; /* NULL, unless set after init */
	uint64_t walked;            /* objects read or looked up, against walk_objects_max */
};

enum ph_status ph__walk_env_init(struct ph__walk_env *env, const struct ph_source *source,
                                 const struct ph_alloc *alloc, const struct ph_limits *limits);
void ph__walk_env_release(struct ph__walk_env *env);
/* What is read goes by these maps, which may be NULL; with less cache where they hold nearly all.
 * Before anything is read. */
void ph__walk_env_maps(struct ph__walk_env *env, const struct ph_maps *maps);
/* Finds an object. Counts against limit and budget. */
enum ph_status ph__walk_find(struct ph__walk_env *env, const struct ph_oid *oid, struct ph_loc *out,
                             uint32_t *budget);
/*
 * Reads an object of this type. PH_ERR_INVALID when it is of another, PH_ERR_CORRUPT when it is not
 * there although it has a location.
 */
enum ph_status ph__walk_read(struct ph__walk_env *env, struct ph_loc loc, enum ph_object_type type,
                             struct ph_object *out, uint32_t *budget);
/*
 * Reads a tag and finds what it names. PH_ERR_NOT_FOUND with the id in *target when that is not
 * there. *type is what the tag says.
 */
enum ph_status ph__walk_tag(struct ph__walk_env *env, struct ph_loc loc, struct ph_oid *target,
                            enum ph_object_type *type, struct ph_loc *out, uint32_t *budget);

/* --- Maps --- */

/* The map of a pack, or NULL. */
static inline struct ph_map *ph__walk_map(const struct ph__walk_env *env, uint32_t pack)
{
	for (uint32_t i = 0; env->maps != NULL && i < env->maps->count; i++) {
		if (ph_map_pack(env->maps->maps[i]) == pack) {
			return env->maps->maps[i];
		}
	}
	return NULL;
}

/*
 * The location of what a map names by its pos: an earlier pack may have it too. Counts as finding
 * it does.
 */
enum ph_status ph__walk_place(struct ph__walk_env *env, uint32_t pack, uint32_t pos,
                              struct ph_loc *out, uint32_t *budget);
/*
 * Whether the bitmaps of a pack's map are of use: they tell of copies, too, whose location is in an
 * earlier pack, so that one must be able to look for those.
 */
static inline bool ph__walk_map_reaches(const struct ph__walk_env *env, uint32_t pack)
{
	return pack == 0 || env->source->ops->find_in != NULL;
}

/* Trees of commits without a bitmap that are put off while there are other commits, which may make
 * them known. With so many, it is their turn. */
#define PH__WALK_NOTED_MAX 4096u

/* --- Commits --- */

/* A commit as it waits in a queue: what is needed of it, without its text. */
struct ph__commit {
	struct ph_loc loc;
	uint64_t time;
	uint32_t parents;
	bool mapped; /* known from the map of its pack, not read */
	union {
		struct ph_map_commit at;
		struct {
			struct ph_oid tree;
			struct ph_oid
			        parent[2]; /* when parents <= 2; with more, it is read again */
		} named;
	};
};

enum ph_status ph__commit_read(struct ph__walk_env *env, struct ph_loc loc, struct ph__commit *out,
                               uint32_t *budget);
enum ph_status ph__commit_tree(struct ph__walk_env *env, const struct ph__commit *commit,
                               struct ph_oid *out);
/* Whether the map of its pack can say what it reaches. */
static inline bool ph__commit_reaches(const struct ph__walk_env *env,
                                      const struct ph__commit *commit)
{
	return commit->mapped && commit->at.bitmap && ph__walk_map_reaches(env, commit->loc.pack);
}
/* Adds all that it reaches to a set, by the bitmap it must have. */
enum ph_status ph__commit_reach(const struct ph__walk_env *env, const struct ph__commit *commit,
                                struct ph__marks *bits, uint32_t *budget);

/* The parents of a commit, one by one, across calls that run out of budget. */
struct ph__parents {
	struct ph__commit commit;
	struct ph_object object; /* read when the commit has more than two */
	struct ph_commit text;
	uint32_t at;
	bool reading; /* object is held */
};

/* {0} is one without parents. */
enum ph_status ph__parents_start(struct ph__parents *parents, struct ph__walk_env *env,
                                 const struct ph__commit *commit, uint32_t *budget);
/*
 * The location of the next. PH_END behind the last. *oid is set, too, when it is not there:
 * PH_ERR_NOT_FOUND; the next call goes on behind it.
 */
enum ph_status ph__parents_next(struct ph__parents *parents, struct ph__walk_env *env,
                                struct ph_loc *out, struct ph_oid *oid, uint32_t *budget);
void ph__parents_stop(struct ph__parents *parents, struct ph__walk_env *env);

/* Latest first; of equal times, the one that was put first. */
struct ph__queue {
	struct ph__queue_entry {
		uint64_t time;
		uint64_t turn;
		uint32_t slot;
	} * heap;
	struct ph__commit *slots;
	uint32_t *free_slots;
	uint32_t count, used, free_count, capacity;
	uint64_t turn;
};

enum ph_status ph__queue_put(struct ph__queue *queue, const struct ph_alloc *alloc,
                             const struct ph__commit *commit);
/* The latest; NULL when it is empty. Valid until the next call. */
const struct ph__commit *ph__queue_peek(const struct ph__queue *queue);
/* Takes the latest out. The queue is not empty. */
void ph__queue_take(struct ph__queue *queue, struct ph__commit *out);
void ph__queue_release(struct ph__queue *queue, const struct ph_alloc *alloc);

/* --- Contents of trees --- */

struct ph__tree_item {
	struct ph_oid oid;
	enum ph_object_type type; /* tree or blob, by its mode */
};

/*
 * Trees to read, and the one being read. Entries dealt with before (ph__trees_done) are left out,
 * as far as a small cache remembers: versions of a directory differ in few entries, so this is
 * nearly all of them.
 */
struct ph__trees {
	struct ph__locs todo;
	struct ph_object object;
	struct ph_tree_iter iter;
	struct ph_loc at; /* of the tree last begun, for errors */
	bool open;
	bool skip_blobs;
	struct ph_oid *cache; /* ids dealt with; one slot each, by hash */
	uint8_t *cache_types; /* and as what; 0 is a free slot */
	void *cache_memory;
	size_t cache_mask;
};

/* The most entries that the cache ever remembers. */
size_t ph__trees_slots_max(const struct ph_limits *limits);
/* expected is about how many objects there are. */
enum ph_status ph__trees_init(struct ph__trees *trees, struct ph__walk_env *env, size_t expected);
void ph__trees_release(struct ph__trees *trees, struct ph__walk_env *env);
enum ph_status ph__trees_add(struct ph__trees *trees, struct ph__walk_env *env, struct ph_loc tree);
static inline bool ph__trees_busy(const struct ph__trees *trees)
{
	return trees->open || trees->todo.count > 0;
}
/* The type that a mode says: tree or blob; PH_OBJ_NONE for a commit of another repository. */
enum ph_object_type ph__tree_mode_type(uint32_t mode);
/*
 * PH_OK with an entry that needs a look; PH_AGAIN at the end of each tree; PH_END when no tree is
 * left. PH_ERR_INVALID when what should be a tree (trees->at) is not one.
 */
enum ph_status ph__trees_next(struct ph__trees *trees, struct ph__walk_env *env,
                              struct ph__tree_item *out, uint32_t *budget);
/* Whether this entry needs no look again. */
bool ph__trees_seen(const struct ph__trees *trees, const struct ph__tree_item *item);
/* This entry needs no look again. */
void ph__trees_done(struct ph__trees *trees, const struct ph__tree_item *item);

#endif
