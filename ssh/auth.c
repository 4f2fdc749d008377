/* SPDX-License-Identifier: MIT */
/*
 * Who is it? The identity is the key whose signature verified last: a question whether a key would
 * do is answered from the list of keys and leaves no state behind. With anon_read, who has no known
 * key may read. OpenSSH tries "none" before any key, so none is let in at once only where nothing
 * better can come: the user name is "anonymous", or no key is known here at all. Otherwise a proven
 * key that is not known makes an anonymous reader, because a client that was refused would not come
 * again; and who has no key gets in by keyboard-interactive, without a question asked.
 */
#include "connection_int.h"

#include <packhorse/sshsig.h>
#include <stdio.h>
#include <string.h>

/* OpenSSH's servers allow six. */
#define FAILURES_MAX 6u
/* Agents hold many keys, and a question costs little. */
#define QUERIES_MAX 20u

static void set_user(struct ph__auth *auth, const char *user)
{
	size_t len = user ? strlen(user) : 0;
	if (len >= sizeof(auth->user))
		len = sizeof(auth->user) - 1;
	if (len > 0)
		memcpy(auth->user, user, len);
	auth->user[len] = '\0';
}

static int accept_as(struct ph_ssh_connection *connection, const char *identity,
                     enum ph_permission permission, const char *how)
{
	struct ph__auth *auth = &connection->auth;
	auth->done = true;
	auth->identity = identity;
	auth->permission = permission;
	ph_log_line(connection->log, PH_LOG_INFO, "ssh", connection->id,
	            "%s: %s is let in as user %s by %s", connection->peer, identity, auth->user,
	            how);
	return SSH_AUTH_SUCCESS;
}

static int accept_anonymous(struct ph_ssh_connection *connection, const char *how)
{
	return accept_as(connection, "anonymous", PH_PERM_READ, how);
}

static void count_failure(struct ph_ssh_connection *connection)
{
	if (++connection->auth.failures >= FAILURES_MAX)
		connection->failure = "too many authentication failures";
}

static void note_tried(struct ph__auth *auth, const char *fingerprint, enum ph__key_verdict verdict)
{
	for (unsigned i = 0; i < auth->tried_count && i < PH__TRIED_MAX; i++) {
		if (strcmp(auth->tried[i].fingerprint, fingerprint) == 0)
			return;
	}
	if (auth->tried_count < PH__TRIED_MAX) {
		struct ph__tried *tried = &auth->tried[auth->tried_count];
		memcpy(tried->fingerprint, fingerprint, PH__FINGERPRINT_BYTES);
		tried->verdict = verdict;
	}
	auth->tried_count++;
}

/*
 * Keeps the key for who wants to know it (push certificates). libssh hands it out in base64 alone.
 * Without memory there is none, and what asks for it is refused later.
 */
static void keep_key(struct ph_ssh_connection *connection, ssh_key offered)
{
	struct ph__auth *auth = &connection->auth;
	char *text = NULL;

	if (auth->key || ssh_pki_export_pubkey_base64(offered, &text) != SSH_OK)
		return;
	auth->key_len = strlen(text) / 4 * 3 + 3;
	auth->key = ph_mem_alloc(connection->alloc, auth->key_len);
	if (auth->key && ph_base64_decode(auth->key, &auth->key_len, text, strlen(text)) != PH_OK) {
		ph_mem_free(connection->alloc, auth->key);
		auth->key = NULL;
	}
	if (!auth->key)
		auth->key_len = 0;
	ssh_string_free_char(text);
}

static int on_pubkey(ssh_session session, const char *user, struct ssh_key_struct *offered,
                     char signature, void *userdata)
{
	struct ph_ssh_connection *connection = userdata;
	struct ph__auth *auth = &connection->auth;
	const struct ph__key *key = NULL;
	char fingerprint[PH__FINGERPRINT_BYTES] = "a key that cannot be read";

	(void)session;
	if (auth->done || connection->failure)
		return SSH_AUTH_DENIED;
	set_user(auth, user);
	enum ph__key_verdict verdict = ph__keys_find(connection->server->options.keys, offered,
	                                             connection->peer, connection->wall_s, &key);
	if (verdict != PH__KEY_GOOD) {
		(void)ph__key_fingerprint(offered, fingerprint);
		note_tried(auth, fingerprint, verdict);
	}
	bool anonymous = verdict != PH__KEY_GOOD && connection->server->options.anon_read;
	if (signature == SSH_PUBLICKEY_STATE_NONE) {
		if (++auth->queries > QUERIES_MAX)
			connection->failure = "too many keys offered";
		return (verdict == PH__KEY_GOOD || anonymous) && !connection->failure
		               ? SSH_AUTH_SUCCESS
		               : SSH_AUTH_DENIED;
	}
	if (signature == SSH_PUBLICKEY_STATE_VALID && verdict == PH__KEY_GOOD)
		keep_key(connection, offered);
	if (signature == SSH_PUBLICKEY_STATE_VALID && verdict == PH__KEY_GOOD)
		return accept_as(connection, key->name, key->permission, key->fingerprint);
	if (signature == SSH_PUBLICKEY_STATE_VALID && anonymous)
		return accept_anonymous(connection, fingerprint);
	count_failure(connection);
	return SSH_AUTH_DENIED;
}

