/* SPDX-License-Identifier: MIT */
/*
 * The contract of a store: immutable packs plus atomic transactions. store/conformance/ is one
 * suite that every store passes; protocol/ knows stores by this header alone.
 *
 *  store        holds repositories by name. Thread-safe when it was opened with a ph_sync.
 *  snapshot     an immutable, reference-counted view of one repository. Shared by threads. Writers
 *               never block it, and what it shows stays readable until it is released.
 *  transaction  starts from a snapshot (or creates a repository), streams packs in, and carries the
 *               changes of refs with the old values they expect. Nobody else sees anything of it
 *               before commit: that is the quarantine. One user at a time.
 *
 * A snapshot's and a transaction's packs form a ph_source. What a transaction's base snapshot can
 * see stays in the repository until the transaction ends, also for later readers: a replacement
 * that drops objects waits for it (PH_ERR_BUSY). So a push may rest its proof of connectivity on
 * its base.
 *
 * Names of repositories are bytes, looked up in a table, never joined to a path; see
 * ph_repo_name_check. Names of refs are checked by protocol/refname.h before they get here.
 *
 * The functions below are the interface; each calls the operation of the same name, which is what
 * an implementation provides.
 */
#ifndef PACKHORSE_STORE_H
#define PACKHORSE_STORE_H

#include <packhorse/pack_index.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_REF_NAME_MAX 1024u  /* bytes; ph_limits.ref_name_bytes_max may be lower */
#define PH_REPO_NAME_MAX 255u  /* bytes */
#define PH_SETTING_KEY_MAX 64u /* bytes */
#define PH_SETTING_BYTES_MAX 65536u
/* The store's setting that has the private host key, in OpenSSH's format. */
#define PH_SETTING_HOST_KEY "host-key"

/*
 * A ref. A symref (HEAD, or refs/... that names another) has a target and no id. peeled is what an
 * annotated tag finally names, kept so that advertising reads no object; zero when the ref is none.
 */
struct ph_ref {
	char name[PH_REF_NAME_MAX + 1];
	char target[PH_REF_NAME_MAX + 1]; /* "" when it is not a symref */
	struct ph_oid oid;                /* zero for a symref */
	struct ph_oid peeled;
};

/* Sections of a pack. Types from PH_SECTION_AUX on are auxiliary: typed, optional, rebuildable. */
enum ph_section {
	PH_SECTION_RUN = 1,     /* the entries */
	PH_SECTION_INDEX = 2,   /* pack_index.h */
	PH_SECTION_SCRATCH = 3, /* gone when the pack ends */
	PH_SECTION_AUX = 16,
	PH_SECTION_MAX = 31
};

struct ph_store;
struct ph_snapshot;
struct ph_ref_iter;
struct ph_txn;
struct ph_copy;
struct ph_copy_options;
struct ph_scrub;
struct ph_scrub_options;

/* Called once, from any thread, when what answered PH_PENDING can go on. Must not block. */
typedef void (*ph_wake)(void *arg);

struct ph_store_ops {
	void (*close)(struct ph_store *store);
	enum ph_status (*next_repo)(struct ph_store *store, const char *after, char *out);
	enum ph_status (*snapshot)(struct ph_store *store, const char *name,
	                           struct ph_snapshot **out);
	enum ph_status (*begin)(struct ph_store *store, struct ph_snapshot *base,
	                        struct ph_txn **out);
	enum ph_status (*create)(struct ph_store *store, const char *name, enum ph_hash_algo algo,
	                         struct ph_txn **out);
	enum ph_status (*setting_get)(struct ph_store *store, const char *key, void *buf,
	                              size_t *len);
	enum ph_status (*setting_set)(struct ph_store *store, const char *key, const void *data,
	                              size_t len);
	enum ph_status (*setting_swap)(struct ph_store *store, const char *key, const void *old,
	                               size_t old_len, const void *data, size_t len);
	uint64_t (*space)(struct ph_store *store); /* NULL: it knows no bound */
	/* scrub.h. NULL: nothing can rot. */
	enum ph_status (*scrub)(struct ph_store *store, const struct ph_scrub_options *options,
	                        struct ph_scrub **out);
	/* NULL: every repository can be opened. */
	enum ph_status (*remove)(struct ph_store *store, const char *name, struct ph_txn **out);
	enum ph_status (*trim)(struct ph_store *store, uint64_t bytes_max); /* NULL: nothing to */
	/* NULL: there is nothing that a copy of could be opened. */
	enum ph_status (*copy)(struct ph_store *store, const struct ph_copy_options *options,
	                       struct ph_copy **out);
};

