/* SPDX-License-Identifier: MIT */
/*
 * config and repo config: the configuration of the server and of a repository, under git's names,
 * listed and changed. A change is a whole new text in place of the one it was made from; when
 * another owner was faster it is made again from theirs, so that neither is lost.
 */
#include "admin_int.h"

#include "config_int.h"

#include <stdio.h>
#include <string.h>

/* Owners who change things at the same time; more are told to try again. */
#define TRIES_MAX 32u
#define LINE_BYTES (PH_CONFIG_KEY_MAX + PH_CONFIG_VALUE_MAX + PH_REPO_NAME_MAX + 64u)

/* ---- what the user reads ---- */

/* Values were checked when they were set; those of another version may be anything. */
static void print_line(struct admin *admin, const char *key, const char *value)
{
	char line[LINE_BYTES];

	snprintf(line, sizeof(line), "%s%s%s\n", key, *key ? "=" : "", value);
	for (char *at = line; *at && at[1]; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	ph__admin_print(admin, line);
}

static const char *where(const struct admin *admin)
{
	return *admin->repo ? admin->repo : "server";
}

static enum ph_step fail(struct admin *admin, enum ph_status status)
{
	if (status == PH_ERR_LIMIT) {
		ph__session_error_line(&admin->session,
		                       "too many values, or too long: at most %u lines and %u "
		                       "bytes in all; unset some",
		                       PH_CONFIG_VALUES_MAX, PH_SETTING_BYTES_MAX);
		return ph__admin_end(admin, 1);
	}
	if (status == PH_ERR_CONFLICT && !*admin->repo) {
		ph__session_error_line(&admin->session,
		                       "others change the configuration; nothing was done, try "
		                       "again");
		return ph__admin_end(admin, 1);
	}
	return ph__admin_fail(admin, status);
}

static enum ph_step changed(struct admin *admin)
{
	const struct ph_service *service = &admin->session.service;
	const struct ph__config_change *change = &admin->change;
	const char *words[] = {"set", "added", "unset"};
	char line[LINE_BYTES];

	snprintf(line, sizeof(line), "%s %s: %s%s%s\n", words[change->what], where(admin),
	         change->key, change->value ? "=" : "", change->value ? change->value : "");
	ph__admin_print(admin, line);
	ph_log_line(service->log, PH_LOG_INFO, "admin", service->connection,
	            "config of %s: %s %s by %s", where(admin), words[change->what], change->key,
	            service->identity ? service->identity : "?");
	return ph__admin_end(admin, 0);
}

/* ---- reading ---- */

static enum ph_status read_text(struct admin *admin)
{
	struct ph_store *store = admin->session.service.store;
	const struct ph_alloc *alloc = admin->session.service.alloc;
	enum ph_status status = PH_OK;

	ph_snapshot_release(admin->snapshot);
	ph_mem_free(alloc, admin->config);
	admin->snapshot = NULL;
	admin->config = NULL;
	if (*admin->repo)
		status = ph_store_snapshot(store, admin->repo, &admin->snapshot);
	return status == PH_OK ? ph__config_text(store, admin->snapshot, alloc, &admin->config,
	                                         &admin->config_len)
	                       : status;
}

/* A line a step; of one key, its values. */
static enum ph_step show_next(struct admin *admin, uint32_t *budget)
{
	char *key, *value;
	const char *wanted = admin->change.key;

	ph_budget_spend(budget, 1);
	if (admin->config && ph__config_next(&admin->config_at, &key, &value) == PH_OK) {
		if (!wanted)
			print_line(admin, key, value);
		else if (strcmp(key, wanted) == 0)
			print_line(admin, "", value);
		return PH_STEP_AGAIN;
	}
	return ph__admin_end(admin, 0);
}

static enum ph_step show(struct admin *admin, uint32_t *budget)
{
	const char *key = admin->change.key;
	enum ph_status status = read_text(admin);

	ph_budget_spend(budget, 1);
	if (status != PH_OK)
		return fail(admin, status);
	if (key && ph__config_count(admin->config, key, NULL) == 0) {
		ph__session_error_line(&admin->session, "%s is not set in %s", key, where(admin));
		return ph__admin_end(admin, 1);
	}
	admin->config_at = admin->config;
	admin->step = show_next;
	return PH_STEP_AGAIN;
}

/* ---- changing ---- */

/* Whether a change makes sense of what there is; an error line says why not. */
static bool makes_sense(struct admin *admin)
{
	const struct ph__config_change *change = &admin->change;
	uint32_t count = ph__config_count(admin->config, change->key, NULL);
	struct ph_session *session = &admin->session;

	if (change->what == PH__CONFIG_UNSET &&
	    ph__config_count(admin->config, change->key, change->value) == 0) {
		ph__session_error_line(session, "%s%s%s is not set in %s", change->key,
		                       change->value ? "=" : "", change->value ? change->value : "",
		                       where(admin));
		return false;
	}
	if (change->what != PH__CONFIG_SET || count < 2)
		return true;
	ph__session_error_line(session, "%s has %u values; --add one, or --unset them first",
	                       change->key, (unsigned)count);
	return false;
}

/* NULL data deletes: an empty configuration is none. */
static enum ph_status write_server(struct admin *admin, const char *text, size_t len)
{
	/* The store waits for its disk here; a repository's commit would wake us. */
	return ph_store_setting_swap(admin->session.service.store, PH__CONFIG_SETTING,
	                             admin->config, admin->config_len, len ? text : NULL, len);
}

static enum ph_status stage_repo(struct admin *admin, const char *text, size_t len)
{
	enum ph_status status =
	        ph_store_begin(admin->session.service.store, admin->snapshot, &admin->txn);

	if (status == PH_OK)
		status = ph_txn_set_setting(admin->txn, PH__CONFIG_SETTING, len ? text : NULL, len);
	return status;
}

static enum ph_step change_commit(struct admin *admin, uint32_t *budget);

/* Reads, and writes what becomes of it. */
static enum ph_step change_begin(struct admin *admin, uint32_t *budget)
{
	const struct ph_alloc *alloc = admin->session.service.alloc;
	enum ph_status status = read_text(admin);
	char *text = NULL;
	size_t len = 0;

	ph_budget_spend_bytes(budget, 2 * PH_SETTING_BYTES_MAX);
	if (status == PH_OK && !makes_sense(admin))
		return ph__admin_end(admin, 1);
	if (status == PH_OK)
		status = ph__config_edit(&text, &len, admin->config, &admin->change, alloc);
	if (status == PH_OK)
		status = *admin->repo ? stage_repo(admin, text, len)
		                      : write_server(admin, text, len);
	ph_mem_free(alloc, text);
	if (status == PH_ERR_CONFLICT && ++admin->tries < TRIES_MAX) {
		ph_txn_free(admin->txn);
		admin->txn = NULL;
		return PH_STEP_AGAIN;
	}
	if (status != PH_OK)
		return fail(admin, status);
	if (!*admin->repo)
		return changed(admin);
	admin->step = change_commit;
	return PH_STEP_AGAIN;
}

static enum ph_step change_commit(struct admin *admin, uint32_t *budget)
{
	enum ph_status status = ph__commit_run(&admin->commit, admin->txn);

	ph_budget_spend(budget, 1);
	if (status == PH_PENDING || status == PH_AGAIN)
		return ph__commit_step(status);
	ph_txn_free(admin->txn);
	admin->txn = NULL;
	if (status == PH_OK)
		return changed(admin);
	if (status != PH_ERR_CONFLICT || ++admin->tries == TRIES_MAX)
		return fail(admin, status);
	admin->step = change_begin;
	return PH_STEP_AGAIN;
}

/* ---- words ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* How many letters differ at least, counted from both ends: enough to find a slip of the hand. */
static size_t distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b), front = 0, back = 0;
	size_t shorter = a_len < b_len ? a_len : b_len;

	while (front < shorter && lower(a[front]) == lower(b[front]))
		front++;
	while (back < shorter - front && lower(a[a_len - 1 - back]) == lower(b[b_len - 1 - back]))
		back++;
	return (a_len > b_len ? a_len : b_len) - front - back;
}

