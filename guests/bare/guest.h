/* SPDX-License-Identifier: MIT */
/*
 * The runtime of the bare-metal test guests.
 *
 * A check runs a *snippet* (a few instructions in Intel syntax, assembled for 64- or 32-bit code)
 * at CPL 0 or CPL 3 and looks at how it ended: every snippet ends in `int 0xf0`, so the outcome is
 * always a trap: vector 0xf0 when nothing happened, otherwise the fault itself with error code,
 * RIP, RFLAGS, CR2 and all registers.
 *
 * In the 64-bit images K32 and U32 mean compatibility mode; in the 32-bit images they mean
 * protected mode. Memory: 4 GiB are mapped one to one for the supervisor; the first 16 MiB a
 * second time at ALIAS for the user.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long ulong;

#ifdef __x86_64__
#define LONG_MODE 1
#define HOST_CODE ".code64"
#else
#define LONG_MODE 0
#define HOST_CODE ".code32"
#endif

#define ALIAS   0x80000000ul /* user view of physical 0 .. 16 MiB */
#define TEST_VA 0x90000000ul /* free for paging checks; same 1 GiB as ALIAS */

/* GDT; the order is what SYSCALL/SYSRET and SYSENTER/SYSEXIT demand (SDM Vol 3 5.8.7, 5.8.8) */
enum selector {
    KCS = 0x08,
    KDS = 0x10,
    UCS32 = 0x1b,
    UDS = 0x23,
    UCS64 = 0x2b,
    UDS64 = 0x33,
    KCS32 = 0x38,
    TSS_SEL = 0x40,
    LDT_SEL = 0x50,
    FREE_SEL = 0x60, /* 0x60 .. 0xf8: slots for the checks */
    GDT_BYTES = 0x100,
};

enum vector {
    DE = 0,
    DB = 1,
    BP = 3,
    OF = 4,
    BR = 5,
    UD = 6,
    NM = 7,
    DF = 8,
    TS = 10,
    NP = 11,
    SS = 12,
    GP = 13,
    PF = 14,
    MF = 16,
    AC = 17,
    XM = 19,
    DONE = 0xf0,
};

enum mode { K64, U64, K32, U32, MODES };

enum flag {
    FL_CF = 1 << 0,
    FL_ZF = 1 << 6,
    FL_TF = 1 << 8,
    FL_IF = 1 << 9,
    FL_DF = 1 << 10,
    FL_IOPL = 3 << 12,
    FL_NT = 1 << 14,
    FL_RF = 1 << 16,
    FL_VM = 1 << 17,
    FL_AC = 1 << 18,
    FL_ID = 1 << 21,
};

#define CR0_PE (1ul << 0)
#define CR0_MP (1ul << 1)
#define CR0_EM (1ul << 2)
#define CR0_TS (1ul << 3)
#define CR0_NE (1ul << 5)
#define CR0_WP (1ul << 16)
#define CR0_AM (1ul << 18)
#define CR0_NW (1ul << 29)
#define CR0_CD (1ul << 30)
#define CR0_PG (1ul << 31)

#define CR4_TSD        (1ul << 2)
#define CR4_DE         (1ul << 3)
#define CR4_PSE        (1ul << 4)
#define CR4_PAE        (1ul << 5)
#define CR4_PGE        (1ul << 7)
#define CR4_PCE        (1ul << 8)
#define CR4_OSFXSR     (1ul << 9)
#define CR4_OSXMMEXCPT (1ul << 10)
#define CR4_UMIP       (1ul << 11)
#define CR4_VMXE       (1ul << 13)
#define CR4_FSGSBASE   (1ul << 16)
#define CR4_PCIDE      (1ul << 17)
#define CR4_OSXSAVE    (1ul << 18)
#define CR4_SMEP       (1ul << 20)
#define CR4_SMAP       (1ul << 21)
#define CR4_PKE        (1ul << 22)

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G  (1ull << 8)
#define PTE_NX (1ull << 63)

