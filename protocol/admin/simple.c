/* SPDX-License-Identifier: MIT */
/*
 * Sessions that need no repository: the greeting of a connection without a command, refusals, and
 * an echo. Refusals are sessions so that every transport ends them as it ends any other, with a
 * status that the client's program understands.
 */
#include "out_int.h"
#include "session_int.h"

#include <packhorse/admin.h>

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 256u

struct simple {
	struct ph_session session; /* first */
	char text[TEXT_BYTES];
	bool git_client;
	int exit_status;
};

static enum ph_status simple_new(struct simple **out, const struct ph_session_ops *ops,
                                 const struct ph_service *service)
{
	struct simple *simple = ph_mem_zalloc(service->alloc, 1, sizeof(*simple));
	enum ph_status status;

	if (!simple)
		return PH_ERR_NOMEM;
	status = ph__session_init(&simple->session, ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, simple);
		return status;
	}
	*out = simple;
	return PH_OK;
}

static void simple_free(struct ph_session *session)
{
	ph__session_release(session);
}

/* ---- greeting ---- */

static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static enum ph_step greet(struct ph_session *session, uint32_t *budget)
{
	const char *who = session->service.identity;
	char name[128], text[TEXT_BYTES];

	(void)budget;
	if (!ph__out_ready(session))
		return PH_STEP_OUTPUT;
	snprintf(name, sizeof(name), "%s", who && *who ? who : "there");
	clean(name);
	snprintf(text, sizeof(text),
	         "Hi %s! This is a Git server: there is no shell here.\n"
	         "Commands: help\n",
	         name);
	ph__session_put(session, PH_STREAM_OUT, text, strlen(text));
	session->exit_status = 1;
	return PH_STEP_DONE;
}

enum ph_status ph_greeting_new(struct ph_session **out, const struct ph_service *service)
{
	static const struct ph_session_ops ops = {.step = greet, .free = simple_free};
	struct simple *simple;
	enum ph_status status = simple_new(&simple, &ops, service);

	if (status == PH_OK)
		*out = &simple->session;
	return status;
}

/* ---- refusal ---- */

static enum ph_step refuse(struct ph_session *session, uint32_t *budget)
{
	struct simple *simple = (struct simple *)session;

	(void)budget;
	if (!ph__out_ready(session))
		return PH_STEP_OUTPUT;
	/* The packet is what git shows; the line is for who runs something else. */
	if (simple->git_client)
		ph__out_err(session, "%s", simple->text);
	ph__session_error_line(session, "%s", simple->text);
	session->exit_status = simple->exit_status;
	return PH_STEP_DONE;
}

enum ph_status ph_refusal_new(struct ph_session **out, const struct ph_service *service,
                              bool git_client, int exit_status, const char *text)
{
	static const struct ph_session_ops ops = {.step = refuse, .free = simple_free};
	struct simple *simple;
	enum ph_status status = simple_new(&simple, &ops, service);

	if (status != PH_OK)
		return status;
	snprintf(simple->text, sizeof(simple->text), "%s", text);
	simple->git_client = git_client;
	simple->exit_status = exit_status;
	*out = &simple->session;
	return PH_OK;
}

/* ---- echo ---- */

static enum ph_step echo(struct ph_session *session, uint32_t *budget)
{
	size_t len, room = ph__session_room(session, PH_STREAM_OUT);
	const uint8_t *data = ph__session_input(session, &len);

	if (len == 0)
		return session->eof ? PH_STEP_DONE : PH_STEP_INPUT;
	if (room == 0)
		return PH_STEP_OUTPUT;
	if (len > room)
		len = room;
	ph__session_put(session, PH_STREAM_OUT, data, len);
	ph__session_consume(session, len);
	ph_budget_spend_bytes(budget, len);
	return PH_STEP_AGAIN;
}

enum ph_status ph_echo_new(struct ph_session **out, const struct ph_service *service)
{
	static const struct ph_session_ops ops = {.step = echo, .free = simple_free};
	struct simple *simple;
	enum ph_status status = simple_new(&simple, &ops, service);

	if (status == PH_OK)
		*out = &simple->session;
	return status;
}
