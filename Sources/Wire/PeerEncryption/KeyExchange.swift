import CCipher
import CHash
import Primitives

/// One end's half of the Diffie-Hellman exchange.
struct KeyExchange {
    static let byteCount = Int(CCBT_DH_BYTES)
    private let secretExponent: [UInt8]
    let publicKey: [UInt8]

    /// Needs 20 bytes, different for each connection.
    init(privateKey: [UInt8]) {
        precondition(privateKey.count == Int(CCBT_DH_PRIVATE_BYTES))
        secretExponent = privateKey
        var key = [UInt8](repeating: 0, count: Self.byteCount)
        ccbt_dh768_public(privateKey, &key)
        publicKey = key
    }

    /// nil when the other side's number is none that an honest side sends.
    func secret(with other: UnsafeRawBufferPointer) -> SharedSecret? {
        precondition(other.count == Self.byteCount)
        var secret = [UInt8](repeating: 0, count: Self.byteCount)
        guard ccbt_dh768_secret(secretExponent, other.baseAddress!.assumingMemoryBound(to: UInt8.self), &secret) == 1 else { return nil }
        return SharedSecret(bytes: secret)
    }
}

/// S, and what is made of it.
struct SharedSecret {
    let bytes: [UInt8]

    var request1: SHA1Digest { mseHash("req1", bytes) }
    var request3: SHA1Digest { mseHash("req3", bytes) }
    /// What the side that dialled encrypts with.
    func cipherOfDialler(_ swarm: InfoHash) -> StreamCipher { StreamCipher(key: mseHash("keyA", bytes, swarm.bytes).bytes) }
    func cipherOfAccepter(_ swarm: InfoHash) -> StreamCipher { StreamCipher(key: mseHash("keyB", bytes, swarm.bytes).bytes) }
}

func mseHash(_ word: StaticString, _ parts: [UInt8]...) -> SHA1Digest {
    var message = [UInt8](UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
    for part in parts { message += part }
    return withUnsafeTemporaryAllocation(byteCount: 20, alignment: 8) { out in
        ccbt_sha1(message, message.count, out.baseAddress!.assumingMemoryBound(to: UInt8.self))
        return SHA1Digest(bytes: UnsafeRawBufferPointer(out))
    }
}

func xor(_ a: SHA1Digest, _ b: SHA1Digest) -> SHA1Digest { SHA1Digest(zip(a.bytes, b.bytes).map { $0 ^ $1 })! }

/// The torrents that an incoming handshake may name, by HASH("req2", info-hash): one look-up for each attempt, however many
/// torrents there are. Costs 48 bytes a torrent.
package struct SwarmKeys {
    private var swarms: [SHA1Digest: (infoHash: InfoHash, uses: Int)] = [:]

    package init() {}
    package var count: Int { swarms.count }

    /// Two torrents may have one info-hash; it is known until both are removed.
    package mutating func add(_ infoHash: InfoHash) {
        swarms[mseHash("req2", infoHash.bytes), default: (infoHash, 0)].uses += 1
    }
    package mutating func remove(_ infoHash: InfoHash) {
        let key = mseHash("req2", infoHash.bytes)
        guard let uses = swarms[key]?.uses else { return }
        swarms[key] = uses > 1 ? (infoHash, uses - 1) : nil
    }
    package func find(_ key: SHA1Digest) -> InfoHash? { swarms[key]?.infoHash }
}
