/* SPDX-License-Identifier: MIT */
/*
 * masked.c - see masked.h. Masks: SDM Vol. 2, VMASKMOV, VPMASKMOV, MASKMOVQ, MASKMOVDQU;
 * chapter 2.7.4 for opmasks; 2.8 for which exception classes suppress faults.
 */
#include "masked.h"
#include "extendedstate.h"
#include "transfer.h"

/* ---- Which elements ---- */

/* The element a sign bit of a mask vector stands for, or 0 if the mask is not in a vector. */
static unsigned vector_mask_element(const struct instruction *insn)
{
    if (insn->opcode == 0xf7 && insn->map == 1)
        return 1; /* MASKMOVQ, MASKMOVDQU */
    if (insn->encoding != ENCODING_VEX || insn->map != 2)
        return 0;
    switch (insn->opcode) {
    case 0x2c: /* VMASKMOVPS */
    case 0x2e:
        return 4;
    case 0x2d: /* VMASKMOVPD */
    case 0x2f:
        return 8;
    case 0x8c: /* VPMASKMOVD, VPMASKMOVQ */
    case 0x8e:
        return insn->vex_w ? 8 : 4;
    default:
        return 0;
    }
}

static bool is_maskmov(const struct instruction *insn)
{
    return insn->opcode == 0xf7 && insn->map == 1;
}

static bool is_mmx(const struct instruction *insn)
{
    return is_maskmov(insn) && insn->encoding == ENCODING_LEGACY && !insn->operand_override;
}

static unsigned memory_bytes(const struct instruction *insn)
{
    if (is_maskmov(insn))
        return is_mmx(insn) ? 8 : 16;
    return insn->memory_size <= MASKED_BOUNCE_SIZE ? insn->memory_size : MASKED_BOUNCE_SIZE;
}

/* MMX registers are physical; the image holds them in stack order. */
static unsigned mmx_offset(const struct extended_image *image, unsigned number)
{
    unsigned top = image_get16(image, IMAGE_FSW) >> FSW_TOP_SHIFT & 7;
    return IMAGE_ST + ((number - top) & 7) * 16;
}

static void mask_register(const struct vcpu *vcpu, const struct instruction *insn,
                          const struct extended_image *image, uint8_t out[MASKED_BOUNCE_SIZE])
{
    unsigned number = is_maskmov(insn) ? insn->rm : insn->vvvv;
    memset(out, 0, MASKED_BOUNCE_SIZE);
    if (is_mmx(insn))
        memcpy(out, image->byte + mmx_offset(image, number & 7), 8);
    else
        extended_vector_get(vcpu, image, number, memory_bytes(insn), out);
}

static uint64_t sign_bits(const uint8_t *vector, unsigned bytes, unsigned element)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i * element < bytes; i++)
        bits |= (uint64_t)(vector[(i + 1) * element - 1] >> 7) << i;
    return bits;
}

static uint64_t low_bits(unsigned count)
{
    return count >= 64 ? ~0ull : (1ull << count) - 1;
}

/* Loads that repeat a small memory operand over the destination. */
static bool is_broadcast(const struct instruction *insn)
{
    if (insn->evex_b && (insn->row->flags & ROW_BROADCAST))
        return true;
    if (insn->map != 2)
        return false;
    return (insn->opcode >= 0x18 && insn->opcode <= 0x1b) ||
           (insn->opcode >= 0x58 && insn->opcode <= 0x5b) || insn->opcode == 0x78 ||
           insn->opcode == 0x79;
}

/* VEXPAND, VPEXPAND, VCOMPRESS, VPCOMPRESS: enabled elements lie side by side in memory. */
static bool is_packed(const struct instruction *insn)
{
    return insn->map == 2 && insn->encoding == ENCODING_EVEX &&
           ((insn->opcode >= 0x88 && insn->opcode <= 0x8b) || insn->opcode == 0x62 ||
            insn->opcode == 0x63);
}

