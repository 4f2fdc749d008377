/* SPDX-License-Identifier: MIT */
/*
 * Signed pushes: the nonce, certificates of every kind, what the configuration insists on, and what
 * is kept. Keys and signatures are the test's own, so that certificates can be made here; real ones
 * are tests of ssh/verify and of tests/interop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cert_support.h"
#include "push_support.h"

#include <packhorse/hash.h>
#include <packhorse/pkt.h>
#include <packhorse/reader.h>
#include <packhorse/sshsig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPS "report-status object-format=sha1"
#define NOW "1700000000"
/* HMAC-SHA-1 of "demo:1700000000" with the key "seed", by another program. */
#define NONCE NOW "-6c827ed44e373961318ca7915fe4c7e06cba6678"
#define NONCE_LONG NOW "-cc9b8b6dba73c7c2e6256225453367b477698920"
#define NONCE_SHA256 NOW "-9cc0bff1deb869ed1ee6c2da0b46ba198c77563d4b1f98911e8fa5c9e361dc07"
#define SEEDED "receive.certnonceseed=seed\n"
#define REQUIRED SEEDED "packhorse.requirecert=true\n"

static struct fixture f;
static struct ph_test_buf request, config, cert;
static struct answer answer;
static struct ph_push_certificate seen;
static char seen_signer[64], seen_key[PH_FINGERPRINT_BYTES], seen_nonce[16];
static unsigned seen_count;

/* ---- the world ---- */

static enum ph_status verify_nothing(void *user, const uint8_t *key, size_t key_len,
                                     const uint8_t *signature, size_t signature_len,
                                     const uint8_t *message, size_t message_len)
{
	(void)user;
	(void)key;
	(void)key_len;
	(void)signature;
	(void)signature_len;
	(void)message;
	(void)message_len;
	return PH_ERR_UNSUPPORTED;
}

static void put_signer(const char *key, const char *principals, const char *options, uint8_t number)
{
	uint8_t bytes[CERT_KEY_BYTES];
	struct ph_test_buf text = {0};

	cert_key(number, bytes);
	cert_put_base64(&text, bytes, sizeof(bytes));
	/* Without the ends of lines of a signature. */
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\n') {
			memmove(text.data + i, text.data + i + 1, text.len - i - 1);
			text.len--;
		}
	ph_test_buf_print(&config, "%s=%s%s%s%sssh-ed25519 %.*s\n", key, principals,
	                  *principals ? " " : "", options, *options ? " " : "", (int)text.len,
	                  (char *)text.data);
	ph_test_buf_release(&text);
}

static enum ph_status on_pre_receive(void *user, const struct ph_push *push, const char **why)
{
	(void)user;
	(void)why;
	memset(&seen, 0, sizeof(seen));
	seen_count++;
	if (!push->certificate)
		return PH_OK;
	seen = *push->certificate;
	snprintf(seen_signer, sizeof(seen_signer), "%s", seen.signer ? seen.signer : "");
	snprintf(seen_key, sizeof(seen_key), "%s", seen.key ? seen.key : "");
	snprintf(seen_nonce, sizeof(seen_nonce), "%s", seen.nonce_status);
	return PH_OK;
}

static const struct ph_policy policy = {.pre_receive = on_pre_receive};

static void with_format(enum ph_hash_algo algo)
{
	fixture_init(&f, algo);
	f.service.verify = cert_verify;
	f.service.policy = &policy;
	push_history(&f, "demo");
	seen_count = 0;
}

static void again(void)
{
	answer_release(&answer);
	memset(&answer, 0, sizeof(answer));
	ph_test_buf_clear(&request);
	ph_test_buf_clear(&cert);
	ph_test_buf_clear(&config);
	seen_count = 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&request, 0, sizeof(request));
	memset(&config, 0, sizeof(config));
	memset(&cert, 0, sizeof(cert));
	memset(&answer, 0, sizeof(answer));
	with_format(PH_HASH_SHA1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	again();
	ph_test_buf_release(&request);
	ph_test_buf_release(&config);
	ph_test_buf_release(&cert);
	fixture_release(&f);
	return 0;
}

