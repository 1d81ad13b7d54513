/* SPDX-License-Identifier: MIT */
/*
 * Mutated descriptions: whatever the bytes, an error with a position or a description; never a
 * crash, never a hang. Usage: test_mutation COUNT FILE...
 */
#include "commands.h"
#include "format.h"
#include "mutate.h"
#include "random_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_one(const char *text, size_t length)
{
    struct diagnostics diagnostics = { 0 }, ignored = { 0 };
    struct isa_description *description = NULL;
    int error = description_parse(text, length, NULL, 0, &diagnostics, &description);
    FILE *nowhere = fopen("/dev/null", "w");

    if (nowhere != NULL) {
        (void)format_description(text, length, &ignored, nowhere);
        (void)fclose(nowhere);
    }
    description_release(description);
    if (error == 0)
        return 0;
    return error == -EINVAL && diagnostics.at.line > 0 && diagnostics.at.column > 0 &&
                   diagnostics.message[0] != '\0'
               ? 1
               : -1;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long refused = 0;
    uint64_t state = 42;

    for (unsigned long i = 0; i < count; i++) {
        const char *path = argv[2 + i % (unsigned long)(argc - 2)];
        char *text, *grown;
        size_t length = 0;
        int result;

        if (command_read_file(path, &text, &length) != 0)
            return 66;
        grown = realloc(text, length + 1024);
        if (grown == NULL)
            return 70;
        mutate(grown, &length, length + 1000, &state);
        result = check_one(grown, length);
        free(grown);
        if (result < 0) {
            printf("mutation %lu of %s: an error without a position\n", i, path);
            return 1;
        }
        refused += (unsigned long)result;
    }
    printf("%lu mutated files: %lu refused with a position, %lu accepted\n", count, refused,
           count - refused);
    return refused == 0;
}
