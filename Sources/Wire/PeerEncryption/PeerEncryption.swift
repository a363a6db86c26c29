/// Message stream encryption, MSE (also protocol encryption, PE): hides from boxes between two peers that their stream is BitTorrent.
/// It proves nothing about who the other side is. A is the side that dialled:
///
///     1  A → B   Ya, PadA
///     2  B → A   Yb, PadB
///     3  A → B   HASH("req1", S), HASH("req2", SKEY) xor HASH("req3", S),
///                ENCRYPT(VC, crypto_provide, len(PadC), PadC, len(IA)), ENCRYPT(IA)
///     4  B → A   ENCRYPT(VC, crypto_select, len(PadD), PadD), ENCRYPT2(stream)
///     5  A → B   ENCRYPT2(stream)
///
/// Y is 2^x mod P of 96 bytes, S the shared secret, SKEY the info-hash, HASH is SHA-1, VC eight zero bytes, IA what A wants to
/// say at once (its BitTorrent handshake). Pads are 0 ... 512 random bytes. ENCRYPT is RC4 under HASH("keyA" or "keyB", S, SKEY)
/// without its first 1,024 bytes; ENCRYPT2 is the same key stream going on, or nothing when plain text was selected.
///
/// ``EncryptionHandshake`` is both ends of the exchange, ``SwarmKeys`` names the torrent of an incoming one, ``StreamCipher`` is one direction after it.
/// No description of it is a BEP; it is the one that Azureus and µTorrent agreed on.
package enum MSE {
    static let verificationByteCount = 8
    /// PadA ... PadD each.
    package static let longestPad = 512
    /// len(IA) is 16 bits. A handshake is 68 bytes; this leaves room for the bitfield of 60,000 pieces behind it.
    package static let longestInitialPayload = 8192
    /// What an end may have to hold at once before it has made a step: len(PadC), PadC, len(IA), IA each come whole.
    package static let longestStep = longestInitialPayload
    static let droppedKeyStream = 1024
}

/// How the stream goes on after the handshake. The raw values are the bits of crypto_provide.
package struct EncryptionMethods: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let plaintext = EncryptionMethods(rawValue: 1)
    package static let rc4 = EncryptionMethods(rawValue: 2)
}

/// Why a handshake came to nothing; each is the other side's doing.
package enum EncryptionFailure: Error, Hashable, Sendable, CaseIterable {
    /// 0, 1, P - 1 or above: anybody would know the secret.
    case weakKey
    /// HASH("req1", S), or the encrypted VC, is not within a pad's reach: the other side speaks something else, or
    /// has another info-hash in mind.
    case notFound
    /// No torrent of ours has that key.
    case unknownSwarm
    case badVerification
    case padTooLong
    case payloadTooLong
    /// Nothing that both allow; or an answer that selects what was not offered.
    case noCommonMethod
}