static int on_none(ssh_session session, const char *user, void *userdata)
{
	struct ph_ssh_connection *connection = userdata;
	const struct ph_ssh_options *options = &connection->server->options;

	(void)session;
	if (connection->auth.done || connection->failure)
		return SSH_AUTH_DENIED;
	set_user(&connection->auth, user);
	if (options->anon_read &&
	    (strcmp(connection->auth.user, "anonymous") == 0 || ph__keys_count(options->keys) == 0))
		return accept_anonymous(connection, "none");
	if (++connection->auth.queries > QUERIES_MAX)
		connection->failure = "too many requests";
	return SSH_AUTH_DENIED;
}

/* What the callbacks above do not take; 1 has libssh answer with a refusal. */
static int on_message(ssh_session session, ssh_message message, void *userdata)
{
	struct ph_ssh_connection *connection = userdata;

	(void)session;
	if (ssh_message_type(message) != SSH_REQUEST_AUTH || connection->auth.done ||
	    connection->failure)
		return 1;
	if (ssh_message_subtype(message) == SSH_AUTH_METHOD_INTERACTIVE &&
	    ssh_message_auth_kbdint_is_response(message) == 0 &&
	    connection->server->options.anon_read) {
		set_user(&connection->auth, ssh_message_auth_user(message));
		(void)accept_anonymous(connection, "keyboard-interactive");
		(void)ssh_message_auth_reply_success(message, 0);
		return 0;
	}
	count_failure(connection);
	return 1;
}

static int on_service(ssh_session session, const char *service, void *userdata)
{
	struct ph_ssh_connection *connection = userdata;

	(void)session;
	/* Answering and then ending is the same to the peer as a refusal, which libssh cannot send.
	 */
	if (strcmp(service, "ssh-userauth") != 0)
		connection->failure = "unknown service asked for";
	return 0;
}

static ssh_channel on_channel(ssh_session session, void *userdata)
{
	(void)session;
	return ph__channel_open(userdata);
}

void ph__auth_init(struct ph_ssh_connection *connection)
{
	struct ssh_server_callbacks_struct *callbacks = &connection->callbacks;
	unsigned methods = SSH_AUTH_METHOD_PUBLICKEY;

	callbacks->userdata = connection;
	callbacks->auth_pubkey_function = on_pubkey;
	callbacks->auth_none_function = on_none;
	callbacks->service_request_function = on_service;
	callbacks->channel_open_request_session_function = on_channel;
	ssh_callbacks_init(callbacks);
	(void)ssh_set_server_callbacks(connection->ssh, callbacks);
	ssh_set_message_callback(connection->ssh, on_message, connection);
	if (connection->server->options.anon_read)
		methods |= SSH_AUTH_METHOD_INTERACTIVE;
	ssh_set_auth_methods(connection->ssh, (int)methods);
}

void ph__auth_release(struct ph_ssh_connection *connection)
{
	ph_mem_free(connection->alloc, connection->auth.key);
	connection->auth.key = NULL;
}

void ph__auth_unanswered(struct ph_ssh_connection *connection)
{
	connection->failure = "a signature that does not verify, or an unsupported key";
}

void ph__auth_log_refusal(const struct ph_ssh_connection *connection, const char *reason)
{
	const struct ph__auth *auth = &connection->auth;
	char keys[PH__TRIED_MAX * (PH__FINGERPRINT_BYTES + 32)];
	size_t len = 0;

	keys[0] = '\0';
	for (unsigned i = 0; i < auth->tried_count && i < PH__TRIED_MAX; i++) {
		int n = snprintf(keys + len, sizeof(keys) - len, "%s%s (%s)",
		                 i ? ", " : "; keys: ", auth->tried[i].fingerprint,
		                 ph__key_verdict_text(auth->tried[i].verdict));
		if (n < 0 || (size_t)n >= sizeof(keys) - len)
			break;
		len += (size_t)n;
	}
	ph_log_line(connection->log, PH_LOG_WARN, "ssh", connection->id,
	            "%s: nobody let in%s%s: %s%s%s", connection->peer,
	            auth->user[0] ? ", user " : "", auth->user, reason, keys,
	            auth->tried_count > PH__TRIED_MAX ? " and more" : "");
}
