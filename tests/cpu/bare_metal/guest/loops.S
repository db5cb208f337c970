/* SPDX-License-Identifier: Apache-2.0
 * Programs that run for longer: counted loops, code that changes, threads that race.
 */
        .machine "power6"
        .text
        .balign 4096

/* ---- exact counts */
        .globl count_loop               /* 1 + 2 * r3 + 1 */
count_loop:
        mtctr   3
1:      addi    5, 5, 1
        bdnz    1b
        sc      1

        .globl count_calls              /* 3 + 5 or 7 each + 2: the leaf returns early when r5 is odd */
count_calls:
        mtctr   3
        mflr    6
        li      5, 0
1:      bl      2f
        bdnz    1b
        mtlr    6
        sc      1
2:      addi    5, 5, 1
        andi.   7, 5, 1
        bnelr
        nop
        blr

        .balign 4096
        .space  4096 - 32
        .globl count_straight           /* 8 before and 4 after the end of a page, and sc: 13 */
count_straight:
        .rept 12
        addi    5, 5, 1
        .endr
        sc      1

        .balign 4096
        .space  4096 - 8
        .globl count_cross              /* loop whose body lies on two pages: 1 + 4 * r3 + 1 */
count_cross:
        mtctr   3
1:      addi    5, 5, 1
        addi    5, 5, 1
        addi    5, 5, 1
        bdnz    1b
        sc      1

/* ---- code that changes; no icbi, no isync */

/* r3 rounds: puts `li 5,i` at patched, calls it, counts wrong answers in r8. */
        .globl patch_and_call, patched
patch_and_call:
        mtctr   3
        bl      1f
1:      mflr    9                       /* where we run */
        addi    9, 9, patched - 1b
        lis     10, 0x38A0              /* li 5,0 */
        li      8, 0
        li      6, 0
2:      clrldi  7, 6, 49                /* 15 bits */
        or      7, 7, 10
        stw     7, 0(9)
        bl      patched
        clrldi  7, 6, 49
        cmpd    5, 7
        beq     3f
        addi    8, 8, 1
3:      addi    6, 6, 1
        bdnz    2b
        sc      1
patched:
        li      5, -1
        blr

/* The same with data of the same page written in between. */
        .globl patch_among_data, patched_among_data
patch_among_data:
        mtctr   3
        bl      1f
1:      mflr    9
        addi    9, 9, patched_among_data - 1b
        lis     10, 0x38A0
        li      8, 0
        li      6, 0
2:      std     6, 16(9)
        std     6, 24(9)
        ld      11, 16(9)
        cmpd    11, 6
        bne     4f
        clrldi  7, 6, 49
        or      7, 7, 10
        stw     7, 0(9)
        stb     6, 33(9)
        bl      patched_among_data
        clrldi  7, 6, 49
        cmpd    5, 7
        beq     3f
4:      addi    8, 8, 1
3:      addi    6, 6, 1
        bdnz    2b
        sc      1
        .balign 8
patched_among_data:
        li      5, -1
        blr
        .space  48

/* Stores over the instruction that follows the store: r3 rounds, wrong answers in r8. */
        .globl patch_next
patch_next:
        mtctr   3
        bl      1f
1:      mflr    9
        addi    9, 9, 3f - 1b
        lis     10, 0x38A0
        li      8, 0
        li      6, 0
2:      clrldi  7, 6, 49
        or      11, 7, 10
        stw     11, 0(9)
3:      li      5, -1
        cmpd    5, 7
        beq     4f
        addi    8, 8, 1
4:      addi    6, 6, 1
        bdnz    2b
        sc      1

/* dcbz over code: zeroes the block, which is illegal afterwards. r4 = zero_me. */
        .globl zero_code
zero_code:
        dcbz    0, 4
        mtctr   4
        bctr
        .balign 128
        .globl zero_me
zero_me:
        .rept 31
        nop
        .endr
        sc      1

/* Calls patched_elsewhere until it answers r3; the other thread, or DMA, changes it. r6 counts calls. */
        .globl call_until, patched_elsewhere
call_until:
        li      6, 0
1:      bl      patched_elsewhere
        addi    6, 6, 1
        cmpd    5, 3
        bne     1b
        sc      1
        .balign 64
patched_elsewhere:
        li      5, 0
        blr

