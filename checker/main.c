/* SPDX-License-Identifier: MIT */
/*
 * origami-checker: the program behind `origami check` and its sisters.
 *
 * A program of its own, so that the machine process never loads the solver. Add a command by
 * adding a row.
 */
#include "commands.h"
#include "columns.h"
#include "messages.h"
#include "probe/command.h"

#include <string.h>

#ifndef ORIGAMI_VERSION
#define ORIGAMI_VERSION "0.1"
#endif

struct command_row {
    const char *name;
    const char *summary;
    command_function *run;
};

static const struct command_row commands[] = {
    { "check", N_("is that instruction set virtualizable?"), command_check },
    { "explain", N_("why an instruction is in its class, with the proof"), command_explain },
    { "diff", N_("how two descriptions differ in their classes"), command_diff },
    { "list", N_("the library's descriptions, or the instructions of one"), command_list },
    { "simulate", N_("run a program bare and under the monitor built from it"), command_simulate },
    { "fmt", N_("print a description in the common layout"), command_format },
    { "probe", N_("which instructions does this very CPU let pass?"), command_probe },
};

static void print_help(FILE *out)
{
    fputs(_("Usage: origami COMMAND [OPTION]... [FILE]\n"
            "Answer Popek and Goldberg's question about an instruction set.\n"
            "\n"
            "Commands:\n"),
          out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, _(commands[i].summary));
    fputs(_("\n"
            "  --help     show this help and exit; also after a command\n"
            "  --version  show the version and exit\n"
            "\n"
            "Examples:\n"
            "  origami check third-generation\n"
            "  origami explain mc68000 'MOVE from SR'\n"),
          out);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    char whole[32];

    messages_init();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        puts("origami-checker " ORIGAMI_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            /* What getopt begins its messages with. */
            (void)snprintf(whole, sizeof(whole), "origami %s", name);
            argv[1] = whole;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (*name != '\0')
        fprintf(stderr, _("origami: there is no command '%s'\n"), name);
    print_help(stderr);
    return EXIT_USAGE;
}
