/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: parse and format arbitrary bytes; step accepted machines from state zero.
 *
 * scripts/fuzz.sh builds and runs it, with the library as its first inputs.
 */
#include "evaluator.h"
#include "format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void step(const struct isa_description *description)
{
    struct machine_state state, scratch;
    struct step_record record;

    if (machine_state_init(&state, description) == 0) {
        if (machine_state_init(&scratch, description) == 0) {
            for (int i = 0; i < 4; i++)
                (void)evaluate_step(description, &state, &scratch, NULL, NULL, &record);
            machine_state_release(&scratch);
        }
        machine_state_release(&state);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics diagnostics = { 0 }, ignored = { 0 };
    struct isa_description *description = NULL;
    char *formatted = NULL;
    size_t length = 0;
    FILE *out;

    if (description_parse((const char *)data, size, NULL, 0, &diagnostics, &description) == 0)
        step(description);
    description_release(description);
    out = open_memstream(&formatted, &length);
    if (out != NULL) {
        (void)format_description((const char *)data, size, &ignored, out);
        (void)fclose(out);
    }
    free(formatted);
    return 0;
}
