/* SPDX-License-Identifier: MIT */
/*
 * The report: "unpack ok" or what was wrong with the pack, then a line for each command in the
 * order they came, then a flush. With a side-band all of it is cut into packets of band 1, whose
 * lengths are known beforehand because the report's is; so it is written line by line into what
 * output has room for, however many refs there are.
 */
#include "receive_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES_MAX (RECEIVE_NAME_BYTES_MAX + 256u)
#define BAND_HEADER_BYTES 5u

struct line {
	uint8_t bytes[LINE_BYTES_MAX];
	size_t len;
};

/* The name as the client gave it, for it looks for just that; control bytes were never valid. */
static size_t put_name(uint8_t *out, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : (uint8_t)name[i];
	return len;
}

static size_t put_text(uint8_t *out, const char *text)
{
	size_t len = strlen(text);

	memcpy(out, text, len);
	return len;
}

static size_t verdict_len(const struct receive *r, const struct receive_command *c)
{
	const char *error = receive_verdict(r, c);

	/* "ok name\n" or "ng name error\n", each behind four digits. */
	return 4 + 3 + strlen(receive_name(r, c)) + (error ? 1 + strlen(error) : 0) + 1;
}

static const char *unpack_text(const struct receive *r)
{
	return r->unpack_error ? r->unpack_error : "ok";
}

/* The report's line of this number: "unpack", the commands, the flush. */
static void make_line(const struct receive *r, uint32_t number, struct line *line)
{
	uint8_t *out = line->bytes + 4;
	size_t at = 0;

	if (number > r->count) {
		line->len = put_text(line->bytes, "0000");
		return;
	}
	if (number == 0) {
		at = put_text(out, "unpack ");
		at += put_text(out + at, unpack_text(r));
	} else {
		const struct receive_command *c = &r->commands[number - 1];
		const char *error = receive_verdict(r, c);

		at = put_text(out, error ? "ng " : "ok ");
		at += put_name(out + at, receive_name(r, c));
		if (error) {
			at += put_text(out + at, " ");
			at += put_text(out + at, error);
		}
		assert(at + 5 == verdict_len(r, c));
	}
	out[at++] = '\n';
	ph_pkt_header(line->bytes, at);
	line->len = at + 4;
	assert(line->len <= sizeof(line->bytes));
}

static void begin(struct receive *r)
{
	r->report_left = 4 + strlen("unpack \n") + strlen(unpack_text(r)) + 4;
	for (uint32_t i = 0; i < r->count; i++)
		r->report_left += verdict_len(r, &r->commands[i]);
	r->report_begun = true;
}

/* Begins a band packet, as large as it may be. */
static void begin_chunk(struct receive *r)
{
	uint8_t header[BAND_HEADER_BYTES];

	r->chunk_left = r->report_left < PH_BAND_PAYLOAD_MAX ? r->report_left : PH_BAND_PAYLOAD_MAX;
	if (!r->side_band) {
		r->chunk_left = r->report_left;
		return;
	}
	ph_pkt_header(header, 1 + r->chunk_left);
	header[4] = PH_BAND_DATA;
	ph__session_put(&r->session, PH_STREAM_OUT, header, sizeof(header));
}

/* Writes the rest of a line, or as much as goes into this packet. */
static void put_line(struct receive *r, const struct line *line)
{
	size_t len = line->len - r->line_at;

	if (len > r->chunk_left)
		len = r->chunk_left;
	ph__session_put(&r->session, PH_STREAM_OUT, line->bytes + r->line_at, len);
	r->chunk_left -= len;
	r->report_left -= len;
	r->line_at += len;
	if (r->line_at == line->len) {
		r->line_at = 0;
		r->report_at++;
	}
}

enum ph_step ph__receive_report(struct receive *r, uint32_t *budget)
{
	struct line line;

	if (r->report && !r->report_begun)
		begin(r);
	while (r->report_left) {
		if (!ph__out_ready(&r->session))
			return PH_STEP_OUTPUT;
		if (*budget == 0)
			return PH_STEP_AGAIN;
		if (r->chunk_left == 0)
			begin_chunk(r);
		make_line(r, r->report_at, &line);
		put_line(r, &line);
		ph_budget_spend(budget, r->report_at % 4 == 0);
	}
	if (!ph__out_ready(&r->session))
		return PH_STEP_OUTPUT;
	if (r->side_band)
		ph__out_flush(&r->session);
	r->phase = RECEIVE_DONE;
	return PH_STEP_AGAIN;
}
