/* SPDX-License-Identifier: MIT */
/*
 * Trees made by delta are found to be exactly what the whole check finds: chains of random trees,
 * with deltas as git writes them and with hostile ones, are checked both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"
#include "../tree_marks_int.h"
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES_MAX 48u
#define TOLD_MAX 512u

/* What callbacks were told, each once. */
struct told {
	struct told_one {
		uint8_t kind; /* a special's kind, or 8 + a link's type */
		uint8_t id[PH_OID_BYTES_MAX];
	} at[TOLD_MAX];
	uint32_t count;
	uint64_t calls;
	size_t id_bytes;
	enum ph_status answer;
};

static bool told_has(const struct told *told, const struct told_one *one)
{
	for (uint32_t i = 0; i < told->count; i++) {
		if (memcmp(&told->at[i], one, sizeof *one) == 0)
			return true;
	}
	return false;
}

static void told_add(struct told *told, const struct told_one *one)
{
	told->calls++;
	if (told_has(told, one))
		return;
	assert_true(told->count < TOLD_MAX);
	told->at[told->count++] = *one;
}

static enum ph_status on_special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	struct told *told = user;
	struct told_one one = {.kind = (uint8_t)kind};

	memcpy(one.id, oid->bytes, told->id_bytes);
	told_add(told, &one);
	return told->answer;
}

static enum ph_status on_link(void *user, enum ph_object_type type, const uint8_t *id)
{
	struct told *told = user;
	struct told_one one = {.kind = (uint8_t)(8 + type)};

	assert_true(type == PH_OBJ_TREE || type == PH_OBJ_BLOB);
	memcpy(one.id, id, told->id_bytes);
	told_add(told, &one);
	return told->answer;
}

static struct ph__tree_checker checker_of(struct told *told, enum ph_hash_algo algo,
                                          const struct ph_alloc *alloc)
{
	*told = (struct told){.id_bytes = ph_hash_bytes(algo)};
	return (struct ph__tree_checker){
	        .algo = algo, .alloc = alloc, .user = told, .special = on_special, .link = on_link};
}

/* ---- random trees ---- */

struct entry {
	char mode[8];
	char name[24];
	uint8_t id[PH_OID_BYTES_MAX];
};

struct tree {
	struct entry at[ENTRIES_MAX];
	uint32_t count;
};

static const char *const names[] = {
        "a",    "a.",     "a.b",     "a-",          "a-b",     "a0",         "ab",
        "foo",  "foo.c",  "foo.c-d", "foo-bar",     "foo0",    "fooo",       "Makefile",
        "src",  "src.h",  "src-x",   "t",           "t1",      "x.y",        "z",
        "zz",   "zzz",    "lib",     ".gitmodules", "a.b.c",   ".gitignore", ".gitattributes",
        "libx", "README", "lib-x",   "main.c",      "main.c~", "LICENSE",    ".github",
};
static const char *const bad_names[] = {".git", "..", ".",       "GIT~1",    ".mailmap", "a/b",
                                        ".gIt", "",   "a\\.git", "GITMOD~1", ".git ."};
static const char *const modes[] = {"100644", "100644", "100755", "40000",
                                    "40000",  "120000", "160000"};
static const char *const bad_modes[] = {"100664", "040000", "0", "1100644", "10x", ""};

#define PICK(rng, list) list[ph_test_rng_below(rng, sizeof(list) / sizeof((list)[0]))]

static int entry_cmp(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;
	char left[32];
	char right[32];

	snprintf(left, sizeof left, "%s%s", x->name, x->mode[0] == '4' ? "/" : "");
	snprintf(right, sizeof right, "%s%s", y->name, y->mode[0] == '4' ? "/" : "");
	return strcmp(left, right);
}

static void random_entry(struct ph_test_rng *rng, struct entry *out, uint32_t hostile)
{
	bool bad = ph_test_rng_below(rng, 100) < hostile;

	memset(out, 0, sizeof *out);
	snprintf(out->mode, sizeof out->mode, "%s", PICK(rng, modes));
	snprintf(out->name, sizeof out->name, "%s", PICK(rng, names));
	ph_test_rng_fill(rng, out->id, sizeof out->id);
	if (bad && ph_test_rng_below(rng, 2) == 0)
		snprintf(out->name, sizeof out->name, "%s", PICK(rng, bad_names));
	else if (bad && ph_test_rng_below(rng, 2) == 0)
		snprintf(out->mode, sizeof out->mode, "%s", PICK(rng, bad_modes));
	else if (bad)
		memset(out->id, 0, sizeof out->id);
}