/* What is in config, with this in front. */
static void configure(const char *text)
{
	struct ph_test_buf all = {0};
	struct ph_snapshot *base;
	struct ph_txn *txn;

	ph_test_buf_print(&all, "%s", text);
	ph_test_buf_append(&all, config.data, config.len);
	assert_int_equal(ph_store_snapshot(f.store, "demo", &base), PH_OK);
	assert_int_equal(ph_store_begin(f.store, base, &txn), PH_OK);
	ph_snapshot_release(base);
	assert_int_equal(ph_txn_set_setting(txn, "config", all.data, all.len), PH_OK);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_test_buf_release(&all);
}

/* ---- certificates ---- */

static void put_head(const char *nonce, const char *more)
{
	ph_test_buf_print(&cert, "certificate version 0.1\npusher alice " NOW " +0000\n"
	                         "pushee ssh://host/demo\n");
	if (nonce)
		ph_test_buf_print(&cert, "nonce %s\n", nonce);
	ph_test_buf_print(&cert, "%s\n", more);
}

/* A certificate that creates refs/heads/x, signed by key 1. */
static void put_good(void)
{
	put_head(NONCE, "");
	ph_test_buf_print(&cert, "%s %s refs/heads/x\n", zero(&f), hex(&f, f.commit[0]));
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
}

/* The certificate's lines, each a packet. */
static void put_cert(const char *caps, bool end)
{
	struct ph_test_buf first = {0};

	ph_test_buf_append(&first, "push-cert", 10);
	ph_test_buf_print(&first, "%s", caps);
	pkt(&request, first.data, first.len);
	ph_test_buf_release(&first);
	for (size_t at = 0; at < cert.len;) {
		const uint8_t *lf = memchr(cert.data + at, '\n', cert.len - at);
		size_t len = lf ? (size_t)(lf - cert.data) + 1 - at : cert.len - at;

		pkt(&request, cert.data + at, len);
		at += len;
	}
	if (end)
		pkt_text(&request, "push-cert-end\n");
}

static void send_request(bool pack)
{
	if (pack)
		pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
}

static void send_cert(void)
{
	put_cert(CAPS, true);
	flush(&request);
	send_request(true);
}

/* Objects in all packs together. */
static uint64_t objects(void)
{
	struct ph_snapshot *now;
	uint64_t count;

	assert_int_equal(ph_store_snapshot(f.store, "demo", &now), PH_OK);
	count = ph_source_objects(ph_snapshot_source(now));
	ph_snapshot_release(now);
	return count;
}

/* Whether the certificate is an object, byte for byte: its id says so. */
static bool is_kept(void)
{
	struct ph_snapshot *now;
	struct ph_oid oid;
	struct ph_loc loc;
	struct ph_entry entry;
	enum ph_status status;

	ph_hash_object(&oid, f.algo, PH_OBJ_BLOB, cert.data, cert.len);
	assert_int_equal(ph_store_snapshot(f.store, "demo", &now), PH_OK);
	status = ph_snapshot_source(now)->ops->find(ph_snapshot_source(now), &oid, &loc);
	if (status == PH_OK) {
		const struct ph_source *source = ph_snapshot_source(now);

		assert_int_equal(source->ops->entry(source, loc, &entry), PH_OK);
		assert_int_equal(entry.type, PH_OBJ_BLOB);
		assert_int_equal(entry.size, cert.len);
	}
	ph_snapshot_release(now);
	return status == PH_OK;
}

static void expect_text_kept(void)
{
	struct ph_snapshot *now;
	struct ph_reader *reader;
	struct ph_object object;
	struct ph_oid oid;

	ph_hash_object(&oid, f.algo, PH_OBJ_BLOB, cert.data, cert.len);
	assert_true(ph_oid_equal(&oid, &seen.blob));
	assert_int_equal(ph_store_snapshot(f.store, "demo", &now), PH_OK);
	assert_int_equal(
	        ph_reader_new(&reader, ph_snapshot_source(now), &f.memory.alloc, &f.limits), PH_OK);
	assert_int_equal(ph_reader_read_oid(reader, &oid, UINT64_MAX, &object), PH_OK);
	assert_int_equal(object.size, cert.len);
	assert_memory_equal(object.data, cert.data, cert.len);
	ph_object_release(reader, &object);
	ph_reader_free(reader);
	ph_snapshot_release(now);
}

