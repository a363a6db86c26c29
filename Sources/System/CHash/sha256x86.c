// SHA-256 on the CPU's SHA instructions (one or two interleaved streams) and in 16 lanes of AVX-512.
#if defined(__x86_64__)
#include "kernels.h"
#include <immintrin.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

// Rounds 4g ... 4g+3 of every stream; w is a ring of four vectors of four schedule words.
#define ROUNDS(L, g)                                                                                                          \
    for (int l = 0; l < L; l++) {                                                                                             \
        if (g < 4)                                                                                                            \
            w[l][(g) & 3] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p[l] + ((g) & 3) * 16)), byte_order);          \
        else                                                                                                                  \
            w[l][(g) & 3] = _mm_sha256msg2_epu32(                                                                             \
                _mm_add_epi32(_mm_sha256msg1_epu32(w[l][(g) & 3], w[l][((g) + 1) & 3]),                                       \
                              _mm_alignr_epi8(w[l][((g) + 3) & 3], w[l][((g) + 2) & 3], 4)),                                  \
                w[l][((g) + 3) & 3]);                                                                                         \
        __m128i x = _mm_add_epi32(w[l][(g) & 3], _mm_load_si128((const __m128i *)(ccbt_sha256_constants + 4 * (g))));         \
        cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], x);                                                                 \
        abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(x, 0x0E));                                        \
    }

#define KERNEL(NAME, L)                                                                                                       \
    SHA_TARGET void NAME(uint32_t *const *h, const uint8_t *const *data, size_t blocks) {                                     \
        const __m128i byte_order = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);                              \
        __m128i abef[L], cdgh[L];                                                                                             \
        const uint8_t *p[L];                                                                                                  \
        for (int l = 0; l < L; l++) {                                                                                         \
            __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)h[l]), 0xB1);                                   \
            __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(h[l] + 4)), 0x1B);                             \
            abef[l] = _mm_alignr_epi8(abcd, efgh, 8);                                                                         \
            cdgh[l] = _mm_blend_epi16(efgh, abcd, 0xF0);                                                                      \
            p[l] = data[l];                                                                                                   \
        }                                                                                                                     \
        for (size_t b = 0; b < blocks; b++) {                                                                                 \
            __m128i w[L][4], abef_start[L], cdgh_start[L];                                                                    \
            for (int l = 0; l < L; l++) {                                                                                     \
                abef_start[l] = abef[l];                                                                                      \
                cdgh_start[l] = cdgh[l];                                                                                      \
            }                                                                                                                 \
            ROUNDS(L, 0) ROUNDS(L, 1) ROUNDS(L, 2) ROUNDS(L, 3) ROUNDS(L, 4) ROUNDS(L, 5) ROUNDS(L, 6) ROUNDS(L, 7)           \
            ROUNDS(L, 8) ROUNDS(L, 9) ROUNDS(L, 10) ROUNDS(L, 11) ROUNDS(L, 12) ROUNDS(L, 13) ROUNDS(L, 14) ROUNDS(L, 15)     \
            for (int l = 0; l < L; l++) {                                                                                     \
                abef[l] = _mm_add_epi32(abef[l], abef_start[l]);                                                              \
                cdgh[l] = _mm_add_epi32(cdgh[l], cdgh_start[l]);                                                              \
                p[l] += 64;                                                                                                   \
            }                                                                                                                 \
        }                                                                                                                     \
        for (int l = 0; l < L; l++) {                                                                                         \
            __m128i feba = _mm_shuffle_epi32(abef[l], 0x1B), dchg = _mm_shuffle_epi32(cdgh[l], 0xB1);                         \
            _mm_storeu_si128((__m128i *)h[l], _mm_blend_epi16(feba, dchg, 0xF0));                                             \
            _mm_storeu_si128((__m128i *)(h[l] + 4), _mm_alignr_epi8(dchg, feba, 8));                                          \
        }                                                                                                                     \
    }

KERNEL(ccbt_sha256_blocks_shani1, 1)
KERNEL(ccbt_sha256_blocks_shani2, 2)

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define ADD(x, y) _mm512_add_epi32(x, y)
#define ROR(x, n) _mm512_ror_epi32(x, n)
#define XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define CH(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xCA)
#define MAJ(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xE8)

