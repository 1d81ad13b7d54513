/* SPDX-License-Identifier: MIT */
/* accelerator.h - which back end runs the guest. */
#ifndef ORIGAMI_MACHINE_ACCELERATOR_H
#define ORIGAMI_MACHINE_ACCELERATOR_H

#include "machine.h"

/*
 * Sets machine->operations as --accel says. `auto` takes KVM where it is worth it and otherwise
 * says on standard error why not.
 */
void accelerator_choose(struct machine *machine);

#endif
