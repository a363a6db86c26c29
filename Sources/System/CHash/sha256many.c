// SHA-256 of many messages of one length, and the hash trees of BEP 52 on top of it.
//
// Kernels: 16 lanes of AVX-512 | 2 or 1 streams on the SHA instructions | OpenSSL, one message after the other.
#include "kernels.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LANES = 16, BLOCK = 64 };

static struct {
    int shani, avx512, forced;
    char name[96];
} cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static const uint32_t start_state[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

const uint32_t ccbt_sha256_constants[64] __attribute__((aligned(64))) = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5, 0xD807AA98, 0x12835B01, 0x243185BE,
    0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA,
    0x5CB0A9DC, 0x76F988DA, 0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967, 0x27B70A85,
    0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85, 0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3,
    0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070, 0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F,
    0x682E6FF3, 0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

static void detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    cpu.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    unsigned a = 7, b = 0, c = 0, d = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    cpu.shani = (b >> 29 & 1) && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
#endif
    const char *wanted = getenv("CCBT_SHA256");
    if (wanted) {
        if (!strcmp(wanted, "openssl")) cpu.forced = CCBT_SHA256_OPENSSL;
        if (!strcmp(wanted, "shani") && cpu.shani) cpu.forced = CCBT_SHA256_SHANI;
        if (!strcmp(wanted, "avx512") && cpu.avx512) cpu.forced = CCBT_SHA256_AVX512;
    }
    int wide = cpu.forced ? cpu.forced == CCBT_SHA256_AVX512 : cpu.avx512;
    int stream = cpu.forced ? cpu.forced == CCBT_SHA256_SHANI : cpu.shani;
    strcpy(cpu.name, "SHA-256 by ");
    if (wide) strcat(cpu.name, "16 AVX-512 lanes");
    if (wide && stream) strcat(cpu.name, ", ");
    if (stream) strcat(cpu.name, "2 SHA-NI streams");
    if (!wide && !stream) strcat(cpu.name, "OpenSSL");
}

int ccbt_sha256_has(ccbt_sha256_kernel kernel) {
    pthread_once(&cpu_once, detect);
    switch (kernel) {
    case CCBT_SHA256_AUTO:
    case CCBT_SHA256_OPENSSL: return 1;
    case CCBT_SHA256_SHANI: return cpu.shani;
    case CCBT_SHA256_AVX512: return cpu.avx512;
    }
    return 0;
}

const char *ccbt_sha256_kernel_name(void) {
    pthread_once(&cpu_once, detect);
    return cpu.name;
}

#if defined(__x86_64__)
// Advances n states by `blocks` blocks of 64 bytes: the widest kernel that pays for so many messages.
static void advance(int wide, int stream, uint32_t (*h)[8], const uint8_t *const *data, size_t blocks, size_t n) {
    uint32_t waste[MAX_LANES][8] = {{0}}, *states[MAX_LANES];
    const uint8_t *p[MAX_LANES];
    for (size_t i = 0; i < n;) {
        size_t left = n - i;
        // Full, 16 lanes and two streams make the same 2.6 GiB/s on Zen 4; lanes that are empty are wasted.
        if (wide && (left >= MAX_LANES || !stream)) {
            size_t take = left < MAX_LANES ? left : MAX_LANES;
            for (size_t l = 0; l < MAX_LANES; l++) {
                states[l] = l < take ? h[i + l] : waste[l];
                p[l] = data[i + (l < take ? l : 0)];
            }
            ccbt_sha256_blocks_avx512(states, p, blocks);
            i += take;
        } else {
            size_t take = left >= 2 ? 2 : 1;
            for (size_t l = 0; l < take; l++) states[l] = h[i + l];
            if (take == 2) ccbt_sha256_blocks_shani2(states, data + i, blocks);
            else ccbt_sha256_blocks_shani1(states, data + i, blocks);
            i += take;
        }
    }
}
#endif

