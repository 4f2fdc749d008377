/* SPDX-License-Identifier: MIT */
/*
 * authorized_keys text into a list of keys, and the question whether an offered key is one of them.
 * A line that is refused lets nobody in, is logged with its number, and does not spoil the others:
 * an operator who makes a typo must not lock everybody else out. The text is the operator's, but it
 * can be as long and as odd as any file, so it is read like a peer's bytes.
 */
#include "address_int.h"
#include "keys_int.h"

#include <assert.h>
#include <string.h>

/* An RSA key of 16384 bits is 2.7 KB in base64; options and comment fit beside it. */
#define LINE_BYTES_MAX 8192u
/* Each login compares with all of them. */
#define KEYS_MAX 65536u

struct ph_keys {
	const struct ph_alloc *alloc;
	struct ph__key *list;
	size_t count, size;
};

struct line {
	const char *origin;
	const struct ph_log *log;
	unsigned number;
};

static void key_release(const struct ph_keys *keys, struct ph__key *key)
{
	ssh_key_free(key->key);
	ph_mem_free(keys->alloc, key->name);
	ph_mem_free(keys->alloc, key->from);
	memset(key, 0, sizeof(*key));
}

static void truncate_to(struct ph_keys *keys, size_t count)
{
	while (keys->count > count)
		key_release(keys, &keys->list[--keys->count]);
}

enum ph_status ph_keys_new(struct ph_keys **out, const struct ph_alloc *alloc)
{
	struct ph_keys *keys = ph_mem_zalloc(alloc, 1, sizeof(*keys));
	if (!keys)
		return PH_ERR_NOMEM;
	keys->alloc = alloc;
	*out = keys;
	return PH_OK;
}

void ph_keys_free(struct ph_keys *keys)
{
	if (!keys)
		return;
	truncate_to(keys, 0);
	ph_mem_free(keys->alloc, keys->list);
	ph_mem_free(keys->alloc, keys);
}

unsigned ph__keys_count(const struct ph_keys *keys)
{
	return keys ? (unsigned)keys->count : 0;
}

bool ph__key_fingerprint(ssh_key key, char out[PH__FINGERPRINT_BYTES])
{
	unsigned char *hash = NULL;
	size_t hash_len = 0;
	if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &hash_len) != 0)
		return false;
	char *text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, hash_len);
	ssh_clean_pubkey_hash(&hash);
	if (!text)
		return false;
	size_t len = strlen(text);
	bool fits = len < PH__FINGERPRINT_BYTES;
	if (fits)
		memcpy(out, text, len + 1);
	ssh_string_free_char(text);
	return fits;
}

