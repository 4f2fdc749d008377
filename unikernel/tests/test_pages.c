/* SPDX-License-Identifier: MIT */
/*
 * The page allocator against a plain model: one owner a page. Every run must be zeroed, free
 * before, inside the heap; what is there must survive; and a heap that was given back whole must
 * be one run again.
 */
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sys/sys.h"

#define PAGE 4096u
#define RUNS 400u

struct run {
	uint8_t *at;
	size_t pages;
	uint8_t mark;
};

static uint32_t seed;

static uint32_t next(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static uint8_t *heap_of(size_t bytes)
{
	uint8_t *heap = aligned_alloc(PAGE, bytes);
	assert_non_null(heap);
	memset(heap, 0, bytes);
	ph__pages_init(heap, bytes);
	return heap;
}

static size_t largest(void)
{
	struct ph__pages_counts counts;
	ph__pages_counts(&counts);
	return counts.largest_free;
}

static void check_filled(const uint8_t *at, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != value)
			fail_msg("byte %zu is %u, not %u", i, at[i], value);
}

static void fill(struct run *run, uint8_t *at, size_t pages, size_t kept_pages)
{
	check_filled(at, kept_pages * PAGE, run->mark);
	check_filled(at + kept_pages * PAGE, (pages - kept_pages) * PAGE, 0);
	run->at = at;
	run->pages = pages;
	memset(at, run->mark, pages * PAGE);
}

static size_t some_pages(void)
{
	return next(8) == 0 ? 1 + next(200) : 1 + next(9);
}

static void step(struct run *run)
{
	size_t pages = some_pages();
	if (!run->at) {
		uint8_t *at = ph__pages_map(pages * PAGE - next(PAGE));
		if (at)
			fill(run, at, pages, 0);
		else
			assert_true(largest() < pages * PAGE);
	} else if (next(3) == 0) {
		uint8_t *at = ph__pages_resize(run->at, run->pages * PAGE, pages * PAGE);
		if (at)
			fill(run, at, pages, pages < run->pages ? pages : run->pages);
		else
			check_filled(run->at, run->pages * PAGE, run->mark);
	} else {
		check_filled(run->at, run->pages * PAGE, run->mark);
		ph__pages_unmap(run->at, run->pages * PAGE);
		run->at = NULL;
	}
}

static void random_steps(void **state)
{
	(void)state;
	for (size_t pages = 60; pages < 2000; pages = pages * 3 + 5) {
		static struct run runs[RUNS];
		uint8_t *heap = heap_of(pages * PAGE);
		struct ph__pages_counts counts, end;
		ph__pages_counts(&counts);
		assert_int_equal(counts.largest_free, counts.total);
		for (unsigned i = 0; i < RUNS; i++)
			runs[i] = (struct run){.mark = (uint8_t)(1 + i % 255)};
		for (unsigned i = 0; i < 6000; i++)
			step(&runs[next(RUNS)]);
		size_t used = 0;
		for (unsigned i = 0; i < RUNS; i++)
			if (runs[i].at) {
				check_filled(runs[i].at, runs[i].pages * PAGE, runs[i].mark);
				used += runs[i].pages * PAGE;
			}
		ph__pages_counts(&end);
		assert_int_equal(end.used, used);
		assert_true(end.peak >= used);
		for (unsigned i = 0; i < RUNS; i++)
			if (runs[i].at)
				ph__pages_unmap(runs[i].at, runs[i].pages * PAGE);
		ph__pages_peak_reset();
		ph__pages_counts(&end);
		assert_int_equal(end.used, 0);
		assert_int_equal(end.peak, 0);
		assert_int_equal(end.largest_free, counts.total);
		free(heap);
	}
}

/* All of it as one run, and nothing beyond. */
static void whole(void **state)
{
	(void)state;
	for (size_t pages = 0; pages < 200; pages++) {
		uint8_t *heap = heap_of((pages + 1) * PAGE);
		size_t total = largest();
		assert_int_equal(total, pages * PAGE);
		assert_null(ph__pages_map(total + 1));
		assert_null(ph__pages_map(SIZE_MAX));
		assert_null(ph__pages_map(0));
		uint8_t *at = total > 0 ? ph__pages_map(total) : NULL;
		if (at) {
			assert_ptr_equal(at, heap + PAGE);
			assert_null(ph__pages_map(1));
			ph__pages_unmap(at, total);
			assert_int_equal(largest(), total);
		}
		free(heap);
	}
}

/* A run grows over the free pages above and below it, without room for a copy. */
static void grows_in_place(void **state)
{
	(void)state;
	uint8_t *heap = heap_of(101 * PAGE);
	uint8_t *low = ph__pages_map(20 * PAGE), *run = ph__pages_map(20 * PAGE);
	uint8_t *top = ph__pages_map(40 * PAGE);
	assert_ptr_equal(top, heap + 61 * PAGE);
	memset(run, 7, 20 * PAGE);
	assert_ptr_equal(ph__pages_resize(run, 20 * PAGE, 35 * PAGE), run);
	assert_null(ph__pages_resize(run, 35 * PAGE, 41 * PAGE));
	ph__pages_unmap(low, 20 * PAGE);
	uint8_t *moved = ph__pages_resize(run, 35 * PAGE, 50 * PAGE);
	assert_ptr_equal(moved, run - 10 * PAGE);
	check_filled(moved, 20 * PAGE, 7);
	check_filled(moved + 20 * PAGE, 30 * PAGE, 0);
	assert_ptr_equal(ph__pages_resize(moved, 50 * PAGE, PAGE), moved);
	assert_null(ph__pages_resize(moved, PAGE, 0));
	assert_int_equal(largest(), 49 * PAGE);
	free(heap);
}

static size_t resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long size = 0, resident = 0;
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident;
}

/* What was never used costs nothing, and 4 GiB full of holes are still searched quickly. */
static void large_heap(void **state)
{
	(void)state;
	size_t bytes = (size_t)4 << 30;
	uint8_t *heap = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(heap != MAP_FAILED);
	size_t before = resident_pages();
	ph__pages_init(heap, bytes);
	uint8_t *run = ph__pages_map((size_t)1 << 30);
	assert_non_null(run);
	ph__pages_unmap(run, (size_t)1 << 30);
	size_t count = 0;
	clock_t start = clock();
	while (count < 400000 && ph__pages_map(PAGE))
		count++;
	assert_int_equal(count, 400000);
	for (size_t i = 0; i < count; i += 2)
		ph__pages_unmap(heap + 33 * PAGE + i * PAGE, PAGE);
	for (size_t i = 0; i < 300; i++) {
		run = ph__pages_map(2 * PAGE);
		assert_non_null(run);
		ph__pages_unmap(run, 2 * PAGE);
	}
	assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
	assert_true(resident_pages() - before < 2000);
	munmap(heap, bytes);
}

int main(void)
{
	seed = 1;
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(random_steps),
	        cmocka_unit_test(whole),
	        cmocka_unit_test(grows_in_place),
	        cmocka_unit_test(large_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
