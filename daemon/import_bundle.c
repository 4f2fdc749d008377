/* SPDX-License-Identifier: MIT */
/*
 * A bundle as a source (gitformat-bundle, versions 2 and 3): a few lines, a blank one, a pack. It
 * is read once from front to end, so a pipe is as good as a file. A bundle with prerequisites goes
 * into a repository that has them.
 */
#include "import.h"
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)256 << 10)
/* A line: an id, a name or a comment. */
#define LINE_BYTES 8192u
/* Between two looks whether somebody has had enough of waiting. */
#define LOOK_MS 200
/* Commits that a bundle builds on; git writes one for each branch at its edge. */
#define PREREQUISITES_MAX 1000000u

struct bundle {
	struct ph_import *import;
	int fd;
	size_t at, filled;
	bool head; /* it says what HEAD is */
	struct ph_oid head_oid;
	struct ph_oid *needs;
	uint32_t needs_count, needs_size;
	char line[LINE_BYTES];
	uint8_t window[WINDOW_BYTES];
};

/* ---- bytes ---- */

/* More bytes; PH_END when there are none. */
static enum ph_status refill(struct bundle *bundle)
{
	struct pollfd source = {.fd = bundle->fd, .events = POLLIN};
	ssize_t n;

	bundle->at = bundle->filled = 0;
	do {
		if (ph__import_stops(bundle->import))
			return PH_ERR_BUSY;
		if (poll(&source, 1, LOOK_MS) == 0) {
			n = -1;
			errno = EINTR;
			continue;
		}
		n = read(bundle->fd, bundle->window, sizeof(bundle->window));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return ph__import_errno(bundle->import, bundle->import->from);
	bundle->filled = (size_t)n;
	return n > 0 ? PH_OK : PH_END;
}

static enum ph_status cut_off(struct bundle *bundle)
{
	return ph__import_fail(bundle->import, PH_ERR_TRUNCATED, "%s: the bundle is cut off",
	                       bundle->import->from);
}

static enum ph_status malformed(struct bundle *bundle)
{
	return ph__import_fail(bundle->import, PH_ERR_INVALID,
	                       "%s is neither a repository of git's nor a bundle, or it is damaged",
	                       bundle->import->from);
}

/* The next line, without its end. */
static enum ph_status next_line(struct bundle *bundle)
{
	size_t len = 0;

	for (;;) {
		char byte;
		enum ph_status status = bundle->at < bundle->filled ? PH_OK : refill(bundle);

		if (status != PH_OK)
			return status == PH_END ? cut_off(bundle) : status;
		byte = (char)bundle->window[bundle->at++];
		if (byte == '\n')
			break;
		/* A file of another kind may have no lines at all. */
		if (byte == '\0' || len + 1 == LINE_BYTES)
			return malformed(bundle);
		bundle->line[len++] = byte;
	}
	bundle->line[len] = '\0';
	return PH_OK;
}

/* ---- what stands in front of the pack ---- */

static enum ph_status take_capability(struct bundle *bundle)
{
	struct ph_import *import = bundle->import;
	const char *line = bundle->line;
	const char *value = strchr(line, '=');

	if (strncmp(line, "@object-format=", 15) == 0 && value)
		return ph_hash_from_name(&import->algo, value + 1, strlen(value + 1)) == PH_OK
		               ? PH_OK
		               : ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                                 "%s has objects of the format %s; sha1 and "
		                                 "sha256 are known",
		                                 import->from, value + 1);
	if (strncmp(line, "@filter=", 8) == 0)
		return ph__import_fail(import, PH_ERR_UNSUPPORTED,
		                       "%s leaves objects out (%s), and a repository here is whole",
		                       import->from, line + 1);
	return ph__import_fail(import, PH_ERR_UNSUPPORTED,
	                       "%s needs \"%.100s\", which is not known here", import->from,
	                       line + 1);
}

static enum ph_status take_need(struct bundle *bundle)
{
	struct ph_import *import = bundle->import;
	size_t hex = ph_hash_hex(import->algo);

	if (strcspn(bundle->line + 1, " ") != hex)
		return malformed(bundle);
	if (bundle->needs_count == PREREQUISITES_MAX)
		return ph__import_fail(import, PH_ERR_LIMIT, "%s builds on more than %u commits",
		                       import->from, PREREQUISITES_MAX);
	if (bundle->needs_count == bundle->needs_size) {
		uint32_t size = bundle->needs_size ? 2 * bundle->needs_size : 16;
		struct ph_oid *needs = realloc(bundle->needs, size * sizeof(*needs));

		if (!needs)
			return PH_ERR_NOMEM;
		bundle->needs = needs;
		bundle->needs_size = size;
	}
	if (ph_oid_from_hex(&bundle->needs[bundle->needs_count], import->algo, bundle->line + 1,
	                    hex) != PH_OK)
		return malformed(bundle);
	bundle->needs_count++;
	return PH_OK;
}

static enum ph_status take_ref(struct bundle *bundle)
{
	struct ph_import *import = bundle->import;
	size_t hex = ph_hash_hex(import->algo);
	const char *name = bundle->line + hex + 1;
	struct ph_oid oid;