static void expect_taken(char status, const char *nonce)
{
	expect_report(&answer, "unpack ok\nok refs/heads/x\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/x"), hex(&f, f.commit[0]));
	assert_int_equal(seen_count, 1);
	assert_int_equal(seen.status, status);
	assert_string_equal(seen_nonce, nonce);
	expect_text_kept();
}

/* Refused as a whole, and nothing is left of it. */
static void expect_refused(const char *ng, const char *told)
{
	char report[256];
	uint64_t count = objects();

	snprintf(report, sizeof(report), "unpack ok\nng refs/heads/x %s\n", ng);
	expect_report(&answer, report);
	if (!says(&answer, told))
		fail_msg("told: %.*s", (int)answer.err.len, (const char *)answer.err.data);
	assert_string_equal(ref_value(&f, "demo", "refs/heads/x"), "");
	assert_int_equal(seen_count, 0);
	assert_false(is_kept());
	assert_int_equal(objects(), count);
}

/* ---- the offer ---- */

static void expect_offer(const char *nonce)
{
	ph_test_buf_clear(&request);
	flush(&request);
	push(&f, "demo", &request, &answer);
	ph_test_buf_append(&answer.out, "", 1);
	if (!nonce) {
		assert_null(cert_find(&answer.out, "push-cert"));
	} else {
		char text[200];

		snprintf(text, sizeof(text), " push-cert=%s ", nonce);
		assert_non_null(cert_find(&answer.out, text));
	}
	again();
}

static enum ph_status nines(void *user, void *buf, size_t len)
{
	(void)user;
	memset(buf, 9, len);
	return PH_OK;
}

static void test_offer(void **state)
{
	char text[256];

	(void)state;
	expect_offer(NULL);
	configure("packhorse.certkey=any\npackhorse.requirecert=false\n");
	expect_offer(NULL);
	configure(SEEDED);
	expect_offer(NONCE);
	snprintf(text, sizeof(text), "receive.certnonceseed=%0100d\n", 0);
	for (char *at = text; *at; at++)
		*at = *at == '0' ? 's' : *at;
	configure(text);
	expect_offer(NONCE_LONG);
	/* Without a seed it is nobody's. */
	f.service.random = nines;
	configure("packhorse.requirecert=true\n");
	push(&f, "demo", &request, &answer);
	assert_non_null(cert_find(&answer.out, " push-cert=" NOW "-"));
	again();
	f.service.random = NULL;
	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.exit_status, 128);
	again();
	fixture_release(&f);
	with_format(PH_HASH_SHA256);
	configure(SEEDED);
	expect_offer(NONCE_SHA256);
}

/* ---- certificates that are good ---- */

static void test_good(void **state)
{
	(void)state;
	put_signer("gpg.ssh.allowedsigners", "bob", "", 2);
	put_signer("gpg.ssh.allowedsigners", "!nobody,alice@example.org,*@example.org",
	           "namespaces=\"git\"", 1);
	configure(REQUIRED);
	put_good();
	send_cert();
	expect_taken('G', "OK");
	assert_string_equal(seen_signer, "alice@example.org");
	assert_int_equal(strlen(seen_key), PH_FINGERPRINT_BYTES - 1);
	assert_false(says(&answer, "certificate"));
	assert_non_null(cert_find(&f.log_text, "is G, nonce OK, key SHA256:"));
}

/* Its own format, a client that says nothing of an end, and the same bytes in any pieces. */
static void test_pieces(void **state)
{
	(void)state;
	for (int sha256 = 0; sha256 < 2; sha256++) {
		fixture_release(&f);
		with_format(sha256 ? PH_HASH_SHA256 : PH_HASH_SHA1);
		for (unsigned feed = 0; feed < 6; feed++) {
			const struct pump how = {
			        .feed = feed % 3, .seed = feed, .budget = 1 + feed};

			put_signer("gpg.ssh.allowedsigners", "alice", "", 1);
			configure(REQUIRED);
			put_head(sha256 ? NONCE_SHA256 : NONCE, "");
			ph_test_buf_print(&cert, "%s %s refs/heads/x%u\n", zero(&f),
			                  hex(&f, f.commit[0]), feed);
			cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
			put_cert(sha256 ? " report-status object-format=sha256" : " " CAPS,
			         feed % 2);
			flush(&request);
			pack_of(&f, NULL, 0, &request);
			assert_int_equal(push_how(&f, "demo", 1, &how, &request, &answer), PH_OK);
			assert_true(says(&answer, "ok refs/heads/x"));
			assert_int_equal(seen.status, 'G');
			expect_text_kept();
			again();
		}
	}
}

