/* SPDX-License-Identifier: MIT */
/*
 * The push log: who changed which refs from what to what, in records of lines (receive_pack.h). It
 * is part of the push's own transaction, so it tells neither less nor more than what was committed.
 */
#include "receive_int.h"

#include <assert.h>
#include <stdio.h>

/* One record, as the store takes it. */
#define RECORD_BYTES_MAX 4096u
#define IDENTITY_BYTES_MAX 256u
/* Records of one push: some thousands of refs. One that moves more tells how many more, or a few of
 * them would push everything else out of what the store keeps. */
#define RECORDS_MAX 128u

struct record {
	char text[RECORD_BYTES_MAX];
	size_t len, head; /* head: of its first line */
};

static void begin(const struct receive *r, struct record *record, const char *verb)
{
	const char *who = r->session.service.identity;
	char identity[IDENTITY_BYTES_MAX];
	size_t at = 0;

	for (; who && who[at] && at + 1 < sizeof(identity); at++)
		identity[at] = (unsigned char)who[at] < 0x20 || who[at] == 0x7f ? '?' : who[at];
	identity[at] = 0;
	record->head = (size_t)snprintf(record->text, sizeof(record->text), "%s %llu %s\n", verb,
	                                (unsigned long long)r->session.wall_s, identity);
	record->len = record->head;
	assert(record->len < sizeof(record->text));
}

/* False when the record is full. */
static bool add(const struct receive *r, struct record *record, const struct receive_command *c)
{
	char from[PH_OID_HEX_MAX + 1], to[PH_OID_HEX_MAX + 1];
	size_t room = sizeof(record->text) - record->len;
	int len = snprintf(record->text + record->len, room, "%s %s %s\n",
	                   ph_oid_to_hex(from, r->algo, &c->old_oid),
	                   ph_oid_to_hex(to, r->algo, &c->new_oid), receive_target(r, c));

	assert(len > 0);
	if ((size_t)len >= room)
		return false;
	record->len += (size_t)len;
	return true;
}

static bool is_due(const struct receive_command *c)
{
	return c->staged != c->logged;
}

/* The record behind the last that names refs: how many more there are. */
static enum ph_status log_rest(struct receive *r, struct record *record, uint32_t at)
{
	uint32_t rest = 0;

	for (; at < r->count; at++) {
		rest += is_due(&r->commands[at]);
		r->commands[at].logged = r->commands[at].staged;
	}
	record->len += (size_t)snprintf(record->text + record->len,
	                                sizeof(record->text) - record->len, "and %u more\n", rest);
	return ph_txn_log(r->txn, record->text, record->len);
}

enum ph_status ph__receive_log(struct receive *r, const char *verb)
{
	struct record record;
	uint32_t records = 0;

	begin(r, &record, verb);
	for (uint32_t at = 0; at < r->count; at++) {
		struct receive_command *c = &r->commands[at];
		enum ph_status status = PH_OK;

		if (!is_due(c))
			continue;
		if (!add(r, &record, c)) {
			status = ph_txn_log(r->txn, record.text, record.len);
			record.len = record.head;
			if (status == PH_OK && ++records == RECORDS_MAX - 1)
				return log_rest(r, &record, at);
			/* A name is far shorter than a record: now it fits. */
			if (status == PH_OK && !add(r, &record, c))
				status = PH_ERR_LIMIT;
		}
		if (status != PH_OK)
			return status;
		c->logged = c->staged;
	}
	return record.len > record.head ? ph_txn_log(r->txn, record.text, record.len) : PH_OK;
}
