/* SPDX-License-Identifier: MIT */
/*
 * The keys that there are, one line each. A key is section.name or section.subsection.name; only
 * the subsection's case counts. What a key does is said where it is used.
 */
#include "config_int.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct ph_config, field)

/* In the order of git-config(1)'s sections, as a list for people to read. */
static const struct ph__config_key keys[] = {
        {"transfer.hideRefs", PH__CONFIG_HIDE, PH__CONFIG_HIDE_UPLOAD | PH__CONFIG_HIDE_RECEIVE,
         true},
        {"transfer.fsckObjects", PH__CONFIG_FSCK, PH__CONFIG_FSCK_TRANSFER, false},
        {"transfer.advertiseObjectInfo", PH__CONFIG_BOOL, AT(advertise_object_info), false},
        {"transfer.advertiseSID", PH__CONFIG_BOOL, AT(advertise_sid), false},
        {"transfer.unpackLimit", PH__CONFIG_NUMBER_UNUSED, 0, false},
        {"uploadpack.hideRefs", PH__CONFIG_HIDE, PH__CONFIG_HIDE_UPLOAD, true},
        {"uploadpack.allowTipSHA1InWant", PH__CONFIG_BOOL, AT(allow_tip_sha1), false},
        {"uploadpack.allowReachableSHA1InWant", PH__CONFIG_BOOL, AT(allow_reachable_sha1), false},
        {"uploadpack.allowAnySHA1InWant", PH__CONFIG_ANY_SHA1, AT(allow_any_sha1), false},
        {"uploadpack.allowRefInWant", PH__CONFIG_BOOL, AT(allow_ref_in_want), false},
        {"uploadpack.allowFilter", PH__CONFIG_BOOL, AT(allow_filter), false},
        {"uploadpack.allowSidebandAll", PH__CONFIG_BOOL, AT(allow_sideband_all), false},
        {"uploadpack.keepAlive", PH__CONFIG_SECONDS, AT(upload_keepalive_s), false},
        {"uploadpack.advertiseBundleURIs", PH__CONFIG_BOOL, AT(advertise_bundle_uris), false},
        {"uploadpack.blobPackfileUri", PH__CONFIG_PACKFILE_URI, AT(blob_packfile_uris), true},
        {"uploadpackfilter.allow", PH__CONFIG_BOOL, AT(filter_allow), false},
        {"uploadpackfilter.<filter>.allow", PH__CONFIG_FILTER_ALLOW, 0, false},
        {"uploadpackfilter.tree.maxDepth", PH__CONFIG_TREE_DEPTH, AT(tree_depth_max), false},
        {"lsrefs.unborn", PH__CONFIG_UNBORN, AT(unborn), false},
        {"receive.hideRefs", PH__CONFIG_HIDE, PH__CONFIG_HIDE_RECEIVE, true},
        {"receive.keepAlive", PH__CONFIG_SECONDS, AT(receive_keepalive_s), false},
        {"receive.denyDeletes", PH__CONFIG_BOOL, AT(deny_deletes), false},
        {"receive.denyNonFastForwards", PH__CONFIG_BOOL, AT(deny_non_fast_forwards), false},
        {"receive.certNonceSeed", PH__CONFIG_NONCE_SEED, 0, false},
        {"receive.certNonceSlop", PH__CONFIG_NONCE_SLOP, 0, false},
        {"receive.denyDeleteCurrent", PH__CONFIG_DENY, AT(deny_delete_current), false},
        {"receive.denyCurrentBranch", PH__CONFIG_DENY_UNUSED, 0, false},
        {"receive.maxInputSize", PH__CONFIG_SIZE, AT(max_input_bytes), false},
        {"receive.unpackLimit", PH__CONFIG_NUMBER_UNUSED, 0, false},
        {"receive.shallowUpdate", PH__CONFIG_BOOL, AT(shallow_update), false},
        {"receive.advertiseAtomic", PH__CONFIG_BOOL, AT(advertise_atomic), false},
        {"receive.advertisePushOptions", PH__CONFIG_BOOL, AT(advertise_push_options), false},
        {"receive.fsckObjects", PH__CONFIG_FSCK, PH__CONFIG_FSCK_RECEIVE, false},
        {"receive.fsck.skipList", PH__CONFIG_FSCK_SKIPS, AT(fsck_skips), true},
        {"receive.fsck.<msg-id>", PH__CONFIG_FSCK_ID, 0, false},
        {"receive.autogc", PH__CONFIG_BOOL_UNUSED, 0, false},
        {"receive.updateServerInfo", PH__CONFIG_BOOL_UNUSED, 0, false},
        {"repack.useDeltaBaseOffset", PH__CONFIG_BOOL, AT(ofs_delta), false},
        {"packhorse.protect", PH__CONFIG_REFS, AT(protected_refs), true},
        {"packhorse.fastForwardOnly", PH__CONFIG_REFS, AT(forward_refs), true},
        {"packhorse.denyDeletes", PH__CONFIG_REFS, AT(kept_refs), true},
        {"packhorse.createOnly", PH__CONFIG_REFS, AT(fixed_refs), true},
        {"packhorse.allowedPaths", PH__CONFIG_PATHS, AT(allowed_paths), true},
        {"packhorse.deniedPaths", PH__CONFIG_PATHS, AT(denied_paths), true},
        {"packhorse.maxObjectSize", PH__CONFIG_SIZE, AT(max_object_bytes), false},
        {"packhorse.maxRepositorySize", PH__CONFIG_SIZE, AT(max_repository_bytes), false},
        {"packhorse.diskReserve", PH__CONFIG_SIZE, AT(disk_reserve_bytes), false},
        {"packhorse.scrubDays", PH__CONFIG_DAYS, AT(scrub_days), false},
        {"packhorse.pushLogRef", PH__CONFIG_BOOL, AT(push_log_ref), false},
        {"uploadarchive.allowUnreachable", PH__CONFIG_BOOL, AT(archive_unreachable), false},
        {"bundle.version", PH__CONFIG_BUNDLE_VERSION, 0, false},
        {"bundle.mode", PH__CONFIG_BUNDLE_MODE, 0, false},
        {"bundle.heuristic", PH__CONFIG_BUNDLE_HEURISTIC, 0, false},
        {"bundle.<id>.uri", PH__CONFIG_BUNDLE_URI, 0, false},
        {"bundle.<id>.creationToken", PH__CONFIG_BUNDLE_TOKEN, 0, false},
        {"bundle.<id>.filter", PH__CONFIG_BUNDLE_FILTER, 0, false},
        {"gpg.ssh.allowedSigners", PH__CONFIG_SIGNER, AT(allowed_signers), true},
        {"gpg.ssh.allowedSignersFile", PH__CONFIG_SIGNERS_FILE, 0, false},
        {"gpg.ssh.revokedKeys", PH__CONFIG_REVOKED, AT(revoked_keys), true},
        {"gpg.ssh.revocationFile", PH__CONFIG_REVOKED_FILE, 0, false},
        {"packhorse.requireCert", PH__CONFIG_BOOL, AT(require_cert), false},
        {"packhorse.certKey", PH__CONFIG_CERT_KEY, 0, false},
};

