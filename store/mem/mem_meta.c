/* SPDX-License-Identifier: MIT */
/*
 * Settings, shallow set and log of pushes in memory: immutable tables of counted records. A commit
 * that changes one makes a new table that shares the other records; tables that do not change are
 * shared whole. The log keeps its records in chunks, so that a push copies one chunk, not the log.
 */
#include "store_mem_int.h"

#include <assert.h>
#include <string.h>

/* ---- settings ---- */

static void release_setting(const struct ph_alloc *alloc, struct mem_setting *setting)
{
	if (mem_release(&setting->count))
		ph_mem_free(alloc, setting);
}

void ph__mem_settings_release(const struct ph_alloc *alloc, struct mem_settings *settings)
{
	if (!settings || !mem_release(&settings->count))
		return;
	for (uint32_t i = 0; i < settings->settings; i++)
		release_setting(alloc, settings->setting[i]);
	ph_mem_free(alloc, settings);
}

static struct mem_setting *new_setting(const struct ph_alloc *alloc,
                                       const struct ph__setting_change *change)
{
	struct mem_setting *setting = ph_mem_zalloc(alloc, 1, sizeof(*setting) + change->len);
	if (!setting)
		return NULL;
	mem_count_init(&setting->count);
	setting->len = change->len;
	size_t key_len = strlen(change->key);
	assert(key_len <= PH_SETTING_KEY_MAX);
	memcpy(setting->key, change->key, key_len);
	if (change->len > 0)
		memcpy(setting->data, change->data, change->len);
	return setting;
}

static const struct mem_setting *find_setting(const struct mem_settings *settings, const char *key)
{
	for (uint32_t i = 0; settings && i < settings->settings; i++)
		if (strcmp(settings->setting[i]->key, key) == 0)
			return settings->setting[i];
	return NULL;
}

static bool changes_key(const struct ph__setting_change *changes, const char *key)
{
	for (; changes; changes = changes->next)
		if (strcmp(changes->key, key) == 0)
			return true;
	return false;
}

/* Fills a table that has room: what stays, and what is new. */
static enum ph_status fill_settings(const struct ph_alloc *alloc, struct mem_settings *out,
                                    const struct mem_settings *old,
                                    const struct ph__setting_change *changes)
{
	for (uint32_t i = 0; old && i < old->settings; i++) {
		if (changes_key(changes, old->setting[i]->key))
			continue;
		mem_retain(&old->setting[i]->count);
		out->setting[out->settings++] = old->setting[i];
	}
	for (; changes; changes = changes->next) {
		if (!changes->data)
			continue;
		struct mem_setting *setting = new_setting(alloc, changes);
		if (!setting)
			return PH_ERR_NOMEM;
		out->setting[out->settings++] = setting;
	}
	return out->settings <= PH__SETTINGS_MAX ? PH_OK : PH_ERR_LIMIT;
}

enum ph_status ph__mem_settings_apply(const struct ph_alloc *alloc, struct mem_settings *settings,
                                      const struct ph__setting_change *changes,
                                      struct mem_settings **out)
{
	*out = settings;
	if (!changes) {
		if (settings)
			mem_retain(&settings->count);
		return PH_OK;
	}
	uint32_t room = settings ? settings->settings : 0;
	for (const struct ph__setting_change *change = changes; change; change = change->next)
		room++;
	struct mem_settings *made =
	        ph_mem_zalloc(alloc, 1, sizeof(*made) + room * sizeof(made->setting[0]));
	if (!made)
		return PH_ERR_NOMEM;
	mem_count_init(&made->count);
	enum ph_status status = fill_settings(alloc, made, settings, changes);
	if (status == PH_OK)
		*out = made;
	else
		ph__mem_settings_release(alloc, made);
	return status;
}

bool ph__mem_settings_same(const struct mem_settings *a, const struct mem_settings *b,
                           const struct ph__setting_change *changes)
{
	for (; changes; changes = changes->next)
		if (find_setting(a, changes->key) != find_setting(b, changes->key))
			return false;
	return true;
}

bool ph__mem_settings_is(const struct mem_settings *settings, const char *key, const void *data,
                         size_t len)
{
	const struct mem_setting *setting = find_setting(settings, key);
	if (!setting || !data)
		return !setting && !data;
	return setting->len == len && (len == 0 || memcmp(setting->data, data, len) == 0);
}

enum ph_status ph__mem_settings_get(const struct mem_settings *settings, const char *key, void *buf,
                                    size_t *len)
{
	const struct mem_setting *setting = find_setting(settings, key);
	if (!setting)
		return PH_ERR_NOT_FOUND;
	return ph__bytes_out(setting->data, setting->len, buf, len);
}

/* ---- shallow set ---- */

void ph__mem_shallow_release(const struct ph_alloc *alloc, struct mem_shallow *shallow)
{
	if (shallow && mem_release(&shallow->count))
		ph_mem_free(alloc, shallow);
}

enum ph_status ph__mem_shallow_apply(const struct ph_alloc *alloc, struct mem_shallow *shallow,
                                     const struct ph__txn_meta *meta, struct mem_shallow **out)
{
	*out = shallow;
	if (!meta->shallow_set) {
		if (shallow)
			mem_retain(&shallow->count);
		return PH_OK;
	}
	size_t bytes = meta->shallow_count * sizeof(meta->shallow[0]);
	struct mem_shallow *made = ph_mem_alloc(alloc, sizeof(*made) + bytes);
	if (!made)
		return PH_ERR_NOMEM;
	mem_count_init(&made->count);
	made->oids = meta->shallow_count;
	if (bytes > 0)
		memcpy(made->oid, meta->shallow, bytes);
	*out = made;
	return PH_OK;
}

