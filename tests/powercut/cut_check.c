/* SPDX-License-Identifier: MIT */
/*
 * What must hold of a medium after a power cut: the store opens; the check finds nothing; it shows
 * exactly what it showed at some moment, no earlier than the last that a client was told of and no
 * later than the commit under way; all objects are there; a push works. All of it is taken back.
 */
#include "cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every so many states all objects are hashed, and a store is opened again after the next push. */
#define DEEP_EVERY 64u
#define AGAIN_EVERY 16u

struct trial {
	struct cut_world *w;
	struct sim_device *medium;
	struct ph_store *store;
	struct cut_verdict *verdict;
	uint64_t number;
};

static void say(struct trial *trial, const char *what, const char *why)
{
	if (!*trial->verdict->why)
		snprintf(trial->verdict->why, sizeof(trial->verdict->why), "%s: %s", what, why);
}

/* ---- opening ---- */

static enum ph_status open_medium(struct trial *trial)
{
	trial->medium->open = true;
	return ph_store_disk_open(&trial->store, &trial->medium->device, &trial->w->options);
}

/* What was not formatted to the end may be formatted again. */
static bool opens(struct trial *trial, uint32_t need)
{
	enum ph_status status = open_medium(trial);

	if ((status == PH_ERR_INVALID || status == PH_ERR_CORRUPT) && need == CUT_NONE) {
		status = ph_store_disk_format(&trial->medium->device, &trial->w->options);
		if (status == PH_OK)
			status = open_medium(trial);
	}
	if (status == PH_OK)
		return true;
	trial->verdict->unopened = true;
	say(trial, "it does not open", ph_status_name(status));
	return false;
}

static void check_line(void *user, const char *line)
{
	say(user, "the check finds", line);
}

static void check_structure(struct trial *trial)
{
	struct ph_store_disk_info info;

	ph_store_disk_info(trial->store, &info);
	if (ph_store_disk_check(trial->store, trial, check_line) != PH_OK || info.read_only) {
		trial->verdict->corrupt = true;
		say(trial, "it is not clean", info.read_only ? "read-only" : "");
	}
}

/* ---- which state it is ---- */

static uint32_t lost_pushes(const struct cut_world *w, size_t event, uint32_t shown)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < w->ack_count; i++)
		if (w->acks[i].event <= event && (shown == CUT_NONE || w->acks[i].state > shown))
			lost++;
	return lost;
}

/* Among the states that may be, the one it shows; else any earlier one. */
static uint32_t find_state(const struct cut_world *w, uint64_t hash, size_t event, uint32_t need)
{
	uint32_t last = 0, first = need == CUT_NONE ? 0 : need;

	while (last < w->state_count && w->states[last].event <= event)
		last++;
	for (uint32_t i = first; i <= last && i < w->state_count; i++)
		if (w->states[i].hash == hash)
			return i;
	for (uint32_t i = first; i > 0; i--)
		if (w->states[i - 1].hash == hash)
			return i - 1;
	return CUT_NONE;
}

static void check_state(struct trial *trial, size_t event, uint32_t need)
{
	struct cut_world *w = trial->w;
	uint32_t shown = find_state(w, cut_hash(trial->store), event, need);
	const char *wrong = NULL;

	if (shown == CUT_NONE) {
		/* Nothing at all is right before anything was. */
		struct ph_test_buf text = {0};

		cut_dump(trial->store, &text);
		if (need != CUT_NONE || text.len > 1) {
			trial->verdict->partly = true;
			say(trial, "it never showed that", (const char *)text.data);
		}
		ph_test_buf_release(&text);
	} else if (need != CUT_NONE && shown < need) {
		trial->verdict->lost = lost_pushes(w, event, shown);
		say(trial, "a state", "before what was acknowledged");
	} else {
		trial->verdict->newest_lost = lost_pushes(w, event, shown);
	}
	if (shown == CUT_NONE || !w->states[shown].verified || trial->number % DEEP_EVERY == 0)
		wrong = cut_objects(w, trial->store);
	if (wrong) {
		trial->verdict->corrupt = true;
		say(trial, "objects", wrong);
	} else if (shown != CUT_NONE) {
		w->states[shown].verified = true;
	}
}

/* ---- going on ---- */

static bool has_next(struct trial *trial, const char *repo)
{
	struct cut_world *w = trial->w;
	struct ph_snapshot *snapshot;
	struct ph_ref ref;
	bool has;

	if (ph_store_snapshot(trial->store, repo, &snapshot) != PH_OK)
		return false;
	has = ph_snapshot_ref(snapshot, "refs/heads/next", &ref) == PH_OK &&
	      ph_oid_equal(&ref.oid, &w->all.entries[w->commits[w->next].commit].oid);
	ph_snapshot_release(snapshot);
	return has;
}

/* A session pushes; or, where there is no room for it, it says so, and a branch can be deleted. */
static bool push_next(struct trial *trial, const char *repo)
{
	struct cut_world *w = trial->w;
	struct ph_store *live = w->service.store;
	bool was_live = w->live, done;
	struct cut_change next = {"refs/heads/next", CUT_NONE, w->next};

	w->service.store = trial->store;
	w->live = false;
	done = cut_push_many(w, repo, &next, 1, 0) && has_next(trial, repo);
	w->service.store = live;
	w->live = was_live;
	return done;
}

/* When the device is full a deletion makes room, from the reserve. */
static bool delete_first(struct trial *trial, const char *repo)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	enum ph_status status = ph_store_snapshot(trial->store, repo, &snapshot);

	if (status != PH_OK)
		return false;
	status = ph_store_begin(trial->store, snapshot, &txn);
	ph_snapshot_release(snapshot);
	if (status != PH_OK)
		return false;
	status = ph_txn_delete_repo(txn);
	if (status == PH_OK)
		status = ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
	return status == PH_OK;
}

static void check_next(struct trial *trial)
{
	char repo[PH_REPO_NAME_MAX + 1] = "next";
	bool existing = trial->number % 4 != 0, done;

	if (existing && ph_store_next_repo(trial->store, "", repo) != PH_OK)
		strcpy(repo, "next");
	done = push_next(trial, repo);
	if (!done && ph_store_space(trial->store) < 65536)
		done = delete_first(trial, repo) && push_next(trial, repo);
	if (done && trial->number % AGAIN_EVERY == 0) {
		ph_store_close(trial->store);
		trial->store = NULL;
		done = open_medium(trial) == PH_OK && has_next(trial, repo) &&
		       ph_store_disk_check(trial->store, trial, check_line) == PH_OK;
	}
	trial->verdict->next_failed = !done;
	if (!done)
		say(trial, "the next push failed", repo);
}

void cut_check(struct cut_world *w, struct sim_device *medium, size_t event, uint32_t need,
               uint64_t number, struct cut_verdict *verdict)
{
	struct trial trial = {.w = w, .medium = medium, .verdict = verdict, .number = number};

	memset(verdict, 0, sizeof(*verdict));
	if (opens(&trial, need)) {
		check_structure(&trial);
		check_state(&trial, event, need);
		check_next(&trial);
		ph_store_close(trial.store);
	} else {
		verdict->lost = lost_pushes(w, event, CUT_NONE);
	}
}
