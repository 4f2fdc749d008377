/* SPDX-License-Identifier: MIT */
/*
 * Keys and signatures of a test's own: in all but the arithmetic as ssh-keygen makes them. A
 * "signature" is a hash of the key and the message, and cert_verify is for service->verify.
 */
#ifndef PH_CERT_SUPPORT_H
#define PH_CERT_SUPPORT_H

#include "support.h"

#define CERT_KEY_BYTES 51u

/* Key number one, two, and so on: an ssh-ed25519 blob. */
void cert_key(uint8_t number, uint8_t out[CERT_KEY_BYTES]);
enum ph_status cert_verify(void *user, const uint8_t *key, size_t key_len, const uint8_t *signature,
                           size_t signature_len, const uint8_t *message, size_t message_len);
void cert_put_base64(struct ph_test_buf *out, const uint8_t *data, size_t len);
/* Appends the signature of a text by a key; claimed: the key that it says it is by. */
void cert_put_signature(struct ph_test_buf *out, const uint8_t *text, size_t len,
                        const char *name_space, uint8_t number, uint8_t claimed);
/* Where a text is within bytes; NULL when it is not. */
uint8_t *cert_find(const struct ph_test_buf *in, const char *text);

#endif
