/* SPDX-License-Identifier: MIT */
/*
 * A pack coming in (gitformat-pack), streaming. Entries are parsed, inflated and checked as they
 * arrive; what is not a delta is hashed at once; raw entry bytes go to the sink, without header and
 * trailer. When the trailer has been seen and is right, run resolves the deltas, completes a thin
 * pack by appending its bases, checks every object (fsck.h) and writes the index.
 *
 * It finds the end of the pack itself and never asks for a byte behind it. Sizes in headers are
 * believed only up to the limits. Memory: about 72 bytes an object, 30 more for each link where
 * links are wanted, and for each lane that resolves deltas (one, or as many as the executor has
 * threads) a few windows and its share of delta_cache_bytes_max; one object of at most
 * delta_resident_bytes_max twice at a time. Larger bases are inflated into the scratch sink and
 * copied from in windows. Commits, trees and tags, which are checked whole, are in memory up to
 * metadata_bytes_max. ph_footprint_pack_in_lanes has the sum.
 *
 * Refused: duplicate objects, an OFS_DELTA that does not start at an entry, chains over
 * delta_depth_max, an object that exists with other bytes, everything of fsck.h that is an error.
 */
#ifndef PACKHORSE_PACK_IN_H
#define PACKHORSE_PACK_IN_H

#include <packhorse/executor.h>
#include <packhorse/fsck.h>
#include <packhorse/pack_index.h>
#include <packhorse/unpack.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_pack_in;

struct ph_pack_in_options {
	enum ph_hash_algo algo;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	struct ph_sink *run;          /* takes the entries; empty */
	struct ph_sink *index;        /* takes the index; empty */
	struct ph_sink *scratch;      /* for large delta bases; empty */
	const struct ph_source *base; /* objects a thin pack may build on; NULL for none */
	void *user;
	/* Warnings of fsck, with the object they are about; may be NULL. */
	void (*warn)(void *user, const char *id, const struct ph_oid *oid);
	/*
	 * Deltas are resolved by several threads where there is one; NULL: by the caller of run.
	 * The run's sink is read from several threads then (source.h). wake is called, from any of
	 * them, when run, which had returned PH_PENDING, can go on.
	 */
	const struct ph_executor *executor;
	void *wake_user;
	void (*wake)(void *user);
	const struct ph_unpack *unpack; /* for what is at hand as a whole; may be NULL */
	/* What fsck finds, and how bad that is; NULL: its defaults. */
	const struct ph_fsck_rules *rules;
	/* Objects are not checked by fsck (receive.fsckObjects=false). */
	bool unchecked;
	/*
	 * Links between objects are followed while their content is at hand, to tell at the end
	 * whether the pack is closed (ph_pack_in_closed). Costs some memory an object.
	 */
	bool links;
	uint64_t seed; /* for links: a number that a peer cannot know */
};

struct ph_pack_in_stats {
	uint32_t announced;   /* objects, from the header */
	uint32_t received;    /* entries seen so far */
	uint32_t deltas;      /* of them deltas */
	uint32_t resolved;    /* deltas resolved so far */
	uint32_t bases_added; /* objects appended to complete a thin pack */
	uint64_t bytes;       /* of the pack, as received */
};

/* All of options must outlive it. PH_ERR_NOMEM. */
PH_MUST_CHECK PH_API enum ph_status ph_pack_in_new(struct ph_pack_in **out,
                                                   const struct ph_pack_in_options *options);
PH_API void ph_pack_in_free(struct ph_pack_in *in);
/*
 * Takes bytes of the pack; *used says how many (also on error).
 *   PH_OK     all taken: give more
 *   PH_AGAIN  budget spent, *used may be less than len
 *   PH_END    the trailer was the last byte taken and is right: call run
 *   errors    PH_ERR_INVALID, _ZLIB, _CHECKSUM, _LIMIT, _FSCK, _NOMEM, or the sink's: final
 */
PH_MUST_CHECK PH_API enum ph_status ph_pack_in_write(struct ph_pack_in *in, const uint8_t *data,
                                                     size_t len, size_t *used, uint32_t *budget);
/*
 * Resolves and indexes. PH_AGAIN, PH_PENDING (other threads are at work: wake tells when to go on),
 * PH_OK when the pack is whole and indexed (a pack of 0 objects has an empty run and a valid index
 * of no entries), or an error: PH_ERR_MISSING_BASE, _DELTA, _FSCK, _INVALID, _LIMIT, ..., which is
 * final.
 */
PH_MUST_CHECK PH_API enum ph_status ph_pack_in_run(struct ph_pack_in *in, uint32_t *budget);
/*
 * After PH_OK of run, with options->links: whether all that any object of the pack refers to
 * (trees, parents, entries but submodules, what tags name) is in the pack itself. Then whatever is
 * in the pack is connected, and no walk is needed to prove it. False also where it was not looked
 * into.
 */
PH_API bool ph_pack_in_closed(const struct ph_pack_in *in);
/*
 * The objects of a closed pack that no other of its objects refers to: all others can be reached
 * from these. NULL where that is not known. They live with the pack-in.
 */
PH_API const struct ph_oid *ph_pack_in_heads(const struct ph_pack_in *in, uint32_t *count);
PH_API const struct ph_pack_in_stats *ph_pack_in_stats(const struct ph_pack_in *in);
/* What failed, after an error. */
PH_API const struct ph_error *ph_pack_in_error(const struct ph_pack_in *in);

#ifdef __cplusplus
}
#endif
#endif
