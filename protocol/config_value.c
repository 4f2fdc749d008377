/* SPDX-License-Identifier: MIT */
/*
 * Values of the configuration as git reads them: booleans in all their spellings, numbers with k, m
 * and g; and the check of a value before it is set. What an owner is told here has to be enough to
 * get it right the second time.
 */
#include "config_int.h"

#include <packhorse/sshsig.h>
#include <string.h>

/* A value of receive.keepAlive and its like: what git's own integers hold. */
#define SECONDS_MAX 0x7fffffffu
#define DAYS_MAX 3650u

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

static bool one_of(const char *value, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (same(value, words[i]))
			return true;
	return false;
}

bool ph__config_bool(const char *value, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on"};
	static const char *const no[] = {"", "false", "no", "off"};
	uint64_t number;

	if (one_of(value, yes, 3))
		*out = true;
	else if (one_of(value, no, 4))
		*out = false;
	else if (ph__config_number(*value == '-' ? value + 1 : value, SECONDS_MAX, &number))
		*out = number != 0;
	else
		return false;
	return true;
}

static int digit(char c)
{
	c = lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* What the suffix multiplies by; 0 for none that is known. */
static uint64_t unit(const char *suffix)
{
	static const char *const units[] = {"", "k", "m", "g"};

	for (unsigned i = 0; i < 4; i++)
		if (same(suffix, units[i]))
			return (uint64_t)1 << 10 * i;
	return 0;
}

/* Decimal, with 0x hexadecimal, with 0 octal; then a unit. */
bool ph__config_number(const char *value, uint64_t max, uint64_t *out)
{
	unsigned base = 10;
	uint64_t number = 0, factor;

	if (value[0] == '0' && lower(value[1]) == 'x') {
		base = 16;
		value += 2;
	} else if (value[0] == '0') {
		base = 8;
	}
	if (digit(*value) >= (int)base)
		return false;
	for (; digit(*value) < (int)base; value++) {
		unsigned next = (unsigned)digit(*value);

		if (number > (max - next) / base)
			return false;
		number = number * base + next;
	}
	factor = unit(value);
	if (factor == 0 || number > max / factor)
		return false;
	*out = number * factor;
	return true;
}

/* refuse, warn, ignore, or a boolean; updateInstead needs a working tree, as in a bare git. */
bool ph__config_deny(const char *value, enum ph_config_deny *out)
{
	bool truth;

	if (same(value, "ignore"))
		*out = PH_DENY_IGNORE;
	else if (same(value, "warn"))
		*out = PH_DENY_WARN;
	else if (same(value, "refuse") || same(value, "updateInstead"))
		*out = PH_DENY_REFUSE;
	else if (ph__config_bool(value, &truth))
		*out = truth ? PH_DENY_REFUSE : PH_DENY_IGNORE;
	else
		return false;
	return true;
}

/* ---- checks ---- */

static enum ph_status wrong(const char **why, const char *text)
{
	*why = text;
	return PH_ERR_INVALID;
}

/* What ends up in a packet or on a screen as it is. */
static bool printable(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < 0x20 || *value == 0x7f)
			return false;
	return true;
}

static enum ph_status check_hide(const char *value, const char **why)
{
	size_t len;

	value += *value == '!';
	value += *value == '^';
	len = strlen(value);
	while (len && value[len - 1] == '/')
		len--;
	if (memchr(value, '*', len) || memchr(value, '?', len))
		return wrong(why, "there are no wildcards: refs/x hides refs/x and all below it");
	if (len > PH_REF_NAME_MAX)
		return wrong(why, "it is longer than the name of any ref");
	if ((len == 4 && memcmp(value, "HEAD", 4) == 0) ||
	    (len >= 4 && memcmp(value, "refs", 4) == 0 && (len == 4 || value[4] == '/')))
		return PH_OK;
	return wrong(why, "it takes the beginning of a ref's full name, such as refs/pull; ! in "
	                  "front shows again what an earlier one hides");
}

static enum ph_status check_path(const char *value, const char **why)
{
	value += *value == '!';
	value += *value == '/';
	if (*value && value[strlen(value) - 1] != '\\')
		return PH_OK;
	return wrong(why, "it takes a pattern for paths, such as docs/ or *.md; ! in front takes "
	                  "away what an earlier one matches");
}

