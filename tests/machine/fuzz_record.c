/* SPDX-License-Identifier: MIT */
/*
 * fuzz_record.c - the reader of input logs against arbitrary files, and records of arbitrary
 * contents written and read again. The first byte chooses.
 */
#include "record/log.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buffer[LOG_RECORD_MAX];

static void require(bool good)
{
    if (!good)
        abort();
}

static bool same(const struct log_record *a, const struct log_record *b)
{
    return a->kind == b->kind && a->instructions == b->instructions &&
           a->virtual_ns == b->virtual_ns && a->check == b->check && a->value == b->value &&
           a->source == b->source && a->address == b->address && a->data == b->data &&
           a->size == b->size && (!a->size || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* A file: every record is whole and inside it, and reads the same when written again. */
static void read_file(const uint8_t *data, size_t size)
{
    struct log_parameters parameters;
    struct problem problem = { 0 };
    struct log_state state, before, written;
    struct log_record record, again;

    if (log_header_check(data, size, "log", &parameters, &state, &problem) != 0) {
        require(problem.text[0] && problem.status == STATUS_INPUT);
        return;
    }
    for (size_t at = sizeof(struct log_header); at < size;) {
        before = written = state;
        long got = log_decode(&state, data + at, size - at, &record);
        if (got <= 0) {
            require(got == 0 || got == -EBADMSG);
            require(memcmp(&before, &state, sizeof(state)) == 0);
            return;
        }
        require((size_t)got <= size - at);
        /* What is read out may be longer than needed, so the check may differ. */
        size_t length = log_encode(&written, &record, buffer);
        require(length <= (size_t)got);
        written = before;
        require(log_decode(&written, buffer, length, &again) == (long)length);
        require(same(&record, &again));
        at += (size_t)got;
    }
}

/* Records made of the bytes. */
static void write_records(const uint8_t *data, size_t size)
{
    struct log_state writing = { .crc = 1 }, reading = { .crc = 1 };
    struct log_record again;

    for (size_t at = 0; at + 32 < size; at += 32) {
        struct log_record record = { .kind = LOG_BOOT + data[at] % (LOG_KINDS - LOG_BOOT) };
        uint64_t word[3];
        memcpy(word, data + at + 8, sizeof(word));
        if (record.kind == LOG_EXIT || record.kind == LOG_PAUSE) {
            record.instructions = word[0];
            record.virtual_ns = word[1];
            record.check = record.kind == LOG_EXIT ? (uint16_t)word[2] : 0;
        } else if (record.kind == LOG_LINE) {
            record.source = word[0] & 0xff;
            record.value = word[1] & 1;
        } else if (record.kind == LOG_MSI || record.kind == LOG_DMA) {
            record.source = (uint32_t)word[0];
            record.address = word[1];
            if (record.kind == LOG_MSI) {
                record.data = (uint32_t)word[2];
            } else {
                record.size = (uint32_t)(word[2] % (size - at));
                record.size = record.size < LOG_DMA_MAX ? record.size : LOG_DMA_MAX;
                record.bytes = data + at;
            }
        } else if (record.kind != LOG_STOP) {
            record.value = word[0];
            record.source = record.kind == LOG_END ? (uint32_t)word[1] : 0;
        }
        size_t length = log_encode(&writing, &record, buffer);
        require(length <= sizeof(buffer));
        require(log_decode(&reading, buffer, length - 1, &again) == 0);
        require(log_decode(&reading, buffer, length, &again) == (long)length);
        require(same(&record, &again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] & 1)
        write_records(data + 1, size - 1);
    else if (size)
        read_file(data + 1, size - 1);
    return 0;
}

#ifdef FUZZ_REPLAY
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A good log of a few records, then damaged in a few places. */
static size_t make_log(uint8_t *data, uint64_t *random)
{
    const struct log_parameters parameters = { .memory = 1 << 20, .cpus = 1 };
    struct log_header header;
    struct log_state state;
    size_t size = sizeof(header);

    log_header_make(&header, &parameters, &state);
    memcpy(data, &header, sizeof(header));
    for (unsigned i = 0; i < 12; i++) {
        struct log_record record = { .kind = LOG_BOOT + next_random(random) % LOG_END,
                                     .instructions = next_random(random) % 100000,
                                     .value = next_random(random) & 1,
                                     .source = next_random(random) & 0xff,
                                     .address = next_random(random) };
        record.virtual_ns = record.instructions + next_random(random) % 1000;
        if (record.kind == LOG_DMA) {
            record.size = sizeof(*random);
            record.bytes = random;
        }
        size += log_encode(&state, &record, data + size);
    }
    for (uint64_t edits = next_random(random) % 4; edits; edits--) {
        /* Mostly behind the header: its check would end it all. */
        size_t first = next_random(random) % 8 ? sizeof(header) : 0;
        data[first + next_random(random) % (size - first)] = (uint8_t)next_random(random);
    }
    return next_random(random) % 4 ? size : next_random(random) % size;
}

int main(int argc, char **argv)
{
    static uint8_t data[1 + sizeof(struct log_header) + 12 * 256];
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    uint64_t random = 0x853c49e6748fea9bull;

    for (long i = 0; i < count; i++) {
        data[0] = i & 1;
        size_t size = i & 1 ? sizeof(data) - 1 : make_log(data + 1, &random);
        for (size_t at = 1; i & 1 && at < sizeof(data); at++)
            data[at] = (uint8_t)(next_random(&random) >> 32);
        LLVMFuzzerTestOneInput(data, 1 + size);
    }
    printf("%ld inputs\n", count);
    return 0;
}
#endif
