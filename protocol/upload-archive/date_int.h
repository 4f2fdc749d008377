/* SPDX-License-Identifier: MIT */
/* Days and clock times, without a clock and without zones beyond an offset. */
#ifndef PACKHORSE_DATE_INT_H
#define PACKHORSE_DATE_INT_H

#include "text_int.h"

struct ph__date {
	int64_t year;
	int month, day; /* from 1 */
	int hour, minute, second;
	int weekday; /* 0 is Sunday */
};

/* Seconds since 1970 to a date and back. Years up to some hundred millions. */
void ph__date_from_seconds(struct ph__date *out, int64_t seconds);
int64_t ph__date_to_seconds(const struct ph__date *date);

enum ph__date_style {
	PH__DATE_NORMAL,
	PH__DATE_RFC2822,
	PH__DATE_ISO,
	PH__DATE_ISO_STRICT,
	PH__DATE_SHORT,
	PH__DATE_RELATIVE
};

/* As git shows a time in a zone, which is written as hours * 100 + minutes. */
PH_MUST_CHECK enum ph_status ph__date_show(struct ph__text *out, enum ph__date_style style,
                                           uint64_t seconds, int64_t zone, uint64_t now_s);

#endif
