/* SPDX-License-Identifier: MIT */
/*
 * Signatures of SSH keys, checked: what service->verify asks for. Ed25519, ECDSA on the three NIST
 * curves, RSA with SHA-2, and the two kinds that live in security keys. A library of its own, which
 * knows nothing of connections.
 */
#ifndef PACKHORSE_VERIFY_H
#define PACKHORSE_VERIFY_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Whether signature (RFC 4253: string algorithm, string blob) is key's over message. user is not
 * looked at. PH_ERR_DENIED: it is not, or one of both is malformed; PH_ERR_UNSUPPORTED: a kind of
 * key or algorithm that is not known here, SHA-1 among them, or RSA below 2048 bits; PH_ERR_NOMEM.
 */
PH_MUST_CHECK PH_API enum ph_status ph_key_verify(void *user, const uint8_t *key, size_t key_len,
                                                  const uint8_t *signature, size_t signature_len,
                                                  const uint8_t *message, size_t message_len);

#ifdef __cplusplus
}
#endif
#endif
