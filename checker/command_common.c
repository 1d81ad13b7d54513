/* SPDX-License-Identifier: MIT */
/* Commands: what they share - reading files and the common options. */
#include "commands.h"
#include "lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int command_usage(const char *name, const char *hint)
{
    if (hint != NULL)
        fprintf(stderr, "origami %s: %s\n", name, hint);
    fprintf(stderr, "Try 'origami %s --help' for more information.\n", name);
    return EXIT_USAGE;
}

int command_add_override(struct description_options *options, char *text)
{
    char *equals = strchr(text, '=');
    char *end = NULL;
    unsigned long long value;

    if (equals == NULL || equals == text || equals[1] == '\0' || equals[1] == '-' ||
        options->override_count == COMMAND_MAX_OVERRIDES) {
        fprintf(stderr, "origami: --set wants NAME=NUMBER, not '%s'\n", text);
        return EXIT_USAGE;
    }
    errno = 0;
    value = strtoull(equals + 1, &end, 0);
    if (errno != 0 || *end != '\0') {
        fprintf(stderr, "origami: '%s' is not a number\n", equals + 1);
        return EXIT_USAGE;
    }
    *equals = '\0';
    options->overrides[options->override_count].name = text;
    options->overrides[options->override_count++].value = value;
    return 0;
}

int command_read_file(const char *path, char **text, size_t *length)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *buffer = malloc(LEXER_MAX_TEXT + 2);
    int status = 0;

    *text = NULL;
    if (file == NULL) {
        fprintf(stderr, "origami: %s: %s\n", path, strerror(errno));
        free(buffer);
        return EXIT_NO_FILE;
    }
    if (buffer == NULL) {
        status = EXIT_INTERNAL;
    } else {
        /* One byte more than is allowed, so that the lexer sees an oversized file as one. */
        *length = fread(buffer, 1, LEXER_MAX_TEXT + 1, file);
        buffer[*length] = '\0';
        if (ferror(file)) {
            fprintf(stderr, "origami: %s: %s\n", path, strerror(errno));
            status = EXIT_NO_FILE;
        }
    }
    if (file != stdin)
        (void)fclose(file);
    if (status != 0)
        free(buffer);
    else
        *text = buffer;
    return status;
}

static int choose_resources(struct isa_description *description, const char *list)
{
    const char *unknown = NULL;

    if (list == NULL || description_choose_resources(description, list, &unknown) == 0)
        return 0;
    fprintf(stderr, "origami: no resource is called '%.*s'\n", (int)strcspn(unknown, ","), unknown);
    return EXIT_USAGE;
}

int command_open(const char *path, const struct description_options *options,
                 struct isa_description **description)
{
    struct diagnostics diagnostics = { .path = path };
    char *text;
    size_t length = 0;
    int status = command_read_file(path, &text, &length), error;

    *description = NULL;
    if (status != 0)
        return status;
    error = description_parse(text, length, options->overrides, options->override_count,
                              &diagnostics, description);
    if (error == -ENOMEM) {
        fputs("origami: out of memory\n", stderr);
        status = EXIT_INTERNAL;
    } else if (error != 0) {
        diagnostics_print(&diagnostics, stderr);
        status = EXIT_BAD_DESCRIPTION;
    }
    free(text);
    if (status == 0)
        status = choose_resources(*description, options->resources);
    if (status != 0) {
        description_release(*description);
        *description = NULL;
    }
    return status;
}
