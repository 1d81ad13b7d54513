/* SPDX-License-Identifier: MIT */
/*
 * The permission product of 4-level paging: CPL x WP x SMEP x SMAP x EFLAGS.AC x protection key
 * (CR4.PKE off, and PKRU AD, WD) x P, W, U, NX of the entries x read, write, fetch. Every access
 * is made and its outcome compared with reference(), which is Intel SDM Vol 3 4.6 and 4.7 in C.
 *
 * By default one upper level at a time departs from P = W = U = 1 beside all eight leaves, and NX
 * sits in no entry, the leaf or the page directory; the word `full` on the command line runs all
 * 4096 combinations of the four levels with NX in none or any one of them.
 */
#include "page.h"

void image_main(void);

enum pkru { PKE_OFF, KEY_FREE, KEY_AD, KEY_WD, KEY_AD_WD, KEYS };

struct setting {
    int user, wp, smep, smap, ac;
    enum pkru key;
    enum access access;
    u8 pwu[LEVELS]; /* bits 2:0 of each entry */
    int nx_level;   /* -1: none */
};

static u32 accesses, mismatches;

/* The error code that the access has to give, or -1 for none. */
static int reference(const struct setting *s)
{
    u32 error = (s->user ? ERR_U : 0) | (s->access == WRITE ? ERR_W : 0) |
                (s->access == FETCH ? ERR_I : 0); /* EFER.NXE = 1 */
    int user_page = 1, writable = 1, nx = s->nx_level >= 0, denied = 0;

    for (int l = PML4; l >= PT; l--) {
        if (!(s->pwu[l] & PTE_P))
            return (int)error;
        user_page &= !!(s->pwu[l] & PTE_U);
        writable &= !!(s->pwu[l] & PTE_W);
    }
    if (s->user)
        denied = !user_page || (s->access == WRITE && !writable) || (s->access == FETCH && nx);
    else if (s->access == FETCH)
        denied = (user_page && s->smep) || nx;
    else
        denied = (user_page && s->smap && !s->ac) || (s->access == WRITE && s->wp && !writable);
    if (s->key != PKE_OFF && user_page && s->access != FETCH) {
        int ad = s->key == KEY_AD || s->key == KEY_AD_WD;
        int wd = s->key == KEY_WD || s->key == KEY_AD_WD;
        if (ad || (wd && s->access == WRITE && (s->user || s->wp))) {
            denied = 1;
            error |= ERR_PK;
        }
    }
    return denied ? (int)(error | ERR_P) : -1;
}

static void try(const struct setting *s)
{
    int want = reference(s), got;

    for (enum level l = PT; l < LEVELS; l++) {
        u64 *entry = page_entry(l);
        *entry = (*entry & ~(PTE_NX | 7 | PTE_A | PTE_D)) | s->pwu[l] |
                 (s->nx_level == (int)l ? PTE_NX : 0);
    }
    invlpg(PAGE_VA);
    in.flags = s->ac ? FL_AC : 0;
    page_access(s->user ? U64 : K64, s->access, PAGE_VA);
    got = out.f.vector == PF ? (int)out.f.error : out.f.vector == DONE ? -1 : -2;
    accesses++;
    if (got == want && (got == -1 || out.cr2 == PAGE_VA))
        return;
    if (mismatches++ < 20)
        print("FAIL cpl %u wp %u smep %u smap %u ac %u key %u access %u pwu %u %u %u %u nx %x: "
              "got %x want %x\n",
              s->user ? 3u : 0u, (u32)s->wp, (u32)s->smep, (u32)s->smap, (u32)s->ac, (u32)s->key,
              (u32)s->access, (u32)s->pwu[PML4], (u32)s->pwu[PDPT], (u32)s->pwu[PD],
              (u32)s->pwu[PT], (ulong)(u32)s->nx_level, (ulong)(u32)got, (ulong)(u32)want);
}

static void each_access(struct setting *s)
{
    for (s->user = 0; s->user < 2; s->user++)
        for (s->ac = 0; s->ac < 2; s->ac++)
            for (s->access = READ; s->access <= FETCH; s->access++)
                try(s);
}

static void each_entry(struct setting *s, int full)
{
    for (s->nx_level = -1; s->nx_level <= (full ? (int)PML4 : (int)PD); s->nx_level++) {
        for (u32 bits = 0; bits < 4096; bits++) {
            u32 departing = 0;
            for (u32 l = PT; l < LEVELS; l++) {
                s->pwu[l] = (u8)(bits >> (3 * l) & 7);
                departing += l != PT && s->pwu[l] != 7;
            }
            if (full || departing <= 1)
                each_access(s);
        }
    }
}

void image_main(void)
{
    int full = command_line_has("full");
    struct setting s = { 0 };
    ulong cr4 = read_cr4();

    page_default();
    *page_entry(PT) |= 1ull << 59; /* key 1; key 0 stays free */
    for (s.key = PKE_OFF; s.key < KEYS; s.key++) {
        if (s.key != PKE_OFF && !has(HAS_PKU))
            break;
        for (u32 control = 0; control < 8; control++) {
            s.wp = control & 1;
            s.smep = control >> 1 & 1;
            s.smap = control >> 2 & 1;
            if ((s.smep && !has(HAS_SMEP)) || (s.smap && !has(HAS_SMAP)))
                continue;
            write_cr0((read_cr0() & ~CR0_WP) | (s.wp ? CR0_WP : 0));
            write_cr4(cr4 | (s.smep ? CR4_SMEP : 0) | (s.smap ? CR4_SMAP : 0) |
                      (s.key != PKE_OFF ? CR4_PKE : 0));
            if (s.key != PKE_OFF) {
                u32 pkru = (u32)(s.key - KEY_FREE) << 2;
                __asm__ volatile(".byte 0x0f,0x01,0xef" ::"a"(pkru), "c"(0), "d"(0));
            }
            each_entry(&s, full);
        }
        print("key setting %u of %u done\n", (u32)s.key + 1, (u32)KEYS);
    }
    write_cr0(read_cr0() | CR0_WP);
    if (!has(HAS_PKU) || !has(HAS_SMEP) || !has(HAS_SMAP))
        print("skip: a feature of the product is not reported by CPUID\n");
    print("permissions: %u accesses, %u mismatches\n", accesses, mismatches);
    print("1 checks, %u failed\n", (u32)(mismatches != 0));
    guest_exit(mismatches != 0);
}
