/* SPDX-License-Identifier: MIT */
/* Shared by the tests of pack-in: one intake with its sinks, ways to feed it, and what to expect.
 */
#ifndef PACK_IN_UTIL_H
#define PACK_IN_UTIL_H

#include "support.h"

#include <packhorse/pack_in.h>

struct intake {
	struct ph_pack_in_options options;
	struct ph_limits limits;
	struct ph_test_sink run, index, scratch;
	struct ph_pack_in *in;
	/* The outcome; stats and error are copies. */
	enum ph_status status;
	size_t used;
	struct ph_pack_in_stats stats;
	struct ph_error error;
	unsigned warnings;
	char last_warning[64];
	struct ph_hash told; /* of all warnings, in their order */
	/* What is done while run is pending; called once for each time. */
	void *pending_user;
	void (*pending)(void *user);
};

/* How to feed: pieces of at most piece bytes (0: all at once), random when rng is set. */
struct feeding {
	size_t piece;
	struct ph_test_rng *rng;
	uint32_t budget; /* of every call; 0: as much as it takes */
};

void intake_init(struct intake *intake, enum ph_hash_algo algo, const struct ph_alloc *alloc,
                 const struct ph_source *base);
void intake_release(struct intake *intake);
/* Feeds all of it and runs; the outcome is in intake, and returned. PH_AGAIN: more is wanted. */
enum ph_status intake_feed(struct intake *intake, const uint8_t *data, size_t len,
                           const struct feeding *feeding);
/* The same in one go with default limits, for packs that need nothing special. */
enum ph_status intake_file(struct intake *intake, const struct ph_test_buf *file);

/* Run and index are those of the pack, byte for byte. */
void expect_pack(const struct intake *intake, const struct ph_test_pack *pack);
/*
 * Feeds the pack with default limits and no base, expects this status, and releases everything. The
 * pack goes out through a builder's header and trailer.
 */
void expect_status(const struct ph_test_pack *pack, enum ph_status status);
void expect_file_status(enum ph_hash_algo algo, const struct ph_test_buf *file,
                        enum ph_status status);

/* A blob of text that depends on a number. */
void add_text_blob(struct ph_test_pack *pack, uint32_t number, size_t size);
/*
 * A pack with everything: all types, chains of both kinds of delta, REF_DELTAs before their bases,
 * empty objects, and a blob larger than any window.
 */
void build_mixed(struct ph_test_pack *pack, enum ph_hash_algo algo, uint64_t seed);

#endif
