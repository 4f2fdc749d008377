/* SPDX-License-Identifier: MIT */
/*
 * Ed25519 (RFC 8032) by libsodium, which refuses keys and signatures of small order and numbers
 * that are not reduced. Its check of signatures needs no setting up.
 */
#include "verify_int.h"

#include <sodium/crypto_sign_ed25519.h>

_Static_assert(PH__ED25519_KEY_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "keys");
_Static_assert(PH__ED25519_SIGNATURE_BYTES == crypto_sign_ed25519_BYTES, "signatures");

enum ph_status ph__verify_ed25519(const uint8_t *key, const uint8_t *signature,
                                  struct ph__piece message)
{
	return crypto_sign_ed25519_verify_detached(signature, message.data, message.len, key) == 0
	               ? PH_OK
	               : PH_ERR_DENIED;
}
