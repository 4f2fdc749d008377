/* SPDX-License-Identifier: MIT */
/*
 * Verdicts and commits of the store in memory. A commit builds the whole next snapshot first, under
 * its repository's commit lock, so that running out of memory changes nothing; then it takes the
 * store's lock for a moment, checks what only that lock guards (the name, open transactions), and
 * swaps one pointer.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

/* The refs that a creation starts from: HEAD, unless the transaction says what that is. */
static enum ph_status initial_refs(const struct mem_txn *txn, struct mem_refs **out)
{
	*out = NULL;
	if (ph__txn_refs_changes(&txn->refs, "HEAD"))
		return PH_OK;
	return ph__mem_refs_initial(txn->store->alloc, out);
}

static enum ph_status evaluate(struct mem_txn *txn, struct mem_refs *refs)
{
	struct ph__refs_view view;
	ph__mem_refs_view(&view, refs);
	return ph__txn_refs_evaluate(&txn->refs, &view);
}

enum ph_status ph__mem_txn_prepare(struct ph_txn *base)
{
	struct mem_txn *txn = (struct mem_txn *)base;
	enum ph_status status;
	if (!txn->base) {
		struct mem_refs *refs;
		status = initial_refs(txn, &refs);
		if (status == PH_OK)
			status = evaluate(txn, refs);
		ph__mem_refs_release(txn->store->alloc, refs);
		return status;
	}
	struct mem_snapshot *current = ph__mem_repo_current(txn->base->repo);
	if (!current)
		return PH_ERR_NOT_FOUND;
	status = evaluate(txn, current->refs);
	ph__mem_snapshot_release(current);
	return status;
}

/* ---- building the next snapshot ---- */

static bool is_replaced(const struct mem_txn *txn, uint64_t pack_id)
{
	for (uint32_t i = 0; i < txn->replaced; i++)
		if (txn->replace[i] == pack_id)
			return true;
	return false;
}

/* Whether the packs that are replaced or attached to are still there. */
static enum ph_status check_packs(const struct mem_txn *txn, const struct mem_snapshot *current)
{
	for (uint32_t i = 0; i < txn->replaced; i++)
		if (ph__mem_snapshot_pack(current, txn->replace[i]) == current->packs)
			return PH_ERR_CONFLICT;
	for (uint32_t i = 0; i < txn->attaches; i++)
		if (ph__mem_snapshot_pack(current, txn->attach[i].pack_id) == current->packs)
			return PH_ERR_CONFLICT;
	return PH_OK;
}

/*
 * The pack with the sections attached to it, as another one that shares the rest. The sinks keep
 * their references: the commit may still fail.
 */
static enum ph_status attach_all(const struct mem_txn *txn, struct mem_pack *pack,
                                 struct mem_pack **out)
{
	struct mem_pack *made = NULL;
	for (uint32_t i = 0; i < txn->attaches; i++) {
		const struct mem_attach *attach = &txn->attach[i];
		if (attach->pack_id != pack->id || attach->sink->status != PH_OK)
			continue;
		if (!made)
			made = ph__mem_pack_new(txn->store->alloc, pack);
		if (!made)
			return PH_ERR_NOMEM;
		ph__mem_section_release(made->section[attach->section]);
		made->section[attach->section] = ph__mem_sink_take(attach->sink);
	}
	*out = made;
	return PH_OK;
}

static enum ph_status check_bytes(const struct mem_txn *txn, const struct mem_snapshot *made)
{
	uint64_t max = txn->txn.bytes_max, bytes = 0;
	for (uint32_t i = 0; max > 0 && i < made->packs; i++) {
		uint64_t more = made->pack[i]->section[PH_SECTION_RUN]->bytes.size;
		if (more > max - bytes)
			return PH_ERR_LIMIT;
		bytes += more;
	}
	return PH_OK;
}

static enum ph_status build_packs(struct mem_txn *txn, struct mem_repo *repo,
                                  const struct mem_snapshot *current, struct mem_snapshot *made)
{
	for (uint32_t i = 0; current && i < current->packs; i++) {
		struct mem_pack *pack = current->pack[i];
		struct mem_pack *attached = NULL;
		if (is_replaced(txn, pack->id))
			continue;
		enum ph_status status = attach_all(txn, pack, &attached);
		if (status != PH_OK)
			return status;
		ph__mem_snapshot_add(made, attached ? attached : pack);
		ph__mem_pack_release(attached);
	}
	for (uint32_t i = 0; i < txn->packs; i++) {
		if (txn->pack[i]->state != MEM_PACK_ENDED)
			continue;
		txn->pack[i]->pack->id = ++repo->pack_ids;
		ph__mem_snapshot_add(made, txn->pack[i]->pack);
	}
	return check_bytes(txn, made);
}

