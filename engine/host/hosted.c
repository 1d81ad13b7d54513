/* SPDX-License-Identifier: MIT */
/*
 * hosted.c - what the freestanding engine does with the CPU itself, done inside an ordinary
 * process.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "hosted.h"
#include "../interpreter/interpreter.h"
#include "../support.h"
#include "../translator/translator.h"

/* The handler has no other way to learn which vCPU this thread runs. */
static _Thread_local struct stub_cache *running;
static _Thread_local struct translator *running_translator;

/* The components both the host and we know how to swap. */
static uint64_t host_mask(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (((uint64_t)high << 32) | low) & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
}

static void area_save(void *area, uint64_t mask)
{
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}

static void area_load(const void *area, uint64_t mask)
{
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}

void host_vector_enter(struct stub_cache *cache)
{
    uint64_t mask = host_mask();
    area_save(cache->host_vector_area, mask);
    area_load(cache->vector_area, mask);
}

void host_vector_leave(struct stub_cache *cache)
{
    uint64_t mask = host_mask();
    area_save(cache->vector_area, mask);
    area_load(cache->host_vector_area, mask);
}

void extended_state_save(struct vcpu *vcpu, void *area, uint64_t mask)
{
    struct stub_cache *cache = vcpu->stubs;
    uint64_t present;
    memcpy(area, cache->vector_area, XSAVE_AREA_SIZE);
    memcpy(&present, (uint8_t *)area + 512, 8);
    present &= mask;
    memcpy((uint8_t *)area + 512, &present, 8);
}

/* Through the CPU, so that components outside `mask` stay and the rules of XRSTOR apply. */
void extended_state_load(struct vcpu *vcpu, const void *area, uint64_t mask)
{
    _Alignas(64) uint8_t image[XSAVE_AREA_SIZE];
    struct stub_cache *cache = vcpu->stubs;
    uint64_t present;
    uint32_t mxcsr;
    mask &= host_mask();
    memcpy(image, area, sizeof(image));
    memcpy(&present, image + 512, 8);
    present &= mask;
    memset(image + 512, 0, 64);
    memcpy(image + 512, &present, 8);
    memcpy(&mxcsr, image + 24, 4);
    mxcsr &= vcpu->vm->model.mxcsr_mask;
    memcpy(image + 24, &mxcsr, 4);
    host_vector_enter(cache);
    area_load(image, mask);
    host_vector_leave(cache);
}

static void handler(int number, siginfo_t *information, void *context)
{
    ucontext_t *uc = context;
    uint64_t ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    (void)information;
    if (running_translator && translator_contains(running_translator, ip)) {
        translator_fault(running_translator, ip);
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)translator_exit(running_translator);
        return;
    }
    if (running == NULL || !stub_contains(running, ip)) {
        signal(number, SIG_DFL); /* not ours: let it happen again */
        return;
    }
    struct stub_data *data = running->data;
    data->faulted = 1;
    data->trap = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO];
    data->error = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
    data->address = (uint64_t)uc->uc_mcontext.gregs[REG_CR2];
    uc->uc_mcontext.gregs[REG_RIP] =
        (greg_t)(uintptr_t)running->exit[2]; /* the one that also clears DF */
}

static int handlers_install(void)
{
    static const int signals[] = { SIGILL, SIGBUS, SIGFPE, SIGSEGV, SIGTRAP };
    struct sigaction action;
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE)) {
        stack_t stack = { .ss_size = 65536 };
        stack.ss_sp =
            mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
            return -ENOMEM;
    }
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &action, NULL);
    return 0;
}

static int code_map(size_t code_size, size_t data_size, uint8_t **view, uint8_t **code)
{
    int fd = memfd_create("origami-stubs", MFD_CLOEXEC | 0x10u /* MFD_EXEC */);
    if (fd < 0)
        fd = memfd_create("origami-stubs", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)code_size))
        goto fail;
    uint8_t *area = mmap(NULL, code_size + data_size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        goto fail;
    *code = mmap(area, code_size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
    *view = mmap(NULL, code_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (*code == MAP_FAILED || *view == MAP_FAILED) {
        munmap(area, code_size + data_size);
        goto fail;
    }
    close(fd);
    return 0;
fail:
    if (fd >= 0)
        close(fd);
    return -ENOMEM;
}

struct stub_cache *hosted_stubs_create(void)
{
    struct stub_cache *cache = aligned_alloc(64, (sizeof(*cache) + 63) & ~(size_t)63);
    uint8_t *view, *code;
    const uint32_t mxcsr = 0x1f80;
    const uint16_t control = 0x37f;
    if (cache == NULL)
        return NULL;
    memset(cache, 0, sizeof(*cache));
    cache->vector_area = aligned_alloc(64, 4096);
    cache->host_vector_area = aligned_alloc(64, 4096);
    if (!cache->vector_area || !cache->host_vector_area || handlers_install() ||
        code_map(STUB_CODE_SIZE, STUB_DATA_SIZE, &view, &code)) {
        free(cache->vector_area);
        free(cache->host_vector_area);
        free(cache);
        return NULL;
    }
    memset(cache->vector_area, 0, 4096);
    memset(cache->host_vector_area, 0, 4096);
    memcpy((uint8_t *)cache->vector_area + 24, &mxcsr, 4);
    memcpy(cache->vector_area, &control, 2);
    stub_cache_init(cache, view, code);
    running = cache;
    return cache;
}

void hosted_stubs_destroy(struct stub_cache *cache)
{
    if (running == cache)
        running = NULL;
    munmap(cache->code, STUB_CODE_SIZE + STUB_DATA_SIZE);
    munmap(cache->write_view, STUB_CODE_SIZE);
    free(cache->vector_area);
    free(cache->host_vector_area);
    free(cache);
}

void *hosted_extended_state(struct stub_cache *cache)
{
    running = cache;
    return cache->vector_area;
}

void hosted_clock_init(struct vm *vm, enum clock_mode mode)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    vm->clock = (struct clock){
        .mode = mode, .shift = 0, .multiplier = 1, .host_base = (uint64_t)high << 32 | low
    };
    vm->deterministic = mode == CLOCK_INSTRUCTIONS;
}

struct translator *hosted_translator_create(struct vcpu *vcpu)
{
    size_t size = (sizeof(struct translator) + 4095) & ~(size_t)4095;
    size_t context = (SOFT_SPACES * sizeof(struct soft_context) + 4095) & ~(size_t)4095;
    struct translator *t =
        mmap(NULL, size + context, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED || code_map(SOFT_CODE_SIZE, 4096, &t->write_view, &t->code))
        return NULL;
    t->contexts = (struct soft_context *)(void *)((uint8_t *)t + size);
    syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, t->contexts);
    running_translator = t;
    return translator_init(t, vcpu) ? NULL : t;
}
