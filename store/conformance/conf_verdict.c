/* SPDX-License-Identifier: MIT */
/* Conformance: verdicts on changes of refs, dropping, and commits that are all or nothing. */
#include "conformance_int.h"

#include <stdio.h>

/* A repository with refs/heads/{one,two} (ids 1 and 2), refs/d/x/y (3), and HEAD. */
static struct ph_txn *begin_with_refs(struct conf *c)
{
	struct ph_oid one = ph__conf_oid(c, 1), two = ph__conf_oid(c, 2),
	              three = ph__conf_oid(c, 3);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/one", NULL, &one);
	ph__conf_set(txn, "refs/heads/two", NULL, &two);
	ph__conf_set(txn, "refs/d/x/y", NULL, &three);
	ph__conf_commit(txn);
	return ph__conf_begin(c, CONF_REPO);
}

static void kinds(struct conf *c)
{
	struct ph_txn *txn = begin_with_refs(c);
	struct ph_oid one = ph__conf_oid(c, 1), two = ph__conf_oid(c, 2),
	              new_oid = ph__conf_oid(c, 9);
	uint32_t change;
	ph__conf_set(txn, "refs/heads/one", &one, &new_oid);        /* 0: right */
	ph__conf_set(txn, "refs/heads/two", &one, &new_oid);        /* 1: another value */
	ph__conf_set(txn, "refs/heads/three", &one, &new_oid);      /* 2: is not there */
	ph__conf_set(txn, "refs/d/x/y", &ph__conf_zero, &new_oid);  /* 3: is there */
	ph__conf_set(txn, "refs/heads/new", &ph__conf_zero, &two);  /* 4: right */
	ph__conf_set(txn, "refs/heads/any", NULL, &two);            /* 5: right */
	ph__conf_set(txn, "refs/heads/gone", NULL, &ph__conf_zero); /* 6: any, also none */
	ph__conf_set(txn, "refs/heads/miss", &one, &ph__conf_zero); /* 7: is not there */
	ph__conf_set(txn, "refs/d/x/y/z", NULL, &two);              /* 8: under a ref */
	ph__conf_set(txn, "refs/d/x", NULL, &two);                  /* 9: above a ref */
	ph__conf_set(txn, "HEAD", &one, &two);                      /* 10: is a symref */
	assert_status(ph_txn_ref_update(txn, "refs/heads/two", NULL, &one, NULL, &change),
	              PH_ERR_EXISTS);
	assert_status(ph_txn_symref_update(txn, "refs/heads/two", NULL, "HEAD", &change),
	              PH_ERR_EXISTS);
	static const enum ph_status want[] = {
	        PH_OK, PH_ERR_CONFLICT,  PH_ERR_NOT_FOUND, PH_ERR_EXISTS,  PH_OK,           PH_OK,
	        PH_OK, PH_ERR_NOT_FOUND, PH_ERR_INVALID,   PH_ERR_INVALID, PH_ERR_CONFLICT,
	};
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_status(ph_txn_verdict(txn, i), want[i]);
	/* Commit does nothing of it. */
	struct ph_test_buf dump = {0};
	ph__conf_dump(c->store, &dump);
	assert_status(ph__conf_try_commit(txn), PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_status(ph_txn_verdict(txn, i), want[i]);
	ph__conf_expect_dump(c, &dump);
	ph_test_buf_release(&dump);
	/* What failed is dropped, and the rest goes. */
	for (uint32_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (want[i] != PH_OK)
			ph_txn_drop(txn, i);
	assert_status(ph_txn_verdict(txn, 1), PH_ERR_INVALID);
	assert_status(ph_txn_prepare(txn), PH_OK);
	assert_status(ph_txn_verdict(txn, 0), PH_OK);
	assert_status(ph_txn_verdict(txn, 1), PH_ERR_INVALID);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "",
	                      "HEAD refs/d/x/y refs/heads/any refs/heads/new "
	                      "refs/heads/one refs/heads/two ");
	ph__conf_expect_ref(s, "refs/heads/one", &new_oid);
	ph__conf_expect_ref(s, "refs/heads/two", &two);
	ph_snapshot_release(s);
}

static void symref_kinds(struct conf *c)
{
	struct ph_txn *txn = begin_with_refs(c);
	ph__conf_symref(txn, "HEAD", "refs/heads/other", "refs/heads/one");       /* 0: another */
	ph__conf_symref(txn, "refs/s1", "", "refs/heads/one");                    /* 1: right */
	ph__conf_symref(txn, "refs/s2", "refs/heads/one", "refs/heads/two");      /* 2: not there */
	ph__conf_symref(txn, "refs/heads/one", "", "refs/heads/two");             /* 3: is there */
	ph__conf_symref(txn, "refs/heads/two", "refs/heads/one", "refs/heads/x"); /* 4: no symref */
	ph__conf_symref(txn, "refs/d/x/y/z", NULL, "refs/heads/x"); /* 5: under a ref */
	ph__conf_symref(txn, "refs/s3", NULL, NULL);                /* 6: any, also none */
	ph__conf_symref(txn, "refs/s4", "refs/heads/one", NULL);    /* 7: not there */
	static const enum ph_status want[] = {
	        PH_ERR_CONFLICT, PH_OK, PH_ERR_NOT_FOUND, PH_ERR_EXISTS, PH_ERR_CONFLICT,
	        PH_ERR_INVALID,  PH_OK, PH_ERR_NOT_FOUND,
	};
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_status(ph_txn_verdict(txn, i), want[i]);
		if (want[i] != PH_OK)
			ph_txn_drop(txn, i);
	}
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "HEAD refs/d/x/y refs/heads/one refs/heads/two refs/s1 ");
	ph__conf_expect_symref(s, "refs/s1", "refs/heads/one");
	ph_snapshot_release(s);
}

