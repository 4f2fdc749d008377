/* SPDX-License-Identifier: MIT */
/*
 * Push options (gitprotocol-pack, "Push Options"): lines of the client's choice between commands
 * and pack, read only when it asked for the capability. They are a stranger's bytes and mean
 * nothing here: kept as they came, within limits, for policies, the log, and to be compared with
 * what a certificate has signed.
 */
#include "receive_int.h"

#include <stdio.h>
#include <string.h>

/* Lines read in one step. */
#define OPTIONS_AT_ONCE 64u
#define TEXT_BYTES 96u

static enum ph_step too_many(struct receive *r, const char *what, const char *limit, uint32_t max)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text), "too many %s (%s %lu)", what, limit, (unsigned long)max);
	return ph__receive_die(r, text);
}

static enum ph_status reserve(struct receive *r)
{
	struct receive_options *options = &r->options;
	uint32_t size = options->size ? 2 * options->size : 8;
	char **grown;

	if (options->count < options->size)
		return PH_OK;
	grown = ph_mem_resize(r->session.service.alloc, options->list, size, sizeof(*grown));
	if (!grown)
		return PH_ERR_NOMEM;
	options->list = grown;
	options->size = size;
	return PH_OK;
}

static enum ph_step take_option(struct receive *r, const char *text, size_t len)
{
	const struct ph_limits *limits = r->session.service.limits;
	struct receive_options *options = &r->options;
	char *copy;

	if (options->count >= limits->push_options_max)
		return too_many(r, "push options", "push_options_max", limits->push_options_max);
	if (len > limits->push_option_bytes_max)
		return too_many(r, "bytes in a push option", "push_option_bytes_max",
		                limits->push_option_bytes_max);
	/* Git would cut it there, and a signature would be about something else. */
	if (memchr(text, 0, len))
		return ph__receive_die(r, "protocol error: NUL byte in a push option");
	if (reserve(r) != PH_OK)
		return ph__receive_die_status(r, PH_ERR_NOMEM);
	copy = ph_mem_strdup(r->session.service.alloc, text, len);
	if (!copy)
		return ph__receive_die_status(r, PH_ERR_NOMEM);
	options->list[options->count++] = copy;
	return PH_STEP_AGAIN;
}

static enum ph_step take_packet(struct receive *r, struct ph_pkt *pkt)
{
	if (pkt->kind == PH_PKT_FLUSH) {
		r->phase = RECEIVE_CERT_CHECK;
		return PH_STEP_AGAIN;
	}
	if (pkt->kind != PH_PKT_DATA)
		return ph__receive_die(r, "protocol error: unexpected packet");
	if (ph_pkt_starts(pkt, "ERR ", NULL, NULL))
		return ph__receive_die(r, "the client reported an error");
	ph_pkt_chomp(pkt);
	return take_option(r, (const char *)pkt->data, pkt->len);
}

enum ph_step ph__receive_options(struct receive *r, uint32_t *budget)
{
	ph_budget_spend(budget, 1);
	for (uint32_t i = 0; i < OPTIONS_AT_ONCE && r->phase == RECEIVE_OPTIONS; i++) {
		size_t len, used;
		const uint8_t *data = ph__session_input(&r->session, &len);
		struct ph_pkt pkt;
		enum ph_status status = ph_pkt_parse(&pkt, &used, data, len);
		enum ph_step step;

		if (status == PH_AGAIN && r->session.eof)
			return ph__receive_die(r, "the client hung up unexpectedly");
		if (status == PH_AGAIN)
			return PH_STEP_INPUT;
		if (status != PH_OK)
			return ph__receive_die(r, "protocol error: bad packet length");
		step = take_packet(r, &pkt);
		ph__session_consume(&r->session, used);
		if (step != PH_STEP_AGAIN)
			return step;
	}
	return PH_STEP_AGAIN;
}

bool ph__receive_option_is(const struct receive *r, uint32_t number, const char *text, size_t len)
{
	return number < r->options.count && strlen(r->options.list[number]) == len &&
	       memcmp(r->options.list[number], text, len) == 0;
}

void ph__receive_options_release(struct receive *r)
{
	for (uint32_t i = 0; i < r->options.count; i++)
		ph_mem_free(r->session.service.alloc, r->options.list[i]);
	ph_mem_free(r->session.service.alloc, r->options.list);
	memset(&r->options, 0, sizeof(r->options));
}
