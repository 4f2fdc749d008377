/* SPDX-License-Identifier: MIT */
/*
 * The transaction of an import. Its packs go through the same checks as a pushed one: structure,
 * hashes, deltas, the rules of fsck as the server's configuration has them. They are its quarantine
 * until the commit; a process that ends before leaves free space behind and nothing else.
 */
#include "import.h"
#include "daemon_int.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_UNITS 4096u
/* Between two looks at the progress while others work. */
#define LOOK_NS 100000000u
/* Warnings of fsck that are printed; all are counted. */
#define WARNINGS_MAX 8u

struct ph_import_waiter {
	uv_mutex_t lock;
	uv_cond_t woken;
	bool is;
};

enum ph_status ph__import_fail(struct ph_import *import, enum ph_status status, const char *format,
                               ...)
{
	va_list args;

	va_start(args, format);
	if (!*import->why)
		vsnprintf(import->why, sizeof(import->why), format, args);
	va_end(args);
	return status;
}

bool ph__import_stops(struct ph_import *import)
{
	import->interrupted = import->interrupted || ph__interrupt_waits();
	return import->interrupted;
}

/* ---- threads ---- */

static void wake(void *user)
{
	struct ph_import_waiter *waiter = user;

	uv_mutex_lock(&waiter->lock);
	waiter->is = true;
	uv_cond_signal(&waiter->woken);
	uv_mutex_unlock(&waiter->lock);
}

/* Until woken, or a moment has passed: then PH_AGAIN means nothing but to look again. */
static bool wait_a_moment(struct ph_import_waiter *waiter)
{
	bool is;

	uv_mutex_lock(&waiter->lock);
	if (!waiter->is)
		(void)uv_cond_timedwait(&waiter->woken, &waiter->lock, LOOK_NS);
	is = waiter->is;
	waiter->is = false;
	uv_mutex_unlock(&waiter->lock);
	return is;
}

static enum ph_status threads_start(struct ph_import *import)
{
	import->waiter = calloc(1, sizeof(*import->waiter));
	if (!import->waiter)
		return PH_ERR_NOMEM;
	uv_mutex_init(&import->waiter->lock);
	uv_cond_init(&import->waiter->woken);
	/* Where there are no threads to be had, this one does it all. */
	import->pool = ph__pool_new(0, uv_available_parallelism());
	return PH_OK;
}

static void threads_stop(struct ph_import *import)
{
	if (import->pool) {
		ph__pool_stop(import->pool);
		ph__pool_free(import->pool);
	}
	if (import->waiter) {
		uv_cond_destroy(&import->waiter->woken);
		uv_mutex_destroy(&import->waiter->lock);
	}
	free(import->waiter);
	import->pool = NULL;
	import->waiter = NULL;
}

/* ---- the transaction ---- */

/* Ids of a skip list that this repository can have; the others are skipped by nobody. */
static enum ph_status load_skips(struct ph_import *import)
{
	const struct ph_config_list *list = &import->config.fsck_skips;
	size_t hex = ph_hash_hex(import->algo);
	uint32_t count = 0;

	import->fsck_skips = calloc(PH_FSCK_SKIPS_MAX, sizeof(*import->fsck_skips));
	if (!import->fsck_skips)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < list->count; i++) {
		const char *at = list->items[i].text;

		while (*at && count < PH_FSCK_SKIPS_MAX) {
			size_t len = strcspn(at, " ");

			if (len == hex && ph_oid_from_hex(&import->fsck_skips[count], import->algo,
			                                  at, len) == PH_OK)
				count++;
			at += len + strspn(at + len, " ");
		}
	}
	ph_fsck_skips_sort(import->fsck_skips, count);
	import->fsck.skips = import->fsck_skips;
	import->fsck.skips_count = count;
	return PH_OK;
}

static enum ph_status load_config(struct ph_import *import)
{
	enum ph_status status = ph_config_load(&import->config, import->image.store, import->base,
	                                       import->image.options.alloc);

	if (status != PH_OK)
		return status;
	import->configured = true;
	import->fsck = import->config.fsck;
	return load_skips(import);
}

static enum ph_status begin_existing(struct ph_import *import)
{
	if (import->base->algo != import->algo)
		return ph__import_fail(import, PH_ERR_CONFLICT,
		                       "it has %s objects and %s has %s; import into another name",
		                       ph_hash_name(import->base->algo), import->from,
		                       ph_hash_name(import->algo));
	return ph_store_begin(import->image.store, import->base, &import->txn);
}

enum ph_status ph__import_begin(struct ph_import *import)
{
	struct ph_store *store = import->image.store;
	enum ph_status status;

