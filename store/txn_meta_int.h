/* SPDX-License-Identifier: MIT */
/*
 * What a transaction carries beside packs and refs: changes of settings, a new shallow set, records
 * for the log of pushes. Shared by the implementations of a store.
 */
#ifndef PACKHORSE_TXN_META_INT_H
#define PACKHORSE_TXN_META_INT_H

#include <packhorse/store.h>

/* Bytes of a record of the log of pushes. */
#define PH__LOG_RECORD_MAX 4096u
/* Settings of a repository, and of a store: few are in use, and each may be 64 KiB. */
#define PH__SETTINGS_MAX 256u
/* Records of one transaction: a push adds one. */
#define PH__LOG_RECORDS_MAX 1024u

/* A change of a setting; the last one of a key counts and is the only one kept. */
struct ph__setting_change {
	struct ph__setting_change *next;
	char *key;
	uint8_t *data; /* NULL deletes; never NULL for an empty value */
	uint32_t len;
};

struct ph__log_record {
	struct ph__log_record *next;
	uint32_t len;
	uint8_t data[];
};

struct ph__txn_meta {
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	struct ph__setting_change *settings;
	uint32_t settings_count;
	struct ph__log_record *log, *log_last; /* oldest first */
	uint32_t log_count;
	struct ph_oid *shallow; /* sorted, each once */
	uint32_t shallow_count;
	bool shallow_set;
};

void ph__txn_meta_init(struct ph__txn_meta *meta, const struct ph_alloc *alloc,
                       const struct ph_limits *limits);
void ph__txn_meta_release(struct ph__txn_meta *meta);

/* The operations set_setting, set_shallow and log of store.h. */
enum ph_status ph__txn_meta_setting(struct ph__txn_meta *meta, const char *key, const void *data,
                                    size_t len);
enum ph_status ph__txn_meta_shallow(struct ph__txn_meta *meta, const struct ph_oid *oids,
                                    size_t count);
enum ph_status ph__txn_meta_log(struct ph__txn_meta *meta, const void *data, size_t len);

/*
 * A record as the log keeps it: behind the hash of the one before, which tip holds (zero: there is
 * none); tip becomes the record's own. out has PH_LOG_LINKED_MAX bytes. Returns how many are used.
 */
uint32_t ph__log_link(uint8_t *out, struct ph_oid *tip, const struct ph__log_record *record);

/* Whether there is nothing to do. */
bool ph__txn_meta_empty(const struct ph__txn_meta *meta);

/*
 * Keys are 1 to PH_SETTING_KEY_MAX bytes, values at most PH_SETTING_BYTES_MAX: PH_ERR_INVALID,
 * PH_ERR_LIMIT.
 */
enum ph_status ph__setting_check(const char *key, const void *data, size_t len);

/*
 * What every getter of bytes does: copies len bytes of data into buf, where *room is its size and
 * then the length. PH_ERR_LIMIT when it does not fit.
 */
enum ph_status ph__bytes_out(const void *data, size_t len, void *buf, size_t *room);

#endif
