/* SPDX-License-Identifier: MIT */
/*
 * Configuration of a server and of its repositories, under git's names (git-config(1)): what a
 * session follows, and what owners set with "ssh HOST repo config". A repository's values come
 * after the server's: the last of a single value counts, and multi-valued keys add up in this
 * order.
 *
 * It is kept in the store, as the setting "config" of the store and of each repository: lines
 * "key=value", keys in lower case but for subsection names. Keys that this server does not know are
 * refused when they are set; those found nevertheless (from a newer version) are kept and ignored.
 */
#ifndef PACKHORSE_CONFIG_H
#define PACKHORSE_CONFIG_H

#include <packhorse/fsck.h>
#include <packhorse/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_CONFIG_UNSET UINT32_MAX
/* Days in which all that is stored is read once, unless packhorse.scrubDays says otherwise. */
#define PH_CONFIG_SCRUB_DAYS 7u
/* Bytes of a key, of a value, and values of one setting: what is said by hand stays far below. */
#define PH_CONFIG_KEY_MAX 128u
#define PH_CONFIG_VALUE_MAX 4096u
#define PH_CONFIG_VALUES_MAX 1024u

/* One value of a multi-valued key; text is NUL-terminated, in the config's own memory. */
struct ph_config_item {
	const char *text;
};
struct ph_config_list {
	const struct ph_config_item *items;
	uint32_t count;
};

/* Which filters a client may use: uploadpackfilter.allow, uploadpackfilter.<kind>.allow. A bit is
 * 1 << enum ph_filter_kind. */
struct ph_config {
	/* uploadpack.* */
	bool allow_filter;           /* uploadpack.allowFilter; true here, false in git */
	bool allow_tip_sha1;         /* uploadpack.allowTipSHA1InWant: values of hidden refs */
	bool allow_reachable_sha1;   /* uploadpack.allowReachableSHA1InWant */
	bool allow_any_sha1;         /* uploadpack.allowAnySHA1InWant; the two above are set too */
	bool allow_ref_in_want;      /* uploadpack.allowRefInWant */
	bool allow_sideband_all;     /* uploadpack.allowSidebandAll */
	bool advertise_object_info;  /* transfer.advertiseObjectInfo */
	bool advertise_sid;          /* transfer.advertiseSID */
	bool advertise_bundle_uris;  /* uploadpack.advertiseBundleURIs */
	bool archive_unreachable;    /* uploadarchive.allowUnreachable */
	uint32_t upload_keepalive_s; /* uploadpack.keepAlive; 0: none; PH_CONFIG_UNSET: as limits
	                                say */
	enum { PH_UNBORN_ADVERTISE, PH_UNBORN_ALLOW, PH_UNBORN_IGNORE } unborn; /* lsrefs.unborn */
	bool filter_allow;        /* uploadpackfilter.allow, true */
	uint32_t filters_allowed; /* uploadpackfilter.<kind>.allow said true; by kind */
	uint32_t filters_denied;  /* said false */
	uint32_t tree_depth_max;  /* uploadpackfilter.tree.maxDepth; UINT32_MAX for none */
	/* receive.* */
	uint32_t receive_keepalive_s; /* receive.keepAlive, likewise */
	bool deny_deletes, deny_non_fast_forwards;
	/* receive.denyDeleteCurrent; receive.denyCurrentBranch is about working trees: there are
	 * none here, so it is taken and changes nothing. */
	enum ph_config_deny {
		PH_DENY_UNSET, /* as refuse, with a hint on how to change that */
		PH_DENY_IGNORE,
		PH_DENY_WARN,
		PH_DENY_REFUSE
	} deny_delete_current;
	bool advertise_atomic;       /* receive.advertiseAtomic, true */
	bool advertise_push_options; /* receive.advertisePushOptions */
	bool shallow_update;         /* receive.shallowUpdate */
	bool ofs_delta;              /* repack.useDeltaBaseOffset, true */
	uint64_t max_input_bytes;    /* receive.maxInputSize; 0: none but that of the limits */

