/* SPDX-License-Identifier: MIT */
/* UTF-8, and how many columns of a terminal it takes. */
#ifndef PACKHORSE_UTF8_INT_H
#define PACKHORSE_UTF8_INT_H

#include <packhorse/base.h>

/*
 * The length of the character at the front of a text that is not empty, 0 when it is none: too
 * long, a surrogate, beyond Unicode. *code is its number.
 */
size_t ph__utf8_next(const char *text, size_t len, uint32_t *code);
bool ph__utf8_valid(const char *text, size_t len);
/* Columns of one character: 0, 1 or 2; -1 for control characters. */
int ph__utf8_columns(uint32_t code);
/* Of a text, without colour sequences; its length when it is no UTF-8. */
size_t ph__utf8_width(const char *text, size_t len);
/* The length of a sequence ESC [ digits... m at the front, or 0. */
size_t ph__utf8_colour(const char *text, size_t len);

#endif
