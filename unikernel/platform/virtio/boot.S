/* SPDX-License-Identifier: MIT */
/*
 * The way in: a PVH note, 32-bit protected mode to long mode on a first page table that paging.c
 * soon replaces, and the entries of the interrupt table. Interrupts are on in ph__cpu_idle alone, so
 * their handlers need no C: they end the interrupt and return with interrupts off.
 */
#define CR0_BITS 0x80010023 /* PG, WP, NE, MP, PE */
#define CR4_BITS 0x620      /* PAE, OSFXSR, OSXMMEXCPT */
#define EFER 0xc0000080
#define EFER_BITS 0x900 /* LME, NXE */
#define FS_BASE 0xc0000100
#define SERIAL 0x3f8
#define LAPIC_EOI 0xb0

	.section .note.Xen, "a", @note
	.align 4
	.long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad ph__boot_pvh

	.section .text.boot, "ax", @progbits
	.code32
	.globl ph__boot_pvh
ph__boot_pvh:
	cli
	cld
	mov $ph__stack_end, %esp
	mov %ebx, %esi /* struct start_info; cpuid takes ebx */
	mov $0x80000001, %eax
	cpuid
	and $0x20100000, %edx /* long mode, NX */
	cmp $0x20100000, %edx
	mov $no_cpu, %ebp
	jne complain

	/* The first 4 GiB as they are, in pages of 2 MiB. */
	lea ph__early_tables, %edi
	lea 0x1003(%edi), %eax
	mov %eax, (%edi)
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $12, %eax
	lea 0x2003(%edi, %eax), %eax
	mov %eax, 0x1000(%edi, %ecx, 8)
	inc %ecx
	cmp $4, %ecx
	jne 1b
	xor %ecx, %ecx
2:	mov %ecx, %eax
	shl $21, %eax
	or $0x83, %eax
	mov %eax, 0x2000(%edi, %ecx, 8)
	inc %ecx
	cmp $2048, %ecx
	jne 2b

	mov %edi, %cr3
	mov $CR4_BITS, %eax
	mov %eax, %cr4
	mov $EFER, %ecx
	mov $EFER_BITS, %eax
	xor %edx, %edx
	wrmsr
	mov $CR0_BITS, %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $8, $boot_64

	.code64
boot_64:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	/* A place for the stack protector's word until the C library has one. */
	mov $FS_BASE, %ecx
	mov $early_thread, %eax
	xor %edx, %edx
	wrmsr
	mov %esi, %edi
	xor %ebp, %ebp
	call ph__boot
	ud2

	/* A loader that does not know PVH comes here, in whichever mode. */
	.code32
	.globl ph__boot_other
ph__boot_other:
	cli
	mov $not_pvh, %ebp
complain:
	mov $SERIAL, %dx
3:	mov (%ebp), %al
	test %al, %al
	je 4f
	outb %al, %dx
	lea 1(%ebp), %ebp
	jmp 3b
4:	hlt
	jmp 4b
	.code64

	/* void ph__cpu_idle(void): until an interrupt. One that came before waits for the hlt. */
	.globl ph__cpu_idle
	.type ph__cpu_idle, @function
ph__cpu_idle:
	sti
	hlt
	cli
	ret

	/* void ph__cpu_reset(void): an interrupt without a table, a triple fault. */
	.globl ph__cpu_reset
	.type ph__cpu_reset, @function
ph__cpu_reset:
	lidt no_table
	int3
	jmp ph__cpu_reset

	.globl ph__interrupt_device, ph__interrupt_power, ph__interrupt_other
ph__interrupt_device:
	incl ph__interrupts_device
	jmp ph__interrupt_other
ph__interrupt_power:
	incl ph__interrupts_power
ph__interrupt_other:
	push %rax
	mov ph__lapic, %rax
	movl $0, LAPIC_EOI(%rax)
	pop %rax
	andl $0xfffffdff, 16(%rsp) /* interrupts stay off after the return */
	iretq

	/* Exceptions, 16 bytes apart: number and error code, then C, which does not return. */
	.globl ph__fault_entries
	.balign 16
ph__fault_entries:
	.set i, 0
	.rept 32
	.balign 16
	.if !((1 << i) & 0x227d00) /* the processor pushes no code */
	push $0
	.endif
	push $i
	jmp fault_common
	.set i, i + 1
	.endr
fault_common:
	mov %rsp, %rdi
	and $-16, %rsp
	cld
	call ph__fault
	ud2

	.section .rodata
no_table:
	.word 0
	.quad 0
no_cpu:
	.asciz "+0.000 ERROR [virtio] this processor lacks long mode or NX pages\n"
not_pvh:
	.asciz "+0.000 ERROR [virtio] not started by the PVH boot protocol\n"

	.data
	.align 8
	.globl ph__gdt
ph__gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0, 0 /* the task state segment, filled in by interrupt.c */
gdt_pointer:
	.word . - ph__gdt - 1
	.quad ph__gdt
early_thread:
	.quad early_thread, 0, 0, 0, 0, 0x5bd1e995a0761d00, 0, 0

	.bss
	.align 4096
	.globl ph__early_tables
ph__early_tables:
	.skip 6 * 4096

	.section .note.GNU-stack, "", @progbits
