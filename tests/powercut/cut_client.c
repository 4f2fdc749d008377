/* SPDX-License-Identifier: MIT */
/*
 * Clients of the store: pushes, maintenance and owner commands as the sessions they are in a
 * server. Several run in slices that a seed chooses, and also while another one's commit writes and
 * flushes: as other threads would, but the same every time. So commits wait for each other and
 * share a flush.
 */
#include "cut.h"
#include "push_support.h"

#include <packhorse/admin.h>
#include <packhorse/maintenance.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 200000u
#define CAPS "report-status delete-refs ofs-delta object-format=sha1"

/* ---- requests ---- */

static void mark_had(const struct cut_world *w, const char *repo, uint8_t *marks)
{
	for (uint32_t i = 0; i < w->ref_count; i++)
		if (strcmp(w->refs[i].repo, repo) == 0)
			cut_mark(w, w->refs[i].commit, marks);
}

/* The packfile of what the changes need and clients were not told to be there. */
static void make_pack(const struct cut_world *w, struct cut_client *c)
{
	uint8_t *had = calloc(w->all.count + 1, 1), *want = calloc(w->all.count + 1, 1);
	struct ph_test_pack pack;
	bool any = false;

	if (!had || !want)
		abort();
	mark_had(w, c->repo, had);
	for (uint32_t i = 0; i < c->change_count; i++) {
		any = any || c->changes[i].new != CUT_NONE;
		cut_mark(w, c->changes[i].new, want);
	}
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	for (uint32_t i = 0; i < w->all.count; i++)
		if (want[i] && !had[i])
			ph_test_pack_add(&pack, w->all.entries[i].type, w->all.entries[i].data,
			                 w->all.entries[i].size);
	if (any)
		ph_test_packfile(&pack, &c->request);
	ph_test_pack_release(&pack);
	free(had);
	free(want);
}

static const char *oid_hex(const struct cut_world *w, uint32_t commit, char *hex)
{
	struct ph_oid zero = {{0}};

	return ph_oid_to_hex(hex, PH_HASH_SHA1,
	                     commit == CUT_NONE ? &zero
	                                        : &w->all.entries[w->commits[commit].commit].oid);
}

static void begin(struct cut_world *w, struct cut_client *c, const char *repo)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->repo, sizeof(c->repo), "%s", repo);
	c->stop = SIZE_MAX;
	if (w->client_count == CUT_CLIENTS_MAX)
		cut_fail(w, "too many clients");
	w->clients[w->client_count++] = c;
}

void cut_push_begin(struct cut_world *w, struct cut_client *c, const char *repo,
                    const struct cut_change *changes, uint32_t count, unsigned flags)
{
	const char *caps = flags & CUT_ATOMIC ? CAPS " atomic" : CAPS;

	begin(w, c, repo);
	memcpy(c->changes, changes, count * sizeof(*changes));
	c->change_count = count;
	for (uint32_t i = 0; i < count; i++) {
		char old[PH_OID_HEX_MAX + 1], new[PH_OID_HEX_MAX + 1];

		command(&c->request, oid_hex(w, changes[i].old, old),
		        oid_hex(w, changes[i].new, new), changes[i].name, i ? NULL : caps);
	}
	flush(&c->request);
	make_pack(w, c);
	if (ph_receive_pack_new(&c->session, &w->service, repo, 0) != PH_OK)
		abort();
}

void cut_maintain_begin(struct cut_world *w, struct cut_client *c, const char *repo)
{
	begin(w, c, repo);
	if (ph_maintenance_open(&c->session, &w->service, repo, PH_MAINTENANCE_WHOLE) != PH_OK)
		abort();
}

void cut_client_end(struct cut_client *c)
{
	ph_session_free(c->session);
	ph_test_buf_release(&c->request);
	ph_test_buf_release(&c->out);
	c->session = NULL;
}

/* ---- answers ---- */

static bool has_text(const struct cut_client *c, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= c->out.len; at++)
		if (memcmp(c->out.data + at, text, len) == 0)
			return true;
	return false;
}

/* The report has come: from now on what it says must be so. */
static void hear(struct cut_world *w, struct cut_client *c)
{
	if (c->told || !has_text(c, "unpack ok\n"))
		return;
	c->told = true;
	for (uint32_t i = 0; i < c->change_count; i++) {
		char line[CUT_REF_BYTES + 8];

		snprintf(line, sizeof(line), "ok %s\n", c->changes[i].name);
		if (!has_text(c, line))
			continue;
		c->granted++;
		if (w->live)
			cut_ref_set(w, c->repo, c->changes[i].name, c->changes[i].new);
	}
	if (c->granted)
		cut_acknowledge(w);
}

static bool take_output(struct cut_world *w, struct cut_client *c)
{
	bool moved = false;

	for (int stream = 0; stream < 2; stream++) {
		const uint8_t *data;
		size_t len;

		while ((data = ph_session_output_buf(c->session, (enum ph_stream)stream, &len)) &&
		       len) {
			ph_test_buf_append(&c->out, data, len);
			ph_session_output_ack(c->session, (enum ph_stream)stream, len);
			moved = true;
		}
	}
	if (moved)
		hear(w, c);
	return moved;
}

