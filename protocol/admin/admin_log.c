/* SPDX-License-Identifier: MIT */
/*
 * The owner command "repo log NAME": the log of pushes, oldest record first. Each is printed with
 * its own hash and the one that it names, and the chain is checked on the way: the owner who noted
 * a hash once can tell whether anything before it was changed.
 */
#include "admin_int.h"

#include <packhorse/hash.h>

#include <string.h>

/* A record with every byte escaped, and its hash. */
#define ROOM (4u * PH_LOG_LINKED_MAX + 256u)
#define RECORD_COST 4u

static void hash_record(struct admin *admin, const char *text, size_t len,
                        char hex[PH_OID_HEX_MAX + 1])
{
	struct ph_hash hash;

	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, text, len);
	ph_hash_final(&hash, &admin->log_tip);
	ph_oid_to_hex(hex, PH_HASH_SHA256, &admin->log_tip);
}

/* The record's lines, each escaped, and an empty one. */
static void print_lines(struct admin *admin, char *text)
{
	char escaped[ADMIN_ESCAPED_BYTES];

	while (*text) {
		size_t len = strcspn(text, "\n");
		char *next = text + len + (text[len] == '\n');

		text[len] = 0;
		/* No line is longer than a ref's name and two hashes. */
		ph__admin_print(admin, ph__admin_escape(escaped, text));
		ph__admin_print(admin, "\n");
		text = next;
	}
	ph__admin_print(admin, "\n");
}

static enum ph_step broken(struct admin *admin)
{
	ph__session_error_line(&admin->session,
	                       "the chain is broken: the last record that was printed does not "
	                       "name the one before it; the log was tampered with, or damaged");
	return ph__admin_end(admin, 1);
}

static enum ph_step print_record(struct admin *admin)
{
	char text[PH_LOG_LINKED_MAX + 1], before[PH_OID_HEX_MAX + 1], hex[PH_OID_HEX_MAX + 1];
	size_t len = PH_LOG_LINKED_MAX;
	bool linked;
	enum ph_status status = ph_snapshot_log_read(admin->snapshot, admin->log_at, text, &len);

	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	text[len] = 0;
	ph_oid_to_hex(before, PH_HASH_SHA256, &admin->log_tip);
	/* The oldest may name one that is not kept any more. */
	linked = admin->log_at++ == 0 || strncmp(text, before, PH_LOG_LINK_BYTES - 1) == 0;
	hash_record(admin, text, len, hex);
	ph__admin_print(admin, "record ");
	ph__admin_print(admin, hex);
	ph__admin_print(admin, "\nprevious ");
	print_lines(admin, text);
	return linked ? PH_STEP_AGAIN : broken(admin);
}

enum ph_step ph__admin_log(struct admin *admin, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	if (!admin->snapshot)
		status = ph_store_snapshot(admin->session.service.store, admin->repo,
		                           &admin->snapshot);
	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	if (admin->log_at == ph_snapshot_log_count(admin->snapshot))
		return ph__admin_end(admin, 0);
	if (ph__session_room(&admin->session, PH_STREAM_OUT) < ROOM)
		return PH_STEP_OUTPUT;
	ph_budget_spend(budget, RECORD_COST);
	return print_record(admin);
}
