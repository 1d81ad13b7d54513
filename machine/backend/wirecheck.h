/* SPDX-License-Identifier: MIT */
/*
 * wirecheck.h - nothing an engine writes is believed before it has been through here.
 */
#ifndef ORIGAMI_MACHINE_WIRECHECK_H
#define ORIGAMI_MACHINE_WIRECHECK_H

#include <origami/wire.h>
#include "backend.h"

/*
 * Turns a private copy of an exit into a validated backend_run. -EPROTO with a problem if any field
 * has a value that no honest engine sends; -ECANCELED if the engine itself reports that it cannot
 * go on.
 */
int MUST_CHECK wire_check_exit(const struct wire_exit *exit, struct backend_run *run,
                               struct problem *problem);

#endif
