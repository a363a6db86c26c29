#!/usr/bin/env python3
"""Writes PeerEncryption/Vectors.swift: message stream encryption computed a second time, with Python's integers and a plain RC4,
so that our two ends are tested against something else than each other."""
import hashlib, random, subprocess
from pathlib import Path

P = int('FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B'
        '302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563', 16)
H = lambda *parts: hashlib.sha1(b''.join(parts)).digest()
XOR = lambda a, b: bytes(x ^ y for x, y in zip(a, b))


class RC4:
    def __init__(self, key, drop=0):
        self.s, j = list(range(256)), 0
        for i in range(256):
            j = (j + self.s[i] + key[i % len(key)]) & 255
            self.s[i], self.s[j] = self.s[j], self.s[i]
        self.i = self.j = 0
        self(bytes(drop))

    def __call__(self, data):
        out = bytearray()
        for b in data:
            self.i = (self.i + 1) & 255
            self.j = (self.j + self.s[self.i]) & 255
            self.s[self.i], self.s[self.j] = self.s[self.j], self.s[self.i]
            out.append(b ^ self.s[(self.s[self.i] + self.s[self.j]) & 255])
        return bytes(out)


def exchange(seed, provide, select, pads, skey, ia):
    rng = random.Random(seed)
    a, b = rng.randbytes(20), rng.randbytes(20)
    ya, yb = (pow(2, int.from_bytes(x), P).to_bytes(96) for x in (a, b))
    s = pow(2, int.from_bytes(a) * int.from_bytes(b), P).to_bytes(96)
    ca, cb = RC4(H(b'keyA', s, skey), 1024), RC4(H(b'keyB', s, skey), 1024)
    pad = [rng.randbytes(n) for n in pads]
    u16, u32 = lambda n: n.to_bytes(2), lambda n: n.to_bytes(4)
    message3 = H(b'req1', s) + XOR(H(b'req2', skey), H(b'req3', s)) + ca(bytes(8) + u32(provide) + u16(pads[2]) + pad[2] + u16(len(ia)) + ia)
    message4 = cb(bytes(8) + u32(select) + u16(pads[3]) + pad[3])
    say_a, say_b = b'from the dialler', b'from the accepter'
    if select == 2: say_a, say_b = ca(say_a), cb(say_b)
    return dict(privateA=a, privateB=b, publicA=ya, publicB=yb, secret=s, skey=skey, provide=provide, select=select,
                dialler=ya + pad[0] + message3 + say_a, accepter=yb + pad[1] + message4 + say_b)


ia = b'\x13BitTorrent protocol' + bytes(8) + b'\x11' * 20 + b'-XX0001-abcdefghijkl'
cases = [exchange(1, 3, 2, (0, 0, 0, 0), b'\x11' * 20, ia), exchange(2, 3, 1, (512, 512, 512, 512), b'\x11' * 20, ia),
         exchange(3, 2, 2, (17, 301, 5, 99), hashlib.sha1(b'swarm').digest(), b'')]
rc4 = [(key, drop, RC4(key, drop)(bytes(32))) for key, drop in
       [(bytes([1, 2, 3, 4, 5]), 0), (bytes([1, 2, 3, 4, 5]), 1024), (bytes(range(1, 17)), 1024), (hashlib.sha1(b'key').digest(), 1536)]]
# RFC 6229, the first of its tables.
assert rc4[0][2].hex() == 'b2396305f03dc027ccc3524a0a1118a86982944f18fc82d589c403a47a0d0919'


def swift(v):
    if isinstance(v, int): return str(v)
    h = v.hex()
    return ' +\n            '.join(f'"{h[i:i + 96]}"' for i in range(0, len(h), 96)) or '""'


fields = ['privateA', 'privateB', 'publicA', 'publicB', 'secret', 'skey', 'provide', 'select', 'dialler', 'accepter']
lines = ['// Made by encryption-vectors.py; do not edit.', '', 'struct ExchangeVector: Sendable {',
         *(f'    let {f}: {"UInt32" if f in ("provide", "select") else "String"}' for f in fields), '', '    static let all: [ExchangeVector] = [']
for c in cases: lines += ['        ExchangeVector(', ',\n'.join(f'            {f}: {swift(c[f])}' for f in fields) + '),']
lines += ['    ]', '}', '', 'struct RC4Vector: Sendable {', '    let key: String', '    let drop: Int', '    let stream: String', '',
          '    static let all: [RC4Vector] = [',
          *(f'        RC4Vector(key: "{k.hex()}", drop: {d}, stream: "{s.hex()}"),' for k, d, s in rc4), '    ]', '}']
target = Path(__file__).parent / 'PeerEncryption' / 'Vectors.swift'
target.write_text('\n'.join(lines) + '\n')
subprocess.run(['swift', 'format', '--in-place', target], check=True)