	status = ph_store_snapshot(store, import->repo, &import->base);
	if (status == PH_OK)
		status = begin_existing(import);
	else if (status == PH_ERR_NOT_FOUND)
		status = ph_store_create(store, import->repo, import->algo, &import->txn);
	if (status == PH_ERR_INVALID)
		return ph__import_fail(
		        import, status,
		        "that is no name for a repository, which is like team/project");
	if (status == PH_OK)
		status = load_config(import);
	return status == PH_OK ? threads_start(import) : status;
}

/* ---- packs ---- */

static void warn(void *user, const char *id, const struct ph_oid *oid)
{
	struct ph_import *import = user;
	char hex[PH_OID_HEX_MAX + 1];

	if (import->warnings++ >= WARNINGS_MAX || import->quiet)
		return;
	ph__progress_clear(&import->progress);
	fprintf(stderr, "warning: object %s: %s: %s\n", ph_oid_to_hex(hex, import->algo, oid), id,
	        ph_fsck_text(id));
}

static enum ph_status sinks(struct ph_import *import)
{
	struct ph_pack_in_options *options = &import->pack_options;
	enum ph_status status = ph_txn_pack_begin(import->txn, &import->pack);

	if (status == PH_OK)
		status = ph_txn_sink(import->txn, import->pack, PH_SECTION_RUN, &options->run);
	if (status == PH_OK)
		status = ph_txn_sink(import->txn, import->pack, PH_SECTION_INDEX, &options->index);
	if (status == PH_OK)
		status = ph_txn_sink(import->txn, import->pack, PH_SECTION_SCRATCH,
		                     &options->scratch);
	return status;
}

enum ph_status ph__import_pack_begin(struct ph_import *import, const char *title)
{
	const struct ph_source *base;
	struct ph_pack_in_options *options = &import->pack_options;
	enum ph_status status;

	*options = (struct ph_pack_in_options){.algo = import->algo,
	                                       .alloc = import->image.options.alloc,
	                                       .limits = &import->image.limits,
	                                       .user = import,
	                                       .warn = warn,
	                                       .wake_user = import->waiter,
	                                       .wake = wake,
	                                       .rules = &import->fsck,
	                                       .unchecked = !import->config.fsck_objects};
	if (import->pool)
		options->executor = ph__pool_executor(import->pool);
#ifdef PH_LIBDEFLATE
	options->unpack = ph_unpack_libdeflate();
#endif
	status = sinks(import);
	if (status != PH_OK)
		return status;
	base = ph_txn_source(import->txn);
	if (base->ops->packs(base) > 0)
		options->base = base;
	else
		options->links = ph__random(NULL, &options->seed, sizeof(options->seed)) == PH_OK;
	ph__progress_begin(&import->progress, import->quiet, title, 0);
	return ph_pack_in_new(&import->pack_in, options);
}

/* What is wrong with a pack, so that it can be found there. */
static enum ph_status fail_pack(struct ph_import *import, enum ph_status status, const char *name)
{
	const struct ph_error *error = ph_pack_in_error(import->pack_in);
	const char *what = error->status != PH_OK && error->what ? error->what : "";

	if (status == PH_ERR_FSCK)
		return ph__import_fail(import, status,
		                       "%s: object %s: %s: %s; the server's configuration can let "
		                       "it through (receive.fsck.%s)",
		                       name, error->detail, what, ph_fsck_text(what), what);
	if (status == PH_ERR_FULL || status == PH_ERR_IO || status == PH_ERR_NOMEM ||
	    status == PH_ERR_READ_ONLY)
		return status;
	return ph__import_fail(import, status, "%s is damaged: %s%s%s%s%s", name,
	                       ph_status_text(status), *what ? ": " : "", what,
	                       *error->detail ? " " : "", error->detail);
}

static void show_taken(struct ph_import *import)
{
	const struct ph_pack_in_stats *stats = ph_pack_in_stats(import->pack_in);

	import->progress.total = stats->announced;
	ph__progress_at(&import->progress, stats->received, stats->bytes);
}

enum ph_status ph__import_pack_write(struct ph_import *import, const uint8_t *data, size_t len,
                                     size_t *used, const char *name)
{
	enum ph_status status = PH_OK;

	for (*used = 0; status == PH_OK || status == PH_AGAIN;) {
		uint32_t budget = SLICE_UNITS;
		size_t took;

		if (*used == len)
			return PH_OK;
		if (ph__import_stops(import))
			return PH_ERR_BUSY;
		status = ph_pack_in_write(import->pack_in, data + *used, len - *used, &took,
		                          &budget);
		*used += took;
		show_taken(import);
	}
	return status == PH_END ? status : fail_pack(import, status, name);
}

/* Runs until all is resolved and indexed. */
static enum ph_status resolve(struct ph_import *import, const char *name)
{
	const struct ph_pack_in_stats *stats = ph_pack_in_stats(import->pack_in);
	enum ph_status status = PH_AGAIN;

