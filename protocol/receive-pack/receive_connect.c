/* SPDX-License-Identifier: MIT */
/*
 * The proof that a push is connected: everything its new tips reach is in the pack, or reachable
 * from a ref of the transaction's base. That an object merely lies in the store proves nothing. One
 * walk for all commands tells that all is well. When it does not, halves are walked for, and halves
 * of those, so that only the broken commands are refused: a few walks for each of them.
 */
#include "receive_int.h"

#include <assert.h>
#include <string.h>

/*
 * Every walk begins by going over all refs of the repository, and may go over its whole history.
 * What this may cost in all is bounded, or a push of many broken refs would keep us busy for hours:
 * beyond it, commands that are not proven are refused. In tips added and units of work; a walk
 * costs some more. A walk of everything takes a few units an object, and ten of them find the one
 * broken command among a thousand.
 */
#define SPENT_MAX ((uint64_t)2 << 20)
#define SPENT_EACH 64u /* more for every object and every ref */
#define WALK_COST 256u

static bool wants_proof(const struct receive_command *c)
{
	return receive_live(c) && !c->deletes && !c->proven;
}

/* In the second round, those that the first has left over. */
static bool is_due(const struct receive *r, const struct receive_command *c)
{
	return wants_proof(c) && c->cut == r->connect.bounded;
}

static void release_walk(struct receive_connect *connect)
{
	ph_ref_iter_free(connect->refs);
	ph_walk_free(connect->walk);
	connect->refs = NULL;
	connect->walk = NULL;
}

/* The base's packs have the same numbers in the transaction's source. */
enum ph_status ph__receive_maps(struct receive *r, struct ph_walk_options *options)
{
	struct receive_connect *connect = &r->connect;
	enum ph_status status = PH_OK;

	if (!connect->mapped && r->snapshot)
		status = ph__map_set_open(&connect->maps, r->snapshot, &r->session.service,
		                          "receive-pack");
	connect->mapped = true;
	if (connect->maps.maps.count > 0)
		options->maps = &connect->maps.maps;
	return status;
}

bool ph__receive_maps_blamed(struct receive *r, enum ph_status status)
{
	const struct ph_service *service = &r->session.service;

	if ((status != PH_ERR_CORRUPT && status != PH_ERR_IO) || r->connect.maps.maps.count == 0)
		return false;
	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection,
	            "%s: again without maps of packs: %s", r->repo, ph_status_text(status));
	release_walk(&r->connect);
	ph__map_set_close(&r->connect.maps);
	return true;
}

void ph__receive_connect_release(struct receive *r)
{
	release_walk(&r->connect);
	ph__map_set_close(&r->connect.maps);
}

static enum ph_step finished(struct receive *r)
{
	ph__receive_connect_release(r);
	ph__receive_tips_release(r);
	r->at = 0;
	r->phase = RECEIVE_NAMES;
	return PH_STEP_AGAIN;
}

/* A failure that is ours and not the push's: no command can be proven. */
static enum ph_step fail_internal(struct receive *r, enum ph_status status)
{
	const struct ph_service *service = &r->session.service;

	if (status == PH_ERR_NOMEM)
		return ph__receive_die_status(r, status);
	ph_log_line(service->log, PH_LOG_ERROR, "receive-pack", service->connection,
	            "%s: connectivity check failed: %s", r->repo, ph_status_text(status));
	ph__receive_fail_all(r, ph_status_text(status));
	return finished(r);
}

/* What a walk's failure says about the objects, and not about us. */
static bool is_broken(enum ph_status status)
{
	return status == PH_ERR_MISSING || status == PH_ERR_NOT_FOUND || status == PH_ERR_CORRUPT ||
	       status == PH_ERR_INVALID || status == PH_ERR_LIMIT;
}

static void refuse(struct receive *r, struct receive_command *c, enum ph_status why)
{
	const struct ph_service *service = &r->session.service;
	char hex[PH_OID_HEX_MAX + 1];

	/* It may be a shallow client's, that needs its boundary. */
	if (!r->connect.bounded && r->shallow.count > 0) {
		c->cut = true;
		return;
	}
	c->error = "missing necessary objects";
	ph_log_line(service->log, PH_LOG_INFO, "receive-pack", service->connection,
	            "%s: not connected: %s at %s: %s", r->repo, receive_name(r, c),
	            ph_oid_to_hex(hex, r->algo, &c->new_oid), ph_status_text(why));
}

/* Refuses, or marks as proven, all that a walk was for. */
static void settle(struct receive *r, enum ph_status status)
{
	for (uint32_t i = r->connect.first; i < r->connect.end; i++) {
		struct receive_command *c = &r->commands[i];

		if (!is_due(r, c))
			continue;
		if (status != PH_OK)
			refuse(r, c, status);
		else if (r->connect.bounded && !r->config.shallow_update)
			c->error = "shallow update not allowed";
		else
			c->proven = true;
	}
}

