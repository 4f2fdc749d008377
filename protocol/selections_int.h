/* SPDX-License-Identifier: MIT */
/*
 * A session's part in a shared selection (selections.h): it joins with a key that stands for all
 * that the selection depends on, and is then the one that makes it, or waits, or has it.
 */
#ifndef PACKHORSE_SELECTIONS_INT_H
#define PACKHORSE_SELECTIONS_INT_H

#include <packhorse/selections.h>
#include <packhorse/store.h>
#include <packhorse/walk.h>

/* What was selected: a walk that has run, and the snapshot whose objects it is about. */
struct ph__selected {
	struct ph_walk *walk;
	struct ph_snapshot *snapshot;
};

/* One session's place; zeroed before the first join. */
struct ph__selection_user {
	struct ph_selections *selections;
	struct ph__selection *selection; /* NULL: has none */
	bool makes;
	bool waits;
	/* Called once, from any thread, when a join that answered PH_PENDING can be asked again. */
	ph_wake wake;
	void *wake_arg;
	struct ph__selection_user *next, *prev; /* that wait for the same */
};

/*
 * PH_OK: *out is what was selected, good until leave. PH_PENDING: another session is at it; join
 * again after the wake. PH_ERR_NOT_FOUND: this session is to make it, and then to call finish, or
 * leave. PH_ERR_NOMEM.
 */
PH_MUST_CHECK enum ph_status ph__selection_join(struct ph__selection_user *user,
                                                struct ph_selections *selections,
                                                const struct ph_oid *key, ph_wake wake, void *arg,
                                                struct ph__selected *out);
/* What it has made is everybody's from now on: nobody changes it, and the last to leave frees it.
 */
void ph__selection_finish(struct ph__selection_user *user, const struct ph__selected *made);
/* At any time, also without having joined. */
void ph__selection_leave(struct ph__selection_user *user);

#endif
