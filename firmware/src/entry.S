/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Low memory of the partition firmware: reset entry, exception vectors, the
 * client interface gate and the hypervisor call gate.
 *
 * The C code is 32-bit (MSR[SF] = 0). Every exception sets SF = 1, so each
 * path into C first clears it. All addresses are below 2 GB, so the same
 * instructions load them in either mode.
 */
	.machine power6

	/* address of a symbol in a register, good in both modes */
	.macro	la_abs reg, sym
	lis	\reg, \sym@h
	ori	\reg, \reg, \sym@l
	.endm

	/* MSR[SF] <- 0; \t is clobbered */
	.macro	mode32 t
	mfmsr	\t
	clrldi	\t, \t, 1
	mtmsrd	\t
	isync
	.endm

	.section .head, "ax"
	.globl	head
head:
	.asciz	"Baton partition firmware"

	/* ---- reset: entered once with the device tree's address in r3 ---- */
	.org	0x100
	.globl	reset_entry
reset_entry:
	nop				/* a test harness may put "lis r3,n" here */
	b	start

	/* ---- exception vectors: a slot every 32 bytes ---- */
	.set	vector, 0x200
	.rept	(0x1000 - 0x200) / 0x20
	.org	vector
	.if	vector == 0x900
	/* decrementer: only ever enabled by H_CEDE while waiting; put it off */
	mtsprg	2, 3
	lis	3, 0x7fff
	mtdec	3
	mfsprg	3, 2
	rfid
	.else
	li	3, vector
	b	unexpected
	.endif
	.set	vector, vector + 0x20
	.endr

	.org	0x1000
unexpected:
	mfsrr0	4
	mfsrr1	6
	mfdar	8
	mflr	7
	mode32	9
	/* 64-bit arguments go in register pairs: (r5,r6) (r7,r8) (r9,r10) */
	mr	11, 7
	mr	12, 4
	srdi	5, 12, 32
	mr	7, 6
	mr	10, 8
	srdi	9, 8, 32
	mr	6, 12
	mr	8, 7
	srdi	7, 7, 32
	la_abs	1, exception_stack_top
	li	0, 0
	stwu	0, -32(1)
	stw	11, 8(1)		/* eighth argument word: LR */
	bl	firmware_exception
1:	b	1b

start:
	mode32	4
	la_abs	4, reset_seen
	lwz	5, 0(4)
	li	0, 1
	stw	0, 0(4)
	la_abs	1, boot_stack_top
	li	0, 0
	stwu	0, -16(1)
	cmpwi	5, 0
	bne	2f
	/* the raw image carries no .bss: clear it */
	la_abs	4, bss_start
	la_abs	5, bss_end
1:	cmplw	4, 5
	bge	3f
	stw	0, 0(4)
	addi	4, 4, 4
	b	1b
3:	clrldi	3, 3, 32
	bl	firmware_main
1:	b	1b
2:	bl	firmware_reset_again
1:	b	1b

	.text
/* int hcall(uint64_t regs[10]): r3..r12 in and out; returns the low word of r3 */
	.globl	hcall
hcall:
	stwu	1, -32(1)
	stw	31, 16(1)
	mr	31, 3
	ld	3, 0(31)
	ld	4, 8(31)
	ld	5, 16(31)
	ld	6, 24(31)
	ld	7, 32(31)
	ld	8, 40(31)
	ld	9, 48(31)
	ld	10, 56(31)
	ld	11, 64(31)
	ld	12, 72(31)
	sc	1
	std	3, 0(31)
	std	4, 8(31)
	std	5, 16(31)
	std	6, 24(31)
	std	7, 32(31)
	std	8, 40(31)
	std	9, 48(31)
	std	10, 56(31)
	std	11, 64(31)
	std	12, 72(31)
	lwz	31, 16(1)
	addi	1, 1, 32
	blr

/* void external_interrupts_off(void): H_CEDE leaves MSR[EE] set */
	.globl	external_interrupts_off
external_interrupts_off:
	mfmsr	3
	li	4, 0
	ori	4, 4, 0x8000
	andc	3, 3, 4
	mtmsrd	3
	blr

