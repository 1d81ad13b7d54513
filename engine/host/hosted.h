/* SPDX-License-Identifier: MIT */
/*
 * hosted.h - the engine as a library inside an ordinary process: for tests, sanitizers, fuzzers and
 * other programs. One thread runs one vCPU; the guest's vector state is swapped in around each
 * stub.
 */
#ifndef ORIGAMI_ENGINE_HOSTED_H
#define ORIGAMI_ENGINE_HOSTED_H

#include "../engine.h"
#include "../step/stub.h"

/* Makes a stub cache with its two views of executable memory and an extended state area, and
 * installs the process's handlers for SIGILL, SIGBUS, SIGFPE, SIGSEGV and SIGTRAP (which fall back
 * to the default action for faults that are not a stub's). NULL: out of memory, or executable
 * mappings are not allowed. */
struct stub_cache *hosted_stubs_create(void);
void hosted_stubs_destroy(struct stub_cache *cache);

/* The guest's extended state of this cache's vCPU: standard XSAVE format, XSAVE_AREA_SIZE bytes. */
void *hosted_extended_state(struct stub_cache *cache);

/* Gives the vCPU a translator (Soft tier); this thread's GS base then belongs to it. NULL: not
 * possible. */
struct translator *hosted_translator_create(struct vcpu *vcpu);

/* A clock for tests: real (calibrated as 1 ns per host TSC tick) or counting instructions. */
void hosted_clock_init(struct vm *vm, enum clock_mode mode);

#endif
