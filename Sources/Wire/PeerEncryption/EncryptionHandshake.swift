import ByteCodec
import Primitives

/// One end of the exchange, pure: bytes go in, bytes to send come out. See ``MSE``.
///
///     dialler    awaitingKey ─▶ awaitingVerification ─▶ awaitingSelection ─▶ awaitingPadD ─▶ over
///     accepter   awaitingKey ─▶ awaitingRequest1 ─▶ awaitingSwarm ─▶ awaitingOffer ─▶ awaitingPadC ─▶ awaitingPayload ─▶ over
///
/// Each state waits for a number of bytes that is bounded, takes exactly these, and goes on.
package final class EncryptionHandshake {
    package enum Step: Hashable, Sendable {
        /// Waits until there are so many unconsumed bytes.
        case needMore(Int)
        /// The stream begins. The first `plainBytes` of what is unconsumed are decrypted already; what follows them goes through
        /// ``incoming`` if there is one.
        case done(method: EncryptionMethods, plainBytes: Int)
        case failed(EncryptionFailure)
    }

    private enum State { case awaitingKey, awaitingVerification, awaitingSelection, awaitingPadD, awaitingRequest1, awaitingSwarm, awaitingOffer, awaitingPadC, awaitingPayload, over }

    private let keys: KeyExchange
    private let methods: EncryptionMethods
    private let prefersRC4: Bool
    private let isDialler: Bool
    private var padding: SeededRandom
    private var state = State.awaitingKey
    private var secret: SharedSecret!
    private var decipher: StreamCipher!
    private var encipher: StreamCipher!
    /// What the scan looks for, and how many bytes it has passed.
    private var wanted: [UInt8] = []
    private var passed = 0
    private var offered: EncryptionMethods = []
    private var selected: EncryptionMethods = []
    private var rest = 0

    // Dialler only.
    private let dialled: InfoHash?
    private let initialPayload: [UInt8]

    /// Who the accepter found the stream to be for; what the dialler named.
    package private(set) var swarm: InfoHash?
    /// For the stream after the handshake; nil unless RC4 was agreed on.
    package private(set) var incoming: StreamCipher?
    package private(set) var outgoing: StreamCipher?

    /// The side that dialled. `initialPayload`: at most ``MSE/longestInitialPayload`` bytes, sent along with the third message.
    /// `privateKey`: 20 unpredictable bytes. Writes the first message.
    package init(
        dialling swarm: InfoHash, offering methods: EncryptionMethods, initialPayload: [UInt8], privateKey: [UInt8], paddingSeed: UInt64,
        into out: inout ByteWriter
    ) {
        precondition(!methods.isEmpty && initialPayload.count <= MSE.longestInitialPayload)
        isDialler = true
        (dialled, self.swarm, self.methods, self.initialPayload, prefersRC4) = (swarm, swarm, methods, initialPayload, false)
        keys = KeyExchange(privateKey: privateKey)
        padding = SeededRandom(seed: paddingSeed)
        sendKey(&out)
    }

    /// The side that accepted. Of the methods that both allow it takes RC4 if `preferringRC4`, else plain text.
    package init(accepting methods: EncryptionMethods, preferringRC4: Bool, privateKey: [UInt8], paddingSeed: UInt64) {
        precondition(!methods.isEmpty)
        isDialler = false
        (dialled, self.methods, initialPayload, prefersRC4) = (nil, methods, [], preferringRC4)
        keys = KeyExchange(privateKey: privateKey)
        padding = SeededRandom(seed: paddingSeed)
    }

    /// Takes what it can of `bytes`, the whole unconsumed stream so far; decrypts in place what it takes. What it wants
    /// to say is appended to `out`. `find` is called once in the life of an accepting end, and never by a dialling one.
    package func receive(
        _ bytes: UnsafeMutableRawBufferPointer, into out: inout ByteWriter, find: (SHA1Digest) -> InfoHash?
    ) -> (consumed: Int, step: Step) {
        precondition(state != .over)
        var at = 0
        while true {
            let left = UnsafeMutableRawBufferPointer(rebasing: bytes[at...])
            switch advance(left, &out, find) {
            case .wait(let consumed, let needed): return (at + consumed, .needMore(needed))
            case .go(let consumed): at += consumed
            case .end(let consumed, let step):
                state = .over
                return (at + consumed, step)
            }
        }
    }

    private enum Move {
        case go(consumed: Int)
        case wait(consumed: Int, needed: Int)
        case end(consumed: Int, Step)
    }

    private func advance(_ bytes: UnsafeMutableRawBufferPointer, _ out: inout ByteWriter, _ find: (SHA1Digest) -> InfoHash?) -> Move {
        switch state {
        case .awaitingKey: takeKey(bytes, &out)
        case .awaitingVerification: scan(bytes, then: .awaitingSelection) { [decipher] in decipher!.apply($0) }
        case .awaitingSelection: takeSelection(bytes)
        case .awaitingPadD: takePadD(bytes)
        case .awaitingRequest1: scan(bytes, then: .awaitingSwarm) { _ in }
        case .awaitingSwarm: takeSwarm(bytes, find)
        case .awaitingOffer: takeOffer(bytes)
        case .awaitingPadC: takePadC(bytes)
        case .awaitingPayload: takePayload(bytes, &out)
        case .over: preconditionFailure()
        }
    }

    // MARK: Both

    private func takeKey(_ bytes: UnsafeMutableRawBufferPointer, _ out: inout ByteWriter) -> Move {
        guard bytes.count >= KeyExchange.byteCount else { return .wait(consumed: 0, needed: KeyExchange.byteCount) }
        guard let secret = keys.secret(with: UnsafeRawBufferPointer(rebasing: bytes[..<KeyExchange.byteCount])) else {
            return .end(consumed: KeyExchange.byteCount, .failed(.weakKey))
        }
        self.secret = secret
        if let dialled {
            encipher = secret.cipherOfDialler(dialled)
            decipher = secret.cipherOfAccepter(dialled)
            sendOffer(dialled, &out)
            // VC is zeros: encrypted it is the key stream. A second cipher of the same key makes it, so that the one in use stays at
            // its place until the VC is found.
            wanted = [UInt8](repeating: 0, count: MSE.verificationByteCount)
            wanted.withUnsafeMutableBytes { secret.cipherOfAccepter(dialled).apply($0) }
            state = .awaitingVerification
        } else {
            sendKey(&out)
            wanted = secret.request1.bytes
            state = .awaitingRequest1
        }
        return .go(consumed: KeyExchange.byteCount)
    }

    /// Looks for `wanted` behind a pad of unknown length.
    private func scan(_ bytes: UnsafeMutableRawBufferPointer, then next: State, found: (UnsafeMutableRawBufferPointer) -> Void) -> Move {
        var at = 0
        while bytes.count - at >= wanted.count {
            if (0..<wanted.count).allSatisfy({ bytes[at + $0] == wanted[$0] }) {
                found(UnsafeMutableRawBufferPointer(rebasing: bytes[at..<at + wanted.count]))
                state = next
                return .go(consumed: at + wanted.count)
            }
            at += 1
            passed += 1
            if passed > MSE.longestPad { return .end(consumed: at, .failed(.notFound)) }
        }
        return .wait(consumed: at, needed: wanted.count)
    }

    private func sendKey(_ out: inout ByteWriter) {
        out.bytes(keys.publicKey)
        pad(&out)
    }
    private func pad(_ out: inout ByteWriter) { for _ in 0..<padding.below(MSE.longestPad + 1) { out.u8(UInt8(truncatingIfNeeded: padding.next())) } }

    private func finish(consumed: Int, plainBytes: Int) -> Move {
        if selected == .rc4 { (incoming, outgoing) = (decipher, encipher) }
        return .end(consumed: consumed, .done(method: selected, plainBytes: plainBytes))
    }

    // MARK: Dialler

    private func sendOffer(_ swarm: InfoHash, _ out: inout ByteWriter) {
        out.digest(secret.request1)
        out.digest(xor(mseHash("req2", swarm.bytes), secret.request3))
        var offer = ByteWriter(capacity: 1024)
        offer.u64BigEndian(0)
        offer.u32BigEndian(methods.rawValue)
        var padC = ByteWriter(capacity: 512)
        pad(&padC)
        offer.u16BigEndian(UInt16(padC.count))
        offer.bytes(padC.bytes)
        offer.u16BigEndian(UInt16(initialPayload.count))
        offer.bytes(initialPayload)
        offered = methods
        send(offer, &out)
    }

    private func send(_ message: borrowing ByteWriter, _ out: inout ByteWriter) {
        var secretly = message.array
        secretly.withUnsafeMutableBytes { encipher.apply($0) }
        out.bytes(secretly)
    }

    private func takeSelection(_ bytes: UnsafeMutableRawBufferPointer) -> Move {
        guard bytes.count >= 6 else { return .wait(consumed: 0, needed: 6) }
        decipher.apply(UnsafeMutableRawBufferPointer(rebasing: bytes[..<6]))
        selected = EncryptionMethods(rawValue: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        rest = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
        guard selected == .rc4 || selected == .plaintext, offered.contains(selected) else { return .end(consumed: 6, .failed(.noCommonMethod)) }
        guard rest <= MSE.longestPad else { return .end(consumed: 6, .failed(.padTooLong)) }
        state = .awaitingPadD
        return .go(consumed: 6)
    }

    private func takePadD(_ bytes: UnsafeMutableRawBufferPointer) -> Move {
        guard bytes.count >= rest else { return .wait(consumed: 0, needed: rest) }
        decipher.apply(UnsafeMutableRawBufferPointer(rebasing: bytes[..<rest]))
        return finish(consumed: rest, plainBytes: 0)
    }

    // MARK: Accepter

    private func takeSwarm(_ bytes: UnsafeMutableRawBufferPointer, _ find: (SHA1Digest) -> InfoHash?) -> Move {
        guard bytes.count >= 20 else { return .wait(consumed: 0, needed: 20) }
        let named = xor(SHA1Digest(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<20])), secret.request3)
        guard let infoHash = find(named) else { return .end(consumed: 20, .failed(.unknownSwarm)) }
        swarm = infoHash
        decipher = secret.cipherOfDialler(infoHash)
        encipher = secret.cipherOfAccepter(infoHash)
        state = .awaitingOffer
        return .go(consumed: 20)
    }

    private func takeOffer(_ bytes: UnsafeMutableRawBufferPointer) -> Move {
        guard bytes.count >= 14 else { return .wait(consumed: 0, needed: 14) }
        decipher.apply(UnsafeMutableRawBufferPointer(rebasing: bytes[..<14]))
        guard bytes[..<8].allSatisfy({ $0 == 0 }) else { return .end(consumed: 14, .failed(.badVerification)) }
        offered = EncryptionMethods(rawValue: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        rest = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt16.self)))
        guard rest <= MSE.longestPad else { return .end(consumed: 14, .failed(.padTooLong)) }
        let common = offered.intersection(methods)
        guard !common.isEmpty else { return .end(consumed: 14, .failed(.noCommonMethod)) }
        selected = common.contains(prefersRC4 ? .rc4 : .plaintext) ? (prefersRC4 ? .rc4 : .plaintext) : common
        state = .awaitingPadC
        return .go(consumed: 14)
    }

    private func takePadC(_ bytes: UnsafeMutableRawBufferPointer) -> Move {
        guard bytes.count >= rest + 2 else { return .wait(consumed: 0, needed: rest + 2) }
        let consumed = rest + 2
        decipher.apply(UnsafeMutableRawBufferPointer(rebasing: bytes[..<consumed]))
        rest = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: consumed - 2, as: UInt16.self)))
        guard rest <= MSE.longestInitialPayload else { return .end(consumed: consumed, .failed(.payloadTooLong)) }
        state = .awaitingPayload
        return .go(consumed: consumed)
    }

    private func takePayload(_ bytes: UnsafeMutableRawBufferPointer, _ out: inout ByteWriter) -> Move {
        guard bytes.count >= rest else { return .wait(consumed: 0, needed: rest) }
        decipher.apply(UnsafeMutableRawBufferPointer(rebasing: bytes[..<rest]))
        var answer = ByteWriter(capacity: 1024)
        answer.u64BigEndian(0)
        answer.u32BigEndian(selected.rawValue)
        var padD = ByteWriter(capacity: 512)
        pad(&padD)
        answer.u16BigEndian(UInt16(padD.count))
        answer.bytes(padD.bytes)
        send(answer, &out)
        return finish(consumed: 0, plainBytes: rest)
    }
}

