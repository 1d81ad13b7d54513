/* SPDX-License-Identifier: MIT */
/*
 * bootguest.c - the 64-bit Linux boot protocol (Documentation/arch/x86/boot.rst), and a serial port
 * that is always ready and forgets what it is told.
 */
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allocator/access.h"
#include "bootguest.h"

#define RAM_SIZE  (512ull << 20)
#define LOAD      0x1000000u
#define ZERO_PAGE 0x7000u
#define GDT       0x8000u
#define PML4      0x9000u
#define CMDLINE   0x20000u
#define EXIT_PORT 0xf4u

struct file {
    const uint8_t *data;
    size_t size;
};

/* ---- Devices ---- */

/* The registers that keep what was written: IER, LCR, MCR of the first serial port. */
struct serial {
    uint8_t enable, line, modem;
};

static int port_write(struct serial *serial, uint16_t port, uint32_t value)
{
    switch (port) {
    case 0x3f9:
        if (!(serial->line & 0x80))
            serial->enable = (uint8_t)value;
        return 0;
    case 0x3fb:
        serial->line = (uint8_t)value;
        return 0;
    case 0x3fc:
        serial->modem = (uint8_t)value;
        return 0;
    case EXIT_PORT:
        return -ECANCELED;
    default:
        return 0;
    }
}

static int port(struct vcpu *vcpu, uint16_t number, unsigned size, bool write, uint32_t *value)
{
    struct serial *serial = vcpu->host;
    (void)size;
    if (write)
        return port_write(serial, number, *value);
    *value = ~0u;
    switch (number) {
    case 0x3f8:
    case 0x71:
        *value = 0;
        break;
    case 0x3f9:
        *value = serial->enable;
        break;
    case 0x3fa:
        *value = 1;
        break;
    case 0x3fb:
        *value = serial->line;
        break;
    case 0x3fc:
        *value = serial->modem;
        break;
    case 0x3fd:
        *value = 0x60;
        break;
    case 0x3fe:
        *value = 0xb0;
        break;
    default:
        break;
    }
    return 0;
}

static int mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    (void)vcpu, (void)gpa, (void)size;
    if (!write)
        *value = ~0ull;
    return 0;
}

static int sync_nothing(struct vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

static const struct machine_operations operations = { port, mmio, sync_nothing };

/* ---- Loading ---- */

static int file_map(const char *path, struct file *file)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) || status.st_size == 0) {
        close(fd);
        return -1;
    }
    file->size = (size_t)status.st_size;
    file->data = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return file->data == MAP_FAILED ? -1 : 0;
}

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, 4);
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, 8);
}

static void memory_map(uint8_t *zero_page)
{
    const uint64_t entries[2][2] = { { 0, 0x9fc00 }, { 0x100000, RAM_SIZE - 0x100000 } };
    zero_page[0x1e8] = 2;
    for (unsigned i = 0; i < 2; i++) {
        put64(zero_page + 0x2d0 + i * 20, entries[i][0]);
        put64(zero_page + 0x2d8 + i * 20, entries[i][1]);
        put32(zero_page + 0x2e0 + i * 20, 1);
    }
}

/* The first 4 GiB, in pages of 2 MiB. */
static void page_tables(uint8_t *ram)
{
    put64(ram + PML4, (PML4 + 0x1000) | 3);
    for (unsigned i = 0; i < 4; i++)
        put64(ram + PML4 + 0x1000 + i * 8, (PML4 + 0x2000 + i * 0x1000) | 3);
    for (uint64_t i = 0; i < 2048; i++)
        put64(ram + PML4 + 0x2000 + i * 8, i << 21 | 0x83);
    put64(ram + GDT + 0x10, 0x00af9b000000ffffull);
    put64(ram + GDT + 0x18, 0x00cf93000000ffffull);
}

static int load(uint8_t *ram, const struct file *kernel, const struct file *initrd,
                const char *cmdline)
{
    uint8_t *zero_page = ram + ZERO_PAGE;
    if (kernel->size < 4096 || memcmp(kernel->data + 0x202, "HdrS", 4))
        return -1;
    size_t setup = (kernel->data[0x1f1] ? kernel->data[0x1f1] + 1u : 5u) * 512u;
    if (setup >= kernel->size || kernel->size - setup > RAM_SIZE / 4)
        return -1;
    memcpy(ram + LOAD, kernel->data + setup, kernel->size - setup);
    memcpy(zero_page + 0x1f1, kernel->data + 0x1f1, 0x290 - 0x1f1);
    zero_page[0x210] = 0xff;
    zero_page[0x211] |= 1;
    put32(zero_page + 0x228, CMDLINE);
    strncpy((char *)ram + CMDLINE, cmdline, 2047);
    if (initrd->size) {
        uint64_t at = RAM_SIZE - ((initrd->size + 4095) & ~4095ull);
        memcpy(ram + at, initrd->data, initrd->size);
        put32(zero_page + 0x218, (uint32_t)at);
        put32(zero_page + 0x21c, (uint32_t)initrd->size);
    }
    memory_map(zero_page);
    page_tables(ram);
    return 0;
}

static void registers(struct vcpu *vcpu)
{
    struct vcpu_registers *r = &vcpu->r;
    r->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
    r->cr3 = PML4;
    r->cr4 = CR4_PAE;
    r->efer = EFER_LME | EFER_LMA;
    for (unsigned i = SEGMENT_ES; i <= SEGMENT_GS; i++)
        r->segment[i] =
            (struct segment_register){ .limit = ~0u, .selector = 0x18, .rights = 0xc093 };
    r->segment[SEGMENT_CS] =
        (struct segment_register){ .limit = ~0u, .selector = 0x10, .rights = 0xa09b };
    r->gdtr = (struct table_register){ .base = GDT, .limit = 0x1f };
    r->rip = LOAD + 0x200;
    r->gpr[REGISTER_RSI] = ZERO_PAGE;
    r->gpr[REGISTER_RSP] = 0x6000;
    r->rflags = FLAG_ONE;
    tlb_flush_all(vcpu);
    vcpu_mode_changed(vcpu);
}

int boot_guest_create(struct boot_guest *guest, const char *kernel, const char *initrd,
                      const char *cmdline)
{
    struct file kernel_file, initrd_file = { NULL, 0 };
    if (file_map(kernel, &kernel_file) || (initrd && file_map(initrd, &initrd_file)) ||
        pair_create(&guest->pair, RAM_SIZE, &operations))
        return -1;
    int status = 0;
    for (unsigned i = 0; i < MACHINES && status == 0; i++) {
        struct machine *m = &guest->pair.machine[i];
        m->vcpu->host = calloc(1, sizeof(struct serial));
        status = m->vcpu->host ? load(m->ram, &kernel_file, &initrd_file, cmdline) : -1;
        registers(m->vcpu);
    }
    munmap((void *)(uintptr_t)kernel_file.data, kernel_file.size);
    if (initrd_file.size)
        munmap((void *)(uintptr_t)initrd_file.data, initrd_file.size);
    return status;
}

void boot_guest_destroy(struct boot_guest *guest)
{
    for (unsigned i = 0; i < MACHINES; i++)
        free(guest->pair.machine[i].vcpu->host);
    pair_destroy(&guest->pair);
}
