/* SPDX-License-Identifier: MIT */
/*
 * The maps of a repository's packs, opened for one request: what can be reached is read from them
 * where it would be walked for otherwise. They are made in the background and may be missing for
 * any pack. None is needed: one that cannot be read, or is of another version, is left out.
 */
#include "up_int.h"

#include "map_section_int.h"

static enum ph_status open_one(struct ph__up *up, struct ph_snapshot *snapshot, uint32_t pack)
{
	const struct ph_service *service = &up->session.service;
	const struct ph_bytes *section = ph_snapshot_section(snapshot, pack, PH__SECTION_MAP);
	struct ph__up_maps *maps = &up->maps;
	enum ph_status status;

	/* One of no bytes says that the pack can have none. */
	if (!section || section->size == 0)
		return PH_OK;
	status = ph_map_open(&maps->list[maps->maps.count], ph_snapshot_source(snapshot), pack,
	                     section, service->alloc);
	if (status == PH_OK)
		maps->maps.count++;
	else if (status != PH_ERR_NOMEM)
		ph_log_line(service->log, PH_LOG_DEBUG, "upload-pack", service->connection,
		            "%s: the map of pack %lu is not used: %s", up->repo,
		            (unsigned long)pack, ph_status_text(status));
	return status == PH_ERR_NOMEM ? status : PH_OK;
}

enum ph_status ph__up_maps_open(struct ph__up *up, struct ph_snapshot *snapshot)
{
	struct ph__up_maps *maps = &up->maps;
	uint32_t packs = ph_snapshot_source(snapshot)->ops->packs(ph_snapshot_source(snapshot));
	enum ph_status status = PH_OK;

	if (maps->of == snapshot)
		return PH_OK;
	ph__up_maps_close(up);
	maps->of = snapshot;
	maps->maps.maps = maps->list;
	for (uint32_t i = 0; i < packs && maps->maps.count < PH__UP_MAPS_MAX && status == PH_OK;
	     i++)
		status = open_one(up, snapshot, i);
	if (status != PH_OK)
		ph__up_maps_close(up);
	return status;
}

bool ph__up_maps_blamed(struct ph__up *up, enum ph_status status)
{
	const struct ph_service *service = &up->session.service;
	const struct ph_snapshot *of = up->maps.of;

	if ((status != PH_ERR_CORRUPT && status != PH_ERR_IO) || up->maps.maps.count == 0)
		return false;
	ph_log_line(service->log, PH_LOG_WARN, "upload-pack", service->connection,
	            "%s: again without maps of packs: %s", up->repo, ph_status_text(status));
	ph__up_maps_close(up);
	up->maps.of = of;
	return true;
}

void ph__up_maps_close(struct ph__up *up)
{
	for (uint32_t i = 0; i < up->maps.maps.count; i++)
		ph_map_free(up->maps.list[i]);
	up->maps.maps.count = 0;
	up->maps.of = NULL;
}
