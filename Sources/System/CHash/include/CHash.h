// SHA-1 and SHA-256 of many messages at once, the hash trees of BEP 52, and the one-shot hashes.
//
// A message is hashed in one thread by one of these kernels, which differ only in how many independent messages
// they interleave:
//   16 lanes of AVX-512 | 8 lanes of AVX2 | 4, 2 or 1 streams on the SHA instructions | OpenSSL, one stream.
// CCBT_SHA1_AUTO picks the quickest mix that the CPU has for the number of messages given.
#ifndef CCBT_CHASH_H
#define CCBT_CHASH_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    CCBT_SHA1_AUTO = 0,
    CCBT_SHA1_OPENSSL = 1,
    CCBT_SHA1_SHANI = 2,
    CCBT_SHA1_AVX2 = 3,
    CCBT_SHA1_AVX512 = 4,
} ccbt_sha1_kernel;

// The running state of one message.
typedef struct {
    uint32_t h[5];
    uint32_t reserved;
    // Bytes taken in so far; a multiple of 64 until it is finished.
    uint64_t length;
} ccbt_sha1_context;

// 1 when this CPU can run the kernel.
int ccbt_sha1_has(ccbt_sha1_kernel kernel);
// Kernel used for AUTO may be forced by the environment: CCBT_SHA1=openssl|shani|avx2|avx512 (ignored when the CPU lacks it).
// Text for people, as "SHA-1 by 16 AVX-512 lanes, 4 SHA-NI streams".
const char *ccbt_hash_kernel_name(void);
// How many messages at once give the best rate; a smaller batch from which more is only a little better.
size_t ccbt_sha1_best_batch(void);

// `count` messages of `length` bytes each; 20 bytes of digest per message go to `out20`.
void ccbt_sha1_many(const uint8_t *const *data, size_t length, size_t count, uint8_t *out20);
void ccbt_sha1_many_by(ccbt_sha1_kernel kernel, const uint8_t *const *data, size_t length, size_t count, uint8_t *out20);

// Incremental: contexts that advance together by a run of 64-byte blocks, so that pieces of different length share
// lanes and one step's time is bounded.
void ccbt_sha1_start(ccbt_sha1_context *context);
// Takes blocks * 64 bytes from data[i] into *contexts[i], for each i < count.
void ccbt_sha1_advance(ccbt_sha1_kernel kernel, ccbt_sha1_context *const *contexts, const uint8_t *const *data, size_t blocks, size_t count);
// Takes the last `tail_length` bytes (any number) and writes the digest. The context is used up.
void ccbt_sha1_finish(ccbt_sha1_context *context, const uint8_t *tail, size_t tail_length, uint8_t *out20);

// SHA-256 of many messages of one length. CCBT_SHA256=openssl|shani|avx512 forces what AUTO takes.
typedef enum {
    CCBT_SHA256_AUTO = 0,
    CCBT_SHA256_OPENSSL = 1,
    CCBT_SHA256_SHANI = 2,
    CCBT_SHA256_AVX512 = 3,
} ccbt_sha256_kernel;
int ccbt_sha256_has(ccbt_sha256_kernel kernel);
// As "SHA-256 by 16 AVX-512 lanes, 2 SHA-NI streams".
const char *ccbt_sha256_kernel_name(void);
void ccbt_sha256_many(const uint8_t *const *data, size_t length, size_t count, uint8_t *out32);
void ccbt_sha256_many_by(ccbt_sha256_kernel kernel, const uint8_t *const *data, size_t length, size_t count, uint8_t *out32);

// Hash trees of BEP 52: leaves are the SHA-256 of 16 KiB blocks (the last may be shorter), missing leaves are zero hashes.
enum { CCBT_MERKLE_BLOCK = 16384 };
// Writes one hash for each begun block; returns their number.
size_t ccbt_merkle_leaves(const uint8_t *data, size_t length, uint8_t *out);
// One level up, in place. `nodes` has room for count + 1 hashes; `pad32` completes an odd end and climbs along.
// Returns the number of parents.
size_t ccbt_merkle_parents(uint8_t *nodes, size_t count, uint8_t *pad32);
// The node over `data`, length > 0, in a tree of `width` leaves: a power of two, at least the number of blocks.
// `scratch` has room for the leaves and one more hash.
void ccbt_merkle_root(const uint8_t *data, size_t length, size_t width, uint8_t *scratch, uint8_t *out32);

// One message at once.
void ccbt_sha1(const uint8_t *data, size_t length, uint8_t *out20);
void ccbt_sha256(const uint8_t *data, size_t length, uint8_t *out32);

// HMAC (RFC 2104) with SHA-256.
void ccbt_hmac_sha256(const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *out32);

// Passwords. scrypt (RFC 7914) of `length` bytes into `out32`; 0 when OpenSSL refuses the numbers or lacks the memory
// (128 * r * n bytes, at most 256 MiB).
int ccbt_scrypt(const uint8_t *password, size_t length, const uint8_t *salt, size_t salt_length, uint64_t n, uint64_t r, uint64_t p, uint8_t *out32);
// 1 when the bytes are the same; takes the same time wherever they differ.
int ccbt_equal(const uint8_t *a, const uint8_t *b, size_t length);
// Ed25519 (RFC 8032) by libcrypto. 1: done, or the signature is good; 0: not.
int ccbt_ed25519_verify(const uint8_t *key32, const uint8_t *message, size_t length, const uint8_t *signature64);
int ccbt_ed25519_sign(const uint8_t *seed32, const uint8_t *message, size_t length, uint8_t *signature64);
int ccbt_ed25519_public(const uint8_t *seed32, uint8_t *key32);

#endif
