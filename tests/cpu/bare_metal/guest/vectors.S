/* SPDX-License-Identifier: Apache-2.0
 * Interrupt vectors of the machine image: `sc 1` everywhere, so that the harness sees each interrupt with the
 * state that the processor left, nothing saved and nothing changed. A test that wants a handler puts a branch
 * there (Machine::hook).
 */
        .section .vectors, "ax"
        .fill   0x3000 / 4, 4, 0x44000022
