/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: assemble arbitrary bytes as a program of a small machine, and run a few steps.
 *
 * scripts/fuzz.sh builds and runs it, with the library's programs as its first inputs.
 */
#include "monitor/program.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char machine[] =
    "isa \"small\"; param bits = 4; mode M : 1 {s = 0, u = 1} analyze s over u; pc P : bits;"
    "relocation l : bits + 1; relocation b : bits + 1; user R[4] : 16; memory E[1 << bits] : 16;"
    "map a : bits -> bits + 2 { yield zext(a, bits + 2) + zext(l, bits + 2); }"
    "relocate x : bits { l = l + zext(x, bits + 1); }"
    "trap code : 4 illegal 1 memory 2 { E[0] = zext({M, P}, 16); M = s; P = 1; }"
    "insn LOAD(r : 2, a : bits) = {0b0001, r, a, _:10 - bits} { let v = load(a); R[r] = v; }"
    "insn \"MOVE two\" (r : 2 {1, 3}) = {0b0010, r, _:10, 0xabcd:16} { R[r] = 1; }"
    "insn HALT = {0b1111, _:12} { if (M == u) { trap 3; } halt; }";

static void run(const struct isa_description *description, struct program *program)
{
    struct machine_state state, scratch;
    struct step_record record;

    if (machine_state_init(&state, description) != 0)
        return;
    if (machine_state_init(&scratch, description) == 0) {
        if (program_assemble(program, description, &state) == 0)
            for (int i = 0; i < 8; i++)
                (void)evaluate_step(description, &state, &scratch, NULL, NULL, &record);
        machine_state_release(&scratch);
    }
    machine_state_release(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics diagnostics = { 0 }, ignored = { 0 };
    struct isa_description *description = NULL;
    struct program *program = calloc(1, sizeof(*program));

    if (program == NULL)
        return 0;
    if (program_read(program, (const char *)data, size, &diagnostics) == 0 &&
        description_parse(machine, strlen(machine), program->settings, program->setting_count,
                          &ignored, &description) == 0)
        run(description, program);
    description_release(description);
    program_release(program);
    free(program);
    return 0;
}
