/* SPDX-License-Identifier: MIT */
/*
 * How far a tool is, on a terminal: one line on stderr that is drawn again and again, as git's
 * "Receiving objects:  42% (42/100), 1.20 MiB | 600 KiB/s". Nothing is written where stderr is no
 * terminal, or nobody wants to see it.
 *
 *   struct ph_progress progress;
 *   ph__progress_begin(&progress, quiet, "Copying blocks", total);
 *   for (...) { ...; ph__progress_at(&progress, done, bytes); }
 *   ph__progress_end(&progress);    or _clear, when it came to nothing
 */
#ifndef PACKHORSE_PROGRESS_H
#define PACKHORSE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ph_progress {
	const char *what; /* static; NULL: it has not begun */
	uint64_t total;   /* 0: not known, so there is no percentage */
	uint64_t done;
	uint64_t bytes; /* 0: none are shown */
	uint64_t begun_ms, drawn_ms;
	bool shown; /* somebody looks */
	bool drawn; /* the line is there */
};

/* Begins a line; one that is there is ended. Zeroed progress, or one used before. */
void ph__progress_begin(struct ph_progress *progress, bool quiet, const char *what, uint64_t total);
/* How much of total is done, and how many bytes that took. Cheap: it draws a few times a second. */
void ph__progress_at(struct ph_progress *progress, uint64_t done, uint64_t bytes);
/* Done: the line stays, with its last numbers. Nothing where none was begun. */
void ph__progress_end(struct ph_progress *progress);
/* Takes the line away: something else is to be printed, or it has failed. It may come again. */
void ph__progress_clear(struct ph_progress *progress);

/* A size for people, such as "1.20 MiB"; returns out. */
#define PH_SIZE_TEXT_BYTES 32u
const char *ph__size_text(char out[PH_SIZE_TEXT_BYTES], uint64_t bytes);

#endif
