/* SPDX-License-Identifier: MIT */
/*
 * A finding of a scrub as a line for people: where, what, which objects, and what that means. The
 * same line stands in a log, in what a tool prints and in what an owner is told.
 */
#include <packhorse/scrub.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct line {
	char *text;
	size_t len, size;
};

static void add(struct line *line, const char *format, ...) PH_PRINTF(2, 3);

static void add(struct line *line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line->text + line->len, line->size - line->len, format, args);
	va_end(args);
	if (len > 0)
		line->len += (size_t)len;
	if (line->len >= line->size)
		line->len = line->size - 1;
}

static void add_objects(struct line *line, const struct ph_finding *finding)
{
	char hex[PH_OID_HEX_MAX + 1];
	if (finding->objects == 0)
		return;
	add(line, "; %" PRIu64 " object%s hit", finding->objects,
	    finding->objects == 1 ? " is" : "s are");
	for (uint32_t i = 0; i < finding->oid_count; i++)
		add(line, "%s%s", i ? " " : ": ",
		    ph_oid_to_hex(hex, finding->algo, &finding->oids[i]));
	if (finding->objects > finding->oid_count && finding->oid_count > 0)
		add(line, " and more");
	if (finding->deltas > 0)
		add(line, "; %" PRIu64 " more %s on them", finding->deltas,
		    finding->deltas == 1 ? "is a delta" : "are deltas");
}

void ph_finding_line(const struct ph_finding *finding, char *text, size_t size)
{
	struct line line = {text, 0, size};
	if (size == 0)
		return;
	text[0] = '\0';
	if (finding->repo[0])
		add(&line, "repository %s: ", finding->repo);
	add(&line, "%s: %s", finding->what, ph_status_text(finding->status));
	add_objects(&line, finding);
	if (finding->advice[0])
		add(&line, "; %s", finding->advice);
	/* Names come from what is stored, which may be anything. */
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
}
