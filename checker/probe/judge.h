/* SPDX-License-Identifier: MIT */
/* The judges that rows name; see judge_row.c. */
#ifndef ORIGAMI_PROBE_JUDGE_H
#define ORIGAMI_PROBE_JUDGE_H

#include "probe.h"

probe_judge judge_nop, judge_pushf, judge_if_kept, judge_iopl_kept;
probe_judge judge_shows_cpl, judge_unprivileged, judge_zero_flags, judge_lsl_cpu;
probe_judge judge_sgdt, judge_sgdt_32, judge_sidt, judge_sldt, judge_str, judge_smsw;
probe_judge judge_skipped, judge_int_80, judge_hypercall;
probe_judge judge_reads, judge_aux_rax, judge_aux_rcx, judge_salc;

/* printf into finding->observed after what is there. */
void probe_observe(struct probe_finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