/* Adds creations and deletions ("-name") of a line, numbered from 0. */
static void add_changes(struct conf *c, struct ph_txn *txn, const char *const *names)
{
	struct ph_oid oid = ph__conf_oid(c, 5);
	for (; *names; names++) {
		bool deletes = **names == '-';
		ph__conf_set(txn, *names + deletes, NULL, deletes ? &ph__conf_zero : &oid);
	}
}

/* The verdicts of a line, as letters: o PH_OK, i PH_ERR_INVALID, ? another. */
static void expect_verdicts(struct ph_txn *txn, const char *want)
{
	char have[64] = "";
	size_t count = strlen(want);
	assert_true(count < sizeof(have));
	enum ph_status status = ph_txn_prepare(txn);
	assert_status(status, strspn(want, "o") == count ? PH_OK : PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < count; i++) {
		enum ph_status verdict = ph_txn_verdict(txn, i);
		have[i] = verdict == PH_OK ? 'o' : verdict == PH_ERR_INVALID ? 'i' : '?';
	}
	assert_string_equal(have, want);
}

static void exclusion(struct conf *c)
{
	/* Against refs/heads/{one,two} and refs/d/x/y. */
	static const struct {
		const char *const names[8];
		const char *want;
	} cases[] = {
	        {{"refs/heads/one/a"}, "i"},
	        {{"refs/heads/one/a/b/c"}, "i"},
	        {{"refs/heads/one-a", "refs/heads/one.a", "refs/heads/on"}, "ooo"},
	        {{"refs/d", "refs/d/x", "refs"}, "iii"},
	        {{"refs/d/x/y", "refs/heads/one"}, "oo"},
	        /* What is in the way goes in the same transaction, in either order. */
	        {{"-refs/heads/one", "refs/heads/one/a"}, "oo"},
	        {{"refs/heads/one/a", "-refs/heads/one"}, "oo"},
	        {{"refs/d", "-refs/d/x/y"}, "oo"},
	        {{"-refs/d/x/y", "refs/d/x"}, "oo"},
	        {{"-refs/d/x/y", "refs/d/x", "refs/d"}, "ooi"},
	        {{"-refs/heads/one", "refs/heads/one/a", "refs/heads/two/a"}, "ooi"},
	        /* The changes among themselves: the first one has it. */
	        {{"refs/heads/n", "refs/heads/n/a"}, "oi"},
	        {{"refs/heads/n/a", "refs/heads/n"}, "oi"},
	        {{"refs/heads/n/a", "refs/heads/n/b", "refs/heads/n", "refs/heads/n-1"}, "ooio"},
	        {{"refs/n/a/b", "refs/n/a", "refs/n", "refs/n/b"}, "oiio"},
	        {{"refs/n", "refs/n/a/b", "refs/n/a", "refs/n/b"}, "oiii"},
	        {{"refs/n/a", "refs/n", "refs/n/a/b", "refs/nn"}, "oiio"},
	        /* One that cannot be done is in nobody's way. */
	        {{"refs/heads/one/a", "refs/heads/one/a/b", "refs/k/a", "refs/k"}, "iioi"},
	        {{"refs/d/x", "refs/d/x/z", "refs/d/w"}, "ioo"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_txn *txn = begin_with_refs(c);
		struct ph_test_buf dump = {0};
		add_changes(c, txn, cases[i].names);
		expect_verdicts(txn, cases[i].want);
		ph__conf_dump(c->store, &dump);
		bool all = strchr(cases[i].want, 'i') == NULL;
		assert_status(ph__conf_try_commit(txn), all ? PH_OK : PH_ERR_CONFLICT);
		if (!all) {
			/* Nothing was done of it; without what failed it can be. */
			ph__conf_expect_dump(c, &dump);
			for (uint32_t n = 0; n < strlen(cases[i].want); n++)
				if (cases[i].want[n] == 'i')
					ph_txn_drop(txn, n);
			assert_status(ph__conf_try_commit(txn), PH_OK);
		}
		ph_txn_free(txn);
		ph_test_buf_release(&dump);
		ph__conf_restart(c);
	}
}

static void exclusion_needs_the_deletion(struct conf *c)
{
	/* A deletion that fails, or is dropped, leaves its ref in the way. */
	struct ph_txn *txn = begin_with_refs(c);
	struct ph_oid wrong = ph__conf_oid(c, 77), oid = ph__conf_oid(c, 5),
	              one = ph__conf_oid(c, 1);
	uint32_t gone = ph__conf_set(txn, "refs/heads/one", &wrong, &ph__conf_zero);
	uint32_t made = ph__conf_set(txn, "refs/heads/one/a", &ph__conf_zero, &oid);
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, gone), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, made), PH_ERR_INVALID);
	ph_txn_free(txn);
	txn = ph__conf_begin(c, CONF_REPO);
	gone = ph__conf_set(txn, "refs/heads/one", &one, &ph__conf_zero);
	made = ph__conf_set(txn, "refs/heads/one/a", &ph__conf_zero, &oid);
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph_txn_drop(txn, gone);
	assert_status(ph__conf_try_commit(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, gone), PH_ERR_INVALID);
	assert_status(ph_txn_verdict(txn, made), PH_ERR_INVALID);
	ph_txn_free(txn);
}

