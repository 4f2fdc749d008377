/* SPDX-License-Identifier: MIT */
/*
 * The image's way in and out under Linux. Memory is one mapping of the size asked for: a stack with
 * a guard below it, and the heap. With the thread pointer set, which is the last thing that
 * needs another system call, the filter comes into force; not a byte from outside has been read by
 * then.
 */
#define _GNU_SOURCE 1

#include "host_int.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define STACK_BYTES ((size_t)512 << 10)
/* More than any function's frame. */
#define GUARD_BYTES ((size_t)1 << 20)
#define ARCH_SET_FS 0x1002
#define ANY_FD (-1)

/* Of linux/filter.h, linux/seccomp.h and linux/audit.h, which need not be there. */
struct instruction {
	uint16_t code;
	uint8_t if_true, if_false;
	uint32_t value;
};
struct program {
	uint16_t len;
	struct instruction *code;
};
struct call_data {
	uint32_t number, architecture;
	uint64_t instruction_pointer, arguments[6];
};
#define LOAD 0x20u          /* BPF_LD | BPF_W | BPF_ABS */
#define JUMP_IF_EQUAL 0x15u /* BPF_JMP | BPF_JEQ | BPF_K */
#define RETURN 0x06u        /* BPF_RET | BPF_K */
#define KILL_PROCESS 0x80000000u
#define ALLOW 0x7fff0000u
#define ARCHITECTURE_X86_64 0xc000003eu
#define SECCOMP_SET_MODE_FILTER 1
#define CODE_MAX 64u

static struct instruction code[CODE_MAX];
static uint16_t code_len;

__asm__(".text\n.globl _start\n_start:\n"
        "\txorl %ebp, %ebp\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall ph__host_main\n\tud2\n");
_Noreturn void ph__host_main(uintptr_t *stack);

static void emit(unsigned operation, uint32_t value, uint8_t if_true, uint8_t if_false)
{
	code[code_len++] = (struct instruction){(uint16_t)operation, if_true, if_false, value};
}

/* Lets a call through, on this descriptor alone if one is given, and goes on to the next rule. */
static void allow(long number, int fd)
{
	emit(LOAD, offsetof(struct call_data, number), 0, 0);
	emit(JUMP_IF_EQUAL, (uint32_t)number, 0, fd == ANY_FD ? 1 : 3);
	if (fd != ANY_FD) {
		/* The kernel takes the lower half of a descriptor, which is here. */
		emit(LOAD, offsetof(struct call_data, arguments), 0, 0);
		emit(JUMP_IF_EQUAL, (uint32_t)fd, 0, 1);
	}
	emit(RETURN, ALLOW, 0, 0);
}

static void lock_down(void)
{
	emit(LOAD, offsetof(struct call_data, architecture), 0, 0);
	emit(JUMP_IF_EQUAL, ARCHITECTURE_X86_64, 1, 0);
	emit(RETURN, KILL_PROCESS, 0, 0);
	allow(SYS_clock_gettime, ANY_FD);
	allow(SYS_ppoll, ANY_FD);
	allow(SYS_write, PH__CONSOLE_FD);
	if (ph__host_state.tap >= 0) {
		allow(SYS_read, ph__host_state.tap);
		allow(SYS_write, ph__host_state.tap);
	}
	if (ph__host_state.disk >= 0) {
		allow(SYS_pread64, ph__host_state.disk);
		allow(SYS_pwrite64, ph__host_state.disk);
		allow(SYS_fdatasync, ph__host_state.disk);
	}
	allow(SYS_rt_sigreturn, ANY_FD);
	allow(SYS_exit_group, ANY_FD);
	emit(RETURN, KILL_PROCESS, 0, 0);
	struct program program = {code_len, code};
	long result = PH__CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	if (result == 0)
		result = PH__CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	if (result != 0)
		ph__host_fail("seccomp", "", result);
}

void ph__plat_tls(void *base)
{
	PH__CALL(SYS_arch_prctl, ARCH_SET_FS, base);
	lock_down();
}

void ph__host_main(uintptr_t *stack)
{
	ph__host_options((int)stack[0], (char **)(stack + 1));
	ph__host_ready();
	struct ph__host *host = &ph__host_state;
	uint8_t *memory = ph__host_pages(GUARD_BYTES + host->memory_bytes, PROT_NONE);
	uint8_t *bottom = memory + GUARD_BYTES;
	long result = PH__CALL(SYS_mprotect, bottom, host->memory_bytes, PROT_READ | PROT_WRITE);
	if (result != 0)
		ph__host_fail("memory", "", result);
	host->machine.heap = bottom + STACK_BYTES;
	host->machine.heap_bytes = host->memory_bytes - STACK_BYTES;
	__asm__ volatile("movq %0, %%rsp\n\txorl %%ebp, %%ebp\n\tcall *%1\n\tud2"
	                 :
	                 : "r"(bottom + STACK_BYTES), "r"(ph__start), "D"(&host->machine)
	                 : "memory");
	__builtin_unreachable();
}

void ph__host_exit(int code_of_exit)
{
	for (;;)
		PH__CALL(SYS_exit_group, code_of_exit);
}

void ph__plat_exit(int code_of_exit)
{
	ph__host_exit(code_of_exit);
}
