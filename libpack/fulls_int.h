/* SPDX-License-Identifier: MIT */
/* The layout of a section of full entries, shared by its reader and its maker; see fulls.h. */
#ifndef PACKHORSE_FULLS_INT_H
#define PACKHORSE_FULLS_INT_H

#include <packhorse/fulls.h>

#include "pack_index_int.h"

#define FULLS_MAGIC "PHFL"
#define FULLS_END "PHFE"
#define FULLS_VERSION 1u
#define FULLS_HEADER_BYTES 16u
#define FULLS_FOOTER_BYTES 16u
#define FULLS_RECORD_BYTES 20u

#endif
