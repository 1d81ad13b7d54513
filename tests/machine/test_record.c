/* SPDX-License-Identifier: MIT */
/* test_record.c - files of records, and what devices' writes to memory become while there is a log.
 */
#include "kernels.h"
#include "memory/dma.h"
#include "record/logfile.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define REQUESTER 0x18u

static char directory[] = "/tmp/origami-record-XXXXXX";
static char path[64];
static const struct log_parameters parameters = { .origami = "test", .memory = 77, .seed = { 5 } };
static struct problem problem;

static off_t file_size(void)
{
    struct stat info;

    return stat(path, &info) == 0 ? info.st_size : -1;
}

static struct log_writer *writer_make(void)
{
    struct log_writer *writer;

    assert_int_equal(log_create(&writer, path, &parameters, &problem), 0);
    return writer;
}

/* ---- Files ---- */

static void files(void **state)
{
    static uint8_t bytes[LOG_DMA_MAX];
    const struct log_record records[] = {
        { .kind = LOG_BOOT, .value = ~0ull },
        { .kind = LOG_EXIT, .instructions = 1, .virtual_ns = ~0ull, .check = 0xffff },
        { .kind = LOG_ANSWER, .value = 0x8000000000000000ull },
        { .kind = LOG_LINE, .source = 255, .value = 1 },
        { .kind = LOG_MSI, .source = 8, .address = 0xfee00000, .data = 0x4041 },
        { .kind = LOG_DEADLINE, .value = LOG_NEVER },
        { .kind = LOG_DEADLINE, .value = 0 },
        { .kind = LOG_PAUSE, .instructions = 0, .virtual_ns = 3 },
        { .kind = LOG_DMA, .source = 8, .address = 4096, .size = sizeof(bytes), .bytes = bytes },
        { .kind = LOG_DMA, .source = 8, .address = 0, .size = 1, .bytes = bytes + 7 },
        { .kind = LOG_STOP },
        { .kind = LOG_END, .source = 2, .value = 15 },
    };
    struct log_writer *writer = writer_make();
    struct log_parameters read;
    struct log_reader *reader;
    const struct log_record *got;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    for (unsigned round = 0; round < 20; round++) { /* many buffers full */
        for (unsigned i = 0; i < sizeof(records) / sizeof(records[0]) - 1; i++)
            log_put(writer, &records[i]);
    }
    log_put(writer, &records[sizeof(records) / sizeof(records[0]) - 1]);
    assert_int_equal(log_flush(writer, &problem), 0);
    off_t flushed = file_size();
    log_close(writer);
    assert_int_equal(file_size(), flushed);
    assert_int_equal(log_open(&reader, path, &read, &problem), 0);
    assert_memory_equal(&read, &parameters, sizeof(read));
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < sizeof(records) / sizeof(records[0]) - 1; i++) {
            got = log_peek(reader);
            assert_non_null(got);
            assert_ptr_equal(got, log_peek(reader));
            assert_int_equal(got->kind, records[i].kind);
            assert_true(got->instructions == records[i].instructions &&
                        got->virtual_ns == records[i].virtual_ns && got->value == records[i].value);
            assert_true(got->source == records[i].source && got->address == records[i].address &&
                        got->data == records[i].data && got->check == records[i].check);
            assert_int_equal(got->size, records[i].size);
            if (got->size)
                assert_memory_equal(got->bytes, records[i].bytes, got->size);
            log_next(reader);
        }
    }
    assert_int_equal(log_peek(reader)->kind, LOG_END);
    log_next(reader);
    assert_null(log_peek(reader));
    log_forget(reader);
}

/* Whatever its length, a log is good to the end of its last whole record. */
static void cut(void **state)
{
    struct log_writer *writer = writer_make();
    struct log_parameters read;
    struct log_reader *reader;
    off_t ends[64];
    unsigned count = 0;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        log_put(writer, &(struct log_record){ .kind = i ? LOG_EXIT : LOG_BOOT,
                                              .instructions = i * 1000,
                                              .virtual_ns = i * 5000,
                                              .check = (uint16_t)(i * 77) });
        assert_int_equal(log_flush(writer, &problem), 0);
        ends[i] = file_size();
    }
    log_close(writer);
    for (off_t length = ends[63]; length >= (off_t)sizeof(struct log_header); length--) {
        assert_int_equal(truncate(path, length), 0);
        assert_int_equal(log_open(&reader, path, &read, &problem), 0);
        for (count = 0; log_peek(reader); count++)
            log_next(reader);
        log_forget(reader);
        assert_true(count == 64 || ends[count] > length);
        assert_true(count == 0 || ends[count - 1] <= length);
    }
    assert_int_equal(truncate(path, sizeof(struct log_header) - 1), 0);
    assert_true(log_open(&reader, path, &read, &problem) < 0);
    assert_int_equal(problem.status, STATUS_INPUT);
}

