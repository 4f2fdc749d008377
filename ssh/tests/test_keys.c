/* SPDX-License-Identifier: MIT */
/*
 * authorized_keys: every option, what refuses a line, and who is let in by what is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <support.h>

#include "../address_int.h"
#include "../keys_int.h"

/* Public keys made for these tests; nobody has kept the private ones. */
static const char KEY_A[] =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINiO8xjnVl+qMbenFLBlDfUleFl1Fm6QSFq/yvw/BhZt";
static const char KEY_B[] =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICHApS6bLtbq6SS3q8YVw9U8MfTJX+IDtV13W+tsoikj";
static const char KEY_ECDSA[] =
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMJdJ3tB"
        "q52um1AIbuiS5GRW9EHs1AhNeIRyyDx+z6Ag6ufQPqpboHCGe0azY2GJ/9SPekyxe9VmeGSuuEqMOUs=";
static const char KEY_RSA[] =
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDXgGmeT7dh8o0KfOq7JzndId/tdjipJw5quVQOrj3R"
        "Wusb1O8q55m6+RWhhVjaS4QyS1JHn00r6kxBnemFS3flguS0x7iG0ocYneBKLyC5pCiRwBn1s8wqzcTF"
        "kBL2usqZHsGDrKmNbYGM1c7+sMTSa6vIs89H6zUtvIM9BuKbY5D6gmL7gxxsl98uOHEMRUff/iM5b/oo"
        "Und/8NnBJJhQqlhaaWi1h0ZDSTHULvuC8vheIgSxVFQTmNRrxDVZ+Xk4k4tdSIJsq0j/rUFM4wBF0wKD"
        "olbhT6MbVVYKtYVSmBVBYmJH/Obi9z8z69iOJHKmuxwcUDREJxM+geL+s3tl";
static const char KEY_DSA[] =
        "ssh-dss AAAAB3NzaC1kc3MAAACBANQW5W8KmJXJzwc6rSOHVX0H7AeGcmeXWemf3M2O+Q7Za9I3Jb2q"
        "jHBFNxRPeSk58U3HGqiXfA45HvnhQ3sSyYJrb58YX9quMYmrjXIamEevnHbYxCCOReBsguaVZVyyS2Pj"
        "0mbYxb8CWnJp78wQ9BEhEzcRwcJIr/6T9lXX+eJ7AAAAFQCSYtFBL6BLuK4bGCf/UZd7mKcYEQAAAIEA"
        "vyRgmkMjooUjy29knl68wzmbHrLvxfpG6Wii0+o8d0RXscjozBGcIbDMIuZ36Q7Z2P6bRsASZ/2GREBI"
        "LPH3xNgJfdvInPMdmsfHaS8Y2cSGBjAzTAUrTzC39h+V/m2SBzMOVGYYRAkXdnnOXWu9x7lC45sVwi7O"
        "goJXj0oBxxQAAACBAJ3WKWJKzF9q58uIpY/uzNcRT4wVxDTfEC6lAQAu//61P/j6K7J4MKuvekSf9mWo"
        "EP3Eq2GRp9H/YfhR6TG9vYLRW/rHw1IQcxGm8qNUXAweBWuv90kg7Uu+SNknck8gqtp3PwKSv0yc1Oo0"
        "QEtWejnoBHsQ3oRb5DaLrNdmgBbP";
static const char KEY_SK[] =
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAINiO8xjnV"
        "l+qMbenFLBlDfUleFl1Fm6QSFq/yvw/BhZtAAAABHNzaDo=";
static const char KEY_CERT[] =
        "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29"
        "tAAAAIFORbanhMYSqlyjcIer+TPnOrE7Grcu5pwdxwlBX58k7AAAAICHApS6bLtbq6SS3q8YVw9U8MfT"
        "JX+IDtV13W+tsoikjAAAAAAAAAAAAAAABAAAAAmlkAAAABwAAAANnaXQAAAAAAAAAAP//////////AAA"
        "AAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGl"
        "uZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGV"
        "ybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAg2I7zGOdWX6oxt6cUsGUN9SV"
        "4WXUWbpBIWr/K/D8GFm0AAABTAAAAC3NzaC1lZDI1NTE5AAAAQJ2Ez2KKmB9r4r7APalckSSggTQZqif"
        "F3R+onYAGItx65dBR6RZqiC2+46EXCQCybajsetJib4Edy/HnqRlk9go=";

/* 2026-06-15 12:00:00 UTC */
#define NOON 1781524800u

struct fixture {
	struct ph_test_alloc memory;
	struct ph_keys *keys;
	struct ph_log log;
	unsigned lines;
	char last[512]; /* line logged */
};

