/* SPDX-License-Identifier: MIT */
/* origami fmt: print a description in the common layout. */
#include "commands.h"
#include "format.h"
#include "messages.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* A new file beside the old one takes its place when it is whole, so that an error loses nothing.
 */
static int write_back(const char *path, const char *text, size_t length)
{
    char *other = NULL;
    struct stat status;
    FILE *file = NULL;
    int descriptor = -1, error = 0;

    if (asprintf(&other, "%s.XXXXXX", path) < 0)
        return command_out_of_memory();
    if (stat(path, &status) != 0 || (descriptor = mkstemp(other)) < 0 ||
        (file = fdopen(descriptor, "wb")) == NULL)
        error = errno;
    else if (fchmod(descriptor, status.st_mode & 07777) != 0 ||
             fwrite(text, 1, length, file) != length || fflush(file) != 0)
        error = errno;
    if (file != NULL && fclose(file) != 0 && error == 0)
        error = errno;
    else if (file == NULL && descriptor >= 0)
        (void)close(descriptor);
    if (error == 0 && rename(other, path) != 0)
        error = errno;
    if (error != 0 && descriptor >= 0)
        (void)unlink(other);
    if (error != 0)
        fprintf(stderr, _("origami fmt: %s can't be written: %s\n"), path, strerror(error));
    free(other);
    return error != 0 ? EXIT_NO_FILE : 0;
}

static int format_file(const char *path, bool in_place, bool check)
{
    struct diagnostics diagnostics = { .path = path };
    struct description_options none = { 0 };
    struct isa_description *description;
    char *text = NULL, *formatted = NULL;
    size_t length = 0, formatted_length = 0;
    FILE *memory;
    int status = command_open_with_text(path, &none, &description, &text);

    description_release(description);
    if (status != 0)
        return status;
    length = strlen(text); /* what parses holds no NUL but in comments, which end there */
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
        status = fwrite(formatted, 1, formatted_length, stdout) == formatted_length
                     ? command_flush("fmt", 0)
                     : EXIT_INTERNAL;
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
