/* SPDX-License-Identifier: MIT */
/*
 * A repository that is pushed to, over a store in memory or on a simulated disk, with a model of
 * its history beside it: so that what refs reach is known without asking the code under test.
 */
#ifndef PH_MAINTAIN_WORLD_H
#define PH_MAINTAIN_WORLD_H

#include "push_support.h"
#include "sim_device.h"

#include <packhorse/maintenance.h>

#define WORLD_REPO "r"
#define WORLD_FILES 3u
#define WORLD_COMMITS_MAX 400u
#define WORLD_BLOB_MAX 32768u
#define WORLD_BRANCHES 5u
#define WORLD_NONE UINT32_MAX

struct world_commit {
	uint32_t commit, tree, blobs[WORLD_FILES]; /* entries of fixture.all */
	uint32_t parent;                           /* commit, or WORLD_NONE */
};

struct world {
	struct fixture f;
	struct sim_device *sim; /* NULL: in memory */
	struct ph_store_disk_options disk;
	struct ph_test_rng rng;
	struct world_commit commits[WORLD_COMMITS_MAX];
	uint32_t count;
	uint32_t branches[WORLD_BRANCHES]; /* commits, or WORLD_NONE */
	enum ph_maintenance_extent extent; /* whole, or what a test sets */
	uint64_t pushed;                   /* bytes of all requests */
	size_t blob_bytes;                 /* of a file: 600, or what a test sets before a commit */
};

/* disk_bytes 0: in memory. */
void world_init(struct world *w, uint64_t seed, uint64_t disk_bytes);
void world_release(struct world *w);
/* Closes and opens the store on the simulated disk. */
void world_reopen(struct world *w);

/* A new commit on parent (or WORLD_NONE), which changes one file of it. */
uint32_t world_commit(struct world *w, uint32_t parent);
/* The request that sets a branch, with a pack of what the server's refs do not reach. */
void world_request(struct world *w, uint32_t branch, uint32_t commit, struct ph_test_buf *out);
/* Pushes it, and asserts that it was taken. commit WORLD_NONE deletes. */
void world_push(struct world *w, uint32_t branch, uint32_t commit);
/* A push that stands still with its transaction open; finish asserts that it is taken. */
struct ph_session *world_push_begin(struct world *w, uint32_t branch, uint32_t commit,
                                    struct ph_test_buf *rest);
void world_push_finish(struct world *w, struct ph_session *session, struct ph_test_buf *rest,
                       uint32_t branch, uint32_t commit);

/* Whether a branch reaches an entry of fixture.all. */
bool world_reaches(const struct world *w, uint32_t entry);
/* Everything that is stored is whole, and everything that a branch reaches is stored. */
void world_check(struct world *w);
/* Packs, and entries in them. */
uint32_t world_packs(struct world *w, uint32_t *entries);
/* Whether the object is stored at all. */
bool world_has(struct world *w, uint32_t entry);

/*
 * Runs maintenance, at most so many slices of random size, and returns its exit status, or -1 when
 * it was cut off, or -2 when it could not begin.
 */
int world_maintain(struct world *w, uint32_t slices);

#endif
