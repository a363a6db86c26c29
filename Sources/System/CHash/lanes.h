// The 80 rounds over a vector of lanes, one 32-bit word of each message per lane. Included once per instruction set,
// which defines V, ADD, ROL, CH, PARITY, MAJ, XOR4 and SET1 before it.
//
// w is a ring of the last 16 schedule words (FIPS 180-4, 6.1.3: the alternate method).
#define SCHEDULE(t) (w[(t) & 15] = ROL(XOR4(w[((t) + 13) & 15], w[((t) + 8) & 15], w[((t) + 2) & 15], w[(t) & 15]), 1))
#define WORD(t) ((t) < 16 ? w[(t) & 15] : SCHEDULE(t))
#define ROUND(F, K, t)                                                       \
    do {                                                                     \
        V sum = ADD(ADD(e, WORD(t)), ADD(F(b, c, d), K));                    \
        e = d;                                                               \
        d = c;                                                               \
        c = ROL(b, 30);                                                      \
        b = a;                                                               \
        a = ADD(ROL(b, 5), sum);                                             \
    } while (0)
#define ROUNDS4(F, K, t) ROUND(F, K, t); ROUND(F, K, (t) + 1); ROUND(F, K, (t) + 2); ROUND(F, K, (t) + 3)
#define ROUNDS20(F, K, t) \
    ROUNDS4(F, K, t); ROUNDS4(F, K, (t) + 4); ROUNDS4(F, K, (t) + 8); ROUNDS4(F, K, (t) + 12); ROUNDS4(F, K, (t) + 16)
#define ALL_ROUNDS                                        \
    do {                                                  \
        const V k0 = SET1(0x5A827999), k1 = SET1(0x6ED9EBA1); \
        const V k2 = SET1((int)0x8F1BBCDC), k3 = SET1((int)0xCA62C1D6); \
        ROUNDS20(CH, k0, 0);                              \
        ROUNDS20(PARITY, k1, 20);                         \
        ROUNDS20(MAJ, k2, 40);                            \
        ROUNDS20(PARITY, k3, 60);                         \
    } while (0)
