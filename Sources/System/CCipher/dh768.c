// By BN and not through EVP_PKEY, whose key checks ask for a subgroup order that nobody states for this prime.
#include "CCipher.h"
#include <openssl/bn.h>
#include <pthread.h>
#include <stdlib.h>

// The first Oakley group's prime (RFC 2409, 6.1) but for its last eight bytes.
static const uint8_t prime_bytes[CCBT_DH_BYTES] = {
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC9, 0x0F, 0xDA, 0xA2, 0x21, 0x68, 0xC2, 0x34, 0xC4, 0xC6, 0x62, 0x8B, 0x80, 0xDC, 0x1C, 0xD1,
    0x29, 0x02, 0x4E, 0x08, 0x8A, 0x67, 0xCC, 0x74, 0x02, 0x0B, 0xBE, 0xA6, 0x3B, 0x13, 0x9B, 0x22, 0x51, 0x4A, 0x08, 0x79, 0x8E, 0x34, 0x04, 0xDD,
    0xEF, 0x95, 0x19, 0xB3, 0xCD, 0x3A, 0x43, 0x1B, 0x30, 0x2B, 0x0A, 0x6D, 0xF2, 0x5F, 0x14, 0x37, 0x4F, 0xE1, 0x35, 0x6D, 0x6D, 0x51, 0xC2, 0x45,
    0xE4, 0x85, 0xB5, 0x76, 0x62, 0x5E, 0x7E, 0xC6, 0xF4, 0x4C, 0x42, 0xE9, 0xA6, 0x3A, 0x36, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x05, 0x63,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIGNUM *prime, *prime_less_one;
static BN_MONT_CTX *montgomery;

// Every call below fails only for want of memory: nothing can go on then.
static void must(int ok) {
    if (!ok) abort();
}

static void set_up(void) {
    BN_CTX *context = BN_CTX_new();
    prime = BN_bin2bn(prime_bytes, sizeof prime_bytes, NULL);
    prime_less_one = BN_dup(prime);
    montgomery = BN_MONT_CTX_new();
    must(context && prime && prime_less_one && montgomery && BN_sub_word(prime_less_one, 1) && BN_MONT_CTX_set(montgomery, prime, context));
    BN_CTX_free(context);
}

static void raise_to(const BIGNUM *base, const uint8_t *private20, uint8_t *out96) {
    BN_CTX *context = BN_CTX_new();
    BIGNUM *exponent = BN_bin2bn(private20, CCBT_DH_PRIVATE_BYTES, NULL), *result = BN_new();
    must(context && exponent && result && BN_mod_exp_mont(result, base, exponent, prime, context, montgomery));
    must(BN_bn2binpad(result, out96, CCBT_DH_BYTES) == CCBT_DH_BYTES);
    BN_clear_free(exponent);
    BN_clear_free(result);
    BN_CTX_free(context);
}

void ccbt_dh768_public(const uint8_t *private20, uint8_t *public96) {
    pthread_once(&once, set_up);
    BIGNUM *two = BN_new();
    must(two && BN_set_word(two, 2));
    raise_to(two, private20, public96);
    BN_free(two);
}

int ccbt_dh768_secret(const uint8_t *private20, const uint8_t *other96, uint8_t *secret96) {
    pthread_once(&once, set_up);
    BIGNUM *other = BN_bin2bn(other96, CCBT_DH_BYTES, NULL);
    must(other != NULL);
    // 0, 1 and P - 1 make a secret that anybody knows.
    int honest = !BN_is_zero(other) && !BN_is_one(other) && BN_cmp(other, prime_less_one) < 0;
    if (honest) raise_to(other, private20, secret96);
    BN_free(other);
    return honest;
}
