/* SPDX-License-Identifier: MIT */
/*
 * Lines of allowed signers, in the format of ssh-keygen(1), and of keys. A line is cut into its
 * fields in place and judged field by field; keys are compared in their base64 form's bytes, piece
 * by piece, so that nothing is allocated however long a key is. Times are UTC, for a server has no
 * local time.
 */
#include <packhorse/sshsig.h>

#include <string.h>

/* A key of 16384 bits of RSA takes 2.1 KB. */
#define KEY_BYTES_MAX 4096u
/* Base64 that is decoded at a time. */
#define PIECE_CHARS 256u
#define PIECE_BYTES (PIECE_CHARS / 4 * 3)
#define TYPE_BYTES_MAX 64u

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

/* The end of a word; blanks within double quotes are part of it. NULL when a quote is open. */
static const char *word_end(const char *at)
{
	bool quoted = false;

	for (; *at && (quoted || !is_blank(*at)); at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '\\' && quoted && at[1] == '"')
			at++;
	}
	return quoted ? NULL : at;
}

static enum ph_status wrong(const char **why, const char *text)
{
	*why = text;
	return PH_ERR_INVALID;
}

static bool is_word(const char *at, size_t len, const char *word)
{
	if (strlen(word) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] - 'A' + 'a') : at[i];

		if (c != word[i])
			return false;
	}
	return true;
}

/* ---- keys ---- */

/* Types that stand in front of a key; what can be verified is service->verify's to say. */
static bool is_key_type(const char *word, size_t len)
{
	static const char *const types[] = {"ssh-ed25519",
	                                    "ssh-rsa",
	                                    "ecdsa-sha2-nistp256",
	                                    "ecdsa-sha2-nistp384",
	                                    "ecdsa-sha2-nistp521",
	                                    "sk-ssh-ed25519@openssh.com",
	                                    "sk-ecdsa-sha2-nistp256@openssh.com"};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strlen(types[i]) == len && memcmp(word, types[i], len) == 0)
			return true;
	return false;
}

/*
 * Compares bytes with what base64 text says; with no bytes, checks that the text is a key that
 * begins with its type.
 */
static bool decodes_to(const char *text, size_t text_len, const uint8_t *key, size_t key_len)
{
	uint8_t piece[PIECE_BYTES];

	for (size_t at = 0; at < text_len; at += PIECE_CHARS) {
		size_t chars = text_len - at < PIECE_CHARS ? text_len - at : PIECE_CHARS;
		size_t len = sizeof(piece);

		/* Only the last group may have pads. */
		if (ph_base64_decode(piece, &len, text + at, chars) != PH_OK || len > key_len ||
		    memcmp(piece, key, len) != 0 || (len % 3 && at + chars < text_len))
			return false;
		key += len;
		key_len -= len;
	}
	return key_len == 0;
}

static bool is_key_of(const char *type, size_t type_len, const char *text, size_t text_len)
{
	uint8_t key[KEY_BYTES_MAX];
	size_t len = sizeof(key);

	return ph_base64_decode(key, &len, text, text_len) == PH_OK && len > 4 + type_len &&
	       key[0] == 0 && key[1] == 0 && key[2] == 0 && key[3] == type_len &&
	       memcmp(key + 4, type, type_len) == 0;
}

/* "type key", then anything. */
static enum ph_status parse_key(const char *at, const char **key, size_t *key_len, const char **why)
{
	const char *type = at;
	size_t type_len = strcspn(at, " \t");

	if (!is_key_type(type, type_len))
		return wrong(why,
		             "it has no key of a type that is known here, such as ssh-ed25519");
	*key = skip_blanks(type + type_len);
	/* An end of line is none of the key's: it is decoded piece by piece. */
	*key_len = strcspn(*key, " \t\r\n");
	if (!is_key_of(type, type_len, *key, *key_len))
		return wrong(why, "its key is not the base64 of a key of its type");
	return PH_OK;
}

static bool is_fingerprint(const char *line)
{
	return strncmp(line, "SHA256:", 7) == 0;
}

