/* SPDX-License-Identifier: MIT */
/*
 * image.h - the engine's own image: relocation, and moving to the base chosen for this launch.
 */
#ifndef ORIGAMI_ENGINE_IMAGE_H
#define ORIGAMI_ENGINE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_STACK_SIZE  (256u << 10)
#define IMAGE_SIGNAL_SIZE (64u << 10) /* power of two; the signal stack is aligned to it */

/* Applies the image's relative relocations where it runs now. Before it, no table of pointers may
 * be used. */
void image_relocate(void);

/*
 * Copies the image to `base` (page aligned; 0: where the kernel has room), gives it a stack and a
 * signal stack with guard pages, continues there in `function(signal_stack)`, and unmaps everything
 * else of the 47-bit user space: the old image, stack, vDSO and whatever the process was started
 * with. Does not return; -errno if the new place could not be had.
 */
long image_move(uint64_t base, void (*function)(uint64_t signal_stack));

#endif
