/* SPDX-License-Identifier: MIT */
/*
 * GDT, IDT, TSS and LDT of the guest, and the default contents that env_reset() goes back to.
 */
#include "guest.h"

#define GATE_INTERRUPT 0x8e
#define DPL3           0x60

struct tss {
#if LONG_MODE
    u32 reserved0;
    u32 rsp[3][2]; /* as halves: the fields are not naturally aligned, SDM Vol 3 figure 8-11 */
    u32 reserved1[2];
    u32 ist[7][2];
    u32 reserved2[2];
    u16 reserved3;
    u16 iomap_base;
#else
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, gp[8], segment[6], ldt;
    u16 trap, iomap_base;
#endif
    u8 iomap[8192 + 1]; /* the byte after the last must be all ones, SDM Vol 1 19.5.2 */
};

u64 gdt[GDT_BYTES / 8] __attribute__((aligned(16)));
u8 idt[256 * (LONG_MODE ? 16 : 8)] __attribute__((aligned(16)));
static struct tss tss __attribute__((aligned(16)));

struct table_register {
    u16 limit;
    ulong base;
} __attribute__((packed));

void gdt_set(u32 selector, struct descriptor d)
{
    gdt[selector / 8] = (u64)(d.limit & 0xffff) | (u64)(d.base & 0xffffff) << 16 |
                        (u64)d.access << 40 | (u64)(d.limit >> 16 & 0xf) << 48 |
                        (u64)d.nibble << 52 | (u64)(d.base >> 24) << 56;
}

static void store_gate(void *slot, ulong target, u16 selector, u8 access, u8 low)
{
    u32 *gate = slot;
    gate[0] = (u32)(target & 0xffff) | (u32)selector << 16;
    gate[1] = (u32)(target & 0xffff0000u) | (u32)access << 8 | low;
#if LONG_MODE
    gate[2] = (u32)(target >> 32);
    gate[3] = 0;
#endif
}

/* A call gate: two slots in long mode (SDM Vol 3 figure 5-8). */
void gdt_gate(u32 selector, ulong target, u16 target_selector, u8 access)
{
    store_gate(&gdt[selector / 8], target, target_selector, access, 0);
}

void idt_set(u32 vector, ulong handler, u16 selector, u8 access, u8 ist)
{
    store_gate(&idt[vector * (LONG_MODE ? 16 : 8)], handler, selector, access, ist);
}

void idt_default(u32 vector, u8 ist)
{
    int user = vector == BP || vector == OF || vector == DONE;
    idt_set(vector, (ulong)trap_stubs + vector * 16, KCS, GATE_INTERRUPT | (user ? DPL3 : 0), ist);
}

void tss_set_sp0(ulong sp)
{
#if LONG_MODE
    tss.rsp[0][0] = (u32)sp;
    tss.rsp[0][1] = (u32)(sp >> 32);
#else
    tss.esp0 = sp;
    tss.ss0 = KDS;
#endif
}

void tss_set_ist(u32 n, ulong sp)
{
#if LONG_MODE
    tss.ist[n - 1][0] = (u32)sp;
    tss.ist[n - 1][1] = (u32)(sp >> 32);
#else
    (void)n, (void)sp;
#endif
}

static void load_tr(void)
{
    __asm__ volatile("ltr %w0" ::"r"(TSS_SEL));
}

/* Base of the I/O map and limit of the TSS; a limit of zero means the whole struct. */
void tss_set_iomap(u32 base, u32 limit)
{
    tss.iomap_base = (u16)base;
    gdt_set(TSS_SEL,
            (struct descriptor){ (u32)(ulong)&tss, limit ? limit : (u32)sizeof(tss) - 1, 0x89, 0 });
    gdt[TSS_SEL / 8 + 1] = 0;
    load_tr();
}

u8 *tss_iomap(void)
{
    return tss.iomap;
}

void ldt_set(const u64 *table, u32 bytes)
{
    gdt_set(LDT_SEL, (struct descriptor){ (u32)(ulong)table, bytes - 1, 0x82, 0 });
    if (LONG_MODE)
        gdt[LDT_SEL / 8 + 1] = 0;
    __asm__ volatile("lldt %w0" ::"r"(bytes ? LDT_SEL : 0));
}

void lgdt_limit(u32 limit)
{
    struct table_register r = { (u16)limit, (ulong)gdt };
    __asm__ volatile("lgdt %0" ::"m"(r));
}

void lidt_limit(u32 limit)
{
    struct table_register r = { (u16)limit, (ulong)idt };
    __asm__ volatile("lidt %0" ::"m"(r));
}

void descriptors_init(void)
{
    static const struct {
        u32 selector;
        struct descriptor d;
    } defaults[] = {
        { KCS, { 0, 0xfffff, 0x9b, LONG_MODE ? 0xa : 0xc } },
        { KDS, { 0, 0xfffff, 0x93, 0xc } },
        { UCS32, { 0, 0xfffff, 0xfb, 0xc } },
        { UDS, { 0, 0xfffff, 0xf3, 0xc } },
        { UCS64, { 0, 0xfffff, 0xfb, 0xa } },
        { UDS64, { 0, 0xfffff, 0xf3, 0xc } },
        { KCS32, { 0, 0xfffff, 0x9b, 0xc } },
    };

    for (u32 i = 0; i < GDT_BYTES / 8; i++)
        gdt[i] = 0;
    for (u32 i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
        gdt_set(defaults[i].selector & ~7u, defaults[i].d);
    lgdt_limit(GDT_BYTES - 1);
    for (u32 v = 0; v < 256; v++)
        idt_default(v, v == DF && LONG_MODE);
    lidt_limit(sizeof(idt) - 1);
    tss_set_sp0((ulong)rsp0_stack + 8192);
    for (u32 n = 1; n <= 3; n++)
        tss_set_ist(n, (ulong)ist_stack[n - 1] + 8192);
    for (u32 i = 0; i < sizeof(tss.iomap); i++)
        tss.iomap[i] = 0xff;
    tss_set_iomap(sizeof(tss), 0); /* base beyond the limit: no map, every port refused */
    __asm__ volatile("lldt %w0" ::"r"(0));
}
