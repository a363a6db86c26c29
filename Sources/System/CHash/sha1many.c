// Chooses the kernel, fills its lanes, pads the last block.
#include "kernels.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Widest kernel's lanes.
enum { MAX_LANES = 16, BLOCK = 64 };

static struct {
    int shani, avx2, avx512, forced;
    char name[96];
} cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    cpu.avx2 = __builtin_cpu_supports("avx2") != 0;
    cpu.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    // The SHA instructions: leaf 7, EBX bit 29 (not every compiler's cpu_supports knows them). They use SSE registers only.
    unsigned a = 7, b = 0, c = 0, d = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    cpu.shani = (b >> 29 & 1) && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
#endif
    const char *wanted = getenv("CCBT_SHA1");
    if (wanted) {
        if (!strcmp(wanted, "openssl")) cpu.forced = CCBT_SHA1_OPENSSL;
        if (!strcmp(wanted, "shani") && cpu.shani) cpu.forced = CCBT_SHA1_SHANI;
        if (!strcmp(wanted, "avx2") && cpu.avx2) cpu.forced = CCBT_SHA1_AVX2;
        if (!strcmp(wanted, "avx512") && cpu.avx512) cpu.forced = CCBT_SHA1_AVX512;
    }
    int wide = cpu.forced ? cpu.forced == CCBT_SHA1_AVX512 : cpu.avx512;
    int stream = cpu.forced ? cpu.forced == CCBT_SHA1_SHANI : cpu.shani;
    int middle = cpu.forced ? cpu.forced == CCBT_SHA1_AVX2 : cpu.avx2 && !cpu.shani && !cpu.avx512;
    strcpy(cpu.name, "SHA-1 by ");
    if (wide) strcat(cpu.name, "16 AVX-512 lanes");
    if (wide && stream) strcat(cpu.name, ", ");
    if (stream) strcat(cpu.name, "4 SHA-NI streams");
    if (middle) strcat(cpu.name, "8 AVX2 lanes");
    if (!wide && !stream && !middle) strcat(cpu.name, "OpenSSL");
}

int ccbt_sha1_has(ccbt_sha1_kernel kernel) {
    pthread_once(&cpu_once, detect);
    switch (kernel) {
    case CCBT_SHA1_AUTO:
    case CCBT_SHA1_OPENSSL: return 1;
    case CCBT_SHA1_SHANI: return cpu.shani;
    case CCBT_SHA1_AVX2: return cpu.avx2;
    case CCBT_SHA1_AVX512: return cpu.avx512;
    }
    return 0;
}

const char *ccbt_hash_kernel_name(void) {
    pthread_once(&cpu_once, detect);
    return cpu.name;
}

size_t ccbt_sha1_best_batch(void) {
    pthread_once(&cpu_once, detect);
    int kernel = cpu.forced;
    if (kernel ? kernel == CCBT_SHA1_AVX512 : cpu.avx512) return 16;
    if (kernel ? kernel == CCBT_SHA1_SHANI : cpu.shani) return 4;
    if (kernel ? kernel == CCBT_SHA1_AVX2 : cpu.avx2) return 8;
    return 1;
}

void ccbt_sha1_start(ccbt_sha1_context *c) {
    *c = (ccbt_sha1_context){.h = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}};
}

#if defined(__x86_64__)
typedef void (*lane_kernel)(uint32_t *const *, const uint8_t *const *, size_t);

// A kernel of `lanes` lanes over `n` <= lanes messages: lanes without a message repeat the first one's bytes into a
// state that is thrown away.
static void run_lanes(
    lane_kernel run, size_t lanes, ccbt_sha1_context *const *contexts, const uint8_t *const *data, size_t blocks, size_t n) {
    uint32_t *h[MAX_LANES], waste[MAX_LANES][5] = {{0}};
    const uint8_t *p[MAX_LANES];
    for (size_t l = 0; l < lanes; l++) {
        h[l] = l < n ? contexts[l]->h : waste[l];
        p[l] = data[l < n ? l : 0];
    }
    run(h, p, blocks);
}
#endif