static bool is_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (digit(text[i]) == 16)
			return false;
	return len == 40 || len == 64;
}

static bool is_uri(const char *value)
{
	size_t skip = strncmp(value, "https://", 8) == 0  ? 8
	              : strncmp(value, "http://", 7) == 0 ? 7
	                                                  : 0;

	return skip && value[skip] && printable(value) && !strchr(value, ' ');
}

/* "<object> <pack> <uri>" */
static enum ph_status check_packfile_uri(const char *value, const char **why)
{
	size_t object = strcspn(value, " ");
	const char *pack = value + object + (value[object] == ' ');
	size_t pack_len = strcspn(pack, " ");
	const char *uri = pack + pack_len + (pack[pack_len] == ' ');

	if (!is_hex(value, object) || !is_hex(pack, pack_len) || pack_len != object)
		return wrong(why, "it takes a blob's id, the hash of a pack that holds it, and "
		                  "the pack's URI, with one space between");
	if (!is_uri(uri))
		return wrong(why, "the URI must begin with https:// or http://, without spaces");
	return PH_OK;
}

static enum ph_status check_words(const char *value, const char *const *words, size_t count,
                                  const char **why, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(value, words[i]) == 0)
			return PH_OK;
	return wrong(why, text);
}

/* The same rule as for a filter that a client sends; an empty one takes it away. */
static enum ph_status check_filter(const char *value, const char **why)
{
	if (*value && printable(value) && !strchr(value, ' '))
		return PH_OK;
	return wrong(why, "it takes a filter, such as blob:none");
}

/* What is about signed pushes. */
static enum ph_status check_cert(enum ph__config_type type, const char *value, const char **why)
{
	static const char *const cert_key[] = {"any", "connection"};
	struct ph_signer signer;

	if (type == PH__CONFIG_CERT_KEY)
		return check_words(value, cert_key, 2, why, "it takes any or connection");
	if (type == PH__CONFIG_SIGNER)
		return ph_signer_parse(&signer, value, why);
	if (type == PH__CONFIG_REVOKED)
		return ph_key_line_check(value, why);
	if (type == PH__CONFIG_SIGNERS_FILE)
		return wrong(why, "there are no files here: add the lines of it to "
		                  "gpg.ssh.allowedSigners, one value each");
	if (type == PH__CONFIG_REVOKED_FILE)
		return wrong(why, "there are no files here: add keys or their fingerprints to "
		                  "gpg.ssh.revokedKeys, one value each");
	return PH_OK; /* any seed will do */
}

static enum ph_status check_bool(const char *value, const char **why)
{
	bool truth;

	return ph__config_bool(value, &truth) ? PH_OK : wrong(why, "it takes true or false");
}

static enum ph_status check_severity(const char *key, const char *value, const char **why)
{
	struct ph_fsck_rules rules;
	enum ph_status status;

	ph_fsck_rules_init(&rules);
	status = ph_fsck_rules_set(&rules, strrchr(key, '.') + 1, value);
	if (status == PH_ERR_DENIED)
		return wrong(why, "it is fatal: it cannot be made less than an error");
	return status == PH_OK ? PH_OK : wrong(why, "it takes error, warn or ignore");
}

enum ph_status ph__config_next_id(const char **at, struct ph_oid *out)
{
	size_t len;

	*at += strspn(*at, " ,");
	if (!**at)
		return PH_END;
	len = strcspn(*at, " ,");
	if (ph_oid_from_hex(out, len == PH_OID_HEX_MAX ? PH_HASH_SHA256 : PH_HASH_SHA1, *at, len) !=
	    PH_OK)
		return PH_ERR_INVALID;
	*at += len;
	return PH_OK;
}

static enum ph_status check_skips(const char *value, const char **why)
{
	struct ph_oid oid;
	enum ph_status status;

	while ((status = ph__config_next_id(&value, &oid)) == PH_OK) {
	}
	return status == PH_END ? PH_OK
	                        : wrong(why, "it takes ids of objects, with spaces between");
}

static enum ph_status check_deny(const char *value, const char **why)
{
	enum ph_config_deny deny;

