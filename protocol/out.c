/* SPDX-License-Identifier: MIT */
/*
 * Packets into a session's output buffer: lines, flush and delim, ERR, and the bands. Payloads of
 * the data band are filled in place, so a pack's bytes are written once between the store and the
 * transport.
 */
#include "out_int.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length digits and band byte in front of a band's payload. */
#define BAND_HEADER_BYTES 5u
#define ERR_TEXT_MAX 1000u
#define BAND_TEXT_MAX 900u

bool ph__out_ready(struct ph_session *session)
{
	return ph__session_room(session, PH_STREAM_OUT) >= PH_OUT_LINE_BYTES;
}

void ph__out_flush(struct ph_session *session)
{
	ph__session_put(session, PH_STREAM_OUT, "0000", 4);
}

void ph__out_delim(struct ph_session *session)
{
	ph__session_put(session, PH_STREAM_OUT, "0001", 4);
}

void ph__out_pkt(struct ph_session *session, const void *data, size_t len)
{
	size_t band = session->line_band != 0;
	uint8_t header[BAND_HEADER_BYTES] = {0, 0, 0, 0, session->line_band};

	assert(len <= PH_OUT_LINE_BYTES - BAND_HEADER_BYTES);
	ph_pkt_header(header, len + band);
	ph__session_put(session, PH_STREAM_OUT, header, 4 + band);
	ph__session_put(session, PH_STREAM_OUT, data, len);
}

void ph__out_line(struct ph_session *session, const char *format, ...)
{
	size_t room, header = 4u + (session->line_band != 0);
	uint8_t *out = ph__session_put_buf(session, PH_STREAM_OUT, &room);
	va_list args;
	int len;

	assert(out && room >= PH_OUT_LINE_BYTES);
	va_start(args, format);
	len = vsnprintf((char *)out + header, PH_OUT_LINE_BYTES - header, format, args);
	va_end(args);
	assert(len >= 0 && len < (int)(PH_OUT_LINE_BYTES - header));
	ph_pkt_header(out, (size_t)len + header - 4);
	if (session->line_band)
		out[4] = session->line_band;
	ph__session_put_done(session, PH_STREAM_OUT, (size_t)len + header);
}

void ph__out_err(struct ph_session *session, const char *format, ...)
{
	char text[ERR_TEXT_MAX + 1];
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = 0;
	va_end(args);
	/* Parts of the text may be a peer's; its bytes must not reach a terminal as commands. */
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	if (session->line_band)
		ph__out_band_text(session, PH_BAND_ERROR, "%s", text);
	else
		ph__out_line(session, "ERR %s", text);
}

size_t ph__out_band(struct ph_session *session, enum ph_band band, const void *data, size_t len,
                    size_t payload_max)
{
	const uint8_t *from = data;
	size_t done = 0;

	while (done < len) {
		size_t room;
		uint8_t *out = ph__out_band_begin(session, payload_max, 1, &room);

		if (!out)
			break;
		if (room > len - done)
			room = len - done;
		memcpy(out, from + done, room);
		ph__out_band_end(session, band, room);
		done += room;
	}
	return done;
}

bool ph__out_band_text(struct ph_session *session, enum ph_band band, const char *format, ...)
{
	char text[BAND_TEXT_MAX];
	size_t room;
	uint8_t *out = ph__out_band_begin(session, BAND_TEXT_MAX, BAND_TEXT_MAX, &room);
	va_list args;
	int len;

	if (!out)
		return false;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	if ((size_t)len >= sizeof(text))
		len = (int)sizeof(text) - 1;
	memcpy(out, text, (size_t)len);
	ph__out_band_end(session, band, (size_t)len);
	return true;
}

void ph__out_band_empty(struct ph_session *session, enum ph_band band)
{
	uint8_t packet[BAND_HEADER_BYTES];

	ph_pkt_header(packet, 1);
	packet[4] = (uint8_t)band;
	ph__session_put(session, PH_STREAM_OUT, packet, sizeof(packet));
}

uint8_t *ph__out_band_begin(struct ph_session *session, size_t payload_max, size_t least,
                            size_t *len)
{
	uint8_t *out = ph__session_put_buf(session, PH_STREAM_OUT, len);

	assert(least > 0 && payload_max <= PH_BAND_PAYLOAD_MAX);
	if (!out || *len < BAND_HEADER_BYTES + least)
		return NULL;
	*len -= BAND_HEADER_BYTES;
	if (*len > payload_max)
		*len = payload_max;
	return out + BAND_HEADER_BYTES;
}

void ph__out_band_end(struct ph_session *session, enum ph_band band, size_t len)
{
	size_t room;
	uint8_t *out = ph__session_put_buf(session, PH_STREAM_OUT, &room);

	assert(len <= PH_BAND_PAYLOAD_MAX && room >= len + BAND_HEADER_BYTES);
	if (len == 0)
		return;
	ph_pkt_header(out, len + 1);
	out[4] = (uint8_t)band;
	ph__session_put_done(session, PH_STREAM_OUT, len + BAND_HEADER_BYTES);
}

char *ph__agent_clean(char *out, size_t size, const char *agent)
{
	size_t at = 0;

	if (!agent || !*agent)
		agent = "packhorse";
	for (; agent[at] && at + 1 < size; at++)
		out[at] = agent[at] > 32 && agent[at] < 127 ? agent[at] : '.';
	out[at] = 0;
	return out;
}

void ph__session_id_draw(const struct ph_session *session, char out[PH_SESSION_ID_BYTES])
{
	const struct ph_service *service = &session->service;
	uint8_t drawn[(PH_SESSION_ID_BYTES - 1) / 2];

	*out = 0;
	if (!service->random ||
	    service->random(service->random_user, drawn, sizeof(drawn)) != PH_OK)
		return;
	for (size_t i = 0; i < sizeof(drawn); i++)
		snprintf(out + 2 * i, 3, "%02x", drawn[i]);
}