	if (strcspn(bundle->line, " ") != hex || *name == '\0' ||
	    ph_oid_from_hex(&oid, import->algo, bundle->line, hex) != PH_OK)
		return malformed(bundle);
	if (strcmp(name, "HEAD") == 0) {
		bundle->head = true;
		bundle->head_oid = oid;
		return PH_OK;
	}
	return ph__import_ref(import, name, NULL, &oid);
}

static enum ph_status read_lines(struct bundle *bundle)
{
	enum ph_status status = next_line(bundle);
	bool third = status == PH_OK && strcmp(bundle->line, "# v3 git bundle") == 0;

	if (status != PH_OK)
		return status;
	bundle->import->algo = PH_HASH_SHA1;
	if (!third && strcmp(bundle->line, "# v2 git bundle") != 0)
		return malformed(bundle);
	while ((status = next_line(bundle)) == PH_OK && bundle->line[0] != '\0') {
		if (third && bundle->line[0] == '@')
			status = take_capability(bundle);
		else if (bundle->line[0] == '-')
			status = take_need(bundle);
		else
			status = take_ref(bundle);
		if (status != PH_OK)
			return status;
	}
	return status == PH_OK ? ph__import_refs_sort(bundle->import) : status;
}

/* ---- HEAD ---- */

static const struct ph_import_ref *branch(const struct ph_import *import, const char *name,
                                          const struct ph_oid *oid)
{
	for (uint32_t i = 0; i < import->refs.count; i++) {
		const struct ph_import_ref *ref = &import->refs.items[i];

		if (name ? strcmp(ref->name, name) != 0
		         : strncmp(ref->name, "refs/heads/", 11) != 0)
			continue;
		if (!oid || ph_oid_equal(&ref->oid, oid))
			return ref;
	}
	return NULL;
}

/* A bundle says what HEAD is, not which branch it names: that is guessed as git clone does. */
static enum ph_status guess_head(struct bundle *bundle)
{
	static const char *const usual[] = {"refs/heads/main", "refs/heads/master", NULL};
	struct ph_import *import = bundle->import;
	const struct ph_oid *oid = bundle->head ? &bundle->head_oid : NULL;

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		const struct ph_import_ref *ref = branch(import, usual[i], oid);

		if (!ref)
			continue;
		import->head = strdup(ref->name);
		return import->head ? PH_OK : PH_ERR_NOMEM;
	}
	if (bundle->head)
		import->detached = bundle->head_oid;
	return PH_OK;
}

/* ---- the pack ---- */

/* What it builds on must be here; that all of it is whole is proven with the refs. */
static enum ph_status check_needs(struct bundle *bundle)
{
	struct ph_import *import = bundle->import;
	const struct ph_source *source = import->base ? ph_snapshot_source(import->base) : NULL;

	for (uint32_t i = 0; i < bundle->needs_count; i++) {
		char hex[PH_OID_HEX_MAX + 1];
		struct ph_loc loc;
		enum ph_status found = source ? source->ops->find(source, &bundle->needs[i], &loc)
		                              : PH_ERR_NOT_FOUND;

		if (found == PH_OK)
			continue;
		if (found != PH_ERR_NOT_FOUND)
			return found;
		return ph__import_fail(import, PH_ERR_MISSING,
		                       "%s builds on the commit %s, which the repository has not; "
		                       "import an earlier bundle first, or one with all history",
		                       import->from,
		                       ph_oid_to_hex(hex, import->algo, &bundle->needs[i]));
	}
	return PH_OK;
}

static enum ph_status take_bytes(struct bundle *bundle)
{
	struct ph_import *import = bundle->import;
	enum ph_status status = PH_OK;

	while (status == PH_OK) {
		size_t used;

		if (bundle->at == bundle->filled && (status = refill(bundle)) != PH_OK)
			return status == PH_END ? cut_off(bundle) : status;
		status = ph__import_pack_write(import, bundle->window + bundle->at,
		                               bundle->filled - bundle->at, &used, import->from);
		bundle->at += used;
	}
	if (status != PH_END)
		return status;
	status = bundle->at < bundle->filled ? PH_OK : refill(bundle);
	if (status == PH_OK)
		return ph__import_fail(import, PH_ERR_INVALID, "%s has junk at its end",
		                       import->from);
	return status == PH_END ? PH_OK : status;
}

static enum ph_status take(struct bundle *bundle)
{
	struct ph_import *import = bundle->import;
	enum ph_status status = read_lines(bundle);

	if (status == PH_OK)
		status = guess_head(bundle);
	if (status == PH_OK)
		status = ph__import_begin(import);
	if (status == PH_OK)
		status = check_needs(bundle);
	if (status == PH_OK)
		status = ph__import_refs_compare(import);
	if (status == PH_OK)
		status = ph__import_pack_begin(import, "Reading objects");
	if (status == PH_OK)
		status = take_bytes(bundle);
	return status == PH_OK ? ph__import_pack_end(import, import->from) : status;
}

enum ph_status ph__import_bundle(struct ph_import *import, int fd)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	enum ph_status status;

	if (!bundle)
		return PH_ERR_NOMEM;
	bundle->import = import;
	bundle->fd = fd;
	status = take(bundle);
	free(bundle->needs);
	free(bundle);
	return status;
}