static void refuse(const struct line *line, const char *why)
{
	ph_log_line(line->log, PH_LOG_WARN, "ssh", 0, "%s:%u: line refused: %s", line->origin,
	            line->number, why);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Length of the word at text; *rest is where the next one begins. */
static size_t word(const char *text, size_t len, size_t *rest)
{
	size_t n = 0;
	while (n < len && !blank(text[n]))
		n++;
	*rest = n;
	while (*rest < len && blank(text[*rest]))
		(*rest)++;
	return n;
}

/* The type that a word names, as libssh spells it; SSH_KEYTYPE_UNKNOWN when it is no type. */
static enum ssh_keytypes_e key_type(const char *text, size_t len)
{
	char name[64];
	if (len == 0 || len >= sizeof(name))
		return SSH_KEYTYPE_UNKNOWN;
	memcpy(name, text, len);
	name[len] = '\0';
	/* libssh 0.11 and later have forgotten it, but whose key is refused is to be told why. */
	if (strcmp(name, "ssh-dss") == 0)
		return SSH_KEYTYPE_DSS;
	return ssh_key_type_from_name(name);
}

/* Plain keys only: a certificate vouches by an authority, and DSA is too weak. */
static bool type_is_usable(enum ssh_keytypes_e type)
{
	return type == SSH_KEYTYPE_ED25519 || type == SSH_KEYTYPE_RSA ||
	       type == SSH_KEYTYPE_ECDSA_P256 || type == SSH_KEYTYPE_ECDSA_P384 ||
	       type == SSH_KEYTYPE_ECDSA_P521 || type == SSH_KEYTYPE_SK_ED25519 ||
	       type == SSH_KEYTYPE_SK_ECDSA;
}

/* "TYPE BASE64 [COMMENT]" into key; text is NUL-terminated and changed. */
static const char *parse_key(struct ph__key *key, char *text, size_t len, size_t *comment)
{
	size_t rest, more;
	enum ssh_keytypes_e type = key_type(text, word(text, len, &rest));
	if (type == SSH_KEYTYPE_UNKNOWN)
		return "unknown type of key";
	if (!type_is_usable(type))
		return "this type of key is not accepted";
	size_t blob_len = word(text + rest, len - rest, &more);
	if (blob_len == 0)
		return "there is no key after its type";
	*comment = rest + more;
	text[rest + blob_len] = '\0';
	if (ssh_pki_import_pubkey_base64(text + rest, type, &key->key) != SSH_OK)
		return "the key cannot be read";
	if (ssh_key_type(key->key) != type)
		return "the key is not of the type it is said to be";
	if (!ph__key_fingerprint(key->key, key->fingerprint))
		return "the key cannot be read";
	return NULL;
}

static enum ph_status set_name(const struct ph_keys *keys, struct ph__key *key, const char *text,
                               size_t len)
{
	while (len > 0 && blank(text[len - 1]))
		len--;
	if (len > PH__KEY_NAME_MAX)
		len = PH__KEY_NAME_MAX;
	key->name =
	        len > 0 ? ph_mem_strdup(keys->alloc, text, len)
	                : ph_mem_strdup(keys->alloc, key->fingerprint, strlen(key->fingerprint));
	if (!key->name)
		return PH_ERR_NOMEM;
	for (char *c = key->name; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return PH_OK;
}

static enum ph_status append(struct ph_keys *keys, const struct ph__key *key)
{
	if (keys->count >= KEYS_MAX)
		return PH_ERR_LIMIT;
	if (keys->count == keys->size) {
		size_t size = keys->size ? keys->size * 2 : 8;
		struct ph__key *list = ph_mem_resize(keys->alloc, keys->list, size, sizeof(*list));
		if (!list)
			return PH_ERR_NOMEM;
		keys->list = list;
		keys->size = size;
	}
	keys->list[keys->count++] = *key;
	return PH_OK;
}

/* One line without its end, in a buffer with room for a NUL at text[len]. */
static enum ph_status add_line(struct ph_keys *keys, char *text, size_t len,
                               enum ph_permission default_permission, const struct line *line)
{
	struct ph__key_options options = {0};
	struct ph__key key = {0};
	const char *why = NULL;
	size_t used = 0, rest, comment = 0;

	if (key_type(text, word(text, len, &rest)) == SSH_KEYTYPE_UNKNOWN &&
	    !ph__key_options_parse(&options, text, len, &used, &why)) {
		refuse(line, why);
		return PH_OK;
	}
	text += used;
	len -= used;
	text[len] = '\0';
	why = parse_key(&key, text, len, &comment);
	if (why) {
		refuse(line, why);
		key_release(keys, &key);
		return PH_OK;
	}
	key.permission = options.has_permission ? options.permission : default_permission;
	key.has_expiry = options.has_expiry;
	key.expiry_s = options.expiry_s;
	enum ph_status status = set_name(keys, &key, text + comment, len - comment);
	if (status == PH_OK && options.from) {
		key.from = ph_mem_strdup(keys->alloc, options.from, options.from_len);
		if (!key.from)
			status = PH_ERR_NOMEM;
	}
	if (status == PH_OK)
		status = append(keys, &key);
	if (status != PH_OK)
		key_release(keys, &key);
	return status;
}

static enum ph_status add_lines(struct ph_keys *keys, const char *text, size_t len,
                                enum ph_permission default_permission, struct line *line,
                                char *buffer)
{
	size_t pos = 0;
	while (pos < len) {
		const char *start = text + pos;
		const char *end = memchr(start, '\n', len - pos);
		size_t n = end ? (size_t)(end - start) : len - pos;
		pos += n + 1;
		line->number++;
		while (n > 0 && (start[n - 1] == '\r' || blank(start[n - 1])))
			n--;
		while (n > 0 && blank(*start)) {
			start++;
			n--;
		}
		if (n == 0 || *start == '#')
			continue;
		if (n > LINE_BYTES_MAX || memchr(start, '\0', n)) {
			refuse(line, n > LINE_BYTES_MAX ? "too long" : "a NUL byte in it");
			continue;
		}
		memcpy(buffer, start, n);
		buffer[n] = '\0';
		enum ph_status status = add_line(keys, buffer, n, default_permission, line);
		if (status != PH_OK)
			return status;
	}
	return PH_OK;
}

enum ph_status ph_keys_add_text(struct ph_keys *keys, const char *text, size_t len,
                                enum ph_permission default_permission, const char *origin,
                                const struct ph_log *log, unsigned *accepted)
{
	assert(keys && (text || len == 0));
	static const char mark[] = "\xef\xbb\xbf"; /* some editors put it at the start of a text */
	struct line line = {.origin = origin ? origin : "keys", .log = log};
	size_t before = keys->count;

	if (len >= 3 && memcmp(text, mark, 3) == 0) {
		text += 3;
		len -= 3;
	}
	char *buffer = ph_mem_alloc(keys->alloc, LINE_BYTES_MAX + 1);
	if (!buffer)
		return PH_ERR_NOMEM;
	enum ph_status status = add_lines(keys, text, len, default_permission, &line, buffer);
	ph_mem_free(keys->alloc, buffer);
	if (status != PH_OK) {
		truncate_to(keys, before);
		return status;
	}
	if (accepted)
		*accepted = (unsigned)(keys->count - before);
	return PH_OK;
}

static enum ph__key_verdict judge(const struct ph__key *key, const char *peer, uint64_t wall_s)
{
	if (key->has_expiry && (wall_s == 0 || wall_s > key->expiry_s))
		return PH__KEY_EXPIRED;
	if (key->from && !ph__patterns_match(key->from, strlen(key->from), peer))
		return PH__KEY_FROM;
	return PH__KEY_GOOD;
}

enum ph__key_verdict ph__keys_find(const struct ph_keys *keys, ssh_key offered, const char *peer,
                                   uint64_t wall_s, const struct ph__key **out)
{
	enum ph__key_verdict verdict = PH__KEY_UNKNOWN;
	char fingerprint[PH__FINGERPRINT_BYTES];

	if (!keys || !offered || !ph__key_fingerprint(offered, fingerprint))
		return PH__KEY_UNKNOWN;
	for (size_t i = 0; i < keys->count; i++) {
		const struct ph__key *key = &keys->list[i];
		/* The fingerprint is the quick look; the comparison of the keys decides. */
		if (strcmp(key->fingerprint, fingerprint) != 0 ||
		    ssh_key_cmp(key->key, offered, SSH_KEY_CMP_PUBLIC) != 0)
			continue;
		verdict = judge(key, peer, wall_s);
		if (verdict == PH__KEY_GOOD) {
			*out = key;
			return verdict;
		}
	}
	return verdict;
}

const char *ph__key_verdict_text(enum ph__key_verdict verdict)
{
	switch (verdict) {
	case PH__KEY_GOOD:
		return "good";
	case PH__KEY_UNKNOWN:
		return "unknown";
	case PH__KEY_FROM:
		return "not from this address";
	case PH__KEY_EXPIRED:
		return "expired";
	}
	return "unknown";
}
