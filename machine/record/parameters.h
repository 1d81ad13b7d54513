/* SPDX-License-Identifier: MIT */
/* parameters.h - what a machine is made of, as the header of a log says it. */
#ifndef ORIGAMI_MACHINE_RECORD_PARAMETERS_H
#define ORIGAMI_MACHINE_RECORD_PARAMETERS_H

#include "../command/options.h"
#include "../loaders/loader.h"
#include "log.h"

/* Of a run that counts instructions: start time and seeds are the same for all of them. An option
 * that changes what the guest can see belongs here, and in replay.c's difference(). */
void parameters_fill(struct log_parameters *parameters, const struct options *options,
                     const struct boot_request *boot);

#endif
