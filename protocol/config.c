/* SPDX-License-Identifier: MIT */
/*
 * The configuration that holds for one session: the server's text and the repository's, read in
 * this order into one struct. Values were checked when they were set; one that is not as it should
 * be (from a newer version, say) counts as not said. Everything lies in one piece of memory, of
 * which nothing is taken where nothing is configured.
 */
#include "config_int.h"
#include "visible_int.h"
#include <packhorse/glob.h>

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct ph_config, field)

/* Lists of values. */
static const size_t lists[] = {
        AT(hide_upload),    AT(hide_receive), AT(blob_packfile_uris), AT(bundles),
        AT(protected_refs), AT(forward_refs), AT(kept_refs),          AT(fixed_refs),
        AT(allowed_paths),  AT(denied_paths), AT(fsck_skips),         AT(allowed_signers),
        AT(revoked_keys),
};
#define LISTS (sizeof(lists) / sizeof(*lists))

struct memory {
	char *text[2]; /* the server's, the repository's; NULL for none */
	struct ph_config_item items[];
};

static void set_defaults(struct ph_config *config)
{
	*config = (struct ph_config){
	        .allow_filter = true,
	        .upload_keepalive_s = PH_CONFIG_UNSET,
	        .receive_keepalive_s = PH_CONFIG_UNSET,
	        .filter_allow = true,
	        .scrub_days = PH_CONFIG_SCRUB_DAYS,
	        .advertise_atomic = true,
	        .ofs_delta = true,
	        .tree_depth_max = UINT32_MAX,
	        .fsck_objects = true,
	};
	ph_fsck_rules_init(&config->fsck);
}

/* ---- one value ---- */

static void add_item(struct ph_config_list *list, const char *text)
{
	/* The items lie in memory of ours, which the list shows to others as constant. */
	struct ph_config_item *items = (struct ph_config_item *)(uintptr_t)list->items;

	items[list->count++].text = text;
}

/* A later value of a bundle's key takes the place of an earlier one: clients take no key twice. */
static void add_bundle(struct ph_config_list *list, char *key, char *value)
{
	struct ph_config_item *items = (struct ph_config_item *)(uintptr_t)list->items;
	size_t len = strlen(key);

	value[-1] = '=';
	for (uint32_t i = 0; i < list->count; i++) {
		if (strncmp(items[i].text, key, len + 1) == 0) {
			items[i].text = key;
			return;
		}
	}
	add_item(list, key);
}

static struct ph_config_list *list_at(struct ph_config *config, size_t field)
{
	return (struct ph_config_list *)(void *)((char *)config + field);
}

/* Slashes at the end mean nothing. */
static void trim(char *value)
{
	size_t len = strlen(value);

	while (len && value[len - 1] == '/')
		value[--len] = 0;
}

static void add_hidden(struct ph_config *config, size_t which, char *value)
{
	trim(value);
	if (which & PH__CONFIG_HIDE_UPLOAD)
		add_item(&config->hide_upload, value);
	if (which & PH__CONFIG_HIDE_RECEIVE)
		add_item(&config->hide_receive, value);
}

static void set_filter(struct ph_config *config, enum ph_filter_kind kind, bool allowed)
{
	uint32_t bit = (uint32_t)1 << kind;

	config->filters_allowed &= ~bit;
	config->filters_denied &= ~bit;
	*(allowed ? &config->filters_allowed : &config->filters_denied) |= bit;
}

static void set_unborn(struct ph_config *config, const char *value)
{
	if (strcmp(value, "ignore") == 0)
		config->unborn = PH_UNBORN_IGNORE;
	else
		config->unborn =
		        strcmp(value, "allow") == 0 ? PH_UNBORN_ALLOW : PH_UNBORN_ADVERTISE;
}

static void set_bool(struct ph_config *config, const struct ph__config_key *known,
                     const char *value)
{
	bool truth = false;

	ph__config_bool(value, &truth);
	memcpy((char *)config + known->field, &truth, sizeof(truth));
	if (known->type == PH__CONFIG_ANY_SHA1)
		config->allow_tip_sha1 = config->allow_reachable_sha1 = truth;
}

/* The word for receive-pack counts, wherever it stands. */
static void set_fsck(struct ph_config *config, const struct ph__config_key *known,
                     const char *value)
{
	bool receive = known->field == PH__CONFIG_FSCK_RECEIVE;

	if (receive || !config->fsck_receive_said)
		ph__config_bool(value, &config->fsck_objects);
	config->fsck_receive_said = config->fsck_receive_said || receive;
}

static void set_number(struct ph_config *config, const struct ph__config_key *known,
                       const char *value)
{
	uint64_t number = 0;
	uint32_t narrow;

	ph__config_number(value, UINT32_MAX, &number);
	narrow = (uint32_t)number;
	memcpy((char *)config + known->field, &narrow, sizeof(narrow));
}

