// What libcrypto does for us: one message at once, and the SHA-1 kernel of CPUs without a better one.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "kernels.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <limits.h>
#include <stdlib.h>

static void one_shot(const EVP_MD *kind, const uint8_t *data, size_t length, uint8_t *out) {
    // Fails only without memory or without the algorithm: nothing can go on then.
    if (EVP_Digest(data, length, out, NULL, kind, NULL) != 1) abort();
}

void ccbt_sha1(const uint8_t *data, size_t length, uint8_t *out20) { one_shot(EVP_sha1(), data, length, out20); }
void ccbt_sha256(const uint8_t *data, size_t length, uint8_t *out32) { one_shot(EVP_sha256(), data, length, out32); }

void ccbt_hmac_sha256(const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *out32) {
    if (key_length > INT_MAX || !HMAC(EVP_sha256(), key, (int)key_length, data, length, out32, NULL)) abort();
}

// EVP has no way to resume from a bare state, the low-level interface has.
void ccbt_sha1_blocks_openssl(uint32_t *h, const uint8_t *data, size_t blocks) {
    SHA_CTX c;
    SHA1_Init(&c);
    c.h0 = h[0], c.h1 = h[1], c.h2 = h[2], c.h3 = h[3], c.h4 = h[4];
    SHA1_Update(&c, data, blocks * 64);
    h[0] = c.h0, h[1] = c.h1, h[2] = c.h2, h[3] = c.h3, h[4] = c.h4;
}

int ccbt_scrypt(const uint8_t *password, size_t length, const uint8_t *salt, size_t salt_length, uint64_t n, uint64_t r, uint64_t p, uint8_t *out32) {
    return EVP_PBE_scrypt((const char *)password, length, salt, salt_length, n, r, p, 256u << 20, out32, 32) == 1;
}

int ccbt_equal(const uint8_t *a, const uint8_t *b, size_t length) { return CRYPTO_memcmp(a, b, length) == 0; }
// MARK: - Ed25519 (RFC 8032)

int ccbt_ed25519_verify(const uint8_t *key32, const uint8_t *message, size_t length, const uint8_t *signature64) {
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key32, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1
        && EVP_DigestVerify(context, signature64, 64, message, length) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

int ccbt_ed25519_sign(const uint8_t *seed32, const uint8_t *message, size_t length, uint8_t *signature64) {
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed32, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = 64;
    int good = key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1
        && EVP_DigestSign(context, signature64, &size, message, length) == 1 && size == 64;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

int ccbt_ed25519_public(const uint8_t *seed32, uint8_t *key32) {
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed32, 32);
    size_t size = 32;
    int good = key && EVP_PKEY_get_raw_public_key(key, key32, &size) == 1 && size == 32;
    EVP_PKEY_free(key);
    return good;
}
