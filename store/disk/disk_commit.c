/* SPDX-License-Identifier: MIT */
/*
 * Commits. They queue up; whoever finds no leader leads: it takes all that wait, applies one after
 * the other to one batch, writes that, flushes, writes the superblock, flushes, and only then
 * changes what readers see. Others queue up meanwhile and are the next batch, so a flush is shared
 * by all who wait for one. Readers wait for none of it.
 *
 * A caller with a wake callback gets PH_PENDING. One without waits, and with locks alone there is
 * nothing to wait on but a lock that the leader holds: a gate, shut for the time of a batch. There
 * are two, used in turn, so that those who are done do not wait for the next batch. A leader whose
 * own commit is done leaves the rest to one who waits at the gate; when there is none it makes some
 * more batches, and then wakes one of the others, which finds no leader when it asks again.
 *
 * In one thread nobody would queue up meanwhile. There the owner of the loop leads, when it has run
 * every session that could run: a deferred store.
 */
#include "disk_int.h"

#include <assert.h>
#include <string.h>

/* Batches a leader makes for others before it goes home. */
#define LEADER_BATCHES 4u
/* Commits between two that look for the map's next area when there is none. */
#define AHEAD_EPOCHS 16u

/* ---- the catalogue's part of a batch ---- */

struct catalogue_edits {
	struct ph__edit *list;
	uint32_t count;
	uint8_t *memory;
};

static void insert_edit(struct catalogue_edits *edits, const struct ph__edit *edit)
{
	uint32_t at = edits->count++;
	while (at > 0 && ph__key_cmp(edits->list[at - 1].key, edits->list[at - 1].key_len,
	                             edit->key, edit->key_len) > 0) {
		edits->list[at] = edits->list[at - 1];
		at--;
	}
	edits->list[at] = *edit;
}

static enum ph_status catalogue_edits(struct ph__batch *batch, struct catalogue_edits *edits)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	const size_t each = PH_REPO_NAME_MAX + 1 + PH__RECORD_BYTES;
	size_t works = 0;
	for (const struct ph__work *work = batch->works; work; work = work->next)
		works++;
	memset(edits, 0, sizeof(*edits));
	edits->list = ph_mem_zalloc(alloc, works + batch->setting_count + 1, sizeof(*edits->list));
	edits->memory = ph_mem_zalloc(alloc, works + 1, each);
	if (!edits->list || !edits->memory)
		return PH_ERR_NOMEM;
	uint8_t *to = edits->memory;
	for (const struct ph__work *work = batch->works; work; work = work->next) {
		if (!work->changed && !work->deleted)
			continue;
		struct ph__edit edit = {.key = to};
		edit.key_len = ph__key_name(to, PH__KEY_REPO, work->name);
		if (!work->deleted) {
			ph__record_encode(&work->record, to + PH_REPO_NAME_MAX + 1);
			edit.value = to + PH_REPO_NAME_MAX + 1;
			edit.value_len = PH__RECORD_BYTES;
		}
		insert_edit(edits, &edit);
		to += each;
	}
	for (uint32_t i = 0; i < batch->setting_count; i++)
		insert_edit(edits, &batch->settings[i]);
	return PH_OK;
}

static enum ph_status apply_catalogue(struct ph__batch *batch)
{
	const struct ph_alloc *alloc = batch->disk->alloc;
	struct catalogue_edits edits;
	struct ph__tree tree = ph__super_tree(&batch->super);
	enum ph_status status = catalogue_edits(batch, &edits);
	if (status == PH_OK)
		status = ph__tree_apply(batch, &tree, edits.list, edits.count,
		                        &batch->catalogue_frees);
	tree.held = NULL;
	batch->super.catalogue = tree;
	ph_mem_free(alloc, edits.list);
	ph_mem_free(alloc, edits.memory);
	return status;
}

/* ---- making it durable ---- */

/* What readers will see, before anything is written: after that nothing may fail for memory. */
static enum ph_status make_views(struct ph__batch *batch)
{
	struct ph__disk *disk = batch->disk;
	enum ph_status status = PH_OK;
	for (struct ph__work *work = batch->works; work && status == PH_OK; work = work->next) {
		if (work->changed && !work->deleted)
			status = ph__state_new(&work->to, disk, work->repo, &work->record,
			                       work->packs, work->pack_count, work->shallow);
		if (status == PH_OK)
			status = ph__freed_new(&work->freed, disk, batch->epoch, &work->frees);
	}
	batch->catalogue = ph__catalogue_new(disk, &batch->super);
	if (!batch->catalogue)
		return PH_ERR_NOMEM;
	if (status == PH_OK)
		status = ph__freed_new(&batch->catalogue_freed, disk, batch->epoch,
		                       &batch->catalogue_frees);
	return status;
}

