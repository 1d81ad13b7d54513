/* SPDX-License-Identifier: MIT */
/*
 * freestanding.c - the engine process from its first instruction to its run loop: relocate, read
 * the set-up, confine itself, move, map guest memory, install signal handlers and the final filter.
 */
#include "engine_process.h"
#include "image.h"
#include "system.h"
#include "../interpreter/interpreter.h"
#include "../support.h"
#include "../translator/translator.h"

void engine_start(void) __attribute__((noreturn));
void engine_sigreturn(void);

/* Descriptors of the code areas between the two halves of the start. */
#define CODE_FD 200
#define SOFT_FD 201

static void __attribute__((noreturn)) die(int status)
{
    for (;;)
        system1(SYSTEM_exit_group, status);
}

/* Status codes of an engine that cannot even reach the wire; the machine reports them. */
enum { DIE_WIRE = 101, DIE_CODE = 102, DIE_FILTER = 103, DIE_MOVE = 104, DIE_PARENT = 105 };

static struct wire *wire_map(uint64_t size)
{
    long result = system_map(0, size, PROTECT_READ | PROTECT_WRITE, MAP_SHARED_OBJECT, WIRE_FD, 0);
    return system_failed(result) ? NULL : (struct wire *)(uintptr_t)result;
}

static long filter_install(const struct wire_filter *filter)
{
    struct {
        uint16_t length;
        const struct wire_filter_instruction *program;
    } program = { (uint16_t)filter->length, filter->instruction };
    if (filter->length == 0)
        return 0;
    if (filter->length > WIRE_FILTER_MAX)
        return -EINVAL;
    return system3(SYSTEM_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, (uintptr_t)&program);
}

/* Executable memory comes from an object of its own, mapped twice; Linux 6.3 wants to be told. */
static int code_object(uint64_t size, int number)
{
    static const char name[] = "origami-stubs";
    long fd = system2(SYSTEM_memfd_create, (uintptr_t)name, 1 | 0x10 /* CLOEXEC, EXEC */);
    if (system_failed(fd))
        fd = system2(SYSTEM_memfd_create, (uintptr_t)name, 1);
    if (system_failed(fd))
        return (int)fd;
    long result = system2(SYSTEM_ftruncate, fd, size);
    if (!system_failed(result))
        result = system2(SYSTEM_dup2, fd, number);
    system1(SYSTEM_close, fd);
    return system_failed(result) ? (int)result : 0;
}

static int memory_map(struct engine_process *process)
{
    const struct wire_setup *setup = &process->setup;
    struct guest_memory *memory = &process->vm.memory;
    if (setup->slot_count > WIRE_SLOT_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < setup->slot_count; i++) {
        const struct wire_slot *slot = &setup->slot[i];
        long host = system_map(0, slot->size, PROTECT_READ | PROTECT_WRITE,
                               MAP_SHARED_OBJECT | MAP_NO_RESERVE, slot->fd, slot->fd_offset);
        if (system_failed(host))
            return (int)host;
        struct memory_slot mapped = { .gpa = slot->gpa,
                                      .size = slot->size,
                                      .fd = -1,
                                      .host = (uint8_t *)(uintptr_t)host,
                                      .flags = slot->flags,
                                      .fd_offset = slot->fd_offset };
        int status = memory_add_slot(memory, &mapped);
        if (status)
            return status;
    }
    if (setup->page_flags_size) {
        memory->page_flags = (uint8_t *)process->wire + setup->page_flags_offset;
        memory->page_flags_count = setup->page_flags_size;
    }
    return 0;
}

/* Nothing of the host stays open: mappings outlive their descriptors. */
static void descriptors_close(const struct wire_setup *setup)
{
    for (unsigned i = 0; i < setup->slot_count; i++)
        system1(SYSTEM_close, setup->slot[i].fd);
    system1(SYSTEM_close, CODE_FD);
    system1(SYSTEM_close, SOFT_FD);
    for (int fd = 0; fd <= WIRE_FD; fd++) /* /dev/null as the standard streams, and the wire */
        system1(SYSTEM_close, fd);
}

/* The executable view, with `data` writable bytes right behind it, and the writable view elsewhere.
 */
static int code_map(int fd, uint64_t size, uint64_t data, uint8_t **view, uint8_t **code)
{
    long area = system_map(0, size + data, PROTECT_READ | PROTECT_WRITE,
                           MAP_PRIVATE_COPY | MAP_NO_FILE, -1, 0);
    if (system_failed(area))
        return (int)area;
    long executable = system_map((uint64_t)area, size, PROTECT_READ | PROTECT_EXECUTE,
                                 MAP_SHARED_OBJECT | MAP_AT, fd, 0);
    if (system_failed(executable))
        return (int)executable;
    long writable = system_map(0, size, PROTECT_READ | PROTECT_WRITE, MAP_SHARED_OBJECT, fd, 0);
    if (system_failed(writable))
        return (int)writable;
    *code = (uint8_t *)(uintptr_t)executable;
    *view = (uint8_t *)(uintptr_t)writable;
    return 0;
}

