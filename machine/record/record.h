/* SPDX-License-Identifier: MIT */
/*
 * record.h - back ends in front of the back end: one writes down everything a guest is given, one
 * gives it what was written down. Only for runs whose clock counts instructions.
 *
 * Recording: what the machine does while the engine runs (an interrupt line that a typed key
 * raises, a device's write to memory) waits until the engine has been stopped at an instruction
 * boundary, which is written down with it. So everything has a place in the order of instructions,
 * and a replay has it at the same place: the engine stops there by count.
 *
 * Replaying: the machine runs with all its devices, and what they write to the console is shown;
 * but what the guest is told (answers, interrupts, memory) comes from the log alone. Each exit is
 * compared with the recorded one, so a guest that does not follow is seen at once.
 */
#ifndef ORIGAMI_MACHINE_RECORD_H
#define ORIGAMI_MACHINE_RECORD_H

#include "../backend/backend.h"
#include "log.h"

struct recording;
struct replay;
struct dma_log;

/* How a recorded run ended, as END says it. */
enum record_end {
    RECORD_GUEST,  /* the guest: power-off, reset, debug-exit, triple fault */
    RECORD_LEFT,   /* Ctrl-A x */
    RECORD_SIGNAL, /* value: its number */
    RECORD_FAILED  /* the engine died, or something else that the guest may have had a part in */
};

extern const struct backend_operations backend_record, backend_replay;

/* The log is made now, and lasts over reboots: the same goes into every boot's backend_config. */
int MUST_CHECK recording_create(struct recording **recording, const char *path,
                                const struct log_parameters *parameters, struct problem *problem);
/* The run has ended. NULL is fine. */
void recording_end(struct recording *recording, enum record_end end, uint64_t value);

/* Opens a log and compares what it was made with. `mine` gets the start time and the seeds. */
int MUST_CHECK replay_open(struct replay **replay, const char *path, struct log_parameters *mine,
                           struct problem *problem);
/* How the recorded run ended; false: it was cut short. To be asked at BACKEND_ENDED. */
bool replay_end(const struct replay *replay, enum record_end *end, uint64_t *value);
void replay_close(struct replay *replay);

/* What devices write to guest memory goes through here; see dma.h. */
struct dma_log *recording_dma(struct recording *recording);
struct dma_log *replay_dma(struct replay *replay);

#endif
