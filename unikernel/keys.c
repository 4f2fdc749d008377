/* SPDX-License-Identifier: MIT */
/*
 * Whose machine this is: the host key, and the keys of those who may log in. The host key lives in
 * the store under the name that the daemon uses, so an image file keeps its fingerprint wherever it
 * is served. As with the daemon's file of keys, a key is an owner's unless its line says otherwise:
 * who wrote the arguments owns the machine.
 */
#include "image.h"

#include <mbedtls/base64.h>
#include <mbedtls/platform_util.h>

#include <stdio.h>
#include <string.h>

#define MODULE_BYTES_MAX (4u << 20)
#define SEED_BYTES 32u
#define PEM_BEGIN "-----BEGIN "
#define OPENSSH "OPENSSH PRIVATE KEY-----\n"
/* The magic of an OpenSSH private key in base64: a key without the lines around it. */
#define OPENSSH_BASE64 "b3BlbnNzaC1rZXktdjEA"

/* ---- the host key ---- */

static bool from_base64(void *out, size_t size, size_t *len, const char *text)
{
	return mbedtls_base64_decode(out, size, len, (const unsigned char *)text, strlen(text)) ==
	       0;
}

static const char *seed_key(char *pem, const char *text)
{
	uint8_t seed[SEED_BYTES];
	size_t len, pem_len = PH__HOST_KEY_BYTES;

	if (!from_base64(seed, sizeof(seed), &len, text) || len != SEED_BYTES)
		return "ed25519: takes 32 bytes in base64";
	if (ph_ssh_host_key_from_seed(seed, pem, &pem_len) != PH_OK)
		return "out of memory";
	mbedtls_platform_zeroize(seed, sizeof(seed));
	return NULL;
}

/* NULL, or why it is no key. Whether a text is one is found out when the server is made. */
static const char *given_key(char *pem, const char *text)
{
	size_t len = 0;

	if (strncmp(text, "ed25519:", 8) == 0)
		return seed_key(pem, text + 8);
	if (strncmp(text, "rsa:", 4) == 0)
		return "a seed for RSA means another key to every program; give ed25519:SEED";
	if (strncmp(text, OPENSSH_BASE64, sizeof(OPENSSH_BASE64) - 1) == 0) {
		int n = snprintf(pem, PH__HOST_KEY_BYTES,
		                 "-----BEGIN " OPENSSH "%s\n-----END " OPENSSH, text);
		return n > 0 && (size_t)n < PH__HOST_KEY_BYTES ? NULL : "it is too long";
	}
	if (!from_base64(pem, PH__HOST_KEY_BYTES - 1, &len, text))
		len = 0;
	pem[len] = '\0';
	return strncmp(pem, PEM_BEGIN, sizeof(PEM_BEGIN) - 1) == 0
	               ? NULL
	               : "it is neither ed25519:SEED nor an OpenSSH private key in base64";
}

enum ph__exit ph__keys_host(char pem[PH__HOST_KEY_BYTES], const struct ph__args *args,
                            struct ph_store *store)
{
	if (args->ssh_key) {
		const char *why = given_key(pem, args->ssh_key);

		if (why)
			ph__say(PH_LOG_ERROR, "--ssh-key cannot be used: %s", why);
		return why ? PH__EXIT_KEY : PH__EXIT_OFF;
	}
	enum ph_status status = ph_ssh_host_key_kept(store, pem, PH__HOST_KEY_BYTES);
	if (status == PH_OK)
		return PH__EXIT_OFF;
	ph__say(PH_LOG_ERROR, "no host key: %s", ph_status_text(status));
	if (status == PH_ERR_LIMIT || status == PH_ERR_CORRUPT)
		return PH__EXIT_KEY;
	return status == PH_ERR_READ_ONLY ? PH__EXIT_DISK : PH__EXIT_FAILURE;
}

/* ---- those who may log in ---- */

/* "ed25519:BASE64" is the form of --ssh-key; in authorized_keys a blank stands between the two. */
static enum ph_status add_argument(struct ph_keys *keys, const char *text, unsigned *accepted)
{
	/* The longest is an RSA key of 16384 bits. */
	static char line[8192];
	const char *colon = strpbrk(text, " \t\"") ? NULL : strchr(text, ':');
	bool bare = strncmp(text, "ed25519:", 8) == 0 || strncmp(text, "rsa:", 4) == 0;

	*accepted = 0;
	if (colon) {
		snprintf(line, sizeof(line), "%s%.*s %s", bare ? "ssh-" : "", (int)(colon - text),
		         text, colon + 1);
		text = line;
	}
	return ph_keys_add_text(keys, text, strlen(text), PH_PERM_OWNER, "--authorized-key",
	                        ph__log(), accepted);
}

static enum ph__exit add_all(struct ph_keys *keys, const struct ph__args *args,
                             const struct ph__machine *machine, unsigned *total)
{
	enum ph_status status = PH_OK;
	unsigned accepted = 0;

	for (unsigned i = 0; i < args->authorized_count && status == PH_OK; i++) {
		status = add_argument(keys, args->authorized[i], &accepted);
		if (status == PH_OK && accepted == 0) {
			ph__say(PH_LOG_ERROR,
			        "--authorized-key number %u cannot be used; it takes a "
			        "line as in a .pub file, in quotes",
			        i + 1);
			return PH__EXIT_USAGE;
		}
		*total += accepted;
	}
	for (unsigned i = 0; i < machine->module_count && status == PH_OK; i++) {
		const struct ph__module *module = &machine->modules[i];

		accepted = 0;
		if (module->len > MODULE_BYTES_MAX)
			ph__say(PH_LOG_ERROR, "boot module %u is no file of keys: too large",
			        i + 1);
		else
			status = ph_keys_add_text(keys, module->data, module->len, PH_PERM_OWNER,
			                          "boot module", ph__log(), &accepted);
		*total += accepted;
	}
	if (status != PH_OK)
		ph__say(PH_LOG_ERROR, "cannot read the keys: %s", ph_status_text(status));
	return status == PH_OK ? PH__EXIT_OFF : PH__EXIT_FAILURE;
}

enum ph__exit ph__keys_users(struct ph_keys **out, const struct ph__args *args,
                             const struct ph__machine *machine)
{
	unsigned total = 0;

	if (ph_keys_new(out, ph_alloc_libc()) != PH_OK)
		return PH__EXIT_FAILURE;
	enum ph__exit code = add_all(*out, args, machine, &total);
	if (code != PH__EXIT_OFF)
		return code;
	if (total == 0 && !args->anon_read) {
		ph__say(PH_LOG_ERROR,
		        "nobody could log in: give --authorized-key='ssh-ed25519 "
		        "AAAA... name', a file of keys as boot module, or --anon-read");
		return PH__EXIT_USAGE;
	}
	ph__say(PH_LOG_INFO, "keys: %u%s", total, args->anon_read ? ", and anybody may read" : "");
	return PH__EXIT_OFF;
}
