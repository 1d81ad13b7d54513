/* SPDX-License-Identifier: MIT */
/*
 * statistics.c - the --stats report. Names of classes and interpreters come from the engine's
 * tables. The counters come from the engine process: they are printed, nothing else depends on
 * them.
 */
#include "statistics.h"
#include "namespaces.h"
#include "engine.h"
#include <cjson/cJSON.h>
#include <origami/wire.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct vcpu_statistics) % 8 == 0 &&
                   sizeof(struct vcpu_statistics) <= STATISTICS_WORDS * 8,
               "struct vcpu_statistics is added up as 64-bit words");

static const char *const class_names[CLASS_COUNT] = {
    [CLASS_INNOCUOUS] = "innocuous",   [CLASS_TRANSFER] = "transfer",
    [CLASS_PRIVILEGED] = "privileged", [CLASS_CRITICAL] = "critical",
    [CLASS_PARTIAL] = "partial",
};

static const char *const interpreter_names[INTERPRETER_COUNT] = {
    [INTERPRETER_NONE] = "none",
#define INTERPRETER(name) [INTERPRET_##name] = #name,
#include "interpreter/interpreters.def"
#undef INTERPRETER
};

static const char *const exit_names[8] = { "port",    "mmio",     "deadline", "paused",
                                           "stopped", "shutdown", "ended" };

void statistics_add(struct run_statistics *statistics, const void *counters, size_t size)
{
    const uint8_t *at = counters;

    statistics->words = size / 8 < STATISTICS_WORDS ? size / 8 : STATISTICS_WORDS;
    for (size_t i = 0; i < statistics->words; i++) {
        uint64_t word;
        memcpy(&word, at + 8 * i, 8);
        statistics->word[i] += word;
    }
}

/* ---- JSON ---- */

/* Counters above 2^53 would lose digits as doubles: written as they are. */
static void add_number(cJSON *object, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, text);
}

static void add_hash(cJSON *object, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%016" PRIx64, value);
    cJSON_AddStringToObject(object, name, text);
}

static void add_seconds(cJSON *object, const char *name, uint64_t ns)
{
    char text[48];

    snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, ns / 1000000000u, ns % 1000000000u);
    cJSON_AddRawToObject(object, name, text);
}

/* Adds the counters that are not zero and returns their sum. */
static uint64_t add_counters(cJSON *object, const char *name, const char *const *names,
                             const uint64_t *value, unsigned count)
{
    cJSON *list = cJSON_AddObjectToObject(object, name);
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        sum += value[i];
        if (value[i] && names[i])
            add_number(list, names[i], value[i]);
    }
    return sum;
}

static void add_instructions(cJSON *root, const struct run_statistics *statistics,
                             const struct vcpu_statistics *v)
{
    cJSON *object = cJSON_AddObjectToObject(root, "instructions");
    uint64_t native = 0, interpreted = 0;

    for (unsigned i = 0; i < CLASS_COUNT; i++)
        native += v->native[i];
    for (unsigned i = 0; i < INTERPRETER_COUNT; i++)
        interpreted += v->interpreted[i];
    add_number(object, "retired", statistics->instructions);
    add_number(object, "direct", v->direct);
    add_number(object, "native_by_stub", native);
    add_number(object, "interpreted", interpreted);
    add_number(object, "native_bounced", v->native_bounced);
    /* The share the paper asks for: innocuous instructions that change no control flow. */
    uint64_t ran = v->direct + v->native[CLASS_INNOCUOUS];
    uint64_t all = ran + v->interpreted_class[CLASS_INNOCUOUS];
    if (all)
        cJSON_AddNumberToObject(object, "native_share_of_innocuous", (double)ran / (double)all);
    else
        cJSON_AddNullToObject(object, "native_share_of_innocuous");
    add_counters(object, "native_by_class", class_names, v->native, CLASS_COUNT);
    add_counters(object, "interpreted_by_class", class_names, v->interpreted_class, CLASS_COUNT);
    add_counters(object, "interpreted_by_interpreter", interpreter_names, v->interpreted,
                 INTERPRETER_COUNT);
}