#define ERR_P    (1u << 0)
#define ERR_W    (1u << 1)
#define ERR_U    (1u << 2)
#define ERR_RSVD (1u << 3)
#define ERR_I    (1u << 4)
#define ERR_PK   (1u << 5)

/* What trap64.S and trap32.S push; also the state a snippet starts with. */
struct frame {
    ulong es, ds;
#if LONG_MODE
    ulong r15, r14, r13, r12, r11, r10, r9, r8, bp, di, si, dx, cx, bx, ax;
#else
    ulong di, si, bp, unused_sp, bx, dx, cx, ax;
#endif
    ulong vector, error, ip, cs, flags, sp, ss;
};

/* How the last snippet ended. */
struct outcome {
    struct frame f;
    ulong cr2;
    ulong dr6;
    ulong at;       /* f.ip minus the snippet's start */
    ulong frame_sp; /* where the CPU pushed: address just above the frame */
};

/* Segment-descriptor bits for gdt_set() (SDM Vol 3 3.4.5): access byte, then G/D/L nibble. */
struct descriptor {
    u32 base;
    u32 limit;
    u8 access;
    u8 nibble;
};

/* runtime.c */
void print(const char *format, ...);
void guest_exit(u32 value) __attribute__((noreturn));
int command_line_has(const char *word);
int on_tcg(void);
int on_kvm_leaves(void);

/* check.c: one line per check and the summary */
void check_true(const char *name, int good);
void check_value(const char *name, u64 got, u64 want);
void check_fault(const char *name, u32 vector, u32 error);
void check_fault_at(const char *name, u32 vector, u32 error, ulong at);
void check_done(const char *name);
int check_hazard(const char *name); /* non-zero: reported, do not run it */
void check_skip(const char *name, const char *why);
void check_all(void);
void check_summary(void);
u32 check_failures(void);
const char *join(const char *a, const char *b, const char *c);

/* run.c */
extern struct frame in;
extern struct outcome out;
extern int (*trap_hook)(struct frame *f); /* non-zero: resume */
void run(enum mode mode, const void *code);
void env_reset(void);
extern const char *const mode_name[MODES];
extern const char trap_stubs[];
extern u8 user_stack[], kernel_stack[], rsp0_stack[], ist_stack[3][8192];
void run_enter(struct frame *f);
int trap(struct frame *f);
extern const char frame_iret[]; /* the IRET that enters a snippet */

/* descriptors.c */
extern u64 gdt[];
extern u8 idt[];
void descriptors_init(void);
void gdt_set(u32 selector, struct descriptor d);
void gdt_gate(u32 selector, ulong target, u16 target_selector, u8 access);
void idt_set(u32 vector, ulong handler, u16 selector, u8 access, u8 ist);
void idt_default(u32 vector, u8 ist);
void tss_set_sp0(ulong sp);
void tss_set_ist(u32 n, ulong sp);
void tss_set_iomap(u32 base, u32 limit);
u8 *tss_iomap(void);
void ldt_set(const u64 *table, u32 bytes);
void lgdt_limit(u32 limit);
void lidt_limit(u32 limit);

/* features.c */
#define FEATURES(X)                                                                                \
    X(MONITOR, 1, 0, 'c', 3)                                                                       \
    X(PCID, 1, 0, 'c', 17)                                                                         \
    X(X2APIC, 1, 0, 'c', 21)                                                                       \
    X(TSCDEADLINE, 1, 0, 'c', 24)                                                                  \
    X(XSAVE, 1, 0, 'c', 26)                                                                        \
    X(AVX, 1, 0, 'c', 28)                                                                          \
    X(DE, 1, 0, 'd', 2)                                                                            \
    X(SEP, 1, 0, 'd', 11)                                                                          \
    X(PGE, 1, 0, 'd', 13)                                                                          \
    X(PSE36, 1, 0, 'd', 17)                                                                        \
    X(FSGSBASE, 7, 0, 'b', 0)                                                                      \
    X(SMEP, 7, 0, 'b', 7)                                                                          \
    X(INVPCID, 7, 0, 'b', 10)                                                                      \
    X(SMAP, 7, 0, 'b', 20)                                                                         \
    X(UMIP, 7, 0, 'c', 2)                                                                          \
    X(PKU, 7, 0, 'c', 3)                                                                           \
    X(RDPID, 7, 0, 'c', 22)                                                                        \
    X(LA57, 7, 0, 'c', 16)                                                                         \
    X(SYSCALL, 0x80000001u, 0, 'd', 11)                                                            \
    X(NX, 0x80000001u, 0, 'd', 20)                                                                 \
    X(GB1, 0x80000001u, 0, 'd', 26)                                                                \
    X(RDTSCP, 0x80000001u, 0, 'd', 27)                                                             \
    X(SVM, 0x80000001u, 0, 'c', 2)
