/* SPDX-License-Identifier: MIT */
/*
 * Settings, shallow set and log records of a transaction, kept until it commits. Everything is
 * copied and checked when it is given, so that a commit only has to apply it.
 */
#include "txn_meta_int.h"

#include <assert.h>
#include <packhorse/hash.h>
#include <string.h>

void ph__txn_meta_init(struct ph__txn_meta *meta, const struct ph_alloc *alloc,
                       const struct ph_limits *limits)
{
	memset(meta, 0, sizeof(*meta));
	meta->alloc = alloc;
	meta->limits = limits;
}

static void free_setting(const struct ph_alloc *alloc, struct ph__setting_change *change)
{
	ph_mem_free(alloc, change->key);
	ph_mem_free(alloc, change->data);
	ph_mem_free(alloc, change);
}

void ph__txn_meta_release(struct ph__txn_meta *meta)
{
	while (meta->settings) {
		struct ph__setting_change *next = meta->settings->next;
		free_setting(meta->alloc, meta->settings);
		meta->settings = next;
	}
	while (meta->log) {
		struct ph__log_record *next = meta->log->next;
		ph_mem_free(meta->alloc, meta->log);
		meta->log = next;
	}
	ph_mem_free(meta->alloc, meta->shallow);
	ph__txn_meta_init(meta, meta->alloc, meta->limits);
}

enum ph_status ph__setting_check(const char *key, const void *data, size_t len)
{
	size_t key_len = 0;
	while (key_len <= PH_SETTING_KEY_MAX && key[key_len] != '\0')
		key_len++;
	if (key_len == 0 || key_len > PH_SETTING_KEY_MAX)
		return PH_ERR_INVALID;
	return data && len > PH_SETTING_BYTES_MAX ? PH_ERR_LIMIT : PH_OK;
}

enum ph_status ph__bytes_out(const void *data, size_t len, void *buf, size_t *room)
{
	if (len > *room)
		return PH_ERR_LIMIT;
	if (len > 0)
		memcpy(buf, data, len);
	*room = len;
	return PH_OK;
}

static struct ph__setting_change *new_setting(struct ph__txn_meta *meta, const char *key,
                                              const void *data, size_t len)
{
	struct ph__setting_change *change = ph_mem_zalloc(meta->alloc, 1, sizeof(*change));
	if (!change)
		return NULL;
	change->key = ph_mem_strdup(meta->alloc, key, strlen(key));
	if (data) {
		/* One byte more: an empty value is not a deletion. */
		change->data = ph_mem_alloc(meta->alloc, len + 1);
		change->len = (uint32_t)len;
		if (change->data && len > 0)
			memcpy(change->data, data, len);
	}
	if (!change->key || (data && !change->data)) {
		free_setting(meta->alloc, change);
		return NULL;
	}
	return change;
}

enum ph_status ph__txn_meta_setting(struct ph__txn_meta *meta, const char *key, const void *data,
                                    size_t len)
{
	enum ph_status status = ph__setting_check(key, data, len);
	if (status != PH_OK)
		return status;
	struct ph__setting_change **link = &meta->settings;
	while (*link && strcmp((*link)->key, key) != 0)
		link = &(*link)->next;
	if (!*link && meta->settings_count >= PH__SETTINGS_MAX)
		return PH_ERR_LIMIT;
	struct ph__setting_change *change = new_setting(meta, key, data, len);
	if (!change)
		return PH_ERR_NOMEM;
	if (*link) {
		change->next = (*link)->next;
		free_setting(meta->alloc, *link);
	} else {
		meta->settings_count++;
	}
	*link = change;
	return PH_OK;
}

/* Merges two sorted neighbours of a width; see sort_oids. */
static void merge(struct ph_oid *out, const struct ph_oid *in, size_t low, size_t middle,
                  size_t high)
{
	size_t left = low, right = middle;
	for (size_t i = low; i < high; i++) {
		bool take_left =
		        left < middle && (right >= high || ph_oid_cmp(&in[left], &in[right]) <= 0);
		out[i] = take_left ? in[left++] : in[right++];
	}
}

/* A merge sort between two arrays; returns the one that holds the result. (qsort may allocate.) */
static struct ph_oid *sort_oids(struct ph_oid *a, struct ph_oid *b, size_t count)
{
	for (size_t width = 1; width < count; width *= 2) {
		for (size_t low = 0; low < count; low += 2 * width) {
			size_t middle = low + width < count ? low + width : count;
			size_t high = middle + width < count ? middle + width : count;
			merge(b, a, low, middle, high);
		}
		struct ph_oid *swap = a;
		a = b;
		b = swap;
	}
	return a;
}

enum ph_status ph__txn_meta_shallow(struct ph__txn_meta *meta, const struct ph_oid *oids,
                                    size_t count)
{
	if (count > meta->limits->shallows_max)
		return PH_ERR_LIMIT;
	struct ph_oid *sorted = NULL;
	size_t kept = 0;
	if (count > 0) {
		struct ph_oid *copy = ph_mem_zalloc(meta->alloc, count, sizeof(*copy));
		struct ph_oid *spare = ph_mem_zalloc(meta->alloc, count, sizeof(*spare));
		if (!copy || !spare) {
			ph_mem_free(meta->alloc, copy);
			ph_mem_free(meta->alloc, spare);
			return PH_ERR_NOMEM;
		}
		memcpy(copy, oids, count * sizeof(*copy));
		sorted = sort_oids(copy, spare, count);
		ph_mem_free(meta->alloc, sorted == copy ? spare : copy);
		for (size_t i = 0; i < count; i++)
			if (kept == 0 || !ph_oid_equal(&sorted[kept - 1], &sorted[i]))
				sorted[kept++] = sorted[i];
	}
	ph_mem_free(meta->alloc, meta->shallow);
	meta->shallow = sorted;
	meta->shallow_count = (uint32_t)kept;
	meta->shallow_set = true;
	return PH_OK;
}

enum ph_status ph__txn_meta_log(struct ph__txn_meta *meta, const void *data, size_t len)
{
	if (len > PH__LOG_RECORD_MAX || meta->log_count >= PH__LOG_RECORDS_MAX)
		return PH_ERR_LIMIT;
	struct ph__log_record *record = ph_mem_alloc(meta->alloc, sizeof(*record) + len);
	if (!record)
		return PH_ERR_NOMEM;
	record->next = NULL;
	record->len = (uint32_t)len;
	if (len > 0)
		memcpy(record->data, data, len);
	if (meta->log_last)
		meta->log_last->next = record;
	else
		meta->log = record;
	meta->log_last = record;
	meta->log_count++;
	return PH_OK;
}

uint32_t ph__log_link(uint8_t *out, struct ph_oid *tip, const struct ph__log_record *record)
{
	struct ph_hash hash;
	uint32_t len = PH_LOG_LINK_BYTES + record->len;
	ph_oid_to_hex((char *)out, PH_HASH_SHA256, tip);
	out[PH_LOG_LINK_BYTES - 1] = '\n';
	if (record->len > 0)
		memcpy(out + PH_LOG_LINK_BYTES, record->data, record->len);
	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, out, len);
	ph_hash_final(&hash, tip);
	return len;
}

bool ph__txn_meta_empty(const struct ph__txn_meta *meta)
{
	return !meta->settings && !meta->log && !meta->shallow_set;
}