struct ph_store {
	const struct ph_store_ops *ops;
	bool durable; /* a commit outlives the process */
};

struct ph_snapshot_ops {
	void (*retain)(struct ph_snapshot *snapshot);
	void (*release)(struct ph_snapshot *snapshot);
	enum ph_status (*ref)(struct ph_snapshot *snapshot, const char *name, struct ph_ref *out);
	enum ph_status (*refs)(struct ph_snapshot *snapshot, const char *from,
	                       struct ph_ref_iter **out);
	const struct ph_source *(*source)(struct ph_snapshot *snapshot);
	uint64_t (*pack_id)(struct ph_snapshot *snapshot, uint32_t pack);
	const struct ph_bytes *(*section)(struct ph_snapshot *snapshot, uint32_t pack,
	                                  uint32_t section);
	uint32_t (*shallow)(struct ph_snapshot *snapshot, const struct ph_oid **out);
	enum ph_status (*setting)(struct ph_snapshot *snapshot, const char *key, void *buf,
	                          size_t *len);
	uint64_t (*log_count)(struct ph_snapshot *snapshot);
	enum ph_status (*log_read)(struct ph_snapshot *snapshot, uint64_t number, void *buf,
	                           size_t *len);
};

struct ph_snapshot {
	const struct ph_snapshot_ops *ops;
	struct ph_store *store;
	enum ph_hash_algo algo;
	uint64_t generation; /* another one after every commit to this repository */
	const char *name;    /* NUL-terminated, lives as long as the snapshot */
};

struct ph_ref_iter_ops {
	enum ph_status (*next)(struct ph_ref_iter *iter, struct ph_ref *out);
	void (*free)(struct ph_ref_iter *iter);
};

struct ph_ref_iter {
	const struct ph_ref_iter_ops *ops;
};

struct ph_txn_ops {
	void (*free)(struct ph_txn *txn);
	enum ph_status (*pack_begin)(struct ph_txn *txn, uint32_t *pack);
	enum ph_status (*sink)(struct ph_txn *txn, uint32_t pack, uint32_t section,
	                       struct ph_sink **out);
	enum ph_status (*pack_end)(struct ph_txn *txn, uint32_t pack);
	void (*pack_drop)(struct ph_txn *txn, uint32_t pack);
	const struct ph_source *(*source)(struct ph_txn *txn);
	enum ph_status (*ref_update)(struct ph_txn *txn, const char *name, const struct ph_oid *old,
	                             const struct ph_oid *new_oid, const struct ph_oid *peeled,
	                             uint32_t *change);
	enum ph_status (*symref_update)(struct ph_txn *txn, const char *name, const char *old,
	                                const char *target, uint32_t *change);
	enum ph_status (*attach)(struct ph_txn *txn, uint64_t pack_id, uint32_t section,
	                         struct ph_sink **out);
	enum ph_status (*replace)(struct ph_txn *txn, const uint64_t *pack_ids, size_t count,
	                          bool drops_objects);
	enum ph_status (*set_shallow)(struct ph_txn *txn, const struct ph_oid *oids, size_t count);
	enum ph_status (*set_setting)(struct ph_txn *txn, const char *key, const void *data,
	                              size_t len);
	enum ph_status (*log)(struct ph_txn *txn, const void *data, size_t len);
	enum ph_status (*delete_repo)(struct ph_txn *txn);
	enum ph_status (*prepare)(struct ph_txn *txn);
	enum ph_status (*verdict)(const struct ph_txn *txn, uint32_t change);
	void (*drop)(struct ph_txn *txn, uint32_t change);
	enum ph_status (*commit)(struct ph_txn *txn, ph_wake wake, void *arg);
};

/* What a copy is to leave out, and what it says. Lives as long as the copy. */
struct ph_copy_options {
	/* Whether damage ends the copy, or it goes on and damage is reported and counted. */
	bool keep_going;
	void *user;
	/*
	 * Looks at a setting of a repository, or with repo "" of the store. It may make it shorter,
	 * or with PH_ERR_NOT_FOUND leave it out. It is asked more than once for each setting and
	 * must say the same each time. NULL: all stay as they are.
	 */
	enum ph_status (*setting)(void *user, const char *repo, const char *key, void *data,
	                          size_t *len);
	/* A line on what is damaged. May be NULL. */
	void (*report)(void *user, const char *line);
};

