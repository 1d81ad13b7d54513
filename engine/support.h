/* SPDX-License-Identifier: MIT */
/*
 * support.h - the few things a freestanding program must bring along: memory functions, error
 * numbers, integer helpers. Hosted builds take the same names from the C library.
 */
#ifndef ORIGAMI_ENGINE_SUPPORT_H
#define ORIGAMI_ENGINE_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef ORIGAMI_HOSTED
#include <errno.h>
#include <string.h>
#else
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *left, const void *right, size_t size);
/* Linux's numbers (asm-generic/errno-base.h, errno.h). */
#define ENOENT     2
#define EIO        5
#define EAGAIN     11
#define ENOMEM     12
#define EFAULT     14
#define EEXIST     17
#define EINVAL     22
#define ENOSPC     28
#define EOPNOTSUPP 95
#define ESHUTDOWN  108
#define ECANCELED  125
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t bits_mask(unsigned bytes)
{
    return bytes >= 8 ? ~0ull : (1ull << (bytes * 8)) - 1;
}

#endif
