/* SPDX-License-Identifier: MIT */
/*
 * The changes of refs that stores share, by themselves: how much work a verdict is for names that a
 * peer picked to make it long, and what becomes of errors. That verdicts are right is tested with
 * every store, by the conformance suite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "support.h"
#include "txn_refs_int.h"

/* A view over sorted names, that counts what it is asked and fails when told to. */
struct names {
	char **name;
	uint32_t count, room;
	uint64_t calls, fail_at;
};

static void names_add(struct names *names, const char *name)
{
	if (names->count == names->room) {
		names->room = 2 * names->room + 16;
		names->name = realloc(names->name, names->room * sizeof(*names->name));
		assert_non_null(names->name);
	}
	size_t size = strlen(name) + 1;
	names->name[names->count] = malloc(size);
	assert_non_null(names->name[names->count]);
	memcpy(names->name[names->count++], name, size);
}

static int compare(const void *a, const void *b)
{
	char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

static void names_release(struct names *names)
{
	for (uint32_t i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
}

static uint32_t lower_bound(const struct names *names, const char *name, bool after)
{
	uint32_t low = 0, high = names->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int cmp = strcmp(names->name[middle], name);
		if (cmp < 0 || (cmp == 0 && after))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum ph_status get(void *user, const char *name, struct ph_ref *out)
{
	struct names *names = user;
	if (++names->calls == names->fail_at)
		return PH_ERR_IO;
	uint32_t at = lower_bound(names, name, false);
	if (at == names->count || strcmp(names->name[at], name) != 0)
		return PH_ERR_NOT_FOUND;
	memset(out, 0, sizeof(*out));
	memcpy(out->name, name, strlen(name) + 1);
	out->oid = ph_test_oid_fake(PH_HASH_SHA1, 1);
	return PH_OK;
}

static enum ph_status seek(void *user, const char *from, bool after, char *out)
{
	struct names *names = user;
	if (++names->calls == names->fail_at)
		return PH_ERR_IO;
	uint32_t at = lower_bound(names, from, after);
	if (at == names->count)
		return PH_END;
	memcpy(out, names->name[at], strlen(names->name[at]) + 1);
	return PH_OK;
}

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct names names;
	struct ph__refs_view view;
	struct ph__txn_refs refs;
};

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	ph_test_alloc_init(&f->memory);
	ph_limits_init(&f->limits);
	ph__txn_refs_init(&f->refs, &f->memory.alloc, &f->limits);
}

/* Sorts the names; the view is ready. */
static struct ph__refs_view *fixture_view(struct fixture *f)
{
	if (f->names.count > 0)
		qsort(f->names.name, f->names.count, sizeof(*f->names.name), compare);
	f->view = (struct ph__refs_view){&f->names, f->names.count, get, seek};
	return &f->view;
}

static void fixture_release(struct fixture *f)
{
	ph__txn_refs_release(&f->refs);
	assert_int_equal(f->memory.live, 0);
	names_release(&f->names);
}

static enum ph_status change(struct fixture *f, const char *name, bool deletes, uint32_t *number)
{
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 2), zero = {{0}};
	return ph__txn_refs_update(&f->refs, name, NULL, deletes ? &zero : &oid, NULL, number);
}

static void put(struct fixture *f, const char *name, bool deletes)
{
	uint32_t number;
	assert_int_equal(change(f, name, deletes, &number), PH_OK);
}

/* The name of a directory of this depth. */
static size_t directory(char *out, unsigned depth)
{
	size_t len = 4;
	memcpy(out, "refs", len + 1);
	for (unsigned i = 0; i < depth; i++) {
		memcpy(out + len, "/d", 3);
		len += 2;
	}
	return len;
}

#define DEPTH 300u
#define LEAVES 20000u

/*
 * Many refs go that lie deep down, and each directory above them is to be a ref. Stepping over all
 * of them for each directory would be six million steps.
 */
static void deep_chain(bool top_first, bool one_stays)
{
	struct fixture f;
	char name[PH_REF_NAME_MAX + 1];
	fixture_init(&f);
	size_t len = directory(name, DEPTH);
	for (unsigned i = 0; i < LEAVES; i++) {
		snprintf(name + len, 16, "/%u", i);
		names_add(&f.names, name);
		if (!one_stays || i != LEAVES / 2)
			put(&f, name, true);
	}
	uint32_t first = f.refs.count;
	for (unsigned i = 1; i <= DEPTH; i++) {
		directory(name, top_first ? i : DEPTH + 1 - i);
		put(&f, name, false);
	}
	assert_int_equal(ph__txn_refs_evaluate(&f.refs, fixture_view(&f)), PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < first; i++)
		assert_int_equal(ph__txn_refs_verdict(&f.refs, i), PH_OK);
	for (uint32_t i = 0; i < DEPTH; i++)
		assert_int_equal(ph__txn_refs_verdict(&f.refs, first + i),
		                 i == 0 && !one_stays ? PH_OK : PH_ERR_INVALID);
	/* One look at each change, one step over each ref, one for each directory. */
	assert_true(f.names.calls < 2 * LEAVES + 4 * DEPTH + 100);
	fixture_release(&f);
}

