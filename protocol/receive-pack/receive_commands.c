/* SPDX-License-Identifier: MIT */
/*
 * The commands of a push: old value, new value and name of each ref, up to the flush; the client's
 * capabilities behind the first. What is malformed ends the session, as in git; what is merely not
 * allowed is kept, to be reported. Later, names are looked up and sorted, so that two commands for
 * one ref are noticed whatever they call it.
 */
#include "receive_int.h"

#include <assert.h>
#include <string.h>

/* Commands read in one step. */
#define COMMANDS_AT_ONCE 256u
/* Of what a client says of itself. */
#define LOGGED_BYTES_MAX 128u
/* Units of the budget that moving one command in the sort costs: some dozen names compared. */
#define SIFT_COST 4u

#define MIXED "protocol error: got both push certificate and unsigned commands"

/* ---- the list ---- */

static enum ph_status names_reserve(struct receive *r, size_t len)
{
	size_t size = r->names_size;
	char *grown;

	if (len > r->session.service.limits->command_bytes_max - r->names_len)
		return PH_ERR_LIMIT;
	if (r->names_size - r->names_len >= len)
		return PH_OK;
	while (size - r->names_len < len)
		size = size ? 2 * size : 1024;
	grown = ph_mem_resize(r->session.service.alloc, r->names, size, 1);
	if (!grown)
		return PH_ERR_NOMEM;
	r->names = grown;
	r->names_size = size;
	return PH_OK;
}

enum ph_status ph__receive_name_add(struct receive *r, const char *name, size_t len, size_t *at)
{
	enum ph_status status = names_reserve(r, len + 1);

	if (status != PH_OK)
		return status;
	*at = r->names_len;
	memcpy(r->names + *at, name, len);
	r->names[*at + len] = 0;
	r->names_len += len + 1;
	return PH_OK;
}

static enum ph_status commands_reserve(struct receive *r)
{
	uint32_t size = r->commands_size ? 2 * r->commands_size : 8;
	struct receive_command *grown;

	if (r->count >= r->session.service.limits->commands_max)
		return PH_ERR_LIMIT;
	if (r->count < r->commands_size)
		return PH_OK;
	grown = ph_mem_resize(r->session.service.alloc, r->commands, size, sizeof(*grown));
	if (!grown)
		return PH_ERR_NOMEM;
	r->commands = grown;
	r->commands_size = size;
	return PH_OK;
}

/* ---- one line ---- */

/* Who the client says it is; escaped, since it may say anything. */
static void log_client(const struct receive *r, const char *caps, size_t len, const char *key)
{
	const struct ph_service *service = &r->session.service;
	const char *value;
	size_t value_len;

	if (!ph_caps_find(caps, len, key, &value, &value_len) || !value)
		return;
	ph_log_line(service->log, PH_LOG_DEBUG, "receive-pack", service->connection,
	            "%s: the client's %s %.*s", r->repo, key,
	            (int)(value_len < LOGGED_BYTES_MAX ? value_len : LOGGED_BYTES_MAX), value);
}

static void read_caps(struct receive *r, const char *caps, size_t len)
{
	static const char *const reports[] = {"report-status", "report-status-v2"};

	for (size_t i = 0; i < 2; i++)
		if (ph_caps_find(caps, len, reports[i], NULL, NULL))
			r->report = true;
	if (ph_caps_find(caps, len, "side-band-64k", NULL, NULL))
		r->side_band = true;
	if (ph_caps_find(caps, len, "quiet", NULL, NULL))
		r->quiet = true;
	/* What was not offered is not taken. */
	if (r->config.advertise_atomic && ph_caps_find(caps, len, "atomic", NULL, NULL))
		r->atomic = true;
	if (r->config.advertise_push_options && ph_caps_find(caps, len, "push-options", NULL, NULL))
		r->asks_options = true;
	log_client(r, caps, len, "agent");
	log_client(r, caps, len, "session-id");
}

/* The client's object format; it decides that of a new repository. */
static enum ph_status read_format(struct receive *r, const char *caps, size_t len)
{
	enum ph_hash_algo algo = PH_HASH_SHA1;
	const char *value;
	size_t value_len;
	enum ph_status status = PH_OK;

	if (ph_caps_find(caps, len, "object-format", &value, &value_len))
		status = ph_hash_from_name(&algo, value, value_len);
	if (status != PH_OK)
		return status;
	if (r->creates && r->count == 0)
		r->algo = algo;
	return algo == r->algo ? PH_OK : PH_ERR_UNSUPPORTED;
}

