/* SPDX-License-Identifier: MIT */
/* log.c - records to bytes and back. */
#include "log.h"
#include <errno.h>
#include <string.h>
#include <zlib.h>

#define CHECK_SIZE 2u
#define FIELDS_MAX 3u

_Static_assert(sizeof(struct log_header) == 176, "the header has no padding");

/* Fields of a record; LOG_DMA's last one is followed by as many bytes. */
static const uint8_t field_count[LOG_KINDS] = {
    [LOG_BOOT] = 1, [LOG_EXIT] = 3,     [LOG_PAUSE] = 2, [LOG_ANSWER] = 1, [LOG_LINE] = 1,
    [LOG_MSI] = 3,  [LOG_DEADLINE] = 1, [LOG_DMA] = 3,   [LOG_STOP] = 0,   [LOG_END] = 2,
};

static uint32_t crc_of(uint32_t crc, const void *data, size_t size)
{
    return (uint32_t)crc32(crc, data, (uInt)size);
}

/* ---- Header ---- */

void log_header_make(struct log_header *header, const struct log_parameters *parameters,
                     struct log_state *state)
{
    memset(header, 0, sizeof(*header));
    memcpy(header->magic, LOG_MAGIC, sizeof(header->magic));
    header->version = LOG_VERSION;
    header->size = sizeof(*header);
    header->parameters = *parameters;
    header->crc = crc_of(0, header, offsetof(struct log_header, crc));
    *state = (struct log_state){ .crc = header->crc };
}

int log_header_check(const void *data, size_t size, const char *name,
                     struct log_parameters *parameters, struct log_state *state,
                     struct problem *problem)
{
    struct log_header header;

    if (size < sizeof(header.magic) || memcmp(data, LOG_MAGIC, sizeof(header.magic)) != 0)
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: no recording of Origami", name);
    if (size < sizeof(header))
        return problem_set(problem, STATUS_INPUT, ENODATA,
                           "%s: the recording is cut short in its header", name);
    memcpy(&header, data, sizeof(header));
    if (header.version != LOG_VERSION || header.size != sizeof(header))
        return problem_set(problem, STATUS_INPUT, ENOTSUP,
                           "%s: a recording of format %u; this program knows %u", name,
                           header.version, LOG_VERSION);
    if (header.crc != crc_of(0, &header, offsetof(struct log_header, crc)))
        return problem_set(problem, STATUS_INPUT, EBADMSG, "%s: the recording's header is damaged",
                           name);
    *parameters = header.parameters;
    parameters->origami[sizeof(parameters->origami) - 1] = 0;
    *state = (struct log_state){ .crc = header.crc };
    return 0;
}

/* ---- Numbers ---- */

static size_t put_number(uint8_t *at, uint64_t value)
{
    size_t size = 0;

    for (; value > 0x7f; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    return size;
}

/* As log_decode(). */
static long get_number(const uint8_t *at, size_t size, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        if (i == 9 && at[i] > 1)
            return -EBADMSG; /* more than 64 bits */
        *value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (!(at[i] & 0x80))
            return i + 1;
    }
    return 0;
}

/* ---- Records ---- */

static void stamp_to_fields(struct log_state *state, const struct log_record *record,
                            uint64_t *field)
{
    uint64_t skipped = record->virtual_ns - record->instructions;

    field[0] = record->instructions - state->instructions;
    field[1] = skipped - state->skipped;
    state->instructions = record->instructions;
    state->skipped = skipped;
}

static void stamp_from_fields(struct log_state *state, struct log_record *record,
                              const uint64_t *field)
{
    state->instructions += field[0];
    state->skipped += field[1];
    record->instructions = state->instructions;
    record->virtual_ns = state->instructions + state->skipped;
}