	return ph__config_deny(value, &deny) ? PH_OK
	                                     : wrong(why, "it takes refuse, warn or ignore");
}

static enum ph_status check_number(const char *value, uint64_t max, const char **why,
                                   const char *text)
{
	uint64_t number;

	return ph__config_number(value, max, &number) ? PH_OK : wrong(why, text);
}

static enum ph_status check_type(const struct ph__config_key *key, const char *stored,
                                 const char *value, const char **why)
{
	static const char *const unborn[] = {"advertise", "allow", "ignore"};
	static const char *const mode[] = {"all", "any"};
	static const char *const heuristic[] = {"creationToken"};
	static const char *const version[] = {"1"};
	switch (key->type) {
	case PH__CONFIG_BOOL:
	case PH__CONFIG_BOOL_UNUSED:
	case PH__CONFIG_FSCK:
	case PH__CONFIG_ANY_SHA1:
	case PH__CONFIG_FILTER_ALLOW:
		return check_bool(value, why);
	case PH__CONFIG_DENY:
	case PH__CONFIG_DENY_UNUSED:
		return check_deny(value, why);
	case PH__CONFIG_NONCE_SLOP:
	case PH__CONFIG_SECONDS:
		return check_number(value, SECONDS_MAX, why,
		                    "it takes a number of seconds; 0 for never");
	case PH__CONFIG_DAYS:
		return check_number(value, DAYS_MAX, why, "it takes a number of days; 0 for never");
	case PH__CONFIG_SIZE:
		return check_number(value, INT64_MAX, why,
		                    "it takes a number of bytes, with k, m or g behind it or "
		                    "without; 0 for any");
	case PH__CONFIG_NUMBER_UNUSED:
	case PH__CONFIG_TREE_DEPTH:
		return check_number(value, UINT32_MAX, why,
		                    "it takes a number, with k, m or g behind it or without");
	case PH__CONFIG_FSCK_ID:
		return check_severity(stored, value, why);
	case PH__CONFIG_FSCK_SKIPS:
		return check_skips(value, why);
	case PH__CONFIG_UNBORN:
		return check_words(value, unborn, 3, why, "it takes advertise, allow or ignore");
	case PH__CONFIG_PATHS:
		return check_path(value, why);
	case PH__CONFIG_HIDE:
	case PH__CONFIG_REFS:
		return check_hide(value, why);
	case PH__CONFIG_PACKFILE_URI:
		return check_packfile_uri(value, why);
	case PH__CONFIG_NONCE_SEED:
	case PH__CONFIG_CERT_KEY:
	case PH__CONFIG_SIGNER:
	case PH__CONFIG_REVOKED:
	case PH__CONFIG_SIGNERS_FILE:
	case PH__CONFIG_REVOKED_FILE:
		return check_cert(key->type, value, why);
	case PH__CONFIG_BUNDLE_VERSION:
		return check_words(value, version, 1, why, "the only version is 1");
	case PH__CONFIG_BUNDLE_MODE:
		return check_words(value, mode, 2, why, "it takes all or any");
	case PH__CONFIG_BUNDLE_HEURISTIC:
		return check_words(value, heuristic, 1, why, "it takes creationToken");
	case PH__CONFIG_BUNDLE_TOKEN:
		return check_number(value, UINT64_MAX, why,
		                    "it takes a number that grows with each bundle");
	case PH__CONFIG_BUNDLE_URI:
		return is_uri(value) ? PH_OK
		                     : wrong(why, "it must begin with https:// or http://, "
		                                  "without spaces");
	case PH__CONFIG_BUNDLE_FILTER:
	default:
		return check_filter(value, why);
	}
}

enum ph_status ph_config_check(const char *key, const char *value, const char **why)
{
	char stored[PH_CONFIG_KEY_MAX + 1];
	enum ph_status status = ph_config_key(stored, key);

	if (status != PH_OK) {
		*why = "there is no such key";
		return status;
	}
	if (strlen(value) > PH_CONFIG_VALUE_MAX)
		return wrong(why, "it is too long: at most 4096 bytes");
	if (!printable(value))
		return wrong(why, "it has control characters");
	return check_type(ph__config_find(stored), stored, value, why);
}