static enum ph_status prepare_batch(struct ph__batch *batch)
{
	enum ph_status status = apply_catalogue(batch);
	if (status == PH_OK)
		status = make_views(batch);
	if (status == PH_OK)
		status = ph__space_prepare(batch);
	if (status == PH_OK)
		status = ph__freed_new(&batch->map_freed, batch->disk, batch->epoch,
		                       &batch->map_frees);
	batch->super.unflushed = !batch->disk->io.device->ops->flush;
	return status;
}

/* Writes what small sections still have in memory. */
static enum ph_status settle_txn(struct ph__dtxn *txn)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < txn->pack_count; i++) {
		struct ph__pack *pack = txn->packs[i].pack;
		for (uint32_t k = 0; pack && k <= PH_SECTION_MAX && status == PH_OK; k++)
			if (pack->sections[k])
				status = ph__section_settle(pack->sections[k]);
	}
	for (uint32_t i = 0; i < txn->attach_count && status == PH_OK; i++)
		if (txn->attaches[i].sink->ended)
			status = ph__section_settle(txn->attaches[i].sink->section);
	return status;
}

static enum ph_status write_batch(struct ph__batch *batch, struct ph__request *requests)
{
	struct ph__disk *disk = batch->disk;
	enum ph_status status = PH_OK;
	for (struct ph__request *at = requests; at && status == PH_OK; at = at->next)
		if (at->result == PH_OK && at->txn && !at->txn->delete_repo)
			status = settle_txn(at->txn);
	if (status == PH_OK)
		status = ph__batch_write(batch);
	if (status == PH_OK)
		status = ph__io_flush(&disk->io);
	if (status == PH_OK)
		status = ph__super_write(disk, &batch->super);
	return status == PH_OK ? ph__io_flush(&disk->io) : status;
}

/* ---- making it visible ---- */

static void publish_work(struct ph__disk *disk, struct ph__work *work)
{
	struct ph__repo *repo = work->repo;
	if (!repo && !work->deleted)
		return;
	if (!repo) {
		/* Nobody could read it but by the catalogue. */
		ph__freed_append(&disk->catalogues.newest->freed, work->freed);
		work->freed = NULL;
		ph__repo_retire_name(disk, work->name);
		return;
	}
	if (work->from) {
		ph__freed_append(&work->from->view.freed, work->freed);
		work->freed = NULL;
	}
	if (work->extended)
		repo->extended = work->extended;
	if (work->deleted) {
		ph__repo_retire(disk, repo);
		return;
	}
	if (!work->changed)
		return;
	if (work->created)
		ph__repo_insert(disk, repo);
	work->created = false;
	ph__repo_advance(disk, repo, work->to);
	work->to = NULL;
}

/* Whether one is deleted by its name: nobody may be reading it in then. */
static bool removes(const struct ph__batch *batch)
{
	for (const struct ph__work *work = batch->works; work; work = work->next)
		if (!work->repo)
			return true;
	return false;
}

static void publish(struct ph__batch *batch)
{
	struct ph__disk *disk = batch->disk;
	struct ph__freed_list map_freed = {NULL, NULL};
	bool load = removes(batch);
	ph__space_commit(batch);
	if (load)
		ph__lock(disk->sync, disk->load);
	ph__lock(disk->sync, disk->lock);
	disk->super = batch->super;
	atomic_store(&disk->durable, batch->epoch);
	for (struct ph__work *work = batch->works; work; work = work->next)
		publish_work(disk, work);
	/* The view is its first member. */
	struct ph__catalogue *old = (struct ph__catalogue *)disk->catalogues.newest;
	ph__freed_append(&old->view.freed, batch->catalogue_freed);
	ph__views_push(&disk->catalogues, &batch->catalogue->view);
	if (ph__view_put(disk, &disk->catalogues, &old->view))
		ph_mem_free(disk->alloc, old);
	ph__freed_append(&map_freed, batch->map_freed);
	ph__space_return(disk, &map_freed);
	ph__space_settle(disk);
	ph__unlock(disk->sync, disk->lock);
	if (load)
		ph__unlock(disk->sync, disk->load);
	batch->catalogue = NULL;
	batch->catalogue_freed = batch->map_freed = NULL;
}

/* ---- one batch ---- */

static void forget_drops(struct ph__batch *batch)
{
	struct ph__disk *disk = batch->disk;
	ph__lock(disk->sync, disk->lock);
	for (struct ph__work *work = batch->works; work; work = work->next)
		if (work->dropped)
			work->repo->dropped = work->dropped_before;
	ph__unlock(disk->sync, disk->lock);
}

