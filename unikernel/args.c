/* SPDX-License-Identifier: MIT */
/*
 * Boot arguments. Names and forms are those of MirageOS, so that what starts its unikernels starts
 * ours: --name=VALUE or --name VALUE; of one given twice the last counts. Words without dashes
 * belong to the platform or are a hypervisor's own (console=ttyS0), and are left alone; but an
 * option whose dashes were forgotten is an error rather than an address that nobody has.
 */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, LIST, TRUTH, NUMBER, DONE };

struct option {
	const char *name, *value, *text;
	enum kind kind;
	size_t at, count_at; /* in struct ph__args */
	unsigned max;        /* NUMBER: the largest; LIST: how many */
};

#define AT(field) offsetof(struct ph__args, field)

static const struct option options[] = {
        {"ipv4", "ADDRESS/BITS", "IPv4 address (default: DHCP)", TEXT, AT(ipv4), 0, 0},
        {"ipv4-gateway", "ADDRESS", "IPv4 router", TEXT, AT(ipv4_gateway), 0, 0},
        {"ipv4-only", "BOOL", "no IPv6", TRUTH, AT(ipv4_only), 0, 0},
        {"ipv6", "ADDRESS/BITS", "IPv6 address", TEXT, AT(ipv6), 0, 0},
        {"ipv6-gateway", "ADDRESS", "IPv6 router", TEXT, AT(ipv6_gateway), 0, 0},
        {"ipv6-only", "BOOL", "no IPv4", TRUTH, AT(ipv6_only), 0, 0},
        {"accept-router-advertisements", "BOOL", "IPv6 addresses from routers (default: true)",
         TRUTH, AT(accept_router_advertisements), 0, 0},
        {"port", "PORT", "where to listen (default: 22)", NUMBER, AT(port), 0, 65535},
        {"name", "NAME", "host name, told to the DHCP server", TEXT, AT(name), 0, 0},
        {"ssh-key", "KEY", "host key: ed25519:BASE64-OF-SEED, or an OpenSSH key in base64", TEXT,
         AT(ssh_key), 0, 0},
        {"authorized-key", "KEY", "who may log in, repeatable: 'ssh-ed25519 AAAA... name', or",
         LIST, AT(authorized), AT(authorized_count), PH__AUTHORIZED_MAX},
        {"anon-read", "BOOL", "anybody may clone, without a key", TRUTH, AT(anon_read), 0, 0},
        {"initialize-disk", "BOOL", "make a store on a blank disk", TRUTH, AT(initialize_disk), 0,
         0},
        {"logs", "LEVELS", "LEVEL or *:info,ssh:debug; quiet, error, warning, info, debug", LIST,
         AT(logs), AT(logs_count), PH__AUTHORIZED_MAX},
        {"loss-in", "N", "measurements: loses one packet in N that arrive", NUMBER, AT(loss_in), 0,
         1000000},
        {"loss-out", "N", "measurements: loses one packet in N that leave", NUMBER, AT(loss_out), 0,
         1000000},
        {"help", "", "this text", DONE, AT(help), 0, 0},
        {"version", "", "the version", DONE, AT(version), 0, 0},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static bool fail(struct ph__args *args, const char *what, const char *word, size_t len)
{
	char shown[80];
	size_t n = 0;

	for (; n < len && n + 1 < sizeof(shown); n++)
		shown[n] = word[n] < 0x20 || word[n] == 0x7f ? '?' : word[n];
	shown[n] = '\0';
	snprintf(args->error, sizeof(args->error), "%s%s%s", what, n ? ": " : "", shown);
	return false;
}

static bool fail_option(struct ph__args *args, const char *what, const struct option *option)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", option->name);
	return fail(args, what, name, strlen(name));
}

static const struct option *find(const char *name, size_t len)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
			return &options[i];
	return NULL;
}

static bool is_truth(const char *text)
{
	return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static bool read_number(const char *text, unsigned max, unsigned *out)
{
	unsigned long long number = 0;

	if (!*text || strlen(text) > 9)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = number * 10 + (unsigned)(*text - '0');
	}
	*out = (unsigned)number;
	return number > 0 && number <= max;
}