static void set_size(struct ph_config *config, const struct ph__config_key *known,
                     const char *value)
{
	uint64_t number = 0;

	ph__config_number(value, INT64_MAX, &number);
	memcpy((char *)config + known->field, &number, sizeof(number));
}

static void set_deny(struct ph_config *config, const struct ph__config_key *known,
                     const char *value)
{
	enum ph_config_deny deny = PH_DENY_UNSET;

	ph__config_deny(value, &deny);
	memcpy((char *)config + known->field, &deny, sizeof(deny));
}

/* git takes a depth for leave to use the filter. */
static void set_tree_depth(struct ph_config *config, const struct ph__config_key *known,
                           const char *value)
{
	set_number(config, known, value);
	set_filter(config, PH_FILTER_TREE, true);
}

static void set_filter_allowed(struct ph_config *config, const char *key, const char *value)
{
	size_t len = 0;
	const char *sub = ph__config_subsection(key, &len);
	bool truth = false;

	ph__config_bool(value, &truth);
	set_filter(config, ph__config_filter(sub, len), truth);
}

static void add_listed(struct ph_config *config, const struct ph__config_key *known, char *value)
{
	if (known->type == PH__CONFIG_REFS)
		trim(value);
	add_item(list_at(config, known->field), value);
}

/* It was checked, so it cannot fail. */
static void set_fsck_id(struct ph_config *config, const char *key, const char *value)
{
	(void)ph_fsck_rules_set(&config->fsck, strrchr(key, '.') + 1, value);
}

static void apply(struct ph_config *config, char *key, char *value)
{
	const struct ph__config_key *known = ph__config_find(key);
	const char *why;

	if (!known || ph_config_check(key, value, &why) != PH_OK)
		return;
	switch (known->type) {
	case PH__CONFIG_BOOL:
	case PH__CONFIG_ANY_SHA1:
		set_bool(config, known, value);
		break;
	case PH__CONFIG_SECONDS:
	case PH__CONFIG_DAYS:
		set_number(config, known, value);
		break;
	case PH__CONFIG_SIZE:
		set_size(config, known, value);
		break;
	case PH__CONFIG_DENY:
		set_deny(config, known, value);
		break;
	case PH__CONFIG_DENY_UNUSED:
	case PH__CONFIG_BOOL_UNUSED:
	case PH__CONFIG_NUMBER_UNUSED:
	case PH__CONFIG_NONCE_SLOP:
	case PH__CONFIG_SIGNERS_FILE:
	case PH__CONFIG_REVOKED_FILE:
		break;
	case PH__CONFIG_TREE_DEPTH:
		set_tree_depth(config, known, value);
		break;
	case PH__CONFIG_FSCK:
		set_fsck(config, known, value);
		break;
	case PH__CONFIG_FSCK_ID:
		set_fsck_id(config, key, value);
		break;
	case PH__CONFIG_UNBORN:
		set_unborn(config, value);
		break;
	case PH__CONFIG_HIDE:
		add_hidden(config, known->field, value);
		break;
	case PH__CONFIG_REFS:
	case PH__CONFIG_PATHS:
	case PH__CONFIG_FSCK_SKIPS:
	case PH__CONFIG_PACKFILE_URI:
	case PH__CONFIG_SIGNER:
	case PH__CONFIG_REVOKED:
		add_listed(config, known, value);
		break;
	case PH__CONFIG_FILTER_ALLOW:
		set_filter_allowed(config, key, value);
		break;
	case PH__CONFIG_NONCE_SEED:
		config->cert_nonce_seed = *value ? value : NULL;
		break;
	case PH__CONFIG_CERT_KEY:
		config->cert_key_connection = strcmp(value, "connection") == 0;
		break;
	case PH__CONFIG_BUNDLE_VERSION:
	case PH__CONFIG_BUNDLE_MODE:
	case PH__CONFIG_BUNDLE_HEURISTIC:
	case PH__CONFIG_BUNDLE_URI:
	case PH__CONFIG_BUNDLE_TOKEN:
	case PH__CONFIG_BUNDLE_FILTER:
	default:
		add_bundle(&config->bundles, key, value);
		break;
	}
}

/* ---- all of them ---- */

static uint32_t lines(const char *text)
{
	uint32_t count = 0;

	for (; text && *text; count++) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return count;
}

/* Room in every list for every value. */
static struct memory *memory_new(const struct ph_alloc *alloc, uint32_t values)
{
	size_t bytes = sizeof(struct memory) + LISTS * values * sizeof(struct ph_config_item);

	return ph_mem_zalloc(alloc, 1, bytes);
}

