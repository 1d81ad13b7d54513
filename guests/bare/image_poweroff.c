/* SPDX-License-Identifier: MIT */
/*
 * ACPI power-off: RSDP, RSDT or XSDT, FADT, the \_S5 package of the DSDT, then SLP_TYP and SLP_EN
 * in PM1a_CNT (ACPI 6.4, 5.2.5, 5.2.9, 7.4.2). Checks every table's checksum on the way.
 */
#include "guest.h"

void image_main(void);

static u32 load32(ulong at)
{
    return *(const volatile u32 *)at;
}

static void die(const char *why)
{
    print("FAIL %s\n", why);
    guest_exit(1);
}

static int sums_to_zero(ulong at, u32 bytes)
{
    u8 sum = 0;
    while (bytes--)
        sum = (u8)(sum + *(const volatile u8 *)at++);
    return sum == 0;
}

static ulong find_rsdp(void)
{
    ulong pointer = 0x40e, ebda; /* BIOS data area: segment of the extended one */

    __asm__("" : "+r"(pointer)); /* a low address is no array of the compiler's */
    ebda = (ulong)(*(const volatile u16 *)pointer) << 4;
    for (ulong at = ebda ? ebda : 0xe0000; at < 0x100000;
         at = (ebda && at >= ebda + 1024 && at < 0xe0000) ? 0xe0000 : at + 16)
        if (load32(at) == 0x20445352 && load32(at + 4) == 0x20525450 && sums_to_zero(at, 20))
            return at; /* "RSD PTR " */
    die("no RSDP");
    return 0;
}

static ulong find_table(ulong rsdp, u32 signature)
{
    u8 revision = *(const volatile u8 *)(rsdp + 15);
    int wide = revision >= 2 && load32(rsdp + 24);
    ulong root = wide ? load32(rsdp + 24) : load32(rsdp + 16);
    u32 length = load32(root + 4), step = wide ? 8 : 4;

    if (!sums_to_zero(root, length))
        die("checksum of the RSDT or XSDT");
    for (u32 i = 36; i + step <= length; i += step) {
        ulong table = load32(root + i);
        if (load32(table) != signature)
            continue;
        if (!sums_to_zero(table, load32(table + 4)))
            die("checksum of a table");
        return table;
    }
    die("table not found");
    return 0;
}

/* Name(_S5, Package(n) { typ_a, ... }): 08 "_S5_" 12 PkgLength n, then a byte constant. */
static u32 sleep_type(ulong dsdt)
{
    u32 length = load32(dsdt + 4);

    if (!sums_to_zero(dsdt, length))
        die("checksum of the DSDT");
    for (u32 i = 36; i + 8 < length; i++) {
        const volatile u8 *p = (const volatile u8 *)(dsdt + i);
        if (load32(dsdt + i) != 0x5f35535f || p[4] != 0x12) /* "_S5_" PackageOp */
            continue;
        p += 5;
        p += (p[0] >> 6) + 1 + 1; /* PkgLength, NumElements */
        return p[0] == 0x0a ? p[1] : p[0] == 1 ? 1 : 0;
    }
    die("no _S5 in the DSDT");
    return 0;
}

void image_main(void)
{
    ulong fadt = find_table(find_rsdp(), 0x50434146); /* "FACP" */
    u32 type = sleep_type(load32(fadt + 40));
    u16 control = (u16)load32(fadt + 64), smi = (u16)load32(fadt + 48);
    u8 enable = *(const volatile u8 *)(fadt + 52);

    print("power off: pm1a_cnt %x slp_typ %u\n", (ulong)control, type);
    if (!(inw(control) & 1) && smi) {
        outb(smi, enable);
        while (!(inw(control) & 1))
            ;
    }
    outw(control, (u16)(type << 10 | 1u << 13));
    for (volatile u32 i = 0; i < 100000000; i++)
        ;
    die("still running");
}
