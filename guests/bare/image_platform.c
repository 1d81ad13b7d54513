/* SPDX-License-Identifier: MIT */
/*
 * Delivery of external interrupts: LAPIC timer (one-shot, periodic, TSC deadline), self IPI, TPR
 * and CR8, x2APIC, 8254 through 8259, RTC through the slave 8259, 8254 through the IOAPIC; HLT
 * wake-up and the shadows of STI and MOV SS (SDM Vol 3 11; data sheets of 8254, 8259A, MC146818).
 */
#include "guest.h"

void image_main(void);

#define LAPIC  0xfee00000ul
#define IOAPIC 0xfec00000ul
#define VECTOR 0x60

static volatile u32 hits[256];
static volatile ulong hit_ip;
static int x2apic;
static int (*on_hit)(struct frame *f);

static u32 apic_read(u32 reg)
{
    return x2apic ? (u32)rdmsr(0x800 + reg / 16) : *(volatile u32 *)(LAPIC + reg);
}

static void apic_write(u32 reg, u32 v)
{
    if (x2apic)
        wrmsr(0x800 + reg / 16, v);
    else
        *(volatile u32 *)(LAPIC + reg) = v;
}

static u32 ioapic_read(u32 reg)
{
    *(volatile u32 *)IOAPIC = reg;
    return *(volatile u32 *)(IOAPIC + 16);
}

static void ioapic_write(u32 reg, u32 v)
{
    *(volatile u32 *)IOAPIC = reg;
    *(volatile u32 *)(IOAPIC + 16) = v;
}

static int external(struct frame *f)
{
    if (f->vector < 0x20 || f->vector == DONE)
        return 0;
    hits[f->vector]++;
    hit_ip = f->ip;
    if (f->vector >= 0x28 && f->vector < 0x30) { /* slave 8259 */
        outb(0x70, 0x0c);
        inb(0x71); /* RTC status C: allows the next interrupt */
        outb(0xa0, 0x20);
    }
    if (f->vector >= 0x20 && f->vector < 0x30)
        outb(0x20, 0x20);
    else
        apic_write(0xb0, 0);
    return on_hit ? on_hit(f) : 1;
}

/* Waits with interrupts on until vector has come n times; gives up after about 4 G ticks. */
static int wait_for(u32 vector, u32 n)
{
    u64 start = rdtsc();

    while (hits[vector] < n && rdtsc() - start < 4000000000ull)
        __asm__ volatile("sti\n nop\n nop\n cli" ::: "memory");
    return hits[vector] >= n;
}

static void start(void)
{
    env_reset();
    trap_hook = external;
    for (u32 i = 0; i < 256; i++)
        hits[i] = 0;
}

static void pic_init(void)
{
    static const struct {
        u16 port;
        u8 value;
    } words[] = { { 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 }, { 0x21, 4 },
                  { 0xa1, 2 },    { 0x21, 1 },    { 0xa1, 1 },    { 0x21, 0xff }, { 0xa1, 0xff } };
    for (u32 i = 0; i < sizeof(words) / sizeof(*words); i++)
        outb(words[i].port, words[i].value);
}

static void check_lapic(const char *prefix)
{
    start();
    apic_write(0xf0, 0x1ff); /* enabled, spurious vector FFh */
    apic_write(0x80, 0);
    check_true(join(prefix, "version", ""), (apic_read(0x30) & 0xff) >= 0x10);
    if (x2apic)
        wrmsr(0x83f, VECTOR); /* SELF IPI */
    else
        apic_write(0x300, 0x40000 | VECTOR); /* shorthand: self */
    check_true(join(prefix, "self_ipi", ""), wait_for(VECTOR, 1));
    start();
    apic_write(0x3e0, 0xb); /* divide by 1 */
    apic_write(0x320, VECTOR + 1);
    apic_write(0x380, 100000);
    check_true(join(prefix, "timer.one_shot", ""), wait_for(VECTOR + 1, 1));
    check_value(join(prefix, "timer.one_shot_stops", ""), apic_read(0x390), 0);
    start();
    apic_write(0x320, 1 << 17 | (VECTOR + 2));
    apic_write(0x380, 100000);
    check_true(join(prefix, "timer.periodic", ""), wait_for(VECTOR + 2, 3));
    apic_write(0x320, 1 << 16);
    apic_write(0x380, 0);
    /* HLT wakes on a pending interrupt right after STI */
    start();
    apic_write(0x320, VECTOR + 3);
    apic_write(0x380, 1000000);
    while (!hits[VECTOR + 3])
        __asm__ volatile("sti\n hlt\n cli" ::: "memory");
    check_true(join(prefix, "timer.wakes_hlt", ""), 1);
    apic_write(0x320, 1 << 16);
    if (has(HAS_TSCDEADLINE)) {
        start();
        apic_write(0x320, 2 << 17 | (VECTOR + 4));
        wrmsr(0x6e0, rdtsc() + 1000000);
        check_true(join(prefix, "timer.tsc_deadline", ""), wait_for(VECTOR + 4, 1));
        check_value(join(prefix, "timer.tsc_deadline_disarms", ""), rdmsr(0x6e0), 0);
        start();
        wrmsr(0x6e0, 1); /* in the past: at once */
        check_true(join(prefix, "timer.tsc_deadline_past", ""), wait_for(VECTOR + 4, 1));
        apic_write(0x320, 1 << 16);
    } else {
        check_skip(join(prefix, "timer.tsc_deadline", ""), "no TSC deadline");
    }
}

static void self_ipi(u32 vector)
{
    apic_write(0x300, 0x40000 | vector);
}