static void add_traps(cJSON *root, const struct run_statistics *statistics,
                      const struct vcpu_statistics *v)
{
    static const char *const exceptions[32] = { "DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM",
                                                "DF", "9",  "TS",  "NP", "SS", "GP", "PF", "15",
                                                "MF", "AC", "MC",  "XM", "VE", "CP", "22", "23",
                                                "24", "25", "26",  "27", "HV", "VC", "SX", "31" };
    cJSON *object = cJSON_AddObjectToObject(root, "traps");

    add_counters(object, "exceptions", exceptions, v->exceptions, 32);
    add_number(object, "interrupts", v->interrupts);
    add_number(object, "nmis", v->nmis);
    add_number(object, "halts", v->halts);
    add_number(object, "port_inside_engine", v->port_internal);
    add_number(object, "mmio_inside_engine", v->mmio_internal);
    add_counters(object, "exits_to_machine", exit_names, statistics->exits, 8);
}

static void add_caches(cJSON *root, const struct vcpu_statistics *v)
{
    cJSON *object = cJSON_AddObjectToObject(root, "caches");

    add_number(object, "tlb_misses", v->tlb_misses);
    add_number(object, "tlb_flushes", v->tlb_flushes);
    add_number(object, "decodes", v->decodes);
    add_number(object, "decode_hits", v->decode_hits);
    add_number(object, "stubs_built", v->stubs_built);
    add_number(object, "stubs_refused", v->stubs_refused);
}

static void add_translation(cJSON *root, const struct vcpu_statistics *v)
{
    cJSON *object = cJSON_AddObjectToObject(root, "translation");

    add_number(object, "blocks", v->translated_blocks);
    add_number(object, "instructions_translated", v->translated);
    add_number(object, "cache_flushes", v->cache_flushes);
    add_number(object, "pages_invalidated", v->pages_invalidated);
    add_number(object, "inline_tlb_misses", v->inline_misses);
    add_number(object, "inline_tlb_clears", v->table_clears);
    add_number(object, "jump_table_misses", v->jump_misses);
    add_number(object, "instructions_left_to_step", v->soft_steps);
    add_number(object, "faults", v->soft_faults);
}

static void add_times(cJSON *root, const struct run_statistics *statistics,
                      const struct vcpu_statistics *v)
{
    cJSON *object = cJSON_AddObjectToObject(root, "seconds");

    add_seconds(object, "total", statistics->end_ns - statistics->start_ns);
    add_seconds(object, "setup", statistics->ready_ns - statistics->start_ns);
    /* The engine's run time includes its waits for the machine. */
    add_seconds(object, "engine_running",
                v->nanoseconds_run > v->nanoseconds_machine
                    ? v->nanoseconds_run - v->nanoseconds_machine
                    : 0);
    add_seconds(object, "engine_halted", v->nanoseconds_halted);
    add_seconds(object, "engine_waiting_for_machine", v->nanoseconds_machine);
    add_seconds(object, "devices", statistics->device_ns);
    add_seconds(object, "guest_virtual", statistics->virtual_ns);
}

static void add_state(cJSON *root, const struct run_statistics *statistics)
{
    cJSON *object = cJSON_AddObjectToObject(root, "state");

    cJSON_AddBoolToObject(object, "complete", statistics->state_valid);
    if (!statistics->state_valid)
        return;
    add_hash(object, "registers", statistics->registers_hash);
    add_hash(object, "extended", statistics->extended_hash);
    add_hash(object, "memory", statistics->memory_hash);
}

static void add_namespaces(cJSON *root, unsigned namespaces)
{
    cJSON *list = cJSON_AddArrayToObject(root, "namespaces");

    if (namespaces & NAMESPACE_USER)
        cJSON_AddItemToArray(list, cJSON_CreateString("user"));
    if (namespaces & NAMESPACE_MOUNT)
        cJSON_AddItemToArray(list, cJSON_CreateString("mount"));
    if (namespaces & NAMESPACE_NETWORK)
        cJSON_AddItemToArray(list, cJSON_CreateString("network"));
}

