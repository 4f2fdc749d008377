/* SPDX-License-Identifier: MIT */
/*
 * Dates in git's styles, and the times that --mtime understands. The calendar is computed here,
 * since a server's C library may have none, and no zone files.
 */
#include "date_int.h"
#include "options_int.h"

#include <inttypes.h>

#define DAY_SECONDS 86400
/* Beyond, a commit's time is no time: shown as 1970, as git does with what does not fit. */
#define SECONDS_MAX ((uint64_t)1 << 52)
#define ZONE_MAX 1000000

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970 of the first of March of a year, which is where a leap day does no harm. */
static int64_t march_days(int64_t year)
{
	return 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) -
	       719468;
}

int64_t ph__date_to_seconds(const struct ph__date *date)
{
	int64_t month = date->month > 2 ? date->month - 3 : date->month + 9;
	int64_t year = date->month > 2 ? date->year : date->year - 1;
	int64_t days = march_days(year) + (153 * month + 2) / 5 + date->day - 1;

	return days * DAY_SECONDS + date->hour * 3600 + date->minute * 60 + date->second;
}

void ph__date_from_seconds(struct ph__date *out, int64_t seconds)
{
	int64_t days = floor_div(seconds, DAY_SECONDS);
	int64_t rest = seconds - days * DAY_SECONDS;
	int64_t year = floor_div((days + 719468) * 400, 146097);
	int64_t day, month;

	while (march_days(year + 1) <= days)
		year++;
	while (march_days(year) > days)
		year--;
	day = days - march_days(year);
	month = (5 * day + 2) / 153;
	out->day = (int)(day - (153 * month + 2) / 5 + 1);
	out->month = (int)(month < 10 ? month + 3 : month - 9);
	out->year = year + (month >= 10);
	out->hour = (int)(rest / 3600);
	out->minute = (int)(rest / 60 % 60);
	out->second = (int)(rest % 60);
	out->weekday = (int)((days % 7 + 11) % 7);
}

/* ---- shown ---- */

static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static enum ph_status ago(struct ph__text *out, uint64_t count, const char *unit)
{
	return ph__text_print(out, "%" PRIu64 " %s%s ago", count, unit, count == 1 ? "" : "s");
}

static enum ph_status show_years(struct ph__text *out, uint64_t days)
{
	uint64_t total = (days * 12 * 2 + 365) / (365 * 2), years = total / 12;
	enum ph_status status;

	if (days >= 1825)
		return ago(out, (days + 183) / 365, "year");
	if (total % 12 == 0)
		return ago(out, years, "year");
	status = ph__text_print(out, "%" PRIu64 " year%s, ", years, years == 1 ? "" : "s");
	return status == PH_OK ? ago(out, total % 12, "month") : status;
}

static enum ph_status show_relative(struct ph__text *out, uint64_t seconds, uint64_t now_s)
{
	uint64_t diff;

	if (now_s < seconds)
		return ph__text_print(out, "in the future");
	diff = now_s - seconds;
	if (diff < 90)
		return ago(out, diff, "second");
	diff = (diff + 30) / 60;
	if (diff < 90)
		return ago(out, diff, "minute");
	diff = (diff + 30) / 60;
	if (diff < 36)
		return ago(out, diff, "hour");
	diff = (diff + 12) / 24;
	if (diff < 14)
		return ago(out, diff, "day");
	if (diff < 70)
		return ago(out, (diff + 3) / 7, "week");
	if (diff < 365)
		return ago(out, (diff + 15) / 30, "month");
	return show_years(out, diff);
}

static enum ph_status show_zone(struct ph__text *out, int zone, bool strict)
{
	int amount = zone < 0 ? -zone : zone;

	if (strict && zone == 0)
		return ph__text_add(out, "Z", 1);
	return ph__text_print(out, strict ? "%c%02d:%02d" : "%c%02d%02d", zone < 0 ? '-' : '+',
	                      amount / 100, amount % 100);
}

