// SHA-1 of 8 messages in the lanes of AVX2, for CPUs with neither AVX-512 nor the SHA instructions.
#if defined(__x86_64__)
#include "kernels.h"
#include <immintrin.h>

#define V __m256i
#define ADD(x, y) _mm256_add_epi32(x, y)
#define ROL(x, n) _mm256_or_si256(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - (n)))
#define CH(x, y, z) _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)))
#define PARITY(x, y, z) _mm256_xor_si256(_mm256_xor_si256(x, y), z)
#define MAJ(x, y, z) _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)))
#define XOR4(x, y, z, u) _mm256_xor_si256(_mm256_xor_si256(x, y), _mm256_xor_si256(z, u))
#define SET1(k) _mm256_set1_epi32(k)
#include "lanes.h"

#define TARGET __attribute__((target("avx2")))

// Row i of `r` is 8 words of message i; afterwards row i is word i of 8 messages.
TARGET static inline __attribute__((always_inline)) void transpose(__m256i *r) {
    __m256i t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
    }
}

TARGET void ccbt_sha1_blocks_avx2(uint32_t *const *h, const uint8_t *const *data, size_t blocks) {
    const __m256i byte_order =
        _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL));
    uint32_t state[5][8] __attribute__((aligned(32)));
    for (int l = 0; l < 8; l++)
        for (int i = 0; i < 5; i++) state[i][l] = h[l][i];
    __m256i s[5];
    for (int i = 0; i < 5; i++) s[i] = _mm256_load_si256((const __m256i *)state[i]);
    for (size_t n = 0; n < blocks; n++) {
        __m256i w[16];
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 8; l++)
                w[half * 8 + l] = _mm256_shuffle_epi8(
                    _mm256_loadu_si256((const __m256i *)(data[l] + n * 64 + half * 32)), byte_order);
            transpose(w + half * 8);
        }
        __m256i a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];
        ALL_ROUNDS;
        s[0] = ADD(s[0], a);
        s[1] = ADD(s[1], b);
        s[2] = ADD(s[2], c);
        s[3] = ADD(s[3], d);
        s[4] = ADD(s[4], e);
    }
    for (int i = 0; i < 5; i++) _mm256_store_si256((__m256i *)state[i], s[i]);
    for (int l = 0; l < 8; l++)
        for (int i = 0; i < 5; i++) h[l][i] = state[i][l];
}
#endif