struct ph_copy_ops {
	enum ph_status (*read)(struct ph_copy *copy, void *buf, size_t room, size_t *len);
	void (*free)(struct ph_copy *copy);
};

struct ph_copy {
	const struct ph_copy_ops *ops;
	uint64_t bytes;   /* of the whole; 0 until that is known */
	uint64_t done;    /* of them read */
	uint64_t damaged; /* findings so far */
};

struct ph_txn {
	const struct ph_txn_ops *ops;
	struct ph_store *store;
	struct ph_snapshot *base; /* NULL when it creates the repository */
	enum ph_hash_algo algo;
	/* The caller's to set before commit: PH_ERR_LIMIT when the entries of all packs of the
	 * repository would take more bytes, whoever else commits meanwhile. 0: no bound. */
	uint64_t bytes_max;
	/* The caller's to set before it asks for sinks: maintenance, which gives back more than it
	 * takes, may use a part of the space that is kept back from pushes. */
	bool upkeep;
};

/* ---- store ---- */

/* All snapshots and transactions must be gone. Committed work is safe already. NULL is fine. */
static inline void ph_store_close(struct ph_store *store)
{
	if (store)
		store->ops->close(store);
}

/*
 * The repository whose name follows after ("" for the first) in byte order. out has
 * PH_REPO_NAME_MAX + 1 bytes. PH_END behind the last.
 */
static inline enum ph_status ph_store_next_repo(struct ph_store *store, const char *after,
                                                char *out)
{
	return store->ops->next_repo(store, after, out);
}

/* The repository as of now. Release it. PH_ERR_NOT_FOUND leaves nothing behind. */
static inline enum ph_status ph_store_snapshot(struct ph_store *store, const char *name,
                                               struct ph_snapshot **out)
{
	return store->ops->snapshot(store, name, out);
}

/*
 * A transaction over base, which it retains. PH_ERR_READ_ONLY, PH_ERR_NOMEM; PH_ERR_CONFLICT when a
 * replacement has dropped objects since base was taken: take a new snapshot.
 */
static inline enum ph_status ph_store_begin(struct ph_store *store, struct ph_snapshot *base,
                                            struct ph_txn **out)
{
	return store->ops->begin(store, base, out);
}

/*
 * A transaction that creates a repository, with HEAD a symref to refs/heads/main unless it changes
 * that. PH_ERR_EXISTS when the name is taken (the same may come from commit), PH_ERR_INVALID when
 * it is no name, PH_ERR_LIMIT when there are repos_max.
 */
static inline enum ph_status ph_store_create(struct ph_store *store, const char *name,
                                             enum ph_hash_algo algo, struct ph_txn **out)
{
	return store->ops->create(store, name, algo, out);
}

/*
 * A transaction that deletes a repository by name, for one that is too damaged to be opened: what
 * of it can be read is freed. It is committed as it is and takes nothing else. PH_ERR_NOT_FOUND;
 * PH_ERR_EXISTS when it can be opened: then delete it as others are.
 */
static inline enum ph_status ph_store_remove(struct ph_store *store, const char *name,
                                             struct ph_txn **out)
{
	return store->ops->remove ? store->ops->remove(store, name, out) : PH_ERR_UNSUPPORTED;
}

/*
 * Settings of the store itself, such as the host key. get: *len is the room in buf, and then the
 * length; PH_ERR_NOT_FOUND, PH_ERR_LIMIT when it does not fit. set: durable when it returns; NULL
 * data deletes.
 */
static inline enum ph_status ph_store_setting_get(struct ph_store *store, const char *key,
                                                  void *buf, size_t *len)
{
	return store->ops->setting_get(store, key, buf, len);
}

static inline enum ph_status ph_store_setting_set(struct ph_store *store, const char *key,
                                                  const void *data, size_t len)
{
	return store->ops->setting_set(store, key, data, len);
}

/*
 * The same, when the setting has the value old (NULL: when it is not there); PH_ERR_CONFLICT
 * otherwise. For who changes a part of what was read.
 */
static inline enum ph_status ph_store_setting_swap(struct ph_store *store, const char *key,
                                                   const void *old, size_t old_len,
                                                   const void *data, size_t len)
{
	return store->ops->setting_swap(store, key, old, old_len, data, len);
}

/* Bytes that can still be stored, about; UINT64_MAX where the store knows no bound. */
static inline uint64_t ph_store_space(struct ph_store *store)
{
	return store->ops->space ? store->ops->space(store) : UINT64_MAX;
}

