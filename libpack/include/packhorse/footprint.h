/* SPDX-License-Identifier: MIT */
/*
 * What the parts of libpack take of memory at most, for who admits work by a budget (memory.h). All
 * follow from the limits and from the number of objects: caches are full, and the object at hand,
 * its base and its delta are as large as they may be.
 *
 * Left out is what only a peer of bad will brings about: an object that is sent again as a whole
 * and larger than the limits below (a blob), and a history whose commits hardly hold anything else.
 * There, memory may end sooner than the sum says, which is an error like any other.
 */
#ifndef PACKHORSE_FOOTPRINT_H
#define PACKHORSE_FOOTPRINT_H

#include <packhorse/executor.h>
#include <packhorse/filter.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Commits, trees and delta bases above this size are too rare to be reckoned with where the limits
 * allow them at all; on a machine with little memory they do not.
 */
#define PH_FOOTPRINT_OBJECT_BYTES ((uint64_t)4 << 20)

/* A walk over so many objects (ph_walk, ph_reach) from so many tips, while it runs. */
PH_API uint64_t ph_footprint_walk(const struct ph_limits *limits, uint64_t objects, uint64_t tips);
/* What a filter adds to a walk. */
PH_API uint64_t ph_footprint_filter(const struct ph_limits *limits, uint64_t objects,
                                    const struct ph_filter *filter);
/* A pack going out, with the result of its walk. */
PH_API uint64_t ph_footprint_pack_out(const struct ph_limits *limits, uint64_t objects);
/* A negotiation (ph_cut). */
PH_API uint64_t ph_footprint_cut(const struct ph_limits *limits, uint64_t objects, uint64_t tips);
/* A depth (ph_depth). */
PH_API uint64_t ph_footprint_depth(const struct ph_limits *limits, uint64_t objects, uint64_t tips);
/* Objects read one by one (ph_reader) in a repository of so many. */
PH_API uint64_t ph_footprint_read(const struct ph_limits *limits, uint64_t objects);
/* One ph_deflate. */
PH_API uint64_t ph_footprint_deflate(void);
/* Making the map of a pack of so many objects, with so many tips (ph_map_maker). */
PH_API uint64_t ph_footprint_map(const struct ph_limits *limits, uint64_t objects, uint64_t tips);
/* A map that is open (ph_map), of whatever pack. */
PH_API uint64_t ph_footprint_map_reader(void);
/* A pack coming in that announces so many objects. */
PH_API uint64_t ph_footprint_pack_in(const struct ph_limits *limits, uint64_t objects);
/* What is added when it gathers links. */
PH_API uint64_t ph_footprint_links(uint64_t objects);
/* What is added when threads of an executor help; NULL: nothing. */
PH_API uint64_t ph_footprint_pack_in_lanes(const struct ph_limits *limits, uint64_t objects,
                                           const struct ph_executor *executor);
/* Packs of so many objects in all being joined, the walk that selected them apart. */
PH_API uint64_t ph_footprint_pack_join(const struct ph_limits *limits, uint64_t objects);

#ifdef __cplusplus
}
#endif
#endif
