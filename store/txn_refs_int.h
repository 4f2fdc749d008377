/* SPDX-License-Identifier: MIT */
/*
 * The changes of refs in a transaction, shared by the implementations of a store: the list with the
 * old values expected, and the verdicts on it. How refs are stored is the implementation's
 * business; it shows them as a ph__refs_view. Names are kept in a balanced tree, so that hundreds
 * of thousands of changes stay cheap whatever names a peer picks.
 *
 * A view of a repository that is being created holds nothing but HEAD -> refs/heads/main, and not
 * even that when the transaction changes HEAD: see ph__txn_refs_changes.
 */
#ifndef PACKHORSE_TXN_REFS_INT_H
#define PACKHORSE_TXN_REFS_INT_H

#include <packhorse/store.h>

#define PH__NO_CHANGE UINT32_MAX

/* What HEAD of a new repository points to. */
#define PH__DEFAULT_TARGET "refs/heads/main"

/* The value a ref must have before the change. */
enum ph__expect {
	PH__EXPECT_ANY,    /* also none */
	PH__EXPECT_NONE,   /* it does not exist */
	PH__EXPECT_OID,    /* old */
	PH__EXPECT_TARGET, /* a symref to old_target */
};

enum ph__action { PH__ACTION_DELETE, PH__ACTION_SET, PH__ACTION_SET_SYMREF };

/* Whether refs stay whose names begin with this one and a slash. */
enum ph__below { PH__BELOW_UNKNOWN, PH__BELOW_NONE, PH__BELOW_SOME };

/* One change. The strings are its own; for readers all but the verdict is constant. */
struct ph__change {
	const char *name;
	const char *old_target; /* PH__EXPECT_TARGET, else NULL */
	const char *target;     /* PH__ACTION_SET_SYMREF, else NULL */
	struct ph_oid old;      /* PH__EXPECT_OID, else zero */
	struct ph_oid oid;      /* PH__ACTION_SET, else zero */
	struct ph_oid peeled;
	enum ph__expect expect;
	enum ph__action action;
	enum ph_status verdict; /* PH_OK until the first evaluation */
	bool dropped;
	/* Set by evaluation: the ref is in the view, what is below its name, its place in the
	 * order, the change with the longest name that this one begins with. */
	bool exists;
	enum ph__below below;
	uint32_t rank;
	uint32_t shorter;
	/* The tree, by numbers of changes. */
	uint32_t child[2];
	uint8_t height;
};

struct ph__txn_refs {
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	struct ph__change **changes; /* by number */
	uint32_t count;
	uint32_t room;
	uint32_t root;
	uint32_t *order; /* numbers of all changes in byte order of names; set by evaluation */
	uint32_t ordered;
};

/* The refs of a repository as they are now. It does not change during an evaluation. */
struct ph__refs_view {
	void *user;
	uint64_t count; /* of refs, symrefs and HEAD included */
	/* PH_OK, PH_ERR_NOT_FOUND, or an error of reading. */
	enum ph_status (*get)(void *user, const char *name, struct ph_ref *out);
	/*
	 * The name of the first ref that is >= from (after: > from) in byte order; name has
	 * PH_REF_NAME_MAX + 1 bytes. from may be one byte longer than a name. PH_END.
	 */
	enum ph_status (*seek)(void *user, const char *from, bool after, char *name);
};

void ph__txn_refs_init(struct ph__txn_refs *refs, const struct ph_alloc *alloc,
                       const struct ph_limits *limits);
void ph__txn_refs_release(struct ph__txn_refs *refs);

/*
 * The operations ref_update, symref_update, verdict and drop of store.h. A name or target that is
 * empty or longer than the limits is PH_ERR_INVALID.
 */
enum ph_status ph__txn_refs_update(struct ph__txn_refs *refs, const char *name,
                                   const struct ph_oid *old, const struct ph_oid *new_oid,
                                   const struct ph_oid *peeled, uint32_t *change);
enum ph_status ph__txn_refs_symref(struct ph__txn_refs *refs, const char *name, const char *old,
                                   const char *target, uint32_t *change);
enum ph_status ph__txn_refs_verdict(const struct ph__txn_refs *refs, uint32_t change);
void ph__txn_refs_drop(struct ph__txn_refs *refs, uint32_t change);

/* Whether a change that was not dropped concerns this name. */
bool ph__txn_refs_changes(const struct ph__txn_refs *refs, const char *name);
/* The number of the change of this name, dropped or not; PH__NO_CHANGE. */
uint32_t ph__txn_refs_find(const struct ph__txn_refs *refs, const char *name);

/*
 * Sets the verdict of every change that was not dropped, and the order. Among changes that exclude
 * each other (refs/heads/a, refs/heads/a/b) the one with the lowest number wins, unless what it
 * needs gone stays. PH_OK, PH_ERR_CONFLICT when some verdict is not PH_OK, PH_ERR_NOMEM, the view's
 * errors.
 */
enum ph_status ph__txn_refs_evaluate(struct ph__txn_refs *refs, const struct ph__refs_view *view);

/*
 * After an evaluation that returned PH_OK: the changes to apply, in byte order of names. *at is 0
 * for the first; NULL behind the last. A deletion of a ref that does not exist is among them.
 */
const struct ph__change *ph__txn_refs_next(const struct ph__txn_refs *refs, uint32_t *at);

#endif
