/* SPDX-License-Identifier: MIT */
/*
 * A multiboot 1 guest that says what its loader gave it, one line each: the command line, the
 * memory, every module with its string, size and checksum (FNV-1a). Multiboot 0.6.96, section 3.3.
 * Ends with isa-debug-exit 0.
 */
typedef unsigned u32;
typedef unsigned char u8;

enum { SERIAL = 0x3f8, DEBUG_EXIT = 0xf4 };
enum { HAS_MEMORY = 1u << 0, HAS_COMMAND_LINE = 1u << 2, HAS_MODULES = 1u << 3, HAS_MAP = 1u << 6 };
enum {
    MEMORY_UPPER = 2,
    COMMAND_LINE = 4,
    MODULE_COUNT = 5,
    MODULES = 6,
    MAP_LENGTH = 11,
    MAP = 12
};

struct module {
    u32 start, end, string, reserved;
};

void guest_main(u32 magic, u32 information);

static void out(unsigned short port, u32 value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static void put(char c)
{
    u8 status;

    do { /* until the transmitter has room */
        __asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((unsigned short)(SERIAL + 5)));
    } while (!(status & 0x20));
    __asm__ volatile("outb %b0, %1" ::"a"(c), "Nd"((unsigned short)SERIAL));
}

static void text(const char *string)
{
    while (*string)
        put(*string++);
}

static void hex(u32 value)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        put("0123456789abcdef"[value >> shift & 15]);
}

static u32 checksum(u32 start, u32 end)
{
    u32 sum = 0x811c9dc5u;

    for (const u8 *at = (const u8 *)start; at < (const u8 *)end; at++)
        sum = (sum ^ *at) * 0x01000193u;
    return sum;
}

static void modules(u32 count, const struct module *module)
{
    for (; count--; module++) {
        text("module ");
        hex(module->end - module->start);
        put(' ');
        hex(checksum(module->start, module->end));
        text(module->start & 0xfff ? " unaligned " : " aligned ");
        text((const char *)module->string);
        put('\n');
    }
}

void guest_main(u32 magic, u32 information)
{
    const u32 *info = (const u32 *)information;

    text("magic ");
    hex(magic);
    text("\ncommand line ");
    text(info[0] & HAS_COMMAND_LINE ? (const char *)info[COMMAND_LINE] : "missing");
    text("\nupper memory ");
    hex(info[0] & HAS_MEMORY ? info[MEMORY_UPPER] : 0);
    text("\nmemory map ");
    text(info[0] & HAS_MAP && info[MAP_LENGTH] && info[MAP] ? "present" : "missing");
    text("\nmodules ");
    hex(info[0] & HAS_MODULES ? info[MODULE_COUNT] : 0);
    put('\n');
    if (info[0] & HAS_MODULES)
        modules(info[MODULE_COUNT], (const struct module *)info[MODULES]);
    out(DEBUG_EXIT, 0);
    for (;;)
        ;
}
