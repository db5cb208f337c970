/* SPDX-License-Identifier: Apache-2.0
 * An image for a partition: a monitor on each processor. The harness writes an order into the processor's
 * mailbox (guest_partition.h): where to go, with which MSR and r3..r12. Whatever interrupt comes next ends it,
 * `sc` included; the monitor writes down what it found and waits for the next order.
 */
        .machine "power6"

/* Mailbox of processor n: MAILBOX + n * 1024. Values of the monitor's side come behind those of the harness. */
        .set    MAILBOX, 0x10000
        .set    ORDER, 0                /* number of the newest order */
        .set    NIA, 8
        .set    MSR, 16
        .set    IN, 24                  /* r3..r12 */
        .set    DONE, 128               /* number of the newest order that is done */
        .set    VECTOR, 136
        .set    SRR0, 144
        .set    SRR1, 152
        .set    DAR_, 160
        .set    DSISR_, 168
        .set    OUT, 176                /* r3..r12 */
        .set    BOOT_R3, 256
        .set    BOOT_MSR, 264
        .set    BOOTS, 272
        .set    TIME, 280               /* time base when it was done */

        .macro  vector at
        .org    \at
        mtsprg  0, 31
        li      31, \at
        b       interrupt
        .endm

        .section .vectors, "ax"
        .org    0x100
        mtsprg  0, 31
        mfsprg  31, 3
        cmpdi   31, 0                   /* not yet set up: this is where a processor starts */
        beq     start
        li      31, 0x100
        b       interrupt
        vector  0x200
        vector  0x300
        vector  0x380
        vector  0x400
        vector  0x480
        vector  0x500
        vector  0x600
        vector  0x700
        vector  0x800
        vector  0x900
        vector  0xC00
        vector  0xD00
        vector  0xF00
        vector  0xF20
        .org    0x3000

        .text
        .globl  secondary
secondary:
start:  mfmsr   4
        li      5, 1
        rldicr  5, 5, 63, 0
        or      5, 5, 4
        mtmsrd  5                       /* 64 bits from here on */
        mfspr   31, 1023                /* PIR */
        sldi    31, 31, 10
        oris    31, 31, MAILBOX >> 16
        mtsprg  3, 31
        std     3, BOOT_R3(31)
        std     4, BOOT_MSR(31)
        ld      5, BOOTS(31)
        addi    5, 5, 1
        std     5, BOOTS(31)

monitor:
        mfsprg  31, 3
        mfsprg  5, 2
        lwsync
        std     5, DONE(31)
        b       2f
1:      li      3, 0xE4                 /* H_CONFER(all): the harness may need our host processor */
        li      4, -1
        sc      1
2:      ld      4, ORDER(31)
        cmpd    5, 4
        beq     1b
        lwsync
        mtsprg  2, 4
        lis     5, 0x7FFF               /* no decrementer, unless the order sets one */
        mtdec   5
        ld      5, NIA(31)
        ld      6, MSR(31)
        mtsrr0  5
        mtsrr1  6
        ld      3, IN+0(31)
        ld      4, IN+8(31)
        ld      5, IN+16(31)
        ld      6, IN+24(31)
        ld      7, IN+32(31)
        ld      8, IN+40(31)
        ld      9, IN+48(31)
        ld      10, IN+56(31)
        ld      11, IN+64(31)
        ld      12, IN+72(31)
        rfid

interrupt:                              /* r31: vector; its own value is in SPRG0 */
        mtsprg  1, 31
        mfsprg  31, 3
        std     3, OUT+0(31)
        std     4, OUT+8(31)
        std     5, OUT+16(31)
        std     6, OUT+24(31)
        std     7, OUT+32(31)
        std     8, OUT+40(31)
        std     9, OUT+48(31)
        std     10, OUT+56(31)
        std     11, OUT+64(31)
        std     12, OUT+72(31)
        mfsprg  3, 1
        std     3, VECTOR(31)
        mfsrr0  3
        std     3, SRR0(31)
        mfsrr1  3
        std     3, SRR1(31)
        mfspr   3, 19
        std     3, DAR_(31)
        mfspr   3, 18
        std     3, DSISR_(31)
        mftb    3
        std     3, TIME(31)
        b       monitor

/* ---- what orders run; all end with sc */
#define ROUTINE(name, ...)  .globl name; name: __VA_ARGS__; sc

        .balign 4096