static void deep_chains(void **state)
{
	(void)state;
	deep_chain(true, false);
	deep_chain(false, false);
	deep_chain(true, true);
	deep_chain(false, true);
}

/* Each directory has a ref that stays, behind those that go. */
static void survivors_everywhere(void **state)
{
	struct fixture f;
	char name[PH_REF_NAME_MAX + 1];
	(void)state;
	fixture_init(&f);
	for (unsigned depth = 1; depth <= DEPTH; depth++) {
		size_t len = directory(name, depth);
		put(&f, name, false);
		for (unsigned i = 0; i < 20; i++) {
			snprintf(name + len, 16, "/%02u", i);
			names_add(&f.names, name);
			put(&f, name, true);
		}
		memcpy(name + len, "/z", 3);
		names_add(&f.names, name);
	}
	assert_int_equal(ph__txn_refs_evaluate(&f.refs, fixture_view(&f)), PH_ERR_CONFLICT);
	for (uint32_t i = 0; i < f.refs.count; i++)
		assert_int_equal(ph__txn_refs_verdict(&f.refs, i),
		                 i % 21 == 0 ? PH_ERR_INVALID : PH_OK);
	assert_true(f.names.calls < 4 * f.refs.count);
	fixture_release(&f);
}

#define MANY 200000u

static unsigned height_of(const struct ph__txn_refs *refs, uint32_t number)
{
	return number == PH__NO_CHANGE ? 0 : refs->changes[number]->height;
}

/* Each node is as high as it says, and its sides differ by one at most. */
static void expect_balanced(const struct ph__txn_refs *refs)
{
	for (uint32_t i = 0; i < refs->count; i++) {
		const struct ph__change *node = refs->changes[i];
		unsigned left = height_of(refs, node->child[0]);
		unsigned right = height_of(refs, node->child[1]);
		assert_int_equal(node->height, (left > right ? left : right) + 1);
		assert_true(left <= right + 1 && right <= left + 1);
	}
}

/* The n-th name: in order, backwards, mixed, and from both ends to the middle. */
static uint32_t pick(unsigned order, uint32_t n)
{
	switch (order) {
	case 0:
		return n;
	case 1:
		return MANY - 1 - n;
	case 2:
		return n * 7919 % MANY;
	default:
		return n % 2 ? MANY - 1 - n / 2 : n / 2;
	}
}

/* No order of names makes the tree a list. */
static void any_order(void **state)
{
	char name[64], previous[64] = "";
	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		struct fixture f;
		uint32_t number, at = 0, seen = 0;
		fixture_init(&f);
		for (uint32_t i = 0; i < MANY; i++) {
			snprintf(name, sizeof(name), "refs/heads/%08u", (unsigned)pick(order, i));
			assert_int_equal(change(&f, name, false, &number), PH_OK);
			assert_int_equal(number, i);
		}
		assert_int_equal(change(&f, name, true, &number), PH_ERR_EXISTS);
		assert_int_equal(ph__txn_refs_evaluate(&f.refs, fixture_view(&f)), PH_OK);
		const struct ph__change *next;
		previous[0] = '\0';
		while ((next = ph__txn_refs_next(&f.refs, &at)) != NULL) {
			assert_true(strcmp(previous, next->name) < 0);
			memcpy(previous, next->name, strlen(next->name) + 1);
			seen++;
		}
		assert_int_equal(seen, MANY);
		expect_balanced(&f.refs);
		fixture_release(&f);
	}
}

/* Changes of every kind, among refs that exist. */
static void fill(struct fixture *f)
{
	names_add(&f->names, "refs/a/b");
	names_add(&f->names, "refs/a/c/d");
	names_add(&f->names, "refs/e");
	put(f, "refs/a/b", true);
	put(f, "refs/a", false);
	put(f, "refs/e/f", false);
	put(f, "refs/g/h", false);
}

