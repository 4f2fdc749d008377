/* SPDX-License-Identifier: MIT */
/*
 * The parts of the store in memory. Everything a snapshot shows is immutable and counted: refs in
 * leaves of up to 256 (mem_refs.c), sections of packs in chunks (mem_section.c), and the settings,
 * shallow set and log (mem_meta.c). A commit makes a new snapshot that shares what did not change
 * and puts it in place of the current one. So a snapshot is nothing but one more reference.
 *
 * Locks, in this order: a repository's commit lock (one commit at a time builds its snapshot), then
 * the store's lock, held only to look up, to swap pointers, and to list open transactions.
 */
#ifndef PACKHORSE_STORE_MEM_INT_H
#define PACKHORSE_STORE_MEM_INT_H

#include <packhorse/store_mem.h>
#include <stdatomic.h>

#include "txn_meta_int.h"
#include "txn_refs_int.h"

struct mem_store;
struct mem_snapshot;
struct mem_txn;

/* ---- counts ---- */

struct mem_count {
	atomic_uint_least32_t holders;
};

static inline void mem_count_init(struct mem_count *count)
{
	atomic_init(&count->holders, 1);
}

static inline void mem_retain(struct mem_count *count)
{
	atomic_fetch_add_explicit(&count->holders, 1, memory_order_relaxed);
}

/* True when that was the last holder: the caller frees. */
static inline bool mem_release(struct mem_count *count)
{
	return atomic_fetch_sub_explicit(&count->holders, 1, memory_order_acq_rel) == 1;
}

/* ---- refs ---- */

struct mem_ref {
	struct mem_count count;
	struct ph_oid oid;
	struct ph_oid peeled;
	const char *target; /* "" when it is not a symref */
	char name[];
};

#define MEM_LEAF_REFS_MAX 256u

struct mem_leaf {
	struct mem_count count;
	uint32_t refs;
	struct mem_ref *ref[MEM_LEAF_REFS_MAX]; /* by name; room for those there are */
};

struct mem_refs {
	struct mem_count count;
	uint64_t total;
	uint32_t leaves;
	struct mem_leaf *leaf[]; /* by name, none is empty */
};

/* The refs with the changes of a transaction that were evaluated against them. refs may be NULL. */
enum ph_status ph__mem_refs_apply(const struct ph_alloc *alloc, struct mem_refs *refs,
                                  const struct ph__txn_refs *changes, struct mem_refs **out);
/* One symref, HEAD: what a new repository has. */
enum ph_status ph__mem_refs_initial(const struct ph_alloc *alloc, struct mem_refs **out);
void ph__mem_refs_release(const struct ph_alloc *alloc, struct mem_refs *refs);
/* NULL when there is none. */
const struct mem_ref *ph__mem_refs_find(const struct mem_refs *refs, const char *name);
/* The first whose name is >= from, or > from: its leaf and place. False behind the last. */
bool ph__mem_refs_seek(const struct mem_refs *refs, const char *from, bool after, uint32_t *leaf,
                       uint32_t *place);
void ph__mem_ref_copy(struct ph_ref *out, const struct mem_ref *ref);
void ph__mem_refs_view(struct ph__refs_view *view, struct mem_refs *refs);

/* ---- sections and packs ---- */

/* Bytes in chunks: 1 KiB, then each as large as all before it, up to 1 MiB. */
struct mem_section {
	struct ph_bytes bytes;
	struct mem_count count;
	struct mem_store *store;
	uint64_t charged; /* of bytes_max */
	uint32_t chunks;
	uint32_t room;
	uint8_t **chunk;
};

struct mem_section *ph__mem_section_new(struct mem_store *store);
void ph__mem_section_release(struct mem_section *section);
enum ph_status ph__mem_section_append(struct mem_section *section, const void *data, size_t len);
/* Nothing will be appended any more: gives back the slack. */
void ph__mem_section_seal(struct mem_section *section);

struct mem_pack {
	struct mem_count count;
	const struct ph_alloc *alloc;
	uint64_t id; /* 0 until it is committed */
	struct ph_pack pack;
	struct mem_section *section[PH_SECTION_MAX + 1];
};

