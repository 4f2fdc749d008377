/* SPDX-License-Identifier: MIT */
/*
 * The first byte chooses what the rest is: armor of a signature, a line of allowed signers, a line
 * of a key, base64, or a key, a signature and a message to be verified. What is taken must lie
 * within what was given, and what was parsed must parse again.
 */
#include "support.h"

#include <packhorse/sshsig.h>
#include <packhorse/verify.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
	if (!truth)
		abort();
}

static bool within(const void *piece, size_t len, const void *whole, size_t whole_len)
{
	return (const uint8_t *)piece >= (const uint8_t *)whole && len <= whole_len &&
	       (size_t)((const uint8_t *)piece - (const uint8_t *)whole) <= whole_len - len;
}

static void armor(const char *text, size_t len)
{
	static const uint8_t digest[PH_SSHSIG_DIGEST_MAX];
	struct ph_test_alloc memory;
	uint8_t out[PH_SSHSIG_SIGNED_MAX];
	struct ph_sshsig sig;
	const char *why = NULL;
	size_t out_len;

	ph_test_alloc_init(&memory);
	if (ph_sshsig_parse(&sig, text, len, &memory.alloc, &why) != PH_OK) {
		require(why && memory.live == 0);
		return;
	}
	require(within(sig.key, sig.key_len, sig.blob, len));
	require(within(sig.signature, sig.signature_len, sig.blob, len));
	if (ph_sshsig_signed(&sig, digest, out, &out_len) == PH_OK) {
		enum ph_status status = ph_key_verify(NULL, sig.key, sig.key_len, sig.signature,
		                                      sig.signature_len, out, out_len);

		require(status == PH_ERR_DENIED || status == PH_ERR_UNSUPPORTED);
	}
	ph_mem_free(&memory.alloc, sig.blob);
	require(memory.live == 0);
}

static void signer_line(const char *line)
{
	struct ph_signer signer;
	const char *why = NULL, *name;
	uint8_t key[8192];
	size_t len = sizeof(key);

	if (ph_signer_parse(&signer, line, &why) != PH_OK) {
		require(why != NULL);
		return;
	}
	require(within(signer.principals, signer.principals_len, line, strlen(line)));
	require(within(signer.key, signer.key_len, line, strlen(line)));
	require(ph_base64_decode(key, &len, signer.key, signer.key_len) == PH_OK);
	require(ph_signer_is(&signer, key, len));
	key[len / 2] ^= 1;
	require(!ph_signer_is(&signer, key, len));
	ph_signer_name(&signer, &name, &len);
	require(len == 0 || within(name, len, line, strlen(line)));
	ph_signer_may(&signer, "git");
	ph_signer_valid(&signer, 1700000000);
}

static void key_line(const char *line)
{
	static const uint8_t key[51];
	const char *why = NULL;

	require(ph_key_line_check(line, &why) == PH_OK || why);
	ph_key_line_is(line, key, sizeof(key));
}

static void base64(const char *text, size_t len)
{
	uint8_t out[256];
	size_t out_len = sizeof(out);

	if (ph_base64_decode(out, &out_len, text, len) == PH_OK)
		require(out_len <= sizeof(out) && out_len <= len / 4 * 3);
}

/* Two bytes of lengths, then key and signature and message. */
static void verify(const uint8_t *data, size_t size)
{
	size_t key_len, signature_len;

	if (size < 3)
		return;
	key_len = data[0] * (size_t)2;
	signature_len = data[1] * (size_t)2;
	data += 2;
	size -= 2;
	if (key_len > size)
		key_len = size;
	if (signature_len > size - key_len)
		signature_len = size - key_len;
	require(ph_key_verify(NULL, data, key_len, data + key_len, signature_len,
	                      data + key_len + signature_len,
	                      size - key_len - signature_len) <= PH_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line;

	if (size == 0)
		return 0;
	line = malloc(size);
	if (!line)
		abort();
	memcpy(line, data + 1, size - 1);
	line[size - 1] = 0;
	if (*data % 5 == 0)
		armor(line, size - 1);
	else if (*data % 5 == 1)
		signer_line(line);
	else if (*data % 5 == 2)
		key_line(line);
	else if (*data % 5 == 3)
		base64(line, size - 1);
	else
		verify(data + 1, size - 1);
	free(line);
	return 0;
}
