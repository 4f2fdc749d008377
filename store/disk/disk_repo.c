/* SPDX-License-Identifier: MIT */
/*
 * What is alive in memory: repositories that somebody uses, a generation of each for every
 * snapshot, and generations of the catalogue. Space that a commit gave up is attached to the
 * generation that still shows it. When that goes, the list moves to the next older one that lives,
 * for it may show the same blocks, or is free when there is none.
 *
 * Opening a store reads no repository. One is read when it is first asked for, one at a time, and
 * some that nobody uses any more are kept.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* ---- generations ---- */

void ph__views_push(struct ph__views *views, struct ph__view *view)
{
	view->older = views->newest;
	view->newer = NULL;
	if (views->newest)
		views->newest->newer = view;
	else
		views->oldest = view;
	views->newest = view;
}

bool ph__view_put(struct ph__disk *disk, struct ph__views *views, struct ph__view *view)
{
	assert(view->refs > 0);
	if (--view->refs > 0)
		return false;
	if (view->older)
		ph__space_inherit(disk, view->older->epoch, &view->older->freed, &view->freed);
	else
		ph__space_return(disk, &view->freed);
	if (view->older)
		view->older->newer = view->newer;
	else
		views->oldest = view->newer;
	if (view->newer)
		view->newer->older = view->older;
	else
		views->newest = view->older;
	return true;
}

struct ph__catalogue *ph__catalogue_new(struct ph__disk *disk, const struct ph__super *super)
{
	struct ph__catalogue *catalogue = ph_mem_zalloc(disk->alloc, 1, sizeof(*catalogue));
	if (!catalogue)
		return NULL;
	memcpy(catalogue->buffer, super->buffer, PH__BLOCK);
	catalogue->tree = super->catalogue;
	catalogue->tree.held = catalogue->buffer;
	catalogue->view.refs = 1;
	catalogue->view.epoch = super->epoch;
	return catalogue;
}

struct ph__catalogue *ph__catalogue_pin(struct ph__disk *disk)
{
	ph__lock(disk->sync, disk->lock);
	/* The view is its first member. */
	struct ph__catalogue *catalogue = (struct ph__catalogue *)disk->catalogues.newest;
	catalogue->view.refs++;
	ph__unlock(disk->sync, disk->lock);
	return catalogue;
}

void ph__catalogue_unpin(struct ph__disk *disk, struct ph__catalogue *catalogue)
{
	ph__lock(disk->sync, disk->lock);
	bool gone = ph__view_put(disk, &disk->catalogues, &catalogue->view);
	ph__unlock(disk->sync, disk->lock);
	if (gone)
		ph_mem_free(disk->alloc, catalogue);
}

/* ---- shallow sets ---- */

struct ph__shallow *ph__shallow_retain(struct ph__shallow *shallow)
{
	if (shallow)
		atomic_fetch_add(&shallow->refs, 1);
	return shallow;
}

void ph__shallow_release(struct ph__disk *disk, struct ph__shallow *shallow)
{
	if (shallow && atomic_fetch_sub(&shallow->refs, 1) == 1)
		ph_mem_free(disk->alloc, shallow);
}

/* ---- states ---- */