static int stop_here(struct frame *f)
{
    (void)f;
    return 0;
}

static void check_priority_and_shadows(void)
{
    start();
    __asm__ volatile("mov %0, %%cr8" ::"r"(8ul));
    check_value("tpr.follows_cr8", apic_read(0x80), 0x80);
    self_ipi(0x75);
    for (u32 i = 0; i < 1000; i++)
        __asm__ volatile("sti\n nop\n cli" ::: "memory");
    check_value("tpr.blocks", hits[0x75], 0);
    check_true("irr.shows_it", (apic_read(0x200 + 16 * 3) >> (0x75 - 0x60) & 1) != 0);
    self_ipi(0x95);
    check_true("tpr.lets_higher_pass", wait_for(0x95, 1));
    __asm__ volatile("mov %0, %%cr8" ::"r"(0ul));
    check_true("tpr.lowered", wait_for(0x75, 1));

    /* a pending interrupt comes after the instruction that follows STI */
    start();
    on_hit = stop_here;
    const void *code = CODE("sti\n nop\n nop\n nop");
    self_ipi(VECTOR);
    run(K64, code);
    check_value("sti.shadow", out.at, 2);
    check_value("sti.shadow.vector", out.f.vector, VECTOR);
    code = CODE("mov eax, ss\n sti\n mov ss, eax\n nop\n nop");
    self_ipi(VECTOR);
    run(K64, code);
    check_true("mov_ss.shadow_after_sti", out.at == 5 || out.at == 6);
    code = CODE("mov eax, ss\n push 0x202\n popfq\n mov ss, eax\n nop\n nop");
    self_ipi(VECTOR);
    run(K64, code);
    check_true("popf.no_shadow", out.f.vector == VECTOR && out.at == 8);
    code = CODE("nop\n nop");
    self_ipi(VECTOR);
    in.flags = FL_IF;
    run(U64, code);
    check_true("user.interrupted", out.f.vector == VECTOR && out.at == 0);
    check_value("user.interrupted.cs", out.f.cs, UCS64);
    self_ipi(VECTOR);
    in.flags = FL_IF;
    run(U32, CODE32("nop\n nop"));
    check_true("compat.interrupted", out.f.vector == VECTOR && out.f.cs == UCS32);
    on_hit = NULL;
}

static void check_legacy(void)
{
    pic_init();
    start();
    apic_write(0x350, 0x700); /* LINT0: ExtINT */
    outb(0x43, 0x34);         /* 8254 channel 0, mode 2 */
    outb(0x40, 0x00);
    outb(0x40, 0x10); /* 4096 ticks: 3.4 ms */
    outb(0x21, 0xfe);
    check_true("pit.through_8259", wait_for(0x20, 3));
    outb(0x21, 0xff);
    start();
    for (u32 i = 0; i < 1000; i++)
        __asm__ volatile("sti\n nop\n cli" ::: "memory");
    check_true("pic.masked", hits[0x20] <= 1); /* one may have been latched */

    start();
    outb(0x21, 0xfb); /* cascade */
    outb(0xa1, 0xfe);
    outb(0x70, 0x0a);
    outb(0x71, 0x26); /* 1024 Hz */
    outb(0x70, 0x0b);
    outb(0x71, 0x42); /* periodic, 24 hour */
    outb(0x70, 0x0c);
    inb(0x71);
    check_true("rtc.periodic", wait_for(0x28, 3));
    outb(0x70, 0x0b);
    outb(0x71, 0x02);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);

    start();
    apic_write(0x350, 0x10000);
    check_true("ioapic.entries", (ioapic_read(1) >> 16 & 0xff) >= 23);
    ioapic_write(0x10 + 2 * 2 + 1, apic_read(0x20) & 0xff000000u);
    ioapic_write(0x10 + 2 * 2, 0x70); /* pin 2, edge, fixed, this CPU */
    check_value("ioapic.reads_back", ioapic_read(0x10 + 2 * 2) & 0x1ffff, 0x70);
    check_true("pit.through_ioapic", wait_for(0x70, 3));
    ioapic_write(0x10 + 2 * 2, 0x10070);
    outb(0x43, 0x30); /* mode 0: channel 0 quiet after one count */
    outb(0x40, 0);
    outb(0x40, 0);

    /* 8254 channel 2 through port 61h: counts down with the gate on */
    outb(0x61, (u8)((inb(0x61) & ~2) | 1));
    outb(0x43, 0xb0);
    outb(0x42, 0xff);
    outb(0x42, 0x07);
    for (u64 t = rdtsc(); !(inb(0x61) & 0x20) && rdtsc() - t < 4000000000ull;)
        ;
    check_value("pit.channel2_output", inb(0x61) & 0x20, 0x20);
}

void image_main(void)
{
    check_lapic("lapic.");
    check_priority_and_shadows();
    check_legacy();
    if (has(HAS_X2APIC)) {
        wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
        x2apic = 1;
        check_lapic("x2apic.");
        start();
        trap_hook = NULL;
        in.cx = 0x80e;
        run(K64, CODE("rdmsr"));
        check_fault("x2apic.reserved_register", GP, 0);
        in.cx = 0x1b;
        in.ax = 0xfee00900u; /* x2APIC straight to xAPIC is not allowed */
        run(K64, CODE("wrmsr"));
        check_fault("x2apic.to_xapic", GP, 0);
    } else {
        check_skip("x2apic", "no x2APIC");
    }
    trap_hook = NULL;
    check_summary();
    guest_exit(check_failures() != 0);
}
