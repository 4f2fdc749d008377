/* SPDX-License-Identifier: MIT */
/* What the parts of the conformance suite share. Helpers assert: they return only when it worked.
 */
#ifndef PACKHORSE_CONFORMANCE_INT_H
#define PACKHORSE_CONFORMANCE_INT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "conformance.h"
#include "support.h"

#define CONF_REPO "team/project"

/* One test: an empty store of the factory, and the allocator it was opened with. */
struct conf {
	const struct ph_conformance_factory *factory;
	const struct conf_test *test;
	enum ph_hash_algo algo;
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_conformance_options options;
	struct ph_store *store;
};

enum conf_flags {
	CONF_ONCE = 1 << 0,    /* the hash format makes no difference */
	CONF_THREADS = 1 << 1, /* needs factory->threads, gets options.sync */
	CONF_SMALL = 1 << 2,   /* needs factory->bounded, gets a store of CONF_SMALL_BYTES */
};

#define CONF_SMALL_BYTES ((uint64_t)2 << 20)

struct conf_test {
	const char *name; /* NULL ends a list */
	void (*run)(struct conf *c);
	unsigned flags;
};

extern const struct conf_test ph__conf_refs_tests[];
extern const struct conf_test ph__conf_verdict_tests[];
extern const struct conf_test ph__conf_repo_tests[];
extern const struct conf_test ph__conf_pack_tests[];
extern const struct conf_test ph__conf_replace_tests[];
extern const struct conf_test ph__conf_meta_tests[];
extern const struct conf_test ph__conf_memory_tests[];
extern const struct conf_test ph__conf_model_tests[];
extern const struct conf_test ph__conf_thread_tests[];
extern const struct conf_test ph__conf_copy_tests[];

#define assert_status(have, want) ph__conf_status((have), (want), #have, __FILE__, __LINE__)
void ph__conf_status(enum ph_status have, enum ph_status want, const char *what, const char *file,
                     int line);

/* Opens the test's store again, empty, with what c->limits and c->options say now. */
void ph__conf_restart(struct conf *c);

/* ---- repositories, transactions ---- */

/* Creates a repository, with nothing but its HEAD. */
void ph__conf_create(struct conf *c, const char *name);
struct ph_snapshot *ph__conf_snapshot(struct conf *c, const char *name);
/* A transaction over a repository as it is now. */
struct ph_txn *ph__conf_begin(struct conf *c, const char *name);
/* Commits, waiting when that is pending; frees nothing. */
enum ph_status ph__conf_try_commit(struct ph_txn *txn);
/* Commits and frees. */
void ph__conf_commit(struct ph_txn *txn);

/* ---- refs ---- */

/* An id for a number; no object has it. */
struct ph_oid ph__conf_oid(const struct conf *c, uint32_t number);
extern const struct ph_oid ph__conf_zero;
/* Adds a change that asks for any old value (old NULL) or this one; zero is none. */
uint32_t ph__conf_set(struct ph_txn *txn, const char *name, const struct ph_oid *old,
                      const struct ph_oid *new_oid);
/* target NULL deletes. */
uint32_t ph__conf_symref(struct ph_txn *txn, const char *name, const char *old, const char *target);
/* Sets one ref to an id of this number in a transaction of its own, whatever it is; 0 deletes. */
void ph__conf_put(struct conf *c, const char *repo, const char *name, uint32_t number);

void ph__conf_expect_ref(struct ph_snapshot *snapshot, const char *name, const struct ph_oid *oid);
void ph__conf_expect_symref(struct ph_snapshot *snapshot, const char *name, const char *target);
void ph__conf_expect_no_ref(struct ph_snapshot *snapshot, const char *name);
/* The names of all refs from a name on, each followed by a space. */
void ph__conf_expect_names(struct ph_snapshot *snapshot, const char *from, const char *names);

/* ---- packs ---- */

/* A pack of blobs whose texts are "<label> <n>" repeated; the second is a delta on the first. */
void ph__conf_make_pack(const struct conf *c, struct ph_test_pack *pack, const char *label,
                        uint32_t count);
/* Appends in pieces of odd sizes. */
void ph__conf_append(struct ph_sink *sink, const void *data, size_t len);
/* Begins, fills and ends a pack. */
uint32_t ph__conf_add_pack(struct ph_txn *txn, const struct ph_test_pack *pack);
/* The same with the run and index given. */
uint32_t ph__conf_add_run(struct ph_txn *txn, const struct ph_test_buf *run,
                          const struct ph_test_buf *index);
/* Commits a pack of this label to a repository; returns its lasting id. */
uint64_t ph__conf_commit_pack(struct conf *c, const char *repo, const char *label, uint32_t count);
/* The number of a pack of a snapshot by its lasting id, or the number of packs. */
uint32_t ph__conf_pack_number(struct ph_snapshot *snapshot, uint64_t id);
/* Whether a source has the objects of a pack, all or none of them. */
void ph__conf_expect_objects(const struct ph_source *source, const struct ph_test_pack *pack,
                             bool there);
/* The bytes of a section are these. */
void ph__conf_expect_bytes(const struct ph_bytes *bytes, const void *data, size_t len);

/* ---- everything ---- */

/* Appends a text of all that is visible in the store, to compare. Generations are left out. */
void ph__conf_dump(struct ph_store *store, struct ph_test_buf *out);
/* Fails unless the store looks as this dump. */
void ph__conf_expect_dump(struct conf *c, const struct ph_test_buf *dump);

#endif
