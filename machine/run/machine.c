/* SPDX-License-Identifier: MIT */
/* machine.c - making a machine, booting it, resetting it. */
#include "machine.h"
#include "../backend/process.h"
#include "../devices/virtio/blk.h"
#include "../firmware/acpi.h"
#include "../initrd/initrd.h"
#include "../record/parameters.h"
#include "accelerator.h"
#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define READY_TIMEOUT 30 /* seconds; a slow host, not a slow engine */
/* Deterministic runs start at this moment: 2024-01-01 00:00:00 UTC. */
#define FIXED_SEED 0x5a5a5a5a5a5a5a5aull

/* ---- The board's surroundings ---- */

static void host_irq_line(void *context, unsigned gsi, bool level)
{
    struct machine *machine = context;

    if (machine->backend)
        machine->operations->irq_line(machine->backend, gsi, level);
}

static void host_msi(void *context, uint16_t requester, uint64_t address, uint32_t data)
{
    struct machine *machine = context;

    if (machine->backend)
        machine->operations->msi(machine->backend, requester, address, data);
}

static bool host_console_put(void *context, uint8_t byte)
{
    return terminal_put(&((struct machine *)context)->terminal, byte);
}

static bool host_console_room(void *context)
{
    return terminal_room(&((struct machine *)context)->terminal);
}

static int host_console_get(void *context)
{
    struct machine *machine = context;

    return machine->replay ? -1 : terminal_get(&machine->terminal);
}

static void host_doorbell(void *context, unsigned slot, uint64_t gpa)
{
    struct machine *machine = context;

    if (machine->backend)
        machine->operations->set_doorbell(machine->backend, slot, gpa);
}

static void host_enter(void *context)
{
    machine_enter(context);
}

static void host_leave(void *context)
{
    machine_leave(context);
}

/* ---- Creation ---- */

static int read_modules(struct machine *machine, size_t limit, struct problem *problem)
{
    const struct options *options = machine->options;
    int result = 0;

    for (unsigned i = 0; i < options->module_count && result == 0; i++) {
        machine->module[i] = (struct boot_module){ .name = options->module[i].file,
                                                   .arguments = options->module[i].arguments };
        result = files_read(options->module[i].file, limit, &machine->module[i].data, problem);
    }
    machine->boot.module = machine->module;
    machine->boot.module_count = options->module_count;
    return result;
}

static int read_files(struct machine *machine, struct problem *problem)
{
    const struct options *options = machine->options;
    /* A file larger than guest memory can't be loaded; on the way in it is private memory. */
    size_t limit = options->memory < RAM_LOW_LIMIT ? (size_t)options->memory : RAM_LOW_LIMIT;
    /* An ELF file may carry more debugging information than the guest has memory. */
    size_t kernel_limit = limit < (1u << 30) ? 1u << 30 : limit;
    int result = files_read(options->kernel, kernel_limit, &machine->boot.kernel, problem);

    machine->boot.kernel_name = options->kernel;
    machine->boot.cmdline = options->cmdline;
    if (result == 0 && options->initrd) {
        machine->initrd = (struct boot_module){ .name = options->initrd, .arguments = "" };
        result = files_read(options->initrd, limit, &machine->initrd.data, problem);
        if (result == 0)
            result = initrd_check(options->initrd, machine->initrd.data, options->memory, problem);
        machine->boot.initrd = &machine->initrd;
    }
    return result ? result : read_modules(machine, limit, problem);
}

/* Signals become events of the main loop; threads and engine inherit the mask, the engine unblocks.
 */
static int catch_signals(struct machine *machine, struct problem *problem)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct sigaction action;

    sigemptyset(&machine->signal_mask);
    sigaddset(&machine->signal_mask, SIGCHLD);
    for (unsigned i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
        /* Who starts us with a signal ignored (nohup) means it. */
        if (sigaction(caught[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&machine->signal_mask, caught[i]);
    }
    sigaction(SIGPIPE, &ignore, &machine->old_pipe);
    sigaction(SIGXFSZ, &ignore, &machine->old_size); /* a disk that grows too large: EFBIG */
    sigprocmask(SIG_BLOCK, &machine->signal_mask, &machine->old_mask);
    machine->signals = signalfd(-1, &machine->signal_mask, SFD_CLOEXEC | SFD_NONBLOCK);
    machine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->signals < 0 || machine->wake < 0)
        return problem_set(problem, STATUS_HOST, errno, "cannot watch for events: %s",
                           strerror(errno));
    return 0;
}