// Row i of `r` is 16 words of message i; afterwards row i is word i of 16 messages.
TARGET static inline __attribute__((always_inline)) void transpose(__m512i *r) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int j = 0; j < 4; j++) {
        __m512i a = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88), b = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xDD);
        __m512i c = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88), d = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xDD);
        t[j] = _mm512_shuffle_i32x4(a, c, 0x88);
        t[8 + j] = _mm512_shuffle_i32x4(a, c, 0xDD);
        t[4 + j] = _mm512_shuffle_i32x4(b, d, 0x88);
        t[12 + j] = _mm512_shuffle_i32x4(b, d, 0xDD);
    }
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

#define SMALL0(x) XOR3(ROR(x, 7), ROR(x, 18), _mm512_srli_epi32(x, 3))
#define SMALL1(x) XOR3(ROR(x, 17), ROR(x, 19), _mm512_srli_epi32(x, 10))
#define WORD(t)                                                                                                    \
    ((t) < 16 ? w[(t) & 15]                                                                                        \
              : (w[(t) & 15] = ADD(ADD(w[(t) & 15], SMALL0(w[((t) + 1) & 15])), ADD(w[((t) + 9) & 15], SMALL1(w[((t) + 14) & 15])))))
#define ROUND(a, b, c, d, e, f, g, h, t)                                                                           \
    do {                                                                                                           \
        __m512i one = ADD(ADD(h, XOR3(ROR(e, 6), ROR(e, 11), ROR(e, 25))),                                         \
                          ADD(ADD(CH(e, f, g), _mm512_set1_epi32((int)ccbt_sha256_constants[t])), WORD(t)));       \
        d = ADD(d, one);                                                                                           \
        h = ADD(one, ADD(XOR3(ROR(a, 2), ROR(a, 13), ROR(a, 22)), MAJ(a, b, c)));                                  \
    } while (0)
#define ROUNDS8(t)                                                                                                 \
    ROUND(a, b, c, d, e, f, g, h, (t));                                                                            \
    ROUND(h, a, b, c, d, e, f, g, (t) + 1);                                                                        \
    ROUND(g, h, a, b, c, d, e, f, (t) + 2);                                                                        \
    ROUND(f, g, h, a, b, c, d, e, (t) + 3);                                                                        \
    ROUND(e, f, g, h, a, b, c, d, (t) + 4);                                                                        \
    ROUND(d, e, f, g, h, a, b, c, (t) + 5);                                                                        \
    ROUND(c, d, e, f, g, h, a, b, (t) + 6);                                                                        \
    ROUND(b, c, d, e, f, g, h, a, (t) + 7)

TARGET void ccbt_sha256_blocks_avx512(uint32_t *const *states, const uint8_t *const *data, size_t blocks) {
    const __m512i byte_order = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL));
    uint32_t words[8][16] __attribute__((aligned(64)));
    for (int l = 0; l < 16; l++)
        for (int i = 0; i < 8; i++) words[i][l] = states[l][i];
    __m512i s[8];
    for (int i = 0; i < 8; i++) s[i] = _mm512_load_si512(words[i]);
    for (size_t n = 0; n < blocks; n++) {
        __m512i w[16];
        for (int l = 0; l < 16; l++) {
            w[l] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[l] + n * 64), byte_order);
            // As in avx512.c: 16 streams are more than the hardware prefetcher follows.
            _mm_prefetch((const char *)data[l] + n * 64 + 512, _MM_HINT_T0);
        }
        transpose(w);
        __m512i a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
        ROUNDS8(0);
        ROUNDS8(8);
        ROUNDS8(16);
        ROUNDS8(24);
        ROUNDS8(32);
        ROUNDS8(40);
        ROUNDS8(48);
        ROUNDS8(56);
        s[0] = ADD(s[0], a);
        s[1] = ADD(s[1], b);
        s[2] = ADD(s[2], c);
        s[3] = ADD(s[3], d);
        s[4] = ADD(s[4], e);
        s[5] = ADD(s[5], f);
        s[6] = ADD(s[6], g);
        s[7] = ADD(s[7], h);
    }
    for (int i = 0; i < 8; i++) _mm512_store_si512(words[i], s[i]);
    for (int l = 0; l < 16; l++)
        for (int i = 0; i < 8; i++) states[l][i] = words[i][l];
}
#endif