/* Deletions have no pack; what has been kept is not kept twice; many commands. */
static void test_commands(void **state)
{
	uint64_t count;

	(void)state;
	put_signer("gpg.ssh.allowedsigners", "alice", "", 1);
	configure(REQUIRED);
	put_head(NONCE, "");
	for (unsigned i = 0; i < 3000; i++)
		ph_test_buf_print(&cert, "%s %s refs/heads/many-%u\n", zero(&f),
		                  hex(&f, f.commit[i % 2]), i);
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
	send_cert();
	assert_int_equal(seen.status, 'G');
	assert_string_equal(ref_value(&f, "demo", "refs/heads/many-2999"), hex(&f, f.commit[1]));
	expect_text_kept();
	count = objects();
	again();
	put_head(NONCE, "");
	ph_test_buf_print(&cert, "%s %s refs/heads/many-7\n", hex(&f, f.commit[1]), zero(&f));
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
	put_cert(CAPS, true);
	flush(&request);
	send_request(false);
	expect_report(&answer, "unpack ok\nok refs/heads/many-7\n");
	assert_int_equal(seen.status, 'G');
	expect_text_kept();
	assert_int_equal(objects(), count + 1);
	/* Again: nothing is there to delete, and nothing is stored. */
	answer_release(&answer);
	push(&f, "demo", &request, &answer);
	assert_int_equal(objects(), count + 1);
}

/* A push that fails, for all that its certificate is good, leaves nothing of it. */
static void test_quarantine(void **state)
{
	uint64_t count = objects();

	(void)state;
	put_signer("gpg.ssh.allowedsigners", "alice", "", 1);
	configure(REQUIRED);
	put_head(NONCE, "");
	ph_test_buf_print(&cert, "%s %s refs/heads/main\n", hex(&f, f.commit[0]),
	                  hex(&f, f.commit[1]));
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
	send_cert();
	assert_true(says(&answer, "ng refs/heads/main"));
	assert_false(is_kept());
	assert_int_equal(objects(), count);
}

/* ---- certificates that are not ---- */

static void change_payload(void)
{
	uint8_t *at = cert_find(&cert, "alice");

	assert_non_null(at);
	memcpy(at, "Alice", 5);
}

static void cut_armor(void)
{
	cert.len -= 20;
}

static void cut_middle(void)
{
	uint8_t *at = cert_find(&cert, PH_SSHSIG_BEGIN "\n");
	uint8_t *lf = memchr(at + 30, '\n', 100);

	memmove(lf - 4, lf, cert.len - (size_t)(lf - cert.data));
	cert.len -= 4;
}

static void sign_twice(void)
{
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
}

static void add_line(void)
{
	ph_test_buf_print(&cert, "%s %s refs/heads/y\n", zero(&f), hex(&f, f.commit[1]));
}

static void unsign(void)
{
	uint8_t *at = cert_find(&cert, PH_SSHSIG_BEGIN);

	cert.len = (size_t)(at - cert.data);
}

static void sign_as(const char *name_space, uint8_t number, uint8_t claimed)
{
	unsign();
	cert_put_signature(&cert, cert.data, cert.len, name_space, number, claimed);
}

static void for_files(void)
{
	sign_as("file", 1, 1);
}

static void another_key(void)
{
	sign_as("git", 2, 1);
}

static void unknown_key(void)
{
	sign_as("git", 7, 7);
}

static void late_key(void)
{
	sign_as("git", 3, 3);
}

static void early_key(void)
{
	sign_as("git", 4, 4);
}

static void file_key(void)
{
	sign_as("git", 5, 5);
}

static void revoked_key(void)
{
	sign_as("git", 6, 6);
}

static void with_pgp(void)
{
	unsign();
	ph_test_buf_print(&cert, "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n"
	                         "-----END PGP SIGNATURE-----\n");
}

static void with_x509(void)
{
	unsign();
	ph_test_buf_print(&cert, "-----BEGIN SIGNED MESSAGE-----\nAAAA\n"
	                         "-----END SIGNED MESSAGE-----\n");
}

static void no_verifier(void)
{
	f.service.verify = NULL;
}

