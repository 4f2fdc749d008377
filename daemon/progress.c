/* SPDX-License-Identifier: MIT */
/*
 * The line is made whole before it is written, in one write, so that nothing flickers. What is
 * left of a longer one before it is erased to the end of the line. Speed is that of all so far.
 */
#include "progress.h"
#include "daemon_int.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRAW_MS 200u
#define LINE_BYTES 200u

const char *ph__size_text(char out[PH_SIZE_TEXT_BYTES], uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	unsigned unit = 0;

	if (bytes < 1024) {
		snprintf(out, PH_SIZE_TEXT_BYTES, "%u bytes", (unsigned)bytes);
		return out;
	}
	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(*units); unit++)
		value /= 1024;
	snprintf(out, PH_SIZE_TEXT_BYTES, "%.2f %s", value, units[unit]);
	return out;
}

static void put_line(const char *line, size_t len)
{
	/* A terminal that is gone is no reason to fail. */
	ssize_t written = write(STDERR_FILENO, line, len);

	(void)written;
}

/* ", 1.20 MiB | 600.00 KiB/s" */
static void speed(const struct ph_progress *progress, char *out, size_t size)
{
	uint64_t took_ms = ph__now_ms() - progress->begun_ms;
	double rate = (double)progress->bytes * 1000 / (double)(took_ms ? took_ms : 1);
	char bytes[PH_SIZE_TEXT_BYTES], each[PH_SIZE_TEXT_BYTES];

	*out = '\0';
	if (progress->bytes)
		snprintf(out, size, ", %s | %s/s", ph__size_text(bytes, progress->bytes),
		         ph__size_text(each, (uint64_t)rate));
}

static void draw(struct ph_progress *progress, bool last)
{
	const char *end = last ? ", done.\033[K\n" : "\033[K";
	char line[LINE_BYTES], suffix[3 * PH_SIZE_TEXT_BYTES];
	uint64_t total = progress->total, done = progress->done;
	int len;

	speed(progress, suffix, sizeof(suffix));
	if (total)
		len = snprintf(line, sizeof(line), "\r%s: %3u%% (%" PRIu64 "/%" PRIu64 ")%s%s",
		               progress->what, (unsigned)((double)done * 100 / (double)total), done,
		               total, suffix, end);
	else
		len = snprintf(line, sizeof(line), "\r%s: %" PRIu64 "%s%s", progress->what, done,
		               suffix, end);
	if (len > 0 && (size_t)len < sizeof(line))
		put_line(line, (size_t)len);
	progress->drawn = true;
	progress->drawn_ms = ph__now_ms();
}

void ph__progress_begin(struct ph_progress *progress, bool quiet, const char *what, uint64_t total)
{
	ph__progress_end(progress);
	memset(progress, 0, sizeof(*progress));
	progress->what = what;
	progress->total = total;
	progress->shown = !quiet && isatty(STDERR_FILENO) == 1;
	if (progress->shown)
		progress->begun_ms = progress->drawn_ms = ph__now_ms();
}

void ph__progress_at(struct ph_progress *progress, uint64_t done, uint64_t bytes)
{
	progress->done = progress->total && done > progress->total ? progress->total : done;
	progress->bytes = bytes;
	if (progress->shown && ph__now_ms() - progress->drawn_ms >= DRAW_MS)
		draw(progress, false);
}

void ph__progress_end(struct ph_progress *progress)
{
	if (progress->what && progress->shown)
		draw(progress, true);
	memset(progress, 0, sizeof(*progress));
}

void ph__progress_clear(struct ph_progress *progress)
{
	static const char clear[] = "\r\033[K";

	if (progress->shown && progress->drawn)
		put_line(clear, sizeof(clear) - 1);
	progress->drawn = false;
}
