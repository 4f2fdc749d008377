/* SPDX-License-Identifier: MIT */
/*
 * Reachability: which objects answer a fetch, whether a push is connected, what a client may have.
 *
 * A walk selects all objects reachable from its wants and not from its haves, as
 * `git rev-list --objects wants --not haves` does. Commits are walked by date; both colours spread
 * until only uninteresting commits are left. At the edge the trees of uninteresting commits are
 * walked too, so that objects the other side has are neither sent nor missed as thin bases. State
 * is one byte an object of the source, no matter how long the history is. No recursion.
 *
 * Where packs have maps (map.h), commits are not read, and what can be reached from a commit with a
 * bitmap is not walked: only what came after it is. Then nothing at all that is had is selected.
 */
#ifndef PACKHORSE_WALK_H
#define PACKHORSE_WALK_H

#include <packhorse/filter.h>
#include <packhorse/map.h>
#include <packhorse/reader.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_walk;

struct ph_walk_options {
	const struct ph_source *source;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	/* Objects wanted by id, or named by a wanted tag, are selected whatever it says. Its parts
	 * outlive the walk; each sparse part has its patterns. */
	struct ph_filter filter;
	/* Check that blobs exist too and stop at the first object that does not: PH_ERR_MISSING.
	 * Without it a missing object is PH_ERR_CORRUPT. Submodule entries are never looked for. */
	bool connectivity;
	const struct ph_maps *maps; /* of the source's packs; NULL: none */
};

PH_MUST_CHECK PH_API enum ph_status ph_walk_new(struct ph_walk **out,
                                                const struct ph_walk_options *options);
PH_API void ph_walk_free(struct ph_walk *walk);
/* A tip of any type; tags are selected and followed. PH_ERR_NOT_FOUND when it is not there. */
PH_MUST_CHECK PH_API enum ph_status ph_walk_want(struct ph_walk *walk, const struct ph_oid *oid);
/* The other side has this and all it reaches. Unknown objects: PH_ERR_NOT_FOUND, ignore it. */
PH_MUST_CHECK PH_API enum ph_status ph_walk_have(struct ph_walk *walk, const struct ph_oid *oid);
/*
 * Treat this commit as one without parents (a shallow boundary), on both colours. PH_OK also for
 * one that is not there: it is never met.
 */
PH_MUST_CHECK PH_API enum ph_status ph_walk_graft(struct ph_walk *walk, const struct ph_oid *oid);
/* PH_AGAIN, PH_OK, PH_ERR_MISSING, PH_ERR_CORRUPT, PH_ERR_LIMIT, ... */
PH_MUST_CHECK PH_API enum ph_status ph_walk_run(struct ph_walk *walk, uint32_t *budget);
PH_API const struct ph_error *ph_walk_error(const struct ph_walk *walk);

/* After PH_OK. */
PH_API uint32_t ph_walk_count(const struct ph_walk *walk); /* objects selected */
PH_API bool ph_walk_selected(const struct ph_walk *walk, struct ph_loc loc);
/* The other side is known to have it: good as a thin base. */
PH_API bool ph_walk_had(const struct ph_walk *walk, struct ph_loc loc);
/* Adds one object to the selection (include-tag). No effect when selected or had. */
PH_API void ph_walk_select(struct ph_walk *walk, struct ph_loc loc);
/*
 * Leaves one object out that the other side gets elsewhere (packfile-uris). It counts as neither
 * selected nor had from then on: no base of a delta. No effect when it is not selected.
 */
PH_API void ph_walk_deselect(struct ph_walk *walk, struct ph_loc loc);

/*
 * Depth: what a shallow client gets of a history, and its boundary. For `deepen N`: from the wants,
 * commits at distance N (a want is at distance 1), shortest path over all, become the boundary.
 * PH_DEPTH_INFINITE reports no boundary of ours. For `deepen-since` and `deepen-not`: the commits
 * that `rev-list --max-age=since wants --not excluded` lists are in, and those of them with a
 * parent that is not are the boundary.
 */
#define PH_DEPTH_INFINITE 0x7fffffffu

struct ph_depth;

struct ph_depth_options {
	const struct ph_source *source;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	uint32_t depth; /* 0: by since and what is excluded */
	/* depth counts from the nearest commit of ph_depth_from instead; when none is met, nothing
	 * is inside, and only the repository's own boundary is reported. */
	bool relative;
	uint64_t since;             /* older commits are out; 0: none is */
	const struct ph_maps *maps; /* as for a walk */
};

PH_MUST_CHECK PH_API enum ph_status ph_depth_new(struct ph_depth **out,
                                                 const struct ph_depth_options *options);
PH_API void ph_depth_free(struct ph_depth *depth);
/* Tags are peeled; what is not a commit is ignored. PH_ERR_NOT_FOUND when it is not there. */
PH_MUST_CHECK PH_API enum ph_status ph_depth_want(struct ph_depth *depth, const struct ph_oid *oid);
/* The repository itself is shallow here. PH_OK also when it is not there. */
PH_MUST_CHECK PH_API enum ph_status ph_depth_boundary(struct ph_depth *depth,
                                                      const struct ph_oid *oid);