/* Sorted, and mostly without a name twice. */
static void settle(struct ph_test_rng *rng, struct tree *tree, uint32_t hostile)
{
	uint32_t kept = 0;

	qsort(tree->at, tree->count, sizeof tree->at[0], entry_cmp);
	for (uint32_t i = 0; i < tree->count; i++) {
		bool again = false;

		for (uint32_t k = 0; k < kept; k++)
			again = again || strcmp(tree->at[k].name, tree->at[i].name) == 0;
		if (!again || ph_test_rng_below(rng, 100) < hostile)
			tree->at[kept++] = tree->at[i];
	}
	tree->count = kept;
	if (kept > 1 && ph_test_rng_below(rng, 100) < hostile) {
		uint32_t i = ph_test_rng_below(rng, kept - 1);
		struct entry one = tree->at[i];

		tree->at[i] = tree->at[i + 1];
		tree->at[i + 1] = one;
	}
}

static void change(struct ph_test_rng *rng, struct tree *tree, uint32_t hostile)
{
	for (uint32_t n = 1 + ph_test_rng_below(rng, 3); n > 0; n--) {
		uint32_t what = ph_test_rng_below(rng, 6);
		uint32_t i = tree->count > 0 ? ph_test_rng_below(rng, tree->count) : 0;

		if ((what == 0 || tree->count == 0) && tree->count < ENTRIES_MAX)
			random_entry(rng, &tree->at[tree->count++], hostile);
		else if (what == 1)
			tree->at[i] = tree->at[--tree->count];
		else if (what == 2)
			snprintf(tree->at[i].mode, sizeof tree->at[i].mode, "%s", PICK(rng, modes));
		else
			ph_test_rng_fill(rng, tree->at[i].id, sizeof tree->at[i].id);
	}
}

static void write_tree(const struct tree *tree, enum ph_hash_algo algo, struct ph_test_buf *out)
{
	out->len = 0;
	for (uint32_t i = 0; i < tree->count; i++) {
		ph_test_buf_print(out, "%s %s", tree->at[i].mode, tree->at[i].name);
		ph_test_buf_append(out, "", 1);
		ph_test_buf_append(out, tree->at[i].id, ph_hash_bytes(algo));
	}
}

/* ---- deltas ---- */

static void put_size(struct ph_test_buf *out, uint64_t size)
{
	do {
		uint8_t byte = (uint8_t)((size & 0x7f) | (size > 0x7f ? 0x80 : 0));

		ph_test_buf_append(out, &byte, 1);
		size >>= 7;
	} while (size > 0);
}

static void put_copy(struct ph_test_buf *out, size_t from, size_t len)
{
	uint8_t op[7] = {0x80 | 0x0f | 0x30,    (uint8_t)from,         (uint8_t)(from >> 8),
	                 (uint8_t)(from >> 16), (uint8_t)(from >> 24), (uint8_t)len,
	                 (uint8_t)(len >> 8)};

	if (len > 0)
		ph_test_buf_append(out, op, sizeof op);
}

static void put_insert(struct ph_test_buf *out, const uint8_t *data, size_t len)
{
	while (len > 0) {
		uint8_t part = len > 127 ? 127 : (uint8_t)len;

		ph_test_buf_append(out, &part, 1);
		ph_test_buf_append(out, data, part);
		data += part;
		len -= part;
	}
}

/*
 * A right delta for a result: at each place the longest of what the base has, from a length on that
 * is different each time; cut here and there.
 */
static void make_delta(struct ph_test_rng *rng, const struct ph_test_buf *base,
                       const struct ph_test_buf *result, struct ph_test_buf *out)
{
	size_t at = 0;
	size_t least = 1 + ph_test_rng_below(rng, 24);
	size_t inserted = 0;

	out->len = 0;
	put_size(out, base->len);
	put_size(out, result->len);
	while (at < result->len) {
		size_t best = 0;
		size_t from = 0;

		for (size_t i = 0; i < base->len; i++) {
			size_t len = 0;

			while (i + len < base->len && at + len < result->len &&
			       base->data[i + len] == result->data[at + len])
				len++;
			if (len > best) {
				best = len;
				from = i;
			}
		}
		if (best < least) {
			at++;
			inserted++;
			continue;
		}
		if (ph_test_rng_below(rng, 4) == 0)
			best = 1 + ph_test_rng_below(rng, (uint32_t)best);
		put_insert(out, result->data + at - inserted, inserted);
		inserted = 0;
		put_copy(out, from, best);
		at += best;
	}
	put_insert(out, result->data + at - inserted, inserted);
}