static int stubs_map(struct engine_process *process)
{
    uint8_t *view, *code;
    int status = code_map(CODE_FD, STUB_CODE_SIZE, STUB_DATA_SIZE, &view, &code);
    if (status == 0)
        stub_cache_init(&process->stubs, view, code);
    return status;
}

/* The Soft tier, if it is wanted and the host can: otherwise the guest simply runs in the Step
 * tier. */
static int translator_map(struct engine_process *process)
{
    const uint64_t size = (sizeof(struct translator) + 4095) & ~4095ull;
    const uint64_t contexts = SOFT_SPACES * sizeof(struct soft_context);
    long area = system_map(0, size + contexts, PROTECT_READ | PROTECT_WRITE,
                           MAP_PRIVATE_COPY | MAP_NO_FILE, -1, 0);
    if (system_failed(area))
        return (int)area;
    struct translator *translator = (struct translator *)(uintptr_t)area;
    translator->contexts = (struct soft_context *)(uintptr_t)((uint64_t)area + size);
    int status = code_map(SOFT_FD, SOFT_CODE_SIZE, 0, &translator->write_view, &translator->code);
    if (status == 0)
        status = (int)system2(SYSTEM_arch_prctl, 0x1001 /* ARCH_SET_GS */,
                              (uintptr_t)translator->contexts);
    if (status == 0)
        status = translator_init(translator, &process->vcpu);
    if (status)
        process->vcpu.translator = NULL;
    return status;
}

/* ---- Signals: an instruction's own exceptions arrive here ---- */

/* The signal stack's first word points to the process structure: no global needed. */
static struct engine_process *signal_process(void)
{
    uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    return *(struct engine_process **)(uintptr_t)(here & ~(uint64_t)(IMAGE_SIGNAL_SIZE - 1));
}

static void signal_handler(int signal, void *information, void *context)
{
    struct engine_process *process = signal_process();
    struct kernel_ucontext *uc = context;
    struct stub_data *data = process->stubs.data;
    (void)signal;
    (void)information;
    if (translator_contains(process->vcpu.translator, uc->ip)) {
        translator_fault(process->vcpu.translator, uc->ip);
        uc->ip = translator_exit(process->vcpu.translator);
        return;
    }
    if (!stub_contains(&process->stubs, uc->ip)) {
        process->vcpu.statistics.exceptions[31] = uc->ip; /* for a debugger */
        process_fail(process, uc->trap == EXCEPTION_PF && uc->error & 4 && signal == 7
                                  ? "the host could not supply guest memory"
                                  : "the engine itself faulted");
    }
    data->faulted = 1;
    data->trap = uc->trap;
    data->error = uc->error;
    data->address = uc->cr2;
    uc->ip = (uint64_t)(uintptr_t)process->stubs.exit[2]; /* the one that also clears DF */
}

/* The guest's RSP is live while its code runs. Were it to point into the signal stack, the kernel
 * would take that stack for the one in use and put the frame where the guest says; with AUTODISARM
 * it does not look. The page with the process pointer can't be written, however deep the handler's
 * stack gets. */
#define SIGNAL_HEAD 4096u

static int signals_install(struct engine_process *process, uint64_t signal_stack)
{
    static const uint8_t signals[] = { 4, 5, 7, 8, 11 }; /* ILL TRAP BUS FPE SEGV */
    struct kernel_sigaltstack stack = { .base = signal_stack + SIGNAL_HEAD,
                                        .flags = SIGNAL_STACK_AUTODISARM,
                                        .size = IMAGE_SIGNAL_SIZE - SIGNAL_HEAD };
    *(struct engine_process **)(uintptr_t)signal_stack = process;
    long result = system3(SYSTEM_mprotect, signal_stack, SIGNAL_HEAD, PROTECT_READ);
    if (result == 0 && system2(SYSTEM_sigaltstack, (uintptr_t)&stack, 0)) {
        stack.flags = 0; /* an older kernel */
        result = system2(SYSTEM_sigaltstack, (uintptr_t)&stack, 0);
    }
    for (unsigned i = 0; result == 0 && i < ARRAY_SIZE(signals); i++) {
        struct kernel_sigaction action = {
            .handler = signal_handler,
            .flags = SIGACTION_SIGINFO | SIGACTION_ONSTACK | SIGACTION_RESTORER,
            .restorer = engine_sigreturn,
            .mask = ~0ull,
        };
        result = system4(SYSTEM_rt_sigaction, signals[i], (uintptr_t)&action, 0, 8);
    }
    return (int)result;
}

/* ---- Extended state: the guest's is simply the CPU's ---- */

void host_vector_enter(struct stub_cache *cache)
{
    (void)cache;
}

void host_vector_leave(struct stub_cache *cache)
{
    (void)cache;
}

void extended_state_save(struct vcpu *vcpu, void *area, uint64_t mask)
{
    (void)vcpu;
    memset((uint8_t *)area + 512, 0, 64);
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}

