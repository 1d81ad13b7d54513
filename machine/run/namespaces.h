/* SPDX-License-Identifier: MIT */
/*
 * namespaces.h - the machine process alone in a world of its own (namespaces(7)): a user namespace
 * in which it has no capability, a mount namespace with nothing in it, a network namespace without
 * a network. What it needs is open already.
 */
#ifndef ORIGAMI_MACHINE_NAMESPACES_H
#define ORIGAMI_MACHINE_NAMESPACES_H

#include <stdbool.h>

/* What a run still needs of the host by name. */
struct namespaces_needs {
    bool files;   /* opens or renames files later: no mount namespace */
    bool sockets; /* opens sockets for the guest: no network namespace, and names are looked up */
};

enum { NAMESPACE_USER = 1, NAMESPACE_MOUNT = 2, NAMESPACE_NETWORK = 4 };

/*
 * Enters what it may, as far as the host allows it; returns NAMESPACE_*. A host that refuses (a
 * container's profile, a limit) is no failure: the system call filter holds all the same. Must be
 * called while this process has one thread.
 */
unsigned namespaces_enter(const struct namespaces_needs *needs);

#endif
