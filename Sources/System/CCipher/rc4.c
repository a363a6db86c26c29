// libcrypto's low-level RC4 needs no provider to be loaded, unlike the one behind EVP. A loop of our own ran at
// 710-750 MiB/s where libcrypto's assembler ran at 820-860, and two streams interleaved were no faster.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "CCipher.h"
#include <openssl/rc4.h>

_Static_assert(sizeof(RC4_KEY) <= sizeof(ccbt_rc4), "ccbt_rc4 is too small");
_Static_assert(_Alignof(RC4_KEY) <= _Alignof(ccbt_rc4), "ccbt_rc4 is not aligned as RC4_KEY");

void ccbt_rc4_start(ccbt_rc4 *state, const uint8_t *key, size_t key_length, size_t drop) {
    uint8_t waste[256];
    RC4_set_key((RC4_KEY *)state, (int)key_length, key);
    while (drop > 0) {
        size_t n = drop < sizeof waste ? drop : sizeof waste;
        for (size_t i = 0; i < n; i++) waste[i] = 0;
        RC4((RC4_KEY *)state, n, waste, waste);
        drop -= n;
    }
}

void ccbt_rc4_apply(ccbt_rc4 *state, const uint8_t *in, uint8_t *out, size_t length) { RC4((RC4_KEY *)state, length, in, out); }