/* A pack without sections, or with those of another one. */
struct mem_pack *ph__mem_pack_new(const struct ph_alloc *alloc, const struct mem_pack *like);
void ph__mem_pack_release(struct mem_pack *pack);

/* A sink over a new section. */
struct mem_sink {
	struct ph_sink sink;
	struct mem_section *section; /* NULL once aborted */
	enum ph_status status;       /* what killed it */
	bool sealed;                 /* others may read the section: it must not grow */
};

struct mem_sink *ph__mem_sink_new(struct mem_store *store);
void ph__mem_sink_free(const struct ph_alloc *alloc, struct mem_sink *sink);
/* Its section for a pack, sealed and retained; NULL when it died or was aborted. */
struct mem_section *ph__mem_sink_take(struct mem_sink *sink);

/* ---- settings, shallow set, log ---- */

struct mem_setting {
	struct mem_count count;
	uint32_t len;
	char key[PH_SETTING_KEY_MAX + 1];
	uint8_t data[];
};

struct mem_settings {
	struct mem_count count;
	uint32_t settings;
	struct mem_setting *setting[];
};

struct mem_shallow {
	struct mem_count count;
	uint32_t oids;
	struct ph_oid oid[];
};

#define MEM_LOG_CHUNK_RECORDS 64u
/* Older records are forgotten by the chunk, so that a log stays within a few megabytes. */
#define MEM_LOG_CHUNKS_MAX 157u

struct mem_log_record {
	struct mem_count count;
	uint32_t len;
	uint8_t data[];
};

struct mem_log_chunk {
	struct mem_count count;
	uint32_t records;
	struct mem_log_record *record[MEM_LOG_CHUNK_RECORDS];
};

struct mem_log {
	struct mem_count count;
	uint32_t chunks;   /* all but the last one are full */
	struct ph_oid tip; /* SHA-256 of the newest record */
	struct mem_log_chunk *chunk[];
};

/* Each makes the new value out of the old one (may be NULL); *out may be the old one, retained. */
enum ph_status ph__mem_settings_apply(const struct ph_alloc *alloc, struct mem_settings *settings,
                                      const struct ph__setting_change *changes,
                                      struct mem_settings **out);
enum ph_status ph__mem_shallow_apply(const struct ph_alloc *alloc, struct mem_shallow *shallow,
                                     const struct ph__txn_meta *meta, struct mem_shallow **out);
enum ph_status ph__mem_log_apply(const struct ph_alloc *alloc, struct mem_log *log,
                                 const struct ph__log_record *records, struct mem_log **out);
void ph__mem_settings_release(const struct ph_alloc *alloc, struct mem_settings *settings);
void ph__mem_shallow_release(const struct ph_alloc *alloc, struct mem_shallow *shallow);
void ph__mem_log_release(const struct ph_alloc *alloc, struct mem_log *log);

/* Whether the keys of these changes have the same values in both, as a commit left them. */
bool ph__mem_settings_same(const struct mem_settings *a, const struct mem_settings *b,
                           const struct ph__setting_change *changes);
/* Whether a setting has this value; NULL data: is not there. */
bool ph__mem_settings_is(const struct mem_settings *settings, const char *key, const void *data,
                         size_t len);
enum ph_status ph__mem_settings_get(const struct mem_settings *settings, const char *key, void *buf,
                                    size_t *len);
uint64_t ph__mem_log_count(const struct mem_log *log);
enum ph_status ph__mem_log_read(const struct mem_log *log, uint64_t number, void *buf, size_t *len);

/* ---- repositories and snapshots ---- */

struct mem_repo {
	struct mem_count count; /* the table, each snapshot */
	struct mem_store *store;
	void *commit_lock;
	uint64_t pack_ids; /* given out so far; under the commit lock */
	/* Under the store's lock. */
	struct mem_snapshot *current; /* NULL when it was deleted */
	struct mem_txn *txns;         /* open ones whose base is a snapshot of it */
	uint64_t dropped_at;          /* generation that dropped objects last */
	uint64_t extended_at;         /* generation that may have made more reachable last */
	char name[PH_REPO_NAME_MAX + 1];
};

