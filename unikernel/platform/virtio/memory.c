/* SPDX-License-Identifier: MIT */
/*
 * The memory that the loader says there is, without what it put there for us: the image, modules,
 * the command line and its own tables. Devices and page tables take their share first; the largest
 * piece that is left becomes the heap.
 */
#include "machine_int.h"

#include <string.h>

#define RAM 1u
#define LOW_END UINT64_C(0x100000)
#define RANGES_MAX 32u
#define MAP_MAX 256u
#define ARGUMENTS_MAX 65536u
/* What the first page table, under which all this runs, shows. */
#define EARLY_END (UINT64_C(1) << 32)

struct map_entry {
	uint64_t address, bytes;
	uint32_t type, reserved;
};

struct module_entry {
	uint64_t address, bytes, arguments, reserved;
};

extern char ph__image_start[], ph__image_end[];

/* What is free, in order of address as the loader gave it. */
static struct range {
	uint64_t start, end;
} ranges[RANGES_MAX];
static unsigned range_count;
static bool finished;

/* Takes a piece out of what is free, in whole pages. */
static void cut(uint64_t start, uint64_t bytes)
{
	uint64_t end = (start + bytes + PH__PAGE - 1) & ~(uint64_t)(PH__PAGE - 1);

	start &= ~(uint64_t)(PH__PAGE - 1);
	for (unsigned i = 0; i < range_count; i++) {
		struct range *range = &ranges[i];

		if (end <= range->start || start >= range->end)
			continue;
		if (start > range->start && end < range->end && range_count < RANGES_MAX)
			ranges[range_count++] = (struct range){end, range->end};
		if (start > range->start)
			range->end = start;
		else
			range->start = end < range->end ? end : range->end;
	}
}

void *ph__boot_pages(size_t count)
{
	size_t bytes = count * PH__PAGE;

	for (unsigned i = 0; i < range_count && !finished; i++) {
		if (ranges[i].end > EARLY_END || ranges[i].end - ranges[i].start < bytes)
			continue;
		void *pages = (void *)(uintptr_t)ranges[i].start;
		ranges[i].start += bytes;
		return memset(pages, 0, bytes);
	}
	return NULL;
}

static bool early(uint64_t address, uint64_t bytes)
{
	return address != 0 && bytes <= EARLY_END && address <= EARLY_END - bytes;
}

static void find_modules(const struct ph__pvh *pvh, struct ph__machine *machine)
{
	const struct module_entry *modules = (const void *)(uintptr_t)pvh->modules;
	unsigned count = pvh->module_count;

	if (count > PH__MODULES_MAX) {
		ph__plat_say("WARN", "of %u modules the first %u are used", count, PH__MODULES_MAX);
		count = PH__MODULES_MAX;
	}
	if (count == 0 || !early(pvh->modules, sizeof(*modules) * count))
		return;
	cut(pvh->modules, sizeof(*modules) * count);
	for (unsigned i = 0; i < count; i++) {
		if (!early(modules[i].address, modules[i].bytes) || modules[i].bytes == 0)
			continue;
		cut(modules[i].address, modules[i].bytes);
		machine->modules[machine->module_count++] = (struct ph__module){
		        (const void *)(uintptr_t)modules[i].address, modules[i].bytes};
	}
}

static void find_arguments(const struct ph__pvh *pvh, struct ph__machine *machine)
{
	machine->arguments = "";
	if (!early(pvh->arguments, ARGUMENTS_MAX))
		return;
	const char *text = (const char *)(uintptr_t)pvh->arguments;
	size_t len = 0;
	while (len < ARGUMENTS_MAX && text[len] != '\0')
		len++;
	if (len == ARGUMENTS_MAX)
		return;
	/* A copy: it may lie in page 0, which will not be there. */
	cut(pvh->arguments, len + 1);
	char *copy = ph__boot_pages(len / PH__PAGE + 1);
	if (copy != NULL)
		machine->arguments = memcpy(copy, text, len);
}

bool ph__memory_start(const struct ph__pvh *pvh, struct ph__machine *machine)
{
	const struct map_entry *map = (const void *)(uintptr_t)pvh->map;

	if (!early((uintptr_t)pvh, sizeof(*pvh)) || pvh->magic != PH__PVH_MAGIC ||
	    pvh->version < 1 || pvh->map_count > MAP_MAX ||
	    !early(pvh->map, sizeof(*map) * pvh->map_count))
		return false;
	for (unsigned i = 0; i < pvh->map_count && range_count < RANGES_MAX; i++) {
		uint64_t end = map[i].address + map[i].bytes;
		uint64_t start = map[i].address < LOW_END ? LOW_END : map[i].address;

		start = (start + PH__PAGE - 1) & ~(uint64_t)(PH__PAGE - 1);
		end &= ~(uint64_t)(PH__PAGE - 1);
		if (map[i].type == RAM && end >= map[i].address && start < end)
			ranges[range_count++] = (struct range){start, end};
	}
	cut((uintptr_t)ph__image_start, (uintptr_t)(ph__image_end - ph__image_start));
	cut((uintptr_t)pvh, sizeof(*pvh));
	cut(pvh->map, sizeof(*map) * pvh->map_count);
	find_modules(pvh, machine);
	find_arguments(pvh, machine);
	/* Low memory holds what the loader and the firmware tell us: it is for reading. */
	ph__paging_ram(PH__PAGE, LOW_END, false);
	for (unsigned i = 0; i < pvh->map_count; i++) {
		uint64_t end = (map[i].address + map[i].bytes) & ~(uint64_t)(PH__PAGE - 1);

		if (map[i].type == RAM && end > LOW_END && map[i].address < end)
			ph__paging_ram(map[i].address < LOW_END ? LOW_END : map[i].address, end,
			               true);
	}
	ph__paging_start();
	return true;
}

void ph__memory_finish(struct ph__machine *machine)
{
	struct range *best = &ranges[0];

	for (unsigned i = 1; i < range_count; i++)
		if (ranges[i].end - ranges[i].start > best->end - best->start)
			best = &ranges[i];
	finished = true;
	machine->heap = (void *)(uintptr_t)best->start;
	machine->heap_bytes = best->end - best->start;
	/* To clear all of it would cost the host all of it, and us a quarter of a second. */
	machine->heap_dirty = true;
	memset(machine->heap, 0, machine->heap_bytes / 8192 / PH__PAGE * PH__PAGE + PH__PAGE);
}

size_t ph__memory_bytes(void)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < range_count; i++)
		bytes += ranges[i].end - ranges[i].start;
	return bytes;
}
