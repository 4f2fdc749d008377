/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, which end the machine with a line that says what happened; and interrupts, whose only
 * use is to end a sleep. They are let in while the processor sleeps and never else, so nothing here
 * can come between two instructions of anybody.
 */
#include "machine_int.h"

#define APIC_BASE_MSR 0x1b
#define APIC_X2 (UINT64_C(1) << 10)
#define APIC_ON (UINT64_C(1) << 11)
#define LAPIC_ID 0x20
#define LAPIC_PRIORITY 0x80
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_TIMER 0x320
#define LAPIC_LINT0 0x350
#define LAPIC_LINT1 0x360
#define LAPIC_INITIAL 0x380
#define LAPIC_CURRENT 0x390
#define LAPIC_DIVIDE 0x3e0
#define MASKED 0x10000u
#define CALIBRATE_NS 200000u
/* A sleep's length at most: where interrupts work, where they do not. */
#define SLEEP_NS UINT64_C(250000000)
#define POLL_NS UINT64_C(1000000)
/* So often in a row a frame was there and no interrupt had come: they do not reach us. */
#define MISSES_MAX 4u

struct gate {
	uint16_t low, selector, flags, middle;
	uint32_t high, reserved;
};

struct task_state {
	uint32_t words[26];
};

extern const char ph__fault_entries[32][16];
extern uint64_t ph__gdt[5];
extern const char ph__fault_stack_end[], ph__stack_guard[], ph__stack_start[];
void ph__interrupt_device(void);
void ph__interrupt_power(void);
void ph__interrupt_other(void);
_Noreturn void ph__fault(const uint64_t *frame);

/* Written by boot.S. */
extern volatile uint8_t *ph__lapic;
extern volatile uint32_t ph__interrupts_device, ph__interrupts_power;
volatile uint8_t *ph__lapic;
volatile uint32_t ph__interrupts_device, ph__interrupts_power;

static struct gate gates[256];
static struct task_state task;
static uint64_t timer_hz;
static uint32_t power_seen;
static unsigned misses;

static volatile uint32_t *lapic(unsigned at)
{
	return (volatile uint32_t *)(volatile void *)(ph__lapic + at);
}

static void gate(unsigned vector, uintptr_t entry, uint16_t flags)
{
	gates[vector] = (struct gate){(uint16_t)entry,         8, flags, (uint16_t)(entry >> 16),
	                              (uint32_t)(entry >> 32), 0};
}

