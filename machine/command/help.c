/* SPDX-License-Identifier: MIT */
/* help.c - what `origami --help`, `origami run --help` and `--version` say. */
#include "help.h"
#include "delegate.h"
#include "optiontable.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 23

static int finish(struct problem *problem)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return problem_set(problem, STATUS_HOST, EIO, "standard output: %s", strerror(errno));
}

int help_version(struct problem *problem)
{
    printf("origami " ORIGAMI_VERSION "\n");
    return finish(problem);
}

int help_general(struct problem *problem)
{
    printf("Usage: origami COMMAND [OPTION]...\n"
           "A virtual machine monitor for x86-64 in plain user space: unmodified guests,\n"
           "no hardware virtualization, no kernel module, no root.\n\n"
           "Commands:\n"
           "  run       boot a kernel in a virtual machine\n");
    for (unsigned i = 0; delegates[i].name; i++)
        printf("  %-9s %s\n", delegates[i].name, delegates[i].text);
    printf("\n"
           "Options:\n"
           "  --help     this text; `origami run --help` for the options of a command\n"
           "  --version  the version\n\n"
           "Example:\n"
           "  origami run --kernel vmlinuz --initrd initrd.img --memory 512M\n");
    return finish(problem);
}

static const char run_text[] =
    "Usage: origami run --kernel FILE [OPTION]...\n"
    "Boots a kernel in a virtual machine. The guest's first serial port (ttyS0) is on\n"
    "standard input and output.\n"
    "\n"
    "Options:\n";

static const char run_keys[] = "\n"
                               "A flag may be given as --FLAG=off, against the file of --config.\n"
                               "In values with commas two commas stand for one.\n"
                               "\n"
                               "Keys on a terminal or piped input:\n"
                               "  Ctrl-A x   leave: ends the run at once\n"
                               "  Ctrl-A h   help\n"
                               "  Ctrl-A Ctrl-A   sends one Ctrl-A to the guest\n"
                               "The end of standard input does not end the run.\n"
                               "\n"
                               "Exit status:\n";

static const char run_examples[] =
    "  odd  from the guest through the debug-exit device\n"
    "\n"
    "Examples:\n"
    "  origami run --kernel vmlinuz --initrd initrd.img\n"
    "  origami run --kernel vmlinuz --initrd initrd.img --memory 1G \\\n"
    "      --cmdline 'console=ttyS0 quiet' --stats run.json\n"
    "  origami run --config vm.json --memory 2G\n"
    "  origami run --kernel test.elf --module data.bin,verbose --debug-exit\n"
    "  origami run --kernel vmlinuz --clock instructions --no-reboot </dev/null\n";

/* One row: its name and argument, then its text, whose lines all start in one column. */
static void print_option(const struct option_field *row)
{
    char name[64];

    snprintf(name, sizeof(name), "  --%s%s%s", row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
    if (strlen(name) >= HELP_COLUMN)
        printf("%s\n%*s", name, HELP_COLUMN, "");
    else
        printf("%-*s", HELP_COLUMN, name);
    for (const char *at = row->help; *at; at++) {
        putchar(*at);
        if (*at == '\n')
            printf("%*s", HELP_COLUMN, "");
    }
    putchar('\n');
}

int help_run(struct problem *problem)
{
    fputs(run_text, stdout);
    for (const struct option_field *row = option_table; row->name; row++) {
        if (!row->alias)
            print_option(row);
    }
    fputs(run_keys, stdout);
#define EXIT_STATUS(name, value, text) printf("  %3d  %s\n", value, text);
    EXIT_STATUSES(EXIT_STATUS)
#undef EXIT_STATUS
    fputs(run_examples, stdout);
    return finish(problem);
}