/* "old SP new SP name"; PH_ERR_INVALID for anything else. */
static enum ph_status parse_command(const struct receive *r, const char *line, size_t len,
                                    struct receive_command *out)
{
	size_t hex = ph_hash_hex(r->algo);

	if (len < 2 * hex + 3 || line[hex] != ' ' || line[2 * hex + 1] != ' ')
		return PH_ERR_INVALID;
	if (ph_oid_from_hex(&out->old_oid, r->algo, line, hex) != PH_OK)
		return PH_ERR_INVALID;
	return ph_oid_from_hex(&out->new_oid, r->algo, line + hex + 1, hex);
}

static void check_name(struct receive *r, struct receive_command *c)
{
	const struct ph_limits *limits = r->session.service.limits;
	const char *name = receive_name(r, c);
	size_t len = strlen(name);

	c->funny = c->deletes ? !ph_refname_deletable(name, len, limits)
	                      : !ph_refname_pushable(name, len, limits);
}

enum ph_step ph__receive_take_command(struct receive *r, const char *line, size_t len)
{
	const char *caps = memchr(line, 0, len);
	struct receive_command c = {.change = UINT32_MAX};
	size_t caps_len = 0, head;
	enum ph_status status;

	if (caps) {
		caps_len = len - (size_t)(caps - line) - 1;
		len = (size_t)(caps - line);
		read_caps(r, ++caps, caps_len);
	}
	if ((caps || (r->count == 0 && !r->cert.len)) &&
	    read_format(r, caps ? caps : "", caps_len) != PH_OK)
		return ph__receive_die(r, "unsupported object format");
	if (parse_command(r, line, len, &c) != PH_OK)
		return ph__receive_die(r, "protocol error: expected old, new, ref");
	head = 2 * ph_hash_hex(r->algo) + 2;
	if (len - head > RECEIVE_NAME_BYTES_MAX)
		return ph__receive_die(r, "ref name too long");
	status = commands_reserve(r);
	if (status == PH_OK)
		status = ph__receive_name_add(r, line + head, len - head, &c.name);
	if (status == PH_ERR_LIMIT)
		return ph__receive_die(r, "too many refs in one push");
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	c.target = c.name;
	c.deletes = ph_oid_is_zero(&c.new_oid);
	r->updates = r->updates || !c.deletes;
	check_name(r, &c);
	r->commands[r->count++] = c;
	return PH_STEP_AGAIN;
}

/* The boundary of a shallow client. */
static enum ph_step take_shallow(struct receive *r, const char *hex, size_t len)
{
	enum ph_hash_algo algo = r->algo;
	struct ph_oid oid;
	enum ph_status status;

	/* These lines come before the one that tells a new repository's format. */
	if (r->creates && r->count == 0 && len == ph_hash_hex(PH_HASH_SHA256))
		algo = PH_HASH_SHA256;
	if (ph_oid_from_hex(&oid, algo, hex, len) != PH_OK)
		return ph__receive_die(r, "protocol error: expected shallow id");
	status = ph__receive_shallow_add(r, &oid);
	if (status == PH_ERR_LIMIT)
		return ph__receive_die(r, "too many shallow lines");
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	return PH_STEP_AGAIN;
}

static bool is_push_cert(const char *line, size_t len)
{
	const char *caps = memchr(line, 0, len);

	return (caps ? (size_t)(caps - line) : len) == 9 && memcmp(line, "push-cert", 9) == 0;
}

/* What stands before a certificate, with the client's capabilities. */
static enum ph_step take_push_cert(struct receive *r, const char *line, size_t len)
{
	const char *caps = len > 9 ? line + 10 : "";
	size_t caps_len = len > 9 ? len - 10 : 0;

	if (r->count)
		return ph__receive_die(r, MIXED);
	read_caps(r, caps, caps_len);
	if (read_format(r, caps, caps_len) != PH_OK)
		return ph__receive_die(r, "unsupported object format");
	return ph__receive_cert_begin(r);
}

static enum ph_step take_line(struct receive *r, struct ph_pkt *pkt)
{
	const char *rest;
	size_t rest_len;

	if (ph_pkt_starts(pkt, "ERR ", NULL, NULL))
		return ph__receive_die(r, "the client reported an error");
	/* Signed as it is, with its end. */
	if (r->cert.open)
		return ph__receive_cert_line(r, (const char *)pkt->data, pkt->len);
	ph_pkt_chomp(pkt);
	if (ph_pkt_starts(pkt, "shallow ", &rest, &rest_len))
		return take_shallow(r, rest, rest_len);
	if (is_push_cert((const char *)pkt->data, pkt->len))
		return take_push_cert(r, (const char *)pkt->data, pkt->len);
	if (r->cert.len)
		return ph__receive_die(r, MIXED);
	return ph__receive_take_command(r, (const char *)pkt->data, pkt->len);
}