/* Writes `li 5,i` to r4 for i = 1..r3. */
        .globl patch_elsewhere
patch_elsewhere:
        mtctr   3
        lis     10, 0x38A0
        li      6, 1
1:      clrldi  7, 6, 49
        or      7, 7, 10
        stw     7, 0(4)
        addi    6, 6, 1
        bdnz    1b
        sc      1

/* ---- reservations */
        .globl increment_words          /* r3 times ++*(u32 *)r4; failures in r8 */
increment_words:
        mtctr   3
        li      8, 0
        b       2f
1:      addi    8, 8, 1
2:      lwarx   5, 0, 4
        addi    5, 5, 1
        stwcx.  5, 0, 4
        bne-    1b
        bdnz    2b
        sc      1
        .globl increment_doublewords
increment_doublewords:
        mtctr   3
        li      8, 0
        b       2f
1:      addi    8, 8, 1
2:      ldarx   5, 0, 4
        addi    5, 5, 1
        stdcx.  5, 0, 4
        bne-    1b
        bdnz    2b
        sc      1

/* A lock of lwarx/stwcx., isync and lwsync around plain increments of two counters, r3 times. r4: lock word,
   counters at 128(r4) and 256(r4). */
        .globl locked_increments
locked_increments:
        mtctr   3
        li      6, 1
1:      lwarx   5, 0, 4
        cmpwi   5, 0
        bne-    1b
        stwcx.  6, 0, 4
        bne-    1b
        isync
        ld      7, 128(4)
        addi    7, 7, 1
        std     7, 128(4)
        ld      8, 256(4)
        addi    8, 8, 1
        std     8, 256(4)
        lwsync
        li      5, 0
        stw     5, 0(4)
        bdnz    1b
        sc      1

/* Dekker's store, sync, load: r3 rounds. Own flag r4, the other's r5, results (the loads) from r6 on, and a
   barrier in r7 on which both count rounds: own at 0(7), other's at 0(8). */
        .globl dekker
dekker:
        mtctr   3
        li      10, 0
1:      addi    10, 10, 1
        std     10, 0(7)                /* arrive */
2:      ld      11, 0(8)
        cmpd    11, 10
        blt     2b
        std     10, 0(4)
        sync
        ld      11, 0(5)
        std     11, 0(6)
        addi    6, 6, 8
        bdnz    1b
        sc      1

/* Message passing: writes data and then flag (lwsync between), r3 rounds; the reader checks. */
        .globl message_writer, message_reader
message_writer:                         /* data r4, flag r5 */
        mtctr   3
        li      6, 0
1:      addi    6, 6, 1
        std     6, 0(4)
        lwsync
        std     6, 0(5)
        bdnz    1b
        sc      1
message_reader:                         /* until flag = r3; r8 counts data older than the flag */
        li      8, 0
1:      ld      6, 0(5)
        lwsync
        ld      7, 0(4)
        cmpld   7, 6
        bge     2f
        addi    8, 8, 1
2:      cmpd    6, 3
        bne     1b
        sc      1

/* ---- translations that go away */

/* Stores r5, r5+1.. through r4 for ever. The handler for the data storage interrupt reports (sc 1) and goes
   on where it was. */
        .globl store_forever, report_and_return, load_forever
store_forever:
1:      std     5, 0(4)
        addi    5, 5, 1
        b       1b
report_and_return:
        sc      1
        rfid
/* The other ways to store, through several instructions, to one page at r4 (aligned). */
        .globl store_ways_forever
store_ways_forever:
        li      11, 120
        li      9, 512
        add     9, 9, 4
1:      stb     5, 1(4)
        sth     5, 2(4)
        stw     5, 4(4)
        stdx    5, 4, 11
        dcbz    0, 9
        lwarx   6, 0, 4
        stwcx.  5, 0, 4
        ldarx   6, 11, 4
        stdcx.  5, 11, 4
        stmw    28, 16(4)
        addi    5, 5, 1
        b       1b

/* Loads through r4 for ever: r5 is the newest, r6 counts. */
load_forever:
1:      ld      5, 0(4)
        addi    6, 6, 1
        b       1b

/* Executes code of another page (r4) for ever; r6 counts. The page holds: addi 6,6,1; blr. */
        .globl call_forever
call_forever:
1:      mtctr   4
        bctrl
        b       1b
