/* SPDX-License-Identifier: MIT */
/*
 * Where a pack's map is kept (map.h). A pack that can have none, because it is not closed, has a
 * section of no bytes: so nobody tries again and again.
 */
#ifndef PACKHORSE_MAP_SECTION_INT_H
#define PACKHORSE_MAP_SECTION_INT_H

#include <packhorse/store.h>

#define PH__SECTION_MAP (PH_SECTION_AUX + 1)

#endif