static enum ph_status build_meta(const struct mem_txn *txn, const struct mem_snapshot *current,
                                 struct mem_snapshot *made)
{
	const struct ph_alloc *alloc = txn->store->alloc;
	enum ph_status status = ph__mem_settings_apply(alloc, current ? current->settings : NULL,
	                                               txn->meta.settings, &made->settings);
	if (status != PH_OK) {
		made->settings = NULL;
		return status;
	}
	status = ph__mem_shallow_apply(alloc, current ? current->shallow : NULL, &txn->meta,
	                               &made->shallow);
	if (status != PH_OK) {
		made->shallow = NULL;
		return status;
	}
	status = ph__mem_log_apply(alloc, current ? current->log : NULL, txn->meta.log, &made->log);
	if (status != PH_OK)
		made->log = NULL;
	return status;
}

static enum ph_status build_refs(const struct mem_txn *txn, struct mem_refs *refs,
                                 struct mem_snapshot *made)
{
	uint32_t at = 0;
	if (refs && !ph__txn_refs_next(&txn->refs, &at)) {
		mem_retain(&refs->count);
		made->refs = refs;
		return PH_OK;
	}
	return ph__mem_refs_apply(txn->store->alloc, refs, &txn->refs, &made->refs);
}

/* current is NULL for a new repository; refs are those the changes were evaluated against. */
static enum ph_status build(struct mem_txn *txn, struct mem_repo *repo,
                            const struct mem_snapshot *current, struct mem_refs *refs,
                            struct mem_snapshot **out)
{
	uint32_t packs = (current ? current->packs : 0) + txn->packs;
	struct mem_snapshot *made;
	enum ph_status status = ph__mem_snapshot_new(repo, txn->txn.algo, packs, &made);
	if (status != PH_OK)
		return status;
	status = build_packs(txn, repo, current, made);
	if (status == PH_OK)
		status = build_meta(txn, current, made);
	if (status == PH_OK)
		status = build_refs(txn, refs, made);
	if (status == PH_OK)
		*out = made;
	else
		ph__mem_snapshot_release(made);
	return status;
}

/* ---- commits to a repository that exists ---- */

/* Whether something of what a snapshot shows is in packs that this one has no more. */
static bool lacks_packs(const struct mem_snapshot *snapshot, const struct mem_snapshot *shown)
{
	for (uint32_t i = 0; i < shown->packs; i++)
		if (ph__mem_snapshot_pack(snapshot, shown->pack[i]->id) == snapshot->packs)
			return true;
	return false;
}

/*
 * Whether objects can be dropped now; under the store's lock. An open transaction whose base's
 * packs all stay loses nothing. One whose base had a pack that was moved since may hold anything in
 * the packs replaced now, so it blocks too.
 */
static bool may_drop(const struct mem_txn *txn, const struct mem_snapshot *made)
{
	const struct mem_repo *repo = txn->base->repo;
	if (repo->extended_at > txn->base->snapshot.generation)
		return false;
	for (const struct mem_txn *other = repo->txns; other; other = other->next)
		if (other != txn && !other->done && lacks_packs(made, other->base))
			return false;
	return true;
}

/* Whether it may make objects reachable that were not. */
static bool extends_reach(const struct mem_txn *txn)
{
	uint32_t at = 0;
	const struct ph__change *change;
	if (txn->meta.shallow_set)
		return true;
	while ((change = ph__txn_refs_next(&txn->refs, &at)) != NULL)
		if (change->action != PH__ACTION_DELETE)
			return true;
	return false;
}

/* Puts a snapshot in the place of the current one, whose reference it returns in *out. */
static enum ph_status publish(struct mem_txn *txn, struct mem_snapshot *made,
                              struct mem_snapshot **out)
{
	struct mem_store *store = txn->store;
	struct mem_repo *repo = txn->base->repo;
	bool extends = extends_reach(txn);
	ph__mem_lock(store, store->lock);
	enum ph_status status = PH_OK;
	if (txn->drops_objects && !may_drop(txn, made))
		status = PH_ERR_BUSY;
	if (status == PH_OK) {
		made->snapshot.generation = ++store->generation;
		if (txn->drops_objects)
			repo->dropped_at = store->generation;
		if (extends)
			repo->extended_at = store->generation;
		*out = repo->current;
		repo->current = made;
		txn->done = true;
	}
	ph__mem_unlock(store, store->lock);
	return status;
}

/* Takes the repository out of the table. */
static void unlist_repo(struct mem_txn *txn)
{
	struct mem_store *store = txn->store;
	struct mem_repo *repo = txn->base->repo;
	uint32_t place;
	ph__mem_lock(store, store->lock);
	bool found = ph__mem_repo_find(store, repo->name, &place);
	assert(found && store->repo[place] == repo);
	if (found) {
		store->repos--;
		memmove(store->repo + place, store->repo + place + 1,
		        (store->repos - place) * sizeof(*store->repo));
	}
	struct mem_snapshot *current = repo->current;
	repo->current = NULL;
	txn->done = true;
	ph__mem_unlock(store, store->lock);
	ph__mem_snapshot_release(current);
	ph__mem_repo_release(repo);
}

