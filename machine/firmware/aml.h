/* SPDX-License-Identifier: MIT */
/*
 * aml.h - assembling ACPI machine language (ACPI specification, chapter 20) into a fixed buffer.
 * Packages nest: aml_open() leaves room for the length, aml_close() fills it in.
 */
#ifndef ORIGAMI_MACHINE_AML_H
#define ORIGAMI_MACHINE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH 8

struct aml {
    uint8_t *data;
    size_t size, capacity;
    size_t open[AML_DEPTH]; /* where each open package's length goes */
    unsigned depth;
    bool overflow; /* something did not fit: the result is void */
};

void aml_init(struct aml *aml, uint8_t *data, size_t capacity);
void aml_bytes(struct aml *aml, const void *data, size_t size);
void aml_byte(struct aml *aml, uint8_t value);

/* `opcode` (one byte, or 0x5bXX for an extended one) and the start of its package. */
void aml_open(struct aml *aml, unsigned opcode);
void aml_close(struct aml *aml);

/* A name segment of four characters, padded with '_'; a leading '\' is kept. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
/* Name(name, value) */
void aml_named_integer(struct aml *aml, const char *name, uint64_t value);
void aml_named_string(struct aml *aml, const char *name, const char *value);
/* Name(_HID, EISAID("PNP0501")) */
void aml_named_eisa_id(struct aml *aml, const char *name, const char *id);
/* Name(_CRS, Buffer(){ descriptors, end tag }) */
void aml_named_resources(struct aml *aml, const char *name, const uint8_t *descriptors,
                         size_t size);

#define AML_SCOPE   0x10u
#define AML_DEVICE  0x5b82u
#define AML_PACKAGE 0x12u
#define AML_BUFFER  0x11u

#endif
