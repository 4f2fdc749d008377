/* SPDX-License-Identifier: MIT */
/*
 * A configuration of any bytes, as the server's and as a repository's: it is loaded, asked about
 * names, and edited. What is in it never breaks a line of the text or of a packet, an edit changes
 * what it is about and nothing else, and what cannot be set cannot be loaded either.
 */
#include "config_int.h"
#include "support.h"

#include <packhorse/store_mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_list(const struct ph_config_list *list)
{
	must(list->count <= 2 * PH_CONFIG_VALUES_MAX);
	for (uint32_t i = 0; i < list->count; i++)
		must(!strpbrk(list->items[i].text, "\n\r") &&
		     strlen(list->items[i].text) <= PH_CONFIG_KEY_MAX + PH_CONFIG_VALUE_MAX + 1);
}

static void check_config(const struct ph_config *config)
{
	char name[PH_REF_NAME_MAX + 64];

	check_list(&config->hide_upload);
	check_list(&config->hide_receive);
	check_list(&config->blob_packfile_uris);
	check_list(&config->bundles);
	must((config->filters_allowed & config->filters_denied) == 0);
	must(!config->allow_any_sha1 || (config->allow_tip_sha1 && config->allow_reachable_sha1));
	ph_config_hidden(&config->hide_receive, "HEAD");
	for (uint32_t i = 0; i < config->hide_upload.count; i++) {
		const char *pattern = config->hide_upload.items[i].text;
		bool last = i + 1 == config->hide_upload.count, shows = *pattern == '!';

		pattern += shows;
		pattern += *pattern == '^';
		snprintf(name, sizeof(name), "%s/x", pattern);
		must(!last || ph_config_hidden(&config->hide_upload, name) == !shows);
	}
}

static void load(struct ph_store *store, struct ph_snapshot *snapshot, const struct ph_alloc *alloc)
{
	struct ph_config config;
	enum ph_status status = ph_config_load(&config, store, snapshot, alloc);

	must(status == PH_OK || status == PH_ERR_CORRUPT);
	if (status == PH_OK)
		check_config(&config);
	ph_config_release(&config, alloc);
}

/* The last line as a change, of each kind. */
static void edit(const char *text, const struct ph_alloc *alloc)
{
	const char *line = strrchr(text, '\n'), *equals, *why;
	char key[PH_CONFIG_KEY_MAX + 1], *given, *made;
	struct ph__config_change change = {.key = key};
	size_t len;

	line = line ? line + 1 : text;
	equals = strchr(line, '=');
	if (!equals)
		return;
	given = ph_mem_strdup(alloc, line, (size_t)(equals - line));
	change.value = equals + 1;
	if (ph_config_key(key, given) == PH_OK &&
	    ph_config_check(given, change.value, &why) == PH_OK) {
		uint32_t all = ph__config_count(text, NULL, NULL);
		uint32_t of_key = ph__config_count(text, key, NULL);

		for (change.what = PH__CONFIG_SET; change.what <= PH__CONFIG_UNSET; change.what++) {
			if (ph__config_edit(&made, &len, text, &change, alloc) != PH_OK)
				continue;
			must(len == strlen(made) && len <= PH_SETTING_BYTES_MAX);
			if (change.what == PH__CONFIG_SET)
				must(ph__config_count(made, key, NULL) == 1 &&
				     ph__config_count(made, NULL, NULL) == all - of_key + 1);
			else if (change.what == PH__CONFIG_ADD)
				must(ph__config_count(made, key, NULL) == of_key + 1 &&
				     ph__config_count(made, NULL, NULL) == all + 1);
			else
				must(ph__config_count(made, key, change.value) == 0);
			ph_mem_free(alloc, made);
		}
	}
	ph_mem_free(alloc, given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_store_mem_options options = {.alloc = &memory.alloc, .limits = &limits};
	struct ph_store *store;
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	char *text;

	if (size > PH_SETTING_BYTES_MAX)
		return 0;
	ph_test_alloc_init(&memory);
	ph_limits_init(&limits);
	must(ph_store_mem_new(&store, &options) == PH_OK);
	must(ph_store_setting_set(store, PH__CONFIG_SETTING, size ? data : (const void *)"",
	                          size) == PH_OK);
	must(ph_store_create(store, "r", PH_HASH_SHA1, &txn) == PH_OK);
	must(ph_txn_set_setting(txn, PH__CONFIG_SETTING, size ? data : (const void *)"", size) ==
	     PH_OK);
	must(ph_txn_commit(txn, NULL, NULL) == PH_OK);
	ph_txn_free(txn);
	must(ph_store_snapshot(store, "r", &snapshot) == PH_OK);
	load(store, NULL, &memory.alloc);
	load(store, snapshot, &memory.alloc);
	text = ph_mem_alloc(&memory.alloc, size + 1);
	memcpy(text, size ? data : (const void *)"", size);
	text[size] = 0;
	edit(text, &memory.alloc);
	ph_mem_free(&memory.alloc, text);
	ph_snapshot_release(snapshot);
	ph_store_close(store);
	must(memory.live == 0);
	return 0;
}