/* A push without commands has come to its end, without a word. */
enum ph_step ph__receive_commands_done(struct receive *r)
{
	r->spoke_at_ms = r->session.now_ms;
	r->phase = !r->count         ? RECEIVE_DONE
	           : r->asks_options ? RECEIVE_OPTIONS
	                             : RECEIVE_CERT_CHECK;
	return PH_STEP_AGAIN;
}

/* Also the end of a certificate that does not say where it ends, as git has it. */
static enum ph_step take_flush(struct receive *r)
{
	r->cert.open = false;
	if (!r->cert.len)
		return ph__receive_commands_done(r);
	r->phase = RECEIVE_CERT_READ;
	return PH_STEP_AGAIN;
}

/*
 * The client went away. One with a SHA-256 repository may have done so because it cannot read the
 * advertisement of a repository that could become either: git's own could not for years.
 */
static enum ph_step hung_up(struct receive *r)
{
	if (r->creates && r->count == 0)
		ph__session_error_line(
		        &r->session,
		        "hint: if yours is a SHA-256 repository, create it here first: "
		        "repo create NAME --object-format=sha256");
	return ph__receive_die(r, "the client hung up unexpectedly");
}

enum ph_step ph__receive_commands(struct receive *r, uint32_t *budget)
{
	for (uint32_t i = 0; i < COMMANDS_AT_ONCE && r->phase == RECEIVE_COMMANDS; i++) {
		size_t len, used;
		const uint8_t *data = ph__session_input(&r->session, &len);
		struct ph_pkt pkt;
		enum ph_status status = ph_pkt_parse(&pkt, &used, data, len);
		enum ph_step step = PH_STEP_AGAIN;

		if (status == PH_AGAIN && r->session.eof)
			return hung_up(r);
		if (status == PH_AGAIN)
			return PH_STEP_INPUT;
		if (status != PH_OK)
			return ph__receive_die(r, "protocol error: bad packet length");
		if (pkt.kind == PH_PKT_DATA)
			step = take_line(r, &pkt);
		else if (pkt.kind == PH_PKT_FLUSH)
			step = take_flush(r);
		else
			step = ph__receive_die(r, "protocol error: unexpected packet");
		ph__session_consume(&r->session, used);
		if (step != PH_STEP_AGAIN)
			return step;
		ph_budget_spend(budget, i % 16 == 15);
	}
	return PH_STEP_AGAIN;
}

/* ---- which ref each command changes ---- */

static void find_target(struct receive *r, struct receive_command *c)
{
	struct ph_ref ref;
	char target[PH_REF_NAME_MAX + 1];
	enum ph_status status;

	if (!receive_live(c) || c->funny || !r->snapshot)
		return;
	status = ph_snapshot_ref(r->snapshot, receive_name(r, c), &ref);
	if (status == PH_ERR_NOT_FOUND)
		return;
	if (status == PH_OK && *ref.target) {
		status = ph_snapshot_resolve(r->snapshot, ref.name, &ref, target);
		if (status == PH_ERR_LIMIT) {
			c->error = "broken symref";
			ph__receive_say(r, "error: refusing update to broken symref '%s'",
			                receive_name(r, c));
			return;
		}
		if (status == PH_OK || status == PH_ERR_NOT_FOUND)
			status = ph__receive_name_add(r, target, strlen(target), &c->target);
	}
	if (status != PH_OK)
		c->error = ph_status_text(status);
}

enum ph_step ph__receive_targets(struct receive *r, uint32_t *budget)
{
	while (r->at < r->count) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		find_target(r, &r->commands[r->at++]);
		ph_budget_spend(budget, 1);
	}
	r->order = ph_mem_zalloc(r->session.service.alloc, r->count, sizeof(*r->order));
	if (!r->order)
		return ph__receive_die_status(r, PH_ERR_NOMEM);
	for (uint32_t i = 0; i < r->count; i++)
		r->order[i] = i;
	r->heap = 0;
	r->at = r->count;
	r->phase = RECEIVE_SORT;
	return PH_STEP_AGAIN;
}