void ph__fault_start(void)
{
	uintptr_t base = (uintptr_t)&task, stack = (uintptr_t)ph__fault_stack_end;
	struct {
		uint16_t pad[3], limit;
		uint64_t base;
	} pointer = {{0}, sizeof(gates) - 1, (uintptr_t)gates};

	task.words[9] = (uint32_t)stack; /* IST1 */
	task.words[10] = (uint32_t)(stack >> 32);
	task.words[25] = sizeof(task) << 16; /* no port bitmap */
	ph__gdt[3] = (sizeof(task) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
	             (base >> 24 & 0xff) << 56;
	ph__gdt[4] = base >> 32;
	for (unsigned i = 0; i < 256; i++) {
		if (i < 32)
			gate(i, (uintptr_t)&ph__fault_entries[i], 0x8e01);
		else
			gate(i, (uintptr_t)ph__interrupt_other, 0x8e00);
	}
	gate(PH__VECTOR_DEVICE, (uintptr_t)ph__interrupt_device, 0x8e00);
	gate(PH__VECTOR_POWER, (uintptr_t)ph__interrupt_power, 0x8e00);
	__asm__ volatile("lidt %0; ltr %w1" : : "m"(pointer.limit), "r"(24), "m"(pointer));
}

_Noreturn void ph__fault(const uint64_t *frame)
{
	uintptr_t address;

	/* frame: number, error code, rip, cs, flags, rsp, ss. */
	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	bool page = frame[0] == 14;
	ph__plat_say("ERROR", "%s: exception %u error 0x%lx at rip 0x%lx address 0x%lx rsp 0x%lx",
	             page && address - (uintptr_t)ph__stack_guard < PH__PAGE ? "stack overflow"
	             : page && address < PH__PAGE                            ? "null pointer"
	                                                                     : "fault",
	             (unsigned)frame[0], frame[1], frame[2], page ? address : 0, frame[5]);
	ph__plat_exit(2);
}

void ph__interrupt_start(void)
{
	uint64_t base = ph__msr_read(APIC_BASE_MSR);

	/* The old controllers: out of the exceptions' way, and quiet. */
	static const uint8_t words[4] = {0x11, 0xf8, 4, 1};
	for (unsigned i = 0; i < 4; i++) {
		ph__out8(i == 0 ? 0x20 : 0x21, words[i]);
		ph__out8(i == 0 ? 0xa0 : 0xa1, i == 2 ? 2 : words[i]);
	}
	ph__out8(0x21, 0xff);
	ph__out8(0xa1, 0xff);
	if ((base & APIC_X2) != 0)
		ph__msr_write(APIC_BASE_MSR, base & ~(APIC_X2 | APIC_ON));
	ph__msr_write(APIC_BASE_MSR, (base & ~APIC_X2) | APIC_ON);
	ph__lapic = ph__paging_device(base & UINT64_C(0xffffff000), PH__PAGE);
	if (ph__lapic == NULL) {
		ph__plat_say("ERROR", "no local APIC at 0x%lx", base);
		ph__plat_exit(2);
	}
	*lapic(LAPIC_SPURIOUS) = 0x1ff;
	*lapic(LAPIC_PRIORITY) = 0;
	*lapic(LAPIC_LINT0) = MASKED;
	*lapic(LAPIC_LINT1) = MASKED;
	*lapic(LAPIC_DIVIDE) = 0xb; /* by 1 */
	*lapic(LAPIC_TIMER) = MASKED;
	*lapic(LAPIC_INITIAL) = UINT32_MAX;
	uint64_t start = ph__plat_monotonic_ns();
	while (ph__plat_monotonic_ns() - start < CALIBRATE_NS)
		ph__cpu_pause();
	/* The clock is read last: rather too early a wake than too late. */
	uint64_t count = UINT32_MAX - *lapic(LAPIC_CURRENT);
	timer_hz = count * PH__NSEC / (ph__plat_monotonic_ns() - start);
	*lapic(LAPIC_INITIAL) = 0;
	*lapic(LAPIC_TIMER) = PH__VECTOR_TIMER;
}

bool ph__interrupt_route(uint32_t irq, uint8_t vector)
{
	for (unsigned i = 0; i < ph__acpi.ioapic_count; i++) {
		uint32_t first = ph__acpi.ioapics[i].first_irq;
		volatile uint32_t *io =
		        (volatile uint32_t *)ph__paging_device(ph__acpi.ioapics[i].address, 64);

		if (io == NULL || irq < first)
			continue;
		io[0] = 1;
		if (irq - first > (io[4] >> 16 & 0xff))
			continue;
		/* Rising edges, also of what is a level: a device is acknowledged before each look
		 * at its ring, so none is lost and none storms. */
		io[0] = 0x11 + 2 * (irq - first);
		io[4] = *lapic(LAPIC_ID) & 0xff000000;
		io[0] = 0x10 + 2 * (irq - first);
		io[4] = vector;
		return true;
	}
	return false;
}

void ph__interrupt_message(uint32_t *address, uint32_t *data)
{
	*address = 0xfee00000 | (*lapic(LAPIC_ID) >> 24) << 12;
	*data = PH__VECTOR_DEVICE;
}

bool ph__interrupt_power_seen(void)
{
	uint32_t count = ph__interrupts_power;
	bool seen = count != power_seen;

	power_seen = count;
	return seen;
}

void ph__plat_wait(uint64_t until_ns)
{
	bool polled = !ph__net_card_wakes() || misses >= MISSES_MAX;
	uint64_t limit = polled ? POLL_NS : SLEEP_NS, now = ph__plat_monotonic_ns();
	uint32_t before = ph__interrupts_device;

	if (!ph__net_card_watch() && now < until_ns && !ph__plat_power_off()) {
		if (until_ns - now < limit)
			limit = until_ns - now;
		/* At most a quarter of a second, so the product fits. */
		uint64_t count = limit * (timer_hz / 1000) / 1000000;
		*lapic(LAPIC_INITIAL) = (uint32_t)(count == 0           ? 1
		                                   : count > UINT32_MAX ? UINT32_MAX
		                                                        : count);
		ph__cpu_idle();
		*lapic(LAPIC_INITIAL) = 0;
		if (ph__interrupts_device != before)
			misses = 0;
		else if (!polled && ph__net_card_pending() && ++misses == MISSES_MAX)
			ph__plat_say("WARN",
			             "the network card's interrupts do not arrive: polling");
	}
	ph__net_card_unwatch();
}
