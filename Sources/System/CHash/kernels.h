// The kernels: each advances exactly its number of lanes by `blocks` blocks of 64 bytes. h[i] is lane i's state.
#ifndef CCBT_KERNELS_H
#define CCBT_KERNELS_H

#include "include/CHash.h"

extern const uint32_t ccbt_sha256_constants[64];
void ccbt_sha1_blocks_openssl(uint32_t *h, const uint8_t *data, size_t blocks);
#if defined(__x86_64__)
void ccbt_sha1_blocks_shani1(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha1_blocks_shani2(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha1_blocks_shani4(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha1_blocks_avx2(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha1_blocks_avx512(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha256_blocks_shani1(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha256_blocks_shani2(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
void ccbt_sha256_blocks_avx512(uint32_t *const *h, const uint8_t *const *data, size_t blocks);
#endif

#endif
