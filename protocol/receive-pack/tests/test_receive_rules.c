/* SPDX-License-Identifier: MIT */
/* Rules of the configuration: who may change which refs, how much may come, which paths may change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <stdio.h>
#include <string.h>

#define SIDE "report-status side-band-64k"

static struct fixture f;
static struct ph_test_buf request;
static struct answer answer;

static void again(void)
{
	next_request(&request, &answer);
}

static int setup(void **state)
{
	(void)state;
	begin_demo(&f, &request, &answer);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_demo(&f, &request, &answer);
	return 0;
}

/* One command, with a pack of these entries. */
static void ask(const char *from, const char *to, const char *name, const uint32_t *entries,
                uint32_t count)
{
	again();
	command(&request, from, to, name, SIDE);
	flush(&request);
	if (strcmp(to, zero(&f)) != 0)
		pack_of(&f, entries, count, &request);
	push(&f, "demo", &request, &answer);
}

static void expect(const char *text)
{
	if (!says(&answer, text))
		fail_msg("not said: %s", text);
}

static void test_refs(void **state)
{
	const char *one = hex(&f, f.commit[0]), *two = hex(&f, f.commit[1]);

	(void)state;
	set_config(&f, "demo",
	           "packhorse.protect=refs/heads/main\npackhorse.protect=refs/x/\n"
	           "packhorse.protect=!refs/x/open\npackhorse.createonly=refs/tags\n"
	           "packhorse.denydeletes=refs/keep\npackhorse.fastforwardonly=refs/keep\n");
	f.service.permission = PH_PERM_WRITE;
	ask(two, one, "refs/heads/main", NULL, 0);
	expect("ng refs/heads/main protected ref (packhorse.protect)");
	expect("\002error: refs/heads/main: only owners");
	ask(zero(&f), one, "refs/x/y", NULL, 0);
	expect("ng refs/x/y protected ref");
	ask(zero(&f), one, "refs/x/open/y", NULL, 0);
	expect("ok refs/x/open/y");
	f.service.permission = PH_PERM_OWNER;
	ask(zero(&f), two, "refs/x/y", NULL, 0);
	expect("ok refs/x/y");
	ask(hex(&f, f.tag), one, "refs/tags/v1", NULL, 0);
	expect("ng refs/tags/v1 ref is fixed (packhorse.createOnly)");
	ask(hex(&f, f.tag), zero(&f), "refs/tags/v1", NULL, 0);
	expect("ng refs/tags/v1 ref is fixed (packhorse.createOnly)");
	ask(zero(&f), one, "refs/tags/v2", NULL, 0);
	expect("ok refs/tags/v2");
	ask(zero(&f), one, "refs/keep/a", NULL, 0);
	expect("ok refs/keep/a");
	ask(one, two, "refs/keep/a", NULL, 0);
	expect("ok refs/keep/a");
	ask(two, one, "refs/keep/a", NULL, 0);
	expect("ng refs/keep/a non-fast-forward");
	ask(two, zero(&f), "refs/keep/a", NULL, 0);
	expect("ng refs/keep/a deletion prohibited (packhorse.denyDeletes)");
	ask(zero(&f), two, "refs/packhorse/mine", NULL, 0);
	expect("ng refs/packhorse/mine deny updating a hidden ref");
}

