/* SPDX-License-Identifier: MIT */
/*
 * Privileged and IOPL-sensitive instructions at CPL 3, in every user mode of the image: each must
 * fault at its own address with the right vector and leave nothing changed.
 */
#include "guest.h"

/* name, instruction, vector (error code is always 0); ax..: a pointer to user memory */
#define PRIVILEGED(X)                                                                              \
    X(cli, "cli", GP)                                                                              \
    X(sti, "sti", GP)                                                                              \
    X(hlt, "hlt", GP)                                                                              \
    X(clts, "clts", GP)                                                                            \
    X(lmsw_reg, "lmsw ax", GP)                                                                     \
    X(lgdt, "lgdt [" AX "]", GP)                                                                   \
    X(lidt, "lidt [" AX "]", GP)                                                                   \
    X(lldt, "lldt cx", GP)                                                                         \
    X(ltr, "ltr cx", GP)                                                                           \
    X(mov_to_cr0, "mov cr0, " AX, GP)                                                              \
    X(mov_to_cr2, "mov cr2, " AX, GP)                                                              \
    X(mov_to_cr3, "mov cr3, " AX, GP)                                                              \
    X(mov_to_cr4, "mov cr4, " AX, GP)                                                              \
    X(mov_from_cr0, "mov " AX ", cr0", GP)                                                         \
    X(mov_from_cr2, "mov " AX ", cr2", GP)                                                         \
    X(mov_from_cr3, "mov " AX ", cr3", GP)                                                         \
    X(mov_from_cr4, "mov " AX ", cr4", GP)                                                         \
    X(mov_to_dr0, "mov dr0, " AX, GP)                                                              \
    X(mov_from_dr6, "mov " AX ", dr6", GP)                                                         \
    X(mov_from_dr7, "mov " AX ", dr7", GP)                                                         \
    X(rdmsr, "rdmsr", GP)                                                                          \
    X(wrmsr, "wrmsr", GP)                                                                          \
    X(invlpg, "invlpg [" AX "]", GP)                                                               \
    X(invd, "invd", GP)                                                                            \
    X(wbinvd, "wbinvd", GP)                                                                        \
    X(rdpmc, "rdpmc", GP)                                                                          \
    X(in_al, "in al, 0x80", GP)                                                                    \
    X(in_dx, "in eax, dx", GP)                                                                     \
    X(out_al, "out 0x80, al", GP)                                                                  \
    X(out_dx, "out dx, ax", GP)                                                                    \
    X(insb, "insb", GP)                                                                            \
    X(insd, "insd", GP)                                                                            \
    X(outsb, "outsb", GP)                                                                          \
    X(outsw, "outsw", GP)                                                                          \
    X(rep_insb, "rep insb", GP)                                                                    \
    X(ud0, ".byte 0x0f,0xff,0xc0", UD)                                                             \
    X(ud1, ".byte 0x0f,0xb9,0xc0", UD)                                                             \
    X(ud2, "ud2", UD)                                                                              \
    X(rsm, "rsm", UD)                                                                              \
    X(vmxon, ".byte 0xf3,0x0f,0xc7,0x30", UD)                                                      \
    X(vmptrld, ".byte 0x0f,0xc7,0x30", UD)                                                         \
    X(vmlaunch, ".byte 0x0f,0x01,0xc2", UD)                                                        \
    X(vmresume, ".byte 0x0f,0x01,0xc3", UD)                                                        \
    X(vmxoff, ".byte 0x0f,0x01,0xc4", UD)                                                          \
    X(vmread, ".byte 0x0f,0x78,0xc0", UD)                                                          \
    X(vmwrite, ".byte 0x0f,0x79,0xc0", UD)                                                         \
    X(vmfunc, ".byte 0x0f,0x01,0xd4", UD)                                                          \
    X(invept, ".byte 0x66,0x0f,0x38,0x80,0x00", UD)                                                \
    X(invvpid, ".byte 0x66,0x0f,0x38,0x81,0x00", UD)                                               \
    X(vmrun, ".byte 0x0f,0x01,0xd8", UD)                                                           \
    X(vmload, ".byte 0x0f,0x01,0xda", UD)                                                          \
    X(vmsave, ".byte 0x0f,0x01,0xdb", UD)                                                          \
    X(stgi, ".byte 0x0f,0x01,0xdc", UD)                                                            \
    X(clgi, ".byte 0x0f,0x01,0xdd", UD)                                                            \
    X(invlpga, ".byte 0x0f,0x01,0xdf", UD)                                                         \
    X(getsec, ".byte 0x0f,0x37", UD)                                                               \
    X(enqcmd, ".byte 0xf2,0x0f,0x38,0xf8,0x00", UD)                                                \
    X(umwait, ".byte 0xf2,0x0f,0xae,0xf0", UD)                                                     \
    X(senduipi, ".byte 0xf3,0x0f,0xc7,0xf0", UD)

#define EMIT(bits, name, text)                                                                     \
    __asm__(".pushsection .snippets,\"ax\",@progbits\n.balign 16\n.code" #bits                     \
            "\n.intel_syntax noprefix\nprivileged_" #name "_" #bits ":\n" text                     \
            "\nint 0xf0\n.att_syntax prefix\n" HOST_CODE "\n.popsection");                         \
    extern const char privileged_##name##_##bits[];

#if LONG_MODE
#define AX                    "rax"
#define X(name, text, vector) EMIT(64, name, text)
PRIVILEGED(X)
#undef X
#undef AX
#endif
#define AX                    "eax"
#define X(name, text, vector) EMIT(32, name, text)
PRIVILEGED(X)
#undef X

#if LONG_MODE
#define CODE_64(name) privileged_##name##_64
#else
#define CODE_64(name) NULL
#endif

static const struct {
    const char *name;
    const char *code64, *code32;
    u32 vector;
} rows[] = {
#define X(name, text, vector) { #name, CODE_64(name), privileged_##name##_32, vector },
    PRIVILEGED(X)
#undef X
};

static u8 scratch[64];

static void run_row(u32 i, enum mode mode)
{
    in.ax = USER_PTR(scratch);
    in.si = in.di = USER_PTR(scratch);
    in.cx = 1;
    in.dx = 0x80;
    run(mode, mode == U64 ? rows[i].code64 : rows[i].code32);
    check_fault_at(join("cpl3.", rows[i].name, mode == U64 ? ".u64" : ".u32"), rows[i].vector, 0,
                   0);
}

CHECKS(privileged)
{
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (LONG_MODE)
            run_row(i, U64);
        run_row(i, U32);
    }
}
