/* SPDX-License-Identifier: MIT */
/*
 * From the platform's hands into C: readies the heap, gives musl the stack of a new process as a
 * kernel would lay it out, and calls ph__main. Constructors are not run: libssh's would ask for
 * random bytes before there is a device to give them; ph__main calls what it needs itself. The
 * images have no thread-local variables of their own, so no program headers are passed. All code
 * here runs before the stack protector's guard is set, or while it is.
 */
#include "sys.h"

#include <elf.h>
#include <string.h>

#define PAGE_BYTES 4096
#define EXIT_SMASHED 255

/* musl's, all of them outside its headers. */
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*loader)(void));
void __libc_start_init(void);
int __set_thread_area(void *base);
/* Solo5 brings one, which goes first. */
_Noreturn void __stack_chk_fail(void) __attribute__((weak));

static const struct ph__machine *the_machine;
/* For musl: 8 bytes that it takes for guards, and 8 that harden its malloc. */
static uint64_t guards[2];

void __libc_start_init(void)
{
}

int __set_thread_area(void *base)
{
	ph__plat_tls(base);
	return 0;
}

void __stack_chk_fail(void)
{
	static const char text[] = "packhorse: a stack was overwritten\n";
	ph__plat_console(text, sizeof text - 1);
	ph__plat_exit(EXIT_SMASHED);
}

static int enter(int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	(void)environment;
	/* The compiler's place for the guard. One of its bytes is 0 to stop copies of text. */
	__asm__ volatile("movq %0, %%fs:0x28" : : "r"(guards[0] & ~UINT64_C(0xff00)) : "memory");
	ph__plat_exit(ph__main(the_machine));
}

static char *word(uintptr_t value)
{
	return (char *)value;
}

void ph__start(const struct ph__machine *machine)
{
	static char name[] = "packhorse";
	static char *vector[16];
	the_machine = machine;
	ph__pages_init(machine->heap, machine->heap_bytes);
	if (machine->heap_dirty)
		ph__pages_distrust();
	/* Without entropy ph__main refuses to go on, and says so; it can log by then. */
	if (ph__plat_entropy(guards, sizeof guards) != PH_OK)
		memset(guards, 0, sizeof guards);
	char **at = vector;
	*at++ = name;
	*at++ = NULL; /* end of arguments */
	*at++ = NULL; /* end of environment */
	const uintptr_t auxiliary[] = {AT_PAGESZ, PAGE_BYTES, AT_RANDOM, (uintptr_t)guards,
	                               AT_SECURE, 0,          AT_NULL,   0};
	for (size_t i = 0; i < sizeof auxiliary / sizeof *auxiliary; i++)
		*at++ = word(auxiliary[i]);
	__libc_start_main(enter, 1, vector, NULL, NULL, NULL);
	ph__plat_exit(EXIT_SMASHED);
}
