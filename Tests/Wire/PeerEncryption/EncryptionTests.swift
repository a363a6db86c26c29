import ByteCodec
import CCipher
import Primitives
import Testing

@testable import PeerEncryption

/// One end and what it was given; bytes come in cuts of any size.
final class End {
    let handshake: EncryptionHandshake
    var held: [UInt8] = []
    var said: [UInt8] = []
    var result: EncryptionHandshake.Step?
    var lookups = 0
    let find: (SHA1Digest) -> InfoHash?

    init(dialling swarm: InfoHash, offering methods: EncryptionMethods, payload: [UInt8], key: [UInt8], padding: UInt64) {
        var out = ByteWriter()
        handshake = EncryptionHandshake(dialling: swarm, offering: methods, initialPayload: payload, privateKey: key, paddingSeed: padding, into: &out)
        said = out.array
        find = { _ in preconditionFailure("a dialler knows its swarm") }
    }
    init(accepting methods: EncryptionMethods, rc4 prefersRC4: Bool = false, key: [UInt8], padding: UInt64, find: @escaping (SHA1Digest) -> InfoHash?) {
        handshake = EncryptionHandshake(accepting: methods, preferringRC4: prefersRC4, privateKey: key, paddingSeed: padding)
        self.find = find
    }

    /// Most that it had to hold at once.
    var longestHeld = 0

    /// Everything after the end of the handshake stays in `held`, decrypted.
    func hear(_ bytes: some Collection<UInt8>) {
        held += bytes
        longestHeld = max(longestHeld, held.count)
        guard result == nil else {
            if let cipher = handshake.incoming { held.withUnsafeMutableBytes { cipher.apply(UnsafeMutableRawBufferPointer(rebasing: $0.suffix(bytes.count))) } }
            return
        }
        var out = ByteWriter()
        let (consumed, step) = held.withUnsafeMutableBytes {
            handshake.receive($0, into: &out) { key in
                lookups += 1
                return find(key)
            }
        }
        held.removeFirst(consumed)
        said += out.array
        if case .needMore(let needed) = step {
            #expect(needed > held.count && needed <= MSE.longestStep + 2)
            return
        }
        result = step
        if case .done(_, let plain) = step, let cipher = handshake.incoming {
            held.withUnsafeMutableBytes { cipher.apply(UnsafeMutableRawBufferPointer(rebasing: $0[plain...])) }
        }
    }
    func take() -> [UInt8] {
        defer { said = [] }
        return said
    }
    var method: EncryptionMethods? { if case .done(let method, _)? = result { method } else { nil } }
    var failure: EncryptionFailure? { if case .failed(let failure)? = result { failure } else { nil } }
}

private func bytes(_ hex: String) -> [UInt8] { Hex.decode(hex)! }
private let swarm = InfoHash([UInt8](repeating: 0x11, count: 20))!
private let greeting = (0..<68).map { UInt8($0) }
private func key(_ n: UInt64) -> [UInt8] {
    var random = SeededRandom(seed: n)
    return (0..<20).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}
private func dialler(_ methods: EncryptionMethods = [.rc4, .plaintext], payload: [UInt8] = greeting, seed: UInt64 = 1) -> End {
    End(dialling: swarm, offering: methods, payload: payload, key: key(seed), padding: seed)
}
private func accepter(_ methods: EncryptionMethods = [.rc4, .plaintext], rc4: Bool = false, seed: UInt64 = 2, knows: Bool = true) -> End {
    var keys = SwarmKeys()
    if knows { keys.add(swarm) }
    return End(accepting: methods, rc4: rc4, key: key(seed), padding: seed) { [keys] in keys.find($0) }
}
/// Carries bytes both ways until both are still, `cut` at a time.
private func converse(_ a: End, _ b: End, cut: Int = .max) {
    while !a.said.isEmpty || !b.said.isEmpty {
        for (from, to) in [(a, b), (b, a)] {
            var out = from.take()[...]
            while !out.isEmpty {
                to.hear(out.prefix(cut))
                out = out.dropFirst(cut)
            }
        }
    }
}