struct mem_snapshot {
	struct ph_snapshot snapshot;
	struct mem_count count;
	struct mem_repo *repo;
	struct mem_refs *refs;
	struct mem_settings *settings;
	struct mem_shallow *shallow;
	struct mem_log *log;
	uint32_t packs;
	struct mem_pack **pack;
	const struct ph_pack **set_pack; /* the same packs, for set */
	struct ph_pack_set set;
};

/* A snapshot with nothing in it but room for packs. */
enum ph_status ph__mem_snapshot_new(struct mem_repo *repo, enum ph_hash_algo algo, uint32_t packs,
                                    struct mem_snapshot **out);
/* Puts a pack, which it retains, behind the others; there must be room. */
void ph__mem_snapshot_add(struct mem_snapshot *snapshot, struct mem_pack *pack);
/* The number of a pack by its id, or snapshot->packs. Packs are in the order of their ids. */
uint32_t ph__mem_snapshot_pack(const struct mem_snapshot *snapshot, uint64_t id);
void ph__mem_snapshot_release(struct mem_snapshot *snapshot);

struct mem_repo *ph__mem_repo_new(struct mem_store *store, const char *name);
void ph__mem_repo_release(struct mem_repo *repo);

struct mem_store {
	struct ph_store store;
	const struct ph_alloc *alloc;
	struct ph_limits limits;
	const struct ph_sync *sync;
	const struct ph_unpack *unpack; /* may be NULL */
	uint64_t bytes_max;
	atomic_uint_least64_t bytes;
	void *lock;
	/* Under the lock. */
	struct mem_settings *settings;
	uint64_t generation;
	uint32_t repos;
	uint32_t room;
	struct mem_repo **repo; /* by name */
};

/* All three do nothing without a ph_sync. */
enum ph_status ph__mem_lock_new(struct mem_store *store, void **out);
void ph__mem_lock(struct mem_store *store, void *lock);
void ph__mem_unlock(struct mem_store *store, void *lock);

/* The place of a name in the table; true when it is there. Under the store's lock. */
bool ph__mem_repo_find(const struct mem_store *store, const char *name, uint32_t *place);
/* The current snapshot, retained, or NULL when the repository was deleted. */
struct mem_snapshot *ph__mem_repo_current(struct mem_repo *repo);

/* ---- transactions ---- */

enum mem_pack_state { MEM_PACK_OPEN, MEM_PACK_ENDED, MEM_PACK_DROPPED };

struct mem_new_pack {
	enum mem_pack_state state;
	struct mem_sink *sink[PH_SECTION_MAX + 1];
	struct mem_pack *pack; /* once ended */
};

struct mem_attach {
	uint64_t pack_id;
	uint32_t section;
	struct mem_sink *sink;
};

struct mem_txn {
	struct ph_txn txn;
	struct mem_store *store;
	struct mem_snapshot *base;   /* NULL when it creates */
	struct mem_txn *prev, *next; /* in its repository's list */
	bool deletes;
	bool done; /* committed */
	bool drops_objects;
	uint32_t packs, packs_room;
	struct mem_new_pack **pack;
	const struct ph_pack **set_pack; /* base's and own; room for all begun */
	struct ph_pack_set set;
	uint32_t attaches, attaches_room;
	struct mem_attach *attach;
	uint32_t replaced, replaced_room;
	uint64_t *replace; /* ids */
	struct ph__txn_refs refs;
	struct ph__txn_meta meta;
	char name[PH_REPO_NAME_MAX + 1];
};

/* base NULL: creates name. Does not list it. */
enum ph_status ph__mem_txn_new(struct mem_store *store, struct mem_snapshot *base, const char *name,
                               enum ph_hash_algo algo, struct mem_txn **out);
/* Frees one that is not listed. */
void ph__mem_txn_unlisted_free(struct mem_txn *txn);
/* The auxiliary sections of its packs are what was written by now; those that died are left out. */
void ph__mem_txn_end_auxiliary(struct mem_txn *txn);
enum ph_status ph__mem_txn_prepare(struct ph_txn *txn);
enum ph_status ph__mem_txn_commit(struct ph_txn *txn, ph_wake wake, void *arg);

#endif
