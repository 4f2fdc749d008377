/* SPDX-License-Identifier: MIT */
/*
 * SSH signatures: the armor, the fields within, and the bytes that are signed. They come from
 * whoever pushes, so every length is checked against what is left, and the text has to be one
 * signature and nothing more: what git would show as signed must be what was verified.
 */
#include <packhorse/sshsig.h>

#include <packhorse/hash.h>
#include <string.h>

#define MAGIC "SSHSIG"
#define MAGIC_BYTES 6u

/* ---- fields ---- */

struct fields {
	const uint8_t *at, *end;
};

static bool take_number(struct fields *in, uint32_t *out)
{
	if (in->end - in->at < 4)
		return false;
	*out = (uint32_t)in->at[0] << 24 | (uint32_t)in->at[1] << 16 | (uint32_t)in->at[2] << 8 |
	       in->at[3];
	in->at += 4;
	return true;
}

static bool take_string(struct fields *in, const uint8_t **out, size_t *len)
{
	uint32_t size;

	if (!take_number(in, &size) || size > (size_t)(in->end - in->at))
		return false;
	*out = in->at;
	*len = size;
	in->at += size;
	return true;
}

static bool is_text(const uint8_t *data, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(data, text, len) == 0;
}

static enum ph_status wrong(const char **why, enum ph_status status, const char *text)
{
	*why = text;
	return status;
}

static enum ph_status parse_blob(struct ph_sshsig *out, size_t blob_len, const char **why)
{
	struct fields in = {out->blob, out->blob + blob_len};
	const uint8_t *hash;
	size_t hash_len;
	uint32_t version;

	if (blob_len < MAGIC_BYTES || memcmp(in.at, MAGIC, MAGIC_BYTES) != 0)
		return wrong(why, PH_ERR_INVALID, "it is no SSH signature");
	in.at += MAGIC_BYTES;
	if (!take_number(&in, &version))
		return wrong(why, PH_ERR_INVALID, "the signature is cut off");
	if (version != 1)
		return wrong(why, PH_ERR_UNSUPPORTED, "the signature's version is not known");
	if (!take_string(&in, &out->key, &out->key_len) ||
	    !take_string(&in, &out->name_space, &out->name_space_len) ||
	    !take_string(&in, &out->reserved, &out->reserved_len) ||
	    !take_string(&in, &hash, &hash_len) ||
	    !take_string(&in, &out->signature, &out->signature_len))
		return wrong(why, PH_ERR_INVALID, "the signature is cut off");
	if (in.at != in.end)
		return wrong(why, PH_ERR_INVALID, "the signature has bytes behind its end");
	if (!is_text(hash, hash_len, "sha256") && !is_text(hash, hash_len, "sha512"))
		return wrong(why, PH_ERR_UNSUPPORTED, "the signature's hash is not known");
	out->sha512 = is_text(hash, hash_len, "sha512");
	return PH_OK;
}

/* ---- armor ---- */

static bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

/* What is between the two lines; false when they are not as they should be. */
static bool unwrap(const char **text, size_t *len)
{
	const size_t begin = sizeof(PH_SSHSIG_BEGIN) - 1, end = sizeof(PH_SSHSIG_END) - 1;

	while (*len > 0 && is_line_end((*text)[*len - 1]))
		--*len;
	if (*len < begin + 1 + end || memcmp(*text, PH_SSHSIG_BEGIN, begin) != 0 ||
	    !is_line_end((*text)[begin]) || memcmp(*text + *len - end, PH_SSHSIG_END, end) != 0 ||
	    !is_line_end((*text)[*len - end - 1]))
		return false;
	*text += begin;
	*len -= begin + end;
	return true;
}

enum ph_status ph_sshsig_parse(struct ph_sshsig *out, const char *text, size_t len,
                               const struct ph_alloc *alloc, const char **why)
{
	struct ph_sshsig sig = {0};
	size_t blob_len;
	enum ph_status status;

	if (len > PH_SSHSIG_TEXT_MAX)
		return wrong(why, PH_ERR_LIMIT, "the signature is too long");
	if (!unwrap(&text, &len))
		return wrong(why, PH_ERR_INVALID, "it is not one SSH signature and nothing more");
	blob_len = len / 4 * 3 + 3;
	sig.blob = ph_mem_alloc(alloc, blob_len);
	if (!sig.blob)
		return wrong(why, PH_ERR_NOMEM, ph_status_text(PH_ERR_NOMEM));
	status = ph_base64_decode(sig.blob, &blob_len, text, len);
	if (status != PH_OK)
		*why = "the signature's lines are not base64";
	else
		status = parse_blob(&sig, blob_len, why);
	if (status == PH_OK)
		*out = sig;
	else
		ph_mem_free(alloc, sig.blob);
	return status;
}

/* ---- what is signed ---- */

bool ph_sshsig_is_for(const struct ph_sshsig *sig, const char *name_space)
{
	return is_text(sig->name_space, sig->name_space_len, name_space);
}

static uint8_t *put_string(uint8_t *out, const void *data, size_t len)
{
	out[0] = out[1] = 0;
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	if (len > 0)
		memcpy(out + 4, data, len);
	return out + 4 + len;
}

enum ph_status ph_sshsig_signed(const struct ph_sshsig *sig, const uint8_t *digest,
                                uint8_t out[PH_SSHSIG_SIGNED_MAX], size_t *len)
{
	size_t digest_len = sig->sha512 ? 64 : 32;
	size_t fixed = MAGIC_BYTES + 4 * 4 + 6 + digest_len;
	uint8_t *at = out + MAGIC_BYTES;

	if (sig->name_space_len > PH_SSHSIG_SIGNED_MAX - fixed ||
	    sig->reserved_len > PH_SSHSIG_SIGNED_MAX - fixed - sig->name_space_len)
		return PH_ERR_LIMIT;
	memcpy(out, MAGIC, MAGIC_BYTES);
	at = put_string(at, sig->name_space, sig->name_space_len);
	at = put_string(at, sig->reserved, sig->reserved_len);
	at = put_string(at, sig->sha512 ? "sha512" : "sha256", 6);
	at = put_string(at, digest, digest_len);
	*len = (size_t)(at - out);
	return PH_OK;
}
