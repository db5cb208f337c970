/* SPDX-License-Identifier: Apache-2.0
 * Programs whose instructions the performance monitor counts.
 */
        .machine "power6"
        .text
        .balign 4096

/* r3 rounds of 9 instructions: 3 loads, 3 stores, 3 branches. Begins with mtctr, ends with sc. r4: data. */
        .globl monitor_mix
monitor_mix:
        mtctr   3
1:      ld      5, 0(4)
        std     5, 8(4)
        lbz     6, 1(4)
        stb     6, 9(4)
        lwarx   7, 0, 4
        stwcx.  7, 0, 4
        bl      2f
        bdnz    1b
        sc      1
2:      blr

/* The same between two moves to MMCR0: r10 before, r11 after. */
        .globl monitor_between
monitor_between:
        mtctr   3
        mflr    9
        mtspr   795, 10
1:      ld      5, 0(4)
        std     5, 8(4)
        bdnz    1b
        mtspr   795, 11
        sc      1

/* Reads counter 1 twice with r5, then r6; three instructions lie between. */
        .globl monitor_read
monitor_read:
        mfspr   5, 787
        nop
        nop
        nop
        mfspr   6, 771
        sc      1

/* r3 rounds with marks off, then on: MSR[PMM] is set by r10 and cleared by r11. */
        .globl monitor_marked
monitor_marked:
        mtctr   3
        mtmsrd  10
1:      bdnz    1b
        mtmsrd  11
        sc      1

/* r3 rounds of the run latch off (4 nops) and on. */
        .globl monitor_latch
monitor_latch:
        mtctr   3
        li      5, 0
        li      6, 1
1:      mtspr   152, 5
        nop
        nop
        nop
        nop
        mtspr   152, 6
        bdnz    1b
        sc      1

/* System calls: user code that calls r3 times; the handler at 0xC00 (hooked) spends 5 instructions with rfid. */
        .globl monitor_calls, monitor_call_handler
monitor_calls:
        mtctr   3
1:      sc
        bdnz    1b
        sc      1
monitor_call_handler:
        ld      5, 0(0)
        ld      5, 0(0)
        nop
        nop
        rfid

/* Interrupt handler: reads counter 1, sets it to r12, thaws with r10, counts in r13. */
        .globl monitor_handler
monitor_handler:
        mfspr   5, 787
        mtspr   787, 12
        addi    13, 13, 1
        mtspr   795, 10
        rfid

/* Enables interrupts, r10, then disables them, r11. */
        .globl monitor_enable
monitor_enable:
        nop
        mtmsrd  10, 1
        nop
        mtmsrd  11, 1
        sc      1
