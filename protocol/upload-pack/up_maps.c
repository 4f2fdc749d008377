/* SPDX-License-Identifier: MIT */
/*
 * The maps of a repository's packs, opened for one request: what can be reached is read from them
 * where it would be walked for otherwise. And their full entries, which are sent where they would
 * be made. Both are made in the background and may be missing for any pack. None is needed: one
 * that cannot be read, or is of another version, is left out.
 */
#include "up_int.h"

#include "fulls_section_int.h"

static void open_fulls(struct ph__up *up, struct ph_snapshot *snapshot, uint32_t pack)
{
	const struct ph_bytes *section = ph_snapshot_section(snapshot, pack, PH__SECTION_FULLS);
	struct ph__up_maps *maps = &up->maps;

	if (section && maps->fulls_count < PH__UP_MAPS_MAX &&
	    ph_fulls_init(&maps->fulls[maps->fulls_count], ph_snapshot_source(snapshot), pack,
	                  section) == PH_OK)
		maps->fulls_count++;
}

enum ph_status ph__up_maps_open(struct ph__up *up, struct ph_snapshot *snapshot)
{
	struct ph__up_maps *maps = &up->maps;
	uint32_t packs = ph_snapshot_source(snapshot)->ops->packs(ph_snapshot_source(snapshot));
	enum ph_status status;

	if (maps->of == snapshot)
		return PH_OK;
	ph__up_maps_close(up);
	maps->of = snapshot;
	status = ph__map_set_open(&maps->set, snapshot, &up->session.service, "upload-pack");
	for (uint32_t i = 0; i < packs && status == PH_OK; i++)
		open_fulls(up, snapshot, i);
	if (status != PH_OK)
		ph__up_maps_close(up);
	return status;
}

bool ph__up_maps_blamed(struct ph__up *up, enum ph_status status)
{
	const struct ph_service *service = &up->session.service;
	const struct ph_snapshot *of = up->maps.of;

	if ((status != PH_ERR_CORRUPT && status != PH_ERR_IO) || up->maps.set.maps.count == 0)
		return false;
	ph_log_line(service->log, PH_LOG_WARN, "upload-pack", service->connection,
	            "%s: again without maps of packs: %s", up->repo, ph_status_text(status));
	ph__up_maps_close(up);
	up->maps.of = of;
	return true;
}

void ph__up_maps_close(struct ph__up *up)
{
	ph__map_set_close(&up->maps.set);
	up->maps.fulls_count = 0;
	up->maps.of = NULL;
}
