/* SPDX-License-Identifier: MIT */
/* origami fmt: print a description in the common layout. */
#include "commands.h"
#include "format.h"
#include "messages.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    N_("Usage: origami fmt [OPTION]... FILE\n"
       "Print the description in FILE in the common layout.\n"
       "\n"
       "  -i, --in-place  write the result back to FILE\n"
       "  -c, --check     print nothing; exit with 1 when FILE is not in the common layout\n"
       "  -h, --help      show this help and exit\n"
       "\n"
       "Only a description without errors is formatted.\n"
       "\n"
       "Example:\n"
       "  origami fmt --in-place isa/mc68000.isa\n");

static const struct option options[] = {
    { "in-place", no_argument, NULL, 'i' },
    { "check", no_argument, NULL, 'c' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static int write_back(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "wb");

    if (file != NULL && fwrite(text, 1, length, file) == length && fclose(file) == 0)
        return 0;
    fprintf(stderr, "origami fmt: %s: %s\n", path, strerror(errno));
    return EXIT_NO_FILE;
}

static int format_file(const char *path, bool in_place, bool check)
{
    struct diagnostics diagnostics = { .path = path };
    struct description_options none = { 0 };
    struct isa_description *description;
    char *text = NULL, *formatted = NULL;
    size_t length = 0, formatted_length = 0;
    FILE *memory;
    int status = command_open(path, &none, &description);

    description_release(description);
    if (status == 0)
        status = command_read_file(path, &text, &length);
    if (status != 0)
        return status;
    memory = open_memstream(&formatted, &formatted_length);
    if (memory == NULL || format_description(text, length, &diagnostics, memory) != 0) {
        diagnostics_print(&diagnostics, stderr);
        status = EXIT_INTERNAL;
    }
    if (memory != NULL)
        (void)fclose(memory);
    if (status == 0 && check)
        status = formatted_length != length || memcmp(text, formatted, length) != 0;
    else if (status == 0 && in_place)
        status = write_back(path, formatted, formatted_length);
    else if (status == 0)
        (void)fwrite(formatted, 1, formatted_length, stdout);
    free(formatted);
    free(text);
    return status;
}

int command_format(int argc, char **argv)
{
    bool in_place = false, check = false;
    int option;

    while ((option = getopt_long(argc, argv, "ich", options, NULL)) != -1) {
        if (option == 'i')
            in_place = true;
        else if (option == 'c')
            check = true;
        else if (option == 'h')
            return fputs(_(help), stdout) < 0 ? EXIT_INTERNAL : 0;
        else
            return command_usage("fmt", NULL);
    }
    if (optind + 1 != argc || strcmp(argv[optind], "-") == 0)
        return command_usage("fmt", _("name one file"));
    return format_file(argv[optind], in_place, check);
}
