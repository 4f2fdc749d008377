/* SPDX-License-Identifier: MIT */
/*
 * The owner's calls (policy.h): what they are shown, how they wait, and what becomes of a push that
 * they refuse. An owner's texts are copied, cleaned of control bytes: they go into reports.
 */
#include "receive_int.h"

#include <assert.h>
#include <string.h>

/* Of a text of the owner's: a report's line has room for it. */
#define TEXT_BYTES_MAX 200u
/* Of all texts of one push. Beyond it refs get git's own words. */
#define TEXTS_BYTES_MAX (1u << 20)

struct receive_text {
	struct receive_text *next;
	char text[];
};

static const struct ph_policy *policy_of(const struct receive *r)
{
	return r->session.service.policy;
}

/* ---- what the owner sees ---- */

static void say(const struct ph_push *push, const char *text)
{
	ph__receive_say(push->session, "%s", text);
}

static void show(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	struct ph_push *push = &r->policy.push;

	push->repo = r->repo;
	push->identity = service->identity;
	push->pack_bytes = r->pack_bytes;
	push->pack_objects = r->pack_objects;
	push->options = (const char *const *)r->options.list;
	push->options_count = r->options.count;
	push->say = say;
	push->session = r;
	push->source = NULL;
	if (r->txn)
		push->source = ph_txn_source(r->txn);
	else if (r->snapshot)
		push->source = ph_snapshot_source(r->snapshot);
}

static void show_command(const struct receive *r, uint32_t number, struct ph_push_command *out)
{
	const struct receive_command *c = &r->commands[number];

	out->old_oid = c->old_oid;
	out->new_oid = c->new_oid;
	out->name = receive_name(r, c);
	out->error = receive_verdict(r, c);
}

/* Room for all commands, with the first call that is shown them. */
static enum ph_status show_commands(struct receive *r)
{
	struct receive_policy *policy = &r->policy;

	if (r->count > 0 && !policy->commands)
		policy->commands = ph_mem_zalloc(r->session.service.alloc, r->count,
		                                 sizeof(*policy->commands));
	if (r->count > 0 && !policy->commands)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < r->count; i++)
		show_command(r, i, &policy->commands[i]);
	policy->push.commands = policy->commands;
	policy->push.count = r->count;
	return PH_OK;
}

/* ---- texts ---- */