/*
 * Gives space that is free back to the device, at most about so many bytes and little enough that
 * nobody notices: for when there is nothing more urgent. PH_AGAIN: there is more; else PH_OK.
 */
static inline enum ph_status ph_store_trim(struct ph_store *store, uint64_t bytes_max)
{
	return store->ops->trim ? store->ops->trim(store, bytes_max) : PH_OK;
}

/*
 * The whole store as of now, as a stream of bytes that another store can be opened from; whatever
 * is committed meanwhile is not in it. What the copy needs is kept until it is freed, so space that
 * others give up comes back only then: one that nobody reads should be freed. PH_ERR_UNSUPPORTED
 * where the store has no such form.
 */
static inline enum ph_status
ph_store_copy(struct ph_store *store, const struct ph_copy_options *options, struct ph_copy **out)
{
	return store->ops->copy ? store->ops->copy(store, options, out) : PH_ERR_UNSUPPORTED;
}

/*
 * The next bytes, at most room and at most what some 64 KiB of work give: *len may be 0 with PH_OK,
 * then call again. PH_END behind the last. Any other status ends the copy, which is worth nothing
 * then. One caller at a time.
 */
static inline enum ph_status ph_copy_read(struct ph_copy *copy, void *buf, size_t room, size_t *len)
{
	return copy->ops->read(copy, buf, room, len);
}

/* NULL is fine. */
static inline void ph_copy_free(struct ph_copy *copy)
{
	if (copy)
		copy->ops->free(copy);
}

/* ---- snapshot ---- */

static inline void ph_snapshot_retain(struct ph_snapshot *snapshot)
{
	snapshot->ops->retain(snapshot);
}

static inline void ph_snapshot_release(struct ph_snapshot *snapshot)
{
	if (snapshot)
		snapshot->ops->release(snapshot);
}

/* One ref by its full name, not followed when it is a symref. PH_ERR_NOT_FOUND. */
static inline enum ph_status ph_snapshot_ref(struct ph_snapshot *snapshot, const char *name,
                                             struct ph_ref *out)
{
	return snapshot->ops->ref(snapshot, name, out);
}

/* Refs in byte order from the first whose name is >= from ("" for all, HEAD among them). */
static inline enum ph_status ph_snapshot_refs(struct ph_snapshot *snapshot, const char *from,
                                              struct ph_ref_iter **out)
{
	return snapshot->ops->refs(snapshot, from, out);
}

/* PH_END behind the last. The iterator must not outlive its snapshot. */
static inline enum ph_status ph_ref_iter_next(struct ph_ref_iter *iter, struct ph_ref *out)
{
	return iter->ops->next(iter, out);
}

static inline void ph_ref_iter_free(struct ph_ref_iter *iter)
{
	if (iter)
		iter->ops->free(iter);
}

/* Its objects; lives as long as the snapshot. */
static inline const struct ph_source *ph_snapshot_source(struct ph_snapshot *snapshot)
{
	return snapshot->ops->source(snapshot);
}

/* The lasting id of a pack of the source, for replace and attach. */
static inline uint64_t ph_snapshot_pack_id(struct ph_snapshot *snapshot, uint32_t pack)
{
	return snapshot->ops->pack_id(snapshot, pack);
}

/* A section of a pack; NULL when it has none of this type. Lives as long as the snapshot. */
static inline const struct ph_bytes *ph_snapshot_section(struct ph_snapshot *snapshot,
                                                         uint32_t pack, uint32_t section)
{
	return snapshot->ops->section(snapshot, pack, section);
}

/* The repository's own shallow boundary, sorted; the array lives as long as the snapshot. */
static inline uint32_t ph_snapshot_shallow(struct ph_snapshot *snapshot, const struct ph_oid **out)
{
	return snapshot->ops->shallow(snapshot, out);
}

/* A setting of the repository; as ph_store_setting_get. */
static inline enum ph_status ph_snapshot_setting(struct ph_snapshot *snapshot, const char *key,
                                                 void *buf, size_t *len)
{
	return snapshot->ops->setting(snapshot, key, buf, len);
}

/*
 * The log of pushes: records, number 0 the oldest kept. Each comes with a line in front, which is
 * the SHA-256, in hex, of the record before it, that one's line included; zeros in front of the
 * first there ever was. So whoever knows the hash of one record knows whether anything was changed
 * in those before it, also when the oldest are not kept any more. At most PH_LOG_LINKED_MAX bytes.
 */
