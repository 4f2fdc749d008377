/* SPDX-License-Identifier: MIT */
/*
 * The end of the transaction: verdicts on every ref, then one commit of all that may be done. Git
 * updates what it can and names the reason for the rest; an atomic push does all or nothing. "ok"
 * is only ever said of what is committed.
 */
#include "receive_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- verdicts ---- */

/* The phrases of git 2.50 and later. */
static const char *verdict_text(enum ph_status verdict)
{
	/* Every other status is none of a single ref's; its own text will do. */
	if (verdict == PH_ERR_CONFLICT)
		return "incorrect old value provided";
	if (verdict == PH_ERR_EXISTS)
		return "reference already exists";
	if (verdict == PH_ERR_NOT_FOUND)
		return "reference does not exist";
	if (verdict == PH_ERR_INVALID)
		return "refname conflict";
	if (verdict == PH_ERR_LIMIT)
		return "too many refs";
	return ph_status_text(verdict);
}

/* What a ref is now, for the user to see; at worst nothing. */
static void say_value(struct receive *r, const struct receive_command *c)
{
	struct ph_snapshot *now;
	struct ph_ref ref;
	char is[PH_OID_HEX_MAX + 1], expected[PH_OID_HEX_MAX + 1];

	if (ph_store_snapshot(r->session.service.store, r->repo, &now) != PH_OK)
		return;
	if (now->algo == r->algo && ph_snapshot_ref(now, receive_target(r, c), &ref) == PH_OK)
		ph__receive_say(r, "error: cannot lock ref '%s': is at %s but expected %s",
		                receive_name(r, c), ph_oid_to_hex(is, r->algo, &ref.oid),
		                ph_oid_to_hex(expected, r->algo, &c->old_oid));
	ph_snapshot_release(now);
}

/* Whether one name is a folder on the way to the other. */
static bool is_below(const char *name, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(name, folder, len) == 0 && name[len] == '/';
}

/* The ref that is in this one's way, into ref. */
static bool find_clash(struct ph_snapshot *now, const char *name, struct ph_ref *ref)
{
	char from[PH_REF_NAME_MAX + 2];
	struct ph_ref_iter *refs;
	bool found = false;

	snprintf(from, sizeof(from), "%s/", name);
	if (ph_snapshot_refs(now, from, &refs) == PH_OK) {
		found = ph_ref_iter_next(refs, ref) == PH_OK && is_below(ref->name, name);
		ph_ref_iter_free(refs);
	}
	for (size_t len = strlen(name); !found && len > 0; len--) {
		if (name[len] != '/')
			continue;
		from[len] = 0;
		found = ph_snapshot_ref(now, from, ref) == PH_OK;
	}
	return found;
}

/* A name and another one that cannot both be; hidden ones are not told of. */
static void say_clash(struct receive *r, const struct receive_command *c)
{
	const char *name = receive_target(r, c);
	struct ph_snapshot *now;
	struct ph_ref ref;
	bool found;

	if (ph_store_snapshot(r->session.service.store, r->repo, &now) != PH_OK)
		return;
	found = find_clash(now, name, &ref) && !ph_config_hidden(&r->config.hide_receive, ref.name);
	ph_snapshot_release(now);
	if (found) {
		ph__receive_say(r, "error: '%s' exists; cannot create '%s'", ref.name, name);
		return;
	}
	for (uint32_t i = 0; i < r->count; i++) {
		const char *other = receive_target(r, &r->commands[i]);

		if (is_below(other, name) || is_below(name, other)) {
			ph__receive_say(r, "error: cannot process '%s' and '%s' at the same time",
			                name, other);
			return;
		}
	}
}

static void refuse(struct receive *r, struct receive_command *c, enum ph_status verdict)
{
	c->error = verdict_text(verdict);
	c->staged = false;
	ph_txn_drop(r->txn, c->change);
	if (r->lines >= RECEIVE_LINES_MAX)
		return;
	if (verdict == PH_ERR_CONFLICT)
		say_value(r, c);
	else if (verdict == PH_ERR_INVALID)
		say_clash(r, c);
	else if (verdict == PH_ERR_NOT_FOUND)
		ph__receive_say(r, "error: cannot lock ref '%s': unable to resolve reference '%s'",
		                receive_name(r, c), receive_target(r, c));
	else
		ph__receive_say(r, "error: cannot lock ref '%s': %s", receive_name(r, c), c->error);
}

/* Drops the changes that cannot be done; returns how many those are. */
static uint32_t take_verdicts(struct receive *r)
{
	uint32_t refused = 0;

	for (uint32_t i = 0; i < r->count; i++) {
		struct receive_command *c = &r->commands[i];
		enum ph_status verdict = PH_OK;

		if (c->staged)
			verdict = ph_txn_verdict(r->txn, c->change);
		if (verdict == PH_OK)
			continue;
		refuse(r, c, verdict);
		refused++;
	}
	return refused;
}

