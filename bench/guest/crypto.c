/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4) and AES-128 (FIPS 197), in plain C and with the CPU's own instructions. */
#include "bench.h"

#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t sha_k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t sha_start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

typedef void sha_function(uint32_t state[8], const unsigned char *data, size_t blocks);

static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static void sha_plain(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    for (; blocks--; data += 64) {
        uint32_t w[64], s[8];

        for (int i = 0; i < 16; i++) {
            memcpy(&w[i], data + 4 * i, 4);
            w[i] = __builtin_bswap32(w[i]);
        }
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        memcpy(s, state, sizeof(s));
        for (int i = 0; i < 64; i++) {
            uint32_t e = s[4], a = s[0];
            uint32_t t = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                         ((e & s[5]) ^ (~e & s[6])) + sha_k[i] + w[i];
            uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                         ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

            memmove(&s[1], &s[0], 7 * sizeof(s[0]));
            s[4] += t;
            s[0] = t + u;
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

/* The instructions want the state as ABEF and CDGH, and four message words at a time. */
__attribute__((target("sha,sse4.1"))) static void
sha_instructions(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);

    for (; blocks--; data += 64) {
        __m128i m[4], abef_before = abef, cdgh_before = cdgh;

        for (int i = 0; i < 4; i++)
            m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i w = m[i % 4];
            __m128i t = _mm_add_epi32(w, _mm_load_si128((const __m128i *)&sha_k[4 * i]));

            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, t);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(t, 0x0e));
            if (i < 12) {
                __m128i x = _mm_sha256msg1_epu32(w, m[(i + 1) % 4]);

                x = _mm_add_epi32(x, _mm_alignr_epi8(m[(i + 3) % 4], m[(i + 2) % 4], 4));
                m[i % 4] = _mm_sha256msg2_epu32(x, m[(i + 3) % 4]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    state[0] = (uint32_t)_mm_extract_epi32(abef, 3);
    state[1] = (uint32_t)_mm_extract_epi32(abef, 2);
    state[4] = (uint32_t)_mm_extract_epi32(abef, 1);
    state[5] = (uint32_t)_mm_extract_epi32(abef, 0);
    state[2] = (uint32_t)_mm_extract_epi32(cdgh, 3);
    state[3] = (uint32_t)_mm_extract_epi32(cdgh, 2);
    state[6] = (uint32_t)_mm_extract_epi32(cdgh, 1);
    state[7] = (uint32_t)_mm_extract_epi32(cdgh, 0);
}

static int sha_shown(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & 1u << 29 &&
           __builtin_cpu_supports("sse4.1");
}

static int sha_work(struct run *run, uint64_t *sum, sha_function *function)
{
    enum { BLOCKS = 256 };
    unsigned char *data = malloc(BLOCKS * 64);
    uint32_t state[8];
    uint64_t seed = 5;

    if (!data)
        return -ENOMEM;
    for (size_t i = 0; i < BLOCKS * 64; i++)
        data[i] = (unsigned char)(random_next(&seed) >> 56);
    memcpy(state, sha_start, sizeof(state));
    run_begin(run);
    for (uint64_t round = 0; round < run->n; round++)
        function(state, data, BLOCKS);
    *sum = hash_bytes(HASH_START, state, sizeof(state));
    free(data);
    return 0;
}

int item_sha256(struct run *run, uint64_t *sum)
{
    return sha_work(run, sum, sha_plain);
}

int item_sha256_best(struct run *run, uint64_t *sum)
{
    int shown = sha_shown();

    run->variant = shown ? "sha-ni" : "c";
    return sha_work(run, sum, shown ? sha_instructions : sha_plain);
}

struct aes {
    unsigned char box[256];
    unsigned char key[11][16];
};

static unsigned char twice(unsigned char x)
{
    return (unsigned char)(x << 1 ^ (x >> 7) * 0x1b);
}

/* The S-box from its definition: inverses by walking the powers of 3 and of its inverse 0xf6. */
static void aes_prepare(struct aes *aes)
{
    unsigned char p = 1, q = 1, power = 1;

    do {
        p ^= twice(p);
        q ^= (unsigned char)(q << 1);
        q ^= (unsigned char)(q << 2);
        q ^= (unsigned char)(q << 4);
        q ^= q & 0x80 ? 0x09 : 0;
        unsigned x = q, r = x << 8 | x;
        aes->box[p] = (unsigned char)(x ^ r >> 7 ^ r >> 6 ^ r >> 5 ^ r >> 4 ^ 0x63);
    } while (p != 1);
    aes->box[0] = 0x63;
    for (int i = 0; i < 16; i++)
        aes->key[0][i] = (unsigned char)(i * 17);
    for (int round = 1; round <= 10; round++) {
        unsigned char *k = aes->key[round], *before = aes->key[round - 1];

        for (int i = 0; i < 4; i++)
            k[i] = before[i] ^ aes->box[before[12 + (i + 1) % 4]];
        k[0] ^= power;
        power = twice(power);
        for (int i = 4; i < 16; i++)
            k[i] = before[i] ^ k[i - 4];
    }
}

static void aes_plain(const struct aes *aes, unsigned char *block)
{
    for (int i = 0; i < 16; i++)
        block[i] ^= aes->key[0][i];
    for (int round = 1; round <= 10; round++) {
        unsigned char s[16];

        for (int i = 0; i < 16; i++)
            s[i] = aes->box[block[i * 5 % 16]];
        for (int column = 0; column < 16; column += 4) {
            const unsigned char *c = s + column;
            unsigned char all = c[0] ^ c[1] ^ c[2] ^ c[3];

            for (int i = 0; i < 4; i++)
                block[column + i] =
                    round == 10 ? c[i] : (unsigned char)(c[i] ^ all ^ twice(c[i] ^ c[(i + 1) % 4]));
        }
        for (int i = 0; i < 16; i++)
            block[i] ^= aes->key[round][i];
    }
}

static void aes_work_plain(const struct aes *aes, unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 16)
        aes_plain(aes, data + i);
}

__attribute__((target("aes"))) static void aes_work_instructions(const struct aes *aes,
                                                                 unsigned char *data, size_t bytes)
{
    __m128i key[11];

    for (int i = 0; i < 11; i++)
        key[i] = _mm_loadu_si128((const __m128i *)aes->key[i]);
    for (size_t at = 0; at < bytes; at += 64) {
        __m128i *p = (__m128i *)(data + at);
        __m128i a = _mm_xor_si128(p[0], key[0]), b = _mm_xor_si128(p[1], key[0]);
        __m128i c = _mm_xor_si128(p[2], key[0]), d = _mm_xor_si128(p[3], key[0]);

        for (int i = 1; i < 10; i++) {
            a = _mm_aesenc_si128(a, key[i]);
            b = _mm_aesenc_si128(b, key[i]);
            c = _mm_aesenc_si128(c, key[i]);
            d = _mm_aesenc_si128(d, key[i]);
        }
        p[0] = _mm_aesenclast_si128(a, key[10]);
        p[1] = _mm_aesenclast_si128(b, key[10]);
        p[2] = _mm_aesenclast_si128(c, key[10]);
        p[3] = _mm_aesenclast_si128(d, key[10]);
    }
}

int item_aes(struct run *run, uint64_t *sum)
{
    enum { BYTES = 1 << 14 };
    unsigned char *data = aligned_alloc(64, BYTES);
    unsigned a, b, c = 0, d;
    uint64_t seed = 9;
    struct aes aes;

    if (!data)
        return -ENOMEM;
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (unsigned char)(random_next(&seed) >> 56);
    aes_prepare(&aes);
    int shown = __get_cpuid(1, &a, &b, &c, &d) && c & bit_AES;
    run->variant = shown ? "aes-ni" : "c";
    run_begin(run);
    for (uint64_t round = 0; round < run->n; round++)
        if (shown)
            aes_work_instructions(&aes, data, BYTES);
        else
            aes_work_plain(&aes, data, BYTES);
    *sum = hash_bytes(HASH_START, data, BYTES);
    free(data);
    return 0;
}