/* A delta of anything, and what it makes. */
static void wild_delta(struct ph_test_rng *rng, const struct ph_test_buf *base,
                       const struct ph_test_buf *other, struct ph_test_buf *out,
                       struct ph_test_buf *result)
{
	struct ph_test_buf ops = {0};

	result->len = 0;
	for (uint32_t n = ph_test_rng_below(rng, 6); n > 0; n--) {
		const struct ph_test_buf *of = ph_test_rng_below(rng, 3) == 0 ? other : base;
		size_t from = of->len > 0 ? ph_test_rng_below(rng, (uint32_t)of->len) : 0;
		size_t len =
		        of->len > from ? 1 + ph_test_rng_below(rng, (uint32_t)(of->len - from)) : 0;

		if (ph_test_rng_below(rng, 3) == 0) {
			from = 0;
			len = of->len;
		}
		if (of == base)
			put_copy(&ops, from, len);
		else if (len > 0)
			put_insert(&ops, of->data + from, len);
		if (len > 0)
			ph_test_buf_append(result, of->data + from, len);
	}
	out->len = 0;
	put_size(out, base->len);
	put_size(out, result->len);
	if (ops.len > 0)
		ph_test_buf_append(out, ops.data, ops.len);
	ph_test_buf_release(&ops);
}

/* ---- both checks ---- */

struct chain {
	struct ph_test_rng rng;
	enum ph_hash_algo algo;
	struct ph_test_buf base, result, delta, other;
	struct ph__tree_marks base_marks, marks, whole_marks;
	struct told base_told, whole, part;
	uint64_t links_whole, links_part, clean;
};

/* A copy of exactly its size, so that a sanitizer sees a read behind it. */
static uint8_t *exact(const struct ph_test_buf *buf)
{
	uint8_t *copy = malloc(buf->len > 0 ? buf->len : 1);

	assert_non_null(copy);
	if (buf->len > 0)
		memcpy(copy, buf->data, buf->len);
	return copy;
}

static void expect_same(struct chain *c, ph__tree_found whole, ph__tree_found part)
{
	assert_true(whole == part);
	for (uint32_t i = 0; i < c->part.count; i++)
		assert_true(told_has(&c->whole, &c->part.at[i]));
	for (uint32_t i = 0; i < c->whole.count; i++)
		assert_true(told_has(&c->part, &c->whole.at[i]) ||
		            (c->base_marks.known && told_has(&c->base_told, &c->whole.at[i])));
	assert_int_equal(c->marks.known, whole == 0);
	assert_int_equal(c->whole_marks.known, whole == 0);
	if (whole != 0)
		return;
	assert_int_equal(c->marks.count, c->whole_marks.count);
	if (c->marks.count > 0)
		assert_memory_equal(c->marks.starts, c->whole_marks.starts,
		                    c->marks.count * sizeof *c->marks.starts);
	c->links_whole += c->whole.calls;
	c->links_part += c->part.calls;
	c->clean++;
}

/* The result becomes the base of the next step. */
static void step(struct chain *c, bool keep)
{
	const struct ph_alloc *alloc = ph_alloc_libc();
	uint8_t *base = exact(&c->base);
	uint8_t *delta = exact(&c->delta);
	uint8_t *result = exact(&c->result);
	struct ph__tree_marks marks;
	struct ph__tree_checker checker;
	ph__tree_found whole;
	ph__tree_found part;

	checker = checker_of(&c->whole, c->algo, alloc);
	assert_int_equal(
	        ph__tree_check_full(&checker, result, c->result.len, &c->whole_marks, &whole),
	        PH_OK);
	checker = checker_of(&c->part, c->algo, alloc);
	assert_int_equal(ph__tree_check_delta(&checker, base, c->base.len, &c->base_marks, delta,
	                                      c->delta.len, result, c->result.len,
	                                      keep ? &c->marks : NULL, &part),
	                 PH_OK);
	if (!keep) {
		assert_true(whole == part);
	} else {
		expect_same(c, whole, part);
		marks = c->base_marks;
		c->base_marks = c->marks;
		c->marks = marks;
		c->base.len = 0;
		if (c->result.len > 0)
			ph_test_buf_append(&c->base, c->result.data, c->result.len);
		c->base_told = c->whole;
	}
	free(base);
	free(delta);
	free(result);
}

static void chain_begin(struct chain *c, uint64_t seed, struct tree *tree, uint32_t hostile)
{
	struct ph__tree_checker checker;
	ph__tree_found found;

	ph_test_rng_init(&c->rng, seed);
	c->algo = seed % 5 == 0 ? PH_HASH_SHA256 : PH_HASH_SHA1;
	tree->count = 1 + ph_test_rng_below(&c->rng, 30);
	for (uint32_t i = 0; i < tree->count; i++)
		random_entry(&c->rng, &tree->at[i], 0);
	settle(&c->rng, tree, hostile);
	write_tree(tree, c->algo, &c->base);
	checker = checker_of(&c->base_told, c->algo, ph_alloc_libc());
	assert_int_equal(
	        ph__tree_check_full(&checker, c->base.data, c->base.len, &c->base_marks, &found),
	        PH_OK);
	assert_int_equal(c->base_marks.known, found == 0);
}

