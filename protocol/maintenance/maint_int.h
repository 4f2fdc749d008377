/* SPDX-License-Identifier: MIT */
/*
 * Maintenance while it runs: what its files share. maintenance.c is the session and its states,
 * maint_plan.c says what is due, maint_credit.c what that may cost, maint_reach.c finds what refs
 * reach, maint_join.c makes one pack out of several, maint_drop.c lets go of whole packs,
 * maint_note.c writes a pack's tips section, maint_map.c makes a map, maint_fulls.c full entries,
 * maint_log.c the ref of the push log.
 *
 *   LOOK REFS PLAN ADMIT then by the job
 *     SOME   JOIN_BEGIN JOIN NOTE_BEGIN NOTE COMMIT
 *     ALL    WANTS WALK JOIN_BEGIN JOIN NOTE_BEGIN NOTE MAP_BEGIN MAP_TIPS MAP COMMIT
 *     CHECK  TARGETS REACH_TIPS REACH, then as ALL when too much is unreachable, or as
 *     PACKS  WANTS WALK DROP COMMIT when all of some pack is
 *     MAP    MAP_BEGIN MAP_TIPS MAP COMMIT
 *     FULLS  FULLS_BEGIN FULLS_WALK FULLS COMMIT
 *     LOG    LOG_FIND LOG_WRITE LOG_END COMMIT
 *   and from the beginning, until nothing is due.
 */
#ifndef PACKHORSE_MAINT_INT_H
#define PACKHORSE_MAINT_INT_H

#include "admission_int.h"
#include "commit_int.h"
#include "oid_set_int.h"
#include "session_int.h"

#include <packhorse/fulls.h>
#include <packhorse/hash.h>
#include <packhorse/inflate.h>
#include <packhorse/maintenance.h>
#include <packhorse/map.h>
#include <packhorse/pack_in.h>
#include <packhorse/pack_join.h>
#include <packhorse/walk.h>

enum ph__maint_state {
	PH__MAINT_LOOK,
	PH__MAINT_REFS,
	PH__MAINT_PLAN,
	PH__MAINT_ADMIT,
	PH__MAINT_TARGETS,
	PH__MAINT_REACH_TIPS,
	PH__MAINT_REACH,
	PH__MAINT_WANTS,
	PH__MAINT_WALK,
	PH__MAINT_DROP,
	PH__MAINT_JOIN_BEGIN,
	PH__MAINT_JOIN,
	PH__MAINT_NOTE_BEGIN,
	PH__MAINT_NOTE,
	PH__MAINT_NOTE_END,
	PH__MAINT_MAP_BEGIN,
	PH__MAINT_MAP_TIPS,
	PH__MAINT_MAP,
	PH__MAINT_FULLS_BEGIN,
	PH__MAINT_FULLS_WALK,
	PH__MAINT_FULLS,
	PH__MAINT_LOG_FIND,
	PH__MAINT_LOG_WRITE,
	PH__MAINT_LOG_END,
	PH__MAINT_COMMIT,
	PH__MAINT_TRIM,
	PH__MAINT_DONE
};

enum ph__maint_job {
	PH__MAINT_NOTHING,
	PH__MAINT_SOME,       /* join the smallest packs */
	PH__MAINT_ALL,        /* join all, without what no ref reaches */
	PH__MAINT_CHECK,      /* the same, if that is much */
	PH__MAINT_PACKS,      /* let go of packs of which no ref reaches anything */
	PH__MAINT_MAP_ONLY,   /* make the map of the largest pack */
	PH__MAINT_FULLS_ONLY, /* make its full entries */
	PH__MAINT_NOTE_ONLY,  /* note that all of the only pack is reachable, as a check has seen */
	PH__MAINT_LOG         /* bring the ref of the push log up to date */
};

/* What is not to be tried again in this session. */
struct ph__maint_not {
	bool drop;  /* joining all without the unreachable */
	bool join;  /* joining some */
	bool check; /* it was found that little is unreachable */
	bool map;   /* there can be none, or it failed */
	bool fulls; /* the same */
	bool log;   /* it failed */
	bool room;  /* nothing that takes space: there is none left */
};

/* Packs that are joined, and what is made of them. */
struct ph__maint_join {
	uint32_t packs[PH_PACK_JOIN_MAX]; /* of the source, ascending */
	const struct ph_bytes *indexes[PH_PACK_JOIN_MAX];
	uint64_t ids[PH_PACK_JOIN_MAX];
	uint32_t count;
	struct ph_pack_join *join;
	struct ph_pack_join_stats stats;
	uint32_t pack; /* the transaction's number of the new one */
	struct ph_sink *index, *tips, *map;
};

