/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder that know the processor and the PC share: instructions, memory at
 * boot, and each file's few functions. Physical addresses are virtual addresses throughout.
 */
#ifndef PACKHORSE_MACHINE_INT_H
#define PACKHORSE_MACHINE_INT_H

#include "virtio_int.h"

#define PH__PAGE 4096u
#define PH__NSEC UINT64_C(1000000000)

/* ph__out8(port, value) and ph__in8(port), and so on. */
#define PH__PORTS(bits, letter)                                                                    \
	static inline void ph__out##bits(uint16_t port, uint##bits##_t value)                      \
	{                                                                                          \
		__asm__ volatile("out" letter " %0, %1" : : "a"(value), "Nd"(port));               \
	}                                                                                          \
	static inline uint##bits##_t ph__in##bits(uint16_t port)                                   \
	{                                                                                          \
		uint##bits##_t value;                                                              \
		__asm__ volatile("in" letter " %1, %0" : "=a"(value) : "Nd"(port));                \
		return value;                                                                      \
	}
PH__PORTS(8, "b")
PH__PORTS(16, "w")
PH__PORTS(32, "l")

static inline uint64_t ph__msr_read(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (uint64_t)high << 32 | low;
}

static inline void ph__msr_write(uint32_t number, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(number)
	                 : "memory");
}

struct ph__cpuid {
	uint32_t a, b, c, d;
};

static inline struct ph__cpuid ph__cpuid(uint32_t leaf)
{
	struct ph__cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
	return r;
}

static inline uint64_t ph__tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void ph__cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* struct hvm_start_info of the PVH boot protocol. */
#define PH__PVH_MAGIC 0x336ec578u
struct ph__pvh {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, arguments, rsdp, map;
	uint32_t map_count, reserved;
};

/* boot.S */
void ph__cpu_idle(void);
_Noreturn void ph__cpu_reset(void);

/* start.c: the words of the command line that are for the platform. */
#define PH__SLOTS_MAX 32u
struct ph__mmio_slot {
	uint64_t address;
	uint32_t bytes, irq; /* irq 0: not known */
};
struct ph__boot_arguments {
	uint64_t tsc_khz; /* 0: not given */
	uint16_t debug_exit_port;
	unsigned slot_count;
	struct ph__mmio_slot slots[PH__SLOTS_MAX];
};
extern struct ph__boot_arguments ph__boot_arguments;

/* memory.c */
bool ph__memory_start(const struct ph__pvh *pvh, struct ph__machine *machine);
size_t ph__memory_bytes(void); /* what is free, in all */
/* The heap is what is left. */
void ph__memory_finish(struct ph__machine *machine);

/* paging.c. Maps what is not mapped yet; NULL when it is, otherwise, or tables run out. */
void ph__paging_ram(uint64_t start, uint64_t end, bool writable);
void ph__paging_start(void);
volatile void *ph__paging_device(uint64_t address, uint64_t bytes);
const void *ph__paging_firmware(uint64_t address, uint64_t bytes);

/* clock.c */
void ph__clock_start(void);
/* TSC ticks of so many nanoseconds, for waits before and around the clock. */
uint64_t ph__clock_ticks(uint64_t ns);

/* acpi.c */
struct ph__acpi_register {
	bool present, memory; /* in memory, or a port */
	uint64_t address;
};
struct ph__acpi {
	bool reduced; /* "hardware-reduced": no PM1 registers */
	uint32_t sci; /* the interrupt of the fixed events */
	uint8_t s5;   /* SLP_TYP of "off" */
	uint16_t pm1_event, pm1_control, pm1_event_bytes;
	struct ph__acpi_register sleep;
	unsigned ioapic_count;
	struct {
		uint32_t address, first_irq;
	} ioapics[4];
	unsigned slot_count;
	struct ph__mmio_slot slots[PH__SLOTS_MAX];
};
extern struct ph__acpi ph__acpi;
void ph__acpi_start(uint64_t rsdp);

/* interrupt.c */
#define PH__VECTOR_DEVICE 0x30u
#define PH__VECTOR_POWER 0x31u
#define PH__VECTOR_TIMER 0x32u
void ph__fault_start(void);
void ph__interrupt_start(void);
bool ph__interrupt_route(uint32_t irq, uint8_t vector);
/* Address and data that a device writes to interrupt us. */
void ph__interrupt_message(uint32_t *address, uint32_t *data);

/* power.c */
void ph__power_start(void);
/* A power button's interrupt came since the last call. */
bool ph__interrupt_power_seen(void);

/* console.c, entropy.c */
void ph__console_start(void);
void ph__entropy_start(void);

/* virtio_mmio.c, virtio_pci.c: devices found, each once. */
unsigned ph__virtio_mmio_find(struct ph__virtio *devices, unsigned max);
unsigned ph__virtio_pci_find(struct ph__virtio *devices, unsigned max);

#endif