/*
 * The known key that is nearest by its last part, or as a whole; NULL when a third of the letters
 * would be wrong.
 */
static const char *nearest(const char *key)
{
	const char *last = strrchr(key, '.') ? strrchr(key, '.') : key, *best = NULL;
	size_t best_distance = strlen(last) / 3 + 1;

	for (uint32_t i = 0; ph_config_known(i); i++) {
		const char *known = ph_config_known(i);
		size_t part = distance(strrchr(known, '.'), last), whole = distance(known, key);
		size_t differ = part < whole ? part : whole;

		if (differ < best_distance) {
			best_distance = differ;
			best = known;
		}
	}
	return best;
}

static enum ph_step unknown_key(struct admin *admin, const char *word)
{
	char escaped[ADMIN_ESCAPED_BYTES];
	const char *near = nearest(word);

	ph__session_error_line(&admin->session, "no such key: %.200s%s%s",
	                       ph__admin_escape(escaped, word),
	                       near ? "; is it " : "; there are:", near ? near : "");
	for (uint32_t i = 0; !near && ph_config_known(i); i++)
		ph__session_error_line(&admin->session, "%s", ph_config_known(i));
	return ph__admin_end(admin, 1);
}

/* What stands behind the key, words with one blank between: a value may have several. */
static void join_words(struct admin *admin, unsigned first)
{
	struct ph__config_change *change = &admin->change;

	change->value = admin->argv[first];
	for (unsigned i = first + 1; i < admin->argc; i++)
		admin->argv[i][-1] = ' ';
}

