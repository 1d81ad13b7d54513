/* SPDX-License-Identifier: MIT */
/* help.c - what `origami --help`, `origami run --help` and `--version` say. */
#include "help.h"
#include "delegate.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    "Options:\n"
    "  --kernel FILE        bzImage, ELF with a PVH note, or multiboot 1 kernel\n"
    "  --initrd FILE        initial RAM disk (bzImage, PVH)\n"
    "  --cmdline TEXT       kernel command line (for Linux, if none is given:\n"
    "                       console=ttyS0)\n"
    "  --module FILE[,ARGS] boot module (multiboot, PVH); up to 32 times\n"
    "  --memory SIZE        guest memory, 1M to 512G, suffix K, M, G or T; a bare number\n"
    "                       counts MiB; default 512M. Pages are taken from the host when\n"
    "                       the guest touches them; more than the host's memory and swap\n"
    "                       together is refused\n"
    "  --cpus N             number of CPUs; only 1 so far\n"
    "  --tier soft          how instructions are run: translated in blocks (default), or\n"
    "  --tier step          one at a time: the reference, about 10 times slower\n"
    "  --clock real         the guest's time is the host's (default), or\n"
    "  --clock instructions it counts executed instructions: runs repeat exactly\n"
    "  --debug-exit         a debug-exit device at port 0xf4: writing v ends the run with\n"
    "                       status (v << 1) | 1\n"
    "  --no-reboot          a guest's reboot ends the run with status 0\n"
    "  --stats FILE         write counters, times and state hashes as JSON at the end\n"
    "  --engine FILE        the engine program, if not the one beside this program\n"
    "  --help, --version    this text, the version\n"
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
    "  origami run --kernel test.elf --module data.bin,verbose --debug-exit\n"
    "  origami run --kernel vmlinuz --clock instructions --no-reboot </dev/null\n";

int help_run(struct problem *problem)
{
    fputs(run_text, stdout);
#define EXIT_STATUS(name, value, text) printf("  %3d  %s\n", value, text);
    EXIT_STATUSES(EXIT_STATUS)
#undef EXIT_STATUS
    fputs(run_examples, stdout);
    return finish(problem);
}
