/* SPDX-License-Identifier: Apache-2.0 */
/* Start of the test client, and a client interface call that checks what must
   survive it: r1, r2, r13-r31 (64 bits each), CR2-CR4 and the MSR. */
	.machine power6
	.section .head, "ax"
	.globl	_start
_start:
	lis	6, client_gate@ha
	stw	5, client_gate@l(6)
	lis	6, started_with@ha
	addi	6, 6, started_with@l
	stw	3, 0(6)
	stw	4, 4(6)
	mfmsr	7
	std	7, 8(6)
	stw	1, 16(6)
	mflr	31
	bl	client_main
	mtlr	31
	blr

	.text
/* int gate(cells): a plain call */
	.globl	gate
gate:
	lis	4, client_gate@ha
	lwz	4, client_gate@l(4)
	mtctr	4
	bctr

/* int gate_checked(cells): number of registers that a call changed */
	.globl	gate_checked
gate_checked:
	stwu	1, -256(1)
	mflr	0
	stw	0, 260(1)
	lis	4, saved@ha
	addi	4, 4, saved@l
	stmw	13, 0(4)
	stw	2, 76(4)
	stw	1, 80(4)
	mfcr	5
	stw	5, 84(4)
	lis	5, 0x1234
	sldi	5, 5, 16
	.irp	n, 2,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	addi	5, 5, \n
	mr	\n, 5
	.endr
	li	5, 0
	oris	5, 5, 0x00a5
	ori	5, 5, 0xa000
	mtcrf	0x38, 5
	mfmsr	6
	lis	4, saved@ha
	addi	4, 4, saved@l
	std	6, 88(4)
	lis	4, client_gate@ha
	lwz	4, client_gate@l(4)
	mtctr	4
	bctrl
	li	3, 0
	lis	5, 0x1234
	sldi	5, 5, 16
	.irp	n, 2,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	addi	5, 5, \n
	cmpd	5, \n
	beq	1f
	addi	3, 3, 1
1:
	.endr
	lis	4, saved@ha
	addi	4, 4, saved@l
	lwz	6, 80(4)
	cmpw	6, 1
	beq	1f
	addi	3, 3, 100
1:	mfmsr	5
	ld	6, 88(4)
	cmpd	5, 6
	beq	1f
	addi	3, 3, 1000
1:	lwz	5, 84(4)
	mtcrf	0xff, 5
	lwz	2, 76(4)
	lmw	13, 0(4)
	lwz	0, 260(1)
	mtlr	0
	addi	1, 1, 256
	blr

/* int gate_checked_cr(cells): 0 if CR2-CR4 survive a call */
	.globl	gate_checked_cr
gate_checked_cr:
	stwu	1, -32(1)
	mflr	0
	stw	0, 36(1)
	mfcr	5
	stw	5, 16(1)
	lis	5, 0x00a5
	ori	5, 5, 0xa000
	mtcrf	0x38, 5
	lis	4, client_gate@ha
	lwz	4, client_gate@l(4)
	mtctr	4
	bctrl
	mfcr	3
	rlwinm	3, 3, 0, 8, 19
	xoris	3, 3, 0x00a5
	xori	3, 3, 0xa000
	lwz	5, 16(1)
	mtcrf	0x38, 5
	lwz	0, 36(1)
	mtlr	0
	addi	1, 1, 32
	blr

	.globl	call_rtas
/* int call_rtas(buffer, entry) */
call_rtas:
	mtctr	4
	bctr

	.bss
	.balign	16
	.globl	started_with
client_gate:	.space 8
started_with:	.space 24
saved:		.space 128
	.section .note.GNU-stack, "", @progbits
