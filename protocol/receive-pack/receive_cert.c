/* SPDX-License-Identifier: MIT */
/*
 * Asking for a push certificate, and reading it. The nonce is a time and a keyed hash of it and the
 * repository's name, so that a certificate made for another session is known for one. The lines of
 * a certificate are kept byte by byte, since a signature is over them; its commands are read from
 * there and nowhere else.
 */
#include "receive_int.h"

#include <stdio.h>
#include <string.h>

/* Lines looked at in one step. */
#define LINES_AT_ONCE 256u
#define ERROR_BYTES 128u
#define HMAC_BLOCK_BYTES 64u
#define SEED_BYTES 32u

/* ---- the nonce ---- */

/* HMAC (RFC 2104) with the repository's hash. */
static void hmac(enum ph_hash_algo algo, const char *key, size_t key_len, const char *text,
                 struct ph_oid *out)
{
	uint8_t pad[HMAC_BLOCK_BYTES] = {0};
	struct ph_hash hash;
	struct ph_oid oid;

	if (key_len > sizeof(pad)) {
		ph_hash_init(&hash, algo);
		ph_hash_update(&hash, key, key_len);
		ph_hash_final(&hash, &oid);
		memcpy(pad, oid.bytes, ph_hash_bytes(algo));
	} else {
		memcpy(pad, key, key_len);
	}
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	ph_hash_init(&hash, algo);
	ph_hash_update(&hash, pad, sizeof(pad));
	ph_hash_update(&hash, text, strlen(text));
	ph_hash_final(&hash, &oid);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	ph_hash_init(&hash, algo);
	ph_hash_update(&hash, pad, sizeof(pad));
	ph_hash_update(&hash, oid.bytes, ph_hash_bytes(algo));
	ph_hash_final(&hash, out);
}

/*
 * Who wants certificates and gave no seed gets one that nobody knows: a nonce has to be good for
 * this session alone.
 */
enum ph_status ph__receive_cert_offer(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	const char *seed = r->config.cert_nonce_seed;
	char made[SEED_BYTES], text[PH_REPO_NAME_MAX + 32], hex[PH_OID_HEX_MAX + 1];
	size_t seed_len = seed ? strlen(seed) : sizeof(made);
	unsigned long long now = r->session.wall_s;
	struct ph_oid mac;
	enum ph_status status = PH_OK;

	if (!seed && !r->config.require_cert && !r->config.cert_key_connection)
		return PH_OK;
	if (!seed)
		status = service->random ? service->random(service->random_user, made, sizeof(made))
		                         : PH_ERR_UNSUPPORTED;
	if (status != PH_OK)
		return status;
	snprintf(text, sizeof(text), "%s:%llu", r->repo, now);
	hmac(r->algo, seed ? seed : made, seed_len, text, &mac);
	snprintf(r->cert.nonce, sizeof(r->cert.nonce), "%llu-%s", now,
	         ph_oid_to_hex(hex, r->algo, &mac));
	return PH_OK;
}

/* ---- reading ---- */

static enum ph_step too_large(struct receive *r, const char *limit, uint64_t max)
{
	char text[ERROR_BYTES];

	snprintf(text, sizeof(text), "push certificate too large (%s %llu)", limit,
	         (unsigned long long)max);
	return ph__receive_die(r, text);
}

enum ph_step ph__receive_cert_begin(struct receive *r)
{
	if (r->cert.len)
		return ph__receive_die(r, "protocol error: got two push certificates");
	r->cert.open = true;
	r->cert.ended = false;
	return PH_STEP_AGAIN;
}

static enum ph_status reserve(struct receive *r, size_t len)
{
	struct receive_cert *cert = &r->cert;
	size_t size = cert->size ? cert->size : 1024;
	char *grown;

	while (size - cert->len < len)
		size *= 2;
	if (size == cert->size)
		return PH_OK;
	grown = ph_mem_resize(r->session.service.alloc, cert->text, size, 1);
	if (!grown)
		return PH_ERR_NOMEM;
	cert->text = grown;
	cert->size = size;
	return PH_OK;
}

