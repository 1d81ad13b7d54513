/* SPDX-License-Identifier: MIT */
/*
 * extendedstate.h - a private copy of the guest's x87, vector and mask registers, in the standard
 * XSAVE format with every component written out.
 *
 * The instructions that show or replace this state work on such a copy, never on guest memory: what
 * the host's XRSTOR sees has been built here and cannot fault.
 */
#ifndef ORIGAMI_ENGINE_INTERPRETER_EXTENDEDSTATE_H
#define ORIGAMI_ENGINE_INTERPRETER_EXTENDEDSTATE_H

#include "interpreter.h"

struct extended_image {
    _Alignas(64) uint8_t byte[XSAVE_AREA_SIZE];
};

/* Offsets in the legacy region (SDM Vol. 1, table 10-2) and header. */
enum {
    IMAGE_FCW = 0,
    IMAGE_FSW = 2,
    IMAGE_FTW = 4,
    IMAGE_FOP = 6,
    IMAGE_FIP = 8,
    IMAGE_FCS = 12,
    IMAGE_FDP = 16,
    IMAGE_FDS = 20,
    IMAGE_MXCSR = 24,
    IMAGE_MXCSR_MASK = 28,
    IMAGE_ST = 32,
    IMAGE_XMM = 160,
    IMAGE_LEGACY_END = 416,
    IMAGE_HEADER = 512,
    IMAGE_XCOMP_BV = 520,
    IMAGE_EXTENDED = 576
};
#define FSW_EXCEPTIONS 0x003fu
#define FSW_SUMMARY    0x0080u /* ES */
#define FSW_BUSY       0x8000u
#define FSW_TOP_SHIFT  11
#define FCW_INITIAL    0x037fu
#define FCW_MASKS      0x003fu
#define MXCSR_INITIAL  0x1f80u

static inline uint16_t image_get16(const struct extended_image *image, unsigned offset)
{
    uint16_t value;
    memcpy(&value, image->byte + offset, sizeof(value));
    return value;
}
static inline void image_set16(struct extended_image *image, unsigned offset, uint16_t value)
{
    memcpy(image->byte + offset, &value, sizeof(value));
}
static inline uint32_t image_get32(const struct extended_image *image, unsigned offset)
{
    uint32_t value;
    memcpy(&value, image->byte + offset, sizeof(value));
    return value;
}
static inline void image_set32(struct extended_image *image, unsigned offset, uint32_t value)
{
    memcpy(image->byte + offset, &value, sizeof(value));
}
static inline uint64_t image_get64(const struct extended_image *image, unsigned offset)
{
    uint64_t value;
    memcpy(&value, image->byte + offset, sizeof(value));
    return value;
}
static inline void image_set64(struct extended_image *image, unsigned offset, uint64_t value)
{
    memcpy(image->byte + offset, &value, sizeof(value));
}

/* Copies the components of `mask` (XCR0 bits; PKRU and what the guest was not given are left out)
 * and writes initial values out. The x87 pointers in it are zero: they live in vcpu->r. */
void extended_image_get(struct vcpu *vcpu, struct extended_image *image, uint64_t mask);
/* Makes the components of `mask` the guest's registers. MXCSR comes along with SSE or AVX. */
void extended_image_put(struct vcpu *vcpu, struct extended_image *image, uint64_t mask);
/* Sets components of the image to their initial configuration (MXCSR is not part of SSE here).
 * Without all_registers only what code outside 64-bit mode can name: vector registers 0-7. */
void extended_image_reset(const struct cpu_model *model, struct extended_image *image,
                          uint64_t mask, bool all_registers);
/* Bytes of component 2-9 that hold those registers. */
unsigned extended_component_bytes(const struct cpu_model *model, unsigned component,
                                  bool all_registers);
/* Which components of `mask` differ from it: XINUSE, decided by value so that it repeats. */
uint64_t extended_image_in_use(const struct vcpu *vcpu, const struct extended_image *image,
                               uint64_t mask);

/* x87 pointers between vcpu->r and an image about to be shown or just taken; wide: the 64-bit form.
 */
void extended_pointers_store(const struct vcpu *vcpu, struct extended_image *image, bool wide);
void extended_pointers_load(struct vcpu *vcpu, const struct extended_image *image, bool wide);

/* Is an unmasked x87 exception waiting to be reported (FSW.ES)? */
bool extended_x87_pending(struct vcpu *vcpu);

/* Components that hold vector registers and masks, as far as the guest's XCR0 enables them. */
uint64_t extended_vector_mask(const struct vcpu *vcpu);
/* Vector register 0-31, `size` 16, 32 or 64 bytes. Setting clears the register above `size`. */
void extended_vector_get(const struct vcpu *vcpu, const struct extended_image *image,
                         unsigned number, unsigned size, void *out);
void extended_vector_set(const struct vcpu *vcpu, struct extended_image *image, unsigned number,
                         unsigned size, const void *in);
/* Mask register k0-k7. */
uint64_t extended_opmask_get(const struct vcpu *vcpu, const struct extended_image *image,
                             unsigned number);
void extended_opmask_set(const struct vcpu *vcpu, struct extended_image *image, unsigned number,
                         uint64_t value);

/* The gates of the FXSAVE and XSAVE families (SDM Vol. 2, their exception lists). */
int extended_gate_fxsave(struct vcpu *vcpu) MUST_CHECK;
int extended_gate_xsave(struct vcpu *vcpu) MUST_CHECK;

/* Linear address of an area of `size` bytes, aligned to `alignment` or #GP(0). Its first and its
 * last byte must be accessible, in this order, whatever of it is then touched (as on AMD's
 * processors). */
int extended_area(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                  unsigned alignment, unsigned access, uint64_t *linear) MUST_CHECK;

/* Pieces of an image to be written at a linear address: all are probed before the first is written,
 * and bytes between them stay as they are. */
#define PIECE_MAX 16
struct piece {
    uint16_t from, to, size; /* offset in the image; offset from the linear address */
};
struct piece_list {
    struct piece piece[PIECE_MAX];
    unsigned count;
};
void piece_add(struct piece_list *list, unsigned from, unsigned to, unsigned size);
/* Reads [linear, linear + size) whole. */
int extended_read(struct vcpu *vcpu, uint64_t linear, void *to, unsigned size) MUST_CHECK;
int piece_write(struct vcpu *vcpu, const struct piece_list *list,
                const struct extended_image *image, uint64_t linear) MUST_CHECK;

#endif
