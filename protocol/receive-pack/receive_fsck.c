/* SPDX-License-Identifier: MIT */
/*
 * Checks of received objects as the configuration wants them (receive.fsckObjects,
 * receive.fsck.<msg-id>, receive.fsck.skipList), and what the client is told of their findings, in
 * git's words. There is no file system to keep a skip list in: its values are the ids themselves.
 */
#include "receive_int.h"

#include <config_int.h>
#include <string.h>

static uint32_t count_skips(const struct ph_config_list *list)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < list->count; i++) {
		const char *at = list->items[i].text;
		struct ph_oid oid;

		for (; count < PH_FSCK_SKIPS_MAX && ph__config_next_id(&at, &oid) == PH_OK;
		     count++) {
		}
	}
	return count;
}

/* Those beyond the bound are checked as if they were not on the list. */
static enum ph_status load_skips(struct receive *r)
{
	const struct ph_config_list *list = &r->config.fsck_skips;
	uint32_t room = count_skips(list);
	uint32_t count = 0;

	if (room == 0)
		return PH_OK;
	r->fsck_skips = ph_mem_zalloc(r->session.service.alloc, room, sizeof(*r->fsck_skips));
	if (!r->fsck_skips)
		return PH_ERR_NOMEM;
	for (uint32_t i = 0; i < list->count; i++) {
		const char *at = list->items[i].text;

		while (count < room && ph__config_next_id(&at, &r->fsck_skips[count]) == PH_OK)
			count++;
	}
	ph_fsck_skips_sort(r->fsck_skips, count);
	r->fsck.skips = r->fsck_skips;
	r->fsck.skips_count = count;
	return PH_OK;
}

static void warn(void *user, const char *id, const struct ph_oid *oid)
{
	struct receive *r = user;
	const struct ph_service *service = &r->session.service;
	char hex[PH_OID_HEX_MAX + 1];

	ph_oid_to_hex(hex, r->algo, oid);
	if (r->fsck_warnings < RECEIVE_FSCK_LINES_MAX)
		ph__receive_say(r, "warning: object %s: %s: %s", hex, id, ph_fsck_text(id));
	if (r->fsck_warnings < RECEIVE_FSCK_LOGGED_MAX)
		ph_log_line(service->log, PH_LOG_INFO, "receive-pack", service->connection,
		            "%s: object %s: %s", r->repo, hex, id);
	if (r->fsck_warnings < UINT32_MAX)
		r->fsck_warnings++;
}

enum ph_status ph__receive_fsck_begin(struct receive *r)
{
	r->fsck = r->config.fsck;
	r->pack_options.warn = warn;
	r->pack_options.rules = &r->fsck;
	r->pack_options.unchecked = !r->config.fsck_objects;
	return load_skips(r);
}

void ph__receive_fsck_refuse(struct receive *r, const char *hex, const char *id)
{
	ph__receive_say(r, "error: object %s: %s: %s", hex, id, ph_fsck_text(id));
	ph__receive_say(r, "fatal: fsck error in packed object");
}

void ph__receive_fsck_release(struct receive *r)
{
	ph_mem_free(r->session.service.alloc, r->fsck_skips);
	r->fsck_skips = NULL;
	r->fsck.skips = NULL;
	r->fsck.skips_count = 0;
}
