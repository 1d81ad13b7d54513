/* SPDX-License-Identifier: MIT */
/*
 * dispatcher.h - inside the dispatcher: fetch, step, boundary.
 */
#ifndef ORIGAMI_ENGINE_DISPATCHER_H
#define ORIGAMI_ENGINE_DISPATCHER_H

#include "../engine.h"
#include "../step/stub.h"

/* Finds the decoded instruction at CS:RIP. 0, or -EFAULT (#PF, #GP) with RIP's fault. */
int fetch(struct vcpu *vcpu, struct stub_entry **out) MUST_CHECK;

/* Between two instructions: machine requests, timers, debug traps, interrupts, HLT, code
 * breakpoints. BOUNDARY_GO: carry on with the next instruction; otherwise the exit to report. */
#define BOUNDARY_GO (-1)
int boundary(struct vcpu *vcpu) MUST_CHECK;

/* Carries out one instruction that has been fetched and decoded already: in general registers only,
 * by an interpreter, with TF and RF clear. BOUNDARY_GO or an exit. */
int dispatch_known(struct vcpu *vcpu, const struct instruction *insn) MUST_CHECK;

/* Delivers vcpu->fault. BOUNDARY_GO or EXIT_SHUTDOWN. */
int dispatch_fault(struct vcpu *vcpu) MUST_CHECK;

#endif
