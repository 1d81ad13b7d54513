/* SPDX-License-Identifier: MIT */
/*
 * The solver against the enumeration, on random small machines: every property of every
 * instruction must get the same answer, and every witness is replayed by both.
 *
 * Usage: test_random [COUNT [FIRST_SEED]]; 100,000 with ORIGAMI_LONG=1
 */
#include "random_machine.h"
#include "search.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct isa_description *description, unsigned index, uint64_t seed)
{
    const struct isa_instruction *instruction = description->instructions[index];
    struct search_result solved, tried;
    int wrong = 0;
    int error = search_solve(description, instruction, NULL, 20000, &solved);

    if (error != 0) {
        printf("seed %llu, %s: solver says %d at '%s'\n", (unsigned long long)seed,
               instruction->name, error, property_rows[solved.failed].name);
        search_release(&solved);
        return 1;
    }
    error = search_enumerate(description, instruction, NULL, &tried);
    if (error != 0) {
        printf("seed %llu: enumeration says %d\n", (unsigned long long)seed, error);
        wrong = 1;
    }
    for (int i = 0; i < PROPERTY_COUNT && wrong == 0; i++) {
        if (solved.answer[i] != tried.answer[i]) {
            printf("seed %llu, %s, %s: solver %d, enumeration %d\n", (unsigned long long)seed,
                   instruction->name, property_rows[i].name, solved.answer[i], tried.answer[i]);
            wrong = 1;
        }
    }
    search_release(&solved);
    search_release(&tried);
    return wrong;
}

static int one_machine(uint64_t seed)
{
    struct diagnostics diagnostics = { .path = "random machine" };
    struct isa_description *description;
    size_t length = 0;
    char *text = random_machine(seed, &length);
    int wrong = 0;

    if (text == NULL || description_parse(text, length, NULL, 0, &diagnostics, &description) != 0) {
        printf("seed %llu:\n", (unsigned long long)seed);
        diagnostics_print(&diagnostics, stdout);
        free(text);
        return 1;
    }
    for (unsigned i = 0; i < description->instruction_count; i++)
        wrong |= compare(description, i, seed);
    if (wrong)
        fputs(text, stdout);
    description_release(description);
    free(text);
    return wrong;
}

int main(int argc, char **argv)
{
    const char *lengthy = getenv("ORIGAMI_LONG");
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int wrong = 0;

    if (lengthy != NULL && strcmp(lengthy, "1") == 0)
        count = 100000;
    /* Each instruction has a context of the solver's: don't give its memory back every time. */
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 1 << 24);
    for (unsigned long i = 0; i < count && wrong == 0; i++)
        wrong = one_machine(first + i);
    printf("%lu machines: %s\n", count, wrong ? "DISAGREEMENT" : "solver and enumeration agree");
    return wrong;
}
