/* SPDX-License-Identifier: MIT */
/* options.c - the command line, by the table of options; and the file it may name. */
#include "config.h"
#include "value.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <origami/wire.h>

#define DEFAULT_MEMORY (512ull << 20)
#define FIRST_OPTION   256 /* values that no character has */
#define TABLE_MAX      64

struct options_string {
    struct options_string *next;
    char text[];
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

const char *options_keep(struct options *options, const char *text)
{
    size_t size = strlen(text) + 1;
    struct options_string *string = malloc(sizeof(*string) + size);

    if (!string)
        return NULL;
    memcpy(string->text, text, size);
    string->next = options->strings;
    options->strings = string;
    return string->text;
}

static void set_defaults(struct options *options)
{
    *options = (struct options){ .memory = DEFAULT_MEMORY,
                                 .cpus = 1,
                                 .accelerator = ACCELERATOR_ORIGAMI,
                                 .tier = WIRE_TIER_SOFT };
}

/* ---- The command line ---- */

/* getopt's table, in the order of ours. */
static unsigned make_table(struct option *table)
{
    unsigned count = 0;

    for (; option_table[count].name && count < TABLE_MAX; count++)
        table[count] =
            (struct option){ .name = option_table[count].name,
                             .has_arg = option_table[count].kind == VALUE_FLAG ? optional_argument
                                                                               : required_argument,
                             .val = FIRST_OPTION + (int)count };
    table[count] = (struct option){ 0 };
    return count;
}

static int bad_option(int code, char **argv, struct problem *problem)
{
    /* optind is past the offender: getopt permutes, but never what it has consumed. */
    const char *what = optind > 0 && argv[optind - 1] ? argv[optind - 1] : "";

    if (code == ':')
        return usage(problem, "needs a value: ", what);
    return usage(problem, "unknown or ambiguous option: ", what);
}

/* An alias counts as the row it stands for. */
static unsigned row_of(unsigned index)
{
    while (option_table[index].alias)
        index--;
    return index;
}

static int take_option(struct options *options, unsigned index, const char *text, uint64_t *seen,
                       struct problem *problem)
{
    const struct option_field *row = &option_table[row_of(index)];
    struct setting setting = { .options = options, .problem = problem };
    uint64_t bit = 1ull << row_of(index);

    strcpy(setting.path, "--");
    strncat(setting.path, row->name, sizeof(setting.path) - 3);
    if (*seen & bit && row->count_offset == VALUE_ONE)
        return usage(problem, "given twice: ", setting.path);
    *seen |= bit;
    return value_from_text(&setting, row, options, text);
}

static int parse_command_line(struct options *options, int argc, char **argv, uint64_t *seen,
                              struct problem *problem)
{
    struct option table[TABLE_MAX + 1];
    int id;

    make_table(table);
    optind = 0; /* glibc and musl: start over */
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (id == '?' || id == ':')
            return bad_option(id, argv, problem);
        int result = take_option(options, (unsigned)(id - FIRST_OPTION), optarg, seen, problem);
        if (result || options->help || options->version)
            return result;
    }
    if (optind < argc)
        return usage(problem, "not an option: ", argv[optind]);
    return 0;
}

/* ---- The file, under the command line ---- */

static void copy_field(struct options *to, const struct options *from,
                       const struct option_field *field)
{
    size_t elements = field->count_offset == VALUE_ONE ? 1 : field->list_max;

    memcpy((uint8_t *)to + field->offset, (const uint8_t *)from + field->offset,
           elements * field->size);
    if (field->count_offset != VALUE_ONE)
        memcpy((uint8_t *)to + field->count_offset, (const uint8_t *)from + field->count_offset,
               sizeof(unsigned));
}

/* The file is checked as a whole, also where the command line has the last word. */
static int merge_file(struct options *options, uint64_t seen, struct problem *problem)
{
    struct options *file = malloc(sizeof(*file));

    if (!file)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    set_defaults(file);
    int result = config_read(file, options->config, problem);
    for (unsigned i = 0; result == 0 && option_table[i].name; i++) {
        if (!option_table[i].alias && !option_table[i].command_line_only && !(seen >> i & 1))
            copy_field(options, file, &option_table[i]);
    }
    /* Its strings are ours now, whatever the result. */
    struct options_string **last = &options->strings;
    while (*last)
        last = &(*last)->next;
    *last = file->strings;
    free(file);
    return result;
}

/* A log is of instructions: so is the clock, unless the command line says otherwise. */
static int check_log(struct options *options, uint64_t seen, struct problem *problem)
{
    unsigned clock = 0;

    if (!options->record && !options->replay)
        return 0;
    while (option_table[clock].name && strcmp(option_table[clock].name, "clock") != 0)
        clock++;
    if (options->record && options->replay)
        return usage(problem, "--record and --replay contradict each other", "");
    if (seen >> clock & 1 && !options->instructions)
        return usage(problem, "--record and --replay count instructions: not with --clock real",
                     "");
    options->instructions = true;
    return 0;
}

static int check_together(const struct options *options, struct problem *problem)
{
    if (!options->kernel)
        return usage(problem, "no kernel: --kernel FILE is needed", "");
    if (options->accelerator == ACCELERATOR_KVM && options->instructions)
        return usage(problem,
                     "--accel kvm cannot count instructions: not with --clock instructions", "");
    if (options->net.mode != NET_NONE && options->instructions && !options->record &&
        !options->replay)
        return usage(problem,
                     "--net: packets come when they come: not with --clock instructions, but for "
                     "--record and --replay",
                     "");
    if (options->balloon_size && !options->balloon)
        return usage(problem, "--balloon-size needs --balloon", "");
    if (options->balloon_size >= options->memory)
        return usage(problem, "--balloon-size: not less than the guest's memory", "");
    return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct problem *problem)
{
    uint64_t seen = 0;

    set_defaults(options);
    int result = parse_command_line(options, argc, argv, &seen, problem);
    if (result || options->help || options->version)
        return result;
    if (options->config)
        result = merge_file(options, seen, problem);
    if (result == 0)
        result = check_log(options, seen, problem);
    return result ? result : check_together(options, problem);
}

void options_free(struct options *options)
{
    while (options->strings) {
        struct options_string *next = options->strings->next;
        free(options->strings);
        options->strings = next;
    }
}
