/* SPDX-License-Identifier: MIT */
/*
 * zlib streams. Two bytes declare the size, one chooses the pieces, the rest is the stream.
 * Inflating at once and in pieces must give the same bytes, the same end and the same verdict.
 */
#include <packhorse/inflate.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	enum ph_status status; /* PH_OK: it wants more than there is */
	size_t in_pos, out_pos;
	uint8_t out[65536];
};

static void *fuzz_alloc(void *user, size_t size)
{
	(void)user;
	return malloc(size);
}

static void *fuzz_resize(void *user, void *ptr, size_t size)
{
	(void)user;
	return realloc(ptr, size);
}

static void fuzz_free(void *user, void *ptr)
{
	(void)user;
	free(ptr);
}

static void inflate_in_pieces(struct ph_inflate *inflate, const uint8_t *in, size_t len,
                              size_t declared, size_t piece, struct result *result)
{
	size_t in_end = 0;
	size_t out_end = 0;

	memset(result, 0, sizeof(*result));
	ph_inflate_start(inflate, declared);
	for (;;) {
		size_t in_before = result->in_pos;
		size_t out_before = result->out_pos;
		/* Nothing more to give: the rest of the stream is missing. */
		bool all = in_end == len && (out_end == declared || result->out_pos < out_end);
		result->status = ph_inflate_step(inflate, in, &result->in_pos, in_end, result->out,
		                                 &result->out_pos, out_end);
		if (result->status != PH_OK)
			return;
		if (all && result->in_pos == in_before && result->out_pos == out_before)
			return;
		if (result->in_pos == in_end)
			in_end = len - in_end > piece ? in_end + piece : len;
		if (result->out_pos == out_end)
			out_end = declared - out_end > piece ? out_end + piece : declared;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct result one, two;
	struct ph_alloc alloc = {NULL, fuzz_alloc, fuzz_resize, fuzz_free};
	struct ph_inflate *inflate;
	size_t declared;

	if (size < 3)
		return 0;
	declared = (size_t)data[0] << 8 | data[1];
	if (ph_inflate_new(&inflate, &alloc) != PH_OK)
		abort();
	inflate_in_pieces(inflate, data + 3, size - 3, declared, 1u << 20, &one);
	inflate_in_pieces(inflate, data + 3, size - 3, declared, 1u + data[2], &two);
	if (one.status != two.status)
		abort();
	if (one.status == PH_END &&
	    (one.in_pos != two.in_pos || one.out_pos != declared || two.out_pos != declared ||
	     memcmp(one.out, two.out, declared) != 0))
		abort();
	ph_inflate_free(inflate);
	return 0;
}