static enum ph_status show(struct ph__text *out, enum ph__date_style style,
                           const struct ph__date *date)
{
	const char *weekday = weekdays[date->weekday], *month = months[date->month - 1];

	switch (style) {
	case PH__DATE_RFC2822:
		return ph__text_print(out, "%s, %d %s %" PRId64 " %02d:%02d:%02d ", weekday,
		                      date->day, month, date->year, date->hour, date->minute,
		                      date->second);
	case PH__DATE_ISO:
		return ph__text_print(out, "%04" PRId64 "-%02d-%02d %02d:%02d:%02d ", date->year,
		                      date->month, date->day, date->hour, date->minute,
		                      date->second);
	case PH__DATE_ISO_STRICT:
		return ph__text_print(out, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d", date->year,
		                      date->month, date->day, date->hour, date->minute,
		                      date->second);
	case PH__DATE_SHORT:
		return ph__text_print(out, "%04" PRId64 "-%02d-%02d", date->year, date->month,
		                      date->day);
	case PH__DATE_NORMAL:
	case PH__DATE_RELATIVE:
	default:
		return ph__text_print(out, "%s %s %d %02d:%02d:%02d %" PRId64 " ", weekday, month,
		                      date->day, date->hour, date->minute, date->second,
		                      date->year);
	}
}

enum ph_status ph__date_show(struct ph__text *out, enum ph__date_style style, uint64_t seconds,
                             int64_t zone, uint64_t now_s)
{
	struct ph__date date;
	int64_t offset, amount = zone < 0 ? -zone : zone;
	enum ph_status status;

	if (style == PH__DATE_RELATIVE)
		return show_relative(out, seconds, now_s);
	if (amount > ZONE_MAX)
		zone = amount = 0;
	offset = (amount / 100 * 60 + amount % 100) * (zone < 0 ? -60 : 60);
	if (seconds > SECONDS_MAX || (int64_t)seconds + offset < 0)
		seconds = 0, zone = 0, offset = 0;
	ph__date_from_seconds(&date, (int64_t)seconds + offset);
	status = show(out, style, &date);
	if (status != PH_OK || style == PH__DATE_SHORT)
		return status;
	return show_zone(out, (int)zone, style == PH__DATE_ISO_STRICT);
}

/* ---- read ---- */

/* Exactly so many digits. */
static bool digits(const char **at, int count, int *out)
{
	*out = 0;
	for (int i = 0; i < count; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return true;
}

static bool is(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

/* Seconds east of Greenwich. */
static bool zone_parse(const char **at, int64_t *out)
{
	int hours, minutes;
	bool west = **at == '-';

	*out = 0;
	if (!**at || is(at, 'Z'))
		return true;
	if (!west && **at != '+')
		return false;
	++*at;
	if (!digits(at, 2, &hours))
		return false;
	(void)is(at, ':');
	if (!digits(at, 2, &minutes))
		return false;
	*out = (hours * 60 + minutes) * (west ? -60 : 60);
	return true;
}

static bool clock_parse(const char **at, struct ph__date *date)
{
	if (!digits(at, 2, &date->hour) || !is(at, ':') || !digits(at, 2, &date->minute))
		return false;
	if (is(at, ':') && !digits(at, 2, &date->second))
		return false;
	return date->hour < 24 && date->minute < 60 && date->second <= 60;
}

static bool seconds_parse(uint64_t *out, const char *at)
{
	int count = 0;

	for (*out = 0; at[count] >= '0' && at[count] <= '9'; count++) {
		if (count == 15)
			return false;
		*out = *out * 10 + (uint64_t)(at[count] - '0');
	}
	return count > 0 && !at[count];
}

bool ph__archive_mtime_parse(uint64_t *out, const char *text)
{
	struct ph__date date = {0};
	const char *at = text;
	int year;
	int64_t zone = 0, seconds;

	if (*at == '@')
		return seconds_parse(out, at + 1);
	if (seconds_parse(out, at))
		return *out >= 100000000;
	if (!digits(&at, 4, &year) || !is(&at, '-') || !digits(&at, 2, &date.month) ||
	    !is(&at, '-') || !digits(&at, 2, &date.day))
		return false;
	if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > 31)
		return false;
	date.year = year;
	if (*at) {
		if ((!is(&at, 'T') && !is(&at, ' ')) || !clock_parse(&at, &date))
			return false;
		(void)is(&at, ' ');
		if (!zone_parse(&at, &zone) || *at)
			return false;
	}
	seconds = ph__date_to_seconds(&date) - zone;
	*out = (uint64_t)seconds;
	return seconds >= 0;
}