static bool is_line(const char *line, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(line, text, len) == 0;
}

enum ph_step ph__receive_cert_line(struct receive *r, const char *line, size_t len)
{
	const struct ph_limits *limits = r->session.service.limits;
	struct receive_cert *cert = &r->cert;

	if (is_line(line, len, "push-cert-end\n") || is_line(line, len, "push-cert-end")) {
		cert->open = false;
		cert->ended = true;
		return PH_STEP_AGAIN;
	}
	if (cert->lines++ >= limits->certificate_lines_max)
		return too_large(r, "certificate_lines_max", limits->certificate_lines_max);
	if (len > limits->certificate_bytes_max - cert->len)
		return too_large(r, "certificate_bytes_max", limits->certificate_bytes_max);
	/* Git would cut the line there, and keep another text than what was signed. */
	if (memchr(line, 0, len))
		return ph__receive_die(r, "protocol error: NUL byte in a push certificate");
	if (reserve(r, len) != PH_OK)
		return ph__receive_die_status(r, PH_ERR_NOMEM);
	memcpy(cert->text + cert->len, line, len);
	cert->len += len;
	return PH_STEP_AGAIN;
}

/* ---- its commands ---- */

static size_t line_len(const struct receive_cert *cert, size_t at)
{
	const char *end = memchr(cert->text + at, '\n', cert->len - at);

	return end ? (size_t)(end - cert->text) - at : cert->len - at;
}

/* The first line of any signature that git knows. */
static bool begins_signature(const char *line, size_t len)
{
	static const char *const begins[] = {PH_SSHSIG_BEGIN, "-----BEGIN PGP SIGNATURE-----",
	                                     "-----BEGIN PGP MESSAGE-----",
	                                     "-----BEGIN SIGNED MESSAGE-----"};

	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++)
		if (len >= strlen(begins[i]) && memcmp(line, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

/*
 * Goes over the lines: headers, an empty one, commands, up to the signature or the end. Commands
 * are taken as if they had come alone.
 */
enum ph_step ph__receive_cert_read(struct receive *r, uint32_t *budget)
{
	struct receive_cert *cert = &r->cert;

	for (uint32_t i = 0; i < LINES_AT_ONCE && cert->at < cert->len; i++) {
		const char *line = cert->text + cert->at;
		size_t len = line_len(cert, cert->at);
		enum ph_step step = PH_STEP_AGAIN;

		if (begins_signature(line, len))
			break;
		cert->at += len + (cert->at + len < cert->len);
		if (cert->body)
			step = ph__receive_take_command(r, line, len);
		else if (len == 0)
			cert->body = cert->at;
		if (step != PH_STEP_AGAIN)
			return step;
		ph_budget_spend(budget, i % 16 == 15);
	}
	cert->payload = cert->at;
	if (cert->at < cert->len &&
	    !begins_signature(cert->text + cert->at, line_len(cert, cert->at)))
		return PH_STEP_AGAIN;
	if (!cert->body)
		return ph__receive_die(r, "malformed push certificate");
	cert->at = 0;
	return ph__receive_commands_done(r);
}

/* ---- its headers ---- */

bool ph__receive_cert_header(const struct receive_cert *cert, const char *name, size_t *at,
                             const char **value, size_t *len)
{
	size_t name_len = strlen(name);

	while (*at < cert->body) {
		const char *line = cert->text + *at;
		size_t this_len = line_len(cert, *at);

		*at += this_len + 1;
		if (this_len <= name_len || memcmp(line, name, name_len) != 0 ||
		    line[name_len] != ' ')
			continue;
		*value = line + name_len + 1;
		*len = this_len - name_len - 1;
		return true;
	}
	return false;
}

void ph__receive_cert_release(struct receive *r)
{
	const struct ph_alloc *alloc = r->session.service.alloc;

	ph_mem_free(alloc, r->cert.text);
	ph_mem_free(alloc, r->cert.sig.blob);
	ph_deflate_free(r->cert.deflate);
	r->cert.text = NULL;
	r->cert.sig.blob = NULL;
	r->cert.deflate = NULL;
}
