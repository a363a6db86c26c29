// RC4, and Diffie-Hellman over one 768-bit prime, both by libcrypto. Neither keeps a secret from anybody who tries:
// they hide what a stream is from devices that look at its bytes in passing.
#ifndef CCBT_CIPHER_H
#define CCBT_CIPHER_H

#include <stddef.h>
#include <stdint.h>

// The running state of one direction; laid out as libcrypto's RC4_KEY.
typedef struct {
    uint32_t opaque[258];
} ccbt_rc4;

// 1 <= key_length <= 256. The first `drop` bytes of the key stream are thrown away.
void ccbt_rc4_start(ccbt_rc4 *state, const uint8_t *key, size_t key_length, size_t drop);
// XORs the next `length` bytes of the key stream; `out` may be `in`, and may not overlap it otherwise.
void ccbt_rc4_apply(ccbt_rc4 *state, const uint8_t *in, uint8_t *out, size_t length);

// Numbers are CCBT_DH_BYTES long, big-endian; the generator is 2.
#define CCBT_DH_BYTES 96
// 160 bits: as the protocol's description advises; more adds nothing under a 768-bit prime.
#define CCBT_DH_PRIVATE_BYTES 20
void ccbt_dh768_public(const uint8_t *private20, uint8_t *public96);
// 0: the other side's number is one that no honest side sends (0, 1, P - 1, or P and above); `secret96` is then not written.
int ccbt_dh768_secret(const uint8_t *private20, const uint8_t *other96, uint8_t *secret96);

#endif