/* A symref is judged by what it names. */
static void test_alias(void **state)
{
	struct ph_snapshot *base;
	struct ph_txn *txn;
	uint32_t change;

	(void)state;
	assert_int_equal(ph_store_snapshot(f.store, "demo", &base), PH_OK);
	assert_int_equal(ph_store_begin(f.store, base, &txn), PH_OK);
	ph_snapshot_release(base);
	assert_int_equal(
	        ph_txn_symref_update(txn, "refs/heads/alias", NULL, "refs/heads/main", &change),
	        PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	set_config(&f, "demo", "packhorse.protect=refs/heads/main\n");
	f.service.permission = PH_PERM_WRITE;
	ask(hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/alias", NULL, 0);
	expect("ng refs/heads/alias protected ref");
}

/* A new commit of this tree on the second one; returns it. */
static uint32_t add_commit(uint32_t tree, const uint32_t *parent, uint32_t parents)
{
	struct ph_test_buf text = {0};
	struct ph_oid oids[16];
	uint32_t made;

	for (uint32_t i = 0; i < parents; i++)
		oids[i] = f.all.entries[parent[i]].oid;
	ph_test_commit_text(&text, f.algo, &f.all.entries[tree].oid, oids, parents, 1700000000,
	                    "c\n");
	made = ph_test_pack_add(&f.all, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_release(&text);
	return made;
}

struct item {
	const char *name;
	uint32_t entry;
	bool dir;
};

static uint32_t add_tree(const struct item *items, uint32_t count)
{
	struct ph_test_buf text = {0};
	uint32_t made;

	for (uint32_t i = 0; i < count; i++)
		ph_test_tree_entry(&text, f.algo, items[i].dir ? 040000 : 0100644, items[i].name,
		                   &f.all.entries[items[i].entry].oid);
	made = ph_test_pack_add(&f.all, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_release(&text);
	return made;
}

static void test_object_size(void **state)
{
	char large[3000];
	uint32_t entries[3];

	(void)state;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)('a' + i % 23);
	entries[0] = ph_test_pack_add(&f.all, PH_OBJ_BLOB, large, sizeof(large));
	entries[1] = add_tree(&(struct item){"large", entries[0], false}, 1);
	entries[2] = add_commit(entries[1], &f.commit[1], 1);
	set_config(&f, "demo", "packhorse.maxobjectsize=2999\n");
	ask(zero(&f), hex(&f, entries[2]), "refs/heads/x", entries, 3);
	expect("unpack object too large (packhorse.maxObjectSize)");
	expect("ng refs/heads/x unpacker error");
	expect("more than 2999 bytes");
	set_config(&f, "demo", "packhorse.maxobjectsize=3000\n");
	ask(zero(&f), hex(&f, entries[2]), "refs/heads/x", entries, 3);
	expect("ok refs/heads/x");
}

/* What is there counts; refs may still go, and move to what is there. */
static void test_repository_size(void **state)
{
	uint32_t entries[2];

	(void)state;
	entries[0] = add_tree(&(struct item){"other", f.blob[0], false}, 1);
	entries[1] = add_commit(entries[0], &f.commit[1], 1);
	set_config(&f, "demo", "packhorse.maxrepositorysize=100\n");
	ask(zero(&f), hex(&f, entries[1]), "refs/heads/x", entries, 2);
	expect("unpack repository is full (packhorse.maxRepositorySize)");
	ask(zero(&f), hex(&f, f.commit[0]), "refs/heads/x", NULL, 0);
	expect("ok refs/heads/x");
	ask(hex(&f, f.commit[0]), zero(&f), "refs/heads/x", NULL, 0);
	expect("ok refs/heads/x");
	set_config(&f, "demo", "packhorse.maxrepositorysize=100k\n");
	ask(zero(&f), hex(&f, entries[1]), "refs/heads/x", entries, 2);
	expect("ok refs/heads/x");
}

/* A store that has little left: the server's rule, not a repository's. */
static uint64_t space_left;
static uint64_t little_space(struct ph_store *store)
{
	(void)store;
	return space_left;
}

static void test_reserve(void **state)
{
	const struct ph_store_ops *ops = f.store->ops;
	struct ph_store_ops little = *ops;
	static const char text[] = "packhorse.diskreserve=1m\n";
	uint32_t entries[2];

	(void)state;
	entries[0] = add_tree(&(struct item){"other", f.blob[0], false}, 1);
	entries[1] = add_commit(entries[0], &f.commit[1], 1);
	little.space = little_space;
	f.store->ops = &little;
	space_left = (1u << 20) - 1;
	assert_int_equal(ph_store_setting_set(f.store, "config", text, sizeof(text) - 1), PH_OK);
	set_config(&f, "demo", "packhorse.diskreserve=0\n");
	ask(zero(&f), hex(&f, entries[1]), "refs/heads/x", entries, 2);
	expect("unpack disk is nearly full (packhorse.diskReserve)");
	expect("1048575 bytes left and keeps 1048576");
	ask(hex(&f, f.tag), zero(&f), "refs/tags/v1", NULL, 0);
	expect("ok refs/tags/v1");
	space_left++;
	ask(zero(&f), hex(&f, entries[1]), "refs/heads/x", entries, 2);
	expect("ok refs/heads/x");
	f.store->ops = ops;
}

/* Whether a commit of this tree may be pushed, and if not, for which path. */
static void judge(uint32_t tree, const uint32_t *parents, uint32_t count, const char *path)
{
	uint32_t all[400], n = 0;
	uint32_t commit = add_commit(tree, parents, count);
	char text[100];

	/* Trees of other commits do no harm; commits would be judged as well. */
	for (uint32_t i = f.tag + 1; i < f.all.count; i++)
		if (f.all.entries[i].type != PH_OBJ_COMMIT || i == commit)
			all[n++] = i;
	ask(zero(&f), hex(&f, commit), "refs/heads/x", all, n);
	if (!path) {
		expect("ok refs/heads/x");
		ask(hex(&f, commit), zero(&f), "refs/heads/x", NULL, 0);
		return;
	}
	snprintf(text, sizeof(text), "changes '%s', which", path);
	expect(text);
	expect("ng refs/heads/x path not allowed (packhorse.");
}

/* The fixture's trees have one file, "file". */
static void test_paths(void **state)
{
	uint32_t docs, tree, deep, main_tree = f.tree[1];
	(void)state;
	set_config(&f, "demo",
	           "packhorse.allowedpaths=/docs/\npackhorse.allowedpaths=*.md\n"
	           "packhorse.deniedpaths=docs/*/key\npackhorse.deniedpaths=!docs/a/key\n");
	docs = add_tree((struct item[]){{"a", f.blob[0], false}, {"b", f.blob[1], false}}, 2);
	tree = add_tree((struct item[]){{"docs", docs, true}, {"file", f.blob[1], false}}, 2);
	judge(tree, &f.commit[1], 1, NULL);
	/* Another file, the same path as a directory, and a file that is gone. */
	judge(add_tree((struct item[]){{"docs", docs, true}, {"file", f.blob[0], false}}, 2),
	      &f.commit[1], 1, "file");
	judge(add_tree((struct item[]){{"docs", docs, true}, {"file", docs, true}}, 2),
	      &f.commit[1], 1, "file");
	judge(add_tree((struct item[]){{"docs", docs, true}}, 1), &f.commit[1], 1, "file");
	/* Without a parent all of it is new. */
	judge(main_tree, NULL, 0, "file");
	judge(add_tree((struct item[]){{"docs", docs, true}, {"x.md", f.blob[0], false}}, 2), NULL,
	      0, NULL);
	/* Names that only begin like the pattern, and one that sorts between file and directory. */
	judge(add_tree((struct item[]){{"docs-more", f.blob[0], false},
	                               {"docs", docs, true},
	                               {"file", f.blob[1], false}},
	               3),
	      &f.commit[1], 1, "docs-more");
	deep = add_tree((struct item[]){{"key", f.blob[0], false}}, 1);
	judge(add_tree((struct item[]){{"docs", add_tree((struct item[]){{"a", deep, true}}, 1),
	                                true},
	                               {"file", f.blob[1], false}},
	               2),
	      &f.commit[1], 1, NULL);
	judge(add_tree((struct item[]){{"docs", add_tree((struct item[]){{"b", deep, true}}, 1),
	                                true},
	                               {"file", f.blob[1], false}},
	               2),
	      &f.commit[1], 1, "docs/b/key");
}

/* A merge may be as either side, path by path. */
static void test_merges(void **state)
{
	uint32_t old_docs, tree;

	(void)state;
	set_config(&f, "demo", "packhorse.allowedpaths=docs\n");
	old_docs = add_tree((struct item[]){{"a", f.blob[0], false}}, 1);
	tree = add_tree((struct item[]){{"docs", old_docs, true}, {"file", f.blob[1], false}}, 2);
	judge(tree, (uint32_t[]){f.commit[1], f.commit[0]}, 2, NULL);
	judge(f.tree[0], (uint32_t[]){f.commit[1], f.commit[0]}, 2, NULL);
	judge(add_tree((struct item[]){{"file", old_docs, true}}, 1),
	      (uint32_t[]){f.commit[1], f.commit[0]}, 2, "file");
	judge(add_tree((struct item[]){{"docs", old_docs, true}}, 1),
	      (uint32_t[]){f.commit[1], f.commit[0]}, 2, "file");
}

/* A tree that holds itself 2^40 times is given up, within bounds. */
static void test_tree_bomb(void **state)
{
	uint32_t all[100], n = 0, tree, commit;

	(void)state;
	set_config(&f, "demo", "packhorse.deniedpaths=nothing\n");
	tree = add_tree((struct item[]){{"a", f.blob[0], false}, {"b", f.blob[1], false}}, 2);
	for (unsigned i = 0; i < 40; i++)
		tree = add_tree((struct item[]){{"x", tree, true}, {"y", tree, true}}, 2);
	commit = add_commit(tree, &f.commit[1], 1);
	for (uint32_t i = f.tag + 1; i < f.all.count; i++)
		all[n++] = i;
	ask(zero(&f), hex(&f, commit), "refs/heads/x", all, n);
	expect("ng refs/heads/x paths cannot be checked");
	expect("paths that the push changes cannot be told");
}

/* A tree of 2 MiB, like no other. */
static uint32_t add_large_tree(unsigned number)
{
	struct ph_test_buf text = {0};
	uint32_t made;

	for (unsigned i = 0; i < 9600; i++) {
		char name[208];

		if (i)
			snprintf(name, sizeof(name), "%0200u", i);
		else
			snprintf(name, sizeof(name), "!%u", number);
		ph_test_tree_entry(&text, f.algo, 0100644, name, &f.all.entries[f.blob[0]].oid);
	}
	assert_true(text.len > 2 << 20);
	made = ph_test_pack_add(&f.all, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_release(&text);
	return made;
}

/* A merge of many sides, each with a large tree: they are not all read at once. */
static void test_octopus(void **state)
{
	uint32_t all[40], parents[16], n = 0, merge;
	int64_t before;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		parents[i] = add_commit(add_large_tree(i), NULL, 0);
	for (uint32_t i = f.tag + 1; i < f.all.count; i++)
		all[n++] = i;
	/* What is there already is not looked at. */
	for (unsigned i = 0; i < 16; i++) {
		char name[32];

		snprintf(name, sizeof(name), "refs/heads/p%u", i);
		ask(zero(&f), hex(&f, parents[i]), name, all, i ? 0 : n);
		assert_true(says(&answer, "unpack ok"));
	}
	merge = add_commit(f.tree[0], parents, 16);
	set_config(&f, "demo", "packhorse.deniedpaths=nothing\n");
	before = f.memory.live_bytes;
	f.memory.peak_bytes = before;
	ask(zero(&f), hex(&f, merge), "refs/heads/x", &merge, 1);
	expect("ng refs/heads/x paths cannot be checked");
	expect("paths that the push changes cannot be told: a limit was exceeded");
	assert_true(f.memory.peak_bytes - before < 24 << 20);
}

/* Fed in pieces and with small budgets, a push has the same answer; and with memory that fails. */
static void test_pieces_and_memory(void **state)
{
	static const enum feed feeds[] = {FEED_BYTES, FEED_RANDOM};
	struct ph_test_buf whole = {0};
	uint32_t all[16], n = 0, docs, commit;
	bool failed = true;

	(void)state;
	set_config(&f, "demo",
	           "packhorse.allowedpaths=docs\npackhorse.maxobjectsize=1m\n"
	           "packhorse.maxrepositorysize=1g\npackhorse.protect=refs/p\n");
	docs = add_tree((struct item[]){{"a", f.blob[0], false}}, 1);
	commit = add_commit(add_tree((struct item[]){{"docs", docs, true}}, 1), &f.commit[1], 1);
	for (uint32_t i = f.tag + 1; i < f.all.count; i++)
		all[n++] = i;
	ask(zero(&f), hex(&f, commit), "refs/heads/x", all, n);
	expect("path not allowed");
	ph_test_buf_append(&whole, answer.out.data, answer.out.len);
	for (size_t i = 0; i < 2; i++) {
		struct pump how = {.feed = feeds[i], .seed = 3, .budget = 1};
		struct answer other;

		assert_int_equal(push_how(&f, "demo", 0, &how, &request, &other), PH_OK);
		assert_int_equal(other.out.len, whole.len);
		assert_memory_equal(other.out.data, whole.data, whole.len);
		answer_release(&other);
	}
	for (uint64_t at = 1; failed; at++) {
		struct pump how = {.feed = FEED_AT_ONCE};
		struct answer other;
		enum ph_status status;

		f.memory.fail_at = f.memory.calls + at;
		status = push_how(&f, "demo", 0, &how, &request, &other);
		failed = f.memory.calls >= f.memory.fail_at;
		f.memory.fail_at = 0;
		assert_true(status == PH_OK || status == PH_ERR_NOMEM);
		assert_string_equal(ref_value(&f, "demo", "refs/heads/x"), "");
		answer_release(&other);
	}
	ph_test_buf_release(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	        T(test_refs),        T(test_alias),
	        T(test_object_size), T(test_repository_size),
	        T(test_reserve),     T(test_paths),
	        T(test_merges),      T(test_tree_bomb),
	        T(test_octopus),     T(test_pieces_and_memory),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
