/* SPDX-License-Identifier: MIT */
/*
 * What a connection asks of the authorized keys, and the options of one line.
 */
#ifndef PACKHORSE_KEYS_INT_H
#define PACKHORSE_KEYS_INT_H

#include <libssh/libssh.h>

#include <packhorse/ssh.h>

/* "SHA256:" and 43 characters, with the NUL. */
#define PH__FINGERPRINT_BYTES 64u
/* A longer comment is cut: it is a name for logs. */
#define PH__KEY_NAME_MAX 128u

struct ph__key_options {
	enum ph_permission permission;
	bool has_permission, has_expiry;
	uint64_t expiry_s; /* the last second at which the key is good */
	const char *from;  /* into the line, unquoted; NULL when any address will do */
	size_t from_len;
};

/*
 * Parses the options at the start of a line, up to the blank after them; *used is their length with
 * it. line is changed in place: quotes and their escapes are taken out. On failure *why is the
 * reason.
 */
bool ph__key_options_parse(struct ph__key_options *out, char *line, size_t len, size_t *used,
                           const char **why);

struct ph__key {
	ssh_key key;
	char fingerprint[PH__FINGERPRINT_BYTES];
	char *name; /* the comment, or the fingerprint when there is none */
	char *from; /* NULL: from anywhere */
	uint64_t expiry_s;
	bool has_expiry;
	enum ph_permission permission;
};

enum ph__key_verdict { PH__KEY_GOOD, PH__KEY_UNKNOWN, PH__KEY_FROM, PH__KEY_EXPIRED };

/*
 * Looks for offered among the keys, as the first line that lets it in from peer at wall_s; out is
 * set when that is PH__KEY_GOOD. Otherwise the verdict says what spoke against the last line that
 * has it. A key with an expiry is expired while the time is not known (0).
 */
enum ph__key_verdict ph__keys_find(const struct ph_keys *keys, ssh_key offered, const char *peer,
                                   uint64_t wall_s, const struct ph__key **out);
/* For the log. */
const char *ph__key_verdict_text(enum ph__key_verdict verdict);
unsigned ph__keys_count(const struct ph_keys *keys);

/* "SHA256:..."; false when out of memory or the key has no public part. */
bool ph__key_fingerprint(ssh_key key, char out[PH__FINGERPRINT_BYTES]);

#endif
