/* SPDX-License-Identifier: MIT */
/*
 * What a push certificate is worth: whose signature it has, whether that key may sign, whether it
 * was made for this session; and what of that the configuration insists on. A certificate is judged
 * before the pack is taken, so that a push that is refused for it costs nothing. One that is merely
 * doubtful hinders nobody unless the configuration says so, as in git: policies are told.
 */
#include "receive_int.h"

#include <stdio.h>
#include <string.h>

#define NAME_SPACE "git"
/* Hashed in one step. */
#define HASH_BYTES_AT_ONCE ((size_t)256 << 10)
/* Checking a signature takes about as long as hashing a megabyte. */
#define VERIFY_COST 256u

/* ---- the signature ---- */

static bool begins(const struct receive_cert *cert, const char *text)
{
	return cert->len - cert->payload >= strlen(text) &&
	       memcmp(cert->text + cert->payload, text, strlen(text)) == 0;
}

static enum ph_step begin(struct receive *r)
{
	struct receive_cert *cert = &r->cert;
	enum ph_status status;

	if (cert->payload == cert->len) {
		cert->says.status = 'N';
		cert->why = "it is not signed";
	} else if (!begins(cert, PH_SSHSIG_BEGIN)) {
		cert->says.status = 'E';
		cert->why = "only SSH signatures can be verified here (git config gpg.format ssh)";
	} else {
		status = ph_sshsig_parse(&cert->sig, cert->text + cert->payload,
		                         cert->len - cert->payload, r->session.service.alloc,
		                         &cert->why);
		if (status == PH_ERR_NOMEM)
			return ph__receive_die_status(r, status);
		cert->says.status = status == PH_OK ? 0 : 'B';
	}
	ph_hash_init_object(&cert->object, r->algo, PH_OBJ_BLOB, cert->len);
	ph_hash_init(&cert->message, PH_HASH_SHA256);
	ph_sha512_init(&cert->message512);
	cert->at = 0;
	cert->stage = CERT_HASH;
	return PH_STEP_AGAIN;
}

/* The text as an object, and what of it is signed. */
static enum ph_step hash(struct receive *r, uint32_t *budget)
{
	struct receive_cert *cert = &r->cert;
	size_t end = cert->at < cert->payload ? cert->payload : cert->len;
	size_t len = end - cert->at < HASH_BYTES_AT_ONCE ? end - cert->at : HASH_BYTES_AT_ONCE;
	const char *text = cert->text + cert->at;

	ph_hash_update(&cert->object, text, len);
	if (cert->sig.blob && cert->at < cert->payload) {
		if (cert->sig.sha512)
			ph_sha512_update(&cert->message512, text, len);
		else
			ph_hash_update(&cert->message, text, len);
	}
	cert->at += len;
	ph_budget_spend_bytes(budget, 2 * (uint64_t)len);
	if (cert->at == cert->len) {
		ph_hash_final(&cert->object, &cert->says.blob);
		cert->stage = CERT_JUDGE;
	}
	return PH_STEP_AGAIN;
}

static enum ph_status verify(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	struct receive_cert *cert = &r->cert;
	uint8_t digest[PH_SSHSIG_DIGEST_MAX], text[PH_SSHSIG_SIGNED_MAX];
	struct ph_oid sha256;
	size_t len;
	enum ph_status status;

	if (cert->sig.sha512) {
		ph_sha512_final(&cert->message512, digest);
	} else {
		ph_hash_final(&cert->message, &sha256);
		memcpy(digest, sha256.bytes, 32);
	}
	status = ph_sshsig_signed(&cert->sig, digest, text, &len);
	if (status != PH_OK)
		return PH_ERR_DENIED;
	if (!service->verify)
		return PH_ERR_UNSUPPORTED;
	return service->verify(service->verify_user, cert->sig.key, cert->sig.key_len,
	                       cert->sig.signature, cert->sig.signature_len, text, len);
}

static void doubt(struct receive_cert *cert, char status, const char *why)
{
	cert->says.status = status;
	cert->why = why;
}

/* ---- who signed ---- */