static void log_write(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	struct fixture *f = user;
	(void)level;
	(void)source;
	(void)connection;
	f->lines++;
	(void)snprintf(f->last, sizeof(f->last), "%s", message);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	ph_test_alloc_init(&f->memory);
	f->log.user = f;
	f->log.level = PH_LOG_DEBUG;
	f->log.write = log_write;
	assert_int_equal(ph_keys_new(&f->keys, &f->memory.alloc), PH_OK);
}

static void teardown(struct fixture *f)
{
	ph_keys_free(f->keys);
	assert_int_equal(f->memory.live, 0);
}

static unsigned add(struct fixture *f, const char *text)
{
	unsigned accepted = 999;
	assert_int_equal(ph_keys_add_text(f->keys, text, strlen(text), PH_PERM_WRITE, "keys",
	                                  &f->log, &accepted),
	                 PH_OK);
	return accepted;
}

static enum ph__key_verdict find(struct fixture *f, const char *key, const char *peer,
                                 uint64_t wall_s, const struct ph__key **out)
{
	char text[2048];
	ssh_key offered = NULL;
	(void)snprintf(text, sizeof(text), "%s", key);
	char *blank = strchr(text, ' ');
	assert_non_null(blank);
	*blank = '\0';
	assert_int_equal(
	        ssh_pki_import_pubkey_base64(blank + 1, ssh_key_type_from_name(text), &offered),
	        SSH_OK);
	enum ph__key_verdict verdict = ph__keys_find(f->keys, offered, peer, wall_s, out);
	ssh_key_free(offered);
	return verdict;
}

/* One line of options before a key; NULL for a line that must be refused with this reason. */
static void assert_refused(const char *options, const char *reason)
{
	struct fixture f;
	char text[4096];

	setup(&f);
	(void)snprintf(text, sizeof(text), "# one\r\n%s %s me\r\n%s second\n", options, KEY_A,
	               KEY_B);
	assert_int_equal(add(&f, text), 1); /* the line after it still counts */
	assert_int_equal(f.lines, 1);
	if (!strstr(f.last, reason) || strncmp(f.last, "keys:2: ", 8) != 0)
		fail_msg("%s: logged \"%s\", not \"%s\"", options, f.last, reason);
	const struct ph__key *key;
	assert_int_equal(find(&f, KEY_A, "10.0.0.1", NOON, &key), PH__KEY_UNKNOWN);
	teardown(&f);
}

static enum ph__key_verdict verdict_with(const char *options, const char *peer, uint64_t wall_s,
                                         enum ph_permission *permission)
{
	struct fixture f;
	char text[4096];
	const struct ph__key *key = NULL;

	setup(&f);
	(void)snprintf(text, sizeof(text), "%s%s%s me", options, options[0] ? " " : "", KEY_A);
	if (add(&f, text) != 1)
		fail_msg("%s: refused: %s", options, f.last);
	enum ph__key_verdict verdict = find(&f, KEY_A, peer, wall_s, &key);
	if (verdict == PH__KEY_GOOD && permission)
		*permission = key->permission;
	teardown(&f);
	return verdict;
}

static void test_plain_lines(void **state)
{
	struct fixture f;
	const struct ph__key *key = NULL;
	char text[8192];

	(void)state;
	setup(&f);
	(void)snprintf(text, sizeof(text),
	               "\xef\xbb\xbf# keys\n\n   \t \r\n  %s  alice@home  \r\n%s\n\t%s "
	               "carol\x01x\n%s\n%s sk",
	               KEY_A, KEY_B, KEY_ECDSA, KEY_RSA, KEY_SK);
	assert_int_equal(add(&f, text), 5);
	assert_int_equal(f.lines, 0);
	assert_int_equal(ph__keys_count(f.keys), 5);
	assert_int_equal(find(&f, KEY_A, "10.0.0.1", 0, &key), PH__KEY_GOOD);
	assert_string_equal(key->name, "alice@home");
	assert_int_equal(key->permission, PH_PERM_WRITE);
	assert_int_equal(find(&f, KEY_B, "10.0.0.1", 0, &key), PH__KEY_GOOD);
	assert_string_equal(key->name, key->fingerprint);
	assert_string_equal(key->fingerprint, "SHA256:t2hiTEGHR2zYDo4q1XbaB0PK8P506GM/2LvSRG1U/pE");
	assert_int_equal(find(&f, KEY_ECDSA, "10.0.0.1", 0, &key), PH__KEY_GOOD);
	assert_string_equal(key->name, "carol?x");
	assert_int_equal(find(&f, KEY_RSA, "10.0.0.1", 0, &key), PH__KEY_GOOD);
	assert_int_equal(find(&f, KEY_SK, "10.0.0.1", 0, &key), PH__KEY_GOOD);
	teardown(&f);
}

