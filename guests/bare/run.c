/* SPDX-License-Identifier: MIT */
/*
 * Running snippets: run() enters one with the state in `in` and comes back with `out`.
 * env_reset() restores the control state that a check may have changed; check_all() calls it
 * between groups.
 */
#include "guest.h"

struct frame in;
struct outcome out;
int (*trap_hook)(struct frame *f);
const char *const mode_name[MODES] = { "k64", "u64", "k32", "u32" };

u8 user_stack[8192] __attribute__((aligned(4096)));
u8 kernel_stack[8192] __attribute__((aligned(4096)));
u8 rsp0_stack[8192] __attribute__((aligned(4096)));
u8 ist_stack[3][8192] __attribute__((aligned(4096)));

/* Where the IRET frame of run_enter() lies; a fault of that IRET pushes below it. */
static u8 entry_stack[8192] __attribute__((aligned(4096)));

static int running;
static ulong entry_ip;

#if LONG_MODE
extern u64 boot_pml4[], boot_pdpt[], boot_pd[];
#else
extern u32 boot_pd[];
#endif

static const struct {
    u16 cs, ss;
} selectors[MODES] = {
    [K64] = { KCS, KDS },
    [U64] = { UCS64, UDS },
    [K32] = { LONG_MODE ? KCS32 : KCS, KDS },
    [U32] = { UCS32, UDS },
};

/* The user's view of the image: the first 16 MiB again at ALIAS, U = 1. */
static void map_alias(void)
{
#if LONG_MODE
    boot_pdpt[ALIAS >> 30] |= PTE_U;
    for (u32 i = 0; i < 8; i++)
        boot_pd[(ALIAS >> 21) + i] = (u64)i << 21 | PTE_PS | PTE_U | PTE_W | PTE_P;
#else
    for (u32 i = 0; i < 4; i++)
        boot_pd[(ALIAS >> 22) + i] = i << 22 | (u32)(PTE_PS | PTE_U | PTE_W | PTE_P);
#endif
}

void env_reset(void)
{
    trap_hook = NULL;
    write_dr7(0x400);
    write_dr6(0xffff0ff0u);
#if LONG_MODE
    write_cr4(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (read_cr4() & CR4_PCIDE));
    write_cr3((ulong)boot_pml4);
    write_cr4(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    wrmsr(0xc0000080u, 0xd01); /* EFER: LMA, LME, NXE, SCE */
#else
    write_cr0(CR0_PE | CR0_MP | CR0_NE | CR0_WP | 0x10);
    write_cr4(CR4_PSE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    write_cr3((ulong)boot_pd);
#endif
    write_cr0(CR0_PG | CR0_PE | CR0_MP | CR0_NE | CR0_WP | 0x10);
    map_alias();
    write_cr3(read_cr3());
    descriptors_init();
    __asm__ volatile("fninit");
    __asm__ volatile("mov %w0, %%fs; mov %w0, %%gs" ::"r"(0));
    in = (struct frame){ 0 };
}

void run(enum mode mode, const void *code)
{
    int user = mode == U64 || mode == U32;
    struct frame *start = (struct frame *)(entry_stack + sizeof(entry_stack)) - 1;

    if (!in.cs)
        in.cs = selectors[mode].cs;
    if (!in.ss)
        in.ss = selectors[mode].ss;
    if (!in.ds)
        in.ds = in.es = selectors[mode].ss;
    if (!in.sp)
        in.sp = (user ? USER_PTR(user_stack) : (ulong)kernel_stack) + 8192 - 64;
    in.ip = entry_ip = (ulong)code + (user ? ALIAS : 0);
    in.flags |= 2;
#if !LONG_MODE
    if (!(in.cs & 3)) /* IRET without a change of privilege pops no stack pointer */
        start = (struct frame *)(in.sp - offsetof(struct frame, sp));
#endif
    __builtin_memcpy(start, &in, offsetof(struct frame, sp));
    if (LONG_MODE || (in.cs & 3)) {
        start->sp = in.sp;
        start->ss = in.ss;
    }
    running = 1;
    run_enter(start);
    in = (struct frame){ 0 };
}

/* Every trap of the guest comes here from trap64.S or trap32.S. */
int trap(struct frame *f)
{
    if (trap_hook && trap_hook(f))
        return 0;
    if (!running) {
        print("FAIL unexpected trap %u error %x ip %x cr2 %x\n", (u32)f->vector, f->error, f->ip,
              read_cr2());
        guest_exit(1);
    }
    running = 0;
    __builtin_memcpy(&out.f, f, offsetof(struct frame, sp));
    out.frame_sp = (ulong)(f + 1);
#if LONG_MODE
    out.f.sp = f->sp;
    out.f.ss = f->ss;
#else
    if (f->cs & 3) {
        out.f.sp = f->sp;
        out.f.ss = f->ss;
    } else {
        out.f.sp = out.frame_sp = (ulong)&f->sp;
        out.f.ss = KDS;
    }
#endif
    out.cr2 = read_cr2();
    out.dr6 = read_dr6();
    out.at = f->ip - entry_ip;
    return 1;
}