/* The tips section of a joined pack. */
struct ph__maint_note {
	struct ph__oid_set tips;
	uint8_t *originals; /* by rank, a bit: not only a copy */
	uint32_t pack, pos; /* the input looked at */
	uint32_t copy;      /* next of its copies */
	uint32_t rank, copies;
	bool begun;
};

/* Commits of the push log's ref being made. */
struct ph__maint_log {
	char covered[64 + 1]; /* hash of the last record that has its commit, in hex; "" */
	uint64_t at, end;     /* records */
	uint32_t count;       /* of this job */
	struct ph_oid tip;    /* the last commit; zero: none */
	struct ph_pack_in *in;
	struct ph_pack_in_options options;
	struct ph_deflate *deflate;
	struct ph_hash hash; /* of the pack's bytes */
	uint32_t pack;
	struct ph_sink *tips;
};

struct ph__maint {
	struct ph_session session; /* first */
	char repo[PH_REPO_NAME_MAX + 1];
	enum ph__maint_state state;
	enum ph__maint_job job;
	struct ph__maint_not no;
	uint32_t rounds, tries, waits;
	uint64_t job_spent; /* the session's units when the job began */
	bool left;          /* something is due that could not be done now */

	struct ph__admission admission;
	uint64_t claim_bytes;
	struct ph_snapshot *snapshot;
	const struct ph_source *source;
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	uint32_t refs; /* that are no symrefs */
	uint64_t entries;
	uint32_t largest; /* pack */
	uint32_t cursor;

	struct ph_map *map; /* of the largest pack, or NULL */
	struct ph_maps maps;
	struct ph_reach *reach;
	struct ph_walk *walk;
	struct ph_txn *txn;
	struct ph__commit commit;
	struct ph__maint_join join;
	struct ph__maint_note note;
	struct ph_map_maker *maker;
	struct ph_fulls_maker *fulls;
	struct ph_sink *fulls_sink;
	uint64_t written; /* bytes of packs and sections in the transaction, as far as they are
	                     whole */
	struct ph__maint_log log;
	bool light, deferred; /* something is to be left for later, and was */
	bool mark_only;       /* the map's section only says that there can be none */
};

typedef enum ph_step ph__maint_function(struct ph__maint *maint, uint32_t *budget);

/* ---- maintenance.c ---- */

enum ph_step ph__maint_go(struct ph__maint *maint, enum ph__maint_state state);
/* Ends the session: one line in the log, status 1. */
enum ph_step ph__maint_fail(struct ph__maint *maint, enum ph_status status, const char *during);
/* Gives up what is under way and begins again with a look, at once. */
enum ph_step ph__maint_again(struct ph__maint *maint);
/* The same after a while, as others are in the way; a bounded number of times. */
enum ph_step ph__maint_later(struct ph__maint *maint, const char *why);
/* The next ref with a value: PH_OK with it in maint->ref, PH_END, or an error. */
enum ph_status ph__maint_ref(struct ph__maint *maint);
/* What the owner of the log reads of a job that is done. */
void ph__maint_say(struct ph__maint *maint, const char *format, ...) PH_PRINTF(2, 3);

/* ---- the others ---- */

void ph__maint_reach_release(struct ph__maint *maint);
void ph__maint_join_release(struct ph__maint *maint);
void ph__maint_note_release(struct ph__maint *maint);

ph__maint_function ph__maint_plan;
/* Whether what was pushed has earned that everything is written again. */
bool ph__maint_affordable(const struct ph__maint *maint);
/* Into the transaction: what its packs have cost. */
enum ph_status ph__maint_account(struct ph__maint *maint);
ph__maint_function ph__maint_targets, ph__maint_reach_tips, ph__maint_reach;
ph__maint_function ph__maint_wants, ph__maint_walk;
/* Whether there is a pack of which the walk selected nothing. */
bool ph__maint_drop_due(const struct ph__maint *maint);
ph__maint_function ph__maint_drop;
ph__maint_function ph__maint_join_begin, ph__maint_join_run;
ph__maint_function ph__maint_note_begin, ph__maint_note, ph__maint_note_end;
/* Whether the largest pack is to have full entries. */
bool ph__maint_fulls_due(const struct ph__maint *maint);
void ph__maint_fulls_release(struct ph__maint *maint);

ph__maint_function ph__maint_fulls_begin, ph__maint_fulls_walk, ph__maint_fulls;
/* Whether the ref of the push log is to be brought up to date. */
PH_MUST_CHECK enum ph_status ph__maint_log_due(struct ph__maint *maint, bool *due);
uint64_t ph__maint_log_reckon(const struct ph_limits *limits);
void ph__maint_log_release(struct ph__maint *maint);

ph__maint_function ph__maint_log_find, ph__maint_log_write, ph__maint_log_end;
ph__maint_function ph__maint_map_begin, ph__maint_map_tips, ph__maint_map;

#endif