static void test_no_keys(void **state)
{
	struct fixture f;
	const struct ph__key *key;

	(void)state;
	setup(&f);
	assert_int_equal(add(&f, ""), 0);
	assert_int_equal(add(&f, "\n"), 0);
	assert_int_equal(find(&f, KEY_A, "10.0.0.1", 0, &key), PH__KEY_UNKNOWN);
	teardown(&f);
}

static void test_permissions(void **state)
{
	enum ph_permission permission = PH_PERM_NONE;

	(void)state;
	assert_int_equal(verdict_with("", "::1", 0, &permission), PH__KEY_GOOD);
	assert_int_equal(permission, PH_PERM_WRITE);
	assert_int_equal(verdict_with("packhorse=\"ro\"", "::1", 0, &permission), PH__KEY_GOOD);
	assert_int_equal(permission, PH_PERM_READ);
	assert_int_equal(verdict_with("PackHorse=\"rw\"", "::1", 0, &permission), PH__KEY_GOOD);
	assert_int_equal(permission, PH_PERM_WRITE);
	assert_int_equal(verdict_with("restrict,packhorse=\"owner\"", "::1", 0, &permission),
	                 PH__KEY_GOOD);
	assert_int_equal(permission, PH_PERM_OWNER);
	assert_refused("packhorse=\"admin\"", "none of ro, rw and owner");
	assert_refused("packhorse=\"ro\",packhorse=\"owner\"", "more than once");
	assert_refused("packhorse", "lacks its value");
	assert_refused("packhorse=ro", "not quoted");
}

static void test_restrictions(void **state)
{
	(void)state;
	assert_int_equal(verdict_with("restrict", "::1", 0, NULL), PH__KEY_GOOD);
	assert_int_equal(verdict_with("no-agent-forwarding,no-port-forwarding,no-pty,no-user-rc,"
	                              "no-X11-forwarding,no-touch-required",
	                              "::1", 0, NULL),
	                 PH__KEY_GOOD);
	assert_refused("restrict=\"yes\"", "takes none");
}

static void test_refused_options(void **state)
{
	(void)state;
	assert_refused("command=\"/bin/date\"", "command= is not supported");
	assert_refused("restrict,command=\"a \\\"b\\\", c\"", "command= is not supported");
	assert_refused("cert-authority", "cert-authority is not supported");
	assert_refused("permitopen=\"host:22\"", "unknown option");
	assert_refused("environment=\"A=b\"", "unknown option");
	assert_refused("verify-required", "unknown option");
	assert_refused("pty", "unknown option");
	assert_refused("restrict,", "not a key and not an option");
	assert_refused(",restrict", "not a key and not an option");
	assert_refused("restrict;no-pty", "not a key and not an option");
	assert_refused("from=\"10.0.0.1", "not quoted");
	assert_refused("from=\"10.0.0.1\"x", "not a key and not an option");
}