static void many_exclusions(struct conf *c)
{
	/* Deep and wide: 1500 refs below a chain of 60 directories go, and each of those is wanted.
	 */
	char name[PH_REF_NAME_MAX + 1];
	struct ph_oid oid = ph__conf_oid(c, 5);
	ph__conf_create(c, CONF_REPO);
	for (unsigned round = 0; round < 2; round++) {
		struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
		for (unsigned i = 0; i < 1500; i++) {
			size_t len = 4;
			memcpy(name, "refs", len);
			for (unsigned depth = 0; depth <= i % 60; depth++)
				len += (size_t)snprintf(name + len, 8, "/d%u", depth);
			snprintf(name + len, 16, "/leaf%u", i);
			ph__conf_set(txn, name, NULL, round == 0 ? &oid : &ph__conf_zero);
		}
		size_t len = 4;
		uint32_t first = PH_REF_NAME_MAX;
		memcpy(name, "refs", len);
		for (unsigned depth = 0; depth < 60 && round == 1; depth++) {
			len += (size_t)snprintf(name + len, 8, "/d%u", depth);
			uint32_t change = ph__conf_set(txn, name, NULL, &oid);
			first = depth == 0 ? change : first;
		}
		assert_status(ph_txn_prepare(txn), round == 0 ? PH_OK : PH_ERR_CONFLICT);
		for (uint32_t depth = 0; depth < 60 && round == 1; depth++) {
			assert_status(ph_txn_verdict(txn, first + depth),
			              depth == 0 ? PH_OK : PH_ERR_INVALID);
			if (depth > 0)
				ph_txn_drop(txn, first + depth);
		}
		ph__conf_commit(txn);
	}
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "HEAD refs/d0 ");
	ph_snapshot_release(s);
}

static void moved_after_prepare(struct conf *c)
{
	struct ph_txn *txn = begin_with_refs(c);
	struct ph_oid one = ph__conf_oid(c, 1), two = ph__conf_oid(c, 2), mine = ph__conf_oid(c, 8);
	ph__conf_set(txn, "refs/heads/one", &one, &mine);
	ph__conf_set(txn, "refs/heads/two", &two, &mine);
	ph__conf_set(txn, "refs/heads/new", &ph__conf_zero, &mine);
	ph__conf_set(txn, "refs/heads/dir", &ph__conf_zero, &mine);
	ph__conf_set(txn, "refs/heads/old", NULL, &mine);
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph__conf_put(c, CONF_REPO, "refs/heads/one", 30);
	ph__conf_put(c, CONF_REPO, "refs/heads/new", 31);
	ph__conf_put(c, CONF_REPO, "refs/heads/dir/a", 32);
	ph__conf_put(c, CONF_REPO, "refs/heads/old", 33);
	/* The verdicts of prepare stand until somebody asks again. */
	assert_status(ph_txn_verdict(txn, 0), PH_OK);
	assert_status(ph__conf_try_commit(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, 0), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, 1), PH_OK);
	assert_status(ph_txn_verdict(txn, 2), PH_ERR_EXISTS);
	assert_status(ph_txn_verdict(txn, 3), PH_ERR_INVALID);
	assert_status(ph_txn_verdict(txn, 4), PH_OK);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_ref(s, "refs/heads/two", &two);
	ph_snapshot_release(s);
	ph_txn_drop(txn, 0);
	ph_txn_drop(txn, 2);
	ph_txn_drop(txn, 3);
	assert_status(ph__conf_try_commit(txn), PH_OK);
	ph_txn_free(txn);
	s = ph__conf_snapshot(c, CONF_REPO);
	struct ph_oid theirs = ph__conf_oid(c, 30);
	ph__conf_expect_ref(s, "refs/heads/one", &theirs);
	ph__conf_expect_ref(s, "refs/heads/two", &mine);
	ph__conf_expect_ref(s, "refs/heads/old", &mine);
	ph_snapshot_release(s);
}

