/* SPDX-License-Identifier: MIT */
/*
 * What a scrubber has come to, as a setting of the store: four numbers and a name between blanks,
 * for the next one to go on, and for an owner who asks.
 */
#include <packhorse/scrubber.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SETTING "scrub"
#define TEXT_BYTES (4 * 21 + PH_REPO_NAME_MAX + 1)

/* A number and the blank behind it. */
static bool get_number(const char **at, uint64_t *out)
{
	uint64_t value = 0;
	unsigned digits = 0;

	for (; **at >= '0' && **at <= '9' && digits < 19; digits++)
		value = value * 10 + (uint64_t)(*(*at)++ - '0');
	*out = value;
	return digits > 0 && *(*at)++ == ' ';
}

enum ph_status ph_scrubber_state_load(struct ph_store *store, struct ph_scrubber_state *out)
{
	char text[TEXT_BYTES + 1];
	const char *at = text;
	size_t len = TEXT_BYTES;
	enum ph_status status = ph_store_setting_get(store, SETTING, text, &len);

	memset(out, 0, sizeof(*out));
	if (status == PH_ERR_NOT_FOUND)
		return PH_OK;
	if (status != PH_OK)
		return status;
	text[len] = '\0';
	if (!get_number(&at, &out->began_s) || !get_number(&at, &out->findings) ||
	    !get_number(&at, &out->ended_s) || !get_number(&at, &out->ended_findings) ||
	    strlen(at) > PH_REPO_NAME_MAX) {
		memset(out, 0, sizeof(*out));
		return PH_OK;
	}
	memcpy(out->after, at, strlen(at) + 1);
	return PH_OK;
}

enum ph_status ph_scrubber_state_save(struct ph_store *store, const struct ph_scrubber_state *state)
{
	char text[TEXT_BYTES + 1];
	int len = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s",
	                   state->began_s, state->findings, state->ended_s, state->ended_findings,
	                   state->after);

	if (len < 0 || (size_t)len >= sizeof(text))
		return PH_ERR_LIMIT;
	return ph_store_setting_set(store, SETTING, text, (size_t)len);
}