void ccbt_sha1_advance(
    ccbt_sha1_kernel kernel, ccbt_sha1_context *const *contexts, const uint8_t *const *data, size_t blocks, size_t count) {
    pthread_once(&cpu_once, detect);
    if (blocks == 0) return;
    for (size_t i = 0; i < count; i++) contexts[i]->length += (uint64_t)blocks * BLOCK;
    if (kernel == CCBT_SHA1_AUTO) kernel = cpu.forced;
    size_t i = 0;
#if defined(__x86_64__)
    int any = kernel == CCBT_SHA1_AUTO;
    int wide = any ? cpu.avx512 : kernel == CCBT_SHA1_AVX512 && cpu.avx512;
    int stream = any ? cpu.shani : kernel == CCBT_SHA1_SHANI && cpu.shani;
    int middle = any ? cpu.avx2 && !cpu.shani : kernel == CCBT_SHA1_AVX2 && cpu.avx2;
    // Part-filled lanes waste their share: with 12 of 16 the wide kernel makes 4.9 GiB/s, four streams 4.3 (Zen 4).
    // Beside one OpenSSL stream (1.8, or 0.9 without the SHA instructions) 4 of 16 or 3 of 8 are enough.
    size_t wide_from = stream ? 12 : any ? 4 : 1, middle_from = any ? 3 : 1;
    while (i < count) {
        size_t left = count - i, n;
        ccbt_sha1_context *const *c = contexts + i;
        const uint8_t *const *d = data + i;
        if (wide && left >= wide_from) {
            n = left < 16 ? left : 16;
            run_lanes(ccbt_sha1_blocks_avx512, 16, c, d, blocks, n);
        } else if (stream) {
            n = left >= 3 ? (left < 4 ? left : 4) : left;
            run_lanes(n >= 3 ? ccbt_sha1_blocks_shani4 : n == 2 ? ccbt_sha1_blocks_shani2 : ccbt_sha1_blocks_shani1,
                      n >= 3 ? 4 : n, c, d, blocks, n);
        } else if (middle && left >= middle_from) {
            n = left < 8 ? left : 8;
            run_lanes(ccbt_sha1_blocks_avx2, 8, c, d, blocks, n);
        } else {
            break;
        }
        i += n;
    }
#endif
    for (; i < count; i++) ccbt_sha1_blocks_openssl(contexts[i]->h, data[i], blocks);
}

// The last blocks: rest of the message, 0x80, zeros, length in bits (FIPS 180-4, 5.1.1). Returns 1 or 2.
static size_t pad(uint8_t out[2 * BLOCK], const uint8_t *rest, size_t rest_length, uint64_t total) {
    size_t blocks = rest_length < BLOCK - 8 ? 1 : 2;
    memset(out, 0, 2 * BLOCK);
    if (rest_length) memcpy(out, rest, rest_length);
    out[rest_length] = 0x80;
    for (int i = 0; i < 8; i++) out[blocks * BLOCK - 1 - i] = (uint8_t)(total * 8 >> (8 * i));
    return blocks;
}

static void digest(const ccbt_sha1_context *c, uint8_t *out20) {
    for (int i = 0; i < 20; i++) out20[i] = (uint8_t)(c->h[i / 4] >> (24 - i % 4 * 8));
}

void ccbt_sha1_finish(ccbt_sha1_context *c, const uint8_t *tail, size_t tail_length, uint8_t *out20) {
    uint8_t last[2 * BLOCK];
    ccbt_sha1_advance(CCBT_SHA1_AUTO, &c, &tail, tail_length / BLOCK, 1);
    size_t whole = tail_length / BLOCK * BLOCK, rest = tail_length - whole;
    size_t blocks = pad(last, rest ? tail + whole : NULL, rest, c->length + rest);
    const uint8_t *p = last;
    ccbt_sha1_advance(CCBT_SHA1_AUTO, &c, &p, blocks, 1);
    digest(c, out20);
}

void ccbt_sha1_many_by(ccbt_sha1_kernel kernel, const uint8_t *const *data, size_t length, size_t count, uint8_t *out20) {
    ccbt_sha1_context contexts[MAX_LANES], *c[MAX_LANES];
    uint8_t last[MAX_LANES][2 * BLOCK];
    const uint8_t *p[MAX_LANES];
    for (size_t first = 0; first < count; first += MAX_LANES) {
        size_t n = count - first < MAX_LANES ? count - first : MAX_LANES, whole = length / BLOCK * BLOCK, blocks = 1;
        for (size_t i = 0; i < n; i++) {
            ccbt_sha1_start(c[i] = &contexts[i]);
            size_t rest = length - whole;
            blocks = pad(last[i], rest ? data[first + i] + whole : NULL, rest, length);
            p[i] = last[i];
        }
        ccbt_sha1_advance(kernel, c, data + first, length / BLOCK, n);
        ccbt_sha1_advance(kernel, c, p, blocks, n);
        for (size_t i = 0; i < n; i++) digest(c[i], out20 + (first + i) * 20);
    }
}

void ccbt_sha1_many(const uint8_t *const *data, size_t length, size_t count, uint8_t *out20) {
    ccbt_sha1_many_by(CCBT_SHA1_AUTO, data, length, count, out20);
}
