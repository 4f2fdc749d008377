/* SPDX-License-Identifier: MIT */
/*
 * packhorse import: what its files share. A source (git_folder.h, git_bundle.c) says which refs
 * there are and gives packs as streams; both go into one transaction (import.c), the refs are
 * proven to reach only what is there (import_prove.c) and staged (import_refs.c), and one commit
 * makes all of it visible. Whatever fails before that leaves the store as it was.
 */
#ifndef PACKHORSE_IMPORT_H
#define PACKHORSE_IMPORT_H

#include "progress.h"
#include "tools_int.h"
#include <dirent.h>
#include <packhorse/config.h>
#include <packhorse/pack_in.h>

/* Bytes of the words that say what is wrong: two paths fit. */
#define PH_IMPORT_WHY_BYTES 8448u

struct ph_import_ref {
	char *name;
	char *target; /* NULL when it is not a symref */
	struct ph_oid oid, peeled;
	struct ph_oid old; /* the repository's own, where it has another */
	bool skip;         /* the repository has it already */
	bool moves;        /* from old: it may move forward only */
	bool proven;       /* all it reaches is known to be there */
	uint32_t order, change;
};

struct ph_import_refs {
	struct ph_import_ref *items;
	uint32_t count, size;
};

struct ph_import_waiter; /* import.c: wakes this thread when others are done */

struct ph_import {
	struct ph_image image;
	const char *repo, *from;
	bool quiet, json, force;

	/* What the source says. */
	enum ph_hash_algo algo;
	struct ph_import_refs refs;
	char *head;             /* the branch that HEAD names; NULL: it names none */
	struct ph_oid detached; /* what HEAD is when it names none; zero: nothing */
	struct ph_oid *shallow;
	uint32_t shallows;
	bool partial; /* objects may be missing on purpose */

	/* What becomes of it. */
	struct ph_snapshot *base; /* NULL: the repository is created */
	struct ph_txn *txn;
	struct ph_config config;
	bool configured;
	struct ph_fsck_rules fsck;
	struct ph_oid *fsck_skips;
	struct ph_worker_pool *pool;
	struct ph_import_waiter *waiter;
	struct ph_pack_in *pack_in; /* the pack that is being taken */
	struct ph_pack_in_options pack_options;
	uint32_t pack;
	bool closed; /* the repository's first pack is all there was, and is whole */
	uint32_t packs, warnings, changed, conflicts;
	uint64_t objects, bytes; /* taken in all packs */

	struct ph_progress progress;
	bool interrupted;
	char why[PH_IMPORT_WHY_BYTES]; /* in words; "": the status says it */
};

/* ---- import.c ---- */

/* Says why, and returns status. The first words stay. */
enum ph_status ph__import_fail(struct ph_import *import, enum ph_status status, const char *format,
                               ...) PH_PRINTF(3, 4);
/* Whether somebody wants it to end: sets interrupted. */
bool ph__import_stops(struct ph_import *import);
/* Opens the transaction, for import->algo. */
enum ph_status ph__import_begin(struct ph_import *import);
/*
 * A pack: begin, write what there is of it, end when write said PH_END. name is for people. After
 * an error nothing but release may follow.
 */
enum ph_status ph__import_pack_begin(struct ph_import *import, const char *title);
enum ph_status ph__import_pack_write(struct ph_import *import, const uint8_t *data, size_t len,
                                     size_t *used, const char *name);
enum ph_status ph__import_pack_end(struct ph_import *import, const char *name);
enum ph_status ph__import_commit(struct ph_import *import);
/* Ends whatever was begun, and frees all but the image. */
void ph__import_release(struct ph_import *import);

/* ---- import_refs.c ---- */

/* Adds a ref; one whose name cannot be had is left out, and that is said. target or oid. */
enum ph_status ph__import_ref(struct ph_import *import, const char *name, const char *target,
                              const struct ph_oid *oid);
enum ph_status ph__import_shallow(struct ph_import *import, const struct ph_oid *oid);
/* Sorts; of two with one name the first counts. Then compares them with what the repository has. */
enum ph_status ph__import_refs_sort(struct ph_import *import);
enum ph_status ph__import_refs_compare(struct ph_import *import);
/* Counts and names a ref that is in the way; then, whether any was. */
void ph__import_conflict(struct ph_import *import, const char *name);
enum ph_status ph__import_conflicts(struct ph_import *import);
/* Puts them into the transaction, with HEAD, the shallow boundary and a record of the log. */
enum ph_status ph__import_refs_stage(struct ph_import *import);

/* ---- import_prove.c ---- */

/* All that the refs reach is there; tags get their peeled values, branches name commits. */
enum ph_status ph__import_prove(struct ph_import *import);

/* ---- import_forward.c ---- */

/* Refs that move lose nothing: what the repository has can be reached from what they become. */
enum ph_status ph__import_forward(struct ph_import *import);

/* ---- the sources: PH_OK when the transaction has all their packs ---- */

/* A repository of git's: bare, or the .git of a worktree, or the worktree. */
enum ph_status ph__import_folder(struct ph_import *import);
/* A bundle, from where the descriptor stands; it may be a pipe. */
enum ph_status ph__import_bundle(struct ph_import *import, int fd);

/* ---- import_loose.c ---- */

/* Objects of these folders that no pack of the transaction has, as one more pack. */
enum ph_status ph__import_loose(struct ph_import *import, char *const *folders, uint32_t count);

/* ---- git_refs.c ---- */

/* The refs of a repository's common folder, and HEAD of its own one. */
enum ph_status ph__git_refs(struct ph_import *import, const char *common, const char *own);

/* ---- git_config.c ---- */

/* The object format; what this program cannot read is refused. */
enum ph_status ph__git_config(struct ph_import *import, const char *common);

/* ---- import_path.c ---- */

#define PH_PATH_BYTES 4096u

/* folder/name; PH_ERR_LIMIT, with words, when that is too long. */
enum ph_status ph__import_path(struct ph_import *import, char out[PH_PATH_BYTES],
                               const char *folder, const char *name);
/* Opens folder/name, whose path is in path then; NULL in *dir when there is none. closedir it. */
enum ph_status ph__import_open(struct ph_import *import, char path[PH_PATH_BYTES],
                               const char *folder, const char *name, DIR **dir);
/* The next name in it; NULL behind the last, or with *status when it cannot be read. */
const char *ph__import_next(struct ph_import *import, const char *path, DIR *dir,
                            enum ph_status *status);
/* What errno says of a path. */
enum ph_status ph__import_errno(struct ph_import *import, const char *path);
/*
 * A small text file; NULL in *out when there is none. free it. What follows its last line that is
 * not blank is cut.
 */
enum ph_status ph__import_text(struct ph_import *import, const char *path, char **out);
/* A growing list of texts, each malloc'ed, as the list is. */
struct ph_texts {
	char **items;
	uint32_t count, size;
};
enum ph_status ph__texts_add(struct ph_texts *texts, const char *text);
void ph__texts_free(struct ph_texts *texts);

#endif