static void to_fields(struct log_state *state, const struct log_record *record, uint64_t *field)
{
    switch (record->kind) {
    case LOG_BOOT:
        state->instructions = state->skipped = 0;
        field[0] = record->value;
        break;
    case LOG_EXIT:
        field[2] = record->check;
        __attribute__((fallthrough));
    case LOG_PAUSE:
        stamp_to_fields(state, record, field);
        break;
    case LOG_LINE:
        field[0] = (uint64_t)record->source << 1 | (record->value & 1);
        break;
    case LOG_DEADLINE:
        field[0] = record->value + 1;
        break;
    case LOG_MSI:
    case LOG_DMA:
        field[0] = record->source;
        field[1] = record->address;
        field[2] = record->kind == LOG_MSI ? record->data : record->size;
        break;
    case LOG_END:
        field[0] = record->source;
        field[1] = record->value;
        break;
    default:
        field[0] = record->value;
        break;
    }
}

static int from_fields(struct log_state *state, struct log_record *record, const uint64_t *field)
{
    switch (record->kind) {
    case LOG_BOOT:
        state->instructions = state->skipped = 0;
        record->value = field[0];
        return 0;
    case LOG_EXIT:
        record->check = (uint16_t)field[2];
        __attribute__((fallthrough));
    case LOG_PAUSE:
        stamp_from_fields(state, record, field);
        return field[2] > UINT16_MAX ? -EBADMSG : 0;
    case LOG_LINE:
        record->source = (uint32_t)(field[0] >> 1) & 0xff;
        record->value = field[0] & 1;
        return field[0] > 0x1ff ? -EBADMSG : 0;
    case LOG_DEADLINE:
        record->value = field[0] - 1;
        return 0;
    case LOG_MSI:
    case LOG_DMA:
        record->source = (uint32_t)field[0];
        record->address = field[1];
        if (record->kind == LOG_MSI)
            record->data = (uint32_t)field[2];
        else
            record->size = (uint32_t)field[2];
        return (field[0] | field[2]) >> 32 ? -EBADMSG : 0;
    case LOG_END:
        record->source = (uint32_t)field[0];
        record->value = field[1];
        return field[0] >> 32 ? -EBADMSG : 0;
    default:
        record->value = field[0];
        return 0;
    }
}

size_t log_encode(struct log_state *state, const struct log_record *record, uint8_t *buffer)
{
    uint64_t field[FIELDS_MAX] = { 0 };
    size_t size = 0;

    to_fields(state, record, field);
    buffer[size++] = (uint8_t)record->kind;
    for (unsigned i = 0; i < field_count[record->kind]; i++)
        size += put_number(buffer + size, field[i]);
    if (record->kind == LOG_DMA) {
        memcpy(buffer + size, record->bytes, record->size);
        size += record->size;
    }
    state->crc = crc_of(state->crc, buffer, size);
    buffer[size++] = (uint8_t)state->crc;
    buffer[size++] = (uint8_t)(state->crc >> 8);
    return size;
}

long log_decode(struct log_state *state, const uint8_t *data, size_t size,
                struct log_record *record)
{
    struct log_state next = *state;
    uint64_t field[FIELDS_MAX] = { 0 };
    size_t at = 1;

    if (!size)
        return 0;
    if (data[0] < LOG_BOOT || data[0] >= LOG_KINDS)
        return -EBADMSG;
    *record = (struct log_record){ .kind = data[0] };
    for (unsigned i = 0; i < field_count[record->kind]; i++) {
        long got = get_number(data + at, size - at, &field[i]);
        if (got <= 0)
            return got;
        at += (size_t)got;
    }
    if (from_fields(&next, record, field) != 0)
        return -EBADMSG;
    if (record->kind == LOG_DMA) {
        if (record->size > LOG_DMA_MAX)
            return -EBADMSG;
        if (record->size > size - at)
            return 0;
        record->bytes = data + at;
        at += record->size;
    }
    if (size - at < CHECK_SIZE)
        return 0;
    next.crc = crc_of(state->crc, data, at);
    if (data[at] != (uint8_t)next.crc || data[at + 1] != (uint8_t)(next.crc >> 8))
        return -EBADMSG;
    *state = next;
    return (long)(at + CHECK_SIZE);
}