static uint64_t first_wall_base(const struct machine *machine)
{
    return machine->options->instructions ? machine->parameters.wall_base : host_clock_wall();
}

static int make_board(struct machine *machine, struct problem *problem)
{
    const struct options *options = machine->options;
    /* A replay has no need of disks and networks, and must not write to them again. */
    const struct board_config config = { .memory = options->memory,
                                         .wall_base = first_wall_base(machine),
                                         .debug_exit = options->debug_exit,
                                         .deterministic = options->instructions,
                                         .seed = FIXED_SEED,
                                         .disk = machine->disk,
                                         .disk_count = machine->replay ? 0 : options->disk_count,
                                         .net = machine->replay ? NULL : &options->net,
                                         .console = options->console,
                                         .rng = options->rng,
                                         .balloon = options->balloon,
                                         .balloon_size = options->balloon_size };
    /* Deterministic: a notification is carried out before the guest's next instruction. */
    bool posted = machine->operations->set_doorbell && !options->instructions;
    const struct board_host host = { .context = machine,
                                     .ram = &machine->ram,
                                     .doorbell = posted ? host_doorbell : NULL,
                                     .enter = host_enter,
                                     .leave = host_leave,
                                     .irq_line = host_irq_line,
                                     .msi = host_msi,
                                     .console_put = host_console_put,
                                     .console_room = host_console_room,
                                     .console_get = host_console_get };

    machine->wall_base = config.wall_base;
    for (unsigned i = 0; i < options->disk_count; i++)
        machine->disk[i] = (struct board_disk){ .file = options->disk[i].file,
                                                .serial = options->disk[i].serial,
                                                .read_only = options->disk[i].read_only };
    int result = board_init(&machine->board, &config, &host, problem);
    machine->statistics.disk_io = result ? NULL : blk_way(&machine->board);
    return result;
}

/* What the log says about the machine comes before anything is made of it. */
static int set_replay(struct machine *machine, struct problem *problem)
{
    const struct options *options = machine->options;

    if (!options->instructions)
        return 0;
    parameters_fill(&machine->parameters, options, &machine->boot);
    if (options->record)
        machine->operations = &backend_record;
    if (!options->replay)
        return 0;
    machine->operations = &backend_replay;
    return replay_open(&machine->replay, options->replay, &machine->parameters, problem);
}

static int find_engine(struct machine *machine, struct problem *problem)
{
    int result = 0;

    if (machine->options->engine)
        strncpy(machine->engine, machine->options->engine, sizeof(machine->engine) - 1);
    else
        result = process_find("origami-engine", "engine", machine->engine, sizeof(machine->engine),
                              problem);
    if (result)
        return result;
    machine->engine_fd = open(machine->engine, O_PATH | O_CLOEXEC);
    if (machine->engine_fd < 0)
        return problem_set(problem, STATUS_HOST, errno, "cannot start %s: %s", machine->engine,
                           strerror(errno));
    machine->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (machine->null_fd < 0)
        return problem_set(problem, STATUS_HOST, errno, "/dev/null: %s", strerror(errno));
    return 0;
}

int machine_create(struct machine *machine, const struct options *options, struct problem *problem)
{
    int result;

    memset(machine, 0, sizeof(*machine));
    machine->options = options;
    accelerator_choose(machine);
    machine->started = host_clock_sample();
    machine->statistics.backend = machine->operations->name;
    machine->statistics.start_ns = machine->started.ns;
    machine->statistics.instructions_clock = options->instructions;
    machine->statistics.memory = options->memory;
    machine->wake = machine->signals = machine->engine_fd = machine->null_fd = -1;
    ram_init(&machine->ram);
    pthread_mutex_init(&machine->lock, NULL);
    result = ram_create(&machine->ram, options->memory, problem);
    if (result == 0)
        result = read_files(machine, problem);
    if (result == 0 && machine->operations == &backend_engine)
        result = find_engine(machine, problem);
    if (result == 0)
        result = set_replay(machine, problem); /* stands in front of the back end chosen */
    if (result == 0)
        result = catch_signals(machine, problem);
    if (result == 0)
        result = terminal_init(&machine->terminal, STDIN_FILENO, STDOUT_FILENO, machine->wake,
                               options->instructions, problem);
    return result ? result : make_board(machine, problem);
}

