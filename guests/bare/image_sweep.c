/* SPDX-License-Identifier: MIT */
/*
 * Every port read in all three widths, nearly every port written, and memory holes read and
 * written in all widths. Nothing is expected of the values, the machine must survive. Ports left
 * out of the writing are those that end or reset the machine, or that carry this program's own
 * output.
 */
#include "guest.h"

void image_main(void);

static const struct {
    u16 first, last;
} not_written[] = {
    { 0x60, 0x64 },                       /* i8042: reset */
    { 0x92, 0x92 },                       /* fast reset */
    { 0xb2, 0xb3 },                       /* SMI command */
    { 0xf4, 0xf7 },                       /* isa-debug-exit */
    { 0x3f8, 0x3ff },                     /* the serial port in use */
    { 0x510, 0x51b },                     /* fw_cfg: DMA */
    { 0x600, 0x6ff },                     /* ACPI: sleep */
    { 0xb000, 0xb07f }, { 0xcf8, 0xcff }, /* PCI configuration and port CF9h */
};

static int may_write(u32 port)
{
    for (u32 i = 0; i < sizeof(not_written) / sizeof(*not_written); i++)
        if (port + 3 >= not_written[i].first && port <= not_written[i].last)
            return 0;
    return 1;
}

static u32 sweep_ports(void)
{
    u32 all_ones = 0;

    for (u32 port = 0; port < 0x10000; port++) {
        if (port + 3 >= 0x3f8 && port <= 0x3ff)
            continue;
        all_ones += inb((u16)port) == 0xff;
        inw((u16)port);
        inl((u16)port);
    }
    for (u32 port = 0; port < 0x10000; port++) {
        if (!may_write(port))
            continue;
        outb((u16)port, 0);
        outw((u16)port, 0);
        outl((u16)port, 0);
    }
    return all_ones;
}

/* The 32-bit hole below 4 GiB, in steps; LAPIC and flash are read but not written. */
static u32 sweep_memory(void)
{
    u32 all_ones = 0;

    for (u64 at = 0xc0000000u; at < 0x100000000ull; at += 0x3fffc) {
        ulong a = (ulong)at;
        all_ones += *(volatile u32 *)a == 0xffffffffu;
        *(volatile u8 *)(a + 1);
        *(volatile u16 *)(a + 1);
        *(volatile u64 *)(a & ~7ul);
        if (at >= 0xfec00000u)
            continue;
        *(volatile u8 *)a = 0;
        *(volatile u16 *)a = 0;
        *(volatile u32 *)(a + 2) = 0;
        *(volatile u64 *)(a & ~7ul) = 0;
    }
    for (ulong a = 0xa0000; a < 0x100000; a += 0x101)
        *(volatile u32 *)a;
    return all_ones;
}

void image_main(void)
{
    print("sweeping ports\n");
    print("ports with all ones: %u\n", sweep_ports());
    print("sweeping memory\n");
    print("words of all ones: %u\n", sweep_memory());
    print("ok sweep\n1 checks, 0 failed\n");
}