void extended_state_load(struct vcpu *vcpu, const void *area, uint64_t mask)
{
    _Alignas(64) uint8_t image[XSAVE_AREA_SIZE];
    uint64_t present;
    uint32_t mxcsr;
    memcpy(image, area, sizeof(image));
    /* Whatever the image says, XRSTOR must not fault in the engine. */
    memcpy(&present, image + 512, 8);
    present &= mask;
    memset(image + 512, 0, 64);
    memcpy(image + 512, &present, 8);
    memcpy(&mxcsr, image + 24, 4);
    mxcsr &= vcpu->vm->model.mxcsr_mask;
    memcpy(image + 24, &mxcsr, 4);
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(image), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}

/* The guest's initial extended state (SDM Vol. 3, table 9-1): nothing of the launcher's shines
 * through. */
static void extended_state_reset(struct vcpu *vcpu)
{
    _Alignas(64) uint8_t image[XSAVE_AREA_SIZE];
    const uint32_t mxcsr = 0x1f80;
    memset(image, 0, sizeof(image));
    memcpy(image + 24, &mxcsr, 4);
    extended_state_load(vcpu, image, vcpu->vm->model.xcr0_allowed & ~(uint64_t)XCR0_PKRU);
}

/* ---- Start ---- */

static void clock_set_up(struct engine_process *process)
{
    const struct wire_setup *setup = &process->setup;
    process->vm.clock = (struct clock){
        .mode = setup->clock_mode,
        .shift = setup->clock_shift & 63,
        .multiplier = setup->clock_multiplier,
        .host_base = setup->clock_host_base,
        .offset = setup->clock_offset,
        .wall_base = setup->clock_wall_base,
    };
    process->vm.deterministic = setup->clock_mode == CLOCK_INSTRUCTIONS;
    memcpy(process->vm.random_state, setup->random_seed, sizeof(process->vm.random_state));
}

/* At the new base, with nothing else mapped. */
static void engine_arrived(uint64_t signal_stack)
{
    struct wire *wire = wire_map(sizeof(struct wire));
    struct cpu_model model;
    if (wire == NULL)
        die(DIE_WIRE);
    uint64_t size = wire->setup.size;
    system2(SYSTEM_munmap, (uintptr_t)wire, sizeof(struct wire));
    wire = size >= sizeof(struct wire) ? wire_map(size) : NULL;
    long memory = system_map(0, sizeof(struct engine_process), PROTECT_READ | PROTECT_WRITE,
                             MAP_PRIVATE_COPY | MAP_NO_FILE, -1, 0);
    if (wire == NULL || system_failed(memory))
        die(DIE_WIRE);
    struct engine_process *process = (struct engine_process *)(uintptr_t)memory;
    process->wire = wire;
    process->setup = wire->setup;
    process->channel = &wire->vcpu[0];
    if (process->setup.vcpu_id >= VCPU_MAX || process->setup.vcpu_count != 1)
        process_fail(process, "the machine asked for a number of vCPUs this engine cannot run");
    int status = signals_install(process, signal_stack);
    if (status == 0)
        status = stubs_map(process);
    if (status)
        process_fail(process, "the host refused executable memory or signal handlers");
    cpu_model_init(&model, process->setup.vcpu_count);
    vm_init(&process->vm, &model, &process_operations);
    clock_set_up(process);
    if (memory_map(process))
        process_fail(process, "guest memory could not be mapped");
    vcpu_init(&process->vcpu, &process->vm, process->setup.vcpu_id, &process->stubs);
    process->vcpu.kick = &process->channel->kick;
    process->deadline_seen = CLOCK_NEVER;
    if (process->setup.tier == WIRE_TIER_SOFT)
        (void)translator_map(process); /* READY says which tier it is */
    extended_state_reset(&process->vcpu);
    descriptors_close(&process->setup);
    if (filter_install(&process->setup.final))
        process_fail(process, "the final seccomp filter was refused");
    process_run(process);
}

void engine_start(void)
{
    image_relocate();
    struct wire *wire = wire_map(sizeof(struct wire));
    if (wire == NULL || wire->setup.magic != WIRE_MAGIC || wire->setup.version != WIRE_VERSION)
        die(DIE_WIRE);
    /* Die with the machine; it may have died already. */
    system2(SYSTEM_prctl, 1 /* PR_SET_PDEATHSIG */, 9);
    if ((uint64_t)system1(SYSTEM_getppid, 0) != wire->setup.machine_parent)
        die(DIE_PARENT);
    if (code_object(STUB_CODE_SIZE, CODE_FD) || code_object(SOFT_CODE_SIZE, SOFT_FD))
        die(DIE_CODE);
    system2(SYSTEM_prctl, 4 /* PR_SET_DUMPABLE */, 0);
    system6(SYSTEM_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0, 0);
    if (filter_install(&wire->setup.early))
        die(DIE_FILTER);
    image_move(wire->setup.engine_base, engine_arrived);
    image_move(0, engine_arrived); /* something was there: where the kernel likes */
    die(DIE_MOVE);
}
