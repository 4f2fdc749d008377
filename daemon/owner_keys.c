/* SPDX-License-Identifier: MIT */
/*
 * Whose keys are accepted: the file given, or the invoking user's own. In a user's own files a line
 * with options is meant for a shell account and narrows it; such a key must not become an owner
 * here, so these lines are left out, and so are certificates.
 */
#include "daemon_int.h"
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_FILE_BYTES_MAX (4u << 20)
#define PATH_BYTES 4096

/* Whether a line begins with a key type rather than with options. */
static bool plain_key(const char *line)
{
	static const char *const types[] = {"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"};

	for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
		if (strncmp(line, types[i], strlen(types[i])) == 0)
			return true;
	return false;
}

static bool certificate(const char *line)
{
	size_t type = strcspn(line, " \t");

	for (size_t i = 0; i + 5 <= type; i++)
		if (strncmp(line + i, "-cert", 5) == 0)
			return true;
	return false;
}

/* Adds the lines of a user's own file that may be an owner's; text is cut up on the way. */
static unsigned own_lines(struct ph_keys *keys, char *text, const char *path,
                          const struct ph_log *log)
{
	unsigned total = 0, number = 0;

	for (char *next, *line = text; line; line = next) {
		unsigned accepted = 0;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		number++;
		line += strspn(line, " \t");
		if (*line == '\0' || *line == '#' || *line == '\r')
			continue;
		if (!plain_key(line) || certificate(line)) {
			fprintf(stderr, "keys: %s line %u left out: %s\n", path, number,
			        certificate(line) && plain_key(line)
			                ? "a certificate"
			                : "it has options; use --authorized-keys for such lines");
			continue;
		}
		if (ph_keys_add_text(keys, line, strlen(line), PH_PERM_OWNER, path, log,
		                     &accepted) == PH_OK)
			total += accepted;
	}
	return total;
}

static unsigned own_file(struct ph_keys *keys, const char *path, bool quiet,
                         const struct ph_log *log)
{
	size_t len;
	char *text = ph__read_file(path, KEYS_FILE_BYTES_MAX, &len);
	unsigned accepted;

	if (!text)
		return 0;
	accepted = own_lines(keys, text, path, log);
	free(text);
	if (accepted && !quiet)
		fprintf(stderr, "keys: %u from %s, as owner\n", accepted, path);
	return accepted;
}

static unsigned own_keys(struct ph_keys *keys, bool quiet, const struct ph_log *log)
{
	const struct passwd *user = getpwuid(getuid());
	const char *home = getenv("HOME");
	char path[PATH_BYTES];
	unsigned accepted = 0;
	glob_t found;

	if (!home || !*home)
		home = user ? user->pw_dir : "/";
	snprintf(path, sizeof path, "%s/.ssh/authorized_keys", home);
	accepted += own_file(keys, path, quiet, log);
	snprintf(path, sizeof path, "%s/.ssh/*.pub", home);
	if (glob(path, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			accepted += own_file(keys, found.gl_pathv[i], quiet, log);
		globfree(&found);
	}
	return accepted;
}

static bool given_file(struct ph_keys *keys, const struct ph_options *options,
                       const struct ph_log *log)
{
	unsigned accepted = 0;
	size_t len;
	char *text = ph__read_file(options->authorized_keys, KEYS_FILE_BYTES_MAX, &len);
	enum ph_status status;

	if (!text) {
		fprintf(stderr, "packhorse: cannot read the keys in %s: %s\n",
		        options->authorized_keys, strerror(errno));
		return false;
	}
	status = ph_keys_add_text(keys, text, len, PH_PERM_OWNER, options->authorized_keys, log,
	                          &accepted);
	free(text);
	if (status == PH_OK && accepted == 0 && !options->anon_read) {
		fprintf(stderr,
		        "packhorse: no usable key in %s; it takes lines as in a .pub file\n",
		        options->authorized_keys);
		return false;
	}
	if (status == PH_OK && !options->quiet)
		fprintf(stderr, "keys: %u from %s\n", accepted, options->authorized_keys);
	return status == PH_OK;
}

bool ph__keys_load(struct ph_keys *keys, const struct ph_options *options, const struct ph_log *log)
{
	if (options->authorized_keys)
		return given_file(keys, options, log);
	if (own_keys(keys, options->quiet, log) == 0 && !options->anon_read) {
		fputs("packhorse: no SSH key of yours found in ~/.ssh; make one with "
		      "ssh-keygen -t ed25519, or give a file of public keys with "
		      "--authorized-keys FILE\n",
		      stderr);
		return false;
	}
	return true;
}