enum ph_status ph_key_line_check(const char *line, const char **why)
{
	const char *key;
	size_t len;

	line = skip_blanks(line);
	if (!is_fingerprint(line))
		return parse_key(line, &key, &len, why);
	len = strcspn(line, " \t");
	if (len != PH_FINGERPRINT_BYTES - 1)
		return wrong(why, "a fingerprint is SHA256: and 43 characters");
	return PH_OK;
}

bool ph_key_line_is(const char *line, const uint8_t *key, size_t key_len)
{
	const char *text, *why;
	char fingerprint[PH_FINGERPRINT_BYTES];
	size_t len;

	line = skip_blanks(line);
	if (is_fingerprint(line)) {
		ph_key_fingerprint(fingerprint, key, key_len);
		return strcspn(line, " \t") == strlen(fingerprint) &&
		       memcmp(line, fingerprint, strlen(fingerprint)) == 0;
	}
	return parse_key(line, &text, &len, &why) == PH_OK && decodes_to(text, len, key, key_len);
}

/* ---- times ---- */

static bool take_digits(const char **at, unsigned count, unsigned max, unsigned *out)
{
	*out = 0;
	for (unsigned i = 0; i < count; i++, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		*out = 10 * *out + (unsigned)(**at - '0');
	}
	return *out <= max;
}

/* Days from 1970-01-01, of the Gregorian calendar; the year counts from March. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month > 2 ? year : year - 1;
	unsigned from_march = (month + 9) % 12;

	return (uint64_t)365 * y + y / 4 - y / 100 + y / 400 + (153 * from_march + 2) / 5 + day -
	       1 - 719468;
}

/* YYYYMMDD[HHMM[SS]][Z], of len characters. */
static bool parse_time(const char *at, size_t len, uint64_t *out)
{
	const char *end = at + len;
	unsigned year, month, day, hour = 0, minute = 0, second = 0;

	if (len > 0 && end[-1] == 'Z')
		end--;
	len = (size_t)(end - at);
	if ((len != 8 && len != 12 && len != 14) || !take_digits(&at, 4, 9999, &year) ||
	    !take_digits(&at, 2, 12, &month) || !take_digits(&at, 2, 31, &day))
		return false;
	if (len > 8 && (!take_digits(&at, 2, 23, &hour) || !take_digits(&at, 2, 59, &minute)))
		return false;
	if (len > 12 && !take_digits(&at, 2, 60, &second))
		return false;
	if (year < 1970 || month < 1 || day < 1)
		return false;
	*out = days_of(year, month, day) * 86400 + hour * 3600u + minute * 60u + second;
	return *out > 0;
}

/* ---- options ---- */

static enum ph_status take_time(uint64_t *out, const char *value, size_t len, const char **why)
{
	if (*out != 0)
		return wrong(why, "it says one time twice");
	if (!parse_time(value, len, out))
		return wrong(why, "a time is YYYYMMDD or YYYYMMDDHHMM[SS], in UTC");
	return PH_OK;
}

/* One option, of which value is without its quotes; NULL when it has none. */
static enum ph_status take_option(struct ph_signer *out, const char *name, size_t name_len,
                                  const char *value, size_t len, const char **why)
{
	if (is_word(name, name_len, "cert-authority"))
		return wrong(why, "cert-authority is not supported: name each key");
	if (value && is_word(name, name_len, "namespaces")) {
		if (out->name_spaces)
			return wrong(why, "it has namespaces twice");
		out->name_spaces = value;
		out->name_spaces_len = len;
		return PH_OK;
	}
	if (value && is_word(name, name_len, "valid-after"))
		return take_time(&out->valid_after, value, len, why);
	if (value && is_word(name, name_len, "valid-before"))
		return take_time(&out->valid_before, value, len, why);
	return wrong(why, "options are namespaces=\"...\", valid-after=\"...\" and "
	                  "valid-before=\"...\"");
}