/* When the pusher says it was: "pusher NAME SECONDS ZONE". 0 when that is not told. */
static uint64_t signed_at(const struct receive_cert *cert)
{
	const char *value;
	size_t at = 0, len, start;
	uint64_t seconds = 0;

	if (!ph__receive_cert_header(cert, "pusher", &at, &value, &len))
		return 0;
	while (len > 0 && value[len - 1] != ' ')
		len--;
	if (len < 2)
		return 0;
	for (start = --len; start > 0 && value[start - 1] != ' ';)
		start--;
	for (; start < len; start++) {
		if (value[start] < '0' || value[start] > '9' || seconds > UINT64_MAX / 20)
			return 0;
		seconds = 10 * seconds + (uint64_t)(value[start] - '0');
	}
	return seconds;
}

static void set_signer(struct receive_cert *cert, const char *name, size_t len)
{
	if (len >= sizeof(cert->signer))
		len = sizeof(cert->signer) - 1;
	memcpy(cert->signer, name, len);
	cert->signer[len] = 0;
	cert->says.signer = cert->signer;
	cert->says.status = 'G';
}

static bool is_connections_key(const struct receive *r)
{
	const struct ph_service *service = &r->session.service;

	return service->key && service->key_len == r->cert.sig.key_len &&
	       memcmp(service->key, r->cert.sig.key, service->key_len) == 0;
}

/*
 * Looks for the key among the allowed signers. It has to be valid when the pusher says he signed,
 * and also now: the nonce says that it is the same time, and else whoever has got hold of a key
 * that is no longer valid would merely have to lie about the date. The verdicts are ssh-keygen's as
 * git asks it: a key is unknown outside its time, and bad for a purpose that is not its own.
 */
static void find_signer(struct receive *r)
{
	struct receive_cert *cert = &r->cert;
	const struct ph_config_list *list = &r->config.allowed_signers;
	uint64_t then = signed_at(cert), now = r->session.wall_s;
	bool known = false, purpose = false;

	for (uint32_t i = 0; i < list->count; i++) {
		struct ph_signer signer;
		const char *why, *name;
		size_t len;

		if (ph_signer_parse(&signer, list->items[i].text, &why) != PH_OK ||
		    !ph_signer_is(&signer, cert->sig.key, cert->sig.key_len))
			continue;
		known = true;
		if (!ph_signer_valid(&signer, then) || !ph_signer_valid(&signer, now))
			continue;
		purpose = purpose || !ph_signer_may(&signer, NAME_SPACE);
		if (!ph_signer_may(&signer, NAME_SPACE))
			continue;
		ph_signer_name(&signer, &name, &len);
		set_signer(cert, name, len);
		return;
	}
	if (purpose)
		doubt(cert, 'B', "its key may not sign pushes (gpg.ssh.allowedSigners)");
	else if (known)
		doubt(cert, 'U', "its key is not valid at this time (gpg.ssh.allowedSigners)");
	else
		doubt(cert, 'U', "its key is none of gpg.ssh.allowedSigners");
}

static void judge_key(struct receive *r)
{
	const char *identity = r->session.service.identity;
	struct receive_cert *cert = &r->cert;
	const struct ph_config_list *revoked = &r->config.revoked_keys;

	for (uint32_t i = 0; i < revoked->count; i++) {
		if (ph_key_line_is(revoked->items[i].text, cert->sig.key, cert->sig.key_len)) {
			cert->proven = false;
			doubt(cert, 'B', "its key is revoked (gpg.ssh.revokedKeys)");
			return;
		}
	}
	/* Who is let in by this key, and needs no second list to be known by. */
	if (r->config.cert_key_connection && r->config.allowed_signers.count == 0 && identity &&
	    is_connections_key(r))
		set_signer(cert, identity, strlen(identity));
	else
		find_signer(r);
}

static enum ph_status judge_signature(struct receive *r)
{
	struct receive_cert *cert = &r->cert;
	enum ph_status status;

	if (!cert->sig.blob)
		return PH_OK;
	ph_key_fingerprint(cert->key, cert->sig.key, cert->sig.key_len);
	cert->says.key = cert->key;
	status = verify(r);
	if (status == PH_ERR_NOMEM)
		return status;
	if (!ph_sshsig_is_for(&cert->sig, NAME_SPACE)) {
		doubt(cert, 'B', "its signature was made for another purpose than git");
	} else if (status == PH_ERR_UNSUPPORTED) {
		doubt(cert, 'E', "signatures of its kind cannot be verified here");
	} else if (status != PH_OK) {
		doubt(cert, 'B', "its signature is not of this text and key");
	} else {
		cert->proven = true;
		judge_key(r);
	}
	return PH_OK;
}

/* ---- the nonce ---- */

