/* SPDX-License-Identifier: MIT */
/*
 * The text of a configuration as it is stored: read, gone over line by line, and edited. An edit
 * makes a new text and leaves lines alone that it is not about, also those whose keys this server
 * does not know.
 */
#include "config_int.h"

#include <stdio.h>
#include <string.h>

static enum ph_status get(struct ph_store *store, struct ph_snapshot *snapshot, void *buf,
                          size_t *len)
{
	return snapshot ? ph_snapshot_setting(snapshot, PH__CONFIG_SETTING, buf, len)
	                : ph_store_setting_get(store, PH__CONFIG_SETTING, buf, len);
}

/* Most are none, or short. */
enum ph_status ph__config_text(struct ph_store *store, struct ph_snapshot *snapshot,
                               const struct ph_alloc *alloc, char **out, size_t *len)
{
	static const size_t rooms[] = {0, 1024, PH_SETTING_BYTES_MAX};
	enum ph_status status = PH_ERR_LIMIT;
	char *text = NULL;

	for (size_t i = 0; i < 3 && status == PH_ERR_LIMIT; i++) {
		ph_mem_free(alloc, text);
		text = ph_mem_alloc(alloc, rooms[i] + 1);
		if (!text)
			return PH_ERR_NOMEM;
		*len = rooms[i];
		status = get(store, snapshot, text, len);
	}
	*out = NULL;
	if (status == PH_OK) {
		text[*len] = 0;
		*out = text;
		return PH_OK;
	}
	ph_mem_free(alloc, text);
	*len = 0;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_status ph__config_next(char **at, char **key, char **value)
{
	while (**at) {
		char *line = *at, *equals;
		size_t len = strcspn(line, "\n");

		*at += len + (line[len] == '\n');
		line[len] = 0;
		equals = strchr(line, '=');
		if (!equals || equals == line)
			continue;
		*equals = 0;
		*key = line;
		*value = equals + 1;
		return PH_OK;
	}
	return PH_END;
}

/* ---- edits ---- */

/* Whether a line is one of key, and of value unless that is NULL. */
static bool is_line(const char *line, size_t len, const char *key, const char *value)
{
	size_t key_len = strlen(key);

	if (len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != '=')
		return false;
	line += key_len + 1;
	len -= key_len + 1;
	return !value || (strlen(value) == len && memcmp(line, value, len) == 0);
}

uint32_t ph__config_count(const char *text, const char *key, const char *value)
{
	uint32_t count = 0;

	while (text && *text) {
		size_t len = strcspn(text, "\n");

		count += key ? is_line(text, len, key, value) : len > 0;
		text += len + (text[len] == '\n');
	}
	return count;
}

size_t ph__config_without(char *text, size_t len, const char *key)
{
	size_t at = 0, left = 0;

	while (at < len) {
		const char *newline = memchr(text + at, '\n', len - at);
		size_t line = newline ? (size_t)(newline - (text + at)) : len - at;
		size_t whole = line + (newline != NULL);

		if (!is_line(text + at, line, key, NULL)) {
			memmove(text + left, text + at, whole);
			left += whole;
		}
		at += whole;
	}
	return left;
}

/* All lines but those of key and value. */
static size_t copy_others(char *out, const char *text, const char *key, const char *value)
{
	size_t at = 0;

	while (text && *text) {
		size_t len = strcspn(text, "\n");

		if (len && !is_line(text, len, key, value)) {
			memcpy(out + at, text, len);
			at += len;
			out[at++] = '\n';
		}
		text += len + (text[len] == '\n');
	}
	return at;
}

enum ph_status ph__config_edit(char **out, size_t *len, const char *text,
                               const struct ph__config_change *change, const struct ph_alloc *alloc)
{
	size_t old_len = text ? strlen(text) : 0;
	size_t room = old_len + strlen(change->key) + PH_CONFIG_VALUE_MAX + 4;
	/* A line that no text has: with one value to add, all others stay. */
	const char *gone = change->what == PH__CONFIG_ADD ? "\n" : change->key;
	const char *gone_value = change->what == PH__CONFIG_UNSET ? change->value : NULL;
	char *made = ph_mem_alloc(alloc, room);

	if (!made)
		return PH_ERR_NOMEM;
	*len = copy_others(made, text, gone, gone_value);
	if (change->what != PH__CONFIG_UNSET)
		*len += (size_t)snprintf(made + *len, room - *len, "%s=%s\n", change->key,
		                         change->value);
	made[*len] = 0;
	if (*len > PH_SETTING_BYTES_MAX ||
	    ph__config_count(made, NULL, NULL) > PH_CONFIG_VALUES_MAX) {
		ph_mem_free(alloc, made);
		return PH_ERR_LIMIT;
	}
	*out = made;
	return PH_OK;
}