ROUTINE(call_hypervisor, sc 1)
ROUTINE(do_load, ld 5, 0(4))
ROUTINE(do_store, std 5, 0(4))
ROUTINE(do_jump, mtctr 4; bctr)
ROUTINE(do_slbmte, .long 0x7CA02324)            /* slbmte 5,4 */
ROUTINE(do_nothing, nop)

/* H_CEDE with DEC = r5. What comes after the call is after_cede. */
        .globl cede_with_dec, after_cede
cede_with_dec:
        mtdec   5
        li      3, 0xE0
        sc      1
after_cede:
        sc
        .globl store_for_ever, spin
store_for_ever:
1:      std     5, 0(4)
        addi    5, 5, 1
        b       1b
spin:   b       spin

/* r8 rounds of H_ENTER(EXACT), a while, H_REMOVE of the entry r5, r6 at PTEX r4; r7 is the page's real address,
   to which the other processor stores. Leaves in r4 how often the page had changed without C in the entry that
   H_REMOVE returned, in r5 how often it had changed. */
        .globl remove_rounds
remove_rounds:
        mr      14, 4
        mr      15, 5
        mr      16, 6
        mr      17, 7
        mr      18, 8
        li      19, 0
        li      20, 0
        ld      21, 0(17)
1:      li      3, 0x08
        li      4, 1
        sldi    4, 4, 39
        mr      5, 14
        mr      6, 15
        mr      7, 16
        sc      1
        rlwinm  9, 18, 0, 25, 31
        addi    9, 9, 1
        mtctr   9
2:      bdnz    2b
        li      3, 0x04
        li      4, 0
        mr      5, 14
        li      6, 0
        sc      1
        ld      22, 0(17)
        cmpd    22, 21
        beq     3f
        addi    20, 20, 1
        andi.   0, 5, 0x80
        bne     3f
        addi    19, 19, 1
3:      mr      21, 22
        addi    18, 18, -1
        cmpdi   18, 0
        bne     1b
        mr      4, 19
        mr      5, 20
        sc

/* The same with H_PROTECT: read-write, a while, read-only, H_READ, H_CLEAR_MOD. */
        .globl protect_rounds
protect_rounds:
        mr      14, 4
        mr      17, 7
        mr      18, 8
        li      19, 0
        li      20, 0
        ld      21, 0(17)
1:      li      3, 0x18
        li      4, 2
        mr      5, 14
        li      6, 0
        sc      1
        rlwinm  9, 18, 0, 25, 31
        addi    9, 9, 1
        mtctr   9
2:      bdnz    2b
        li      3, 0x18
        li      4, 3
        mr      5, 14
        li      6, 0
        sc      1
        li      3, 0x0C
        li      4, 0
        mr      5, 14
        sc      1
        ld      22, 0(17)
        cmpd    22, 21
        beq     3f
        addi    20, 20, 1
        andi.   0, 5, 0x80
        bne     3f
        addi    19, 19, 1
3:      mr      21, 22
        li      3, 0x10
        li      4, 0
        mr      5, 14
        sc      1
        addi    18, 18, -1
        cmpdi   18, 0
        bne     1b
        mr      4, 19
        mr      5, 20
        sc

/* Ping-pong: r9 rounds; waits with H_CEDE for the other's interrupt (number r10), takes it, answers. Interrupts
   are taken in hypervisor calls only, so EE stays 0 outside of H_CEDE; the handler of this routine is
   ping_handler, put at 0x500 by the harness. r11 = 1: begins. */
        .globl ping_pong, ping_handler
ping_pong:
        cmpdi   11, 0
        beq     2f
1:      li      3, 0x6C                 /* H_IPI(other, 4) */
        mr      4, 10
        li      5, 4
        sc      1
        addi    9, 9, -1
        cmpdi   9, 0
        beq     4f
2:      li      8, 0
3:      li      3, 0xE0                 /* H_CEDE until the handler was here */
        sc      1
        cmpdi   8, 0
        beq     3b
        b       1b
4:      sc
ping_handler:
        li      3, 0x74                 /* H_XIRR */
        sc      1
        mr      7, 4
        li      3, 0x6C                 /* H_IPI(own, 0xFF): the request is taken back */
        mfspr   4, 1023
        li      5, 0xFF
        sc      1
        li      3, 0x64                 /* H_EOI */
        mr      4, 7
        sc      1
        li      8, 1
        mfsrr1  7                       /* go on with EE = 0 */
        rldicl  7, 7, 48, 1
        rotldi  7, 7, 16
        mtsrr1  7
        rfid
