/* SPDX-License-Identifier: MIT */
/*
 * A client of receive-pack in the same process: it gives a request, takes the answer, and either
 * waits for its wake, as a thread of its own, or leaves that to a loop.
 */
#include "store_bench.h"

#include <packhorse/pkt.h>
#include <packhorse/receive_pack.h>
#include <stdio.h>
#include <string.h>

#define BUDGET 1024u
#define CAPS "report-status agent=bench"

static void on_wake(void *user, struct ph_session *session)
{
	struct bench_client *client = user;

	(void)session;
	pthread_mutex_lock(&client->lock);
	client->woken = true;
	pthread_cond_signal(&client->ready);
	pthread_mutex_unlock(&client->lock);
}

void bench_client_init(struct bench_client *client, const struct ph_service *service)
{
	memset(client, 0, sizeof(*client));
	client->service = *service;
	client->service.wake = on_wake;
	client->service.wake_user = client;
	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->ready, NULL);
}

void bench_client_release(struct bench_client *client)
{
	ph_test_buf_release(&client->answer);
	pthread_cond_destroy(&client->ready);
	pthread_mutex_destroy(&client->lock);
}

void bench_client_begin(struct bench_client *client, const char *repo, const void *request,
                        size_t len)
{
	client->request = request;
	client->request_len = len;
	client->given = 0;
	client->woken = client->done = false;
	ph_test_buf_clear(&client->answer);
	bench_check(ph_receive_pack_new(&client->session, &client->service, repo, 0), repo);
}

static void take(struct bench_client *client)
{
	const uint8_t *data;
	size_t len;

	for (int stream = 0; stream < 2; stream++)
		while ((data = ph_session_output_buf(client->session, (enum ph_stream)stream,
		                                     &len)) &&
		       len) {
			ph_test_buf_append(&client->answer, data, len);
			ph_session_output_ack(client->session, (enum ph_stream)stream, len);
		}
}

static void give(struct bench_client *client)
{
	size_t room, left = client->request_len - client->given;
	uint8_t *to = ph_session_input_buf(client->session, &room);

	if (!to || room == 0)
		return;
	if (left == 0) {
		ph_session_input_eof(client->session);
		return;
	}
	room = room < left ? room : left;
	memcpy(to, client->request + client->given, room);
	ph_session_input_ack(client->session, room);
	client->given += room;
}

static bool was_woken(struct bench_client *client)
{
	pthread_mutex_lock(&client->lock);
	bool woken = client->woken;
	client->woken = false;
	pthread_mutex_unlock(&client->lock);
	return woken;
}

bool bench_client_step(struct bench_client *client)
{
	bool any = false;

	while (!client->done) {
		unsigned state = ph_session_state(client->session);

		take(client);
		client->done = (state & PH_DONE) != 0;
		if (state & PH_WANT_INPUT)
			give(client);
		if (client->done ||
		    (!(ph_session_state(client->session) & PH_WANT_RUN) && !was_woken(client)))
			break;
		client->now_ms = (uint64_t)(bench_wall_s() * 1000);
		ph_session_run(client->session, client->now_ms, 1700000000, BUDGET);
		any = true;
	}
	return any;
}

static bool told(const struct bench_client *client, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= client->answer.len; at++)
		if (memcmp(client->answer.data + at, text, len) == 0)
			return true;
	return false;
}

void bench_client_end(struct bench_client *client)
{
	if (!client->done || !told(client, "ok refs/"))
		bench_fail("a push was not taken: %.*s", (int)client->answer.len,
		           (const char *)client->answer.data);
	ph_session_free(client->session);
	client->session = NULL;
}

void bench_push(struct bench_client *client, const char *repo, const void *request, size_t len)
{
	bench_client_begin(client, repo, request, len);
	for (;;) {
		(void)bench_client_step(client);
		if (client->done)
			break;
		pthread_mutex_lock(&client->lock);
		while (!client->woken)
			pthread_cond_wait(&client->ready, &client->lock);
		pthread_mutex_unlock(&client->lock);
	}
	bench_client_end(client);
}

static void pkt(struct ph_test_buf *out, const void *data, size_t len)
{
	uint8_t header[4];

	ph_pkt_header(header, len);
	ph_test_buf_append(out, header, 4);
	ph_test_buf_append(out, data, len);
}

void bench_request(struct ph_test_buf *out, const char *old_hex, const char *new_hex,
                   const char *ref, const void *pack, size_t pack_len)
{
	struct ph_test_buf line = {0};

	ph_test_buf_print(&line, "%s %s %s", old_hex, new_hex, ref);
	ph_test_buf_append(&line, "\0 " CAPS, sizeof("\0 " CAPS) - 1);
	pkt(out, line.data, line.len);
	ph_test_buf_append(out, "0000", 4);
	ph_test_buf_append(out, pack, pack_len);
	ph_test_buf_release(&line);
}