	if (stats->deltas)
		ph__progress_begin(&import->progress, import->quiet, "Resolving deltas",
		                   stats->deltas);
	while (status == PH_AGAIN) {
		uint32_t budget = SLICE_UNITS;

		if (ph__import_stops(import))
			return PH_ERR_BUSY;
		status = ph_pack_in_run(import->pack_in, &budget);
		while (status == PH_PENDING) {
			if (wait_a_moment(import->waiter))
				status = PH_AGAIN;
			else if (ph__import_stops(import))
				return PH_ERR_BUSY;
		}
		if (stats->deltas)
			ph__progress_at(&import->progress, stats->resolved, 0);
	}
	return status == PH_OK ? PH_OK : fail_pack(import, status, name);
}

/* Whether the repository had all of a pack before: one that was imported already, say. */
static enum ph_status had(struct ph_import *import, bool *all)
{
	const struct ph_source *source = ph_txn_source(import->txn);
	const struct ph_source *old = import->base ? ph_snapshot_source(import->base) : NULL;
	uint32_t pack = source->ops->packs(source) - 1, entries = 0;
	uint64_t bytes;

	*all = false;
	if (!old || old->ops->packs(old) == 0)
		return PH_OK;
	source->ops->pack_size(source, pack, &entries, &bytes);
	for (uint32_t pos = 0; pos < entries; pos++) {
		struct ph_entry entry;
		struct ph_loc loc;
		enum ph_status status =
		        source->ops->entry(source, (struct ph_loc){pack, pos}, &entry);

		if (status == PH_OK)
			status = old->ops->find(old, &entry.oid, &loc);
		if (status != PH_OK)
			return status == PH_ERR_NOT_FOUND ? PH_OK : status;
	}
	*all = true;
	return PH_OK;
}

/* A pack that brings nothing is not kept. */
static enum ph_status keep(struct ph_import *import, uint32_t announced)
{
	bool all = announced == 0;
	enum ph_status status = PH_OK;

	if (!all) {
		status = ph_txn_pack_end(import->txn, import->pack);
		if (status == PH_OK)
			status = had(import, &all);
	}
	if (status == PH_OK && all)
		ph_txn_pack_drop(import->txn, import->pack);
	else if (status == PH_OK)
		import->packs++;
	return status;
}

enum ph_status ph__import_pack_end(struct ph_import *import, const char *name)
{
	struct ph_pack_in_stats stats;
	enum ph_status status;

	ph__progress_end(&import->progress);
	status = resolve(import, name);
	if (status != PH_OK)
		return status;
	ph__progress_end(&import->progress);
	stats = *ph_pack_in_stats(import->pack_in);
	/* A pack of no objects refers to nothing, and proves nothing of those that follow it. */
	if (stats.announced > 0 && ph_pack_in_closed(import->pack_in))
		import->closed = true;
	ph_pack_in_free(import->pack_in);
	import->pack_in = NULL;
	import->objects += stats.received;
	import->bytes += stats.bytes;
	return keep(import, stats.announced);
}

/* ---- the end ---- */

/* The name that cannot be had, and beside which one. */
static enum ph_status fail_refs(struct ph_import *import, enum ph_status status)
{
	for (uint32_t i = 0; i < import->refs.count; i++) {
		const struct ph_import_ref *ref = &import->refs.items[i];
		enum ph_status verdict;

		if (ref->skip)
			continue;
		verdict = ph_txn_verdict(import->txn, ref->change);
		if (verdict == PH_ERR_INVALID)
			return ph__import_fail(import, status,
			                       "%s: the repository has a ref that this is a folder "
			                       "of, or that is a folder of this",
			                       ref->name);
		if (verdict != PH_OK)
			return ph__import_fail(import, status, "%s: %s", ref->name,
			                       ph_status_text(verdict));
	}
	return status;
}

enum ph_status ph__import_commit(struct ph_import *import)
{
	enum ph_status status = ph_txn_prepare(import->txn);

	if (status == PH_ERR_CONFLICT)
		return fail_refs(import, status);
	return status == PH_OK ? ph_txn_commit(import->txn, NULL, NULL) : status;
}

void ph__import_release(struct ph_import *import)
{
	ph__progress_clear(&import->progress);
	ph_pack_in_free(import->pack_in);
	threads_stop(import);
	ph_txn_free(import->txn);
	ph_snapshot_release(import->base);
	if (import->configured)
		ph_config_release(&import->config, import->image.options.alloc);
	free(import->fsck_skips);
	for (uint32_t i = 0; i < import->refs.count; i++) {
		free(import->refs.items[i].name);
		free(import->refs.items[i].target);
	}
	free(import->refs.items);
	free(import->head);
	free(import->shallow);
}
