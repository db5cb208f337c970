/* SPDX-License-Identifier: Apache-2.0
 * One instruction each, then `sc 1`. r4 is the address, r5 (and r6, r28..r31, f1) the data.
 */
#define SNIPPET(name, ...)  .globl name; name: __VA_ARGS__; sc 1

        .machine "power6"
        .text
        .balign 4096

SNIPPET(do_lbz, lbz 5, 0(4))
SNIPPET(do_lhz, lhz 5, 0(4))
SNIPPET(do_lha, lha 5, 0(4))
SNIPPET(do_lwz, lwz 5, 0(4))
SNIPPET(do_lwa, lwa 5, 0(4))
SNIPPET(do_ld, ld 5, 0(4))
SNIPPET(do_lhbrx, lhbrx 5, 0, 4)
SNIPPET(do_lwbrx, lwbrx 5, 0, 4)
SNIPPET(do_ldx, ldx 5, 0, 4)
SNIPPET(do_lbzu, lbzu 5, 8(4))
SNIPPET(do_lwzu, lwzu 5, 8(4))
SNIPPET(do_ldu, ldu 5, 8(4))
SNIPPET(do_ldux, ldux 5, 4, 6)
SNIPPET(do_lfs, lfs 1, 0(4))
SNIPPET(do_lfd, lfd 1, 0(4))
SNIPPET(do_lfdu, lfdu 1, 8(4))
SNIPPET(do_lmw, lmw 28, 0(4))
SNIPPET(do_lmw_own_base, .long 0xB8840000)    /* lmw 4,0(4), an invalid form */
SNIPPET(do_lswi, lswi 28, 4, 15)
SNIPPET(do_lwarx, lwarx 5, 0, 4)
SNIPPET(do_ldarx, ldarx 5, 0, 4)
SNIPPET(do_lq, .long 0xE0C40000)               /* lq 6,0(4) */

SNIPPET(do_stb, stb 5, 0(4))
SNIPPET(do_sth, sth 5, 0(4))
SNIPPET(do_stw, stw 5, 0(4))
SNIPPET(do_std, std 5, 0(4))
SNIPPET(do_sthbrx, sthbrx 5, 0, 4)
SNIPPET(do_stwbrx, stwbrx 5, 0, 4)
SNIPPET(do_stwu, stwu 5, 8(4))
SNIPPET(do_stdu, stdu 5, 8(4))
SNIPPET(do_stdux, stdux 5, 4, 6)
SNIPPET(do_stfs, stfs 1, 0(4))
SNIPPET(do_stfd, stfd 1, 0(4))
SNIPPET(do_stfdu, stfdu 1, 8(4))
SNIPPET(do_stmw, stmw 28, 0(4))
SNIPPET(do_stswi, stswi 28, 4, 15)
SNIPPET(do_stwcx, stwcx. 5, 0, 4)
SNIPPET(do_stdcx, stdcx. 5, 0, 4)
SNIPPET(do_stq, .long 0xF8C40002)              /* stq 6,0(4) */
SNIPPET(do_dcbz, dcbz 0, 4)

SNIPPET(do_dcbst, dcbst 0, 4)
SNIPPET(do_dcbf, dcbf 0, 4)
SNIPPET(do_icbi, icbi 0, 4)
SNIPPET(do_dcbt, dcbt 0, 4)
SNIPPET(do_dcbtst, dcbtst 0, 4)

SNIPPET(do_branch, mtctr 4; bctr)

/* A reservation, an access of our own in between, and its end. r4, r6: the two addresses. */
SNIPPET(lwarx_stwcx, lwarx 7, 0, 4; stwcx. 5, 0, 6; mfcr 8)
SNIPPET(ldarx_stdcx, ldarx 7, 0, 4; stdcx. 5, 0, 6; mfcr 8)
SNIPPET(lwarx_stdcx, lwarx 7, 0, 4; stdcx. 5, 0, 6; mfcr 8)
SNIPPET(ldarx_stwcx, ldarx 7, 0, 4; stwcx. 5, 0, 6; mfcr 8)
SNIPPET(lwarx_stwcx_twice, lwarx 7, 0, 4; stwcx. 5, 0, 4; mfcr 8; stwcx. 6, 0, 4; mfcr 9)
SNIPPET(lwarx_store_stwcx, lwarx 7, 0, 4; stw 7, 4(4); stwcx. 5, 0, 4; mfcr 8)
SNIPPET(lwarx_lwarx_stwcx, lwarx 7, 0, 4; lwarx 9, 0, 6; stwcx. 5, 0, 4; mfcr 8)
SNIPPET(lwarx_sc_stwcx, lwarx 7, 0, 4; sc 1; stwcx. 5, 0, 4; mfcr 8)
SNIPPET(ldarx_sc_stdcx, ldarx 7, 0, 4; sc 1; stdcx. 5, 0, 4; mfcr 8)

/* Two accesses with the harness in between. */
SNIPPET(load_sc_load, ld 5, 0(4); sc 1; ld 6, 0(4))
SNIPPET(store_sc_store, std 5, 0(4); sc 1; std 6, 0(4))

/* Page-crossing and many pages: r3 loads, r4 base, r5 step, sum in r6. */
        .globl sum_strided
sum_strided:
        mtctr   3
        li      6, 0
1:      ld      7, 0(4)
        add     6, 6, 7
        add     4, 4, 5
        bdnz    1b
        sc      1
