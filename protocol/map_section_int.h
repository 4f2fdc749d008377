/* SPDX-License-Identifier: MIT */
/*
 * Where a pack's map is kept (map.h). A pack that can have none, because it is not closed, has a
 * section that says just that, so that nobody tries again and again: for readers of maps it is one
 * that they do not understand, and do without.
 */
#ifndef PACKHORSE_MAP_SECTION_INT_H
#define PACKHORSE_MAP_SECTION_INT_H

#include <packhorse/store.h>

/* Maps of type PH_SECTION_AUX + 1 are not read: of octopuses they may name wrong parents. */
#define PH__SECTION_MAP (PH_SECTION_AUX + 3)
/* Instead of a map. */
#define PH__MAP_NONE "none"
#define PH__MAP_NONE_BYTES 4u

#endif