static bool has_changes(const struct ph__batch *batch)
{
	for (const struct ph__work *work = batch->works; work; work = work->next)
		if (work->changed || work->deleted)
			return true;
	return batch->setting_count > 0;
}

static void run_batch(struct ph__disk *disk, struct ph__request *requests)
{
	struct ph__batch batch;
	ph__batch_init(&batch, disk);
	for (struct ph__request *at = requests; at; at = at->next) {
		if (ph__disk_read_only(disk))
			at->result = PH_ERR_READ_ONLY;
		else if (at->txn)
			at->result = ph__batch_apply(&batch, at->txn);
		else
			at->result = ph__batch_setting(&batch, at);
	}
	bool written = false;
	enum ph_status status = PH_OK;
	if (has_changes(&batch)) {
		status = prepare_batch(&batch);
		if (status == PH_OK) {
			status = write_batch(&batch, requests);
			written = status == PH_OK || atomic_load(&disk->io.failed);
		}
	}
	if (status == PH_OK && written)
		publish(&batch);
	else
		forget_drops(&batch);
	for (struct ph__request *at = requests; at; at = at->next) {
		if (at->result == PH_OK)
			at->result = status;
		/* It pins nothing any more; see try_drop. */
		if (at->result == PH_OK && at->txn)
			at->txn->committed = true;
	}
	/* An epoch has a slot of the ring and counts for what waits; one of nothing has neither. */
	if (!written)
		disk->last_epoch--;
	/* What a failed device may hold stays taken until the store is opened again. */
	ph__batch_release(&batch, !written);
	/* Where it cannot be had it is looked for now and then. */
	if (batch.map_moved || batch.epoch % AHEAD_EPOCHS == 0)
		ph__space_ahead(disk);
}

/* ---- the queue ---- */

static struct ph__request *take_queue(struct ph__disk *disk)
{
	struct ph__request *list = disk->queue;
	disk->queue = disk->queue_last = NULL;
	for (struct ph__request *at = list; at; at = at->next)
		at->phase = PH__REQUEST_RUNNING;
	return list;
}

static void enqueue(struct ph__disk *disk, struct ph__request *request)
{
	request->next = NULL;
	request->phase = PH__REQUEST_QUEUED;
	if (disk->queue_last)
		disk->queue_last->next = request;
	else
		disk->queue = request;
	disk->queue_last = request;
}

/* Tells everybody; those that must be alone in a batch wait for the next one. */
static void finish(struct ph__disk *disk, struct ph__request *list)
{
	while (list) {
		struct ph__request *request = list;
		list = list->next;
		ph__lock(disk->sync, disk->lock);
		ph_wake wake = NULL;
		void *arg = request->arg;
		if (request->result == PH_AGAIN) {
			enqueue(disk, request);
		} else {
			wake = request->wake;
			request->phase = PH__REQUEST_DONE;
		}
		/* From here on the request may be gone. */
		ph__unlock(disk->sync, disk->lock);
		if (wake)
			wake(arg);
	}
}

/* ---- leading ---- */

/* The first in the queue who can be woken. With the lock held. */
static struct ph__request *find_heir(struct ph__disk *disk)
{
	struct ph__request *heir = disk->queue;
	while (heir && !heir->wake)
		heir = heir->next;
	return heir;
}

/* Whether somebody in the queue blocks at a gate, and will look when that opens. */
static bool somebody_blocks(struct ph__disk *disk)
{
	struct ph__request *request = disk->queue;
	while (request && !request->blocks)
		request = request->next;
	return request != NULL;
}

/* With the lock held, when nobody leads: *wake is to be called without it, if it is one. */
static void call_heir(struct ph__disk *disk, ph_wake *wake, void **arg)
{
	struct ph__request *heir = somebody_blocks(disk) ? NULL : find_heir(disk);
	*wake = NULL;
	if (!heir)
		return;
	*wake = heir->wake;
	*arg = heir->arg;
	/* It was woken once now; it asks again, and says then how to be woken. */
	heir->wake = NULL;
}

/* After a batch, with the lock held: whether to make another. */
static bool goes_on(struct ph__disk *disk, const struct ph__request *own, uint32_t batches)
{
	if (!disk->queue)
		return false;
	if (own && own->phase != PH__REQUEST_DONE)
		return true;
	return !somebody_blocks(disk) && (batches < LEADER_BATCHES || !find_heir(disk));
}

/*
 * Opens the gate of the last batch and shuts the other. Between the two somebody may come to an
 * open gate and look again, but hardly: a leader goes on only when nobody waits.
 */
static void next_gate(struct ph__disk *disk, bool first)
{
	uint32_t last = disk->gate;
	if (!first)
		ph__unlock(disk->sync, disk->gates[last]);
	ph__lock(disk->sync, disk->gates[!last]);
	ph__lock(disk->sync, disk->lock);
	disk->gate = !last;
	ph__unlock(disk->sync, disk->lock);
}