/* In a time that tells nothing about where the difference is. */
static bool same_nonce(const char *mine, const char *theirs, size_t len)
{
	unsigned differs = 0;

	if (strlen(mine) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)mine[i] ^ (unsigned char)theirs[i];
	return differs == 0;
}

static void judge_nonce(struct receive_cert *cert)
{
	const char *value;
	size_t at = 0, len;

	if (!ph__receive_cert_header(cert, "nonce", &at, &value, &len))
		cert->says.nonce_status = "MISSING";
	else if (!*cert->nonce)
		cert->says.nonce_status = "UNSOLICITED";
	else if (same_nonce(cert->nonce, value, len))
		cert->says.nonce_status = "OK";
	else
		cert->says.nonce_status = "BAD";
}

/* ---- what is insisted on ---- */

/* Whether just the push options were signed that came. */
static bool options_agree(const struct receive *r)
{
	const char *value;
	size_t at = 0, len;
	uint32_t seen = 0;

	while (ph__receive_cert_header(&r->cert, "push-option", &at, &value, &len))
		if (!ph__receive_option_is(r, seen++, value, len))
			return false;
	return seen == r->options.count;
}

/* Every command fails, and the pack is not waited for. */
static enum ph_step refuse(struct receive *r, const char *text, const char *detail)
{
	const struct ph_service *service = &r->session.service;

	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection, "%s: %s%s%s",
	            r->repo, text, detail ? ": " : "", detail ? detail : "");
	if (detail)
		ph__receive_say(r, "error: %s: %s", text, detail);
	ph__receive_fail_all(r, text);
	r->phase = RECEIVE_REPORT;
	return PH_STEP_AGAIN;
}

static enum ph_step next(struct receive *r)
{
	r->phase = RECEIVE_ADMIT;
	return PH_STEP_AGAIN;
}

static void log_verdict(const struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	const struct receive_cert *cert = &r->cert;
	char hex[PH_OID_HEX_MAX + 1];

	ph_log_line(service->log, PH_LOG_INFO, "receive-pack", service->connection,
	            "%s: push certificate %s is %c, nonce %s, key %s, signer %s%s%s", r->repo,
	            ph_oid_to_hex(hex, r->algo, &cert->says.blob), cert->says.status,
	            cert->says.nonce_status, *cert->key ? cert->key : "none",
	            *cert->signer ? cert->signer : "none", cert->why ? ": " : "",
	            cert->why ? cert->why : "");
}

static enum ph_step insist(struct receive *r)
{
	const struct receive_cert *cert = &r->cert;
	bool required = r->config.require_cert, bound = r->config.cert_key_connection;

	if (bound && cert->proven && !is_connections_key(r))
		return refuse(r, "push certificate of another key",
		              "it has to be signed by the key that opened the connection");
	if ((required && cert->says.status != 'G') || (bound && !cert->proven))
		return refuse(r, "push certificate not accepted", cert->why);
	if ((required || bound) && strcmp(cert->says.nonce_status, "OK") != 0)
		return refuse(r, "push certificate not accepted",
		              "it was not made for this session (nonce)");
	if (cert->why)
		ph__receive_say(r, "warning: push certificate: %s", cert->why);
	return next(r);
}

static enum ph_step judge(struct receive *r, uint32_t *budget)
{
	struct receive_cert *cert = &r->cert;
	enum ph_status status = judge_signature(r);

	ph_budget_spend(budget, VERIFY_COST);
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	judge_nonce(cert);
	log_verdict(r);
	cert->at = 0;
	cert->stage = CERT_STORE;
	/* It is to be kept under its id, and its text is the client's choice. */
	if (ph_hash_attacked(&cert->object))
		return refuse(r, ph_status_text(PH_ERR_COLLISION), "in the push certificate");
	r->policy.push.certificate = &cert->says;
	if (!options_agree(r))
		return refuse(r, "inconsistent push options", NULL);
	return insist(r);
}

enum ph_step ph__receive_cert_check(struct receive *r, uint32_t *budget)
{
	if (r->cert.len == 0 && r->config.require_cert)
		return refuse(r, "push certificate required",
		              "only signed pushes are taken here (git push --signed)");
	if (r->cert.len == 0)
		return next(r);
	if (r->cert.stage == CERT_BEGIN)
		return begin(r);
	if (r->cert.stage == CERT_HASH)
		return hash(r, budget);
	return judge(r, budget);
}
