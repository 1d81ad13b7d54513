/* SPDX-License-Identifier: MIT */
/*
 * state.h - getting and setting the versioned parts of a virtual machine (include/origami/state.h).
 */
#ifndef ORIGAMI_ENGINE_STATE_H
#define ORIGAMI_ENGINE_STATE_H

#include "engine.h"

/* Copies part `part` of the machine as seen from `vcpu` to `data` (capacity bytes). 0 and *size;
 * -ENOENT unknown part, -ENOSPC too small. The vCPU must be at an instruction boundary. */
int state_get(struct vcpu *vcpu, uint32_t part, void *data, size_t capacity,
              size_t *size) MUST_CHECK;

/* Replaces a part. -ENOENT unknown or read-only part; -EINVAL wrong version, size or content.
 * Derived state (mode, TLB, attention) is recomputed. Content is made harmless, not believed. */
int state_set(struct vcpu *vcpu, uint32_t part, uint32_t version, const void *data,
              size_t size) MUST_CHECK;

#endif
