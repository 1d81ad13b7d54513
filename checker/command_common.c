/* SPDX-License-Identifier: MIT */
/* Commands: what they share - reading files and the common options. */
#include "commands.h"
#include "lexer.h"
#include "library.h"
#include "messages.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int command_usage(const char *name, const char *hint)
{
    if (hint != NULL)
        fprintf(stderr, "origami %s: %s\n", name, hint);
    fprintf(stderr, _("Try 'origami %s --help' for more information.\n"), name);
    return EXIT_USAGE;
}

int command_help(const char *const *parts)
{
    for (; *parts != NULL; parts++)
        fputs(_(*parts), stdout);
    return command_flush("--help", EXIT_VIRTUALIZABLE);
}

int command_out_of_memory(void)
{
    fputs(_("origami: out of memory\n"), stderr);
    return EXIT_INTERNAL;
}

int command_flush(const char *name, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, _("origami %s: the report could not be written\n"), name);
    return EXIT_INTERNAL;
}

int command_analysis_error(const char *name, const struct analysis *analysis, int error)
{
    if (error == -E2BIG) {
        fprintf(stderr, "origami %s: %s\n", name, analysis->error);
        return EXIT_BAD_DESCRIPTION;
    }
    fprintf(stderr, _("origami %s: internal error: %s\n"), name,
            analysis->error[0] != '\0' ? analysis->error : _("out of memory"));
    return EXIT_INTERNAL;
}

int command_set_timeout(const char *name, struct analysis_options *options, const char *text)
{
    char *end = NULL;
    unsigned long seconds = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || seconds == 0 || seconds > 86400)
        return command_usage(name, _("the timeout is a number of seconds, 1 to 86400"));
    options->timeout = (unsigned)seconds * 1000;
    return 0;
}

int command_add_override(struct description_options *options, char *text)
{
    char *equals = strchr(text, '=');
    char *end = NULL;
    unsigned long long value;

    if (equals == NULL || equals == text || equals[1] == '\0' || equals[1] == '-' ||
        options->override_count == COMMAND_MAX_OVERRIDES) {
        fprintf(stderr, _("origami: --set wants NAME=NUMBER, not '%s'\n"), text);
        return EXIT_USAGE;
    }
    errno = 0;
    value = strtoull(equals + 1, &end, 0);
    if (errno != 0 || *end != '\0') {
        fprintf(stderr, _("origami: '%s' is not a number\n"), equals + 1);
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
    fprintf(stderr, _("origami: no resource is called '%.*s'\n"), (int)strcspn(unknown, ","),
            unknown);
    return EXIT_USAGE;
}

/* A library description's path for a name that is no file; else the path as it is. */
static const char *look_up(const char *path, char *found, size_t size)
{
    if (strcmp(path, "-") == 0 || strchr(path, '/') != NULL || access(path, F_OK) == 0 ||
        library_find(path, found, size) != 0)
        return path;
    return found;
}

int command_open_with_text(const char *path, const struct description_options *options,
                           struct isa_description **description, char **text)
{
    struct diagnostics diagnostics = { 0 };
    char found[PATH_MAX];
    size_t length = 0;
    int status, error;

    *description = NULL;
    diagnostics.path = look_up(path, found, sizeof(found));
    status = command_read_file(diagnostics.path, text, &length);
    if (status == EXIT_NO_FILE && strchr(path, '/') == NULL)
        fputs(_("'origami list' shows the descriptions of the library.\n"), stderr);
    if (status != 0)
        return status;
    error = description_parse(*text, length, options->overrides, options->override_count,
                              &diagnostics, description);
    if (error == -ENOMEM) {
        status = command_out_of_memory();
    } else if (error != 0) {
        diagnostics_print(&diagnostics, stderr);
        status = EXIT_BAD_DESCRIPTION;
    }
    if (status == 0)
        status = choose_resources(*description, options->resources);
    if (status != 0) {
        description_release(*description);
        *description = NULL;
        free(*text);
        *text = NULL;
    }
    return status;
}

int command_open(const char *path, const struct description_options *options,
                 struct isa_description **description)
{
    char *text = NULL;
    int status = command_open_with_text(path, options, description, &text);

    free(text);
    return status;
}
