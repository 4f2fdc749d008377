/* SPDX-License-Identifier: MIT */
/*
 * A push certificate (gitprotocol-pack, "Push Certificate"): the commands of a push as a text that
 * the pusher has signed. receive_cert.c asks for one and reads it, receive_cert_check.c says what
 * it is worth, receive_cert_store.c keeps it with the push.
 */
#ifndef PACKHORSE_RECEIVE_CERT_INT_H
#define PACKHORSE_RECEIVE_CERT_INT_H

#include <packhorse/hash.h>
#include <packhorse/inflate.h>
#include <packhorse/policy.h>
#include <packhorse/sha512.h>
#include <packhorse/sshsig.h>

/* A time, "-", and a hash in hex. */
#define RECEIVE_NONCE_BYTES (20u + 1 + PH_OID_HEX_MAX + 1)
/* A principal as a log shows it. */
#define RECEIVE_SIGNER_BYTES 256u

enum receive_cert_stage { CERT_BEGIN, CERT_HASH, CERT_JUDGE, CERT_STORE };

struct receive_cert {
	char nonce[RECEIVE_NONCE_BYTES]; /* as advertised; "" when none was */
	char *text;                      /* as it came; lines end in LF */
	size_t len, size;
	uint32_t lines;
	bool open;      /* lines of it are coming */
	bool ended;     /* all of it is here */
	size_t body;    /* behind the headers; 0 until it is known */
	size_t payload; /* where the signature begins; what is before it is signed */
	size_t at;      /* of the work that is being done */

	enum receive_cert_stage stage;
	struct ph_sshsig sig;
	enum ph_status parsed; /* what became of parsing it */
	struct ph_hash message, object;
	struct ph_sha512 message512;

	struct ph_push_certificate says;
	bool proven;     /* the signature is the key's */
	const char *why; /* what speaks against it; NULL: nothing */
	char signer[RECEIVE_SIGNER_BYTES];
	char key[PH_FINGERPRINT_BYTES];

	/* Storing. */
	struct ph_deflate *deflate;
	struct ph_sink *run, *index;
	struct ph_hash trailer;
	uint32_t pack;
};

#endif
