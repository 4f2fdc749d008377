/* SPDX-License-Identifier: MIT */
/*
 * SSH signatures (OpenSSH's PROTOCOL.sshsig) and who may make them (ssh-keygen(1), ALLOWED
 * SIGNERS). All but the arithmetic, which is service->verify: bytes and text into fields, and the
 * bytes that a signature is over.
 */
#ifndef PACKHORSE_SSHSIG_H
#define PACKHORSE_SSHSIG_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Base64 (RFC 4648) into at most *len bytes, which becomes how many there are. Ends of lines are
 * passed over; anything else that is not of the alphabet, a wrong length, or bits behind the end
 * are PH_ERR_INVALID. PH_ERR_LIMIT when it does not fit.
 */
PH_API enum ph_status ph_base64_decode(uint8_t *out, size_t *len, const char *text,
                                       size_t text_len);

/* "SHA256:" and 43 characters, with the NUL. */
#define PH_FINGERPRINT_BYTES 51u
/* The fingerprint of a public key, as ssh-keygen -l shows it. */
PH_API void ph_key_fingerprint(char out[PH_FINGERPRINT_BYTES], const uint8_t *key, size_t key_len);

/* ---- signatures ---- */

#define PH_SSHSIG_BEGIN "-----BEGIN SSH SIGNATURE-----"
#define PH_SSHSIG_END "-----END SSH SIGNATURE-----"
/* A key and a signature of 16384 bits of RSA take less than 6 KiB in this form. */
#define PH_SSHSIG_TEXT_MAX 16384u
/* What a signature is over: its own prefix, four strings of which the last is a hash. */
#define PH_SSHSIG_SIGNED_MAX 512u
#define PH_SSHSIG_DIGEST_MAX 64u

struct ph_sshsig {
	uint8_t *blob;      /* the caller's to free; what follows points into it */
	const uint8_t *key; /* RFC 4253, 6.6 */
	size_t key_len;
	const uint8_t *name_space, *reserved;
	size_t name_space_len, reserved_len;
	bool sha512; /* the message's hash; otherwise SHA-256 */
	const uint8_t *signature;
	size_t signature_len;
};

/*
 * Parses text, from its first line to the last, behind which nothing but ends of lines may follow.
 * *why is a static text that says what is wrong: PH_ERR_INVALID, PH_ERR_UNSUPPORTED for a version
 * or hash that is not known, PH_ERR_LIMIT; PH_ERR_NOMEM.
 */
PH_MUST_CHECK PH_API enum ph_status ph_sshsig_parse(struct ph_sshsig *out, const char *text,
                                                    size_t len, const struct ph_alloc *alloc,
                                                    const char **why);
PH_API bool ph_sshsig_is_for(const struct ph_sshsig *sig, const char *name_space);
/* The bytes that it is over; digest is the message's hash. PH_ERR_LIMIT when names are too long. */
PH_MUST_CHECK PH_API enum ph_status ph_sshsig_signed(const struct ph_sshsig *sig,
                                                     const uint8_t *digest,
                                                     uint8_t out[PH_SSHSIG_SIGNED_MAX],
                                                     size_t *len);

/* ---- keys and signers ---- */

/* A line of allowed signers, cut into what it says. All but times points into the line. */
struct ph_signer {
	const char *principals; /* patterns with commas between */
	size_t principals_len;
	const char *name_spaces; /* likewise; NULL for any */
	size_t name_spaces_len;
	uint64_t valid_after, valid_before; /* seconds since 1970, inclusive; 0 for any */
	const char *key;                    /* base64 */
	size_t key_len;
};

/*
 * "principals [options] type key [comment]". Options: namespaces="...", valid-after="...",
 * valid-before="..." (YYYYMMDD[HHMM[SS]][Z], always UTC). *why says what is wrong; cert-authority
 * is: keys vouch for themselves here.
 */
PH_API enum ph_status ph_signer_parse(struct ph_signer *out, const char *line, const char **why);
/* "type key [comment]", or "SHA256:..." of a key. */
PH_API enum ph_status ph_key_line_check(const char *line, const char **why);
/* Whether such a line names this key. */
PH_API bool ph_key_line_is(const char *line, const uint8_t *key, size_t key_len);
/* Whether the line is of this key. */
PH_API bool ph_signer_is(const struct ph_signer *signer, const uint8_t *key, size_t key_len);
/* Whether it may sign in this name space. */
PH_API bool ph_signer_may(const struct ph_signer *signer, const char *name_space);
/* Whether it may sign at this time; one with times does not at time 0. */
PH_API bool ph_signer_valid(const struct ph_signer *signer, uint64_t time);
/* The name to call it by: the first principal that is not negated; "" when there is none. */
PH_API void ph_signer_name(const struct ph_signer *signer, const char **name, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
