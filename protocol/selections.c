/* SPDX-License-Identifier: MIT */
/*
 * Shared selections: a list of those at work or in use, which is as short as the list of sessions.
 * Who was to make one and left before it was finished takes it off the list and wakes who waited:
 * the first of them to ask again makes it anew. Two locks, as for the budget of memory: one for the
 * list, and one that is held around wakes, so that a session can leave while another thread wakes
 * it.
 */
#include "selections_int.h"

#include <assert.h>
#include <string.h>

struct ph__selection {
	struct ph_oid key;
	struct ph__selected selected;
	uint32_t users;
	bool made;
	bool left; /* by the one who was to make it */
	struct ph__selection_user *waiting;
	struct ph__selection *next;
};

struct ph_selections {
	const struct ph_alloc *alloc;
	const struct ph_sync *sync;
	void *lock;  /* of all below, and of every user */
	void *waker; /* held around wakes; taken before lock, never after it */
	struct ph__selection *first;
	struct ph_selections_counts counts;
};

static void lock(const struct ph_selections *selections, void *mutex)
{
	if (selections->sync)
		selections->sync->mutex_lock(selections->sync->user, mutex);
}

static void unlock(const struct ph_selections *selections, void *mutex)
{
	if (selections->sync)
		selections->sync->mutex_unlock(selections->sync->user, mutex);
}

enum ph_status ph_selections_new(struct ph_selections **out, const struct ph_alloc *alloc,
                                 const struct ph_sync *sync)
{
	struct ph_selections *selections = ph_mem_zalloc(alloc, 1, sizeof(*selections));
	enum ph_status status = PH_OK;

	if (!selections)
		return PH_ERR_NOMEM;
	selections->alloc = alloc;
	selections->sync = sync;
	if (sync)
		status = sync->mutex_new(sync->user, &selections->lock);
	if (sync && status == PH_OK)
		status = sync->mutex_new(sync->user, &selections->waker);
	if (status != PH_OK) {
		ph_selections_free(selections);
		return status;
	}
	*out = selections;
	return PH_OK;
}

void ph_selections_free(struct ph_selections *selections)
{
	if (!selections)
		return;
	assert(!selections->first);
	if (selections->lock)
		selections->sync->mutex_free(selections->sync->user, selections->lock);
	if (selections->waker)
		selections->sync->mutex_free(selections->sync->user, selections->waker);
	ph_mem_free(selections->alloc, selections);
}

void ph_selections_counts(struct ph_selections *selections, struct ph_selections_counts *out)
{
	lock(selections, selections->lock);
	*out = selections->counts;
	unlock(selections, selections->lock);
}

/* ---- under the lock ---- */

static struct ph__selection *find(const struct ph_selections *selections, const struct ph_oid *key)
{
	struct ph__selection *at = selections->first;

	while (at && !ph_oid_equal(&at->key, key))
		at = at->next;
	return at;
}

static void unlist(struct ph_selections *selections, const struct ph__selection *selection)
{
	struct ph__selection **at = &selections->first;

	while (*at && *at != selection)
		at = &(*at)->next;
	if (*at)
		*at = selection->next;
}

static void wait_begin(struct ph__selection *selection, struct ph__selection_user *user)
{
	user->next = selection->waiting;
	user->prev = NULL;
	if (user->next)
		user->next->prev = user;
	selection->waiting = user;
	user->waits = true;
}

static void wait_end(struct ph__selection *selection, struct ph__selection_user *user)
{
	if (user->prev)
		user->prev->next = user->next;
	else
		selection->waiting = user->next;
	if (user->next)
		user->next->prev = user->prev;
	user->next = user->prev = NULL;
	user->waits = false;
}

/* Joins one that is there. */
static enum ph_status take_part(struct ph__selection *selection, struct ph__selection_user *user)
{
	selection->users++;
	user->selection = selection;
	if (!selection->made)
		wait_begin(selection, user);
	return selection->made ? PH_OK : PH_PENDING;
}

static enum ph_status make_one(struct ph_selections *selections, struct ph__selection_user *user,
                               const struct ph_oid *key)
{
	struct ph__selection *selection = ph_mem_zalloc(selections->alloc, 1, sizeof(*selection));

	if (!selection)
		return PH_ERR_NOMEM;
	selection->key = *key;
	selection->users = 1;
	selection->next = selections->first;
	selections->first = selection;
	user->selection = selection;
	user->makes = true;
	return PH_ERR_NOT_FOUND;
}

/* ---- users ---- */

static void wake_all(struct ph_selections *selections, struct ph__selection *selection)
{
	struct ph__selection_user *user;

	lock(selections, selections->waker);
	lock(selections, selections->lock);
	while ((user = selection->waiting) != NULL) {
		ph_wake wake = user->wake;
		void *arg = user->wake_arg;

		wait_end(selection, user);
		unlock(selections, selections->lock);
		wake(arg);
		lock(selections, selections->lock);
	}
	unlock(selections, selections->lock);
	unlock(selections, selections->waker);
}

enum ph_status ph__selection_join(struct ph__selection_user *user, struct ph_selections *selections,
                                  const struct ph_oid *key, ph_wake wake, void *arg,
                                  struct ph__selected *out)
{
	struct ph__selection *selection;
	enum ph_status status = PH_PENDING;
	bool left = false;

	if (user->selection) {
		lock(selections, selections->lock);
		left = user->selection->left;
		status = user->selection->made ? PH_OK : PH_PENDING;
		unlock(selections, selections->lock);
	}
	if (left)
		ph__selection_leave(user);
	if (!user->selection) {
		*user = (struct ph__selection_user){
		        .selections = selections, .wake = wake, .wake_arg = arg};
		lock(selections, selections->lock);
		selection = find(selections, key);
		status = selection ? take_part(selection, user) : make_one(selections, user, key);
		selections->counts.made += status == PH_ERR_NOT_FOUND;
		selections->counts.shared += selection != NULL;
		unlock(selections, selections->lock);
	}
	if (status == PH_OK)
		*out = user->selection->selected;
	return status;
}

void ph__selection_finish(struct ph__selection_user *user, const struct ph__selected *made)
{
	struct ph_selections *selections = user->selections;
	struct ph__selection *selection = user->selection;

	assert(user->makes && !selection->made);
	lock(selections, selections->lock);
	selection->selected = *made;
	selection->made = true;
	unlock(selections, selections->lock);
	wake_all(selections, selection);
}

void ph__selection_leave(struct ph__selection_user *user)
{
	struct ph_selections *selections = user->selections;
	struct ph__selection *selection = user->selection;
	bool last, left;

	if (!selection)
		return;
	lock(selections, selections->lock);
	if (user->waits)
		wait_end(selection, user);
	left = user->makes && !selection->made;
	if (left) {
		selection->left = true;
		unlist(selections, selection);
	}
	unlock(selections, selections->lock);
	if (left)
		wake_all(selections, selection);
	/* A wake of this very user may be under way on another thread. */
	lock(selections, selections->waker);
	unlock(selections, selections->waker);
	lock(selections, selections->lock);
	last = --selection->users == 0;
	if (last)
		unlist(selections, selection);
	unlock(selections, selections->lock);
	if (last) {
		ph_walk_free(selection->selected.walk);
		ph_snapshot_release(selection->selected.snapshot);
		ph_mem_free(selections->alloc, selection);
	}
	memset(user, 0, sizeof(*user));
}
