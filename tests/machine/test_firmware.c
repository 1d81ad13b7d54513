/* SPDX-License-Identifier: MIT */
/*
 * test_firmware.c - the ACPI tables: found, linked, summed, and (where acpica-tools is installed)
 * disassembled and assembled again to the same DSDT.
 */
#include "devices/pci/pci.h"
#include "firmware/acpi.h"
#include "firmware/aml.h"
#include "firmware/memorymap.h"
#include "loaders/bytes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct acpi_image image;

static struct bytes all(void)
{
    return (struct bytes){ image.data, image.size };
}

static uint8_t sum(size_t at, size_t size)
{
    uint8_t total = 0;

    for (size_t i = 0; i < size; i++)
        total = (uint8_t)(total + image.data[at + i]);
    return total;
}

/* Offset of a table that is linked by its guest-physical address; checks what every table has. */
static size_t follow(uint64_t address, const char *signature)
{
    assert_true(address >= FIRMWARE_AREA && address < FIRMWARE_AREA + image.size);
    size_t at = (size_t)(address - FIRMWARE_AREA);
    assert_memory_equal(image.data + at, signature, 4);
    uint32_t size = bytes_u32(all(), at + 4);
    assert_true(bytes_has(all(), at, size));
    if (strcmp(signature, "FACS") != 0)
        assert_int_equal(sum(at, size), 0);
    return at;
}

static void tables_are_linked(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 64; cpus++) {
        assert_int_equal(acpi_build(&image, cpus, 1ull << 30), 0);
        assert_memory_equal(image.data, "RSD PTR ", 8);
        assert_int_equal(sum(0, 20), 0);
        assert_int_equal(sum(0, 36), 0);
        size_t xsdt = follow(bytes_u64(all(), 24), "XSDT");
        assert_int_equal(bytes_u32(all(), xsdt + 4), 36 + 3 * 8);
        size_t fadt = follow(bytes_u64(all(), xsdt + 36), "FACP");
        size_t madt = follow(bytes_u64(all(), xsdt + 44), "APIC");
        size_t mcfg = follow(bytes_u64(all(), xsdt + 52), "MCFG");
        assert_int_equal(bytes_u64(all(), mcfg + 44), PCI_ECAM);
        follow(bytes_u64(all(), fadt + 140), "DSDT");
        follow(bytes_u32(all(), fadt + 40), "DSDT");
        size_t facs = follow(bytes_u64(all(), fadt + 132), "FACS");
        assert_int_equal(facs % 64, 0);
        assert_int_equal(bytes_u32(all(), fadt + 64), ACPI_PM1_CONTROL);
        unsigned lapics = 0;
        size_t end = madt + bytes_u32(all(), madt + 4);
        for (size_t at = madt + 44; at < end; at += image.data[at + 1]) {
            assert_true(image.data[at + 1] >= 2);
            lapics += image.data[at] == 0;
        }
        assert_int_equal(lapics, cpus);
    }
    assert_int_not_equal(acpi_build(&image, 0, 1ull << 30), 0);
    assert_int_not_equal(acpi_build(&image, 65, 1ull << 30), 0);
}

static void aml_never_overflows(void **state)
{
    uint8_t buffer[64];

    (void)state;
    for (size_t capacity = 0; capacity < 40; capacity++) {
        struct aml aml;
        memset(buffer, 0xee, sizeof(buffer));
        aml_init(&aml, buffer, capacity);
        aml_open(&aml, AML_DEVICE);
        aml_name(&aml, "DEV0");
        aml_named_integer(&aml, "_UID", 0x123456789ull);
        aml_named_eisa_id(&aml, "_HID", "PNP0501");
        aml_close(&aml);
        assert_int_equal(buffer[capacity], 0xee);
        assert_int_equal(aml.overflow, capacity < 5 + 4 + 5 + 9 + 5 + 5);
    }
}

static void iasl_agrees(void **state)
{
    char directory[] = "/tmp/origami-acpi-XXXXXX", command[512];

    (void)state;
    if (system("command -v iasl >/dev/null 2>&1") != 0)
        skip();
    assert_int_equal(acpi_build(&image, 2, 1ull << 30), 0);
    assert_non_null(mkdtemp(directory));
    snprintf(command, sizeof(command), "%s/dsdt.aml", directory);
    FILE *file = fopen(command, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image.data + image.dsdt, 1, image.dsdt_size, file), image.dsdt_size);
    fclose(file);
    /* -we: warnings are errors */
    snprintf(command, sizeof(command),
             "cd %s && iasl -d dsdt.aml >log 2>&1 && iasl -we -oa -p again dsdt.dsl >>log 2>&1 && "
             "grep -q '0 Warnings' log; status=$?; [ $status = 0 ] || cat log; rm -r %s; "
             "exit $status",
             directory, directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_linked),
        cmocka_unit_test(aml_never_overflows),
        cmocka_unit_test(iasl_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
