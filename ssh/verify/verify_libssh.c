/* SPDX-License-Identifier: MIT */
/*
 * Ed25519 (RFC 8032) by what libssh brings along for its own keys, where it is compiled with us: no
 * second implementation has to fit into the image. It wants the message behind the signature, and
 * room for a copy; and it leaves one check to us, that the number in a signature is reduced.
 */
#include "verify_int.h"

#include <libssh/ed25519.h>

#include <string.h>

/* SSHSIG signs a few hashes and names, a security key 101 bytes. */
#define MESSAGE_BYTES_MAX 1024u

/* Whether the second half is below the order of the group: otherwise one signature makes another.
 */
static bool is_reduced(const uint8_t *s)
{
	/* 2^252 + 27742317777372353535851937790883648493, the last byte first. */
	static const uint8_t order[32] = {0x10, 0,    0,    0,    0,    0,    0,    0,
	                                  0,    0,    0,    0,    0,    0,    0,    0,
	                                  0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6,
	                                  0x58, 0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed};

	for (unsigned i = 0; i < 32; i++)
		if (s[31 - i] != order[i])
			return s[31 - i] < order[i];
	return false;
}

enum ph_status ph__verify_ed25519(const uint8_t *key, const uint8_t *signature,
                                  struct ph__piece message)
{
	uint8_t text[PH__ED25519_SIGNATURE_BYTES + MESSAGE_BYTES_MAX];
	uint8_t copy[PH__ED25519_SIGNATURE_BYTES + MESSAGE_BYTES_MAX];
	size_t len = PH__ED25519_SIGNATURE_BYTES + message.len;
	uint64_t copied;

	if (message.len > MESSAGE_BYTES_MAX)
		return PH_ERR_UNSUPPORTED;
	if (!is_reduced(signature + 32))
		return PH_ERR_DENIED;
	memcpy(text, signature, PH__ED25519_SIGNATURE_BYTES);
	memcpy(text + PH__ED25519_SIGNATURE_BYTES, message.data, message.len);
	return crypto_sign_ed25519_open(copy, &copied, text, len, key) == 0 ? PH_OK : PH_ERR_DENIED;
}
