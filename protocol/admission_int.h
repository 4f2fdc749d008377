/* SPDX-License-Identifier: MIT */
/*
 * A session's claim on the memory that all share: claimed once, before heavy work, from the step
 * that is about to begin it. While it waits, a session keeps no empty buffers.
 */
#ifndef PACKHORSE_ADMISSION_INT_H
#define PACKHORSE_ADMISSION_INT_H

#include "session_int.h"

#include <packhorse/footprint.h>

struct ph__admission {
	struct ph_session *session;
	struct ph_claim claim;
	bool asked;
};

/* Part of the session; release gives the claim back. */
void ph__admission_init(struct ph__admission *admission, struct ph_session *session);
/*
 * PH_OK: go on. PH_PENDING: answer PH_STEP_WAIT and ask again in the next step, with the same
 * bytes; *first is set the first time, when the person at the other end is to be told.
 * PH_ERR_LIMIT: never.
 */
PH_MUST_CHECK enum ph_status ph__admission_ask(struct ph__admission *admission, uint64_t bytes,
                                               bool *first);
/* Whether a claim of so many bytes is one that ask may grant, be it later. */
bool ph__admission_fits(const struct ph__admission *admission, uint64_t bytes);
/* Gives the claim back, or leaves the queue. A new one may follow. */
void ph__admission_release(struct ph__admission *admission);

/* What the person is told: why it waits, or (after PH_ERR_LIMIT) why not. */
#define PH_ADMISSION_TEXT_BYTES 128u
const char *ph__admission_waits(const struct ph__admission *admission,
                                char text[PH_ADMISSION_TEXT_BYTES]);
const char *ph__admission_never(const struct ph__admission *admission, uint64_t bytes,
                                char text[PH_ADMISSION_TEXT_BYTES]);

/* What every session of a transfer takes: itself and its buffers. Input has the smaller one, which
 * a second one for output takes the place of. */
#define PH_ADMISSION_SESSION_BYTES (2 * PH_SESSION_OUT_BYTES + PH_SESSION_ERR_BYTES + 32u * 1024)
/*
 * What stands around a session: a snapshot and a transaction of its store with three open sections
 * of 64 KiB, and what the connection below holds of the transfer.
 */
#define PH_ADMISSION_OUTSIDE_BYTES (512u * 1024)

#endif