/* ---- log ---- */

static void release_chunk(const struct ph_alloc *alloc, struct mem_log_chunk *chunk)
{
	if (!mem_release(&chunk->count))
		return;
	for (uint32_t i = 0; i < chunk->records; i++)
		if (mem_release(&chunk->record[i]->count))
			ph_mem_free(alloc, chunk->record[i]);
	ph_mem_free(alloc, chunk);
}

void ph__mem_log_release(const struct ph_alloc *alloc, struct mem_log *log)
{
	if (!log || !mem_release(&log->count))
		return;
	for (uint32_t i = 0; i < log->chunks; i++)
		release_chunk(alloc, log->chunk[i]);
	ph_mem_free(alloc, log);
}

static struct mem_log_chunk *new_chunk(const struct ph_alloc *alloc,
                                       const struct mem_log_chunk *like)
{
	struct mem_log_chunk *chunk = ph_mem_zalloc(alloc, 1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	mem_count_init(&chunk->count);
	for (uint32_t i = 0; like && i < like->records; i++) {
		mem_retain(&like->record[i]->count);
		chunk->record[chunk->records++] = like->record[i];
	}
	return chunk;
}

/* The new log up to its last chunk, which is a copy when it is not full. */
static enum ph_status copy_log(const struct ph_alloc *alloc, struct mem_log *out,
                               const struct mem_log *old)
{
	for (uint32_t i = 0; old && i < old->chunks; i++) {
		struct mem_log_chunk *chunk = old->chunk[i];
		if (chunk->records == MEM_LOG_CHUNK_RECORDS)
			mem_retain(&chunk->count);
		else
			chunk = new_chunk(alloc, chunk);
		if (!chunk)
			return PH_ERR_NOMEM;
		out->chunk[out->chunks++] = chunk;
	}
	return PH_OK;
}

static enum ph_status add_record(const struct ph_alloc *alloc, struct mem_log *log,
                                 const struct ph__log_record *record)
{
	struct mem_log_chunk *last = log->chunks > 0 ? log->chunk[log->chunks - 1] : NULL;
	if (!last || last->records == MEM_LOG_CHUNK_RECORDS) {
		last = new_chunk(alloc, NULL);
		if (!last)
			return PH_ERR_NOMEM;
		log->chunk[log->chunks++] = last;
	}
	struct mem_log_record *made =
	        ph_mem_alloc(alloc, sizeof(*made) + PH_LOG_LINK_BYTES + record->len);
	if (!made)
		return PH_ERR_NOMEM;
	mem_count_init(&made->count);
	made->len = ph__log_link(made->data, &log->tip, record);
	last->record[last->records++] = made;
	return PH_OK;
}

/* Forgets the oldest chunks. */
static void trim_log(const struct ph_alloc *alloc, struct mem_log *log)
{
	if (log->chunks <= MEM_LOG_CHUNKS_MAX)
		return;
	uint32_t gone = log->chunks - MEM_LOG_CHUNKS_MAX;
	for (uint32_t i = 0; i < gone; i++)
		release_chunk(alloc, log->chunk[i]);
	log->chunks -= gone;
	memmove(log->chunk, log->chunk + gone, log->chunks * sizeof(log->chunk[0]));
}

enum ph_status ph__mem_log_apply(const struct ph_alloc *alloc, struct mem_log *log,
                                 const struct ph__log_record *records, struct mem_log **out)
{
	*out = log;
	if (!records) {
		if (log)
			mem_retain(&log->count);
		return PH_OK;
	}
	/* A transaction has few records, see PH__LOG_RECORDS_MAX. */
	uint32_t room = (log ? log->chunks : 0) + PH__LOG_RECORDS_MAX / MEM_LOG_CHUNK_RECORDS + 1;
	struct mem_log *made = ph_mem_alloc(alloc, sizeof(*made) + room * sizeof(made->chunk[0]));
	if (!made)
		return PH_ERR_NOMEM;
	mem_count_init(&made->count);
	made->chunks = 0;
	made->tip = log ? log->tip : (struct ph_oid){{0}};
	enum ph_status status = copy_log(alloc, made, log);
	for (; records && status == PH_OK; records = records->next)
		status = add_record(alloc, made, records);
	if (status != PH_OK) {
		ph__mem_log_release(alloc, made);
		return status;
	}
	trim_log(alloc, made);
	*out = made;
	return PH_OK;
}

uint64_t ph__mem_log_count(const struct mem_log *log)
{
	if (!log || log->chunks == 0)
		return 0;
	uint64_t full = (uint64_t)(log->chunks - 1) * MEM_LOG_CHUNK_RECORDS;
	return full + log->chunk[log->chunks - 1]->records;
}

enum ph_status ph__mem_log_read(const struct mem_log *log, uint64_t number, void *buf, size_t *len)
{
	if (number >= ph__mem_log_count(log))
		return PH_ERR_NOT_FOUND;
	const struct mem_log_chunk *chunk = log->chunk[number / MEM_LOG_CHUNK_RECORDS];
	const struct mem_log_record *record = chunk->record[number % MEM_LOG_CHUNK_RECORDS];
	return ph__bytes_out(record->data, record->len, buf, len);
}