/* This commit, or what a tag names, and all its ancestors are out. PH_OK also when it is not there.
 * Only with depth 0. */
PH_MUST_CHECK PH_API enum ph_status ph_depth_exclude(struct ph_depth *depth,
                                                     const struct ph_oid *oid);
/* The client is shallow here: for a relative depth. PH_OK also when it is not there. */
PH_MUST_CHECK PH_API enum ph_status ph_depth_from(struct ph_depth *depth, const struct ph_oid *oid);
/* PH_AGAIN, PH_OK; PH_ERR_NOT_FOUND when with depth 0 no commit is in. */
PH_MUST_CHECK PH_API enum ph_status ph_depth_run(struct ph_depth *depth, uint32_t *budget);
/* After PH_OK: iterate boundary commits, *cursor starting at 0; PH_END. Order: by id. */
PH_API enum ph_status ph_depth_next(const struct ph_depth *depth, uint32_t *cursor,
                                    struct ph_oid *out);
/*
 * Whether a commit lies within the depth but is not on the boundary (so its parents go too). One
 * that is not there does not; an error is one of looking for it.
 */
PH_MUST_CHECK PH_API enum ph_status ph_depth_inside(const struct ph_depth *depth,
                                                    const struct ph_oid *oid, bool *inside);
PH_MUST_CHECK PH_API enum ph_status ph_depth_is_boundary(const struct ph_depth *depth,
                                                         const struct ph_oid *oid, bool *boundary);

/*
 * Reach: whether every target is reachable from the tips. Commits are walked by date, each with its
 * tree when a target is not a commit; it stops as soon as all are found. Commits and tags may
 * become targets after that as well: run it again, and it goes on from where it is. maps as for a
 * walk.
 */
struct ph_reach;

PH_MUST_CHECK PH_API enum ph_status
ph_reach_new(struct ph_reach **out, const struct ph_source *source, const struct ph_alloc *alloc,
             const struct ph_limits *limits, const struct ph_maps *maps);
PH_API void ph_reach_free(struct ph_reach *reach);
/* Tips that are not there are ignored. */
PH_MUST_CHECK PH_API enum ph_status ph_reach_tip(struct ph_reach *reach, const struct ph_oid *oid);
/* PH_ERR_NOT_FOUND when the source does not have it. */
PH_MUST_CHECK PH_API enum ph_status ph_reach_target(struct ph_reach *reach,
                                                    const struct ph_oid *oid);
/* PH_AGAIN; PH_OK all found; PH_ERR_NOT_FOUND, with the first target not found in *missing. */
PH_MUST_CHECK PH_API enum ph_status ph_reach_run(struct ph_reach *reach, uint32_t *budget,
                                                 struct ph_oid *missing);
/* After PH_OK or PH_ERR_NOT_FOUND: whether this target was found. */
PH_API bool ph_reach_found(const struct ph_reach *reach, struct ph_loc target);

/*
 * Cut: for `ready`. Whether each want reaches at least one of the commons, walking no commit older
 * than the oldest common. Wants that are not commits, nor tags of one, do not count: as soon as
 * there is a common, they are no reason to go on. A tag counts as the commit it names, as in git:
 * that it is common itself says nothing.
 */
struct ph_cut;

PH_MUST_CHECK PH_API enum ph_status ph_cut_new(struct ph_cut **out, const struct ph_source *source,
                                               const struct ph_alloc *alloc,
                                               const struct ph_limits *limits,
                                               const struct ph_maps *maps);
PH_API void ph_cut_free(struct ph_cut *cut);
/*
 * Treat this commit as one without parents, as ph_walk_graft does. Before all wants and commons.
 * PH_OK also for one that is not there.
 */
PH_MUST_CHECK PH_API enum ph_status ph_cut_graft(struct ph_cut *cut, const struct ph_oid *oid);
PH_MUST_CHECK PH_API enum ph_status ph_cut_want(struct ph_cut *cut, const struct ph_oid *oid);
/*
 * The client has it: it and, for a commit, its parents are common. Again and again, as haves come
 * in. *was_known tells that it was common before, by an earlier have or as one's parent.
 * PH_ERR_NOT_FOUND when the source does not have it. PH_AGAIN: call again for the same one first.
 */
PH_MUST_CHECK PH_API enum ph_status ph_cut_common(struct ph_cut *cut, const struct ph_oid *oid,
                                                  bool *was_known, uint32_t *budget);
/* *ready is whether the server can cut. PH_AGAIN: call again before adding more. */
PH_MUST_CHECK PH_API enum ph_status ph_cut_run(struct ph_cut *cut, uint32_t *budget, bool *ready);

#ifdef __cplusplus
}
#endif
#endif