static unsigned count_bits(uint64_t bits)
{
    unsigned count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* How many elements of the mask the instruction looks at. */
static unsigned mask_length(const struct instruction *insn, unsigned element)
{
    unsigned bytes = insn->vector_length;
    switch (insn->row->size) {
    case SIZE_HALF_VECTOR:
        return bytes / 2 / element;
    case SIZE_QUARTER_VECTOR:
        return bytes / 4 / element;
    case SIZE_EIGHTH_VECTOR:
        return bytes / 8 / element;
    default:
        return bytes / element;
    }
}

/* Elements of the memory operand that an opmask enables. */
static uint64_t opmask_elements(const struct instruction *insn, uint64_t mask, unsigned element,
                                unsigned count)
{
    if (is_broadcast(insn)) {
        uint64_t enabled = 0;
        for (unsigned i = 0; i < mask_length(insn, element); i++)
            enabled |= (mask >> i & 1) << i % count;
        return enabled;
    }
    mask &= low_bits(count);
    return is_packed(insn) ? low_bits(count_bits(mask)) : mask;
}

static uint64_t element_bytes(uint64_t elements, unsigned element, unsigned bytes)
{
    uint64_t out = 0;
    for (unsigned i = 0; i * element < bytes; i++) {
        if (elements >> i & 1)
            out |= low_bits(element) << (i * element);
    }
    return out & low_bits(bytes);
}

/* Bytes of one element of the memory operand. */
static unsigned memory_element(const struct instruction *insn)
{
    unsigned bytes = memory_bytes(insn);
    unsigned element = vector_mask_element(insn);

    if (element == 0)
        element = insn->row->element;
    if (element == 0)
        return bytes;
    if (is_broadcast(insn) && (insn->opcode & ~0x40u) == 0x19 && !insn->vex_w)
        element = 4; /* VBROADCASTF32X2, VBROADCASTI32X2: pairs of four bytes */
    return element < bytes ? element : bytes;
}

uint64_t masked_operand_bytes(struct vcpu *vcpu, const struct instruction *insn)
{
    struct extended_image image;
    unsigned bytes = memory_bytes(insn);
    unsigned element = vector_mask_element(insn);

    if (element) {
        uint8_t mask[MASKED_BOUNCE_SIZE];
        extended_image_get(vcpu, &image, extended_vector_mask(vcpu));
        mask_register(vcpu, insn, &image, mask);
        return element_bytes(sign_bits(mask, bytes, element), element, bytes);
    }
    if (insn->encoding != ENCODING_EVEX || insn->evex_mask == 0 || insn->row->element == 0)
        return low_bits(bytes);
    element = memory_element(insn);
    extended_image_get(vcpu, &image, XCR0_OPMASK);
    uint64_t mask = extended_opmask_get(vcpu, &image, insn->evex_mask);
    return element_bytes(opmask_elements(insn, mask, element, bytes / element), element, bytes);
}

/* ---- Access ---- */

enum masked_pass { PASS_READ, PASS_PROBE, PASS_WRITE };

/* One enabled element, [start, end). */
static int run_access(struct vcpu *vcpu, const struct instruction *insn, unsigned start,
                      unsigned end, enum masked_pass pass, uint8_t *data)
{
    /* Opmasked elements are alignment-checked one by one, VMASKMOV's not at all. */
    unsigned access = (pass == PASS_READ ? ACCESS_READ : ACCESS_WRITE) |
                      (insn->encoding == ENCODING_EVEX ? 0 : ACCESS_NO_ALIGN_CHECK);
    uint64_t base = is_maskmov(insn) ? vcpu->r.gpr[REGISTER_RDI] & bits_mask(insn->address_size)
                                     : operand_offset(vcpu, insn);
    uint64_t offset = base + start; /* within an operand nothing wraps at the address size */
    unsigned size = end - start;
    uint64_t linear;

    int result = segment_linear(vcpu, insn->segment, offset, size, access, &linear);
    if (result)
        return result;
    if (pass == PASS_PROBE)
        return linear_probe(vcpu, linear, size, ACCESS_WRITE);
    if (pass == PASS_READ)
        result = linear_read(vcpu, linear, data + start, size, ACCESS_READ);
    else
        result = linear_write(vcpu, linear, data + start, size, ACCESS_WRITE);
    result = access_settle(vcpu, result);
    if (result == 0)
        access_watch(vcpu, linear, size, pass == PASS_WRITE);
    return result;
}

static int runs_access(struct vcpu *vcpu, const struct instruction *insn, uint64_t bytes,
                       enum masked_pass pass, uint8_t *data)
{
    unsigned element = memory_element(insn);
    int result = 0;
    for (unsigned at = 0; at < MASKED_BOUNCE_SIZE && result == 0; at += element) {
        if (bytes >> at & 1)
            result = run_access(vcpu, insn, at, at + element, pass, data);
    }
    return result;
}

int masked_operand_read(struct vcpu *vcpu, const struct instruction *insn,
                        uint8_t bounce[MASKED_BOUNCE_SIZE])
{
    memset(bounce, 0, memory_bytes(insn));
    return runs_access(vcpu, insn, masked_operand_bytes(vcpu, insn), PASS_READ, bounce);
}

int masked_operand_probe(struct vcpu *vcpu, const struct instruction *insn)
{
    return runs_access(vcpu, insn, masked_operand_bytes(vcpu, insn), PASS_PROBE, NULL);
}

int masked_operand_write(struct vcpu *vcpu, const struct instruction *insn,
                         const uint8_t bounce[MASKED_BOUNCE_SIZE])
{
    uint64_t bytes = masked_operand_bytes(vcpu, insn);
    uint64_t checked = bytes;
    uint8_t *data = (uint8_t *)(uintptr_t)bounce; /* only read in these passes */

    /* The manuals leave open whether MASKMOV suppresses faults; AMD (measured on Zen 5) never does.
     */
    if (is_maskmov(insn) && !vcpu->vm->model.vendor_intel)
        checked = low_bits(memory_bytes(insn));
    int result = runs_access(vcpu, insn, checked, PASS_PROBE, data);
    return result ? result : runs_access(vcpu, insn, bytes, PASS_WRITE, data);
}
