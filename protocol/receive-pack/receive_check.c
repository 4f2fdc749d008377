/* SPDX-License-Identifier: MIT */
/*
 * What is checked of every command once its objects are known to be whole: branches name commits,
 * the branch that HEAD names is not deleted, annotated tags get their peeled value. Then the
 * commands become changes of the transaction.
 */
#include "receive_int.h"

#include <assert.h>
#include <string.h>

/* Reading a tag or two is worth some units of the budget. */
#define CHECK_COST 4u
#define STAGE_COST 2u

/* ---- deletions ---- */

/* Here, or in the pack of this push. */
static bool is_known(const struct receive *r, const struct ph_oid *oid)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	struct ph_loc loc;

	return source->ops->find(source, oid, &loc) == PH_OK;
}

static bool current_may_go(struct receive *r, struct receive_command *c)
{
	static const char hint[] =
	        "error: By default, deleting the current branch is denied, because the next\n"
	        "'git clone' won't result in any file checked out, causing confusion.\n"
	        "\n"
	        "You can set 'receive.denyDeleteCurrent' configuration variable to\n"
	        "'warn' or 'ignore' in the remote repository to allow deleting the\n"
	        "current branch, with or without a warning message.\n"
	        "\n"
	        "To squelch this message, you can set it to 'refuse'.";

	if (r->config.deny_delete_current == PH_DENY_WARN)
		ph__receive_say(r, "warning: deleting the current branch");
	if (r->config.deny_delete_current == PH_DENY_WARN ||
	    r->config.deny_delete_current == PH_DENY_IGNORE)
		return true;
	if (r->config.deny_delete_current == PH_DENY_UNSET)
		ph__receive_say_text(r, hint);
	c->error = "deletion of the current branch prohibited";
	ph__receive_say(r, "error: refusing to delete the current branch: %s", receive_name(r, c));
	return false;
}

/*
 * Deleting what is not there is no error when the client was not sure of it either: it gave no old
 * value, or one that means nothing here. Git does the same.
 */
static void check_delete(struct receive *r, struct receive_command *c)
{
	struct ph_ref ref;
	bool unsure = ph_oid_is_zero(&c->old_oid);
	enum ph_status status = PH_ERR_NOT_FOUND;

	if (!unsure && strcmp(receive_target(r, c), r->head) == 0 && !current_may_go(r, c))
		return;
	if (r->snapshot)
		status = ph_snapshot_ref(r->snapshot, receive_target(r, c), &ref);
	if (status == PH_ERR_NOT_FOUND) {
		/* The transaction tells that it is not there. Where things are hidden, that would
		 * tell that the old value is here. */
		if (!unsure && r->txn && !receive_hides(r) && is_known(r, &c->old_oid))
			return;
		ph__receive_say(r, "warning: deleting a non-existent ref");
		c->skip = true;
	} else if (status != PH_OK) {
		c->error = ph_status_text(status);
	} else if (unsure) {
		c->error = "incorrect old value provided";
	}
}

/* ---- updates ---- */

static enum ph_status type_of(const struct ph_source *source, const struct ph_oid *oid,
                              enum ph_object_type *type)
{
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status = source->ops->find(source, oid, &loc);

	if (status == PH_OK)
		status = source->ops->entry(source, loc, &entry);
	if (status == PH_OK)
		*type = entry.type;
	return status;
}

static void refuse_type(struct receive *r, struct receive_command *c)
{
	char hex[PH_OID_HEX_MAX + 1];
	const char *name = receive_name(r, c);

	c->error = "invalid new value provided";
	ph__receive_say(r, "error: trying to write non-commit object %s to branch '%s'",
	                ph_oid_to_hex(hex, r->algo, &c->new_oid), name);
}

static enum ph_status check_update(struct receive *r, struct receive_command *c)
{
	const struct ph_source *source = ph_reader_source(r->reader);
	enum ph_object_type type;
	enum ph_status status = type_of(source, &c->new_oid, &type);

