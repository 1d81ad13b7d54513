/* SPDX-License-Identifier: MIT */
/*
 * debugregister.h - the four hardware breakpoints (SDM Vol. 3, chapter 17), for those who fetch
 * instructions and access data.
 */
#ifndef ORIGAMI_ENGINE_INTERPRETER_DEBUGREGISTER_H
#define ORIGAMI_ENGINE_INTERPRETER_DEBUGREGISTER_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define DR6_BD       (1u << 13)
#define DR6_BS       (1u << 14)
#define DR6_BT       (1u << 15)
#define DR6_FIXED    0xffff0ff0u /* always one */
#define DR6_WRITABLE 0x0000e00fu
#define DR7_GD       (1u << 13)
#define DR7_FIXED    0x00000400u
#define DR7_WRITABLE 0xffff23ffu

/* After a change of DR7: recomputes vcpu->data_breakpoints and has the boundary look again. */
void debug_changed(struct vcpu *vcpu);

/* Is any breakpoint enabled? The matches below are only worth calling if so. */
bool debug_breakpoints_armed(const struct vcpu *vcpu);

/* The B0..B3 bits of DR6 of the enabled breakpoints that match: an instruction fetched at linear (a
 * fault, before it runs, unless RFLAGS.RF); a data access (a trap, after it). */
uint32_t debug_match_fetch(const struct vcpu *vcpu, uint64_t linear);
uint32_t debug_match_data(const struct vcpu *vcpu, uint64_t linear, unsigned size, bool write);
/* The same for a port, with CR4.DE; notes what matched as a pending debug trap. */
void debug_match_port(struct vcpu *vcpu, uint16_t port, unsigned size);

#endif