/* ---- HEAD of a new repository ---- */

static const char *first_branch(const struct receive *r)
{
	static const char *const usual[] = {"refs/heads/main", "refs/heads/master"};
	const char *first = NULL, *found = NULL;
	size_t best = 2;

	for (uint32_t i = 0; i < r->count; i++) {
		const struct receive_command *c = &r->commands[i];
		const char *name = receive_target(r, c);

		if (!c->staged || c->deletes || strncmp(name, "refs/heads/", 11) != 0)
			continue;
		if (!first)
			first = name;
		for (size_t j = 0; j < best; j++) {
			if (strcmp(name, usual[j]) != 0)
				continue;
			best = j;
			found = name;
		}
	}
	return found ? found : first;
}

static enum ph_status stage_head(struct receive *r)
{
	const char *branch = first_branch(r);
	uint32_t change;

	if (!r->creates || r->head_staged || !branch)
		return PH_OK;
	r->head_staged = true;
	return ph_txn_symref_update(r->txn, "HEAD", NULL, branch, &change);
}

/* ---- phases ---- */

static enum ph_step finished(struct receive *r)
{
	ph__receive_drop_work(r);
	r->phase = RECEIVE_REPORT;
	return PH_STEP_AGAIN;
}

/* Nothing was committed: all that could have been fails with this. */
static enum ph_step fail(struct receive *r, enum ph_status status)
{
	const struct ph_service *service = &r->session.service;
	const char *text = ph_status_text(status);

	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection,
	            "%s: commit failed: %s", r->repo, text);
	if (status == PH_ERR_NOT_FOUND)
		text = "repository was deleted meanwhile";
	else if (status == PH_ERR_EXISTS)
		text = "repository was created meanwhile, push again";
	else if (ph__receive_commit_rule(r, status))
		text = ph__receive_commit_rule(r, status);
	ph__receive_say(r, "error: %s", text);
	for (uint32_t i = 0; i < r->count; i++) {
		struct receive_command *c = &r->commands[i];

		if (c->staged)
			c->error = text;
		c->staged = false;
	}
	return finished(r);
}

/* Some refs cannot be changed: without them once more, or not at all. */
static enum ph_step conflict(struct receive *r)
{
	enum ph_status status;

	if (take_verdicts(r) == 0)
		return fail(r, PH_ERR_CONFLICT);
	if (r->atomic) {
		for (uint32_t i = 0; i < r->count; i++)
			r->commands[i].error = "atomic transaction failed";
		return finished(r);
	}
	status = r->log_begun ? ph__receive_log(r, "refused") : PH_OK;
	if (status != PH_OK)
		return fail(r, status);
	r->phase = RECEIVE_PREPARE;
	return PH_STEP_AGAIN;
}

static bool any_staged(const struct receive *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->commands[i].staged)
			return true;
	return false;
}

enum ph_step ph__receive_prepare(struct receive *r)
{
	enum ph_status status;

	/* A refused push leaves nothing behind, not even its objects. */
	if (!any_staged(r))
		return finished(r);
	status = ph__receive_shallow_stage(r);
	if (status != PH_OK)
		return fail(r, status);
	status = ph_txn_prepare(r->txn);
	if (status == PH_ERR_CONFLICT)
		return conflict(r);
	if (status == PH_OK)
		status = stage_head(r);
	if (status == PH_OK && !r->log_begun)
		status = ph__receive_log(r, "push");
	if (status != PH_OK)
		return fail(r, status);
	r->log_begun = true;
	r->phase = RECEIVE_COMMIT;
	return PH_STEP_AGAIN;
}

static void log_done(const struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	uint32_t done = 0;

	for (uint32_t i = 0; i < r->count; i++)
		done += r->commands[i].staged;
	ph_log_line(service->log, PH_LOG_INFO, "receive-pack", service->connection,
	            "%s: %u of %u refs by %s, %u objects, %llu bytes", r->repo, done, r->count,
	            service->identity ? service->identity : "?", r->pack_objects,
	            (unsigned long long)r->pack_bytes);
}

enum ph_step ph__receive_commit(struct receive *r)
{
	enum ph_status status = ph__commit_run(&r->commit, r->txn);

	if (status == PH_PENDING || status == PH_AGAIN)
		return ph__commit_step(status);
	if (status == PH_ERR_CONFLICT)
		return conflict(r);
	if (status != PH_OK)
		return fail(r, status);
	log_done(r);
	ph__receive_post_receive(r);
	if (r->session.service.changed)
		r->session.service.changed(r->session.service.changed_user, r->repo);
	return finished(r);
}