/* value is NULL where none was given, which only a truth may be without. */
static bool set(struct ph__args *args, const struct option *option, const char *value)
{
	char *at = (char *)args + option->at;
	unsigned *count = (unsigned *)(void *)((char *)args + option->count_at);

	if (option->kind == DONE && value)
		return fail_option(args, "takes no value", option);
	if (option->kind == DONE || (option->kind == TRUTH && !value)) {
		*(bool *)at = true;
		return true;
	}
	if (!value || !*value)
		return fail_option(args, "a value is missing", option);
	if (option->kind == TRUTH) {
		*(bool *)at = value[0] == 't';
		return is_truth(value) || fail_option(args, "true or false is meant", option);
	}
	if (option->kind == NUMBER)
		return read_number(value, option->max, (unsigned *)(void *)at) ||
		       fail_option(args, "not a number that fits", option);
	if (option->kind == TEXT) {
		*(const char **)(void *)at = value;
		return true;
	}
	if (*count == option->max)
		return fail_option(args, "given too often", option);
	((const char **)(void *)at)[(*count)++] = value;
	return true;
}

/* Not ours: remembered for one line that says so. */
static bool leave(struct ph__args *args, const char *word)
{
	size_t used = strlen(args->left), name = strcspn(word, "=");

	if (word[name] && find(word, name))
		return fail(args, "two dashes belong before it", word, name);
	snprintf(args->left + used, sizeof(args->left) - used, "%s%s", used ? " " : "", word);
	return true;
}

/* One word, with next where that can be its value; *used is set when it was. */
static bool take(struct ph__args *args, const char *word, const char *next, bool *used)
{
	const struct option *option = NULL;
	const char *value = NULL;
	size_t len = strcspn(word, "=");

	if (word[0] != '-')
		return leave(args, word);
	if (strcmp(word, "--") == 0)
		return true;
	if (strncmp(word, "--", 2) == 0) {
		option = find(word + 2, len - 2);
		value = word[len] ? word + len + 1 : NULL;
	} else if (word[1] == 'l') {
		option = find("logs", 4);
		value = word[2] ? word + 2 : NULL;
	} else if (strcmp(word, "-v") == 0) {
		option = find("version", 7);
	}
	if (!option)
		return fail(args, "unknown option, try --help", word, len);
	if (!value && next && option->kind != DONE && (option->kind != TRUTH || is_truth(next))) {
		value = next;
		*used = true;
	}
	return set(args, option, value);
}

static bool check_name(struct ph__args *args)
{
	size_t len = args->name ? strlen(args->name) : 0;

	for (size_t i = 0; i < len; i++)
		if (args->name[i] <= ' ' || args->name[i] > '~')
			len = 64;
	return len < 64 || fail(args, "not a name", "--name", 6);
}

bool ph__args_parse(struct ph__args *out, char *text)
{
	static char *words[PH__WORDS_MAX];
	unsigned count;

	memset(out, 0, sizeof(*out));
	out->port = 22;
	out->accept_router_advertisements = true;
	enum ph_status status = ph__words_split(text, words, PH__WORDS_MAX, &count);
	if (status != PH_OK)
		return fail(out, status == PH_ERR_LIMIT ? "too many words" : "a quote is left open",
		            "", 0);
	for (unsigned i = 0; i < count; i++) {
		bool used = false;

		if (!take(out, words[i], i + 1 < count ? words[i + 1] : NULL, &used))
			return false;
		i += used;
		if (out->help || out->version)
			return true;
	}
	if (out->ipv4_only && out->ipv6_only)
		return fail(out, "--ipv4-only and --ipv6-only exclude each other", "", 0);
	return check_name(out);
}

const char *ph__args_help(unsigned line, char *buf)
{
	if (line == 0)
		return "packhorse " PH_VERSION ": a machine that is nothing but a Git server";
	if (line == 1 || line > OPTIONS + 1)
		return line == 1 ? "" : NULL;
	const struct option *option = &options[line - 2];
	char name[48];
	snprintf(name, sizeof(name), "--%s%s%s", option->name, *option->value ? "=" : "",
	         option->value);
	snprintf(buf, 128, "  %-38s %s%s", name, option->text,
	         option->kind == LIST && option->at == AT(authorized) ? " TYPE:BASE64" : "");
	return buf;
}