uint32_t ph__packs_find(struct ph__pack *const *packs, uint32_t count, uint64_t id)
{
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (packs[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && packs[low]->id == id ? low : count;
}

void ph__state_free(struct ph__disk *disk, struct ph__state *state)
{
	for (uint32_t i = 0; i < state->pack_count; i++)
		ph__pack_release(disk, state->packs[i]);
	ph_mem_free(disk->alloc, state->packs);
	ph_mem_free(disk->alloc, state->set_packs);
	ph__shallow_release(disk, state->shallow);
	ph_mem_free(disk->alloc, state);
}

enum ph_status ph__state_new(struct ph__state **out, struct ph__disk *disk, struct ph__repo *repo,
                             const struct ph__record *record, struct ph__pack **packs,
                             uint32_t pack_count, struct ph__shallow *shallow)
{
	struct ph__state *state = ph_mem_zalloc(disk->alloc, 1, sizeof(*state));
	if (!state)
		return PH_ERR_NOMEM;
	if (pack_count > 0) {
		state->packs = ph_mem_zalloc(disk->alloc, pack_count, sizeof(*state->packs));
		state->set_packs =
		        ph_mem_zalloc(disk->alloc, pack_count, sizeof(*state->set_packs));
		if (!state->packs || !state->set_packs) {
			ph__state_free(disk, state);
			return PH_ERR_NOMEM;
		}
	}
	for (uint32_t i = 0; i < pack_count; i++) {
		state->packs[i] = packs[i];
		state->set_packs[i] = &packs[i]->pack;
		ph__pack_retain(packs[i]);
	}
	state->pack_count = pack_count;
	state->snapshot.ops = &ph__snapshot_ops;
	state->snapshot.store = &disk->store;
	state->snapshot.algo = record->algo;
	state->snapshot.generation = record->generation;
	state->snapshot.name = repo->name;
	state->view.refs = 1;
	state->repo = repo;
	state->record = *record;
	state->shallow = ph__shallow_retain(shallow);
	ph_pack_set_init(&state->set, record->algo, disk->unpack, state->set_packs, pack_count);
	*out = state;
	return PH_OK;
}

void ph__state_retain(struct ph__state *state)
{
	struct ph__disk *disk = ph__disk_of(state->snapshot.store);
	ph__lock(disk->sync, disk->lock);
	state->view.refs++;
	ph__unlock(disk->sync, disk->lock);
}

/* ---- the table ---- */

static uint32_t hash_name(const struct ph__disk *disk, const char *name)
{
	/* The store's id is random, so that names cannot be chosen to fall together. */
	uint64_t hash = disk->seed;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(hash >> 32);
}

enum ph_status ph__repo_new(struct ph__repo **out, struct ph__disk *disk, const char *name)
{
	size_t len = strlen(name);
	struct ph__repo *repo = ph_mem_zalloc(disk->alloc, 1, sizeof(*repo) + len + 1);
	if (!repo)
		return PH_ERR_NOMEM;
	memcpy(repo->name, name, len);
	repo->hash = hash_name(disk, name);
	*out = repo;
	return PH_OK;
}

static struct ph__repo *find_repo(struct ph__disk *disk, const char *name)
{
	uint32_t hash = hash_name(disk, name);
	struct ph__repo *repo = disk->table[hash & disk->table_mask];
	while (repo && (repo->hash != hash || strcmp(repo->name, name) != 0))
		repo = repo->chain;
	return repo;
}

void ph__repo_insert(struct ph__disk *disk, struct ph__repo *repo)
{
	struct ph__repo **bucket = &disk->table[repo->hash & disk->table_mask];
	repo->chain = *bucket;
	*bucket = repo;
	disk->repo_count++;
}

void ph__repo_remove(struct ph__disk *disk, struct ph__repo *repo)
{
	struct ph__repo **link = &disk->table[repo->hash & disk->table_mask];
	while (*link != repo)
		link = &(*link)->chain;
	*link = repo->chain;
	disk->repo_count--;
	if (repo->hash == disk->loading)
		disk->loading_left = true;
}

static void leave_idle(struct ph__disk *disk, struct ph__repo *repo)
{
	if (!repo->idle)
		return;
	if (repo->idle_newer)
		repo->idle_newer->idle_older = repo->idle_older;
	else
		disk->idle_newest = repo->idle_older;
	if (repo->idle_older)
		repo->idle_older->idle_newer = repo->idle_newer;
	else
		disk->idle_oldest = repo->idle_newer;
	repo->idle = false;
	disk->idle_count--;
}

static void enter_idle(struct ph__disk *disk, struct ph__repo *repo)
{
	repo->idle_newer = NULL;
	repo->idle_older = disk->idle_newest;
	if (disk->idle_newest)
		disk->idle_newest->idle_newer = repo;
	else
		disk->idle_oldest = repo;
	disk->idle_newest = repo;
	repo->idle = true;
	disk->idle_count++;
}

static void free_repo(struct ph__disk *disk, struct ph__repo *repo)
{
	if (repo->current) {
		/* Nothing was given up by a generation that is current. */
		assert(!repo->current->view.freed.first);
		ph__state_free(disk, repo->current);
	}
	ph_mem_free(disk->alloc, repo);
}

/* After a reference went: is it idle, is it over. */
static void settle(struct ph__disk *disk, struct ph__repo *repo)
{
	if (!repo->current) {
		if (!repo->views.oldest)
			free_repo(disk, repo);
		return;
	}
	if (repo->views.oldest != &repo->current->view || repo->current->view.refs != 1)
		return;
	if (!repo->idle)
		enter_idle(disk, repo);
	while (disk->idle_count > PH__IDLE_REPOS) {
		struct ph__repo *oldest = disk->idle_oldest;
		leave_idle(disk, oldest);
		ph__repo_remove(disk, oldest);
		free_repo(disk, oldest);
	}
}

static struct ph__state *use_repo(struct ph__disk *disk, struct ph__repo *repo)
{
	leave_idle(disk, repo);
	repo->current->view.refs++;
	return repo->current;
}

static void put_state(struct ph__disk *disk, struct ph__state *state)
{
	struct ph__repo *repo = state->repo;
	if (ph__view_put(disk, &repo->views, &state->view))
		ph__state_free(disk, state);
}

void ph__state_release(struct ph__state *state)
{
	struct ph__disk *disk = ph__disk_of(state->snapshot.store);
	struct ph__repo *repo = state->repo;
	ph__lock(disk->sync, disk->lock);
	put_state(disk, state);
	settle(disk, repo);
	ph__unlock(disk->sync, disk->lock);
}

void ph__repo_advance(struct ph__disk *disk, struct ph__repo *repo, struct ph__state *state)
{
	struct ph__state *old = repo->current;
	state->view.epoch = atomic_load(&disk->durable);
	ph__views_push(&repo->views, &state->view);
	repo->current = state;
	if (old)
		put_state(disk, old);
	settle(disk, repo);
}

void ph__repo_retire(struct ph__disk *disk, struct ph__repo *repo)
{
	struct ph__state *old = repo->current;
	leave_idle(disk, repo);
	ph__repo_remove(disk, repo);
	repo->current = NULL;
	put_state(disk, old);
	settle(disk, repo);
}

bool ph__repo_is_open(struct ph__disk *disk, const char *name)
{
	ph__lock(disk->sync, disk->lock);
	bool open = find_repo(disk, name) != NULL;
	ph__unlock(disk->sync, disk->lock);
	return open;
}

void ph__repo_retire_name(struct ph__disk *disk, const char *name)
{
	struct ph__repo *repo = find_repo(disk, name);
	if (repo)
		ph__repo_retire(disk, repo);
}

void ph__repo_free_all(struct ph__disk *disk)
{
	for (uint32_t i = 0; disk->table && i <= disk->table_mask; i++) {
		while (disk->table[i]) {
			struct ph__repo *repo = disk->table[i];
			/* All snapshots and transactions are gone: the owner's duty. */
			assert(repo->views.oldest == &repo->current->view);
			assert(repo->current->view.refs == 1);
			disk->table[i] = repo->chain;
			free_repo(disk, repo);
		}
	}
}

/* ---- reading a repository ---- */

struct loading {
	struct ph__disk *disk;
	struct ph__record record;
	struct ph__pack **packs;
	uint32_t pack_count;
	struct ph__shallow *shallow;
};

static enum ph_status load_pack(struct loading *loading, const struct ph__cell *cell)
{
	struct ph__disk *disk = loading->disk;
	uint8_t *data;
	uint32_t len;
	if (cell->key_len != 9 || loading->pack_count >= loading->record.packs)
		return PH_ERR_CORRUPT;
	enum ph_status status = ph__value_load(disk, cell->value, cell->value_len, &data, &len);
	if (status != PH_OK)
		return status;
	struct ph__pack *pack;
	status = ph__pack_decode(&pack, disk, ph__get64(cell->key + 1), data, len);
	ph_mem_free(disk->alloc, data);
	if (status != PH_OK)
		return status;
	loading->packs[loading->pack_count++] = pack;
	/* The next one must come behind it. */
	if (pack->id == 0 || pack->id >= loading->record.next_pack)
		return PH_ERR_CORRUPT;
	return ph__pack_index(pack, loading->record.algo);
}

static enum ph_status grow_packs(struct loading *loading, uint32_t *room)
{
	if (loading->pack_count < *room)
		return PH_OK;
	/* By what is there, not by what the record says there is. */
	uint32_t more = *room ? *room * 2 : 8;
	void *packs =
	        ph_mem_resize(loading->disk->alloc, loading->packs, more, sizeof(*loading->packs));
	if (!packs)
		return PH_ERR_NOMEM;
	loading->packs = packs;
	*room = more;
	return PH_OK;
}

static enum ph_status load_packs(struct loading *loading)
{
	struct ph__cursor cursor;
	uint8_t key[PH__KEY_MAX];
	uint32_t room = 0;
	enum ph_status status =
	        ph__cursor_init(&cursor, loading->disk, NULL, &loading->record.tree);
	if (status != PH_OK)
		return status;
	status = ph__cursor_seek(&cursor, key, ph__key_number(key, PH__KEY_PACK, 0));
	while (status == PH_OK) {
		struct ph__cell cell;
		status = ph__cursor_next(&cursor, &cell);
		if (status == PH_OK && cell.key[0] != PH__KEY_PACK)
			status = PH_END;
		if (status == PH_OK)
			status = grow_packs(loading, &room);
		if (status == PH_OK)
			status = load_pack(loading, &cell);
	}
	ph__cursor_release(&cursor);
	if (status != PH_END)
		return status;
	return loading->pack_count == loading->record.packs ? PH_OK : PH_ERR_CORRUPT;
}

static enum ph_status parse_shallow(struct loading *loading, const uint8_t *data, uint32_t len)
{
	uint32_t hash = (uint32_t)ph_hash_bytes(loading->record.algo);
	uint32_t count = len / hash;
	if (len % hash != 0)
		return PH_ERR_CORRUPT;
	struct ph__shallow *shallow = ph_mem_alloc(
	        loading->disk->alloc, sizeof(*shallow) + count * sizeof(shallow->oids[0]));
	if (!shallow)
		return PH_ERR_NOMEM;
	atomic_init(&shallow->refs, 1);
	shallow->count = count;
	for (uint32_t i = 0; i < count; i++)
		ph_oid_from_bytes(&shallow->oids[i], loading->record.algo, data + (size_t)i * hash);
	loading->shallow = shallow;
	return PH_OK;
}

static enum ph_status load_shallow(struct loading *loading)
{
	struct ph__disk *disk = loading->disk;
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t value_len, len;
	uint8_t *data;
	uint32_t key_len = ph__key_name(key, PH__KEY_SHALLOW, "");
	enum ph_status status =
	        ph__tree_get(disk, NULL, &loading->record.tree, key, key_len, value, &value_len);
	if (status == PH_ERR_NOT_FOUND)
		return PH_OK;
	if (status == PH_OK)
		status = ph__value_load(disk, value, value_len, &data, &len);
	if (status != PH_OK)
		return status;
	status = parse_shallow(loading, data, len);
	ph_mem_free(disk->alloc, data);
	return status;
}

static enum ph_status load_record(struct ph__disk *disk, const char *name,
                                  struct ph__record *record)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t len;
	struct ph__catalogue *catalogue = ph__catalogue_pin(disk);
	uint32_t key_len = ph__key_name(key, PH__KEY_REPO, name);
	enum ph_status status =
	        ph__tree_get(disk, NULL, &catalogue->tree, key, key_len, value, &len);
	ph__catalogue_unpin(disk, catalogue);
	return status == PH_OK ? ph__record_decode(record, value, len) : status;
}

/* Under the load lock, so that it is not deleted by its name; what else can happen see below. */
static enum ph_status load_repo(struct ph__disk *disk, const char *name, struct ph__repo **out)
{
	struct loading loading = {.disk = disk};
	struct ph__repo *repo;
	struct ph__state *state = NULL;
	enum ph_status status = load_record(disk, name, &loading.record);
	if (status != PH_OK)
		return status;
	status = load_packs(&loading);
	if (status == PH_OK)
		status = load_shallow(&loading);
	if (status == PH_OK)
		status = ph__repo_new(&repo, disk, name);
	if (status == PH_OK) {
		status = ph__state_new(&state, disk, repo, &loading.record, loading.packs,
		                       loading.pack_count, loading.shallow);
		if (status != PH_OK)
			ph_mem_free(disk->alloc, repo);
	}
	for (uint32_t i = 0; i < loading.pack_count; i++)
		ph__pack_release(disk, loading.packs[i]);
	ph_mem_free(disk->alloc, loading.packs);
	ph__shallow_release(disk, loading.shallow);
	if (status != PH_OK)
		return status;
	state->view.epoch = atomic_load(&disk->durable);
	ph__views_push(&repo->views, &state->view);
	repo->current = state;
	*out = repo;
	return PH_OK;
}

/* loads, under the load lock: when it is not there, what goes from the table is watched. */
static struct ph__state *find_state(struct ph__disk *disk, const char *name, bool loads)
{
	ph__lock(disk->sync, disk->lock);
	struct ph__repo *repo = find_repo(disk, name);
	struct ph__state *state = repo ? use_repo(disk, repo) : NULL;
	if (loads) {
		disk->loading = hash_name(disk, name);
		disk->loading_left = false;
	}
	ph__unlock(disk->sync, disk->lock);
	return state;
}

/*
 * Inserts what was read, or nothing (repo NULL) for this status. One that was created meanwhile is
 * in the table already: then that is the one. PH_AGAIN: it was, and is not any more, so it may have
 * changed since it was read.
 */
static enum ph_status insert_repo(struct ph__disk *disk, const char *name, struct ph__repo *repo,
                                  enum ph_status status, struct ph__state **out)
{
	ph__lock(disk->sync, disk->lock);
	struct ph__repo *there = find_repo(disk, name);
	bool left = disk->loading_left;
	if (repo && (there || left))
		free_repo(disk, repo);
	else if (repo)
		ph__repo_insert(disk, repo);
	if (!there && !left)
		there = repo;
	if (there)
		*out = use_repo(disk, there);
	ph__unlock(disk->sync, disk->lock);
	return there ? PH_OK : left ? PH_AGAIN : status;
}

enum ph_status ph__repo_open(struct ph__disk *disk, const char *name, struct ph__state **out)
{
	enum ph_status status;
	*out = find_state(disk, name, false);
	if (*out)
		return PH_OK;
	ph__lock(disk->sync, disk->load);
	do {
		struct ph__repo *repo = NULL;
		*out = find_state(disk, name, true);
		status = *out ? PH_OK : load_repo(disk, name, &repo);
		if (!*out)
			status = insert_repo(disk, name, repo, status, out);
	} while (status == PH_AGAIN);
	ph__unlock(disk->sync, disk->load);
	return status;
}
