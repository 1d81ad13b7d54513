/* SPDX-License-Identifier: MIT */
/*
 * mutation.c - linked with --wrap: stands between run.c and what it calls, verifies each block when
 * it is new and before it goes, and breaks one thing if asked to.
 */
#include <string.h>
#include "allocator/access.h"
#include "step/stub.h"
#include "mutation.h"
#include "verifier.h"

static const char *const names[] = {
    "none",       "no-invalidation", "no-protection", "no-page-check",
    "lost-carry", "miscount",        "stale-tlb",     "wild-store",
};
enum {
    NONE,
    NO_INVALIDATION,
    NO_PROTECTION,
    NO_PAGE_CHECK,
    LOST_CARRY,
    MISCOUNT,
    STALE_TLB,
    WILD_STORE
};

static unsigned chosen;
static uint64_t delay;

bool mutation_choose(const char *name)
{
    for (chosen = 0; chosen < ARRAY_SIZE(names); chosen++) {
        if (strcmp(name, names[chosen]) == 0)
            return true;
    }
    return false;
}

const char *mutation_name(unsigned number)
{
    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

void mutation_delay(uint64_t blocks)
{
    delay = blocks;
}

static bool striking(unsigned mutation)
{
    return chosen == mutation && verifier_blocks() >= delay;
}

static void page_written(void *context, uint64_t gpa)
{
    if (striking(NO_INVALIDATION)) {
        struct vcpu *vcpu = context;
        vcpu->vm->memory.page_flags[gpa >> 12] &= (uint8_t)~PAGE_CODE;
        return;
    }
    translator_page_written(context, gpa);
}

void mutation_start(struct machine *machine)
{
    machine->vm.memory.code_written = page_written;
}

/* ---- Wrapped functions ---- */

struct soft_block *__real_translate_block(struct vcpu *vcpu, uint64_t rip,
                                          const struct soft_code *where, uint32_t mode);
struct soft_block *__wrap_translate_block(struct vcpu *vcpu, uint64_t rip,
                                          const struct soft_code *where, uint32_t mode);
int __real_stub_encode_with(const struct instruction *insn, uint8_t *out, uint8_t scratch);
int __wrap_stub_encode_with(const struct instruction *insn, uint8_t *out, uint8_t scratch);
void __real_translator_flush(struct vcpu *vcpu);
void __wrap_translator_flush(struct vcpu *vcpu);
void __real_tlb_protect_frame(struct vcpu *vcpu, uint64_t frame);
void __wrap_tlb_protect_frame(struct vcpu *vcpu, uint64_t frame);
void __real_tlb_flush_page(struct vcpu *vcpu, uint64_t linear);
void __wrap_tlb_flush_page(struct vcpu *vcpu, uint64_t linear);

/* cmp s, 4096 - size with the size forgotten. */
static void drop_page_checks(uint8_t *code, uint32_t size)
{
    for (uint32_t i = 0; i + 9 <= size; i++) {
        if (code[i] == 0x49 && code[i + 1] == 0x81 && (code[i + 2] & 0xfe) == 0xfa &&
            code[i + 4] == 0x0f && code[i + 7] == 0x0f && code[i + 8] == 0x87)
            code[i + 3] = 0xff;
    }
}

struct soft_block *__wrap_translate_block(struct vcpu *vcpu, uint64_t rip,
                                          const struct soft_code *where, uint32_t mode)
{
    struct soft_block *block = __real_translate_block(vcpu, rip, where, mode);
    if (block == NULL)
        return NULL;
    uint8_t *code = vcpu->translator->write_view + block->code;
    if (striking(NO_PAGE_CHECK))
        drop_page_checks(code, block->code_size);
    if (striking(MISCOUNT))
        block->count = (uint16_t)(block->count > 1 ? block->count - 1 : block->count);
    verifier_block(vcpu->translator, block);
    return block;
}

/* Once more before they go: by now jumps between blocks have been patched in. */
void __wrap_translator_flush(struct vcpu *vcpu)
{
    if (!verifier_failed())
        (void)verifier_all(vcpu->translator);
    __real_translator_flush(vcpu);
}

int __wrap_stub_encode_with(const struct instruction *insn, uint8_t *out, uint8_t scratch)
{
    int length = __real_stub_encode_with(insn, out, scratch);
    if (striking(LOST_CARRY) && insn->map == 0 && (insn->opcode & 0xf5) == 0x11)
        out[length - 2] ^= insn->opcode & 8 ? 0x30 : 0x10; /* ADC becomes ADD, SBB SUB */
    if (striking(WILD_STORE) && insn->has_memory && insn->map == 0 && insn->opcode == 0x89)
        out[length - 1] |= 7; /* [rdi] or [r15] */
    return length;
}

void __wrap_tlb_protect_frame(struct vcpu *vcpu, uint64_t frame)
{
    if (!striking(NO_PROTECTION))
        __real_tlb_protect_frame(vcpu, frame);
}

void __wrap_tlb_flush_page(struct vcpu *vcpu, uint64_t linear)
{
    __real_tlb_flush_page(vcpu, linear);
    if (vcpu->translator && striking(STALE_TLB))
        vcpu->translator->space[vcpu->translator->current].drops = vcpu->tlb.drops;
}