/* A limit is met like a full disk: an error, and what was written before is good. */
static void full(void **state)
{
    struct rlimit old, small;
    struct log_writer *writer = writer_make();
    struct log_parameters read;
    struct log_reader *reader;
    unsigned written = 0, found = 0;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){ .rlim_cur = 2000, .rlim_max = old.rlim_max };
    setrlimit(RLIMIT_FSIZE, &small);
    log_put(writer, &(struct log_record){ .kind = LOG_BOOT });
    while (log_flush(writer, &problem) == 0 && written < 10000) {
        written++;
        log_put(writer, &(struct log_record){ .kind = LOG_ANSWER, .value = ~0ull });
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_in_range(written, 10, 9999);
    assert_int_equal(problem.status, STATUS_HOST);
    assert_non_null(strstr(problem.text, "File too large"));
    assert_true(log_flush(writer, &problem) < 0); /* and stays so */
    log_close(writer);
    assert_int_equal(log_open(&reader, path, &read, &problem), 0);
    for (; log_peek(reader); log_next(reader))
        found++;
    assert_int_equal(found, written);
    log_forget(reader);
}

static void replacing(void **state)
{
    struct log_writer *writer = writer_make(), *other;

    (void)state;
    log_put(writer, &(struct log_record){ .kind = LOG_BOOT });
    assert_int_equal(log_create(&other, path, &parameters, &problem), -16 /* EBUSY */);
    log_close(writer);
    writer = writer_make(); /* a log gives way to a log */
    assert_int_equal(file_size(), sizeof(struct log_header));
    log_close(writer);
    FILE *file = fopen(path, "w");
    fputs("something that somebody wrote", file);
    fclose(file);
    assert_int_equal(log_create(&writer, path, &parameters, &problem), -17 /* EEXIST */);
    assert_int_equal(file_size(), 29);
    assert_int_equal(truncate(path, 0), 0);
    log_close(writer_make());
}

/* ---- Memory ---- */

static struct ram ram;
static uint8_t seen[1 << 20];
static size_t seen_size;
static uint64_t seen_at;
static bool take;

static bool note(void *context, uint32_t requester, uint64_t gpa, const void *data, size_t size)
{
    assert_ptr_equal(context, seen);
    assert_int_equal(requester, REQUESTER);
    assert_in_range(size, 1, DMA_LOG_MAX);
    if (!seen_size)
        seen_at = gpa;
    assert_int_equal(gpa, seen_at + seen_size);
    memcpy(seen + seen_size, data, size);
    seen_size += size;
    return take;
}

static uint8_t byte_at(uint64_t gpa)
{
    uint8_t byte;

    assert_int_equal(dma_read(&ram, REQUESTER, gpa, &byte, 1), 0);
    return byte;
}

static void expect(uint64_t gpa, size_t size, uint8_t first)
{
    assert_int_equal(seen_at, gpa);
    assert_int_equal(seen_size, size);
    assert_int_equal(seen[0], first);
    assert_int_equal(byte_at(gpa), take ? 0 : first);
    seen_size = 0;
    assert_int_equal(dma_fill(&ram, DMA_MACHINE, gpa, 0, size), 0);
    assert_int_equal(seen_size, 0); /* the machine itself is not asked about */
}

static void memory(void **state)
{
    static uint8_t data[200000];
    struct dma_log log = { .context = seen, .write = note };

    (void)state;
    memset(data, 0x77, sizeof(data));
    assert_int_equal(ram_create(&ram, 2 << 20, &problem), 0);
    ram.log = &log;
    for (unsigned round = 0; round < 2; round++) {
        take = round;
        assert_int_equal(dma_write(&ram, REQUESTER, 0x100010, data, 100), 0);
        expect(0x100010, 100, 0x77);
        assert_int_equal(dma_write(&ram, REQUESTER, 0x100000, data, sizeof(data)), 0);
        /* In pieces when it is taken; otherwise the first refusal stands for all. */
        expect(0x100000, take ? sizeof(data) : DMA_LOG_MAX, 0x77);
        assert_int_equal(dma_fill(&ram, DMA_MACHINE, 0x100000, 0, sizeof(data)), 0);
        assert_int_equal(dma_fill(&ram, REQUESTER, 0x100001, 0x33, 5000), 0);
        expect(0x100001, take ? 5000 : 4096, 0x33);
        assert_int_equal(dma_fill(&ram, DMA_MACHINE, 0x100000, 0, sizeof(data)), 0);
        assert_int_equal(dma_store16(&ram, REQUESTER, 0x100002, 0x1234), 0);
        expect(0x100002, 2, 0x34);
        uint8_t *map = dma_map(&ram, REQUESTER, 0x100100, 64, true);
        assert_non_null(map);
        memset(map, 0x55, 64);
        assert_int_equal(byte_at(0x100100), 0); /* a copy */
        dma_unmap(&ram, REQUESTER, 0x100100, 64, true);
        expect(0x100100, 64, 0x55);
        map = dma_map(&ram, REQUESTER, 0x100200, 64, true);
        uint8_t *second = dma_map(&ram, REQUESTER, 0x100300, 64, true);
        map[0] = 1;
        second[0] = 2;
        dma_unmap_host(&ram, REQUESTER, map, 32, true);
        expect(0x100200, 32, 1);
        dma_unmap_host(&ram, REQUESTER, second, 64, true);
        expect(0x100300, 64, 2);
        assert_null(log.copies);
        assert_true(dma_write(&ram, REQUESTER, 1 << 30, data, 8) < 0);
        assert_int_equal(seen_size, 0);
    }
    ram.log = NULL;
    ram_destroy(&ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(files), cmocka_unit_test(cut),
                                        cmocka_unit_test(full), cmocka_unit_test(replacing),
                                        cmocka_unit_test(memory) };

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/log", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(directory);
    return failed;
}