#define PH_LOG_LINK_BYTES 65u
#define PH_LOG_LINKED_MAX (PH_LOG_LINK_BYTES + 4096u)

static inline uint64_t ph_snapshot_log_count(struct ph_snapshot *snapshot)
{
	return snapshot->ops->log_count(snapshot);
}

static inline enum ph_status ph_snapshot_log_read(struct ph_snapshot *snapshot, uint64_t number,
                                                  void *buf, size_t *len)
{
	return snapshot->ops->log_read(snapshot, number, buf, len);
}

/* ---- transaction ---- */

/*
 * Ends it. What was not committed is gone, with its space. Not while a commit is pending: wait for
 * its wake first. NULL is fine.
 */
static inline void ph_txn_free(struct ph_txn *txn)
{
	if (txn)
		txn->ops->free(txn);
}

/*
 * A new pack: begin, append to the sinks of its RUN and INDEX (and SCRATCH, and AUX sections), end.
 * Sinks belong to the transaction. From end on the pack is part of the transaction's source; end
 * returns PH_ERR_CORRUPT when the index is not one of this run; drop it then. Sinks of auxiliary
 * sections that were asked for before take bytes on until the first commit, since what they say may
 * need the pack's objects; one that failed or was aborted is left out. drop forgets a pack,
 * ended or not. A section that is asked for twice has one sink; PH_ERR_INVALID for a type that is
 * none, and when the pack has ended. Packs that were not ended are left out of a commit.
 */
static inline enum ph_status ph_txn_pack_begin(struct ph_txn *txn, uint32_t *pack)
{
	return txn->ops->pack_begin(txn, pack);
}

static inline enum ph_status ph_txn_sink(struct ph_txn *txn, uint32_t pack, uint32_t section,
                                         struct ph_sink **out)
{
	return txn->ops->sink(txn, pack, section, out);
}

static inline enum ph_status ph_txn_pack_end(struct ph_txn *txn, uint32_t pack)
{
	return txn->ops->pack_end(txn, pack);
}

static inline void ph_txn_pack_drop(struct ph_txn *txn, uint32_t pack)
{
	txn->ops->pack_drop(txn, pack);
}

/*
 * The base's objects and those of packs that were ended; base packs come first, under the same
 * numbers as in the base's source. pack_end and pack_drop make sources got earlier invalid.
 */
static inline const struct ph_source *ph_txn_source(struct ph_txn *txn)
{
	return txn->ops->source(txn);
}

/*
 * Sets a ref. old: the value it must have; all zero, it must not exist; NULL, any. new_oid all zero
 * deletes. peeled as in struct ph_ref, or NULL. *change numbers the change, from 0. A name may
 * occur in one change only: PH_ERR_EXISTS.
 */
static inline enum ph_status ph_txn_ref_update(struct ph_txn *txn, const char *name,
                                               const struct ph_oid *old,
                                               const struct ph_oid *new_oid,
                                               const struct ph_oid *peeled, uint32_t *change)
{
	return txn->ops->ref_update(txn, name, old, new_oid, peeled, change);
}

/* The same for a symref. old: the target it must have, "" for none, NULL for any; target NULL
 * deletes. The target need not exist. */
static inline enum ph_status ph_txn_symref_update(struct ph_txn *txn, const char *name,
                                                  const char *old, const char *target,
                                                  uint32_t *change)
{
	return txn->ops->symref_update(txn, name, old, target, change);
}

/*
 * A new auxiliary section for a pack of the base; replaces one of the same type. PH_ERR_NOT_FOUND
 * when the base has no such pack, PH_ERR_INVALID when the type is not auxiliary. commit answers
 * PH_ERR_CONFLICT when a replacement took the pack meanwhile.
 */
static inline enum ph_status ph_txn_attach(struct ph_txn *txn, uint64_t pack_id, uint32_t section,
                                           struct ph_sink **out)
{
	return txn->ops->attach(txn, pack_id, section, out);
}

/*
 * Takes packs of the base out, usually for new ones of this transaction. drops_objects: some of
 * their objects are in no remaining pack. commit answers PH_ERR_CONFLICT when another replacement
 * took one of them, PH_ERR_BUSY when it drops objects that the base of an open transaction holds,
 * or when a commit has set a ref or the shallow boundary since its own base (what it is about to
 * drop may have become reachable). An id that is none of the base's packs is PH_ERR_NOT_FOUND at
 * once.
 */
