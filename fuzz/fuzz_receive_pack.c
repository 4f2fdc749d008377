/* SPDX-License-Identifier: MIT */
/*
 * A whole push over a small store in memory: the first byte chooses how (bit 0: a repository with a
 * history is there; bit 1: byte by byte; bit 2: version 1; bit 3: with a history, settings that let
 * pushes do more; bit 4: the pack's trailer is made right; bits 5 and up: the budget), the rest is
 * what the client sends. Everything that comes out must be whole packets, and the store must be
 * readable afterwards, and as it was when nothing was said to be done. Links ph_push_support.
 */
#include "push_support.h"

#include <packhorse/pkt.h>
#include <stdlib.h>
#include <string.h>

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

/* What an owner may have set so that a client's requests get further. */
static void set_settings(struct fixture *f)
{
	static const char text[] = "receive.advertisepushoptions=true\n"
	                           "receive.certnonceseed=seed\n"
	                           "receive.shallowupdate=true\n"
	                           "receive.denydeletes=true\n"
	                           "receive.denynonfastforwards=true\n"
	                           "receive.hiderefs=refs/hidden\n";
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;

	if (ph_store_snapshot(f->store, "demo", &snapshot) != PH_OK ||
	    ph_store_begin(f->store, snapshot, &txn) != PH_OK ||
	    ph_txn_set_setting(txn, "config", text, sizeof(text) - 1) != PH_OK ||
	    ph_txn_commit(txn, NULL, NULL) != PH_OK)
		abort();
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
}

/* Some signatures are good. */
static enum ph_status verify(void *user, const uint8_t *key, size_t key_len,
                             const uint8_t *signature, size_t signature_len, const uint8_t *message,
                             size_t message_len)
{
	(void)user;
	(void)key;
	(void)key_len;
	(void)signature;
	(void)message;
	return (signature_len ^ message_len) & 1 ? PH_OK : PH_ERR_DENIED;
}

/* The hash behind the last thing that looks like a pack. */
static void seal(struct ph_test_buf *input)
{
	static const char magic[8] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
	struct ph_test_buf file = {0};

	for (size_t at = input->len < 32 ? 0 : input->len - 31; at-- > 0;) {
		if (memcmp(input->data + at, magic, sizeof(magic)) != 0)
			continue;
		ph_test_buf_append(&file, input->data + at, input->len - at);
		ph_test_packfile_seal(PH_HASH_SHA1, &file);
		memcpy(input->data + at, file.data, file.len);
		ph_test_buf_release(&file);
		return;
	}
}

static void make_world(struct fixture *f, uint8_t mode)
{
	static const uint8_t key[] = "a key";

	fixture_init(f, PH_HASH_SHA1);
	small_limits(&f->limits);
	f->service.key = key;
	f->service.key_len = sizeof(key);
	f->service.verify = verify;
	if (mode & 1)
		push_history(f, "demo");
	if ((mode & 9) == 9)
		set_settings(f);
}

/* Of no ref it was said that it changed: then nothing may have. */
static void expect_same(const struct ph_test_buf *before, const struct ph_test_buf *after,
                        const struct answer *answer)
{
	bool reported = says(answer, "unpack ") || answer->exit_status != 0;

	if (reported && !says(answer, "ok refs/") &&
	    (before->len != after->len || memcmp(before->data, after->data, after->len) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_test_buf input = {0}, before = {0}, after = {0};
	struct fixture f;
	struct answer answer;
	struct pump how = {.feed = FEED_AT_ONCE};
	uint8_t mode = size ? data[0] : 0;

	make_world(&f, mode);
	store_text(&f, &before);
	how.feed = mode & 2 ? FEED_BYTES : FEED_AT_ONCE;
	how.budget = 1u + (uint32_t)(mode >> 5) * 32;
	if (size)
		ph_test_buf_append(&input, data + 1, size - 1);
	if (mode & 16)
		seal(&input);
	if (push_how(&f, "demo", mode & 4 ? 1 : 0, &how, &input, &answer) != PH_OK || !answer.done)
		abort();
	expect_packets(&answer.out);
	store_text(&f, &after);
	expect_same(&before, &after, &answer);
	answer_release(&answer);
	ph_test_buf_release(&input);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
	fixture_release(&f);
	return 0;
}
