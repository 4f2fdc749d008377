/* SPDX-License-Identifier: MIT */
/*
 * The push log: who changed which refs from what to what, in records of lines (receive_pack.h). It
 * is part of the push's own transaction, so it tells neither less nor more than what was committed.
 */
#include "receive_int.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* One record, as the store takes it. */
#define RECORD_BYTES_MAX 4096u
#define IDENTITY_BYTES_MAX 256u
/* Records of one push: some thousands of refs. One that moves more tells how many more, or a few of
 * them would push everything else out of what the store keeps. */
#define RECORDS_MAX 128u

struct record {
	char text[RECORD_BYTES_MAX];
	size_t len, head; /* head: up to its first ref */
};

static void put(struct record *record, const char *format, ...) PH_PRINTF(2, 3);

/* What stands at the head of a record is bounded, and fits. */
static void put(struct record *record, const char *format, ...)
{
	size_t room = sizeof(record->text) - record->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(record->text + record->len, room, format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < room);
	record->len += (size_t)len;
}

/* At most bytes - 1 of a text, without control bytes; "-" for none. */
static const char *clean(char *out, size_t bytes, const char *text)
{
	size_t at = 0;

	for (; text && text[at] && at + 1 < bytes; at++)
		out[at] = (unsigned char)text[at] < 0x20 || text[at] == 0x7f ? '?' : text[at];
	out[at] = 0;
	return at ? out : "-";
}

static void put_key(struct record *record, const uint8_t *key, size_t len)
{
	char text[PH_FINGERPRINT_BYTES];

	ph_key_fingerprint(text, key, len);
	put(record, "key %s\n", text);
}

static void put_certificate(const struct receive *r, struct record *record,
                            const struct ph_push_certificate *certificate)
{
	char hex[PH_OID_HEX_MAX + 1], signer[IDENTITY_BYTES_MAX], key[IDENTITY_BYTES_MAX];
	char nonce[32];

	put(record, "certificate %s %c %s %s %s\n", ph_oid_to_hex(hex, r->algo, &certificate->blob),
	    certificate->status ? certificate->status : 'N',
	    clean(nonce, sizeof(nonce), certificate->nonce_status),
	    clean(key, sizeof(key), certificate->key),
	    clean(signer, sizeof(signer), certificate->signer));
}

static void begin(const struct receive *r, struct record *record, const char *verb)
{
	const struct ph_service *service = &r->session.service;
	const struct ph_push *push = &r->policy.push;
	char identity[IDENTITY_BYTES_MAX];

	clean(identity, sizeof(identity), service->identity);
	record->len = 0;
	put(record, "%s %llu %s\n", verb, (unsigned long long)r->session.wall_s, identity);
	if (service->key)
		put_key(record, service->key, service->key_len);
	if (r->options.count)
		put(record, "options %u\n", r->options.count);
	if (push->certificate)
		put_certificate(r, record, push->certificate);
	record->head = record->len;
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
