/* SPDX-License-Identifier: MIT */
/*
 * A whole push over a small store in memory: the first byte chooses how (bit 0: a repository with a
 * history is there; bit 1: byte by byte; bit 2: version 1; bits 3 and up: the budget), the rest is
 * what the client sends. Everything that comes out must be whole packets, and the store must be
 * readable afterwards. Links ph_push_support.
 */
#include "push_support.h"

#include <packhorse/pkt.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void small_limits(struct ph_limits *limits)
{
	limits->object_bytes_max = 1u << 20;
	limits->metadata_bytes_max = 1u << 16;
	limits->delta_resident_bytes_max = 1u << 12;
	limits->delta_cache_bytes_max = 1u << 14;
	limits->delta_depth_max = 16;
	limits->pack_bytes_max = 1u << 20;
	limits->pack_objects_max = 1000;
	limits->inflate_slack_bytes = 1u << 20;
	limits->commands_max = 64;
	limits->shallows_max = 64;
	limits->walk_objects_max = 10000;
}

static void expect_packets(const struct ph_test_buf *out)
{
	struct ph_pkt packet;
	size_t used;

	for (size_t at = 0; at < out->len; at += used)
		if (ph_pkt_parse(&packet, &used, out->data + at, out->len - at) != PH_OK)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_test_buf input = {0}, text = {0};
	struct fixture f;
	struct answer answer;
	struct pump how = {.feed = FEED_AT_ONCE};
	uint8_t mode = size ? data[0] : 0;

	fixture_init(&f, PH_HASH_SHA1);
	small_limits(&f.limits);
	if (mode & 1)
		push_history(&f, "demo");
	how.feed = mode & 2 ? FEED_BYTES : FEED_AT_ONCE;
	how.budget = 1u + (uint32_t)(mode >> 3) * 8;
	if (size)
		ph_test_buf_append(&input, data + 1, size - 1);
	if (push_how(&f, "demo", mode & 4 ? 1 : 0, &how, &input, &answer) != PH_OK || !answer.done)
		abort();
	expect_packets(&answer.out);
	store_text(&f, &text);
	answer_release(&answer);
	ph_test_buf_release(&input);
	ph_test_buf_release(&text);
	fixture_release(&f);
	return 0;
}