	/* receive.fsckObjects; where that is not said transfer.fsckObjects; true, false in git */
	bool fsck_objects;
	bool fsck_receive_said;           /* private */
	struct ph_fsck_rules fsck;        /* receive.fsck.<msg-id>; without skips */
	struct ph_config_list fsck_skips; /* receive.fsck.skipList: each one or more ids */
	/* packhorse.*: rules for pushes. Lists of refs are read as hideRefs is. */
	struct ph_config_list protected_refs; /* protect: owners alone change them */
	struct ph_config_list forward_refs;   /* fastForwardOnly */
	struct ph_config_list kept_refs;      /* denyDeletes */
	struct ph_config_list fixed_refs;     /* createOnly: neither moved nor deleted */
	struct ph_config_list allowed_paths;  /* allowedPaths: commits change nothing else */
	struct ph_config_list denied_paths;   /* deniedPaths */
	uint64_t max_object_bytes;            /* maxObjectSize; 0: none, as below */
	uint64_t max_repository_bytes;        /* maxRepositorySize: of all packs together */
	uint64_t disk_reserve_bytes;          /* diskReserve, the server's alone */
	uint32_t scrub_days;                  /* scrubDays, the server's alone; 0: never */
	bool push_log_ref;                    /* pushLogRef: the log of pushes is a ref too */

	struct ph_config_list hide_upload; /* transfer.hideRefs and uploadpack.hideRefs, in order */
	struct ph_config_list hide_receive;       /* transfer.hideRefs and receive.hideRefs */
	struct ph_config_list blob_packfile_uris; /* uploadpack.blobPackfileUri: "oid hash uri" */
	/* Signed pushes. */
	const char
	        *cert_nonce_seed; /* receive.certNonceSeed; NULL: certificates are not asked for */
	bool require_cert;        /* packhorse.requireCert */
	bool cert_key_connection; /* packhorse.certKey is "connection" */
	struct ph_config_list allowed_signers; /* gpg.ssh.allowedSigners */
	struct ph_config_list revoked_keys;    /* gpg.ssh.revokedKeys */
	struct ph_config_list bundles;         /* "bundle.<...>=value", as bundle-uri says them */

	void *memory; /* private */
};

/*
 * The configuration that holds for a repository as of a snapshot; NULL: of the server alone, as for
 * a repository that is not there yet. PH_ERR_NOMEM, PH_ERR_IO, PH_ERR_CORRUPT.
 */
PH_MUST_CHECK PH_API enum ph_status ph_config_load(struct ph_config *out, struct ph_store *store,
                                                   struct ph_snapshot *snapshot,
                                                   const struct ph_alloc *alloc);
PH_API void ph_config_release(struct ph_config *config, const struct ph_alloc *alloc);

/*
 * Refs of the server's own (refs/packhorse/) are hidden, as if transfer.hideRefs said so before all
 * else; for owners this takes it back, as far as fetching goes.
 */
PH_API void ph_config_show_own(struct ph_config *config);

/* Whether transfer.hideRefs and its kin hide a ref by its full name: the last pattern that matches
 * counts, "!" negates, "^" matches before namespaces, a match ends at a "/" or at the end. */
PH_API bool ph_config_hidden(const struct ph_config_list *patterns, const char *name);

/*
 * Whether patterns for paths (packhorse.allowedPaths) match one: the last that matches counts, "!"
 * negates. A pattern with a slash in it is one from the root, another is for any name in a path;
 * both match what is below a directory too. *, ?, [...] and ** are as in gitignore(5). Adds to
 * *cost how many characters were compared.
 */
PH_API bool ph_config_path(const struct ph_config_list *patterns, const char *path, uint64_t *cost);

/*
 * Brings a key into the form that is stored: section and name in lower case, a subsection as it is.
 * out has PH_CONFIG_KEY_MAX + 1 bytes. PH_ERR_INVALID when it is no key, PH_ERR_NOT_FOUND when it
 * is none that this server knows; out is filled then too, cut.
 */
PH_API enum ph_status ph_config_key(char *out, const char *key);
/* Whether a known key is the server's alone, and means nothing in a repository. */
PH_API bool ph_config_of_server(const char *key);
/* Whether a known key takes several values. */
PH_API bool ph_config_multi(const char *key);
/*
 * Whether a known key may have this value; *why is a static text that says what is wrong, and what
 * would be right.
 */
PH_API enum ph_status ph_config_check(const char *key, const char *value, const char **why);
/* The keys that there are, as git's documentation writes them; NULL behind the last. */
PH_API const char *ph_config_known(uint32_t number);

#ifdef __cplusplus
}
#endif
#endif