static enum ph_status parse_options(struct ph_signer *out, const char *at, const char *end,
                                    const char **why)
{
	while (at < end) {
		const char *name = at, *value = NULL;
		size_t name_len = strcspn(at, "=, \t"), len = 0;
		enum ph_status status;

		at += name_len;
		if (*at == '=') {
			if (at[1] != '"')
				return wrong(why, "an option's value has double quotes around it");
			value = at + 2;
			len = strcspn(value, "\"");
			at = value + len + 1; /* the word's end has shown that it is closed */
		}
		status = take_option(out, name, name_len, value, len, why);
		if (status != PH_OK)
			return status;
		if (at < end && (*at != ',' || at + 1 == end))
			return wrong(why, "options have commas between");
		at += at < end;
	}
	return PH_OK;
}

enum ph_status ph_signer_parse(struct ph_signer *out, const char *line, const char **why)
{
	struct ph_signer signer = {0};
	const char *at = skip_blanks(line), *end = word_end(at);
	enum ph_status status;

	if (!end || end == at || *at == '#')
		return wrong(why, "it takes a line of allowed signers: "
		                  "principals [options] type key");
	signer.principals = at;
	signer.principals_len = (size_t)(end - at);
	if (*at == '"' && end[-1] == '"' && end - at > 2) {
		signer.principals++;
		signer.principals_len -= 2;
	}
	at = skip_blanks(end);
	if (!is_key_type(at, strcspn(at, " \t"))) {
		end = word_end(at);
		if (!end)
			return wrong(why, "a quote is not closed");
		status = parse_options(&signer, at, end, why);
		if (status != PH_OK)
			return status;
		at = skip_blanks(end);
	}
	status = parse_key(at, &signer.key, &signer.key_len, why);
	if (status == PH_OK)
		*out = signer;
	return status;
}

/* ---- questions ---- */

bool ph_signer_is(const struct ph_signer *signer, const uint8_t *key, size_t key_len)
{
	return decodes_to(signer->key, signer->key_len, key, key_len);
}

/* One pattern, with * and ?. A star that fails later is tried one character on, the last only. */
static bool matches(const char *pattern, size_t len, const char *text)
{
	size_t at = 0, star = SIZE_MAX;
	const char *back = text;

	while (*text) {
		if (at < len && pattern[at] == '*') {
			star = at++;
			back = text;
		} else if (at < len && (pattern[at] == '?' || pattern[at] == *text)) {
			at++;
			text++;
		} else if (star != SIZE_MAX) {
			at = star + 1;
			text = ++back;
		} else {
			return false;
		}
	}
	while (at < len && pattern[at] == '*')
		at++;
	return at == len;
}

/* Whether a list of patterns has it; one with "!" that matches says no, whatever others say. */
static bool list_has(const char *list, size_t len, const char *text)
{
	bool found = false;

	for (size_t at = 0; at <= len;) {
		const char *comma = memchr(list + at, ',', len - at);
		size_t end = comma ? (size_t)(comma - list) : len;
		bool negated = at < end && list[at] == '!';

		if (matches(list + at + negated, end - at - negated, text)) {
			if (negated)
				return false;
			found = true;
		}
		at = end + 1;
	}
	return found;
}

bool ph_signer_may(const struct ph_signer *signer, const char *name_space)
{
	return !signer->name_spaces ||
	       list_has(signer->name_spaces, signer->name_spaces_len, name_space);
}

bool ph_signer_valid(const struct ph_signer *signer, uint64_t time)
{
	if ((signer->valid_after || signer->valid_before) && time == 0)
		return false;
	return time >= signer->valid_after &&
	       (signer->valid_before == 0 || time <= signer->valid_before);
}

void ph_signer_name(const struct ph_signer *signer, const char **name, size_t *len)
{
	const char *list = signer->principals;

	for (size_t at = 0; at < signer->principals_len;) {
		const char *comma = memchr(list + at, ',', signer->principals_len - at);
		size_t end = comma ? (size_t)(comma - list) : signer->principals_len;

		if (end > at && list[at] != '!') {
			*name = list + at;
			*len = end - at;
			return;
		}
		at = end + 1;
	}
	*name = "";
	*len = 0;
}
