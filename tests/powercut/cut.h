/* SPDX-License-Identifier: MIT */
/*
 * The power-cut proof. A workload of real sessions runs on a simulated device that records what is
 * written; then the medium is built as a power cut may leave it, state after state, and each must
 * open, be clean, show what clients were told, whole, and take the next push.
 *
 *   cut_world.c      the store, the objects, and what clients were told
 *   cut_client.c     sessions as clients of it, one after the other or interleaved by a seed
 *   cut_workloads.c  what they do; cut_faults.c, cut_races.c: the same with errors, and in any
 * order cut_states.c     which states there are, by number cut_check.c      what must hold of one
 */
#ifndef PH_TEST_CUT_H
#define PH_TEST_CUT_H

#include "sim_device.h"
#include "support.h"

#include <packhorse/service.h>

#define CUT_NONE UINT32_MAX
#define CUT_FILES 3u
#define CUT_REF_BYTES 48u
#define CUT_CHANGES_MAX 64u
#define CUT_CLIENTS_MAX 8u

/* ---- the world ---- */

struct cut_commit {
	uint32_t commit, tree, blobs[CUT_FILES]; /* entries of world.all */
	uint32_t parent;                         /* a commit, or CUT_NONE */
};

/* What a store showed when its epoch had become this, and how much had happened then. */
struct cut_state {
	uint64_t hash;
	size_t event;
	bool verified; /* every object was read and hashed once */
};

/* A client was told that it is done, when so much had happened and the store showed that state. */
struct cut_ack {
	size_t event;
	uint32_t state;
};

/* What clients were told that a ref is. */
struct cut_ref {
	char repo[CUT_REF_BYTES], name[CUT_REF_BYTES];
	uint32_t commit;
};

struct cut_client;

struct cut_world {
	const char *where; /* workload, seed and trace: for messages */
	struct sim_device *sim, *start;
	struct ph_store_disk_options options;
	struct ph_limits limits;
	struct ph_service service; /* its store is the one that runs */
	struct ph_test_rng rng;
	uint64_t now_ms;
	bool live; /* what happens is noted: not while a state is tried */
	bool no_flush;

	struct ph_test_pack all;
	struct cut_commit *commits;
	uint32_t commit_count, commit_room;
	uint32_t next; /* the commit that the next push brings */

	struct cut_ref *refs;
	uint32_t ref_count, ref_room;
	struct cut_state *states;
	uint32_t state_count, state_room;
	struct cut_ack *acks;
	uint32_t ack_count, ack_room;
	uint64_t epoch;

	struct cut_client *clients[CUT_CLIENTS_MAX]; /* that run at the same time */
	uint32_t client_count;
	uint32_t depth; /* of runs within runs */
	uint32_t refused, granted;
};

/* Prints what is wrong with the workload itself, and ends the program. */
_Noreturn void cut_fail(const struct cut_world *w, const char *format, ...) PH_PRINTF(2, 3);
void *cut_room(void *list, uint32_t count, uint32_t *room, size_t each);

/* A blank device; cut_world_start formats and opens it, and begins to record. */
void cut_world_init(struct cut_world *w, const char *where, uint64_t seed, uint64_t bytes,
                    uint64_t bytes_max);
void cut_world_start(struct cut_world *w);
/* Only begins to record. */
void cut_world_record(struct cut_world *w);
/* Opens what is formatted, and notes it as the first state. */
void cut_world_open(struct cut_world *w);
/* Closes the store: what follows is only states. */
void cut_world_stop(struct cut_world *w);
void cut_world_release(struct cut_world *w);

/* A new commit that changes one file, of so many random bytes. */
uint32_t cut_commit(struct cut_world *w, uint32_t parent, uint32_t bytes);
uint32_t cut_ref(const struct cut_world *w, const char *repo, const char *name);
void cut_ref_set(struct cut_world *w, const char *repo, const char *name, uint32_t commit);
void cut_repo_gone(struct cut_world *w, const char *repo);
/* Sets marks (of world.all) of all that a commit reaches. */
void cut_mark(const struct cut_world *w, uint32_t commit, uint8_t *marks);

