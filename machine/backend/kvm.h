/* SPDX-License-Identifier: MIT */
/*
 * kvm.h - what the files of the KVM back end share. KVM's interface is described in the kernel's
 * Documentation/virt/kvm/api.rst; section numbers in comments are of that file.
 *
 * The virtual CPU runs in this process (on the vCPU's thread), so that here the boundary between
 * guest and host is the kernel's and the hardware's, not ours.
 */
#ifndef ORIGAMI_MACHINE_KVM_H
#define ORIGAMI_MACHINE_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <time.h>
#include "backend.h"

#define KVM_REASON 160

struct backend {
    struct ram *ram;
    int vm, vcpu;
    struct kvm_run *run; /* shared with the kernel: exits and their answers */
    size_t run_size;
    struct host_clock clock;
    unsigned access_done; /* elements of a string instruction's access already reported */
    bool access_pending;  /* the last exit was an access, not yet answered */
    /* Set up by the vCPU's thread at its first run */
    pthread_t thread;
    timer_t timer;
    uint32_t threaded; /* atomic: the two above count */
    uint32_t pause;    /* atomic */
    uint64_t deadline; /* atomic, virtual ns */
    uint64_t reported; /* the deadline that has been reported */
};

/*
 * Opens /dev/kvm and checks that what we build on is there. A descriptor, or -errno and in `reason`
 * (KVM_REASON bytes) why not.
 */
int MUST_CHECK kvm_open(char *reason);

/* kvmstate.c */
int MUST_CHECK kvm_get_registers(struct backend *backend, struct vcpu_registers *registers);
int MUST_CHECK kvm_set_registers(struct backend *backend, const struct vcpu_registers *registers);
int MUST_CHECK kvm_get_extended(struct backend *backend, void *area);
int MUST_CHECK kvm_set_extended(struct backend *backend, const void *area);

#endif