static void errors_of_reading(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct fixture f;
		fixture_init(&f);
		fill(&f);
		f.names.fail_at = n;
		enum ph_status status = ph__txn_refs_evaluate(&f.refs, fixture_view(&f));
		bool hit = f.names.calls >= n;
		assert_int_equal(status, hit ? PH_ERR_IO : PH_ERR_CONFLICT);
		/* Asked again it knows better. */
		f.names.fail_at = 0;
		assert_int_equal(ph__txn_refs_evaluate(&f.refs, &f.view), PH_ERR_CONFLICT);
		assert_int_equal(ph__txn_refs_verdict(&f.refs, 0), PH_OK);
		assert_int_equal(ph__txn_refs_verdict(&f.refs, 1), PH_ERR_INVALID);
		assert_int_equal(ph__txn_refs_verdict(&f.refs, 2), PH_ERR_INVALID);
		assert_int_equal(ph__txn_refs_verdict(&f.refs, 3), PH_OK);
		fixture_release(&f);
		if (!hit)
			break;
	}
}

static void no_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct fixture f;
		uint32_t number;
		fixture_init(&f);
		names_add(&f.names, "refs/a/b");
		f.memory.fail_at = n;
		enum ph_status status = change(&f, "refs/a/b", true, &number);
		for (unsigned i = 0; i < 20 && status == PH_OK; i++) {
			char name[20];
			snprintf(name, sizeof(name), "refs/a/x%u", i);
			status = change(&f, name, false, &number);
		}
		uint32_t count = f.refs.count;
		if (status == PH_OK)
			status = ph__txn_refs_evaluate(&f.refs, fixture_view(&f));
		bool hit = f.memory.calls >= n;
		assert_int_equal(status, hit ? PH_ERR_NOMEM : PH_OK);
		/* The list is whole, and works. */
		f.memory.fail_at = 0;
		assert_int_equal(f.refs.count, count);
		assert_int_equal(change(&f, "refs/z", false, &number), PH_OK);
		assert_int_equal(number, count);
		assert_int_equal(ph__txn_refs_evaluate(&f.refs, fixture_view(&f)), PH_OK);
		fixture_release(&f);
		if (!hit)
			break;
	}
}

static void numbers_that_are_none(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	assert_int_equal(ph__txn_refs_evaluate(&f.refs, fixture_view(&f)), PH_OK);
	assert_int_equal(ph__txn_refs_verdict(&f.refs, 0), PH_ERR_INVALID);
	ph__txn_refs_drop(&f.refs, 0);
	put(&f, "refs/a", false);
	assert_int_equal(ph__txn_refs_verdict(&f.refs, 1), PH_ERR_INVALID);
	ph__txn_refs_drop(&f.refs, UINT32_MAX);
	assert_true(ph__txn_refs_changes(&f.refs, "refs/a"));
	assert_false(ph__txn_refs_changes(&f.refs, "refs"));
	ph__txn_refs_drop(&f.refs, 0);
	assert_false(ph__txn_refs_changes(&f.refs, "refs/a"));
	assert_int_equal(ph__txn_refs_find(&f.refs, "refs/a"), 0);
	assert_int_equal(ph__txn_refs_find(&f.refs, "refs/b"), PH__NO_CHANGE);
	assert_int_equal(ph__txn_refs_verdict(&f.refs, 0), PH_ERR_INVALID);
	uint32_t at = 0;
	assert_int_equal(ph__txn_refs_evaluate(&f.refs, &f.view), PH_OK);
	assert_null(ph__txn_refs_next(&f.refs, &at));
	fixture_release(&f);
}

/* Limits lower than what a ph_ref has room for. */
static void shorter_names(void **state)
{
	struct fixture f;
	uint32_t number;
	(void)state;
	fixture_init(&f);
	f.limits.ref_name_bytes_max = 10;
	assert_int_equal(change(&f, "refs/aaaaaa", false, &number), PH_ERR_INVALID);
	assert_int_equal(change(&f, "refs/aaaaa", false, &number), PH_OK);
	assert_int_equal(ph__txn_refs_symref(&f.refs, "HEAD", NULL, "refs/aaaaaa", &number),
	                 PH_ERR_INVALID);
	assert_int_equal(ph__txn_refs_symref(&f.refs, "HEAD", "refs/aaaaaa", NULL, &number),
	                 PH_ERR_INVALID);
	assert_int_equal(ph__txn_refs_symref(&f.refs, "HEAD", "", "refs/a", &number), PH_OK);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(deep_chains),   cmocka_unit_test(survivors_everywhere),
	        cmocka_unit_test(any_order),     cmocka_unit_test(errors_of_reading),
	        cmocka_unit_test(no_memory),     cmocka_unit_test(numbers_that_are_none),
	        cmocka_unit_test(shorter_names),
	};
	return cmocka_run_group_tests_name("txn_refs", tests, NULL, NULL);
}
