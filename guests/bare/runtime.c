/* SPDX-License-Identifier: MIT */
/*
 * Start of every image: serial output, command line, exit, and the few functions that the
 * compiler may call on its own. Each image supplies image_main().
 */
#include "guest.h"

#include <stdarg.h>

#define COM1       0x3f8
#define DEBUG_EXIT 0xf4
#define MB_BOOTED  0x2badb002u

void image_main(void);
void guest_main(ulong magic, ulong info);
void *memset(void *p, int c, size_t n);
void *memcpy(void *restrict d, const void *restrict s, size_t n);

static const char *command_line = "";

void *memset(void *p, int c, size_t n)
{
    u8 *d = p;
    while (n--)
        *d++ = (u8)c;
    return p;
}

void *memcpy(void *restrict d, const void *restrict s, size_t n)
{
    u8 *to = d;
    const u8 *from = s;
    while (n--)
        *to++ = *from++;
    return d;
}

static void put(char c)
{
    while (!(inb(COM1 + 5) & 0x20)) /* transmitter holding register empty */
        ;
    outb(COM1, (u8)c);
}

static void put_hex(u64 v)
{
    int shift = 60;
    while (shift && !(v >> shift & 15))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[v >> shift & 15]);
}

static void put_decimal(u32 v)
{
    if (v >= 10)
        put_decimal(v / 10);
    put((char)('0' + v % 10));
}

/* %s string, %u u32 in decimal, %x ulong in hexadecimal, %X u64 in hexadecimal */
void print(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    for (; *format; format++) {
        if (*format != '%') {
            if (*format == '\n')
                put('\r');
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = va_arg(ap, const char *); *s; s++)
                put(*s);
            break;
        case 'u':
            put_decimal(va_arg(ap, u32));
            break;
        case 'x':
            put_hex(va_arg(ap, ulong));
            break;
        case 'X':
            put_hex(va_arg(ap, u64));
            break;
        default:
            put(*format);
        }
    }
    va_end(ap);
}

/* isa-debug-exit turns v into exit status (v << 1) | 1. Without the device: halt for good. */
void guest_exit(u32 value)
{
    outl(DEBUG_EXIT, value);
    for (;;)
        __asm__ volatile("cli; hlt");
}

int command_line_has(const char *word)
{
    for (const char *p = command_line; *p; p++) {
        const char *a = p, *b = word;
        if (p != command_line && p[-1] != ' ')
            continue;
        while (*b && *a == *b)
            a++, b++;
        if (!*b && (*a == ' ' || *a == '\0'))
            return 1;
    }
    return 0;
}

static int hypervisor_is(u32 b, u32 c, u32 d)
{
    u32 r[4];
    cpuid(1, 0, r);
    if (!(r[2] >> 31))
        return 0;
    cpuid(0x40000000u, 0, r);
    return r[1] == b && r[2] == c && r[3] == d;
}

int on_tcg(void)
{
    return hypervisor_is(0x54474354u, 0x43544743u, 0x47435447u); /* TCGTCGTCGTCG */
}

int on_kvm_leaves(void)
{
    return hypervisor_is(0x4b4d564bu, 0x564b4d56u, 0x4du); /* KVMKVMKVM */
}

void guest_main(ulong magic, ulong info)
{
    const u32 *mbi = (const u32 *)info;

    outb(COM1 + 3, 0x03); /* eight bits, DLAB off */
    outb(COM1 + 1, 0);
    outb(0x21, 0xff); /* both 8259s masked: a snippet may set IF */
    outb(0xa1, 0xff);
    if ((u32)magic != MB_BOOTED) {
        print("not started by a multiboot loader: eax %x\n", magic);
        guest_exit(1);
    }
    if (mbi[0] & 1u << 2) /* flags bit 2: cmdline at offset 16 */
        command_line = (const char *)(ulong)mbi[4];
    env_reset();
    image_main();
    guest_exit(0);
}