/* By target, then in the order they came. */
static bool sorts_before(const struct receive *r, uint32_t a, uint32_t b)
{
	int cmp = strcmp(receive_target(r, &r->commands[a]), receive_target(r, &r->commands[b]));

	return cmp < 0 || (cmp == 0 && a < b);
}

static void sift_down(struct receive *r, uint32_t root, uint32_t size)
{
	uint32_t *heap = r->order;

	for (;;) {
		uint32_t child = 2 * root + 1, moved = heap[root];

		if (child >= size)
			return;
		if (child + 1 < size && sorts_before(r, heap[child], heap[child + 1]))
			child++;
		if (!sorts_before(r, moved, heap[child]))
			return;
		heap[root] = heap[child];
		heap[child] = moved;
		root = child;
	}
}

/*
 * A heap sort, because it needs no recursion, no memory, no luck, and can stop after any step.
 * First heap counts up while the heap is built from its middle, then at counts down while the
 * largest goes to the end.
 */
enum ph_step ph__receive_sort(struct receive *r, uint32_t *budget)
{
	uint32_t middle = r->count / 2;

	while (r->heap < middle || r->at > 1) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		if (r->heap < middle) {
			sift_down(r, middle - 1 - r->heap++, r->count);
		} else {
			uint32_t largest = r->order[0];

			r->order[0] = r->order[--r->at];
			r->order[r->at] = largest;
			sift_down(r, 0, r->at);
		}
		ph_budget_spend(budget, SIFT_COST);
	}
	r->at = 0;
	r->phase = RECEIVE_CONNECT;
	return PH_STEP_AGAIN;
}

static bool same_change(const struct receive_command *a, const struct receive_command *b)
{
	return ph_oid_equal(&a->old_oid, &b->old_oid) && ph_oid_equal(&a->new_oid, &b->new_oid);
}

static const char inconsistent[] = "inconsistent aliased update";

/* Ids as git shortens them in a small repository. */
static void say_inconsistent(struct receive *r, const struct receive_command *a,
                             const struct receive_command *b)
{
	bool a_names = strcmp(receive_name(r, a), receive_target(r, a)) == 0;
	const struct receive_command *link = a_names ? b : a, *target = a_names ? a : b;
	char hex[4][PH_OID_HEX_MAX + 1];

	ph_oid_to_hex(hex[0], r->algo, &link->old_oid);
	ph_oid_to_hex(hex[1], r->algo, &link->new_oid);
	ph_oid_to_hex(hex[2], r->algo, &target->old_oid);
	ph_oid_to_hex(hex[3], r->algo, &target->new_oid);
	ph__receive_say(r,
	                "error: refusing inconsistent update between symref '%s' (%.7s..%.7s) and "
	                "its target '%s' (%.7s..%.7s)",
	                receive_name(r, link), hex[0], hex[1], receive_name(r, target), hex[2],
	                hex[3]);
}

/*
 * The first command for a ref and another one. Said twice under one name, the second fails. Said as
 * a symref and as what it names, they must agree, and then one of them is enough.
 */
static void check_pair(struct receive *r, struct receive_command *first,
                       struct receive_command *other)
{
	bool one_name = strcmp(receive_name(r, first), receive_name(r, other)) == 0;

	if (!receive_live(other))
		return;
	if (one_name) {
		other->error = "multiple updates for one ref";
		ph__receive_say(r, "error: multiple updates for ref '%s' not allowed",
		                receive_name(r, other));
	} else if (same_change(first, other)) {
		other->skip = true;
		other->leader = (uint32_t)(first - r->commands) + 1;
	} else {
		first->error = other->error = inconsistent;
		say_inconsistent(r, first, other);
	}
}

enum ph_step ph__receive_aliases(struct receive *r, uint32_t *budget)
{
	struct receive_command *first = NULL;

	/* at is the first of a group, so that a step can begin anywhere. */
	for (uint32_t i = r->at; i < r->count; i++) {
		struct receive_command *c = &r->commands[r->order[i]];
		bool same = first && strcmp(receive_target(r, first), receive_target(r, c)) == 0;

		if (!same && *budget == 0) {
			r->at = i;
			return PH_STEP_AGAIN;
		}
		if (same && !first->error)
			check_pair(r, first, c);
		else if (same && first->error == inconsistent && receive_live(c))
			c->error = inconsistent;
		else if (!same || receive_live(c))
			first = c;
		ph_budget_spend(budget, 1);
	}
	ph_mem_free(r->session.service.alloc, r->order);
	r->order = NULL;
	r->at = 0;
	r->phase = RECEIVE_PRE_RECEIVE;
	return PH_STEP_AGAIN;
}