enum feature {
#define X(name, leaf, sub, reg, bit) HAS_##name,
    FEATURES(X)
#undef X
};
int has(enum feature f);
int vendor_is_amd(void);
void cpuid(u32 leaf, u32 sub, u32 r[4]);
u32 physical_bits(void);

/* A registered group of checks: CHECKS(name) { ... } */
struct group {
    const char *name;
    void (*fn)(void);
};
#define CHECKS(id)                                                                                 \
    static void id(void);                                                                          \
    static const struct group group_##id                                                           \
        __attribute__((used, section(".checks." #id), aligned(sizeof(void *)))) = { #id, id };     \
    static void id(void)

/* An anonymous snippet; its value is the address. Intel syntax, local labels from 2 up. */
#define SNIPPET(code_bits, text)                                                                   \
    __extension__({                                                                                \
        const void *snippet_;                                                                      \
        __asm__ volatile(".pushsection .snippets,\"ax\",@progbits\n.balign 16\n" code_bits         \
                         "\n.intel_syntax noprefix\n771:\n" text                                   \
                         "\nint 0xf0\n.att_syntax prefix\n" HOST_CODE                              \
                         "\n.popsection\nmov $771b, %k0"                                           \
                         : "=r"(snippet_));                                                        \
        snippet_;                                                                                  \
    })
#define CODE64(text) SNIPPET(".code64", text)
#define CODE32(text) SNIPPET(".code32", text)
#if LONG_MODE
#define CODE(text)  CODE64(text)
#define KERNEL      K64
#define CODE_AX     "rax" /* registers at the width of PUSH and POP */
#define CODE_BX     "rbx"
#define CODE_DX     "rdx"
#define CODE_SP     "rsp"
#define FAR_RET     ".byte 0x48,0xcb"
#define CODE_CX     "rcx"
#define IRET_NATIVE "iretq"
#define CODE_PUSHF  "pushfq"
#define CODE_POPF   "popfq"
#define USER        U64
#else
#define CODE(text)  CODE32(text)
#define KERNEL      K32
#define CODE_AX     "eax"
#define CODE_BX     "ebx"
#define CODE_DX     "edx"
#define CODE_SP     "esp"
#define FAR_RET     ".byte 0xcb"
#define CODE_CX     "ecx"
#define IRET_NATIVE "iretd"
#define CODE_PUSHF  "pushfd"
#define CODE_POPF   "popfd"
#define USER        U32
#endif
#define USER_PTR(p) ((ulong)(p) + ALIAS)

/* inline access to the machine */
static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline void outw(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u16 inw(u16 port)
{
    u16 v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (u64)hi << 32 | lo;
}
#define CONTROL_REGISTER(reg)                                                                      \
    static inline ulong read_##reg(void)                                                           \
    {                                                                                              \
        ulong v;                                                                                   \
        __asm__ volatile("mov %%" #reg ", %0" : "=r"(v)::"memory");                                \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_##reg(ulong v)                                                        \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #reg ::"r"(v) : "memory");                                   \
    }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr1)
CONTROL_REGISTER(dr2)
CONTROL_REGISTER(dr3)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)
static inline void invlpg(ulong va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}
void xsetbv(u32 index, u64 v);
u64 xgetbv(u32 index);

#endif
