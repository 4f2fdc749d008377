/* SPDX-License-Identifier: MIT */
/*
 * The maps of a repository's packs (map.h), opened for one session. They are made in the background
 * and may be missing for any pack. None is needed: one that cannot be read, or is of another
 * version, is left out.
 */
#ifndef PACKHORSE_MAP_SET_INT_H
#define PACKHORSE_MAP_SET_INT_H

#include <packhorse/map.h>
#include <packhorse/service.h>

/* A repository has one large pack and a few small ones. */
#define PH__MAP_SET_MAX 8u

struct ph__map_set {
	struct ph_map *list[PH__MAP_SET_MAX];
	struct ph_maps maps; /* for libpack */
};

/*
 * Opens those there are; set is zeroed, or was closed. source is of who names it in log lines.
 * PH_ERR_NOMEM, and then none is open.
 */
PH_MUST_CHECK enum ph_status ph__map_set_open(struct ph__map_set *set, struct ph_snapshot *snapshot,
                                              const struct ph_service *service, const char *who);
void ph__map_set_close(struct ph__map_set *set);

#endif
