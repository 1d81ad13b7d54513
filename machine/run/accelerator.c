/* SPDX-License-Identifier: MIT */
/* accelerator.c - choosing between the engine and KVM. */
#include "accelerator.h"
#include "../backend/kvmprobe.h"
#include <stdio.h>

static bool automatic(const struct options *options)
{
    char reason[256] = "it cannot count instructions (--clock instructions)";

    if (!options->instructions && kvm_worth_using(reason, sizeof(reason)))
        return true;
    fprintf(stderr, "origami: KVM is not used: %s\n", reason);
    return false;
}

void accelerator_choose(struct machine *machine)
{
    bool kvm = machine->options->accelerator == ACCELERATOR_KVM;

    if (machine->options->accelerator == ACCELERATOR_AUTO)
        kvm = automatic(machine->options);
    machine->operations = kvm ? &backend_kvm : &backend_engine;
}