static void no_kind(void)
{
	f.service.verify = verify_nothing;
}

/* Whoever has an old key may lie about the date. */
static void old_date(void)
{
	uint8_t *at = cert_find(&cert, NOW);

	memcpy(at, "1400000000", 10);
	late_key();
}

static const struct bad {
	void (*change)(void);
	char status;
	const char *why;
} bads[] = {
        {change_payload, 'B', "not of this text and key"},
        {cut_armor, 'B', "not one SSH signature and nothing more"},
        {cut_middle, 'B', "the signature"},
        {sign_twice, 'B', "not base64"},
        {add_line, 'B', "not one SSH signature and nothing more"},
        {unsign, 'N', "it is not signed"},
        {for_files, 'B', "for another purpose than git"},
        {another_key, 'B', "not of this text and key"},
        {unknown_key, 'U', "none of gpg.ssh.allowedSigners"},
        {late_key, 'U', "not valid at this time"},
        {early_key, 'U', "not valid at this time"},
        {file_key, 'B', "may not sign pushes (gpg"},
        {revoked_key, 'B', "its key is revoked"},
        {old_date, 'U', "not valid at this time"},
        {with_pgp, 'E', "only SSH signatures"},
        {with_x509, 'E', "only SSH signatures"},
        {no_verifier, 'E', "cannot be verified here"},
        {no_kind, 'E', "cannot be verified here"},
};

static void put_signers(void)
{
	put_signer("gpg.ssh.allowedsigners", "alice", "", 1);
	put_signer("gpg.ssh.allowedsigners", "late", "valid-before=\"20200101\"", 3);
	put_signer("gpg.ssh.allowedsigners", "early", "valid-after=\"20300101\"", 4);
	put_signer("gpg.ssh.allowedsigners", "files", "namespaces=\"file\"", 5);
	put_signer("gpg.ssh.allowedsigners", "gone", "", 6);
	put_signer("gpg.ssh.revokedkeys", "", "", 6);
}

/* Required, they are refused; otherwise the push goes on, and policies are told. */
static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		for (int required = 0; required < 2; required++) {
			f.service.verify = cert_verify;
			put_signers();
			configure(required ? REQUIRED : SEEDED);
			put_good();
			bads[i].change();
			send_cert();
			if (required) {
				expect_refused("push certificate not accepted", bads[i].why);
			} else {
				expect_taken(bads[i].status, "OK");
				if (!says(&answer, bads[i].why))
					fail_msg("%zu: %.*s", i, (int)answer.err.len,
					         (const char *)answer.err.data);
			}
			again();
			if (!required) {
				fixture_release(&f);
				with_format(PH_HASH_SHA1);
			}
		}
	}
}

static void test_unsigned(void **state)
{
	(void)state;
	configure(REQUIRED);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/x", CAPS);
	flush(&request);
	send_request(true);
	expect_refused("push certificate required", "only signed pushes are taken here");
}

/* Every byte of what is signed, and of the signature: another text, or none at all. */
static void test_every_byte(void **state)
{
	struct ph_test_buf whole = {0};

	(void)state;
	put_signers();
	configure(REQUIRED);
	put_good();
	ph_test_buf_append(&whole, cert.data, cert.len);
	for (size_t i = 0; i + 1 < whole.len; i++) {
		again();
		ph_test_buf_append(&cert, whole.data, whole.len);
		cert.data[i] ^= 1;
		send_cert();
		assert_string_equal(ref_value(&f, "demo", "refs/heads/x"), "");
		assert_string_equal(ref_value(&f, "demo", "refs/heads/y"), "");
	}
	ph_test_buf_release(&whole);
}

/* ---- nonces ---- */

static void expect_nonce(const char *setting, const char *nonce, const char *status, bool required)
{
	put_signers();
	configure(setting);
	put_head(nonce, "");
	ph_test_buf_print(&cert, "%s %s refs/heads/x\n", zero(&f), hex(&f, f.commit[0]));
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
	send_cert();
	if (required) {
		expect_refused("push certificate not accepted", "not made for this session");
	} else {
		expect_taken('G', status);
		fixture_release(&f);
		with_format(PH_HASH_SHA1);
	}
	again();
}

