/* SPDX-License-Identifier: MIT */
/*
 * A signed push: what comes is the text of a certificate, as packets of lines, over a repository
 * that requires one of the connection's key. The first byte says how it is fed; bit 0 has it signed
 * after all, so that commands of any form are reached. Whatever is taken has to have been signed.
 */
#include "cert_support.h"
#include "push_support.h"

#include <packhorse/pkt.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void configure(struct fixture *f)
{
	static const char text[] = "receive.certnonceseed=seed\npackhorse.requirecert=true\n"
	                           "packhorse.certkey=connection\n";
	struct ph_snapshot *base;
	struct ph_txn *txn;

	if (ph_store_snapshot(f->store, "demo", &base) != PH_OK ||
	    ph_store_begin(f->store, base, &txn) != PH_OK ||
	    ph_txn_set_setting(txn, "config", text, sizeof(text) - 1) != PH_OK ||
	    ph_txn_prepare(txn) != PH_OK || ph_txn_commit(txn, NULL, NULL) != PH_OK)
		abort();
	ph_snapshot_release(base);
	ph_txn_free(txn);
}

static void put_lines(struct ph_test_buf *out, const struct ph_test_buf *text)
{
	pkt(out, "push-cert\0 report-status", 24);
	for (size_t at = 0; at < text->len;) {
		const uint8_t *lf = memchr(text->data + at, '\n', text->len - at);
		size_t len = lf ? (size_t)(lf - text->data) + 1 - at : text->len - at;

		if (len > 65000)
			len = 65000;
		pkt(out, text->data + at, len);
		at += len;
	}
	pkt_text(out, "push-cert-end\n");
	flush(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_test_buf input = {0}, text = {0}, before = {0}, after = {0};
	uint8_t key[CERT_KEY_BYTES], mode = size ? data[0] : 0;
	struct pump how = {.feed = mode & 2 ? FEED_RANDOM : FEED_AT_ONCE,
	                   .budget = 1u + (mode >> 2)};
	struct answer answer;
	struct fixture f;

	fixture_init(&f, PH_HASH_SHA1);
	f.limits.commands_max = 64;
	f.limits.certificate_bytes_max = 1u << 16;
	f.limits.certificate_lines_max = 256;
	cert_key(1, key);
	f.service.key = key;
	f.service.key_len = sizeof(key);
	f.service.verify = cert_verify;
	push_history(&f, "demo");
	configure(&f);
	store_text(&f, &before);
	if (size)
		ph_test_buf_append(&text, data + 1, size - 1);
	if (mode & 1)
		cert_put_signature(&text, text.data, text.len, "git", 1, 1);
	put_lines(&input, &text);
	pack_of(&f, NULL, 0, &input);
	if (push_how(&f, "demo", 0, &how, &input, &answer) != PH_OK || !answer.done)
		abort();
	store_text(&f, &after);
	/* Nobody knows the key but who signs above. */
	if (!(mode & 1) && !cert_find(&text, "SSH SIGNATURE") &&
	    (before.len != after.len || memcmp(before.data, after.data, after.len) != 0))
		abort();
	answer_release(&answer);
	ph_test_buf_release(&input);
	ph_test_buf_release(&text);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
	fixture_release(&f);
	return 0;
}
