/* SPDX-License-Identifier: MIT */
/*
 * A map of one pack: its commit graph, and which of its objects can be reached from some of its
 * commits, as bitmaps. Made once, when a pack has arrived, so that no later reader walks it again.
 * It says nothing that the pack does not say: without it every reader is correct, only slower.
 *
 * A pack can have a map when it is closed: whatever one of its objects names, submodules apart, is
 * in the same pack. A first push is; later ones are not, until maintenance joins them.
 *
 * The format is ours (map_int.h describes it), kept as an auxiliary section beside the pack and
 * read in place through a ph_bytes, so that memory does not grow with the repository. It is written
 * by this server alone, but read with care: damage is PH_ERR_CORRUPT, never a read outside, never a
 * hang.
 *
 * A position ("pos") is an entry's rank in its pack, as in struct ph_loc. A bitmap has a bit for
 * each, bit pos % 64 of word pos / 64.
 */
#ifndef PACKHORSE_MAP_H
#define PACKHORSE_MAP_H

#include <packhorse/source.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_map;

/*
 * A reader of the map of one pack. source and bytes must outlive it. One user at a time; small (a
 * few KiB of caches), however large the pack is. PH_ERR_UNSUPPORTED when it is a map of another
 * version, hash or pack: do without it. PH_ERR_CORRUPT, PH_ERR_NOMEM, read errors.
 */
PH_MUST_CHECK PH_API enum ph_status ph_map_open(struct ph_map **out, const struct ph_source *source,
                                                uint32_t pack, const struct ph_bytes *bytes,
                                                const struct ph_alloc *alloc);
PH_API void ph_map_free(struct ph_map *map);

PH_API uint32_t ph_map_pack(const struct ph_map *map);
PH_API uint32_t ph_map_entries(const struct ph_map *map); /* of the pack: bits in a bitmap */
PH_API uint32_t ph_map_commits(const struct ph_map *map);

/* Words of a bitmap over the pack. */
static inline size_t ph_map_words(uint32_t entries)
{
	return (size_t)(entries / 64) + (entries % 64 != 0);
}

/* What the graph knows of a commit, without reading it. */
struct ph_map_commit {
	uint32_t pos;        /* of the commit */
	uint32_t tree;       /* pos of its root tree */
	uint32_t generation; /* 1 for a root; otherwise one more than the largest of its parents */
	uint64_t time;       /* committer's, as ph_commit_parse gives it */
	uint32_t parents;    /* how many */
	uint32_t parent[2];  /* pos of the first two */
	uint32_t more;       /* private: where further parents are */
	bool bitmap;         /* the map has one for it */
};

/* PH_ERR_NOT_FOUND when the entry at pos is not a commit. */
PH_MUST_CHECK PH_API enum ph_status ph_map_commit(struct ph_map *map, uint32_t pos,
                                                  struct ph_map_commit *out);
/* The pos of any parent, number from 0. */
PH_MUST_CHECK PH_API enum ph_status ph_map_parent(struct ph_map *map,
                                                  const struct ph_map_commit *commit,
                                                  uint32_t number, uint32_t *pos);

/*
 * All that can be reached from the commit at pos, itself included, is or-ed into words, which has
 * room for the whole pack. PH_ERR_NOT_FOUND when the map has no bitmap for it. *budget is spent by
 * what was decoded; one call decodes at most a few bitmaps of this pack, however large. After any
 * other error words may have some of the bits already.
 */
PH_MUST_CHECK PH_API enum ph_status ph_map_reach(struct ph_map *map, uint32_t pos, uint64_t *words,
                                                 uint32_t *budget);
/* Words first to first + count of the bitmap of all entries of a type, stored into words. */
PH_MUST_CHECK PH_API enum ph_status ph_map_type(struct ph_map *map, enum ph_object_type type,
                                                size_t first, size_t count, uint64_t *words);

/* The maps of a source, for walks: at most one a pack, others have none. The array and the maps
 * belong to the caller and outlive the walk. */
struct ph_maps {
	struct ph_map *const *maps;
	uint32_t count;
};

/*
 * Makes a map, in small steps: for a background job. tips are commits (or tags of commits) that
 * should get a bitmap if they lie in the pack, the values of refs first of all; the maker adds
 * commits along the history, so that a walk from anywhere soon meets one with a bitmap.
 *
 * Memory: a few bytes a commit, a few bitmaps, and a reader's cache; see ph_footprint_map.
 */
struct ph_map_maker;

struct ph_map_options {
	const struct ph_source *source;
	uint32_t pack;
	struct ph_sink *sink; /* empty; read back while it grows; the caller's, also on failure */
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
};

PH_MUST_CHECK PH_API enum ph_status ph_map_maker_new(struct ph_map_maker **out,
                                                     const struct ph_map_options *options);
PH_API void ph_map_maker_free(struct ph_map_maker *maker);
/* Ids that are not in the pack, or name no commit, are ignored. Beyond PH_MAP_TIPS_MAX too. */
PH_MUST_CHECK PH_API enum ph_status ph_map_maker_tip(struct ph_map_maker *maker,
                                                     const struct ph_oid *oid);
#define PH_MAP_TIPS_MAX 65536u
/*
 * PH_AGAIN; PH_OK when the section is written whole; PH_ERR_MISSING when the pack is not closed: it
 * can have no map; others as usual.
 */
PH_MUST_CHECK PH_API enum ph_status ph_map_maker_run(struct ph_map_maker *maker, uint32_t *budget);

#ifdef __cplusplus
}
#endif
#endif