/* uint64_t timebase(void) */
	.globl	timebase
timebase:
	mfspr	3, 269
	mfspr	4, 268
	mfspr	5, 269
	cmpw	3, 5
	bne	timebase
	blr

	.globl	set_decrementer
set_decrementer:
	mtdec	3
	blr

	.globl	processor_version
processor_version:
	mfpvr	3
	blr

/* void sync_icache(address, length): make stored instructions executable */
	.globl	sync_icache
sync_icache:
	add	4, 3, 4
	rlwinm	3, 3, 0, 0, 24
	mr	5, 3
1:	cmplw	5, 4
	bge	2f
	dcbst	0, 5
	addi	5, 5, 128
	b	1b
2:	sync
1:	cmplw	3, 4
	bge	2f
	icbi	0, 3
	addi	3, 3, 128
	b	1b
2:	sync
	isync
	blr

/*
 * void copy_words(dst, src, n): n blocks of 32 bytes upwards, both addresses
 * multiples of 8. 64-bit registers work in 32-bit mode too.
 */
	.globl	copy_blocks
copy_blocks:
	cmpwi	5, 0
	beqlr
	mtctr	5
1:	ld	6, 0(4)
	ld	7, 8(4)
	ld	8, 16(4)
	ld	9, 24(4)
	addi	4, 4, 32
	std	6, 0(3)
	std	7, 8(3)
	std	8, 16(3)
	std	9, 24(3)
	addi	3, 3, 32
	bdnz	1b
	blr

/* noreturn enter_client(const struct client_start *): see fw.h */
	.globl	enter_client
enter_client:
	ld	4, 0(3)
	mtsrr0	4
	ld	4, 8(3)
	mtsrr1	4
	ld	1, 16(3)
	ld	4, 32(3)
	ld	5, 40(3)
	ld	3, 24(3)
	la_abs	0, client_returned
	mtlr	0
	li	0, 0
	li	2, 0
	.irp	n, 6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	li	\n, 0
	.endr
	mtctr	0
	mtxer	0
	mtcrf	0xff, 0
	rfid

client_returned:
	mode32	4
	la_abs	1, boot_stack_top
	li	0, 0
	stwu	0, -16(1)
	bl	firmware_client_returned
1:	b	1b

/*
 * The client interface entry: r3 = real address of the argument array.
 * Runs on the firmware's own stack; gives back r1, r2, r13-r31, CR and MSR.
 */
	.globl	client_entry
client_entry:
	la_abs	4, client_save
	std	1, 0(4)
	std	2, 8(4)
	.set	slot, 16
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\n, slot(4)
	.set	slot, slot + 8
	.endr
	mfcr	5
	std	5, 168(4)
	mflr	5
	std	5, 176(4)
	mfmsr	5
	std	5, 184(4)
	clrldi	6, 5, 1
	li	7, 0
	ori	7, 7, 0x8000
	andc	6, 6, 7
	mtmsrd	6
	isync
	la_abs	1, call_stack_top
	li	0, 0
	stwu	0, -16(1)
	clrldi	3, 3, 32
	bl	client_interface
	la_abs	4, client_save
	ld	1, 0(4)
	ld	2, 8(4)
	.set	slot, 16
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	\n, slot(4)
	.set	slot, slot + 8
	.endr
	ld	5, 168(4)
	mtcrf	0xff, 5
	ld	5, 176(4)
	mtlr	5
	ld	5, 184(4)
	mtmsrd	5
	isync
	extsw	3, 3
	blr

/* The RTAS entry that instantiate-rtas copies: position independent. */
	.globl	rtas_stub, rtas_stub_end
rtas_stub:
	clrldi	4, 3, 32
	li	3, 0
	ori	3, 3, 0xf000
	sc	1
	blr
rtas_stub_end:

	.data
	.balign	8
reset_seen:
	.long	0

	.bss
	.balign	16
client_save:
	.space	192
	.balign	16
	.space	0x4000
exception_stack_top:
	.space	0x8000
boot_stack_top:
	.space	0x8000
call_stack_top:
	.space	0x10000
	.globl	client_stack_top
client_stack_top:
	.section .note.GNU-stack, "", @progbits
