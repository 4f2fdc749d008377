/* SPDX-License-Identifier: MIT */
/*
 * Packets into a session's output. Each call writes whole packets and asserts that they fit: before
 * a line, a state asks ph__out_ready, and answers PH_STEP_OUTPUT when it says no. Then it goes on
 * where it was when output has been taken.
 */
#ifndef PACKHORSE_OUT_INT_H
#define PACKHORSE_OUT_INT_H

#include "session_int.h"

#include <packhorse/oid.h>
#include <packhorse/pkt.h>

/* Room for any line that a service writes: two names of refs, two ids and a capability list. */
#define PH_OUT_LINE_BYTES 8192u

enum ph_band { PH_BAND_DATA = 1, PH_BAND_PROGRESS = 2, PH_BAND_ERROR = 3 };

/* Whether a line of PH_OUT_LINE_BYTES fits now. */
bool ph__out_ready(struct ph_session *session);

void ph__out_flush(struct ph_session *session); /* 0000 */
void ph__out_delim(struct ph_session *session); /* 0001 */
/*
 * A packet of these bytes, at most PH_OUT_LINE_BYTES with its length and band: packets and lines
 * carry the band byte session->line_band, when there is one (sideband-all).
 */
void ph__out_pkt(struct ph_session *session, const void *data, size_t len);
/* A formatted packet; the text itself is shorter than PH_OUT_LINE_BYTES - 5. Nothing is added. */
void ph__out_line(struct ph_session *session, const char *format, ...) PH_PRINTF(2, 3);
/*
 * "ERR text", or the text on band 3 where lines are banded, with control bytes of the text made
 * '?'. Cut to 1000 bytes, or 900.
 */
void ph__out_err(struct ph_session *session, const char *format, ...) PH_PRINTF(2, 3);

/*
 * Bytes on a band, in packets of at most payload_max (PH_BAND_PAYLOAD_MAX or _SMALL) bytes. Writes
 * what fits and returns how many bytes that were: 0 when output is full.
 */
size_t ph__out_band(struct ph_session *session, enum ph_band band, const void *data, size_t len,
                    size_t payload_max);
/* Formatted text on a band, all of it or (false) nothing. The text is below 900 bytes, else cut. */
bool ph__out_band_text(struct ph_session *session, enum ph_band band, const char *format, ...)
        PH_PRINTF(3, 4);
/* 0005 and the band: nothing, to keep a connection alive. */
void ph__out_band_empty(struct ph_session *session, enum ph_band band);

/*
 * To fill one packet of a band in place. _begin gives where its payload goes and how much fits
 * (*len, at most payload_max; NULL when less than least does); _end writes its header. Nothing is
 * written when len is 0.
 */
uint8_t *ph__out_band_begin(struct ph_session *session, size_t payload_max, size_t least,
                            size_t *len);
void ph__out_band_end(struct ph_session *session, enum ph_band band, size_t len);

/* ---- capabilities ---- */

/*
 * The value of an agent capability: bytes outside 33 to 126 become '.', cut to size - 1 bytes; ""
 * or NULL becomes "packhorse". Returns out.
 */
char *ph__agent_clean(char *out, size_t size, const char *agent);

#define PH_SESSION_ID_BYTES 33u
/*
 * An id of this session, in logs on both sides, as text; "" where there are no random bytes: one
 * that could be another session's is worse than none.
 */
void ph__session_id_draw(const struct ph_session *session, char out[PH_SESSION_ID_BYTES]);

#endif
