/* SPDX-License-Identifier: MIT */
/*
 * What all connections share: the host key and the choice of algorithms, in an ssh_bind that never
 * binds. libssh is kept from reading any configuration file. Names that this libssh does not know
 * are dropped by it from the lists below, so that a newer one brings its post-quantum key exchange
 * along.
 */
#include "connection_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define AUTH_MS_DEFAULT 30000u
#define CHANNELS_DEFAULT 10u
/* Below this, libssh and everybody else calls an RSA key weak. */
#define RSA_BITS_MIN 2048

#define KEX_QUANTUM                                                                                \
	"mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com"
/* No SHA-1, no group exchange (its groups are chosen by file and cost most), nothing below 2048. */
#define KEX_CLASSIC                                                                                \
	"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"    \
	"ecdh-sha2-nistp521,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512"
#define CIPHERS                                                                                    \
	"aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,"  \
	"aes192-ctr,aes128-ctr"
#define MACS                                                                                       \
	"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define HOST_KEYS                                                                                  \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,"    \
	"rsa-sha2-256"
#define USER_KEYS HOST_KEYS ",sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"

/* libssh would ask at a terminal for the passphrase of an encrypted key. */
static int no_passphrase(const char *prompt, char *buf, size_t len, int echo, int verify,
                         void *userdata)
{
	(void)prompt;
	(void)buf;
	(void)len;
	(void)echo;
	(void)verify;
	(void)userdata;
	return -1;
}

static bool set_algorithms(ssh_bind bind, bool *quantum)
{
	static const struct {
		enum ssh_bind_options_e option;
		const char *value;
	} lists[] = {
	        {SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS},
	        {SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS},
	        {SSH_BIND_OPTIONS_HMAC_C_S, MACS},
	        {SSH_BIND_OPTIONS_HMAC_S_C, MACS},
	        {SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, HOST_KEYS},
	        {SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, USER_KEYS},
	        {SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX_QUANTUM "," KEX_CLASSIC},
	};
	const bool config = false;
	const int bits = RSA_BITS_MIN;

	/* This fails when the library knows none of them. */
	*quantum = ssh_bind_options_set(bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX_QUANTUM) == 0;
	if (ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &config) != 0 ||
	    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_RSA_MIN_SIZE, &bits) != 0)
		return false;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (ssh_bind_options_set(bind, lists[i].option, lists[i].value) != 0)
			return false;
	}
	return true;
}

static enum ph_status import_host_key(struct ph_ssh_server *server)
{
	ssh_key key = NULL, pub = NULL;
	if (!server->options.host_key ||
	    ssh_pki_import_privkey_base64(server->options.host_key, NULL, no_passphrase, NULL,
	                                  &key) != SSH_OK)
		return PH_ERR_INVALID;
	bool good = ssh_pki_export_privkey_to_pubkey(key, &pub) == SSH_OK &&
	            ph__key_fingerprint(pub, server->fingerprint);
	ssh_key_free(pub);
	/* The bind owns the key from here on. */
	if (!good || ssh_bind_options_set(server->bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) != 0) {
		ssh_key_free(key);
		return PH_ERR_INVALID;
	}
	return PH_OK;
}

static enum ph_status server_init(struct ph_ssh_server *server)
{
	bool quantum = false;

	server->bind = ssh_bind_new();
	if (!server->bind)
		return PH_ERR_NOMEM;
	if (!set_algorithms(server->bind, &quantum))
		return PH_ERR_UNSUPPORTED;
	enum ph_status status = import_host_key(server);
	if (status != PH_OK)
		return status;
	ph_log_line(server->options.service.log, PH_LOG_INFO, "ssh", 0,
	            "host key %s; libssh %s offers %s post-quantum key exchange",
	            server->fingerprint, ssh_version(0), quantum ? "a" : "no");
	return PH_OK;
}

enum ph_status ph_ssh_server_new(struct ph_ssh_server **out, const struct ph_ssh_options *options)
{
	assert(out && options && options->service.alloc && options->service.limits);
	struct ph_ssh_server *server = ph_mem_zalloc(options->service.alloc, 1, sizeof(*server));
	if (!server)
		return PH_ERR_NOMEM;
	server->alloc = options->service.alloc;
	server->options = *options;
	if (server->options.auth_ms_max == 0)
		server->options.auth_ms_max = AUTH_MS_DEFAULT;
	if (server->options.channels_max == 0)
		server->options.channels_max = CHANNELS_DEFAULT;
	/* Counted by libssh; where its constructor does not run, this is the first. */
	if (ssh_init() != 0) {
		ph_mem_free(server->alloc, server);
		return PH_ERR_UNSUPPORTED;
	}
	enum ph_status status = server_init(server);
	if (status != PH_OK) {
		ph_ssh_server_free(server);
		return status;
	}
	*out = server;
	return PH_OK;
}

void ph_ssh_server_free(struct ph_ssh_server *server)
{
	if (!server)
		return;
	ssh_bind_free(server->bind);
	(void)ssh_finalize();
	ph_mem_free(server->alloc, server);
}

/*
 * Called by the name that every libssh has, though 0.12 would rather have another used: an image
 * that was compiled with one libssh can be linked with another.
 */
static int generate_ed25519(ssh_key *key)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	return ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, key);
#pragma GCC diagnostic pop
}

enum ph_status ph_ssh_host_key_generate(char *buf, size_t *len)
{
	assert(buf && len);
	ssh_key key = NULL;
	char *text = NULL;
	enum ph_status status = PH_ERR_NOMEM;

	if (ssh_init() != 0)
		return PH_ERR_UNSUPPORTED;
	if (generate_ed25519(&key) == SSH_OK &&
	    ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &text) == SSH_OK) {
		size_t n = strlen(text);
		status = PH_ERR_LIMIT;
		if (n < *len) {
			memcpy(buf, text, n + 1);
			*len = n;
			status = PH_OK;
		}
		/* It is a secret; libssh's own copy must not stay behind in freed memory. */
		for (volatile char *wipe = text; *wipe; wipe++)
			*wipe = '\0';
	}
	ssh_string_free_char(text);
	ssh_key_free(key);
	(void)ssh_finalize();
	return status;
}

enum ph_status ph_ssh_host_key_kept(struct ph_store *store, char *buf, size_t len)
{
	size_t used = len - 1;
	enum ph_status status = ph_store_setting_get(store, PH_SETTING_HOST_KEY, buf, &used);

	if (status == PH_OK)
		buf[used] = '\0';
	if (status != PH_ERR_NOT_FOUND)
		return status;
	status = ph_ssh_host_key_generate(buf, &len);
	return status == PH_OK ? ph_store_setting_set(store, PH_SETTING_HOST_KEY, buf, len)
	                       : status;
}

enum ph_status ph_ssh_fingerprint(const struct ph_ssh_server *server, char *buf, size_t len)
{
	size_t n = strlen(server->fingerprint);
	if (n >= len)
		return PH_ERR_LIMIT;
	memcpy(buf, server->fingerprint, n + 1);
	return PH_OK;
}
