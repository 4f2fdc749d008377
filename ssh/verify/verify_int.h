/* SPDX-License-Identifier: MIT */
/*
 * What the arithmetic of each kind of key answers; which library does it is a file's own matter.
 */
#ifndef PACKHORSE_VERIFY_INT_H
#define PACKHORSE_VERIFY_INT_H

#include <packhorse/verify.h>

#define PH__ED25519_KEY_BYTES 32u
#define PH__ED25519_SIGNATURE_BYTES 64u

/* A piece of a key, a signature or a message; RFC 4251 calls it string. */
struct ph__piece {
	const uint8_t *data;
	size_t len;
};

enum ph__verify_curve { PH__CURVE_P256, PH__CURVE_P384, PH__CURVE_P521 };

/* The sizes are those above. PH_OK, PH_ERR_DENIED, PH_ERR_UNSUPPORTED, PH_ERR_NOMEM. */
enum ph_status ph__verify_ed25519(const uint8_t *key, const uint8_t *signature,
                                  struct ph__piece message);
/* point is uncompressed; r and s are RFC 4251's mpints. */
enum ph_status ph__verify_ecdsa(enum ph__verify_curve curve, struct ph__piece point,
                                struct ph__piece r, struct ph__piece s, struct ph__piece message);
/* e and n are mpints; PKCS #1 v1.5 with SHA-512 or SHA-256. */
enum ph_status ph__verify_rsa(struct ph__piece e, struct ph__piece n, struct ph__piece signature,
                              bool sha512, struct ph__piece message);
/* SHA-256, for what security keys sign. */
enum ph_status ph__verify_sha256(struct ph__piece message, uint8_t out[32]);

#endif