static void test_refused_keys(void **state)
{
	static const struct {
		const char *line, *reason;
	} cases[] = {
	        {KEY_DSA, "not accepted"},
	        {KEY_CERT, "not accepted"},
	        {"ssh-ed25519", "no key after"},
	        {"ssh-ed25519 ", "no key after"},
	        {"ssh-ed25519 AAAA", "cannot be read"},
	        {"ssh-ed25519 !!!!", "cannot be read"},
	        {"ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAINiO8xjnVl+qMbenFLBlDfUleFl1Fm6QSFq/yvw/BhZt",
	         "cannot be read"},
	        {"restrict restrict", "unknown type"},
	        {"restrict", "not a key"},
	        {"AAAAC3NzaC1lZDI1NTE5AAAAINiO8xjnVl", "unknown option"},
	        {"\"", "not a key"},
	        {"----- BEGIN", "unknown option"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		setup(&f);
		if (add(&f, cases[i].line) != 0 || f.lines != 1 || !strstr(f.last, cases[i].reason))
			fail_msg("%s: %s", cases[i].line, f.last);
		teardown(&f);
	}
}

static void test_odd_bytes(void **state)
{
	struct fixture f;
	unsigned accepted;
	char text[20000];

	(void)state;
	setup(&f);
	assert_int_equal(ph_keys_add_text(f.keys, "ssh-ed25519 \0AAAA\n", 18, PH_PERM_READ, "k",
	                                  &f.log, &accepted),
	                 PH_OK);
	assert_int_equal(accepted, 0);
	assert_non_null(strstr(f.last, "NUL"));
	memset(text, 'a', sizeof(text));
	assert_int_equal(
	        ph_keys_add_text(f.keys, text, sizeof(text), PH_PERM_READ, "k", &f.log, &accepted),
	        PH_OK);
	assert_int_equal(accepted, 0);
	assert_non_null(strstr(f.last, "too long"));
	teardown(&f);
}

static void test_expiry(void **state)
{
	(void)state;
	/* The last good second, the next one, and no clock at all. */
	const char *noon = "expiry-time=\"20260615120000Z\"";
	assert_int_equal(verdict_with(noon, "::1", NOON, NULL), PH__KEY_GOOD);
	assert_int_equal(verdict_with(noon, "::1", NOON + 1, NULL), PH__KEY_EXPIRED);
	assert_int_equal(verdict_with(noon, "::1", 0, NULL), PH__KEY_EXPIRED);
	assert_int_equal(verdict_with("expiry-time=\"202606151200\"", "::1", NOON + 1, NULL),
	                 PH__KEY_EXPIRED);
	assert_int_equal(verdict_with("expiry-time=\"20260615\"", "::1", NOON - 43201, NULL),
	                 PH__KEY_GOOD);
	assert_int_equal(verdict_with("expiry-time=\"20260615Z\"", "::1", NOON, NULL),
	                 PH__KEY_EXPIRED);
	assert_int_equal(verdict_with("expiry-time=\"20240229\"", "::1", 1709164800, NULL),
	                 PH__KEY_GOOD);
	assert_int_equal(verdict_with("expiry-time=\"20240229\"", "::1", 1709164801, NULL),
	                 PH__KEY_EXPIRED);
	/* The earlier of two counts. */
	assert_int_equal(verdict_with("expiry-time=\"20300101\",expiry-time=\"20200101\"", "::1",
	                              NOON, NULL),
	                 PH__KEY_EXPIRED);
	assert_refused("expiry-time=\"tomorrow\"", "not a date");
	assert_refused("expiry-time=\"\"", "not a date");
	assert_refused("expiry-time=\"20230229\"", "not a date");
	assert_refused("expiry-time=\"20261301\"", "not a date");
	assert_refused("expiry-time=\"2026061525\"", "not a date");
	assert_refused("expiry-time=\"202606152500\"", "not a date");
	assert_refused("expiry-time", "lacks its value");
}

static bool from(const char *list, const char *peer)
{
	char options[256];
	(void)snprintf(options, sizeof(options), "from=\"%s\"", list);
	enum ph__key_verdict verdict = verdict_with(options, peer, NOON, NULL);
	assert_true(verdict == PH__KEY_GOOD || verdict == PH__KEY_FROM);
	return verdict == PH__KEY_GOOD;
}

static void test_from(void **state)
{
	(void)state;
	assert_true(from("10.0.0.1", "10.0.0.1"));
	assert_false(from("10.0.0.1", "10.0.0.2"));
	assert_false(from("10.0.0.1", "10.0.0.11"));
	assert_true(from("10.0.0.0/8", "10.255.1.2"));
	assert_false(from("10.0.0.0/8", "11.0.0.1"));
	assert_true(from("192.0.2.128/25", "192.0.2.200"));
	assert_false(from("192.0.2.128/25", "192.0.2.100"));
	assert_true(from("0.0.0.0/0", "203.0.113.7"));
	assert_false(from("0.0.0.0/0", "2001:db8::1"));
	assert_true(from("::/0", "2001:db8::1"));
	assert_true(from("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(from("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(from("2001:DB8:0:0::1", "2001:db8::1"));
	assert_true(from("fe80::1", "fe80::1%eth0"));
	assert_true(from("10.0.0.*", "10.0.0.77"));
	assert_true(from("10.0.0.?", "10.0.0.7"));
	assert_false(from("10.0.0.?", "10.0.0.77"));
	assert_true(from("*", "2001:db8::1"));
	assert_false(from("*.example.com", "10.0.0.1"));
	/* A peer on a socket for both families comes as ::ffff:a.b.c.d. */
	assert_true(from("10.0.0.0/8", "::ffff:10.1.2.3"));
	assert_true(from("10.1.2.3", "::ffff:10.1.2.3"));
}

static void test_from_lists(void **state)
{
	(void)state;
	assert_true(from("192.0.2.1,10.0.0.0/8", "10.1.1.1"));
	assert_false(from("10.0.0.0/8,!10.1.1.1", "10.1.1.1"));
	assert_false(from("!10.1.1.1,10.0.0.0/8", "10.1.1.1"));
	assert_true(from("!10.1.1.1,10.0.0.0/8", "10.1.1.2"));
	assert_false(from("!10.1.1.1", "10.1.1.2")); /* nothing lets it in */
	assert_false(from("*,!10.0.0.0/8", "10.9.9.9"));
	assert_refused("from=\"\"", "list of patterns");
	assert_refused("from=\"10.0.0.1,\\\"\"x", "not a key");
	assert_refused("from=\"10.0.0.1,,10.0.0.2\"", "list of patterns");
	assert_refused("from=\"10.0.0.1/8\"", "list of patterns"); /* host bits */
	assert_refused("from=\"10.0.0.0/33\"", "list of patterns");
	assert_refused("from=\"2001:db8::/129\"", "list of patterns");
	assert_refused("from=\"host/8\"", "list of patterns");
	assert_refused("from=\"*\",from=\"*\"", "more than once");
}

static void test_addresses(void **state)
{
	static const char *const good[] = {
	        "1.2.3.4",         "::",        "::1",       "1::",
	        "1:2:3:4:5:6:7:8", "1::8",      "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
	        "1:2:3:4:5:6:7::", "fe80::1%lo"};
	static const char *const bad[] = {"",
	                                  "1.2.3",
	                                  "1.2.3.4.5",
	                                  "256.1.1.1",
	                                  "1.2.3.4 ",
	                                  ":",
	                                  ":::",
	                                  "1:",
	                                  ":1",
	                                  "1::2::3",
	                                  "1:2:3:4:5:6:7",
	                                  "1:2:3:4:5:6:7:8:9",
	                                  "12345::",
	                                  "1:2:3:4:5:6:7:8::",
	                                  "::g",
	                                  "1:2:3:4:5:6:7:1.2.3.4",
	                                  "1.2.3.4:1",
	                                  "%lo"};
	struct ph__address address;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!ph__address_parse(&address, good[i], strlen(good[i])))
			fail_msg("%s is an address", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (ph__address_parse(&address, bad[i], strlen(bad[i])))
			fail_msg("%s is no address", bad[i]);
	}
}

/* Of two lines with the same key the one that lets in wins. */
static void test_same_key_twice(void **state)
{
	struct fixture f;
	const struct ph__key *key = NULL;
	char text[1024];

	(void)state;
	setup(&f);
	(void)snprintf(text, sizeof(text),
	               "from=\"10.0.0.1\",packhorse=\"owner\" %s inside\n"
	               "packhorse=\"ro\" %s outside\n",
	               KEY_A, KEY_A);
	assert_int_equal(add(&f, text), 2);
	assert_int_equal(find(&f, KEY_A, "10.0.0.1", NOON, &key), PH__KEY_GOOD);
	assert_int_equal(key->permission, PH_PERM_OWNER);
	assert_int_equal(find(&f, KEY_A, "10.0.0.2", NOON, &key), PH__KEY_GOOD);
	assert_int_equal(key->permission, PH_PERM_READ);
	assert_string_equal(key->name, "outside");
	teardown(&f);
}

static void test_out_of_memory(void **state)
{
	char text[4096];

	(void)state;
	(void)snprintf(text, sizeof(text), "from=\"10.0.0.0/8\" %s alice\n%s\n%s e\n", KEY_A, KEY_B,
	               KEY_ECDSA);
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_keys *keys = NULL;
		unsigned accepted = 77;
		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		enum ph_status status = ph_keys_new(&keys, &memory.alloc);
		if (status == PH_OK)
			status = ph_keys_add_text(keys, text, strlen(text), PH_PERM_READ, "k", NULL,
			                          &accepted);
		if (memory.calls < i) {
			assert_int_equal(status, PH_OK);
			assert_int_equal(accepted, 3);
			ph_keys_free(keys);
			break;
		}
		assert_int_equal(status, PH_ERR_NOMEM);
		assert_int_equal(accepted, 77);
		assert_int_equal(ph__keys_count(keys), 0);
		ph_keys_free(keys);
		assert_int_equal(memory.live, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_plain_lines),
	        cmocka_unit_test(test_no_keys),
	        cmocka_unit_test(test_permissions),
	        cmocka_unit_test(test_restrictions),
	        cmocka_unit_test(test_refused_options),
	        cmocka_unit_test(test_refused_keys),
	        cmocka_unit_test(test_odd_bytes),
	        cmocka_unit_test(test_expiry),
	        cmocka_unit_test(test_from),
	        cmocka_unit_test(test_from_lists),
	        cmocka_unit_test(test_addresses),
	        cmocka_unit_test(test_same_key_twice),
	        cmocka_unit_test(test_out_of_memory),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)ssh_finalize();
	return failed;
}