	if (status != PH_OK)
		return status;
	if (type != PH_OBJ_COMMIT && strncmp(receive_target(r, c), "refs/heads/", 11) == 0)
		refuse_type(r, c);
	else if (type == PH_OBJ_TAG)
		return ph_reader_peel(r->reader, &c->new_oid, &c->peeled, &type);
	return PH_OK;
}

/* ---- all of them ---- */

/* The branch that HEAD names, born or not. */
static enum ph_status find_head(struct receive *r)
{
	struct ph_ref ref;
	char target[PH_REF_NAME_MAX + 1];
	enum ph_status status = PH_ERR_NOT_FOUND;

	if (!r->snapshot)
		return PH_OK;
	status = ph_snapshot_resolve(r->snapshot, "HEAD", &ref, target);
	if (status == PH_OK || status == PH_ERR_NOT_FOUND) {
		memcpy(r->head, target, sizeof(target));
		return PH_OK;
	}
	return status == PH_ERR_LIMIT ? PH_OK : status;
}

static enum ph_status prepare_checks(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	enum ph_status status = find_head(r);

	if (status != PH_OK || !r->txn)
		return status;
	return ph_reader_new(&r->reader, ph_txn_source(r->txn), service->alloc, service->limits);
}

static enum ph_status check(struct receive *r, struct receive_command *c)
{
	if (!c->deletes)
		return check_update(r, c);
	check_delete(r, c);
	return PH_OK;
}

static enum ph_step checked(struct receive *r)
{
	bool failed = false;

	ph_reader_free(r->reader);
	r->reader = NULL;
	for (uint32_t i = 0; i < r->count; i++)
		failed = failed || r->commands[i].error;
	if (failed && r->atomic)
		ph__receive_fail_all(r, "atomic push failure");
	r->at = 0;
	r->phase = RECEIVE_RULES;
	return PH_STEP_AGAIN;
}

enum ph_step ph__receive_check(struct receive *r, uint32_t *budget)
{
	if (r->at == 0 && !r->forward) {
		enum ph_status status = prepare_checks(r);

		if (status != PH_OK)
			return ph__receive_die_status(r, status);
	}
	while (r->at < r->count) {
		struct receive_command *c = &r->commands[r->at];
		enum ph_status status = PH_OK;

		if (receive_live(c))
			status = ph__receive_deny(r, c, budget);
		if (status == PH_AGAIN)
			return PH_STEP_AGAIN;
		r->at++;
		if (status == PH_OK && receive_live(c))
			status = check(r, c);
		if (status == PH_ERR_NOMEM)
			return ph__receive_die_status(r, status);
		if (status != PH_OK)
			c->error = ph_status_text(status);
		ph_budget_spend(budget, CHECK_COST);
		if (*budget == 0 && r->at < r->count)
			return PH_STEP_AGAIN;
	}
	return checked(r);
}

/* ---- into the transaction ---- */

static enum ph_status stage(struct receive *r, struct receive_command *c)
{
	const struct ph_oid *peeled = ph_oid_is_zero(&c->peeled) ? NULL : &c->peeled;
	enum ph_status status = ph_txn_ref_update(r->txn, receive_target(r, c), &c->old_oid,
	                                          &c->new_oid, peeled, &c->change);

	c->staged = status == PH_OK;
	return status;
}

enum ph_step ph__receive_stage(struct receive *r, uint32_t *budget)
{
	while (r->at < r->count) {
		struct receive_command *c;
		enum ph_status status;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, STAGE_COST);
		c = &r->commands[r->at++];
		if (!receive_live(c))
			continue;
		assert(r->txn);
		status = stage(r, c);
		if (status == PH_ERR_NOMEM)
			return ph__receive_die_status(r, status);
		if (status != PH_OK)
			c->error = status == PH_ERR_EXISTS ? "multiple updates for one ref"
			                                   : ph_status_text(status);
	}
	r->phase = RECEIVE_CERT_STORE;
	return PH_STEP_AGAIN;
}