void machine_release_files(struct machine *machine)
{
    files_free(&machine->boot.kernel);
    files_free(&machine->initrd.data);
    for (unsigned i = 0; i < LOADER_MODULE_MAX; i++)
        files_free(&machine->module[i].data);
}

static enum record_end recorded_end(const struct machine *machine)
{
    switch (machine->end) {
    case END_LEFT:
        return RECORD_LEFT;
    case END_SIGNAL:
        return RECORD_SIGNAL;
    case END_NONE:
    case END_FAILED:
        return RECORD_FAILED;
    default:
        return RECORD_GUEST;
    }
}

void machine_destroy(struct machine *machine)
{
    machine->operations->destroy(machine->backend);
    machine->backend = NULL;
    recording_end(machine->recording, recorded_end(machine), machine->end_value);
    replay_close(machine->replay);
    board_destroy(&machine->board);
    ram_destroy(&machine->ram);
    machine_release_files(machine);
    if (machine->signals >= 0) {
        close(machine->signals);
        sigaction(SIGPIPE, &machine->old_pipe, NULL);
        sigaction(SIGXFSZ, &machine->old_size, NULL);
        sigprocmask(SIG_SETMASK, &machine->old_mask, NULL);
    }
    if (machine->wake >= 0)
        close(machine->wake);
    if (machine->engine_fd >= 0)
        close(machine->engine_fd);
    if (machine->null_fd >= 0)
        close(machine->null_fd);
}

/* ---- Boot and reset ---- */

/* Deterministic runs are seeded alike; others from the host. */
static void make_seed(const struct machine *machine, void *seed, const void *recorded, size_t size)
{
    memset(seed, 0, size);
    if (machine->options->instructions)
        memcpy(seed, recorded, size);
    else if (getrandom(seed, size, GRND_NONBLOCK) < 0)
        memcpy(seed, &machine->started, sizeof(machine->started));
}

static int set_entry(struct machine *machine, const struct boot_entry *entry,
                     struct problem *problem)
{
    struct vcpu_registers registers;
    size_t size;
    int result = machine->operations->get_state(machine->backend, STATE_REGISTERS, &registers,
                                                sizeof(registers), &size, problem);

    if (result)
        return result;
    if (size != sizeof(registers))
        return problem_set(problem, STATUS_ENGINE, EPROTO,
                           "the engine is of another version: %zu bytes of registers, not %zu",
                           size, sizeof(registers));
    loader_registers(entry, &registers);
    return machine->operations->set_state(machine->backend, STATE_REGISTERS, &registers,
                                          sizeof(registers), problem);
}

/* A log replaces an older one, so it is made when all else is known to be good. */
static int prepare_log(struct machine *machine, struct backend_config *config,
                       struct problem *problem)
{
    int result = 0;

    if (machine->options->record && !machine->recording)
        result = recording_create(&machine->recording, machine->options->record,
                                  &machine->parameters, problem);
    config->recording = machine->recording;
    config->replay = machine->replay;
    if (machine->recording)
        machine->ram.log = recording_dma(machine->recording);
    else if (machine->replay)
        machine->ram.log = replay_dma(machine->replay);
    return result;
}

