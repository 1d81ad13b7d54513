/* SPDX-License-Identifier: MIT */
/*
 * verifier.h - what emitted host code may do, checked by reading it: it shares nothing with the
 * code that wrote it but the layout of the context block.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_VERIFIER_H
#define ORIGAMI_TEST_LOCKSTEP_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>
#include "translator/translator.h"

/* Reads one block; says on stdout what it may not do. */
bool verifier_block(const struct translator *translator, const struct soft_block *block);
/* Every block there is, after jumps between them have been patched in. */
bool verifier_all(const struct translator *translator);
uint64_t verifier_blocks(void); /* looked at so far */
bool verifier_failed(void);
/* Why the last one refused was. */
const char *verifier_reason(void);
/* Nothing on stdout from now on. */
void verifier_quiet(void);

#endif