static enum ph_step check_value(struct admin *admin)
{
	const struct ph__config_change *change = &admin->change;
	char escaped[ADMIN_ESCAPED_BYTES];
	const char *why;
	enum ph_status status = ph_config_check(change->key, change->value, &why);

	if (status == PH_OK && *admin->repo && ph_config_of_server(change->key)) {
		status = PH_ERR_INVALID;
		why = "it is for the server alone; see: config KEY VALUE";
	}
	if (status == PH_OK)
		return PH_STEP_AGAIN;
	ph__session_error_line(&admin->session, "%s cannot be '%.200s': %s", change->key,
	                       ph__admin_escape(escaped, change->value), why);
	return ph__admin_end(admin, 1);
}

/* Reads the key and what is behind it, from this word on. */
static enum ph_step read_change(struct admin *admin, unsigned at, bool optioned)
{
	struct ph__config_change *change = &admin->change;

	if (at == admin->argc && optioned)
		return ph__admin_usage(admin, "a key is missing", "");
	admin->step = show;
	if (at == admin->argc)
		return PH_STEP_AGAIN;
	if (ph_config_key(admin->key, admin->argv[at]) != PH_OK)
		return unknown_key(admin, admin->argv[at]);
	change->key = admin->key;
	if (at + 1 < admin->argc)
		join_words(admin, at + 1);
	if (change->what == PH__CONFIG_ADD && !change->value)
		return ph__admin_usage(admin, "a value is missing", "");
	if (change->what == PH__CONFIG_ADD && !ph_config_multi(change->key)) {
		ph__session_error_line(&admin->session, "%s has one value; set it without --add",
		                       change->key);
		return ph__admin_end(admin, 1);
	}
	if (change->value || change->what == PH__CONFIG_UNSET)
		admin->step = change_begin;
	return change->value && change->what != PH__CONFIG_UNSET ? check_value(admin)
	                                                         : PH_STEP_AGAIN;
}

enum ph_step ph__admin_config(struct admin *admin, unsigned at)
{
	const char *word = at < admin->argc ? admin->argv[at] : "";
	bool add = strcmp(word, "--add") == 0, unset = strcmp(word, "--unset") == 0;

	if (add)
		admin->change.what = PH__CONFIG_ADD;
	else if (unset)
		admin->change.what = PH__CONFIG_UNSET;
	else if (word[0] == '-')
		return ph__admin_usage(admin, "what is this", word);
	return read_change(admin, at + (add || unset), add || unset);
}