static inline enum ph_status ph_txn_replace(struct ph_txn *txn, const uint64_t *pack_ids,
                                            size_t count, bool drops_objects)
{
	return txn->ops->replace(txn, pack_ids, count, drops_objects);
}

/*
 * The repository's own shallow boundary from now on, all of it. commit answers PH_ERR_CONFLICT when
 * another has changed it since the base.
 */
static inline enum ph_status ph_txn_set_shallow(struct ph_txn *txn, const struct ph_oid *oids,
                                                size_t count)
{
	return txn->ops->set_shallow(txn, oids, count);
}

/*
 * A setting of the repository; NULL data deletes. commit answers PH_ERR_CONFLICT, and will not do
 * otherwise, when another has changed it since the base: what was read in the base is still so.
 */
static inline enum ph_status ph_txn_set_setting(struct ph_txn *txn, const char *key,
                                                const void *data, size_t len)
{
	return txn->ops->set_setting(txn, key, data, len);
}

/* Appends a record to the log of pushes, at most 4096 bytes. */
static inline enum ph_status ph_txn_log(struct ph_txn *txn, const void *data, size_t len)
{
	return txn->ops->log(txn, data, len);
}

/* The repository goes, with all it holds, when this commits. Snapshots of it stay readable. */
static inline enum ph_status ph_txn_delete_repo(struct ph_txn *txn)
{
	return txn->ops->delete_repo(txn);
}

/*
 * Compares every change that was not dropped with the repository as it is now, and with the other
 * changes, and sets their verdicts:
 *   PH_OK             it can be done
 *   PH_ERR_CONFLICT   the ref has another value than old
 *   PH_ERR_EXISTS     it should not exist, and does
 *   PH_ERR_NOT_FOUND  it should exist, and does not
 *   PH_ERR_INVALID    its name and another ref's cannot both exist (refs/heads/a, refs/heads/a/b)
 *   PH_ERR_LIMIT      refs_max
 * Returns PH_OK when all are; PH_ERR_CONFLICT when some are not; PH_ERR_NOT_FOUND when the
 * repository is gone. It takes no locks: what it found can change until commit.
 */
static inline enum ph_status ph_txn_prepare(struct ph_txn *txn)
{
	return txn->ops->prepare(txn);
}

/* The verdict on a change; PH_ERR_INVALID for a dropped one. */
static inline enum ph_status ph_txn_verdict(const struct ph_txn *txn, uint32_t change)
{
	return txn->ops->verdict(txn, change);
}

/* Leaves a change out. */
static inline void ph_txn_drop(struct ph_txn *txn, uint32_t change)
{
	txn->ops->drop(txn, change);
}

/*
 * Makes all that is left visible and durable, at once, or nothing.
 *   PH_OK            done: on stable storage where the store is durable
 *   PH_PENDING       wake(arg) follows, once; then call commit again for the result, which may
 *                    once more be PH_PENDING: a store may wake a caller to do its part
 *   PH_ERR_CONFLICT  a ref moved since prepare: the verdicts are new; drop what failed and
 *                    commit again. Without a failed one: see set_setting, attach, replace
 *   others           PH_ERR_NOT_FOUND (repository gone), _EXISTS (repository made meanwhile),
 *                    _LIMIT (bytes_max),
 *                    _BUSY, _FULL, _READ_ONLY, _IO, _NOMEM: nothing happened, free it
 * A commit without changes and packs is PH_OK. wake may be NULL: then commit never answers
 * PH_PENDING but waits.
 */
static inline enum ph_status ph_txn_commit(struct ph_txn *txn, ph_wake wake, void *arg)
{
	return txn->ops->commit(txn, wake, arg);
}

/* ---- shared by the implementations and by callers ---- */

/*
 * Follows symrefs from a name to a ref with an id, at most 5 links. *out is that ref. target, when
 * not NULL, has PH_REF_NAME_MAX + 1 bytes and takes the last name tried, also when that ref is
 * unborn: PH_ERR_NOT_FOUND. PH_ERR_LIMIT for more links.
 */
PH_API enum ph_status ph_snapshot_resolve(struct ph_snapshot *snapshot, const char *name,
                                          struct ph_ref *out, char *target);

/*
 * Names of repositories: 1 to PH_REPO_NAME_MAX bytes of UTF-8; components between slashes are not
 * empty, do not begin with "." or "-" and do not end in ".git"; no control bytes, no backslash.
 * PH_ERR_INVALID.
 */
PH_API enum ph_status ph_repo_name_check(const char *name, size_t len);

#ifdef __cplusplus
}
#endif
#endif