extension EncryptionHandshake {
    /// Plays both ends of an exchange and lets the input change what passes between them: what a fuzzer drives. Blind bytes
    /// would never get past the exchange of keys.
    ///
    /// Byte 0: methods and preference; then commands of three bytes (where, what, how), one for each message.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 1 else { return }
        let swarm = InfoHash(), key = [UInt8](repeating: 0x5A, count: 20), first = bytes[0]
        func methods(_ n: UInt8) -> EncryptionMethods { [.plaintext, .rc4, [.plaintext, .rc4], [.plaintext, .rc4]][Int(n & 3)] }
        var keys = SwarmKeys()
        keys.add(swarm)
        var toB = ByteWriter(), toA = ByteWriter()
        let a = EncryptionHandshake(
            dialling: swarm, offering: methods(first), initialPayload: [UInt8](repeating: 3, count: Int(first)), privateKey: key, paddingSeed: UInt64(first), into: &toB)
        let b = EncryptionHandshake(accepting: methods(first >> 2), preferringRC4: first & 16 != 0, privateKey: key, paddingSeed: UInt64(first) + 1)
        var heldA: [UInt8] = [], heldB: [UInt8] = [], isOverA = false, isOverB = false, at = 1, looks = 0

        func hear(_ end: EncryptionHandshake, _ held: inout [UInt8], _ isOver: inout Bool, _ message: [UInt8], _ out: inout ByteWriter) {
            held += message
            guard !isOver else { return }
            let (consumed, step) = held.withUnsafeMutableBytes { whole in
                end.receive(whole, into: &out) {
                    looks += 1
                    return keys.find($0)
                }
            }
            precondition(consumed <= held.count)
            held.removeFirst(consumed)
            switch step {
            case .needMore(let n): precondition(n > held.count && n <= MSE.longestStep + 2)
            case .done(let method, let plain):
                precondition((method == .rc4 || method == .plaintext) && plain <= held.count)
                precondition((end.incoming != nil) == (method == .rc4) && (end.outgoing != nil) == (method == .rc4))
                isOver = true
            case .failed: isOver = true
            }
        }
        for turn in 0..<64 {
            var message = turn & 1 == 0 ? toB.array : toA.array
            if turn & 1 == 0 { toB.removeAll() } else { toA.removeAll() }
            if at + 3 <= bytes.count {
                let place = message.isEmpty ? 0 : Int(bytes[at]) * 257 % (message.count + 1), what = bytes[at + 1], how = bytes[at + 2]
                at += 3
                switch what & 7 {
                case 0: if place < message.count { message[place] ^= how }
                case 1: message.removeSubrange(place..<min(message.count, place + Int(how)))
                case 2: message.insert(contentsOf: [UInt8](repeating: how, count: Int(what) * 3), at: place)
                case 3:
                    message = Array(bytes[at..<min(bytes.count, at + Int(how) * 4)])
                    at += message.count
                default: break
                }
            } else if message.isEmpty {
                break
            }
            if turn & 1 == 0 { hear(b, &heldB, &isOverB, message, &toA) } else { hear(a, &heldA, &isOverA, message, &toB) }
        }
        precondition(looks <= 1)
    }
}
