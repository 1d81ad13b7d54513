/* SPDX-License-Identifier: MIT */
/* aml.c - the few constructs of ACPI machine language that the tables need. */
#include "aml.h"
#include <string.h>

#define AML_NAME_OP  0x08
#define AML_STRING   0x0d
#define AML_EXTENDED 0x5b
#define LENGTH_BYTES 3 /* a package length always takes three bytes here: 20 bits */
#define LENGTH_MAX   0xfffffu

void aml_init(struct aml *aml, uint8_t *data, size_t capacity)
{
    *aml = (struct aml){ .data = data, .capacity = capacity };
}

void aml_bytes(struct aml *aml, const void *data, size_t size)
{
    if (size > aml->capacity - aml->size) {
        aml->overflow = true;
        return;
    }
    memcpy(aml->data + aml->size, data, size);
    aml->size += size;
}

void aml_byte(struct aml *aml, uint8_t value)
{
    aml_bytes(aml, &value, 1);
}

void aml_open(struct aml *aml, unsigned opcode)
{
    static const uint8_t room[LENGTH_BYTES];

    if (opcode >> 8)
        aml_byte(aml, (uint8_t)(opcode >> 8));
    aml_byte(aml, (uint8_t)opcode);
    if (aml->depth == AML_DEPTH) {
        aml->overflow = true;
        return;
    }
    aml->open[aml->depth++] = aml->size;
    aml_bytes(aml, room, sizeof(room));
}

void aml_close(struct aml *aml)
{
    if (!aml->depth || aml->overflow) {
        aml->overflow = true;
        return;
    }
    size_t at = aml->open[--aml->depth];
    size_t length = aml->size - at; /* counts itself (20.2.4) */
    if (length > LENGTH_MAX)
        aml->overflow = true;
    aml->data[at] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (length & 0xf));
    aml->data[at + 1] = (uint8_t)(length >> 4);
    aml->data[at + 2] = (uint8_t)(length >> 12);
}

void aml_name(struct aml *aml, const char *name)
{
    char segment[4] = { '_', '_', '_', '_' };

    if (*name == '\\') {
        aml_byte(aml, '\\');
        name++;
    }
    for (unsigned i = 0; i < 4 && name[i]; i++)
        segment[i] = name[i];
    aml_bytes(aml, segment, sizeof(segment));
}

void aml_integer(struct aml *aml, uint64_t value)
{
    static const struct {
        uint8_t prefix, size;
    } forms[] = { { 0x0a, 1 }, { 0x0b, 2 }, { 0x0c, 4 }, { 0x0e, 8 } };

    if (value <= 1) {
        aml_byte(aml, (uint8_t)value); /* ZeroOp, OneOp */
        return;
    }
    unsigned form = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
    aml_byte(aml, forms[form].prefix);
    for (unsigned i = 0; i < forms[form].size; i++)
        aml_byte(aml, (uint8_t)(value >> (8 * i)));
}

void aml_named_integer(struct aml *aml, const char *name, uint64_t value)
{
    aml_byte(aml, AML_NAME_OP);
    aml_name(aml, name);
    aml_integer(aml, value);
}

void aml_named_string(struct aml *aml, const char *name, const char *value)
{
    aml_byte(aml, AML_NAME_OP);
    aml_name(aml, name);
    aml_byte(aml, AML_STRING);
    aml_bytes(aml, value, strlen(value) + 1);
}

static unsigned hex_digit(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

/* Three letters of five bits, four hex digits, big-endian (ACPI 6.1.5, EISA specification). */
void aml_named_eisa_id(struct aml *aml, const char *name, const char *id)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | (uint32_t)(id[i] - '@');
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | hex_digit(id[i]);
    aml_byte(aml, AML_NAME_OP);
    aml_name(aml, name);
    aml_byte(aml, 0x0c);
    for (unsigned i = 0; i < 4; i++)
        aml_byte(aml, (uint8_t)(value >> (24 - 8 * i)));
}

void aml_named_resources(struct aml *aml, const char *name, const uint8_t *descriptors, size_t size)
{
    static const uint8_t end_tag[2] = { 0x79, 0 }; /* checksum 0: not used */

    aml_byte(aml, AML_NAME_OP);
    aml_name(aml, name);
    aml_open(aml, AML_BUFFER);
    aml_integer(aml, size + sizeof(end_tag));
    aml_bytes(aml, descriptors, size);
    aml_bytes(aml, end_tag, sizeof(end_tag));
    aml_close(aml);
}