/* Notes the state that the store shows, when it is a new one. */
void cut_note(struct cut_world *w);
/* A client was told just now. */
void cut_acknowledge(struct cut_world *w);
/* Everything a store shows, as text. */
void cut_dump(struct ph_store *store, struct ph_test_buf *out);
uint64_t cut_hash(struct ph_store *store);
/* The store shows what clients were told, and all objects; else the program ends. */
void cut_expect(struct cut_world *w);
/* Reads and hashes all that refs reach: what is missing or wrong, or NULL. */
const char *cut_objects(struct cut_world *w, struct ph_store *store);

/* ---- clients ---- */

struct cut_change {
	char name[CUT_REF_BYTES];
	uint32_t old, new; /* commits, or CUT_NONE */
};

struct cut_client {
	struct ph_session *session;
	char repo[CUT_REF_BYTES];
	struct cut_change changes[CUT_CHANGES_MAX];
	uint32_t change_count;
	struct ph_test_buf request, out;
	size_t at, stop; /* of the request: given, and how much may be */
	bool ended, woken, running, told, done;
	uint32_t granted; /* changes it was told are done */
	int exit_status;
	/* See cut_races.c: it stands before a commit, which pass lets it do. */
	bool gated;
	uint32_t pass;
	ph_wake wake;
	void *wake_arg;
};

/* All or nothing. */
#define CUT_ATOMIC 1u

void cut_push_begin(struct cut_world *w, struct cut_client *c, const char *repo,
                    const struct cut_change *changes, uint32_t count, unsigned flags);
void cut_maintain_begin(struct cut_world *w, struct cut_client *c, const char *repo);
/* Runs a slice; whether anything happened. */
bool cut_client_step(struct cut_world *w, struct cut_client *c, uint32_t budget);
void cut_client_end(struct cut_client *c);
/* Runs clients that have begun to their ends, in an order that the seed decides. */
void cut_together(struct cut_world *w, struct cut_client *clients, uint32_t count);

/* One change, one session; whether it was granted. */
bool cut_push(struct cut_world *w, const char *repo, const char *name, uint32_t commit);
bool cut_push_many(struct cut_world *w, const char *repo, const struct cut_change *changes,
                   uint32_t count, unsigned flags);
/* Exit status; a session that stands still ends the program. */
int cut_maintain(struct cut_world *w, const char *repo);
/* Words between spaces; the exit status. */
int cut_admin(struct cut_world *w, const char *line);

/* ---- workloads ---- */

struct cut_workload {
	const char *name;
	uint32_t traces; /* 0: as many as there are states for */
	uint32_t weight; /* its share of states */
	/* Runs it from cut_world_init to cut_world_stop. */
	void (*run)(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace);
};

extern const struct cut_workload cut_workloads[];
extern const uint32_t cut_workload_count;

void cut_run_faults(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace);
void cut_run_races(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace);
#define CUT_FAULTS 600u
/* Ways to order 3 steps of a deletion, 4 of maintenance and 3 of a push. */
#define CUT_RACES 4200u

/* ---- states ---- */

struct cut_tally {
	uint64_t states, lost, unopened, corrupt, partly, next_failed, newest_lost;
};

struct cut_plan {
	const char *repeat; /* the command, up to the number of the state */
	uint32_t trace;
	uint64_t seed, states;
	bool only; /* just the state with the number from */
	uint64_t from;
	bool break_flush; /* flushes count for nothing: there must be losses */
};

/* Tries states of what w has recorded, and adds to tally. */
void cut_try_states(struct cut_world *w, const struct cut_plan *plan, struct cut_tally *tally);

/* One state: what the medium holds now, after a cut when so many events had happened. */
struct cut_verdict {
	bool unopened, corrupt, partly, next_failed;
	uint32_t lost; /* pushes that were acknowledged */
	uint32_t newest_lost;
	char why[256];
};
/* need: it must show this state or a later one. */
void cut_check(struct cut_world *w, struct sim_device *medium, size_t event, uint32_t need,
               uint64_t number, struct cut_verdict *verdict);

#endif
