/* SPDX-License-Identifier: MIT */
/*
 * Sums of what the other files of libpack allocate at most, beside their code so that a change
 * there is a change here; tests measure that they hold. A growing array counts with its old self,
 * which is there until the new one has been filled: capacities double, so that is up to three times
 * what is in it.
 */
#include <packhorse/footprint.h>

#include "map_make_int.h"
#include "pack_in_int.h"
#include "pack_out_int.h"
#include "pack_join_int.h"
#include "reader_int.h"
#include "sparse_int.h"
#include "walk_run_int.h"

#define KIB ((uint64_t)1 << 10)
#define GROWN 3u
/* zlib's inflate: its state, and a window of 32 KiB; deflate: twice that, and tables. */
#define INFLATE_BYTES (48 * KIB)
#define DEFLATE_BYTES (288 * KIB)
/* Structs, small arrays, and what the allocator takes for itself. */
#define SMALL_BYTES (32 * KIB)
/* Commits that wait in a walk's queue beside its tips: merges at work. */
#define QUEUE_LEAST 256u
#define QUEUE_SHARE 64u
/* Of the objects of a history, those that are commits; most have fewer. A negotiation looks at few
 * of them unless what the client has is very old. */
#define COMMITS_SHARE 4u
#define CUT_COMMITS_MAX 32768u
/* A node of a cut, its slots in the table (two, of which half may be the old ones), a link or two
 * and the list of news. */
#define CUT_COMMIT_BYTES 96u

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The largest object that is reckoned with. */
static uint64_t object_bytes(const struct ph_limits *limits)
{
	uint64_t bytes = limits->metadata_bytes_max;

	if (bytes < limits->delta_resident_bytes_max)
		bytes = limits->delta_resident_bytes_max;
	return least(bytes, PH_FOOTPRINT_OBJECT_BYTES);
}

/* reader.c: a full cache with its table, a chain, and an object beside its base and its delta. */
static uint64_t reader_bytes(const struct ph_limits *limits, uint64_t objects)
{
	uint64_t cache = limits->delta_cache_bytes_max;

	return cache + cache / 4 + 3 * object_bytes(limits) + INFLATE_BYTES + SMALL_BYTES +
	       PH__READER_WINDOW_BYTES + PH__READER_DELTA_BYTES +
	       GROWN * ph__reader_chain_bytes(limits, objects);
}

static uint64_t queue_bytes(uint64_t objects, uint64_t tips)
{
	uint64_t commits = tips + QUEUE_LEAST + objects / QUEUE_SHARE;

	commits = least(commits, tips + objects);
	return GROWN * commits *
	       (sizeof(struct ph__queue_entry) + sizeof(struct ph__commit) + sizeof(uint32_t));
}

static uint64_t tips_bytes(uint64_t tips)
{
	return GROWN * tips * sizeof(struct ph_loc);
}

uint64_t ph_footprint_walk(const struct ph_limits *limits, uint64_t objects, uint64_t tips)
{
	uint64_t slots = least(objects * 2 + 64, ph__trees_slots_max(limits));
	/* One large tree whose entries are all trees: the list of those to read. */
	uint64_t trees = least(objects, object_bytes(limits) / 24);

	/* With maps: two sets, the tips twice, and what is put off. */
	uint64_t sets = 2 * (objects / 8) + tips_bytes(tips + PH__WALK_NOTED_MAX);

	return objects + slots * (sizeof(struct ph_oid) + 1) + reader_bytes(limits, objects) +
	       queue_bytes(objects, tips) + tips_bytes(tips + trees) + sets + SMALL_BYTES;
}

uint64_t ph_footprint_filter(const struct ph_limits *limits, uint64_t objects,
                             const struct ph_filter *filter)
{
	uint64_t trees = least(objects, object_bytes(limits) / 24);

	/* Names of those trees, too: not longer than the trees they are in. */
	return ph__walk_filter_bytes(filter, GROWN * trees) + GROWN * object_bytes(limits) / 4 +
	       ph__sparse_memory_max(PH_FILTER_SPARSE_BYTES_MAX) + PH_FILTER_SPARSE_BYTES_MAX;
}

uint64_t ph_footprint_pack_out(const struct ph_limits *limits, uint64_t objects)
{
	uint64_t segments = least(objects + 64, PH__OUT_SEGMENTS_MAX);

	/* Of a walk the states are left. */
	return objects + GROWN * segments * sizeof(struct ph__out_segment) + PH__OUT_WINDOW_BYTES +
	       DEFLATE_BYTES + SMALL_BYTES + reader_bytes(limits, objects);
}

uint64_t ph_footprint_cut(const struct ph_limits *limits, uint64_t objects, uint64_t tips)
{
	return reader_bytes(limits, objects) + queue_bytes(objects, tips) + tips_bytes(tips) +
	       GROWN * (least(objects / COMMITS_SHARE, CUT_COMMITS_MAX) + 64) * CUT_COMMIT_BYTES +
	       SMALL_BYTES;
}

uint64_t ph_footprint_depth(const struct ph_limits *limits, uint64_t objects, uint64_t tips)
{
	/* A level and the next, and the boundary that is found, are about as wide as the tips. */
	uint64_t width = least(tips * 4 + QUEUE_LEAST, tips + objects);

	return objects + reader_bytes(limits, objects) + 2 * tips_bytes(width) +
	       queue_bytes(objects, tips) + GROWN * width * sizeof(struct ph_oid) + SMALL_BYTES;
}

