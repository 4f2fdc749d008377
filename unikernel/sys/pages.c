/* SPDX-License-Identifier: MIT */
/*
 * The heap in pages, one bit each, kept at its start. Small runs are taken from the low end and
 * large ones from the high end, so that what a transfer needs for seconds does not end up between
 * what lives for ever. Pages that were never given away are known to be zero and are not touched
 * before they are needed: a machine costs its host what it uses. A free run is searched word by
 * word from the lowest or highest page that can be free.
 */
#include "sys.h"

#include <assert.h>
#include <string.h>

#define PAGE_BYTES 4096u
#define WORD_PAGES 64u
/* From this size on a run is large: the C library maps such blocks one by one. */
#define LARGE_PAGES 32u
#define NO_RUN SIZE_MAX

static uint64_t *used_bits; /* beyond the last page they are set */
static uint8_t *first_page;
static size_t page_count, used_count, peak_count;
static size_t low_hint, high_hint;   /* no free page below, none at or above */
static size_t low_fresh, high_fresh; /* pages in between were never given away */

/* The first page from at on, before end, that is used (or free); end when there is none. */
static size_t find_up(size_t at, size_t end, bool used)
{
	while (at < end) {
		uint64_t word = used_bits[at / WORD_PAGES];
		word = (used ? word : ~word) & (~UINT64_C(0) << at % WORD_PAGES);
		if (word != 0) {
			at = at / WORD_PAGES * WORD_PAGES + (size_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at = (at / WORD_PAGES + 1) * WORD_PAGES;
	}
	return end;
}

/* One past the last page before end that is used (or free); 0 when there is none. */
static size_t find_down(size_t end, bool used)
{
	while (end > 0) {
		uint64_t word = used_bits[(end - 1) / WORD_PAGES];
		word = (used ? word : ~word) &
		       (~UINT64_C(0) >> (WORD_PAGES - 1 - (end - 1) % WORD_PAGES));
		if (word != 0)
			return (end - 1) / WORD_PAGES * WORD_PAGES + WORD_PAGES -
			       (size_t)__builtin_clzll(word);
		end = (end - 1) / WORD_PAGES * WORD_PAGES;
	}
	return 0;
}

static void mark(size_t at, size_t pages, bool used)
{
	while (pages > 0) {
		size_t bit = at % WORD_PAGES;
		size_t count = WORD_PAGES - bit < pages ? WORD_PAGES - bit : pages;
		uint64_t mask = ~UINT64_C(0) >> (WORD_PAGES - count) << bit;
		/* A page that is given back twice, or was never given away. */
		assert((used_bits[at / WORD_PAGES] & mask) == (used ? 0 : mask));
		used_bits[at / WORD_PAGES] ^= mask;
		at += count;
		pages -= count;
	}
}

static size_t search_low(size_t pages)
{
	size_t at = low_hint = find_up(low_hint, page_count, false);
	while (page_count - at >= pages) {
		size_t end = find_up(at, at + pages, true);
		if (end == at + pages)
			return at;
		at = find_up(end, page_count, false);
	}
	return NO_RUN;
}

static size_t search_high(size_t pages)
{
	size_t end = high_hint = find_down(high_hint, false);
	while (end >= pages) {
		size_t start = find_down(end, true);
		if (end - start >= pages)
			return end - pages;
		end = find_down(start, false);
	}
	return NO_RUN;
}

/* Zeroes what was in use before of the pages from at on, and notes that all of it is now. */
static void freshen(size_t at, size_t pages)
{
	size_t end = at + pages;
	size_t low = at < low_fresh ? low_fresh : at;
	size_t high = end > high_fresh ? high_fresh : end;
	if (low >= high)
		low = high = end;
	memset(first_page + at * PAGE_BYTES, 0, (low - at) * PAGE_BYTES);
	memset(first_page + high * PAGE_BYTES, 0, (end - high) * PAGE_BYTES);
	if (low == high)
		return;
	/* The untouched middle stays one run: it loses the side that this run is nearer to. */
	if (low - low_fresh <= high_fresh - high)
		low_fresh = high;
	else
		high_fresh = low;
}

static void take(size_t at, size_t pages)
{
	mark(at, pages, true);
	used_count += pages;
	if (used_count > peak_count)
		peak_count = used_count;
}

static size_t pages_of(size_t bytes)
{
	return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

static size_t index_of(const void *at)
{
	size_t offset = (size_t)((const uint8_t *)at - first_page);
	assert((const uint8_t *)at >= first_page && offset % PAGE_BYTES == 0);
	return offset / PAGE_BYTES;
}

void ph__pages_init(void *heap, size_t bytes)
{
	assert((uintptr_t)heap % PAGE_BYTES == 0);
	size_t all = bytes / PAGE_BYTES;
	size_t words = all / WORD_PAGES + 1;
	size_t own = pages_of(words * sizeof *used_bits);
	page_count = all > own ? all - own : 0;
	used_bits = heap;
	first_page = (uint8_t *)heap + own * PAGE_BYTES;
	used_count = peak_count = 0;
	low_hint = low_fresh = 0;
	high_hint = high_fresh = page_count;
	/* Searches may look at the rest of the last word. */
	for (size_t i = page_count; page_count > 0 && i < words * WORD_PAGES; i++)
		used_bits[i / WORD_PAGES] |= UINT64_C(1) << i % WORD_PAGES;
}

void ph__pages_distrust(void)
{
	low_fresh = high_fresh;
}

void *ph__pages_map(size_t bytes)
{
	size_t pages = pages_of(bytes);
	if (pages == 0 || pages > page_count - used_count)
		return NULL;
	size_t at = pages < LARGE_PAGES ? search_low(pages) : search_high(pages);
	if (at == NO_RUN)
		return NULL;
	take(at, pages);
	freshen(at, pages);
	return first_page + at * PAGE_BYTES;
}

void ph__pages_unmap(void *at, size_t bytes)
{
	size_t index = index_of(at), pages = pages_of(bytes);
	assert(index <= page_count && pages <= page_count - index);
	mark(index, pages, false);
	used_count -= pages;
	if (index < low_hint)
		low_hint = index;
	if (index + pages > high_hint)
		high_hint = index + pages;
}

void *ph__pages_resize(void *at, size_t old_bytes, size_t new_bytes)
{
	size_t index = index_of(at), old = pages_of(old_bytes), new = pages_of(new_bytes);
	assert(index <= page_count && old <= page_count - index);
	if (new == 0)
		return NULL;
	if (new <= old) {
		ph__pages_unmap((uint8_t *)at + new *PAGE_BYTES, (old - new) * PAGE_BYTES);
		return at;
	}
	size_t end = index + old;
	size_t up = find_up(end, page_count, true) - end;
	size_t down = index - find_down(index, true);
	if (new - old > up + down)
		return NULL;
	up = new - old < up ? new - old : up;
	down = new - old - up;
	take(index - down, down);
	take(end, up);
	freshen(index - down, down);
	freshen(end, up);
	if (down > 0) {
		uint8_t *to = first_page + (index - down) * PAGE_BYTES;
		memmove(to, at, old * PAGE_BYTES);
		memset(to + old * PAGE_BYTES, 0, down * PAGE_BYTES);
	}
	return first_page + (index - down) * PAGE_BYTES;
}

void ph__pages_counts(struct ph__pages_counts *out)
{
	size_t largest = 0;
	for (size_t at = find_up(0, page_count, false); at < page_count;) {
		size_t end = find_up(at, page_count, true);
		if (end - at > largest)
			largest = end - at;
		at = find_up(end, page_count, false);
	}
	*out = (struct ph__pages_counts){
	        .total = page_count * PAGE_BYTES,
	        .used = used_count * PAGE_BYTES,
	        .peak = peak_count * PAGE_BYTES,
	        .largest_free = largest * PAGE_BYTES,
	};
}

void ph__pages_peak_reset(void)
{
	peak_count = used_count;
}