static void test_nonces(void **state)
{
	static const char *const others[] = {"",
	                                     "x",
	                                     NOW,
	                                     NOW "-",
	                                     NOW "-6c827ed44e373961318ca7915fe4c7e06cba6679",
	                                     "1700000001-6c827ed44e373961318ca7915fe4c7e06cba6678",
	                                     NONCE "0",
	                                     NONCE " "};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		expect_nonce(REQUIRED, others[i], "BAD", true);
		expect_nonce(SEEDED, others[i], "BAD", false);
	}
	expect_nonce(REQUIRED, NULL, "MISSING", true);
	expect_nonce(SEEDED, NULL, "MISSING", false);
	/* Slop is for servers that forget what they offered. */
	expect_nonce(SEEDED "receive.certnonceslop=1000\n",
	             "1699999999-6c827ed44e373961318ca7915fe4c7e06cba6678", "BAD", false);
	expect_nonce("", NONCE, "UNSOLICITED", false);
	expect_nonce("", NULL, "MISSING", false);
}

/* ---- requests ---- */

static void expect_death(const char *text)
{
	char err[160];

	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.exit_status, 128);
	snprintf(err, sizeof(err), "%04xERR %s", (unsigned)strlen(text) + 8, text);
	expect_body(&answer, err);
	assert_string_equal(ref_value(&f, "demo", "refs/heads/x"), "");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/y"), "");
	again();
}

#define MIXED "protocol error: got both push certificate and unsigned commands"

static void test_mixed(void **state)
{
	(void)state;
	configure(SEEDED);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/y", CAPS);
	put_good();
	put_cert(CAPS, true);
	expect_death(MIXED);
	put_good();
	put_cert(CAPS, true);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/y", NULL);
	expect_death(MIXED);
	put_good();
	put_cert(CAPS, true);
	put_cert(CAPS, true);
	expect_death("protocol error: got two push certificates");
}

static void test_malformed(void **state)
{
	(void)state;
	configure(SEEDED);
	ph_test_buf_print(&cert, "certificate version 0.1\n%s %s refs/heads/x\n", zero(&f),
	                  hex(&f, f.commit[0]));
	put_cert(CAPS, true);
	flush(&request);
	expect_death("malformed push certificate");
	put_head(NONCE, "");
	ph_test_buf_print(&cert, "%s refs/heads/x\n", zero(&f));
	put_cert(CAPS, true);
	flush(&request);
	expect_death("protocol error: expected old, new, ref");
	put_good();
	put_cert("report-status object-format=sha256", true);
	expect_death("unsupported object format");
	ph_test_buf_append(&cert, "nul\0here\n", 9);
	put_cert(CAPS, true);
	expect_death("protocol error: NUL byte in a push certificate");
	put_cert(CAPS, false);
	ph_test_buf_append(&request, "0001", 4);
	expect_death("protocol error: unexpected packet");
	put_cert(CAPS, false);
	pkt_text(&request, "ERR no\n");
	expect_death("the client reported an error");
	/* One without commands is a push without any. */
	put_head(NONCE, "");
	put_cert(CAPS, true);
	flush(&request);
	push(&f, "demo", &request, &answer);
	assert_int_equal(answer.exit_status, 0);
	expect_body(&answer, "");
	again();
	/* And an empty one is none. */
	put_cert(CAPS, true);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/x", CAPS);
	flush(&request);
	send_request(true);
	expect_report(&answer, "unpack ok\nok refs/heads/x\n");
	assert_int_equal(seen.status, 0);
}

static void test_limits(void **state)
{
	char text[96];

	(void)state;
	configure(SEEDED);
	f.limits.certificate_lines_max = 4;
	put_good();
	put_cert(CAPS, true);
	expect_death("push certificate too large (certificate_lines_max 4)");
	ph_limits_init(&f.limits);
	put_good();
	f.limits.certificate_bytes_max = cert.len - 1;
	put_cert(CAPS, true);
	snprintf(text, sizeof(text), "push certificate too large (certificate_bytes_max %zu)",
	         cert.len - 1);
	expect_death(text);
	put_signers();
	configure(REQUIRED);
	put_good();
	f.limits.certificate_bytes_max = cert.len;
	send_cert();
	expect_taken('G', "OK");
}

/* ---- push options ---- */

