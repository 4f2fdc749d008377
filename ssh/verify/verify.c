/* SPDX-License-Identifier: MIT */
/*
 * Takes keys and signatures apart (RFC 4253, 5656, 8332, 8709 and OpenSSH's PROTOCOL.u2f) and hands
 * the numbers to who can calculate. Both come from whoever pushes: what has a byte too few or too
 * many, or an algorithm that is not the key's own, is no signature.
 */
#include "verify_int.h"

#include <string.h>

/* What a security key signs: two hashes, a byte of flags, a counter of four. */
#define SK_MESSAGE_BYTES (32u + 1 + 4 + 32)

static bool take(struct ph__piece *in, struct ph__piece *out)
{
	uint32_t len;

	if (in->len < 4)
		return false;
	len = (uint32_t)in->data[0] << 24 | (uint32_t)in->data[1] << 16 |
	      (uint32_t)in->data[2] << 8 | in->data[3];
	if (len > in->len - 4)
		return false;
	out->data = in->data + 4;
	out->len = len;
	in->data += 4 + len;
	in->len -= 4 + len;
	return true;
}

static bool is(struct ph__piece piece, const char *text)
{
	return piece.len == strlen(text) && memcmp(piece.data, text, piece.len) == 0;
}

/* ---- security keys ---- */

/*
 * Turns what stands behind a security key's signature into the message that it signed: the
 * application's hash, flags and counter, the message's hash.
 */
static enum ph_status sk_message(struct ph__piece key, struct ph__piece tail,
                                 struct ph__piece message, uint8_t out[SK_MESSAGE_BYTES])
{
	struct ph__piece application;
	enum ph_status status;

	if (!take(&key, &application) || key.len != 0 || tail.len != 5)
		return PH_ERR_DENIED;
	status = ph__verify_sha256(application, out);
	memcpy(out + 32, tail.data, 5);
	return status == PH_OK ? ph__verify_sha256(message, out + 37) : status;
}

/* ---- kinds of keys ---- */

/* What one kind of key is called, and its signatures. */
struct kind {
	const char *type;
	const char *algorithm; /* NULL: more than one */
	enum ph_status (*verify)(const struct kind *kind, struct ph__piece key,
	                         struct ph__piece algorithm, struct ph__piece blob,
	                         struct ph__piece tail, struct ph__piece message);
	enum ph__verify_curve curve;
	const char *curve_name;
	bool security_key;
};

static enum ph_status verify_ed25519(const struct kind *kind, struct ph__piece key,
                                     struct ph__piece algorithm, struct ph__piece blob,
                                     struct ph__piece tail, struct ph__piece message)
{
	struct ph__piece point;
	uint8_t sk[SK_MESSAGE_BYTES];
	enum ph_status status = PH_OK;

	(void)algorithm;
	if (!take(&key, &point) || point.len != PH__ED25519_KEY_BYTES ||
	    blob.len != PH__ED25519_SIGNATURE_BYTES)
		return PH_ERR_DENIED;
	if (kind->security_key) {
		status = sk_message(key, tail, message, sk);
		message = (struct ph__piece){sk, sizeof(sk)};
	} else if (key.len != 0 || tail.len != 0) {
		return PH_ERR_DENIED;
	}
	return status == PH_OK ? ph__verify_ed25519(point.data, blob.data, message) : status;
}

static enum ph_status verify_ecdsa(const struct kind *kind, struct ph__piece key,
                                   struct ph__piece algorithm, struct ph__piece blob,
                                   struct ph__piece tail, struct ph__piece message)
{
	struct ph__piece curve, point, r, s;
	uint8_t sk[SK_MESSAGE_BYTES];
	enum ph_status status = PH_OK;

	(void)algorithm;
	if (!take(&key, &curve) || !is(curve, kind->curve_name) || !take(&key, &point) ||
	    !take(&blob, &r) || !take(&blob, &s) || blob.len != 0)
		return PH_ERR_DENIED;
	if (kind->security_key) {
		status = sk_message(key, tail, message, sk);
		message = (struct ph__piece){sk, sizeof(sk)};
	} else if (key.len != 0 || tail.len != 0) {
		return PH_ERR_DENIED;
	}
	return status == PH_OK ? ph__verify_ecdsa(kind->curve, point, r, s, message) : status;
}

static enum ph_status verify_rsa(const struct kind *kind, struct ph__piece key,
                                 struct ph__piece algorithm, struct ph__piece blob,
                                 struct ph__piece tail, struct ph__piece message)
{
	struct ph__piece e, n;
	bool sha512 = is(algorithm, "rsa-sha2-512");

	(void)kind;
	/* "ssh-rsa" is SHA-1. */
	if (!sha512 && !is(algorithm, "rsa-sha2-256"))
		return PH_ERR_UNSUPPORTED;
	if (!take(&key, &e) || !take(&key, &n) || key.len != 0 || tail.len != 0)
		return PH_ERR_DENIED;
	return ph__verify_rsa(e, n, blob, sha512, message);
}

static const struct kind kinds[] = {
        {.type = "ssh-ed25519", .algorithm = "ssh-ed25519", .verify = verify_ed25519},
        {.type = "ecdsa-sha2-nistp256",
         .algorithm = "ecdsa-sha2-nistp256",
         .verify = verify_ecdsa,
         .curve = PH__CURVE_P256,
         .curve_name = "nistp256"},
        {.type = "ecdsa-sha2-nistp384",
         .algorithm = "ecdsa-sha2-nistp384",
         .verify = verify_ecdsa,
         .curve = PH__CURVE_P384,
         .curve_name = "nistp384"},
        {.type = "ecdsa-sha2-nistp521",
         .algorithm = "ecdsa-sha2-nistp521",
         .verify = verify_ecdsa,
         .curve = PH__CURVE_P521,
         .curve_name = "nistp521"},
        {.type = "ssh-rsa", .verify = verify_rsa},
        {.type = "sk-ssh-ed25519@openssh.com",
         .algorithm = "sk-ssh-ed25519@openssh.com",
         .verify = verify_ed25519,
         .security_key = true},
        {.type = "sk-ecdsa-sha2-nistp256@openssh.com",
         .algorithm = "sk-ecdsa-sha2-nistp256@openssh.com",
         .verify = verify_ecdsa,
         .curve = PH__CURVE_P256,
         .curve_name = "nistp256",
         .security_key = true},
};

enum ph_status ph_key_verify(void *user, const uint8_t *key, size_t key_len,
                             const uint8_t *signature, size_t signature_len, const uint8_t *message,
                             size_t message_len)
{
	struct ph__piece of_key = {key, key_len}, rest = {signature, signature_len};
	struct ph__piece type, algorithm, blob;

	(void)user;
	if (!take(&of_key, &type) || !take(&rest, &algorithm) || !take(&rest, &blob))
		return PH_ERR_DENIED;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct kind *kind = &kinds[i];

		if (!is(type, kind->type))
			continue;
		if (kind->algorithm && !is(algorithm, kind->algorithm))
			return PH_ERR_DENIED;
		return kind->verify(kind, of_key, algorithm, blob, rest,
		                    (struct ph__piece){message, message_len});
	}
	return PH_ERR_UNSUPPORTED;
}
