/* SPDX-License-Identifier: MIT */
/* What the files of the test support share. */
#ifndef PH_TEST_SUPPORT_INT_H
#define PH_TEST_SUPPORT_INT_H

#include "support.h"

/* Prints why and aborts. */
void ph__test_die(const char *what);
/* realloc that does not fail. */
void *ph__test_grow(void *ptr, size_t size);

#endif