static int start_backend(struct machine *machine, struct problem *problem)
{
    struct backend_config config = { .ram = &machine->ram,
                                     .cpus = machine->options->cpus,
                                     .tier = machine->options->tier,
                                     .tier_running = &machine->statistics.tier,
                                     .instructions = machine->options->instructions,
                                     .clock = machine->clock,
                                     .wall_base = machine->wall_base,
                                     .program = machine->engine,
                                     .program_fd = machine->engine_fd,
                                     .null_fd = machine->null_fd,
                                     .ready_timeout = READY_TIMEOUT };

    struct backend *backend = NULL;

    make_seed(machine, config.seed, machine->parameters.seed, sizeof(config.seed));
    int result = prepare_log(machine, &config, problem);
    if (result == 0)
        result = machine->operations->create(&backend, &config, problem);
    if (result)
        return result;
    pthread_mutex_lock(&machine->lock);
    machine->backend = backend;
    /* Lines that devices raised at reset, before there was anybody to tell. */
    for (unsigned gsi = 0; gsi < 64; gsi++) {
        if (machine->board.lines >> gsi & 1)
            machine->operations->irq_line(backend, gsi, true);
    }
    machine->operations->set_deadline(backend, board_deadline(&machine->board));
    pthread_mutex_unlock(&machine->lock);
    return 0;
}

int machine_boot(struct machine *machine, struct problem *problem)
{
    struct boot_entry entry;
    int result = acpi_install(&machine->ram, machine->options->cpus, &machine->boot.rsdp, problem);

    make_seed(machine, machine->boot.seed, machine->parameters.boot_seed,
              sizeof(machine->boot.seed));
    if (result == 0)
        result = loader_load(&machine->ram, &machine->boot, &entry, problem);
    if (result == 0 && !machine->clock.multiplier)
        result = host_clock_calibrate(&machine->clock, machine->started, problem);
    if (result)
        return result;
    pthread_mutex_lock(&machine->lock);
    machine->clock.base = host_clock_tsc();
    if (!machine->options->instructions) {
        machine->wall_base = host_clock_wall();
        machine->board.config.wall_base = machine->wall_base;
        machine->board.now = 0; /* a device's thread may have looked at the old clock since reset */
    }
    pthread_mutex_unlock(&machine->lock);
    result = start_backend(machine, problem);
    if (result == 0)
        result = set_entry(machine, &entry, problem);
    machine->end = END_NONE;
    machine->thread_done = machine->boundary = false;
    machine->statistics.boots++;
    return result;
}

int machine_reset(struct machine *machine, struct problem *problem)
{
    struct backend *backend = machine->backend;

    if (!board_drain(&machine->board))
        return problem_set(problem, STATUS_HOST, ETIMEDOUT,
                           "the guest cannot reboot: a disk image does not answer");
    /* Devices' threads go on: from here they find devices that nobody drives, and no back end. */
    pthread_mutex_lock(&machine->lock);
    machine->backend = NULL;
    if (machine->options->instructions)
        machine->wall_base += machine->board.now;
    else
        machine->wall_base = host_clock_wall();
    board_reset(&machine->board, machine->wall_base);
    pthread_mutex_unlock(&machine->lock);
    machine->operations->destroy(backend);
    int result = ram_clear(&machine->ram, problem);
    return result ? result : machine_boot(machine, problem);
}

/* ---- Events from outside the vCPU ---- */

uint64_t machine_now(const struct machine *machine)
{
    if (machine->options->instructions)
        return machine->board.now; /* time passes with instructions only */
    return host_clock_ns(&machine->clock, host_clock_tsc());
}

void machine_enter(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    board_set_time(&machine->board, machine_now(machine));
}

void machine_leave(struct machine *machine)
{
    if (machine->backend)
        machine->operations->set_deadline(machine->backend, board_deadline(&machine->board));
    pthread_mutex_unlock(&machine->lock);
    machine_run_console(machine);
}

void machine_run_console(struct machine *machine)
{
    while (__atomic_load_n(&machine->console_event, __ATOMIC_SEQ_CST)) {
        if (pthread_mutex_trylock(&machine->lock) != 0)
            return; /* whoever holds it looks again after unlocking */
        __atomic_store_n(&machine->console_event, 0, __ATOMIC_SEQ_CST);
        board_set_time(&machine->board, machine_now(machine));
        board_console(&machine->board);
        pthread_mutex_unlock(&machine->lock);
    }
}

void machine_console(struct machine *machine)
{
    __atomic_store_n(&machine->console_event, 1, __ATOMIC_SEQ_CST);
    machine_run_console(machine);
}