static char *make_report(const struct run_statistics *statistics)
{
    struct vcpu_statistics counters;
    cJSON *root = cJSON_CreateObject();
    char *text;

    memcpy(&counters, statistics->word, sizeof(counters));
    cJSON_AddStringToObject(root, "origami", ORIGAMI_VERSION);
    cJSON_AddStringToObject(root, "backend", statistics->backend);
    if (statistics->disk_io)
        cJSON_AddStringToObject(root, "disk_io", statistics->disk_io);
    if (!strcmp(statistics->backend, "engine"))
        cJSON_AddStringToObject(root, "tier", statistics->tier == WIRE_TIER_SOFT ? "soft" : "step");
    cJSON_AddStringToObject(root, "clock",
                            statistics->instructions_clock ? "instructions" : "real");
    add_namespaces(root, statistics->namespaces);
    add_number(root, "memory_bytes", statistics->memory);
    add_number(root, "boots", statistics->boots);
    cJSON_AddNumberToObject(root, "exit_status", statistics->exit_status);
    add_instructions(root, statistics, &counters);
    add_traps(root, statistics, &counters);
    add_caches(root, &counters);
    if (statistics->tier == WIRE_TIER_SOFT)
        add_translation(root, &counters);
    add_times(root, statistics, &counters);
    add_state(root, statistics);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

/* ---- The file ---- */

/* A file without a name in the directory of `path`, if the file system has such. */
static int open_nameless(const char *path, mode_t mode)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;

    if (length >= sizeof(directory))
        return -1;
    memcpy(directory, path, length);
    directory[length] = 0;
    return open(length ? directory : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
}

int statistics_open(struct statistics_file *file, const char *path, struct problem *problem)
{
    mode_t mask = umask(0);

    umask(mask);
    file->path = path;
    file->fd = -1;
    int length = snprintf(file->temporary, sizeof(file->temporary), "%s.%d", path, (int)getpid());
    if (length < 0 || (size_t)length >= sizeof(file->temporary))
        return problem_set(problem, STATUS_HOST, ENAMETOOLONG, "--stats: file name too long");
    file->fd = open_nameless(path, 0666 & ~mask);
    file->nameless = file->fd >= 0;
    if (!file->nameless)
        file->fd = open(file->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (file->fd < 0)
        return problem_set(problem, STATUS_HOST, errno, "--stats %s: %s", path, strerror(errno));
    return 0;
}

void statistics_abandon(struct statistics_file *file)
{
    if (file->fd < 0)
        return;
    close(file->fd);
    if (!file->nameless)
        unlink(file->temporary);
    file->fd = -1;
}

/* The only way to a name that works without privilege is the descriptor's link in /proc. */
static int give_name(struct statistics_file *file)
{
    char link[64];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
    if (linkat(AT_FDCWD, link, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) != 0)
        return -errno;
    file->nameless = false;
    return 0;
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        text += written;
        size -= (size_t)written;
    }
    return 0;
}

int statistics_write(struct statistics_file *file, const struct run_statistics *statistics,
                     struct problem *problem)
{
    char *text = make_report(statistics);
    int result = text ? 0 : -ENOMEM;

    if (result == 0)
        result = write_all(file->fd, text, strlen(text));
    if (result == 0)
        result = write_all(file->fd, "\n", 1);
    if (result == 0 && fsync(file->fd) != 0 && errno != EINVAL)
        result = -errno;
    if (result == 0 && file->nameless)
        result = give_name(file);
    if (result == 0 && rename(file->temporary, file->path) != 0)
        result = -errno;
    cJSON_free(text);
    if (result) {
        statistics_abandon(file);
        return problem_set(problem, STATUS_HOST, -result, "--stats %s: %s", file->path,
                           strerror(-result));
    }
    close(file->fd);
    file->fd = -1;
    return 0;
}