static void send_options(const char *headers, const char *const *options)
{
	put_signers();
	configure(REQUIRED "receive.advertisepushoptions=true\n");
	put_head(NONCE, headers);
	ph_test_buf_print(&cert, "%s %s refs/heads/x\n", zero(&f), hex(&f, f.commit[0]));
	cert_put_signature(&cert, cert.data, cert.len, "git", 1, 1);
	put_cert(options ? CAPS " push-options" : CAPS, true);
	flush(&request);
	for (; options && *options; options++)
		pkt_text(&request, *options);
	if (options)
		flush(&request);
	send_request(true);
}

static void test_options(void **state)
{
	static const char *const one[] = {"a=b", NULL}, *const two[] = {"a=b", "c d", NULL},
	                         *const turned[] = {"c d", "a=b", NULL},
	                         *const none_at_all[] = {NULL};
	static const struct {
		const char *headers;
		const char *const *options;
	} bad[] = {{"push-option a=b\n", NULL},
	           {"push-option a=b\n", none_at_all},
	           {"", one},
	           {"push-option a=b\n", two},
	           {"push-option a=b\npush-option c d\n", one},
	           {"push-option a=b\npush-option c d\n", turned},
	           {"push-option a=bb\n", one},
	           {"push-option a=\n", one}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		send_options(bad[i].headers, bad[i].options);
		expect_refused("inconsistent push options", "");
		again();
	}
	send_options("push-option a=b\npush-option c d\n", two);
	expect_taken('G', "OK");
}

/* ---- the connection's key ---- */

#define BOUND SEEDED "packhorse.certkey=connection\n"

static void test_bound(void **state)
{
	uint8_t mine[CERT_KEY_BYTES], other[CERT_KEY_BYTES];

	(void)state;
	cert_key(1, mine);
	cert_key(2, other);
	f.service.key_len = CERT_KEY_BYTES;
	for (int listed = 0; listed < 2; listed++) {
		if (listed)
			put_signers();
		f.service.key = other;
		configure(BOUND);
		put_good();
		send_cert();
		expect_refused("push certificate of another key", "opened the connection");
		answer_release(&answer);
		f.service.key = NULL;
		push(&f, "demo", &request, &answer);
		expect_refused("push certificate of another key", "opened the connection");
		answer_release(&answer);
		/* What proves nothing is no certificate of the connection's key. */
		f.service.key = mine;
		ph_test_buf_clear(&request);
		change_payload();
		send_cert();
		expect_refused("push certificate not accepted", "not of this text and key");
		again();
	}
	/* Who is let in by the key needs no second list, unless there is one. */
	put_signer("gpg.ssh.allowedsigners", "bob", "", 2);
	configure(BOUND "packhorse.requirecert=true\n");
	put_good();
	send_cert();
	expect_refused("push certificate not accepted", "none of gpg.ssh.allowedSigners");
	again();
	put_signer("gpg.ssh.revokedkeys", "", "", 1);
	configure(BOUND "packhorse.requirecert=true\n");
	put_good();
	send_cert();
	expect_refused("push certificate not accepted", "revoked");
	again();
	configure(BOUND "packhorse.requirecert=true\n");
	put_good();
	send_cert();
	expect_taken('G', "OK");
	assert_string_equal(seen_signer, "alice");
}

/* ---- memory ---- */

static void test_no_memory(void **state)
{
	struct ph_test_buf before = {0}, after = {0};
	uint64_t n = 1;

	(void)state;
	put_signers();
	configure(REQUIRED "receive.advertisepushoptions=true\n");
	put_good();
	put_cert(CAPS, true);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	store_text(&f, &before);
	for (;; n++) {
		const struct pump how = {.feed = FEED_AT_ONCE};

		f.memory.fail_at = f.memory.calls + n;
		if (push_how(&f, "demo", 0, &how, &request, &answer) == PH_OK &&
		    f.memory.calls < f.memory.fail_at)
			break;
		f.memory.fail_at = 0;
		if (says(&answer, "ok refs/heads/x"))
			assert_true(is_kept());
		ph_test_buf_clear(&after);
		store_text(&f, &after);
		if (!is_kept()) {
			assert_int_equal(before.len, after.len);
			assert_memory_equal(before.data, after.data, after.len);
		}
		answer_release(&answer);
	}
	f.memory.fail_at = 0;
	assert_true(n > 20);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_offer, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_quarantine, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_unsigned, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_every_byte, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_nonces, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_mixed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
