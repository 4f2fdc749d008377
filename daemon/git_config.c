/* SPDX-License-Identifier: MIT */
/*
 * What of a repository's config says how it is to be read: core.repositoryFormatVersion and
 * extensions.* (gitrepository-layout, git-config). Includes do not count there, as in git. What is
 * not understood is refused, since the rest might be misread.
 */
#include "import.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES 64u
#define VALUE_BYTES 256u

struct found {
	unsigned version;
	char strange[NAME_BYTES]; /* an extension that is not known */
	char refs[VALUE_BYTES], objects[VALUE_BYTES];
};

/* A value up to its comment, without quotes and without blanks around it. */
static void take_value(char out[VALUE_BYTES], const char *at, const char *end)
{
	size_t len = 0;
	bool quoted = false;

	while (at < end && isspace((unsigned char)*at))
		at++;
	for (; at < end && len + 1 < VALUE_BYTES; at++) {
		if (!quoted && (*at == '#' || *at == ';'))
			break;
		if (*at == '"')
			quoted = !quoted;
		else
			out[len++] = *at;
	}
	while (len > 0 && isspace((unsigned char)out[len - 1]))
		len--;
	out[len] = '\0';
}

static void take(struct found *found, const char *section, const char *name, const char *value)
{
	/* These change nothing for who reads refs and objects only. */
	static const char *const harmless[] = {
	        "noop",           "noop-v1",           "preciousobjects",     "partialclone",
	        "worktreeconfig", "relativeworktrees", "submodulepathconfig", "compatobjectformat"};

	if (strcasecmp(section, "core") == 0 && strcasecmp(name, "repositoryformatversion") == 0)
		found->version = (unsigned)strtoul(value, NULL, 10);
	if (strcasecmp(section, "extensions") != 0)
		return;
	if (strcasecmp(name, "objectformat") == 0) {
		snprintf(found->objects, sizeof(found->objects), "%s", value);
		return;
	}
	if (strcasecmp(name, "refstorage") == 0) {
		snprintf(found->refs, sizeof(found->refs), "%s", value);
		return;
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		if (strcasecmp(name, harmless[i]) == 0)
			return;
	snprintf(found->strange, sizeof(found->strange), "%s", name);
}

/* A name of letters, digits and dashes; where it ends. Empty when it is longer than any we know. */
static const char *take_name(char out[NAME_BYTES], const char *at, const char *end)
{
	size_t len = 0;

	for (; at < end && (isalnum((unsigned char)*at) || *at == '-' || *at == '.'); at++)
		if (len + 1 < NAME_BYTES)
			out[len++] = *at;
	out[len + 1 < NAME_BYTES ? len : 0] = '\0';
	return at;
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && isspace((unsigned char)*at))
		at++;
	return at;
}

/* One line; section is that of the lines before it. */
static void read_line(struct found *found, char section[NAME_BYTES], const char *at,
                      const char *end)
{
	char name[NAME_BYTES], value[VALUE_BYTES];

	at = skip_blanks(at, end);
	if (at < end && *at == '[') {
		const char *close = memchr(at, ']', (size_t)(end - at));

		at = skip_blanks(take_name(section, at + 1, end), end);
		/* A section with a name of its own below it is another one. */
		if (!close || at != close)
			section[0] = '\0';
		at = close ? skip_blanks(close + 1, end) : end;
	}
	if (at == end || !isalpha((unsigned char)*at))
		return;
	at = skip_blanks(take_name(name, at, end), end);
	if (at < end && *at == '=')
		take_value(value, at + 1, end);
	else
		memcpy(value, "true", 5);
	take(found, section, name, value);
}

static enum ph_status judge(struct ph_import *import, const struct found *found)
{
	const char *objects = *found->objects ? found->objects : "sha1";

	if (found->version > 1)
		return ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                       "%s has format version %u, and 1 is the last that is known",
		                       import->from, found->version);
	if (*found->refs && strcasecmp(found->refs, "files") != 0)
		return ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                       "%s keeps its refs as %s, which cannot be read here; git "
		                       "refs migrate --ref-format=files changes that",
		                       import->from, found->refs);
	if (*found->strange && found->version > 0)
		return ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                       "%s has the extension %s, which is not known here",
		                       import->from, found->strange);
	if (ph_hash_from_name(&import->algo, objects, strlen(objects)) != PH_OK)
		return ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                       "%s has objects of the format %s; sha1 and sha256 are known",
		                       import->from, objects);
	return PH_OK;
}

enum ph_status ph__git_config(struct ph_import *import, const char *common)
{
	struct found found = {0};
	char path[PH_PATH_BYTES], section[NAME_BYTES] = "", *text = NULL;
	enum ph_status status = ph__import_path(import, path, common, "config");

	if (status == PH_OK)
		status = ph__import_text(import, path, &text);
	if (status != PH_OK)
		return status;
	for (const char *at = text; at && *at;) {
		const char *end = at + strcspn(at, "\n");

		read_line(&found, section, at, end);
		at = *end ? end + 1 : end;
	}
	free(text);
	return judge(import, &found);
}
