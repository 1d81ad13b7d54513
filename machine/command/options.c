/* SPDX-License-Identifier: MIT */
/* options.c - one table of options, one loop. */
#include "options.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <origami/wire.h>

#define DEFAULT_MEMORY (512ull << 20)
#define FIRST_OPTION   256 /* values that no character has */

enum option_id {
    OPTION_KERNEL = FIRST_OPTION,
    OPTION_INITRD,
    OPTION_CMDLINE,
    OPTION_MEMORY,
    OPTION_CPUS,
    OPTION_MODULE,
    OPTION_DEBUG_EXIT,
    OPTION_TIER,
    OPTION_CLOCK,
    OPTION_NO_REBOOT,
    OPTION_STATISTICS,
    OPTION_ENGINE,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_END
};

static const struct option long_options[] = {
    { "kernel", required_argument, NULL, OPTION_KERNEL },
    { "initrd", required_argument, NULL, OPTION_INITRD },
    { "cmdline", required_argument, NULL, OPTION_CMDLINE },
    { "append", required_argument, NULL, OPTION_CMDLINE }, /* QEMU's name */
    { "memory", required_argument, NULL, OPTION_MEMORY },
    { "cpus", required_argument, NULL, OPTION_CPUS },
    { "module", required_argument, NULL, OPTION_MODULE },
    { "debug-exit", no_argument, NULL, OPTION_DEBUG_EXIT },
    { "tier", required_argument, NULL, OPTION_TIER },
    { "clock", required_argument, NULL, OPTION_CLOCK },
    { "no-reboot", no_argument, NULL, OPTION_NO_REBOOT },
    { "stats", required_argument, NULL, OPTION_STATISTICS },
    { "engine", required_argument, NULL, OPTION_ENGINE },
    { "help", no_argument, NULL, OPTION_HELP },
    { "version", no_argument, NULL, OPTION_VERSION },
    { NULL, 0, NULL, 0 },
};

static int usage(struct problem *problem, const char *message, const char *what)
{
    return problem_set(problem, STATUS_USAGE, EINVAL, "%s%s (see origami run --help)", message,
                       what);
}

int options_size(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno)
        return -ERANGE;
    unsigned shift = 20;
    if (*end) {
        char letter = *end >= 'a' ? (char)(*end - 'a' + 'A') : *end;
        const char *found = strchr(suffixes, letter);
        if (!found || end[1])
            return -EINVAL;
        shift = 10 * (unsigned)(found - suffixes + 1);
    }
    if (value > UINT64_MAX >> shift)
        return -ERANGE;
    *bytes = (uint64_t)value << shift;
    return 0;
}

static int parse_module(struct options *options, const char *text, struct problem *problem)
{
    const char *comma = strchr(text, ',');
    size_t length = comma ? (size_t)(comma - text) : strlen(text);

    if (options->module_count == OPTIONS_MODULES)
        return usage(problem, "--module: more than 32 of them", "");
    char *file = strndup(text, length);
    if (!file)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    options->module[options->module_count++] =
        (struct options_module){ .file = file, .arguments = comma ? comma + 1 : "" };
    return 0;
}

static int parse_memory(struct options *options, const char *text, struct problem *problem)
{
    int result = options_size(text, &options->memory);

    if (result == -ERANGE)
        return usage(problem, "--memory: too large: ", text);
    if (result)
        return usage(problem, "--memory: not a size such as 512M or 4G: ", text);
    if (options->memory < 1 << 20 || options->memory % 4096)
        return usage(problem, "--memory: at least 1M, in multiples of 4K, not ", text);
    return 0;
}

static int parse_cpus(struct options *options, const char *text, struct problem *problem)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || !value)
        return usage(problem, "--cpus: not a number of CPUs: ", text);
    if (value > 1)
        return usage(problem, "--cpus: only 1 so far (several CPUs are not there yet), not ", text);
    options->cpus = (unsigned)value;
    return 0;
}

