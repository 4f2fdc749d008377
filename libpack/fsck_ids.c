/* SPDX-License-Identifier: MIT */
/*
 * The findings that there are, how bad each is, and who says otherwise: receive.fsck.<id> and
 * receive.fsck.skipList. Ids and texts are git's, so that what is written about git holds here; the
 * numbers of ids are this library's own.
 */
#include "fsck_int.h"

#define FATAL 3u /* beyond enum ph_fsck_severity: an error that stays one */
#define OK PH_FSCK_OK
#define WARN PH_FSCK_WARN
#define ERROR PH_FSCK_ERROR

_Static_assert(PH__FSCK_ALL_COUNT <= PH_FSCK_IDS_MAX, "all have a place in rules");

static const uint8_t severities[] = {
#define X(name, severity, id, text) severity,
        PH__FSCK_MAP(X) PH__FSCK_REFS_MAP(X)
#undef X
};

/* One behind another, each with its NUL: tables without relocations, and without waste. */
static const char ids[] =
#define X(name, severity, id, text) id "\0"
        PH__FSCK_MAP(X) PH__FSCK_REFS_MAP(X);
#undef X

static const char texts[] =
#define X(name, severity, id, text) text "\0"
        PH__FSCK_MAP(X) PH__FSCK_REFS_MAP(X);
#undef X

static const char *nth(const char *list, uint32_t number)
{
	for (; number > 0; number--)
		list += strlen(list) + 1;
	return list;
}

const char *ph_fsck_id(uint32_t number)
{
	return number < PH__FSCK_ALL_COUNT ? nth(ids, number) : NULL;
}

static char lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static bool same(const char *a, const char *b)
{
	while (*a != '\0' && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

static uint32_t number_of(const char *id)
{
	uint32_t number = 0;

	for (const char *at = ids; number < PH__FSCK_ALL_COUNT; number++) {
		if (same(at, id))
			break;
		at += strlen(at) + 1;
	}
	return number;
}

const char *ph_fsck_text(const char *id)
{
	uint32_t number = number_of(id);

	return number < PH__FSCK_ALL_COUNT ? nth(texts, number) : "";
}

static uint8_t initial(uint32_t number)
{
	return severities[number] == FATAL ? (uint8_t)PH_FSCK_ERROR : severities[number];
}

void ph_fsck_rules_init(struct ph_fsck_rules *rules)
{
	memset(rules, 0, sizeof *rules);
	for (uint32_t i = 0; i < PH__FSCK_ALL_COUNT; i++)
		rules->severity[i] = initial(i);
}

enum ph_status ph_fsck_rules_set(struct ph_fsck_rules *rules, const char *id, const char *value)
{
	uint32_t number = number_of(id);
	enum ph_fsck_severity severity;

	if (number == PH__FSCK_ALL_COUNT)
		return PH_ERR_NOT_FOUND;
	if (strcmp(value, "error") == 0)
		severity = PH_FSCK_ERROR;
	else if (strcmp(value, "warn") == 0)
		severity = PH_FSCK_WARN;
	else if (strcmp(value, "ignore") == 0)
		severity = PH_FSCK_OK;
	else
		return PH_ERR_INVALID;
	if (severities[number] == FATAL && severity != PH_FSCK_ERROR)
		return PH_ERR_DENIED;
	rules->severity[number] = (uint8_t)severity;
	return PH_OK;
}

static void sift(struct ph_oid *at, uint32_t hole, uint32_t count)
{
	struct ph_oid value = at[hole];

	while (hole < count / 2) {
		uint32_t child = 2 * hole + 1;

		child += child + 1 < count && ph_oid_cmp(&at[child], &at[child + 1]) < 0;
		if (ph_oid_cmp(&value, &at[child]) >= 0)
			break;
		at[hole] = at[child];
		hole = child;
	}
	at[hole] = value;
}

void ph_fsck_skips_sort(struct ph_oid *skips, uint32_t count)
{
	for (uint32_t i = count / 2; i > 0; i--)
		sift(skips, i - 1, count);
	for (uint32_t i = count; i > 1; i--) {
		struct ph_oid last = skips[i - 1];

		skips[i - 1] = skips[0];
		skips[0] = last;
		sift(skips, 0, i - 1);
	}
}

bool ph_fsck_skipped(const struct ph_fsck_rules *rules, const struct ph_oid *oid)
{
	uint32_t from = 0;
	uint32_t to = rules != NULL ? rules->skips_count : 0;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		int order = ph_oid_cmp(&rules->skips[middle], oid);

		if (order == 0)
			return true;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return false;
}

void ph__fsck_run_init(struct ph__fsck_run *run, const struct ph_fsck *fsck)
{
	run->fsck = fsck;
	run->failed = false;
	run->skipped = fsck->oid != NULL && ph_fsck_skipped(fsck->rules, fsck->oid);
}

bool ph__fsck_find(struct ph__fsck_run *run, enum ph__fsck_id id)
{
	const struct ph_fsck *fsck = run->fsck;
	uint8_t severity = fsck->rules != NULL ? fsck->rules->severity[id] : initial(id);

	if (run->skipped || severity == PH_FSCK_OK)
		return true;
	if (severity == PH_FSCK_ERROR)
		run->failed = true;
	if (fsck->report != NULL)
		fsck->report(fsck->user, (enum ph_fsck_severity)severity, nth(ids, id));
	return severity != PH_FSCK_ERROR;
}
