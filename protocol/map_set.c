/* SPDX-License-Identifier: MIT */
/*
 * The maps of a repository's packs, opened for one session: what can be reached is read from them
 * where it would be walked for otherwise.
 */
#include "map_set_int.h"

#include "map_section_int.h"

static enum ph_status open_one(struct ph__map_set *set, struct ph_snapshot *snapshot, uint32_t pack,
                               const struct ph_service *service, const char *who)
{
	const struct ph_bytes *section = ph_snapshot_section(snapshot, pack, PH__SECTION_MAP);
	enum ph_status status;

	/* One of no bytes says that the pack can have none. */
	if (!section || section->size == 0)
		return PH_OK;
	status = ph_map_open(&set->list[set->maps.count], ph_snapshot_source(snapshot), pack,
	                     section, service->alloc);
	if (status == PH_OK)
		set->maps.count++;
	else if (status != PH_ERR_NOMEM)
		ph_log_line(service->log, PH_LOG_DEBUG, who, service->connection,
		            "%s: the map of pack %lu is not used: %s", snapshot->name,
		            (unsigned long)pack, ph_status_text(status));
	return status == PH_ERR_NOMEM ? status : PH_OK;
}

enum ph_status ph__map_set_open(struct ph__map_set *set, struct ph_snapshot *snapshot,
                                const struct ph_service *service, const char *who)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint32_t packs = source->ops->packs(source);
	enum ph_status status = PH_OK;

	set->maps.maps = set->list;
	for (uint32_t i = 0; i < packs && set->maps.count < PH__MAP_SET_MAX && status == PH_OK; i++)
		status = open_one(set, snapshot, i, service, who);
	if (status != PH_OK)
		ph__map_set_close(set);
	return status;
}

void ph__map_set_close(struct ph__map_set *set)
{
	for (uint32_t i = 0; i < set->maps.count; i++)
		ph_map_free(set->list[i]);
	set->maps.count = 0;
}
