/* SPDX-License-Identifier: MIT */
/*
 * What the configuration does not allow a push to do, in git's words: changing refs that it hides,
 * deleting branches, and moving them to where their old value is lost. Whether a move is one
 * forward is looked for in the objects of the transaction, the pushed ones among them.
 */
#include "receive_int.h"
#include "visible_int.h"

#include <string.h>

static bool is_branch(const struct receive *r, const struct receive_command *c)
{
	return strncmp(receive_target(r, c), "refs/heads/", 11) == 0;
}

/* By the name that was given, and by that of the ref that would change. */
static bool is_hidden(const struct receive *r, const struct receive_command *c)
{
	const struct ph_config_list *hidden = &r->config.hide_receive;

	/* The log of pushes is ours to write. */
	if (strncmp(receive_target(r, c), PH__OWN_REFS, sizeof(PH__OWN_REFS) - 1) == 0)
		return true;
	return ph_config_hidden(hidden, receive_name(r, c)) ||
	       ph_config_hidden(hidden, receive_target(r, c));
}

static void check_name(struct receive *r, struct receive_command *c)
{
	if (is_hidden(r, c)) {
		c->error = c->deletes ? "deny deleting a hidden ref" : "deny updating a hidden ref";
	} else if (c->funny) {
		c->error = "funny refname";
		ph__receive_say(r, "error: refusing to update funny ref '%s' remotely",
		                receive_name(r, c));
	}
}

enum ph_step ph__receive_names(struct receive *r, uint32_t *budget)
{
	while (r->at < r->count) {
		struct receive_command *c = &r->commands[r->at];

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		if (receive_live(c))
			check_name(r, c);
		r->at++;
	}
	r->at = 0;
	r->phase = RECEIVE_ALIASES;
	return PH_STEP_AGAIN;
}

void ph__receive_deny_release(struct receive *r)
{
	ph_reach_free(r->forward);
	r->forward = NULL;
}

/* Whether the new value reaches the old one; an old one that is not here the transaction refuses.
 */
static enum ph_status begin_forward(struct receive *r, const struct receive_command *c)
{
	const struct ph_service *service = &r->session.service;
	enum ph_status status = ph_reach_new(&r->forward, ph_txn_source(r->txn), service->alloc,
	                                     service->limits, NULL);

	if (status == PH_OK)
		status = ph_reach_target(r->forward, &c->old_oid);
	if (status == PH_ERR_NOT_FOUND)
		status = PH_OK;
	return status == PH_OK ? ph_reach_tip(r->forward, &c->new_oid) : status;
}

static enum ph_status check_forward(struct receive *r, struct receive_command *c, uint32_t *budget)
{
	struct ph_oid missing;
	enum ph_status status = r->forward ? PH_OK : begin_forward(r, c);

	if (status == PH_OK)
		status = ph_reach_run(r->forward, budget, &missing);
	if (status == PH_AGAIN)
		return status;
	ph__receive_deny_release(r);
	if (status != PH_ERR_NOT_FOUND)
		return status;
	c->error = "non-fast-forward";
	ph__receive_say(r, "error: denying non-fast-forward %s (you should pull first)",
	                receive_name(r, c));
	return PH_OK;
}

static bool moves_forward_only(const struct receive *r, const struct receive_command *c)
{
	return (r->config.deny_non_fast_forwards && is_branch(r, c)) ||
	       ph_config_hidden(&r->config.forward_refs, receive_target(r, c));
}

enum ph_status ph__receive_deny(struct receive *r, struct receive_command *c, uint32_t *budget)
{
	const struct ph_config *config = &r->config;

	/* A deletion without an old value is one of nothing, or refused for that. */
	if (c->deletes && config->deny_deletes && is_branch(r, c) && !ph_oid_is_zero(&c->old_oid)) {
		c->error = "deletion prohibited";
		ph__receive_say(r, "error: denying ref deletion for %s", receive_name(r, c));
	} else if (!c->deletes && !ph_oid_is_zero(&c->old_oid) && moves_forward_only(r, c)) {
		return check_forward(r, c, budget);
	}
	return PH_OK;
}