static bool any_cut(const struct receive *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->commands[i].cut)
			return true;
	return false;
}

/*
 * All commands were looked at. Those that are not connected are looked at again, with the boundary
 * of a shallow client, which may be what they miss.
 */
static enum ph_step bound(struct receive *r, uint32_t *budget)
{
	struct receive_connect *connect = &r->connect;
	bool any = false;
	enum ph_status status = any_cut(r) ? ph__receive_shallow_any(r, &any, budget) : PH_OK;

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return fail_internal(r, status);
	connect->bounded = true;
	connect->first = 0;
	connect->end = r->count;
	connect->width = 0;
	if (any)
		return PH_STEP_AGAIN;
	settle(r, PH_ERR_MISSING);
	return finished(r);
}

/* Only what more than one walk costs is looked at: all that is well is proven by the first. */
static bool spent_all(const struct receive *r)
{
	uint64_t size = ph_source_objects(ph_txn_source(r->txn)) + r->advert.refs + r->count;

	return r->connect.again && r->connect.spent > SPENT_MAX + SPENT_EACH * size;
}

/* Sets the next window of commands, and begins a walk for it. */
static enum ph_step start(struct receive *r, uint32_t *budget)
{
	struct receive_connect *connect = &r->connect;
	struct ph_walk_options options = {.alloc = r->session.service.alloc,
	                                  .limits = r->session.service.limits,
	                                  .connectivity = true};
	enum ph_status status;

	release_walk(connect);
	if (connect->width == 0)
		connect->width = r->count;
	while (connect->first < r->count && !is_due(r, &r->commands[connect->first]))
		connect->first++;
	if (connect->first == r->count)
		return connect->bounded ? finished(r) : bound(r, budget);
	connect->end = r->count - connect->first > connect->width ? connect->first + connect->width
	                                                          : r->count;
	if (spent_all(r)) {
		connect->end = r->count;
		settle(r, PH_ERR_LIMIT);
		return connect->bounded ? finished(r) : bound(r, budget);
	}
	connect->spent += WALK_COST;
	options.source = ph_txn_source(r->txn);
	status = ph__receive_maps(r, &options);
	if (status == PH_OK)
		status = ph_walk_new(&connect->walk, &options);
	if (status != PH_OK)
		return fail_internal(r, status);
	connect->at = connect->first;
	connect->wanted = 0;
	connect->stage = CONNECT_WANTS;
	return PH_STEP_AGAIN;
}

/*
 * Of a pack that is closed whatever it holds is connected: nothing is walked for. What is left are
 * tips that were here before.
 */
static enum ph_step prove_closed(struct receive *r, uint32_t *budget)
{
	const struct ph_source *source = r->closed ? ph_txn_source(r->txn) : NULL;
	struct receive_connect *connect = &r->connect;

	while (r->closed && connect->at < r->count) {
		struct receive_command *c;
		uint32_t pos;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		c = &r->commands[connect->at++];
		if (!wants_proof(c))
			continue;
		c->proven = ph_source_find_in(source, source->ops->packs(source) - 1, &c->new_oid,
		                              &pos) == PH_OK;
		connect->again = connect->again || c->proven;
	}
	connect->stage = CONNECT_START;
	return PH_STEP_AGAIN;
}

static enum ph_step want_tips(struct receive *r, uint32_t *budget)
{
	struct receive_connect *connect = &r->connect;

	while (connect->at < connect->end) {
		struct receive_command *c;
		enum ph_status status;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		connect->spent++;
		c = &r->commands[connect->at++];
		if (!is_due(r, c))
			continue;
		status = ph_walk_want(connect->walk, &c->new_oid);
		if (status == PH_OK)
			connect->wanted++;
		else if (is_broken(status))
			refuse(r, c, status);
		else
			return fail_internal(r, status);
	}
	connect->stage = connect->wanted ? CONNECT_REFS : CONNECT_START;
	return PH_STEP_AGAIN;
}

/* One ref that the base has, as a have. */
static enum ph_status have_ref(struct receive *r)
{
	struct receive_connect *connect = &r->connect;
	struct ph_ref ref;
	bool peeled;
	enum ph_status status = ph_ref_iter_next(connect->refs, &ref);

	if (status != PH_OK || *ref.target)
		return status;
	connect->spent++;
	if (ph_config_hidden(&r->config.hide_receive, ref.name))
		return PH_OK;
	/* What a tag names is known without reading it. The tag itself counts only where all that
	 * is selected has to be the push's own. */
	peeled = !ph_oid_is_zero(&ref.peeled) && !receive_hides(r);
	status = ph_walk_have(connect->walk, peeled ? &ref.peeled : &ref.oid);
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

/* The repository's own boundary counts; the client's does in the second round. */
static enum ph_status graft(struct receive *r)
{
	const struct ph_oid *oids = NULL;
	uint32_t count = r->snapshot ? ph_snapshot_shallow(r->snapshot, &oids) : 0;

