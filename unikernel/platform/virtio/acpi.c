/* SPDX-License-Identifier: MIT */
/*
 * The little that is read of ACPI's tables: interrupt controllers , how to power off, where
 * virtio's slots are. AML is not interpreted: the two things wanted from it have shapes that a
 * search finds.
 */
#include "machine_int.h"

#include <string.h>

#define TABLE_BYTES_MAX (1024u * 1024u)
#define HEADER_BYTES 36u
#define REDUCED (1u << 20)

struct ph__acpi ph__acpi;

struct table {
	const uint8_t *at;
	uint32_t bytes;
};

/* A number of len bytes; 0 beyond the end. */
static uint64_t get(struct table table, uint32_t offset, unsigned len)
{
	uint64_t value = 0;

	if (offset > table.bytes || len > table.bytes - offset)
		return 0;
	while (len-- > 0)
		value = value << 8 | table.at[offset + len];
	return value;
}

static struct table open_table(uint64_t address)
{
	struct table table = {ph__paging_firmware(address, HEADER_BYTES), HEADER_BYTES};
	uint64_t bytes = 0;

	if (table.at != NULL)
		bytes = get(table, 4, 4);
	if (bytes < HEADER_BYTES || bytes > TABLE_BYTES_MAX ||
	    ph__paging_firmware(address, bytes) == NULL)
		return (struct table){NULL, 0};
	table.bytes = (uint32_t)bytes;
	return table;
}

static struct ph__acpi_register generic(struct table table, uint32_t offset)
{
	uint64_t space = get(table, offset, 1), address = get(table, offset + 4, 8);

	return (struct ph__acpi_register){address != 0 && space <= 1, space == 0, address};
}

/* Name(_S5_, Package{5, ...}): the first number, as a byte or as zero and one. */
static void read_aml(struct table aml)
{
	static const char name[5] = {8, '_', 'S', '5', '_'};
	struct ph__mmio_slot *slot;

	for (uint32_t i = HEADER_BYTES; i + 8 <= aml.bytes; i++) {
		if (memcmp(aml.at + i, name, 5) == 0 && aml.at[i + 5] == 0x12) {
			/* Package, its length in up to four bytes, elements, the first of them. */
			uint32_t first = i + 6 + 1 + (aml.at[i + 6] >> 6) + 1;
			uint64_t value = get(aml, first, 1);
			ph__acpi.s5 =
			        (uint8_t)((value == 0x0a ? get(aml, first + 1, 1) : value) & 7);
		}
		if (memcmp(aml.at + i, "LNRO0005", 8) != 0 || ph__acpi.slot_count == PH__SLOTS_MAX)
			continue;
		/* Resources of a virtio slot: 32-bit memory, then an interrupt. */
		slot = &ph__acpi.slots[ph__acpi.slot_count];
		for (uint32_t j = i + 8; j < i + 160; j++) {
			if (get(aml, j, 3) == 0x000986 && slot->bytes == 0) {
				slot->address = get(aml, j + 4, 4);
				slot->bytes = (uint32_t)get(aml, j + 8, 4);
			} else if (get(aml, j, 3) == 0x000689 && slot->bytes != 0) {
				slot->irq = (uint32_t)get(aml, j + 5, 4);
				ph__acpi.slot_count++;
				break;
			}
		}
	}
}

static void read_fadt(struct table fadt)
{
	uint64_t aml = get(fadt, 140, 8);

	ph__acpi.reduced = (get(fadt, 112, 4) & REDUCED) != 0;
	ph__acpi.sci = (uint32_t)get(fadt, 46, 2);
	ph__acpi.pm1_event = (uint16_t)get(fadt, 56, 4);
	ph__acpi.pm1_control = (uint16_t)get(fadt, 64, 4);
	ph__acpi.pm1_event_bytes = (uint16_t)get(fadt, 88, 1);
	if (ph__acpi.reduced)
		ph__acpi.sleep = generic(fadt, 244);
	read_aml(open_table(aml != 0 ? aml : get(fadt, 40, 4)));
}

static void read_madt(struct table madt)
{
	for (uint32_t i = 44; i + 2 <= madt.bytes; i += madt.at[i + 1]) {
		if (madt.at[i + 1] < 2)
			break;
		if (madt.at[i] != 1 || ph__acpi.ioapic_count == 4)
			continue;
		ph__acpi.ioapics[ph__acpi.ioapic_count].address = (uint32_t)get(madt, i + 4, 4);
		ph__acpi.ioapics[ph__acpi.ioapic_count++].first_irq = (uint32_t)get(madt, i + 8, 4);
	}
}

static void read_table(uint64_t address)
{
	struct table table = open_table(address);

	if (table.at == NULL)
		return;
	if (memcmp(table.at, "FACP", 4) == 0)
		read_fadt(table);
	else if (memcmp(table.at, "APIC", 4) == 0)
		read_madt(table);
	else if (memcmp(table.at, "SSDT", 4) == 0)
		read_aml(table);
}

void ph__acpi_start(uint64_t rsdp)
{
	const uint8_t *root = rsdp == 0 ? NULL : ph__paging_firmware(rsdp, 36);

	for (uint64_t at = 0xe0000; root == NULL && at < 0x100000; at += 16)
		if (memcmp((const void *)(uintptr_t)at, "RSD PTR ", 8) == 0)
			root = (const void *)(uintptr_t)at;
	if (root != NULL && memcmp(root, "RSD PTR ", 8) == 0) {
		struct table pointer = {root, 36};
		bool wide = get(pointer, 15, 1) >= 2 && get(pointer, 24, 8) != 0;
		struct table list = open_table(get(pointer, wide ? 24 : 16, wide ? 8 : 4));
		unsigned step = wide ? 8 : 4;

		for (uint32_t i = HEADER_BYTES; i + step <= list.bytes; i += step)
			read_table(get(list, i, step));
	}
	if (ph__acpi.ioapic_count == 0) {
		ph__acpi.ioapics[0].address = 0xfec00000;
		ph__acpi.ioapic_count = 1;
	}
}
