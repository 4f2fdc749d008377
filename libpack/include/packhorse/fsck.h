/* SPDX-License-Identifier: MIT */
/*
 * Rules for received objects, with git's message ids (git-fsck(1), fsck.h). Rules that protect who
 * clones (paths that leave the tree, .git spellings, bad headers, hostile .gitmodules) refuse; mere
 * hygiene of old histories (zero-padded modes, missing space before an e-mail, ...) warns.
 */
#ifndef PACKHORSE_FSCK_H
#define PACKHORSE_FSCK_H

#include <packhorse/object.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_FSCK_IDS_MAX 96u
enum ph_fsck_severity { PH_FSCK_OK, PH_FSCK_WARN, PH_FSCK_ERROR };

/*
 * Called for every finding. id is git's camelCase id, a static string. What is found last with the
 * highest severity decides ph_fsck_object's return.
 */
typedef void (*ph_fsck_report)(void *user, enum ph_fsck_severity severity, const char *id);

/*
 * What a tree tells about blobs that need a look of their own: a .gitmodules or .gitattributes file
 * (in every spelling that a file system may take for it). The caller gathers these ids and hands
 * the blobs to ph_fsck_blob.
 */
enum ph_fsck_blob_kind { PH_FSCK_GITMODULES = 1, PH_FSCK_GITATTRIBUTES = 2 };
typedef enum ph_status (*ph_fsck_special)(void *user, enum ph_fsck_blob_kind kind,
                                          const struct ph_oid *oid);

/*
 * How bad each finding is: receive.fsck.<id>, and objects that are let through
 * (receive.fsck.skipList). A list is short and made by hand: of at most PH_FSCK_SKIPS_MAX objects.
 */
#define PH_FSCK_SKIPS_MAX 4096u
struct ph_fsck_rules {
	uint8_t severity[PH_FSCK_IDS_MAX]; /* enum ph_fsck_severity, by number of the id */
	const struct ph_oid *skips;        /* sorted; NULL for none */
	uint32_t skips_count;
};
/* The defaults. */
PH_API void ph_fsck_rules_init(struct ph_fsck_rules *rules);
/*
 * Sets an id, in any case of its letters, to "error", "warn" or "ignore". PH_ERR_NOT_FOUND: there
 * is no such id; PH_ERR_INVALID: no such severity; PH_ERR_DENIED: what is fatal cannot be set
 * lower.
 */
PH_API enum ph_status ph_fsck_rules_set(struct ph_fsck_rules *rules, const char *id,
                                        const char *value);
/* The ids that there are, in camelCase as git writes them; NULL behind the last. */
PH_API const char *ph_fsck_id(uint32_t number);
/* What git says about a finding, behind its id; "" for none that there is. Never NULL. */
PH_API const char *ph_fsck_text(const char *id);
/* Brings objects into the order that rules->skips has. */
PH_API void ph_fsck_skips_sort(struct ph_oid *skips, uint32_t count);
/* Whether an object is let through (rules may be NULL). */
PH_API bool ph_fsck_skipped(const struct ph_fsck_rules *rules, const struct ph_oid *oid);

struct ph_fsck {
	enum ph_hash_algo algo;
	const struct ph_fsck_rules *rules; /* NULL: the defaults */
	/* The object's id, for the skip list: nothing is found in one that is on it. NULL: unknown
	 */
	const struct ph_oid *oid;
	void *user;
	ph_fsck_report report;   /* may be NULL */
	ph_fsck_special special; /* may be NULL */
};

/* Commit, tree or tag. PH_OK (maybe with warnings), PH_ERR_FSCK, or special's error. */
PH_API enum ph_status ph_fsck_object(const struct ph_fsck *fsck, enum ph_object_type type,
                                     const void *data, size_t size);
/*
 * A blob that a tree calls .gitmodules or .gitattributes. type is what the id really names:
 * anything but a blob is an error, and PH_OBJ_NONE means that it is nowhere. data may be NULL when
 * size is over PH_FSCK_SPECIAL_BYTES_MAX: refused.
 */
#define PH_FSCK_SPECIAL_BYTES_MAX (100u << 20)
PH_API enum ph_status ph_fsck_blob(const struct ph_fsck *fsck, enum ph_fsck_blob_kind kind,
                                   enum ph_object_type type, const void *data, uint64_t size);

#ifdef __cplusplus
}
#endif
#endif