/* Under the commit lock: nobody else changes current. */
static enum ph_status commit_to(struct mem_txn *txn, struct mem_snapshot *current)
{
	struct mem_snapshot *made;
	struct mem_snapshot *old = NULL;
	enum ph_status status = evaluate(txn, current->refs);
	if (status == PH_OK)
		status = check_packs(txn, current);
	if (status == PH_OK &&
	    !ph__mem_settings_same(txn->base->settings, current->settings, txn->meta.settings))
		status = PH_ERR_CONFLICT;
	/* Every set makes a new one, and all snapshots share what nobody has set. */
	if (status == PH_OK && txn->meta.shallow_set && txn->base->shallow != current->shallow)
		status = PH_ERR_CONFLICT;
	if (status != PH_OK)
		return status;
	if (txn->deletes) {
		unlist_repo(txn);
		return PH_OK;
	}
	status = build(txn, txn->base->repo, current, current->refs, &made);
	if (status != PH_OK)
		return status;
	status = publish(txn, made, &old);
	ph__mem_snapshot_release(status == PH_OK ? old : made);
	return status;
}

static enum ph_status commit_existing(struct mem_txn *txn)
{
	struct mem_repo *repo = txn->base->repo;
	ph__mem_lock(txn->store, repo->commit_lock);
	struct mem_snapshot *current = ph__mem_repo_current(repo);
	enum ph_status status = current ? commit_to(txn, current) : PH_ERR_NOT_FOUND;
	ph__mem_unlock(txn->store, repo->commit_lock);
	ph__mem_snapshot_release(current);
	return status;
}

/* ---- creations ---- */

/* Makes room for one more repository, under the store's lock. */
static enum ph_status reserve_repo(struct mem_store *store)
{
	if (store->repos >= store->limits.repos_max)
		return PH_ERR_LIMIT;
	if (store->repos < store->room)
		return PH_OK;
	size_t room = 2 * (size_t)store->room + 8;
	void *bigger = ph_mem_resize(store->alloc, store->repo, room, sizeof(*store->repo));
	if (!bigger)
		return PH_ERR_NOMEM;
	store->repo = bigger;
	store->room = room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
	return PH_OK;
}

/* Takes over the references to both when it returns PH_OK. */
static enum ph_status list_repo(struct mem_txn *txn, struct mem_repo *repo,
                                struct mem_snapshot *made)
{
	struct mem_store *store = txn->store;
	uint32_t place;
	ph__mem_lock(store, store->lock);
	enum ph_status status = PH_ERR_EXISTS;
	if (!ph__mem_repo_find(store, repo->name, &place))
		status = reserve_repo(store);
	if (status == PH_OK) {
		memmove(store->repo + place + 1, store->repo + place,
		        (store->repos - place) * sizeof(*store->repo));
		store->repo[place] = repo;
		store->repos++;
		made->snapshot.generation = ++store->generation;
		repo->current = made;
		txn->done = true;
	}
	ph__mem_unlock(store, store->lock);
	return status;
}

static enum ph_status commit_creation(struct mem_txn *txn)
{
	struct mem_refs *refs;
	struct mem_snapshot *made = NULL;
	enum ph_status status = initial_refs(txn, &refs);
	if (status == PH_OK)
		status = evaluate(txn, refs);
	struct mem_repo *repo = NULL;
	if (status == PH_OK) {
		repo = ph__mem_repo_new(txn->store, txn->name);
		status = repo ? build(txn, repo, NULL, refs, &made) : PH_ERR_NOMEM;
	}
	if (status == PH_OK)
		status = list_repo(txn, repo, made);
	if (status != PH_OK) {
		ph__mem_snapshot_release(made);
		if (repo)
			ph__mem_repo_release(repo);
	}
	ph__mem_refs_release(txn->store->alloc, refs);
	return status;
}

static bool is_empty(const struct mem_txn *txn)
{
	if (!txn->base || txn->deletes || txn->replaced > 0 || txn->attaches > 0)
		return false;
	for (uint32_t i = 0; i < txn->packs; i++)
		if (txn->pack[i]->state == MEM_PACK_ENDED)
			return false;
	for (uint32_t i = 0; i < txn->refs.count; i++)
		if (!txn->refs.changes[i]->dropped)
			return false;
	return ph__txn_meta_empty(&txn->meta);
}

enum ph_status ph__mem_txn_commit(struct ph_txn *base, ph_wake wake, void *arg)
{
	struct mem_txn *txn = (struct mem_txn *)base;
	/* Memory is at once as stable as it gets: nothing to wait for. */
	(void)wake;
	(void)arg;
	if (txn->done)
		return PH_ERR_INVALID;
	if (is_empty(txn))
		return PH_OK;
	ph__mem_txn_end_auxiliary(txn);
	return txn->base ? commit_existing(txn) : commit_creation(txn);
}