static bool give_input(struct cut_client *c)
{
	size_t end = c->stop < c->request.len ? c->stop : c->request.len, room;
	uint8_t *to;

	if (c->at == c->request.len) {
		if (c->ended)
			return false;
		ph_session_input_eof(c->session);
		c->ended = true;
		return true;
	}
	to = ph_session_input_buf(c->session, &room);
	if (!to || room == 0 || c->at >= end)
		return false;
	room = room < end - c->at ? room : end - c->at;
	memcpy(to, c->request.data + c->at, room);
	ph_session_input_ack(c->session, room);
	c->at += room;
	return true;
}

/* Whether it can go on now; who waits for the clock gets it. */
static bool can_run(struct cut_world *w, struct cut_client *c, unsigned state)
{
	uint64_t deadline;

	if ((state & PH_WANT_RUN) || c->woken)
		return true;
	if (!(state & PH_WAITING) || ph_session_busy(c->session))
		return false;
	deadline = ph_session_deadline(c->session);
	if (deadline == PH_NO_DEADLINE)
		return false;
	if (deadline > w->now_ms)
		w->now_ms = deadline;
	return true;
}

bool cut_client_step(struct cut_world *w, struct cut_client *c, uint32_t budget)
{
	bool moved;
	unsigned state;

	if (c->done || c->running)
		return false;
	c->running = true;
	moved = take_output(w, c);
	state = ph_session_state(c->session);
	if (state & PH_WANT_INPUT)
		moved = give_input(c) || moved;
	state = ph_session_state(c->session);
	if (!(state & PH_DONE) && can_run(w, c, state)) {
		c->woken = false;
		ph_session_run(c->session, ++w->now_ms, 1700000000, budget);
		cut_note(w);
		moved = true;
	}
	moved = take_output(w, c) || moved;
	if ((ph_session_state(c->session) & (PH_DONE | PH_HAVE_OUTPUT)) == PH_DONE) {
		c->done = true;
		c->exit_status = ph_session_exit_status(c->session);
		w->granted += c->granted > 0;
		w->refused += c->change_count > 0 && c->granted == 0;
	}
	c->running = false;
	return moved;
}

/* ---- at the same time ---- */

/* A write or flush is done and its caller not yet told: others go on meanwhile. */
static void meanwhile(void *user, enum sim_op op)
{
	struct cut_world *w = user;
	uint32_t steps;

	cut_note(w);
	if (w->depth > 0 || w->client_count < 2)
		return;
	w->depth++;
	steps = ph_test_rng_below(&w->rng, op == SIM_FLUSH ? 24 : 4);
	while (steps-- > 0)
		(void)cut_client_step(w, w->clients[ph_test_rng_below(&w->rng, w->client_count)],
		                      1 + ph_test_rng_below(&w->rng, 400));
	w->depth--;
}

static bool all_done(const struct cut_world *w)
{
	for (uint32_t i = 0; i < w->client_count; i++)
		if (!w->clients[i]->done)
			return false;
	return true;
}

static void run_all(struct cut_world *w)
{
	uint32_t idle = 0;

	w->sim->after = w->live ? meanwhile : NULL;
	w->sim->after_user = w;
	while (!all_done(w)) {
		struct cut_client *c = w->clients[ph_test_rng_below(&w->rng, w->client_count)];
		uint32_t budget = w->client_count > 1 ? 1 + ph_test_rng_below(&w->rng, 400) : 4096;

		idle = cut_client_step(w, c, budget) ? 0 : idle + 1;
		if (idle > STEPS_MAX / 100)
			cut_fail(w, "clients wait for each other");
	}
	w->sim->after = NULL;
	w->client_count = 0;
}

void cut_together(struct cut_world *w, struct cut_client *clients, uint32_t count)
{
	run_all(w);
	for (uint32_t i = 0; i < count; i++)
		cut_client_end(&clients[i]);
	cut_expect(w);
}

/* ---- one after the other ---- */

bool cut_push_many(struct cut_world *w, const char *repo, const struct cut_change *changes,
                   uint32_t count, unsigned flags)
{
	struct cut_client c;
	bool granted;

	cut_push_begin(w, &c, repo, changes, count, flags);
	run_all(w);
	granted = c.granted == count;
	cut_client_end(&c);
	return granted;
}

bool cut_push(struct cut_world *w, const char *repo, const char *name, uint32_t commit)
{
	struct cut_change change = {.old = cut_ref(w, repo, name), .new = commit};

	snprintf(change.name, sizeof(change.name), "%s", name);
	return cut_push_many(w, repo, &change, 1, 0);
}

int cut_maintain(struct cut_world *w, const char *repo)
{
	struct cut_client c;

	cut_maintain_begin(w, &c, repo);
	run_all(w);
	cut_client_end(&c);
	return c.exit_status;
}

int cut_admin(struct cut_world *w, const char *line)
{
	const char *argv[16];
	struct cut_client c;
	unsigned argc = 0;
	char text[256];

	snprintf(text, sizeof(text), "%s", line);
	for (char *at = text; *at && argc < 16; argc++) {
		argv[argc] = at;
		at += strcspn(at, " ");
		if (*at)
			*at++ = '\0';
	}
	begin(w, &c, "");
	if (ph_admin_new(&c.session, &w->service, argc, argv) != PH_OK)
		abort();
	run_all(w);
	if (c.exit_status == 0)
		cut_acknowledge(w);
	cut_client_end(&c);
	return c.exit_status;
}