static const struct {
	const char *name;
	enum ph_filter_kind kind;
} filters[] = {
        {"blob:none", PH_FILTER_BLOB_NONE},
        {"blob:limit", PH_FILTER_BLOB_LIMIT},
        {"tree", PH_FILTER_TREE},
        {"sparse:oid", PH_FILTER_SPARSE_OID},
        {"object:type", PH_FILTER_OBJECT_TYPE},
        {"combine", PH_FILTER_COMBINE},
};

const char *ph_config_known(uint32_t number)
{
	return number < sizeof(keys) / sizeof(*keys) ? keys[number].shown : NULL;
}

enum ph_filter_kind ph__config_filter(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		if (strlen(filters[i].name) == len && memcmp(filters[i].name, name, len) == 0)
			return filters[i].kind;
	return PH_FILTER_NONE;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

const char *ph__config_subsection(const char *key, size_t *len)
{
	const char *first = strchr(key, '.'), *last = strrchr(key, '.');

	if (!first || first == last)
		return NULL;
	*len = (size_t)(last - first) - 1;
	return first + 1;
}

/* An id of a bundle is letters, digits and dashes; a filter is one that there is. */
static bool subsection_fits(bool filter, const char *sub, size_t len)
{
	if (filter)
		return ph__config_filter(sub, len) != PH_FILTER_NONE;
	for (size_t i = 0; i < len; i++)
		if (!is_word(sub[i]))
			return false;
	return len > 0;
}

static bool is_fsck_id(const char *id)
{
	struct ph_fsck_rules rules;

	return ph_fsck_rules_set(&rules, id, "error") == PH_OK;
}

static bool matches(const char *shown, const char *key)
{
	bool filter = strncmp(shown, "uploadpackfilter.", 17) == 0;

	for (; *shown && *shown != '<'; shown++)
		if (lower(*shown) != *key++)
			return false;
	if (strcmp(shown, "<msg-id>") == 0)
		return is_fsck_id(key);
	if (*shown == '<') {
		const char *last = strrchr(key, '.');

		if (!last || !subsection_fits(filter, key, (size_t)(last - key)))
			return false;
		for (shown = strchr(shown, '>') + 1, key = last; *shown; shown++)
			if (lower(*shown) != *key++)
				return false;
	}
	return *key == 0;
}

const struct ph__config_key *ph__config_find(const char *key)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (matches(keys[i].shown, key))
			return &keys[i];
	return NULL;
}

enum ph_status ph_config_key(char *out, const char *key)
{
	const char *first = strchr(key, '.'), *last = strrchr(key, '.');
	size_t len = strlen(key);
	bool well = first && len <= PH_CONFIG_KEY_MAX && first > key && last[1];

	for (size_t i = 0; i < len && i < PH_CONFIG_KEY_MAX; i++) {
		bool sub = first && key + i >= first && key + i <= last;
		unsigned char c = (unsigned char)key[i];

		out[i] = sub ? key[i] : lower(key[i]);
		well = well && (sub ? c > 0x20 && c != 0x7f && c != '=' : is_word(key[i]));
	}
	out[len < PH_CONFIG_KEY_MAX ? len : PH_CONFIG_KEY_MAX] = 0;
	if (!well)
		return PH_ERR_INVALID;
	return ph__config_find(out) ? PH_OK : PH_ERR_NOT_FOUND;
}

bool ph_config_multi(const char *key)
{
	char stored[PH_CONFIG_KEY_MAX + 1];

	return ph_config_key(stored, key) == PH_OK && ph__config_find(stored)->multiple;
}

bool ph_config_of_server(const char *key)
{
	char stored[PH_CONFIG_KEY_MAX + 1];

	if (ph_config_key(stored, key) != PH_OK)
		return false;
	size_t field = ph__config_find(stored)->field;
	return field == AT(disk_reserve_bytes) || field == AT(scrub_days);
}