/* Makes batches while there is something to do. Whoever calls has set leading; own may be NULL. */
static void lead(struct ph__disk *disk, const struct ph__request *own)
{
	ph_wake wake = NULL;
	void *arg = NULL;
	bool on = true;
	ph__lock(disk->sync, disk->commit);
	for (uint32_t batches = 1; on; batches++) {
		next_gate(disk, batches == 1);
		ph__lock(disk->sync, disk->lock);
		struct ph__request *list = take_queue(disk);
		ph__unlock(disk->sync, disk->lock);
		run_batch(disk, list);
		finish(disk, list);
		ph__lock(disk->sync, disk->lock);
		on = goes_on(disk, own, batches);
		if (!on) {
			disk->leading = false;
			call_heir(disk, &wake, &arg);
		}
		ph__unlock(disk->sync, disk->lock);
	}
	uint32_t gate = disk->gate;
	ph__unlock(disk->sync, disk->commit);
	ph__unlock(disk->sync, disk->gates[gate]);
	if (wake)
		wake(arg);
}

/* Waits for the batch that is under way. With the lock held, which it lets go meanwhile. */
static void wait_at_gate(struct ph__disk *disk, struct ph__request *request)
{
	void *gate = disk->gates[disk->gate];
	request->blocks = true;
	request->wake = NULL;
	ph__unlock(disk->sync, disk->lock);
	ph__lock(disk->sync, gate);
	ph__unlock(disk->sync, gate);
	ph__lock(disk->sync, disk->lock);
	request->blocks = false;
}

enum ph_status ph__commit(struct ph__disk *disk, struct ph__request *request, ph_wake wake,
                          void *arg)
{
	ph__lock(disk->sync, disk->lock);
	if (request->phase == PH__REQUEST_IDLE)
		enqueue(disk, request);
	while (request->phase != PH__REQUEST_DONE) {
		if (!disk->leading && !(disk->deferred && wake)) {
			disk->leading = true;
			/* It will see for itself, so nobody is to wake it. */
			request->wake = NULL;
			ph__unlock(disk->sync, disk->lock);
			lead(disk, request);
			ph__lock(disk->sync, disk->lock);
		} else if (wake) {
			request->wake = wake;
			request->arg = arg;
			ph__unlock(disk->sync, disk->lock);
			return PH_PENDING;
		} else {
			wait_at_gate(disk, request);
		}
	}
	request->phase = PH__REQUEST_IDLE;
	enum ph_status status = request->result;
	ph__unlock(disk->sync, disk->lock);
	return status;
}

bool ph_store_disk_commit(struct ph_store *store)
{
	struct ph__disk *disk = ph__disk_of(store);
	ph__lock(disk->sync, disk->lock);
	bool any = disk->queue && !disk->leading;
	if (any)
		disk->leading = true;
	ph__unlock(disk->sync, disk->lock);
	if (any)
		lead(disk, NULL);
	return any;
}

bool ph_store_disk_waits(struct ph_store *store)
{
	struct ph__disk *disk = ph__disk_of(store);
	ph__lock(disk->sync, disk->lock);
	bool waits = disk->queue != NULL;
	ph__unlock(disk->sync, disk->lock);
	return waits;
}

static bool unqueue(struct ph__disk *disk, struct ph__request *request)
{
	struct ph__request **link = &disk->queue, *last = NULL;
	while (*link && *link != request) {
		last = *link;
		link = &(*link)->next;
	}
	if (!*link)
		return false;
	*link = request->next;
	if (disk->queue_last == request)
		disk->queue_last = last;
	request->phase = PH__REQUEST_IDLE;
	return true;
}

enum ph_status ph__commit_cancel(struct ph__disk *disk, struct ph__request *request)
{
	ph_wake wake = NULL;
	void *arg = NULL;
	ph__lock(disk->sync, disk->lock);
	while (request->phase == PH__REQUEST_RUNNING) {
		/* In a batch already: that ends before the leader's lock is free. */
		ph__unlock(disk->sync, disk->lock);
		ph__lock(disk->sync, disk->commit);
		ph__unlock(disk->sync, disk->commit);
		ph__lock(disk->sync, disk->lock);
	}
	bool done = request->phase == PH__REQUEST_DONE;
	/* It may have been the one to lead. */
	if (!done && unqueue(disk, request) && !disk->leading)
		call_heir(disk, &wake, &arg);
	ph__unlock(disk->sync, disk->lock);
	if (wake)
		wake(arg);
	return done ? request->result : PH_ERR_NOT_FOUND;
}
