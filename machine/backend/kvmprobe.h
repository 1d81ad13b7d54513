/* SPDX-License-Identifier: MIT */
/* kvmprobe.h - is there a /dev/kvm, and does it run guest code on the CPU? */
#ifndef ORIGAMI_MACHINE_KVMPROBE_H
#define ORIGAMI_MACHINE_KVMPROBE_H

#include <stddef.h>
#include <stdbool.h>

/*
 * Tries a guest of a few instructions, in a process of its own that is given a second: a kernel
 * that emulates (nested and paravirtual KVM may) or hangs is found out by what it does, not by its
 * name. If not, `reason` (of `size` bytes) says why.
 */
bool kvm_worth_using(char *reason, size_t size);

#endif
