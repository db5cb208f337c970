/* SPDX-License-Identifier: Apache-2.0
 * Interrupts, MSR, SPR and SLB instructions.
 */
#define SNIPPET(name, ...)  .globl name; name: __VA_ARGS__; sc 1

        .machine "power6"
        .text
        .balign 4096

SNIPPET(done, nop)
SNIPPET(do_nothing, nop; nop; nop; nop)

/* ---- program interrupts */
SNIPPET(do_trap, trap)
SNIPPET(do_tweqi, tweqi 3, 5)
SNIPPET(do_tdlgti, tdlgti 3, 5)
SNIPPET(do_illegal_zero, .long 0)
SNIPPET(do_illegal_form, .long 0x84600000)      /* lwzu 3,0(0) */
SNIPPET(do_attn, .long 0x00000200)
SNIPPET(do_mfmsr, mfmsr 5)
SNIPPET(do_hrfid, .long 0x4C000224)
SNIPPET(do_tlbie, .long 0x7C002264)             /* tlbie 4 */
SNIPPET(do_tlbsync, .long 0x7C00046C)
SNIPPET(do_tlbiel, .long 0x7C002224)            /* tlbiel 4 */
SNIPPET(do_slbia, .long 0x7C0003E4)
SNIPPET(do_slbie, .long 0x7C002364)             /* slbie 4 */
SNIPPET(do_slbmte, .long 0x7CA02324)            /* slbmte 5,4 */
SNIPPET(do_slbmfee, .long 0x7CA02726)           /* slbmfee 5,4 */
SNIPPET(do_slbmfev, .long 0x7CA026A6)           /* slbmfev 5,4 */
SNIPPET(do_slbfee, .long 0x7CA027A7; mfcr 6)    /* slbfee. 5,4 */
SNIPPET(do_mtsrin, mtsrin 5, 4)
SNIPPET(do_mfsrin, mfsrin 5, 4)

/* ---- facilities */
SNIPPET(do_fadd, fadd 1, 2, 3)
SNIPPET(do_mffs, mffs 1)
SNIPPET(do_vaddubm, .long 0x10221800)           /* vaddubm 1,2,3 */
SNIPPET(do_lvx, .long 0x7C2020CE)               /* lvx 1,0,4 */
SNIPPET(do_dssall, .long 0x7E00066C)
SNIPPET(do_dadd, .long 0xEC221804)              /* dadd 1,2,3 */

/* ---- system linkage and MSR */
SNIPPET(do_sc, sc)
SNIPPET(do_rfid, rfid)
SNIPPET(do_mtmsrd, mtmsrd 4; mfmsr 5)
SNIPPET(do_mtmsrd_1, mtmsrd 4, 1; mfmsr 5)
SNIPPET(do_mtmsr, .long 0x7C800124; mfmsr 5)    /* mtmsr 4 */
SNIPPET(do_mtmsr_1, .long 0x7C810124; mfmsr 5)  /* mtmsr 4,1 */
/* EE by each way that can set it; what comes after must not run when an interrupt waits. */
        .globl ee_by_mtmsrd, ee_by_mtmsrd_end
ee_by_mtmsrd:
        mtmsrd  4
ee_by_mtmsrd_end:
        li      5, 1
        sc      1
        .globl ee_by_mtmsrd_1, ee_by_mtmsrd_1_end
ee_by_mtmsrd_1:
        mtmsrd  4, 1
ee_by_mtmsrd_1_end:
        li      5, 1
        sc      1
        .globl ee_by_mtmsr, ee_by_mtmsr_end
ee_by_mtmsr:
        .long   0x7C800124
ee_by_mtmsr_end:
        li      5, 1
        sc      1
        .globl ee_window, ee_window_open, ee_window_closed
/* Opens and closes EE: a waiting interrupt is taken inside. */
ee_window:
        mtmsrd  4, 1
ee_window_open:
        mtmsrd  6, 1
ee_window_closed:
        li      5, 1
        sc      1

/* ---- SPRs; the harness writes the instruction */
        .globl spr_slot
spr_slot:
        nop
        sc      1

/* ---- time */
SNIPPET(do_mtdec, mtdec 4)
SNIPPET(do_mfdec, mfdec 5)
SNIPPET(do_mftb, mftb 5; .long 0x7CCC42A6; mftbu 7)    /* mfspr 6,268 */
        .globl mtdec_then, mtdec_then_end
mtdec_then:
        mtdec   4
mtdec_then_end:
        li      5, 1
        sc      1

/* Waits for decrementer interrupts: r3 of them, r4 the value to rearm with. Counts in r5. */
        .globl wait_ticks, tick_handler
wait_ticks:
        li      5, 0
        mtdec   4
        li      6, -0x8000              /* MSR[EE] */
        rlwinm  6, 6, 0, 16, 16
        mtmsrd  6, 1
1:      cmpld   5, 3
        blt     1b
        li      6, 0
        mtmsrd  6, 1
        sc      1
tick_handler:
        addi    5, 5, 1
        mtdec   4
        rfid

/* Spins for ever. */
        .globl spin, spin_end
spin:   nop
        b       spin
spin_end:

/* ---- trace: straight code, branches both ways, traps and calls */
        .globl traced, traced_2, traced_3, traced_4, traced_5, traced_6
traced:
        nop
traced_2:
        cmpd    3, 3
        beq     traced_4
traced_3:
        nop
traced_4:
        bne     traced_6
traced_5:
        nop
traced_6:
        sc      1
        .globl traced_rfid, traced_mtmsrd, traced_mtmsrd_next, traced_self, traced_self_next
traced_rfid:
        rfid
        sc      1
traced_mtmsrd:
        mtmsrd  4
traced_mtmsrd_next:
        sc      1
traced_self:                            /* r4: address of the next instruction, r5: what to put there */
        stw     5, 0(4)
traced_self_next:
        nop
        sc      1
        .globl step_rfid
step_rfid:                              /* r6 = SRR0, r7 = SRR1 with SE */
        mtsrr0  6
        mtsrr1  7
        rfid

/* ---- 32-bit mode */
SNIPPET(do_bl_chain, mfctr 5)
        .globl ctr_loop_32
ctr_loop_32:                            /* CTR = r3 with garbage above: r5 counts */
        mtctr   3
        li      5, 0
1:      addi    5, 5, 1
        bdnz    1b
        sc      1
