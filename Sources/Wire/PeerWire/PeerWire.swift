/// The peer wire protocol: bytes to values and back, no state and no I/O.
///
/// - ``Handshake``: the 68 bytes that open a connection (BEP 3, reserved bits of BEP 6 and BEP 10).
/// - ``PeerMessage``, ``MessageParser`` and the ``ByteWriter`` extensions: the length-prefixed messages
///   (BEP 3, BEP 6, BEP 10). Payload is named by a range, never copied.
/// - ``ExtendedHandshake`` and ``MetadataMessage``: the dictionaries of BEP 10 and BEP 9.
/// - ``HashRequest``: the messages of BEP 52.
/// - ``AllowedFast``, ``ClientName``, ``CompactPeers``: small pure functions of BEP 6, BEP 20 and BEP 23.

/// The other side broke the protocol: its connection is closed.
package enum WireError: Error, Hashable, Sendable {
    /// A length prefix beyond what the message may have; seen before any of the payload is kept.
    case tooLong(id: UInt8?, length: Int, limit: Int)
    /// A message of fixed layout with another length.
    case badLength(id: UInt8, length: Int)
    /// Not "\u{13}BitTorrent protocol".
    case notBitTorrent
    /// A dictionary of BEP 9 or BEP 10 that is not one, or not within the bounds.
    case badDictionary
}

/// Limits of one message, payload and id together, prefix not counted.
package enum WireLimit {
    /// Requests above 128 KiB are refused by every client; 9 bytes stand before the payload.
    package static var piece: Int { 128 * 1024 + 9 }
    /// 1 MiB of payload, the message id and the extended id.
    package static var extended: Int { (1 << 20) + 2 }
    /// What another program's message may have.
    package static var unknown: Int { 128 * 1024 }
    /// BEP 52: id, header, 512 hashes and as many uncles as a tree has layers.
    package static var hashes: Int { 1 + HashRequest.byteCount + 32 * Int(HashRequest.longestRun + HashRequest.mostProofLayers) }
    /// Ten million pieces: what a bitfield may have while the number of pieces is not known.
    package static var pieceCount: Int { 10_000_000 }
    /// BEP 9: an info dictionary above this is not asked for.
    package static var metadata: Int { 30 << 20 }
    /// BEP 9: the unit of metadata.
    package static var metadataBlock: Int { 16384 }
}