const char *ph__receive_text(struct receive *r, const char *text)
{
	size_t len = strlen(text);
	struct receive_text *kept = r->policy.texts;

	if (len > TEXT_BYTES_MAX)
		len = TEXT_BYTES_MAX;
	if (kept && strlen(kept->text) == len && memcmp(kept->text, text, len) == 0)
		return kept->text;
	if (r->policy.texts_bytes > TEXTS_BYTES_MAX)
		return NULL;
	kept = ph_mem_alloc(r->session.service.alloc, sizeof(*kept) + len + 1);
	if (!kept)
		return NULL;
	for (size_t i = 0; i < len; i++)
		kept->text[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	kept->text[len] = 0;
	kept->next = r->policy.texts;
	r->policy.texts = kept;
	r->policy.texts_bytes += sizeof(*kept) + len + 1;
	return kept->text;
}

/* The owner's text, or git's: also where there is no room for the owner's. */
static const char *reason(struct receive *r, const char *otherwise)
{
	const char *text =
	        r->policy.why && *r->policy.why ? ph__receive_text(r, r->policy.why) : NULL;

	return text ? text : otherwise;
}

void ph__receive_policy_release(struct receive *r)
{
	const struct ph_alloc *alloc = r->session.service.alloc;

	while (r->policy.texts) {
		struct receive_text *next = r->policy.texts->next;

		ph_mem_free(alloc, r->policy.texts);
		r->policy.texts = next;
	}
	ph_mem_free(alloc, r->policy.commands);
	r->policy.commands = NULL;
}

/* ---- calls ---- */

/* Asks, or asks again after a wake. PH_PENDING and PH_AGAIN: as ph__commit_step answers them. */
static enum ph_status ask(struct receive *r, ph__commit_call *call)
{
	if (!r->session.busy) {
		show(r);
		r->policy.why = NULL;
	}
	return ph__commit_ask(&r->commit, call, r);
}

static void show_wake(struct receive *r, ph_wake wake, void *arg)
{
	r->policy.push.wake = wake;
	r->policy.push.wake_arg = arg;
	r->policy.why = NULL;
}

static bool waits(enum ph_status status)
{
	return status == PH_PENDING || status == PH_AGAIN;
}

static enum ph_status call_authorise(void *user, ph_wake wake, void *arg)
{
	struct receive *r = user;

	show_wake(r, wake, arg);
	return policy_of(r)->authorise(policy_of(r)->user, &r->policy.push, &r->policy.why);
}

enum ph_step ph__receive_authorise(struct receive *r)
{
	const struct ph_policy *policy = policy_of(r);
	enum ph_status status = PH_OK;

	/* Who may not write is told so by us. */
	if (policy && policy->authorise && r->session.service.permission >= PH_PERM_WRITE)
		status = ask(r, call_authorise);
	if (waits(status))
		return ph__commit_step(status);
	if (status != PH_OK)
		return ph__receive_die(r, reason(r, "access denied"));
	r->phase = RECEIVE_OPEN;
	return PH_STEP_AGAIN;
}

static enum ph_status call_quota(void *user, ph_wake wake, void *arg)
{
	struct receive *r = user;

	show_wake(r, wake, arg);
	r->policy.quota = UINT64_MAX;
	return policy_of(r)->quota(policy_of(r)->user, &r->policy.push, &r->policy.quota,
	                           &r->policy.why);
}

enum ph_step ph__receive_quota(struct receive *r)
{
	const struct ph_policy *policy = policy_of(r);
	enum ph_status status = PH_OK;

	if (!r->session.busy)
		r->policy.quota = UINT64_MAX;
	if (policy && policy->quota)
		status = ask(r, call_quota);
	if (waits(status)) {
		ph__receive_keepalive(r);
		return ph__commit_step(status);
	}
	if (status != PH_OK) {
		const char *text = reason(r, "quota exceeded");

		ph__receive_say(r, "error: %s", text);
		return ph__receive_fail_unpack(r, text);
	}
	r->phase = RECEIVE_PACK;
	return PH_STEP_AGAIN;
}

static enum ph_status call_pre_receive(void *user, ph_wake wake, void *arg)
{
	struct receive *r = user;

	show_wake(r, wake, arg);
	return policy_of(r)->pre_receive(policy_of(r)->user, &r->policy.push, &r->policy.why);
}

enum ph_step ph__receive_pre_receive(struct receive *r)
{
	const struct ph_policy *policy = policy_of(r);
	enum ph_status status = PH_OK;

	if (policy && policy->pre_receive) {
		if (!r->session.busy)
			status = show_commands(r);
		if (status != PH_OK)
			return ph__receive_die_status(r, status);
		status = ask(r, call_pre_receive);
	}
	if (waits(status))
		return ph__commit_step(status);
	if (status != PH_OK)
		ph__receive_fail_all(r, reason(r, "pre-receive hook declined"));
	r->at = 0;
	r->phase = RECEIVE_CHECK;
	return PH_STEP_AGAIN;
}

static enum ph_status call_update(void *user, ph_wake wake, void *arg)
{
	struct receive *r = user;

	show_wake(r, wake, arg);
	return policy_of(r)->update(policy_of(r)->user, &r->policy.push, r->at, &r->policy.why);
}

static enum ph_step updated(struct receive *r)
{
	bool failed = false;

	for (uint32_t i = 0; i < r->count; i++)
		failed = failed || r->commands[i].error;
	if (failed && r->atomic)
		ph__receive_fail_all(r, "atomic push failure");
	r->at = 0;
	r->phase = RECEIVE_STAGE;
	return PH_STEP_AGAIN;
}

enum ph_step ph__receive_update(struct receive *r, uint32_t *budget)
{
	const struct ph_policy *policy = policy_of(r);
	enum ph_status status = PH_OK;

	/* Now there is still a way back when memory runs out. */
	if (policy && (policy->update || policy->post_receive) && !r->session.busy && r->at == 0)
		status = show_commands(r);
	if (status == PH_OK && (!policy || !policy->update))
		return updated(r);
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	for (; r->at < r->count; r->at++) {
		struct receive_command *c = &r->commands[r->at];

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		if (!receive_live(c))
			continue;
		status = ask(r, call_update);
		if (waits(status))
			return ph__commit_step(status);
		if (status == PH_OK)
			continue;
		c->error = reason(r, "hook declined");
		show_command(r, r->at, &r->policy.commands[r->at]);
		ph__receive_say(r, "error: hook declined to update %s", receive_name(r, c));
	}
	return updated(r);
}

/* By itself, or by another name for the same ref. */
static bool is_done(const struct receive *r, const struct receive_command *c)
{
	return c->staged || (c->leader && r->commands[c->leader - 1].staged);
}

void ph__receive_post_receive(struct receive *r)
{
	const struct ph_policy *policy = policy_of(r);
	struct ph_push *push = &r->policy.push;
	struct ph_snapshot *now = NULL;
	uint32_t done = 0;

	if (!policy || !policy->post_receive)
		return;
	for (uint32_t i = 0; i < r->count; i++)
		if (is_done(r, &r->commands[i]))
			show_command(r, i, &r->policy.commands[done++]);
	if (done == 0)
		return;
	show(r);
	push->count = done;
	push->source = NULL;
	if (ph_store_snapshot(r->session.service.store, r->repo, &now) == PH_OK)
		push->source = ph_snapshot_source(now);
	push->wake = NULL;
	push->wake_arg = NULL;
	policy->post_receive(policy->user, push);
	push->source = NULL;
	ph_snapshot_release(now);
}
