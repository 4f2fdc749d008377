/* SPDX-License-Identifier: MIT */
/*
 * Conversations with upload-pack over a small repository (protocol/upload-pack/tests/fixture.h).
 * The first byte chooses protocol, pace and configuration. Then either raw bytes, or lines that
 * become packets: "0000", "0001" and "0002" alone are the special ones, and "$" with the next byte
 * is an object's id. What is asked must not leak memory, and what is under no ref must not come
 * out.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_line(const struct fix *fix, struct ph_test_buf *out, const uint8_t *line,
                     size_t len)
{
	struct ph_test_buf text = {0};

	if (len == 4 && memcmp(line, "000", 3) == 0 && line[3] <= '2') {
		ph_test_buf_append(out, line, 4);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '$' && i + 1 < len)
			ph_test_buf_print(&text, "%s", fix->name[line[++i] % fix->names].hex);
		else
			ph_test_buf_append(&text, &line[i], 1);
	}
	if (text.len <= 65000) {
		ph_test_buf_print(out, "%04x", (unsigned)text.len + 5);
		ph_test_buf_append(out, text.data, text.len);
		ph_test_buf_append(out, "\n", 1);
	}
	ph_test_buf_release(&text);
}

static void add_lines(const struct fix *fix, struct ph_test_buf *out, const uint8_t *data,
                      size_t size)
{
	while (size) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t len = newline ? (size_t)(newline - data) : size;

		add_line(fix, out, data, len);
		len += newline != NULL;
		data += len;
		size -= len;
	}
}

/* Everything that a client has to be allowed to use, and a hidden ref. */
static void configure(struct fix *fix)
{
	struct ph_test_buf config = {0};

	ph_test_buf_print(&config,
	                  "uploadpack.allowrefinwant=true\nuploadpack.allowsidebandall=true\n"
	                  "uploadpack.allowreachablesha1inwant=true\ntransfer.advertisesid=true\n"
	                  "transfer.advertiseobjectinfo=true\nuploadpack.advertisebundleuris=true\n"
	                  "bundle.version=1\nbundle.mode=any\nbundle.b.uri=https://example.org/b\n"
	                  "transfer.hiderefs=refs/heads/side\n"
	                  "uploadpack.blobpackfileuri=%s %s https://example.org/p\n",
	                  fix_hex(fix, "b2"), fix_hex(fix, "x2"));
	ph_test_buf_append(&config, "", 1);
	fix_set_config(fix, (const char *)config.data);
	ph_test_buf_release(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fix_pace paces[] = {
	        {SIZE_MAX, SIZE_MAX, 4096, 0}, {1, SIZE_MAX, 1, 0}, {100, 1000, 7, 1}};
	static struct fix fixes[2];
	static bool made;
	struct fix *fix = &fixes[size > 0 && (data[0] & 0x20) != 0];
	struct ph_test_buf input = {0};
	struct fix_run run;
	int64_t live;

	if (size == 0 || size > 4096)
		return 0;
	if (!made) {
		fix_init(&fixes[0], PH_HASH_SHA1);
		fix_init(&fixes[1], PH_HASH_SHA1);
		configure(&fixes[1]);
		made = true;
	}
	live = fix->memory.live;
	if (data[0] & 0x40)
		add_lines(fix, &input, data + 1, size - 1);
	else
		ph_test_buf_append(&input, data + 1, size - 1);
	fix_talk(fix, (data[0] & 3) % 3, &input, &paces[(data[0] >> 2 & 3) % 3], &run);
	if (fix->memory.live != live || (run.status != 0 && run.status != 128))
		abort();
	fix_run_release(&run);
	ph_test_buf_release(&input);
	return 0;
}
