/* SPDX-License-Identifier: MIT */
/*
 * What an archive parses, by the first byte: .gitattributes and a path, a format of export-subst, a
 * pathspec and a path, or a conversation with upload-archive over a small repository
 * (protocol/upload-archive/tests/archive_fixture.h), as raw bytes or as arguments between newlines.
 * Nothing may leak or grow beyond its limit, and what is hidden must not come out.
 */
#include "archive_fixture.h"
#include "attributes_int.h"
#include "options_int.h"
#include "pathspec_int.h"
#include "subst_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH "dir/some/file.c"

static void attributes(const struct ph_alloc *alloc, const uint8_t *data, size_t size)
{
	struct ph__attributes attributes;
	struct ph__attr_check check;
	struct ph__attr_file file;
	struct ph__text notes;
	uint32_t line, budget = 1u << 30;

	ph__text_init(&notes, alloc, 4096);
	if (ph__attributes_init(&attributes, alloc, &notes) != PH_OK)
		abort();
	if (ph__attr_file_parse(&attributes, &file, "f", true, data, size) == PH_OK) {
		ph__attr_check_begin(&attributes, &check);
		line = file.line_count;
		if (ph__attr_check_file(&attributes, &check, &file, PATH, strlen(PATH), &line,
		                        &budget) != PH_OK)
			abort();
		ph__attr_file_release(&attributes, &file);
	}
	if (attributes.kept != 0)
		abort();
	ph__attributes_release(&attributes);
	ph__text_release(&notes);
}

static void format(const struct ph_alloc *alloc, const uint8_t *data, size_t size)
{
	static const char commit[] = "tree 1212121212121212121212121212121212121212\n"
	                             "author A U <a@b> 1600000000 +0200\ncommitter C <> 0 -9999\n\n"
	                             "Subject of\ntwo lines\n\n\tbody \xe6\x97\xa5\xff\n\n";
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 0xab);
	struct ph__subst subst;
	struct ph__text out;
	uint32_t budget = 1u << 30;
	enum ph_status status;

	ph__subst_init(&subst, alloc, PH_HASH_SHA1);
	ph__text_init(&out, alloc, 1u << 20);
	if (ph__subst_commit(&subst, &oid, commit, strlen(commit)) != PH_OK)
		abort();
	subst.now_s = 1700000000;
	subst.short_commit = subst.short_tree = 7;
	status = ph__subst_format(&subst, &out, (const char *)data, size, &budget);
	if (status != PH_OK && status != PH_ERR_LIMIT)
		abort();
	if (status == PH_OK && out.len > PH__SUBST_BYTES_MAX + PH__SUBST_FORMAT_BYTES_MAX)
		abort();
	ph__text_release(&out);
	ph__subst_release(&subst);
}

static void pathspec(const struct ph_alloc *alloc, const uint8_t *data, size_t size)
{
	char text[513];
	struct ph__pathspec spec;
	const char *why;

	size = size < 512 ? size : 512;
	memcpy(text, data, size);
	text[size] = 0;
	if (ph__pathspec_parse(&spec, text, alloc, &why) != PH_OK)
		return;
	(void)ph__pathspec_match(&spec, PATH, strlen(PATH), false, false);
	(void)ph__pathspec_match(&spec, "dir", 3, true, false);
	ph__pathspec_release(&spec, alloc);
}

static void add_arguments(struct ph_test_buf *out, const uint8_t *data, size_t size)
{
	while (size) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t len = newline ? (size_t)(newline - data) : size;

		ph_test_buf_print(out, "%04xargument ", (unsigned)len + 13);
		ph_test_buf_append(out, data, len);
		len += newline != NULL;
		data += len;
		size -= len;
	}
	ph_test_buf_print(out, "0000");
}

static void conversation(struct afix *fix, bool raw, const uint8_t *data, size_t size)
{
	static const struct afix_pace pace = {100, 100000, 64, 1};
	struct ph_test_buf input = {0};
	struct afix_run run;

	if (raw)
		ph_test_buf_append(&input, data, size);
	else
		add_arguments(&input, data, size);
	afix_talk(fix, &input, &pace, &run);
	if ((run.status != 0 && run.status != 128) || run.flush != (run.status == 0))
		abort();
	afix_run_release(&run);
	ph_test_buf_release(&input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char attributes_text[] = "* export-subst\nbig export-ignore\n";
	static const char format_text[] = "$Format:%h %an %d$\n";
	static struct afix fix;
	int64_t live;

	if (size == 0 || size > 4096)
		return 0;
	if (!fix.store)
		afix_init(&fix, PH_HASH_SHA1, attributes_text, strlen(attributes_text), format_text,
		          strlen(format_text));
	live = fix.memory.live;
	switch (data[0] % 5) {
	case 0:
		attributes(&fix.memory.alloc, data + 1, size - 1);
		break;
	case 1:
		format(&fix.memory.alloc, data + 1, size - 1);
		break;
	case 2:
		pathspec(&fix.memory.alloc, data + 1, size - 1);
		break;
	default:
		conversation(&fix, data[0] % 5 == 3, data + 1, size - 1);
		break;
	}
	if (fix.memory.live != live)
		abort();
	return 0;
}