@Suite struct CipherTests {
    @Test(arguments: RC4Vector.all)
    func rc4IsTheReferences(_ vector: RC4Vector) {
        var state = ccbt_rc4(), out = [UInt8](repeating: 0, count: 32)
        let key = bytes(vector.key)
        ccbt_rc4_start(&state, key, key.count, vector.drop)
        ccbt_rc4_apply(&state, out, &out, 5)
        out.withUnsafeMutableBufferPointer { ccbt_rc4_apply(&state, $0.baseAddress! + 5, $0.baseAddress! + 5, 27) }
        #expect(Hex.encode(out) == vector.stream)
    }

    @Test(arguments: ExchangeVector.all)
    func bothEndsComputeTheReferencesSecret(_ vector: ExchangeVector) {
        let a = KeyExchange(privateKey: bytes(vector.privateA)), b = KeyExchange(privateKey: bytes(vector.privateB))
        #expect(Hex.encode(a.publicKey) == vector.publicA && Hex.encode(b.publicKey) == vector.publicB)
        let ofA = b.publicKey.withUnsafeBytes { a.secret(with: $0) }, ofB = a.publicKey.withUnsafeBytes { b.secret(with: $0) }
        #expect(Hex.encode(ofA!.bytes) == vector.secret && Hex.encode(ofB!.bytes) == vector.secret)
    }

    @Test func weakKeysAreRefused() {
        let prime = bytes(
            "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563"
        )
        var lessOne = prime, one = [UInt8](repeating: 0, count: 96), two = one
        lessOne[95] -= 1
        one[95] = 1
        two[95] = 2
        for (weak, isWeak) in [
            ([UInt8](repeating: 0, count: 96), true), (one, true), (two, false), (lessOne, true), (prime, true), ([UInt8](repeating: 255, count: 96), true),
        ] {
            for end in [dialler(), accepter()] {
                end.hear(weak)
                #expect(end.failure == (isWeak ? .weakKey : nil))
            }
        }
    }
}

@Suite struct ExchangeTests {
    /// The other side is the reference: our accepter hears its dialler, our dialler hears its accepter.
    @Test(arguments: ExchangeVector.all, [1, 7, 100_000])
    func theReferenceUnderstandsUs(_ vector: ExchangeVector, cut: Int) {
        let skey = InfoHash(bytes(vector.skey))!, chosen = EncryptionMethods(rawValue: vector.select)
        let b = End(accepting: chosen, key: bytes(vector.privateB), padding: 5) { $0 == mseHash("req2", skey.bytes) ? skey : nil }
        var stream = bytes(vector.dialler)[...]
        while !stream.isEmpty {
            b.hear(stream.prefix(cut))
            stream = stream.dropFirst(cut)
        }
        #expect(b.method == chosen && b.lookups == 1)
        #expect(String(decoding: b.held.suffix(16), as: UTF8.self) == "from the dialler")
        #expect(b.held.count == 16 + (vector.skey.hasPrefix("1111") ? 68 : 0))
        #expect(Hex.encode(b.said.prefix(96)) == vector.publicB)

        let payload = [UInt8](b.held.dropLast(16))
        let a = End(dialling: skey, offering: EncryptionMethods(rawValue: vector.provide), payload: payload, key: bytes(vector.privateA), padding: 9)
        #expect(Hex.encode(a.said.prefix(96)) == vector.publicA)
        let firstMessage = a.said.count
        stream = bytes(vector.accepter)[...]
        while !stream.isEmpty {
            a.hear(stream.prefix(cut))
            stream = stream.dropFirst(cut)
        }
        #expect(a.method == chosen && String(decoding: a.held, as: UTF8.self) == "from the accepter")
        // Both hashes, and what is encrypted before the first length: the same whatever the pads.
        let secret = SharedSecret(bytes: bytes(vector.secret))
        #expect(Array(a.said[firstMessage..<firstMessage + 20]) == secret.request1.bytes)
        var offer = Array(a.said[firstMessage + 40..<firstMessage + 52])
        offer.withUnsafeMutableBytes { secret.cipherOfDialler(skey).apply($0) }
        #expect(offer == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UInt8(vector.provide)])
    }