static void compared_with_now(struct conf *c)
{
	/* Not with the base: values that moved since the transaction began are judged as they are.
	 */
	struct ph_txn *txn = begin_with_refs(c);
	struct ph_oid now = ph__conf_oid(c, 40), mine = ph__conf_oid(c, 8);
	ph__conf_put(c, CONF_REPO, "refs/heads/one", 40);
	ph__conf_put(c, CONF_REPO, "refs/heads/two", 0);
	ph__conf_set(txn, "refs/heads/one", &now, &mine);
	ph__conf_set(txn, "refs/heads/two", &ph__conf_zero, &mine);
	ph__conf_set(txn, "refs/heads/two/a", &ph__conf_zero, &mine);
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, 2), PH_ERR_INVALID);
	ph_txn_drop(txn, 1);
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "HEAD refs/d/x/y refs/heads/one refs/heads/two/a ");
	ph_snapshot_release(s);
}

static void added_after_prepare(struct conf *c)
{
	struct ph_txn *txn = begin_with_refs(c);
	struct ph_oid mine = ph__conf_oid(c, 8);
	ph__conf_set(txn, "refs/heads/a", NULL, &mine);
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph__conf_set(txn, "refs/heads/0", NULL, &mine);
	ph__conf_set(txn, "refs/heads/a/x", NULL, &mine);
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, 1), PH_OK);
	assert_status(ph_txn_verdict(txn, 2), PH_ERR_INVALID);
	ph_txn_drop(txn, 2);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "refs/heads/",
	                      "refs/heads/0 refs/heads/a refs/heads/one "
	                      "refs/heads/two ");
	ph_snapshot_release(s);
}

static void too_many(struct conf *c)
{
	char name[40];
	struct ph_oid oid = ph__conf_oid(c, 5);
	c->limits.refs_max = 10;
	ph__conf_restart(c);
	ph__conf_create(c, CONF_REPO); /* HEAD is one of them */
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	for (unsigned i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "refs/heads/n%u", 20 - i);
		ph__conf_set(txn, name, &ph__conf_zero, &oid);
	}
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < 12; i++)
		assert_status(ph_txn_verdict(txn, i), i < 9 ? PH_OK : PH_ERR_LIMIT);
	for (uint32_t i = 9; i < 12; i++)
		ph_txn_drop(txn, i);
	ph__conf_commit(txn);
	/* What exists can change, and each that goes makes room for one. */
	txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/m1", NULL, &oid);
	ph__conf_set(txn, "refs/heads/m2", NULL, &oid);
	ph__conf_set(txn, "refs/heads/n20", NULL, &oid);
	ph__conf_set(txn, "refs/heads/n19", NULL, &ph__conf_zero);
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, 0), PH_OK);
	assert_status(ph_txn_verdict(txn, 1), PH_ERR_LIMIT);
	assert_status(ph_txn_verdict(txn, 2), PH_OK);
	assert_status(ph_txn_verdict(txn, 3), PH_OK);
	ph_txn_drop(txn, 1);
	ph__conf_commit(txn);
}

const struct conf_test ph__conf_verdict_tests[] = {
        {"verdicts: every kind", kinds, 0},
        {"verdicts: every kind for symrefs", symref_kinds, CONF_ONCE},
        {"verdicts: names that exclude each other", exclusion, CONF_ONCE},
        {"verdicts: a deletion that fails", exclusion_needs_the_deletion, CONF_ONCE},
        {"verdicts: deep directories", many_exclusions, CONF_ONCE},
        {"verdicts: new ones at commit", moved_after_prepare, 0},
        {"verdicts: against the present", compared_with_now, CONF_ONCE},
        {"verdicts: changes added after prepare", added_after_prepare, CONF_ONCE},
        {"verdicts: too many refs", too_many, CONF_ONCE},
        {NULL, NULL, 0},
};
