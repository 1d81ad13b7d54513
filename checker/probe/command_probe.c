/* SPDX-License-Identifier: MIT */
/*
 * `probe`: options and exit status. The only file of this folder that is built on every
 * architecture; elsewhere than on x86-64 Linux it says that it can't answer.
 *
 * It is deliberately apart from ../commands.h, which needs the solver's headers; the values of the
 * exit status are the same.
 */
#include "command.h"
#include "../messages.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) && defined(__LP64__) && defined(__linux__) && !defined(PROBE_PRETEND_OTHER)
#define PROBE_APPLICABLE 1
#include "probe.h"
#include <signal.h>
#else
#define PROBE_APPLICABLE 0
#endif

enum probe_status {
    PROBE_COMPLETED = 0,
    PROBE_CONTRADICTED = 1,
    PROBE_NOT_APPLICABLE = 2,
    PROBE_USAGE = 64,
    PROBE_INTERNAL = 70,
};

static void print_help(void)
{
    fputs(_("Usage: origami probe [--json] [--hypercalls]\n"
            "Ask the CPU this program runs on, from user mode, which instructions trap, which "
            "reveal\n"
            "or silently ignore system state, and which the kernel emulates. For x86-64 Linux.\n\n"
            "  --json        everything that was seen, for programs\n"
            "  --hypercalls  also try VMCALL and VMMCALL, which reach the hypervisor itself\n"
            "  --help        show this help and exit\n\n"
            "Each instruction runs in a process of its own and can't harm the host; needs no\n"
            "privilege. The kernel may log a few lines about UMIP.\n\n"
            "Exit status:\n"
            "  0   the probe completed\n"
            "  1   it completed, and something seen contradicts the x86-64 model\n"
            "  2   not applicable: another architecture, or not user mode\n"
            "  64  usage\n"
            "  70  no memory, no process, or no output\n\n"
            "Example:\n"
            "  origami probe --json | jq '.probes[] | select(.verdict == "
            "\"critical-proved\")'\n"),
          stdout);
}

static int finish_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, _("origami probe: standard output: %s\n"), strerror(errno));
    return PROBE_INTERNAL;
}

static int not_applicable(bool json, const char *reason)
{
    if (json)
        printf("{\"applicable\": false, \"reason\": \"%s\"}\n", reason);
    else
        fprintf(stderr, _("origami probe: not applicable: %s\n"), _(reason));
    return finish_output(PROBE_NOT_APPLICABLE);
}

#if PROBE_APPLICABLE
static int run_probe(bool json, bool hypercalls)
{
    struct probe_options options = { .json = json, .hypercalls = hypercalls };
    struct probe_context context;
    int status = PROBE_COMPLETED;
    int error;

    if (json) /* what was observed is a part of the JSON, which is English always */
        (void)setlocale(LC_MESSAGES, "C");
    /* Where it was ignored, children could not be waited for. */
    (void)signal(SIGCHLD, SIG_DFL);
    error = probe_open(&context, &options);
    if (error == 0)
        error = probe_read_environment(&context);
    if (error == -ENOTSUP) {
        status = not_applicable(json, N_("this program does not run at CPL 3"));
        goto out;
    }
    if (error == 0)
        error = probe_run(&context);
    if (error == 0 && json)
        error = probe_print_json(&context, stdout);
    else if (error == 0)
        probe_print_text(&context, stdout);
    if (error != 0) {
        fprintf(stderr, "origami probe: %s\n", strerror(-error));
        status = PROBE_INTERNAL;
        goto out;
    }
    if (!probe_summarize(&context).consistent)
        status = PROBE_CONTRADICTED;
    status = finish_output(status);
out:
    probe_close(&context);
    return status;
}
#else
static int run_probe(bool json, bool hypercalls)
{
    (void)hypercalls;
    return not_applicable(json, N_("probe asks x86-64 CPUs under Linux only"));
}
#endif

int command_probe(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "json", no_argument, NULL, 'j' },
        { "hypercalls", no_argument, NULL, 'y' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    bool json = false, hypercalls = false;
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'y':
            hypercalls = true;
            break;
        case 'h':
            print_help();
            return finish_output(PROBE_COMPLETED);
        default:
            fputs(_("Try 'origami probe --help' for more information.\n"), stderr);
            return PROBE_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr,
                _("origami probe: unexpected argument '%s'\n"
                  "Try 'origami probe --help' for more information.\n"),
                argv[optind]);
        return PROBE_USAGE;
    }
    return run_probe(json, hypercalls);
}
