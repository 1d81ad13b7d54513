/* SPDX-License-Identifier: MIT */
/* cpio.c - from header to header. */
#include "cpio.h"
#include <string.h>

#define MAGIC      6u
#define FILE_SIZE  54u /* where the header has them, eight hexadecimal digits each */
#define NAME_SIZE  94u
#define FIELD_SIZE 8u

void cpio_start(struct cpio *cpio)
{
    *cpio = (struct cpio){ .state = CPIO_READING, .first = true };
}

static bool hex(const uint8_t *at, uint32_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < FIELD_SIZE; i++) {
        uint8_t digit = at[i];
        if (digit >= '0' && digit <= '9')
            digit = (uint8_t)(digit - '0');
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            digit = (uint8_t)((digit | 0x20) - 'a' + 10);
        else
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

static enum cpio_state judge_magic(const struct cpio *cpio)
{
    const uint8_t *magic = cpio->header;

    if (memcmp(magic, "07070", MAGIC - 1) != 0)
        return cpio->first ? CPIO_NOT : CPIO_DAMAGED;
    if (magic[5] != '1' && magic[5] != '2')
        return magic[5] == '7' ? CPIO_OLD : CPIO_DAMAGED;
    return CPIO_READING;
}

/* The header is whole: what follows it? Name and header together, and contents, end at multiples of
 * four. */
static void judge_header(struct cpio *cpio)
{
    uint32_t file_size;

    if (!hex(cpio->header + FILE_SIZE, &file_size) ||
        !hex(cpio->header + NAME_SIZE, &cpio->name_size)) {
        cpio->state = CPIO_DAMAGED;
        return;
    }
    cpio->first = false;
    cpio->name_seen = 0;
    memset(cpio->name, 0, sizeof(cpio->name));
    uint64_t name_end = ((uint64_t)CPIO_HEADER + cpio->name_size + 3) & ~3ull;
    cpio->skip = name_end - CPIO_HEADER + ((file_size + 3ull) & ~3ull);
}

static bool is_trailer(const struct cpio *cpio)
{
    return cpio->name_size == sizeof(CPIO_TRAILER) &&
           memcmp(cpio->name, CPIO_TRAILER, sizeof(CPIO_TRAILER)) == 0;
}

static size_t take_header(struct cpio *cpio, const uint8_t *data, size_t size)
{
    /* The magic first: it alone decides what this is. */
    unsigned want = cpio->header_size < MAGIC ? MAGIC : CPIO_HEADER;
    size_t piece = want - cpio->header_size < size ? want - cpio->header_size : size;

    memcpy(cpio->header + cpio->header_size, data, piece);
    cpio->header_size += (unsigned)piece;
    if (cpio->header_size == MAGIC)
        cpio->state = judge_magic(cpio);
    else if (cpio->header_size == CPIO_HEADER)
        judge_header(cpio);
    return piece;
}

static size_t take_rest(struct cpio *cpio, const uint8_t *data, size_t size)
{
    size_t piece = cpio->skip < size ? (size_t)cpio->skip : size;
    uint32_t named = cpio->name_size < sizeof(cpio->name) ? cpio->name_size : sizeof(cpio->name);

    for (size_t i = 0; i < piece && cpio->name_seen < named; i++)
        cpio->name[cpio->name_seen++] = (char)data[i];
    cpio->skip -= piece;
    /* Its padding may be missing at the end of a file. */
    if (cpio->name_seen == named && is_trailer(cpio))
        cpio->state = CPIO_WHOLE;
    else if (!cpio->skip)
        cpio->header_size = 0;
    return piece;
}

size_t cpio_take(struct cpio *cpio, const uint8_t *data, size_t size)
{
    size_t at = 0;

    while (at < size) {
        if (cpio->state == CPIO_WHOLE && !data[at])
            at++;
        else if (cpio->state != CPIO_READING)
            break;
        else if (cpio->header_size < CPIO_HEADER)
            at += take_header(cpio, data + at, size - at);
        else
            at += take_rest(cpio, data + at, size - at);
    }
    return at;
}
