/* SPDX-License-Identifier: MIT */
/*
 * Rules that the configuration declares (config.h, packhorse.*): how much may come, which is told
 * while it comes, and which refs may change how. Who is refused reads which rule did it, in the
 * report and with what to do on a line of its own. A repository's bytes are bounded once more by
 * the store, when the push commits, as others may commit meanwhile.
 */
#include "receive_int.h"

#include <string.h>

/* Bytes of pack between two looks at the space that the store has left. */
#define SPACE_EVERY ((uint64_t)1 << 20)

static const char full_text[] = "repository is full (packhorse.maxRepositorySize)";

/* ---- sizes ---- */

const struct ph_limits *ph__receive_pack_limits(struct receive *r)
{
	const struct ph_limits *limits = r->session.service.limits;
	uint64_t max = r->config.max_object_bytes;

	if (max == 0 || max >= limits->object_bytes_max)
		return limits;
	r->policy.limits = *limits;
	r->policy.limits.object_bytes_max = max;
	return &r->policy.limits;
}

const char *ph__receive_pack_rule(struct receive *r, const struct ph_error *error)
{
	uint64_t max = r->config.max_object_bytes;

	if (!error || error->status != PH_ERR_LIMIT || !error->what || max == 0 ||
	    strcmp(error->what, "object too large") != 0)
		return NULL;
	ph__receive_say(r,
	                "error: the push has an object of more than %llu bytes, which "
	                "packhorse.maxObjectSize does not allow; take it out of the commits "
	                "that are pushed",
	                (unsigned long long)max);
	return "object too large (packhorse.maxObjectSize)";
}

static uint64_t stored_bytes(const struct receive *r)
{
	const struct ph_source *source = r->snapshot ? ph_snapshot_source(r->snapshot) : NULL;
	uint64_t sum = 0, bytes;
	uint32_t entries;

	for (uint32_t i = 0; source && i < source->ops->packs(source); i++) {
		source->ops->pack_size(source, i, &entries, &bytes);
		sum += bytes;
	}
	return sum;
}

static const char *repository_over(struct receive *r, uint64_t bytes)
{
	uint64_t max = r->config.max_repository_bytes, stored;

	if (max == 0)
		return NULL;
	if (!r->txn->bytes_max) {
		r->policy.stored = stored_bytes(r);
		r->txn->bytes_max = max;
	}
	stored = r->policy.stored;
	if (stored <= max && bytes <= max - stored)
		return NULL;
	ph__receive_say(r,
	                "error: the repository holds %llu bytes, and may hold %llu "
	                "(packhorse.maxRepositorySize); delete what is not needed, or have an "
	                "owner allow more",
	                (unsigned long long)stored, (unsigned long long)max);
	return full_text;
}

static const char *reserve_over(struct receive *r, uint64_t bytes)
{
	uint64_t reserve = r->config.disk_reserve_bytes, space;

	if (reserve == 0 || bytes < r->policy.space_at)
		return NULL;
	r->policy.space_at = bytes + SPACE_EVERY;
	space = ph_store_space(r->session.service.store);
	if (space >= reserve)
		return NULL;
	ph__receive_say(r,
	                "error: the server has %llu bytes left and keeps %llu "
	                "(packhorse.diskReserve); refs can be deleted, and nothing pushed",
	                (unsigned long long)space, (unsigned long long)reserve);
	return "disk is nearly full (packhorse.diskReserve)";
}

const char *ph__receive_over(struct receive *r, uint64_t bytes)
{
	const char *text;

	/* A pack of no objects brings nothing. */
	if (ph_pack_in_stats(r->pack_in)->announced == 0)
		return NULL;
	if (bytes > r->policy.quota) {
		ph__receive_say(r, "error: quota exceeded: the repository may take %llu bytes more",
		                (unsigned long long)r->policy.quota);
		return "quota exceeded";
	}
	text = repository_over(r, bytes);
	return text ? text : reserve_over(r, bytes);
}

const char *ph__receive_commit_rule(struct receive *r, enum ph_status status)
{
	return status == PH_ERR_LIMIT && r->txn && r->txn->bytes_max ? full_text : NULL;
}

/* ---- refs ---- */

static void refuse(struct receive *r, struct receive_command *c, const char *error, const char *why)
{
	c->error = error;
	ph__receive_say(r, "error: %s: %s", receive_name(r, c), why);
}

static bool is_one_of(const struct receive *r, const struct ph_config_list *refs,
                      const struct receive_command *c)
{
	return ph_config_hidden(refs, receive_name(r, c)) ||
	       ph_config_hidden(refs, receive_target(r, c));
}

static void check_ref(struct receive *r, struct receive_command *c)
{
	const struct ph_config *config = &r->config;

	if (r->session.service.permission < PH_PERM_OWNER &&
	    is_one_of(r, &config->protected_refs, c))
		refuse(r, c, "protected ref (packhorse.protect)",
		       "only owners of this server may change it; ask one, or push to another ref");
	else if (c->deletes && is_one_of(r, &config->kept_refs, c))
		refuse(r, c, "deletion prohibited (packhorse.denyDeletes)",
		       "it may not be deleted here");
	else if (!ph_oid_is_zero(&c->old_oid) && is_one_of(r, &config->fixed_refs, c))
		refuse(r, c, "ref is fixed (packhorse.createOnly)",
		       "it may be created here, and then neither moved nor deleted; use a new "
		       "name");
	else if (!c->deletes && r->policy.path_error)
		c->error = r->policy.path_error;
}

enum ph_step ph__receive_rules(struct receive *r, uint32_t *budget)
{
	bool failed = false;
	enum ph_status status = ph__receive_paths(r, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	for (; r->at < r->count; r->at++) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		if (receive_live(&r->commands[r->at]))
			check_ref(r, &r->commands[r->at]);
	}
	for (uint32_t i = 0; i < r->count; i++)
		failed = failed || r->commands[i].error;
	if (failed && r->atomic)
		ph__receive_fail_all(r, "atomic push failure");
	r->at = 0;
	r->phase = RECEIVE_UPDATE;
	return PH_STEP_AGAIN;
}
