/* SPDX-License-Identifier: MIT */
/*
 * The page table that the image runs on: what is mapped lies where it lies in memory, and nothing
 * is both writable and executable. Text may be run, constants read, all else written; page 0, the
 * pages below the stacks and every address that nobody asked for are not there.
 */
#include "machine_int.h"

#define PRESENT UINT64_C(1)
#define WRITE UINT64_C(2)
#define UNCACHED UINT64_C(0x18)
#define TOUCHED UINT64_C(0x60) /* set by the processor */
#define LARGE UINT64_C(0x80)
#define LARGE_BYTES UINT64_C(0x200000)
/* Not present, and not to be: for software to use. */
#define GUARD UINT64_C(0x200)
#define NO_EXECUTE (UINT64_C(1) << 63)
#define ADDRESS UINT64_C(0x000ffffffffff000)
#define ADDRESS_MAX (UINT64_C(1) << 46)

extern const char ph__image_start[], ph__text_start[], ph__data_start[], ph__image_end[];
extern const char ph__stack_guard[], ph__stack_start[], ph__fault_guard[], ph__fault_stack_start[];

static uint64_t *root;

/* The entry for address at a level (0: of 4 KiB), or the large page's that it lies in. */
static uint64_t *walk(uint64_t address, unsigned down_to)
{
	uint64_t *table = root;

	for (unsigned level = 3; level > down_to; level--) {
		uint64_t *entry = &table[address >> (12 + 9 * level) & 511];

		if ((*entry & LARGE) != 0)
			return entry;
		if (*entry == 0) {
			table = ph__boot_pages(1);
			if (table == NULL)
				return NULL;
			*entry = (uintptr_t)table | PRESENT | WRITE;
		}
		table = (uint64_t *)(uintptr_t)(*entry & ADDRESS);
	}
	return &table[address >> (12 + 9 * down_to) & 511];
}

/* False when something there was mapped otherwise, which is left as it is, or tables ran out. */
static bool map(uint64_t start, uint64_t end, uint64_t flags)
{
	bool good = true;

	if (end > ADDRESS_MAX || start > end)
		return false;
	for (uint64_t at = start & ADDRESS; at < end;) {
		bool large = at % LARGE_BYTES == 0 && end - at >= LARGE_BYTES;
		uint64_t *entry = walk(at, large ? 1 : 0);

		if (large && entry != NULL && *entry != 0 && (*entry & LARGE) == 0) {
			large = false;
			entry = walk(at, 0);
		}
		if (entry == NULL)
			return false;
		if (*entry == 0)
			*entry = at | flags | (large ? LARGE : 0);
		else if ((*entry & ~(ADDRESS | TOUCHED | LARGE)) != flags)
			good = false;
		at += large ? LARGE_BYTES : PH__PAGE;
	}
	return good;
}

void ph__paging_ram(uint64_t start, uint64_t end, bool writable)
{
	uintptr_t image = (uintptr_t)ph__image_start, text = (uintptr_t)ph__text_start;
	uintptr_t data = (uintptr_t)ph__data_start, guard = (uintptr_t)ph__stack_guard;
	uintptr_t fault_guard = (uintptr_t)ph__fault_guard;

	if (root == NULL) {
		root = ph__boot_pages(1);
		/* First come, first served: all else keeps clear of the image. */
		map(image, text, PRESENT | NO_EXECUTE);
		map(text, data, PRESENT);
		map(guard, (uintptr_t)ph__stack_start, GUARD);
		map(fault_guard, (uintptr_t)ph__fault_stack_start, GUARD);
		map(data, (uintptr_t)ph__image_end, PRESENT | WRITE | NO_EXECUTE);
	}
	map(start, end, PRESENT | NO_EXECUTE | (writable ? WRITE : 0));
}

void ph__paging_start(void)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

volatile void *ph__paging_device(uint64_t address, uint64_t bytes)
{
	if (bytes == 0 || address + bytes < address ||
	    !map(address, address + bytes, PRESENT | WRITE | UNCACHED | NO_EXECUTE))
		return NULL;
	return (volatile void *)(uintptr_t)address;
}

const void *ph__paging_firmware(uint64_t address, uint64_t bytes)
{
	if (address < PH__PAGE || bytes == 0 || address + bytes < address)
		return NULL;
	/* It may lie in memory that is mapped writable already. */
	map(address, address + bytes, PRESENT | NO_EXECUTE);
	uint64_t *entry = walk(address + bytes - 1, 0);
	if (entry == NULL || (*entry & PRESENT) == 0 || address + bytes > ADDRESS_MAX)
		return NULL;
	return (const void *)(uintptr_t)address;
}
