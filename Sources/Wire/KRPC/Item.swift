import Bencode
import CHash
import Primitives

/// Items of BEP 44: values kept under the hash of themselves, or under a public key that signs them.
package enum Item {
    package static func target(value: [UInt8]) -> NodeID { NodeID(Digest.sha1(value)) }
    package static func target(key: [UInt8], salt: [UInt8]) -> NodeID { NodeID(Digest.sha1(key + salt)) }

    /// Exactly one bencoded value within the limit.
    package static func isWellFormed(_ value: [UInt8]) -> Bool {
        var parser = BencodeParser()
        return value.withUnsafeBytes { (try? parser.parse($0, limits: BencodeLimits(depth: 16, tokens: 500, bytes: KRPC.itemLimit))) != nil }
    }

    /// What the signature is over.
    package static func signed(value: [UInt8], sequence: Int64, salt: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        if !salt.isEmpty { out += Array("4:salt\(salt.count):".utf8) + salt }
        return out + Array("3:seqi\(sequence)e1:v".utf8) + value
    }

    package static func isSigned(_ value: [UInt8], _ item: ItemSignature, salt: [UInt8]) -> Bool {
        guard item.key.count == 32, item.signature.count == 64 else { return false }
        let message = signed(value: value, sequence: item.sequence, salt: salt)
        return ccbt_ed25519_verify(item.key, message, message.count, item.signature) == 1
    }

    /// `seed`: the 32 secret bytes of RFC 8032. nil for another length.
    package static func sign(_ value: [UInt8], sequence: Int64, salt: [UInt8], seed: [UInt8]) -> ItemSignature? {
        guard seed.count == 32, let key = publicKey(seed: seed) else { return nil }
        let message = signed(value: value, sequence: sequence, salt: salt)
        var signature = [UInt8](repeating: 0, count: 64)
        guard ccbt_ed25519_sign(seed, message, message.count, &signature) == 1 else { return nil }
        return ItemSignature(key: key, signature: signature, sequence: sequence)
    }

    package static func publicKey(seed: [UInt8]) -> [UInt8]? {
        guard seed.count == 32 else { return nil }
        var key = [UInt8](repeating: 0, count: 32)
        return ccbt_ed25519_public(seed, &key) == 1 ? key : nil
    }

    // MARK: torrents (BEP 46)

    /// The torrent that an item's value names; nil where it names none.
    package static func torrent(of value: [UInt8]) -> InfoHash? {
        guard value.count <= KRPC.itemLimit else { return nil }
        var parser = BencodeParser()
        return value.withUnsafeBytes { bytes -> InfoHash? in
            guard let root = try? parser.parse(bytes, limits: BencodeLimits(depth: 16, tokens: 500, bytes: KRPC.itemLimit)), let hash = root["ih"]?.string else { return nil }
            return InfoHash(Array(hash))
        }
    }
    /// The value that names a torrent.
    package static func value(of torrent: InfoHash) -> [UInt8] { Array("d2:ih20:".utf8) + torrent.bytes + Array("e".utf8) }
}