	for (uint32_t i = 0; i < count; i++) {
		enum ph_status status = ph_walk_graft(r->connect.walk, &oids[i]);

		if (status != PH_OK && status != PH_ERR_NOT_FOUND)
			return status;
	}
	return r->connect.bounded ? ph__receive_shallow_graft(r, r->connect.walk) : PH_OK;
}

static enum ph_step have_refs(struct receive *r, uint32_t *budget)
{
	struct receive_connect *connect = &r->connect;
	enum ph_status status = PH_OK;

	if (!connect->refs)
		status = graft(r);
	if (status == PH_OK && r->snapshot && !connect->refs)
		status = ph_snapshot_refs(r->snapshot, "refs/", &connect->refs);
	while (r->snapshot && status == PH_OK) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		status = have_ref(r);
		ph_budget_spend(budget, 1);
	}
	if (status < 0)
		return fail_internal(r, status);
	connect->at = 0;
	connect->stage = connect->again ? CONNECT_PROVEN : CONNECT_WALK;
	return PH_STEP_AGAIN;
}

/* What earlier walks have proven need not be walked again. */
static enum ph_step have_proven(struct receive *r, uint32_t *budget)
{
	struct receive_connect *connect = &r->connect;

	while (connect->at < r->count) {
		struct receive_command *c;
		enum ph_status status;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		connect->spent++;
		c = &r->commands[connect->at++];
		if (!c->proven)
			continue;
		status = ph_walk_have(connect->walk, &c->new_oid);
		if (status != PH_OK && status != PH_ERR_NOT_FOUND)
			return fail_internal(r, status);
	}
	connect->stage = CONNECT_WALK;
	return PH_STEP_AGAIN;
}

/*
 * A window that is connected is done, and the next may be larger. One that is not is halved, down
 * to a single command, which is refused.
 */
static enum ph_step walked(struct receive *r, enum ph_status status)
{
	struct receive_connect *connect = &r->connect;

	if (status == PH_OK || connect->wanted == 1) {
		settle(r, status);
		connect->first = connect->end;
		connect->width = connect->width > UINT32_MAX / 2 ? UINT32_MAX : 2 * connect->width;
	} else {
		connect->width = (connect->end - connect->first) / 2;
	}
	connect->again = true;
	connect->stage = CONNECT_START;
	return PH_STEP_AGAIN;
}

/* The walk has met all that the commands of its window reach. */
static enum ph_step connected(struct receive *r)
{
	struct receive_connect *connect = &r->connect;
	enum ph_status status = PH_OK;

	if (connect->bounded && r->config.shallow_update)
		status = ph__receive_shallow_used(r, connect->walk);
	if (status != PH_OK)
		return fail_internal(r, status);
	if (connect->again)
		return walked(r, PH_OK);
	/* It was for all commands. */
	connect->stage = CONNECT_TIPS;
	return PH_STEP_AGAIN;
}

static enum ph_step walk(struct receive *r, uint32_t *budget)
{
	struct receive_connect *connect = &r->connect;
	uint32_t before = *budget;
	enum ph_status status = ph_walk_run(connect->walk, budget);

	connect->spent += before - *budget;
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (ph__receive_maps_blamed(r, status)) {
		connect->stage = CONNECT_START;
		return PH_STEP_AGAIN;
	}
	if (status != PH_OK && !is_broken(status))
		return fail_internal(r, status);
	if (status != PH_OK)
		return walked(r, status);
	if (!receive_hides(r))
		return connected(r);
	connect->at = connect->own = 0;
	connect->stage = CONNECT_OWN;
	return PH_STEP_AGAIN;
}

static enum ph_step all_own(struct receive *r, uint32_t *budget)
{
	uint32_t before = *budget;
	enum ph_status status = ph__receive_all_own(r, budget);

	r->connect.spent += before - *budget;
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (ph__receive_maps_blamed(r, status)) {
		r->connect.stage = CONNECT_START;
		return PH_STEP_AGAIN;
	}
	if (status == PH_ERR_MISSING)
		return walked(r, status);
	return status == PH_OK ? connected(r) : fail_internal(r, status);
}

enum ph_step ph__receive_connect(struct receive *r, uint32_t *budget)
{
	switch (r->connect.stage) {
	case CONNECT_CLOSED:
		return prove_closed(r, budget);
	case CONNECT_START:
		return start(r, budget);
	case CONNECT_WANTS:
		return want_tips(r, budget);
	case CONNECT_REFS:
		return have_refs(r, budget);
	case CONNECT_PROVEN:
		return have_proven(r, budget);
	case CONNECT_OWN:
		return all_own(r, budget);
	case CONNECT_TIPS:
		return ph__receive_tips(r, budget) ? walked(r, PH_OK) : PH_STEP_AGAIN;
	case CONNECT_WALK:
	default:
		return walk(r, budget);
	}
}
