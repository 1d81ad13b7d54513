/* SPDX-License-Identifier: MIT */
/*
 * fuzz_decoder.c - a libFuzzer target: any bytes, in every mode.
 *
 * Invariants: the result is a decode_status; a decoded instruction has a length of 1 to 15 within
 * the input, and its parts lie inside it in order; decoding is deterministic, takes no notice of
 * bytes after the instruction, and of a shorter input says that it is truncated; what is undefined
 * or too long stays so with more bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "instruction.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_parts(const struct instruction *in, const uint8_t *data)
{
    unsigned at = in->opcode_offset + 1u;

    require(in->length >= 1 && in->length <= INSTRUCTION_MAX_LENGTH);
    require(!memcmp(in->bytes, data, in->length));
    for (unsigned i = in->length; i < sizeof(in->bytes); i++)
        require(in->bytes[i] == 0);
    require(in->row > instruction_rows && in->row < instruction_rows + instruction_row_count);
    require(in->bytes[in->opcode_offset] == in->opcode);
    require(in->operand_size == 2 || in->operand_size == 4 || in->operand_size == 8);
    require(in->address_size == 2 || in->address_size == 4 || in->address_size == 8);
    if (in->has_modrm) {
        require(in->modrm_offset == at && in->bytes[at] == in->modrm);
        at++;
        if (in->mod != 3 && in->address_size != 2 && (in->modrm & 7) == 4)
            at++;
    }
    if (in->displacement_size) {
        require(in->displacement_offset == at);
        at += in->displacement_size;
    }
    if (in->immediate_size) {
        require(in->immediate_offset == at);
        at += in->immediate_size;
    }
    require(at == in->length);
    if (in->has_memory)
        require(in->segment <= SEGMENT_GS && in->row->memory != MEMORY_NONE);
    if (in->lock)
        require(in->row->flags & ROW_LOCKABLE && in->has_memory);
}

static void check_mode(const uint8_t *data, size_t size, unsigned code_size)
{
    struct instruction in, again;
    int status = instruction_decode(data, size, code_size, &in);

    require(status == DECODE_OK || status == DECODE_UNDEFINED || status == DECODE_TOO_LONG ||
            status == DECODE_TRUNCATED);
    if (status == DECODE_OK) {
        require(in.length <= size);
        check_parts(&in, data);
    }
    for (size_t shorter = 0; shorter < size && shorter <= INSTRUCTION_MAX_LENGTH; shorter++) {
        int part = instruction_decode(data, shorter, code_size, &again);

        if (status == DECODE_TRUNCATED || (status == DECODE_OK && shorter < in.length))
            require(part == DECODE_TRUNCATED);
        else
            require(part == status || part == DECODE_TRUNCATED);
        if (status == DECODE_OK && shorter >= in.length)
            require(part == DECODE_OK && !memcmp(&in, &again, sizeof(in)));
    }
    require(instruction_decode(data, size, code_size, &again) == status);
    if (status == DECODE_OK)
        require(!memcmp(&in, &again, sizeof(in)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_mode(data, size, 64);
    check_mode(data, size, 32);
    check_mode(data, size, 16);
    return 0;
}
