# SPDX-License-Identifier: Apache-2.0
# Runs instruction words in privileged state and reports what they did: firmware for QEMU's pseries machine, and for
# a processor of ours. Real mode, entered at 0x100. At CASES: the number of cases (a doubleword, and one of padding),
# then each: 8 words, and the doublewords of r3 to r10. The answers, 16 doublewords each: r3 to r10, CR, MSR, vector (0:
# none), SRR0, SRR1, DAR, DSISR, CTR. They leave 16 bytes at a time by H_PUT_TERM_CHAR; then it waits.
# The words may use r3 to r10, CR, CTR and XER only.

.set CASES, 0x100000
.set ANSWERS, 0x800000
.set SLOT, 0x4000

.macro vector at
.org \at
  li 31,\at
  b caught
.endm

.text
.globl _start
.org 0x100
_start:
  b start
vector 0x200
vector 0x300
vector 0x380
vector 0x400
vector 0x480
vector 0x500
vector 0x600
vector 0x700
vector 0x800
vector 0x900
vector 0x980
vector 0xA00
vector 0xB00
vector 0xC00
vector 0xD00
vector 0xE00
vector 0xF00
vector 0xF20
vector 0xF40

.org 0x2000
start:
  li 25,1
  sldi 25,25,63          # MSR: SF
  lis 28,CASES@h
  ld 30,0(28)
  addi 28,28,16
  lis 29,ANSWERS@h
next:
  cmpdi 30,0
  beq done
  li 27,SLOT
  .irp n,0,4,8,12,16,20,24,28
  lwz 26,\n(28)
  stw 26,\n(27)
  .endr
  dcbst 0,27
  sync
  icbi 0,27
  sync
  li 26,0
  slbmte 26,26           # entry 0, which slbia keeps
  slbia
  mtspr 18,26
  mtspr 19,26
  mtspr 26,26
  mtspr 27,26
  mtxer 26
  mtctr 26
  mtcr 26
  lis 26,0x7FFF
  mtspr 22,26
  .irp n,3,4,5,6,7,8,9,10
  ld \n,8*(\n+1)(28)
  .endr
  isync
  ba SLOT
fell:
  li 31,0
caught:
  mfmsr 26
  mtmsrd 25
  isync
  .irp n,3,4,5,6,7,8,9,10
  std \n,8*(\n-3)(29)
  .endr
  mfcr 27
  std 27,64(29)
  std 26,72(29)
  std 31,80(29)
  mfspr 26,26
  std 26,88(29)
  mfspr 26,27
  std 26,96(29)
  mfspr 26,19
  std 26,104(29)
  mfspr 26,18
  std 26,112(29)
  mfctr 26
  std 26,120(29)
  addi 28,28,96
  addi 29,29,128
  addi 30,30,-1
  b next
done:
  lis 28,ANSWERS@h
send:
  cmpd 28,29
  beq .
  li 3,0x58
  li 4,0
  li 5,16
  ld 6,0(28)
  ld 7,8(28)
  sc 1
  cmpdi 3,0
  bne send
  addi 28,28,16
  b send

.org SLOT + 32
  b fell
