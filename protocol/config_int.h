/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the configuration share: the table of keys (config_keys.c), values as git reads
 * them (config_value.c), the text that is stored (config_text.c).
 */
#ifndef PACKHORSE_CONFIG_INT_H
#define PACKHORSE_CONFIG_INT_H

#include <packhorse/config.h>
#include <packhorse/walk.h>

/* The setting of the store and of a repository that holds it. */
#define PH__CONFIG_SETTING "config"

enum ph__config_type {
	PH__CONFIG_BOOL,
	PH__CONFIG_ANY_SHA1,
	PH__CONFIG_SECONDS,
	PH__CONFIG_DAYS,
	PH__CONFIG_SIZE,
	PH__CONFIG_DENY,
	PH__CONFIG_DENY_UNUSED, /* as the one before, and without effect */
	PH__CONFIG_BOOL_UNUSED,
	PH__CONFIG_NUMBER_UNUSED,
	PH__CONFIG_FSCK,
	PH__CONFIG_FSCK_ID,
	PH__CONFIG_FSCK_SKIPS,
	PH__CONFIG_UNBORN,
	PH__CONFIG_HIDE,
	PH__CONFIG_REFS,  /* patterns as those; field is the list */
	PH__CONFIG_PATHS, /* likewise */
	PH__CONFIG_PACKFILE_URI,
	PH__CONFIG_FILTER_ALLOW,
	PH__CONFIG_TREE_DEPTH,
	PH__CONFIG_NONCE_SEED,
	PH__CONFIG_NONCE_SLOP, /* means nothing where a session outlives its nonce */
	PH__CONFIG_CERT_KEY,
	PH__CONFIG_SIGNER,
	PH__CONFIG_REVOKED,
	PH__CONFIG_SIGNERS_FILE, /* these two are refused, with the name of what is there instead */
	PH__CONFIG_REVOKED_FILE,
	PH__CONFIG_BUNDLE_VERSION,
	PH__CONFIG_BUNDLE_MODE,
	PH__CONFIG_BUNDLE_HEURISTIC,
	PH__CONFIG_BUNDLE_URI,
	PH__CONFIG_BUNDLE_TOKEN,
	PH__CONFIG_BUNDLE_FILTER
};

/* The field of PH__CONFIG_FSCK: receive's word counts for more. */
enum { PH__CONFIG_FSCK_TRANSFER, PH__CONFIG_FSCK_RECEIVE };
/* The lists of struct ph_config, for hiding both services' in one. */
enum { PH__CONFIG_HIDE_UPLOAD = 1, PH__CONFIG_HIDE_RECEIVE = 2 };

struct ph__config_key {
	const char *shown; /* as git's documentation writes it; <> stands for a subsection */
	enum ph__config_type type;
	size_t field;  /* offset in struct ph_config; of PH__CONFIG_HIDE: which lists */
	bool multiple; /* values add up */
};

/* The entry of a key in its stored form; NULL when there is none. */
const struct ph__config_key *ph__config_find(const char *key);
/* The subsection of a key that has one; its length in *len. NULL when it has none. */
const char *ph__config_subsection(const char *key, size_t *len);
/* The filter of this name; PH_FILTER_NONE when there is none. */
enum ph_filter_kind ph__config_filter(const char *name, size_t len);

/* Values; false when it is none. */
bool ph__config_bool(const char *value, bool *out);
bool ph__config_number(const char *value, uint64_t max, uint64_t *out);
/* A next id of a list; they are set apart by spaces or commas. PH_END, or PH_ERR_INVALID. */
enum ph_status ph__config_next_id(const char **at, struct ph_oid *out);
bool ph__config_deny(const char *value, enum ph_config_deny *out);

/*
 * The text of a repository's configuration, or with a NULL snapshot of the server's, with a NUL
 * behind it; *out is NULL when there is none. The caller's to free.
 */
PH_MUST_CHECK enum ph_status ph__config_text(struct ph_store *store, struct ph_snapshot *snapshot,
                                             const struct ph_alloc *alloc, char **out, size_t *len);
/*
 * Goes over a text line by line and cuts it into keys and values in place: PH_OK, PH_END behind the
 * last. Lines that are none are passed over.
 */
enum ph_status ph__config_next(char **at, char **key, char **value);

/* ---- edits of a text ---- */

enum ph__config_what {
	PH__CONFIG_SET,  /* in the place of what the key had */
	PH__CONFIG_ADD,  /* behind the values it has */
	PH__CONFIG_UNSET /* this value of it; NULL: all */
};
struct ph__config_change {
	enum ph__config_what what;
	const char *key; /* as it is stored */
	const char *value;
};

/* How many values a key has, or, unless value is NULL, has of this one; key NULL: all lines. */
uint32_t ph__config_count(const char *text, const char *key, const char *value);
/* Takes the lines of a key out, in place; text has no NUL. Returns the bytes that are left. */
size_t ph__config_without(char *text, size_t len, const char *key);
/*
 * Makes a new text, with a NUL behind; text may be NULL. PH_ERR_LIMIT when it becomes too long, or
 * has too many values.
 */
PH_MUST_CHECK enum ph_status ph__config_edit(char **out, size_t *len, const char *text,
                                             const struct ph__config_change *change,
                                             const struct ph_alloc *alloc);

#endif
