/* SPDX-License-Identifier: MIT */
/*
 * Included first in every file of musl. What musl does when it finds its heap damaged is the
 * instruction hlt, which ends a process; where there is no kernel it sleeps for ever. So the
 * assembler takes it for one that faults everywhere.
 */
#ifndef __ASSEMBLER__
__asm__(".macro hlt\n\tud2\n.endm");
#endif