uint64_t ph_footprint_read(const struct ph_limits *limits, uint64_t objects)
{
	return reader_bytes(limits, objects);
}

uint64_t ph_footprint_deflate(void)
{
	return DEFLATE_BYTES;
}

uint64_t ph_footprint_map(const struct ph_limits *limits, uint64_t objects, uint64_t tips)
{
	uint64_t commits = objects / COMMITS_SHARE + 64;
	uint64_t bitmaps = least(tips + commits / MAP_CHOSEN_SHARE + 64, commits);
	uint64_t trees = least(objects, object_bytes(limits) / 24);
	/* Of a commit: where it is, in a list that grows; parents, generation, bitmap, order,
	 * owner. */
	uint64_t graph = commits * ((GROWN + 6) * sizeof(uint32_t));
	/* Commits on the way to a bitmap and trees to read, two numbers each; the way is short. */
	uint64_t way = least(commits, 16 * QUEUE_LEAST + commits / MAP_CHOSEN_SHARE);
	uint64_t lists = GROWN * 2 * sizeof(uint32_t) * (2 * way + trees);

	/* The tree that is read, and the one it is compared with. */
	return MAP_BITMAPS * (objects / 8 + sizeof(uint64_t)) + graph + lists +
	       bitmaps * sizeof(struct ph__map_stored) +
	       ph__map_known_slots(limits, objects) * sizeof(struct ph__map_slot) +
	       reader_bytes(limits, objects) + object_bytes(limits) + sizeof(struct ph_map_maker) +
	       SMALL_BYTES;
}

uint64_t ph_footprint_map_reader(void)
{
	return sizeof(struct ph_map);
}

/* What a lane of pack-in has beside its stack, its cache and its inflater. */
static uint64_t lane_bytes(const struct ph_limits *limits)
{
	uint64_t direct = least(limits->delta_resident_bytes_max, PH__IN_DIRECT_BYTES_MAX);

	/* A delta and a spare object, the direct way; what waits to be hashed goes over its bound
	 * by one object. */
	return 2 * direct + 2 * (uint64_t)PH__IN_WINDOW_BYTES + ph__in_batch_bytes(limits) +
	       least(PH__IN_BATCH_OBJECT_BYTES_MAX, ph__in_batch_bytes(limits)) +
	       2 * ph__in_batch_list_bytes() + 2 * ph__in_finds_bytes() +
	       sizeof(struct ph__links_buffer);
}

/* Of a pack that is closed there are no more than objects; their pieces are not full. */
uint64_t ph_footprint_links(uint64_t objects)
{
	return (objects + 4096) * (PH_OID_BYTES_MAX + 1 + 2 * sizeof(uint32_t)) + SMALL_BYTES;
}

uint64_t ph_footprint_pack_in_lanes(const struct ph_limits *limits, uint64_t objects,
                                    const struct ph_executor *executor)
{
	uint64_t depth = least(limits->delta_depth_max, objects + 1);

	/* The cache is the one of pack-in, in shares, and so are large objects, one at a time; a
	 * base beyond the share, and the object at work with its marks. */
	return ph__in_crew_width(executor, objects) *
	       (lane_bytes(limits) + INFLATE_BYTES + SMALL_BYTES +
	        3 * least(PH__IN_LARGE_BYTES, object_bytes(limits)) +
	        GROWN * (depth + 64) * sizeof(struct ph__in_frame));
}

uint64_t ph_footprint_pack_in(const struct ph_limits *limits, uint64_t objects)
{
	uint64_t object = object_bytes(limits);
	uint64_t depth = least(limits->delta_depth_max, objects + 1);
	/* The last piece of their tables is not full. */
	uint64_t entries = objects + PH__IN_PIECE_ENTRIES;
	/* While resolving, links and buckets, a power of two of these; then the order alone. */
	uint64_t links = entries * sizeof(struct ph__in_node) + 2 * sizeof(uint32_t) * objects;
	uint64_t order = sizeof(uint32_t) * objects + 65537 * sizeof(uint32_t);

	return entries * sizeof(struct ph_index_record) + (links > order ? links : order) +
	       lane_bytes(limits) + 4 * (uint64_t)PH__IN_WINDOW_BYTES + INFLATE_BYTES +
	       DEFLATE_BYTES + SMALL_BYTES + GROWN * (depth + 64) * sizeof(struct ph__in_frame) +
	       /* The cache, or the one object that goes beyond it; the object at work, and the one
	        * it is compared with. */
	       limits->delta_cache_bytes_max + 3 * object;
}

uint64_t ph_footprint_pack_join(const struct ph_limits *limits, uint64_t objects)
{
	uint64_t tables = 5 * sizeof(uint32_t) + sizeof(uint64_t) + sizeof(uint16_t);
	uint64_t packs = least(objects, PH_PACK_JOIN_MAX);

	return tables * (objects + 1) + ((uint64_t)limits->delta_depth_max + 1) * sizeof(uint32_t) +
	       packs * (sizeof(struct ph__join_pack) + PH__JOIN_ROWS * PH_OID_BYTES_MAX) +
	       2 * PH__JOIN_WINDOW_BYTES + DEFLATE_BYTES + SMALL_BYTES +
	       reader_bytes(limits, objects);
}
