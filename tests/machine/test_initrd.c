/* SPDX-License-Identifier: MIT */
/* test_initrd.c - what Linux unpacks is taken, what is cut short is not, in every format. */
#include "compress.h"
#include "initrd/initrd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <cmocka.h>

#define MEMORY (64ull << 20)

static uint8_t archive[COMPRESS_MAX], file[4 * COMPRESS_MAX];
static size_t archive_size;
static struct problem problem;

static int check(size_t size)
{
    problem = (struct problem){ 0 };
    int result = initrd_check("file", (struct bytes){ file, size }, MEMORY, &problem);
    assert_true(result == 0 || (problem.text[0] && problem.status == STATUS_INPUT));
    assert_true(result != 0 || !problem.text[0]);
    return result;
}

static void good(const char *what, size_t size)
{
    if (check(size) != 0)
        fail_msg("%s: %s", what, problem.text);
}

static void bad(const char *what, size_t size, const char *text)
{
    if (check(size) == 0)
        fail_msg("%s: taken", what);
    if (!strstr(problem.text, text))
        fail_msg("%s: %s", what, problem.text);
}

static size_t zeros(size_t at, size_t count)
{
    memset(file + at, 0, count);
    return at + count;
}

static void whole_and_cut(void **state)
{
    char name[64];

    (void)state;
    for (const struct compressor *one = compressors; one->name; one++) {
        size_t size = one->compress(archive, archive_size, file);
        good(one->name, size);
        good("with zeros behind it", zeros(size, 1));
        good("with zeros behind it", zeros(size, 3));
        good("with zeros behind it", zeros(size, 513));
        /* The last bytes of a plain archive are padding. */
        size_t needed = one == compressors ? size - 3 : size;
        for (size_t length = 1; length < needed; length++) {
            snprintf(name, sizeof(name), "%s cut to %zu of %zu", one->name, length, size);
            bad(name, length, "file: ");
        }
        size = one->compress(archive, 0, file);
        if (one != compressors && strcmp(one->name, "lz4") != 0)
            bad("an empty stream", size, "truncated");
    }
}

/* As Debian makes them: microcode, uncompressed, then the rest, each format behind each. */
static void one_after_another(void **state)
{
    (void)state;
    for (const struct compressor *first = compressors; first->name; first++) {
        for (const struct compressor *second = compressors; second->name; second++) {
            char name[64];
            snprintf(name, sizeof(name), "%s, then %s", first->name, second->name);
            size_t size = first->compress(archive, archive_size, file);
            bool lz4 = !strcmp(first->name, "lz4");
            /* LZ4 needs a size of 0 for its end; plain archives begin at multiples of four. */
            size = zeros(size, lz4 ? 4 : 0);
            size = zeros(size, second == compressors ? (4 - size % 4) % 4 : 0);
            size += second->compress(archive, archive_size, file + size);
            good(name, size);
            if (second != compressors)
                bad(name, size - 1, "file: ");
            size_t padded = first->compress(archive, archive_size, file);
            padded = zeros(padded, 1024 - padded % 512);
            padded += second->compress(archive, archive_size, file + padded);
            good(name, padded);
        }
    }
}

/* Several archives in one stream. */
static void archives_in_a_stream(void **state)
{
    static uint8_t twice[2 * COMPRESS_MAX];

    (void)state;
    memcpy(twice, archive, archive_size);
    memset(twice + archive_size, 0, 512);
    memcpy(twice + archive_size + 512, archive, archive_size);
    for (const struct compressor *one = compressors; one->name; one++) {
        good(one->name, one->compress(twice, 2 * archive_size + 512, file));
        bad(one->name, one->compress(twice, 2 * archive_size + 300, file), "archive is truncated");
        bad(one->name, one->compress(archive, archive_size - 60, file), "archive is truncated");
    }
}

static void other_contents(void **state)
{
    static uint8_t image[0x1000];
    size_t size;

    (void)state;
    memcpy(image + 0x438, "\x53\xef", 2);
    for (const struct compressor *one = compressors; one->name; one++)
        good("an ext4 image", one->compress(image, sizeof(image), file));
    image[0x438] = 0;
    image[0] = 'x';
    for (const struct compressor *one = compressors; one->name; one++)
        bad("something else", one->compress(image, sizeof(image), file),
            one == compressors ? "no initial RAM disk" : "no cpio archive in");
    memcpy(file, "070707", 6);
    bad("the old format", 100, "cpio -H newc");
    memcpy(file, "\x04\x22\x4d\x18", 4);
    bad("LZ4 in frames", 100, "lz4 -l");
    memcpy(file, "\x89LZO", 4);
    good("LZO", 100);
    bad("zeros", zeros(0, 1000), "no initial RAM disk");
    memcpy(file, archive, archive_size);
    memcpy(file + archive_size, "behind it", 9);
    good("something behind an archive", archive_size + 9);
    memcpy(file + 200, "x", 1);
    file[54 + 3] = 'x';
    bad("a size that is none", archive_size, "archive is damaged");
    /* bootconfig: text, size, checksum, magic */
    size = compressors[1].compress(archive, archive_size, file);
    memcpy(file + size, "a = b\n\0\0\x08\0\0\0\0\0\0\0#BOOTCONFIG\n", 28);
    good("bootconfig", size + 28);
    size = compressors[6].compress(archive, archive_size, file);
    memcpy(file + size, "a = b\n\0\0\x08\0\0\0\0\0\0\0#BOOTCONFIG\n", 28);
    good("bootconfig behind LZ4", size + 28);
}

/* 64 KiB that inflate to 128 MiB: more than the guest has. */
static void bomb(void **state)
{
    const size_t size = 128u << 20;
    uint8_t *large = calloc(1, size);

    (void)state;
    assert_non_null(large);
    memcpy(large, archive, archive_size);
    size_t length = ZSTD_compress(file, sizeof(file), large, size, 1);
    assert_false(ZSTD_isError(length));
    bad("a bomb", length, "more than the guest's memory");
    good("half of it", ZSTD_compress(file, sizeof(file), large, size / 4, 1));
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whole_and_cut),
                                        cmocka_unit_test(one_after_another),
                                        cmocka_unit_test(archives_in_a_stream),
                                        cmocka_unit_test(other_contents), cmocka_unit_test(bomb) };

    archive_size = compress_cpio(archive, 3000);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