    struct Agreement: Sendable {
        let offered: EncryptionMethods, allowed: EncryptionMethods
        let prefersRC4: Bool
        let agreed: EncryptionMethods?
    }
    @Test(arguments: [
        Agreement(offered: [.rc4, .plaintext], allowed: [.rc4, .plaintext], prefersRC4: false, agreed: .plaintext),
        Agreement(offered: [.rc4, .plaintext], allowed: [.rc4, .plaintext], prefersRC4: true, agreed: .rc4),
        Agreement(offered: [.rc4, .plaintext], allowed: .rc4, prefersRC4: false, agreed: .rc4),
        Agreement(offered: .rc4, allowed: [.rc4, .plaintext], prefersRC4: false, agreed: .rc4),
        Agreement(offered: .plaintext, allowed: [.rc4, .plaintext], prefersRC4: true, agreed: .plaintext),
        Agreement(offered: .plaintext, allowed: .rc4, prefersRC4: true, agreed: nil),
        Agreement(offered: .rc4, allowed: .plaintext, prefersRC4: false, agreed: nil),
        Agreement(offered: [.plaintext, EncryptionMethods(rawValue: 0x40)], allowed: .plaintext, prefersRC4: false, agreed: .plaintext),
        Agreement(offered: EncryptionMethods(rawValue: 0x80), allowed: [.rc4, .plaintext], prefersRC4: false, agreed: nil),
    ])
    func theAccepterChoosesAmongWhatBothAllow(_ c: Agreement) {
        let a = dialler(c.offered), b = accepter(c.allowed, rc4: c.prefersRC4)
        converse(a, b)
        #expect(b.method == c.agreed && a.method == c.agreed)
        if c.agreed == nil { #expect(b.failure == .noCommonMethod && a.result == nil) }
        #expect((b.handshake.outgoing != nil) == (c.agreed == .rc4) && (a.handshake.incoming != nil) == (c.agreed == .rc4))
    }

    @Test(arguments: [1, 2, 3, 19, 96, 97, 500, 100_000])
    func theStreamGoesOnWhereTheHandshakeEnded(cut: Int) {
        for seed in 0..<20 as Range<UInt64> {
            for rc4 in [true, false] {
                let a = dialler(seed: 3 * seed + 1), b = accepter(rc4: rc4, seed: 3 * seed + 2)
                converse(a, b, cut: cut)
                #expect(b.held == greeting && a.held.isEmpty && b.handshake.swarm == swarm)
                for (from, to) in [(a, b), (b, a), (a, b)] {
                    var words = [UInt8]("some words of \(cut)".utf8)
                    to.held = []
                    words.withUnsafeMutableBytes { from.handshake.outgoing?.apply($0) }
                    to.hear(words)
                    #expect(to.held == [UInt8]("some words of \(cut)".utf8))
                }
            }
        }
    }

    /// Cut anywhere, each end waits: it neither fails nor believes that it is done.
    @Test func everyTruncationWaits() {
        let a = dialler(), b = accepter(rc4: true)
        var toB: [[UInt8]] = [], toA: [[UInt8]] = []
        while !a.said.isEmpty || !b.said.isEmpty {
            if !a.said.isEmpty { toB.append(a.take()) }
            if let last = toB.last, b.result == nil { b.hear(last) }
            if !b.said.isEmpty { toA.append(b.take()) }
            if let last = toA.last, a.result == nil { a.hear(last) }
        }
        let streamToB = toB.flatMap { $0 }, streamToA = toA.flatMap { $0 }
        #expect(a.method == .rc4 && b.method == .rc4 && b.held == greeting)
        for n in 0..<streamToB.count {
            let end = accepter(rc4: true)
            end.hear(streamToB.prefix(n))
            #expect(end.result == nil, "after \(n) bytes of \(streamToB.count)")
            end.hear(streamToB[n...])
            #expect(end.method == .rc4 && end.held == greeting)
        }
        // The end of PadD is the last thing an accepter sends: without any it is done one byte sooner or not at all.
        for n in 0..<streamToA.count {
            let end = dialler()
            end.hear(streamToA.prefix(n))
            #expect(end.result == nil, "after \(n) bytes of \(streamToA.count)")
            end.hear(streamToA[n...])
            #expect(end.method == .rc4)
        }
    }
}

@Suite struct HostileEndTests {
    @Test func anUnknownSwarmIsTurnedAway() {
        let a = dialler(), b = accepter(knows: false)
        converse(a, b)
        #expect(b.failure == .unknownSwarm && a.result == nil)
    }