static int parse_tier(struct options *options, const char *text, struct problem *problem)
{
    if (!strcmp(text, "step"))
        options->tier = WIRE_TIER_STEP;
    else if (!strcmp(text, "soft"))
        options->tier = WIRE_TIER_SOFT;
    else
        return usage(problem, "--tier: step or soft, not ", text);
    return 0;
}

static int parse_clock(struct options *options, const char *text, struct problem *problem)
{
    if (!strcmp(text, "instructions"))
        options->instructions = true;
    else if (strcmp(text, "real") != 0)
        return usage(problem, "--clock: real or instructions, not ", text);
    return 0;
}

static int take_option(struct options *options, int id, const char *argument,
                       struct problem *problem)
{
    switch (id) {
    case OPTION_KERNEL:
        options->kernel = argument;
        return 0;
    case OPTION_INITRD:
        options->initrd = argument;
        return 0;
    case OPTION_CMDLINE:
        options->cmdline = argument;
        return 0;
    case OPTION_STATISTICS:
        options->statistics = argument;
        return 0;
    case OPTION_ENGINE:
        options->engine = argument;
        return 0;
    case OPTION_MEMORY:
        return parse_memory(options, argument, problem);
    case OPTION_CPUS:
        return parse_cpus(options, argument, problem);
    case OPTION_MODULE:
        return parse_module(options, argument, problem);
    case OPTION_TIER:
        return parse_tier(options, argument, problem);
    case OPTION_CLOCK:
        return parse_clock(options, argument, problem);
    case OPTION_DEBUG_EXIT:
        options->debug_exit = true;
        return 0;
    case OPTION_NO_REBOOT:
        options->no_reboot = true;
        return 0;
    case OPTION_HELP:
        options->help = true;
        return 0;
    default:
        options->version = true;
        return 0;
    }
}

/* Options that name one thing may be given once. */
static bool may_repeat(int id)
{
    return id == OPTION_MODULE || id == OPTION_HELP || id == OPTION_VERSION;
}

static const char *option_name(int id)
{
    for (unsigned i = 0; long_options[i].name; i++) {
        if (long_options[i].val == id)
            return long_options[i].name;
    }
    return "";
}

static int bad_option(int code, char **argv, struct problem *problem)
{
    /* optind is past the offender: getopt permutes, but never what it has consumed. */
    const char *what = optind > 0 && argv[optind - 1] ? argv[optind - 1] : "";

    if (code == ':')
        return usage(problem, "needs a value: ", what);
    if (optopt >= FIRST_OPTION)
        return usage(problem, "takes no value: ", what);
    return usage(problem, "unknown or ambiguous option: ", what);
}

static int check_together(const struct options *options, struct problem *problem)
{
    if (!options->kernel)
        return usage(problem, "no kernel: --kernel FILE is needed", "");
    if (options->initrd && !*options->initrd)
        return usage(problem, "--initrd: empty file name", "");
    return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct problem *problem)
{
    bool seen[OPTION_END - FIRST_OPTION] = { false };
    int id;

    *options = (struct options){ .memory = DEFAULT_MEMORY, .cpus = 1, .tier = WIRE_TIER_SOFT };
    optind = 0; /* glibc and musl: start over */
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (id == '?' || id == ':')
            return bad_option(id, argv, problem);
        if (seen[id - FIRST_OPTION] && !may_repeat(id))
            return usage(problem, "given twice: --", option_name(id));
        seen[id - FIRST_OPTION] = true;
        int result = take_option(options, id, optarg, problem);
        if (result)
            return result;
        if (options->help || options->version)
            return 0;
    }
    if (optind < argc)
        return usage(problem, "not an option: ", argv[optind]);
    return check_together(options, problem);
}

void options_free(struct options *options)
{
    for (unsigned i = 0; i < options->module_count; i++)
        free(options->module[i].file);
    options->module_count = 0;
}