/* What the server keeps in refs of its own is hidden unless the configuration shows it. */
static const char own_refs[] = "refs/packhorse";

static enum ph_status fill(struct ph_config *config, char *text[2], bool own,
                           const struct ph_alloc *alloc)
{
	uint32_t server = lines(text[0]), repo = lines(text[1]), room = server + repo + own;
	struct memory *memory;

	if (server > PH_CONFIG_VALUES_MAX || repo > PH_CONFIG_VALUES_MAX)
		return PH_ERR_CORRUPT;
	memory = memory_new(alloc, room);
	if (!memory)
		return PH_ERR_NOMEM;
	config->memory = memory;
	for (size_t i = 0; i < LISTS; i++)
		list_at(config, lists[i])->items = memory->items + i * room;
	if (own) {
		add_item(&config->hide_upload, own_refs);
		add_item(&config->hide_receive, own_refs);
	}
	for (size_t i = 0; i < 2; i++) {
		char *at = text[i], *key, *value;

		memory->text[i] = text[i];
		while (at && ph__config_next(&at, &key, &value) == PH_OK)
			if (i == 0 || !ph_config_of_server(key))
				apply(config, key, value);
	}
	/* Whatever was said of one of the parts afterwards. */
	config->allow_any_sha1 =
	        config->allow_any_sha1 && config->allow_tip_sha1 && config->allow_reachable_sha1;
	return PH_OK;
}

static enum ph_status has_own_refs(struct ph_snapshot *snapshot, bool *own)
{
	struct ph_ref ref;
	enum ph_status status = ph_snapshot_ref(snapshot, PH__LOG_REF, &ref);

	*own = status == PH_OK;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

void ph_config_show_own(struct ph_config *config)
{
	struct ph_config_list *list = &config->hide_upload;

	if (list->count == 0 || list->items[0].text != own_refs)
		return;
	list->items++;
	list->count--;
}

enum ph_status ph_config_load(struct ph_config *out, struct ph_store *store,
                              struct ph_snapshot *snapshot, const struct ph_alloc *alloc)
{
	char *text[2] = {NULL, NULL};
	size_t len;
	bool own = false;
	enum ph_status status = ph__config_text(store, NULL, alloc, &text[0], &len);

	set_defaults(out);
	if (status == PH_OK && snapshot)
		status = has_own_refs(snapshot, &own);
	if (status == PH_OK && snapshot)
		status = ph__config_text(store, snapshot, alloc, &text[1], &len);
	if (status == PH_OK && (text[0] || text[1] || own))
		status = fill(out, text, own, alloc);
	if (status != PH_OK) {
		ph_mem_free(alloc, text[0]);
		ph_mem_free(alloc, text[1]);
	}
	return status;
}

void ph_config_release(struct ph_config *config, const struct ph_alloc *alloc)
{
	struct memory *memory = config->memory;

	if (memory) {
		ph_mem_free(alloc, memory->text[0]);
		ph_mem_free(alloc, memory->text[1]);
		ph_mem_free(alloc, memory);
	}
	set_defaults(config);
}

/* ---- hiding ---- */

/* Without namespaces "^", which matches the full name, changes nothing. */
static bool covers(const char *pattern, const char *name)
{
	size_t len;

	pattern += *pattern == '^';
	len = strlen(pattern);
	return strncmp(name, pattern, len) == 0 && (name[len] == 0 || name[len] == '/');
}

bool ph_config_hidden(const struct ph_config_list *patterns, const char *name)
{
	for (uint32_t i = patterns->count; i > 0; i--) {
		const char *pattern = patterns->items[i - 1].text;
		bool shows = *pattern == '!';

		if (covers(pattern + shows, name))
			return !shows;
	}
	return false;
}

/* ---- paths ---- */

/* Whether a pattern matches a path, or a directory that it is in. */
static bool covers_path(const char *pattern, const char *path, uint64_t *cost)
{
	size_t len = strlen(pattern), begin = 0;
	bool rooted;

	while (len > 1 && pattern[len - 1] == '/')
		len--;
	rooted = memchr(pattern, '/', len) != NULL;
	if (*pattern == '/') {
		pattern++;
		len--;
	}
	for (size_t at = 0;; at++) {
		if (path[at] && path[at] != '/')
			continue;
		if (ph_glob_match(pattern, len, path + begin, at - begin, true, cost))
			return true;
		if (!path[at])
			return false;
		if (!rooted)
			begin = at + 1;
	}
}

bool ph_config_path(const struct ph_config_list *patterns, const char *path, uint64_t *cost)
{
	for (uint32_t i = patterns->count; i > 0; i--) {
		const char *pattern = patterns->items[i - 1].text;
		bool negates = *pattern == '!';

		if (covers_path(pattern + negates, path, cost))
			return !negates;
	}
	return false;
}
