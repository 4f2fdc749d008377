/* SPDX-License-Identifier: MIT */
/*
 * What a substitution says of a commit beyond its own text: how short its ids may be written, and
 * which refs name it. It takes a look at every pack and every ref, so it waits until a file asks.
 */
#ifndef PACKHORSE_FACTS_INT_H
#define PACKHORSE_FACTS_INT_H

#include "subst_int.h"

#include <packhorse/config.h>
#include <packhorse/store.h>

struct ph__facts {
	struct ph_snapshot *snapshot;
	const struct ph_config *config;
	struct ph__subst *subst;
	enum { PH__FACTS_IDS, PH__FACTS_REFS, PH__FACTS_DONE } state;
	size_t parent;  /* of subst's parents, how far it has come */
	unsigned least; /* digits of an id that git writes at least */
	struct ph_ref_iter *iter;
	struct ph_ref ref;
};

void ph__facts_init(struct ph__facts *facts, struct ph_snapshot *snapshot,
                    const struct ph_config *config, struct ph__subst *subst);
void ph__facts_release(struct ph__facts *facts);
/* Completes subst. PH_AGAIN: call again. PH_OK at once when it was done before. */
PH_MUST_CHECK enum ph_status ph__facts_gather(struct ph__facts *facts, uint32_t *budget);

/* Digits that tell an id from all others of a repository: least or more. */
PH_MUST_CHECK enum ph_status ph__abbrev(struct ph_snapshot *snapshot, const struct ph_alloc *alloc,
                                        const struct ph_oid *oid, unsigned least, unsigned *out,
                                        uint32_t *budget);
/* How many digits git begins with in a repository of so many objects (core.abbrev=auto). */
unsigned ph__abbrev_least(uint64_t objects);

#endif
