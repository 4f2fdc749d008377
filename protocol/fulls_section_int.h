/* SPDX-License-Identifier: MIT */
/* Where full entries of a pack are kept (fulls.h): made by maintenance, read by upload-pack. */
#ifndef PACKHORSE_FULLS_SECTION_INT_H
#define PACKHORSE_FULLS_SECTION_INT_H

#include <packhorse/fulls.h>
#include <packhorse/store.h>

#define PH__SECTION_FULLS (PH_SECTION_AUX + 2)

#endif