    /// HTTP, TLS, zeros, noise: whatever it is, no more than a key, a pad and the word sought are looked at.
    @Test func aStrangerIsKeptAPadLong() {
        var random = SeededRandom(seed: 3)
        let noise = (0..<4000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        for stream in [noise, [UInt8]("GET / HTTP/1.1\r\n".utf8) + noise, [0x16, 3, 1, 2, 0] + noise] {
            let b = accepter()
            for (n, byte) in stream.enumerated() {
                b.hear([byte])
                if b.result != nil {
                    #expect(n < 96 + 512 + 20)
                    break
                }
            }
            #expect(b.failure == .notFound && b.longestHeld <= 96 && b.lookups == 0)
            let a = dialler()
            a.hear(stream)
            #expect(a.failure == .notFound)
        }
    }

    /// The lengths that the other side may claim.
    @Test func lengthsAreBounded() {
        // As the dialler, but with lengths of the test's choosing.
        func offer(verification: UInt64 = 0, provide: UInt32 = 3, padC: UInt16 = 0, payload: UInt16 = 0) -> End {
            let b = accepter(), mine = KeyExchange(privateKey: key(7))
            b.hear(mine.publicKey)
            let secret = b.take().withUnsafeBytes { mine.secret(with: UnsafeRawBufferPointer(rebasing: $0[..<96])) }!
            var out = ByteWriter()
            out.digest(secret.request1)
            out.digest(xor(mseHash("req2", swarm.bytes), secret.request3))
            var rest = ByteWriter()
            rest.u64BigEndian(verification)
            rest.u32BigEndian(provide)
            rest.u16BigEndian(padC)
            rest.bytes([UInt8](repeating: 9, count: Int(padC)))
            rest.u16BigEndian(payload)
            rest.bytes([UInt8](repeating: 8, count: Int(payload)))
            var encrypted = rest.array
            encrypted.withUnsafeMutableBytes { secret.cipherOfDialler(swarm).apply($0) }
            b.hear(out.array + encrypted)
            return b
        }
        #expect(offer().method == .plaintext)
        #expect(offer(padC: 512).method == .plaintext && offer(padC: 513).failure == .padTooLong && offer(padC: 65535).failure == .padTooLong)
        let most = UInt16(MSE.longestInitialPayload)
        #expect(offer(payload: most).method == .plaintext && offer(payload: most + 1).failure == .payloadTooLong)
        #expect(offer(verification: 1).failure == .badVerification && offer(provide: 0).failure == .noCommonMethod)

        func answer(select: UInt32, padD: UInt16, padB: Int) -> End {
            let a = dialler([.rc4]), mine = KeyExchange(privateKey: key(8))
            let secret = a.take().withUnsafeBytes { mine.secret(with: UnsafeRawBufferPointer(rebasing: $0[..<96])) }!
            var rest = ByteWriter()
            rest.u64BigEndian(0)
            rest.u32BigEndian(select)
            rest.u16BigEndian(padD)
            rest.bytes([UInt8](repeating: 9, count: Int(padD)))
            var encrypted = rest.array
            encrypted.withUnsafeMutableBytes { secret.cipherOfAccepter(swarm).apply($0) }
            a.hear(mine.publicKey + [UInt8](repeating: 1, count: padB) + encrypted)
            return a
        }
        #expect(answer(select: 2, padD: 512, padB: 512).method == .rc4)
        #expect(answer(select: 2, padD: 0, padB: 513).failure == .notFound)
        #expect(answer(select: 2, padD: 513, padB: 0).failure == .padTooLong)
        for wrong in [0, 1, 3, 4, .max] as [UInt32] { #expect(answer(select: wrong, padD: 0, padB: 0).failure == .noCommonMethod, "selected \(wrong)") }
    }

    /// An attempt costs one look-up and the same hashes however many torrents there are.
    @Test func attemptsCostTheSameWithManyTorrents() {
        func cost(of torrents: Int) -> (lookups: Int, seconds: Double) {
            var keys = SwarmKeys()
            for n in 0..<torrents { keys.add(InfoHash(withUnsafeBytes(of: UInt64(n).bigEndian) { [UInt8]($0) } + [UInt8](repeating: 7, count: 12))!) }
            keys.add(swarm)
            var lookups = 0, best = Duration.seconds(10)
            for round in 0..<30 as Range<UInt64> {
                let a = dialler(seed: round), b = End(accepting: .plaintext, key: key(99), padding: 4) { [keys] in keys.find($0) }
                b.hear(a.take())
                a.hear(b.take())
                let last = a.take()
                best = min(best, ContinuousClock().measure { b.hear(last) })
                #expect(b.method == .plaintext)
                lookups = max(lookups, b.lookups)
            }
            return (lookups, Double(best.components.attoseconds) * 1e-18)
        }
        let few = cost(of: 1), many = cost(of: 50_000)
        #expect(few.lookups == 1 && many.lookups == 1)
        // Trying one after the other would cost 50,000 times as much.
        #expect(many.seconds < few.seconds * 20, "\(few.seconds * 1e6) µs with one torrent, \(many.seconds * 1e6) µs with 50,000")
    }

    @Test func torrentsComeAndGo() {
        var keys = SwarmKeys()
        let name = mseHash("req2", swarm.bytes)
        #expect(keys.find(name) == nil)
        keys.add(swarm)
        keys.add(swarm)
        keys.remove(swarm)
        #expect(keys.find(name) == swarm && keys.count == 1)
        keys.remove(swarm)
        #expect(keys.find(name) == nil && keys.count == 0)
        keys.remove(swarm)
        #expect(keys.count == 0)
    }

    /// What the fuzzer began with, and changes of it.
    @Test(arguments: [[0x0F, 0, 4, 0], [0x55, 0, 4, 0], [0, 0, 4, 0], [0x1F, 3, 0, 1], [0x0F, 0, 4, 0, 0, 4, 0, 9, 1, 40], [0x0F, 0, 4, 0, 0, 4, 0, 5, 2, 255]] as [[UInt8]])
    func whatPassesBetweenTheEndsMayBeChanged(seed: [UInt8]) {
        var random = SeededRandom(seed: UInt64(seed.count) << 8 | UInt64(seed[0]))
        for _ in 0..<60 {
            var input = seed + (0..<random.below(18)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            input[random.below(input.count)] ^= UInt8(truncatingIfNeeded: random.next())
            input.withUnsafeBytes { EncryptionHandshake.fuzz($0) }
        }
    }

    @Test(arguments: 1...12)
    func anythingMayCome(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<40 {
            let input = (0..<random.below(1500)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            input.withUnsafeBytes { EncryptionHandshake.fuzz($0) }
        }
    }
}
