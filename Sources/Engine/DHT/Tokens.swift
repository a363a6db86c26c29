import KRPC
import Primitives

/// Bytes that nobody else can foresee, made of a secret of the kernel's: unlike ``SeededRandom``, whose state could be
/// computed from enough of its output, and output is what other nodes see.
struct SecretStream: Sendable {
    private let secret: [UInt8]
    private var counter: UInt64 = 0
    private var block: [UInt8] = []

    init(_ secret: [UInt8]) { self.secret = secret }

    mutating func bytes(_ n: Int) -> [UInt8] {
        while block.count < n {
            counter += 1
            block += Digest.sha1(secret + withUnsafeBytes(of: counter.littleEndian) { Array($0) }).bytes
        }
        defer { block.removeFirst(n) }
        return Array(block.prefix(n))
    }
    mutating func u32() -> UInt32 { bytes(4).reduce(0) { $0 << 8 | UInt32($1) } }
}

/// Write tokens (BEP 5): who announces has received our datagram at that address within the last ten minutes.
struct TokenMint: Sendable {
    private var current: [UInt8], previous: [UInt8]
    private var rotateAt: Instant

    init(_ stream: inout SecretStream, now: Instant) {
        (current, previous) = (stream.bytes(16), stream.bytes(16))
        rotateAt = now + DHT.secretLife
    }

    mutating func rotate(_ stream: inout SecretStream, now: Instant) {
        guard now >= rotateAt else { return }
        previous = current
        current = stream.bytes(16)
        // Asleep for longer than a life: what was given before is not to be believed.
        if now >= rotateAt + DHT.secretLife { previous = stream.bytes(16) }
        rotateAt = now + DHT.secretLife
    }

    func token(for source: Endpoint, _ target: NodeID) -> [UInt8] { Self.token(current, source, target) }
    func isValid(_ token: [UInt8], from source: Endpoint, _ target: NodeID) -> Bool {
        token == Self.token(current, source, target) || token == Self.token(previous, source, target)
    }
    private static func token(_ secret: [UInt8], _ source: Endpoint, _ target: NodeID) -> [UInt8] {
        // Without the port: behind some routers it differs from one datagram to the next.
        Array(Digest.sha1(secret + CompactNodes.address(source).dropLast(2) + target.bytes).bytes.prefix(8))
    }
}
