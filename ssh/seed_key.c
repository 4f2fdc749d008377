/* SPDX-License-Identifier: MIT */
/*
 * An ed25519 host key out of its 32 secret bytes, in the form that OpenSSH writes
 * (PROTOCOL.key: openssh-key-v1). libssh reads that form, but has no call that makes the public
 * half from a seed; its arithmetic is called by its own names, which is why this file is only
 * compiled where libssh is compiled with us.
 */
#include <packhorse/ssh.h>

#include <libssh/ge25519.h>
#include <libssh/sc25519.h>
#include <mbedtls/base64.h>
#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>

#include <string.h>

#define TYPE "ssh-ed25519"
#define TYPE_BYTES 11u
#define KEY_BYTES 32u
#define BLOB_BYTES 256u
#define COLUMNS 70u
#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define END "-----END OPENSSH PRIVATE KEY-----\n"

struct blob {
	uint8_t data[BLOB_BYTES];
	size_t len;
};

/* Everything that is put has a fixed size, so that there is room. */
static void put(struct blob *blob, const void *data, size_t len)
{
	memcpy(blob->data + blob->len, data, len);
	blob->len += len;
}

static void put_number(struct blob *blob, size_t number)
{
	const uint8_t bytes[4] = {0, 0, 0, (uint8_t)number};
	put(blob, bytes, sizeof(bytes));
}

static void put_string(struct blob *blob, const void *data, size_t len)
{
	put_number(blob, len);
	put(blob, data, len);
}

/* RFC 8032, 5.1.5. */
static bool make_public(uint8_t public[KEY_BYTES], const uint8_t *seed)
{
	uint8_t hash[64];
	sc25519 scalar;
	ge25519 point;

	if (mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA512), seed, KEY_BYTES, hash) != 0)
		return false;
	hash[0] &= 248;
	hash[31] &= 127;
	hash[31] |= 64;
	sc25519_from32bytes(&scalar, hash);
	ge25519_scalarmult_base(&point, &scalar);
	ge25519_pack(public, &point);
	mbedtls_platform_zeroize(hash, sizeof(hash));
	mbedtls_platform_zeroize(&scalar, sizeof(scalar));
	return true;
}

static void put_key(struct blob *blob, const uint8_t *seed, const uint8_t *public)
{
	static const uint8_t padding[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct blob secret = {{0}, 0};

	put(blob, "openssh-key-v1", 15);
	put_string(blob, "none", 4); /* cipher */
	put_string(blob, "none", 4); /* key derivation */
	put_number(blob, 0);
	put_number(blob, 1); /* keys */
	put_number(blob, 4 + TYPE_BYTES + 4 + KEY_BYTES);
	put_string(blob, TYPE, TYPE_BYTES);
	put_string(blob, public, KEY_BYTES);
	/* Two equal numbers tell who decrypts that the passphrase was right; there is none. */
	put_number(&secret, 0);
	put_number(&secret, 0);
	put_string(&secret, TYPE, TYPE_BYTES);
	put_string(&secret, public, KEY_BYTES);
	put_number(&secret, 2 * KEY_BYTES);
	put(&secret, seed, KEY_BYTES);
	put(&secret, public, KEY_BYTES);
	put_number(&secret, 0); /* no comment */
	put(&secret, padding, (8 - secret.len % 8) % 8);
	put_string(blob, secret.data, secret.len);
	mbedtls_platform_zeroize(&secret, sizeof(secret));
}

static enum ph_status put_pem(const struct blob *blob, char *buf, size_t *len)
{
	uint8_t text[2 * BLOB_BYTES];
	size_t text_len, at = 0;

	if (mbedtls_base64_encode(text, sizeof(text), &text_len, blob->data, blob->len) != 0 ||
	    text_len + text_len / COLUMNS + 1 + sizeof(BEGIN) + sizeof(END) > *len)
		return PH_ERR_LIMIT;
	memcpy(buf, BEGIN, sizeof(BEGIN) - 1);
	at = sizeof(BEGIN) - 1;
	for (size_t i = 0; i < text_len; i += COLUMNS) {
		size_t n = text_len - i < COLUMNS ? text_len - i : COLUMNS;

		memcpy(buf + at, text + i, n);
		at += n;
		buf[at++] = '\n';
	}
	memcpy(buf + at, END, sizeof(END));
	*len = at + sizeof(END) - 1;
	mbedtls_platform_zeroize(text, sizeof(text));
	return PH_OK;
}

enum ph_status ph_ssh_host_key_from_seed(const uint8_t seed[32], char *buf, size_t *len)
{
	struct blob blob = {{0}, 0};
	uint8_t public[KEY_BYTES];

	if (!make_public(public, seed))
		return PH_ERR_NOMEM;
	put_key(&blob, seed, public);
	enum ph_status status = put_pem(&blob, buf, len);
	mbedtls_platform_zeroize(&blob, sizeof(blob));
	return status;
}