static void chain_end(struct chain *c)
{
	const struct ph_alloc *alloc = ph_alloc_libc();

	ph__tree_marks_release(&c->base_marks, alloc);
	ph__tree_marks_release(&c->marks, alloc);
	ph__tree_marks_release(&c->whole_marks, alloc);
	ph_test_buf_release(&c->base);
	ph_test_buf_release(&c->result);
	ph_test_buf_release(&c->delta);
	ph_test_buf_release(&c->other);
}

/* Changes such as people make, and some that nobody makes. */
static void run_changes(struct chain *c, uint64_t seed, uint32_t hostile)
{
	static struct tree tree;
	static struct tree next;

	chain_begin(c, seed, &tree, hostile);
	for (unsigned i = 0; i < 8; i++) {
		next = tree;
		change(&c->rng, &next, hostile);
		settle(&c->rng, &next, hostile);
		write_tree(&next, c->algo, &c->result);
		make_delta(&c->rng, &c->base, &c->result, &c->delta);
		step(c, false);
		step(c, true);
		/* From what is wrong back to what was right. */
		if (!c->base_marks.known && ph_test_rng_below(&c->rng, 3) > 0) {
			write_tree(&tree, c->algo, &c->result);
			make_delta(&c->rng, &c->base, &c->result, &c->delta);
			step(c, true);
		} else {
			tree = next;
		}
	}
}

static void changes(void **state)
{
	static struct chain c;

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		run_changes(&c, seed, seed % 3 == 0 ? 25 : 0);
		if (seed % 100 == 0)
			chain_end(&c);
	}
	chain_end(&c);
	/* It is not by checking all that it is right: some changes are one entry of many. */
	assert_true(c.clean > 6000);
	assert_true(c.links_part * 2 < c.links_whole);
}

/* A file and a directory of one name, with others between that begin with it. */
static void far_apart(void **state)
{
	static const char *const near[] = {"foo", "foo-bar", "foo.c", "foo.c-d", "foo.c.e", "fop"};
	static struct chain c;
	static struct tree tree;
	uint64_t twice = 0;

	(void)state;
	chain_begin(&c, 1, &tree, 0);
	for (unsigned i = 0; i < 6000; i++) {
		/* From a tree that is right, unless by chance. */
		bool right = i % 2 == 0;

		tree.count = 0;
		for (unsigned k = 0; k < 12; k++) {
			struct entry *entry = &tree.at[tree.count];
			bool again = tree.count > 0 && strcmp(entry[-1].name, near[k / 2]) == 0;

			if (ph_test_rng_below(&c.rng, 2) == 0 || (right && again))
				continue;
			memset(entry, 0, sizeof *entry);
			snprintf(entry->mode, sizeof entry->mode, k % 2 ? "40000" : "100644");
			snprintf(entry->name, sizeof entry->name, "%s", near[k / 2]);
			memset(entry->id, (int)k + 1, sizeof entry->id);
			tree.count++;
		}
		qsort(tree.at, tree.count, sizeof tree.at[0], entry_cmp);
		write_tree(&tree, c.algo, &c.result);
		make_delta(&c.rng, &c.base, &c.result, &c.delta);
		step(&c, false);
		step(&c, true);
		twice += !c.base_marks.known;
	}
	chain_end(&c);
	assert_true(twice > 1000);
}

/* Copies and inserts of anything, cut anywhere. */
static void wild(void **state)
{
	static struct chain c;
	static struct tree tree;
	static struct tree other;

	(void)state;
	for (uint64_t seed = 1; seed <= 4000; seed++) {
		chain_begin(&c, seed, &tree, 0);
		other = tree;
		change(&c.rng, &other, 10);
		settle(&c.rng, &other, 10);
		write_tree(&other, c.algo, &c.other);
		for (unsigned i = 0; i < 2; i++) {
			wild_delta(&c.rng, &c.base, &c.other, &c.delta, &c.result);
			step(&c, false);
			step(&c, true);
			if (c.result.len > 4000)
				break;
		}
		if (seed % 100 == 0)
			chain_end(&c);
	}
	chain_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(changes),
	        cmocka_unit_test(far_apart),
	        cmocka_unit_test(wild),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