void ccbt_sha256_many_by(ccbt_sha256_kernel kernel, const uint8_t *const *data, size_t length, size_t count, uint8_t *out32) {
    pthread_once(&cpu_once, detect);
    if (kernel == CCBT_SHA256_AUTO) kernel = cpu.forced;
#if defined(__x86_64__)
    int any = kernel == CCBT_SHA256_AUTO;
    int wide = any ? cpu.avx512 : kernel == CCBT_SHA256_AVX512 && cpu.avx512;
    int stream = any ? cpu.shani : kernel == CCBT_SHA256_SHANI && cpu.shani;
    if (wide || stream) {
        uint32_t h[MAX_LANES][8];
        uint8_t last[MAX_LANES][2 * BLOCK];
        const uint8_t *p[MAX_LANES];
        size_t whole = length / BLOCK * BLOCK, rest = length - whole, tail = rest < BLOCK - 8 ? 1 : 2;
        for (size_t first = 0; first < count; first += MAX_LANES) {
            size_t n = count - first < MAX_LANES ? count - first : MAX_LANES;
            for (size_t i = 0; i < n; i++) {
                memcpy(h[i], start_state, sizeof start_state);
                // FIPS 180-4, 5.1.1: the rest, 0x80, zeros, the length in bits.
                memset(last[i], 0, 2 * BLOCK);
                if (rest) memcpy(last[i], data[first + i] + whole, rest);
                last[i][rest] = 0x80;
                for (int k = 0; k < 8; k++) last[i][tail * BLOCK - 1 - k] = (uint8_t)((uint64_t)length * 8 >> (8 * k));
                p[i] = last[i];
            }
            if (length >= BLOCK) advance(wide, stream, h, data + first, length / BLOCK, n);
            advance(wide, stream, h, p, tail, n);
            for (size_t i = 0; i < n; i++)
                for (int k = 0; k < 32; k++) out32[(first + i) * 32 + k] = (uint8_t)(h[i][k / 4] >> (24 - k % 4 * 8));
        }
        return;
    }
#endif
    for (size_t i = 0; i < count; i++) ccbt_sha256(data[i], length, out32 + 32 * i);
}

void ccbt_sha256_many(const uint8_t *const *data, size_t length, size_t count, uint8_t *out32) {
    ccbt_sha256_many_by(CCBT_SHA256_AUTO, data, length, count, out32);
}

size_t ccbt_merkle_leaves(const uint8_t *data, size_t length, uint8_t *out) {
    const uint8_t *p[MAX_LANES];
    size_t whole = length / CCBT_MERKLE_BLOCK;
    for (size_t first = 0; first < whole; first += MAX_LANES) {
        size_t n = whole - first < MAX_LANES ? whole - first : MAX_LANES;
        for (size_t i = 0; i < n; i++) p[i] = data + (first + i) * CCBT_MERKLE_BLOCK;
        ccbt_sha256_many(p, CCBT_MERKLE_BLOCK, n, out + 32 * first);
    }
    size_t rest = length - whole * CCBT_MERKLE_BLOCK;
    if (rest == 0) return whole;
    const uint8_t *last = data + whole * CCBT_MERKLE_BLOCK;
    ccbt_sha256_many(&last, rest, 1, out + 32 * whole);
    return whole + 1;
}

size_t ccbt_merkle_parents(uint8_t *nodes, size_t count, uint8_t *pad32) {
    if (count & 1) memcpy(nodes + 32 * count++, pad32, 32);
    const uint8_t *p[MAX_LANES];
    // A batch's results end before the next batch's sources begin.
    for (size_t first = 0; first < count / 2; first += MAX_LANES) {
        size_t n = count / 2 - first < MAX_LANES ? count / 2 - first : MAX_LANES;
        for (size_t i = 0; i < n; i++) p[i] = nodes + 64 * (first + i);
        ccbt_sha256_many(p, 64, n, nodes + 32 * first);
    }
    uint8_t both[64];
    memcpy(both, pad32, 32);
    memcpy(both + 32, pad32, 32);
    const uint8_t *pair = both;
    ccbt_sha256_many(&pair, 64, 1, pad32);
    return count / 2;
}

void ccbt_merkle_root(const uint8_t *data, size_t length, size_t width, uint8_t *scratch, uint8_t *out32) {
    uint8_t pad[32] = {0};
    size_t count = ccbt_merkle_leaves(data, length, scratch);
    for (; width > 1; width /= 2) count = ccbt_merkle_parents(scratch, count, pad);
    memcpy(out32, scratch, 32);
}
